/* socket, connect, bind, listen, accept, shutdown: where a socket becomes virtual, and what a
 * virtual one answers then. The errno values are those of the kernel for an inet socket.
 *
 * A stream that is connecting is a pair whose send direction the node has filled up, so it polls as
 * not writable. Success drains it (one writable edge); failure closes the far end with the filler
 * unread, which shows as exactly the events of a refused connection. The state page has the reason
 * before either happens. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#define AWAY_PAUSE_MS 100

/* ---- socket, socketpair: a number that may have been something else ---- */

ZT_EXPORT int socket(int domain, int type, int protocol)
{
    int fd = REAL(socket)(domain, type, protocol);
    if (fd >= 0) {
        zt_fd_forget(fd);
        zt_fresh_made(fd, domain, type, protocol);
    }
    return fd;
}

ZT_EXPORT int socketpair(int domain, int type, int protocol, int fds[2])
{
    int r = REAL(socketpair)(domain, type, protocol, fds);
    if (r == 0) {
        zt_fd_forget(fds[0]);
        zt_fd_forget(fds[1]);
    }
    return r;
}

/* ---- waiting for a connect ---- */

/* poll is never restarted after a signal, connect is, where the handler asks for it (SA_RESTART).
 * Which handler ran can't be told afterwards: restart if none of those installed would forbid it.
 */
static bool handlers_restart(void)
{
    for (int s = 1; s <= 64; s++) {
        struct {
            uintptr_t handler;
            unsigned long flags;
            uintptr_t restorer;
            uint64_t mask;
        } act;
        if (zt_sys4(SYS_rt_sigaction, s, NULL, &act, 8) == 0 && act.handler > 1 &&
            !(act.flags & SA_RESTART))
            return false;
    }
    return true;
}

/* The pair's own pending error stands for the one of the state page: take both. */
static void clear_pair_error(int fd)
{
    int v;
    socklen_t len = sizeof v;
    zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &v, &len);
}

static int back_to_kernel(int fd, zt_word w);

/* A connect that reports its failure leaves the socket as good as new (inet_stream_connect
 * disconnects it): a fresh kernel socket. Without a free number for it, the spent pair stays. */
static int connect_failed(int fd, zt_word w, int err)
{
    zt_word_flag(fd, w, ZT_W_ERR | ZT_W_OVER);
    if (zt_is_still(fd, w))
        clear_pair_error(fd);
    back_to_kernel(fd, w);
    return zt_fail(err ? err : ECONNABORTED);
}

static int connect_wait(int fd, zt_word w)
{
    struct timeval tv = {0, 0};
    socklen_t len = sizeof tv;
    zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len);
    int limit = tv.tv_sec >= INT32_MAX / 1000 || (!tv.tv_sec && !tv.tv_usec)
                    ? -1
                    : (int)(tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000);
    int64_t until = limit < 0 ? 0 : zt_now_ms() + limit;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int left = limit < 0 ? -1 : (int)(until - zt_now_ms());
        int saved = errno;
        int n = REAL(poll)(&p, 1, limit >= 0 && left < 0 ? 0 : left);
        if (n < 0 && errno == EINTR) {
            if (limit >= 0 || !handlers_restart())
                return -1;
            continue;
        }
        if (n < 0)
            return -1;
        errno = saved;
        int err = 0;
        switch (zt_phase_of(w, &err)) {
        case ZT_PHASE_CONNECTED:
        case ZT_PHASE_FIN:
        case ZT_PHASE_RESET:
            zt_word_flag(fd, w, ZT_W_TOLD);
            return 0;
        case ZT_PHASE_FAILED:
            return connect_failed(fd, w, err);
        default:
            if (n == 0)
                return zt_fail(EINPROGRESS);
            if (p.revents & POLLHUP) /* the node ended */
                return connect_failed(fd, w, ENETUNREACH);
            if (p.revents & POLLOUT) { /* no page to look at: the gate itself says it */
                zt_word_flag(fd, w, ZT_W_TOLD);
                return 0;
            }
            return zt_fail(EBADF);
        }
    }
}

static bool nonblocking(int fd)
{
    return zt_sys3(SYS_fcntl, fd, F_GETFL, 0) & O_NONBLOCK;
}

/* ---- connect, streams ---- */

static void finish_options(uint64_t id, const struct zt_ctl_opt *opts, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (opts[i].level == SOL_SOCKET && opts[i].name == SO_LINGER && opts[i].value == 0)
            zt_ctl_note(id, ZT_NOTE_RESET_ON_CLOSE);
}

/* Ask the node for a pair that connects to remote and put it under the number. Signals are blocked.
 */
static int stream_attach(int fd, zt_word w, const struct zt_ctl_addr *remote, bool *wait)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    struct zt_facts f;
    zt_word v6 = w & ZT_W_V6;
    zt_req_init(&req, ZT_CTL_CONNECT, w & ZT_W_BOUND ? zt_id_of(fd, w) : 0);
    req.stype = SOCK_STREAM;
    req.remote = *remote;
    if (!(w & ZT_W_KIND)) {
        unsigned n = 0;
        bool fresh = zt_fresh_facts(fd, &f, req.opts, &n);
        if (!fresh && !zt_facts_read(fd, &f))
            return -ENETUNREACH;
        if (f.used)
            return -f.used_err;
        if (f.v6only && remote->family == 4)
            return -ENETUNREACH;
        if (f.local.family && !f.local_any)
            return -ENETUNREACH; /* bound to an address of the kernel's */
        if (f.local.family) {
            req.local = f.local;
            req.local.family = remote->family;
        }
        req.nopts = (uint8_t)(fresh ? n : zt_facts_opts(fd, &f, req.opts));
        v6 = f.flags & ZT_W_V6;
    }
    req.family = v6 ? AF_INET6 : AF_INET;
    int fl = w & ZT_W_KIND ? (int)zt_sys3(SYS_fcntl, fd, F_GETFL, 0) : f.fl;
    bool blocking = !(fl & O_NONBLOCK);
    req.value = blocking;
    int newfd;
    int r = zt_ctl(&req, &rep, NULL, 0, &newfd, true);
    if (r < 0 || newfd < 0)
        return r < 0 ? r : -ENETUNREACH;
    zt_page_open();
    *wait = blocking && !rep.done;
    w = (rep.id & ZT_W_ID_MASK) | ZT_W_STREAM | v6;
    r = zt_swap_as(fd, newfd, rep.done ? w | ZT_W_TOLD : w, fl);
    if (r == 0)
        finish_options(rep.id, req.opts, req.nopts);
    return r;
}

/* seen: its word when that was decided. */
static int stream_connect(int fd, zt_word seen, const struct zt_ctl_addr *remote)
{
    struct zt_guard g;
    bool wait = false;
    zt_enter(&g, fd);
    int r = -EALREADY; /* another thread was faster */
    if (zt_is_still(fd, seen))
        r = stream_attach(fd, zt_word_of(fd), remote, &wait);
    zt_word w = zt_word_of(fd);
    zt_leave(&g);
    if (r < 0)
        return zt_fail(-r);
    if (w & ZT_W_TOLD)
        return 0;
    return wait ? connect_wait(fd, w) : zt_fail(EINPROGRESS);
}

/* What the program has set stays set, as it does on a socket of the kernel's. */
static void restore_options(int to, uint64_t id)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    struct zt_ctl_opt opts[64];
    zt_req_init(&req, ZT_CTL_OPT_GET, id);
    req.level = ZT_CTL_OPT_ALL;
    if (zt_ctl(&req, &rep, opts, sizeof opts, NULL, false) < 0)
        return;
    for (size_t i = 0; i < rep.ndata / sizeof *opts && i < sizeof opts / sizeof *opts; i++) {
        struct zt_ctl_opt *o = &opts[i];
        struct linger lg = {1, o->value};
        if (o->level != SOL_SOCKET || o->name != SO_LINGER)
            zt_sys5(SYS_setsockopt, to, o->level, o->name, &o->value, sizeof o->value);
        else if (o->value >= 0)
            zt_sys5(SYS_setsockopt, to, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    }
}

/* Back to a kernel socket, as connect(AF_UNSPEC) makes it, or for an address that isn't virtual. */
static int back_to_kernel(int fd, zt_word w)
{
    if ((w & ZT_W_MERGED) && zt_twin_back(fd, w) == 0)
        return 0;
    struct zt_guard g;
    uint64_t id = zt_id_of(fd, w);
    zt_enter(&g, fd);
    if (!zt_is_still(fd, w)) { /* closed by another thread, and something else by now; or done */
        zt_leave(&g);
        return 0;
    }
    long s = zt_sys3(SYS_socket, w & ZT_W_V6 ? AF_INET6 : AF_INET,
                     (w & ZT_W_DGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    int r = (int)s;
    if (s >= 0) {
        r = zt_fd_high((int)s);
        restore_options(r, id);
        r = zt_swap(fd, r, 0);
    }
    zt_leave(&g);
    return r < 0 ? zt_fail(-r) : 0;
}

/* connect on a socket whose pair exists: the states of inet_stream_connect. */
static int stream_connect_again(int fd, zt_word w, const struct sockaddr *sa, socklen_t len,
                                const struct zt_ctl_addr *remote, bool managed)
{
    int err = 0;
    switch (zt_phase_of(w, &err)) {
    case ZT_PHASE_CONNECTING:
        return nonblocking(fd) ? zt_fail(EALREADY) : connect_wait(fd, w);
    case ZT_PHASE_FAILED:
        if (!(w & ZT_W_ERR))
            return connect_failed(fd, w, err);
        if (!(w & ZT_W_OVER))
            return connect_failed(fd, w, ECONNABORTED);
        if (managed)
            return stream_connect(fd, w, remote);
        return back_to_kernel(fd, w) < 0 ? -1 : REAL(connect)(fd, sa, len);
    default:
        if (w & ZT_W_TOLD)
            return zt_fail(EISCONN);
        zt_word_flag(fd, w, ZT_W_TOLD);
        return 0;
    }
}

/* ---- connect, datagrams ---- */

/* Make fd a virtual datagram socket (or keep it one) and set its remote address. Used by send too.
 */
int zt_dgram_attach(int fd, const struct zt_ctl_addr *remote, bool set_remote)
{
    struct zt_guard g;
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    struct zt_facts f = {0};
    int newfd, r = 0;
    zt_enter(&g, fd);
    zt_word w = zt_word_of(fd);
    zt_req_init(&req, ZT_CTL_UDP, w & ZT_W_DGRAM ? zt_id_of(fd, w) : 0);
    req.stype = SOCK_DGRAM;
    if (set_remote && remote)
        req.remote = *remote;
    if (!w) {
        if (!zt_facts_read(fd, &f) || f.type != SOCK_DGRAM)
            r = -ENETUNREACH;
        else if (f.v6only && remote && remote->family == 4)
            r = -ENETUNREACH;
        else if (f.local.family && !f.local_any)
            r = -ENETUNREACH;
        if (r == 0 && !set_remote) {
            int e = zt_any_sends(fd, &f);
            if (e == 0) {
                zt_leave(&g);
                return 0;
            }
        }
        if (f.local.family && remote) {
            req.local = f.local;
            req.local.family = remote->family;
            memset(req.local.ip, 0, sizeof req.local.ip);
        }
        if (r == 0)
            req.nopts = (uint8_t)zt_facts_opts(fd, &f, req.opts);
    } else {
        f.flags = w & ZT_W_V6;
    }
    req.family = f.flags & ZT_W_V6 ? AF_INET6 : AF_INET;
    if (r == 0)
        r = zt_ctl(&req, &rep, NULL, 0, &newfd, !w);
    if (r == 0 && newfd >= 0) {
        zt_page_open();
        r = zt_swap(fd, newfd, (rep.id & ZT_W_ID_MASK) | ZT_W_DGRAM | f.flags);
    } else if (r == 0 && !w) {
        r = -ENETUNREACH;
    }
    zt_leave(&g);
    return r;
}

static int dgram_connect(int fd, zt_word w, const struct sockaddr *sa, socklen_t len,
                         const struct zt_ctl_addr *remote, bool managed)
{
    if (!managed) {
        if (w & ZT_W_FIXED)
            return zt_fail(ENETUNREACH);
        return back_to_kernel(fd, w) < 0 ? -1 : REAL(connect)(fd, sa, len);
    }
    int r = zt_dgram_attach(fd, remote, true);
    return r < 0 ? zt_fail(-r) : 0;
}

/* ---- connect ---- */

static int connect_virtual(int fd, zt_word w, const struct sockaddr *sa, socklen_t len)
{
    struct zt_ctl_addr remote;
    if (len < sizeof(sa_family_t))
        return zt_fail(EINVAL);
    if (zt_wild(sa))
        return zt_fail(EFAULT);
    if (sa->sa_family == AF_UNSPEC) {
        if (!(w & ZT_W_DGRAM))
            return back_to_kernel(fd, w);
        int r = zt_dgram_attach(fd, NULL, true);
        return r < 0 ? zt_fail(-r) : 0;
    }
    bool want6 = w & ZT_W_V6;
    if (sa->sa_family != (want6 ? AF_INET6 : AF_INET) &&
        !(want6 && (w & ZT_W_DGRAM) && sa->sa_family == AF_INET))
        return zt_fail(EAFNOSUPPORT);
    if (!zt_addr_from(sa, len, &remote))
        return zt_fail(EINVAL);
    bool managed = zt_managed_slow(&remote);
    if (w & ZT_W_DGRAM)
        return dgram_connect(fd, w, sa, len, &remote, managed);
    if (w & ZT_W_STREAM)
        return stream_connect_again(fd, w, sa, len, &remote, managed);
    if (zt_phase_of(w, NULL) == ZT_PHASE_LISTENING)
        return zt_fail(EISCONN);
    return managed ? stream_connect(fd, w, &remote) : zt_fail(ENETUNREACH);
}

static int do_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct zt_ctl_addr remote;
    zt_word w = zt_word_of(fd);
    if (w && sa)
        return connect_virtual(fd, w, sa, len);
    if (!zt_sa_managed(sa, len, &remote)) {
        zt_fresh_end(fd);
        return REAL(connect)(fd, sa, len);
    }
    int domain = 0, type = 0;
    w = zt_word_any(fd);
    if (w & ZT_W_FRESH) {
        domain = w & ZT_W_V6 ? AF_INET6 : AF_INET;
        type = SOCK_STREAM;
    } else {
        socklen_t n = sizeof domain;
        long r = zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n);
        if (r < 0)
            return zt_fail((int)-r);
        n = sizeof type;
        zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &n);
    }
    bool mixed = domain == AF_INET6 && sa->sa_family == AF_INET && type == SOCK_DGRAM;
    if (domain != sa->sa_family && !mixed) {
        if (domain == AF_INET || domain == AF_INET6)
            return zt_fail(EAFNOSUPPORT);
        return REAL(connect)(fd, sa, len); /* its own errors; no way to an inet address */
    }
    if (type == SOCK_DGRAM) {
        int e = zt_dgram_attach(fd, &remote, true);
        return e < 0 ? zt_fail(-e) : 0;
    }
    return stream_connect(fd, w, &remote);
}

ZT_EXPORT int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    return do_connect(fd, sa, len);
}

extern int __connect(int fd, const struct sockaddr *sa, socklen_t len);
ZT_EXPORT int __connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    return do_connect(fd, sa, len);
}

/* ---- bind, listen ---- */

/* What the kernel says to a virtual address for something that can't be virtual. */
static int bind_refused(int fd)
{
    int domain = 0;
    socklen_t n = sizeof domain;
    long r = zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n);
    if (r < 0)
        return (int)r; /* EBADF, ENOTSOCK */
    return domain == AF_INET || domain == AF_INET6 ? -EADDRNOTAVAIL : -EINVAL;
}

static int bind_attach(int fd, const struct zt_ctl_addr *local, sa_family_t family)
{
    struct zt_facts f;
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    int newfd;
    if (!zt_facts_read(fd, &f))
        return bind_refused(fd);
    if (family != f.domain)
        return f.domain == AF_INET6 ? -EINVAL : -EAFNOSUPPORT;
    if (f.used || f.local.family)
        return -EINVAL;
    if (f.v6only && local->family == 4)
        return -EINVAL;
    zt_req_init(&req, ZT_CTL_BIND, 0);
    req.stype = (uint8_t)f.type;
    req.local = *local;
    req.family = f.domain;
    req.nopts = (uint8_t)zt_facts_opts(fd, &f, req.opts);
    int r = zt_ctl(&req, &rep, NULL, 0, &newfd, true);
    if (r == -ENETUNREACH)
        r = -EADDRNOTAVAIL;
    if (r < 0 || newfd < 0)
        return r < 0 ? r : -EADDRNOTAVAIL;
    zt_page_open();
    zt_word kind = f.type == SOCK_STREAM ? ZT_W_BOUND : ZT_W_DGRAM | ZT_W_FIXED;
    return zt_swap(fd, newfd, (rep.id & ZT_W_ID_MASK) | kind | f.flags);
}

static int bind_kernel(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct zt_ctl_addr a;
    int saved = errno;
    zt_fresh_end(fd);
    int r = REAL(bind)(fd, sa, len);
    if (r < 0 && errno == EADDRINUSE && zt_any_release(fd, sa, len)) {
        errno = saved;
        r = REAL(bind)(fd, sa, len);
    }
    if (r == 0 && zt_addr_from(sa, len, &a) && a.port && zt_addr_any(&a)) {
        int e = zt_any_bound(fd);
        return e < 0 ? zt_fail(-e) : 0;
    }
    return r;
}

ZT_EXPORT int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct zt_ctl_addr local;
    zt_word w = zt_word_of(fd);
    if (w) {
        if (!zt_wild(sa) && len >= sizeof(sa_family_t) && sa->sa_family != (w & ZT_W_V6 ? AF_INET6 : AF_INET))
            return zt_fail(w & ZT_W_V6 ? EINVAL : EAFNOSUPPORT);
        return zt_fail(EINVAL); /* bound, or connected, already */
    }
    if (!zt_sa_managed(sa, len, &local) && !zt_any_is_virtual(fd, sa, len, &local))
        return bind_kernel(fd, sa, len);
    struct zt_guard g;
    zt_enter(&g, fd);
    int r = bind_attach(fd, &local, sa->sa_family);
    zt_leave(&g);
    return r < 0 ? zt_fail(-r) : 0;
}

/* As libc's, with bind going through us: one of the ports 600 to 1023. */
ZT_EXPORT int bindresvport(int fd, struct sockaddr_in *sin)
{
    static atomic_uint next;
    struct sockaddr_in own = {.sin_family = AF_INET};
    if (!sin)
        sin = &own;
    else if (sin->sin_family != AF_INET)
        return zt_fail(EAFNOSUPPORT);
    unsigned start = atomic_fetch_add(&next, 1) + (unsigned)zt_sys0(SYS_getpid);
    for (unsigned i = 0; i < 424; i++) {
        sin->sin_port = htons((uint16_t)(600 + (start + i) % 424));
        if (bind(fd, (struct sockaddr *)sin, sizeof *sin) == 0)
            return 0;
        if (errno != EADDRINUSE)
            return -1;
    }
    return zt_fail(EADDRINUSE);
}

ZT_EXPORT int listen(int fd, int backlog)
{
    zt_word w = zt_word_of(fd);
    zt_fresh_end(fd);
    if (!w)
        return zt_any_listen(fd, backlog);
    if (w & ZT_W_DGRAM)
        return zt_fail(EOPNOTSUPP);
    if (w & ZT_W_STREAM)
        return zt_fail(EINVAL);
    struct zt_guard g;
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    zt_enter(&g, fd);
    zt_req_init(&req, ZT_CTL_LISTEN, zt_id_of(fd, w));
    req.value = backlog;
    int r = zt_ctl(&req, &rep, NULL, 0, NULL, false);
    zt_leave(&g);
    int twin = zt_twin_of(fd, w);
    if (r == 0 && twin >= 0)
        zt_sys2(SYS_listen, twin, backlog);
    return r < 0 ? zt_fail(-r) : 0;
}

/* ---- accept ---- */

/* recvmsg with no free number would take the message and lose the connection in it: look first. */
static bool number_free(void)
{
    long r = zt_sys3(SYS_fcntl, 0, F_DUPFD_CLOEXEC, 0);
    if (r == -EBADF) /* 0 itself is free */
        return true;
    if (r < 0)
        return false;
    zt_sys1(SYS_close, r);
    return true;
}

/* The node that served this listener has ended; ask the new one for the same address. Once: of threads that
 * share it the first one does. */
static int listener_revive(int fd, zt_word w)
{
    struct zt_guard g;
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    struct zt_state_slot s;
    int newfd, r = -ENETDOWN;
    zt_enter(&g, fd);
    if (!zt_is_still(fd, w)) {
        zt_leave(&g);
        return 0;
    }
    if (!zt_slot_read(w, &s))
        goto out;
    /* The old id: workers that share the listener each do this, and must not be in each other's
     * way. */
    zt_req_init(&req, ZT_CTL_BIND, s.id);
    req.stype = SOCK_STREAM;
    req.family = w & ZT_W_V6 ? AF_INET6 : AF_INET;
    req.local.family = s.lfamily;
    req.local.port = s.lport;
    memcpy(req.local.ip, s.lip, 16);
    if (zt_ctl(&req, &rep, NULL, 0, &newfd, true) < 0 || newfd < 0)
        goto out;
    uint64_t id = rep.id;
    zt_page_open();
    zt_req_init(&req, ZT_CTL_LISTEN, id);
    req.value = SOMAXCONN;
    if (zt_ctl(&req, &rep, NULL, 0, NULL, false) < 0) {
        zt_sys1(SYS_close, newfd);
        goto out;
    }
    r = zt_swap(fd, newfd, (id & ZT_W_ID_MASK) | ZT_W_BOUND | (w & ZT_W_V6));
out:
    zt_leave(&g);
    return r;
}

/* The queue has ended: shut down (here or in another process), or its node is no more. */
static int accept_end(int fd, zt_word w, struct sockaddr *sa, socklen_t *len, int flags)
{
    if ((w & ZT_W_SHUT_RD) || zt_phase_of(w, NULL) != ZT_PHASE_LISTENING)
        return zt_fail(EINVAL);
    if ((w & ZT_W_MERGED) && zt_any_away(fd, w) == 0)
        return accept4(fd, sa, len, flags);
    if (listener_revive(fd, w) < 0) {
        zt_sleep_ms(AWAY_PAUSE_MS); /* it polls as readable all the time */
        return zt_fail(ENETDOWN);
    }
    return accept4(fd, sa, len, flags); /* whatever it is now */
}

static int accept_virtual(int fd, zt_word w, struct sockaddr *sa, socklen_t *len, int flags)
{
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return zt_fail(EINVAL);
    if (w & ZT_W_DGRAM)
        return zt_fail(EOPNOTSUPP);
    enum zt_phase phase = zt_phase_of(w, NULL);
    if ((w & (ZT_W_STREAM | ZT_W_SHUT_RD)) || phase == ZT_PHASE_BOUND)
        return zt_fail(EINVAL);
    if (sa && (!len || (int)*len < 0))
        return zt_fail(len ? EINVAL : EFAULT);
    if (!number_free())
        return zt_fail(EMFILE);

    struct zt_ctl_accept a;
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl;
    struct iovec iov = {&a, sizeof a};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof ctl};
    ssize_t n = REAL(recvmsg)(fd, &m, flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) /* the filler of its gate was never read */
        return accept_end(fd, w, sa, len, flags);
    if (n < 0)
        return -1;
    int got = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&got, CMSG_DATA(c), sizeof got);
    if (got < 0)
        return zt_fail(m.msg_flags & MSG_CTRUNC ? EMFILE : ECONNABORTED);
    if ((size_t)n < sizeof a) {
        zt_sys1(SYS_close, got);
        return zt_fail(ECONNABORTED);
    }
    if (flags & SOCK_NONBLOCK) {
        long fl = zt_sys3(SYS_fcntl, got, F_GETFL, 0);
        zt_sys3(SYS_fcntl, got, F_SETFL, fl | O_NONBLOCK);
    }
    zt_fd_forget(got);
    if (a.remote.family == 6) /* where the page is out of reach, after a change of user */
        w |= ZT_W_V6;
    if (a.id) /* else a connection of the kernel's */
        zt_word_set(got, (a.id & ZT_W_ID_MASK) | ZT_W_STREAM | ZT_W_TOLD | (w & ZT_W_V6));
    if (a.id)
        a.remote.scope = zt_if_out(a.remote.scope);
    if (sa)
        zt_addr_to(&a.remote, w & ZT_W_V6, sa, len);
    return got;
}

/* A kernel listener that should be merged as well, and whose node is away. It may be that another
 * worker's node is back and has made the description, which all of them share, non-blocking. */
static int accept_lost(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    bool again = zt_any_again(fd, false);
    for (;;) {
        zt_word w = zt_word_of(fd);
        if (w)
            return accept_virtual(fd, w, sa, len, flags);
        int r = REAL(accept4)(fd, sa, len, flags);
        bool blocks = zt_word_any(fd) & ZT_W_BLOCKS;
        if (r >= 0 || errno != EAGAIN || !blocks)
            return r;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (!again && zt_any_again(fd, true))
            again = true;
        else if (REAL(poll)(&p, 1, -1) < 0)
            return -1;
    }
}

ZT_EXPORT int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    zt_word w = zt_word_of(fd);
    if (w)
        return accept_virtual(fd, w, sa, len, flags);
    bool lost =
        atomic_load_explicit(&zt_any_lost, memory_order_relaxed) && (zt_word_any(fd) & ZT_W_LOST);
    int r = lost ? accept_lost(fd, sa, len, flags) : REAL(accept4)(fd, sa, len, flags);
    if (r >= 0 && !zt_word_of(r))
        zt_fd_forget(r);
    return r;
}

ZT_EXPORT int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    zt_word w = zt_word_of(fd);
    if (w || atomic_load_explicit(&zt_any_lost, memory_order_relaxed))
        return accept4(fd, sa, len, 0);
    int r = REAL(accept)(fd, sa, len);
    if (r >= 0)
        zt_fd_forget(r);
    return r;
}

/* ---- shutdown ---- */

static int shutdown_listener(int fd, zt_word w, int how)
{
    if (zt_phase_of(w, NULL) != ZT_PHASE_LISTENING)
        return zt_fail(ENOTCONN);
    if (how == SHUT_WR)
        return 0;
    zt_word_flag(fd, w, ZT_W_SHUT_RD);
    zt_ctl_note(zt_id_of(fd, w), ZT_NOTE_SHUT_RD);
    int twin = zt_twin_of(fd, w);
    if (twin >= 0)
        zt_sys2(SYS_shutdown, twin, SHUT_RD);
    return REAL(shutdown)(fd, SHUT_RD);
}

/* The write side of a datagram pair stays open below, or the node would take it for a close. */
static int shutdown_dgram(int fd, zt_word w, int how)
{
    struct zt_state_slot s;
    if (how != SHUT_RD)
        zt_word_flag(fd, w, ZT_W_SHUT_WR);
    if (how != SHUT_WR) {
        zt_word_flag(fd, w, ZT_W_SHUT_RD);
        REAL(shutdown)(fd, SHUT_RD);
    }
    /* Linux says so of an unconnected socket, having done it all the same. */
    return zt_slot_read(w, &s) && !s.rfamily ? zt_fail(ENOTCONN) : 0;
}

ZT_EXPORT int shutdown(int fd, int how)
{
    zt_word w = zt_word_of(fd);
    if (!w)
        return REAL(shutdown)(fd, how);
    if (how < SHUT_RD || how > SHUT_RDWR)
        return zt_fail(EINVAL);
    if (w & ZT_W_BOUND)
        return shutdown_listener(fd, w, how);
    if (w & ZT_W_DGRAM)
        return shutdown_dgram(fd, w, how);
    enum zt_phase phase = zt_phase_of(w, NULL);
    if (phase == ZT_PHASE_FAILED || phase == ZT_PHASE_RESET)
        return zt_fail(ENOTCONN);
    if (how != SHUT_WR) {
        zt_word_flag(fd, w, ZT_W_SHUT_RD);
        zt_ctl_note(zt_id_of(fd, w), ZT_NOTE_SHUT_RD);
    }
    return REAL(shutdown)(fd, how);
}

/* ---- names ---- */

static bool slot_addr(const struct zt_state_slot *s, bool peer, struct zt_ctl_addr *a)
{
    memset(a, 0, sizeof *a);
    a->family = peer ? s->rfamily : s->lfamily;
    a->port = peer ? s->rport : s->lport;
    memcpy(a->ip, peer ? s->rip : s->lip, 16);
    return a->family != 0;
}

static bool stream_has_peer(enum zt_phase phase)
{
    return phase == ZT_PHASE_CONNECTED || phase == ZT_PHASE_FIN;
}

static int name_virtual(int fd, zt_word w, struct sockaddr *sa, socklen_t *len, bool peer)
{
    struct zt_state_slot s;
    struct zt_ctl_addr a = {.family = w & ZT_W_V6 ? 6 : 4};
    if (zt_wild(sa) || zt_wild(len))
        return zt_fail(EFAULT);
    if ((int)*len < 0)
        return zt_fail(EINVAL);
    if (!zt_slot_read(w, &s)) {
        if (peer)
            return zt_fail(ENOTCONN);
    } else {
        if (peer && !(w & ZT_W_DGRAM) && !stream_has_peer((enum zt_phase)s.phase))
            return zt_fail(ENOTCONN);
        bool has = slot_addr(&s, peer, &a);
        if (peer && !has)
            return zt_fail(ENOTCONN);
        if (!has) /* unspecified, in the form of the socket */
            a.family = w & ZT_W_V6 ? 6 : 4;
    }
    zt_addr_to(&a, w & ZT_W_V6, sa, len);
    return 0;
}

ZT_EXPORT int getsockname(int fd, struct sockaddr *restrict sa, socklen_t *restrict len)
{
    zt_word w = zt_word_of(fd);
    return w ? name_virtual(fd, w, sa, len, false) : REAL(getsockname)(fd, sa, len);
}

ZT_EXPORT int getpeername(int fd, struct sockaddr *restrict sa, socklen_t *restrict len)
{
    zt_word w = zt_word_of(fd);
    return w ? name_virtual(fd, w, sa, len, true) : REAL(getpeername)(fd, sa, len);
}
