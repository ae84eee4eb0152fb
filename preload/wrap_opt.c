/* Socket options. What concerns the pair itself (time-outs, buffers) goes to the kernel; what
 * concerns the virtual connection goes to the node, which remembers it and acts on it where it can;
 * nothing of the TCP or IP levels ever reaches the pair, which would refuse it, and nothing that
 * would show what the pair is. */
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef TCP_CM_INQ
#define TCP_CM_INQ 36
#endif
#define TCP_CONGESTION_NAME "reno"

/* ---- what is known ---- */

struct known {
    int level, name, usual;
};

static const struct known remembered[] = {
    {SOL_SOCKET, SO_KEEPALIVE, 0},
    {SOL_SOCKET, SO_REUSEADDR, 0},
    {SOL_SOCKET, SO_REUSEPORT, 0},
    {SOL_SOCKET, SO_OOBINLINE, 0},
    {SOL_SOCKET, SO_BROADCAST, 0},
    {SOL_SOCKET, SO_DONTROUTE, 0},
    {SOL_SOCKET, SO_NO_CHECK, 0},
    {SOL_SOCKET, SO_RXQ_OVFL, 0},
    {SOL_SOCKET, SO_INCOMING_CPU, -1},
    {SOL_SOCKET, SO_BUSY_POLL, 0},
    {IPPROTO_TCP, TCP_NODELAY, 0},
    {IPPROTO_TCP, TCP_CORK, 0},
    {IPPROTO_TCP, TCP_KEEPIDLE, 7200},
    {IPPROTO_TCP, TCP_KEEPINTVL, 75},
    {IPPROTO_TCP, TCP_KEEPCNT, 9},
    {IPPROTO_TCP, TCP_SYNCNT, 6},
    {IPPROTO_TCP, TCP_LINGER2, 60},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, 0},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, 0},
    {IPPROTO_TCP, TCP_QUICKACK, 1},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, 0},
    {IPPROTO_TCP, TCP_FASTOPEN, 0},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0},
    {IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 0},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0},
    {IPPROTO_TCP, TCP_THIN_DUPACK, 0},
    {IPPROTO_TCP, TCP_SAVE_SYN, 0},
    {IPPROTO_TCP, TCP_CM_INQ, 0},
    {IPPROTO_UDP, UDP_CORK, 0},
    {IPPROTO_IP, IP_TOS, 0},
    {IPPROTO_IP, IP_TTL, 64},
    {IPPROTO_IP, IP_FREEBIND, 0},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0},
    {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT},
    {IPPROTO_IP, IP_RECVERR, 0},
    {IPPROTO_IP, IP_MULTICAST_TTL, 1},
    {IPPROTO_IP, IP_MULTICAST_LOOP, 1},
    {IPPROTO_IP, IP_MULTICAST_ALL, 1},
    {IPPROTO_IPV6, IPV6_V6ONLY, 0},
    {IPPROTO_IPV6, IPV6_TCLASS, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, 0},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT},
    {IPPROTO_IPV6, IPV6_RECVERR, 0},
};

static const struct known *find_known(int level, int name)
{
    for (size_t i = 0; i < sizeof remembered / sizeof *remembered; i++)
        if (remembered[i].level == level && remembered[i].name == name)
            return &remembered[i];
    return NULL;
}

/* Options that only say what recvmsg shall add: kept in the word. */
int zt_optname_flag(int level, int name, zt_word *flag)
{
    *flag = 0;
    if (level == IPPROTO_IP)
        *flag = name == IP_PKTINFO   ? ZT_W_PKTINFO
                : name == IP_RECVTOS ? ZT_W_RECVTOS
                : name == IP_RECVTTL ? ZT_W_RECVTTL
                                     : 0;
    else if (level == IPPROTO_IPV6)
        *flag = name == IPV6_RECVPKTINFO    ? ZT_W_PKTINFO
                : name == IPV6_RECVTCLASS   ? ZT_W_RECVTOS
                : name == IPV6_RECVHOPLIMIT ? ZT_W_RECVTTL
                                            : 0;
    else if (level == SOL_SOCKET)
        *flag = name == SO_TIMESTAMP ? ZT_W_STAMP : name == SO_TIMESTAMPNS ? ZT_W_STAMPNS : 0;
    return *flag != 0;
}

/* Options of the description itself. */
static bool pair_option(int name)
{
    switch (name) {
    case SO_RCVTIMEO:
    case SO_SNDTIMEO:
#if SO_RCVTIMEO != 66
    case 66: /* SO_RCVTIMEO_NEW */
    case 67:
#endif
    case SO_RCVLOWAT:
    case SO_SNDLOWAT:
    case SO_PRIORITY:
    case SO_MARK:
    case SO_RCVBUF:
    case SO_SNDBUF:
    case SO_RCVBUFFORCE:
    case SO_SNDBUFFORCE:
    case SO_BUF_LOCK:
    case SO_COOKIE:
    case SO_DEBUG:
    case SO_PEEK_OFF:
        return true;
    default:
        return false;
    }
}

/* ---- the node's part ---- */

static int remote_get(int fd, zt_word w, int level, int name, int *value)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    int v = 0;
    zt_req_init(&req, ZT_CTL_OPT_GET, zt_id_of(fd, w));
    req.level = level;
    req.name = name;
    int r = zt_ctl(&req, &rep, &v, sizeof v, NULL, false);
    if (r == 0 && rep.ndata >= sizeof v)
        *value = v;
    return r == 0 && rep.ndata < sizeof v ? -ENOPROTOOPT : r;
}

static int remote_set(int fd, zt_word w, int level, int name, const void *value, size_t n)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    if (n > sizeof req.data)
        return -EINVAL;
    zt_req_init(&req, ZT_CTL_OPT_SET, zt_id_of(fd, w));
    req.level = level;
    req.name = name;
    memcpy(req.data, value, n);
    req.ndata = (uint32_t)n;
    if (n >= sizeof(int))
        memcpy(&req.value, value, sizeof(int));
    return zt_ctl(&req, &rep, NULL, 0, NULL, false);
}

static int put(void *out, socklen_t *len, const void *v, size_t n)
{
    if (*len > n)
        *len = (socklen_t)n;
    memcpy(out, v, *len);
    return 0;
}

static int put_int(void *out, socklen_t *len, int v)
{
    return put(out, len, &v, sizeof v);
}

static int get_info(int fd, zt_word w, int name, void *out, socklen_t *len)
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    struct zt_ctl_info info = {0};
    zt_req_init(&req, ZT_CTL_INFO, zt_id_of(fd, w));
    int r = zt_ctl(&req, &rep, &info, sizeof info, NULL, false);
    uint32_t mss = info.mss ? info.mss : 1360;
    if (name == TCP_MAXSEG)
        return put_int(out, len, (int)mss);
    if (r < 0)
        info.state = 7; /* TCP_CLOSE */
    struct tcp_info t = {
        .tcpi_state = (uint8_t)info.state,
        .tcpi_retransmits = 0,
        .tcpi_rto = info.rtt_us + 4 * info.rttvar_us,
        .tcpi_snd_mss = mss,
        .tcpi_rcv_mss = mss,
        .tcpi_advmss = mss,
        .tcpi_pmtu = mss + 40,
        .tcpi_rcv_ssthresh = info.rcv_wnd,
        .tcpi_rtt = info.rtt_us,
        .tcpi_rttvar = info.rttvar_us,
        .tcpi_snd_ssthresh = 0x7fffffff,
        .tcpi_snd_cwnd = info.cwnd_bytes / mss,
        .tcpi_reordering = 3,
        .tcpi_rcv_rtt = info.rtt_us,
        .tcpi_rcv_space = info.rcv_wnd,
        .tcpi_unacked = info.unacked / mss + (info.unacked % mss != 0),
        .tcpi_total_retrans = info.retransmits,
    };
    return put(out, len, &t, sizeof t);
}

/* ---- getsockopt ---- */

/* The error of the state page once, then 0; the pair's own is cleared with it. */
static int take_error(int fd, zt_word w)
{
    int pair = 0, err = 0;
    socklen_t len = sizeof pair;
    if (w & ZT_W_DGRAM)
        return zt_dgram_error(fd);
    REAL(getsockopt)(fd, SOL_SOCKET, SO_ERROR, &pair, &len);
    enum zt_phase phase = zt_phase_of(w, &err);
    if (phase != ZT_PHASE_FAILED && phase != ZT_PHASE_RESET)
        return pair;
    if (w & ZT_W_ERR)
        return 0;
    zt_word_flag(fd, w, ZT_W_ERR);
    return err ? err : pair;
}

static int get_linger(int fd, zt_word w, void *out, socklen_t *len)
{
    int v = -1;
    struct linger lg = {0, 0};
    if (remote_get(fd, w, SOL_SOCKET, SO_LINGER, &v) == 0 && v >= 0)
        lg = (struct linger){1, v};
    return put(out, len, &lg, sizeof lg);
}

/* Of a listener the pair is the queue of connections: its sizes are not what was set. */
static int get_listener_buffer(int fd, zt_word w, int name, void *out, socklen_t *len)
{
    int v = 0;
    remote_get(fd, w, SOL_SOCKET, name, &v);
    if (v <= 0 || v == 212992) /* not set: what Linux begins with */
        v = (name == SO_SNDBUF ? 16384 : 131072) / 2;
    return put_int(out, len, v < INT32_MAX / 2 ? 2 * v : INT32_MAX); /* it reports the double */
}

static int get_socket_level(int fd, zt_word w, int name, void *out, socklen_t *len)
{
    zt_word flag;
    switch (name) {
    case SO_ERROR:
        return put_int(out, len, take_error(fd, w));
    case SO_DOMAIN:
        return put_int(out, len, w & ZT_W_V6 ? AF_INET6 : AF_INET);
    case SO_TYPE:
        return put_int(out, len, w & ZT_W_DGRAM ? SOCK_DGRAM : SOCK_STREAM);
    case SO_PROTOCOL:
        return put_int(out, len, w & ZT_W_DGRAM ? IPPROTO_UDP : IPPROTO_TCP);
    case SO_ACCEPTCONN:
        return put_int(out, len, (w & ZT_W_BOUND) && zt_phase_of(w, NULL) == ZT_PHASE_LISTENING);
    case SO_PEERCRED: { /* what an inet socket says */
        struct ucred none = {0, (uid_t)-1, (gid_t)-1};
        return put(out, len, &none, sizeof none);
    }
    case SO_LINGER:
        return get_linger(fd, w, out, len);
    case SO_SNDBUF:
    case SO_RCVBUF:
        if (!(w & ZT_W_BOUND))
            break;
        return get_listener_buffer(fd, w, name, out, len);
    case SO_PASSCRED:
    case SO_ZEROCOPY:
        return put_int(out, len, 0);
    case SO_BINDTODEVICE:
        *len = 0;
        return 0;
    default:
        break;
    }
    if (pair_option(name))
        return REAL(getsockopt)(fd, SOL_SOCKET, name, out, len);
    if ((w & ZT_W_DGRAM) && zt_optname_flag(SOL_SOCKET, name, &flag))
        return put_int(out, len, (w & flag) != 0);
    return 1;
}

static int get_virtual(int fd, zt_word w, int level, int name, void *out, socklen_t *len)
{
    zt_word flag;
    int r;
    if (zt_wild(out) || zt_wild(len))
        return zt_fail(EFAULT);
    if ((int)*len < 0)
        return zt_fail(EINVAL);
    if (!(w & ZT_W_V6) && level != SOL_SOCKET && level != IPPROTO_IP &&
        level != (w & ZT_W_DGRAM ? IPPROTO_UDP : IPPROTO_TCP))
        return zt_fail(EOPNOTSUPP);
    if (level == SOL_SOCKET && (r = get_socket_level(fd, w, name, out, len)) <= 0)
        return r;
    if (level == (w & ZT_W_DGRAM ? IPPROTO_TCP : IPPROTO_UDP))
        return zt_fail(ENOPROTOOPT);
    if (level == IPPROTO_IPV6 && !(w & ZT_W_V6))
        return zt_fail(ENOPROTOOPT);
    if (level == IPPROTO_TCP && (name == TCP_INFO || name == TCP_MAXSEG))
        return get_info(fd, w, name, out, len);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
        char cc[16] = TCP_CONGESTION_NAME;
        return put(out, len, cc, sizeof cc);
    }
    if (level == IPPROTO_IP && name == IP_OPTIONS) { /* none received; sshd asks */
        *len = 0;
        return 0;
    }
    if ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU)) {
        int mss = 0;
        socklen_t n = sizeof mss;
        struct zt_state_slot s;
        if (!zt_slot_read(w, &s) || !s.rfamily)
            return zt_fail(ENOTCONN);
        get_info(fd, w, TCP_MAXSEG, &mss, &n);
        return put_int(out, len, mss + (s.rfamily == 6 ? 60 : 40));
    }
    if (zt_optname_flag(level, name, &flag))
        return put_int(out, len, (w & flag) != 0);
    const struct known *k = find_known(level, name);
    if (!k)
        return zt_fail(ENOPROTOOPT);
    int v = k->usual;
    remote_get(fd, w, level, name, &v);
    return put_int(out, len, v);
}

ZT_EXPORT int getsockopt(int fd, int level, int name, void *restrict out, socklen_t *restrict len)
{
    zt_word w = zt_word_of(fd);
    if (!w)
        return REAL(getsockopt)(fd, level, name, out, len);
    int saved = errno;
    int r = get_virtual(fd, w, level, name, out, len);
    if (r == 0)
        errno = saved;
    return r;
}

/* ---- setsockopt ---- */

static int set_linger(int fd, zt_word w, const void *value, socklen_t len)
{
    struct linger lg;
    if (len < sizeof lg)
        return zt_fail(EINVAL);
    memcpy(&lg, value, sizeof lg);
    int v = lg.l_onoff ? lg.l_linger : -1;
    if (v == 0)
        zt_ctl_note(zt_id_of(fd, w), ZT_NOTE_RESET_ON_CLOSE);
    remote_set(fd, w, SOL_SOCKET, SO_LINGER, &v, sizeof v);
    return 0;
}

static int set_buffer(int fd, zt_word w, int name, const void *value, socklen_t len)
{
    int v;
    if (len < sizeof v)
        return zt_fail(EINVAL);
    memcpy(&v, value, sizeof v);
    remote_set(fd, w, SOL_SOCKET, name, &v, sizeof v); /* a hint */
    /* Raising the send buffer of a pair whose connection isn't up would open its gate. */
    if (name == SO_SNDBUF && (w & ZT_W_STREAM) && zt_phase_of(w, NULL) == ZT_PHASE_CONNECTING)
        return 0;
    if (w & ZT_W_BOUND)
        return 0; /* the queue of connections, not of bytes */
    return REAL(setsockopt)(fd, SOL_SOCKET, name, value, len);
}

static int set_device(int fd, zt_word w, const void *value, socklen_t len)
{
    char name[16] = "";
    struct zt_state_if f = {0};
    memcpy(name, value, len < sizeof name ? len : sizeof name - 1);
    if (name[0] && !zt_if_by_name(name, &f))
        return zt_fail(ENODEV);
    int index = (int)f.index;
    int r = remote_set(fd, w, SOL_SOCKET, SO_BINDTODEVICE, &index, sizeof index);
    return r < 0 ? zt_fail(-r) : 0;
}

static int set_socket_level(int fd, zt_word w, int name, const void *value, socklen_t len)
{
    switch (name) {
    case SO_LINGER:
        return set_linger(fd, w, value, len);
    case SO_SNDBUF:
    case SO_RCVBUF:
        return set_buffer(fd, w, name, value, len);
    case SO_ZEROCOPY:
        return zt_fail(EOPNOTSUPP);
    case SO_BINDTODEVICE:
        return set_device(fd, w, value, len);
    case SO_ERROR:
    case SO_TYPE:
    case SO_DOMAIN:
    case SO_PROTOCOL:
    case SO_ACCEPTCONN:
    case SO_PEERCRED:
    case SO_PASSCRED:
    case SO_ATTACH_FILTER:
    case SO_ATTACH_BPF:
    case SO_LOCK_FILTER:
        return zt_fail(ENOPROTOOPT);
    case SO_DETACH_FILTER:
        return zt_fail(ENOENT);
    default:
        return pair_option(name) ? REAL(setsockopt)(fd, SOL_SOCKET, name, value, len) : 1;
    }
}

static bool protocol_independent(int level, int name)
{
    return (level == IPPROTO_IP || level == IPPROTO_IPV6) &&
           (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP ||
            name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_LEAVE_SOURCE_GROUP);
}

/* Memberships and the outgoing interface may name an interface by number; where that is, by level
 * and name, or NULL. */
static int *interface_in(int level, int name, void *value, socklen_t len)
{
    size_t at = (size_t)-1;
    if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF)
        at = 0;
    else if (level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP))
        at = offsetof(struct ipv6_mreq, ipv6mr_interface);
    else if (level == IPPROTO_IP &&
             (name == IP_MULTICAST_IF || name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP))
        at = offsetof(struct ip_mreqn, imr_ifindex);
    else if (protocol_independent(level, name))
        at = 0;
    return at + sizeof(int) <= len && at != (size_t)-1 ? (int *)(void *)((char *)value + at) : NULL;
}

/* Multicast memberships and interfaces are structures: the node knows what to do. */
static bool structured(int level, int name)
{
    if (level == IPPROTO_IP)
        return name == IP_MULTICAST_IF ||
               (name >= IP_ADD_MEMBERSHIP && name <= MCAST_LEAVE_SOURCE_GROUP);
    return level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP ||
                                     protocol_independent(level, name));
}

/* An IPv4 address of the node's interface of this number; 0 when there is none. */
static void interface_address(uint32_t index, char out[4])
{
    struct zt_state_if ifs[ZT_STATE_IFS];
    struct zt_state_range own[16];
    unsigned n = index ? zt_ifs(ifs) : 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = ifs[i].index == index ? zt_if_addrs(i, own, 16) : 0; k-- > 0;)
            if (own[k].family == 4)
                memcpy(out, own[k].ip, 4);
}

/* group_req and group_source_req in the older form that the node knows; the interface's number is the
 * node's already. */
static int set_group(int fd, zt_word w, int level, int name, const void *value, socklen_t len)
{
    bool with_source = name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_LEAVE_SOURCE_GROUP;
    bool join = name == MCAST_JOIN_GROUP || name == MCAST_JOIN_SOURCE_GROUP;
    struct group_source_req q = {0};
    struct zt_ctl_addr group, source = {0};
    char out[40] = {0};
    if (len < (with_source ? sizeof q : sizeof(struct group_req)))
        return -EINVAL;
    memcpy(&q, value, with_source ? sizeof q : sizeof(struct group_req));
    if (!zt_addr_from((struct sockaddr *)&q.gsr_group, sizeof q.gsr_group, &group) ||
        group.family != (level == IPPROTO_IPV6 ? 6 : 4))
        return -EADDRNOTAVAIL;
    if (with_source &&
        (!zt_addr_from((struct sockaddr *)&q.gsr_source, sizeof q.gsr_source, &source) ||
         source.family != group.family))
        return -EADDRNOTAVAIL;
    if (group.family == 6) {
        memcpy(out, group.ip, 16);
        memcpy(out + 16, &q.gsr_interface, 4);
        memcpy(out + 20, source.ip, 16);
        return with_source ? remote_set(fd, w, level, name, out, 36)
                           : remote_set(fd, w, level, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, out, 20);
    }
    memcpy(out, group.ip, 4);
    if (!with_source) { /* ip_mreqn */
        memcpy(out + 8, &q.gsr_interface, 4);
        return remote_set(fd, w, level, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, out, 12);
    }
    interface_address(q.gsr_interface, out + 4); /* ip_mreq_source names it so */
    memcpy(out + 8, source.ip, 4);
    return remote_set(fd, w, level, join ? IP_ADD_SOURCE_MEMBERSHIP : IP_DROP_SOURCE_MEMBERSHIP, out, 12);
}

static int set_tcp_special(int name, const void *value, socklen_t len)
{
    switch (name) {
    case TCP_CONGESTION:
        return (len >= 4 && !memcmp(value, "reno", 4)) || (len >= 5 && !memcmp(value, "cubic", 5))
                   ? 0
                   : zt_fail(ENOENT);
    case TCP_MAXSEG:
        return 0;
    case TCP_REPAIR:
        return zt_fail(EPERM);
    case TCP_ULP:
        return zt_fail(ENOENT);
    default:
        return 1;
    }
}

static int set_virtual(int fd, zt_word w, int level, int name, const void *value, socklen_t len)
{
    zt_word flag;
    int r;
    if ((int)len < 0)
        return zt_fail(EINVAL);
    if (zt_wild(value) && len)
        return zt_fail(EFAULT);
    if (level == SOL_SOCKET && (r = set_socket_level(fd, w, name, value, len)) <= 0)
        return r;
    if (level == (w & ZT_W_DGRAM ? IPPROTO_TCP : IPPROTO_UDP))
        return zt_fail(ENOPROTOOPT);
    if (level == IPPROTO_IPV6 && !(w & ZT_W_V6))
        return zt_fail(ENOPROTOOPT);
    if (level == IPPROTO_TCP && (r = set_tcp_special(name, value, len)) <= 0)
        return r;
    if (level == IPPROTO_IP && name == IP_TRANSPARENT)
        return zt_fail(EPERM);
    if (level == IPPROTO_IP && name == IP_OPTIONS)
        return len == 0 ? 0 : zt_fail(EPERM);
    char copy[sizeof(struct group_source_req)];
    if (len <= sizeof copy) {
        memcpy(copy, value, len);
        int *index = interface_in(level, name, copy, len);
        if (index && *index && !zt_if_is_virtual((uint32_t)*index))
            return zt_fail(ENODEV); /* the kernel's */
        if (index) {
            *index = (int)zt_if_in((uint32_t)*index);
            value = copy;
        }
    }
    if (structured(level, name)) {
        r = protocol_independent(level, name)
                ? set_group(fd, w, level, name, value, len)
                : remote_set(fd, w, level, name, value, len);
        return r < 0 ? zt_fail(-r) : 0;
    }
    int v = 0;
    if (len >= sizeof v)
        memcpy(&v, value, sizeof v);
    else if (len >= 1 && level == IPPROTO_IP)
        v = *(const uint8_t *)value; /* IP_TOS and friends take a char as well */
    else
        return zt_fail(EINVAL);
    if (zt_optname_flag(level, name, &flag)) {
        if (v)
            zt_word_flag(fd, w, flag);
        else
            zt_word_unflag(fd, flag);
        return 0;
    }
    if (!find_known(level, name))
        return zt_fail(ENOPROTOOPT);
    r = remote_set(fd, w, level, name, &v, sizeof v);
    /* Away, or not able to act on it: the setting is a wish, and the kernel would grant it. */
    return r == -EINVAL ? zt_fail(EINVAL) : 0;
}

/* What concerns the kernel's networks goes to the kernel's socket as well: groups that are joined
 * there, and what its connections inherit. Either side may be the one that can do it. */
static int set_merged(int fd, zt_word w, int level, int name, const void *value, socklen_t len)
{
    zt_word flag;
    int twin = zt_twin_of(fd, w), off = 0;
    if (twin >= 0 && level == IPPROTO_UDP && name == UDP_CORK) { /* it is the node that collects, for both */
        zt_sys5(SYS_setsockopt, twin, level, name, &off, sizeof off);
        twin = -1;
    }
    long k = twin < 0 || zt_optname_flag(level, name, &flag)
                 ? -ENODEV
                 : zt_sys5(SYS_setsockopt, twin, level, name, value, len);
    int r = set_virtual(fd, w, level, name, value, len);
    return r < 0 && k == 0 ? 0 : r;
}

/* A group on a virtual interface, asked for on a datagram socket of the kernel's: it becomes one of
 * both sides. */
static bool means_virtual(int level, int name, const void *value, socklen_t len)
{
    char copy[sizeof(struct group_source_req)];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct zt_ctl_addr a;
    if (!structured(level, name) && !(level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF))
        return false;
    if (!value || len > sizeof copy)
        return false;
    memcpy(copy, value, len);
    const int *index = interface_in(level, name, copy, len);
    if (index && *index)
        return zt_if_is_virtual((uint32_t)*index);
    size_t at = name == IP_MULTICAST_IF && len < 8 ? 0 : 4; /* in_addr; ip_mreq, ip_mreqn */
    if (level != IPPROTO_IP || name > IP_DROP_SOURCE_MEMBERSHIP || len < at + 4)
        return false;
    memcpy(&in.sin_addr, copy + at, 4);
    return zt_sa_managed((struct sockaddr *)&in, sizeof in, &a);
}

ZT_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    zt_word w = zt_word_of(fd);
    if (!w && ZT_UNLIKELY(means_virtual(level, name, value, len)) &&
        zt_dgram_attach(fd, NULL, false) == 0)
        w = zt_word_of(fd);
    if (!w) {
        zt_fresh_end(fd);
        return REAL(setsockopt)(fd, level, name, value, len);
    }
    int saved = errno;
    int r = w & ZT_W_MERGED ? set_merged(fd, w, level, name, value, len)
                            : set_virtual(fd, w, level, name, value, len);
    if (r == 0)
        errno = saved;
    return r;
}
