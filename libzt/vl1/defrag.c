/* A bounded table of incomplete packets, keyed by packet id: pieces of one packet may come over
 * different paths. When it is full the oldest goes (FRAGMENT_EVICTED); what is not complete after 5
 * s goes too (FRAGMENT_EXPIRED). Nothing here is authenticated: the MAC covers the whole packet and
 * is checked afterwards, so the worst a stranger who guesses a 64-bit id can do is spoil one
 * packet.
 *
 * Each piece is copied once, to where it belongs in the buffer. Senders cut all pieces but the last
 * to one size u + 16, of which the head is full and the others spend 16 on their header, so piece k
 * lies at 16 + k * u; u is known from the head and from every piece but the last. A last piece that
 * arrives first, and pieces of a sender that cuts otherwise, are put into the upper half of the
 * buffer; then the finished packet is put together by moving them.
 *
 * Buffers are made when they are needed and used again; a minute without any fragment frees them, so
 * that a burst (or a flood) of them costs memory only while it lasts. */
#include "vl1/defrag.h"

#include <assert.h>
#include <stdlib.h>

void zt_defrag_init(struct zt_defrag *d, struct zt_drops *drops)
{
    *d = (struct zt_defrag){.drops = drops};
    zt_list_init(&d->used);
    zt_list_init(&d->unused);
    for (unsigned i = 0; i < ZT_DEFRAG_ENTRIES; i++) {
        zt_list_init(&d->entries[i].list);
        zt_list_push_back(&d->unused, &d->entries[i].list);
    }
}

void zt_defrag_fini(struct zt_defrag *d)
{
    for (unsigned i = 0; i < ZT_DEFRAG_ENTRIES; i++)
        free(d->entries[i].buf);
}

static void release(struct zt_defrag *d, struct zt_defrag_entry *e)
{
    zt_list_remove(&e->list);
    zt_list_push_front(&d->unused, &e->list); /* its buffer is warm: use it next */
}

static struct zt_defrag_entry *find(struct zt_defrag *d, uint64_t id)
{
    ZT_LIST_EACH(it, &d->used)
    {
        struct zt_defrag_entry *e = ZT_CONTAINER(it, struct zt_defrag_entry, list);
        if (e->id == id)
            return e;
    }
    return NULL;
}

static struct zt_defrag_entry *make(struct zt_defrag *d, uint64_t id, int64_t now_ms)
{
    if (zt_list_empty(&d->unused)) {
        zt_drop_count(d->drops, ZT_DROP_FRAGMENT_EVICTED);
        release(d, ZT_CONTAINER(d->used.next, struct zt_defrag_entry, list));
    }
    struct zt_defrag_entry *e = ZT_CONTAINER(d->unused.next, struct zt_defrag_entry, list);
    uint8_t *buf = e->buf != NULL ? e->buf : malloc(ZT_DEFRAG_BUFFER);
    if (buf == NULL) {
        zt_drop_count(d->drops, ZT_DROP_NO_MEMORY);
        return NULL;
    }
    zt_list_remove(&e->list);
    *e = (struct zt_defrag_entry){.id = id, .since_ms = now_ms, .buf = buf};
    zt_list_init(&e->list);
    zt_list_push_back(&d->used, &e->list);
    return e;
}

/* Where piece `no` belongs if the sender cuts evenly; 0 for "not known yet" (no piece but the head
 * lies at 0). */
static size_t proper_place(const struct zt_defrag_entry *e, unsigned no, size_t len)
{
    if (no == 0)
        return 0;
    if (no + 1u < e->total)
        return ZT_FRAG_DATA + no * len;
    if (e->held & 1)
        return e->piece[0].len + (no - 1u) * (e->piece[0].len - (size_t)ZT_FRAG_DATA);
    for (unsigned k = 1; k < no; k++)
        if (e->held >> k & 1)
            return ZT_FRAG_DATA + (size_t)no * e->piece[k].len;
    return 0;
}

static bool is_free(const struct zt_defrag_entry *e, size_t off, size_t len)
{
    if (off + len > ZT_PKT_MAX)
        return false;
    for (unsigned k = 0; k < ZT_FRAGS_MAX; k++)
        if (e->held >> k & 1 && off < (size_t)e->piece[k].off + e->piece[k].len &&
            e->piece[k].off < off + len)
            return false;
    return true;
}

static void place(struct zt_defrag_entry *e, unsigned no, const uint8_t *data, size_t len)
{
    size_t off = proper_place(e, no, len);
    if ((no > 0 && off == 0) || !is_free(e, off, len)) {
        off = ZT_PKT_MAX + e->spill; /* fits: the sum of all lengths is at most ZT_PKT_MAX */
        e->spill += len;
    }
    memcpy(e->buf + off, data, len);
    e->piece[no].off = (uint16_t)off;
    e->piece[no].len = (uint16_t)len;
    e->held |= (uint8_t)(1u << no);
    e->n += len;
}

/* Bring the pieces of a complete packet into one row. */
static void join(struct zt_defrag_entry *e)
{
    size_t at = 0;
    bool in_row = true;
    for (unsigned k = 0; k < e->total; k++) {
        in_row &= e->piece[k].off == at;
        at += e->piece[k].len;
    }
    if (in_row)
        return;
    uint8_t row[ZT_PKT_MAX];
    at = 0;
    for (unsigned k = 0; k < e->total; k++) {
        memcpy(row + at, e->buf + e->piece[k].off, e->piece[k].len);
        at += e->piece[k].len;
    }
    memcpy(e->buf, row, at);
}

bool zt_defrag_add(struct zt_defrag *d, int64_t now_ms, const struct zt_link *in, const uint8_t *p,
                   size_t n, uint8_t **packet, size_t *len, struct zt_link *link)
{
    bool is_head = p[ZT_FRAG_INDICATOR_AT] != ZT_FRAG_INDICATOR;
    unsigned no = is_head ? 0 : p[ZT_FRAG_TOTAL_NO] & 15;
    unsigned total = is_head ? 0 : p[ZT_FRAG_TOTAL_NO] >> 4;
    const uint8_t *data = is_head ? p : p + ZT_FRAG_DATA;
    size_t size = is_head ? n : n - ZT_FRAG_DATA;

    if (!is_head && (total < 2 || total > ZT_FRAGS_MAX || no == 0 || no >= total || size == 0)) {
        zt_drop_count(d->drops, ZT_DROP_FRAGMENT_HEADER);
        return false;
    }
    d->last_ms = now_ms;
    uint64_t id = zt_pkt_id(p);
    struct zt_defrag_entry *e = find(d, id);
    if (size > ZT_PKT_MAX || (e != NULL && e->n + size > ZT_PKT_MAX)) {
        zt_drop_count(d->drops, ZT_DROP_FRAGMENT_SIZE);
        if (e != NULL && size <= ZT_PKT_MAX)
            release(d, e); /* it can never be completed */
        return false;
    }
    if (e == NULL && (e = make(d, id, now_ms)) == NULL)
        return false;
    if (e->held >> no & 1) {
        zt_drop_count(d->drops, ZT_DROP_DUPLICATE);
        return false;
    }
    if (!is_head && e->total != 0 && e->total != total) {
        zt_drop_count(d->drops, ZT_DROP_FRAGMENT_HEADER);
        return false;
    }
    if (is_head)
        e->link = *in;
    else
        e->total = (uint8_t)total;
    place(e, no, data, size);
    if (e->total == 0 || e->held != (1u << e->total) - 1)
        return false;

    join(e);
    *packet = e->buf;
    *len = e->n;
    *link = e->link;
    release(d, e);
    return true;
}

int64_t zt_defrag_expire(struct zt_defrag *d, int64_t now_ms)
{
    while (!zt_list_empty(&d->used)) {
        struct zt_defrag_entry *e = ZT_CONTAINER(d->used.next, struct zt_defrag_entry, list);
        if (now_ms - e->since_ms < ZT_DEFRAG_MS)
            return e->since_ms + ZT_DEFRAG_MS;
        zt_drop_count(d->drops, ZT_DROP_FRAGMENT_EXPIRED);
        release(d, e);
    }
    if (now_ms - d->last_ms < ZT_DEFRAG_REST_MS)
        return d->last_ms + ZT_DEFRAG_REST_MS;
    for (unsigned i = 0; i < ZT_DEFRAG_ENTRIES; i++) {
        free(d->entries[i].buf);
        d->entries[i].buf = NULL;
    }
    return ZT_NEVER;
}
