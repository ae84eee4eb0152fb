#include "env.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- processes ----------------------------------------------------------------------------------
 */

static const char *tools(void)
{
    const char *t = getenv("ZT_TEST_TOOLS");
    return t != NULL ? t : ZT_TEST_TOOLS;
}

static int run(const char *command)
{
    int rc = system(command);
    if (rc != 0)
        fprintf(stderr, "failed: %s\n", command);
    return rc == 0 ? 0 : -1;
}

/* Start a program whose fd `out` comes to us by *pipe_fd. It dies with us. */
static pid_t spawn(char *const argv[], int out, int *pipe_fd)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(p[1], out);
        execv(argv[0], argv);
        _exit(127);
    }
    close(p[1]);
    *pipe_fd = p[0];
    return pid;
}

/* Read lines until one contains `what`; it stays in line. */
static int wait_line(int fd, const char *what, char *line, size_t cap, int ms)
{
    size_t n = 0;
    while (n + 1 < cap) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, ms) <= 0 || read(fd, line + n, 1) != 1)
            return -1;
        if (line[n++] != '\n')
            continue;
        line[n - 1] = 0;
        if (strstr(line, what) != NULL)
            return 0;
        n = 0;
    }
    return -1;
}

static int free_udp_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&a, n) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        a.sin_port = htons(29999);
    close(fd);
    return ntohs(a.sin_port);
}

void env_home(struct env *e, const char *name, char out[128])
{
    char cmd[512];
    snprintf(out, 128, "%s/%s", e->dir, name);
    snprintf(cmd, sizeof cmd, "mkdir -p %s && cp %s/root/planet %s/", out, e->dir, out);
    (void)run(cmd);
}

int env_start(struct env *e)
{
    char cmd[1024], home[128], port[16], ztd[256], line[256];
    int fd;
    memset(e, 0, sizeof *e);
    strcpy(e->dir, "/tmp/zt-api-XXXXXX");
    if (mkdtemp(e->dir) == NULL)
        return -1;
    snprintf(home, sizeof home, "%s/root", e->dir);
    snprintf(port, sizeof port, "%d", free_udp_port());
    snprintf(cmd, sizeof cmd,
             "%s/ztctl identity new -o %s >/dev/null && %s/ztctl planet new --root "
             "%s/identity.public 127.0.0.1/%s -o %s/planet >/dev/null",
             tools(), home, tools(), home, port, home);
    if (run(cmd) != 0)
        return -1;
    snprintf(ztd, sizeof ztd, "%s/ztd", tools());
    e->root = spawn((char *[]){ztd, "-H", home, "-p", port, NULL}, STDERR_FILENO, &fd);
    int rc = e->root > 0 ? wait_line(fd, "online", line, sizeof line, 20000) : -1;
    /* The pipe stays open (and small): the root says nothing more in a normal run. */
    return rc;
}

int env_start_peer(struct env *e)
{
    char home[128], line[256], text[64];
    int fd;
    env_home(e, "peer", home);
    e->peer = spawn((char *[]){"/proc/self/exe", "--peer", home, NULL}, STDOUT_FILENO, &fd);
    if (e->peer <= 0 || wait_line(fd, "serving ", line, sizeof line, 30000) != 0)
        return -1;
    if (sscanf(line, "serving %63s", text) != 1)
        return -1;
    e->peer_addr.sin6_family = ZTS_AF_INET6;
    return zts_inet_pton(ZTS_AF_INET6, text, &e->peer_addr.sin6_addr) == 1 ? 0 : -1;
}

static void end_process(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
}

void env_stop(struct env *e)
{
    char cmd[128];
    end_process(e->peer);
    end_process(e->root);
    if (strncmp(e->dir, "/tmp/zt-api-", 12) == 0) {
        snprintf(cmd, sizeof cmd, "rm -rf %s", e->dir);
        (void)run(cmd);
    }
}

/* ---- events
 * ---------------------------------------------------------------------------------------- */

#define MAX_EVENTS 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static int events[MAX_EVENTS], nevents;
static struct zts_sockaddr_storage own_addr;

void env_callback(struct zts_callback_msg *msg)
{
    pthread_mutex_lock(&lock);
    if (nevents < MAX_EVENTS)
        events[nevents++] = msg->eventCode;
    if (msg->eventCode == ZTS_EVENT_ADDR_ADDED_IP6)
        own_addr = msg->addr->addr;
    pthread_cond_broadcast(&came);
    pthread_mutex_unlock(&lock);
}

int env_event(int i)
{
    pthread_mutex_lock(&lock);
    int code = i >= 0 && i < nevents ? events[i] : 0;
    pthread_mutex_unlock(&lock);
    return code;
}

int env_events(void)
{
    pthread_mutex_lock(&lock);
    int n = nevents;
    pthread_mutex_unlock(&lock);
    return n;
}

void env_clear_events(void)
{
    pthread_mutex_lock(&lock);
    nevents = 0;
    pthread_mutex_unlock(&lock);
}

int env_wait_event(int code, int from, int ms)
{
    struct timespec end;
    int found = -1, rc = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&lock);
    for (int i = from; found < 0; i++) {
        while (i >= nevents && rc == 0)
            rc = pthread_cond_timedwait(&came, &lock, &end);
        if (i >= nevents)
            break;
        if (events[i] == code)
            found = i;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static int count_entries(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n - 2;
}

int env_threads(void)
{
    return count_entries("/proc/self/task");
}

int env_fds(void)
{
    return count_entries("/proc/self/fd") - 1;
}

int env_up(struct env *e, const char *name)
{
    char home[128];
    env_home(e, name, home);
    env_clear_events();
    if (zts_start(home, env_callback, 0) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 20000) < 0 || zts_join(ENV_NWID) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 10000) < 0)
        return -1;
    return 0;
}

/* ---- the peer
 * ------------------------------------------------------------------------------------- */

static int listener(int port)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6,
                                   .sin6_port = zts_htons((uint16_t)port)};
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    if (fd < 0 || zts_bind(fd, &any, sizeof any) < 0 || zts_listen(fd, 64) < 0) {
        fprintf(stderr, "peer: port %d: %s\n", port, zts_strerror(zts_errno));
        exit(1);
    }
    return fd;
}

static void *echo_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    static _Thread_local char buf[65536];
    ssize_t n;
    while ((n = zts_read(fd, buf, sizeof buf)) > 0)
        for (ssize_t at = 0, k; at < n; at += k)
            if ((k = zts_write(fd, buf + at, (size_t)(n - at))) <= 0)
                break;
    zts_close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    int port = (int)(intptr_t)arg, l = listener(port), fd;
    while ((fd = zts_accept(l, NULL, NULL)) >= 0) {
        pthread_t t;
        char c;
        struct zts_linger hard = {.l_onoff = 1, .l_linger = 0};
        if (port == ENV_TCP_ECHO) {
            if (pthread_create(&t, NULL, echo_one, (void *)(intptr_t)fd) == 0)
                pthread_detach(t);
            continue;
        }
        if (port == ENV_TCP_CLOSE) {
            zts_write(fd, "bye", 3);
        } else {
            zts_read(fd, &c, 1);
            zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_LINGER, &hard, sizeof hard);
        }
        zts_close(fd);
    }
    return NULL;
}

static void *serve_udp(void *arg)
{
    static char buf[65536];
    struct zts_sockaddr_in6 a = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(ENV_UDP_ECHO)};
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_DGRAM, 0);
    if (fd < 0 || zts_bind(fd, &a, sizeof a) < 0)
        exit(1);
    for (;;) {
        zts_socklen_t len = sizeof a;
        ssize_t n = zts_recvfrom(fd, buf, sizeof buf, 0, &a, &len);
        if (n >= 0)
            zts_sendto(fd, buf, (size_t)n, 0, &a, len);
        else if (n != ZTS_ERR_SOCKET)
            return NULL;
    }
}

int env_peer_main(const char *home)
{
    char text[ZTS_INET6_ADDRSTRLEN];
    static const int ports[] = {ENV_TCP_ECHO, ENV_TCP_CLOSE, ENV_TCP_RESET};
    pthread_t t;
    if (zts_start(home, env_callback, 0) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 20000) < 0 || zts_join(ENV_NWID) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 10000) < 0)
        return 1;
    for (int i = 0; i < 3; i++)
        pthread_create(&t, NULL, serve, (void *)(intptr_t)ports[i]);
    pthread_create(&t, NULL, serve_udp, NULL);
    zts_delay_ms(100); /* the threads bind; a connect before that would only be refused */
    zts_inet_ntop(ZTS_AF_INET6, &((struct zts_sockaddr_in6 *)&own_addr)->sin6_addr, text,
                  sizeof text);
    printf("serving %s\n", text);
    fflush(stdout);
    for (;;)
        pause();
}
