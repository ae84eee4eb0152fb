#include "ztest.h"

#include "crypto/aes_siv.h"
#include "rng.h"
#include "wire/packet.h"

static struct rng rng = {256};

/* Every form against OpenSSL's (which the golden vectors hold to the reference), byte for byte, at
 * sizes around the boundaries of all of them. */
static void all_forms_agree(void **state)
{
    uint8_t k0[32], k1[32], plain[4000], want[4000];
    for (unsigned level = 1; level < ZT_AES_LEVELS; level++) {
        for (size_t n = ZT_PKT_MIN; n < sizeof plain; n += n < 700 ? 1 : 53) {
            rng_bytes(&rng, k0, sizeof k0);
            rng_bytes(&rng, k1, sizeof k1);
            rng_bytes(&rng, plain, n);
            struct zt_aes *openssl = zt_aes_new(k0, k1, 0), *ours = zt_aes_new(k0, k1, level);
            assert_non_null(openssl);
            assert_non_null(ours);
            if (zt_aes_level(ours) != level) {
                print_message("SKIP: this machine has no level %u\n", level);
                zt_aes_free(openssl);
                zt_aes_free(ours);
                return;
            }
            uint8_t *p = malloc(n); /* exact, for the sanitizer */
            assert_non_null(p);
            memcpy(want, plain, n);
            memcpy(p, plain, n);
            assert_true(zt_aes_seal(openssl, want, n));
            assert_true(zt_aes_seal(ours, p, n));
            assert_memory_equal(p, want, n);
            assert_true(zt_aes_open(ours, p, n));
            assert_memory_equal(p + ZT_PKT_VERB, plain + ZT_PKT_VERB, n - ZT_PKT_VERB);
            free(p);
            zt_aes_free(openssl);
            zt_aes_free(ours);
        }
    }
}

/* One bit anywhere, in every form. */
static void no_form_takes_a_forgery(void **state)
{
    uint8_t k0[32], k1[32], sealed[300], p[300];
    for (unsigned level = 0; level < ZT_AES_LEVELS; level++) {
        rng_bytes(&rng, k0, sizeof k0);
        rng_bytes(&rng, k1, sizeof k1);
        struct zt_aes *aes = zt_aes_new(k0, k1, level);
        assert_non_null(aes);
        rng_bytes(&rng, sealed, sizeof sealed);
        assert_true(zt_aes_seal(aes, sealed, sizeof sealed));
        for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
            uint8_t mask = (uint8_t)(1 << bit % 8);
            if (bit / 8 == ZT_PKT_FLAGS && (mask & ZT_FLAG_HOPS) != 0)
                continue; /* changes on the way */
            memcpy(p, sealed, sizeof p);
            p[bit / 8] ^= mask;
            assert_false(zt_aes_open(aes, p, sizeof p));
        }
        zt_aes_free(aes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_agree),
        cmocka_unit_test(no_form_takes_a_forgery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
