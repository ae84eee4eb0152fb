/* The life cycle of the one node of a process (api.md 2).
 *
 * `lock` serialises the control functions; it is never held while the application's callback runs,
 * nor while the event thread is joined. `node_lock` is held for reading by every call that uses the
 * node, for writing only to put another node in its place, so that socket calls don't queue behind
 * zts_restart.
 *
 * Starting and ending as seen here: running = there is a node and it was not asked to stop. Whether
 * a node has ended, asked or not, it knows itself (zt_node_wait with no time; `ready` is taken back by it).
 * The event thread lives from the first zts_start to zts_free; so STACK_UP comes once and STACK_DOWN is the
 * last event, although the stack itself is made anew with every node. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/zts_engine.h"
#include "api/zts_priv.h"

#define MAX_NETWORKS 256

static struct {
    pthread_mutex_t lock;
    pthread_rwlock_t node_lock;
    struct zt_node *node;
    struct zt_events *events;
    struct zts_page *page; /* of node; made on first use; under page_lock */
    pthread_mutex_t page_lock;
    bool stop_asked, freed;
    _Atomic bool ready, was_online;
    char *path;
    int port;
    uint8_t no_peers, no_networks, local_conf; /* so that zero is the default */
    /* 1.8 generation: what zts_init_* said so far, and by what the present node was started (NULL: by
     * zts_start, from the fields above) */
    struct zts_setup *next, *setup;
} g = {.lock = PTHREAD_MUTEX_INITIALIZER,
       .node_lock = PTHREAD_RWLOCK_INITIALIZER,
       .page_lock = PTHREAD_MUTEX_INITIALIZER};

bool zts_ready(void)
{
    return atomic_load_explicit(&g.ready, memory_order_relaxed);
}

/* ---- fork ---------------------------------------------------------------------------------------
 */

/* The child keeps no node: its locks may have been held by threads that are not here. */
static void in_child(void)
{
    zts_sock_in_child();
    zts_l2_in_child();
    zts_names_in_child();
    pthread_mutex_init(&g.lock, NULL);
    pthread_mutex_init(&g.page_lock, NULL);
    pthread_rwlock_init(&g.node_lock, NULL);
    zts_engine_in_child();
    g.events = NULL; /* its thread is not here; left behind */
    g.page = NULL;
    atomic_store(&g.ready, false);
    atomic_store(&g.was_online, false);
}

static void register_fork(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

static void watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_fork);
}

/* ---- start and stop
 * ------------------------------------------------------------------------------ */

/* With lock. */
static bool running(void)
{
    return g.node != NULL && !zt_node_is_inherited(g.node) && !g.stop_asked &&
           zt_node_wait(g.node, 0) != 0;
}

static bool ended(void)
{
    return g.node == NULL || zt_node_is_inherited(g.node) || zt_node_wait(g.node, 0) == 0;
}

static void drop_node(void)
{
    pthread_mutex_lock(&g.page_lock);
    struct zts_page *page = g.page;
    g.page = NULL;
    pthread_mutex_unlock(&g.page_lock);
    zts_page_unref(page);

    pthread_rwlock_wrlock(&g.node_lock);
    struct zt_node *old = g.node;
    g.node = NULL;
    pthread_rwlock_unlock(&g.node_lock);
    zt_node_free(old);
}

static void apply_setup(const struct zts_setup *s, struct zt_node_config *cfg)
{
    cfg->home = s->home;
    cfg->port = s->port;
    cfg->cache_peers = !s->no_peers;
    cfg->cache_networks = !s->no_networks;
    cfg->no_planet_file = s->no_planet_file;
    cfg->no_identity_file = s->no_identity_file;
    cfg->read_local_conf = false;
    cfg->identity = s->has_identity ? &s->identity : NULL;
    cfg->planet = s->planet;
    cfg->nplanet = s->nplanet;
    cfg->conf = &s->conf;
    cfg->tell_stored = s->handler != NULL;
    if (s->handler == NULL)
        cfg->events = NULL; /* nobody listens: nothing is built */
}

/* With lock; path, port and switches are set. */
static int start_node(const uint64_t *networks, size_t nnetworks)
{
    struct zt_node_config cfg = {.home = g.path,
                                 .port = g.port,
                                 .lock_fd = -1,
                                 .cache_peers = !g.no_peers,
                                 .cache_networks = !g.no_networks,
                                 .read_local_conf = g.local_conf,
                                 .networks = networks,
                                 .nnetworks = nnetworks,
                                 .spare_planet = secure_getenv("ZT_PLANET"),
                                 .events = g.events,
                                 .serves = &g.ready};
    if (g.setup != NULL)
        apply_setup(g.setup, &cfg);
    drop_node();
    zts_l2_retire();
    g.stop_asked = false;
    atomic_store(&g.was_online, false);
    struct zt_node *node = NULL;
    atomic_store(&g.ready, true); /* before the node: one that fails at once takes it back */
    int rc = zt_node_start(&cfg, &node);
    pthread_rwlock_wrlock(&g.node_lock);
    g.node = node;
    pthread_rwlock_unlock(&g.node_lock);
    if (rc != 0)
        atomic_store(&g.ready, false);
    return rc == 0 ? ZTS_ERR_OK : rc == ZT_E_INVAL ? ZTS_ERR_ARG : ZTS_ERR_GENERAL;
}

/* Somebody listens. */
static bool ready_events(void)
{
    if (g.events != NULL)
        return true;
    if (zt_events_new(zts_deliver_note, NULL, &g.events) != 0)
        return false;
    zt_events_post(g.events, &(struct zt_node_note){.what = ZT_NODE_STACK_UP});
    return true;
}

static void free_setup(struct zts_setup *s)
{
    if (s == NULL)
        return;
    zt_wipe(&s->identity, sizeof s->identity);
    free(s->planet);
    free(s->home);
    free(s);
}

static int start_locked(const char *path, zts_callback_fn fn, int port)
{
    if (g.freed || !ended())
        return ZTS_ERR_SERVICE;
    watch_forks();
    char *copy = strdup(path);
    if (copy == NULL)
        return ZTS_ERR_GENERAL;
    free(g.path);
    g.path = copy;
    g.port = port;
    free_setup(g.setup);
    g.setup = NULL;
    zts_set_callback(fn, NULL);
    return ready_events() ? start_node(NULL, 0) : ZTS_ERR_GENERAL;
}

int zts_start(const char *path, zts_callback_arg callback, int port)
{
    if (path == NULL || path[0] == 0 || callback.msg == NULL || port < 0 || port > 65535)
        return ZTS_ERR_ARG;
    pthread_mutex_lock(&g.lock);
    int rc = start_locked(path, callback.msg, port);
    pthread_mutex_unlock(&g.lock);
    zts_l2_reap();
    return rc;
}

struct zts_setup *zts_setup_open(void)
{
    pthread_mutex_lock(&g.lock);
    if (!g.freed && ended()) {
        if (g.next == NULL && (g.next = calloc(1, sizeof *g.next)) != NULL)
            zt_conf_default(&g.next->conf);
        if (g.next != NULL)
            return g.next;
    }
    pthread_mutex_unlock(&g.lock);
    return NULL;
}

int zts_setup_close(int rc)
{
    pthread_mutex_unlock(&g.lock);
    return rc;
}

int zts_setup_start(void)
{
    if (zts_setup_open() == NULL)
        return ZTS_ERR_SERVICE;
    watch_forks();
    free_setup(g.setup);
    g.setup = g.next;
    g.next = NULL;
    zts_set_callback(NULL, g.setup->handler);
    bool listens = g.setup->handler == NULL || ready_events();
    int rc = zts_setup_close(listens ? start_node(NULL, 0) : ZTS_ERR_GENERAL);
    zts_l2_reap();
    return rc;
}

/* With lock. */
static void ask_stop(void)
{
    g.stop_asked = true;
    atomic_store(&g.ready, false);
    (void)zt_node_stop(g.node);
}

int zts_stop(void)
{
    pthread_mutex_lock(&g.lock);
    int rc = ZTS_ERR_SERVICE;
    if (!g.freed && running()) {
        ask_stop();
        rc = ZTS_ERR_OK;
    }
    pthread_mutex_unlock(&g.lock);
    return rc;
}

int zts_restart(void)
{
    pthread_mutex_lock(&g.lock);
    int rc = ZTS_ERR_SERVICE;
    if (!g.freed && !zt_events_is_current(g.events) && running()) {
        uint64_t ids[MAX_NETWORKS];
        size_t n = 0;
        if (zt_node_networks(g.node, ids, MAX_NETWORKS, &n) != 0)
            n = 0;
        ask_stop();
        (void)zt_node_wait(g.node, -1);
        rc = start_node(ids, n < MAX_NETWORKS ? n : MAX_NETWORKS);
    }
    pthread_mutex_unlock(&g.lock);
    zts_l2_reap();
    return rc;
}

int zts_free(void)
{
    pthread_mutex_lock(&g.lock);
    if (g.freed || zt_events_is_current(g.events)) {
        pthread_mutex_unlock(&g.lock);
        return ZTS_ERR_SERVICE;
    }
    g.freed = true;
    atomic_store(&g.ready, false);
    if (g.node != NULL)
        (void)zt_node_stop(g.node);
    drop_node();
    struct zt_events *events = g.events;
    g.events = NULL;
    free(g.path);
    g.path = NULL;
    free_setup(g.setup);
    free_setup(g.next);
    g.setup = g.next = NULL;
    pthread_mutex_unlock(&g.lock);
    /* Unlocked: a callback that is running may want the lock, and gets its ZTS_ERR_SERVICE. */
    if (events != NULL)
        zt_events_post(events, &(struct zt_node_note){.what = ZT_NODE_STACK_DOWN});
    zt_events_free(events);
    zts_l2_retire();
    zts_l2_reap();
    zts_sock_close_all();
    return ZTS_ERR_OK;
}

void zts_saw_note(const struct zt_node_note *note)
{
    if (note->what == ZT_NODE_ONLINE)
        atomic_store(&g.was_online, true);
}

/* ---- networks and switches
 * ----------------------------------------------------------------------- */

static int join_or_leave(uint64_t nwid, int (*fn)(struct zt_node *, uint64_t))
{
    int rc = ZT_E_STATE;
    pthread_rwlock_rdlock(&g.node_lock);
    if (g.node != NULL && atomic_load(&g.ready) && atomic_load(&g.was_online))
        rc = nwid == 0 ? ZT_E_INVAL : fn(g.node, nwid);
    pthread_rwlock_unlock(&g.node_lock);
    return zts_control_error(rc);
}

int zts_join(const uint64_t networkId)
{
    return join_or_leave(networkId, zt_node_join);
}

int zts_leave(const uint64_t networkId)
{
    return join_or_leave(networkId, zt_node_leave);
}

int zts_orbit(uint64_t moonWorldId, uint64_t moonSeed)
{
    int rc = ZT_E_STATE;
    pthread_rwlock_rdlock(&g.node_lock);
    if (g.node != NULL && atomic_load(&g.ready) && atomic_load(&g.was_online))
        rc = zt_node_orbit(g.node, moonWorldId, moonSeed);
    pthread_rwlock_unlock(&g.node_lock);
    return zts_control_error(rc);
}

static int deorbit(struct zt_node *n, uint64_t moon)
{
    int rc = zt_node_deorbit(n, moon);
    return rc == ZT_E_NOENT ? 0 : rc; /* it is not orbited now, as asked */
}

int zts_deorbit(uint64_t moonWorldId)
{
    return join_or_leave(moonWorldId, deorbit);
}

static int set_switch(uint8_t *to, uint8_t value)
{
    pthread_mutex_lock(&g.lock);
    int rc = ZTS_ERR_SERVICE;
    if (!g.freed && ended()) {
        *to = value;
        rc = ZTS_ERR_OK;
    }
    pthread_mutex_unlock(&g.lock);
    return rc;
}

int zts_allow_peer_caching(uint8_t allowed)
{
    return set_switch(&g.no_peers, !allowed);
}

int zts_set_peer_caching(uint8_t allowed)
{
    return zts_allow_peer_caching(allowed);
}

int zts_allow_network_caching(uint8_t allowed)
{
    return set_switch(&g.no_networks, !allowed);
}

int zts_set_network_caching(uint8_t allowed)
{
    return zts_allow_network_caching(allowed);
}

int zts_allow_local_conf(uint8_t allowed)
{
    return set_switch(&g.local_conf, allowed != 0);
}

int zts_with_node(int (*fn)(struct zt_node *n, void *arg), void *arg)
{
    int rc = ZT_E_STATE;
    pthread_rwlock_rdlock(&g.node_lock);
    if (g.node != NULL && atomic_load(&g.ready))
        rc = fn(g.node, arg);
    pthread_rwlock_unlock(&g.node_lock);
    return rc;
}

/* ---- requests and the state page
 * ------------------------------------------------------------------ */

int zts_request(const struct zt_ctl_req *req, struct zt_ctl_rep *rep, uint8_t *data, int *fd)
{
    int none = -1, rc = ZT_E_STATE;
    uint8_t *room = data != NULL ? data : malloc(ZT_CTL_REPLY_DATA);
    if (room == NULL)
        return zts_fail(ENOMEM);
    pthread_rwlock_rdlock(&g.node_lock);
    if (g.node != NULL && zts_ready())
        rc = zt_node_socket(g.node, req, rep, room, fd != NULL ? fd : &none);
    pthread_rwlock_unlock(&g.node_lock);
    if (room != data)
        free(room);
    if (rc != 0)
        return zts_socket_error(rc);
    if (none >= 0)
        close(none);
    return rep->err == 0 ? ZTS_ERR_OK : zts_fail(rep->err);
}

int zts_request_connect(const struct zt_ctl_req *req, struct zt_ctl_rep *rep, int *fd, int wait_ms)
{
    int rc = ZT_E_STATE;
    pthread_rwlock_rdlock(&g.node_lock);
    if (g.node != NULL && zts_ready())
        rc = zt_node_connect(g.node, req, rep, fd, wait_ms);
    pthread_rwlock_unlock(&g.node_lock);
    if (rc != 0)
        return zts_socket_error(rc);
    return rep->err == 0 ? ZTS_ERR_OK : zts_fail(rep->err);
}

static struct zts_page *map_page(int fd)
{
    struct stat st;
    struct zts_page *p = calloc(1, sizeof *p);
    if (p != NULL && fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(struct zt_state_head)) {
        p->size = (size_t)st.st_size;
        void *m = mmap(NULL, p->size, PROT_READ, MAP_SHARED, fd, 0);
        if (m != MAP_FAILED) {
            p->head = m;
            atomic_init(&p->refs, 1);
            return p;
        }
    }
    free(p);
    return NULL;
}

struct zts_page *zts_page_get(void)
{
    pthread_mutex_lock(&g.page_lock);
    struct zts_page *p = g.page;
    if (p == NULL) {
        int fd = -1;
        pthread_rwlock_rdlock(&g.node_lock);
        if (g.node != NULL)
            fd = zt_node_state_fd(g.node);
        pthread_rwlock_unlock(&g.node_lock);
        if (fd >= 0) {
            p = g.page = map_page(fd);
            close(fd);
        }
    }
    p = zts_page_ref(p);
    pthread_mutex_unlock(&g.page_lock);
    return p;
}

struct zts_page *zts_page_ref(struct zts_page *p)
{
    if (p != NULL)
        atomic_fetch_add(&p->refs, 1);
    return p;
}

void zts_page_unref(struct zts_page *p)
{
    if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    munmap((void *)(uintptr_t)p->head, p->size);
    free(p);
}

bool zts_page_stale(const struct zts_page *p)
{
    return p == NULL || __atomic_load_n(&p->head->stale, __ATOMIC_ACQUIRE) != 0;
}

bool zts_page_slot(const struct zts_page *p, uint64_t id, struct zt_state_slot *out)
{
    if (p == NULL || id == 0)
        return false;
    size_t i = id & ((1u << ZT_ID_SLOT_BITS) - 1);
    if (sizeof(struct zt_state_head) + (i + 1) * sizeof *out > p->size)
        return false;
    const struct zt_state_slot *s = (const struct zt_state_slot *)(p->head + 1) + i;
    uint32_t phase = __atomic_load_n(&s->phase, __ATOMIC_ACQUIRE);
    *out = *s;
    out->phase = phase;
    return __atomic_load_n(&s->id, __ATOMIC_ACQUIRE) == id && phase != ZT_PHASE_FREE;
}
