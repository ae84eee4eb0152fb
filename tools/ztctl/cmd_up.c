/* up and down: begin and end the node of a home. */
#include "ztctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 60000 /* a new identity takes up to some seconds, on a slow or busy machine more */
#define STEP_MS 20
#define END_MS 15000
#define SAY_MS 1000
#define LOG_MAX (8u << 20) /* of ztd.log; a longer one is for whoever opens it */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Everything that ztd wrote to its log since we opened it, so that its reason is seen here. */
static void show_log(const char *path, off_t from)
{
    char buf[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    if (fd < 0)
        return;
    if (lseek(fd, from, SEEK_SET) == from)
        while ((n = read(fd, buf, sizeof buf)) > 0)
            fwrite(buf, 1, (size_t)n, stderr);
    close(fd);
}

/* What ztd warned of at its start, for those who don't look into its log: a damaged file, another port. (A
 * missing planet is said with more words below.) It answers before it has written them, so: until the line
 * that comes after them all is there. */
static void show_warnings(const char *path, off_t from)
{
    static const char mark[] = "ztd: warning: ", last[] = "ztd: node ";
    int64_t end = now_ms() + SAY_MS;
    char *text = NULL, *line, *rest;
    size_t n;
    do {
        free(text);
        text = zc_read_file(path, LOG_MAX, &n);
        if (text == NULL || (size_t)from > n)
            break;
        if (strstr(text + from, last) != NULL)
            break;
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    } while (now_ms() < end);
    if (text != NULL && (size_t)from <= n)
        for (rest = text + from; (line = strsep(&rest, "\n")) != NULL;) {
            const char *warning = strstr(line, mark);
            if (warning != NULL && strstr(warning, "no planet file") == NULL)
                fprintf(stderr, "ztctl up: %s\n", warning + sizeof mark - 1);
        }
    free(text);
}

static pid_t spawn(const char *ztd, const char *home, const char *port, int log)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    syscall(SYS_close_range, 3u, ~0u, 0u);
    unsetenv("LD_PRELOAD");
    if (chdir("/") != 0)
        _exit(ZC_CANNOT_EXEC);
    if (port != NULL)
        execl(ztd, ztd, "-H", home, "-p", port, (char *)NULL);
    else
        execl(ztd, ztd, "-H", home, (char *)NULL);
    dprintf(STDERR_FILENO, "%s: %s\n", ztd, strerror(errno));
    _exit(ZC_CANNOT_EXEC);
}

/* Waits until the node answers: ZC_OK, or ZC_FAILED with what ztd said. */
static int wait_until_up(const struct zc *zc, pid_t pid, const char *log_path, off_t from)
{
    int64_t end = now_ms() + START_MS;
    while (!zc_is_running(zc->home)) {
        int status;
        /* Another ztctl or preload may have won the start: then ours ends, and theirs answers. */
        if (waitpid(pid, &status, WNOHANG) == pid && !zc_is_running(zc->home)) {
            show_log(log_path, from);
            return zc_fail(zc, "ztd ended at once (%s %d); its log is %s",
                           WIFSIGNALED(status) ? "signal" : "exit code",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), log_path);
        }
        if (now_ms() > end) {
            kill(pid, SIGTERM);
            show_log(log_path, from);
            return zc_fail(zc, "ztd did not answer for %d s; its log is %s", START_MS / 1000,
                           log_path);
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    return ZC_OK;
}

static int start(const struct zc *zc, const char *port)
{
    char *log_path, *ztd = zc_find_ztd();
    if (ztd == NULL)
        return zc_fail(zc, "ztd is not found: neither beside ztctl nor in PATH");
    if (zc_make_dirs(zc->home) != 0) {
        free(ztd);
        return zc_fail(zc, "cannot make the home %s: %s; -H DIR names another one", zc->home, strerror(errno));
    }
    if (asprintf(&log_path, "%s/ztd.log", zc->home) < 0)
        log_path = NULL;
    zc_alloc(log_path);
    int code, log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat st;
    if (log < 0 || fstat(log, &st) != 0) {
        code = zc_fail(zc, "cannot write in the home: %s: %s; -H DIR names another one", log_path,
                       strerror(errno));
    } else {
        pid_t pid = spawn(ztd, zc->home, port, log);
        code = pid < 0 ? zc_fail(zc, "cannot start %s: %s", ztd, strerror(errno))
                       : wait_until_up(zc, pid, log_path, st.st_size);
        if (code == ZC_OK)
            show_warnings(log_path, st.st_size);
    }
    if (log >= 0)
        close(log);
    free(log_path);
    free(ztd);
    return code;
}

int zc_cmd_up(struct zc *zc, int argc, char **argv)
{
    const char *port = NULL;
    if (argc == 2 && strcmp(argv[0], "-p") == 0)
        port = argv[1];
    else if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    char *end;
    if (port != NULL &&
        (strtol(port, &end, 10) < 1 || *end != '\0' || strtol(port, NULL, 10) > 65535))
        return zc_usage(zc, "'%s' is not a UDP port (1 to 65535)", port);
    bool was_running = zc_is_running(zc->home);
    int code = was_running ? ZC_OK : start(zc, port);
    json_t *doc = NULL, *info = NULL;
    if (code == ZC_OK)
        code = zc_command(zc, "up", &doc);
    json_decref(doc);
    if (code == ZC_OK)
        code = zc_command(zc, "info", &info);
    if (code != ZC_OK)
        return code;
    if (zc->json)
        return zc_print_json(info);
    printf("node %s %s, home %s, UDP port %lld\n", zc_str(info, "address"),
           was_running ? "is running" : "started", zc->home, (long long)zc_int(info, "port", 0));
    if (was_running || zc_int(info, "roots", 0) == 0) /* else it has only begun to look for them */
        zc_hint_offline(zc, info);
    json_decref(info);
    return ZC_OK;
}

int zc_cmd_down(struct zc *zc, int argc, char **argv)
{
    if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    int fd = zc_connect(zc->home);
    if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED))
        return zc_no_node(zc);
    if (fd < 0)
        return zc_fail(zc, "cannot reach the node in %s: %s", zc->home, strerror(errno));
    /* Hold the process before asking: its number could be somebody else's a moment later. */
    struct ucred uc;
    socklen_t n = sizeof uc;
    int pidfd = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &n) == 0)
        pidfd = (int)syscall(SYS_pidfd_open, uc.pid, 0u);
    char msg[1024];
    json_t *doc = NULL;
    int code = ZC_OK, err = zc_command_on(fd, "down", &doc, msg, sizeof msg);
    if (err != 0 && err != ECONNRESET) /* it may be gone before its answer is */
        code = zc_fail(zc, "%s", msg[0] != '\0' ? msg : strerror(err));
    if (code == ZC_OK && pidfd >= 0) {
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        if (poll(&p, 1, END_MS) != 1)
            code = zc_fail(zc, "the node (process %d) has not ended after %d s", (int)uc.pid,
                           END_MS / 1000);
    }
    if (pidfd >= 0)
        close(pidfd);
    if (code != ZC_OK || !zc->json) {
        json_decref(doc);
        if (code == ZC_OK)
            printf("node in %s ended\n", zc->home);
        return code;
    }
    return zc_print_json(doc != NULL ? doc : json_pack("{s:b}", "result", 1));
}

int zc_cmd_reload(struct zc *zc, int argc, char **argv)
{
    json_t *doc;
    if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    int code = zc_command(zc, "reload", &doc);
    if (code != ZC_OK)
        return code;
    const json_t *problems = json_object_get(doc, "problems");
    bool good = json_array_size(problems) == 0;
    if (zc->json)
        code = zc_print_json(doc);
    else {
        size_t i;
        json_t *text;
        json_array_foreach((json_t *)(uintptr_t)problems, i, text)
            fprintf(stderr, "ztctl: %s\n", json_string_value(text));
        if (!zc_true(doc, "result"))
            fputs("ztctl: the settings stay as they were\n", stderr);
        else if (good)
            puts("local.conf is in force");
        json_decref(doc);
    }
    return code == ZC_OK && !good ? ZC_FAILED : code;
}
