/* The controller's records, and what is derived from them so that no request walks a list of
 * members: which addresses are taken, who is a bridge, how many strangers there are. Every change
 * of a record goes through here. */
#include "base/err.h"
#include "vl2/controller_priv.h"

#include <stdlib.h>

/* ---- records ---- */

void zt_ctl_network_fini(struct zt_ctl_network *n)
{
    free(n->block);
    *n = (struct zt_ctl_network){0};
}

void zt_ctl_member_fini(struct zt_ctl_member *m)
{
    free(m->ips);
    free(m->caps);
    free(m->tags);
    *m = (struct zt_ctl_member){0};
}

void zt_ctl_member_init(struct zt_ctl_member *m, uint64_t nwid, uint64_t addr)
{
    *m = (struct zt_ctl_member){
        .nwid = nwid,
        .addr = addr,
        .version_major = -1,
        .version_minor = -1,
        .version_rev = -1,
        .version_proto = -1,
    };
}

/* ---- addresses in use ---- */

/* Members may list the same address by hand, hence a count. The key is a seeded hash: should two
 * addresses ever share one, the assigner passes over the free one of them. */
static uint64_t ip_key(const struct zt_cnet *net, const struct zt_ep *ip)
{
    struct zt_ep bare = *ip;
    bare.port = 0;
    return zt_vl2_hash(net->ctl->vl2, zt_be64(bare.ip), zt_be64(bare.ip + 8) ^ bare.family);
}

static uintptr_t ip_count(const struct zt_cnet *net, uint64_t key)
{
    return (uintptr_t)zt_map_get(&net->ips, key);
}

static int take_ip(struct zt_cnet *net, const struct zt_ep *ip)
{
    uint64_t key = ip_key(net, ip);
    return zt_map_put(&net->ips, key, (void *)(ip_count(net, key) + 1));
}

static void give_ip(struct zt_cnet *net, const struct zt_ep *ip)
{
    uint64_t key = ip_key(net, ip);
    uintptr_t n = ip_count(net, key);
    if (n > 1)
        (void)zt_map_put(&net->ips, key, (void *)(n - 1));
    else if (n == 1)
        (void)zt_map_del(&net->ips, key);
}

bool zt_cnet_ip_taken(const struct zt_cnet *net, const struct zt_ep *ip)
{
    return ip_count(net, ip_key(net, ip)) != 0;
}

/* Out of memory here means that an address is not known to be in use; it is only ever given out
 * after its own record was stored, so the worst is a double assignment on a machine that fails. */
static void take_ips(struct zt_cmember *m)
{
    for (unsigned i = 0; i < m->r.nips; i++)
        (void)take_ip(m->net, &m->r.ips[i]);
}

static void give_ips(struct zt_cmember *m)
{
    for (unsigned i = 0; i < m->r.nips; i++)
        give_ip(m->net, &m->r.ips[i]);
}

int zt_cmember_add_ip(struct zt_cmember *m, const struct zt_ep *ip)
{
    struct zt_ep *ips = realloc(m->r.ips, (m->r.nips + 1) * sizeof *ips);
    if (ips == NULL)
        return ZT_E_NOMEM;
    m->r.ips = ips;
    int rc = take_ip(m->net, ip);
    if (rc != 0)
        return rc;
    ips[m->r.nips] = *ip;
    ips[m->r.nips].port = 0;
    m->r.nips++;
    return 0;
}

/* ---- bridges ---- */

static unsigned bridge_place(const struct zt_cnet *net, uint64_t addr)
{
    unsigned low = 0, high = net->nbridges;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (net->bridges[mid] < addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int add_bridge(struct zt_cnet *net, uint64_t addr)
{
    unsigned at = bridge_place(net, addr);
    if (net->nbridges == net->capbridges) {
        unsigned cap = net->capbridges * 2 + 4;
        uint64_t *b = realloc(net->bridges, cap * sizeof *b);
        if (b == NULL)
            return ZT_E_NOMEM;
        net->bridges = b;
        net->capbridges = cap;
    }
    memmove(net->bridges + at + 1, net->bridges + at, (net->nbridges - at) * sizeof *net->bridges);
    net->bridges[at] = addr;
    net->nbridges++;
    return 0;
}

static void remove_bridge(struct zt_cnet *net, uint64_t addr)
{
    unsigned at = bridge_place(net, addr);
    if (at == net->nbridges || net->bridges[at] != addr)
        return;
    net->nbridges--;
    memmove(net->bridges + at, net->bridges + at + 1, (net->nbridges - at) * sizeof *net->bridges);
}

/* ---- networks ---- */

struct zt_cnet *zt_cnet_find(const struct zt_controller *c, uint64_t nwid)
{
    return zt_map_get(&c->networks, nwid);
}

int zt_cnet_add(struct zt_controller *c, struct zt_ctl_network *n, struct zt_cnet **out)
{
    struct zt_cnet *net = NULL;
    int rc = ZT_E_LIMIT;
    if (c->networks.count < ZT_CONTROLLER_NETWORKS) {
        net = calloc(1, sizeof *net);
        rc = net != NULL ? zt_map_put(&c->networks, n->nwid, net) : ZT_E_NOMEM;
    }
    if (rc != 0) {
        free(net);
        zt_ctl_network_fini(n);
        return rc;
    }
    net->ctl = c;
    net->r = *n;
    zt_map_init(&net->members, c->vl2->seed ^ n->nwid);
    zt_map_init(&net->ips, c->vl2->seed);
    zt_list_init(&net->online);
    zt_list_init(&net->tell);
    *out = net;
    return 0;
}

void zt_cnet_free(struct zt_cnet *net)
{
    void *m;
    zt_heap_remove(&net->ctl->vl2->timers, &net->telling);
    for (size_t i = 0; zt_map_next(&net->members, &i, NULL, &m);) {
        zt_list_remove(&((struct zt_cmember *)m)->online);
        zt_list_remove(&((struct zt_cmember *)m)->due);
        zt_list_remove(&((struct zt_cmember *)m)->tell);
        zt_ctl_member_fini(&((struct zt_cmember *)m)->r);
        free(m);
    }
    zt_map_fini(&net->members);
    zt_map_fini(&net->ips);
    free(net->bridges);
    free(net->revoked);
    zt_ctl_network_fini(&net->r);
    free(net);
}

/* ---- members ---- */

struct zt_cmember *zt_cmember_find(const struct zt_cnet *net, uint64_t addr)
{
    return zt_map_get(&net->members, addr);
}

void zt_cnet_set_stranger(struct zt_cmember *m, bool is_stranger)
{
    if (m->is_stranger == is_stranger)
        return;
    m->is_stranger = is_stranger;
    if (is_stranger)
        m->net->nstrangers++;
    else
        m->net->nstrangers--;
}

int zt_cmember_add(struct zt_cnet *net, struct zt_ctl_member *r, struct zt_cmember **out)
{
    struct zt_cmember *m = NULL;
    int rc = ZT_E_LIMIT;
    if (net->members.count < ZT_CONTROLLER_MEMBERS) {
        m = calloc(1, sizeof *m);
        rc = m != NULL ? zt_map_put(&net->members, r->addr, m) : ZT_E_NOMEM;
    }
    if (rc == 0 && r->is_bridge && (rc = add_bridge(net, r->addr)) != 0)
        (void)zt_map_del(&net->members, r->addr);
    if (rc != 0) {
        free(m);
        zt_ctl_member_fini(r);
        return rc;
    }
    m->net = net;
    m->r = *r;
    m->requested_ms = m->issued_ms = ZT_LONG_AGO;
    /* Until it asks: by the version it had when it asked last. */
    m->has_rules = r->version_major > 1 || (r->version_major == 1 && r->version_minor >= 2);
    zt_list_init(&m->online);
    zt_list_init(&m->due);
    zt_list_init(&m->tell);
    m->told_ms = ZT_LONG_AGO;
    take_ips(m);
    *out = m;
    return 0;
}

void zt_cmember_replace(struct zt_cmember *m, struct zt_ctl_member *r)
{
    give_ips(m);
    if (m->r.is_bridge && !r->is_bridge)
        remove_bridge(m->net, m->r.addr);
    else if (!m->r.is_bridge && r->is_bridge)
        r->is_bridge = add_bridge(m->net, m->r.addr) == 0;
    zt_ctl_member_fini(&m->r);
    m->r = *r;
    take_ips(m);
}

void zt_cmember_free(struct zt_cmember *m)
{
    give_ips(m);
    if (m->r.is_bridge)
        remove_bridge(m->net, m->r.addr);
    zt_cnet_set_stranger(m, false);
    zt_list_remove(&m->online);
    zt_list_remove(&m->due);
    zt_list_remove(&m->tell);
    (void)zt_map_del(&m->net->members, m->r.addr);
    zt_ctl_member_fini(&m->r);
    free(m);
}
