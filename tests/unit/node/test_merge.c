/* ZT_CTL_MERGE: a kernel socket on a wildcard address becomes one that is reached from both sides. */
#include "env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in in4(uint32_t ip, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip), .sin_port = htons(port)};
}

/* A kernel socket on this address and any port. */
static int host_socket(int type, uint32_t ip, uint16_t *port)
{
    struct sockaddr_in a = in4(ip, *port);
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int host_connect(uint16_t port)
{
    struct sockaddr_in a = in4(INADDR_LOOPBACK, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static struct zt_ctl_req merge_of(int type, uint16_t port)
{
    return (struct zt_ctl_req){.stype = (uint8_t)type,
                               .family = AF_INET,
                               .value = 16,
                               .local = env_addr4("0.0.0.0", port)};
}

static void talk(int x, int y)
{
    char in[8];

    assert_int_equal(write(x, "hello", 5), 5);
    assert_int_equal(env_poll(y, POLLIN, ENV_MS) & POLLIN, POLLIN);
    assert_int_equal(read(y, in, sizeof in), 5);
    assert_memory_equal(in, "hello", 5);
}

/* The program's end is closed: soon the kernel's port is free as well. */
static void until_free(int type, uint16_t port)
{
    for (int i = 0; i < ENV_MS / 5; i++) {
        int fd = host_socket(type, INADDR_ANY, &port);
        if (fd >= 0) {
            close(fd);
            return;
        }
        usleep(5000);
    }
    fail_msg("port %u is still taken", port);
}

static void listener_of_both_sides(void **state)
{
    struct env *e = *state;
    struct zt_ctl_accept a;
    struct zt_ctl_rep r, c;
    struct sockaddr_in name;
    socklen_t n = sizeof name;
    uint16_t port = 0;
    int host = host_socket(SOCK_STREAM, INADDR_ANY, &port), fd, x, y;
    struct zt_ctl_req q = merge_of(SOCK_STREAM, port);

    assert_int_equal(listen(host, 16), 0);
    fd = env_merge(e, &q, host, &r);
    assert_int_equal(r.err, 0);
    assert_true(fd >= 0);
    assert_int_equal(env_slot(e, r.id).phase, ZT_PHASE_LISTENING);
    assert_int_not_equal(env_slot(e, r.id).twin, 0);

    x = host_connect(port);
    y = env_accept(fd, &a);
    assert_true(y >= 0);
    assert_int_equal(a.id, 0); /* the kernel's own */
    assert_int_equal(getpeername(y, (struct sockaddr *)&name, &n), 0);
    assert_int_equal(name.sin_family, AF_INET);
    assert_int_equal(a.remote.port, ntohs(name.sin_port));
    talk(x, y);
    talk(y, x);
    close(x);
    close(y);

    x = env_connect(e, env_addr4("10.1.0.2", port), &c);
    assert_int_equal(c.err, 0);
    y = env_accept(fd, &a);
    assert_true(y >= 0);
    assert_int_not_equal(a.id, 0);
    talk(x, y);
    talk(y, x);
    close(x);
    close(y);

    close(fd);
    until_free(SOCK_STREAM, port);
}

/* It has to be what the request says; it is closed in any case. */
static void others_are_refused(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep r;
    uint16_t port = 0;
    int host = host_socket(SOCK_STREAM, INADDR_ANY, &port), p[2];
    struct zt_ctl_req q = merge_of(SOCK_STREAM, port);

    assert_int_equal(env_merge(e, &q, host, &r), -1); /* does not listen */
    assert_int_equal(r.err, EINVAL);
    assert_int_equal(fcntl(host, F_GETFD), -1);

    q = merge_of(SOCK_DGRAM, port);
    host = host_socket(SOCK_STREAM, INADDR_ANY, &port);
    assert_int_equal(env_merge(e, &q, host, &r), -1); /* another type */
    assert_int_equal(r.err, EINVAL);

    host = host_socket(SOCK_DGRAM, INADDR_LOOPBACK, &port);
    q.local = env_addr4("127.0.0.1", port);
    assert_int_equal(env_merge(e, &q, host, &r), -1); /* no wildcard */
    assert_int_equal(r.err, EINVAL);

    assert_int_equal(pipe(p), 0);
    q = merge_of(SOCK_DGRAM, 1);
    assert_int_equal(env_merge(e, &q, p[0], &r), -1);
    assert_int_equal(r.err, EINVAL);
    assert_int_equal(fcntl(p[0], F_GETFD), -1);
    close(p[1]);
    assert_int_equal(env_merge(e, &q, -1, &r), -1); /* none was sent along */
    assert_int_equal(r.err, EINVAL);
}

static void datagrams_of_both_sides(void **state)
{
    struct env *e = *state;
    struct zt_ctl_dgram h, to = {.type = ZT_DGRAM_DATA};
    struct zt_ctl_rep r, v;
    struct sockaddr_in a;
    uint16_t port = 0, other_port = 0, closed = 0;
    int host = host_socket(SOCK_DGRAM, INADDR_ANY, &port), one = 1, fd, other, peer;
    struct zt_ctl_req q = merge_of(SOCK_DGRAM, port);
    char in[16];

    assert_int_equal(setsockopt(host, IPPROTO_IP, IP_RECVERR, &one, sizeof one), 0);
    fd = env_merge(e, &q, host, &r);
    assert_int_equal(r.err, 0);

    other = host_socket(SOCK_DGRAM, INADDR_LOOPBACK, &other_port);
    a = in4(INADDR_LOOPBACK, port);
    assert_int_equal(sendto(other, "from host", 9, 0, (struct sockaddr *)&a, sizeof a), 9);
    assert_int_equal(env_recv(fd, &h, in, sizeof in), 9);
    assert_int_not_equal(h.host_ifindex, 0);
    assert_int_equal(h.remote.port, other_port);
    assert_int_equal(h.lip[0], 127);
    to.remote = h.remote; /* the answer goes out by the kernel */
    assert_true(env_send(fd, &to, "answer", 6) > 0);
    assert_int_equal(env_poll(other, POLLIN, ENV_MS), POLLIN);
    assert_int_equal(recv(other, in, sizeof in, 0), 6);

    peer = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &v);
    to.remote = env_addr4("10.1.0.2", port);
    assert_true(env_send(peer, &to, "from net", 8) > 0);
    assert_int_equal(env_recv(fd, &h, in, sizeof in), 8);
    assert_int_equal(h.host_ifindex, 0);
    assert_int_equal(h.remote.ip[0], 10);
    to.remote = h.remote;
    assert_true(env_send(fd, &to, "answer", 6) > 0);
    assert_int_equal(env_recv(peer, &h, in, sizeof in), 6);

    /* nobody takes it: told, once, and the loop rests afterwards */
    close(host_socket(SOCK_DGRAM, INADDR_LOOPBACK, &closed));
    to.remote = env_addr4("127.0.0.1", closed);
    assert_true(env_send(fd, &to, "lost", 4) > 0);
    assert_int_equal(env_recv(fd, &h, in, sizeof in), 0);
    assert_int_equal(h.type, ZT_DGRAM_ERROR);
    assert_int_equal(h.err, ECONNREFUSED);
    assert_int_equal(h.remote.port, closed);
    assert_true(env_rests(e, 100, 20));
    assert_int_equal(env_poll(fd, POLLIN, 0), 0);
    /* sent back, it comes again */
    assert_true(env_send(fd, &h, NULL, 0) > 0);
    assert_int_equal(env_recv(fd, &h, in, sizeof in), 0);
    assert_int_equal(h.type, ZT_DGRAM_ERROR);
    assert_int_equal(h.err, ECONNREFUSED);

    close(fd);
    close(peer);
    close(other);
    until_free(SOCK_DGRAM, port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(listener_of_both_sides, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(others_are_refused, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(datagrams_of_both_sides, env_setup, env_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
