/* What each stage of the data path costs for a frame of 1,400 and of 2,800 bytes, alone and on one
 * core: the best of several rounds, in ns a frame. One JSON line each.
 *
 *   proxy     the program's write and our read of the socket pair (or the other way), 64 KiB a call
 *   tcp       lwIP, both ends and their acknowledgments, through the stack's own loopback
 *   seal      one packet, by cipher suite; open: the same
 *   core-out  a frame through VL2 and VL1 to sealed datagrams; core-in: those to a frame
 *   send      the frame's two datagrams (one of 1,400) by UDP_SEGMENT over loopback, with what the
 * kernel does until they wait in the receiver's socket; receive: recvmmsg with UDP_GRO
 *
 * core-out contains one seal and core-in one open. */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/cipher.h"
#include "stack/stack.h"

#include "lwip/tcp.h"

#include "../../tests/sim/sim.h"

#define ROUNDS 15
#define NET 0xff0000ffff000000u
#define FRAMES 512
#define ETH 14

static const size_t sizes[] = {1400, 2800};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "stages: %s\n", what);
        exit(1);
    }
}

static void report(const char *stage, size_t size, double ns)
{
    printf("{\"figure\": \"stage\", \"system\": \"%s\", \"unit\": \"ns\", \"frame\": %zu, "
           "\"runs\": %d, "
           "\"min\": %.0f, \"median\": %.0f, \"max\": %.0f}\n",
           stage, size, ROUNDS, ns, ns, ns);
}

/* --- proxy --- */

static void proxy(size_t size)
{
    static uint8_t buf[65536];
    double put = 1e18, take = 1e18;
    int fd[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
    for (int r = 0; r < ROUNDS; r++) {
        double p = 0, t = 0;
        for (int i = 0; i < 200; i++) {
            double a = now_ns();
            check(write(fd[0], buf, sizeof buf) == sizeof buf, "write");
            double b = now_ns();
            check(read(fd[1], buf, sizeof buf) == sizeof buf, "read");
            p += b - a;
            t += now_ns() - b;
        }
        double frames = 200.0 * sizeof buf / (double)size;
        put = p / frames < put ? p / frames : put;
        take = t / frames < take ? t / frames : take;
    }
    close(fd[0]);
    close(fd[1]);
    report("proxy-write", size, put);
    report("proxy-read", size, take);
}

/* --- seal and open --- */

static void ciphers(size_t size)
{
    static uint8_t packet[FRAMES][ZT_PKT_MAX];
    static const struct {
        enum zt_suite suite;
        const char *seal, *open;
    } of[] = {{ZT_SUITE_AES, "seal-aes", "open-aes"}, {ZT_SUITE_SALSA, "seal-salsa", "open-salsa"}};
    uint8_t shared[ZT_SHARED_KEY] = {1};
    struct zt_keys keys;
    check(zt_keys_init(&keys, shared) == 0, "keys");
    for (unsigned k = 0; k < 2; k++) {
        double seal = 1e18, open = 1e18;
        for (int r = 0; r < ROUNDS; r++) {
            double a = now_ns();
            for (int i = 0; i < FRAMES; i++) {
                packet[i][0] = (uint8_t)(r + i);
                zt_seal(&keys, of[k].suite, packet[i], size);
            }
            double b = now_ns();
            for (int i = 0; i < FRAMES; i++)
                check(zt_open(&keys, packet[i], size) == 0, "open");
            double c = now_ns();
            seal = (b - a) / FRAMES < seal ? (b - a) / FRAMES : seal;
            open = (c - b) / FRAMES < open ? (c - b) / FRAMES : open;
        }
        report(of[k].seal, size, seal);
        report(of[k].open, size, open);
    }
    zt_keys_fini(&keys);
}

/* --- core --- */

static struct {
    size_t n;
    struct {
        size_t size;
        uint8_t p[1500];
    } datagram[2 * FRAMES + 16];
} caught;
static unsigned delivered;

/* In the simulator's place, which adds up every byte of every datagram. */
static void keep(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                 const uint8_t *body, size_t nbody, unsigned ttl)
{
    check(caught.n < 2 * FRAMES + 16 && nhead + nbody <= 1500, "room for datagrams");
    caught.datagram[caught.n].size = nhead + nbody;
    uint8_t *p = caught.datagram[caught.n++].p;
    memcpy(p, head, nhead);
    if (nbody > 0)
        memcpy(p + nhead, body, nbody);
}

static void deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
    static uint8_t copy[10000];
    memcpy(copy, eth, n);
    delivered++;
}

static void on_frame(void *user, struct sim_node *to, uint64_t nwid, const uint8_t *eth, size_t n)
{
    delivered++;
}

static size_t udp_frame(struct sim_node *from, struct sim_node *to, size_t size, uint8_t *eth)
{
    struct zt_ep src = zt_ep_6plane(NET, from->id.addr), dst = zt_ep_6plane(NET, to->id.addr);
    zt_put48(eth, zt_mac_of(to->id.addr, NET));
    zt_put48(eth + 6, zt_mac_of(from->id.addr, NET));
    zt_put16(eth + 12, 0x86dd);
    memset(eth + ETH, 0, 48);
    eth[ETH] = 0x60;
    zt_put16(eth + ETH + 4, (uint16_t)(size - 40));
    eth[ETH + 6] = 17;
    eth[ETH + 7] = 64;
    memcpy(eth + ETH + 8, src.ip, 16);
    memcpy(eth + ETH + 24, dst.ip, 16);
    zt_put16(eth + ETH + 42, 80);
    zt_put16(eth + ETH + 44, (uint16_t)(size - 40));
    return ETH + size;
}

static bool b_was_met(void *user)
{
    return delivered > 0;
}

/* Two nodes that have met, whose datagrams and frames we keep. */
struct pair {
    struct sim *s;
    struct sim_node *a, *b;
    uint8_t room[ZT_FRAME_HEADROOM + ETH + 3000];
};

static void pair_open(struct pair *p, size_t size)
{
    uint8_t *eth = p->room + ZT_FRAME_HEADROOM;
    struct sim *s = p->s = sim_new(1);
    struct sim_node *root = sim_node(s, "9.0.0.1/9993"), *a = sim_node(s, "9.0.0.2/9993"),
                    *b = sim_node(s, "9.0.0.3/9993");
    p->a = a;
    p->b = b;
    sim_planet(s, 1, &root, 1);
    sim_with_core(s);
    sim_on_frame(s, on_frame, NULL);
    sim_start_all(s);
    struct zt_now now = sim_now(s);
    check(zt_core_join(a->core, &now, NET, NULL, 0) == 0, "join");
    check(zt_core_join(b->core, &now, NET, NULL, 0) == 0, "join");
    sim_run(s, 2000);
    delivered = 0;
    for (int i = 0; i < 20 && !(delivered > 0 && sim_is_direct(a, b)); i++) {
        now = sim_node_now(a);
        zt_core_frame(a->core, &now, NET, eth, udp_frame(a, b, size, eth));
        sim_run_until(s, 1000, b_was_met, NULL);
        sim_run(s, 300);
    }
    check(delivered > 0 && sim_is_direct(a, b), "a and b have not met");
    a->host.send = keep;
    b->host.send = keep;
    b->host.deliver = deliver;
}

/* Not inlined, and visible in stripped builds: tests/speed counts the instructions of these two. */
__attribute__((noinline, visibility("default"))) void frames_out(struct pair *p, size_t size);
void frames_out(struct pair *p, size_t size)
{
    uint8_t *eth = p->room + ZT_FRAME_HEADROOM;
    struct zt_now now = sim_node_now(p->a);
    for (int i = 0; i < FRAMES; i++)
        zt_core_frame(p->a->core, &now, NET, eth, udp_frame(p->a, p->b, size, eth));
}

__attribute__((noinline, visibility("default"))) void frames_in(struct pair *p);
void frames_in(struct pair *p)
{
    struct zt_link from = {.sock = 0, .ep = p->a->ep};
    struct zt_now now = sim_node_now(p->b);
    for (size_t i = 0; i < caught.n; i++)
        zt_core_datagram(p->b->core, &now, &from, caught.datagram[i].p, caught.datagram[i].size);
}

static void core(size_t size)
{
    double out = 1e18, in = 1e18;
    static struct pair p;
    pair_open(&p, size);
    for (int r = 0; r < ROUNDS; r++) {
        caught.n = 0;
        delivered = 0;
        double t0 = now_ns();
        frames_out(&p, size);
        double t1 = now_ns();
        frames_in(&p);
        double t2 = now_ns();
        check(delivered == FRAMES, "frames were lost");
        out = (t1 - t0) / FRAMES < out ? (t1 - t0) / FRAMES : out;
        in = (t2 - t1) / FRAMES < in ? (t2 - t1) / FRAMES : in;
    }
    sim_free(p.s);
    report("core-out", size, out);
    report("core-in", size, in);
}

/* Once, for callgrind. */
static int count(void)
{
    static struct pair p;
    pair_open(&p, 2800);
    frames_out(&p, 2800);
    frames_in(&p);
    check(delivered >= FRAMES, "frames were lost");
    sim_free(p.s);
    printf("frames %d\n", FRAMES);
    return 0;
}

/* --- send and receive --- */

static void datagrams(size_t size)
{
    enum { SEGMENTS = 44, CALLS = 8, SIZE = 65536 };
    static uint8_t data[SIZE], arena[CALLS * 2][SIZE];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof to;
    int tx = socket(AF_INET, SOCK_DGRAM, 0), rx = socket(AF_INET, SOCK_DGRAM, 0), on = 1,
        room = 4 << 20;
    uint16_t segment = (uint16_t)(size > 1400 ? size / 2 + 40 : size + 40);
    double per_call = (double)SEGMENTS / (size > 1400 ? 2 : 1), send = 1e18, receive = 1e18;
    setsockopt(rx, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    setsockopt(rx, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    check(bind(rx, (void *)&to, sizeof to) == 0 && getsockname(rx, (void *)&to, &n) == 0, "bind");
    for (int r = 0; r < ROUNDS * 5; r++) {
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof segment)];
        } control = {0};
        struct iovec iov = {data, (size_t)segment * SEGMENTS};
        struct msghdr h = {.msg_name = &to,
                           .msg_namelen = sizeof to,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        struct mmsghdr m[CALLS * 2] = {0};
        struct iovec into[CALLS * 2];
        size_t got = 0;
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(c), &segment, sizeof segment);
        if (iov.iov_len > 65500)
            iov.iov_len = 65500 / segment * segment;
        double t0 = now_ns();
        for (int i = 0; i < CALLS; i++)
            check(sendmsg(tx, &h, 0) > 0, "sendmsg");
        double t1 = now_ns();
        for (int i = 0; i < CALLS * 2; i++) {
            into[i] = (struct iovec){arena[i], SIZE};
            m[i].msg_hdr.msg_iov = &into[i];
            m[i].msg_hdr.msg_iovlen = 1;
        }
        while (got < CALLS * iov.iov_len) {
            int k = recvmmsg(rx, m, CALLS * 2, MSG_DONTWAIT, NULL);
            check(k > 0, "datagrams were lost");
            for (int i = 0; i < k; i++)
                got += m[i].msg_len;
        }
        double t2 = now_ns(),
               frames = CALLS * per_call * (double)iov.iov_len / ((double)segment * SEGMENTS);
        send = (t1 - t0) / frames < send ? (t1 - t0) / frames : send;
        receive = (t2 - t1) / frames < receive ? (t2 - t1) / frames : receive;
    }
    close(tx);
    close(rx);
    report("send", size, send);
    report("receive", size, receive);
}

/* --- TCP --- */

static uint64_t tcp_got, tcp_want;

static int no_frame(void *user, uint64_t nwid, uint8_t *eth, size_t n)
{
    return 0;
}

static void no_group(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
}

static void some_random(void *user, void *out, size_t n)
{
    memset(out, 42, n);
}

static err_t tcp_in(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t e)
{
    if (p == NULL)
        return ERR_OK;
    tcp_got += p->tot_len;
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static err_t tcp_come(void *arg, struct tcp_pcb *pcb, err_t e)
{
    tcp_backlog_accepted(pcb);
    tcp_recv(pcb, tcp_in);
    return ERR_OK;
}

static void tcp(size_t size)
{
    static uint8_t data[49152];
    struct zt_stack_host host = {.frame = no_frame, .subscribe = no_group, .random = some_random};
    static struct zt_net_info info;
    struct zt_stack *s;
    int64_t ms = 1000;
    double best = 1e18;
    info = (struct zt_net_info){.nwid = NET,
                                .mac = 0x020000000001,
                                .mtu = (unsigned)size,
                                .status = ZT_NET_OK,
                                .naddrs = 1};
    zt_ep_parse("fd00::1/64", &info.addrs[0]);
    check(zt_stack_new(&host, ms, &s) == 0 && zt_stack_net_set(s, &info) == 0, "stack");
    ip_addr_t ip = {0};
    IP_SET_TYPE_VAL(ip, IPADDR_TYPE_V6);
    memcpy(ip_2_ip6(&ip)->addr, info.addrs[0].ip, 16);
    struct tcp_pcb *l = tcp_new_ip_type(IPADDR_TYPE_V6), *c = tcp_new_ip_type(IPADDR_TYPE_V6);
    tcp_bind(l, IP6_ADDR_ANY, 80);
    l = tcp_listen(l);
    tcp_accept(l, tcp_come);
    check(tcp_connect(c, &ip, 80, NULL) == ERR_OK, "connect");
    for (int r = 0; r < ROUNDS + 3; r++) { /* the first ones open the window */
        uint64_t bytes = 16 << 20, written = 0;
        tcp_want = tcp_got + bytes;
        double t0 = now_ns();
        while (tcp_got < tcp_want) {
            while (written < bytes && c->state == ESTABLISHED && c->snd_buf >= sizeof data &&
                   c->snd_queuelen < 4000 &&
                   tcp_write(c, data, sizeof data, TCP_WRITE_FLAG_COPY) == ERR_OK)
                written += sizeof data;
            tcp_output(c);
            zt_stack_kick(s);
            zt_stack_tick(s, ++ms);
            zt_stack_flush(s);
            if (written >= bytes) /* a whole number of writes may be more */
                tcp_want = tcp_want + written - bytes, bytes = written;
        }
        double ns = (now_ns() - t0) / ((double)bytes / (double)(size - 60));
        if (r >= 3 && ns < best)
            best = ns;
    }
    tcp_abort(c);
    tcp_close(l);
    zt_stack_free(s);
    report("tcp", size, best);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "count") == 0)
        return count();
    for (unsigned i = 0; i < 2; i++) {
        proxy(sizes[i]);
        tcp(sizes[i]);
        ciphers(sizes[i]);
        core(sizes[i]);
        datagrams(sizes[i]);
    }
    return 0;
}
