/* Inside node/udp*.c: udp.c owns the sockets and receives, udp_send.c sends. */
#ifndef ZT_NODE_UDP_IMPL_H
#define ZT_NODE_UDP_IMPL_H

#include <netinet/in.h>

#include "node/udp.h"
#include "node/udp_batch.h"

#define UDP_SOCKS 96 /* 32 addresses with three ports */
#define UDP_ADDRESSES 32

struct zt_udp_sock {
    uv_poll_t poll;
    struct zt_udp *u;
    int fd;
    unsigned index;
    struct zt_ep local;
    enum zt_udp_slot slot;
    bool is_loopback;
    unsigned gso_max; /* largest segment the kernel takes here; 0: no segmentation */
};

struct zt_udp {
    struct zt_udp_config cfg;
    uint16_t port[ZT_UDP_SLOTS]; /* 0: not in use */
    struct zt_udp_sock *sock[UDP_SOCKS];
    unsigned next_index;
    unsigned open_handles; /* sockets whose uv_close has not come back */
    bool closing, want_gso, want_gro;
    struct zt_udp_stats stats;
    struct zt_batch *batch;
    struct zt_udp_vector *vector; /* udp_send.c's scratch */
    uint8_t *arena;               /* RX_MESSAGES times RX_SIZE */
};

union zt_sockaddr {
    struct sockaddr sa;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

struct zt_udp_vector *zt_udp_vector_new(void); /* free() it */
socklen_t zt_sockaddr_of(const struct zt_ep *ep, union zt_sockaddr *out);

#endif
