/* Token bucket: `burst` at once, then one per refill_ms. All zero is a full bucket. */
#ifndef ZT_VL1_LIMIT_H
#define ZT_VL1_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct zt_bucket {
    unsigned used;
    int64_t since_ms; /* time up to which refills are accounted for */
};

static inline bool zt_bucket_take(struct zt_bucket *b, int64_t now_ms, unsigned burst,
                                  int64_t refill_ms)
{
    int64_t refills = b->used == 0 ? 0 : (now_ms - b->since_ms) / refill_ms;
    if (b->used == 0 || refills >= (int64_t)b->used) {
        b->used = 0;
        b->since_ms = now_ms;
    } else {
        b->used -= (unsigned)refills;
        b->since_ms += refills * refill_ms;
    }
    if (b->used >= burst)
        return false;
    b->used++;
    return true;
}

#endif
