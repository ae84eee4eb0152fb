/* The UDP sockets: one per usable local address and port in use, so that a path knows which address
 * it uses. Descriptors of our own under uv_poll: libuv's own UDP cannot carry the control
 * data that segmentation and coalescing need.
 *
 * A socket's number (zt_link.sock) stays the same while it lives and is not given to another soon
 * after: a path may still name it. */
#include "node/udp_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "node/fork.h"

#define RX_MESSAGES 32
#define RX_SIZE 65536
#define RX_BUDGET \
    (1u << 20) /* bytes a socket and turn: proxies and deadlines have their turn too */
#define RX_CALLS 8
#define SOCKET_BUFFER (4 << 20)
#define RANDOM_FIRST 20000
#define RANDOM_LAST 65499
#define RANDOM_TRIALS 256

socklen_t zt_sockaddr_of(const struct zt_ep *ep, union zt_sockaddr *out)
{
    memset(out, 0, sizeof *out);
    if (ep->family == 4) {
        out->in4.sin_family = AF_INET;
        out->in4.sin_port = htons(ep->port);
        memcpy(&out->in4.sin_addr, ep->ip, 4);
        return sizeof out->in4;
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons(ep->port);
    memcpy(&out->in6.sin6_addr, ep->ip, 16);
    return sizeof out->in6;
}

static struct zt_ep ep_of(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)sa;
        return zt_ep_make(4, &a->sin_addr, ntohs(a->sin_port));
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)sa;
        return zt_ep_make(6, &a->sin6_addr, ntohs(a->sin6_port));
    }
    return (struct zt_ep){0};
}

/* --- receiving ------------------------------------------------------------------------------ */

/* Size of the pieces of a coalesced message, 0: it is one datagram. */
static size_t segment_of(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size > 0 ? (size_t)size : 0;
        }
    }
    return 0;
}

static void hand_up(struct zt_udp_sock *s, struct msghdr *h, size_t n)
{
    struct zt_udp *u = s->u;
    struct zt_link in = {.sock = (int)s->index, .ep = ep_of(h->msg_name)};
    uint8_t *p = h->msg_iov->iov_base;
    size_t segment = segment_of(h);
    u->stats.rx_bytes += n;
    if (segment == 0)
        segment = n;
    else
        u->stats.rx_gro++;
    while (n > 0 && !u->closing) {
        size_t size = n < segment ? n : segment;
        u->stats.rx_datagrams++;
        u->cfg.recv(u->cfg.user, &in, p, size);
        p += size;
        n -= size;
    }
}

/* One call; returns bytes, 0 when there is nothing more. */
static size_t receive(struct zt_udp_sock *s)
{
    struct mmsghdr m[RX_MESSAGES];
    struct iovec iov[RX_MESSAGES];
    union zt_sockaddr from[RX_MESSAGES];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control[RX_MESSAGES];
    size_t total = 0;
    struct zt_udp *u = s->u;
    for (unsigned i = 0; i < RX_MESSAGES; i++) {
        iov[i] = (struct iovec){u->arena + (size_t)i * RX_SIZE, RX_SIZE};
        m[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i],
            .msg_namelen = sizeof from[i],
            .msg_iov = &iov[i],
            .msg_iovlen = 1,
            .msg_control = &control[i],
            .msg_controllen = sizeof control[i],
        };
    }
    int r = recvmmsg(s->fd, m, RX_MESSAGES, MSG_DONTWAIT, NULL);
    u->stats.rx_calls++;
    if (r <= 0)
        return 0; /* nothing left, or an error of an earlier send that nobody needs */
    for (int i = 0; i < r && !u->closing; i++) {
        total += m[i].msg_len + 1u;
        hand_up(s, &m[i].msg_hdr, m[i].msg_len);
    }
    return r == RX_MESSAGES ? total : 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct zt_udp_sock *s = poll->data;
    struct zt_udp *u = s->u;
    if (status <
        0) { /* an error waits on the socket and libuv has stopped looking: take it, go on */
        int error;
        socklen_t n = sizeof error;
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n);
        uv_poll_start(poll, UV_READABLE, on_readable);
    }
    size_t total = 0;
    for (unsigned i = 0; i < RX_CALLS && total < RX_BUDGET && !u->closing; i++) {
        size_t n = receive(s);
        if (n == 0)
            break;
        total += n;
        zt_loop_update(u->cfg.loop); /* what comes next need not have been here when the turn began */
    }
}

/* --- sockets -------------------------------------------------------------------------------- */

static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static void set_buffer(int fd, int force, int name)
{
    int want = SOCKET_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, force, &want, sizeof want) != 0)
        set_int(fd, SOL_SOCKET, name, want);
}

static void set_offload(struct zt_udp_sock *s)
{
    int off = 0;
    bool has_gso = setsockopt(s->fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof off) == 0;
    s->gso_max = has_gso && s->u->want_gso ? 65535 : 0;
    set_int(s->fd, IPPROTO_UDP, UDP_GRO, s->u->want_gro);
}

static int bind_fd(const struct zt_ep *local, int *out)
{
    union zt_sockaddr sa;
    socklen_t n = zt_sockaddr_of(local, &sa);
    int fd = zt_fd_own(socket(sa.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return ZT_E_IO;
    if (local->family == 6) {
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
    } else {
        set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    }
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    if (bind(fd, &sa.sa, n) != 0) {
        int e = errno == EADDRINUSE ? ZT_E_PORT : errno == EACCES ? ZT_E_PERM : ZT_E_IO;
        zt_fd_close(fd);
        return e;
    }
    *out = fd;
    return 0;
}

static int free_index(struct zt_udp *u)
{
    for (unsigned k = 0; k < UDP_SOCKS; k++) {
        unsigned i = (u->next_index + k) % UDP_SOCKS;
        if (u->sock[i] == NULL) {
            u->next_index = i + 1;
            return (int)i;
        }
    }
    return -1;
}

static int sock_open(struct zt_udp *u, const struct zt_ep *address, enum zt_udp_slot slot)
{
    struct zt_ep local = *address;
    int index = free_index(u), fd;
    local.port = u->port[slot];
    if (index < 0)
        return ZT_E_LIMIT;
    int e = bind_fd(&local, &fd);
    if (e != 0)
        return e;
    struct zt_udp_sock *s = calloc(1, sizeof *s);
    if (s == NULL || uv_poll_init(zt_loop_uv(u->cfg.loop), &s->poll, fd) != 0) {
        free(s);
        zt_fd_close(fd);
        return ZT_E_NOMEM;
    }
    s->u = u;
    s->fd = fd;
    s->index = (unsigned)index;
    s->local = local;
    s->slot = slot;
    s->is_loopback = zt_ep_scope(&local) == ZT_SCOPE_LOOPBACK;
    s->poll.data = s;
    set_offload(s);
    uv_poll_start(&s->poll, UV_READABLE, on_readable);
    u->sock[index] = s;
    u->open_handles++;
    return 0;
}

static void free_when_done(struct zt_udp *u)
{
    if (!u->closing || u->open_handles > 0)
        return;
    zt_batch_free(u->batch);
    free(u->vector);
    free(u->arena);
    free(u);
}

static void on_closed(uv_handle_t *h)
{
    struct zt_udp_sock *s = h->data;
    struct zt_udp *u = s->u;
    free(s);
    u->open_handles--;
    free_when_done(u);
}

static void sock_close(struct zt_udp_sock *s)
{
    struct zt_udp *u = s->u;
    int index = (int)s->index;
    u->sock[index] = NULL;
    uv_poll_stop(&s->poll);
    zt_fd_close(
        s->fd); /* at once, so that the port is free; libuv does not touch it after the stop */
    uv_close((uv_handle_t *)&s->poll, on_closed);
    if (!u->closing && u->cfg.gone != NULL)
        u->cfg.gone(u->cfg.user, index);
}

/* --- which addresses ------------------------------------------------------------------------ */

static bool scope_usable(const struct zt_udp *u, const struct zt_ep *address, bool on_loopback)
{
    switch (zt_ep_scope(address)) {
    case ZT_SCOPE_LOOPBACK:
        return u->cfg.underlay != ZT_UNDERLAY_NORMAL;
    case ZT_SCOPE_PSEUDO_PRIVATE:
    case ZT_SCOPE_GLOBAL:
    case ZT_SCOPE_SHARED:
    case ZT_SCOPE_PRIVATE:
        return u->cfg.underlay != ZT_UNDERLAY_LOOPBACK_ONLY && !on_loopback;
    default:
        return false;
    }
}

static bool is_skipped(const struct zt_conf *conf, const char *name)
{
    static const char *const always[] = {"zt", "tun", "tap"};
    for (unsigned k = 0; k < sizeof always / sizeof always[0]; k++)
        if (strncmp(name, always[k], strlen(always[k])) == 0)
            return true;
    for (unsigned k = 0; conf != NULL && k < conf->nskip; k++)
        if (strncmp(name, conf->skip[k], strlen(conf->skip[k])) == 0)
            return true;
    return false;
}

static bool usable(const struct zt_udp *u, const struct ifaddrs *i, struct zt_ep *out)
{
    const struct zt_conf *conf = u->cfg.conf;
    if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0 || is_skipped(conf, i->ifa_name))
        return false;
    *out = ep_of(i->ifa_addr);
    out->port = 0;
    if (out->family == 0 || !scope_usable(u, out, (i->ifa_flags & IFF_LOOPBACK) != 0))
        return false;
    return conf == NULL || !zt_settings_forbid(&conf->core, 0, out);
}

/* The addresses of `bind`, which may come and go like any: until the kernel has one, binding fails
 * and the next look tries again. The wildcard address is bound too, where somebody wants it. */
static size_t bind_list(const struct zt_udp *u, struct zt_ep out[UDP_ADDRESSES])
{
    static_assert(ZT_CONF_BIND <= UDP_ADDRESSES, "all fit");
    const struct zt_conf *conf = u->cfg.conf;
    size_t n = 0;
    for (unsigned i = 0; i < conf->nbind; i++) {
        bool any = zt_ep_scope(&conf->bind[i]) == ZT_SCOPE_NONE &&
                   u->cfg.underlay != ZT_UNDERLAY_LOOPBACK_ONLY;
        if (any || scope_usable(u, &conf->bind[i], false))
            out[n++] = conf->bind[i];
    }
    return n;
}

static size_t addresses(const struct zt_udp *u, struct zt_ep out[UDP_ADDRESSES])
{
    struct ifaddrs *list;
    size_t n = 0;
    if (u->cfg.conf != NULL && u->cfg.conf->nbind > 0)
        return bind_list(u, out);
    if (getifaddrs(&list) != 0)
        return 0;
    for (const struct ifaddrs *i = list; i != NULL && n < UDP_ADDRESSES; i = i->ifa_next)
        if (usable(u, i, &out[n]))
            n++;
    freeifaddrs(list);
    return n;
}

static bool has(const struct zt_udp *u, const struct zt_ep *address, enum zt_udp_slot slot)
{
    for (unsigned i = 0; i < UDP_SOCKS; i++)
        if (u->sock[i] != NULL && u->sock[i]->slot == slot &&
            zt_ep_same_ip(&u->sock[i]->local, address))
            return true;
    return false;
}

/* New sockets first: when the old ones go, there is a way left to say so. */
bool zt_udp_rescan(struct zt_udp *u)
{
    struct zt_ep now[UDP_ADDRESSES];
    size_t n = addresses(u, now);
    bool changed = false;
    for (unsigned slot = 0; slot < ZT_UDP_SLOTS; slot++)
        for (size_t k = 0; k < n && u->port[slot] != 0; k++)
            if (!has(u, &now[k], slot) && sock_open(u, &now[k], slot) == 0)
                changed = true;
    for (unsigned i = 0; i < UDP_SOCKS; i++) {
        bool found = false;
        for (size_t k = 0; k < n && u->sock[i] != NULL; k++)
            found = found || zt_ep_same_ip(&u->sock[i]->local, &now[k]);
        if (u->sock[i] != NULL && !found) {
            sock_close(u->sock[i]);
            changed = true;
        }
    }
    return changed;
}

/* --- the object ----------------------------------------------------------------------------- */

static void close_all(struct zt_udp *u)
{
    for (unsigned i = 0; i < UDP_SOCKS; i++)
        if (u->sock[i] != NULL)
            sock_close(u->sock[i]);
}

void zt_udp_clear_slot(struct zt_udp *u, enum zt_udp_slot slot)
{
    for (unsigned i = 0; i < UDP_SOCKS; i++)
        if (u->sock[i] != NULL && u->sock[i]->slot == slot)
            sock_close(u->sock[i]);
    u->port[slot] = 0;
}

/* The port must be free on every address. An address that cannot be bound for another reason (just
 * gone, or still checked for duplicates) is left to the next rescan. */
static int bind_all(struct zt_udp *u, enum zt_udp_slot slot, uint16_t port)
{
    struct zt_ep list[UDP_ADDRESSES];
    size_t n = addresses(u, list);
    int other = 0;
    bool any = false;
    u->port[slot] = port;
    for (size_t i = 0; i < n; i++) {
        int e = has(u, &list[i], slot) ? 0 : sock_open(u, &list[i], slot);
        if (e == ZT_E_PORT) {
            zt_udp_clear_slot(u, slot);
            return e;
        }
        any = any || e == 0;
        other = e != 0 ? e : other;
    }
    return any || n == 0 ? 0 : other;
}

static int bind_random(struct zt_udp *u, enum zt_udp_slot slot)
{
    const struct zt_conf *conf = u->cfg.conf;
    bool given = conf != NULL && conf->random_first != 0 && conf->random_last >= conf->random_first;
    unsigned first = given ? conf->random_first : RANDOM_FIRST;
    unsigned last = given ? conf->random_last : RANDOM_LAST;
    for (unsigned i = 0; i < RANDOM_TRIALS; i++) {
        uint32_t r;
        if (getrandom(&r, sizeof r, 0) != sizeof r)
            return ZT_E_IO;
        int e = bind_all(u, slot, (uint16_t)(first + r % (last - first + 1)));
        if (e != ZT_E_PORT)
            return e;
    }
    return ZT_E_PORT;
}

int zt_udp_set_slot(struct zt_udp *u, enum zt_udp_slot slot, uint16_t port)
{
    assert(slot != ZT_UDP_PRIMARY && port != 0);
    for (unsigned i = 0; i < ZT_UDP_SLOTS; i++)
        if (i != slot && u->port[i] == port)
            return ZT_E_PORT;
    if (u->port[slot] == port)
        return 0;
    zt_udp_clear_slot(u, slot);
    return bind_all(u, slot, port);
}

int zt_udp_set_random(struct zt_udp *u, enum zt_udp_slot slot)
{
    assert(slot != ZT_UDP_PRIMARY);
    zt_udp_clear_slot(u, slot);
    return bind_random(u, slot);
}

int zt_udp_open(const struct zt_udp_config *cfg, uint16_t port, struct zt_udp **out)
{
    struct zt_udp *u = calloc(1, sizeof *u);
    if (u == NULL)
        return ZT_E_NOMEM;
    *u = (struct zt_udp){
        .cfg = *cfg,
        .want_gso = true,
        .want_gro = true,
        .batch = zt_batch_new(),
        .vector = zt_udp_vector_new(),
        .arena = malloc((size_t)RX_MESSAGES * RX_SIZE),
    };
    int e = ZT_E_NOMEM;
    if (u->batch != NULL && u->vector != NULL && u->arena != NULL)
        e = port != 0 ? bind_all(u, ZT_UDP_PRIMARY, port) : bind_random(u, ZT_UDP_PRIMARY);
    if (e != 0) {
        zt_udp_close(u);
        return e;
    }
    *out = u;
    return 0;
}

void zt_udp_close(struct zt_udp *u)
{
    if (u == NULL)
        return;
    u->closing = true;
    close_all(u);
    free_when_done(u);
}

void zt_udp_offload(struct zt_udp *u, bool gso, bool gro)
{
    u->want_gso = gso;
    u->want_gro = gro;
    for (unsigned i = 0; i < UDP_SOCKS; i++)
        if (u->sock[i] != NULL)
            set_offload(u->sock[i]);
}

uint16_t zt_udp_port(const struct zt_udp *u)
{
    return u->port[ZT_UDP_PRIMARY];
}

uint16_t zt_udp_slot(const struct zt_udp *u, enum zt_udp_slot slot)
{
    return u->port[slot];
}

size_t zt_udp_local(const struct zt_udp *u, struct zt_ep *out, size_t cap)
{
    size_t n = 0;
    for (unsigned slot = 0; slot < ZT_UDP_SLOTS; slot++)
        for (unsigned i = 0; i < UDP_SOCKS && n < cap; i++)
            if (u->sock[i] != NULL && u->sock[i]->slot == slot &&
                zt_ep_scope(&u->sock[i]->local) != ZT_SCOPE_NONE)
                out[n++] = u->sock[i]->local;
    return n;
}

struct zt_ep zt_udp_of(const struct zt_udp *u, int sock)
{
    if (sock < 0 || sock >= UDP_SOCKS || u->sock[sock] == NULL)
        return (struct zt_ep){0};
    return u->sock[sock]->local;
}

void zt_udp_stats(const struct zt_udp *u, struct zt_udp_stats *out)
{
    *out = u->stats;
}
