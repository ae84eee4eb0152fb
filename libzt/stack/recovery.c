/* What is lost, and what of it goes out again: the sender's side of SACK. lwIP calls the hooks; the
 * rest of its sender is as it was. How fast it sends is in rate.c.
 *
 * SACKs mark the segments that have arrived. Sending has an order of its own, counted in bytes
 * (sent_mark), in which a segment that is sent again comes last: a segment is lost when one has
 * arrived that was sent three segments after it (RACK, RFC 8985, in bytes instead of time). That
 * finds lost retransmissions, too, and needs no exception after a time-out. Lost ones go back to
 * the unsent queue, in order, and tcp_output sends them as far as `pipe`, what is on its way, stays
 * below the congestion window: all holes of a window are filled in one round trip, and new data
 * goes on behind them. Without SACK the patch for NewReno does its work.
 *
 * A window may be thousands of segments, and a peer chooses what its acknowledgments say: what they
 * cost must not grow with the window. A SACK is looked up from where the one before ended, or, as
 * far as what was sent has paid for it, from the beginning; lost segments are looked for when
 * another 128th of the window has arrived, or the timer runs.
 *
 * A loss halves the window where Reno governs it; where the rate does, it changes nothing here. */
#include "stack/impl.h"

#include "stack/hooks.h"

#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "lwip/sys.h"

#define LOST_SEGMENTS 3
#define SEARCHES 128    /* a window */
#define STEPS_EACH 1024 /* through the window, that a segment pays for when it is sent */
#define STEPS_MOST (1u << 20)
#define PATIENCE_MS 20 /* an ACK may be held back 10 ms by us, and a clock ticks between */

static uint32_t seq_of(const struct tcp_seg *seg)
{
    return lwip_ntohl(seg->tcphdr->seqno);
}

static uint32_t end_of(const struct tcp_seg *seg)
{
    return seq_of(seg) + TCP_TCPLEN(seg);
}

void zt_lwip_sent(struct tcp_pcb *pcb, struct tcp_seg *seg)
{
    pcb->sent_mark += seg->len;
    zt_rate_sent(pcb, seg);
    seg->mark = pcb->sent_mark;
    seg->sent_ms = sys_now();
    pcb->steps -= pcb->steps < STEPS_EACH ? pcb->steps : STEPS_EACH;
}

uint32_t zt_lwip_ssthresh(struct tcp_pcb *pcb)
{
    uint32_t flight = pcb->snd_nxt - pcb->lastack, least = 2u * pcb->mss;
    if (pcb->state < ESTABLISHED)
        return pcb->ssthresh; /* a lost SYN says nothing about the path's speed */
    if (flight > pcb->cwnd)
        flight = pcb->cwnd;
    return flight / 2 > least ? flight / 2 : least;
}

static void off_the_way(struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    pcb->pipe -= seg->len < pcb->pipe ? seg->len : pcb->pipe;
}

/* A segment has arrived. When it was sent twice, which of the two arrived shows only in time. */
static void arrived(struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    zt_rate_arrived(pcb, seg);
    if (seg->resent && sys_now() - seg->sent_ms < pcb->rate.rtt_min)
        return;
    if (TCP_SEQ_GT(seg->mark, pcb->arrived_mark))
        pcb->arrived_mark = seg->mark;
}

/* ackno acknowledges new data; pcb->lastack is still the one before. */
void zt_lwip_acked(struct tcp_pcb *pcb, uint32_t ackno)
{
    for (const struct tcp_seg *s = pcb->unacked; s != NULL && TCP_SEQ_LEQ(end_of(s), ackno);
         s = s->next) {
        if (s == pcb->sacked_last)
            pcb->sacked_last = NULL;
        if (!s->sacked) {
            arrived(pcb, s);
            off_the_way(pcb, s);
        }
    }
}

/* --- what is lost --------------------------------------------------------------------------- */

/* Most blocks of an acknowledgment were in the one before: nothing new there, and no walk. The one
 * that grows takes no other's place. */
static bool is_known(struct tcp_pcb *pcb, uint32_t left, uint32_t right)
{
    for (unsigned i = 0; i < 4; i++) {
        if (pcb->sacks[i][0] != left)
            continue;
        bool known = pcb->sacks[i][1] == right;
        pcb->sacks[i][1] = right;
        return known;
    }
    memmove(pcb->sacks[1], pcb->sacks[0], sizeof pcb->sacks[0] * 3);
    pcb->sacks[0][0] = left;
    pcb->sacks[0][1] = right;
    return false;
}

void zt_lwip_sacked(struct tcp_pcb *pcb, uint32_t left, uint32_t right)
{
    if (!TCP_SEQ_LT(left, right) || TCP_SEQ_LT(left, pcb->lastack) ||
        TCP_SEQ_GT(right, pcb->snd_nxt))
        return; /* old, a duplicate's (RFC 2883), or nonsense */
    struct tcp_seg *s = pcb->sacked_last;
    if (s == NULL || TCP_SEQ_GT(seq_of(s), left)) {
        s = pcb->unacked;
        if (pcb->steps > STEPS_MOST) {
            TCP_STATS_INC(tcp.opterr);
            return;
        }
    }
    if (is_known(pcb, left, right))
        return;
    for (; s != NULL && TCP_SEQ_LT(seq_of(s), right); s = s->next) {
        pcb->steps++;
        if (s->sacked || TCP_SEQ_LT(seq_of(s), left) || TCP_SEQ_GT(end_of(s), right))
            continue;
        s->sacked = 1;
        pcb->sacked_last = s;
        arrived(pcb, s);
        off_the_way(pcb, s);
    }
}

/* Into the unsent queue, which begins with others of its kind. */
static void send_again(struct tcp_pcb *pcb, struct tcp_seg *seg)
{
    struct tcp_seg **at = &pcb->unsent;
    while (*at != NULL && TCP_SEQ_LT(seq_of(*at), seq_of(seg)))
        at = &(*at)->next;
    seg->next = *at;
    *at = seg;
    if (seg->resent < UINT8_MAX)
        seg->resent++;
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

/* In order of sequence, and those that were sent once in order of sending, too: behind the first of
 * these that is not lost none is. */
static bool any_lost(const struct tcp_pcb *pcb)
{
    for (const struct tcp_seg *s = pcb->unacked; s != NULL; s = s->next) {
        if (!is_lost(pcb, s) && !s->resent)
            return false;
        if (is_lost(pcb, s) && !s->sacked)
            return true;
    }
    return false;
}

/* Has so much arrived since the last search that another one is worth its while? Where few are out
 * it is always. */
static bool is_due(const struct tcp_pcb *pcb)
{
    uint32_t more = pcb->arrived_mark - pcb->searched_mark;
    return tolerance(pcb) < LOST_SEGMENTS ||
           (more > 0 && more >= (pcb->snd_nxt - pcb->lastack) / SEARCHES);
}

/* The first one may be on its way again since the recovery before, which ended with what it was
 * for. */
static bool begins(struct tcp_pcb *pcb, bool due)
{
    const struct tcp_seg *first = pcb->unacked;
    if ((pcb->flags & TF_INFR) != 0 || !TCP_SEQ_GT(pcb->arrived_mark, first->mark))
        return false;
    if (!(pcb->dupacks >= tolerance(pcb) && !first->resent && !first->sacked) &&
        !((!first->resent || due) && any_lost(pcb)))
        return false;
    if (!pcb->rate.on) {
        pcb->ssthresh = zt_lwip_ssthresh(pcb);
        pcb->cwnd = pcb->ssthresh;
    }
    pcb->bytes_acked = 0;
    pcb->recover = pcb->snd_nxt;
    pcb->pipe = 0;
    for (const struct tcp_seg *s = pcb->unacked; s != NULL; s = s->next)
        if (!s->sacked)
            pcb->pipe += s->len;
    pcb->rtime = 0;
    pcb->rttest = 0;
    tcp_set_flags(pcb, TF_INFR);
    return true;
}

static void find_lost(struct tcp_pcb *pcb, bool first_is_lost, bool further)
{
    struct tcp_seg **at = &pcb->unacked, *last = NULL;
    if (further)
        pcb->searched_mark = pcb->arrived_mark;
    while (*at != NULL) {
        struct tcp_seg *s = *at;
        bool lost = is_lost(pcb, s);
        if (!lost && !s->resent && !first_is_lost)
            return;
        lost = !s->sacked && (lost || (first_is_lost && !s->resent));
        first_is_lost = false; /* a partial acknowledgment ends right before a lost one */
        if (lost) {
            *at = s->next;
            off_the_way(pcb, s);
            send_again(pcb, s);
        } else {
            last = s;
            at = &s->next;
        }
        if (!further)
            return;
    }
    pcb->unacked_last = last;
}

static void recover(struct tcp_pcb *pcb, bool partial, bool due)
{
    if (begins(pcb, due))
        find_lost(pcb, partial, true);
    else if ((pcb->flags & TF_INFR) != 0 && (partial || due))
        find_lost(pcb, partial, due);
}

void zt_lwip_recover(struct tcp_pcb *pcb, bool partial)
{
    uint32_t before = pcb->rate.delivered_then;
    if (pcb->unacked == NULL)
        pcb->pipe = 0; /* nothing is on its way: what is to be sent again must not wait for it */
    else
        recover(pcb, partial, is_due(pcb));
    pcb->rate.delivered_then = pcb->rate.delivered;
    zt_rate_acked(pcb, pcb->rate.delivered - before);
}

/* Twice as long each time: the shortest round trip may be that of better days. */
static uint32_t patience(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    unsigned again = seg->resent > 1 ? seg->resent - 1u : 0;
    return (2 * pcb->rate.rtt_min + PATIENCE_MS) << (again < 8 ? again : 8);
}

/* What is left to be searched; and in recovery nothing may be left that could show the loss of a
 * segment that was sent again. After two round trips it goes out once more, instead of the
 * time-out, which is many times that and starts over. */
void zt_recovery_tick(struct tcp_pcb *pcb)
{
    struct tcp_seg *first = pcb->unacked;
    if (first != NULL && (pcb->flags & TF_SACK) && pcb->arrived_mark != pcb->searched_mark) {
        recover(pcb, false, true);
        pcb->searched_mark = pcb->arrived_mark;
        tcp_output(pcb);
        first = pcb->unacked;
    }
    if (!TCP_SACK_RECOVERY(pcb) || first == NULL || first->sacked || pcb->rate.rtt_min == 0 ||
        sys_now() - first->sent_ms < patience(pcb, first))
        return;
    pcb->unacked = first->next;
    off_the_way(pcb, first);
    send_again(pcb, first);
    tcp_output(pcb);
}
