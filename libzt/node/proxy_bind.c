/* Addresses of virtual sockets: between zt_control.h and lwIP, routes, and who has bound what.
 *
 * lwIP would do binding itself, but walks lists of all sockets for it and knows SO_REUSEADDR only
 * roughly. The rules here are Linux's: two sockets of a protocol conflict when port and address
 * overlap, unless both set SO_REUSEPORT, or both SO_REUSEADDR and the other does not listen
 * (datagram sockets: both SO_REUSEADDR). Unlike Linux, connections that are still open never stand
 * in the way of a new listener on their port. Sockets of one origin never conflict: workers that
 * shared a listener each ask for it anew after the node has ended. */
#include "node/proxy_int.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lwip/ip.h"
#include "lwip/ip6.h"
#include "lwip/netif.h"

#include "base/err.h"

bool zt_addr_to_lwip(const struct zt_ctl_addr *a, ip_addr_t *out)
{
    memset(out, 0, sizeof *out);
    if (a->family == 4) {
        IP_SET_TYPE(out, IPADDR_TYPE_V4);
        memcpy(&ip_2_ip4(out)->addr, a->ip, 4);
        return true;
    }
    if (a->family == 6) {
        IP_SET_TYPE(out, IPADDR_TYPE_V6);
        memcpy(ip_2_ip6(out)->addr, a->ip, 16);
#if LWIP_IPV6_SCOPES
        if (ip6_addr_has_scope(ip_2_ip6(out), IP6_UNKNOWN))
            ip6_addr_set_zone(ip_2_ip6(out), (u8_t)a->scope);
#endif
        return true;
    }
    return false;
}

void zt_addr_from_lwip(const ip_addr_t *ip, uint16_t port, struct zt_ctl_addr *out)
{
    memset(out, 0, sizeof *out);
    out->port = port;
    if (IP_IS_V4_VAL(*ip)) {
        out->family = 4;
        memcpy(out->ip, &ip_2_ip4(ip)->addr, 4);
    } else {
        out->family = 6;
        memcpy(out->ip, ip_2_ip6(ip)->addr, 16);
#if LWIP_IPV6_SCOPES
        out->scope = ip6_addr_zone(ip_2_ip6(ip));
#endif
    }
}

bool zt_addr_is_any(const struct zt_ctl_addr *a)
{
    static const uint8_t zero[16];

    return memcmp(a->ip, zero, a->family == 4 ? 4 : 16) == 0;
}

bool zt_addr_is_multicast(const struct zt_ctl_addr *a)
{
    return a->family == 4 ? (a->ip[0] & 0xf0) == 0xe0 : a->family == 6 && a->ip[0] == 0xff;
}

bool zt_addr_is_ours(struct zt_proxy *p, const struct zt_ctl_addr *a)
{
    struct zt_ep ep = zt_ep_make(a->family, a->ip, 0);

    return zt_stack_is_local(p->cfg.stack, &ep);
}

bool zt_addr_is_link_local(const struct zt_ctl_addr *a)
{
    return a->family == 6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

bool zt_addr_is_reachable(struct zt_proxy *p, const struct zt_ctl_addr *a)
{
    struct zt_ep ep = zt_ep_make(a->family, a->ip, 0);

    if (zt_addr_is_link_local(a))
        return true; /* link-local: on whichever interface */
    return zt_stack_routes(p->cfg.stack, &ep, NULL) || zt_stack_is_local(p->cfg.stack, &ep);
}

static bool has(struct netif *n, const ip_addr_t *ip)
{
    return IP_IS_V6_VAL(*ip) ? netif_get_ip6_addr_match(n, ip_2_ip6(ip)) >= 0
                             : ip4_addr_cmp(netif_ip4_addr(n), ip_2_ip4(ip));
}

/* Is it (still) an address of one of ours? As a rule, of the one the route found. */
static bool is_here(struct netif *likely, const ip_addr_t *ip)
{
    struct netif *n;

    if (has(likely, ip))
        return true;
    NETIF_FOREACH(n)
    {
        if (has(n, ip))
            return true;
    }
    return false;
}

int zt_route(const ip_addr_t *local, const ip_addr_t *to, struct netif **nif, ip_addr_t *src)
{
    const ip_addr_t *ip;

    *nif = ip_route(local, to);
    if (!*nif)
        return ENETUNREACH;
    if (!ip_addr_isany_val(*local) && !ip_addr_ismulticast(local)) {
        *src = *local;
        return is_here(*nif, local) ? 0 : ENETUNREACH; /* taken away */
    }
    ip = ip_netif_get_local_ip(*nif, to);
    if (!ip)
        return EADDRNOTAVAIL;
    *src = *ip;
    return 0;
}

int zt_route_to(const struct zt_ctl_addr *to, const ip_addr_t *local, const ip_addr_t *dst,
                struct netif **nif, ip_addr_t *src)
{
    const ip_addr_t *own;

    if (!zt_addr_is_link_local(to) || !to->scope)
        return zt_route(local, dst, nif, src);
    *nif = to->scope < 256 ? netif_get_by_index((u8_t)to->scope) : NULL;
    own = *nif ? ip_netif_get_local_ip(*nif, dst) : NULL;
    if (!own)
        return ENETUNREACH;
    *src = ip_addr_isany_val(*local) ? *own : *local;
    return 0;
}

bool zt_sock_may_leave(const struct zt_sock *s, const struct zt_ctl_addr *to)
{
    struct zt_stack *stack = s->p->cfg.stack;
    struct zt_ep ep = zt_ep_make(to->family, to->ip, 0);
    uint64_t nwid = 0;

    if (s->opt.ifindex <= 0)
        return true;
    return zt_stack_routes(stack, &ep, &nwid) &&
           zt_stack_ifindex(stack, nwid) == (unsigned)s->opt.ifindex;
}

struct netif *zt_first_netif(bool v6, int index, const uint8_t *ip4)
{
    static const uint8_t none[4];
    struct netif *n, *first = NULL;

    if (v6 && index > 0)
        return netif_get_by_index((u8_t)index);
    if (!v6 && ip4 && memcmp(ip4, none, 4) != 0) {
        NETIF_FOREACH(n)
        {
            if (memcmp(&netif_ip4_addr(n)->addr, ip4, 4) == 0)
                return n;
        }
        return NULL;
    }
    /* The one that was there first: lwIP's list has the newest in front. */
    NETIF_FOREACH(n)
    {
        if (netif_is_up(n) && netif_is_link_up(n) &&
            (v6 ? ip6_addr_isvalid(netif_ip6_addr_state(n, 0))
                : !ip4_addr_isany(netif_ip4_addr(n))) &&
            (!first || netif_get_index(n) < netif_get_index(first)))
            first = n;
    }
    return first;
}

bool zt_bind_may_share(const struct zt_sock *s)
{
    return s->opt.reuseaddr > 0 || s->opt.reuseport > 0;
}

static bool overlap(const struct zt_binding *a, const struct zt_binding *b)
{
    bool any_a = zt_addr_is_any(&a->addr), any_b = zt_addr_is_any(&b->addr);

    if (a->addr.family == b->addr.family)
        return any_a || any_b || memcmp(a->addr.ip, b->addr.ip, 16) == 0;
    /* `::` means IPv4 too unless it was told otherwise. */
    return (a->addr.family == 6 && any_a && a->sock->opt.v6only <= 0) ||
           (b->addr.family == 6 && any_b && b->sock->opt.v6only <= 0);
}

/* Linux looks at the other one's state alone: of two sockets bound with SO_REUSEADDR the first may
 * listen. */
static bool conflict(const struct zt_binding *a, const struct zt_binding *b)
{
    const struct zt_sockopts *x = &a->sock->opt, *y = &b->sock->opt;

    if (!overlap(a, b) || (a->origin && a->origin == b->origin))
        return false;
    if (x->reuseport > 0 && y->reuseport > 0)
        return false;
    return !(x->reuseaddr > 0 && y->reuseaddr > 0 && !b->listening);
}

static struct zt_binding *find_conflict(struct zt_proxy *p, const struct zt_binding *b,
                                        uint32_t key)
{
    for (struct zt_binding *o = zt_map_get(&p->bound, key); o; o = o->next)
        if (o != b && conflict(b, o))
            return o;
    return NULL;
}

/* A kernel's close() frees the address before it returns, ours travels through the loop: a program
 * that closes a listener and binds again at once (iperf3 between two tests) must not find its own
 * ghost in the way. */
static bool is_free(struct zt_proxy *p, const struct zt_binding *b, uint32_t key)
{
    struct zt_binding *o;

    while ((o = find_conflict(p, b, key)) != NULL) {
        if (!zt_sock_is_closed(o->sock))
            return false;
        zt_bind_drop(p, o);
    }
    return true;
}

/* By chance: who sees one doesn't know the next, which is half of what a forged answer to a question by
 * datagrams has to guess. */
static int choose_port(struct zt_proxy *p, struct zt_binding *b, int proto)
{
    const unsigned first = (unsigned)(zt_proxy_random(p) % ZT_PORT_COUNT);

    for (unsigned i = 0; i < ZT_PORT_COUNT; i++) {
        uint16_t port = (uint16_t)(ZT_PORT_FIRST + (first + i) % ZT_PORT_COUNT);
        uint32_t key = (uint32_t)proto << 16 | port;

        /* A port that is shared with somebody is not what port 0 asks for. */
        if (!zt_map_get(&p->bound, key)) {
            b->addr.port = port;
            return 0;
        }
    }
    return EADDRINUSE;
}

int zt_bind_take(struct zt_proxy *p, struct zt_binding *b, const struct zt_sock *s, int proto,
                 struct zt_ctl_addr *addr)
{
    bool any = zt_addr_is_any(addr);
    uint32_t key;

    if (addr->family != 4 && addr->family != 6)
        return EAFNOSUPPORT;
    if (!any && !zt_addr_is_ours(p, addr) && !(proto == IPPROTO_UDP && zt_addr_is_multicast(addr)))
        return EADDRNOTAVAIL;
    b->addr = *addr;
    b->sock = s;
    if (!addr->port && choose_port(p, b, proto))
        return EADDRINUSE;
    key = (uint32_t)proto << 16 | b->addr.port;
    if (!is_free(p, b, key))
        return EADDRINUSE;
    b->next = zt_map_get(&p->bound, key);
    if (zt_map_put(&p->bound, key, b) != 0)
        return ENOMEM;
    b->key = key;
    addr->port = b->addr.port;
    return 0;
}

void zt_bind_drop(struct zt_proxy *p, struct zt_binding *b)
{
    struct zt_binding *first, **at;

    if (!b->key)
        return;
    first = zt_map_get(&p->bound, b->key);
    for (at = &first; *at && *at != b; at = &(*at)->next)
        ;
    if (*at)
        *at = b->next;
    if (first)
        (void)zt_map_put(&p->bound, b->key, first); /* replaces: needs no memory */
    else
        zt_map_del(&p->bound, b->key);
    b->key = 0;
}

int zt_bind_listen(struct zt_proxy *p, struct zt_binding *b)
{
    if (!is_free(p, b, b->key))
        return EADDRINUSE;
    b->listening = true;
    return 0;
}
