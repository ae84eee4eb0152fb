#include "ztest.h"

#include "base/err.h"
#include "crypto/sign.h"
#include "rng.h"

static struct zt_identity key, other;

static struct zt_world world(enum zt_world_type type, uint64_t id, uint64_t timestamp_ms,
                             const struct zt_identity *signer)
{
    struct zt_world w = {.type = type, .id = id, .timestamp_ms = timestamp_ms, .nroots = 1};
    uint8_t ip[4] = {10, 0, 0, 1};
    memcpy(w.update_key, key.pub, ZT_PUB);
    w.roots[0].id = other;
    w.roots[0].id.addr = 0x1234567890ULL;
    w.roots[0].neps = 1;
    w.roots[0].eps[0] = zt_ep_make(4, ip, 9993);
    assert_int_equal(zt_world_sign(&w, signer), 0);
    return w;
}

static void every_field_is_signed(void **state)
{
    struct zt_world w = world(ZT_WORLD_PLANET, 7, 100, &key), x;
    assert_true(zt_world_verify(&w, key.pub));
    assert_false(zt_world_verify(&w, other.pub));
    x = w;
    x.type = ZT_WORLD_MOON;
    assert_false(zt_world_verify(&x, key.pub));
    x = w;
    x.id++;
    assert_false(zt_world_verify(&x, key.pub));
    x = w;
    x.timestamp_ms++;
    assert_false(zt_world_verify(&x, key.pub));
    x = w;
    x.update_key[0] ^= 1;
    assert_false(zt_world_verify(&x, key.pub));
    x = w;
    x.nroots = 0;
    assert_false(zt_world_verify(&x, key.pub));
    x = w;
    x.roots[0].id.pub[5] ^= 1;
    assert_false(zt_world_verify(&x, key.pub));
    x = w;
    x.roots[0].eps[0].port++;
    assert_false(zt_world_verify(&x, key.pub));
    for (size_t i = 0; i < ZT_SIGNATURE; i++) {
        x = w;
        x.signature[i] ^= 0x10;
        assert_false(zt_world_verify(&x, key.pub));
    }
    x = w;
    x.roots[0].id.has_priv = !x.roots[0].id.has_priv; /* never part of a world */
    assert_true(zt_world_verify(&x, key.pub));
}

static void largest_world(void **state)
{
    struct zt_world w = world(ZT_WORLD_MOON, 7, 100, &key);
    uint8_t ip[16] = {0xfd};
    w.nroots = ZT_WORLD_ROOTS;
    for (unsigned i = 0; i < ZT_WORLD_ROOTS; i++) {
        w.roots[i].neps = ZT_WORLD_ENDPOINTS;
        for (unsigned k = 0; k < ZT_WORLD_ENDPOINTS; k++)
            w.roots[i].eps[k] = zt_ep_make(6, ip, (uint16_t)k);
    }
    assert_int_equal(zt_world_sign(&w, &key), 0);
    assert_true(zt_world_verify(&w, key.pub));
    struct zt_identity public = key;
    public.has_priv = false;
    assert_int_equal(zt_world_sign(&w, &public), ZT_E_INVAL);
}

static void replacing(void **state)
{
    struct zt_world current = world(ZT_WORLD_PLANET, 7, 100, &key), next, none = {0};

    next = world(ZT_WORLD_PLANET, 7, 101, &key);
    assert_true(zt_world_replaces(&current, &next));
    next = world(ZT_WORLD_PLANET, 7, 100, &key);
    assert_false(zt_world_replaces(&current, &next));
    next = world(ZT_WORLD_PLANET, 7, 99, &key);
    assert_false(zt_world_replaces(&current, &next));
    next = world(ZT_WORLD_PLANET, 8, 101, &key);
    assert_false(zt_world_replaces(&current, &next));
    next = world(ZT_WORLD_MOON, 7, 101, &key);
    assert_false(zt_world_replaces(&current, &next));

    /* the held world's key decides, not the one that the new world brings */
    next = world(ZT_WORLD_PLANET, 7, 101, &key);
    memcpy(next.update_key, other.pub, ZT_PUB);
    assert_int_equal(zt_world_sign(&next, &other), 0);
    assert_false(zt_world_replaces(&current, &next));
    assert_int_equal(zt_world_sign(&next, &key), 0);
    assert_true(zt_world_replaces(&current, &next));

    /* nothing held: taken unseen, but not a null world */
    next.signature[0] ^= 1;
    assert_true(zt_world_replaces(NULL, &next));
    assert_true(zt_world_replaces(&none, &next));
    none = current;
    none.id = 0;
    assert_true(zt_world_replaces(&none, &next));
    next.type = ZT_WORLD_NULL;
    assert_false(zt_world_replaces(NULL, &next));
    assert_false(zt_world_replaces(&current, &next));
}

static int setup(void **state)
{
    struct rng r = {15};
    int e = zt_crypto_init();
    zt_keypair_generate(rng_random, &r, &key);
    zt_keypair_generate(rng_random, &r, &other);
    return e;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_signed),
        cmocka_unit_test(largest_world),
        cmocka_unit_test(replacing),
    };
    return cmocka_run_group_tests_name("crypto/sign", tests, setup, NULL);
}
