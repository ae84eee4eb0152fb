/* What a running node knows and does: info, join, leave, set, get, networks, peers, sockets, ping,
 * resolve.
 */
#include "ztctl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int no_args(const struct zc *zc, int argc, char **argv)
{
    return argc == 0 ? ZC_OK : zc_usage(zc, "unexpected argument '%s'", argv[0]);
}

/* "12.3 MB": for people; exact numbers are in the JSON. */
static const char *human(int64_t n, char out[32])
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)n;
    unsigned u = 0;
    while (v >= 1000 && u + 1 < sizeof unit / sizeof unit[0]) {
        v /= 1000;
        u++;
    }
    snprintf(out, 32, u == 0 ? "%.0f %s" : "%.1f %s", v, unit[u]);
    return out;
}

static void print_drops(const json_t *drops)
{
    const char *name;
    const json_t *n;
    struct zc_table t;
    if (json_object_size(drops) == 0)
        return;
    zc_table_init(&t, 2);
    zc_cell(&t, ZC_BOLD, "REFUSED");
    zc_cell(&t, ZC_BOLD, "TIMES");
    json_object_foreach((json_t *)drops, name, n)
    {
        zc_cell(&t, ZC_PLAIN, name);
        zc_cellf(&t, ZC_PLAIN, "%lld", (long long)json_integer_value(n));
    }
    putchar('\n');
    zc_table_print(&t);
}

int zc_cmd_info(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    int code = no_args(zc, argc, argv);
    if (code != ZC_OK || (code = zc_command(zc, "info", &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    char in[32], out[32];
    int64_t roots = zc_int(d, "roots", -1);
    printf("address   %s%s\n", zc_str(d, "address"), zc_true(d, "isRoot") ? " (a root)" : "");
    printf("state     %s%s\n", zc_true(d, "online") ? "online" : "offline",
           roots == 0 ? ": no planet file, so no root servers" : "");
    printf("version   %s, speaks %s\n", zc_str(d, "libztVersion"), zc_str(d, "version"));
    printf("home      %s\n", zc->home);
    printf("port      UDP %lld\n", (long long)zc_int(d, "port", 0));
    printf("knows     %lld networks, %lld peers, %lld roots\n", (long long)zc_int(d, "networks", 0),
           (long long)zc_int(d, "peers", 0), (long long)(roots < 0 ? 0 : roots));
    printf("traffic   in %s, out %s, %lld packets relayed\n", human(zc_int(d, "bytesIn", 0), in),
           human(zc_int(d, "bytesOut", 0), out), (long long)zc_int(d, "packetsRelayed", 0));
    print_drops(json_object_get(d, "drops"));
    json_decref(d);
    return ZC_OK;
}

static int network_command(struct zc *zc, const char *verb, int argc, char **argv, json_t **d)
{
    char text[64];
    if (argc != 1)
        return zc_usage(zc, "give one network id: 16 hex digits, such as ff0000ffff000000");
    int code = zc_check_nwid(zc, argv[0]);
    if (code != ZC_OK)
        return code;
    snprintf(text, sizeof text, "%s %s", verb, argv[0]);
    return zc_command(zc, text, d);
}

static void network_row(struct zc_table *t, const json_t *n)
{
    char addrs[512] = "";
    const json_t *a;
    size_t i, len = 0;
    const char *status = zc_str(n, "status");
    json_array_foreach(json_object_get(n, "usedAddresses"), i, a)
    {
        int put = snprintf(addrs + len, sizeof addrs - len, "%s%s", i > 0 ? " " : "",
                           json_string_value(a) != NULL ? json_string_value(a) : "?");
        len += (size_t)put;
        if (len >= sizeof addrs)
            break;
    }
    zc_cell(t, ZC_PLAIN, zc_str(n, "id"));
    zc_cell(t, ZC_PLAIN, zc_str(n, "name"));
    zc_cell(t, strcmp(status, "OK") == 0 ? ZC_GREEN : ZC_YELLOW, status);
    zc_cell(t, ZC_PLAIN, zc_str(n, "mac"));
    zc_cell(t, ZC_PLAIN, addrs[0] != '\0' ? addrs : "-");
}

static void network_table(struct zc_table *t)
{
    static const char *const head[] = {"NETWORK", "NAME", "STATUS", "MAC", "ADDRESSES"};
    zc_table_init(t, 5);
    for (unsigned i = 0; i < 5; i++)
        zc_cell(t, ZC_BOLD, head[i]);
}

int zc_cmd_join(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    struct zc_table t;
    int code = network_command(zc, "join", argc, argv, &d);
    if (code != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    network_table(&t);
    network_row(&t, d);
    zc_table_print(&t);
    json_decref(d);
    return ZC_OK;
}

int zc_cmd_leave(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    int code = network_command(zc, "leave", argc, argv, &d);
    if (code != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    printf("left %s\n", argv[0]);
    json_decref(d);
    return ZC_OK;
}

int zc_cmd_networks(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    const json_t *n;
    struct zc_table t;
    size_t i;
    int code = no_args(zc, argc, argv);
    if (code != ZC_OK || (code = zc_command(zc, "networks", &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    if (json_array_size(d) == 0) {
        puts("no network is joined; join one with: ztctl join NWID");
    } else {
        network_table(&t);
        json_array_foreach(d, i, n) network_row(&t, n);
        zc_table_print(&t);
    }
    json_decref(d);
    return ZC_OK;
}

/* Command text: verb and words with spaces between them. */
static int join_words(const struct zc *zc, const char *verb, int argc, char **argv, char *out,
                      size_t cap)
{
    size_t at = (size_t)snprintf(out, cap, "%s", verb);
    for (int i = 0; i < argc; i++) {
        if (strpbrk(argv[i], " \t\n") != NULL)
            return zc_usage(zc, "'%s' has a space in it", argv[i]);
        at += (size_t)snprintf(out + at, cap - at, " %s", argv[i]);
        if (at >= cap)
            return zc_usage(zc, "too long");
    }
    return ZC_OK;
}

/* Settings and properties, one a line: lists in one line, flags as 1 and 0. */
static void print_property(const json_t *v)
{
    const json_t *e;
    size_t i;
    if (json_is_string(v)) {
        printf("%s\n", json_string_value(v));
    } else if (json_is_boolean(v)) {
        printf("%d\n", json_is_true(v));
    } else if (json_is_integer(v)) {
        printf("%lld\n", (long long)json_integer_value(v));
    } else if (json_is_array(v)) {
        json_array_foreach((json_t *)v, i, e) print_property(e);
    } else if (json_is_object(v)) {
        char *text = json_dumps(v, JSON_COMPACT);
        printf("%s\n", text != NULL ? text : "");
        free(text);
    } else {
        putchar('\n');
    }
}

int zc_cmd_get(struct zc *zc, int argc, char **argv)
{
    char text[256];
    json_t *d;
    if (argc < 1 || argc > 2)
        return zc_usage(zc, "give a network id, and the name of a property if you like");
    int code = zc_check_nwid(zc, argv[0]);
    if (code == ZC_OK)
        code = join_words(zc, "get", argc, argv, text, sizeof text);
    if (code != ZC_OK || (code = zc_command(zc, text, &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    if (argc == 2) {
        print_property(json_object_get(d, argv[1]));
    } else {
        const char *key;
        const json_t *v;
        json_object_foreach(d, key, v)
        {
            if (!json_is_array(v) && !json_is_object(v)) {
                printf("%s=", key);
                print_property(v);
            }
        }
    }
    json_decref(d);
    return ZC_OK;
}

int zc_cmd_set(struct zc *zc, int argc, char **argv)
{
    static const char *const names[] = {"allowManaged", "allowGlobal", "allowDefault", "allowDNS"};
    char text[3000];
    json_t *d;
    if (argc < 2)
        return zc_usage(zc, "give a network id and settings: allowDefault=1");
    int code = zc_check_nwid(zc, argv[0]);
    if (code == ZC_OK)
        code = join_words(zc, "set", argc, argv, text, sizeof text);
    if (code != ZC_OK || (code = zc_command(zc, text, &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        printf("%s=%d\n", names[i], zc_true(d, names[i]));
    json_decref(d);
    return ZC_OK;
}

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

static void peer_row(struct zc_table *t, const json_t *peer)
{
    const json_t *path = direct_path(peer);
    const char *version = zc_str(peer, "version");
    int64_t ms = zc_int(peer, "latency", -1);
    zc_cell(t, ZC_PLAIN, zc_str(peer, "address"));
    zc_cell(t, ZC_PLAIN, zc_str(peer, "role"));
    zc_cell(t, ZC_PLAIN, strcmp(version, "-1.-1.-1") == 0 ? "-" : version);
    if (ms < 0)
        zc_cell(t, ZC_PLAIN, "-");
    else
        zc_cellf(t, ZC_PLAIN, "%lld ms", (long long)ms);
    zc_cell(t, path != NULL ? ZC_GREEN : ZC_YELLOW, path != NULL ? "DIRECT" : "RELAY");
    zc_cell(t, ZC_PLAIN, path != NULL ? zc_str(path, "address") : "-");
}

int zc_cmd_peers(struct zc *zc, int argc, char **argv)
{
    static const char *const head[] = {"PEER", "ROLE", "VERSION", "LATENCY", "LINK", "PATH"};
    json_t *d;
    const json_t *p;
    struct zc_table t;
    size_t i;
    int code = no_args(zc, argc, argv);
    if (code != ZC_OK || (code = zc_command(zc, "peers", &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    zc_table_init(&t, 6);
    for (i = 0; i < 6; i++)
        zc_cell(&t, ZC_BOLD, head[i]);
    json_array_foreach(d, i, p) peer_row(&t, p);
    zc_table_print(&t);
    json_decref(d);
    return ZC_OK;
}

int zc_cmd_sockets(struct zc *zc, int argc, char **argv)
{
    static const char *const head[] = {"TYPE", "STATE", "LOCAL", "REMOTE", "RECEIVED", "SENT"};
    json_t *d;
    const json_t *s;
    struct zc_table t;
    size_t i;
    char n[32];
    int code = no_args(zc, argc, argv);
    if (code != ZC_OK || (code = zc_command(zc, "sockets", &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    zc_table_init(&t, 6);
    for (i = 0; i < 6; i++)
        zc_cell(&t, ZC_BOLD, head[i]);
    json_array_foreach(d, i, s)
    {
        zc_cell(&t, ZC_PLAIN, zc_str(s, "type"));
        zc_cell(&t, ZC_PLAIN, zc_str(s, "state"));
        zc_cell(&t, ZC_PLAIN, zc_str(s, "local"));
        zc_cell(&t, ZC_PLAIN, zc_str(s, "remote"));
        zc_cell(&t, ZC_PLAIN, human(zc_int(s, "rxBytes", 0), n));
        zc_cell(&t, ZC_PLAIN, human(zc_int(s, "txBytes", 0), n));
    }
    zc_table_print(&t);
    json_decref(d);
    return ZC_OK;
}

struct ping {
    const char *address;
    long count;
    double interval_s;
};

static int ping_args(const struct zc *zc, int argc, char **argv, struct ping *p)
{
    unsigned char ip[16];
    *p = (struct ping){.count = 4, .interval_s = 1};
    for (int i = 0; i < argc; i++) {
        char *end = NULL;
        bool c = strcmp(argv[i], "-c") == 0, s = strcmp(argv[i], "-i") == 0;
        if ((c || s) && i + 1 < argc) {
            i++;
            if (c)
                p->count = strtol(argv[i], &end, 10);
            else
                p->interval_s = strtod(argv[i], &end);
            if (*end != '\0' || p->count < 1 || !(p->interval_s >= 0 && p->interval_s <= 3600))
                return zc_usage(zc, "'%s' is not a %s", argv[i], c ? "count" : "time in seconds");
        } else if (argv[i][0] == '-' || p->address != NULL) {
            return zc_usage(zc, "unexpected argument '%s'", argv[i]);
        } else {
            p->address = argv[i];
        }
    }
    if (p->address == NULL)
        return zc_usage(zc, "give a virtual address");
    if (inet_pton(AF_INET, p->address, ip) != 1 && inet_pton(AF_INET6, p->address, ip) != 1)
        return zc_usage(zc, "'%s' is not an IP address", p->address);
    return ZC_OK;
}

/* One probe: the time in ms, -1 no answer, -2 the exit code is in *code. */
static double probe(const struct zc *zc, const char *address, int *code)
{
    char text[128], msg[1024];
    json_t *d;
    snprintf(text, sizeof text, "ping %s", address);
    int err = zc_command_quiet(zc->home, text, &d, msg, sizeof msg);
    if (err == 0) {
        double ms = json_number_value(json_object_get(d, "ms"));
        json_decref(d);
        return ms;
    }
    if (err == ETIMEDOUT || err == EHOSTUNREACH)
        return -1;
    if (err == ENOENT || err == ECONNREFUSED)
        *code = zc_no_node(zc);
    else
        *code = zc_fail(zc, "%s: %s", address, msg[0] != '\0' ? msg : strerror(err));
    return -2;
}

int zc_cmd_ping(struct zc *zc, int argc, char **argv)
{
    struct ping p;
    int code = ping_args(zc, argc, argv, &p);
    if (code != ZC_OK)
        return code;
    long answered = 0;
    double sum = 0, best = 0, worst = 0;
    json_t *times = json_array();
    for (long i = 0; i < p.count; i++) {
        if (i > 0) {
            struct timespec t = {(time_t)p.interval_s,
                                 (long)((p.interval_s - (double)(time_t)p.interval_s) * 1e9)};
            nanosleep(&t, NULL);
        }
        double ms = probe(zc, p.address, &code);
        if (ms < -1) {
            json_decref(times);
            return code;
        }
        json_array_append_new(times, ms < 0 ? json_null() : json_real(ms));
        if (ms >= 0) {
            best = answered == 0 || ms < best ? ms : best;
            worst = ms > worst ? ms : worst;
            sum += ms;
            answered++;
        }
        if (!zc->json && ms >= 0)
            printf("%s answered in %.2f ms\n", p.address, ms);
        else if (!zc->json)
            printf("%s did not answer\n", p.address);
        fflush(stdout);
    }
    if (zc->json) {
        zc_print_json(json_pack("{s:s,s:I,s:I,s:o}", "address", p.address, "sent",
                                (json_int_t)p.count, "answered", (json_int_t)answered, "ms",
                                times));
    } else {
        printf("%ld sent, %ld answered", p.count, answered);
        if (answered > 0)
            printf(", fastest %.2f, mean %.2f, slowest %.2f ms", best, sum / (double)answered,
                   worst);
        putchar('\n');
        json_decref(times);
    }
    return answered > 0 ? ZC_OK : ZC_FAILED;
}

int zc_cmd_resolve(struct zc *zc, int argc, char **argv)
{
    const char *name = NULL;
    char family = '0', text[300];
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-4") == 0 || strcmp(argv[i], "-6") == 0)
            family = argv[i][1];
        else if (argv[i][0] == '-' || name != NULL)
            return zc_usage(zc, "unexpected '%s'", argv[i]);
        else
            name = argv[i];
    }
    if (name == NULL)
        return zc_usage(zc, "which name?");
    if (snprintf(text, sizeof text, "resolve %c %s", family, name) >= (int)sizeof text)
        return zc_fail(zc, "no name is that long");
    json_t *out, *address;
    size_t i;
    int code = zc_command(zc, text, &out);
    if (code != ZC_OK || zc->json)
        return code == ZC_OK ? zc_print_json(out) : code;
    json_array_foreach(out, i, address) puts(json_string_value(address));
    json_decref(out);
    return ZC_OK;
}
