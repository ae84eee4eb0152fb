/* Credentials that members show: capabilities with their chains of custody, certificates of
 * ownership and the addresses they stand for, several networks at once; each added, replaced,
 * refused, revoked, and what the rules make of it. */

#include "fake_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "vl2/network.h"

#define A 0x1122334455u
#define B 0x360273b27fu
#define HOLDER 0x4444444444u
#define T 5000000

static struct zt_vl1 *a, *b;
static struct zt_identity holder; /* has a key of its own: it passes capabilities on */

static void numbers(void *user, void *out, size_t n)
{
    memset(out, 0x77, n);
    ((uint8_t *)out)[0] = ++*(uint8_t *)user;
}

static int setup(void **state)
{
    uint8_t seed = 100;
    ctl_begin();
    a = fake_node(A);
    b = fake_node(B);
    zt_keypair_generate(numbers, &seed, &holder);
    holder.addr = HOLDER;
    return 0;
}

static int teardown(void **state)
{
    fake_end();
    return 0;
}

static void join(const char *rules)
{
    struct zt_com com = ctl_com(a, T);
    ctl_join(b, &(struct ctl_plan){.timestamp = T, .rules = rules});
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_TRUSTED);
    fake_clear();
}

/* A frame of A with this ethertype and payload: does it arrive? */
static bool arrives(uint16_t type, const uint8_t *p, size_t n)
{
    uint8_t body[200];
    size_t before = b->nframes;
    zt_put64(body, CTL_NWID);
    zt_put16(body + 8, type);
    memcpy(body + 10, p, n);
    fake_inject(b, A, ZT_VERB_FRAME, body, 10 + n);
    return b->nframes > before;
}

static bool ipv4_arrives(const char *source)
{
    uint8_t p[30] = {0x45, 0, 0, 30, [9] = 17};
    struct zt_ep ep;
    assert_int_equal(zt_ep_parse(source, &ep), 0);
    memcpy(p + 12, ep.ip, 4);
    return arrives(0x0800, p, sizeof p);
}

static bool arp_arrives(const char *sender)
{
    uint8_t p[28] = {0, 1, 8, 0, 6, 4, 0, 1};
    struct zt_ep ep;
    assert_int_equal(zt_ep_parse(sender, &ep), 0);
    memcpy(p + 14, ep.ip, 4);
    return arrives(0x0806, p, sizeof p);
}

/* ---- capabilities ---- */

/* One that accepts everything, issued to `to`; signed by the controller. */
static struct zt_cap cap_for(uint64_t to, uint32_t id, int64_t timestamp, uint8_t max_chain)
{
    static const uint8_t accept_all[] = {1, 0};
    struct zt_cap cap = {.nwid = CTL_NWID,
                         .timestamp = timestamp,
                         .id = id,
                         .nrules = 1,
                         .rules = accept_all,
                         .rules_size = sizeof accept_all,
                         .max_chain = max_chain,
                         .nlinks = 1};
    uint8_t text[ZT_CAP_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_cap_signed(&w, &cap);
    cap.chain[0].to = to;
    cap.chain[0].from = CTL;
    cap.chain[0].has_sig = true;
    zt_identity_sign(&ctl_identity, text, w.n, cap.chain[0].sig);
    return cap;
}

/* The last holder passes it on. */
static void pass_on(struct zt_cap *cap, const struct zt_identity *from, uint64_t to)
{
    uint8_t text[ZT_CAP_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_cap_signed(&w, cap);
    unsigned i = cap->nlinks++;
    cap->chain[i].to = to;
    cap->chain[i].from = from->addr;
    cap->chain[i].has_sig = true;
    zt_identity_sign(from, text, w.n, cap->chain[i].sig);
}

static enum zt_verdict show_cap(const struct zt_cap *cap)
{
    uint8_t p[2000];
    struct zt_wr w = zt_wr(p, sizeof p);
    fake_now.mono_ms += 2000;
    zt_wr_u8(&w, 0);
    zt_wr_u16(&w, 1);
    zt_wr_cap(&w, cap);
    zt_wr_u32(&w, 0);
    zt_wr_u16(&w, 0);
    assert_false(w.bad);
    return fake_inject(b, A, ZT_VERB_NETWORK_CREDENTIALS, p, w.n);
}

static void a_capability_opens_what_the_rules_leave(void **state)
{
    struct zt_cap cap = cap_for(A, 7, T, 1);

    join(""); /* no rule matches: nothing passes but by capability */
    assert_false(ipv4_arrives("10.0.0.1"));
    cap.chain[0].sig[5] ^= 1;
    assert_int_equal(show_cap(&cap), ZT_VERDICT_OK);
    assert_false(ipv4_arrives("10.0.0.1"));
    cap.chain[0].sig[5] ^= 1;
    assert_int_equal(show_cap(&cap), ZT_VERDICT_TRUSTED);
    assert_true(ipv4_arrives("10.0.0.1"));
    /* Replaced by a newer one, not by an older; revoked up to a time. */
    cap = cap_for(A, 7, T + 1, 1);
    assert_int_equal(show_cap(&cap), ZT_VERDICT_TRUSTED);
    cap = cap_for(A, 7, T, 1);
    assert_int_equal(show_cap(&cap), ZT_VERDICT_OK);
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_CAPABILITY, 7, T, 0);
    ctl_show_revocation(b, CTL, &rev);
    assert_true(ipv4_arrives("10.0.0.1"));
    rev = ctl_revocation(A, ZT_CRED_CAPABILITY, 7, T + 1, 0);
    ctl_show_revocation(b, CTL, &rev);
    assert_false(ipv4_arrives("10.0.0.1"));
    cap = cap_for(A, 7, T + 2, 1);
    show_cap(&cap);
    assert_true(ipv4_arrives("10.0.0.1"));
}

static void a_chain_of_custody(void **state)
{
    struct zt_cap cap = cap_for(HOLDER, 7, T, 2);

    join("");
    pass_on(&cap, &holder, A);
    /* The one in the middle is a stranger: it is asked for, not the controller. */
    assert_int_equal(show_cap(&cap), ZT_VERDICT_HOLD);
    assert_true(b->asked == HOLDER);
    assert_false(ipv4_arrives("10.0.0.1"));
    fake_node_with(&holder);
    assert_int_equal(show_cap(&cap), ZT_VERDICT_TRUSTED);
    assert_true(ipv4_arrives("10.0.0.1"));
}

static void broken_chains(void **state)
{
    struct zt_cap cap;

    join("");
    fake_node_with(&holder);
    cap = cap_for(HOLDER, 7, T, 1); /* longer than it may be */
    pass_on(&cap, &holder, A);
    show_cap(&cap);
    cap = cap_for(B, 7, T, 2); /* passed on by somebody it was not issued to */
    pass_on(&cap, &holder, A);
    show_cap(&cap);
    cap = cap_for(HOLDER, 7, T, 2); /* the second link forged */
    pass_on(&cap, &holder, A);
    cap.chain[1].sig[0] ^= 1;
    show_cap(&cap);
    cap = cap_for(HOLDER, 7, T, 2); /* signed by the controller instead of the holder */
    pass_on(&cap, &ctl_identity, A);
    show_cap(&cap);
    cap = cap_for(HOLDER, 7, T, 2); /* stolen: the last link cut off */
    show_cap(&cap);
    assert_int_equal(b->drops.n[ZT_DROP_CREDENTIAL], 4); /* the last one is HOLDER's, as it says */
    assert_false(ipv4_arrives("10.0.0.1"));
}

/* ---- ownership ---- */

static struct zt_coo coo_for(uint64_t to, uint32_t id, const char *ip, int64_t timestamp)
{
    struct zt_coo coo = {.nwid = CTL_NWID,
                         .timestamp = timestamp,
                         .id = id,
                         .n = 1,
                         .issued_to = to,
                         .signed_by = CTL,
                         .has_sig = true};
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    struct zt_ep ep;
    assert_int_equal(zt_ep_parse(ip, &ep), 0);
    coo.thing[0].type = ZT_THING_IPV4;
    memcpy(coo.thing[0].value, ep.ip, 4);
    zt_wr_coo_signed(&w, &coo);
    zt_identity_sign(&ctl_identity, text, w.n, coo.sig);
    return coo;
}

static enum zt_verdict show_coo(const struct zt_coo *coo)
{
    uint8_t p[2000];
    struct zt_wr w = zt_wr(p, sizeof p);
    fake_now.mono_ms += 2000;
    zt_wr_u8(&w, 0);
    zt_wr_u16(&w, 0);
    zt_wr_u16(&w, 0);
    zt_wr_u16(&w, 0);
    zt_wr_u16(&w, 1);
    zt_wr_coo(&w, coo);
    return fake_inject(b, A, ZT_VERB_NETWORK_CREDENTIALS, p, w.n);
}

static void only_owned_addresses_may_be_claimed(void **state)
{
    struct zt_coo coo = coo_for(A, 1, "10.0.0.1", T);

    join("290810000000000000000100"); /* accept if the sender's IP is authenticated */
    assert_false(ipv4_arrives("10.0.0.1"));
    assert_false(arp_arrives("10.0.0.1"));
    coo.thing[0].value[3] = 2;
    show_coo(&coo); /* changed after it was signed */
    assert_false(ipv4_arrives("10.0.0.2"));
    coo.thing[0].value[3] = 1;
    assert_int_equal(show_coo(&coo), ZT_VERDICT_TRUSTED);
    assert_true(ipv4_arrives("10.0.0.1"));
    assert_true(arp_arrives("10.0.0.1"));
    assert_false(ipv4_arrives("10.0.0.2"));
    assert_false(arp_arrives("10.0.0.2")); /* spoofed */
    /* Another certificate adds, a newer one of the same id replaces. */
    coo = coo_for(A, 2, "10.0.0.2", T);
    show_coo(&coo);
    assert_true(ipv4_arrives("10.0.0.1") && ipv4_arrives("10.0.0.2"));
    coo = coo_for(A, 1, "10.0.0.3", T + 1);
    show_coo(&coo);
    assert_false(ipv4_arrives("10.0.0.1"));
    assert_true(ipv4_arrives("10.0.0.2") && ipv4_arrives("10.0.0.3"));
    /* Somebody else's does not help. */
    coo = coo_for(HOLDER, 3, "10.0.0.4", T);
    show_coo(&coo);
    assert_false(ipv4_arrives("10.0.0.4"));
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_OWNERSHIP, 2, T, 0);
    ctl_show_revocation(b, CTL, &rev);
    assert_false(ipv4_arrives("10.0.0.2"));
    assert_true(ipv4_arrives("10.0.0.3"));
}

/* ---- several networks ---- */

#define OTHER (CTL_NWID ^ 0xff)

static void networks_do_not_mix(void **state)
{
    struct zt_com com = ctl_com(a, T), other = ctl_com(a, T);
    uint8_t p[1000], text[ZT_CRED_TEXT_MAX], body[30] = {0};
    struct zt_wr w = zt_wr(text, sizeof text);

    join(NULL);
    assert_int_equal(zt_vl2_join(b->vl2, &fake_now, OTHER, NULL, 0), 0);
    uint8_t dict[4096], chunk[ZT_PAYLOAD_MAX];
    struct ctl_plan plan = {.timestamp = T, .nwid = OTHER};
    size_t n = ctl_dictionary(b, &plan, dict, sizeof dict);
    /* Issued for the other network, but sent as if for the first: refused there. */
    n = ctl_chunk(dict, n, 0, n, 555, 0, chunk);
    fake_inject_ok(b, CTL, ZT_VERB_NETWORK_CONFIG_REQUEST, chunk, n);
    assert_int_equal(b->drops.n[ZT_DROP_CONFIG], 1);
    assert_null(zt_network_find(b->vl2, OTHER)->cfg);
    /* Credentials for both in one packet: each goes to its own; the second has no configuration to
     * agree with. */
    other.t[1].value = OTHER;
    zt_wr_com_signed(&w, &other);
    zt_identity_sign(&ctl_identity, text, w.n, other.sig);
    w = zt_wr(p, sizeof p);
    zt_wr_com(&w, &com);
    zt_wr_com(&w, &other);
    zt_wr_u8(&w, 0);
    zt_wr_u64(&w, 0);
    assert_int_equal(fake_inject(b, A, ZT_VERB_NETWORK_CREDENTIALS, p, w.n), ZT_VERDICT_TRUSTED);
    assert_non_null(zt_member_find(zt_network_find(b->vl2, OTHER), A));
    zt_put16(body + 8, 0x0800);
    zt_put64(body, OTHER);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->nframes, 0);
    assert_int_equal(b->drops.n[ZT_DROP_NO_CONFIG], 1);
    zt_put64(body, CTL_NWID);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->nframes, 1);
    /* A revocation on one leaves the other alone. */
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_COM, 0, T, 0);
    fake_now.mono_ms += 5000;
    ctl_show_revocation(b, CTL, &rev);
    assert_null(zt_network_gate(ctl_net(b), &fake_now, A));
    assert_int_equal(zt_member_find(zt_network_find(b->vl2, OTHER), A)->com_revoked, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_capability_opens_what_the_rules_leave),
        TEST(a_chain_of_custody),
        TEST(broken_chains),
        TEST(only_owned_addresses_may_be_claimed),
        TEST(networks_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
