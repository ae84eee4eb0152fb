/* A TCP echo server on a ZeroTier network.
 *
 *   cc -o server server.c -lzt
 *   ./server HOME NWID PORT        e.g. ./server /tmp/server ff00160016000000 22
 *
 * It prints its addresses, then serves one connection after another. A folder HOME with a `planet`
 * file decides which roots are used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ZeroTierSockets.h"

static _Atomic int node_online, network_ready;

static void on_event(struct zts_callback_msg *msg)
{
    char text[ZTS_INET6_ADDRSTRLEN];

    switch (msg->eventCode) {
    case ZTS_EVENT_NODE_ONLINE:
        printf("node %llx is online\n", (unsigned long long)msg->node->address);
        node_online = 1;
        break;
    case ZTS_EVENT_NODE_UNRECOVERABLE_ERROR:
        fprintf(stderr, "the node cannot run: can HOME be written, and is no other node using it?\n");
        exit(1);
    case ZTS_EVENT_ADDR_ADDED_IP4:
    case ZTS_EVENT_ADDR_ADDED_IP6:
        if (msg->addr->addr.ss_family == ZTS_AF_INET)
            zts_inet_ntop(ZTS_AF_INET, &((struct zts_sockaddr_in *)&msg->addr->addr)->sin_addr,
                          text, sizeof text);
        else
            zts_inet_ntop(ZTS_AF_INET6, &((struct zts_sockaddr_in6 *)&msg->addr->addr)->sin6_addr,
                          text, sizeof text);
        printf("address %s\n", text);
        break;
    case ZTS_EVENT_NETWORK_READY_IP4:
    case ZTS_EVENT_NETWORK_READY_IP6:
        network_ready = 1;
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

static void serve(int fd)
{
    char buf[65536];
    ssize_t n, sent;

    while ((n = zts_read(fd, buf, sizeof buf)) > 0)
        for (ssize_t at = 0; at < n; at += sent) {
            sent = zts_write(fd, buf + at, (size_t)(n - at));
            if (sent <= 0)
                return;
        }
}

int main(int argc, char **argv)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6};

    if (argc != 4) {
        fprintf(stderr, "usage: server HOME NWID PORT\n");
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

    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    any.sin6_port = zts_htons((uint16_t)atoi(argv[3]));
    if (fd < 0 || zts_bind(fd, &any, sizeof any) < 0 || zts_listen(fd, 16) < 0) {
        fprintf(stderr, "cannot listen: %s\n", zts_strerror(zts_errno));
        return 1;
    }
    printf("listening on port %s\n", argv[3]);
    fflush(stdout);
    for (;;) {
        int client = zts_accept(fd, NULL, NULL);
        if (client < 0) {
            fprintf(stderr, "accept: %s\n", zts_strerror(zts_errno));
            break;
        }
        serve(client);
        zts_close(client);
    }
    zts_free();
    return 1;
}
