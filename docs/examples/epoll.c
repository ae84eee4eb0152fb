/* The terminal and a virtual socket in one epoll: lines from standard input go to the peer, what
 * the peer says goes to standard output. zts_get_host_fd gives the descriptor to wait on; data goes
 * through zts_*.
 *
 *   ./epoll HOME NWID ADDRESS PORT */
#include <sys/epoll.h>
#include <unistd.h>

#include "common.h"

static void watch(int ep, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0) {
        /* A file is always readable, and not for epoll. */
        perror("epoll_ctl");
        exit(1);
    }
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = zts_write(fd, p, n);
        if (k < 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct zts_sockaddr_storage to;
    char buf[4096];
    if (argc != 5) {
        fprintf(stderr, "usage: epoll HOME NWID ADDRESS PORT\n");
        return 2;
    }
    zts_socklen_t len = example_address(argv[3], argv[4], &to);
    example_up(argv[1], argv[2]);

    int fd = zts_socket(to.ss_family, ZTS_SOCK_STREAM, 0), tries = 0;
    while (zts_connect(fd, &to, len) < 0) {
        if (++tries == 5)
            example_fail("connect");
        zts_delay_ms(500);
    }
    /* After connect: the descriptor keeps its number, but what epoll watches is what stands behind
     * it. */
    int ep = epoll_create1(EPOLL_CLOEXEC), host = zts_get_host_fd(fd);
    watch(ep, STDIN_FILENO);
    watch(ep, host);
    while (!example_stop) {
        struct epoll_event e;
        if (epoll_wait(ep, &e, 1, -1) != 1)
            continue;
        if (e.data.fd == host) {
            ssize_t n = zts_read(fd, buf, sizeof buf);
            if (n <= 0)
                break; /* the peer has ended */
            fwrite(buf, 1, (size_t)n, stdout);
            fflush(stdout);
        } else {
            ssize_t n = read(STDIN_FILENO, buf, sizeof buf);
            if (n <= 0) {
                zts_shutdown(fd, ZTS_SHUT_WR); /* and still print what comes */
                epoll_ctl(ep, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
            } else if (write_all(fd, buf, (size_t)n) != 0) {
                example_fail("write");
            }
        }
    }
    close(ep);
    zts_close(fd);
    zts_free();
    return 0;
}
