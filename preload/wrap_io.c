/* The read and write families. In a program without virtual descriptors each costs one load and a
 * branch. On a virtual stream each is the one system call that the program asked for, with
 * corrections before or after it that need none: nothing here may surprise a sandbox. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "dgram.h"
#include "real.h"
#include "sys.h"

/* ---- streams ---- */

static bool hung_up(int fd)
{
    struct pollfd p = {.fd = fd};
    struct timespec none = {0, 0};
    return zt_sys5(SYS_ppoll, &p, 1, &none, NULL, 8) == 1 && (p.revents & POLLHUP);
}

/* What the kernel answered for the pair, in terms of the connection. The pair can't tell a reset
 * that left nothing unread from an end of file; the state page can. */
static ssize_t stream_read_end(int fd, zt_word w, ssize_t n)
{
    int err = 0;
    if (n < 0 && errno != ECONNRESET)
        return n;
    if (n == 0 && (w & ZT_W_SHUT_RD))
        return 0;
    if (w & ZT_W_ERR) /* told already, by SO_ERROR or a call before */
        return 0;
    switch (zt_phase_of(w, &err)) {
    case ZT_PHASE_FAILED:
    case ZT_PHASE_RESET:
        break;
    case ZT_PHASE_CONNECTING:
    case ZT_PHASE_CONNECTED:
        /* An end of file that nobody announced: the node has ended, unless another process with
         * this description shut it down for reading. */
        if (n == 0 && !hung_up(fd))
            return 0;
        break;
    default:
        return n;
    }
    if (err == EPIPE) /* reset after the end of file, which stays what it is for readers */
        return 0;
    zt_word_flag(fd, w, ZT_W_ERR);
    return zt_fail(err ? err : ECONNRESET);
}

static inline ssize_t stream_read(int fd, zt_word w, ssize_t n, size_t wanted)
{
    return ZT_LIKELY(n > 0) || wanted == 0 ? n : stream_read_end(fd, w, n);
}

static ssize_t broken_pipe(int flags)
{
    if (!(flags & MSG_NOSIGNAL))
        zt_sys3(SYS_tgkill, zt_sys0(SYS_getpid), zt_sys0(SYS_gettid), SIGPIPE);
    return zt_fail(EPIPE);
}

/* 0: go on. A pair takes some bytes even while its gate is shut; a connecting socket takes none. */
static ssize_t stream_before_write(int fd, zt_word w, int flags)
{
    int err = 0;
    if (w & ZT_W_BOUND)
        return broken_pipe(flags);
    switch (zt_phase_of(w, &err)) {
    case ZT_PHASE_CONNECTING:
        if ((flags & MSG_DONTWAIT) || (zt_sys3(SYS_fcntl, fd, F_GETFL, 0) & O_NONBLOCK))
            return zt_fail(EAGAIN);
        return 0; /* waits behind the filler, goes out after the handshake */
    case ZT_PHASE_FAILED:
    case ZT_PHASE_RESET:
        if (w & ZT_W_ERR)
            return 0; /* EPIPE from the kernel */
        zt_word_flag(fd, w, ZT_W_ERR);
        return err == EPIPE ? broken_pipe(flags) : zt_fail(err ? err : ECONNRESET);
    default:
        return 0;
    }
}

/* TCP discards what MSG_TRUNC asks for; the pair would copy it. */
static ssize_t stream_discard(int fd, zt_word w, size_t n, int flags)
{
    char sink[4096];
    size_t done = 0;
    flags &= ~MSG_TRUNC;
    if (flags & MSG_PEEK) /* can't look further than the buffer that we have */
        return stream_read(fd, w, REAL(recv)(fd, sink, n < sizeof sink ? n : sizeof sink, flags),
                           n);
    while (done < n) {
        size_t part = n - done < sizeof sink ? n - done : sizeof sink;
        ssize_t r = REAL(recv)(fd, sink, part, done ? flags | MSG_DONTWAIT : flags);
        if (r <= 0)
            return done ? (ssize_t)done : stream_read(fd, w, r, n);
        done += (size_t)r;
        if ((size_t)r < part)
            break;
    }
    return (ssize_t)done;
}

/* ---- one receive, one send, for every kind ---- */

static size_t iov_bytes(const struct msghdr *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++)
        n += m->msg_iov[i].iov_len;
    return n;
}

/* What sendmsg and recvmsg look at first. */
static int bad_message(const struct msghdr *m)
{
    if (zt_wild(m))
        return EFAULT;
    if (m->msg_iovlen > 1024)
        return EMSGSIZE;
    return m->msg_iovlen && zt_wild(m->msg_iov) ? EFAULT : 0;
}

static ssize_t recv_virtual(int fd, zt_word w, struct msghdr *m, int flags)
{
    int bad = bad_message(m);
    if (ZT_UNLIKELY(bad))
        return zt_fail(bad);
    if ((int)m->msg_namelen < 0)
        return zt_fail(EINVAL);
    if (w & ZT_W_DGRAM)
        return zt_dgram_recv(fd, w, m, flags);
    if (w & ZT_W_BOUND)
        return zt_fail(ENOTCONN);
    if (flags & MSG_OOB)
        return zt_fail(EINVAL); /* no urgent data */
    if (flags & MSG_ERRQUEUE)
        return zt_fail(EAGAIN);
    if (flags & MSG_TRUNC) {
        m->msg_namelen = 0;
        m->msg_controllen = 0;
        return stream_discard(fd, w, iov_bytes(m), flags);
    }
    struct msghdr in = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};
    ssize_t n = stream_read(fd, w, REAL(recvmsg)(fd, &in, flags), iov_bytes(m));
    if (n >= 0) { /* no address, no control data: the node's are not the program's business */
        m->msg_namelen = 0;
        m->msg_controllen = 0;
        m->msg_flags = 0;
    }
    return n;
}

static ssize_t send_virtual(int fd, zt_word w, const struct msghdr *m, int flags)
{
    int bad = bad_message(m);
    if (ZT_UNLIKELY(bad))
        return zt_fail(bad);
    if (m->msg_name && m->msg_namelen > sizeof(struct sockaddr_storage))
        return zt_fail(EINVAL);
    if (w & ZT_W_DGRAM)
        return zt_dgram_send(fd, w, m, flags);
    if (flags & MSG_OOB)
        return zt_fail(EOPNOTSUPP);
    if (stream_before_write(fd, w, flags) < 0)
        return -1;
    /* An inet stream ignores control data; through the pair, descriptors would reach the node. */
    struct msghdr out = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};
    return REAL(sendmsg)(fd, &out, flags & ~(MSG_FASTOPEN | MSG_ZEROCOPY | MSG_CONFIRM));
}

/* A kernel socket and an address: a datagram socket becomes virtual by its first send to a virtual
 * address; MSG_FASTOPEN is connect and send in one. 0: nothing of ours; 1: virtual now; -1: failed.
 */
static int send_attach(int fd, const struct sockaddr *sa, socklen_t len, int flags)
{
    struct zt_ctl_addr remote;
    if (ZT_LIKELY(!sa) || !zt_sa_managed(sa, len, &remote))
        return 0;
    int type = 0, domain = 0;
    socklen_t n = sizeof type;
    if (zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
        zt_sys5(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 ||
        (domain != AF_INET && domain != AF_INET6)) /* its own errors; no way to an inet address */
        return 0;
    if (type == SOCK_DGRAM) {
        int r = zt_dgram_attach(fd, &remote, false);
        return r < 0 ? zt_fail(-r) : 1;
    }
    if (type == SOCK_STREAM && (flags & MSG_FASTOPEN))
        return connect(fd, sa, len) < 0 ? -1 : 1;
    return type == SOCK_STREAM ? 0 : zt_fail(ENETUNREACH);
}

/* A send failed: was it for a group that the host has no way to? The virtual networks have one. 1:
 * the socket is virtual now, try again. */
static int send_group(int fd, const struct sockaddr *sa, socklen_t len, int saved)
{
    struct zt_ctl_addr remote;
    if (ZT_LIKELY(errno != ENETUNREACH) || !sa || !zt_addr_from(sa, len, &remote) ||
        !zt_addr_group(&remote) || zt_settings.any == ZT_ANY_KERNEL || !zt_home_has_network())
        return 0;
    if (zt_dgram_attach(fd, &remote, false) < 0) {
        zt_fail(ENETUNREACH);
        return 0;
    }
    errno = saved;
    return 1;
}

/* ---- read family ---- */

static ssize_t do_read(int fd, void *buf, size_t n)
{
    zt_word w = zt_word_of(fd);
    if (ZT_LIKELY(!w))
        return REAL(read)(fd, buf, n);
    if (w & ZT_W_STREAM)
        return stream_read(fd, w, REAL(read)(fd, buf, n), n);
    struct iovec iov = {buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    return recv_virtual(fd, w, &m, 0);
}

static ssize_t do_recv(int fd, void *buf, size_t n, int flags)
{
    zt_word w = zt_word_of(fd);
    if (ZT_LIKELY(!w))
        return REAL(recv)(fd, buf, n, flags);
    if ((w & ZT_W_STREAM) && !(flags & (MSG_OOB | MSG_TRUNC | MSG_ERRQUEUE)))
        return stream_read(fd, w, REAL(recv)(fd, buf, n, flags), n);
    struct iovec iov = {buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    return recv_virtual(fd, w, &m, flags);
}

static ssize_t do_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa,
                           socklen_t *len)
{
    zt_word w = zt_word_of(fd);
    if (ZT_LIKELY(!w))
        return REAL(recvfrom)(fd, buf, n, flags, sa, len);
    struct iovec iov = {buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (sa && len) {
        m.msg_name = sa;
        m.msg_namelen = *len;
    }
    ssize_t r = recv_virtual(fd, w, &m, flags);
    if (r >= 0 && sa && len)
        *len = m.msg_namelen;
    return r;
}

ZT_EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    return do_read(fd, buf, n);
}

extern ssize_t __read(int fd, void *buf, size_t n);
ZT_EXPORT ssize_t __read(int fd, void *buf, size_t n)
{
    return do_read(fd, buf, n);
}

ZT_EXPORT ssize_t readv(int fd, const struct iovec *iov, int cnt)
{
    zt_word w = zt_word_of(fd);
    if (ZT_LIKELY(!w))
        return REAL(readv)(fd, iov, cnt);
    if (cnt < 0 || cnt > 1024)
        return zt_fail(EINVAL);
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)cnt};
    if (w & ZT_W_STREAM)
        return stream_read(fd, w, REAL(readv)(fd, iov, cnt), iov_bytes(&m));
    return recv_virtual(fd, w, &m, 0);
}

#define PREADV2(name)                                                                      \
    ZT_EXPORT ssize_t name(int fd, const struct iovec *iov, int cnt, off_t off, int flags) \
    {                                                                                      \
        zt_word w = off == -1 ? zt_word_of(fd) : 0;                                        \
        if (ZT_LIKELY(!(w & (ZT_W_DGRAM | ZT_W_BOUND))))                                   \
            return REAL(preadv2)(fd, iov, cnt, off, flags);                                \
        return readv(fd, iov, cnt);                                                        \
    }
PREADV2(preadv2)
PREADV2(preadv64v2)

ZT_EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    return do_recv(fd, buf, n, flags);
}

ZT_EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags,
                           struct sockaddr *restrict sa, socklen_t *restrict len)
{
    return do_recvfrom(fd, buf, n, flags, sa, len);
}

/* Descriptors that come out of a kernel socket may be virtual ones. */
static void learn_received(struct msghdr *m)
{
    if (ZT_LIKELY(!m->msg_controllen))
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            zt_fd_learn(fd);
        }
    }
}

ZT_EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    zt_word w = zt_word_of(fd);
    if (w)
        return recv_virtual(fd, w, m, flags);
    ssize_t n = REAL(recvmsg)(fd, m, flags);
    if (n >= 0)
        learn_received(m);
    return n;
}

ZT_EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
    zt_word w = zt_word_of(fd);
    if (ZT_LIKELY(!w)) {
        int r = REAL(recvmmsg)(fd, v, n, flags, timeout);
        for (int i = 0; i < r; i++)
            learn_received(&v[i].msg_hdr);
        return r;
    }
    if (timeout && zt_wild(timeout))
        return zt_fail(EFAULT);
    if (timeout && (timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec >= 1000000000))
        return zt_fail(EINVAL);
    if (n && zt_wild(v))
        return zt_fail(EFAULT);
    if ((w & ZT_W_DGRAM) && n > 1 && !(flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)))
        return zt_dgram_recv_many(fd, w, v, n < 1024 ? n : 1024, flags, timeout);
    int64_t until = timeout ? zt_now_ms() + timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000 : 0;
    unsigned done = 0;
    while (done < n) {
        bool dont_wait = done && (flags & MSG_WAITFORONE);
        ssize_t r = recv_virtual(fd, w, &v[done].msg_hdr,
                                 (flags & ~MSG_WAITFORONE) | (dont_wait ? MSG_DONTWAIT : 0));
        if (r < 0)
            break;
        v[done++].msg_len = (unsigned)r;
        if (timeout && zt_now_ms() >= until)
            break;
    }
    return done ? (int)done : -1;
}

/* ---- write family ---- */

static ssize_t do_write(int fd, const void *buf, size_t n)
{
    zt_word w = zt_word_of(fd);
    if (ZT_LIKELY(!w))
        return REAL(write)(fd, buf, n);
    if (w & ZT_W_DGRAM) {
        struct iovec iov = {(void *)buf, n};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        return zt_dgram_send(fd, w, &m, 0);
    }
    return stream_before_write(fd, w, 0) < 0 ? -1 : REAL(write)(fd, buf, n);
}

static ssize_t do_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
                         socklen_t len)
{
    zt_word w = zt_word_of(fd);
    if (!w) {
        int a = send_attach(fd, sa, len, flags), saved = errno;
        if (ZT_LIKELY(a == 0)) {
            ssize_t r = REAL(sendto)(fd, buf, n, flags, sa, len);
            if (ZT_LIKELY(r >= 0) || !send_group(fd, sa, len, saved))
                return r;
        }
        if (a < 0)
            return -1;
        w = zt_word_of(fd);
    }
    struct iovec iov = {(void *)buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    m.msg_name = (void *)sa;
    m.msg_namelen = len;
    return send_virtual(fd, w, &m, flags);
}

static ssize_t do_send(int fd, const void *buf, size_t n, int flags)
{
    if (ZT_LIKELY(!zt_word_of(fd)))
        return REAL(send)(fd, buf, n, flags);
    return do_sendto(fd, buf, n, flags, NULL, 0);
}

ZT_EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
    return do_write(fd, buf, n);
}

extern ssize_t __write(int fd, const void *buf, size_t n);
ZT_EXPORT ssize_t __write(int fd, const void *buf, size_t n)
{
    return do_write(fd, buf, n);
}

ZT_EXPORT ssize_t writev(int fd, const struct iovec *iov, int cnt)
{
    zt_word w = zt_word_of(fd);
    if (ZT_LIKELY(!w))
        return REAL(writev)(fd, iov, cnt);
    if (!(w & ZT_W_DGRAM))
        return stream_before_write(fd, w, 0) < 0 ? -1 : REAL(writev)(fd, iov, cnt);
    if (cnt < 0 || cnt > 1024)
        return zt_fail(EINVAL);
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)cnt};
    return zt_dgram_send(fd, w, &m, 0);
}

#define PWRITEV2(name)                                                                     \
    ZT_EXPORT ssize_t name(int fd, const struct iovec *iov, int cnt, off_t off, int flags) \
    {                                                                                      \
        zt_word w = off == -1 ? zt_word_of(fd) : 0;                                        \
        if (ZT_LIKELY(!(w & (ZT_W_DGRAM | ZT_W_BOUND))))                                   \
            return REAL(pwritev2)(fd, iov, cnt, off, flags);                               \
        return writev(fd, iov, cnt);                                                       \
    }
PWRITEV2(pwritev2)
PWRITEV2(pwritev64v2)

ZT_EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    return do_send(fd, buf, n, flags);
}

extern ssize_t __send(int fd, const void *buf, size_t n, int flags);
ZT_EXPORT ssize_t __send(int fd, const void *buf, size_t n, int flags)
{
    return do_send(fd, buf, n, flags);
}

ZT_EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
                         socklen_t len)
{
    return do_sendto(fd, buf, n, flags, sa, len);
}

ZT_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    zt_word w = zt_word_of(fd);
    if (!w) {
        int a = m ? send_attach(fd, m->msg_name, m->msg_namelen, flags) : 0, saved = errno;
        if (ZT_LIKELY(a == 0)) {
            if (m)
                zt_fresh_sent(m);
            ssize_t r = REAL(sendmsg)(fd, m, flags);
            if (ZT_LIKELY(r >= 0) || !m || !send_group(fd, m->msg_name, m->msg_namelen, saved))
                return r;
        }
        if (a < 0)
            return -1;
        w = zt_word_of(fd);
    }
    return send_virtual(fd, w, m, flags);
}

ZT_EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
    if (!zt_word_of(fd)) {
        int a = 0, saved = errno;
        for (unsigned i = 0; i < n && i < 1024 && a == 0 && !zt_wild(v); i++) { /* the kernel takes no more */
            a = send_attach(fd, v[i].msg_hdr.msg_name, v[i].msg_hdr.msg_namelen, flags);
            zt_fresh_sent(&v[i].msg_hdr);
        }
        if (ZT_LIKELY(a == 0)) {
            int r = REAL(sendmmsg)(fd, v, n, flags);
            if (ZT_LIKELY(r >= 0) || zt_wild(v) || !n ||
                !send_group(fd, v[0].msg_hdr.msg_name, v[0].msg_hdr.msg_namelen, saved))
                return r;
        }
        if (a < 0)
            return -1;
    }
    zt_word w = zt_word_of(fd);
    if (n && zt_wild(v))
        return zt_fail(EFAULT);
    if ((w & ZT_W_DGRAM) && !(w & ZT_W_SHUT_WR) && n > 1 && !(flags & (MSG_OOB | MSG_MORE)))
        return zt_dgram_send_many(fd, w, v, n < 1024 ? n : 1024, flags);
    unsigned done = 0;
    for (; done < n; done++) {
        ssize_t r = sendmsg(fd, &v[done].msg_hdr, flags);
        if (r < 0)
            break;
        v[done].msg_len = (unsigned)r;
    }
    return done || !n ? (int)done : -1;
}

/* ---- the checked variants of _FORTIFY_SOURCE ---- */

extern void __chk_fail(void) __attribute__((noreturn));
extern ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
extern ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
extern ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
                              struct sockaddr *sa, socklen_t *len);

ZT_EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
    if (n > room)
        __chk_fail();
    return do_read(fd, buf, n);
}

ZT_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
    if (n > room)
        __chk_fail();
    return do_recv(fd, buf, n, flags);
}

ZT_EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
                                 struct sockaddr *sa, socklen_t *len)
{
    if (n > room)
        __chk_fail();
    return do_recvfrom(fd, buf, n, flags, sa, len);
}

/* ---- bulk movers: streams end as they do for read and write; datagrams would lose their headers ---- */

static bool unmovable(zt_word w)
{
    return w & (ZT_W_DGRAM | ZT_W_BOUND);
}

static ssize_t do_sendfile(int out, int in, off_t *off, size_t n)
{
    zt_word w = zt_word_of(out);
    if (ZT_LIKELY(!w))
        return REAL(sendfile)(out, in, off, n);
    if (unmovable(w))
        return zt_fail(EINVAL);
    return stream_before_write(out, w, 0) < 0 ? -1 : REAL(sendfile)(out, in, off, n);
}

#define SENDFILE(name)                                            \
    ZT_EXPORT ssize_t name(int out, int in, off_t *off, size_t n) \
    {                                                             \
        return do_sendfile(out, in, off, n);                      \
    }
SENDFILE(sendfile)
SENDFILE(sendfile64)

ZT_EXPORT ssize_t splice(int in, off64_t *off_in, int out, off64_t *off_out, size_t n,
                         unsigned flags)
{
    zt_word from = zt_word_of(in), to = zt_word_of(out);
    if (unmovable(from) || unmovable(to))
        return zt_fail(EINVAL);
    if (to && stream_before_write(out, to, flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0) < 0)
        return -1;
    ssize_t r = REAL(splice)(in, off_in, out, off_out, n, flags);
    return from ? stream_read(in, from, r, n) : r;
}
