/* What the loop does in a turn: core, stack, UDP sockets and proxies put together.
 *
 * The core and lwIP call each other through here, and neither may be entered again from its own
 * callback. The core's side is decoupled: `deliver` copies the frame into `in`, `event` notes what
 * happened, and both are handed on by zt_turn_drain after the core's call has returned. lwIP's side
 * is then free: whatever it answers goes straight into zt_core_frame. A frame that the core
 * delivers from within zt_core_frame (to ourselves, multicast) waits in `in` like any other, so
 * there is no recursion however two nodes talk.
 *
 * `in` is bounded: what a turn can't swallow is dropped like on any full interface, and counted.
 *
 * Order at the end of a turn: proxies (which make segments of what programs wrote), what the core
 * has for us, then UDP, so that everything of a turn leaves in one batch. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "node/default_planet.h"
#include "node/fork.h"
#include "node/netset.h"
#include "node/node_priv.h"
#include "node/secret.h"
#include "wire/netconf.h"

#define FRAMES_MAX (8u << 20)
#define PENDING_MAX 4096
#define MAX_CHECKS 16

/* ---- the host, as the core sees it -------------------------------------------------------------
 */

static void host_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                      const uint8_t *body, size_t nbody, unsigned ttl)
{
    struct zt_node *n = user;
    if (n->udp != NULL)
        zt_udp_send(n->udp, to, head, nhead, body, nbody, ttl);
}

struct frame_head {
    uint64_t nwid;
    size_t n;
};

static size_t padded(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static void host_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t len)
{
    struct zt_node *n = user;
    struct zt_frames *f = &n->in;
    size_t need = sizeof(struct frame_head) + padded(len);
    if (f->cap - f->n < need) {
        size_t cap = f->cap == 0 ? 64u << 10 : f->cap * 2;
        uint8_t *p = cap > FRAMES_MAX ? NULL : realloc(f->p, cap);
        if (p == NULL || cap - f->n < need) {
            n->in_dropped++;
            if (p != NULL) {
                f->p = p;
                f->cap = cap;
            }
            return;
        }
        f->p = p;
        f->cap = cap;
    }
    struct frame_head h = {.nwid = nwid, .n = len};
    memcpy(f->p + f->n, &h, sizeof h);
    memcpy(f->p + f->n + sizeof h, eth, len);
    f->n += need;
}

/* Packet ids and nonces need a few bytes at a time: read the kernel's in larger pieces, and erase
 * what was handed out. */
static void host_random(void *user, void *out, size_t len)
{
    struct zt_node *n = user;
    uint8_t *p = out;
    while (len > 0) {
        if (n->pool_left == 0) {
            ssize_t r = getrandom(n->pool, sizeof n->pool, 0);
            if (r != (ssize_t)sizeof n->pool) {
                if (r >= 0 || errno == EINTR)
                    continue;
                abort();
            }
            n->pool_left = sizeof n->pool;
        }
        size_t k = len < n->pool_left ? len : n->pool_left;
        uint8_t *from = n->pool + sizeof n->pool - n->pool_left;
        memcpy(p, from, k);
        memset(from, 0, k);
        n->pool_left -= (unsigned)k;
        p += k;
        len -= k;
    }
}

static void host_event(void *user, const struct zt_event *ev)
{
    struct zt_node *n = user;
    /* The newest of the same kind and object is enough: the state is asked for when it is handled.
     */
    for (size_t i = 0; i < n->npending && i < 8; i++) {
        struct zt_event *old = &n->pending[n->npending - 1 - i];
        if (old->kind == ev->kind && old->id == ev->id)
            return;
    }
    if (n->npending == n->cap_pending) {
        size_t cap = n->cap_pending == 0 ? 64 : n->cap_pending * 2;
        if (cap > PENDING_MAX && (ev->kind == ZT_EVENT_PEER || ev->kind == ZT_EVENT_REROUTED))
            return; /* strangers can make many of these */
        struct zt_event *p = realloc(n->pending, cap * sizeof *p);
        if (p == NULL)
            return;
        n->pending = p;
        n->cap_pending = cap;
    }
    n->pending[n->npending++] = *ev;
}

static void save_network(struct zt_node *n, uint64_t id, const uint8_t *p, size_t len)
{
    char name[64];
    if (!n->cfg.cache_networks)
        return;
    snprintf(name, sizeof name, "networks.d/%016llx.conf", (unsigned long long)id);
    /* A joined network keeps a file even without a configuration: it says "join at start". */
    if (len == 0)
        zt_node_post_job(n, zt_node_job_write, name, ZT_STORE_PRIVATE, NULL, "\n", 1);
    else
        zt_node_post_job(n, zt_node_job_write, name, ZT_STORE_PRIVATE | ZT_STORE_DURABLE, NULL, p,
                         len);
}

static void host_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t len)
{
    struct zt_node *n = user;
    char name[64];
    unsigned flags = 0;
    switch (what) {
    case ZT_OBJECT_NETWORK:
        save_network(n, id, p, len);
        return;
    case ZT_OBJECT_PLANET:
        if (n->cfg.no_planet_file)
            return;
        snprintf(name, sizeof name, "planet");
        flags = ZT_STORE_DURABLE;
        break;
    case ZT_OBJECT_MOON:
        snprintf(name, sizeof name, "moons.d/%016llx.moon", (unsigned long long)id);
        flags = ZT_STORE_DURABLE;
        break;
    case ZT_OBJECT_PEER:
        if (!n->cfg.cache_peers)
            return;
        snprintf(name, sizeof name, "peers.d/%010llx.peer", (unsigned long long)id);
        break;
    default:
        return;
    }
    zt_node_post_job(n, len == 0 ? zt_node_job_remove : zt_node_job_write, name, flags, NULL, p,
                     len);
}

struct checked {
    struct zt_node *n;
    struct zt_identity id;
    bool valid;
};

static void checked_on_loop(void *arg)
{
    struct checked *c = arg;
    struct zt_node *n = c->n;
    if (n->core != NULL) {
        zt_core_identity_checked(n->core, zt_loop_now(n->loop), &c->id, c->valid);
        zt_turn_drain(n);
    }
    free(c);
}

static void check_job(struct zt_node *n, struct zt_job *j)
{
    struct checked *c = calloc(1, sizeof *c);
    pthread_mutex_lock(&n->lock);
    n->checks--;
    /* The keeper itself ends the loop, so outside of STOPPING it is there. */
    struct zt_loop *l = n->state == ZT_NODE_RUNNING ? n->loop : NULL;
    pthread_mutex_unlock(&n->lock);
    if (c == NULL || l == NULL) {
        free(c);
        return;
    }
    c->n = n;
    memcpy(&c->id, j->data, sizeof c->id);
    c->valid = zt_identity_validate(&c->id);
    if (zt_loop_post(l, checked_on_loop, c) != 0)
        free(c);
}

static bool host_check_identity(void *user, const struct zt_identity *id)
{
    struct zt_node *n = user;
    pthread_mutex_lock(&n->lock);
    bool ok = n->checks < MAX_CHECKS;
    n->checks += ok;
    pthread_mutex_unlock(&n->lock);
    if (ok)
        zt_node_post_job(n, check_job, "", 0, NULL, id, sizeof *id);
    return ok;
}

/* ---- the host, as the stack sees it ------------------------------------------------------------
 */

static int stack_frame(void *user, uint64_t nwid, uint8_t *eth, size_t len)
{
    struct zt_node *n = user;
    return zt_core_frame(n->core, zt_loop_now(n->loop), nwid, eth, len);
}

static void stack_subscribe(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
    struct zt_node *n = user;
    if (add)
        (void)zt_core_subscribe(n->core, zt_loop_now(n->loop), nwid, mac, adi);
    else
        (void)zt_core_unsubscribe(n->core, nwid, mac, adi);
}

static void stack_unreachable(void *user, const uint8_t *ip, size_t len)
{
    struct zt_node *n = user;
    if (n->proxy != NULL)
        zt_proxy_unreachable(n->proxy, ip, len, EHOSTUNREACH);
}

/* ---- networks ----------------------------------------------------------------------------------
 */

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
            l->r[before].ours = (uint8_t)(1 + (i->addrs[k].port <= total ? i->addrs[k].port : total));
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

static void publish_ranges(struct zt_node *n)
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

static void network_gone(struct zt_node *n, uint64_t nwid)
{
    struct zt_netent *e = zt_map_del(&n->nets, nwid);
    if (e == NULL)
        return;
    if (e->in_stack)
        zt_stack_net_remove(n->stack, nwid);
    if (n->proxy != NULL)
        zt_proxy_l2_gone(n->proxy, nwid);
    zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_NETWORK_GONE, .net_was = &e->info});
    free(e);
}

/* What is in use of the configuration, as bytes that can be compared. */
static int network_used(struct zt_node *n, const struct zt_netent *e, uint64_t nwid,
                        struct zt_net_info *out)
{
    memset(out, 0, sizeof *out);
    int rc = zt_core_network(n->core, nwid, out);
    if (rc != 0)
        return rc;
    zt_netset_apply(&e->settings, out);
    zt_netset_limit(ZT_STACK_ADDRS, out);
    out->port_error = e->port_error;
    if (e->port_error != 0)
        out->status = ZT_NET_PORT_ERROR;
    return 0;
}

static void set_in_stack(struct zt_node *n, struct zt_netent *e, struct zt_net_info *now)
{
    e->port_error = now->has_config ? zt_stack_net_set(n->stack, now) : 0;
    if (now->has_config && e->port_error == 0) {
        e->in_stack = true;
    } else if (e->in_stack) {
        zt_stack_net_remove(n->stack, e->info.nwid);
        e->in_stack = false;
    }
    now->port_error = e->port_error;
    if (e->port_error != 0)
        now->status = ZT_NET_PORT_ERROR;
}

static void network_changed(struct zt_node *n, uint64_t nwid)
{
    struct zt_net_info now, was;
    struct zt_netent *e = zt_map_get(&n->nets, nwid);
    if (e == NULL)
        return;
    e->port_error = 0;
    if (network_used(n, e, nwid, &now) != 0)
        return;
    set_in_stack(n, e, &now);
    size_t size = zt_net_info_size(&now);
    if (e->told && memcmp(&e->info, &now, size) == 0)
        return;
    memcpy(&was, &e->info, zt_net_info_size(&e->info));
    bool first = !e->told;
    memcpy(&e->info, &now, size);
    e->told = true;
    publish_ranges(n);
    zt_node_note(n, (struct zt_node_note){
                        .what = ZT_NODE_NETWORK, .net_was = first ? NULL : &was, .net = &e->info});
}

/* An interface has become free: for networks that got none. */
static void retry_interfaces(struct zt_node *n)
{
    uint64_t nwid;
    void *value;
    for (size_t i = 0; zt_map_next(&n->nets, &i, &nwid, &value);)
        if (((const struct zt_netent *)value)->port_error != 0)
            network_changed(n, nwid);
}

int zt_turn_network(struct zt_node *n, uint64_t nwid, struct zt_net_info *out)
{
    const struct zt_netent *e = zt_map_get(&n->nets, nwid);
    int rc = e == NULL ? ZT_E_NOENT : zt_core_network(n->core, nwid, out);
    if (rc == 0 && e->port_error != 0) {
        out->port_error = e->port_error;
        out->status = ZT_NET_PORT_ERROR;
    }
    return rc;
}

int zt_turn_network_used(struct zt_node *n, uint64_t nwid, struct zt_net_info *out)
{
    const struct zt_netent *e = zt_map_get(&n->nets, nwid);
    return e == NULL ? ZT_E_NOENT : network_used(n, e, nwid, out);
}

int zt_turn_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out)
{
    const struct zt_netent *e = zt_map_get(&n->nets, nwid);
    if (e == NULL)
        return ZT_E_NOENT;
    *out = e->settings;
    return 0;
}

int zt_turn_set(struct zt_node *n, uint64_t nwid, const struct zt_net_settings *settings)
{
    struct zt_netent *e = zt_map_get(&n->nets, nwid);
    char name[64], text[ZT_NETSET_TEXT];
    if (e == NULL)
        return ZT_E_NOENT;
    e->settings = *settings;
    if (n->cfg.cache_networks) {
        size_t len = zt_netset_write(settings, text);
        snprintf(name, sizeof name, "networks.d/%016llx.local.conf", (unsigned long long)nwid);
        zt_node_post_job(n, zt_node_job_write, name, ZT_STORE_DURABLE, NULL, text, len);
    }
    zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    network_changed(n, nwid);
    publish_ranges(n); /* allowDNS changes no address, but whose names are answered */
    zt_loop_touch(n->loop);
    return 0;
}

/* What was chosen in an earlier run, else the defaults. */
static void load_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out)
{
    zt_netset_default(out);
    ZT_LIST_EACH(it, &n->files_netset)
    {
        const struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        if (f->id == nwid)
            zt_netset_read(f->p, f->n, out);
    }
}

static int join(struct zt_node *n, uint64_t nwid, const uint8_t *cached, size_t ncached)
{
    struct zt_netent *e = zt_map_get(&n->nets, nwid);
    if (e != NULL)
        return 0;
    e = calloc(1, sizeof *e);
    if (e == NULL)
        return ZT_E_NOMEM;
    e->info.nwid = nwid;
    load_settings(n, nwid, &e->settings);
    int rc = zt_map_put(&n->nets, nwid, e);
    if (rc == 0)
        rc = zt_core_join(n->core, zt_loop_now(n->loop), nwid, cached, ncached);
    if (rc != 0) {
        (void)zt_map_del(&n->nets, nwid);
        free(e);
        return rc;
    }
    /* Told by an event normally; asked for here, so that REQUESTING_CONFIGURATION is always first.
     */
    network_changed(n, nwid);
    return 0;
}

int zt_turn_join(struct zt_node *n, uint64_t nwid)
{
    if (nwid == 0)
        return ZT_E_INVAL;
    bool is_new = zt_map_get(&n->nets, nwid) == NULL;
    int rc = join(n, nwid, NULL, 0);
    if (rc == 0 && is_new) {
        char name[64];
        snprintf(name, sizeof name, "networks.d/%016llx.conf", (unsigned long long)nwid);
        if (n->cfg.cache_networks)
            zt_node_post_job(n, zt_node_job_write, name, ZT_STORE_PRIVATE | ZT_STORE_DURABLE, NULL,
                             "\n", 1);
        publish_ranges(n);
    }
    zt_loop_touch(n->loop);
    return rc;
}

int zt_turn_leave(struct zt_node *n, uint64_t nwid)
{
    if (nwid == 0)
        return ZT_E_INVAL;
    if (zt_map_get(&n->nets, nwid) == NULL)
        return ZT_E_NOENT;
    char name[64];
    zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    network_gone(n, nwid);
    int rc = zt_core_leave(n->core, zt_loop_now(n->loop), nwid);
    retry_interfaces(n);
    if (n->cfg.cache_networks) {
        snprintf(name, sizeof name, "networks.d/%016llx.conf", (unsigned long long)nwid);
        zt_node_post_job(n, zt_node_job_remove, name, 0, NULL, NULL, 0);
        snprintf(name, sizeof name, "networks.d/%016llx.local.conf", (unsigned long long)nwid);
        zt_node_post_job(n, zt_node_job_remove, name, 0, NULL, NULL, 0);
    }
    publish_ranges(n);
    zt_loop_touch(n->loop);
    return rc;
}

/* ---- what the core produced --------------------------------------------------------------------
 */

static void peer_changed(struct zt_node *n, uint64_t addr)
{
    if (n->cfg.events == NULL)
        return;
    struct zt_peer_info *was = zt_map_get(&n->peers, addr);
    struct zt_peer_info *now = calloc(1, sizeof *now);
    if (now == NULL)
        return;
    bool known = zt_core_peer(n->core, zt_loop_now(n->loop), addr, now) == 0;
    if (!known && was != NULL) { /* silent for so long that the core forgot it */
        *now = *was;
        now->is_alive = false;
        now->npaths = 0;
    }
    if (known || was != NULL)
        zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_PEER, .peer_was = was, .peer = now});
    if (!known) {
        free(zt_map_del(&n->peers, addr));
        free(now);
    } else if (zt_map_put(&n->peers, addr, now) != 0) {
        free(now);
    } else {
        free(was);
    }
}

static void handle_event(struct zt_node *n, const struct zt_event *ev)
{
    switch (ev->kind) {
    case ZT_EVENT_ONLINE:
    case ZT_EVENT_OFFLINE:
        n->online = ev->kind == ZT_EVENT_ONLINE;
        publish_ranges(n);
        zt_node_note(n,
                     (struct zt_node_note){.what = n->online ? ZT_NODE_ONLINE : ZT_NODE_OFFLINE});
        break;
    case ZT_EVENT_COLLISION:
        zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_COLLISION});
        zt_node_collided(n);
        break;
    case ZT_EVENT_PEER:
        peer_changed(n, ev->id);
        break;
    case ZT_EVENT_REROUTED:
        zt_stack_rerouted(n->stack, ev->id);
        break;
    case ZT_EVENT_NETWORK:
        network_changed(n, ev->id);
        break;
    case ZT_EVENT_PLANET:
    case ZT_EVENT_MOON:
        break; /* saved already; the core follows it by itself */
    }
}

static void drain_frames(struct zt_node *n)
{
    /* What lwIP's answers put into `in` while we read must not move what we read. */
    struct zt_frames f = n->in;
    n->in = n->in_spare;
    n->in.n = 0;
    for (size_t at = 0; at < f.n;) {
        struct frame_head h;
        memcpy(&h, f.p + at, sizeof h);
        zt_proxy_l2_input(n->proxy, h.nwid, f.p + at + sizeof h, h.n);
        zt_stack_input(n->stack, h.nwid, f.p + at + sizeof h, h.n);
        at += sizeof h + padded(h.n);
    }
    n->in_spare = f;
}

static void drain_events(struct zt_node *n)
{
    for (size_t i = 0; i < n->npending; i++) { /* may grow while we walk */
        struct zt_event ev = n->pending[i];
        handle_event(n, &ev);
    }
    n->npending = 0;
}

void zt_turn_drain(struct zt_node *n)
{
    if (n->draining || n->stack == NULL)
        return;
    n->draining = true;
    if (n->in.n > 0)
        zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    /* Two networks of ours that talk to each other could keep this going: leave the rest to the
     * next turn. */
    for (unsigned rounds = 0; rounds < 16 && (n->in.n > 0 || n->npending > 0); rounds++) {
        if (n->npending > 0)
            drain_events(n);
        if (n->in.n > 0)
            drain_frames(n);
    }
    n->draining = false;
    if (n->in.n > 0 || n->npending > 0)
        zt_loop_touch(n->loop);
}

/* ---- hooks of the loop -------------------------------------------------------------------------
 */

static void on_datagram(void *user, const struct zt_link *in, uint8_t *p, size_t len)
{
    struct zt_node *n = user;
    if (n->core == NULL)
        return;
    zt_core_datagram(n->core, zt_loop_now(n->loop), in, p, len);
    if (n->in.n > 0 || n->npending > 0)
        zt_turn_drain(n);
}

void zt_turn_due(void *user, const struct zt_now *now)
{
    struct zt_node *n = user;
    zt_core_tick(n->core, now);
    zt_turn_drain(n);
    zt_stack_tick(n->stack, now->mono_ms);
    zt_ping_due(n, now->mono_ms);
    if (n->controller != NULL)
        zt_ctl_db_due(n->controller, now->mono_ms);
    zt_underlay_due(n, now);
    zt_turn_drain(n);
}

/* ztd leaves by itself when for a while nobody used it. Returns when to look again. */
static int64_t watch_idle(struct zt_node *n, int64_t mono_ms)
{
    if (n->cfg.idle_exit_s <= 0 || n->sticky)
        return ZT_NEVER;
    struct zt_proxy_counts c;
    zt_proxy_counts(n->proxy, &c);
    bool busy =
        c.tcp + c.listeners + c.udp > 0 || (n->door != NULL && zt_door_clients(n->door) > 0);
    if (busy) {
        n->idle_since = mono_ms;
        return ZT_NEVER; /* the turn in which the last one goes looks again */
    }
    int64_t end = n->idle_since + (int64_t)n->cfg.idle_exit_s * 1000;
    if (mono_ms >= end) {
        zt_node_warn(n, "not used any more: ending");
        (void)zt_node_stop(n);
        return ZT_NEVER;
    }
    return end;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t zt_turn_flush(void *user, const struct zt_now *now)
{
    struct zt_node *n = user;
    zt_proxy_flush(n->proxy);
    zt_turn_drain(n);
    zt_stack_flush(n->stack);
    zt_udp_flush(n->udp);
    int64_t next = least(zt_core_deadline(n->core), zt_stack_deadline(n->stack));
    next = least(next, zt_ping_deadline(n));
    if (n->controller != NULL)
        next = least(next, zt_ctl_db_deadline(n->controller));
    next = least(next, watch_idle(n, now->mono_ms));
    return least(next, zt_underlay_deadline(n));
}

/* ---- building and taking apart -----------------------------------------------------------------
 */

static int make_core(struct zt_node *n)
{
    n->host = (struct zt_host){.user = n,
                               .send = host_send,
                               .deliver = host_deliver,
                               .random = host_random,
                               .save = host_save,
                               .event = host_event,
                               .check_identity = host_check_identity};
    struct zt_core_config cc = {
        .identity = &n->identity, .host = &n->host, .planet = n->planet, .nplanet = n->nplanet};
    const struct zt_now *now = zt_loop_now(n->loop);
    if (cc.planet == NULL && zt_default_planet_size > 0) {
        cc.planet = zt_default_planet;
        cc.nplanet = zt_default_planet_size;
    }
    if (cc.planet == NULL)
        zt_node_warn(n, "no planet file in the home: no root servers, nobody can be reached");
    int rc = zt_core_new(&cc, now, &n->core);
    if (rc == ZT_E_FORMAT && n->planet != NULL) {
        /* Without roots the node finds nobody, and says so; a wrong planet must not be overwritten.
         */
        zt_node_post_job(n, zt_node_job_aside, "planet", 0, "damaged planet", NULL, 0);
        cc.planet = NULL;
        cc.nplanet = 0;
        rc = zt_core_new(&cc, now, &n->core);
    }
    if (rc == 0) {
        zt_secret_keep(zt_core_identity(n->core), sizeof(struct zt_identity));
        zt_core_configure(n->core, now, &n->conf.core);
    } else {
        snprintf(n->why, sizeof n->why, "protocol core: %s", zt_err_text(rc));
    }
    return rc;
}

static int make_stack(struct zt_node *n)
{
    struct zt_stack_host sh = {
        .user = n, .frame = stack_frame, .subscribe = stack_subscribe, .random = host_random,
        .unreachable = stack_unreachable};
    int rc = zt_stack_new(&sh, zt_loop_now(n->loop)->mono_ms, &n->stack);
    if (rc != 0)
        snprintf(n->why, sizeof n->why, "network stack: %s", zt_err_text(rc));
    return rc;
}

static void on_command(void *user, const char *text, struct zt_door_reply *to);

static int make_proxy(struct zt_node *n)
{
    char *state = NULL;
    if (n->cfg.door && asprintf(&state, "%s/%s", n->home, ZT_STATE_FILE) < 0)
        return ZT_E_NOMEM;
    struct zt_proxy_config pc = {.loop = n->loop,
                                 .stack = n->stack,
                                 .state_path = state,
                                 .random = host_random,
                                 .frame = stack_frame,
                                 .user = n,
                                 .memory_budget = n->conf.memory_budget};
    int rc = zt_proxy_new(&pc, &n->proxy);
    if (rc != 0)
        snprintf(n->why, sizeof n->why, "virtual sockets: %s", zt_err_text(rc));
    free(state);
    return rc;
}

static int make_door(struct zt_node *n)
{
    if (!n->cfg.door)
        return 0;
    struct zt_door_config dc = {.loop = n->loop,
                                .proxy = n->proxy,
                                .home = n->home,
                                .command = on_command,
                                .user = n,
                                .allow_uids = n->conf.users,
                                .nallow = n->conf.nusers};
    int rc = zt_door_new(&dc, &n->door);
    if (rc != 0)
        snprintf(n->why, sizeof n->why, "%s/%s: %s", n->home, ZT_CTL_SOCKET, zt_err_text(rc));
    return rc;
}

/* A file that can't be read as a configuration is kept for people to look at; the network is joined
 * all the same. */
static bool readable_config(const struct zt_file *f)
{
    struct zt_netconf *cfg = malloc(sizeof *cfg);
    uint8_t *arena = malloc(f->n + 1);
    bool ok = cfg != NULL && arena != NULL && f->n < ZT_NETCONF_MAX &&
              zt_netconf_decode(f->p, f->n, arena, cfg) == 0 && cfg->nwid == f->id;
    free(cfg);
    free(arena);
    return ok;
}

static void restore(struct zt_node *n)
{
    ZT_LIST_EACH(it, &n->files_peers)
    {
        struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        if (zt_core_restore_peer(n->core, zt_loop_now(n->loop), f->p, f->n) == ZT_E_FORMAT)
            zt_node_post_job(n, zt_node_job_aside, f->name, 0, "damaged peer file", NULL, 0);
    }
    ZT_LIST_EACH(it, &n->files_moons)
    {
        struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        int rc = zt_core_load_moon(n->core, zt_loop_now(n->loop), f->id, f->p, f->n);
        if (rc == ZT_E_FORMAT)
            zt_node_post_job(n, zt_node_job_aside, f->name, 0, "damaged moon", NULL, 0);
        else if (rc != 0)
            zt_node_warn(n, "a moon of moons.d is not used: there are too many");
    }
    ZT_LIST_EACH(it, &n->files_networks)
    {
        struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        bool has_config = f->n > 1;
        if (has_config && !readable_config(f)) {
            zt_node_post_job(n, zt_node_job_aside, f->name, 0, "damaged network file", NULL, 0);
            has_config = false;
        }
        if (f->id != 0)
            (void)join(n, f->id, has_config ? f->p : NULL, has_config ? f->n : 0);
    }
    for (size_t i = 0; i < n->cfg.nnetworks; i++)
        (void)zt_turn_join(n, n->cfg.networks[i]);
}

int zt_turn_init(void *user, struct zt_loop *l)
{
    struct zt_node *n = user;
    uint64_t seed[2];
    n->loop = l;
    zt_fork_watch(l);
    n->online = false;
    n->port = 0;
    host_random(n, seed, sizeof seed);
    zt_map_init(&n->nets, seed[0]);
    zt_map_init(&n->peers, seed[1]);
    n->idle_since = zt_loop_now(l)->mono_ms;
    int rc = make_core(n);
    if (rc == 0 && n->controller != NULL)
        rc = zt_ctl_db_start(n->controller);
    if (rc == 0)
        rc = zt_underlay_open(n, on_datagram);
    if (rc == 0)
        rc = make_stack(n);
    if (rc == 0)
        rc = make_proxy(n);
    if (rc == 0)
        rc = make_door(n);
    if (rc != 0) {
        zt_turn_fini(n);
        return rc;
    }
    pthread_mutex_lock(&n->lock);
    n->state = ZT_NODE_RUNNING;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_UP});
    zt_underlay_announce(n);
    n->restoring = true;
    restore(n);
    n->restoring = false;
    publish_ranges(n);
    zt_core_tick(n->core, zt_loop_now(l));
    zt_turn_drain(n);
    zt_loop_touch(l);
    return 0;
}

void zt_turn_fini(void *user)
{
    struct zt_node *n = user;
    zt_ping_end_all(n);
    zt_resolve_end_all(n);
    zt_reload_end_all(n);
    if (n->controller != NULL)
        zt_ctl_db_end(n->controller);
    /* Programs first: their sockets end with a reset while there is still a way out. */
    if (n->proxy != NULL)
        zt_proxy_free(n->proxy);
    n->proxy = NULL;
    uint64_t nwid;
    for (size_t i = 0; zt_map_next(&n->nets, &i, &nwid, NULL); i = 0)
        network_gone(n, nwid);
    if (n->core != NULL && n->cfg.cache_peers)
        zt_core_save_peers(n->core);
    zt_underlay_close(n);
    zt_watch_end(n);
    if (n->door != NULL)
        zt_door_free(n->door);
    n->door = NULL;
    zt_stack_free(n->stack);
    n->stack = NULL;
    if (n->core != NULL)
        zt_secret_release(zt_core_identity(n->core), sizeof(struct zt_identity));
    zt_core_free(n->core);
    n->core = NULL;
    void *v;
    for (size_t i = 0; zt_map_next(&n->peers, &i, NULL, &v);)
        free(v);
    zt_map_fini(&n->peers);
    zt_map_fini(&n->nets);
    free(n->in.p);
    free(n->in_spare.p);
    n->in = n->in_spare = (struct zt_frames){0};
    free(n->pending);
    n->pending = NULL;
    n->npending = n->cap_pending = 0;
    free(n->ranges_text);
    n->ranges_text = NULL;
    zt_wipe(n->pool, sizeof n->pool);
    n->pool_left = 0;
    zt_fork_unwatch(n->loop);
}

/* ---- commands through the door -----------------------------------------------------------------
 */

static void reply_door(void *arg, int err, const char *text, size_t len)
{
    zt_door_reply(arg, err, text, len);
}

static void on_command(void *user, const char *text, struct zt_door_reply *to)
{
    if (strcmp(text, "watch") == 0)
        zt_watch_start(user, to); /* more than one answer: not for every caller of commands */
    else
        zt_command_run(user, text, reply_door, to);
}
