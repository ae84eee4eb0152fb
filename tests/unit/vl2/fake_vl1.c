#include "fake_vl1.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

struct zt_now fake_now;
struct fake_packet *fake_packets[FAKE_PACKETS];
size_t fake_npackets;

static struct zt_vl1 *nodes[FAKE_NODES];
static size_t nnodes;
bool fake_unproven;
static struct fake_packet *held[FAKE_PACKETS];
static size_t nheld;
static uint64_t next_id, rng;

void fake_begin(void)
{
    fake_now = (struct zt_now){.mono_ms = 1000, .wall_ms = 1700000000000};
    next_id = 1;
    fake_unproven = false;
    rng = 42;
}

static void free_all(struct fake_packet **list, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        free(list[i]);
    *n = 0;
}

void fake_clear(void)
{
    free_all(fake_packets, &fake_npackets);
}

void fake_end(void)
{
    for (size_t i = 0; i < nnodes; i++) {
        zt_vl2_free(nodes[i]->vl2);
        free(nodes[i]);
    }
    nnodes = 0;
    fake_clear();
    free_all(held, &nheld);
}

/* ---- host ---- */

static void host_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct zt_vl1 *v = (struct zt_vl1 *)user;
    assert_false(v->inside_frame);
    if (v->nframes == FAKE_FRAMES)
        return;
    struct fake_frame *f = &v->frames[v->nframes++];
    assert_true(n <= sizeof f->eth);
    f->nwid = nwid;
    f->n = n;
    memcpy(f->eth, eth, n);
}

static void host_random(void *user, void *out, size_t n)
{
    uint8_t *p = (uint8_t *)out;
    for (size_t i = 0; i < n; i++) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(rng >> 56);
    }
}

static void host_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
    struct zt_vl1 *v = (struct zt_vl1 *)user;
    assert_int_equal(what, ZT_OBJECT_NETWORK);
    assert_true(n <= sizeof v->saved);
    v->nsaved = n;
    if (n > 0)
        memcpy(v->saved, p, n);
}

static void host_event(void *user, const struct zt_event *ev)
{
    ((struct zt_vl1 *)user)->events++;
}

/* ---- nodes ---- */

struct zt_vl1 *fake_node(uint64_t addr)
{
    struct zt_identity id = {.addr = addr};
    for (unsigned i = 0; i < ZT_PUB; i++)
        id.pub[i] = (uint8_t)(addr >> i % 5 * 8);
    return fake_node_with(&id);
}

struct zt_vl1 *fake_node_with(const struct zt_identity *id)
{
    struct zt_vl1 *v = (struct zt_vl1 *)calloc(1, sizeof *v);
    assert_non_null(v);
    assert_true(nnodes < FAKE_NODES);
    v->addr = id->addr;
    v->id = *id;
    v->root_alive = true;
    v->host = (struct zt_host){.user = v,
                               .deliver = host_deliver,
                               .random = host_random,
                               .save = host_save,
                               .event = host_event};
    nodes[nnodes++] = v;
    assert_int_equal(zt_vl2_new(v, &v->host, &v->drops, &fake_now, &v->vl2), 0);
    return v;
}

static struct zt_vl1 *node_of(uint64_t addr)
{
    for (size_t i = 0; i < nnodes; i++) {
        if (nodes[i]->addr == addr)
            return nodes[i];
    }
    return NULL;
}

/* ---- the functions that VL2 calls ---- */

void zt_vl1_set_upper(struct zt_vl1 *v, const struct zt_vl1_upper *upper)
{
    v->upper = *upper;
}

static struct fake_packet *put(struct zt_vl1 *v, uint64_t dest, uint8_t verb, const uint8_t *p,
                               size_t n)
{
    assert_true(fake_npackets < FAKE_PACKETS && n <= ZT_PAYLOAD_MAX);
    struct fake_packet *k = (struct fake_packet *)calloc(1, sizeof *k);
    assert_non_null(k);
    k->from = v->addr;
    k->dest = dest;
    k->verb = verb;
    k->id = next_id++;
    k->n = n;
    if (n > 0)
        memcpy(k->p, p, n);
    fake_packets[fake_npackets++] = k;
    return k;
}

int zt_vl1_send(struct zt_vl1 *v, const struct zt_now *now, uint64_t dest, uint8_t verb,
                uint8_t *payload, size_t n, unsigned flags, uint64_t *id)
{
    if (n > ZT_PKT_MAX_SENT - ZT_PKT_PAYLOAD)
        return ZT_E_SPACE;
    if (zt_addr_reserved(dest) || dest == v->addr)
        return ZT_E_INVAL;
    struct fake_packet *k;
    if (verb == ZT_VERB_ERROR ||
        verb == ZT_VERB_OK) { /* not of zt_vl1_reply: head in the payload */
        const size_t head = verb == ZT_VERB_ERROR ? 10 : 9;
        assert_true(n >= head);
        k = put(v, dest, verb, payload + head, n - head);
        k->is_reply = true;
        k->in_re_verb = payload[0];
        k->in_re_id = zt_be64(payload + 1);
        k->code = verb == ZT_VERB_ERROR ? payload[9] : 0;
    } else {
        k = put(v, dest, verb, payload, n);
    }
    k->flags = flags;
    /* As the real one does: header room and payload are gone afterwards. */
    memset(payload - ZT_PKT_PAYLOAD, 0xee, ZT_PKT_PAYLOAD + n);
    return 0;
}

int zt_vl1_reply_ok(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *to,
                    const uint8_t *body, size_t n)
{
    assert_true(n <= 1400);
    struct fake_packet *k = put(v, to->from, ZT_VERB_OK, body, n);
    k->is_reply = true;
    k->in_re_verb = to->verb;
    k->in_re_id = to->id;
    return 0;
}

int zt_vl1_reply_error(struct zt_vl1 *v, const struct zt_now *now, const struct zt_rx *to,
                       uint8_t code, const uint8_t *body, size_t n)
{
    struct fake_packet *k = put(v, to->from, ZT_VERB_ERROR, body, n);
    k->is_reply = true;
    k->code = code;
    k->in_re_verb = to->verb;
    k->in_re_id = to->id;
    return 0;
}

bool zt_vl1_is_proven(const struct zt_rx *rx)
{
    return !fake_unproven;
}

uint64_t zt_vl1_address(const struct zt_vl1 *v)
{
    return v->addr;
}

const struct zt_identity *zt_vl1_identity(const struct zt_vl1 *v)
{
    return &v->id;
}

const struct zt_identity *zt_vl1_identity_of(const struct zt_vl1 *v, uint64_t addr)
{
    const struct zt_vl1 *n = node_of(addr);
    return n != NULL && !v->sees_nobody ? &n->id : NULL;
}

bool zt_vl1_is_root(const struct zt_vl1 *v)
{
    return v->is_root;
}

bool zt_vl1_is_upstream(const struct zt_vl1 *v, uint64_t addr)
{
    for (size_t i = 0; i < v->nroots; i++) {
        if (v->roots[i] == addr)
            return true;
    }
    return false;
}

size_t zt_vl1_upstreams(const struct zt_vl1 *v, uint64_t *out, size_t cap)
{
    size_t n = v->nroots < cap ? v->nroots : cap;
    memcpy(out, v->roots, n * sizeof *out);
    return n;
}

uint64_t zt_vl1_best_upstream(const struct zt_vl1 *v, const struct zt_now *now)
{
    return v->nroots > 0 && v->root_alive ? v->roots[0] : 0;
}

int zt_vl1_latency(const struct zt_vl1 *v, const struct zt_now *now, uint64_t addr)
{
    return v->root_alive ? 10 : -1;
}

void zt_vl1_whois(struct zt_vl1 *v, const struct zt_now *now, uint64_t addr)
{
    v->asked = addr;
}

void zt_vl1_release(struct zt_vl1 *v, const struct zt_now *now, uint64_t from)
{
    for (size_t i = 0; i < nheld; i++) {
        if (held[i]->from == from && held[i]->dest == v->addr) {
            fake_packets[fake_npackets++] = held[i];
            held[i--] = held[--nheld];
        }
    }
}

/* ---- the wire ---- */

static enum zt_verdict hand_up(struct zt_vl1 *to, const struct fake_packet *k)
{
    /* Room in front, exact size behind: a sanitizer sees reads past the end. */
    uint8_t *room = (uint8_t *)malloc(ZT_PKT_PAYLOAD + k->n);
    assert_non_null(room);
    memset(room, 0xcc, ZT_PKT_PAYLOAD);
    memcpy(room + ZT_PKT_PAYLOAD, k->p, k->n);
    struct zt_rx rx = {
        .from = k->from, .id = k->id, .verb = k->verb, .payload = room + ZT_PKT_PAYLOAD, .n = k->n};
    enum zt_verdict r;
    if (k->verb == ZT_VERB_OK)
        r = to->upper.ok(to->upper.user, &fake_now, &rx, k->in_re_verb, k->in_re_id, rx.payload,
                         rx.n);
    else if (k->verb == ZT_VERB_ERROR)
        r = to->upper.error(to->upper.user, &fake_now, &rx, k->in_re_verb, k->in_re_id, k->code,
                            rx.payload, rx.n);
    else
        r = to->upper.packet(to->upper.user, &fake_now, &rx);
    free(room);
    return r;
}

unsigned fake_pump(void)
{
    unsigned n = 0;
    while (fake_npackets > 0) {
        struct fake_packet *k = fake_packets[0];
        memmove(fake_packets, fake_packets + 1, --fake_npackets * sizeof fake_packets[0]);
        struct zt_vl1 *to = node_of(k->dest);
        if (to != NULL) {
            n++;
            if (hand_up(to, k) == ZT_VERDICT_HOLD && nheld < FAKE_PACKETS) {
                held[nheld++] = k;
                continue;
            }
        }
        free(k);
    }
    return n;
}

void fake_run(int64_t ms)
{
    int64_t end = fake_now.mono_ms + ms;
    for (;;) {
        int64_t next = end;
        fake_pump();
        for (size_t i = 0; i < nnodes; i++) {
            int64_t d = zt_vl2_deadline(nodes[i]->vl2);
            next = d < next ? d : next;
        }
        if (next > fake_now.mono_ms) {
            fake_now.wall_ms += next - fake_now.mono_ms;
            fake_now.mono_ms = next;
        }
        for (size_t i = 0; i < nnodes; i++)
            zt_vl2_tick(nodes[i]->vl2, &fake_now);
        if (fake_npackets == 0 && fake_now.mono_ms >= end)
            return;
    }
}

struct fake_packet *fake_find(const struct zt_vl1 *from, uint8_t verb)
{
    for (size_t i = 0; i < fake_npackets; i++) {
        if (fake_packets[i]->from == from->addr && fake_packets[i]->verb == verb)
            return fake_packets[i];
    }
    fail_msg("no packet with verb %02x under way", verb);
    return NULL;
}

unsigned fake_count(const struct zt_vl1 *from, uint8_t verb)
{
    unsigned n = 0;
    for (size_t i = 0; i < fake_npackets; i++)
        n += fake_packets[i]->from == from->addr && fake_packets[i]->verb == verb;
    return n;
}

static enum zt_verdict inject(struct zt_vl1 *to, struct fake_packet *k, const void *p, size_t n)
{
    assert_true(n <= sizeof k->p);
    k->dest = to->addr;
    k->id = next_id++;
    k->n = n;
    if (n > 0)
        memcpy(k->p, p, n);
    enum zt_verdict r = hand_up(to, k);
    free(k);
    return r;
}

static struct fake_packet *make(uint64_t from, uint8_t verb)
{
    struct fake_packet *k = (struct fake_packet *)calloc(1, sizeof *k);
    assert_non_null(k);
    k->from = from;
    k->verb = verb;
    return k;
}

enum zt_verdict fake_inject(struct zt_vl1 *to, uint64_t from, uint8_t verb, const void *p, size_t n)
{
    return inject(to, make(from, verb), p, n);
}

enum zt_verdict fake_inject_error(struct zt_vl1 *to, uint64_t from, uint8_t in_re_verb,
                                  uint8_t code, const void *p, size_t n)
{
    struct fake_packet *k = make(from, ZT_VERB_ERROR);
    k->in_re_verb = in_re_verb;
    k->code = code;
    return inject(to, k, p, n);
}

enum zt_verdict fake_inject_ok(struct zt_vl1 *to, uint64_t from, uint8_t in_re_verb, const void *p,
                               size_t n)
{
    struct fake_packet *k = make(from, ZT_VERB_OK);
    k->in_re_verb = in_re_verb;
    return inject(to, k, p, n);
}

int fake_frame_out(struct zt_vl1 *node, uint64_t nwid, uint64_t dest, uint64_t source,
                   uint16_t type, const void *p, size_t n)
{
    uint8_t *room = (uint8_t *)malloc(ZT_FRAME_HEADROOM + 14 + n);
    assert_non_null(room);
    uint8_t *eth = room + ZT_FRAME_HEADROOM;
    zt_put48(eth, dest);
    zt_put48(eth + 6, source);
    zt_put16(eth + 12, type);
    if (n > 0)
        memcpy(eth + 14, p, n);
    node->inside_frame = true;
    int r = zt_vl2_frame(node->vl2, &fake_now, nwid, eth, 14 + n);
    node->inside_frame = false;
    free(room);
    return r;
}
