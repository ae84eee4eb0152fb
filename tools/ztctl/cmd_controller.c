/* ztctl controller: networks and members of the controller that the running node is, by way of the
 * local API (/controller/...), whose names of fields these are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "controller_set.h"

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

/* ---- one request -------------------------------------------------------------------------------
 */

/* The node knows no such network, or member of it. */
static int say_missing(const struct zc *zc, const char *nwid, const char *addr)
{
    char path[PATH_MAX_LEN], msg[256], own[16] = "";
    json_t *info, *network = NULL;
    int status = 0;
    if (zc_command_quiet(zc->home, "info", &info, msg, sizeof msg) == 0) {
        snprintf(own, sizeof own, "%.10s", zc_str(info, "address"));
        json_decref(info);
    }
    if (strncmp(nwid, own, 10) != 0)
        return zc_fail(zc, "this node, %s, is not the controller of %s: that is node %.10s, so ask there", own,
                       nwid, nwid);
    network_path(nwid, path);
    if (addr == NULL || (zc_api_status(zc, "GET", path, NULL, &status, &network) == ZC_OK && status == 404))
        return zc_fail(zc, "there is no network %s; '%s controller networks' shows those that there are", nwid,
                       zc_self(zc));
    json_decref(network);
    return zc_fail(zc, "%s has not asked to join %s; '%s controller members %s' shows who has", addr, nwid,
                   zc_self(zc), nwid);
}

/* About this network, or (addr not NULL) a member of it. */
static int ask(const struct zc *zc, const char *method, const char *path, const char *nwid, const char *addr,
               const json_t *body, json_t **out)
{
    int status, code = zc_api_status(zc, method, path, body, &status, out);
    return code == ZC_OK && status == 404 ? say_missing(zc, nwid, addr) : code;
}

/* Elements of lists that the controller did not take, of what was set. */
static int check_left_out(const struct zc *zc, const json_t *body, const json_t *doc)
{
    const char *key;
    json_t *v;
    int code = ZC_OK;
    json_object_foreach((json_t *)(uintptr_t)body, key, v)
    {
        size_t n = json_array_size(v), kept = json_array_size(json_object_get(doc, key));
        if (kept < n)
            code = zc_fail(zc, "%zu of the %zu %s were not understood, and are left out", n - kept, n, key);
    }
    return code;
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
    fflush(stdout);
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
    int code = ask(zc, "GET", path, argv[0], NULL, NULL, &all);
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
    int code = ask(zc, "GET", path, argv[0], argc > 1 ? argv[1] : NULL, NULL, &doc);
    return code == ZC_OK ? zc_print_json(doc) : code;
}

/* ---- changes -----------------------------------------------------------------------------------
 */

/* The answer to a POST of body; both are freed. */
static int print_id(const struct zc *zc, json_t *body, json_t *doc)
{
    int code = check_left_out(zc, body, doc);
    json_decref(body);
    if (zc->json) {
        zc_print_json(doc);
        return code;
    }
    puts(zc_str(doc, "id"));
    json_decref(doc);
    return code;
}

static int cmd_new(struct zc *zc, int argc, char **argv)
{
    json_t *body, *doc;
    int code = zc_controller_settings(zc, false, NULL, argc, argv, &body);
    if (code != ZC_OK)
        return code;
    code = zc_api(zc, "POST", "/controller/network", body, &doc);
    if (code == ZC_OK)
        return print_id(zc, body, doc);
    json_decref(body);
    return code;
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
    code = ask(zc, "GET", path, argv[0], NULL, NULL, &old);
    if (code == ZC_OK)
        code = zc_controller_settings(zc, of_member, old, argc - 1 - of_member, argv + 1 + of_member, &body);
    json_decref(old);
    if (code != ZC_OK)
        return code;
    if (of_member)
        member_path(argv[0], argv[1], path);
    code = ask(zc, "POST", path, argv[0], of_member ? argv[1] : NULL, body, &doc);
    if (code == ZC_OK)
        return print_id(zc, body, doc);
    json_decref(body);
    return code;
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
        code = ask(zc, method, path, argv[0], argv[i], body, &doc);
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
    int code = ask(zc, "DELETE", path, argv[0], NULL, NULL, &doc);
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
