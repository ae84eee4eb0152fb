/* A campaign against whole nodes: each seed is a world of its own (roots, a controller, members,
 * NATs), which is shown to work, then put through minutes of faults, then healed; and then it must
 * be as good as before.
 *
 *   campaign [-s FIRST_SEED] [-n SEEDS] [-v]      exit status 1 when a seed failed
 *
 * The faults: loss up to 60 %, duplicates, delays that reorder, changed bytes, replays, garbage;
 * links and whole groups cut off; nodes that stop (with or without saving what they know) and start
 * again, roots and the controller too; new addresses, NATs that forget everything or change their
 * own; suspended nodes; wall clocks that jump; leaving, joining, being barred and let in again.
 *
 * What must hold:
 *   at any time    a frame that is delivered is one that was sent to this node, byte by byte, and
 *                  by the member whose MAC it bears; on the private network only when both were
 *                  members lately; not more than once by a node that remembers
 *                  a byte that a TCP stream delivers is the one that was sent there
 *                  no table is fuller than its bound
 *   once healed    within HEAL_MS every pair that may talk has talked, both ways, on both networks
 *                  TCP streams that were not given up end whole; new ones arrive whole, both ways
 *   then, in peace no pair is silent for a minute; no events, and not more datagrams than keeping
 *                  alive needs; afterwards no more memory than before the faults, but for the
 *                  room that containers keep (KEPT_BY_NODE) */
#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"
#include "streams.h"

#include "base/buf.h"
#include "vl1/nat.h"

#define MEMBERS_MAX 9
#define ROOTS_MAX 3
#define NODES_MAX (MEMBERS_MAX + ROOTS_MAX + 1)
#define ADHOC 0xff0a000000000001u /* everybody may talk to everybody */
#define ETH 14
#define TYPE 0x88b5 /* for local experiments (IEEE 802) */
#define HEAD 16     /* of a frame's payload: from, to, number, length */
#define FRAME_MAX 2800
#define FAULTS_MS 240000
#define HEAL_MS 90000
#define PEACE_MS 300000
#define FORGET_MS 1300000
#define STREAM_BYTES 100000
#define STREAM_MS 60000
#define STREAM_END_MS 180000 /* TCP waits up to a minute between its attempts */
#define NUMBERS 65536
#define CAUGHT 32

/* Memory that may be held beyond what was: all tables are emptied and freed, only containers keep the
 * room they once needed. Of one node: */
#define KEPT_BY_NODE                                                                             \
    (512 * 8 /* heap of timers: 64 probes, 256 waiting addresses, a few a peer, rounded up */ +  \
     512 * 16 /* map of 256 waiting addresses, at most 3/4 full */ +                             \
     4 * 64 * 16 /* maps of peers, members, credentials, groups: of some ten each */ +           \
     2048 /* revocations that a controller keeps */)
#define FLYING 8192 /* datagrams under way, of either count */

/* All that is allocated (the linker's --wrap): malloc's own statistics count what its caches keep. */
static size_t allocated;
void *__real_malloc(size_t n);
void *__real_calloc(size_t k, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t k, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void __wrap_free(void *p);

static void *count(void *p)
{
    allocated += malloc_usable_size(p);
    return p;
}

void *__wrap_malloc(size_t n)
{
    return count(__real_malloc(n));
}

void *__wrap_calloc(size_t k, size_t n)
{
    return count(__real_calloc(k, n));
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return count(__real_aligned_alloc(align, n));
}

void *__wrap_realloc(void *p, size_t n)
{
    const size_t old = malloc_usable_size(p);
    p = count(__real_realloc(p, n));
    assert(p != NULL);
    allocated -= old;
    return p;
}

void __wrap_free(void *p)
{
    allocated -= malloc_usable_size(p);
    __real_free(p);
}

struct caught { /* to be sent again */
    struct sim_node *to;
    struct zt_ep from;
    size_t n;
    uint8_t p[ZT_MTU_MAX];
};

struct world {
    struct sim *s;
    struct streams *streams; /* TCP between two of the members, on the ad-hoc network */
    uint64_t seed, chance;
    bool verbose, failed;

    unsigned nroots, nmembers, nnodes;
    struct sim_node *node[NODES_MAX]; /* roots, members, the controller */
    uint64_t nwid[2];                 /* ad-hoc, private */
    bool member[NODES_MAX];           /* authorized on the private network (index: node number) */
    int64_t barred_ms[NODES_MAX];     /* when it was not any more; INT64_MIN: never */
    bool joined[NODES_MAX][2];
    int64_t back_ms[NODES_MAX]; /* stopped until then; 0: runs */

    unsigned number; /* of the next frame */
    int64_t delivered_ms[NUMBERS]; /* 0: not yet */
    int64_t began_ms[NODES_MAX];
    bool heard[2][NODES_MAX][NODES_MAX];
    struct caught caught[CAUGHT];
    unsigned ncaught;
    char where[64]; /* phase */
};

static uint64_t rnd(struct world *w)
{
    uint64_t r;
    sim_random(&w->chance, &r, sizeof r);
    return r;
}

static unsigned pick(struct world *w, unsigned below)
{
    return below > 0 ? (unsigned)(rnd(w) % below) : 0;
}

static bool one_in(struct world *w, unsigned n)
{
    return pick(w, n) == 0;
}

static int64_t now_ms(const struct world *w)
{
    return sim_now(w->s).mono_ms;
}

#define FAIL(w, ...)                                                                       \
    do {                                                                                   \
        if (!(w)->failed) {                                                                \
            printf("seed %" PRIu64 ", %s, at %" PRId64 " s: ", (w)->seed, (w)->where,      \
                   now_ms(w) / 1000);                                                      \
            printf(__VA_ARGS__);                                                           \
            printf("\n");                                                                  \
            (w)->failed = true;                                                            \
        }                                                                                  \
    } while (0)

#define NOTE(w, ...)                                                                        \
    do {                                                                                    \
        if ((w)->verbose) {                                                                 \
            printf("%8.3f  ", (double)now_ms(w) / 1000);                                    \
            printf(__VA_ARGS__);                                                            \
            printf("\n");                                                                   \
        }                                                                                   \
    } while (0)

static bool is_member_node(const struct world *w, unsigned i)
{
    return i >= w->nroots;
}

static bool runs(const struct world *w, unsigned i)
{
    return w->node[i]->core != NULL;
}

/* -- frames -- */

static void fill(uint8_t *p, size_t n, unsigned from, unsigned to, unsigned number)
{
    uint64_t state = (uint64_t)number << 32 | from << 16 | to;
    zt_put32(p, from);
    zt_put32(p + 4, to);
    zt_put32(p + 8, number);
    zt_put32(p + 12, (uint32_t)n);
    sim_random(&state, p + HEAD, n - HEAD);
}

static void say(struct world *w, unsigned net, unsigned from, unsigned to, size_t n)
{
    uint8_t room[ZT_FRAME_HEADROOM + ETH + FRAME_MAX], *eth = room + ZT_FRAME_HEADROOM;
    struct zt_now now = sim_node_now(w->node[from]);
    if (!runs(w, from) || w->node[from]->frozen_until_ms > now_ms(w))
        return;
    zt_put48(eth, zt_mac_of(w->node[to]->id.addr, w->nwid[net]));
    zt_put48(eth + 6, zt_mac_of(w->node[from]->id.addr, w->nwid[net]));
    zt_put16(eth + 12, TYPE);
    fill(eth + ETH, n, from, to, w->number++);
    (void)zt_core_frame(w->node[from]->core, &now, w->nwid[net], eth, ETH + n);
}

static bool member_lately(const struct world *w, unsigned i)
{
    /* News of a revocation reach those who can be reached; a cut off one may miss them. */
    return w->member[i] || now_ms(w) - w->barred_ms[i] < FAULTS_MS + HEAL_MS;
}

static void on_frame(void *user, struct sim_node *at, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct world *w = user;
    static uint8_t want[FRAME_MAX];
    if (n < ETH || zt_be16(eth + 12) != TYPE) {
        if (w->streams != NULL)
            streams_frame(w->streams, at, nwid, eth, n);
        return;
    }
    unsigned net = nwid == w->nwid[1];
    if (n < ETH + HEAD || n > ETH + FRAME_MAX || nwid != w->nwid[net]) {
        FAIL(w, "node %u got a frame of %zu bytes on %016" PRIx64, at->no, n, nwid);
        return;
    }
    const uint8_t *p = eth + ETH;
    unsigned from = zt_be32(p), to = zt_be32(p + 4), number = zt_be32(p + 8);
    if (from >= w->nnodes || to != at->no || zt_be32(p + 12) != n - ETH || number >= w->number) {
        FAIL(w, "node %u got a frame that nobody sent to it", at->no);
        return;
    }
    fill(want, n - ETH, from, to, number);
    if (memcmp(want, p, n - ETH) != 0)
        FAIL(w, "node %u got a frame of node %u with other bytes than were sent", to, from);
    if (zt_be48(eth + 6) != zt_mac_of(w->node[from]->id.addr, nwid) ||
        zt_be48(eth) != zt_mac_of(w->node[to]->id.addr, nwid))
        FAIL(w, "node %u got a frame of node %u with another one's MAC", to, from);
    if (number < NUMBERS) {
        /* Nothing in the protocol tells a node what it was sent before it started. */
        if (w->delivered_ms[number] > w->began_ms[to])
            FAIL(w, "node %u got a frame of node %u twice", to, from);
        w->delivered_ms[number] = now_ms(w);
    }
    if (net == 1 && (!member_lately(w, from) || !member_lately(w, to)))
        FAIL(w, "node %u got a frame of node %u on a network that both are not members of", to,
             from);
    w->heard[net][from][to] = true;
}

/* -- the network outside -- */

static bool on_datagram(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p,
                        size_t n)
{
    struct world *w = user;
    if (n <= ZT_MTU_MAX && one_in(w, 8)) {
        struct caught *c = &w->caught[w->ncaught++ % CAUGHT];
        c->to = to;
        c->from = from->ep;
        c->n = n;
        memcpy(c->p, p, n);
    }
    return true;
}

/* Somebody sends what was sent before, changed or not, from the same or another place; or noise. */
static void attack(struct world *w)
{
    uint8_t p[ZT_MTU_MAX];
    size_t n;
    struct sim_node *to;
    struct zt_ep from = {.family = 4, .port = (uint16_t)(1024 + pick(w, 60000)), .ip = {66, 6, 6, 6}};
    if (w->ncaught > 0 && !one_in(w, 4)) {
        const struct caught *c = &w->caught[pick(w, w->ncaught < CAUGHT ? w->ncaught : CAUGHT)];
        to = one_in(w, 4) ? w->node[pick(w, w->nnodes)] : c->to;
        if (one_in(w, 2))
            from = c->from;
        n = c->n;
        memcpy(p, c->p, n);
        for (unsigned k = pick(w, 4); k > 0; k--)
            p[pick(w, (unsigned)n)] = (uint8_t)rnd(w);
        if (one_in(w, 4))
            n = pick(w, (unsigned)n + 1);
    } else {
        to = w->node[pick(w, w->nnodes)];
        n = pick(w, sizeof p);
        sim_random(&w->chance, p, n);
        if (n >= 13 && one_in(w, 2))
            zt_put40(p + 8, to->id.addr);
    }
    if (to->core != NULL && to->frozen_until_ms <= now_ms(w))
        sim_inject(to, &from, p, n);
}

static struct sim_link sane_link(struct world *w)
{
    return (struct sim_link){.delay_ms = 5 + (int)pick(w, 60), .jitter_ms = (int)pick(w, 20),
                             .mask_at = 64};
}

static struct sim_link bad_link(struct world *w)
{
    struct sim_link l = sane_link(w);
    if (one_in(w, 2))
        l.loss_permille = pick(w, 601);
    if (one_in(w, 3))
        l.dup_permille = pick(w, 300);
    if (one_in(w, 3))
        l.corrupt_permille = pick(w, 200);
    if (one_in(w, 4))
        l.delay_ms = (int)pick(w, 800);
    if (one_in(w, 4))
        l.jitter_ms = (int)pick(w, 500);
    l.blocked = one_in(w, 8);
    return l;
}

static void heal_links(struct world *w)
{
    for (unsigned i = 0; i < w->nnodes; i++)
        for (unsigned k = 0; k < w->nnodes; k++)
            *sim_link(w->node[i], w->node[k]) = sane_link(w);
}

/* -- nodes -- */

static void join(struct world *w, unsigned i, unsigned net)
{
    struct zt_now now = sim_node_now(w->node[i]);
    if (zt_core_join(w->node[i]->core, &now, w->nwid[net], NULL, 0) != 0)
        FAIL(w, "node %u can't join", i);
    w->joined[i][net] = true;
}

static void start(struct world *w, unsigned i, bool remember)
{
    struct sim_node *n = w->node[i];
    n->mono_off_ms = (int64_t)pick(w, 1000000);
    sim_start(n);
    struct zt_now now = sim_node_now(n);
    if (!remember)
        n->npeers = 0;
    for (unsigned k = 0; k < n->npeers; k++)
        (void)zt_core_restore_peer(n->core, &now, n->peers[k].file, n->peers[k].n);
    for (unsigned net = 0; is_member_node(w, i) && net < 2; net++)
        join(w, i, net);
    w->back_ms[i] = 0;
    w->began_ms[i] = now_ms(w);
    NOTE(w, "node %u starts%s", i, remember ? "" : ", remembering nothing");
}

static void stop(struct world *w, unsigned i)
{
    bool kill = one_in(w, 2);
    if (!kill)
        zt_core_save_peers(w->node[i]->core);
    sim_stop(w->node[i]);
    w->node[i]->frozen_until_ms = 0;
    w->back_ms[i] = now_ms(w) + 100 + pick(w, one_in(w, 3) ? 120000 : 5000);
    NOTE(w, "node %u %s", i, kill ? "is killed" : "stops");
}

static void move(struct world *w, unsigned i)
{
    struct sim_node *n = w->node[i];
    struct zt_now now = sim_node_now(n);
    if (i < w->nroots)
        return;
    if (one_in(w, 2))
        n->ep.port = (uint16_t)(1024 + pick(w, 60000));
    else
        n->ep.ip[3] = (uint8_t)(n->ep.ip[3] + 1); /* [2] is its own */
    zt_core_set_local(n->core, &now, &n->ep, 1);
    NOTE(w, "node %u moves", i);
}

static void rebind(struct world *w, unsigned i)
{
    struct sim_nat *nat = w->node[i]->nat;
    if (nat == NULL)
        return;
    nat->n = 0;
    if (one_in(w, 3))
        nat->outside.ip[3]++;
    NOTE(w, "the NAT of node %u forgets everything", i);
}

static unsigned ctl(const struct world *w)
{
    return w->nnodes - 1;
}

static void allow(struct world *w, unsigned i, bool yes)
{
    if (!runs(w, ctl(w)))
        return;
    sim_ctl_member(w->node[ctl(w)], w->nwid[1], w->node[i], yes);
    if (w->member[i] && !yes)
        w->barred_ms[i] = now_ms(w);
    w->member[i] = yes;
    NOTE(w, "node %u is %s", i, yes ? "a member" : "barred");
}

/* -- the phases -- */

static void talk(struct world *w, unsigned tries)
{
    for (unsigned k = 0; k < tries; k++) {
        unsigned n = w->nnodes - w->nroots;
        unsigned from = w->nroots + pick(w, n), to = w->nroots + pick(w, n);
        size_t len = one_in(w, 3) ? HEAD + pick(w, FRAME_MAX - HEAD) : HEAD + pick(w, 200);
        if (from != to)
            say(w, pick(w, 2), from, to, len);
    }
}

static void fault(struct world *w)
{
    unsigned i = pick(w, w->nnodes), k = pick(w, w->nnodes);
    unsigned net = pick(w, 2);
    switch (pick(w, 12)) {
    case 0: /* one direction of one link */
        *sim_link(w->node[i], w->node[k]) = bad_link(w);
        break;
    case 1: /* all of one node */
        for (unsigned j = 0; j < w->nnodes; j++) {
            *sim_link(w->node[i], w->node[j]) = bad_link(w);
            *sim_link(w->node[j], w->node[i]) = bad_link(w);
        }
        NOTE(w, "the links of node %u go bad", i);
        break;
    case 2: { /* a part from the rest, or all together again */
        uint64_t side = one_in(w, 3) ? 0 : rnd(w);
        for (unsigned a = 0; a < w->nnodes; a++)
            for (unsigned b = 0; b < w->nnodes; b++)
                sim_link(w->node[a], w->node[b])->blocked = (side >> a & 1) != (side >> b & 1);
        NOTE(w, "partition %" PRIx64, side & ((1u << w->nnodes) - 1));
        break;
    }
    case 3:
    case 4:
        if (runs(w, i))
            stop(w, i);
        break;
    case 5:
        if (runs(w, i))
            move(w, i);
        break;
    case 6:
        rebind(w, i);
        break;
    case 7:
        if (runs(w, i)) {
            w->node[i]->frozen_until_ms = now_ms(w) + pick(w, 60000);
            NOTE(w, "node %u is suspended", i);
        }
        break;
    case 8:
        w->node[i]->wall_off_ms += (int64_t)pick(w, 7200000) - 3600000;
        NOTE(w, "the clock of node %u is wrong by %" PRId64 " s", i,
             w->node[i]->wall_off_ms / 1000);
        break;
    case 9: {
        struct zt_now now = sim_node_now(w->node[i]);
        if (is_member_node(w, i) && runs(w, i)) {
            if (w->joined[i][net])
                (void)zt_core_leave(w->node[i]->core, &now, w->nwid[net]);
            else
                join(w, i, net);
            w->joined[i][net] = !w->joined[i][net] || false;
            NOTE(w, "node %u %s network %u", i, "joins or leaves", net);
        }
        break;
    }
    case 10:
        if (is_member_node(w, i) && i != ctl(w))
            allow(w, i, !w->member[i]);
        break;
    default: /* calm for a while */
        if (one_in(w, 4))
            heal_links(w);
        break;
    }
}

static void check_tables(struct world *w)
{
    struct zt_table_info t[ZT_INFO_TABLES];
    for (unsigned i = 0; i < w->nnodes; i++) {
        if (!runs(w, i))
            continue;
        size_t n = zt_core_tables(w->node[i]->core, t);
        for (size_t k = 0; k < n; k++)
            if (t[k].used > t[k].bound)
                FAIL(w, "node %u: %s holds %zu of %zu", i, t[k].name, t[k].used, t[k].bound);
    }
}

static void faults(struct world *w)
{
    int64_t end = now_ms(w) + FAULTS_MS;
    unsigned pause = 500 + pick(w, 8000); /* between faults: some worlds are wilder than others */
    while (now_ms(w) < end && !w->failed) {
        fault(w);
        for (unsigned left = pick(w, 2 * pause); left > 0 && !w->failed;) {
            unsigned ms = left < 500 ? left : 500;
            for (unsigned i = 0; i < w->nnodes; i++)
                if (w->back_ms[i] != 0 && w->back_ms[i] <= now_ms(w))
                    start(w, i, one_in(w, 2));
            talk(w, 4);
            for (unsigned k = pick(w, 6); k > 0; k--)
                attack(w);
            streams_write(w->streams, 3000);
            streams_run(w->streams, ms);
            check_tables(w);
            left -= ms;
        }
    }
}

static void heal(struct world *w)
{
    heal_links(w);
    for (unsigned i = 0; i < w->nnodes; i++) {
        w->node[i]->frozen_until_ms = 0;
        if (one_in(w, 2))
            w->node[i]->wall_off_ms = 0; /* somebody notices; or nobody does */
        if (!runs(w, i))
            start(w, i, one_in(w, 2));
    }
    for (unsigned i = w->nroots; i < w->nnodes; i++)
        for (unsigned net = 0; net < 2; net++)
            if (!w->joined[i][net])
                join(w, i, net);
    for (unsigned i = w->nroots; i < w->nnodes; i++)
        if (!w->member[i])
            allow(w, i, true);
    NOTE(w, "healed");
}

static unsigned silent_pairs(const struct world *w, unsigned *net, unsigned *from, unsigned *to)
{
    unsigned n = 0;
    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = w->nroots; i < w->nnodes; i++)
            for (unsigned j = w->nroots; j < w->nnodes; j++)
                if (i != j && !w->heard[k][i][j]) {
                    *net = k, *from = i, *to = j;
                    n++;
                }
    return n;
}

/* Everybody calls everybody who has not heard from them, once a second. */
static void all_talk(struct world *w, int64_t limit_ms)
{
    unsigned net = 0, from = 0, to = 0;
    int64_t end = now_ms(w) + limit_ms;
    memset(w->heard, 0, sizeof w->heard);
    do {
        for (unsigned k = 0; k < 2; k++)
            for (unsigned i = w->nroots; i < w->nnodes; i++)
                for (unsigned j = w->nroots; j < w->nnodes; j++)
                    if (i != j && !w->heard[k][i][j])
                        say(w, k, i, j, HEAD + pick(w, 1000));
        sim_run(w->s, 1000);
        check_tables(w);
    } while (silent_pairs(w, &net, &from, &to) > 0 && now_ms(w) < end && !w->failed);
    unsigned n = silent_pairs(w, &net, &from, &to);
    if (n > 0) {
        struct zt_net_info info = {0};
        (void)zt_core_network(w->node[to]->core, w->nwid[net], &info);
        FAIL(w, "%u pairs are silent, such as node %u to %u on network %u (status there %d)", n,
             from, to, net, (int)info.status);
    }
    NOTE(w, "all have talked");
}

static uint64_t total_events(const struct world *w)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < w->nnodes; i++)
        for (unsigned k = 0; k < sizeof w->node[i]->events / sizeof w->node[i]->events[0]; k++)
            n += w->node[i]->events[k];
    return n;
}

static uint64_t total_sent(const struct world *w)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < w->nnodes; i++)
        n += w->node[i]->sent;
    return n;
}

static void peace(struct world *w)
{
    sim_run(w->s, 60000); /* what the last words set off may end */
    uint64_t events = total_events(w), sent = total_sent(w);
    unsigned pairs = w->nnodes * w->nnodes;
    sim_run(w->s, PEACE_MS);
    events = total_events(w) - events;
    sent = total_sent(w) - sent;
    NOTE(w, "peace: %" PRIu64 " events, %" PRIu64 " datagrams", events, sent);
    /* Paths that are not used end, each of them once on either side; HELLO and ECHO every 10 s or
     * so per path, and what networks tell each minute. */
    if (events > 4 * pairs)
        FAIL(w, "%" PRIu64 " events in peace, among %u nodes", events, w->nnodes);
    if (sent > (uint64_t)pairs * PEACE_MS / 1000)
        FAIL(w, "%" PRIu64 " datagrams in peace, among %u nodes", sent, w->nnodes);
    all_talk(w, 30000);
}

/* A pair behind symmetric NATs stays relayed, by whichever root, which keeps its table of pairs for it. */
static bool introduces(const struct sim_node *n)
{
    struct zt_table_info t[ZT_INFO_TABLES];
    size_t k = zt_core_tables(n->core, t);
    while (k-- > 0)
        if (strcmp(t[k].name, "introduced_pairs") == 0)
            return t[k].used > 0;
    return false;
}

/* What all nodes hold once they have forgotten what they don't need. */
static size_t held(struct world *w)
{
    sim_run(w->s, FORGET_MS);
    size_t n = allocated;
    for (unsigned i = 0; i < w->nnodes; i++) {
        n -= w->node[i]->npeers * sizeof *w->node[i]->peers; /* the simulator's own */
        if (introduces(w->node[i]))
            n -= ZT_UNITE_SLOTS * sizeof(struct zt_united);
    }
    return n;
}

static void streams_open(struct world *w)
{
    unsigned n = w->nnodes - w->nroots, a = pick(w, n), b = (a + 1 + pick(w, n - 1)) % n;
    w->streams = streams_new(w->s, w->seed, w->nwid[0], w->node[w->nroots + a], w->node[w->nroots + b]);
}

static void streams_close(struct world *w)
{
    if (!streams_end(w->streams, STREAM_END_MS))
        FAIL(w, "a TCP stream from before neither ends nor fails");
    struct streams_count old = streams_count(w->streams);
    if (!streams_whole(w->streams, STREAM_BYTES, STREAM_MS))
        FAIL(w, "a new TCP stream does not arrive");
    if (old.damaged || streams_count(w->streams).damaged)
        FAIL(w, "a TCP stream delivered other bytes than were sent");
    NOTE(w, "%u TCP streams, %u given up, %" PRIu64 " bytes among faults", old.opened, old.given_up, old.received);
    streams_free(w->streams);
    w->streams = NULL;
}

static void build(struct world *w)
{
    static const enum sim_nat_kind kinds[] = {SIM_NAT_FULL_CONE, SIM_NAT_ADDR_RESTRICTED,
                                              SIM_NAT_PORT_RESTRICTED, SIM_NAT_SYMMETRIC};
    struct sim_node *roots[ROOTS_MAX];
    struct sim_nat *nat = NULL;
    unsigned nnats = 0;
    char ep[40];
    w->nroots = 1 + pick(w, ROOTS_MAX);
    w->nmembers = 2 + pick(w, MEMBERS_MAX - 1);
    for (unsigned i = 0; i < w->nroots; i++) {
        snprintf(ep, sizeof ep, "9.0.%u.1/9993", i);
        roots[i] = w->node[w->nnodes++] = sim_node(w->s, ep);
    }
    for (unsigned i = 0; i <= w->nmembers; i++) { /* the last one is the controller */
        if (one_in(w, 2) && nnats < SIM_NATS) {
            if (nat == NULL || one_in(w, 2)) { /* some share one */
                snprintf(ep, sizeof ep, "8.%u.0.1", nnats++);
                nat = sim_nat(w->s, kinds[pick(w, 4)], ep);
                nat->hold_ms = 30000 + pick(w, 150000);
            }
            snprintf(ep, sizeof ep, "192.168.%u.1/9993", i);
            w->node[w->nnodes++] = sim_node_behind(w->s, nat, ep);
        } else {
            snprintf(ep, sizeof ep, "9.%u.%u.1/9993", 1 + i % 3, i);
            w->node[w->nnodes++] = sim_node(w->s, ep);
        }
    }
    sim_planet(w->s, 1, roots, w->nroots);
    for (unsigned i = 0; i < w->nnodes; i++) {
        w->barred_ms[i] = INT64_MIN / 2;
        w->node[i]->wall_off_ms = (int64_t)pick(w, 20000) - 10000;
        w->node[i]->mono_off_ms = (int64_t)pick(w, 1000000);
    }
    w->nwid[0] = ADHOC;
}

static uint64_t run(uint64_t seed, bool verbose, bool *ok)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    w = (struct world){.s = sim_new(seed), .seed = seed, .chance = seed ^ 0x5eed, .verbose = verbose};
    sim_with_core(w.s);
    build(&w);
    sim_on_frame(w.s, on_frame, &w);
    heal_links(&w);
    NOTE(&w, "%u roots, %u members and a controller", w.nroots, w.nmembers);

    snprintf(w.where, sizeof w.where, "before the faults");
    for (unsigned i = 0; i < w.nnodes; i++)
        sim_start(w.node[i]);
    w.nwid[1] = sim_ctl_network(w.node[ctl(&w)], 1, true);
    for (unsigned i = w.nroots; i < w.nnodes; i++) {
        for (unsigned net = 0; net < 2; net++)
            join(&w, i, net);
        allow(&w, i, true);
    }
    all_talk(&w, HEAL_MS);
    size_t before = held(&w);

    snprintf(w.where, sizeof w.where, "among faults");
    streams_open(&w);
    sim_tap(w.s, on_datagram, &w);
    faults(&w);
    sim_tap(w.s, NULL, NULL);

    snprintf(w.where, sizeof w.where, "healed");
    heal(&w);
    all_talk(&w, HEAL_MS);
    if (!w.failed)
        streams_close(&w);
    snprintf(w.where, sizeof w.where, "in peace");
    if (!w.failed)
        peace(&w);
    size_t after = w.failed ? 0 : held(&w);
    NOTE(&w, "held: %zu before, %zu after", before, after);
    if (after > before + w.nnodes * (size_t)KEPT_BY_NODE + FLYING)
        FAIL(&w, "%zu bytes held, %zu before the faults", after, before);

    streams_free(w.streams); /* of one that failed */
    uint64_t hash = sim_hash(w.s);
    *ok = !w.failed;
    sim_free(w.s);
    return hash;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, n = 1, failed = 0;
    bool verbose = false;
    for (int c; (c = getopt(argc, argv, "s:n:v")) != -1;) {
        if (c == 's')
            first = strtoull(optarg, NULL, 10);
        else if (c == 'n')
            n = strtoull(optarg, NULL, 10);
        else if (c == 'v')
            verbose = true;
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsetenv("ZT_SIM_SEED");
    for (uint64_t seed = first; seed < first + n; seed++) {
        bool ok;
        uint64_t hash = run(seed, verbose, &ok);
        if (!ok) {
            printf("again: %s -v -s %" PRIu64 "\n", argv[0], seed);
            failed++;
        }
        bool again_ok;
        if (seed == first && run(seed, false, &again_ok) != hash) {
            printf("seed %" PRIu64 ": the same seed is not the same run\n", seed);
            failed++;
        }
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " failed\n", n, failed);
    return failed > 0;
}
