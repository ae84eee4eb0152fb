#include "node/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "node/loop.h"

/* Chunks of 4096 descriptors, made on first use and kept: 2^20 descriptors are the kernel's usual
 * ceiling; what lies above is not remembered. */
#define CHUNK_BITS 4096
#define CHUNKS 256
#define WORDS (CHUNK_BITS / 64)

struct chunk {
    _Atomic uint64_t w[WORDS];
};

static struct chunk *_Atomic chunks[CHUNKS];

void (*zt_thread_hook)(void);

static struct chunk *chunk_of(int fd, int make)
{
    unsigned c = (unsigned)fd / CHUNK_BITS;
    if (fd < 0 || c >= CHUNKS)
        return NULL;
    struct chunk *k = atomic_load_explicit(&chunks[c], memory_order_acquire);
    if (k != NULL || !make)
        return k;
    struct chunk *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return NULL;
    if (atomic_compare_exchange_strong(&chunks[c], &k, fresh))
        return fresh;
    free(fresh);
    return k;
}

int zt_fd_own(int fd)
{
    struct chunk *k = chunk_of(fd, 1);
    if (k != NULL)
        atomic_fetch_or(&k->w[(unsigned)fd % CHUNK_BITS / 64], 1ull << ((unsigned)fd % 64));
    return fd;
}

int zt_fd_disown(int fd)
{
    struct chunk *k = chunk_of(fd, 0);
    if (k != NULL)
        atomic_fetch_and(&k->w[(unsigned)fd % CHUNK_BITS / 64], ~(1ull << ((unsigned)fd % 64)));
    return fd;
}

void zt_fd_close(int fd)
{
    if (fd < 0)
        return;
    /* Forget first: once closed, the number may be somebody else's. */
    zt_fd_disown(fd);
    close(fd);
}

void zt_fd_close_all(void)
{
    for (unsigned c = 0; c < CHUNKS; c++) {
        struct chunk *k = atomic_load_explicit(&chunks[c], memory_order_acquire);
        for (unsigned i = 0; k != NULL && i < WORDS; i++) {
            uint64_t w = atomic_exchange(&k->w[i], 0);
            while (w != 0) {
                unsigned bit = (unsigned)__builtin_ctzll(w);
                w &= w - 1;
                close((int)(c * CHUNK_BITS + i * 64 + bit));
            }
        }
    }
}

/* ---- a fork meets the loop between two pieces of work ------------------------------------------- */

#define PARK_S 5 /* longer than any piece of work takes; a fork must not hang for ever */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct zt_loop *loop; /* watched */
    unsigned forks;       /* under way */
    bool asked, parked;
} park = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void zt_fork_watch(struct zt_loop *l)
{
    pthread_mutex_lock(&park.lock);
    park.loop = l;
    pthread_mutex_unlock(&park.lock);
}

void zt_fork_unwatch(struct zt_loop *l)
{
    pthread_mutex_lock(&park.lock);
    if (park.loop == l)
        park.loop = NULL;
    pthread_cond_broadcast(&park.changed);
    pthread_mutex_unlock(&park.lock);
}

static void stand_still(void *arg)
{
    pthread_mutex_lock(&park.lock);
    park.asked = false;
    park.parked = true;
    pthread_cond_broadcast(&park.changed);
    while (park.forks > 0)
        pthread_cond_wait(&park.changed, &park.lock);
    park.parked = false;
    pthread_mutex_unlock(&park.lock);
}

void zt_fork_prepare(void)
{
    struct timespec end;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PARK_S;
    pthread_mutex_lock(&park.lock);
    park.forks++;
    /* Refused when the loop is ending: then it ends soon, and is watched no more. */
    if (park.loop != NULL && !park.asked && !park.parked && !zt_loop_is_current(park.loop))
        park.asked = zt_loop_post(park.loop, stand_still, NULL) == 0;
    while (park.loop != NULL && !zt_loop_is_current(park.loop) && !park.parked && rc == 0)
        rc = pthread_cond_timedwait(&park.changed, &park.lock, &end);
    pthread_mutex_unlock(&park.lock);
}

void zt_fork_parent(void)
{
    pthread_mutex_lock(&park.lock);
    park.forks--;
    pthread_cond_broadcast(&park.changed);
    pthread_mutex_unlock(&park.lock);
}

void zt_fork_child(void)
{
    pthread_mutex_init(&park.lock, NULL);
    pthread_cond_init(&park.changed, NULL);
    park.loop = NULL;
    park.forks = 0;
    park.asked = park.parked = false;
}
