/* The controller role with a scripted store: who gets in, what members get, what follows from
 * changes, and that nothing leaves which the store doesn't hold. Members are whole VL2 nodes. */

#include "fake_vl1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "vl2/controller_priv.h"
#include "vl2/network.h"
#include "vl2/rules.h"

#define CTL 0x89e92ceee5u
#define NWID 0x89e92ceee5abcd52u
#define A 0x1122334455u
#define B 0x360273b27fu
#define C 0x5fa38da9deu

static struct zt_identity identity;
static struct zt_vl1 *ctl_node, *a, *b, *c;
static struct zt_controller *ctl;

/* What the store was told. */
static struct {
    bool is_slow; /* nothing is safe until stored() */
    unsigned puts, fields;
    enum zt_ctl_credential credential;
    char token[64];
    struct zt_ctl_member last; /* lists not copied */
} store;

static void put_member(void *user, const struct zt_ctl_member *m, unsigned fields,
                       enum zt_ctl_credential credential, const char *token)
{
    assert_int_not_equal(fields, 0);
    store.puts++;
    store.fields = fields;
    store.credential = credential;
    snprintf(store.token, sizeof store.token, "%s", token != NULL ? token : "");
    store.last = *m;
}

static bool is_stored(void *user, uint64_t nwid, uint64_t addr)
{
    return !store.is_slow;
}

static void numbers(void *user, void *out, size_t n)
{
    memset(out, 0x5a, n);
    (*(uint8_t *)user)++;
    ((uint8_t *)out)[0] = *(uint8_t *)user;
}

static int setup(void **state)
{
    uint8_t seed = 0;
    fake_begin();
    zt_crypto_init();
    memset(&store, 0, sizeof store);
    zt_keypair_generate(numbers, &seed, &identity);
    identity.addr = CTL;
    ctl_node = fake_node_with(&identity);
    a = fake_node(A);
    b = fake_node(B);
    c = fake_node(C);
    const struct zt_controller_store s = {.put_member = put_member, .is_stored = is_stored};
    assert_int_equal(zt_vl2_control(ctl_node->vl2, &s, &ctl), 0);
    return 0;
}

static int teardown(void **state)
{
    fake_end();
    return 0;
}

/* ---- networks and members ---- */

/* Lists of a network, at the largest sizes that tests need. */
struct lists {
    struct zt_route routes[8];
    struct zt_ctl_pool pools[4];
    struct zt_ctl_cap caps[2];
    struct zt_ctl_tag tags[2];
    struct zt_ctl_token tokens[2];
    uint8_t rules[ZT_RULES_MAX * 21];
};

static const uint8_t accept_rule[] = {ZT_RULE_ACTION_ACCEPT, 0};

/* A private network without addresses; its lists are l. */
static struct zt_ctl_network network(struct lists **l)
{
    *l = calloc(1, sizeof **l);
    assert_non_null(*l);
    memcpy((*l)->rules, accept_rule, 2);
    return (struct zt_ctl_network){
        .nwid = NWID,
        .revision = 3,
        .is_private = true,
        .broadcast = true,
        .mtu = 2800,
        .multicast_limit = 32,
        .window_ms = 1800000,
        .name = "unit",
        .routes = (*l)->routes,
        .pools = (*l)->pools,
        .caps = (*l)->caps,
        .tags = (*l)->tags,
        .tokens = (*l)->tokens,
        .rules = {(*l)->rules, 2},
        .nrules = 1,
        .block = *l,
    };
}

static struct zt_ep ep(const char *text)
{
    struct zt_ep out;
    assert_int_equal(zt_ep_parse(text, &out), 0);
    return out;
}

static void add_route(struct zt_ctl_network *n, const char *target, const char *via)
{
    n->routes[n->nroutes++] =
        (struct zt_route){.target = ep(target), .via = via != NULL ? ep(via) : (struct zt_ep){0}};
}

static void add_pool(struct zt_ctl_network *n, const char *start, const char *end)
{
    n->pools[n->npools++] = (struct zt_ctl_pool){ep(start), ep(end)};
}

static void set_network(struct zt_ctl_network n)
{
    assert_int_equal(zt_controller_set_network(ctl, &fake_now, &n), 0);
}

static void plain_network(void)
{
    struct lists *l;
    set_network(network(&l));
}

/* 10.147.20.1 to .254, as in the recorded example. */
static struct zt_ctl_network with_pool(struct lists **l)
{
    struct zt_ctl_network n = network(l);
    add_route(&n, "10.147.20.0/24", NULL);
    add_pool(&n, "10.147.20.1", "10.147.20.254");
    n.v4_pools = true;
    return n;
}

static struct zt_ctl_member copy_of(uint64_t addr)
{
    const struct zt_ctl_member *old = zt_controller_member(ctl, NWID, addr);
    struct zt_ctl_member m;
    if (old == NULL) {
        zt_ctl_member_init(&m, NWID, addr);
        return m;
    }
    m = *old;
#define COPY(list, n)                                    \
    if (m.n > 0) {                                       \
        m.list = malloc(m.n * sizeof *m.list);           \
        assert_non_null(m.list);                         \
        memcpy(m.list, old->list, m.n * sizeof *m.list); \
    }
    COPY(ips, nips)
    COPY(caps, ncaps)
    COPY(tags, ntags)
#undef COPY
    return m;
}

static void set_member(struct zt_ctl_member m)
{
    assert_int_equal(zt_controller_set_member(ctl, &fake_now, &m), 0);
}

static void authorize(uint64_t addr, bool yes)
{
    struct zt_ctl_member m = copy_of(addr);
    m.authorized = yes;
    set_member(m);
}

static void member_with_ips(uint64_t addr, const char *const *ips, unsigned n)
{
    struct zt_ctl_member m = copy_of(addr);
    free(m.ips);
    m.authorized = true;
    m.nips = n;
    m.ips = calloc(n + 1, sizeof *m.ips);
    for (unsigned i = 0; i < n; i++)
        m.ips[i] = ep(ips[i]);
    set_member(m);
}

/* ---- members as nodes ---- */

static void join(struct zt_vl1 *n)
{
    assert_int_equal(zt_vl2_join(n->vl2, &fake_now, NWID, NULL, 0), 0);
    fake_run(10);
}

static struct zt_net_info info(const struct zt_vl1 *n)
{
    struct zt_net_info i;
    assert_int_equal(zt_vl2_network(n->vl2, NWID, &i), 0);
    return i;
}

static enum zt_net_status status(const struct zt_vl1 *n)
{
    return info(n).status;
}

static struct zt_network *net_of(const struct zt_vl1 *n)
{
    return zt_network_find(n->vl2, NWID);
}

static bool has_address(const struct zt_vl1 *n, const char *text)
{
    struct zt_net_info i = info(n);
    struct zt_ep want = ep(text);
    for (unsigned k = 0; k < i.naddrs; k++)
        if (zt_ep_equal(&i.addrs[k], &want))
            return true;
    return false;
}

/* A request as any software may send it. */
static enum zt_verdict ask(uint64_t from, uint64_t nwid, const char *meta)
{
    uint8_t p[2048];
    struct zt_wr w = zt_wr(p, sizeof p);
    zt_wr_u64(&w, nwid);
    zt_wr_u16(&w, (uint16_t)strlen(meta));
    zt_wr_bytes(&w, meta, strlen(meta));
    zt_wr_u64(&w, 0);
    zt_wr_u64(&w, 0);
    return fake_inject(ctl_node, from, ZT_VERB_NETWORK_CONFIG_REQUEST, p, w.n);
}

#define META "v=0000000000000007\nrevr=0000000000000001\nmajv=0000000000000001"

static void assert_error(uint8_t code)
{
    const struct fake_packet *k = fake_find(ctl_node, ZT_VERB_ERROR);
    assert_int_equal(k->code, code);
    assert_int_equal(k->in_re_verb, ZT_VERB_NETWORK_CONFIG_REQUEST);
    fake_clear();
}

/* ---- who gets in ---- */

static void a_stranger_is_denied_and_remembered(void **state)
{
    plain_network();
    join(a);
    assert_int_equal(status(a), ZT_NET_ACCESS_DENIED);
    assert_int_equal(store.puts, 1);
    assert_int_equal(store.fields, ZT_CHANGED_NEW | ZT_CHANGED_IDENTITY);
    const struct zt_ctl_member *m = zt_controller_member(ctl, NWID, A);
    assert_non_null(m);
    assert_false(m->authorized);
    assert_memory_equal(m->pub, a->id.pub, ZT_PUB);
}

static void authorisation_reaches_the_member_at_once(void **state)
{
    plain_network();
    join(a);
    authorize(A, true);
    fake_run(10);
    assert_int_equal(status(a), ZT_NET_OK);
    assert_string_equal(info(a).name, "unit");
    const struct zt_netconf *cfg = net_of(a)->cfg;
    assert_int_equal(cfg->timestamp, fake_now.wall_ms - 10);
    assert_int_equal(cfg->max_delta, 1800000);
    assert_int_equal(cfg->revision, 3);
    assert_int_equal(cfg->flags, ZT_NET_BROADCAST);
    assert_true(cfg->has_com);
    assert_true(zt_com_verify(&cfg->com, &identity));
    assert_int_equal(zt_com_value(&cfg->com, ZT_COM_ISSUED_TO), A);
    assert_int_equal(zt_com_value(&cfg->com, ZT_COM_TIMESTAMP), cfg->timestamp);
}

static void members_may_talk_to_each_other(void **state)
{
    uint8_t ip[28] = {0x45, 0, 0, 28};
    plain_network();
    authorize(A, true);
    authorize(B, true);
    join(a);
    join(b);
    join(c);
    assert_int_equal(status(c), ZT_NET_ACCESS_DENIED);
    fake_frame_out(a, NWID, zt_mac_of(B, NWID), zt_mac_of(A, NWID), 0x0800, ip, sizeof ip);
    fake_run(2000);
    assert_int_equal(b->nframes, 1);
    fake_frame_out(a, NWID, zt_mac_of(C, NWID), zt_mac_of(A, NWID), 0x0800, ip, sizeof ip);
    fake_run(2000);
    assert_int_equal(c->nframes, 0);
}

static void another_identity_under_a_known_address_is_denied(void **state)
{
    plain_network();
    struct zt_ctl_member m = copy_of(A);
    m.authorized = m.has_identity = true;
    memset(m.pub, 0x77, sizeof m.pub);
    set_member(m);
    join(a);
    assert_int_equal(status(a), ZT_NET_ACCESS_DENIED);
    assert_int_equal(store.puts, 0);
    assert_int_equal(ctl_node->drops.n[ZT_DROP_COLLISION], 1);
}

static void public_networks_let_everybody_in(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.is_private = false;
    set_network(n);
    join(a);
    assert_int_equal(status(a), ZT_NET_OK);
    assert_true(info(a).is_public);
    assert_true(net_of(a)->cfg->has_com);
    assert_true(store.fields & ZT_CHANGED_AUTHORIZED);
    assert_int_equal(store.credential, ZT_CTL_CREDENTIAL_PUBLIC);
    assert_true(store.last.authorized);
    assert_int_equal(store.last.authorized_ms, fake_now.wall_ms - 10);
}

static void tokens_let_in_while_they_are_good(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    l->tokens[0] = (struct zt_ctl_token){"forever", 0};
    l->tokens[1] = (struct zt_ctl_token){"old", fake_now.wall_ms};
    n.ntokens = 2;
    set_network(n);
    const struct {
        uint64_t from;
        const char *meta;
        bool good;
    } cases[] = {
        {A, META "\na=token:old", false},    {B, META "\na=token:for", false},
        {C, META "\na=token:forever", true}, {A, META "\na=forever", false},
        {A, META "\na=token:", false},       {A, META "\na=token:forever ", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_now.mono_ms += 1001;
        ask(cases[i].from, NWID, cases[i].meta);
        assert_int_equal(fake_count(ctl_node, ZT_VERB_OK), cases[i].good);
        assert_int_equal(fake_count(ctl_node, ZT_VERB_ERROR), !cases[i].good);
        fake_clear();
        if (cases[i].good) {
            assert_int_equal(store.credential, ZT_CTL_CREDENTIAL_TOKEN);
            assert_string_equal(store.token, "forever");
        }
    }
}

static void single_sign_on_sends_members_away_unless_exempt(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.sso = true;
    set_network(n);
    authorize(A, true);
    struct zt_ctl_member m = copy_of(B);
    m.authorized = m.sso_exempt = true;
    set_member(m);
    join(a);
    join(b);
    assert_int_equal(status(a), ZT_NET_AUTHENTICATION_REQUIRED);
    assert_int_equal(status(b), ZT_NET_OK);
}

static void unknown_and_foreign_networks(void **state)
{
    ask(A, NWID, META);
    assert_error(ZT_ERROR_OBJECT_NOT_FOUND);
    ask(A, 0x1122334455000001u, META);
    assert_int_equal(fake_npackets, 0);
    assert_int_equal(ctl_node->drops.n[ZT_DROP_NOT_OURS], 1);
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.nwid = 0x1122334455000001u;
    assert_int_equal(zt_controller_set_network(ctl, &fake_now, &n), ZT_E_INVAL);
    struct zt_ctl_member m;
    zt_ctl_member_init(&m, NWID, A);
    assert_int_equal(zt_controller_set_member(ctl, &fake_now, &m), ZT_E_INVAL);
}

static void short_requests_are_malformed(void **state)
{
    uint8_t p[8 + 2 + sizeof META];
    struct zt_wr w = zt_wr(p, sizeof p);
    plain_network();
    zt_wr_u64(&w, NWID);
    zt_wr_u16(&w, sizeof META - 1);
    zt_wr_bytes(&w, META, sizeof META - 1);
    for (size_t n = 0; n < w.n; n++)
        fake_inject(ctl_node, A, ZT_VERB_NETWORK_CONFIG_REQUEST, p, n);
    assert_int_equal(ctl_node->drops.n[ZT_DROP_MALFORMED], w.n);
    assert_int_equal(fake_npackets, 0);
    assert_int_equal(store.puts, 0);
    fake_inject(ctl_node, A, ZT_VERB_NETWORK_CONFIG_REQUEST, p, w.n);
    assert_error(ZT_ERROR_NETWORK_ACCESS_DENIED);
}

static void one_request_a_second(void **state)
{
    plain_network();
    authorize(A, true);
    ask(A, NWID, META);
    fake_now.mono_ms += 1000;
    ask(A, NWID, META);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_OK), 1);
    assert_int_equal(ctl_node->drops.n[ZT_DROP_RATE], 1);
    fake_now.mono_ms += 1;
    ask(A, NWID, META);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_OK), 2);
    /* The same for nodes that it has no record of. */
    ask(B, NWID + 1, META);
    ask(B, NWID + 1, META);
    assert_int_equal(ctl_node->drops.n[ZT_DROP_RATE], 2);
}

static void strangers_fill_only_so_many_records(void **state)
{
    plain_network();
    struct zt_cnet *net = zt_cnet_find(ctl, NWID);
    net->nstrangers = ZT_CONTROLLER_STRANGERS - 1;
    ask(A, NWID, META);
    assert_error(ZT_ERROR_NETWORK_ACCESS_DENIED);
    ask(B, NWID, META);
    assert_error(ZT_ERROR_NETWORK_ACCESS_DENIED);
    assert_null(zt_controller_member(ctl, NWID, B));
    assert_int_equal(ctl_node->drops.n[ZT_DROP_TABLE_FULL], 1);
    /* Whoever is authorised doesn't count any more. */
    authorize(A, true);
    ask(C, NWID, META);
    assert_non_null(zt_controller_member(ctl, NWID, C));
    net->nstrangers = 1;
}

/* ---- the store ---- */

static void answers_wait_until_the_record_is_safe(void **state)
{
    struct lists *l;
    set_network(with_pool(&l));
    authorize(A, true);
    store.is_slow = true;
    join(a);
    assert_int_equal(status(a), ZT_NET_REQUESTING_CONFIGURATION);
    assert_true(store.fields & ZT_CHANGED_IPS);
    /* Somebody else's record doesn't count. */
    zt_controller_stored(ctl, &fake_now, NWID, B);
    zt_controller_stored(ctl, &fake_now, NWID + 1, A);
    fake_run(10);
    assert_int_equal(status(a), ZT_NET_REQUESTING_CONFIGURATION);
    store.is_slow = false;
    zt_controller_stored(ctl, &fake_now, NWID, A);
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_find(ctl_node, ZT_VERB_OK)->in_re_verb, ZT_VERB_NETWORK_CONFIG_REQUEST);
    fake_run(10);
    assert_int_equal(status(a), ZT_NET_OK);
    assert_true(has_address(a, "10.147.20.149/24"));
}

static void pushes_wait_too(void **state)
{
    struct lists *l;
    set_network(with_pool(&l));
    join(a);
    store.is_slow = true;
    authorize(A, true);
    fake_run(100);
    assert_int_equal(status(a), ZT_NET_ACCESS_DENIED);
    store.is_slow = false;
    zt_controller_stored(ctl, &fake_now, NWID, A);
    fake_run(10);
    assert_int_equal(status(a), ZT_NET_OK);
}

static void a_refresh_without_news_is_not_stored(void **state)
{
    struct lists *l;
    set_network(with_pool(&l));
    authorize(A, true);
    join(a);
    unsigned puts = store.puts;
    int64_t first = net_of(a)->cfg->timestamp;
    fake_run(130000);
    assert_int_equal(store.puts, puts);
    assert_true(net_of(a)->cfg->timestamp > first + 60000);
    assert_true(has_address(a, "10.147.20.149/24"));
}

/* ---- addresses ---- */

static void addresses_of_every_kind(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = with_pool(&l);
    n.v6_rfc4193 = n.v6_6plane = n.v6_pools = true;
    add_route(&n, "fd81::/64", NULL);
    add_pool(&n, "fd81::1000", "fd81::1fff");
    set_network(n);
    authorize(A, true);
    join(a);
    struct zt_net_info i = info(a);
    struct zt_ep plane = zt_ep_6plane(NWID, A), unique = zt_ep_rfc4193(NWID, A);
    assert_int_equal(i.naddrs, 4);
    assert_true(zt_ep_equal(&i.addrs[0], &unique));
    assert_true(zt_ep_equal(&i.addrs[1], &plane));
    assert_int_equal(i.addrs[2].family, 6);
    assert_int_equal(i.addrs[2].port, 64);
    assert_int_equal(zt_be64(i.addrs[2].ip), 0xfd81000000000000u);
    assert_in_range(zt_be64(i.addrs[2].ip + 8), 0x1000, 0x1ffe);
    assert_true(has_address(a, "10.147.20.149/24"));
    assert_true(net_of(a)->cfg->flags & ZT_NET_NDP_EMULATION);

    const struct zt_netconf *cfg = net_of(a)->cfg;
    struct zt_coo coo;
    struct zt_rd r = zt_rd(cfg->coos[0].p, cfg->coos[0].n);
    assert_int_equal(cfg->ncoos, 1);
    zt_rd_coo(&r, &coo);
    assert_true(zt_coo_verify(&coo, &identity));
    assert_int_equal(coo.n, 4);
    assert_int_equal(coo.issued_to, A);
    assert_true(zt_coo_owns(&coo, ZT_THING_IPV4, i.addrs[3].ip));
    assert_true(zt_coo_owns(&coo, ZT_THING_IPV6, plane.ip));
}

static void a_large_ipv6_pool_gives_the_node_address(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.v6_pools = true;
    add_route(&n, "fd81::/64", NULL);
    add_pool(&n, "fd81::", "fd81::ffff:ffff:ffff:ffff");
    set_network(n);
    authorize(A, true);
    join(a);
    assert_true(has_address(a, "fd81::11:2233:4455/64"));
}

static void pools_behind_a_gateway(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.v4_pools = n.v6_pools = true;
    add_route(&n, "fd81::/64", "fd82::1");
    add_route(&n, "10.1.0.0/16", "10.2.0.1");
    add_pool(&n, "fd81::1", "fd81::100");
    add_pool(&n, "10.1.0.1", "10.1.0.100");
    set_network(n);
    authorize(A, true);
    join(a);
    /* Only IPv4 does that. */
    assert_int_equal(info(a).naddrs, 1);
    assert_int_equal(info(a).addrs[0].family, 4);
    assert_int_equal(info(a).addrs[0].port, 16);
}

static void only_addresses_inside_routes_count(void **state)
{
    static const char *const ips[] = {"10.147.20.7", "10.9.9.9", "10.147.20.200", "fd00::1"};
    struct lists *l;
    struct zt_ctl_network n = with_pool(&l);
    add_route(&n, "10.147.20.192/26", NULL);
    add_route(&n, "0.0.0.0/0", "10.147.20.1");
    add_route(&n, "::/0", "fd00::2");
    set_network(n);
    member_with_ips(A, ips, 4);
    join(a);
    assert_int_equal(info(a).naddrs, 2);
    assert_true(has_address(a, "10.147.20.7/24"));
    assert_true(has_address(a, "10.147.20.200/26"));
    assert_int_equal(zt_controller_member(ctl, NWID, A)->nips, 4);
}

static void an_exhausted_pool_gives_nothing(void **state)
{
    static const char *const taken[] = {"10.147.20.3"};
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.v4_pools = true;
    add_route(&n, "10.147.20.0/24", NULL);
    add_pool(&n, "10.147.20.3", "10.147.20.4"); /* the last one is never given */
    set_network(n);
    member_with_ips(B, taken, 1);
    authorize(A, true);
    join(a);
    assert_int_equal(status(a), ZT_NET_OK);
    assert_int_equal(info(a).naddrs, 0);
    /* It is free again. */
    assert_int_equal(zt_controller_delete_member(ctl, &fake_now, NWID, B), 0);
    fake_run(61000);
    assert_true(has_address(a, "10.147.20.3/24"));
}

static void pools_that_make_no_sense_are_passed_over(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.v4_pools = true;
    add_route(&n, "10.147.20.0/24", NULL);
    add_route(&n, "10.3.0.1/16", NULL); /* host bits: nothing is in it */
    add_pool(&n, "10.147.20.9", "10.147.20.1");
    add_pool(&n, "0.0.0.0", "10.147.20.9");
    add_pool(&n, "10.3.0.5", "10.3.0.9");
    set_network(n);
    authorize(A, true);
    join(a);
    assert_int_equal(info(a).naddrs, 0);
    n = network(&l);
    n.v4_pools = true;
    add_route(&n, "10.147.20.0/24", NULL);
    add_pool(&n, "10.147.20.255", "10.147.20.255"); /* never .255 */
    add_pool(&n, "10.147.20.8", "10.147.20.8");
    set_network(n);
    fake_run(100);
    assert_true(has_address(a, "10.147.20.8/24"));
}

static void no_two_members_get_one_address(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.v4_pools = true;
    add_route(&n, "10.147.20.0/24", NULL);
    add_pool(&n, "10.147.20.1", "10.147.20.21");
    set_network(n);
    /* Addresses that all begin at the same place. */
    for (unsigned i = 0; i < 25; i++) {
        uint64_t addr = 0x2200000000u + i * 20;
        fake_node(addr);
        authorize(addr, true);
        ask(addr, NWID, META);
        fake_clear();
    }
    uint32_t seen = 0;
    for (unsigned i = 0; i < 25; i++) {
        const struct zt_ctl_member *m = zt_controller_member(ctl, NWID, 0x2200000000u + i * 20);
        assert_int_equal(m->nips, i < 20);
        if (m->nips > 0) {
            unsigned last = m->ips[0].ip[3];
            assert_in_range(last, 1, 20);
            assert_false(seen >> last & 1);
            seen |= 1u << last;
        }
    }
}

static void no_automatic_addresses_when_told_so(void **state)
{
    static const char *const ips[] = {"10.147.20.7"};
    struct lists *l;
    struct zt_ctl_network n = with_pool(&l);
    n.v6_rfc4193 = n.v6_6plane = true;
    set_network(n);
    member_with_ips(A, ips, 1);
    struct zt_ctl_member m = copy_of(A);
    m.no_auto_ips = true;
    set_member(m);
    m = copy_of(B);
    m.no_auto_ips = m.authorized = true;
    set_member(m);
    join(a);
    join(b);
    assert_int_equal(info(a).naddrs, 1);
    assert_int_equal(info(b).naddrs, 0);
}

/* ---- rules, capabilities, tags ---- */

static const struct zt_identity *identity_of(void *user, uint64_t addr)
{
    return addr == CTL ? &identity : NULL;
}

static struct zt_ctl_network with_credentials(struct lists **l)
{
    struct zt_ctl_network n = network(l);
    n.ncaps = n.ntags = 2;
    (*l)->caps[0] = (struct zt_ctl_cap){.id = 4, .nrules = 1, .rules = {accept_rule, 2}};
    (*l)->caps[1] =
        (struct zt_ctl_cap){.id = 9, .is_default = true, .nrules = 1, .rules = {accept_rule, 2}};
    (*l)->tags[0] = (struct zt_ctl_tag){.id = 100};
    (*l)->tags[1] = (struct zt_ctl_tag){.id = 200, .value = 7, .has_value = true};
    return n;
}

static void new_members_get_default_capabilities_and_all_default_tags(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = with_credentials(&l);
    n.is_private = false;
    set_network(n);
    authorize(B, true); /* known before: tags only */
    join(a);
    join(b);
    const struct zt_netconf *cfg = net_of(a)->cfg;
    assert_int_equal(cfg->ncaps, 1);
    assert_int_equal(cfg->ntags, 1);
    struct zt_cap cap;
    struct zt_rd r = zt_rd(cfg->caps[0].p, cfg->caps[0].n);
    zt_rd_cap(&r, &cap);
    assert_int_equal(cap.id, 9);
    assert_int_equal(zt_cap_issued_to(&cap), A);
    assert_int_equal(zt_cap_verify(&cap, identity_of, NULL), ZT_ACCEPT_NEW);
    struct zt_tag tag;
    r = zt_rd(cfg->tags[0].p, cfg->tags[0].n);
    zt_rd_tag(&r, &tag);
    assert_int_equal(tag.id, 200);
    assert_int_equal(tag.value, 7);
    assert_int_equal(tag.issued_to, A);
    assert_true(zt_tag_verify(&tag, &identity));
    assert_int_equal(zt_controller_member(ctl, NWID, A)->ncaps, 1);
    assert_int_equal(net_of(b)->cfg->ncaps, 0);
    assert_int_equal(net_of(b)->cfg->ntags, 1);
}

static void members_keep_tags_of_their_own(void **state)
{
    struct lists *l;
    set_network(with_credentials(&l));
    struct zt_ctl_member m = copy_of(A);
    m.authorized = true;
    m.ntags = m.ncaps = 2;
    m.tags = calloc(2, sizeof *m.tags);
    m.tags[0] = (struct zt_ctl_tag){.id = 200, .value = 1};
    m.tags[1] = (struct zt_ctl_tag){.id = 300, .value = 5};
    m.caps = calloc(2, sizeof *m.caps);
    m.caps[0] = 4;
    m.caps[1] = 77; /* the network has none such */
    set_member(m);
    join(a);
    const struct zt_netconf *cfg = net_of(a)->cfg;
    assert_int_equal(cfg->ntags, 2);
    assert_int_equal(cfg->ncaps, 1);
    assert_int_equal(net_of(a)->own_tags[0].value, 1);
    assert_int_equal(net_of(a)->own_tags[1].id, 300);
    assert_int_equal(net_of(a)->own_caps[0].id, 4);
    assert_true(!(store.fields & ZT_CHANGED_TAGS));
}

static void nodes_without_a_rules_engine_get_one_accept(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = with_credentials(&l);
    l->rules[0] = ZT_RULE_ACTION_DROP;
    set_network(n);
    authorize(A, true);
    assert_int_equal(zt_vl2_join(a->vl2, &fake_now, NWID, NULL, 0), 0);
    ask(A, NWID, "v=0000000000000007");
    fake_pump();
    const struct zt_netconf *cfg = net_of(a)->cfg;
    assert_non_null(cfg);
    assert_int_equal(cfg->nrules, 1);
    assert_int_equal(net_of(a)->rules[0].t, ZT_RULE_ACTION_ACCEPT);
    assert_int_equal(cfg->ntags + cfg->ncaps, 0);
}

static void a_large_configuration_comes_in_several_pieces(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    struct zt_wr w = zt_wr(l->rules, sizeof l->rules);
    for (unsigned i = 0; i < ZT_RULES_MAX; i++) {
        struct zt_rule r = {.t = ZT_RULE_MATCH_IPV6_SOURCE};
        memset(r.u.net.ip, (int)i, 16);
        r.u.net.bits = 128;
        zt_wr_rule(&w, &r);
    }
    n.rules = (struct zt_span){l->rules, w.n};
    n.nrules = ZT_RULES_MAX;
    set_network(n);
    authorize(A, true);
    assert_int_equal(zt_vl2_join(a->vl2, &fake_now, NWID, NULL, 0), 0);
    ask(A, NWID, META);
    assert_true(fake_count(ctl_node, ZT_VERB_OK) >= 2);
    fake_pump();
    assert_int_equal(net_of(a)->cfg->nrules, ZT_RULES_MAX);
}

static void bridges_are_named_to_everybody(void **state)
{
    plain_network();
    struct zt_ctl_member m = copy_of(C);
    m.is_bridge = true; /* authorised or not */
    set_member(m);
    m = copy_of(B);
    m.is_bridge = m.authorized = true;
    set_member(m);
    authorize(A, true);
    join(a);
    const struct zt_netconf *cfg = net_of(a)->cfg;
    assert_int_equal(cfg->nspecialists, 2);
    assert_int_equal(cfg->specialists[0], B | ZT_ROLE_BRIDGE);
    assert_int_equal(cfg->specialists[1], C | ZT_ROLE_BRIDGE);
    m = copy_of(B);
    m.is_bridge = false;
    set_member(m);
    fake_run(61000);
    assert_int_equal(net_of(a)->cfg->nspecialists, 1);
}

/* ---- changes ---- */

static void a_changed_network_is_pushed_to_members_that_are_online(void **state)
{
    struct lists *l;
    plain_network();
    authorize(A, true);
    authorize(B, true);
    join(a);
    join(b);
    assert_int_equal(zt_vl2_leave(b->vl2, &fake_now, NWID), 0);
    fake_run(ZT_CONTROLLER_ONLINE_MS + 1000);
    struct zt_ctl_network n = network(&l);
    n.mtu = 1400;
    set_network(n);
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CONFIG), 1);
    assert_int_equal(fake_find(ctl_node, ZT_VERB_NETWORK_CONFIG)->dest, A);
    fake_run(10);
    assert_int_equal(info(a).mtu, 1400);
}

static void many_members_are_pushed_to_little_by_little(void **state)
{
    plain_network();
    for (unsigned i = 0; i < 50; i++) {
        fake_node(0x2200000000u + i);
        authorize(0x2200000000u + i, true);
        ask(0x2200000000u + i, NWID, META);
    }
    fake_clear();
    plain_network();
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CONFIG), 16);
    for (unsigned i = 0; i < 5; i++) {
        fake_now.mono_ms++;
        zt_vl2_tick(ctl_node->vl2, &fake_now);
    }
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CONFIG), 50);
    fake_clear();
}

static void deauthorisation_reaches_everybody(void **state)
{
    uint8_t ip[28] = {0x45, 0, 0, 28};
    plain_network();
    authorize(A, true);
    authorize(B, true);
    authorize(C, true);
    join(a);
    join(b);
    join(c);
    fake_frame_out(b, NWID, zt_mac_of(A, NWID), zt_mac_of(B, NWID), 0x0800, ip, sizeof ip);
    fake_run(2000);
    assert_int_equal(a->nframes, 1);
    authorize(B, false);
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    const struct fake_packet *k = fake_find(ctl_node, ZT_VERB_NETWORK_CREDENTIALS);
    struct zt_revocation rev;
    struct zt_rd r = zt_rd(k->p, k->n);
    zt_rd_skip(&r, 5);
    assert_int_equal(zt_rd_u16(&r), 1);
    zt_rd_revocation(&r, &rev);
    assert_false(r.bad);
    assert_true(zt_revocation_verify(&rev, &identity));
    assert_int_equal(rev.target, B);
    assert_int_equal(rev.type, ZT_CRED_COM);
    assert_int_equal(rev.flags, ZT_REVOCATION_FAST);
    assert_int_equal(rev.credential_id, 0);
    fake_run(10);
    assert_int_equal(status(b), ZT_NET_ACCESS_DENIED);
    assert_int_equal(status(a), ZT_NET_OK);
    fake_frame_out(b, NWID, zt_mac_of(A, NWID), zt_mac_of(B, NWID), 0x0800, ip, sizeof ip);
    fake_run(2000);
    assert_int_equal(a->nframes, 1);
    /* In again at once: the new certificate is newer than the revocation. */
    authorize(B, true);
    fake_run(10);
    assert_int_equal(status(b), ZT_NET_OK);
    fake_frame_out(b, NWID, zt_mac_of(A, NWID), zt_mac_of(B, NWID), 0x0800, ip, sizeof ip);
    fake_run(2000);
    assert_true(a->nframes > 1);
}

static void revocations_soon_after_each_other_go_together(void **state)
{
    plain_network();
    authorize(A, true);
    authorize(B, true);
    authorize(C, true);
    join(a);
    join(b);
    join(c);
    authorize(A, false);
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CREDENTIALS), 2); /* not to A itself */
    fake_clear();
    authorize(B, false);
    assert_int_equal(zt_controller_delete_member(ctl, &fake_now, NWID, C), 0);
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CREDENTIALS), 0);
    fake_clear();
    authorize(A, true);
    fake_now.mono_ms += 1050;
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    const struct fake_packet *k = fake_find(ctl_node, ZT_VERB_NETWORK_CREDENTIALS);
    assert_int_equal(k->dest, A);
    assert_int_equal(zt_be16(k->p + 5), 2);
    assert_int_equal(k->n, 1 + 2 + 2 + 2 + 2 * ZT_REVOCATION_WIRE + 2);
}

/* Seventy nodes that were in for a moment. */
static void let_in_and_out(void)
{
    for (uint64_t i = 0; i < 70; i++) {
        authorize(0x2000000001u + i, true);
        authorize(0x2000000001u + i, false);
    }
}

static unsigned revocations_in(const struct fake_packet *k)
{
    return zt_be16(k->p + 5);
}

static void more_than_fit_into_a_packet_come_a_second_later(void **state)
{
    plain_network();
    authorize(A, true);
    join(a);
    fake_clear();
    let_in_and_out();
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CREDENTIALS), 1);
    assert_int_equal(revocations_in(fake_find(ctl_node, ZT_VERB_NETWORK_CREDENTIALS)), 60);
    fake_clear();
    fake_now.mono_ms += 1049;
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CREDENTIALS), 0);
    fake_now.mono_ms++;
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CREDENTIALS), 1);
    assert_int_equal(revocations_in(fake_find(ctl_node, ZT_VERB_NETWORK_CREDENTIALS)), 10);
    fake_clear();
    fake_now.mono_ms += 60000;
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CREDENTIALS), 0);
}

static uint64_t revocations_sent(void)
{
    struct zt_ctl_counts n;
    zt_controller_counts(ctl, &n);
    return n.revocations;
}

static void who_comes_later_gets_the_revocations_of_late(void **state)
{
    plain_network();
    authorize(A, true);
    authorize(B, true);
    authorize(C, true);
    authorize(C, false);
    assert_int_equal(revocations_sent(), 0); /* nobody is there */
    join(a);
    assert_int_equal(revocations_sent(), 1);
    assert_int_equal(zt_member_find(net_of(a), C)->com_revoked, fake_now.wall_ms - 10);
    join(b);
    assert_int_equal(revocations_sent(), 2);
    /* Half an hour later no certificate of that time counts any more, so nobody needs to know. */
    authorize(A, false);
    fake_run(1100); /* B was told of C just now */
    assert_int_equal(revocations_sent(), 3);
    fake_now.mono_ms += 1800001;
    fake_now.wall_ms += 1800001;
    authorize(B, false);
    authorize(A, true);
    assert_int_equal(zt_vl2_leave(a->vl2, &fake_now, NWID), 0);
    join(a);
    fake_run(2000);
    assert_int_equal(revocations_sent(), 4); /* B's alone */
}

static void a_record_of_one_put_out_lately_revokes_again(void **state)
{
    struct zt_ctl_member m;
    plain_network();
    authorize(A, true);
    join(a);
    fake_clear();
    zt_ctl_member_init(&m, NWID, B);
    m.deauthorized_ms = fake_now.wall_ms - 1000;
    set_member(m);
    zt_ctl_member_init(&m, NWID, C);
    m.deauthorized_ms = fake_now.wall_ms - 1800000;
    set_member(m);
    zt_vl2_tick(ctl_node->vl2, &fake_now);
    assert_int_equal(fake_count(ctl_node, ZT_VERB_NETWORK_CREDENTIALS), 1);
    assert_int_equal(revocations_in(fake_find(ctl_node, ZT_VERB_NETWORK_CREDENTIALS)), 1);
}

static void settings_of_the_network_reach_its_members(void **state)
{
    struct lists *l;
    struct zt_ctl_network n = network(&l);
    n.broadcast = false;
    n.mtu = 1444;
    n.multicast_limit = 7;
    n.trace_target = 0x1234567890u;
    n.trace_level = 3;
    strcpy(n.dns_domain, "unit.test");
    n.dns[0] = ep("10.1.1.1");
    n.dns[1] = ep("fd00::1");
    set_network(n);
    authorize(A, true);
    struct zt_ctl_member m = copy_of(B);
    m.authorized = true;
    m.trace_target = 0x0987654321u;
    m.trace_level = 1;
    set_member(m);
    join(a);
    join(b);
    const struct zt_netconf *cfg = net_of(a)->cfg;
    assert_int_equal(cfg->mtu, 1444);
    assert_int_equal(cfg->multicast_limit, 7);
    assert_false(cfg->flags & ZT_NET_BROADCAST);
    assert_string_equal(cfg->name, "unit");
    assert_string_equal(cfg->dns_domain, "unit.test");
    assert_true(zt_ep_same_ip(&cfg->dns[0], &n.dns[0]) && zt_ep_same_ip(&cfg->dns[1], &n.dns[1]));
    assert_true(cfg->trace_target == 0x1234567890u && cfg->trace_level == 3);
    cfg = net_of(b)->cfg; /* a target of its own comes first */
    assert_true(cfg->trace_target == 0x0987654321u && cfg->trace_level == 1);
}

static void a_deleted_network_is_gone_for_its_members(void **state)
{
    plain_network();
    authorize(A, true);
    authorize(B, true);
    join(a);
    join(b);
    assert_int_equal(zt_controller_delete_network(ctl, &fake_now, NWID), 0);
    fake_run(10);
    assert_int_equal(status(a), ZT_NET_NOT_FOUND);
    assert_int_equal(zt_member_find(net_of(a), B)->com_revoked, fake_now.wall_ms - 10);
    assert_null(zt_controller_network(ctl, NWID));
    assert_int_equal(zt_controller_delete_network(ctl, &fake_now, NWID), ZT_E_NOENT);
}

static void a_deleted_member_that_asks_again_is_a_stranger(void **state)
{
    plain_network();
    authorize(A, true);
    join(a);
    assert_int_equal(zt_controller_delete_member(ctl, &fake_now, NWID, A), 0);
    assert_int_equal(zt_controller_delete_member(ctl, &fake_now, NWID, A), ZT_E_NOENT);
    fake_run(61000);
    assert_int_equal(status(a), ZT_NET_ACCESS_DENIED);
    assert_false(zt_controller_member(ctl, NWID, A)->authorized);
}

static void a_clock_set_back_makes_no_old_credentials(void **state)
{
    plain_network();
    authorize(A, true);
    join(a);
    int64_t first = net_of(a)->cfg->timestamp;
    fake_now.wall_ms -= 3600000;
    fake_now.mono_ms += 2000;
    ask(A, NWID, META);
    fake_pump();
    assert_true(net_of(a)->cfg->timestamp >= first);
}

/* ---- rights, and our own node ---- */

static bool knows(uint64_t addr)
{
    uint8_t p[23], out[64];
    struct zt_wr w = zt_wr(p, sizeof p);
    (void)out;
    zt_wr_u64(&w, NWID);
    zt_wr_u8(&w, 0);
    zt_wr_u48(&w, 0xffffffffffffu);
    zt_wr_u32(&w, 1);
    zt_wr_u32(&w, 10);
    fake_clear();
    fake_inject(ctl_node, C, ZT_VERB_MULTICAST_GATHER, p, w.n);
    bool found = false;
    for (size_t i = 0; i < fake_npackets; i++)
        if (fake_packets[i]->dest == C && fake_packets[i]->verb == ZT_VERB_OK &&
            fake_packets[i]->n >= 29 && zt_be40(fake_packets[i]->p + 24) == addr)
            found = true;
    fake_clear();
    return found;
}

static void like(uint64_t from)
{
    uint8_t p[18];
    struct zt_wr w = zt_wr(p, sizeof p);
    zt_wr_u64(&w, NWID);
    zt_wr_u48(&w, 0xffffffffffffu);
    zt_wr_u32(&w, 1);
    fake_inject(ctl_node, from, ZT_VERB_MULTICAST_LIKE, p, w.n);
}

static void members_may_like_and_gather_for_three_minutes(void **state)
{
    plain_network();
    authorize(A, true);
    authorize(C, true);
    like(A);
    ask(C, NWID, META);
    assert_false(knows(A)); /* had no configuration yet */
    ask(A, NWID, META);
    like(A);
    assert_true(knows(A));
    fake_now.mono_ms += ZT_CONTROLLER_RIGHTS_MS;
    assert_false(knows(A));
    ask(C, NWID, META);
    assert_true(knows(A));
    authorize(C, false);
    assert_false(knows(A));
}

static void our_own_node_is_a_member_without_packets(void **state)
{
    struct lists *l;
    set_network(with_pool(&l));
    join(ctl_node);
    assert_int_equal(status(ctl_node), ZT_NET_ACCESS_DENIED);
    authorize(CTL, true);
    fake_run(10);
    assert_int_equal(status(ctl_node), ZT_NET_OK);
    assert_int_equal(info(ctl_node).naddrs, 1);
    fake_run(61000);
    assert_int_equal(status(ctl_node), ZT_NET_OK);
    authorize(CTL, false);
    assert_int_equal(status(ctl_node), ZT_NET_ACCESS_DENIED);
    assert_int_equal(zt_vl2_join(ctl_node->vl2, &fake_now, NWID + 1, NULL, 0), 0);
    fake_run(10);
    struct zt_net_info i;
    assert_int_equal(zt_vl2_network(ctl_node->vl2, NWID + 1, &i), 0);
    assert_int_equal(i.status, ZT_NET_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stranger_is_denied_and_remembered),
        TEST(authorisation_reaches_the_member_at_once),
        TEST(members_may_talk_to_each_other),
        TEST(another_identity_under_a_known_address_is_denied),
        TEST(public_networks_let_everybody_in),
        TEST(tokens_let_in_while_they_are_good),
        TEST(single_sign_on_sends_members_away_unless_exempt),
        TEST(unknown_and_foreign_networks),
        TEST(short_requests_are_malformed),
        TEST(one_request_a_second),
        TEST(strangers_fill_only_so_many_records),
        TEST(answers_wait_until_the_record_is_safe),
        TEST(pushes_wait_too),
        TEST(a_refresh_without_news_is_not_stored),
        TEST(addresses_of_every_kind),
        TEST(a_large_ipv6_pool_gives_the_node_address),
        TEST(pools_behind_a_gateway),
        TEST(only_addresses_inside_routes_count),
        TEST(an_exhausted_pool_gives_nothing),
        TEST(pools_that_make_no_sense_are_passed_over),
        TEST(no_two_members_get_one_address),
        TEST(no_automatic_addresses_when_told_so),
        TEST(new_members_get_default_capabilities_and_all_default_tags),
        TEST(members_keep_tags_of_their_own),
        TEST(nodes_without_a_rules_engine_get_one_accept),
        TEST(a_large_configuration_comes_in_several_pieces),
        TEST(bridges_are_named_to_everybody),
        TEST(a_changed_network_is_pushed_to_members_that_are_online),
        TEST(many_members_are_pushed_to_little_by_little),
        TEST(deauthorisation_reaches_everybody),
        TEST(revocations_soon_after_each_other_go_together),
        TEST(more_than_fit_into_a_packet_come_a_second_later),
        TEST(who_comes_later_gets_the_revocations_of_late),
        TEST(a_record_of_one_put_out_lately_revokes_again),
        TEST(settings_of_the_network_reach_its_members),
        TEST(a_deleted_network_is_gone_for_its_members),
        TEST(a_deleted_member_that_asks_again_is_a_stranger),
        TEST(a_clock_set_back_makes_no_old_credentials),
        TEST(members_may_like_and_gather_for_three_minutes),
        TEST(our_own_node_is_a_member_without_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
