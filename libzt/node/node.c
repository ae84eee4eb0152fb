/* A node's life, and its files.
 *
 * Two threads make a node. The *keeper* starts everything, waits for the disk and for proofs of
 * work while it runs, and takes everything down; the *loop* (turn.c) does all the rest and never
 * waits. The keeper's jobs run in the order in which they were posted, so the last version of a
 * file is the one that stays. libuv's own thread pool is not used: it can't be joined, and its
 * threads would overtake each other.
 *
 * - STARTING: the keeper has home, lock, identity and files to see to, then it starts the loop, whose
 *   init binds and builds. When something fails: notes FATAL and DOWN, and ENDED.
 * - RUNNING: calls from other threads go to the loop. Until a stop is asked for (by a caller, `down`,
 *   idleness), or another node turns out to have our address: that comes back to STARTING with a new
 *   identity.
 * - STOPPING: no new calls; those inside finish; the loop ends; waiting files are written.
 * - ENDED: notes DOWN and TERMINATED; the keeper is gone, nothing is open. */
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
#include "node/secret.h"

#define DRAIN_MS 500 /* at a stop: some round trips */
#define DRAIN_STEP_MS 2
#define PEER_FILE_MAX_AGE_S (30 * 24 * 3600) /* vl1.md 5.7 */

/* ---- fork --------------------------------------------------------------------------------------
 */

static _Atomic unsigned fork_generation;

static void in_child(void)
{
    atomic_fetch_add(&fork_generation, 1);
    zt_fork_child();
    zt_fd_close_all();
}

static void watch_forks(void)
{
    (void)pthread_atfork(zt_fork_prepare, zt_fork_parent, in_child);
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
    if (n->loop != NULL && zt_loop_is_current(n->loop) && n->udp != NULL) {
        n->port2 = zt_udp_slot(n->udp, ZT_UDP_SECONDARY);
        n->port3 = zt_udp_slot(n->udp, ZT_UDP_TERTIARY);
    }
    note.port2 = n->port2;
    note.port3 = n->port3;
    zt_events_post(n->cfg.events, &note);
    zt_watch_note(n, &note);
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

struct zt_loop *zt_keeper_loop(struct zt_node *n)
{
    pthread_mutex_lock(&n->lock);
    struct zt_loop *l = n->state == ZT_NODE_RUNNING ? n->loop : NULL;
    pthread_mutex_unlock(&n->lock);
    return l;
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

/* Whoever hears of the end finds that nothing is served any more. */
static void serve_no_more(struct zt_node *n)
{
    if (n->cfg.serves != NULL)
        atomic_store(n->cfg.serves, false);
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
        if (rc != 0) /* else zt_turn_init has set it, before it said that the node runs */
            n->loop = NULL;
    }
    forget_files(n);
    if (rc != 0) {
        if (n->why[0] == 0)
            snprintf(n->why, sizeof n->why, "%s", zt_err_text(rc));
        serve_no_more(n);
        zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_FATAL, .text = n->why});
    }
    return rc;
}

/* What programs wrote before the stop is delivered, as a kernel would do after their end; a peer that does not
 * take it must not hold the stop up. */
static void drain(struct zt_node *n)
{
    static const struct timespec step = {.tv_nsec = DRAIN_STEP_MS * 1000000};
    for (int ms = 0; ms < DRAIN_MS && !zt_node_is_drained(n); ms += DRAIN_STEP_MS)
        nanosleep(&step, NULL);
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
    zt_thread_begins();
    int rc;
    do {
        rc = bring_up(n);
        pthread_mutex_lock(&n->lock);
        while (rc == 0 && !n->stop_asked && !n->collided) {
            run_jobs(n);
            if (!n->stop_asked && !n->collided && zt_list_empty(&n->jobs))
                pthread_cond_wait(&n->changed, &n->lock);
        }
        bool asked = n->stop_asked;
        pthread_mutex_unlock(&n->lock);
        if (rc == 0 && asked)
            drain(n);
        take_down(n);
    } while (rc == 0 && start_over(n));

    zt_store_close(n->store);
    n->store = NULL;
    zt_wipe(n->identity.priv, sizeof n->identity.priv);
    serve_no_more(n);
    if (rc == 0)
        zt_node_note(n, (struct zt_node_note){.what = ZT_NODE_DOWN});
    pthread_mutex_lock(&n->lock);
    n->state = ZT_NODE_ENDED;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    /* The last note comes after the state, so that a new start from it is accepted. */
    zt_node_note(n, (struct zt_node_note){.what = rc == 0 ? ZT_NODE_TERMINATED : ZT_NODE_DOWN});
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
    zt_secret_keep(&n->identity, sizeof n->identity);
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
        zt_secret_release(&n->identity, sizeof n->identity);
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
         * take only what a new node needs to have free. The stack is whole (node/fork.h), but has
         * nobody to talk to. */
        if (n->stack != NULL)
            zt_stack_mute(n->stack);
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
    zt_secret_release(&n->identity, sizeof n->identity);
    free(n);
}
