/* Inside node/proxy: what its files share. Not for others. */
#ifndef ZT_NODE_PROXY_INT_H
#define ZT_NODE_PROXY_INT_H

#include <uv.h>

#include "base/list.h"
#include "base/map.h"
#include "node/proxy.h"
#include "node/state.h"
#include "stack/stack.h"

#include "lwip/ip_addr.h"
#include "lwip/pbuf.h"

struct tcp_pcb;
struct udp_pcb;
struct netif;
struct raw_pcb;

#define ZT_SCRATCH (256 * 1024)
#define ZT_PORT_FIRST 16384 /* of those that are chosen for programs; up to 65535 */
#define ZT_PORT_COUNT (65536 - ZT_PORT_FIRST)

/* Options of a virtual socket. What the stack can't do is remembered, so that a program reads back
 * what it set. -1: the stack's default. */
struct zt_sockopts {
    int reuseaddr, reuseport, v6only, keepalive, broadcast, oobinline;
    int linger; /* seconds; 0: reset at close */
    int nodelay, cork, keepidle, keepintvl, keepcnt, user_timeout, maxseg, quickack, defer_accept;
    int ttl, tos, mcast_ttl, mcast_loop, mcast_if6;
    int sndbuf, rcvbuf, no_check, checksum, recverr;
    int ifindex; /* SO_BINDTODEVICE; 0: any */
    int advice[19]; /* what nothing here acts on, to be read back */
    uint8_t mcast_if4[4];
};

struct zt_host_side; /* proxy_host.c */

/* Options of streams that ended while the program holds its descriptor: it may connect again. */
#define ZT_PAST_STREAMS 256
struct zt_past {
    uint64_t id;
    struct zt_sockopts opt;
};

enum zt_sock_kind {
    ZT_SOCK_STREAM,
    ZT_SOCK_BOUND, /* bound stream socket; a listener once asked to listen */
    ZT_SOCK_DGRAM,
    ZT_SOCK_RAW, /* raw, or layer 2 */
};

/* What the poll callback saw since the last pump. */
enum {
    ZT_EV_READ = 1,
    ZT_EV_WRITE = 2,
    ZT_EV_HUP = 4, /* hang-up, an error on our end, or urgent data: look */
};

struct zt_sock {
    struct zt_proxy *p;
    struct zt_list dirty; /* linked while it waits for the end of the turn */
    struct zt_state_slot *slot;
    uint64_t id;
    int fd; /* our end of the pair, -1: none (yet) */
    uint8_t kind, want /* UV_* watched now */, ev;
    bool has_poll; /* poll was initialised and must be closed */
    bool closing;
    int family; /* of the program's socket: AF_INET, AF_INET6 */
    uv_poll_t poll;
    struct zt_host_side *host; /* the kernel's socket, where this one was merged with it */
    struct zt_sockopts opt;
};

/* An address taken by bind. Entries of one protocol and port are a chain under one key of p->bound.
 */
struct zt_binding {
    struct zt_binding *next;
    uint32_t key; /* 0: not in the table */
    bool listening;
    uint64_t origin; /* not 0: sockets of one origin share an address (zt_control.h) */
    const struct zt_sock *sock;
    struct zt_ctl_addr addr;
};

struct zt_stream {
    struct zt_sock s;
    struct tcp_pcb *pcb;      /* NULL once lwIP is done with it, or we with lwIP */
    struct zt_waiter *waiter; /* who waits for the end of the handshake; no pair until then */
    struct zt_listener *from; /* while nobody has accepted it */
    struct zt_list waiting;   /* in from->queue */
    uint64_t tuple;           /* key in p->tuples, 0: none */
    struct pbuf *rx,
        *rx_last; /* received, not yet in the pair; linked through ->next, tot_len unused */
    uint32_t rx_off, rx_bytes;
    uint32_t rx_room; /* bytes free behind rx_last's */
    uint8_t *stash; /* read from the pair; refused by lwIP for lack of memory, or held back by a cork */
    uint32_t stash_n;
    uint32_t filler;                 /* bytes of filler still in our receive queue */
    uint32_t tx_bytes;               /* given to lwIP, not yet acknowledged */
    uint32_t window, hold, consumed; /* see the essay of proxy_tcp.c */
    uint64_t bytes_in, bytes_out;
    int err; /* errno of the end of the connection */
    bool connecting;
    bool up;         /* the handshake is done; the program learns it in the next pump */
    bool tx_eof;     /* the program will write no more: everything was read */
    bool tx_fin;     /* and lwIP was told */
    bool rx_fin;     /* the peer sent FIN */
    bool rx_eof;     /* and the program was told */
    bool rx_discard; /* the program will read no more, what arrives is thrown away */
    bool gone;       /* no descriptor of the program's end is left */
    bool unread;     /* it was closed with data unread */
    bool no_pri;     /* urgent bytes sit in the pair: don't watch for exceptions */
    bool output;     /* tcp_output is due */
    int64_t cork_ms; /* since when a cork holds `stash` back, 0: it does not */
};

struct zt_listener {
    struct zt_sock s;
    struct tcp_pcb *pcb; /* listening pcb, NULL while only bound */
    struct zt_binding bound;
    struct zt_list queue; /* connections that don't fit in the pair */
    bool all_ports;
    struct zt_listener *next_all;
    unsigned queued, backlog;
};

#define ZT_DGRAM_GROUPS 20 /* as net.ipv4.igmp_max_memberships */
#define ZT_GROUP_SOURCES 10 /* as net.ipv4.igmp_max_msf */
struct zt_group {
    ip_addr_t addr;
    uint8_t netif; /* index; 0 = unused */
    uint8_t nsources; /* > 0: heard from these addresses only */
    uint8_t source[ZT_GROUP_SOURCES][16];
};

#define ZT_DGRAM_MOST 65507 /* bytes of payload over IPv4 */
#define ZT_PAIR_MESSAGES 4096 /* more than a pair's buffer holds */

struct zt_dgram {
    struct zt_sock s;
    struct udp_pcb *pcb;
    struct zt_binding bound;
    struct zt_ctl_addr remote; /* family 0: not connected */
    struct zt_group *groups;   /* ZT_DGRAM_GROUPS, allocated at the first join */
    struct zt_ctl_dgram more_h; /* of a datagram that comes in pieces */
    uint8_t *more;              /* its beginning, at most ZT_DGRAM_MOST bytes; NULL: none */
    size_t more_n;
    uint64_t bytes_in, bytes_out, dropped;
};

struct zt_proxy {
    struct zt_proxy_config cfg;
    struct zt_state state;
    struct zt_sock **socks; /* by slot */
    struct zt_list dirty;
    struct zt_list starved; /* streams' dirty links: wait for memory */
    struct zt_map bound;    /* protocol << 16 | port -> struct zt_binding */
    struct zt_map tuples;   /* hash of four-tuple -> struct zt_stream */
    uint64_t seed[2];
    uv_timer_t retry;       /* after EMFILE, ETOOMANYREFS: nothing else would wake us */
    struct zt_list blocked; /* listeners' dirty links: wait for the timer */
    uint32_t next_port; /* of connects: in turn, so that one in TIME_WAIT comes last */
    int fd_end; /* from here on descriptors are left to others */
    unsigned handles; /* libuv handles not yet closed; the proxy is freed at 0 */
    bool ending;
    char name_prefix[48];
    struct zt_proxy_counts counts;
    struct raw_pcb *icmp4, *icmp6;
    struct zt_list taps; /* layer 2 descriptors */
    struct zt_listener *catch_all; /* those that listen on all ports, through ->next_all */
    uint8_t *scratch;
    struct zt_past past[ZT_PAST_STREAMS]; /* a ring */
    unsigned past_next;
};

/* proxy.c */
uint64_t zt_proxy_random(struct zt_proxy *p);
/* One of p->handles is no more. */
void zt_proxy_handle_closed(struct zt_proxy *p);
/* Slot, id and table entry for a new socket; 0 or an errno. */
int zt_sock_register(struct zt_proxy *p, struct zt_sock *s, enum zt_sock_kind kind);
/* Make the pair and name our end fd[0]; fd[1] is the program's (CLOEXEC, blocking). 0 or errno. */
int zt_sock_make(struct zt_sock *s, int fd[2]);
/* Take our end under the loop's eyes; closed when that fails. 0 or errno. */
int zt_sock_adopt(struct zt_sock *s, int fd);
/* Both. */
int zt_sock_pair(struct zt_sock *s, int *prog);
/* Send filler from the program's end until it polls as not writable; bytes sent or -errno. */
int zt_sock_fill(int prog, const uint8_t *filler, size_t n);
void zt_sock_watch(struct zt_sock *s, int want);
/* No descriptor of the program's end is left, though the pump may not have seen it yet. */
bool zt_sock_is_closed(const struct zt_sock *s);
/* SO_RCVBUF of a datagram socket is the room in the pair. */
void zt_sock_buffer(struct zt_sock *s);
void zt_sock_touch(struct zt_sock *s); /* pump it at the end of this turn */
/* The end: take it out of all tables, close our descriptor, free later. gone: the program's end is
 * closed too. */
void zt_sock_retire(struct zt_sock *s, bool gone);
void zt_sock_retry(struct zt_sock *s); /* touch it again in some 50 ms */
struct zt_sock *zt_proxy_find(struct zt_proxy *p, uint64_t id);
void zt_proxy_memory(struct zt_proxy *p, int64_t delta);
bool zt_proxy_tight(const struct zt_proxy *p);

bool zt_addr_to_lwip(const struct zt_ctl_addr *a, ip_addr_t *out); /* false: no usable address */
void zt_addr_from_lwip(const ip_addr_t *ip, uint16_t port, struct zt_ctl_addr *out);
bool zt_addr_is_any(const struct zt_ctl_addr *a);
bool zt_addr_is_multicast(const struct zt_ctl_addr *a);
/* On a joined network, or ours. lwIP itself sends everything to the only interface when there is one. */
bool zt_addr_is_reachable(struct zt_proxy *p, const struct zt_ctl_addr *a);
bool zt_addr_is_ours(struct zt_proxy *p, const struct zt_ctl_addr *a);
/* Netif towards `to` and the source address there; local (may be any) is kept when it is set. 0,
 * ENETUNREACH, EADDRNOTAVAIL. */
int zt_route(const ip_addr_t *local, const ip_addr_t *to, struct netif **nif, ip_addr_t *src);

/* Take an address (port 0: choose one, written back). 0, EADDRINUSE, EADDRNOTAVAIL, ENOMEM. */
int zt_bind_take(struct zt_proxy *p, struct zt_binding *b, const struct zt_sock *s, int proto,
                 struct zt_ctl_addr *addr);
void zt_bind_drop(struct zt_proxy *p, struct zt_binding *b);
/* May this binding begin to listen? 0, EADDRINUSE. */
int zt_bind_listen(struct zt_proxy *p, struct zt_binding *b);
/* The same for an address whose scope may name the interface (link-local ones of several networks). */
int zt_route_to(const struct zt_ctl_addr *to, const ip_addr_t *local, const ip_addr_t *dst,
                struct netif **nif, ip_addr_t *src);
bool zt_addr_is_link_local(const struct zt_ctl_addr *a);
/* SO_BINDTODEVICE: is `to` reached through that network? */
bool zt_sock_may_leave(const struct zt_sock *s, const struct zt_ctl_addr *to);
/* The interface of this index or address, else the first that is up. */
struct netif *zt_first_netif(bool v6, int index, const uint8_t *ip4);
bool zt_bind_may_share(const struct zt_sock *s);

/* proxy.c: both ends of a socket, into a reply */
void zt_slot_addrs(const struct zt_state_slot *slot, struct zt_ctl_rep *r);

/* proxy_tcp.c */
/* Of a flow, never 0; nobody without the seed can choose it. */
uint64_t zt_tuple_hash(const struct zt_proxy *p, const struct zt_ctl_addr *l,
                       const struct zt_ctl_addr *r);
struct zt_stream *zt_stream_accepted(struct zt_listener *l, struct tcp_pcb *pcb);
void zt_stream_pump(struct zt_stream *st);
void zt_stream_drop(struct zt_stream *st); /* abort and retire */
void zt_stream_attach(struct zt_stream *st, struct tcp_pcb *pcb); /* callbacks and options */
void zt_stream_hold(struct zt_stream *st); /* at its beginning: a part of the window (essay) */
void zt_stream_abort(struct zt_stream *st); /* lwIP's side alone */
void zt_stream_retire(struct zt_stream *st);
void zt_stream_note(struct zt_stream *st, int note);
void zt_stream_apply(struct zt_stream *st); /* options to the pcb */
void zt_stream_info(struct zt_stream *st, struct zt_ctl_info *out);
/* Has lwIP anything unsent or unacknowledged, in open or ending connections? */
bool zt_stream_all_acked(void);
/* An ICMP message about a SYN of ours. */
void zt_stream_icmp(struct zt_proxy *p, const struct zt_ctl_addr *local,
                    const struct zt_ctl_addr *remote, int err);

/* proxy_connect.c */
/* h: who waits for the result, or NULL; then *fd is the connecting descriptor. 0 or an errno. */
int zt_stream_connect(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_waiter *h,
                      struct zt_ctl_rep *r, int *fd);
void zt_connect_up(struct zt_stream *st); /* the handshake is over: tell the program, who has its end */
/* Of a stream with a waiter: true when that has been told of its descriptor. False: it still waits, or this
 * was its end. */
bool zt_connect_pump(struct zt_stream *st);
/* Answer the waiter: an errno, or 0 and fd, which is taken over. */
void zt_connect_answer(struct zt_stream *st, int err, int fd);

/* proxy_listen.c */
int zt_listen_bind(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd);
/* host: the kernel's listener, taken over. */
int zt_listen_merge(struct zt_proxy *p, const struct zt_ctl_req *q, int host, struct zt_ctl_rep *r,
                    int *fd);
/* A connection for the program, and its end; the caller closes fd. 0 or an errno. */
int zt_listen_send(struct zt_listener *l, const struct zt_ctl_accept *a, int fd);
void zt_listen_apply(struct zt_listener *l);
/* Would a connection fit into the pair now? */
bool zt_listen_room(const struct zt_listener *l);
int zt_listen_start(struct zt_listener *l, int backlog, bool all_ports);
void zt_listen_pump(struct zt_listener *l);
/* Listeners on this port that their programs have closed end now, before somebody connects to one. */
void zt_listen_bury(struct zt_proxy *p, uint16_t port);
void zt_listen_drop(struct zt_listener *l);

/* proxy_udp.c */
int zt_dgram_request(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd);
int zt_dgram_merge(struct zt_proxy *p, const struct zt_ctl_req *q, int host, struct zt_ctl_rep *r,
                   int *fd);
/* A datagram of n bytes for the program. */
void zt_dgram_hand_in(struct zt_dgram *d, const struct zt_ctl_dgram *h, const void *data, size_t n);
/* An error for the program, about a datagram to remote. */
void zt_dgram_report(struct zt_dgram *d, int err, const struct zt_ctl_addr *remote);
void zt_dgram_pump(struct zt_dgram *d);
void zt_dgram_drop(struct zt_dgram *d);
/* UDP_CORK: what is sent from now on is one datagram, which goes when that ends. Linux errno. */
int zt_dgram_cork(struct zt_dgram *d, bool on);
void zt_dgram_apply(struct zt_dgram *d);
void zt_dgram_icmp(struct zt_proxy *p, const struct zt_ctl_addr *local,
                   const struct zt_ctl_addr *remote, int err);

/* proxy_group.c */
/* The interface for group and broadcast traffic: the one asked for, else that of the bound address, else
 * the first. NULL: none. */
struct netif *zt_group_netif(const struct zt_dgram *d, bool v6, unsigned index, const uint8_t *ip4);
/* One of the options that join and leave. 0 or an errno. */
int zt_dgram_member(struct zt_dgram *d, int level, int name, const uint8_t *val, size_t n);
void zt_groups_leave(struct zt_dgram *d); /* all */
/* Did the socket ask for this datagram's group from other sources only? */
bool zt_group_leaves_out(const struct zt_dgram *d, const struct zt_ctl_dgram *h);

/* proxy_host.c */
/* Take over the kernel's socket for s. 0, EINVAL when it is not what the request says, ENOMEM. */
int zt_host_take(struct zt_sock *s, const struct zt_ctl_req *q, int fd);
void zt_host_drop(struct zt_sock *s);
void zt_host_watch(struct zt_sock *s, bool on);
/* Connections that wait in the kernel, to the program. 0: none is left; EAGAIN: the program has to
 * take some first; another errno: try again later. */
int zt_host_accept(struct zt_listener *l);
/* Datagrams from the kernel's side, to the program. */
void zt_host_receive(struct zt_dgram *d);
/* One to an address that is not of the virtual network. 0 or an errno. */
int zt_host_send(struct zt_dgram *d, const struct zt_ctl_dgram *h, const struct zt_ctl_addr *to,
                 const uint8_t *data, size_t n);
/* See ZT_CTL_RELEASE. */
void zt_host_release(struct zt_proxy *p, int stype, uint16_t port);
/* proxy_raw.c */
struct zt_raw;
int zt_raw_request(struct zt_proxy *p, const struct zt_ctl_req *q, struct zt_ctl_rep *r, int *fd);
void zt_raw_pump(struct zt_raw *r);
void zt_raw_drop(struct zt_raw *r);
void zt_raw_apply(struct zt_raw *r);
void zt_raw_bytes(const struct zt_raw *r, uint64_t *in, uint64_t *out);

/* proxy_icmp.c */
int zt_icmp_open(struct zt_proxy *p);
void zt_icmp_close(struct zt_proxy *p);

/* proxy_opt.c */
void zt_opt_init(struct zt_sockopts *o);
/* 0, ENOPROTOOPT, EINVAL. Stores, then applies to the pcb. */
int zt_opt_set(struct zt_sock *s, int level, int name, const uint8_t *val, size_t n);
int zt_opt_get(struct zt_sock *s, int level, int name, uint8_t *val, size_t *n);
/* What is stored, alone, of a socket that may be no more. Level ZT_CTL_OPT_ALL gives all that were
 * set. */
int zt_opt_store(struct zt_sockopts *o, int level, int name, const uint8_t *val, size_t n);
int zt_opt_stored(const struct zt_sockopts *o, int level, int name, uint8_t *val, size_t *n);
/* The options remembered from before the swap: unknown ones are passed over. */
void zt_opt_set_all(struct zt_sock *s, const struct zt_ctl_req *q);

#endif
