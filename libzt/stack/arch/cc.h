/* What lwIP asks of a compiler and a platform. Host byte order, printf formats and integer types
 * come from lwIP's own defaults over the C library. */
#ifndef ZT_STACK_ARCH_CC_H
#define ZT_STACK_ARCH_CC_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>

#define LWIP_ERRNO_INCLUDE <errno.h>

/* lwIP's asserts state its own invariants, some of them about packets: a broken one must never be
 * run past. The NOASSERT build (release) compiles them out with ours. */
#define LWIP_PLATFORM_ASSERT(message) assert(!message)
/* Traces that lwipopts.h switches on; message is in brackets. */
#define LWIP_PLATFORM_DIAG(message) zt_lwip_trace message
/* A caller's mistake is his return code, no line on stderr. */
#define LWIP_ERROR(message, expression, handler) \
    do {                                         \
        if (!(expression)) {                     \
            handler;                             \
        }                                        \
    } while (0)
#ifdef NDEBUG
#define LWIP_NOASSERT
#endif

void zt_lwip_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint32_t zt_lwip_rand(void);
uint16_t zt_lwip_chksum(const void *data, int len);

/* stack/pool.c: mem_clib_malloc and mem_clib_free of lwipopts.h; mem.c reads no hooks. */
void *zt_lwip_malloc(size_t n);
void zt_lwip_free(void *p);

#endif
