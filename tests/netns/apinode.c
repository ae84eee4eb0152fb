/* A node behind the public API, told what to do by its arguments; for scripts.
 *
 *   apinode HOME NWID serve            prints "ready ADDRESS ID", echoes on TCP port 7001 until killed
 *   apinode HOME NWID connect ADDRESS [SECONDS [TEXT]]
 *                                      joins, then calls zts_connect on one descriptor until it succeeds
 *                                      (at most SECONDS, 30), sends TEXT and expects it back. Prints
 *                                      "connected MS tries N" (from READY) and then "echo MS"
 *   apinode HOME NWID watch            prints events
 *
 * Every event is a line "event CODE NODE-OR-NETWORK MS" on stderr. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ZeroTierSockets.h"

#define PORT 7001

static _Atomic int online, ready;
static _Atomic uint64_t self;
static _Atomic int64_t ready_at;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_event(struct zts_callback_msg *m)
{
    uint64_t id = m->node      ? m->node->address
                  : m->network ? m->network->nwid
                  : m->peer    ? m->peer->address
                               : 0;
    fprintf(stderr, "event %d %llx %lld\n", m->eventCode, (unsigned long long)id, (long long)now_ms());
    if (m->eventCode == ZTS_EVENT_NODE_ONLINE) {
        atomic_store(&self, m->node->address);
        atomic_store(&online, 1);
    }
    if (m->eventCode == ZTS_EVENT_NETWORK_READY_IP6) {
        atomic_store(&ready_at, now_ms());
        atomic_store(&ready, 1);
    }
}

static int wait_for(_Atomic int *flag, int ms)
{
    for (int64_t end = now_ms() + ms; !atomic_load(flag) && now_ms() < end;)
        zts_delay_ms(1);
    return atomic_load(flag);
}

static void *echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[4096];
    ssize_t n;
    while ((n = zts_read(fd, buf, sizeof buf)) > 0)
        (void)zts_write(fd, buf, (size_t)n);
    zts_close(fd);
    return NULL;
}

static int serve(uint64_t nwid)
{
    struct zts_sockaddr_in6 any = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(PORT)};
    struct zts_sockaddr_storage own;
    unsigned n = 1;
    char text[ZTS_INET6_ADDRSTRLEN];
    int l = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0), fd;
    if (zts_bind(l, &any, sizeof any) != 0 || zts_listen(l, 64) != 0 ||
        zts_query_addresses(nwid, &own, &n) != 0 || n < 1)
        return 1;
    zts_inet_ntop(ZTS_AF_INET6, &((struct zts_sockaddr_in6 *)&own)->sin6_addr, text, sizeof text);
    printf("ready %s %010llx\n", text, (unsigned long long)atomic_load(&self));
    fflush(stdout);
    while ((fd = zts_accept(l, NULL, NULL)) >= 0) {
        pthread_t t;
        if (pthread_create(&t, NULL, echo, (void *)(intptr_t)fd) == 0)
            pthread_detach(t);
    }
    return 1;
}

static int connect_to(const char *address, int seconds, const char *text)
{
    struct zts_sockaddr_in6 a = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(PORT)};
    char back[256];
    size_t len = strlen(text);
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0), tries = 0;
    struct zts_timeval limit = {.tv_sec = 1};
    int64_t end = now_ms() + seconds * 1000;
    if (zts_inet_pton(ZTS_AF_INET6, address, &a.sin6_addr) != 1)
        return 2;
    if (seconds < 30) /* several attempts, each on the same descriptor */
        zts_setsockopt(fd, ZTS_SOL_SOCKET, ZTS_SO_CONTIMEO, &limit, sizeof limit);
    for (;;) {
        tries++;
        if (zts_connect(fd, &a, sizeof a) == 0)
            break;
        if (now_ms() > end) {
            printf("failed %s tries %d\n", zts_strerror(zts_errno), tries);
            return 1;
        }
        zts_delay_ms(20);
    }
    printf("connected %lld tries %d\n", (long long)(now_ms() - atomic_load(&ready_at)), tries);
    fflush(stdout);
    int64_t from = now_ms();
    if (zts_send(fd, text, len, 0) != (ssize_t)len ||
        zts_recv(fd, back, len, ZTS_MSG_WAITALL) != (ssize_t)len || memcmp(text, back, len) != 0) {
        printf("echo failed: %s\n", zts_strerror(zts_errno));
        return 1;
    }
    printf("echo %lld\n", (long long)(now_ms() - from));
    zts_close(fd);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    uint64_t nwid = strtoull(argv[2], NULL, 16);
    if (zts_start(argv[1], on_event, 0) != ZTS_ERR_OK)
        return 1;
    if (strcmp(argv[3], "watch") == 0)
        for (;;)
            pause();
    if (!wait_for(&online, 60000) || zts_join(nwid) != ZTS_ERR_OK || !wait_for(&ready, 60000)) {
        printf("not ready\n");
        return 1;
    }
    int rc = strcmp(argv[3], "serve") == 0 ? serve(nwid)
             : argc > 4 ? connect_to(argv[4], argc > 5 ? atoi(argv[5]) : 30, argc > 6 ? argv[6] : "hello")
                        : 2;
    fflush(stdout);
    zts_free();
    return rc;
}
