#include "ztest.h"

#include "vl1/limit.h"

static void a_new_bucket_allows_its_burst(void **state)
{
    struct zt_bucket b = {0};
    for (int i = 0; i < 16; i++)
        assert_true(zt_bucket_take(&b, 1000, 16, 100));
    assert_false(zt_bucket_take(&b, 1000, 16, 100));
}

static void it_refills_one_by_one(void **state)
{
    struct zt_bucket b = {0};
    for (int i = 0; i < 4; i++)
        zt_bucket_take(&b, 1000, 4, 100);
    assert_false(zt_bucket_take(&b, 1099, 4, 100));
    assert_true(zt_bucket_take(&b, 1100, 4, 100));
    assert_false(zt_bucket_take(&b, 1199, 4, 100));
    assert_true(zt_bucket_take(&b, 1250, 4, 100));
    assert_true(zt_bucket_take(&b, 1300, 4, 100)); /* the half step before was not lost */
    assert_false(zt_bucket_take(&b, 1300, 4, 100));
}

static void it_never_holds_more_than_its_burst(void **state)
{
    struct zt_bucket b = {0};
    zt_bucket_take(&b, 0, 3, 10);
    int n = 0;
    while (zt_bucket_take(&b, 1000000, 3, 10))
        n++;
    assert_int_equal(n, 3);
}

static void refused_attempts_do_not_put_the_refill_off(void **state)
{
    struct zt_bucket b = {0};
    int n = 0;
    for (int64_t t = 0; t < 1000; t++)
        n += zt_bucket_take(&b, t, 1, 100);
    assert_int_equal(n, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_bucket_allows_its_burst),
        cmocka_unit_test(it_refills_one_by_one),
        cmocka_unit_test(it_never_holds_more_than_its_burst),
        cmocka_unit_test(refused_attempts_do_not_put_the_refill_off),
    };
    return cmocka_run_group_tests_name("vl1/limit", tests, NULL, NULL);
}
