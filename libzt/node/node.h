/* A node: identity and files, loop thread, core, stack, proxies, door, events. api/ and ztd are
 * thin over this. All functions are thread-safe unless they say otherwise. */
#ifndef ZT_NODE_NODE_H
#define ZT_NODE_NODE_H

#include "base/info.h"
#include "base/drop.h"
#include "node/proxy.h"
#include "node/udp.h"

struct zt_node;
struct zt_events;
struct zt_conf;
struct zt_identity;

/* Node events, in the order in which they arose, on the event thread. */
enum zt_node_event {
    ZT_NODE_STACK_UP,
    ZT_NODE_STACK_DOWN,
    ZT_NODE_UP,
    ZT_NODE_ONLINE,
    ZT_NODE_OFFLINE,
    ZT_NODE_DOWN,
    ZT_NODE_COLLISION,
    ZT_NODE_FATAL, /* text says why */
    ZT_NODE_TERMINATED,
    ZT_NODE_NETWORK, /* network (before, now); what changed is the API's to compare */
    ZT_NODE_NETWORK_GONE,
    ZT_NODE_PEER,    /* peer (before, now) */
    ZT_NODE_WARNING, /* text: something people should know (a damaged file, another port) */
    ZT_NODE_STORED,  /* text: name of a file in the home; data, ndata: what it holds from now on.
                        Only with tell_stored. */
};

struct zt_node_note {
    enum zt_node_event what;
    const char *text;                           /* FATAL, WARNING, STORED */
    const void *data;                           /* STORED */
    size_t ndata;
    uint64_t addr;                              /* our node address, once known */
    uint16_t port, port2, port3;                /* UDP ports in use; 0: none */
    const struct zt_net_info *net_was, *net;    /* NETWORK: was NULL the first time */
    const struct zt_peer_info *peer_was, *peer; /* PEER */
};

struct zt_node_config {
    const char *home; /* folder, created with parents (0700); NULL: nothing is kept (no door then) */
    int port;         /* UDP port; 0 random; -1: local.conf, else 9993, else random */
    bool door;        /* serve control.sock */
    int lock_fd;      /* descriptor that already holds identity.lock, or -1 */
    bool cache_peers, cache_networks, read_local_conf;
    bool controller; /* serve the networks of controller.d, and the local API's /controller */
    const uint64_t *networks; /* to join at start, beside those of networks.d; copied */
    size_t nnetworks;
    int idle_exit_s;          /* ztd: end after so long without sockets and clients; 0 never */
    struct zt_events *events; /* where notes go (borrowed until zt_node_free), or NULL */
    _Atomic bool *serves;     /* set to false when it ends, asked or not, before it says so; or NULL */

    /* What a program may bring along instead of files; all copied, NULL or 0: nothing. */
    const struct zt_identity *identity; /* secret and valid; goes before the one of the home, and is
                                           not kept there */
    const void *planet;                 /* goes before the file of the home, if it is a planet */
    size_t nplanet;
    const char *spare_planet;   /* path of a planet for a home that has none */
    const struct zt_conf *conf; /* settings when there is no local.conf to read */
    bool no_identity_file;      /* make a new identity at every start, and keep none */
    bool no_planet_file;        /* leave `planet` in the home alone */
    bool tell_stored;           /* notes STORED */
};

/* Begin starting and return at once; the rest (identity, planet, bind) happens on the loop thread
 * and is reported by notes: UP, or FATAL and DOWN. Returns 0, ZT_E_INVAL, ZT_E_NOMEM. */
int zt_node_start(const struct zt_node_config *cfg, struct zt_node **out);
/* Ask it to end: notes GONE per network, DOWN, TERMINATED. Returns at once. */
int zt_node_stop(struct zt_node *n);
/* Wait for the end (at most timeout_ms, -1 for ever): 0, ZT_E_TIMEOUT. */
int zt_node_wait(struct zt_node *n, int timeout_ms);
void zt_node_free(struct zt_node *n); /* stops and waits when need be */

int zt_node_join(struct zt_node *n, uint64_t nwid);
int zt_node_leave(struct zt_node *n, uint64_t nwid);
/* Begin to read local.conf again; what is wrong with it comes as WARNING notes. */
int zt_node_reload(struct zt_node *n);
/* See zt_vl1_orbit, zt_vl1_deorbit. */
int zt_node_orbit(struct zt_node *n, uint64_t moon, uint64_t seed);
int zt_node_deorbit(struct zt_node *n, uint64_t moon);
int zt_node_status(struct zt_node *n, struct zt_status_info *out);
/* Who it is, with the secret key. ZT_E_STATE before the node is up. */
int zt_node_identity(struct zt_node *n, struct zt_identity *out);
/* Wait until it is up or will never be (at most timeout_ms): 0, ZT_E_STATE, ZT_E_TIMEOUT. */
int zt_node_wait_up(struct zt_node *n, int timeout_ms);
int zt_node_networks(struct zt_node *n, uint64_t *out, size_t cap, size_t *total);
/* What is in use: without addresses and routes that the settings don't allow. */
int zt_node_network(struct zt_node *n, uint64_t nwid, struct zt_net_info *out);
int zt_node_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out);
int zt_node_set(struct zt_node *n, uint64_t nwid, const struct zt_net_settings *settings);
int zt_node_peers(struct zt_node *n, uint64_t *out, size_t cap, size_t *total);
int zt_node_peer(struct zt_node *n, uint64_t addr, struct zt_peer_info *out);

int zt_node_ports(struct zt_node *n, uint16_t out[3]); /* primary, secondary, tertiary; 0: none */
/* The multicast groups that the interface is in; and one more, or one less. */
int zt_node_groups(struct zt_node *n, uint64_t nwid, struct zt_group_info *out, size_t cap,
                   size_t *total);
int zt_node_group(struct zt_node *n, uint64_t nwid, uint64_t mac, uint32_t adi, bool add);
/* A frame to the network: see zt_vl2_frame. */
int zt_node_frame(struct zt_node *n, uint64_t nwid, uint8_t *eth, size_t len);
int zt_node_ifindex(struct zt_node *n, uint64_t nwid); /* zt_stack_ifindex, or ZT_E_STATE */

/* Addresses of a name; waits for the answer. *err as zt_resolve_done's. */
struct zt_resolve_question;
int zt_node_resolve(struct zt_node *n, const struct zt_resolve_question *q, struct zt_ep *out,
                    unsigned *count, int *err);

/* ZT_CTL_CONNECT, and wait for what becomes of it: until the handshake is over (rep->done, or
 * rep->err), or for wait_ms; then *fd is a socket that is still connecting. 0 or ZT_E_STATE. */
int zt_node_connect(struct zt_node *n, const struct zt_ctl_req *req, struct zt_ctl_rep *rep, int *fd,
                    int wait_ms);
/* One socket request on the loop thread (see zt_proxy_request). Returns 0 or ZT_E_STATE. */
int zt_node_socket(struct zt_node *n, const struct zt_ctl_req *req, struct zt_ctl_rep *rep,
                   uint8_t *data, int *fd);
/* A new descriptor (CLOEXEC) of the state page, for the API to map, or ZT_E_*. */
int zt_node_state_fd(struct zt_node *n);

/* One ztctl command (ZT_CTL_COMMAND): JSON text in *json (malloc'd), or an errno with a message. */
int zt_node_command(struct zt_node *n, const char *command, char **json);

/* One request to the local API (node/api.h): posted to the loop. r is copied. 0, or ZT_E_STATE,
 * ZT_E_NOMEM (then done is not called). */
struct zt_api_request;
int zt_node_api(struct zt_node *n, const struct zt_api_request *r,
                void (*done)(void *arg, int status, const char *type, const char *body, size_t len),
                void *arg);
/* Who may use the local API from elsewhere (local.conf; port: prefix length). Returns how many. */
unsigned zt_node_managers(struct zt_node *n, struct zt_ep *out, unsigned cap);
/* Has all that programs wrote been sent and acknowledged? Also true without a node. */
bool zt_node_is_drained(struct zt_node *n);
/* Absolute path; once it is up. */
const char *zt_node_home(const struct zt_node *n);
/* "OK", "ACCESS_DENIED", ...: vl2.md 8.5. */
const char *zt_net_status_name(enum zt_net_status status);

/* After fork the child has no node: every call above on a node of the parent gives ZT_E_STATE, and
 * zt_node_free only forgets it, so that a new one can be started. True in the child. */
bool zt_node_is_inherited(const struct zt_node *n);

#endif
