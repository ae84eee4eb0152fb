/* Starting: what comes at once and what by events, identities and files, ports. */
#include "../unit/ztest.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env.h"

static struct env e;

static void read_text(const char *home, const char *name, char *out, size_t cap)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(out, 1, cap - 1, f);
    out[n] = 0;
    fclose(f);
}

static void R23_bad_arguments_start_nothing(void **state)
{
    int threads = env_threads();
    assert_int_equal(zts_start(NULL, env_callback, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_start("", env_callback, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_start(e.dir, (zts_callback_fn)NULL, 0), ZTS_ERR_ARG);
    assert_int_equal(zts_start(e.dir, env_callback, -1), ZTS_ERR_ARG);
    assert_int_equal(zts_start(e.dir, env_callback, 65536), ZTS_ERR_ARG);
    assert_int_equal(env_threads(), threads);
    assert_int_equal(env_events(), 0);
}

static void R12_R13_R14_R16_R17_R19_R26_R28_R29_first_start(void **state)
{
    char home[128], pub[1024], sec[1024], hex[16], path[256];
    struct stat st;
    struct zts_node_details node;
    env_home(&e, "first", home);
    int64_t from = env_own_ms();
    assert_int_equal(zts_start(home, env_callback, 0), 0);
    assert_true(env_own_ms() - from < 50);
    assert_int_equal(zts_join(ENV_NWID), ZTS_ERR_SERVICE);
    assert_int_equal(zts_leave(ENV_NWID), ZTS_ERR_SERVICE);
    int i = env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000);
    assert_true(i >= 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_UP, 0, 0) >= 0);
    uint64_t id = env_event_id(i);
    read_text(home, "identity.public", pub, sizeof pub);
    read_text(home, "identity.secret", sec, sizeof sec);
    snprintf(hex, sizeof hex, "%010llx", (unsigned long long)id);
    assert_memory_equal(pub, hex, 10);
    assert_memory_equal(sec, hex, 10);
    snprintf(path, sizeof path, "%s/identity.secret", home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(env_last_node(&node));
    assert_int_equal(node.address, id);
    for (int k = 0, is_quick = 0; k < 10 && !is_quick; k++) { /* the loop, which does it, may have to wait itself */
        from = env_own_ms();
        assert_int_equal(zts_join(ENV_NWID), 0);
        is_quick = env_own_ms() - from < 50;
        assert_true(is_quick || k < 9);
    }
    assert_true(env_wait_event(ZTS_EVENT_NETWORK_OK, 0, 90000) >= 0);
    assert_int_equal(zts_leave(ENV_NWID), 0);
}

static void R24_R59_second_start_disturbs_nothing(void **state)
{
    int n = env_events();
    struct zts_node_details before, after;
    assert_int_equal(zts_query_node(&before, NULL), 0);
    assert_int_equal(zts_start("/nonexistent/elsewhere", env_callback, 0), ZTS_ERR_SERVICE);
    assert_int_equal(zts_set_peer_caching(0), ZTS_ERR_SERVICE);
    assert_int_equal(zts_set_network_caching(0), ZTS_ERR_SERVICE);
    assert_int_equal(zts_allow_local_conf(1), ZTS_ERR_SERVICE);
    assert_int_equal(zts_query_node(&after, NULL), 0);
    assert_int_equal(before.address, after.address);
    assert_int_equal(before.primaryPort, after.primaryPort);
    for (int i = n; i < env_events(); i++)
        assert_true(env_event(i) < 200 || env_event(i) > 206);
}

static void R15_same_path_same_identity(void **state)
{
    char home[128], before[1024], after[1024];
    struct zts_node_details node;
    env_home(&e, "first", home);
    assert_int_equal(zts_query_node(&node, NULL), 0);
    uint64_t id = node.address;
    read_text(home, "identity.secret", before, sizeof before);
    assert_int_equal(env_down(), 0);
    assert_int_equal(env_online(&e, "first"), 0);
    assert_int_equal(zts_query_node(&node, NULL), 0);
    assert_int_equal(node.address, id);
    read_text(home, "identity.secret", after, sizeof after);
    assert_string_equal(before, after);
    assert_int_equal(env_down(), 0);
}

/* The planet cannot be there beforehand, so this node does not come online; it comes up. */
static void R18_relative_path_with_parents(void **state)
{
    char cwd[256];
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_int_equal(chdir(e.dir), 0);
    env_clear_events();
    assert_int_equal(env_start_node("some/where/new", 0), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_UP, 0, 90000) >= 0);
    assert_int_equal(access("some/where/new/identity.secret", R_OK), 0);
    assert_int_equal(env_down(), 0);
    assert_int_equal(chdir(cwd), 0);
}

static int udp_port_is_taken(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int rc = bind(fd, (struct sockaddr *)&a, sizeof a);
    close(fd);
    return rc != 0;
}

static void R25_R74_the_port_is_the_callers(void **state)
{
    char home[128];
    struct zts_node_details node;
    int port = env_free_port();
    assert_true(port > 0);
    env_home(&e, "port", home);
    assert_false(udp_port_is_taken(port));
    env_clear_events();
    assert_int_equal(zts_start(home, env_callback, port), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) >= 0);
    assert_true(env_last_node(&node));
    assert_int_equal(node.primaryPort, port);
    assert_int_equal(node.versionMajor, 1);
    assert_true(node.versionMinor > 0);
    assert_true(udp_port_is_taken(port));
    if (node.secondaryPort != 0)
        assert_true(udp_port_is_taken(node.secondaryPort));
    assert_int_equal(env_down(), 0);
    assert_true(env_last_node(&node)); /* of NORMAL_TERMINATION */
    assert_int_equal(node.primaryPort, port);
    assert_int_not_equal(node.address, 0);
    assert_false(udp_port_is_taken(port));
}

static void R70_R72_port_taken_is_unrecoverable(void **state)
{
    char home[128];
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    env_home(&e, "taken", home);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    env_clear_events();
    assert_int_equal(env_start_node(home, ntohs(a.sin_port)), 0);
    int i = env_wait_event(ZTS_EVENT_NODE_UNRECOVERABLE_ERROR, 0, 90000);
    assert_true(i >= 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_DOWN, i, 90000) >= 0);
    close(fd);
    /* A path that cannot be written. */
    env_clear_events();
    assert_int_equal(zts_start("/proc/nothing/here", env_callback, 0), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_UNRECOVERABLE_ERROR, 0, 90000) >= 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_DOWN, 0, 90000) >= 0);
    assert_int_equal(zts_stop(), ZTS_ERR_SERVICE);
}

static void R20_identities_are_unique(void **state)
{
    enum { N = 100 };
    static uint64_t ids[N];
    char cmd[512], line[128];
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    int n = 10; /* the search for an identity takes its time here */
#else
    int n = getenv("ZT_TEST_ALL") != NULL ? N : 8;
#endif
    snprintf(cmd, sizeof cmd,
             "for i in $(seq %d); do %s/ztctl identity new -o %s/id$i >/dev/null || exit 1;"
             " cut -c1-10 %s/id$i/identity.public; done",
             n, ZT_TEST_TOOLS, e.dir, e.dir);
    FILE *f = popen(cmd, "re");
    assert_non_null(f);
    int got = 0;
    while (got < n && fgets(line, sizeof line, f) != NULL) {
        ids[got] = strtoull(line, NULL, 16);
        assert_int_not_equal(ids[got], 0);
        for (int i = 0; i < got; i++)
            assert_int_not_equal(ids[i], ids[got]);
        got++;
    }
    assert_int_equal(pclose(f), 0);
    assert_int_equal(got, n);
}

static int run_twin(void *arg)
{
    const char *home = arg;
    env_clear_events();
    if (zts_start(home, env_callback, 0) != ZTS_ERR_OK)
        return 2;
    int collided = env_wait_event(ZTS_EVENT_NODE_IDENTITY_COLLISION, 0, 90000) >= 0;
    if (collided && env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) < 0)
        return 3; /* it takes a new identity and goes on */
    return zts_free() == ZTS_ERR_OK ? collided : 4;
}

/* Two nodes with one address: the second one's keys are its own, its address is the first one's. (With
 * the same keys as well, nothing in the protocol tells the two apart.) */
static void R21_R71_same_identity_twice_collides(void **state)
{
    char a[128], b[128], cmd[512];
#ifdef __SANITIZE_THREAD__
    print_message("SKIP: ThreadSanitizer follows no threads in a forked child\n");
    skip();
#endif
    env_home(&e, "twin_a", a);
    env_home(&e, "twin_b", b);
    snprintf(cmd, sizeof cmd,
             "%s/ztctl identity new -o %s >/dev/null && %s/ztctl identity new -o %s >/dev/null &&"
             " id=$(cut -c1-10 %s/identity.public) && sed -i \"s/^........../$id/\" %s/identity.*",
             ZT_TEST_TOOLS, a, ZT_TEST_TOOLS, b, a, b);
    assert_int_equal(system(cmd), 0);
    env_clear_events();
    assert_int_equal(zts_start(a, env_callback, 0), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) >= 0);
    int theirs = env_in_child(run_twin, b);
    assert_int_equal(theirs, 1);
    assert_true(env_wait_event(ZTS_EVENT_NODE_IDENTITY_COLLISION, 0, 0) < 0);
    snprintf(cmd, sizeof cmd, "%s/identity.secret.saved_after_collision", b);
    assert_int_equal(access(cmd, R_OK), 0);
    assert_int_equal(env_down(), 0);
}

/* Roots that never answer, as behind a firewall that lets no UDP through. */
static void R106_no_root_answers(void **state)
{
    char home[128], cmd[512];
    snprintf(home, sizeof home, "%s/alone", e.dir);
    snprintf(cmd, sizeof cmd,
             "mkdir -p %s && %s/ztctl planet new --root %s/root/identity.public 127.0.0.1/9 -o "
             "%s/planet >/dev/null",
             home, ZT_TEST_TOOLS, e.dir, home);
    assert_int_equal(system(cmd), 0);
    env_clear_events();
    assert_int_equal(env_start_node(home, 0), 0);
    assert_true(env_wait_event(ZTS_EVENT_NODE_UP, 0, 90000) >= 0); /* it makes its identity first */
    assert_true(env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 1000) < 0);
    assert_int_equal(zts_join(ENV_NWID), ZTS_ERR_SERVICE);
    int online = -1;
    struct zts_node_details node;
    assert_int_equal(zts_query_node(&node, &online), 0);
    assert_int_equal(online, 0);
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(zts_close(fd), 0);
    assert_int_equal(env_down(), 0);
    assert_int_equal(zts_free(), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R23_bad_arguments_start_nothing),
        cmocka_unit_test(R12_R13_R14_R16_R17_R19_R26_R28_R29_first_start),
        cmocka_unit_test(R24_R59_second_start_disturbs_nothing),
        cmocka_unit_test(R15_same_path_same_identity),
        cmocka_unit_test(R18_relative_path_with_parents),
        cmocka_unit_test(R25_R74_the_port_is_the_callers),
        cmocka_unit_test(R70_R72_port_taken_is_unrecoverable),
        cmocka_unit_test(R20_identities_are_unique),
        cmocka_unit_test(R21_R71_same_identity_twice_collides),
        cmocka_unit_test(R106_no_root_answers),
    };
    env_program(&e, argc, argv, NULL);
    return cmocka_run_group_tests_name("start", tests, env_setup, env_teardown);
}
