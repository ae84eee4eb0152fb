/* The simplified sockets: texts and integers over zts_bsd_*. */
#include <time.h>

#include "api18/api18.h"

#define TRY_MS 250
#define DEFAULT_CONNECT_MS 30000

int zts_socket(int family, int type, int protocol)
{
    return zts_bsd_socket(family, type, protocol);
}

int zts_listen(int fd, int backlog)
{
    return zts_bsd_listen(fd, backlog);
}

ssize_t zts_send(int fd, const void *buf, size_t len, int flags)
{
    return zts_bsd_send(fd, buf, len, flags);
}

ssize_t zts_recv(int fd, void *buf, size_t len, int flags)
{
    return zts_bsd_recv(fd, buf, len, flags);
}

ssize_t zts_read(int fd, void *buf, size_t len)
{
    return zts_bsd_read(fd, buf, len);
}

ssize_t zts_write(int fd, const void *buf, size_t len)
{
    return zts_bsd_write(fd, buf, len);
}

int zts_close(int fd)
{
    return zts_bsd_close(fd);
}

int zts_shutdown_rd(int fd)
{
    return zts_bsd_shutdown(fd, ZTS_SHUT_RD);
}

int zts_shutdown_wr(int fd)
{
    return zts_bsd_shutdown(fd, ZTS_SHUT_WR);
}

int zts_shutdown_rdwr(int fd)
{
    return zts_bsd_shutdown(fd, ZTS_SHUT_RDWR);
}

/* ---- connect
 * -------------------------------------------------------------------------------------
 */

/* A structure with room for either family, to which any of the pointer types leads. */
union address {
    struct zts_sockaddr head;
    struct zts_sockaddr_storage all;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One attempt that lasts at most ms; the socket's own time limit is put back. The other
 * generation's connect counts the time itself, and leaves the descriptor fit for another try. */
static int attempt(int fd, const union address *to, zts_socklen_t len, int64_t ms)
{
    struct zts_timeval own, limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    zts_socklen_t n = sizeof own;
    int rc = zts_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &own, &n);
    if (rc == ZTS_ERR_OK)
        rc = zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &limit, sizeof limit);
    if (rc != ZTS_ERR_OK)
        return rc;
    rc = one_connect(fd, to, len);
    int why = zts_errno;
    (void)zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &own, sizeof own);
    zts_engine_errno(why);
    return rc;
}

/* Is it worth another try? Nobody listens yet, the peer is not known yet, no answer came. */
static bool may_change(int err)
{
    return err == ZTS_ECONNREFUSED || err == ZTS_EHOSTUNREACH || err == ZTS_ENETUNREACH ||
           err == ZTS_ETIMEDOUT || err == ZTS_ECONNABORTED || err == ZTS_ECONNRESET;
}

int zts_connect(int fd, const char *ipstr, unsigned short port, int timeout_ms)
{
    union address to;
    zts_socklen_t len = sizeof to;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (timeout_ms < 0 || zts_util_ipstr_to_saddr(ipstr, port, &to.head, &len) != ZTS_ERR_OK)
        return ZTS_ERR_ARG;
    int blocking = zts_get_blocking(fd);
    if (blocking <= 0)
        return blocking < 0 ? blocking : (int)zts18_done(one_connect(fd, &to, len));
    if (timeout_ms == 0)
        timeout_ms = DEFAULT_CONNECT_MS;
    int64_t end = now_ms() + timeout_ms;
    for (;;) {
        int64_t started = now_ms();
        /* While a SYN is on its way another one would only be in its way: wait as long as it takes.
         */
        int rc = attempt(fd, &to, len, started < end ? end - started : 1); /* 0 would be "for ever" */
        if (rc == ZTS_ERR_SOCKET && zts_errno == ZTS_EISCONN)
            rc = ZTS_ERR_OK; /* an earlier call of this program got it */
        int64_t next = started + TRY_MS;
        if (rc != ZTS_ERR_SOCKET || !may_change(zts_errno) || timeout_ms < 1000 || next >= end)
            return (int)zts18_done(rc);
        int64_t left = next - now_ms();
        if (left > 0)
            zts_util_delay((unsigned long)left);
    }
}

/* ---- names
 * ---------------------------------------------------------------------------------------
 */

int zts_bind(int fd, const char *ipstr, unsigned short port)
{
    union address a;
    zts_socklen_t len = sizeof a;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    int rc = zts_util_ipstr_to_saddr(ipstr, port, &a.head, &len);
    return rc != ZTS_ERR_OK ? rc : zts_bsd_bind(fd, &a.head, len);
}

static bool bad_text(const char *dst, int len, const unsigned short *port)
{
    return dst == NULL || port == NULL || len != ZTS_IP_MAX_STR_LEN;
}

int zts_accept(int fd, char *remote, int len, unsigned short *port)
{
    union address a;
    zts_socklen_t alen = sizeof a;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (bad_text(remote, len, port))
        return ZTS_ERR_ARG;
    int rc = zts_bsd_accept(fd, &a.head, &alen);
    if (rc >= 0)
        (void)zts_util_ntop(&a.head, alen, remote, len, port);
    return rc;
}

static int name_of(int (*fn)(int, struct zts_sockaddr *, zts_socklen_t *), int fd, char *dst,
                   int len, unsigned short *port)
{
    union address a;
    zts_socklen_t alen = sizeof a;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (bad_text(dst, len, port))
        return ZTS_ERR_ARG;
    int rc = fn(fd, &a.head, &alen);
    return rc == ZTS_ERR_OK ? zts_util_ntop(&a.head, alen, dst, len, port) : rc;
}

int zts_getpeername(int fd, char *remote, int len, unsigned short *port)
{
    return name_of(zts_bsd_getpeername, fd, remote, len, port);
}

int zts_getsockname(int fd, char *local, int len, unsigned short *port)
{
    return name_of(zts_bsd_getsockname, fd, local, len, port);
}

/* ---- whole clients and servers
 * -------------------------------------------------------------------
 */

/* A socket for this address; an address of neither family is an argument error. */
static int socket_for(const char *ipstr, int type)
{
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    int family = ipstr != NULL ? zts_util_get_ip_family(ipstr) : -1;
    return family < 0 ? ZTS_ERR_ARG : zts_bsd_socket(family, type, 0);
}

/* fd, or its failure, whose zts_errno outlives the closing. */
static int or_close(int fd, int rc)
{
    if (rc >= 0)
        return fd;
    int why = zts_errno;
    (void)one_close(fd);
    zts_engine_errno(why);
    return (int)zts18_done(rc);
}

int zts_tcp_client(const char *remote_ipstr, unsigned short remote_port)
{
    int fd = socket_for(remote_ipstr, ZTS_SOCK_STREAM);
    return fd < 0 ? fd : or_close(fd, zts_connect(fd, remote_ipstr, remote_port, 0));
}

int zts_tcp_server(const char *local_ipstr, unsigned short local_port, char *remote_ipstr, int len,
                   unsigned short *remote_port)
{
    int fd = socket_for(local_ipstr, ZTS_SOCK_STREAM);
    if (fd < 0)
        return fd;
    int rc = zts_bind(fd, local_ipstr, local_port);
    if (rc == ZTS_ERR_OK)
        rc = zts_bsd_listen(fd, 1);
    if (rc == ZTS_ERR_OK)
        rc = zts_accept(fd, remote_ipstr, len, remote_port);
    if (rc < 0)
        return or_close(fd, rc);
    (void)zts_bsd_close(fd);
    return rc;
}

int zts_udp_server(const char *local_ipstr, unsigned short local_port)
{
    int fd = socket_for(local_ipstr, ZTS_SOCK_DGRAM);
    return fd < 0 ? fd : or_close(fd, zts_bind(fd, local_ipstr, local_port));
}

int zts_udp_client(const char *remote_ipstr)
{
    return socket_for(remote_ipstr, ZTS_SOCK_DGRAM);
}
