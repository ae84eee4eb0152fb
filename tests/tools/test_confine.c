/* What ztd can't do any more once it is confined: each case in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ztd.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define IS_CONFINED false
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_CONFINED false
#endif
#endif
#ifndef IS_CONFINED
#define IS_CONFINED true
#endif

static char top[64], home[96], secret[96];

/* 0, or an errno that says what became of it; 250: other trouble. */
static int confined(int (*act)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!ztd_confine(home))
            _exit(250);
        int rc = act();
        _exit(rc < 0 ? 250 : rc);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int result(long rc)
{
    return rc < 0 ? errno : 0;
}

static int run_a_program(void)
{
    char *argv[] = {"/bin/true", NULL};
    execv(argv[0], argv);
    return errno;
}

static int trace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int new_namespace(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int become(void)
{
    return result(setuid(getuid()));
}

static int packet_socket(void)
{
    return result(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int vm_socket(void)
{
    return result(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int read_elsewhere(void)
{
    return result(open(secret, O_RDONLY | O_CLOEXEC));
}

static int write_elsewhere(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/new", top);
    return result(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static int core_size(void)
{
    struct rlimit r;
    return getrlimit(RLIMIT_CORE, &r) != 0 || r.rlim_cur != 0 || r.rlim_max != 0;
}

static int no_new_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

/* All that the service does to its home, and what libraries read. */
static int live(void)
{
    char a[128], b[160], folder[128];
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    snprintf(folder, sizeof folder, "%s/networks.d", home);
    snprintf(a, sizeof a, "%s/new", home);
    snprintf(b, sizeof b, "%s/file", folder);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/control.sock", home);
    int fd = open(a, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) != 0 || fchmod(fd, 0600) != 0)
        return errno;
    if (mkdir(folder, 0700) != 0 || rename(a, b) != 0 || unlink(b) != 0 || rmdir(folder) != 0)
        return errno;
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&sun, sizeof sun) != 0 || listen(s, 1) != 0)
        return errno;
    if (unlink(sun.sun_path) != 0)
        return errno;
    const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
    for (int i = 0; i < 3; i++)
        if (socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0 && errno != EAFNOSUPPORT)
            return errno;
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static void it_can_do_its_work(void **state)
{
    assert_int_equal(confined(live), 0);
}

static void it_runs_no_program_and_looks_into_none(void **state)
{
    if (!IS_CONFINED)
        skip();
    assert_int_equal(confined(run_a_program), EPERM);
    assert_int_equal(confined(trace), EPERM);
    assert_int_equal(confined(core_size), 0);
    assert_int_equal(confined(no_new_privileges), 1);
}

static void it_stays_where_and_who_it_is(void **state)
{
    if (!IS_CONFINED)
        skip();
    assert_int_equal(confined(new_namespace), EPERM);
    assert_int_equal(confined(become), EPERM);
    assert_int_equal(confined(packet_socket), EAFNOSUPPORT);
    assert_int_equal(confined(vm_socket), EAFNOSUPPORT);
}

static void files_outside_of_the_home_are_closed_to_it(void **state)
{
    if (!IS_CONFINED)
        skip();
    if (!has_landlock()) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    assert_int_equal(read_elsewhere(), 0); /* without */
    assert_int_equal(confined(read_elsewhere), EACCES);
    assert_int_equal(confined(write_elsewhere), EACCES);
}

static void there_is_a_switch(void **state)
{
    setenv("ZT_CONFINE", "no", 1);
    assert_int_equal(confined(trace), 0);
    assert_int_equal(confined(write_elsewhere), 0);
    unsetenv("ZT_CONFINE");
}

static int begin(void **state)
{
    snprintf(top, sizeof top, "/tmp/test-confine-XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(home, sizeof home, "%s/home", top);
    snprintf(secret, sizeof secret, "%s/secret", top);
    assert_int_equal(mkdir(home, 0700), 0);
    int fd = open(secret, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int gone(const char *path, const struct stat *st, int what, struct FTW *where)
{
    return remove(path);
}

static int end(void **state)
{
    return nftw(top, gone, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_can_do_its_work),
        cmocka_unit_test(it_runs_no_program_and_looks_into_none),
        cmocka_unit_test(it_stays_where_and_who_it_is),
        cmocka_unit_test(files_outside_of_the_home_are_closed_to_it),
        cmocka_unit_test(there_is_a_switch),
    };
    ztd_log_open(ZTS_SERVICE_NOTICE);
    return cmocka_run_group_tests(tests, begin, end);
}
