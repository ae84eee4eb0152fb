/* The TCP/IP glue and lwIP behind it, fed with Ethernet frames: what members of a network can send.
 * A stack with listeners, an echoing UDP port and connections of its own plays records of one kind
 * byte, two length bytes and so many bytes:
 *   0  a frame as it is
 *   1  an IPv4 packet: protocol, and what it carries; header and checksums are made here
 *   2  the same over IPv6
 *   3  a TCP segment that fits the segment the stack sent last: flags, window, offset of its
 *      sequence number (signed), data offset, and what follows the header
 *   4  time goes on (length, ms)
 *   5  the program acts: connects, sends, reads, gives up
 * ARP and neighbour requests are answered, so that what the stack sends leaves. In the end
 * everything is closed and nothing may be left. */
#include "fuzz.h"

#include <string.h>

#include "../unit/stack/twin.h"
#include "base/buf.h"

#define NWID 0x8056c2e21c000001u
#define OUR_MAC 0x320102030405u
#define PEER_MAC 0x320a0b0c0d0eu
#define RECORDS 64
#define FRAME 3000
#define CONNS 16

extern const struct twin twin_api;

static int64_t now_ms;
static uint64_t random_state;

/* The segment that the stack sent last, seen from the other side. */
static struct {
    bool is_v6;
    uint16_t sport, dport; /* of our answer */
    uint32_t seq, ack;
} last;

/* Answers to ARP and ND, given after the call that asked for them. */
static struct {
    uint8_t p[100];
    size_t n;
} answers[4];
static unsigned nanswers;
static unsigned groups;

static const uint8_t own4[4] = {10, 1, 0, 1}, peer4[4] = {10, 1, 0, 2};
static const uint8_t own6[16] = {0xfd, [2] = 1, [15] = 1}, peer6[16] = {0xfd, [2] = 1, [15] = 2};

static uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        s += zt_be16(p + i);
    if (n & 1)
        s += (uint32_t)p[n - 1] << 8;
    return s;
}

static uint16_t fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

static void ethernet(uint8_t *eth, uint16_t type)
{
    zt_put48(eth, OUR_MAC);
    zt_put48(eth + 6, PEER_MAC);
    zt_put16(eth + 12, type);
}

/* Checksum of what an IP packet from the peer carries. */
static void seal(uint8_t *p, size_t n, uint8_t proto, bool is_v6)
{
    const size_t at = proto == 6 ? 16 : proto == 17 ? 6 : 2;
    uint32_t s = 0;
    if (n < at + 2 || (proto != 6 && proto != 17 && proto != 1 && proto != 58))
        return;
    if (is_v6)
        s = sum(own6, 16, sum(peer6, 16, (uint32_t)n + proto));
    else if (proto != 1)
        s = sum(own4, 4, sum(peer4, 4, (uint32_t)n + proto));
    zt_put16(p + at, 0);
    zt_put16(p + at, fold(sum(p, n, s)));
}

static void input(const uint8_t *eth, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1); /* exact size for the sanitizer */
    PROMISE(copy != NULL);
    memcpy(copy, eth, n);
    twin_api.input(NWID, copy, n, now_ms);
    free(copy);
    for (unsigned i = 0; i < nanswers; i++) /* more of them may be added meanwhile */
        twin_api.input(NWID, answers[i].p, answers[i].n, now_ms);
    nanswers = 0;
}

static void ip4(uint8_t proto, const uint8_t *p, size_t n)
{
    static uint16_t id;
    uint8_t f[14 + 20 + FRAME] = {0}, *h = f + 14;
    if (n > FRAME)
        return;
    ethernet(f, 0x0800);
    h[0] = 0x45;
    zt_put16(h + 2, (uint16_t)(20 + n));
    zt_put16(h + 4, ++id);
    h[8] = 64;
    h[9] = proto;
    memcpy(h + 12, peer4, 4);
    memcpy(h + 16, own4, 4);
    zt_put16(h + 10, fold(sum(h, 20, 0)));
    memcpy(h + 20, p, n);
    seal(h + 20, n, proto, false);
    input(f, 34 + n);
}

static void ip6(uint8_t proto, const uint8_t *p, size_t n)
{
    uint8_t f[14 + 40 + FRAME] = {0}, *h = f + 14;
    if (n > FRAME)
        return;
    ethernet(f, 0x86dd);
    h[0] = 0x60;
    zt_put16(h + 4, (uint16_t)n);
    h[6] = proto;
    h[7] = 255;
    memcpy(h + 8, peer6, 16);
    memcpy(h + 24, own6, 16);
    memcpy(h + 40, p, n);
    seal(h + 40, n, proto, true);
    input(f, 54 + n);
}

static void segment(const uint8_t *p, size_t n)
{
    uint8_t t[20 + FRAME];
    if (n < 6 || n - 6 > FRAME - 20)
        return;
    zt_put16(t, last.sport);
    zt_put16(t + 2, last.dport);
    zt_put32(t + 4, last.seq + (uint32_t)(int8_t)p[3] * (p[5] & 1 ? 1400u : 1u));
    zt_put32(t + 8, last.ack);
    t[12] = p[4];
    t[13] = p[0];
    zt_put16(t + 14, zt_be16(p + 1));
    zt_put32(t + 16, 0);
    memcpy(t + 20, p + 6, n - 6);
    (last.is_v6 ? ip6 : ip4)(6, t, 20 + n - 6);
}

static void note_segment(const uint8_t *t, size_t n, bool is_v6)
{
    if (n < 20)
        return;
    const size_t head = (size_t)(t[12] >> 4) * 4;
    PROMISE(head >= 20 && head <= n);
    last.is_v6 = is_v6;
    last.sport = zt_be16(t + 2);
    last.dport = zt_be16(t);
    last.ack = zt_be32(t + 4) + (uint32_t)(n - head) + ((t[13] & 3) != 0);
    last.seq = zt_be32(t + 8);
}

static void answer(const uint8_t *p, size_t n)
{
    if (nanswers == sizeof answers / sizeof *answers)
        return;
    memcpy(answers[nanswers].p, p, n);
    answers[nanswers++].n = n;
}

static void answer_arp(const uint8_t *a)
{
    uint8_t f[14 + 28];
    if (zt_be16(a + 6) != 1)
        return;
    ethernet(f, 0x0806);
    memcpy(f + 14, a, 8);
    zt_put16(f + 14 + 6, 2);
    zt_put48(f + 14 + 8, PEER_MAC);
    memcpy(f + 14 + 14, a + 24, 4);
    zt_put48(f + 14 + 18, OUR_MAC);
    memcpy(f + 14 + 24, a + 14, 4);
    answer(f, sizeof f);
}

static void answer_nd(const uint8_t *h, const uint8_t *ns)
{
    uint8_t f[14 + 40 + 32] = {0}, *a = f + 54;
    ethernet(f, 0x86dd);
    f[14] = 0x60;
    zt_put16(f + 18, 32);
    f[20] = 58;
    f[21] = 255;
    memcpy(f + 22, ns + 8, 16);
    memcpy(f + 38, h + 8, 16);
    a[0] = 136;
    a[4] = 0x60;
    memcpy(a + 8, ns + 8, 16);
    a[24] = 2;
    a[25] = 1;
    zt_put48(a + 26, PEER_MAC);
    zt_put16(a + 2, fold(sum(a, 32, sum(f + 22, 32, 32 + 58))));
    answer(f, sizeof f);
}

static int on_frame(void *user, uint64_t nwid, uint8_t *eth, size_t n)
{
    PROMISE(nwid == NWID && n >= 14 && n <= 14 + 2800);
    const uint16_t type = zt_be16(eth + 12);
    const uint8_t *h = eth + 14;
    if (type == 0x0806 && n >= 42) {
        answer_arp(h);
    } else if (type == 0x0800) {
        PROMISE(n >= 34 && h[0] == 0x45 && zt_be16(h + 2) == n - 14);
        if (h[9] == 6 && (zt_be16(h + 6) & 0x1fff) == 0)
            note_segment(h + 20, n - 34, false);
    } else if (type == 0x86dd) {
        PROMISE(n >= 54 && zt_be16(h + 4) == n - 54);
        if (h[6] == 6)
            note_segment(h + 40, n - 54, true);
        else if (h[6] == 58 && n >= 54 + 24 && h[40] == 135)
            answer_nd(h, h + 40);
    }
    return 0;
}

static void on_subscribe(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
    PROMISE(add || groups > 0);
    groups += add ? 1u : -1u;
}

static void on_random(void *user, void *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(random_state >> 56);
    }
}

/* What a program does with its sockets. */
static void act(struct twin_conn **conns, unsigned *n, struct twin_udp *u, const uint8_t *p,
                size_t len)
{
    struct zt_ep to = {.family = 4, .port = 80};
    struct twin_conn *c;
    if (len < 2)
        return;
    memcpy(to.ip, peer4, 4);
    if (p[1] & 0x80) {
        to.family = 6;
        memcpy(to.ip, peer6, 16);
    }
    unsigned all = *n + twin_api.naccepted(), i = p[1] & 0x7f;
    c = all == 0 ? NULL : i % all < *n ? conns[i % all] : twin_api.accepted(i % all - *n);
    switch (p[0] % 6) {
    case 0:
        if (*n < CONNS)
            conns[(*n)++] = twin_api.connect(&to, len > 2 ? (uint64_t)p[2] << 8 : 0, p[1] & 1);
        break;
    case 1:
        if (c != NULL) {
            c->to_send += len > 2 ? (uint64_t)p[2] << 8 : 100;
            twin_api.pump(c);
        }
        break;
    case 2:
        if (c != NULL)
            c->hold = true;
        break;
    case 3:
        if (c != NULL && c->pcb != NULL)
            twin_api.release(c);
        break;
    case 4:
        if (c != NULL)
            twin_api.abort(c);
        break;
    default:
        if (to.family == 4)
            (void)twin_api.udp_send(u, &to, len > 2 ? (size_t)p[2] << 5 : 10);
        break;
    }
    for (unsigned k = 0; k < nanswers; k++)
        twin_api.input(NWID, answers[k].p, answers[k].n, now_ms);
    nanswers = 0;
}

static void pass(int64_t ms)
{
    const int64_t end = now_ms + ms;
    for (unsigned k = 0; twin_api.deadline() <= end; k++) {
        PROMISE(k < 200000);
        if (twin_api.deadline() > now_ms)
            now_ms = twin_api.deadline();
        twin_api.tick(now_ms);
        for (unsigned i = 0; i < nanswers; i++)
            twin_api.input(NWID, answers[i].p, answers[i].n, now_ms);
        nanswers = 0;
    }
    now_ms = end;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct zt_stack_host host = {
        .frame = on_frame, .subscribe = on_subscribe, .random = on_random};
    static struct zt_net_info net;
    struct twin_conn *conns[CONNS];
    unsigned nconns = 0;
    if (n > 40000)
        return 0;
    now_ms = 1000000;
    random_state = 1;
    nanswers = groups = 0;
    memset(&last, 0, sizeof last);
    const size_t before = twin_api.memory();
    PROMISE(twin_api.open(&host, now_ms) == 0);
    net = (struct zt_net_info){.nwid = NWID, .mac = OUR_MAC, .status = ZT_NET_OK, .mtu = 2800,
                               .broadcast = true, .naddrs = 2};
    net.addrs[0] = zt_ep_make(4, own4, 24);
    net.addrs[1] = zt_ep_make(6, own6, 64);
    PROMISE(twin_api.net_set(&net) == 0);
    PROMISE(twin_api.listen(4, 80) == 0 && twin_api.listen(6, 80) == 0);
    struct twin_udp *u = twin_api.udp(4, 53);
    u->echo = true;
    twin_api.udp(6, 53)->echo = true;

    size_t at = 0;
    for (int i = 0; i < RECORDS && n - at >= 3; i++) {
        const unsigned kind = p[at] % 6;
        size_t len = zt_be16(p + at + 1);
        at += 3;
        if (kind == 4) {
            pass((int64_t)len % 20000);
            continue;
        }
        if (len > n - at)
            len = n - at;
        const uint8_t *d = p + at;
        if (kind == 0 && len <= FRAME)
            input(d, len);
        else if (kind == 1 && len > 0)
            ip4(d[0], d + 1, len - 1);
        else if (kind == 2 && len > 0)
            ip6(d[0], d + 1, len - 1);
        else if (kind == 3)
            segment(d, len);
        else if (kind == 5)
            act(conns, &nconns, u, d, len);
        at += len;
    }
    pass(3000);
    twin_api.close();
    PROMISE(twin_api.memory() == before && groups == 0);
    return 0;
}
