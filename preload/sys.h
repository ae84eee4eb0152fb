/* System calls without libc: no errno, no cancellation, no way back into our own wrappers.
 * Everything the shim does for itself goes this way; only calls the program asked for go through
 * zt_real. Results are those of the kernel: negative errno on failure. */
#ifndef ZT_PRELOAD_SYS_H
#define ZT_PRELOAD_SYS_H

#include <errno.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long zt_sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#elif defined(__aarch64__)
static inline long zt_sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "libztpreload is written for x86_64 and aarch64"
#endif

#define zt_sys0(n) zt_sys6(n, 0, 0, 0, 0, 0, 0)
#define zt_sys1(n, a) zt_sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define zt_sys2(n, a, b) zt_sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define zt_sys3(n, a, b, c) zt_sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define zt_sys4(n, a, b, c, d) zt_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define zt_sys5(n, a, b, c, d, e) \
    zt_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* Turn a kernel result into libc's: -1 and errno. */
static inline long zt_ret(long r)
{
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

#endif
