/* A node without a stack: what its networks bring comes out as lines, and lines go in as frames.
 *
 *   l2node HOME PORT
 *
 * HOME has identity.secret and planet. Input:
 *
 *   join NWID
 *   send NWID HEX      an Ethernet frame: destination, source, type, payload
 *
 * Output:
 *
 *   online
 *   network NWID STATUS    STATUS: enum zt_net_status
 *   frame NWID HEX
 *
 * It ends with its input. One socket for all of IPv4; for namespaces, where it can bind. */
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

#include "core/core.h"
#include "crypto/identity.h"
#include "wire/packet.h"

#define FRAME_MAX 10240
#define CHECKS_MAX 64

static struct {
    struct zt_core *core;
    int udp;
    struct zt_now now;
    /* identities to check: not from inside the callback that asks for it */
    struct zt_identity checks[CHECKS_MAX];
    unsigned nchecks;
    /* networks that changed: the core may not be asked from inside its callback */
    uint64_t changed[64];
    unsigned nchanged;
    char line[2 * FRAME_MAX + 64];
    size_t nline;
} node;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void update_time(void)
{
    node.now.mono_ms = clock_ms(CLOCK_MONOTONIC);
    node.now.wall_ms = clock_ms(CLOCK_REALTIME);
}

/* ---- the core's world ---- */

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
    /* Datagrams get lost; a full buffer is one way. */
    (void)!sendmsg(node.udp, &msg, 0);
}

static void on_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
    static char hex[2 * FRAME_MAX + 1];
    if (n <= FRAME_MAX)
        printf("frame %016" PRIx64 " %s\n", nwid, zt_hex_encode(eth, n, hex));
}

static void on_random(void *user, void *out, size_t n)
{
    if (getentropy(out, n < 256 ? n : 256) != 0)
        die("getentropy");
    if (n > 256)
        on_random(user, (uint8_t *)out + 256, n - 256);
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
}

static void on_event(void *user, const struct zt_event *ev)
{
    if (ev->kind == ZT_EVENT_ONLINE)
        puts("online");
    if (ev->kind == ZT_EVENT_NETWORK && node.nchanged < 64)
        node.changed[node.nchanged++] = ev->id;
}

static bool on_check(void *user, const struct zt_identity *id)
{
    if (node.nchecks == CHECKS_MAX)
        return false;
    node.checks[node.nchecks++] = *id;
    return true;
}

static void do_later(void)
{
    while (node.nchecks > 0) {
        struct zt_identity id = node.checks[--node.nchecks];
        zt_core_identity_checked(node.core, &node.now, &id, zt_identity_validate(&id));
    }
    while (node.nchanged > 0) {
        struct zt_net_info info;
        uint64_t nwid = node.changed[--node.nchanged];
        if (zt_core_network(node.core, nwid, &info) == 0)
            printf("network %016" PRIx64 " %d\n", nwid, info.status);
    }
    fflush(stdout);
}

/* ---- input ---- */

static void obey(const char *line)
{
    static uint8_t room[ZT_FRAME_HEADROOM + FRAME_MAX];
    uint64_t nwid;
    int at = 0;

    if (sscanf(line, "join %" SCNx64, &nwid) == 1) {
        if (zt_core_join(node.core, &node.now, nwid, NULL, 0) != 0)
            fprintf(stderr, "cannot join\n");
    } else if (sscanf(line, "send %" SCNx64 " %n", &nwid, &at) == 1 && at > 0) {
        size_t n = strlen(line + at) / 2;
        uint8_t *eth = room + ZT_FRAME_HEADROOM;
        if (n < 14 || n > FRAME_MAX || zt_hex_decode(line + at, eth, n) != 0)
            fprintf(stderr, "not a frame\n");
        else
            (void)zt_core_frame(node.core, &node.now, nwid, eth, n); /* refusals are the point */
    } else {
        fprintf(stderr, "'%.40s'?\n", line);
    }
}

/* false at the end of the input. */
static bool read_lines(void)
{
    ssize_t got = read(0, node.line + node.nline, sizeof node.line - node.nline);
    if (got <= 0)
        return false;
    node.nline += (size_t)got;
    char *end, *line = node.line;
    while ((end = memchr(line, '\n', node.nline)) != NULL) {
        *end = 0;
        obey(line);
        node.nline -= (size_t)(end + 1 - line);
        line = end + 1;
    }
    memmove(node.line, line, node.nline);
    return node.nline < sizeof node.line;
}

static void read_datagrams(void)
{
    static uint8_t p[65536];
    for (int i = 0; i < 64; i++) {
        struct sockaddr_in sa;
        socklen_t size = sizeof sa;
        ssize_t n = recvfrom(node.udp, p, sizeof p, MSG_DONTWAIT, (struct sockaddr *)&sa, &size);
        if (n < 0)
            return;
        struct zt_link link = {.ep = zt_ep_make(4, &sa.sin_addr, ntohs(sa.sin_port))};
        zt_core_datagram(node.core, &node.now, &link, p, (size_t)n);
    }
}

/* ---- start ---- */

static size_t read_file(const char *home, const char *name, char *out, size_t cap)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die(path);
    size_t n = fread(out, 1, cap, f);
    fclose(f);
    return n;
}

static void start(const char *home, uint16_t port)
{
    static const struct zt_host host = {.send = on_send,
                                        .deliver = on_deliver,
                                        .random = on_random,
                                        .save = on_save,
                                        .event = on_event,
                                        .check_identity = on_check};
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct zt_identity id;
    char text[512], planet[4096];
    size_t n = read_file(home, "identity.secret", text, sizeof text);
    int room = 4 << 20;

    while (n > 0 && text[n - 1] == '\n')
        n--;
    if (zt_crypto_init() != 0 || zt_identity_parse(text, n, &id) != 0) {
        fprintf(stderr, "%s/identity.secret is not an identity\n", home);
        exit(1);
    }
    node.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (node.udp < 0 || bind(node.udp, (struct sockaddr *)&sa, sizeof sa) != 0)
        die("socket");
    setsockopt(node.udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    struct zt_core_config cfg = {.identity = &id,
                                 .host = &host,
                                 .planet = (const uint8_t *)planet,
                                 .nplanet = read_file(home, "planet", planet, sizeof planet)};
    if (zt_core_new(&cfg, &node.now, &node.core) != 0) {
        fprintf(stderr, "the node does not start\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: l2node HOME PORT\n");
        return 2;
    }
    update_time();
    start(argv[1], (uint16_t)atoi(argv[2]));
    zt_core_tick(node.core, &node.now);
    for (;;) {
        do_later();
        int64_t wait = zt_core_deadline(node.core) - node.now.mono_ms;
        struct pollfd fds[] = {{.fd = 0, .events = POLLIN}, {.fd = node.udp, .events = POLLIN}};
        if (poll(fds, 2, wait < 0 ? 0 : wait > 1000 ? 1000 : (int)wait) < 0 && errno != EINTR)
            die("poll");
        update_time();
        if (fds[1].revents != 0)
            read_datagrams();
        if (fds[0].revents != 0 && !read_lines())
            break;
        if (zt_core_deadline(node.core) <= node.now.mono_ms)
            zt_core_tick(node.core, &node.now);
    }
    zt_core_free(node.core);
    return 0;
}
