/* ztctl controller: networks and members of the controller that the running node is, by way of the
 * local API (/controller/...), whose names of fields these are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/buf.h"
#include "ztctl.h"

#define PATH_MAX_LEN 96

static int check_address(const struct zc *zc, const char *text)
{
    uint64_t addr;
    if (zt_hex_parse_u64(text, 10, &addr) == 0 && addr != 0)
        return ZC_OK;
    return zc_usage(zc, "'%s' is not a node's address: 10 hex digits ('ztctl info' there shows it)",
                    text);
}

static void network_path(const char *nwid, char out[PATH_MAX_LEN])
{
    snprintf(out, PATH_MAX_LEN, "/controller/network/%s", nwid);
}

static void member_path(const char *nwid, const char *addr, char out[PATH_MAX_LEN])
{
    snprintf(out, PATH_MAX_LEN, "/controller/network/%s/member/%s", nwid, addr);
}

/* ---- what to set: KEY=VALUE --------------------------------------------------------------------
 */

/* JSON when it is some, else text. */
static json_t *value_of(const char *text)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    return v != NULL ? v : json_string(text);
}

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
static int set_rules(const struct zc *zc, const char *file, json_t *body)
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

static int set_dns(const char *text, json_t *body)
{
    json_t *servers = list_of(text), *domain = json_array_get(servers, 0);
    json_object_set_new(body, "dns",
                        json_pack("{s:s,s:o}", "domain",
                                  domain != NULL ? json_string_value(domain) : "", "servers",
                                  json_array()));
    json_array_remove(servers, 0);
    json_object_set_new(json_object_get(body, "dns"), "servers", servers);
    return ZC_OK;
}

/* token=TEXT: lets members in that show it; token= takes all away. */
static int add_token(const json_t *old, const char *text, json_t *body)
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

static int network_setting(const struct zc *zc, const json_t *old, const char *key,
                           const char *value, json_t *body)
{
    if (strcmp(key, "ipv4") == 0)
        return set_ipv4(zc, old, value, body);
    if (strcmp(key, "route") == 0)
        return add_route(zc, old, value, body);
    if (strcmp(key, "rules") == 0)
        return set_rules(zc, value, body);
    if (strcmp(key, "dns") == 0)
        return set_dns(value, body);
    if (strcmp(key, "token") == 0)
        return add_token(old, value, body);
    if (strcmp(key, "ipv6") == 0)
        json_object_set_new(body, "v6AssignMode", json_string(value));
    else if (strcmp(key, "name") == 0)
        json_object_set_new(body, "name", json_string(value));
    else if (strcmp(key, "broadcast") == 0)
        json_object_set_new(body, "enableBroadcast", value_of(value));
    else
        json_object_set_new(body, key, value_of(value));
    return ZC_OK;
}

static int member_setting(const char *key, const char *value, json_t *body)
{
    if (strcmp(key, "ip") == 0)
        json_object_set_new(body, "ipAssignments", list_of(value));
    else if (strcmp(key, "name") == 0)
        json_object_set_new(body, "name", json_string(value));
    else if (strcmp(key, "bridge") == 0)
        json_object_set_new(body, "activeBridge", value_of(value));
    else
        json_object_set_new(body, key, value_of(value));
    return ZC_OK;
}

const char *const zc_network_keys[] = {
    "ipv4", "route", "rules", "dns", "token", "ipv6", "name", "broadcast", "private", "mtu",
    "multicastLimit", "enableBroadcast", "routes", "tags", "capabilities", "ipAssignmentPools",
    "authTokens", "v4AssignMode", "v6AssignMode", "remoteTraceTarget", "remoteTraceLevel", NULL
};
const char *const zc_member_keys[] = {
    "ip", "name", "bridge", "authorized", "activeBridge", "noAutoAssignIps", "ipAssignments",
    "tags", "capabilities", "remoteTraceTarget", "remoteTraceLevel", "authenticationExpiryTime",
    NULL
};

/* A field that the controller knows, to be told from a typing error: it ignores others. */
static bool is_known(bool of_member, const char *key)
{
    for (const char *const *k = of_member ? zc_member_keys : zc_network_keys; *k != NULL; k++)
        if (strcmp(key, *k) == 0)
            return true;
    return false;
}

/* All arguments into a body for a POST. old: the network as it is, or NULL. */
static int settings(const struct zc *zc, bool of_member, const json_t *old, int argc, char **argv,
                    json_t **out)
{
    json_t *body = json_object();
    for (int i = 0; i < argc; i++) {
        char key[64];
        const char *eq = strchr(argv[i], '=');
        size_t n = eq != NULL ? (size_t)(eq - argv[i]) : 0;
        int code;
        snprintf(key, sizeof key, "%.*s", (int)n, argv[i]);
        if (n == 0 || n >= sizeof key)
            code = zc_usage(zc, "'%s' is not KEY=VALUE", argv[i]);
        else if (!is_known(of_member, key))
            code = zc_usage(zc, "'%s' is nothing that can be set", key);
        else if (of_member)
            code = member_setting(key, eq + 1, body);
        else
            code = network_setting(zc, old, key, eq + 1, body);
        if (code != ZC_OK) {
            json_decref(body);
            return code;
        }
    }
    *out = body;
    return ZC_OK;
}

/* ---- what there is -----------------------------------------------------------------------------
 */

static void join_texts(const json_t *list, const char *key, char *out, size_t cap)
{
    size_t i, at = 0;
    json_t *v;
    snprintf(out, cap, "-");
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
    {
        const char *text = key != NULL ? zc_str(v, key) : json_string_value(v);
        if (text != NULL && at < cap)
            at += (size_t)snprintf(out + at, cap - at, "%s%s", at > 0 ? " " : "", text);
    }
}

static void print_networks(const json_t *list)
{
    struct zc_table t;
    json_t *n;
    size_t i;
    zc_head(&t, "NETWORK|NAME|ACCESS|MEMBERS|ROUTES");
    json_array_foreach((json_t *)(uintptr_t)list, i, n)
    {
        char routes[256];
        const json_t *meta = json_object_get(n, "meta");
        join_texts(json_object_get(n, "routes"), "target", routes, sizeof routes);
        zc_cell(&t, ZC_PLAIN, zc_str(n, "id"));
        zc_cell_name(&t, zc_str(n, "name"));
        zc_cell(&t, ZC_PLAIN, zc_true(n, "private") ? "private" : "public");
        zc_cellf(&t, ZC_PLAIN, "%lld of %lld", (long long)zc_int(meta, "authorizedMemberCount", 0),
                 (long long)zc_int(meta, "totalMemberCount", 0));
        zc_cell(&t, ZC_PLAIN, routes);
    }
    zc_table_print(&t);
}

static int cmd_networks(struct zc *zc, int argc, char **argv)
{
    json_t *all;
    int code = zc_api(zc, "GET", "/unstable/controller/network", NULL, &all);
    if (code != ZC_OK)
        return code;
    json_t *list = json_incref(json_object_get(all, "data"));
    json_decref(all);
    if (zc->json)
        return zc_print_json(list);
    if (json_array_size(list) == 0)
        printf("this node has no network of its own; make one: %s controller new name=NAME "
               "ipv4=10.147.20.0/24\n",
               zc_self(zc));
    else
        print_networks(list);
    json_decref(list);
    return ZC_OK;
}

static void print_members(const json_t *list)
{
    struct zc_table t;
    json_t *m;
    size_t i;
    zc_head(&t, "NODE|AUTHORIZED|NAME|VERSION|ADDRESSES");
    json_array_foreach((json_t *)(uintptr_t)list, i, m)
    {
        char ips[512];
        bool in = zc_true(m, "authorized");
        join_texts(json_object_get(m, "ipAssignments"), NULL, ips, sizeof ips);
        zc_cell(&t, ZC_PLAIN, zc_str(m, "id"));
        zc_cell(&t, in ? ZC_GREEN : ZC_YELLOW, in ? "yes" : "no");
        zc_cell_name(&t, zc_str(m, "name"));
        if (zc_int(m, "vMajor", -1) < 0)
            zc_cell(&t, ZC_PLAIN, "-");
        else
            zc_cellf(&t, ZC_PLAIN, "%lld.%lld.%lld", (long long)zc_int(m, "vMajor", 0),
                     (long long)zc_int(m, "vMinor", 0), (long long)zc_int(m, "vRev", 0));
        zc_cell(&t, ZC_PLAIN, ips);
    }
    zc_table_print(&t);
}

/* Who waits at the door. */
static void hint_members(const struct zc *zc, const char *nwid, const json_t *list)
{
    json_t *m;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, m)
    {
        if (!zc_true(m, "authorized")) {
            fprintf(stderr, "to let one in: %s controller authorize %s %s\n", zc_self(zc), nwid,
                    zc_str(m, "id"));
            return;
        }
    }
}

static int cmd_members(struct zc *zc, int argc, char **argv)
{
    char path[PATH_MAX_LEN];
    json_t *all;
    snprintf(path, sizeof path, "/unstable/controller/network/%s/member", argv[0]);
    int code = zc_api(zc, "GET", path, NULL, &all);
    if (code != ZC_OK)
        return code;
    json_t *list = json_incref(json_object_get(all, "data"));
    json_decref(all);
    if (zc->json)
        return zc_print_json(list);
    if (json_array_size(list) == 0)
        printf("nobody has asked yet; on another node: ztctl join %s\n", argv[0]);
    else
        print_members(list);
    hint_members(zc, argv[0], list);
    json_decref(list);
    return ZC_OK;
}

static int cmd_show(struct zc *zc, int argc, char **argv)
{
    char path[PATH_MAX_LEN];
    json_t *doc;
    if (argc == 1)
        network_path(argv[0], path);
    else
        member_path(argv[0], argv[1], path);
    int code = zc_api(zc, "GET", path, NULL, &doc);
    return code == ZC_OK ? zc_print_json(doc) : code;
}

/* ---- changes -----------------------------------------------------------------------------------
 */

static int print_id(const struct zc *zc, json_t *doc)
{
    if (zc->json)
        return zc_print_json(doc);
    puts(zc_str(doc, "id"));
    json_decref(doc);
    return ZC_OK;
}

static int cmd_new(struct zc *zc, int argc, char **argv)
{
    json_t *body, *doc;
    int code = settings(zc, false, NULL, argc, argv, &body);
    if (code != ZC_OK)
        return code;
    code = zc_api(zc, "POST", "/controller/network", body, &doc);
    json_decref(body);
    return code == ZC_OK ? print_id(zc, doc) : code;
}

static int cmd_set(struct zc *zc, int argc, char **argv)
{
    bool of_member = argc > 1 && strchr(argv[1], '=') == NULL;
    int code = of_member ? check_address(zc, argv[1]) : ZC_OK;
    char path[PATH_MAX_LEN];
    json_t *old = NULL, *body, *doc;
    if (code != ZC_OK)
        return code;
    network_path(argv[0], path);
    /* A POST to an unknown network makes it; that is for 'new'. */
    code = zc_api(zc, "GET", path, NULL, &old);
    if (code == ZC_OK)
        code = settings(zc, of_member, old, argc - 1 - of_member, argv + 1 + of_member, &body);
    json_decref(old);
    if (code != ZC_OK)
        return code;
    if (of_member)
        member_path(argv[0], argv[1], path);
    code = zc_api(zc, "POST", path, body, &doc);
    json_decref(body);
    return code == ZC_OK ? print_id(zc, doc) : code;
}

/* The same POST, or DELETE when body is NULL, for each of the addresses. */
static int for_members(struct zc *zc, int argc, char **argv, const char *method, json_t *body,
                       const char *done)
{
    char path[PATH_MAX_LEN];
    json_t *doc, *all = json_array();
    int code = ZC_OK;
    for (int i = 1; i < argc && code == ZC_OK; i++)
        code = check_address(zc, argv[i]);
    for (int i = 1; i < argc && code == ZC_OK; i++) {
        member_path(argv[0], argv[i], path);
        code = zc_api(zc, method, path, body, &doc);
        if (code == ZC_OK)
            json_array_append_new(all, doc);
    }
    if (code == ZC_OK && zc->json)
        return zc_print_json(all);
    json_decref(all);
    for (int i = 1; i < argc && code == ZC_OK; i++)
        printf("%s %s\n", argv[i], done);
    return code;
}

static int cmd_authorize(struct zc *zc, int argc, char **argv)
{
    bool in = strcmp(argv[-1], "authorize") == 0;
    json_t *body = json_pack("{s:b}", "authorized", in);
    int code = for_members(zc, argc, argv, "POST", body, in ? "authorized" : "deauthorized");
    json_decref(body);
    return code;
}

static int cmd_delete(struct zc *zc, int argc, char **argv)
{
    char path[PATH_MAX_LEN];
    json_t *doc;
    if (argc > 1)
        return for_members(zc, argc, argv, "DELETE", NULL, "deleted");
    network_path(argv[0], path);
    int code = zc_api(zc, "DELETE", path, NULL, &doc);
    if (code == ZC_OK && zc->json)
        return zc_print_json(doc);
    if (code == ZC_OK)
        printf("%s deleted\n", argv[0]);
    json_decref(code == ZC_OK ? doc : NULL);
    return code;
}

/* ---- the table ---------------------------------------------------------------------------------
 */

int zc_cmd_controller(struct zc *zc, int argc, char **argv)
{
    static const struct {
        const char *name;
        int least, most; /* arguments behind it; the first is a network when there must be one */
        zc_run *run;
    } verbs[] = {
        {"networks", 0, 0, cmd_networks},
        {"new", 0, 64, cmd_new},
        {"show", 1, 2, cmd_show},
        {"set", 2, 66, cmd_set},
        {"members", 1, 1, cmd_members},
        {"authorize", 2, 65536, cmd_authorize},
        {"deauthorize", 2, 65536, cmd_authorize},
        {"delete", 1, 65536, cmd_delete},
    };
    if (argc == 0)
        return zc_usage(zc, "what is to be done? networks, new, show, set, members, authorize, "
                            "deauthorize or delete");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(argv[0], verbs[i].name) != 0)
            continue;
        if (argc - 1 < verbs[i].least)
            return zc_usage(zc,
                            verbs[i].least == 1 ? "%s needs a network id"
                            : strcmp(argv[0], "set") == 0
                                ? "%s needs a network id and KEY=VALUE"
                                : "%s needs a network id and addresses of nodes",
                            argv[0]);
        if (argc - 1 > verbs[i].most)
            return zc_usage(zc, "unexpected argument '%s'", argv[verbs[i].most + 1]);
        int code = verbs[i].least > 0 ? zc_check_nwid(zc, argv[1]) : ZC_OK;
        if (code == ZC_OK && strcmp(argv[0], "show") == 0 && argc == 3)
            code = check_address(zc, argv[2]);
        return code == ZC_OK ? verbs[i].run(zc, argc - 1, argv + 1) : code;
    }
    return zc_usage(zc,
                    "'%s' is none of networks, new, show, set, members, authorize, "
                    "deauthorize, delete",
                    argv[0]);
}
