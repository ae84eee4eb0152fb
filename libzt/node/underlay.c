/* What the node has in the outside world: its UDP sockets and ports, the addresses it tells others,
 * and the looks at all that.
 *
 * Ports. The primary one is given (ztd -p, local.conf, 9993). The secondary one is another way out
 * for NATs that treat the first badly: random, and chosen anew when no root has answered for two
 * minutes. (It was once derived from the node's address; routers that count such traffic as an
 * attack then had everybody's port, so the reference made it random, and so is ours.) The tertiary
 * one is what a port mapping leads to, portmap.c; a NAT may treat a mapped port oddly otherwise, so
 * it has no other use. A node that never leaves its machine has the primary port alone.
 *
 * Looks. Every 30 s, 50 ms after the kernel told of a change (addresses come in bursts), and when
 * the wall clock ran ahead of the monotonic one by 10 s, which is what sleep looks like: after it
 * the network is often another. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "node/node_priv.h"

#define DEFAULT_PORT 9993
#define RESCAN_MS 30000
#define UNMAP_MS 1000 /* at the end: for the router to take the mapping back */
#define SETTLE_MS 50
#define OFFLINE_MS 120000
#define SLEEP_MS 10000
#define CLEAN_MS 3600000
#define PEER_FILE_MAX_AGE_S (30 * 24 * 3600)

/* ---- own endpoints -----------------------------------------------------------------------------
 */

void zt_underlay_announce(struct zt_node *n)
{
    struct zt_ep eps[32];
    size_t k = 0;
    if (n->mapped.family != 0)
        eps[k++] = n->mapped;
    k += zt_udp_local(n->udp, eps + k, 32 - k);
    zt_core_set_local(n->core, zt_loop_now(n->loop), eps, k);
}

static void on_gone(void *user, int sock)
{
    struct zt_node *n = user;
    if (n->udp != NULL && n->core != NULL)
        zt_core_socket_gone(n->core, zt_loop_now(n->loop), sock);
}

/* ---- ports -------------------------------------------------------------------------------------
 */

static int try_port(struct zt_node *n, int port, zt_udp_recv_fn *recv)
{
    struct zt_udp_config cfg = {.loop = n->loop,
                                .underlay = zt_core_underlay(n->core),
                                .conf = &n->conf,
                                .recv = recv,
                                .gone = on_gone,
                                .user = n};
    return zt_udp_open(&cfg, (uint16_t)port, &n->udp);
}

static int open_primary(struct zt_node *n, zt_udp_recv_fn *recv)
{
    char text[96];
    int want = n->cfg.port;
    if (want < 0)
        want = n->conf.primary_port >= 0 ? n->conf.primary_port : DEFAULT_PORT;
    int rc = try_port(n, want, recv);
    if (rc == ZT_E_PORT && n->cfg.port < 0 && want != 0) {
        rc = try_port(n, 0, recv);
        if (rc == 0) {
            snprintf(text, sizeof text, "UDP port %d is taken, using %u", want,
                     zt_udp_port(n->udp));
            zt_node_warn(n, text);
        }
    }
    if (rc == ZT_E_PORT)
        snprintf(n->why, sizeof n->why, "UDP port %d is taken: another node or program has it; choose another one", want);
    else if (rc != 0)
        snprintf(n->why, sizeof n->why, "UDP sockets: %s", zt_err_text(rc));
    if (rc == 0)
        n->port = zt_udp_port(n->udp);
    return rc;
}

/* As the settings say; what fails leaves the node with the ports it has. */
static void choose_secondary(struct zt_node *n)
{
    char text[96];
    int rc = 0;
    uint16_t want = n->conf.secondary_port;
    if (!n->conf.allow_secondary_port || zt_core_underlay(n->core) == ZT_UNDERLAY_LOOPBACK_ONLY)
        zt_udp_clear_slot(n->udp, ZT_UDP_SECONDARY);
    else if (want != 0)
        rc = zt_udp_set_slot(n->udp, ZT_UDP_SECONDARY, want);
    else
        rc = zt_udp_set_random(n->udp, ZT_UDP_SECONDARY);
    if (rc != 0) {
        snprintf(text, sizeof text, "secondary UDP port %u: %s; going without", want,
                 zt_err_text(rc));
        zt_node_warn(n, text);
    }
}

/* Returns whether the port changed. */
static bool rechoose_secondary(struct zt_node *n, int64_t mono_ms)
{
    if (n->online || zt_core_underlay(n->core) == ZT_UNDERLAY_LOOPBACK_ONLY) {
        n->offline_at = mono_ms;
        return false;
    }
    if (mono_ms - n->offline_at <= OFFLINE_MS || !n->conf.allow_secondary_port ||
        n->conf.secondary_port != 0)
        return false;
    n->offline_at = mono_ms; /* give it the time to work */
    choose_secondary(n);
    return true;
}

/* ---- port mapping ------------------------------------------------------------------------------
 */

#if ZT_HAS_PORTMAP
static void on_mapped(void *user, const struct zt_portmap *p, const struct zt_ep *outside)
{
    struct zt_node *n = user;
    char ip[ZT_EP_STR], text[128];
    if (p != n->portmap || n->udp == NULL)
        return; /* of one that was stopped */
    n->mapped = *outside;
    if (outside->family != 0)
        snprintf(text, sizeof text, "the router leads %s to UDP port %u here",
                 zt_ep_format(outside, ip), zt_udp_slot(n->udp, ZT_UDP_TERTIARY));
    else
        snprintf(text, sizeof text, "the router's port mapping is gone");
    zt_node_warn(n, text);
    zt_underlay_announce(n);
}

/* The loop stands still for wait_ms at most. */
static void stop_mapping(struct zt_node *n, int wait_ms)
{
    struct zt_portmap *p = n->portmap;
    n->portmap = NULL;
    n->mapped = (struct zt_ep){0};
    zt_portmap_stop(p, wait_ms);
    zt_udp_clear_slot(n->udp, ZT_UDP_TERTIARY);
}

static void start_mapping(struct zt_node *n)
{
    char name[64], text[96];
    uint16_t want = n->conf.tertiary_port;
    int rc = want != 0 ? zt_udp_set_slot(n->udp, ZT_UDP_TERTIARY, want)
                       : zt_udp_set_random(n->udp, ZT_UDP_TERTIARY);
    uint16_t port = zt_udp_slot(n->udp, ZT_UDP_TERTIARY);
    snprintf(name, sizeof name, "ZeroTier/%010llx@%u", (unsigned long long)n->identity.addr, port);
    if (rc == 0)
        rc = zt_portmap_start(n->loop, port, name, on_mapped, n, &n->portmap);
    if (rc != 0) {
        zt_udp_clear_slot(n->udp, ZT_UDP_TERTIARY);
        snprintf(text, sizeof text, "port mapping: %s; going without", zt_err_text(rc));
        zt_node_warn(n, text);
    }
}
#endif

static void follow_mapping(struct zt_node *n)
{
    bool want = n->conf.port_mapping && zt_core_underlay(n->core) != ZT_UNDERLAY_LOOPBACK_ONLY;
#if ZT_HAS_PORTMAP
    uint16_t port = zt_udp_slot(n->udp, ZT_UDP_TERTIARY);
    bool other = n->conf.tertiary_port != 0 && n->conf.tertiary_port != port;
    if (n->portmap != NULL && (!want || other))
        stop_mapping(n, 0);
    if (n->portmap == NULL && want)
        start_mapping(n);
#else
    if (want)
        zt_node_warn(n, "local.conf: portMappingEnabled: this build has no port mapping");
#endif
}

/* ---- looks -------------------------------------------------------------------------------------
 */

static void on_changed(void *user)
{
    struct zt_node *n = user;
    int64_t soon = zt_loop_now(n->loop)->mono_ms + SETTLE_MS;
    if (n->rescan_at > soon)
        n->rescan_at = soon;
}

static void clean_peer(void *user, const char *name, uint64_t id, int64_t age_s)
{
    struct zt_node *n = user;
    if (age_s > PEER_FILE_MAX_AGE_S)
        zt_store_remove(n->store, name);
}

static void clean_job(struct zt_node *n, struct zt_job *j)
{
    zt_store_each(n->store, "peers.d", 10, ".peer", clean_peer, n);
}

static bool was_asleep(struct zt_node *n, const struct zt_now *now)
{
    int64_t offset = now->wall_ms - now->mono_ms;
    int64_t ahead = offset - n->wall_offset;
    n->wall_offset = offset;
    return ahead > SLEEP_MS;
}

void zt_underlay_due(struct zt_node *n, const struct zt_now *now)
{
    if (was_asleep(n, now) || now->mono_ms >= n->rescan_at) {
        n->rescan_at = now->mono_ms + RESCAN_MS;
        bool changed = zt_udp_rescan(n->udp);
        changed |= rechoose_secondary(n, now->mono_ms);
        if (changed)
            zt_underlay_announce(n);
    }
    if (now->mono_ms >= n->clean_at) {
        n->clean_at = now->mono_ms + CLEAN_MS;
        if (n->cfg.cache_peers)
            zt_node_post_job(n, clean_job, "", 0, NULL, NULL, 0);
    }
}

int64_t zt_underlay_deadline(const struct zt_node *n)
{
    return n->rescan_at < n->clean_at ? n->rescan_at : n->clean_at;
}

/* ---- life --------------------------------------------------------------------------------------
 */

int zt_underlay_open(struct zt_node *n, zt_udp_recv_fn *recv)
{
    const struct zt_now now = *zt_loop_now(n->loop);
    int rc = open_primary(n, recv);
    if (rc != 0)
        return rc;
    choose_secondary(n);
    follow_mapping(n);
    (void)zt_udp_watch_new(n->loop, on_changed, n, &n->watch); /* without it the 30 s look */
    n->rescan_at = now.mono_ms + RESCAN_MS;
    n->clean_at = now.mono_ms + CLEAN_MS; /* the start has just looked at every file */
    n->offline_at = now.mono_ms;
    n->wall_offset = now.wall_ms - now.mono_ms;
    return 0;
}

void zt_underlay_configure(struct zt_node *n)
{
    uint16_t secondary = zt_udp_slot(n->udp, ZT_UDP_SECONDARY);
    uint16_t want = n->conf.secondary_port;
    bool keep = n->conf.allow_secondary_port && secondary != 0 && (want == 0 || want == secondary);
    if (!keep)
        choose_secondary(n);
    follow_mapping(n);
    (void)zt_udp_rescan(n->udp);
    zt_underlay_announce(n);
}

void zt_underlay_close(struct zt_node *n)
{
#if ZT_HAS_PORTMAP
    if (n->portmap != NULL)
        stop_mapping(n, UNMAP_MS);
#endif
    zt_udp_watch_free(n->watch);
    n->watch = NULL;
    if (n->udp != NULL) {
        zt_udp_flush(n->udp);
        zt_udp_close(n->udp);
    }
    n->udp = NULL;
}
