#include "ztest.h"

#include "base/map.h"
#include "rng.h"

#define KEYS 500

/* What the map should hold: values[k] for key k * spread, NULL for none. */
static void check(struct zt_map *m, char *const *values, uint64_t spread)
{
    size_t n = 0, walked = 0;
    uint64_t key;
    void *value;

    for (size_t k = 0; k < KEYS; k++) {
        assert_ptr_equal(zt_map_get(m, k * spread), values[k]);
        n += values[k] != NULL;
    }
    assert_int_equal(m->count, n);
    if (m->slots != NULL)
        assert_true(m->count * 4 <= (m->mask + 1) * 3);
    for (size_t i = 0; zt_map_next(m, &i, &key, &value);) {
        assert_ptr_equal(zt_map_get(m, key), value);
        walked++;
    }
    assert_int_equal(walked, n);
}

static void random_operations(void **state)
{
    static char cells[KEYS * 2];
    /* Dense keys, and keys that differ only in high bits. */
    static const uint64_t spreads[] = {1, 1ULL << 32, 0x9e3779b97f4a7c15ULL};

    for (size_t s = 0; s < 3; s++) {
        char *values[KEYS] = {0};
        struct zt_map m;
        struct rng r = {6 + s};
        zt_map_init(&m, rng_u64(&r));
        assert_null(zt_map_get(&m, 0));
        assert_null(zt_map_del(&m, 0));
        for (unsigned step = 0; step < 30000; step++) {
            size_t k = rng_below(&r, KEYS);
            /* waves, so that it fills and empties */
            if (rng_below(&r, 100) < (step / 3000 % 2 ? 30u : 70u)) {
                values[k] = &cells[rng_below(&r, sizeof cells)];
                assert_int_equal(zt_map_put(&m, k * spreads[s], values[k]), 0);
            } else {
                assert_ptr_equal(zt_map_del(&m, k * spreads[s]), values[k]);
                values[k] = NULL;
            }
            if (step % 100 == 0)
                check(&m, values, spreads[s]);
        }
        check(&m, values, spreads[s]);
        zt_map_fini(&m);
        assert_null(zt_map_get(&m, 1));
    }
}

/* Replacing must not grow: a table that is updated for ever keeps its size. */
static void replacing_keeps_the_size(void **state)
{
    struct zt_map m;
    char a, b;
    zt_map_init(&m, 1);
    for (uint64_t k = 0; k < 12; k++)
        assert_int_equal(zt_map_put(&m, k, &a), 0);
    size_t mask = m.mask;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(zt_map_put(&m, i % 12, &b), 0);
    assert_int_equal(m.mask, mask);
    assert_int_equal(m.count, 12);
    zt_map_fini(&m);
}

static void walk_of_nothing(void **state)
{
    struct zt_map m;
    char a;
    zt_map_init(&m, 0);
    size_t i = 0;
    assert_false(zt_map_next(&m, &i, NULL, NULL));
    assert_int_equal(zt_map_put(&m, 0, &a), 0);
    assert_ptr_equal(zt_map_get(&m, 0), &a); /* key 0 is a key like any */
    i = 0;
    assert_true(zt_map_next(&m, &i, NULL, NULL));
    assert_false(zt_map_next(&m, &i, NULL, NULL));
    assert_ptr_equal(zt_map_del(&m, 0), &a);
    i = 0;
    assert_false(zt_map_next(&m, &i, NULL, NULL));
    zt_map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),
        cmocka_unit_test(replacing_keeps_the_size),
        cmocka_unit_test(walk_of_nothing),
    };
    return cmocka_run_group_tests_name("base/map", tests, NULL, NULL);
}
