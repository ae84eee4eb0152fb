#include "node/fork.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

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
