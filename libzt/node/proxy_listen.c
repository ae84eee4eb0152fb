/* Bound and listening stream sockets: a SEQPACKET pair.
 *
 *   bound ──LISTEN──> listening ──(program closes)──> retired
 *
 * Before the program gets its end, that end sends messages of one byte with the least possible
 * buffer until it polls as not writable; we never read them, so an idle listener shows no POLLOUT,
 * like a kernel's. Every accepted connection is one message to the program: struct zt_ctl_accept
 * and the program's end of the new stream (SCM_RIGHTS). Several processes that share the listener
 * compete for messages in the kernel.
 *
 * The pair holds some 280 connections (its buffer is raised for larger backlogs). What does not fit
 * waits here, still without descriptors, up to the backlog; with that full as well, new SYNs are
 * dropped, so that the clients try again, as with Linux. A connection that ends while it waits is
 * handed out all the same and then reads its end or error.
 *
 * A listener on all ports is bound to one like any other, which no other socket can then have; the stack
 * asks for it when a SYN comes to a port on which nobody listens.
 *
 * Closing the listener resets the connections that wait here. Those in the pair are closed by the
 * kernel: their peers see a reset when they had sent something, else an orderly end. */
#include "node/proxy_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lwip/tcp.h"

#define HALF_OPEN 255  /* SYNs waiting for their last ACK, per listener */
#define PAIR_HOLDS 250 /* connections, with the default buffer */
#define BUFFER_EACH 1024
#define BACKLOG_MOST 4096 /* Linux: net.core.somaxconn */
#define IPPROTO_TCP_ 6

/* Who listens on all ports of this address (zt_stack_catch_all)? */
static struct tcp_pcb_listen *find_catcher(void *user, const ip_addr_t *to)
{
    const struct zt_proxy *p = user;
    struct zt_ctl_addr a;
    struct zt_listener *any = NULL;

    zt_addr_from_lwip(to, 0, &a);
    for (struct zt_listener *l = p->catch_all; l; l = l->next_all) {
        const struct zt_ctl_addr *own = &l->bound.addr;
        if (own->family == a.family && memcmp(own->ip, a.ip, 16) == 0)
            return (struct tcp_pcb_listen *)l->pcb;
        if (zt_addr_is_any(own) &&
            (own->family == a.family || (own->family == 6 && l->s.opt.v6only <= 0)))
            any = l;
    }
    return any ? (struct tcp_pcb_listen *)any->pcb : NULL;
}

static bool same_address(const struct zt_listener *a, const struct zt_listener *b)
{
    return a->bound.addr.family == b->bound.addr.family &&
           memcmp(a->bound.addr.ip, b->bound.addr.ip, 16) == 0;
}

static int catch_all(struct zt_listener *l)
{
    struct zt_proxy *p = l->s.p;

    for (struct zt_listener *o = p->catch_all; o; o = o->next_all)
        if (same_address(o, l))
            return EADDRINUSE;
    l->all_ports = true;
    l->next_all = p->catch_all;
    p->catch_all = l;
    zt_stack_catch_all(p->cfg.stack, find_catcher, p);
    return 0;
}

static void catch_no_more(struct zt_listener *l)
{
    struct zt_listener **at = &l->s.p->catch_all;

    while (*at && *at != l)
        at = &(*at)->next_all;
    if (*at)
        *at = l->next_all;
    l->all_ports = false;
    if (!l->s.p->catch_all)
        zt_stack_catch_all(l->s.p->cfg.stack, NULL, NULL);
}

static void stop_listening(struct zt_listener *l)
{
    if (!l->pcb)
        return;
    tcp_arg(l->pcb, NULL);
    tcp_accept(l->pcb, NULL);
    tcp_close(l->pcb);
    l->pcb = NULL;
    l->bound.listening = false;
    l->s.p->counts.listeners--;
}

static void retire(struct zt_listener *l, bool gone)
{
    if (l->all_ports)
        catch_no_more(l);
    stop_listening(l);
    zt_bind_drop(l->s.p, &l->bound);
    while (!zt_list_empty(&l->queue))
        zt_stream_drop(ZT_CONTAINER(l->queue.next, struct zt_stream, waiting));
    zt_sock_retire(&l->s, gone);
}

static int bind_listener(struct zt_listener *l, const struct zt_ctl_req *q, struct zt_ctl_rep *r,
                         int *fd)
{
    struct zt_ctl_addr local = q->local;
    int least = 1, err;

    zt_opt_set_all(&l->s, q);
    l->bound.origin = q->id;
    if ((err = zt_bind_take(l->s.p, &l->bound, &l->s, IPPROTO_TCP_, &local)) != 0)
        return err;
    if ((err = zt_sock_pair(&l->s, fd)) != 0)
        return err;
    setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    err = zt_sock_fill(*fd, (const uint8_t *)"", 1);
    if (err < 0)
        return -err;
    zt_state_addrs(l->s.slot, &local, NULL);
    l->s.slot->family = (uint16_t)q->family;
    zt_state_phase(l->s.slot, ZT_PHASE_BOUND, 0);
    zt_sock_watch(&l->s, UV_PRIORITIZED);
    r->id = l->s.id;
    r->local = local;
    return 0;
}

int zt_listen_bind(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd)
{
    struct zt_listener *l = calloc(1, sizeof *l);
    int err;

    if (!l)
        return ENOBUFS;
    zt_list_init(&l->queue);
    l->s.family = q->family;
    err = zt_sock_register(p, &l->s, ZT_SOCK_BOUND);
    if (!err)
        err = bind_listener(l, q, r, fd);
    if (err) {
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        retire(l, true);
    }
    return err;
}

/* With SO_REUSEPORT, or after a restart, several listeners share a port, but lwIP gives everything
 * to one of them. */
static struct zt_listener *choose_member(struct zt_listener *l)
{
    struct zt_binding *first = zt_map_get(&l->s.p->bound, l->bound.key);
    unsigned n = 0, pick;

    if ((l->s.opt.reuseport <= 0 && !l->bound.origin) || !first || !first->next)
        return l;
    for (struct zt_binding *b = first; b; b = b->next)
        n += b->listening && memcmp(&b->addr, &l->bound.addr, sizeof b->addr) == 0;
    pick = n ? (unsigned)(zt_proxy_random(l->s.p) % n) : 0;
    for (struct zt_binding *b = first; b; b = b->next)
        if (b->listening && memcmp(&b->addr, &l->bound.addr, sizeof b->addr) == 0 && !pick--)
            return ZT_CONTAINER(b, struct zt_listener, bound);
    return l;
}

static void set_gate(struct zt_listener *l)
{
#if TCP_LISTEN_BACKLOG
    if (l->pcb)
        ((struct tcp_pcb_listen *)l->pcb)->backlog = l->queued < l->backlog ? HALF_OPEN : 0;
#endif
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct zt_listener *l = arg;
    struct zt_stream *st;

    if (err != ERR_OK || !pcb)
        return ERR_VAL;
    l = choose_member(l);
    if (l->queued >= l->backlog + HALF_OPEN) { /* those were half-open when the gate shut */
        l->s.p->counts.refused++;
        return ERR_MEM;
    }
    st = zt_stream_accepted(l, pcb);
    if (!st) {
        l->s.p->counts.refused++;
        return ERR_MEM;
    }
    st->from = l;
    zt_list_push_back(&l->queue, &st->waiting);
    l->queued++;
    l->s.p->counts.accepts++;
    set_gate(l);
    zt_sock_touch(&l->s);
    return ERR_OK;
}

static void set_backlog(struct zt_listener *l, int backlog)
{
    int bytes;

    l->backlog = backlog < 1 ? 1 : backlog > BACKLOG_MOST ? BACKLOG_MOST : (unsigned)backlog;
    if (l->backlog > PAIR_HOLDS) {
        bytes = (int)l->backlog * BUFFER_EACH;
        setsockopt(l->s.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    set_gate(l);
}

/* lwIP's connections begin with its defaults: the SYN|ACK, before anybody hears of it, has to carry what
 * the listener was told. */
static err_t inherit(u8_t id, struct tcp_pcb_listen *from, struct tcp_pcb *pcb)
{
    pcb->ttl = from->ttl;
    pcb->tos = from->tos;
    return ERR_OK;
}

static const struct tcp_ext_arg_callbacks passive_open = {.passive_open = inherit};

void zt_listen_apply(struct zt_listener *l)
{
    if (l->pcb && l->s.opt.ttl > 0)
        l->pcb->ttl = (u8_t)l->s.opt.ttl;
    if (l->pcb && l->s.opt.tos >= 0)
        l->pcb->tos = (u8_t)l->s.opt.tos;
}

int zt_listen_start(struct zt_listener *l, int backlog, bool all_ports)
{
    struct tcp_pcb *pcb;
    ip_addr_t local;
    err_t res;
    int err;

    if (l->pcb && all_ports != l->all_ports)
        return EINVAL;
    if (l->pcb) {
        set_backlog(l, backlog);
        return 0;
    }
    if ((err = zt_bind_listen(l->s.p, &l->bound)) != 0)
        return err;
    zt_addr_to_lwip(&l->bound.addr, &local);
    if (l->bound.addr.family == 6 && zt_addr_is_any(&l->bound.addr) && l->s.opt.v6only <= 0)
        IP_SET_TYPE(&local, IPADDR_TYPE_ANY);
    pcb = tcp_new_ip_type(IP_GET_TYPE(&local));
    if (!pcb) {
        l->bound.listening = false;
        return ENOBUFS;
    }
    ip_addr_copy(pcb->local_ip, local);
    pcb->local_port = l->bound.addr.port;
    pcb->netif_idx = (u8_t)l->s.opt.ifindex;
    l->pcb = tcp_listen_with_backlog_and_err(pcb, HALF_OPEN, &res);
    if (!l->pcb) {
        tcp_abort(pcb);
        l->bound.listening = false;
        return ENOBUFS;
    }
    tcp_arg(l->pcb, l);
    tcp_accept(l->pcb, on_accept);
    tcp_ext_arg_set_callbacks(l->pcb, 0, &passive_open);
    zt_listen_apply(l);
    l->s.p->counts.listeners++;
    if (all_ports && (err = catch_all(l)) != 0) {
        stop_listening(l);
        return err;
    }
    set_backlog(l, backlog);
    zt_state_phase(l->s.slot, ZT_PHASE_LISTENING, 0);
    return 0;
}

int zt_listen_send(struct zt_listener *l, const struct zt_ctl_accept *a, int fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } c = {0};
    struct iovec iov = {(void *)a, sizeof *a};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof c.buf};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    return sendmsg(l->s.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

static int send_stream(struct zt_listener *l, const struct zt_stream *st, int prog)
{
    const struct zt_state_slot *slot = st->s.slot;
    struct zt_ctl_accept a = {.id = st->s.id};

    a.local.family = slot->lfamily;
    a.local.port = slot->lport;
    memcpy(a.local.ip, slot->lip, 16);
    a.remote.family = slot->rfamily;
    a.remote.port = slot->rport;
    memcpy(a.remote.ip, slot->rip, 16);
    return zt_listen_send(l, &a, prog);
}

/* Ask before making a pair for nothing; a message much smaller than the buffer may still fit when
 * poll says no, but then poll will also say when to go on. */
bool zt_listen_room(const struct zt_listener *l)
{
    struct pollfd pf = {.fd = l->s.fd, .events = POLLOUT};

    return poll(&pf, 1, 0) != 1 || (pf.revents & (POLLOUT | POLLHUP | POLLERR));
}

/* The first of the queue to the program. 0 or an errno. */
static int deliver(struct zt_listener *l)
{
    struct zt_stream *st = ZT_CONTAINER(l->queue.next, struct zt_stream, waiting);
    int fd[2], err;

    if (!zt_listen_room(l))
        return EAGAIN;
    if ((err = zt_sock_make(&st->s, fd)) != 0)
        return err;
    err = send_stream(l, st, fd[1]);
    close(fd[1]);
    if (err) {
        close(fd[0]);
        return err;
    }
    zt_list_remove(&st->waiting);
    st->from = NULL;
    l->queued--;
    if (zt_sock_adopt(&st->s, fd[0]) != 0) /* no memory: the program reads a reset */
        zt_stream_drop(st);
    else
        zt_sock_touch(&st->s);
    return 0;
}

void zt_listen_pump(struct zt_listener *l)
{
    uint8_t ev = l->s.ev;
    int err = 0;

    l->s.ev = 0;
    if ((ev & ZT_EV_HUP) && zt_sock_is_closed(&l->s)) {
        retire(l, false);
        return;
    }
    while (!zt_list_empty(&l->queue) && (err = deliver(l)) == 0)
        ;
    if (l->s.host && !err)
        err = zt_host_accept(l);
    zt_host_watch(&l->s, !err);
    set_gate(l);
    if (err == EPIPE || err == ECONNRESET) { /* shutdown(SHUT_RD) ends listening, as in Linux */
        retire(l, false);
        return;
    }
    /* Out of descriptors, here or in flight: nothing will tell when that changes. */
    if (err && err != EAGAIN)
        zt_sock_retry(&l->s);
    zt_sock_watch(&l->s, UV_PRIORITIZED | (err == EAGAIN ? UV_WRITABLE : 0));
}

/* A kernel's close() ends listening before it returns, ours travels through the loop: a program that
 * closes a listener and connects to its address must be refused, not accepted by the listener's ghost. */
void zt_listen_bury(struct zt_proxy *p, uint16_t port)
{
    struct zt_binding *next, *b = zt_map_get(&p->bound, (uint32_t)IPPROTO_TCP_ << 16 | port);

    for (; b; b = next) {
        next = b->next;
        if (b->listening && zt_sock_is_closed(b->sock))
            retire(ZT_CONTAINER(b, struct zt_listener, bound), false);
    }
}

void zt_listen_drop(struct zt_listener *l)
{
    retire(l, false);
}

/* Bound, listening and with the kernel's listener at its side, all in one request. */
int zt_listen_merge(struct zt_proxy *p, const struct zt_ctl_req *q, int host, struct zt_ctl_rep *r,
                    int *fd)
{
    struct zt_sock *s;
    struct zt_listener *l;
    int err = zt_listen_bind(p, q, r, fd);

    if (err) {
        close(host);
        return err;
    }
    s = zt_proxy_find(p, r->id);
    l = (struct zt_listener *)s;
    err = zt_host_take(s, q, host);
    if (!err)
        err = zt_listen_start(l, q->value, false);
    if (err) {
        close(*fd);
        *fd = -1;
        retire(l, true);
        return err;
    }
    zt_host_watch(s, true);
    return 0;
}
