/* VL1 among honest nodes: finding each other, loss, restarts, idling. */
#include "scene.h"

static void online_in_one_round_trip(void **state)
{
    struct trio t = trio_make(1);
    sim_start_all(t.s);
    /* 10 ms there, the check of our identity, 10 ms back. */
    sim_run(t.s, 10 + 30 + 10);
    sim_assert(t.s, sim_online(t.a) && sim_online(t.b));
    assert_int_equal(t.a->events[ZT_EVENT_ONLINE], 1);
    assert_int_equal(t.a->events[ZT_EVENT_OFFLINE], 0);
    sim_free(t.s);
}

static void a_lost_first_hello_costs_a_tenth_of_a_second(void **state)
{
    struct trio t = trio_make(1);
    sim_link(t.a, t.root)->loss_mask = 1;
    sim_start_all(t.s);
    sim_run(t.s, 100 + 50);
    sim_assert(t.s, sim_online(t.a));
    sim_free(t.s);
}

static void first_contact_goes_through_the_root(void **state)
{
    struct trio t = trio_make(2);
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    sim_say(t.a, t.b, "?hello", 6);
    sim_assert(t.s, sim_run_until(t.s, 500, trio_has_pong, &t));
    assert_int_equal(t.b->nlast_frame, 6);
    assert_memory_equal(t.b->last_frame, "?hello", 6);
    assert_int_equal(t.b->direct_frames, 0);
    sim_free(t.s);
}

static void a_packet_sent_before_being_online_waits(void **state)
{
    struct trio t = trio_make(3);
    sim_start_all(t.s);
    assert_int_equal(sim_say(t.a, t.b, "?", 1), 0);
    sim_assert(t.s, sim_run_until(t.s, 1000, trio_has_pong, &t));
    sim_free(t.s);
}

static void rendezvous_brings_a_direct_path(void **state)
{
    struct trio t = trio_connected(4);
    assert_int_equal(t.a->events[ZT_EVENT_PEER], 3); /* the root; b by the relay, then directly */
    unsigned before = t.b->direct_frames;
    uint64_t relayed = sim_link(t.a, t.root)->bytes;
    for (int i = 0; i < 10; i++)
        sim_say(t.a, t.b, "x", 1);
    sim_run(t.s, 100);
    assert_int_equal(t.b->direct_frames, before + 10);
    assert_int_equal(sim_link(t.a, t.root)->bytes, relayed);
    sim_free(t.s);
}

static void blocked_nodes_stay_relayed(void **state)
{
    struct trio t = trio_make(5);
    sim_block(t.a, t.b);
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    for (int i = 0; i < 60; i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 1000);
    }
    assert_int_equal(t.a->pongs, 60);
    assert_int_equal(t.b->direct_frames, 0);
    assert_int_equal(t.a->direct_frames, 0);
    sim_assert(t.s, !sim_is_direct(t.a, t.b) && !sim_is_direct(t.b, t.a));
    sim_free(t.s);
}

static bool is_alive(const struct sim_node *by, const struct sim_node *whom)
{
    struct zt_now now = sim_node_now(by);
    struct zt_peer_info info;
    return zt_vl1_peer(by->vl1, &now, whom->id.addr, &info) == 0 && info.is_alive;
}

/* It is told when the path dies, and when the time is over in which the peer might be heard by the
 * relay; nothing else happens meanwhile. */
static void a_dead_peer_is_told_of_when_its_time_is_over(void **state)
{
    struct trio t = trio_connected(7);
    unsigned before = t.a->events[ZT_EVENT_PEER];
    sim_stop(t.b);
    sim_run(t.s, 60000);
    sim_assert(t.s, !sim_is_direct(t.a, t.b) && is_alive(t.a, t.b));
    assert_int_equal(t.a->events[ZT_EVENT_PEER], before + 1);
    sim_run(t.s, 430000);
    sim_assert(t.s, is_alive(t.a, t.b));
    assert_int_equal(t.a->events[ZT_EVENT_PEER], before + 1);
    sim_run(t.s, 15000);
    sim_assert(t.s, !is_alive(t.a, t.b));
    assert_int_equal(t.a->events[ZT_EVENT_PEER], before + 2);
    sim_free(t.s);
}

/* A root is never forgotten, yet told of in the same way; and once more when it is back. */
static void a_dead_root_is_told_of_and_when_it_is_back(void **state)
{
    struct trio t = trio_connected(8);
    unsigned before = t.a->events[ZT_EVENT_PEER];
    sim_block(t.a, t.root);
    sim_run(t.s, 490000);
    sim_assert(t.s, is_alive(t.a, t.root));
    assert_int_equal(t.a->events[ZT_EVENT_PEER], before + 1);
    sim_run(t.s, 30000);
    sim_assert(t.s, !is_alive(t.a, t.root));
    assert_int_equal(t.a->events[ZT_EVENT_PEER], before + 2);
    sim_run(t.s, 100000);
    assert_int_equal(t.a->events[ZT_EVENT_PEER], before + 2);
    sim_link(t.a, t.root)->blocked = sim_link(t.root, t.a)->blocked = false;
    sim_run(t.s, 10000);
    sim_assert(t.s, is_alive(t.a, t.root));
    assert_int_equal(t.a->events[ZT_EVENT_PEER], before + 3);
    sim_free(t.s);
}

static void a_broken_direct_path_falls_back_to_the_relay(void **state)
{
    struct trio t = trio_connected(6);
    sim_block(t.a, t.b);
    unsigned before = t.a->pongs;
    assert_int_equal(t.a->events[ZT_EVENT_REROUTED], 0);
    for (int i = 0; i < 100; i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 200);
    }
    sim_assert(t.s, t.a->pongs > before + 40); /* of 20 s, at most 12 were spent finding out */
    sim_assert(t.s, !sim_is_direct(t.a, t.b));
    assert_int_equal(t.a->events[ZT_EVENT_REROUTED], 1); /* once it is doubted */

    /* And back: the root introduces them again while they talk through it. */
    sim_link(t.a, t.b)->blocked = sim_link(t.b, t.a)->blocked = false;
    for (int i = 0; i < 200 && !trio_is_direct(&t); i++) {
        sim_say(t.a, t.b, "?", 1);
        sim_run(t.s, 200);
    }
    sim_assert(t.s, trio_is_direct(&t));
    sim_free(t.s);
}

static void ping_pong_survives_30_percent_loss(void **state)
{
    for (uint64_t seed = 100; seed < 120; seed++) {
        struct trio t = trio_make(seed);
        sim_all_links(
            t.s, (struct sim_link){
                     .delay_ms = 20, .jitter_ms = 30, .loss_permille = 300, .dup_permille = 50});
        sim_start_all(t.s);
        sim_assert(t.s, sim_run_until(t.s, 20000, trio_is_online, &t));
        for (int i = 0; i < 300; i++) {
            sim_say(t.a, t.b, "?", 1);
            sim_run(t.s, 100);
        }
        /* A round trip survives with 0.7^2 directly, 0.7^4 relayed. */
        sim_assert(t.s, t.a->pongs >= 40 && t.a->pongs <= 300);
        for (int i = 0; i < 300 && !trio_is_direct(&t); i++) {
            sim_say(t.a, t.b, "?", 1);
            sim_run(t.s, 100);
        }
        sim_assert(t.s, trio_is_direct(&t));
        sim_free(t.s);
    }
}

static void peers_recover_from_a_root_restart(void **state)
{
    struct trio t = trio_make(7);
    sim_block(t.a, t.b); /* so that they depend on the root */
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_has_pong, &t));

    sim_stop(t.root);
    sim_run(t.s, 60000);
    sim_assert(t.s, !sim_online(t.a) && t.a->events[ZT_EVENT_OFFLINE] == 1);
    sim_start(t.root);
    sim_assert(t.s, sim_run_until(t.s, 6000, trio_is_online, &t));
    unsigned before = t.a->pongs;
    sim_run(t.s, 6000);
    sim_say(t.a, t.b, "?", 1);
    sim_run(t.s, 2000);
    sim_assert(t.s, t.a->pongs == before + 1);
    sim_free(t.s);
}

static void a_quick_root_restart_goes_unnoticed(void **state)
{
    struct trio t = trio_make(8);
    sim_block(t.a, t.b);
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    sim_stop(t.root);
    sim_run(t.s, 1000);
    sim_start(t.root);
    sim_run(t.s, 20000); /* a heartbeat fails, the HELLO after it does not */
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_has_pong, &t));
    assert_int_equal(t.a->events[ZT_EVENT_OFFLINE], 0);
    sim_free(t.s);
}

static void a_restarted_peer_is_direct_again_soon(void **state)
{
    struct trio t = trio_connected(9);
    sim_stop(t.b);
    sim_start(t.b);
    sim_run(t.s, 1000);
    t.a->pongs = 0;
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_has_pong, &t));
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_is_direct, &t));
    sim_free(t.s);
}

static void two_thousand_idle_seconds_are_quiet(void **state)
{
    struct trio t = trio_connected(10);
    uint64_t sent[3], ticks[3];
    struct sim_node *n[3] = {t.root, t.a, t.b};
    for (int i = 0; i < 3; i++) {
        sent[i] = n[i]->sent;
        ticks[i] = n[i]->ticks;
    }
    sim_run(t.s, 2000 * 1000);
    /* A leaf keeps its root: an ECHO each 14 s and a HELLO each minute, with the answers to the
     * root's; and for the first 500 s its peer. */
    for (int i = 0; i < 3; i++) {
        sim_assert(t.s, n[i]->sent - sent[i] < 600);
        sim_assert(t.s, n[i]->ticks - ticks[i] < 800);
        sim_assert(t.s, n[i]->events[ZT_EVENT_OFFLINE] == 0);
    }
    sim_assert(t.s, sim_online(t.a) && sim_online(t.b));
    sim_assert(t.s, !sim_is_direct(t.a, t.b)); /* let go of, since nobody used it */
    sim_free(t.s);
}

static void a_node_without_a_planet_is_silent(void **state)
{
    struct sim *s = sim_new(11);
    struct sim_node *a = sim_node(s, "9.0.0.2/9993");
    sim_start_all(s);
    sim_run(s, 3600 * 1000);
    assert_int_equal(a->sent, 0);
    sim_assert(s, a->ticks < 5 && !sim_online(a));
    sim_free(s);
}

static void large_packets_are_cut_evenly_and_joined(void **state)
{
    for (uint64_t seed = 30; seed < 40; seed++) {
        struct trio t = trio_connected(seed);
        sim_all_links(t.s, (struct sim_link){.delay_ms = 5, .jitter_ms = 20, .dup_permille = 300});
        uint8_t p[4000];
        for (size_t i = 0; i < sizeof p; i++)
            p[i] = (uint8_t)(i * 7);
        unsigned got = t.b->frames;
        for (int i = 0; i < 20; i++) {
            size_t n = 1500 + (size_t)i * 125;
            unsigned before = t.b->frames;
            p[0] = (uint8_t)i;
            sim_say(t.a, t.b, p, n);
            sim_run(t.s, 60);
            sim_assert(t.s, t.b->frames == before + 1);
            assert_int_equal(t.b->nlast_frame, n);
            assert_memory_equal(t.b->last_frame, p, n);
        }
        assert_int_equal(t.b->frames, got + 20); /* duplicates had no effect */
        sim_assert(t.s, sim_drops(t.b)->n[ZT_DROP_DUPLICATE] > 0);
        sim_free(t.s);
    }
}

static void large_packets_pass_the_relay(void **state)
{
    struct trio t = trio_make(41);
    sim_block(t.a, t.b);
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    uint8_t p[4000] = "?";
    sim_say(t.a, t.b, p, sizeof p);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_has_pong, &t));
    assert_int_equal(t.a->nlast_frame, sizeof p);
    sim_free(t.s);
}

static void a_root_tells_a_newer_planet(void **state)
{
    struct trio t = trio_make(42);
    sim_start(t.a);
    struct sim_node *second = sim_node(t.s, "9.0.0.4/9993");
    struct sim_node *roots[2] = {t.root, second};
    sim_planet(t.s, 2, roots, 2);
    sim_start(t.root);
    sim_start(second);
    sim_run(t.s, 2000);
    assert_int_equal(t.a->events[ZT_EVENT_PLANET], 1);
    assert_true(t.a->nplanet > 0);
    assert_int_equal(t.root->events[ZT_EVENT_PLANET], 0);
    struct zt_status_info info = {0};
    zt_vl1_status(t.a->vl1, &info);
    assert_int_equal(info.planet_timestamp_ms, 2);
    sim_assert(t.s, sim_is_direct(t.a, second)); /* it calls the new root too */
    sim_free(t.s);
}

static void two_roots_one_fails(void **state)
{
    struct trio t = {.s = sim_new(43)};
    t.root = sim_node(t.s, "9.0.0.1/9993");
    t.a = sim_node(t.s, "9.0.0.2/9993");
    t.b = sim_node(t.s, "9.0.0.3/9993");
    struct sim_node *roots[2] = {t.root, sim_node(t.s, "9.0.0.4/9993")};
    sim_planet(t.s, 1, roots, 2);
    sim_block(t.a, t.b);
    sim_start_all(t.s);
    sim_run_until(t.s, 2000, trio_is_online, &t);
    sim_stop(roots[0]);
    sim_run(t.s, 40000);
    t.a->pongs = 0;
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 2000, trio_has_pong, &t));
    assert_int_equal(t.a->events[ZT_EVENT_OFFLINE], 0);
    sim_free(t.s);
}

static void saved_peers_are_called_without_the_root(void **state)
{
    struct trio t = trio_connected(44);
    zt_vl1_save_peers(t.a->vl1);
    assert_int_equal(t.a->npeers, 2);
    sim_stop(t.root);
    sim_stop(t.a);
    sim_start(t.a);
    struct zt_now now = sim_now(t.s);
    for (unsigned i = 0; i < t.a->npeers; i++)
        assert_int_equal(zt_vl1_restore_peer(t.a->vl1, &now, t.a->peers[i].file, t.a->peers[i].n),
                         0);
    sim_assert(t.s, sim_run_until(t.s, 1000, trio_is_direct, &t));
    sim_free(t.s);
}

static void damaged_peer_files_are_refused(void **state)
{
    struct trio t = trio_connected(45);
    zt_vl1_save_peers(t.a->vl1);
    struct zt_now now = sim_now(t.s);
    uint8_t file[512];
    size_t n = t.a->peers[0].n;
    memcpy(file, t.a->peers[0].file, n);
    for (size_t k = 0; k < n; k++)
        assert_true(zt_vl1_restore_peer(t.b->vl1, &now, file, k) < 0);
    file[0] = 3;
    assert_true(zt_vl1_restore_peer(t.b->vl1, &now, file, n) < 0);
    sim_free(t.s);
}

static void loopback_planets_never_leave_the_machine(void **state)
{
    struct trio t = {.s = sim_new(46)};
    t.root = sim_node(t.s, "127.0.0.1/9993");
    t.a = sim_node(t.s, "127.0.0.1/9994");
    t.b = sim_node(t.s, "127.0.0.1/9995");
    struct sim_node *outside = sim_node(t.s, "9.0.0.9/9993");
    sim_planet(t.s, 1, &t.root, 1);
    sim_start_all(t.s);
    assert_int_equal(zt_vl1_underlay(t.a->vl1), ZT_UNDERLAY_LOOPBACK_ONLY);
    sim_assert(t.s, sim_run_until(t.s, 1000, trio_is_online, &t));
    sim_say(t.a, t.b, "?", 1);
    sim_assert(t.s, sim_run_until(t.s, 3000, trio_is_direct, &t));
    sim_say(t.a, outside, "?", 1);
    sim_run(t.s, 10000);
    assert_int_equal(sim_link(t.a, outside)->datagrams, 0);
    assert_int_equal(sim_link(t.root, outside)->datagrams, 0);
    sim_free(t.s);
}

static uint64_t busy_run(uint64_t seed)
{
    struct trio t = trio_make(seed);
    sim_all_links(t.s,
                  (struct sim_link){
                      .delay_ms = 10, .jitter_ms = 40, .loss_permille = 100, .dup_permille = 100});
    sim_start_all(t.s);
    for (int i = 0; i < 100; i++) {
        sim_say(t.a, t.b, "?abc", 4);
        sim_run(t.s, 77);
    }
    uint64_t hash = sim_hash(t.s);
    sim_free(t.s);
    return hash;
}

static void same_seed_same_run(void **state)
{
    assert_true(busy_run(50) == busy_run(50));
    if (getenv("ZT_SIM_SEED") == NULL)
        assert_true(busy_run(50) != busy_run(51));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(online_in_one_round_trip),
        cmocka_unit_test(a_lost_first_hello_costs_a_tenth_of_a_second),
        cmocka_unit_test(first_contact_goes_through_the_root),
        cmocka_unit_test(a_packet_sent_before_being_online_waits),
        cmocka_unit_test(rendezvous_brings_a_direct_path),
        cmocka_unit_test(blocked_nodes_stay_relayed),
        cmocka_unit_test(a_dead_peer_is_told_of_when_its_time_is_over),
        cmocka_unit_test(a_dead_root_is_told_of_and_when_it_is_back),
        cmocka_unit_test(a_broken_direct_path_falls_back_to_the_relay),
        cmocka_unit_test(ping_pong_survives_30_percent_loss),
        cmocka_unit_test(peers_recover_from_a_root_restart),
        cmocka_unit_test(a_quick_root_restart_goes_unnoticed),
        cmocka_unit_test(a_restarted_peer_is_direct_again_soon),
        cmocka_unit_test(two_thousand_idle_seconds_are_quiet),
        cmocka_unit_test(a_node_without_a_planet_is_silent),
        cmocka_unit_test(large_packets_are_cut_evenly_and_joined),
        cmocka_unit_test(large_packets_pass_the_relay),
        cmocka_unit_test(a_root_tells_a_newer_planet),
        cmocka_unit_test(two_roots_one_fails),
        cmocka_unit_test(saved_peers_are_called_without_the_root),
        cmocka_unit_test(damaged_peer_files_are_refused),
        cmocka_unit_test(loopback_planets_never_leave_the_machine),
        cmocka_unit_test(same_seed_same_run),
    };
    return cmocka_run_group_tests_name("sim vl1", tests, NULL, NULL);
}
