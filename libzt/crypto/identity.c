#include "crypto/identity.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "base/addr.h"
#include "base/err.h"

_Static_assert(crypto_scalarmult_BYTES + crypto_sign_PUBLICKEYBYTES == ZT_PUB, "public halves");
_Static_assert(crypto_scalarmult_SCALARBYTES + crypto_sign_SEEDBYTES == ZT_PRIV, "private halves");
_Static_assert(crypto_sign_BYTES + 32 == ZT_SIGNATURE_BYTES, "signature and digest");

#define MEMORY_BYTES 2097152u /* vl1.md 1.2 */
#define BLOCK 64u
#define CELLS (MEMORY_BYTES / 8)
#define PROOF_BELOW 17

int zt_crypto_init(void)
{
    return sodium_init() >= 0 && OPENSSL_init_crypto(0, NULL) == 1 ? 0 : ZT_E_CRYPTO;
}

void zt_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool zt_same_secret(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && sodium_memcmp(a, b, n) == 0;
}

static void xor_block(uint8_t *a, const uint8_t *b)
{
    for (size_t i = 0; i < BLOCK; i++)
        a[i] ^= b[i];
}

/* The digest in `memory` of MEMORY_BYTES. The key stream does not depend on the data, so it is made
 * in long runs, which libsodium vectorises, instead of the 163,840 single blocks of the definition.
 */
static void digest(const uint8_t pub[ZT_PUB], uint8_t d[64], uint8_t *memory)
{
    uint8_t key[32], iv[8], run[256 * BLOCK];

    crypto_hash_sha512(d, pub, ZT_PUB);
    memcpy(key, d, 32);
    memcpy(iv, d + 32, 8);

    crypto_stream_salsa20(memory, MEMORY_BYTES, iv, key);
    for (size_t at = BLOCK; at < MEMORY_BYTES; at += BLOCK)
        xor_block(memory + at, memory + at - BLOCK);

    uint64_t counter = MEMORY_BYTES / BLOCK;
    for (size_t i = 0; i < CELLS; i += 2) {
        size_t in_run = i / 2 % (sizeof run / BLOCK);
        if (in_run == 0) {
            memset(run, 0, sizeof run);
            crypto_stream_salsa20_xor_ic(run, run, sizeof run, iv, counter, key);
            counter += sizeof run / BLOCK;
        }
        uint8_t *a = d + zt_be64(memory + 8 * i) % 8 * 8;
        uint8_t *b = memory + zt_be64(memory + 8 * (i + 1)) % CELLS * 8;
        uint8_t cell[8];
        memcpy(cell, a, 8);
        memcpy(a, b, 8);
        memcpy(b, cell, 8);
        xor_block(d, run + in_run * BLOCK);
    }
}

int zt_identity_digest(const uint8_t pub[ZT_PUB], uint8_t out[64])
{
    uint8_t *memory = malloc(MEMORY_BYTES);
    if (memory == NULL)
        return ZT_E_NOMEM;
    digest(pub, out, memory);
    free(memory);
    return 0;
}

/* pub from priv. */
static void public_halves(const uint8_t priv[ZT_PRIV], uint8_t pub[ZT_PUB])
{
    uint8_t expanded[crypto_sign_SECRETKEYBYTES];
    crypto_scalarmult_base(pub, priv);
    crypto_sign_seed_keypair(pub + 32, expanded, priv + 32);
    zt_wipe(expanded, sizeof expanded);
}

void zt_keypair_generate(zt_random_fn *random, void *user, struct zt_identity *out)
{
    *out = (struct zt_identity){.has_priv = true};
    random(user, out->priv, ZT_PRIV);
    public_halves(out->priv, out->pub);
}

int zt_identity_generate(zt_random_fn *random, void *user, struct zt_identity *out)
{
    uint8_t *memory = malloc(MEMORY_BYTES);
    if (memory == NULL)
        return ZT_E_NOMEM;
    for (;;) {
        uint8_t d[64];
        zt_keypair_generate(random, user, out);
        /* Step the X25519 secret, in the middle, where clamping does not touch it. */
        for (;;) {
            digest(out->pub, d, memory);
            if (d[0] < PROOF_BELOW)
                break;
            zt_put64(out->priv + 8, zt_be64(out->priv + 8) + 1);
            crypto_scalarmult_base(out->pub, out->priv);
        }
        out->addr = zt_be40(d + 59);
        if (!zt_addr_reserved(out->addr))
            break;
    }
    free(memory);
    return 0;
}

bool zt_identity_keys_match(const struct zt_identity *id)
{
    uint8_t pub[ZT_PUB];
    if (!id->has_priv)
        return false;
    public_halves(id->priv, pub);
    return memcmp(pub, id->pub, ZT_PUB) == 0;
}

bool zt_identity_validate(const struct zt_identity *id)
{
    uint8_t d[64];
    if (zt_addr_reserved(id->addr) || (id->has_priv && !zt_identity_keys_match(id)))
        return false;
    return zt_identity_digest(id->pub, d) == 0 && d[0] < PROOF_BELOW && zt_be40(d + 59) == id->addr;
}

int zt_identity_agree(const struct zt_identity *me, const struct zt_identity *peer,
                      uint8_t key[ZT_SHARED_KEY])
{
    uint8_t raw[crypto_scalarmult_BYTES], hash[64];
    if (!me->has_priv || crypto_scalarmult(raw, me->priv, peer->pub) != 0) {
        memset(key, 0, ZT_SHARED_KEY);
        return ZT_E_CRYPTO;
    }
    crypto_hash_sha512(hash, raw, sizeof raw);
    memcpy(key, hash, ZT_SHARED_KEY);
    zt_wipe(raw, sizeof raw);
    zt_wipe(hash, sizeof hash);
    return 0;
}

void zt_identity_sign(const struct zt_identity *me, const void *msg, size_t n,
                      uint8_t sig[ZT_SIGNATURE_BYTES])
{
    uint8_t hash[64], secret[crypto_sign_SECRETKEYBYTES]; /* libsodium: seed, then public key */
    crypto_hash_sha512(hash, msg, n);
    memcpy(secret, me->priv + 32, 32);
    memcpy(secret + 32, me->pub + 32, 32);
    crypto_sign_detached(sig, NULL, hash, 32, secret);
    memcpy(sig + 64, hash, 32);
    zt_wipe(secret, sizeof secret);
}

bool zt_identity_verify(const uint8_t pub[ZT_PUB], const void *msg, size_t n,
                        const uint8_t sig[ZT_SIGNATURE_BYTES])
{
    uint8_t hash[64];
    crypto_hash_sha512(hash, msg, n);
    return sodium_memcmp(hash, sig + 64, 32) == 0 &&
           crypto_sign_verify_detached(sig, hash, 32, pub + 32) == 0;
}

int zt_identity_fingerprint(const struct zt_identity *id, uint8_t out[48])
{
    uint8_t msg[5 + ZT_PUB];
    zt_put40(msg, id->addr);
    memcpy(msg + 5, id->pub, ZT_PUB);
    if (EVP_Digest(msg, sizeof msg, out, NULL, EVP_sha384(), NULL) == 1)
        return 0;
    memset(out, 0, 48);
    return ZT_E_CRYPTO;
}
