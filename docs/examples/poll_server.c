/* An echo server for many clients on one thread: non-blocking sockets and zts_poll.
 *
 *   ./poll_server HOME NWID PORT */
#include "common.h"

#define CLIENTS 64
#define BUFFER 65536

static struct client {
    int fd;   /* -1: free */
    size_t n; /* bytes that wait to go back */
    char buf[BUFFER];
} clients[CLIENTS];

static void drop(struct client *c)
{
    zts_close(c->fd);
    c->fd = -1;
    c->n = 0;
}

static void take(int listener)
{
    int fd = zts_accept(listener, NULL, NULL);
    if (fd < 0)
        return; /* somebody else's, or gone again */
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].fd < 0) {
            zts_fcntl(fd, ZTS_F_SETFL, ZTS_O_NONBLOCK);
            clients[i].fd = fd;
            return;
        }
    zts_close(fd); /* full */
}

/* Read what there is room for, write what can be written. */
static void serve(struct client *c, short revents)
{
    if (revents & (ZTS_POLLIN | ZTS_POLLHUP | ZTS_POLLERR)) {
        ssize_t n = zts_read(c->fd, c->buf + c->n, sizeof c->buf - c->n);
        if (n == 0 || (n < 0 && zts_errno != ZTS_EAGAIN)) {
            drop(c);
            return;
        }
        c->n += n > 0 ? (size_t)n : 0;
    }
    if (c->n > 0) {
        ssize_t n = zts_write(c->fd, c->buf, c->n);
        if (n < 0 && zts_errno != ZTS_EAGAIN) {
            drop(c);
            return;
        }
        if (n > 0) {
            c->n -= (size_t)n;
            memmove(c->buf, c->buf + n, c->n);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: poll_server HOME NWID PORT\n");
        return 2;
    }
    for (int i = 0; i < CLIENTS; i++)
        clients[i].fd = -1;
    example_up(argv[1], argv[2]);

    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6,
                                   .sin6_port = zts_htons((uint16_t)atoi(argv[3]))};
    int listener = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0); /* IPv4 clients come in too */
    if (listener < 0 || zts_bind(listener, &any, sizeof any) < 0 || zts_listen(listener, 16) < 0)
        example_fail("listen");
    zts_fcntl(listener, ZTS_F_SETFL, ZTS_O_NONBLOCK);
    printf("listening\n");
    fflush(stdout);

    while (!example_stop) {
        struct zts_pollfd p[CLIENTS + 1] = {{.fd = listener, .events = ZTS_POLLIN}};
        for (int i = 0; i < CLIENTS; i++) {
            const struct client *c = &clients[i];
            p[i + 1].fd = c->fd; /* -1 is skipped */
            p[i + 1].events =
                (short)((c->n < BUFFER ? ZTS_POLLIN : 0) | (c->n > 0 ? ZTS_POLLOUT : 0));
        }
        if (zts_poll(p, CLIENTS + 1, 500) < 0) {
            if (zts_errno == ZTS_EINTR)
                continue;
            example_fail("poll");
        }
        for (int i = 0; i < CLIENTS; i++)
            if (clients[i].fd >= 0 && p[i + 1].revents != 0)
                serve(&clients[i], p[i + 1].revents);
        if (p[0].revents & ZTS_POLLIN)
            take(listener);
    }
    zts_free();
    return 0;
}
