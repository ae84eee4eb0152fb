#include "sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/list.h"
#include "crypto/sign.h"

#define START_MONO_MS 1000000
#define START_WALL_MS 1700000000000
#define CHECKS 64
#define BACKLOG 100 /* datagrams that wait for a frozen node */

struct datagram {
    struct zt_timer timer;
    struct sim_node *to;
    struct zt_ep from; /* as the receiver sees it */
    int sock;          /* of the receiver */
    size_t n;
    uint8_t p[];
};

struct check {
    struct zt_timer timer;
    struct sim_node *node;
    struct zt_identity id;
};

struct sim {
    uint64_t seed, random_state, hash;
    int64_t mono_ms;
    bool with_core;
    struct sim_node nodes[SIM_NODES];
    unsigned nnodes;
    struct sim_nat nats[SIM_NATS];
    unsigned nnats;
    struct sim_link links[SIM_NODES][SIM_NODES];
    struct zt_heap flying;
    struct check checks[CHECKS];
    struct zt_heap checking;
    uint8_t planet[ZT_WORLD_WIRE_MAX];
    size_t nplanet;
    bool (*tap)(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p, size_t n);
    void *tap_user;
    void (*frame)(void *user, struct sim_node *to, uint64_t nwid, const uint8_t *eth, size_t n);
    void *frame_user;
};

int sim_inside;

/* A callback of a core: what follows in this function is the simulator's. */
static void leave_again(const int *was)
{
    sim_inside = *was;
}
#define OUTSIDE                                                                     \
    __attribute__((cleanup(leave_again), unused)) const int was_inside = sim_inside; \
    sim_inside = 0

/* -- chance and the record of the run -- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static unsigned chance(struct sim *s, unsigned below)
{
    return below == 0 ? 0 : (unsigned)(next_random(&s->random_state) % below);
}

static void record(struct sim *s, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        s->hash = (s->hash ^ b[i]) * 0x100000001b3u;
}

static void record_number(struct sim *s, uint64_t v)
{
    record(s, &v, sizeof v);
}

/* -- translation -- */

static void forget_old(struct sim_nat *nat, int64_t now_ms)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < nat->n; i++)
        if (nat->hold_ms == 0 || now_ms - nat->map[i].used_ms < nat->hold_ms)
            nat->map[kept++] = nat->map[i];
    nat->n = kept;
}

/* The outside port for (inside, remote), made when missing. */
static uint16_t map_out(struct sim_nat *nat, int64_t now_ms, const struct zt_ep *inside,
                        const struct zt_ep *remote)
{
    uint16_t port = 0;
    forget_old(nat, now_ms);
    for (unsigned i = 0; i < nat->n; i++) {
        if (!zt_ep_equal(&nat->map[i].inside, inside))
            continue;
        if (zt_ep_equal(&nat->map[i].remote, remote)) {
            nat->map[i].used_ms = now_ms;
            return nat->map[i].port;
        }
        if (nat->kind != SIM_NAT_SYMMETRIC)
            port = nat->map[i].port;
    }
    if (nat->n == SIM_MAPPINGS) { /* as a real one: the least used makes room */
        unsigned oldest = 0;
        for (unsigned i = 1; i < nat->n; i++)
            if (nat->map[i].used_ms < nat->map[oldest].used_ms)
                oldest = i;
        nat->map[oldest] = nat->map[--nat->n];
    }
    if (port == 0)
        port = nat->next_port++;
    nat->map[nat->n].inside = *inside;
    nat->map[nat->n].remote = *remote;
    nat->map[nat->n].used_ms = now_ms;
    nat->map[nat->n++].port = port;
    return port;
}

static bool lets_in(enum sim_nat_kind kind, const struct zt_ep *sent_to, const struct zt_ep *from)
{
    if (kind == SIM_NAT_FULL_CONE)
        return true;
    return kind == SIM_NAT_ADDR_RESTRICTED ? zt_ep_same_ip(sent_to, from)
                                           : zt_ep_equal(sent_to, from);
}

static bool map_in(struct sim_nat *nat, int64_t now_ms, uint16_t port, const struct zt_ep *remote,
                   struct zt_ep *inside)
{
    forget_old(nat, now_ms);
    for (unsigned i = 0; i < nat->n; i++)
        if (nat->map[i].port == port && lets_in(nat->kind, &nat->map[i].remote, remote)) {
            *inside = nat->map[i].inside;
            return true;
        }
    return false;
}

static struct sim_node *owner(struct sim *s, const struct sim_nat *side, const struct zt_ep *ep,
                              int *sock)
{
    for (unsigned i = 0; i < s->nnodes; i++) {
        struct sim_node *n = &s->nodes[i];
        *sock = zt_ep_equal(&n->ep, ep) ? 0 : 1;
        if (n->nat == side && (*sock == 0 || zt_ep_equal(&n->second, ep)))
            return n;
    }
    return NULL;
}

/* Who gets a datagram sent by `from` from this endpoint of its own to `to`? *seen becomes the
 * source that the receiver sees, *sock the receiver's socket. */
static struct sim_node *deliver_to(struct sim *s, struct sim_node *from, const struct zt_ep *own,
                                   const struct zt_ep *to, struct zt_ep *seen, int *sock)
{
    *seen = *own;
    struct sim_node *near = owner(s, from->nat, to, sock);
    if (near != NULL)
        return near;
    if (from->nat != NULL) {
        *seen = from->nat->outside;
        seen->port = map_out(from->nat, s->mono_ms, own, to);
    }
    for (unsigned i = 0; i < s->nnats; i++) {
        struct sim_nat *nat = &s->nats[i];
        struct zt_ep inside;
        if (nat != from->nat && zt_ep_same_ip(&nat->outside, to))
            return map_in(nat, s->mono_ms, to->port, seen, &inside) ? owner(s, nat, &inside, sock)
                                                                    : NULL;
    }
    return owner(s, NULL, to, sock);
}

/* -- what the cores call -- */

static void fly(struct sim *s, struct sim_node *to, int sock, const struct zt_ep *seen,
                const uint8_t *p, size_t n, int64_t at_ms)
{
    struct datagram *d = calloc(1, sizeof *d + n);
    assert(d != NULL);
    d->to = to;
    d->from = *seen;
    d->sock = sock;
    d->n = n;
    memcpy(d->p, p, n);
    int rc = zt_heap_set(&s->flying, &d->timer, at_ms);
    assert(rc == 0);
    (void)rc;
}

static bool is_lost(struct sim *s, struct sim_link *link)
{
    bool masked = link->mask_at < 64 && (link->loss_mask >> link->mask_at & 1);
    if (link->mask_at < 64)
        link->mask_at++;
    return link->blocked || masked || chance(s, 1000) < link->loss_permille;
}

static void send_from(struct sim_node *from, const struct zt_ep *own, const struct zt_ep *to,
                      uint8_t *p, size_t n, unsigned ttl)
{
    struct sim *s = from->sim;
    struct zt_ep seen;
    int sock;
    struct sim_node *dest = deliver_to(s, from, own, to, &seen, &sock);
    if (dest == NULL || ttl != 0)
        return; /* a short TTL opens the sender's NAT and dies on the way */
    struct sim_link *link = &s->links[from->no][dest->no];
    link->datagrams++;
    link->bytes += n;
    if (s->tap != NULL && !s->tap(s->tap_user, from, dest, p, n))
        return;
    unsigned copies = chance(s, 1000) < link->dup_permille ? 2 : 1;
    if (is_lost(s, link))
        return;
    if (n > 0 && link->corrupt_permille > 0 && chance(s, 1000) < link->corrupt_permille)
        for (unsigned k = 1 + chance(s, 4); k > 0; k--)
            p[chance(s, (unsigned)n)] ^= (uint8_t)(1 + chance(s, 255));
    while (copies-- > 0)
        fly(s, dest, sock, &seen, p, n,
            s->mono_ms + link->delay_ms + (int64_t)chance(s, (unsigned)link->jitter_ms + 1));
}

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    OUTSIDE;
    struct sim_node *from = user;
    struct sim *s = from->sim;
    uint8_t p[16384];
    size_t n = nhead + nbody;
    bool has_second = from->second.family != 0;
    assert(n <= sizeof p && to->sock >= -1 && to->sock <= (has_second ? 1 : 0));
    memcpy(p, head, nhead);
    if (nbody > 0)
        memcpy(p + nhead, body, nbody);
    from->sent++;
    record_number(s, (uint64_t)s->mono_ms);
    record_number(s, from->no);
    record(s, &to->ep, sizeof to->ep);
    record(s, p, n);
    if (to->sock <= 0)
        send_from(from, &from->ep, &to->ep, p, n, ttl);
    if (has_second && to->sock != 0)
        send_from(from, &from->second, &to->ep, p, n, ttl);
}

void sim_random(void *state, void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        uint64_t r = next_random(state);
        size_t k = n < 8 ? n : 8;
        memcpy(p, &r, k);
        p += k;
        n -= k;
    }
}

static void on_random(void *user, void *out, size_t n)
{
    sim_random(&((struct sim_node *)user)->random_state, out, n);
}

static void save_moon(struct sim_node *node, uint64_t id, const uint8_t *p, size_t n)
{
    unsigned i = 0;
    while (i < node->nmoons && node->moons[i].id != id)
        i++;
    if (n == 0) { /* may be one that a test loaded as if from a file */
        if (i < node->nmoons)
            node->moons[i] = node->moons[--node->nmoons];
        return;
    }
    if (i == node->nmoons) {
        node->moons = realloc(node->moons, (i + 1) * sizeof *node->moons);
        assert(node->moons != NULL);
        node->nmoons++;
    }
    assert(n <= sizeof node->moons[i].file);
    node->moons[i].id = id;
    memcpy(node->moons[i].file, p, n);
    node->moons[i].n = n;
}

static void on_message(void *user, enum zt_message_kind kind, uint64_t from, uint64_t type,
                       const uint8_t *p, size_t n)
{
    OUTSIDE;
    struct sim_node *node = user;
    assert(n <= sizeof node->message.p);
    node->messages[kind]++;
    node->message.from = from;
    node->message.type = type;
    if (n > 0)
        memcpy(node->message.p, p, n);
    node->message.n = n;
    record_number(node->sim, type);
    record(node->sim, p, n);
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
    OUTSIDE;
    struct sim_node *node = user;
    if (what == ZT_OBJECT_PLANET) {
        assert(n <= sizeof node->planet);
        memcpy(node->planet, p, n);
        node->nplanet = n;
    } else if (what == ZT_OBJECT_PEER) {
        unsigned i = 0;
        while (i < node->npeers && node->peers[i].addr != id)
            i++;
        if (i == node->npeers) {
            node->peers = realloc(node->peers, (i + 1) * sizeof *node->peers);
            assert(node->peers != NULL);
            node->npeers++;
        }
        assert(n <= sizeof node->peers[i].file);
        node->peers[i].addr = id;
        memcpy(node->peers[i].file, p, n);
        node->peers[i].n = n;
    } else if (what == ZT_OBJECT_MOON) {
        save_moon(node, id, p, n);
    }
}

static void on_event(void *user, const struct zt_event *ev)
{
    OUTSIDE;
    struct sim_node *node = user;
    node->events[ev->kind]++;
    record_number(node->sim, (uint64_t)node->sim->mono_ms << 8 | (uint64_t)ev->kind);
    record_number(node->sim, ev->id);
}

static void on_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
    OUTSIDE;
    struct sim_node *node = user;
    node->frames++;
    assert(n <= SIM_FRAME_MAX);
    memcpy(node->last_frame, eth, n);
    node->nlast_frame = n;
    record_number(node->sim, nwid);
    record(node->sim, eth, n);
    if (node->sim->frame != NULL)
        node->sim->frame(node->sim->frame_user, node, nwid, eth, n);
}

static bool on_check(void *user, const struct zt_identity *id)
{
    OUTSIDE;
    struct sim_node *node = user;
    struct sim *s = node->sim;
    for (unsigned i = 0; i < CHECKS; i++) {
        struct check *c = &s->checks[i];
        if (c->timer.pos == 0) {
            c->node = node;
            c->id = *id;
            return zt_heap_set(&s->checking, &c->timer, s->mono_ms + node->check_delay_ms) == 0;
        }
    }
    return false;
}

/* The proof of work is checked truly, once per process and identity. */
static bool is_valid(const struct zt_identity *id)
{
    static struct {
        struct zt_identity id;
        bool valid;
    } known[2 * SIM_NODES];
    static unsigned n;
    for (unsigned i = 0; i < n; i++)
        if (zt_identity_equal(&known[i].id, id))
            return known[i].valid;
    bool valid = zt_identity_validate(id);
    if (n < 2 * SIM_NODES) {
        known[n].id = *id;
        known[n++].valid = valid;
    }
    return valid;
}

/* -- the upper layer of a bare VL1 -- */

static enum zt_verdict on_packet(void *user, const struct zt_now *now, const struct zt_rx *rx)
{
    struct sim_node *node = user;
    if (rx->verb != ZT_VERB_FRAME)
        return ZT_VERDICT_OK;
    assert(rx->n <= SIM_FRAME_MAX);
    memcpy(node->last_frame, rx->payload, rx->n);
    node->nlast_frame = rx->n;
    node->frames++;
    node->direct_frames += rx->hops == 0;
    node->pongs += rx->n > 0 && rx->payload[0] == '!';
    if (rx->n > 0 && rx->payload[0] == '?') {
        uint8_t p[ZT_PKT_PAYLOAD + SIM_FRAME_MAX];
        memcpy(p + ZT_PKT_PAYLOAD, rx->payload, rx->n);
        p[ZT_PKT_PAYLOAD] = '!';
        (void)zt_vl1_send(node->vl1, now, rx->from, ZT_VERB_FRAME, p + ZT_PKT_PAYLOAD, rx->n, 0,
                          NULL);
    }
    return ZT_VERDICT_TRUSTED;
}

int sim_say(struct sim_node *from, struct sim_node *to, const void *what, size_t n)
{
    struct zt_now now = sim_node_now(from);
    uint8_t p[ZT_PKT_PAYLOAD + SIM_FRAME_MAX];
    assert(n <= SIM_FRAME_MAX);
    memcpy(p + ZT_PKT_PAYLOAD, what, n);
    return zt_vl1_send(from->vl1, &now, to->id.addr, ZT_VERB_FRAME, p + ZT_PKT_PAYLOAD, n, 0, NULL);
}

/* -- building a world -- */

struct sim *sim_new(uint64_t seed)
{
    const char *env = getenv("ZT_SIM_SEED");
    struct sim *s = calloc(1, sizeof *s);
    assert(s != NULL);
    s->seed = env != NULL ? strtoull(env, NULL, 10) : seed;
    s->random_state = s->seed;
    s->hash = 0xcbf29ce484222325u;
    s->mono_ms = START_MONO_MS;
    zt_heap_init(&s->flying);
    zt_heap_init(&s->checking);
    sim_all_links(s, (struct sim_link){.delay_ms = 10});
    int rc = zt_crypto_init();
    assert(rc == 0);
    (void)rc;
    return s;
}

void sim_free(struct sim *s)
{
    for (unsigned i = 0; i < s->nnodes; i++) {
        sim_stop(&s->nodes[i]);
        free(s->nodes[i].peers);
        sim_ctl_free(&s->nodes[i]);
        free(s->nodes[i].moons);
    }
    struct zt_timer *t;
    while ((t = zt_heap_pop(&s->flying, INT64_MAX)) != NULL)
        free(ZT_CONTAINER(t, struct datagram, timer));
    zt_heap_fini(&s->flying);
    zt_heap_fini(&s->checking);
    free(s);
}

void sim_with_core(struct sim *s)
{
    s->with_core = true;
}

uint64_t sim_seed(const struct sim *s)
{
    return s->seed;
}

struct zt_now sim_now(const struct sim *s)
{
    return (struct zt_now){.mono_ms = s->mono_ms,
                           .wall_ms = START_WALL_MS + s->mono_ms - START_MONO_MS};
}

struct zt_now sim_node_now(const struct sim_node *n)
{
    struct zt_now now = sim_now(n->sim);
    now.mono_ms += n->mono_off_ms;
    now.wall_ms += n->wall_off_ms;
    return now;
}

uint64_t sim_hash(const struct sim *s)
{
    return s->hash;
}

struct sim_nat *sim_nat(struct sim *s, enum sim_nat_kind kind, const char *outside_ip)
{
    assert(s->nnats < SIM_NATS);
    struct sim_nat *nat = &s->nats[s->nnats++];
    nat->kind = kind;
    nat->next_port = (uint16_t)(30000 + 1000 * s->nnats);
    int rc = zt_ep_parse(outside_ip, &nat->outside);
    assert(rc == 0);
    (void)rc;
    return nat;
}

struct sim_node *sim_node_behind(struct sim *s, struct sim_nat *nat, const char *ep)
{
    assert(s->nnodes < SIM_NODES);
    unsigned no = s->nnodes++;
    struct sim_node *n = &s->nodes[no];
    n->sim = s;
    n->no = no;
    n->nat = nat;
    n->check_delay_ms = 30;
    n->random_state = s->seed * 1000003u + no;
    n->host = (struct zt_host){.user = n,
                               .send = on_send,
                               .deliver = on_deliver,
                               .random = on_random,
                               .save = on_save,
                               .event = on_event,
                               .message = on_message,
                               .check_identity = on_check};
    int rc = zt_ep_parse(ep, &n->ep);
    assert(rc == 0);
    (void)rc;
    sim_identity(no, &n->id);
    return n;
}

void sim_second_socket(struct sim_node *n, uint16_t port)
{
    n->second = n->ep;
    n->second.port = port;
}

struct sim_node *sim_node(struct sim *s, const char *ep)
{
    return sim_node_behind(s, NULL, ep);
}

void sim_make_planet(struct sim *s, uint64_t timestamp, struct sim_node **roots, unsigned n,
                     struct zt_world *w)
{
    struct zt_identity key = {.has_priv = true};
    int rc = zt_hex_decode(sim_planet_key_pub, key.pub, sizeof key.pub);
    rc |= zt_hex_decode(sim_planet_key_priv, key.priv, sizeof key.priv);
    assert(rc == 0);
    *w = (struct zt_world){.type = ZT_WORLD_PLANET, .id = 0x51a1, .timestamp_ms = timestamp};
    memcpy(w->update_key, key.pub, sizeof w->update_key);
    w->nroots = n;
    for (unsigned i = 0; i < n; i++) {
        w->roots[i].id = roots[i]->id;
        w->roots[i].neps = 1;
        w->roots[i].eps[0] = roots[i]->ep;
    }
    rc = zt_world_sign(w, &key);
    assert(rc == 0);
    (void)rc;
}

void sim_planet(struct sim *s, uint64_t timestamp, struct sim_node **roots, unsigned n)
{
    struct zt_world w;
    sim_make_planet(s, timestamp, roots, n, &w);
    struct zt_wr wr = zt_wr(s->planet, sizeof s->planet);
    zt_wr_world(&wr, &w);
    assert(!wr.bad);
    s->nplanet = wr.n;
}

void sim_start(struct sim_node *n)
{
    struct sim *s = n->sim;
    struct zt_now now = sim_node_now(n);
    const struct zt_ep eps[2] = {n->ep, n->second};
    unsigned neps = n->second.family != 0 ? 2 : 1;
    int rc;
    if (s->with_core) {
        rc = zt_core_new(
            &(struct zt_core_config){
                .identity = &n->id, .host = &n->host, .planet = s->planet, .nplanet = s->nplanet},
            &now, &n->core);
        assert(rc == 0);
        zt_core_set_local(n->core, &now, eps, neps);
        if (n->disk != NULL)
            sim_ctl_start(n);
    } else {
        rc = zt_vl1_new(&(struct zt_vl1_config){.identity = &n->id,
                                                .host = &n->host,
                                                .drops = &n->own_drops,
                                                .planet = s->nplanet > 0 ? s->planet : NULL,
                                                .nplanet = s->nplanet},
                        &now, &n->vl1);
        assert(rc == 0);
        zt_vl1_set_upper(n->vl1, &(struct zt_vl1_upper){.user = n, .packet = on_packet});
        zt_vl1_set_local(n->vl1, &now, eps, neps);
    }
    (void)rc;
}

void sim_start_all(struct sim *s)
{
    for (unsigned i = 0; i < s->nnodes; i++)
        sim_start(&s->nodes[i]);
}

void sim_stop(struct sim_node *n)
{
    zt_vl1_free(n->vl1);
    n->vl1 = NULL;
    if (n->core != NULL)
        zt_core_free(n->core);
    n->core = NULL;
    for (unsigned i = 0; i < CHECKS; i++)
        if (n->sim->checks[i].node == n)
            zt_heap_remove(&n->sim->checking, &n->sim->checks[i].timer);
}

void sim_all_links(struct sim *s, struct sim_link link)
{
    for (unsigned i = 0; i < SIM_NODES; i++)
        for (unsigned k = 0; k < SIM_NODES; k++)
            s->links[i][k] = link;
}

struct sim_link *sim_link(struct sim_node *from, struct sim_node *to)
{
    return &from->sim->links[from->no][to->no];
}

void sim_block(struct sim_node *a, struct sim_node *b)
{
    sim_link(a, b)->blocked = sim_link(b, a)->blocked = true;
}

void sim_unblock(struct sim_node *a, struct sim_node *b)
{
    sim_link(a, b)->blocked = sim_link(b, a)->blocked = false;
}

void sim_tap(struct sim *s,
             bool (*tap)(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p,
                         size_t n),
             void *user)
{
    s->tap = tap;
    s->tap_user = user;
}

void sim_on_frame(struct sim *s,
                  void (*frame)(void *user, struct sim_node *to, uint64_t nwid, const uint8_t *eth,
                                size_t n),
                  void *user)
{
    s->frame = frame;
    s->frame_user = user;
}

struct sim_node *sim_node_no(struct sim *s, unsigned no)
{
    assert(no < s->nnodes);
    return &s->nodes[no];
}

/* -- running -- */

static void receive(struct sim_node *to, int sock, const struct zt_ep *from, uint8_t *p, size_t n)
{
    struct zt_now now = sim_node_now(to);
    struct zt_link in = {.sock = sock, .ep = *from};
    to->received++;
    sim_inside++;
    if (to->core != NULL)
        zt_core_datagram(to->core, &now, &in, p, n);
    else if (to->vl1 != NULL)
        zt_vl1_datagram(to->vl1, &now, &in, p, n);
    sim_inside--;
}

static void hand_over(struct sim_node *to, int sock, const struct zt_ep *from, const uint8_t *p,
                      size_t n)
{
    /* A block of exactly this size, so that the sanitizer sees a read beyond it. */
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert(copy != NULL);
    memcpy(copy, p, n);
    receive(to, sock, from, copy, n);
    free(copy);
}

void sim_inject(struct sim_node *to, const struct zt_ep *from, const uint8_t *p, size_t n)
{
    hand_over(to, 0, from, p, n);
}

/* By the simulator's clock. */
static int64_t deadline(const struct sim_node *n)
{
    int64_t at = ZT_NEVER;
    if (n->core != NULL)
        at = zt_core_deadline(n->core);
    else if (n->vl1 != NULL)
        at = zt_vl1_deadline(n->vl1);
    if (at == ZT_NEVER)
        return at;
    at -= n->mono_off_ms;
    return at < n->frozen_until_ms ? n->frozen_until_ms : at;
}

static int64_t next_time(struct sim *s)
{
    int64_t at = zt_heap_next(&s->flying);
    if (zt_heap_next(&s->checking) < at)
        at = zt_heap_next(&s->checking);
    for (unsigned i = 0; i < s->nnodes; i++)
        if (deadline(&s->nodes[i]) < at)
            at = deadline(&s->nodes[i]);
    return at;
}

/* Everything that is due at the present time. */
static void step(struct sim *s)
{
    struct zt_timer *t;
    while ((t = zt_heap_pop(&s->flying, s->mono_ms)) != NULL) {
        struct datagram *d = ZT_CONTAINER(t, struct datagram, timer);
        if (d->to->frozen_until_ms > s->mono_ms) { /* the kernel keeps it, up to a point */
            if (d->to->backlog++ < BACKLOG && zt_heap_set(&s->flying, t, d->to->frozen_until_ms) == 0)
                continue;
            free(d);
            continue;
        }
        d->to->backlog = 0;
        hand_over(d->to, d->sock, &d->from, d->p, d->n);
        free(d);
    }
    while ((t = zt_heap_pop(&s->checking, s->mono_ms)) != NULL) {
        struct check *c = ZT_CONTAINER(t, struct check, timer);
        struct zt_identity id = c->id;
        struct zt_now now = sim_node_now(c->node);
        const bool valid = is_valid(&id);
        sim_inside++;
        if (c->node->core != NULL)
            zt_core_identity_checked(c->node->core, &now, &id, valid);
        else if (c->node->vl1 != NULL)
            zt_vl1_identity_checked(c->node->vl1, &now, &id, valid);
        sim_inside--;
    }
    for (unsigned i = 0; i < s->nnodes; i++) {
        struct sim_node *n = &s->nodes[i];
        struct zt_now now = sim_node_now(n);
        for (unsigned k = 0; deadline(n) <= s->mono_ms; k++) {
            assert(k < 1000 && "a node whose deadline does not move is a busy loop");
            n->ticks++;
            sim_inside++;
            if (n->core != NULL)
                zt_core_tick(n->core, &now);
            else
                zt_vl1_tick(n->vl1, &now);
            sim_inside--;
        }
    }
}

bool sim_run_until(struct sim *s, int64_t ms, bool (*cond)(void *user), void *user)
{
    int64_t end = s->mono_ms + ms;
    for (;;) {
        if (cond != NULL && cond(user))
            return true;
        int64_t at = next_time(s);
        if (at > end)
            break;
        if (at > s->mono_ms)
            s->mono_ms = at;
        step(s);
    }
    s->mono_ms = end;
    return cond != NULL && cond(user);
}

void sim_run(struct sim *s, int64_t ms)
{
    (void)sim_run_until(s, ms, NULL, NULL);
}

/* -- looking -- */

struct zt_vl1 *sim_vl1(struct sim_node *n)
{
    return n->vl1;
}

const struct zt_drops *sim_drops(const struct sim_node *n)
{
    return n->core != NULL ? zt_core_drops(n->core) : &n->own_drops;
}

bool sim_online(struct sim_node *n)
{
    return n->core != NULL ? zt_core_online(n->core) : zt_vl1_online(n->vl1);
}

bool sim_is_direct(struct sim_node *from, struct sim_node *to)
{
    struct zt_now now = sim_node_now(from);
    struct zt_peer_info info;
    int rc = from->core != NULL ? zt_core_peer(from->core, &now, to->id.addr, &info)
                                : zt_vl1_peer(from->vl1, &now, to->id.addr, &info);
    return rc == 0 && info.npaths > 0 && !info.paths[0].expired;
}
