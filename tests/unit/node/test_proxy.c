/* Streams end to end: programs' descriptors used with ordinary calls, real lwIP between. */
#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/fork.h"
#include "node/proxy_int.h"

#define BOTH_ENDS (POLLIN | POLLOUT | POLLRDHUP)

/* Two, when the scheduler lets us look while the node reads the filler away: harmless, as with TCP. */
static void connect_gives_an_edge(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep l, c;
    struct zt_ctl_accept a;
    struct sockaddr_un name = {0};
    socklen_t n = sizeof name;
    struct epoll_event ev = {.events = EPOLLOUT | EPOLLET};
    int lfd = env_listen(e, env_addr4("10.1.0.2", 8080), 5, &l);
    int ep = epoll_create1(EPOLL_CLOEXEC), fd, afd, edges = 0;

    assert_int_equal(l.local.port, 8080);
    assert_int_equal(env_poll(lfd, POLLIN | POLLOUT | POLLRDHUP, 0),
                     0); /* idle listener: nothing */
    fd = env_connect(e, l.local, &c);
    assert_int_equal(c.err, 0);
    assert_int_equal(c.local.family, 4);
    assert_true(c.local.port >= 16384);
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    while (epoll_wait(ep, &ev, 1, edges ? 200 : ENV_MS) == 1) {
        assert_int_equal(env_slot(e, c.id).phase, ZT_PHASE_CONNECTED); /* none comes before */
        edges++;
    }
    assert_in_range(edges, 1, 2);
    assert_int_equal(env_phase(e, c.id, ZT_PHASE_CONNECTED), ZT_PHASE_CONNECTED);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &n), 0);
    assert_memory_equal(name.sun_path, "\0zt1.", 5);
    assert_int_equal(name.sun_path[38], 't');
    afd = env_accept(lfd, &a);
    assert_true(afd >= 0);
    assert_int_equal(a.remote.port, c.local.port);
    assert_int_equal(a.local.port, 8080);
    assert_int_equal(write(fd, "hello", 5), 5);
    assert_int_equal(env_poll(afd, POLLIN, ENV_MS), POLLIN);
    close(ep);
    close(fd);
    close(afd);
    close(lfd);
    env_until_idle(e);
}

static void refused_looks_like_tcp(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep c;
    int fd = env_connect(e, env_addr4("10.1.0.2", 9), &c);

    assert_int_equal(c.err, 0);
    assert_int_equal(env_phase(e, c.id, ZT_PHASE_FAILED), ZT_PHASE_FAILED);
    assert_int_equal(env_slot(e, c.id).err, ECONNREFUSED);
    assert_int_equal(env_poll_until(fd, BOTH_ENDS, BOTH_ENDS | POLLHUP | POLLERR), BOTH_ENDS | POLLHUP | POLLERR);
    close(fd);
    env_until_idle(e);
}

static void silence_times_out(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep c;
    int fd = env_connect(e, env_addr4("10.1.0.99", 80), &c);

    assert_int_equal(c.err, 0);
    assert_int_equal(env_poll(fd, BOTH_ENDS, 50), 0);
    /* lwIP counts runs of its timer, so time has to pass tick by tick. */
    for (int i = 0; i < 8000 && env_slot(e, c.id).phase == ZT_PHASE_CONNECTING; i++)
        env_jump(e, 30);
    assert_int_equal(env_slot(e, c.id).phase, ZT_PHASE_FAILED);
    assert_int_equal(env_slot(e, c.id).err, ETIMEDOUT);
    close(fd);
    env_until_idle(e);
}

static void no_route_is_told_at_once(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep c;

    assert_int_equal(env_connect(e, env_addr4("192.0.2.1", 80), &c), -1);
    assert_int_equal(c.err, ENETUNREACH);
    assert_int_equal(env_bind(e, env_addr4("10.1.0.77", 80), SOCK_STREAM, &c), -1);
    assert_int_equal(c.err, EADDRNOTAVAIL);
}

static void early_close_ends_the_attempt(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep c;
    int fd = env_connect(e, env_addr4("10.1.0.99", 80), &c);

    close(fd);
    env_until_idle(e);
}

/* Bulk data */

#define BULK (64u << 20)

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)((at * 2654435761u) >> 13);
}

static void *writer(void *arg)
{
    int fd = *(int *)arg;
    static __thread uint8_t b[70000];
    uint64_t at = 0;
    unsigned seed = 7;

    while (at < BULK) {
        size_t n = (size_t)rand_r(&seed) % sizeof b + 1;
        ssize_t k;
        if (n > BULK - at)
            n = BULK - at;
        for (size_t i = 0; i < n; i++)
            b[i] = pattern(at + i);
        k = write(fd, b, n);
        if (k <= 0)
            break;
        at += (uint64_t)k;
    }
    shutdown(fd, SHUT_WR);
    return at == BULK ? NULL : arg;
}

static uint64_t check_stream(int fd)
{
    static __thread uint8_t b[100000];
    uint64_t at = 0;
    ssize_t n;

    while ((n = read(fd, b, sizeof b)) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            if (b[i] != pattern(at))
                return at;
    return n == 0 ? at : 0;
}

static void *reader(void *arg)
{
    return check_stream(*(int *)arg) == BULK ? NULL : arg;
}

static void bulk_both_ways(void **state)
{
    struct env *e = *state;
    pthread_t t[4];
    uint64_t id[2];
    void *bad;
    int fd[2];

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    for (int i = 0; i < 2; i++) {
        pthread_create(&t[i], NULL, writer, &fd[i]);
        pthread_create(&t[2 + i], NULL, reader, &fd[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &bad);
        assert_null(bad);
    }
    close(fd[0]);
    close(fd[1]);
    env_until_idle(e);
}

static void half_close_leaves_the_other_half(void **state)
{
    struct env *e = *state;
    uint64_t id[2];
    char b[16];
    int fd[2];

    env_connected(e, env_addr6("fd00:1::2", 0), fd, id);
    assert_int_equal(write(fd[0], "request", 7), 7);
    shutdown(fd[0], SHUT_WR);
    assert_int_equal(env_phase(e, id[1], ZT_PHASE_FIN), ZT_PHASE_FIN);
    assert_int_equal(read(fd[1], b, sizeof b), 7);
    assert_int_equal(read(fd[1], b, sizeof b), 0);
    assert_int_equal(env_poll(fd[1], BOTH_ENDS, 0), BOTH_ENDS);
    assert_int_equal(write(fd[1], "answer", 6), 6);
    assert_int_equal(env_poll(fd[0], POLLIN, ENV_MS), POLLIN);
    assert_int_equal(read(fd[0], b, sizeof b), 6);
    shutdown(fd[1], SHUT_WR);
    assert_int_equal(read(fd[0], b, sizeof b), 0);
    env_until_idle(e); /* both directions are over: nothing is kept for it */
    close(fd[0]);
    close(fd[1]);
}

static void data_before_close_arrives(void **state)
{
    struct env *e = *state;
    static char out[150000], in[150000];
    uint64_t id[2];
    size_t got = 0;
    ssize_t n;
    int fd[2];

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    memset(out, 'x', sizeof out);
    assert_int_equal(write(fd[0], out, sizeof out), sizeof out);
    close(fd[0]);
    while ((n = read(fd[1], in, sizeof in)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(got, sizeof out);
    assert_int_equal(env_slot(e, id[1]).phase, ZT_PHASE_FIN);
    assert_int_equal(write(fd[1], "x", 1), 1); /* as TCP: the first write succeeds */
    assert_int_equal(env_phase(e, id[1], ZT_PHASE_RESET), ZT_PHASE_RESET);
    assert_int_equal(env_slot(e, id[1]).err, EPIPE); /* reading had ended well before */
    close(fd[1]);
    env_until_idle(e);
}

static void close_with_unread_resets(void **state)
{
    struct env *e = *state;
    uint64_t id[2];
    char b[8];
    int fd[2];

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    assert_int_equal(write(fd[0], "unread", 6), 6);
    assert_int_equal(env_poll(fd[1], POLLIN, ENV_MS), POLLIN);
    close(fd[1]);
    assert_int_equal(env_phase(e, id[0], ZT_PHASE_RESET), ZT_PHASE_RESET);
    assert_int_equal(env_slot(e, id[0]).err, ECONNRESET);
    for (int i = 0; i < ENV_MS / 2 && !(env_poll(fd[0], 0, 0) & POLLHUP); i++)
        usleep(2000);
    assert_true(read(fd[0], b, sizeof b) <= 0);
    assert_int_equal(send(fd[0], "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    close(fd[0]);
    env_until_idle(e);
}

static void data_before_a_reset_is_readable(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req note = {.type = ZT_CTL_NOTE, .value = ZT_NOTE_RESET_ON_CLOSE};
    struct zt_ctl_rep r;
    uint64_t id[2];
    char b[8];
    int fd[2];

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    note.id = id[1];
    env_request(e, &note, &r, NULL);
    assert_int_equal(write(fd[1], "last", 4), 4);
    assert_int_equal(env_poll(fd[0], POLLIN, ENV_MS), POLLIN);
    close(fd[1]); /* SO_LINGER {1, 0} */
    assert_int_equal(env_phase(e, id[0], ZT_PHASE_RESET), ZT_PHASE_RESET);
    assert_int_equal(read(fd[0], b, sizeof b), 4);
    close(fd[0]);
    env_until_idle(e);
}

static void kill_is_close(void **state)
{
    struct env *e = *state;
    uint64_t id[2];
    char b[8];
    int fd[2], status;
    pid_t pid;

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    pid = fork();
    if (pid == 0) {
        (void)!write(fd[0], "alive", 5);
        pause();
        _exit(1);
    }
    close(fd[0]); /* the child holds the last copy */
    assert_int_equal(env_poll(fd[1], POLLIN, ENV_MS), POLLIN);
    assert_int_equal(read(fd[1], b, sizeof b), 5);
    assert_int_equal(env_poll(fd[1], POLLIN, 50), 0);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_int_equal(env_poll(fd[1], POLLIN, ENV_MS), POLLIN);
    assert_int_equal(read(fd[1], b, sizeof b), 0);
    close(fd[1]);
    env_until_idle(e);
}

/* The program reads nothing: the peer must come to a stop, and go on when it reads. */
static void back_pressure_stops_the_writer(void **state)
{
    struct env *e = *state;
    struct zt_proxy_counts c;
    static char b[65536];
    uint64_t id[2], sent = 0, got = 0;
    int fd[2];
    ssize_t n;

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    for (int idle = 0; idle < 20;) {
        n = send(fd[0], b, sizeof b, MSG_DONTWAIT);
        if (n > 0)
            sent += (uint64_t)n;
        idle = n > 0 ? 0 : idle + 1;
        if (n < 0) {
            env_counts(e, &c); /* the loop has had its turn since */
            usleep(10000);
        }
        assert_true(sent < 32u << 20);
    }
    env_counts(e, &c);
    assert_true(c.memory > 0);
    assert_int_equal(env_poll(fd[0], POLLOUT, 0), 0);
    shutdown(fd[0], SHUT_WR);
    while ((n = read(fd[1], b, sizeof b)) > 0)
        got += (uint64_t)n;
    assert_int_equal(got, sent);
    close(fd[0]);
    close(fd[1]);
    env_until_idle(e);
}

static void listener_queues_300(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep l, c;
    struct zt_ctl_accept a;
    int lfd = env_listen(e, env_addr4("0.0.0.0", 0), 511, &l), fd[300];
    unsigned seen = 0;

    for (int i = 0; i < 300; i++) {
        struct zt_ctl_addr to = env_addr4(i & 1 ? "10.1.0.1" : "10.1.0.2", l.local.port);
        fd[i] = env_connect(e, to, &c);
        assert_int_equal(c.err, 0);
    }
    for (int i = 0; i < 300; i++)
        assert_int_equal(env_poll(fd[i], POLLOUT, ENV_MS), POLLOUT);
    for (int i = 0; i < 300; i++) {
        int afd = env_accept(lfd, &a);
        assert_true(afd >= 0);
        assert_int_equal(write(afd, "x", 1), 1);
        close(afd);
    }
    for (int i = 0; i < 300; i++) {
        char b[2];
        seen += read(fd[i], b, sizeof b) == 1;
        close(fd[i]);
    }
    assert_int_equal(seen, 300);
    close(lfd);
    env_until_idle(e);
}

static void closing_the_listener_ends_it(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep l, c;
    int lfd = env_listen(e, env_addr4("10.1.0.2", 7777), 16, &l);
    int waiting = env_connect(e, l.local, &c), fd;

    assert_int_equal(env_poll(waiting, POLLOUT, ENV_MS), POLLOUT);
    assert_int_equal(write(waiting, "x", 1), 1);
    assert_int_equal(env_poll(lfd, POLLIN, ENV_MS), POLLIN);
    close(lfd);
    assert_true(env_poll(waiting, POLLIN, ENV_MS) & POLLIN); /* end of file or reset */
    close(waiting);
    env_until_idle(e);
    fd = env_connect(e, l.local, &c);
    assert_int_equal(env_phase(e, c.id, ZT_PHASE_FAILED), ZT_PHASE_FAILED);
    close(fd);
    lfd = env_listen(e, env_addr4("10.1.0.2", 7777), 16, &l); /* and the port is free again */
    close(lfd);
    env_until_idle(e);
}

static void bind_conflicts_as_in_linux(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req listen_req = {.type = ZT_CTL_LISTEN, .value = 1};
    struct zt_ctl_rep r, a, b;
    int fd[4];

    fd[0] = env_bind(e, env_addr4("10.1.0.1", 5000), SOCK_STREAM, &r);
    assert_int_equal(r.err, 0);
    fd[1] = env_bind(e, env_addr4("10.1.0.2", 5000), SOCK_STREAM, &r);
    assert_int_equal(r.err, 0);
    assert_int_equal(env_bind(e, env_addr4("10.1.0.2", 5000), SOCK_STREAM, &r), -1);
    assert_int_equal(r.err, EADDRINUSE);
    assert_int_equal(env_bind(e, env_addr4("0.0.0.0", 5000), SOCK_STREAM, &r), -1);
    assert_int_equal(r.err, EADDRINUSE);
    assert_int_equal(env_bind(e, env_addr6("::", 5000), SOCK_STREAM, &r), -1);
    assert_int_equal(r.err, EADDRINUSE);
    fd[2] = env_bind_with(e, env_addr4("10.1.0.1", 5001), SOCK_STREAM, SO_REUSEADDR, &a);
    fd[3] = env_bind_with(e, env_addr4("10.1.0.1", 5001), SOCK_STREAM, SO_REUSEADDR, &b);
    assert_int_equal(a.err, 0);
    assert_int_equal(b.err, 0);
    listen_req.id = a.id;
    env_request(e, &listen_req, &r, NULL);
    assert_int_equal(r.err, 0);
    listen_req.id = b.id;
    env_request(e, &listen_req, &r, NULL);
    assert_int_equal(r.err, EADDRINUSE);
    for (int i = 0; i < 4; i++)
        close(fd[i]);
    env_until_idle(e);
}

struct rebind {
    struct env *e;
    int fd;
    struct zt_ctl_req q;
    struct zt_ctl_rep r;
};

/* Within one turn of the loop, so that the close can't have been noticed before. */
static void close_and_request(void *arg)
{
    struct rebind *b = arg;
    static uint8_t data[ZT_CTL_REPLY_DATA];

    close(b->fd);
    zt_proxy_request(b->e->proxy, &b->q, &b->r, data, &b->fd);
}

static void a_closed_listener_frees_its_port_at_once(void **state)
{
    struct env *e = *state;
    struct rebind b = {.e = e};

    b.fd = env_listen(e, env_addr4("10.1.0.1", 5002), 4, &b.r);
    b.q = (struct zt_ctl_req){.version = ZT_CTL_VERSION, .type = ZT_CTL_BIND, .stype = SOCK_STREAM,
                              .family = AF_INET, .local = b.r.local};
    assert_int_equal(zt_loop_call(e->loop, close_and_request, &b), 0);
    assert_int_equal(b.r.err, 0);
    assert_true(b.fd >= 0);
    close(b.fd);
    env_until_idle(e);
}

static void a_closed_listener_refuses_at_once(void **state)
{
    struct env *e = *state;
    struct rebind b = {.e = e};

    b.fd = env_listen(e, env_addr4("10.1.0.1", 5003), 4, &b.r);
    b.q = (struct zt_ctl_req){.version = ZT_CTL_VERSION, .type = ZT_CTL_CONNECT, .stype = SOCK_STREAM,
                              .family = AF_INET, .remote = b.r.local};
    assert_int_equal(zt_loop_call(e->loop, close_and_request, &b), 0);
    assert_int_equal(b.r.err, 0);
    assert_int_equal(env_phase(e, b.r.id, ZT_PHASE_FAILED), ZT_PHASE_FAILED);
    assert_int_equal(env_slot(e, b.r.id).err, ECONNREFUSED);
    close(b.fd);
    env_until_idle(e);
}

static void connect_from_a_bound_socket(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_CONNECT, .stype = SOCK_STREAM, .family = AF_INET};
    struct zt_ctl_rep l, b, c;
    struct zt_ctl_accept a;
    int lfd = env_listen(e, env_addr6("::", 0), 16, &l); /* both families */
    int bfd = env_bind(e, env_addr4("10.1.0.1", 4321), SOCK_STREAM, &b), fd, afd;

    q.id = b.id;
    q.remote = env_addr4("10.1.0.2", l.local.port);
    fd = env_request(e, &q, &c, NULL);
    assert_int_equal(c.err, 0);
    assert_int_equal(c.local.port, 4321);
    afd = env_accept(lfd, &a);
    assert_int_equal(a.remote.port, 4321);
    assert_int_equal(a.remote.family, 4);
    assert_memory_equal(a.remote.ip, q.remote.ip, 3);
    assert_int_equal(env_request(e, &q, &c, NULL), -1); /* the same pair of addresses again */
    assert_int_equal(c.err, EADDRNOTAVAIL);
    close(bfd);
    close(fd);
    close(afd);
    close(lfd);
    env_until_idle(e);
}

static void two_hundred_at_once(void **state)
{
    struct env *e = *state;
    int fd[200][2];
    uint64_t id[2];

    for (int i = 0; i < 200; i++)
        env_connected(e, env_addr4("10.1.0.2", 0), fd[i], id);
    for (int i = 0; i < 200; i++)
        assert_int_equal(write(fd[i][i & 1], &i, sizeof i), sizeof i);
    for (int i = 0; i < 200; i++) {
        int v = -1;
        assert_int_equal(read(fd[i][!(i & 1)], &v, sizeof v), sizeof v);
        assert_int_equal(v, i);
    }
    for (int i = 0; i < 200; i++) {
        close(fd[i][0]);
        close(fd[i][1]);
    }
    env_until_idle(e);
}

/* epoll repeats a hang-up for as long as it lasts: in none of these states may that turn the loop.
 */
static void waiting_costs_nothing(void **state)
{
    struct env *e = *state;
    static char b[65536];
    struct zt_ctl_rep l, c;
    uint64_t id[2];
    int fd[5][2], lfd, queued;

    for (int i = 0; i < 5; i++)
        env_connected(e, env_addr4("10.1.0.2", 0), fd[i], id);
    shutdown(fd[1][0], SHUT_WR);
    shutdown(fd[2][0], SHUT_RD);
    while (send(fd[3][0], b, sizeof b, MSG_DONTWAIT) > 0 || env_poll(fd[3][0], POLLOUT, 300))
        ;
    (void)send(fd[3][0], "!", 1, MSG_OOB | MSG_DONTWAIT);
    while (send(fd[4][0], b, sizeof b, MSG_DONTWAIT) > 0 || env_poll(fd[4][0], POLLOUT, 300))
        ;
    close(fd[4][0]); /* gone, and its data can't leave */
    lfd = env_listen(e, env_addr4("10.1.0.2", 0), 4, &l);
    queued = env_connect(e, l.local, &c);
    assert_int_equal(env_poll(queued, POLLOUT, ENV_MS), POLLOUT);
    assert_true(env_rests(e, 400, 60)); /* the stack's own timer runs every 25 ms */
    for (int i = 0; i < 5; i++) {
        if (i != 4)
            close(fd[i][0]);
        close(fd[i][1]);
    }
    close(queued);
    close(lfd);
    env_until_idle(e);
}

static void a_full_listener_lets_clients_wait(void **state)
{
    struct env *e = *state;
    struct zt_ctl_rep l, c;
    struct zt_ctl_accept a;
    int lfd = env_listen(e, env_addr4("10.1.0.2", 0), 1, &l), fd[600];
    unsigned up = 0;

    for (int i = 0; i < 600; i++) {
        fd[i] = env_connect(e, l.local, &c);
        assert_int_equal(c.err, 0);
    }
    for (int k = 0; k < ENV_MS / 200 && up < 100; k++) {
        usleep(200000);
        up = 0;
        for (int i = 0; i < 600; i++)
            up += env_poll(fd[i], POLLOUT, 0) == POLLOUT;
    }
    assert_in_range(up, 100, 599); /* not all fit, and nobody was refused */
    for (int i = 0; i < 600; i++) {
        assert_true(env_poll(lfd, POLLIN, 60000)); /* a client that came at bad moments tries after 1, 3, 7, 15 s */
        int afd = env_accept(lfd, &a);
        assert_true(afd >= 0);
        close(afd);
        assert_true(env_poll(fd[i], POLLOUT, 0) == 0 || !(env_poll(fd[i], 0, 0) & POLLERR));
    }
    for (int i = 0; i < 600; i++)
        close(fd[i]);
    close(lfd);
    env_until_idle(e);
}

static void reuseport_shares_connections(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_LISTEN, .value = 64};
    struct zt_ctl_addr at = env_addr4("10.1.0.2", 8443);
    struct zt_ctl_accept a;
    struct zt_ctl_rep r, c;
    int lfd[2], fd[64], got[2] = {0, 0};

    for (int i = 0; i < 2; i++) {
        lfd[i] = env_bind_with(e, at, SOCK_STREAM, SO_REUSEPORT, &r);
        assert_int_equal(r.err, 0);
        q.id = r.id;
        env_request(e, &q, &r, NULL);
        assert_int_equal(r.err, 0);
    }
    for (int i = 0; i < 64; i++) {
        fd[i] = env_connect(e, at, &c);
        assert_int_equal(env_poll(fd[i], POLLOUT, ENV_MS), POLLOUT);
    }
    for (int k = 0; k < 2 * ENV_MS / 100 && got[0] + got[1] < 64; k++)
        while (env_poll(lfd[k & 1], POLLIN, 100)) {
            close(env_accept(lfd[k & 1], &a));
            got[k & 1]++;
        }
    assert_int_equal(got[0] + got[1], 64);
    assert_in_range(got[0], 5, 59); /* by chance; all to one side: 2^-63 */
    for (int i = 0; i < 64; i++)
        close(fd[i]);
    close(lfd[0]);
    close(lfd[1]);
    env_until_idle(e);
}

static void options_and_numbers(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_OPT_SET, .level = 6, .name = 1, .ndata = 4};
    struct zt_ctl_info info;
    uint8_t data[ZT_CTL_REPLY_DATA];
    struct zt_ctl_rep r;
    int32_t v = 1;
    uint64_t id[2];
    int fd[2];

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    q.id = id[0];
    memcpy(q.data, &v, 4);
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    q.type = ZT_CTL_OPT_GET;
    env_request(e, &q, &r, data);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.ndata, 4);
    assert_memory_equal(data, &v, 4);
    q.name = 2; /* TCP_MAXSEG follows the network's MTU of 2800 */
    env_request(e, &q, &r, data);
    memcpy(&v, data, 4);
    assert_in_range(v, 2700, 2760);
    q.name = 999;
    env_request(e, &q, &r, data);
    assert_int_equal(r.err, ENOPROTOOPT);
    q.type = ZT_CTL_INFO;
    env_request(e, &q, &r, data);
    memcpy(&info, data, sizeof info);
    assert_int_equal(info.state, 1); /* TCP_ESTABLISHED */
    assert_int_equal(r.remote.family, 4);
    q.id ^= 1ull << 40;
    env_request(e, &q, &r, data);
    assert_int_equal(r.err, EBADF);
    close(fd[0]);
    close(fd[1]);
    env_until_idle(e);
}

static void without_descriptors(void **state)
{
    struct env *e = *state;
    struct rlimit old, none;
    struct zt_ctl_rep c;

    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    assert_int_equal(env_connect(e, env_addr4("10.1.0.2", 80), &c), -1);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(c.err, EMFILE);
    env_until_idle(e);
}

/* A forked child closes what is the loop's: after the end that is nothing, and the numbers are the program's. */
static void descriptors_are_given_back(void **state)
{
    enum { MANY = 64 };
    struct env *e = calloc(1, sizeof *e);
    uint64_t id[2];
    int fd[2], own[MANY], status;

    (void)state;
    env_start(e);
    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    close(fd[0]);
    close(fd[1]);
    env_until_idle(e);
    env_stop(e);
    free(e);
    for (int i = 0; i < MANY; i++)
        own[i] = dup(2);
    pid_t pid = fork();
    if (pid == 0) {
        zt_fd_close_all();
        for (int i = 0; i < MANY; i++)
            if (fcntl(own[i], F_GETFD) < 0)
                _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < MANY; i++)
        close(own[i]);
}

/* With the memory budget used up everything slows down and still arrives. */
static void tight_memory(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    int fd[8][2];
    uint64_t id[2];
    pthread_t t[8];
    void *bad;

    (void)state;
    e->budget = 300000;
    env_start(e);
    for (int i = 0; i < 4; i++) {
        env_connected(e, env_addr4("10.1.0.2", 0), fd[i], id);
        pthread_create(&t[i], NULL, writer, &fd[i][0]);
    }
    usleep(100000);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[4 + i], NULL, reader, &fd[i][1]);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &bad);
        assert_null(bad);
    }
    for (int i = 0; i < 4; i++) {
        close(fd[i][0]);
        close(fd[i][1]);
    }
    env_until_idle(e);
    env_stop(e);
    free(e);
}

struct pieces {
    struct env *e;
    uint64_t id;
    unsigned n, bytes;
};

static void count_pieces(void *arg)
{
    struct pieces *c = arg;
    const struct zt_stream *st =
        (const struct zt_stream *)(const void *)zt_proxy_find(c->e->proxy, c->id);

    c->bytes = st->rx_bytes;
    for (const struct pbuf *q = st->rx; q; q = q->next)
        c->n++;
}

/* A peer that sends byte by byte to a program that doesn't read: what waits costs no more than its size
 * says. */
static void crumbs_are_swept_together(void **state)
{
    enum { CRUMBS = 2000 };
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_OPT_SET, .level = 6, .name = 1, .ndata = sizeof(int)};
    static char in[CRUMBS];
    struct zt_ctl_rep r;
    struct pieces c = {.e = e};
    uint64_t id[2];
    int fd[2], on = 1, unread = 1;

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    q.id = id[0];
    memcpy(q.data, &on, sizeof on); /* TCP_NODELAY */
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    for (int i = 0; i < CRUMBS; i++) {
        assert_int_equal(write(fd[0], &(char){(char)i}, 1), 1);
        for (unread = 1; unread;) { /* a segment of its own */
            assert_int_equal(ioctl(fd[0], SIOCOUTQ, &unread), 0);
            sched_yield();
        }
    }
    c.id = id[1];
    for (int i = 0; i < ENV_MS / 2 && c.bytes < CRUMBS / 2; i++) { /* the pair holds the rest */
        c.n = 0;
        assert_int_equal(zt_loop_call(e->loop, count_pieces, &c), 0);
        usleep(2000);
    }
    assert_in_range(c.bytes, CRUMBS / 2, CRUMBS);
    assert_in_range(c.n, 1, 2 + c.bytes / 1000);
    for (size_t n = 0; n < CRUMBS;) {
        assert_true(env_poll(fd[1], POLLIN, ENV_MS) & POLLIN);
        ssize_t k = read(fd[1], in + n, sizeof in - n);
        assert_true(k > 0);
        n += (size_t)k;
    }
    for (int i = 0; i < CRUMBS; i++)
        assert_int_equal(in[i], (char)i);
    close(fd[0]);
    close(fd[1]);
    env_until_idle(e);
}

static unsigned unread_by_node(int fd)
{
    int n = 0;

    assert_int_equal(ioctl(fd, SIOCOUTQ, &n), 0);
    return (unsigned)n;
}

/* TCP_CORK: nginx with tcp_nopush writes a header, then a long body. */
static void a_cork_holds_what_fills_no_segment(void **state)
{
    struct env *e = *state;
    struct zt_ctl_req q = {.type = ZT_CTL_OPT_SET, .level = 6, .name = 3, .ndata = sizeof(int)};
    static char out[20000], in[sizeof out];
    struct zt_ctl_rep r;
    uint64_t id[2];
    int fd[2], on = 1;
    size_t n = 0;

    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 7);
    q.id = id[0];
    memcpy(q.data, &on, sizeof on);
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    assert_int_equal(write(fd[0], out, 100), 100);
    for (int i = 0; i < ENV_MS && unread_by_node(fd[0]) > 0; i++)
        usleep(1000);
    assert_int_equal(unread_by_node(fd[0]), 0); /* it has it, and listens for more */
    bool came = env_poll(fd[1], POLLIN, 20) != 0;
    clock_gettime(CLOCK_MONOTONIC, &now); /* after 200 ms it may */
    assert_true(!came || (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 >= 150);
    assert_int_equal(write(fd[0], out + 100, sizeof out - 100), sizeof out - 100);
    while (n < sizeof out / 2) { /* at once, in whole segments */
        assert_true(env_poll(fd[1], POLLIN, ENV_MS) & POLLIN);
        ssize_t k = read(fd[1], in + n, sizeof in - n);
        assert_true(k > 0);
        n += (size_t)k;
    }
    memset(q.data, 0, sizeof on);
    env_request(e, &q, &r, NULL);
    while (n < sizeof out) { /* the rest comes when the cork is out, or after a while */
        assert_true(env_poll(fd[1], POLLIN, ENV_MS) & POLLIN);
        ssize_t k = read(fd[1], in + n, sizeof in - n);
        assert_true(k > 0);
        n += (size_t)k;
    }
    assert_memory_equal(in, out, sizeof out);

    memcpy(q.data, &on, sizeof on);
    env_request(e, &q, &r, NULL);
    assert_int_equal(write(fd[0], out, 10), 10);
    assert_true(env_poll(fd[1], POLLIN, ENV_MS) & POLLIN); /* not for ever */
    assert_int_equal(read(fd[1], in, sizeof in), 10);
    assert_int_equal(write(fd[0], out, 11), 11);
    close(fd[0]); /* and not beyond the end */
    assert_true(env_poll(fd[1], POLLIN, ENV_MS) & POLLIN);
    assert_int_equal(read(fd[1], in, sizeof in), 11);
    assert_true(env_poll(fd[1], POLLIN, ENV_MS) & POLLIN);
    assert_int_equal(read(fd[1], in, sizeof in), 0);
    close(fd[1]);
    env_until_idle(e);
}

static void the_end_of_the_node_resets(void **state)
{
    struct env *e = calloc(1, sizeof *e);
    const struct zt_state_head *head;
    struct zt_ctl_rep l;
    uint64_t id[2];
    char b[4];
    int fd[2], lfd;

    (void)state;
    env_start(e);
    head = zt_proxy_state(e->proxy);
    assert_int_equal(head->magic, ZT_STATE_MAGIC);
    assert_int_equal(head->stale, 0);
    lfd = env_listen(e, env_addr4("10.1.0.1", 0), 1, &l);
    env_connected(e, env_addr4("10.1.0.2", 0), fd, id);
    env_stop(e);
    free(e);
    assert_int_equal(read(fd[0], b, sizeof b), 0);
    assert_true(env_poll(lfd, POLLIN | POLLRDHUP, 0) & POLLHUP);
    close(fd[0]);
    close(fd[1]);
    close(lfd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connect_gives_an_edge, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(refused_looks_like_tcp, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(silence_times_out, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(no_route_is_told_at_once, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(early_close_ends_the_attempt, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(bulk_both_ways, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(half_close_leaves_the_other_half, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(data_before_close_arrives, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(close_with_unread_resets, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(data_before_a_reset_is_readable, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(kill_is_close, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(back_pressure_stops_the_writer, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(listener_queues_300, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(closing_the_listener_ends_it, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(bind_conflicts_as_in_linux, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_closed_listener_frees_its_port_at_once, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_closed_listener_refuses_at_once, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(connect_from_a_bound_socket, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(two_hundred_at_once, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(waiting_costs_nothing, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_full_listener_lets_clients_wait, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(reuseport_shares_connections, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(options_and_numbers, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(without_descriptors, env_setup, env_teardown),
        cmocka_unit_test(descriptors_are_given_back),
        cmocka_unit_test(tight_memory),
        cmocka_unit_test_setup_teardown(crumbs_are_swept_together, env_setup, env_teardown),
        cmocka_unit_test_setup_teardown(a_cork_holds_what_fills_no_segment, env_setup, env_teardown),
        cmocka_unit_test(the_end_of_the_node_resets),
    };
    struct rlimit nofile;

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &nofile);
    nofile.rlim_cur = nofile.rlim_max < 4096 ? nofile.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &nofile);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
