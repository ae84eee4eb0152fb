/* The cipher suites. SALSA and POLY are keyed anew for every packet and so stateless: Salsa20/12 is
 * ours (salsa12.h), Poly1305 libsodium's. AES keeps its
 * prepared keys per pair of nodes (aes_siv.h). */
#include "crypto/cipher.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "base/err.h"
#include "crypto/aes_siv.h"
#include "crypto/salsa12.h"

#define BODY(n) ((n)-ZT_PKT_VERB) /* bytes under the MAC */

int zt_kbkdf(const uint8_t shared[ZT_SHARED_KEY], uint8_t label, uint8_t context,
             uint32_t iteration, uint8_t out[48])
{
    uint8_t msg[13] = {0, 0, 0, 0, 'Z', 'T', label, 0, context, 0, 0, 0x01, 0x80};
    zt_put32(msg, iteration);
    if (HMAC(EVP_sha384(), shared, ZT_SHARED_KEY, msg, sizeof msg, out, NULL) != NULL)
        return 0;
    memset(out, 0, 48);
    return ZT_E_CRYPTO;
}

int zt_keys_init(struct zt_keys *keys, const uint8_t shared[ZT_SHARED_KEY])
{
    uint8_t k0[48], k1[48];
    *keys = (struct zt_keys){0};
    int err = zt_kbkdf(shared, '0', 0, 0, k0);
    if (err == 0)
        err = zt_kbkdf(shared, '1', 0, 0, k1);
    if (err == 0) {
        memcpy(keys->k, shared, ZT_SHARED_KEY);
        memcpy(keys->k0, k0, 32);
        memcpy(keys->k1, k1, 32);
    }
    zt_wipe(k0, sizeof k0);
    zt_wipe(k1, sizeof k1);
    return err;
}

void zt_keys_fini(struct zt_keys *keys)
{
    zt_aes_free(keys->aes);
    zt_wipe(keys, sizeof *keys);
}

static int aes_prepare(struct zt_keys *keys)
{
    if (keys->aes == NULL)
        keys->aes = zt_aes_new(keys->k0, keys->k1, ZT_AES_LEVELS - 1);
    return keys->aes != NULL ? 0 : ZT_E_NOMEM;
}

static int seal_aes(struct zt_keys *keys, uint8_t *p, size_t n)
{
    int err = aes_prepare(keys);
    if (err != 0)
        return err;
    return zt_aes_seal(keys->aes, p, n) ? 0 : ZT_E_CRYPTO;
}

static int open_aes(struct zt_keys *keys, uint8_t *p, size_t n)
{
    int err = aes_prepare(keys);
    if (err != 0)
        return err;
    return zt_aes_open(keys->aes, p, n) ? 0 : ZT_E_CRYPTO;
}

/* The key of one packet (vl1.md 3.3). */
static void mangle(const struct zt_keys *keys, const uint8_t *p, size_t n, uint8_t out[32])
{
    memcpy(out, keys->k, 32);
    for (size_t i = 0; i < ZT_PKT_FLAGS; i++)
        out[i] ^= p[i];
    out[18] ^= p[ZT_PKT_FLAGS] & (uint8_t)~ZT_FLAG_HOPS;
    out[19] ^= (uint8_t)n;
    out[20] ^= (uint8_t)(n >> 8);
}

/* The key stream's first blocks: the MAC key is its first 32 bytes, the body's part begins with the
 * second block. Computing several blocks costs the same as one. */
#define HEAD_BLOCKS 8
struct salsa_head {
    uint8_t b[HEAD_BLOCKS * ZT_SALSA_BLOCK];
};

static void salsa_begin(const uint8_t key[32], const uint8_t *p, struct salsa_head *h)
{
    memset(h, 0, sizeof *h);
    zt_salsa12_xor(key, p + ZT_PKT_ID, 0, h->b, sizeof h->b);
}

static void salsa_body(const uint8_t key[32], const struct salsa_head *h, uint8_t *p, size_t n)
{
    uint8_t *body = p + ZT_PKT_VERB;
    size_t near = sizeof h->b - ZT_SALSA_BLOCK;
    if (near > BODY(n))
        near = BODY(n);
    for (size_t i = 0; i < near; i++)
        body[i] ^= h->b[ZT_SALSA_BLOCK + i];
    if (BODY(n) > near)
        zt_salsa12_xor(key, p + ZT_PKT_ID, HEAD_BLOCKS, body + near, BODY(n) - near);
}

static void poly_tag(const uint8_t mac_key[32], const uint8_t *p, size_t n, uint8_t tag[16])
{
    crypto_onetimeauth_poly1305(tag, p + ZT_PKT_VERB, BODY(n), mac_key);
}

static void seal_salsa(const struct zt_keys *keys, uint8_t *p, size_t n, bool encrypt)
{
    uint8_t key[32], tag[16];
    struct salsa_head head;
    mangle(keys, p, n, key);
    salsa_begin(key, p, &head);
    if (encrypt)
        salsa_body(key, &head, p, n);
    poly_tag(head.b, p, n, tag);
    memcpy(p + ZT_PKT_MAC, tag, 8);
    zt_wipe(key, sizeof key);
    zt_wipe(&head, sizeof head);
}

/* The tag first: a forged packet costs no decryption of what it carries. */
static int open_salsa(const struct zt_keys *keys, uint8_t *p, size_t n, bool decrypt)
{
    uint8_t key[32], tag[16];
    struct salsa_head head;
    mangle(keys, p, n, key);
    salsa_begin(key, p, &head);
    poly_tag(head.b, p, n, tag);
    int err = sodium_memcmp(tag, p + ZT_PKT_MAC, 8) == 0 ? 0 : ZT_E_CRYPTO;
    if (err == 0 && decrypt)
        salsa_body(key, &head, p, n);
    zt_wipe(key, sizeof key);
    zt_wipe(&head, sizeof head);
    return err;
}

int zt_seal(struct zt_keys *keys, enum zt_suite suite, uint8_t *p, size_t n)
{
    assert(n >= ZT_PKT_MIN && n <= ZT_PKT_MAX);
    p[ZT_PKT_FLAGS] = (uint8_t)((p[ZT_PKT_FLAGS] & ZT_FLAG_FRAGMENTED) | (unsigned)suite << 3);
    switch (suite) {
    case ZT_SUITE_POLY:
        seal_salsa(keys, p, n, false);
        return 0;
    case ZT_SUITE_SALSA:
        p[ZT_PKT_FLAGS] |= ZT_FLAG_ENCRYPTED;
        seal_salsa(keys, p, n, true);
        return 0;
    case ZT_SUITE_AES:
        return seal_aes(keys, p, n);
    default:
        return ZT_E_UNSUPPORTED;
    }
}

int zt_open(struct zt_keys *keys, uint8_t *p, size_t n)
{
    if (n < ZT_PKT_MIN)
        return ZT_E_TRUNCATED;
    if (n > ZT_PKT_MAX)
        return ZT_E_FORMAT;
    switch (zt_pkt_suite(p)) {
    case ZT_SUITE_POLY:
        return open_salsa(keys, p, n, false);
    case ZT_SUITE_SALSA:
        return open_salsa(keys, p, n, true);
    case ZT_SUITE_AES:
        return open_aes(keys, p, n);
    default:
        return ZT_E_UNSUPPORTED;
    }
}

void zt_hello_mask(const struct zt_keys *keys, uint8_t *p, size_t n, size_t from)
{
    uint8_t iv[8];
    if (from >= n)
        return;
    memcpy(iv, p + ZT_PKT_ID, 8);
    iv[7] &= 0xf8;
    crypto_stream_salsa2012_xor(p + from, p + from, n - from, iv, keys->k);
}
