/* Sending: the batch of a turn becomes as few system calls as possible. Runs to one endpoint go as
 * UDP_SEGMENT messages; messages of one socket go together through sendmmsg.
 *
 * What can go wrong with segmentation shows only when it is used: EIO (the device cannot checksum)
 * ends it for the socket; EINVAL and EMSGSIZE (a segment is larger than the device's MTU) end it
 * for segments of that size. Either way the datagrams of that message are sent singly at once. */
#include "node/udp_impl.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES 64 /* per sendmmsg */

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
};

/* What one message header points to. */
struct parts {
    struct zt_batch_msg what;
    struct iovec iov[ZT_GSO_SEGMENTS];
    union zt_sockaddr to;
    union control control;
};

struct zt_udp_vector {
    struct mmsghdr m[MESSAGES];
    struct parts part[MESSAGES];
    unsigned n;
};

struct zt_udp_vector *zt_udp_vector_new(void)
{
    return malloc(sizeof(struct zt_udp_vector));
}

static void add_control(struct msghdr *h, union control *c, int level, int type, const void *v,
                        size_t n)
{
    struct cmsghdr *cm = (struct cmsghdr *)(c->bytes + h->msg_controllen);
    h->msg_control = c->bytes;
    h->msg_controllen += CMSG_SPACE(n);
    cm->cmsg_level = level;
    cm->cmsg_type = type;
    cm->cmsg_len = CMSG_LEN(n);
    memcpy(CMSG_DATA(cm), v, n);
}

static void fill(struct mmsghdr *m, struct parts *p, const struct zt_batch *b,
                 const struct zt_batch_msg *msg)
{
    struct msghdr *h = &m->msg_hdr;
    const struct zt_batch_item *to = msg->to;
    memset(m, 0, sizeof *m);
    memset(&p->control, 0, sizeof p->control);
    p->what = *msg;
    h->msg_name = &p->to;
    h->msg_namelen = zt_sockaddr_of(&to->ep, &p->to);
    h->msg_iov = p->iov;
    h->msg_iovlen = zt_batch_iov(b, msg, p->iov);
    if (msg->count > 1)
        add_control(h, &p->control, IPPROTO_UDP, UDP_SEGMENT, &msg->segment, sizeof msg->segment);
    if (to->ttl != 0 && to->ep.family == 4) {
        int ttl = to->ttl;
        add_control(h, &p->control, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    }
}

/* Segmentation was refused: remember it, send the datagrams one by one. */
static void send_singly(struct zt_udp *u, struct zt_udp_sock *s, const struct zt_batch_msg *msg,
                        int error)
{
    struct zt_batch *b = u->batch;
    s->gso_max = error == EIO ? 0 : msg->segment - 1u < s->gso_max ? msg->segment - 1u : s->gso_max;
    u->stats.tx_fallbacks++;
    int i = msg->first;
    for (unsigned k = 0; k < msg->count; k++, i = b->item[i].next) {
        struct mmsghdr m;
        struct parts part;
        struct zt_batch_msg single;
        zt_batch_msg(b, i, 0, &single);
        fill(&m, &part, b, &single);
        u->stats.tx_calls++;
        if (sendmsg(s->fd, &m.msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            u->stats.tx_dropped++;
        } else {
            u->stats.tx_datagrams++;
            u->stats.tx_bytes += single.bytes;
        }
    }
}

static void send_vector(struct zt_udp *u, struct zt_udp_sock *s, struct zt_udp_vector *v)
{
    unsigned at = 0;
    while (at < v->n) {
        int r = sendmmsg(s->fd, v->m + at, v->n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        u->stats.tx_calls++;
        for (int i = 0; i < r; i++) {
            u->stats.tx_datagrams += v->part[at + (unsigned)i].what.count;
            u->stats.tx_bytes += v->part[at + (unsigned)i].what.bytes;
            u->stats.tx_gso += v->part[at + (unsigned)i].what.count > 1;
        }
        if (r > 0) {
            at += (unsigned)r;
            continue;
        }
        int error = errno;
        if (error == EINTR)
            continue;
        if (v->part[at].what.count > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE))
            send_singly(u, s, &v->part[at].what, error);
        else
            u->stats.tx_dropped +=
                v->part[at].what.count; /* full, unreachable, refused: as if lost */
        at++;
    }
    v->n = 0;
}

static void send_socket(struct zt_udp *u, struct zt_udp_sock *s, struct zt_udp_vector *v)
{
    struct zt_batch *b = u->batch;
    v->n = 0;
    for (unsigned r = 0; r < b->nruns; r++) {
        if (b->item[b->runs[r]].sock != s->index)
            continue;
        for (int i = b->runs[r]; i >= 0;) {
            struct zt_batch_msg msg;
            i = zt_batch_msg(b, i, s->gso_max, &msg);
            fill(&v->m[v->n], &v->part[v->n], b, &msg);
            v->n++;
            if (v->n == MESSAGES)
                send_vector(u, s, v);
        }
    }
    send_vector(u, s, v);
}

void zt_udp_flush(struct zt_udp *u)
{
    if (u->batch->n == 0)
        return;
    for (unsigned i = 0; i < UDP_SOCKS; i++)
        if (u->sock[i] != NULL)
            send_socket(u, u->sock[i], u->vector);
    zt_batch_clear(u->batch);
}

static void add(struct zt_udp *u, struct zt_udp_sock *s, const struct zt_ep *ep,
                const uint8_t *head, size_t nhead, const uint8_t *body, size_t nbody, unsigned ttl)
{
    uint8_t *p = zt_batch_add(u->batch, s->index, ep, ttl, nhead + nbody);
    if (p == NULL) {
        zt_udp_flush(u);
        p = zt_batch_add(u->batch, s->index, ep, ttl, nhead + nbody);
    }
    memcpy(p, head, nhead);
    if (nbody > 0)
        memcpy(p + nhead, body, nbody);
}

void zt_udp_send(struct zt_udp *u, const struct zt_link *to, const uint8_t *head, size_t nhead,
                 const uint8_t *body, size_t nbody, unsigned ttl)
{
    bool loopback = zt_ep_scope(&to->ep) == ZT_SCOPE_LOOPBACK, sent = false;
    bool allowed =
        loopback ? u->cfg.underlay != ZT_UNDERLAY_NORMAL : u->cfg.underlay != ZT_UNDERLAY_LOOPBACK_ONLY;
    bool any = to->sock < 0;
    struct zt_ep ep = to->ep;
    unsigned first = any ? 0 : (unsigned)to->sock, end = any ? UDP_SOCKS : first + 1;
    for (unsigned i = first; i < end && i < UDP_SOCKS && allowed && nhead + nbody <= 65507; i++) {
        struct zt_udp_sock *s = u->sock[i];
        if (s != NULL && s->local.family == ep.family && (!any || s->is_loopback == loopback)) {
            add(u, s, &ep, head, nhead, body, nbody, ttl);
            sent = true;
        }
    }
    if (!sent)
        u->stats.tx_dropped++;
}
