/* What is virtual, told to programs: the state page while the node runs, the file `ranges` for
 * those that start when none does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/node_priv.h"

/* A controller that refuses us doesn't take away what it gave: the other members decide whether
 * they still talk to us, and connections survive when the refusal is withdrawn (vl2.md 8.5). */
static bool usable(const struct zt_net_info *i)
{
    return i->has_config && i->port_error == 0;
}

struct range_list {
    struct zt_state_range r[ZT_STATE_RANGES];
    struct zt_state_if ifs[ZT_STATE_IFS];
    unsigned n, nifs, networks, configuring;
};

static void add_range(struct range_list *l, const struct zt_ep *ep, unsigned bits, bool ours,
                      uint32_t metric)
{
    if (l->n >= ZT_STATE_RANGES || ep->family == 0)
        return;
    struct zt_state_range *r = &l->r[l->n++];
    *r = (struct zt_state_range){
        .family = ep->family, .bits = (uint8_t)bits, .ours = ours, .metric = metric};
    memcpy(r->ip, ep->ip, 16);
    /* A prefix without host bits: readers may compare as they like. */
    unsigned total = ep->family == 4 ? 32 : 128;
    for (unsigned b = bits; b < total; b++)
        r->ip[b / 8] &= (uint8_t) ~(0x80u >> (b % 8));
}

static void add_interface(struct zt_node *n, struct range_list *l, const struct zt_net_info *i)
{
    if (l->nifs == ZT_STATE_IFS)
        return;
    struct zt_state_if *f = &l->ifs[l->nifs++];
    *f = (struct zt_state_if){.nwid = i->nwid,
                              .mtu = (uint16_t)(i->mtu < UINT16_MAX ? i->mtu : UINT16_MAX),
                              .index = zt_stack_ifindex(n->stack, i->nwid)};
    for (int b = 0; b < 6; b++)
        f->mac[b] = (uint8_t)(i->mac >> (40 - 8 * b));
}

/* Of the interface added last. */
static void add_addresses(struct range_list *l, const struct zt_net_info *i)
{
    for (unsigned k = 0; k < i->naddrs; k++) {
        unsigned total = i->addrs[k].family == 4 ? 32 : 128, before = l->n;
        add_range(l, &i->addrs[k], total, true, 0);
        if (l->n > before) {
            l->r[before].ours =
                (uint8_t)(1 + (i->addrs[k].port <= total ? i->addrs[k].port : total));
            l->r[before].dev = (uint8_t)(l->nifs - 1);
        }
        if (i->addrs[k].port > 0 && i->addrs[k].port < total)
            add_range(l, &i->addrs[k], i->addrs[k].port, false, 0);
    }
}

static void add_routes(struct range_list *l, const struct zt_net_info *i)
{
    for (unsigned k = 0; k < i->nroutes; k++) {
        const struct zt_route *r = &i->routes[k];
        add_range(l, &r->target, r->target.port, false, r->metric);
    }
}

/* The text of `ranges`: what is virtual, for programs that start when no node runs. */
static char *ranges_text(const struct range_list *l, const char *domains)
{
    size_t cap = (size_t)l->n * ZT_EP_STR + 1, at = 0;
    for (const char *d = domains; *d != 0; d += strlen(d) + 1)
        cap += strlen(d) + sizeof "dns \n";
    char *text = calloc(1, cap);
    for (unsigned i = 0; text != NULL && i < l->n; i++) {
        char ip[ZT_EP_STR];
        struct zt_ep ep = zt_ep_make(l->r[i].family, l->r[i].ip, l->r[i].bits);
        at += (size_t)snprintf(text + at, cap - at, "%s\n", zt_ep_format(&ep, ip));
    }
    for (const char *d = domains; text != NULL && *d != 0; d += strlen(d) + 1)
        at += (size_t)snprintf(text + at, cap - at, "dns %s\n", d);
    return text;
}

void zt_ranges_publish(struct zt_node *n)
{
    struct range_list l = {.configuring = n->restoring};
    void *v;
    for (size_t i = 0; zt_map_next(&n->nets, &i, NULL, &v);) {
        const struct zt_netent *e = v;
        l.networks++;
        if (usable(&e->info) && e->info.naddrs > 0) {
            add_interface(n, &l, &e->info);
            add_addresses(&l, &e->info);
        } else
            l.configuring +=
                e->info.status == ZT_NET_REQUESTING_CONFIGURATION || !e->told || usable(&e->info);
    }
    /* Routes last: there may be more than fit, and our own addresses matter most. */
    for (size_t i = 0; zt_map_next(&n->nets, &i, NULL, &v);) {
        const struct zt_netent *e = v;
        if (usable(&e->info) && e->info.naddrs > 0)
            add_routes(&l, &e->info);
    }
    zt_proxy_set_ifs(n->proxy, l.ifs, l.nifs);
    zt_proxy_set_ranges(n->proxy, l.r, l.n, l.networks, l.configuring, n->online);
    char domains[ZT_STATE_DOMAINS];
    zt_proxy_set_domains(n->proxy, domains, zt_resolve_domains(n, domains, sizeof domains));
    /* While a network is still being configured, the file keeps what the last run knew. */
    if (!n->cfg.door || l.configuring > 0)
        return;
    char *text = ranges_text(&l, domains);
    if (text == NULL || (n->ranges_text != NULL && strcmp(text, n->ranges_text) == 0)) {
        free(text);
        return;
    }
    zt_node_post_job(n, zt_node_job_write, ZT_RANGES_FILE, 0, NULL, text, strlen(text));
    free(n->ranges_text);
    n->ranges_text = text;
}
