/* syscall(): libuv, Python, nginx and Java call some of ours by number. A number with a wrapper
 * here goes to the wrapper; every other one goes on by a jump, with registers and stack as they
 * were, because syscall(SYS_clone, ...) must not come back through a frame of ours. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

/* Bit n: number n is looked at. */
__attribute__((visibility("hidden"))) uint64_t zt_sys_bits[8];

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl syscall\n"
        ".type syscall, @function\n"
        "syscall:\n"
        "    cmpq $512, %rdi\n"
        "    jae 1f\n"
        "    leaq zt_sys_bits(%rip), %rax\n"
        "    btq %rdi, (%rax)\n"
        "    jc zt_syscall\n"
        "1:  movq zt_real_syscall(%rip), %rax\n"
        "    testq %rax, %rax\n"
        "    jz zt_syscall\n" /* before our constructor */
        "    jmp *%rax\n"
        ".size syscall, . - syscall\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl syscall\n"
        ".type syscall, %function\n"
        "syscall:\n"
        "    cmp x0, #512\n"
        "    b.hs 1f\n"
        "    adrp x16, zt_sys_bits\n"
        "    add x16, x16, :lo12:zt_sys_bits\n"
        "    lsr x17, x0, #6\n"
        "    ldr x16, [x16, x17, lsl #3]\n"
        "    lsr x16, x16, x0\n"
        "    tbnz x16, #0, 2f\n"
        "1:  adrp x16, zt_real_syscall\n"
        "    ldr x16, [x16, :lo12:zt_real_syscall]\n"
        "    cbz x16, 2f\n"
        "    br x16\n"
        "2:  b zt_syscall\n"
        ".size syscall, . - syscall\n");
#endif

__attribute__((visibility("hidden"))) __typeof__(syscall) *zt_real_syscall;

static const short numbers[] = {
    SYS_socket,     SYS_connect,   SYS_bind,           SYS_listen,      SYS_accept,
    SYS_accept4,    SYS_sendto,    SYS_recvfrom,       SYS_sendmsg,     SYS_recvmsg,
    SYS_sendmmsg,   SYS_recvmmsg,  SYS_getsockname,    SYS_getpeername, SYS_getsockopt,
    SYS_setsockopt, SYS_shutdown,  SYS_read,           SYS_write,       SYS_readv,
    SYS_writev,     SYS_close,     SYS_close_range,    SYS_dup,         SYS_dup3,
    SYS_fcntl,      SYS_epoll_ctl, SYS_io_uring_setup,
#ifdef SYS_dup2
    SYS_dup2,
#endif
};

__attribute__((constructor)) static void fill(void)
{
    zt_real_load();
    zt_real_syscall = zt_real.syscall;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] >= 0 && numbers[i] < 512)
            zt_sys_bits[numbers[i] / 64] |= UINT64_C(1) << (numbers[i] % 64);
}

__attribute__((visibility("hidden"))) long zt_syscall(long n, long a, long b, long c, long d,
                                                      long e, long f);

long zt_syscall(long n, long a, long b, long c, long d, long e, long f)
{
    int fd = (int)a;
    switch (n) {
    case SYS_socket:
        return socket(fd, (int)b, (int)c);
    case SYS_connect:
        return connect(fd, (void *)b, (socklen_t)c);
    case SYS_bind:
        return bind(fd, (void *)b, (socklen_t)c);
    case SYS_listen:
        return listen(fd, (int)b);
    case SYS_accept:
        return accept(fd, (void *)b, (void *)c);
    case SYS_accept4:
        return accept4(fd, (void *)b, (void *)c, (int)d);
    case SYS_sendto:
        return sendto(fd, (void *)b, (size_t)c, (int)d, (void *)e, (socklen_t)f);
    case SYS_recvfrom:
        return recvfrom(fd, (void *)b, (size_t)c, (int)d, (void *)e, (void *)f);
    case SYS_sendmsg:
        return sendmsg(fd, (void *)b, (int)c);
    case SYS_recvmsg:
        return recvmsg(fd, (void *)b, (int)c);
    case SYS_sendmmsg:
        return sendmmsg(fd, (void *)b, (unsigned)c, (int)d);
    case SYS_recvmmsg:
        return recvmmsg(fd, (void *)b, (unsigned)c, (int)d, (void *)e);
    case SYS_getsockname:
        return getsockname(fd, (void *)b, (void *)c);
    case SYS_getpeername:
        return getpeername(fd, (void *)b, (void *)c);
    case SYS_getsockopt:
        return getsockopt(fd, (int)b, (int)c, (void *)d, (void *)e);
    case SYS_setsockopt:
        return setsockopt(fd, (int)b, (int)c, (void *)d, (socklen_t)e);
    case SYS_shutdown:
        return shutdown(fd, (int)b);
    case SYS_read:
        return read(fd, (void *)b, (size_t)c);
    case SYS_write:
        return write(fd, (void *)b, (size_t)c);
    case SYS_readv:
        return readv(fd, (void *)b, (int)c);
    case SYS_writev:
        return writev(fd, (void *)b, (int)c);
    case SYS_close:
        return close(fd);
    case SYS_close_range:
        return close_range((unsigned)a, (unsigned)b, (int)c);
    case SYS_dup:
        return dup(fd);
#ifdef SYS_dup2
    case SYS_dup2:
        return dup2(fd, (int)b);
#endif
    case SYS_dup3:
        return dup3(fd, (int)b, (int)c);
    case SYS_fcntl:
        return fcntl(fd, (int)b, c);
    case SYS_epoll_ctl:
        return epoll_ctl(fd, (int)b, (int)c, (void *)d);
    case SYS_io_uring_setup:
        /* Through a ring, sockets would go past us; programs fall back. */
        if (!zt_settings.io_uring && !zt_settings.off)
            return zt_fail(ENOSYS);
        break;
    default:
        break;
    }
    return zt_ret(zt_sys6(n, a, b, c, d, e, f));
}
