/* What the 1.8 generation (api18/) needs of the engine below both generations. Exported by
 * libzt.so, because libzt18.so is built from the same sources on top of it; private to this
 * project: may change with every version. Any thread. */
#ifndef ZT_API_ENGINE_H
#define ZT_API_ENGINE_H

#include "base/info.h"
#include "crypto/identity.h"
#include "node/conf.h"

#define ZTS_ENGINE __attribute__((visibility("default")))

/* ---- starting: zts_init_*, zts_node_start ---- */

/* How the next node is to start, as a program said it step by step. */
struct zts_setup {
    char *home;                  /* NULL: nothing is kept */
    void (*handler)(void *);     /* zts_event_msg_t *; NULL: no events */
    struct zt_identity identity; /* when has_identity */
    bool has_identity;
    bool no_peers, no_networks, no_planet_file, no_identity_file;
    uint8_t *planet; /* NULL: that of the home */
    size_t nplanet;
    int port; /* 0: random */
    struct zt_conf conf;
};

/* The settings so far, locked; NULL when a node runs or none may run any more. Then, in any case of
 * success, zts_setup_close, which gives back rc. */
ZTS_ENGINE struct zts_setup *zts_setup_open(void);
ZTS_ENGINE int zts_setup_close(int rc);
/* Start by these settings. ZTS_ERR_*. The next node starts from blank ones. */
ZTS_ENGINE int zts_setup_start(void);

/* ---- the running node: ZTS_ERR_*, SERVICE when there is none or it is not up yet ---- */

enum zts_engine_act {
    ZTS_ACT_JOIN, /* id: network */
    ZTS_ACT_LEAVE,
    ZTS_ACT_ORBIT, /* id: moon, seed */
    ZTS_ACT_DEORBIT,
};
/* Waits, bounded, for a node that is still starting. */
ZTS_ENGINE int zts_engine_act(enum zts_engine_act act, uint64_t id, uint64_t seed);
ZTS_ENGINE bool zts_engine_runs(void); /* as socket functions see it */
ZTS_ENGINE bool zts_engine_online(void);
/* Either may be NULL. */
ZTS_ENGINE int zts_engine_self(struct zt_identity *id, uint16_t ports[3]);
/* Inside a group (below) from one moment. NO_RESULT: not joined, unknown. */
ZTS_ENGINE int zts_engine_net(uint64_t nwid, struct zt_net_info *out);
ZTS_ENGINE int zts_engine_peer(uint64_t addr, struct zt_peer_info *out);
/* Returns the total, or ZTS_ERR_*. */
ZTS_ENGINE int zts_engine_groups(uint64_t nwid, struct zt_group_info *out, size_t cap);
ZTS_ENGINE int zts_engine_group_begin(void);
ZTS_ENGINE int zts_engine_group_end(void);

/* Set zts_errno of this thread, also to 0. */
ZTS_ENGINE void zts_engine_errno(int err);

#endif
