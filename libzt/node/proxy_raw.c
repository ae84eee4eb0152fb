/* Raw sockets and layer 2 descriptors: a SEQPACKET pair as for datagrams, the same header before each
 * message, but no ports, so no place in the table of bound addresses.
 *
 * A raw socket gets a copy of every packet of its protocol; lwIP's own handling goes on. IPv4 packets
 * come with their header, IPv6 ones without, as on any system. Layer 2: every frame of one network,
 * before the stack sees it; what the program writes goes to the network as it is, and the network's
 * rules decide. The header's addresses are then empty.
 *
 * As for datagrams nothing is queued here: what the pair can't take is dropped and counted. */
#include "node/proxy_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/raw.h"
#include "wire/packet.h"

#define TURN_PACKETS 64
#define MOST_V4 65515
#define MOST_V6 65495
#define ETH_HEADER 14
#define AF_PACKET_ 17

struct zt_raw {
    struct zt_sock s;
    struct zt_list tap;  /* layer 2: in p->taps */
    struct raw_pcb *pcb; /* NULL: layer 2 */
    uint64_t nwid;
    struct zt_ctl_addr local, remote; /* family 0: not bound, not connected */
    uint64_t bytes_in, bytes_out, dropped;
};

/* b: ZT_SCRATCH bytes, the payload behind room for the header. */
static void hand_in(struct zt_raw *r, const struct zt_ctl_dgram *h, uint8_t *b, size_t n)
{
    memcpy(b, h, sizeof *h);
    if (send(r->s.fd, b, sizeof *h + n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        r->bytes_in += n;
        r->s.p->counts.bytes_in += n;
    } else {
        r->dropped++;
        r->s.p->counts.udp_dropped++;
    }
}

static u8_t on_packet(void *arg, struct raw_pcb *pcb, struct pbuf *pb, const ip_addr_t *from)
{
    struct zt_raw *r = arg;
    struct zt_ctl_dgram h = {.type = ZT_DGRAM_DATA};
    struct zt_ctl_addr to;
    uint8_t *b = r->s.p->scratch;
    u16_t skip = 0;

    (void)pcb;
    if (r->s.fd < 0)
        return 0;
    if (ip_current_is_v6()) {
        skip = ip_current_header_tot_len();
        h.tos = (uint8_t)IP6H_TC(ip6_current_header());
        h.ttl = IP6H_HOPLIM(ip6_current_header());
    } else {
        h.tos = IPH_TOS(ip4_current_header());
        h.ttl = IPH_TTL(ip4_current_header());
    }
    h.ifindex = netif_get_index(ip_current_input_netif());
    zt_addr_from_lwip(from, 0, &h.remote);
    if (zt_addr_is_link_local(&h.remote))
        h.remote.scope = h.ifindex;
    zt_addr_from_lwip(ip_current_dest_addr(), 0, &to);
    h.lfamily = to.family;
    memcpy(h.lip, to.ip, 16);
    hand_in(r, &h, b, pbuf_copy_partial(pb, b + sizeof h, (u16_t)(pb->tot_len - skip), skip));
    return 0; /* the stack and other sockets get it too */
}

void zt_proxy_l2_input(struct zt_proxy *p, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct zt_ctl_dgram h = {.type = ZT_DGRAM_DATA};

    for (struct zt_list *l = p->taps.next; l != &p->taps; l = l->next) {
        struct zt_raw *r = ZT_CONTAINER(l, struct zt_raw, tap);
        if (r->nwid != nwid || r->s.fd < 0 || n > ZT_SCRATCH - sizeof h)
            continue;
        memcpy(p->scratch + sizeof h, eth, n);
        hand_in(r, &h, p->scratch, n);
    }
}

void zt_proxy_l2_gone(struct zt_proxy *p, uint64_t nwid)
{
    struct zt_list *next;

    for (struct zt_list *l = p->taps.next; l != &p->taps; l = next) {
        struct zt_raw *r = ZT_CONTAINER(l, struct zt_raw, tap);
        next = l->next;
        if (r->nwid == nwid)
            zt_raw_drop(r);
    }
}

/* --- program to network ----------------------------------------------------------------------- */

static int send_frame(struct zt_raw *r, uint8_t *eth, size_t n)
{
    struct zt_proxy *p = r->s.p;

    if (n < ETH_HEADER)
        return EINVAL;
    switch (p->cfg.frame ? p->cfg.frame(p->cfg.user, r->nwid, eth, n) : ZT_E_NOENT) {
    case 0:
        return 0;
    case ZT_E_SPACE:
        return EMSGSIZE;
    case ZT_E_PERM:
        return EACCES;
    case ZT_E_NOENT:
    case ZT_E_STATE:
        return ENETDOWN;
    default:
        return 0; /* lost, as on any network */
    }
}

static int route(struct zt_raw *r, const struct zt_ctl_addr *to, ip_addr_t *dst, struct netif **nif,
                 ip_addr_t *src)
{
    struct zt_ctl_addr any = {.family = to->family};
    const ip_addr_t *own;
    ip_addr_t local;

    if (!zt_addr_to_lwip(to, dst) || to->family != (r->s.family == AF_INET6 ? 6 : 4))
        return EAFNOSUPPORT;
    zt_addr_to_lwip(r->local.family ? &r->local : &any, &local);
    if (!zt_addr_is_multicast(to)) {
        if (!zt_addr_is_reachable(r->s.p, to))
            return ENETUNREACH;
        return zt_sock_may_leave(&r->s, to) ? zt_route_to(to, &local, dst, nif, src)
                                                : ENETUNREACH;
    }
    *nif = zt_first_netif(to->family == 6, r->s.opt.mcast_if6, r->s.opt.mcast_if4);
    own = *nif ? ip_netif_get_local_ip(*nif, dst) : NULL;
    if (!own)
        return ENETUNREACH;
    *src = ip_addr_isany_val(local) ? *own : local;
    return 0;
}

static int send_packet(struct zt_raw *r, const struct zt_ctl_dgram *h, const uint8_t *data, size_t n)
{
    const struct zt_ctl_addr *to = h->remote.family ? &h->remote : &r->remote;
    ip_addr_t dst, src;
    struct netif *nif;
    struct pbuf *pb;
    err_t res;
    int err;

    if (!to->family)
        return EDESTADDRREQ;
    if (n > (to->family == 4 ? MOST_V4 : MOST_V6))
        return EMSGSIZE;
    if (r->pcb->chksum_reqd && n < r->pcb->chksum_offset + sizeof(uint16_t))
        return EINVAL; /* lwIP would write it behind the packet */
    if ((err = route(r, to, &dst, &nif, &src)) != 0)
        return err;
    pb = pbuf_alloc(PBUF_IP, (u16_t)n, PBUF_RAM);
    if (!pb)
        return ENOBUFS;
    if (n)
        pbuf_take(pb, data, (u16_t)n);
    r->pcb->ttl = zt_addr_is_multicast(to) ? (u8_t)(r->s.opt.mcast_ttl >= 0 ? r->s.opt.mcast_ttl : 1)
                                           : (u8_t)(r->s.opt.ttl > 0 ? r->s.opt.ttl : 64);
    res = raw_sendto_if_src(r->pcb, pb, &dst, nif, &src);
    pbuf_free(pb);
    if (res != ERR_OK) {
        r->s.p->counts.udp_dropped++;
        return res == ERR_RTE ? EHOSTUNREACH : res == ERR_VAL ? EINVAL : 0;
    }
    r->bytes_out += n;
    r->s.p->counts.bytes_out += n;
    return 0;
}

static void report(struct zt_raw *r, int err)
{
    struct zt_ctl_dgram h = {.type = ZT_DGRAM_ERROR, .err = err, .remote = r->remote};

    (void)send(r->s.fd, &h, sizeof h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void retire(struct zt_raw *r)
{
    if (r->pcb)
        raw_remove(r->pcb);
    r->pcb = NULL;
    if (!zt_list_empty(&r->tap))
        zt_list_remove(&r->tap);
    r->s.p->counts.udp--;
    zt_sock_retire(&r->s, false);
}

void zt_raw_drop(struct zt_raw *r)
{
    retire(r);
}

/* What the program sent, no more than so many. False: it has closed its end, and r is retired. */
static bool take_tx(struct zt_raw *r, int most)
{
    /* A frame is sealed where it lies, with room before it. */
    uint8_t *b = r->s.p->scratch + ZT_FRAME_HEADROOM;
    struct zt_ctl_dgram h;

    for (int i = 0; i < most; i++) {
        ssize_t n = recv(r->s.fd, b, ZT_SCRATCH - ZT_FRAME_HEADROOM, MSG_DONTWAIT);
        int err;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            if (n < 0 || zt_sock_is_closed(&r->s)) {
                retire(r);
                return false;
            }
            continue;
        }
        if ((size_t)n < sizeof h)
            continue;
        memcpy(&h, b, sizeof h);
        n -= (ssize_t)sizeof h;
        err = r->pcb ? send_packet(r, &h, b + sizeof h, (size_t)n)
                     : send_frame(r, b + sizeof h, (size_t)n);
        if (err)
            report(r, err);
    }
    return true;
}

void zt_raw_pump(struct zt_raw *r)
{
    r->s.ev = 0;
    if (take_tx(r, TURN_PACKETS))
        zt_sock_watch(&r->s, UV_READABLE);
}

/* --- requests --------------------------------------------------------------------------------- */

void zt_raw_apply(struct zt_raw *r)
{
    const struct zt_sockopts *o = &r->s.opt;

    if (!r->pcb)
        return;
    if (o->tos >= 0)
        r->pcb->tos = (u8_t)o->tos;
    r->pcb->netif_idx = (u8_t)o->ifindex;
    if (r->s.family == AF_INET6) {
        int at = r->pcb->protocol == IP6_NEXTH_ICMP6 ? 2 : o->checksum;
        r->pcb->chksum_reqd = at >= 0;
        r->pcb->chksum_offset = (u16_t)(at >= 0 ? at : 0);
    }
    zt_sock_buffer(&r->s);
}

static int set_remote(struct zt_raw *r, const struct zt_ctl_addr *remote)
{
    ip_addr_t dst, src;
    struct netif *nif;
    int err;

    if (!remote->family) {
        raw_disconnect(r->pcb);
        memset(&r->remote, 0, sizeof r->remote);
    } else {
        if ((err = route(r, remote, &dst, &nif, &src)) != 0)
            return err;
        raw_connect(r->pcb, &dst);
        r->remote = *remote;
        r->remote.port = 0;
        if (!r->local.family)
            zt_addr_from_lwip(&src, 0, &r->local);
    }
    zt_raw_apply(r); /* disconnecting forgets the interface */
    zt_state_addrs(r->s.slot, &r->local, &r->remote);
    return 0;
}

static int open_packet(struct zt_raw *r, const struct zt_ctl_req *q)
{
    bool v6 = q->family == AF_INET6;
    ip_addr_t local;

    if (q->value < 1 || q->value > 255)
        return EPROTONOSUPPORT;
    if (q->local.family && !zt_addr_is_any(&q->local)) {
        if (!zt_addr_is_ours(r->s.p, &q->local))
            return EADDRNOTAVAIL;
        r->local = q->local;
        r->local.port = 0;
    }
    r->pcb = raw_new_ip_type(v6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4, (u8_t)q->value);
    if (!r->pcb)
        return ENOBUFS;
    if (q->value == IPPROTO_RAW)
        raw_set_flags(r->pcb, RAW_FLAGS_HDRINCL);
    if (r->local.family) {
        zt_addr_to_lwip(&r->local, &local);
        raw_bind(r->pcb, &local);
    }
    raw_recv(r->pcb, on_packet, r);
    return 0;
}

static int open_frames(struct zt_raw *r, const struct zt_ctl_req *q)
{
    if (q->ndata != sizeof r->nwid)
        return EINVAL;
    memcpy(&r->nwid, q->data, sizeof r->nwid);
    if (!zt_stack_ifindex(r->s.p->cfg.stack, r->nwid))
        return ENETDOWN;
    zt_list_push_back(&r->s.p->taps, &r->tap);
    return 0;
}

static int open_raw(struct zt_raw *r, const struct zt_ctl_req *q, struct zt_ctl_rep *rep, int *fd)
{
    int err;

    zt_opt_set_all(&r->s, q);
    err = q->family == AF_PACKET_ ? open_frames(r, q) : open_packet(r, q);
    if (!err)
        err = zt_sock_pair(&r->s, fd);
    if (!err && r->pcb)
        err = set_remote(r, &q->remote);
    if (err)
        return err;
    zt_raw_apply(r);
    r->s.slot->family = (uint16_t)q->family;
    zt_state_phase(r->s.slot, ZT_PHASE_DATAGRAM, 0);
    zt_sock_watch(&r->s, UV_READABLE);
    rep->id = r->s.id;
    rep->local = r->local;
    rep->remote = r->remote;
    return 0;
}

int zt_raw_request(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *rep, int *fd)
{
    struct zt_sock *s;
    struct zt_raw *r;
    int err;

    if (q->id) {
        s = zt_proxy_find(p, q->id);
        if (!s || s->kind != ZT_SOCK_RAW || !((struct zt_raw *)s)->pcb)
            return EBADF;
        r = (struct zt_raw *)s;
        /* What was sent before goes where it was meant to go. */
        err = take_tx(r, ZT_PAIR_MESSAGES) ? set_remote(r, &q->remote) : EBADF;
        rep->id = q->id;
        if (!err)
            rep->local = r->local;
        return err;
    }
    r = calloc(1, sizeof *r);
    if (!r)
        return ENOBUFS;
    zt_list_init(&r->tap);
    r->s.family = q->family;
    p->counts.udp++;
    err = zt_sock_register(p, &r->s, ZT_SOCK_RAW);
    if (!err)
        err = open_raw(r, q, rep, fd);
    if (err) {
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        retire(r);
    }
    return err;
}

void zt_raw_bytes(const struct zt_raw *r, uint64_t *in, uint64_t *out)
{
    *in = r->bytes_in;
    *out = r->bytes_out;
}
