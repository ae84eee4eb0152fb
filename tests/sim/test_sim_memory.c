/* Nodes whose memory runs out: every allocation of a core may fail. Nothing breaks, and what was
 * refused for want of memory works once there is some.
 *
 * malloc, calloc and realloc of the code under test are ours (the linker's --wrap). Which ones fail
 * is decided by a seeded chance, or the one and only n-th does. */
#include <stdio.h>

#include "scene.h"

#include "base/buf.h"
#include "base/err.h"
#include "vl2/controller.h"

#define ETH 14
#define TYPE 0x88b5 /* for local experiments (IEEE 802) */
#define NET 0xff0a000000000001u
#define MEMBERS 3

static struct {
    uint64_t chance;
    unsigned one_in;  /* one of so many fails; 0: none */
    int64_t the_only; /* this one fails; counts down */
    unsigned failed;
} scarce;

void *__real_malloc(size_t n);
void *__real_calloc(size_t k, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t k, size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
    uint64_t r;
    if (sim_inside <= 0)
        return false;
    bool now = scarce.the_only > 0 && --scarce.the_only == 0;
    if (scarce.one_in > 0) {
        sim_random(&scarce.chance, &r, sizeof r);
        now |= r % scarce.one_in == 0;
    }
    scarce.failed += now;
    return now;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t k, size_t n)
{
    return fails() ? NULL : __real_calloc(k, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

struct office {
    struct sim *s;
    struct sim_node *root, *ctl, *m[MEMBERS];
    uint64_t nwid[2];
    unsigned turn;
    bool heard[2][MEMBERS][MEMBERS];
};

static void on_frame(void *user, struct sim_node *to, uint64_t nwid, const uint8_t *eth, size_t n)
{
    struct office *o = user;
    if (n == ETH + 4 && zt_be16(eth + 12) == TYPE)
        o->heard[nwid == o->nwid[1]][eth[ETH]][eth[ETH + 1]] = true;
}

static void say(struct office *o, unsigned net, unsigned from, unsigned to)
{
    struct sim_node *a = o->m[from], *b = o->m[to];
    struct zt_now now = sim_node_now(a);
    uint8_t p[ZT_FRAME_HEADROOM + ETH + 4] = {0}, *eth = p + ZT_FRAME_HEADROOM;
    zt_put48(eth, zt_mac_of(b->id.addr, o->nwid[net]));
    zt_put48(eth + 6, zt_mac_of(a->id.addr, o->nwid[net]));
    zt_put16(eth + 12, TYPE);
    eth[ETH] = (uint8_t)from;
    eth[ETH + 1] = (uint8_t)to;
    sim_inside++;
    (void)zt_core_frame(a->core, &now, o->nwid[net], eth, ETH + 4);
    sim_inside--;
}

/* An ARP question, which goes to all. */
static void ask(struct office *o, unsigned net, unsigned from)
{
    struct sim_node *a = o->m[from];
    struct zt_now now = sim_node_now(a);
    uint8_t p[ZT_FRAME_HEADROOM + ETH + 28] = {0}, *eth = p + ZT_FRAME_HEADROOM;
    static const uint8_t arp[] = {0, 1, 8, 0, 6, 4, 0, 1};
    memset(eth, 0xff, 6);
    zt_put48(eth + 6, zt_mac_of(a->id.addr, o->nwid[net]));
    zt_put16(eth + 12, 0x0806);
    memcpy(eth + ETH, arp, sizeof arp);
    zt_put48(eth + ETH + 8, zt_mac_of(a->id.addr, o->nwid[net]));
    eth[ETH + 24] = 10;
    sim_inside++;
    (void)zt_core_frame(a->core, &now, o->nwid[net], eth, ETH + 28);
    sim_inside--;
}

static struct office office(uint64_t seed)
{
    struct office o = {.s = sim_new(seed)};
    sim_with_core(o.s);
    o.root = sim_node(o.s, "9.0.0.1/9993");
    o.ctl = sim_node(o.s, "9.0.1.1/9993");
    for (unsigned i = 0; i < MEMBERS; i++) {
        char ep[32];
        snprintf(ep, sizeof ep, "9.1.%u.1/9993", i);
        o.m[i] = sim_node(o.s, ep);
    }
    sim_planet(o.s, 1, &o.root, 1);
    sim_start_all(o.s);
    o.nwid[0] = NET;
    o.nwid[1] = sim_ctl_network(o.ctl, 1, false);
    return o;
}

/* Join, ask around and talk, for a while, whatever comes of it. */
static void live(struct office *o, unsigned rounds)
{
    for (unsigned t = o->turn; rounds-- > 0; t = ++o->turn) {
        for (unsigned i = 0; i < MEMBERS; i++) {
            struct zt_now now = sim_node_now(o->m[i]);
            for (unsigned net = 0; net < 2; net++) {
                sim_inside++;
                (void)zt_core_join(o->m[i]->core, &now, o->nwid[net], NULL, 0);
                (void)zt_core_subscribe(o->m[i]->core, &now, o->nwid[net], 0xffffffffffff, 0x0a000000);
                sim_inside--;
                ask(o, net, i);
                say(o, net, i, (i + 1 + t % (MEMBERS - 1)) % MEMBERS);
            }
        }
        sim_run(o->s, 700);
    }
}

static bool all_heard(const struct office *o)
{
    for (unsigned net = 0; net < 2; net++)
        for (unsigned i = 0; i < MEMBERS; i++)
            for (unsigned k = 0; k < MEMBERS; k++)
                if (i != k && !o->heard[net][i][k])
                    return false;
    return true;
}

static void heals(struct office *o)
{
    scarce.one_in = 0;
    scarce.the_only = 0;
    memset(o->heard, 0, sizeof o->heard);
    for (unsigned t = 0; t < 200 && !all_heard(o); t++)
        live(o, 1);
    for (unsigned net = 0; net < 2; net++)
        for (unsigned i = 0; i < MEMBERS; i++)
            for (unsigned k = 0; k < MEMBERS; k++)
                if (i != k && !o->heard[net][i][k]) {
                    struct zt_net_info info;
                    (void)zt_core_network(o->m[i]->core, o->nwid[net], &info);
                    print_error("network %u: %u to %u is silent (status %d, frames %u)\n", net, i, k, info.status, o->m[k]->frames);
                }
    sim_assert(o->s, all_heard(o));
}

static void run(uint64_t seed, unsigned one_in, int64_t the_only)
{
    memset(&scarce, 0, sizeof scarce);
    struct office o = office(seed);
    sim_on_frame(o.s, on_frame, &o);
    scarce.chance = seed;
    scarce.one_in = one_in;
    scarce.the_only = the_only;
    live(&o, 20);
    heals(&o);
    sim_free(o.s);
}

static void any_allocation_may_fail(void **state)
{
    unsigned n = 0;
    for (int64_t the_only = 1; the_only <= 400; the_only++) {
        run(1, 0, the_only);
        n += scarce.failed;
    }
    print_message("%u runs with one failure\n", n);
    assert_true(n > 100);
}

static void many_may_fail(void **state)
{
    static const unsigned one_in[] = {2, 3, 5, 10, 30};
    unsigned n = 0;
    for (unsigned i = 0; i < 50; i++) {
        run(100 + i, one_in[i % 5], 0);
        n += scarce.failed;
    }
    print_message("%u failures\n", n);
    assert_true(n > 1000);
}

/* A node that can't be made leaves nothing behind (the sanitizer looks). */
static void a_node_that_does_not_fit_is_not_there(void **state)
{
    struct sim *s = sim_new(1);
    struct sim_node *n = sim_node(s, "9.0.0.1/9993");
    struct zt_now now = sim_node_now(n);
    struct zt_core *c = NULL;
    int rc = ZT_E_NOMEM;
    unsigned refused = 0;
    for (int64_t k = 1; rc != 0; k++) {
        memset(&scarce, 0, sizeof scarce);
        scarce.the_only = k;
        sim_inside = 1;
        rc = zt_core_new(&(struct zt_core_config){.identity = &n->id, .host = &n->host}, &now, &c);
        sim_inside = 0;
        assert_true(rc == 0 || rc == ZT_E_NOMEM);
        refused += rc != 0;
    }
    assert_true(refused >= 3);
    zt_core_free(c);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_does_not_fit_is_not_there),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(many_may_fail),
    };
    return cmocka_run_group_tests_name("sim memory", tests, NULL, NULL);
}
