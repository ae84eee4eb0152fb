/* Memory for lwIP: pieces that a flow needs again and again (segments, their packets,
 * acknowledgments) come from lists of freed ones, by class of size, so that a transfer in its
 * steady state allocates nothing. malloc's own caches end at 1 KiB; the packets of a bulk transfer
 * went through splitting and joining, and the top of the heap through the kernel.
 *
 * What lies in the lists is bounded (KEEP_BYTES) and given back when the connections rest
 * (zt_pool_trim). Under AddressSanitizer there are no lists: it should see each object. */
#include "stack/impl.h"

#include <assert.h>
#include <stdlib.h>

#include "stack/hooks.h"

#if defined __SANITIZE_ADDRESS__
#define HAS_LISTS false
#elif defined __has_feature /* clang, which the fuzz targets are built with */
#if __has_feature(address_sanitizer)
#define HAS_LISTS false
#endif
#endif
#ifndef HAS_LISTS
#define HAS_LISTS true
#endif
#define KEEP_BYTES (8u << 20) /* two windows of 4 MiB in packets */
#define REST_BYTES (64u << 10)
#define NO_CLASS POOL_CLASSES

/* The third is for connections, the next ones for packets of the usual MTUs. */
static const uint32_t class_size[POOL_CLASSES] = {64, 192, 640, 1600, 3072, 10240};

/* Before each piece; keeps what follows aligned for anything. */
union head {
    max_align_t align;
    struct {
        uint32_t class;
        union head *next; /* of a free one */
    } is;
};

static unsigned class_of(size_t n)
{
    unsigned c = 0;
    while (c < POOL_CLASSES && class_size[c] < n)
        c++;
    return HAS_LISTS ? c : NO_CLASS;
}

void *zt_lwip_malloc(size_t n)
{
    struct zt_pool *pool = &zt_stack_current()->pool;
    unsigned c = class_of(n);
    union head *h = c < POOL_CLASSES ? pool->free[c] : NULL;

    if (h != NULL) {
        pool->free[c] = h->is.next;
        pool->bytes -= class_size[c];
        return h + 1;
    }
    h = malloc(sizeof *h + (c < POOL_CLASSES ? class_size[c] : n));
    if (h == NULL)
        return NULL;
    pool->allocations++;
    h->is.class = c;
    return h + 1;
}

void zt_lwip_free(void *p)
{
    struct zt_pool *pool = &zt_stack_current()->pool;
    union head *h = (union head *)p - 1;
    unsigned c = h->is.class;

    if (c >= POOL_CLASSES || pool->bytes + class_size[c] > KEEP_BYTES) {
        free(h);
        return;
    }
    h->is.next = pool->free[c];
    pool->free[c] = h;
    pool->bytes += class_size[c];
}

static void give_back(struct zt_pool *pool, size_t keep)
{
    for (unsigned c = POOL_CLASSES; c-- > 0 && pool->bytes > keep;) {
        union head *h;
        while (pool->bytes > keep && (h = pool->free[c]) != NULL) {
            pool->free[c] = h->is.next;
            pool->bytes -= class_size[c];
            free(h);
        }
    }
}

void zt_pool_trim(struct zt_stack *s)
{
    give_back(&s->pool, REST_BYTES);
}

void zt_pool_fini(struct zt_stack *s)
{
    give_back(&s->pool, 0);
    assert(s->pool.bytes == 0);
}
