/* watch: the node's events as they come (ZT_CTL_COMMAND "watch"). */
#include "ztctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct watch {
    const struct zc *zc;
    long left; /* events to show; -1: no end */
};

static void print_clock(const json_t *e)
{
    time_t at = (time_t)(zc_int(e, "clock", 0) / 1000);
    struct tm tm;
    char text[16] = "--:--:--";
    if (at == 0)
        at = time(NULL); /* not an event of the node's */
    if (localtime_r(&at, &tm) != NULL)
        strftime(text, sizeof text, "%H:%M:%S", &tm);
    printf("%s  ", text);
}

static bool has(const json_t *list, const char *text)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), text) == 0)
            return true;
    }
    return false;
}

/* What is in a and not in b, each with the sign before it. */
static void print_difference(const json_t *a, const json_t *b, const char *sign)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)a, i, v)
    {
        if (json_is_string(v) && !has(b, json_string_value(v)))
            printf(" %s%s", sign, json_string_value(v));
    }
}

static void print_network(const json_t *e)
{
    const char *status = zc_str(e, "status");
    const json_t *now = json_object_get(e, "addresses"), *was = json_object_get(e, "addressesBefore");
    char *name = zc_clean(zc_str(e, "name"), ZC_NAME_MAX);
    printf("network  %s %s", zc_str(e, "id"), name);
    free(name);
    printf(" %s%s%s", zc_tint(strcmp(status, "OK") == 0 ? ZC_GREEN : ZC_YELLOW), status,
           zc_tint(ZC_DEFAULT));
    print_difference(now, was, "+");
    print_difference(was, now, "-");
    putchar('\n');
}

static void print_peer(const json_t *e)
{
    bool direct = json_is_string(json_object_get(e, "path"));
    printf("peer     %s %s ", zc_str(e, "address"), zc_str(e, "role"));
    if (!zc_true(e, "alive"))
        printf("%sSILENT%s\n", zc_tint(ZC_RED), zc_tint(ZC_DEFAULT));
    else if (direct)
        printf("%sDIRECT%s %s\n", zc_tint(ZC_GREEN), zc_tint(ZC_DEFAULT), zc_str(e, "path"));
    else
        printf("%sRELAY%s\n", zc_tint(ZC_YELLOW), zc_tint(ZC_DEFAULT));
}

static void print_event(const json_t *e)
{
    const char *what = zc_str(e, "event");
    print_clock(e);
    if (strcmp(what, "network") == 0) {
        print_network(e);
    } else if (strcmp(what, "peer") == 0) {
        print_peer(e);
    } else if (strcmp(what, "left") == 0) {
        printf("left     %s\n", zc_str(e, "id"));
    } else if (strcmp(what, "warning") == 0) {
        char *text = zc_clean(zc_str(e, "text"), ZC_CELL_MAX);
        printf("warning  %s\n", text);
        free(text);
    } else if (strcmp(what, "missed") == 0) {
        printf("missed   %lld events: this watcher was too slow\n", (long long)zc_int(e, "count", 0));
    } else if (strcmp(what, "watching") == 0) {
        printf("watching %s, %s\n", zc_str(e, "address"), zc_true(e, "online") ? "online" : "offline");
    } else if (strcmp(what, "offline") == 0) {
        printf("offline  no root server answers\n");
    } else if (strcmp(what, "down") == 0) {
        printf("down     the node ends\n");
    } else {
        printf("%s\n", what); /* online, collision, and what a newer node may say */
    }
}

static bool on_event(void *user, const char *text, size_t n)
{
    struct watch *w = user;
    json_t *e = json_loadb(text, n, 0, NULL);
    if (e == NULL)
        return true;
    bool first = strcmp(zc_str(e, "event"), "watching") == 0;
    if (w->zc->json)
        printf("%.*s\n", (int)n, text);
    else
        print_event(e);
    json_decref(e);
    if (w->left > 0 && !first)
        w->left--;
    return fflush(stdout) == 0 && w->left != 0; /* nobody reads any more: the end */
}

int zc_cmd_watch(struct zc *zc, int argc, char **argv)
{
    struct watch w = {.zc = zc, .left = -1};
    char *end;
    if (argc == 2 && strcmp(argv[0], "-n") == 0) {
        w.left = strtol(argv[1], &end, 10);
        if (w.left < 1 || *end != '\0')
            return zc_usage(zc, "'%s' is not a count", argv[1]);
    } else if (argc != 0) {
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    }
    return zc_stream(zc, "watch", on_event, &w);
}
