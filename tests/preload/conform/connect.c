/* Cases: connecting */
#include "lib.h"

static void c_connect(void)
{
    int port, l = listener(&port), c = socket(family, SOCK_STREAM, 0);
    char buf[64];
    events("fresh", c);
    SAY(connect(c, addr(port), base_len));
    SAY(connect(c, addr(port), base_len));
    names(c);
    events("client", c);
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    int s = accept(l, (struct sockaddr *)&a, &n);
    printf("accepted: %s\n", same(&a, n));
    names(s);
    SAY(send(c, "hello", 5, 0));
    SAY(recv(s, buf, sizeof buf, 0));
    SAY(write(s, "answer", 6));
    SAY(read(c, buf, sizeof buf));
    SAY(close(c));
    SAY(read(s, buf, sizeof buf));
    SAY(close(s));
    SAY(close(l));
}

static void c_refused(void)
{
    int c = socket(family, SOCK_STREAM, 0), port = closed_port();
    char b;
    SAY(connect(c, addr(port), base_len));
    so_error(c);
    events("refused", c);
    SAY(getpeername(c, (struct sockaddr *)&base, &(socklen_t){0}));
    SAY(connect(c, addr(port), base_len));
    SAY(read(c, &b, 1));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    close(c);
}

static void c_refused_nonblocking(void)
{
    int c = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), port = closed_port();
    char b;
    SAY(connect(c, addr(port), base_len));
    wait_for(c, POLLOUT);
    settle();
    events("refused", c);
    so_error(c);
    so_error(c);
    events("after SO_ERROR", c);
    SAY(recv(c, &b, 1, 0));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(connect(c, addr(port), base_len));
    SAY(connect(c, addr(port), base_len));
    wait_for(c, POLLOUT);
    settle();
    SAY(connect(c, addr(port), base_len));
    int ok, l = listener(&ok);
    SAY(connect(c, addr(ok), base_len));
    wait_for(c, POLLOUT);
    events("connected at last", c);
    close(l);
    close(c);
    c = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SAY(connect(c, addr(port), base_len));
    wait_for(c, POLLOUT);
    SAY(recv(c, &b, 1, 0));
    SAY(recv(c, &b, 1, 0));
    so_error(c);
    close(c);
}

static void c_nonblocking(void)
{
    int port, l = listener(&port), c = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char b;
    SAY(connect(c, addr(port), base_len));
    wait_for(c, POLLOUT);
    events("connected", c);
    SAY(connect(c, addr(port), base_len));
    SAY(connect(c, addr(port), base_len));
    so_error(c);
    SAY(recv(c, &b, 1, 0));
    printf("still non-blocking: %d\n", !!(fcntl(c, F_GETFL) & O_NONBLOCK));
    close(l);
    close(c);
}

static void c_errors(void)
{
    int c = socket(family, SOCK_STREAM, 0), port = closed_port();
    SAY(connect(c, addr(port), 4));
    SAY(connect(-1, addr(port), base_len));
    close(c);
    SAY(connect(c, addr(port), base_len));
    int other = socket(family == AF_INET ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (family == AF_INET6)
        SAY(connect(other, addr(port), base_len));
    close(other);
    int file = open("/dev/null", O_RDWR);
    SAY(connect(file, addr(port), base_len));
    close(file);
    c = socket(family, SOCK_STREAM, 0);
    char b;
    SAY(recv(c, &b, 1, 0));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(shutdown(c, SHUT_WR));
    close(c);
}

static void c_unspec(void)
{
    int c, s;
    char b;
    pair_up(&c, &s);
    struct sockaddr un = {.sa_family = AF_UNSPEC};
    SAY(connect(c, &un, sizeof un));
    wait_for(s, POLLIN);
    settle();
    SAY(getpeername(c, &un, &(socklen_t){sizeof un}));
    int port, l = listener(&port);
    SAY(connect(c, addr(port), base_len));
    int t = accept(l, NULL, NULL);
    SAY(write(c, "x", 1));
    SAY(read(t, &b, 1));
    close(c), close(s), close(l), close(t);
}

const struct conform_case cases_connect[] = {
    {"connect", c_connect},
    {"refused", c_refused},
    {"refused_nonblocking", c_refused_nonblocking},
    {"nonblocking", c_nonblocking},
    {"errors", c_errors},
    {"unspec", c_unspec},
    {NULL, NULL},
};
