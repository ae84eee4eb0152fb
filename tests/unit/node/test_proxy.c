/* Virtual sockets end to end: programs' descriptors used with ordinary calls, real lwIP between. */
#include "env.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOTH_ENDS (POLLIN | POLLOUT | POLLRDHUP)

static int setup(void **state)
{
    struct env *e = calloc(1, sizeof *e);

    env_start(e);
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct env *e = *state;

    env_stop(e);
    free(e);
    return 0;
}

static void until_idle(struct env *e)
{
    struct zt_proxy_counts c;

    for (int i = 0; i < ENV_MS / 2; i++) {
        env_counts(e, &c);
        if (!c.tcp && !c.listeners && !c.udp)
            break;
        usleep(2000);
    }
    assert_int_equal(c.tcp, 0);
    assert_int_equal(c.listeners, 0);
    assert_int_equal(c.udp, 0);
    assert_int_equal(c.memory, 0);
}

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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e); /* both directions are over: nothing is kept for it */
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
    fd = env_connect(e, l.local, &c);
    assert_int_equal(env_phase(e, c.id, ZT_PHASE_FAILED), ZT_PHASE_FAILED);
    close(fd);
    lfd = env_listen(e, env_addr4("10.1.0.2", 7777), 16, &l); /* and the port is free again */
    close(lfd);
    until_idle(e);
}

static int bind_with(struct env *e, struct zt_ctl_addr at, int type, int name, struct zt_ctl_rep *r)
{
    struct zt_ctl_req q = {
        .type = ZT_CTL_BIND, .stype = (uint8_t)type, .local = at, .nopts = 1, .family = AF_INET};

    q.opts[0] = (struct zt_ctl_opt){SOL_SOCKET, name, 1};
    return env_request(e, &q, r, NULL);
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
    fd[2] = bind_with(e, env_addr4("10.1.0.1", 5001), SOCK_STREAM, SO_REUSEADDR, &a);
    fd[3] = bind_with(e, env_addr4("10.1.0.1", 5001), SOCK_STREAM, SO_REUSEADDR, &b);
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
    until_idle(e);
}

struct rebind {
    struct env *e;
    int fd;
    struct zt_ctl_rep r;
};

/* Within one turn of the loop, so that the close can't have been noticed before the bind. */
static void close_and_bind(void *arg)
{
    struct rebind *b = arg;
    struct zt_ctl_req q = {.version = ZT_CTL_VERSION,
                           .type = ZT_CTL_BIND,
                           .stype = SOCK_STREAM,
                           .family = AF_INET,
                           .local = env_addr4("10.1.0.1", 5002)};
    static uint8_t data[ZT_CTL_REPLY_DATA];

    close(b->fd);
    zt_proxy_request(b->e->proxy, &q, &b->r, data, &b->fd);
}

static void a_closed_listener_frees_its_port_at_once(void **state)
{
    struct env *e = *state;
    struct rebind b = {.e = e};

    b.fd = env_listen(e, env_addr4("10.1.0.1", 5002), 4, &b.r);
    assert_int_equal(zt_loop_call(e->loop, close_and_bind, &b), 0);
    assert_int_equal(b.r.err, 0);
    assert_true(b.fd >= 0);
    close(b.fd);
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
        int afd = env_accept(lfd, &a);
        assert_true(afd >= 0);
        close(afd);
        assert_true(env_poll(fd[i], POLLOUT, 0) == 0 || !(env_poll(fd[i], 0, 0) & POLLERR));
    }
    for (int i = 0; i < 600; i++)
        close(fd[i]);
    close(lfd);
    until_idle(e);
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
        lfd[i] = bind_with(e, at, SOCK_STREAM, SO_REUSEPORT, &r);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
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
    until_idle(e);
    env_stop(e);
    free(e);
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

/* Datagrams */

static ssize_t send_as(int fd, const struct zt_ctl_dgram *h, const void *p, size_t n)
{
    struct iovec iov[2] = {{(void *)h, sizeof *h}, {(void *)p, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static ssize_t udp_send(int fd, struct zt_ctl_addr to, const void *p, size_t n)
{
    return send_as(fd, &(struct zt_ctl_dgram){.type = ZT_DGRAM_DATA, .remote = to}, p, n);
}

static ssize_t udp_recv(int fd, struct zt_ctl_dgram *h, void *p, size_t n)
{
    struct iovec iov[2] = {{h, sizeof *h}, {p, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t k;

    if (!(env_poll(fd, POLLIN, ENV_MS) & POLLIN))
        return -1;
    k = recvmsg(fd, &m, MSG_DONTWAIT);
    return k < (ssize_t)sizeof *h ? -1 : k - (ssize_t)sizeof *h;
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
    assert_true(udp_send(x, to, "one", 3) > 0);
    assert_true(udp_send(x, to, "", 0) > 0);
    assert_true(udp_send(x, to, big, sizeof big) > 0);
    assert_int_equal(udp_recv(y, &h, in, sizeof in), 3);
    assert_int_equal(h.remote.port, a.local.port);
    assert_memory_equal(h.remote.ip, a.local.ip, 16);
    assert_int_equal(h.lfamily, 4);
    assert_memory_equal(h.lip, to.ip, 4);
    assert_int_equal(h.ttl, 64);
    assert_int_equal(udp_recv(y, &h, in, sizeof in), 0);
    assert_int_equal(udp_recv(y, &h, in, sizeof in), sizeof big);
    assert_memory_equal(in, big, sizeof big);
    assert_true(udp_send(y, h.remote, "back", 4) > 0);
    assert_int_equal(udp_recv(x, &h, in, sizeof in), 4);
    assert_true(udp_send(x, none, "?", 1) > 0);
    assert_int_equal(udp_recv(x, &h, in, sizeof in), 0);
    assert_int_equal(h.type, ZT_DGRAM_ERROR);
    assert_int_equal(h.err, EDESTADDRREQ);
    close(x);
    close(y);
    until_idle(e);
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
        assert_true(udp_send(fd, none, "x", 1) > 0);
        assert_int_equal(udp_recv(fd, &h, in, sizeof in), 0);
        assert_int_equal(h.type, ZT_DGRAM_ERROR);
        assert_int_equal(h.err, ECONNREFUSED);
        if (v6) { /* lwIP would send what is in no network to the only interface there is */
            assert_true(udp_send(fd, env_addr6("fd00:99::1", 9), "x", 1) > 0);
            assert_int_equal(udp_recv(fd, &h, in, sizeof in), 0);
            assert_int_equal(h.type, ZT_DGRAM_ERROR);
            assert_int_equal(h.err, ENETUNREACH);
        }
        q.id = r.id; /* dissolve: now nobody is asked */
        memset(&q.remote, 0, sizeof q.remote);
        env_request(e, &q, &r, NULL);
        assert_int_equal(r.err, 0);
        assert_true(
            udp_send(fd, v6 ? env_addr6("fd00:1::2", 9) : env_addr4("10.1.0.2", 9), "x", 1) > 0);
        assert_int_equal(env_poll(fd, POLLIN, 100), 0);
        close(fd);
    }
    until_idle(e);
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
    assert_true(udp_send(y, none, "hi", 2) > 0);
    assert_int_equal(udp_recv(x, &h, in, sizeof in), 2);
    assert_true(udp_send(z, h.remote, "stranger", 8) > 0);
    assert_true(udp_send(x, h.remote, "friend", 6) > 0);
    assert_int_equal(udp_recv(y, &h, in, sizeof in), 6);
    assert_int_equal(env_poll(y, POLLIN, 50), 0);
    close(x);
    close(y);
    close(z);
    until_idle(e);
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
    int first = bind_with(e, at, SOCK_DGRAM, SO_REUSEADDR, &a), second;
    int client = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &c);
    int other = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &d);

    q.id = a.id;
    q.remote = c.local;
    env_request(e, &q, &r, NULL);
    assert_int_equal(r.err, 0);
    second = bind_with(e, at, SOCK_DGRAM, SO_REUSEADDR, &b);
    assert_int_equal(b.err, 0);
    assert_true(udp_send(client, at, "1", 1) > 0);
    assert_true(udp_send(other, at, "22", 2) > 0);
    assert_int_equal(udp_recv(first, &h, in, sizeof in), 1);
    assert_int_equal(udp_recv(second, &h, in, sizeof in), 2);
    assert_int_equal(env_poll(first, POLLIN, 20), 0);
    close(first);
    close(second);
    close(client);
    close(other);
    until_idle(e);
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
        server[i] = bind_with(e, at, SOCK_DGRAM, SO_REUSEPORT, &r);
        assert_int_equal(r.err, 0);
    }
    for (int i = 0; i < 40; i++) {
        client[i] = env_bind(e, env_addr4("10.1.0.1", 0), SOCK_DGRAM, &r);
        assert_true(udp_send(client[i], at, &(char){(char)i}, 1) > 0);
        assert_true(udp_send(client[i], at, &(char){(char)i}, 1) > 0);
    }
    for (int k = 0; k < 2 * ENV_MS / 200 && got[0] + got[1] < 40; k++)
        while (env_poll(server[k & 1], POLLIN, 200)) {
            assert_int_equal(udp_recv(server[k & 1], &h, in, sizeof in), 1);
            assert_int_equal(udp_recv(server[k & 1], &h, in + 1, sizeof in - 1), 1);
            assert_int_equal(in[0], in[1]);
            got[k & 1]++;
        }
    assert_int_equal(got[0] + got[1], 40);
    assert_in_range(got[0], 2, 38); /* by chance */
    close(server[0]);
    for (int i = 0; i < 40; i++) {
        assert_true(udp_send(client[i], at, "x", 1) > 0);
        assert_int_equal(udp_recv(server[1], &h, in, sizeof in), 1);
        close(client[i]);
    }
    close(server[1]);
    until_idle(e);
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
        assert_true(send_as(x, &h, "one ", 4) > 0);
        assert_int_equal(env_poll(y, POLLIN, 50), 0);
        h = (struct zt_ctl_dgram){.type = ZT_DGRAM_DATA}; /* the first one's counts */
        assert_true(send_as(x, &h, "two", 3) > 0);
        assert_int_equal(udp_recv(y, &h, in, sizeof in), 7);
        assert_memory_equal(in, "one two", 7);
    }
    h = (struct zt_ctl_dgram){.type = ZT_DGRAM_MORE, .remote = b.local};
    assert_true(send_as(x, &h, big, sizeof big) > 0);
    assert_true(send_as(x, &h, big, sizeof big) > 0); /* too much: all of it is gone */
    assert_int_equal(udp_recv(x, &h, in, sizeof in), 0);
    assert_int_equal(h.type, ZT_DGRAM_ERROR);
    assert_int_equal(h.err, EMSGSIZE);
    assert_true(udp_send(x, b.local, "new", 3) > 0);
    assert_int_equal(udp_recv(y, &h, in, sizeof in), 3);
    h = (struct zt_ctl_dgram){.type = ZT_DGRAM_MORE, .remote = b.local};
    assert_true(send_as(x, &h, "never", 5) > 0); /* closed with a beginning in hand */
    close(x);
    close(y);
    until_idle(e);
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
    assert_true(udp_send(out, group, "all", 3) > 0);
    assert_int_equal(udp_recv(fd, &h, in, sizeof in), 3); /* IP_MULTICAST_LOOP is on by default */
    assert_memory_equal(h.lip, group.ip, 4);
    close(fd);
    close(out);
    until_idle(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connect_gives_an_edge, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_looks_like_tcp, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(no_route_is_told_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(early_close_ends_the_attempt, setup, teardown),
        cmocka_unit_test_setup_teardown(bulk_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(half_close_leaves_the_other_half, setup, teardown),
        cmocka_unit_test_setup_teardown(data_before_close_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(close_with_unread_resets, setup, teardown),
        cmocka_unit_test_setup_teardown(data_before_a_reset_is_readable, setup, teardown),
        cmocka_unit_test_setup_teardown(kill_is_close, setup, teardown),
        cmocka_unit_test_setup_teardown(back_pressure_stops_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(listener_queues_300, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_the_listener_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(bind_conflicts_as_in_linux, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_listener_frees_its_port_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(connect_from_a_bound_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(two_hundred_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_listener_lets_clients_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(reuseport_shares_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(reuseport_shares_flows, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_make_one_datagram, setup, teardown),
        cmocka_unit_test_setup_teardown(options_and_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(without_descriptors, setup, teardown),
        cmocka_unit_test(tight_memory),
        cmocka_unit_test(the_end_of_the_node_resets),
        cmocka_unit_test_setup_teardown(datagrams_keep_boundaries, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_datagram_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(connected_datagrams_are_filtered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connected_datagram_socket_shares_its_port, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(multicast_membership, setup, teardown),
    };
    struct rlimit nofile;

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &nofile);
    nofile.rlim_cur = nofile.rlim_max < 4096 ? nofile.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &nofile);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
