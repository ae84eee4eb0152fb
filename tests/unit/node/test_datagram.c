/* Datagram and raw sockets end to end: programs' descriptors, real lwIP between. */
#include "env.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* On the loop, which stands still meanwhile. */
static void wait_for_byte(void *arg)
{
    char b;

    (void)!read(*(int *)arg, &b, 1);
}

static void datagrams_keep_boundaries(void **state)
{
    struct env *e = *state;
    struct zt_ctl_addr none = {0}, to;
    struct zt_ctl_dgram h;
    struct zt_ctl_rep a, b;
    static char big[65507], in[65536];
    int x = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &a);
    int y = env_bind(e, env_addr4("0.0.0.0", 5353), SOCK_DGRAM, &b);

    assert_int_equal(a.err | b.err, 0);
    assert_int_equal(env_poll(x, POLLIN | POLLOUT, 0), POLLOUT);
    to = env_addr4("10.1.0.2", 5353);
    memset(big, 'b', sizeof big);
    assert_true(env_send_to(x, to, "one", 3) > 0);
    assert_true(env_send_to(x, to, "", 0) > 0);
    assert_true(env_send_to(x, to, big, sizeof big) > 0);
    assert_int_equal(env_recv(y, &h, in, sizeof in), 3);
    assert_int_equal(h.remote.port, a.local.port);
    assert_memory_equal(h.remote.ip, a.local.ip, 16);
    assert_int_equal(h.lfamily, 4);
    assert_memory_equal(h.lip, to.ip, 4);
    assert_int_equal(h.ttl, 64);
    assert_int_equal(env_recv(y, &h, in, sizeof in), 0);
    assert_int_equal(env_recv(y, &h, in, sizeof in), sizeof big);
    assert_memory_equal(in, big, sizeof big);
    assert_true(env_send_to(y, h.remote, "back", 4) > 0);
    assert_int_equal(env_recv(x, &h, in, sizeof in), 4);
    assert_true(env_send_to(x, none, "?", 1) > 0);
    assert_int_equal(env_recv(x, &h, in, sizeof in), 0);
    assert_int_equal(h.type, ZT_DGRAM_ERROR);
    assert_int_equal(h.err, EDESTADDRREQ);
    close(x);
    close(y);
    env_until_idle(e);
}

static void refused_datagram_is_told(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_UDP, .stype = SOCK_DGRAM};
    struct zt_ctl_addr none = {0};
    struct zt_ctl_dgram h;
    struct zt_ctl_rep r;
    char in[8];

    for (int v6 = 0; v6 < 2; v6++) {
        int fd;
        q.id = 0;
        q.family = v6 ? AF_INET6 : AF_INET;
        q.remote = v6 ? env_addr6("fd00:1::2", 9) : env_addr4("10.1.0.2", 9);
        fd = env_request(e, &q, &r, NULL);
        assert_int_equal(r.err, 0);
        assert_int_not_equal(r.local.port, 0);
        assert_int_equal(r.local.family, v6 ? 6 : 4);
        assert_true(env_send_to(fd, none, "x", 1) > 0);
        assert_int_equal(env_recv(fd, &h, in, sizeof in), 0);
        assert_int_equal(h.type, ZT_DGRAM_ERROR);
        assert_int_equal(h.err, ECONNREFUSED);
        if (v6) { /* lwIP would send what is in no network to the only interface there is */
            assert_true(env_send_to(fd, env_addr6("fd00:99::1", 9), "x", 1) > 0);
            assert_int_equal(env_recv(fd, &h, in, sizeof in), 0);
            assert_int_equal(h.type, ZT_DGRAM_ERROR);
            assert_int_equal(h.err, ENETUNREACH);
        }
        q.id = r.id; /* dissolve: now nobody is asked */
        memset(&q.remote, 0, sizeof q.remote);
        env_request(e, &q, &r, NULL);
        assert_int_equal(r.err, 0);
        assert_true(
            env_send_to(fd, v6 ? env_addr6("fd00:1::2", 9) : env_addr4("10.1.0.2", 9), "x", 1) > 0);
        assert_int_equal(env_poll(fd, POLLIN, 100), 0);
        close(fd);
    }
    env_until_idle(e);
}

static void connected_datagrams_are_filtered(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_UDP, .stype = SOCK_DGRAM, .family = AF_INET};
    struct zt_ctl_addr none = {0};
    struct zt_ctl_dgram h;
    struct zt_ctl_rep a, b, c;
    char in[8];
    int x = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &a), y, z;

    z = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &c);
    q.remote = a.local;
    y = env_request(e, &q, &b, NULL);
    assert_int_equal(b.err, 0);
    assert_true(env_send_to(y, none, "hi", 2) > 0);
    assert_int_equal(env_recv(x, &h, in, sizeof in), 2);
    assert_true(env_send_to(z, h.remote, "stranger", 8) > 0);
    assert_true(env_send_to(x, h.remote, "friend", 6) > 0);
    assert_int_equal(env_recv(y, &h, in, sizeof in), 6);
    assert_int_equal(env_poll(y, POLLIN, 50), 0);
    close(x);
    close(y);
    close(z);
    env_until_idle(e);
}

/* iperf3 -u: the first socket connects to the client, a second takes over its address. */
static void a_connected_datagram_socket_shares_its_port(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_UDP, .stype = SOCK_DGRAM, .family = AF_INET};
    struct zt_ctl_dgram h;
    struct zt_ctl_rep a, b, c, d, r;
    struct zt_ctl_addr at = env_addr4("10.1.0.2", 5201);
    char in[8];
    int first = env_bind_with(e, at, SOCK_DGRAM, SO_REUSEADDR, &a), second;
    int client = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &c);
    int other = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &d);

    q.id = a.id;
    q.remote = c.local;
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    second = env_bind_with(e, at, SOCK_DGRAM, SO_REUSEADDR, &b);
    assert_int_equal(b.err, 0);
    assert_true(env_send_to(client, at, "1", 1) > 0);
    assert_true(env_send_to(other, at, "22", 2) > 0);
    assert_int_equal(env_recv(first, &h, in, sizeof in), 1);
    assert_int_equal(env_recv(second, &h, in, sizeof in), 2);
    assert_int_equal(env_poll(first, POLLIN, 20), 0);
    close(first);
    close(second);
    close(client);
    close(other);
    env_until_idle(e);
}

/* libuv, QUIC servers: a socket for each worker. One flow stays with one of them. */
static void reuseport_shares_flows(void **state)
{
    struct env *e = *state;
    struct zt_ctl_addr at = env_addr4("10.1.0.2", 4433);
    struct zt_ctl_dgram h;
    struct zt_ctl_rep r;
    int server[2], client[40], got[2] = {0, 0};
    char in[8];

    for (int i = 0; i < 2; i++) {
        server[i] = env_bind_with(e, at, SOCK_DGRAM, SO_REUSEPORT, &r);
        assert_int_equal(r.err, 0);
    }
    for (int i = 0; i < 40; i++) {
        client[i] = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &r);
        assert_true(env_send_to(client[i], at, &(char){(char)i}, 1) > 0);
        assert_true(env_send_to(client[i], at, &(char){(char)i}, 1) > 0);
    }
    for (int k = 0; k < 2 * ENV_MS / 200 && got[0] + got[1] < 40; k++)
        while (env_poll(server[k & 1], POLLIN, 200)) {
            assert_int_equal(env_recv(server[k & 1], &h, in, sizeof in), 1);
            assert_int_equal(env_recv(server[k & 1], &h, in + 1, sizeof in - 1), 1);
            assert_int_equal(in[0], in[1]);
            got[k & 1]++;
        }
    assert_int_equal(got[0] + got[1], 40);
    assert_in_range(got[0], 2, 38); /* by chance */
    close(server[0]);
    for (int i = 0; i < 40; i++) {
        assert_true(env_send_to(client[i], at, "x", 1) > 0);
        assert_int_equal(env_recv(server[1], &h, in, sizeof in), 1);
        close(client[i]);
    }
    close(server[1]);
    env_until_idle(e);
}

/* MSG_MORE, as LTP's send02 uses it. */
static void pieces_make_one_datagram(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep a, b;
    struct zt_ctl_dgram h;
    static char big[40000], in[65536];
    int x = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &a);
    int y = env_bind(e, env_addr4("10.1.0.2", 0), SOCK_DGRAM, &b);

    for (int i = 0; i < 3; i++) {
        h = (struct zt_ctl_dgram){.type = ZT_DGRAM_MORE, .remote = b.local};
        assert_true(env_send(x, &h, "one ", 4) > 0);
        assert_int_equal(env_poll(y, POLLIN, 50), 0);
        h = (struct zt_ctl_dgram){.type = ZT_DGRAM_DATA}; /* the first one's counts */
        assert_true(env_send(x, &h, "two", 3) > 0);
        assert_int_equal(env_recv(y, &h, in, sizeof in), 7);
        assert_memory_equal(in, "one two", 7);
    }
    h = (struct zt_ctl_dgram){.type = ZT_DGRAM_MORE, .remote = b.local};
    assert_true(env_send(x, &h, big, sizeof big) > 0);
    assert_true(env_send(x, &h, big, sizeof big) > 0); /* too much: all of it is gone */
    assert_int_equal(env_recv(x, &h, in, sizeof in), 0);
    assert_int_equal(h.type, ZT_DGRAM_ERROR);
    assert_int_equal(h.err, EMSGSIZE);
    assert_true(env_send_to(x, b.local, "new", 3) > 0);
    assert_int_equal(env_recv(y, &h, in, sizeof in), 3);
    h = (struct zt_ctl_dgram){.type = ZT_DGRAM_MORE, .remote = b.local};
    assert_true(env_send(x, &h, "never", 5) > 0); /* closed with a beginning in hand */
    close(x);
    close(y);
    env_until_idle(e);
}

/* UDP_CORK: what is sent between its two ends, neither what lies in the pair from before nor what comes after. */
static void a_cork_makes_one_datagram(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_OPT_SET, .level = 17, .name = 1, .ndata = 4};
    struct zt_ctl_rep a, b, r;
    struct zt_ctl_dgram h;
    char in[64];
    int x = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &a);
    int y = env_bind(e, env_addr4("10.1.0.2", 0), SOCK_DGRAM, &b);
    int listening = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_STREAM, &r);

    q.id = r.id;
    q.data[0] = 1;
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, ENOPROTOOPT);
    q.id = a.id;
    for (int i = 0; i < 3; i++) {
        assert_true(env_send_to(x, b.local, "before", 6) > 0);
        q.data[0] = 1;
        env_request(e, &q, &r, NULL);
        assert_int_equal(r.err, 0);
        assert_true(env_send_to(x, b.local, "one ", 4) > 0);
        assert_true(env_send_to(x, b.local, "two", 3) > 0);
        assert_int_equal(env_recv(y, &h, in, sizeof in), 6);
        assert_int_equal(env_poll(y, POLLIN, 50), 0);
        q.data[0] = 0;
        env_request(e, &q, &r, NULL);
        assert_int_equal(r.err, 0);
        assert_true(env_send_to(x, b.local, "after", 5) > 0);
        assert_int_equal(env_recv(y, &h, in, sizeof in), 7);
        assert_memory_equal(in, "one two", 7);
        assert_int_equal(env_recv(y, &h, in, sizeof in), 5);
    }
    q.data[0] = 1;
    env_request(e, &q, &r, NULL);
    assert_true(env_send_to(x, b.local, "never", 5) > 0);
    close(x); /* with a beginning in hand, and the request below finds it closed */
    q.data[0] = 0;
    env_request(e, &q, &r, NULL);
    close(y);
    close(listening);
    env_until_idle(e);
}

static void multicast_membership(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_OPT_SET, .level = 0, .name = 35, .ndata = 8};
    struct zt_ctl_addr group = env_addr4("224.1.2.3", 5000), own = env_addr4("10.1.0.1", 0);
    struct zt_ctl_rep r, a;
    struct zt_ctl_dgram h;
    char in[8];
    int fd = env_bind(e, env_addr4("0.0.0.0", 5000), SOCK_DGRAM, &r), out;

    q.id = r.id;
    memcpy(q.data, group.ip, 4);
    memcpy(q.data + 4, own.ip, 4);
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, EADDRINUSE);
    q.data[4] = 99;
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, ENODEV);
    out = env_bind(e, own, SOCK_DGRAM, &a);
    assert_true(env_send_to(out, group, "all", 3) > 0);
    assert_int_equal(env_recv(fd, &h, in, sizeof in), 3); /* IP_MULTICAST_LOOP is on by default */
    assert_memory_equal(h.lip, group.ip, 4);
    close(fd);
    close(out);
    env_until_idle(e);
}

static void ports_are_chosen_by_chance(void **state)
{
    enum { MANY = 16 };
    struct env *e = *state;
    struct zt_ctl_rep r;
    int fd[MANY], in_turn = 0;

    for (int i = 0, last = 0; i < MANY; i++) {
        fd[i] = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &r);
        assert_int_equal(r.err, 0);
        assert_in_range(r.local.port, 16384, 65535);
        in_turn += r.local.port == last + 1;
        last = r.local.port;
    }
    assert_in_range(in_turn, 0, 2);
    for (int i = 0; i < MANY; i++)
        close(fd[i]);
    env_until_idle(e);
}

/* What is sent before a connect goes where it was meant to go, however much that is. */
static void a_second_connect_waits_for_what_was_sent(void **state)
{
    enum { MANY = 200 }; /* more than one turn takes */
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_UDP, .stype = SOCK_DGRAM, .family = AF_INET};
    struct zt_ctl_addr none = {0};
    struct zt_ctl_dgram h;
    struct zt_ctl_rep a, b, r;
    char in[8];
    int first = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &a);
    int second = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &b), fd, hold[2];

    q.remote = a.local;
    fd = env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    assert_int_equal(pipe(hold), 0);
    assert_int_equal(zt_loop_post(e->loop, wait_for_byte, &hold[0]), 0); /* all of it waits in the pair */
    for (int i = 0; i < MANY; i++)
        assert_true(env_send_to(fd, none, &(char){(char)i}, 1) > 0);
    q.id = r.id;
    q.remote = b.local;
    assert_int_equal(write(hold[1], "x", 1), 1);
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    assert_true(env_send_to(fd, none, "b", 1) > 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(env_recv(first, &h, in, sizeof in), 1);
        assert_int_equal((unsigned char)in[0], i);
    }
    assert_int_equal(env_recv(second, &h, in, sizeof in), 1);
    assert_int_equal(in[0], 'b');
    assert_int_equal(env_poll(second, POLLIN, 50), 0);
    close(hold[0]);
    close(hold[1]);
    close(fd);
    close(first);
    close(second);
    env_until_idle(e);
}

/* The stack writes the checksum where the socket says: that has to be in the packet. */
static void a_raw_packet_is_long_enough(void **state)
{
    enum { CHECKSUM_AT = 1000 };
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_UDP,
                           .stype = SOCK_RAW,
                           .family = AF_INET6,
                           .remote = env_addr6("fd00:1::2", 0)};
    struct zt_ctl_req set = {.type = ZT_CTL_OPT_SET, .level = 41, .name = 7, .ndata = sizeof(int)};
    const int at = CHECKSUM_AT;
    static char packet[CHECKSUM_AT + 2];
    struct zt_ctl_dgram h;
    struct zt_ctl_rep r;
    char in[8];

    memcpy(set.data, &at, sizeof at);
    for (int own = 0; own < 2; own++) {
        const size_t enough = own ? sizeof packet : 4;
        q.value = own ? 200 : 58; /* a protocol of the program's; ICMPv6 */
        packet[0] = (char)200;    /* no type of ICMPv6 that anybody answers */
        int fd = env_request(e, &q, &r, NULL);
        assert_int_equal(r.err, 0);
        if (own) {
            set.id = r.id;
            env_request(e, &set, &r, NULL);
            assert_int_equal(r.err, 0);
        }
        for (size_t n = 0; n < enough; n += own ? 167 : 1) {
            assert_true(env_send_to(fd, (struct zt_ctl_addr){0}, packet, n) > 0);
            assert_int_equal(env_recv(fd, &h, in, sizeof in), 0);
            assert_int_equal(h.type, ZT_DGRAM_ERROR);
            assert_int_equal(h.err, EINVAL);
        }
        assert_true(env_send_to(fd, (struct zt_ctl_addr){0}, packet, enough) > 0);
        h.type = ZT_DGRAM_ERROR; /* comes back to the socket itself, by its other address */
        env_recv(fd, &h, in, sizeof in);
        assert_int_equal(h.type, ZT_DGRAM_DATA);
        close(fd);
    }
    env_until_idle(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(datagrams_keep_boundaries, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(refused_datagram_is_told, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(connected_datagrams_are_filtered, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_connected_datagram_socket_shares_its_port, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(reuseport_shares_flows, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(pieces_make_one_datagram, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_cork_makes_one_datagram, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(multicast_membership, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(ports_are_chosen_by_chance, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_second_connect_waits_for_what_was_sent, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_raw_packet_is_long_enough, env_setup, env_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
