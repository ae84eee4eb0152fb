/* One server and one client that measure a network through its sockets: the kernel's (also under
 * the preload, which is the point), or with -DNETBENCH_ZTS those of libzt.
 *
 *   netbench [-z HOME NWID] server PORT                    (kernel: listens on $BIND)
 *   netbench [-z HOME NWID] client ADDRESS PORT TEST N
 *
 * PORT+0 discards what comes and answers with the number of bytes, +1 echoes, +2 accepts and
 * closes, +3 keeps connections open. TESTs: throughput SECONDS, rtt COUNT, connects SECONDS, hold
 * COUNT (until stdin ends). A client prints one line of JSON fields per figure. */
#include "netbench_api.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536
#define HOLD_MAX 20000

enum { PORT_SINK, PORT_ECHO, PORT_CLOSE, PORT_HOLD, PORTS };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
    fprintf(stderr, "netbench: %s: error %d\n", what, nb_errno());
    exit(1);
}

static void put_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t put = nb_send(fd, at, n);
        if (put <= 0)
            die("send");
        at += put;
        n -= (size_t)put;
    }
}

/* ---- server ---- */

static void *sink(void *arg)
{
    int fd = (int)(intptr_t)arg;
    static _Thread_local char buf[BLOCK];
    uint64_t total = 0;
    ssize_t n;
    while ((n = nb_recv(fd, buf, sizeof buf)) > 0)
        total += (uint64_t)n;
    if (n == 0)
        put_all(fd, &total, sizeof total);
    nb_close(fd);
    return NULL;
}

static void *echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[64];
    ssize_t n;
    nb_nodelay(fd);
    while ((n = nb_recv(fd, buf, sizeof buf)) > 0)
        if (nb_send(fd, buf, (size_t)n) != n)
            break;
    nb_close(fd);
    return NULL;
}

static void *hold(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char c;
    while (nb_recv(fd, &c, 1) > 0)
        ;
    nb_close(fd);
    return NULL;
}

struct listener {
    int fd, which;
};

static void *acceptor(void *arg)
{
    const struct listener *l = arg;
    void *(*const serve[PORTS])(void *) = {sink, echo, NULL, hold};
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    for (;;) {
        int fd = nb_accept(l->fd);
        pthread_t t;
        if (fd < 0)
            die("accept");
        if (serve[l->which] == NULL ||
            pthread_create(&t, &attr, serve[l->which], (void *)(intptr_t)fd) != 0)
            nb_close(fd);
    }
    return NULL;
}

static int server(int port)
{
    static struct listener l[PORTS];
    pthread_t t;
    for (int i = 0; i < PORTS; i++) {
        l[i] = (struct listener){nb_listen(port + i), i};
        if (l[i].fd < 0)
            die("listen");
        if (pthread_create(&t, NULL, acceptor, &l[i]) != 0)
            die("thread");
    }
    printf("ready %s\n", nb_own_address());
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

/* ---- client ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int dial(const char *address, int port)
{
    int fd = nb_connect(address, port);
    if (fd < 0)
        die("connect");
    return fd;
}

static void throughput(const char *address, int port, double seconds)
{
    static char block[BLOCK];
    uint64_t sent = 0, got = 0;
    int fd = dial(address, port + PORT_SINK);
    /* Nothing that a compressing network could make smaller (xorshift64). */
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i + sizeof x <= sizeof block; i += sizeof x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(block + i, &x, sizeof x);
    }
    double began = now(), end = began + seconds;
    while (now() < end) {
        put_all(fd, block, sizeof block);
        sent += sizeof block;
    }
    nb_shutdown_write(fd);
    /* The clock stops when the other side has counted the last byte. */
    for (size_t n = 0; n < sizeof got;) {
        ssize_t r = nb_recv(fd, (char *)&got + n, sizeof got - n);
        if (r <= 0)
            die("the count of the other side");
        n += (size_t)r;
    }
    double took = now() - began;
    nb_close(fd);
    if (got != sent) {
        fprintf(stderr, "netbench: %" PRIu64 " bytes sent, %" PRIu64 " came\n", sent, got);
        exit(1);
    }
    printf("\"value\": %.1f, \"unit\": \"Mbit/s\", \"bytes\": %" PRIu64 ", \"seconds\": %.3f\n",
           (double)got * 8e-6 / took, got, took);
}

static void rtt(const char *address, int port, int count)
{
    double *v = calloc((size_t)count, sizeof *v);
    char c = 'x';
    int fd = dial(address, port + PORT_ECHO);
    if (v == NULL)
        die("memory");
    nb_nodelay(fd);
    for (int i = -20; i < count; i++) { /* the first ones warm up */
        double began = now();
        put_all(fd, &c, 1);
        if (nb_recv(fd, &c, 1) != 1)
            die("recv");
        if (i >= 0)
            v[i] = (now() - began) * 1e6;
    }
    nb_close(fd);
    qsort(v, (size_t)count, sizeof *v, compare);
    printf("\"value\": %.1f, \"unit\": \"us\", \"statistic\": \"median\", \"count\": %d\n",
           v[count / 2], count);
    printf("\"value\": %.1f, \"unit\": \"us\", \"statistic\": \"p99\", \"count\": %d\n",
           v[(int)(count * 0.99)], count);
    free(v);
}

static void connects(const char *address, int port, double seconds)
{
    uint64_t n = 0;
    double began = now(), end = began + seconds;
    while (now() < end) {
        nb_close(dial(address, port + PORT_CLOSE));
        n++;
    }
    printf("\"value\": %.0f, \"unit\": \"1/s\", \"count\": %" PRIu64 "\n",
           (double)n / (now() - began), n);
}

static void hold_open(const char *address, int port, int count)
{
    if (count > HOLD_MAX)
        count = HOLD_MAX;
    for (int i = 0; i < count; i++)
        (void)dial(address, port + PORT_HOLD);
    printf("held %d\n", count);
    fflush(stdout);
    while (getchar() != EOF)
        ;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    argv++;
    argc--;
    if (argc >= 3 && strcmp(argv[0], "-z") == 0) {
        nb_start(argv[1], argv[2]);
        argv += 3;
        argc -= 3;
    }
    if (argc == 2 && strcmp(argv[0], "server") == 0)
        return server(atoi(argv[1]));
    if (argc != 5 || strcmp(argv[0], "client") != 0) {
        fprintf(stderr, "usage: netbench [-z HOME NWID] server PORT | client ADDRESS PORT "
                        "throughput|rtt|connects|hold N\n");
        return 2;
    }
    const char *address = argv[1], *test = argv[3];
    int port = atoi(argv[2]);
    double n = atof(argv[4]);
    if (strcmp(test, "throughput") == 0)
        throughput(address, port, n);
    else if (strcmp(test, "rtt") == 0)
        rtt(address, port, (int)n);
    else if (strcmp(test, "connects") == 0)
        connects(address, port, n);
    else if (strcmp(test, "hold") == 0)
        hold_open(address, port, (int)n);
    else
        return 2;
    nb_stop();
    return 0;
}
