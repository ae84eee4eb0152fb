/* Virtual addresses and sockets: ping, resolve, sockets. */
#include "ztctl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int zc_cmd_sockets(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    const json_t *s;
    struct zc_table t;
    size_t i;
    char n[32], state[48];
    if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    int code;
    if ((code = zc_command(zc, "sockets", &d)) != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(d);
    if (json_array_size(d) == 0) {
        puts("no virtual socket is open");
        json_decref(d);
        return ZC_OK;
    }
    zc_head(&t, "TYPE|STATE|LOCAL|REMOTE|RECEIVED|SENT");
    json_array_foreach(d, i, s)
    {
        zc_cell(&t, ZC_PLAIN, zc_str(s, "type"));
        snprintf(state, sizeof state, "%s%s", zc_str(s, "state"),
                 json_is_true(json_object_get(s, "merged")) ? ", host too" : "");
        zc_cell(&t, ZC_PLAIN, state);
        zc_cell(&t, ZC_PLAIN, zc_str(s, "local"));
        zc_cell(&t, ZC_PLAIN, zc_str(s, "remote"));
        zc_cell(&t, ZC_PLAIN, zc_human(zc_int(s, "rxBytes", 0), n));
        zc_cell(&t, ZC_PLAIN, zc_human(zc_int(s, "txBytes", 0), n));
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
        return zc_usage(zc, "'%s' is not an IP address; 'ztctl resolve' looks up a name of the network", p->address);
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
    if (err == ENETUNREACH)
        fprintf(stderr, "'%s networks' shows those, with their addresses\n", zc_self(zc));
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
    if (answered == 0 && !zc->json && !zc_hint_networks(zc, NULL, NULL))
        fputs("is the other node running, and a member? 'ztctl networks' there shows its addresses\n", stderr);
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
    if (code == ZC_FAILED)
        fprintf(stderr, "'%s get NWID dns' shows the domain of a network, and its servers\n", zc_self(zc));
    if (code != ZC_OK || zc->json)
        return code == ZC_OK ? zc_print_json(out) : code;
    json_array_foreach(out, i, address) puts(json_string_value(address));
    json_decref(out);
    return ZC_OK;
}
