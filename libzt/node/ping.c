/* Echo requests from the node itself, for `ztctl ping`: a setuid ping ignores a preload. One raw
 * pcb per probe; at most MAX_PINGS at a time, each answered after at most TIMEOUT_MS.
 *
 * lwIP goes on using a raw pcb after its callback (it moves one that is not the first of its list
 * to the front), so an answered probe is told of at once but goes only when the next deadlines are
 * looked at: it is put in front of the list, due immediately. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lwip/icmp.h>
#include <lwip/icmp6.h>
#include <lwip/inet_chksum.h>
#include <lwip/raw.h>

#include "node/node_priv.h"

#define TIMEOUT_MS 1000
#define MAX_PINGS 64
#define PAYLOAD 16
#define ECHO_LEN (8 + PAYLOAD)

struct zt_ping {
    struct zt_list link;
    struct zt_node *n;
    struct raw_pcb *pcb;
    ip_addr_t to;
    uint16_t id, seq;
    uint64_t token; /* in the payload: an answer to somebody else's probe is not ours */
    int64_t sent_us, end_ms;
    zt_command_done *done; /* NULL: answered */
    void *arg;
    char address[ZT_EP_STR];
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void finish(struct zt_ping *p, int err, const char *text)
{
    zt_list_remove(&p->link);
    raw_remove(p->pcb);
    if (p->done != NULL)
        p->done(p->arg, err, text, strlen(text));
    free(p);
}

static void answered(struct zt_ping *p, const char *text)
{
    zt_command_done *done = p->done;
    p->done = NULL;
    raw_recv(p->pcb, NULL, NULL);
    p->end_ms = 0;
    zt_list_remove(&p->link);
    zt_list_push_front(&p->n->pings, &p->link);
    done(p->arg, 0, text, strlen(text));
}

static u8_t on_echo(void *arg, struct raw_pcb *pcb, struct pbuf *pb, const ip_addr_t *from)
{
    struct zt_ping *p = arg;
    uint8_t b[ECHO_LEN];
    bool v6 = IP_IS_V6_VAL(p->to);
    u16_t skip = ip_current_header_tot_len(); /* raw pcbs get the packet with its IP header */
    if (!ip_addr_cmp(from, &p->to) || pb->tot_len < skip + ECHO_LEN ||
        pbuf_copy_partial(pb, b, ECHO_LEN, skip) != ECHO_LEN)
        return 0;
    if (b[0] != (v6 ? ICMP6_TYPE_EREP : ICMP_ER) || memcmp(b + 8, &p->token, sizeof p->token) != 0)
        return 0;
    char text[160];
    double ms = (double)(now_us() - p->sent_us) / 1000.0;
    snprintf(text, sizeof text, "{\"address\":\"%s\",\"ms\":%.3f}", p->address, ms);
    pbuf_free(pb);
    answered(p, text);
    return 1; /* eaten */
}

static struct pbuf *make_echo(struct zt_ping *p)
{
    bool v6 = IP_IS_V6_VAL(p->to);
    struct pbuf *pb = pbuf_alloc(PBUF_IP, ECHO_LEN, PBUF_RAM);
    if (pb == NULL)
        return NULL;
    uint8_t *b = pb->payload;
    memset(b, 0, ECHO_LEN);
    b[0] = v6 ? ICMP6_TYPE_EREQ : ICMP_ECHO;
    b[4] = (uint8_t)(p->id >> 8);
    b[5] = (uint8_t)p->id;
    b[6] = (uint8_t)(p->seq >> 8);
    b[7] = (uint8_t)p->seq;
    memcpy(b + 8, &p->token, sizeof p->token);
    if (!v6) { /* ICMPv6: the pcb fills the checksum, which covers the addresses */
        u16_t sum = inet_chksum(b, ECHO_LEN);
        memcpy(b + 2, &sum, 2);
    }
    return pb;
}

static struct raw_pcb *make_pcb(struct zt_ping *p)
{
    bool v6 = IP_IS_V6_VAL(p->to);
    struct raw_pcb *pcb =
        raw_new_ip_type(v6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4, v6 ? IP6_NEXTH_ICMP6 : IP_PROTO_ICMP);
    if (pcb == NULL)
        return NULL;
    if (v6) {
        pcb->chksum_reqd = 1;
        pcb->chksum_offset = 2;
    }
    raw_recv(pcb, on_echo, p);
    return pcb;
}

void zt_ping_start(struct zt_node *n, const char *address, zt_command_done *done, void *arg)
{
    struct zt_ep ep;
    size_t waiting = 0;
    if (zt_ep_parse(address, &ep) != 0 || ep.family == 0) {
        done(arg, EINVAL, "not an IP address", 17);
        return;
    }
    if (!zt_stack_routes(n->stack, &ep, NULL) && !zt_stack_is_local(n->stack, &ep)) {
        done(arg, ENETUNREACH, "not on a joined network", 23);
        return;
    }
    ZT_LIST_EACH(it, &n->pings)
    waiting++;
    struct zt_ping *p = waiting < MAX_PINGS ? calloc(1, sizeof *p) : NULL;
    if (p == NULL) {
        done(arg, EAGAIN, "too many pings at once", 22);
        return;
    }
    zt_list_init(&p->link);
    p->n = n;
    p->done = done;
    p->arg = arg;
    ep.port = 0;
    zt_ep_format_ip(&ep, p->address);
    if (ep.family == 4) {
        IP_ADDR4(&p->to, ep.ip[0], ep.ip[1], ep.ip[2], ep.ip[3]);
    } else {
        u32_t w[4];
        memcpy(w, ep.ip, 16);
        IP_ADDR6(&p->to, w[0], w[1], w[2], w[3]);
    }
    n->host.random(n, &p->token, sizeof p->token);
    p->id = (uint16_t)p->token;
    p->seq = ++n->ping_seq;
    p->sent_us = now_us();
    p->end_ms = zt_loop_now(n->loop)->mono_ms + TIMEOUT_MS;
    p->pcb = make_pcb(p);
    struct pbuf *pb = p->pcb != NULL ? make_echo(p) : NULL;
    if (pb == NULL) {
        if (p->pcb != NULL)
            raw_remove(p->pcb);
        free(p);
        done(arg, ENOMEM, "out of memory", 13);
        return;
    }
    zt_list_push_back(&n->pings, &p->link);
    err_t e = raw_sendto(p->pcb, pb, &p->to);
    pbuf_free(pb);
    zt_stack_kick(n->stack);
    if (e == ERR_RTE)
        finish(p, ENETUNREACH, "no route");
}

void zt_ping_due(struct zt_node *n, int64_t mono_ms)
{
    ZT_LIST_EACH(it, &n->pings)
    {
        struct zt_ping *p = ZT_CONTAINER(it, struct zt_ping, link);
        if (mono_ms >= p->end_ms)
            finish(p, ETIMEDOUT, "no answer");
    }
}

int64_t zt_ping_deadline(const struct zt_node *n)
{
    /* The answered first; the others in order of their start, and all wait equally long. */
    if (zt_list_empty(&n->pings))
        return ZT_NEVER;
    return ZT_CONTAINER(n->pings.next, struct zt_ping, link)->end_ms;
}

void zt_ping_end_all(struct zt_node *n)
{
    while (!zt_list_empty(&n->pings))
        finish(ZT_CONTAINER(n->pings.next, struct zt_ping, link), ENETDOWN, "the node ends");
}
