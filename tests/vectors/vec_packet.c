/* armor.json and compress.json: packets sealed, opened, damaged, compressed. */
#include <string.h>

#include <sodium.h>

#include "base/err.h"
#include "crypto/cipher.h"
#include "vec.h"
#include "vec_identity.h"

/* Opens a copy of p and compares with `want` from the verb on (NULL: must merely fail or not). */
static bool opens(struct vec *v, struct zt_keys *keys, const uint8_t *p, size_t n,
                  const uint8_t *want)
{
    uint8_t *copy = vec_alloc(v, n);
    memcpy(copy, p, n);
    if (zt_open(keys, copy, n) != 0)
        return false;
    if (want != NULL)
        vec_check(v, memcmp(copy + ZT_PKT_VERB, want + ZT_PKT_VERB, n - ZT_PKT_VERB) == 0,
                  "opened packet equals the plain one");
    return true;
}

static void seals(struct vec *v, struct zt_keys *keys, json_t *c, const uint8_t *plain, size_t n)
{
    uint8_t *p = vec_alloc(v, n);
    memcpy(p, plain, n);
    VEC_CHECK(v, zt_seal(keys, (enum zt_suite)vec_int(v, c, "cipher"), p, n) == 0);
    vec_eq_hex(v, c, "armored", p, n);
}

static void damaged(struct vec *v, struct zt_keys *keys, json_t *c, const uint8_t *armored,
                    size_t n)
{
    uint8_t *p = vec_alloc(v, n);
    json_t *one;
    size_t i;

    json_array_foreach(vec_field(v, c, "hops_altered"), i, one)
    {
        memcpy(p, armored, n);
        p[ZT_PKT_FLAGS] = (uint8_t)vec_int(v, one, "flags_byte");
        vec_eq_int(v, one, "hops", zt_pkt_hops(p));
        vec_eq_bool(v, one, "dearmor_ok", opens(v, keys, p, n, NULL));
    }
    json_array_foreach(vec_field(v, c, "tampered_single_byte"), i, one)
    {
        size_t at = (size_t)vec_int(v, one, "offset");
        if (!VEC_CHECK(v, at < n))
            return;
        memcpy(p, armored, n);
        p[at] ^= (uint8_t)vec_int(v, one, "xor");
        vec_eq_bool(v, one, "dearmor_ok", opens(v, keys, p, n, NULL));
    }
}

/* The intermediate values that the file gives for suites 0 and 1 belong to the packet. */
static void inside_salsa(struct vec *v, json_t *c, const uint8_t *armored, size_t n)
{
    uint8_t mac_key[32], tag[16];
    crypto_stream_salsa2012(mac_key, sizeof mac_key, armored, vec_hex_n(v, c, "mangled_key", 32));
    vec_eq_hex(v, c, "poly1305_key", mac_key, sizeof mac_key);
    crypto_onetimeauth_poly1305(tag, armored + ZT_PKT_VERB, n - ZT_PKT_VERB, mac_key);
    VEC_CHECK(v, memcmp(tag, armored + ZT_PKT_MAC, 8) == 0);
}

static void armored_packet(struct vec *v, json_t *c)
{
    struct zt_identity from, to;
    struct zt_keys keys, other;
    uint8_t shared[ZT_SHARED_KEY];
    size_t n, m;

    if (!vec_identity_field(v, c, "source_secret_string", &from) ||
        !vec_identity_field(v, c, "destination_secret_string", &to))
        return;
    VEC_CHECK(v, zt_identity_agree(&from, &to, shared) == 0);
    vec_eq_hex(v, c, "key_48", shared, sizeof shared);
    VEC_CHECK(v, zt_keys_init(&keys, shared) == 0);
    shared[0] ^= 1;
    VEC_CHECK(v, zt_keys_init(&other, shared) == 0);

    const uint8_t *plain = vec_hex(v, c, "plain", &n), *armored = vec_hex(v, c, "armored", &m);
    if (VEC_CHECK(v, n == m && n >= ZT_PKT_MIN)) {
        vec_eq_int(v, c, "size", (int64_t)n);
        vec_eq_int(v, c, "verb", plain[ZT_PKT_VERB]);
        vec_eq_hex(v, c, "iv", plain, 8);
        vec_eq_int(v, c, "verb_and_payload_offset", ZT_PKT_VERB);
        if (vec_int(v, c, "cipher") == ZT_SUITE_AES) {
            vec_eq_hex(v, c, "aes_k0", keys.k0, sizeof keys.k0);
            vec_eq_hex(v, c, "aes_k1", keys.k1, sizeof keys.k1);
        } else {
            inside_salsa(v, c, armored, n);
        }
        seals(v, &keys, c, plain, n);
        vec_eq_bool(v, c, "dearmor_ok", opens(v, &keys, armored, n, plain));
        uint8_t *p = vec_alloc(v, n);
        memcpy(p, armored, n);
        VEC_CHECK(v, zt_open(&keys, p, n) == 0);
        vec_eq_hex(v, c, "dearmored_header_0_27", p, ZT_PKT_VERB);
        vec_eq_bool(v, c, "dearmored_payload_equals_plain",
                    memcmp(p + ZT_PKT_VERB, plain + ZT_PKT_VERB, n - ZT_PKT_VERB) == 0);
        damaged(v, &keys, c, armored, n);
        vec_eq_bool(v, c, "wrong_key_dearmor_ok", opens(v, &other, armored, n, NULL));
        if (vec_has(c, "truncated_by_one_dearmor_ok"))
            vec_eq_bool(v, c, "truncated_by_one_dearmor_ok", opens(v, &keys, armored, n - 1, NULL));
        if (vec_has(c, "without_aes_keys_dearmor_ok")) {
            /* Ours are always derived; keys that are not the right ones stand in for none. */
            zt_keys_fini(&other);
            VEC_CHECK(v, zt_keys_init(&other, keys.k) == 0);
            memset(other.k0, 0, sizeof other.k0);
            memset(other.k1, 0, sizeof other.k1);
            vec_eq_bool(v, c, "without_aes_keys_dearmor_ok", opens(v, &other, armored, n, NULL));
        }
    }
    zt_keys_fini(&keys);
    zt_keys_fini(&other);
}

/* Keys as the file gives them; the AES keys need not follow from the 48 bytes. */
static void fixed_keys(struct vec *v, json_t *c, struct zt_keys *keys)
{
    VEC_CHECK(v, zt_keys_init(keys, vec_hex_n(v, c, "key_48", ZT_SHARED_KEY)) == 0);
    if (vec_has(c, "aes_k0")) {
        memcpy(keys->k0, vec_hex_n(v, c, "aes_k0", 32), 32);
        memcpy(keys->k1, vec_hex_n(v, c, "aes_k1", 32), 32);
    }
}

int vec_armor(struct vec *v)
{
    struct zt_keys keys;
    size_t n, m;

    VEC_EACH(v, "packets", NULL, c)
    armored_packet(v, c);
    VEC_EACH(v, "fixed_keys", NULL, c)
    {
        const uint8_t *plain = vec_hex(v, c, "plain", &n), *armored = vec_hex(v, c, "armored", &m);
        fixed_keys(v, c, &keys);
        if (VEC_CHECK(v, n == m && n >= ZT_PKT_MIN)) {
            seals(v, &keys, c, plain, n);
            VEC_CHECK(v, opens(v, &keys, armored, n, plain));
        }
        zt_keys_fini(&keys);
    }
    VEC_EACH(v, "fragmented_flag", "note", c)
    {
        const uint8_t *plain = vec_hex(v, c, "plain", &n), *armored = vec_hex(v, c, "armored", &m);
        fixed_keys(v, c, &keys);
        if (VEC_CHECK(v, n == m && n >= ZT_PKT_MIN)) {
            seals(v, &keys, c, plain, n);
            vec_eq_bool(v, c, "dearmor_ok", opens(v, &keys, armored, n, plain));
            uint8_t *p = vec_alloc(v, n);
            memcpy(p, armored, n);
            p[ZT_PKT_FLAGS] &= (uint8_t)~ZT_FLAG_FRAGMENTED;
            vec_eq_bool(v, c, "dearmor_ok_with_flag_cleared_in_transit",
                        opens(v, &keys, p, n, NULL));
        }
        zt_keys_fini(&keys);
    }
    VEC_EACH(v, "not_dearmorable", NULL, c)
    {
        static const uint8_t any[ZT_SHARED_KEY] = {1};
        const uint8_t *packet = vec_hex(v, c, "packet", &n);
        uint8_t *p = vec_alloc(v, n);
        memcpy(p, packet, n);
        VEC_CHECK(v, zt_keys_init(&keys, any) == 0);
        vec_eq_int(v, c, "cipher", zt_pkt_suite(p));
        int err = zt_open(&keys, p, n);
        vec_eq_bool(v, c, "dearmor_ok", err == 0);
        VEC_CHECK(v, err == ZT_E_UNSUPPORTED);
        zt_keys_fini(&keys);
    }
    VEC_EACH(v, "crypt_field", NULL, c)
    {
        const uint8_t *before = vec_hex(v, c, "packet_before", &n);
        size_t start = (size_t)vec_int(v, c, "start"), len = (size_t)vec_int(v, c, "length");
        uint8_t *p = vec_alloc(v, n);
        memcpy(p, before, n);
        fixed_keys(v, c, &keys);
        if (VEC_CHECK(v, start + len <= n))
            zt_hello_mask(&keys, p, start + len, start);
        vec_eq_hex(v, c, "packet_after", p, n);
        VEC_CHECK(v, (vec_hex_n(v, c, "salsa_iv", 8)[7] & 7) == 0 &&
                         vec_hex_u64(v, c, "salsa_iv") == (zt_pkt_id(before) & ~7ULL));
        zt_keys_fini(&keys);
    }
    return 0;
}

/* ---- compress.json ---- */

static void round_trip(struct vec *v, json_t *c, const uint8_t *before, size_t n)
{
    uint8_t *p = vec_alloc(v, n), *out = vec_alloc(v, ZT_PKT_MAX);
    uint8_t *scratch = vec_alloc(v, ZT_PKT_MAX);

    memcpy(p, before, n);
    size_t len = zt_pkt_compress(p, n, scratch);
    bool compressed = (p[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) != 0;
    vec_eq_bool(v, c, "compressed", compressed); /* when; how well is the compressor's affair */
    if (!compressed)
        VEC_CHECK(v, len == n && memcmp(p, before, n) == 0);
    else
        VEC_CHECK(v, len < n && zt_pkt_decompress(p, len, out) == (int)n &&
                         memcmp(out, before, n) == 0);
}

static void compressed_packet(struct vec *v, json_t *c)
{
    size_t n, m;
    const uint8_t *before = vec_hex(v, c, "packet_before", &n);
    const uint8_t *after = vec_hex(v, c, "packet_after", &m);
    uint8_t *out = vec_alloc(v, ZT_PKT_MAX);

    if (!VEC_CHECK(v, n >= ZT_PKT_MIN && m >= ZT_PKT_MIN))
        return;
    vec_eq_int(v, c, "packet_size_before", (int64_t)n);
    vec_eq_int(v, c, "packet_size_after", (int64_t)m);
    vec_eq_bool(v, c, "compressed", (after[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) != 0);
    vec_eq_str(v, c, "packet_uncompressed", "same as packet_before");
    if (vec_bool(v, c, "compressed")) {
        int len = zt_pkt_decompress(after, m, out);
        vec_eq_bool(v, c, "uncompress_ok", len > 0);
        VEC_CHECK(v, len == (int)n && memcmp(out, before, n) == 0);
    }
    round_trip(v, c, before, n);
}

int vec_compress(struct vec *v)
{
    VEC_EACH(v, "packets", "kind", c)
    compressed_packet(v, c);
    VEC_EACH(v, "decode_cases", "case", c)
    {
        size_t n;
        const uint8_t *p = vec_hex(v, c, "packet", &n);
        uint8_t *out = vec_alloc(v, ZT_PKT_MAX);
        int len = zt_pkt_decompress(p, n, out);
        if (strcmp(vec_str(v, c, "case"), "offset zero") == 0) {
            VEC_CHECK(v, len == ZT_E_FORMAT); /* the reference takes it, with undefined output */
        } else {
            vec_eq_bool(v, c, "uncompress_ok", len > 0);
            if (len > 0)
                vec_eq_hex(v, c, "packet_uncompressed", out, (size_t)len);
        }
    }
    return 0;
}
