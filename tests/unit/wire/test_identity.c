#include "ztest.h"

#include "base/err.h"
#include "rng.h"
#include "wire/identity.h"

static struct zt_identity some(void)
{
    struct zt_identity id = {.addr = 0x8e4df28b72ULL, .has_priv = true};
    struct rng r = {7};
    rng_bytes(&r, id.pub, sizeof id.pub);
    rng_bytes(&r, id.priv, sizeof id.priv);
    return id;
}

static void text_round_trip(void **state)
{
    struct zt_identity id = some(), back;
    char text[ZT_IDENTITY_STR];

    zt_identity_format(&id, true, text);
    assert_int_equal(strlen(text), 270);
    assert_int_equal(zt_identity_parse(text, 270, &back), 0);
    assert_memory_equal(&id, &back, sizeof id);

    zt_identity_format(&id, false, text);
    assert_int_equal(strlen(text), 141);
    assert_int_equal(zt_identity_parse(text, 141, &back), 0);
    assert_true(zt_identity_equal(&id, &back));
    assert_false(back.has_priv);
    back.pub[63] ^= 1;
    assert_false(zt_identity_equal(&id, &back));
    back.pub[63] ^= 1;
    back.addr++;
    assert_false(zt_identity_equal(&id, &back));

    struct zt_identity public = id;
    public.has_priv = false; /* nothing secret to write */
    assert_int_equal(strlen(zt_identity_format(&public, true, text)), 141);
}

static int parse_exact(const char *text, size_t n, struct zt_identity *out)
{
    char *copy = (char *)exact_copy(text, n); /* no end of string behind it */
    int e = zt_identity_parse(copy, n, out);
    free(copy);
    return e;
}

static void text_at_every_length(void **state)
{
    struct zt_identity id = some(), back, zero = {0};
    char text[ZT_IDENTITY_STR];
    zt_identity_format(&id, true, text);
    for (size_t n = 0; n < 270; n++) {
        int e = parse_exact(text, n, &back);
        if (n == 141) {
            assert_int_equal(e, 0);
            assert_false(back.has_priv);
        } else {
            assert_int_equal(e, ZT_E_FORMAT);
            assert_memory_equal(&back, &zero, sizeof zero);
        }
    }
}

static void text_variants(void **state)
{
    struct zt_identity id = some(), back;
    char text[400], upper[ZT_IDENTITY_STR];

    zt_identity_format(&id, true, text);
    for (size_t i = 0; i <= 270; i++)
        upper[i] = (char)(text[i] >= 'a' && text[i] <= 'f' ? text[i] - 32 : text[i]);
    assert_int_equal(zt_identity_parse(upper, 270, &back), 0);
    assert_memory_equal(&id, &back, sizeof id);

    strcpy(text + 270, "\r\n");
    assert_int_equal(zt_identity_parse(text, 272, &back), 0);
    strcpy(text + 270, "0123");
    assert_int_equal(zt_identity_parse(text, 274, &back), 0);
    strcpy(text + 270, ":x");
    assert_int_equal(zt_identity_parse(text, 272, &back), ZT_E_FORMAT);
    text[141] = '\n';
    text[142] = 0;
    assert_int_equal(zt_identity_parse(text, 142, &back), 0);

    zt_identity_format(&id, true, text);
    for (size_t i = 0; i < 270; i++) { /* a character that belongs nowhere */
        char c = text[i];
        text[i] = 'g';
        int e = zt_identity_parse(text, 270, &back);
        /* in place of the last ':' it merely ends the public form */
        assert_int_equal(e, i == 141 ? 0 : ZT_E_FORMAT);
        assert_false(e == 0 && back.has_priv);
        text[i] = c;
    }
    memcpy(text, "0000000000", 10);
    assert_int_equal(zt_identity_parse(text, 270, &back), ZT_E_FORMAT);
    memcpy(text, "ff00000001", 10);
    assert_int_equal(zt_identity_parse(text, 270, &back), ZT_E_FORMAT);
    memcpy(text, "fe00000001", 10);
    assert_int_equal(zt_identity_parse(text, 270, &back), 0);
    text[11] = '1';
    assert_int_equal(zt_identity_parse(text, 270, &back), ZT_E_FORMAT);
}

static void binary(void **state)
{
    struct zt_identity id = some(), back, zero = {0};
    uint8_t p[ZT_IDENTITY_WIRE + ZT_PRIV];

    for (int secret = 0; secret < 2; secret++) {
        struct zt_wr w = zt_wr(p, sizeof p);
        zt_wr_identity(&w, &id, secret);
        assert_false(w.bad);
        size_t n = w.n;
        assert_int_equal(n, secret ? sizeof p : ZT_IDENTITY_WIRE);
        for (size_t len = 0; len <= n; len++) {
            uint8_t *copy = exact_copy(p, len);
            struct zt_rd r = zt_rd(copy, len);
            zt_rd_identity(&r, &back);
            assert_true(r.bad == (len < n));
            if (r.bad) {
                assert_memory_equal(&back, &zero, sizeof zero);
            } else {
                assert_true(zt_identity_equal(&id, &back));
                assert_int_equal(back.has_priv, secret);
                assert_int_equal(r.pos, n);
            }
            free(copy);
            w = zt_wr(p, len); /* and no room */
            zt_wr_identity(&w, &id, secret);
            assert_true(w.bad == (len < n));
        }
    }
    for (unsigned b = 0; b < 256; b++) { /* type, and length of the private part */
        struct zt_rd r = zt_rd(p, sizeof p);
        p[5] = (uint8_t)b;
        zt_rd_identity(&r, &back);
        assert_true(r.bad == (b != 0));
        p[5] = 0;
        r = zt_rd(p, sizeof p);
        p[70] = (uint8_t)b;
        zt_rd_identity(&r, &back);
        assert_true(r.bad == (b != 0 && b != 64));
        assert_int_equal(back.has_priv, b == 64);
        p[70] = 64;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_round_trip),
        cmocka_unit_test(text_at_every_length),
        cmocka_unit_test(text_variants),
        cmocka_unit_test(binary),
    };
    return cmocka_run_group_tests_name("wire/identity", tests, NULL, NULL);
}
