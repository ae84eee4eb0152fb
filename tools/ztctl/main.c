/* ztctl: joins and leaves networks, shows what is going on, starts and ends the node of a home,
 * runs programs inside the virtual network, makes identities and planets. */
#include "ztctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"

static void complain(const struct zc *zc, const char *fmt, va_list ap)
{
    fprintf(stderr, "ztctl%s%s: ", zc->cmd != NULL ? " " : "", zc->cmd != NULL ? zc->cmd : "");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int zc_usage(const struct zc *zc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(zc, fmt, ap);
    va_end(ap);
    fprintf(stderr, "try: ztctl%s%s --help\n", zc->cmd != NULL ? " " : "",
            zc->cmd != NULL ? zc->cmd : "");
    return ZC_USAGE;
}

int zc_fail(const struct zc *zc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(zc, fmt, ap);
    va_end(ap);
    return ZC_FAILED;
}

int zc_check_nwid(const struct zc *zc, const char *text)
{
    uint64_t nwid;
    if (zt_hex_parse_u64(text, 16, &nwid) == 0)
        return ZC_OK;
    return zc_usage(zc, "'%s' is not a network id: 16 hex digits, such as ff0000ffff000000", text);
}

/* Plain words need no quotes in a shell. */
static bool is_plain(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,", *p) == NULL)
            return false;
    return true;
}

const char *zc_self(const struct zc *zc)
{
    static char *text;
    const char *quote = is_plain(zc->home) ? "" : "'";
    if (zc->is_default)
        return "ztctl";
    if (text == NULL && asprintf(&text, "ztctl -H %s%s%s", quote, zc->home, quote) < 0)
        text = NULL;
    return zc_alloc(text);
}

static char *default_home(void)
{
    const char *env = getenv("ZT_HOME");
    if (env != NULL && env[0] != '\0')
        return zc_absolute(env);
    const char *base = getenv("XDG_STATE_HOME"), *tail = "zt";
    if (base == NULL || base[0] != '/') {
        base = getenv("HOME");
        tail = ".local/state/zt";
    }
    if (base == NULL || base[0] != '/')
        return NULL;
    char *out;
    if (asprintf(&out, "%s/%s", base, tail) < 0)
        out = NULL;
    return zc_alloc(out);
}

enum taken { TAKEN_NONE, TAKEN_ONE, TAKEN_TWO, TAKEN_HELP, TAKEN_BAD };

/* Is argv[i] one of the options that may stand anywhere? */
static enum taken common_option(struct zc *zc, int argc, char **argv, int i)
{
    const char *a = argv[i];
    if (strcmp(a, "-j") == 0 || strcmp(a, "--json") == 0) {
        zc->json = true;
        return TAKEN_ONE;
    }
    if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0)
        return TAKEN_HELP;
    if (strncmp(a, "-H", 2) != 0)
        return TAKEN_NONE;
    const char *dir = a[2] != '\0' ? a + 2 : i + 1 < argc ? argv[i + 1] : NULL;
    if (dir == NULL || dir[0] == '\0')
        return TAKEN_BAD;
    free(zc->home);
    zc->home = zc_absolute(dir);
    return a[2] != '\0' ? TAKEN_ONE : TAKEN_TWO;
}

static int run(struct zc *zc, const struct zc_command *c, int argc, char **argv)
{
    int n = 0, i = 0;
    zc->cmd = c->name;
    bool words = c->run == zc_cmd_complete; /* not ours to understand */
    while (i < argc) {
        if (words || strcmp(argv[i], "--") == 0 || (c->stops && argv[i][0] != '-'))
            break;
        switch (common_option(zc, argc, argv, i)) {
        case TAKEN_ONE:
            i++;
            continue;
        case TAKEN_TWO:
            i += 2;
            continue;
        case TAKEN_HELP:
            zc_help_one(c);
            return ZC_OK;
        case TAKEN_BAD:
            return zc_usage(zc, "-H needs a folder");
        case TAKEN_NONE:
            break;
        }
        /* The value of an option of exec's own (-n, -d) isn't its first plain argument. */
        bool takes_value = c->stops && (strcmp(argv[i], "-n") == 0 || strcmp(argv[i], "-d") == 0);
        argv[n++] = argv[i++];
        if (takes_value && i < argc)
            argv[n++] = argv[i++];
    }
    while (i < argc)
        argv[n++] = argv[i++];
    argv[n] = NULL;
    zc->is_default = zc->home == NULL;
    if (zc->home == NULL && (zc->home = default_home()) == NULL)
        return zc_fail(zc, "no home folder: neither ZT_HOME nor HOME is set; give one with -H DIR");
    return c->run(zc, n, argv);
}

int main(int argc, char **argv)
{
    struct zc zc = {0};
    int i = 1;
    while (i < argc && argv[i][0] == '-') {
        if (strcmp(argv[i], "--version") == 0) {
            puts("ztctl " ZT_VERSION);
            return ZC_OK;
        }
        switch (common_option(&zc, argc, argv, i)) {
        case TAKEN_ONE:
            i++;
            continue;
        case TAKEN_TWO:
            i += 2;
            continue;
        case TAKEN_HELP:
            zc_help_all();
            return ZC_OK;
        case TAKEN_BAD:
            return zc_usage(&zc, "-H needs a folder");
        case TAKEN_NONE:
            return zc_usage(&zc, "unknown option '%s'", argv[i]);
        }
    }
    if (i == argc) {
        zc_help_all();
        return ZC_USAGE;
    }
    const struct zc_command *c = zc_find_command(argv[i]), *other;
    if (c == NULL && (other = zc_similar_command(argv[i])) != NULL)
        return zc_usage(&zc, "unknown command '%s'; do you mean '%s'?", argv[i], other->name);
    if (c == NULL)
        return zc_usage(&zc, "unknown command '%s'", argv[i]);
    int code = run(&zc, c, argc - i - 1, argv + i + 1);
    free(zc.home);
    if (fflush(stdout) != 0 && errno != EPIPE && code == ZC_OK)
        return zc_fail(&zc, "cannot write the output: %s", strerror(errno));
    return code;
}
