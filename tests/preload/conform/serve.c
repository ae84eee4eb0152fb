/* Cases: serving */
#include "lib.h"

static void c_accept(void)
{
    int port, l = listener(&port);
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    nonblock(l);
    events("idle listener", l);
    SAY(accept(l, NULL, NULL));
    OPTION(l, SOL_SOCKET, SO_ACCEPTCONN);
    int c = socket(family, SOCK_STREAM, 0);
    SAY(connect(c, addr(port), base_len));
    wait_for(l, POLLIN);
    events("pending", l);
    int s = accept4(l, (struct sockaddr *)&a, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    printf("accept4: %s, cloexec %d, nonblock %d\n", same(&a, n), fcntl(s, F_GETFD),
           !!(fcntl(s, F_GETFL) & O_NONBLOCK));
    OPTION(s, SOL_SOCKET, SO_ACCEPTCONN);
    close(c), close(s);
    c = socket(family, SOCK_STREAM, 0);
    SAY(connect(c, addr(port), base_len));
    wait_for(l, POLLIN);
    s = accept(l, NULL, NULL);
    printf("accept: cloexec %d, nonblock %d\n", fcntl(s, F_GETFD),
           !!(fcntl(s, F_GETFL) & O_NONBLOCK));
    SAY(accept4(l, NULL, NULL, 0x123));
    SAY(connect(l, addr(port), base_len));
    SAY(listen(l, 1));
    SAY(accept(s, NULL, NULL));
    SAY(listen(s, 1));
    SAY(getpeername(l, (struct sockaddr *)&a, &n));
    close(c), close(s);
    struct timeval tv = {0, 50000};
    fcntl(l, F_SETFL, 0);
    SAY(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    SAY(accept(l, NULL, NULL));
    SAY(shutdown(l, SHUT_RD));
    SAY(accept(l, NULL, NULL));
    close(l);
}

static void c_accept_full(void)
{
    int port, l = listener(&port), c = socket(family, SOCK_STREAM, 0);
    char b;
    SAY(connect(c, addr(port), base_len));
    wait_for(l, POLLIN);
    struct rlimit rl, full;
    getrlimit(RLIMIT_NOFILE, &rl);
    int top = dup(0);
    close(top);
    full = rl;
    full.rlim_cur = (rlim_t)top;
    setrlimit(RLIMIT_NOFILE, &full);
    SAY(accept(l, NULL, NULL));
    SAY(accept(l, NULL, NULL));
    setrlimit(RLIMIT_NOFILE, &rl);
    int s = accept(l, NULL, NULL);
    SAY(write(c, "x", 1));
    SAY(read(s, &b, 1));
    close(s), close(c), close(l);
}

static void c_bind(void)
{
    int a = socket(family, SOCK_STREAM, 0), b = socket(family, SOCK_STREAM, 0);
    SAY(accept(a, NULL, NULL));
    SAY(bind(a, addr(0), 4));
    SAY(bind(a, addr(0), base_len));
    printf("port %s\n", bound_port(a) > 0 ? "given" : "missing");
    SAY(bind(a, addr(0), base_len));
    SAY(bind(b, addr(bound_port(a)), base_len));
    SAY(accept(a, NULL, NULL));
    SAY(listen(a, 5));
    SAY(listen(a, 7));
    SAY(bind(b, addr(bound_port(a)), base_len));
    names(a);
    SAY(shutdown(b, SHUT_RD));
    int port = bound_port(a);
    close(a);
    settle();
    int one = 1;
    SAY(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SAY(bind(b, addr(port), base_len));
    SAY(listen(b, 5));
    close(b);
    /* from a chosen port */
    int l = listener(&port);
    a = socket(family, SOCK_STREAM, 0);
    SAY(bind(a, addr(0), base_len));
    int from = bound_port(a);
    SAY(connect(a, addr(port), base_len));
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    int s = accept(l, (struct sockaddr *)&ss, &n);
    printf("from the bound port: %d %d\n", port_of(&ss) == from, bound_port(a) == from);
    close(a), close(s), close(l);
}

static volatile sig_atomic_t ticks;
static int told[2] = {-1, -1}; /* a tick lets the child go on: none comes too late */
static void on_alarm(int sig)
{
    ticks++;
    if (told[1] >= 0)
        (void)!write(told[1], "x", 1);
}

static void c_signals(void)
{
    int port, l = listener(&port);
    struct sigaction sa = {.sa_handler = on_alarm};
    struct itimerval it = {{0, 0}, {0, 50000}}, again = {{0, 50000}, {0, 50000}}, none = {0};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &again, NULL); /* the first may come before the call */
    SAY(accept(l, NULL, NULL));
    setitimer(ITIMER_REAL, &none, NULL);
    ticks = 1;
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    fflush(stdout);
    if (pipe(told) < 0)
        exit(1);
    if (fork() == 0) {
        char go;
        int c = socket(family, SOCK_STREAM, 0);
        if (read(told[0], &go, 1) != 1)
            _exit(1);
        usleep(100000);
        connect(c, addr(port), base_len);
        if (read(told[0], &go, 1) != 1)
            _exit(1);
        usleep(100000);
        _exit(write(c, "x", 1) != 1);
    }
    setitimer(ITIMER_REAL, &it, NULL);
    int s = accept(l, NULL, NULL);
    printf("accept went on: %d, ticks %d\n", s >= 0, (int)ticks);
    setitimer(ITIMER_REAL, &it, NULL);
    char b;
    SAY(read(s, &b, 1));
    printf("ticks %d\n", (int)ticks);
    wait(NULL);
    close(s), close(l), close(told[0]), close(told[1]);
}

const struct conform_case cases_serve[] = {
    {"accept", c_accept}, {"accept_full", c_accept_full}, {"bind", c_bind}, {"signals", c_signals},
    {NULL, NULL},
};
