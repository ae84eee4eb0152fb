/* Start, stop, restart, free: what is allowed when, in which order events come, what is left
 * behind. */
#include "../unit/ztest.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env.h"

static struct env e;
static int base_threads, base_fds;

static void test_before_start(void **state)
{
    char c;
    assert_int_equal(zts_stop(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_restart(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_join(ENV_NWID), ZTS_ERR_SERVICE);
    assert_int_equal(zts_orbit(1, 0x1234567890), ZTS_ERR_SERVICE);
    assert_int_equal(zts_deorbit(1), ZTS_ERR_SERVICE);
    assert_int_equal(zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0), ZTS_ERR_SERVICE);
    assert_int_equal(zts_read(0, &c, 1), ZTS_ERR_SERVICE);
    assert_int_equal(zts_read(0, NULL, 1), ZTS_ERR_SERVICE);
    assert_int_equal(zts_start(NULL, env_callback, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_start("", env_callback, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_start("/tmp", (zts_callback_fn)NULL, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_start("/tmp", env_callback, -1), ZTS_ERR_ARG);
    assert_int_equal(zts_start("/tmp", env_callback, 65536), ZTS_ERR_ARG);
    assert_int_equal(zts_generate_adhoc_nwid_from_range(22, 22), 0xff00160016000000);
    assert_int_equal(zts_generate_adhoc_nwid_from_range(2000, 3000), 0xff07d00bb8000000);
    struct zts_sockaddr_storage a;
    char text[ZTS_INET6_ADDRSTRLEN];
    const void *ip = &((struct zts_sockaddr_in6 *)&a)->sin6_addr;
    assert_int_equal(zts_get_6plane_addr(&a, 0xff07d00bb8000000, 0x75f3543094), 0);
    assert_string_equal(zts_inet_ntop(ZTS_AF_INET6, ip, text, sizeof text),
                        "fc47:7d0:b75:f354:3094::1");
    assert_int_equal(zts_get_rfc4193_addr(&a, 0xff07d00bb8000000, 0x75f3543094), 0);
    assert_string_equal(zts_inet_ntop(ZTS_AF_INET6, ip, text, sizeof text),
                        "fdff:7d0:bb8:0:99:9375:f354:3094");
    assert_int_equal(zts_inet_pton(ZTS_AF_INET, "1.2.3", text), 0);
    assert_int_equal(zts_inet_pton(99, "1.2.3.4", text), -1);
    assert_int_equal(zts_inet_addr("nonsense"), ZTS_IPADDR_NONE);
    assert_int_equal(zts_inet_addr("127.0.0.1"), zts_htonl(ZTS_IPADDR_LOOPBACK));
}

static void test_start_join_stop_in_order(void **state)
{
    char home[128], path[192];
    struct stat st;
    env_home(&e, "a", home);
    assert_int_equal(zts_start(home, env_callback, 0), 0);
    assert_int_equal(zts_start(home, env_callback, 0), ZTS_ERR_SERVICE);
    assert_int_equal(zts_set_peer_caching(0), ZTS_ERR_SERVICE);
    assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) >= 0);
    assert_int_equal(env_event(0), ZTS_EVENT_STACK_UP);
    assert_int_equal(env_event(1), ZTS_EVENT_NODE_UP);
    snprintf(path, sizeof path, "%s/identity.secret", home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    int from = env_events();
    assert_int_equal(zts_join(0), ZTS_ERR_ARG);
    assert_int_equal(zts_orbit(0, 0x1234567890), ZTS_ERR_ARG);
    assert_int_equal(zts_orbit(1, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_deorbit(0), ZTS_ERR_ARG);
    assert_int_equal(zts_orbit(1, 0x1234567890), 0);
    assert_int_equal(zts_deorbit(1), 0);
    assert_int_equal(zts_deorbit(1), 0);
    assert_int_equal(zts_leave(ENV_NWID), ZTS_ERR_NO_RESULT);
    assert_int_equal(zts_join(ENV_NWID), 0);
    assert_int_equal(zts_join(ENV_NWID), 0);
    static const int order[] = {ZTS_EVENT_NETWORK_REQ_CONFIG, ZTS_EVENT_NETIF_UP,
                                ZTS_EVENT_NETIF_LINK_UP,      ZTS_EVENT_ADDR_ADDED_IP6,
                                ZTS_EVENT_NETWORK_UPDATE,     ZTS_EVENT_NETWORK_READY_IP6,
                                ZTS_EVENT_NETWORK_OK};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        from = env_wait_event(order[i], from, 90000);
        assert_true(from >= 0);
    }
    from = env_events();
    assert_int_equal(zts_stop(), 0);
    assert_int_equal(zts_stop(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_socket(ZTS_AF_INET, ZTS_SOCK_STREAM, 0), ZTS_ERR_SERVICE);
    static const int down[] = {
        ZTS_EVENT_ADDR_REMOVED_IP6,       ZTS_EVENT_NETIF_LINK_DOWN, ZTS_EVENT_NETIF_DOWN,
        ZTS_EVENT_NETIF_REMOVED,          ZTS_EVENT_NETWORK_DOWN,    ZTS_EVENT_NODE_DOWN,
        ZTS_EVENT_NODE_NORMAL_TERMINATION};
    for (size_t i = 0; i < sizeof down / sizeof *down; i++) {
        from = env_wait_event(down[i], from, 90000);
        assert_true(from >= 0);
    }
    assert_int_equal(from, env_events() - 1); /* the last one */
}

/* The stack stays, the network comes back by its file, nothing piles up. */
static void test_twenty_times(void **state)
{
    char home[128];
    int threads = 0, fds = 0;
    env_home(&e, "a", home);
    for (int i = 0; i < 20; i++) {
        env_clear_events();
        assert_int_equal(env_start_node(home, 0), 0);
        assert_true(env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 90000) >= 0);
        assert_int_equal(env_event(0), ZTS_EVENT_NODE_UP); /* no STACK_UP again */
        int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(zts_stop(), 0);
        assert_true(env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, 0, 90000) >= 0);
        assert_int_equal(zts_close(fd), 0); /* works without a node */
        if (i == 0) {
            threads = env_threads_settled(0);
            fds = env_fds_settled(0);
        }
    }
    assert_in_range(env_threads_settled(threads), 1, threads);
    assert_in_range(env_fds_settled(fds), 1, fds);
}

static void test_restart_keeps_networks(void **state)
{
    char home[128];
    env_home(&e, "b", home);
    env_clear_events();
    assert_int_equal(zts_allow_network_caching(0), 0); /* so only restart itself can remember */
    assert_int_equal(zts_start(home, env_callback, 0), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) >= 0);
    assert_int_equal(zts_join(ENV_NWID), 0);
    assert_true(env_wait_event(ZTS_EVENT_NETWORK_OK, 0, 90000) >= 0);
    int from = env_events();
    assert_int_equal(zts_restart(), 0);
    from = env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, from, 90000);
    assert_true(from >= 0);
    from = env_wait_event(ZTS_EVENT_NODE_ONLINE, from, 90000);
    assert_true(from >= 0);
    assert_true(env_wait_event(ZTS_EVENT_NETWORK_OK, from > 20 ? from - 20 : 0, 90000) >= 0);
    assert_true(env_wait_event(ZTS_EVENT_STACK_DOWN, 0, 0) < 0);
    assert_int_equal(zts_leave(ENV_NWID), 0);
    assert_true(env_wait_event(ZTS_EVENT_NETWORK_DOWN, from, 90000) >= 0);
    assert_int_equal(zts_stop(), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, from, 90000) >= 0);
}

/* A damaged identity: reported, nothing changed, and another start works. */
static void test_fatal_error(void **state)
{
    char home[128], path[192], text[64] = "";
    env_home(&e, "c", home);
    snprintf(path, sizeof path, "%s/identity.secret", home);
    FILE *f = fopen(path, "w");
    fputs("not an identity", f);
    fclose(f);
    env_clear_events();
    assert_int_equal(zts_start(home, env_callback, 0), 0);
    int i = env_wait_event(ZTS_EVENT_NODE_UNRECOVERABLE_ERROR, 0, 90000);
    assert_true(i >= 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_DOWN, i, 90000) >= 0);
    f = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_string_equal(text, "not an identity");
    assert_int_equal(zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0), ZTS_ERR_SERVICE);
    struct zts_pollfd p = {.fd = 0};
    assert_int_equal(zts_poll(&p, 1, 0), ZTS_ERR_SERVICE);
    env_home(&e, "a", home);
    assert_int_equal(zts_start(home, env_callback, 0), 0); /* at once: DOWN was the last event */
    assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) >= 0);
}

/* The node of test_fatal_error runs: a forked child has none, and may start its own. */
static void test_fork(void **state)
{
    char home[128];
#ifdef __SANITIZE_THREAD__
    print_message("SKIP: ThreadSanitizer follows no threads in a forked child\n");
    skip();
#endif
    env_home(&e, "child", home);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        if (zts_join(ENV_NWID) != ZTS_ERR_SERVICE || zts_read(0, &c, 1) != ZTS_ERR_SERVICE ||
            zts_stop() != ZTS_ERR_SERVICE)
            _exit(1);
        env_clear_events();
        if (zts_start(home, env_callback, 0) != ZTS_ERR_OK)
            _exit(2);
        if (env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) < 0)
            _exit(3);
        _exit(zts_free() == ZTS_ERR_OK ? 0 : 4);
    }
    int st;
    assert_int_equal(waitpid(pid, &st, 0), pid);
    assert_true(WIFEXITED(st));
    assert_int_equal(WEXITSTATUS(st), 0);
    assert_int_equal(zts_join(ENV_NWID), 0); /* ours is untouched */
}

static void *blocked_accept(void *arg)
{
    return (void *)(intptr_t)zts_accept(*(int *)arg, NULL, NULL);
}

static void *blocked_read(void *arg)
{
    char c;
    return (void *)(intptr_t)zts_recv(*(int *)arg, &c, 1, 0);
}

static void *blocked_poll(void *arg)
{
    struct zts_pollfd p = {.fd = *(int *)arg, .events = ZTS_POLLIN};
    return (void *)(intptr_t)zts_poll(&p, 1, -1);
}

static void a_blocked_call_wakes_when_the_node_stops(void **state)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6};
    pthread_t t[3];
    void *rc[3];
    char home[128];
    env_home(&e, "a", home);
    if (zts_start(home, env_callback, 0) == 0) /* else that of test_fatal_error runs */
        assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) >= 0);
    int l = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    int u = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    assert_int_equal(zts_bind(l, &any, sizeof any), 0);
    assert_int_equal(zts_listen(l, 1), 0);
    pthread_create(&t[0], NULL, blocked_accept, &l);
    pthread_create(&t[1], NULL, blocked_read, &u);
    pthread_create(&t[2], NULL, blocked_poll, &u);
    zts_delay_ms(100);
    int from = env_events();
    int64_t began = env_ms(), own = env_own_ms();
    assert_int_equal(zts_stop(), 0);
    assert_true(env_own_ms() - own < 50);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], &rc[i]);
    assert_true(env_ms() - began < 20000);
    assert_int_equal((intptr_t)rc[0], ZTS_ERR_SERVICE);
    assert_int_equal((intptr_t)rc[1], ZTS_ERR_SERVICE);
    assert_true((intptr_t)rc[2] == 1 || (intptr_t)rc[2] == ZTS_ERR_SERVICE);
    assert_true(env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, from, 90000) >= 0);
    assert_int_equal(zts_close(l), 0);
    assert_int_equal(zts_close(u), 0);
}

/* Start and stop, with sockets in all states left open: no thread, descriptor or memory stays. */
static void many_cycles_leave_nothing_behind(void **state)
{
    char home[128];
    int n = getenv("ZT_TEST_ALL") != NULL ? 200 : 25, threads = 0, fds = 0, rss = 0;
    env_home(&e, "a", home);
    for (int i = 0; i < n; i++) {
        struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6};
        env_clear_events();
        assert_int_equal(env_start_node(home, 0), 0);
        if (i % 3 != 0) { /* sometimes stopped before it is up */
            assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) >= 0);
            assert_int_equal(zts_join(ENV_NWID), 0);
            assert_true(env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 90000) >= 0);
        }
        int fd[4];
        for (int k = 0; k < 4; k++)
            fd[k] = zts_socket(ZTS_AF_INET6, k < 2 ? ZTS_SOCK_STREAM : ZTS_SOCK_DGRAM, 0);
        if (i % 3 != 0) {
            assert_int_equal(zts_bind(fd[0], &any, sizeof any), 0);
            assert_int_equal(zts_listen(fd[0], 1), 0);
            assert_int_equal(zts_bind(fd[2], &any, sizeof any), 0);
        }
        assert_int_equal(zts_stop(), 0);
        assert_true(env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, 0, 90000) >= 0);
        for (int k = 0; k < 4; k++)
            assert_int_equal(zts_close(fd[k]), 0);
        if (i == n / 5) {
            threads = env_threads_settled(0);
            fds = env_fds_settled(0);
            rss = env_rss_kb();
        }
    }
    assert_in_range(env_threads_settled(threads), 1, threads);
    assert_in_range(env_fds_settled(fds), 1, fds);
    print_message("%d cycles: %d KiB more memory\n", n - n / 5, env_rss_kb() - rss);
    assert_true(ENV_TSAN || ENV_ASAN || env_rss_kb() - rss < 1024);
}

/* Another process, whose only work is to be freed in one of several states; the leak sanitizer, where
 * there is one, looks at the end. */
static int free_main(const char *home, int how)
{
    int threads = env_threads(), fds = env_fds();
    if (how > 0) {
        if (zts_start(home, env_callback, 0) != ZTS_ERR_OK)
            return 1;
        if (how > 1 && env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) < 0)
            return 2;
        if (how > 2 && (zts_join(ENV_NWID) != ZTS_ERR_OK ||
                        env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 90000) < 0 ||
                        zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0) < 0))
            return 3;
        if (how > 3 && env_down() != 0)
            return 4;
    }
    int64_t from = env_ms(), most = ENV_TSAN ? 120000 : 30000; /* the search for an identity comes to an end */
    if (zts_free() != ZTS_ERR_OK || env_ms() - from > most)
        return 5;
    if (zts_start(home, env_callback, 0) != ZTS_ERR_SERVICE || zts_free() != ZTS_ERR_SERVICE)
        return 6;
    if (!ENV_TSAN && env_threads_settled(threads) != threads)
        return 7;
    return env_fds_settled(fds + 2) <= fds + 2 ? 0 : 8; /* libuv's own pipe, once a process */
}

static void freeing_leaves_nothing_behind(void **state)
{
    char home[128], cmd[300];
    int n = getenv("ZT_TEST_ALL") != NULL ? 50 : 10;
    env_home(&e, "freed", home);
    for (int i = 0; i < n; i++) {
        snprintf(cmd, sizeof cmd, "/proc/%d/exe --free %s %d", (int)getpid(), home, i % 5);
        int st = system(cmd);
        if (!WIFEXITED(st) || WEXITSTATUS(st) != 0)
            fail_msg("state %d: %d", i % 5, st);
    }
}

static void test_free_is_the_end(void **state)
{
    char home[128];
    env_home(&e, "a", home);
    assert_int_equal(zts_free(), 0);
    assert_int_equal(env_event(env_events() - 1), ZTS_EVENT_STACK_DOWN);
    assert_int_equal(zts_free(), ZTS_ERR_SERVICE);
    assert_int_equal(zts_start(home, env_callback, 0), ZTS_ERR_SERVICE);
    assert_int_equal(zts_stop(), ZTS_ERR_SERVICE);
    if (!ENV_TSAN) /* which starts a thread of its own */
        assert_int_equal(env_threads_settled(base_threads), base_threads);
    /* libuv makes one pipe per process on first use and keeps it; it belongs to whoever else uses libuv
     * in this process too, so we can't take it away. */
    assert_in_range(env_fds_settled(base_fds + 2), base_fds, base_fds + 2);
}

static int setup(void)
{
    base_threads = env_threads();
    base_fds = env_fds();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--free") == 0)
        return free_main(argv[2], atoi(argv[3]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_start),    cmocka_unit_test(test_start_join_stop_in_order),
        cmocka_unit_test(test_twenty_times),    cmocka_unit_test(test_restart_keeps_networks),
        cmocka_unit_test(test_fatal_error),     cmocka_unit_test(test_fork),
        cmocka_unit_test(a_blocked_call_wakes_when_the_node_stops),
        cmocka_unit_test(many_cycles_leave_nothing_behind),
        cmocka_unit_test(freeing_leaves_nothing_behind),
        cmocka_unit_test(test_free_is_the_end),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("lifecycle", tests, env_setup, env_teardown);
}
