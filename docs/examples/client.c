/* The other side of server.c: sends a line, prints what comes back.
 *
 *   cc -o client client.c -lzt
 *   ./client HOME NWID ADDRESS PORT [TEXT] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ZeroTierSockets.h"

static _Atomic int node_online, network_ready;

static void on_event(struct zts_callback_msg *msg)
{
    switch (msg->eventCode) {
    case ZTS_EVENT_NODE_ONLINE:
        printf("node %llx is online\n", (unsigned long long)msg->node->address);
        node_online = 1;
        break;
    case ZTS_EVENT_NODE_UNRECOVERABLE_ERROR:
        fprintf(stderr, "the node cannot run: can HOME be written, and is no other node using it?\n");
        exit(1);
    case ZTS_EVENT_NETWORK_READY_IP4:
    case ZTS_EVENT_NETWORK_READY_IP6:
        network_ready = 1;
        break;
    case ZTS_EVENT_PEER_DIRECT:
        printf("direct path to %llx\n", (unsigned long long)msg->peer->address);
        break;
    default:
        break;
    }
    fflush(stdout);
}

/* Until the callback has set it; says what may be missing when that takes long. */
static void wait_for(const _Atomic int *done, const char *missing)
{
    for (int ms = 0; !*done; ms += 20) {
        if (ms == 5000)
            fprintf(stderr, "waiting: %s\n", missing);
        zts_delay_ms(20);
    }
}

/* Fills in the address; returns its size, or 0. */
static zts_socklen_t parse(const char *text, uint16_t port, struct zts_sockaddr_storage *out)
{
    struct zts_sockaddr_in in4 = {.sin_family = ZTS_AF_INET, .sin_port = zts_htons(port)};
    struct zts_sockaddr_in6 in6 = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(port)};

    if (zts_inet_pton(ZTS_AF_INET, text, &in4.sin_addr) == 1) {
        memcpy(out, &in4, sizeof in4);
        return sizeof in4;
    }
    if (zts_inet_pton(ZTS_AF_INET6, text, &in6.sin6_addr) == 1) {
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct zts_sockaddr_storage to;
    const char *text = argc > 5 ? argv[5] : "hello over ZeroTier";
    char buf[4096];

    if (argc < 5) {
        fprintf(stderr, "usage: client HOME NWID ADDRESS PORT [TEXT]\n");
        return 2;
    }
    zts_socklen_t len = parse(argv[3], (uint16_t)atoi(argv[4]), &to);
    if (len == 0 || strlen(text) >= sizeof buf) {
        fprintf(stderr, "not an address, or the text is too long\n");
        return 2;
    }
    if (zts_start(argv[1], on_event, 0) != ZTS_ERR_OK) {
        fprintf(stderr, "cannot start\n");
        return 1;
    }
    wait_for(&node_online, "no root server answers; is your network's planet file in HOME?");
    if (zts_join(strtoull(argv[2], NULL, 16)) != ZTS_ERR_OK) {
        fprintf(stderr, "cannot join '%s'\n", argv[2]);
        return 1;
    }
    wait_for(&network_ready, "no address yet; is the id right, and this node authorized?");

    /* The other node may not be known yet: the same descriptor can try again. */
    int fd = zts_socket(to.ss_family, ZTS_SOCK_STREAM, 0), tries = 0;
    while (zts_connect(fd, &to, len) < 0) {
        fprintf(stderr, "connect: %s\n", zts_strerror(zts_errno));
        if (++tries == 5)
            return 1;
        zts_delay_ms(500);
    }
    size_t want = strlen(text), got = 0;
    if (zts_write(fd, text, want) != (ssize_t)want) {
        fprintf(stderr, "write: %s\n", zts_strerror(zts_errno));
        return 1;
    }
    while (got < want) {
        ssize_t n = zts_read(fd, buf + got, sizeof buf - 1 - got);
        if (n <= 0) {
            fprintf(stderr, "read: %s\n", n == 0 ? "end" : zts_strerror(zts_errno));
            return 1;
        }
        got += (size_t)n;
    }
    buf[got] = 0;
    printf("echo: %s\n", buf);
    zts_close(fd);
    zts_free();
    return strcmp(buf, text) != 0;
}
