/* sendmmsg and recvmmsg: as many messages as fit go over in one call of the kernel's, each with its
 * header as one more element of its vector. What is unusual (long vectors, looking ahead, a node
 * that has ended) goes the way of single ones.
 *
 * Partial success is the kernel's: a message that fails ends the call, and is the error of the call
 * when it was the first. An error that came among received datagrams is one message in the pair: it
 * goes back to the node, which queues it again for the next call, and what came behind it moves up.
 */
#include <string.h>

#include "dgram.h"
#include "real.h"
#include "sys.h"

#define HDR ZT_DGRAM_HDR
#define BATCH 32
#define PIECES 256 /* elements of all vectors */

struct batch {
    struct mmsghdr m[BATCH];
    struct zt_ctl_dgram h[BATCH];
    struct iovec iov[PIECES];
    unsigned n, pieces;
};

/* Room for one more message with this vector? Adds it. */
static bool batch_add(struct batch *b, const struct msghdr *m, size_t *bytes)
{
    struct iovec *v = b->iov + b->pieces;
    if (b->n == BATCH || m->msg_iovlen >= PIECES - b->pieces ||
        (m->msg_iovlen && zt_wild(m->msg_iov)))
        return false;
    *bytes = 0;
    v[0] = (struct iovec){&b->h[b->n], HDR};
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        v[i + 1] = m->msg_iov[i];
        *bytes += m->msg_iov[i].iov_len;
    }
    memset(&b->m[b->n], 0, sizeof b->m[0]);
    b->m[b->n].msg_hdr.msg_iov = v;
    b->m[b->n].msg_hdr.msg_iovlen = m->msg_iovlen + 1;
    b->pieces += (unsigned)m->msg_iovlen + 1;
    b->n++;
    return true;
}

/* ---- sending ---- */

/* The messages of v that can go together. *err: why it ends where it does, 0 when there is only no
 * room. */
static void gather(struct batch *b, zt_word w, const struct mmsghdr *v, unsigned n, int *err)
{
    *err = 0;
    for (b->n = b->pieces = 0; b->n < n;) {
        const struct msghdr *m = &v[b->n].msg_hdr;
        struct zt_ctl_dgram *h = &b->h[b->n < BATCH ? b->n : 0];
        size_t bytes;
        if (b->n == BATCH || !batch_add(b, m, &bytes))
            return;
        *h = (struct zt_ctl_dgram){.type = ZT_DGRAM_DATA};
        int r = zt_dgram_header(w, m, h);
        if (r == 0 && bytes > zt_dgram_most(w, h))
            r = -EMSGSIZE;
        if (r < 0) {
            b->n--;
            *err = -r;
            return;
        }
    }
}

int zt_dgram_send_many(int fd, zt_word w, struct mmsghdr *v, unsigned n, int flags)
{
    struct batch b;
    unsigned done = 0;
    int err = 0;
    while (done < n && !err) {
        gather(&b, w, v + done, n - done, &err);
        int r = b.n ? REAL(sendmmsg)(fd, b.m, b.n, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL) : 0;
        for (int i = 0; i < r; i++)
            v[done + (unsigned)i].msg_len = b.m[i].msg_len - (unsigned)HDR;
        done += r > 0 ? (unsigned)r : 0;
        if (r == (int)b.n && (r || err))
            continue;
        if (done && b.n) /* the next call meets what stopped this one */
            return (int)done;
        /* A long vector, or a node that has ended: whatever the descriptor is afterwards. */
        ssize_t one = sendmsg(fd, &v[done].msg_hdr, flags);
        if (one < 0)
            return done ? (int)done : -1;
        v[done++].msg_len = (unsigned)one;
        if (!(w = zt_word_of(fd)) || !(w & ZT_W_DGRAM))
            return (int)done;
    }
    return done ? (int)done : zt_fail(err);
}

/* ---- receiving ---- */

/* The payload of one message into the vector of another. */
static void move_up(const struct mmsghdr *from, const struct mmsghdr *to, size_t n)
{
    const struct iovec *f = from->msg_hdr.msg_iov, *t = to->msg_hdr.msg_iov;
    size_t fn = from->msg_hdr.msg_iovlen, tn = to->msg_hdr.msg_iovlen, fi = 0, ti = 0, fo = 0,
           to_ = 0;
    while (n > 0 && fi < fn && ti < tn) {
        size_t part =
            f[fi].iov_len - fo < t[ti].iov_len - to_ ? f[fi].iov_len - fo : t[ti].iov_len - to_;
        part = part < n ? part : n;
        memmove((char *)t[ti].iov_base + to_, (char *)f[fi].iov_base + fo, part);
        n -= part;
        if ((fo += part) == f[fi].iov_len)
            fi++, fo = 0;
        if ((to_ += part) == t[ti].iov_len)
            ti++, to_ = 0;
    }
}

static size_t room_in(const struct mmsghdr *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->msg_hdr.msg_iovlen; i++)
        n += v->msg_hdr.msg_iov[i].iov_len;
    return n;
}

static void give_back(int fd, const struct zt_ctl_dgram *h)
{
    zt_sys6(SYS_sendto, fd, (long)h, HDR, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

/* r messages came. *ended: behind the last that is one. *err: the first error among them when they
 * are all that came; else it went back like the others. */
static unsigned scatter(int fd, zt_word w, struct batch *b, unsigned r, struct mmsghdr *v,
                        int flags, bool *ended, int *err)
{
    const struct zt_ctl_dgram *first = NULL;
    unsigned done = 0;
    for (unsigned i = 0; i < r; i++) {
        size_t n = b->m[i].msg_len, room;
        if (n < HDR) {
            *ended = n == 0;
            break;
        }
        if (b->h[i].type == ZT_DGRAM_ERROR) {
            if (first)
                give_back(fd, &b->h[i]);
            else
                first = &b->h[i];
            continue;
        }
        room = room_in(&v[done]);
        if (done != i) {
            size_t had = room_in(&v[i]);
            move_up(&v[i], &v[done], n - HDR < had ? n - HDR : had);
        }
        v[done].msg_len =
            (unsigned)zt_dgram_take(fd, w, &b->h[i], (ssize_t)n, room, &v[done].msg_hdr, flags);
        done++;
    }
    if (first && done)
        give_back(fd, first);
    else if (first)
        *err = first->err ? first->err : ECONNREFUSED;
    return done;
}

int zt_dgram_recv_many(int fd, zt_word w, struct mmsghdr *v, unsigned n, int flags,
                       struct timespec *timeout)
{
    struct batch b;
    unsigned done = 0;
    int wait_one = flags & MSG_WAITFORONE;
    flags &= ~MSG_WAITFORONE;
    while (done < n) {
        size_t bytes;
        bool ended = false;
        int now = flags | (done && wait_one ? MSG_DONTWAIT : 0), r = -1;
        for (b.n = b.pieces = 0; done + b.n < n && b.n < BATCH;)
            if (!batch_add(&b, &v[done + b.n].msg_hdr, &bytes))
                break;
        if (b.n)
            r = REAL(recvmmsg)(fd, b.m, b.n, (now & MSG_DONTWAIT) | MSG_TRUNC | wait_one, timeout);
        int err = 0;
        unsigned got = r > 0 ? scatter(fd, w, &b, (unsigned)r, v + done, flags, &ended, &err) : 0;
        done += got;
        if (err && !done)
            return zt_fail(err);
        if (err) {
            struct zt_ctl_dgram h = {.type = ZT_DGRAM_ERROR, .err = err};
            give_back(fd, &h);
        }
        if (r == (int)b.n && got == b.n && !(timeout && !timeout->tv_sec && !timeout->tv_nsec))
            continue;
        if (done || (r < 0 && b.n && errno != ECONNRESET))
            return done ? (int)done : -1;
        /* the end of the pair, or a vector too long: the way of a single one */
        ssize_t one = recvmsg(fd, &v[0].msg_hdr, now);
        if (one < 0)
            return -1;
        v[done++].msg_len = (unsigned)one;
        if (ended || !(zt_word_of(fd) & ZT_W_DGRAM))
            return (int)done;
    }
    return (int)done;
}
