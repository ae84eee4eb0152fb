#include "ztest.h"

#include "base/buf.h"

static void fill(struct zt_wr *w)
{
    zt_wr_u8(w, 0x01);
    zt_wr_u16(w, 0x0203);
    zt_wr_u32(w, 0x04050607);
    zt_wr_u40(w, 0x08090a0b0cULL);
    zt_wr_u48(w, 0x0d0e0f101112ULL);
    zt_wr_u64(w, 0x131415161718191aULL);
    zt_wr_bytes(w, "\x1b\x1c", 2);
    zt_wr_bytes(w, NULL, 0);
}
#define FILLED 28

static void big_endian(void **state)
{
    uint8_t p[FILLED], copy[2];
    struct zt_wr w = zt_wr(p, sizeof p);
    fill(&w);
    assert_false(w.bad);
    assert_int_equal(w.n, FILLED);
    for (unsigned i = 0; i < FILLED; i++)
        assert_int_equal(p[i], i + 1);

    struct zt_rd r = zt_rd(p, sizeof p);
    assert_int_equal(zt_rd_u8(&r), 0x01);
    assert_int_equal(zt_rd_u16(&r), 0x0203);
    assert_int_equal(zt_rd_u32(&r), 0x04050607);
    assert_true(zt_rd_u40(&r) == 0x08090a0b0cULL);
    assert_true(zt_rd_u48(&r) == 0x0d0e0f101112ULL);
    assert_true(zt_rd_u64(&r) == 0x131415161718191aULL);
    assert_int_equal(zt_rd_left(&r), 2);
    assert_true(zt_rd_bytes(&r, copy, 2));
    assert_memory_equal(copy, "\x1b\x1c", 2);
    assert_int_equal(zt_rd_left(&r), 0);
    assert_false(r.bad);
}

/* Too little room at any place: nothing past the end, and bad for good. */
static void writer_is_bounded(void **state)
{
    for (size_t cap = 0; cap < FILLED; cap++) {
        uint8_t p[FILLED + 1];
        memset(p, 0xee, sizeof p);
        struct zt_wr w = zt_wr(p, cap);
        fill(&w);
        assert_true(w.bad);
        assert_true(w.n <= cap);
        for (size_t i = w.n; i < sizeof p; i++)
            assert_int_equal(p[i], 0xee);
        size_t n = w.n;
        zt_wr_u8(&w, 1); /* would fit again */
        assert_null(zt_wr_room(&w, 0));
        assert_int_equal(w.n, n);
    }
}

static void reader_failure_sticks(void **state)
{
    static const uint8_t bytes[FILLED] = {1, 2, 3};
    for (size_t n = 0; n < FILLED; n++) {
        uint8_t *p = exact_copy(bytes, n), out[2] = {9, 9};
        struct zt_rd r = zt_rd(p, n);
        zt_rd_u8(&r);
        zt_rd_u16(&r);
        zt_rd_u32(&r);
        zt_rd_u40(&r);
        zt_rd_u48(&r);
        zt_rd_u64(&r);
        assert_false(zt_rd_bytes(&r, out, 2));
        assert_int_equal(out[0] | out[1], 0);
        assert_true(r.bad);
        assert_true(r.pos <= n);
        assert_int_equal(zt_rd_left(&r), 0);
        assert_int_equal(zt_rd_u8(&r), 0);
        assert_null(zt_rd_view(&r, 0));
        free(p);
    }
}

static void huge_lengths(void **state)
{
    uint8_t p[4] = {0};
    struct zt_rd r = zt_rd(p, sizeof p);
    zt_rd_u8(&r);
    zt_rd_skip(&r, SIZE_MAX);
    assert_true(r.bad);
    r = zt_rd(p, sizeof p);
    zt_rd_u8(&r);
    assert_null(zt_rd_view(&r, SIZE_MAX - 1));
    struct zt_wr w = zt_wr(p, sizeof p);
    zt_wr_u8(&w, 1);
    assert_null(zt_wr_room(&w, SIZE_MAX));
    assert_true(w.bad);
    w = zt_wr(NULL, 10);
    zt_wr_u8(&w, 1);
    assert_true(w.bad);
    r = zt_rd(NULL, 0);
    assert_int_equal(zt_rd_left(&r), 0);
    assert_false(r.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(big_endian),
        cmocka_unit_test(writer_is_bounded),
        cmocka_unit_test(reader_failure_sticks),
        cmocka_unit_test(huge_lengths),
    };
    return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
