/* Peers: contact builds paths, events tell of real changes only, peers.d serves a restart. Everybody is
 * on loopback, where direct paths are possible; those that are not are in tests/netns/api.sh. */
#include "../unit/ztest.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env.h"

static struct env e;
static uint64_t peer_id;

static struct zts_sockaddr_in6 peer(int port)
{
    struct zts_sockaddr_in6 a = e.peer_addr;
    a.sin6_port = zts_htons((uint16_t)port);
    return a;
}

/* The node's id is in its address on an ad-hoc network (6plane). */
static uint64_t id_in(const struct zts_sockaddr_in6 *a)
{
    uint64_t id = 0;
    for (int i = 5; i < 10; i++)
        id = id << 8 | a->sin6_addr.un.u8_addr[i];
    return id;
}

static int count(int code, uint64_t id, int from)
{
    int n = 0;
    for (int i = from; i < env_events(); i++)
        n += env_event(i) == code && env_event_id(i) == id;
    return n;
}

static void R49_R88_no_contact_no_path(void **state)
{
    /* Both are members of one network and know of each other's existence at most. */
    zts_delay_ms(1500);
    assert_int_equal(count(ZTS_EVENT_PEER_DIRECT, peer_id, 0), 0);
    assert_int_equal(count(ZTS_EVENT_PEER_PATH_DISCOVERED, peer_id, 0), 0);
}

static void R50_R52_R55_R66_R89_R90_R92_contact_builds_a_path(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    char buf[100];
    int from = env_events();
    int64_t began = env_ms();
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    memset(buf, 'e', sizeof buf);
    assert_int_equal(zts_send(fd, buf, sizeof buf, 0), sizeof buf); /* before a direct path is told of */
    int relay = env_wait_event_of(ZTS_EVENT_PEER_RELAY, peer_id, from, 90000);
    int found = env_wait_event_of(ZTS_EVENT_PEER_PATH_DISCOVERED, peer_id, from, 90000);
    int direct = env_wait_event_of(ZTS_EVENT_PEER_DIRECT, peer_id, from, 90000);
    assert_true(relay >= from && relay < found && found < direct);
    assert_true(env_ms() - began < 60000);
    assert_int_equal(zts_recv(fd, buf, sizeof buf, ZTS_MSG_WAITALL), sizeof buf);
    zts_close(fd);
    /* The other side built one, too: asked over the new path it knows us. */
    int online = env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 0);
    int addr = env_wait_event(ZTS_EVENT_ADDR_ADDED_IP6, 0, 0);
    int ready = env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 0);
    assert_true(online < addr && addr < ready && ready < relay);
}

static void R94_what_peer_events_carry(void **state)
{
    struct zts_peer_details p, q;
    char text[ZTS_INET6_ADDRSTRLEN];
    assert_true(env_last_peer(peer_id, &p));
    assert_int_equal(p.address, peer_id);
    assert_int_equal(p.role, ZTS_PEER_ROLE_LEAF);
    assert_int_equal(p.versionMajor, 1);
    assert_true(p.pathCount >= 1);
    const struct zts_sockaddr_in *in4 = (const void *)&p.paths[0].address;
    assert_int_equal(in4->sin_family, ZTS_AF_INET);
    assert_string_equal(zts_inet_ntop(ZTS_AF_INET, &in4->sin_addr, text, sizeof text), "127.0.0.1");
    assert_int_not_equal(in4->sin_port, 0);
    assert_true(p.paths[0].lastReceive > 1600000000000ull);
    assert_int_equal(p.paths[0].trustedPathId, 0);
    assert_int_equal(zts_query_peer(peer_id, &q), 0);
    assert_true(q.latency >= -1 && q.latency < 30000);
    assert_int_equal(q.pathCount > 0, 1);
    struct zts_physical_path paths[16];
    unsigned n = 16;
    assert_int_equal(zts_query_paths(peer_id, paths, &n), 0);
    assert_int_equal(n, q.pathCount);
    assert_int_equal(zts_query_peer(0x1234567890, &q), ZTS_ERR_NO_RESULT);
    /* The root is one as well. */
    uint64_t ids[16];
    n = 16;
    bool planet = false;
    assert_int_equal(zts_query_peers(ids, &n), 0);
    for (unsigned i = 0; i < n; i++)
        planet |= zts_query_peer(ids[i], &q) == 0 && q.role == ZTS_PEER_ROLE_PLANET;
    assert_true(planet);
}

static void R88_nothing_is_told_periodically(void **state)
{
    int told = 1;
    for (int k = 0; k < 5 && told > 0; k++) { /* what was found last may be told late */
        zts_delay_ms(500);
        int from = env_events();
        zts_delay_ms(getenv("ZT_TEST_ALL") != NULL ? 35000 : 1500); /* in full: two heartbeats */
        told = 0;
        for (int i = from; i < env_events(); i++)
            told += env_event(i) >= ZTS_EVENT_PEER_DIRECT && env_event(i) <= ZTS_EVENT_PEER_PATH_DEAD;
    }
    assert_int_equal(told, 0);
}

static void R56_R57_R58_peers_d(void **state)
{
    char path[256], home[128];
    struct zts_sockaddr_in6 a = peer(ENV_TCP_ECHO);
    snprintf(path, sizeof path, "%s/us/peers.d", e.dir);
    assert_int_equal(env_down(), 0);
    assert_true(env_count_files(path) >= 1);
    env_home(&e, "us", home);
    /* The root is gone; what is remembered of the peer is enough. */
    kill(e.root, SIGSTOP);
    env_clear_events();
    assert_int_equal(env_start_node(home, 0), 0);
    assert_true(env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 90000) >= 0); /* networks.d */
    int64_t began = env_ms();
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    int rc = zts_connect(fd, &a, sizeof a);
    int64_t took = env_ms() - began;
    kill(e.root, SIGCONT);
    assert_int_equal(rc, 0);
    assert_true(took < 20000); /* by the root, which is stopped, never */
    zts_close(fd);
    assert_int_equal(env_down(), 0);
    /* Without the cache nothing is written. */
    assert_int_equal(zts_set_peer_caching(0), 0);
    assert_int_equal(env_up(&e, "forgetful"), 0);
    fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    zts_close(fd);
    assert_int_equal(env_down(), 0);
    snprintf(path, sizeof path, "%s/forgetful/peers.d", e.dir);
    assert_int_equal(env_count_files(path), 0);
    assert_int_equal(zts_set_peer_caching(1), 0);
    assert_int_equal(env_up(&e, "us"), 0);
}

/* The peer goes for good: first its path dies, which shows soon while there is something to send ... */
static int killed_at;
static void R93_path_dies(void **state)
{
    struct zts_sockaddr_in6 a = peer(ENV_UDP_ECHO);
    char back;
    int dead = -1, fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    struct zts_timeval tv = {.tv_sec = 2};
    ssize_t n = -1;
    assert_int_equal(zts_connect(fd, &a, sizeof a), 0);
    assert_int_equal(zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVTIMEO, &tv, sizeof tv), 0);
    for (int i = 0; i < 15 && n != 1; i++) { /* a datagram may be lost */
        assert_int_equal(zts_send(fd, "x", 1, 0), 1);
        n = zts_recv(fd, &back, 1, 0);
    }
    assert_int_equal(n, 1);
    assert_true(env_wait_event_of(ZTS_EVENT_PEER_DIRECT, peer_id, 0, 90000) >= 0);
    killed_at = env_events();
    kill(e.peer, SIGKILL);
    waitpid(e.peer, NULL, 0);
    e.peer = 0;
    for (int64_t end = env_ms() + 180000; dead < 0 && env_ms() < end;) {
        assert_int_equal(zts_send(fd, "x", 1, 0), 1);
        dead = env_wait_event_of(ZTS_EVENT_PEER_PATH_DEAD, peer_id, killed_at, 200);
    }
    assert_true(dead >= 0);
    int relay = env_wait_event_of(ZTS_EVENT_PEER_RELAY, peer_id, killed_at, 90000);
    assert_true(relay > dead);
    assert_int_equal(count(ZTS_EVENT_PEER_UNREACHABLE, peer_id, killed_at), 0); /* a relay may do */
    zts_close(fd);
}

/* ... then the time is over in which it may still be heard by a relay. */
static void R91_peer_unreachable(void **state)
{
    if (getenv("ZT_TEST_ALL") == NULL) {
        print_message("SKIP: a peer counts as reachable for 500 s (tools/test --all)\n");
        skip();
    }
    struct zts_peer_details q;
    int gone = env_wait_event_of(ZTS_EVENT_PEER_UNREACHABLE, peer_id, killed_at, 520000);
    assert_true(gone > env_wait_event_of(ZTS_EVENT_PEER_RELAY, peer_id, killed_at, 0));
    assert_int_equal(count(ZTS_EVENT_PEER_UNREACHABLE, peer_id, 0), 1);
    assert_int_equal(zts_query_peer(peer_id, &q), ZTS_ERR_NO_RESULT);
}

static int setup(void)
{
    int rc = env_start_peer(&e) | env_up(&e, "us");
    peer_id = id_in(&e.peer_addr);
    return rc;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R49_R88_no_contact_no_path),
        cmocka_unit_test(R50_R52_R55_R66_R89_R90_R92_contact_builds_a_path),
        cmocka_unit_test(R94_what_peer_events_carry),
        cmocka_unit_test(R88_nothing_is_told_periodically),
        cmocka_unit_test(R56_R57_R58_peers_d),
        cmocka_unit_test(R93_path_dies),
        cmocka_unit_test(R91_peer_unreachable),
    };
    env_program(&e, argc, argv, setup);
    return cmocka_run_group_tests_name("peers", tests, env_setup, env_teardown);
}
