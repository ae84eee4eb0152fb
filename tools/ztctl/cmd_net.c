/* The node and its networks: info, join, leave, networks, set, get. */
#include "ztctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOIN_TRIES 40 /* together two seconds */
#define JOIN_STEP_MS 50

const char *const zc_setting_keys[] = {"allowManaged", "allowGlobal", "allowDefault", "allowDNS",
                                       NULL};

static int no_args(const struct zc *zc, int argc, char **argv)
{
    return argc == 0 ? ZC_OK : zc_usage(zc, "unexpected argument '%s'", argv[0]);
}

static void print_drops(const json_t *drops)
{
    const char *name;
    const json_t *n;
    struct zc_table t;
    if (json_object_size(drops) == 0)
        return;
    zc_head(&t, "REFUSED|TIMES");
    json_object_foreach((json_t *)drops, name, n)
    {
        zc_cell(&t, ZC_PLAIN, name);
        zc_cellf(&t, ZC_PLAIN, "%lld", (long long)json_integer_value(n));
    }
    putchar('\n');
    zc_table_print(&t);
}

/* "1 peer", "2 peers" */
static void print_count(const json_t *d, const char *key, const char *end)
{
    long long n = (long long)zc_int(d, key, 0);
    printf("%lld %.*s%s", n, (int)strlen(key) - (n == 1), key, end);
}

static void print_info(const struct zc *zc, const json_t *d)
{
    char in[32], out[32];
    bool online = zc_true(d, "online");
    int64_t second = zc_int(d, "secondaryPort", 0);
    printf("address   %s%s\n", zc_str(d, "address"), zc_true(d, "isRoot") ? " (a root)" : "");
    printf("state     %s%s%s\n", zc_tint(online ? ZC_GREEN : ZC_YELLOW), online ? "online" : "offline",
           zc_tint(ZC_DEFAULT));
    printf("version   %s, speaks %s\n", zc_str(d, "libztVersion"), zc_str(d, "version"));
    printf("home      %s, process %lld\n", zc->home, (long long)zc_int(d, "pid", 0));
    printf("port      UDP %lld", (long long)zc_int(d, "port", 0));
    if (second > 0)
        printf(" and %lld", (long long)second);
    if (json_is_string(json_object_get(d, "mapped")))
        printf(", on the router %s", zc_str(d, "mapped"));
    printf("\nknows     ");
    print_count(d, "networks", ", ");
    print_count(d, "peers", ", ");
    print_count(d, "roots", "\n");
    printf("traffic   in %s, out %s, %lld packets relayed\n", zc_human(zc_int(d, "bytesIn", 0), in),
           zc_human(zc_int(d, "bytesOut", 0), out), (long long)zc_int(d, "packetsRelayed", 0));
}

int zc_cmd_info(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    int code = no_args(zc, argc, argv);
    if (code != ZC_OK || (code = zc_command(zc, "info", &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    print_info(zc, d);
    print_drops(json_object_get(d, "drops"));
    zc_hint_offline(zc, d);
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
    char addrs[2048] = "";
    const json_t *a;
    size_t i, len = 0;
    const char *status = zc_str(n, "status");
    json_array_foreach(json_object_get(n, "usedAddresses"), i, a)
    {
        if (len < sizeof addrs)
            len += (size_t)snprintf(addrs + len, sizeof addrs - len, "%s%s", i > 0 ? " " : "",
                                    json_string_value(a) != NULL ? json_string_value(a) : "?");
    }
    zc_cell(t, ZC_PLAIN, zc_str(n, "id"));
    zc_cell_name(t, zc_str(n, "name"));
    zc_cell(t, strcmp(status, "OK") == 0 ? ZC_GREEN : ZC_YELLOW, status);
    zc_cell(t, ZC_PLAIN, zc_str(n, "mac"));
    zc_cell(t, ZC_PLAIN, addrs[0] != '\0' ? addrs : "-");
}

static void print_networks(const json_t *networks)
{
    struct zc_table t;
    const json_t *n;
    size_t i;
    zc_head(&t, "NETWORK|NAME|STATUS|MAC|ADDRESSES");
    json_array_foreach((json_t *)(uintptr_t)networks, i, n) network_row(&t, n);
    zc_table_print(&t);
}

/* People want to know whether they are in. Waits for the controller's answer, for a moment. */
static void wait_for_answer(const struct zc *zc, const char *nwid, json_t **d)
{
    char text[64], msg[256];
    snprintf(text, sizeof text, "get %s", nwid);
    for (int i = 0; i < JOIN_TRIES; i++) {
        json_t *now;
        if (strcmp(zc_str(*d, "status"), "REQUESTING_CONFIGURATION") != 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = JOIN_STEP_MS * 1000000L}, NULL);
        if (zc_command_quiet(zc->home, text, &now, msg, sizeof msg) != 0)
            return;
        json_decref(*d);
        *d = now;
    }
}

int zc_cmd_join(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    int code = network_command(zc, "join", argc, argv, &d);
    if (code != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    wait_for_answer(zc, argv[0], &d);
    json_t *list = json_pack("[o]", d);
    print_networks(list);
    zc_hint_networks(zc, NULL, list);
    json_decref(list);
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
    int code = no_args(zc, argc, argv);
    if (code != ZC_OK || (code = zc_command(zc, "networks", &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    if (json_array_size(d) == 0)
        printf("no network is joined; join one with: %s join NWID\n", zc_self(zc));
    else
        print_networks(d);
    zc_hint_networks(zc, NULL, d);
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
        char *text = zc_clean(json_string_value(v), ZC_CELL_MAX);
        puts(text);
        free(text);
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
    for (const char *const *key = zc_setting_keys; *key != NULL; key++)
        printf("%s=%d\n", *key, zc_true(d, *key));
    json_decref(d);
    return ZC_OK;
}
