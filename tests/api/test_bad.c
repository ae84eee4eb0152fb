/* Every function with every kind of bad argument, in every state of the node (gen_bad.py makes the
 * calls): a documented code, never a crash, zts_errno as promised. */
#include "../unit/ztest.h"

#include <limits.h>
#include <stdio.h>

#include "env.h"

static struct env e;

enum state { BEFORE, RUNNING, CALLBACK, STOPPED, FREED };
static enum state now;
static long ncalls, nbad;

static int bad_fd[5] = {-1, -1, -1, -1, -1}; /* stream, datagram, listener, raw, connected */
static int bad_fd_closed = -1;
static char bad_long_text[1000];

static void *scratch(size_t n)
{
    static char room[8][4096];
    static unsigned at;
    char *p = room[at++ % 8];
    memset(p, 0, n);
    return p;
}

static zts_socklen_t *length(uint32_t n)
{
    zts_socklen_t *p = scratch(sizeof *p);
    *p = n;
    return p;
}

static unsigned int *room(unsigned n)
{
    return length(n);
}

static struct zts_timeval *timeval(long s, long us)
{
    struct zts_timeval *t = scratch(sizeof *t);
    *t = (struct zts_timeval){s, us};
    return t;
}

static struct zts_iovec *vector(int kind)
{
    struct zts_iovec *v = scratch(sizeof *v * 8);
    if (kind == 1) {
        v[0] = (struct zts_iovec){scratch(64), SIZE_MAX};
        v[1] = (struct zts_iovec){scratch(64), SIZE_MAX};
    } else {
        for (int i = 0; i < 8; i++)
            v[i] = (struct zts_iovec){scratch(64), 1};
    }
    return v;
}

static struct zts_msghdr *message(int kind)
{
    struct zts_msghdr *m = scratch(sizeof *m);
    if (kind >= 1)
        *m = (struct zts_msghdr){.msg_iov = vector(0), .msg_iovlen = kind == 1 ? 1 : -1};
    if (kind == 3)
        *m = (struct zts_msghdr){.msg_name = scratch(64),
                                 .msg_namelen = UINT32_MAX,
                                 .msg_iov = vector(0),
                                 .msg_iovlen = 1,
                                 .msg_control = scratch(4),
                                 .msg_controllen = 1};
    return m;
}

static struct zts_pollfd *pollfd(int fd)
{
    struct zts_pollfd *p = scratch(sizeof *p);
    *p = (struct zts_pollfd){.fd = fd, .events = -1};
    return p;
}

/* Nothing of this may block. */
static void begin(void)
{
    for (int i = 0; i < 5; i++)
        if (bad_fd[i] >= 0)
            (void)zts_fcntl(bad_fd[i], ZTS_F_SETFL, ZTS_O_NONBLOCK);
    zts_errno = 12345;
}

/* Those that need no node. */
static bool is_helper(const char *name)
{
    static const char *const names[] = {
        "zts_close",           "zts_get_6plane_addr",        "zts_get_rfc4193_addr",
        "zts_inet_pton",       "zts_get_all_stats",          "zts_get_protocol_stats",
        "zts_start",           "zts_allow_peer_caching",     "zts_set_peer_caching",
        "zts_set_network_caching", "zts_allow_network_caching", "zts_allow_local_conf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void check(const char *name, const char *call, long rc)
{
    ncalls++;
    const char *why = NULL;
    if (rc < ZTS_ERR_GENERAL)
        why = "not a code of this library";
    else if (rc == ZTS_ERR_SOCKET && strcmp(name, "zts_inet_pton") != 0 &&
             (zts_errno <= 0 || zts_errno == 12345))
        why = "ZTS_ERR_SOCKET without a zts_errno";
    else if (rc != ZTS_ERR_SOCKET && zts_errno != 12345)
        why = "zts_errno changed without ZTS_ERR_SOCKET";
    else if (now != RUNNING && now != CALLBACK && !is_helper(name) && rc != ZTS_ERR_SERVICE)
        why = "not ZTS_ERR_SERVICE without a node";
    else if (rc == ZTS_ERR_GENERAL)
        why = "an internal failure";
    if (why != NULL && nbad++ < 20)
        fprintf(stderr, "state %d: %s = %ld, zts_errno %d: %s\n", now, call, rc, zts_errno, why);
}

#define NULL_CALLBACK ((zts_callback_fn)NULL)
#define BEGIN() begin()
#define CHECK(name, call)                      \
    do {                                       \
        begin();                               \
        check(#name, #call, (long)(call));     \
    } while (0)

#pragma GCC diagnostic ignored "-Wnonnull"
#include "bad_calls.inc"

static void open_sockets(void)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6};
    struct zts_sockaddr_in6 to = e.peer_addr;
    to.sin6_port = zts_htons(ENV_TCP_ECHO);
    bad_fd[0] = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    bad_fd[1] = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    bad_fd[2] = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    bad_fd[3] = zts_socket(ZTS_AF_INET6, ZTS_SOCK_RAW, ZTS_IPPROTO_ICMPV6);
    bad_fd[4] = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    bad_fd_closed = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    zts_close(bad_fd_closed);
    bad_fd_closed += 1000; /* the number itself comes back soon */
    (void)zts_bind(bad_fd[2], &any, sizeof any);
    (void)zts_listen(bad_fd[2], 4);
    (void)zts_connect(bad_fd[4], &to, sizeof to);
}

static void close_sockets(void)
{
    begin();
    for (int i = 0; i < 5; i++) {
        (void)zts_close(bad_fd[i]);
        bad_fd[i] = -1;
    }
}

static void run_all(enum state s)
{
    now = s;
    nbad = 0;
    long before = ncalls;
    all_calls();
    fprintf(stderr, "state %d: %ld calls\n", s, ncalls - before);
}

static void R98_R99_R101_R102_R104_before_start(void **state)
{
    run_all(BEFORE);
    assert_int_equal(nbad, 0);
}

static void R98_R99_R102_R109_running(void **state)
{
    assert_int_equal(env_up(&e, "us"), 0);
    open_sockets();
    run_all(RUNNING);
    assert_int_equal(nbad, 0);
    close_sockets();
    /* And it still works. */
    struct zts_sockaddr_in6 to = e.peer_addr;
    to.sin6_port = zts_htons(ENV_TCP_ECHO);
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(fd, &to, sizeof to), 0);
    zts_close(fd);
}

static void in_callback(struct zts_callback_msg *m)
{
    static int once;
    if (m->eventCode != ZTS_EVENT_NETWORK_DOWN || once++ > 0)
        return;
    open_sockets();
    run_all(CALLBACK);
    close_sockets();
}

static void R63_R102_from_the_callback(void **state)
{
    env_hook = in_callback;
    int from = env_events();
    assert_int_equal(zts_leave(ENV_NWID), 0);
    assert_true(env_wait_event_of(ZTS_EVENT_NETWORK_DOWN, ENV_NWID, from, 120000) >= 0);
    env_hook = NULL;
    assert_int_equal(now, CALLBACK);
    assert_int_equal(nbad, 0);
}

static void R40_R101_after_stop(void **state)
{
    assert_int_equal(env_down(), 0);
    run_all(STOPPED);
    assert_int_equal(nbad, 0);
}

static void R42_R101_after_free(void **state)
{
    assert_int_equal(zts_free(), 0);
    run_all(FREED);
    assert_int_equal(nbad, 0);
    assert_true(ncalls > 15000);
}

static int setup(void)
{
    memset(bad_long_text, 'x', sizeof bad_long_text - 1);
    return env_start_peer(&e);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R98_R99_R101_R102_R104_before_start),
        cmocka_unit_test(R98_R99_R102_R109_running),
        cmocka_unit_test(R63_R102_from_the_callback),
        cmocka_unit_test(R40_R101_after_stop),
        cmocka_unit_test(R42_R101_after_free),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("bad arguments", tests, env_setup, env_teardown);
}
