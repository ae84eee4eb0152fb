#include "node/secret.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static void pages(const void *p, size_t n, void **from, size_t *len)
{
    const uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)p & ~(size - 1);
    *from = (void *)first; // NOLINT(performance-no-int-to-ptr): there is no other way to a page
    *len = (((uintptr_t)p + n + size - 1) & ~(size - 1)) - first;
}

void zt_secret_keep(const void *p, size_t n)
{
    void *from;
    size_t len;
    pages(p, n, &from, &len);
    (void)mlock(from, len);
    (void)madvise(from, len, MADV_DONTDUMP);
}

void zt_secret_release(const void *p, size_t n)
{
    void *from;
    size_t len;
    pages(p, n, &from, &len);
    (void)munlock(from, len);
    (void)madvise(from, len, MADV_DODUMP);
}
