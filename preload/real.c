#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

struct zt_real zt_real;

/* dlsym may allocate, and a replaced malloc may read, write or close while it sets itself up: these
 * answer until the real ones are known. */
static ssize_t raw_read(int fd, void *buf, size_t n)
{
    return zt_ret(zt_sys3(SYS_read, fd, buf, n));
}

static ssize_t raw_write(int fd, const void *buf, size_t n)
{
    return zt_ret(zt_sys3(SYS_write, fd, buf, n));
}

static int raw_close(int fd)
{
    return (int)zt_ret(zt_sys1(SYS_close, fd));
}

static int raw_dup(int fd)
{
    return (int)zt_ret(zt_sys1(SYS_dup, fd));
}

static int raw_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    long arg = va_arg(ap, long);
    va_end(ap);
    return (int)zt_ret(zt_sys3(SYS_fcntl, fd, cmd, arg));
}

static int raw_ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    long arg = va_arg(ap, long);
    va_end(ap);
    return (int)zt_ret(zt_sys3(SYS_ioctl, fd, request, arg));
}

static void resolve(void *slot, const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    if (f)
        memcpy(slot, &f, sizeof f);
}

/* May run in several threads at once: each stores the same values. */
void zt_real_load(void)
{
    int saved = errno;
    if (!zt_real.close) {
        zt_real.read = raw_read;
        zt_real.write = raw_write;
        zt_real.dup = raw_dup;
        zt_real.fcntl = raw_fcntl;
        zt_real.ioctl = raw_ioctl;
        zt_real.close = raw_close;
    }
#define X(f) resolve(&zt_real.f, #f);
    ZT_REALS(X)
#undef X
    errno = saved;
}
