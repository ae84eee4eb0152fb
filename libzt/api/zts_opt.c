/* Options, fcntl and ioctl: from this API's numbers to Linux's, which the node speaks. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "api/zts_priv.h"
#include "base/addr.h"

/* Values that the node acts on, or keeps and gives back. Before a socket has a node behind it they
 * are remembered here and go with connect or bind. */
static const struct option {
    int level, name, host_level, host_name;
    int initial;
} options[] = {
    {ZTS_SOL_SOCKET, ZTS_SO_REUSEADDR, SOL_SOCKET, SO_REUSEADDR, 0},
    {ZTS_SOL_SOCKET, ZTS_SO_REUSEPORT, SOL_SOCKET, SO_REUSEPORT, 0},
    {ZTS_SOL_SOCKET, ZTS_SO_KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, 0},
    {ZTS_SOL_SOCKET, ZTS_SO_BROADCAST, SOL_SOCKET, SO_BROADCAST, 0},
    {ZTS_SOL_SOCKET, ZTS_SO_SNDBUF, SOL_SOCKET, SO_SNDBUF, 212992},
    {ZTS_SOL_SOCKET, ZTS_SO_RCVBUF, SOL_SOCKET, SO_RCVBUF, 212992},
    {ZTS_SOL_SOCKET, ZTS_SO_NO_CHECK, SOL_SOCKET, SO_NO_CHECK, 0},
    {ZTS_IPPROTO_IP, ZTS_IP_TOS, IPPROTO_IP, IP_TOS, 0},
    {ZTS_IPPROTO_IP, ZTS_IP_TTL, IPPROTO_IP, IP_TTL, 255},
    {ZTS_IPPROTO_IP, ZTS_IP_MULTICAST_TTL, IPPROTO_IP, IP_MULTICAST_TTL, 1},
    {ZTS_IPPROTO_IP, ZTS_IP_MULTICAST_LOOP, IPPROTO_IP, IP_MULTICAST_LOOP, 1},
    {ZTS_IPPROTO_TCP, ZTS_TCP_NODELAY, IPPROTO_TCP, TCP_NODELAY, 0},
    {ZTS_IPPROTO_TCP, ZTS_TCP_KEEPIDLE, IPPROTO_TCP, TCP_KEEPIDLE, 7200},
    {ZTS_IPPROTO_TCP, ZTS_TCP_KEEPINTVL, IPPROTO_TCP, TCP_KEEPINTVL, 75},
    {ZTS_IPPROTO_TCP, ZTS_TCP_KEEPCNT, IPPROTO_TCP, TCP_KEEPCNT, 9},
    {ZTS_IPPROTO_IPV6, ZTS_IPV6_V6ONLY, IPPROTO_IPV6, IPV6_V6ONLY, 0},
    {ZTS_IPPROTO_IPV6, ZTS_IPV6_CHECKSUM, IPPROTO_IPV6, IPV6_CHECKSUM, -1},
    {ZTS_IPPROTO_IPV6, ZTS_IPV6_UNICAST_HOPS, IPPROTO_IP, IP_TTL, 255}, /* one of both */
    {ZTS_IPPROTO_IPV6, ZTS_IPV6_MULTICAST_IF, IPPROTO_IPV6, IPV6_MULTICAST_IF, 0},
    {ZTS_IPPROTO_IPV6, ZTS_IPV6_MULTICAST_HOPS, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1},
    {ZTS_IPPROTO_IPV6, ZTS_IPV6_MULTICAST_LOOP, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1},
};

static const struct option *find(int level, int name)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].level == level && options[i].name == name)
            return &options[i];
    return NULL;
}

/* An option of another kind of socket? */
static bool not_for(const struct zts_sock *s, int level, int name)
{
    if (s->family == AF_PACKET)
        return level != ZTS_SOL_SOCKET;
    if (level == ZTS_IPPROTO_TCP)
        return s->type != ZTS_SOCK_STREAM;
    if (level == ZTS_IPPROTO_IPV6)
        return s->family != ZTS_AF_INET6 ||
               (name == ZTS_IPV6_CHECKSUM &&
                (s->type != ZTS_SOCK_RAW || s->protocol == ZTS_IPPROTO_ICMPV6));
    return level == ZTS_SOL_SOCKET && name == ZTS_SO_NO_CHECK && s->type != ZTS_SOCK_DGRAM;
}

static int opt_request(struct zts_sock *s, enum zt_ctl_type type, int level, int name,
                       const void *val, size_t len, int *out)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    uint8_t data[ZT_CTL_REPLY_DATA];
    zts_req_init(s, type, &req);
    req.level = level;
    req.name = name;
    req.ndata = (uint32_t)len;
    if (len > 0)
        memcpy(req.data, val, len);
    int rc = zts_request(&req, &rep, data, NULL);
    if (rc == ZTS_ERR_OK && out != NULL && rep.ndata >= sizeof *out)
        memcpy(out, data, sizeof *out);
    return rc;
}

/* With s->lock. */
static int set_host(struct zts_sock *s, int level, int name, int value)
{
    if (atomic_load(&s->kind) != ZTS_KIND_FRESH)
        return opt_request(s, ZT_CTL_OPT_SET, level, name, &value, sizeof value, NULL);
    unsigned i = 0;
    while (i < s->nopts && (s->opts[i].level != level || s->opts[i].name != name))
        i++;
    if (i == ZTS_REMEMBER)
        return zts_fail(ENOBUFS);
    s->opts[i] = (struct zt_ctl_opt){.level = level, .name = name, .value = value};
    if (i == s->nopts)
        s->nopts++;
    return ZTS_ERR_OK;
}

static int get_host(struct zts_sock *s, int level, int name, int initial, int *value)
{
    *value = initial;
    if (atomic_load(&s->kind) != ZTS_KIND_FRESH)
        return opt_request(s, ZT_CTL_OPT_GET, level, name, NULL, 0, value);
    for (unsigned i = 0; i < s->nopts; i++)
        if (s->opts[i].level == level && s->opts[i].name == name)
            *value = s->opts[i].value;
    return ZTS_ERR_OK;
}

void zts_sock_cork(struct zts_sock *s, bool on)
{
    int before = zts_errno;
    (void)set_host(s, IPPROTO_TCP, TCP_CORK, on);
    zts_errno = before;
}

/* ---- set
 * -------------------------------------------------------------------------------------------- */

static int set_timeout(struct zts_sock *s, int name, const void *val, zts_socklen_t len)
{
    struct zts_timeval t;
    if (len < sizeof t)
        return zts_fail(EINVAL);
    memcpy(&t, val, sizeof t);
    if (t.tv_sec < 0 || t.tv_usec < 0 || t.tv_usec >= 1000000)
        return zts_fail(EDOM);
    if (name == ZTS_SO_CONTIMEO) {
        /* Rounded up: a short limit is not "none". */
        s->contimeo_ms =
            t.tv_sec > 1000000 ? 1000000000 : (int)(t.tv_sec * 1000 + (t.tv_usec + 999) / 1000);
        return ZTS_ERR_OK;
    }
    struct timeval h = {.tv_sec = t.tv_sec, .tv_usec = t.tv_usec};
    bool rcv = name == ZTS_SO_RCVTIMEO;
    if (setsockopt(s->fd, SOL_SOCKET, rcv ? SO_RCVTIMEO : SO_SNDTIMEO, &h, sizeof h) != 0)
        return zts_fail(errno);
    *(rcv ? &s->rcvtimeo : &s->sndtimeo) = h;
    return ZTS_ERR_OK;
}

static int set_linger(struct zts_sock *s, const void *val, zts_socklen_t len)
{
    struct zts_linger l;
    if (s->type != ZTS_SOCK_STREAM)
        return zts_fail(ENOPROTOOPT);
    if (len < sizeof l)
        return zts_fail(EINVAL);
    memcpy(&l, val, sizeof l);
    s->linger = l.l_onoff && l.l_linger > 0 ? l.l_linger : 0;
    return set_host(s, SOL_SOCKET, SO_LINGER, l.l_onoff ? (l.l_linger < 0 ? 0 : l.l_linger) : -1);
}

static int set_membership(struct zts_sock *s, int level, int name, const void *val,
                          zts_socklen_t len)
{
    bool is_source =
        level == ZTS_IPPROTO_IP &&
        (name == ZTS_IP_ADD_SOURCE_MEMBERSHIP || name == ZTS_IP_DROP_SOURCE_MEMBERSHIP);
    size_t need = level == ZTS_IPPROTO_IPV6 ? sizeof(struct zts_ipv6_mreq)
                  : is_source               ? sizeof(struct zts_ip_mreq_source)
                                            : sizeof(struct zts_ip_mreq);
    if (s->type != ZTS_SOCK_DGRAM)
        return zts_fail(ENOPROTOOPT);
    if (len < need)
        return zts_fail(EINVAL);
    int rc = zts_sock_need_dgram(s);
    if (rc != ZTS_ERR_OK)
        return rc;
    int host = is_source ? name
               : level == ZTS_IPPROTO_IP
                   ? (name == ZTS_IP_ADD_MEMBERSHIP ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP)
                   : (name == ZTS_IPV6_JOIN_GROUP ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP);
    return opt_request(s, ZT_CTL_OPT_SET, level == ZTS_IPPROTO_IP ? IPPROTO_IP : IPPROTO_IPV6, host,
                       val, need, NULL);
}

/* IPv4 names the interface by an address, which is the node's to understand. */
static int set_multicast_if(struct zts_sock *s, const void *val, zts_socklen_t len)
{
    if (s->type == ZTS_SOCK_STREAM || s->family == AF_PACKET)
        return zts_fail(ENOPROTOOPT);
    if (len < 4)
        return zts_fail(EINVAL);
    int rc = zts_sock_need_dgram(s);
    return rc != ZTS_ERR_OK
               ? rc
               : opt_request(s, ZT_CTL_OPT_SET, IPPROTO_IP, IP_MULTICAST_IF, val, 4, NULL);
}

static bool is_membership(int level, int name)
{
    return (level == ZTS_IPPROTO_IP &&
            (name == ZTS_IP_ADD_MEMBERSHIP || name == ZTS_IP_DROP_MEMBERSHIP ||
             name == ZTS_IP_ADD_SOURCE_MEMBERSHIP || name == ZTS_IP_DROP_SOURCE_MEMBERSHIP)) ||
           (level == ZTS_IPPROTO_IPV6 &&
            (name == ZTS_IPV6_JOIN_GROUP || name == ZTS_IPV6_LEAVE_GROUP));
}

static bool is_timeout(int level, int name)
{
    return level == ZTS_SOL_SOCKET &&
           (name == ZTS_SO_RCVTIMEO || name == ZTS_SO_SNDTIMEO || name == ZTS_SO_CONTIMEO);
}

static int set_rcvlowat(struct zts_sock *s, int value)
{
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value) != 0)
        return zts_fail(errno);
    s->rcvlowat = value;
    return ZTS_ERR_OK;
}

static bool is_pktinfo(int level, int name)
{
    return (level == ZTS_IPPROTO_IP && name == ZTS_IP_PKTINFO) ||
           (level == ZTS_IPPROTO_IPV6 && name == ZTS_IPV6_RECVPKTINFO);
}

static int set_pktinfo(struct zts_sock *s, const void *val, zts_socklen_t len)
{
    int value;
    if (s->type == ZTS_SOCK_STREAM)
        return zts_fail(ENOPROTOOPT);
    if (len < sizeof value)
        return zts_fail(EINVAL);
    memcpy(&value, val, sizeof value);
    s->pktinfo = value != 0;
    return ZTS_ERR_OK;
}

/* SO_BINDTODEVICE: an interface is named by its network's id, 16 hex digits; empty: any. */
static int set_device(struct zts_sock *s, const void *val, zts_socklen_t len)
{
    char text[17] = "";
    uint64_t nwid;
    int index = 0;
    memcpy(text, val, len < 16 ? len : 16);
    if (text[0] != 0) {
        if (zt_hex_parse_u64(text, 16, &nwid) != 0 || (len > 16 && ((const char *)val)[16] != 0))
            return zts_fail(ENODEV);
        index = zts_query_interface(nwid);
        if (index < 0)
            return index == ZTS_ERR_SERVICE ? index : zts_fail(ENODEV);
    }
    return set_host(s, SOL_SOCKET, SO_BINDTODEVICE, index);
}

static int set_option(struct zts_sock *s, int level, int name, const void *val, zts_socklen_t len)
{
    int value = 0;
    if (is_timeout(level, name))
        return set_timeout(s, name, val, len);
    if (level == ZTS_SOL_SOCKET && name == ZTS_SO_LINGER)
        return set_linger(s, val, len);
    if (level == ZTS_SOL_SOCKET && name == ZTS_SO_DONTLINGER)
        return s->type == ZTS_SOCK_STREAM ? set_host(s, SOL_SOCKET, SO_LINGER, -1)
                                          : zts_fail(ENOPROTOOPT);
    if (is_pktinfo(level, name))
        return set_pktinfo(s, val, len);
    if (level == ZTS_SOL_SOCKET && name == ZTS_SO_BINDTODEVICE)
        return set_device(s, val, len);
    if (not_for(s, level, name))
        return zts_fail(ENOPROTOOPT);
    const struct option *o = find(level, name);
    bool is_ms = level == ZTS_IPPROTO_TCP && name == ZTS_TCP_KEEPALIVE;
    bool is_lowat = level == ZTS_SOL_SOCKET && name == ZTS_SO_RCVLOWAT;
    if (o == NULL && !is_ms && !is_lowat)
        return zts_fail(ENOPROTOOPT);
    if (len >= sizeof value)
        memcpy(&value, val, sizeof value);
    else if (len == 1 && level == ZTS_IPPROTO_IP)
        value = *(const uint8_t *)val;
    else
        return zts_fail(EINVAL);
    if (is_lowat)
        return set_rcvlowat(s, value);
    if (is_ms) {
        s->keepalive_ms = value;
        return set_host(s, IPPROTO_TCP, TCP_KEEPIDLE, value < 1000 ? 1 : value / 1000);
    }
    if (o->host_level == SOL_SOCKET && o->host_name == SO_BROADCAST)
        s->broadcast = value != 0;
    if (o->host_level == SOL_SOCKET && o->host_name == SO_SNDBUF && s->type != ZTS_SOCK_STREAM)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
    if (o->host_level == IPPROTO_TCP && o->host_name == TCP_KEEPIDLE)
        s->keepalive_ms = 0;
    return set_host(s, o->host_level, o->host_name, value);
}

int zts_setsockopt(int fd, int level, int optname, const void *optval, zts_socklen_t optlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (optval == NULL)
        return ZTS_ERR_ARG;
    struct zts_sock *s = zts_sock_get(fd);
    if (s == NULL)
        return zts_fail(EBADF);
    int rc;
    if (is_membership(level, optname)) { /* these lock by themselves */
        rc = set_membership(s, level, optname, optval, optlen);
    } else if (level == ZTS_IPPROTO_IP && optname == ZTS_IP_MULTICAST_IF) {
        rc = set_multicast_if(s, optval, optlen);
    } else {
        pthread_mutex_lock(&s->lock);
        rc = set_option(s, level, optname, optval, optlen);
        pthread_mutex_unlock(&s->lock);
    }
    zts_sock_put(s);
    return rc;
}

/* ---- get
 * -------------------------------------------------------------------------------------------- */

/* The error that nobody has been told, once. */
static int take_error(struct zts_sock *s)
{
    int err = 0;
    if (atomic_load(&s->kind) == ZTS_KIND_STREAM) {
        err = zts_sock_take_error(s);
    } else if (atomic_load(&s->kind) == ZTS_KIND_DGRAM) {
        int before = zts_errno;
        (void)get_host(s, SOL_SOCKET, SO_ERROR, 0, &err);
        zts_errno = before;
    }
    /* The pair has an error of its own (ECONNRESET); it is not what the caller asks for, but it
     * would keep the descriptor polling as failed. */
    int own = 0;
    socklen_t n = sizeof own;
    (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &own, &n);
    return err;
}

static int get_int(struct zts_sock *s, int level, int name, int *value)
{
    if (level == ZTS_SOL_SOCKET) {
        switch (name) {
        case ZTS_SO_ERROR:
            *value = take_error(s);
            return ZTS_ERR_OK;
        case ZTS_SO_TYPE:
            *value = s->type;
            return ZTS_ERR_OK;
        case ZTS_SO_ACCEPTCONN:
            *value = s->listening;
            return ZTS_ERR_OK;
        case ZTS_SO_SNDLOWAT:
            *value = 1; /* as on Linux: it cannot be set */
            return ZTS_ERR_OK;
        case ZTS_SO_RCVLOWAT: {
            socklen_t n = sizeof *value;
            return getsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, value, &n) == 0 ? ZTS_ERR_OK
                                                                              : zts_fail(errno);
        }
        default:
            break;
        }
    }
    if (is_pktinfo(level, name) && s->type != ZTS_SOCK_STREAM) {
        *value = s->pktinfo;
        return ZTS_ERR_OK;
    }
    if (not_for(s, level, name))
        return zts_fail(ENOPROTOOPT);
    if (level == ZTS_IPPROTO_TCP && name == ZTS_TCP_KEEPALIVE) {
        if (s->keepalive_ms > 0) {
            *value = s->keepalive_ms;
            return ZTS_ERR_OK;
        }
        int rc = get_host(s, IPPROTO_TCP, TCP_KEEPIDLE, 7200, value);
        *value = *value > INT32_MAX / 1000 ? INT32_MAX : *value * 1000;
        return rc;
    }
    const struct option *o = find(level, name);
    return o != NULL ? get_host(s, o->host_level, o->host_name, o->initial, value)
                     : zts_fail(ENOPROTOOPT);
}

static int get_option(struct zts_sock *s, int level, int name, void *val, zts_socklen_t *len)
{
    if (is_timeout(level, name)) {
        struct zts_timeval t = {.tv_sec = s->contimeo_ms / 1000,
                                .tv_usec = s->contimeo_ms % 1000 * 1000};
        if (name == ZTS_SO_RCVTIMEO)
            t = (struct zts_timeval){.tv_sec = s->rcvtimeo.tv_sec, .tv_usec = s->rcvtimeo.tv_usec};
        else if (name == ZTS_SO_SNDTIMEO)
            t = (struct zts_timeval){.tv_sec = s->sndtimeo.tv_sec, .tv_usec = s->sndtimeo.tv_usec};
        if (*len < sizeof t)
            return zts_fail(EINVAL);
        memcpy(val, &t, sizeof t);
        *len = sizeof t;
        return ZTS_ERR_OK;
    }
    int value = 0;
    if (level == ZTS_SOL_SOCKET && name == ZTS_SO_LINGER) {
        struct zts_linger l;
        if (s->type != ZTS_SOCK_STREAM)
            return zts_fail(ENOPROTOOPT);
        if (*len < sizeof l)
            return zts_fail(EINVAL);
        int rc = get_host(s, SOL_SOCKET, SO_LINGER, -1, &value);
        l = (struct zts_linger){.l_onoff = value >= 0, .l_linger = value >= 0 ? value : 0};
        memcpy(val, &l, sizeof l);
        *len = sizeof l;
        return rc;
    }
    if (level == ZTS_IPPROTO_IP && name == ZTS_IP_MULTICAST_IF && *len >= sizeof value) {
        int rc = get_host(s, IPPROTO_IP, IP_MULTICAST_IF, 0, &value);
        memcpy(val, &value, sizeof value);
        *len = sizeof value;
        return rc;
    }
    /* The multicast options of IPv4 are bytes for many programs. */
    bool is_byte = level == ZTS_IPPROTO_IP && *len >= 1 && *len < sizeof value;
    if (*len < sizeof value && !is_byte)
        return zts_fail(EINVAL);
    int rc = get_int(s, level, name, &value);
    if (rc == ZTS_ERR_OK && is_byte) {
        *(uint8_t *)val = (uint8_t)value;
        *len = 1;
    } else if (rc == ZTS_ERR_OK) {
        memcpy(val, &value, sizeof value);
        *len = sizeof value;
    }
    return rc;
}

int zts_getsockopt(int fd, int level, int optname, void *optval, zts_socklen_t *optlen)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (optval == NULL || optlen == NULL)
        return ZTS_ERR_ARG;
    struct zts_sock *s = zts_sock_get(fd);
    if (s == NULL)
        return zts_fail(EBADF);
    pthread_mutex_lock(&s->lock);
    int rc = get_option(s, level, optname, optval, optlen);
    pthread_mutex_unlock(&s->lock);
    zts_sock_put(s);
    return rc;
}

/* ---- fcntl, ioctl
 * ------------------------------------------------------------------------------------ */

static int set_nonblock(struct zts_sock *s, bool on)
{
    int flags = fcntl(s->fd, F_GETFL);
    if (flags < 0 || fcntl(s->fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0)
        return zts_fail(errno);
    return ZTS_ERR_OK;
}

static int fcntl_on(struct zts_sock *s, int cmd, int flags)
{
    if (cmd == ZTS_F_GETFL) {
        int host = fcntl(s->fd, F_GETFL);
        return host < 0 ? zts_fail(errno) : ZTS_O_RDWR | (host & O_NONBLOCK ? ZTS_O_NONBLOCK : 0);
    }
    if (cmd != ZTS_F_SETFL)
        return zts_fail(ENOSYS);
    if (flags & ~(ZTS_O_RDWR | ZTS_O_NONBLOCK))
        return zts_fail(EINVAL);
    return set_nonblock(s, flags & ZTS_O_NONBLOCK);
}

int zts_fcntl(int fd, int cmd, int flags)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    struct zts_sock *s = zts_sock_get(fd);
    if (s == NULL)
        return zts_fail(EBADF);
    pthread_mutex_lock(&s->lock);
    int rc = fcntl_on(s, cmd, flags);
    pthread_mutex_unlock(&s->lock);
    zts_sock_put(s);
    return rc;
}

static int ioctl_on(struct zts_sock *s, unsigned long request, void *argp)
{
    int value = 0;
    if (request == ZTS_FIONBIO) {
        memcpy(&value, argp, sizeof value);
        return set_nonblock(s, value != 0);
    }
    if (request != ZTS_FIONREAD)
        return zts_fail(ENOSYS);
    if (atomic_load(&s->kind) == ZTS_KIND_DGRAM) {
        /* The next message with its header; an empty datagram counts as 0, like no datagram. */
        ssize_t n = recv(s->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        value = n > (ssize_t)sizeof(struct zt_ctl_dgram)
                    ? (int)(n - (ssize_t)sizeof(struct zt_ctl_dgram))
                    : 0;
    } else if (atomic_load(&s->kind) == ZTS_KIND_STREAM && ioctl(s->fd, FIONREAD, &value) != 0) {
        return zts_fail(errno);
    }
    memcpy(argp, &value, sizeof value);
    return ZTS_ERR_OK;
}

int zts_ioctl(int fd, unsigned long request, void *argp)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (argp == NULL)
        return ZTS_ERR_ARG;
    struct zts_sock *s = zts_sock_get(fd);
    if (s == NULL)
        return zts_fail(EBADF);
    pthread_mutex_lock(&s->lock);
    int rc = ioctl_on(s, request, argp);
    pthread_mutex_unlock(&s->lock);
    zts_sock_put(s);
    return rc;
}
