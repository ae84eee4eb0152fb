/* The tables of err.h and drop.h. */
#include "ztest.h"

#include "base/drop.h"
#include "base/err.h"

static void errors(void **state)
{
    assert_string_equal(zt_err_name(0), "ZT_OK");
    assert_string_equal(zt_err_name(ZT_E_NOMEM), "ZT_E_NOMEM");
    assert_string_equal(zt_err_text(ZT_E_TRUNCATED), "data end too early");
    assert_string_equal(zt_err_name(1), "ZT_E_?");
    assert_string_equal(zt_err_text(ZT_E_END_), "unknown error");
    assert_string_equal(zt_err_text(ZT_E_FIRST_), "unknown error");
    assert_true(ZT_E_END_ < 0); /* all negative */
    for (int a = ZT_E_FIRST_ + 1; a < ZT_E_END_; a++)
        for (int b = ZT_E_FIRST_ + 1; b < a; b++)
            assert_string_not_equal(zt_err_name(a), zt_err_name(b));
}

static void drops(void **state)
{
    struct zt_drops s = {{0}};
    assert_string_equal(zt_drop_name(ZT_DROP_MAC), "MAC");
    assert_string_equal(zt_drop_text(ZT_DROP_MAC), "authentication failed");
    assert_string_equal(zt_drop_name(ZT_DROP_NOT_CONTROLLER), "NOT_CONTROLLER");
    assert_string_equal(zt_drop_name(ZT_DROP_COUNT), "?");
    assert_string_equal(zt_drop_text((enum zt_drop) - 1), "?");
    for (unsigned a = 0; a < ZT_DROP_COUNT; a++) {
        assert_true(zt_drop_text((enum zt_drop)a)[0] != 0);
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(zt_drop_name((enum zt_drop)a), zt_drop_name((enum zt_drop)b));
    }
    zt_drop_count(&s, ZT_DROP_RATE);
    zt_drop_count(&s, ZT_DROP_RATE);
    assert_int_equal(s.n[ZT_DROP_RATE], 2);
    assert_int_equal(s.n[ZT_DROP_PATH], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(errors), cmocka_unit_test(drops)};
    return cmocka_run_group_tests_name("base/names", tests, NULL, NULL);
}
