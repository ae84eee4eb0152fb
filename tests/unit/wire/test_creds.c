/* Credentials: the signed texts of vl2.md 14.5, syntax that is refused, agreement at its edges.
 * Signatures and recorded bytes: tests/vectors/com.json. */

#include "ztest.h"

#include "base/addr.h"
#include "wire/creds.h"

#define NWID 0x89e92ceee5abcd52u
#define CONTROLLER 0x89e92ceee5u
#define MEMBER 0x1122334455u
#define TIME 1700000000000

static void text_is(const struct zt_wr *w, const char *want)
{
    char hex[1024];
    assert_false(w->bad);
    assert_string_equal(zt_hex_encode(w->p, w->n, hex), want);
}

static void signed_texts(void **state)
{
    uint8_t bytes[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    struct zt_tag tag = {.nwid = NWID,
                         .timestamp = TIME,
                         .id = 1000,
                         .value = 100,
                         .issued_to = MEMBER,
                         .signed_by = CONTROLLER};
    zt_wr_tag_signed(&w, &tag);
    text_is(&w, "7f7f7f7f7f7f7f7f89e92ceee5abcd520000018bcfe56800000003e80000006411223344558"
                "9e92ceee500007f7f7f7f7f7f7f7f");

    struct zt_cap cap = {.nwid = NWID,
                         .timestamp = TIME,
                         .id = 7,
                         .nrules = 1,
                         .rules = (const uint8_t *)"\1\0",
                         .rules_size = 2,
                         .max_chain = 1};
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_cap_signed(&w, &cap);
    text_is(&w, "7f7f7f7f7f7f7f7f89e92ceee5abcd520000018bcfe5680000000007000101000100007f7f7f7f7f7"
                "f7f7f");

    struct zt_coo coo = {.nwid = NWID,
                         .timestamp = TIME,
                         .id = 1,
                         .n = 1,
                         .thing = {{ZT_THING_IPV4, {10, 147, 20, 5}}},
                         .issued_to = MEMBER,
                         .signed_by = CONTROLLER};
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_coo_signed(&w, &coo);
    text_is(&w, "7f7f7f7f7f7f7f7f89e92ceee5abcd520000018bcfe56800000000000000000000000001000102"
                "0a9314050000000000000000000000001122334455"
                "89e92ceee500007f7f7f7f7f7f7f7f");

    struct zt_revocation rev = {.id = 0xdeadbeef,
                                .nwid = NWID,
                                .threshold = TIME,
                                .flags = ZT_REVOCATION_FAST,
                                .target = MEMBER,
                                .signed_by = CONTROLLER,
                                .type = ZT_CRED_COM};
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_revocation_signed(&w, &rev);
    text_is(&w, "7f7f7f7f7f7f7f7f00000000deadbeef89e92ceee5abcd5200000000000000000000018bcfe56800"
                "0000000000000001112233445589e92ceee50100007f7f7f7f7f7f7f7f");
}

static void com_layout(void **state)
{
    uint8_t fingerprint[48] = {1, 2, 3}, bytes[ZT_COM_MAX];
    struct zt_com com, back;
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    zt_com_make(TIME, 1800000, NWID, MEMBER, fingerprint, &com);
    zt_wr_com_signed(&w, &com);
    w.n = 72;
    text_is(&w, "00000000000000000000018bcfe5680000000000001b7740"
                "000000000000000189e92ceee5abcd520000000000000000"
                "00000000000000020000001122334455ffffffffffffffff");
    com.signed_by = CONTROLLER;
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_com(&w, &com);
    assert_int_equal(w.n, 272);
    struct zt_rd r = zt_rd(bytes, w.n);
    zt_rd_com(&r, &back);
    assert_false(r.bad);
    assert_memory_equal(&com, &back, sizeof com);
}

static bool agree(const struct zt_com *mine, struct zt_com theirs, const uint8_t *fingerprint,
                  unsigned tuple, uint64_t value)
{
    theirs.t[tuple].value = value;
    return zt_com_agrees(mine, &theirs, fingerprint);
}

static void agreement(void **state)
{
    uint8_t of_me[48] = {1}, of_them[48] = {2};
    struct zt_com mine, theirs, none = {0}, fewer;

    zt_com_make(TIME, 1000, NWID, MEMBER, of_me, &mine);
    zt_com_make(TIME, 1000, NWID, CONTROLLER, of_them, &theirs);
    assert_true(zt_com_agrees(&mine, &theirs, of_them));
    assert_false(zt_com_agrees(&mine, &theirs, of_me));
    assert_true(agree(&mine, theirs, of_them, 0, TIME + 1000));
    assert_true(agree(&mine, theirs, of_them, 0, TIME - 1000));
    assert_false(agree(&mine, theirs, of_them, 0, TIME + 1001));
    assert_false(agree(&mine, theirs, of_them, 0, TIME - 1001));
    assert_false(agree(&mine, theirs, of_them, 1, NWID + 1));
    assert_false(agree(&mine, theirs, of_them, 6, 99));
    assert_false(zt_com_agrees(&mine, &none, of_them));
    assert_false(zt_com_agrees(&none, &theirs, of_them));
    fewer = theirs;
    fewer.n = 6;
    assert_false(zt_com_agrees(&mine, &fewer, of_them));
    /* One of ours without the hash asks for none. */
    fewer = mine;
    fewer.n = 3;
    assert_true(zt_com_agrees(&fewer, &theirs, of_me));
}

static void refused_syntax(void **state)
{
    uint8_t bytes[ZT_COO_MAX + 64];
    struct zt_coo coo = {.nwid = NWID, .n = ZT_COO_THINGS};
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    struct zt_rd r;

    zt_wr_coo(&w, &coo);
    assert_int_equal(w.n, ZT_COO_MAX);
    r = zt_rd(bytes, w.n);
    zt_rd_coo(&r, &coo);
    assert_false(r.bad);
    zt_put16(bytes + 28, ZT_COO_THINGS + 1);
    r = zt_rd(bytes, sizeof bytes);
    zt_rd_coo(&r, &coo);
    assert_true(r.bad);

    /* A capability with a chain of eight, or with none allowed. */
    struct zt_cap cap = {.nwid = NWID, .max_chain = ZT_CAP_CHAIN, .nlinks = ZT_CAP_CHAIN};
    static uint8_t big[2048];
    for (unsigned i = 0; i < ZT_CAP_CHAIN; i++)
        cap.chain[i].to = cap.chain[i].from = i + 1;
    w = zt_wr(big, sizeof big);
    zt_wr_cap(&w, &cap);
    r = zt_rd(big, w.n);
    zt_rd_cap(&r, &cap);
    assert_false(r.bad);
    assert_int_equal(zt_cap_issued_to(&cap), ZT_CAP_CHAIN);
    big[22] = 0;
    r = zt_rd(big, w.n);
    zt_rd_cap(&r, &cap);
    assert_true(r.bad);
    big[22] = ZT_CAP_CHAIN;
    memmove(big + w.n - 7 + 109, big + w.n - 7, 7);
    memcpy(big + w.n - 7, big + 23, 109);
    r = zt_rd(big, w.n + 109);
    zt_rd_cap(&r, &cap);
    assert_true(r.bad);
}

/* Unknown kinds of signature and extensions are passed over; the object just does not verify. */
static void future(void **state)
{
    uint8_t bytes[64];
    struct zt_tag tag;
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    zt_wr_u64(&w, NWID);
    zt_wr_u64(&w, TIME);
    zt_wr_u64(&w, 5);
    zt_wr_u40(&w, MEMBER);
    zt_wr_u40(&w, CONTROLLER);
    zt_wr_u8(&w, 2);
    zt_wr_u16(&w, 3);
    zt_wr_bytes(&w, "abc", 3);
    zt_wr_u16(&w, 2);
    zt_wr_bytes(&w, "xy", 2);
    struct zt_rd r = zt_rd(bytes, w.n);
    zt_rd_tag(&r, &tag);
    assert_false(r.bad);
    assert_int_equal(r.pos, w.n);
    assert_false(tag.has_sig);
    assert_int_equal(tag.value, 5);
    for (size_t n = 0; n < w.n; n++) {
        uint8_t *p = exact_copy(bytes, n);
        r = zt_rd(p, n);
        zt_rd_tag(&r, &tag);
        assert_true(r.bad);
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_texts),   cmocka_unit_test(com_layout), cmocka_unit_test(agreement),
        cmocka_unit_test(refused_syntax), cmocka_unit_test(future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
