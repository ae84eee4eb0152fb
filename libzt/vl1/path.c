/* A path's life: it is made when an OK to something we asked arrives directly (peer.c), lives as
 * long as authentic packets come in on it, and expires 243 s after the last one.
 *
 * Three things differ from the reference on purpose. Only authentic packets count as a sign of
 * life: there any datagram from a known endpoint refreshes a path, so a stranger can keep a dead
 * one preferred.
 *
 * A path that we send on for a second (or two round trips) without hearing anything, or for the
 * first time after 3 s of silence, is probed, every 250 ms or two round trips. After two unanswered
 * probes it is `doubted`: traffic prefers the relay. After four it is set aside (`silent`), instead
 * of losing everything until the path expires minutes later. Either state ends with the first
 * authentic packet. Bulk traffic hears its answers all the time, so it moves within two seconds,
 * before TCP has backed off; what is sent now and then costs a probe at most.
 *
 * When the first probe is not answered, the peer's other paths are probed as well (peer.c): often
 * they died with it (several ports of one machine), and each would otherwise be tried for as long.
 * Silent paths are asked again each 5 s while traffic takes the relay, by both sides, which also
 * opens their NATs for each other again: a break in the network ends some seconds after it is
 * repaired, and not only with the root's next introduction.
 *
 * And a path is doubted at once, with a probe, when there is a sign that the peer moved: it speaks
 * directly from somewhere else, or, having a path to us, through the relay. The usual reason is a
 * restart with another port; then the quiet old path must not swallow the answers. A sign proves
 * nothing (an old packet may be repeated by anybody from anywhere), so it counts only for paths not
 * heard for 50 ms, it costs a probe and about a round trip through the relay at most, and each
 * false alarm doubles the pause before the next, from one second to 32. */
#include "vl1/path.h"

#include "vl1/peer.h"
#include "vl1/state.h"

#define QUIET_MS 50
#define ALARM_PAUSE_MS 1000
#define ALARM_STEPS 5

void zt_path_init(struct zt_path *path, const struct zt_link *link, int64_t now_ms)
{
    *path = (struct zt_path){
        .link = *link,
        .scope = (uint8_t)zt_ep_scope(&link->ep),
        .latency_ms = ZT_LATENCY_UNKNOWN,
        .last_in_ms = now_ms,
        .last_out_ms = now_ms,
        .unheard_ms = ZT_LONG_AGO,
        .doubted_ms = ZT_LONG_AGO,
    };
}

void zt_path_heard(struct zt_path *path, int64_t now_ms)
{
    path->last_in_ms = now_ms;
    path->unheard_ms = ZT_LONG_AGO;
    path->probes = 0;
    path->silent = path->doubted = false;
}

bool zt_path_doubt(struct zt_path *path, int64_t now_ms, bool proven)
{
    if (path->doubted || path->silent)
        return false;
    if (!proven) {
        if (now_ms - path->last_in_ms < QUIET_MS ||
            now_ms - path->doubted_ms < (int64_t)ALARM_PAUSE_MS << path->alarms)
            return false;
        /* Whether it was false shows when the path is heard; a path that is not goes away. */
        if (path->alarms < ALARM_STEPS)
            path->alarms++;
        path->doubted_ms = now_ms;
    }
    path->doubted = true;
    path->probes = 1;
    path->probe_at_ms = now_ms;
    return true;
}

void zt_path_latency(struct zt_path *path, int64_t sample_ms, bool rough)
{
    if (sample_ms < 0 || sample_ms >= ZT_LATENCY_UNKNOWN)
        return;
    bool replace = path->latency_ms == ZT_LATENCY_UNKNOWN || path->rough;
    path->rough = rough;
    if (replace)
        path->latency_ms = (uint16_t)sample_ms;
    else
        path->latency_ms = (uint16_t)((path->latency_ms + sample_ms) / 2);
}

int64_t zt_path_quality(const struct zt_path *path, int64_t now_ms)
{
    int64_t age = now_ms - path->last_in_ms;
    if (age > ZT_PATH_AGE_CAP_MS)
        age = ZT_PATH_AGE_CAP_MS;
    int64_t base = path->latency_ms;
    if (age >= ZT_PATH_ALIVE_MS)
        base += 65535 + age;
    return base * (ZT_SCOPE_PRIVATE - path->scope + 1);
}

bool zt_link_equal(const struct zt_link *a, const struct zt_link *b)
{
    return a->sock == b->sock && zt_ep_equal(&a->ep, &b->ep);
}

uint64_t zt_link_hash(const struct zt_link *link)
{
    return zt_ep_hash(&link->ep) ^ (uint64_t)(uint32_t)link->sock * 0x9e3779b97f4a7c15u;
}

static bool scope_allowed(const struct zt_vl1 *v, const struct zt_ep *ep)
{
    enum zt_scope scope = zt_ep_scope(ep);
    enum zt_underlay underlay = v->roots.underlay;
    if (scope == ZT_SCOPE_LOOPBACK)
        return underlay != ZT_UNDERLAY_NORMAL;
    if (underlay == ZT_UNDERLAY_LOOPBACK_ONLY)
        return false;
    return scope == ZT_SCOPE_PSEUDO_PRIVATE || scope == ZT_SCOPE_GLOBAL ||
           scope == ZT_SCOPE_SHARED || scope == ZT_SCOPE_PRIVATE;
}

bool zt_path_allowed(const struct zt_vl1 *v, const struct zt_peer *peer, const struct zt_ep *ep)
{
    static const uint8_t tunnel_broker[4] = {0x20, 0x01, 0x04, 0x70}; /* 2001:470::/32 */

    if ((ep->family != 4 && ep->family != 6) || ep->port == 0 || !scope_allowed(v, ep))
        return false;
    if (ep->family == 6 && memcmp(ep->ip, tunnel_broker, sizeof tunnel_broker) == 0)
        return false;
    if (!zt_roots_endpoint_fits(v, peer, ep) || zt_settings_forbid(&v->settings, peer->id.addr, ep))
        return false;
    /* Where a root is, its world says, and no network may contradict. */
    return peer->is_upstream || v->upper.is_virtual == NULL ||
           !v->upper.is_virtual(v->upper.user, ep);
}
