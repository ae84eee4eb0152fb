/* Deadline queue: a binary heap of intrusive nodes, least time first. Nodes belong to the caller and
 * must be removed before they die. Setting a time moves the node in O(log n). */
#ifndef ZT_BASE_HEAP_H
#define ZT_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct zt_timer {
    int64_t at_ms; /* monotonic; valid while queued */
    size_t pos;    /* 1-based place in the heap; 0 = not queued */
    void (*fire)(void *user, struct zt_timer *t); /* for the caller's own dispatch; may be NULL */
};

struct zt_heap {
    struct zt_timer **t;
    size_t n, cap;
};

void zt_heap_init(struct zt_heap *h);
void zt_heap_fini(struct zt_heap *h);

/* Queue, or move, t to this time. Returns 0 or ZT_E_NOMEM (t is then as before). */
int zt_heap_set(struct zt_heap *h, struct zt_timer *t, int64_t at_ms);
void zt_heap_remove(struct zt_heap *h, struct zt_timer *t); /* fine when not queued */

/* Earliest time, INT64_MAX when empty. */
int64_t zt_heap_next(const struct zt_heap *h);
/* Take off and return the earliest timer if it is due at now_ms, else NULL. */
struct zt_timer *zt_heap_pop(struct zt_heap *h, int64_t now_ms);

#endif
