/* A stand-in for the node, for tests of the shim alone: the same door, state page, names, gates and
 * headers, but its "network" is this process. Streams are spliced between two preloaded programs,
 * datagrams handed from one to the other.
 *
 *   fakehost -H DIR [--lock-fd N] [--idle SECONDS]
 *
 * Managed: 10.147.17.0/24 and fd00:147::/64. Ours (can be bound): .1 .2 ::1 ::2; who connects has
 * .1 or
 * ::1. On other addresses nobody answers: .98 is unreachable at once, all others time out after a
 * second. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <time.h>
#include <unistd.h>

#include "zt_control.h"

#define MAX 512
#define HANDSHAKE_MS 20
#define BUF 65536

struct vsock {
    bool used;
    char kind;
    int fd;   /* our end, -1 when closed */
    int gate; /* bytes of filler in it */
    uint64_t id;
    struct zt_state_slot *slot;
    struct zt_ctl_addr local, remote;
    int family;
    int64_t due_ms; /* connecting: when the answer comes */
    int verdict;    /* connecting: errno, 0 = look for a listener */
    struct vsock *peer;
    bool rd_done; /* program sent FIN */
    bool reset_on_close;
    uint8_t *buf; /* bytes on their way from this program to the peer's */
    size_t at, n;
    struct zt_ctl_opt opts[64];
    unsigned nopts;
    uint8_t *more; /* the beginning of a datagram that comes in pieces, and its header */
    size_t nmore;
    struct zt_ctl_dgram more_h;
};

#define PAST 16
static struct past {
    uint64_t id;
    unsigned nopts;
    struct zt_ctl_opt opts[64];
} past[PAST];
static unsigned npast;
static struct vsock socks[MAX];
static struct zt_state_head *page;
static char host_hex[33];
static uint16_t next_port = 40000;
static int64_t last_use;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- state page ---- */

/* Both files come whole, as the node's do: a program that looks in between would take a virtual address for
 * one of the kernel's. */
static void make_page(const char *home)
{
    char path[4200], fresh[4210];
    snprintf(path, sizeof path, "%s/%s", home, ZT_STATE_FILE);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int old = open(path, O_RDWR);
    if (old >= 0) {
        struct zt_state_head *h = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, old, 0);
        if (h != MAP_FAILED)
            __atomic_store_n(&h->stale, 1, __ATOMIC_RELEASE);
        close(old);
    }
    unlink(fresh);
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t size = sizeof *page + ZT_STATE_SLOTS * sizeof(struct zt_state_slot);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        die(path);
    page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        die("mmap");
    close(fd);
    static const struct zt_state_range r[2] = {
        {4, 24, 0, 0, 0, {10, 147, 17}},
        {6, 64, 0, 0, 0, {0xfd, 0, 1, 0x47}},
    };
    memcpy(page->ranges, r, sizeof r);
    page->nranges = 2;
    page->has_network = page->online = 1;
    page->version = ZT_CTL_VERSION;
    page->pid = (uint64_t)getpid();
    if (getentropy(page->host_id, 16) < 0)
        die("random");
    for (int i = 0; i < 16; i++)
        snprintf(host_hex + 2 * i, 3, "%02x", page->host_id[i]);
    __atomic_store_n(&page->magic, ZT_STATE_MAGIC, __ATOMIC_RELEASE);
    if (rename(fresh, path) != 0)
        die(path);
    snprintf(path, sizeof path, "%s/%s", home, ZT_RANGES_FILE);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *f = fopen(fresh, "w");
    if (f) {
        fputs("10.147.17.0/24\nfd00:147::/64\n", f);
        fclose(f);
        if (rename(fresh, path) != 0)
            die(path);
    }
}

static void publish(struct vsock *v, enum zt_phase phase, int err)
{
    struct zt_state_slot *s = v->slot;
    s->err = err;
    s->lfamily = v->local.family;
    s->lport = v->local.port;
    memcpy(s->lip, v->local.ip, 16);
    s->rfamily = v->remote.family;
    s->rport = v->remote.port;
    memcpy(s->rip, v->remote.ip, 16);
    s->family = (uint16_t)v->family;
    __atomic_store_n(&s->id, v->id, __ATOMIC_RELEASE);
    __atomic_store_n(&s->phase, phase, __ATOMIC_RELEASE);
}

/* ---- virtual sockets ---- */

/* Slots are taken in turn, so that one of a reset connection stays for a while. */
static struct vsock *new_sock(char kind, int type, int family, int *app)
{
    static uint64_t turn;
    struct vsock *v = NULL;
    for (int i = 0; i < MAX && !v; i++)
        if (!socks[i].used)
            v = &socks[i];
    int fds[2];
    if (!v || socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
        return NULL;
    *v = (struct vsock){.used = true, .kind = kind, .fd = fds[0], .family = family};
    uint64_t r;
    if (getentropy(&r, sizeof r) < 0)
        die("random");
    v->id = (r << ZT_ID_SLOT_BITS) | (++turn % ZT_STATE_SLOTS);
    v->slot = (struct zt_state_slot *)(page + 1) + turn % ZT_STATE_SLOTS;
    char text[64];
    snprintf(text, sizeof text, ZT_NAME_PREFIX "%s.%c.%016llx", host_hex, kind,
             (unsigned long long)v->id);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path + 1, text, ZT_NAME_LEN - 1);
    if (bind(v->fd, (struct sockaddr *)&un,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + ZT_NAME_LEN)) < 0)
        die("bind name");
    fcntl(v->fd, F_SETFL, O_NONBLOCK);
    *app = fds[1];
    return v;
}

static void drop(struct vsock *v)
{
    if (v->fd >= 0)
        close(v->fd);
    if (v->peer)
        v->peer->peer = NULL;
    free(v->buf);
    if (v->id) { /* its options can still be asked for */
        past[npast % PAST].id = v->id;
        past[npast % PAST].nopts = v->nopts;
        memcpy(past[npast++ % PAST].opts, v->opts, sizeof v->opts);
    }
    memset(v, 0, sizeof *v);
    v->fd = -1;
}

static void shut_gate(struct vsock *v, int app)
{
    static char zeros[BUF + 1];
    struct pollfd p = {.fd = app, .events = POLLOUT};
    while (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
        ssize_t n = send(app, zeros, sizeof zeros, MSG_DONTWAIT);
        if (n <= 0)
            break;
        v->gate += (int)n;
    }
}

static void open_gate(struct vsock *v)
{
    static char sink[BUF];
    while (v->gate > 0) {
        ssize_t n = recv(v->fd, sink, (size_t)(v->gate < BUF ? v->gate : BUF), MSG_DONTWAIT);
        if (n <= 0)
            break;
        v->gate -= (int)n;
    }
}

static bool same_ip(const struct zt_ctl_addr *a, const struct zt_ctl_addr *b)
{
    return a->family == b->family && !memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16);
}

static bool is_ours(const struct zt_ctl_addr *a)
{
    return a->family == 4 ? a->ip[3] == 1 || a->ip[3] == 2 : a->ip[15] == 1 || a->ip[15] == 2;
}

static struct vsock *find(char kind, const struct zt_ctl_addr *a)
{
    for (int i = 0; i < MAX; i++)
        if (socks[i].used && socks[i].kind == kind && socks[i].local.port == a->port &&
            same_ip(&socks[i].local, a))
            return &socks[i];
    return NULL;
}

static struct zt_ctl_addr own_address(const struct zt_ctl_addr *to, uint16_t port)
{
    struct zt_ctl_addr a = {.family = to->family, .port = port ? port : next_port++};
    memcpy(a.ip, to->ip, 16);
    a.ip[to->family == 4 ? 3 : 15] = 1;
    return a;
}

/* The connection ends by force: what the program of v sees. */
static void reset(struct vsock *v, int err)
{
    /* A reset of a connection that the peer had closed is a broken pipe. */
    bool closing = v->slot->phase == ZT_PHASE_FIN;
    publish(v, ZT_PHASE_RESET, closing && err == ECONNRESET ? EPIPE : err);
    drop(v);
}

static void handshake(struct vsock *v)
{
    struct vsock *l = v->verdict ? NULL : find('b', &v->remote);
    int err = v->verdict ? v->verdict : ECONNREFUSED, app;
    struct vsock *a = NULL;
    v->due_ms = 0;
    if (l && __atomic_load_n(&l->slot->phase, __ATOMIC_ACQUIRE) == ZT_PHASE_LISTENING)
        a = new_sock('t', SOCK_STREAM, l->family, &app);
    if (!a) {
        publish(v, ZT_PHASE_FAILED, err);
        drop(v);
        return;
    }
    a->local = v->remote;
    a->remote = v->local;
    a->peer = v;
    v->peer = a;
    publish(a, ZT_PHASE_CONNECTED, 0);
    struct zt_ctl_accept msg = {.id = a->id, .local = a->local, .remote = a->remote};
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&ctl.h), &app, sizeof app);
    struct iovec iov = {&msg, sizeof msg};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, sizeof ctl};
    if (sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        perror("queue of listener");
    close(app);
    publish(v, ZT_PHASE_CONNECTED, 0);
    open_gate(v);
}

static void peer_reset(struct vsock *v, int err)
{
    struct vsock *p = v->peer;
    drop(v);
    if (p)
        reset(p, err);
}

/* One step for the direction v -> peer. */
static void pump(struct vsock *v, short revents)
{
    struct vsock *p = v->peer;
    if (!v->buf)
        v->buf = malloc(BUF);
    if (v->rd_done && v->reset_on_close && v->n == 0 && (revents & POLLHUP)) {
        peer_reset(v, ECONNRESET);
        return;
    }
    if (!v->rd_done && v->n == 0) {
        ssize_t n = recv(v->fd, v->buf, BUF, MSG_DONTWAIT);
        if (n > 0) {
            v->at = 0;
            v->n = (size_t)n;
        } else if (n < 0 && errno != EAGAIN) {
            peer_reset(v, ECONNRESET); /* closed with unread data */
            return;
        } else if (n == 0) {
            if (v->reset_on_close && (revents & POLLHUP)) {
                peer_reset(v, ECONNRESET);
                return;
            }
            v->rd_done = true;
            if (p) {
                publish(p, ZT_PHASE_FIN, 0);
                shutdown(p->fd, SHUT_WR);
            }
        }
    }
    if (v->n && !p) /* the other side has closed entirely: RST */
        reset(v, ECONNRESET);
    else if (v->n) {
        ssize_t n = send(p->fd, v->buf + v->at, v->n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            v->at += (size_t)n;
            v->n -= (size_t)n;
        } else if (errno != EAGAIN) {
            drop(p);
            reset(v, ECONNRESET);
        }
    } else if (v->rd_done && (revents & POLLHUP) && (!p || p->rd_done)) {
        drop(v);
    }
}

/* The socket connected to the sender comes before an unconnected one on the same port. */
static struct vsock *find_dgram(const struct zt_ctl_addr *to, const struct zt_ctl_addr *from)
{
    struct vsock *open_one = NULL;
    for (int i = 0; i < MAX; i++) {
        struct vsock *d = &socks[i];
        if (!d->used || d->kind != 'u' || d->local.port != to->port || !same_ip(&d->local, to))
            continue;
        if (d->remote.family && d->remote.port == from->port && same_ip(&d->remote, from))
            return d;
        if (!d->remote.family)
            open_one = d;
    }
    return open_one;
}

static struct message {
    struct zt_ctl_dgram h;
    uint8_t data[65536];
} msg;

static bool corked(const struct vsock *v)
{
    for (unsigned i = 0; i < v->nopts; i++)
        if (v->opts[i].level == IPPROTO_UDP && v->opts[i].name == UDP_CORK)
            return v->opts[i].value;
    return false;
}

/* msg has one more piece of n bytes. */
static void add_piece(struct vsock *v, size_t n)
{
    if (!v->more) {
        v->more = malloc(sizeof msg.data);
        v->nmore = 0;
        v->more_h = msg.h;
        v->more_h.type = ZT_DGRAM_DATA;
    }
    if (!v->more || v->nmore + n > sizeof msg.data)
        die("pieces");
    memcpy(v->more + v->nmore, msg.data, n);
    v->nmore += n;
}

static void pass_on(struct vsock *v, size_t n);

static void pass_pieces(struct vsock *v)
{
    msg.h = v->more_h;
    memcpy(msg.data, v->more, v->nmore);
    free(v->more);
    v->more = NULL;
    pass_on(v, sizeof msg.h + v->nmore);
}

/* One message of the program's. False: there is none. */
static bool datagram(struct vsock *v)
{
    ssize_t n = recv(v->fd, &msg, sizeof msg, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        drop(v);
        return false;
    }
    if (n < (ssize_t)sizeof msg.h)
        return false;
    if (msg.h.type == ZT_DGRAM_ERROR) {
        send(v->fd, &msg.h, sizeof msg.h, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (msg.h.type == ZT_DGRAM_MORE || v->more || corked(v)) {
        bool last = msg.h.type != ZT_DGRAM_MORE && !corked(v);
        add_piece(v, (size_t)n - sizeof msg.h);
        if (last)
            pass_pieces(v);
    } else {
        pass_on(v, (size_t)n);
    }
    return true;
}

/* msg is a datagram of v, of n bytes with its header. */
static void pass_on(struct vsock *v, size_t n)
{
    struct zt_ctl_addr to = msg.h.remote.family ? msg.h.remote : v->remote;
    if (!v->local.family)
        v->local = own_address(&to, 0);
    publish(v, ZT_PHASE_DATAGRAM, 0);
    struct vsock *d = find_dgram(&to, &v->local);
    if (!d) {
        struct zt_ctl_dgram e = {.type = ZT_DGRAM_ERROR, .err = ECONNREFUSED};
        bool told = v->remote.family;
        for (unsigned i = 0; i < v->nopts; i++)
            told |= v->opts[i].value &&
                    (v->opts[i].level == IPPROTO_IPV6
                         ? v->opts[i].name == IPV6_RECVERR
                         : v->opts[i].level == IPPROTO_IP && v->opts[i].name == IP_RECVERR);
        if (told)
            send(v->fd, &e, sizeof e, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    msg.h.remote = v->local;
    msg.h.ttl = 64;
    msg.h.lfamily = to.family;
    memcpy(msg.h.lip, to.ip, 16);
    send(d->fd, &msg, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- the door ---- */

static struct vsock *by_id(uint64_t id)
{
    for (int i = 0; id && i < MAX; i++)
        if (socks[i].used && socks[i].id == id)
            return &socks[i];
    return NULL;
}

static void set_opt(struct vsock *v, int level, int name, int value)
{
    unsigned i = 0;
    while (i < v->nopts && (v->opts[i].level != level || v->opts[i].name != name))
        i++;
    if (i == v->nopts && v->nopts < 64)
        v->nopts++;
    if (i < 64)
        v->opts[i] = (struct zt_ctl_opt){level, name, value};
}

static int do_connect(const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd)
{
    struct vsock *b = by_id(q->id);
    struct vsock *v = new_sock('t', SOCK_STREAM, q->family, fd);
    if (!v)
        return ENOBUFS;
    v->remote = q->remote;
    v->local = b ? b->local : own_address(&q->remote, q->local.port);
    int last = q->remote.family == 4 ? q->remote.ip[3] : q->remote.ip[15];
    v->verdict = is_ours(&q->remote) ? 0 : last == 98 || last == 0x98 ? EHOSTUNREACH : ETIMEDOUT;
    v->due_ms = now_ms() + (v->verdict == ETIMEDOUT ? 1000 : HANDSHAKE_MS);
    for (unsigned i = 0; i < q->nopts && i < ZT_CTL_OPTS; i++)
        set_opt(v, q->opts[i].level, q->opts[i].name, q->opts[i].value);
    shut_gate(v, *fd);
    publish(v, ZT_PHASE_CONNECTING, 0);
    r->id = v->id;
    r->local = v->local;
    return 0;
}

static bool asked_for(const struct zt_ctl_req *q, int name)
{
    for (unsigned i = 0; i < q->nopts && i < ZT_CTL_OPTS; i++)
        if (q->opts[i].level == SOL_SOCKET && q->opts[i].name == name && q->opts[i].value)
            return true;
    return false;
}

static int do_bind(const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd)
{
    bool dgram = q->stype == SOCK_DGRAM;
    if (!is_ours(&q->local))
        return EADDRNOTAVAIL;
    struct zt_ctl_addr a = q->local;
    if (!a.port)
        a.port = next_port++;
    struct vsock *other = find(dgram ? 'u' : 'b', &a);
    if (other && !(dgram && asked_for(q, SO_REUSEADDR)))
        return EADDRINUSE;
    struct vsock *v = new_sock(dgram ? 'u' : 'b', SOCK_SEQPACKET, q->family, fd);
    if (!v)
        return ENOBUFS;
    v->local = a;
    if (!dgram) {
        int small = 1;
        setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        while (send(*fd, "", 1, MSG_DONTWAIT) > 0)
            ;
    }
    for (unsigned i = 0; i < q->nopts && i < ZT_CTL_OPTS; i++)
        set_opt(v, q->opts[i].level, q->opts[i].name, q->opts[i].value);
    publish(v, dgram ? ZT_PHASE_DATAGRAM : ZT_PHASE_BOUND, 0);
    r->id = v->id;
    r->local = a;
    return 0;
}

static int do_udp(const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd)
{
    struct vsock *v = by_id(q->id);
    if (!v && q->id)
        return ENOTCONN;
    if (!v)
        v = new_sock('u', SOCK_SEQPACKET, q->family, fd);
    if (!v)
        return ENOBUFS;
    v->remote = q->remote;
    if (q->remote.family && !v->local.family)
        v->local = own_address(&q->remote, q->local.port);
    publish(v, ZT_PHASE_DATAGRAM, 0);
    r->id = v->id;
    r->local = v->local;
    return 0;
}

static int do_option(const struct zt_ctl_req *q, struct zt_ctl_rep *r, uint8_t *data)
{
    struct vsock *v = by_id(q->id);
    const struct zt_ctl_opt *opts = v ? v->opts : NULL;
    unsigned nopts = v ? v->nopts : 0;
    for (int i = 0; !v && i < PAST; i++)
        if (past[i].id == q->id) {
            opts = past[i].opts;
            nopts = past[i].nopts;
        }
    if (!opts || (!v && q->type == ZT_CTL_OPT_SET))
        return ENOTCONN;
    if (q->type == ZT_CTL_OPT_SET) {
        bool cork = q->level == IPPROTO_UDP && q->name == UDP_CORK;
        while (cork && datagram(v)) /* what was sent before */
            ;
        set_opt(v, q->level, q->name, q->value);
        if (cork && !q->value && v->more)
            pass_pieces(v);
        return 0;
    }
    if (q->level == ZT_CTL_OPT_ALL) {
        r->ndata = nopts * (uint32_t)sizeof *opts;
        memcpy(data, opts, r->ndata);
        return 0;
    }
    for (unsigned i = 0; i < nopts; i++)
        if (opts[i].level == q->level && opts[i].name == q->name) {
            memcpy(data, &opts[i].value, 4);
            r->ndata = 4;
            return 0;
        }
    return ENOPROTOOPT;
}

static void do_note(const struct zt_ctl_req *q)
{
    struct vsock *v = by_id(q->id);
    if (v && q->value == ZT_NOTE_RESET_ON_CLOSE)
        v->reset_on_close = true;
    if (v && q->value == ZT_NOTE_SHUT_RD && v->kind == 'b')
        publish(v, ZT_PHASE_BOUND, 0);
}

static int serve(const struct zt_ctl_req *q, struct zt_ctl_rep *r, uint8_t *data, int *fd)
{
    struct vsock *v = by_id(q->id);
    switch (q->type) {
    case ZT_CTL_CONNECT:
        return do_connect(q, r, fd);
    case ZT_CTL_BIND:
        return do_bind(q, r, fd);
    case ZT_CTL_LISTEN:
        if (!v || v->kind != 'b')
            return EINVAL;
        publish(v, ZT_PHASE_LISTENING, 0);
        return 0;
    case ZT_CTL_UDP:
        return do_udp(q, r, fd);
    case ZT_CTL_OPT_GET:
    case ZT_CTL_OPT_SET:
        return do_option(q, r, data);
    case ZT_CTL_INFO:
        if (!v)
            return ENOTCONN;
        *(struct zt_ctl_info *)(void *)data =
            (struct zt_ctl_info){.mss = 1360, .rtt_us = 500, .cwnd_bytes = 13600, .state = 1};
        r->ndata = sizeof(struct zt_ctl_info);
        return 0;
    case ZT_CTL_COMMAND:
        return 0;
    default:
        return ENOSYS;
    }
}

/* One request. False: the client has gone. */
static bool client(int c)
{
    static struct zt_ctl_req q;
    static _Alignas(8) uint8_t data[ZT_CTL_REPLY_DATA];
    memset(&q, 0, sizeof q);
    ssize_t n = recv(c, &q, sizeof q, 0); /* the shim sends at once */
    if (n < (ssize_t)offsetof(struct zt_ctl_req, data))
        return false;
    if (q.type == ZT_CTL_NOTE) {
        do_note(&q);
        return true;
    }
    struct zt_ctl_rep r = {.version = ZT_CTL_VERSION, .type = q.type};
    int fd = -1;
    r.err = serve(&q, &r, data, &fd);
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&ctl.h), &fd, sizeof fd);
    struct iovec iov[2] = {{&r, sizeof r}, {data, r.ndata}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    if (fd >= 0) {
        m.msg_control = &ctl;
        m.msg_controllen = sizeof ctl;
    }
    sendmsg(c, &m, MSG_NOSIGNAL);
    if (fd >= 0)
        close(fd);
    return true;
}

static int open_door(const char *home)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%.80s/%s", home, ZT_CTL_SOCKET);
    unlink(un.sun_path);
    int d = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (d < 0 || bind(d, (struct sockaddr *)&un, sizeof un) < 0 || listen(d, 128) < 0)
        die(un.sun_path);
    chmod(un.sun_path, 0600);
    return d;
}

/* ---- loop ---- */

#define CLIENTS 64
static int clients[CLIENTS], nclients;

/* The oldest makes room. */
static void admit(int c)
{
    if (nclients == CLIENTS) {
        close(clients[0]);
        memmove(clients, clients + 1, sizeof *clients * --nclients);
    }
    clients[nclients++] = c;
}

static void serve_clients(const struct pollfd *p, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        if (!p[i].revents)
            continue;
        last_use = now_ms();
        if (client(p[i].fd))
            continue;
        close(p[i].fd);
        memmove(clients + i, clients + i + 1, sizeof *clients * (--nclients - i));
    }
}

static int build_poll(struct pollfd *p, struct vsock **who, int door, int64_t *due)
{
    int n = 1;
    p[0] = (struct pollfd){door, POLLIN, 0};
    *due = 0;
    for (int i = 0; i < MAX; i++) {
        struct vsock *v = &socks[i];
        if (!v->used || v->fd < 0)
            continue;
        if (v->due_ms && (!*due || v->due_ms < *due))
            *due = v->due_ms;
        short want = 0;
        if (v->kind == 'u' || (v->kind == 't' && !v->due_ms && !v->rd_done && !v->n))
            want = POLLIN;
        if (v->kind == 't' && v->peer && v->peer->n)
            want |= POLLOUT;
        /* A direction that has ended says HUP for ever; what remains is seen through the peer. */
        bool idle = !want && v->rd_done && v->peer && !v->peer->rd_done && !v->reset_on_close;
        who[n] = v;
        p[n++] = (struct pollfd){idle ? -1 : v->fd, want, 0};
    }
    return n;
}

static void turn(int door)
{
    static struct pollfd p[MAX + 1 + CLIENTS];
    static struct vsock *who[MAX + 1];
    int64_t due;
    int n = build_poll(p, who, door, &due);
    int wait = due ? (int)(due - now_ms()) : 500, were = nclients;
    for (int i = 0; i < were; i++)
        p[n + i] = (struct pollfd){clients[i], POLLIN, 0};
    if (poll(p, (nfds_t)(n + were), wait < 0 ? 0 : wait) < 0)
        return;
    for (int i = 1; i < n; i++) {
        struct vsock *v = who[i];
        if (!v->used || v->fd < 0)
            continue;
        if (v->due_ms && now_ms() >= v->due_ms)
            handshake(v);
        else if (v->kind == 'b' && (p[i].revents & POLLHUP))
            drop(v);
        else if (v->due_ms && (p[i].revents & POLLHUP))
            drop(v);
        else if (v->kind == 'u' && p[i].revents)
            datagram(v);
        else if (v->kind == 't' && !v->due_ms && (p[i].revents || v->n))
            pump(v, p[i].revents);
    }
    serve_clients(p + n, were);
    if (p[0].revents & POLLIN) {
        int c = accept4(door, NULL, NULL, SOCK_CLOEXEC);
        if (c >= 0)
            admit(c);
    }
}

int main(int argc, char **argv)
{
    const char *home = NULL;
    int idle = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "-H"))
            home = argv[i + 1];
        else if (!strcmp(argv[i], "--idle"))
            idle = atoi(argv[i + 1]);
    }
    if (!home) {
        fprintf(stderr, "usage: fakehost -H DIR [--lock-fd N] [--idle S]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    make_page(home);
    int door = open_door(home);
    last_use = now_ms();
    for (;;) {
        turn(door);
        bool busy = false;
        for (int i = 0; i < MAX && !busy; i++)
            busy = socks[i].used;
        if (busy)
            last_use = now_ms();
        if (idle && now_ms() - last_use > idle * 1000)
            break;
    }
    __atomic_store_n(&page->stale, 1, __ATOMIC_RELEASE);
    return 0;
}
