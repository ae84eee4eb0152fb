#include "ztest.h"

#include "vl1/path.h"
#include "vl1/peer.h"
#include "vl1/state.h"

static struct zt_link at(const char *ep)
{
    struct zt_link link = {0};
    assert_int_equal(zt_ep_parse(ep, &link.ep), 0);
    return link;
}

static void quality_follows_latency_age_and_scope(void **state)
{
    struct zt_path path;
    struct zt_link global = at("9.0.0.1/1"), private = at("10.0.0.1/1");
    zt_path_init(&path, &global, 1000);
    zt_path_latency(&path, 20, false);
    assert_int_equal(zt_path_quality(&path, 1000), 20 * 4);
    assert_int_equal(zt_path_quality(&path, 1000 + 18999), 20 * 4);
    assert_int_equal(zt_path_quality(&path, 1000 + 19000), (20 + 65535 + 19000) * 4);
    assert_int_equal(zt_path_quality(&path, 1000 + 900000), (20 + 65535 + 140000) * 4);
    zt_path_init(&path, &private, 1000);
    assert_int_equal(zt_path_quality(&path, 1000), 65535);
}

static void latency_is_a_running_mean(void **state)
{
    struct zt_path path;
    struct zt_link link = at("9.0.0.1/1");
    zt_path_init(&path, &link, 0);
    zt_path_latency(&path, 100, false);
    assert_int_equal(path.latency_ms, 100);
    zt_path_latency(&path, 51, false);
    assert_int_equal(path.latency_ms, 75);
    zt_path_latency(&path, -5, false); /* the wall clock was set */
    zt_path_latency(&path, 1000000, false);
    assert_int_equal(path.latency_ms, 75);
}

static void a_path_expires_243_s_after_it_was_heard(void **state)
{
    struct zt_path path;
    struct zt_link link = at("9.0.0.1/1");
    zt_path_init(&path, &link, 1000);
    assert_true(zt_path_usable(&path, 1000 + 242999));
    assert_false(zt_path_usable(&path, 1000 + 243000));
    zt_path_heard(&path, 1000 + 242999);
    assert_true(zt_path_usable(&path, 1000 + 243000));
    path.silent = true;
    assert_false(zt_path_usable(&path, 243000));
    zt_path_heard(&path, 243000);
    assert_true(zt_path_usable(&path, 243000));
}

static void best_path_is_the_least_quality_and_the_later_of_equals(void **state)
{
    static struct zt_peer peer;
    struct zt_path room[4];
    memset(&peer, 0, sizeof peer);
    peer.paths = room;
    assert_null(zt_peer_best(&peer, 0, true));
    const char *eps[4] = {"9.0.0.1/1", "10.0.0.1/1", "10.0.0.2/1", "9.0.0.2/1"};
    for (unsigned i = 0; i < 4; i++) {
        struct zt_link link = at(eps[i]);
        zt_path_init(&peer.paths[peer.npaths++], &link, 0);
        zt_path_latency(&peer.paths[i], 10, false);
    }
    assert_ptr_equal(zt_peer_best(&peer, 0, false), &peer.paths[2]);
    peer.paths[2].silent = true;
    assert_ptr_equal(zt_peer_best(&peer, 0, false), &peer.paths[1]);
    assert_ptr_equal(zt_peer_best(&peer, 0, true), &peer.paths[2]);
    assert_null(zt_peer_best(&peer, 500000, false));
    assert_non_null(zt_peer_best(&peer, 500000, true));
}

static bool is_10_147(void *user, const struct zt_ep *ep)
{
    return ep->family == 4 && ep->ip[0] == 10 && ep->ip[1] == 147;
}

static void the_filter_admits_what_may_become_a_path(void **state)
{
    struct zt_vl1 *v = calloc(1, sizeof *v);
    static struct zt_peer peer;
    memset(&peer, 0, sizeof peer);
    assert_non_null(v);
    v->upper.is_virtual = is_10_147;
    const struct {
        const char *ep;
        bool allowed[3]; /* by enum zt_underlay */
    } rows[] = {
        {"9.0.0.1/1", {true, true, false}},       {"10.0.0.1/1", {true, true, false}},
        {"10.147.0.1/1", {false, false, false}}, /* our own network */
        {"100.64.0.1/1", {true, true, false}},    {"127.0.0.1/1", {false, true, true}},
        {"169.254.0.1/1", {false, false, false}}, {"224.0.0.1/1", {false, false, false}},
        {"0.0.0.0/1", {false, false, false}},     {"255.255.255.255/1", {false, false, false}},
        {"9.0.0.1/0", {false, false, false}},     {"::1/1", {false, true, true}},
        {"fe80::2/1", {false, false, false}},     {"fd00::1/1", {true, true, false}},
        {"2001:db8::1/1", {true, true, false}},   {"2001:470::1/1", {false, false, false}},
        {"ff02::1/1", {false, false, false}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int u = 0; u < 3; u++) {
            struct zt_link link = at(rows[i].ep);
            v->roots.underlay = (enum zt_underlay)u;
            if (zt_path_allowed(v, &peer, &link.ep) != rows[i].allowed[u])
                fail_msg("%s, underlay %d", rows[i].ep, u);
        }
    assert_false(zt_path_allowed(v, &peer, &(struct zt_ep){0}));

    /* An upstream: only the addresses in the planet, whatever the port. */
    v->roots.underlay = ZT_UNDERLAY_NORMAL;
    v->roots.planet.nroots = 1;
    v->roots.planet.roots[0].id.addr = peer.id.addr = 0x1234567890;
    v->roots.planet.roots[0].neps = 1;
    v->roots.planet.roots[0].eps[0] = at("9.0.0.1/9993").ep;
    peer.is_upstream = true;
    struct zt_link here = at("9.0.0.1/777"), there = at("9.0.0.2/9993");
    assert_true(zt_path_allowed(v, &peer, &here.ep));
    assert_false(zt_path_allowed(v, &peer, &there.ep));
    v->roots.planet.roots[0].eps[0] = at("10.147.0.1/9993").ep; /* no network talks us out of it */
    struct zt_link home = at("10.147.0.1/9993");
    assert_true(zt_path_allowed(v, &peer, &home.ep));
    v->roots.planet.roots[0].neps = 0; /* an empty list allows any */
    assert_true(zt_path_allowed(v, &peer, &there.ep));
    free(v);
}

static void links_differ_by_socket_and_endpoint(void **state)
{
    struct zt_link a = at("9.0.0.1/1"), b = at("9.0.0.1/2"), c = a;
    c.sock = 1;
    assert_true(zt_link_equal(&a, &a));
    assert_false(zt_link_equal(&a, &b));
    assert_false(zt_link_equal(&a, &c));
    assert_true(zt_link_hash(&a) != zt_link_hash(&b));
    assert_true(zt_link_hash(&a) != zt_link_hash(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quality_follows_latency_age_and_scope),
        cmocka_unit_test(latency_is_a_running_mean),
        cmocka_unit_test(a_path_expires_243_s_after_it_was_heard),
        cmocka_unit_test(best_path_is_the_least_quality_and_the_later_of_equals),
        cmocka_unit_test(the_filter_admits_what_may_become_a_path),
        cmocka_unit_test(links_differ_by_socket_and_endpoint),
    };
    return cmocka_run_group_tests_name("vl1/path", tests, NULL, NULL);
}
