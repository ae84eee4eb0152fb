/* Deterministic numbers for tests (splitmix64). The same seed gives the same run. */
#ifndef ZT_TESTS_RNG_H
#define ZT_TESTS_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s;
};

static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

/* 0 .. n - 1 */
static inline size_t rng_below(struct rng *r, size_t n)
{
    return (size_t)(rng_u64(r) % n);
}

static inline void rng_bytes(struct rng *r, void *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)rng_u64(r);
}

/* As a zt_random_fn; user is a struct rng. */
static inline void rng_random(void *user, void *out, size_t n)
{
    rng_bytes((struct rng *)user, out, n);
}

#endif
