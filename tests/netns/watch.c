/* Joins a network and prints its events, one a line, until its input ends.
 *
 *   watch HOME PORT NWID */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ZeroTierSockets.h"

static volatile int is_online;

static const char *name_of(int code)
{
    switch (code) {
#define NAME(x)         \
    case ZTS_EVENT_##x: \
        return #x;
        NAME(NODE_ONLINE)
        NAME(NODE_OFFLINE)
        NAME(NODE_UNRECOVERABLE_ERROR)
        NAME(NETWORK_NOT_FOUND)
        NAME(NETWORK_REQ_CONFIG)
        NAME(NETWORK_OK)
        NAME(NETWORK_ACCESS_DENIED)
        NAME(NETWORK_READY_IP4)
        NAME(NETWORK_DOWN)
        NAME(NETWORK_UPDATE)
        NAME(NETIF_UP)
        NAME(NETIF_DOWN)
        NAME(ROUTE_ADDED)
        NAME(ROUTE_REMOVED)
        NAME(ADDR_ADDED_IP4)
        NAME(ADDR_REMOVED_IP4)
#undef NAME
    default:
        return NULL;
    }
}

static void print_ip4(const struct zts_sockaddr_storage *s)
{
    char text[ZTS_INET6_ADDRSTRLEN] = "";
    if (s->ss_family == ZTS_AF_INET)
        zts_inet_ntop(ZTS_AF_INET, &((const struct zts_sockaddr_in *)s)->sin_addr, text,
                      sizeof text);
    printf(" %s", text);
}

static void on_event(struct zts_callback_msg *m)
{
    const char *name = name_of(m->eventCode);
    if (m->eventCode == ZTS_EVENT_NODE_ONLINE)
        is_online = 1;
    if (name == NULL)
        return;
    printf("%s", name);
    if (m->network != NULL)
        printf(" mtu %u", m->network->mtu);
    if (m->addr != NULL)
        print_ip4(&m->addr->addr);
    if (m->route != NULL)
        print_ip4((const struct zts_sockaddr_storage *)&m->route->target);
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char c;
    if (argc != 4) {
        fprintf(stderr, "usage: watch HOME PORT NWID\n");
        return 2;
    }
    if (zts_start(argv[1], on_event, (unsigned short)atoi(argv[2])) != ZTS_ERR_OK) {
        fprintf(stderr, "cannot start\n");
        return 1;
    }
    while (!is_online)
        zts_delay_ms(20);
    zts_join(strtoull(argv[3], NULL, 16));
    while (read(0, &c, 1) > 0)
        ;
    zts_stop();
    return 0;
}
