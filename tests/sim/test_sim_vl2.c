/* Whole cores: frames over ad-hoc networks, which need no controller. */
#include "scene.h"

#include "base/err.h"

#define NET_A 0xff00160050000000u /* form A, ports 22 to 80 */
#define NET_B 0xff0a000000000001u /* form B, 10.0.0.0/8 */
#define ETH 14

static struct trio cores(uint64_t seed, uint64_t nwid)
{
    struct trio t = trio_make(seed);
    sim_with_core(t.s);
    sim_start_all(t.s);
    struct zt_now now = sim_now(t.s);
    assert_int_equal(zt_core_join(t.a->core, &now, nwid, NULL, 0), 0);
    assert_int_equal(zt_core_join(t.b->core, &now, nwid, NULL, 0), 0);
    return t;
}

static int send_frame(struct sim_node *from, uint64_t nwid, uint64_t to_mac, uint16_t type,
                      const uint8_t *body, size_t n)
{
    struct zt_now now = sim_now(from->sim);
    uint8_t p[ZT_FRAME_HEADROOM + ETH + 3000], *eth = p + ZT_FRAME_HEADROOM;
    assert_true(n <= 3000);
    zt_put48(eth, to_mac);
    zt_put48(eth + 6, zt_mac_of(from->id.addr, nwid));
    zt_put16(eth + 12, type);
    memcpy(eth + ETH, body, n);
    return zt_core_frame(from->core, &now, nwid, eth, ETH + n);
}

/* IPv6 and UDP headers; nothing on the way looks at the checksum. */
static size_t udp6(uint64_t nwid, struct sim_node *from, struct sim_node *to, uint16_t port,
                   const char *text, size_t n, uint8_t *p)
{
    struct zt_ep src = zt_ep_6plane(nwid, from->id.addr), dst = zt_ep_6plane(nwid, to->id.addr);
    memset(p, 0, 48);
    p[0] = 0x60;
    zt_put16(p + 4, (uint16_t)(8 + n));
    p[6] = 17;
    p[7] = 64;
    memcpy(p + 8, src.ip, 16);
    memcpy(p + 24, dst.ip, 16);
    zt_put16(p + 40, 5000);
    zt_put16(p + 42, port);
    zt_put16(p + 44, (uint16_t)(8 + n));
    memcpy(p + 48, text, n);
    return 48 + n;
}

static void form_a_has_its_configuration_at_once(void **state)
{
    struct trio t = cores(1, NET_A);
    struct zt_net_info info;
    assert_int_equal(zt_core_network(t.a->core, NET_A, &info), 0);
    assert_int_equal(info.status, ZT_NET_OK);
    assert_int_equal(info.mac, zt_mac_of(t.a->id.addr, NET_A));
    assert_int_equal(info.naddrs, 1);
    struct zt_ep plane = zt_ep_6plane(NET_A, t.a->id.addr);
    assert_true(zt_ep_equal(&info.addrs[0], &plane));
    sim_free(t.s);
}

static bool b_has_frame(void *user)
{
    return ((struct trio *)user)->b->frames > 0;
}

static bool a_has_frame(void *user)
{
    return ((struct trio *)user)->a->frames > 0;
}

static void form_a_carries_unicast_and_becomes_direct(void **state)
{
    struct trio t = cores(2, NET_A);
    uint8_t p[3000];
    size_t n = udp6(NET_A, t.a, t.b, 80, "hello", 5, p);
    assert_int_equal(send_frame(t.a, NET_A, zt_mac_of(t.b->id.addr, NET_A), 0x86dd, p, n), 0);
    sim_assert(t.s, sim_run_until(t.s, 2000, b_has_frame, &t));
    assert_int_equal(t.b->nlast_frame, ETH + n);
    assert_memory_equal(t.b->last_frame + ETH, p, n);
    assert_int_equal(zt_be48(t.b->last_frame), zt_mac_of(t.b->id.addr, NET_A));
    assert_int_equal(zt_be48(t.b->last_frame + 6), zt_mac_of(t.a->id.addr, NET_A));
    sim_assert(t.s, sim_run_until(t.s, 3000, trio_is_direct, &t));

    uint64_t relayed = sim_link(t.a, t.root)->bytes;
    static char text[2700];
    n = udp6(NET_A, t.a, t.b, 80, text, sizeof text, p);
    unsigned before = t.b->frames;
    assert_int_equal(send_frame(t.a, NET_A, zt_mac_of(t.b->id.addr, NET_A), 0x86dd, p, n), 0);
    sim_run(t.s, 100);
    assert_int_equal(t.b->frames, before + 1);
    assert_int_equal(t.b->nlast_frame, ETH + n);
    assert_int_equal(sim_link(t.a, t.root)->bytes, relayed);
    sim_free(t.s);
}

/* The first packet of a TCP connection. */
static size_t syn6(struct sim_node *from, struct sim_node *to, uint16_t port, uint8_t *p)
{
    size_t n = udp6(NET_A, from, to, port, "", 0, p);
    p[6] = 6;
    zt_put16(p + 4, 20);
    memset(p + n, 0, 12);
    p[40 + 12] = 5 << 4;
    p[40 + 13] = 0x02;
    return 60;
}

static void form_a_lets_in_only_its_ports(void **state)
{
    struct trio t = cores(3, NET_A);
    uint64_t mac = zt_mac_of(t.b->id.addr, NET_A);
    uint8_t p[3000];
    size_t n = syn6(t.a, t.b, 81, p);
    (void)send_frame(t.a, NET_A, mac, 0x86dd, p, n);
    sim_run(t.s, 3000);
    assert_int_equal(t.b->frames, 0);
    assert_int_equal(sim_drops(t.a)->n[ZT_DROP_RULES_OUT], 1);
    n = syn6(t.a, t.b, 80, p);
    assert_int_equal(send_frame(t.a, NET_A, mac, 0x86dd, p, n), 0);
    sim_assert(t.s, sim_run_until(t.s, 2000, b_has_frame, &t));
    sim_free(t.s);
}

static void nodes_that_did_not_join_see_nothing(void **state)
{
    struct trio t = cores(4, NET_A);
    struct zt_now now = sim_now(t.s);
    assert_int_equal(zt_core_leave(t.b->core, &now, NET_A), 0);
    uint8_t p[3000];
    size_t n = udp6(NET_A, t.a, t.b, 80, "hello", 5, p);
    (void)send_frame(t.a, NET_A, zt_mac_of(t.b->id.addr, NET_A), 0x86dd, p, n);
    sim_run(t.s, 3000);
    assert_int_equal(t.b->frames, 0);
    sim_assert(t.s, sim_drops(t.b)->n[ZT_DROP_NOT_JOINED] > 0);
    sim_free(t.s);
}

static void arp(struct sim_node *from, const uint8_t *target, uint16_t op, uint64_t to_mac,
                uint8_t p[28])
{
    struct zt_net_info info;
    assert_int_equal(zt_core_network(from->core, NET_B, &info), 0);
    zt_put16(p, 1);
    zt_put16(p + 2, 0x0800);
    p[4] = 6;
    p[5] = 4;
    zt_put16(p + 6, op);
    zt_put48(p + 8, zt_mac_of(from->id.addr, NET_B));
    memcpy(p + 14, info.addrs[1].ip, 4);
    zt_put48(p + 18, to_mac);
    memcpy(p + 24, target, 4);
}

static void form_b_resolves_by_arp_broadcast(void **state)
{
    struct trio t = cores(5, NET_B);
    struct zt_now now = sim_now(t.s);
    struct zt_net_info a, b;
    assert_int_equal(zt_core_network(t.a->core, NET_B, &a), 0);
    assert_int_equal(zt_core_network(t.b->core, NET_B, &b), 0);
    assert_int_equal(b.naddrs, 2);
    assert_int_equal(b.addrs[1].family, 4);
    uint64_t group;
    uint32_t adi;
    zt_resolution_group(&b.addrs[1], &group, &adi);
    assert_int_equal(zt_core_subscribe(t.b->core, &now, NET_B, group, adi), 0);
    sim_run(t.s, 2000); /* b tells the root what it listens to */

    uint8_t p[28];
    arp(t.a, b.addrs[1].ip, 1, 0, p);
    assert_int_equal(send_frame(t.a, NET_B, ZT_MAC_BROADCAST, 0x0806, p, sizeof p), 0);
    sim_assert(t.s, sim_run_until(t.s, 3000, b_has_frame, &t));
    assert_int_equal(t.b->nlast_frame, ETH + sizeof p);
    assert_memory_equal(t.b->last_frame + ETH, p, sizeof p);
    assert_int_equal(zt_be48(t.b->last_frame), ZT_MAC_BROADCAST);

    arp(t.b, a.addrs[1].ip, 2, zt_mac_of(t.a->id.addr, NET_B), p);
    assert_int_equal(send_frame(t.b, NET_B, zt_mac_of(t.a->id.addr, NET_B), 0x0806, p, sizeof p),
                     0);
    sim_assert(t.s, sim_run_until(t.s, 2000, a_has_frame, &t));
    assert_memory_equal(t.a->last_frame + ETH, p, sizeof p);
    sim_free(t.s);
}

static void form_b_resolves_under_loss_by_trying_again(void **state)
{
    for (uint64_t seed = 60; seed < 70; seed++) {
        struct trio t = trio_make(seed);
        sim_with_core(t.s);
        sim_all_links(t.s,
                      (struct sim_link){.delay_ms = 20, .jitter_ms = 30, .loss_permille = 200});
        sim_start_all(t.s);
        struct zt_now now = sim_now(t.s);
        zt_core_join(t.a->core, &now, NET_B, NULL, 0);
        zt_core_join(t.b->core, &now, NET_B, NULL, 0);
        struct zt_net_info b;
        assert_int_equal(zt_core_network(t.b->core, NET_B, &b), 0);
        uint64_t group;
        uint32_t adi;
        zt_resolution_group(&b.addrs[1], &group, &adi);
        zt_core_subscribe(t.b->core, &now, NET_B, group, adi);
        uint8_t p[28];
        for (int i = 0; i < 90 && !b_has_frame(&t); i++) { /* an ARP each second */
            arp(t.a, b.addrs[1].ip, 1, 0, p);
            (void)send_frame(t.a, NET_B, ZT_MAC_BROADCAST, 0x0806, p, sizeof p);
            sim_run(t.s, 1000);
        }
        sim_assert(t.s, b_has_frame(&t));
        sim_free(t.s);
    }
}

static void idle_members_are_quiet(void **state)
{
    struct trio t = cores(6, NET_B);
    sim_run(t.s, 10000);
    struct sim_node *n[3] = {t.root, t.a, t.b};
    uint64_t sent[3], ticks[3];
    for (int i = 0; i < 3; i++) {
        sent[i] = n[i]->sent;
        ticks[i] = n[i]->ticks;
    }
    sim_run(t.s, 2000 * 1000);
    for (int i = 0; i < 3; i++) {
        sim_assert(t.s, n[i]->sent - sent[i] < 1000);
        sim_assert(t.s, n[i]->ticks - ticks[i] < 1500);
    }
    sim_free(t.s);
}

static void the_core_passes_everything_on(void **state)
{
    struct trio t = cores(7, NET_A);
    sim_assert(t.s, sim_run_until(t.s, 1000, trio_is_online, &t));
    struct zt_status_info info;
    zt_core_status(t.a->core, &info);
    assert_int_equal(info.addr, t.a->id.addr);
    assert_true(info.online && !info.is_root);
    assert_int_equal(info.nroots, 1);
    assert_int_equal(info.nnetworks, 1);
    assert_int_equal(info.npeers, 1);
    assert_true(info.packets_in > 0 && info.packets_out > 0 && info.bytes_out > 100);
    zt_core_status(t.root->core, &info);
    assert_true(info.online && info.is_root);
    uint64_t addr = 0, nwid = 0;
    assert_int_equal(zt_core_peers(t.a->core, &addr, 1), 1);
    assert_int_equal(addr, t.root->id.addr);
    assert_int_equal(zt_core_networks(t.a->core, &nwid, 1), 1);
    assert_true(nwid == NET_A);
    struct zt_now now = sim_now(t.s);
    struct zt_peer_info peer;
    assert_int_equal(zt_core_peer(t.a->core, &now, addr, &peer), 0);
    assert_int_equal(peer.role, ZT_ROLE_PLANET);
    assert_int_equal(peer.version_proto, 12);
    assert_int_equal(peer.npaths, 1);
    assert_int_equal(peer.latency_ms, 50); /* 10 ms each way and 30 for the check */
    assert_int_equal(zt_core_peer(t.a->core, &now, 0x1234567890, &peer), ZT_E_NOENT);
    assert_int_equal(zt_core_underlay(t.a->core), ZT_UNDERLAY_NORMAL);
    zt_core_save_peers(t.a->core);
    assert_int_equal(t.a->npeers, 1);
    assert_int_equal(zt_core_restore_peer(t.b->core, &now, t.a->peers[0].file, t.a->peers[0].n), 0);
    assert_int_equal(zt_core_leave(t.a->core, &now, NET_A), 0);
    assert_int_equal(zt_core_leave(t.a->core, &now, NET_A), ZT_E_NOENT);
    sim_free(t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(form_a_has_its_configuration_at_once),
        cmocka_unit_test(form_a_carries_unicast_and_becomes_direct),
        cmocka_unit_test(form_a_lets_in_only_its_ports),
        cmocka_unit_test(nodes_that_did_not_join_see_nothing),
        cmocka_unit_test(form_b_resolves_by_arp_broadcast),
        cmocka_unit_test(form_b_resolves_under_loss_by_trying_again),
        cmocka_unit_test(idle_members_are_quiet),
        cmocka_unit_test(the_core_passes_everything_on),
    };
    return cmocka_run_group_tests_name("sim vl2", tests, NULL, NULL);
}
