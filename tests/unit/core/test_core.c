/* Construction and the combined deadline; what the core does among other nodes is in tests/sim. */
#include "ztest.h"

#include "base/err.h"
#include "core/core.h"
#include "crypto/identity.h"

static const char text[] =
    "8e4df28b72:0:ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843fa2e16f9418bbd97"
    "02cae365f2af5fb4c420908b803a681d4daef6114d78a2d7:bd8dd6e4ce7022d2f812797a80c6ee8ad180dc4ebf30"
    "1dec8b06d1be08832bddd63a2f1cfa7b2c504474c75bdc8898ba476ef92e8e2d0509f8441985171ff16e";

static unsigned sent;

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    sent++;
}

static void on_deliver(void *user, uint64_t nwid, const uint8_t *eth, size_t n)
{
}

static void on_random(void *user, void *p, size_t n)
{
    memset(p, 7, n);
}

static bool on_check(void *user, const struct zt_identity *id)
{
    return false;
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
}

static void on_event(void *user, const struct zt_event *ev)
{
}

static const struct zt_host host = {.send = on_send,
                                    .deliver = on_deliver,
                                    .random = on_random,
                                    .save = on_save,
                                    .event = on_event,
                                    .check_identity = on_check};

static struct zt_identity identity(void)
{
    struct zt_identity id;
    assert_int_equal(zt_crypto_init(), 0);
    assert_int_equal(zt_identity_parse(text, strlen(text), &id), 0);
    return id;
}

static void it_refuses_a_public_identity_and_a_broken_planet(void **state)
{
    struct zt_identity id = identity();
    struct zt_now now = {.mono_ms = 5, .wall_ms = 5};
    struct zt_core *c = NULL;
    struct zt_core_config cfg = {.identity = &id, .host = &host};
    cfg.planet = (const uint8_t *)"\x01garbage";
    cfg.nplanet = 8;
    assert_int_equal(zt_core_new(&cfg, &now, &c), ZT_E_FORMAT);
    id.has_priv = false;
    cfg.planet = NULL;
    cfg.nplanet = 0;
    assert_int_equal(zt_core_new(&cfg, &now, &c), ZT_E_INVAL);
    assert_null(c);
    zt_core_free(NULL);
}

static void without_a_planet_it_rests(void **state)
{
    struct zt_identity id = identity();
    struct zt_now now = {.mono_ms = 5, .wall_ms = 5};
    struct zt_core *c = NULL;
    assert_int_equal(
        zt_core_new(&(struct zt_core_config){.identity = &id, .host = &host}, &now, &c), 0);
    assert_true(zt_core_deadline(c) <= now.mono_ms); /* the first tick starts it */
    sent = 0;
    for (int ticks = 0; zt_core_deadline(c) < 5 + 3600000; ticks++) {
        assert_in_range(ticks, 0, 1000);
        if (zt_core_deadline(c) > now.mono_ms)
            now.mono_ms = zt_core_deadline(c);
        zt_core_tick(c, &now);
    }
    assert_int_equal(sent, 0);
    assert_false(zt_core_online(c));
    struct zt_status_info info;
    zt_core_status(c, &info);
    assert_int_equal(info.addr, id.addr);
    assert_int_equal(info.nroots, 0);
    assert_int_equal(info.npeers, 0);
    zt_core_free(c);
}

static void every_refusal_is_in_one_set_of_counters(void **state)
{
    struct zt_identity id = identity();
    struct zt_now now = {.mono_ms = 5, .wall_ms = 5};
    struct zt_core *c = NULL;
    assert_int_equal(
        zt_core_new(&(struct zt_core_config){.identity = &id, .host = &host}, &now, &c), 0);
    uint8_t p[64] = {0};
    struct zt_link in = {.ep = {.family = 4, .port = 1, .ip = {9, 0, 0, 1}}};
    zt_core_datagram(c, &now, &in, p, 3); /* vl1 */
    uint8_t eth[ZT_FRAME_HEADROOM + 64] = {0};
    assert_true(zt_core_frame(c, &now, 0x1234, eth + ZT_FRAME_HEADROOM, 64) < 0); /* vl2 */
    assert_int_equal(zt_core_drops(c)->n[ZT_DROP_SHORT], 1);
    assert_int_equal(zt_core_drops(c)->n[ZT_DROP_NOT_JOINED], 1);
    zt_core_free(c);
}

/* Both halves are reached through the one object; what they do is tested where they are. */
static void what_it_passes_on(void **state)
{
    struct zt_identity id = identity();
    struct zt_now now = {.mono_ms = 5, .wall_ms = 5};
    struct zt_core *c = NULL;
    const uint64_t nwid = 0xff0a000000000001;
    assert_int_equal(
        zt_core_new(&(struct zt_core_config){.identity = &id, .host = &host}, &now, &c), 0);
    zt_core_configure(c, &now, &(struct zt_settings){.suites = ZT_SUITES_SALSA});
    assert_true(zt_identity_equal(zt_core_identity(c), &id));
    assert_int_equal(zt_core_underlay(c), ZT_UNDERLAY_NORMAL);

    struct zt_ep ep = {.family = 4, .port = 9993, .ip = {9, 0, 0, 1}};
    zt_core_set_local(c, &now, &ep, 1);
    zt_core_socket_gone(c, &now, 0);
    assert_int_equal(zt_core_surface(c, &now, &ep, 1), 0);
    assert_int_equal(zt_core_send_message(c, &now, id.addr, 70000, (const uint8_t *)"x", 1), ZT_E_INVAL);

    struct zt_moon_info moon;
    assert_int_equal(zt_core_orbit(c, &now, 0x11, 0x1122334455), 0);
    assert_int_equal(zt_core_moon(c, 0x11, &moon), 0);
    assert_true(moon.is_waiting && moon.seed == 0x1122334455);
    assert_int_equal(zt_core_deorbit(c, &now, 0x11), 0);
    assert_int_equal(zt_core_deorbit(c, &now, 0x11), ZT_E_NOENT);

    struct zt_group_info group;
    struct zt_net_auth auth;
    assert_int_equal(zt_core_join(c, &now, nwid, NULL, 0), 0);
    assert_int_equal(zt_core_subscribe(c, &now, nwid, 0x01005e000001, 7), 0);
    assert_int_equal(zt_core_groups(c, nwid, &group, 1), 1);
    assert_true(group.mac == 0x01005e000001 && group.adi == 7);
    assert_int_equal(zt_core_unsubscribe(c, nwid, 0x01005e000001, 7), 0);
    assert_int_equal(zt_core_groups(c, nwid, &group, 1), 0);
    assert_int_equal(zt_core_auth(c, nwid, &auth), ZT_E_NOENT);

    struct zt_table_info t[ZT_INFO_TABLES];
    size_t n = zt_core_tables(c, t);
    bool has_networks = false;
    assert_in_range(n, 10, ZT_INFO_TABLES);
    for (size_t i = 0; i < n; i++) {
        assert_true(t[i].used <= t[i].bound);
        has_networks |= strcmp(t[i].name, "networks") == 0 && t[i].used == 1;
    }
    assert_true(has_networks);
    zt_core_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_refuses_a_public_identity_and_a_broken_planet),
        cmocka_unit_test(without_a_planet_it_rests),
        cmocka_unit_test(what_it_passes_on),
        cmocka_unit_test(every_refusal_is_in_one_set_of_counters),
    };
    return cmocka_run_group_tests_name("core/core", tests, NULL, NULL);
}
