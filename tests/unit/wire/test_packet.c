#include "ztest.h"

#include "base/addr.h"
#include "base/err.h"
#include "rng.h"
#include "wire/packet.h"

static void header(void **state)
{
    uint8_t p[ZT_PKT_MIN];
    memset(p, 0xee, sizeof p);
    zt_pkt_init(p, 0x0102030405060708ULL, 0x7041523d0fULL, 0x8e4df28b72ULL, ZT_VERB_ECHO);
    assert_true(zt_pkt_id(p) == 0x0102030405060708ULL);
    assert_true(zt_pkt_dest(p) == 0x7041523d0fULL);
    assert_true(zt_pkt_src(p) == 0x8e4df28b72ULL);
    assert_int_equal(zt_pkt_suite(p), 0);
    assert_int_equal(zt_pkt_hops(p), 0);
    assert_int_equal(p[ZT_PKT_VERB], ZT_VERB_ECHO);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(p[ZT_PKT_MAC + i], 0);
    p[ZT_PKT_FLAGS] = 0x80 | 0x40 | 5 << 3 | 6;
    assert_int_equal(zt_pkt_suite(p), 5);
    assert_int_equal(zt_pkt_hops(p), 6);
}

/* Why a plan is wrong, or NULL. */
static const char *plan_error(size_t n, size_t mtu)
{
    size_t piece, first_fit = 0;
    unsigned total = zt_frag_plan(n, mtu, &piece);

    /* the fewest pieces that can carry n bytes */
    for (unsigned k = 1; k <= ZT_FRAGS_MAX && first_fit == 0; k++)
        if (mtu + (k - 1) * (mtu - ZT_FRAG_DATA) >= n)
            first_fit = k;
    if (total != first_fit)
        return "not the fewest pieces";
    if (total == 0)
        return NULL;
    if (piece > mtu)
        return "piece larger than the MTU";
    if (total == 1)
        return piece == n ? NULL : "one piece is not the packet";
    size_t before_last = piece + (total - 2) * (piece - ZT_FRAG_DATA);
    if (before_last >= n)
        return "last piece empty";
    size_t last = n - before_last + ZT_FRAG_DATA;
    if (last > piece)
        return "last piece longer than the others";
    if (last + total <= piece)
        return "last piece much shorter than the others";
    return NULL;
}

static void plans(void **state)
{
    for (size_t mtu = ZT_MTU_MIN; mtu <= ZT_MTU_MAX; mtu++)
        for (size_t n = ZT_PKT_MIN; n <= ZT_PKT_MAX; n++) {
            const char *error = plan_error(n, mtu);
            if (error != NULL)
                fail_msg("%zu bytes at MTU %zu: %s", n, mtu, error);
        }
    size_t piece;
    assert_int_equal(zt_frag_plan(2838, ZT_MTU_DEFAULT, &piece), 2);
    assert_int_equal(piece, 1427);
    assert_int_equal(zt_frag_plan(ZT_PKT_MAX_SENT, ZT_MTU_DEFAULT, &piece), 7);
    assert_int_equal(piece, ZT_MTU_DEFAULT);
    assert_int_equal(zt_frag_plan(ZT_PKT_MAX_SENT + 1, ZT_MTU_DEFAULT, &piece), 0);
}

/* Cut and put together as a receiver does, by the headers alone. */
static void cut_and_join(void **state)
{
    static const size_t sizes[] = {28, 1432, 1433, 2800, 2838, 5000, 9928};
    uint8_t p[ZT_PKT_MAX], joined[ZT_PKT_MAX], header[ZT_FRAG_DATA];
    struct rng r = {9};

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s], piece, at;
        rng_bytes(&r, p, n);
        unsigned total = zt_frag_plan(n, ZT_MTU_DEFAULT, &piece);
        memcpy(joined, p, piece);
        at = piece;
        for (unsigned no = 1; no < total; no++) {
            size_t len = n - at < piece - ZT_FRAG_DATA ? n - at : piece - ZT_FRAG_DATA;
            zt_frag_header(p, total, no, header);
            assert_memory_equal(header, p, 13);
            assert_int_equal(header[ZT_FRAG_INDICATOR_AT], ZT_FRAG_INDICATOR);
            assert_int_equal(header[ZT_FRAG_TOTAL_NO] >> 4, total);
            assert_int_equal(header[ZT_FRAG_TOTAL_NO] & 15, no);
            assert_int_equal(header[ZT_FRAG_HOPS], p[ZT_PKT_FLAGS] & 7);
            memcpy(joined + at, p + at, len);
            at += len;
        }
        assert_int_equal(at, n);
        assert_memory_equal(joined, p, n);
    }
}

/* ---- compression ---- */

/* Payload with some redundancy: runs and repeats between random bytes. */
static void fill(struct rng *r, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t run = 1 + rng_below(r, 60), back = i > 0 ? 1 + rng_below(r, i) : 0;
        uint64_t kind = rng_below(r, 3);
        for (size_t k = 0; k < run && i < n; k++, i++)
            p[i] = kind == 0 && back > 0 ? p[i - back] : kind == 1 ? 7 : (uint8_t)rng_u64(r);
    }
}

static void compression(void **state)
{
    uint8_t p[ZT_PKT_MAX], q[ZT_PKT_MAX], scratch[ZT_PKT_MAX], out[ZT_PKT_MAX];
    struct rng r = {10};
    unsigned shrunk = 0;

    for (unsigned round = 0; round < 500; round++) {
        size_t n = round < 3 ? (size_t[]){28, 92, ZT_PKT_MAX}[round]
                             : ZT_PKT_MIN + rng_below(&r, ZT_PAYLOAD_MAX + 1);
        fill(&r, p, n);
        p[ZT_PKT_VERB] = ZT_VERB_ECHO;
        memcpy(q, p, n);
        size_t m = zt_pkt_compress(q, n, scratch);
        assert_true(m <= n);
        if (m == n) { /* kept only if strictly shorter; unmarked then */
            assert_memory_equal(p, q, n);
            continue;
        }
        shrunk++;
        assert_true(n > 92);
        assert_int_equal(q[ZT_PKT_VERB], ZT_VERB_ECHO | ZT_VERB_COMPRESSED);
        uint8_t *exact = exact_copy(q, m);
        assert_int_equal(zt_pkt_decompress(exact, m, out), n);
        assert_memory_equal(out, p, n);
        free(exact);
    }
    assert_true(shrunk > 300);
}

static void damaged_blocks(void **state)
{
    uint8_t p[2000], scratch[ZT_PKT_MAX], *out = malloc(ZT_PKT_MAX);
    struct rng r = {11};
    size_t n = sizeof p;

    assert_non_null(out); /* on the heap, where a sanitizer watches the end */
    fill(&r, p, n);
    n = zt_pkt_compress(p, n, scratch);
    assert_true(n < sizeof p);
    for (size_t len = 0; len < n; len++) {
        uint8_t *exact = exact_copy(p, len);
        int e = zt_pkt_decompress(exact, len, out);
        /* a cut may fall behind a sequence's literals: then it is a shorter, whole block */
        assert_true(e == ZT_E_FORMAT || (e >= ZT_PKT_MIN && e < (int)sizeof p));
        if (len < ZT_PKT_MIN)
            assert_int_equal(e, ZT_E_FORMAT);
        free(exact);
    }
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t *exact = exact_copy(p, n);
        for (size_t k = rng_below(&r, 4) + 1; k > 0; k--)
            exact[ZT_PKT_PAYLOAD + rng_below(&r, n - ZT_PKT_PAYLOAD)] = (uint8_t)rng_u64(&r);
        int e = zt_pkt_decompress(exact, n, out);
        assert_true(e == ZT_E_FORMAT || (e >= ZT_PKT_MIN && e <= ZT_PKT_MAX));
        free(exact);
    }
    free(out);
}

static int decompress(const char *block, size_t n, uint8_t *out)
{
    uint8_t p[600] = {0};
    p[ZT_PKT_VERB] = ZT_VERB_ECHO | ZT_VERB_COMPRESSED;
    memcpy(p + ZT_PKT_PAYLOAD, block, n);
    return zt_pkt_decompress(p, ZT_PKT_PAYLOAD + n, out);
}

static void chosen_blocks(void **state)
{
    uint8_t out[ZT_PKT_MAX];

    assert_int_equal(decompress("", 0, out), ZT_PKT_MIN); /* empty is fine */
    assert_int_equal(out[ZT_PKT_VERB], ZT_VERB_ECHO);
    assert_int_equal(decompress("\x30"
                                "abc",
                                4, out),
                     ZT_PKT_MIN + 3);
    assert_memory_equal(out + ZT_PKT_PAYLOAD, "abc", 3);
    assert_int_equal(decompress("\x00", 1, out), ZT_E_FORMAT); /* unpacks to nothing */
    /* a, then 19 + 80 more from offset 1, then 5 literals: the example of vl1.md 9.8 */
    assert_int_equal(decompress("\x1f\x61\x01\x00\x4b\x50\x61\x61\x61\x61\x61", 11, out),
                     ZT_PKT_MIN + 100);
    assert_int_equal(decompress("\x1f\x61\x00\x00\x4b\x50\x61\x61\x61\x61\x61", 11, out),
                     ZT_E_FORMAT); /* the same with offset zero */
    assert_int_equal(decompress("\x1f\x61\x02\x00\x4b\x50\x61\x61\x61\x61\x61", 11, out),
                     ZT_E_FORMAT); /* from before the start */
    /* offset zero in a later sequence, behind long literals */
    char block[300];
    memset(block, 'x', sizeof block);
    memcpy(block, "\x1f\x61\x01\x00\x00", 5);
    memcpy(block + 5, "\xf0\x05", 2); /* 20 literals, match of 4 */
    memcpy(block + 27, "\x00\x00\x50xxxxx", 8);
    assert_int_equal(decompress(block, 35, out), ZT_E_FORMAT);
    memcpy(block + 27, "\x01\x00\x50xxxxx", 8);
    assert_int_equal(decompress(block, 35, out), ZT_PKT_MIN + 1 + 19 + 20 + 4 + 5);

    /* bombs: 255 for ever, and just above the limit */
    memset(block, 0xff, sizeof block);
    memcpy(block, "\x1f\x61\x01\x00", 4);
    memcpy(block + 290, "\x00\x50xxxxx", 7);
    assert_int_equal(decompress(block, 297, out), ZT_E_FORMAT);
    for (int over = 0; over < 2; over++) {
        /* 1 + (19 + 39 * 255 + x) + 5 = 9996 + over */
        memset(block, 0xff, 43);
        memcpy(block, "\x1f\x61\x01\x00", 4);
        block[43] = (char)(ZT_PAYLOAD_MAX + over - 25 - 39 * 255);
        memcpy(block + 44, "\x50xxxxx", 6);
        assert_int_equal(decompress(block, 50, out), over ? ZT_E_FORMAT : ZT_PKT_MAX);
    }
}

/* ---- endpoints ---- */

static void endpoints(void **state)
{
    uint8_t p[32], ip[16];
    struct rng r = {12};
    struct zt_ep back, none = {0};

    for (int family = 0; family <= 6; family += family ? 2 : 4) {
        rng_bytes(&r, ip, sizeof ip);
        struct zt_ep ep = family ? zt_ep_make((uint8_t)family, ip, 9993) : none;
        struct zt_wr w = zt_wr(p, sizeof p);
        zt_wr_ep(&w, &ep);
        size_t n = w.n;
        assert_int_equal(n, family == 4 ? 7 : family == 6 ? 19 : 1);
        for (size_t len = 0; len <= n; len++) {
            uint8_t *exact = exact_copy(p, len);
            struct zt_rd rd = zt_rd(exact, len);
            zt_rd_ep(&rd, &back);
            assert_true(rd.bad == (len < n));
            assert_true(zt_ep_equal(&back, rd.bad ? &none : &ep));
            free(exact);
        }
    }
    for (unsigned type = 0; type < 256; type++) {
        struct zt_rd rd = zt_rd(p, sizeof p);
        p[0] = (uint8_t)type;
        zt_put16(p + 1, 20);
        zt_rd_ep(&rd, &back);
        assert_true(rd.bad == (type == 5 || type > 6));
        static const size_t used[] = {1, 7, 7, 23, 7, 0, 19};
        if (!rd.bad)
            assert_int_equal(rd.pos, used[type]);
        assert_int_equal(back.family, type == 4 || type == 6 ? type : 0);
    }
    p[0] = 3;
    zt_put16(p + 1, sizeof p - 2); /* one more than there is */
    struct zt_rd rd = zt_rd(p, sizeof p);
    zt_rd_ep(&rd, &back);
    assert_true(rd.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header),         cmocka_unit_test(plans),
        cmocka_unit_test(cut_and_join),   cmocka_unit_test(compression),
        cmocka_unit_test(damaged_blocks), cmocka_unit_test(chosen_blocks),
        cmocka_unit_test(endpoints),
    };
    return cmocka_run_group_tests_name("wire/packet", tests, NULL, NULL);
}
