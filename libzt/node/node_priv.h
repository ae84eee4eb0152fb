/* Inside of struct zt_node, shared by node.c (life cycle, files), turn.c, host.c, nets.c, ranges.c
 * (the work of the loop) and command.c (ztctl). */
#ifndef ZT_NODE_PRIV_H
#define ZT_NODE_PRIV_H

#include <jansson.h>
#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "core/core.h"
#include "node/conf.h"
#include "node/controller.h"
#include "node/door.h"
#include "node/events.h"
#include "node/loop.h"
#include "node/node.h"
#include "node/portmap.h"
#include "node/proxy.h"
#include "node/resolve.h"
#include "node/store.h"
#include "node/udp.h"
#include "node/udp_watch.h"
#include "stack/stack.h"

/* STARTING -> RUNNING -> STOPPING -> ENDED; STARTING -> ENDED when it fails. */
enum zt_node_state {
    ZT_NODE_STARTING,
    ZT_NODE_RUNNING,
    ZT_NODE_STOPPING,
    ZT_NODE_ENDED,
};

/* Work for the keeper: files to write, identities to check. One allocation, freed by the keeper. */
struct zt_job {
    struct zt_list link;
    void (*run)(struct zt_node *n, struct zt_job *j);
    char name[64];
    unsigned flags;
    const char *what; /* static text */
    size_t n;
    uint8_t data[];
};

/* A file read at start, for the loop. */
struct zt_file {
    struct zt_list link;
    uint64_t id;
    uint8_t *p;
    size_t n;
    char name[64];
};

/* Bytes waiting in records of {nwid, n, frame}. */
struct zt_frames {
    uint8_t *p;
    size_t n, cap;
};

struct zt_netent {
    struct zt_net_settings settings;
    struct zt_net_info info; /* what is in use (zt_netset_apply), as last told */
    int port_error;
    bool in_stack, told;
};

struct zt_ping;

struct zt_node {
    struct zt_node_config cfg; /* what it points to: our own copies, and one conf below */
    struct zt_conf given_conf;
    char *home;          /* absolute, once the store is open */
    unsigned generation; /* of forks, when it was started */

    pthread_t keeper;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    enum zt_node_state state;
    bool stop_asked, collided;
    unsigned users; /* threads inside a call on the loop */
    struct zt_list jobs;
    unsigned checks; /* identities waiting to be checked */

    /* keeper; and the loop thread during init and fini, while the keeper waits */
    struct zt_store *store;
    struct zt_conf conf;          /* local.conf in force; keeper at start, then the loop's */
    json_t *conf_doc;             /* its whole text, NULL: no usable file; owned likewise */
    struct zt_ctl_db *controller; /* NULL: not a controller */
    struct zt_identity identity;
    uint8_t *planet;
    size_t nplanet;
    struct zt_list files_networks, files_netset, files_peers, files_moons;
    char why[ZT_STORE_WHY];

    /* loop thread */
    struct zt_loop *loop;
    struct zt_host host;
    struct zt_core *core;
    struct zt_stack *stack;
    struct zt_udp *udp;
    struct zt_proxy *proxy;
    struct zt_door *door;
    uint16_t port, port2, port3; /* as last told */
    struct zt_map nets;          /* nwid -> struct zt_netent */
    struct zt_map peers;         /* address -> struct zt_peer_info as last told; only with events */
    struct zt_frames in, in_spare;
    uint64_t in_dropped; /* frames that found `in` full */
    struct zt_event *pending;
    size_t npending, cap_pending;
    bool draining;
    bool peers_missed; /* not all their news found room in `pending` */
    int64_t idle_since;
    bool idle_over; /* for too long: the end was asked for */
    struct zt_udp_watch *watch;
    struct zt_portmap *portmap;
    struct zt_ep mapped;    /* our endpoint on the router's outside; family 0: none */
    int64_t rescan_at;      /* underlay.c: when to look at the interfaces again */
    int64_t offline_at;     /* since when no root answers, or when the secondary port was chosen */
    int64_t wall_offset;    /* wall less monotonic time at the last look */
    int64_t clean_at;       /* when to look through peers.d */
    struct zt_list reloads; /* reload.c: waiting for the file */
    bool sticky;            /* `up`: do not end when idle */
    bool online;
    bool restoring; /* the networks of the last run are being joined: not all are there yet */
    char *ranges_text;
    struct zt_list pings;
    uint16_t ping_seq;
    struct zt_resolver *resolver;
    unsigned pool_left;
    uint8_t pool[512];
};

/* node.c */
/* False: no memory, and the job will not run. */
bool zt_node_post_job(struct zt_node *n, void (*run)(struct zt_node *, struct zt_job *),
                      const char *name, unsigned flags, const char *what, const void *p,
                      size_t len);
/* For a job that has something to tell: the loop while the node runs, else NULL. The keeper itself ends
 * the loop, so it stays for as long as the job runs. With zt_loop_post_at what is told can't be lost
 * for lack of memory: somebody waits for it. */
struct zt_loop *zt_keeper_loop(struct zt_node *n);
void zt_node_job_write(struct zt_node *n, struct zt_job *j);
void zt_node_job_remove(struct zt_node *n, struct zt_job *j);
void zt_node_job_aside(struct zt_node *n, struct zt_job *j);
void zt_node_note(struct zt_node *n, struct zt_node_note note);
void zt_node_warn(struct zt_node *n, const char *text);
void zt_node_collided(struct zt_node *n);

void zt_keeper_random(void *user, void *out, size_t len);

/* given.c: see struct zt_node_config. Identity and planet (none is fine) for this start: 0, or a
 * ZT_E_* with a message in why. */
int zt_given_identity(struct zt_node *n);
int zt_given_planet(struct zt_node *n);
void zt_given_tell(void *user, const char *name, const void *p, size_t len); /* a note STORED */
bool zt_given_copy(struct zt_node *n, const struct zt_node_config *c);       /* false: no memory */
void zt_given_free(struct zt_node *n);

/* turn.c: all on the loop thread */
int zt_turn_init(void *user, struct zt_loop *l);
void zt_turn_due(void *user, const struct zt_now *now);
int64_t zt_turn_flush(void *user, const struct zt_now *now);
void zt_turn_fini(void *user);

/* host.c: all on the loop thread but zt_host_random */
struct zt_host zt_host_of_core(struct zt_node *n);
struct zt_stack_host zt_host_of_stack(struct zt_node *n);
void zt_host_random(void *user, void *out, size_t len);
/* A frame of ours (changed in place) into the network: 0, ZT_E_*. */
int zt_host_frame(void *user, uint64_t nwid, uint8_t *eth, size_t len);
/* Deliver the frames and events that the core produced. After every call into the core. */
void zt_host_drain(struct zt_node *n);

/* nets.c: all on the loop thread. ZT_E_NOENT: not joined. */
int zt_nets_join(struct zt_node *n, uint64_t nwid);
/* The same with the configuration of an earlier run (NULL: none), without a file of its own. */
int zt_nets_restore(struct zt_node *n, uint64_t nwid, const uint8_t *cached, size_t ncached);
int zt_nets_leave(struct zt_node *n, uint64_t nwid);
/* As configured, allowed here or not. */
int zt_nets_get(struct zt_node *n, uint64_t nwid, struct zt_net_info *out);
/* The same for what is in use: zt_node_network. */
int zt_nets_used(struct zt_node *n, uint64_t nwid, struct zt_net_info *out);
int zt_nets_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out);
/* Apply them now and keep them. */
int zt_nets_set(struct zt_node *n, uint64_t nwid, const struct zt_net_settings *settings);
void zt_nets_changed(struct zt_node *n, uint64_t nwid); /* the core has news of it */
void zt_nets_gone(struct zt_node *n, uint64_t nwid);    /* out of stack and proxies */

/* ranges.c: on the loop thread, when addresses, routes, names or the way out changed */
void zt_ranges_publish(struct zt_node *n);

/* underlay.c: sockets, ports and own addresses; all on the loop thread */
int zt_underlay_open(struct zt_node *n, zt_udp_recv_fn *recv); /* a message in why on failure */
void zt_underlay_close(struct zt_node *n);
void zt_underlay_due(struct zt_node *n, const struct zt_now *now);
int64_t zt_underlay_deadline(const struct zt_node *n);
void zt_underlay_announce(struct zt_node *n);  /* tell the core our endpoints */
void zt_underlay_configure(struct zt_node *n); /* n->conf changed */

/* command.c. done is called once, at once or later, on the loop thread: err 0 and JSON, or an errno
 * and a message for people. */
typedef void zt_command_done(void *arg, int err, const char *text, size_t len);
void zt_command_run(struct zt_node *n, const char *text, zt_command_done *done, void *arg);
/* May it come from another user's program, which may have sockets (settings.allowUsers)? */
bool zt_command_is_for_all(const char *text);

/* reload.c: read local.conf again and go by it. done as above; may be NULL. */
void zt_reload_start(struct zt_node *n, zt_command_done *done, void *arg);
void zt_reload_end_all(struct zt_node *n);

/* watch.c: notes to those who said `watch` */
void zt_watch_note(struct zt_node *n, const struct zt_node_note *note); /* keeper or loop thread */
void zt_watch_start(struct zt_node *n, struct zt_door_reply *to);       /* loop thread, as below */
void zt_watch_end(struct zt_node *n); /* says that the node ends */

/* ping.c */
void zt_ping_start(struct zt_node *n, const char *address, zt_command_done *done, void *arg);
void zt_ping_due(struct zt_node *n, int64_t mono_ms);
int64_t zt_ping_deadline(const struct zt_node *n);
void zt_ping_end_all(struct zt_node *n);

#endif
