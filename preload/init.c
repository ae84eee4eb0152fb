/* Loading. The constructor reads the environment, finds the real functions and looks at inherited
 * descriptors and for the home; it opens nothing unless one of them is virtual, because every `sh`
 * and `ls` under a preloaded shell pays for it. */
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

struct zt_settings zt_settings = {
    .may_start = true, .wait_ms = 10000, .linger_ms = 2000, .idle = "60"};
static dev_t debug_dev;
static ino_t debug_ino;

static const char *env(const char *name)
{
    size_t n = strlen(name);
    for (char **e = environ; e && *e; e++)
        if (!strncmp(*e, name, n) && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

static bool join_path(char *out, size_t cap, const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na + nb + 1 > cap)
        return false;
    memcpy(out, a, na);
    memcpy(out + na, b, nb + 1);
    return true;
}

/* The program may go to another folder. (Its children, who read the variable again, are then lost.) */
static bool make_absolute(char *path, size_t cap)
{
    char here[sizeof zt_settings.home] = "", rest[sizeof zt_settings.home];
    if (*path == '/')
        return true;
    return zt_sys2(SYS_getcwd, here, sizeof here) > 0 && *here == '/' && join_path(rest, sizeof rest, "/", path) &&
           join_path(path, cap, here, rest);
}

static void seconds(const char *name, int *ms)
{
    const char *v = env(name);
    int n = 0;
    if (!v || *v < '0' || *v > '9')
        return;
    while (*v >= '0' && *v <= '9' && n < 100000)
        n = n * 10 + (*v++ - '0');
    *ms = n * 1000;
}

static void read_environment(void)
{
    struct zt_settings *s = &zt_settings;
    const char *v;
    s->off = (v = env("ZT_PRELOAD_OFF")) && *v == '1';
    s->may_start = !((v = env("ZT_PRELOAD_START")) && !strcmp(v, "no"));
    s->io_uring = (v = env("ZT_PRELOAD_IO_URING")) && *v == '1';
    if ((v = env("ZT_PRELOAD_ANY")))
        s->any = !strcmp(v, "kernel")    ? ZT_ANY_KERNEL
                 : !strcmp(v, "virtual") ? ZT_ANY_VIRTUAL
                                         : ZT_ANY_BOTH;
    if ((v = env("ZT_PRELOAD_DEBUG")) && *v >= '1' && *v <= '3')
        s->debug = *v - '0';
    s->embed = (v = env("ZT_PRELOAD_EMBED")) && *v == '1';
    s->sticky = (v = env("ZT_PRELOAD_STICKY")) && *v == '1';
    seconds("ZT_PRELOAD_WAIT", &s->wait_ms);
    seconds("ZT_PRELOAD_LINGER", &s->linger_ms);
    if ((v = env("ZT_PRELOAD_IDLE")) && *v && strlen(v) < 7 && strspn(v, "0123456789") == strlen(v))
        strcpy(s->idle, v);
    if ((v = env("ZT_NETWORKS")) && strlen(v) < sizeof s->networks)
        strcpy(s->networks, v);

    bool ok;
    if ((v = env("ZT_HOME")) && *v)
        ok = join_path(s->home, sizeof s->home, v, "");
    else if ((v = env("XDG_STATE_HOME")) && *v)
        ok = join_path(s->home, sizeof s->home, v, "/zt");
    else
        ok = (v = env("HOME")) && *v && join_path(s->home, sizeof s->home, v, "/.local/state/zt");
    if (!ok || !make_absolute(s->home, sizeof s->home))
        s->home[0] = 0;
}

/* A program that is handed a virtual descriptor (by fork and exec, inetd, a re-executing sshd) must
 * know it before it enters a sandbox in which we can't ask any more. */
#define INHERITED 256
static void learn_inherited(void)
{
    struct pollfd open_ones[INHERITED];
    for (int i = 0; i < INHERITED; i++)
        open_ones[i] = (struct pollfd){.fd = i};
    struct timespec none = {0, 0};
    /* One call that tells the open ones; it is refused, and each is asked, where fewer numbers are allowed. */
    zt_sys5(SYS_ppoll, open_ones, INHERITED, &none, NULL, 8);
    bool found = false;
    for (int i = 0; i < INHERITED; i++)
        if (!(open_ones[i].revents & POLLNVAL)) {
            zt_fd_learn(i);
            found |= zt_word_of(i) != 0;
        }
    if (!found)
        return;
    for (int i = INHERITED; i < 4096; i++) /* rarely reached; bounded */
        zt_fd_learn(i);
}

__attribute__((constructor)) static void init(void)
{
    int saved = errno;
    zt_real_load();
    read_environment();
    zt_fds_init();
    if (zt_settings.debug) {
        struct stat st;
        if (fstat(2, &st) == 0) {
            debug_dev = st.st_dev;
            debug_ino = st.st_ino;
        } else {
            zt_settings.debug = 0;
        }
    }
    if (!zt_settings.off) {
        zt_home_remember();
        learn_inherited();
    }
    errno = saved;
}

size_t zt_put_number(char *out, uint64_t v, unsigned base)
{
    char tmp[24];
    size_t n = 0;
    do {
        tmp[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    for (size_t i = 0; i < n; i++)
        out[i] = tmp[n - 1 - i];
    return n;
}

void zt_debug(int level, const char *fmt, ...)
{
    if (ZT_LIKELY(level > zt_settings.debug))
        return;
    struct stat st;
    int saved = errno;
    /* The program may have closed 2 and opened something of its own there. */
    if (fstat(2, &st) < 0 || st.st_dev != debug_dev || st.st_ino != debug_ino) {
        errno = saved;
        return;
    }
    char line[512] = "zt[";
    size_t n = 3;
    n += zt_put_number(line + n, (uint64_t)zt_sys0(SYS_getpid), 10);
    line[n++] = ']';
    line[n++] = ' ';
    va_list ap;
    va_start(ap, fmt);
    for (; *fmt && n < sizeof line - 32; fmt++) {
        if (*fmt != '%') {
            line[n++] = *fmt;
            continue;
        }
        fmt++;
        if (*fmt == 'd') {
            int v = va_arg(ap, int);
            if (v < 0)
                line[n++] = '-';
            n += zt_put_number(line + n, v < 0 ? 0u - (unsigned)v : (unsigned)v, 10);
        } else if (*fmt == 'x') {
            n += zt_put_number(line + n, va_arg(ap, unsigned), 16);
        } else if (*fmt == 's') {
            for (const char *s = va_arg(ap, const char *); *s && n < sizeof line - 32; s++)
                line[n++] = *s;
        } else {
            break;
        }
    }
    va_end(ap);
    line[n++] = '\n';
    zt_sys3(SYS_write, 2, line, n);
    errno = saved;
}
