/* One function per option, over setsockopt, fcntl and ioctl. */
#include "api18/api18.h"

/* Service first: these functions check their arguments before there is a call that would. */
#define NEEDS_NODE()        \
    if (!zts_engine_runs()) \
    return ZTS_ERR_SERVICE

static int set_int(int fd, int level, int name, int value)
{
    return zts_bsd_setsockopt(fd, level, name, &value, sizeof value);
}

static int get_int(int fd, int level, int name)
{
    int value = 0;
    zts_socklen_t len = sizeof value;
    int rc = zts_bsd_getsockopt(fd, level, name, &value, &len);
    return rc != ZTS_ERR_OK ? rc : value;
}

static int set_switch(int fd, int level, int name, int enabled)
{
    NEEDS_NODE();
    return enabled != 0 && enabled != 1 ? ZTS_ERR_ARG : set_int(fd, level, name, enabled);
}

static int get_switch(int fd, int level, int name)
{
    int value = get_int(fd, level, name);
    return value < 0 ? value : value != 0;
}

int zts_set_no_delay(int fd, int enabled)
{
    return set_switch(fd, ZTS_IPPROTO_TCP, ZTS_TCP_NODELAY, enabled);
}

int zts_get_no_delay(int fd)
{
    return get_switch(fd, ZTS_IPPROTO_TCP, ZTS_TCP_NODELAY);
}

int zts_set_reuse_addr(int fd, int enabled)
{
    return set_switch(fd, ZTS_SOL_SOCKET, ZTS_SO_REUSEADDR, enabled);
}

int zts_get_reuse_addr(int fd)
{
    return get_switch(fd, ZTS_SOL_SOCKET, ZTS_SO_REUSEADDR);
}

int zts_set_keepalive(int fd, int enabled)
{
    return set_switch(fd, ZTS_SOL_SOCKET, ZTS_SO_KEEPALIVE, enabled);
}

int zts_get_keepalive(int fd)
{
    return get_switch(fd, ZTS_SOL_SOCKET, ZTS_SO_KEEPALIVE);
}

int zts_set_blocking(int fd, int enabled)
{
    NEEDS_NODE();
    if (enabled != 0 && enabled != 1)
        return ZTS_ERR_ARG;
    return zts_bsd_fcntl(fd, ZTS_F_SETFL, enabled ? 0 : ZTS_O_NONBLOCK);
}

int zts_get_blocking(int fd)
{
    int flags = zts_bsd_fcntl(fd, ZTS_F_GETFL, 0);
    return flags < 0 ? flags : (flags & ZTS_O_NONBLOCK) == 0;
}

/* ---- linger
 * --------------------------------------------------------------------------------------
 */

int zts_set_linger(int fd, int enabled, int seconds)
{
    struct zts_linger l = {.l_onoff = enabled, .l_linger = seconds};
    NEEDS_NODE();
    if ((enabled != 0 && enabled != 1) || seconds < 0)
        return ZTS_ERR_ARG;
    return zts_bsd_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_LINGER, &l, sizeof l);
}

static int get_linger(int fd, struct zts_linger *l)
{
    zts_socklen_t len = sizeof *l;
    return zts_bsd_getsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_LINGER, l, &len);
}

int zts_get_linger_enabled(int fd)
{
    struct zts_linger l;
    int rc = get_linger(fd, &l);
    return rc != ZTS_ERR_OK ? rc : l.l_onoff;
}

int zts_get_linger_value(int fd)
{
    struct zts_linger l;
    int rc = get_linger(fd, &l);
    return rc != ZTS_ERR_OK ? rc : l.l_linger;
}

/* ---- time limits
 * ---------------------------------------------------------------------------------
 */

static int set_limit(int fd, int name, int seconds, int microseconds)
{
    struct zts_timeval t = {.tv_sec = (long)seconds + microseconds / 1000000,
                            .tv_usec = microseconds % 1000000};
    NEEDS_NODE();
    if (seconds < 0 || microseconds < 0)
        return ZTS_ERR_ARG;
    return zts_bsd_setsockopt(fd, ZTS_SOL_SOCKET, name, &t, sizeof t);
}

static int get_limit(int fd, int name)
{
    struct zts_timeval t;
    zts_socklen_t len = sizeof t;
    int rc = zts_bsd_getsockopt(fd, ZTS_SOL_SOCKET, name, &t, &len);
    return rc != ZTS_ERR_OK ? rc : (int)t.tv_sec;
}

int zts_set_recv_timeout(int fd, int seconds, int microseconds)
{
    return set_limit(fd, ZTS_SO_RCVTIMEO, seconds, microseconds);
}

int zts_get_recv_timeout(int fd)
{
    return get_limit(fd, ZTS_SO_RCVTIMEO);
}

int zts_set_send_timeout(int fd, int seconds, int microseconds)
{
    return set_limit(fd, ZTS_SO_SNDTIMEO, seconds, microseconds);
}

int zts_get_send_timeout(int fd)
{
    return get_limit(fd, ZTS_SO_SNDTIMEO);
}

/* ---- sizes
 * ---------------------------------------------------------------------------------------
 */

static int set_size(int fd, int name, int size)
{
    NEEDS_NODE();
    return size < 0 ? ZTS_ERR_ARG : set_int(fd, ZTS_SOL_SOCKET, name, size);
}

int zts_set_send_buf_size(int fd, int size)
{
    return set_size(fd, ZTS_SO_SNDBUF, size);
}

int zts_get_send_buf_size(int fd)
{
    return get_int(fd, ZTS_SOL_SOCKET, ZTS_SO_SNDBUF);
}

int zts_set_recv_buf_size(int fd, int size)
{
    return set_size(fd, ZTS_SO_RCVBUF, size);
}

int zts_get_recv_buf_size(int fd)
{
    return get_int(fd, ZTS_SOL_SOCKET, ZTS_SO_RCVBUF);
}

int zts_set_ttl(int fd, int ttl)
{
    NEEDS_NODE();
    return ttl < 0 || ttl > 255 ? ZTS_ERR_ARG : set_int(fd, ZTS_IPPROTO_IP, ZTS_IP_TTL, ttl);
}

int zts_get_ttl(int fd)
{
    return get_int(fd, ZTS_IPPROTO_IP, ZTS_IP_TTL);
}

/* ---- state
 * ---------------------------------------------------------------------------------------
 */

int zts_get_last_socket_error(int fd)
{
    return get_int(fd, ZTS_SOL_SOCKET, ZTS_SO_ERROR);
}

int zts_get_pending_data_size(int fd)
{
    int n = 0;
    int rc = zts_bsd_ioctl(fd, ZTS_FIONREAD, &n);
    return rc != ZTS_ERR_OK ? rc : n;
}

size_t zts_get_data_available(int fd)
{
    /* An error is a huge number, as its type makes it. */
    return (size_t)(ssize_t)zts_get_pending_data_size(fd);
}
