/* Threads: sockets and control from many at once, one descriptor in several hands, what an idle node costs.
 * Short here; R115 for a minute and R38 for ten with ZT_TEST_ALL. */
#include "../unit/ztest.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "env.h"

static struct env e;

static bool in_full(void)
{
    return getenv("ZT_TEST_ALL") != NULL;
}

static struct zts_sockaddr_in6 peer(int port)
{
    struct zts_sockaddr_in6 a = e.peer_addr;
    a.sin6_port = zts_htons((uint16_t)port);
    return a;
}

static int connected(int port)
{
    struct zts_sockaddr_in6 a = peer(port);
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    return fd >= 0 && zts_connect(fd, &a, sizeof a) == 0 ? fd : -1;
}

/* ---- R115 ---- */

#define WORKERS 32
static int64_t end_ms;
static _Atomic long rounds;

static const char *one_stream(unsigned seed)
{
    char buf[4000], back[4000];
    size_t n = 1 + seed % sizeof buf;
    int fd = connected(ENV_TCP_ECHO);
    if (fd < 0)
        return "connect";
    memset(buf, (int)seed, sizeof buf);
    for (int i = 0; i < 4; i++) {
        if (zts_send(fd, buf, n, 0) != (ssize_t)n)
            return "send";
        if (zts_recv(fd, back, n, ZTS_MSG_WAITALL) != (ssize_t)n || memcmp(buf, back, n) != 0)
            return "loss";
    }
    return zts_close(fd) == 0 ? NULL : "close";
}

static const char *one_datagram(unsigned seed)
{
    struct zts_sockaddr_in6 a = peer(ENV_UDP_ECHO);
    struct zts_timeval tv = {.tv_sec = 30};
    unsigned back;
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    if (fd < 0 || zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv) != 0)
        return "socket";
    if (zts_sendto(fd, &seed, sizeof seed, 0, &a, sizeof a) != sizeof seed)
        return "sendto";
    ssize_t n = zts_recv(fd, &back, sizeof back, 0); /* a lost one is no fault */
    if (n == sizeof back && back != seed)
        return "another's datagram";
    return zts_close(fd) == 0 ? NULL : "close";
}

static void *work(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg * 7919;
    while (env_ms() < end_ms) {
        const char *why = seed % 5 == 0 ? one_datagram(seed) : one_stream(seed);
        if (why != NULL) {
            fprintf(stderr, "%s: %s\n", why, zts_strerror(zts_errno));
            return (void *)1;
        }
        seed = seed * 1103515245 + 12345;
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static void R115_many_threads(void **state)
{
    pthread_t t[WORKERS];
    int fds = env_fds_settled(0);
    end_ms = env_ms() + (in_full() ? 60000 : 3000);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, work, (void *)(uintptr_t)(i + 1)), 0);
    for (int i = 0; i < WORKERS; i++) {
        void *rc;
        pthread_join(t[i], &rc);
        assert_null(rc);
    }
    print_message("%ld rounds by %d threads\n", atomic_load(&rounds), WORKERS);
    assert_true(atomic_load(&rounds) > WORKERS);
    assert_in_range(env_fds_settled(fds), 0, fds);
}

/* ---- R116 ---- */

struct shared {
    int fd;
    _Atomic long sent, got;
};

static void *sender(void *arg)
{
    struct shared *s = arg;
    char buf[8192] = {0};
    ssize_t n;
    while ((n = zts_send(s->fd, buf, sizeof buf, 0)) > 0)
        atomic_fetch_add(&s->sent, n);
    return (void *)(intptr_t)(n < 0);
}

static void *receiver(void *arg)
{
    struct shared *s = arg;
    char buf[8192];
    ssize_t n;
    while ((n = zts_recv(s->fd, buf, sizeof buf, 0)) > 0)
        atomic_fetch_add(&s->got, n);
    return (void *)1;
}

static void R116_send_receive_and_close_at_once(void **state)
{
    for (int i = 0; i < 5; i++) {
        struct shared s = {.fd = connected(ENV_TCP_ECHO)};
        pthread_t a, b;
        void *rc;
        assert_true(s.fd >= 0);
        pthread_create(&a, NULL, sender, &s);
        pthread_create(&b, NULL, receiver, &s);
        for (int64_t end = env_ms() + 30000; atomic_load(&s.got) == 0 && env_ms() < end;)
            zts_delay_ms(5);
        zts_delay_ms(100);
        assert_int_equal(zts_close(s.fd), 0);
        int64_t from = env_ms();
        pthread_join(a, &rc);
        assert_non_null(rc);
        pthread_join(b, &rc);
        assert_non_null(rc);
        assert_true(env_ms() - from < 20000);
        assert_true(atomic_load(&s.sent) > 0 && atomic_load(&s.got) > 0);
    }
}

/* The close comes while the other thread is about to use the socket for the first time, which puts the real
 * descriptor in its place. */
struct first {
    int fd, kind;
    pthread_barrier_t *both;
};

static void *first_use(void *arg)
{
    struct first *f = arg;
    struct zts_sockaddr_in6 nowhere = peer(80);
    char c;
    nowhere.sin6_addr.un.u8_addr[8] ^= 0x5a; /* a member that is not there */
    pthread_barrier_wait(f->both);
    if (f->kind == 0)
        return (void *)(intptr_t)zts_recv(f->fd, &c, 1, 0);
    return (void *)(intptr_t)zts_connect(f->fd, &nowhere, sizeof nowhere);
}

static void R116_close_meets_a_first_use(void **state)
{
    pthread_barrier_t both;
    pthread_barrier_init(&both, NULL, 2);
    for (int i = 0; i < 200; i++) {
        struct first f = {.kind = i % 2, .both = &both};
        struct timespec end;
        pthread_t t;
        void *rc;
        f.fd = zts_socket(ZTS_AF_INET6, f.kind == 0 ? ZTS_SOCK_DGRAM : ZTS_SOCK_STREAM, 0);
        assert_true(f.fd >= 0);
        assert_int_equal(pthread_create(&t, NULL, first_use, &f), 0);
        pthread_barrier_wait(&both);
        for (volatile int spin = 0; spin < i * 30; spin++)
            ;
        assert_int_equal(zts_close(f.fd), 0);
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 60;
        assert_int_equal(pthread_timedjoin_np(t, &rc, &end), 0);
        assert_true((intptr_t)rc < 0);
    }
    pthread_barrier_destroy(&both);
}

/* ---- R118 ---- */

static _Atomic bool control_ends;
static void *control(void *arg)
{
    struct zts_node_details d;
    while (!atomic_load(&control_ends)) {
        (void)zts_join(ENV_NWID);
        (void)zts_query_node(&d, NULL);
        (void)zts_leave(0x1234567812345678);
        (void)zts_set_peer_caching(1);
        (void)zts_start("/nonexistent", env_callback, 0);
        zts_delay_ms(1);
    }
    return NULL;
}

static long echoes(int fd, int ms)
{
    static char buf[16384];
    long n = 0;
    for (int64_t end = env_ms() + ms; env_ms() < end; n++)
        if (zts_send(fd, buf, sizeof buf, 0) != sizeof buf ||
            zts_recv(fd, buf, sizeof buf, ZTS_MSG_WAITALL) != sizeof buf)
            return -1;
    return n;
}

static void R118_control_does_not_slow_traffic(void **state)
{
    pthread_t t;
    long with = 0, without = 0;
    int fd = connected(ENV_TCP_ECHO);
    assert_true(fd >= 0 && echoes(fd, 200) > 0);
    /* Up to ten times: what else the machine does slows one and then the other. */
    for (int i = 0; i < 40 && (i % 4 != 0 || i == 0 || with * 10 <= without * 7); i++) {
        if (i % 4 == 0)
            with = without = 0;
        atomic_store(&control_ends, false);
        pthread_create(&t, NULL, control, NULL);
        long n = echoes(fd, 250);
        atomic_store(&control_ends, true);
        pthread_join(t, NULL);
        assert_true(n > 0);
        with += n;
        without += echoes(fd, 250);
    }
    print_message("echoes of 16 KiB: %ld with control calls, %ld without\n", with, without);
    assert_true(ENV_TSAN || with * 10 > without * 7);
    zts_close(fd);
}

/* ---- R117 ---- */

static void *control_wildly(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    char home[128];
    env_home(&e, "us", home);
    while (env_ms() < end_ms) {
        seed = seed * 1103515245 + 12345;
        switch (seed >> 16 & 7) {
        case 0:
            (void)zts_start(home, env_callback, 0);
            break;
        case 1:
            (void)zts_stop();
            break;
        case 2:
            if ((seed >> 20 & 3) == 0)
                (void)zts_restart();
            break;
        case 3:
            (void)zts_leave(ENV_NWID);
            break;
        case 4:
            (void)zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
            break;
        default:
            (void)zts_join(ENV_NWID);
        }
        zts_delay_ms(seed >> 24 & 15);
    }
    return NULL;
}

static void R117_control_from_eight_threads(void **state)
{
    pthread_t t[8];
    struct zts_node_details d;
    end_ms = env_ms() + 2500;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&t[i], NULL, control_wildly, (void *)(uintptr_t)(i + 1)), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 1000; i++)
        (void)zts_close(i); /* those of a stopped node, too */
    /* A consistent state: it can be stopped, started and used. */
    int from = env_events();
    if (zts_stop() == ZTS_ERR_OK)
        assert_true(env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, from, 90000) >= 0);
    zts_delay_ms(300);
    assert_int_equal(zts_query_node(&d, NULL), ZTS_ERR_SERVICE);
    assert_int_equal(env_up(&e, "us"), 0);
    int fd = connected(ENV_TCP_ECHO);
    assert_true(fd >= 0);
    zts_close(fd);
}

/* ---- R120, R37, R38 ---- */

static _Atomic int callback_nice;
static void note_nice(struct zts_callback_msg *m)
{
    atomic_store(&callback_nice, getpriority(PRIO_PROCESS, 0));
}

static int udp_sockets(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *f; d != NULL && (f = readdir(d)) != NULL;) {
        char path[300], link[64] = "", line[256], inode[32];
        snprintf(path, sizeof path, "/proc/self/fd/%s", f->d_name);
        if (readlink(path, link, sizeof link - 1) < 0 || strncmp(link, "socket:[", 8) != 0)
            continue;
        snprintf(inode, sizeof inode, " %lu ", strtoul(link + 8, NULL, 10));
        for (int v6 = 0; v6 < 2; v6++) {
            FILE *u = fopen(v6 ? "/proc/net/udp6" : "/proc/net/udp", "re");
            while (u != NULL && fgets(line, sizeof line, u) != NULL)
                n += strstr(line, inode) != NULL;
            if (u != NULL)
                fclose(u);
        }
    }
    if (d != NULL)
        closedir(d);
    return n;
}

static void R37_R120_threads_and_sockets_of_the_service(void **state)
{
    env_hook = note_nice;
    atomic_store(&callback_nice, -100);
    assert_true(udp_sockets() > 0);
    int running = env_threads();
    assert_int_equal(env_down(), 0);
    int stopped = env_threads_settled(2);
    env_hook = NULL;
    assert_int_equal(udp_sockets(), 0);
    /* The loop (protocol and stack) and the keeper are gone, the callbacks' thread is left. */
    assert_true(running - stopped >= 2);
    if (!ENV_TSAN)
        assert_int_equal(stopped, 2);
    int own_nice = getpriority(PRIO_PROCESS, 0);
    assert_true(atomic_load(&callback_nice) > own_nice || own_nice == 19); /* there is nothing below */
    assert_int_equal(env_up(&e, "us"), 0);
}

static void R38_an_idle_node_uses_little(void **state)
{
    int64_t ms = in_full() ? 600000 : 4000, cpu = ms;
    int rss = 0;
    for (int i = 0; i < 4 && cpu * 100 >= ms; i++) { /* what came before may not be over */
        zts_delay_ms(1000);
        rss = env_rss_kb();
        cpu = env_cpu_ms();
        zts_delay_ms(ms);
        cpu = env_cpu_ms() - cpu;
        rss = env_rss_kb() - rss;
        if (in_full())
            break;
    }
    print_message("%ld ms of %ld ms on the processor, %d KiB more memory\n", (long)cpu, (long)ms, rss);
    assert_true(ENV_TSAN || ENV_ASAN || (cpu * 100 < ms && rss < 1024));
}

static int setup(void)
{
    return env_start_peer(&e) | env_up(&e, "us");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R115_many_threads),
        cmocka_unit_test(R116_send_receive_and_close_at_once),
        cmocka_unit_test(R116_close_meets_a_first_use),
        cmocka_unit_test(R118_control_does_not_slow_traffic),
        cmocka_unit_test(R37_R120_threads_and_sockets_of_the_service),
        cmocka_unit_test(R38_an_idle_node_uses_little),
        cmocka_unit_test(R117_control_from_eight_threads),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("threads", tests, env_setup, env_teardown);
}
