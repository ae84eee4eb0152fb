/* The local API of the controller, path by path (vl2.md 10.6). What changes a record is answered
 * when the change is safe on disk; everything else at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/controller_db.h"
#include "node/controller_json.h"
#include "node/json.h"

#define API_VERSION 4
#define TRIALS 1000 /* of random ids for a new network */

struct call {
    struct zt_node *n;
    struct zt_ctl_db *db;
    const struct zt_api_request *r;
    uint64_t nwid, addr;
    struct zt_api_to to;
};

static int64_t wall(const struct call *c)
{
    return zt_loop_now(c->n->loop)->wall_ms;
}

/* ---- looking -----------------------------------------------------------------------------------
 */

static void get_controller(const struct call *c)
{
    char text[160];
    snprintf(text, sizeof text,
             "{\n\t\"controller\": true,\n\t\"apiVersion\": %d,\n\t\"clock\": %lld,\n"
             "\t\"databaseReady\": true\n}\n",
             API_VERSION, (long long)wall(c));
    zt_api_text(c->to, 200, "application/json", text);
}

static void get_networks(const struct call *c)
{
    size_t n;
    uint64_t *ids = zt_ctl_db_networks(c->db, &n);
    json_t *list = ids != NULL ? json_array() : NULL;
    for (size_t i = 0; list != NULL && i < n; i++)
        json_array_append_new(list, zt_api_hex(ids[i], 16));
    free(ids);
    zt_api_json(c->to, 200, list);
}

static void get_text(const struct call *c, const char *text)
{
    if (text != NULL)
        zt_api_text(c->to, 200, "application/json", text);
    else
        zt_api_empty(c->to, 404);
}

static void get_network(const struct call *c)
{
    get_text(c, zt_ctl_db_network(c->db, c->nwid));
}

static void get_member(const struct call *c)
{
    get_text(c, zt_ctl_db_member(c->db, c->nwid, c->addr));
}

/* Members that may join; of these rows. */
static size_t count_authorized(const struct zt_ctl_row *rows, size_t n)
{
    size_t authorized = 0;
    for (size_t i = 0; i < n; i++)
        authorized += rows[i].is_authorized;
    return authorized;
}

static void get_members(const struct call *c)
{
    size_t n;
    if (zt_ctl_db_network(c->db, c->nwid) == NULL) {
        zt_api_empty(c->to, 404);
        return;
    }
    struct zt_ctl_row *rows = zt_ctl_db_members(c->db, c->nwid, &n);
    json_t *o = rows != NULL ? json_object() : NULL;
    for (size_t i = 0; o != NULL && i < n; i++) {
        char id[11];
        snprintf(id, sizeof id, "%010llx", (unsigned long long)rows[i].addr);
        json_object_set_new(o, id, zt_api_number(rows[i].revision));
    }
    free(rows);
    zt_api_json(c->to, 200, o);
}

/* Each member's text as it is: twenty thousand documents to parse would hold up the loop. */
static char *whole_members(const struct zt_ctl_row *rows, size_t n)
{
    size_t size = 128;
    for (size_t i = 0; i < n; i++)
        size += strlen(rows[i].text) + 1;
    char *text = malloc(size), *p = text;
    if (text == NULL)
        return NULL;
    p += sprintf(p, "{\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            *p++ = ',';
        p = stpcpy(p, rows[i].text);
    }
    snprintf(p, size - (size_t)(p - text), "],\"meta\":{\"authorizedCount\":%zu,\"totalCount\":%zu}}",
             count_authorized(rows, n), n);
    return text;
}

static void get_members_whole(const struct call *c)
{
    size_t n;
    if (zt_ctl_db_network(c->db, c->nwid) == NULL) {
        zt_api_empty(c->to, 404);
        return;
    }
    struct zt_ctl_row *rows = zt_ctl_db_members(c->db, c->nwid, &n);
    char *text = rows != NULL ? whole_members(rows, n) : NULL;
    free(rows);
    if (text != NULL)
        zt_api_text(c->to, 200, "application/json", text);
    else
        zt_api_error(c->to, 500, "out of memory");
    free(text);
}

static void get_networks_whole(const struct call *c)
{
    size_t n, members;
    uint64_t *ids = zt_ctl_db_networks(c->db, &n);
    json_t *data = ids != NULL ? json_array() : NULL;
    for (size_t i = 0; data != NULL && i < n; i++) {
        bool none;
        json_t *net = zt_ctl_db_read(c->db, ids[i], 0, &none);
        struct zt_ctl_row *rows = zt_ctl_db_members(c->db, ids[i], &members);
        if (net != NULL && rows != NULL)
            json_object_set_new(net, "meta",
                                json_pack("{s:I,s:I}", "totalMemberCount", (json_int_t)members,
                                          "authorizedMemberCount",
                                          (json_int_t)count_authorized(rows, members)));
        free(rows);
        json_array_append_new(data, net);
    }
    free(ids);
    zt_api_json(c->to, 200,
                json_pack("{s:o,s:{s:I}}", "data", data, "meta", "networkCount",
                          (json_int_t)(data != NULL ? n : 0)));
}

/* ---- changing ----------------------------------------------------------------------------------
 */

/* The body of a POST. NULL: it was answered. */
static json_t *parse_body(const struct call *c)
{
    json_error_t e;
    char why[JSON_ERROR_TEXT_LENGTH + 64];
    json_t *body = zt_ctl_parse(c->r->body != NULL ? c->r->body : "", c->r->nbody, &e);
    if (body != NULL)
        return body;
    snprintf(why, sizeof why, "parse error at line %d, column %d: %s", e.line, e.column, e.text);
    zt_api_error(c->to, 500, why);
    return NULL;
}

static void post(const struct call *c, uint64_t nwid, uint64_t addr)
{
    const char *why = NULL;
    bool is_new;
    json_t *body = parse_body(c);
    if (body == NULL)
        return;
    json_t *doc = zt_ctl_db_read(c->db, nwid, addr, &is_new);
    if (is_new)
        doc = json_object();
    int rc = doc == NULL ? ZT_E_NOMEM
             : addr == 0 ? zt_ctl_network_defaults(doc, nwid, wall(c))
                         : zt_ctl_member_defaults(doc, nwid, addr, wall(c));
    if (rc == 0)
        rc = addr == 0 ? zt_ctl_network_post(doc, body, &why)
                       : zt_ctl_member_post(doc, body, wall(c), &why);
    if (rc == 0)
        zt_ctl_db_put(c->db, nwid, addr, doc, c->to);
    else
        zt_api_error(c->to, 500, why != NULL ? why : "out of memory");
    json_decref(doc);
    json_decref(body);
}

static void post_network(const struct call *c)
{
    post(c, c->nwid, 0);
}

static void post_member(const struct call *c)
{
    if (zt_ctl_db_network(c->db, c->nwid) == NULL || c->addr == 0)
        zt_api_empty(c->to, 404);
    else
        post(c, c->nwid, c->addr);
}

/* With a random id. */
static void create_network(const struct call *c)
{
    for (unsigned i = 0; i < TRIALS; i++) {
        uint64_t nwid;
        c->n->host.random(c->n->host.user, &nwid, sizeof nwid);
        nwid = c->n->identity.addr << 24 | (nwid & 0xffffff);
        if ((nwid & 0xffffff) == 0 || zt_ctl_db_network(c->db, nwid) != NULL)
            continue;
        post(c, nwid, 0);
        return;
    }
    zt_api_empty(c->to, 503);
}

static void create_network_here(const struct call *c)
{
    if (c->nwid == c->n->identity.addr)
        create_network(c);
    else
        zt_api_empty(c->to, 400);
}

static void delete_network(const struct call *c)
{
    zt_ctl_db_delete(c->db, c->nwid, 0, c->to);
}

static void delete_member(const struct call *c)
{
    if (c->addr == 0)
        zt_api_empty(c->to, 404);
    else
        zt_ctl_db_delete(c->db, c->nwid, c->addr, c->to);
}

/* ---- the table ---------------------------------------------------------------------------------
 */

/* In a pattern N is 16 hex digits (a network), C and M ten (an address); the rest is literal. */
static const struct {
    const char *method, *pattern;
    void (*run)(const struct call *c);
} paths[] = {
    {"GET", "/controller", get_controller},
    {"GET", "/controller/network", get_networks},
    {"POST", "/controller/network", create_network},
    {"POST", "/controller/network/C______", create_network_here},
    {"GET", "/controller/network/N", get_network},
    {"POST", "/controller/network/N", post_network},
    {"DELETE", "/controller/network/N", delete_network},
    {"GET", "/controller/network/N/member", get_members},
    {"GET", "/controller/network/N/member/M", get_member},
    {"POST", "/controller/network/N/member/M", post_member},
    {"DELETE", "/controller/network/N/member/M", delete_member},
    {"GET", "/unstable/controller/network", get_networks_whole},
    {"GET", "/unstable/controller/network/N/member", get_members_whole},
};

/* The hex digits at p as a number; their end, or NULL. */
static const char *take_hex(const char *p, unsigned digits, uint64_t *out)
{
    char text[17];
    if (strnlen(p, digits) < digits)
        return NULL;
    memcpy(text, p, digits);
    text[digits] = 0;
    return zt_hex_parse_u64(text, digits, out) == 0 ? p + digits : NULL;
}

static bool matches(const char *pattern, const char *path, struct call *c)
{
    c->nwid = c->addr = 0;
    for (; *pattern != 0 && path != NULL; pattern++) {
        if (*pattern == 'N')
            path = take_hex(path, 16, &c->nwid);
        else if (*pattern == 'C')
            path = take_hex(path, 10, &c->nwid);
        else if (*pattern == 'M')
            path = take_hex(path, 10, &c->addr);
        else if (*path++ != *pattern)
            return false;
    }
    return path != NULL && *path == 0;
}

void zt_controller_api(struct zt_node *n, const struct zt_api_request *r, zt_api_done *done,
                       void *arg)
{
    struct call c = {.n = n, .db = n->controller, .r = r, .to = {done, arg}};

    for (size_t i = 0; c.db != NULL && i < sizeof paths / sizeof *paths; i++) {
        if (strcmp(paths[i].method, r->method) == 0 && matches(paths[i].pattern, r->path, &c)) {
            paths[i].run(&c);
            zt_host_drain(n);
            return;
        }
    }
    zt_api_empty(c.to, 404);
}
