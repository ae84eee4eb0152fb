/* Layer 2: Ethernet frames of a network. A descriptor is a socket of family AF_PACKET inside (see
 * node/proxy_raw.c); a callback is a thread that reads from one.
 *
 * A reader holds a reference on its socket, so that the number is nobody else's before its thread has seen
 * the end. That may be inside the application for long, and the application may wait there for a lock of ours:
 * it is joined without any. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/zts_priv.h"
#include "base/list.h"
#include "wire/packet.h"

#define FRAME_MAX (14 + 9890)

struct reader {
    struct zt_list link;
    pthread_t thread;
    uint64_t nwid;
    struct zts_sock *sock; /* reference */
    zts_l2_fn fn;
    void *user;
    bool is_alone; /* taken away by its own callback: nobody joins it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct zt_list readers = {&readers, &readers};
static struct zt_list retired = {&retired, &retired}; /* of a node that has ended; to be joined */

void zts_l2_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    zt_list_init(&readers); /* their threads are not here */
    zt_list_init(&retired);
}

/* The node knows this network? ZT_E_NOENT: not joined, or without an interface yet. */
static int is_joined(struct zt_node *n, void *arg)
{
    const uint64_t *nwid = arg;
    int rc = zt_node_ifindex(n, *nwid);
    return rc > 0 ? 0 : rc == 0 ? ZT_E_NOENT : rc;
}

int zts_l2_open(const uint64_t networkId)
{
    uint64_t nwid = networkId;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (nwid == 0)
        return ZTS_ERR_ARG;
    int rc = zts_control_error(zts_with_node(is_joined, &nwid));
    if (rc != ZTS_ERR_OK)
        return rc;
    struct zts_sock *s = zts_sock_new(AF_PACKET, ZTS_SOCK_RAW);
    if (s == NULL)
        return zts_fail(ENFILE);
    s->nwid = nwid;
    s->fd = zts_placeholder(ZTS_SOCK_DGRAM);
    if (s->fd < 0) {
        zts_sock_abandon(s);
        return zts_fail(ENFILE);
    }
    zts_sock_publish(s);
    int num = s->num;
    rc = zts_sock_need_dgram(s);
    zts_sock_put(s);
    if (rc != ZTS_ERR_OK) {
        (void)zts_sock_close(num);
        return rc == ZTS_ERR_SOCKET && zts_errno == ENETDOWN ? ZTS_ERR_NO_RESULT : rc;
    }
    return num;
}

static void release(struct reader *r)
{
    zts_sock_put(r->sock);
    free(r);
}

static void *read_frames(void *arg)
{
    struct reader *r = arg;
    uint8_t frame[FRAME_MAX];
    ssize_t n;
    while ((n = zts_recv(r->sock->num, frame, sizeof frame, 0)) > 0 ||
           (n == ZTS_ERR_SOCKET && zts_errno != ENETDOWN && zts_errno != EBADF))
        if (n > 0)
            r->fn(r->nwid, frame, (size_t)n, r->user);
    if (r->is_alone)
        release(r);
    return NULL;
}

/* The first one of `from`, or of this network there, taken out; NULL. With lock. */
static struct reader *take(struct zt_list *from, uint64_t nwid)
{
    ZT_LIST_EACH(it, from)
    {
        struct reader *r = ZT_CONTAINER(it, struct reader, link);
        if (nwid == 0 || r->nwid == nwid) {
            zt_list_remove(it);
            return r;
        }
    }
    return NULL;
}

static struct reader *take_locked(struct zt_list *from, uint64_t nwid)
{
    pthread_mutex_lock(&lock);
    struct reader *r = take(from, nwid);
    pthread_mutex_unlock(&lock);
    return r;
}

/* NULL is fine. */
static void end(struct reader *r)
{
    if (r == NULL)
        return;
    (void)zts_sock_close(r->sock->num); /* wakes the thread */
    if (pthread_equal(r->thread, pthread_self())) {
        r->is_alone = true;
        pthread_detach(r->thread); /* it ends after this very callback */
        return;
    }
    pthread_join(r->thread, NULL);
    release(r);
}

void zts_l2_retire(void)
{
    struct reader *r;
    pthread_mutex_lock(&lock);
    while ((r = take(&readers, 0)) != NULL)
        zt_list_push_back(&retired, &r->link);
    pthread_mutex_unlock(&lock);
}

void zts_l2_reap(void)
{
    struct reader *r;
    while ((r = take_locked(&retired, 0)) != NULL)
        end(r);
}

static int start(struct reader *r)
{
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was); /* signals are the application's */
    int rc = pthread_create(&r->thread, NULL, read_frames, r);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return rc;
}

int zts_l2_set_callback(const uint64_t networkId, zts_l2_fn fn, void *user)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (networkId == 0)
        return ZTS_ERR_ARG;
    struct reader *old = take_locked(&readers, networkId);
    bool had = old != NULL;
    end(old);
    if (fn == NULL)
        return had ? ZTS_ERR_OK : ZTS_ERR_NO_RESULT;
    int fd = zts_l2_open(networkId);
    if (fd < 0)
        return fd;
    struct reader *r = calloc(1, sizeof *r);
    struct zts_sock *s = r != NULL ? zts_sock_get(fd) : NULL;
    if (s != NULL) {
        *r = (struct reader){.nwid = networkId, .sock = s, .fn = fn, .user = user};
        zt_list_init(&r->link);
        pthread_mutex_lock(&lock);
        int rc = start(r);
        old = rc == 0 ? take(&readers, networkId) : NULL; /* another thread was as quick as we are */
        if (rc == 0)
            zt_list_push_back(&readers, &r->link);
        pthread_mutex_unlock(&lock);
        end(old);
        if (rc == 0)
            return ZTS_ERR_OK;
        zts_sock_put(s);
    }
    free(r);
    (void)zts_sock_close(fd);
    return ZTS_ERR_GENERAL;
}

/* ---- sending, groups ---------------------------------------------------------------------------- */

struct frame {
    uint64_t nwid, mac;
    uint32_t adi;
    bool add;
    uint8_t *eth;
    size_t n;
};

static int send_frame(struct zt_node *n, void *arg)
{
    struct frame *f = arg;
    return zt_node_frame(n, f->nwid, f->eth, f->n);
}

int zts_l2_send(const uint64_t networkId, const void *frame, size_t len)
{
    uint8_t room[ZT_FRAME_HEADROOM + FRAME_MAX];
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (networkId == 0 || frame == NULL || len < 14)
        return ZTS_ERR_ARG;
    if (len > FRAME_MAX)
        return zts_fail(EMSGSIZE);
    struct frame f = {.nwid = networkId, .eth = room + ZT_FRAME_HEADROOM, .n = len};
    memcpy(f.eth, frame, len);
    int rc = zts_with_node(send_frame, &f);
    switch (rc) {
    case ZT_E_SPACE:
        return zts_fail(EMSGSIZE);
    case ZT_E_PERM:
        return zts_fail(EACCES);
    case ZT_E_LIMIT:
    case ZT_E_NOMEM:
        return zts_fail(EAGAIN);
    case ZT_E_NOENT:
        return ZTS_ERR_NO_RESULT;
    default:
        return zts_control_error(rc);
    }
}

static int change_group(struct zt_node *n, void *arg)
{
    struct frame *f = arg;
    return zt_node_group(n, f->nwid, f->mac, f->adi, f->add);
}

static int group(uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
    struct frame f = {.nwid = nwid, .mac = mac, .adi = adi, .add = add};
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (nwid == 0 || mac >> 48 != 0 || (mac >> 40 & 1) == 0)
        return ZTS_ERR_ARG;
    return zts_control_error(zts_with_node(change_group, &f));
}

int zts_l2_join(const uint64_t networkId, uint64_t mac, uint32_t adi)
{
    return group(networkId, mac, adi, true);
}

int zts_l2_leave(const uint64_t networkId, uint64_t mac, uint32_t adi)
{
    return group(networkId, mac, adi, false);
}
