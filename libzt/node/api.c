/* The local API's table of paths, and the pieces that its answers are made of. Each family of paths
 * has a file: api_status.c, api_net.c, api_peer.c, api_moon.c, metrics.c; /controller is the
 * controller's.
 *
 * What is not in the table is 404 without a body: unknown paths, wrong methods, ids of a wrong
 * length, a trailing slash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/api_priv.h"

/* ---- answers -----------------------------------------------------------------------------------
 */

void zt_api_text(struct zt_api_to to, int status, const char *type, const char *text)
{
    to.done(to.arg, status, type, text, strlen(text));
}

void zt_api_empty(struct zt_api_to to, int status)
{
    to.done(to.arg, status, NULL, "", 0);
}

static void send_doc(struct zt_api_to to, int status, json_t *doc, size_t flags)
{
    char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT | flags) : NULL;
    json_decref(doc);
    if (text != NULL)
        zt_api_text(to, status, "application/json", text);
    else
        zt_api_text(to, 500, "application/json",
                    "{\"error\":500,\"description\":\"out of memory\"}");
    free(text);
}

void zt_api_json(struct zt_api_to to, int status, json_t *doc)
{
    send_doc(to, status, doc, JSON_SORT_KEYS);
}

void zt_api_error(struct zt_api_to to, int status, const char *text)
{
    send_doc(to, status, json_pack("{s:i,s:s}", "error", status, "description", text), 0);
}

/* ---- pieces ------------------------------------------------------------------------------------
 */

json_t *zt_api_hex(uint64_t v, int digits)
{
    char text[24];
    snprintf(text, sizeof text, "%0*llx", digits, (unsigned long long)v);
    return json_string(text);
}

json_t *zt_api_mac(uint64_t mac)
{
    char t[24];
    snprintf(t, sizeof t, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac >> 40 & 255),
             (unsigned)(mac >> 32 & 255), (unsigned)(mac >> 24 & 255), (unsigned)(mac >> 16 & 255),
             (unsigned)(mac >> 8 & 255), (unsigned)(mac & 255));
    return json_string(t);
}

json_t *zt_api_ep(const struct zt_ep *ep)
{
    char t[ZT_EP_STR];
    return ep->family == 0 ? json_null() : json_string(zt_ep_format(ep, t));
}

json_t *zt_api_ip(const struct zt_ep *ep)
{
    char t[ZT_EP_STR];
    return ep->family == 0 ? json_null() : json_string(zt_ep_format_ip(ep, t));
}

json_t *zt_api_number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

json_t *zt_api_string(const char *text)
{
    json_t *t = json_string(text);
    return t != NULL ? t : json_string("");
}

json_t *zt_api_result(void)
{
    return json_pack("{s:b}", "result", 1);
}

/* ---- the table ---------------------------------------------------------------------------------
 */

enum method {
    GET,
    POST,
    DELETE,
    UNKNOWN,
};

static const struct route {
    const char *path;
    unsigned digits; /* of the id behind it; 0: none */
    enum method method;
    zt_api_handler *run;
} routes[] = {
    {"/status", 0, GET, zt_api_status},    {"/health", 0, GET, zt_api_health},
    {"/config", 0, GET, zt_api_config},    {"/config/settings", 0, POST, zt_api_settings},
    {"/network", 0, GET, zt_api_networks}, {"/network/", 16, GET, zt_api_network},
    {"/network/", 16, POST, zt_api_join},  {"/network/", 16, DELETE, zt_api_leave},
    {"/peer", 0, GET, zt_api_peers},       {"/peer/", 10, GET, zt_api_peer},
    {"/moon", 0, GET, zt_api_moons},       {"/moon/", 10, GET, zt_api_moon},
    {"/moon/", 10, POST, zt_api_orbit},    {"/moon/", 10, DELETE, zt_api_deorbit},
    {"/metrics", 0, GET, zt_api_metrics},
};

static enum method method_of(const char *text)
{
    if (strcmp(text, "GET") == 0 || strcmp(text, "HEAD") == 0)
        return GET;
    if (strcmp(text, "POST") == 0 || strcmp(text, "PUT") == 0)
        return POST;
    return strcmp(text, "DELETE") == 0 ? DELETE : UNKNOWN;
}

static bool matches(const struct route *t, const char *path, uint64_t *id)
{
    size_t n = strlen(t->path);
    *id = 0;
    if (t->digits == 0)
        return strcmp(path, t->path) == 0;
    return strncmp(path, t->path, n) == 0 && zt_hex_parse_u64(path + n, t->digits, id) == 0;
}

/* Is it this path, or one below it? */
static bool below(const char *path, const char *top)
{
    size_t n = strlen(top);
    return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

void zt_api_call(struct zt_node *n, const struct zt_api_request *r, zt_api_done *done, void *arg)
{
    static const char *const names[] = {[GET] = "GET", [POST] = "POST", [DELETE] = "DELETE"};
    struct zt_api_to to = {done, arg};
    enum method m = method_of(r->method);
    uint64_t id;
    zt_loop_update(n->loop);
    zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    zt_loop_touch(n->loop);
    if (m == UNKNOWN) {
        zt_api_empty(to, 404);
        return;
    }
    if (below(r->path, "/controller") || below(r->path, "/unstable/controller")) {
        struct zt_api_request c = *r;
        c.method = names[m];
        zt_controller_api(n, &c, done, arg);
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (routes[i].method == m && matches(&routes[i], r->path, &id)) {
            routes[i].run(n, r, id, to);
            return;
        }
    zt_api_empty(to, 404);
}
