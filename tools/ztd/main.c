/* ztd: a node as a service in the foreground. The node is libzt's; here are the command line, the
 * log and the local HTTP API. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ztd.h"

enum {
    EXIT_USAGE = 2,
};

static const char usage_text[] =
    "Usage: ztd [-H DIR] [-p PORT] [-l LEVEL] [--no-http] [--no-confine]\n"
    "           [--idle SECONDS] [--lock-fd N]\n"
    "\n"
    "Run a node in the foreground, for preloaded programs, ztctl, and programs that use the local\n"
    "API (HTTP on 127.0.0.1 and the port of the node, and on DIR/api.sock).\n"
    "\n"
    "  -H, --home DIR      home folder: identity, planet, networks (default: $ZT_HOME,\n"
    "                      $XDG_STATE_HOME/zt or ~/.local/state/zt); made when missing\n"
    "  -p, --port PORT     UDP port, 0 for a random one; without it settings.primaryPort of\n"
    "                      local.conf, 9993, or a random one when that is taken\n"
    "  -l, --log LEVEL     what to say on stderr: error, warning, notice (default), info, debug\n"
    "      --no-http       no local API over HTTP\n"
    "      --no-confine    keep system calls and files that the service doesn't need\n"
    "      --idle SECONDS  end after so long without a virtual socket or a client, unless\n"
    "                      `ztctl up` was said (default 0: never)\n"
    "      --lock-fd N     descriptor that holds DIR/identity.lock already\n"
    "  -h, --help          show this\n"
    "      --version       show the version\n"
    "\n"
    "SIGHUP reads DIR/local.conf again, as `ztctl reload` does. Ends cleanly on SIGTERM, SIGINT and\n"
    "`ztctl down`. As a service of systemd it says when it is ready (Type=notify).\n"
    "Exit status: 0 ended as asked, 1 failure, 2 usage.\n";

/* What the callbacks share; both run when the other doesn't. */
struct app {
    struct ztd_http *http;
    bool no_http;
};

static void on_log(void *user, enum zts_service_level level, const char *text)
{
    (void)user;
    ztd_log(level, text);
}

static void on_up(void *user, struct zts_service *s, const struct zts_service_up *info)
{
    struct app *a = user;
    ztd_http_stop(a->http); /* of the node before, whose identity was taken */
    a->http = a->no_http ? NULL : ztd_http_start(s, info);
    char state[128];
    snprintf(state, sizeof state, "READY=1\nSTATUS=node %010llx on UDP port %u",
             (unsigned long long)info->address, info->port);
    ztd_notify(state);
}

static void on_down(void *user)
{
    struct app *a = user;
    ztd_notify("STOPPING=1");
    ztd_http_stop(a->http);
    a->http = NULL;
}

static int fail_usage(const char *what, const char *value)
{
    fprintf(stderr, "ztd: %s%s%s\nTry 'ztd --help'.\n", what, value != NULL ? ": " : "",
            value != NULL ? value : "");
    return EXIT_USAGE;
}

static int number(const char *text, long least, long most, int *out)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || v < least || v > most)
        return -1;
    *out = (int)v;
    return 0;
}

/* $ZT_HOME, $XDG_STATE_HOME/zt, ~/.local/state/zt. */
static const char *default_home(char *buf, size_t n)
{
    const char *v = getenv("ZT_HOME");
    if (v != NULL && *v != 0)
        return v;
    v = getenv("XDG_STATE_HOME");
    int len = -1;
    if (v != NULL && *v == '/')
        len = snprintf(buf, n, "%s/zt", v);
    else if ((v = getenv("HOME")) != NULL && *v != 0)
        len = snprintf(buf, n, "%s/.local/state/zt", v);
    return len > 0 && (size_t)len < n ? buf : NULL;
}

int main(int argc, char **argv)
{
    enum {
        OPT_IDLE = 256,
        OPT_LOCK,
        OPT_NO_HTTP,
        OPT_NO_CONFINE,
        OPT_VERSION,
    };
    static const struct option longs[] = {
        {"home", required_argument, NULL, 'H'},
        {"port", required_argument, NULL, 'p'},
        {"log", required_argument, NULL, 'l'},
        {"no-http", no_argument, NULL, OPT_NO_HTTP},
        {"no-confine", no_argument, NULL, OPT_NO_CONFINE},
        {"idle", required_argument, NULL, OPT_IDLE},
        {"lock-fd", required_argument, NULL, OPT_LOCK},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, OPT_VERSION},
        {NULL, 0, NULL, 0},
    };
    static char home[PATH_MAX];
    struct zts_service_config cfg = {.port = -1, .lock_fd = -1};
    struct app app = {0};
    enum zts_service_level level = ZTS_SERVICE_NOTICE;
    bool confine = true;
    int c;
    while ((c = getopt_long(argc, argv, "+H:p:l:h", longs, NULL)) != -1) {
        switch (c) {
        case 'H':
            cfg.home = optarg;
            break;
        case 'p':
            if (number(optarg, 0, 65535, &cfg.port) != 0)
                return fail_usage("not a UDP port", optarg);
            break;
        case 'l':
            level = ztd_log_level(optarg);
            if (level == 0)
                return fail_usage("not a level", optarg);
            break;
        case OPT_NO_HTTP:
            app.no_http = true;
            break;
        case OPT_NO_CONFINE:
            confine = false;
            break;
        case OPT_IDLE:
            if (number(optarg, 0, 1000000, &cfg.idle_exit_s) != 0)
                return fail_usage("not a number of seconds", optarg);
            break;
        case OPT_LOCK:
            if (number(optarg, 0, INT_MAX, &cfg.lock_fd) != 0)
                return fail_usage("not a descriptor", optarg);
            break;
        case 'h':
            fputs(usage_text, stdout);
            return 0;
        case OPT_VERSION:
            puts("ztd " ZT_VERSION);
            return 0;
        default:
            fputs("Try 'ztd --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc)
        return fail_usage("too many arguments", argv[optind]);
    if (cfg.home == NULL)
        cfg.home = default_home(home, sizeof home);
    if (cfg.home == NULL || cfg.home[0] == 0)
        return fail_usage("no home folder: give -H DIR", NULL);
    ztd_log_open(level);
    cfg.user = &app;
    cfg.log = on_log;
    cfg.up = on_up;
    cfg.down = on_down;
    /* A home that can't be made is reported below. */
    if (confine && zts_service_make_home(cfg.home) == 0 && !ztd_confine(cfg.home))
        return 1;
    return zts_service_run(&cfg);
}
