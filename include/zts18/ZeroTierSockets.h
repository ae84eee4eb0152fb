/* Sockets on a ZeroTier network, for a program that carries its own node: the calls of libzt 1.4 to 1.8
 * and the head of 2024. Programs written for those compile with this folder in front of their include
 * path; they link libzt. ZeroTierSockets.h one folder up has the other generation and the extensions
 * (zts_get_host_fd, ...); both run on one node, and one program may use both in different files.
 *
 * Conventions
 *   - Functions return 0 or a value, or one of ZTS_ERR_*, which are negative. Where the answer is yes or
 *     no it is 1 or 0, and 0 also when no node runs.
 *   - Unless it says otherwise, a function that needs the node gives ZTS_ERR_SERVICE first when none runs,
 *     then ZTS_ERR_ARG, then (sockets) ZTS_ERR_SOCKET with zts_errno, which is 0 after a success.
 *   - Addresses and ports inside structures are in network byte order; a plain port argument is not.
 *   - Texts for addresses need a buffer of exactly ZTS_IP_MAX_STR_LEN bytes where `len` says so. IPv6 is
 *     written in upper case.
 *   - Every function may be called from any thread. In the event handler everything may be called except
 *     zts_node_free. After fork the child has no node.
 *
 * Names that both generations have are bound to zts_simple_NAME in the library, so that one can never be
 * taken for the other. Bindings that look symbols up by name load libzt18.so, where they have their plain
 * names (ZTS18_PLAIN_NAMES compiles C against those). */
#ifndef ZTS_SOCKETS_H
#define ZTS_SOCKETS_H
/* The other generation's guard: one file can't have both. */
#ifdef ZT_SOCKETS_H
#error "ZeroTierSockets.h of the other generation is included already"
#endif
#define ZT_SOCKETS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#ifdef SWIG /* reads this file to make wrappers, and knows no attributes */
#define ZTS_API
#endif
#ifndef ZTS_API
#define ZTS_API __attribute__((visibility("default")))
#endif
#ifndef ZTCALL
#define ZTCALL
#endif

#if defined(ZTS18_PLAIN_NAMES) || defined(SWIG)
#define ZTS18_BOTH(name)
#else
#define ZTS18_BOTH(name) __asm__("zts_simple_" #name)
#endif

#if !defined(ZTS_ENABLE_PYTHON) && !defined(ZTS_ENABLE_PINVOKE) && !defined(ZTS_ENABLE_JAVA)
#define ZTS_C_API_ONLY 1
#endif

#define ZTS_DISABLE_CENTRAL_API 1 /* calls of a web service; not provided */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- return codes, errors, events ---------------------------------------------------------------- */

typedef enum {
    ZTS_ERR_OK = 0,
    ZTS_ERR_SOCKET = -1,    /* see zts_errno */
    ZTS_ERR_SERVICE = -2,   /* no node runs; or one runs and this has to come before its start */
    ZTS_ERR_ARG = -3,       /* invalid argument */
    ZTS_ERR_NO_RESULT = -4, /* done, but there is nothing to give */
    ZTS_ERR_GENERAL = -5    /* internal failure */
} zts_error_t;

/* Why the calling thread's last socket function failed; 0 when it didn't. (libzt18.so also has a
 * variable zts_errno, of the whole process, for bindings.) */
#ifdef SWIG
extern int zts_errno;
#else
ZTS_API int *zts_errno_location(void);
#define zts_errno (*zts_errno_location())
#endif

/* Linux's numbers, whatever the host. */
typedef enum {
    ZTS_EPERM = 1,
    ZTS_ENOENT = 2,
    ZTS_ESRCH = 3,
    ZTS_EINTR = 4,
    ZTS_EIO = 5,
    ZTS_ENXIO = 6,
    ZTS_EBADF = 9,
    ZTS_EAGAIN = 11,
    ZTS_ENOMEM = 12,
    ZTS_EACCES = 13,
    ZTS_EFAULT = 14,
    ZTS_EBUSY = 16,
    ZTS_EEXIST = 17,
    ZTS_ENODEV = 19,
    ZTS_EINVAL = 22,
    ZTS_ENFILE = 23,
    ZTS_EMFILE = 24,
    ZTS_ENOSYS = 38,
    ZTS_ENOTSOCK = 88,
    ZTS_EDESTADDRREQ = 89,
    ZTS_EMSGSIZE = 90,
    ZTS_EPROTOTYPE = 91,
    ZTS_ENOPROTOOPT = 92,
    ZTS_EPROTONOSUPPORT = 93,
    ZTS_ESOCKTNOSUPPORT = 94,
    ZTS_EOPNOTSUPP = 95,
    ZTS_EPFNOSUPPORT = 96,
    ZTS_EAFNOSUPPORT = 97,
    ZTS_EADDRINUSE = 98,
    ZTS_EADDRNOTAVAIL = 99,
    ZTS_ENETDOWN = 100,
    ZTS_ENETUNREACH = 101,
    ZTS_ECONNABORTED = 103,
    ZTS_ECONNRESET = 104,
    ZTS_ENOBUFS = 105,
    ZTS_EISCONN = 106,
    ZTS_ENOTCONN = 107,
    ZTS_ETIMEDOUT = 110,
    ZTS_ECONNREFUSED = 111,
    ZTS_EHOSTUNREACH = 113,
    ZTS_EALREADY = 114,
    ZTS_EINPROGRESS = 115,
    ZTS_EWOULDBLOCK = ZTS_EAGAIN
} zts_errno_t;

typedef enum {
    ZTS_EVENT_NODE_UP = 200,
    ZTS_EVENT_NODE_ONLINE = 201,
    ZTS_EVENT_NODE_OFFLINE = 202,
    ZTS_EVENT_NODE_DOWN = 203,
    ZTS_EVENT_NODE_FATAL_ERROR = 204, /* cannot run, or another node has this identity */
    ZTS_EVENT_NETWORK_NOT_FOUND = 210,
    ZTS_EVENT_NETWORK_CLIENT_TOO_OLD = 211,
    ZTS_EVENT_NETWORK_REQ_CONFIG = 212,
    ZTS_EVENT_NETWORK_OK = 213,
    ZTS_EVENT_NETWORK_ACCESS_DENIED = 214,
    ZTS_EVENT_NETWORK_READY_IP4 = 215,
    ZTS_EVENT_NETWORK_READY_IP6 = 216,
    ZTS_EVENT_NETWORK_READY_IP4_IP6 = 217,
    ZTS_EVENT_NETWORK_DOWN = 218,
    ZTS_EVENT_NETWORK_UPDATE = 219,
    ZTS_EVENT_STACK_UP = 220,
    ZTS_EVENT_STACK_DOWN = 221,
    ZTS_EVENT_NETIF_UP = 230,
    ZTS_EVENT_NETIF_DOWN = 231,
    ZTS_EVENT_NETIF_REMOVED = 232,
    ZTS_EVENT_NETIF_LINK_UP = 233,
    ZTS_EVENT_NETIF_LINK_DOWN = 234,
    ZTS_EVENT_PEER_DIRECT = 240,
    ZTS_EVENT_PEER_RELAY = 241,
    ZTS_EVENT_PEER_UNREACHABLE = 242,
    ZTS_EVENT_PEER_PATH_DISCOVERED = 243,
    ZTS_EVENT_PEER_PATH_DEAD = 244,
    ZTS_EVENT_ROUTE_ADDED = 250,
    ZTS_EVENT_ROUTE_REMOVED = 251,
    ZTS_EVENT_ADDR_ADDED_IP4 = 260,
    ZTS_EVENT_ADDR_REMOVED_IP4 = 261,
    ZTS_EVENT_ADDR_ADDED_IP6 = 262,
    ZTS_EVENT_ADDR_REMOVED_IP6 = 263,
    ZTS_EVENT_STORE_IDENTITY_SECRET = 270, /* cache, len: what to keep */
    ZTS_EVENT_STORE_IDENTITY_PUBLIC = 271,
    ZTS_EVENT_STORE_PLANET = 272,
    ZTS_EVENT_STORE_PEER = 273,
    ZTS_EVENT_STORE_NETWORK = 274,
} zts_event_t;

/* ---- limits and numbers -------------------------------------------------------------------------- */

#define ZTS_MAC_ADDRSTRLEN 18
#define ZTS_INET_ADDRSTRLEN 16
#define ZTS_INET6_ADDRSTRLEN 46
#define ZTS_IP_MAX_STR_LEN ZTS_INET6_ADDRSTRLEN
#define ZTS_ID_STR_BUF_LEN 384
#define ZTS_STORE_DATA_LEN 4096
#define ZTS_MAX_NETWORK_SHORT_NAME_LENGTH 127
#define ZTS_MAX_NETWORK_ROUTES 32
#define ZTS_MAX_ASSIGNED_ADDRESSES 16
#define ZTS_MAX_PEER_NETWORK_PATHS 64
#define ZTS_MAX_MULTICAST_SUBSCRIPTIONS 1024
#define ZTS_MAX_ENDPOINT_STR_LEN (ZTS_INET6_ADDRSTRLEN + 6)
#define ZTS_MAX_NUM_ROOTS 16
#define ZTS_MAX_ENDPOINTS_PER_ROOT 32

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
#define ZTS_MSG_OOB 0x04 /* ignored: there is no urgent data */
#define ZTS_MSG_DONTWAIT 0x08
#define ZTS_MSG_MORE 0x10
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
/* clang-format off */
#define ZTS_IN6ADDR_ANY_INIT {{{0, 0, 0, 0}}}
/* clang-format on */

/* ---- addresses and small structures -------------------------------------------------------------- */

typedef uint32_t zts_socklen_t;
typedef uint32_t zts_in_addr_t;
typedef uint16_t zts_in_port_t;
typedef uint8_t zts_sa_family_t;
typedef unsigned int zts_nfds_t;

struct zts_in_addr {
    zts_in_addr_t s_addr;
};

struct zts_in6_addr {
    union {
        uint32_t u32_addr[4];
        uint8_t u8_addr[16];
    } un;
};
ZTS_API extern const struct zts_in6_addr zts_in6addr_any;

/* The length members are ignored on input and 0 on output. */
struct zts_sockaddr {
    uint8_t sa_len;
    zts_sa_family_t sa_family;
    char sa_data[14];
};

#define SIN_ZERO_LEN 8
struct zts_sockaddr_in {
    uint8_t sin_len;
    zts_sa_family_t sin_family;
    zts_in_port_t sin_port;
    struct zts_in_addr sin_addr;
    char sin_zero[SIN_ZERO_LEN];
};

struct zts_sockaddr_in6 {
    uint8_t sin6_len;
    zts_sa_family_t sin6_family;
    zts_in_port_t sin6_port;
    uint32_t sin6_flowinfo;
    struct zts_in6_addr sin6_addr;
    uint32_t sin6_scope_id;
};

/* Of an assigned address or a route, the port field holds the prefix length. */
struct zts_sockaddr_storage {
    uint8_t s2_len;
    zts_sa_family_t ss_family;
    char s2_data1[2];
    uint32_t s2_data2[3];
    uint32_t s2_data3[3];
};

struct zts_linger {
    int l_onoff;
    int l_linger; /* seconds */
};

typedef struct zts_timeval {
    long tv_sec;
    long tv_usec;
} zts_timeval;

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

typedef struct zts_ip_mreq {
    struct zts_in_addr imr_multiaddr;
    struct zts_in_addr imr_interface;
} zts_ip_mreq;

typedef struct zts_ipv6_mreq {
    struct zts_in6_addr ipv6mr_multiaddr;
    unsigned int ipv6mr_interface; /* 0: any */
} zts_ipv6_mreq;

struct zts_in_pktinfo {
    unsigned int ipi_ifindex;
    struct zts_in_addr ipi_addr;
};

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

struct zts_hostent {
    char *h_name;
    char **h_aliases;
    int h_addrtype;
    int h_length;
    char **h_addr_list; /* h_length bytes each, network order; NULL ends the list */
#ifndef h_addr
#define h_addr h_addr_list[0]
#endif
};

struct zts_ip4_addr {
    uint32_t addr;
};
struct zts_ip6_addr {
    uint32_t addr[4];
};
/* An address of either family, network order. type: 0 IPv4, 6 IPv6. */
typedef struct zts_ip_addr {
    union {
        struct zts_ip6_addr ip6;
        struct zts_ip4_addr ip4;
    } u_addr;
    uint8_t type;
} zts_ip_addr;

/* ---- details that come with events --------------------------------------------------------------- */

typedef enum {
    ZTS_NETWORK_STATUS_REQUESTING_CONFIGURATION = 0,
    ZTS_NETWORK_STATUS_OK = 1,
    ZTS_NETWORK_STATUS_ACCESS_DENIED = 2,
    ZTS_NETWORK_STATUS_NOT_FOUND = 3,
    ZTS_NETWORK_STATUS_PORT_ERROR = 4,
    ZTS_NETWORK_STATUS_CLIENT_TOO_OLD = 5
} zts_network_status_t;

typedef enum {
    ZTS_NETWORK_TYPE_PRIVATE = 0,
    ZTS_NETWORK_TYPE_PUBLIC = 1
} zts_net_info_type_t;

typedef enum {
    ZTS_PEER_ROLE_LEAF = 0,
    ZTS_PEER_ROLE_MOON = 1,
    ZTS_PEER_ROLE_PLANET = 2
} zts_peer_role_t;

typedef struct {
    uint64_t node_id;
    uint16_t port_primary, port_secondary, port_tertiary; /* host order; 0: not used */
    uint8_t ver_major, ver_minor, ver_rev;
} zts_node_info_t;

typedef struct {
    uint64_t net_id;
    struct zts_sockaddr_storage addr;
} zts_addr_info_t;

typedef struct {
    struct zts_sockaddr_storage target;
    struct zts_sockaddr_storage via; /* family 0: directly on the network */
    uint16_t flags, metric;
} zts_route_info_t;

typedef struct {
    uint64_t mac;
    unsigned long adi;
} zts_multicast_group_t;

typedef struct {
    uint64_t net_id;
    uint64_t mac; /* ours on this network */
    char name[ZTS_MAX_NETWORK_SHORT_NAME_LENGTH + 1];
    zts_network_status_t status;
    zts_net_info_type_t type;
    unsigned int mtu;
    int dhcp, bridge, broadcast_enabled;
    int port_error;
    unsigned long netconf_rev; /* 0: none yet */
    unsigned int assigned_addr_count;
    struct zts_sockaddr_storage assigned_addrs[ZTS_MAX_ASSIGNED_ADDRESSES];
    unsigned int route_count;
    zts_route_info_t routes[ZTS_MAX_NETWORK_ROUTES];
    unsigned int multicast_sub_count;
    struct {
        uint64_t mac;
        uint32_t adi;
    } multicast_subs[ZTS_MAX_MULTICAST_SUBSCRIPTIONS];
} zts_net_info_t;

typedef struct {
    uint64_t net_id;
    uint64_t mac;
    int mtu;
} zts_netif_info_t;

typedef struct {
    struct zts_sockaddr_storage address;
    uint64_t last_tx, last_rx; /* ms since the epoch; 0: never */
    uint64_t trusted_path_id;
    float latency; /* ms, negative: unknown */
    float unused_0, unused_1, unused_2, unused_3, unused_4;
    uint64_t unused_5, unused_6;
    float unused_7;
    char *ifname; /* NULL */
    int expired, preferred;
} zts_path_t;

typedef struct {
    uint64_t peer_id;
    int ver_major, ver_minor, ver_rev; /* -1: unknown */
    int latency;                       /* ms, -1: unknown */
    zts_peer_role_t role;
    unsigned int path_count;
    int unused_0;
    zts_path_t paths[ZTS_MAX_PEER_NETWORK_PATHS];
} zts_peer_info_t;

/* The pointer that belongs to the event's kind is set, the others are NULL (all, for STACK_*). All of it
 * is valid until the handler returns. */
typedef struct {
    int16_t event_code;
    zts_node_info_t *node;
    zts_net_info_t *network;
    zts_netif_info_t *netif;
    zts_route_info_t *route;
    zts_peer_info_t *peer;
    zts_addr_info_t *addr;
    void *cache; /* STORE_*: len bytes; texts are not terminated */
    int len;
} zts_event_msg_t;

/* For zts_util_sign_root_set: public identities and endpoints as IP/PORT, each list ended by NULL. */
typedef struct {
    char *public_id_str[ZTS_MAX_NUM_ROOTS];
    char *endpoint_ip_str[ZTS_MAX_NUM_ROOTS][ZTS_MAX_ENDPOINTS_PER_ROOT];
} zts_root_set_t;

/* Packets since the stack started, wrapping at 2^32. ip4 and ip6 include fragments. */
typedef struct {
    uint32_t link_tx, link_rx, link_drop, link_err;
    uint32_t etharp_tx, etharp_rx, etharp_drop, etharp_err;
    uint32_t ip4_tx, ip4_rx, ip4_drop, ip4_err;
    uint32_t ip6_tx, ip6_rx, ip6_drop, ip6_err;
    uint32_t icmp4_tx, icmp4_rx, icmp4_drop, icmp4_err;
    uint32_t icmp6_tx, icmp6_rx, icmp6_drop, icmp6_err;
    uint32_t udp_tx, udp_rx, udp_drop, udp_err;
    uint32_t tcp_tx, tcp_rx, tcp_drop, tcp_err;
    uint32_t nd6_tx, nd6_rx, nd6_drop, nd6_err;
} zts_stats_counter_t;

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(SWIG)
#ifdef __cplusplus
#define ZTS18_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#else
#define ZTS18_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif
ZTS18_SIZE(struct zts_sockaddr, 16);
ZTS18_SIZE(struct zts_sockaddr_in, 16);
ZTS18_SIZE(struct zts_sockaddr_in6, 28);
ZTS18_SIZE(struct zts_sockaddr_storage, 28);
ZTS18_SIZE(struct zts_fd_set, 128);
ZTS18_SIZE(struct zts_msghdr, 48);
ZTS18_SIZE(struct zts_hostent, 32);
ZTS18_SIZE(zts_ip_addr, 20);
ZTS18_SIZE(zts_node_info_t, 24);
ZTS18_SIZE(zts_addr_info_t, 40);
ZTS18_SIZE(zts_route_info_t, 60);
ZTS18_SIZE(zts_multicast_group_t, 16);
ZTS18_SIZE(zts_net_info_t, 18952);
ZTS18_SIZE(zts_netif_info_t, 24);
ZTS18_SIZE(zts_path_t, 120);
ZTS18_SIZE(zts_peer_info_t, 7720);
ZTS18_SIZE(zts_event_msg_t, 72);
ZTS18_SIZE(zts_root_set_t, 4224);
ZTS18_SIZE(zts_stats_counter_t, 144);
#endif

/* ---- identities: any time ------------------------------------------------------------------------ */

/* A new identity, as text (public and secret half). *len: ZTS_ID_STR_BUF_LEN on input, the length of the
 * text on output. Takes about half a second. ZTS_ERR_ARG. */
ZTS_API int ZTCALL zts_id_new(char *key, unsigned int *len);
/* 1 when key is an identity whose halves and address belong together. len: ZTS_ID_STR_BUF_LEN. */
ZTS_API int ZTCALL zts_id_pair_is_valid(const char *key, unsigned int len);

/* ---- before the start ---------------------------------------------------------------------------- */

/* All optional, in any order; forgotten when the node has stopped. ZTS_ERR_SERVICE while a node runs and
 * after zts_node_free. */

/* Keep identity and caches in this folder, made with its parents when missing. Without it nothing is
 * kept, and the identity is a new one. */
ZTS_API int ZTCALL zts_init_from_storage(const char *path);
/* Use this identity (text, with the secret half, in a buffer of len >= ZTS_ID_STR_BUF_LEN bytes); it goes
 * before that of the folder and is not written there. ZTS_ERR_ARG unless valid. */
ZTS_API int ZTCALL zts_init_from_memory(const char *key, unsigned int len);
/* Gets a zts_event_msg_t * for each event, one at a time, on a thread of its own. Without a handler no
 * event is made. */
#ifdef ZTS_ENABLE_PINVOKE
typedef void (*CppCallback)(void *msg);
#endif
#if !defined(SWIG) || !defined(ZTS_ENABLE_PYTHON)
ZTS_API int ZTCALL zts_init_set_event_handler(void (*callback)(void *));
#endif
/* Leave interfaces whose names begin so alone. len: 1..15 bytes of prefix. May be repeated. */
ZTS_API int ZTCALL zts_init_blacklist_if(const char *prefix, unsigned int len);
/* Rely on this signed set of roots (planet format, 1..4096 bytes) instead of the folder's. What is no
 * planet at all is found at the start and not used. With no set, no `planet` in the folder and none
 * compiled in, the file that the environment variable ZT_PLANET names is used. */
ZTS_API int ZTCALL zts_init_set_roots(const void *data, unsigned int len);
/* UDP port; 0: a random one, the default, in the range of the second function. */
ZTS_API int ZTCALL zts_init_set_port(unsigned short port);
ZTS_API int ZTCALL zts_init_set_random_port_range(unsigned short first, unsigned short last);
/* A second UDP port (default 1); ports mapped by the router (default 0). */
ZTS_API int ZTCALL zts_init_allow_secondary_port(unsigned int allowed);
ZTS_API int ZTCALL zts_init_allow_port_mapping(unsigned int allowed);
/* What of the folder is used: networks.d, peers.d, planet, identity.* (default 1 each). */
ZTS_API int ZTCALL zts_init_allow_net_cache(unsigned int allowed);
ZTS_API int ZTCALL zts_init_allow_peer_cache(unsigned int allowed);
ZTS_API int ZTCALL zts_init_allow_roots_cache(unsigned int allowed);
ZTS_API int ZTCALL zts_init_allow_id_cache(unsigned int allowed);
/* Fewer datagrams of the node's own: slower to notice that a path is dead. */
ZTS_API int ZTCALL zts_init_set_low_bandwidth_mode(int enabled);
/* There is no relay over TCP: turning one on, or naming one, gives ZTS_ERR_NO_RESULT, turning it off
 * ZTS_ERR_OK. */
ZTS_API int ZTCALL zts_init_set_tcp_relay(const char *ip, unsigned short port);
ZTS_API int ZTCALL zts_init_allow_tcp_relay(int enabled);
ZTS_API int ZTCALL zts_init_force_tcp_relay(int enabled);

/* ---- node ---------------------------------------------------------------------------------------- */

/* Begin to start with the settings above; returns at once. ZTS_ERR_SERVICE: runs already, is still
 * stopping, or was freed; ZTS_ERR_GENERAL: no thread or memory. What fails later is NODE_FATAL_ERROR. */
ZTS_API int ZTCALL zts_node_start(void);
ZTS_API int ZTCALL zts_node_is_online(void); /* 1: a root answers */
/* Before the node is up: (uint64_t)ZTS_ERR_SERVICE. */
ZTS_API uint64_t ZTCALL zts_node_get_id(void);
/* The identity with its secret half, terminated. *len: at least ZTS_ID_STR_BUF_LEN on input, the length of
 * the text on output. ZTS_ERR_GENERAL while there is none yet. */
ZTS_API int ZTCALL zts_node_get_id_pair(char *key, unsigned int *len);
ZTS_API int ZTCALL zts_node_get_port(void); /* primary UDP port */
/* Begin to stop; returns at once. Sockets fail from now on. */
ZTS_API int ZTCALL zts_node_stop(void);
/* Stop, wait, release everything; nothing can be started afterwards. */
ZTS_API int ZTCALL zts_node_free(void);

/* Use the roots of a moon, beside the planet's, or give them up. seed: a node that knows it. */
ZTS_API int ZTCALL zts_moon_orbit(uint64_t moon_roots_id, uint64_t moon_seed);
ZTS_API int ZTCALL zts_moon_deorbit(uint64_t moon_roots_id);

ZTS_API int ZTCALL zts_stats_get_all(zts_stats_counter_t *dst);

/* ---- networks, addresses, routes ----------------------------------------------------------------- */

/* Needs no NODE_ONLINE. Before the node is up the call waits for that (up to some seconds, while it makes
 * its identity). ZTS_ERR_ARG: id 0. zts_net_leave: ZTS_ERR_NO_RESULT when it was not joined. */
ZTS_API int ZTCALL zts_net_join(uint64_t net_id);
ZTS_API int ZTCALL zts_net_leave(uint64_t net_id);
/* 1: at least one address is assigned. */
ZTS_API int ZTCALL zts_net_transport_is_ready(const uint64_t net_id);
/* ZTS_ERR_NO_RESULT (as uint64_t where that is the type): not joined. */
ZTS_API uint64_t ZTCALL zts_net_get_mac(uint64_t net_id);
ZTS_API int ZTCALL zts_net_get_mac_str(uint64_t net_id, char *dst, unsigned int len); /* len >= 18 */
ZTS_API int ZTCALL zts_net_get_broadcast(uint64_t net_id);
ZTS_API int ZTCALL zts_net_get_mtu(uint64_t net_id);
/* len: ZTS_MAX_NETWORK_SHORT_NAME_LENGTH. ZTS_ERR_SERVICE also while the node is not online. */
ZTS_API int ZTCALL zts_net_get_name(uint64_t net_id, char *dst, unsigned int len);
ZTS_API int ZTCALL zts_net_get_status(uint64_t net_id); /* zts_network_status_t */
ZTS_API int ZTCALL zts_net_get_type(uint64_t net_id);   /* zts_net_info_type_t */
/* The network without a controller on which these ports may be used. Any time. */
ZTS_API uint64_t ZTCALL zts_net_compute_adhoc_id(uint16_t start_port, uint16_t end_port);

/* family: ZTS_AF_INET, ZTS_AF_INET6. ZTS_ERR_NO_RESULT: not joined, or no such address. */
ZTS_API int ZTCALL zts_addr_is_assigned(uint64_t net_id, unsigned int family);
ZTS_API int ZTCALL zts_addr_get(uint64_t net_id, unsigned int family, struct zts_sockaddr_storage *addr);
ZTS_API int ZTCALL zts_addr_get_str(uint64_t net_id, unsigned int family, char *dst, unsigned int len);
/* addr: ZTS_MAX_ASSIGNED_ADDRESSES of them, which is what *count must say; *count gets the number. */
ZTS_API int ZTCALL zts_addr_get_all(uint64_t net_id, struct zts_sockaddr_storage *addr,
                                    unsigned int *count);
/* The IPv6 addresses that a node has on a network without being told. Any time. */
ZTS_API int ZTCALL zts_addr_compute_6plane(const uint64_t net_id, const uint64_t node_id,
                                           struct zts_sockaddr_storage *addr);
ZTS_API int ZTCALL zts_addr_compute_rfc4193(const uint64_t net_id, const uint64_t node_id,
                                            struct zts_sockaddr_storage *addr);
ZTS_API int ZTCALL zts_addr_compute_rfc4193_str(uint64_t net_id, uint64_t node_id, char *dst,
                                                unsigned int len);
ZTS_API int ZTCALL zts_addr_compute_6plane_str(uint64_t net_id, uint64_t node_id, char *dst,
                                               unsigned int len);
ZTS_API int ZTCALL zts_route_is_assigned(uint64_t net_id, unsigned int family);

/* Between these two the queries below answer from one moment, and other threads' groups wait. Release on
 * the thread that obtained (ZTS_ERR_GENERAL otherwise); it may obtain several times. */
ZTS_API int ZTCALL zts_core_lock_obtain(void);
ZTS_API int ZTCALL zts_core_lock_release(void);
/* A number of things, or ZTS_ERR_NO_RESULT (not joined, unknown peer); then the thing number idx:
 * ZTS_ERR_OK, ZTS_ERR_ARG (no such number, NULL, len below ZTS_INET6_ADDRSTRLEN), ZTS_ERR_NO_RESULT. */
ZTS_API int ZTCALL zts_core_query_addr_count(uint64_t net_id);
ZTS_API int ZTCALL zts_core_query_addr(uint64_t net_id, unsigned int idx, char *addr,
                                       unsigned int len);
ZTS_API int ZTCALL zts_core_query_route_count(uint64_t net_id);
/* via is 0.0.0.0 when there is no gateway. */
ZTS_API int ZTCALL zts_core_query_route(uint64_t net_id, unsigned int idx, char *target, char *via,
                                        unsigned int len, uint16_t *flags, uint16_t *metric);
ZTS_API int ZTCALL zts_core_query_path_count(uint64_t peer_id);
ZTS_API int ZTCALL zts_core_query_path(uint64_t peer_id, unsigned int idx, char *dst,
                                       unsigned int len); /* "ADDRESS/PORT", len >= 52 */
ZTS_API int ZTCALL zts_core_query_mc_count(uint64_t net_id);
ZTS_API int ZTCALL zts_core_query_mc(uint64_t net_id, unsigned int idx, uint64_t *mac, uint32_t *adi);

/* ---- sockets, as in BSD -------------------------------------------------------------------------- */

/* Descriptors are numbers of this library, from 0 upwards, lowest free first. */
ZTS_API int ZTCALL zts_bsd_socket(int family, int type, int protocol);
ZTS_API int ZTCALL zts_bsd_connect(int fd, const struct zts_sockaddr *addr, zts_socklen_t addrlen);
ZTS_API int ZTCALL zts_bsd_bind(int fd, const struct zts_sockaddr *addr, zts_socklen_t addrlen);
ZTS_API int ZTCALL zts_bsd_listen(int fd, int backlog);
ZTS_API int ZTCALL zts_bsd_accept(int fd, struct zts_sockaddr *addr, zts_socklen_t *addrlen);
ZTS_API int ZTCALL zts_bsd_setsockopt(int fd, int level, int optname, const void *optval,
                                      zts_socklen_t optlen);
ZTS_API int ZTCALL zts_bsd_getsockopt(int fd, int level, int optname, void *optval,
                                      zts_socklen_t *optlen);
ZTS_API int ZTCALL zts_bsd_getsockname(int fd, struct zts_sockaddr *addr, zts_socklen_t *addrlen);
ZTS_API int ZTCALL zts_bsd_getpeername(int fd, struct zts_sockaddr *addr, zts_socklen_t *addrlen);
ZTS_API int ZTCALL zts_bsd_close(int fd); /* works while no node runs, too */
ZTS_API int ZTCALL zts_bsd_select(int nfds, zts_fd_set *readfds, zts_fd_set *writefds,
                                  zts_fd_set *exceptfds, struct zts_timeval *timeout);
ZTS_API int ZTCALL zts_bsd_fcntl(int fd, int cmd, int flags);
ZTS_API int ZTCALL zts_bsd_poll(struct zts_pollfd *fds, zts_nfds_t nfds, int timeout_ms);
ZTS_API int ZTCALL zts_bsd_ioctl(int fd, unsigned long request, void *argp);
ZTS_API ssize_t ZTCALL zts_bsd_send(int fd, const void *buf, size_t len, int flags);
ZTS_API ssize_t ZTCALL zts_bsd_sendto(int fd, const void *buf, size_t len, int flags,
                                      const struct zts_sockaddr *addr, zts_socklen_t addrlen);
ZTS_API ssize_t ZTCALL zts_bsd_sendmsg(int fd, const struct zts_msghdr *msg, int flags);
ZTS_API ssize_t ZTCALL zts_bsd_recv(int fd, void *buf, size_t len, int flags);
ZTS_API ssize_t ZTCALL zts_bsd_recvfrom(int fd, void *buf, size_t len, int flags,
                                        struct zts_sockaddr *addr, zts_socklen_t *addrlen);
ZTS_API ssize_t ZTCALL zts_bsd_recvmsg(int fd, struct zts_msghdr *msg, int flags);
ZTS_API ssize_t ZTCALL zts_bsd_read(int fd, void *buf, size_t len);
ZTS_API ssize_t ZTCALL zts_bsd_readv(int fd, const struct zts_iovec *iov, int iovcnt);
ZTS_API ssize_t ZTCALL zts_bsd_write(int fd, const void *buf, size_t len);
ZTS_API ssize_t ZTCALL zts_bsd_writev(int fd, const struct zts_iovec *iov, int iovcnt);
ZTS_API int ZTCALL zts_bsd_shutdown(int fd, int how);

/* ---- sockets, simplified: texts and integers ----------------------------------------------------- */

ZTS_API int ZTCALL zts_socket(int family, int type, int protocol) ZTS18_BOTH(socket);
/* Connect, trying about four times a second, until it works or the time is over (0: 30 s; below a second
 * there is one try, and it is waited for until the time is over). On a non-blocking descriptor: one
 * attempt is begun, ZTS_ERR_SOCKET with ZTS_EINPROGRESS. ZTS_ERR_ARG: not an address, time < 0. */
ZTS_API int ZTCALL zts_connect(int fd, const char *ipstr, unsigned short port, int timeout_ms)
    ZTS18_BOTH(connect);
ZTS_API int ZTCALL zts_bind(int fd, const char *ipstr, unsigned short port) ZTS18_BOTH(bind);
ZTS_API int ZTCALL zts_listen(int fd, int backlog) ZTS18_BOTH(listen);
/* The new descriptor. remote: text of the peer's address, len: ZTS_IP_MAX_STR_LEN. */
ZTS_API int ZTCALL zts_accept(int fd, char *remote, int len, unsigned short *port) ZTS18_BOTH(accept);
ZTS_API ssize_t ZTCALL zts_send(int fd, const void *buf, size_t len, int flags) ZTS18_BOTH(send);
ZTS_API ssize_t ZTCALL zts_recv(int fd, void *buf, size_t len, int flags) ZTS18_BOTH(recv);
ZTS_API ssize_t ZTCALL zts_read(int fd, void *buf, size_t len) ZTS18_BOTH(read);
ZTS_API ssize_t ZTCALL zts_write(int fd, const void *buf, size_t len) ZTS18_BOTH(write);
ZTS_API int ZTCALL zts_shutdown_rd(int fd);
ZTS_API int ZTCALL zts_shutdown_wr(int fd);
ZTS_API int ZTCALL zts_shutdown_rdwr(int fd);
ZTS_API int ZTCALL zts_close(int fd) ZTS18_BOTH(close);
ZTS_API int ZTCALL zts_getpeername(int fd, char *remote, int len, unsigned short *port)
    ZTS18_BOTH(getpeername);
ZTS_API int ZTCALL zts_getsockname(int fd, char *local, int len, unsigned short *port)
    ZTS18_BOTH(getsockname);

/* A connected socket (after up to 30 s). */
ZTS_API int ZTCALL zts_tcp_client(const char *remote_ipstr, unsigned short remote_port);
/* Listen, take one connection, stop listening: the descriptor of the connection. */
ZTS_API int ZTCALL zts_tcp_server(const char *local_ipstr, unsigned short local_port,
                                  char *remote_ipstr, int len, unsigned short *remote_port);
ZTS_API int ZTCALL zts_udp_server(const char *local_ipstr, unsigned short local_port); /* bound */
ZTS_API int ZTCALL zts_udp_client(const char *remote_ipstr); /* of this family, not bound */

/* Options. Set: 0 or 1, anything else is ZTS_ERR_ARG. Get: the value, or ZTS_ERR_*. */
ZTS_API int ZTCALL zts_set_no_delay(int fd, int enabled);
ZTS_API int ZTCALL zts_get_no_delay(int fd);
ZTS_API int ZTCALL zts_set_reuse_addr(int fd, int enabled);
ZTS_API int ZTCALL zts_get_reuse_addr(int fd);
ZTS_API int ZTCALL zts_set_keepalive(int fd, int enabled);
ZTS_API int ZTCALL zts_get_keepalive(int fd);
ZTS_API int ZTCALL zts_set_blocking(int fd, int enabled);
ZTS_API int ZTCALL zts_get_blocking(int fd);
ZTS_API int ZTCALL zts_set_linger(int fd, int enabled, int seconds);
ZTS_API int ZTCALL zts_get_linger_enabled(int fd);
ZTS_API int ZTCALL zts_get_linger_value(int fd);
/* Get gives whole seconds; 0: none. */
ZTS_API int ZTCALL zts_set_recv_timeout(int fd, int seconds, int microseconds);
ZTS_API int ZTCALL zts_get_recv_timeout(int fd);
ZTS_API int ZTCALL zts_set_send_timeout(int fd, int seconds, int microseconds);
ZTS_API int ZTCALL zts_get_send_timeout(int fd);
ZTS_API int ZTCALL zts_set_send_buf_size(int fd, int size);
ZTS_API int ZTCALL zts_get_send_buf_size(int fd);
ZTS_API int ZTCALL zts_set_recv_buf_size(int fd, int size);
ZTS_API int ZTCALL zts_get_recv_buf_size(int fd);
ZTS_API int ZTCALL zts_set_ttl(int fd, int ttl); /* 0..255 */
ZTS_API int ZTCALL zts_get_ttl(int fd);
ZTS_API int ZTCALL zts_get_last_socket_error(int fd); /* SO_ERROR; reading clears it */
/* Bytes that can be read now. */
ZTS_API size_t ZTCALL zts_get_data_available(int fd);
ZTS_API int ZTCALL zts_get_pending_data_size(int fd);

/* ---- names, text, utilities ---------------------------------------------------------------------- */

/* NULL: no node runs, or the name is not known. The answer is the calling thread's until its next call. */
ZTS_API struct zts_hostent *zts_bsd_gethostbyname(const char *name);
/* The name servers that zts_bsd_gethostbyname asks first, index 0 and 1; addr NULL: none. */
ZTS_API int ZTCALL zts_dns_set_server(uint8_t index, const zts_ip_addr *addr);
ZTS_API const zts_ip_addr *ZTCALL zts_dns_get_server(uint8_t index);

ZTS_API void ZTCALL zts_util_delay(unsigned long milliseconds);
/* ZTS_AF_INET (also short forms such as "10.1"), ZTS_AF_INET6, -1: neither, ZTS_ERR_ARG: NULL. */
ZTS_API int ZTCALL zts_util_get_ip_family(const char *ipstr);
/* *addrlen: room on input, size on output. ZTS_ERR_OK, ZTS_ERR_ARG. */
ZTS_API int zts_util_ipstr_to_saddr(const char *ipstr, unsigned short port, struct zts_sockaddr *dst,
                                    zts_socklen_t *addrlen);
/* len: ZTS_IP_MAX_STR_LEN. */
ZTS_API int ZTCALL zts_util_ntop(struct zts_sockaddr *addr, zts_socklen_t addrlen, char *dst, int len,
                                 unsigned short *port);
/* Make a signed set of roots for zts_init_set_roots. The key pairs (128 bytes) are read from
 * previous.c25519 and current.c25519 in the working folder, or made anew when either is missing; both are
 * given back to be kept. Buffers: 4096 bytes each. ZTS_ERR_OK; ZTS_ERR_ARG: NULL, an identity, endpoint or
 * key file that is none, more than 4 roots (no node takes more), too large. */
ZTS_API int ZTCALL zts_util_sign_root_set(char *roots_out, unsigned int *roots_len, char *prev_key,
                                          unsigned int *prev_key_len, char *curr_key,
                                          unsigned int *curr_key_len, uint64_t id, uint64_t ts,
                                          zts_root_set_t *roots_spec);
/* The text is the calling thread's until its next call. */
ZTS_API char *zts_ipaddr_ntoa(const zts_ip_addr *addr);
ZTS_API int zts_ipaddr_aton(const char *cp, zts_ip_addr *addr); /* 1 done, 0 not an address */
ZTS_API const char *ZTCALL zts_inet_ntop(int family, const void *src, char *dst, zts_socklen_t size)
    ZTS18_BOTH(inet_ntop);
ZTS_API int ZTCALL zts_inet_pton(int family, const char *src, void *dst) ZTS18_BOTH(inet_pton);

#ifdef __cplusplus
}
#endif

#ifdef ZTS_ENABLE_PYTHON
/* The handler of SWIG's wrapper for Python is an object, called on the event thread with Python's lock. */
#include "Python.h"
class PythonDirectorCallbackClass {
  public:
    virtual void on_zerotier_event(zts_event_msg_t *) {}
    virtual ~PythonDirectorCallbackClass() {}
};
#ifdef SWIG
int zts_init_set_event_handler(PythonDirectorCallbackClass *callback);
#else
inline PythonDirectorCallbackClass *&zts18_director()
{
    static PythonDirectorCallbackClass *director;
    return director;
}
inline void zts18_to_director(void *msg)
{
    PyGILState_STATE lock = PyGILState_Ensure();
    zts18_director()->on_zerotier_event(static_cast<zts_event_msg_t *>(msg));
    PyGILState_Release(lock);
}
inline int zts_init_set_event_handler(PythonDirectorCallbackClass *callback)
{
    zts18_director() = callback;
    return zts_init_set_event_handler(callback != nullptr ? zts18_to_director : nullptr);
}
#endif
#endif

#if defined(ZTS_ENABLE_JAVA) && defined(__cplusplus)
/* The handler of the binding for Java is a method (JI)V of an object, called on the event thread: the id that the event is
 * about (0: none) and its code. The binding's sources keep the machine in a variable of this name. */
#include <jni.h>
namespace ZeroTier {
__attribute__((weak)) JavaVM *jvm;
}
inline jobject &zts18_listener()
{
    static jobject listener;
    return listener;
}
inline jmethodID &zts18_method()
{
    static jmethodID method;
    return method;
}
inline void zts18_to_listener(void *arg)
{
    const zts_event_msg_t *msg = static_cast<zts_event_msg_t *>(arg);
    uint64_t id = msg->node != nullptr      ? msg->node->node_id
                  : msg->network != nullptr ? msg->network->net_id
                  : msg->peer != nullptr    ? msg->peer->peer_id
                                            : 0;
    JNIEnv *env;
    if (ZeroTier::jvm->AttachCurrentThread(reinterpret_cast<void **>(&env), nullptr) != JNI_OK)
        return;
    env->CallVoidMethod(zts18_listener(), zts18_method(), static_cast<jlong>(id), static_cast<jint>(msg->event_code));
    ZeroTier::jvm->DetachCurrentThread();
}
inline int zts_init_set_event_handler(jobject listener, jmethodID method)
{
    zts18_listener() = listener;
    zts18_method() = method;
    return zts_init_set_event_handler(zts18_to_listener);
}
#endif

#endif
