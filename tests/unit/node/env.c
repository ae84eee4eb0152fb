#include "env.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/info.h"

static void give_random(void *user, void *out, size_t n)
{
    (void)user;
    while (n) {
        ssize_t k = getrandom(out, n, 0);
        if (k > 0) {
            out = (char *)out + k;
            n -= (size_t)k;
        }
    }
}

static int lose_frame(void *user, uint64_t nwid, uint8_t *eth, size_t n)
{
    (void)nwid;
    (void)eth;
    (void)n;
    ((struct env *)user)->frames_lost++;
    return 0;
}

static void subscribe(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
    (void)user;
    (void)nwid;
    (void)mac;
    (void)adi;
    (void)add;
}

static int64_t clock_of(const struct env *e, const struct zt_now *now)
{
    return now->mono_ms + __atomic_load_n(&e->skew_ms, __ATOMIC_RELAXED);
}

static int init(void *user, struct zt_loop *l)
{
    struct env *e = user;
    struct zt_stack_host host = {
        .user = e, .frame = lose_frame, .subscribe = subscribe, .random = give_random};
    struct zt_net_info net = {.nwid = ENV_NWID, .mac = 0x3200000000aaULL, .status = ZT_NET_OK};
    struct zt_proxy_config cfg = {.loop = l,
                                  .state_path = e->state_path,
                                  .random = give_random,
                                  .user = e,
                                  .memory_budget = e->budget,
                                  .leave_fds = e->leave_fds};

    e->loop = l;
    assert_int_equal(zt_stack_new(&host, zt_loop_now(l)->mono_ms, &e->stack), 0);
    net.mtu = 2800;
    net.broadcast = true;
    net.naddrs = 4;
    (void)zt_ep_parse("10.1.0.1/24", &net.addrs[0]);
    (void)zt_ep_parse("10.1.0.2/24", &net.addrs[1]);
    (void)zt_ep_parse("fd00:1::1/64", &net.addrs[2]);
    (void)zt_ep_parse("fd00:1::2/64", &net.addrs[3]);
    assert_int_equal(zt_stack_net_set(e->stack, &net), 0);
    cfg.stack = e->stack;
    assert_int_equal(zt_proxy_new(&cfg, &e->proxy), 0);
    if (e->on_init)
        e->on_init(e);
    return 0;
}

static void due(void *user, const struct zt_now *now)
{
    struct env *e = user;

    zt_stack_tick(e->stack, clock_of(e, now));
}

static int64_t flush(void *user, const struct zt_now *now)
{
    struct env *e = user;
    int64_t at;

    __atomic_add_fetch(&e->turns, 1, __ATOMIC_RELAXED);
    zt_stack_now(e->stack, clock_of(e, now));
    zt_proxy_flush(e->proxy);
    at = zt_stack_deadline(e->stack);
    return at == ZT_NEVER ? at : at - __atomic_load_n(&e->skew_ms, __ATOMIC_RELAXED);
}

static void fini(void *user)
{
    struct env *e = user;

    if (e->on_fini)
        e->on_fini(e);
    zt_proxy_free(e->proxy);
    zt_stack_free(e->stack);
}

void env_start(struct env *e)
{
    struct zt_loop_hooks hooks = {e, init, due, flush, fini};

    assert_int_equal(zt_loop_start(&hooks, &e->loop), 0);
}

void env_stop(struct env *e)
{
    zt_loop_stop(e->loop);
}

int env_setup(void **state)
{
    struct env *e = calloc(1, sizeof *e);

    env_start(e);
    *state = e;
    return 0;
}

int env_teardown(void **state)
{
    struct env *e = *state;

    env_stop(e);
    free(e);
    return 0;
}

void env_until_idle(struct env *e)
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

static void touch(void *arg)
{
    zt_loop_touch(((struct env *)arg)->loop);
}

void env_jump(struct env *e, int64_t ms)
{
    __atomic_add_fetch(&e->skew_ms, ms, __ATOMIC_RELAXED);
    zt_loop_call(e->loop, touch, e);
}

struct call {
    struct env *e;
    const struct zt_ctl_req *req;
    struct zt_ctl_rep *rep;
    uint8_t *data;
    struct zt_proxy_counts *counts;
    int fd, host;
};

static void do_request(void *arg)
{
    struct call *c = arg;

    zt_proxy_request(c->e->proxy, c->req, c->rep, c->data, &c->fd);
}

static void do_counts(void *arg)
{
    struct call *c = arg;

    zt_proxy_counts(c->e->proxy, c->counts);
}

void env_counts(struct env *e, struct zt_proxy_counts *out)
{
    struct call c = {.e = e, .counts = out};

    assert_int_equal(zt_loop_call(e->loop, do_counts, &c), 0);
}

int env_request(struct env *e, struct zt_ctl_req *req, struct zt_ctl_rep *rep, uint8_t *data)
{
    static uint8_t nowhere[ZT_CTL_REPLY_DATA];
    struct call c = {.e = e, .req = req, .rep = rep, .data = data ? data : nowhere, .fd = -1};

    req->version = ZT_CTL_VERSION;
    assert_int_equal(zt_loop_call(e->loop, do_request, &c), 0);
    return c.fd;
}

static void do_merge(void *arg)
{
    struct call *c = arg;

    zt_proxy_merge(c->e->proxy, c->req, c->host, c->rep, &c->fd);
}

int env_merge(struct env *e, struct zt_ctl_req *req, int host, struct zt_ctl_rep *rep)
{
    struct call c = {.e = e, .req = req, .rep = rep, .fd = -1, .host = host};

    req->version = ZT_CTL_VERSION;
    req->type = ZT_CTL_MERGE;
    assert_int_equal(zt_loop_call(e->loop, do_merge, &c), 0);
    return c.fd;
}

struct zt_ctl_addr env_addr4(const char *ip, uint16_t port)
{
    struct zt_ctl_addr a = {.family = 4, .port = port};

    assert_int_equal(inet_pton(AF_INET, ip, a.ip), 1);
    return a;
}

struct zt_ctl_addr env_addr6(const char *ip, uint16_t port)
{
    struct zt_ctl_addr a = {.family = 6, .port = port};

    assert_int_equal(inet_pton(AF_INET6, ip, a.ip), 1);
    return a;
}

int env_connect(struct env *e, struct zt_ctl_addr to, struct zt_ctl_rep *rep)
{
    struct zt_ctl_req q = {.type = ZT_CTL_CONNECT,
                           .stype = SOCK_STREAM,
                           .remote = to,
                           .family = to.family == 4 ? AF_INET : AF_INET6};

    return env_request(e, &q, rep, NULL);
}

int env_bind(struct env *e, struct zt_ctl_addr at, int type, struct zt_ctl_rep *rep)
{
    struct zt_ctl_req q = {.type = ZT_CTL_BIND,
                           .stype = (uint8_t)type,
                           .local = at,
                           .family = at.family == 4 ? AF_INET : AF_INET6};

    return env_request(e, &q, rep, NULL);
}

int env_bind_with(struct env *e, struct zt_ctl_addr at, int type, int name, struct zt_ctl_rep *rep)
{
    struct zt_ctl_req q = {
        .type = ZT_CTL_BIND, .stype = (uint8_t)type, .local = at, .nopts = 1, .family = AF_INET};

    q.opts[0] = (struct zt_ctl_opt){SOL_SOCKET, name, 1};
    return env_request(e, &q, rep, NULL);
}

int env_listen(struct env *e, struct zt_ctl_addr at, int backlog, struct zt_ctl_rep *rep)
{
    struct zt_ctl_req q = {.type = ZT_CTL_LISTEN, .value = backlog};
    struct zt_ctl_rep r;
    int fd = env_bind(e, at, SOCK_STREAM, rep);

    assert_int_equal(rep->err, 0);
    assert_true(fd >= 0);
    q.id = rep->id;
    assert_int_equal(env_request(e, &q, &r, NULL), -1);
    assert_int_equal(r.err, 0);
    return fd;
}

short env_poll(int fd, short events, int ms)
{
    struct pollfd pf = {.fd = fd, .events = events};

    return poll(&pf, 1, ms) == 1 ? pf.revents : 0;
}

short env_poll_until(int fd, short events, short want)
{
    short seen = 0;

    for (int i = 0; i < ENV_MS / 2 && seen != want; i++) {
        seen = env_poll(fd, events, 0);
        usleep(seen != want ? 2000 : 0);
    }
    return seen;
}

static int64_t mono_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool env_rests(struct env *e, unsigned ms, unsigned most)
{
    for (int64_t end = mono_ms() + ENV_MS; mono_ms() < end;) {
        int64_t began = mono_ms();
        unsigned before = __atomic_load_n(&e->turns, __ATOMIC_RELAXED), turns;
        usleep(ms * 1000);
        turns = __atomic_load_n(&e->turns, __ATOMIC_RELAXED) - before;
        if (turns * (uint64_t)ms <= most * (uint64_t)(mono_ms() - began)) /* we may have slept for longer */
            return true;
    }
    return false;
}

int env_accept(int listener, struct zt_ctl_accept *a)
{
    struct iovec iov = {a, sizeof *a};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } c;
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    int fd;

    if (!(env_poll(listener, POLLIN, ENV_MS) & POLLIN))
        return -1;
    if (recvmsg(listener, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != sizeof *a || !CMSG_FIRSTHDR(&m))
        return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

ssize_t env_send(int fd, const struct zt_ctl_dgram *h, const void *p, size_t n)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)h, sizeof *h}, {(void *)(uintptr_t)p, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

ssize_t env_send_to(int fd, struct zt_ctl_addr to, const void *p, size_t n)
{
    return env_send(fd, &(struct zt_ctl_dgram){.type = ZT_DGRAM_DATA, .remote = to}, p, n);
}

ssize_t env_recv(int fd, struct zt_ctl_dgram *h, void *p, size_t n)
{
    struct iovec iov[2] = {{h, sizeof *h}, {p, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t k;

    if (!(env_poll(fd, POLLIN, ENV_MS) & POLLIN))
        return -1;
    k = recvmsg(fd, &m, MSG_DONTWAIT);
    return k < (ssize_t)sizeof *h ? -1 : k - (ssize_t)sizeof *h;
}

void env_connected(struct env *e, struct zt_ctl_addr at, int fd[2], uint64_t id[2])
{
    struct zt_ctl_rep l, c;
    struct zt_ctl_accept a;
    int lfd;

    at.port = 0;
    lfd = env_listen(e, at, 16, &l);
    fd[0] = env_connect(e, l.local, &c);
    assert_int_equal(c.err, 0);
    fd[1] = env_accept(lfd, &a);
    assert_true(fd[1] >= 0);
    assert_int_equal(env_poll(fd[0], POLLOUT, ENV_MS), POLLOUT);
    id[0] = c.id;
    id[1] = a.id;
    close(lfd);
}

struct zt_state_slot env_slot(struct env *e, uint64_t id)
{
    const struct zt_state_slot *slots =
        (const struct zt_state_slot *)(const void *)(zt_proxy_state(e->proxy) + 1);
    struct zt_state_slot s = slots[id & (ZT_STATE_SLOTS - 1)];

    s.phase = __atomic_load_n(&slots[id & (ZT_STATE_SLOTS - 1)].phase, __ATOMIC_ACQUIRE);
    if (s.id != id)
        s.phase = ZT_PHASE_FREE;
    return s;
}

unsigned env_phase(struct env *e, uint64_t id, unsigned phase)
{
    struct timespec nap = {.tv_nsec = 2000000};

    for (int i = 0; i < ENV_MS / 2 && env_slot(e, id).phase != phase; i++)
        nanosleep(&nap, NULL);
    return env_slot(e, id).phase;
}
