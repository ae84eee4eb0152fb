/* ICMP errors about packets of ours. lwIP ignores them; Linux reports them to connected datagram
 * sockets and to connections that are just being made, and programs rely on it: a resolver that
 * asks a port where nobody listens goes on at once.
 *
 * A raw pcb sees every ICMP message before lwIP does and passes it on. The message quotes our
 * packet; what it quotes must name a socket of ours exactly, and then ends a connect or queues an
 * error, both of which its sender could have achieved otherwise. */
#include "node/proxy_int.h"

#include <errno.h>
#include <string.h>

#include "lwip/ip.h"
#include "lwip/raw.h"

#include "base/err.h"

static int error4(uint8_t type, uint8_t code)
{
    if (type != 3)
        return 0;
    switch (code) {
    case 0:
    case 6:
        return ENETUNREACH;
    case 1:
    case 7:
    case 10:
    case 13:
        return EHOSTUNREACH;
    case 2:
    case 3:
        return ECONNREFUSED;
    default:
        return 0;
    }
}

static int error6(uint8_t type, uint8_t code)
{
    if (type != 1)
        return 0;
    switch (code) {
    case 0:
        return ENETUNREACH;
    case 1:
        return EACCES;
    case 3:
        return EHOSTUNREACH;
    case 4:
        return ECONNREFUSED;
    default:
        return 0;
    }
}

static void report(struct zt_proxy *p, uint8_t proto, struct zt_ctl_addr *local,
                   struct zt_ctl_addr *remote, const uint8_t *ports, int err)
{
    local->port = (uint16_t)(ports[0] << 8 | ports[1]);
    remote->port = (uint16_t)(ports[2] << 8 | ports[3]);
    if (proto == 6)
        zt_stream_icmp(p, local, remote, err);
    else if (proto == 17)
        zt_dgram_icmp(p, local, remote, err);
}

static void quoted4(struct zt_proxy *p, const uint8_t *b, size_t n, int err)
{
    struct zt_ctl_addr l = {.family = 4}, r = {.family = 4};
    size_t head;

    if (n < 20 || b[0] >> 4 != 4)
        return;
    head = (size_t)(b[0] & 15) * 4;
    if (head < 20 || n < head + 4 || ((b[6] & 0x1f) | b[7])) /* a later fragment has no ports */
        return;
    memcpy(l.ip, b + 12, 4);
    memcpy(r.ip, b + 16, 4);
    report(p, b[9], &l, &r, b + head, err);
}

static void quoted6(struct zt_proxy *p, const uint8_t *b, size_t n, int err)
{
    struct zt_ctl_addr l = {.family = 6}, r = {.family = 6};

    if (n < 44 || b[0] >> 4 != 6)
        return;
    memcpy(l.ip, b + 8, 16);
    memcpy(r.ip, b + 24, 16);
    report(p, b[6], &l, &r, b + 40, err);
}

void zt_proxy_unreachable(struct zt_proxy *p, const uint8_t *ip, size_t n, int err)
{
    if (n > 0 && ip[0] >> 4 == 4)
        quoted4(p, ip, n, err);
    else
        quoted6(p, ip, n, err);
}

/* pb begins with the IP header. Always returns 0: lwIP goes on with the message. */
static u8_t on_icmp(void *arg, struct raw_pcb *pcb, struct pbuf *pb, const ip_addr_t *from)
{
    struct zt_proxy *p = arg;
    uint8_t b[8 + 64];
    u16_t head = ip_current_header_tot_len();
    size_t n = pbuf_copy_partial(pb, b, sizeof b, head);
    int err;

    (void)pcb;
    (void)from;
    if (n < 8)
        return 0;
    if (ip_current_is_v6()) {
        err = error6(b[0], b[1]);
        if (err)
            quoted6(p, b + 8, n - 8, err);
    } else {
        err = error4(b[0], b[1]);
        if (err)
            quoted4(p, b + 8, n - 8, err);
    }
    return 0;
}

int zt_icmp_open(struct zt_proxy *p)
{
    p->icmp4 = raw_new_ip_type(IPADDR_TYPE_V4, IP_PROTO_ICMP);
    p->icmp6 = raw_new_ip_type(IPADDR_TYPE_V6, IP6_NEXTH_ICMP6);
    if (!p->icmp4 || !p->icmp6) {
        zt_icmp_close(p);
        return ZT_E_NOMEM;
    }
    raw_recv(p->icmp4, on_icmp, p);
    raw_recv(p->icmp6, on_icmp, p);
    return 0;
}

void zt_icmp_close(struct zt_proxy *p)
{
    if (p->icmp4)
        raw_remove(p->icmp4);
    if (p->icmp6)
        raw_remove(p->icmp6);
    p->icmp4 = p->icmp6 = NULL;
}
