/* One sender, any number of listeners: a multicast group on the virtual network.
 *
 *   ./multicast HOME NWID listen GROUP PORT         prints what comes, until it is stopped
 *   ./multicast HOME NWID send GROUP PORT TEXT      sends it three times, a second apart
 *
 * GROUP: ff02::1234, 239.1.2.3, ... */
#include "common.h"

static void join(int fd, const struct zts_sockaddr_storage *group)
{
    if (group->ss_family == ZTS_AF_INET) {
        struct zts_ip_mreq m = {.imr_multiaddr = ((const struct zts_sockaddr_in *)group)->sin_addr};
        if (zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_ADD_MEMBERSHIP, &m, sizeof m) < 0)
            example_fail("join");
    } else {
        struct zts_ipv6_mreq m = {.ipv6mr_multiaddr =
                                      ((const struct zts_sockaddr_in6 *)group)->sin6_addr};
        if (zts_setsockopt(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_JOIN_GROUP, &m, sizeof m) < 0)
            example_fail("join");
    }
}

static void listen_to(int fd, struct zts_sockaddr_storage *group, zts_socklen_t len)
{
    struct zts_timeval half = {.tv_usec = 500000};
    struct zts_sockaddr_storage any = *group;
    char buf[2048];
    /* Every address, the group's port. */
    if (any.ss_family == ZTS_AF_INET)
        memset(&((struct zts_sockaddr_in *)&any)->sin_addr, 0, 4);
    else
        memset(&((struct zts_sockaddr_in6 *)&any)->sin6_addr, 0, 16);
    if (zts_bind(fd, &any, len) < 0)
        example_fail("bind");
    join(fd, group);
    zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &half, sizeof half);
    printf("listening\n");
    fflush(stdout);
    while (!example_stop) {
        ssize_t n = zts_recv(fd, buf, sizeof buf - 1, 0);
        if (n < 0)
            continue;
        buf[n] = 0;
        printf("heard: %s\n", buf);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct zts_sockaddr_storage group;
    int is_sender = argc == 7 && strcmp(argv[3], "send") == 0;
    if (!is_sender && (argc != 6 || strcmp(argv[3], "listen") != 0)) {
        fprintf(stderr, "usage: multicast HOME NWID listen GROUP PORT | send GROUP PORT TEXT\n");
        return 2;
    }
    zts_socklen_t len = example_address(argv[4], argv[5], &group);
    example_up(argv[1], argv[2]);
    int fd = zts_socket(group.ss_family, ZTS_SOCK_DGRAM, 0);
    if (fd < 0)
        example_fail("socket");
    if (!is_sender)
        listen_to(fd, &group, len);
    for (int i = 0; is_sender && i < 3 && !example_stop; i++) {
        if (zts_sendto(fd, argv[6], strlen(argv[6]), 0, &group, len) < 0)
            example_fail("sendto");
        zts_delay_ms(1000); /* the network learns who listens meanwhile */
    }
    zts_close(fd);
    zts_free();
    return 0;
}
