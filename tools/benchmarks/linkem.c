/* A link that delays and loses, between two interfaces, for kernels without netem.
 *
 *   linkem INTERFACE INTERFACE DELAY_US LOSS_PPM
 *
 * Every frame that comes in at one goes out at the other DELAY_US later, or, with a probability of
 * LOSS_PPM in a million, not at all (xorshift, seeded by the interface: the same in every run). At
 * most QUEUE frames wait each way; what comes then is lost. Both interfaces must have their
 * offloads off, or frames larger than a link carries arrive here. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 32768
#define FRAME 2048

struct way { /* one direction */
    int from, to;
    uint64_t random;
    unsigned head, count;
    struct {
        int64_t due_ns;
        unsigned n;
        uint8_t p[FRAME];
    } * slot;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int open_interface(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)), room = 32 << 20, on = 1;
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex(name)};
    struct packet_mreq all = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (void *)&at, sizeof at) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0) {
        fprintf(stderr, "linkem: %s: %s\n", name, strerror(errno));
        exit(1);
    }
    return fd;
}

static void take(struct way *w, int64_t delay_ns, uint32_t loss_ppm)
{
    for (;;) {
        unsigned i = (w->head + w->count) % QUEUE;
        static uint8_t nowhere[FRAME];
        uint8_t *p = w->count < QUEUE ? w->slot[i].p : nowhere;
        ssize_t n = recv(w->from, p, FRAME, MSG_TRUNC);
        if (n < 0)
            return;
        if (n > FRAME) {
            fprintf(stderr, "linkem: a frame of %zd bytes: offloads are on\n", n);
            continue;
        }
        w->random ^= w->random << 13;
        w->random ^= w->random >> 7;
        w->random ^= w->random << 17;
        if (w->random % 1000000 < loss_ppm || p == nowhere)
            continue;
        w->slot[i].due_ns = now_ns() + delay_ns;
        w->slot[i].n = (unsigned)n;
        w->count++;
    }
}

static int64_t give(struct way *w, int64_t now)
{
    while (w->count > 0 && w->slot[w->head].due_ns <= now) {
        (void)send(w->to, w->slot[w->head].p, w->slot[w->head].n, 0);
        w->head = (w->head + 1) % QUEUE;
        w->count--;
    }
    return w->count > 0 ? w->slot[w->head].due_ns : INT64_MAX;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: linkem INTERFACE INTERFACE DELAY_US LOSS_PPM\n");
        return 2;
    }
    int a = open_interface(argv[1]), b = open_interface(argv[2]);
    int64_t delay = atoll(argv[3]) * 1000;
    uint32_t loss = (uint32_t)atoi(argv[4]);
    struct way ways[2] = {{.from = a, .to = b, .random = 88172645463325252u},
                          {.from = b, .to = a, .random = 0x9e3779b97f4a7c15u}};
    for (int i = 0; i < 2; i++)
        if ((ways[i].slot = malloc(QUEUE * sizeof *ways[i].slot)) == NULL)
            return 1;
    for (;;) {
        struct pollfd p[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
        int64_t now = now_ns(), due = INT64_MAX;
        for (int i = 0; i < 2; i++) {
            int64_t at = give(&ways[i], now);
            due = at < due ? at : due;
        }
        int64_t wait = due == INT64_MAX ? 1000000000 : due > now ? due - now : 0;
        ppoll(p, 2, &(struct timespec){wait / 1000000000, wait % 1000000000}, NULL);
        for (int i = 0; i < 2; i++)
            take(&ways[i], delay, loss);
    }
}
