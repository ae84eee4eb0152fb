/* Socket options of virtual sockets. Linux numbers, because the requests come from programs;
 * written out here, since <netinet/tcp.h> and lwIP define the same names differently.
 *
 * Options that lwIP can't act on are kept and read back: programs set them as advice. Options that
 * would change what the program may rely on are refused with ENOPROTOOPT. */
#include "node/proxy_int.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "lwip/tcp.h"

enum { SOL_IP_ = 0, SOL_TCP_ = 6, SOL_UDP_ = 17, SOL_IPV6_ = 41 };

struct opt {
    short level, name;
    unsigned short at; /* in struct zt_sockopts */
    int initial;       /* what a program reads before it sets */
    int least, most;
};

#define AT(field) offsetof(struct zt_sockopts, field)
#define FLAG 0, INT32_MIN, INT32_MAX

static const struct opt table[] = {
    {SOL_SOCKET, SO_REUSEADDR, AT(reuseaddr), FLAG},
    {SOL_SOCKET, SO_REUSEPORT, AT(reuseport), FLAG},
    {SOL_SOCKET, SO_KEEPALIVE, AT(keepalive), FLAG},
    {SOL_SOCKET, SO_BROADCAST, AT(broadcast), FLAG},
    {SOL_SOCKET, SO_OOBINLINE, AT(oobinline), FLAG},
    {SOL_SOCKET, SO_LINGER, AT(linger), -1, -1, INT32_MAX}, /* seconds; -1: off */
    {SOL_SOCKET, SO_SNDBUF, AT(sndbuf), 212992, 0, INT32_MAX},
    {SOL_SOCKET, SO_RCVBUF, AT(rcvbuf), 212992, 0, INT32_MAX},
    {SOL_SOCKET, 11 /* SO_NO_CHECK */, AT(no_check), FLAG},
    {SOL_SOCKET, 25 /* SO_BINDTODEVICE, as an index */, AT(ifindex), 0, 0, 255},
    {SOL_TCP_, 1 /* TCP_NODELAY */, AT(nodelay), FLAG},
    {SOL_TCP_, 2 /* TCP_MAXSEG */, AT(maxseg), 536, 88, 32767},
    {SOL_TCP_, 3 /* TCP_CORK */, AT(cork), FLAG},
    {SOL_TCP_, 4 /* TCP_KEEPIDLE */, AT(keepidle), 7200, 1, 32767},
    {SOL_TCP_, 5 /* TCP_KEEPINTVL */, AT(keepintvl), 75, 1, 32767},
    {SOL_TCP_, 6 /* TCP_KEEPCNT */, AT(keepcnt), 9, 1, 127},
    {SOL_TCP_, 9 /* TCP_DEFER_ACCEPT */, AT(defer_accept), 0, 0, INT32_MAX},
    {SOL_TCP_, 12 /* TCP_QUICKACK */, AT(quickack), 1, INT32_MIN, INT32_MAX},
    {SOL_TCP_, 18 /* TCP_USER_TIMEOUT */, AT(user_timeout), 0, 0, INT32_MAX},
    {SOL_UDP_, 1 /* UDP_CORK */, AT(cork), FLAG},
    {SOL_IP_, 1 /* IP_TOS */, AT(tos), 0, 0, 255},
    {SOL_IP_, 2 /* IP_TTL */, AT(ttl), 64, 1, 255},
    {SOL_IP_, 11 /* IP_RECVERR */, AT(recverr), FLAG},
    {SOL_IP_, 33 /* IP_MULTICAST_TTL */, AT(mcast_ttl), 1, 0, 255},
    {SOL_IP_, 34 /* IP_MULTICAST_LOOP */, AT(mcast_loop), 1, 0, 255},
    {SOL_IPV6_, 7 /* IPV6_CHECKSUM */, AT(checksum), -1, -1, 65534},
    {SOL_IPV6_, 16 /* IPV6_UNICAST_HOPS */, AT(ttl), 64, 1, 255},
    {SOL_IPV6_, 17 /* IPV6_MULTICAST_IF */, AT(mcast_if6), 0, 0, 255},
    {SOL_IPV6_, 18 /* IPV6_MULTICAST_HOPS */, AT(mcast_ttl), 1, 0, 255},
    {SOL_IPV6_, 19 /* IPV6_MULTICAST_LOOP */, AT(mcast_loop), 1, 0, 1},
    {SOL_IPV6_, 25 /* IPV6_RECVERR */, AT(recverr), FLAG},
    {SOL_IPV6_, 26 /* IPV6_V6ONLY */, AT(v6only), FLAG},
    {SOL_IPV6_, 67 /* IPV6_TCLASS */, AT(tos), 0, -1, 255},
    {SOL_SOCKET, SO_DONTROUTE, AT(advice[0]), FLAG},
    {SOL_SOCKET, 40 /* SO_RXQ_OVFL */, AT(advice[1]), FLAG},
    {SOL_SOCKET, 46 /* SO_BUSY_POLL */, AT(advice[2]), 0, 0, INT32_MAX},
    {SOL_SOCKET, 49 /* SO_INCOMING_CPU */, AT(advice[3]), -1, -1, INT32_MAX},
    {SOL_TCP_, 7 /* TCP_SYNCNT */, AT(advice[4]), 6, 1, 127},
    {SOL_TCP_, 8 /* TCP_LINGER2 */, AT(advice[5]), 60, -1, INT32_MAX},
    {SOL_TCP_, 10 /* TCP_WINDOW_CLAMP */, AT(advice[6]), 0, 0, INT32_MAX},
    {SOL_TCP_, 16 /* TCP_THIN_LINEAR_TIMEOUTS */, AT(advice[7]), 0, 0, 1},
    {SOL_TCP_, 23 /* TCP_FASTOPEN */, AT(advice[8]), 0, 0, INT32_MAX},
    {SOL_TCP_, 25 /* TCP_NOTSENT_LOWAT */, AT(advice[9]), 0, 0, INT32_MAX},
    {SOL_TCP_, 27 /* TCP_SAVE_SYN */, AT(advice[10]), 0, 0, 2},
    {SOL_TCP_, 30 /* TCP_FASTOPEN_CONNECT */, AT(advice[11]), 0, 0, 1},
    {SOL_TCP_, 34 /* TCP_FASTOPEN_NO_COOKIE */, AT(advice[12]), 0, 0, 1},
    {SOL_TCP_, 36 /* TCP_INQ */, AT(advice[13]), 0, 0, 1},
    {SOL_IP_, 10 /* IP_MTU_DISCOVER */, AT(advice[14]), 1, 0, 5},
    {SOL_IP_, 15 /* IP_FREEBIND */, AT(advice[15]), FLAG},
    {SOL_IP_, 24 /* IP_BIND_ADDRESS_NO_PORT */, AT(advice[16]), FLAG},
    {SOL_IP_, 49 /* IP_MULTICAST_ALL */, AT(advice[17]), 1, 0, 1},
    {SOL_IPV6_, 23 /* IPV6_MTU_DISCOVER */, AT(advice[18]), 1, 0, 5},
};

void zt_opt_init(struct zt_sockopts *o)
{
    memset(o, 0xff, sizeof *o); /* -1: not set */
    memset(o->mcast_if4, 0, sizeof o->mcast_if4);
    o->mcast_if6 = 0;
    o->ifindex = 0;
}

static const struct opt *find(int level, int name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].level == level && table[i].name == name)
            return &table[i];
    return NULL;
}

static int *field(struct zt_sockopts *o, const struct opt *d)
{
    return (int *)(void *)((char *)o + d->at);
}

static int set_int(struct zt_sockopts *o, int level, int name, int v)
{
    const struct opt *d = find(level, name);

    if (!d)
        return ENOPROTOOPT;
    if (v < d->least || v > d->most)
        return EINVAL;
    *field(o, d) = d->least == INT32_MIN ? v != 0 : v;
    return 0;
}

static void apply(struct zt_sock *s)
{
    if (s->kind == ZT_SOCK_STREAM)
        zt_stream_apply((struct zt_stream *)s);
    else if (s->kind == ZT_SOCK_BOUND)
        zt_listen_apply((struct zt_listener *)s);
    else if (s->kind == ZT_SOCK_DGRAM)
        zt_dgram_apply((struct zt_dgram *)s);
    else if (s->kind == ZT_SOCK_RAW)
        zt_raw_apply((struct zt_raw *)s);
}

/* IP_MULTICAST_IF: in_addr, ip_mreq or ip_mreqn; the address is what counts. */
static int set_mcast_if4(struct zt_sock *s, const uint8_t *val, size_t n)
{
    if (n < 4)
        return EINVAL;
    memcpy(s->opt.mcast_if4, n >= 8 ? val + 4 : val, 4);
    return 0;
}

int zt_opt_set(struct zt_sock *s, int level, int name, const uint8_t *val, size_t n)
{
    int32_t v = 0;
    int err;

    if (level == SOL_IP_ && name == 32)
        return set_mcast_if4(s, val, n);
    if ((level == SOL_IP_ && (name == 35 || name == 36 || name == 39 || name == 40)) ||
        (level == SOL_IPV6_ && (name == 20 || name == 21 || name == 46 || name == 47)))
        return s->kind == ZT_SOCK_DGRAM ? zt_dgram_member((struct zt_dgram *)s, level, name, val, n)
                                        : ENOPROTOOPT;
    if (n >= sizeof v)
        memcpy(&v, val, sizeof v);
    else if (n == 1) /* IP level options take single bytes */
        v = val[0];
    else
        return EINVAL;
    if (level == SOL_TCP_ && s->kind != ZT_SOCK_STREAM && s->kind != ZT_SOCK_BOUND)
        return ENOPROTOOPT;
    if (level == SOL_UDP_) /* the one there is */
        return name != 1 || s->kind != ZT_SOCK_DGRAM ? ENOPROTOOPT : zt_dgram_cork((struct zt_dgram *)s, v != 0);
    if (level == SOL_IPV6_ && name == 7 && (s->kind != ZT_SOCK_RAW || s->family != AF_INET6))
        return ENOPROTOOPT;
    err = set_int(&s->opt, level, name, v);
    if (!err)
        apply(s);
    return err;
}

static int take_error(struct zt_sock *s)
{
    int err = s->slot->err;

    if (err)
        __atomic_store_n(&s->slot->err, 0, __ATOMIC_RELEASE);
    return err;
}

static int field_of(const struct zt_sockopts *o, const struct opt *d)
{
    int v;

    memcpy(&v, (const char *)o + d->at, sizeof v);
    return v;
}

/* Fields with a name for each family come under both. */
static size_t list_set(const struct zt_sockopts *o, uint8_t *val, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct zt_ctl_opt e = {table[i].level, table[i].name, field_of(o, &table[i])};
        if (e.value < 0 || n + sizeof e > cap)
            continue;
        memcpy(val + n, &e, sizeof e);
        n += sizeof e;
    }
    return n;
}

int zt_opt_store(struct zt_sockopts *o, int level, int name, const uint8_t *val, size_t n)
{
    int32_t v;

    if (n < sizeof v)
        return EINVAL;
    memcpy(&v, val, sizeof v);
    return set_int(o, level, name, v);
}

int zt_opt_stored(const struct zt_sockopts *o, int level, int name, uint8_t *val, size_t *n)
{
    const struct opt *d = find(level, name);
    int32_t v;

    if (level == ZT_CTL_OPT_ALL) {
        *n = list_set(o, val, *n);
        return 0;
    }
    if (*n < sizeof v)
        return EINVAL;
    if (!d)
        return ENOPROTOOPT;
    v = field_of(o, d);
    if (v < 0)
        v = d->initial;
    memcpy(val, &v, sizeof v);
    *n = sizeof v;
    return 0;
}

int zt_opt_get(struct zt_sock *s, int level, int name, uint8_t *val, size_t *n)
{
    int32_t v = 0;

    if (*n < sizeof v)
        return EINVAL;
    if (level == SOL_SOCKET && name == SO_ERROR)
        v = take_error(s);
    else if (level == SOL_IP_ && name == 32)
        memcpy(&v, s->opt.mcast_if4, 4);
    else if (level == SOL_TCP_ && name == 2 && s->kind == ZT_SOCK_STREAM &&
             ((struct zt_stream *)s)->pcb)
        v = ((struct zt_stream *)s)->pcb->mss;
    else if (level == SOL_TCP_ && (s->kind == ZT_SOCK_DGRAM || s->kind == ZT_SOCK_RAW))
        return ENOPROTOOPT;
    else
        return zt_opt_stored(&s->opt, level, name, val, n);
    memcpy(val, &v, sizeof v);
    *n = sizeof v;
    return 0;
}

void zt_opt_set_all(struct zt_sock *s, const struct zt_ctl_req *q)
{
    for (unsigned i = 0; i < q->nopts; i++) {
        const struct zt_ctl_opt *o = &q->opts[i];
        (void)set_int(&s->opt, o->level, o->name, o->value);
    }
    apply(s);
}
