/* What a fuzz target offers. Built with libFuzzer (tools/fuzz), and once more with driver.c, which
 * runs seeds and their mutations as an ordinary test. */
#ifndef ZT_FUZZ_H
#define ZT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Always returns 0; a broken promise aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Unlike assert, also in builds without assertions. */
#define PROMISE(x)                                                                  \
    do {                                                                            \
        if (!(x)) {                                                                 \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #x); \
            abort();                                                                \
        }                                                                           \
    } while (0)

#endif
