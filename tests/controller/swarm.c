/* Many members in one process: whole cores with a real clock and a UDP socket each, on loopback or
 * at an address of the host. They keep a controller busy with what fifty service processes would
 * send, for a fiftieth of the memory, and are the peers of a node that should have many.
 *
 *   swarm PLANET FIRST COUNT [ADDRESS]
 *
 * Members are the identities FIRST, FIRST + 1, ... of the simulator. Input, one command a line; I
 * is a member, 0 and up:
 *
 *   join I NWID
 *   leave I NWID
 *   greet I NWID NODE        an echo request (IPv6, the 6plane addresses) to that node
 *   restart I                a new core, of the same identity, in the networks it was in
 *   show                     one line of JSON: all members and what they know of their networks
 *   ask COUNT                so many requests, of one member after the other, for its first
 * network: leave, join, and wait for the configuration; prints the time of each in microseconds
 *
 * It ends with its input. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "core/core.h"
#include "crypto/identity.h"
#include "sim.h"
#include "wire/packet.h"

#define MEMBERS SIM_NODES
#define NETWORKS 16
#define CHECKS 64
#define REQUEST_MS 1100 /* a controller takes one request a second of a member */
#define PATIENCE_MS 20000

struct member {
    struct zt_identity id;
    struct zt_host host;
    struct zt_core *core;
    int udp;
    struct zt_ep ep;
    uint64_t nets[NETWORKS]; /* 0: free */
    int64_t asked_ms;
    /* identities to check: not from inside the callback that asks for it */
    struct zt_identity checks[CHECKS];
    unsigned nchecks;
};

static struct member members[MEMBERS];
static struct in_addr host_ip;         /* where the sockets are; set by main */
static struct pollfd fds[MEMBERS + 1]; /* the last one: input */
static unsigned count;
static struct zt_now now;
static uint8_t planet[4096];
static size_t nplanet;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void update_time(void)
{
    now.mono_ms = clock_us(CLOCK_MONOTONIC) / 1000;
    now.wall_ms = clock_us(CLOCK_REALTIME) / 1000;
}

/* ---- the world of a core ---- */

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(to->ep.port)};
    struct iovec iov[] = {{(void *)head, nhead}, {(void *)body, nbody}};
    struct msghdr msg = {
        .msg_name = &sa, .msg_namelen = sizeof sa, .msg_iov = iov, .msg_iovlen = 2};

    if (to->ep.family != 4)
        return;
    memcpy(&sa.sin_addr, to->ep.ip, 4);
    /* Datagrams get lost; a full buffer is one way, a controller that was killed another. */
    (void)!sendmsg(((struct member *)user)->udp, &msg, 0);
}

static void on_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
}

static void on_random(void *user, void *out, size_t n)
{
    for (size_t at = 0; at < n; at += 256)
        if (getentropy((uint8_t *)out + at, n - at < 256 ? n - at : 256) != 0)
            die("getentropy");
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
}

static void on_event(void *user, const struct zt_event *ev)
{
}

static bool on_check(void *user, const struct zt_identity *id)
{
    struct member *m = user;
    if (m->nchecks == CHECKS)
        return false;
    m->checks[m->nchecks++] = *id;
    return true;
}

/* ---- members ---- */

static void start(struct member *m)
{
    struct zt_core_config cfg = {
        .identity = &m->id, .host = &m->host, .planet = planet, .nplanet = nplanet};
    if (zt_core_new(&cfg, &now, &m->core) != 0) {
        fprintf(stderr, "swarm: a core does not start\n");
        exit(1);
    }
    zt_core_set_local(m->core, &now, &m->ep, 1);
    for (unsigned i = 0; i < NETWORKS; i++)
        if (m->nets[i] != 0)
            (void)zt_core_join(m->core, &now, m->nets[i], NULL, 0);
    zt_core_tick(m->core, &now);
}

static void init(struct member *m, unsigned no)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = host_ip};
    socklen_t size = sizeof sa;
    int room = 1 << 20;

    sim_identity(no, &m->id);
    m->host = (struct zt_host){.user = m,
                               .send = on_send,
                               .deliver = on_deliver,
                               .random = on_random,
                               .save = on_save,
                               .event = on_event,
                               .check_identity = on_check};
    m->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (m->udp < 0 || bind(m->udp, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        getsockname(m->udp, (struct sockaddr *)&sa, &size) != 0)
        die("socket");
    setsockopt(m->udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    m->ep = zt_ep_make(4, &sa.sin_addr, ntohs(sa.sin_port));
    fds[m - members] = (struct pollfd){.fd = m->udp, .events = POLLIN};
    start(m);
}

static void join(struct member *m, uint64_t nwid)
{
    unsigned i = 0;
    while (i < NETWORKS && m->nets[i] != 0 && m->nets[i] != nwid)
        i++;
    if (i < NETWORKS) {
        m->nets[i] = nwid;
        m->asked_ms = now.mono_ms;
        (void)zt_core_join(m->core, &now, nwid, NULL, 0); /* again: no change */
    }
}

static void leave(struct member *m, uint64_t nwid)
{
    for (unsigned i = 0; i < NETWORKS; i++)
        if (m->nets[i] == nwid)
            m->nets[i] = 0;
    (void)zt_core_leave(m->core, &now, nwid);
}

static void greet(struct member *m, uint64_t nwid, uint64_t node)
{
    static uint8_t buf[ZT_FRAME_HEADROOM + 14 + 48];
    uint8_t *eth = buf + ZT_FRAME_HEADROOM, *ip = eth + 14, *icmp = ip + 40;
    struct zt_ep from = zt_ep_6plane(nwid, m->id.addr), to = zt_ep_6plane(nwid, node);
    uint32_t sum = 8 + 58; /* of the pseudo header */

    zt_put48(eth, zt_mac_of(node, nwid));
    zt_put48(eth + 6, zt_mac_of(m->id.addr, nwid));
    zt_put16(eth + 12, 0x86dd);
    memset(ip, 0, 48);
    ip[0] = 0x60;
    zt_put16(ip + 4, 8);
    ip[6] = 58;
    ip[7] = 64;
    memcpy(ip + 8, from.ip, 16);
    memcpy(ip + 24, to.ip, 16);
    icmp[0] = 128;
    for (unsigned i = 8; i < 48; i += 2)
        sum += zt_be16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    zt_put16(icmp + 2, (uint16_t)~sum);
    (void)zt_core_frame(m->core, &now, nwid, eth, 14 + 48);
}

static void show_network(const struct zt_net_info *n, const char *comma)
{
    char ip[ZT_EP_STR];
    printf("%s\"%016" PRIx64 "\":{\"status\":%d,\"addresses\":[", comma, n->nwid, n->status);
    for (unsigned i = 0; i < n->naddrs; i++) {
        zt_ep_format_ip(&n->addrs[i], ip);
        printf("%s\"%s\"", i > 0 ? "," : "", ip);
    }
    printf("],\"name\":\"%s\"}", n->name); /* ours: letters and digits */
}

static void show(void)
{
    static struct zt_net_info info;
    putchar('[');
    for (unsigned i = 0; i < count; i++) {
        const struct member *m = &members[i];
        const char *comma = "";
        printf("%s{\"address\":\"%010" PRIx64 "\",\"online\":%s,\"networks\":{", i > 0 ? "," : "",
               m->id.addr, zt_core_online(m->core) ? "true" : "false");
        for (unsigned k = 0; k < NETWORKS; k++)
            if (m->nets[k] != 0 && zt_core_network(m->core, m->nets[k], &info) == 0) {
                show_network(&info, comma);
                comma = ",";
            }
        printf("}}");
    }
    puts("]");
}

/* ---- a turn ---- */

static void read_datagrams(struct member *m)
{
    static uint8_t p[65536];
    for (int i = 0; i < 64; i++) {
        struct sockaddr_in sa;
        socklen_t size = sizeof sa;
        ssize_t n = recvfrom(m->udp, p, sizeof p, MSG_DONTWAIT, (struct sockaddr *)&sa, &size);
        if (n < 0)
            return; /* also ECONNREFUSED */
        struct zt_link link = {.ep = zt_ep_make(4, &sa.sin_addr, ntohs(sa.sin_port))};
        zt_core_datagram(m->core, &now, &link, p, (size_t)n);
    }
}

static int64_t service(struct member *m)
{
    while (m->nchecks > 0) {
        struct zt_identity id = m->checks[--m->nchecks];
        zt_core_identity_checked(m->core, &now, &id, zt_identity_validate(&id));
    }
    if (zt_core_deadline(m->core) <= now.mono_ms)
        zt_core_tick(m->core, &now);
    return zt_core_deadline(m->core);
}

/* Wait for something to do, at most so long, and do it. true: there is input. */
static bool turn(int most_ms)
{
    int64_t next = now.mono_ms + most_ms;
    for (unsigned i = 0; i < count; i++) {
        int64_t at = service(&members[i]);
        next = at < next ? at : next;
    }
    int wait = next <= now.mono_ms ? 0 : (int)(next - now.mono_ms);
    fds[count] = (struct pollfd){.fd = 0, .events = POLLIN};
    if (poll(fds, count + 1, wait) < 0 && errno != EINTR)
        die("poll");
    update_time();
    for (unsigned i = 0; i < count; i++)
        if (fds[i].revents != 0)
            read_datagrams(&members[i]);
    return fds[count].revents != 0;
}

/* ---- input ---- */

static bool has_status(const struct member *m, uint64_t nwid, enum zt_net_status status)
{
    static struct zt_net_info info;
    return zt_core_network(m->core, nwid, &info) == 0 && info.status == status;
}

static void ask_once(struct member *m, uint64_t nwid)
{
    while (now.mono_ms - m->asked_ms < REQUEST_MS)
        (void)turn((int)(REQUEST_MS - (now.mono_ms - m->asked_ms)));
    leave(m, nwid);
    int64_t began = clock_us(CLOCK_MONOTONIC);
    join(m, nwid);
    while (!has_status(m, nwid, ZT_NET_OK)) {
        (void)turn(1000);
        if (now.mono_ms - m->asked_ms > PATIENCE_MS) {
            fprintf(stderr, "swarm: %010" PRIx64 " has no answer\n", m->id.addr);
            exit(1);
        }
    }
    printf("%" PRId64 " ", clock_us(CLOCK_MONOTONIC) - began);
}

static void ask(unsigned requests)
{
    for (unsigned i = 0; i < requests; i++) {
        struct member *m = &members[i % count];
        if (m->nets[0] != 0)
            ask_once(m, m->nets[0]);
    }
    putchar('\n');
}

static void obey(const char *line)
{
    uint64_t nwid, node;
    unsigned i = 0, n;
    if (sscanf(line, "join %u %" SCNx64, &i, &nwid) == 2 && i < count)
        join(&members[i], nwid);
    else if (sscanf(line, "leave %u %" SCNx64, &i, &nwid) == 2 && i < count)
        leave(&members[i], nwid);
    else if (sscanf(line, "greet %u %" SCNx64 " %" SCNx64, &i, &nwid, &node) == 3 && i < count)
        greet(&members[i], nwid, node);
    else if (sscanf(line, "ask %u", &n) == 1)
        ask(n);
    else if (strcmp(line, "show") == 0)
        show();
    else if (sscanf(line, "restart %u", &i) == 1 && i < count) {
        zt_core_free(members[i].core);
        members[i].nchecks = 0;
        start(&members[i]);
    } else
        fprintf(stderr, "swarm: '%.40s'?\n", line);
    fflush(stdout);
}

/* false at the end of the input. */
static bool read_lines(void)
{
    static char text[65536];
    static size_t n;
    ssize_t got = read(0, text + n, sizeof text - n);
    if (got <= 0)
        return false;
    n += (size_t)got;
    char *end, *line = text;
    while ((end = memchr(line, '\n', n)) != NULL) {
        *end = 0;
        obey(line);
        n -= (size_t)(end + 1 - line);
        line = end + 1;
    }
    memmove(text, line, n);
    return n < sizeof text;
}

int main(int argc, char **argv)
{
    host_ip.s_addr = htonl(INADDR_LOOPBACK);
    if ((argc != 4 && !(argc == 5 && inet_pton(AF_INET, argv[4], &host_ip) == 1)) ||
        atoi(argv[2]) < 0 || atoi(argv[3]) < 1 || atoi(argv[2]) + atoi(argv[3]) > MEMBERS) {
        fprintf(stderr, "usage: swarm PLANET FIRST COUNT (of %d) [ADDRESS]\n", MEMBERS);
        return 2;
    }
    FILE *f = fopen(argv[1], "rb");
    if (f == NULL)
        die(argv[1]);
    nplanet = fread(planet, 1, sizeof planet, f);
    fclose(f);
    if (zt_crypto_init() != 0)
        return 1;
    update_time();
    count = (unsigned)atoi(argv[3]);
    for (unsigned i = 0; i < count; i++)
        init(&members[i], (unsigned)atoi(argv[2]) + i);
    while (!turn(1000) || read_lines())
        ;
    for (unsigned i = 0; i < count; i++) {
        zt_core_free(members[i].core);
        close(members[i].udp);
    }
    return 0;
}
