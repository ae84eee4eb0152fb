/* Which addresses a member gets (vl2.md 9.4). Those listed in its record are kept as long as a
 * route of the network covers them; pools fill in what is missing, starting at a place that the
 * member's node address decides, so that a member tends to get the same address again. */
#include "base/err.h"
#include "vl2/controller_priv.h"
#include "vl2/rules.h"

#define TRIALS 1000 /* per pool */

/* Length of the longest route that covers this address, 0 without one. A default route says nothing
 * about what is on the link. */
static unsigned route_length(const struct zt_ctl_network *n, const struct zt_ep *ip)
{
    unsigned longest = 0;
    for (unsigned i = 0; i < n->nroutes; i++) {
        const struct zt_ep *target = &n->routes[i].target;
        if (target->port > longest && zt_ep_in_prefix(target, ip))
            longest = target->port;
    }
    return longest;
}

static bool has_routed(const struct zt_cmember *m, uint8_t family)
{
    for (unsigned i = 0; i < m->r.nips && i < ZT_CONTROLLER_MEMBER_IPS; i++) {
        if (m->r.ips[i].family == family && route_length(&m->net->r, &m->r.ips[i]) > 0)
            return true;
    }
    return false;
}

/* ---- IPv6 ---- */

/* Pools give out addresses that are on the link, not behind a gateway. */
static bool on_link6(const struct zt_ctl_network *n, const struct zt_ep *ip)
{
    for (unsigned i = 0; i < n->nroutes; i++) {
        const struct zt_route *r = &n->routes[i];
        if (r->via.family == 0 && r->target.port > 0 && zt_ep_in_prefix(&r->target, ip))
            return true;
    }
    return false;
}

static uint64_t random_below(struct zt_vl2 *v, uint64_t n)
{
    uint64_t x;
    if (n == 0)
        return 0;
    v->host->random(v->host->user, &x, sizeof x);
    return x % n;
}

static bool try_pool6(struct zt_cmember *m, const struct zt_ctl_pool *p, struct zt_ep *out)
{
    const uint64_t sh = zt_be64(p->start.ip), sl = zt_be64(p->start.ip + 8);
    const uint64_t eh = zt_be64(p->end.ip), el = zt_be64(p->end.ip + 8);

    for (unsigned trial = 0; trial < TRIALS; trial++) {
        uint8_t ip[16];
        uint64_t high = sh, low = sl;
        if (trial == 0 && el > sl && el - sl >= ZT_ADDR_MASK) {
            low += m->r.addr; /* room for every node address: the same one each time */
        } else {
            high += random_below(m->net->ctl->vl2, eh > sh ? eh - sh : 0);
            low += random_below(m->net->ctl->vl2, el > sl ? el - sl : 0);
        }
        zt_put64(ip, high);
        zt_put64(ip + 8, low);
        *out = zt_ep_make(6, ip, 0);
        if (on_link6(&m->net->r, out) && !zt_cnet_ip_taken(m->net, out))
            return true;
        if (eh <= sh && el <= sl)
            return false; /* a pool of one */
    }
    return false;
}

/* ---- IPv4 ---- */

/* Is it inside a route whose target has no host bits? */
static bool on_link4(const struct zt_ctl_network *n, const struct zt_ep *ip)
{
    for (unsigned i = 0; i < n->nroutes; i++) {
        const struct zt_ep *target = &n->routes[i].target;
        struct zt_ep whole = zt_ep_network(target);
        if (target->family == 4 && target->port > 0 && zt_ep_same_ip(&whole, target) &&
            zt_ep_in_prefix(target, ip))
            return true;
    }
    return false;
}

static bool try_pool4(struct zt_cmember *m, const struct zt_ctl_pool *p, struct zt_ep *out)
{
    const uint32_t start = zt_be32(p->start.ip), end = zt_be32(p->end.ip);
    uint32_t counter = (uint32_t)m->r.addr;

    if (end < start || start == 0)
        return false;
    const uint32_t len = end - start;
    for (uint64_t trial = 0; trial < (uint64_t)len + 1 && trial < TRIALS; trial++, counter++) {
        uint8_t ip[4];
        uint32_t v = len > 0 ? start + counter % len : start;
        if ((v & 255) == 255)
            continue;
        zt_put32(ip, v);
        *out = zt_ep_make(4, ip, 0);
        if (on_link4(&m->net->r, out) && !zt_cnet_ip_taken(m->net, out))
            return true;
    }
    return false;
}

/* ---- */

static int assign(struct zt_cmember *m, uint8_t family, unsigned *changed)
{
    const struct zt_ctl_network *n = &m->net->r;
    struct zt_ep ip;

    if (has_routed(m, family))
        return 0;
    for (unsigned i = 0; i < n->npools; i++) {
        const struct zt_ctl_pool *p = &n->pools[i];
        if (p->start.family != family || p->end.family != family)
            continue;
        if (family == 4 ? try_pool4(m, p, &ip) : try_pool6(m, p, &ip)) {
            *changed |= ZT_CHANGED_IPS;
            return zt_cmember_add_ip(m, &ip);
        }
    }
    return 0;
}

int zt_controller_assign(struct zt_cmember *m, unsigned *changed)
{
    const struct zt_ctl_network *n = &m->net->r;
    int rc = 0;

    if (m->r.no_auto_ips || m->r.nips >= ZT_CONTROLLER_MEMBER_IPS)
        return 0;
    if (n->v6_pools)
        rc = assign(m, 6, changed);
    if (rc == 0 && n->v4_pools)
        rc = assign(m, 4, changed);
    return rc;
}

void zt_controller_addresses(const struct zt_cmember *m, struct zt_netconf *conf)
{
    const struct zt_ctl_network *n = &m->net->r;

    conf->naddrs = 0;
    if (!m->r.no_auto_ips) {
        if (n->v6_rfc4193)
            conf->addrs[conf->naddrs++] = zt_ep_rfc4193(n->nwid, m->r.addr);
        if (n->v6_6plane)
            conf->addrs[conf->naddrs++] = zt_ep_6plane(n->nwid, m->r.addr);
        if (conf->naddrs > 0)
            conf->flags |= ZT_NET_NDP_EMULATION;
    }
    for (unsigned i = 0; i < m->r.nips && i < ZT_CONTROLLER_MEMBER_IPS; i++) {
        unsigned length = route_length(n, &m->r.ips[i]);
        if (length == 0 || conf->naddrs == ZT_NETCONF_ADDRS)
            continue;
        conf->addrs[conf->naddrs] = m->r.ips[i];
        conf->addrs[conf->naddrs++].port = (uint16_t)length;
    }
}
