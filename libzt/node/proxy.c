/* Virtual sockets, the part that all kinds share: the table, the pairs and their names, which work
 * is due at the end of a turn, memory, and the dispatch of requests.
 *
 * A virtual socket is one end of a socketpair in the program and the other end here. Our end is
 * bound to an abstract name that carries kind and id, so getpeername() tells any process that holds
 * the program's end what it has. Life ends when the last copy of the program's end is closed (we
 * see a hang-up) or when the connection ends (we close).
 *
 * Work is collected, not done, in callbacks: poll and lwIP callbacks set flags and link the socket
 * into `dirty`; zt_proxy_flush pumps each of those once per turn. A socket with nothing to do costs
 * nothing, and bytes that arrived in several frames reach the program in one system call. */
#include "node/proxy_int.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "node/fork.h"

#define DEFAULT_BUDGET (64u << 20)
#define RETRY_MS 50
#define FDS_LEFT 1024 /* at most, to others than sockets */
#define FDS_FEW 1024  /* nothing to share: of a program that has its node inside */

uint64_t zt_proxy_random(struct zt_proxy *p)
{
    uint64_t v;

    p->cfg.random(p->cfg.user, &v, sizeof v);
    return v;
}

/* Memory */

void zt_proxy_memory(struct zt_proxy *p, int64_t delta)
{
    bool was_tight = zt_proxy_tight(p);

    p->counts.memory = (uint64_t)((int64_t)p->counts.memory + delta);
    if (was_tight && !zt_proxy_tight(p)) {
        ZT_LIST_EACH(it, &p->starved)
        {
            zt_list_remove(it);
            zt_sock_touch(ZT_CONTAINER(it, struct zt_sock, dirty));
        }
    }
}

bool zt_proxy_tight(const struct zt_proxy *p)
{
    return p->counts.memory >= p->cfg.memory_budget;
}

/* Table */

struct zt_sock *zt_proxy_find(struct zt_proxy *p, uint64_t id)
{
    struct zt_sock *s = p->socks[id & (ZT_STATE_SLOTS - 1)];

    return s && s->id == id ? s : NULL;
}

int zt_sock_register(struct zt_proxy *p, struct zt_sock *s, enum zt_sock_kind kind)
{
    struct zt_state_slot *slot = zt_state_take(&p->state, zt_proxy_random(p));

    s->p = p;
    s->fd = -1;
    s->kind = (uint8_t)kind;
    zt_list_init(&s->dirty);
    zt_opt_init(&s->opt);
    if (!slot)
        return ENFILE;
    s->slot = slot;
    s->id = slot->id;
    p->socks[slot - p->state.slots] = s;
    return 0;
}

void zt_sock_touch(struct zt_sock *s)
{
    struct zt_proxy *p = s->p;

    if (s->closing || p->ending)
        return;
    if (!zt_list_empty(&s->dirty))
        zt_list_remove(&s->dirty); /* it may wait in another list */
    if (zt_list_empty(&p->dirty))
        zt_loop_touch(p->cfg.loop);
    zt_list_push_back(&p->dirty, &s->dirty);
}

static void on_retry(uv_timer_t *t)
{
    struct zt_proxy *p = t->data;

    ZT_LIST_EACH(it, &p->blocked)
    {
        zt_list_remove(it);
        zt_sock_touch(ZT_CONTAINER(it, struct zt_sock, dirty));
    }
}

void zt_sock_retry(struct zt_sock *s)
{
    struct zt_proxy *p = s->p;

    if (!zt_list_empty(&s->dirty))
        zt_list_remove(&s->dirty);
    zt_list_push_back(&p->blocked, &s->dirty);
    if (!uv_is_active((uv_handle_t *)&p->retry))
        uv_timer_start(&p->retry, on_retry, RETRY_MS, 0);
}

/* Pairs */

static void name_of(const struct zt_sock *s, struct sockaddr_un *sun, socklen_t *len)
{
    static const char kind[] = {
        [ZT_SOCK_STREAM] = 't', [ZT_SOCK_BOUND] = 'b', [ZT_SOCK_DGRAM] = 'u', [ZT_SOCK_RAW] = 'r'};

    memset(sun, 0, sizeof *sun);
    sun->sun_family = AF_UNIX;
    snprintf(sun->sun_path + 1, sizeof sun->sun_path - 1, "%s%c.%016llx", s->p->name_prefix,
             kind[s->kind], (unsigned long long)s->id);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + ZT_NAME_LEN);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct zt_sock *s = h->data;

    if (status < 0) { /* EPOLLERR: libuv has stopped watching */
        s->want = 0;
        s->ev |= ZT_EV_HUP;
    } else {
        if (events & UV_READABLE)
            s->ev |= ZT_EV_READ;
        if (events & UV_WRITABLE)
            s->ev |= ZT_EV_WRITE;
        if (events & UV_PRIORITIZED)
            s->ev |= ZT_EV_HUP;
    }
    zt_sock_touch(s);
}

int zt_sock_make(struct zt_sock *s, int fd[2])
{
    struct sockaddr_un sun;
    socklen_t len;
    int type = s->kind == ZT_SOCK_STREAM ? SOCK_STREAM : SOCK_SEQPACKET;

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) != 0)
        return errno;
    if (fd[0] >= s->p->fd_end || fd[1] >= s->p->fd_end) { /* the kernel gives the lowest that is free */
        close(fd[0]);
        close(fd[1]);
        return EMFILE;
    }
    name_of(s, &sun, &len);
    if (bind(fd[0], (struct sockaddr *)&sun, len) != 0) {
        /* 48 random bits collided with a name that somebody holds: let the program try again. */
        int err = errno == EADDRINUSE ? EAGAIN : errno;
        close(fd[0]);
        close(fd[1]);
        return err;
    }
    return 0;
}

int zt_sock_adopt(struct zt_sock *s, int fd)
{
    if (uv_poll_init(zt_loop_uv(s->p->cfg.loop), &s->poll, fd) != 0) {
        close(fd);
        return ENOMEM;
    }
    s->poll.data = s;
    s->has_poll = true;
    s->p->handles++;
    s->fd = zt_fd_own(fd);
    return 0;
}

int zt_sock_pair(struct zt_sock *s, int *prog)
{
    int fd[2];
    int err = zt_sock_make(s, fd);

    if (err)
        return err;
    if ((err = zt_sock_adopt(s, fd[0])) != 0) {
        close(fd[1]);
        return err;
    }
    *prog = fd[1];
    return 0;
}

int zt_sock_fill(int prog, const uint8_t *filler, size_t n)
{
    struct pollfd pf = {.fd = prog, .events = POLLOUT};
    int64_t total = 0;

    /* A writer is woken when three quarters of the buffer are free, so the gate shuts long before
     * the buffer is full. The size of the buffer is the administrator's choice: ask, don't compute.
     */
    for (int i = 0; i < 4096 && poll(&pf, 1, 0) == 1 && (pf.revents & POLLOUT); i++) {
        ssize_t k = send(prog, filler, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k < 0)
            return errno == EAGAIN ? (int)total : -errno;
        total += k;
        pf.revents = 0;
    }
    return total > INT32_MAX ? -ENOBUFS : (int)total;
}

void zt_sock_watch(struct zt_sock *s, int want)
{
    if (want == s->want || !s->has_poll || s->closing)
        return;
    s->want = (uint8_t)want;
    if (want)
        uv_poll_start(&s->poll, want, on_poll);
    else
        uv_poll_stop(&s->poll);
}

void zt_sock_buffer(struct zt_sock *s)
{
    int bytes = s->opt.rcvbuf;

    if (s->fd >= 0 && bytes > 0)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

bool zt_sock_is_closed(const struct zt_sock *s)
{
    struct pollfd pf = {.fd = s->fd};

    return poll(&pf, 1, 0) == 1 && (pf.revents & (POLLHUP | POLLERR));
}

static void maybe_free_proxy(struct zt_proxy *p)
{
    if (p->handles || !p->ending)
        return;
    zt_map_fini(&p->bound);
    zt_map_fini(&p->tuples);
    free(p->socks);
    free(p->scratch);
    free(p);
}

void zt_proxy_handle_closed(struct zt_proxy *p)
{
    p->handles--;
    maybe_free_proxy(p);
}

static void on_sock_closed(uv_handle_t *h)
{
    struct zt_sock *s = h->data;
    struct zt_proxy *p = s->p;

    free(s);
    zt_proxy_handle_closed(p);
}

void zt_sock_retire(struct zt_sock *s, bool gone)
{
    struct zt_proxy *p = s->p;

    if (s->closing)
        return;
    s->closing = true;
    if (!zt_list_empty(&s->dirty))
        zt_list_remove(&s->dirty);
    if (s->slot) {
        p->socks[s->slot - p->state.slots] = NULL;
        if (s->kind == ZT_SOCK_STREAM && !gone)
            p->past[p->past_next++ % ZT_PAST_STREAMS] = (struct zt_past){s->id, s->opt};
        zt_state_give(&p->state, s->slot, gone);
    }
    zt_host_drop(s);
    if (s->has_poll)
        uv_close((uv_handle_t *)&s->poll, on_sock_closed);
    if (s->fd >= 0)
        zt_fd_close(s->fd);
    s->fd = -1;
    if (!s->has_poll)
        free(s);
}

/* Requests */

static int listen_request(struct zt_proxy *p, const struct zt_ctl_req *q)
{
    struct zt_sock *s = zt_proxy_find(p, q->id);

    if (!s)
        return EBADF;
    if (s->kind == ZT_SOCK_DGRAM || s->kind == ZT_SOCK_RAW)
        return EOPNOTSUPP;
    if (s->kind != ZT_SOCK_BOUND)
        return EINVAL;
    return zt_listen_start((struct zt_listener *)s, q->value, q->level == 1);
}

static struct zt_sockopts *find_past(struct zt_proxy *p, uint64_t id)
{
    for (unsigned i = 0; id && i < ZT_PAST_STREAMS; i++)
        if (p->past[i].id == id)
            return &p->past[i].opt;
    return NULL;
}

static int opt_request(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r,
                       uint8_t *data)
{
    struct zt_sock *s = zt_proxy_find(p, q->id);
    size_t n = q->ndata;
    struct zt_sockopts *past = s ? NULL : find_past(p, q->id);
    int err;

    if (!s && !past)
        return EBADF;
    if (n > ZT_CTL_DATA)
        return EINVAL;
    if (q->type == ZT_CTL_OPT_SET)
        return s ? zt_opt_set(s, q->level, q->name, q->data, n)
                 : zt_opt_store(past, q->level, q->name, q->data, n);
    n = ZT_CTL_REPLY_DATA;
    err = s ? zt_opt_get(s, q->level, q->name, data, &n)
            : zt_opt_stored(past, q->level, q->name, data, &n);
    r->ndata = err ? 0 : (uint32_t)n;
    return err;
}

void zt_slot_addrs(const struct zt_state_slot *slot, struct zt_ctl_rep *r)
{
    r->local.family = slot->lfamily;
    r->local.port = slot->lport;
    memcpy(r->local.ip, slot->lip, 16);
    r->remote.family = slot->rfamily;
    r->remote.port = slot->rport;
    memcpy(r->remote.ip, slot->rip, 16);
}

static int info_request(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r,
                        uint8_t *data)
{
    struct zt_sock *s = zt_proxy_find(p, q->id);
    struct zt_ctl_info info = {0};

    if (!s)
        return EBADF;
    zt_slot_addrs(s->slot, r);
    info.state = 7; /* TCP_CLOSE, what Linux shows for all that is not a connection */
    if (s->kind == ZT_SOCK_STREAM)
        zt_stream_info((struct zt_stream *)s, &info);
    else if (s->kind == ZT_SOCK_BOUND && ((struct zt_listener *)s)->pcb)
        info.state = 10; /* TCP_LISTEN */
    memcpy(data, &info, sizeof info);
    r->ndata = sizeof info;
    return 0;
}

static int note_request(struct zt_proxy *p, const struct zt_ctl_req *q)
{
    struct zt_sock *s = zt_proxy_find(p, q->id);

    if (!s)
        return EBADF;
    if (s->kind == ZT_SOCK_STREAM)
        zt_stream_note((struct zt_stream *)s, q->value);
    else if (s->kind == ZT_SOCK_BOUND && q->value == ZT_NOTE_SHUT_RD)
        zt_listen_drop((struct zt_listener *)s);
    else if (q->value == ZT_NOTE_RESET_ON_CLOSE)
        s->opt.linger = 0;
    return 0;
}

static int dispatch(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r,
                    uint8_t *data, int *fd)
{
    if (q->stype == SOCK_RAW && (q->type == ZT_CTL_BIND || q->type == ZT_CTL_UDP))
        return zt_raw_request(p, q, r, fd);
    switch (q->type) {
    case ZT_CTL_CONNECT:
        return zt_stream_connect(p, q, NULL, r, fd);
    case ZT_CTL_BIND:
        return q->stype == SOCK_DGRAM ? zt_dgram_request(p, q, r, fd) : zt_listen_bind(p, q, r, fd);
    case ZT_CTL_LISTEN:
        return listen_request(p, q);
    case ZT_CTL_UDP:
        return zt_dgram_request(p, q, r, fd);
    case ZT_CTL_OPT_SET:
    case ZT_CTL_OPT_GET:
        return opt_request(p, q, r, data);
    case ZT_CTL_NOTE:
        return note_request(p, q);
    case ZT_CTL_INFO:
        return info_request(p, q, r, data);
    case ZT_CTL_RELEASE:
        zt_host_release(p, q->stype, q->local.port);
        return 0;
    default:
        return ENOSYS;
    }
}

/* False: *r says why not. */
static bool request_begins(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r,
                           int *fd)
{
    *r = (struct zt_ctl_rep){.version = ZT_CTL_VERSION, .type = q->type};
    *fd = -1;
    r->err = p->ending ? ENETDOWN : q->nopts > ZT_CTL_OPTS ? EINVAL : 0;
    if (r->err)
        return false;
    zt_stack_now(p->cfg.stack, zt_loop_now(p->cfg.loop)->mono_ms);
    return true;
}

static void request_ends(struct zt_proxy *p)
{
    zt_stack_kick(p->cfg.stack);
    zt_loop_touch(p->cfg.loop);
}

void zt_proxy_request(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r,
                      uint8_t *data, int *fd)
{
    if (!request_begins(p, q, r, fd))
        return;
    r->err = dispatch(p, q, r, data, fd);
    request_ends(p);
}

bool zt_proxy_connect(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_waiter *h,
                      struct zt_ctl_rep *r, int *fd)
{
    h->stream = NULL;
    if (!request_begins(p, q, r, fd))
        return false;
    r->err = zt_stream_connect(p, q, h, r, fd);
    request_ends(p);
    return r->err == 0;
}

void zt_proxy_merge(struct zt_proxy *p, const struct zt_ctl_req *q, int host, struct zt_ctl_rep *r,
                    int *fd)
{
    *r = (struct zt_ctl_rep){.version = ZT_CTL_VERSION, .type = q->type};
    *fd = -1;
    if (p->ending || host < 0 || q->nopts > ZT_CTL_OPTS) {
        r->err = p->ending ? ENETDOWN : EINVAL;
        if (host >= 0)
            close(host);
        return;
    }
    zt_stack_now(p->cfg.stack, zt_loop_now(p->cfg.loop)->mono_ms);
    r->err = q->stype == SOCK_DGRAM ? zt_dgram_merge(p, q, host, r, fd)
                                    : zt_listen_merge(p, q, host, r, fd);
    zt_loop_touch(p->cfg.loop);
}

static void pump(struct zt_sock *s)
{
    switch ((enum zt_sock_kind)s->kind) {
    case ZT_SOCK_STREAM:
        zt_stream_pump((struct zt_stream *)s);
        break;
    case ZT_SOCK_BOUND:
        zt_listen_pump((struct zt_listener *)s);
        break;
    case ZT_SOCK_DGRAM:
        zt_dgram_pump((struct zt_dgram *)s);
        break;
    case ZT_SOCK_RAW:
        zt_raw_pump((struct zt_raw *)s);
        break;
    }
}

void zt_proxy_flush(struct zt_proxy *p)
{
    struct zt_list now;

    if (zt_list_empty(&p->dirty) || p->ending)
        return;
    zt_stack_now(p->cfg.stack, zt_loop_now(p->cfg.loop)->mono_ms);
    /* Whoever is touched from here on waits for the next turn: a turn has an end. */
    now = p->dirty;
    now.next->prev = now.prev->next = &now;
    zt_list_init(&p->dirty);
    while (!zt_list_empty(&now)) {
        struct zt_list *it = now.next;
        zt_list_remove(it);
        pump(ZT_CONTAINER(it, struct zt_sock, dirty));
    }
    zt_stack_kick(p->cfg.stack);
}

/* Life */

static int fd_end(bool leave_fds)
{
    struct rlimit r;

    if (!leave_fds || getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur <= FDS_FEW ||
        r.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int)(r.rlim_cur - (r.rlim_cur / 8 < FDS_LEFT ? r.rlim_cur / 8 : FDS_LEFT));
}

int zt_proxy_new(const struct zt_proxy_config *cfg, struct zt_proxy **out)
{
    struct zt_proxy *p = calloc(1, sizeof *p);
    uint8_t host_id[16];
    char hex[33];
    int err = ZT_E_NOMEM;

    *out = NULL;
    if (!p)
        return ZT_E_NOMEM;
    p->cfg = *cfg;
    if (!p->cfg.memory_budget)
        p->cfg.memory_budget = DEFAULT_BUDGET;
    p->fd_end = fd_end(cfg->leave_fds);
    zt_list_init(&p->dirty);
    zt_list_init(&p->starved);
    zt_list_init(&p->blocked);
    zt_list_init(&p->taps);
    cfg->random(cfg->user, host_id, sizeof host_id);
    cfg->random(cfg->user, p->seed, sizeof p->seed);
    cfg->random(cfg->user, &p->next_port, sizeof p->next_port);
    zt_map_init(&p->bound, p->seed[0]);
    zt_map_init(&p->tuples, p->seed[1]);
    snprintf(p->name_prefix, sizeof p->name_prefix, "%s%s.", ZT_NAME_PREFIX,
             zt_hex_encode(host_id, 16, hex));
    p->socks = calloc(ZT_STATE_SLOTS, sizeof *p->socks);
    p->scratch = malloc(ZT_SCRATCH);
    if (!p->socks || !p->scratch)
        goto no_memory;
    err = zt_state_open(&p->state, cfg->state_path, host_id);
    if (err)
        goto no_memory;
    err = zt_icmp_open(p);
    if (err)
        goto no_icmp;
    uv_timer_init(zt_loop_uv(cfg->loop), &p->retry);
    p->retry.data = p;
    p->handles = 1;
    *out = p;
    return 0;
no_icmp:
    zt_state_close(&p->state);
no_memory:
    free(p->socks);
    free(p->scratch);
    free(p);
    return err;
}

static void on_timer_closed(uv_handle_t *h)
{
    zt_proxy_handle_closed(h->data);
}

void zt_proxy_free(struct zt_proxy *p)
{
    if (!p)
        return;
    p->ending = true;
    __atomic_store_n(&p->state.head->stale, 1, __ATOMIC_RELEASE);
    zt_icmp_close(p);
    for (unsigned i = 0; i < ZT_STATE_SLOTS; i++) {
        struct zt_sock *s = p->socks[i];
        if (!s)
            continue;
        if (s->kind == ZT_SOCK_STREAM)
            zt_stream_drop((struct zt_stream *)s);
        else if (s->kind == ZT_SOCK_BOUND)
            zt_listen_drop((struct zt_listener *)s);
        else if (s->kind == ZT_SOCK_RAW)
            zt_raw_drop((struct zt_raw *)s);
        else
            zt_dgram_drop((struct zt_dgram *)s);
    }
    zt_state_close(&p->state);
    uv_close((uv_handle_t *)&p->retry, on_timer_closed);
}

bool zt_proxy_is_drained(struct zt_proxy *p)
{
    if (!zt_stream_all_acked())
        return false;
    for (unsigned i = 0; i < ZT_STATE_SLOTS; i++) {
        struct zt_sock *s = p->socks[i];
        int n = 0;
        if (s && s->kind == ZT_SOCK_STREAM && ((struct zt_stream *)s)->stash_n)
            return false;
        if (s && s->kind != ZT_SOCK_BOUND && s->fd >= 0 &&
            (!zt_list_empty(&s->dirty) || (ioctl(s->fd, FIONREAD, &n) == 0 && n > 0)))
            return false;
    }
    return true;
}

int zt_proxy_state_fd(struct zt_proxy *p)
{
    return p->state.ro_fd;
}

const struct zt_state_head *zt_proxy_state(struct zt_proxy *p)
{
    return p->state.head;
}

void zt_proxy_set_ranges(struct zt_proxy *p, const struct zt_state_range *r, unsigned n,
                         unsigned networks, unsigned configuring, bool online)
{
    zt_state_ranges(&p->state, r, n, networks, configuring, online);
}

void zt_proxy_set_ifs(struct zt_proxy *p, const struct zt_state_if *ifs, unsigned n)
{
    zt_state_ifs(&p->state, ifs, n);
}

void zt_proxy_set_domains(struct zt_proxy *p, const char *domains, size_t n)
{
    zt_state_domains(&p->state, domains, n);
}

void zt_proxy_counts(const struct zt_proxy *p, struct zt_proxy_counts *out)
{
    *out = p->counts;
}

void zt_proxy_each(struct zt_proxy *p,
                   void (*fn)(void *user, const struct zt_state_slot *slot, uint64_t bytes_in,
                              uint64_t bytes_out),
                   void *user)
{
    for (unsigned i = 0; i < ZT_STATE_SLOTS; i++) {
        struct zt_sock *s = p->socks[i];
        if (!s)
            continue;
        if (s->kind == ZT_SOCK_STREAM)
            fn(user, s->slot, ((struct zt_stream *)s)->bytes_in,
               ((struct zt_stream *)s)->bytes_out);
        else if (s->kind == ZT_SOCK_DGRAM)
            fn(user, s->slot, ((struct zt_dgram *)s)->bytes_in, ((struct zt_dgram *)s)->bytes_out);
        else if (s->kind == ZT_SOCK_RAW) {
            uint64_t in, out;
            zt_raw_bytes((struct zt_raw *)s, &in, &out);
            fn(user, s->slot, in, out);
        } else
            fn(user, s->slot, 0, 0);
    }
}
