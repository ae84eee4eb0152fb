/* The stack object: clock, timers, networks and their addresses.
 *
 * lwIP expects to be called back in fixed cycles for ever. Here each cycle runs only while it has
 * work, from one deadline queue:
 *
 * - tcp_slow: retransmission, persist, keepalive and the states that time out. Started by
 *   zt_stack_kick (something was sent or received); after each run the connections that do not rest
 *   are looked at: every TCP_SLOW_INTERVAL while something is in flight, every IDLE_MS while only
 *   seconds matter (keepalive, TIME_WAIT), not at all when all are silent.
 * - tcp_fast: held-back ACKs; started when one is held back.
 * - groups: IGMP and MLD reports, while a group has one to send.
 * - pace: while a connection waits for its pace (rate.c).
 * - reassembly, while fragments may be waiting; loopback: packets to ourselves.
 *
 * lwIP counts TCP time in ticks that its slow timer adds up. As ours does not always run, the count
 * is set from the clock before lwIP is entered (tcp_ticks is what zt_stack_now writes). */
#include "stack/impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "lwip/igmp.h"
#include "lwip/init.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "stack/hooks.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/raw.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"

#define IDLE_MS 500
#define ACK_SEGMENTS 16 /* that one ACK may stand for within a turn */
#define TIME_WAIT_MAX 16384
#define NETIFS_MAX 254 /* lwIP numbers them in a byte */

static struct zt_stack *current;

struct zt_stack *zt_stack_current(void)
{
    assert(current != NULL);
    return current;
}

void zt_stack_arm(struct zt_stack *s, struct zt_timer *t, int64_t at_ms)
{
    if (t->pos == 0 || at_ms < t->at_ms)
        (void)zt_heap_set(&s->timers, t, at_ms); /* its room was reserved: cannot fail */
}

/* --- timers --------------------------------------------------------------------------------- */

static void sync_ticks(struct zt_stack *s)
{
    /* Never 0: lwIP takes a start time of 0 for "not measuring". */
    tcp_ticks = (u32_t)((s->now_ms - s->epoch_ms) / TCP_SLOW_INTERVAL) + 1000;
}

/* How soon the slow timer is needed again, in ms; 0: not at all. */
static int slow_need(void)
{
    int need = tcp_tw_pcbs != NULL || tcp_resting_watch ? IDLE_MS : 0;
    for (const struct tcp_pcb *p = tcp_active_pcbs; p != NULL; p = p->next) {
        if (p->state != ESTABLISHED && p->state != CLOSE_WAIT && p->state != FIN_WAIT_2)
            return TCP_SLOW_INTERVAL;
        if (p->unacked != NULL || p->unsent != NULL || p->ooseq != NULL || p->persist_backoff > 0 ||
            p->refused_data != NULL || (p->flags & (TF_CLOSEPEND | TF_NAGLEMEMERR)) != 0)
            return TCP_SLOW_INTERVAL;
        if (ip_get_option(p, SOF_KEEPALIVE) || p->state == FIN_WAIT_2)
            need = IDLE_MS;
    }
    return need;
}

static bool fast_need(void)
{
    for (const struct tcp_pcb *p = tcp_active_pcbs; p != NULL; p = p->next)
        if (p->refused_data != NULL || (p->flags & (TF_ACK_DELAY | TF_CLOSEPEND)) != 0)
            return true;
    return false;
}

/* A peer that makes us close first fills TIME_WAIT at will: only the newest are kept. Their list
 * has the newest first. */
static void trim_time_wait(void)
{
    struct tcp_pcb *p = tcp_tw_pcbs;
    for (unsigned n = 1; p != NULL && n < TIME_WAIT_MAX; n++)
        p = p->next;
    if (p == NULL)
        return;
    struct tcp_pcb *rest = p->next;
    p->next = NULL;
    while (rest != NULL) {
        struct tcp_pcb *next = rest->next;
        tcp_pcb_purge(rest);
        tcp_free(rest);
        rest = next;
    }
}

static void on_tcp_slow(void *user, struct zt_timer *t)
{
    struct zt_stack *s = user;
    for (struct tcp_pcb *p = tcp_active_pcbs, *next; p != NULL; p = next) {
        next = p->next;
        zt_recovery_tick(p);
    }
    tcp_ticks--; /* it adds one */
    tcp_slowtmr();
    sync_ticks(s);
    if (s->pcbs.count > TIME_WAIT_MAX)
        trim_time_wait();
    if (fast_need())
        zt_stack_arm(s, &s->tcp_fast, s->now_ms + TCP_FAST_INTERVAL);
    int need = slow_need();
    if (need != TCP_SLOW_INTERVAL)
        zt_pool_trim(s);
    if (need != 0)
        zt_stack_arm(s, t, s->now_ms + need);
}

static void on_tcp_fast(void *user, struct zt_timer *t)
{
    struct zt_stack *s = user;
    tcp_fasttmr();
    zt_stack_kick(s);
    if (fast_need())
        zt_stack_arm(s, t, s->now_ms + TCP_FAST_INTERVAL);
}

void zt_lwip_ack_delayed(void)
{
    zt_stack_arm(current, &current->tcp_fast, current->now_ms + TCP_FAST_INTERVAL);
}

/* The last segment of a turn need not come soon, nor the end of a long turn: a sender should not
 * run dry meanwhile. */
bool zt_lwip_ack_later(struct tcp_pcb *pcb)
{
    struct zt_stack *s = current;
    if (pcb->acks_owed == 0) {
        if (s->nowed == ACKS_OWED)
            return false;
        s->owed[s->nowed++] = pcb;
    }
    if (pcb->acks_owed++ < ACK_SEGMENTS)
        return true;
    pcb->acks_owed = 1; /* still in owed[] */
    return false;
}

void zt_stack_flush(struct zt_stack *s)
{
    for (unsigned i = 0; i < s->nowed; i++) {
        struct tcp_pcb *pcb = s->owed[i];
        if (pcb == NULL)
            continue;
        pcb->acks_owed = 0;
        if ((pcb->flags & TF_ACK_DELAY) == 0)
            continue; /* went with data, or with news of the window */
        tcp_clear_flags(pcb, TF_ACK_DELAY);
        tcp_ack_now(pcb);
        tcp_output(pcb);
    }
    s->nowed = 0;
}

struct tcp_pcb_listen *zt_lwip_catch_all(const ip_addr_t *to)
{
    return current->catch_all != NULL ? current->catch_all(current->catch_user, to) : NULL;
}

void zt_stack_catch_all(struct zt_stack *s, zt_stack_catch_fn *fn, void *user)
{
    s->catch_all = fn;
    s->catch_user = user;
}

static void on_pace(void *user, struct zt_timer *t)
{
    zt_rate_go_on(user);
}

/* lwIP would set up its cyclic timers here. */
void sys_timeouts_init(void)
{
}

/* lwIP: a connection was added to one of its lists. */
void tcp_timer_needed(void)
{
    if (current != NULL)
        zt_stack_kick(current);
}

static bool groups_need(struct zt_stack *s)
{
    ZT_LIST_EACH(it, &s->nets)
    {
        struct zt_net *net = ZT_CONTAINER(it, struct zt_net, link);
        for (struct igmp_group *g = netif_igmp_data(&net->port[0]->nif); g != NULL; g = g->next)
            if (g->timer > 0)
                return true;
        for (struct mld_group *g = netif_mld6_data(&net->port[0]->nif); g != NULL; g = g->next)
            if (g->timer > 0)
                return true;
    }
    return false;
}

static void on_groups(void *user, struct zt_timer *t)
{
    struct zt_stack *s = user;
    igmp_tmr();
    mld6_tmr();
    if (groups_need(s))
        zt_stack_arm(s, t, s->now_ms + IGMP_TMR_INTERVAL);
}

static void on_reassembly(void *user, struct zt_timer *t)
{
    struct zt_stack *s = user;
    ip_reass_tmr();
    ip6_reass_tmr();
    if (s->now_ms < s->reassembly_until_ms)
        zt_stack_arm(s, t, s->now_ms + 1000);
}

static void on_loopback(void *user, struct zt_timer *t)
{
    zt_loop_deliver(user);
    zt_stack_kick(user);
}

void zt_stack_now(struct zt_stack *s, int64_t mono_ms)
{
    if (mono_ms > s->now_ms) {
        s->now_ms = mono_ms;
        sync_ticks(s);
    }
}

void zt_stack_tick(struct zt_stack *s, int64_t mono_ms)
{
    struct zt_timer *t;
    /* What the handlers queue for "now" waits for the next tick: the count bounds this one. */
    size_t bound = s->timers.n;
    zt_stack_now(s, mono_ms);
    while (bound-- > 0 && (t = zt_heap_pop(&s->timers, s->now_ms)) != NULL)
        t->fire(s, t);
}

int64_t zt_stack_deadline(const struct zt_stack *s)
{
    return zt_heap_next(&s->timers);
}

void zt_stack_kick(struct zt_stack *s)
{
    if (tcp_active_pcbs != NULL || tcp_tw_pcbs != NULL || tcp_resting_watch)
        zt_stack_arm(s, &s->tcp_slow, s->now_ms + TCP_SLOW_INTERVAL);
}

/* In ticks: shorter silence is nothing unusual. */
#define REROUTED_SILENCE (200 / TCP_SLOW_INTERVAL)

static bool goes_to(struct zt_stack *s, const struct tcp_pcb *p, uint64_t node)
{
    struct zt_route_hit hit;
    bool v6 = IP_IS_V6(&p->remote_ip);
    struct zt_ep src = v6 ? zt_ep_of6(ip_2_ip6(&p->local_ip)) : zt_ep_of4(ip_2_ip4(&p->local_ip));
    struct zt_ep dst = v6 ? zt_ep_of6(ip_2_ip6(&p->remote_ip)) : zt_ep_of4(ip_2_ip4(&p->remote_ip));
    zt_route_find(s, &src, &dst, &hit);
    return hit.net != NULL && !hit.is_local &&
           zt_neigh_mac(hit.net, &hit.hop) == zt_mac_of(node, hit.net->nwid);
}

void zt_stack_rerouted(struct zt_stack *s, uint64_t node)
{
    for (struct tcp_pcb *p = tcp_active_pcbs; p != NULL; p = p->next) {
        if (p->unacked == NULL || p->rtime < 0 || (p->nrtx == 0 && p->rtime < REROUTED_SILENCE) ||
            !goes_to(s, p, node))
            continue;
        p->nrtx = 0; /* what was learned about the old way */
        p->rtime = p->rto;
    }
    zt_stack_kick(s);
}

/* --- the object ----------------------------------------------------------------------------- */

static int reserve_timers(struct zt_stack *s)
{
    struct zt_timer *t[] = {&s->tcp_slow, &s->tcp_fast, &s->groups, &s->reassembly, &s->loopback,
                            &s->pace};
    void (*fire[])(void *, struct zt_timer *) = {on_tcp_slow, on_tcp_fast, on_groups, on_reassembly,
                                                 on_loopback, on_pace};
    size_t n = sizeof t / sizeof t[0];
    int e = 0;
    /* Queue all at once, so that the heap has room for these for good. */
    for (size_t i = 0; i < n && e == 0; i++) {
        t[i]->fire = fire[i];
        e = zt_heap_set(&s->timers, t[i], s->now_ms);
    }
    for (size_t i = 0; i < n; i++)
        zt_heap_remove(&s->timers, t[i]);
    return e;
}

int zt_stack_new(const struct zt_stack_host *host, int64_t mono_ms, struct zt_stack **out)
{
    static bool lwip_ready;
    if (current != NULL)
        return ZT_E_BUSY;
    struct zt_stack *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ZT_E_NOMEM;
    s->host = *host;
    s->now_ms = s->epoch_ms = mono_ms;
    s->generation = 1;
    zt_list_init(&s->nets);
    zt_list_init(&s->loop);
    zt_map_init(&s->by_nwid, 0); /* network ids are the user's choice, not a stranger's */
    zt_heap_init(&s->timers);
    host->random(host->user, s->key, sizeof s->key);
    zt_neigh_init(s);
    int e = reserve_timers(s);
    if (e == 0)
        e = zt_pcbs_init(s);
    if (e != 0) {
        zt_heap_fini(&s->timers);
        free(s);
        return e;
    }
    current = s;
    if (!lwip_ready)
        lwip_init();
    lwip_ready = true;
    sync_ticks(s);
    *out = s;
    return 0;
}

static void remove_net(struct zt_stack *s, struct zt_net *net);

/* What the owner left behind: it has closed its own sockets, so these are connections that end by
 * themselves. Their owner is not told. */
static void drop_sockets(void)
{
    while (tcp_active_pcbs != NULL) {
        tcp_err(tcp_active_pcbs, NULL);
        tcp_abort(tcp_active_pcbs);
    }
    while (tcp_resting_pcbs != NULL) {
        tcp_err(tcp_resting_pcbs, NULL);
        tcp_abort(tcp_resting_pcbs);
    }
    while (tcp_tw_pcbs != NULL)
        tcp_abort(tcp_tw_pcbs);
    while (tcp_bound_pcbs != NULL)
        tcp_close(tcp_bound_pcbs);
    while (tcp_listen_pcbs.pcbs != NULL)
        tcp_close(tcp_listen_pcbs.pcbs);
    while (udp_pcbs != NULL)
        udp_remove(udp_pcbs);
}

void zt_stack_free(struct zt_stack *s)
{
    if (s == NULL)
        return;
    drop_sockets();
    while (!zt_list_empty(&s->nets))
        remove_net(s, ZT_CONTAINER(s->nets.next, struct zt_net, link));
    for (int i = 0; i < IP_REASS_MAXAGE + 2; i++) {
        ip_reass_tmr();
        ip6_reass_tmr();
    }
    zt_loop_clear(s, NULL);
    zt_neigh_fini(s);
    zt_pcbs_fini(s);
    zt_pool_fini(s);
    zt_heap_fini(&s->timers);
    zt_map_fini(&s->by_nwid);
    current = NULL;
    free(s);
}

static int no_frame(void *user, uint64_t nwid, uint8_t *eth, size_t n)
{
    return ZT_E_STATE;
}

static void no_subscribe(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
}

void zt_stack_mute(struct zt_stack *s)
{
    s->host.frame = no_frame;
    s->host.subscribe = no_subscribe;
    s->host.unreachable = NULL;
}

void zt_stack_input(struct zt_stack *s, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct zt_net *net = zt_map_get(&s->by_nwid, nwid);
    if (net != NULL)
        zt_net_input(net, eth, n);
}

unsigned zt_stack_ifindex(const struct zt_stack *s, uint64_t nwid)
{
    const struct zt_net *net = zt_map_get(&s->by_nwid, nwid);
    return net != NULL ? netif_get_index(&net->port[0]->nif) : 0;
}

/* --- networks ------------------------------------------------------------------------------- */

/* lwIP accepts packets to all nodes without joining their group. */
static void all_nodes(struct zt_net *net, bool add)
{
    net->s->host.subscribe(net->s->host.user, net->nwid, 0x333300000001ULL, 0, add);
}

static void group_of(struct zt_net *net, const struct zt_ep *ip, bool add)
{
    struct zt_stack *s = net->s;
    uint64_t mac;
    uint32_t adi;
    zt_resolution_group(ip, &mac, &adi);
    s->host.subscribe(s->host.user, net->nwid, mac, adi, add);
}

static int port_open(struct zt_net *net, unsigned i)
{
    struct zt_stack *s = net->s;
    if (s->nnetifs >= NETIFS_MAX)
        return ZT_E_LIMIT;
    struct zt_port *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ZT_E_NOMEM;
    p->net = net;
    if (netif_add_noaddr(&p->nif, p, zt_port_init, NULL) == NULL) {
        free(p);
        return ZT_E_LIMIT;
    }
    net->port[i] = p;
    s->nnetifs++;
    netif_set_up(&p->nif);
    return 0;
}

static void port_close(struct zt_net *net, unsigned i)
{
    struct zt_port *p = net->port[i];
    zt_loop_clear(net->s, &p->nif);
    netif_remove(&p->nif);
    net->port[i] = NULL;
    net->s->nnetifs--;
    free(p);
}

static void set4(struct zt_net *net, unsigned i, const struct zt_ep *a)
{
    ip4_addr_t ip, mask, gw;
    uint32_t bits = a->port >= 32 ? 0xffffffffu : ~(0xffffffffu >> a->port);
    memcpy(&ip.addr, a->ip, 4);
    mask.addr = lwip_htonl(bits);
    ip4_addr_set_any(&gw);
    netif_set_addr(&net->port[i]->nif, &ip, &mask, &gw);
    net->addr4[i] = *a;
}

static void clear4(struct zt_net *net, unsigned i)
{
    struct zt_ep was = net->addr4[i];
    net->addr4[i] = (struct zt_ep){0};
    if (i == 0)
        netif_set_addr(&net->port[0]->nif, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4);
    else
        port_close(net, i);
    group_of(net, &was, false);
}

static bool listed(const struct zt_net_info *info, const struct zt_ep *a)
{
    for (unsigned i = 0; i < info->naddrs; i++)
        if (zt_ep_equal(&info->addrs[i], a))
            return true;
    return false;
}

static int add4(struct zt_net *net, const struct zt_ep *a)
{
    int free_at = -1;
    for (unsigned i = 0; i < NET_IPV4_MAX; i++) {
        if (zt_ep_equal(&net->addr4[i], a))
            return 0;
        if (net->addr4[i].family == 0 && free_at < 0)
            free_at = (int)i;
    }
    if (free_at < 0)
        return ZT_E_LIMIT;
    if (net->port[free_at] == NULL) {
        int e = port_open(net, (unsigned)free_at);
        if (e != 0)
            return e;
    }
    set4(net, (unsigned)free_at, a);
    group_of(net, a, true);
    return 0;
}

/* Solicited-node groups are joined by lwIP itself (MLD), which calls the filter of netif.c. */
static void set6(struct zt_net *net, unsigned i, const struct zt_ep *a)
{
    ip6_addr_t ip = {0};
    struct netif *nif = &net->port[0]->nif;
    memcpy(ip.addr, a->ip, 16);
    net->addr6[i] = *a;
    netif_ip6_addr_set(nif, (s8_t)i, &ip);
    netif_ip6_addr_set_state(nif, (s8_t)i, IP6_ADDR_PREFERRED);
}

static void clear6(struct zt_net *net, unsigned i)
{
    net->addr6[i] = (struct zt_ep){0};
    netif_ip6_addr_set_state(&net->port[0]->nif, (s8_t)i, IP6_ADDR_INVALID);
    netif_ip6_addr_set(&net->port[0]->nif, (s8_t)i, IP6_ADDR_ANY6);
}

static int add6(struct zt_net *net, const struct zt_ep *a)
{
    unsigned free_at = 0;
    for (unsigned i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (zt_ep_equal(&net->addr6[i], a))
            return 0;
        if (net->addr6[i].family == 0 && free_at == 0)
            free_at = i;
    }
    if (free_at == 0)
        return ZT_E_LIMIT;
    set6(net, free_at, a);
    return 0;
}

static int net_open(struct zt_stack *s, const struct zt_net_info *info, struct zt_net **out)
{
    struct zt_net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return ZT_E_NOMEM;
    net->s = s;
    net->nwid = info->nwid;
    net->mac = info->mac;
    net->mtu = NET_MTU_MIN;
    zt_list_init(&net->link);
    zt_list_init(&net->neighs);
    int e = zt_map_put(&s->by_nwid, net->nwid, net);
    if (e != 0)
        goto no_map;
    e = port_open(net, 0);
    if (e != 0)
        goto no_port;
    zt_list_push_back(&s->nets, &net->link);
    struct zt_ep ll = zt_ep_link_local(net->mac);
    set6(net, 0, &ll);
    all_nodes(net, true);
    *out = net;
    return 0;
no_port:
    zt_map_del(&s->by_nwid, net->nwid);
no_map:
    free(net);
    return e;
}

static void remove_net(struct zt_stack *s, struct zt_net *net)
{
    for (unsigned i = NET_IPV4_MAX; i-- > 0;)
        if (net->addr4[i].family != 0)
            clear4(net, i);
    for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (net->addr6[i].family != 0)
            clear6(net, i);
    all_nodes(net, false);
    zt_neigh_forget(net);
    port_close(net, 0);
    zt_list_remove(&net->link);
    zt_map_del(&s->by_nwid, net->nwid);
    s->generation++;
    free(net);
}

void zt_stack_net_remove(struct zt_stack *s, uint64_t nwid)
{
    struct zt_net *net = zt_map_get(&s->by_nwid, nwid);
    if (net != NULL)
        remove_net(s, net);
}

int zt_stack_net_set(struct zt_stack *s, const struct zt_net_info *info)
{
    struct zt_net *net = zt_map_get(&s->by_nwid, info->nwid);
    int e = 0;
    if (net != NULL && net->mac != info->mac) { /* another identity: nothing of it stays true */
        remove_net(s, net);
        net = NULL;
    }
    if (net == NULL) {
        e = net_open(s, info, &net);
        if (e != 0)
            return e;
    }
    s->generation++;
    net->mtu = info->mtu < NET_MTU_MIN   ? NET_MTU_MIN
               : info->mtu > NET_MTU_MAX ? NET_MTU_MAX
                                         : info->mtu;
    net->nroutes = info->nroutes;
    memcpy(net->routes, info->routes, info->nroutes * sizeof net->routes[0]);

    /* Connections of an address that goes are aborted by lwIP; the others do not notice. */
    for (unsigned i = 0; i < NET_IPV4_MAX; i++)
        if (net->addr4[i].family != 0 && !listed(info, &net->addr4[i]))
            clear4(net, i);
    for (unsigned i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (net->addr6[i].family != 0 && !listed(info, &net->addr6[i]))
            clear6(net, i);
    for (unsigned i = 0; i < info->naddrs && e == 0; i++)
        e = info->addrs[i].family == 4 ? add4(net, &info->addrs[i]) : add6(net, &info->addrs[i]);
    for (unsigned i = 0; i < NET_IPV4_MAX; i++)
        if (net->port[i] != NULL)
            net->port[i]->nif.mtu = (u16_t)net->mtu;
    zt_stack_kick(s);
    return e;
}
