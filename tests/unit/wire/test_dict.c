/* Dictionaries: round trip, escaping, numbers, bounds. The reference's answers are in
 * tests/vectors/dictionary.json. */

#include "ztest.h"

#include <stdio.h>

#include "base/err.h"
#include "wire/dict.h"

static void escaping(void **state)
{
    static const uint8_t raw[] = {0x00, 0x01, 0x0a, 0x0d, 0x3d, 0x5c, 0x41};
    static const char want[] = "k=\\0\x01\\n\\r\\e\\\\A";
    uint8_t bytes[64], back[64];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    assert_int_equal(zt_dict_add(&w, "k", raw, sizeof raw), 0);
    assert_int_equal(w.n, sizeof want - 1);
    assert_memory_equal(bytes, want, w.n);
    assert_int_equal(zt_dict_get(bytes, w.n, "k", back, sizeof back), sizeof raw);
    assert_memory_equal(back, raw, sizeof raw);
    assert_int_equal(back[sizeof raw], 0);
}

static void all_bytes(void **state)
{
    uint8_t raw[256], bytes[600], back[257];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    for (unsigned i = 0; i < 256; i++)
        raw[i] = (uint8_t)i;
    assert_int_equal(zt_dict_add_u64(&w, "first", 1), 0);
    assert_int_equal(zt_dict_add(&w, "all", raw, 256), 0);
    assert_int_equal(zt_dict_add_u64(&w, "last", 0xabcdef), 0);
    assert_int_equal(zt_dict_get(bytes, w.n, "all", back, sizeof back), 256);
    assert_memory_equal(back, raw, 256);
    assert_true(zt_dict_u64(bytes, w.n, "last", 0) == 0xabcdef);
    /* A short buffer cuts, and always ends in zero. */
    for (size_t cap = 1; cap < sizeof back; cap++) {
        memset(back, 0xee, sizeof back);
        assert_int_equal(zt_dict_get(bytes, w.n, "all", back, cap), cap - 1);
        assert_int_equal(back[cap - 1], 0);
        if (cap < sizeof back)
            assert_int_equal(back[cap], 0xee);
    }
    /* A cut text: what is there is found, nothing behind it is read. */
    for (size_t n = 0; n < w.n; n++) {
        uint8_t *p = exact_copy(bytes, n);
        int len = zt_dict_get(p, n, "all", back, sizeof back);
        assert_true(len <= 256 && (n < 27 || len >= 0));
        zt_dict_u64(p, n, "last", 0);
        free(p);
    }
}

static uint64_t u64_of(const char *value)
{
    char text[400];
    snprintf(text, sizeof text, "k=%s", value);
    return zt_dict_u64((const uint8_t *)text, strlen(text), "k", 77);
}

static int64_t i64_of(const char *value)
{
    char text[400];
    snprintf(text, sizeof text, "k=%s", value);
    return zt_dict_i64((const uint8_t *)text, strlen(text), "k", 77);
}

static void numbers(void **state)
{
    assert_true(u64_of("") == 77);
    assert_true(u64_of("xyz") == 0);
    assert_true(u64_of(" \t+0xFf,1") == 0xff);
    assert_true(u64_of("ffffffffffffffff") == UINT64_MAX);
    assert_true(u64_of("10000000000000000") == UINT64_MAX);
    assert_true(u64_of("000000000000000000000001") == 1);
    assert_true(u64_of("-1") == UINT64_MAX);
    assert_true(u64_of("-10000000000000000") == UINT64_MAX);
    assert_true(i64_of("-5") == -5);
    assert_true(i64_of("8000000000000000") == INT64_MAX);
    assert_true(i64_of("-8000000000000000") == INT64_MIN);
    assert_true(i64_of("-ffffffffffffffffff") == INT64_MIN);
    assert_true(i64_of("") == 77);
}

static void full(void **state)
{
    uint8_t bytes[20];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    assert_int_equal(zt_dict_add_text(&w, "a", "12345"), 0);
    assert_int_equal(zt_dict_add_u64(&w, "b", 1), ZT_E_SPACE);
    assert_int_equal(w.n, 7);
    assert_int_equal(zt_dict_add_bool(&w, "c", true), 0);
    assert_int_equal(zt_dict_add_addr(&w, "d", 1), ZT_E_SPACE);
    assert_memory_equal(bytes, "a=12345\nc=1", 11);
    assert_int_equal(w.n, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escaping),
        cmocka_unit_test(all_bytes),
        cmocka_unit_test(numbers),
        cmocka_unit_test(full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
