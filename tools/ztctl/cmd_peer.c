/* Other nodes: peers, peer, paths. */
#include "ztctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"

static const json_t *direct_path(const json_t *peer)
{
    const json_t *p;
    size_t i;
    json_array_foreach(json_object_get(peer, "paths"), i, p)
    {
        if (zc_true(p, "preferred") && !zc_true(p, "expired"))
            return p;
    }
    return NULL;
}

static bool is_root(const json_t *peer)
{
    return strcmp(zc_str(peer, "role"), "LEAF") != 0;
}

static const char *version_of(const json_t *peer)
{
    const char *version = zc_str(peer, "version");
    return strcmp(version, "-1.-1.-1") == 0 ? "-" : version;
}

static void peer_row(struct zc_table *t, const json_t *peer)
{
    const json_t *path = direct_path(peer);
    int64_t ms = zc_int(peer, "latency", -1);
    zc_cell(t, ZC_PLAIN, zc_str(peer, "address"));
    zc_cell(t, ZC_PLAIN, zc_str(peer, "role"));
    zc_cell(t, ZC_PLAIN, version_of(peer));
    if (ms < 0)
        zc_cell(t, ZC_PLAIN, "-");
    else
        zc_cellf(t, ZC_PLAIN, "%lld ms", (long long)ms);
    /* Nobody passes anything on to a root. */
    const char *link = path != NULL ? "DIRECT" : is_root(peer) ? "SILENT" : "RELAY";
    zc_cell(t, path != NULL ? ZC_GREEN : is_root(peer) ? ZC_RED : ZC_YELLOW, link);
    zc_cell(t, ZC_PLAIN, path != NULL ? zc_str(path, "address") : "-");
}

int zc_cmd_peers(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    const json_t *p;
    struct zc_table t;
    size_t i;
    if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'; 'ztctl peer PEER' shows one", argv[0]);
    int code = zc_command(zc, "peers", &d);
    if (code != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    zc_head(&t, "PEER|ROLE|VERSION|LATENCY|LINK|PATH");
    json_array_foreach(d, i, p) peer_row(&t, p);
    zc_table_print(&t);
    json_decref(d);
    zc_hint_offline(zc, NULL);
    return ZC_OK;
}

/* "3.2 s", "4 min": how long ago a wall-clock time in ms is; "never" for 0. */
static const char *ago(int64_t ms, char out[32])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)ms / 1e3;
    if (ms == 0)
        snprintf(out, 32, "never");
    else if (s < 100)
        snprintf(out, 32, "%.1f s ago", s < 0 ? 0 : s);
    else if (s < 6000)
        snprintf(out, 32, "%.0f min ago", s / 60);
    else
        snprintf(out, 32, "%.0f h ago", s / 3600);
    return out;
}

static void path_row(struct zc_table *t, const json_t *peer, const json_t *path)
{
    char in[32], out[32];
    bool expired = zc_true(path, "expired"), used = zc_true(path, "preferred") && !expired;
    int64_t ms = zc_int(path, "latency", -1);
    zc_cell(t, ZC_PLAIN, zc_str(peer, "address"));
    zc_cell(t, used ? ZC_GREEN : ZC_PLAIN, used ? "USED" : expired ? "OLD" : "SPARE");
    zc_cell(t, ZC_PLAIN, zc_str(path, "address"));
    zc_cell(t, ZC_PLAIN, zc_str(path, "local"));
    if (ms < 0)
        zc_cell(t, ZC_PLAIN, "-");
    else
        zc_cellf(t, ZC_PLAIN, "%lld ms", (long long)ms);
    zc_cell(t, ZC_PLAIN, ago(zc_int(path, "lastReceive", 0), in));
    zc_cell(t, ZC_PLAIN, ago(zc_int(path, "lastSend", 0), out));
}

/* Paths of all peers in the list; how many. */
static size_t print_paths(const json_t *peers)
{
    struct zc_table t;
    const json_t *peer, *path;
    size_t i, j, n = 0;
    json_array_foreach((json_t *)(uintptr_t)peers, i, peer)
    {
        json_array_foreach(json_object_get(peer, "paths"), j, path)
        {
            if (n++ == 0)
                zc_head(&t, "PEER|STATE|ENDPOINT|FROM|LATENCY|HEARD|SENT");
            path_row(&t, peer, path);
        }
    }
    if (n > 0)
        zc_table_print(&t);
    return n;
}

/* The peers, or the one with this address, as an array. */
static int get_peers(const struct zc *zc, const char *address, json_t **out)
{
    uint64_t addr;
    json_t *d, *p;
    size_t i;
    if (address != NULL && zt_hex_parse_u64(address, 10, &addr) != 0)
        return zc_usage(zc, "'%s' is not a node's address: 10 hex digits", address);
    int code = zc_command(zc, "peers", &d);
    if (code != ZC_OK || address == NULL) {
        *out = d;
        return code;
    }
    *out = json_array();
    json_array_foreach(d, i, p)
    {
        uint64_t one;
        if (zt_hex_parse_u64(zc_str(p, "address"), 10, &one) == 0 && one == addr)
            json_array_append(*out, p);
    }
    json_decref(d);
    if (json_array_size(*out) > 0)
        return ZC_OK;
    json_decref(*out);
    return zc_fail(zc, "node %s is not known here: nothing was sent to it or heard of it lately",
                   address);
}

int zc_cmd_paths(struct zc *zc, int argc, char **argv)
{
    json_t *peers, *path, *peer;
    size_t i, j;
    if (argc > 1)
        return zc_usage(zc, "unexpected argument '%s'", argv[1]);
    int code = get_peers(zc, argc > 0 ? argv[0] : NULL, &peers);
    if (code != ZC_OK)
        return code;
    if (zc->json) {
        json_t *all = json_array();
        json_array_foreach(peers, i, peer)
        {
            json_array_foreach(json_object_get(peer, "paths"), j, path)
            {
                json_object_set(path, "peer", json_object_get(peer, "address"));
                json_array_append(all, path);
            }
        }
        json_decref(peers);
        return zc_print_json(all);
    }
    if (print_paths(peers) == 0 && !zc_hint_offline(zc, NULL))
        puts("no direct path is known; what is sent goes through a root");
    json_decref(peers);
    return ZC_OK;
}

int zc_cmd_peer(struct zc *zc, int argc, char **argv)
{
    json_t *peers;
    if (argc != 1)
        return zc_usage(zc, "give the address of one node: 10 hex digits");
    int code = get_peers(zc, argv[0], &peers);
    if (code != ZC_OK)
        return code;
    json_t *p = json_incref(json_array_get(peers, 0));
    if (zc->json) {
        json_decref(peers);
        return zc_print_json(p);
    }
    const json_t *path = direct_path(p);
    int64_t ms = zc_int(p, "latency", -1);
    printf("address   %s\nrole      %s\nversion   %s\n", zc_str(p, "address"), zc_str(p, "role"),
           version_of(p));
    if (path != NULL)
        printf("link      %sdirect%s, to %s\n", zc_tint(ZC_GREEN), zc_tint(ZC_DEFAULT),
               zc_str(path, "address"));
    else if (is_root(p))
        printf("link      %snone%s: this root does not answer\n", zc_tint(ZC_RED),
               zc_tint(ZC_DEFAULT));
    else
        printf("link      %srelayed%s through a root\n", zc_tint(ZC_YELLOW), zc_tint(ZC_DEFAULT));
    if (ms >= 0)
        printf("latency   %lld ms\n", (long long)ms);
    printf("alive     %s\n", zc_true(p, "alive") ? "yes" : "not heard of lately");
    if (json_array_size(json_object_get(p, "paths")) > 0)
        putchar('\n');
    print_paths(peers);
    json_decref(p);
    json_decref(peers);
    return ZC_OK;
}
