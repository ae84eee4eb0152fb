/* What core and stack ask of the world, and what they hand to each other.
 *
 * The core and lwIP call each other through here, and neither may be entered again from its own
 * callback. The core's side is decoupled: `deliver` copies the frame into `in`, `event` notes what
 * happened, and both are handed on by zt_host_drain after the core's call has returned. lwIP's side
 * is then free: whatever it answers goes straight into zt_core_frame. A frame that the core
 * delivers from within zt_core_frame (to ourselves, multicast) waits in `in` like any other, so
 * there is no recursion however two nodes talk.
 *
 * `in` is bounded: what a turn can't swallow is dropped like on any full interface, and counted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "node/node_priv.h"

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
void zt_host_random(void *user, void *out, size_t len)
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
        if (cap > PENDING_MAX && (ev->kind == ZT_EVENT_PEER || ev->kind == ZT_EVENT_REROUTED)) {
            n->peers_missed |= ev->kind == ZT_EVENT_PEER && n->cfg.events != NULL;
            return; /* strangers can make many of these */
        }
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
    struct zt_post post;
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
        zt_host_drain(n);
    }
    free(c);
}

/* One more that waits, or one less. False: there are too many. */
static bool count_check(struct zt_node *n, int change)
{
    pthread_mutex_lock(&n->lock);
    bool ok = change < 0 || n->checks < MAX_CHECKS;
    n->checks += ok ? (unsigned)change : 0;
    pthread_mutex_unlock(&n->lock);
    return ok;
}

static void check_job(struct zt_node *n, struct zt_job *j)
{
    struct checked *c;
    struct zt_loop *l = zt_keeper_loop(n);
    memcpy(&c, j->data, sizeof c);
    count_check(n, -1);
    if (l != NULL)
        c->valid = zt_identity_validate(&c->id);
    if (l == NULL || zt_loop_post_at(l, &c->post, checked_on_loop, c) != 0)
        free(c);
}

static bool host_check_identity(void *user, const struct zt_identity *id)
{
    struct zt_node *n = user;
    if (!count_check(n, 1))
        return false;
    struct checked *c = malloc(sizeof *c);
    if (c != NULL) {
        *c = (struct checked){.n = n, .id = *id};
        if (zt_node_post_job(n, check_job, "", 0, NULL, &c, sizeof c))
            return true;
    }
    free(c);
    count_check(n, -1);
    return false;
}

/* ---- the host, as the stack sees it ------------------------------------------------------------
 */

int zt_host_frame(void *user, uint64_t nwid, uint8_t *eth, size_t len)
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

struct zt_host zt_host_of_core(struct zt_node *n)
{
    return (struct zt_host){.user = n,
                            .send = host_send,
                            .deliver = host_deliver,
                            .random = zt_host_random,
                            .save = host_save,
                            .event = host_event,
                            .check_identity = host_check_identity};
}

struct zt_stack_host zt_host_of_stack(struct zt_node *n)
{
    return (struct zt_stack_host){.user = n,
                                  .frame = zt_host_frame,
                                  .subscribe = stack_subscribe,
                                  .random = zt_host_random,
                                  .unreachable = stack_unreachable};
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

/* Some news of peers found no room: look at all that there are, and at all that were told of. */
static void look_at_peers(struct zt_node *n)
{
    size_t total = zt_core_peers(n->core, NULL, 0), k = 0;
    uint64_t *ids = calloc(total + n->peers.count + 1, sizeof *ids);
    if (ids == NULL)
        return; /* the next time */
    n->peers_missed = false;
    for (size_t i = 0; zt_map_next(&n->peers, &i, &ids[k], NULL);)
        k++;
    k += zt_core_peers(n->core, ids + k, total);
    for (size_t i = 0; i < k; i++)
        peer_changed(n, ids[i]);
    free(ids);
}

static void handle_event(struct zt_node *n, const struct zt_event *ev)
{
    switch (ev->kind) {
    case ZT_EVENT_ONLINE:
    case ZT_EVENT_OFFLINE:
        n->online = ev->kind == ZT_EVENT_ONLINE;
        zt_ranges_publish(n);
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
        zt_nets_changed(n, ev->id);
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
    if (n->peers_missed)
        look_at_peers(n);
}

void zt_host_drain(struct zt_node *n)
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
