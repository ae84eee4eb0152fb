#include "ztest.h"

#include <sodium.h>

#include "crypto/salsa12.h"
#include "rng.h"

static struct rng rng = {12};

/* Every instruction set against libsodium, at sizes around the boundaries of all of them. */
static void is_salsa20_12(void **state)
{
    uint8_t key[32], iv[8], plain[3000], want[3000];
    for (unsigned level = 0; level < ZT_SALSA_LEVELS; level++) {
        for (size_t n = 0; n < sizeof plain; n += n < 1100 ? 1 : 61) {
            uint8_t *p = malloc(n + 1); /* exact, for the sanitizer */
            assert_non_null(p);
            rng_bytes(&rng, key, sizeof key);
            rng_bytes(&rng, iv, sizeof iv);
            rng_bytes(&rng, plain, n);
            memcpy(p, plain, n);
            crypto_stream_salsa2012_xor(want, plain, n, iv, key);
            if (zt_salsa12_xor_level(level, key, iv, 0, p, n) != level) {
                print_message("SKIP: this machine has no level %u\n", level);
                free(p);
                return;
            }
            assert_memory_equal(p, want, n);
            free(p);
        }
    }
}

/* Parts of a stream that begin at any block are those of the whole. */
static void starts_at_any_block(void **state)
{
    uint8_t key[32], iv[8], whole[64 * 40] = {0}, part[64 * 40];
    rng_bytes(&rng, key, sizeof key);
    rng_bytes(&rng, iv, sizeof iv);
    zt_salsa12_xor(key, iv, 0, whole, sizeof whole);
    for (unsigned level = 0; level < ZT_SALSA_LEVELS; level++) {
        for (uint32_t block = 0; block < 40; block++) {
            size_t n = sizeof whole - 64 * block;
            memset(part, 0, sizeof part);
            zt_salsa12_xor_level(level, key, iv, block, part, n);
            assert_memory_equal(part, whole + 64 * block, n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_salsa20_12),
        cmocka_unit_test(starts_at_any_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
