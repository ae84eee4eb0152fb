/* identity.json, agree.json, sign.json: what crypto/identity does. */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "base/err.h"
#include "crypto/cipher.h"
#include "crypto/identity.h"
#include "vec.h"
#include "vec_identity.h"

bool vec_identity_field(struct vec *v, json_t *obj, const char *field, struct zt_identity *out)
{
    const char *s = vec_str(v, obj, field);
    return vec_check(v, zt_identity_parse(s, strlen(s), out) == 0, field);
}

static void known_identity(struct vec *v, json_t *c)
{
    struct zt_identity id, other;
    char text[ZT_IDENTITY_STR];
    uint8_t bytes[ZT_IDENTITY_WIRE + ZT_PRIV], hash[48];

    if (!vec_identity_field(v, c, "secret_string", &id))
        return;
    vec_eq_u64(v, c, "address", id.addr);
    vec_eq_hex(v, c, "public_key", id.pub, ZT_PUB);
    vec_eq_hex(v, c, "private_key", id.priv, ZT_PRIV);
    vec_eq_str(v, c, "secret_string", zt_identity_format(&id, true, text));
    vec_eq_str(v, c, "public_string", zt_identity_format(&id, false, text));
    vec_eq_bool(v, c, "valid", zt_identity_validate(&id));

    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_identity(&w, &id, true);
    vec_eq_hex(v, c, "binary_secret", bytes, w.n);
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_identity(&w, &id, false);
    vec_eq_hex(v, c, "binary_public", bytes, w.n);

    if (vec_identity_field(v, c, "public_string", &other)) {
        VEC_CHECK(v, zt_identity_equal(&id, &other) && !other.has_priv);
        VEC_CHECK(v, zt_identity_validate(&other));
    }
    size_t n;
    const uint8_t *secret = vec_hex(v, c, "binary_secret", &n);
    struct zt_rd r = zt_rd(secret, n);
    zt_rd_identity(&r, &other);
    VEC_CHECK(v, !r.bad && r.pos == n && memcmp(&id, &other, sizeof id) == 0);

    VEC_CHECK(v, zt_identity_fingerprint(&id, hash) == 0);
    vec_eq_hex(v, c, "sha384_address_public_key", hash, sizeof hash);
}

static void invalid_identity(struct vec *v, json_t *c)
{
    struct zt_identity id;
    if (vec_has(c, "string")) {
        const char *s = vec_str(v, c, "string");
        bool parses = zt_identity_parse(s, strlen(s), &id) == 0;
        vec_eq_bool(v, c, "string_parses", parses);
        vec_eq_bool(v, c, "valid", parses && zt_identity_validate(&id));
    }
    const char *binary = vec_has(c, "binary") ? "binary" : "binary_public";
    if (vec_has(c, binary)) {
        size_t n;
        const uint8_t *p = vec_hex(v, c, binary, &n);
        struct zt_rd r = zt_rd(p, n);
        zt_rd_identity(&r, &id);
        if (vec_has(c, "binary_parses"))
            vec_eq_bool(v, c, "binary_parses", !r.bad);
        if (vec_has(c, "bytes_used"))
            vec_eq_int(v, c, "bytes_used", (int64_t)r.pos);
        vec_eq_bool(v, c, "valid", !r.bad && zt_identity_validate(&id));
    }
    if (vec_has(c, "digest")) {
        uint8_t d[64];
        VEC_CHECK(v, zt_identity_digest(id.pub, d) == 0);
        vec_eq_hex(v, c, "digest", d, sizeof d);
    }
}

/* The address hash again, word for word as vl1.md 1.2 defines it and slow, to look inside. Ours,
 * which makes the key stream in runs, must come to the same end. */
static void hard_hash(struct vec *v, json_t *c)
{
    const uint8_t *pub = vec_hex_n(v, c, "public_key", ZT_PUB);
    uint8_t d[64], ours[64], hash[64], *g;
    size_t cells = 262144, bytes = 8 * cells;
    uint64_t block = 0;

    crypto_hash_sha512(d, pub, ZT_PUB);
    vec_eq_hex(v, c, "sha512_public_key", d, sizeof d);
    const uint8_t *start = memcpy(vec_alloc(v, sizeof d), d, sizeof d), *iv = start + 32;
    g = vec_alloc(v, bytes);
    for (size_t at = 0; at < bytes; at += 64) {
        if (at > 0)
            memcpy(g + at, g + at - 64, 64);
        crypto_stream_salsa20_xor_ic(g + at, g + at, 64, iv, block++, start);
    }
    vec_eq_int(v, c, "genmem_bytes", (int64_t)bytes);
    vec_eq_hex(v, c, "stage1_genmem_0_63", g, 64);
    vec_eq_hex(v, c, "stage1_genmem_64_127", g + 64, 64);
    vec_eq_hex(v, c, "stage1_genmem_last_64", g + bytes - 64, 64);
    crypto_hash_sha512(hash, g, bytes);
    vec_eq_hex(v, c, "stage1_genmem_sha512", hash, sizeof hash);
    for (size_t i = 0; i < cells; i += 2) {
        size_t a = zt_be64(g + 8 * i) % 8, b = zt_be64(g + 8 * i + 8) % cells;
        uint8_t cell[8];
        if (i == 0) {
            vec_eq_int(v, c, "stage2_first_index1", (int64_t)a);
            vec_eq_int(v, c, "stage2_first_index2", (int64_t)b);
        }
        memcpy(cell, d + 8 * a, 8);
        memcpy(d + 8 * a, g + 8 * b, 8);
        memcpy(g + 8 * b, cell, 8);
        crypto_stream_salsa20_xor_ic(d, d, 64, iv, block++, start);
        if (i == 0)
            vec_eq_hex(v, c, "stage2_digest_after_1_iteration", d, sizeof d);
        if (i == 2 * 999)
            vec_eq_hex(v, c, "stage2_digest_after_1000_iterations", d, sizeof d);
    }
    vec_eq_int(v, c, "stage2_iterations", (int64_t)cells / 2);
    VEC_CHECK(v, zt_identity_digest(pub, ours) == 0);
    VEC_CHECK(v, memcmp(d, ours, sizeof d) == 0);
    vec_eq_hex(v, c, "digest", ours, sizeof ours);
    vec_eq_hex(v, c, "derived_address", ours + 59, 5);
    vec_eq_u64(v, c, "address", zt_be40(ours + 59));
    vec_eq_bool(v, c, "first_byte_ok", ours[0] < 17);
}

int vec_identity(struct vec *v)
{
    VEC_EACH(v, "identities", "address", c)
    known_identity(v, c);
    VEC_EACH(v, "invalid", "reason", c)
    invalid_identity(v, c);
    VEC_EACH(v, "memory_hard_hash", "address", c)
    hard_hash(v, c);
    return 0;
}

static void pair(struct vec *v, json_t *c)
{
    struct zt_identity a, b;
    uint8_t ab[ZT_SHARED_KEY], ba[ZT_SHARED_KEY], out[48];
    struct zt_keys keys;

    if (!vec_identity_field(v, c, "a_secret_string", &a) ||
        !vec_identity_field(v, c, "b_secret_string", &b))
        return;
    VEC_CHECK(v, zt_identity_agree(&a, &b, ab) == 0);
    VEC_CHECK(v, zt_identity_agree(&b, &a, ba) == 0);
    vec_eq_hex(v, c, "symmetric_key_48", ab, sizeof ab);
    vec_eq_hex(v, c, "symmetric_key_48", ba, sizeof ba);
    vec_eq_hex(v, c, "salsa_key_32", ab, 32);
    VEC_CHECK(v, memcmp(vec_hex_n(v, c, "sha512_of_raw", 64), ab, sizeof ab) == 0);
    uint8_t longer[128]; /* 96 bytes are never used; they continue with the hash of the hash */
    memcpy(longer, vec_hex_n(v, c, "sha512_of_raw", 64), 64);
    crypto_hash_sha512(longer + 64, longer, 64);
    vec_eq_hex(v, c, "agreed_96", longer, 96);

    VEC_CHECK(v, zt_kbkdf(ab, (uint8_t)vec_str(v, c, "kbkdf_label_0")[0], 0, 0, out) == 0);
    vec_eq_hex(v, c, "kbkdf_k0_48", out, sizeof out);
    VEC_CHECK(v, zt_kbkdf(ab, (uint8_t)vec_str(v, c, "kbkdf_label_1")[0], 0, 0, out) == 0);
    vec_eq_hex(v, c, "kbkdf_k1_48", out, sizeof out);
    VEC_CHECK(v, zt_keys_init(&keys, ab) == 0);
    vec_eq_hex(v, c, "aes_k0", keys.k0, sizeof keys.k0);
    vec_eq_hex(v, c, "aes_k1", keys.k1, sizeof keys.k1);
    zt_keys_fini(&keys);
}

static void agree_edge(struct vec *v, json_t *c)
{
    struct zt_identity a, b = {0};
    uint8_t key[ZT_SHARED_KEY], zero[32] = {0};

    if (!vec_identity_field(v, c, "a_secret_string", &a))
        return;
    size_t n;
    const uint8_t *pub = vec_hex(v, c, "b_public_key", &n);
    if (!VEC_CHECK(v, n == 32 || n == ZT_PUB))
        return;
    memcpy(b.pub, pub, n);
    if (memcmp(b.pub, zero, 32) == 0) {
        /* The reference goes on with the hash of zeros; to us such an identity is unusable. */
        VEC_CHECK(v, zt_identity_agree(&a, &b, key) == ZT_E_CRYPTO);
    } else {
        VEC_CHECK(v, zt_identity_agree(&a, &b, key) == 0);
        vec_eq_hex(v, c, "symmetric_key_48", key, sizeof key);
        VEC_CHECK(v, (b.pub[31] & 0x80) != 0);
        b.pub[31] &= 0x7f;
        VEC_CHECK(v, zt_identity_agree(&a, &b, key) == 0);
        vec_eq_bool(v, c, "same_as_without_top_bit",
                    vec_eq_hex(v, c, "symmetric_key_48", key, sizeof key));
    }
}

static void kbkdf(struct vec *v, json_t *c)
{
    uint8_t out[48];
    VEC_CHECK(v, zt_kbkdf(vec_hex_n(v, c, "key", 48), (uint8_t)vec_int(v, c, "label"),
                          (uint8_t)vec_int(v, c, "context"), (uint32_t)vec_int(v, c, "iteration"),
                          out) == 0);
    vec_eq_hex(v, c, "out", out, sizeof out);
    HMAC(EVP_sha384(), vec_hex_n(v, c, "key", 48), 48, vec_hex_n(v, c, "hmac_message", 13), 13, out,
         NULL);
    vec_eq_hex(v, c, "out", out, sizeof out);
}

int vec_agree(struct vec *v)
{
    VEC_EACH(v, "pairs", NULL, c)
    pair(v, c);
    VEC_EACH(v, "edge", "note", c)
    agree_edge(v, c);
    VEC_EACH(v, "kbkdf", NULL, c)
    kbkdf(v, c);
    return 0;
}

int vec_sign(struct vec *v)
{
    VEC_EACH(v, "signatures", NULL, c)
    {
        struct zt_identity id;
        uint8_t sig[ZT_SIGNATURE_BYTES];
        size_t n;
        const uint8_t *msg = vec_hex(v, c, "message", &n);
        if (vec_identity_field(v, c, "secret_string", &id)) {
            zt_identity_sign(&id, msg, n, sig);
            vec_eq_hex(v, c, "signature", sig, sizeof sig);
            uint8_t hash[64];
            crypto_hash_sha512(hash, msg, n);
            vec_eq_hex(v, c, "message_sha512", hash, sizeof hash);
            VEC_CHECK(v, memcmp(hash, sig + 64, 32) == 0);
            vec_eq_bool(v, c, "verify", zt_identity_verify(id.pub, msg, n, sig));
        }
    }
    VEC_EACH(v, "verify_cases", "case", c)
    {
        size_t n, nsig;
        const uint8_t *msg = vec_hex(v, c, "message", &n);
        const uint8_t *sig = vec_hex(v, c, "signature", &nsig);
        const uint8_t *pub = vec_hex_n(v, c, "public_key", ZT_PUB);
        /* The length is the caller's to know: in every message it is a field of its own. */
        bool ok = nsig == ZT_SIGNATURE_BYTES && zt_identity_verify(pub, msg, n, sig);
        if (strncmp(vec_str(v, c, "case"), "non-canonical S", 15) == 0)
            VEC_CHECK(v, !ok); /* S >= L: the reference reduces it, we refuse; nobody makes one */
        else
            vec_eq_bool(v, c, "verify", ok);
    }
    return 0;
}
