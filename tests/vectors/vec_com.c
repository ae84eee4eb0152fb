/* com.json: certificates of membership, tags, capabilities, ownership, revocations. */
#include <string.h>

#include "crypto/identity.h"
#include "vec.h"
#include "vec_identity.h"
#include "vl2/member.h"

struct keys {
    struct zt_identity controller, member_a;
    uint64_t member_a_mac;
};

static uint64_t addr_field(struct vec *v, json_t *c, const char *field)
{
    return zt_be40(vec_hex_n(v, c, field, 5));
}

static void com(struct vec *v, json_t *c, const struct keys *k)
{
    json_t *list = vec_field(v, c, "qualifiers"), *q;
    struct zt_com com, back;
    uint8_t bytes[ZT_COM_MAX];
    size_t i, n;

    memset(&com, 0, sizeof com);
    if (!VEC_CHECK(v, json_array_size(list) <= ZT_COM_TUPLES))
        return;
    json_array_foreach(list, i, q)
    {
        com.t[i].id = (uint64_t)vec_int(v, q, "id");
        com.t[i].value = vec_hex_u64(v, q, "value");
        com.t[i].max_delta = vec_hex_u64(v, q, "max_delta");
        com.n++;
    }
    com.signed_by = addr_field(v, c, "signed_by");
    vec_eq_int(v, c, "timestamp", (int64_t)zt_com_value(&com, ZT_COM_TIMESTAMP));
    vec_eq_u64(v, c, "network_id", zt_com_value(&com, ZT_COM_NWID));
    VEC_CHECK(v, zt_com_value(&com, ZT_COM_ISSUED_TO) == addr_field(v, c, "issued_to"));

    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_com_signed(&w, &com);
    vec_eq_hex(v, c, "signed_message", bytes, w.n);
    if (com.signed_by != 0) {
        zt_identity_sign(&k->controller, bytes, w.n, com.sig);
        vec_eq_hex(v, c, "signature", com.sig, sizeof com.sig);
    }
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_com(&w, &com);
    vec_eq_hex(v, c, "serialized", bytes, w.n);

    const uint8_t *p = vec_hex(v, c, "serialized", &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_com(&r, &back);
    VEC_CHECK(v, !r.bad && memcmp(&com, &back, sizeof com) == 0);
    vec_eq_int(v, c, "deserialized_bytes", (int64_t)r.pos);
    VEC_CHECK(v, zt_com_verify(&back, &k->controller) == (com.signed_by != 0));
    for (i = 0; i < n; i++) {
        r = zt_rd(p, i);
        zt_rd_com(&r, &back);
        VEC_CHECK(v, r.bad);
    }
}

static void com_deserialize(struct vec *v, json_t *c)
{
    struct zt_com com;
    size_t n;
    const uint8_t *p = vec_hex(v, c, "bytes", &n);
    struct zt_rd r = zt_rd(p, n);

    zt_rd_com(&r, &com);
    vec_eq_bool(v, c, "ok", !r.bad);
    if (vec_has(c, "bytes_used"))
        vec_eq_int(v, c, "bytes_used", (int64_t)r.pos);
}

static struct zt_com com_field(struct vec *v, json_t *c, const char *field)
{
    struct zt_com com;
    size_t n;
    const uint8_t *p = vec_hex(v, c, field, &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_com(&r, &com);
    VEC_CHECK(v, !r.bad);
    return com;
}

static void agrees(struct vec *v, json_t *c)
{
    struct zt_com mine = com_field(v, c, "mine"), other = com_field(v, c, "other");
    struct zt_identity id;
    uint8_t fingerprint[48];

    if (!vec_identity_field(v, c, "other_identity", &id))
        return;
    zt_identity_fingerprint(&id, fingerprint);
    vec_eq_bool(v, c, "agrees", zt_com_agrees(&mine, &other, fingerprint));
}

static void tag(struct vec *v, json_t *c, const struct keys *k)
{
    struct zt_tag tag, back;
    uint8_t bytes[512];
    size_t n;

    memset(&tag, 0, sizeof tag);
    tag.nwid = vec_hex_u64(v, c, "network_id");
    tag.timestamp = vec_int(v, c, "timestamp");
    tag.id = (uint32_t)vec_int(v, c, "id");
    tag.value = (uint32_t)vec_int(v, c, "value");
    tag.issued_to = addr_field(v, c, "issued_to");
    tag.signed_by = addr_field(v, c, "signed_by");
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_tag_signed(&w, &tag);
    vec_eq_hex(v, c, "signed_message", bytes, w.n);
    zt_identity_sign(&k->controller, bytes, w.n, tag.sig);
    vec_eq_hex(v, c, "signature", tag.sig, sizeof tag.sig);
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_tag(&w, &tag);
    vec_eq_hex(v, c, "serialized", bytes, w.n);

    const uint8_t *p = vec_hex(v, c, "serialized", &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_tag(&r, &back);
    VEC_CHECK(v, !r.bad && r.pos == n && n == ZT_TAG_WIRE && back.has_sig);
    VEC_CHECK(v, zt_tag_verify(&back, &k->controller));
    back.value++;
    VEC_CHECK(v, !zt_tag_verify(&back, &k->controller));
    for (size_t i = 0; i < n; i++) {
        r = zt_rd(p, i);
        zt_rd_tag(&r, &back);
        VEC_CHECK(v, r.bad);
    }
}

static const struct zt_identity *known(void *user, uint64_t addr)
{
    const struct keys *k = (const struct keys *)user;
    if (addr == k->controller.addr)
        return &k->controller;
    return addr == k->member_a.addr ? &k->member_a : NULL;
}

static void capability(struct vec *v, json_t *c, const struct keys *k)
{
    struct zt_cap cap, back;
    json_t *custody = vec_field(v, c, "custody"), *link;
    uint8_t bytes[2048];
    size_t i, n;

    memset(&cap, 0, sizeof cap);
    cap.nwid = vec_hex_u64(v, c, "network_id");
    cap.timestamp = vec_int(v, c, "timestamp");
    cap.id = (uint32_t)vec_int(v, c, "id");
    cap.nrules = (unsigned)vec_int(v, c, "rule_count");
    cap.rules = vec_hex(v, c, "rules", &cap.rules_size);
    cap.max_chain = (uint8_t)vec_int(v, c, "max_custody_chain_length");
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_cap_signed(&w, &cap);
    vec_eq_hex(v, c, "signed_message", bytes, w.n);
    json_array_foreach(custody, i, link)
    {
        const struct zt_identity *from = i == 0 ? &k->controller : &k->member_a;
        cap.chain[i].to = addr_field(v, link, "to");
        cap.chain[i].from = addr_field(v, link, "from");
        cap.chain[i].has_sig = true;
        VEC_CHECK(v, cap.chain[i].from == from->addr);
        zt_identity_sign(from, bytes, w.n, cap.chain[i].sig);
        vec_eq_hex(v, link, "signature", cap.chain[i].sig, ZT_SIG);
        cap.nlinks++;
    }
    VEC_CHECK(v, zt_cap_issued_to(&cap) == addr_field(v, c, "issued_to"));
    const char *field =
        vec_has(c, "serialized_second_holder") ? "serialized_second_holder" : "serialized";
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_cap(&w, &cap);
    vec_eq_hex(v, c, field, bytes, w.n);

    const uint8_t *p = vec_hex(v, c, field, &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_cap(&r, &back);
    VEC_CHECK(v, !r.bad);
    vec_eq_int(v, c, "deserialized_bytes", (int64_t)r.pos);
    VEC_CHECK(v, zt_cap_verify(&back, known, (void *)k) == ZT_ACCEPT_NEW);
    back.timestamp++;
    VEC_CHECK(v, zt_cap_verify(&back, known, (void *)k) == ZT_ACCEPT_REJECTED);
    for (i = 0; i < n; i++) {
        r = zt_rd(p, i);
        zt_rd_cap(&r, &back);
        VEC_CHECK(v, r.bad);
    }
}

static void ownership(struct vec *v, json_t *c, const struct keys *k)
{
    struct zt_coo coo, back;
    json_t *things = vec_field(v, c, "things"), *thing;
    uint8_t bytes[ZT_CRED_TEXT_MAX + ZT_SIG], mac[6];
    size_t i, n;

    memset(&coo, 0, sizeof coo);
    coo.nwid = vec_hex_u64(v, c, "network_id");
    coo.timestamp = vec_int(v, c, "timestamp");
    coo.flags = vec_hex_u64(v, c, "flags");
    coo.id = (uint32_t)vec_int(v, c, "id");
    json_array_foreach(things, i, thing)
    {
        coo.thing[i].type = (uint8_t)vec_int(v, thing, "type");
        memcpy(coo.thing[i].value, vec_hex_n(v, thing, "value_16", 16), 16);
        coo.n++;
    }
    coo.issued_to = addr_field(v, c, "issued_to");
    coo.signed_by = addr_field(v, c, "signed_by");
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_coo_signed(&w, &coo);
    vec_eq_hex(v, c, "signed_message", bytes, w.n);
    zt_identity_sign(&k->controller, bytes, w.n, coo.sig);
    vec_eq_hex(v, c, "signature", coo.sig, sizeof coo.sig);
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_coo(&w, &coo);
    vec_eq_hex(v, c, "serialized", bytes, w.n);

    const uint8_t *p = vec_hex(v, c, "serialized", &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_coo(&r, &back);
    VEC_CHECK(v, !r.bad && r.pos == n && zt_coo_verify(&back, &k->controller));
    zt_put48(mac, k->member_a_mac);
    static const uint8_t fd77[16] = {0xfd, [15] = 0x77};
    vec_eq_bool(v, c, "owns_10_1_2_3",
                zt_coo_owns(&back, ZT_THING_IPV4, (const uint8_t *)"\x0a\x01\x02\x03"));
    vec_eq_bool(v, c, "owns_10_1_2_4",
                zt_coo_owns(&back, ZT_THING_IPV4, (const uint8_t *)"\x0a\x01\x02\x04"));
    vec_eq_bool(v, c, "owns_fd00__77", zt_coo_owns(&back, ZT_THING_IPV6, fd77));
    vec_eq_bool(v, c, "owns_member_mac", zt_coo_owns(&back, ZT_THING_MAC, mac));
    back.timestamp++;
    VEC_CHECK(v, !zt_coo_verify(&back, &k->controller));
    for (i = 0; i < n; i++) {
        r = zt_rd(p, i);
        zt_rd_coo(&r, &back);
        VEC_CHECK(v, r.bad);
    }
}

static void revocation(struct vec *v, json_t *c, const struct keys *k)
{
    struct zt_revocation rev, back;
    uint8_t bytes[512];
    size_t n;

    memset(&rev, 0, sizeof rev);
    rev.id = (uint32_t)vec_int(v, c, "id");
    rev.nwid = vec_hex_u64(v, c, "network_id");
    rev.credential_id = (uint32_t)vec_int(v, c, "credential_id");
    rev.threshold = vec_int(v, c, "threshold");
    rev.flags = vec_hex_u64(v, c, "flags");
    rev.target = addr_field(v, c, "target");
    rev.signed_by = addr_field(v, c, "signed_by");
    rev.type = (uint8_t)vec_int(v, c, "credential_type");
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    zt_wr_revocation_signed(&w, &rev);
    vec_eq_hex(v, c, "signed_message", bytes, w.n);
    zt_identity_sign(&k->controller, bytes, w.n, rev.sig);
    vec_eq_hex(v, c, "signature", rev.sig, sizeof rev.sig);
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_revocation(&w, &rev);
    vec_eq_hex(v, c, "serialized", bytes, w.n);

    const uint8_t *p = vec_hex(v, c, "serialized", &n);
    struct zt_rd r = zt_rd(p, n);
    zt_rd_revocation(&r, &back);
    VEC_CHECK(v, !r.bad && r.pos == n && n == ZT_REVOCATION_WIRE);
    VEC_CHECK(v, zt_revocation_verify(&back, &k->controller));
    back.threshold++;
    VEC_CHECK(v, !zt_revocation_verify(&back, &k->controller));
    for (size_t i = 0; i < n; i++) {
        r = zt_rd(p, i);
        zt_rd_revocation(&r, &back);
        VEC_CHECK(v, r.bad);
    }
}

int vec_com(struct vec *v)
{
    struct keys k = {0};
    json_t *caps = json_object_get(v->root, "capabilities");
    const char *secret = json_string_value(
        json_object_get(json_array_get(caps, 2), "second_holder_signed_by_secret_string"));
    const char *controller =
        json_string_value(json_object_get(v->root, "controller_secret_string"));
    const char *nwid = json_string_value(json_object_get(v->root, "nwid"));
    uint64_t net;

    if (secret == NULL || controller == NULL || nwid == NULL ||
        zt_identity_parse(secret, strlen(secret), &k.member_a) != 0 ||
        zt_identity_parse(controller, strlen(controller), &k.controller) != 0 ||
        zt_hex_parse_u64(nwid, 16, &net) != 0)
        return -1;
    k.member_a_mac = zt_mac_of(k.member_a.addr, net);

    VEC_EACH(v, "com", "case", c)
    com(v, c, &k);
    VEC_EACH(v, "com_deserialize", "case", c)
    com_deserialize(v, c);
    VEC_EACH(v, "com_verify", "case", c)
    {
        struct zt_com one = com_field(v, c, "serialized");
        vec_eq_bool(v, c, "valid", zt_com_verify(&one, &k.controller));
    }
    VEC_EACH(v, "agrees_with", "case", c)
    agrees(v, c);
    VEC_EACH(v, "tags", NULL, c)
    tag(v, c, &k);
    VEC_EACH(v, "capabilities", NULL, c)
    capability(v, c, &k);
    VEC_EACH(v, "ownership", NULL, c)
    ownership(v, c, &k);
    VEC_EACH(v, "revocations", NULL, c)
    revocation(v, c, &k);
    return 0;
}
