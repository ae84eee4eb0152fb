/* How fast a connection sends: by the rate at which the path delivers, not by its losses.
 *
 * What is measured. Each segment notes how much had been delivered when it left. Its acknowledgment
 * then gives a rate: what was delivered meanwhile, by the time it took at the sending or the
 * receiving end, whichever was longer, so that acknowledgments which come in clumps promise
 * nothing. The most of the last ten round trips is what the path can do; the shortest round trip of
 * ten seconds is how long it is. Their product is what it holds without a queue.
 *
 *   START ──(rate grows no more, or many are lost)──> DRAIN ──(the queue is gone)──> CRUISE
 *
 * - START: 2.9 times as fast as was delivered, or as a first window a round trip would be, if that
 *   is more: doubles each round trip.
 * - DRAIN: as much slower; what START has put into the path's queue leaves it.
 * - CRUISE: eight steps of a shortest round trip each: 5/4 of the rate to see whether there is
 *   more, 3/4 to take back what there was not, six at the rate. At most twice of what the path
 *   holds is on its way.
 *
 * Probing for the shortest round trip, when none as short was seen for ten seconds: four segments
 * on their way for 200 ms, which empties the queue for this and other connections that do the same.
 *
 * This is how BBR works in its first version. Losses by chance then cost what is lost and nothing
 * more. Where more than one in 16 of a round trip are lost, though, it is no chance, but a queue
 * that is too short, others in it, or a limit without a queue: then what counts is what was
 * delivered in this round trip, not the best of ten. When it was the step up that lost them, the
 * next one waits, up to seven times eight steps, and meanwhile a tenth of the rate is left to
 * others.
 *
 * Pace. What may leave is a credit that grows with time at the rate; a connection that has used it
 * up waits in a list, and one timer for all lets them go on, each millisecond. So a window does not
 * leave in one batch that a short queue could not take. The credit is at most what an eighth of the
 * round trip brings: as a machine at work wakes us late.
 *
 * Where the shortest round trip is below NEAR_MS, on a LAN, the clock is too coarse for all this
 * and the path too short to need it: lwIP's window (Reno) governs, and nothing waits. The same goes
 * for peers without SACK. A large transfer may fill a LAN with a queue of several ms, so that it
 * seems long after ten seconds: the probing finds that out before the rate takes over.
 *
 * Window and buffer. What is not yet acknowledged stays in the send buffer, and behind a lost
 * segment that is more than one window. So the buffer, TCP_SND_BUF at first, is enlarged where the
 * path holds much. */
#include "stack/impl.h"

#include "stack/hooks.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#define NEAR_MS 4
#define SHORTEST_KEPT_MS 10000 /* routes change */
#define PROBE_MS 200
#define PROBE_SEGMENTS 4
#define ROUNDS_KEPT 5 /* twice: in best[0] and best[1] */
#define FEW 16        /* one lost in so many may be chance */
#define BURST_MS 2
#define CLUMP_MS 100
#define CREDIT_MS 3600000 /* the product with the fastest pace has room in 64 bits */
#define PATIENCE_MOST 7   /* times eight steps: 1, 3, 7 */
#define JUDGED 3
#define SND_BUF_LARGE (TCP_SND_BUF * 4)

enum { BY_PROGRAM = 1, BY_OTHERS }; /* what the rate is limited by */
enum { START, DRAIN, CRUISE };      /* CRUISE + i: its steps */
#define STEPS 8

/* Factors in 256ths. */
#define START_GAIN 739
#define DRAIN_GAIN 88
#define WINDOW_GAIN 512
#define YIELD_GAIN 230
static const uint16_t step_gain[STEPS] = {320, 192, 256, 256, 256, 256, 256, 256};

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t capped(uint64_t x)
{
    return x < UINT32_MAX ? (uint32_t)x : UINT32_MAX;
}

static bool is_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static uint32_t best(const struct tcp_pcb *pcb)
{
    return larger(pcb->rate.best[0], pcb->rate.best[1]);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t on_its_way(const struct tcp_pcb *pcb)
{
    return TCP_SACK_RECOVERY(pcb) ? pcb->pipe : pcb->snd_nxt - pcb->lastack;
}

/* What the path holds, times gain. */
static uint32_t holds(const struct tcp_pcb *pcb, unsigned gain)
{
    return capped((uint64_t)best(pcb) * pcb->rate.rtt_min / 1000 * gain / 256);
}

/* --- what is measured ----------------------------------------------------------------------- */

void zt_rate_sent(struct tcp_pcb *pcb, struct tcp_seg *seg)
{
    uint32_t now = sys_now();
    if (pcb->unacked == NULL) /* rested until now */
        pcb->rate.delivered_at = pcb->rate.sent_at = now;
    seg->since = pcb->rate.delivered;
    seg->since_at = pcb->rate.delivered_at;
    seg->since_sent_at = pcb->rate.sent_at;
    seg->limited = pcb->rate.limited != 0  ? pcb->rate.limited_by
                   : pcb->rate.patient > 0 ? BY_OTHERS
                                           : 0;
    if (pcb->rate.on)
        pcb->rate.credit -= seg->len;
}

void zt_rate_arrived(struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    uint32_t now = sys_now();
    pcb->rate.delivered += seg->len;
    pcb->rate.delivered_at = now;
    if (!seg->resent) /* Karn: which of the two was answered? */
        pcb->rate.rtt = now - seg->sent_ms + (now == seg->sent_ms);
    else if (now - seg->sent_ms < pcb->rate.rtt_min)
        return;
    if (pcb->rate.any && is_after(pcb->rate.newest_at, seg->sent_ms))
        return;
    pcb->rate.any = 1;
    pcb->rate.newest_at = pcb->rate.sent_at = seg->sent_ms;
    pcb->rate.since = seg->since;
    pcb->rate.since_at = seg->since_at;
    pcb->rate.since_sent_at = seg->since_sent_at;
    pcb->rate.newest_limited = seg->limited;
}

static void take_rate(struct tcp_pcb *pcb)
{
    uint32_t elapsed = larger(pcb->rate.delivered_at - pcb->rate.since_at,
                              pcb->rate.newest_at - pcb->rate.since_sent_at);
    if (elapsed == 0 || elapsed < pcb->rate.rtt_min)
        return;
    uint32_t delivered = pcb->rate.delivered - pcb->rate.since;
    uint32_t rate = capped((uint64_t)delivered * 1000 / elapsed);
    if (pcb->rate.newest_limited && rate < best(pcb))
        return;
    pcb->rate.best[0] = larger(pcb->rate.best[0], rate);
    pcb->rate.round_best = larger(pcb->rate.round_best, rate);
}

/* Has a round trip ended? Then *heavy: more were lost in it than may be chance. */
static bool round_ends(struct tcp_pcb *pcb, bool *heavy)
{
    if (is_after(pcb->rate.round_end, pcb->rate.since))
        return false;
    uint32_t lost = pcb->rate.lost - pcb->rate.round_lost;
    uint32_t delivered = pcb->rate.delivered - pcb->rate.round_delivered;
    uint32_t by_chance = (pcb->rate.phase == START ? 8u : 2u) * pcb->mss;
    *heavy = lost > delivered / FEW && lost > by_chance;
    if (*heavy) {
        uint32_t kept = best(pcb) - best(pcb) / 8;
        pcb->rate.best[0] = pcb->rate.best[1] = larger(pcb->rate.round_best, kept);
        pcb->rate.rounds = 0;
    } else if (!pcb->rate.newest_limited && ++pcb->rate.rounds >= ROUNDS_KEPT) {
        pcb->rate.best[1] = pcb->rate.best[0];
        pcb->rate.best[0] = pcb->rate.round_best;
        pcb->rate.most_more[1] = pcb->rate.most_more[0];
        pcb->rate.most_more[0] = 0;
        pcb->rate.rounds = 0;
    }
    pcb->rate.round_end = pcb->rate.delivered;
    pcb->rate.round_lost = pcb->rate.lost;
    pcb->rate.round_delivered = pcb->rate.delivered;
    pcb->rate.round_best = 0;
    return true;
}

/* Until what is on its way now is delivered, something else than the path limits. */
static void note_limit(struct tcp_pcb *pcb)
{
    uint32_t out = on_its_way(pcb), room = pcb->snd_nxt - pcb->lastack + pcb->mss;
    if (pcb->rate.limited != 0 && is_after(pcb->rate.delivered, pcb->rate.limited))
        pcb->rate.limited = 0;
    if (out + pcb->mss <= pcb->cwnd && (pcb->unsent == NULL || room > pcb->snd_wnd))
        pcb->rate.limited = (pcb->rate.delivered + out) | 1;
    pcb->rate.limited_by = pcb->unsent == NULL ? BY_PROGRAM : BY_OTHERS;
}

/* Acknowledgments come in clumps when a machine is late or a radio collects them. What may come at
 * once beyond the rate must be on its way besides, or the sender stands still meanwhile. */
static void take_clump(struct tcp_pcb *pcb, uint32_t arrived)
{
    uint32_t now = sys_now(), since = now - pcb->rate.clump_at;
    uint64_t due = (uint64_t)best(pcb) * since / 1000;
    if (pcb->rate.clump <= due || since > CLUMP_MS) {
        pcb->rate.clump = 0;
        pcb->rate.clump_at = now;
        due = 0;
    }
    pcb->rate.clump += arrived;
    if (pcb->rate.clump > due && due > 0) {
        uint32_t more = smaller(pcb->rate.clump - (uint32_t)due, pcb->cwnd);
        pcb->rate.most_more[0] = larger(pcb->rate.most_more[0], more);
    }
}

/* --- the phases ----------------------------------------------------------------------------- */

static unsigned pace_gain(const struct tcp_pcb *pcb)
{
    if (pcb->rate.probing)
        return 256;
    if (pcb->rate.phase < CRUISE)
        return pcb->rate.phase == START ? START_GAIN : DRAIN_GAIN;
    unsigned gain = step_gain[pcb->rate.phase - CRUISE];
    return gain == 256 && pcb->rate.patience > 0 ? YIELD_GAIN : gain;
}

static void enter(struct tcp_pcb *pcb, unsigned phase)
{
    pcb->rate.phase = (uint8_t)phase;
    pcb->rate.phase_at = sys_now();
}

static void starting(struct tcp_pcb *pcb, bool heavy)
{
    if (heavy)
        enter(pcb, DRAIN);
    if (pcb->rate.newest_limited == BY_PROGRAM)
        return;
    if (best(pcb) >= pcb->rate.full + pcb->rate.full / 4) {
        pcb->rate.full = best(pcb);
        pcb->rate.full_rounds = 0;
    } else if (++pcb->rate.full_rounds >= 3) {
        enter(pcb, DRAIN);
    }
}

static void cruising(struct tcp_pcb *pcb, bool heavy)
{
    unsigned step = pcb->rate.phase - CRUISE, gain = step_gain[step];
    uint32_t out = on_its_way(pcb);
    if (heavy && step < JUDGED) {
        if (pcb->rate.patience < PATIENCE_MOST)
            pcb->rate.patience = (uint8_t)(2 * pcb->rate.patience + 1);
        pcb->rate.patient = pcb->rate.patience;
        enter(pcb, CRUISE + JUDGED);
        return;
    }
    bool over = sys_now() - pcb->rate.phase_at > pcb->rate.rtt_min;
    if (gain > 256)
        over = over && (out >= holds(pcb, gain) || pcb->rate.lost != pcb->rate.round_lost ||
                        pcb->rate.limited != 0);
    else if (gain < 256)
        over = over || out <= holds(pcb, 256);
    if (!over)
        return;
    step = (step + 1) % STEPS;
    if (step == JUDGED) /* what the step up has lost was known by now */
        pcb->rate.patience = 0;
    if (step == 0 && pcb->rate.patient > 0) {
        pcb->rate.patient--;
        step = JUDGED;
    }
    enter(pcb, CRUISE + step);
}

static void move_on(struct tcp_pcb *pcb, bool round, bool heavy)
{
    if (pcb->rate.phase == START && round)
        starting(pcb, heavy);
    if (pcb->rate.phase == DRAIN && on_its_way(pcb) <= holds(pcb, 256))
        enter(pcb, CRUISE + 2 + pcb->local_port % (STEPS - 2)); /* not all at once */
    else if (pcb->rate.phase >= CRUISE)
        cruising(pcb, heavy);
}

/* --- the shortest round trip ---------------------------------------------------------------- */

static void begin(struct tcp_pcb *pcb)
{
    pcb->rate.on = 1;
    pcb->rate.best[0] = pcb->rate.best[1] = pcb->rate.round_best = 0;
    pcb->rate.most_more[0] = pcb->rate.most_more[1] = pcb->rate.clump = 0;
    pcb->rate.full = 0;
    pcb->rate.rounds = pcb->rate.full_rounds = 0;
    pcb->rate.round_end = pcb->rate.delivered;
    pcb->rate.credit = 0;
    pcb->rate.credit_at = sys_now();
    enter(pcb, START);
}

static void resize(struct tcp_pcb *pcb, bool large)
{
    uint32_t by = SND_BUF_LARGE - TCP_SND_BUF;
    if (large == pcb->rate.large || (!large && pcb->snd_buf < by))
        return;
    pcb->rate.large = large;
    pcb->snd_buf = large ? pcb->snd_buf + by : pcb->snd_buf - by;
}

static void probe_ends(struct tcp_pcb *pcb)
{
    pcb->rate.probing = 0;
    pcb->cwnd = larger(pcb->cwnd, pcb->rate.cwnd_before);
    enter(pcb, pcb->rate.phase >= CRUISE ? CRUISE + 2u : pcb->rate.phase);
}

static void probe(struct tcp_pcb *pcb)
{
    uint32_t now = sys_now();
    if (pcb->rate.rtt_min < NEAR_MS) {
        probe_ends(pcb);
    } else if (pcb->rate.probe_until == 0) {
        if (on_its_way(pcb) <= (PROBE_SEGMENTS + 1u) * pcb->mss)
            pcb->rate.probe_until = (now + larger(PROBE_MS, pcb->rate.rtt_min)) | 1;
    } else if (is_after(now, pcb->rate.probe_until)) {
        pcb->rate.rtt_min_at = now;
        probe_ends(pcb);
    }
}

static void take_round_trip(struct tcp_pcb *pcb)
{
    uint32_t now = sys_now(), rtt = pcb->rate.rtt;
    bool expired = pcb->rate.rtt_min != 0 && now - pcb->rate.rtt_min_at > SHORTEST_KEPT_MS;
    if (rtt != 0 &&
        (pcb->rate.rtt_min == 0 || rtt <= pcb->rate.rtt_min || (expired && !pcb->rate.probing))) {
        pcb->rate.rtt_min = rtt;
        pcb->rate.rtt_min_at = now;
        /* With so little on its way it is no queue that makes it longer. */
        if (expired && rtt >= NEAR_MS && on_its_way(pcb) > PROBE_SEGMENTS * (uint32_t)pcb->mss) {
            pcb->rate.probing = 1;
            pcb->rate.probe_until = 0;
            pcb->rate.cwnd_before = pcb->cwnd;
        }
    }
    if (pcb->rate.probing)
        probe(pcb);
    if (pcb->rate.rtt_min == 0)
        return;
    bool far = pcb->rate.rtt_min >= NEAR_MS;
    if (far && !pcb->rate.on && !pcb->rate.probing) {
        begin(pcb);
    } else if (!far && pcb->rate.on) {
        pcb->rate.on = 0;
        pcb->ssthresh = TCP_SND_BUF;
    }
}

/* --- what follows from it ------------------------------------------------------------------- */

static void set_window(struct tcp_pcb *pcb, uint32_t arrived)
{
    uint32_t least = PROBE_SEGMENTS * (uint32_t)pcb->mss;
    uint32_t slack = 3 * larger(best(pcb) / 1000 * BURST_MS, 2u * pcb->mss);
    uint32_t more = larger(pcb->rate.most_more[0], pcb->rate.most_more[1]);
    uint32_t target = holds(pcb, pcb->rate.phase >= CRUISE ? WINDOW_GAIN : START_GAIN) + slack;
    if (pcb->rate.phase >= CRUISE)
        target += smaller(more, capped((uint64_t)best(pcb) * CLUMP_MS / 1000));
    if (best(pcb) == 0)
        target = pcb->cwnd + arrived;
    uint32_t grown = pcb->cwnd + arrived < pcb->cwnd ? UINT32_MAX : pcb->cwnd + arrived;
    if (pcb->rate.phase == START)
        pcb->cwnd = pcb->cwnd < target ? grown : pcb->cwnd;
    else
        pcb->cwnd = grown < target ? grown : target;
    if (pcb->cwnd < least)
        pcb->cwnd = least;
    if (target > TCP_SND_BUF / 4)
        resize(pcb, true);
}

void zt_rate_acked(struct tcp_pcb *pcb, uint32_t arrived)
{
    bool heavy = false, round = false;
    take_round_trip(pcb);
    if (pcb->rate.on) {
        note_limit(pcb);
        if (pcb->rate.any) {
            take_rate(pcb);
            take_clump(pcb, arrived);
            round = round_ends(pcb, &heavy);
        }
        move_on(pcb, round, heavy);
        set_window(pcb, arrived);
    } else if (pcb->rate.large) {
        resize(pcb, false);
    }
    if (pcb->rate.probing && pcb->cwnd > PROBE_SEGMENTS * (uint32_t)pcb->mss)
        pcb->cwnd = PROBE_SEGMENTS * (uint32_t)pcb->mss;
    pcb->rate.any = 0;
    pcb->rate.rtt = 0;
}

/* --- the pace ------------------------------------------------------------------------------- */

static void wait_for_credit(struct zt_stack *s, struct tcp_pcb *pcb, uint32_t ms)
{
    zt_stack_arm(s, &s->pace, s->now_ms + (ms > 1 ? ms : 1));
    if (pcb->rate.wait_prev != NULL)
        return;
    pcb->rate.wait_next = s->waiting;
    pcb->rate.wait_prev = &s->waiting;
    if (s->waiting != NULL)
        s->waiting->rate.wait_prev = &pcb->rate.wait_next;
    s->waiting = pcb;
}

void zt_rate_forget(struct tcp_pcb *pcb)
{
    if (pcb->rate.wait_prev == NULL)
        return;
    *pcb->rate.wait_prev = pcb->rate.wait_next;
    if (pcb->rate.wait_next != NULL)
        pcb->rate.wait_next->rate.wait_prev = pcb->rate.wait_prev;
    pcb->rate.wait_prev = NULL;
}

/* Bytes a second. Until the path has shown what it can, at least a first window a round trip, as a
 * new connection sends: what was measured before may have been a few words with long pauses. */
static uint64_t pace_of(const struct tcp_pcb *pcb)
{
    uint64_t rate = best(pcb);
    if (pcb->rate.phase == START) {
        uint64_t first = LWIP_TCP_CALC_INITIAL_CWND(pcb->mss) * 1000ull / pcb->rate.rtt_min;
        rate = rate > first ? rate : first;
    }
    return rate * pace_gain(pcb) / 256 + 1;
}

/* Must the next segment wait? */
bool zt_lwip_waits(struct tcp_pcb *pcb)
{
    uint32_t now = sys_now(), elapsed = now - pcb->rate.credit_at;
    if (best(pcb) == 0)
        return false; /* the first window */
    uint64_t pace = pace_of(pcb);
    uint64_t gained = pace * (elapsed < CREDIT_MS ? elapsed : CREDIT_MS) / 1000;
    if (gained > 0) { /* at less than a byte a millisecond, the time must add up */
        uint64_t most = pace * larger(pcb->rate.rtt_min / 8, BURST_MS) / 1000 + 2u * pcb->mss;
        int64_t credit = pcb->rate.credit + (int64_t)gained;
        pcb->rate.credit = (int32_t)(credit < (int64_t)most ? credit : (int64_t)most);
        pcb->rate.credit_at = now;
    }
    if (pcb->rate.credit > 0)
        return false;
    wait_for_credit(zt_stack_current(), pcb,
                    capped((uint64_t) - (int64_t)pcb->rate.credit * 1000 / pace + 1));
    return true;
}

void zt_rate_go_on(struct zt_stack *s)
{
    struct tcp_pcb *all = s->waiting;
    s->waiting = NULL;
    if (all != NULL)
        all->rate.wait_prev = &all;
    while (all != NULL) {
        struct tcp_pcb *pcb = all;
        zt_rate_forget(pcb);
        tcp_output(pcb);
    }
}
