#include "ztest.h"

#include "rng.h"
#include "wire/packet.h"
#include "wire/world.h"

/* The largest there can be, or a small one. */
static struct zt_world make(enum zt_world_type type, unsigned roots, unsigned eps)
{
    struct zt_world w = {.type = type, .id = 0x1234567890ULL, .timestamp_ms = 1700000000000ULL};
    struct rng r = {8};
    rng_bytes(&r, w.update_key, sizeof w.update_key);
    rng_bytes(&r, w.signature, sizeof w.signature);
    w.nroots = roots;
    for (unsigned i = 0; i < roots; i++) {
        w.roots[i].id.addr = 0x7000000000ULL + i;
        rng_bytes(&r, w.roots[i].id.pub, ZT_PUB);
        w.roots[i].neps = eps;
        for (unsigned k = 0; k < eps; k++) {
            uint8_t ip[16];
            rng_bytes(&r, ip, sizeof ip);
            if (k % 5 != 4) /* null ones are allowed */
                w.roots[i].eps[k] = zt_ep_make(k % 2 ? 4 : 6, ip, (uint16_t)rng_u64(&r));
        }
    }
    return w;
}

static size_t write(const struct zt_world *w, uint8_t out[ZT_WORLD_WIRE_MAX])
{
    struct zt_wr wr = zt_wr(out, ZT_WORLD_WIRE_MAX);
    zt_wr_world(&wr, w);
    assert_false(wr.bad);
    return wr.n;
}

static void every_length(void **state)
{
    static const struct {
        enum zt_world_type type;
        unsigned roots, eps;
    } shapes[] = {
        {ZT_WORLD_PLANET, 0, 0}, {ZT_WORLD_PLANET, 1, 0}, {ZT_WORLD_PLANET, 4, 32},
        {ZT_WORLD_MOON, 2, 3},   {ZT_WORLD_NULL, 1, 1},
    };
    uint8_t p[ZT_WORLD_WIRE_MAX], again[ZT_WORLD_WIRE_MAX];
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct zt_world w = make(shapes[s].type, shapes[s].roots, shapes[s].eps), back;
        size_t n = write(&w, p);
        for (size_t len = 0; len <= n; len++) {
            uint8_t *copy = exact_copy(p, len);
            struct zt_rd r = zt_rd(copy, len);
            zt_rd_world(&r, &back);
            assert_true(r.bad == (len < n));
            free(copy);
            struct zt_wr wr = zt_wr(again, len);
            zt_wr_world(&wr, &w);
            assert_true(wr.bad == (len < n));
        }
        assert_memory_equal(&w, &back, sizeof w);
        assert_int_equal(write(&back, again), n);
        assert_memory_equal(p, again, n);
    }
}

static void limits(void **state)
{
    struct zt_world w = make(ZT_WORLD_PLANET, 4, 32), back;
    uint8_t p[ZT_WORLD_WIRE_MAX] = {0};
    write(&w, p);
    for (unsigned b = 0; b < 256; b++) { /* bytes enough for whatever is announced */
        struct zt_rd r = zt_rd(p, sizeof p);
        p[0] = (uint8_t)b;
        zt_rd_world(&r, &back);
        assert_true(r.bad == (b != 0 && b != 1 && b != 127));
        p[0] = 1;
        uint8_t roots = p[177], eps = p[249];
        r = zt_rd(p, sizeof p);
        p[177] = (uint8_t)b;
        zt_rd_world(&r, &back);
        assert_true(b <= 4 || r.bad);
        assert_true(back.nroots <= ZT_WORLD_ROOTS);
        p[177] = 1;
        r = zt_rd(p, sizeof p);
        p[249] = (uint8_t)b;
        zt_rd_world(&r, &back);
        assert_true(r.bad == (b > 32));
        assert_true(back.roots[0].neps <= ZT_WORLD_ENDPOINTS);
        p[177] = roots;
        p[249] = eps;
    }
}

static void moon_dictionary(void **state)
{
    struct zt_world w = make(ZT_WORLD_MOON, 1, 1), back;
    uint8_t p[ZT_WORLD_WIRE_MAX];
    size_t n = write(&w, p);
    assert_int_equal(p[n - 2] | p[n - 1], 0);
    zt_put16(p + n - 2, 3);
    memcpy(p + n, "a=b!", 4);
    for (size_t extra = 0; extra <= 4; extra++) {
        struct zt_rd r = zt_rd(p, n + extra);
        zt_rd_world(&r, &back);
        assert_true(r.bad == (extra < 3));
        if (!r.bad)
            assert_int_equal(r.pos, n + 3);
    }
}

static void private_keys_are_not_kept(void **state)
{
    struct zt_world w = make(ZT_WORLD_PLANET, 1, 0), back;
    uint8_t p[ZT_WORLD_WIRE_MAX];
    size_t n = write(&w, p), at = 178 + ZT_IDENTITY_WIRE; /* after the root's identity */
    memmove(p + at + ZT_PRIV, p + at, n - at);
    memset(p + at, 0x55, ZT_PRIV);
    p[at - 1] = ZT_PRIV;
    struct zt_rd r = zt_rd(p, n + ZT_PRIV);
    zt_rd_world(&r, &back);
    assert_false(r.bad);
    assert_memory_equal(&w, &back, sizeof w);
}

static void signed_form(void **state)
{
    struct zt_world w = make(ZT_WORLD_MOON, 1, 2);
    uint8_t p[ZT_WORLD_WIRE_MAX], s[ZT_WORLD_WIRE_MAX + 16];
    size_t n = write(&w, p);
    struct zt_wr wr = zt_wr(s, sizeof s);
    zt_wr_world_signed(&wr, &w);
    assert_int_equal(wr.n, n - ZT_SIGNATURE + 16);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(s[i], 0x7f);
        assert_int_equal(s[wr.n - 1 - i], 0xf7);
    }
    assert_memory_equal(s + 8, p, 81);
    assert_memory_equal(s + 8 + 81, p + 81 + ZT_SIGNATURE, n - 81 - ZT_SIGNATURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),    cmocka_unit_test(limits),
        cmocka_unit_test(moon_dictionary), cmocka_unit_test(private_keys_are_not_kept),
        cmocka_unit_test(signed_form),
    };
    return cmocka_run_group_tests_name("wire/world", tests, NULL, NULL);
}
