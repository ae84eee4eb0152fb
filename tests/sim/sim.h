/* A world of nodes in one process: real cores, a virtual clock, and a network that delays,
 * reorders, loses, duplicates and translates. One seed decides everything; the same seed is the
 * same run, which sim_hash() shows.
 *
 *   struct sim *s = sim_new(7);
 *   struct sim_node *root = sim_node(s, "9.0.0.1/9993"), *a = sim_node(s, "9.0.0.2/9993");
 *   sim_planet(s, 1, &root, 1);
 *   sim_start(root); sim_start(a);
 *   sim_run(s, 1000);                                  virtual ms
 *
 * A node behind a NAT has a private address and is made with sim_node_behind. Each node is a bare
 * VL1 with a tiny upper layer (FRAME in, echo out) or, after sim_with_core(), a whole core. */
#ifndef ZT_TEST_SIM_H
#define ZT_TEST_SIM_H

#include "core/core.h"
#include "vl1/vl1.h"

#define SIM_NODES 212
#define SIM_NATS 8
#define SIM_MAPPINGS 256
#define SIM_FRAME_MAX 4096

enum sim_nat_kind {
    SIM_NAT_FULL_CONE,       /* one outside port per inside port, open to all */
    SIM_NAT_ADDR_RESTRICTED, /* one outside port; only addresses that were sent to get in */
    SIM_NAT_PORT_RESTRICTED, /* one outside port; only endpoints that were sent to get in */
    SIM_NAT_SYMMETRIC,       /* an outside port for each remote endpoint */
};

struct sim_link { /* one direction between two nodes */
    int delay_ms, jitter_ms;
    unsigned loss_permille, dup_permille;
    unsigned corrupt_permille; /* one to four bytes change */
    bool blocked;
    uint64_t loss_mask; /* bit i: lose the i-th datagram from now on */
    unsigned mask_at;
    uint64_t datagrams, bytes; /* that were sent, lost ones included */
};

struct sim_nat {
    enum sim_nat_kind kind;
    struct zt_ep outside; /* the port is ignored */
    int64_t hold_ms;      /* a row without traffic from inside is forgotten after this; 0: never */
    unsigned n;           /* 0 makes it forget everything */
    struct {
        struct zt_ep inside, remote;
        uint16_t port;
        int64_t used_ms;
    } map[SIM_MAPPINGS]; /* one row per (inside, remote) ever sent to */
    uint16_t next_port;
};

struct sim_disk;

struct sim_node {
    struct sim *sim;
    unsigned no;
    struct zt_identity id;
    struct zt_host host;
    struct zt_vl1 *vl1;   /* without core */
    struct zt_core *core; /* or this */
    struct zt_drops own_drops;
    struct zt_ep ep;
    struct zt_ep second; /* of socket 1; family 0: there is only socket 0 */
    struct sim_nat *nat;
    uint64_t random_state;
    int64_t check_delay_ms; /* how long an identity check takes */
    int64_t mono_off_ms;    /* its monotonic clock began elsewhere; set before it starts */
    int64_t wall_off_ms;    /* its wall clock is wrong by this; may jump at any time */
    int64_t frozen_until_ms; /* simulator's time: neither runs nor receives, as in a suspend */
    unsigned backlog;        /* datagrams that waited for it */

    uint64_t sent, received, ticks;
    unsigned events[ZT_EVENT_MOON + 1]; /* by enum zt_event_kind */
    unsigned frames, pongs, direct_frames;
    uint8_t last_frame[SIM_FRAME_MAX]; /* VL1: payload; core: Ethernet frame */
    size_t nlast_frame;
    uint8_t planet[ZT_WORLD_WIRE_MAX]; /* as saved */
    size_t nplanet;
    struct sim_peer_file {
        uint64_t addr;
        uint8_t file[512];
        size_t n;
    } *peers; /* as saved */
    unsigned npeers;
    struct sim_disk *disk; /* ctl.c: of a controller; outlives a stop */
    struct sim_moon_file {
        uint64_t id;
        uint8_t file[ZT_WORLD_WIRE_MAX];
        size_t n;
    } *moons; /* as saved */
    unsigned nmoons;
    unsigned messages[2]; /* by enum zt_message_kind */
    struct {              /* the last one */
        uint64_t from, type;
        uint8_t p[ZT_PKT_MAX];
        size_t n;
    } message;
};

struct sim;

/* Above zero while a core runs, zero while it calls out: for a test that makes its memory scarce. */
extern int sim_inside;

/* splitmix64; state is a uint64_t. */
void sim_random(void *state, void *out, size_t n);
/* Identity of the node of this number, below SIM_NODES; the same in every run. */
void sim_identity(unsigned no, struct zt_identity *out);
extern const char *const sim_planet_key_pub, *const sim_planet_key_priv;

/* seed; $ZT_SIM_SEED overrides it. */
struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *s);
void sim_with_core(struct sim *s);
uint64_t sim_seed(const struct sim *s);
struct zt_now sim_now(const struct sim *s);
/* By the node's own clocks: what its core must be given. */
struct zt_now sim_node_now(const struct sim_node *n);
uint64_t sim_hash(const struct sim *s);

struct sim_node *sim_node(struct sim *s, const char *ep);
struct sim_nat *sim_nat(struct sim *s, enum sim_nat_kind kind, const char *outside_ip);
/* Another port of the same host, set before it starts. */
void sim_second_socket(struct sim_node *n, uint16_t port);
struct sim_node *sim_node_behind(struct sim *s, struct sim_nat *nat, const char *ep);
/* Signed planet naming these nodes at their endpoints; every node started later gets it. */
void sim_planet(struct sim *s, uint64_t timestamp, struct sim_node **roots, unsigned n);
void sim_make_planet(struct sim *s, uint64_t timestamp, struct sim_node **roots, unsigned n,
                     struct zt_world *out);
void sim_start(struct sim_node *n);
void sim_start_all(struct sim *s);
/* All state is gone; what was saved stays in the struct. */
void sim_stop(struct sim_node *n);

/* The defaults for all links, and one of them. */
void sim_all_links(struct sim *s, struct sim_link link);
struct sim_link *sim_link(struct sim_node *from, struct sim_node *to);
void sim_block(struct sim_node *a, struct sim_node *b);
void sim_unblock(struct sim_node *a, struct sim_node *b);
/* Sees every datagram when it is sent: keep, or change, or drop it (false). */
void sim_tap(struct sim *s,
             bool (*tap)(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p,
                         size_t n),
             void *user);
/* Hand a datagram to a node as if it came from this endpoint, now. */
void sim_inject(struct sim_node *to, const struct zt_ep *from, const uint8_t *p, size_t n);

/* Cores: sees every Ethernet frame when it is delivered. */
void sim_on_frame(struct sim *s,
                  void (*frame)(void *user, struct sim_node *to, uint64_t nwid, const uint8_t *eth,
                                size_t n),
                  void *user);
struct sim_node *sim_node_no(struct sim *s, unsigned no);

void sim_run(struct sim *s, int64_t ms);
/* Until cond(user) or the time is up; returns whether it came true. */
bool sim_run_until(struct sim *s, int64_t ms, bool (*cond)(void *user), void *user);

/* A FRAME whose payload is `what` (VL1 only); the receiver counts it, and answers one that starts
 * with '?' by the same bytes with '!'. */
int sim_say(struct sim_node *from, struct sim_node *to, const void *what, size_t n);
struct zt_vl1 *sim_vl1(struct sim_node *n);
const struct zt_drops *sim_drops(const struct sim_node *n);
bool sim_online(struct sim_node *n);
/* Has a usable direct path. */
bool sim_is_direct(struct sim_node *from, struct sim_node *to);

/* ctl.c: make a started node a controller. Its networks are open to all kinds of frames, unless they
 * have rules, and give members an address of 10.20.0.0/16 and a 6PLANE one. Records outlive
 * sim_stop. */
struct zt_controller;
struct zt_ctl_network;
struct zt_controller *sim_controller(struct sim_node *n);
/* Returns the network's id. */
uint64_t sim_ctl_network(struct sim_node *n, uint32_t number, bool is_private);
/* One with these rules, capabilities, tags and time window. */
uint64_t sim_ctl_set_network(struct sim_node *n, const struct zt_ctl_network *net);
void sim_ctl_member(struct sim_node *n, uint64_t nwid, const struct sim_node *member,
                    bool authorized);
/* Give a member, once, a tag and (not 0) a capability. */
void sim_ctl_equip(struct sim_node *n, uint64_t nwid, const struct sim_node *member, uint32_t tag,
                   uint32_t value, uint32_t cap);
/* For sim.c. */
void sim_ctl_start(struct sim_node *n);
void sim_ctl_free(struct sim_node *n);

/* assert_true that names the seed, so that a failure can be run again. */
#define sim_assert(s, cond)                                                     \
    do {                                                                        \
        if (!(cond)) {                                                          \
            print_error("ZT_SIM_SEED=%llu\n", (unsigned long long)sim_seed(s)); \
            assert_true(cond);                                                  \
        }                                                                       \
    } while (0)

#endif
