/* The client of the node's door: as a rule one short-lived connection per operation, so that the
 * program holds no descriptor of ours that its own `close everything` could hit. A program that asks
 * often keeps one (`kept`, below). Signals are blocked by the caller's guard where it matters, and
 * interrupt nothing elsewhere; waiting is bounded by ZT_PRELOAD_WAIT, also for a node that is stopped. */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

int zt_fd_high(int fd)
{
    for (int from = 200; from > 0; from /= 2) { /* the limit may be lower */
        long r = zt_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
        if (r >= 0) {
            zt_sys1(SYS_close, fd);
            return (int)r;
        }
    }
    return fd;
}

int zt_home_open(void)
{
    if (!zt_settings.home[0])
        return -ENOENT;
    long r = zt_sys4(SYS_openat, AT_FDCWD, zt_settings.home, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    return r < 0 ? (int)r : zt_fd_high((int)r);
}

/* The address of a socket in the home; a long path goes through /proc/self/fd. *dir: descriptor to
 * close afterwards, or -1. */
static int door_address(struct sockaddr_un *un, int *dir)
{
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    *dir = -1;
    size_t n = strlen(zt_settings.home);
    if (!n)
        return -ENOENT;
    if (n + 1 + strlen(ZT_CTL_SOCKET) < sizeof un->sun_path) {
        memcpy(un->sun_path, zt_settings.home, n);
    } else {
        *dir = zt_home_open();
        if (*dir < 0)
            return *dir;
        memcpy(un->sun_path, "/proc/self/fd/", 14);
        n = 14 + zt_put_number(un->sun_path + 14, (unsigned)*dir, 10);
    }
    un->sun_path[n] = '/';
    strcpy(un->sun_path + n + 1, ZT_CTL_SOCKET);
    return 0;
}

/* The home as it was when its path still led there: after chroot or a loss of rights the door is
 * found by its abstract twin, whose name is made of this. */
static struct {
    uid_t uid;
    uint64_t dev, ino;
} home_id;
static atomic_bool home_seen;

void zt_home_remember(void)
{
    struct stat st;
    if (atomic_load(&home_seen) || !zt_settings.home[0] || stat(zt_settings.home, &st) < 0)
        return;
    home_id.uid = st.st_uid;
    home_id.dev = st.st_dev;
    home_id.ino = st.st_ino;
    atomic_store(&home_seen, true);
}

bool zt_home_was_seen(void)
{
    return atomic_load(&home_seen);
}

/* The door must belong to us, to root or to the owner of the home. */
static bool trusted(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return false;
    if (cred.uid == 0 || cred.uid == (uid_t)zt_sys0(SYS_geteuid))
        return true;
    zt_home_remember();
    return atomic_load(&home_seen) && home_id.uid == cred.uid;
}

static int limit_s(void)
{
    return zt_settings.wait_ms / 1000 + 1;
}

/* A queue that is full makes us wait, as long as the socket says. */
static long connect_to(int s, const struct sockaddr_un *un, size_t len)
{
    int64_t until = zt_now_ms() + limit_s() * 1000;
    long r;
    do
        r = zt_sys3(SYS_connect, s, un, len);
    while (r == -EINTR && zt_now_ms() < until);
    return r;
}

static long connect_path(int s)
{
    struct sockaddr_un un;
    int dir;
    long r = door_address(&un, &dir);
    if (r == 0)
        r = connect_to(s, &un, sizeof un);
    if (dir >= 0)
        zt_sys1(SYS_close, dir);
    return r;
}

static long connect_twin(int s)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    unsigned n = zt_ctl_twin(home_id.uid, home_id.dev, home_id.ino, un.sun_path);
    return connect_to(s, &un, offsetof(struct sockaddr_un, sun_path) + n);
}

static int door_connect(void)
{
    long s = zt_sys3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0)
        return (int)s;
    struct timeval limit = {limit_s(), 0};
    s = zt_fd_high((int)s);
    zt_sys5(SYS_setsockopt, s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    long r = connect_path((int)s);
    if ((r == -ENOENT || r == -EACCES || r == -ENOTDIR) && atomic_load(&home_seen)) {
        long t = connect_twin((int)s);
        if (t != -ECONNREFUSED) /* nobody has the name: what the path said counts */
            r = t;
    }
    if (r == 0 && !trusted((int)s))
        r = -EACCES;
    if (r == 0)
        return (int)s;
    zt_sys1(SYS_close, s);
    return (int)r;
}

bool zt_ctl_up(void)
{
    int s = door_connect();
    if (s < 0)
        return false;
    zt_sys1(SYS_close, s);
    return true;
}

void zt_req_init(struct zt_ctl_req *req, enum zt_ctl_type type, uint64_t id)
{
    memset(req, 0, sizeof *req);
    req->version = ZT_CTL_VERSION;
    req->type = (uint8_t)type;
    req->id = id;
}

/* How long a blocking connect waits for its result together with its descriptor. Most are answered by
 * then; the others get the descriptor first and wait for it as for any other. */
#define HOLD_MS 2

/* ---- the connection that is kept ----
 *
 * Making a connection costs more than what is said over it, so it is used again by a program that has
 * connected KEPT_AFTER times in a row, none later than KEPT_MS after the one before. The node ends it a
 * second or two after the last request. Whoever uses it
 * has taken it out of `fd` for that time; others make one of their own meanwhile.
 *
 * It is a descriptor in the program's table, and the program may do with its numbers what it likes. So
 * it stands high up, closes on exec, and is looked at before each use: is it still what was put there?
 * If not, the number is the program's and nothing is done to it. A forked child shares the connection
 * and must not speak on it; it closes its copy. A vfork child has our memory, but not our table, and
 * touches nothing. After a change of user the node has to judge anew. */
#define KEPT_MS 100
#define KEPT_AFTER 8

enum { KEPT_NONE, KEPT_TAKEN, KEPT_THERE };
static struct {
    atomic_int state; /* who takes it, from THERE or NONE, may change what follows */
    int fd, pid;
    uid_t uid;
    uint64_t dev, ino;
} kept;
static _Atomic int64_t last_ms; /* of a connect */
static atomic_uint in_a_row;

static bool kept_is_there(void)
{
    struct stat st;
    return zt_sys2(SYS_fstat, kept.fd, &st) == 0 && st.st_dev == kept.dev && st.st_ino == kept.ino;
}

/* The kept connection, which is then the caller's to give back or close; or -1. */
static int kept_take(void)
{
    int there = KEPT_THERE;
    if (atomic_load_explicit(&kept.state, memory_order_relaxed) != KEPT_THERE || !zt_fds_ours() ||
        !atomic_compare_exchange_strong(&kept.state, &there, KEPT_TAKEN))
        return -1;
    if (kept_is_there()) {
        if (kept.pid == (int)zt_sys0(SYS_getpid) && kept.uid == (uid_t)zt_sys0(SYS_geteuid))
            return kept.fd;
        zt_sys1(SYS_close, kept.fd);
    }
    atomic_store(&kept.state, KEPT_NONE);
    return -1;
}

/* After use. well: more can be said on it. */
static void kept_give(bool well)
{
    if (!well)
        zt_sys1(SYS_close, kept.fd);
    atomic_store(&kept.state, well ? KEPT_THERE : KEPT_NONE);
}

/* A connect went over s: keep it, or close it. */
static void keep(int s)
{
    int64_t now = zt_now_ms();
    bool soon = now - atomic_exchange(&last_ms, now) < KEPT_MS;
    unsigned row = soon ? atomic_fetch_add(&in_a_row, 1) + 1 : 0;
    int none = KEPT_NONE;
    struct timeval limit = {0, HOLD_MS * 1000};
    struct stat st;
    if (!soon)
        atomic_store(&in_a_row, 0);
    if (row < KEPT_AFTER || !zt_fds_ours() || zt_sys2(SYS_fstat, s, &st) < 0 ||
        zt_sys5(SYS_setsockopt, s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        !atomic_compare_exchange_strong(&kept.state, &none, KEPT_TAKEN)) {
        zt_sys1(SYS_close, s);
        return;
    }
    kept.fd = s;
    kept.pid = (int)zt_sys0(SYS_getpid);
    kept.uid = (uid_t)zt_sys0(SYS_geteuid);
    kept.dev = st.st_dev;
    kept.ino = st.st_ino;
    atomic_store(&kept.state, KEPT_THERE);
}

static bool readable(int s, int ms)
{
    int64_t until = zt_now_ms() + ms;
    for (;;) {
        struct pollfd p = {.fd = s, .events = POLLIN};
        struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
        long r = zt_sys5(SYS_ppoll, &p, 1, &t, NULL, 8);
        if (r != -EINTR)
            return r == 1;
        int64_t left = until - zt_now_ms();
        ms = left > 0 ? (int)left : 0;
    }
}

/* A message, which is there (or comes within the time that the socket itself has); received descriptors
 * arrive close-on-exec. */
static int take(int s, struct zt_ctl_rep *rep, void *data, size_t cap, int *fd)
{
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl;
    struct iovec iov[2] = {{rep, sizeof *rep}, {data, data ? cap : 0}};
    struct msghdr m = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = &ctl, .msg_controllen = sizeof ctl};
    long n = zt_sys3(SYS_recvmsg, s, &m, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return (int)n;
    int got = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (n && c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&got, CMSG_DATA(c), sizeof got);
    if (got >= 0 && (!fd || (size_t)n < sizeof *rep)) {
        zt_sys1(SYS_close, got);
        got = -1;
    }
    if ((size_t)n < sizeof *rep || rep->version != ZT_CTL_VERSION)
        return -EPROTO;
    if (fd) /* low as it is: it goes to its place at once */
        *fd = got;
    if (got < 0 && (m.msg_flags & MSG_CTRUNC))
        return -EMFILE;
    return -rep->err;
}

static int receive(int s, struct zt_ctl_rep *rep, void *data, size_t cap, int *fd)
{
    if (!readable(s, limit_s() * 1000))
        return -ETIMEDOUT;
    return take(s, rep, data, cap, fd);
}

/* with: a descriptor to send along, or -1 */
static long send_request(int s, const struct zt_ctl_req *req, int with)
{
    struct iovec iov = {(void *)req, offsetof(struct zt_ctl_req, data) + req->ndata};
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)),
                   .cmsg_level = SOL_SOCKET,
                   .cmsg_type = SCM_RIGHTS}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with >= 0) {
        memcpy(CMSG_DATA(&ctl.h), &with, sizeof with);
        m.msg_control = &ctl;
        m.msg_controllen = sizeof ctl;
    }
    long r;
    do
        r = zt_sys3(SYS_sendmsg, s, &m, MSG_NOSIGNAL); /* waits for room only where a node is stopped */
    while (r == -EINTR);
    return r;
}

static long send_note(int s, enum zt_ctl_note what)
{
    struct zt_ctl_req req;
    zt_req_init(&req, ZT_CTL_NOTE, 0);
    req.value = (int32_t)what;
    return send_request(s, &req, -1);
}

/* waits: receiving from s gives up after HOLD_MS by itself */
static int exchange_on(int s, bool waits, const struct zt_ctl_req *req, int with,
                       struct zt_ctl_rep *rep, void *data, size_t cap, int *fd)
{
    long r = send_request(s, req, with);
    if (r < 0 || !rep)
        return r < 0 ? (int)r : 0;
    bool held = req->type == ZT_CTL_CONNECT && req->value == 1;
    if (waits && (((r = take(s, rep, data, cap, fd)) != -EAGAIN && r != -EINTR) || rep->err))
        return (int)r;
    if (held && (waits || !readable(s, HOLD_MS)))
        send_note(s, ZT_NOTE_GIVE);
    return receive(s, rep, data, cap, fd);
}

static int exchange(struct zt_ctl_req *req, int with, struct zt_ctl_rep *rep, void *data,
                    size_t cap, int *fd)
{
    int s = req->type != ZT_CTL_HELLO && req->type != ZT_CTL_COMMAND ? kept_take() : -1;
    int r;
    if (s >= 0) {
        r = exchange_on(s, true, req, with, rep, data, cap, fd);
        bool ended = r < 0 && (!rep || rep->err == 0);
        kept_give(!ended);
        /* Ended by the node, which then has not looked at what we said. */
        if (r != -EPIPE && r != -ECONNRESET && !(ended && r == -EPROTO))
            return r;
    }
    s = door_connect();
    if (s < 0)
        return s;
    r = exchange_on(s, false, req, with, rep, data, cap, fd);
    if (req->type == ZT_CTL_CONNECT && (r >= 0 || rep->err != 0))
        keep(s);
    else
        zt_sys1(SYS_close, s);
    return r;
}

int zt_ctl(struct zt_ctl_req *req, struct zt_ctl_rep *rep, void *data, size_t cap, int *fd,
           bool start)
{
    return zt_ctl_with(req, -1, rep, data, cap, fd, start);
}

int zt_ctl_with(struct zt_ctl_req *req, int with, struct zt_ctl_rep *rep, void *data, size_t cap,
                int *fd, bool start)
{
    int saved = errno;
    if (fd)
        *fd = -1;
    req->local.scope = zt_if_in(req->local.scope);
    req->remote.scope = zt_if_in(req->remote.scope);
    memset(rep, 0, sizeof *rep);
    int r = exchange(req, with, rep, data, cap, fd);
    /* Nobody there, or it ended between our connect and its answer. */
    bool away = r == -ECONNREFUSED || r == -ENOENT || r == -EPROTO || r == -EPIPE ||
                r == -ECONNRESET || r == -ENOTDIR;
    if (away && rep->err == 0 && start) {
        r = zt_start_node();
        if (r == 0)
            r = exchange(req, with, rep, data, cap, fd);
    }
    if (r < 0 && rep->err == 0) {
        zt_debug(1, "no answer from the node of %s: error %d", zt_settings.home, -r);
        if (r != -EMFILE && r != -ENFILE)
            r = -ENETUNREACH;
    }
    errno = saved;
    return r;
}

int zt_ctl_page(void)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep = {0};
    int fd = -1;
    zt_req_init(&req, ZT_CTL_HELLO, 0);
    int r = exchange(&req, -1, &rep, NULL, 0, &fd);
    return r < 0 ? r : fd >= 0 ? fd : -ENOENT;
}

int zt_ctl_command(const char *a, const char *b)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep = {0};
    zt_req_init(&req, ZT_CTL_COMMAND, 0);
    size_t na = strlen(a), nb = strlen(b);
    if (na + nb + 1 > sizeof req.data)
        return -EINVAL;
    memcpy(req.data, a, na);
    memcpy(req.data + na, b, nb + 1);
    req.ndata = (uint32_t)(na + nb);
    return exchange(&req, -1, &rep, NULL, 0, NULL);
}

void zt_ctl_note(uint64_t id, enum zt_ctl_note what)
{
    struct zt_ctl_req req;
    zt_req_init(&req, ZT_CTL_NOTE, id);
    req.value = (int32_t)what;
    exchange(&req, -1, NULL, NULL, 0, NULL);
}
