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
    char b;
    names(7);
    OPTION(7, SOL_SOCKET, SO_DOMAIN);
    OPTION(7, SOL_SOCKET, SO_TYPE);
    OPTION(7, SOL_SOCKET, SO_PROTOCOL);
    OPTION(8, SOL_SOCKET, SO_ACCEPTCONN);
    SAY(write(7, "x", 1));
    int s = accept(8, NULL, NULL);
    SAY(read(s, &b, 1));
    names(s);
    SAY(listen(8, 3));
}

static void c_exec(void)
{
    int c, s, port, l = listener(&port);
    char b;
    pair_up(&c, &s);
    int d = socket(family, SOCK_STREAM, 0);
    SAY(connect(d, addr(port), base_len));
    SAY(write(d, "y", 1));
    fflush(stdout);
    if (fork() == 0) {
        dup2(c, 57);
        dup2(l, 58);
        dup2(57, 7);
        dup2(58, 8);
        execl(self_path, self_path, self_addr, "-exec", NULL);
        _exit(127);
    }
    int st;
    wait(&st);
    printf("child %d\n", st);
    SAY(read(s, &b, 1));
    close(c), close(s), close(d), close(l);
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

const struct conform_case cases_process[] = {
    {"dup", c_dup},
    {"fork", c_fork},
    {"prefork", c_prefork},
    {"exec", c_exec},
    {"spawn", c_spawn},
    {"rights", c_rights},
    {"close_range", c_close_range},
    {"threads", c_threads},
    {NULL, NULL},
};
