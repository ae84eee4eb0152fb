#include "ztest.h"

#include <openssl/crypto.h>

#include "base/err.h"
#include "crypto/cipher.h"
#include "rng.h"

static const enum zt_suite suites[] = {ZT_SUITE_POLY, ZT_SUITE_SALSA, ZT_SUITE_AES};
#define EACH_SUITE(s) for (const enum zt_suite *s = suites; s < suites + 3; s++)

static struct rng rng = {16};

static struct zt_keys new_keys(void)
{
    uint8_t shared[ZT_SHARED_KEY];
    struct zt_keys keys;
    rng_bytes(&rng, shared, sizeof shared);
    assert_int_equal(zt_keys_init(&keys, shared), 0);
    return keys;
}

/* A random packet of n bytes, sealed. plain may be NULL. */
static void sealed(struct zt_keys *keys, enum zt_suite suite, size_t n, uint8_t *p, uint8_t *plain)
{
    rng_bytes(&rng, p, n);
    p[ZT_PKT_FLAGS] &= ZT_FLAG_FRAGMENTED | ZT_FLAG_HOPS | ZT_FLAG_CIPHER; /* must not matter */
    if (plain != NULL)
        memcpy(plain, p, n);
    assert_int_equal(zt_seal(keys, suite, p, n), 0);
    assert_int_equal(zt_pkt_suite(p), suite);
    assert_int_equal(zt_pkt_hops(p), 0);
    assert_true(((p[ZT_PKT_FLAGS] & ZT_FLAG_ENCRYPTED) != 0) == (suite == ZT_SUITE_SALSA));
}

static void round_trip_at_all_sizes(void **state)
{
    uint8_t plain[ZT_PKT_MAX];
    struct zt_keys keys = new_keys(), theirs;
    assert_int_equal(zt_keys_init(&theirs, keys.k), 0);
    EACH_SUITE(s)
    {
        for (size_t n = ZT_PKT_MIN; n <= ZT_PKT_MAX; n += n < 300 ? 1 : 97) {
            uint8_t *p = malloc(n); /* exact, for the sanitizer */
            assert_non_null(p);
            sealed(&keys, *s, n, p, plain);
            assert_memory_equal(p + ZT_PKT_DEST, plain + ZT_PKT_DEST, 10);
            assert_int_equal((p[ZT_PKT_FLAGS] ^ plain[ZT_PKT_FLAGS]) & ZT_FLAG_FRAGMENTED, 0);
            if (*s == ZT_SUITE_AES) /* the id becomes part of the tag */
                assert_memory_not_equal(p, plain, 8);
            else
                assert_memory_equal(p, plain, 8);
            uint64_t id = zt_pkt_id(p);
            assert_int_equal(zt_open(&theirs, p, n), 0);
            assert_memory_equal(p + ZT_PKT_VERB, plain + ZT_PKT_VERB, n - ZT_PKT_VERB);
            assert_true(zt_pkt_id(p) == id); /* both ends know it by the wire's */
            free(p);
        }
    }
    zt_keys_fini(&keys);
    zt_keys_fini(&theirs);
}

/* Every bit of a packet, whatever the suite; only the hop count is free. */
static void any_change_is_refused(void **state)
{
    struct zt_keys keys = new_keys();
    EACH_SUITE(s)
    {
        for (size_t n = 28; n <= 220; n += 64) {
            uint8_t p[256], q[256];
            sealed(&keys, *s, n, p, NULL);
            for (size_t i = 0; i < 8 * n; i++) {
                bool hops = i / 8 == ZT_PKT_FLAGS && i % 8 < 3;
                memcpy(q, p, n);
                q[i / 8] ^= (uint8_t)(1 << i % 8);
                int e = zt_open(&keys, q, n);
                if (hops)
                    assert_int_equal(e, 0);
                else
                    assert_true(e == ZT_E_CRYPTO || e == ZT_E_UNSUPPORTED);
            }
        }
    }
    zt_keys_fini(&keys);
}

static void any_length_change_is_refused(void **state)
{
    struct zt_keys keys = new_keys();
    EACH_SUITE(s)
    {
        uint8_t p[140];
        size_t n = 120;
        sealed(&keys, *s, n, p, NULL);
        for (size_t len = 0; len <= sizeof p; len++) {
            uint8_t full[sizeof p] = {0};
            memcpy(full, p, n);
            uint8_t *exact = exact_copy(full, len);
            int e = zt_open(&keys, exact, len);
            assert_int_equal(e, len < ZT_PKT_MIN ? ZT_E_TRUNCATED : len == n ? 0 : ZT_E_CRYPTO);
            free(exact);
        }
    }
    static uint8_t huge[ZT_PKT_MAX + 1];
    assert_int_equal(zt_open(&keys, huge, sizeof huge), ZT_E_FORMAT);
    zt_keys_fini(&keys);
}

static void other_keys_and_suites(void **state)
{
    struct zt_keys keys = new_keys(), other = new_keys();
    uint8_t p[100], q[100];
    EACH_SUITE(s)
    {
        sealed(&keys, *s, sizeof p, p, NULL);
        memcpy(q, p, sizeof p);
        assert_int_equal(zt_open(&other, q, sizeof q), ZT_E_CRYPTO);
        for (unsigned suite = 0; suite < 8; suite++) { /* relabelled */
            memcpy(q, p, sizeof p);
            q[ZT_PKT_FLAGS] = (uint8_t)((q[ZT_PKT_FLAGS] & ~ZT_FLAG_CIPHER) | suite << 3);
            bool known = suite == 0 || suite == 1 || suite == 3;
            assert_int_equal(zt_open(&keys, q, sizeof q), suite == (unsigned)*s ? 0
                                                          : known               ? ZT_E_CRYPTO
                                                                                : ZT_E_UNSUPPORTED);
        }
    }
    assert_int_equal(zt_seal(&keys, ZT_SUITE_TRUSTED, p, sizeof p), ZT_E_UNSUPPORTED);
    zt_keys_fini(&keys);
    zt_keys_fini(&other);
    static const struct zt_keys zero;
    assert_memory_equal(&keys, &zero, sizeof zero); /* nothing secret stays */
}

/* Contexts are reused: what one packet left must not show in the next, whatever the order. */
static void packets_are_independent(void **state)
{
    struct zt_keys keys = new_keys(), fresh;
    for (unsigned round = 0; round < 500; round++) {
        enum zt_suite s = suites[rng_below(&rng, 3)];
        size_t n = ZT_PKT_MIN + rng_below(&rng, 3000);
        uint8_t p[ZT_PKT_MAX], q[ZT_PKT_MAX], plain[ZT_PKT_MAX];

        sealed(&keys, s, n, p, plain);
        memcpy(q, plain, n);
        assert_int_equal(zt_keys_init(&fresh, keys.k), 0);
        assert_int_equal(zt_seal(&fresh, s, q, n), 0);
        assert_memory_equal(p, q, n);
        if (rng_below(&rng, 3) == 0) { /* a forgery in between */
            q[ZT_PKT_VERB] ^= 1;
            assert_int_equal(zt_open(&keys, q, n), ZT_E_CRYPTO);
        }
        assert_int_equal(zt_open(rng_below(&rng, 2) ? &keys : &fresh, p, n), 0);
        assert_memory_equal(p + ZT_PKT_VERB, plain + ZT_PKT_VERB, n - ZT_PKT_VERB);
        zt_keys_fini(&fresh);
    }
    zt_keys_fini(&keys);
}

static void hello_mask(void **state)
{
    struct zt_keys keys = new_keys();
    uint8_t p[200], q[200];
    rng_bytes(&rng, p, sizeof p);
    for (size_t from = ZT_PKT_PAYLOAD; from <= sizeof p; from += 11) {
        memcpy(q, p, sizeof p);
        zt_hello_mask(&keys, q, sizeof q, from);
        assert_memory_equal(p, q, from);
        if (sizeof p - from > 8)
            assert_memory_not_equal(p + from, q + from, sizeof p - from);
        zt_hello_mask(&keys, q, sizeof q, from);
        assert_memory_equal(p, q, sizeof p);
    }
    zt_hello_mask(&keys, q, 100, 120); /* nothing there */
    assert_memory_equal(p, q, sizeof p);
    zt_keys_fini(&keys);
}

/* ---- OpenSSL's memory: none per packet, and what happens when there is none ---- */

static size_t allocations;
static size_t fail_from = SIZE_MAX; /* the allocation from which on all fail */

static void *counted_malloc(size_t n, const char *file, int line)
{
    return allocations++ >= fail_from ? NULL : malloc(n);
}

static void *counted_realloc(void *p, size_t n, const char *file, int line)
{
    return allocations++ >= fail_from ? NULL : realloc(p, n);
}

static void counted_free(void *p, const char *file, int line)
{
    free(p);
}

static void no_allocation_per_packet(void **state)
{
    struct zt_keys keys = new_keys();
    uint8_t p[1400];
    for (unsigned round = 0; round < 100; round++) {
        if (round == 2) {
            assert_true(allocations > 0); /* we do see them */
            allocations = 0;
        }
        EACH_SUITE(s)
        {
            sealed(&keys, *s, sizeof p, p, NULL);
            assert_int_equal(zt_open(&keys, p, sizeof p), 0);
        }
    }
    assert_int_equal(allocations, 0);
    zt_keys_fini(&keys);
}

/* Memory that ends at any point gives an error, and nothing worse: afterwards all works again. */
static void out_of_memory(void **state)
{
    uint8_t shared[ZT_SHARED_KEY] = {9}, p[100];
    bool all_went_well = false;

    for (size_t k = 0; !all_went_well; k++) {
        struct zt_keys keys;
        assert_true(k < 1000);
        memset(p, 7, sizeof p);
        allocations = 0;
        fail_from = k;
        int init = zt_keys_init(&keys, shared), seal = 0;
        if (init == 0)
            seal = zt_seal(&keys, ZT_SUITE_AES, p, sizeof p);
        fail_from = SIZE_MAX;
        all_went_well = init == 0 && seal == 0;
        if (init != 0) {
            assert_int_equal(init, ZT_E_CRYPTO);
            assert_int_equal(zt_keys_init(&keys, shared), 0);
        } else if (seal != 0) {
            assert_true(seal == ZT_E_NOMEM || seal == ZT_E_CRYPTO);
            assert_null(keys.aes);
        }
        if (!all_went_well) {
            memset(p, 7, sizeof p);
            assert_int_equal(zt_seal(&keys, ZT_SUITE_AES, p, sizeof p), 0);
        }
        assert_int_equal(zt_open(&keys, p, sizeof p), 0);
        assert_true(k > 0 || !all_went_well); /* it was felt at least once */
        zt_keys_fini(&keys);
    }
}

static int setup(void **state)
{
    return zt_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_at_all_sizes),      cmocka_unit_test(any_change_is_refused),
        cmocka_unit_test(any_length_change_is_refused), cmocka_unit_test(other_keys_and_suites),
        cmocka_unit_test(packets_are_independent),      cmocka_unit_test(hello_mask),
        cmocka_unit_test(no_allocation_per_packet),     cmocka_unit_test(out_of_memory),
    };
    /* Must come before OpenSSL's first allocation. */
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
        return 1;
    return cmocka_run_group_tests_name("crypto/cipher", tests, setup, NULL);
}
