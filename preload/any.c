/* Sockets bound to a wildcard address (0.0.0.0, ::): the program wants to be reached by every
 * network of the machine, and the virtual one is among them.
 *
 * By default both sides reach it through its one descriptor: the kernel socket goes to the node
 * (ZT_CTL_MERGE), which passes on what arrives there, and the descriptor becomes a virtual one. A
 * listener is merged by listen, a datagram socket by bind; one with a port of the kernel's choice
 * is a client's as a rule, and merged by its first send to a virtual address.
 *
 * When the node ends, the kernel's side must go on. So this one descriptor we do keep: a duplicate
 * of the kernel socket (the twin) above the numbers that programs look at. Children inherit it with
 * the socket. It is put back under the number when the node is found to have ended, and goes away
 * with the number. Which descriptor it is can be told from the state page alone, by the mark of its
 * cookie, so nothing is lost by exec; the table only remembers where to look first. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#define TWIN_FROM 200
#define TWIN_SCAN 4096

atomic_bool zt_any_lost;

/* ---- the twin ---- */

static _Atomic int32_t *twin_slot(int fd)
{
    struct zt_fd_page *p =
        (unsigned)fd < ZT_FD_PAGE * ZT_FD_PAGES ? atomic_load(&zt_fd_pages[fd / ZT_FD_PAGE]) : NULL;
    return p ? &p->twin[fd % ZT_FD_PAGE] : NULL;
}

static bool is_twin(int fd, uint32_t mark)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    return fd > 0 && zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           (domain == AF_INET || domain == AF_INET6) && zt_ctl_twin_mark(zt_cookie(fd)) == mark;
}

static int search_twin(uint32_t mark)
{
    long dir =
        zt_sys4(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (dir < 0) {
        for (int fd = TWIN_FROM; fd < TWIN_SCAN; fd++)
            if (is_twin(fd, mark))
                return fd;
        return -1;
    }
    char buf[2048];
    int found = -1;
    long n;
    while (found < 0 && (n = zt_sys3(SYS_getdents64, dir, buf, sizeof buf)) > 0)
        for (long at = 0; at < n && found < 0;) {
            unsigned short reclen;
            memcpy(&reclen, buf + at + 16, 2);
            int fd = atoi(buf + at + 19);
            at += reclen;
            if (fd > 2 && is_twin(fd, mark))
                found = fd;
        }
    zt_sys1(SYS_close, dir);
    return found;
}

int zt_twin_of(int fd, zt_word w)
{
    struct zt_state_slot s;
    _Atomic int32_t *known = twin_slot(fd);
    if (!(w & ZT_W_MERGED) || !zt_slot_read(w, &s) || !s.twin)
        return -1;
    int t = known ? atomic_load_explicit(known, memory_order_relaxed) : 0;
    if (is_twin(t, s.twin))
        return t;
    t = search_twin(s.twin);
    if (t >= 0 && known)
        atomic_store_explicit(known, t, memory_order_relaxed);
    return t;
}

/* Has this process another number with the same description? */
static bool shared_here(int fd, zt_word w)
{
    for (unsigned p = 0; p < ZT_FD_PAGES; p++) {
        struct zt_fd_page *page = atomic_load_explicit(&zt_fd_pages[p], memory_order_acquire);
        for (unsigned i = 0; page && i < ZT_FD_PAGE; i++) {
            zt_word o = atomic_load_explicit(&page->word[i], memory_order_relaxed);
            if ((o & ZT_W_MERGED) && !((o ^ w) & (ZT_W_ID_MASK | ZT_W_KIND)) &&
                (int)(p * ZT_FD_PAGE + i) != fd)
                return true;
        }
    }
    return false;
}

void zt_twin_drop(int fd, zt_word w)
{
    if (shared_here(fd, w))
        return;
    int t = zt_twin_of(fd, w);
    if (t >= 0)
        zt_sys1(SYS_close, t);
}

/* A duplicate out of the program's sight, closed on exec as the original is. */
static int make_twin(int fd)
{
    long fl = zt_sys3(SYS_fcntl, fd, F_GETFD, 0), r = -EMFILE;
    int cmd = fl >= 0 && (fl & FD_CLOEXEC) ? F_DUPFD_CLOEXEC : F_DUPFD;
    for (int from = TWIN_FROM; from > 2 && r < 0; from /= 2)
        r = zt_sys3(SYS_fcntl, fd, cmd, from);
    return (int)r;
}

/* The node wants to know everything about each datagram; the program only what it asked for. */
static void ask_less(int fd, zt_word w)
{
    static const struct {
        int v4, v6;
        zt_word flag;
    } table[] = {{IP_PKTINFO, IPV6_RECVPKTINFO, ZT_W_PKTINFO},
                 {IP_RECVTOS, IPV6_RECVTCLASS, ZT_W_RECVTOS},
                 {IP_RECVTTL, IPV6_RECVHOPLIMIT, ZT_W_RECVTTL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int six = (w & ZT_W_V6) && (w & table[i].flag),
            four = !(w & ZT_W_V6) && (w & table[i].flag);
        zt_sys5(SYS_setsockopt, fd, IPPROTO_IP, table[i].v4, &four, sizeof four);
        if (w & ZT_W_V6)
            zt_sys5(SYS_setsockopt, fd, IPPROTO_IPV6, table[i].v6, &six, sizeof six);
    }
}

/* Under the guard. */
static int put_back(int fd, zt_word w, int twin, zt_word lost)
{
    if (w & ZT_W_DGRAM)
        ask_less(twin, w);
    zt_debug(1, "descriptor %d: the kernel's side alone now", fd);
    return zt_swap(fd, twin, lost);
}

int zt_twin_back(int fd, zt_word w)
{
    struct zt_guard g;
    int r = 0;
    zt_enter(&g, fd);
    if (zt_is_still(fd, w)) { /* else another thread has done it */
        int t = zt_twin_of(fd, w);
        r = t < 0 ? -ENETDOWN : put_back(fd, w, t, 0);
    }
    zt_leave(&g);
    return r;
}

/* ---- merging ---- */

static void remember_twin(int fd, int twin)
{
    _Atomic int32_t *known = twin_slot(fd);
    if (known)
        atomic_store_explicit(known, twin, memory_order_relaxed);
}

/* Under the guard of fd. kernel: the kernel's socket, fd itself or its twin; f: of it, with the
 * status flags of the program. */
static int merge(int fd, int kernel, const struct zt_facts *f, int backlog)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    int newfd;
    zt_req_init(&req, ZT_CTL_MERGE, zt_cookie(kernel));
    req.stype = (uint8_t)f->type;
    req.family = f->domain;
    req.local = f->local;
    req.value = backlog;
    req.nopts = (uint8_t)zt_facts_opts(kernel, f, req.opts);
    int r = zt_ctl_with(&req, kernel, &rep, NULL, 0, &newfd, true);
    if (r < 0 || newfd < 0)
        return r < 0 ? r : -ENETUNREACH;
    int twin = kernel == fd ? make_twin(fd) : kernel;
    zt_word kind = f->type == SOCK_STREAM ? ZT_W_BOUND : ZT_W_DGRAM;
    zt_page_open();
    /* The node shares the old description, and has made it non-blocking for itself. */
    r = zt_swap_as(fd, newfd,
                   (rep.id & ZT_W_ID_MASK) | kind | (twin >= 0 ? ZT_W_MERGED : 0) | f->flags,
                   f->fl);
    if (r < 0 && twin >= 0 && twin != kernel)
        zt_sys1(SYS_close, twin);
    else
        remember_twin(fd, twin);
    zt_debug(1, "descriptor %d, port %d: reached from the kernel's networks and the virtual ones",
             fd, f->local.port);
    return r;
}

static int merge_again(int fd, zt_word w, int twin, int fl)
{
    struct zt_facts f;
    if ((!zt_settings.may_start && !zt_ctl_up()) || !zt_home_has_network())
        return -ENETUNREACH;
    if (!zt_facts_read(twin, &f) || !f.local.family)
        return -EINVAL;
    f.fl = fl;
    f.flags = w & ~(ZT_W_ID_MASK | ZT_W_KIND | ZT_W_MERGED);
    return merge(fd, twin, &f, SOMAXCONN);
}

int zt_any_away(int fd, zt_word w)
{
    struct zt_guard g;
    int r = 0, saved = errno;
    zt_enter(&g, fd);
    if (zt_is_still(fd, w)) {
        int t = zt_twin_of(fd, w), fl = (int)zt_sys3(SYS_fcntl, fd, F_GETFL, 0);
        r = t < 0 ? -ENETDOWN : merge_again(fd, w, t, fl);
        if (t >= 0 && r < 0) {
            zt_word lost = w & ZT_W_DGRAM ? 0 : ZT_W_LOST | (fl & O_NONBLOCK ? 0 : ZT_W_BLOCKS);
            if (lost)
                atomic_store(&zt_any_lost, true);
            r = put_back(fd, w, t, lost);
        }
    }
    zt_leave(&g);
    errno = saved;
    return r;
}

static bool has_device(int fd)
{
    char name[16] = "";
    socklen_t len = sizeof name;
    return zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) == 0 && name[0];
}

/* Bound to one address, or not an inet socket at all: told by one system call. */
static bool has_address(int fd)
{
    struct sockaddr_storage ss;
    struct zt_ctl_addr a;
    socklen_t len = sizeof ss;
    return zt_sys3(SYS_getsockname, fd, &ss, &len) < 0 ||
           !zt_addr_from((struct sockaddr *)&ss, len, &a) || !zt_addr_any(&a);
}

/* fd is a kernel socket of this type with a wildcard address or none, and the home has a network.
 */
static bool eligible(int fd, int type, struct zt_facts *f)
{
    return zt_settings.any != ZT_ANY_KERNEL && zt_home_has_network() && zt_facts_read(fd, f) &&
           f->type == type && (!f->local.family || f->local_any) && !has_device(fd);
}

static int merge_listener(int fd, int backlog)
{
    struct zt_guard g;
    struct zt_facts f;
    int r = -EINVAL;
    zt_enter(&g, fd);
    zt_word before = zt_word_any(fd);
    if (before & ZT_W_KIND) {
        zt_leave(&g); /* another thread was faster */
        return 0;
    }
    if (zt_facts_read(fd, &f) && f.local.family && f.local_any) {
        if (before & ZT_W_LOST) /* what the description says may be another worker's node's doing */
            f.fl = before & ZT_W_BLOCKS ? f.fl & ~O_NONBLOCK : f.fl | O_NONBLOCK;
        r = merge(fd, fd, &f, backlog);
    }
    if (r < 0) {
        zt_debug(1, "descriptor %d stays with the kernel: error %d", fd, -r);
        atomic_store(&zt_any_lost, true);
        zt_word_set(fd, ZT_W_LOST | (f.fl & O_NONBLOCK ? 0 : ZT_W_BLOCKS));
    }
    zt_leave(&g);
    return r;
}

int zt_any_listen(int fd, int backlog)
{
    struct zt_facts f;
    int saved = errno;
    if (has_address(fd) || !eligible(fd, SOCK_STREAM, &f))
        return REAL(listen)(fd, backlog);
    zt_networks_join();
    if (zt_settings.any == ZT_ANY_VIRTUAL) {
        struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
        struct sockaddr_in any4 = {.sin_family = AF_INET};
        int b = f.local.family         ? 1 /* bound before the home had a network */
                : f.domain == AF_INET6 ? bind(fd, (struct sockaddr *)&any6, sizeof any6)
                                       : bind(fd, (struct sockaddr *)&any4, sizeof any4);
        return b < 0                      ? -1
               : b > 0 || !zt_word_of(fd) ? REAL(listen)(fd, backlog)
                                          : listen(fd, backlog);
    }
    int r = REAL(listen)(fd, backlog);
    if (r < 0)
        return r;
    if (merge_listener(fd, backlog) ==
        -EADDRINUSE) { /* by a program that chose a virtual address */
        zt_word_set(fd, 0);
        REAL(shutdown)(fd, SHUT_RD);
        return zt_fail(EADDRINUSE);
    }
    errno = saved;
    return 0;
}

bool zt_any_again(int fd, bool force)
{
    static _Atomic int64_t next_ms;
    int64_t now = zt_now_ms();
    int saved = errno;
    if (!(zt_word_any(fd) & ZT_W_LOST) || (!force && now < atomic_load(&next_ms)))
        return false;
    atomic_store(&next_ms, now + 1000);
    bool done = (zt_settings.may_start || zt_ctl_up()) && zt_home_has_network() &&
                merge_listener(fd, SOMAXCONN) == 0;
    int64_t took = zt_now_ms() - now; /* long where a node hangs: the kernel's side must go on */
    atomic_store(&next_ms, now + 1000 + 20 * took);
    errno = saved;
    return done;
}

int zt_any_bound(int fd)
{
    struct zt_facts f;
    if (zt_settings.any != ZT_ANY_BOTH || !eligible(fd, SOCK_DGRAM, &f) || !f.local.family)
        return 0;
    struct zt_guard g;
    int saved = errno;
    zt_networks_join();
    zt_enter(&g, fd);
    int r = merge(fd, fd, &f, 0);
    zt_leave(&g);
    errno = saved;
    if (r < 0 && r != -EADDRINUSE)
        zt_debug(1, "descriptor %d stays with the kernel: error %d", fd, -r);
    return r == -EADDRINUSE ? r : 0;
}

int zt_any_sends(int fd, struct zt_facts *f)
{
    struct sockaddr_storage any = {.ss_family = (sa_family_t)f->domain};
    if (zt_settings.any != ZT_ANY_BOTH || has_device(fd))
        return -EINVAL;
    if (!f->local.family) {
        socklen_t n =
            f->domain == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        if (zt_sys3(SYS_bind, fd, &any, n) < 0 || !zt_facts_read(fd, f) || !f->local.family)
            return -EINVAL;
    }
    return f->local_any ? merge(fd, fd, f, 0) : -EINVAL;
}

bool zt_any_is_virtual(int fd, const struct sockaddr *sa, socklen_t len, struct zt_ctl_addr *out)
{
    struct zt_facts f;
    if (zt_settings.any != ZT_ANY_VIRTUAL || !zt_addr_from(sa, len, out) || !zt_addr_any(out) ||
        !zt_home_has_network() || !zt_facts_read(fd, &f))
        return false;
    zt_networks_join();
    return true;
}

bool zt_any_release(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    int type = 0;
    socklen_t n = sizeof type;
    if (zt_inside || !zt_home_has_network() || !zt_page_open() ||
        zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0)
        return false;
    zt_req_init(&req, ZT_CTL_RELEASE, 0);
    if (!zt_addr_from(sa, len, &req.local) || !req.local.port)
        return false;
    req.stype = (uint8_t)type;
    /* Nothing found can mean that it has just been closed: try again in any case. */
    return zt_ctl(&req, &rep, NULL, 0, NULL, false) == 0;
}
