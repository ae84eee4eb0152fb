/* One remote endpoint of one peer and its health. Paths live inside their peer (peer.h). */
#ifndef ZT_VL1_PATH_H
#define ZT_VL1_PATH_H

#include "base/addr.h"
#include "base/host.h"

#define ZT_LONG_AGO (INT64_MIN / 4) /* "never": now minus this is larger than every limit */

#define ZT_PATH_HEARTBEAT_MS 14000 /* silence after which a path that is in use gets an ECHO */
#define ZT_PATH_ALIVE_MS 19000
#define ZT_PATH_EXPIRE_MS 243000
#define ZT_PATH_AGE_CAP_MS 140000
#define ZT_PATH_SUSPECT_MS 5000 /* sent to, and silent for so long: probe it */
#define ZT_PATH_PROBES 4        /* unanswered probes after which it is not used */
#define ZT_PATH_PROBE_MS 1000
#define ZT_LATENCY_UNKNOWN 65535

struct zt_vl1;
struct zt_peer;

struct zt_path {
    struct zt_link link;
    uint8_t scope;  /* enum zt_scope */
    uint8_t probes; /* unanswered so far; 0: not under suspicion */
    bool silent;    /* not used until something authentic arrives on it */
    uint16_t latency_ms;
    int64_t last_in_ms; /* last authentic packet that came directly ("lr" of vl1.md 6.1) */
    int64_t last_out_ms;
    int64_t probe_at_ms; /* with probes > 0: when the next is due */
};

void zt_path_init(struct zt_path *path, const struct zt_link *link, int64_t now_ms);
/* An authentic packet arrived directly. */
void zt_path_heard(struct zt_path *path, int64_t now_ms);
void zt_path_latency(struct zt_path *path, int64_t sample_ms);

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
