/* Datagrams: the one side answers each with the same bytes, the other sends one until an answer
 * comes.
 *
 *   ./udp HOME NWID PORT                   answers
 *   ./udp HOME NWID ADDRESS PORT TEXT      asks */
#include "common.h"

static int answer(const char *port)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6,
                                   .sin6_port = zts_htons((uint16_t)atoi(port))};
    struct zts_timeval half = {.tv_usec = 500000};
    char buf[65536];
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    if (fd < 0 || zts_bind(fd, &any, sizeof any) < 0)
        example_fail("bind");
    zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &half,
                   sizeof half); /* to look at example_stop */
    printf("listening\n");
    fflush(stdout);
    while (!example_stop) {
        struct zts_sockaddr_storage from;
        zts_socklen_t len = sizeof from;
        ssize_t n = zts_recvfrom(fd, buf, sizeof buf, 0, &from, &len);
        if (n >= 0)
            zts_sendto(fd, buf, (size_t)n, 0, &from, len);
        else if (zts_errno != ZTS_EAGAIN && zts_errno != ZTS_EINTR)
            example_fail("recvfrom");
    }
    return 0;
}

static int ask(const char *address, const char *port, const char *text)
{
    struct zts_sockaddr_storage to;
    struct zts_timeval second = {.tv_sec = 1};
    char buf[65536];
    zts_socklen_t len = example_address(address, port, &to);
    int fd = zts_socket(to.ss_family, ZTS_SOCK_DGRAM, 0);
    /* Connected: only datagrams of this peer come in, and a refusal shows as an error. */
    if (fd < 0 || zts_connect(fd, &to, len) < 0)
        example_fail("connect");
    zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &second, sizeof second);
    for (int i = 0; i < 10 && !example_stop; i++) { /* a datagram may be lost */
        if (zts_send(fd, text, strlen(text), 0) < 0)
            example_fail("send");
        ssize_t n = zts_recv(fd, buf, sizeof buf - 1, 0);
        if (n >= 0) {
            buf[n] = 0;
            printf("answer: %s\n", buf);
            return strcmp(buf, text) != 0;
        }
        fprintf(stderr, "recv: %s\n", zts_strerror(zts_errno));
        if (zts_errno == ZTS_ECONNREFUSED)
            zts_delay_ms(500);
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 6) {
        fprintf(stderr, "usage: udp HOME NWID PORT | udp HOME NWID ADDRESS PORT TEXT\n");
        return 2;
    }
    example_up(argv[1], argv[2]);
    int rc = argc == 4 ? answer(argv[3]) : ask(argv[3], argv[4], argv[5]);
    zts_free();
    return rc;
}
