#include "../unit/ztest.h"

#include "env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
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

uint64_t env_identity(const char *home)
{
    char path[256], line[64] = "";
    snprintf(path, sizeof path, "%s/identity.public", home);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fgets(line, 11, f) == NULL)
        line[0] = 0;
    fclose(f);
    return strtoull(line, NULL, 16);
}

static int run(const char *command)
{
    int rc = system(command);
    if (rc != 0)
        fprintf(stderr, "failed: %s\n", command);
    return rc == 0 ? 0 : -1;
}

/* Start a program that writes to the file dir/NAME.log. It dies with us. */
static pid_t spawn(const struct env *e, const char *name, char *const argv[])
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s.log", e->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execv(argv[0], argv);
        _exit(127);
    }
    close(fd);
    return pid;
}

/* What it has said, for whoever looks for the reason of a failure. */
static int complain(const struct env *e, const char *name, const char *what)
{
    char path[128], line[512];
    snprintf(path, sizeof path, "%s/%s.log", e->dir, name);
    fprintf(stderr, "the %s %s; it said:\n", name, what);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        fprintf(stderr, "    %s", line);
    if (f != NULL)
        fclose(f);
    return -1;
}

/* Until its log has a line with `what`, which stays in line. */
static int wait_line(const struct env *e, const char *name, pid_t *pid, const char *what, char *line,
                     size_t cap, int ms)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s.log", e->dir, name);
    for (int64_t end = env_ms() + ms; env_ms() < end; zts_delay_ms(10)) {
        FILE *f = fopen(path, "re");
        bool found = false;
        while (f != NULL && !found && fgets(line, (int)cap, f) != NULL)
            found = strchr(line, '\n') != NULL && strstr(line, what) != NULL;
        if (f != NULL)
            fclose(f);
        if (found)
            return 0;
        if (waitpid(*pid, NULL, WNOHANG) == *pid) {
            *pid = 0;
            return complain(e, name, "has ended");
        }
    }
    return complain(e, name, "is not ready");
}

int env_free_port(void)
{
    char line[16] = "";
    FILE *f = popen("python3 '" ZT_TEST_PORTS "'", "re");
    if (f == NULL || fgets(line, sizeof line, f) == NULL)
        line[0] = 0;
    if (f != NULL)
        pclose(f);
    return atoi(line);
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
    memset(e, 0, sizeof *e);
    strcpy(e->dir, "/tmp/zt-api-XXXXXX");
    if (mkdtemp(e->dir) == NULL)
        return -1;
    snprintf(home, sizeof home, "%s/root", e->dir);
    snprintf(port, sizeof port, "%d", env_free_port());
    snprintf(cmd, sizeof cmd,
             "%s/ztctl identity new -o %s >/dev/null && %s/ztctl planet new --root "
             "%s/identity.public 127.0.0.1/%s -o %s/planet >/dev/null",
             tools(), home, tools(), home, port, home);
    if (run(cmd) != 0)
        return -1;
    snprintf(ztd, sizeof ztd, "%s/ztd", tools());
    e->root = spawn(e, "root", (char *[]){ztd, "-H", home, "-p", port, NULL});
    return e->root > 0 ? wait_line(e, "root", &e->root, "online", line, sizeof line, 90000) : -1;
}

int env_start_peer(struct env *e)
{
    return env_start_peer_on(e, 0);
}

int env_start_peer_on(struct env *e, uint64_t nwid)
{
    char home[128], line[256], text[64], text4[64] = "", id[32], out[1024];
    env_home(e, "peer", home);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)nwid);
    if (env_ztctl(e, "peer", out, sizeof out, "identity new -o %s", home) != 0)
        return -1;
    e->peer_id = env_identity(home);
    if (nwid != 0 && env_ztctl(e, "root", out, sizeof out, "controller authorize %s %010llx", id,
                               (unsigned long long)e->peer_id) != 0)
        return -1;
    e->peer = spawn(e, "peer", (char *[]){"/proc/self/exe", "--peer", home, id, NULL});
    if (e->peer <= 0 || wait_line(e, "peer", &e->peer, "serving ", line, sizeof line, 120000) != 0)
        return -1;
    if (sscanf(line, "serving %63s %63s", text, text4) < 1)
        return -1;
    e->peer_addr4.sin_family = ZTS_AF_INET;
    if (nwid != 0 && zts_inet_pton(ZTS_AF_INET, text4, &e->peer_addr4.sin_addr) != 1)
        return -1;
    e->peer_addr.sin6_family = ZTS_AF_INET6;
    return zts_inet_pton(ZTS_AF_INET6, text, &e->peer_addr.sin6_addr) == 1 ? 0 : -1;
}

/* It stops when it is asked to; what a sanitizer has to say shows as another status. */
static int end_process(const struct env *e, const char *name, pid_t pid)
{
    int st = 0;
    if (pid <= 0)
        return 0;
    kill(pid, SIGTERM);
    kill(pid, SIGCONT); /* of one that a test had stopped and failed */
    if (waitpid(pid, &st, 0) != pid || st != 0)
        return complain(e, name, "did not end in good order");
    return 0;
}

int env_stop(struct env *e)
{
    char cmd[128];
    int rc = end_process(e, "peer", e->peer) | end_process(e, "root", e->root);
    if (strncmp(e->dir, "/tmp/zt-api-", 12) == 0) {
        snprintf(cmd, sizeof cmd, "rm -rf %s", e->dir);
        rc |= run(cmd);
    }
    return rc;
}

/* ---- a test program ---------------------------------------------------------------------------- */

static struct env *world;
static int (*rest_of_setup)(void);

void env_program(struct env *e, int argc, char **argv, int (*setup)(void))
{
    if (argc == 4 && strcmp(argv[1], "--peer") == 0)
        exit(env_peer_main(argv[2], argv[3]));
    world = e;
    rest_of_setup = setup;
    cmocka_set_test_filter(getenv("ZT_TEST_CASE"));
}

int env_setup(void **state)
{
    if (env_start(world) == 0 && (rest_of_setup == NULL || rest_of_setup() == 0))
        return 0;
    (void)env_stop(world);
    return -1;
}

int env_teardown(void **state)
{
    int rc = zts_free();
    return env_stop(world) | (rc == ZTS_ERR_SERVICE ? 0 : rc); /* some tests free it themselves */
}

/* ---- events
 * ---------------------------------------------------------------------------------------- */

#define MAX_EVENTS 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static int events[MAX_EVENTS], nevents;
static uint64_t event_ids[MAX_EVENTS];

static struct zts_node_details last_node;
static bool has_node;
#define KEPT 16
static struct zts_network_details *networks[KEPT];
static struct zts_peer_details peers[KEPT * 4];
static unsigned npeers;
void (*_Atomic env_hook)(struct zts_callback_msg *msg);

/* R61: the pointer of the event's kind alone. */
static bool one_pointer(const struct zts_callback_msg *m)
{
    int c = m->eventCode;
    const void *p[6] = {m->node, m->network, m->netif, m->route, m->peer, m->addr};
    int want = c >= 200 && c <= 206   ? 0
               : c >= 210 && c <= 219 ? 1
               : c >= 220 && c <= 221 ? -1
               : c >= 230 && c <= 234 ? 2
               : c >= 240 && c <= 244 ? 4
               : c >= 250 && c <= 251 ? 3
               : c >= 260 && c <= 263 ? 5
                                      : -2;
    for (int i = 0; i < 6; i++)
        if ((p[i] != NULL) != (i == want))
            return false;
    return want != -2;
}

static void keep_network(const struct zts_network_details *n)
{
    for (int i = 0; i < KEPT; i++) {
        if (networks[i] == NULL)
            networks[i] = calloc(1, sizeof *n);
        if (networks[i]->nwid == n->nwid || networks[i]->nwid == 0) {
            *networks[i] = *n;
            return;
        }
    }
}

static void keep_peer(const struct zts_peer_details *p)
{
    unsigned i = 0;
    while (i < npeers && peers[i].address != p->address)
        i++;
    if (i < KEPT * 4)
        peers[i] = *p;
    if (i == npeers && i < KEPT * 4)
        npeers++;
}

static uint64_t id_of(const struct zts_callback_msg *m)
{
    return m->node != NULL      ? m->node->address
           : m->network != NULL ? m->network->nwid
           : m->netif != NULL   ? m->netif->nwid
           : m->peer != NULL    ? m->peer->address
           : m->addr != NULL    ? m->addr->nwid
                                : 0;
}

void env_callback(struct zts_callback_msg *msg)
{
    if (!one_pointer(msg)) {
        fprintf(stderr, "event %d with the wrong pointers\n", msg->eventCode);
        abort();
    }
    void (*hook)(struct zts_callback_msg *) = env_hook;
    if (hook != NULL)
        hook(msg);
    pthread_mutex_lock(&lock);
    if (msg->node != NULL) {
        last_node = *msg->node;
        has_node = true;
    }
    if (msg->network != NULL)
        keep_network(msg->network);
    if (msg->peer != NULL)
        keep_peer(msg->peer);
    if (nevents < MAX_EVENTS) {
        event_ids[nevents] = id_of(msg);
        events[nevents++] = msg->eventCode;
    }
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
    return env_wait_event_of(code, 0, from, ms);
}

int env_wait_event_of(int code, uint64_t id, int from, int ms)
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
        if (events[i] == code && (id == 0 || event_ids[i] == id))
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

static int settled(int (*count)(void), int most)
{
    int64_t began = env_ms(), changed = began, idle = most > 0 ? 10000 : 300;
    int n = count();
    while (n > most && env_ms() - changed < idle && env_ms() - began < 60000) {
        zts_delay_ms(10);
        int now = count();
        if (now != n)
            changed = env_ms();
        n = now;
    }
    return n;
}

int env_fds_settled(int most)
{
    return settled(env_fds, most);
}

int env_threads_settled(int most)
{
    return settled(env_threads, most);
}

int env_start_node(const char *home, int port)
{
    int rc = zts_start(home, env_callback, port);
    for (int64_t end = env_ms() + 30000; rc == ZTS_ERR_SERVICE && env_ms() < end;) {
        zts_delay_ms(10);
        rc = zts_start(home, env_callback, port);
    }
    return rc;
}

uint64_t env_event_id(int i)
{
    pthread_mutex_lock(&lock);
    uint64_t id = i >= 0 && i < nevents ? event_ids[i] : 0;
    pthread_mutex_unlock(&lock);
    return id;
}

bool env_last_node(struct zts_node_details *out)
{
    pthread_mutex_lock(&lock);
    bool ok = has_node;
    *out = last_node;
    pthread_mutex_unlock(&lock);
    return ok;
}

bool env_last_network(uint64_t nwid, struct zts_network_details *out)
{
    bool ok = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < KEPT && networks[i] != NULL && !ok; i++)
        if (networks[i]->nwid == nwid) {
            *out = *networks[i];
            ok = true;
        }
    pthread_mutex_unlock(&lock);
    return ok;
}

bool env_last_peer(uint64_t addr, struct zts_peer_details *out)
{
    bool ok = false;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < npeers && !ok; i++)
        if (peers[i].address == addr) {
            *out = peers[i];
            ok = true;
        }
    pthread_mutex_unlock(&lock);
    return ok;
}

/* ---- the world outside ------------------------------------------------------------------------ */

int env_ztctl(struct env *e, const char *name, char *out, size_t cap, const char *args, ...)
{
    char cmd[1024];
    int at = snprintf(cmd, sizeof cmd, "%s/ztctl -H %s/%s ", tools(), e->dir, name);
    va_list ap;
    va_start(ap, args);
    vsnprintf(cmd + at, sizeof cmd - (size_t)at, args, ap);
    va_end(ap);
    FILE *f = popen(cmd, "re");
    if (f == NULL)
        return -1;
    size_t n = fread(out, 1, cap - 1, f);
    out[n] = 0;
    if (n > 0 && out[n - 1] == '\n')
        out[n - 1] = 0;
    int rc = pclose(f);
    if (rc != 0)
        fprintf(stderr, "failed: %s\n", cmd);
    return rc == 0 ? 0 : -1;
}

uint64_t env_network(struct env *e, const char *args)
{
    char out[256];
    if (env_ztctl(e, "root", out, sizeof out, "controller new %s", args) != 0)
        return 0;
    return strtoull(out, NULL, 16);
}

int64_t env_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t env_own_ms(void)
{
    long long ran, waited = 0;
    FILE *f = fopen("/proc/thread-self/schedstat", "re");
    if (f != NULL && fscanf(f, "%lld %lld", &ran, &waited) != 2)
        waited = 0;
    if (f != NULL)
        fclose(f);
    return env_ms() - waited / 1000000;
}

int env_rss_kb(void)
{
    long size = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &size, &rss) != 2)
            rss = 0;
        fclose(f);
    }
    return (int)(rss * sysconf(_SC_PAGESIZE) / 1024);
}

int64_t env_cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

size_t env_count_files(const char *dir)
{
    int n = count_entries(dir);
    return n > 0 ? (size_t)n : 0;
}

int env_in_child(int (*fn)(void *arg), void *arg)
{
    int st;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        nevents = 0;
        _exit(fn(arg));
    }
    if (pid < 0 || waitpid(pid, &st, 0) != pid || !WIFEXITED(st))
        return -1;
    return WEXITSTATUS(st);
}

int env_online(struct env *e, const char *name)
{
    char home[128];
    env_home(e, name, home);
    env_clear_events();
    if (env_start_node(home, 0) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) < 0)
        return -1;
    return 0;
}

int env_down(void)
{
    int from = env_events();
    if (zts_stop() != ZTS_ERR_OK)
        return -1;
    return env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, from, 90000) >= 0 ? 0 : -1;
}

int env_up(struct env *e, const char *name)
{
    char home[128];
    env_home(e, name, home);
    env_clear_events();
    if (env_start_node(home, 0) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) < 0 || zts_join(ENV_NWID) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 90000) < 0)
        return -1;
    return 0;
}

/* ---- the peer
 * ------------------------------------------------------------------------------------- */

static _Atomic int serving; /* threads that have their port */

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

static void count_one(int fd)
{
    static uint32_t last;
    char buf[4096];
    ssize_t n;
    (void)zts_write(fd, &last, sizeof last);
    for (last = 0; (n = zts_read(fd, buf, sizeof buf)) > 0;)
        last += (uint32_t)n;
}

static void *serve(void *arg)
{
    int port = (int)(intptr_t)arg, l = listener(port), fd;
    serving++;
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
        } else if (port == ENV_TCP_LAST) {
            count_one(fd);
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
    struct zts_ipv6_mreq m6 = {0};
    struct zts_ip_mreq m4 = {.imr_multiaddr.s_addr = zts_inet_addr(ENV_GROUP4)};
    zts_inet_pton(ZTS_AF_INET6, ENV_GROUP6, &m6.ipv6mr_multiaddr);
    m6.ipv6mr_interface = arg != NULL ? (unsigned)(intptr_t)arg : 0;
    if (fd < 0 || zts_bind(fd, &a, sizeof a) < 0 ||
        zts_setsockopt(fd, ZTS_IPPROTO_IPV6, ZTS_IPV6_JOIN_GROUP, &m6, sizeof m6) < 0)
        exit(1);
    /* Without an IPv4 address there is no such network: fine. */
    (void)zts_setsockopt(fd, ZTS_IPPROTO_IP, ZTS_IP_ADD_MEMBERSHIP, &m4, sizeof m4);
    serving++;
    for (;;) {
        zts_socklen_t len = sizeof a;
        ssize_t n = zts_recvfrom(fd, buf, sizeof buf, 0, &a, &len);
        if (n >= 0)
            zts_sendto(fd, buf, (size_t)n, 0, &a, len);
        else if (n != ZTS_ERR_SOCKET)
            return NULL;
    }
}

int env_peer_main(const char *home, const char *id)
{
    char text[ZTS_INET6_ADDRSTRLEN], text4[ZTS_INET_ADDRSTRLEN] = "";
    uint64_t nwid = strtoull(id, NULL, 16);
    struct zts_network_details d = {0};
    static const int ports[] = {ENV_TCP_ECHO, ENV_TCP_CLOSE, ENV_TCP_RESET, ENV_TCP_LAST};
    pthread_t t;
    sigset_t term;
    int sig;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL); /* for all threads */
    if (env_start_node(home, 0) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, 90000) < 0 || zts_join(ENV_NWID) != ZTS_ERR_OK ||
        env_wait_event(ZTS_EVENT_NETWORK_READY_IP6, 0, 90000) < 0)
        return 1;
    if (nwid != 0 && (zts_join(nwid) != 0 ||
                      env_wait_event_of(ZTS_EVENT_NETWORK_READY_IP4, nwid, 0, 90000) < 0 ||
                      zts_query_network(nwid, &d) != 0))
        return 1;
    for (unsigned i = 0; i < d.assignedAddressCount; i++)
        if (d.assignedAddresses[i].ss_family == ZTS_AF_INET)
            zts_inet_ntop(ZTS_AF_INET, &((struct zts_sockaddr_in *)&d.assignedAddresses[i])->sin_addr,
                          text4, sizeof text4);
    struct zts_sockaddr_storage own;
    unsigned n = 1;
    if (zts_query_addresses(ENV_NWID, &own, &n) != 0 || n < 1)
        return 1;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&t, NULL, serve, (void *)(intptr_t)ports[i]) != 0 || pthread_detach(t) != 0)
            return 1;
    if (pthread_create(&t, NULL, serve_udp,
                       (void *)(intptr_t)(nwid != 0 ? zts_query_interface(nwid) : 0)) != 0 ||
        pthread_detach(t) != 0)
        return 1;
    while (serving < 5) /* a connect before that would only be refused */
        zts_delay_ms(10);
    zts_inet_ntop(ZTS_AF_INET6, &((struct zts_sockaddr_in6 *)&own)->sin6_addr, text, sizeof text);
    printf("serving %s %s\n", text, text4);
    fflush(stdout);
    sigwait(&term, &sig);
    return zts_free() == ZTS_ERR_OK ? 0 : 2;
}
