/* Datagrams. Each message in a 'u' descriptor is a header (where from, where to) and the payload,
 * kept apart by SEQPACKET: the header goes in and comes out through one more element of the vector.
 */
#include <fcntl.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include "dgram.h"
#include "real.h"
#include "sys.h"

#define HDR ZT_DGRAM_HDR
#define MAX_V4 65507
#define MAX_V6 65487 /* the stack's limit; the kernel would take 65527 */
#define IOV_INLINE 64
#define IOV_LIMIT 1024

/* The program's vector with one more element in front; a long one needs pages of its own. */
struct vec {
    struct iovec *v, inl[IOV_INLINE];
    size_t n, bytes;
};

static int vec_make(struct vec *v, void *hdr, const struct msghdr *m)
{
    if (m->msg_iovlen >= IOV_LIMIT)
        return -EMSGSIZE;
    v->n = m->msg_iovlen + 1;
    v->bytes = 0;
    v->v = v->inl;
    if (v->n > IOV_INLINE) {
        long p = zt_sys6(SYS_mmap, 0, IOV_LIMIT * sizeof(struct iovec), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p < 0 && p > -4096)
            return (int)p;
        v->v = (struct iovec *)p;
    }
    v->v[0] = (struct iovec){hdr, HDR};
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        v->v[i + 1] = m->msg_iov[i];
        v->bytes += m->msg_iov[i].iov_len;
    }
    return 0;
}

static void vec_drop(struct vec *v)
{
    if (v->v != v->inl)
        zt_sys2(SYS_munmap, v->v, IOV_LIMIT * sizeof(struct iovec));
}

/* ---- sending ---- */

static int destination(zt_word w, const struct msghdr *m, struct zt_ctl_dgram *h)
{
    struct zt_state_slot s;
    if (!m->msg_name || !m->msg_namelen)
        return zt_slot_read(w, &s) && !s.rfamily ? -EDESTADDRREQ : 0;
    const struct sockaddr *sa = m->msg_name;
    if (zt_wild(sa))
        return -EFAULT;
    if (m->msg_namelen < sizeof(sa_family_t))
        return -EINVAL;
    if (sa->sa_family == AF_INET6 && !(w & ZT_W_V6))
        return -EAFNOSUPPORT;
    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    if (!zt_addr_from(sa, m->msg_namelen, &h->remote) || !h->remote.port)
        return -EINVAL;
    bool ours = zt_managed_slow(&h->remote);
    h->remote.scope = zt_if_in(h->remote.scope);
    return ours || (w & ZT_W_MERGED) || zt_addr_group(&h->remote) ? 0 : -ENETUNREACH;
}

static int control_in(const struct msghdr *m, struct zt_ctl_dgram *h)
{
    struct msghdr copy = *m;
    if (!m->msg_control)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
        size_t n = c->cmsg_len - CMSG_LEN(0);
        const void *d = CMSG_DATA(c);
        if (c->cmsg_len < CMSG_LEN(0))
            return -EINVAL;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
            n >= sizeof(struct in_pktinfo)) {
            struct in_pktinfo p;
            memcpy(&p, d, sizeof p);
            if (p.ipi_spec_dst.s_addr) {
                h->lfamily = 4;
                memcpy(h->lip, &p.ipi_spec_dst, 4);
            }
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
                   n >= sizeof(struct in6_pktinfo)) {
            struct in6_pktinfo p;
            memcpy(&p, d, sizeof p);
            if (IN6_IS_ADDR_V4MAPPED(&p.ipi6_addr)) {
                h->lfamily = 4;
                memcpy(h->lip, p.ipi6_addr.s6_addr + 12, 4);
            } else if (!IN6_IS_ADDR_UNSPECIFIED(&p.ipi6_addr)) {
                h->lfamily = 6;
                memcpy(h->lip, &p.ipi6_addr, 16);
            }
        } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
                   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)) {
            h->tos = n ? *(const uint8_t *)d : 0; /* an int's low byte comes first */
        } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
            h->ttl = n ? *(const uint8_t *)d : 0;
        }
    }
    return 0;
}

int zt_dgram_header(zt_word w, const struct msghdr *m, struct zt_ctl_dgram *h)
{
    int r = destination(w, m, h);
    return r == 0 ? control_in(m, h) : r;
}

size_t zt_dgram_most(zt_word w, const struct zt_ctl_dgram *h)
{
    struct zt_state_slot s;
    bool six =
        h->remote.family == 6 || (!h->remote.family && zt_slot_read(w, &s) && s.rfamily == 6);
    return six ? MAX_V6 : MAX_V4;
}

/* ---- when the node has ended ---- */

/* The same address from a new node. Memberships of groups are not taken along. */
static int revive(int fd, zt_word w)
{
    struct zt_guard g;
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    struct zt_state_slot s;
    int newfd, r = -ENETDOWN;
    zt_enter(&g, fd);
    if (!zt_is_still(fd, w)) { /* another thread has done it */
        zt_leave(&g);
        return 0;
    }
    if (!zt_slot_read(w, &s))
        goto out;
    zt_req_init(&req, ZT_CTL_BIND, s.id);
    req.stype = SOCK_DGRAM;
    req.family = w & ZT_W_V6 ? AF_INET6 : AF_INET;
    req.local.family = s.lfamily;
    req.local.port = s.lport;
    if (w & ZT_W_FIXED)
        memcpy(req.local.ip, s.lip, 16);
    if (zt_ctl(&req, &rep, NULL, 0, &newfd, true) < 0 || newfd < 0)
        goto out;
    zt_page_open();
    uint64_t id = rep.id;
    zt_req_init(&req, ZT_CTL_UDP, id);
    req.remote.family = s.rfamily;
    req.remote.port = s.rport;
    memcpy(req.remote.ip, s.rip, 16);
    r = s.rfamily ? zt_ctl(&req, &rep, NULL, 0, NULL, false) : 0;
    if (r < 0)
        zt_sys1(SYS_close, newfd);
    else
        r = zt_swap(fd, newfd, (id & ZT_W_ID_MASK) | (w & ~ZT_W_ID_MASK));
out:
    zt_leave(&g);
    return r;
}

/* True: the descriptor works again, as a virtual or a kernel socket. It polls as readable while it
 * does not, so a program that tries again and again is held up a little. */
static bool back_again(int fd, zt_word w, bool pause)
{
    if (w & ZT_W_MERGED)
        return zt_any_away(fd, w) == 0;
    if (revive(fd, w) == 0)
        return true;
    if (pause)
        zt_sleep_ms(100);
    return false;
}

ssize_t zt_dgram_send(int fd, zt_word w, const struct msghdr *m, int flags)
{
    struct zt_ctl_dgram h = {.type = ZT_DGRAM_DATA};
    struct vec v;
    if (flags & MSG_OOB)
        return zt_fail(EOPNOTSUPP);
    if (w & ZT_W_SHUT_WR)
        return zt_fail(EPIPE);
    int r = zt_dgram_header(w, m, &h);
    if (r == 0)
        r = vec_make(&v, &h, m);
    if (r < 0)
        return zt_fail(-r);
    if (flags & MSG_MORE)
        h.type = ZT_DGRAM_MORE;
    struct msghdr out = {.msg_iov = v.v, .msg_iovlen = v.n};
    ssize_t n = -1;
    if (v.bytes > zt_dgram_most(w, &h)) {
        zt_fail(EMSGSIZE);
    } else {
        n = REAL(sendmsg)(fd, &out, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)) {
            vec_drop(&v);
            return back_again(fd, w, false) ? sendmsg(fd, m, flags) : zt_fail(ENETUNREACH);
        }
    }
    vec_drop(&v);
    return n < 0 ? -1 : n - (ssize_t)HDR;
}

/* ---- receiving ---- */

struct out_ctl {
    char *at;
    size_t left, used;
    bool cut;
};

static void add_cmsg(struct out_ctl *o, int level, int type, const void *data, size_t n)
{
    if (o->left < CMSG_SPACE(n)) {
        o->cut = true;
        return;
    }
    struct cmsghdr c = {.cmsg_len = CMSG_LEN(n), .cmsg_level = level, .cmsg_type = type};
    memset(o->at, 0, CMSG_SPACE(n));
    memcpy(o->at, &c, sizeof c);
    memcpy(o->at + CMSG_LEN(0), data, n);
    o->at += CMSG_SPACE(n);
    o->left -= CMSG_SPACE(n);
    o->used += CMSG_SPACE(n);
}

static uint32_t ifindex_of(const struct zt_ctl_dgram *h)
{
    return h->host_ifindex ? h->host_ifindex : zt_if_out(h->ifindex);
}

static void control_out(zt_word w, const struct zt_ctl_dgram *h, struct msghdr *m)
{
    struct out_ctl o = {m->msg_control, m->msg_control ? m->msg_controllen : 0, 0, false};
    struct timespec now;
    if (w & (ZT_W_STAMP | ZT_W_STAMPNS)) {
        clock_gettime(CLOCK_REALTIME, &now);
        struct timeval tv = {now.tv_sec, now.tv_nsec / 1000};
        if (w & ZT_W_STAMPNS)
            add_cmsg(&o, SOL_SOCKET, SCM_TIMESTAMPNS, &now, sizeof now);
        else
            add_cmsg(&o, SOL_SOCKET, SCM_TIMESTAMP, &tv, sizeof tv);
    }
    int tos = h->tos, ttl = h->ttl ? h->ttl : 64;
    if (w & ZT_W_V6) {
        struct in6_pktinfo p = {.ipi6_ifindex = ifindex_of(h)};
        if (h->lfamily == 4) {
            p.ipi6_addr.s6_addr[10] = p.ipi6_addr.s6_addr[11] = 0xff;
            memcpy(p.ipi6_addr.s6_addr + 12, h->lip, 4);
        } else {
            memcpy(&p.ipi6_addr, h->lip, 16);
        }
        if ((w & ZT_W_PKTINFO) && h->lfamily)
            add_cmsg(&o, IPPROTO_IPV6, IPV6_PKTINFO, &p, sizeof p);
        if (w & ZT_W_RECVTTL)
            add_cmsg(&o, IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof ttl);
        if (w & ZT_W_RECVTOS)
            add_cmsg(&o, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    } else {
        struct in_pktinfo p = {.ipi_ifindex = (int)ifindex_of(h)};
        memcpy(&p.ipi_spec_dst, h->lip, 4);
        memcpy(&p.ipi_addr, h->lip, 4);
        if ((w & ZT_W_PKTINFO) && h->lfamily)
            add_cmsg(&o, IPPROTO_IP, IP_PKTINFO, &p, sizeof p);
        if (w & ZT_W_RECVTTL)
            add_cmsg(&o, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
        if (w & ZT_W_RECVTOS)
            add_cmsg(&o, IPPROTO_IP, IP_TOS, &h->tos, 1);
    }
    m->msg_controllen = o.used;
    if (o.cut)
        m->msg_flags |= MSG_CTRUNC;
}

ssize_t zt_dgram_take(int fd, zt_word w, const struct zt_ctl_dgram *h, ssize_t n, size_t room,
                      struct msghdr *m, int flags)
{
    char sink[HDR];
    if (n == 0) /* shut down by the program */
        return 0;
    if ((size_t)n < HDR)
        return zt_fail(EAGAIN);
    if (h->type == ZT_DGRAM_ERROR) {
        if (flags & MSG_PEEK) /* an error is told once */
            zt_sys6(SYS_recvfrom, fd, (long)sink, sizeof sink, MSG_DONTWAIT, 0, 0);
        return zt_fail(h->err ? h->err : ECONNREFUSED);
    }
    size_t got = (size_t)n - HDR;
    m->msg_flags = got > room ? MSG_TRUNC : 0;
    control_out(w, h, m);
    if (m->msg_name) {
        socklen_t len = m->msg_namelen;
        struct zt_ctl_addr from = h->remote;
        if (!h->host_ifindex)
            from.scope = zt_if_out(from.scope);
        zt_addr_to(&from, w & ZT_W_V6, m->msg_name, &len);
        m->msg_namelen = len;
    }
    return (ssize_t)(flags & MSG_TRUNC || got < room ? got : room);
}

ssize_t zt_dgram_recv(int fd, zt_word w, struct msghdr *m, int flags)
{
    struct zt_ctl_dgram h = {0};
    struct vec v;
    if (flags & MSG_ERRQUEUE)
        return zt_fail(EAGAIN);
    if (flags & MSG_OOB)
        return zt_fail(EOPNOTSUPP);
    int r = vec_make(&v, &h, m);
    if (r < 0)
        return zt_fail(-r);
    struct msghdr in = {.msg_iov = v.v, .msg_iovlen = v.n};
    ssize_t n = REAL(recvmsg)(fd, &in, (flags & (MSG_PEEK | MSG_DONTWAIT)) | MSG_TRUNC);
    if ((n == 0 || (n < 0 && errno == ECONNRESET)) &&
        !(w & ZT_W_SHUT_RD)) { /* the node has ended */
        vec_drop(&v);
        return back_again(fd, w, true) ? recvmsg(fd, m, flags) : zt_fail(ENETDOWN);
    }
    if (n >= 0)
        n = zt_dgram_take(fd, w, &h, n, v.bytes, m, flags);
    vec_drop(&v);
    return n;
}

/* ---- looking ahead ---- */

static long peek(int fd, struct zt_ctl_dgram *h)
{
    return zt_sys6(SYS_recvfrom, fd, (long)h, HDR, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC, 0, 0);
}

int zt_dgram_error(int fd)
{
    struct zt_ctl_dgram h;
    if (peek(fd, &h) < (long)HDR || h.type != ZT_DGRAM_ERROR)
        return 0;
    zt_sys6(SYS_recvfrom, fd, (long)&h, HDR, MSG_DONTWAIT, 0, 0);
    return h.err;
}

long zt_dgram_pending(int fd)
{
    struct zt_ctl_dgram h;
    long n = peek(fd, &h);
    return n < (long)HDR || h.type == ZT_DGRAM_ERROR ? 0 : n - (long)HDR;
}
