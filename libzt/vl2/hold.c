#include "vl2/hold.h"

#include <stdlib.h>

#include "vl2/frame.h"

struct held {
    struct zt_list link; /* in net->held, oldest first */
    uint64_t to;
    int64_t until_ms;
    bool is_mcast;
    struct zt_group_id id; /* of a multicast, with the rest of it */
    struct zt_mcast_frame frame;
    uint32_t limit;
    size_t n;
    uint8_t room[]; /* ZT_FRAME_HEADROOM, then n bytes */
};

static void ask(struct zt_network *net, const struct zt_now *now, struct zt_member *m)
{
    zt_member_push(net, now, m, true); /* who does not know us does not answer */
    zt_network_ask_credentials(net, now, m->addr);
}

bool zt_hold_ready(struct zt_network *net, const struct zt_now *now, struct zt_member *m)
{
    if (net->is_adhoc)
        return true;
    if (m == NULL)
        return false; /* counted: no memory */
    if (ZT_GATE(RECIPIENT, zt_member_allowed(net, m))) {
        if (m->nheld > 0)
            zt_hold_release(net, now, m);
        return true;
    }
    zt_drop_count(net->vl2->drops, ZT_DROP_RECIPIENT);
    ask(net, now, m);
    return false;
}

/* Out of the list; freeing it is the caller's. */
static void unlink_held(struct zt_network *net, struct held *h)
{
    struct zt_member *m = zt_member_find(net, h->to);

    zt_list_remove(&h->link);
    net->nheld--;
    net->held_bytes -= h->n;
    if (m != NULL && m->nheld > 0)
        m->nheld--;
}

void zt_hold_drop(struct zt_network *net, const struct zt_member *m)
{
    if (m != NULL && m->nheld == 0)
        return;
    if (m == NULL)
        zt_heap_remove(&net->vl2->timers, &net->hold_timer);
    ZT_LIST_EACH(it, &net->held)
    {
        struct held *h = ZT_CONTAINER(it, struct held, link);
        if (m == NULL || h->to == m->addr) {
            unlink_held(net, h);
            free(h);
        }
    }
}

static void expire(struct zt_network *net, const struct zt_now *now)
{
    while (!zt_list_empty(&net->held)) {
        struct held *h = ZT_CONTAINER(net->held.next, struct held, link);
        if (h->until_ms > now->mono_ms)
            return;
        zt_drop_count(net->vl2->drops, ZT_DROP_QUEUE_EXPIRED);
        unlink_held(net, h);
        free(h);
    }
}

static struct held *keep(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                         const uint8_t *p, size_t n)
{
    expire(net, now);
    if (net->nheld >= ZT_HOLD_MAX || net->held_bytes + n > ZT_HOLD_BYTES) {
        zt_drop_count(net->vl2->drops, ZT_DROP_QUEUE_FULL);
        return NULL;
    }
    struct held *h = (struct held *)calloc(1, sizeof *h + ZT_FRAME_HEADROOM + n);
    if (h == NULL) {
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    h->to = m->addr;
    h->until_ms = now->mono_ms + ZT_HOLD_MS;
    h->n = n;
    memcpy(h->room + ZT_FRAME_HEADROOM, p, n);
    zt_list_init(&h->link);
    zt_list_push_back(&net->held, &h->link);
    if (net->nheld == 0) /* without memory for the timer nobody asks again; the rest works */
        zt_heap_set(&net->vl2->timers, &net->hold_timer, now->mono_ms + ZT_HOLD_RETRY_MS);
    net->nheld++;
    net->held_bytes += n;
    m->nheld++;
    return h;
}

void zt_hold_frame(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                   const uint8_t *eth, size_t n)
{
    if (m != NULL)
        keep(net, now, m, eth, n);
}

void zt_hold_mcast(struct zt_network *net, const struct zt_now *now, struct zt_member *m,
                   const struct zt_group_id *id, const struct zt_mcast_frame *f, uint32_t limit)
{
    struct held *h = m != NULL ? keep(net, now, m, f->p, f->n) : NULL;

    if (h == NULL)
        return;
    h->is_mcast = true;
    h->id = *id;
    h->frame = *f;
    h->frame.p = h->room + ZT_FRAME_HEADROOM;
    h->limit = limit;
}

void zt_hold_release(struct zt_network *net, const struct zt_now *now, struct zt_member *m)
{
    struct zt_list ready;
    uint64_t addr = m->addr;

    expire(net, now);
    /* Out first: sending may make room for another member, which drops what waits for the oldest.
     */
    zt_list_init(&ready);
    ZT_LIST_EACH(it, &net->held)
    {
        struct held *h = ZT_CONTAINER(it, struct held, link);
        if (h->to == addr) {
            unlink_held(net, h);
            zt_list_push_back(&ready, &h->link);
        }
    }
    ZT_LIST_EACH(it, &ready)
    {
        struct held *h = ZT_CONTAINER(it, struct held, link);
        if (h->is_mcast)
            zt_mcast_send_to(net, now, &h->id, &h->frame, h->limit, addr);
        else
            zt_frame_send(net, now, h->room + ZT_FRAME_HEADROOM, h->n);
        free(h);
    }
}

void zt_hold_due(void *user, struct zt_timer *t)
{
    const struct zt_tick *tick = (const struct zt_tick *)user;
    struct zt_network *net = ZT_CONTAINER(t, struct zt_network, hold_timer);
    struct zt_member *ready = NULL;

    expire(net, tick->now);
    ZT_LIST_EACH(it, &net->held)
    {
        struct zt_member *m = zt_member_find(net, ZT_CONTAINER(it, struct held, link)->to);
        if (m == NULL)
            continue;
        if (zt_member_allowed(net, m))
            ready = m; /* our own configuration changed; one a turn is enough for that */
        else
            ask(net, tick->now, m);
    }
    if (ready != NULL)
        zt_hold_release(net, tick->now, ready);
    if (net->nheld > 0)
        zt_heap_set(&net->vl2->timers, t, tick->now->mono_ms + ZT_HOLD_RETRY_MS);
}
