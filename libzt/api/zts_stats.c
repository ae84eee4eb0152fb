/* lwIP's counters, copied field by field. They belong to the loop thread; single words read from
 * another thread are at worst a packet old. */
#include <string.h>

#include <lwip/stats.h>

#include "api/zts_priv.h"

#define RD(field) ((uint32_t)__atomic_load_n(&(field), __ATOMIC_RELAXED))

static struct zts_stats_proto proto(const struct stats_proto *p)
{
    return (struct zts_stats_proto){
        .xmit = RD(p->xmit),
        .recv = RD(p->recv),
        .fw = RD(p->fw),
        .drop = RD(p->drop),
        .chkerr = RD(p->chkerr),
        .lenerr = RD(p->lenerr),
        .memerr = RD(p->memerr),
        .rterr = RD(p->rterr),
        .proterr = RD(p->proterr),
        .opterr = RD(p->opterr),
        .err = RD(p->err),
        .cachehit = RD(p->cachehit),
    };
}

static struct zts_stats_igmp group(const struct stats_igmp *p)
{
    return (struct zts_stats_igmp){
        .xmit = RD(p->xmit),
        .recv = RD(p->recv),
        .drop = RD(p->drop),
        .chkerr = RD(p->chkerr),
        .lenerr = RD(p->lenerr),
        .memerr = RD(p->memerr),
        .proterr = RD(p->proterr),
        .rx_v1 = RD(p->rx_v1),
        .rx_group = RD(p->rx_group),
        .rx_general = RD(p->rx_general),
        .rx_report = RD(p->rx_report),
        .tx_join = RD(p->tx_join),
        .tx_leave = RD(p->tx_leave),
        .tx_report = RD(p->tx_report),
    };
}

int zts_get_all_stats(struct zts_stats *d)
{
    if (d == NULL)
        return ZTS_ERR_ARG;
    const struct stats_ *s = &lwip_stats;
    /* `sys` stays zero: the stack runs on one thread and has no semaphores to count. */
    *d = (struct zts_stats){
        .link = proto(&s->link),
        .etharp = proto(&s->etharp),
        .ip_frag = proto(&s->ip_frag),
        .ip = proto(&s->ip),
        .icmp = proto(&s->icmp),
        .igmp = group(&s->igmp),
        .udp = proto(&s->udp),
        .tcp = proto(&s->tcp),
        .ip6 = proto(&s->ip6),
        .icmp6 = proto(&s->icmp6),
        .ip6_frag = proto(&s->ip6_frag),
        .mld6 = group(&s->mld6),
        .nd6 = proto(&s->nd6),
    };
    return ZTS_ERR_OK;
}

int zts_get_protocol_stats(int protocolType, void *dest)
{
    struct zts_stats all;
    if (dest == NULL || protocolType < ZTS_STATS_PROTOCOL_LINK ||
        protocolType > ZTS_STATS_PROTOCOL_IP6_FRAG)
        return ZTS_ERR_ARG;
    (void)zts_get_all_stats(&all);
    const struct zts_stats_proto *by_type[] = {
        [ZTS_STATS_PROTOCOL_LINK] = &all.link,       [ZTS_STATS_PROTOCOL_ETHARP] = &all.etharp,
        [ZTS_STATS_PROTOCOL_IP] = &all.ip,           [ZTS_STATS_PROTOCOL_UDP] = &all.udp,
        [ZTS_STATS_PROTOCOL_TCP] = &all.tcp,         [ZTS_STATS_PROTOCOL_ICMP] = &all.icmp,
        [ZTS_STATS_PROTOCOL_IP_FRAG] = &all.ip_frag, [ZTS_STATS_PROTOCOL_IP6] = &all.ip6,
        [ZTS_STATS_PROTOCOL_ICMP6] = &all.icmp6,     [ZTS_STATS_PROTOCOL_IP6_FRAG] = &all.ip6_frag,
    };
    memcpy(dest, by_type[protocolType], sizeof(struct zts_stats_proto));
    return ZTS_ERR_OK;
}
