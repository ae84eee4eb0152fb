/* The loop thread.
 *
 * A turn is: libuv's timers, then `flush` (a prepare handle, so after every callback of the turn
 * and right before the thread may sleep), then the poll and its callbacks. One libuv timer stands
 * for all deadlines; flush returns the next one.
 *
 * Posts from other threads go through a list under a lock and one uv_async. Whatever was accepted
 * is run, also when the loop is ending; after that posts are refused.
 *
 *   starting --init ok--> running --zt_loop_stop--> ending --> gone
 *            --init fails--> gone
 *
 * Ending: posts run, then fini, then the handles close. */
#include "node/loop.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "node/fork.h"

struct zt_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;
    struct zt_loop_hooks hooks;
    pthread_t thread;

    struct zt_now now;
    bool now_is_old;      /* taken before the thread last slept */
    bool in_flush, again; /* touched during flush: one more turn */
    int64_t armed_for_ms;
    int64_t woken_ns; /* 0: not yet */
    struct zt_loop_stats stats;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    struct zt_post *first, **last;
    unsigned waking; /* posts whose uv_async_send is still to come, or under way */
    bool started, ending;
    int start_result;
};

const unsigned zt_loop_bucket_us[ZT_LOOP_BUCKETS - 1] = {
    10, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 50000, 250000,
};

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uv_loop_t *zt_loop_uv(struct zt_loop *l)
{
    return &l->uv;
}

bool zt_loop_is_current(const struct zt_loop *l)
{
    return pthread_equal(pthread_self(), l->thread) != 0;
}

void zt_loop_update(struct zt_loop *l)
{
    l->now = (struct zt_now){clock_ms(CLOCK_MONOTONIC), clock_ms(CLOCK_REALTIME)};
    l->now_is_old = false;
}

const struct zt_now *zt_loop_now(struct zt_loop *l)
{
    if (l->now_is_old)
        zt_loop_update(l);
    return &l->now;
}

void zt_loop_touch(struct zt_loop *l)
{
    if (l->in_flush)
        l->again = true;
    /* Otherwise flush is still to come in this turn. */
}

static void on_timer(uv_timer_t *t)
{
    struct zt_loop *l = t->data;
    const struct zt_now *now = zt_loop_now(l);
    int64_t due = l->armed_for_ms;
    l->armed_for_ms = ZT_NEVER;
    /* libuv's clock may be coarser than ours: too early just arms again. */
    if (now->mono_ms >= due)
        l->hooks.due(l->hooks.user, now);
}

static void arm(struct zt_loop *l, int64_t at_ms)
{
    if (at_ms == l->armed_for_ms)
        return;
    l->armed_for_ms = at_ms;
    if (at_ms == ZT_NEVER) {
        uv_timer_stop(&l->timer);
        return;
    }
    int64_t wait = at_ms - l->now.mono_ms;
    uv_update_time(&l->uv); /* libuv counts from its own time, which is as old as this turn */
    uv_timer_start(&l->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

const struct zt_loop_stats *zt_loop_stats(const struct zt_loop *l)
{
    return &l->stats;
}

/* Right after the poll: the turn begins. */
static void on_check(uv_check_t *c)
{
    ((struct zt_loop *)c->data)->woken_ns = clock_ns();
}

static void turn_ends(struct zt_loop *l)
{
    int64_t ns = clock_ns() - l->woken_ns;
    unsigned i = 0;
    if (l->woken_ns == 0 || ns < 0)
        return;
    while (i < ZT_LOOP_BUCKETS - 1 && ns > (int64_t)zt_loop_bucket_us[i] * 1000)
        i++;
    l->stats.count[i]++;
    l->stats.busy_ns += (uint64_t)ns;
}

static void on_prepare(uv_prepare_t *p)
{
    struct zt_loop *l = p->data;
    const struct zt_now *now = zt_loop_now(l);
    l->in_flush = true;
    l->again = false;
    int64_t next = l->hooks.flush(l->hooks.user, now);
    l->in_flush = false;
    arm(l, l->again ? now->mono_ms : next);
    l->now_is_old = true;
    turn_ends(l);
}

static void run_posts(struct zt_loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct zt_post *p = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    while (p != NULL) {
        struct zt_post post = *p;
        if (post.allocated)
            free(p);
        post.fn(post.arg);
        p = post.next;
    }
}

static void close_handles(struct zt_loop *l)
{
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
}

static void on_wake(uv_async_t *a)
{
    struct zt_loop *l = a->data;
    pthread_mutex_lock(&l->lock);
    bool ending = l->ending;
    pthread_mutex_unlock(&l->lock);
    run_posts(l);
    if (ending) { /* read before the posts ran: no post was accepted after it was set */
        l->hooks.fini(l->hooks.user);
        close_handles(l);
    }
}

static void started(struct zt_loop *l, int result)
{
    pthread_mutex_lock(&l->lock);
    l->started = true;
    l->start_result = result;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static void *thread_main(void *arg)
{
    struct zt_loop *l = arg;
    zt_thread_begins();
    l->thread = pthread_self();
    pthread_setname_np(l->thread, "zt-loop");
    zt_loop_update(l);
    int e = l->hooks.init(l->hooks.user, l);
    if (e != 0)
        close_handles(l);
    started(l, e);
    uv_run(&l->uv, UV_RUN_DEFAULT); /* returns when every handle is closed */
    return NULL;
}

static int open_handles(struct zt_loop *l)
{
    if (uv_loop_init(&l->uv) != 0)
        return ZT_E_NOMEM;
    if (uv_async_init(&l->uv, &l->wake, on_wake) != 0) {
        uv_loop_close(&l->uv);
        return ZT_E_IO;
    }
    uv_prepare_init(&l->uv, &l->prepare);
    uv_timer_init(&l->uv, &l->timer);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_init(&l->uv, &l->check);
    uv_check_start(&l->check, on_check);
    l->wake.data = l->prepare.data = l->check.data = l->timer.data = l;
    return 0;
}

/* The program's signals are for its own threads. */
static int create_thread(struct zt_loop *l)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = pthread_create(&l->thread, NULL, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e == 0 ? 0 : ZT_E_NOMEM;
}

static void destroy(struct zt_loop *l)
{
    int e = uv_loop_close(&l->uv);
    assert(e == 0); /* somebody's fini left a handle open */
    (void)e;
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int zt_loop_start(const struct zt_loop_hooks *hooks, struct zt_loop **out)
{
    struct zt_loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ZT_E_NOMEM;
    l->hooks = *hooks;
    l->last = &l->first;
    l->armed_for_ms = ZT_NEVER;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    int e = open_handles(l);
    if (e != 0) {
        free(l);
        return e;
    }
    e = create_thread(l);
    if (e != 0) {
        close_handles(l);
        uv_run(&l->uv, UV_RUN_DEFAULT);
        destroy(l);
        return e;
    }
    pthread_mutex_lock(&l->lock);
    while (!l->started)
        pthread_cond_wait(&l->changed, &l->lock);
    e = l->start_result;
    pthread_mutex_unlock(&l->lock);
    if (e != 0) {
        pthread_join(l->thread, NULL);
        destroy(l);
        return e;
    }
    *out = l;
    return 0;
}

void zt_loop_stop(struct zt_loop *l)
{
    if (l == NULL)
        return;
    assert(!zt_loop_is_current(l));
    pthread_mutex_lock(&l->lock);
    l->ending = true;
    uv_async_send(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    while (__atomic_load_n(&l->waking, __ATOMIC_ACQUIRE) > 0)
        sched_yield();
    destroy(l);
}

/* The thread wakes at once and takes the lock: let it find it free. Until `waking` is 0 again the loop
 * is not freed. */
static int append(struct zt_loop *l, struct zt_post *p)
{
    pthread_mutex_lock(&l->lock);
    if (l->ending) {
        pthread_mutex_unlock(&l->lock);
        return ZT_E_STATE;
    }
    *l->last = p;
    l->last = &p->next;
    __atomic_add_fetch(&l->waking, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&l->lock);
    uv_async_send(&l->wake);
    __atomic_sub_fetch(&l->waking, 1, __ATOMIC_RELEASE);
    return 0;
}

int zt_loop_post_at(struct zt_loop *l, struct zt_post *p, void (*fn)(void *arg), void *arg)
{
    *p = (struct zt_post){.fn = fn, .arg = arg};
    return append(l, p);
}

int zt_loop_post(struct zt_loop *l, void (*fn)(void *arg), void *arg)
{
    struct zt_post *p = malloc(sizeof *p);
    if (p == NULL)
        return ZT_E_NOMEM;
    *p = (struct zt_post){.fn = fn, .arg = arg, .allocated = true};
    int e = append(l, p);
    if (e != 0)
        free(p);
    return e;
}

struct call {
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
};

static void run_call(void *arg)
{
    struct call *c = arg;
    c->fn(c->arg);
    sem_post(&c->done);
}

int zt_loop_call(struct zt_loop *l, void (*fn)(void *arg), void *arg)
{
    struct call c = {.fn = fn, .arg = arg};
    struct zt_post p;
    if (zt_loop_is_current(l)) {
        fn(arg);
        return 0;
    }
    sem_init(&c.done, 0, 0);
    int e = zt_loop_post_at(l, &p, run_call, &c);
    while (e == 0 && sem_wait(&c.done) != 0)
        ;
    sem_destroy(&c.done);
    return e;
}
