/* Reading: a document as the values that the controller works with. */
#include "node/controller_json_int.h"

#include <ctype.h>

#include "node/rules_json.h"

#define RULE_MAX 21 /* bytes of the longest rule that has a JSON form */
#define WINDOW_MS 1800000

/* ---- text --------------------------------------------------------------------------------------
 */

/* jansson keeps integers in 63 bits and a sign; others write up to 2^64 - 1. A copy in which such
 * numbers are the negative ones of the same bits, malloc'd with *n bytes, or NULL. */
static char *fold_integers(const char *p, size_t *n)
{
    char *out = malloc(*n + *n / 19 + 1); /* at most a sign for 19 digits */
    size_t len = 0;
    bool in_string = false;
    for (size_t i = 0, end; out != NULL && i < *n; i = end) {
        end = i + 1;
        if (in_string && p[i] == '\\' && end < *n)
            end++;
        else if (p[i] == '"')
            in_string = !in_string;
        else if (!in_string && (isdigit((unsigned char)p[i]) || p[i] == '-'))
            while (end < *n && p[end] != 0 && strchr("+-.eE0123456789", p[end]) != NULL)
                end++;
        char text[24] = "";
        uint64_t v = 0;
        if (!in_string && end - i >= 19 && end - i <= 20) {
            memcpy(text, p + i, end - i);
            v = strspn(text, "0123456789") == end - i ? strtoull(text, NULL, 10) : 0;
        }
        if (v > INT64_MAX) {
            len += (size_t)sprintf(out + len, "%lld", (long long)v);
        } else {
            memcpy(out + len, p + i, end - i);
            len += end - i;
        }
    }
    *n = len;
    return out;
}

json_t *zt_ctl_parse(const char *text, size_t n, json_error_t *e)
{
    json_t *doc = json_loadb(text, n, JSON_DECODE_ANY, e);
    if (doc != NULL || json_error_code(e) != json_error_numeric_overflow)
        return doc;
    char *folded = fold_integers(text, &n);
    if (folded != NULL)
        doc = json_loadb(folded, n, JSON_DECODE_ANY, e);
    free(folded);
    return doc;
}

char *zt_ctl_dump(const json_t *doc)
{
    return json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
}

static void read_text(const json_t *v, char *out, size_t cap)
{
    char tmp[ZT_JSON_TEXT];
    snprintf(out, cap, "%s", zt_json_text(v, tmp, ""));
}

/* A block that lists are taken from; it was made large enough. */
struct block {
    uint8_t *p;
    size_t n, cap;
};

static void *take(struct block *b, size_t n)
{
    void *p = b->p + b->n;
    b->n += (n + 7) & ~(size_t)7;
    return p;
}

static size_t rules_bytes(const json_t *rules, size_t max)
{
    size_t n = json_array_size(rules);
    return (n < max ? n : max) * RULE_MAX + 8;
}

/* ---- reading a network -------------------------------------------------------------------------
 */

static size_t count_bytes(const json_t *doc)
{
    const json_t *caps = json_object_get(doc, "capabilities");
    const json_t *tokens = json_object_get(doc, "authTokens");
    size_t n = 64;
    n += json_array_size(json_object_get(doc, "routes")) * sizeof(struct zt_route);
    n += json_array_size(json_object_get(doc, "ipAssignmentPools")) * sizeof(struct zt_ctl_pool);
    n += json_array_size(json_object_get(doc, "tags")) * sizeof(struct zt_ctl_tag);
    n += rules_bytes(json_object_get(doc, "rules"), ZT_RULES_MAX);
    n += json_object_size(tokens) * sizeof(struct zt_ctl_token);
    n += json_array_size(caps) * sizeof(struct zt_ctl_cap);
    for (size_t i = 0; i < json_array_size(caps); i++)
        n += rules_bytes(json_object_get(json_array_get(caps, i), "rules"), ZT_CAP_RULES_MAX);
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)tokens, key, v) n += strlen(key) + 8;
    return n;
}

static struct zt_span read_rules(struct block *b, const json_t *list, size_t max, unsigned *count)
{
    struct zt_wr w = zt_wr(b->p + b->n, rules_bytes(list, max));
    *count = 0;
    for (size_t i = 0; i < json_array_size(list) && *count < max; i++) {
        struct zt_rule r;
        if (zt_rule_from_json(json_array_get(list, i), &r) != 0)
            continue;
        zt_wr_rule(&w, &r);
        (*count)++;
    }
    return (struct zt_span){take(b, w.n), w.n};
}

static void read_routes(struct block *b, const json_t *list, struct zt_ctl_network *out)
{
    out->routes = take(b, json_array_size(list) * sizeof *out->routes);
    for (size_t i = 0; i < json_array_size(list) && out->nroutes < ZT_NETCONF_ROUTES; i++) {
        const json_t *v = json_array_get(list, i);
        struct zt_route r = {.target = address(json_object_get(v, "target"))};
        struct zt_ep via = bare(address(json_object_get(v, "via")));
        if (r.target.family == 0 || r.target.port > (r.target.family == 4 ? 32 : 128))
            continue;
        if (via.family == r.target.family)
            r.via = via;
        out->routes[out->nroutes++] = r;
    }
}

static void read_pools(struct block *b, const json_t *list, struct zt_ctl_network *out)
{
    out->pools = take(b, json_array_size(list) * sizeof *out->pools);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        struct zt_ctl_pool p = {bare(address(json_object_get(v, "ipRangeStart"))),
                                bare(address(json_object_get(v, "ipRangeEnd")))};
        if (p.start.family != 0 && p.start.family == p.end.family)
            out->pools[out->npools++] = p;
    }
}

static void read_caps(struct block *b, const json_t *list, struct zt_ctl_network *out)
{
    out->caps = take(b, json_array_size(list) * sizeof *out->caps);
    for (size_t i = 0; i < json_array_size(list) && out->ncaps < ZT_CTL_LIST_MAX; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_object(v))
            continue;
        struct zt_ctl_cap c = {.id = (uint32_t)zt_json_u64(json_object_get(v, "id"), 0),
                               .is_default = zt_json_bool(json_object_get(v, "default"), false)};
        c.rules = read_rules(b, json_object_get(v, "rules"), ZT_CAP_RULES_MAX, &c.nrules);
        unsigned at = out->ncaps; /* as a rule they are in order */
        while (at > 0 && out->caps[at - 1].id >= c.id)
            at--;
        if (at == out->ncaps || out->caps[at].id != c.id) {
            memmove(out->caps + at + 1, out->caps + at, (out->ncaps - at) * sizeof c);
            out->ncaps++;
        }
        out->caps[at] = c;
    }
}

/* Put a tag in its place of a sorted list that has room; the last of equal ids wins. */
static void insert_tag(struct zt_ctl_tag *list, unsigned *n, struct zt_ctl_tag t)
{
    unsigned at = *n;
    while (at > 0 && list[at - 1].id >= t.id)
        at--;
    if (at == *n || list[at].id != t.id) {
        memmove(list + at + 1, list + at, (*n - at) * sizeof t);
        (*n)++;
    }
    list[at] = t;
}

static void read_tags(struct block *b, const json_t *list, struct zt_ctl_network *out)
{
    out->tags = take(b, json_array_size(list) * sizeof *out->tags);
    for (size_t i = 0; i < json_array_size(list) && out->ntags < ZT_CTL_LIST_MAX; i++) {
        const json_t *v = json_array_get(list, i), *value = json_object_get(v, "default");
        if (json_is_object(v))
            insert_tag(out->tags, &out->ntags,
                       (struct zt_ctl_tag){.id = (uint32_t)zt_json_u64(json_object_get(v, "id"), 0),
                                           .value = (uint32_t)zt_json_u64(value, 0),
                                           .has_value = json_is_number(value)});
    }
}

static void read_tokens(struct block *b, const json_t *tokens, struct zt_ctl_network *out)
{
    const char *key;
    json_t *v;
    out->tokens = take(b, json_object_size(tokens) * sizeof *out->tokens);
    json_object_foreach((json_t *)(uintptr_t)tokens, key, v)
    {
        if (!json_is_number(v) || key[0] == 0)
            continue;
        char *text = take(b, strlen(key) + 1);
        strcpy(text, key);
        out->tokens[out->ntokens++] = (struct zt_ctl_token){text, (int64_t)zt_json_u64(v, 0)};
    }
}

static void read_dns(const json_t *dns, struct zt_ctl_network *out)
{
    const json_t *servers = json_object_get(dns, "servers");
    read_text(json_object_get(dns, "domain"), out->dns_domain, sizeof out->dns_domain);
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(servers) && n < ZT_NETCONF_DNS; i++) {
        struct zt_ep ep = bare(address(json_array_get(servers, i)));
        if (ep.family != 0)
            out->dns[n++] = ep;
    }
}

static void read_assign_modes(const json_t *doc, struct zt_ctl_network *out)
{
    const json_t *v4 = json_object_get(doc, "v4AssignMode");
    const json_t *v6 = json_object_get(doc, "v6AssignMode");
    out->v4_pools = zt_json_bool(json_object_get(v4, "zt"), false);
    out->v6_pools = zt_json_bool(json_object_get(v6, "zt"), false);
    out->v6_rfc4193 = zt_json_bool(json_object_get(v6, "rfc4193"), false);
    out->v6_6plane = zt_json_bool(json_object_get(v6, "6plane"), false);
}

int zt_ctl_network_read(const json_t *doc, uint64_t nwid, struct zt_ctl_network *out)
{
    const json_t *window = json_object_get(doc, "certificateTimeoutWindowSize");
    *out = (struct zt_ctl_network){0};
    if (!json_is_object(doc))
        return ZT_E_FORMAT;
    struct block b = {.cap = count_bytes(doc)};
    out->block = b.p = calloc(1, b.cap);
    if (b.p == NULL)
        return ZT_E_NOMEM;
    out->nwid = nwid;
    out->revision = zt_json_u64(json_object_get(doc, "revision"), 0);
    out->is_private = zt_json_bool(json_object_get(doc, "private"), true);
    out->broadcast = zt_json_bool(json_object_get(doc, "enableBroadcast"), true);
    out->sso = zt_json_bool(json_object_get(doc, "ssoEnabled"), false);
    out->mtu = clamp_mtu(zt_json_u64(json_object_get(doc, "mtu"), ZT_NET_MTU_DEFAULT));
    out->multicast_limit = (unsigned)zt_json_u64(json_object_get(doc, "multicastLimit"), 32);
    out->window_ms = json_is_number(window) ? (int64_t)zt_json_u64(window, 0) : WINDOW_MS;
    out->trace_target = trace_target(doc);
    out->trace_level = zt_json_u64(json_object_get(doc, "remoteTraceLevel"), 0);
    read_text(json_object_get(doc, "name"), out->name, sizeof out->name);
    read_assign_modes(doc, out);
    read_dns(json_object_get(doc, "dns"), out);
    read_routes(&b, json_object_get(doc, "routes"), out);
    read_pools(&b, json_object_get(doc, "ipAssignmentPools"), out);
    read_tags(&b, json_object_get(doc, "tags"), out);
    read_tokens(&b, json_object_get(doc, "authTokens"), out);
    read_caps(&b, json_object_get(doc, "capabilities"), out);
    out->rules = read_rules(&b, json_object_get(doc, "rules"), ZT_RULES_MAX, &out->nrules);
    return 0;
}

/* ---- reading a member --------------------------------------------------------------------------
 */

static int version_of(const json_t *doc, const char *key)
{
    int64_t v = (int64_t)zt_json_u64(json_object_get(doc, key), UINT64_MAX);
    return v < 0 || v > INT32_MAX ? -1 : (int)v;
}

/* A text that is no identity shuts everybody out, rather than let in whoever comes first. */
static void read_identity(const json_t *doc, struct zt_ctl_member *out)
{
    char tmp[ZT_JSON_TEXT];
    const char *text = zt_json_text(json_object_get(doc, "identity"), tmp, "");
    struct zt_identity id;
    out->has_identity = text[0] != 0;
    if (zt_identity_parse(text, strlen(text), &id) == 0 && id.addr == out->addr)
        memcpy(out->pub, id.pub, sizeof out->pub);
}

static int read_member_lists(const json_t *doc, struct zt_ctl_member *out)
{
    const json_t *ips = json_object_get(doc, "ipAssignments");
    const json_t *caps = json_object_get(doc, "capabilities");
    const json_t *tags = json_object_get(doc, "tags");
    size_t nips = json_array_size(ips), ncaps = json_array_size(caps), n = json_array_size(tags);

    if ((nips > 0 && (out->ips = calloc(nips, sizeof *out->ips)) == NULL) ||
        (ncaps > 0 && (out->caps = calloc(ncaps, sizeof *out->caps)) == NULL) ||
        (n > 0 && (out->tags = calloc(n, sizeof *out->tags)) == NULL))
        return ZT_E_NOMEM;
    for (size_t i = 0; i < nips; i++) {
        struct zt_ep ep = bare(address(json_array_get(ips, i)));
        if (ep.family != 0)
            out->ips[out->nips++] = ep;
    }
    for (size_t i = 0; i < ncaps; i++)
        out->caps[out->ncaps++] = (uint32_t)zt_json_u64(json_array_get(caps, i), 0);
    for (size_t i = 0; i < n && out->ntags < ZT_CTL_LIST_MAX; i++) {
        const json_t *v = json_array_get(tags, i);
        if (json_array_size(v) == 2)
            insert_tag(
                out->tags, &out->ntags,
                (struct zt_ctl_tag){.id = (uint32_t)zt_json_u64(json_array_get(v, 0), 0),
                                    .value = (uint32_t)zt_json_u64(json_array_get(v, 1), 0)});
    }
    return 0;
}

int zt_ctl_member_read(const json_t *doc, uint64_t nwid, uint64_t addr, struct zt_ctl_member *out)
{
    zt_ctl_member_init(out, nwid, addr);
    if (!json_is_object(doc))
        return ZT_E_FORMAT;
    read_identity(doc, out);
    out->authorized = zt_json_bool(json_object_get(doc, "authorized"), false);
    out->is_bridge = zt_json_bool(json_object_get(doc, "activeBridge"), false);
    out->no_auto_ips = zt_json_bool(json_object_get(doc, "noAutoAssignIps"), false);
    out->sso_exempt = zt_json_bool(json_object_get(doc, "ssoExempt"), false);
    out->sso_expiry_ms = (int64_t)zt_json_u64(json_object_get(doc, "authenticationExpiryTime"), 0);
    out->authorized_ms = (int64_t)zt_json_u64(json_object_get(doc, "lastAuthorizedTime"), 0);
    out->deauthorized_ms = (int64_t)zt_json_u64(json_object_get(doc, "lastDeauthorizedTime"), 0);
    out->version_major = version_of(doc, "vMajor");
    out->version_minor = version_of(doc, "vMinor");
    out->version_rev = version_of(doc, "vRev");
    out->version_proto = version_of(doc, "vProto");
    out->trace_target = trace_target(doc);
    out->trace_level = zt_json_u64(json_object_get(doc, "remoteTraceLevel"), 0);
    int rc = read_member_lists(doc, out);
    if (rc != 0)
        zt_ctl_member_fini(out);
    return rc;
}
