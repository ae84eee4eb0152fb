/* Sockets on a ZeroTier network, for a program that carries its own node: no root, no driver, no host
 * configuration. The functions look like Berkeley sockets with the prefix zts_.
 *
 * Conventions
 *   - Fallible functions return int or ssize_t: zero or more is success, a negative value one of
 *     ZTS_ERR_*. After ZTS_ERR_SOCKET, and only then, zts_errno (one per thread) says more.
 *   - Addresses and ports inside address structures are in network byte order, everything else in host
 *     order. MAC addresses are 48-bit numbers in a uint64_t, node addresses 40-bit ones.
 *   - ZTS_* constants are for zts_* functions: several differ from the host's.
 *   - All functions may be called from any thread. Address parameters are untyped pointers, so that
 *     struct zts_sockaddr, struct zts_sockaddr_in and the host's struct sockaddr can be passed without
 *     a cast; the bytes must be one of the zts_ structures.
 *   - A signal whose handler was installed without SA_RESTART ends a blocking zts_accept, send or receive with
 *     ZTS_EINTR, as on a kernel's socket. zts_connect, zts_poll and zts_select wait on, for their whole time.
 *   - After fork the child has no node: calls give ZTS_ERR_SERVICE until it calls zts_start itself.
 *
 * This header is self-contained, for C11 and C++11, and may stand before or after the host's socket
 * headers. */
#ifndef ZT_SOCKETS_H
#define ZT_SOCKETS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#ifndef ZTS_API
#define ZTS_API __attribute__((visibility("default")))
#endif
#ifndef ZTCALL
#define ZTCALL
#endif

#define ZTS_VERSION_MAJOR 0
#define ZTS_VERSION_MINOR 1
#define ZTS_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* ---- return codes ---------------------------------------------------------------------------- */

#define ZTS_ERR_OK 0
#define ZTS_ERR_SOCKET (-1)    /* see zts_errno */
#define ZTS_ERR_SERVICE (-2)   /* not now: the service is not running, not online yet, or already running */
#define ZTS_ERR_ARG (-3)       /* invalid argument */
#define ZTS_ERR_NO_RESULT (-4) /* done, but there is nothing to give */
#define ZTS_ERR_GENERAL (-5)   /* internal failure */
#define ZTS_ERR ZTS_ERR_SOCKET

/* The error of the calling thread's last call that returned ZTS_ERR_SOCKET. */
ZTS_API int *zts_errno_location(void);
#define zts_errno (*zts_errno_location())
/* Text for a zts_errno value; never NULL. */
ZTS_API const char *zts_strerror(int error);

/* Linux's numbers, whatever the host. */
/* clang-format off */
#define ZTS_EPERM 1
#define ZTS_ENOENT 2
#define ZTS_ESRCH 3
#define ZTS_EINTR 4
#define ZTS_EIO 5
#define ZTS_ENXIO 6
#define ZTS_E2BIG 7
#define ZTS_ENOEXEC 8
#define ZTS_EBADF 9
#define ZTS_ECHILD 10
#define ZTS_EAGAIN 11
#define ZTS_ENOMEM 12
#define ZTS_EACCES 13
#define ZTS_EFAULT 14
#define ZTS_ENOTBLK 15
#define ZTS_EBUSY 16
#define ZTS_EEXIST 17
#define ZTS_EXDEV 18
#define ZTS_ENODEV 19
#define ZTS_ENOTDIR 20
#define ZTS_EISDIR 21
#define ZTS_EINVAL 22
#define ZTS_ENFILE 23
#define ZTS_EMFILE 24
#define ZTS_ENOTTY 25
#define ZTS_ETXTBSY 26
#define ZTS_EFBIG 27
#define ZTS_ENOSPC 28
#define ZTS_ESPIPE 29
#define ZTS_EROFS 30
#define ZTS_EMLINK 31
#define ZTS_EPIPE 32
#define ZTS_EDOM 33
#define ZTS_ERANGE 34
#define ZTS_EDEADLK 35
#define ZTS_ENAMETOOLONG 36
#define ZTS_ENOLCK 37
#define ZTS_ENOSYS 38
#define ZTS_ENOTEMPTY 39
#define ZTS_ELOOP 40
#define ZTS_ENOMSG 42
#define ZTS_EIDRM 43
#define ZTS_ECHRNG 44
#define ZTS_EL2NSYNC 45
#define ZTS_EL3HLT 46
#define ZTS_EL3RST 47
#define ZTS_ELNRNG 48
#define ZTS_EUNATCH 49
#define ZTS_ENOCSI 50
#define ZTS_EL2HLT 51
#define ZTS_EBADE 52
#define ZTS_EBADR 53
#define ZTS_EXFULL 54
#define ZTS_ENOANO 55
#define ZTS_EBADRQC 56
#define ZTS_EBADSLT 57
#define ZTS_EBFONT 59
#define ZTS_ENOSTR 60
#define ZTS_ENODATA 61
#define ZTS_ETIME 62
#define ZTS_ENOSR 63
#define ZTS_ENONET 64
#define ZTS_ENOPKG 65
#define ZTS_EREMOTE 66
#define ZTS_ENOLINK 67
#define ZTS_EADV 68
#define ZTS_ESRMNT 69
#define ZTS_ECOMM 70
#define ZTS_EPROTO 71
#define ZTS_EMULTIHOP 72
#define ZTS_EDOTDOT 73
#define ZTS_EBADMSG 74
#define ZTS_EOVERFLOW 75
#define ZTS_ENOTUNIQ 76
#define ZTS_EBADFD 77
#define ZTS_EREMCHG 78
#define ZTS_ELIBACC 79
#define ZTS_ELIBBAD 80
#define ZTS_ELIBSCN 81
#define ZTS_ELIBMAX 82
#define ZTS_ELIBEXEC 83
#define ZTS_EILSEQ 84
#define ZTS_ERESTART 85
#define ZTS_ESTRPIPE 86
#define ZTS_EUSERS 87
#define ZTS_ENOTSOCK 88
#define ZTS_EDESTADDRREQ 89
#define ZTS_EMSGSIZE 90
#define ZTS_EPROTOTYPE 91
#define ZTS_ENOPROTOOPT 92
#define ZTS_EPROTONOSUPPORT 93
#define ZTS_ESOCKTNOSUPPORT 94
#define ZTS_EOPNOTSUPP 95
#define ZTS_EPFNOSUPPORT 96
#define ZTS_EAFNOSUPPORT 97
#define ZTS_EADDRINUSE 98
#define ZTS_EADDRNOTAVAIL 99
#define ZTS_ENETDOWN 100
#define ZTS_ENETUNREACH 101
#define ZTS_ENETRESET 102
#define ZTS_ECONNABORTED 103
#define ZTS_ECONNRESET 104
#define ZTS_ENOBUFS 105
#define ZTS_EISCONN 106
#define ZTS_ENOTCONN 107
#define ZTS_ESHUTDOWN 108
#define ZTS_ETOOMANYREFS 109
#define ZTS_ETIMEDOUT 110
#define ZTS_ECONNREFUSED 111
#define ZTS_EHOSTDOWN 112
#define ZTS_EHOSTUNREACH 113
#define ZTS_EALREADY 114
#define ZTS_EINPROGRESS 115
#define ZTS_ESTALE 116
#define ZTS_EUCLEAN 117
#define ZTS_ENOTNAM 118
#define ZTS_ENAVAIL 119
#define ZTS_EISNAM 120
#define ZTS_EREMOTEIO 121
#define ZTS_EDQUOT 122
#define ZTS_ENOMEDIUM 123
#define ZTS_EMEDIUMTYPE 124
#define ZTS_EWOULDBLOCK ZTS_EAGAIN
#define ZTS_EDEADLOCK ZTS_EDEADLK
/* clang-format on */

/* ---- events ---------------------------------------------------------------------------------- */

/* clang-format off */
#define ZTS_EVENT_NODE_UP 200
#define ZTS_EVENT_NODE_ONLINE 201
#define ZTS_EVENT_NODE_OFFLINE 202
#define ZTS_EVENT_NODE_DOWN 203
#define ZTS_EVENT_NODE_IDENTITY_COLLISION 204
#define ZTS_EVENT_NODE_UNRECOVERABLE_ERROR 205
#define ZTS_EVENT_NODE_NORMAL_TERMINATION 206
#define ZTS_EVENT_NETWORK_NOT_FOUND 210
#define ZTS_EVENT_NETWORK_CLIENT_TOO_OLD 211
#define ZTS_EVENT_NETWORK_REQ_CONFIG 212
#define ZTS_EVENT_NETWORK_OK 213
#define ZTS_EVENT_NETWORK_ACCESS_DENIED 214
#define ZTS_EVENT_NETWORK_READY_IP4 215
#define ZTS_EVENT_NETWORK_READY_IP6 216
#define ZTS_EVENT_NETWORK_READY_IP4_IP6 217
#define ZTS_EVENT_NETWORK_DOWN 218
#define ZTS_EVENT_NETWORK_UPDATE 219
#define ZTS_EVENT_STACK_UP 220
#define ZTS_EVENT_STACK_DOWN 221
#define ZTS_EVENT_NETIF_UP 230
#define ZTS_EVENT_NETIF_DOWN 231
#define ZTS_EVENT_NETIF_REMOVED 232
#define ZTS_EVENT_NETIF_LINK_UP 233
#define ZTS_EVENT_NETIF_LINK_DOWN 234
#define ZTS_EVENT_PEER_DIRECT 240
#define ZTS_EVENT_PEER_RELAY 241
#define ZTS_EVENT_PEER_UNREACHABLE 242
#define ZTS_EVENT_PEER_PATH_DISCOVERED 243
#define ZTS_EVENT_PEER_PATH_DEAD 244
#define ZTS_EVENT_ROUTE_ADDED 250
#define ZTS_EVENT_ROUTE_REMOVED 251
#define ZTS_EVENT_ADDR_ADDED_IP4 260
#define ZTS_EVENT_ADDR_REMOVED_IP4 261
#define ZTS_EVENT_ADDR_ADDED_IP6 262
#define ZTS_EVENT_ADDR_REMOVED_IP6 263
/* clang-format on */

/* ---- limits and numbers ------------------------------------------------------------------------ */

#define ZTS_DEFAULT_PORT 9994

#define ZTS_MAX_ASSIGNED_ADDRESSES 16
#define ZTS_MAX_ZT_ASSIGNED_ADDRESSES 16
#define ZTS_MAX_NETWORK_ROUTES 32
#define ZTS_MAX_PEER_NETWORK_PATHS 16
#define ZTS_MAX_NETWORK_SHORT_NAME_LENGTH 127
#define ZTS_MAX_MULTICAST_SUBSCRIPTIONS 1024

#define ZTS_INET_ADDRSTRLEN 16
#define ZTS_INET6_ADDRSTRLEN 46
#define ZTS_MAC_ADDRSTRLEN 18

#define ZTS_AF_UNSPEC 0
#define ZTS_AF_INET 2
#define ZTS_AF_INET6 10
#define ZTS_PF_UNSPEC ZTS_AF_UNSPEC
#define ZTS_PF_INET ZTS_AF_INET
#define ZTS_PF_INET6 ZTS_AF_INET6

#define ZTS_SOCK_STREAM 1
#define ZTS_SOCK_DGRAM 2
#define ZTS_SOCK_RAW 3

#define ZTS_IPPROTO_IP 0
#define ZTS_IPPROTO_ICMP 1
#define ZTS_IPPROTO_TCP 6
#define ZTS_IPPROTO_UDP 17
#define ZTS_IPPROTO_IPV6 41
#define ZTS_IPPROTO_ICMPV6 58
#define ZTS_IPPROTO_UDPLITE 136
#define ZTS_IPPROTO_RAW 255

#define ZTS_MSG_PEEK 0x01
#define ZTS_MSG_WAITALL 0x02
#define ZTS_MSG_OOB 0x04 /* refused with ZTS_EOPNOTSUPP: there is no urgent data */
#define ZTS_MSG_DONTWAIT 0x08
#define ZTS_MSG_MORE 0x10 /* streams: more follows, wait up to 200 ms to fill a segment */
/* In msg_flags after zts_recvmsg. */
#define ZTS_MSG_TRUNC 0x04
#define ZTS_MSG_CTRUNC 0x08

#define ZTS_SOL_SOCKET 0x0fff
#define ZTS_SO_DEBUG 0x0001
#define ZTS_SO_ACCEPTCONN 0x0002
#define ZTS_SO_REUSEADDR 0x0004
#define ZTS_SO_KEEPALIVE 0x0008
#define ZTS_SO_DONTROUTE 0x0010
#define ZTS_SO_BROADCAST 0x0020
#define ZTS_SO_USELOOPBACK 0x0040
#define ZTS_SO_LINGER 0x0080 /* struct zts_linger */
#define ZTS_SO_DONTLINGER ((int)(~ZTS_SO_LINGER))
#define ZTS_SO_OOBINLINE 0x0100
#define ZTS_SO_REUSEPORT 0x0200
#define ZTS_SO_SNDBUF 0x1001
#define ZTS_SO_RCVBUF 0x1002
#define ZTS_SO_SNDLOWAT 0x1003
#define ZTS_SO_RCVLOWAT 0x1004
#define ZTS_SO_SNDTIMEO 0x1005 /* struct zts_timeval; 0 = none */
#define ZTS_SO_RCVTIMEO 0x1006
#define ZTS_SO_ERROR 0x1007 /* reading clears it */
#define ZTS_SO_TYPE 0x1008
#define ZTS_SO_CONTIMEO 0x1009 /* struct zts_timeval: how long zts_connect blocks at most */
#define ZTS_SO_NO_CHECK 0x100a
#define ZTS_SO_BINDTODEVICE 0x100b

#define ZTS_IP_TOS 1
#define ZTS_IP_TTL 2
#define ZTS_IP_ADD_MEMBERSHIP 3
#define ZTS_IP_DROP_MEMBERSHIP 4
#define ZTS_IP_MULTICAST_TTL 5
#define ZTS_IP_MULTICAST_IF 6
#define ZTS_IP_MULTICAST_LOOP 7
#define ZTS_IP_PKTINFO 8

#define ZTS_TCP_NODELAY 1
#define ZTS_TCP_KEEPALIVE 2 /* idle time, milliseconds */
#define ZTS_TCP_KEEPIDLE 3  /* the same, seconds */
#define ZTS_TCP_KEEPINTVL 4 /* seconds */
#define ZTS_TCP_KEEPCNT 5

#define ZTS_IPV6_CHECKSUM 7
#define ZTS_IPV6_JOIN_GROUP 12
#define ZTS_IPV6_ADD_MEMBERSHIP ZTS_IPV6_JOIN_GROUP
#define ZTS_IPV6_LEAVE_GROUP 13
#define ZTS_IPV6_DROP_MEMBERSHIP ZTS_IPV6_LEAVE_GROUP
#define ZTS_IPV6_V6ONLY 27
/* Not in the older header; Linux's numbers. */
#define ZTS_IPV6_UNICAST_HOPS 16
#define ZTS_IPV6_MULTICAST_IF 17 /* interface index */
#define ZTS_IPV6_MULTICAST_HOPS 18
#define ZTS_IPV6_MULTICAST_LOOP 19
#define ZTS_IPV6_RECVPKTINFO 49            /* then zts_recvmsg gives struct zts_in6_pktinfo */
#define ZTS_IP_ADD_SOURCE_MEMBERSHIP 39    /* struct zts_ip_mreq_source: only from this source */
#define ZTS_IP_DROP_SOURCE_MEMBERSHIP 40

#define ZTS_UDPLITE_SEND_CSCOV 1
#define ZTS_UDPLITE_RECV_CSCOV 2

#define ZTS_IPTOS_TOS_MASK 0x1e
#define ZTS_IPTOS_TOS(tos) ((tos) & ZTS_IPTOS_TOS_MASK)
#define ZTS_IPTOS_LOWDELAY 0x10
#define ZTS_IPTOS_THROUGHPUT 0x08
#define ZTS_IPTOS_RELIABILITY 0x04
#define ZTS_IPTOS_LOWCOST 0x02
#define ZTS_IPTOS_MINCOST ZTS_IPTOS_LOWCOST
#define ZTS_IPTOS_PREC_MASK 0xe0
#define ZTS_IPTOS_PREC(tos) ((tos) & ZTS_IPTOS_PREC_MASK)
#define ZTS_IPTOS_PREC_NETCONTROL 0xe0
#define ZTS_IPTOS_PREC_INTERNETCONTROL 0xc0
#define ZTS_IPTOS_PREC_CRITIC_ECP 0xa0
#define ZTS_IPTOS_PREC_FLASHOVERRIDE 0x80
#define ZTS_IPTOS_PREC_FLASH 0x60
#define ZTS_IPTOS_PREC_IMMEDIATE 0x40
#define ZTS_IPTOS_PREC_PRIORITY 0x20
#define ZTS_IPTOS_PREC_ROUTINE 0x00

#define ZTS_F_GETFL 3
#define ZTS_F_SETFL 4
#define ZTS_O_NONBLOCK 1
#define ZTS_O_NDELAY ZTS_O_NONBLOCK
#define ZTS_O_RDONLY 2
#define ZTS_O_WRONLY 4
#define ZTS_O_RDWR (ZTS_O_RDONLY | ZTS_O_WRONLY)

#define ZTS_IOCPARM_MASK 0x7fU
#define ZTS_IOC_VOID 0x20000000UL
#define ZTS_IOC_OUT 0x40000000UL
#define ZTS_IOC_IN 0x80000000UL
#define ZTS_IOC_INOUT (ZTS_IOC_IN | ZTS_IOC_OUT)
#define ZTS_IO(x, y) (ZTS_IOC_VOID | ((x) << 8) | (y))
#define ZTS_IOR(x, y, t) (ZTS_IOC_OUT | ((sizeof(t) & ZTS_IOCPARM_MASK) << 16) | ((x) << 8) | (y))
#define ZTS_IOW(x, y, t) (ZTS_IOC_IN | ((sizeof(t) & ZTS_IOCPARM_MASK) << 16) | ((x) << 8) | (y))
#define ZTS_FIONREAD ZTS_IOR((unsigned long)'f', 127, unsigned long) /* writes an int */
#define ZTS_FIONBIO ZTS_IOW((unsigned long)'f', 126, unsigned long)  /* reads an int */

#define ZTS_SHUT_RD 0
#define ZTS_SHUT_WR 1
#define ZTS_SHUT_RDWR 2

#define ZTS_POLLIN 0x001
#define ZTS_POLLOUT 0x002
#define ZTS_POLLERR 0x004
#define ZTS_POLLNVAL 0x008
#define ZTS_POLLRDNORM 0x010
#define ZTS_POLLRDBAND 0x020
#define ZTS_POLLPRI 0x040
#define ZTS_POLLWRNORM 0x080
#define ZTS_POLLWRBAND 0x100
#define ZTS_POLLHUP 0x200

#define ZTS_IPADDR_ANY ((uint32_t)0x00000000UL)
#define ZTS_IPADDR_LOOPBACK ((uint32_t)0x7f000001UL)
#define ZTS_IPADDR_NONE ((uint32_t)0xffffffffUL)
#define ZTS_IPADDR_BROADCAST ((uint32_t)0xffffffffUL)
#define ZTS_INADDR_ANY ZTS_IPADDR_ANY
#define ZTS_INADDR_LOOPBACK ZTS_IPADDR_LOOPBACK
#define ZTS_INADDR_NONE ZTS_IPADDR_NONE
#define ZTS_INADDR_BROADCAST ZTS_IPADDR_BROADCAST

/* ---- addresses and small structures ------------------------------------------------------------ */

typedef uint32_t zts_socklen_t;
typedef uint32_t zts_in_addr_t;
typedef uint16_t zts_in_port_t;
typedef uint8_t zts_sa_family_t;
typedef unsigned int zts_nfds_t;

struct zts_in_addr {
    uint32_t s_addr; /* network order */
};

struct zts_in6_addr {
    union {
        uint32_t u32_addr[4];
        uint8_t u8_addr[16];
    } un;
};

struct zts_sockaddr {
    uint8_t sa_len; /* ignored on input, 0 on output; likewise below */
    uint8_t sa_family;
    char sa_data[14];
};

struct zts_sockaddr_in {
    uint8_t sin_len;
    uint8_t sin_family;
    uint16_t sin_port;
    struct zts_in_addr sin_addr;
    char sin_zero[8];
};

struct zts_sockaddr_in6 {
    uint8_t sin6_len;
    uint8_t sin6_family;
    uint16_t sin6_port;
    uint32_t sin6_flowinfo;
    struct zts_in6_addr sin6_addr;
    uint32_t sin6_scope_id;
};

/* Where it stands for an assigned address or a route, the port field holds the prefix length
 * (network order). */
struct zts_sockaddr_storage {
    uint8_t s2_len;
    uint8_t ss_family;
    char s2_data1[2];
    uint32_t s2_data2[3];
    uint32_t s2_data3[3];
};

struct zts_linger {
    int l_onoff;
    int l_linger; /* seconds */
};

struct zts_timeval {
    long tv_sec;
    long tv_usec;
};

struct zts_iovec {
    void *iov_base;
    size_t iov_len;
};

struct zts_msghdr {
    void *msg_name;
    zts_socklen_t msg_namelen;
    struct zts_iovec *msg_iov;
    int msg_iovlen;
    void *msg_control;
    zts_socklen_t msg_controllen;
    int msg_flags;
};

struct zts_pollfd {
    int fd;
    short events;
    short revents;
};

struct zts_ip_mreq {
    struct zts_in_addr imr_multiaddr;
    struct zts_in_addr imr_interface;
};

struct zts_ipv6_mreq {
    struct zts_in6_addr ipv6mr_multiaddr;
    unsigned int ipv6mr_interface; /* 0 = any */
};

struct zts_in_pktinfo {
    unsigned int ipi_ifindex;
    struct zts_in_addr ipi_addr;
};

struct zts_in6_pktinfo {
    struct zts_in6_addr ipi6_addr;
    unsigned int ipi6_ifindex;
};

struct zts_ip_mreq_source {
    struct zts_in_addr imr_multiaddr;
    struct zts_in_addr imr_interface;
    struct zts_in_addr imr_sourceaddr;
};

/* Ancillary data of zts_recvmsg: cmsg_level and cmsg_type name the option that asked for it. */
struct zts_cmsghdr {
    zts_socklen_t cmsg_len; /* header and data */
    int cmsg_level;
    int cmsg_type;
};
#define ZTS_CMSG_ALIGN(n) (((n) + sizeof(size_t) - 1) & ~(sizeof(size_t) - 1))
#define ZTS_CMSG_DATA(c) ((void *)((unsigned char *)(c) + ZTS_CMSG_ALIGN(sizeof(struct zts_cmsghdr))))
#define ZTS_CMSG_SPACE(n) (ZTS_CMSG_ALIGN(sizeof(struct zts_cmsghdr)) + ZTS_CMSG_ALIGN(n))
#define ZTS_CMSG_LEN(n) (ZTS_CMSG_ALIGN(sizeof(struct zts_cmsghdr)) + (n))
#define ZTS_CMSG_FIRSTHDR(m)                                                                       \
    ((m)->msg_controllen >= sizeof(struct zts_cmsghdr) ? (struct zts_cmsghdr *)(m)->msg_control : NULL)
#define ZTS_CMSG_NXTHDR(m, c)                                                                      \
    ((unsigned char *)(c) + ZTS_CMSG_ALIGN((c)->cmsg_len) + sizeof(struct zts_cmsghdr) >           \
             (unsigned char *)(m)->msg_control + (m)->msg_controllen                               \
         ? NULL                                                                                    \
         : (struct zts_cmsghdr *)(void *)((unsigned char *)(c) + ZTS_CMSG_ALIGN((c)->cmsg_len)))

#define ZTS_FD_SETSIZE 1024
#ifndef MEMP_NUM_NETCONN
#define MEMP_NUM_NETCONN ZTS_FD_SETSIZE
#endif
#ifndef LWIP_SOCKET_OFFSET
#define LWIP_SOCKET_OFFSET 0
#endif

/* Descriptor n is bit n % 8 of byte n / 8. */
typedef struct zts_fd_set {
    unsigned char fd_bits[(ZTS_FD_SETSIZE + 7) / 8];
} zts_fd_set;

/* Descriptors outside 0..1023 are ignored. */
#define ZTS_FDSETSAFESET(n, code)                                                                  \
    do {                                                                                           \
        if ((n) >= 0 && (n) < ZTS_FD_SETSIZE) {                                                    \
            code;                                                                                  \
        }                                                                                          \
    } while (0)
#define ZTS_FDSETSAFEGET(n, code) ((n) >= 0 && (n) < ZTS_FD_SETSIZE ? (code) : 0)
#define ZTS_FD_SET(n, p)                                                                           \
    ZTS_FDSETSAFESET(n, (p)->fd_bits[(n) / 8] =                                                    \
                            (unsigned char)((p)->fd_bits[(n) / 8] | (1 << ((n) & 7))))
#define ZTS_FD_CLR(n, p)                                                                           \
    ZTS_FDSETSAFESET(n, (p)->fd_bits[(n) / 8] =                                                    \
                            (unsigned char)((p)->fd_bits[(n) / 8] & ~(1 << ((n) & 7))))
#define ZTS_FD_ISSET(n, p) ZTS_FDSETSAFEGET(n, (p)->fd_bits[(n) / 8] & (1 << ((n) & 7)))
#define ZTS_FD_ZERO(p) memset((void *)(p), 0, sizeof(*(p)))

#ifndef htonll
#define htonll(x)                                                                                  \
    (zts_htonl(1) == 1                                                                             \
         ? (uint64_t)(x)                                                                           \
         : ((uint64_t)zts_htonl((uint32_t)((uint64_t)(x) & 0xffffffffUL)) << 32) |                 \
               zts_htonl((uint32_t)((uint64_t)(x) >> 32)))
#endif

/* ---- details that come with events -------------------------------------------------------------- */

enum zts_peer_role {
    ZTS_PEER_ROLE_LEAF = 0,
    ZTS_PEER_ROLE_MOON = 1,
    ZTS_PEER_ROLE_PLANET = 2
};

enum ZTS_VirtualNetworkStatus {
    ZTS_NETWORK_STATUS_REQUESTING_CONFIGURATION = 0,
    ZTS_NETWORK_STATUS_OK = 1,
    ZTS_NETWORK_STATUS_ACCESS_DENIED = 2,
    ZTS_NETWORK_STATUS_NOT_FOUND = 3,
    ZTS_NETWORK_STATUS_PORT_ERROR = 4,
    ZTS_NETWORK_STATUS_CLIENT_TOO_OLD = 5
};

enum ZTS_VirtualNetworkType {
    ZTS_NETWORK_TYPE_PRIVATE = 0,
    ZTS_NETWORK_TYPE_PUBLIC = 1
};

struct zts_node_details {
    uint64_t address;
    uint16_t primaryPort, secondaryPort, tertiaryPort; /* host order; 0: not used */
    uint8_t versionMajor, versionMinor, versionRev;
};

struct zts_virtual_network_route {
    struct zts_sockaddr_storage target; /* prefix length in the port field */
    struct zts_sockaddr_storage via;    /* family 0: directly on the network */
    uint16_t flags, metric;
};
typedef struct zts_virtual_network_route ZTS_VirtualNetworkRoute;

struct zts_multicast_group {
    uint64_t mac;
    uint32_t adi;
};

struct zts_network_details {
    uint64_t nwid;
    uint64_t mac; /* ours on this network */
    char name[ZTS_MAX_NETWORK_SHORT_NAME_LENGTH + 1];
    enum ZTS_VirtualNetworkStatus status;
    enum ZTS_VirtualNetworkType type;
    unsigned int mtu;
    int dhcp, bridge, broadcastEnabled;
    int portError;
    unsigned long netconfRevision; /* 0: none yet */
    unsigned int assignedAddressCount;
    struct zts_sockaddr_storage assignedAddresses[ZTS_MAX_ZT_ASSIGNED_ADDRESSES];
    unsigned int routeCount;
    ZTS_VirtualNetworkRoute routes[ZTS_MAX_NETWORK_ROUTES];
    unsigned int multicastSubscriptionCount;
    struct zts_multicast_group multicastSubscriptions[ZTS_MAX_MULTICAST_SUBSCRIPTIONS];
};

struct zts_netif_details {
    uint64_t nwid;
    uint64_t mac;
    int mtu;
};

struct zts_addr_details {
    uint64_t nwid;
    struct zts_sockaddr_storage addr;
};

struct zts_physical_path {
    struct zts_sockaddr_storage address;
    uint64_t lastSend, lastReceive; /* ms since the epoch; 0: never */
    uint64_t trustedPathId;
    int expired, preferred;
};

struct zts_peer_details {
    uint64_t address;
    int versionMajor, versionMinor, versionRev; /* -1: unknown */
    int latency;                                /* ms, -1: unknown */
    enum zts_peer_role role;
    unsigned int pathCount;
    struct zts_physical_path paths[ZTS_MAX_PEER_NETWORK_PATHS];
};

struct zts_peer_list {
    struct zts_peer_details *peers;
    unsigned long peerCount;
};

/* The pointer that belongs to the event's kind is set, the others are NULL (all, for STACK_*). All of
 * it is valid until the callback returns. */
struct zts_callback_msg {
    int eventCode;
    struct zts_node_details *node;
    struct zts_network_details *network;
    struct zts_netif_details *netif;
    struct zts_virtual_network_route *route;
    struct zts_peer_details *peer;
    struct zts_addr_details *addr;
};

/* An answer of zts_gethostbyname. */
struct zts_hostent {
    char *h_name;
    char **h_aliases; /* none: {NULL} */
    int h_addrtype;   /* ZTS_AF_INET or ZTS_AF_INET6 */
    int h_length;     /* 4 or 16 */
    char **h_addr_list;
};
#define zts_h_addr h_addr_list[0]

#if defined(__x86_64__) || defined(__aarch64__)
#ifdef __cplusplus
#define ZTS_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#else
#define ZTS_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif
ZTS_ASSERT_SIZE(struct zts_sockaddr, 16);
ZTS_ASSERT_SIZE(struct zts_sockaddr_in, 16);
ZTS_ASSERT_SIZE(struct zts_sockaddr_in6, 28);
ZTS_ASSERT_SIZE(struct zts_sockaddr_storage, 28);
ZTS_ASSERT_SIZE(struct zts_fd_set, 128);
ZTS_ASSERT_SIZE(struct zts_pollfd, 8);
ZTS_ASSERT_SIZE(struct zts_iovec, 16);
ZTS_ASSERT_SIZE(struct zts_msghdr, 48);
ZTS_ASSERT_SIZE(struct zts_ipv6_mreq, 20);
ZTS_ASSERT_SIZE(struct zts_callback_msg, 56);
ZTS_ASSERT_SIZE(struct zts_node_details, 24);
ZTS_ASSERT_SIZE(struct zts_network_details, 18952);
ZTS_ASSERT_SIZE(struct zts_virtual_network_route, 60);
ZTS_ASSERT_SIZE(struct zts_netif_details, 24);
ZTS_ASSERT_SIZE(struct zts_addr_details, 40);
ZTS_ASSERT_SIZE(struct zts_peer_details, 1056);
ZTS_ASSERT_SIZE(struct zts_physical_path, 64);
ZTS_ASSERT_SIZE(struct zts_peer_list, 16);
ZTS_ASSERT_SIZE(struct zts_in_addr, 4);
ZTS_ASSERT_SIZE(struct zts_in6_addr, 16);
ZTS_ASSERT_SIZE(struct zts_linger, 8);
ZTS_ASSERT_SIZE(struct zts_timeval, 16);
ZTS_ASSERT_SIZE(struct zts_ip_mreq, 8);
ZTS_ASSERT_SIZE(struct zts_in_pktinfo, 8);
ZTS_ASSERT_SIZE(struct zts_in6_pktinfo, 20);
ZTS_ASSERT_SIZE(struct zts_ip_mreq_source, 12);
ZTS_ASSERT_SIZE(struct zts_cmsghdr, 12);
ZTS_ASSERT_SIZE(struct zts_multicast_group, 16);
ZTS_ASSERT_SIZE(struct zts_hostent, 32);
#endif

/* ---- control ------------------------------------------------------------------------------------ */

typedef void (*zts_callback_fn)(struct zts_callback_msg *);

/* Start the node. `path`: folder for identity and caches, made with its parents when missing. `callback`
 * gets every event, one at a time, on a thread of its own; it may be void (*)(struct zts_callback_msg *)
 * or void (*)(void *), and may call everything except zts_restart and zts_free. `port`: UDP port, 0 for a
 * random one. Returns at once: ZTS_ERR_OK; ZTS_ERR_ARG (path or callback missing, port outside
 * 0..65535); ZTS_ERR_SERVICE (already running, still stopping, or freed); ZTS_ERR_GENERAL (no thread).
 * What fails later (port taken, folder not writable) arrives as NODE_UNRECOVERABLE_ERROR. */
#ifdef __cplusplus
ZTS_API int zts_start(const char *path, zts_callback_fn callback, int port);
#else
typedef union {
    zts_callback_fn msg;
    void (*any)(void *);
} zts_callback_arg __attribute__((transparent_union));
ZTS_API int zts_start(const char *path, zts_callback_arg callback, int port);
#endif

/* Begin to stop; the events end with NODE_NORMAL_TERMINATION. Every socket fails from now on (close them
 * all the same). ZTS_ERR_OK, ZTS_ERR_SERVICE. */
ZTS_API int zts_stop(void);
/* Stop, wait for the end, start again as before, with the same networks. Not from the callback. */
ZTS_API int zts_restart(void);
/* Stop, wait, release everything; nothing can be started afterwards. Not from the callback. */
ZTS_API int zts_free(void);

/* Join or leave a network. ZTS_ERR_OK; ZTS_ERR_SERVICE before the first NODE_ONLINE; ZTS_ERR_ARG (id 0);
 * zts_leave: ZTS_ERR_NO_RESULT when it was not joined. */
ZTS_API int zts_join(const uint64_t networkId);
ZTS_API int zts_leave(const uint64_t networkId);

/* Add the roots of a moon (a world beside the planet) to those that the node relies on, or take them
 * away. moonSeed: a node that knows the moon, as its roots do; it is asked until it answers, and
 * ZTS_EVENT_PEER_* tell of the new roots. Kept in moons.d. ZTS_ERR_OK; ZTS_ERR_SERVICE before the first
 * NODE_ONLINE; ZTS_ERR_ARG (an id of 0, a seed that is no other node's address). */
ZTS_API int zts_orbit(uint64_t moonWorldId, uint64_t moonSeed);
ZTS_API int zts_deorbit(uint64_t moonWorldId);

/* What a node may use of its folder: peers.d and networks.d (default 1), local.conf (default 0). Before
 * zts_start; ZTS_ERR_SERVICE while running. */
ZTS_API int zts_allow_peer_caching(uint8_t allowed);
ZTS_API int zts_set_peer_caching(uint8_t allowed);
ZTS_API int zts_allow_network_caching(uint8_t allowed);
ZTS_API int zts_set_network_caching(uint8_t allowed);
ZTS_API int zts_allow_local_conf(uint8_t allowed);

/* The IPv6 addresses that a node has on a network without being told (port 0): ZTS_ERR_OK, ZTS_ERR_ARG. */
ZTS_API int zts_get_6plane_addr(struct zts_sockaddr_storage *addr, const uint64_t networkId,
                                const uint64_t nodeId);
ZTS_API int zts_get_rfc4193_addr(struct zts_sockaddr_storage *addr, const uint64_t networkId,
                                 const uint64_t nodeId);
/* The network without a controller on which the ports startPort..endPort may be used. */
ZTS_API uint64_t zts_generate_adhoc_nwid_from_range(uint16_t startPort, uint16_t endPort);
ZTS_API void zts_delay_ms(long interval_ms);

/* ---- names --------------------------------------------------------------------------------------- */

/* Name servers beside those that networks push (port 53 unless it says another): asked, over the virtual
 * network, for names that are in no joined network's domain. At most ZTS_DNS_SERVERS; kept until
 * deleted. 0; ZTS_ERR_SERVICE, ZTS_ERR_ARG (NULL, not an address), zts_del_*: ZTS_ERR_NO_RESULT when it
 * was not set; zts_add_*: ZTS_ERR_GENERAL when there are too many. Adding one twice is 0. */
#define ZTS_DNS_SERVERS 8
ZTS_API int zts_add_dns_nameserver(const void *addr);
ZTS_API int zts_del_dns_nameserver(const void *addr);
/* The addresses of a name, IPv4 before IPv6 (all of one family: h_addrtype), or of an address in text
 * form. Blocks for some seconds at most; not for the network's own thread to wait for, so it may be
 * called in the callback. The result is the calling thread's until its next call. NULL: no node runs, or
 * no such name; zts_errno says ZTS_ENOENT, ZTS_ENODATA, ZTS_EAGAIN (no server answered), ZTS_ENETDOWN. */
ZTS_API struct zts_hostent *zts_gethostbyname(const char *name);

/* ---- sockets ------------------------------------------------------------------------------------ */

/* Descriptors are numbers of this library, from 0 upwards, lowest free first. All of these give
 * ZTS_ERR_SERVICE when no node runs, then ZTS_ERR_ARG, then ZTS_ERR_SOCKET with zts_errno.
 *
 * ZTS_SOCK_RAW: protocol is that of the IP header. Packets are received with the IPv4 header, or without
 * the IPv6 one, and are sent without either (ZTS_IPPROTO_RAW: the IPv4 header is the caller's). ICMPv6
 * checksums are filled in. A copy of what the node's own stack receives; no privilege is needed. */

ZTS_API int zts_socket(int socket_family, int socket_type, int protocol);
/* After a failure it may be called again on the same descriptor. */
ZTS_API int zts_connect(int fd, const void *addr, zts_socklen_t addrlen);
ZTS_API int zts_bind(int fd, const void *addr, zts_socklen_t addrlen);
ZTS_API int zts_listen(int fd, int backlog);
ZTS_API int zts_accept(int fd, void *addr, zts_socklen_t *addrlen);
ZTS_API int zts_accept4(int fd, void *addr, zts_socklen_t *addrlen, int flags);
ZTS_API int zts_setsockopt(int fd, int level, int optname, const void *optval, zts_socklen_t optlen);
ZTS_API int zts_getsockopt(int fd, int level, int optname, void *optval, zts_socklen_t *optlen);
ZTS_API int zts_getsockname(int fd, void *addr, zts_socklen_t *addrlen);
ZTS_API int zts_getpeername(int fd, void *addr, zts_socklen_t *addrlen);
ZTS_API int zts_close(int fd);
ZTS_API int zts_select(int nfds, zts_fd_set *readfds, zts_fd_set *writefds, zts_fd_set *exceptfds,
                       struct zts_timeval *timeout);
ZTS_API int zts_poll(struct zts_pollfd *fds, zts_nfds_t nfds, int timeout_ms);
ZTS_API int zts_fcntl(int fd, int cmd, int flags);
ZTS_API int zts_ioctl(int fd, unsigned long request, void *argp);
ZTS_API ssize_t zts_send(int fd, const void *buf, size_t len, int flags);
ZTS_API ssize_t zts_sendto(int fd, const void *buf, size_t len, int flags, const void *addr,
                           zts_socklen_t addrlen);
ZTS_API ssize_t zts_sendmsg(int fd, const struct zts_msghdr *msg, int flags);
ZTS_API ssize_t zts_recv(int fd, void *buf, size_t len, int flags);
ZTS_API ssize_t zts_recvfrom(int fd, void *buf, size_t len, int flags, void *addr,
                             zts_socklen_t *addrlen);
ZTS_API ssize_t zts_recvmsg(int fd, struct zts_msghdr *msg, int flags);
ZTS_API ssize_t zts_read(int fd, void *buf, size_t len);
ZTS_API ssize_t zts_readv(int fd, const struct zts_iovec *iov, int iovcnt);
ZTS_API ssize_t zts_write(int fd, const void *buf, size_t len);
ZTS_API ssize_t zts_writev(int fd, const struct zts_iovec *iov, int iovcnt);
ZTS_API int zts_shutdown(int fd, int how);

/* ---- helpers: any time, no node needed ---------------------------------------------------------- */

ZTS_API uint16_t zts_htons(uint16_t n);
ZTS_API uint32_t zts_htonl(uint32_t n);
ZTS_API uint16_t zts_ntohs(uint16_t n);
ZTS_API uint32_t zts_ntohl(uint32_t n);
/* Returns dst, or NULL with zts_errno ZTS_EAFNOSUPPORT, ZTS_ENOSPC. IPv6 in lower case (RFC 5952). */
ZTS_API const char *zts_inet_ntop(int family, const void *src, char *dst, zts_socklen_t size);
/* 1 done, 0 not an address, -1 unknown family. */
ZTS_API int zts_inet_pton(int family, const char *src, void *dst);
ZTS_API uint32_t zts_inet_addr(const char *cp); /* network order; ZTS_IPADDR_NONE on error */

/* ---- statistics --------------------------------------------------------------------------------- */

#define ZTS_STATS_PROTOCOL_LINK 0
#define ZTS_STATS_PROTOCOL_ETHARP 1
#define ZTS_STATS_PROTOCOL_IP 2
#define ZTS_STATS_PROTOCOL_UDP 3
#define ZTS_STATS_PROTOCOL_TCP 4
#define ZTS_STATS_PROTOCOL_ICMP 5
#define ZTS_STATS_PROTOCOL_IP_FRAG 6
#define ZTS_STATS_PROTOCOL_IP6 7
#define ZTS_STATS_PROTOCOL_ICMP6 8
#define ZTS_STATS_PROTOCOL_IP6_FRAG 9

/* Packets, since the stack started; wrap at 2^32. */
struct zts_stats_proto {
    uint32_t xmit, recv, fw, drop, chkerr, lenerr, memerr, rterr, proterr, opterr, err, cachehit;
};
struct zts_stats_igmp {
    uint32_t xmit, recv, drop, chkerr, lenerr, memerr, proterr;
    uint32_t rx_v1, rx_group, rx_general, rx_report, tx_join, tx_leave, tx_report;
};
struct zts_stats_syselem {
    uint32_t used, max, err;
};
struct zts_stats_sys {
    struct zts_stats_syselem sem, mutex, mbox;
};
struct zts_stats {
    struct zts_stats_proto link, etharp, ip_frag, ip, icmp;
    struct zts_stats_igmp igmp;
    struct zts_stats_proto udp, tcp;
    struct zts_stats_sys sys;
    struct zts_stats_proto ip6, icmp6, ip6_frag;
    struct zts_stats_igmp mld6;
    struct zts_stats_proto nd6;
};

/* ZTS_ERR_OK; ZTS_ERR_ARG (dest NULL, unknown protocol). */
ZTS_API int zts_get_protocol_stats(int protocolType, void *dest);
ZTS_API int zts_get_all_stats(struct zts_stats *dest);

#if defined(__x86_64__) || defined(__aarch64__)
ZTS_ASSERT_SIZE(struct zts_stats_proto, 48);
ZTS_ASSERT_SIZE(struct zts_stats_igmp, 56);
ZTS_ASSERT_SIZE(struct zts_stats_syselem, 12);
ZTS_ASSERT_SIZE(struct zts_stats_sys, 36);
ZTS_ASSERT_SIZE(struct zts_stats, 676);
#endif

/* ---- extensions: not in the older library --------------------------------------------------------- */

/* The host's descriptor behind a socket, to be waited on with poll, select or epoll together with other
 * descriptors. The number stays the same until zts_close, but zts_connect and zts_bind put another socket
 * behind it: add it to an epoll set after them. For waiting only: data goes through zts_*.
 *
 *     struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = zts_get_host_fd(fd), .events = POLLIN}};
 *     poll(p, 2, -1);      // the terminal or the virtual socket, whichever comes first
 */
ZTS_API int zts_get_host_fd(int fd);

/* Questions: what events tell, asked for at any time, answered at once. Any thread, the callback too.
 * ZTS_ERR_OK; ZTS_ERR_SERVICE when no node runs; ZTS_ERR_ARG (NULL); ZTS_ERR_NO_RESULT (not joined, not
 * known). Where there is a `count`: how many elements there is room for at the call, how many there are
 * afterwards; only those that fit were written.
 *
 *     uint64_t ids[64];
 *     unsigned int n = 64;
 *     struct zts_peer_details p;
 *     zts_query_peers(ids, &n);
 *     for (unsigned int i = 0; i < n && i < 64; i++)
 *         if (zts_query_peer(ids[i], &p) == ZTS_ERR_OK)
 *             printf("%010llx %s\n", (unsigned long long)p.address, p.pathCount > 0 ? "DIRECT" : "RELAY");
 */
ZTS_API int zts_query_node(struct zts_node_details *node, int *is_online); /* is_online may be NULL */
ZTS_API int zts_query_networks(uint64_t *ids, unsigned int *count);
ZTS_API int zts_query_network(const uint64_t networkId, struct zts_network_details *network);
ZTS_API int zts_query_addresses(const uint64_t networkId, struct zts_sockaddr_storage *addrs,
                                unsigned int *count);
ZTS_API int zts_query_routes(const uint64_t networkId, struct zts_virtual_network_route *routes,
                             unsigned int *count);
ZTS_API int zts_query_groups(const uint64_t networkId, struct zts_multicast_group *groups,
                             unsigned int *count);
/* The number of the network's interface, > 0: for struct zts_ipv6_mreq, ZTS_IPV6_MULTICAST_IF; packet
 * information tells it. ZTS_ERR_NO_RESULT: not joined, or no address yet. */
ZTS_API int zts_query_interface(const uint64_t networkId);
ZTS_API int zts_query_peers(uint64_t *ids, unsigned int *count);
ZTS_API int zts_query_peer(const uint64_t nodeId, struct zts_peer_details *peer);
/* Those in use come first; expired ones are told as such. */
ZTS_API int zts_query_paths(const uint64_t nodeId, struct zts_physical_path *paths, unsigned int *count);

/* Addresses of a name, of one family or (ZTS_AF_UNSPEC) both: as zts_gethostbyname, without static
 * storage. ZTS_ERR_OK, ZTS_ERR_SERVICE, ZTS_ERR_ARG, or ZTS_ERR_SOCKET with the zts_errno named there.
 *
 *     struct zts_sockaddr_storage a[8];
 *     unsigned int n = 8;
 *     if (zts_resolve("db.example.lan", ZTS_AF_UNSPEC, a, &n) == ZTS_ERR_OK) ...
 */
ZTS_API int zts_resolve(const char *name, int family, struct zts_sockaddr_storage *addrs,
                        unsigned int *count);

/* Listen to every TCP port that no other socket listens to, on the address that fd is bound to (every
 * address when it is not bound): for forwarders. zts_getsockname of an accepted connection tells the
 * port it was made to. As zts_listen; one such listener for an address at a time (ZTS_EADDRINUSE).
 *
 *     int l = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
 *     zts_listen_all(l, 128);
 *     int c = zts_accept(l, NULL, NULL);
 */
ZTS_API int zts_listen_all(int fd, int backlog);

/* Ethernet frames of a network, beside the node's own stack. A layer 2 descriptor gives, with zts_recv
 * and friends, every frame that arrives (whole: destination, source, type, payload; at most the network's
 * MTU and 14 bytes), and sends what is written to it. The network's rules decide as for all frames: a
 * source other than the node's own MAC needs a bridge's permission. A reader that falls behind loses
 * frames. ZTS_ERR_SERVICE; ZTS_ERR_ARG (id 0, NULL); ZTS_ERR_NO_RESULT (not joined).
 *
 *     static void on_frame(uint64_t nwid, const void *frame, size_t len, void *user) { ... }
 *     zts_l2_set_callback(nwid, on_frame, NULL);
 *     zts_l2_send(nwid, frame, len);
 */
typedef void (*zts_l2_fn)(uint64_t networkId, const void *frame, size_t len, void *user);
ZTS_API int zts_l2_open(const uint64_t networkId); /* a descriptor */
/* Frames of this network to fn, on a thread made for it, until the network is left, the node stops, or
 * fn NULL takes it away (which waits for a callback that is running, except when called from it). One
 * callback a network; a second call puts another one in its place. */
ZTS_API int zts_l2_set_callback(const uint64_t networkId, zts_l2_fn fn, void *user);
/* ZTS_ERR_OK; also ZTS_ERR_SOCKET with ZTS_EMSGSIZE, ZTS_EAGAIN (the node is busy: it is lost),
 * ZTS_EACCES (not allowed by the network). */
ZTS_API int zts_l2_send(const uint64_t networkId, const void *frame, size_t len);
/* Hear a multicast group (beside those that the node's own sockets joined), or no longer. */
ZTS_API int zts_l2_join(const uint64_t networkId, uint64_t mac, uint32_t adi);
ZTS_API int zts_l2_leave(const uint64_t networkId, uint64_t mac, uint32_t adi);

#ifdef __cplusplus
}

/* The header of older versions had void * here. */
static inline int zts_start(const char *path, void (*callback)(void *), int port)
{
    return zts_start(path, reinterpret_cast<zts_callback_fn>(callback), port);
}
static inline int zts_start(const char *path, decltype(nullptr), int port)
{
    return zts_start(path, static_cast<zts_callback_fn>(nullptr), port);
}
#endif

#endif
