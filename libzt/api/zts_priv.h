/* Shared inside api/: the life cycle, the table of descriptors, the state page, errors. */
#ifndef ZT_API_PRIV_H
#define ZT_API_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ZeroTierSockets.h"
#include "api/zts_event18.h"
#include "base/addr.h"
#include "base/err.h"
#include "node/events.h"
#include "node/node.h"
#include "zt_control.h"

/* ---- errors (zts_errno.c) ---- */

/* A Linux errno: sets zts_errno, returns ZTS_ERR_SOCKET. */
int zts_fail(int err);
/* A ZT_E_* code of the node: a control function's answer, or a socket function's. */
int zts_control_error(int code);
int zts_socket_error(int code);

/* ---- life cycle (zts_node.c) ---- */

/* May sockets be used? One atomic load. */
bool zts_ready(void);
/* One socket request to the node. Returns ZTS_ERR_OK, ZTS_ERR_SERVICE, or ZTS_ERR_SOCKET with
 * zts_errno from the reply. data may be NULL; fd too when none is expected. */
int zts_request(const struct zt_ctl_req *req, struct zt_ctl_rep *rep, uint8_t *data, int *fd);
/* A connect (see zt_node_connect), with the results of zts_request. */
int zts_request_connect(const struct zt_ctl_req *req, struct zt_ctl_rep *rep, int *fd, int wait_ms);
void zts_engine_in_child(void); /* after fork */
/* Called on the event thread before the application's callback. */
void zts_saw_note(const struct zt_node_note *note);

/* Call fn with the running node, so that it stays while the call is inside: fn's result, or ZT_E_STATE. */
int zts_with_node(int (*fn)(struct zt_node *n, void *arg), void *arg);

/* ---- details (zts_details.c) ---- */

void zts_fill_node(uint64_t addr, const uint16_t ports[3], struct zts_node_details *d);
void zts_fill_route(const struct zt_route *r, struct zts_virtual_network_route *out);
void zts_fill_network(const struct zt_net_info *n, struct zts_network_details *d);
void zts_fill_peer(const struct zt_peer_info *p, struct zts_peer_details *d);
int64_t zts_wall_shift_ms(void); /* wall clock less monotonic */
/* See zt_node_groups (zts_query.c). */
int zts_node_groups(uint64_t nwid, struct zt_group_info *out, size_t cap, size_t *total);

/* ---- layer 2 (zts_l2.c) ---- */

/* The node has ended: its callbacks are no more. Then, without a lock, because one may be running and want
 * it: end their threads. */
void zts_l2_retire(void);
void zts_l2_reap(void);
void zts_l2_in_child(void);
void zts_names_in_child(void); /* zts_names.c */

/* ---- the state page ---- */

/* Mapped once per node and shared by its sockets; unmapped with the last of them. */
struct zts_page {
    _Atomic unsigned refs;
    const struct zt_state_head *head;
    size_t size;
};
struct zts_page *zts_page_get(void); /* of the running node, with a reference; NULL: none */
struct zts_page *zts_page_ref(struct zts_page *p);
void zts_page_unref(struct zts_page *p); /* NULL is fine */
bool zts_page_stale(const struct zts_page *p);
/* A copy of the slot of id; false when it is no longer its (or p is NULL). */
bool zts_page_slot(const struct zts_page *p, uint64_t id, struct zt_state_slot *out);

/* ---- descriptors (zts_fd.c) ---- */

enum zts_kind {
    ZTS_KIND_FRESH,  /* host descriptor is a placeholder without a node behind it */
    ZTS_KIND_STREAM, /* connecting, connected, or past that */
    ZTS_KIND_BOUND,  /* bound stream, listening or not */
    ZTS_KIND_DGRAM,
};

#define ZTS_REMEMBER 16

/* One descriptor. `lock` guards what connect, bind, listen and options change; data calls only read
 * fd, type, kind and what is atomic. */
struct zts_sock {
    _Atomic uint32_t refs; /* ZTS_OPEN | number of calls inside */
    int num;               /* the public number */
    int fd;                /* host descriptor: the same number from zts_socket to zts_close */
    pthread_mutex_t lock;
    int family, type; /* ZTS_AF_*, ZTS_SOCK_*; AF_PACKET: layer 2 */
    int protocol;     /* of a raw socket */
    uint64_t nwid;    /* layer 2 */
    _Atomic int kind;
    _Atomic bool listening;
    _Atomic bool told;       /* connect's result was given to the caller */
    _Atomic bool settled;    /* seen connected or failed: a send need not look again */
    _Atomic bool reset_told; /* and the reset of what was connected */
    _Atomic bool shut_rd;    /* by the caller */
    _Atomic uint64_t id;
    pthread_mutex_t page_lock;
    struct zts_page *page;          /* reference; under page_lock */
    struct zt_ctl_addr local, peer; /* peer: of a connected datagram socket */
    int contimeo_ms;                /* 0: none */
    struct timeval rcvtimeo, sndtimeo;
    int rcvlowat; /* 0: not set */
    int linger;   /* seconds that close may block */
    int keepalive_ms; /* as set; the node rounds to seconds */
    _Atomic bool pktinfo, corked, broadcast;
    unsigned nopts;
    struct zt_ctl_opt opts[ZTS_REMEMBER]; /* Linux numbers */
};

/* A free number with a reference held by the caller, not yet open; NULL: table full. */
struct zts_sock *zts_sock_new(int family, int type);
void zts_sock_publish(struct zts_sock *s); /* open it; keeps the caller's reference */
void zts_sock_abandon(struct zts_sock *s); /* instead of publishing */
struct zts_sock *zts_sock_get(int num);    /* NULL: not open */
void zts_sock_put(struct zts_sock *s);
bool zts_sock_is_open(const struct zts_sock *s); /* zts_close may have come since zts_sock_get */
/* Close the number: blocked calls wake, the last one inside closes the host descriptor. */
int zts_sock_close(int num);
void zts_sock_close_all(void);
void zts_sock_in_child(void); /* after fork: its locks may be held by threads that are not here */

/* Put fresh (consumed) in the place of s's host descriptor, carrying flags and time-outs over. 0 or
 * an errno. With s->lock. */
int zts_sock_swap(struct zts_sock *s, int fresh);
int zts_placeholder(int type); /* a new placeholder descriptor or -errno */
/* The page that tells of s: data calls ask without s->lock while a connect may put another in its place. */
struct zts_page *zts_sock_page(struct zts_sock *s);                /* with a reference, or NULL */
void zts_sock_set_page(struct zts_sock *s, struct zts_page *page); /* takes the reference over */
bool zts_sock_is_stale(struct zts_sock *s);
bool zts_sock_slot(struct zts_sock *s, struct zt_state_slot *out);
/* Why a stream ended, unless it was told before: an errno, 0. (EPIPE: reset after the peer's orderly end,
 * which stays that for readers.) */
int zts_sock_take_error(struct zts_sock *s);
/* A datagram socket with a node behind it: makes one when it is fresh. ZTS_ERR_*. */
int zts_sock_need_dgram(struct zts_sock *s);
/* TCP_CORK (zts_opt.c). With s->lock. */
void zts_sock_cork(struct zts_sock *s, bool on);
/* Start a request about s. */
void zts_req_init(const struct zts_sock *s, enum zt_ctl_type type, struct zt_ctl_req *req);

/* ---- addresses (zts_net.c) ---- */

/* From a zts_sockaddr of `family`; an IPv4-mapped one becomes IPv4. ZTS_ERR_OK, ZTS_ERR_ARG, or
 * ZTS_ERR_SOCKET. */
int zts_addr_in(int family, const void *addr, zts_socklen_t len, struct zt_ctl_addr *out);
/* To the caller's buffer, cut to *len; *len gets the full length. */
void zts_addr_out(int family, const struct zt_ctl_addr *a, void *addr, zts_socklen_t *len);
void zts_storage_from_ep(const struct zt_ep *ep, struct zts_sockaddr_storage *out);

/* ---- events (zts_event.c) ---- */
void zts_deliver_note(void *user, const struct zt_node_note *note);
/* One of them, or neither. handler: of the 1.8 generation, gets a zts_event_msg_t *. */
void zts_set_callback(zts_callback_fn fn, void (*handler)(void *));

#endif
