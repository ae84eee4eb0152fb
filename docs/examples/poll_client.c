/* A non-blocking client: zts_poll tells when it is connected and when there is something to do.
 * Sends BYTES bytes and counts them as they come back.
 *
 *   ./poll_client HOME NWID ADDRESS PORT [BYTES] */
#include "common.h"

static char out[16384], in[16384];

/* A socket that is connecting, or ends the program. */
static int begin(const struct zts_sockaddr_storage *to, zts_socklen_t len)
{
    int fd = zts_socket(to->ss_family, ZTS_SOCK_STREAM, 0);
    if (fd < 0 || zts_fcntl(fd, ZTS_F_SETFL, ZTS_O_NONBLOCK) < 0)
        example_fail("socket");
    if (zts_connect(fd, to, len) < 0 && zts_errno != ZTS_EINPROGRESS)
        example_fail("connect");
    return fd;
}

/* Is it connected? Otherwise the reason, once: the peer may only just have come up. */
static int connected(int fd)
{
    struct zts_pollfd p = {.fd = fd, .events = ZTS_POLLOUT};
    int err = 0;
    zts_socklen_t n = sizeof err;
    if (zts_poll(&p, 1, 5000) == 0) {
        fprintf(stderr, "no answer yet\n");
        return 0;
    }
    if (zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_ERROR, &err, &n) < 0)
        example_fail("getsockopt");
    if (err != 0)
        fprintf(stderr, "connect: %s\n", zts_strerror(err));
    return err == 0;
}

int main(int argc, char **argv)
{
    struct zts_sockaddr_storage to;
    if (argc < 5) {
        fprintf(stderr, "usage: poll_client HOME NWID ADDRESS PORT [BYTES]\n");
        return 2;
    }
    size_t total = argc > 5 ? strtoull(argv[5], NULL, 10) : 1000, sent = 0, got = 0;
    zts_socklen_t len = example_address(argv[3], argv[4], &to);
    example_up(argv[1], argv[2]);

    int fd = begin(&to, len), tries = 1;
    while (!connected(fd)) {
        zts_close(fd);
        if (++tries > 5)
            return 1;
        zts_delay_ms(500);
        fd = begin(&to, len);
    }
    while (got < total && !example_stop) {
        struct zts_pollfd p = {.fd = fd,
                               .events = (short)(ZTS_POLLIN | (sent < total ? ZTS_POLLOUT : 0))};
        if (zts_poll(&p, 1, 500) < 0) {
            if (zts_errno == ZTS_EINTR)
                continue;
            example_fail("poll");
        }
        if (p.revents & ZTS_POLLOUT) {
            size_t want = total - sent < sizeof out ? total - sent : sizeof out;
            ssize_t n = zts_send(fd, out, want, 0);
            if (n < 0 && zts_errno != ZTS_EAGAIN)
                example_fail("send");
            sent += n > 0 ? (size_t)n : 0;
        }
        if (p.revents & (ZTS_POLLIN | ZTS_POLLHUP | ZTS_POLLERR)) {
            ssize_t n = zts_recv(fd, in, sizeof in, 0);
            if (n == 0 || (n < 0 && zts_errno != ZTS_EAGAIN))
                example_fail("recv");
            got += n > 0 ? (size_t)n : 0;
        }
    }
    printf("%zu bytes came back\n", got);
    zts_close(fd);
    zts_free();
    return got != total;
}
