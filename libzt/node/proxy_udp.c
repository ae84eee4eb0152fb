/* Datagram sockets: a SEQPACKET pair; every message is a struct zt_ctl_dgram and the payload, both
 * ways, so that boundaries, empty datagrams and addresses survive (SEQPACKET rather than DGRAM,
 * because only it tells us that the program has closed).
 *
 * There is no queue of our own: what arrives is written to the pair at once or dropped and counted,
 * as a kernel does with a full receive buffer; what the program sends waits in the pair until its
 * turn. Errors (an ICMP message for a connected socket, a datagram too long, no route) come back as
 * a message of type ZT_DGRAM_ERROR. */
#include "node/proxy_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lwip/igmp.h"
#include "lwip/ip.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"
#include "lwip/udp.h"

#define TURN_DATAGRAMS 64
#define IPPROTO_UDP_ 17
#define MOST_V4 ZT_DGRAM_MOST
#define MOST_V6 65487 /* a pbuf's 16 bits less both headers */
#define IOVS 64

/* --- network to program ----------------------------------------------------------------------- */

static bool deliver(struct zt_dgram *d, const struct zt_ctl_dgram *h, struct pbuf *pb)
{
    struct iovec iov[IOVS];
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1};

    iov[0].iov_base = (void *)h;
    iov[0].iov_len = sizeof *h;
    for (struct pbuf *q = pb; q; q = q->next) {
        if (m.msg_iovlen == IOVS)
            return false;
        iov[m.msg_iovlen].iov_base = q->payload;
        iov[m.msg_iovlen++].iov_len = q->len;
    }
    return sendmsg(d->s.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* A datagram of many fragments: one piece, so that one message carries it. */
static bool deliver_flat(struct zt_dgram *d, const struct zt_ctl_dgram *h, struct pbuf *pb)
{
    uint8_t *b = d->s.p->scratch;
    size_t n = sizeof *h;

    memcpy(b, h, sizeof *h);
    n += pbuf_copy_partial(pb, b + n, pb->tot_len, 0);
    return send(d->s.fd, b, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void count_in(struct zt_dgram *d, size_t n, bool ok)
{
    if (ok) {
        d->bytes_in += n;
        d->s.p->counts.bytes_in += n;
    } else {
        d->dropped++;
        d->s.p->counts.udp_dropped++;
    }
}

static void hand_in(struct zt_dgram *d, const struct zt_ctl_dgram *h, struct pbuf *pb)
{
    count_in(d, pb->tot_len, pbuf_clen(pb) < IOVS ? deliver(d, h, pb) : deliver_flat(d, h, pb));
}

void zt_dgram_hand_in(struct zt_dgram *d, const struct zt_ctl_dgram *h, const void *data, size_t n)
{
    struct iovec iov[2] = {{(void *)h, sizeof *h}, {(void *)data, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    count_in(d, n, sendmsg(d->s.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0);
}

/* To every unconnected socket on this port; lwIP would choose one. */
static void hand_to_all(struct zt_proxy *p, const struct zt_ctl_dgram *h, struct pbuf *pb,
                        uint16_t port)
{
    uint32_t key = (uint32_t)IPPROTO_UDP_ << 16 | port;

    for (struct zt_binding *b = zt_map_get(&p->bound, key); b; b = b->next) {
        struct zt_dgram *d = ZT_CONTAINER(b, struct zt_dgram, bound);
        bool any = zt_addr_is_any(&b->addr);
        bool family =
            b->addr.family == h->lfamily || (b->addr.family == 6 && any && d->s.opt.v6only <= 0);

        if (!d->remote.family && d->s.fd >= 0 && family &&
            (any || memcmp(b->addr.ip, h->lip, 16) == 0) && !zt_group_leaves_out(d, h))
            hand_in(d, h, pb);
    }
}

static bool shares(const struct zt_binding *b, const struct zt_dgram *d)
{
    const struct zt_dgram *o = ZT_CONTAINER(b, struct zt_dgram, bound);

    return o->s.fd >= 0 && !o->remote.family &&
           memcmp(&b->addr, &d->bound.addr, sizeof b->addr) == 0 &&
           ((o->s.opt.reuseport > 0 && d->s.opt.reuseport > 0) ||
            (b->origin && b->origin == d->bound.origin) || o == d);
}

/* With SO_REUSEPORT, or after a restart, several sockets share an address, but lwIP gives
 * everything to one of them. One flow goes to one socket while none comes or goes, as in Linux. */
static struct zt_dgram *choose_member(struct zt_dgram *d, const struct zt_ctl_dgram *h)
{
    struct zt_binding *first = zt_map_get(&d->s.p->bound, d->bound.key);
    struct zt_ctl_addr to = d->bound.addr;
    unsigned n = 0, pick;

    if (d->remote.family || !first || !first->next)
        return d;
    for (struct zt_binding *b = first; b; b = b->next)
        n += shares(b, d);
    memcpy(to.ip, h->lip, sizeof to.ip);
    pick = n ? (unsigned)(zt_tuple_hash(d->s.p, &to, &h->remote) % n) : 0;
    for (struct zt_binding *b = first; b; b = b->next)
        if (shares(b, d) && !pick--)
            return ZT_CONTAINER(b, struct zt_dgram, bound);
    return d;
}

static bool is_for_all(void)
{
    if (ip_current_is_v6())
        return ip6_addr_ismulticast(ip6_current_dest_addr());
    return ip4_addr_ismulticast(ip4_current_dest_addr()) ||
           ip4_addr_isbroadcast(ip4_current_dest_addr(), ip_current_input_netif());
}

static void on_dgram(void *arg, struct udp_pcb *pcb, struct pbuf *pb, const ip_addr_t *from,
                     u16_t port)
{
    struct zt_dgram *d = arg;
    struct zt_ctl_dgram h = {.type = ZT_DGRAM_DATA};
    struct zt_ctl_addr to;

    if (ip_current_is_v6()) {
        h.tos = (uint8_t)IP6H_TC(ip6_current_header());
        h.ttl = IP6H_HOPLIM(ip6_current_header());
    } else {
        h.tos = IPH_TOS(ip4_current_header());
        h.ttl = IPH_TTL(ip4_current_header());
    }
    h.ifindex = netif_get_index(ip_current_input_netif());
    zt_addr_from_lwip(from, port, &h.remote);
    if (zt_addr_is_link_local(&h.remote))
        h.remote.scope = h.ifindex;
    zt_addr_from_lwip(ip_current_dest_addr(), 0, &to);
    h.lfamily = to.family;
    memcpy(h.lip, to.ip, 16);
    if (is_for_all())
        hand_to_all(d->s.p, &h, pb, pcb->local_port);
    else
        hand_in(choose_member(d, &h), &h, pb);
    pbuf_free(pb);
}

void zt_dgram_report(struct zt_dgram *d, int err, const struct zt_ctl_addr *remote)
{
    struct zt_ctl_dgram h = {.type = ZT_DGRAM_ERROR, .err = err, .remote = *remote};

    (void)deliver(d, &h, NULL);
}

void zt_dgram_icmp(struct zt_proxy *p, const struct zt_ctl_addr *local,
                   const struct zt_ctl_addr *remote, int err)
{
    uint32_t key = (uint32_t)IPPROTO_UDP_ << 16 | local->port;

    for (struct zt_binding *b = zt_map_get(&p->bound, key); b; b = b->next) {
        struct zt_dgram *d = ZT_CONTAINER(b, struct zt_dgram, bound);
        bool peer = d->remote.family == remote->family && d->remote.port == remote->port &&
                    memcmp(d->remote.ip, remote->ip, 16) == 0;

        /* As in Linux: an unconnected one hears of it when it asked to. */
        if (!peer && (d->remote.family || d->s.opt.recverr <= 0))
            continue;
        if (zt_addr_is_any(&b->addr) || memcmp(b->addr.ip, local->ip, 16) == 0)
            zt_dgram_report(d, err, remote);
    }
}

/* --- program to network ----------------------------------------------------------------------- */

static int route_out(struct zt_dgram *d, const struct zt_ctl_addr *to, const ip_addr_t *dst,
                     struct netif **nif, ip_addr_t *src)
{
    bool v6 = to->family == 6;
    bool everybody = !v6 && memcmp(to->ip, "\377\377\377\377", 4) == 0;
    const ip_addr_t *own;
    ip_addr_t local = d->pcb->local_ip;

    if (!ip_addr_isany_val(local) && IP_IS_V6_VAL(local) != v6)
        return ENETUNREACH;
    if (ip_addr_isany_val(local) || ip_addr_ismulticast(&local)) {
        if (v6)
            ip_addr_set_any(1, &local);
        else
            ip_addr_set_any(0, &local);
    }
    if (!zt_addr_is_multicast(to) && !everybody) /* lwIP would take any interface for anything */
        return zt_addr_is_reachable(d->s.p, to) && zt_sock_may_leave(&d->s, to)
                   ? zt_route_to(to, &local, dst, nif, src)
                   : ENETUNREACH;
    *nif = zt_group_netif(d, v6, v6 ? (unsigned)d->s.opt.mcast_if6 : 0,
                       everybody ? NULL : d->s.opt.mcast_if4);
    if (!*nif)
        return ENETUNREACH;
    own = ip_netif_get_local_ip(*nif, dst);
    if (!own)
        return EADDRNOTAVAIL;
    *src = ip_addr_isany_val(local) ? *own : local;
    return 0;
}

/* IP_MULTICAST_LOOP: members on this very node hear it too. The stack sends to the network only. */
static void loop_back(struct zt_dgram *d, const struct zt_ctl_addr *to, const ip_addr_t *dst,
                      struct netif *nif, const ip_addr_t *src, struct pbuf *pb)
{
    struct zt_ctl_dgram h = {.type = ZT_DGRAM_DATA, .lfamily = to->family};
    bool member = IP_IS_V6(dst) ? mld6_lookfor_group(nif, ip_2_ip6(dst)) != NULL
                                : igmp_lookfor_group(nif, ip_2_ip4(dst)) != NULL;

    if (!member || d->s.opt.mcast_loop == 0)
        return;
    h.ttl = udp_get_multicast_ttl(d->pcb);
    h.tos = d->pcb->tos;
    zt_addr_from_lwip(src, d->pcb->local_port, &h.remote);
    memcpy(h.lip, to->ip, 16);
    hand_to_all(d->s.p, &h, pb, to->port);
}

static bool is_group(const struct zt_ctl_addr *a)
{
    return zt_addr_is_multicast(a) || (a->family == 4 && memcmp(a->ip, "\377\377\377\377", 4) == 0);
}

/* Of a merged socket: does this go out by the kernel's side? What is meant for a whole group does
 * both, unless the program chose one of our interfaces for it. */
static bool is_hosts(const struct zt_dgram *d, const struct zt_ctl_addr *to)
{
    static const uint8_t none[4];

    if (!is_group(to))
        return !zt_addr_is_reachable(d->s.p, to);
    return to->family == 6 ? !d->s.opt.mcast_if6 || !netif_get_by_index((u8_t)d->s.opt.mcast_if6)
                           : memcmp(d->s.opt.mcast_if4, none, 4) == 0 ||
                                 !zt_first_netif(false, 0, d->s.opt.mcast_if4);
}

static int send_one(struct zt_dgram *d, const struct zt_ctl_dgram *h, const uint8_t *data, size_t n)
{
    const struct zt_ctl_addr *to = h->remote.family ? &h->remote : &d->remote;
    struct udp_pcb *pcb = d->pcb;
    u8_t tos = pcb->tos, ttl = pcb->ttl;
    ip_addr_t dst, src;
    struct netif *nif;
    struct pbuf *pb;
    err_t res;
    int err;

    if (!zt_addr_to_lwip(to, &dst))
        return EDESTADDRREQ;
    if (!to->port)
        return EINVAL;
    if (n > (to->family == 4 ? MOST_V4 : MOST_V6))
        return EMSGSIZE;
    if (d->s.host && is_hosts(d, to)) {
        err = zt_host_send(d, h, to, data, n);
        if (!is_group(to))
            return err;
        if (route_out(d, to, &dst, &nif, &src) != 0) /* no network to hear it */
            return err;
    } else if ((err = route_out(d, to, &dst, &nif, &src)) != 0) {
        return err;
    }
    pb = pbuf_alloc(PBUF_TRANSPORT, (u16_t)n, PBUF_RAM);
    if (!pb)
        return ENOBUFS;
    if (n)
        pbuf_take(pb, data, (u16_t)n);
    if (zt_addr_is_multicast(to)) /* before headers are put in front of the payload */
        loop_back(d, to, &dst, nif, &src, pb);
    if (h->tos)
        pcb->tos = h->tos;
    if (h->ttl)
        pcb->ttl = h->ttl;
    res = udp_sendto_if_src(pcb, pb, &dst, to->port, nif, &src);
    pcb->tos = tos;
    pcb->ttl = ttl;
    pbuf_free(pb);
    if (res != ERR_OK) {
        d->s.p->counts.udp_dropped++;
        return res == ERR_RTE ? EHOSTUNREACH
                              : 0; /* else a full queue on the way: datagrams get lost */
    }
    d->bytes_out += n;
    d->s.p->counts.bytes_out += n;
    return 0;
}

static void retire(struct zt_dgram *d)
{
    zt_groups_leave(d);
    free(d->more);
    d->more = NULL;
    if (d->pcb)
        udp_remove(d->pcb);
    d->pcb = NULL;
    d->s.p->counts.udp--;
    zt_bind_drop(d->s.p, &d->bound);
    zt_sock_retire(&d->s, false);
}

static void more_drop(struct zt_dgram *d)
{
    free(d->more);
    d->more = NULL;
    d->more_n = 0;
}

static bool corked(const struct zt_dgram *d)
{
    return d->s.opt.cork > 0;
}

/* MSG_MORE and UDP_CORK: the pieces of one datagram. */
static int send_piece(struct zt_dgram *d, const struct zt_ctl_dgram *h, const uint8_t *data, size_t n)
{
    int err = EMSGSIZE;

    if (!d->more) {
        d->more_h = *h;
        d->more = malloc(MOST_V4);
    }
    if (!d->more)
        return ENOBUFS;
    if (d->more_n + n <= MOST_V4) {
        memcpy(d->more + d->more_n, data, n);
        d->more_n += n;
        if (h->type == ZT_DGRAM_MORE || corked(d))
            return 0;
        err = send_one(d, &d->more_h, d->more, d->more_n);
    }
    more_drop(d);
    return err;
}

/* What the program sent, no more than so many. False: it has closed its end, and d is retired. */
static bool take_tx(struct zt_dgram *d, int most)
{
    uint8_t *b = d->s.p->scratch;
    struct zt_ctl_dgram h;

    for (int i = 0; i < most; i++) {
        ssize_t n = recv(d->s.fd, b, ZT_SCRATCH, MSG_DONTWAIT);
        int err;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            if (n < 0 || zt_sock_is_closed(&d->s)) {
                retire(d);
                return false;
            }
            continue; /* an empty message: no header, not ours to interpret */
        }
        if ((size_t)n < sizeof h)
            continue;
        memcpy(&h, b, sizeof h);
        if (h.type == ZT_DGRAM_ERROR) { /* it was given one at a bad moment, and will ask again */
            zt_dgram_report(d, h.err, &h.remote);
            continue;
        }
        err = h.type == ZT_DGRAM_MORE || d->more || corked(d)
                  ? send_piece(d, &h, b + sizeof h, (size_t)n - sizeof h)
                  : send_one(d, &h, b + sizeof h, (size_t)n - sizeof h);
        if (err)
            zt_dgram_report(d, err, h.remote.family ? &h.remote : &d->remote);
    }
    return true;
}

void zt_dgram_pump(struct zt_dgram *d)
{
    d->s.ev = 0;
    if (d->s.host)
        zt_host_receive(d);
    if (take_tx(d, TURN_DATAGRAMS))
        zt_sock_watch(&d->s, UV_READABLE); /* again, should an error have stopped it */
}

int zt_dgram_cork(struct zt_dgram *d, bool on)
{
    int err;

    if (!take_tx(d, ZT_PAIR_MESSAGES)) /* what was sent before is judged by what was said before */
        return EBADF;
    d->s.opt.cork = on;
    if (on || !d->more)
        return 0;
    err = send_one(d, &d->more_h, d->more, d->more_n);
    if (err)
        zt_dgram_report(d, err, d->more_h.remote.family ? &d->more_h.remote : &d->remote);
    more_drop(d);
    return 0;
}

void zt_dgram_drop(struct zt_dgram *d)
{
    retire(d);
}

/* --- requests --------------------------------------------------------------------------------- */

void zt_dgram_apply(struct zt_dgram *d)
{
    const struct zt_sockopts *o = &d->s.opt;
    struct udp_pcb *pcb = d->pcb;

    if (!pcb)
        return;
    if (o->ttl > 0)
        pcb->ttl = (u8_t)o->ttl;
    if (o->tos >= 0)
        pcb->tos = (u8_t)o->tos;
    if (o->no_check > 0)
        udp_setflags(pcb, udp_flags(pcb) | UDP_FLAGS_NOCHKSUM);
    else
        udp_setflags(pcb, (u8_t)(udp_flags(pcb) & ~UDP_FLAGS_NOCHKSUM));
    pcb->netif_idx = (u8_t)o->ifindex;
    zt_sock_buffer(&d->s);
    udp_set_multicast_ttl(pcb, (u8_t)(o->mcast_ttl >= 0 ? o->mcast_ttl : 1));
}

/* Connect: the filter is lwIP's. The local address becomes the one that routes there, as in Linux.
 */
static int set_remote(struct zt_dgram *d, const struct zt_ctl_addr *remote)
{
    ip_addr_t dst, src;
    struct netif *nif;
    struct zt_ctl_addr local = d->bound.addr;
    int err;

    if (!remote->family) {
        memset(&d->remote, 0, sizeof d->remote);
        udp_disconnect(d->pcb);
        d->pcb->netif_idx = (u8_t)d->s.opt.ifindex; /* forgotten by that */
        if (zt_addr_is_any(&local))
            ip_addr_set_any(local.family == 6, &d->pcb->local_ip);
        if (zt_addr_is_any(&local) && local.family == 6 && d->s.opt.v6only <= 0)
            IP_SET_TYPE(&d->pcb->local_ip, IPADDR_TYPE_ANY);
    } else {
        if (!zt_addr_to_lwip(remote, &dst))
            return EAFNOSUPPORT;
        if ((err = route_out(d, remote, &dst, &nif, &src)) != 0)
            return err;
        d->remote = *remote;
        udp_connect(d->pcb, &dst, remote->port);
        ip_addr_copy(d->pcb->local_ip, src);
        zt_addr_from_lwip(&src, d->bound.addr.port, &local);
    }
    zt_state_addrs(d->s.slot, &local, &d->remote);
    zt_state_phase(d->s.slot, ZT_PHASE_DATAGRAM, 0);
    return 0;
}

static int open_dgram(struct zt_dgram *d, const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd)
{
    struct zt_ctl_addr local = q->local;
    ip_addr_t ip;
    int err;

    zt_opt_set_all(&d->s, q);
    d->bound.origin = q->type == ZT_CTL_UDP ? 0 : q->id;
    if (!local.family)
        local.family = q->remote.family ? q->remote.family : q->family == AF_INET6 ? 6 : 4;
    if ((err = zt_bind_take(d->s.p, &d->bound, &d->s, IPPROTO_UDP_, &local)) != 0)
        return err;
    zt_addr_to_lwip(&local, &ip);
    if (local.family == 6 && zt_addr_is_any(&local) && d->s.opt.v6only <= 0)
        IP_SET_TYPE(&ip, IPADDR_TYPE_ANY);
    d->pcb = udp_new_ip_type(IP_GET_TYPE(&ip));
    if (!d->pcb)
        return ENOBUFS;
    ip_set_option(d->pcb, SOF_REUSEADDR); /* who may share was decided above */
    if (udp_bind(d->pcb, &ip, local.port) != ERR_OK)
        return EADDRINUSE;
    udp_recv(d->pcb, on_dgram, d);
    zt_dgram_apply(d);
    if ((err = zt_sock_pair(&d->s, fd)) != 0)
        return err;
    zt_sock_buffer(&d->s);
    if ((err = set_remote(d, &q->remote)) != 0)
        return err;
    d->s.slot->family = (uint16_t)q->family;
    zt_sock_watch(&d->s, UV_READABLE);
    return 0;
}

static void fill_reply(const struct zt_dgram *d, struct zt_ctl_rep *r)
{
    r->id = d->s.id;
    r->local.family = d->s.slot->lfamily;
    r->local.port = d->s.slot->lport;
    memcpy(r->local.ip, d->s.slot->lip, 16);
    r->remote = d->remote;
}

/* host: the kernel's socket to merge with, taken over, or -1 */
static int new_dgram(struct zt_proxy *p, const struct zt_ctl_req *q, int host, struct zt_ctl_rep *r,
                     int *fd)
{
    struct zt_dgram *d = calloc(1, sizeof *d);
    int err = ENOBUFS;

    if (d) {
        d->s.family = q->family;
        p->counts.udp++;
        err = zt_sock_register(p, &d->s, ZT_SOCK_DGRAM);
    }
    if (!err && host >= 0) {
        err = zt_host_take(&d->s, q, host);
        host = -1;
    }
    if (!err)
        err = open_dgram(d, q, r, fd);
    if (host >= 0)
        close(host);
    if (!err) {
        zt_host_watch(&d->s, !d->remote.family);
        fill_reply(d, r);
        return 0;
    }
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    if (d)
        retire(d);
    return err;
}

int zt_dgram_request(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd)
{
    struct zt_sock *s;
    struct zt_dgram *d;
    int err;

    if (q->id && q->type == ZT_CTL_UDP) {
        s = zt_proxy_find(p, q->id);
        if (!s || s->kind != ZT_SOCK_DGRAM)
            return EBADF;
        d = (struct zt_dgram *)s;
        /* What the program sent before this call goes where it was meant to go. */
        if (!take_tx(d, ZT_PAIR_MESSAGES))
            return EBADF;
        err = set_remote(d, &q->remote);
        if (!err)
            fill_reply(d, r);
        zt_host_watch(&d->s, !d->remote.family); /* connected: nobody else is heard */
        return err;
    }
    return new_dgram(p, q, -1, r, fd);
}

int zt_dgram_merge(struct zt_proxy *p, const struct zt_ctl_req *q, int host, struct zt_ctl_rep *r,
                   int *fd)
{
    return new_dgram(p, q, host, r, fd);
}
