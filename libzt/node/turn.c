/* What the loop does in a turn: core, stack, UDP sockets and proxies put together.
 *
 * Order at the end of a turn: proxies (which make segments of what programs wrote), what the core
 * has for us, then UDP, so that everything of a turn leaves in one batch. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/default_planet.h"
#include "node/fork.h"
#include "node/node_priv.h"
#include "node/secret.h"
#include "wire/netconf.h"

/* ---- hooks of the loop -------------------------------------------------------------------------
 */

static void on_datagram(void *user, const struct zt_link *in, uint8_t *p, size_t len)
{
    struct zt_node *n = user;
    if (n->core == NULL)
        return;
    zt_core_datagram(n->core, zt_loop_now(n->loop), in, p, len);
    if (n->in.n > 0 || n->npending > 0)
        zt_host_drain(n);
}

void zt_turn_due(void *user, const struct zt_now *now)
{
    struct zt_node *n = user;
    zt_core_tick(n->core, now);
    zt_host_drain(n);
    zt_stack_tick(n->stack, now->mono_ms);
    zt_ping_due(n, now->mono_ms);
    if (n->controller != NULL)
        zt_ctl_db_due(n->controller, now->mono_ms);
    zt_underlay_due(n, now);
    zt_host_drain(n);
}

/* ztd leaves by itself when for a while nobody used it. Returns when to look again. */
static int64_t watch_idle(struct zt_node *n, int64_t mono_ms)
{
    if (n->cfg.idle_exit_s <= 0 || n->sticky || n->idle_over)
        return ZT_NEVER;
    struct zt_proxy_counts c;
    zt_proxy_counts(n->proxy, &c);
    bool busy =
        c.tcp + c.listeners + c.udp > 0 || (n->door != NULL && zt_door_clients(n->door) > 0);
    if (busy) {
        n->idle_since = mono_ms;
        return ZT_NEVER; /* the turn in which the last one goes looks again */
    }
    int64_t end = n->idle_since + (int64_t)n->cfg.idle_exit_s * 1000;
    if (mono_ms >= end) {
        n->idle_over = true;
        zt_node_warn(n, "not used any more: ending");
        (void)zt_node_stop(n);
        return ZT_NEVER;
    }
    return end;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t zt_turn_flush(void *user, const struct zt_now *now)
{
    struct zt_node *n = user;
    zt_proxy_flush(n->proxy);
    zt_host_drain(n);
    zt_stack_flush(n->stack);
    zt_udp_flush(n->udp);
    int64_t next = least(zt_core_deadline(n->core), zt_stack_deadline(n->stack));
    next = least(next, zt_ping_deadline(n));
    if (n->controller != NULL)
        next = least(next, zt_ctl_db_deadline(n->controller));
    next = least(next, watch_idle(n, now->mono_ms));
    return least(next, zt_underlay_deadline(n));
}

/* ---- building and taking apart -----------------------------------------------------------------
 */

static int make_core(struct zt_node *n)
{
    n->host = zt_host_of_core(n);
    struct zt_core_config cc = {
        .identity = &n->identity, .host = &n->host, .planet = n->planet, .nplanet = n->nplanet};
    const struct zt_now *now = zt_loop_now(n->loop);
    if (cc.planet == NULL && zt_default_planet_size > 0) {
        cc.planet = zt_default_planet;
        cc.nplanet = zt_default_planet_size;
    }
    if (cc.planet == NULL)
        zt_node_warn(n, "no planet file in the home: no root servers, nobody can be reached");
    int rc = zt_core_new(&cc, now, &n->core);
    if (rc == ZT_E_FORMAT && n->planet != NULL) {
        /* Without roots the node finds nobody, and says so, before it says that it is up; a wrong
         * planet must not be overwritten. The keeper waits for us meanwhile. */
        zt_store_aside(n->store, "planet", "damaged planet");
        cc.planet = NULL;
        cc.nplanet = 0;
        rc = zt_core_new(&cc, now, &n->core);
    }
    if (rc == 0) {
        zt_secret_keep(zt_core_identity(n->core), sizeof(struct zt_identity));
        zt_core_configure(n->core, now, &n->conf.core);
    } else {
        snprintf(n->why, sizeof n->why, "protocol core: %s", zt_err_text(rc));
    }
    return rc;
}

static int make_stack(struct zt_node *n)
{
    struct zt_stack_host sh = zt_host_of_stack(n);
    int rc = zt_stack_new(&sh, zt_loop_now(n->loop)->mono_ms, &n->stack);
    if (rc != 0)
        snprintf(n->why, sizeof n->why, "network stack: %s", zt_err_text(rc));
    return rc;
}

static void on_command(void *user, const char *text, bool is_owner, struct zt_door_reply *to);

static int make_proxy(struct zt_node *n)
{
    char *state = NULL;
    if (n->cfg.door && asprintf(&state, "%s/%s", n->home, ZT_STATE_FILE) < 0)
        return ZT_E_NOMEM;
    struct zt_proxy_config pc = {.loop = n->loop,
                                 .stack = n->stack,
                                 .state_path = state,
                                 .random = zt_host_random,
                                 .frame = zt_host_frame,
                                 .user = n,
                                 .memory_budget = n->conf.memory_budget,
                                 .leave_fds = n->cfg.door};
    int rc = zt_proxy_new(&pc, &n->proxy);
    if (rc != 0)
        snprintf(n->why, sizeof n->why, "virtual sockets: %s", zt_err_text(rc));
    free(state);
    return rc;
}

static int make_door(struct zt_node *n)
{
    if (!n->cfg.door)
        return 0;
    struct zt_door_config dc = {.loop = n->loop,
                                .proxy = n->proxy,
                                .home = n->home,
                                .command = on_command,
                                .user = n,
                                .allow_uids = n->conf.users,
                                .nallow = n->conf.nusers};
    int rc = zt_door_new(&dc, &n->door);
    if (rc != 0)
        snprintf(n->why, sizeof n->why, "%s/%s: %s", n->home, ZT_CTL_SOCKET, zt_err_text(rc));
    return rc;
}

/* A file that can't be read as a configuration is kept for people to look at; the network is joined
 * all the same. */
static bool readable_config(const struct zt_file *f)
{
    struct zt_netconf *cfg = malloc(sizeof *cfg);
    uint8_t *arena = malloc(f->n + 1);
    bool ok = cfg != NULL && arena != NULL && f->n < ZT_NETCONF_MAX &&
              zt_netconf_decode(f->p, f->n, arena, cfg) == 0 && cfg->nwid == f->id;
    free(cfg);
    free(arena);
    return ok;
}

static void restore(struct zt_node *n)
{
    ZT_LIST_EACH(it, &n->files_peers)
    {
        struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        if (zt_core_restore_peer(n->core, zt_loop_now(n->loop), f->p, f->n) == ZT_E_FORMAT)
            zt_node_post_job(n, zt_node_job_aside, f->name, 0, "damaged peer file", NULL, 0);
    }
    ZT_LIST_EACH(it, &n->files_moons)
    {
        struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        int rc = zt_core_load_moon(n->core, zt_loop_now(n->loop), f->id, f->p, f->n);
        if (rc == ZT_E_FORMAT)
            zt_node_post_job(n, zt_node_job_aside, f->name, 0, "damaged moon", NULL, 0);
        else if (rc != 0)
            zt_node_warn(n, "a moon of moons.d is not used: there are too many");
    }
    ZT_LIST_EACH(it, &n->files_networks)
    {
        struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        bool has_config = f->n > 1;
        if (has_config && !readable_config(f)) {
            zt_node_post_job(n, zt_node_job_aside, f->name, 0, "damaged network file", NULL, 0);
            has_config = false;
        }
        if (f->id != 0)
            (void)zt_nets_restore(n, f->id, has_config ? f->p : NULL, has_config ? f->n : 0);
    }
    for (size_t i = 0; i < n->cfg.nnetworks; i++)
        (void)zt_nets_join(n, n->cfg.networks[i]);
}

int zt_turn_init(void *user, struct zt_loop *l)
{
    struct zt_node *n = user;
    uint64_t seed[2];
    n->loop = l;
    zt_fork_watch(l);
    n->online = false;
    n->port = 0;
    zt_host_random(n, seed, sizeof seed);
    zt_map_init(&n->nets, seed[0]);
    zt_map_init(&n->peers, seed[1]);
    n->idle_since = zt_loop_now(l)->mono_ms;
    int rc = make_core(n);
    if (rc == 0 && n->controller != NULL)
        rc = zt_ctl_db_start(n->controller);
    if (rc == 0)
        rc = zt_underlay_open(n, on_datagram);
    if (rc == 0)
        rc = make_stack(n);
    if (rc == 0)
        rc = make_proxy(n);
    if (rc == 0)
        rc = make_door(n);
    if (rc != 0) {
        zt_turn_fini(n);
        return rc;
    }
    pthread_mutex_lock(&n->lock);
    n->state = ZT_NODE_RUNNING;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_UP});
    zt_underlay_announce(n);
    n->restoring = true;
    restore(n);
    n->restoring = false;
    zt_ranges_publish(n);
    zt_core_tick(n->core, zt_loop_now(l));
    zt_host_drain(n);
    zt_loop_touch(l);
    return 0;
}

void zt_turn_fini(void *user)
{
    struct zt_node *n = user;
    zt_ping_end_all(n);
    zt_resolve_end_all(n);
    zt_reload_end_all(n);
    if (n->controller != NULL)
        zt_ctl_db_end(n->controller);
    /* Programs first: their sockets end with a reset while there is still a way out. */
    if (n->proxy != NULL)
        zt_proxy_free(n->proxy);
    n->proxy = NULL;
    uint64_t nwid;
    for (size_t i = 0; zt_map_next(&n->nets, &i, &nwid, NULL); i = 0)
        zt_nets_gone(n, nwid);
    if (n->core != NULL && n->cfg.cache_peers)
        zt_core_save_peers(n->core);
    zt_underlay_close(n);
    zt_watch_end(n);
    if (n->door != NULL)
        zt_door_free(n->door);
    n->door = NULL;
    zt_stack_free(n->stack);
    n->stack = NULL;
    if (n->core != NULL)
        zt_secret_release(zt_core_identity(n->core), sizeof(struct zt_identity));
    zt_core_free(n->core);
    n->core = NULL;
    void *v;
    for (size_t i = 0; zt_map_next(&n->peers, &i, NULL, &v);)
        free(v);
    zt_map_fini(&n->peers);
    zt_map_fini(&n->nets);
    free(n->in.p);
    free(n->in_spare.p);
    n->in = n->in_spare = (struct zt_frames){0};
    free(n->pending);
    n->pending = NULL;
    n->npending = n->cap_pending = 0;
    free(n->ranges_text);
    n->ranges_text = NULL;
    zt_wipe(n->pool, sizeof n->pool);
    n->pool_left = 0;
    zt_fork_unwatch(n->loop);
}

/* ---- commands through the door -----------------------------------------------------------------
 */

static void reply_door(void *arg, int err, const char *text, size_t len)
{
    zt_door_reply(arg, err, text, len);
}

static void on_command(void *user, const char *text, bool is_owner, struct zt_door_reply *to)
{
    static const char not_yours[] = "only the node's owner may do this";
    if (!is_owner && !zt_command_is_for_all(text))
        zt_door_reply(to, EACCES, not_yours, sizeof not_yours - 1);
    else if (strcmp(text, "watch") == 0)
        zt_watch_start(user, to); /* more than one answer: not for every caller of commands */
    else
        zt_command_run(user, text, reply_door, to);
}
