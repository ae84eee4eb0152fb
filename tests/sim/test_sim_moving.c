/* VL1 with peers that restart or move: how long, on the virtual clock, until they talk again. All
 * links take 10 ms one way, so a round trip is 20 ms; an application repeats itself every 100 ms.
 */
#include "scene.h"

#include <stdio.h>

#include "crypto/cipher.h"

#define SEEDS 60
#define REPEAT_MS 100

static int compare(const void *a, const void *b)
{
    return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

/* Half of the seeds must do better than median_ms, all better than worst_ms. */
static void check_times(const char *what, int *ms, unsigned n, int median_ms, int worst_ms)
{
    qsort(ms, n, sizeof *ms, compare);
    print_message("%s: median %d ms, worst %d ms\n", what, ms[n / 2], ms[n - 1]);
    assert_true(ms[n / 2] < median_ms);
    assert_true(ms[n - 1] < worst_ms);
}

/* `from` asks `to` every 100 ms until an answer comes; how long that took, at most 20 s. */
static int time_to_pong(struct trio *t, struct sim_node *from, struct sim_node *to)
{
    unsigned before = from->pongs;
    int ms = 0;
    for (; from->pongs == before && ms < 20000; ms++) {
        if (ms % REPEAT_MS == 0)
            sim_say(from, to, "?", 1);
        sim_run(t->s, 1);
    }
    return ms;
}

static int time_to_direct(struct trio *t)
{
    int ms = 0;
    for (; !trio_is_direct(t) && ms < 20000; ms++)
        sim_run(t->s, 1);
    return ms;
}

static struct trio talking(uint64_t seed)
{
    struct trio t = trio_connected(seed);
    for (int i = 0; i < 20; i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 50);
    }
    return t;
}

static void lossy(struct trio *t, unsigned permille)
{
    sim_all_links(t->s, (struct sim_link){.delay_ms = 10, .loss_permille = permille});
}

/* Stop b; start it at another endpoint, with or without what it knew. */
static void restart_at(struct trio *t, const char *ep, bool remember)
{
    zt_vl1_save_peers(t->b->vl1);
    sim_stop(t->b);
    assert_int_equal(zt_ep_parse(ep, &t->b->ep), 0);
    sim_start(t->b);
    struct zt_now now = sim_now(t->s);
    for (unsigned i = 0; remember && i < t->b->npeers; i++)
        assert_int_equal(
            zt_vl1_restore_peer(t->b->vl1, &now, t->b->peers[i].file, t->b->peers[i].n), 0);
}

static void restart(const char *ep, bool remember, bool a_speaks, unsigned permille, int median_ms,
                    int worst_ms)
{
    int ms[SEEDS];
    for (unsigned i = 0; i < SEEDS; i++) {
        struct trio t = talking(1000 + i);
        lossy(&t, permille);
        restart_at(&t, ep, remember);
        ms[i] = time_to_pong(&t, a_speaks ? t.a : t.b, a_speaks ? t.b : t.a);
        sim_assert(t.s, permille > 0 || time_to_direct(&t) < 100);
        sim_free(t.s);
    }
    char what[100];
    snprintf(what, sizeof what, "  restart at %s,%s %s speaks, %u%% loss", ep,
             remember ? " remembering," : "", a_speaks ? "the other side" : "it", permille / 10);
    check_times(what, ms, SEEDS, median_ms, worst_ms);
}

static void a_restarted_peer_with_another_port(void **state)
{
    restart("9.0.0.3/7777", false, false, 0, 150, 150);
    restart("9.0.0.3/7777", true, false, 0, 60, 60);
    restart("9.0.0.3/7777", true, true, 0, 150, 150);
}

static void a_restarted_peer_with_another_address(void **state)
{
    restart("9.0.7.7/9993", false, false, 0, 150, 150);
    restart("9.0.7.7/9993", true, false, 0, 60, 60);
    restart("9.0.7.7/9993", true, true, 0, 150, 150);
}

static void a_restarted_peer_under_loss(void **state)
{
    restart("9.0.0.3/7777", false, false, 100, 300, 2000);
    restart("9.0.0.3/7777", true, false, 100, 300, 2000);
    restart("9.0.0.3/7777", true, true, 100, 300, 2000);
    restart("9.0.7.7/9993", false, false, 100, 300, 2000);
}

/* One packet, no repetition: it must not be lost on the dead path, and neither must its answer. */
static void the_first_packet_of_a_restarted_peer_is_answered(void **state)
{
    struct trio t = talking(1);
    restart_at(&t, "9.0.0.3/7777", false);
    sim_say(t.b, t.a, "?", 1);
    sim_run(t.s, 150);
    assert_int_equal(t.b->pongs, 1);
    sim_assert(t.s, time_to_direct(&t) < 100);
    unsigned before = t.b->direct_frames;
    sim_say(t.a, t.b, "x", 1);
    sim_run(t.s, 10);
    assert_int_equal(t.b->direct_frames, before + 1);

    /* The old path goes. */
    sim_run(t.s, 2000);
    struct zt_now now = sim_now(t.s);
    struct zt_peer_info info;
    assert_int_equal(zt_vl1_peer(t.a->vl1, &now, t.b->id.addr, &info), 0);
    assert_int_equal(info.npaths, 1);
    assert_int_equal(info.paths[0].ep.port, 7777);
    sim_free(t.s);
}

/* b comes back where the root can't be reached from; a still believes in the root. */
static void a_restarted_peer_without_the_root(void **state)
{
    for (unsigned permille = 0; permille <= 100; permille += 100) {
        int ms[SEEDS];
        for (unsigned i = 0; i < SEEDS; i++) {
            struct trio t = talking(2000 + i);
            lossy(&t, permille);
            sim_block(t.b, t.root);
            restart_at(&t, "9.0.0.3/7777", true);
            ms[i] = time_to_pong(&t, i % 2 ? t.a : t.b, i % 2 ? t.b : t.a);
            sim_free(t.s);
        }
        char what[100];
        snprintf(what, sizeof what, "  restart without the root, %u%% loss", permille / 10);
        check_times(what, ms, SEEDS, 300, permille == 0 ? 300 : 2000);
    }
}

static void a_peer_that_restarts_in_place(void **state)
{
    restart("9.0.0.3/9993", false, false, 0, 150, 150);
    restart("9.0.0.3/9993", false, true, 0, 300, 300);
    restart("9.0.0.3/9993", false, true, 100, 300, 2000);
}

/* b behind a NAT that forgets its mappings while both send every 5 ms: how long a's packets miss
 * it. */
static int rebind(uint64_t seed, enum sim_nat_kind kind, unsigned permille)
{
    struct trio t = {.s = sim_new(seed)};
    struct sim_nat *nat = sim_nat(t.s, kind, "9.1.0.2");
    t.root = sim_node(t.s, "9.0.0.1/9993");
    t.a = sim_node(t.s, "9.0.0.2/9993");
    t.b = sim_node_behind(t.s, nat, "192.168.2.2/9993");
    sim_planet(t.s, 1, &t.root, 1);
    sim_start_all(t.s);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_online, &t));
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 3000, trio_is_direct, &t));
    lossy(&t, permille);
    unsigned got = 0;
    int since = 0, gap = 0;
    for (int i = 0; i < 2000; i += 5) {
        if (i == 500)
            nat->n = 0;
        sim_say(t.a, t.b, "x", 1);
        sim_say(t.b, t.a, "y", 1);
        sim_run(t.s, 5);
        if (t.b->frames != got)
            since = i;
        else if (i - since > gap)
            gap = i - since;
        got = t.b->frames;
    }
    sim_assert(t.s, sim_is_direct(t.a, t.b));
    sim_free(t.s);
    return gap;
}

static void a_nat_that_changes_ports_in_mid_transfer(void **state)
{
    static const enum sim_nat_kind kinds[] = {SIM_NAT_FULL_CONE, SIM_NAT_ADDR_RESTRICTED,
                                              SIM_NAT_PORT_RESTRICTED, SIM_NAT_SYMMETRIC};
    for (unsigned k = 0; k < 4; k++)
        for (unsigned permille = 0; permille <= 100; permille += 100) {
            int ms[SEEDS];
            for (unsigned i = 0; i < SEEDS; i++)
                ms[i] = rebind(3000 + i, kinds[k], permille);
            char what[100];
            snprintf(what, sizeof what, "  NAT of kind %u rebinds, %u%% loss", k, permille / 10);
            check_times(what, ms, SEEDS, 100, permille == 0 ? 100 : 1500);
        }
}

/* -- what must not move a path -- */

struct capture {
    struct sim_node *from, *to;
    bool hello; /* else the first OK, which is also held back */
    uint8_t p[1500];
    size_t n;
};

static bool capture(void *user, struct sim_node *from, struct sim_node *to, uint8_t *p, size_t n)
{
    struct capture *c = user;
    if (c->n != 0 || from != c->from || to != c->to || n < ZT_PKT_MIN ||
        (zt_pkt_suite(p) == ZT_SUITE_POLY) != c->hello)
        return true;
    memcpy(c->p, p, n);
    c->n = n;
    return c->hello;
}

static void assert_path_is_at_home(struct trio *t)
{
    struct zt_now now = sim_now(t->s);
    struct zt_peer_info info;
    assert_int_equal(zt_vl1_peer(t->a->vl1, &now, t->b->id.addr, &info), 0);
    assert_int_equal(info.npaths, 1);
    assert_true(zt_ep_equal(&info.paths[0].ep, &t->b->ep));
    assert_true(info.paths[0].preferred && !info.paths[0].expired);
}

static void a_replayed_hello_does_not_move_a_path(void **state)
{
    struct trio t = talking(4);
    struct capture c = {.from = t.b, .to = t.a, .hello = true};
    sim_tap(t.s, capture, &c);
    for (int i = 0; i < 700 && c.n == 0; i++) { /* a HELLO goes over each path once a minute */
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 100);
    }
    sim_assert(t.s, c.n > 0);
    struct sim_node *thief = sim_node(t.s, "9.0.0.9/1234");
    for (int i = 0; i < 100; i++) { /* from elsewhere, and from other ports of the same address */
        struct zt_ep from = thief->ep;
        if (i % 2) {
            from = t.b->ep;
            from.port = (uint16_t)(20000 + i);
        }
        unsigned pongs = t.a->pongs, direct = t.b->direct_frames;
        sim_run(t.s, 200);
        sim_inject(t.a, &from, c.p, c.n);
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 25);
        assert_int_equal(t.a->pongs, pongs + 1);
        assert_int_equal(t.b->direct_frames, direct + 1); /* an old HELLO causes no doubt even */
        assert_path_is_at_home(&t);
    }
    /* An OK each, which is rate limited, and a probe in four parts each second. */
    sim_assert(t.s, sim_link(t.a, thief)->datagrams < 50 + 4 * 25);
    sim_free(t.s);
}

static void an_ok_from_elsewhere_proves_nothing(void **state)
{
    struct trio t = talking(5);
    sim_run(t.s, 14000); /* until a's heartbeats */
    struct capture c = {.from = t.b, .to = t.a};
    sim_tap(t.s, capture, &c);
    for (int i = 0; i < 200 && c.n == 0; i++)
        sim_run(t.s, 100);
    sim_assert(t.s, c.n > 0); /* the answer never arrived; a thief repeats it from its own place */
    struct zt_ep thief;
    zt_ep_parse("9.0.0.9/1234", &thief);
    sim_inject(t.a, &thief, c.p, c.n);
    sim_run(t.s, 3000);
    assert_path_is_at_home(&t);
    sim_free(t.s);
}

/* Whoever can repeat old packets may make us doubt, ever more rarely, and no more. */
static void false_alarms_become_rare(void **state)
{
    struct trio t = talking(6);
    struct capture c = {.from = t.b, .to = t.a, .hello = true};
    unsigned relayed = 0;
    for (int i = 0; i < 300; i++) {
        /* Fresh authentic packets of b that reach a from a place that never answers. */
        c.n = 0;
        c.hello = false;
        sim_tap(t.s, capture, &c);
        sim_say(t.b, t.a, "y", 1);
        sim_tap(t.s, NULL, NULL);
        assert_true(c.n > 0);
        struct zt_ep thief;
        zt_ep_parse("9.0.0.9/1234", &thief);
        sim_inject(t.a, &thief, c.p, c.n);
        uint64_t before = sim_link(t.a, t.root)->bytes;
        sim_say(t.a, t.b, "x", 1);
        relayed += sim_link(t.a, t.root)->bytes != before;
        sim_run(t.s, 200);
    }
    assert_true(relayed > 0 && relayed < 12);
    sim_free(t.s);
}

/* -- latency -- */

static void latency_is_honest_soon(void **state)
{
    struct trio t = trio_make(7);
    t.root->check_delay_ms = 80;
    sim_start_all(t.s);
    sim_assert(t.s, sim_run_until(t.s, 1000, trio_is_online, &t));
    sim_run(t.s, 100);
    struct zt_now now = sim_now(t.s);
    assert_int_equal(zt_vl1_latency(t.a->vl1, &now, t.root->id.addr), 20);
    assert_int_equal(zt_vl1_latency(t.root->vl1, &now, t.a->id.addr), 20);
    sim_free(t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restarted_peer_with_another_port),
        cmocka_unit_test(a_restarted_peer_with_another_address),
        cmocka_unit_test(a_restarted_peer_under_loss),
        cmocka_unit_test(the_first_packet_of_a_restarted_peer_is_answered),
        cmocka_unit_test(a_restarted_peer_without_the_root),
        cmocka_unit_test(a_peer_that_restarts_in_place),
        cmocka_unit_test(a_nat_that_changes_ports_in_mid_transfer),
        cmocka_unit_test(a_replayed_hello_does_not_move_a_path),
        cmocka_unit_test(an_ok_from_elsewhere_proves_nothing),
        cmocka_unit_test(false_alarms_become_rare),
        cmocka_unit_test(latency_is_honest_soon),
    };
    return cmocka_run_group_tests_name("sim moving", tests, NULL, NULL);
}
