/* Cases: processes and threads */
#include "lib.h"

static void c_dup(void)
{
    int c, s;
    char b[8];
    pair_up(&c, &s);
    int d = dup(c), e = fcntl(c, F_DUPFD_CLOEXEC, 50);
    SAY(e);
    SAY(dup2(c, 60));
    SAY(dup3(c, 61, O_CLOEXEC));
    SAY(dup3(c, c, 0));
    SAY(close(c));
    names(d);
    names(60);
    SAY(write(d, "d", 1));
    SAY(write(e, "e", 1));
    SAY(write(60, "f", 1));
    SAY(write(61, "g", 1));
    settle();
    SAY(recv(s, b, 8, 0));
    SAY(close(d));
    SAY(close(e));
    SAY(close(60));
    settle();
    events("one left", s);
    int file = open("/dev/null", O_RDWR);
    SAY(dup2(file, 61));
    wait_for(s, POLLRDHUP);
    SAY(recv(s, b, 8, 0));
    SAY(write(61, "to the file", 11));
    SAY(getpeername(61, (struct sockaddr *)&(struct sockaddr_storage){0}, &(socklen_t){100}));
    close(61), close(s), close(file);
}

static void c_fork(void)
{
    int c, s;
    char b[8];
    pair_up(&c, &s);
    fflush(stdout);
    if (fork() == 0) {
        close(s);
        names(c);
        SAY(write(c, "child", 5));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    SAY(recv(s, b, 8, 0));
    events("child gone", s);
    SAY(write(c, "p", 1));
    SAY(recv(s, b, 8, 0));
    fflush(stdout);
    if (fork() == 0) { /* a child that shuts down does it for all */
        SAY(shutdown(c, SHUT_WR));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    wait_for(s, POLLRDHUP);
    SAY(recv(s, b, 8, 0));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    close(c), close(s);
}

static void c_prefork(void)
{
    int port, l = listener(&port), pids[2];
    char b;
    fflush(stdout);
    for (int i = 0; i < 2; i++)
        if ((pids[i] = fork()) == 0) {
            int s = accept(l, NULL, NULL);
            _exit(s < 0 || write(s, "x", 1) != 1);
        }
    close(l);
    for (int i = 0; i < 2; i++) {
        int c = socket(family, SOCK_STREAM, 0);
        SAY(connect(c, addr(port), base_len));
        SAY(read(c, &b, 1));
        SAY(read(c, &b, 1));
        close(c);
    }
    for (int i = 0; i < 2; i++) {
        int st = -1;
        waitpid(pids[i], &st, 0);
        printf("worker ended %d\n", st);
    }
    settle();
    int c = socket(family, SOCK_STREAM, 0);
    SAY(connect(c, addr(port), base_len));
    close(c);
}

/* What a new program makes of descriptors 7 (connected) and 8 (listening). */
void exec_child(void)
{
    char b, *tell = getenv("CONFORM_TELL");
    int on = 1;
    if (tell) {
        setsockopt(atoi(tell), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        return;
    }
    int c = fcntl(157, F_GETFD) < 0 ? 7 : 157, l = c + 1;
    names(c);
    OPTION(c, SOL_SOCKET, SO_DOMAIN);
    OPTION(c, SOL_SOCKET, SO_TYPE);
    OPTION(c, SOL_SOCKET, SO_PROTOCOL);
    OPTION(l, SOL_SOCKET, SO_ACCEPTCONN);
    SAY(write(c, "x", 1));
    int s = accept(l, NULL, NULL);
    SAY(read(s, &b, 1));
    names(s);
    SAY(listen(l, 3));
}

/* limit: of the child's numbers, or 0; then they are high ones, and it has no others. */
static void exec_with(rlim_t limit)
{
    int c, s, port, l = listener(&port);
    char b;
    pair_up(&c, &s);
    int d = socket(family, SOCK_STREAM, 0);
    SAY(connect(d, addr(port), base_len));
    SAY(write(d, "y", 1));
    fflush(stdout);
    if (fork() == 0) {
        struct rlimit r = {limit, limit};
        dup2(c, 157);
        dup2(l, 158);
        if (limit)
            setrlimit(RLIMIT_NOFILE, &r);
        if (limit && limit < 157) {
            dup2(157, 7);
            dup2(158, 8);
            close(157), close(158);
        }
        for (int i = 3; i < 100; i++)
            if (i != 7 && i != 8)
                close(i);
        if (!limit)
            close(7), close(8);
        execl(self_path, self_path, self_addr, "-exec", NULL);
        _exit(127);
    }
    int st;
    wait(&st);
    printf("child %d\n", st);
    SAY(read(s, &b, 1));
    close(c), close(s), close(d), close(l);
}

static void c_exec(void)
{
    exec_with(0);
}

static void c_exec_limit(void)
{
    exec_with(40);
}

extern char **environ;
static void c_spawn(void)
{
    int c, s, st = -1;
    char b[16];
    pair_up(&c, &s);
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, c, 1);
    posix_spawn_file_actions_addclose(&fa, c);
    char *argv[] = {"sh", "-c", "echo spawned", NULL};
    pid_t pid;
    fflush(stdout);
    SAY(posix_spawn(&pid, "/bin/sh", &fa, NULL, argv, environ));
    waitpid(pid, &st, 0);
    printf("child %d\n", st);
    SAY(recv(s, b, sizeof b, 0));
    /* A vfork child runs on our memory: what it closes stays open here. */
    int *volatile keep = &c;
    pid = vfork();
    if (pid == 0) {
        close(*keep);
        _exit(0);
    }
    waitpid(pid, &st, 0);
    names(c);
    SAY(write(c, "x", 1));
    SAY(recv(s, b, sizeof b, 0));
    close(c), close(s);
}

static void c_rights(void)
{
    int c, s, u[2];
    char b[8] = "m";
    pair_up(&c, &s);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&ctl.h), &c, sizeof c);
    struct iovec v = {b, 1};
    struct msghdr m = {NULL, 0, &v, 1, &ctl, sizeof ctl, 0};
    SAY(sendmsg(u[0], &m, 0));
    SAY(close(c));
    SAY(recvmsg(u[1], &m, 0));
    int got;
    memcpy(&got, CMSG_DATA(&ctl.h), sizeof got);
    names(got);
    SAY(write(got, "x", 1));
    SAY(recv(s, b, 8, 0));
    /* An inet stream takes no descriptors. */
    m.msg_controllen = sizeof ctl;
    memcpy(CMSG_DATA(&ctl.h), &u[0], sizeof got);
    SAY(sendmsg(got, &m, 0));
    close(got), close(s), close(u[0]), close(u[1]);
}

static void c_close_range(void)
{
    int c, s;
    char b;
    pair_up(&c, &s);
    int d = fcntl(c, F_DUPFD, 300);
    SAY(d);
    close(c);
    SAY(close_range(300, 310, 0x100)); /* refused, so it is what it was */
    names(300);
    SAY(close_range(300, 310, 0));
    wait_for(s, POLLIN);
    SAY(read(s, &b, 1));
    int p[2];
    OK(pipe(p));
    SAY(dup2(p[0], 300));
    close(p[1]);
    SAY(read(300, &b, 1));
    close(s), close(300), close(p[0]);
    pair_up(&c, &s);
    closefrom(c < s ? c : s);
    SAY(write(c, "x", 1));
}

static void *reader(void *arg)
{
    char b[8];
    return (void *)(long)recv(*(int *)arg, b, sizeof b, 0);
}

static void c_threads(void)
{
    int c[8], s[8];
    pthread_t t[8];
    for (int i = 0; i < 8; i++)
        pair_up(&c[i], &s[i]);
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, reader, &s[i]);
    for (int i = 0; i < 8; i++)
        if (write(c[i], "12345678", (size_t)i + 1) < 0)
            perror("write");
    for (int i = 0; i < 8; i++) {
        void *r;
        pthread_join(t[i], &r);
        printf("thread %d read %ld\n", i, (long)r);
    }
    for (int i = 0; i < 8; i++)
        close(c[i]), close(s[i]);
}

/* ---- a program that connects often: what is kept for it, and what it does to its numbers ---- */

static int often_port, often_listener;

/* How many of n connects in a row worked, each with its own byte through. */
static int often(int n)
{
    int good = 0;
    for (int i = 0; i < n; i++) {
        char b = 0;
        int c = socket(family, SOCK_STREAM, 0), s = -1;
        if (connect(c, addr(often_port), base_len) == 0)
            s = accept(often_listener, NULL, NULL);
        good += s >= 0 && write(c, "x", 1) == 1 && read(s, &b, 1) == 1 && b == 'x';
        close(c), close(s);
    }
    return good;
}

/* A socket above all that the case itself has open: not the program's. */
static int foreign_socket(void)
{
    struct stat st;
    for (int fd = 100; fd < 1024; fd++)
        if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
            return fd;
    return -1;
}

static void *connect_many(void *arg)
{
    int good = 0;
    for (int i = 0; i < 20; i++) {
        int c = socket(family, SOCK_STREAM, 0);
        good += connect(c, addr(often_port), base_len) == 0;
        close(c);
    }
    return (void *)(long)good;
}

static void *accept_many(void *arg)
{
    for (int i = 0; i < 80; i++)
        close(accept(often_listener, NULL, NULL));
    return NULL;
}

static void c_often(void)
{
    pthread_t t[5];
    char name[] = "/tmp/conform.XXXXXX";
    int status;
    often_listener = listener(&often_port);
    listen(often_listener, 128);
    SAY(often(20));
    for (int fd = 100; fd < 1024; fd++) /* as daemons do */
        close(fd);
    SAY(often(20));
    int file = mkstemp(name), at = foreign_socket();
    unlink(name);
    if (at < 0)
        at = 210; /* on kernel sockets */
    OK(dup2(file, at));
    SAY(often(20));
    SAY(lseek(file, 0, SEEK_END));
    OK(fcntl(at, F_GETFD));
    close(at), close(file);
    fflush(stdout);
    if (fork() == 0) {
        alarm(60);
        SAY(often(20));
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    SAY(status);
    SAY(often(20));
    if (vfork() == 0) {
        close_range(100, 1023, 0);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    wait(&status);
    SAY(status);
    SAY(often(20));
    pthread_create(&t[0], NULL, accept_many, NULL);
    for (int i = 1; i < 5; i++)
        pthread_create(&t[i], NULL, connect_many, NULL);
    for (int i = 1; i < 5; i++) {
        void *good;
        pthread_join(t[i], &good);
        printf("thread %d: %ld\n", i, (long)good);
    }
    pthread_join(t[0], NULL);
    usleep(2200 * 1000); /* the node ends what is kept for nothing */
    SAY(often(20));
    close(often_listener);
}

/* What a socket was told before it connects, by whichever way. */
/* fd as it comes back out of a socket */
static int passed(int fd)
{
    int u[2], got = -1;
    char b = 'x';
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec v = {&b, 1};
    struct msghdr m = {NULL, 0, &v, 1, &ctl, sizeof ctl, 0};
    memcpy(CMSG_DATA(&ctl.h), &fd, sizeof fd);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0 && sendmsg(u[0], &m, 0) == 1 && recvmsg(u[1], &m, 0) == 1)
        memcpy(&got, CMSG_DATA(&ctl.h), sizeof got);
    close(u[0]), close(u[1]);
    return got;
}

static void c_told(void)
{
    int port, l = listener(&port), on = 1, idle = 33;
    for (int way = 0; way < 7; way++) {
        int c = socket(family, SOCK_STREAM, 0), d = -1;
        if (way == 1)
            setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        if (way == 2) {
            d = dup(c);
            setsockopt(d, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        }
        if (way == 3 && fork() == 0) {
            setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            _exit(0);
        }
        if (way == 3)
            wait(NULL);
        if (way == 4)
            fcntl(c, F_SETOWN, getpid());
        if (way == 5) {
            d = passed(c);
            setsockopt(d, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        }
        if (way == 6) {
            char number[24], *env[] = {number, NULL}, *argv[] = {"x", (char *)self_addr, "-exec", NULL};
            snprintf(number, sizeof number, "CONFORM_TELL=%d", c);
            pid_t pid;
            SAY(posix_spawn(&pid, self_path, NULL, NULL, argv, env));
            waitpid(pid, NULL, 0);
        }
        SAY(connect(c, addr(port), base_len));
        OPTION(c, SOL_SOCKET, SO_KEEPALIVE);
        OPTION(c, IPPROTO_TCP, TCP_KEEPIDLE);
        OPTION(c, IPPROTO_TCP, TCP_NODELAY);
        SAY(fcntl(c, F_GETOWN) == getpid());
        close(accept(l, NULL, NULL)), close(c), close(d);
    }
    close(l);
}

const struct conform_case cases_process[] = {
    {"dup", c_dup},
    {"fork", c_fork},
    {"prefork", c_prefork},
    {"exec", c_exec},
    {"exec_limit", c_exec_limit},
    {"spawn", c_spawn},
    {"rights", c_rights},
    {"close_range", c_close_range},
    {"threads", c_threads},
    {"often", c_often},
    {"told", c_told},
    {NULL, NULL},
};
