/* AES-256-CTR and GMAC by the processor's instructions for them. Their time doesn't depend on data
 * or key, and there are no tables.
 *
 * GHASH is computed as POLYVAL (RFC 8452, appendix A): with blocks in reversed byte order and the
 * key multiplied by x, a product needs no shift by one bit. The products of up to 16 blocks with
 * the matching powers of the key are added up before they are reduced once. */
#include "crypto/aes_siv.h"

#include <string.h>

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

#define POWERS 16
#define NARROW __attribute__((target("aes,pclmul,sse4.1")))
#define WIDE __attribute__((target("avx2,aes,pclmul,vaes,vpclmulqdq")))

/* Asked of the processor itself: not every compiler knows all names in __builtin_cpu_supports. */
unsigned zt_aes_x86_level(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_AES) || !(c & bit_PCLMUL) || !(c & bit_SSE4_1))
        return 0;
    if (!__builtin_cpu_supports("avx2") || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 1;
    return (c & bit_VAES) && (c & bit_VPCLMULQDQ) ? 2 : 1;
}

NARROW static inline __m128i get(const uint8_t p[16])
{
    return _mm_loadu_si128((const __m128i *)p);
}

NARROW static inline void put(uint8_t p[16], __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}

NARROW static inline __m128i reversed(__m128i v)
{
    return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* --- AES ------------------------------------------------------------------------------------ */

NARROW static inline __m128i next_key(__m128i k, __m128i word)
{
    k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
    k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
    k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
    return _mm_xor_si128(k, word);
}

NARROW static void expand(const uint8_t key[32], uint8_t out[15][16])
{
    __m128i even = get(key), odd = get(key + 16);
    put(out[0], even);
    put(out[1], odd);
#define TWO_KEYS(i, rcon)                                                                 \
    even = next_key(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, rcon), 0xff)); \
    put(out[i], even);                                                                    \
    if ((i) < 14) {                                                                       \
        odd = next_key(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xaa)); \
        put(out[((i) + 1) % 15], odd);                                                    \
    }
    TWO_KEYS(2, 0x01)
    TWO_KEYS(4, 0x02)
    TWO_KEYS(6, 0x04)
    TWO_KEYS(8, 0x08)
    TWO_KEYS(10, 0x10)
    TWO_KEYS(12, 0x20)
    TWO_KEYS(14, 0x40)
#undef TWO_KEYS
}

NARROW static inline __m128i encrypt_block(const uint8_t rk[15][16], __m128i b)
{
    b = _mm_xor_si128(b, get(rk[0]));
    for (unsigned i = 1; i < 14; i++)
        b = _mm_aesenc_si128(b, get(rk[i]));
    return _mm_aesenclast_si128(b, get(rk[14]));
}

NARROW void zt_aes_x86_block(const struct zt_aes_x86 *x, bool encrypt, const uint8_t in[16],
                             uint8_t out[16])
{
    __m128i b = get(in);
    if (encrypt) {
        put(out, encrypt_block(x->ctr, b));
        return;
    }
    b = _mm_xor_si128(b, get(x->unctr[0]));
    for (unsigned i = 1; i < 14; i++)
        b = _mm_aesdec_si128(b, get(x->unctr[i]));
    put(out, _mm_aesdeclast_si128(b, get(x->unctr[14])));
}

/* --- POLYVAL -------------------------------------------------------------------------------- */

/* Sums of products, not yet reduced. */
struct product {
    __m128i low, middle, high;
};

NARROW static inline void add_product(struct product *s, __m128i a, __m128i b)
{
    s->low = _mm_xor_si128(s->low, _mm_clmulepi64_si128(a, b, 0x00));
    s->high = _mm_xor_si128(s->high, _mm_clmulepi64_si128(a, b, 0x11));
    s->middle = _mm_xor_si128(s->middle, _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01),
                                                       _mm_clmulepi64_si128(a, b, 0x10)));
}

/* Times x^-128, modulo x^128 + x^127 + x^126 + x^121 + 1. */
NARROW static inline __m128i reduce(const struct product *s)
{
    const __m128i poly = _mm_set_epi64x(0, (long long)0xc200000000000000ULL);
    __m128i low = _mm_xor_si128(s->low, _mm_slli_si128(s->middle, 8));
    __m128i high = _mm_xor_si128(s->high, _mm_srli_si128(s->middle, 8));
    for (unsigned i = 0; i < 2; i++)
        low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x00));
    return _mm_xor_si128(high, low);
}

NARROW static inline __m128i multiply(__m128i a, __m128i b)
{
    struct product s = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    add_product(&s, a, b);
    return reduce(&s);
}

NARROW static __m128i times_x(__m128i v)
{
    const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000ULL, 1);
    __m128i carry = _mm_srli_epi64(v, 63); /* bit 63 to bit 64, bit 127 to the polynomial */
    __m128i top = _mm_shuffle_epi32(_mm_sub_epi64(_mm_setzero_si128(), carry), 0xee);
    v = _mm_or_si128(_mm_slli_epi64(v, 1), _mm_slli_si128(carry, 8));
    return _mm_xor_si128(v, _mm_and_si128(top, poly));
}

NARROW void zt_aes_x86_init(struct zt_aes_x86 *x, const uint8_t k0[32], const uint8_t k1[32])
{
    expand(k0, x->mac);
    expand(k1, x->ctr);
    put(x->unctr[0], get(x->ctr[14]));
    for (unsigned i = 1; i < 14; i++)
        put(x->unctr[i], _mm_aesimc_si128(get(x->ctr[14 - i])));
    put(x->unctr[14], get(x->ctr[0]));
    __m128i h = times_x(reversed(encrypt_block(x->mac, _mm_setzero_si128()))), power = h;
    for (unsigned i = POWERS; i-- > 0;) {
        put(x->powers[i], power);
        power = multiply(power, h);
    }
}

/* --- both widths ---------------------------------------------------------------------------- */

/* Up to 16 whole blocks into the running value. */
NARROW static inline __m128i hash_some(const struct zt_aes_x86 *x, __m128i y, const uint8_t *p,
                                       size_t blocks)
{
    struct product s = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    for (size_t i = 0; i < blocks; i++) {
        __m128i b = reversed(get(p + 16 * i));
        if (i == 0)
            b = _mm_xor_si128(b, y);
        add_product(&s, b, get(x->powers[POWERS - blocks + i]));
    }
    return reduce(&s);
}

WIDE static inline __m128i hash_wide(const struct zt_aes_x86 *x, __m128i y, const uint8_t *p)
{
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __m256i low = _mm256_setzero_si256(), middle = low, high = low;
    for (unsigned i = 0; i < POWERS; i += 2) {
        __m256i h = _mm256_loadu_si256((const __m256i *)x->powers[i]);
        __m256i b = _mm256_loadu_si256((const __m256i *)(p + 16 * i));
        b = _mm256_shuffle_epi8(b, order);
        if (i == 0)
            b = _mm256_xor_si256(b, _mm256_zextsi128_si256(y));
        low = _mm256_xor_si256(low, _mm256_clmulepi64_epi128(b, h, 0x00));
        high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128(b, h, 0x11));
        middle = _mm256_xor_si256(middle, _mm256_clmulepi64_epi128(b, h, 0x01));
        middle = _mm256_xor_si256(middle, _mm256_clmulepi64_epi128(b, h, 0x10));
    }
    struct product s = {
        _mm_xor_si128(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)),
        _mm_xor_si128(_mm256_castsi256_si128(middle), _mm256_extracti128_si256(middle, 1)),
        _mm_xor_si128(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)),
    };
    return reduce(&s);
}

WIDE static __m128i hash_runs_wide(const struct zt_aes_x86 *x, __m128i y, const uint8_t *p,
                                   size_t runs)
{
    for (; runs > 0; runs--, p += 16 * POWERS)
        y = hash_wide(x, y, p);
    return y;
}

NARROW static __m128i hash_runs(const struct zt_aes_x86 *x, __m128i y, const uint8_t *p,
                                size_t runs)
{
    for (; runs > 0; runs--, p += 16 * POWERS)
        y = hash_some(x, y, p, POWERS);
    return y;
}

NARROW void zt_aes_x86_gmac(const struct zt_aes_x86 *x, bool wide, const uint8_t iv[12],
                            const uint8_t head[16], const uint8_t *p, size_t n, uint8_t tag[16])
{
    uint8_t last[32] = {0}, first_counter[16] = {0};
    size_t runs = n / (16 * POWERS), whole;
    uint64_t bits = (16 + (uint64_t)n) * 8;

    __m128i y = hash_some(x, _mm_setzero_si128(), head, 1);
    y = wide ? hash_runs_wide(x, y, p, runs) : hash_runs(x, y, p, runs);
    p += runs * 16 * POWERS;
    n -= runs * 16 * POWERS;
    whole = n / 16;
    if (whole > 0)
        y = hash_some(x, y, p, whole);
    n -= whole * 16;
    memcpy(last, p + whole * 16, n); /* padded with zeros; then the length of what there was */
    for (unsigned i = 0; i < 8; i++)
        last[16 + i] = (uint8_t)(bits >> (56 - 8 * i));
    y = n > 0 ? hash_some(x, y, last, 2) : hash_some(x, y, last + 16, 1);
    memcpy(first_counter, iv, 12);
    first_counter[15] = 1;
    put(tag, _mm_xor_si128(reversed(y), encrypt_block(x->mac, get(first_counter))));
}

/* p ^= the key stream of eight blocks. */
NARROW static void ctr_eight(const struct zt_aes_x86 *x, __m128i counter, uint8_t *p)
{
    __m128i b[8], k = get(x->ctr[0]);
    for (int i = 0; i < 8; i++)
        b[i] = _mm_xor_si128(reversed(_mm_add_epi32(counter, _mm_set_epi32(0, 0, 0, i))), k);
    for (unsigned r = 1; r < 14; r++) {
        k = get(x->ctr[r]);
        for (int i = 0; i < 8; i++)
            b[i] = _mm_aesenc_si128(b[i], k);
    }
    k = get(x->ctr[14]);
    for (int i = 0; i < 8; i++)
        put(p + 16 * i, _mm_xor_si128(_mm_aesenclast_si128(b[i], k), get(p + 16 * i)));
}

/* The same of sixteen. */
WIDE static void ctr_sixteen(const struct zt_aes_x86 *x, __m128i counter, uint8_t *p)
{
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __m256i b[8], from = _mm256_broadcastsi128_si256(counter);
    __m256i k = _mm256_broadcastsi128_si256(get(x->ctr[0]));
    for (int i = 0; i < 8; i++) {
        b[i] = _mm256_add_epi32(from, _mm256_set_epi32(0, 0, 0, 2 * i + 1, 0, 0, 0, 2 * i));
        b[i] = _mm256_xor_si256(_mm256_shuffle_epi8(b[i], order), k);
    }
    for (unsigned r = 1; r < 14; r++) {
        k = _mm256_broadcastsi128_si256(get(x->ctr[r]));
        for (int i = 0; i < 8; i++)
            b[i] = _mm256_aesenc_epi128(b[i], k);
    }
    k = _mm256_broadcastsi128_si256(get(x->ctr[14]));
    for (int i = 0; i < 8; i++) {
        __m256i *at = (__m256i *)(p + 32 * i);
        _mm256_storeu_si256(
            at, _mm256_xor_si256(_mm256_aesenclast_epi128(b[i], k), _mm256_loadu_si256(at)));
    }
}

NARROW void zt_aes_x86_ctr(const struct zt_aes_x86 *x, bool wide, const uint8_t start[16],
                           uint8_t *p, size_t n)
{
    void (*some)(const struct zt_aes_x86 *, __m128i, uint8_t *) = wide ? ctr_sixteen : ctr_eight;
    int step = wide ? 16 : 8;
    size_t bytes = 16 * (size_t)step;
    uint8_t rest[256];
    __m128i counter = reversed(get(start));

    for (; n >= bytes; n -= bytes, p += bytes) {
        some(x, counter, p);
        counter = _mm_add_epi32(counter, _mm_set_epi32(0, 0, 0, step));
    }
    if (n == 0)
        return;
    memcpy(rest, p, n);
    memset(rest + n, 0, bytes - n);
    some(x, counter, rest);
    memcpy(p, rest, n);
}

#else /* no such instructions: aes_siv.c never calls these */

unsigned zt_aes_x86_level(void)
{
    return 0;
}

void zt_aes_x86_init(struct zt_aes_x86 *x, const uint8_t k0[32], const uint8_t k1[32])
{
}

void zt_aes_x86_gmac(const struct zt_aes_x86 *x, bool wide, const uint8_t iv[12],
                     const uint8_t head[16], const uint8_t *p, size_t n, uint8_t tag[16])
{
}

void zt_aes_x86_ctr(const struct zt_aes_x86 *x, bool wide, const uint8_t start[16], uint8_t *p,
                    size_t n)
{
}

void zt_aes_x86_block(const struct zt_aes_x86 *x, bool encrypt, const uint8_t in[16],
                      uint8_t out[16])
{
}

#endif
