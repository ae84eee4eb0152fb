/* Waiting: the kernel's poll on the host descriptors, with this API's bits. References are held
 * over the wait, so that a close by another thread wakes it (see zts_sock_close) and no number is
 * reused under it. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "api/zts_priv.h"

#define FEW 64

struct wait {
    struct pollfd *p;
    struct zts_sock **s;
    unsigned n;
    struct pollfd few_p[FEW];
    struct zts_sock *few_s[FEW];
};

static bool wait_init(struct wait *w, unsigned n)
{
    w->n = n;
    w->p = w->few_p;
    w->s = w->few_s;
    if (n > FEW) {
        w->p = calloc(n, sizeof *w->p);
        w->s = calloc(n, sizeof(void *));
        if (w->p == NULL || w->s == NULL) {
            free(w->p);
            free(w->s);
            return false;
        }
    }
    return true;
}

static void wait_fini(struct wait *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->s[i] != NULL)
            zts_sock_put(w->s[i]);
    if (w->p != w->few_p) {
        free(w->p);
        free(w->s);
    }
}

static void wait_set(struct wait *w, unsigned i, int fd, short events)
{
    w->s[i] = fd >= 0 ? zts_sock_get(fd) : NULL;
    /* Another thread's first call on it would put the real pair in the place of what we wait on. */
    int before = zts_errno;
    if (w->s[i] != NULL && w->s[i]->type != ZTS_SOCK_STREAM)
        (void)zts_sock_need_dgram(w->s[i]);
    zts_errno = before;
    w->p[i] = (struct pollfd){.fd = w->s[i] != NULL ? w->s[i]->fd : -1, .events = events};
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Like poll, but goes on after a signal. */
static int wait_run(struct wait *w, int timeout_ms)
{
    int64_t end = now_ms() + timeout_ms;
    for (;;) {
        int n = poll(w->p, w->n, timeout_ms);
        if (n >= 0 || errno != EINTR)
            return n;
        if (timeout_ms > 0) {
            int64_t left = end - now_ms();
            timeout_ms = left > 0 ? (int)left : 0;
        }
    }
}

/* ---- poll
 * --------------------------------------------------------------------------------------------- */

static short to_host(short e)
{
    int h = 0;
    if (e & (ZTS_POLLIN | ZTS_POLLRDNORM))
        h |= POLLIN;
    if (e & (ZTS_POLLOUT | ZTS_POLLWRNORM))
        h |= POLLOUT;
    if (e & ZTS_POLLPRI)
        h |= POLLPRI;
    return (short)h;
}

static short from_host(short h, short asked)
{
    int e = 0;
    if (h & POLLIN)
        e |= asked & (ZTS_POLLIN | ZTS_POLLRDNORM);
    if (h & POLLOUT)
        e |= asked & (ZTS_POLLOUT | ZTS_POLLWRNORM);
    if (h & POLLPRI)
        e |= ZTS_POLLPRI;
    if (h & POLLERR)
        e |= ZTS_POLLERR;
    if (h & POLLHUP)
        e |= ZTS_POLLHUP;
    if (h & POLLNVAL)
        e |= ZTS_POLLNVAL;
    return (short)e;
}

static unsigned descriptor_limit(void)
{
    struct rlimit r;
    return getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < UINT32_MAX ? (unsigned)r.rlim_cur
                                                                        : UINT32_MAX;
}

int zts_poll(struct zts_pollfd *fds, zts_nfds_t nfds, int timeout_ms)
{
    struct wait w;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (fds == NULL && nfds > 0)
        return ZTS_ERR_ARG;
    if (nfds > descriptor_limit())
        return zts_fail(EINVAL);
    if (!wait_init(&w, nfds))
        return zts_fail(ENOMEM);
    bool bad = false;
    for (unsigned i = 0; i < nfds; i++) {
        wait_set(&w, i, fds[i].fd, to_host(fds[i].events));
        bad = bad || (fds[i].fd >= 0 && w.s[i] == NULL);
    }
    int rc = wait_run(&w, bad ? 0 : timeout_ms);
    int err = errno, ready = 0;
    for (unsigned i = 0; rc >= 0 && i < nfds; i++) {
        fds[i].revents = 0;
        if (fds[i].fd >= 0)
            fds[i].revents =
                w.s[i] == NULL ? ZTS_POLLNVAL : from_host(w.p[i].revents, fds[i].events);
        ready += fds[i].revents != 0;
    }
    wait_fini(&w);
    return rc < 0 ? zts_fail(err) : ready;
}

/* ---- select
 * --------------------------------------------------------------------------------------------- */

#define READABLE (POLLIN | POLLHUP | POLLERR)
#define WRITABLE (POLLOUT | POLLERR)

static bool in_set(const zts_fd_set *set, int fd)
{
    return set != NULL && ZTS_FD_ISSET(fd, set);
}

static int take_result(zts_fd_set *set, int fd, bool is_ready)
{
    if (set == NULL || !ZTS_FD_ISSET(fd, set))
        return 0;
    if (!is_ready)
        ZTS_FD_CLR(fd, set);
    return is_ready;
}

/* Rounded up: a wait must not end early. For as long as poll can wait, at most. */
static int milliseconds(const struct zts_timeval *t)
{
    if (t->tv_sec > INT32_MAX / 2000 || t->tv_usec / 1000000 > INT32_MAX / 2000)
        return INT32_MAX;
    return (int)(t->tv_sec * 1000 + (t->tv_usec + 999) / 1000);
}

int zts_select(int nfds, zts_fd_set *readfds, zts_fd_set *writefds, zts_fd_set *exceptfds,
               struct zts_timeval *timeout)
{
    struct wait w;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (nfds < 0 || nfds > ZTS_FD_SETSIZE)
        return zts_fail(EINVAL);
    if (timeout != NULL && (timeout->tv_sec < 0 || timeout->tv_usec < 0))
        return zts_fail(EINVAL);
    if (!wait_init(&w, (unsigned)nfds))
        return zts_fail(ENOMEM);
    bool bad = false;
    for (int i = 0; i < nfds; i++) {
        short e = (short)((in_set(readfds, i) ? POLLIN : 0) | (in_set(writefds, i) ? POLLOUT : 0) |
                          (in_set(exceptfds, i) ? POLLPRI : 0));
        wait_set(&w, (unsigned)i, e != 0 ? i : -1, e);
        bad = bad || (e != 0 && w.s[i] == NULL);
    }
    int rc = bad ? -1 : wait_run(&w, timeout != NULL ? milliseconds(timeout) : -1);
    int err = bad ? EBADF : errno, ready = 0;
    for (int i = 0; rc >= 0 && i < nfds; i++) {
        short r = w.p[i].revents;
        ready += take_result(readfds, i, r & READABLE);
        ready += take_result(writefds, i, r & WRITABLE);
        ready += take_result(exceptfds, i, r & POLLPRI);
    }
    wait_fini(&w);
    return rc < 0 ? zts_fail(err) : ready;
}
