/* zts_bsd_*: the other generation's socket functions, with zts_errno 0 after a success. */
#include "api18/api18.h"

#ifdef ZTS18_PLAIN_NAMES
/* The variable that bindings know by its symbol: of the whole process, as it always was. */
ZTS_API extern int process_errno __asm__("zts_errno");
int process_errno;

int *one_errno_location(void) ONE(errno_location);
int *zts_errno_location(void)
{
    return one_errno_location();
}
#endif

ssize_t zts18_done(ssize_t rc)
{
    if (rc >= 0)
        zts_engine_errno(0);
#ifdef ZTS18_PLAIN_NAMES
    if (rc >= ZTS_ERR_SOCKET)
        __atomic_store_n(&process_errno, rc >= 0 ? 0 : zts_errno, __ATOMIC_RELAXED);
#endif
    return rc;
}

static int done(int rc)
{
    return (int)zts18_done(rc);
}

int zts_bsd_socket(int family, int type, int protocol)
{
    return done(one_socket(family, type, protocol));
}

int zts_bsd_connect(int fd, const struct zts_sockaddr *addr, zts_socklen_t addrlen)
{
    return done(one_connect(fd, addr, addrlen));
}

int zts_bsd_bind(int fd, const struct zts_sockaddr *addr, zts_socklen_t addrlen)
{
    return done(one_bind(fd, addr, addrlen));
}

int zts_bsd_listen(int fd, int backlog)
{
    return done(one_listen(fd, backlog));
}

int zts_bsd_accept(int fd, struct zts_sockaddr *addr, zts_socklen_t *addrlen)
{
    return done(one_accept(fd, addr, addrlen));
}

int zts_bsd_setsockopt(int fd, int level, int optname, const void *optval, zts_socklen_t optlen)
{
    return done(zts_setsockopt(fd, level, optname, optval, optlen));
}

int zts_bsd_getsockopt(int fd, int level, int optname, void *optval, zts_socklen_t *optlen)
{
    return done(zts_getsockopt(fd, level, optname, optval, optlen));
}

int zts_bsd_getsockname(int fd, struct zts_sockaddr *addr, zts_socklen_t *addrlen)
{
    return done(one_getsockname(fd, addr, addrlen));
}

int zts_bsd_getpeername(int fd, struct zts_sockaddr *addr, zts_socklen_t *addrlen)
{
    return done(one_getpeername(fd, addr, addrlen));
}

int zts_bsd_close(int fd)
{
    bool runs = zts_engine_runs();
    int rc = one_close(fd);
    /* Without a node a descriptor that outlived it can be closed; of others nothing is known. */
    return rc != ZTS_ERR_OK && !runs ? ZTS_ERR_SERVICE : done(rc);
}

int zts_bsd_select(int nfds, zts_fd_set *readfds, zts_fd_set *writefds, zts_fd_set *exceptfds,
                   struct zts_timeval *timeout)
{
    return done(zts_select(nfds, readfds, writefds, exceptfds, timeout));
}

int zts_bsd_fcntl(int fd, int cmd, int flags)
{
    return done(zts_fcntl(fd, cmd, flags));
}

int zts_bsd_poll(struct zts_pollfd *fds, zts_nfds_t nfds, int timeout_ms)
{
    return done(zts_poll(fds, nfds, timeout_ms));
}

int zts_bsd_ioctl(int fd, unsigned long request, void *argp)
{
    return done(zts_ioctl(fd, request, argp));
}

ssize_t zts_bsd_send(int fd, const void *buf, size_t len, int flags)
{
    return zts18_done(one_send(fd, buf, len, flags));
}

ssize_t zts_bsd_sendto(int fd, const void *buf, size_t len, int flags,
                       const struct zts_sockaddr *addr, zts_socklen_t addrlen)
{
    return zts18_done(zts_sendto(fd, buf, len, flags, addr, addrlen));
}

ssize_t zts_bsd_sendmsg(int fd, const struct zts_msghdr *msg, int flags)
{
    return zts18_done(zts_sendmsg(fd, msg, flags));
}

ssize_t zts_bsd_recv(int fd, void *buf, size_t len, int flags)
{
    return zts18_done(one_recv(fd, buf, len, flags));
}

ssize_t zts_bsd_recvfrom(int fd, void *buf, size_t len, int flags, struct zts_sockaddr *addr,
                         zts_socklen_t *addrlen)
{
    return zts18_done(zts_recvfrom(fd, buf, len, flags, addr, addrlen));
}

ssize_t zts_bsd_recvmsg(int fd, struct zts_msghdr *msg, int flags)
{
    return zts18_done(zts_recvmsg(fd, msg, flags));
}

ssize_t zts_bsd_read(int fd, void *buf, size_t len)
{
    return zts18_done(one_read(fd, buf, len));
}

ssize_t zts_bsd_readv(int fd, const struct zts_iovec *iov, int iovcnt)
{
    return zts18_done(zts_readv(fd, iov, iovcnt));
}

ssize_t zts_bsd_write(int fd, const void *buf, size_t len)
{
    return zts18_done(one_write(fd, buf, len));
}

ssize_t zts_bsd_writev(int fd, const struct zts_iovec *iov, int iovcnt)
{
    return zts18_done(zts_writev(fd, iov, iovcnt));
}

int zts_bsd_shutdown(int fd, int how)
{
    return done(zts_shutdown(fd, how));
}
