/* Making sockets, connecting, binding, accepting, ending. Data is in zts_io.c.
 *
 * The node answers CONNECT and BIND at once with the program's end of a socketpair. From there on
 * the kernel does the waiting: a connecting stream is not writable until the handshake is over (the
 * node keeps it full), and the reason of a failure stands in the state page. A blocking connect asks the
 * node to answer when it is over instead, and falls back to that when it takes longer than WAIT_MS. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api/zts_priv.h"

#define WAIT_MS 2 /* with the descriptor's lock held */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Every function below begins alike: service first, then the descriptor. */
#define ENTER(s, num)                       \
    if (!zts_ready())                       \
        return ZTS_ERR_SERVICE;             \
    struct zts_sock *s = zts_sock_get(num); \
    if (s == NULL)                          \
    return zts_fail(EBADF)

static int check_kind(int family, int type, int protocol)
{
    if (family != ZTS_AF_INET && family != ZTS_AF_INET6)
        return EAFNOSUPPORT;
    if (type == ZTS_SOCK_RAW)
        return protocol > 0 && protocol < 256 ? 0 : EPROTONOSUPPORT;
    if (type != ZTS_SOCK_STREAM && type != ZTS_SOCK_DGRAM)
        return EINVAL;
    int own = type == ZTS_SOCK_STREAM ? ZTS_IPPROTO_TCP : ZTS_IPPROTO_UDP;
    return protocol == 0 || protocol == own ? 0 : EPROTONOSUPPORT;
}

int zts_socket(int family, int type, int protocol)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    int err = check_kind(family, type, protocol);
    if (err != 0)
        return zts_fail(err);
    struct zts_sock *s = zts_sock_new(family, type);
    if (s == NULL)
        return zts_fail(ENFILE);
    int fd = zts_placeholder(type);
    if (fd < 0) {
        zts_sock_abandon(s);
        return zts_fail(fd == -EMFILE ? ENFILE : -fd);
    }
    s->fd = fd;
    s->protocol = protocol;
    /* 64 is the node's for programs under the preload, 255 this API's. */
    s->opts[s->nopts++] =
        (struct zt_ctl_opt){.level = IPPROTO_IP, .name = IP_TTL, .value = 255};
    int num = s->num;
    zts_sock_publish(s);
    zts_sock_put(s);
    return num;
}

/* SO_LINGER with a time: until the peer has acknowledged everything, or the time is over; what is left
 * then goes on by itself. The end is announced first, as close does. Nothing tells when the last byte was
 * acknowledged, hence the short waits, of which there are few: this is the last call on a socket. */
static void linger(struct zts_sock *s)
{
    struct zt_state_slot slot;
    pthread_mutex_lock(&s->lock);
    int seconds = atomic_load(&s->kind) == ZTS_KIND_STREAM ? s->linger : 0;
    pthread_mutex_unlock(&s->lock);
    int flags = seconds > 0 ? fcntl(s->fd, F_GETFL) : -1;
    if (flags < 0 || (flags & O_NONBLOCK) || !zts_ready())
        return;
    int64_t end = now_ms() + (int64_t)seconds * 1000;
    (void)shutdown(s->fd, SHUT_WR);
    for (int wait_ms = 1; now_ms() < end && zts_ready(); wait_ms = wait_ms < 16 ? wait_ms * 2 : 16) {
        int unread = 0;
        bool known = zts_sock_slot(s, &slot);
        if (ioctl(s->fd, SIOCOUTQ, &unread) != 0)
            unread = 0;
        if (!known || slot.phase == ZT_PHASE_RESET || slot.phase == ZT_PHASE_FAILED ||
            (slot.phase != ZT_PHASE_CONNECTING && unread == 0 && slot.unacked == 0))
            return;
        zts_delay_ms(wait_ms);
    }
}

int zts_close(int fd)
{
    /* Works without a node too: descriptors must not leak over a restart. */
    struct zts_sock *s = zts_sock_get(fd);
    if (s == NULL)
        return zts_fail(EBADF);
    linger(s);
    zts_sock_put(s);
    return zts_sock_close(fd);
}

int zts_get_host_fd(int fd)
{
    ENTER(s, fd);
    int before = zts_errno;
    if (s->type != ZTS_SOCK_STREAM)
        (void)zts_sock_need_dgram(s);
    zts_errno = before;
    int host = s->fd;
    zts_sock_put(s);
    return host;
}

/* ---- requests
 * ------------------------------------------------------------------------------------- */

/* Ask for a descriptor and put it in the place of the present one; wait: for the end of a connect too,
 * if it is near. With s->lock. */
static int request_fd(struct zts_sock *s, const struct zt_ctl_req *req, struct zt_ctl_rep *rep,
                      enum zts_kind kind, bool wait)
{
    int fresh = -1;
    if (!zts_sock_is_open(s)) /* see zts_fd.c */
        return zts_fail(EBADF);
    int rc = wait ? zts_request_connect(req, rep, &fresh, WAIT_MS)
                  : zts_request(req, rep, NULL, &fresh);
    if (rc != ZTS_ERR_OK) {
        if (fresh >= 0)
            close(fresh);
        return rc;
    }
    if (fresh < 0)
        return zts_fail(EIO);
    struct zts_page *page = zts_page_get();
    int err = zts_sock_swap(s, fresh);
    if (err != 0) {
        zts_page_unref(page);
        return zts_fail(err);
    }
    zts_sock_set_page(s, page);
    s->local = rep->local;
    atomic_store(&s->id, rep->id);
    atomic_store(&s->told, false);
    atomic_store(&s->settled, false);
    atomic_store(&s->reset_told, false);
    atomic_store(&s->kind, kind);
    return ZTS_ERR_OK;
}

int zts_sock_need_dgram(struct zts_sock *s)
{
    if (atomic_load_explicit(&s->kind, memory_order_acquire) != ZTS_KIND_FRESH)
        return ZTS_ERR_OK;
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    pthread_mutex_lock(&s->lock);
    int rc = ZTS_ERR_OK;
    if (atomic_load(&s->kind) == ZTS_KIND_FRESH) {
        zts_req_init(s, ZT_CTL_UDP, &req);
        rc = request_fd(s, &req, &rep, ZTS_KIND_DGRAM, false);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* ---- connect
 * -------------------------------------------------------------------------------------- */

/* Back to a fresh socket, so that connect can be tried again. With s->lock. */
static void make_fresh(struct zts_sock *s)
{
    int fd = zts_placeholder(s->type);
    if (fd < 0 || zts_sock_swap(s, fd) != 0)
        return; /* the failed pair stays; a new connect replaces it as well */
    atomic_store(&s->id, 0);
    atomic_store(&s->kind, ZTS_KIND_FRESH);
    zts_sock_set_page(s, NULL);
}

/* The result of a connect that has been answered: 0, an errno, or -1 while it has not. */
static int connect_result(struct zts_sock *s)
{
    struct zt_state_slot slot;
    if (!zts_sock_slot(s, &slot))
        return zts_sock_is_stale(s) ? ENETDOWN : ECONNRESET;
    switch (slot.phase) {
    case ZT_PHASE_CONNECTING:
        return -1;
    case ZT_PHASE_FAILED:
        return slot.err != 0 ? slot.err : ECONNREFUSED;
    default:
        return 0; /* connected, or already past it: that is for recv to tell */
    }
}

static int timeout_of(const struct zts_sock *s, bool *is_contimeo)
{
    int64_t sec = s->sndtimeo.tv_sec < INT32_MAX ? s->sndtimeo.tv_sec : INT32_MAX;
    int64_t snd = sec * 1000 + (s->sndtimeo.tv_usec + 999) / 1000;
    *is_contimeo = s->contimeo_ms > 0 && (snd == 0 || s->contimeo_ms <= snd);
    if (*is_contimeo)
        return s->contimeo_ms;
    return snd == 0 ? -1 : snd > INT32_MAX ? INT32_MAX : (int)snd;
}

static int wait_connected(struct zts_sock *s)
{
    bool is_contimeo;
    int limit = timeout_of(s, &is_contimeo);
    int64_t end = now_ms() + limit;
    for (;;) {
        int rc = connect_result(s);
        if (rc >= 0)
            return rc;
        struct pollfd p = {.fd = s->fd, .events = POLLOUT};
        int64_t left = limit < 0 ? -1 : end - now_ms();
        if (limit >= 0 && left <= 0)
            return is_contimeo ? ETIMEDOUT : EINPROGRESS;
        if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
            return errno;
        if (!zts_sock_is_open(s))
            return EBADF; /* by another thread */
        /* The node writes the page before it opens the gate, so the next look tells. */
    }
}

static int connect_stream(struct zts_sock *s, const struct zt_ctl_addr *to, bool *wait)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep = {.done = 0};
    int kind = atomic_load(&s->kind);
    if (kind == ZTS_KIND_BOUND && s->listening)
        return zts_fail(EISCONN);
    if (kind == ZTS_KIND_STREAM) {
        int rc = connect_result(s);
        if (rc < 0)
            return zts_fail(EALREADY);
        bool told = atomic_exchange(&s->told, true);
        if (rc == 0)
            return told ? zts_fail(EISCONN) : ZTS_ERR_OK;
        /* A failure that nobody has heard of is told; the next call tries again. */
        make_fresh(s);
        if (!told)
            return zts_fail(rc);
    }
    zts_req_init(s, ZT_CTL_CONNECT, &req);
    req.remote = *to;
    int flags = fcntl(s->fd, F_GETFL);
    bool blocking = flags < 0 || !(flags & O_NONBLOCK);
    s->peer = *to;
    int rc = request_fd(s, &req, &rep, ZTS_KIND_STREAM, blocking);
    if (rc != ZTS_ERR_OK)
        return rc;
    /* Also when the answer is there already: one behaviour, whatever the timing. */
    if (!blocking)
        return zts_fail(EINPROGRESS);
    *wait = !rep.done;
    if (rep.done)
        atomic_store(&s->told, true);
    return ZTS_ERR_OK;
}

/* The last part of a blocking connect, without the lock: other threads may close or look. */
static int finish_connect(struct zts_sock *s)
{
    int rc = wait_connected(s);
    if (rc == EINPROGRESS)
        return zts_fail(rc);
    if (rc == 0) {
        atomic_store(&s->told, true);
        return ZTS_ERR_OK;
    }
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    pthread_mutex_lock(&s->lock);
    make_fresh(s);
    pthread_mutex_unlock(&s->lock);
    return zts_fail(rc);
}

static int connect_dgram(struct zts_sock *s, const struct zt_ctl_addr *to)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    zts_req_init(s, ZT_CTL_UDP, &req);
    req.remote = *to;
    int rc = atomic_load(&s->kind) == ZTS_KIND_FRESH ? request_fd(s, &req, &rep, ZTS_KIND_DGRAM, false)
                                                     : zts_request(&req, &rep, NULL, NULL);
    if (rc == ZTS_ERR_OK) {
        s->local = rep.local;
        s->peer = *to;
    }
    return rc;
}

static int connect_addr(const struct zts_sock *s, const void *addr, zts_socklen_t len,
                        struct zt_ctl_addr *to)
{
    struct zts_sockaddr head;
    if (addr == NULL || len < sizeof head || len > sizeof(struct zts_sockaddr_in6))
        return ZTS_ERR_ARG;
    memcpy(&head, addr, sizeof head);
    memset(to, 0, sizeof *to);
    if (head.sa_family == ZTS_AF_UNSPEC && s->type != ZTS_SOCK_STREAM)
        return ZTS_ERR_OK; /* family 0: dissolve */
    return zts_addr_in(s->family, addr, len, to);
}

int zts_connect(int fd, const void *addr, zts_socklen_t addrlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (addr == NULL || addrlen < sizeof(struct zts_sockaddr) ||
        addrlen > sizeof(struct zts_sockaddr_in6))
        return ZTS_ERR_ARG;
    ENTER(s, fd);
    struct zt_ctl_addr to;
    bool wait = false;
    int rc = connect_addr(s, addr, addrlen, &to);
    if (rc == ZTS_ERR_OK) {
        pthread_mutex_lock(&s->lock);
        rc = s->type == ZTS_SOCK_STREAM ? connect_stream(s, &to, &wait) : connect_dgram(s, &to);
        pthread_mutex_unlock(&s->lock);
    }
    if (wait)
        rc = finish_connect(s);
    zts_sock_put(s);
    return rc;
}

/* ---- bind, listen, accept
 * --------------------------------------------------------------------------- */

static int bind_locked(struct zts_sock *s, const struct zt_ctl_addr *local)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    if (atomic_load(&s->kind) != ZTS_KIND_FRESH)
        return zts_fail(EINVAL);
    zts_req_init(s, ZT_CTL_BIND, &req);
    req.local = *local;
    return request_fd(s, &req, &rep, s->type == ZTS_SOCK_STREAM ? ZTS_KIND_BOUND : ZTS_KIND_DGRAM,
                      false);
}

int zts_bind(int fd, const void *addr, zts_socklen_t addrlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (addr == NULL || addrlen < sizeof(struct zts_sockaddr) ||
        addrlen > sizeof(struct zts_sockaddr_in6))
        return ZTS_ERR_ARG;
    ENTER(s, fd);
    struct zt_ctl_addr local;
    int rc = zts_addr_in(s->family, addr, addrlen, &local);
    if (rc == ZTS_ERR_OK) {
        pthread_mutex_lock(&s->lock);
        rc = bind_locked(s, &local);
        pthread_mutex_unlock(&s->lock);
    }
    zts_sock_put(s);
    return rc;
}

static int listen_locked(struct zts_sock *s, int backlog, bool all_ports)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    if (s->type != ZTS_SOCK_STREAM)
        return zts_fail(EOPNOTSUPP);
    int kind = atomic_load(&s->kind);
    if (kind == ZTS_KIND_STREAM)
        return zts_fail(EINVAL);
    if (kind == ZTS_KIND_FRESH) { /* as on any system: a free port of every address */
        struct zt_ctl_addr any = {.family = s->family == ZTS_AF_INET6 ? 6 : 4};
        int rc = bind_locked(s, &any);
        if (rc != ZTS_ERR_OK)
            return rc;
    }
    zts_req_init(s, ZT_CTL_LISTEN, &req);
    req.value = backlog < 1 ? 1 : backlog > 255 ? 255 : backlog;
    req.level = all_ports;
    int rc = zts_request(&req, &rep, NULL, NULL);
    if (rc == ZTS_ERR_OK)
        s->listening = true;
    return rc;
}

static int listen_on(int fd, int backlog, bool all_ports)
{
    ENTER(s, fd);
    pthread_mutex_lock(&s->lock);
    int rc = listen_locked(s, backlog, all_ports);
    pthread_mutex_unlock(&s->lock);
    zts_sock_put(s);
    return rc;
}

int zts_listen(int fd, int backlog)
{
    return listen_on(fd, backlog, false);
}

int zts_listen_all(int fd, int backlog)
{
    return listen_on(fd, backlog, true);
}

/* One message from the listening descriptor. Returns the new descriptor or -errno. */
static int take_connection(struct zts_sock *s, struct zt_ctl_accept *a)
{
    struct iovec iov = {.iov_base = a, .iov_len = sizeof *a};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } u;
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    ssize_t n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) /* the node has ended it */
        return -ECONNABORTED;
    if (n < 0)
        return -errno;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (n != sizeof *a || c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len < CMSG_LEN(sizeof(int)))
        return m.msg_flags & MSG_CTRUNC ? -ENFILE : -ECONNABORTED;
    int fd;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static int accept_on(struct zts_sock *s, void *addr, zts_socklen_t *len, int flags)
{
    if (s->type != ZTS_SOCK_STREAM)
        return zts_fail(EOPNOTSUPP);
    if (!s->listening)
        return zts_fail(EINVAL);
    /* A place first: a connection that was taken out and finds none would be lost. */
    struct zts_sock *c = zts_sock_new(s->family, s->type);
    if (c == NULL)
        return zts_fail(ENFILE);
    struct zt_ctl_accept a;
    int fd = take_connection(s, &a);
    if (fd < 0) {
        zts_sock_abandon(c);
        return zts_ready() ? zts_fail(-fd) : ZTS_ERR_SERVICE;
    }
    if (flags & ZTS_O_NONBLOCK)
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    c->fd = fd;
    c->page = zts_sock_page(s);
    c->local = a.local;
    c->peer = a.remote;
    atomic_store(&c->id, a.id);
    atomic_store(&c->kind, ZTS_KIND_STREAM);
    atomic_store(&c->told, true);
    if (addr != NULL)
        zts_addr_out(s->family, &a.remote, addr, len);
    int num = c->num;
    zts_sock_publish(c);
    zts_sock_put(c);
    return num;
}

int zts_accept4(int fd, void *addr, zts_socklen_t *addrlen, int flags)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (addr != NULL && addrlen == NULL)
        return ZTS_ERR_ARG;
    ENTER(s, fd);
    int rc = flags & ~ZTS_O_NONBLOCK ? zts_fail(EINVAL) : accept_on(s, addr, addrlen, flags);
    zts_sock_put(s);
    return rc;
}

int zts_accept(int fd, void *addr, zts_socklen_t *addrlen)
{
    return zts_accept4(fd, addr, addrlen, 0);
}

/* ---- names and ends
 * --------------------------------------------------------------------------------- */

static bool bad_name_args(const void *addr, const zts_socklen_t *len)
{
    return addr == NULL || len == NULL || *len < sizeof(struct zts_sockaddr) ||
           *len > sizeof(struct zts_sockaddr_in6);
}

static struct zt_ctl_addr slot_addr(uint8_t family, const uint8_t *ip, uint16_t port)
{
    struct zt_ctl_addr a = {.family = family, .port = port};
    memcpy(a.ip, ip, 16);
    return a;
}

int zts_getsockname(int fd, void *addr, zts_socklen_t *addrlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (bad_name_args(addr, addrlen))
        return ZTS_ERR_ARG;
    ENTER(s, fd);
    struct zt_state_slot slot;
    pthread_mutex_lock(&s->lock);
    struct zt_ctl_addr a = s->local;
    if (zts_sock_slot(s, &slot) && slot.lfamily != 0)
        a = slot_addr(slot.lfamily, slot.lip, slot.lport);
    pthread_mutex_unlock(&s->lock);
    zts_addr_out(s->family, &a, addr, addrlen);
    zts_sock_put(s);
    return ZTS_ERR_OK;
}

int zts_getpeername(int fd, void *addr, zts_socklen_t *addrlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (bad_name_args(addr, addrlen))
        return ZTS_ERR_ARG;
    ENTER(s, fd);
    struct zt_state_slot slot;
    pthread_mutex_lock(&s->lock);
    struct zt_ctl_addr a = s->peer;
    int kind = atomic_load(&s->kind);
    bool connected = kind == ZTS_KIND_DGRAM && a.family != 0;
    if (kind == ZTS_KIND_STREAM && zts_sock_slot(s, &slot))
        connected = slot.phase == ZT_PHASE_CONNECTED || slot.phase == ZT_PHASE_FIN;
    pthread_mutex_unlock(&s->lock);
    int rc = ZTS_ERR_OK;
    if (connected)
        zts_addr_out(s->family, &a, addr, addrlen);
    else
        rc = zts_fail(ENOTCONN);
    zts_sock_put(s);
    return rc;
}

static int shutdown_on(struct zts_sock *s, int how)
{
    static const int host_how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
    int kind = atomic_load(&s->kind);
    if (how < ZTS_SHUT_RD || how > ZTS_SHUT_RDWR)
        return zts_fail(EINVAL);
    if (kind == ZTS_KIND_BOUND && s->listening)
        return zts_fail(EOPNOTSUPP);
    if (kind != ZTS_KIND_STREAM && !(kind == ZTS_KIND_DGRAM && s->peer.family != 0))
        return zts_fail(ENOTCONN);
    if (how != ZTS_SHUT_WR)
        atomic_store(&s->shut_rd, true);
    if (shutdown(s->fd, host_how[how]) != 0)
        return zts_fail(errno);
    if (how != ZTS_SHUT_WR && kind == ZTS_KIND_STREAM) {
        /* The node can't see this in the pair: what still comes is then thrown away, as TCP does.
         */
        struct zt_ctl_req req;
        struct zt_ctl_rep rep;
        int before = zts_errno;
        zts_req_init(s, ZT_CTL_NOTE, &req);
        req.value = ZT_NOTE_SHUT_RD;
        (void)zts_request(&req, &rep, NULL, NULL); /* it may be over: nothing to discard then */
        zts_errno = before;
    }
    return ZTS_ERR_OK;
}

int zts_shutdown(int fd, int how)
{
    ENTER(s, fd);
    pthread_mutex_lock(&s->lock);
    int rc = shutdown_on(s, how);
    pthread_mutex_unlock(&s->lock);
    zts_sock_put(s);
    return rc;
}
