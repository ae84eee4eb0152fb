/* Streams that begin with a connect of ours; what they do then is in proxy_tcp.c.
 *
 * The program gets its end before the first SYN leaves. Its send buffer is full of filler, so poll
 * says what it says about a connecting TCP socket: nothing. Success: the state page gets the
 * addresses and CONNECTED, then the filler, whose length we know, is read away, which makes the
 * descriptor writable: one edge. Failure: the page gets FAILED and the reason, then we close with
 * the filler unread, which the kernel shows as IN OUT RDHUP HUP ERR, again what TCP shows. Whatever
 * the program wrote behind the filler is data.
 *
 * Who would only wait for the result can be spared the gate and one of two awakenings: no pair is made
 * until the handshake is over, and then it is the answer (struct zt_waiter). A program that must have its
 * descriptor earlier asks, and gets the one above. */
#include "node/proxy_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lwip/tcp.h"

#define FILLER 65536 /* bytes of one message of it */

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct zt_stream *st = arg;

    (void)pcb;
    (void)err; /* lwIP only ever passes ERR_OK */
    st->up = true;
    zt_stream_hold(st);
    zt_sock_touch(&st->s);
    return ERR_OK;
}

/* A local port that makes (local, remote) unique. lwIP's own choice would need one that no socket
 * uses at all, and look for it by walking every connection. */
static int choose_tuple(struct zt_stream *st, struct zt_ctl_addr *local,
                        const struct zt_ctl_addr *remote)
{
    struct zt_proxy *p = st->s.p;
    bool fixed = local->port != 0;

    for (unsigned i = 0; i < (fixed ? 1 : ZT_PORT_COUNT); i++) {
        uint64_t key;

        if (!fixed)
            local->port = (uint16_t)(ZT_PORT_FIRST + p->next_port++ % ZT_PORT_COUNT);
        key = zt_tuple_hash(p, local, remote);
        if (zt_map_get(&p->tuples, key))
            continue;
        if (zt_map_put(&p->tuples, key, st) != 0)
            return ENOBUFS;
        st->tuple = key;
        return 0;
    }
    return EADDRNOTAVAIL;
}

static int start_syn(struct zt_stream *st, const ip_addr_t *src, const struct zt_ctl_addr *local,
                     const ip_addr_t *dst, uint16_t port)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(dst));
    err_t err;

    if (!pcb)
        return ENOBUFS;
    ip_addr_copy(pcb->local_ip, *src);
    pcb->local_port = local->port;
    zt_stream_attach(st, pcb);
    err = tcp_connect(pcb, dst, port, on_connected);
    if (err == ERR_OK)
        return 0;
    zt_stream_abort(st);
    return err == ERR_RTE ? ENETUNREACH : ENOBUFS;
}

static int find_local(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_stream *st,
                      struct zt_ctl_addr *local)
{
    struct zt_sock *b;

    memset(local, 0, sizeof *local);
    local->family = q->remote.family;
    if (!q->id) { /* bound to a port of the kernel's wildcard before: keep that */
        local->port = q->local.port;
        return 0;
    }
    b = zt_proxy_find(p, q->id);
    if (!b)
        return EBADF;
    if (b->kind != ZT_SOCK_BOUND || ((struct zt_listener *)b)->pcb)
        return EISCONN;
    st->s.opt = b->opt;
    *local = ((struct zt_listener *)b)->bound.addr;
    if (local->family != q->remote.family) {
        if (!zt_addr_is_any(local))
            return EINVAL;
        local->family = q->remote.family;
        memset(local->ip, 0, sizeof local->ip);
    }
    return 0;
}

static void fill_reply(const struct zt_stream *st, struct zt_ctl_rep *r)
{
    r->id = st->s.id;
    zt_slot_addrs(st->s.slot, r);
}

/* The pair, with the program's end filled up. 0 or an errno. */
static int make_gate(struct zt_stream *st, int *fd)
{
    int n, err = zt_sock_pair(&st->s, fd);

    if (err)
        return err;
    memset(st->s.p->scratch, 0, FILLER);
    n = zt_sock_fill(*fd, st->s.p->scratch, FILLER);
    if (n < 0)
        return -n;
    st->filler = (uint32_t)n;
    zt_sock_watch(&st->s, UV_PRIORITIZED);
    return 0;
}

static int connect_stream(struct zt_stream *st, const struct zt_ctl_req *q, struct zt_waiter *h,
                          struct zt_ctl_rep *r, int *fd)
{
    struct zt_proxy *p = st->s.p;
    ip_addr_t dst, want, src;
    struct zt_ctl_addr local;
    struct netif *nif;
    int err;

    if (!zt_addr_to_lwip(&q->remote, &dst))
        return EAFNOSUPPORT;
    if (zt_addr_is_any(&q->remote) || zt_addr_is_multicast(&q->remote) ||
        !zt_addr_is_reachable(p, &q->remote))
        return ENETUNREACH;
    if ((err = find_local(p, q, st, &local)) != 0)
        return err;
    zt_opt_set_all(&st->s, q);
    if (!zt_sock_may_leave(&st->s, &q->remote))
        return ENETUNREACH;
    zt_addr_to_lwip(&local, &want);
    if ((err = zt_route_to(&q->remote, &want, &dst, &nif, &src)) != 0)
        return err;
    zt_listen_bury(p, q->remote.port);
    zt_addr_from_lwip(&src, local.port, &local);
    if ((err = choose_tuple(st, &local, &q->remote)) != 0)
        return err;
    if (!h && (err = make_gate(st, fd)) != 0)
        return err;
    st->connecting = true;
    zt_state_addrs(st->s.slot, &local, &q->remote);
    st->s.slot->family = (uint16_t)q->family;
    zt_state_phase(st->s.slot, ZT_PHASE_CONNECTING, 0);
    if ((err = start_syn(st, &src, &local, &dst, q->remote.port)) != 0)
        return err;
    st->waiter = h;
    if (h)
        h->stream = st;
    fill_reply(st, r);
    return 0;
}

int zt_stream_connect(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_waiter *h,
                      struct zt_ctl_rep *r, int *fd)
{
    struct zt_stream *st = calloc(1, sizeof *st);
    int err;

    if (!st)
        return ENOBUFS;
    zt_list_init(&st->waiting);
    st->s.family = q->family;
    p->counts.tcp++;
    err = zt_sock_register(p, &st->s, ZT_SOCK_STREAM);
    if (!err)
        err = connect_stream(st, q, h, r, fd);
    if (err) {
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        zt_stream_retire(st);
        return err;
    }
    p->counts.connects++;
    return 0;
}

void zt_connect_up(struct zt_stream *st)
{
    st->connecting = false;
    zt_state_phase(st->s.slot, ZT_PHASE_CONNECTED, 0);
    for (int i = 0; st->filler && i < 1024; i++) {
        uint32_t most = st->filler < ZT_SCRATCH ? st->filler : ZT_SCRATCH;
        ssize_t n = recv(st->s.fd, st->s.p->scratch, most, MSG_DONTWAIT);
        if (n <= 0)
            break;
        st->filler -= (uint32_t)n;
    }
}

/* --- those whose answer waits ------------------------------------------------------------------ */

void zt_connect_answer(struct zt_stream *st, int err, int fd)
{
    struct zt_waiter *h = st->waiter;
    struct zt_ctl_rep r = {
        .version = ZT_CTL_VERSION, .type = ZT_CTL_CONNECT, .err = err, .done = err == 0};

    if (!err)
        fill_reply(st, &r);
    st->waiter = NULL;
    h->stream = NULL;
    h->answer(h, &r, fd);
}

/* It failed, or there is no descriptor for it. */
static void waiter_fail(struct zt_stream *st, int err)
{
    zt_state_phase(st->s.slot, ZT_PHASE_FAILED, err);
    st->s.p->counts.refused++;
    zt_connect_answer(st, err, -1);
    zt_stream_abort(st);
    zt_stream_retire(st);
}

bool zt_connect_pump(struct zt_stream *st)
{
    int err = st->err, fd;

    if (!st->up && !err)
        return false;
    if (st->up)
        err = zt_sock_pair(&st->s, &fd);
    if (err) {
        waiter_fail(st, err);
        return false;
    }
    st->connecting = false;
    zt_state_phase(st->s.slot, ZT_PHASE_CONNECTED, 0);
    zt_connect_answer(st, 0, fd);
    return true;
}

void zt_waiter_give(struct zt_waiter *h, struct zt_ctl_rep *r, int *fd)
{
    struct zt_stream *st = h->stream;
    int err;

    *r = (struct zt_ctl_rep){.version = ZT_CTL_VERSION, .type = ZT_CTL_CONNECT};
    *fd = -1;
    h->stream = NULL;
    st->waiter = NULL;
    err = make_gate(st, fd);
    if (!err) {
        fill_reply(st, r);
        return;
    }
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    r->err = err;
    zt_stream_drop(st);
}

void zt_waiter_drop(struct zt_waiter *h)
{
    struct zt_stream *st = h->stream;

    h->stream = NULL;
    st->waiter = NULL;
    zt_stream_drop(st);
}
