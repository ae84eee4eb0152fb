/* The running node: itself, its moons, its statistics. */
#include "api18/api18.h"

int zts_node_start(void)
{
    return zts_setup_start();
}

int zts_node_is_online(void)
{
    return zts_engine_online();
}

uint64_t zts_node_get_id(void)
{
    struct zt_identity id;
    int rc = zts_engine_self(&id, NULL);
    if (rc != ZTS_ERR_OK)
        return (uint64_t)(int64_t)rc;
    zt_wipe(id.priv, sizeof id.priv);
    return id.addr;
}

int zts_node_get_id_pair(char *key, unsigned int *len)
{
    struct zt_identity id;
    char text[ZT_IDENTITY_STR];
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (key == NULL || len == NULL || *len < ZTS_ID_STR_BUF_LEN)
        return ZTS_ERR_ARG;
    if (zts_engine_self(&id, NULL) != ZTS_ERR_OK)
        return ZTS_ERR_GENERAL;
    zt_identity_format(&id, true, text);
    *len = (unsigned)strlen(text);
    memcpy(key, text, *len + 1);
    zt_wipe(&id, sizeof id);
    zt_wipe(text, sizeof text);
    return ZTS_ERR_OK;
}

int zts_node_get_port(void)
{
    uint16_t ports[3];
    int rc = zts_engine_self(NULL, ports);
    return rc != ZTS_ERR_OK ? rc : ports[0];
}

int zts_node_stop(void)
{
    return zts_stop();
}

int zts_node_free(void)
{
    /* Freeing is for what was started once; afterwards there is nothing to be freed again. */
    return zts_engine_runs() ? zts_free() : ZTS_ERR_SERVICE;
}

int zts_moon_orbit(uint64_t moon_roots_id, uint64_t moon_seed)
{
    return zts_engine_act(ZTS_ACT_ORBIT, moon_roots_id, moon_seed);
}

int zts_moon_deorbit(uint64_t moon_roots_id)
{
    return zts_engine_act(ZTS_ACT_DEORBIT, moon_roots_id, 0);
}

/* ---- statistics
 * ----------------------------------------------------------------------------------
 */

/* The other generation's counters (zts_get_protocol_stats) and protocol numbers. */
struct counters {
    uint32_t xmit, recv, fw, drop, chkerr, lenerr, memerr, rterr, proterr, opterr, err, cachehit;
};
struct group_counters {
    uint32_t all[14];
};
struct all_counters {
    struct counters link, etharp, ip_frag, ip, icmp;
    struct group_counters igmp;
    struct counters udp, tcp;
    uint32_t sys[9];
    struct counters ip6, icmp6, ip6_frag;
    struct group_counters mld6;
    struct counters nd6;
};
_Static_assert(sizeof(struct all_counters) == 676, "struct zts_stats");
int zts_get_all_stats(struct all_counters *dest);

static uint32_t errors(const struct counters *c)
{
    return c->chkerr + c->lenerr + c->memerr + c->rterr + c->proterr + c->opterr + c->err;
}

int zts_stats_get_all(zts_stats_counter_t *d)
{
    struct all_counters c;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (d == NULL)
        return ZTS_ERR_ARG;
    int rc = zts_get_all_stats(&c);
    if (rc != ZTS_ERR_OK)
        return rc;
#define COPY(to, from)          \
    d->to##_tx = c.from.xmit;   \
    d->to##_rx = c.from.recv;   \
    d->to##_drop = c.from.drop; \
    d->to##_err = errors(&c.from)
    COPY(link, link);
    COPY(etharp, etharp);
    COPY(ip4, ip);
    COPY(ip6, ip6);
    COPY(icmp4, icmp);
    COPY(icmp6, icmp6);
    COPY(udp, udp);
    COPY(tcp, tcp);
    COPY(nd6, nd6);
#undef COPY
    d->ip4_err += errors(&c.ip_frag);
    d->ip6_err += errors(&c.ip6_frag);
    return ZTS_ERR_OK;
}
