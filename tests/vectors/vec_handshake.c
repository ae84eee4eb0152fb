/* handshake.json: every datagram of a recorded exchange between three nodes, put together, opened
 * with their keys, decompressed, compared, and sealed again. What nodes do about it: vec_replay.c.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/addr.h"
#include "base/err.h"
#include "crypto/cipher.h"
#include "crypto/sign.h"
#include "vec.h"
#include "vec_identity.h"
#include "vec_replay.h"

#define NODES 3

static const struct {
    const char *name;
    uint8_t verb;
} verbs[] = {
    {"NOP", ZT_VERB_NOP},
    {"HELLO", ZT_VERB_HELLO},
    {"ERROR", ZT_VERB_ERROR},
    {"OK", ZT_VERB_OK},
    {"WHOIS", ZT_VERB_WHOIS},
    {"RENDEZVOUS", ZT_VERB_RENDEZVOUS},
    {"FRAME", ZT_VERB_FRAME},
    {"EXT_FRAME", ZT_VERB_EXT_FRAME},
    {"ECHO", ZT_VERB_ECHO},
    {"MULTICAST_LIKE", ZT_VERB_MULTICAST_LIKE},
    {"NETWORK_CREDENTIALS", ZT_VERB_NETWORK_CREDENTIALS},
    {"NETWORK_CONFIG_REQUEST", ZT_VERB_NETWORK_CONFIG_REQUEST},
    {"NETWORK_CONFIG", ZT_VERB_NETWORK_CONFIG},
    {"MULTICAST_GATHER", ZT_VERB_MULTICAST_GATHER},
    {"MULTICAST_FRAME", ZT_VERB_MULTICAST_FRAME},
    {"PUSH_DIRECT_PATHS", ZT_VERB_PUSH_DIRECT_PATHS},
    {"USER_MESSAGE", ZT_VERB_USER_MESSAGE},
};

static const char *verb_name(uint8_t verb)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (verbs[i].verb == verb)
            return verbs[i].name;
    return "?";
}

struct exchange {
    struct zt_identity nodes[NODES];
    size_t nnodes;
    uint64_t planet_id, planet_timestamp_ms;
    json_t *counts; /* as `counts` of the file, made from what we decode */

    struct {
        uint64_t id; /* as on the wire */
        uint8_t verb;
    } seen[200];
    size_t nseen;

    /* One fragmented packet at a time: the recording never has two under way. */
    uint8_t whole[ZT_PKT_MAX];
    size_t len;
    unsigned held, total;
};

static void count(struct exchange *x, const char *prefix, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    json_object_set_new(x->counts, key,
                        json_integer(json_integer_value(json_object_get(x->counts, key)) + 1));
}

static const struct zt_identity *node(const struct exchange *x, uint64_t addr)
{
    for (size_t i = 0; i < x->nnodes; i++)
        if (x->nodes[i].addr == addr)
            return &x->nodes[i];
    return NULL;
}

static void remember(struct vec *v, struct exchange *x, uint64_t id, uint8_t verb)
{
    if (VEC_CHECK(v, x->nseen < sizeof x->seen / sizeof x->seen[0])) {
        x->seen[x->nseen].id = id;
        x->seen[x->nseen++].verb = verb;
    }
}

/* An answer names a packet that went before, and its verb; but the answer to a pushed configuration
 * names ECHO (vl1.md 4.2). */
static bool answers_something(const struct exchange *x, uint64_t id, uint8_t verb)
{
    for (size_t i = 0; i < x->nseen; i++)
        if (x->seen[i].id == id)
            return x->seen[i].verb == verb ||
                   (verb == ZT_VERB_ECHO && x->seen[i].verb == ZT_VERB_NETWORK_CONFIG);
    return false;
}

/* Suite 3 encrypts the id that the sender drew, together with the tag: take it out again. */
static void drawn_id(struct vec *v, const struct zt_keys *keys, const uint8_t *wire, uint8_t id[8])
{
    uint8_t block[16], plain[32];
    int n = 0;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    memcpy(block, wire, 8);
    memcpy(block + 8, wire + ZT_PKT_MAC, 8);
    VEC_CHECK(v, c != NULL && EVP_DecryptInit_ex(c, EVP_aes_256_ecb(), NULL, keys->k1, NULL) == 1 &&
                     EVP_CIPHER_CTX_set_padding(c, 0) == 1 &&
                     EVP_DecryptUpdate(c, plain, &n, block, sizeof block) == 1 && n == 16);
    memcpy(id, plain, 8);
    EVP_CIPHER_CTX_free(c);
}

/* Once the id is drawn a sender has no choice: sealing again must give the same bytes. */
static void sealed_again(struct vec *v, struct zt_keys *keys, const uint8_t *wire,
                         const uint8_t *plain, size_t n)
{
    uint8_t p[ZT_PKT_MAX];
    unsigned suite = zt_pkt_suite(wire);
    memcpy(p, plain, n);
    if (suite == ZT_SUITE_AES)
        drawn_id(v, keys, wire, p);
    VEC_CHECK(v, zt_seal(keys, (enum zt_suite)suite, p, n) == 0);
    p[ZT_PKT_FLAGS] |= (uint8_t)zt_pkt_hops(wire);
    VEC_CHECK(v, memcmp(p, wire, n) == 0);
}

static void hello(struct vec *v, json_t *d, struct exchange *x, struct zt_keys *keys, uint8_t *p,
                  size_t n)
{
    struct zt_rd r = zt_rd(p + ZT_PKT_PAYLOAD, n - ZT_PKT_PAYLOAD);
    struct zt_identity id;
    struct zt_ep ep;

    VEC_CHECK(v, zt_rd_u8(&r) == ZT_PROTO_VERSION);
    VEC_CHECK(v, zt_rd_u8(&r) == ZT_VERSION_MAJOR && zt_rd_u8(&r) == ZT_VERSION_MINOR &&
                     zt_rd_u16(&r) == ZT_VERSION_REV);
    zt_rd_skip(&r, 8);
    zt_rd_identity(&r, &id);
    const struct zt_identity *sender = node(x, zt_pkt_src(p));
    VEC_CHECK(v, sender != NULL && zt_identity_equal(&id, sender));
    zt_rd_ep(&r, &ep);
    VEC_CHECK(v, zt_rd_u64(&r) == x->planet_id);
    VEC_CHECK(v, zt_rd_u64(&r) == x->planet_timestamp_ms);
    vec_eq_int(v, d, "hello_masked_from_payload_offset", (int64_t)r.pos);
    if (VEC_CHECK(v, !r.bad)) {
        zt_hello_mask(keys, p, n, ZT_PKT_PAYLOAD + r.pos);
        VEC_CHECK(v, zt_rd_u16(&r) == 0); /* no moons */
        VEC_CHECK(v, !r.bad && zt_rd_left(&r) == 0);
        vec_eq_hex(v, d, "payload_unmasked", p + ZT_PKT_PAYLOAD, n - ZT_PKT_PAYLOAD);
    }
}

/* A whole packet of n bytes: open, decompress, compare with the fields of `d`. */
static void packet(struct vec *v, json_t *d, struct exchange *x, const uint8_t *wire, size_t n,
                   const char *prefix)
{
    const struct zt_identity *src = node(x, zt_pkt_src(wire)), *dst = node(x, zt_pkt_dest(wire));
    uint8_t shared[ZT_SHARED_KEY], p[ZT_PKT_MAX], out[ZT_PKT_MAX];
    struct zt_keys keys;

    if (!VEC_CHECK(v, src != NULL && dst != NULL && n <= sizeof p))
        return;
    VEC_CHECK(v, zt_identity_agree(dst, src, shared) == 0);
    VEC_CHECK(v, zt_keys_init(&keys, shared) == 0);
    memcpy(p, wire, n);
    vec_eq_int(v, d, "cipher", zt_pkt_suite(wire));
    if (VEC_CHECK(v, zt_open(&keys, p, n) == 0)) {
        sealed_again(v, &keys, wire, p, n);
        bool compressed = (p[ZT_PKT_VERB] & ZT_VERB_COMPRESSED) != 0;
        vec_eq_bool(v, d, "compressed", compressed);
        if (compressed) {
            int len = zt_pkt_decompress(p, n, out);
            VEC_CHECK(v, len > 0);
            n = len > 0 ? (size_t)len : ZT_PKT_MIN;
            memcpy(p, out, n);
        }
        uint8_t verb = p[ZT_PKT_VERB] & ZT_VERB_MASK;
        vec_eq_int(v, d, "verb", verb);
        vec_eq_str(v, d, "verb_name", verb_name(verb));
        remember(v, x, zt_pkt_id(wire), verb);
        vec_eq_hex(v, d, "payload", p + ZT_PKT_PAYLOAD, n - ZT_PKT_PAYLOAD);

        const char *in_re = NULL;
        if (verb == ZT_VERB_OK || verb == ZT_VERB_ERROR) {
            struct zt_rd r = zt_rd(p + ZT_PKT_PAYLOAD, n - ZT_PKT_PAYLOAD);
            uint8_t re_verb = zt_rd_u8(&r);
            uint64_t re_id = zt_rd_u64(&r);
            in_re = verb_name(re_verb);
            vec_eq_str(v, d, "in_re_verb", in_re);
            vec_eq_u64(v, d, "in_re_packet_id", re_id);
            VEC_CHECK(v, answers_something(x, re_id, re_verb));
            if (verb == ZT_VERB_ERROR)
                vec_eq_int(v, d, "error_code", zt_rd_u8(&r));
            VEC_CHECK(v, !r.bad);
        }
        char name[64];
        /* The file counts a reassembled answer as OK, without what it answers. */
        if (in_re != NULL && prefix[0] == 0)
            snprintf(name, sizeof name, "%s(%s)", verb_name(verb), in_re);
        else
            snprintf(name, sizeof name, "%s", verb_name(verb));
        count(x, prefix, name);
        if (verb == ZT_VERB_HELLO)
            hello(v, d, x, &keys, p, n);
    }
    zt_keys_fini(&keys);
}

static void fragment(struct vec *v, json_t *d, struct exchange *x, const uint8_t *p, size_t n)
{
    unsigned total = p[ZT_FRAG_TOTAL_NO] >> 4, no = p[ZT_FRAG_TOTAL_NO] & 15;
    uint8_t header[ZT_FRAG_DATA];

    vec_eq_int(v, d, "fragment_total", total);
    vec_eq_int(v, d, "fragment_no", no);
    vec_eq_int(v, d, "hops", p[ZT_FRAG_HOPS]);
    if (!VEC_CHECK(v, x->held > 0 && no == x->held && total <= ZT_FRAGS_MAX && no < total) ||
        !VEC_CHECK(v, x->len + n - ZT_FRAG_DATA <= sizeof x->whole))
        return;
    zt_frag_header(x->whole, total, no, header);
    header[ZT_FRAG_HOPS] = p[ZT_FRAG_HOPS];
    VEC_CHECK(v, memcmp(header, p, sizeof header) == 0);
    memcpy(x->whole + x->len, p + ZT_FRAG_DATA, n - ZT_FRAG_DATA);
    x->len += n - ZT_FRAG_DATA;
    x->held++;
    vec_check(v, vec_has(d, "reassembled") == (x->held == total), "complete when the file says so");
    if (x->held == total) {
        json_t *whole = vec_field(v, d, "reassembled");
        vec_eq_int(v, whole, "size", (int64_t)x->len);
        packet(v, whole, x, x->whole, x->len, "reassembled ");
        x->held = 0;
    }
}

static void datagram(struct vec *v, json_t *d, struct exchange *x)
{
    size_t n;
    const uint8_t *p = vec_hex(v, d, "datagram", &n);
    const char *kind = vec_str(v, d, "kind");

    vec_eq_int(v, d, "length", (int64_t)n);
    if (n <= 16) {
        VEC_CHECK(v, strcmp(kind, "short") == 0);
        count(x, "", "short");
        return;
    }
    vec_eq_u64(v, d, "packet_id", zt_pkt_id(p));
    vec_eq_u64(v, d, "destination", zt_pkt_dest(p));
    if (p[ZT_FRAG_INDICATOR_AT] == ZT_FRAG_INDICATOR) {
        VEC_CHECK(v, strcmp(kind, "fragment") == 0);
        fragment(v, d, x, p, n);
        return;
    }
    VEC_CHECK(v, strcmp(kind, "packet") == 0 && n >= ZT_PKT_MIN);
    vec_eq_u64(v, d, "source", zt_pkt_src(p));
    vec_eq_int(v, d, "hops", zt_pkt_hops(p));
    bool fragmented = (p[ZT_PKT_FLAGS] & ZT_FLAG_FRAGMENTED) != 0;
    vec_eq_bool(v, d, "fragmented", fragmented);
    if (!fragmented) {
        packet(v, d, x, p, n, "");
        return;
    }
    VEC_CHECK(v, x->held == 0 && n <= sizeof x->whole);
    vec_eq_int(v, d, "cipher", zt_pkt_suite(p));
    memcpy(x->whole, p, n);
    x->len = n;
    x->held = 1;
    count(x, "", "packet");
}

static void planet(struct vec *v, struct exchange *x)
{
    struct zt_world w;
    size_t n;
    const uint8_t *p = vec_hex(v, v->root, "planet", &n);
    struct zt_rd r = zt_rd(p, n);

    zt_rd_world(&r, &w);
    VEC_CHECK(v, !r.bad && r.pos == n && w.type == ZT_WORLD_PLANET && w.nroots == 1);
    VEC_CHECK(v, zt_identity_equal(&w.roots[0].id, &x->nodes[0])); /* R is first */
    VEC_CHECK(v, zt_world_verify(&w, w.update_key));
    vec_eq_hex(v, vec_field(v, v->root, "planet_signing_key"), "public_key", w.update_key, ZT_PUB);
    x->planet_id = w.id;
    x->planet_timestamp_ms = w.timestamp_ms;
}

int vec_handshake(struct vec *v)
{
    static const struct exchange none;
    struct exchange x = none;

    x.counts = json_object();
    VEC_EACH(v, "nodes", "name", c)
    {
        if (!VEC_CHECK(v, x.nnodes < NODES))
            break;
        struct zt_identity *id = &x.nodes[x.nnodes++];
        if (vec_identity_field(v, c, "secret_string", id)) {
            vec_eq_u64(v, c, "address", id->addr);
            VEC_CHECK(v, zt_identity_validate(id));
        }
    }
    vec_case(v, "planet", 0, NULL);
    planet(v, &x);
    VEC_EACH(v, "datagrams", "verb_name", d)
    datagram(v, d, &x);
    vec_case(v, "counts", 0, NULL);
    if (!VEC_CHECK(v, json_equal(x.counts, vec_field(v, v->root, "counts")))) {
        json_dumpf(x.counts, stdout, JSON_SORT_KEYS);
        putchar('\n');
    }
    VEC_CHECK(v, x.held == 0);
    vec_end(v);
    json_decref(x.counts);
    vec_replay(v);
    return 0;
}
