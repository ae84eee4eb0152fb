/* A node's life, and its files.
 *
 * Two threads make a node. The *keeper* starts everything, waits for the disk and for proofs of
 * work while it runs, and takes everything down; the *loop* (turn.c) does all the rest and never
 * waits. The keeper's jobs run in the order in which they were posted, so the last version of a
 * file is the one that stays. libuv's own thread pool is not used: it can't be joined, and its
 * threads would overtake each other.
 *
 *   STARTING   keeper: home, lock, identity, files; then the loop, whose init binds and builds
 *      |  \__ something failed: note FATAL, DOWN -> ENDED
 *   RUNNING    calls from other threads go to the loop
 *      |       stop asked, by a caller, `down`, idleness; or an identity collision, which comes
 * back |       to STARTING with a new identity STOPPING   no new calls; those inside finish; the
 * loop ends; waiting files are written
 *      |
 *   ENDED      notes DOWN, TERMINATED; the keeper is gone, nothing is open
 */
#include "node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/err.h"
#include "node/api.h"
#include "node/fork.h"
#include "node/moon.h"
#include "node/node_priv.h"

#define PEER_FILE_MAX_AGE_S (30 * 24 * 3600) /* vl1.md 5.7 */

/* ---- fork --------------------------------------------------------------------------------------
 */

static _Atomic unsigned fork_generation;

static void in_child(void)
{
    atomic_fetch_add(&fork_generation, 1);
    zt_fd_close_all();
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

bool zt_node_is_inherited(const struct zt_node *n)
{
    return n->generation != atomic_load(&fork_generation);
}

/* ---- notes -------------------------------------------------------------------------------------
 */

void zt_node_note(struct zt_node *n, struct zt_node_note note)
{
    note.addr = n->identity.addr;
    note.port = n->port;
    zt_events_post(n->cfg.events, &note);
}

void zt_node_warn(struct zt_node *n, const char *text)
{
    zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_WARNING, .text = text});
}

static void report(void *user, const char *text)
{
    zt_node_warn(user, text);
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

bool zt_node_post_job(struct zt_node *n, void (*run)(struct zt_node *, struct zt_job *),
                      const char *name, unsigned flags, const char *what, const void *p, size_t len)
{
    struct zt_job *j = malloc(sizeof *j + len);
    if (j == NULL)
        return false; /* a file that is not written is found again from the network */
    *j = (struct zt_job){.run = run, .flags = flags, .what = what, .n = len};
    snprintf(j->name, sizeof j->name, "%s", name);
    if (len > 0)
        memcpy(j->data, p, len);
    pthread_mutex_lock(&n->lock);
    zt_list_init(&j->link);
    zt_list_push_back(&n->jobs, &j->link);
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    return true;
}

void zt_node_job_write(struct zt_node *n, struct zt_job *j)
{
    (void)zt_store_write(n->store, j->name, j->flags, j->data, j->n); /* reports by itself */
}

void zt_node_job_remove(struct zt_node *n, struct zt_job *j)
{
    zt_store_remove(n->store, j->name);
}

void zt_node_job_aside(struct zt_node *n, struct zt_job *j)
{
    zt_store_aside(n->store, j->name, j->what);
}

/* Run what waits; with the lock held at entry and exit. */
static void run_jobs(struct zt_node *n)
{
    while (!zt_list_empty(&n->jobs)) {
        struct zt_job *j = ZT_CONTAINER(n->jobs.next, struct zt_job, link);
        zt_list_remove(&j->link);
        pthread_mutex_unlock(&n->lock);
        j->run(n, j);
        free(j);
        pthread_mutex_lock(&n->lock);
    }
}

/* ---- start -------------------------------------------------------------------------------------
 */

void zt_keeper_random(void *user, void *out, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t r = getrandom((uint8_t *)out + got, len - got, 0);
        if (r > 0)
            got += (size_t)r;
        else if (errno != EINTR)
            abort(); /* a kernel without randomness: nothing safe can be done */
    }
}

static void free_files(struct zt_list *l)
{
    ZT_LIST_EACH(it, l)
    {
        struct zt_file *f = ZT_CONTAINER(it, struct zt_file, link);
        zt_list_remove(it);
        free(f->p);
        free(f);
    }
}

static void load_file(struct zt_node *n, struct zt_list *to, const char *name, uint64_t id)
{
    struct zt_file *f = calloc(1, sizeof *f);
    if (f == NULL)
        return;
    zt_list_init(&f->link);
    f->id = id;
    snprintf(f->name, sizeof f->name, "%s", name);
    if (zt_store_read(n->store, name, &f->p, &f->n) != 0) {
        free(f);
        return;
    }
    zt_list_push_back(to, &f->link);
}

static void load_peer(void *user, const char *name, uint64_t id, int64_t age_s)
{
    struct zt_node *n = user;
    if (age_s > PEER_FILE_MAX_AGE_S)
        zt_store_remove(n->store, name);
    else
        load_file(n, &n->files_peers, name, id);
}

static void load_network(void *user, const char *name, uint64_t id, int64_t age_s)
{
    struct zt_node *n = user;
    load_file(n, &n->files_networks, name, id);
}

static void load_moon(void *user, const char *name, uint64_t id, int64_t age_s)
{
    struct zt_node *n = user;
    load_file(n, &n->files_moons, name, id);
}

static void load_netset(void *user, const char *name, uint64_t id, int64_t age_s)
{
    struct zt_node *n = user;
    load_file(n, &n->files_netset, name, id);
}

/* Everything that waits for a disk or takes long, before there is a loop. */
static int prepare(struct zt_node *n)
{
    int rc = zt_crypto_init();
    if (rc != 0) {
        snprintf(n->why, sizeof n->why, "crypto libraries: %s", zt_err_text(rc));
        return rc;
    }
    if (n->store == NULL) {
        struct zt_store_config sc = {.home = n->cfg.home,
                                     .lock_fd = n->cfg.lock_fd,
                                     .report = report,
                                     .wrote = n->cfg.tell_stored ? zt_given_tell : NULL,
                                     .user = n};
        rc = zt_store_open(&sc, &n->store, n->why);
        if (rc != 0)
            return rc;
        free(n->home);
        n->home = strdup(zt_store_home(n->store));
        if (n->home == NULL)
            return ZT_E_NOMEM;
    }
    rc = zt_given_identity(n);
    if (rc != 0)
        return rc;
    if (n->cfg.conf != NULL)
        n->conf = *n->cfg.conf;
    else
        zt_conf_default(&n->conf);
    json_decref(n->conf_doc);
    n->conf_doc = NULL;
    if (n->cfg.read_local_conf)
        (void)zt_conf_read(n->store, &n->conf, report, n, &n->conf_doc); /* reported */
    rc = zt_given_planet(n);
    if (rc != 0)
        return rc;
    zt_store_each(n->store, "moons.d", 16, ".moon", load_moon, n);
    if (n->cfg.cache_peers)
        zt_store_each(n->store, "peers.d", 10, ".peer", load_peer, n);
    if (n->cfg.cache_networks) {
        zt_store_each(n->store, "networks.d", 16, ".conf", load_network, n);
        zt_store_each(n->store, "networks.d", 16, ".local.conf", load_netset, n);
    }
    if (n->cfg.controller && (rc = zt_ctl_db_load(n, &n->controller)) != 0)
        return rc;
    if (n->cfg.door) {
        rc = zt_store_token(n->store, "authtoken.secret", zt_keeper_random, NULL);
        if (rc == 0)
            rc = zt_store_token(n->store, "metricstoken.secret", zt_keeper_random, NULL);
        if (rc != 0)
            snprintf(n->why, sizeof n->why, "%s: the API's tokens cannot be written", n->home);
    }
    return rc;
}

static void forget_files(struct zt_node *n)
{
    free(n->planet);
    n->planet = NULL;
    n->nplanet = 0;
    free_files(&n->files_peers);
    free_files(&n->files_networks);
    free_files(&n->files_moons);
    free_files(&n->files_netset);
}

static int bring_up(struct zt_node *n)
{
    n->why[0] = 0;
    int rc = prepare(n);
    pthread_mutex_lock(&n->lock);
    bool stop = n->stop_asked;
    pthread_mutex_unlock(&n->lock);
    if (rc == 0 && !stop) {
        struct zt_loop_hooks hooks = {.user = n,
                                      .init = zt_turn_init,
                                      .due = zt_turn_due,
                                      .flush = zt_turn_flush,
                                      .fini = zt_turn_fini};
        struct zt_loop *l = NULL;
        rc = zt_resolver_new(n, &n->resolver);
        if (rc == 0)
            rc = zt_loop_start(&hooks, &l);
        if (rc == 0)
            n->loop = l; /* init has set it already; the same */
        else
            n->loop = NULL;
    }
    forget_files(n);
    if (rc != 0) {
        if (n->why[0] == 0)
            snprintf(n->why, sizeof n->why, "%s", zt_err_text(rc));
        zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_FATAL, .text = n->why});
    }
    return rc;
}

static void take_down(struct zt_node *n)
{
    pthread_mutex_lock(&n->lock);
    n->state = ZT_NODE_STOPPING;
    while (n->users > 0)
        pthread_cond_wait(&n->changed, &n->lock);
    struct zt_loop *l = n->loop;
    pthread_mutex_unlock(&n->lock);
    zt_resolver_stop(n->resolver); /* its thread asks the loop for sockets */
    if (l != NULL)
        zt_loop_stop(l);
    zt_resolver_free(n->resolver);
    n->resolver = NULL;
    pthread_mutex_lock(&n->lock);
    n->loop = NULL;
    run_jobs(n);
    pthread_mutex_unlock(&n->lock);
    zt_ctl_db_free(n->controller);
    n->controller = NULL;
}

static bool start_over(struct zt_node *n)
{
    pthread_mutex_lock(&n->lock);
    bool again = n->collided && !n->stop_asked;
    n->collided = false;
    again = again && n->cfg.identity == NULL; /* a given one is the program's to change */
    if (again)
        n->state = ZT_NODE_STARTING;
    pthread_mutex_unlock(&n->lock);
    return again && (n->cfg.no_identity_file || zt_store_identity_aside(n->store) == 0);
}

static void *keep(void *arg)
{
    struct zt_node *n = arg;
    int rc;
    do {
        rc = bring_up(n);
        pthread_mutex_lock(&n->lock);
        while (rc == 0 && !n->stop_asked && !n->collided) {
            run_jobs(n);
            if (!n->stop_asked && !n->collided && zt_list_empty(&n->jobs))
                pthread_cond_wait(&n->changed, &n->lock);
        }
        pthread_mutex_unlock(&n->lock);
        take_down(n);
    } while (rc == 0 && start_over(n));

    zt_store_close(n->store);
    n->store = NULL;
    zt_wipe(n->identity.priv, sizeof n->identity.priv);
    zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_DOWN});
    pthread_mutex_lock(&n->lock);
    n->state = ZT_NODE_ENDED;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    /* After the state, so that a new start from this very note is accepted. */
    if (rc == 0)
        zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_TERMINATED});
    pthread_mutex_lock(&n->lock);
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

int zt_node_start(const struct zt_node_config *cfg, struct zt_node **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if ((cfg->home != NULL && cfg->home[0] == 0) || (cfg->home == NULL && cfg->door) ||
        cfg->port < -1 || cfg->port > 65535)
        return ZT_E_INVAL;
    (void)pthread_once(&once, watch_forks);
    struct zt_node *n = calloc(1, sizeof *n);
    if (n == NULL || !zt_given_copy(n, cfg)) {
        if (n != NULL)
            zt_given_free(n);
        free(n);
        return ZT_E_NOMEM;
    }
    n->generation = atomic_load(&fork_generation);
    zt_list_init(&n->jobs);
    zt_list_init(&n->files_networks);
    zt_list_init(&n->files_netset);
    zt_list_init(&n->files_peers);
    zt_list_init(&n->files_moons);
    zt_list_init(&n->pings);
    zt_list_init(&n->reloads);
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_cond_init(&n->changed, &ca);
    pthread_condattr_destroy(&ca);

    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was); /* signals belong to the application's threads */
    *out = n; /* before there is a thread whose notes could ask for it */
    int rc = pthread_create(&n->keeper, NULL, keep, n);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (rc != 0) {
        *out = NULL;
        zt_given_free(n);
        free(n);
        return ZT_E_NOMEM;
    }
    return 0;
}

/* ---- stop --------------------------------------------------------------------------------------
 */

int zt_node_stop(struct zt_node *n)
{
    if (zt_node_is_inherited(n))
        return ZT_E_STATE;
    pthread_mutex_lock(&n->lock);
    n->stop_asked = true;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    return 0;
}

void zt_node_collided(struct zt_node *n)
{
    pthread_mutex_lock(&n->lock);
    n->collided = true;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

static struct timespec deadline(int timeout_ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += timeout_ms / 1000;
    end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    return end;
}

int zt_node_wait(struct zt_node *n, int timeout_ms)
{
    if (zt_node_is_inherited(n))
        return ZT_E_STATE;
    struct timespec end = deadline(timeout_ms);
    int rc = 0;
    pthread_mutex_lock(&n->lock);
    while (n->state != ZT_NODE_ENDED && rc == 0)
        rc = timeout_ms < 0 ? pthread_cond_wait(&n->changed, &n->lock)
                            : pthread_cond_timedwait(&n->changed, &n->lock, &end);
    rc = n->state == ZT_NODE_ENDED ? 0 : ZT_E_TIMEOUT;
    pthread_mutex_unlock(&n->lock);
    return rc;
}

int zt_node_wait_up(struct zt_node *n, int timeout_ms)
{
    if (zt_node_is_inherited(n))
        return ZT_E_STATE;
    struct timespec end = deadline(timeout_ms);
    int rc = 0;
    pthread_mutex_lock(&n->lock);
    while (n->state == ZT_NODE_STARTING && !n->stop_asked && rc == 0)
        rc = pthread_cond_timedwait(&n->changed, &n->lock, &end);
    rc = n->state == ZT_NODE_STARTING && !n->stop_asked ? ZT_E_TIMEOUT
         : n->state == ZT_NODE_RUNNING                  ? 0
                                                        : ZT_E_STATE;
    pthread_mutex_unlock(&n->lock);
    return rc;
}

void zt_node_free(struct zt_node *n)
{
    if (n == NULL)
        return;
    if (zt_node_is_inherited(n)) {
        /* Its threads are not here and its locks may be held by them: leave the memory alone, and
         * take only what a new node needs to have free. */
        zt_stack_free(n->stack);
        n->stack = NULL;
        return;
    }
    (void)zt_node_stop(n);
    pthread_join(n->keeper, NULL);
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->changed);
    json_decref(n->conf_doc);
    free(n->home);
    zt_given_free(n);
    free(n);
}

/* ---- calls from other threads ------------------------------------------------------------------
 */

struct call {
    struct zt_node *n;
    void (*fn)(struct call *c);
    int rc;
    uint64_t id, seed;
    void *out;
    size_t cap, *total;
    const struct zt_net_settings *settings;
    const struct zt_ctl_req *req;
    struct zt_ctl_rep *rep;
    uint8_t *data;
    int *fd;
};

static void run_call(void *arg)
{
    struct call *c = arg;
    zt_loop_update(c->n->loop);
    c->fn(c);
    zt_turn_drain(c->n);
}

static int on_loop(struct zt_node *n, struct call *c, void (*fn)(struct call *))
{
    if (zt_node_is_inherited(n))
        return ZT_E_STATE;
    pthread_mutex_lock(&n->lock);
    bool ok = n->state == ZT_NODE_RUNNING;
    if (ok)
        n->users++;
    pthread_mutex_unlock(&n->lock);
    if (!ok)
        return ZT_E_STATE;
    c->n = n;
    c->fn = fn;
    int rc = zt_loop_call(n->loop, run_call, c);
    pthread_mutex_lock(&n->lock);
    if (--n->users == 0)
        pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    return rc != 0 ? rc : c->rc;
}

static void do_join(struct call *c)
{
    c->rc = zt_turn_join(c->n, c->id);
}

int zt_node_join(struct zt_node *n, uint64_t nwid)
{
    struct call c = {.id = nwid};
    return on_loop(n, &c, do_join);
}

static void do_leave(struct call *c)
{
    c->rc = zt_turn_leave(c->n, c->id);
}

int zt_node_leave(struct zt_node *n, uint64_t nwid)
{
    struct call c = {.id = nwid};
    return on_loop(n, &c, do_leave);
}

static void do_reload(struct call *c)
{
    zt_reload_start(c->n, NULL, NULL);
}

int zt_node_reload(struct zt_node *n)
{
    struct call c = {0};
    return on_loop(n, &c, do_reload);
}

static void do_orbit(struct call *c)
{
    c->rc = zt_moon_orbit(c->n, c->id, c->seed);
}

int zt_node_orbit(struct zt_node *n, uint64_t moon, uint64_t seed)
{
    struct call c = {.id = moon, .seed = seed};
    return on_loop(n, &c, do_orbit);
}

static void do_deorbit(struct call *c)
{
    c->rc = zt_moon_deorbit(c->n, c->id);
}

int zt_node_deorbit(struct zt_node *n, uint64_t moon)
{
    struct call c = {.id = moon};
    return on_loop(n, &c, do_deorbit);
}

static void do_status(struct call *c)
{
    zt_core_status(c->n->core, c->out);
}

int zt_node_status(struct zt_node *n, struct zt_status_info *out)
{
    struct call c = {.out = out};
    return on_loop(n, &c, do_status);
}

static void do_groups(struct call *c)
{
    if (zt_map_get(&c->n->nets, c->id) == NULL) {
        c->rc = ZT_E_NOENT;
        return;
    }
    *c->total = zt_core_groups(c->n->core, c->id, c->out, c->cap);
}

int zt_node_groups(struct zt_node *n, uint64_t nwid, struct zt_group_info *out, size_t cap,
                   size_t *total)
{
    struct call c = {.id = nwid, .out = out, .cap = cap, .total = total};
    return on_loop(n, &c, do_groups);
}

static void do_self(struct call *c)
{
    struct zt_node *n = c->n;
    uint16_t *ports = (uint16_t *)(void *)c->data;
    if (c->out != NULL)
        *(struct zt_identity *)c->out = n->identity;
    for (unsigned i = 0; ports != NULL && i < ZT_UDP_SLOTS; i++)
        ports[i] = zt_udp_slot(n->udp, i);
}

int zt_node_self(struct zt_node *n, struct zt_identity *id, uint16_t ports[3])
{
    struct call c = {.out = id, .data = (uint8_t *)ports};
    return on_loop(n, &c, do_self);
}

static void do_networks(struct call *c)
{
    *c->total = zt_core_networks(c->n->core, c->out, c->cap);
}

int zt_node_networks(struct zt_node *n, uint64_t *out, size_t cap, size_t *total)
{
    struct call c = {.out = out, .cap = cap, .total = total};
    return on_loop(n, &c, do_networks);
}

static void do_network(struct call *c)
{
    c->rc = zt_turn_network_used(c->n, c->id, c->out);
}

int zt_node_network(struct zt_node *n, uint64_t nwid, struct zt_net_info *out)
{
    struct call c = {.id = nwid, .out = out};
    return on_loop(n, &c, do_network);
}

static void do_settings(struct call *c)
{
    c->rc = zt_turn_settings(c->n, c->id, c->out);
}

int zt_node_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out)
{
    struct call c = {.id = nwid, .out = out};
    return on_loop(n, &c, do_settings);
}

static void do_set(struct call *c)
{
    c->rc = zt_turn_set(c->n, c->id, c->settings);
}

int zt_node_set(struct zt_node *n, uint64_t nwid, const struct zt_net_settings *settings)
{
    struct call c = {.id = nwid, .settings = settings};
    return on_loop(n, &c, do_set);
}

static void do_peers(struct call *c)
{
    *c->total = zt_core_peers(c->n->core, c->out, c->cap);
}

int zt_node_peers(struct zt_node *n, uint64_t *out, size_t cap, size_t *total)
{
    struct call c = {.out = out, .cap = cap, .total = total};
    return on_loop(n, &c, do_peers);
}

static void do_peer(struct call *c)
{
    c->rc = zt_core_peer(c->n->core, zt_loop_now(c->n->loop), c->id, c->out);
}

int zt_node_peer(struct zt_node *n, uint64_t addr, struct zt_peer_info *out)
{
    struct call c = {.id = addr, .out = out};
    return on_loop(n, &c, do_peer);
}

static void do_socket(struct call *c)
{
    zt_stack_now(c->n->stack, zt_loop_now(c->n->loop)->mono_ms);
    zt_proxy_request(c->n->proxy, c->req, c->rep, c->data, c->fd);
}

int zt_node_socket(struct zt_node *n, const struct zt_ctl_req *req, struct zt_ctl_rep *rep,
                   uint8_t *data, int *fd)
{
    struct call c = {.req = req, .rep = rep, .data = data, .fd = fd};
    return on_loop(n, &c, do_socket);
}

static void do_state_fd(struct call *c)
{
    c->rc = fcntl(zt_proxy_state_fd(c->n->proxy), F_DUPFD_CLOEXEC, 0);
    if (c->rc < 0)
        c->rc = ZT_E_IO;
}

int zt_node_state_fd(struct zt_node *n)
{
    struct call c = {0};
    return on_loop(n, &c, do_state_fd);
}

static void do_managers(struct call *c)
{
    const struct zt_conf *conf = &c->n->conf;
    *c->total = conf->nmanagers < c->cap ? conf->nmanagers : c->cap;
    memcpy(c->out, conf->managers, *c->total * sizeof *conf->managers);
}

unsigned zt_node_managers(struct zt_node *n, struct zt_ep *out, unsigned cap)
{
    size_t total = 0;
    struct call c = {.out = out, .cap = cap, .total = &total};
    return on_loop(n, &c, do_managers) == 0 ? (unsigned)total : 0;
}

const char *zt_node_home(const struct zt_node *n)
{
    return n->home;
}

struct api_post {
    struct zt_node *n;
    struct zt_api_request r;
    zt_api_done *done;
    void *arg;
    char text[]; /* method, path, body: what r points to */
};

static void run_api(void *arg)
{
    struct api_post *p = arg;
    zt_api_call(p->n, &p->r, p->done, p->arg);
    zt_turn_drain(p->n);
    free(p);
}

int zt_node_api(struct zt_node *n, const struct zt_api_request *r, zt_api_done *done, void *arg)
{
    size_t nmethod = strlen(r->method) + 1, npath = strlen(r->path) + 1;
    struct api_post *p = malloc(sizeof *p + nmethod + npath + r->nbody);
    if (p == NULL)
        return ZT_E_NOMEM;
    char *at = p->text;
    *p = (struct api_post){.n = n, .done = done, .arg = arg};
    p->r.method = memcpy(at, r->method, nmethod);
    p->r.path = memcpy(at += nmethod, r->path, npath);
    p->r.nbody = r->nbody;
    if (r->nbody > 0)
        p->r.body = memcpy(at + npath, r->body, r->nbody);
    int rc = ZT_E_STATE;
    pthread_mutex_lock(&n->lock);
    if (!zt_node_is_inherited(n) && n->state == ZT_NODE_RUNNING)
        rc = zt_loop_post(n->loop, run_api, p); /* runs, even if the loop is asked to end */
    pthread_mutex_unlock(&n->lock);
    if (rc != 0)
        free(p);
    return rc;
}

struct command_wait {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
    int err;
    char *text;
};

static void command_done(void *arg, int err, const char *text, size_t len)
{
    struct command_wait *w = arg;
    char *copy = malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = 0;
    }
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->err = err;
    w->text = copy;
    pthread_cond_signal(&w->done_cond);
    pthread_mutex_unlock(&w->lock);
}

static void do_command(struct call *c)
{
    zt_command_run(c->n, (const char *)c->data, command_done, c->out);
}

int zt_node_command(struct zt_node *n, const char *command, char **json)
{
    struct command_wait w = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .done_cond = PTHREAD_COND_INITIALIZER};
    struct call c = {.data = (uint8_t *)(uintptr_t)command, .out = &w};
    int rc = on_loop(n, &c, do_command);
    if (rc != 0)
        return rc;
    /* Every command is answered: by its own time limit, or when the node ends. */
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.done_cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    *json = w.text;
    return w.text == NULL ? ZT_E_NOMEM : w.err;
}
