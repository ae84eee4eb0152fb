/* Which of the forms of salsa12_lanes.h runs is asked of the processor each time: the answer is a
 * few loads, and there is no state. Four lanes are plain vectors, which every compiler turns into
 * what the target has (SSE2 on any x86_64); eight need AVX2; AVX-512VL has a rotation and twice the
 * registers. */
#include "crypto/salsa12.h"

#include <assert.h>
#include <string.h>

#include "crypto/identity.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the key stream is little endian: swap the words of each row for this machine"
#endif

#define FOUR (4 * ZT_SALSA_BLOCK)
#define EIGHT (8 * ZT_SALSA_BLOCK)

typedef uint32_t salsa_vec4 __attribute__((vector_size(16)));

#define LO32_4 0, 4, 1, 5
#define HI32_4 2, 6, 3, 7
#define LO64_4 0, 1, 4, 5
#define HI64_4 2, 3, 6, 7
#define SHUFFLE_4(a, b, how) SHUFFLE_BY(a, b, how##_4)
#define LO32_8 0, 8, 1, 9, 4, 12, 5, 13
#define HI32_8 2, 10, 3, 11, 6, 14, 7, 15
#define LO64_8 0, 1, 8, 9, 4, 5, 12, 13
#define HI64_8 2, 3, 10, 11, 6, 7, 14, 15
#define SHUFFLE_8(a, b, how) SHUFFLE_BY(a, b, how##_8)
#define SHUFFLE_BY(...) __builtin_shufflevector(__VA_ARGS__)

#define LANES 4
#define NAME four
#define TARGET
#define SHUFFLE SHUFFLE_4
#include "crypto/salsa12_lanes.h"

#ifdef __x86_64__
#define LANES 8
#define NAME eight_avx2
#define TARGET __attribute__((target("avx2")))
#define SHUFFLE SHUFFLE_8
#include "crypto/salsa12_lanes.h"

#define LANES 8
#define NAME eight_avx512
#define TARGET __attribute__((target("avx2,avx512f,avx512vl")))
#define SHUFFLE SHUFFLE_8
#include "crypto/salsa12_lanes.h"

static unsigned best_level(void)
{
    if (!__builtin_cpu_supports("avx2"))
        return 0;
    return __builtin_cpu_supports("avx512vl") ? 2 : 1;
}
#else
static unsigned best_level(void)
{
    return 0;
}
#endif

static uint32_t le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void set_up(const uint8_t key[32], const uint8_t iv[8], uint32_t block, uint32_t s[16])
{
    static const uint32_t sigma[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    for (unsigned i = 0; i < 4; i++) {
        s[i * 5] = sigma[i];
        s[1 + i] = le32(key + 4 * i);
        s[11 + i] = le32(key + 16 + 4 * i);
    }
    s[6] = le32(iv);
    s[7] = le32(iv + 4);
    s[8] = block;
    s[9] = 0;
}

/* The blocks of one call, at least one of them; how many bytes that is. */
static size_t step(unsigned level, const uint32_t s[16], uint8_t *p, size_t n)
{
#ifdef __x86_64__
    if (level > 1 && n > FOUR) {
        eight_avx512(s, p);
        return EIGHT;
    }
    if (level > 0 && n > FOUR) {
        eight_avx2(s, p);
        return EIGHT;
    }
#endif
    four(s, p);
    return FOUR;
}

unsigned zt_salsa12_xor_level(unsigned level, const uint8_t key[32], const uint8_t iv[8],
                              uint32_t block, uint8_t *p, size_t n)
{
    uint8_t rest[EIGHT];
    uint32_t s[16];
    unsigned best = best_level();

    assert(n / ZT_SALSA_BLOCK < UINT32_MAX - block);
    level = level < best ? level : best;
    set_up(key, iv, block, s);
    while (n >= (level > 0 ? EIGHT : FOUR) || n == FOUR) {
        size_t done = step(level, s, p, n);
        p += done;
        n -= done;
        s[8] += (uint32_t)(done / ZT_SALSA_BLOCK);
    }
    if (n > 0) {
        memcpy(rest, p, n);
        memset(rest + n, 0, sizeof rest - n);
        step(level, s, rest, n);
        memcpy(p, rest, n);
        zt_wipe(rest + n, sizeof rest - n); /* bare key stream */
    }
    zt_wipe(s, sizeof s);
    return level;
}

void zt_salsa12_xor(const uint8_t key[32], const uint8_t iv[8], uint32_t block, uint8_t *p,
                    size_t n)
{
    zt_salsa12_xor_level(ZT_SALSA_LEVELS - 1, key, iv, block, p, n);
}
