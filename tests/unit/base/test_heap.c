#include "ztest.h"

#include "base/heap.h"
#include "rng.h"

#define TIMERS 200

/* Order, and each timer's place, after every operation. */
static void check(const struct zt_heap *h, struct zt_timer *all, size_t n)
{
    size_t queued = 0;
    for (size_t i = 0; i < h->n; i++) {
        assert_int_equal(h->t[i]->pos, i + 1);
        if (i > 0)
            assert_true(h->t[(i - 1) / 2]->at_ms <= h->t[i]->at_ms);
    }
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (all[i].pos != 0) {
            queued++;
            assert_ptr_equal(h->t[all[i].pos - 1], &all[i]);
            if (all[i].at_ms < least)
                least = all[i].at_ms;
        }
    assert_int_equal(queued, h->n);
    assert_true(zt_heap_next(h) == least);
}

static void random_operations(void **state)
{
    struct zt_timer t[TIMERS] = {0};
    struct zt_heap h;
    struct rng r = {3};

    zt_heap_init(&h);
    for (unsigned step = 0; step < 20000; step++) {
        struct zt_timer *one = &t[rng_below(&r, TIMERS)];
        switch (rng_below(&r, 4)) {
        case 0:
        case 1: /* few different times, so that equal ones meet */
            assert_int_equal(zt_heap_set(&h, one, (int64_t)rng_below(&r, 60) - 30), 0);
            assert_true(one->pos != 0);
            break;
        case 2:
            zt_heap_remove(&h, one);
            assert_int_equal(one->pos, 0);
            break;
        default: {
            int64_t now = (int64_t)rng_below(&r, 60) - 30, next = zt_heap_next(&h);
            struct zt_timer *due = zt_heap_pop(&h, now);
            assert_true((due != NULL) == (next <= now && next != INT64_MAX));
            if (due != NULL) {
                assert_true(due->at_ms == next);
                assert_int_equal(due->pos, 0);
            }
        }
        }
        if (step % 16 == 0)
            check(&h, t, TIMERS);
    }
    zt_heap_fini(&h);
    for (size_t i = 0; i < TIMERS; i++)
        assert_int_equal(t[i].pos, 0);
    zt_heap_fini(&h); /* fine twice */
}

static void comes_out_sorted(void **state)
{
    struct zt_timer t[1000] = {0};
    struct zt_heap h;
    struct rng r = {4};
    int64_t last = INT64_MIN;

    zt_heap_init(&h);
    assert_null(zt_heap_pop(&h, INT64_MAX));
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(zt_heap_set(&h, &t[i], (int64_t)rng_u64(&r)), 0);
    for (size_t i = 0; i < 1000; i++) {
        struct zt_timer *one = zt_heap_pop(&h, INT64_MAX);
        assert_non_null(one);
        assert_true(one->at_ms >= last);
        last = one->at_ms;
    }
    assert_true(zt_heap_next(&h) == INT64_MAX);
    assert_null(zt_heap_pop(&h, INT64_MAX));
    zt_heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),
        cmocka_unit_test(comes_out_sorted),
    };
    return cmocka_run_group_tests_name("base/heap", tests, NULL, NULL);
}
