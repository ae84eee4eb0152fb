/* Calls from other threads: each runs as a piece of the loop's work, and the caller waits for it. While
 * one is inside (`users`) the loop isn't taken down; outside of RUNNING there is ZT_E_STATE. */
#include "node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include "base/err.h"
#include "base/list.h"
#include "node/api.h"
#include "node/fork.h"
#include "node/moon.h"
#include "node/node_priv.h"

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
    uint64_t mac;
    uint32_t adi;
    bool add;
};

static void run_call(void *arg)
{
    struct call *c = arg;
    zt_loop_update(c->n->loop);
    c->fn(c);
    zt_host_drain(c->n);
}

static bool enter(struct zt_node *n)
{
    if (zt_node_is_inherited(n))
        return false;
    pthread_mutex_lock(&n->lock);
    bool ok = n->state == ZT_NODE_RUNNING;
    if (ok)
        n->users++;
    pthread_mutex_unlock(&n->lock);
    return ok;
}

static void leave(struct zt_node *n)
{
    pthread_mutex_lock(&n->lock);
    if (--n->users == 0)
        pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

static int on_loop(struct zt_node *n, struct call *c, void (*fn)(struct call *))
{
    if (!enter(n))
        return ZT_E_STATE;
    c->n = n;
    c->fn = fn;
    int rc = zt_loop_call(n->loop, run_call, c);
    leave(n);
    return rc != 0 ? rc : c->rc;
}

static void do_join(struct call *c)
{
    c->rc = zt_nets_join(c->n, c->id);
}

int zt_node_join(struct zt_node *n, uint64_t nwid)
{
    struct call c = {.id = nwid};
    return on_loop(n, &c, do_join);
}

static void do_leave(struct call *c)
{
    c->rc = zt_nets_leave(c->n, c->id);
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
    c->rc = zt_nets_used(c->n, c->id, c->out);
}

int zt_node_network(struct zt_node *n, uint64_t nwid, struct zt_net_info *out)
{
    struct call c = {.id = nwid, .out = out};
    return on_loop(n, &c, do_network);
}

static void do_settings(struct call *c)
{
    c->rc = zt_nets_settings(c->n, c->id, c->out);
}

int zt_node_settings(struct zt_node *n, uint64_t nwid, struct zt_net_settings *out)
{
    struct call c = {.id = nwid, .out = out};
    return on_loop(n, &c, do_settings);
}

static void do_set(struct call *c)
{
    c->rc = zt_nets_set(c->n, c->id, c->settings);
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

/* On the caller's stack. `done` is posted once, with the answer in place. */
struct connecting {
    struct zt_node *n;
    struct zt_waiter waiter;
    const struct zt_ctl_req *req;
    struct zt_ctl_rep *rep;
    int *fd;
    struct zt_post post;
    sem_t done;
};

static void connect_answered(struct zt_waiter *w, const struct zt_ctl_rep *rep, int fd)
{
    struct connecting *c = ZT_CONTAINER(w, struct connecting, waiter);
    *c->rep = *rep;
    *c->fd = fd;
    sem_post(&c->done);
}

static void run_connect(void *arg)
{
    struct connecting *c = arg;
    struct zt_node *n = c->n;
    zt_loop_update(n->loop);
    if (!zt_proxy_connect(n->proxy, c->req, &c->waiter, c->rep, c->fd))
        sem_post(&c->done);
    zt_host_drain(n);
}

static void run_give(void *arg)
{
    struct connecting *c = arg;
    if (c->waiter.stream == NULL)
        return; /* the answer was quicker, and is posted */
    zt_waiter_give(&c->waiter, c->rep, c->fd);
    sem_post(&c->done);
}

static struct timespec after_ms(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long)ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

int zt_node_connect(struct zt_node *n, const struct zt_ctl_req *req, struct zt_ctl_rep *rep, int *fd,
                    int wait_ms)
{
    struct connecting c = {
        .n = n, .waiter.answer = connect_answered, .req = req, .rep = rep, .fd = fd};
    struct timespec end = after_ms(wait_ms);
    int rc, late = 0;
    *fd = -1;
    if (!enter(n))
        return ZT_E_STATE;
    sem_init(&c.done, 0, 0);
    rc = zt_loop_post_at(n->loop, &c.post, run_connect, &c);
    if (rc == 0) {
        while ((late = sem_clockwait(&c.done, CLOCK_MONOTONIC, &end)) != 0 && errno == EINTR)
            ;
        if (late != 0)
            rc = zt_loop_call(n->loop, run_give, &c);
#ifdef __SANITIZE_THREAD__ /* it knows sem_wait, but not sem_clockwait */
        else
            __tsan_acquire(&c.done);
#endif
    }
    /* While we are inside, the loop takes every call. */
    sem_destroy(&c.done);
    leave(n);
    return rc;
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

static void do_identity(struct call *c)
{
    *(struct zt_identity *)c->out = c->n->identity;
}

int zt_node_identity(struct zt_node *n, struct zt_identity *out)
{
    struct call c = {.out = out};
    return on_loop(n, &c, do_identity);
}

static void do_ports(struct call *c)
{
    uint16_t *p = c->out;
    p[0] = c->n->port;
    p[1] = zt_udp_slot(c->n->udp, ZT_UDP_SECONDARY);
    p[2] = zt_udp_slot(c->n->udp, ZT_UDP_TERTIARY);
}

int zt_node_ports(struct zt_node *n, uint16_t out[3])
{
    struct call c = {.out = out};
    return on_loop(n, &c, do_ports);
}

static void do_groups(struct call *c)
{
    c->rc = zt_map_get(&c->n->nets, c->id) != NULL ? 0 : ZT_E_NOENT;
    if (c->rc == 0)
        *c->total = zt_core_groups(c->n->core, c->id, c->out, c->cap);
}

int zt_node_groups(struct zt_node *n, uint64_t nwid, struct zt_group_info *out, size_t cap,
                   size_t *total)
{
    struct call c = {.id = nwid, .out = out, .cap = cap, .total = total};
    return on_loop(n, &c, do_groups);
}

static void do_group(struct call *c)
{
    const struct zt_now *now = zt_loop_now(c->n->loop);
    c->rc = c->add ? zt_core_subscribe(c->n->core, now, c->id, c->mac, c->adi)
                   : zt_core_unsubscribe(c->n->core, c->id, c->mac, c->adi);
}

int zt_node_group(struct zt_node *n, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
    struct call c = {.id = nwid, .mac = mac, .adi = adi, .add = add};
    return on_loop(n, &c, do_group);
}

static void do_frame(struct call *c)
{
    c->rc = zt_core_frame(c->n->core, zt_loop_now(c->n->loop), c->id, c->data, c->cap);
    zt_loop_touch(c->n->loop);
}

int zt_node_frame(struct zt_node *n, uint64_t nwid, uint8_t *eth, size_t len)
{
    struct call c = {.id = nwid, .data = eth, .cap = len};
    return on_loop(n, &c, do_frame);
}

static void do_ifindex(struct call *c)
{
    c->rc = (int)zt_stack_ifindex(c->n->stack, c->id);
}

int zt_node_ifindex(struct zt_node *n, uint64_t nwid)
{
    struct call c = {.id = nwid};
    return on_loop(n, &c, do_ifindex);
}

static void do_drained(struct call *c)
{
    c->rc = zt_proxy_is_drained(c->n->proxy);
}

bool zt_node_is_drained(struct zt_node *n)
{
    struct call c = {0};
    return on_loop(n, &c, do_drained) != 0;
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
    zt_host_drain(p->n);
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
    if (enter(n)) {
        rc = zt_loop_post(n->loop, run_api, p); /* runs, even if the loop is asked to end */
        leave(n);
    }
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

/* ---- names -------------------------------------------------------------------------------------
 */

struct resolve_wait {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
    int err;
    unsigned n;
    struct zt_ep found[ZT_RESOLVE_MAX];
    const struct zt_resolve_question *q;
};

static void resolved(void *arg, int err, const struct zt_ep *found, unsigned n)
{
    struct resolve_wait *w = arg;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->err = err;
    w->n = n;
    if (n > 0)
        memcpy(w->found, found, n * sizeof *found);
    pthread_cond_signal(&w->done_cond);
    pthread_mutex_unlock(&w->lock);
}

static void do_resolve(struct call *c)
{
    struct resolve_wait *w = c->out;
    zt_resolve(c->n, w->q, resolved, w);
}

int zt_node_resolve(struct zt_node *n, const struct zt_resolve_question *q,
                    struct zt_ep *out, unsigned *count, int *err)
{
    struct resolve_wait w = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .done_cond = PTHREAD_COND_INITIALIZER,
                             .q = q};
    struct call c = {.out = &w};
    int rc = on_loop(n, &c, do_resolve);
    if (rc != 0)
        return rc;
    /* Answered always: by c-ares's limits, or when the node ends. */
    pthread_mutex_lock(&w.lock);
    while (!w.done)
        pthread_cond_wait(&w.done_cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    *err = w.err;
    *count = w.n;
    memcpy(out, w.found, w.n * sizeof *out);
    return 0;
}
