/* Multicast groups of datagram sockets: on which interface, and from whom. A group is joined in the stack
 * once for each socket in it; to which sockets a datagram then goes is decided as in Linux
 * (proxy_udp.c): all on its port, but for those that left its sender out. */
#include "node/proxy_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/igmp.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"
#include "lwip/udp.h"

struct netif *zt_group_netif(const struct zt_dgram *d, bool v6, unsigned index, const uint8_t *ip4)
{
    static const uint8_t none[4];
    const ip_addr_t *local = &d->pcb->local_ip;
    struct netif *n;

    if (index)
        return netif_get_by_index((u8_t)index);
    if (!v6 && ip4 && memcmp(ip4, none, 4) != 0)
        return zt_first_netif(false, 0, ip4);
    if (d->s.opt.ifindex > 0)
        return netif_get_by_index((u8_t)d->s.opt.ifindex);
    if (!ip_addr_isany_val(*local) && !ip_addr_ismulticast(local) && IP_IS_V6(local) == v6) {
        NETIF_FOREACH(n)
        {
            if (v6 ? netif_get_ip6_addr_match(n, ip_2_ip6(local)) >= 0
                   : ip4_addr_cmp(netif_ip4_addr(n), ip_2_ip4(local)))
                return n;
        }
    }
    return zt_first_netif(v6, 0, NULL);
}

static err_t change_group(const struct zt_group *g, bool join)
{
    struct netif *n = netif_get_by_index(g->netif);

    if (!n)
        return ERR_OK; /* the network is gone and its groups with it */
    if (IP_IS_V6_VAL(g->addr))
        return join ? mld6_joingroup_netif(n, ip_2_ip6(&g->addr))
                    : mld6_leavegroup_netif(n, ip_2_ip6(&g->addr));
    return join ? igmp_joingroup_netif(n, ip_2_ip4(&g->addr))
                : igmp_leavegroup_netif(n, ip_2_ip4(&g->addr));
}

static struct zt_group *find_group(struct zt_dgram *d, const struct zt_group *want)
{
    for (int i = 0; i < ZT_DGRAM_GROUPS; i++) {
        struct zt_group *g = &d->groups[i];
        if (g->netif == want->netif && (!want->netif || ip_addr_cmp(&g->addr, &want->addr)))
            return g;
    }
    return NULL;
}

static int parse_membership(struct zt_dgram *d, bool v6, const uint8_t *val, size_t n,
                            struct zt_group *g)
{
    struct zt_ctl_addr a = {.family = v6 ? 6 : 4};
    struct netif *nif;
    int32_t index = 0;

    if (n < (v6 ? 20u : 8u))
        return EINVAL;
    memcpy(a.ip, val, v6 ? 16 : 4);
    if (!zt_addr_is_multicast(&a))
        return EINVAL;
    if (v6)
        memcpy(&index, val + 16, 4);
    else if (n >= 12) /* ip_mreqn */
        memcpy(&index, val + 8, 4);
    if (index < 0 || index > 255)
        return ENODEV;
    nif = zt_group_netif(d, v6, (unsigned)index, v6 ? NULL : val + 4);
    if (!nif)
        return ENODEV;
    zt_addr_to_lwip(&a, &g->addr);
    g->netif = netif_get_index(nif);
    return 0;
}

/* IP_ADD_SOURCE_MEMBERSHIP (39), IP_DROP_SOURCE_MEMBERSHIP (40); of IPv6 46 and 47 with an
 * ipv6_mreq and the source: lwIP knows no sources, so the group is joined as a whole and what
 * others send is left out on its way to the program. */
static int source_member(struct zt_dgram *d, bool v6, bool join, const uint8_t *val, size_t n)
{
    struct zt_group want = {0}, none = {0}, *g;
    size_t head = v6 ? 20 : 8, width = v6 ? 16 : 4;
    uint8_t source[16] = {0};
    unsigned i = 0;
    int err;

    if (n < head + width)
        return EINVAL;
    memcpy(source, val + head, width);
    if ((err = parse_membership(d, v6, val, head, &want)) != 0)
        return err;
    if (!d->groups && !(d->groups = calloc(ZT_DGRAM_GROUPS, sizeof *d->groups)))
        return ENOBUFS;
    g = find_group(d, &want);
    if (g && !g->nsources)
        return EINVAL; /* joined without a source */
    while (g && i < g->nsources && memcmp(g->source[i], source, 16) != 0)
        i++;
    if (!join) {
        if (!g || i == g->nsources)
            return EADDRNOTAVAIL;
        g->nsources--;
        memmove(g->source[i], g->source[g->nsources], 16);
        if (!g->nsources) {
            (void)change_group(g, false);
            *g = none;
        }
        return 0;
    }
    if (g && i < g->nsources)
        return EADDRNOTAVAIL;
    if (g && g->nsources == ZT_GROUP_SOURCES)
        return ENOBUFS;
    if (!g) {
        g = find_group(d, &none);
        if (!g || change_group(&want, true) != ERR_OK)
            return ENOBUFS;
        *g = want;
    }
    memcpy(g->source[g->nsources++], source, 16);
    return 0;
}

bool zt_group_leaves_out(const struct zt_dgram *d, const struct zt_ctl_dgram *h)
{
    bool listed = false;

    for (int i = 0; d->groups && i < ZT_DGRAM_GROUPS; i++) {
        const struct zt_group *g = &d->groups[i];
        struct zt_ctl_addr a;
        if (!g->netif)
            continue;
        zt_addr_from_lwip(&g->addr, 0, &a);
        if (a.family != h->lfamily || memcmp(a.ip, h->lip, 16) != 0)
            continue;
        if (!g->nsources)
            return false;
        for (unsigned k = 0; k < g->nsources; k++)
            if (memcmp(g->source[k], h->remote.ip, 16) == 0)
                return false;
        listed = true;
    }
    return listed;
}

int zt_dgram_member(struct zt_dgram *d, int level, int name, const uint8_t *val, size_t n)
{
    bool v6 = level != 0, join = name == (v6 ? 20 : 35);
    struct zt_group want = {0}, none = {0}, *g;
    int err;

    if (name == (v6 ? 46 : 39) || name == (v6 ? 47 : 40))
        return source_member(d, v6, name == (v6 ? 46 : 39), val, n);
    err = parse_membership(d, v6, val, n, &want);
    if (err)
        return err;
    if (!d->groups && !(d->groups = calloc(ZT_DGRAM_GROUPS, sizeof *d->groups)))
        return ENOBUFS;
    g = find_group(d, &want);
    if (!join) {
        if (!g)
            return EADDRNOTAVAIL;
        (void)change_group(g, false);
        *g = none;
        return 0;
    }
    if (g)
        return EADDRINUSE;
    g = find_group(d, &none);
    if (!g || change_group(&want, true) != ERR_OK)
        return ENOBUFS;
    *g = want;
    return 0;
}

void zt_groups_leave(struct zt_dgram *d)
{
    for (int i = 0; d->groups && i < ZT_DGRAM_GROUPS; i++)
        if (d->groups[i].netif)
            (void)change_group(&d->groups[i], false);
    free(d->groups);
    d->groups = NULL;
}
