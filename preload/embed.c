/* ZT_PRELOAD_EMBED=1, for a container with one program: the node is a few threads of this process.
 * It serves the same door, so everything else is as with ztd; children, and other programs of the
 * same home, are its clients. It ends with the process, and with it their connections.
 *
 * libzt is opened locally and by its name, so that none of its symbols can get in the program's
 * way. Its own calls of libc come through us all the same: its threads are marked, and for them
 * nothing is virtual. It holds descriptors here that a program must not close. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "../libzt/api/zts_service.h"
#include "real.h"
#include "shim.h"
#include "sys.h"

__thread bool zt_inside __attribute__((tls_model("initial-exec")));

static struct zts_service *service;
static int owner; /* the process that it runs in */
static __typeof__(zts_service_finish) *finish;

static void mark_thread(void)
{
    zt_inside = true;
}

static void on_log(void *user, enum zts_service_level level, const char *text)
{
    (void)user;
    zt_debug(level <= ZTS_SERVICE_WARNING ? 1 : 2, "node: %s", text);
}

static void *open_library(const char *folder)
{
    static const char *const places[] = {"libzt.so.0", "../libzt/libzt.so.0"};
    char path[4096 + 32];
    void *lib = NULL;
    for (size_t i = 0; !lib && i < sizeof places / sizeof *places; i++) {
        strcpy(path, folder); /* at most 4096 bytes, with the slash at its end */
        strcat(path, places[i]);
        lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return lib ? lib : dlopen("libzt.so.0", RTLD_NOW | RTLD_LOCAL);
}

/* Runs before OpenSSL's own handler, which was registered earlier. What the program wrote last
 * shall arrive. Its descriptors are still open, so their ends are said here. */
static void at_end(void)
{
    if (!service || owner != (int)zt_sys0(SYS_getpid))
        return;
    for (unsigned p = 0; p < ZT_FD_PAGES; p++) {
        struct zt_fd_page *page = atomic_load(&zt_fd_pages[p]);
        for (unsigned i = 0; page && i < ZT_FD_PAGE; i++)
            if (atomic_load(&page->word[i]) & ZT_W_STREAM)
                zt_sys2(SYS_shutdown, p * ZT_FD_PAGE + i, SHUT_WR);
    }
    zt_inside = true;
    finish(service, zt_settings.linger_ms);
    service = NULL;
}

int zt_embed_start(const char *folder, int lock_fd)
{
    __typeof__(zts_service_begin) *begin = NULL;
    zt_inside = true; /* what libraries do when they are loaded */
    void *lib = open_library(folder);
    if (lib) {
        *(void **)&begin = dlsym(lib, "zts_service_begin");
        *(void **)&finish = dlsym(lib, "zts_service_finish");
    }
    int r = -ENOENT;
    if (begin && finish) {
        const struct zts_service_config cfg = {
            .home = zt_settings.home, .port = -1, .lock_fd = lock_fd, .log = on_log};
        zt_debug(1, "the node of %s runs in this process", zt_settings.home);
        owner = (int)zt_sys0(SYS_getpid);
        r = begin(&cfg, mark_thread, &service) == 0 ? 0 : -ENETUNREACH;
        if (r == 0)
            atexit(at_end);
    } else {
        zt_debug(1, "libzt.so.0 cannot be opened: %s", dlerror());
        zt_sys1(SYS_close, lock_fd);
    }
    zt_inside = false;
    return r;
}
