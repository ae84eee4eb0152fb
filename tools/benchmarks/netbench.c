/* One server and one client that measure a network through its sockets: the kernel's (also under
 * the preload, which is the point), or with -DNETBENCH_ZTS those of libzt.
 *
 *   netbench [-z HOME NWID] server PORT                    (kernel: listens on $BIND)
 *   netbench [-z HOME NWID] client ADDRESS PORT TEST N
 *
 * PORT+0 discards what comes and answers with the number of bytes, +1 echoes (also UDP), +2 accepts
 * and closes, +3 keeps connections open, +4 sends until the connection ends. TESTs:
 *
 *   throughput SECONDS   one stream to the server          reverse SECONDS   one stream back
 *   parallel SECONDS     eight streams to the server       bidir SECONDS     one each way at once
 *   rtt COUNT, udprtt COUNT                                one byte there and back
 *   connects SECONDS, series COUNT                         connect and close, one after the other
 *   hold COUNT           connections open until stdin ends
 *   first 1              the time from the program's start to the first byte of an echo
 *
 * A client prints one line of JSON fields per figure. */
#include "netbench_api.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536
#define HOLD_MAX 20000
#define STREAMS 8

enum { PORT_SINK, PORT_ECHO, PORT_CLOSE, PORT_HOLD, PORT_SOURCE, PORTS };

static double program_began;
static _Thread_local char block[BLOCK]; /* one for all: it takes its room from small stacks */

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
    uint64_t total = 0;
    ssize_t n;
    while ((n = nb_recv(fd, block, sizeof block)) > 0)
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

static void fill_block(void)
{
    /* Nothing that a compressing network could make smaller (xorshift64). */
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i + sizeof x <= sizeof block; i += sizeof x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(block + i, &x, sizeof x);
    }
}

static void *source(void *arg)
{
    int fd = (int)(intptr_t)arg;
    fill_block();
    while (nb_send(fd, block, sizeof block) > 0)
        ;
    nb_close(fd);
    return NULL;
}

static void *udp_echo(void *arg)
{
    while (nb_udp_echo((int)(intptr_t)arg) >= 0)
        ;
    return NULL;
}

struct listener {
    int fd, which;
};

static void *acceptor(void *arg)
{
    const struct listener *l = arg;
    void *(*const serve[PORTS])(void *) = {sink, echo, NULL, hold, source};
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
    int udp = nb_udp(NULL, port + PORT_ECHO);
    if (udp < 0 || pthread_create(&t, NULL, udp_echo, (void *)(intptr_t)udp) != 0)
        die("udp");
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
    static bool met;
    int fd = nb_connect(address, port);
    /* A stack may still be looking for duplicates of its own address. */
    for (int i = 0; fd < 0 && !met && i < 1000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        fd = nb_connect(address, port);
    }
    if (fd < 0)
        die("connect");
    met = true;
    return fd;
}

/* Bytes that one stream moved to the server until `end`; the server has counted them all. */
static uint64_t push(const char *address, int port, double end)
{
    uint64_t sent = 0, got = 0;
    int fd = dial(address, port + PORT_SINK);
    fill_block();
    while (now() < end) {
        put_all(fd, block, sizeof block);
        sent += sizeof block;
    }
    nb_shutdown_write(fd);
    for (size_t n = 0; n < sizeof got;) {
        ssize_t r = nb_recv(fd, (char *)&got + n, sizeof got - n);
        if (r <= 0)
            die("the count of the other side");
        n += (size_t)r;
    }
    nb_close(fd);
    if (got != sent) {
        fprintf(stderr, "netbench: %" PRIu64 " bytes sent, %" PRIu64 " came\n", sent, got);
        exit(1);
    }
    return got;
}

/* Bytes that one stream of the server's moved to us until `end`. */
static uint64_t pull(const char *address, int port, double end)
{
    uint64_t got = 0;
    int fd = dial(address, port + PORT_SOURCE);
    while (now() < end) {
        ssize_t n = nb_recv(fd, block, sizeof block);
        if (n <= 0)
            die("recv");
        got += (uint64_t)n;
    }
    nb_close(fd);
    return got;
}

struct stream {
    const char *address;
    int port;
    double end;
    uint64_t (*move)(const char *address, int port, double end);
    uint64_t bytes;
};

static void *stream_thread(void *arg)
{
    struct stream *s = arg;
    s->bytes = s->move(s->address, s->port, s->end);
    return NULL;
}

/* `up` streams to the server and `down` from it, at once. The clock stops when the last byte of the
 * slowest is counted. */
static void throughput(const char *address, int port, double seconds, int up, int down)
{
    struct stream s[STREAMS];
    pthread_t t[STREAMS];
    uint64_t total = 0;
    double began = now();
    for (int i = 0; i < up + down; i++) {
        s[i] = (struct stream){address, port, began + seconds, i < up ? push : pull, 0};
        if (pthread_create(&t[i], NULL, stream_thread, &s[i]) != 0)
            die("thread");
    }
    for (int i = 0; i < up + down; i++) {
        pthread_join(t[i], NULL);
        total += s[i].bytes;
    }
    double took = now() - began;
    printf("\"value\": %.1f, \"unit\": \"Mbit/s\", \"bytes\": %" PRIu64 ", \"seconds\": %.3f\n",
           (double)total * 8e-6 / took, total, took);
}

static void rtt(int fd, int count, bool may_resend)
{
    double *v = calloc((size_t)count, sizeof *v);
    char c = 'x';
    if (fd < 0 || v == NULL)
        die("rtt");
    for (int i = -20; i < count; i++) { /* the first ones warm up */
        double began = now();
        int tries = may_resend ? 5 : 1; /* a datagram may be lost */
        do {
            put_all(fd, &c, 1);
        } while (nb_recv(fd, &c, 1) != 1 && --tries > 0);
        if (tries == 0)
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

static int dial_nodelay(const char *address, int port)
{
    int fd = dial(address, port);
    nb_nodelay(fd);
    return fd;
}

/* A node that starts with the program needs its time to find a direct path: not what is measured.
 * Until twenty round trips in a row were quick, or for 30 s. */
static void meet(const char *address, int port)
{
    double end = now() + 30;
    int fd = dial_nodelay(address, port + PORT_ECHO);
    for (int quick = 0; quick < 20 && now() < end; quick++) {
        char c = 'x';
        double began = now();
        put_all(fd, &c, 1);
        if (nb_recv(fd, &c, 1) != 1)
            die("recv");
        if (now() - began > 5e-3) {
            quick = -1;
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        }
    }
    nb_close(fd);
}

static void first_byte(const char *address, int port)
{
    char c = 'x';
    int fd = dial_nodelay(address, port + PORT_ECHO);
    put_all(fd, &c, 1);
    if (nb_recv(fd, &c, 1) != 1)
        die("recv");
    printf("\"value\": %.1f, \"unit\": \"ms\"\n", (now() - program_began) * 1e3);
    nb_close(fd);
}

/* Until the time is over, or `most` connections were made. */
static void connects(const char *address, int port, double seconds, uint64_t most)
{
    uint64_t n = 0;
    double began = now(), end = began + seconds;
    while (n < most && now() < end) {
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
    program_began = now();
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    bool has_own_node = false;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    argv++;
    argc--;
    if (argc >= 3 && strcmp(argv[0], "-z") == 0) {
        nb_start(argv[1], argv[2]);
        has_own_node = true;
        argv += 3;
        argc -= 3;
    }
    if (argc == 2 && strcmp(argv[0], "server") == 0)
        return server(atoi(argv[1]));
    if (argc != 5 || strcmp(argv[0], "client") != 0) {
        fprintf(stderr,
                "usage: netbench [-z HOME NWID] server PORT | client ADDRESS PORT TEST N\n");
        return 2;
    }
    const char *address = argv[1], *test = argv[3];
    int port = atoi(argv[2]);
    double n = atof(argv[4]);
    if (has_own_node && strcmp(test, "first") != 0)
        meet(address, port);
    if (strcmp(test, "throughput") == 0)
        throughput(address, port, n, 1, 0);
    else if (strcmp(test, "reverse") == 0)
        throughput(address, port, n, 0, 1);
    else if (strcmp(test, "bidir") == 0)
        throughput(address, port, n, 1, 1);
    else if (strcmp(test, "parallel") == 0)
        throughput(address, port, n, STREAMS, 0);
    else if (strcmp(test, "rtt") == 0)
        rtt(dial_nodelay(address, port + PORT_ECHO), (int)n, false);
    else if (strcmp(test, "udprtt") == 0)
        rtt(nb_udp(address, port + PORT_ECHO), (int)n, true);
    else if (strcmp(test, "connects") == 0)
        connects(address, port, n, UINT64_MAX);
    else if (strcmp(test, "series") == 0)
        connects(address, port, 3600, (uint64_t)n);
    else if (strcmp(test, "hold") == 0)
        hold_open(address, port, (int)n);
    else if (strcmp(test, "first") == 0)
        first_byte(address, port);
    else
        return 2;
    nb_stop();
    return 0;
}
