/* Sending and receiving: one system call on the host descriptor, and the reason from the state page
 * where the pair can't tell it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "api/zts_priv.h"

#define MAX_IOV 1024
#define FEW_IOV 16
#define MAX_DGRAM_V4 65507
#define MAX_FRAME (14 + 9890)
#define MAX_DGRAM_V6 65487 /* lwIP's pbufs end at 65535 bytes with the header */

_Static_assert(sizeof(struct zts_iovec) == sizeof(struct iovec) &&
                   offsetof(struct zts_iovec, iov_len) == offsetof(struct iovec, iov_len),
               "zts_iovec is passed to the kernel as it is");

/* One message of the caller, whatever function it came by. */
struct io {
    struct iovec *iov; /* with one free entry before it, for the datagram header */
    size_t niov, len;
    int flags;
    const void *to; /* or NULL */
    zts_socklen_t tolen;
    void *from;
    zts_socklen_t *fromlen;
    int out_flags;
    struct zts_msghdr *msg; /* zts_recvmsg: for its ancillary data */
};

/* MSG_NOSIGNAL of the host is what we do anyway, and programs have it in their fingers. */
#define HOST_NOSIGNAL 0x4000
#define KNOWN_FLAGS                                                                       \
    (ZTS_MSG_PEEK | ZTS_MSG_WAITALL | ZTS_MSG_DONTWAIT | ZTS_MSG_MORE | HOST_NOSIGNAL)

static int host_flags(int flags)
{
    return (flags & ZTS_MSG_PEEK ? MSG_PEEK : 0) | (flags & ZTS_MSG_WAITALL ? MSG_WAITALL : 0) |
           (flags & ZTS_MSG_DONTWAIT ? MSG_DONTWAIT : 0);
}

/* ---- streams
 * ---------------------------------------------------------------------------------------- */

static bool is_connecting(struct zts_sock *s)
{
    struct zt_state_slot slot;
    if (atomic_load_explicit(&s->told, memory_order_relaxed) ||
        atomic_load_explicit(&s->settled, memory_order_relaxed) || !zts_sock_slot(s, &slot))
        return false;
    if (slot.phase == ZT_PHASE_CONNECTING)
        return true;
    atomic_store_explicit(&s->settled, true, memory_order_relaxed);
    return false;
}

/* The node is gone, or this is an ordinary failure? */
static ssize_t fail_or_service(int err)
{
    return zts_ready() ? zts_fail(err) : ZTS_ERR_SERVICE;
}

/* MSG_MORE is TCP_CORK for as long as it is given. */
static void set_cork(struct zts_sock *s, bool on)
{
    pthread_mutex_lock(&s->lock);
    if (s->corked != on) {
        s->corked = on;
        zts_sock_cork(s, on);
    }
    pthread_mutex_unlock(&s->lock);
}

static ssize_t send_stream(struct zts_sock *s, struct io *io)
{
    int kind = atomic_load_explicit(&s->kind, memory_order_acquire);
    if (kind != ZTS_KIND_STREAM)
        return zts_fail(ENOTCONN);
    if (io->to != NULL)
        return zts_fail(EISCONN);
    /* The pair would take some bytes that TCP can't have yet; a call that may wait does so in there. */
    if (is_connecting(s) &&
        ((io->flags & ZTS_MSG_DONTWAIT) || (fcntl(s->fd, F_GETFL) & O_NONBLOCK)))
        return zts_fail(EAGAIN);
    if (io->flags & ZTS_MSG_MORE)
        set_cork(s, true);
    struct msghdr m = {.msg_iov = io->iov, .msg_iovlen = io->niov};
    ssize_t n = sendmsg(s->fd, &m, host_flags(io->flags & ZTS_MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (s->corked && !(io->flags & ZTS_MSG_MORE))
        set_cork(s, false);
    if (n >= 0)
        return n;
    int err = errno, why = 0;
    if (err == EPIPE || err == ECONNRESET) { /* the pair's: the first one to hear of it is told the reason */
        why = zts_sock_take_error(s);
        err = EPIPE;
    }
    return fail_or_service(why != 0 ? why : err);
}

/* The pair has ended: orderly, or because the peer or the node went away? */
static ssize_t end_of_stream(struct zts_sock *s)
{
    if (atomic_load(&s->shut_rd))
        return 0;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (zts_sock_is_stale(s))
        return zts_fail(ECONNRESET);
    int err = zts_sock_take_error(s); /* told once, then it is an end like any other */
    return err != 0 && err != EPIPE ? zts_fail(err) : 0;
}

static ssize_t recv_stream(struct zts_sock *s, struct io *io)
{
    if (atomic_load_explicit(&s->kind, memory_order_acquire) != ZTS_KIND_STREAM)
        return zts_fail(ENOTCONN);
    struct msghdr m = {.msg_iov = io->iov, .msg_iovlen = io->niov};
    ssize_t n = recvmsg(s->fd, &m, host_flags(io->flags));
    if (n < 0 && errno != ECONNRESET)
        return fail_or_service(errno);
    /* ECONNRESET is the pair's own, where something of ours was not read any more. */
    if (n < 0 || (n == 0 && io->len > 0))
        n = end_of_stream(s);
    if (n >= 0 && io->msg != NULL)
        io->msg->msg_controllen = 0;
    if (n >= 0 && io->from != NULL)
        zts_addr_out(s->family, &s->peer, io->from, io->fromlen);
    return n;
}

/* ---- datagrams
 * -------------------------------------------------------------------------------------- */

static bool is_broadcast(const struct zt_ctl_addr *a)
{
    return a->family == 4 && memcmp(a->ip, "\377\377\377\377", 4) == 0;
}

static ssize_t send_dgram(struct zts_sock *s, struct io *io)
{
    struct zt_ctl_dgram head = {.type = ZT_DGRAM_DATA};
    if (io->to != NULL) {
        int rc = zts_addr_in(s->family, io->to, io->tolen, &head.remote);
        if (rc != ZTS_ERR_OK)
            return rc;
    } else if (s->peer.family == 0 && s->family != AF_PACKET) {
        return zts_fail(EDESTADDRREQ);
    }
    uint8_t family = head.remote.family != 0 ? head.remote.family : s->peer.family;
    size_t most = family == 6 ? MAX_DGRAM_V6 : MAX_DGRAM_V4;
    if (s->type == ZTS_SOCK_RAW)
        most = s->family == AF_PACKET ? MAX_FRAME : most + 8; /* no UDP header in it */
    if (io->len > most)
        return zts_fail(EMSGSIZE);
    if (is_broadcast(&head.remote) && !s->broadcast)
        return zts_fail(EACCES);
    int rc = zts_sock_need_dgram(s);
    if (rc != ZTS_ERR_OK)
        return rc;
    io->iov[-1] = (struct iovec){.iov_base = &head, .iov_len = sizeof head};
    struct msghdr m = {.msg_iov = io->iov - 1, .msg_iovlen = io->niov + 1};
    ssize_t n = sendmsg(s->fd, &m, host_flags(io->flags & ZTS_MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (n < 0)
        return fail_or_service(errno);
    return n - (ssize_t)sizeof head;
}

/* IP_PKTINFO, IPV6_RECVPKTINFO: where a datagram was sent to, and came in. */
static void packet_info(const struct zts_sock *s, const struct zt_ctl_dgram *head, struct io *io)
{
    union {
        struct zts_in_pktinfo in4;
        struct zts_in6_pktinfo in6;
    } info;
    struct zts_msghdr *m = io->msg;
    bool v6 = s->family == ZTS_AF_INET6;
    size_t n = v6 ? sizeof info.in6 : sizeof info.in4;
    struct zts_cmsghdr c = {.cmsg_len = (zts_socklen_t)ZTS_CMSG_LEN(n),
                            .cmsg_level = v6 ? ZTS_IPPROTO_IPV6 : ZTS_IPPROTO_IP,
                            .cmsg_type = v6 ? ZTS_IPV6_RECVPKTINFO : ZTS_IP_PKTINFO};
    memset(&info, 0, sizeof info);
    if (m->msg_control == NULL || m->msg_controllen < ZTS_CMSG_LEN(n)) {
        io->out_flags |= ZTS_MSG_CTRUNC;
        m->msg_controllen = 0;
        return;
    }
    if (v6) {
        info.in6.ipi6_ifindex = head->ifindex;
        if (head->lfamily == 4) {
            memset(info.in6.ipi6_addr.un.u8_addr + 10, 0xff, 2);
            memcpy(info.in6.ipi6_addr.un.u8_addr + 12, head->lip, 4);
        } else {
            memcpy(&info.in6.ipi6_addr, head->lip, 16);
        }
    } else {
        info.in4.ipi_ifindex = head->ifindex;
        memcpy(&info.in4.ipi_addr, head->lip, 4);
    }
    memcpy(m->msg_control, &c, sizeof c);
    memcpy(ZTS_CMSG_DATA(m->msg_control), &info, n);
    size_t space = ZTS_CMSG_SPACE(n);
    m->msg_controllen = (zts_socklen_t)(m->msg_controllen < space ? ZTS_CMSG_LEN(n) : space);
}

static ssize_t recv_dgram(struct zts_sock *s, struct io *io)
{
    struct zt_ctl_dgram head;
    int rc = zts_sock_need_dgram(s);
    if (rc != ZTS_ERR_OK)
        return rc;
    io->iov[-1] = (struct iovec){.iov_base = &head, .iov_len = sizeof head};
    struct msghdr m = {.msg_iov = io->iov - 1, .msg_iovlen = io->niov + 1};
    ssize_t n = recvmsg(s->fd, &m, host_flags(io->flags & ~ZTS_MSG_WAITALL));
    if (n < 0)
        return fail_or_service(errno);
    if (n == 0)
        return atomic_load(&s->shut_rd) ? 0 : fail_or_service(ENETDOWN);
    if (n < (ssize_t)sizeof head)
        return zts_fail(EIO);
    if (head.type == ZT_DGRAM_ERROR) {
        if (io->flags & ZTS_MSG_PEEK) /* an error is told once, peeked at or not */
            (void)recv(s->fd, &head, sizeof head, MSG_DONTWAIT);
        return zts_fail(head.err);
    }
    if (m.msg_flags & MSG_TRUNC)
        io->out_flags |= ZTS_MSG_TRUNC;
    if (io->from != NULL)
        zts_addr_out(s->family, &head.remote, io->from, io->fromlen);
    if (io->msg != NULL && s->pktinfo)
        packet_info(s, &head, io);
    else if (io->msg != NULL)
        io->msg->msg_controllen = 0;
    return n - (ssize_t)sizeof head;
}

/* ---- common
 * ----------------------------------------------------------------------------------------- */

static ssize_t run(int fd, struct io *io, bool sending)
{
    struct zts_sock *s = zts_sock_get(fd);
    if (s == NULL)
        return zts_fail(EBADF);
    ssize_t rc;
    if (io->flags & ~KNOWN_FLAGS)
        rc = zts_fail(EOPNOTSUPP); /* urgent data, and the host's numbers of other flags */
    else if (s->type == ZTS_SOCK_STREAM)
        rc = sending ? send_stream(s, io) : recv_stream(s, io);
    else
        rc = sending ? send_dgram(s, io) : recv_dgram(s, io);
    zts_sock_put(s);
    return rc;
}

static ssize_t run_one(int fd, void *buf, size_t len, struct io *io, bool sending)
{
    struct iovec iov[2] = {[1] = {.iov_base = buf, .iov_len = len}};
    io->iov = iov + 1;
    io->niov = 1;
    io->len = len;
    return run(fd, io, sending);
}

static ssize_t run_many(int fd, const struct zts_iovec *v, int nv, struct io *io, bool sending)
{
    struct iovec few[FEW_IOV + 1], *iov = few;
    if (nv > MAX_IOV)
        return zts_fail(EINVAL);
    for (int i = 0; i < nv; i++) {
        if (v[i].iov_len > SSIZE_MAX - io->len)
            return zts_fail(EINVAL);
        io->len += v[i].iov_len;
    }
    if (nv > FEW_IOV && (iov = malloc(((size_t)nv + 1) * sizeof *iov)) == NULL)
        return zts_fail(ENOMEM);
    memcpy(iov + 1, v, (size_t)nv * sizeof *iov);
    io->iov = iov + 1;
    io->niov = (size_t)nv;
    ssize_t rc = run(fd, io, sending);
    if (iov != few)
        free(iov);
    return rc;
}

static bool bad_to(const void *addr, zts_socklen_t len)
{
    return addr != NULL &&
           (len < sizeof(struct zts_sockaddr) || len > sizeof(struct zts_sockaddr_in6));
}

/* ---- the public family
 * ------------------------------------------------------------------------------ */

ssize_t zts_send(int fd, const void *buf, size_t len, int flags)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (buf == NULL && len > 0)
        return ZTS_ERR_ARG;
    struct io io = {.flags = flags};
    return run_one(fd, (void *)(uintptr_t)buf, len, &io, true);
}

ssize_t zts_sendto(int fd, const void *buf, size_t len, int flags, const void *addr,
                   zts_socklen_t addrlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if ((buf == NULL && len > 0) || addr == NULL || bad_to(addr, addrlen))
        return ZTS_ERR_ARG;
    struct io io = {.flags = flags, .to = addr, .tolen = addrlen};
    return run_one(fd, (void *)(uintptr_t)buf, len, &io, true);
}

ssize_t zts_sendmsg(int fd, const struct zts_msghdr *msg, int flags)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (msg == NULL || msg->msg_iov == NULL || msg->msg_iovlen < 1 ||
        bad_to(msg->msg_name, msg->msg_namelen))
        return ZTS_ERR_ARG;
    struct io io = {.flags = flags, .to = msg->msg_name, .tolen = msg->msg_namelen};
    return run_many(fd, msg->msg_iov, msg->msg_iovlen, &io, true);
}

ssize_t zts_recv(int fd, void *buf, size_t len, int flags)
{
    return zts_recvfrom(fd, buf, len, flags, NULL, NULL);
}

ssize_t zts_recvfrom(int fd, void *buf, size_t len, int flags, void *addr, zts_socklen_t *addrlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if ((buf == NULL && len > 0) || (addr != NULL && addrlen == NULL))
        return ZTS_ERR_ARG;
    struct io io = {.flags = flags, .from = addr, .fromlen = addrlen};
    return run_one(fd, buf, len, &io, false);
}

ssize_t zts_recvmsg(int fd, struct zts_msghdr *msg, int flags)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (msg == NULL || msg->msg_iov == NULL || msg->msg_iovlen < 1)
        return ZTS_ERR_ARG;
    struct io io = {
        .flags = flags, .from = msg->msg_name, .fromlen = &msg->msg_namelen, .msg = msg};
    ssize_t rc = run_many(fd, msg->msg_iov, msg->msg_iovlen, &io, false);
    if (rc >= 0) {
        msg->msg_flags = io.out_flags;
    }
    return rc;
}

ssize_t zts_read(int fd, void *buf, size_t len)
{
    return zts_recvfrom(fd, buf, len, 0, NULL, NULL);
}

ssize_t zts_write(int fd, const void *buf, size_t len)
{
    return zts_send(fd, buf, len, 0);
}

ssize_t zts_readv(int fd, const struct zts_iovec *iov, int iovcnt)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (iov == NULL || iovcnt < 1)
        return ZTS_ERR_ARG;
    struct io io = {0};
    return run_many(fd, iov, iovcnt, &io, false);
}

ssize_t zts_writev(int fd, const struct zts_iovec *iov, int iovcnt)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (iov == NULL || iovcnt < 1)
        return ZTS_ERR_ARG;
    struct io io = {0};
    return run_many(fd, iov, iovcnt, &io, true);
}
