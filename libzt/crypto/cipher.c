/* The cipher suites. SALSA and POLY are keyed anew for every packet and so stateless: Salsa20/12 is
 * ours (salsa12.h), Poly1305 libsodium's. AES keeps four OpenSSL contexts per pair of nodes with
 * the keys set once: OpenSSL's set-up (look-up of the implementation, key schedule, GHASH table)
 * costs many times what a packet does, whereas a new IV in a ready context is cheap. */
#include "crypto/cipher.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <sodium.h>

#include "base/err.h"
#include "crypto/salsa12.h"

#define BODY(n) ((n)-ZT_PKT_VERB) /* bytes under the MAC */

struct zt_aes {
    EVP_CIPHER_CTX *gmac;
    EVP_CIPHER_CTX *ctr;
    EVP_CIPHER_CTX *block, *unblock; /* the one ECB block, each way */
};

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

static void aes_free(struct zt_aes *aes)
{
    if (aes == NULL)
        return;
    EVP_CIPHER_CTX_free(aes->gmac); /* OpenSSL wipes what it frees */
    EVP_CIPHER_CTX_free(aes->ctr);
    EVP_CIPHER_CTX_free(aes->block);
    EVP_CIPHER_CTX_free(aes->unblock);
    free(aes);
}

void zt_keys_fini(struct zt_keys *keys)
{
    aes_free(keys->aes);
    zt_wipe(keys, sizeof *keys);
}

static EVP_CIPHER_CTX *context(const EVP_CIPHER *cipher, const uint8_t key[32], int encrypt)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx != NULL && EVP_CipherInit_ex(ctx, cipher, NULL, key, NULL, encrypt) == 1 &&
        EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static int aes_prepare(struct zt_keys *keys)
{
    if (keys->aes != NULL)
        return 0;
    struct zt_aes *aes = calloc(1, sizeof *aes);
    if (aes == NULL)
        return ZT_E_NOMEM;
    aes->gmac = context(EVP_aes_256_gcm(), keys->k0, 1);
    aes->ctr = context(EVP_aes_256_ctr(), keys->k1, 1);
    aes->block = context(EVP_aes_256_ecb(), keys->k1, 1);
    aes->unblock = context(EVP_aes_256_ecb(), keys->k1, 0);
    if (!aes->gmac || !aes->ctr || !aes->block || !aes->unblock) {
        aes_free(aes);
        return ZT_E_NOMEM;
    }
    keys->aes = aes;
    return 0;
}

/* GMAC over header fields and body, folded to 8 bytes. id is the random one, the header in p may
 * already carry the wire's; hops count as 0. */
static bool gmac_folded(struct zt_aes *aes, const uint8_t id[8], const uint8_t *p, size_t n,
                        uint8_t out[8])
{
    uint8_t iv[12] = {0}, header[16] = {0}, tag[16];
    OSSL_PARAM get[] = {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, sizeof tag),
                        OSSL_PARAM_END};
    int len;

    memcpy(iv, id, 8);
    memcpy(header, p + ZT_PKT_DEST, 11);
    header[10] &= (uint8_t)~ZT_FLAG_HOPS;
    if (EVP_EncryptInit_ex(aes->gmac, NULL, NULL, NULL, iv) != 1 ||
        EVP_EncryptUpdate(aes->gmac, NULL, &len, header, sizeof header) != 1 ||
        EVP_EncryptUpdate(aes->gmac, NULL, &len, p + ZT_PKT_VERB, (int)BODY(n)) != 1 ||
        EVP_EncryptFinal_ex(aes->gmac, tag, &len) != 1 ||
        EVP_CIPHER_CTX_get_params(aes->gmac, get) != 1)
        return false;
    for (size_t i = 0; i < 8; i++)
        out[i] = tag[i] ^ tag[i + 8];
    return true;
}

/* CTR over the body, starting at the tag block with one bit cleared (vl1.md 3.5). */
static bool ctr_body(struct zt_aes *aes, const uint8_t tag_block[16], uint8_t *p, size_t n)
{
    uint8_t start[16];
    int len;
    memcpy(start, tag_block, 16);
    start[12] &= 0x7f;
    return EVP_EncryptInit_ex(aes->ctr, NULL, NULL, NULL, start) == 1 &&
           EVP_EncryptUpdate(aes->ctr, p + ZT_PKT_VERB, &len, p + ZT_PKT_VERB, (int)BODY(n)) == 1;
}

static int seal_aes(struct zt_keys *keys, uint8_t *p, size_t n)
{
    uint8_t block[16], sealed[16];
    int len, err = aes_prepare(keys);
    if (err != 0)
        return err;
    memcpy(block, p + ZT_PKT_ID, 8);
    if (!gmac_folded(keys->aes, block, p, n, block + 8) ||
        EVP_EncryptUpdate(keys->aes->block, sealed, &len, block, 16) != 1 ||
        !ctr_body(keys->aes, sealed, p, n))
        return ZT_E_CRYPTO;
    memcpy(p + ZT_PKT_ID, sealed, 8);
    memcpy(p + ZT_PKT_MAC, sealed + 8, 8);
    return 0;
}

static int open_aes(struct zt_keys *keys, uint8_t *p, size_t n)
{
    uint8_t block[16], opened[16], tag[8];
    int len, err = aes_prepare(keys);
    if (err != 0)
        return err;
    memcpy(block, p + ZT_PKT_ID, 8);
    memcpy(block + 8, p + ZT_PKT_MAC, 8);
    if (!ctr_body(keys->aes, block, p, n) ||
        EVP_DecryptUpdate(keys->aes->unblock, opened, &len, block, 16) != 1 ||
        !gmac_folded(keys->aes, opened, p, n, tag))
        return ZT_E_CRYPTO;
    return sodium_memcmp(tag, opened + 8, 8) == 0 ? 0 : ZT_E_CRYPTO;
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
