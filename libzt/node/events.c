#include "node/events.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/err.h"
#include "base/list.h"
#include "node/node.h"
#include "node/fork.h"

/* The views in `note` point to copies that it owns. */
struct item {
    struct zt_list link;
    struct zt_node_note note;
    char text[];
};

struct zt_events {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct zt_list queue; /* of struct item, oldest first; under lock */
    size_t waiting;
    bool ending;
    zt_events_fn *fn;
    void *user;
};

static void free_item(struct item *it)
{
    free((void *)it->note.net_was);
    free((void *)it->note.net);
    free((void *)it->note.peer_was);
    free((void *)it->note.peer);
    free((void *)it->note.data);
    free(it);
}

/* A copy of n bytes in *out; nothing for NULL. */
static bool copy(const void *from, size_t n, const void **out)
{
    *out = NULL;
    if (from == NULL)
        return true;
    void *to = malloc(n);
    *out = to;
    return to != NULL && memcpy(to, from, n) != NULL;
}

static bool copy_net(const struct zt_net_info *from, const struct zt_net_info **out)
{
    return copy(from, from != NULL ? zt_net_info_size(from) : 0, (const void **)out);
}

static bool copy_peer(const struct zt_peer_info *from, const struct zt_peer_info **out)
{
    return copy(from, sizeof *from, (const void **)out);
}

static struct item *copy_note(const struct zt_node_note *n)
{
    size_t len = n->text != NULL ? strlen(n->text) + 1 : 0;
    struct item *it = calloc(1, sizeof *it + len);
    if (it == NULL)
        return NULL;
    zt_list_init(&it->link);
    it->note = *n;
    if (len > 0)
        it->note.text = memcpy(it->text, n->text, len);
    bool ok = copy_net(n->net_was, &it->note.net_was);
    ok &= copy_net(n->net, &it->note.net);
    ok &= copy_peer(n->peer_was, &it->note.peer_was);
    ok &= copy_peer(n->peer, &it->note.peer);
    ok &= copy(n->data, n->ndata, &it->note.data);
    if (!ok) {
        free_item(it);
        it = NULL;
    }
    return it;
}

/* May `next` be folded into the waiting note `old`? Only updates of one object, and for networks
 * only while the status stays the same: READY, DENIED and so on are told each time. */
static bool may_merge(const struct zt_node_note *old, const struct zt_node_note *next)
{
    if (old->what != next->what)
        return false;
    if (next->what == ZT_NODE_PEER)
        return old->peer->addr == next->peer->addr;
    if (next->what == ZT_NODE_NETWORK)
        return old->net->nwid == next->net->nwid && old->net->status == next->net->status &&
               next->net_was != NULL && next->net_was->status == next->net->status;
    return false;
}

static bool merge(struct zt_events *e, const struct zt_node_note *n)
{
    if (n->what != ZT_NODE_PEER && n->what != ZT_NODE_NETWORK)
        return false;
    /* From the newest back; a note of another kind about the same network ends the search. */
    for (struct zt_list *l = e->queue.prev; l != &e->queue; l = l->prev) {
        struct item *it = ZT_CONTAINER(l, struct item, link);
        if (may_merge(&it->note, n)) {
            struct zt_node_note fresh = {0};
            if (!copy_net(n->net, &fresh.net) || !copy_peer(n->peer, &fresh.peer)) {
                free((void *)fresh.net);
                return false;
            }
            free((void *)it->note.net);
            free((void *)it->note.peer);
            it->note.net = fresh.net;
            it->note.peer = fresh.peer;
            return true;
        }
        if (it->note.what == n->what && n->what == ZT_NODE_NETWORK &&
            it->note.net->nwid == n->net->nwid)
            return false;
        if (it->note.what == ZT_NODE_NETWORK_GONE || it->note.what == ZT_NODE_DOWN)
            return false;
    }
    return false;
}

void zt_events_post(struct zt_events *e, const struct zt_node_note *n)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    bool done = e->waiting >= ZT_EVENTS_SOFT && merge(e, n);
    bool is_many = n->what == ZT_NODE_PEER || n->what == ZT_NODE_WARNING;
    bool drop = !done && e->waiting >= ZT_EVENTS_HARD && is_many;
    struct item *it = done || drop ? NULL : copy_note(n);
    if (it != NULL) {
        zt_list_push_back(&e->queue, &it->link);
        e->waiting++;
        pthread_cond_signal(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
}

static void *deliver(void *arg)
{
    struct zt_events *e = arg;
    zt_thread_begins();
    /* On Linux a nice value is a thread's own (id 0: the caller). Below the program's, whatever it is. */
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 5);
    pthread_mutex_lock(&e->lock);
    while (!e->ending || !zt_list_empty(&e->queue)) {
        if (zt_list_empty(&e->queue)) {
            pthread_cond_wait(&e->wake, &e->lock);
            continue;
        }
        struct item *it = ZT_CONTAINER(e->queue.next, struct item, link);
        zt_list_remove(&it->link);
        e->waiting--;
        pthread_mutex_unlock(&e->lock);
        e->fn(e->user, &it->note);
        free_item(it);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

int zt_events_new(zt_events_fn *fn, void *user, struct zt_events **out)
{
    struct zt_events *e = calloc(1, sizeof *e);
    if (e == NULL)
        return ZT_E_NOMEM;
    e->fn = fn;
    e->user = user;
    zt_list_init(&e->queue);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->wake, NULL);
    /* Signals are the application's: none is delivered on a thread of ours. */
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    int rc = pthread_create(&e->thread, NULL, deliver, e);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (rc != 0) {
        free(e);
        return ZT_E_NOMEM;
    }
    *out = e;
    return 0;
}

void zt_events_free(struct zt_events *e)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->ending = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->wake);
    free(e);
}

bool zt_events_is_current(const struct zt_events *e)
{
    return e != NULL && pthread_equal(e->thread, pthread_self());
}
