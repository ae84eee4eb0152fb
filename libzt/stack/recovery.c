/* How a connection finds the speed of its path and gets over losses: the sender's side of SACK, and
 * what congestion means. lwIP calls the hooks; the rest of its sender is as it was.
 *
 * Which segments are lost. SACKs mark those that have arrived. Sending has an order of its own,
 * counted in bytes (sent_mark), in which a segment that is sent again comes last: a segment is lost
 * when one has arrived that was sent three segments after it (RACK, RFC 8985, in bytes instead of
 * time). That finds lost retransmissions, too, and needs no exception after a time-out. Lost ones
 * go back to the unsent queue, in order, and tcp_output sends them as far as `pipe`, what is on its
 * way, stays below the congestion window: all holes of a window are filled in one round trip.
 * Without SACK the patch for NewReno does its work.
 *
 * How fast. One segment a round trip is timed, to the millisecond. From it come the shortest round
 * trip and the rate at which data arrives. A loss cuts the window to rate x shortest round trip,
 * what the path holds without a queue (Westwood), but never below half nor above what was on its
 * way: a full queue is emptied. Where there is no queue, round trips being near the shortest, and
 * few are lost, that is chance, as on radio links, and costs next to nothing. As long as there is
 * no queue the window also grows by an eighth per round trip, in recovery too; once one builds up,
 * by one segment (Reno). So the window finds a large path in tens of round trips instead of
 * thousands, gives way to others in the same queue as Reno does, and behind a limit without a queue
 * (a policer) stays near it: more than few are lost there.
 *
 * Where the clock is too coarse for it (round trips below 2 ms), a loss halves the window. */
#include "stack/impl.h"

#include "stack/hooks.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#define SHORTEST_KEPT_MS 10000 /* routes change */
#define LOST_SEGMENTS 3
#define FEW 16 /* one lost in so many may be chance; more is a limit, with a queue or without */
#define PATIENCE_MS 20 /* an ACK may be held back 10 ms by us, and a clock ticks between */

static uint32_t seq_of(const struct tcp_seg *seg)
{
    return lwip_ntohl(seg->tcphdr->seqno);
}

static uint32_t end_of(const struct tcp_seg *seg)
{
    return seq_of(seg) + TCP_TCPLEN(seg);
}

/* --- the path ------------------------------------------------------------------------------- */

/* The timed segment has arrived. */
static void sample(struct tcp_pcb *pcb)
{
    uint32_t now = sys_now(), rtt = now - pcb->rate.at_ms;
    pcb->rate.at_ms = 0;
    if (rtt == 0)
        rtt = 1;
    if (pcb->rate.rtt_min_ms == 0 || rtt <= pcb->rate.rtt_min_ms ||
        now - pcb->rate.rtt_min_at_ms > SHORTEST_KEPT_MS) {
        pcb->rate.rtt_min_ms = rtt;
        pcb->rate.rtt_min_at_ms = now;
    }
    uint32_t slack = pcb->rate.rtt_min_ms / 4; /* of which scheduling at both ends has a part */
    pcb->rate.clear = rtt <= pcb->rate.rtt_min_ms + (slack > 4 ? slack : 4);
    uint32_t delivered = pcb->rate.delivered - pcb->rate.delivered_then;
    uint32_t rate = delivered / rtt;
    pcb->rate.few_lost = pcb->rate.lost - pcb->rate.lost_then <= delivered / FEW;
    uint32_t faded = pcb->rate.bytes_ms - pcb->rate.bytes_ms / 8;
    pcb->rate.bytes_ms = rate > faded ? rate : faded;
}

void zt_lwip_sent(struct tcp_pcb *pcb, struct tcp_seg *seg, uint32_t end)
{
    pcb->sent_mark += seg->len;
    seg->mark = pcb->sent_mark;
    seg->sent_ms = sys_now();
    if (seg->resent && end == pcb->rate.seq)
        pcb->rate.at_ms = 0; /* Karn: which of the two will be answered? */
    if (pcb->rate.at_ms != 0 || seg->resent || seg->len == 0)
        return;
    pcb->rate.at_ms = sys_now() | 1; /* 0 means none; a millisecond more or less doesn't matter */
    pcb->rate.seq = end;
    pcb->rate.delivered_then = pcb->rate.delivered;
    pcb->rate.lost_then = pcb->rate.lost;
}

uint32_t zt_lwip_ssthresh(struct tcp_pcb *pcb)
{
    uint32_t flight = pcb->snd_nxt - pcb->lastack, least = 2u * pcb->mss;
    if (pcb->state < ESTABLISHED)
        return pcb->ssthresh; /* a lost SYN says nothing about the path's speed */
    if ((pcb->flags & TF_SACK) == 0)
        pcb->rate.at_ms = 0; /* Karn: its acknowledgment waits for what is sent again */
    if (flight > pcb->cwnd)
        flight = pcb->cwnd;
    uint32_t to = flight / 2;
    if (pcb->rate.rtt_min_ms >= 2) {
        uint64_t holds = (uint64_t)pcb->rate.bytes_ms * pcb->rate.rtt_min_ms;
        to = holds > flight ? flight : holds > to ? (uint32_t)holds : to;
        /* The rate was of the round trip before, in which the window was smaller. */
        uint32_t chance = flight - flight / 32;
        if (pcb->rate.clear && pcb->rate.few_lost && to < chance)
            to = chance;
    }
    return to > least ? to : least;
}

/* So much has arrived, and no queue is on the path: an eighth more a round trip. */
static bool grow_clear(struct tcp_pcb *pcb, uint32_t bytes)
{
    /* Nothing is learned from a window that was not used. */
    uint32_t flight = pcb->snd_nxt - pcb->lastack + bytes;
    if (pcb->rate.rtt_min_ms < 2 || !pcb->rate.clear || flight < pcb->cwnd / 2)
        return false;
    TCP_WND_INC(pcb->cwnd, (bytes < pcb->cwnd ? bytes : pcb->cwnd) / 8);
    return true;
}

bool zt_lwip_grow(struct tcp_pcb *pcb, uint32_t acked)
{
    return grow_clear(pcb, acked);
}

/* A segment has arrived. When it was sent twice, which of the two arrived shows only in time. */
static void arrived(struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    pcb->rate.delivered += seg->len;
    if (seg->resent && sys_now() - seg->sent_ms < pcb->rate.rtt_min_ms)
        return;
    if (TCP_SEQ_GT(seg->mark, pcb->arrived_mark))
        pcb->arrived_mark = seg->mark;
}

/* ackno acknowledges new data; pcb->lastack is still the one before. */
void zt_lwip_acked(struct tcp_pcb *pcb, uint32_t ackno)
{
    for (const struct tcp_seg *s = pcb->unacked; s != NULL && TCP_SEQ_LEQ(end_of(s), ackno);
         s = s->next)
        if (!s->sacked)
            arrived(pcb, s);
    if (pcb->rate.at_ms != 0 && TCP_SEQ_GEQ(ackno, pcb->rate.seq))
        sample(pcb);
}

/* --- what is lost --------------------------------------------------------------------------- */

void zt_lwip_sacked(struct tcp_pcb *pcb, uint32_t left, uint32_t right)
{
    if (!TCP_SEQ_LT(left, right) || TCP_SEQ_LT(left, pcb->lastack) ||
        TCP_SEQ_GT(right, pcb->snd_nxt))
        return; /* old, a duplicate's (RFC 2883), or nonsense */
    for (struct tcp_seg *s = pcb->unacked; s != NULL && TCP_SEQ_LT(seq_of(s), right); s = s->next) {
        if (s->sacked || TCP_SEQ_LT(seq_of(s), left) || TCP_SEQ_GT(end_of(s), right))
            continue;
        s->sacked = 1;
        arrived(pcb, s);
    }
    if (pcb->rate.at_ms != 0 && TCP_SEQ_LT(left, pcb->rate.seq) &&
        TCP_SEQ_GEQ(right, pcb->rate.seq))
        sample(pcb);
}

/* Into the unsent queue, which begins with others of its kind. */
static void send_again(struct tcp_pcb *pcb, struct tcp_seg *seg)
{
    struct tcp_seg **at = &pcb->unsent;
    while (*at != NULL && TCP_SEQ_LT(seq_of(*at), seq_of(seg)))
        at = &(*at)->next;
    seg->next = *at;
    *at = seg;
    seg->resent = 1;
    pcb->rate.lost += seg->len;
    if (seg->next == NULL) {
        pcb->unsent_last = seg;
        pcb->unsent_oversize = 0;
    }
}

/* Segments that must arrive after one before it counts as lost: fewer when fewer are out, as
 * nothing but a time-out is left otherwise (RFC 5827). */
static uint32_t tolerance(const struct tcp_pcb *pcb)
{
    uint32_t out = 0;
    for (const struct tcp_seg *s = pcb->unacked; s != NULL && out <= LOST_SEGMENTS; s = s->next)
        out++;
    return out > LOST_SEGMENTS ? LOST_SEGMENTS : out > 2 ? out - 1 : 1;
}

static bool is_lost(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    return TCP_SEQ_GEQ(pcb->arrived_mark, seg->mark + tolerance(pcb) * pcb->mss);
}

static bool any_lost(const struct tcp_pcb *pcb)
{
    for (const struct tcp_seg *s = pcb->unacked; s != NULL; s = s->next)
        if (!s->sacked && is_lost(pcb, s))
            return true;
    return false;
}

/* The first one may be on its way again since the recovery before, which ended with what it was
 * for. */
static bool begins(struct tcp_pcb *pcb)
{
    const struct tcp_seg *first = pcb->unacked;
    if ((pcb->flags & TF_INFR) != 0 || !TCP_SEQ_GT(pcb->arrived_mark, first->mark))
        return false;
    if (!(pcb->dupacks >= tolerance(pcb) && !first->resent && !first->sacked) && !any_lost(pcb))
        return false;
    pcb->ssthresh = zt_lwip_ssthresh(pcb);
    pcb->cwnd = pcb->ssthresh;
    pcb->bytes_acked = 0;
    pcb->recover = pcb->snd_nxt;
    pcb->rate.delivered_seen = pcb->rate.delivered;
    pcb->rtime = 0;
    pcb->rttest = 0;
    tcp_set_flags(pcb, TF_INFR);
    return true;
}

void zt_lwip_recover(struct tcp_pcb *pcb, bool partial)
{
    bool first_is_lost = partial;
    if (pcb->unacked == NULL) {
        pcb->pipe = 0; /* a partial acknowledgment of all but what waits to be sent again */
        return;
    }
    if (begins(pcb))
        first_is_lost = true;
    else if ((pcb->flags & TF_INFR) == 0)
        return;
    grow_clear(pcb, pcb->rate.delivered - pcb->rate.delivered_seen);
    pcb->rate.delivered_seen = pcb->rate.delivered;
    pcb->pipe = 0;
    struct tcp_seg **at = &pcb->unacked, *last = NULL;
    while (*at != NULL) {
        struct tcp_seg *s = *at;
        bool lost = !s->sacked && (is_lost(pcb, s) || (first_is_lost && !s->resent));
        first_is_lost = false; /* a partial acknowledgment ends right before a lost one */
        if (lost) {
            *at = s->next;
            send_again(pcb, s);
            continue;
        }
        if (!s->sacked)
            pcb->pipe += s->len;
        last = s;
        at = &s->next;
    }
    pcb->unacked_last = last;
}

/* Lost segments that wait to be sent again go back among those sent after them: lwIP puts one queue before
 * the other, and both must end up in order, or the first one is never sent. */
void zt_lwip_timeout(struct tcp_pcb *pcb)
{
    const uint32_t last = seq_of(pcb->unacked_last);
    struct tcp_seg **at = &pcb->unacked;
    while (pcb->unsent != NULL && TCP_SEQ_LT(seq_of(pcb->unsent), last)) {
        struct tcp_seg *seg = pcb->unsent;
        pcb->unsent = seg->next;
        while (TCP_SEQ_LT(seq_of(*at), seq_of(seg)))
            at = &(*at)->next;
        seg->next = *at;
        *at = seg;
    }
    if (pcb->unsent == NULL)
        pcb->unsent_last = NULL;
}

/* In recovery nothing may be left that could show the loss of a segment that was sent again. After
 * two round trips it goes out once more, instead of the time-out, which is many times that and
 * starts over. */
void zt_recovery_tick(struct tcp_pcb *pcb)
{
    struct tcp_seg *first = pcb->unacked;
    if (!TCP_SACK_RECOVERY(pcb) || first == NULL || first->sacked || pcb->rate.rtt_min_ms == 0 ||
        sys_now() - first->sent_ms < 2 * pcb->rate.rtt_min_ms + PATIENCE_MS)
        return;
    pcb->unacked = first->next;
    pcb->pipe = pcb->unacked == NULL || first->len > pcb->pipe ? 0 : pcb->pipe - first->len;
    send_again(pcb, first);
    tcp_output(pcb);
}
