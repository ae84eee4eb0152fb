/* Starting the node from inside a foreign program, so that the program doesn't notice: no SIGCHLD,
 * no child that its waitpid(-1) could find, no descriptor or memory left behind.
 *
 * Whoever holds identity.lock may run the node of a home. We take it, and hand it to ztd open, so
 * that between us and it nobody else can begin. Whoever finds it taken waits for the door to open.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#define LOCK_FILE "identity.lock"
#define LOCK_FD 3 /* its number in ztd */
#define STACK_BYTES 65536
#define ENV_MAX 4096
#define PATH_BYTES 4096

/* Everything the children need, laid out before they exist: they share our memory and must not
 * allocate. */
struct launch {
    char lib[PATH_BYTES]; /* folder of this library, ends with a slash */
    char exe[PATH_BYTES];
    char lock_fd_text[8];
    const char *argv[10];
    const char *envp[ENV_MAX + 1];
    int lock_fd, log_fd, null_fd;
    int err;
    char stack[2][STACK_BYTES] __attribute__((aligned(16)));
};

/* ---- finding ztd ---- */

/* Folder of the mapping this code runs in. /proc tells it as an absolute path, whatever LD_PRELOAD
 * said and wherever the program has changed its directory to. */
static bool own_folder(char out[PATH_BYTES])
{
    long fd = zt_sys4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    uintptr_t me = (uintptr_t)&own_folder;
    char buf[PATH_BYTES + 256];
    size_t have = 0;
    bool found = false;
    for (;;) {
        long r = zt_sys3(SYS_read, fd, buf + have, sizeof buf - 1 - have);
        if (r <= 0)
            break;
        have += (size_t)r;
        buf[have] = 0;
        char *line = buf, *end;
        while (!found && (end = strchr(line, '\n'))) {
            *end = 0;
            char *dash, *rest;
            uintptr_t lo = strtoul(line, &dash, 16);
            uintptr_t hi = *dash == '-' ? strtoul(dash + 1, &rest, 16) : 0;
            char *path = strchr(line, '/');
            if (me >= lo && me < hi && path) {
                char *slash = strrchr(path, '/');
                memcpy(out, path, (size_t)(slash + 1 - path));
                out[slash + 1 - path] = 0;
                found = true;
            }
            line = end + 1;
        }
        have = strlen(line);
        memmove(buf, line, have + 1);
        if (found || have == sizeof buf - 1)
            break;
    }
    zt_sys1(SYS_close, fd);
    return found;
}

static bool try_exe(struct launch *l, const char *dir, size_t ndir, const char *rest)
{
    size_t n = strlen(rest);
    if (ndir + n + 1 > sizeof l->exe)
        return false;
    memcpy(l->exe, dir, ndir);
    memcpy(l->exe + ndir, rest, n + 1);
    struct stat st;
    return stat(l->exe, &st) == 0 && S_ISREG(st.st_mode) &&
           zt_sys3(SYS_faccessat, AT_FDCWD, l->exe, X_OK) == 0;
}

static bool find_ztd(struct launch *l)
{
    static const char *const beside[] = {
        "ztd",           "../tools/ztd/ztd", "../tools/ztd",     "../bin/ztd",        "../sbin/ztd",
        "../../bin/ztd", "../../sbin/ztd",   "../../../bin/ztd", "../../../sbin/ztd",
    };
    if (own_folder(l->lib))
        for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
            if (try_exe(l, l->lib, strlen(l->lib), beside[i]))
                return true;
    for (char **e = environ; e && *e; e++) {
        if (strncmp(*e, "PATH=", 5))
            continue;
        for (const char *p = *e + 5; *p;) {
            size_t n = strcspn(p, ":");
            if (n && *p == '/' && try_exe(l, p, n, "/ztd"))
                return true;
            p += n + (p[n] == ':');
        }
    }
    return false;
}

/* ---- the two children ---- */

static void reset_signals(void)
{
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } dfl = {0};
    for (int s = 1; s <= 64; s++)
        zt_sys4(SYS_rt_sigaction, s, &dfl, NULL, 8);
    uint64_t none = 0;
    zt_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
}

static int run_ztd(void *arg)
{
    struct launch *l = arg;
    zt_sys0(SYS_setsid);
    zt_sys2(SYS_chdir, "/", 0);
    /* Out of the way of 0..3 first. */
    long lock = zt_sys3(SYS_fcntl, l->lock_fd, F_DUPFD, 10);
    long null = zt_sys3(SYS_fcntl, l->null_fd, F_DUPFD, 10);
    long log = zt_sys3(SYS_fcntl, l->log_fd, F_DUPFD, 10);
    zt_sys3(SYS_dup3, null, 0, 0);
    zt_sys3(SYS_dup3, log < 0 ? null : log, 1, 0);
    zt_sys3(SYS_dup3, log < 0 ? null : log, 2, 0);
    if (zt_sys3(SYS_dup3, lock, LOCK_FD, 0) < 0)
        zt_sys1(SYS_exit_group, 126);
    if (zt_sys3(SYS_close_range, LOCK_FD + 1, ~0u, 0) < 0)
        for (int fd = LOCK_FD + 1; fd < 4096; fd++) /* kernels before 5.9 */
            zt_sys1(SYS_close, fd);
    reset_signals();
    l->err = (int)zt_sys3(SYS_execve, l->exe, l->argv, l->envp);
    zt_sys1(SYS_exit_group, 127);
    return 0;
}

/* A child on our memory, which ends before this returns. No handler of the program may run in it. */
static int clone_quietly(int (*fn)(void *), char *stack, void *arg)
{
    uint64_t all = ~UINT64_C(0), old;
    zt_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
    int pid = clone(fn, stack, CLONE_VM | CLONE_VFORK, arg);
    int r = pid < 0 ? -errno : 0;
    if (pid > 0)
        while (zt_sys4(SYS_wait4, pid, NULL, __WALL, NULL) == -EINTR)
            ;
    zt_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
    return r;
}

/* The one in between: ends at once, so that ztd belongs to init and not to the program. */
static int run_middle(void *arg)
{
    struct launch *l = arg;
    int r = clone(run_ztd, l->stack[1] + STACK_BYTES, CLONE_VM | CLONE_VFORK, l);
    if (r < 0)
        l->err = -EAGAIN;
    zt_sys1(SYS_exit_group, 0);
    return 0;
}

static void fill_env(struct launch *l)
{
    static const char *const leave_out[] = {"LD_PRELOAD=", "ZT_PRELOAD_DEBUG=", "ZT_NETWORKS="};
    size_t n = 0;
    for (char **e = environ; e && *e && n < ENV_MAX; e++) {
        bool skip = false;
        for (size_t i = 0; i < sizeof leave_out / sizeof *leave_out; i++)
            skip |= !strncmp(*e, leave_out[i], strlen(leave_out[i]));
        if (!skip)
            l->envp[n++] = *e;
    }
    l->envp[n] = NULL;
}

static int launch(int dir, int lock_fd)
{
    long m = zt_sys6(SYS_mmap, 0, sizeof(struct launch), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m < 0 && m > -4096)
        return (int)m;
    struct launch *l = (struct launch *)m;
    int r = -ENOENT;
    if (find_ztd(l)) {
        const char *argv[] = {l->exe, "-H",     zt_settings.home, "--lock-fd",
                              "3",    "--idle", zt_settings.idle};
        memcpy(l->argv, argv, sizeof argv);
        fill_env(l);
        l->lock_fd = lock_fd;
        l->null_fd = (int)zt_sys4(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
        l->log_fd =
            (int)zt_sys4(SYS_openat, dir, "ztd.log",
                         O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        /* Without it (no number is free) ztd would hold what the program has as 0 to 2. */
        r = l->null_fd;
        if (r >= 0) {
            zt_debug(1, "starting %s -H %s", l->exe, zt_settings.home);
            r = clone_quietly(run_middle, l->stack[0] + STACK_BYTES, l);
            r = r < 0 ? r : l->err;
        }
        if (l->null_fd >= 0)
            zt_sys1(SYS_close, l->null_fd);
        if (l->log_fd >= 0)
            zt_sys1(SYS_close, l->log_fd);
    } else {
        zt_debug(1, "ztd not found beside the preload library, nor in PATH");
    }
    zt_sys2(SYS_munmap, m, sizeof *l);
    return r;
}

/* ---- looking without a number ---- */

struct aside {
    void (*look)(void);
    char stack[STACK_BYTES] __attribute__((aligned(16)));
};

static int run_aside(void *arg)
{
    for (int fd = 0; fd < 64; fd++)
        zt_sys1(SYS_close, fd);
    ((struct aside *)arg)->look();
    zt_sys1(SYS_exit_group, 0);
    return 0;
}

void zt_aside(void (*look)(void))
{
    int saved = errno;
    long m = zt_fds_ours() ? zt_sys6(SYS_mmap, 0, sizeof(struct aside), PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                           : -EBUSY;
    if (m < 0 && m > -4096)
        return;
    struct aside *a = (struct aside *)m;
    a->look = look;
    clone_quietly(run_aside, a->stack + STACK_BYTES, a);
    zt_sys2(SYS_munmap, m, sizeof *a);
    errno = saved;
}

/* ---- taking part in the start ---- */

static int make_home(void)
{
    int dir = zt_home_open();
    if (dir >= 0 || dir != -ENOENT || !zt_settings.home[0])
        return dir;
    if (zt_home_was_seen()) /* it is outside of our root now: not to be made again in here */
        return dir;
    char path[sizeof zt_settings.home];
    strcpy(path, zt_settings.home);
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char c = *p;
        *p = 0;
        zt_sys3(SYS_mkdirat, AT_FDCWD, path, 0700);
        if (!c)
            break;
        *p = c;
    }
    return zt_home_open();
}

static int try_lock(int dir)
{
    long fd = zt_sys4(SYS_openat, dir, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return (int)fd;
    fd = zt_fd_high((int)fd);
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    long r = zt_sys3(SYS_fcntl, fd, F_OFD_SETLK, &fl);
    if (r < 0) {
        zt_sys1(SYS_close, fd);
        return (int)r;
    }
    return (int)fd;
}

static int embed(int lock)
{
    char folder[PATH_BYTES];
    if (!own_folder(folder)) {
        zt_sys1(SYS_close, lock);
        return -ENOENT;
    }
    /* It opens files and waits, in functions that end a thread when that is asked for: not with our lock. */
    int was, r;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &was);
    r = zt_embed_start(folder, lock);
    pthread_setcancelstate(was, NULL);
    return r;
}

int zt_start_node(void)
{
    if (!zt_settings.may_start)
        return -ENETUNREACH;
    int dir = make_home();
    if (dir < 0)
        return dir;
    int r = -ETIMEDOUT, starts = 0;
    int64_t until = zt_now_ms() + zt_settings.wait_ms;
    for (int pause = 2; r == -ETIMEDOUT && zt_now_ms() <= until;
         pause = pause < 40 ? pause * 2 : 40) {
        if (zt_ctl_up()) {
            r = 0;
            break;
        }
        int lock = try_lock(dir);
        if (lock >= 0) {
            /* Free again after we started one: it has ended, and a second try would end the same
             * way. A node that was just leaving is a different matter: that is the first time. */
            int e = starts++ ? -ECHILD : zt_settings.embed ? embed(lock) : launch(dir, lock);
            if (!zt_settings.embed)
                zt_sys1(SYS_close, lock);
            if (e < 0)
                r = e;
        } else if (lock != -EAGAIN && lock != -EACCES) {
            r = lock;
        }
        if (r == -ETIMEDOUT)
            zt_sleep_ms(pause);
    }
    zt_sys1(SYS_close, dir);
    if (r < 0)
        zt_debug(1, "the node of %s did not start: error %d (see ztd.log there)", zt_settings.home,
                 -r);
    else
        zt_page_open();
    return r;
}
