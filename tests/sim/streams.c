#include "streams.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/stack/twin.h"

#define PORT 4000
#define AT_ONCE 64 /* frames that arrived and wait for their stack */

struct frame {
    unsigned to;
    size_t n;
    uint8_t p[SIM_FRAME_MAX];
};

struct end {
    struct streams *of;
    unsigned no;
    struct sim_node *node;
    void *module;
    const struct twin *t;
    struct zt_ep ep;
    struct twin_conn *conn; /* the open stream from here to the other one */
};

struct streams {
    struct sim *s;
    uint64_t chance, nwid;
    struct end end[2];
    struct frame queue[AT_ONCE];
    unsigned nqueue;
    struct streams_count count;
};

static int64_t now_ms(const struct streams *st)
{
    return sim_now(st->s).mono_ms;
}

static bool works(const struct end *e)
{
    return e->node->core != NULL && e->node->frozen_until_ms <= now_ms(e->of);
}

static int on_frame(void *user, uint64_t nwid, uint8_t *eth, size_t n)
{
    struct end *e = user;
    struct zt_now now = sim_node_now(e->node);
    return works(e) ? zt_core_frame(e->node->core, &now, nwid, eth, n) : -1;
}

static void on_subscribe(void *user, uint64_t nwid, uint64_t mac, uint32_t adi, bool add)
{
    struct end *e = user;
    struct zt_now now = sim_node_now(e->node);
    if (e->node->core != NULL && add)
        (void)zt_core_subscribe(e->node->core, &now, nwid, mac, adi);
    else if (e->node->core != NULL)
        (void)zt_core_unsubscribe(e->node->core, nwid, mac, adi);
}

static void on_random(void *user, void *out, size_t n)
{
    struct end *e = user;
    sim_random(&e->of->chance, out, n);
}

/* A fresh copy each time: lwIP's globals (ports, numbers) must be as in the last run of this seed. */
static void open_end(struct streams *st, unsigned i, const char *path)
{
    struct end *e = &st->end[i];
    struct zt_net_info info = {0};
    e->of = st;
    e->no = i;
#ifdef __SANITIZE_THREAD__ /* its suppressions name libuv, which must not come and go with the module then */
    (void)dlopen("libuv.so.1", RTLD_NOW | RTLD_NODELETE);
#endif
    e->module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    e->t = e->module != NULL ? dlsym(e->module, "twin_api") : NULL;
    if (e->t == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        abort();
    }
    const struct zt_stack_host host = {
        .user = e, .frame = on_frame, .subscribe = on_subscribe, .random = on_random};
    int rc = e->t->open(&host, now_ms(st));
    rc |= zt_core_network(e->node->core, st->nwid, &info);
    rc |= e->t->net_set(&info);
    rc |= e->t->listen(6, PORT);
    for (unsigned k = 0; k < info.naddrs; k++)
        if (info.addrs[k].family == 6)
            e->ep = info.addrs[k];
    assert(rc == 0 && e->ep.family == 6);
    (void)rc;
    e->ep.port = PORT;
}

struct streams *streams_new(struct sim *s, uint64_t seed, uint64_t nwid, struct sim_node *a,
                            struct sim_node *b)
{
    struct streams *st = calloc(1, sizeof *st);
    assert(st != NULL);
    st->s = s;
    st->chance = seed;
    st->nwid = nwid;
    st->end[0].node = a;
    st->end[1].node = b;
    open_end(st, 0, TWIN_A);
    open_end(st, 1, TWIN_B);
    return st;
}

void streams_free(struct streams *st)
{
    for (unsigned i = 0; st != NULL && i < 2; i++) {
        st->end[i].t->close();
        dlclose(st->end[i].module);
    }
    free(st);
}

void streams_frame(struct streams *st, struct sim_node *to, uint64_t nwid, const uint8_t *eth,
                   size_t n)
{
    for (unsigned i = 0; i < 2; i++) {
        if (to != st->end[i].node || nwid != st->nwid || n > SIM_FRAME_MAX || st->nqueue == AT_ONCE)
            continue; /* full: as a network that loses it */
        struct frame *f = &st->queue[st->nqueue++];
        f->to = i;
        f->n = n;
        memcpy(f->p, eth, n);
    }
}

static bool has_frames(void *user)
{
    const struct streams *st = user;
    return st->nqueue > 0;
}

/* Not from within the core, which is why frames wait in the queue. */
static void feed(struct streams *st)
{
    for (unsigned i = 0; i < st->nqueue; i++) {
        const struct frame *f = &st->queue[i];
        st->end[f->to].t->input(st->nwid, f->p, f->n, now_ms(st));
    }
    st->nqueue = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct twin *t = st->end[i].t;
        if (t->deadline() <= now_ms(st))
            t->tick(now_ms(st));
        t->flush();
    }
}

void streams_run(struct streams *st, int64_t ms)
{
    const int64_t end = now_ms(st) + ms;
    for (;;) {
        feed(st);
        int64_t now = now_ms(st), next = end;
        if (now >= end)
            return;
        for (unsigned i = 0; i < 2; i++)
            if (st->end[i].t->deadline() < next)
                next = st->end[i].t->deadline();
        (void)sim_run_until(st->s, next > now ? next - now : 1, has_frames, st);
    }
}

static struct twin_conn *start(struct streams *st, unsigned from, uint64_t bytes, bool then_close)
{
    st->count.opened++;
    return st->end[from].t->connect(&st->end[1 - from].ep, bytes, then_close);
}

void streams_write(struct streams *st, unsigned most)
{
    for (unsigned i = 0; i < 2; i++) {
        struct end *e = &st->end[i];
        uint64_t r;
        if (e->conn != NULL && e->conn->failed) {
            st->count.given_up++;
            e->conn = NULL;
        }
        if (e->conn == NULL)
            e->conn = start(st, i, 0, false);
        sim_random(&st->chance, &r, sizeof r);
        e->conn->to_send += r % (most + 1);
        e->t->pump(e->conn);
    }
}

/* The other end has read exactly this stream, to its end. Which of those that it accepted it was does not
 * matter: all bytes of all of them are compared. */
static bool arrived(const struct streams *st, unsigned from, uint64_t bytes)
{
    const struct twin *t = st->end[1 - from].t;
    for (unsigned i = t->naccepted(); i > 0; i--) {
        const struct twin_conn *c = t->accepted(i - 1);
        if (c->eof && c->received == bytes)
            return true;
    }
    return false;
}

static bool finish(struct streams *st, bool may_fail, int64_t ms)
{
    for (const int64_t end = now_ms(st) + ms;; streams_run(st, 100)) {
        unsigned done = 0;
        for (unsigned i = 0; i < 2; i++) {
            const struct twin_conn *c = st->end[i].conn;
            if (c == NULL || arrived(st, i, c->to_send) || (may_fail && c->failed))
                done++;
        }
        if (done == 2 || now_ms(st) >= end) {
            for (unsigned i = 0; i < 2; i++) {
                st->count.given_up += st->end[i].conn != NULL && st->end[i].conn->failed;
                st->end[i].conn = NULL;
            }
            return done == 2;
        }
    }
}

bool streams_end(struct streams *st, int64_t ms)
{
    for (unsigned i = 0; i < 2; i++)
        if (st->end[i].conn != NULL) {
            st->end[i].conn->close_when_sent = true;
            st->end[i].t->pump(st->end[i].conn);
        }
    return finish(st, true, ms);
}

bool streams_whole(struct streams *st, uint64_t bytes, int64_t ms)
{
    for (unsigned i = 0; i < 2; i++) {
        st->end[i].t->forget_accepted();
        st->end[i].conn = start(st, i, bytes, true);
    }
    return finish(st, false, ms);
}

struct streams_count streams_count(const struct streams *st)
{
    struct streams_count c = st->count;
    for (unsigned i = 0; i < 2; i++) {
        const struct twin *t = st->end[i].t;
        for (unsigned k = 0; k < t->naccepted(); k++) {
            c.received += t->accepted(k)->received;
            c.damaged |= t->accepted(k)->damaged;
        }
    }
    return c;
}
