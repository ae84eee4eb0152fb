/* A fuzz target is one file with this function. It is linked twice: with libFuzzer (meson option
 * fuzz, clang), and with driver.c as an ordinary test over seeds made from the golden vectors. It
 * aborts when a promise is broken, and keeps no state from one input to the next. */
#ifndef ZT_TESTS_FUZZ_H
#define ZT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* As assert, but also where asserts are off. */
#define FUZZ_CHECK(cond)                                               \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

#endif
