/* From the node's notes to the application's events (api.md 5.1, 7). A note carries an object
 * before and after; the events are the difference, in the order that programs rely on: addresses
 * before UPDATE before READY before OK. Runs on the event thread; the details live in this file
 * until the callback has returned. */
#include <string.h>

#include "api/zts_priv.h"

static _Atomic zts_callback_fn callback;
static void (*_Atomic handler)(void *);

void zts_set_callback(zts_callback_fn fn, void (*h)(void *))
{
    atomic_store(&callback, fn);
    atomic_store(&handler, h);
}

static void emit(struct zts_callback_msg msg, int code)
{
    zts_callback_fn fn = atomic_load(&callback);
    void (*h)(void *) = atomic_load(&handler);
    msg.eventCode = code;
    if (fn != NULL)
        fn(&msg);
    if (h != NULL && msg.peer == NULL)
        zts_emit18(h, &(struct zts_event18){.code = code,
                                            .node = msg.node,
                                            .network = msg.network,
                                            .netif = msg.netif,
                                            .route = msg.route,
                                            .addr = msg.addr});
}

/* ---- node
 * ------------------------------------------------------------------------------------------- */

static void emit_node(const struct zt_node_note *note, int code)
{
    struct zts_node_details d;
    const uint16_t ports[3] = {note->port, note->port2, note->port3};
    zts_fill_node(note->addr, ports, &d);
    emit((struct zts_callback_msg){.node = &d}, code);
}

/* ---- network
 * ---------------------------------------------------------------------------------------- */

/* Too large for a thread's stack taste, and there is one event thread. */
static struct zts_network_details network_details;

static void emit_network(const struct zt_net_info *n, int code)
{
    zts_fill_network(n, &network_details);
    emit((struct zts_callback_msg){.network = &network_details}, code);
}

static void emit_netif(const struct zt_net_info *n, int code)
{
    struct zts_netif_details d = {.nwid = n->nwid};
    if (code != ZTS_EVENT_NETIF_REMOVED) {
        d.mac = n->mac;
        d.mtu = (int)n->mtu;
    }
    emit((struct zts_callback_msg){.netif = &d}, code);
}

static bool has_addr(const struct zt_net_info *n, const struct zt_ep *ep)
{
    for (unsigned i = 0; i < n->naddrs; i++)
        if (zt_ep_equal(&n->addrs[i], ep))
            return true;
    return false;
}

static bool has_family(const struct zt_net_info *n, uint8_t family)
{
    for (unsigned i = 0; i < n->naddrs; i++)
        if (n->addrs[i].family == family)
            return true;
    return false;
}

static bool same_route(const struct zt_route *a, const struct zt_route *b)
{
    return zt_ep_equal(&a->target, &b->target) && zt_ep_equal(&a->via, &b->via) &&
           a->flags == b->flags && a->metric == b->metric;
}

static bool has_route(const struct zt_net_info *n, const struct zt_route *r)
{
    for (unsigned i = 0; i < n->nroutes; i++)
        if (same_route(&n->routes[i], r))
            return true;
    return false;
}

/* What `a` has and `b` has not. */
static void emit_missing(const struct zt_net_info *a, const struct zt_net_info *b, bool added)
{
    static const int codes[2][2] = {
        {ZTS_EVENT_ADDR_REMOVED_IP4, ZTS_EVENT_ADDR_REMOVED_IP6},
        {ZTS_EVENT_ADDR_ADDED_IP4, ZTS_EVENT_ADDR_ADDED_IP6},
    };
    for (unsigned i = 0; i < a->naddrs; i++) {
        struct zts_addr_details d = {.nwid = a->nwid};
        if (has_addr(b, &a->addrs[i]))
            continue;
        zts_storage_from_ep(&a->addrs[i], &d.addr);
        emit((struct zts_callback_msg){.addr = &d}, codes[added][a->addrs[i].family == 6]);
    }
    for (unsigned i = 0; i < a->nroutes; i++) {
        struct zts_virtual_network_route r;
        if (has_route(b, &a->routes[i]))
            continue;
        zts_fill_route(&a->routes[i], &r);
        emit((struct zts_callback_msg){.route = &r},
             added ? ZTS_EVENT_ROUTE_ADDED : ZTS_EVENT_ROUTE_REMOVED);
    }
}

static const struct zt_net_info nothing;

/* The interface stays while the controller refuses a configured network (node/ranges.c). */
static bool is_up(const struct zt_net_info *n)
{
    return n->has_config && n->status != ZT_NET_PORT_ERROR;
}

static void network_up(const struct zt_net_info *was, const struct zt_net_info *now)
{
    bool fresh = !is_up(was);
    bool had4 = !fresh && has_family(was, 4), had6 = !fresh && has_family(was, 6);
    if (fresh) {
        emit_netif(now, ZTS_EVENT_NETIF_UP);
        emit_netif(now, ZTS_EVENT_NETIF_LINK_UP);
    } else {
        emit_missing(was, now, false);
    }
    emit_missing(now, fresh ? &nothing : was, true);
    emit_network(now, ZTS_EVENT_NETWORK_UPDATE);
    bool new4 = !had4 && has_family(now, 4), new6 = !had6 && has_family(now, 6);
    if (new4)
        emit_network(now, ZTS_EVENT_NETWORK_READY_IP4);
    if (new6)
        emit_network(now, ZTS_EVENT_NETWORK_READY_IP6);
    if ((new4 || new6) && has_family(now, 4) && has_family(now, 6))
        emit_network(now, ZTS_EVENT_NETWORK_READY_IP4_IP6);
}

static void interface_down(const struct zt_net_info *was)
{
    emit_missing(was, &nothing, false);
    emit_netif(was, ZTS_EVENT_NETIF_LINK_DOWN);
    emit_netif(was, ZTS_EVENT_NETIF_DOWN);
}

static void network_changed(const struct zt_net_info *was, const struct zt_net_info *now)
{
    bool first = was == NULL;
    if (first) {
        /* Also when the answer was there at once, as on a network without a controller. */
        static struct zt_net_info asking; /* there is one event thread */
        memcpy(&asking, now, zt_net_info_size(now));
        asking.status = ZT_NET_REQUESTING_CONFIGURATION;
        emit_network(&asking, ZTS_EVENT_NETWORK_REQ_CONFIG);
        was = &nothing;
    }
    if (is_up(now))
        network_up(was, now);
    else if (is_up(was))
        interface_down(was);
    if (was->status == now->status)
        return;
    switch (now->status) {
    case ZT_NET_OK:
        emit_network(now, ZTS_EVENT_NETWORK_OK);
        break;
    case ZT_NET_REQUESTING_CONFIGURATION:
        emit_network(now, ZTS_EVENT_NETWORK_REQ_CONFIG);
        break;
    case ZT_NET_NOT_FOUND:
        emit_network(now, ZTS_EVENT_NETWORK_NOT_FOUND);
        break;
    case ZT_NET_CLIENT_TOO_OLD:
        emit_network(now, ZTS_EVENT_NETWORK_CLIENT_TOO_OLD);
        break;
    case ZT_NET_ACCESS_DENIED:
    case ZT_NET_AUTHENTICATION_REQUIRED:
        emit_network(now, ZTS_EVENT_NETWORK_ACCESS_DENIED);
        break;
    case ZT_NET_PORT_ERROR:
        emit_network(now, ZTS_EVENT_NETWORK_UPDATE);
        break;
    }
}

static void network_gone(const struct zt_net_info *was)
{
    if (is_up(was)) {
        interface_down(was);
        emit_netif(was, ZTS_EVENT_NETIF_REMOVED);
    }
    emit_network(was, ZTS_EVENT_NETWORK_DOWN);
}

/* ---- peers
 * ------------------------------------------------------------------------------------------ */

static unsigned live_paths(const struct zt_peer_info *p)
{
    unsigned n = 0;
    for (unsigned i = 0; p != NULL && i < p->npaths; i++)
        n += !p->paths[i].expired;
    return n;
}

static void emit_peer(const struct zt_peer_info *p, int code)
{
    struct zts_peer_details d;
    zts_fill_peer(p, &d);
    emit((struct zts_callback_msg){.peer = &d}, code);
    void (*h)(void *) = atomic_load(&handler);
    if (h != NULL)
        zts_emit18(h, &(struct zts_event18){
                          .code = code, .peer = p, .wall_shift_ms = zts_wall_shift_ms()});
}

static void peer_changed(const struct zt_peer_info *was, const struct zt_peer_info *now)
{
    unsigned a = live_paths(was), b = live_paths(now);
    if (was == NULL)
        emit_peer(now, ZTS_EVENT_PEER_RELAY); /* first contact: nothing direct is known yet */
    if (b > a)
        emit_peer(now, ZTS_EVENT_PEER_PATH_DISCOVERED);
    if (b < a)
        emit_peer(now, ZTS_EVENT_PEER_PATH_DEAD);
    if (a == 0 && b > 0)
        emit_peer(now, ZTS_EVENT_PEER_DIRECT);
    /* A path that has not expired yet may still work, however long nothing was heard. */
    bool could = was != NULL && (was->is_alive || a > 0), can = now->is_alive || b > 0;
    if (a > 0 && b == 0 && can)
        emit_peer(now, ZTS_EVENT_PEER_RELAY);
    if (could && !can)
        emit_peer(now, ZTS_EVENT_PEER_UNREACHABLE);
    if (was != NULL && !could && can && b == 0)
        emit_peer(now, ZTS_EVENT_PEER_RELAY);
}

/* ---- all of it
 * -------------------------------------------------------------------------------------- */

void zts_deliver_note(void *user, const struct zt_node_note *note)
{
    zts_saw_note(note);
    switch (note->what) {
    case ZT_NODE_STACK_UP:
        emit((struct zts_callback_msg){0}, ZTS_EVENT_STACK_UP);
        break;
    case ZT_NODE_STACK_DOWN:
        emit((struct zts_callback_msg){0}, ZTS_EVENT_STACK_DOWN);
        break;
    case ZT_NODE_UP:
        emit_node(note, ZTS_EVENT_NODE_UP);
        break;
    case ZT_NODE_ONLINE:
        emit_node(note, ZTS_EVENT_NODE_ONLINE);
        break;
    case ZT_NODE_OFFLINE:
        emit_node(note, ZTS_EVENT_NODE_OFFLINE);
        break;
    case ZT_NODE_DOWN:
        emit_node(note, ZTS_EVENT_NODE_DOWN);
        break;
    case ZT_NODE_COLLISION:
        emit_node(note, ZTS_EVENT_NODE_IDENTITY_COLLISION);
        break;
    case ZT_NODE_FATAL:
        emit_node(note, ZTS_EVENT_NODE_UNRECOVERABLE_ERROR);
        break;
    case ZT_NODE_TERMINATED:
        emit_node(note, ZTS_EVENT_NODE_NORMAL_TERMINATION);
        break;
    case ZT_NODE_NETWORK:
        network_changed(note->net_was, note->net);
        break;
    case ZT_NODE_NETWORK_GONE:
        network_gone(note->net_was);
        break;
    case ZT_NODE_PEER:
        peer_changed(note->peer_was, note->peer);
        break;
    case ZT_NODE_WARNING:
        break; /* the library is silent; ztd prints it */
    case ZT_NODE_STORED: {
        void (*h)(void *) = atomic_load(&handler);
        if (h != NULL)
            zts_emit18(h, &(struct zts_event18){
                              .file = note->text, .data = note->data, .ndata = note->ndata});
        break;
    }
    }
}
