/* Before a program gives up its rights, or the root of its files, what leads to the home is looked at for
 * the last time: afterwards neither the node's page nor the file of ranges can be opened, and a virtual
 * address would be taken for one of the kernel's. */
#include <errno.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

static void last_look(void)
{
    int saved = errno;
    if (zt_settings.off || !zt_settings.home[0] || zt_inside || zt_sys0(SYS_geteuid) != 0)
        return;
    zt_page_open();
    zt_ranges_read();
    errno = saved;
}

ZT_EXPORT int chroot(const char *path)
{
    last_look();
    return REAL(chroot)(path);
}

ZT_EXPORT int setuid(uid_t uid)
{
    last_look();
    return REAL(setuid)(uid);
}

ZT_EXPORT int seteuid(uid_t uid)
{
    last_look();
    return REAL(seteuid)(uid);
}

ZT_EXPORT int setreuid(uid_t real, uid_t effective)
{
    last_look();
    return REAL(setreuid)(real, effective);
}

ZT_EXPORT int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    last_look();
    return REAL(setresuid)(real, effective, saved);
}
