#include "twin.h"

#include <stdlib.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "stack/hooks.h"
#include "stack/impl.h"
#include "lwip/stats.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#define PATTERN (1u << 18)
#define ACCEPTED 4096

static struct zt_stack *stack;
static int64_t now;
static uint8_t pattern[PATTERN];
static struct tcp_pcb *listener[4];
static unsigned nlisteners, naccepted;
static struct twin_conn *accepted[ACCEPTED];
static struct twin_conn *all[1 << 18];
static unsigned nall;
static struct twin_udp *udps[16];
static unsigned nudps;

static struct twin_conn *conn_new(void)
{
    struct twin_conn *c = calloc(1, sizeof *c);
    all[nall++] = c;
    return c;
}

static ip_addr_t ip_of(const struct zt_ep *ep)
{
    ip_addr_t ip;
    memset(&ip, 0, sizeof ip);
    if (ep->family == 4) {
        IP_SET_TYPE_VAL(ip, IPADDR_TYPE_V4);
        memcpy(&ip_2_ip4(&ip)->addr, ep->ip, 4);
    } else {
        IP_SET_TYPE_VAL(ip, IPADDR_TYPE_V6);
        memcpy(ip_2_ip6(&ip)->addr, ep->ip, 16);
    }
    return ip;
}

/* Once: it was four fifths of what a short life of a stack cost. */
static void make_pattern(void)
{
    static bool ready;
    uint32_t x = 1;
    for (unsigned i = 0; !ready && i < PATTERN; i++) {
        x = x * 1664525 + 1013904223;
        pattern[i] = (uint8_t)(x >> 24);
    }
    ready = true;
}

static int t_open(const struct zt_stack_host *host, int64_t at)
{
    make_pattern();
    now = at;
    return zt_stack_new(host, at, &stack);
}

static void t_close(void)
{
    for (unsigned i = 0; i < nudps; i++) {
        udp_remove(udps[i]->pcb);
        free(udps[i]);
    }
    for (unsigned i = 0; i < nlisteners; i++)
        tcp_close(listener[i]);
    zt_stack_free(stack);
    for (unsigned i = 0; i < nall; i++)
        free(all[i]);
    nudps = nlisteners = nall = naccepted = 0;
    stack = NULL;
}

static int t_net_set(const struct zt_net_info *info)
{
    return zt_stack_net_set(stack, info);
}

static void t_net_remove(uint64_t nwid)
{
    zt_stack_net_remove(stack, nwid);
}

static void t_input(uint64_t nwid, const uint8_t *eth, size_t n, int64_t at)
{
    now = at;
    zt_stack_now(stack, at);
    zt_stack_input(stack, nwid, eth, n);
}

static void t_rerouted(uint64_t node, int64_t at)
{
    zt_stack_now(stack, at);
    zt_stack_rerouted(stack, node);
}

static void t_tick(int64_t at)
{
    now = at;
    zt_stack_tick(stack, at);
}

static void t_flush(void)
{
    zt_stack_flush(stack);
}

static int64_t t_deadline(void)
{
    return zt_stack_deadline(stack);
}

static bool t_is_local(const struct zt_ep *ip)
{
    return zt_stack_is_local(stack, ip);
}

static bool t_routes(const struct zt_ep *ip, uint64_t *nwid)
{
    return zt_stack_routes(stack, ip, nwid);
}

static size_t t_memory(void)
{
    return lwip_stats.mem.used;
}

static unsigned t_ticking(void)
{
    unsigned n = 0;
    for (const struct tcp_pcb *p = tcp_active_pcbs; p != NULL; p = p->next)
        n++;
    return n;
}

/* Connections that wait for a closed window of the peer, which isn't closed. */
static unsigned t_stalled(void)
{
    unsigned n = 0;
    for (const struct tcp_pcb *p = tcp_active_pcbs; p != NULL; p = p->next)
        n += p->persist_backoff > 0 && p->unsent != NULL && p->snd_wnd >= p->unsent->len;
    return n;
}

static uint64_t t_allocations(void)
{
    return stack->pool.allocations;
}

/* --- TCP --- */

static void pump(struct twin_conn *c)
{
    struct tcp_pcb *p = c->pcb;
    if (p == NULL || !c->connected)
        return;
    while (c->written < c->to_send && p->snd_buf > 0) {
        uint64_t at = c->written % PATTERN, n = c->to_send - c->written;
        n = n > PATTERN - at ? PATTERN - at : n;
        n = n > 32768 ? 32768 : n;
        n = n > p->snd_buf ? p->snd_buf : n;
        if (tcp_write(p, pattern + at, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
        c->written += n;
    }
    tcp_output(p);
    zt_stack_kick(stack);
    if (c->close_when_sent && c->written == c->to_send) {
        c->close_when_sent = false;
        tcp_shutdown(p, 0, 1);
    }
}

static void on_err(void *arg, err_t e)
{
    struct twin_conn *c = arg;
    c->pcb = NULL;
    c->failed = true;
    c->error = e;
    c->last_ms = now;
}

static err_t on_sent(void *arg, struct tcp_pcb *p, u16_t n)
{
    struct twin_conn *c = arg;
    c->acked += n;
    pump(c);
    return ERR_OK;
}

static void detach(struct twin_conn *c)
{
    struct tcp_pcb *p = c->pcb;
    c->pcb = NULL;
    tcp_arg(p, NULL);
    tcp_recv(p, NULL);
    tcp_sent(p, NULL);
    tcp_err(p, NULL);
    tcp_close(p);
}

static err_t on_recv(void *arg, struct tcp_pcb *p, struct pbuf *b, err_t e)
{
    struct twin_conn *c = arg;
    if (b == NULL) {
        c->eof = true;
        c->last_ms = now;
        detach(c);
        return ERR_OK;
    }
    for (struct pbuf *q = b; q != NULL; q = q->next) {
        for (size_t i = 0; i < q->len;) {
            size_t at = c->received % PATTERN, n = q->len - i;
            n = n > PATTERN - at ? PATTERN - at : n;
            c->damaged |= memcmp((uint8_t *)q->payload + i, pattern + at, n) != 0;
            c->received += n;
            i += n;
        }
    }
    c->last_ms = now;
    if (c->hold)
        c->held += b->tot_len;
    else
        tcp_recved(p, b->tot_len);
    pbuf_free(b);
    return ERR_OK;
}

static void hook(struct twin_conn *c, struct tcp_pcb *p)
{
    c->pcb = p;
    tcp_arg(p, c);
    tcp_recv(p, on_recv);
    tcp_sent(p, on_sent);
    tcp_err(p, on_err);
}

static err_t on_accept(void *arg, struct tcp_pcb *p, err_t e)
{
    if (e != ERR_OK || naccepted == ACCEPTED)
        return ERR_MEM;
    struct twin_conn *c = conn_new();
    accepted[naccepted++] = c;
    c->connected = true;
    c->connected_ms = now;
    tcp_backlog_accepted(p);
    hook(c, p);
    return ERR_OK;
}

static err_t on_connected(void *arg, struct tcp_pcb *p, err_t e)
{
    struct twin_conn *c = arg;
    c->connected = true;
    c->connected_ms = now;
    tcp_nagle_disable(p);
    pump(c);
    return ERR_OK;
}

static int t_listen(unsigned family, unsigned port)
{
    struct tcp_pcb *p = tcp_new_ip_type(family == 4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
    err_t e = tcp_bind(p, family == 4 ? IP4_ADDR_ANY : IP6_ADDR_ANY, (u16_t)port);
    if (e != ERR_OK) {
        tcp_close(p);
        return e;
    }
    p = tcp_listen_with_backlog(p, 255);
    tcp_accept(p, on_accept);
    listener[nlisteners++] = p;
    return 0;
}

static struct twin_conn *t_accepted(unsigned i)
{
    return i < naccepted ? accepted[i] : NULL;
}

static unsigned t_naccepted(void)
{
    return naccepted;
}

static void t_forget_accepted(void)
{
    naccepted = 0;
}

static struct twin_conn *t_connect(const struct zt_ep *to, uint64_t to_send, bool close_when_sent)
{
    ip_addr_t ip = ip_of(to);
    struct twin_conn *c = conn_new();
    struct tcp_pcb *p = tcp_new_ip_type(IP_GET_TYPE(&ip));
    c->to_send = to_send;
    c->close_when_sent = close_when_sent;
    hook(c, p);
    err_t e = tcp_connect(p, &ip, to->port, on_connected);
    c->local_port = p->local_port;
    if (e != ERR_OK) {
        c->failed = true;
        c->error = e;
        c->pcb = NULL;
        tcp_arg(p, NULL);
        tcp_err(p, NULL);
        tcp_abort(p);
    }
    zt_stack_kick(stack);
    return c;
}

static void t_release(struct twin_conn *c)
{
    c->hold = false;
    while (c->held > 0 && c->pcb != NULL) {
        uint64_t n = c->held > 60000 ? 60000 : c->held;
        tcp_recved(c->pcb, (u16_t)n);
        c->held -= n;
    }
}

static void t_abort(struct twin_conn *c)
{
    if (c->pcb != NULL)
        tcp_abort(c->pcb);
}

static uint32_t t_all_arrived(struct twin_conn *c)
{
    struct tcp_pcb *p = c->pcb;
    u16_t flags = p->flags;
    p->flags |= TF_SACK | TF_INFR;
    p->pipe = 1000000;
    zt_lwip_recover(p, true);
    p->flags = flags;
    return p->unacked == NULL ? p->pipe : UINT32_MAX;
}

static void t_keepalive(struct twin_conn *c)
{
    struct tcp_pcb *p = c->pcb;
    ip_set_option(p, SOF_KEEPALIVE);
    p->keep_idle = 10000;
    p->keep_intvl = 2000;
    p->keep_cnt = 3;
    tcp_awake(p);
    zt_stack_kick(stack);
}

static uint32_t t_steps(struct twin_conn *c)
{
    struct tcp_pcb *p = c->pcb;
    return p->steps > p->ooseq_steps ? p->steps : p->ooseq_steps;
}

static bool t_paced(struct twin_conn *c)
{
    struct tcp_pcb *p = c->pcb;
    return p != NULL && p->rate.on;
}

/* --- UDP --- */

static void on_udp(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                   u16_t port)
{
    struct twin_udp *u = arg;
    uint8_t *copy = malloc(p->tot_len + 1u);
    pbuf_copy_partial(p, copy, p->tot_len, 0);
    u->count++;
    u->bytes += p->tot_len;
    u->last_size = p->tot_len;
    u->damaged |= memcmp(copy, pattern, p->tot_len) != 0;
    free(copy);
    if (u->echo)
        udp_sendto(pcb, p, from, port);
    pbuf_free(p);
}

static struct twin_udp *t_udp(unsigned family, unsigned port)
{
    struct twin_udp *u = calloc(1, sizeof *u);
    struct udp_pcb *p = udp_new_ip_type(family == 4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
    udp_bind(p, family == 4 ? IP4_ADDR_ANY : IP6_ADDR_ANY, (u16_t)port);
    udp_recv(p, on_udp, u);
    u->pcb = p;
    udps[nudps++] = u;
    return u;
}

static int t_udp_send(struct twin_udp *u, const struct zt_ep *to, size_t n)
{
    ip_addr_t ip = ip_of(to);
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)n, PBUF_RAM);
    pbuf_take(p, pattern, (u16_t)n);
    err_t e = udp_sendto(u->pcb, p, &ip, to->port);
    pbuf_free(p);
    return e;
}

__attribute__((visibility("default"))) const struct twin twin_api;
const struct twin twin_api = {
    .open = t_open,
    .close = t_close,
    .net_set = t_net_set,
    .net_remove = t_net_remove,
    .input = t_input,
    .flush = t_flush,
    .tick = t_tick,
    .rerouted = t_rerouted,
    .deadline = t_deadline,
    .is_local = t_is_local,
    .routes = t_routes,
    .memory = t_memory,
    .ticking = t_ticking,
    .stalled = t_stalled,
    .allocations = t_allocations,
    .listen = t_listen,
    .accepted = t_accepted,
    .naccepted = t_naccepted,
    .forget_accepted = t_forget_accepted,
    .connect = t_connect,
    .release = t_release,
    .abort = t_abort,
    .keepalive = t_keepalive,
    .all_arrived = t_all_arrived,
    .steps = t_steps,
    .paced = t_paced,
    .pump = pump,
    .udp = t_udp,
    .udp_send = t_udp_send,
    .chksum = zt_lwip_chksum,
};
