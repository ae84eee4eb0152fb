/* netconf.json: network configurations, the chunks they travel in, and ad-hoc ones. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "vec.h"
#include "vl2/assembly.h"
#include "vl2/config.h"
#include "wire/netconf.h"

static bool same_ep(struct vec *v, const char *text, const struct zt_ep *ep)
{
    struct zt_ep want = {0};
    if (text == NULL || (*text != 0 && zt_ep_parse(text, &want) != 0))
        return VEC_CHECK(v, text != NULL);
    return VEC_CHECK(v, zt_ep_equal(&want, ep));
}

static void spans(struct vec *v, json_t *f, const char *field, const struct zt_span *s, unsigned n)
{
    json_t *list = vec_field(v, f, field);
    if (!VEC_CHECK(v, json_array_size(list) == n))
        return;
    for (unsigned i = 0; i < n; i++) {
        size_t len;
        const uint8_t *p = vec_unhex(v, json_string_value(json_array_get(list, i)), &len);
        VEC_CHECK(v, len == s[i].n && memcmp(p, s[i].p, len) == 0);
    }
}

static void lists(struct vec *v, json_t *f, const struct zt_netconf *c)
{
    json_t *list = vec_field(v, f, "routes"), *one;
    size_t i;

    VEC_CHECK(v, json_array_size(list) == c->nroutes);
    for (i = 0; i < c->nroutes && (one = json_array_get(list, i)) != NULL; i++) {
        same_ep(v, vec_str(v, one, "target"), &c->routes[i].target);
        same_ep(v, vec_str(v, one, "via"), &c->routes[i].via);
        vec_eq_int(v, one, "flags", c->routes[i].flags);
        vec_eq_int(v, one, "metric", c->routes[i].metric);
    }
    list = vec_field(v, f, "static_ips");
    VEC_CHECK(v, json_array_size(list) == c->naddrs);
    for (i = 0; i < c->naddrs; i++)
        same_ep(v, json_string_value(json_array_get(list, i)), &c->addrs[i]);
    list = vec_field(v, f, "specialists");
    VEC_CHECK(v, json_array_size(list) == c->nspecialists);
    for (i = 0; i < c->nspecialists; i++) {
        uint64_t want = 0;
        zt_hex_parse_u64(json_string_value(json_array_get(list, i)), 16, &want);
        VEC_CHECK(v, want == c->specialists[i]);
    }
    list = vec_field(v, f, "dns_servers");
    for (i = 0; i < ZT_NETCONF_DNS; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        same_ep(v, text != NULL ? text : "", &c->dns[i]);
    }
}

static void fields(struct vec *v, json_t *f, const struct zt_netconf *c)
{
    vec_eq_u64(v, f, "network_id", c->nwid);
    vec_eq_int(v, f, "timestamp", c->timestamp);
    vec_eq_int(v, f, "credential_time_max_delta", c->max_delta);
    vec_eq_int(v, f, "revision", (int64_t)c->revision);
    VEC_CHECK(v, zt_be40(vec_hex_n(v, f, "issued_to", 5)) == c->issued_to);
    VEC_CHECK(v, zt_be40(vec_hex_n(v, f, "remote_trace_target", 5)) == c->trace_target);
    vec_eq_int(v, f, "remote_trace_level", (int64_t)c->trace_level);
    vec_eq_u64(v, f, "flags", c->flags);
    vec_eq_int(v, f, "multicast_limit", c->multicast_limit);
    vec_eq_int(v, f, "type", c->is_public);
    vec_eq_str(v, f, "name", c->name);
    vec_eq_int(v, f, "mtu", c->mtu);
    vec_eq_int(v, f, "rule_count", c->nrules);
    vec_eq_hex(v, f, "rules", c->rules.p, c->rules.n);
    vec_eq_str(v, f, "dns_domain", c->dns_domain);
    vec_eq_int(v, f, "sso_version", c->sso_version);
    vec_eq_bool(v, f, "sso_enabled", c->sso_enabled);
    spans(v, f, "capabilities", c->caps, c->ncaps);
    spans(v, f, "tags", c->tags, c->ntags);
    spans(v, f, "certificates_of_ownership", c->coos, c->ncoos);
    lists(v, f, c);
    VEC_CHECK(v, c->has_com == vec_has(f, "com"));
    if (c->has_com) {
        uint8_t bytes[ZT_COM_MAX];
        struct zt_wr w = zt_wr(bytes, sizeof bytes);
        zt_wr_com(&w, &c->com);
        vec_eq_hex(v, f, "com", bytes, w.n);
    }
}

static void config(struct vec *v, json_t *c)
{
    size_t n;
    const uint8_t *dict = vec_hex(v, c, "dictionary", &n);
    uint8_t *arena = (uint8_t *)vec_alloc(v, n + 1), *bytes = (uint8_t *)vec_alloc(v, n);
    struct zt_netconf conf;

    vec_eq_int(v, c, "dictionary_length", (int64_t)n);
    vec_eq_bool(v, c, "parses", zt_netconf_decode(dict, n, arena, &conf) == 0);
    fields(v, vec_field(v, c, "fields"), &conf);
    struct zt_wr w = zt_wr(bytes, n);
    VEC_CHECK(v, zt_netconf_encode(&conf, &w) == 0);
    vec_eq_hex(v, c, "dictionary", bytes, w.n);
    w = zt_wr(bytes, n - 1);
    VEC_CHECK(v, zt_netconf_encode(&conf, &w) == ZT_E_SPACE);
    for (size_t i = 0; i < n; i++) /* cut: refused or not, but within its bytes */
        zt_netconf_decode(dict, i, arena, &conf);
}

static void parse(struct vec *v, json_t *c)
{
    size_t n;
    const uint8_t *dict = vec_hex(v, c, "dictionary", &n);
    uint8_t *arena = (uint8_t *)vec_alloc(v, n + 1);
    struct zt_netconf conf;
    bool ok = zt_netconf_decode(dict, n, arena, &conf) == 0;

    if (!vec_eq_bool(v, c, "parses", ok) || !ok)
        return;
    vec_eq_int(v, c, "mtu", conf.mtu);
    vec_eq_int(v, c, "type", conf.is_public);
    vec_eq_u64(v, c, "flags", conf.flags);
    vec_eq_int(v, c, "rule_count", conf.nrules);
    vec_eq_int(v, c, "route_count", conf.nroutes);
    vec_eq_int(v, c, "static_ip_count", conf.naddrs);
    vec_eq_int(v, c, "tag_count", conf.ntags);
    vec_eq_int(v, c, "multicast_limit", conf.multicast_limit);
    vec_eq_str(v, c, "name", conf.name);
}

/* ---- chunks ---- */

struct piece {
    uint8_t *p;
    size_t n;
};

static bool verified(const struct zt_chunk *chunk, const struct zt_identity *controller)
{
    return zt_identity_verify(controller->pub, chunk->text.p, chunk->text.n, chunk->sig);
}

/* Every field of a chunk; writes it again byte for byte. */
static struct piece chunk(struct vec *v, json_t *c, const struct zt_identity *controller)
{
    size_t n, start = (size_t)vec_int(v, c, "chunk_start_in_payload");
    const uint8_t *payload = vec_hex(v, c, "payload", &n);
    struct piece piece = {(uint8_t *)vec_alloc(v, n), n - start};
    struct zt_chunk k;
    uint8_t sig[ZT_SIG];

    memcpy(piece.p, payload + start, n - start);
    if (!VEC_CHECK(v, zt_chunk_decode(piece.p, piece.n, &k) == 0))
        return piece;
    vec_eq_int(v, c, "chunk_length", (int64_t)k.data.n);
    vec_eq_int(v, c, "flags", k.flags);
    vec_eq_u64(v, c, "config_update_id", k.update_id);
    vec_eq_int(v, c, "total_length", k.total);
    vec_eq_int(v, c, "chunk_index", k.offset);
    vec_eq_int(v, c, "signed_length", (int64_t)k.text.n);
    vec_eq_hex(v, c, "signature", k.sig, ZT_SIG);
    vec_eq_bool(v, c, "signature_ok", verified(&k, controller));

    uint8_t *again = (uint8_t *)vec_alloc(v, piece.n);
    struct zt_wr w = zt_wr(again, piece.n);
    zt_wr_chunk_text(&w, k.nwid, k.data.p, k.data.n, k.flags, k.update_id, k.total, k.offset);
    zt_identity_sign(controller, again, w.n, sig);
    zt_wr_chunk_sig(&w, sig);
    VEC_CHECK(v, !w.bad && w.n == piece.n && memcmp(again, piece.p, piece.n) == 0);
    for (size_t i = 0; i < piece.n; i++) { /* cut exactly after the data it is a legacy one */
        struct zt_chunk cut;
        bool ok = zt_chunk_decode(piece.p, i, &cut) == 0;
        VEC_CHECK(v, ok == (i == 10 + k.data.n) && (!ok || cut.is_legacy));
    }
    return piece;
}

static void feed(struct vec *v, json_t *c, json_t *step, const struct piece *pieces,
                 const struct zt_identity *controller)
{
    json_t *order = vec_field(v, step, "order");
    json_t *complete = vec_field(v, step, "completes_at_each_step");
    int64_t tampered = vec_int(v, step, "tampered_chunk");
    struct zt_assembly a = {0};
    bool accepted = false;

    for (size_t i = 0; i < json_array_size(order); i++) {
        json_int_t which = json_integer_value(json_array_get(order, i));
        const struct piece *p = &pieces[which];
        uint8_t *copy = (uint8_t *)vec_alloc(v, p->n), *dict = NULL;
        struct zt_chunk k;
        int r = 0;

        memcpy(copy, p->p, p->n);
        if (which == tampered)
            copy[100] ^= 1;
        VEC_CHECK(v, zt_chunk_decode(copy, p->n, &k) == 0);
        if (!zt_assembly_has(&a, &k) && verified(&k, controller))
            r = zt_assembly_add(&a, &k, &dict);
        VEC_CHECK(v, (r == 1) == (json_integer_value(json_array_get(complete, i)) == 1));
        if (r != 1)
            continue;
        uint8_t hash[crypto_hash_sha512_BYTES], *arena = (uint8_t *)vec_alloc(v, k.total + 1u);
        struct zt_netconf conf;
        crypto_hash_sha512(hash, dict, k.total);
        vec_eq_hex(v, c, "dictionary_sha512", hash, sizeof hash);
        accepted = zt_netconf_decode(dict, k.total, arena, &conf) == 0;
        VEC_CHECK(v, conf.nwid == vec_hex_u64(v, c, "member_in_network"));
        free(dict);
    }
    vec_eq_bool(v, step, "accepted", accepted);
    zt_assembly_fini(&a);
}

static void chunked(struct vec *v, json_t *c, const struct zt_identity *controller)
{
    json_t *chunks = vec_field(v, c, "chunks"), *steps = vec_field(v, c, "reassembly"), *one;
    struct piece pieces[16];
    size_t i, n = json_array_size(chunks);
    int64_t total = 0;

    if (!VEC_CHECK(v, n > 0 && n <= 16))
        return;
    json_array_foreach(chunks, i, one)
    {
        total += vec_int(v, one, "chunk_length");
        if (vec_has(one, "payload"))
            pieces[i] = chunk(v, one, controller);
    }
    vec_eq_int(v, c, "dictionary_length", total);
    if (!vec_has(json_array_get(chunks, 0), "payload"))
        return; /* recorded without its bytes */
    json_array_foreach(steps, i, one) feed(v, c, one, pieces, controller);
}

static void ad_hoc(struct vec *v, json_t *c)
{
    struct zt_netconf conf;
    uint8_t rules[ZT_ADHOC_RULES], bytes[2048];
    int r = zt_adhoc_config(vec_hex_u64(v, c, "nwid"), zt_be40(vec_hex_n(v, c, "node_address", 5)),
                            vec_int(v, c, "now_ms"), rules, &conf);

    vec_eq_bool(v, c, "configured", r == 0);
    int64_t status = r == 0 ? ZT_NET_OK : r == ZT_E_NOENT ? ZT_NET_NOT_FOUND : 0;
    vec_eq_int(v, c, "status", status);
    if (r != 0)
        return;
    fields(v, vec_field(v, c, "fields"), &conf);
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    VEC_CHECK(v, zt_netconf_encode(&conf, &w) == 0);
    vec_eq_hex(v, c, "dictionary", bytes, w.n);
}

int vec_netconf(struct vec *v)
{
    const char *secret = json_string_value(json_object_get(v->root, "controller_secret_string"));
    struct zt_identity controller;

    if (secret == NULL || zt_identity_parse(secret, strlen(secret), &controller) != 0)
        return -1;
    VEC_EACH(v, "configs", "case", c)
    config(v, c);
    VEC_EACH(v, "parse_cases", "case", c)
    parse(v, c);
    VEC_EACH(v, "chunked", "case", c)
    chunked(v, c, &controller);
    VEC_EACH(v, "ad_hoc", "nwid", c)
    ad_hoc(v, c);
    return 0;
}
