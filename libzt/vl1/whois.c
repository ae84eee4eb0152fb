/* One waiting room per node address, with a timer of its own.
 *
 * A room opens when a packet for, or from, that address can't be handled now, or when somebody
 * asked us for an identity that we lack. Every 500 ms (the WHOIS period of vl1.md 6.5; 300 ms,
 * first 150, when packets of our own wait for the answer), and at once when something changed
 * (identity learned, path learned, credentials came), everything in it is tried again. What is not
 * done after 5 s is dropped (QUEUE_EXPIRED). A room closes when it is empty.
 *
 * Bounds: 256 rooms, 64 packets each, 2 MiB of copies in total; beyond that the newcomer is refused
 * (QUEUE_FULL). What others sent fills three quarters of each, so that our own packets, with which
 * every conversation begins, always find room. Rooms for unknown senders, whose addresses may be
 * invented, are opened at most 20 a second after a burst of 32, and after 5 s in vain such an
 * address is asked for more rarely, each 5 s.
 *
 * Retrying never happens inside the packet that caused it: the timer is set to now, and the
 * datagram entry point runs what is due before it returns (vl1.c). */
#include "vl1/whois.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/list.h"
#include "vl1/peer.h"
#include "vl1/roots.h"
#include "vl1/rx.h"
#include "vl1/state.h"
#include "vl1/tx.h"

#define OTHERS(bound) ((bound) / 4 * 3) /* the share of what we did not send ourselves */
#define ASK_SECOND_MS 150
#define ASK_AGAIN_MS 300

enum kind { WAIT_TX, WAIT_RX, WAIT_HOLD };

struct item {
    struct zt_list list;
    enum kind kind;
    int64_t since_ms;
    struct zt_link link; /* RX, HOLD */
    uint64_t id;         /* HOLD */
    uint8_t verb, hops;  /* TX (verb), HOLD */
    unsigned flags;      /* TX */
    size_t n;            /* of p */
    uint8_t p[];         /* whole packet: TX and HOLD with header room, RX as received */
};

struct room {
    uint64_t addr;
    struct zt_timer timer;
    struct zt_list items; /* oldest first */
    unsigned count;
    int64_t opened_ms, asked_ms;
    bool is_wanted; /* by packets of our own */
    unsigned asks;
};

static void fire(void *user, struct zt_timer *t);

void zt_waits_init(struct zt_vl1 *v, uint64_t seed)
{
    zt_map_init(&v->waits.by_addr, seed);
}

static void item_free(struct zt_vl1 *v, struct item *it)
{
    v->waits.bytes -= it->n;
    zt_list_remove(&it->list);
    free(it);
}

static void room_free(struct zt_vl1 *v, struct room *room)
{
    ZT_LIST_EACH(it, &room->items)
    item_free(v, ZT_CONTAINER(it, struct item, list));
    zt_heap_remove(&v->heap, &room->timer);
    free(room);
}

void zt_waits_fini(struct zt_vl1 *v)
{
    void *room;
    for (size_t i = 0; zt_map_next(&v->waits.by_addr, &i, NULL, &room);)
        room_free(v, room);
    zt_map_fini(&v->waits.by_addr);
}

static struct room *open_room(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr,
                              size_t limit)
{
    struct room *room = zt_map_get(&v->waits.by_addr, addr);
    if (room != NULL)
        return room;
    if (v->waits.by_addr.count >= limit) {
        zt_drop_count(v->drops, ZT_DROP_QUEUE_FULL);
        return NULL;
    }
    room = calloc(1, sizeof *room);
    if (room == NULL)
        goto no_memory;
    room->addr = addr;
    room->timer.fire = fire;
    room->opened_ms = now->mono_ms;
    room->asked_ms = ZT_LONG_AGO;
    zt_list_init(&room->items);
    if (zt_heap_set(&v->heap, &room->timer, now->mono_ms + ZT_WAIT_RETRY_MS) != 0)
        goto no_memory;
    if (zt_map_put(&v->waits.by_addr, addr, room) != 0) {
        zt_heap_remove(&v->heap, &room->timer);
        goto no_memory;
    }
    return room;
no_memory:
    free(room);
    zt_drop_count(v->drops, ZT_DROP_NO_MEMORY);
    return NULL;
}

static struct item *add(struct zt_vl1 *v, struct room *room, enum kind kind, int64_t since_ms,
                        size_t n)
{
    bool own = kind == WAIT_TX;
    if (room->count >= (own ? ZT_WAIT_PER_ADDRESS : OTHERS(ZT_WAIT_PER_ADDRESS)) ||
        v->waits.bytes + n > (own ? ZT_WAIT_BYTES : OTHERS(ZT_WAIT_BYTES))) {
        zt_drop_count(v->drops, ZT_DROP_QUEUE_FULL);
        return NULL;
    }
    struct item *it = malloc(sizeof *it + n);
    if (it == NULL) {
        zt_drop_count(v->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    *it = (struct item){.kind = kind, .since_ms = since_ms, .n = n};
    zt_list_init(&it->list);
    zt_list_push_back(&room->items, &it->list);
    room->count++;
    v->waits.bytes += n;
    return it;
}

/* When to ask again: a lost question or answer should not hold our own packets for half a second.
 * Unknown senders, who may be invented, are not worth more than the usual period. */
static int64_t ask_pause(const struct room *room)
{
    if (!room->is_wanted)
        return room->asks < ZT_WAIT_MS / ZT_WAIT_RETRY_MS ? ZT_WAIT_RETRY_MS : ZT_WAIT_MS;
    return room->asks <= 1 ? ASK_SECOND_MS : ASK_AGAIN_MS;
}

/* Ask the best upstream, or, having asked before, the next one, unless we did a moment ago or there
 * is none to ask. */
static void ask(struct zt_vl1 *v, const struct zt_now *now, struct room *room)
{
    struct zt_peer *up = zt_roots_turn(v, now->mono_ms, room->asks);
    if (up == NULL || up->id.addr == room->addr || now->mono_ms - room->asked_ms < ask_pause(room))
        return;
    uint8_t p[ZT_PKT_PAYLOAD + 5];
    zt_put40(p + ZT_PKT_PAYLOAD, room->addr);
    if (zt_tx_route(v, now, up, ZT_VERB_WHOIS, p, sizeof p, ZT_TX_EXPECT, NULL) != 0)
        return;
    room->asks++;
    room->asked_ms = now->mono_ms;
    int64_t again_ms = now->mono_ms + ask_pause(room);
    if (room->timer.at_ms > again_ms)
        (void)zt_heap_set(&v->heap, &room->timer, again_ms); /* queued already: cannot fail */
}

int zt_wait_tx(struct zt_vl1 *v, const struct zt_now *now, uint64_t dest, uint8_t verb,
               const uint8_t *payload, size_t n, unsigned flags)
{
    struct room *room = open_room(v, now, dest, ZT_WAIT_ADDRESSES);
    if (room == NULL)
        return ZT_E_LIMIT;
    struct item *it = add(v, room, WAIT_TX, now->mono_ms, n + ZT_PKT_PAYLOAD);
    if (it == NULL)
        return ZT_E_LIMIT;
    room->is_wanted = true;
    it->verb = verb;
    it->flags = flags;
    memset(it->p, 0, ZT_PKT_PAYLOAD);
    if (n > 0)
        memcpy(it->p + ZT_PKT_PAYLOAD, payload, n);
    if (zt_peer_get(v, dest) == NULL)
        ask(v, now, room);
    return 0;
}

void zt_wait_rx(struct zt_vl1 *v, const struct zt_now *now, const struct zt_link *link,
                const uint8_t *p, size_t n)
{
    uint64_t from = zt_pkt_src(p);
    if (zt_map_get(&v->waits.by_addr, from) == NULL &&
        !zt_bucket_take(&v->waits.strangers, now->mono_ms, 32, 50)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        return;
    }
    struct room *room = open_room(v, now, from, OTHERS(ZT_WAIT_ADDRESSES));
    struct item *it = room != NULL ? add(v, room, WAIT_RX, now->mono_ms, n) : NULL;
    if (it == NULL)
        return;
    it->link = *link;
    memcpy(it->p, p, n);
    ask(v, now, room);
}

void zt_wait_hold(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *rx,
                  int64_t since_ms)
{
    struct room *room = open_room(v, now, rx->from, OTHERS(ZT_WAIT_ADDRESSES));
    struct item *it =
        room != NULL ? add(v, room, WAIT_HOLD, since_ms, rx->n + ZT_PKT_PAYLOAD) : NULL;
    if (it == NULL)
        return;
    it->link = rx->link;
    it->id = rx->id;
    it->verb = rx->verb;
    it->hops = rx->hops;
    memset(it->p, 0, ZT_PKT_PAYLOAD);
    if (rx->n > 0)
        memcpy(it->p + ZT_PKT_PAYLOAD, rx->payload, rx->n);
}

void zt_whois(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr)
{
    if (addr == v->id.addr || zt_addr_reserved(addr) || zt_peer_get(v, addr) != NULL)
        return;
    if (zt_map_get(&v->waits.by_addr, addr) == NULL &&
        !zt_bucket_take(&v->waits.strangers, now->mono_ms, 32, 50)) {
        zt_drop_count(v->drops, ZT_DROP_RATE);
        return;
    }
    struct room *room = open_room(v, now, addr, OTHERS(ZT_WAIT_ADDRESSES));
    if (room != NULL)
        ask(v, now, room);
}

void zt_vl1_whois(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr)
{
    zt_whois(v, now, addr);
}

bool zt_whois_wanted(const struct zt_vl1 *v, uint64_t addr)
{
    return zt_map_get(&v->waits.by_addr, addr) != NULL;
}

static void kick(struct zt_vl1 *v, const struct zt_now *now, struct room *room)
{
    (void)zt_heap_set(&v->heap, &room->timer, now->mono_ms); /* queued already: cannot fail */
}

void zt_wait_kick(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr)
{
    struct room *room = zt_map_get(&v->waits.by_addr, addr);
    if (room != NULL)
        kick(v, now, room);
}

void zt_wait_kick_all(struct zt_vl1 *v, const struct zt_now *now)
{
    void *room;
    for (size_t i = 0; zt_map_next(&v->waits.by_addr, &i, NULL, &room);)
        kick(v, now, room);
}

void zt_vl1_release(struct zt_vl1 *v, const struct zt_now *now, uint64_t from)
{
    zt_wait_kick(v, now, from);
}

/* Try one item whose peer is known. It is already off the list; handling it may put a copy back. */
static void retry(struct zt_vl1 *v, const struct zt_now *now, struct zt_peer *peer, struct item *it)
{
    switch (it->kind) {
    case WAIT_TX:
        (void)zt_tx_route(v, now, peer, it->verb, it->p, it->n, it->flags, NULL);
        break;
    case WAIT_RX:
        zt_rx_packet(v, now, &it->link, it->p, it->n);
        break;
    case WAIT_HOLD: {
        struct zt_rx rx = {.peer = peer,
                           .from = peer->id.addr,
                           .link = it->link,
                           .id = it->id,
                           .verb = it->verb,
                           .hops = it->hops,
                           .payload = it->p + ZT_PKT_PAYLOAD,
                           .n = it->n - ZT_PKT_PAYLOAD};
        zt_rx_upper(v, now, &rx, it->since_ms);
        break;
    }
    }
}

static bool has_way(struct zt_vl1 *v, struct zt_peer *peer, int64_t now_ms)
{
    if (zt_peer_best(peer, now_ms, true) != NULL)
        return true;
    struct zt_peer *up = zt_roots_best(v, now_ms);
    return up != NULL && zt_peer_best(up, now_ms, false) != NULL;
}

static void fire(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = user;
    struct zt_vl1 *v = tick->v;
    struct room *room = ZT_CONTAINER(t, struct room, timer);
    int64_t now_ms = tick->now->mono_ms;
    struct zt_peer *peer = zt_peer_get(v, room->addr);
    bool may_send = peer != NULL && has_way(v, peer, now_ms);

    /* First put the timer back and take the items off, then act: handlers may add to this room. */
    (void)zt_heap_set(&v->heap, &room->timer, now_ms + ZT_WAIT_RETRY_MS);
    struct zt_list todo;
    zt_list_init(&todo);
    unsigned n = 0;
    ZT_LIST_EACH(l, &room->items)
    {
        struct item *it = ZT_CONTAINER(l, struct item, list);
        if (now_ms - it->since_ms >= ZT_WAIT_MS) {
            zt_drop_count(v->drops, ZT_DROP_QUEUE_EXPIRED);
            room->count--;
            item_free(v, it);
        } else if (peer != NULL && (it->kind != WAIT_TX || may_send)) {
            zt_list_remove(l);
            zt_list_push_back(&todo, l);
            n++;
        }
    }
    room->count -= n;
    ZT_LIST_EACH(l, &todo)
    {
        struct item *it = ZT_CONTAINER(l, struct item, list);
        retry(v, tick->now, peer, it);
        item_free(v, it);
    }
    bool asking = peer == NULL && now_ms - room->opened_ms < ZT_WAIT_MS;
    if (zt_list_empty(&room->items) && !asking) {
        zt_map_del(&v->waits.by_addr, room->addr);
        room_free(v, room);
    } else if (peer == NULL) {
        ask(v, tick->now, room);
    }
}
