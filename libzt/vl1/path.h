/* One remote endpoint of one peer and its health. Paths live inside their peer (peer.h). */
#ifndef ZT_VL1_PATH_H
#define ZT_VL1_PATH_H

#include "base/addr.h"
#include "base/host.h"

#define ZT_LONG_AGO (INT64_MIN / 4) /* "never": now minus this is larger than every limit */

#define ZT_PATH_HEARTBEAT_MS 14000     /* silence after which a path that is in use gets an ECHO */
#define ZT_PATH_HEARTBEAT_LOW_MS 25000 /* the same where bandwidth is low */
#define ZT_PATH_ALIVE_MS 19000
#define ZT_PATH_EXPIRE_MS 243000
#define ZT_PATH_AGE_CAP_MS 140000
#define ZT_PATH_SUSPECT_MS 3000    /* silent for so long, and now sent on: probe it */
#define ZT_PATH_UNANSWERED_MS 1000 /* sent on for so long without hearing anything: probe it */
#define ZT_PATH_PROBE_MS 500       /* between probes while the latency is unknown, */
#define ZT_PATH_PROBE_LEAST_MS 250 /* else twice the latency, but not less and */
#define ZT_PATH_PROBE_MOST_MS 2000 /* not more than these */
#define ZT_PATH_DOUBT 2            /* unanswered probes after which a relay is better, */
#define ZT_PATH_PROBES 4           /* and after which it is not used at all */
#define ZT_LATENCY_UNKNOWN 65535

struct zt_vl1;
struct zt_peer;

struct zt_path {
    struct zt_link link;
    uint8_t scope;  /* enum zt_scope */
    uint8_t probes; /* unanswered so far; 0: not under suspicion */
    bool silent;    /* not used until something authentic arrives on it */
    bool doubted;   /* used only when there is no other way, until it is heard */
    bool rough;     /* latency_ms is a first guess: the next sample replaces it */
    uint8_t alarms; /* doubts that turned out to be unfounded, path.c */
    uint16_t latency_ms;
    int64_t last_in_ms; /* last authentic packet that came directly ("lr" of vl1.md 6.1) */
    int64_t last_out_ms;
    int64_t unheard_ms;  /* first packet of the application since last_in_ms; ZT_LONG_AGO: none */
    int64_t probe_at_ms; /* with probes > 0: when the next is due */
    int64_t doubted_ms;  /* when it was last doubted on a sign from outside */
};

void zt_path_init(struct zt_path *path, const struct zt_link *link, int64_t now_ms);
/* An authentic packet arrived directly. */
void zt_path_heard(struct zt_path *path, int64_t now_ms);
/* A round trip was measured; rough: on a path just learned, so the other side may have spent part
 * of it on checking our identity. */
void zt_path_latency(struct zt_path *path, int64_t sample_ms, bool rough);
/* Something says that the peer may not be there any more: probe it at once and prefer any other way
 * meanwhile. A sign that anybody could have made by repeating an old packet counts only when the
 * path is quiet, and ever more rarely while it keeps turning out to be wrong. Returns whether the
 * peer must be woken for a probe. */
bool zt_path_doubt(struct zt_path *path, int64_t now_ms, bool proven);

static inline bool zt_path_expired(const struct zt_path *path, int64_t now_ms)
{
    return now_ms - path->last_in_ms >= ZT_PATH_EXPIRE_MS;
}

static inline bool zt_path_usable(const struct zt_path *path, int64_t now_ms)
{
    return !path->silent && !zt_path_expired(path, now_ms);
}

static inline bool zt_path_alive(const struct zt_path *path, int64_t now_ms)
{
    return !path->silent && now_ms - path->last_in_ms < ZT_PATH_ALIVE_MS;
}

/* Lower is better (vl1.md 6.2). */
int64_t zt_path_quality(const struct zt_path *path, int64_t now_ms);

bool zt_link_equal(const struct zt_link *a, const struct zt_link *b);
uint64_t zt_link_hash(const struct zt_link *link);

/* Path filter (vl1.md 6.2): may this endpoint become a path of peer? */
bool zt_path_allowed(const struct zt_vl1 *v, const struct zt_peer *peer, const struct zt_ep *ep);

#endif
