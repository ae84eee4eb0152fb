/* What every cmocka test file includes, in the order cmocka wants. */
#ifndef ZT_TESTS_ZTEST_H
#define ZT_TESTS_ZTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A private copy of exactly n bytes, so that a sanitizer sees any read past the end. */
static inline uint8_t *exact_copy(const void *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, p, n);
    return copy;
}

#endif
