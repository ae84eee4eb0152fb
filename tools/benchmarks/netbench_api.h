/* The few socket calls that netbench needs, in three forms: the kernel's, those of our libzt
 * (NETBENCH_ZTS), and those of the 1.8 generation (NETBENCH_ZTS18), with which upstream's library
 * is measured. IPv6 only. */
#ifndef NETBENCH_API_H
#define NETBENCH_API_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#ifdef NETBENCH_ZTS18
#include "ZeroTierSockets.h"

static char nb_ip[64];

static void nb_start(const char *home, const char *nwid)
{
    static char planet[8192];
    char path[4096];
    uint64_t id = strtoull(nwid, NULL, 16);
    snprintf(path, sizeof path, "%s/planet", home);
    FILE *f = fopen(path, "rb");
    size_t n = f != NULL ? fread(planet, 1, sizeof planet, f) : 0;
    if (n == 0 || zts_init_from_storage(home) != ZTS_ERR_OK ||
        zts_init_set_roots(planet, (unsigned)n) != ZTS_ERR_OK || zts_node_start() != ZTS_ERR_OK)
        exit(1);
    fclose(f);
    while (!zts_node_is_online())
        zts_util_delay(1);
    if (zts_net_join(id) != ZTS_ERR_OK)
        exit(1);
    while (!zts_net_transport_is_ready(id) || !zts_addr_is_assigned(id, ZTS_AF_INET6))
        zts_util_delay(1);
    zts_addr_get_str(id, ZTS_AF_INET6, nb_ip, sizeof nb_ip);
}

static void nb_stop(void)
{
    /* Its own shutdown may wait for seconds; nothing is measured any more. */
    fflush(stdout);
    _Exit(0);
}

static int nb_errno(void)
{
    return zts_errno;
}

static const char *nb_own_address(void)
{
    return nb_ip;
}

typedef struct zts_sockaddr_in6 nb_addr;
static nb_addr nb_make(const char *ip, int port)
{
    nb_addr a;
    memset(&a, 0, sizeof a);
    a.sin6_len = sizeof a;
    a.sin6_family = ZTS_AF_INET6;
    a.sin6_port = htons((uint16_t)port);
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}
#define NB(call) zts_bsd_##call
#define NB_AF ZTS_AF_INET6
#define NB_STREAM ZTS_SOCK_STREAM
#define NB_DGRAM ZTS_SOCK_DGRAM
#define NB_TCP ZTS_IPPROTO_TCP
#define NB_NODELAY ZTS_TCP_NODELAY
#define NB_SHUT_WR ZTS_SHUT_WR
#define NB_LISTEN_IP "::"
typedef zts_socklen_t nb_socklen;
#define nb_timeval zts_timeval
#define NB_SOL ZTS_SOL_SOCKET
#define NB_RCVTIMEO ZTS_SO_RCVTIMEO

#elif defined NETBENCH_ZTS
#include "ZeroTierSockets.h"

static volatile int nb_online, nb_fatal;
static char nb_ip[64];
static volatile int nb_has_ip;

static void nb_event(struct zts_callback_msg *m)
{
    if (m->eventCode == ZTS_EVENT_NODE_ONLINE)
        nb_online = 1;
    if (m->eventCode == ZTS_EVENT_NODE_UNRECOVERABLE_ERROR)
        nb_fatal = 1;
    if (m->eventCode == ZTS_EVENT_ADDR_ADDED_IP6 && m->addr != NULL && !nb_has_ip) {
        const struct zts_sockaddr_in6 *a = (const struct zts_sockaddr_in6 *)&m->addr->addr;
        inet_ntop(AF_INET6, &a->sin6_addr, nb_ip, sizeof nb_ip);
        __atomic_store_n(&nb_has_ip, 1, __ATOMIC_RELEASE);
    }
}

static void nb_wait(volatile int *what, const char *name)
{
    for (int i = 0; i < 3000 && !__atomic_load_n(what, __ATOMIC_ACQUIRE) && !nb_fatal; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    if (!*what) {
        fprintf(stderr, "netbench: not %s after 30 s\n", name);
        exit(1);
    }
}

static void nb_start(const char *home, const char *nwid)
{
    if (zts_start(home, nb_event, 0) != ZTS_ERR_OK)
        exit(1);
    nb_wait(&nb_online, "online");
    if (zts_join(strtoull(nwid, NULL, 16)) != ZTS_ERR_OK)
        exit(1);
    nb_wait(&nb_has_ip, "given an address");
}

static void nb_stop(void)
{
    zts_free();
}

static int nb_errno(void)
{
    return zts_errno;
}

static const char *nb_own_address(void)
{
    return nb_ip;
}

typedef struct zts_sockaddr_in6 nb_addr;
static nb_addr nb_make(const char *ip, int port)
{
    nb_addr a;
    memset(&a, 0, sizeof a);
    a.sin6_len = sizeof a;
    a.sin6_family = ZTS_AF_INET6;
    a.sin6_port = htons((uint16_t)port);
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}
#define NB(call) zts_##call
#define NB_AF ZTS_AF_INET6
#define NB_STREAM ZTS_SOCK_STREAM
#define NB_DGRAM ZTS_SOCK_DGRAM
#define NB_TCP ZTS_IPPROTO_TCP
#define NB_NODELAY ZTS_TCP_NODELAY
#define NB_SHUT_WR ZTS_SHUT_WR
#define NB_LISTEN_IP "::"
typedef zts_socklen_t nb_socklen;
#define nb_timeval zts_timeval
#define NB_SOL ZTS_SOL_SOCKET
#define NB_RCVTIMEO ZTS_SO_RCVTIMEO

#else
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void nb_start(const char *home, const char *nwid)
{
    fprintf(stderr, "netbench: -z %s %s needs the build with libzt\n", home, nwid);
    exit(2);
}

static void nb_stop(void)
{
}

static int nb_errno(void)
{
    return errno;
}

static const char *nb_own_address(void)
{
    const char *ip = getenv("BIND");
    return ip != NULL ? ip : "::1";
}

typedef struct sockaddr_in6 nb_addr;
static nb_addr nb_make(const char *ip, int port)
{
    nb_addr a;
    memset(&a, 0, sizeof a);
    a.sin6_family = AF_INET6;
    a.sin6_port = htons((uint16_t)port);
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}
#define NB(call) call
#define NB_AF AF_INET6
#define NB_STREAM SOCK_STREAM
#define NB_DGRAM SOCK_DGRAM
#define NB_TCP IPPROTO_TCP
#define NB_NODELAY TCP_NODELAY
#define NB_SHUT_WR SHUT_WR
#define NB_LISTEN_IP nb_own_address()
typedef socklen_t nb_socklen;
#define nb_timeval timeval
#define NB_SOL SOL_SOCKET
#define NB_RCVTIMEO SO_RCVTIMEO
#endif

static int nb_connect(const char *ip, int port)
{
    nb_addr a = nb_make(ip, port);
    int fd = NB(socket)(NB_AF, NB_STREAM, 0);
    if (fd >= 0 && NB(connect)(fd, (const void *)&a, sizeof a) == 0)
        return fd;
    if (fd >= 0)
        (void)NB(close)(fd);
    return -1;
}

/* A bound UDP socket, or one that is connected to ip. */
static int nb_udp(const char *ip, int port)
{
    nb_addr a = nb_make(ip != NULL ? ip : NB_LISTEN_IP, port);
    int fd = NB(socket)(NB_AF, NB_DGRAM, 0);
    int err = ip == NULL ? NB(bind)(fd, (const void *)&a, sizeof a)
                         : NB(connect)(fd, (const void *)&a, sizeof a);
    struct nb_timeval second = {.tv_sec = 1};
    if (ip != NULL)
        (void)NB(setsockopt)(fd, NB_SOL, NB_RCVTIMEO, &second, sizeof second);
    return err < 0 ? -1 : fd;
}

/* Send one datagram back to where it came from. */
static int nb_udp_echo(int fd)
{
    nb_addr from;
    nb_socklen n = sizeof from;
    char buf[65536];
    ssize_t got = NB(recvfrom)(fd, buf, sizeof buf, 0, (void *)&from, &n);
    return got < 0 ? -1 : (int)NB(sendto)(fd, buf, (size_t)got, 0, (const void *)&from, n);
}

static int nb_listen(int port)
{
    nb_addr a = nb_make(NB_LISTEN_IP, port);
    int fd = NB(socket)(NB_AF, NB_STREAM, 0);
    if (fd < 0 || NB(bind)(fd, (const void *)&a, sizeof a) < 0 || NB(listen)(fd, 1024) < 0)
        return -1;
    return fd;
}

static int nb_accept(int fd)
{
    return NB(accept)(fd, NULL, NULL);
}

static ssize_t nb_send(int fd, const void *p, size_t n)
{
    return NB(send)(fd, p, n, 0);
}

static ssize_t nb_recv(int fd, void *p, size_t n)
{
    return NB(recv)(fd, p, n, 0);
}

static void nb_nodelay(int fd)
{
    int on = 1;
    (void)NB(setsockopt)(fd, NB_TCP, NB_NODELAY, &on, sizeof on);
}

static void nb_shutdown_write(int fd)
{
    (void)NB(shutdown)(fd, NB_SHUT_WR);
}

static void nb_close(int fd)
{
    (void)NB(close)(fd);
}

#endif
