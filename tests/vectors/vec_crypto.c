/* salsa.json, poly1305.json, hash.json, aes.json: the library calls that crypto/ is made of, called
 * the way it calls them. How they are put together is in armor.json and agree.json. */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "vec.h"

/* Key stream XOR data; 12 rounds as for packets, 20 as for the identity hash. */
static void salsa(int64_t rounds, uint8_t *p, size_t n, const uint8_t *iv, uint64_t block,
                  const uint8_t *key, struct vec *v)
{
    if (rounds == 20) {
        crypto_stream_salsa20_xor_ic(p, p, n, iv, block, key);
    } else {
        /* No start block with 12 rounds: run through what comes before, as cipher.c does. */
        uint8_t *all = vec_alloc(v, block * 64 + n);
        memcpy(all + block * 64, p, n);
        crypto_stream_salsa2012_xor(all, all, block * 64 + n, iv, key);
        memcpy(p, all + block * 64, n);
    }
}

int vec_salsa(struct vec *v)
{
    VEC_EACH(v, "keystream", NULL, c)
    {
        const uint8_t *key = vec_hex_n(v, c, "key", 32), *iv = vec_hex_n(v, c, "iv", 8);
        int64_t rounds = vec_int(v, c, "rounds");
        size_t n = strlen(vec_str(v, c, "keystream")) / 2;
        uint8_t *p = vec_alloc(v, n);
        VEC_CHECK(v, rounds == 12 || rounds == 20);
        salsa(rounds, p, n, iv, 0, key, v);
        vec_eq_hex(v, c, "keystream", p, n);
        if (rounds == 12)
            crypto_stream_salsa2012(p, n, iv, key);
        else
            crypto_stream_salsa20(p, n, iv, key);
        vec_eq_hex(v, c, "keystream", p, n);
    }
    VEC_EACH(v, "sequential_calls", NULL, c)
    {
        const uint8_t *key = vec_hex_n(v, c, "key", 32), *iv = vec_hex_n(v, c, "iv", 8);
        json_t *calls = vec_field(v, c, "calls"), *call;
        uint64_t block = 0;
        size_t i;
        VEC_CHECK(v, json_array_size(calls) > 0);
        json_array_foreach(calls, i, call)
        {
            size_t n;
            const uint8_t *in = vec_hex(v, call, "in", &n);
            uint8_t *p = vec_alloc(v, n);
            memcpy(p, in, n);
            salsa(vec_int(v, c, "rounds"), p, n, iv, block, key, v);
            vec_eq_hex(v, call, "out", p, n);
            block += (n + 63) / 64;
        }
    }
    return 0;
}

int vec_poly1305(struct vec *v)
{
    VEC_EACH(v, "vectors", NULL, c)
    {
        uint8_t tag[16];
        size_t n;
        const uint8_t *msg = vec_hex(v, c, "message", &n);
        crypto_onetimeauth_poly1305(tag, msg, n, vec_hex_n(v, c, "key", 32));
        vec_eq_hex(v, c, "tag", tag, sizeof tag);
        vec_eq_hex(v, c, "packet_mac_8", tag, 8);
    }
    return 0;
}

int vec_hash(struct vec *v)
{
    VEC_EACH(v, "vectors", NULL, c)
    {
        uint8_t out[64];
        size_t n;
        const uint8_t *msg = vec_hex(v, c, "message", &n);
        crypto_hash_sha512(out, msg, n);
        vec_eq_hex(v, c, "sha512", out, 64);
        VEC_CHECK(v, EVP_Digest(msg, n, out, NULL, EVP_sha384(), NULL) == 1);
        vec_eq_hex(v, c, "sha384", out, 48);
        VEC_CHECK(v, HMAC(EVP_sha384(), vec_hex_n(v, c, "hmac_key", 48), 48, msg, n, out, NULL));
        vec_eq_hex(v, c, "hmac_sha384", out, 48);
    }
    return 0;
}

/* One-shot use of a cipher; out has n bytes. aad: data goes in as additional data. */
static bool evp(const EVP_CIPHER *cipher, int encrypt, const uint8_t *key, const uint8_t *iv,
                const uint8_t *in, size_t n, uint8_t *out, uint8_t *tag)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t none[16];
    int len;
    bool ok = EVP_CipherInit_ex(ctx, cipher, NULL, key, iv, encrypt) == 1 &&
              EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
              EVP_CipherUpdate(ctx, out, &len, in, (int)n) == 1;
    if (tag != NULL)
        ok = ok && EVP_CipherFinal_ex(ctx, none, &len) == 1 &&
             EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

int vec_aes(struct vec *v)
{
    uint8_t block[16];
    VEC_EACH(v, "aes256_block", NULL, c)
    {
        const uint8_t *key = vec_hex_n(v, c, "key", 32);
        VEC_CHECK(v, evp(EVP_aes_256_ecb(), 1, key, NULL, vec_hex_n(v, c, "plaintext", 16), 16,
                         block, NULL));
        vec_eq_hex(v, c, "ciphertext", block, 16);
        VEC_CHECK(v, evp(EVP_aes_256_ecb(), 0, key, NULL, vec_hex_n(v, c, "ciphertext", 16), 16,
                         block, NULL));
        vec_eq_hex(v, c, "plaintext", block, 16);
    }
    VEC_EACH(v, "gmac", NULL, c)
    {
        size_t n;
        const uint8_t *msg = vec_hex(v, c, "message", &n);
        VEC_CHECK(v, evp(EVP_aes_256_gcm(), 1, vec_hex_n(v, c, "key", 32),
                         vec_hex_n(v, c, "iv", 12), msg, n, NULL, block));
        vec_eq_hex(v, c, "tag", block, 16);
    }
    VEC_EACH(v, "ctr", NULL, c)
    {
        size_t n;
        const uint8_t *in = vec_hex(v, c, "in", &n);
        uint8_t *out = vec_alloc(v, n);
        VEC_CHECK(v, evp(EVP_aes_256_ctr(), 1, vec_hex_n(v, c, "key", 32),
                         vec_hex_n(v, c, "iv", 16), in, n, out, NULL));
        vec_eq_hex(v, c, "out", out, n);
    }
    return 0;
}
