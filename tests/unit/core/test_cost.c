/* What a packet costs a root, and a request a controller, must not grow with the number of those that
 * they know. Counted, not timed: base, vl1 and vl2 are compiled with a counter in each basic block. What
 * libraries do (ciphers, signatures, allocation) isn't in it; that depends on no number of ours. */
#include "ztest.h"

#include <stdio.h>

#include "base/buf.h"
#include "crypto/identity.h"
#include "vl1/peer.h"
#include "vl1/vl1.h"
#include "vl2/controller_priv.h"
#include "vl2/vl2.h"

#define SELF 0x89e92ceee5u
#define FIRST 0x1000000001u /* address of the first other node; the others follow in steps */
#define STEP 0x00010003u

void cost_make_root(struct zt_vl1 *v);

static uint64_t blocks;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    blocks++;
}

static struct zt_identity self;
static struct zt_now now;
static struct zt_drops drops;
static struct zt_vl1 *v;
static struct zt_vl2 *vl2;
static unsigned sent;
static uint64_t chance;

static void on_send(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                    const uint8_t *body, size_t nbody, unsigned ttl)
{
    sent++;
}

static void on_random(void *user, void *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(chance >> 56);
    }
}

static void on_save(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n)
{
}

static const struct zt_host host = {.send = on_send, .random = on_random, .save = on_save};

static uint64_t addr_of(unsigned i)
{
    return FIRST + (uint64_t)i * STEP;
}

static struct zt_link link_of(unsigned i)
{
    uint8_t ip[4];
    zt_put32(ip, 0x09000001u + i);
    return (struct zt_link){.ep = zt_ep_make(4, ip, 9993)};
}

/* A peer with one path that was heard just now. Its keys are of no interest. */
static struct zt_peer *add_peer(unsigned i)
{
    static struct zt_identity other;
    struct zt_link link = link_of(i);
    struct zt_peer *peer;
    if (other.addr == 0)
        zt_keypair_generate(on_random, NULL, &other);
    other.addr = addr_of(i);
    struct zt_keys keys;
    static const uint8_t shared[ZT_SHARED_KEY] = {1};
    assert_int_equal(zt_keys_init(&keys, shared), 0);
    assert_int_equal(zt_peer_add(v, &now, &other, &keys, &peer), 0);
    peer->paths = calloc(1, sizeof *peer->paths);
    assert_non_null(peer->paths);
    peer->npaths = peer->cap_paths = 1;
    zt_path_init(peer->paths, &link, now.mono_ms);
    peer->last_receive_ms = now.mono_ms;
    return peer;
}

static void begin(bool is_root)
{
    now = (struct zt_now){.mono_ms = 1000000, .wall_ms = 1700000000000};
    memset(&drops, 0, sizeof drops);
    chance = 1;
    assert_int_equal(zt_crypto_init(), 0);
    zt_keypair_generate(on_random, NULL, &self);
    self.addr = SELF;
    const struct zt_vl1_config cfg = {.identity = &self, .host = &host, .drops = &drops};
    assert_int_equal(zt_vl1_new(&cfg, &now, &v), 0);
    assert_int_equal(zt_vl2_new(v, &host, &drops, &now, &vl2), 0);
    zt_vl1_tick(v, &now);
    if (is_root)
        cost_make_root(v);
}

static void end(void)
{
    zt_vl2_free(vl2);
    zt_vl1_free(v);
}

/* ---- a root ---- */

static void packet(uint8_t p[200], unsigned from, unsigned to)
{
    memset(p, 0, 200);
    on_random(NULL, p, 8);
    zt_put40(p + 8, addr_of(to));
    zt_put40(p + 13, addr_of(from));
    p[ZT_PKT_FLAGS] = ZT_SUITE_AES << 3;
}

/* Every peer talks to a partner by way of us, ten rounds within a second; blocks a packet. */
static double relay_cost(unsigned peers)
{
    uint8_t p[200];
    begin(true);
    for (unsigned i = 0; i < peers; i++)
        add_peer(i);
    for (unsigned round = 0; round < 11; round++) {
        if (round == 1) { /* everybody is introduced by now */
            blocks = 0;
            sent = 0;
            now.mono_ms += 10;
        }
        for (unsigned i = 0; i < peers; i++) {
            struct zt_link from = link_of(i);
            packet(p, i, i ^ 1);
            zt_vl1_datagram(v, &now, &from, p, sizeof p);
        }
    }
    uint64_t counted = blocks;
    struct zt_status_info info;
    zt_vl1_status(v, &info);
    assert_int_equal(info.packets_relayed, 11 * peers);
    /* What was relayed, and next to nothing else. */
    assert_true(sent >= 10 * peers && sent <= 10 * peers + peers / 50);
    end();
    return (double)counted / (10 * peers);
}

static void relaying_costs_the_same_with_many_peers(void **state)
{
    double few = relay_cost(10), many = relay_cost(5000), crowd = relay_cost(40000);
    print_message("blocks per relayed packet: %.0f with 10 peers, %.0f with 5000, %.0f with 40000\n",
                  few, many, crowd);
    assert_true(few > 20);
    assert_true(many < few * 1.25);
    assert_true(crowd < few * 1.25);
}

/* ---- a controller ---- */

#define NWID (SELF << 24 | 0xabcd52)

static void put_member(void *user, const struct zt_ctl_member *m, unsigned fields,
                       enum zt_ctl_credential credential, const char *token)
{
}

static bool is_stored(void *user, uint64_t nwid, uint64_t addr)
{
    return true;
}

static void add_network(struct zt_controller *c)
{
    static const uint8_t accept[2] = {ZT_RULE_ACTION_ACCEPT, 0};
    static struct zt_route route = {.target = {.family = 4, .port = 8, .ip = {10}}};
    static struct zt_ctl_pool pool = {.start = {.family = 4, .ip = {10, 1, 0, 1}},
                                      .end = {.family = 4, .ip = {10, 2, 255, 254}}};
    struct zt_ctl_network n = {.nwid = NWID,
                               .revision = 1,
                               .is_private = true,
                               .v4_pools = true,
                               .v6_6plane = true,
                               .mtu = 2800,
                               .multicast_limit = 32,
                               .window_ms = 1800000,
                               .nroutes = 1,
                               .routes = &route,
                               .npools = 1,
                               .pools = &pool,
                               .nrules = 1,
                               .rules = {accept, 2}};
    assert_int_equal(zt_controller_set_network(c, &now, &n), 0);
}

static void add_member(struct zt_controller *c, unsigned i, bool authorized)
{
    struct zt_ctl_member m;
    zt_ctl_member_init(&m, NWID, addr_of(i));
    m.authorized = authorized;
    assert_int_equal(zt_controller_set_member(c, &now, &m), 0);
}

static void request(struct zt_controller *c, unsigned i)
{
    static const uint8_t meta[] = "v=7\nrevr=1\nmajv=1\nminv=e\nrevv=0\npv=d\n";
    const struct zt_rx rx = {.from = addr_of(i), .id = 7 + i};
    zt_controller_request(c, &now, &rx, NWID, meta, sizeof meta - 1);
}

struct cost {
    double first, again, denied, change;
};

/* With so many members, all with addresses and online; and fifty more, whose cost is counted. */
static struct cost request_cost(unsigned members)
{
    enum { ASK = 50 };
    struct zt_controller *c;
    struct zt_ctl_counts n;
    struct cost cost;
    const struct zt_controller_store store = {.put_member = put_member, .is_stored = is_stored};
    begin(false);
    assert_int_equal(zt_vl2_control(vl2, &store, &c), 0);
    add_network(c);
    for (unsigned i = 0; i < members + 2 * ASK; i++)
        add_peer(i);
    for (unsigned i = 0; i < members; i++) {
        add_member(c, i, true);
        request(c, i); /* gives it an address, and it is online from now on */
    }
    for (unsigned i = members; i < members + ASK; i++)
        add_member(c, i, true);

    blocks = 0;
    for (unsigned i = members; i < members + ASK; i++)
        request(c, i);
    cost.first = (double)blocks / ASK;
    now.mono_ms += 5000;
    now.wall_ms += 5000;
    blocks = 0;
    for (unsigned i = members; i < members + ASK; i++)
        request(c, i);
    cost.again = (double)blocks / ASK;
    blocks = 0;
    for (unsigned i = members + ASK; i < members + 2 * ASK; i++)
        request(c, i); /* never heard of */
    cost.denied = (double)blocks / ASK;
    now.mono_ms += 5000;
    blocks = 0;
    for (unsigned i = members; i < members + ASK; i++) {
        struct zt_ctl_member m;
        const struct zt_ctl_member *old = zt_controller_member(c, NWID, addr_of(i));
        m = *old;
        m.ips = malloc(m.nips * sizeof *m.ips);
        assert_non_null(m.ips);
        memcpy(m.ips, old->ips, m.nips * sizeof *m.ips);
        assert_int_equal(zt_controller_set_member(c, &now, &m), 0);
    }
    while (zt_vl2_deadline(vl2) <= now.mono_ms + 1) { /* pushes */
        now.mono_ms++;
        zt_vl2_tick(vl2, &now);
    }
    cost.change = (double)blocks / ASK;
    zt_controller_counts(c, &n);
    assert_int_equal(n.configs, members + 2 * ASK);
    assert_int_equal(n.denied, ASK);
    assert_int_equal(n.pushes, ASK);
    assert_int_equal(zt_controller_member(c, NWID, addr_of(members + 1))->nips, 1);
    end();
    return cost;
}

static void a_request_costs_the_same_with_many_members(void **state)
{
    struct cost few = request_cost(10), many = request_cost(20000);
    print_message("blocks with 10 and with 20000 members: first request %.0f, %.0f; later ones %.0f, "
                  "%.0f; refused %.0f, %.0f; a change with its push %.0f, %.0f\n",
                  few.first, many.first, few.again, many.again, few.denied, many.denied, few.change,
                  many.change);
    assert_true(few.again > 100);
    /* A first request looks for a free address: the pool is 15 % full. */
    assert_true(many.first < few.first * 1.25);
    assert_true(many.again < few.again * 1.25);
    assert_true(many.denied < few.denied * 1.25);
    assert_true(many.change < few.change * 1.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relaying_costs_the_same_with_many_peers),
        cmocka_unit_test(a_request_costs_the_same_with_many_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
