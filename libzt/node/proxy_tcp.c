/* Streams: a TCP connection of lwIP on one side, our end of a stream socketpair on the other.
 *
 *   connecting ──(SYN answered)──> open ──> closing ──> retired
 *        └──(refused, no answer, program closed)──────────^
 *
 * How connections begin is in proxy_connect.c.
 *
 * Open, program to network. We read the pair only while lwIP has room, so a peer that does not read
 * stops the program as it should. All segments of a turn leave with one tcp_output. Room follows
 * the congestion window (twice of it, at least 256 KiB): a slow path doesn't pile up megabytes.
 * Open, network to program. Received pbufs are written to the pair with one sendmsg, and only what
 * was written is reported to lwIP: its window opens as the program reads. lwIP has one window
 * constant for all connections; `hold` is the part that we withhold from this one. It starts with
 * 256 KiB open and doubles whenever the program has read a whole window and memory allows.
 *
 * The ends, each way (spec: preload.md 4.3):
 *
 * - the peer sends FIN: all data to the program, page FIN, then shutdown(SHUT_WR) of our end. The
 *   descriptor stays open, so the program's first write still succeeds;
 * - the peer resets: what arrived before is delivered, page RESET and errno, then we close. Program data
 *   that we had not read stays unread: the kernel then gives ECONNRESET by itself. While delivery
 *   waits, our end refuses further writes;
 * - the program half-closes: we read to the end, then FIN;
 * - the program closes, or dies: the same, then lwIP finishes alone (FIN, retransmissions, TIME_WAIT);
 * - it does so with data unread: RST, after what lwIP takes at once of the data before it. The kernel
 *   says ECONNRESET at our end when the pair had data; data in our own queue means the same.
 *
 * A hang-up is reported by epoll as long as it lasts, whatever is watched. While we can't read
 * (no room), the pair is watched with UV_PRIORITIZED alone, which stands for "hang-up or error
 * only"; once the hang-up was seen and there is still no room, nothing is watched and lwIP's `sent`
 * wakes us.
 *
 * Bounds: lwIP's buffers per connection; over all, the memory budget. When it is used up, a stream
 * keeps 64 KiB each way and the rest waits: unread in the pair, or refused to lwIP, which keeps one
 * segment and closes the window. Small segments that wait are joined, so that what is counted is what
 * is used. */
#include "node/proxy_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#define WINDOW_FIRST (256u * 1024)
#define TX_LEAST (256u * 1024)
#define TIGHT_BYTES (64u * 1024) /* each way, when memory is used up */
#define TURN_BYTES (512u * 1024) /* a stream's share of one turn, each way */
#define READ_BYTES (128u * 1024)
#define WRITE_CHUNK 49152u /* tcp_write takes 16 bits */
#define LOW_WATER 16384u   /* don't read crumbs while plenty is queued */
#define CORK_MS 200        /* as Linux's TCP_CORK */
#define CRUMB 512u         /* a segment of at most so much joins others that wait, */
#define CRUMBS_BYTES 1440u /* in pieces of this size */
#define IOVS 64

/* --- the pcb ---------------------------------------------------------------------------------- */

uint64_t zt_tuple_hash(const struct zt_proxy *p, const struct zt_ctl_addr *l,
                       const struct zt_ctl_addr *r)
{
    uint8_t b[36];
    uint64_t h = p->seed[0] ^ 0xcbf29ce484222325u;

    memcpy(b, l->ip, 16);
    memcpy(b + 16, r->ip, 16);
    memcpy(b + 32, &l->port, 2);
    memcpy(b + 34, &r->port, 2);
    for (size_t i = 0; i < sizeof b; i += 4) {
        uint32_t w;
        memcpy(&w, b + i, 4);
        h = (h ^ w) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h ? h : 1;
}

static void tuple_drop(struct zt_stream *st)
{
    if (st->tuple)
        zt_map_del(&st->s.p->tuples, st->tuple);
    st->tuple = 0;
}

static void rx_free(struct zt_stream *st)
{
    while (st->rx) {
        struct pbuf *q = st->rx;
        st->rx = q->next;
        q->next = NULL;
        pbuf_free(q);
    }
    st->rx_last = NULL;
    st->rx_off = st->rx_room = 0;
    zt_proxy_memory(st->s.p, -(int64_t)st->rx_bytes);
    st->rx_bytes = 0;
}

/* We and lwIP part: it may still send, but calls us no more. */
static struct tcp_pcb *pcb_detach(struct zt_stream *st)
{
    struct tcp_pcb *pcb = st->pcb;

    if (pcb) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_sent(pcb, NULL);
        tcp_err(pcb, NULL);
    }
    st->pcb = NULL;
    zt_proxy_memory(st->s.p, -(int64_t)st->tx_bytes);
    st->tx_bytes = 0;
    return pcb;
}

void zt_stream_abort(struct zt_stream *st)
{
    struct tcp_pcb *pcb = pcb_detach(st);

    if (pcb)
        tcp_abort(pcb);
}

void zt_stream_retire(struct zt_stream *st)
{
    tuple_drop(st);
    rx_free(st);
    free(st->stash);
    st->stash = NULL;
    st->s.p->counts.tcp--;
    if (st->from) {
        st->from->queued--;
        zt_list_remove(&st->waiting);
    }
    /* Never "gone": a hang-up can also be shutdown(SHUT_RDWR), and then the program may still ask
     * for addresses. */
    zt_sock_retire(&st->s, false);
}

static void publish_unacked(struct zt_stream *st)
{
    __atomic_store_n(&st->s.slot->unacked, st->tx_bytes + st->stash_n, __ATOMIC_RELAXED);
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
    struct zt_stream *st = arg;
    uint32_t k = n < st->tx_bytes ? n : st->tx_bytes; /* a FIN counts as a byte for lwIP */

    (void)pcb;
    st->tx_bytes -= k;
    zt_proxy_memory(st->s.p, -(int64_t)k);
    publish_unacked(st);
    if (!(st->s.want & UV_READABLE))
        zt_sock_touch(&st->s);
    return ERR_OK;
}

static void rx_append(struct zt_stream *st, struct pbuf *pb)
{
    if (st->rx_last)
        st->rx_last->next = pb;
    else
        st->rx = pb;
    while (pb->next)
        pb = pb->next;
    st->rx_last = pb;
    st->rx_room = 0;
}

/* A byte that comes alone takes some two hundred of memory, which nobody counts: if others wait, it is
 * put behind them. False: it has to stay as it is. */
static bool rx_join(struct zt_stream *st, struct pbuf *pb)
{
    struct pbuf *to = st->rx_last;

    if (!to || pb->tot_len > CRUMB)
        return false;
    if (st->rx_room < pb->tot_len) {
        to = pbuf_alloc(PBUF_RAW, CRUMBS_BYTES, PBUF_RAM);
        if (!to)
            return false;
        to->len = 0;
        rx_append(st, to);
        st->rx_room = CRUMBS_BYTES;
    }
    pbuf_copy_partial(pb, (uint8_t *)to->payload + to->len, pb->tot_len, 0);
    to->len += pb->tot_len;
    st->rx_room -= pb->tot_len;
    pbuf_free(pb);
    return true;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *pb, err_t err)
{
    struct zt_stream *st = arg;

    (void)err;
    if (!pb) {
        st->rx_fin = true;
        /* Both directions have ended: lwIP will free a pcb in TIME_WAIT without a word. */
        if (st->tx_fin)
            pcb_detach(st);
        zt_sock_touch(&st->s);
        return ERR_OK;
    }
    if (st->rx_discard) {
        tcp_recved(pcb, pb->tot_len);
        pbuf_free(pb);
        return ERR_OK;
    }
    if (st->rx_bytes >= TIGHT_BYTES && zt_proxy_tight(st->s.p))
        return ERR_MEM; /* lwIP keeps it; give_rx asks for it again */
    st->rx_bytes += pb->tot_len;
    zt_proxy_memory(st->s.p, pb->tot_len);
    if (!rx_join(st, pb))
        rx_append(st, pb);
    zt_sock_touch(&st->s);
    return ERR_OK;
}

/* lwIP has freed the pcb. */
/* lwIP gives a connection up for two reasons: nobody answered, or its address was taken away. */
static int why_aborted(const struct zt_stream *st)
{
    struct zt_ep local = zt_ep_make(st->s.slot->lfamily, st->s.slot->lip, 0);

    if (zt_stack_is_local(st->s.p->cfg.stack, &local))
        return ETIMEDOUT;
    return st->connecting ? ENETDOWN : ECONNRESET;
}

static void on_err(void *arg, err_t err)
{
    struct zt_stream *st = arg;

    st->pcb = NULL;
    zt_proxy_memory(st->s.p, -(int64_t)st->tx_bytes);
    st->tx_bytes = 0;
    if (err ==
        ERR_RST) /* after the peer's FIN reading has ended well: only writing fails, as in Linux */
        st->err = st->connecting && !st->up ? ECONNREFUSED : st->rx_fin ? EPIPE : ECONNRESET;
    else if (err == ERR_CLSD)
        st->rx_fin = true;
    else
        st->err = why_aborted(st);
    zt_sock_touch(&st->s);
}

/* A quarter of a MiB of window to begin with; see the essay. */
void zt_stream_hold(struct zt_stream *st)
{
    struct tcp_pcb *pcb = st->pcb;

    st->window = TCP_WND_MAX(pcb);
    if (st->window <= WINDOW_FIRST)
        return;
    st->hold = st->window - WINDOW_FIRST;
    if (pcb->rcv_wnd < st->hold + 65535) { /* never take back what was announced */
        st->hold = 0;
        return;
    }
    st->window = WINDOW_FIRST;
    pcb->rcv_wnd -= st->hold;
    if (pcb->rcv_ann_wnd > pcb->rcv_wnd)
        pcb->rcv_ann_wnd = pcb->rcv_wnd;
    /* lwIP believes that its SYN-ACK announced the whole window, which fits in no SYN; left so, it
     * would go on announcing more than it accepts. */
    if (TCP_SEQ_GT(pcb->rcv_ann_right_edge, pcb->rcv_nxt + pcb->rcv_wnd))
        pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_wnd;
}

void zt_stream_attach(struct zt_stream *st, struct tcp_pcb *pcb)
{
    st->pcb = pcb;
    tcp_arg(pcb, st);
    tcp_recv(pcb, on_recv);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_err);
    zt_stream_apply(st);
}

/* Called by lwIP's accept: must neither abort nor close the pcb. NULL: no memory, refuse it. */
struct zt_stream *zt_stream_accepted(struct zt_listener *l, struct tcp_pcb *pcb)
{
    struct zt_proxy *p = l->s.p;
    struct zt_stream *st = calloc(1, sizeof *st);
    struct zt_ctl_addr local, remote;
    uint64_t key;

    if (!st)
        return NULL;
    zt_list_init(&st->waiting);
    p->counts.tcp++;
    if (zt_sock_register(p, &st->s, ZT_SOCK_STREAM) != 0) {
        zt_stream_retire(st);
        return NULL;
    }
    st->s.family = l->s.family;
    st->s.opt = l->s.opt;
    zt_addr_from_lwip(&pcb->local_ip, pcb->local_port, &local);
    zt_addr_from_lwip(&pcb->remote_ip, pcb->remote_port, &remote);
    key = zt_tuple_hash(p, &local, &remote);
    if (!zt_map_get(&p->tuples, key) && zt_map_put(&p->tuples, key, st) == 0)
        st->tuple = key;
    zt_state_addrs(st->s.slot, &local, &remote);
    st->s.slot->family = (uint16_t)l->s.family;
    zt_state_phase(st->s.slot, ZT_PHASE_CONNECTED, 0);
    zt_stream_attach(st, pcb);
    zt_stream_hold(st);
    return st;
}

/* --- pumps ------------------------------------------------------------------------------------ */

/* Something other than data was reported on the pair: find out what. */
static void look(struct zt_stream *st)
{
    struct pollfd pf = {.fd = st->s.fd, .events = 0};
    int err = 0;
    socklen_t n = sizeof err;

    if (poll(&pf, 1, 0) != 1 || !(pf.revents & (POLLHUP | POLLERR))) {
        st->no_pri = true; /* an urgent byte, which AF_UNIX keeps to itself */
        return;
    }
    st->gone = true;
    if ((pf.revents & POLLERR) && getsockopt(st->s.fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 &&
        err == ECONNRESET)
        st->unread = true;
}

static uint32_t tx_room(const struct zt_stream *st)
{
    const struct tcp_pcb *pcb = st->pcb;
    uint32_t limit, room;

    if (!pcb || (st->stash_n && !st->cork_ms))
        return 0;
    if (pcb->snd_queuelen + 2u * READ_BYTES / (pcb->mss ? pcb->mss : 1) + 8 > TCP_SND_QUEUELEN)
        return 0;
    limit = 2 * (uint32_t)pcb->cwnd;
    if (limit < TX_LEAST)
        limit = TX_LEAST;
    if (st->s.opt.sndbuf > 0 && limit > (uint32_t)st->s.opt.sndbuf)
        limit = (uint32_t)st->s.opt.sndbuf > LOW_WATER ? (uint32_t)st->s.opt.sndbuf : LOW_WATER;
    if (zt_proxy_tight(st->s.p))
        limit = TIGHT_BYTES;
    if (st->tx_bytes >= limit)
        return 0;
    room = limit - st->tx_bytes;
    if (room > pcb->snd_buf)
        room = pcb->snd_buf;
    return room < LOW_WATER && st->tx_bytes ? 0 : room;
}

/* Give n bytes to lwIP. Returns how many it took; it takes fewer only for lack of memory. */
static uint32_t tx_write(struct zt_stream *st, const uint8_t *b, uint32_t n)
{
    uint32_t done = 0;

    while (done < n) {
        uint32_t k = n - done < WRITE_CHUNK ? n - done : WRITE_CHUNK;
        uint8_t flags = TCP_WRITE_FLAG_COPY;

        if (done + k < n)
            flags |= TCP_WRITE_FLAG_MORE;
        if (tcp_write(st->pcb, b + done, (u16_t)k, flags) != ERR_OK)
            break;
        done += k;
    }
    st->tx_bytes += done;
    st->bytes_out += done;
    st->s.p->counts.bytes_out += done;
    zt_proxy_memory(st->s.p, done);
    if (done)
        st->output = true;
    return done;
}

static void tx_stash(struct zt_stream *st, const uint8_t *b, uint32_t n)
{
    st->stash = malloc(n);
    if (!st->stash) {
        st->err = ENOBUFS;
        zt_stream_abort(st);
        return;
    }
    memcpy(st->stash, b, n);
    st->stash_n = n;
}

static bool tx_unstash(struct zt_stream *st)
{
    uint32_t k;

    if (!st->stash_n)
        return true;
    k = tx_write(st, st->stash, st->stash_n);
    memmove(st->stash, st->stash + k, st->stash_n - k);
    st->stash_n -= k;
    if (st->stash_n)
        return false;
    free(st->stash);
    st->stash = NULL;
    return true;
}

/* TCP_CORK: of n bytes that were read so many, the last ones, fill no segment and wait in `stash` for more, a
 * while. In lwIP's queue the next ACK would take them along. */
static uint32_t held_back(const struct zt_stream *st, uint32_t n)
{
    int64_t now = zt_loop_now(st->s.p->cfg.loop)->mono_ms;

    if (st->s.opt.cork <= 0 || st->tx_eof || st->gone ||
        (n < st->pcb->mss && st->cork_ms && now - st->cork_ms >= CORK_MS))
        return 0;
    return n % st->pcb->mss;
}

/* Give lwIP the first n bytes of scratch, but for what is held back. False: no more for now. */
static bool tx_pass(struct zt_stream *st, uint32_t n)
{
    const uint8_t *b = st->s.p->scratch;
    uint32_t keep = held_back(st, n), done = tx_write(st, b, n - keep);
    bool all = done == n - keep;

    free(st->stash);
    st->stash = NULL;
    st->stash_n = 0;
    if (!all || !keep)
        st->cork_ms = 0;
    else if (done || !st->cork_ms)
        st->cork_ms = zt_loop_now(st->s.p->cfg.loop)->mono_ms;
    if (done < n)
        tx_stash(st, b + done, n - done);
    return all && st->pcb;
}

/* Program to network. */
static void take_tx(struct zt_stream *st)
{
    uint32_t budget = TURN_BYTES;

    if (!st->pcb || (!st->cork_ms && !tx_unstash(st)))
        return;
    while (!st->tx_eof && budget) {
        uint32_t room = tx_room(st), held = st->stash_n;
        ssize_t n;

        if (room > READ_BYTES)
            room = READ_BYTES;
        if (room > budget)
            room = budget;
        if (!room)
            break;
        n = recv(st->s.fd, st->s.p->scratch + held, room, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            st->tx_eof = true;
            if (n < 0)
                st->gone = true;
            if (n < 0 && errno == ECONNRESET)
                st->unread = true;
            break;
        }
        if (held)
            memcpy(st->s.p->scratch, st->stash, held);
        if (!tx_pass(st, held + (uint32_t)n))
            break;
        budget -= (uint32_t)n;
        if ((uint32_t)n < room)
            break; /* the pair is empty; poll tells when not */
    }
    if (st->pcb && st->cork_ms && !held_back(st, st->stash_n)) {
        st->cork_ms = 0;
        (void)tx_unstash(st);
    }
}

static void window_opens(struct zt_stream *st, uint32_t n)
{
    struct zt_proxy *p = st->s.p;

    st->consumed += n;
    if (st->hold && st->consumed >= st->window && !st->rx &&
        (st->s.opt.rcvbuf <= 0 || st->window < (uint32_t)st->s.opt.rcvbuf) &&
        p->counts.memory < p->cfg.memory_budget / 2) {
        uint32_t more = st->window < st->hold ? st->window : st->hold;
        st->hold -= more;
        st->window += more;
        st->consumed = 0;
        n += more;
    }
    while (n && st->pcb) {
        u16_t k = n < 65535 ? (u16_t)n : 65535;
        tcp_recved(st->pcb, k);
        n -= k;
    }
}

static uint32_t rx_consume(struct zt_stream *st, size_t n)
{
    size_t left = n;

    while (left) {
        struct pbuf *q = st->rx;
        size_t k = q->len - st->rx_off;

        if (left < k) {
            st->rx_off += (uint32_t)left;
            break;
        }
        left -= k;
        st->rx = q->next;
        st->rx_off = 0;
        q->next = NULL;
        pbuf_free(q);
    }
    if (!st->rx) {
        st->rx_last = NULL;
        st->rx_room = 0;
    }
    st->rx_bytes -= (uint32_t)n;
    st->bytes_in += n;
    st->s.p->counts.bytes_in += n;
    zt_proxy_memory(st->s.p, -(int64_t)n);
    return (uint32_t)n;
}

static ssize_t rx_send(struct zt_stream *st)
{
    struct iovec iov[IOVS];
    struct msghdr m = {.msg_iov = iov};
    uint32_t off = st->rx_off;

    for (struct pbuf *q = st->rx; q && m.msg_iovlen < IOVS; q = q->next) {
        iov[m.msg_iovlen].iov_base = (uint8_t *)q->payload + off;
        iov[m.msg_iovlen++].iov_len = q->len - off;
        off = 0;
    }
    return sendmsg(st->s.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Network to program. */
static void give_rx(struct zt_stream *st)
{
    uint32_t done = 0;

    /* The program's end is closed: what is queued counts as unread. */
    while (st->rx && !st->gone && done < TURN_BYTES) {
        ssize_t n = rx_send(st);

        if (n >= 0) {
            done += rx_consume(st, (size_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
            break;
        look(st);
        if (st->gone)
            break;
        st->no_pri = false;
        st->rx_discard = true; /* shutdown(SHUT_RD) */
        done += st->rx_bytes;
        rx_free(st);
    }
    if (done)
        window_opens(st, done);
    if (st->pcb && st->pcb->refused_data && st->rx_bytes < TIGHT_BYTES)
        tcp_process_refused_data(st->pcb);
    if (!st->rx && st->rx_fin && !st->rx_eof && !st->gone && !st->err) {
        st->rx_eof = true;
        zt_state_phase(st->s.slot, ZT_PHASE_FIN, 0);
        shutdown(st->s.fd, SHUT_WR);
    }
}

static void arm(struct zt_stream *st)
{
    int want = 0;

    if (!st->tx_eof && tx_room(st))
        want |= UV_READABLE;
    else if (!st->gone && !st->no_pri)
        want |= UV_PRIORITIZED;
    if (st->rx && !st->gone)
        want |= UV_WRITABLE;
    zt_sock_watch(&st->s, want);
    if (st->pcb && ((st->stash_n && !st->tx_bytes) ||
                    (zt_proxy_tight(st->s.p) && st->pcb->refused_data && !st->rx)))
        zt_sock_retry(&st->s);
    else if (zt_proxy_tight(st->s.p) && !(want & UV_READABLE) && !st->tx_eof &&
             zt_list_empty(&st->s.dirty))
        zt_list_push_back(&st->s.p->starved, &st->s.dirty);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* The connection failed or was reset; lwIP has nothing more of it. */
static void pump_ended(struct zt_stream *st)
{
    if (st->connecting) {
        zt_state_phase(st->s.slot, ZT_PHASE_FAILED, st->err);
        st->s.p->counts.refused++;
        zt_stream_retire(st);
        return;
    }
    zt_state_phase(st->s.slot, ZT_PHASE_RESET, st->err);
    give_rx(st);
    if (!st->rx || st->gone) {
        zt_stream_retire(st);
        return;
    }
    shutdown(st->s.fd, SHUT_RD); /* writes fail from now on; what was received can still be read */
    zt_sock_watch(&st->s, UV_WRITABLE);
}

/* No descriptor of the program's end is left. */
static void pump_gone(struct zt_stream *st)
{
    struct tcp_pcb *pcb;
    bool reset = st->unread || st->rx || st->s.opt.linger == 0;

    if (st->pcb && !reset && (!st->tx_eof || st->stash_n)) {
        if (!st->pcb->orphan)
            st->pcb->orphan = 1; /* lwIP gives it up when the peer's window stays closed */
        arm(st); /* accepted from the program, so it is delivered */
        return;
    }
    if (!st->rx_eof)
        zt_state_phase(st->s.slot, ZT_PHASE_FIN, 0);
    if (reset) {
        zt_stream_abort(st);
    } else if ((pcb = pcb_detach(st)) != NULL) {
        pcb->rcv_wnd = TCP_WND_MAX(pcb); /* `hold` is not unread data, which would mean a reset */
        tcp_close(pcb);
    }
    zt_stream_retire(st);
}

void zt_stream_pump(struct zt_stream *st)
{
    uint8_t ev = st->s.ev;
    bool may_read = (ev & ZT_EV_READ) || !(st->s.want & UV_READABLE);

    st->s.ev = 0;
    if (st->waiter) {
        if (!zt_connect_pump(st))
            return;
        may_read = false; /* it has only just got its descriptor */
    }
    if (st->s.fd < 0)
        return; /* nobody has accepted it yet: everything waits, also the bad news */
    if (ev & ZT_EV_HUP)
        look(st);
    if (st->connecting && st->gone) {
        zt_stream_abort(st);
        zt_stream_retire(st);
        return;
    }
    if (st->connecting && st->up)
        zt_connect_up(st); /* also when it was reset since: it did connect */
    else if (st->connecting && !st->err)
        return;
    if (!st->err) {
        give_rx(st);
        if (may_read || st->gone || st->cork_ms)
            take_tx(st);
    }
    if (st->pcb && st->output)
        tcp_output(st->pcb);
    st->output = false;
    if (st->err) {
        pump_ended(st);
        return;
    }
    publish_unacked(st);
    if (st->tx_eof && !st->tx_fin && !st->gone) { /* end of file: half-close, or all of it? */
        look(st);
        st->no_pri = false;
    }
    if (st->gone) {
        pump_gone(st);
        return;
    }
    if (st->tx_eof && !st->tx_fin && !st->stash_n && st->pcb) {
        st->tx_fin = true;
        tcp_shutdown(st->pcb, 0, 1); /* out of memory: lwIP itself tries again */
    }
    arm(st);
    if (st->cork_ms && zt_list_empty(&st->s.dirty))
        zt_sock_retry(&st->s);
}

void zt_stream_drop(struct zt_stream *st)
{
    zt_state_phase(st->s.slot, st->connecting ? ZT_PHASE_FAILED : ZT_PHASE_RESET,
                   st->connecting ? ENETDOWN : ECONNRESET);
    if (st->waiter)
        zt_connect_answer(st, ENETDOWN, -1);
    zt_stream_abort(st);
    zt_stream_retire(st);
}

/* --- the rest --------------------------------------------------------------------------------- */

void zt_stream_note(struct zt_stream *st, int note)
{
    uint32_t n = st->rx_bytes;

    if (note == ZT_NOTE_RESET_ON_CLOSE)
        st->s.opt.linger = 0;
    if (note != ZT_NOTE_SHUT_RD)
        return;
    st->rx_discard = true;
    rx_free(st);
    window_opens(st, n);
    zt_sock_touch(&st->s);
}

void zt_stream_apply(struct zt_stream *st)
{
    const struct zt_sockopts *o = &st->s.opt;
    struct tcp_pcb *pcb = st->pcb;

    if (!pcb)
        return;
    if (o->nodelay > 0)
        tcp_nagle_disable(pcb);
    else
        tcp_nagle_enable(pcb);
    if (st->cork_ms && o->cork <= 0)
        zt_sock_touch(&st->s);
    if (o->keepalive > 0)
        ip_set_option(pcb, SOF_KEEPALIVE);
    else
        ip_reset_option(pcb, SOF_KEEPALIVE);
    tcp_awake(pcb); /* what was chosen is looked at by the next timer */
    zt_stack_kick(st->s.p->cfg.stack);
    if (o->keepidle > 0)
        pcb->keep_idle = (u32_t)o->keepidle * 1000;
#if LWIP_TCP_KEEPALIVE
    if (o->keepintvl > 0)
        pcb->keep_intvl = (u32_t)o->keepintvl * 1000;
    if (o->keepcnt > 0)
        pcb->keep_cnt = (u32_t)o->keepcnt;
#endif
    if (o->ttl > 0)
        pcb->ttl = (u8_t)o->ttl;
    if (o->tos >= 0)
        pcb->tos = (u8_t)o->tos;
    pcb->netif_idx = (u8_t)o->ifindex;
}

void zt_stream_info(struct zt_stream *st, struct zt_ctl_info *out)
{
    /* lwIP's enum tcp_state to Linux's TCP_ numbers */
    static const uint8_t state[] = {7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6};
    const struct tcp_pcb *pcb = st->pcb;

    out->bytes_in = st->bytes_in;
    out->bytes_out = st->bytes_out;
    if (!pcb)
        return;
    out->state = (unsigned)pcb->state < sizeof state ? state[pcb->state] : 7;
    out->rtt_us = (uint32_t)(pcb->sa > 0 ? pcb->sa >> 3 : 0) * TCP_SLOW_INTERVAL * 1000;
    out->rttvar_us = (uint32_t)(pcb->sv > 0 ? pcb->sv >> 2 : 0) * TCP_SLOW_INTERVAL * 1000;
    out->mss = pcb->mss;
    out->cwnd_bytes = pcb->cwnd;
    out->snd_wnd = pcb->snd_wnd;
    out->rcv_wnd = pcb->rcv_wnd;
    out->unacked = pcb->snd_nxt - pcb->lastack;
    out->notsent = pcb->snd_lbb - pcb->snd_nxt;
    out->retransmits = pcb->nrtx;
}

bool zt_stream_all_acked(void)
{
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        if (pcb->state != SYN_SENT && (pcb->unsent != NULL || pcb->unacked != NULL))
            return false;
    return true;
}

void zt_stream_icmp(struct zt_proxy *p, const struct zt_ctl_addr *local,
                    const struct zt_ctl_addr *remote, int err)
{
    struct zt_stream *st = zt_map_get(&p->tuples, zt_tuple_hash(p, local, remote));

    /* Only a SYN is given up for an ICMP message, as in Linux; anybody can forge one later. */
    if (!st || !st->connecting || st->up || !st->pcb)
        return;
    st->err = err;
    zt_stream_abort(st);
    zt_sock_touch(&st->s);
}
