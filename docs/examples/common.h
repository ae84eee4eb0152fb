/* What the examples have in common: starting a node, joining a network, reading an address.
 * client.c and server.c show the same in full. */
#ifndef EXAMPLE_COMMON_H
#define EXAMPLE_COMMON_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ZeroTierSockets.h"

static _Atomic int example_online, example_ready;
static volatile sig_atomic_t example_stop; /* set by SIGINT, SIGTERM */

static void example_event(struct zts_callback_msg *msg)
{
    char text[ZTS_INET6_ADDRSTRLEN];
    switch (msg->eventCode) {
    case ZTS_EVENT_NODE_ONLINE:
        example_online = 1;
        break;
    case ZTS_EVENT_NODE_UNRECOVERABLE_ERROR:
        fprintf(stderr, "the node cannot run: can HOME be written, and is no other node using it?\n");
        exit(1);
    case ZTS_EVENT_NETWORK_ACCESS_DENIED:
        fprintf(stderr, "waiting to be authorized on %llx\n",
                (unsigned long long)msg->network->nwid);
        break;
    case ZTS_EVENT_NETWORK_NOT_FOUND:
        fprintf(stderr, "its controller knows no network %llx\n",
                (unsigned long long)msg->network->nwid);
        break;
    case ZTS_EVENT_ADDR_ADDED_IP4:
    case ZTS_EVENT_ADDR_ADDED_IP6: {
        const struct zts_sockaddr_in *in4 = (const struct zts_sockaddr_in *)&msg->addr->addr;
        const struct zts_sockaddr_in6 *in6 = (const struct zts_sockaddr_in6 *)&msg->addr->addr;
        int is4 = msg->eventCode == ZTS_EVENT_ADDR_ADDED_IP4;
        if (is4)
            zts_inet_ntop(ZTS_AF_INET, &in4->sin_addr, text, sizeof text);
        else
            zts_inet_ntop(ZTS_AF_INET6, &in6->sin6_addr, text, sizeof text);
        printf("address %s\n", text);
        break;
    }
    case ZTS_EVENT_NETWORK_READY_IP4:
    case ZTS_EVENT_NETWORK_READY_IP6:
        example_ready = 1;
        break;
    default:
        break;
    }
    fflush(stdout);
}

static void example_signal(int number)
{
    example_stop = number;
}

/* Until the callback has set it, or a signal came; says what may be missing when that takes long. */
static void example_wait(const _Atomic int *done, const char *missing)
{
    for (int ms = 0; !*done && !example_stop; ms += 20) {
        if (ms == 5000)
            fprintf(stderr, "waiting: %s\n", missing);
        zts_delay_ms(20);
    }
}

/* A node with its files in `home`, on this network (16 hex digits), with an address. */
static void example_up(const char *home, const char *nwid)
{
    signal(SIGINT, example_signal);
    signal(SIGTERM, example_signal);
    if (zts_start(home, example_event, 0) != ZTS_ERR_OK) {
        fprintf(stderr, "cannot start\n");
        exit(1);
    }
    example_wait(&example_online, "no root server answers; is your network's planet file in HOME?");
    if (zts_join(strtoull(nwid, NULL, 16)) != ZTS_ERR_OK && !example_stop) {
        fprintf(stderr, "cannot join %s\n", nwid);
        exit(1);
    }
    example_wait(&example_ready, "no address yet; is the id right, and this node authorized?");
    if (example_stop)
        exit(1);
}

/* Fills in the address; returns its size, or ends the program. */
static inline zts_socklen_t example_address(const char *text, const char *port,
                                            struct zts_sockaddr_storage *out)
{
    uint16_t p = zts_htons((uint16_t)atoi(port));
    struct zts_sockaddr_in in4 = {.sin_family = ZTS_AF_INET, .sin_port = p};
    struct zts_sockaddr_in6 in6 = {.sin6_family = ZTS_AF_INET6, .sin6_port = p};

    if (zts_inet_pton(ZTS_AF_INET, text, &in4.sin_addr) == 1) {
        memcpy(out, &in4, sizeof in4);
        return sizeof in4;
    }
    if (zts_inet_pton(ZTS_AF_INET6, text, &in6.sin6_addr) == 1) {
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    fprintf(stderr, "%s is not an address\n", text);
    exit(2);
}

static inline void example_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, zts_strerror(zts_errno));
    exit(1);
}

#endif
