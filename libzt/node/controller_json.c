#include "node/controller_json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "node/json.h"
#include "node/rules_json.h"

#define ARRAY_MAX 16384 /* elements of a stored list */
#define RULE_MAX 21     /* bytes of the longest rule that has a JSON form */
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

/* ---- pieces ------------------------------------------------------------------------------------
 */

/* An address or prefix; family 0 for anything else. */
static struct zt_ep address(const json_t *v)
{
    struct zt_ep ep;
    if (!json_is_string(v) || zt_ep_parse(json_string_value(v), &ep) != 0)
        memset(&ep, 0, sizeof ep);
    return ep;
}

static struct zt_ep bare(struct zt_ep ep)
{
    ep.port = 0;
    return ep;
}

static json_t *ip_text(const struct zt_ep *ep)
{
    char t[ZT_EP_STR];
    return json_string(zt_ep_format_ip(ep, t));
}

static json_t *hex_text(uint64_t v, int digits)
{
    char t[24];
    snprintf(t, sizeof t, "%0*llx", digits, (unsigned long long)v);
    return json_string(t);
}

static json_t *integer(uint64_t v)
{
    return json_integer((json_int_t)v);
}

/* A trace target is whatever text of ten characters; as an address, what of it is hex. */
static uint64_t trace_target(const json_t *doc)
{
    char tmp[ZT_JSON_TEXT];
    const char *t = zt_json_text(json_object_get(doc, "remoteTraceTarget"), tmp, "");
    return strlen(t) == 10 ? strtoull(t, NULL, 16) & ZT_ADDR_MASK : 0;
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
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_object(v))
            continue;
        struct zt_ctl_cap c = {.id = (uint32_t)zt_json_u64(json_object_get(v, "id"), 0),
                               .is_default = zt_json_bool(json_object_get(v, "default"), false)};
        c.rules = read_rules(b, json_object_get(v, "rules"), ZT_CAP_RULES_MAX, &c.nrules);
        unsigned at = 0;
        while (at < out->ncaps && out->caps[at].id < c.id)
            at++;
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
    for (size_t i = 0; i < json_array_size(list); i++) {
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

static unsigned clamp_mtu(uint64_t v)
{
    uint32_t mtu = (uint32_t)v;
    return mtu < ZT_NET_MTU_MIN ? ZT_NET_MTU_MIN : mtu > ZT_NET_MTU_MAX ? ZT_NET_MTU_MAX : mtu;
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
    for (size_t i = 0; i < n; i++) {
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

/* ---- writing -----------------------------------------------------------------------------------
 */

/* Collects whether anything failed, which can only be for lack of memory. */
struct edit {
    json_t *doc;
    bool failed;
};

static void set(struct edit *e, const char *key, json_t *v)
{
    e->failed |= json_object_set_new(e->doc, key, v) != 0;
}

static void set_missing(struct edit *e, const char *key, json_t *v)
{
    if (json_object_get(e->doc, key) != NULL)
        json_decref(v);
    else
        set(e, key, v);
}

static int done(const struct edit *e)
{
    return e->failed ? ZT_E_NOMEM : 0;
}

int zt_ctl_network_defaults(json_t *doc, uint64_t nwid, int64_t wall_ms)
{
    struct edit e = {doc, false};
    set_missing(&e, "private", json_true());
    set_missing(&e, "creationTime", json_integer(wall_ms));
    set_missing(&e, "name", json_string(""));
    set_missing(&e, "multicastLimit", json_integer(32));
    set_missing(&e, "enableBroadcast", json_true());
    set_missing(&e, "v4AssignMode", json_pack("{s:b}", "zt", 0));
    set_missing(&e, "v6AssignMode", json_pack("{s:b,s:b,s:b}", "rfc4193", 0, "zt", 0, "6plane", 0));
    set_missing(&e, "authTokens", json_pack("[n]"));
    set_missing(&e, "capabilities", json_array());
    set_missing(&e, "tags", json_array());
    set_missing(&e, "routes", json_array());
    set_missing(&e, "ipAssignmentPools", json_array());
    set_missing(&e, "mtu", json_integer(ZT_NET_MTU_DEFAULT));
    set_missing(&e, "remoteTraceTarget", json_null());
    set(&e, "remoteTraceLevel", json_integer(0)); /* every time, as the reference does */
    set_missing(&e, "rulesSource", json_string(""));
    set_missing(&e, "rules",
                json_pack("[{s:b,s:b,s:s}]", "not", 0, "or", 0, "type", "ACTION_ACCEPT"));
    set_missing(&e, "dns", json_array());
    set_missing(&e, "ssoEnabled", json_false());
    set_missing(&e, "clientId", json_string(""));
    set_missing(&e, "authorizationEndpoint", json_string(""));
    set(&e, "objtype", json_string("network"));
    set(&e, "id", hex_text(nwid, 16));
    set(&e, "nwid", hex_text(nwid, 16));
    static const char *const not_kept[] = {"clock", "authorizedMemberCount", "activeMemberCount",
                                           "totalMemberCount", "lastModified"};
    for (size_t i = 0; i < sizeof not_kept / sizeof *not_kept; i++)
        (void)json_object_del(doc, not_kept[i]);
    return done(&e);
}

int zt_ctl_member_defaults(json_t *doc, uint64_t nwid, uint64_t addr, int64_t wall_ms)
{
    struct edit e = {doc, false};
    set_missing(&e, "authorized", json_false());
    set_missing(&e, "ssoExempt", json_false());
    set_missing(&e, "ipAssignments", json_array());
    set_missing(&e, "activeBridge", json_false());
    set_missing(&e, "tags", json_array());
    set_missing(&e, "capabilities", json_array());
    set_missing(&e, "creationTime", json_integer(wall_ms));
    set_missing(&e, "noAutoAssignIps", json_false());
    set_missing(&e, "revision", json_integer(0));
    set_missing(&e, "lastDeauthorizedTime", json_integer(0));
    set_missing(&e, "lastAuthorizedTime", json_integer(0));
    set_missing(&e, "lastAuthorizedCredentialType", json_null());
    set_missing(&e, "lastAuthorizedCredential", json_null());
    set_missing(&e, "authenticationExpiryTime", json_integer(0));
    set_missing(&e, "vMajor", json_integer(-1));
    set_missing(&e, "vMinor", json_integer(-1));
    set_missing(&e, "vRev", json_integer(-1));
    set_missing(&e, "vProto", json_integer(-1));
    set_missing(&e, "remoteTraceTarget", json_null());
    set_missing(&e, "remoteTraceLevel", json_integer(0));
    set(&e, "objtype", json_string("member"));
    set(&e, "id", hex_text(addr, 10));
    set(&e, "address", hex_text(addr, 10));
    set(&e, "nwid", hex_text(nwid, 16));
    static const char *const not_kept[] = {"clock",
                                           "physicalAddr",
                                           "recentLog",
                                           "lastModified",
                                           "lastRequestMetaData",
                                           "authenticationURL",
                                           "authenticationClientID"};
    for (size_t i = 0; i < sizeof not_kept / sizeof *not_kept; i++)
        (void)json_object_del(doc, not_kept[i]);
    return done(&e);
}

int zt_ctl_member_write(json_t *doc, const struct zt_ctl_member *m, unsigned fields,
                        enum zt_ctl_credential credential, const char *token)
{
    static const char *const credentials[] = {
        [ZT_CTL_CREDENTIAL_NONE] = NULL,
        [ZT_CTL_CREDENTIAL_API] = "api",
        [ZT_CTL_CREDENTIAL_PUBLIC] = "public",
        [ZT_CTL_CREDENTIAL_TOKEN] = "token",
    };
    struct edit e = {doc, false};
    if (fields & ZT_CHANGED_IDENTITY) {
        struct zt_identity id = {.addr = m->addr};
        char text[ZT_IDENTITY_STR];
        memcpy(id.pub, m->pub, sizeof id.pub);
        set(&e, "identity", json_string(zt_identity_format(&id, false, text)));
    }
    if (fields & ZT_CHANGED_AUTHORIZED) {
        const char *type = credentials[credential];
        json_t *shown = credential == ZT_CTL_CREDENTIAL_TOKEN ? json_string(token) : NULL;
        set(&e, "authorized", json_boolean(m->authorized));
        set(&e, "lastAuthorizedTime", json_integer(m->authorized_ms));
        set(&e, "lastAuthorizedCredentialType", type != NULL ? json_string(type) : json_null());
        set(&e, "lastAuthorizedCredential", shown != NULL ? shown : json_null());
    }
    if (fields & ZT_CHANGED_VERSION) {
        set(&e, "vMajor", json_integer(m->version_major));
        set(&e, "vMinor", json_integer(m->version_minor));
        set(&e, "vRev", json_integer(m->version_rev));
        set(&e, "vProto", json_integer(m->version_proto));
    }
    if (fields & ZT_CHANGED_IPS) {
        json_t *list = json_array();
        for (unsigned i = 0; i < m->nips; i++)
            e.failed |= json_array_append_new(list, ip_text(&m->ips[i])) != 0;
        set(&e, "ipAssignments", list);
    }
    if (fields & ZT_CHANGED_CAPS) {
        json_t *list = json_array();
        for (unsigned i = 0; i < m->ncaps; i++)
            e.failed |= json_array_append_new(list, integer(m->caps[i])) != 0;
        set(&e, "capabilities", list);
    }
    if (fields & ZT_CHANGED_TAGS) {
        json_t *list = json_array();
        for (unsigned i = 0; i < m->ntags; i++)
            e.failed |= json_array_append_new(list, json_pack("[I,I]", (json_int_t)m->tags[i].id,
                                                              (json_int_t)m->tags[i].value)) != 0;
        set(&e, "tags", list);
    }
    return done(&e);
}

bool zt_ctl_differ(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    size_t na = json_object_size(a) - (json_object_get(a, "revision") != NULL);
    size_t nb = json_object_size(b) - (json_object_get(b, "revision") != NULL);
    if (na != nb)
        return true;
    json_object_foreach((json_t *)(uintptr_t)a, key, v)
    {
        if (strcmp(key, "revision") != 0 && !json_equal(v, json_object_get(b, key)))
            return true;
    }
    return false;
}

int zt_ctl_count_revision(json_t *doc)
{
    struct edit e = {doc, false};
    set(&e, "revision", integer(zt_json_u64(json_object_get(doc, "revision"), 0) + 1));
    return done(&e);
}

/* ---- a POST of a network -----------------------------------------------------------------------
 */

/* Each takes the value that body has under its key. */
typedef void post_fn(struct edit *e, const char *key, const json_t *v);

static void post_text(struct edit *e, const char *key, const json_t *v)
{
    char tmp[ZT_JSON_TEXT];
    set(e, key, json_string(zt_json_text(v, tmp, "")));
}

static void post_true(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, json_boolean(zt_json_bool(v, true)));
}

static void post_false(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, json_boolean(zt_json_bool(v, false)));
}

static void post_number(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, integer(zt_json_u64(v, 0)));
}

static void post_multicast(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, integer(zt_json_u64(v, 32)));
}

static void post_mtu(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, integer(clamp_mtu(zt_json_u64(v, ZT_NET_MTU_DEFAULT))));
}

static void post_trace_target(struct edit *e, const char *key, const json_t *v)
{
    char tmp[ZT_JSON_TEXT];
    const char *t = zt_json_text(v, tmp, "");
    set(e, key, strlen(t) == 10 ? json_string(t) : json_null());
}

static void post_v4(struct edit *e, const char *key, const json_t *v)
{
    bool zt = json_is_string(v) ? strcmp(json_string_value(v), "zt") == 0
                                : zt_json_bool(json_object_get(v, "zt"), false);
    set(e, key, json_pack("{s:b}", "zt", zt));
}

/* Is `word` one of the words between the commas? */
static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, word, n) == 0 && (p[n] == 0 || p[n] == ','))
            return true;
    }
    return false;
}

static void post_v6(struct edit *e, const char *key, const json_t *v)
{
    static const char *const modes[] = {"rfc4193", "zt", "6plane"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const json_t *given = json_object_get(v, modes[i]);
        bool on = json_is_string(v) ? has_word(json_string_value(v), modes[i])
                                    : zt_json_bool(given, false);
        if (!json_is_object(v) || given != NULL)
            e->failed |= json_object_set_new(o, modes[i], json_boolean(on)) != 0;
    }
    set(e, key, o);
}

static void append(struct edit *e, json_t *list, json_t *v)
{
    e->failed |= json_array_append_new(list, v) != 0;
}

static void post_routes(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ARRAY_MAX; i++) {
        const json_t *r = json_array_get(v, i);
        struct zt_ep target = address(json_object_get(r, "target"));
        struct zt_ep via = address(json_object_get(r, "via"));
        char t[ZT_EP_STR];
        if (target.family == 0 || target.port > (target.family == 4 ? 32 : 128))
            continue;
        append(e, list,
               json_pack("{s:s,s:o}", "target", zt_ep_format(&target, t), "via",
                         via.family == target.family ? ip_text(&via) : json_null()));
    }
    set(e, key, list);
}

static void post_pools(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ARRAY_MAX; i++) {
        const json_t *p = json_array_get(v, i);
        struct zt_ep start = address(json_object_get(p, "ipRangeStart"));
        struct zt_ep end = address(json_object_get(p, "ipRangeEnd"));
        if (start.family != 0 && start.family == end.family)
            append(e, list,
                   json_pack("{s:o,s:o}", "ipRangeStart", ip_text(&start), "ipRangeEnd",
                             ip_text(&end)));
    }
    set(e, key, list);
}

/* The rules of an array in their normal form; what is no rule is left out. */
static json_t *normal_rules(struct edit *e, const json_t *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ARRAY_MAX; i++) {
        struct zt_rule r;
        json_t *o = NULL;
        if (zt_rule_from_json(json_array_get(v, i), &r) == 0)
            o = zt_rule_to_json(&r);
        if (o != NULL)
            append(e, list, o);
    }
    return list;
}

static void post_rules(struct edit *e, const char *key, const json_t *v)
{
    if (json_is_array(v))
        set(e, key, normal_rules(e, v));
}

static void post_tokens(struct edit *e, const char *key, const json_t *v)
{
    const char *name;
    json_t *expiry, *o = json_object();
    if (!json_is_object(v)) {
        json_decref(o);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)v, name, expiry)
    {
        if (json_is_number(expiry) && json_number_value(expiry) >= 0)
            e->failed |= json_object_set(o, name, expiry) != 0;
    }
    if (json_object_size(o) == 0) {
        json_decref(o);
        o = json_null();
    }
    set(e, key, o);
}

/* Objects with an id, in the order of ids; the last of equal ones wins. */
static void insert_by_id(struct edit *e, json_t *list, json_t *o)
{
    uint64_t id = zt_json_u64(json_object_get(o, "id"), 0), other = 0;
    size_t at = json_array_size(list);
    while (at > 0 &&
           (other = zt_json_u64(json_object_get(json_array_get(list, at - 1), "id"), 0)) > id)
        at--;
    if (at > 0 && other == id)
        e->failed |= json_array_set_new(list, at - 1, o) != 0;
    else
        e->failed |= json_array_insert_new(list, at, o) != 0;
}

static void post_caps(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ARRAY_MAX; i++) {
        const json_t *c = json_array_get(v, i);
        if (json_is_object(c))
            insert_by_id(e, list,
                         json_pack("{s:o,s:b,s:o}", "id",
                                   integer(zt_json_u64(json_object_get(c, "id"), 0)), "default",
                                   zt_json_bool(json_object_get(c, "default"), false), "rules",
                                   normal_rules(e, json_object_get(c, "rules"))));
    }
    set(e, key, list);
}

static void post_tags(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ARRAY_MAX; i++) {
        const json_t *t = json_array_get(v, i), *value = json_object_get(t, "default");
        bool has_value = value != NULL && !json_is_null(value);
        if (json_is_object(t))
            insert_by_id(e, list,
                         json_pack("{s:o,s:o}", "id",
                                   integer(zt_json_u64(json_object_get(t, "id"), 0)), "default",
                                   has_value ? integer(zt_json_u64(value, 0)) : json_null()));
    }
    set(e, key, list);
}

static void post_dns(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_object(v))
        return;
    json_t *domain = json_object_get(v, "domain"), *servers = json_object_get(v, "servers");
    json_t *o = json_object();
    e->failed |= json_object_set_new(o, "domain",
                                     domain != NULL ? json_deep_copy(domain) : json_null()) != 0;
    if (json_is_array(servers))
        e->failed |= json_object_set_new(o, "servers", json_deep_copy(servers)) != 0;
    set(e, key, o);
}

struct field {
    const char *key;
    post_fn *post;
};

static void post_fields(struct edit *e, const struct field *f, size_t n, const json_t *body)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(body, f[i].key);
        if (v != NULL)
            f[i].post(e, f[i].key, v);
    }
}

int zt_ctl_network_post(json_t *doc, const json_t *body, const char **why)
{
    static const struct field fields[] = {
        {"name", post_text},
        {"private", post_true},
        {"enableBroadcast", post_false},
        {"multicastLimit", post_multicast},
        {"mtu", post_mtu},
        {"remoteTraceTarget", post_trace_target},
        {"remoteTraceLevel", post_number},
        {"v4AssignMode", post_v4},
        {"v6AssignMode", post_v6},
        {"routes", post_routes},
        {"ipAssignmentPools", post_pools},
        {"rules", post_rules},
        {"authTokens", post_tokens},
        {"capabilities", post_caps},
        {"tags", post_tags},
        {"dns", post_dns},
    };
    struct edit e = {doc, false};
    *why = NULL;
    post_fields(&e, fields, sizeof fields / sizeof *fields, body);
    return done(&e);
}

/* ---- a POST of a member ------------------------------------------------------------------------
 */

static void post_member_tags(struct edit *e, const char *key, const json_t *v)
{
    size_t max = json_array_size(v);
    struct zt_ctl_tag *tags = calloc(max + 1, sizeof *tags);
    unsigned n = 0;
    if (!json_is_array(v) || tags == NULL) {
        e->failed |= tags == NULL;
        free(tags);
        return;
    }
    for (size_t i = 0; i < max; i++) {
        const json_t *t = json_array_get(v, i);
        if (json_array_size(t) == 2)
            insert_tag(
                tags, &n,
                (struct zt_ctl_tag){.id = (uint32_t)zt_json_u64(json_array_get(t, 0), 0),
                                    .value = (uint32_t)zt_json_u64(json_array_get(t, 1), 0)});
    }
    json_t *list = json_array();
    for (unsigned i = 0; i < n && i < ARRAY_MAX; i++)
        append(e, list, json_pack("[I,I]", (json_int_t)tags[i].id, (json_int_t)tags[i].value));
    free(tags);
    set(e, key, list);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void post_member_caps(struct edit *e, const char *key, const json_t *v)
{
    size_t max = json_array_size(v) < ARRAY_MAX ? json_array_size(v) : ARRAY_MAX;
    uint64_t *ids = calloc(max + 1, sizeof *ids);
    if (!json_is_array(v) || ids == NULL) {
        e->failed |= ids == NULL;
        free(ids);
        return;
    }
    for (size_t i = 0; i < max; i++)
        ids[i] = zt_json_u64(json_array_get(v, i), 0);
    qsort(ids, max, sizeof *ids, by_value);
    json_t *list = json_array();
    for (size_t i = 0; i < max; i++) {
        if (i == 0 || ids[i] != ids[i - 1])
            append(e, list, integer(ids[i]));
    }
    free(ids);
    set(e, key, list);
}

static void post_member_ips(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ARRAY_MAX; i++) {
        struct zt_ep ep = address(json_array_get(v, i));
        if (ep.family != 0)
            append(e, list, ip_text(&ep));
    }
    set(e, key, list);
}

static void post_authorized(struct edit *e, const json_t *v, int64_t wall_ms)
{
    bool was = zt_json_bool(json_object_get(e->doc, "authorized"), false);
    bool now = zt_json_bool(v, false);
    if (v == NULL || now == was)
        return;
    set(e, "authorized", json_boolean(now));
    set(e, now ? "lastAuthorizedTime" : "lastDeauthorizedTime", json_integer(wall_ms));
    if (now) {
        set(e, "lastAuthorizedCredentialType", json_string("api"));
        set(e, "lastAuthorizedCredential", json_null());
    }
}

int zt_ctl_member_post(json_t *doc, const json_t *body, int64_t wall_ms, const char **why)
{
    static const struct field fields[] = {
        {"activeBridge", post_false},
        {"noAutoAssignIps", post_false},
        {"authenticationExpiryTime", post_number},
        {"name", post_text},
        {"remoteTraceTarget", post_trace_target},
        {"remoteTraceLevel", post_number},
        {"ipAssignments", post_member_ips},
        {"tags", post_member_tags},
        {"capabilities", post_member_caps},
    };
    const json_t *ips = json_object_get(body, "ipAssignments");
    struct edit e = {doc, false};
    *why = NULL;
    for (size_t i = 0; i < json_array_size(ips); i++) {
        if (!json_is_string(json_array_get(ips, i))) {
            *why = "ipAssignments: type must be string";
            return ZT_E_INVAL;
        }
    }
    set(&e, "remoteTraceLevel", json_integer(0)); /* as for networks */
    post_fields(&e, fields, sizeof fields / sizeof *fields, body);
    post_authorized(&e, json_object_get(body, "authorized"), wall_ms);
    return done(&e);
}
