/* Private networks of a simulated controller, which is not the root: many members, refusal,
 * deauthorisation, refresh, a controller that restarts or is away, loss. */
#include <stdio.h>

#include "scene.h"

#include "crypto/identity.h"
#include "vl2/controller.h"

#define ETH 14
#define TYPE 0x88b5 /* for local experiments (IEEE 802) */
#define MEMBERS 20

struct office {
    struct sim *s;
    struct sim_node *root, *ctl, *m[MEMBERS];
    unsigned n;
    uint64_t nwid;
};

/* All started and joined; nobody is authorised. */
static struct office office(uint64_t seed, unsigned n)
{
    struct office o = {.s = sim_new(seed), .n = n};
    char ep[32];
    sim_with_core(o.s);
    o.root = sim_node(o.s, "9.0.0.1/9993");
    o.ctl = sim_node(o.s, "9.0.1.1/9993");
    for (unsigned i = 0; i < n; i++) {
        snprintf(ep, sizeof ep, "9.1.%u.1/9993", i);
        o.m[i] = sim_node(o.s, ep);
    }
    sim_planet(o.s, 1, &o.root, 1);
    sim_start_all(o.s);
    o.nwid = sim_ctl_network(o.ctl, 1, true);
    struct zt_now now = sim_now(o.s);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(zt_core_join(o.m[i]->core, &now, o.nwid, NULL, 0), 0);
    return o;
}

static struct zt_net_info info(const struct office *o, const struct sim_node *n)
{
    struct zt_net_info i;
    assert_int_equal(zt_core_network(n->core, o->nwid, &i), 0);
    return i;
}

static unsigned count(const struct office *o, enum zt_net_status status)
{
    unsigned k = 0;
    for (unsigned i = 0; i < o->n; i++)
        k += info(o, o->m[i]).status == status;
    return k;
}

static bool all_answered(void *user)
{
    struct office *o = user;
    return count(o, ZT_NET_REQUESTING_CONFIGURATION) == 0;
}

static bool all_ok(void *user)
{
    struct office *o = user;
    return count(o, ZT_NET_OK) == o->n;
}

static void authorize(const struct office *o, unsigned i, bool yes)
{
    sim_ctl_member(o->ctl, o->nwid, o->m[i], yes);
}

static struct office working(uint64_t seed, unsigned n)
{
    struct office o = office(seed, n);
    for (unsigned i = 0; i < n; i++)
        authorize(&o, i, true);
    sim_assert(o.s, sim_run_until(o.s, 20000, all_ok, &o));
    return o;
}

static void say(const struct office *o, struct sim_node *from, struct sim_node *to)
{
    struct zt_now now = sim_now(o->s);
    uint8_t p[ZT_FRAME_HEADROOM + ETH + 50] = {0}, *eth = p + ZT_FRAME_HEADROOM;
    zt_put48(eth, zt_mac_of(to->id.addr, o->nwid));
    zt_put48(eth + 6, zt_mac_of(from->id.addr, o->nwid));
    zt_put16(eth + 12, TYPE);
    (void)zt_core_frame(from->core, &now, o->nwid, eth, ETH + 50);
}

/* Does a frame arrive within some seconds? */
static bool reaches(const struct office *o, struct sim_node *from, struct sim_node *to)
{
    unsigned before = to->frames;
    say(o, from, to);
    sim_run(o->s, 4000);
    return to->frames > before;
}

static void members_are_let_in_one_by_one(void **state)
{
    struct office o = office(1, MEMBERS);
    sim_assert(o.s, sim_run_until(o.s, 20000, all_answered, &o));
    assert_int_equal(count(&o, ZT_NET_ACCESS_DENIED), MEMBERS);
    for (unsigned i = 0; i < MEMBERS - 1; i++) {
        authorize(&o, i, true);
        sim_run(o.s, 200); /* told at once: members ask every five seconds only */
        assert_int_equal(count(&o, ZT_NET_OK), i + 1);
    }
    bool seen[65536] = {false};
    for (unsigned i = 0; i < MEMBERS - 1; i++) {
        struct zt_net_info n = info(&o, o.m[i]);
        assert_int_equal(n.naddrs, 2);
        assert_int_equal(n.addrs[1].family, 4);
        unsigned host = zt_be16(n.addrs[1].ip + 2);
        assert_false(seen[host]);
        seen[host] = true;
    }
    sim_free(o.s);
}

static void everybody_who_is_in_talks_to_everybody(void **state)
{
    struct office o = working(2, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; i++)
        o.m[i]->frames = 0;
    for (unsigned i = 0; i < MEMBERS; i++)
        for (unsigned k = 0; k < MEMBERS; k++)
            if (i != k)
                say(&o, o.m[i], o.m[k]);
    sim_run(o.s, 6000);
    for (unsigned i = 0; i < MEMBERS; i++)
        sim_assert(o.s, o.m[i]->frames == MEMBERS - 1);
    sim_free(o.s);
}

static void the_deauthorised_are_out_at_once(void **state)
{
    struct office o = working(3, 4);
    sim_assert(o.s, reaches(&o, o.m[0], o.m[1]));
    sim_assert(o.s, reaches(&o, o.m[1], o.m[0]));
    authorize(&o, 1, false);
    sim_run(o.s, 200);
    assert_int_equal(info(&o, o.m[1]).status, ZT_NET_ACCESS_DENIED);
    sim_assert(o.s, !reaches(&o, o.m[1], o.m[0]));
    sim_assert(o.s, !reaches(&o, o.m[1], o.m[2]));
    sim_assert(o.s, reaches(&o, o.m[0], o.m[2]));
    authorize(&o, 1, true);
    sim_run(o.s, 200);
    sim_assert(o.s, reaches(&o, o.m[1], o.m[0]));
    sim_free(o.s);
}

static void a_member_that_missed_the_revocation_hears_of_it_from_others(void **state)
{
    struct office o = working(4, 3);
    for (unsigned i = 0; i < 3; i++)
        sim_assert(o.s, reaches(&o, o.m[i], o.m[(i + 1) % 3]));
    for (unsigned i = 0; i < 3; i++)
        sim_assert(o.s, reaches(&o, o.m[(i + 1) % 3], o.m[i]));
    /* Everything from the controller to 0 is lost from here on, also by way of the root. */
    sim_block(o.ctl, o.m[0]);
    sim_block(o.ctl, o.root);
    authorize(&o, 1, false);
    sim_run(o.s, 1000);
    sim_assert(o.s, !reaches(&o, o.m[1], o.m[0]));
    sim_assert(o.s, reaches(&o, o.m[2], o.m[0]));
    sim_free(o.s);
}

static void configurations_are_renewed_every_minute(void **state)
{
    struct office o = working(5, 2);
    struct zt_ctl_counts a, b;
    zt_controller_counts(sim_controller(o.ctl), &a);
    sim_run(o.s, 10 * 60000);
    zt_controller_counts(sim_controller(o.ctl), &b);
    sim_assert(o.s, b.configs - a.configs >= 18 && b.configs - a.configs <= 22);
    sim_assert(o.s, b.pushes == a.pushes);
    sim_assert(o.s, reaches(&o, o.m[0], o.m[1]));
    sim_free(o.s);
}

static void a_restarted_controller_knows_everybody(void **state)
{
    struct office o = working(6, 4);
    struct zt_net_info before = info(&o, o.m[0]);
    sim_stop(o.ctl);
    sim_run(o.s, 30000);
    assert_int_equal(count(&o, ZT_NET_OK), 4);
    sim_start(o.ctl);
    sim_run(o.s, 120000);
    assert_int_equal(count(&o, ZT_NET_OK), 4);
    struct zt_net_info after = info(&o, o.m[0]);
    assert_memory_equal(before.addrs, after.addrs, sizeof before.addrs);
    authorize(&o, 2, false);
    sim_run(o.s, 1000);
    assert_int_equal(count(&o, ZT_NET_OK), 3);
    sim_assert(o.s, reaches(&o, o.m[0], o.m[1]));
    sim_free(o.s);
}

static void a_restarted_controller_tells_members_that_have_not_asked_yet(void **state)
{
    struct office o = working(10, 3);
    sim_stop(o.ctl);
    sim_start(o.ctl);
    sim_run(o.s, 3000); /* online; members ask once a minute */
    authorize(&o, 1, false);
    sim_run(o.s, 1000);
    assert_int_equal(info(&o, o.m[1]).status, ZT_NET_ACCESS_DENIED);
    sim_stop(o.ctl);
    sim_start(o.ctl);
    sim_run(o.s, 3000);
    authorize(&o, 1, true);
    sim_run(o.s, 1000);
    assert_int_equal(info(&o, o.m[1]).status, ZT_NET_OK);
    struct zt_ctl_counts n;
    zt_controller_counts(sim_controller(o.ctl), &n);
    sim_assert(o.s, n.pushes == 1);
    sim_free(o.s);
}

/* What it revoked or issued before must not look newer than what it issues now. */
static void a_controller_whose_clock_was_set_back_while_it_was_down(void **state)
{
    struct office o = working(10, 4);
    o.ctl->wall_off_ms = 3 * 3600 * 1000;
    authorize(&o, 3, false);
    authorize(&o, 3, true);
    sim_run(o.s, 70000);
    assert_int_equal(count(&o, ZT_NET_OK), 4);
    sim_stop(o.ctl);
    sim_run(o.s, 1000);
    o.ctl->wall_off_ms = 0;
    sim_start(o.ctl);
    authorize(&o, 2, false);
    authorize(&o, 2, true);
    sim_run(o.s, 70000);
    assert_int_equal(count(&o, ZT_NET_OK), 4);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 4; k++)
            if (i != k)
                sim_assert(o.s, reaches(&o, o.m[i], o.m[k]));
    sim_free(o.s);
}

/* The controller ends before it can tell anybody; members learn of it with their next request. */
static void a_restarted_controller_remembers_whom_it_put_out(void **state)
{
    struct office o = working(11, 3);
    for (unsigned i = 0; i < 3; i++) {
        sim_assert(o.s, reaches(&o, o.m[i], o.m[(i + 1) % 3]));
        sim_assert(o.s, reaches(&o, o.m[(i + 1) % 3], o.m[i]));
    }
    for (unsigned i = 0; i < 3; i++)
        sim_block(o.ctl, o.m[i]);
    sim_block(o.ctl, o.root);
    authorize(&o, 1, false);
    sim_stop(o.ctl);
    sim_start(o.ctl);
    sim_unblock(o.ctl, o.root);
    sim_unblock(o.ctl, o.m[0]);
    sim_unblock(o.ctl, o.m[2]); /* 1 hears nothing of the controller, and shows what it has */
    sim_run(o.s, 70000);
    sim_assert(o.s, !reaches(&o, o.m[1], o.m[0]));
    sim_assert(o.s, !reaches(&o, o.m[1], o.m[2]));
    sim_assert(o.s, reaches(&o, o.m[2], o.m[0]));
    sim_free(o.s);
}

static void members_go_on_while_the_controller_is_away(void **state)
{
    struct office o = working(7, 3);
    sim_stop(o.ctl);
    sim_run(o.s, 120 * 60000); /* VL1 has forgotten it long ago */
    /* Certificates are compared with each other, not with the clock. */
    sim_assert(o.s, reaches(&o, o.m[0], o.m[1]));
    sim_assert(o.s, reaches(&o, o.m[1], o.m[2]));
    sim_free(o.s);
}

static void it_works_over_bad_links(void **state)
{
    struct office o = office(8, 8);
    sim_all_links(o.s, (struct sim_link){.delay_ms = 80, .jitter_ms = 60, .loss_permille = 150});
    for (unsigned i = 0; i < o.n; i++)
        authorize(&o, i, true);
    sim_assert(o.s, sim_run_until(o.s, 60000, all_ok, &o));
    sim_free(o.s);
}

static void the_controller_may_be_a_member_of_its_own_network(void **state)
{
    struct office o = working(9, 2);
    struct zt_now now = sim_now(o.s);
    sim_ctl_member(o.ctl, o.nwid, o.ctl, true);
    assert_int_equal(zt_core_join(o.ctl->core, &now, o.nwid, NULL, 0), 0);
    sim_run(o.s, 1000);
    assert_int_equal(info(&o, o.ctl).status, ZT_NET_OK);
    assert_int_equal(info(&o, o.ctl).naddrs, 2);
    sim_assert(o.s, reaches(&o, o.ctl, o.m[0]));
    sim_assert(o.s, reaches(&o, o.m[0], o.ctl));
    sim_assert(o.s, reaches(&o, o.m[0], o.m[1]));
    sim_free(o.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_let_in_one_by_one),
        cmocka_unit_test(everybody_who_is_in_talks_to_everybody),
        cmocka_unit_test(the_deauthorised_are_out_at_once),
        cmocka_unit_test(a_member_that_missed_the_revocation_hears_of_it_from_others),
        cmocka_unit_test(configurations_are_renewed_every_minute),
        cmocka_unit_test(a_restarted_controller_knows_everybody),
        cmocka_unit_test(a_restarted_controller_tells_members_that_have_not_asked_yet),
        cmocka_unit_test(a_controller_whose_clock_was_set_back_while_it_was_down),
        cmocka_unit_test(a_restarted_controller_remembers_whom_it_put_out),
        cmocka_unit_test(members_go_on_while_the_controller_is_away),
        cmocka_unit_test(it_works_over_bad_links),
        cmocka_unit_test(the_controller_may_be_a_member_of_its_own_network),
    };
    zt_crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
