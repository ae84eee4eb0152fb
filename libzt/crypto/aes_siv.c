#include "crypto/aes_siv.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>

#include "base/buf.h"
#include "crypto/identity.h"
#include "wire/packet.h"

#define BODY(n) ((n)-ZT_PKT_VERB) /* bytes under the MAC */

/* OpenSSL's contexts keep their keys: setting up (look-up of the implementation, key schedule,
 * GHASH table) costs many times what a packet does, whereas a new IV in a ready context is cheap.
 */
struct zt_aes {
    struct zt_aes_x86 x86; /* first: its alignment is this object's */
    unsigned level;
    EVP_CIPHER_CTX *gmac, *ctr; /* level 0 only, as the next */
    EVP_CIPHER_CTX *block, *unblock;
};

static EVP_CIPHER_CTX *context(const EVP_CIPHER *cipher, const uint8_t key[32], int encrypt)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx != NULL && EVP_CipherInit_ex(ctx, cipher, NULL, key, NULL, encrypt) == 1 &&
        EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static bool contexts(struct zt_aes *aes, const uint8_t k0[32], const uint8_t k1[32])
{
    aes->gmac = context(EVP_aes_256_gcm(), k0, 1);
    aes->ctr = context(EVP_aes_256_ctr(), k1, 1);
    aes->block = context(EVP_aes_256_ecb(), k1, 1);
    aes->unblock = context(EVP_aes_256_ecb(), k1, 0);
    return aes->gmac != NULL && aes->ctr != NULL && aes->block != NULL && aes->unblock != NULL;
}

struct zt_aes *zt_aes_new(const uint8_t k0[32], const uint8_t k1[32], unsigned level)
{
    unsigned best = level > 0 ? zt_aes_x86_level() : 0;
    struct zt_aes *aes = aligned_alloc(_Alignof(struct zt_aes), sizeof *aes);
    if (aes == NULL)
        return NULL;
    memset(aes, 0, sizeof *aes);
    aes->level = level < best ? level : best;
    if (aes->level > 0) {
        zt_aes_x86_init(&aes->x86, k0, k1);
    } else if (!contexts(aes, k0, k1)) {
        zt_aes_free(aes);
        return NULL;
    }
    return aes;
}

void zt_aes_free(struct zt_aes *aes)
{
    if (aes == NULL)
        return;
    EVP_CIPHER_CTX_free(aes->gmac); /* OpenSSL wipes what it frees */
    EVP_CIPHER_CTX_free(aes->ctr);
    EVP_CIPHER_CTX_free(aes->block);
    EVP_CIPHER_CTX_free(aes->unblock);
    zt_wipe(aes, sizeof *aes);
    free(aes);
}

unsigned zt_aes_level(const struct zt_aes *aes)
{
    return aes->level;
}

static bool evp_gmac(struct zt_aes *aes, const uint8_t iv[12], const uint8_t head[16],
                     const uint8_t *p, size_t n, uint8_t tag[16])
{
    OSSL_PARAM get[] = {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, 16),
                        OSSL_PARAM_END};
    int len;
    return EVP_EncryptInit_ex(aes->gmac, NULL, NULL, NULL, iv) == 1 &&
           EVP_EncryptUpdate(aes->gmac, NULL, &len, head, 16) == 1 &&
           EVP_EncryptUpdate(aes->gmac, NULL, &len, p, (int)n) == 1 &&
           EVP_EncryptFinal_ex(aes->gmac, tag, &len) == 1 &&
           EVP_CIPHER_CTX_get_params(aes->gmac, get) == 1;
}

/* GMAC over header fields and body, folded to 8 bytes. id is the random one, the header in p may
 * already carry the wire's; hops count as 0. */
static bool gmac_folded(struct zt_aes *aes, const uint8_t id[8], const uint8_t *p, size_t n,
                        uint8_t out[8])
{
    uint8_t iv[12] = {0}, header[16] = {0}, tag[16];

    memcpy(iv, id, 8);
    memcpy(header, p + ZT_PKT_DEST, 11);
    header[10] &= (uint8_t)~ZT_FLAG_HOPS;
    if (aes->level > 0)
        zt_aes_x86_gmac(&aes->x86, aes->level > 1, iv, header, p + ZT_PKT_VERB, BODY(n), tag);
    else if (!evp_gmac(aes, iv, header, p + ZT_PKT_VERB, BODY(n), tag))
        return false;
    for (size_t i = 0; i < 8; i++)
        out[i] = tag[i] ^ tag[i + 8];
    return true;
}

/* CTR over the body, starting at the tag block with one bit cleared (vl1.md 3.5), which also keeps
 * the counter's last word from overflowing. */
static bool ctr_body(struct zt_aes *aes, const uint8_t tag_block[16], uint8_t *p, size_t n)
{
    uint8_t start[16];
    int len;
    memcpy(start, tag_block, 16);
    start[12] &= 0x7f;
    if (aes->level > 0) {
        zt_aes_x86_ctr(&aes->x86, aes->level > 1, start, p + ZT_PKT_VERB, BODY(n));
        return true;
    }
    return EVP_EncryptInit_ex(aes->ctr, NULL, NULL, NULL, start) == 1 &&
           EVP_EncryptUpdate(aes->ctr, p + ZT_PKT_VERB, &len, p + ZT_PKT_VERB, (int)BODY(n)) == 1;
}

static bool tag_block(struct zt_aes *aes, bool encrypt, const uint8_t in[16], uint8_t out[16])
{
    int len;
    if (aes->level > 0) {
        zt_aes_x86_block(&aes->x86, encrypt, in, out);
        return true;
    }
    return encrypt ? EVP_EncryptUpdate(aes->block, out, &len, in, 16) == 1
                   : EVP_DecryptUpdate(aes->unblock, out, &len, in, 16) == 1;
}

bool zt_aes_seal(struct zt_aes *aes, uint8_t *p, size_t n)
{
    uint8_t block[16], sealed[16];
    memcpy(block, p + ZT_PKT_ID, 8);
    if (!gmac_folded(aes, block, p, n, block + 8) || !tag_block(aes, true, block, sealed) ||
        !ctr_body(aes, sealed, p, n))
        return false;
    memcpy(p + ZT_PKT_ID, sealed, 8);
    memcpy(p + ZT_PKT_MAC, sealed + 8, 8);
    return true;
}

bool zt_aes_open(struct zt_aes *aes, uint8_t *p, size_t n)
{
    uint8_t block[16], opened[16], tag[8];
    memcpy(block, p + ZT_PKT_ID, 8);
    memcpy(block + 8, p + ZT_PKT_MAC, 8);
    return ctr_body(aes, block, p, n) && tag_block(aes, false, block, opened) &&
           gmac_folded(aes, opened, p, n, tag) && sodium_memcmp(tag, opened + 8, 8) == 0;
}
