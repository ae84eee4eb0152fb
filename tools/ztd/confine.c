/* What ztd gives up before it hears from anybody. Bytes from strangers are handled by this process:
 * should one of them ever take it over, it finds itself without most of what makes that worthwhile.
 *
 *   no new privileges   a setuid program would run without its privilege
 *   no core file (and where a system collects dumps all the same, node/secret.c keeps the identity
 *                       out of them). Others of the same user may look at it with a debugger: they
 *                       can read identity.secret as well
 *   no other programs, namespaces, mounts, kernel modules, tracing, changes of user or clock
 *                       (seccomp: they fail with EPERM)
 *   no sockets but UDP/TCP, local ones, and the one that tells about interfaces
 *   no files but the home; what libraries read when they look up names (/etc and such) read-only
 *                       (Landlock, Linux 5.13; older kernels: without, and said)
 *
 * All of it before there is a second thread, because Landlock binds the calling thread and those
 * that it makes. --no-confine or ZT_CONFINE=no leaves it all out. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ztd.h"

/* A sanitizer looks at its own process with ptrace and writes reports where it likes. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define UNDER_SANITIZER true
#elif defined __has_feature
#define UNDER_SANITIZER (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define UNDER_SANITIZER false
#endif

/* --- system calls ----------------------------------------------------------------------------- */

static const char *const forbidden[] = {
    /* other programs, other processes */
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp",
    "process_madvise",
    /* where we are */
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at",
    "name_to_handle_at", "quotactl",
    /* who we are */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid",
    "setfsgid", "capset", "personality", "add_key", "request_key", "keyctl",
    /* the machine */
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "acct", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "sethostname", "setdomainname", "syslog", "vhangup", "iopl", "ioperm",
    /* large parts of the kernel that we don't need */
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "modify_ldt", "fanotify_init", "vmsplice", "tee",
};

static int forbid_families(scmp_filter_ctx f)
{
    static const int used[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    const int last = AF_NETLINK;
    int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_GT, (scmp_datum_t)last));
    for (int family = 0; family <= last && rc == 0; family++) {
        bool is_used = false;
        for (size_t i = 0; i < sizeof used / sizeof *used; i++)
            is_used |= used[i] == family;
        if (!is_used)
            rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
    }
    return rc;
}

static int filter_calls(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int rc = f != NULL ? forbid_families(f) : -ENOMEM;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden && rc == 0; i++) {
        const int nr = seccomp_syscall_resolve_name(forbidden[i]);
        if (nr != __NR_SCMP_ERROR) /* else: unknown to this libseccomp or machine */
            rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), nr, 0);
    }
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    return rc;
}

/* --- files ------------------------------------------------------------------------------------ */

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define CHANGING                                                                                \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                            \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG \
     | LANDLOCK_ACCESS_FS_MAKE_SOCK)
#define NEVER                                                                                  \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK \
     | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1u << 13) /* ABI 2: moving between folders */
#endif

static int allow_below(int rules, int dir, uint64_t access)
{
    struct landlock_path_beneath_attr below = {.allowed_access = access, .parent_fd = dir};
    return (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
}

/* 0, or an errno: ENOSYS and EOPNOTSUPP when the kernel has no Landlock. */
static int limit_files(const char *home)
{
    /* Names, users and time zones (glibc, c-ares), interfaces, our own process, and NSS modules. */
    static const char *const read_only[] = {"/etc", "/run/systemd/resolve", "/run/resolvconf",
                                            "/run/NetworkManager", "/usr", "/lib", "/lib64",
                                            "/proc", "/sys/class/net", "/sys/devices", "/dev/urandom",
                                            "/dev/null"};
    const long abi =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return errno;
    const uint64_t refer = abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0;
    const struct landlock_ruleset_attr attr = {.handled_access_fs =
                                                   READING | CHANGING | NEVER | refer};
    const int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return errno;
    int err = 0;
    for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
        int fd = open(read_only[i], O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue; /* not on this system */
        const bool is_file = strncmp(read_only[i], "/dev/", 5) == 0;
        if (allow_below(rules, fd, is_file ? LANDLOCK_ACCESS_FS_READ_FILE : READING) != 0)
            err = errno;
        close(fd);
    }
    const int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || allow_below(rules, dir, READING | CHANGING | refer) != 0 ||
        syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        err = errno;
    if (dir >= 0)
        close(dir);
    close(rules);
    return err;
}

/* --- all together ----------------------------------------------------------------------------- */

bool ztd_confine(const char *home)
{
    const char *env = getenv("ZT_CONFINE");
    if (env != NULL && strcmp(env, "no") == 0) {
        ztd_say(ZTS_SERVICE_INFO, "not confined: ZT_CONFINE=no");
        return true;
    }
    if (UNDER_SANITIZER) {
        ztd_say(ZTS_SERVICE_INFO, "not confined: built with a sanitizer");
        return true;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        ztd_say(ZTS_SERVICE_ERROR, "no new privileges: %s", strerror(errno));
        return false;
    }
    int err = limit_files(home);
    if (err == ENOSYS || err == EOPNOTSUPP) {
        ztd_say(ZTS_SERVICE_INFO, "this kernel has no Landlock: files outside the home stay open");
    } else if (err != 0) {
        ztd_say(ZTS_SERVICE_ERROR, "limiting files to the home: %s", strerror(err));
        return false;
    }
    const int rc = filter_calls();
    if (rc == -EINVAL || rc == -ENOSYS) {
        ztd_say(ZTS_SERVICE_INFO, "this kernel has no seccomp filters");
    } else if (rc != 0) {
        ztd_say(ZTS_SERVICE_ERROR, "filtering system calls: %s", strerror(-rc));
        return false;
    }
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    return true;
}
