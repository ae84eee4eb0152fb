/* What 'ztctl controller new' and 'set' take: KEY=VALUE, each checked and brought into the body of a POST.
 * The controller is generous, as everybody's tools expect (vl2.md 9.6): what it can't read counts as
 * false, or as nothing. Whoever types 'private=maybe' must not get a public network for it. */
#include "controller_set.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/buf.h"

/* ---- keys with a form of their own ------------------------------------------------------------- */

/* "a,b" as an array of texts. */
static json_t *list_of(const char *text)
{
    json_t *list = json_array();
    for (const char *p = text; *p != '\0'; p += *p == ',') {
        size_t n = strcspn(p, ",");
        if (n > 0)
            json_array_append_new(list, json_stringn(p, n));
        p += n;
    }
    return list;
}

static struct zt_ep address_at(const struct zt_ep *net, uint32_t host)
{
    uint8_t ip[4];
    zt_put32(ip, zt_be32(net->ip) + host);
    return zt_ep_make(4, ip, 0);
}

/* ipv4=PREFIX: a route for it, a pool of its hosts, and addresses are given out. Other routes stay,
 * as do pools of the other family. */
static int set_ipv4(const struct zc *zc, const json_t *old, const char *text, json_t *body)
{
    struct zt_ep net, whole;
    char t[3][ZT_EP_STR];
    json_t *v;
    size_t i;
    if (zt_ep_parse(text, &net) != 0 || net.family != 4 || net.port < 8 || net.port > 30)
        return zc_usage(zc, "'%s' is not an IPv4 network, such as 10.147.20.0/24", text);
    whole = zt_ep_network(&net);
    zt_ep_format(&whole, t[0]);
    struct zt_ep first = address_at(&whole, 1);
    /* The end of a pool is not given out. */
    struct zt_ep last = address_at(&whole, (1u << (32 - net.port)) - 1);
    zt_ep_format_ip(&first, t[1]);
    zt_ep_format_ip(&last, t[2]);

    json_t *routes = json_array(), *pools = json_array();
    json_array_foreach(json_object_get(old, "routes"), i, v)
    {
        if (strcmp(zc_str(v, "target"), t[0]) != 0)
            json_array_append(routes, v);
    }
    json_array_append_new(routes, json_pack("{s:s,s:n}", "target", t[0], "via"));
    json_array_foreach(json_object_get(old, "ipAssignmentPools"), i, v)
    {
        if (strchr(zc_str(v, "ipRangeStart"), ':') != NULL)
            json_array_append(pools, v);
    }
    json_array_append_new(pools, json_pack("{s:s,s:s}", "ipRangeStart", t[1], "ipRangeEnd", t[2]));
    json_object_set_new(body, "routes", routes);
    json_object_set_new(body, "ipAssignmentPools", pools);
    json_object_set_new(body, "v4AssignMode", json_pack("{s:b}", "zt", 1));
    return ZC_OK;
}

/* route=TARGET or route=TARGET,GATEWAY: one more. */
static int add_route(const struct zc *zc, const json_t *old, const char *text, json_t *body)
{
    json_t *given = list_of(text), *routes = json_object_get(body, "routes"), *v;
    const char *target = json_string_value(json_array_get(given, 0));
    const char *via = json_string_value(json_array_get(given, 1));
    struct zt_ep ep, gateway;
    size_t i;
    if (target == NULL || zt_ep_parse(target, &ep) != 0 || strchr(target, '/') == NULL ||
        ep.port > (ep.family == 4 ? 32 : 128) ||
        (via != NULL && (zt_ep_parse(via, &gateway) != 0 || gateway.family != ep.family))) {
        json_decref(given);
        return zc_usage(zc, "'%s' is not a route, such as 192.168.4.0/24,10.147.20.7", text);
    }
    if (routes == NULL) {
        routes = json_array();
        json_array_foreach(json_object_get(old, "routes"), i, v) json_array_append(routes, v);
        json_object_set_new(body, "routes", routes);
    }
    json_array_append_new(routes, json_pack("{s:s,s:s?}", "target", target, "via", via));
    json_decref(given);
    return ZC_OK;
}

/* rules=FILE: what 'ztctl rules compile' printed. */
static int set_rules(const struct zc *zc, const json_t *old, const char *file, json_t *body)
{
    static const char *const parts[] = {"rules", "capabilities", "tags"};
    json_error_t e;
    json_t *doc = json_load_file(file, 0, &e);
    if (doc == NULL)
        return zc_fail(zc, "%s:%d: %s (see 'ztctl rules compile')", file, e.line, e.text);
    const json_t *from =
        json_object_get(doc, "config") != NULL ? json_object_get(doc, "config") : doc;
    if (!json_is_array(json_object_get(from, "rules"))) {
        json_decref(doc);
        return zc_fail(zc, "%s has no rules (see 'ztctl rules compile')", file);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        json_t *v = json_object_get(from, parts[i]);
        if (v != NULL)
            json_object_set(body, parts[i], v);
    }
    json_decref(doc);
    return ZC_OK;
}

static bool is_ip(const char *text)
{
    unsigned char ip[16];
    return inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1;
}

/* dns=DOMAIN,SERVER...; dns= takes it away. */
static int set_dns(const struct zc *zc, const json_t *old, const char *text, json_t *body)
{
    json_t *servers = list_of(text), *v;
    const char *domain = json_string_value(json_array_get(servers, 0));
    size_t i, good = 0;
    json_array_foreach(servers, i, v) good += i > 0 && is_ip(json_string_value(v));
    if (domain != NULL && (good == 0 || good + 1 < json_array_size(servers))) {
        json_decref(servers);
        return zc_usage(zc, "'%s' is not a domain and addresses of its servers, such as office.lan,10.147.20.7",
                        text);
    }
    json_t *dns = json_pack("{s:s}", "domain", domain != NULL ? domain : "");
    json_array_remove(servers, 0);
    json_object_set_new(dns, "servers", servers);
    json_object_set_new(body, "dns", dns);
    return ZC_OK;
}

/* token=TEXT: lets members in that show it; token= takes all away. */
static int add_token(const struct zc *zc, const json_t *old, const char *text, json_t *body)
{
    const json_t *had = json_object_get(old, "authTokens");
    json_t *tokens = json_is_object(had) ? json_deep_copy(had) : json_object();
    if (text[0] == '\0')
        json_object_clear(tokens);
    else
        json_object_set_new(tokens, text, json_integer(0));
    json_object_set_new(body, "authTokens", tokens);
    return ZC_OK;
}

/* ipv6=rfc4193,6plane,zt: those, and no other; ipv6= none. */
static int set_ipv6(const struct zc *zc, const json_t *old, const char *text, json_t *body)
{
    json_t *modes = json_pack("{s:b,s:b,s:b}", "rfc4193", 0, "6plane", 0, "zt", 0), *words = list_of(text), *v;
    size_t i;
    bool ok = true;
    json_array_foreach(words, i, v)
    {
        const char *word = json_string_value(v);
        ok = ok && json_object_get(modes, word) != NULL;
        if (ok)
            json_object_set_new(modes, word, json_true());
    }
    json_decref(words);
    if (!ok) {
        json_decref(modes);
        return zc_usage(zc, "'%s' is none of rfc4193, 6plane, zt, nor several with commas", text);
    }
    json_object_set_new(body, "v6AssignMode", modes);
    return ZC_OK;
}

/* ip=ADDRESS,...: these, and no other. */
static int set_ips(const struct zc *zc, const json_t *old, const char *text, json_t *body)
{
    json_t *list = list_of(text), *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (!is_ip(json_string_value(v))) {
            int code = zc_usage(zc, "'%s' is not an IP address, such as 10.147.20.7", json_string_value(v));
            json_decref(list);
            return code;
        }
    }
    json_object_set_new(body, "ipAssignments", list);
    return ZC_OK;
}

/* ---- the table --------------------------------------------------------------------------------- */

enum kind { SPECIAL, TEXT, SWITCH, NUMBER, OBJECT, LIST, NODE };

struct key {
    const char *name, *field; /* field NULL: the same */
    enum kind kind;
    int64_t least, most; /* NUMBER */
    int (*set)(const struct zc *zc, const json_t *old, const char *text, json_t *body);
};

#define COUNT_MAX INT32_MAX
#define TIME_MAX ((int64_t)1 << 52)

static const struct key network_keys[] = {
    {.name = "ipv4", .set = set_ipv4},
    {.name = "route", .set = add_route},
    {.name = "rules", .set = set_rules},
    {.name = "dns", .set = set_dns},
    {.name = "token", .set = add_token},
    {.name = "ipv6", .set = set_ipv6},
    {.name = "name", .kind = TEXT},
    {.name = "broadcast", .field = "enableBroadcast", .kind = SWITCH},
    {.name = "private", .kind = SWITCH},
    {.name = "mtu", .kind = NUMBER, .least = 1280, .most = 10000},
    {.name = "multicastLimit", .kind = NUMBER, .most = COUNT_MAX},
    {.name = "enableBroadcast", .kind = SWITCH},
    {.name = "routes", .kind = LIST},
    {.name = "tags", .kind = LIST},
    {.name = "capabilities", .kind = LIST},
    {.name = "ipAssignmentPools", .kind = LIST},
    {.name = "authTokens", .kind = OBJECT},
    {.name = "v4AssignMode", .kind = OBJECT},
    {.name = "v6AssignMode", .kind = OBJECT},
    {.name = "remoteTraceTarget", .kind = NODE},
    {.name = "remoteTraceLevel", .kind = NUMBER, .most = COUNT_MAX},
    {0},
};

static const struct key member_keys[] = {
    {.name = "ip", .set = set_ips},
    {.name = "name", .kind = TEXT},
    {.name = "bridge", .field = "activeBridge", .kind = SWITCH},
    {.name = "authorized", .kind = SWITCH},
    {.name = "activeBridge", .kind = SWITCH},
    {.name = "noAutoAssignIps", .kind = SWITCH},
    {.name = "ipAssignments", .kind = LIST},
    {.name = "tags", .kind = LIST},
    {.name = "capabilities", .kind = LIST},
    {.name = "remoteTraceTarget", .kind = NODE},
    {.name = "remoteTraceLevel", .kind = NUMBER, .most = COUNT_MAX},
    {.name = "authenticationExpiryTime", .kind = NUMBER, .least = -1, .most = TIME_MAX},
    {0},
};

const char *zc_controller_key(bool of_member, size_t i)
{
    return (of_member ? member_keys : network_keys)[i].name;
}

static json_t *as_switch(const char *text)
{
    static const char *const words[][2] = {{"true", "false"}, {"1", "0"}, {"yes", "no"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int off = 0; off < 2; off++)
            if (strcmp(text, words[i][off]) == 0)
                return json_boolean(!off);
    return NULL;
}

static json_t *as_number(const char *text, int64_t least, int64_t most)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && n >= least && n <= most ? json_integer(n) : NULL;
}

/* The JSON that was typed, when it is of this kind. */
static json_t *as_json(const char *text, enum kind kind)
{
    json_t *v = json_loads(text, 0, NULL);
    if (v != NULL && kind == LIST && !json_is_array(v)) {
        json_decref(v);
        v = NULL;
    }
    return v;
}

/* Ten hex digits, or nothing. */
static json_t *as_node(const char *text)
{
    uint64_t addr;
    if (text[0] == '\0')
        return json_null();
    return zt_hex_parse_u64(text, 10, &addr) == 0 ? json_string(text) : NULL;
}

static int set_plain(const struct zc *zc, const struct key *k, const char *text, json_t *body)
{
    json_t *v = NULL;
    char want[64] = "";
    switch (k->kind) {
    case SPECIAL:
    case TEXT:
        v = json_string(text);
        snprintf(want, sizeof want, "a text in UTF-8");
        break;
    case SWITCH:
        v = as_switch(text);
        snprintf(want, sizeof want, "true or false");
        break;
    case NUMBER:
        v = as_number(text, k->least, k->most);
        snprintf(want, sizeof want, "a number from %" PRId64 " to %" PRId64, k->least, k->most);
        break;
    case OBJECT:
    case LIST:
        v = as_json(text, k->kind);
        snprintf(want, sizeof want, "JSON, %s", k->kind == LIST ? "in [ ]" : "in { } or [ ]");
        break;
    case NODE:
        v = as_node(text);
        snprintf(want, sizeof want, "a node's address (10 hex digits), or nothing");
        break;
    }
    if (v == NULL)
        return zc_usage(zc, "%s: '%s' is not %s", k->name, text, want);
    json_object_set_new(body, k->field != NULL ? k->field : k->name, v);
    return ZC_OK;
}

static int set_one(const struct zc *zc, bool of_member, const json_t *old, const char *text, json_t *body)
{
    const struct key *k = of_member ? member_keys : network_keys;
    const char *eq = strchr(text, '=');
    size_t n = eq != NULL ? (size_t)(eq - text) : 0;
    if (n == 0)
        return zc_usage(zc, "'%s' is not KEY=VALUE", text);
    while (k->name != NULL && (strlen(k->name) != n || strncmp(k->name, text, n) != 0))
        k++;
    if (k->name == NULL)
        return zc_usage(zc, "'%.*s' is nothing that can be set", (int)n, text);
    return k->set != NULL ? k->set(zc, old, eq + 1, body) : set_plain(zc, k, eq + 1, body);
}

int zc_controller_settings(const struct zc *zc, bool of_member, const json_t *old, int argc, char **argv,
                           json_t **out)
{
    json_t *body = json_object();
    for (int i = 0; i < argc; i++) {
        int code = set_one(zc, of_member, old, argv[i], body);
        if (code != ZC_OK) {
            json_decref(body);
            return code;
        }
    }
    *out = body;
    return ZC_OK;
}
