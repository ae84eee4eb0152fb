/* Control clients. Each connection is
 *
 *   idle ──request──> answered ──> idle        (socket requests: at once)
 *     ├──connect──> held ──its result, or ZT_NOTE_GIVE──> answered
 *     └──command──> waiting ──zt_door_reply──> sending ──> idle
 *                      └──zt_door_watch──> watching, to the end
 *
 * and ends when the client closes. A program's connection may stay open for its next socket request
 * (`kept`): it is ended after IDLE_MS to twice of that without one, or at once when the door is full,
 * and counts for nothing else.
 *
 * One reply per request is small and fits in an empty socket
 * buffer; only the reply of a command may need several messages, and those wait for the client.
 * For those who watch nothing waits but what is in the socket's buffer, which bounds it; they are
 * told what they missed.
 *
 * Who may come in: our own uid, root, and uids that the home's owner listed (checked with
 * SO_PEERCRED: the abstract twin has no file permissions); the last have sockets, and what commands
 * they may give is not decided here. What comes in is untrusted all the same:
 * sizes and version are checked, a descriptor is accepted with the one request that needs it and
 * closed otherwise, and at most CLIENTS_MOST connections wait at a time; the rest stays in the
 * kernel's queue. */
#include "node/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/list.h"
#include "node/fork.h"

#define CLIENTS_MOST 512
#define BACKLOG 128
#define RETRY_MS 50
#define IDLE_MS 1000

struct client {
    struct zt_door *door;
    struct zt_list link;
    uv_poll_t poll;
    int fd;
    struct zt_door_reply *waiting; /* for a command's answer */
    char *text;                    /* the rest of it */
    size_t ntext, sent;
    struct zt_ctl_rep rep;
    char *parts; /* of a command that is longer than a message: ZT_CTL_MORE so far */
    size_t nparts, cap_parts;
    bool is_owner;
    bool watching;
    uint64_t missed; /* watching: what found the socket full */
    bool kept;       /* waits for nothing but its next socket request */
    bool quiet;      /* and did so all the time since the last look */
    struct zt_waiter waiter; /* of a connect that is not answered yet */
};

struct zt_door_reply {
    struct client *client; /* NULL: gone */
};

struct entrance {
    struct zt_door *door;
    uv_poll_t poll;
    int fd;
};

struct zt_door {
    struct zt_door_config cfg;
    uint32_t *allow;
    struct entrance in[2]; /* file, abstract twin */
    unsigned nin;
    uv_timer_t retry; /* to accept again after EMFILE */
    uv_timer_t idle;  /* runs while somebody is `kept` */
    struct zt_list clients; /* who asked last is last */
    unsigned nclients, nwatching, nkept, handles;
    int home_fd;
    bool paused, ending;
    uint8_t data[ZT_CTL_REPLY_DATA];
};

static void pause_accept(struct zt_door *d, bool retry);
static void resume_accept(struct zt_door *d);

static void on_closed(uv_handle_t *h, struct zt_door *d)
{
    (void)h;
    if (--d->handles || !d->ending)
        return;
    free(d->allow);
    free(d);
}

/* --- clients ---------------------------------------------------------------------------------- */

static void on_client_closed(uv_handle_t *h)
{
    struct client *c = h->data;
    struct zt_door *d = c->door;

    free(c->text);
    free(c->parts);
    free(c);
    on_closed(h, d);
}

static void client_close(struct client *c)
{
    if (c->fd < 0)
        return;
    if (c->waiting)
        c->waiting->client = NULL;
    if (c->waiter.stream)
        zt_waiter_drop(&c->waiter);
    zt_list_remove(&c->link);
    c->door->nclients--;
    c->door->nkept -= c->kept;
    c->door->nwatching -= c->watching;
    uv_close((uv_handle_t *)&c->poll, on_client_closed);
    zt_fd_close(c->fd);
    c->fd = -1;
    resume_accept(c->door);
}

/* One message, with a descriptor when fd >= 0. False: errno says why. */
static bool send_rep(struct client *c, const struct zt_ctl_rep *r, const void *data, int fd)
{
    struct iovec iov[2] = {{(void *)r, sizeof *r}, {(void *)data, r->ndata}};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } ctl = {0};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = r->ndata ? 2 : 1};

    if (fd >= 0) {
        struct cmsghdr *h;
        m.msg_control = ctl.buf;
        m.msg_controllen = sizeof ctl.buf;
        h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &fd, sizeof fd);
    }
    return sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void refuse(struct client *c, uint8_t type, int err)
{
    struct zt_ctl_rep r = {.version = ZT_CTL_VERSION, .type = type, .err = err};

    if (!send_rep(c, &r, NULL, -1))
        client_close(c);
}

/* Refuses, and what the client has still sent with it. */
static void end_with(struct client *c, uint8_t type, int err)
{
    refuse(c, type, err);
    client_close(c);
}

static void hello(struct client *c)
{
    struct zt_ctl_rep r = {.version = ZT_CTL_VERSION, .type = ZT_CTL_HELLO};

    if (!send_rep(c, &r, NULL, zt_proxy_state_fd(c->door->cfg.proxy)))
        client_close(c);
}

/* Adds to the text that is being put together, with a zero behind it. 0 or an errno. */
static int add_part(struct client *c, const struct zt_ctl_req *q)
{
    size_t need = c->nparts + q->ndata;

    if (need > ZT_CTL_TEXT)
        return E2BIG;
    if (need + 1 > c->cap_parts) {
        size_t cap = c->cap_parts ? c->cap_parts * 2 : ZT_CTL_DATA * 2;
        char *p = realloc(c->parts, cap);
        if (!p)
            return ENOMEM;
        c->parts = p;
        c->cap_parts = cap;
    }
    memcpy(c->parts + c->nparts, q->data, q->ndata);
    c->nparts = need;
    c->parts[need] = 0;
    return 0;
}

static void command(struct client *c, const struct zt_ctl_req *q)
{
    struct zt_door_reply *to = calloc(1, sizeof *to);
    int err = to ? add_part(c, q) : ENOMEM;
    char *text = c->parts;

    c->parts = NULL;
    c->nparts = c->cap_parts = 0;
    if (err) {
        free(text);
        free(to);
        refuse(c, q->type, err);
        return;
    }
    to->client = c;
    c->waiting = to;
    c->door->cfg.command(c->door->cfg.user, text, c->is_owner, to);
    free(text);
}

/* --- connections that stay open ---------------------------------------------------------------- */

/* Ends those that were quiet since the last look; any: one of them, whether it was or not. */
static void end_quiet(struct zt_door *d, bool any)
{
    for (struct zt_list *l = d->clients.next, *next; l != &d->clients; l = next) {
        struct client *c = ZT_CONTAINER(l, struct client, link);
        next = l->next;
        if (!c->kept)
            continue;
        if (c->quiet || any)
            client_close(c);
        else
            c->quiet = true;
        if (any)
            return;
    }
}

static void on_idle(uv_timer_t *t)
{
    struct zt_door *d = t->data;

    end_quiet(d, false);
    if (d->nkept == 0)
        uv_timer_stop(t);
}

static void keep(struct client *c)
{
    struct zt_door *d = c->door;

    if (c->fd < 0 || c->kept)
        return;
    if (d->paused) { /* others wait */
        client_close(c);
        return;
    }
    c->kept = true;
    c->quiet = false;
    d->nkept++;
    if (!uv_is_active((uv_handle_t *)&d->idle))
        uv_timer_start(&d->idle, on_idle, IDLE_MS, IDLE_MS);
}

static void keep_no_more(struct client *c)
{
    c->door->nkept -= c->kept;
    c->kept = false;
    zt_list_remove(&c->link);
    zt_list_push_back(&c->door->clients, &c->link);
}

/* --- socket requests ---------------------------------------------------------------------------- */

static void answer(struct client *c, const struct zt_ctl_rep *r, int fd)
{
    bool ok = send_rep(c, r, c->door->data, fd);

    if (fd >= 0)
        close(fd); /* not delivered: that was the last copy, and the socket ends */
    if (ok)
        keep(c);
    else
        client_close(c);
}

static void on_result(struct zt_waiter *h, const struct zt_ctl_rep *r, int fd)
{
    answer(ZT_CONTAINER(h, struct client, waiter), r, fd);
}

static void connect_request(struct client *c, const struct zt_ctl_req *q)
{
    struct zt_ctl_rep r;
    int fd;

    c->waiter.answer = on_result;
    if (!zt_proxy_connect(c->door->cfg.proxy, q, &c->waiter, &r, &fd))
        answer(c, &r, fd);
}

/* A second request before the answer: there is only one that makes sense. */
static void while_waiting(struct client *c, const struct zt_ctl_req *q)
{
    struct zt_ctl_rep r;
    int fd;

    if (q->type != ZT_CTL_NOTE || q->value != ZT_NOTE_GIVE) {
        client_close(c);
        return;
    }
    zt_waiter_give(&c->waiter, &r, &fd);
    answer(c, &r, fd);
}

/* with: the descriptor that came along, or -1; taken over. */
static void socket_request(struct client *c, const struct zt_ctl_req *q, int with)
{
    struct zt_ctl_rep r;
    int fd;

    if (q->type == ZT_CTL_MERGE)
        zt_proxy_merge(c->door->cfg.proxy, q, with, &r, &fd);
    else
        zt_proxy_request(c->door->cfg.proxy, q, &r, c->door->data, &fd);
    if (q->type != ZT_CTL_NOTE)
        answer(c, &r, fd);
    else
        keep(c);
}

/* True when the message is a request that can be looked at. */
static bool check(const struct zt_ctl_req *q, size_t n, int *err)
{
    *err = EPROTO;
    if (n < offsetof(struct zt_ctl_req, data) || q->version != ZT_CTL_VERSION)
        return false;
    *err = EINVAL;
    return q->ndata <= ZT_CTL_DATA && q->ndata <= n - offsetof(struct zt_ctl_req, data) &&
           q->nopts <= ZT_CTL_OPTS;
}

/* One message and the descriptor in it, or -1. More than one: none was asked for. */
static ssize_t receive(int fd, struct zt_ctl_req *q, int *with)
{
    struct iovec iov = {q, sizeof *q};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(2 * sizeof(int))]; /* its padding would hold a second one in any case */
    } ctl;
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof ctl.buf};
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *h = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    int fds[2];
    size_t nfds = 0;

    *with = -1;
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
        nfds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(h), nfds * sizeof(int));
    }
    if (nfds == 1)
        *with = fds[0];
    for (size_t i = 0; nfds > 1 && i < nfds; i++)
        close(fds[i]);
    return n;
}

/* False: nothing more to read now. */
static bool serve_one(struct client *c)
{
    struct zt_ctl_req q;
    ssize_t n;
    int err, with;

    memset(&q, 0, sizeof q);
    n = receive(c->fd, &q, &with);
    if (with >= 0 && (q.type != ZT_CTL_MERGE || c->waiter.stream || !check(&q, (size_t)n, &err))) {
        close(with);
        with = -1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        client_close(c);
        return false;
    }
    keep_no_more(c);
    if (!check(&q, (size_t)n, &err))
        refuse(c, q.type, err);
    else if (c->waiter.stream)
        while_waiting(c, &q);
    else if (q.type == ZT_CTL_HELLO)
        hello(c);
    else if (q.type == ZT_CTL_COMMAND)
        command(c, &q);
    else if (q.type == ZT_CTL_CONNECT && q.value == 1)
        connect_request(c, &q);
    else if (q.type != ZT_CTL_MORE)
        socket_request(c, &q, with);
    else if ((err = c->is_owner ? add_part(c, &q) : EACCES) == 0) /* no command of others is that long */
        return true;
    else
        end_with(c, q.type, err);
    return false;
}

/* Parts of a long command come in a row: take some of them in one go, and then let others in. */
static void serve(struct client *c)
{
    for (int i = 0; i < 64 && serve_one(c); i++)
        ;
}

static void on_client(uv_poll_t *h, int status, int events);

/* While an answer is owed the client is only watched for going away. Who watches has nothing more
 * to say: a message from it, too, is its end. */
static void watch(struct client *c)
{
    int want = c->text ? UV_WRITABLE : c->waiting ? UV_PRIORITIZED : UV_READABLE;

    if (c->missed > 0)
        want |= UV_WRITABLE;

    if (c->fd >= 0)
        uv_poll_start(&c->poll, want, on_client);
}

static void send_text(struct client *c)
{
    bool first = c->sent == 0;

    while (c->sent < c->ntext || first) {
        size_t n = c->ntext - c->sent;
        if (n > ZT_CTL_REPLY_DATA)
            n = ZT_CTL_REPLY_DATA;
        c->rep.ndata = (uint32_t)n;
        c->rep.more = c->sent + n < c->ntext;
        if (!send_rep(c, &c->rep, c->text + c->sent, -1)) {
            if (errno != EAGAIN && errno != ENOBUFS)
                client_close(c);
            return;
        }
        c->sent += n;
        first = false;
    }
    free(c->text);
    c->text = NULL;
}

/* One message to a client that watches. False: it has no room, or is gone. */
static bool tell_one(struct client *c, const char *text, size_t n)
{
    struct zt_ctl_rep r = {
        .version = ZT_CTL_VERSION, .type = ZT_CTL_COMMAND, .more = 1, .ndata = (uint32_t)n};

    if (send_rep(c, &r, text, -1))
        return true;
    if (errno != EAGAIN && errno != ENOBUFS)
        client_close(c);
    return false;
}

static void tell_missed(struct client *c)
{
    char text[64];
    int n = snprintf(text, sizeof text, "{\"event\":\"missed\",\"count\":%llu}",
                     (unsigned long long)c->missed);

    if (c->missed > 0 && tell_one(c, text, (size_t)n))
        c->missed = 0;
}

static void on_client(uv_poll_t *h, int status, int events)
{
    struct client *c = h->data;

    if (status < 0 || (c->waiting && !c->text) || /* error, or hang-up while we think */
        (c->watching && (events & UV_READABLE))) {
        client_close(c);
        return;
    }
    if (c->watching)
        tell_missed(c);
    else if (c->text)
        send_text(c);
    else
        serve(c);
    watch(c);
}

void zt_door_reply(struct zt_door_reply *to, int err, const char *text, size_t n)
{
    struct client *c = to->client;

    free(to);
    if (!c)
        return;
    c->waiting = NULL;
    c->text = malloc(n + 1);
    if (!c->text) {
        client_close(c);
        return;
    }
    if (n)
        memcpy(c->text, text, n);
    c->ntext = n;
    c->sent = 0;
    c->rep = (struct zt_ctl_rep){.version = ZT_CTL_VERSION, .type = ZT_CTL_COMMAND, .err = err};
    send_text(c);
    watch(c);
}

void zt_door_watch(struct zt_door_reply *to, const char *first, size_t n)
{
    struct client *c = to->client;

    free(to);
    if (!c)
        return;
    c->waiting = NULL;
    c->watching = true;
    c->door->nwatching++;
    (void)tell_one(c, first, n);
    watch(c);
}

bool zt_door_is_watched(const struct zt_door *d)
{
    return d->nwatching > 0;
}

void zt_door_tell(struct zt_door *d, const char *text, size_t n)
{
    if (d->nwatching == 0)
        return;
    for (struct zt_list *l = d->clients.next, *next; l != &d->clients; l = next) {
        struct client *c = ZT_CONTAINER(l, struct client, link);
        next = l->next;
        if (!c->watching)
            continue;
        tell_missed(c);
        if (c->fd >= 0 && (c->missed > 0 || !tell_one(c, text, n)))
            c->missed++;
        watch(c);
    }
}

/* --- entrances -------------------------------------------------------------------------------- */

static bool is_welcome(const struct zt_door *d, int fd, bool *is_owner)
{
    struct ucred who;
    socklen_t n = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
        return false;
    *is_owner = who.uid == 0 || who.uid == geteuid();
    if (*is_owner)
        return true;
    for (unsigned i = 0; i < d->cfg.nallow; i++)
        if (d->allow[i] == who.uid)
            return true;
    return false;
}

static void admit(struct zt_door *d, int fd)
{
    bool is_owner;
    struct client *c = is_welcome(d, fd, &is_owner) ? calloc(1, sizeof *c) : NULL;

    if (!c || uv_poll_init(zt_loop_uv(d->cfg.loop), &c->poll, fd) != 0) {
        free(c);
        close(fd);
        return;
    }
    c->door = d;
    c->poll.data = c;
    c->fd = zt_fd_own(fd);
    c->is_owner = is_owner;
    zt_list_init(&c->link);
    zt_list_push_back(&d->clients, &c->link);
    d->nclients++;
    d->handles++;
    serve(c); /* a client sends right after connect: the request is there as a rule */
    watch(c);
}

static void on_entrance(uv_poll_t *h, int status, int events)
{
    struct entrance *in = h->data;
    struct zt_door *d = in->door;

    (void)status;
    (void)events;
    for (int i = 0; i < 32 && !d->paused; i++) {
        int fd = accept4(in->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            admit(d, fd);
            if (d->nclients >= CLIENTS_MOST)
                end_quiet(d, true);
            if (d->nclients >= CLIENTS_MOST)
                pause_accept(d, false);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accept(d, true);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            break;
        }
    }
}

static void on_retry(uv_timer_t *t)
{
    resume_accept(t->data);
}

static void pause_accept(struct zt_door *d, bool retry)
{
    d->paused = true;
    for (unsigned i = 0; i < d->nin; i++)
        uv_poll_stop(&d->in[i].poll);
    if (retry)
        uv_timer_start(&d->retry, on_retry, RETRY_MS, 0);
}

static void resume_accept(struct zt_door *d)
{
    if (!d->paused || d->ending || d->nclients >= CLIENTS_MOST)
        return;
    d->paused = false;
    for (unsigned i = 0; i < d->nin; i++)
        uv_poll_start(&d->in[i].poll, UV_READABLE, on_entrance);
}

static int open_entrance(struct zt_door *d, const struct sockaddr_un *sun, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct entrance *in = &d->in[d->nin];

    if (fd < 0)
        return ZT_E_IO;
    /* Before bind: the file is then made with this mode, without a moment of another. */
    if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)sun, len) != 0 ||
        listen(fd, BACKLOG) != 0 || uv_poll_init(zt_loop_uv(d->cfg.loop), &in->poll, fd) != 0) {
        close(fd);
        return ZT_E_IO;
    }
    in->door = d;
    in->poll.data = in;
    in->fd = zt_fd_own(fd);
    d->nin++;
    d->handles++;
    uv_poll_start(&in->poll, UV_READABLE, on_entrance);
    return 0;
}

static int open_file(struct zt_door *d)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int n = snprintf(sun.sun_path, sizeof sun.sun_path, "%s/%s", d->cfg.home, ZT_CTL_SOCKET);

    if (n >= (int)sizeof sun.sun_path) /* too long a path: the folder has a short name too */
        snprintf(sun.sun_path, sizeof sun.sun_path, "/proc/self/fd/%d/%s", d->home_fd,
                 ZT_CTL_SOCKET);
    if (unlinkat(d->home_fd, ZT_CTL_SOCKET, 0) != 0 && errno != ENOENT)
        return ZT_E_IO;
    return open_entrance(d, &sun, sizeof sun);
}

/* Without the twin all but chroot works: failure is not an error. */
static void open_twin(struct zt_door *d)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct stat st;
    unsigned n;

    if (fstat(d->home_fd, &st) != 0)
        return;
    n = zt_ctl_twin(geteuid(), st.st_dev, st.st_ino, sun.sun_path);
    (void)open_entrance(d, &sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

int zt_door_allow(struct zt_door *d, const uint32_t *uids, unsigned n)
{
    uint32_t *allow = malloc((n + 1u) * sizeof *allow);
    if (!allow)
        return ZT_E_NOMEM;
    if (n > 0)
        memcpy(allow, uids, n * sizeof *allow);
    free(d->allow);
    d->allow = allow;
    d->cfg.nallow = n;
    return 0;
}

int zt_door_new(const struct zt_door_config *cfg, struct zt_door **out)
{
    struct zt_door *d = calloc(1, sizeof *d);
    int err = ZT_E_IO;

    *out = NULL;
    if (!d)
        return ZT_E_NOMEM;
    d->cfg = *cfg;
    zt_list_init(&d->clients);
    d->home_fd = open(cfg->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (d->home_fd < 0 || (err = zt_door_allow(d, cfg->allow_uids, cfg->nallow)) != 0 ||
        (err = open_file(d)) != 0) {
        if (d->home_fd >= 0)
            close(d->home_fd);
        free(d->allow);
        free(d);
        return err;
    }
    zt_fd_own(d->home_fd);
    open_twin(d);
    uv_timer_init(zt_loop_uv(cfg->loop), &d->retry);
    uv_timer_init(zt_loop_uv(cfg->loop), &d->idle);
    d->retry.data = d->idle.data = d;
    d->handles += 2;
    *out = d;
    return 0;
}

static void on_entrance_closed(uv_handle_t *h)
{
    on_closed(h, ((struct entrance *)h->data)->door);
}

static void on_timer_closed(uv_handle_t *h)
{
    on_closed(h, h->data);
}

void zt_door_free(struct zt_door *d)
{
    if (!d)
        return;
    d->ending = true;
    unlinkat(d->home_fd, ZT_CTL_SOCKET, 0);
    zt_fd_close(d->home_fd);
    while (!zt_list_empty(&d->clients))
        client_close(ZT_CONTAINER(d->clients.next, struct client, link));
    for (unsigned i = 0; i < d->nin; i++) {
        uv_close((uv_handle_t *)&d->in[i].poll, on_entrance_closed);
        zt_fd_close(d->in[i].fd);
    }
    uv_close((uv_handle_t *)&d->retry, on_timer_closed);
    uv_close((uv_handle_t *)&d->idle, on_timer_closed);
}

unsigned zt_door_clients(const struct zt_door *d)
{
    return d->nclients - d->nkept;
}
