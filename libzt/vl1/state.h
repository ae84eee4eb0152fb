/* struct zt_vl1 itself. Only for the files of vl1/: everybody else has vl1.h. */
#ifndef ZT_VL1_STATE_H
#define ZT_VL1_STATE_H

#include <assert.h>

#include "base/heap.h"
#include "base/settings.h"
#include "vl1/defrag.h"
#include "vl1/hello.h"
#include "vl1/moons.h"
#include "vl1/nat.h"
#include "vl1/peer.h"
#include "vl1/roots.h"
#include "vl1/vl1.h"
#include "vl1/whois.h"

#define ZT_EXPECT_BUCKETS 256
#define ZT_EXPECT_SLOTS 32
#define ZT_SEEN_SLOTS 8192
#define ZT_TRUSTED_LINKS 256

struct zt_expected {  /* something we sent and an OK may answer, tx.c */
    uint32_t id;      /* upper half of the wire id */
    uint32_t who;     /* keyed hash of whom it went to and its verb: nobody else answers for them */
    uint32_t to;      /* keyed hash of the endpoint of a HELLO or ECHO; 0: of no interest */
    uint32_t sent_ms; /* lower half of mono_ms */
};

struct zt_trusted_link { /* rx.c, for relayPolicy */
    uint64_t hash;
    int64_t at_ms;
};

struct zt_vl1 {
    struct zt_identity id; /* with private key; wiped at the end */
    const struct zt_host *host;
    struct zt_drops *drops;
    struct zt_vl1_upper upper;
    struct zt_settings settings;

    int64_t created_ms;
    int64_t last_beacon_ms; /* answered */
    struct zt_heap heap; /* every deadline of this object */
    struct zt_timer defrag_timer;
    struct zt_peers peers;
    struct zt_roots roots;
    struct zt_moons moons;
    struct zt_nat nat;
    struct zt_hellos hellos;
    struct zt_waits waits;
    struct zt_defrag defrag;

    struct zt_expected expected[ZT_EXPECT_BUCKETS][ZT_EXPECT_SLOTS];
    uint8_t expected_at[ZT_EXPECT_BUCKETS];
    uint64_t seen[ZT_SEEN_SLOTS]; /* authentic packets of late, hashed, rx.c */
    struct zt_trusted_link trusted_links[ZT_TRUSTED_LINKS];
    uint64_t seed;

    uint64_t packets_in, packets_out, bytes_in, bytes_out, packets_relayed;
    uint64_t identities_told, introductions;

    uint8_t rx_scratch[ZT_PKT_MAX]; /* the packet being handled, decompressed */
    uint8_t tx_scratch[ZT_PKT_MAX]; /* compressing; worlds to be saved */
    uint8_t reply[ZT_PKT_MAX];      /* OK and ERROR under construction */
};

/* What timers get as their user pointer. */
struct zt_tick {
    struct zt_vl1 *v;
    const struct zt_now *now;
};

/* Fire every timer that is due. */
void zt_run_due(struct zt_vl1 *v, const struct zt_now *now);

/* The protocol version that we announce: what a peer may send us follows from it. */
static inline uint8_t zt_own_proto(const struct zt_vl1 *v)
{
    return v->settings.suites == ZT_SUITES_SALSA ? ZT_PROTO_BEFORE_AES : ZT_PROTO_VERSION;
}

/* Note the id of an authentic packet of this node; true when it was there already. */
bool zt_seen_before(struct zt_vl1 *v, uint64_t id, uint64_t from);

static inline void zt_event(struct zt_vl1 *v, enum zt_event_kind kind, uint64_t id)
{
    if (v->host->event != NULL)
        v->host->event(v->host->user, &(struct zt_event){.kind = kind, .id = id});
}

#endif
