/* The least loop that keeps node/loop.h's promises; tests of single modules link it, so that a fault
 * of the real one can't hide theirs, nor the other way round. */
#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "node/loop.h"

struct job {
    struct job *next;
    void (*fn)(void *);
    void *arg;
    sem_t *done;
};

struct zt_loop {
    struct zt_loop_hooks hooks;
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t timer;
    uv_prepare_t end;
    pthread_t thread;
    pthread_mutex_t lock;
    struct job *first, **last;
    sem_t ready;
    struct zt_now now;
    int64_t deadline;
    int err;
    bool stop;
};

static void read_clock(struct zt_loop *l)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    l->now.mono_ms = t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_timer(uv_timer_t *t)
{
    (void)t;
}

static void on_prepare(uv_prepare_t *h)
{
    struct zt_loop *l = h->data;

    if (l->stop)
        return;
    read_clock(l);
    if (l->deadline <= l->now.mono_ms)
        l->hooks.due(l->hooks.user, &l->now);
    l->deadline = l->hooks.flush(l->hooks.user, &l->now);
    uv_update_time(&l->uv);
    if (l->deadline != INT64_MAX)
        uv_timer_start(
            &l->timer, on_timer,
            l->deadline > l->now.mono_ms ? (uint64_t)(l->deadline - l->now.mono_ms) : 0, 0);
    else
        uv_timer_stop(&l->timer);
}

static void on_wake(uv_async_t *a)
{
    struct zt_loop *l = a->data;
    struct job *j, *next;

    pthread_mutex_lock(&l->lock);
    j = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    read_clock(l);
    for (; j; j = next) {
        next = j->next;
        j->fn(j->arg);
        if (j->done)
            sem_post(j->done);
        free(j);
    }
}

static void *run(void *arg)
{
    struct zt_loop *l = arg;

    uv_loop_init(&l->uv);
    uv_async_init(&l->uv, &l->wake, on_wake);
    uv_timer_init(&l->uv, &l->timer);
    uv_prepare_init(&l->uv, &l->end);
    uv_prepare_start(&l->end, on_prepare);
    l->wake.data = l->end.data = l;
    read_clock(l);
    l->err = l->hooks.init(l->hooks.user, l);
    sem_post(&l->ready);
    while (!l->stop)
        uv_run(&l->uv, UV_RUN_ONCE);
    l->hooks.fini(l->hooks.user);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->end, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    if (uv_loop_close(&l->uv) != 0)
        abort(); /* a handle was forgotten */
    return NULL;
}

int zt_loop_start(const struct zt_loop_hooks *hooks, struct zt_loop **out)
{
    struct zt_loop *l = calloc(1, sizeof *l);

    *out = l;
    l->hooks = *hooks;
    l->last = &l->first;
    l->deadline = INT64_MAX;
    pthread_mutex_init(&l->lock, NULL);
    sem_init(&l->ready, 0, 0);
    pthread_create(&l->thread, NULL, run, l);
    sem_wait(&l->ready);
    return l->err;
}

static void set_stop(void *arg)
{
    ((struct zt_loop *)arg)->stop = true;
}

void zt_loop_stop(struct zt_loop *l)
{
    zt_loop_post(l, set_stop, l);
    pthread_join(l->thread, NULL);
    sem_destroy(&l->ready);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

uv_loop_t *zt_loop_uv(struct zt_loop *l)
{
    return &l->uv;
}

bool zt_loop_is_current(const struct zt_loop *l)
{
    return pthread_equal(pthread_self(), l->thread);
}

const struct zt_now *zt_loop_now(struct zt_loop *l)
{
    return &l->now;
}

void zt_loop_update(struct zt_loop *l)
{
    read_clock(l);
}

void zt_loop_touch(struct zt_loop *l)
{
    uv_async_send(&l->wake);
}

static void add(struct zt_loop *l, struct job *j)
{
    pthread_mutex_lock(&l->lock);
    *l->last = j;
    l->last = &j->next;
    pthread_mutex_unlock(&l->lock);
    uv_async_send(&l->wake);
}

int zt_loop_post(struct zt_loop *l, void (*fn)(void *arg), void *arg)
{
    struct job *j = calloc(1, sizeof *j);

    j->fn = fn;
    j->arg = arg;
    add(l, j);
    return 0;
}

int zt_loop_call(struct zt_loop *l, void (*fn)(void *arg), void *arg)
{
    struct job *j = calloc(1, sizeof *j);
    sem_t done;

    sem_init(&done, 0, 0);
    j->fn = fn;
    j->arg = arg;
    j->done = &done;
    add(l, j);
    sem_wait(&done);
    sem_destroy(&done);
    return 0;
}
