/* Descriptor bookkeeping: none of these changes what the kernel does. A word is dropped before the
 * close, not after it: once closed, another thread may already have been given the number. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

ZT_EXPORT int close(int fd)
{
    zt_fd_forget(fd);
    return REAL(close)(fd);
}

extern int __close(int fd);
ZT_EXPORT int __close(int fd)
{
    zt_fd_forget(fd);
    return REAL(close)(fd);
}

ZT_EXPORT int fclose(FILE *f)
{
    int saved = errno;
    int fd = fileno(f);
    errno = saved;
    if (fd >= 0)
        zt_fd_forget(fd);
    return REAL(fclose)(f);
}

ZT_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (first <= last && flags == 0)
        zt_fd_forget_range(first, last);
    return REAL(close_range)(first, last, flags);
}

ZT_EXPORT void closefrom(int first)
{
    zt_fd_forget_range(first < 0 ? 0 : (unsigned)first, ~0u);
    REAL(closefrom)(first);
}

ZT_EXPORT int dup(int fd)
{
    int r = REAL(dup)(fd);
    if (r >= 0)
        zt_fd_copy(fd, r);
    return r;
}

static int do_dup2(int fd, int to)
{
    int r = REAL(dup2)(fd, to);
    if (r >= 0)
        zt_fd_copy(fd, to);
    return r;
}

ZT_EXPORT int dup2(int fd, int to)
{
    return do_dup2(fd, to);
}

extern int __dup2(int fd, int to);
ZT_EXPORT int __dup2(int fd, int to)
{
    return do_dup2(fd, to);
}

ZT_EXPORT int dup3(int fd, int to, int flags)
{
    int r = REAL(dup3)(fd, to, flags);
    if (r >= 0)
        zt_fd_copy(fd, to);
    return r;
}

/* The twin goes where its socket goes. */
static void twin_setfd(int fd, zt_word w, long flags)
{
    int twin = w & ZT_W_MERGED ? zt_twin_of(fd, w) : -1;
    if (twin >= 0)
        zt_sys3(SYS_fcntl, twin, F_SETFD, flags);
}

static int do_fcntl(int fd, int cmd, long arg)
{
    if (cmd == F_SETOWN || cmd == F_SETOWN_EX || cmd == F_SETSIG)
        zt_fresh_end(fd);
    int r = REAL(fcntl)(fd, cmd, arg);
    if (ZT_UNLIKELY(cmd == F_SETFD) && r >= 0)
        twin_setfd(fd, zt_word_of(fd), arg);
    if (cmd == F_SETFL && atomic_load_explicit(&zt_any_lost, memory_order_relaxed) && r >= 0 &&
        (zt_word_any(fd) & ZT_W_LOST)) {
        if (arg & O_NONBLOCK)
            zt_word_unflag(fd, ZT_W_BLOCKS);
        else
            zt_word_flag(fd, 0, ZT_W_BLOCKS);
    }
    if (r >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
        zt_fd_copy(fd, r);
    return r;
}

/* The argument is an int, a long or a pointer, by command: as a long it passes unchanged. */
#define FCNTL(name)                          \
    ZT_EXPORT int name(int fd, int cmd, ...) \
    {                                        \
        va_list ap;                          \
        va_start(ap, cmd);                   \
        long arg = va_arg(ap, long);         \
        va_end(ap);                          \
        return do_fcntl(fd, cmd, arg);       \
    }

extern int __fcntl(int fd, int cmd, ...);
FCNTL(fcntl)
FCNTL(fcntl64)
FCNTL(__fcntl)

/* ---- epoll: only noted, for the day the descriptor is replaced (swap.c) ---- */

static void note_epoll(int epfd, int op, int fd, const struct epoll_event *ev)
{
    struct zt_note *n = zt_note_of(fd, op != EPOLL_CTL_DEL);
    if (!n)
        return;
    int had = atomic_load_explicit(&n->epfd, memory_order_relaxed);
    if (op == EPOLL_CTL_DEL) {
        if (had == epfd + 1)
            atomic_store_explicit(&n->epfd, ZT_NOTE_NONE, memory_order_relaxed);
        return;
    }
    if (op == EPOLL_CTL_ADD && had != ZT_NOTE_NONE && had != epfd + 1) {
        atomic_store_explicit(&n->epfd, ZT_NOTE_MANY, memory_order_relaxed);
        return;
    }
    if (op == EPOLL_CTL_MOD && had != epfd + 1) { /* by another number of the set, or not seen when it was added */
        atomic_store_explicit(&n->epfd, ZT_NOTE_MANY, memory_order_relaxed);
        return;
    }
    atomic_store_explicit(&n->events, ev->events, memory_order_relaxed);
    atomic_store_explicit(&n->data, ev->data.u64, memory_order_relaxed);
    atomic_store_explicit(&n->epfd, epfd + 1, memory_order_relaxed);
}

ZT_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    int r = REAL(epoll_ctl)(epfd, op, fd, ev);
    /* Once virtual, it will hardly be replaced again, but it may (a failed connect repeated). */
    if (r == 0)
        note_epoll(epfd, op, fd, ev);
    return r;
}

/* ---- ioctl ---- */

static int ioctl_virtual(int fd, zt_word w, unsigned long request, long arg)
{
    struct zt_state_slot s;
    if ((request == SIOCATMARK || request == SIOCOUTQ || request == FIONREAD) &&
        zt_wild((const void *)arg))
        return zt_fail(EFAULT);
    switch (request) {
    case SIOCATMARK:
        if (w & ZT_W_DGRAM)
            return zt_fail(ENOTTY);
        *(int *)arg = 0;
        return 0;
    case SIOCOUTQ:
        /* What the peer has not acknowledged, not what lies in the pair. */
        *(int *)arg = (w & ZT_W_STREAM) && zt_slot_read(w, &s) ? (int)s.unacked : 0;
        return 0;
    case FIONREAD: {
        if (w & ZT_W_BOUND)
            return zt_fail(EINVAL);
        if (!(w & ZT_W_DGRAM))
            break;
        *(int *)arg = (int)zt_dgram_pending(fd);
        return 0;
    }
    case FIOCLEX:
    case FIONCLEX:
        twin_setfd(fd, w, request == FIOCLEX ? FD_CLOEXEC : 0);
        break;
    default:
        break;
    }
    return REAL(ioctl)(fd, request, arg);
}

ZT_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    long arg = va_arg(ap, long);
    va_end(ap);
    zt_word w = zt_word_of(fd);
    if (ZT_UNLIKELY(request >= SIOCGIFNAME && request <= SIOCGIFINDEX)) {
        int r = zt_if_ioctl(fd, w, request, (void *)arg);
        if (r <= 0)
            return r;
    }
    if (!w && request != FIONREAD && request != FIONBIO)
        zt_fresh_end(fd);
    return w ? ioctl_virtual(fd, w, request, arg) : REAL(ioctl)(fd, request, arg);
}

ZT_EXPORT int sockatmark(int fd)
{
    return zt_word_of(fd) ? 0 : REAL(sockatmark)(fd);
}
