/* The table of descriptors.
 *
 * A number leads to a struct zts_sock, made once and used again, so a look-up needs no lock: the
 * word `refs` holds the bit OPEN and how many calls are inside. zts_close clears OPEN; whoever then
 * leaves last takes the socket apart and frees the number. When others are inside, close also shuts
 * the host descriptor down, which wakes them from the kernel. It does so with the socket's lock, under
 * which nobody puts another descriptor in place once OPEN is gone: that one would not be shut down.
 *
 * The host descriptor of a fresh stream socket is an unconnected AF_UNIX stream socket, which polls
 * OUT|HUP exactly as a fresh TCP socket does; connect and bind put the real pair in its place with
 * dup3, so the number stays the same for zts_get_host_fd. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/zts_priv.h"

#define OPEN 0x80000000u
#define CHUNK 256
#define CHUNKS 1024

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct zts_sock *_Atomic chunks[CHUNKS];
static uint64_t used[CHUNKS * CHUNK / 64]; /* numbers taken; under table_lock */
static unsigned first_free;                /* no free word before this one */

static struct zts_sock *sock_at(unsigned num)
{
    struct zts_sock *c = num < CHUNKS * CHUNK ? atomic_load(&chunks[num / CHUNK]) : NULL;
    return c != NULL ? &c[num % CHUNK] : NULL;
}

/* With table_lock. */
static struct zts_sock *make_sock(unsigned num)
{
    struct zts_sock *s = sock_at(num);
    if (s != NULL)
        return s;
    struct zts_sock *c = calloc(CHUNK, sizeof *c);
    if (c == NULL)
        return NULL;
    for (unsigned i = 0; i < CHUNK; i++) {
        c[i].num = (int)(num / CHUNK * CHUNK + i);
        c[i].fd = -1;
        pthread_mutex_init(&c[i].lock, NULL);
        pthread_mutex_init(&c[i].page_lock, NULL);
    }
    atomic_store(&chunks[num / CHUNK], c);
    return &c[num % CHUNK];
}

static int take_number(void)
{
    for (unsigned w = first_free; w < CHUNKS * CHUNK / 64; w++) {
        if (used[w] == UINT64_MAX)
            continue;
        first_free = w;
        unsigned bit = (unsigned)__builtin_ctzll(~used[w]);
        used[w] |= 1ull << bit;
        return (int)(w * 64 + bit);
    }
    return -1;
}

static void free_number(unsigned num)
{
    pthread_mutex_lock(&table_lock);
    used[num / 64] &= ~(1ull << (num % 64));
    if (num / 64 < first_free)
        first_free = num / 64;
    pthread_mutex_unlock(&table_lock);
}

struct zts_sock *zts_sock_new(int family, int type)
{
    pthread_mutex_lock(&table_lock);
    int num = take_number();
    struct zts_sock *s = num >= 0 ? make_sock((unsigned)num) : NULL;
    if (num >= 0 && s == NULL) {
        used[num / 64] &= ~(1ull << (num % 64));
        if ((unsigned)num / 64 < first_free)
            first_free = (unsigned)num / 64;
    }
    pthread_mutex_unlock(&table_lock);
    if (s == NULL)
        return NULL;
    s->fd = -1;
    s->family = family;
    s->type = type;
    atomic_store(&s->kind, ZTS_KIND_FRESH);
    atomic_store(&s->told, false);
    atomic_store(&s->settled, false);
    atomic_store(&s->reset_told, false);
    atomic_store(&s->shut_rd, false);
    atomic_store(&s->id, 0);
    atomic_store(&s->listening, false);
    s->page = NULL;
    s->local = s->peer = (struct zt_ctl_addr){0};
    s->contimeo_ms = 0;
    s->rcvtimeo = s->sndtimeo = (struct timeval){0};
    s->protocol = 0;
    s->nwid = 0;
    s->rcvlowat = s->linger = s->keepalive_ms = 0;
    s->pktinfo = s->corked = s->broadcast = false;
    s->nopts = 0;
    return s;
}

void zts_sock_abandon(struct zts_sock *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    zts_sock_set_page(s, NULL);
    free_number((unsigned)s->num);
}

void zts_sock_publish(struct zts_sock *s)
{
    atomic_store_explicit(&s->refs, OPEN | 1, memory_order_release);
}

static bool try_ref(struct zts_sock *s)
{
    uint32_t r = atomic_load_explicit(&s->refs, memory_order_relaxed);
    while (r & OPEN)
        if (atomic_compare_exchange_weak_explicit(&s->refs, &r, r + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

struct zts_sock *zts_sock_get(int num)
{
    struct zts_sock *s = num >= 0 ? sock_at((unsigned)num) : NULL;
    return s != NULL && try_ref(s) ? s : NULL;
}

void zts_sock_put(struct zts_sock *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        zts_sock_abandon(s);
}

bool zts_sock_is_open(const struct zts_sock *s)
{
    return (atomic_load_explicit(&s->refs, memory_order_relaxed) & OPEN) != 0;
}

int zts_sock_close(int num)
{
    struct zts_sock *s = zts_sock_get(num);
    if (s == NULL)
        return zts_fail(EBADF);
    uint32_t was = atomic_fetch_and(&s->refs, ~OPEN);
    if (!(was & OPEN)) { /* two closes at once: the other one did it */
        zts_sock_put(s);
        return zts_fail(EBADF);
    }
    if ((was & ~OPEN) > 1) {
        pthread_mutex_lock(&s->lock);
        (void)shutdown(s->fd, SHUT_RDWR);
        pthread_mutex_unlock(&s->lock);
    }
    zts_sock_put(s);
    return ZTS_ERR_OK;
}

void zts_sock_close_all(void)
{
    for (unsigned i = 0; i < CHUNKS * CHUNK; i++) {
        if (atomic_load(&chunks[i / CHUNK]) == NULL)
            i += CHUNK - 1 - i % CHUNK;
        else
            (void)zts_sock_close((int)i);
    }
}

void zts_sock_in_child(void)
{
    pthread_mutex_init(&table_lock, NULL);
    for (unsigned i = 0; i < CHUNKS; i++) {
        struct zts_sock *c = atomic_load(&chunks[i]);
        for (unsigned k = 0; c != NULL && k < CHUNK; k++) {
            pthread_mutex_init(&c[k].lock, NULL);
            pthread_mutex_init(&c[k].page_lock, NULL);
            /* Calls of other threads never come back here. */
            uint32_t r = atomic_load(&c[k].refs);
            if (r & OPEN)
                atomic_store(&c[k].refs, OPEN);
        }
    }
}

/* ---- host descriptors
 * ----------------------------------------------------------------------------- */

int zts_placeholder(int type)
{
    int fd =
        socket(AF_UNIX, (type == ZTS_SOCK_STREAM ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

int zts_sock_swap(struct zts_sock *s, int fresh)
{
    int flags = fcntl(s->fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK)) /* it comes without, and without limits */
        (void)fcntl(fresh, F_SETFL, O_NONBLOCK);
    if (s->rcvtimeo.tv_sec != 0 || s->rcvtimeo.tv_usec != 0)
        (void)setsockopt(fresh, SOL_SOCKET, SO_RCVTIMEO, &s->rcvtimeo, sizeof s->rcvtimeo);
    if (s->sndtimeo.tv_sec != 0 || s->sndtimeo.tv_usec != 0)
        (void)setsockopt(fresh, SOL_SOCKET, SO_SNDTIMEO, &s->sndtimeo, sizeof s->sndtimeo);
    if (s->rcvlowat > 0)
        (void)setsockopt(fresh, SOL_SOCKET, SO_RCVLOWAT, &s->rcvlowat, sizeof s->rcvlowat);
    int rc = dup3(fresh, s->fd, O_CLOEXEC) >= 0 ? 0 : errno;
    close(fresh);
    return rc;
}

struct zts_page *zts_sock_page(struct zts_sock *s)
{
    pthread_mutex_lock(&s->page_lock);
    struct zts_page *p = zts_page_ref(s->page);
    pthread_mutex_unlock(&s->page_lock);
    return p;
}

void zts_sock_set_page(struct zts_sock *s, struct zts_page *page)
{
    pthread_mutex_lock(&s->page_lock);
    struct zts_page *old = s->page;
    s->page = page;
    pthread_mutex_unlock(&s->page_lock);
    zts_page_unref(old);
}

bool zts_sock_is_stale(struct zts_sock *s)
{
    struct zts_page *p = zts_sock_page(s);
    bool stale = zts_page_stale(p);
    zts_page_unref(p);
    return stale;
}

bool zts_sock_slot(struct zts_sock *s, struct zt_state_slot *out)
{
    struct zts_page *p = zts_sock_page(s);
    bool known = zts_page_slot(p, atomic_load_explicit(&s->id, memory_order_relaxed), out);
    zts_page_unref(p);
    return known;
}

int zts_sock_take_error(struct zts_sock *s)
{
    struct zt_state_slot slot;
    if (!zts_sock_slot(s, &slot))
        return 0;
    bool failed = slot.phase == ZT_PHASE_FAILED;
    if (failed ? atomic_exchange(&s->told, true)
               : slot.phase != ZT_PHASE_RESET || atomic_exchange(&s->reset_told, true))
        return 0;
    return slot.err != 0 ? slot.err : failed ? ECONNREFUSED : ECONNRESET;
}

void zts_req_init(const struct zts_sock *s, enum zt_ctl_type type, struct zt_ctl_req *req)
{
    memset(req, 0, offsetof(struct zt_ctl_req, data));
    req->version = ZT_CTL_VERSION;
    req->type = (uint8_t)type;
    req->stype = (uint8_t)(s->type == ZTS_SOCK_STREAM  ? SOCK_STREAM
                           : s->type == ZTS_SOCK_DGRAM ? SOCK_DGRAM
                                                       : SOCK_RAW);
    req->family = s->family == ZTS_AF_INET6 ? AF_INET6 : s->family == AF_PACKET ? AF_PACKET : AF_INET;
    if (s->type == ZTS_SOCK_RAW && type != ZT_CTL_OPT_SET && type != ZT_CTL_OPT_GET) {
        req->value = s->protocol;
        req->ndata = s->family == AF_PACKET ? sizeof s->nwid : 0;
        memcpy(req->data, &s->nwid, sizeof s->nwid);
    }
    req->id = atomic_load(&s->id);
    if (req->id == 0) { /* what was set before there was anybody to tell */
        req->nopts = (uint8_t)s->nopts;
        memcpy(req->opts, s->opts, sizeof s->opts[0] * s->nopts);
    }
}
