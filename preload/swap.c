/* Putting a virtual descriptor in the place of the program's socket.
 *
 * dup3 onto the number is atomic for other threads. It is the program's number: where another thread has closed it
 * meanwhile, which may have taken long, it is left alone. What the number had beside the description must
 * be carried over: status flags, owner for signals, time-outs, and its registrations with epoll,
 * which the kernel ties to the old description (a program that registers before it connects, as
 * nginx does, would otherwise wait for ever). A registration is deleted before the dup3: if a
 * duplicate of the old description lives, it would stay and report for ever, and could no longer be
 * deleted.
 *
 * What was told to the old socket (options, port) is read from the old socket. So nothing has to be
 * remembered, and it makes no difference which process or library said it. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
enum { TCP_STATE_SYN_SENT = 2 };

static bool get_int(int fd, int level, int name, int *v)
{
    socklen_t len = sizeof *v;
    *v = 0;
    return zt_sys5(SYS_getsockopt, fd, level, name, v, &len) == 0;
}

/* ---- reading the old socket ---- */

bool zt_facts_read(int fd, struct zt_facts *f)
{
    int v;
    memset(f, 0, sizeof *f);
    if (!get_int(fd, SOL_SOCKET, SO_DOMAIN, &f->domain) ||
        (f->domain != AF_INET && f->domain != AF_INET6) ||
        !get_int(fd, SOL_SOCKET, SO_TYPE, &f->type) ||
        !get_int(fd, SOL_SOCKET, SO_PROTOCOL, &f->protocol))
        return false;
    bool tcp =
        f->type == SOCK_STREAM && (f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_MPTCP);
    bool udp = f->type == SOCK_DGRAM && f->protocol == IPPROTO_UDP;
    if (!tcp && !udp)
        return false;
    f->fl = (int)zt_sys3(SYS_fcntl, fd, F_GETFL, 0);
    if (f->domain == AF_INET6) {
        f->flags |= ZT_W_V6;
        f->v6only = get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v) && v;
    }
    if (tcp) {
        uint8_t state = ZT_TCP_CLOSE;
        socklen_t len = sizeof state;
        zt_sys5(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &state, &len);
        f->used = state != ZT_TCP_CLOSE;
        f->used_err = state == TCP_STATE_SYN_SENT ? EALREADY : EISCONN;
    } else {
        static const struct {
            int level, name;
            zt_word flag;
        } marks[] = {
            {IPPROTO_IP, IP_PKTINFO, ZT_W_PKTINFO}, {IPPROTO_IPV6, IPV6_RECVPKTINFO, ZT_W_PKTINFO},
            {IPPROTO_IP, IP_RECVTOS, ZT_W_RECVTOS}, {IPPROTO_IPV6, IPV6_RECVTCLASS, ZT_W_RECVTOS},
            {IPPROTO_IP, IP_RECVTTL, ZT_W_RECVTTL}, {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, ZT_W_RECVTTL},
            {SOL_SOCKET, SO_TIMESTAMP, ZT_W_STAMP}, {SOL_SOCKET, SO_TIMESTAMPNS, ZT_W_STAMPNS},
        };
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
            if ((marks[i].level != IPPROTO_IPV6 || f->domain == AF_INET6) &&
                get_int(fd, marks[i].level, marks[i].name, &v) && v)
                f->flags |= marks[i].flag;
    }
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    if (zt_sys3(SYS_getsockname, fd, &ss, &len) == 0 &&
        zt_addr_from((struct sockaddr *)&ss, len, &f->local)) {
        f->local_any = zt_addr_any(&f->local);
        if (!f->local.port)
            f->local.family = 0;
    }
    return true;
}

/* Options that differ from what a fresh socket has; the rest need not be told. */
unsigned zt_facts_opts(int fd, const struct zt_facts *f, struct zt_ctl_opt out[ZT_CTL_OPTS])
{
    static const struct {
        int level, name, usual;
        char where; /* t TCP, u UDP, b both; 6: sockets of AF_INET6 only */
        bool v6;
    } table[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 0, 't', false},
        {IPPROTO_TCP, TCP_NODELAY, 0, 't', false},
        {IPPROTO_TCP, TCP_KEEPIDLE, 7200, 't', false},
        {IPPROTO_TCP, TCP_KEEPINTVL, 75, 't', false},
        {IPPROTO_TCP, TCP_KEEPCNT, 9, 't', false},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 't', false},
        {IPPROTO_TCP, TCP_CORK, 0, 't', false},
        {IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 't', false},
        {SOL_SOCKET, SO_REUSEADDR, 0, 'b', false},
        {SOL_SOCKET, SO_REUSEPORT, 0, 'b', false},
        {SOL_SOCKET, SO_OOBINLINE, 0, 't', false},
        {SOL_SOCKET, SO_BROADCAST, 0, 'u', false},
        {IPPROTO_UDP, UDP_CORK, 0, 'u', false},
        {IPPROTO_IP, IP_TOS, 0, 'b', false},
        {IPPROTO_IP, IP_TTL, 64, 'b', false},
        {IPPROTO_IP, IP_RECVERR, 0, 'u', false},
        {IPPROTO_IP, IP_MULTICAST_TTL, 1, 'u', false},
        {IPPROTO_IP, IP_MULTICAST_LOOP, 1, 'u', false},
        {IPPROTO_IPV6, IPV6_TCLASS, 0, 'b', true},
        {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64, 'b', true},
        {IPPROTO_IPV6, IPV6_RECVERR, 0, 'u', true},
        {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1, 'u', true},
        {IPPROTO_IPV6, IPV6_V6ONLY, 0, 'b', true},
        {IPPROTO_TCP, TCP_SYNCNT, 6, 't', false},
        {IPPROTO_TCP, TCP_LINGER2, 60, 't', false},
    };
    unsigned n = 0;
    char kind = f->type == SOCK_STREAM ? 't' : 'u';
    struct linger lg = {0, 0};
    socklen_t len = sizeof lg;
    if (zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &lg, &len) == 0 && lg.l_onoff)
        out[n++] = (struct zt_ctl_opt){SOL_SOCKET, SO_LINGER, lg.l_linger};
    int lock, v;
    if (get_int(fd, SOL_SOCKET, SO_BUF_LOCK, &lock)) {
        if ((lock & 1) && get_int(fd, SOL_SOCKET, SO_SNDBUF, &v))
            out[n++] = (struct zt_ctl_opt){SOL_SOCKET, SO_SNDBUF, v / 2};
        if ((lock & 2) && get_int(fd, SOL_SOCKET, SO_RCVBUF, &v))
            out[n++] = (struct zt_ctl_opt){SOL_SOCKET, SO_RCVBUF, v / 2};
    }
    for (size_t i = 0; i < sizeof table / sizeof *table && n < ZT_CTL_OPTS; i++) {
        if ((table[i].where != 'b' && table[i].where != kind) ||
            (table[i].v6 && f->domain != AF_INET6))
            continue;
        if (get_int(fd, table[i].level, table[i].name, &v) && v != table[i].usual)
            out[n++] = (struct zt_ctl_opt){table[i].level, table[i].name, v};
    }
    return n;
}

static void copy_opt(int from, int to, int name, size_t size)
{
    char v[16] = {0}, zero[16] = {0};
    socklen_t len = (socklen_t)size;
    if (zt_sys5(SYS_getsockopt, from, SOL_SOCKET, name, v, &len) == 0 && memcmp(v, zero, size))
        zt_sys5(SYS_setsockopt, to, SOL_SOCKET, name, v, len);
}

#define STATUS_FLAGS (O_NONBLOCK | O_ASYNC | O_NOATIME | O_APPEND)

static void copy_status(int to, int fl)
{
    zt_sys3(SYS_fcntl, to, F_SETFL, fl & STATUS_FLAGS);
}

static void copy_description(int from, int to, int fl)
{
    struct {
        int type, pid;
    } owner;
    copy_opt(from, to, SO_RCVTIMEO, sizeof(struct timeval));
    copy_opt(from, to, SO_SNDTIMEO, sizeof(struct timeval));
    copy_opt(from, to, SO_PRIORITY, sizeof(int));
    int lowat, lock, v;
    if (get_int(from, SOL_SOCKET, SO_RCVLOWAT, &lowat) && lowat != 1)
        zt_sys5(SYS_setsockopt, to, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat);
    if (get_int(from, SOL_SOCKET, SO_BUF_LOCK, &lock) && (lock & 2) &&
        get_int(from, SOL_SOCKET, SO_RCVBUF, &v)) {
        v /= 2; /* the kernel reports twice what was asked */
        zt_sys5(SYS_setsockopt, to, SOL_SOCKET, SO_RCVBUF, &v, sizeof v);
    }
    if (zt_sys3(SYS_fcntl, from, F_GETOWN_EX, &owner) == 0 && owner.pid)
        zt_sys3(SYS_fcntl, to, F_SETOWN_EX, &owner);
    long sig = zt_sys3(SYS_fcntl, from, F_GETSIG, 0);
    if (sig > 0)
        zt_sys3(SYS_fcntl, to, F_SETSIG, sig);
    copy_status(to, fl);
}

/* ---- epoll ---- */

struct entry {
    int epfd;
    struct epoll_event ev;
};
#define ENTRIES 16

/* Look for "tfd: <fd> events: <hex> data: <hex>" of fd in a set. */
static bool read_fdinfo(int epfd, int fd, struct epoll_event *ev)
{
    char path[48] = "/proc/self/fdinfo/";
    size_t at = strlen(path);
    path[at + zt_put_number(path + at, (unsigned)epfd, 10)] = 0;
    long file = zt_sys4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return false;
    char buf[4096];
    size_t have = 0;
    bool found = false;
    for (;;) {
        long r = zt_sys3(SYS_read, file, buf + have, sizeof buf - 1 - have);
        if (r <= 0 || found)
            break;
        have += (size_t)r;
        buf[have] = 0;
        char *line = buf, *end;
        while (!found && (end = strchr(line, '\n'))) {
            *end = 0;
            char *p = line, *events, *data;
            if (!strncmp(p, "tfd:", 4) && strtol(p + 4, &p, 10) == fd &&
                (events = strstr(p, "events:")) && (data = strstr(p, "data:"))) {
                ev->events = (uint32_t)strtoul(events + 7, NULL, 16);
                ev->data.u64 = strtoull(data + 5, NULL, 16);
                found = true;
            }
            line = end + 1;
        }
        have = strlen(line);
        memmove(buf, line, have + 1);
    }
    zt_sys1(SYS_close, file);
    return found;
}

/* Every epoll set of this process that holds fd: for a descriptor registered more than once. */
static size_t search_sets(int fd, struct entry *out, size_t cap)
{
    long dir =
        zt_sys4(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (dir < 0)
        return 0;
    char buf[2048];
    size_t found = 0;
    long n;
    while ((n = zt_sys3(SYS_getdents64, dir, buf, sizeof buf)) > 0)
        for (long at = 0; at < n && found < cap;) {
            unsigned short reclen;
            memcpy(&reclen, buf + at + 16, 2);
            const char *name = buf + at + 19;
            at += reclen;
            char link[32];
            long r = zt_sys4(SYS_readlinkat, dir, name, link, sizeof link);
            if (r != 22 || memcmp(link, "anon_inode:[eventpoll]", 22))
                continue;
            out[found].epfd = atoi(name);
            if (read_fdinfo(out[found].epfd, fd, &out[found].ev))
                found++;
        }
    zt_sys1(SYS_close, dir);
    return found;
}

static size_t find_registrations(int fd, struct entry *out, size_t cap)
{
    struct zt_note *note = zt_note_of(fd, false);
    int ep = note ? atomic_load(&note->epfd) : ZT_NOTE_NONE;
    if (ep == ZT_NOTE_NONE)
        return 0;
    if (ep == ZT_NOTE_MANY)
        return search_sets(fd, out, cap);
    out[0].epfd = ep - 1;
    out[0].ev.events = atomic_load(&note->events);
    out[0].ev.data.u64 = atomic_load(&note->data);
    /* A one-shot entry may have fired since: only the kernel knows. */
    if (out[0].ev.events & EPOLLONESHOT)
        return read_fdinfo(out[0].epfd, fd, &out[0].ev) ? 1 : 0;
    return 1;
}

/* ---- the swap ---- */

static int swap_one(int fd, int newfd, zt_word w, zt_word must)
{
    struct entry e[ENTRIES];
    size_t n = find_registrations(fd, e, ENTRIES), kept = 0;
    for (size_t i = 0; i < n; i++)
        if (zt_sys4(SYS_epoll_ctl, e[i].epfd, EPOLL_CTL_DEL, fd, &e[i].ev) == 0)
            e[kept++] = e[i];
    long cloexec = zt_sys3(SYS_fcntl, fd, F_GETFD, 0);
    long r = -EBADF;
    if ((zt_word_any(fd) & must) == must)
        r = zt_sys3(SYS_dup3, newfd, fd, (cloexec & FD_CLOEXEC) ? O_CLOEXEC : 0);
    if (r >= 0)
        zt_word_set(fd, w);
    for (size_t i = 0; i < kept; i++)
        zt_sys4(SYS_epoll_ctl, e[i].epfd, EPOLL_CTL_ADD, fd, &e[i].ev);
    if (r < 0)
        zt_debug(1, "descriptor %d cannot go to the virtual network: error %d", fd, (int)-r);
    else
        zt_debug(2, "descriptor %d is on the virtual network now, %d epoll registrations with it", fd,
                 (int)kept);
    return r < 0 ? (int)r : 0;
}

uint64_t zt_cookie(int fd)
{
    uint64_t c = 0;
    socklen_t len = sizeof c;
    return zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &c, &len) == 0 ? c : 0;
}

/* Other numbers with the same description, as far as this process has seen them made. */
static void swap_duplicates(int fd, int newfd, zt_word before, zt_word w, uint64_t old_cookie)
{
    for (unsigned p = 0; p < ZT_FD_PAGES; p++) {
        struct zt_fd_page *page = atomic_load_explicit(&zt_fd_pages[p], memory_order_acquire);
        for (unsigned i = 0; page && i < ZT_FD_PAGE; i++) {
            int other = (int)(p * ZT_FD_PAGE + i);
            zt_word o = atomic_load_explicit(&page->word[i], memory_order_relaxed);
            bool maybe = before & ZT_W_KIND ? ((o ^ before) & (ZT_W_ID_MASK | ZT_W_KIND)) == 0
                                            : (o & ZT_W_DUPED) && !(o & ZT_W_KIND);
            if (o && maybe && other != fd && other != newfd && zt_cookie(other) == old_cookie)
                swap_one(other, newfd, w, 0);
        }
    }
}

int zt_swap(int fd, int newfd, zt_word w)
{
    return zt_swap_as(fd, newfd, w, (int)zt_sys3(SYS_fcntl, fd, F_GETFL, 0));
}

int zt_swap_as(int fd, int newfd, zt_word w, int fl)
{
    zt_word before = zt_word_any(fd);
    bool duped = before & (ZT_W_DUPED | ZT_W_KIND);
    uint64_t old_cookie = duped ? zt_cookie(fd) : 0;
    int r = fl < 0 ? fl : 0;
    if (r == 0) {
        if (!(before & ZT_W_FRESH))
            copy_description(fd, newfd, fl);
        else if (fl & STATUS_FLAGS) /* a pair of the node's has none, and nothing else was said */
            copy_status(newfd, fl);
        r = swap_one(fd, newfd, w, ZT_W_HELD);
    }
    if (r == 0 && old_cookie)
        swap_duplicates(fd, newfd, before, w, old_cookie);
    zt_sys1(SYS_close, newfd);
    return r;
}
