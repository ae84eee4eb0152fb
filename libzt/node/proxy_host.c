/* The kernel's side of a socket that a program bound to a wildcard address.
 *
 * Such a program wants to be reached by every network the machine has, and the virtual network is
 * one more. It keeps one descriptor, ours; the kernel socket that it had came to us with
 * ZT_CTL_MERGE. What arrives there is put into the same pair: connections as they are (the program
 * gets the kernel's descriptor), datagrams with our header. So kernel connections cost one message
 * at their beginning and nothing afterwards; datagrams of the kernel's take one hop more.
 *
 * The program keeps a duplicate of the kernel socket. When this node ends it puts it back, and the
 * kernel's side goes on. So the description is shared: its flags are not ours alone, and accept is
 * only called on what poll has just announced, with O_NONBLOCK set (by libuv) for the case that
 * another worker was faster. Backlog and receive buffer stay the kernel's: while the program takes
 * nothing, we take nothing either. */
#include "node/proxy_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "node/fork.h"

#define TURN 64 /* connections, datagrams */
#define MOST_BYTES 65536

struct zt_host_side {
    struct zt_proxy *p;
    struct zt_sock *s;
    uv_poll_t poll;
    int fd, domain;
    bool watched, ready, failed;
};

static void on_host(uv_poll_t *h, int status, int events)
{
    struct zt_host_side *host = h->data;

    (void)events;
    if (status < 0) { /* an error is pending, and libuv has stopped watching */
        host->watched = false;
        host->failed = true;
    }
    host->ready = true;
    zt_sock_touch(host->s);
}

static bool get_int(int fd, int level, int name, int *v)
{
    socklen_t n = sizeof *v;

    return getsockopt(fd, level, name, v, &n) == 0;
}

/* A program may send us anything; it has to be what it says. */
static bool is_as_said(int fd, const struct zt_ctl_req *q, int *domain)
{
    int type, protocol, listens;

    if (!get_int(fd, SOL_SOCKET, SO_DOMAIN, domain) || !get_int(fd, SOL_SOCKET, SO_TYPE, &type) ||
        !get_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) ||
        !get_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens))
        return false;
    return (*domain == AF_INET || *domain == AF_INET6) && type == q->stype &&
           (type == SOCK_STREAM ? listens : type == SOCK_DGRAM && protocol == IPPROTO_UDP) &&
           zt_addr_is_any(&q->local);
}

/* The header wants to know where a datagram came in. */
static void ask_for_details(const struct zt_host_side *h)
{
    static const int v4[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS};
    static const int v6[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS};
    int on = 1;

    for (size_t i = 0; i < sizeof v4 / sizeof v4[0]; i++) {
        setsockopt(h->fd, IPPROTO_IP, v4[i], &on, sizeof on);
        if (h->domain == AF_INET6)
            setsockopt(h->fd, IPPROTO_IPV6, v6[i], &on, sizeof on);
    }
}

int zt_host_take(struct zt_sock *s, const struct zt_ctl_req *q, int fd)
{
    struct zt_host_side *h = calloc(1, sizeof *h);
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;

    if (!h || !is_as_said(fd, q, &h->domain) ||
        getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) != 0 ||
        uv_poll_init(zt_loop_uv(s->p->cfg.loop), &h->poll, fd) != 0) {
        free(h);
        close(fd);
        return h ? EINVAL : ENOMEM;
    }
    h->p = s->p;
    h->s = s;
    h->poll.data = h;
    h->fd = zt_fd_own(fd);
    h->p->handles++;
    s->host = h;
    s->slot->twin = zt_ctl_twin_mark(cookie);
    if (q->stype == SOCK_DGRAM)
        ask_for_details(h);
    return 0;
}

static void on_closed(uv_handle_t *u)
{
    struct zt_host_side *h = u->data;
    struct zt_proxy *p = h->p;

    free(h);
    zt_proxy_handle_closed(p);
}

void zt_host_drop(struct zt_sock *s)
{
    struct zt_host_side *h = s->host;

    if (!h)
        return;
    s->host = NULL;
    uv_close((uv_handle_t *)&h->poll, on_closed);
    zt_fd_close(h->fd);
}

void zt_host_watch(struct zt_sock *s, bool on)
{
    struct zt_host_side *h = s->host;

    if (!h || h->watched == on)
        return;
    h->watched = on;
    if (on)
        uv_poll_start(&h->poll, UV_READABLE, on_host);
    else
        uv_poll_stop(&h->poll);
}

static bool from_sockaddr(const struct sockaddr_storage *ss, struct zt_ctl_addr *out)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    memset(out, 0, sizeof *out);
    if (ss->ss_family == AF_INET) {
        memcpy(&in, ss, sizeof in);
        out->family = 4;
        out->port = ntohs(in.sin_port);
        memcpy(out->ip, &in.sin_addr, 4);
        return true;
    }
    if (ss->ss_family != AF_INET6)
        return false;
    memcpy(&in6, ss, sizeof in6);
    out->port = ntohs(in6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        out->family = 4;
        memcpy(out->ip, in6.sin6_addr.s6_addr + 12, 4);
    } else {
        out->family = 6;
        out->scope = in6.sin6_scope_id;
        memcpy(out->ip, &in6.sin6_addr, 16);
    }
    return true;
}

static socklen_t to_sockaddr(const struct zt_ctl_addr *a, int domain, struct sockaddr_storage *ss)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

    if (domain == AF_INET) {
        memcpy(&in.sin_addr, a->ip, 4);
        memcpy(ss, &in, sizeof in);
        return sizeof in;
    }
    if (a->family == 6) {
        memcpy(&in6.sin6_addr, a->ip, 16);
        in6.sin6_scope_id = a->scope;
    } else {
        in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
        memcpy(in6.sin6_addr.s6_addr + 12, a->ip, 4);
    }
    memcpy(ss, &in6, sizeof in6);
    return sizeof in6;
}

/* --- connections ------------------------------------------------------------------------------ */

/* 0: one was passed on. */
static int accept_one(struct zt_listener *l, struct zt_host_side *h)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    struct zt_ctl_accept a = {0};
    struct pollfd pf = {.fd = h->fd, .events = POLLIN};
    int fl = fcntl(h->fd, F_GETFL), fd, err;

    if (poll(&pf, 1, 0) != 1) {
        h->ready = false;
        return 0;
    }
    if (!(fl & O_NONBLOCK)) /* a worker that took it back for a while */
        fcntl(h->fd, F_SETFL, fl | O_NONBLOCK);
    fd = accept4(h->fd, (struct sockaddr *)&ss, &n, SOCK_CLOEXEC);
    if (fd < 0) {
        h->ready = errno == EINTR || errno == ECONNABORTED;
        if (errno == EINVAL) /* somebody shut it down: it listens no more */
            zt_host_drop(&l->s);
        return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM ? errno
                                                                                         : 0;
    }
    from_sockaddr(&ss, &a.remote);
    err = zt_listen_send(l, &a, fd);
    close(fd); /* refused: the peer sees a reset, as with a program that ends */
    return err;
}

int zt_host_accept(struct zt_listener *l)
{
    int err = 0;

    for (int i = 0; i < TURN && !err && l->s.host && l->s.host->ready; i++) {
        if (!zt_listen_room(l))
            return EAGAIN;
        err = accept_one(l, l->s.host);
    }
    return err;
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void read_details(struct msghdr *m, struct zt_ctl_dgram *d)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        const void *data = CMSG_DATA(c);
        int v = 0;

        if (c->cmsg_len >= CMSG_LEN(sizeof v))
            memcpy(&v, data, sizeof v);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo p;
            memcpy(&p, data, sizeof p);
            d->lfamily = 4;
            memcpy(d->lip, &p.ipi_addr, 4);
            d->host_ifindex = (uint32_t)p.ipi_ifindex;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo p;
            memcpy(&p, data, sizeof p);
            d->host_ifindex = p.ipi6_ifindex;
            if (!IN6_IS_ADDR_V4MAPPED(&p.ipi6_addr)) {
                d->lfamily = 6;
                memcpy(d->lip, &p.ipi6_addr, 16);
            }
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            d->tos = *(const uint8_t *)data;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            d->tos = (uint8_t)v;
        } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
            d->ttl = (uint8_t)v;
        }
    }
}

/* IP_RECVERR was set on the kernel's socket: it polls as in error until its queue of errors is empty. They
 * reach the program as those of our side do. */
static void take_errors(struct zt_dgram *d, struct zt_host_side *h)
{
    for (int i = 0; i < TURN; i++) {
        struct sockaddr_storage ss = {0}; /* an error need not have an address */
        struct zt_ctl_addr remote;
        union {
            struct cmsghdr align;
            char buf[512];
        } ctl;
        struct msghdr m = {.msg_name = &ss,
                           .msg_namelen = sizeof ss,
                           .msg_control = ctl.buf,
                           .msg_controllen = sizeof ctl.buf};

        if (recvmsg(h->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            struct sock_extended_err e;
            if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
                !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
                continue;
            memcpy(&e, CMSG_DATA(c), sizeof e);
            if (e.ee_errno && from_sockaddr(&ss, &remote))
                zt_dgram_report(d, (int)e.ee_errno, &remote);
        }
    }
}

void zt_host_receive(struct zt_dgram *d)
{
    struct zt_host_side *h = d->s.host;
    uint8_t *b = d->s.p->scratch;

    if (h->failed)
        take_errors(d, h);
    h->failed = false;
    for (int i = 0; i < TURN && h->ready && !d->remote.family; i++) {
        struct sockaddr_storage ss;
        union {
            struct cmsghdr align;
            char buf[256];
        } ctl;
        struct iovec iov = {b, MOST_BYTES};
        struct msghdr m = {.msg_name = &ss,
                           .msg_namelen = sizeof ss,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = ctl.buf,
                           .msg_controllen = sizeof ctl.buf};
        struct zt_ctl_dgram g = {.type = ZT_DGRAM_DATA};
        ssize_t n = recvmsg(h->fd, &m, MSG_DONTWAIT);

        if (n < 0) { /* an error of an earlier send was told when it was sent */
            h->ready = errno != EAGAIN;
            continue;
        }
        if (!from_sockaddr(&ss, &g.remote))
            continue;
        read_details(&m, &g);
        zt_dgram_hand_in(d, &g, b, (size_t)n);
    }
    zt_host_watch(&d->s, !d->remote.family);
}

/* A source address and whatever else the header asks for. */
static size_t write_details(const struct zt_host_side *h, const struct zt_ctl_dgram *d, char *buf)
{
    struct msghdr m = {.msg_control = buf, .msg_controllen = 256};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    size_t n = 0;

    memset(buf, 0, 256);
    if (d->lfamily == 4) { /* on a socket of either family */
        struct in_pktinfo p = {0};
        memcpy(&p.ipi_spec_dst, d->lip, 4);
        *c = (struct cmsghdr){CMSG_LEN(sizeof p), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(c), &p, sizeof p);
        n += CMSG_SPACE(sizeof p);
    } else if (d->lfamily == 6 && h->domain == AF_INET6) {
        struct in6_pktinfo p = {0};
        memcpy(&p.ipi6_addr, d->lip, 16);
        *c = (struct cmsghdr){CMSG_LEN(sizeof p), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(c), &p, sizeof p);
        n += CMSG_SPACE(sizeof p);
    }
    if (d->ttl) {
        int v = d->ttl;
        c = (struct cmsghdr *)(void *)(buf + n);
        *c = (struct cmsghdr){CMSG_LEN(sizeof v), IPPROTO_IP, IP_TTL};
        if (h->domain == AF_INET6 && d->lfamily != 4)
            *c = (struct cmsghdr){CMSG_LEN(sizeof v), IPPROTO_IPV6, IPV6_HOPLIMIT};
        memcpy(CMSG_DATA(c), &v, sizeof v);
        n += CMSG_SPACE(sizeof v);
    }
    return n;
}

int zt_host_send(struct zt_dgram *d, const struct zt_ctl_dgram *g, const struct zt_ctl_addr *to,
                 const uint8_t *data, size_t n)
{
    const struct zt_host_side *h = d->s.host;
    struct sockaddr_storage ss;
    union {
        struct cmsghdr align;
        char buf[256];
    } ctl;
    struct iovec iov = {(void *)data, n};
    struct msghdr m = {.msg_name = &ss, .msg_iov = &iov, .msg_iovlen = 1};

    if (h->domain == AF_INET && to->family == 6)
        return EAFNOSUPPORT;
    m.msg_namelen = to_sockaddr(to, h->domain, &ss);
    m.msg_controllen = write_details(h, g, ctl.buf);
    m.msg_control = m.msg_controllen ? ctl.buf : NULL;
    if (sendmsg(h->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        d->bytes_out += n;
        return 0;
    }
    if (errno != EAGAIN && errno != ENOBUFS)
        return errno;
    d->s.p->counts.udp_dropped++;
    return 0;
}

/* A kernel's close() frees a port before it returns, ours travels through the loop. */
void zt_host_release(struct zt_proxy *p, int stype, uint16_t port)
{
    uint32_t key = (uint32_t)(stype == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP) << 16 | port;
    struct zt_binding *next;

    for (struct zt_binding *b = zt_map_get(&p->bound, key); b; b = next) {
        struct zt_sock *s = zt_proxy_find(p, b->sock->id);
        next = b->next;
        if (s && s->host && zt_sock_is_closed(s))
            zt_host_drop(s);
    }
}
