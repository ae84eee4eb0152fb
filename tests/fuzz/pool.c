/* Large blocks are used again. A sanitizer's allocator maps each anew and gives it back, and for a
 * target that makes a whole core per input this took most of its time, in the kernel.
 *
 * A block that is freed keeps its size and its place, is poisoned until it is handed out again, and
 * then cleared: reads beyond it and after its end are seen as ever. While the code has it, its
 * address is kept here in a form that a search for leaks does not take for one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

#define LARGE (64u << 10)
#define KEPT 16

static struct {
    void *p;          /* while it is free */
    uintptr_t hidden; /* ~address, while it is in use */
    size_t n;         /* 0: no block */
} pool[KEPT];

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);

void *__wrap_calloc(size_t n, size_t size)
{
    if (size == 0 || n > SIZE_MAX / size || n * size < LARGE)
        return __real_calloc(n, size);
    n *= size;
    unsigned i = 0;
    while (i < KEPT && pool[i].n != 0 && (pool[i].n != n || pool[i].p == NULL))
        i++;
    if (i == KEPT)
        return __real_calloc(1, n);
    void *p = pool[i].p;
    if (p != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(p, n);
        memset(p, 0, n);
    } else {
        p = __real_calloc(1, n);
        if (p == NULL)
            return NULL;
    }
    pool[i].p = NULL;
    pool[i].hidden = ~(uintptr_t)p;
    pool[i].n = n;
    return p;
}

void __wrap_free(void *p)
{
    for (unsigned i = 0; p != NULL && i < KEPT && pool[i].n != 0; i++) {
        if (pool[i].hidden != ~(uintptr_t)p)
            continue;
        pool[i].hidden = 0;
        pool[i].p = p;
        ASAN_POISON_MEMORY_REGION(p, pool[i].n);
        return;
    }
    __real_free(p);
}
