#include "ztest.h"

#include "base/addr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "rng.h"

/* Two known identities (vl1.md 9). */
static const char text_a[] =
    "8e4df28b72:0:ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843"
    "fa2e16f9418bbd9702cae365f2af5fb4c420908b803a681d4daef6114d78a2d7:"
    "bd8dd6e4ce7022d2f812797a80c6ee8ad180dc4ebf301dec8b06d1be08832bdd"
    "d63a2f1cfa7b2c504474c75bdc8898ba476ef92e8e2d0509f8441985171ff16e";

static struct zt_identity known(void)
{
    struct zt_identity id;
    assert_int_equal(zt_identity_parse(text_a, sizeof text_a - 1, &id), 0);
    return id;
}

static void generated_is_valid(void **state)
{
    struct rng r = {13}, same = {13};
    struct zt_identity id, again;

    assert_int_equal(zt_identity_generate(rng_random, &r, &id), 0);
    assert_true(id.has_priv);
    assert_false(zt_addr_reserved(id.addr));
    assert_true(zt_identity_validate(&id));
    assert_int_equal(zt_identity_generate(rng_random, &same, &again), 0);
    assert_memory_equal(&id, &again, sizeof id); /* the randomness is all that matters */

    char text[ZT_IDENTITY_STR];
    zt_identity_format(&id, true, text);
    assert_int_equal(zt_identity_parse(text, strlen(text), &again), 0);
    assert_memory_equal(&id, &again, sizeof id);
}

static void altered_is_invalid(void **state)
{
    struct zt_identity id = known();
    assert_true(zt_identity_validate(&id));
    for (int bit = 0; bit < 40; bit += 13) {
        id.addr ^= 1ULL << bit;
        assert_false(zt_identity_validate(&id));
        id.addr ^= 1ULL << bit;
    }
    for (size_t i = 0; i < ZT_PUB; i += 9) {
        id.pub[i] ^= 1;
        id.has_priv = i % 2 != 0;
        assert_false(zt_identity_validate(&id));
        id.pub[i] ^= 1;
    }
    id.has_priv = true;
    id.priv[10] ^= 1; /* X25519 half */
    assert_false(zt_identity_validate(&id));
    id.priv[10] ^= 1;
    id.priv[40] ^= 1; /* Ed25519 half */
    assert_false(zt_identity_validate(&id));
    id.priv[40] ^= 1;
    assert_true(zt_identity_validate(&id));
    id.addr = 0;
    assert_false(zt_identity_validate(&id));
}

static void agreement(void **state)
{
    struct rng r = {14};
    struct zt_identity a, b, c;
    uint8_t ab[ZT_SHARED_KEY], ba[ZT_SHARED_KEY], ac[ZT_SHARED_KEY], zero[ZT_SHARED_KEY] = {0};

    zt_keypair_generate(rng_random, &r, &a);
    zt_keypair_generate(rng_random, &r, &b);
    zt_keypair_generate(rng_random, &r, &c);
    assert_true(a.addr == 0 && a.has_priv);
    assert_int_equal(zt_identity_agree(&a, &b, ab), 0);
    assert_int_equal(zt_identity_agree(&b, &a, ba), 0);
    assert_int_equal(zt_identity_agree(&a, &c, ac), 0);
    assert_memory_equal(ab, ba, sizeof ab);
    assert_memory_not_equal(ab, ac, sizeof ab);

    memset(b.pub, 0, 32);
    assert_int_equal(zt_identity_agree(&a, &b, ab), ZT_E_CRYPTO);
    assert_memory_equal(ab, zero, sizeof ab);
    b.pub[0] = 1; /* the other point of small order with an easy name */
    assert_int_equal(zt_identity_agree(&a, &b, ab), ZT_E_CRYPTO);
    a.has_priv = false;
    assert_int_equal(zt_identity_agree(&a, &c, ac), ZT_E_CRYPTO);
    assert_memory_equal(ac, zero, sizeof ac);
}

static void signatures(void **state)
{
    static const char known_signature[] =
        "5cc06833aa2bc5d6db0bda30d881ba7bbbfc1b56b92e5ec8dd21502fa70de321"
        "1072baf6d1eb328509bf5d3146b19fe0c4ca90a19b7e962a128f7fc28c73040b"
        "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7";
    struct zt_identity id = known();
    uint8_t sig[ZT_SIGNATURE_BYTES], want[ZT_SIGNATURE_BYTES];
    char msg[] = "hello";

    zt_identity_sign(&id, msg, 5, sig);
    assert_int_equal(zt_hex_decode(known_signature, want, sizeof want), 0);
    assert_memory_equal(sig, want, sizeof sig);
    assert_true(zt_identity_verify(id.pub, msg, 5, sig));
    for (size_t i = 0; i < sizeof sig; i++) {
        sig[i] ^= 1;
        assert_false(zt_identity_verify(id.pub, msg, 5, sig));
        sig[i] ^= 1;
    }
    for (size_t i = 0; i < 5; i++) {
        msg[i] ^= 1;
        assert_false(zt_identity_verify(id.pub, msg, 5, sig));
        msg[i] ^= 1;
    }
    assert_false(zt_identity_verify(id.pub, msg, 4, sig));
    id.pub[32] ^= 1;
    assert_false(zt_identity_verify(id.pub, msg, 5, sig));
    id.pub[32] ^= 1;
    id.pub[0] ^= 1; /* the X25519 half has no part in it */
    assert_true(zt_identity_verify(id.pub, msg, 5, sig));
    zt_identity_sign(&id, NULL, 0, sig);
    assert_true(zt_identity_verify(id.pub, NULL, 0, sig));
}

static void fingerprint(void **state)
{
    static const char want[] = "e9994e84f3977ec3b4b7a70a8df7e25ad48b8f4cde29092081078525f4b6a995"
                               "4ad3fcf4d4237c06c3021b5b9a84683b";
    struct zt_identity id = known();
    uint8_t hash[48];
    char text[97];
    assert_int_equal(zt_identity_fingerprint(&id, hash), 0);
    assert_string_equal(zt_hex_encode(hash, sizeof hash, text), want);
}

static void secrets(void **state)
{
    assert_true(zt_same_secret("", ""));
    assert_true(zt_same_secret("abc", "abc"));
    assert_false(zt_same_secret("abc", "abd"));
    assert_false(zt_same_secret("abc", "ab"));
    assert_false(zt_same_secret("ab", "abc"));
    assert_false(zt_same_secret("", "a"));
}

static int setup(void **state)
{
    return zt_crypto_init() | zt_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated_is_valid), cmocka_unit_test(altered_is_invalid),
        cmocka_unit_test(agreement),          cmocka_unit_test(signatures),
        cmocka_unit_test(fingerprint),        cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests_name("crypto/identity", tests, setup, NULL);
}
