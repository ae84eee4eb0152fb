#include "wire/netconf.h"

#include "base/addr.h"
#include "base/err.h"
#include "wire/packet.h"

/* ---- reading ---- */

struct reader {
    const uint8_t *dict;
    size_t n;
    uint8_t *arena;
    size_t left;
};

/* The value of a key, kept in the arena. Unescaping never makes a value longer and each entry has
 * its key and '=' on top, so the arena suffices even with the zero bytes that are added; a key that
 * several fields would read does not exist. */
static struct zt_span take(struct reader *r, const char *key)
{
    int len = zt_dict_get(r->dict, r->n, key, r->arena, r->left);
    if (len <= 0)
        return (struct zt_span){r->arena, 0};
    struct zt_span s = {r->arena, (size_t)len};
    r->arena += len + 1;
    r->left -= (size_t)len + 1;
    return s;
}

static void take_text(struct reader *r, const char *key, size_t cap, struct zt_span *out)
{
    *out = take(r, key);
    if (out->n > cap - 1)
        out->n = cap - 1;
}

static int read_com(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "C");
    if (s.n == 0)
        return 0;
    struct zt_rd rd = zt_rd(s.p, s.n);
    zt_rd_com(&rd, &out->com);
    out->has_com = !rd.bad;
    return rd.bad ? ZT_E_FORMAT : 0;
}

/* Sorted insertion by the id, which is the u32 at offset 16 of a capability and of a tag. */
static void insert_by_id(struct zt_span *list, unsigned *n, struct zt_span s)
{
    unsigned i = *n;
    while (i > 0 && zt_be32(list[i - 1].p + 16) > zt_be32(s.p + 16)) {
        list[i] = list[i - 1];
        i--;
    }
    list[i] = s;
    (*n)++;
}

static void read_caps(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "CAP");
    struct zt_rd rd = zt_rd(s.p, s.n);
    while (zt_rd_left(&rd) > 0 && out->ncaps < ZT_NETCONF_CAPS) {
        struct zt_cap cap;
        size_t at = rd.pos;
        zt_rd_cap(&rd, &cap);
        if (rd.bad)
            return;
        insert_by_id(out->caps, &out->ncaps, (struct zt_span){s.p + at, rd.pos - at});
    }
}

static void read_tags(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "TAG");
    struct zt_rd rd = zt_rd(s.p, s.n);
    while (zt_rd_left(&rd) > 0 && out->ntags < ZT_NETCONF_TAGS) {
        struct zt_tag tag;
        size_t at = rd.pos;
        zt_rd_tag(&rd, &tag);
        if (rd.bad)
            return;
        insert_by_id(out->tags, &out->ntags, (struct zt_span){s.p + at, rd.pos - at});
    }
}

static int read_coos(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "COO");
    struct zt_rd rd = zt_rd(s.p, s.n);
    while (zt_rd_left(&rd) > 0) {
        struct zt_coo coo;
        size_t at = rd.pos;
        zt_rd_coo(&rd, &coo);
        if (rd.bad)
            return ZT_E_FORMAT;
        if (out->ncoos < ZT_NETCONF_COOS)
            out->coos[out->ncoos++] = (struct zt_span){s.p + at, rd.pos - at};
    }
    return 0;
}

static void read_specialists(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "S");
    struct zt_rd rd = zt_rd(s.p, s.n);
    while (zt_rd_left(&rd) >= 8 && out->nspecialists < ZT_NETCONF_SPECIALISTS)
        out->specialists[out->nspecialists++] = zt_rd_u64(&rd);
}

static int read_routes(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "RT");
    struct zt_rd rd = zt_rd(s.p, s.n);
    while (zt_rd_left(&rd) > 0) {
        struct zt_route route;
        zt_rd_ep(&rd, &route.target);
        zt_rd_ep(&rd, &route.via);
        route.flags = zt_rd_u16(&rd);
        route.metric = zt_rd_u16(&rd);
        if (rd.bad)
            return ZT_E_FORMAT;
        if (out->nroutes < ZT_NETCONF_ROUTES)
            out->routes[out->nroutes++] = route;
    }
    return 0;
}

static int read_addrs(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "I");
    struct zt_rd rd = zt_rd(s.p, s.n);
    while (zt_rd_left(&rd) > 0) {
        struct zt_ep ep;
        zt_rd_ep(&rd, &ep);
        if (rd.bad)
            return ZT_E_FORMAT;
        if (out->naddrs < ZT_NETCONF_ADDRS)
            out->addrs[out->naddrs++] = ep;
    }
    return 0;
}

static int read_rules(struct reader *r, struct zt_netconf *out)
{
    out->rules = take(r, "R");
    int n = zt_rules_decode(out->rules.p, out->rules.n, NULL, ZT_RULES_MAX);
    if (n < 0)
        return n;
    out->nrules = (unsigned)n;
    return 0;
}

static int read_dns(struct reader *r, struct zt_netconf *out)
{
    struct zt_span s = take(r, "DNS");
    if (s.n == 0)
        return 0;
    struct zt_rd rd = zt_rd(s.p, s.n);
    zt_rd_bytes(&rd, out->dns_domain, sizeof out->dns_domain);
    out->dns_domain[sizeof out->dns_domain - 1] = 0;
    for (unsigned i = 0; i < ZT_NETCONF_DNS; i++)
        zt_rd_ep(&rd, &out->dns[i]);
    return rd.bad ? ZT_E_FORMAT : 0;
}

static void read_sso(struct reader *r, struct zt_netconf *out)
{
    out->sso_version = (unsigned)zt_dict_u64(r->dict, r->n, "ssov", 0);
    out->sso_enabled = zt_dict_bool(r->dict, r->n, "ssoe", false);
    if (out->sso_version == 0) {
        take_text(r, "aurl", 2048, &out->sso_url);
        out->sso_expiry_ms = zt_dict_u64(r->dict, r->n, "aexpt", 0);
    } else if (out->sso_version == 1) {
        take_text(r, "iurl", 2048, &out->sso_issuer);
        take_text(r, "ssoce", 2048, &out->sso_central);
        take_text(r, "sson", 128, &out->sso_nonce);
        take_text(r, "ssos", 256, &out->sso_state);
        take_text(r, "ssocid", 256, &out->sso_client);
        take_text(r, "ssop", 64, &out->sso_provider);
        if (out->sso_provider.n == 0)
            out->sso_provider = (struct zt_span){(const uint8_t *)"default", 7};
    }
}

static void read_numbers(struct reader *r, struct zt_netconf *out)
{
    const uint8_t *d = r->dict;
    const size_t n = r->n;

    out->timestamp = zt_dict_i64(d, n, "ts", 0);
    out->max_delta = zt_dict_i64(d, n, "ctmd", 0);
    out->revision = zt_dict_u64(d, n, "r", 0);
    out->trace_target = zt_dict_u64(d, n, "tt", 0) & ZT_ADDR_MASK;
    out->trace_level = zt_dict_u64(d, n, "tl", 0);
    out->flags = zt_dict_u64(d, n, "f", 0);
    out->multicast_limit = (unsigned)zt_dict_u64(d, n, "ml", 0);
    out->is_public = zt_dict_u64(d, n, "t", 0) == 1;
    uint64_t mtu = zt_dict_u64(d, n, "mtu", ZT_NET_MTU_DEFAULT);
    if (mtu < ZT_NET_MTU_MIN)
        mtu = ZT_NET_MTU_MIN;
    out->mtu = mtu > ZT_NET_MTU_MAX ? ZT_NET_MTU_MAX : (unsigned)mtu;
    zt_dict_get(d, n, "n", (uint8_t *)out->name, sizeof out->name);
}

int zt_netconf_decode(const uint8_t *dict, size_t n, uint8_t *arena, struct zt_netconf *out)
{
    struct reader r = {dict, n, arena, n + 1};

    memset(out, 0, sizeof *out);
    out->nwid = zt_dict_u64(dict, n, "nwid", 0);
    out->issued_to = zt_dict_u64(dict, n, "id", 0) & ZT_ADDR_MASK;
    if (n >= ZT_NETCONF_MAX || zt_dict_u64(dict, n, "v", 0) < 6 || out->nwid == 0 ||
        out->issued_to == 0)
        return ZT_E_FORMAT;
    read_numbers(&r, out);
    read_caps(&r, out);
    read_tags(&r, out);
    read_specialists(&r, out);
    read_sso(&r, out);
    if (read_com(&r, out) != 0 || read_coos(&r, out) != 0 || read_routes(&r, out) != 0 ||
        read_addrs(&r, out) != 0 || read_rules(&r, out) != 0 || read_dns(&r, out) != 0)
        return ZT_E_FORMAT;
    return 0;
}

/* ---- writing ---- */

/* Blobs are made in a scratch buffer before they are escaped. The largest made here are 128 routes
 * of 42 bytes; credentials and rules are already bytes. */
#define SCRATCH (ZT_NETCONF_ROUTES * 42 + 64)

struct writer {
    struct zt_wr *w;
    bool full;
    uint8_t scratch[SCRATCH];
};

static void note(struct writer *o, int result)
{
    o->full |= result != 0;
}

static void add_blob(struct writer *o, const char *key, const struct zt_wr *blob)
{
    if (blob->bad)
        o->full = true;
    else
        note(o, zt_dict_add(o->w, key, blob->p, blob->n));
}

/* Concatenated spans, escaped one by one behind the same key. */
static void add_spans(struct writer *o, const char *key, const struct zt_span *s, unsigned n)
{
    if (n == 0)
        return;
    note(o, zt_dict_add(o->w, key, s[0].p, s[0].n));
    for (unsigned i = 1; i < n && !o->full; i++) {
        /* An entry with an empty key, whose LF and '=' are then taken back out. */
        size_t at = o->w->n;
        note(o, zt_dict_add(o->w, "", s[i].p, s[i].n));
        if (!o->full) {
            memmove(o->w->p + at, o->w->p + at + 2, o->w->n - at - 2);
            o->w->n -= 2;
        }
    }
}

static void add_span(struct writer *o, const char *key, struct zt_span s)
{
    note(o, zt_dict_add(o->w, key, s.p, s.n));
}

static void add_lists(struct writer *o, const struct zt_netconf *c)
{
    struct zt_wr b = zt_wr(o->scratch, sizeof o->scratch);

    for (unsigned i = 0; i < c->nspecialists; i++)
        zt_wr_u64(&b, c->specialists[i]);
    if (b.n > 0)
        add_blob(o, "S", &b);

    b = zt_wr(o->scratch, sizeof o->scratch);
    for (unsigned i = 0; i < c->nroutes; i++) {
        zt_wr_ep(&b, &c->routes[i].target);
        zt_wr_ep(&b, &c->routes[i].via);
        zt_wr_u16(&b, c->routes[i].flags);
        zt_wr_u16(&b, c->routes[i].metric);
    }
    if (b.n > 0)
        add_blob(o, "RT", &b);

    b = zt_wr(o->scratch, sizeof o->scratch);
    for (unsigned i = 0; i < c->naddrs; i++)
        zt_wr_ep(&b, &c->addrs[i]);
    if (b.n > 0)
        add_blob(o, "I", &b);
}

static void add_sso(struct writer *o, const struct zt_netconf *c)
{
    if (c->sso_version > 1)
        return;
    note(o, zt_dict_add_u64(o->w, "ssov", c->sso_version));
    note(o, zt_dict_add_bool(o->w, "ssoe", c->sso_enabled));
    if (c->sso_version == 0) {
        if (c->sso_enabled && c->sso_url.n > 0)
            add_span(o, "aurl", c->sso_url);
        if (c->sso_enabled)
            note(o, zt_dict_add_u64(o->w, "aexpt", c->sso_expiry_ms));
        return;
    }
    add_span(o, "iurl", c->sso_issuer);
    add_span(o, "ssoce", c->sso_central);
    add_span(o, "sson", c->sso_nonce);
    add_span(o, "ssos", c->sso_state);
    add_span(o, "ssocid", c->sso_client);
    add_span(o, "ssop", c->sso_provider);
}

static void add_numbers(struct writer *o, const struct zt_netconf *c)
{
    note(o, zt_dict_add_u64(o->w, "v", 7));
    note(o, zt_dict_add_u64(o->w, "nwid", c->nwid));
    note(o, zt_dict_add_i64(o->w, "ts", c->timestamp));
    note(o, zt_dict_add_i64(o->w, "ctmd", c->max_delta));
    note(o, zt_dict_add_u64(o->w, "r", c->revision));
    note(o, zt_dict_add_addr(o->w, "id", c->issued_to));
    note(o, zt_dict_add_addr(o->w, "tt", c->trace_target));
    note(o, zt_dict_add_u64(o->w, "tl", c->trace_level));
    note(o, zt_dict_add_u64(o->w, "f", c->flags));
    note(o, zt_dict_add_u64(o->w, "ml", c->multicast_limit));
    note(o, zt_dict_add_u64(o->w, "t", c->is_public ? 1 : 0));
    note(o, zt_dict_add_text(o->w, "n", c->name));
    note(o, zt_dict_add_u64(o->w, "mtu", c->mtu));
}

int zt_netconf_encode(const struct zt_netconf *c, struct zt_wr *w)
{
    struct writer o = {.w = w};
    struct zt_wr b = zt_wr(o.scratch, sizeof o.scratch);

    add_numbers(&o, c);
    if (c->has_com) {
        zt_wr_com(&b, &c->com);
        add_blob(&o, "C", &b);
    }
    add_spans(&o, "CAP", c->caps, c->ncaps);
    add_spans(&o, "TAG", c->tags, c->ntags);
    add_spans(&o, "COO", c->coos, c->ncoos);
    add_lists(&o, c);
    if (c->nrules > 0)
        add_span(&o, "R", c->rules);
    b = zt_wr(o.scratch, sizeof o.scratch);
    zt_wr_bytes(&b, c->dns_domain, sizeof c->dns_domain);
    for (unsigned i = 0; i < ZT_NETCONF_DNS; i++)
        zt_wr_ep(&b, &c->dns[i]);
    add_blob(&o, "DNS", &b);
    add_sso(&o, c);
    return o.full ? ZT_E_SPACE : 0;
}

int zt_netconf_request(struct zt_wr *w, const char *platform)
{
    const struct {
        const char *key;
        uint64_t v;
    } numbers[] = {
        {"v", 7},
        {"vend", 1},
        {"pv", ZT_PROTO_VERSION},
        {"majv", ZT_VERSION_MAJOR},
        {"minv", ZT_VERSION_MINOR},
        {"revv", ZT_VERSION_REV},
        {"mr", ZT_RULES_MAX},
        {"mc", ZT_NETCONF_CAPS},
        {"mcr", ZT_CAP_RULES_MAX},
        {"mt", ZT_NETCONF_TAGS},
        {"f", 0},
        {"revr", 1},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (zt_dict_add_u64(w, numbers[i].key, numbers[i].v) != 0)
            return ZT_E_SPACE;
    }
    return zt_dict_add_text(w, "o", platform);
}

/* ---- chunks ---- */

int zt_chunk_decode(const uint8_t *p, size_t n, struct zt_chunk *out)
{
    struct zt_rd r = zt_rd(p, n);

    *out = (struct zt_chunk){.nwid = zt_rd_u64(&r)};
    out->data.n = zt_rd_u16(&r);
    out->data.p = zt_rd_view(&r, out->data.n);
    if (r.bad)
        return ZT_E_FORMAT;
    if (r.pos == n) {
        out->is_legacy = true;
        out->total = (uint32_t)out->data.n;
        return 0;
    }
    out->flags = zt_rd_u8(&r);
    out->update_id = zt_rd_u64(&r);
    out->total = zt_rd_u32(&r);
    out->offset = zt_rd_u32(&r);
    out->text = (struct zt_span){p, r.pos};
    if (zt_rd_u8(&r) != 1 || zt_rd_u16(&r) != ZT_SIG)
        r.bad = true;
    out->sig = zt_rd_view(&r, ZT_SIG);
    out->all = (struct zt_span){p, r.pos};
    if (r.bad || (uint64_t)out->offset + out->data.n > out->total || out->total >= ZT_NETCONF_MAX)
        return ZT_E_FORMAT;
    return 0;
}

void zt_wr_chunk_text(struct zt_wr *w, uint64_t nwid, const uint8_t *data, size_t n, uint8_t flags,
                      uint64_t update_id, uint32_t total, uint32_t offset)
{
    zt_wr_u64(w, nwid);
    zt_wr_u16(w, (uint16_t)n);
    zt_wr_bytes(w, data, n);
    zt_wr_u8(w, flags);
    zt_wr_u64(w, update_id);
    zt_wr_u32(w, total);
    zt_wr_u32(w, offset);
}

void zt_wr_chunk_sig(struct zt_wr *w, const uint8_t sig[ZT_SIG])
{
    zt_wr_u8(w, 1);
    zt_wr_u16(w, ZT_SIG);
    zt_wr_bytes(w, sig, ZT_SIG);
}
