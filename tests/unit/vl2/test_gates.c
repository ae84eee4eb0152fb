/* Every gate of VL2 (vl2/state.h), proven by removing it: each attempt below is kept out, and
 * counted, while the gates are closed, and comes through when its gate alone is open. Built with
 * the sources of vl2 compiled once more, with ZT_TEST_GATES.
 *
 * b is a member of a private network; a is the one who tries; c is a member that b knows. */

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
#define C 0x5fa38da9deu
#define T 5000000
#define GROUP 0x01005e000001u
#define BEHIND 0x001122334455u

enum zt_gate zt_test_open_gate = ZT_GATE_COUNT;

static struct zt_vl1 *a, *b, *c;

/* accept if tag 5 of both is 6 */
static const char tag_rules[] = "300800000005000000060100";
static const char drop_rules[] = "0000";

/* ---- what a can do ---- */

static void sign_com(struct zt_com *com)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    zt_wr_com_signed(&w, com);
    zt_identity_sign(&ctl_identity, text, w.n, com->sig);
}

static void become_member(struct zt_vl1 *n)
{
    struct zt_com com = ctl_com(n, T);
    assert_int_equal(ctl_show_com(b, n->addr, &com), ZT_VERDICT_TRUSTED);
}

static bool frame_arrives(void)
{
    uint8_t body[30] = {0};
    size_t before = b->nframes;
    zt_put64(body, CTL_NWID);
    zt_put16(body + 8, 0x0800);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    return b->nframes > before;
}

static bool ext_frame_arrives(uint64_t dest, uint64_t source)
{
    uint8_t body[43] = {0};
    size_t before = b->nframes;
    zt_put64(body, CTL_NWID);
    zt_put48(body + 9, dest);
    zt_put48(body + 15, source);
    zt_put16(body + 21, 0x0800);
    fake_inject(b, A, ZT_VERB_EXT_FRAME, body, sizeof body);
    return b->nframes > before;
}

static bool config_installed(int64_t timestamp)
{
    const struct zt_network *net = ctl_net(b);
    return net->cfg != NULL && net->cfg->timestamp == timestamp;
}

/* A signed chunk, passed on by a. */
static bool pushed_config_is_taken(const struct ctl_plan *plan, bool forged)
{
    static uint64_t update = 77000;
    uint8_t dict[4096], p[ZT_PAYLOAD_MAX];
    size_t n = ctl_dictionary(b, plan, dict, sizeof dict);
    n = ctl_chunk(dict, n, 0, n, ++update, 0, p);
    if (forged)
        p[n - 1] ^= 1;
    fake_inject(b, A, ZT_VERB_NETWORK_CONFIG, p, n);
    return config_installed(plan->timestamp);
}

static struct zt_group_id group(void)
{
    return (struct zt_group_id){CTL_NWID, GROUP, 0};
}

/* ---- attempts: true when it worked ---- */

static bool frame(void)
{
    return frame_arrives();
}

static bool ext_frame(void)
{
    return ext_frame_arrives(zt_mac_of(B, CTL_NWID), zt_mac_of(A, CTL_NWID));
}

static bool multicast_frame(void)
{
    uint8_t body[41] = {0};
    zt_put64(body, CTL_NWID);
    zt_put48(body + 9, GROUP);
    zt_put16(body + 19, 0x0800);
    fake_inject(b, A, ZT_VERB_MULTICAST_FRAME, body, sizeof body);
    return b->nframes > 0;
}

static bool like(void)
{
    uint8_t body[18] = {0};
    zt_put64(body, CTL_NWID);
    zt_put48(body + 8, GROUP);
    fake_inject(b, A, ZT_VERB_MULTICAST_LIKE, body, sizeof body);
    return zt_mcast_count(&b->vl2->mcast, group()) > 0;
}

static bool gather(void)
{
    uint8_t body[23] = {0};
    zt_mcast_add(&b->vl2->mcast, &fake_now, group(), C);
    zt_put64(body, CTL_NWID);
    zt_put48(body + 9, GROUP);
    zt_put32(body + 19, 10);
    fake_inject(b, A, ZT_VERB_MULTICAST_GATHER, body, sizeof body);
    return fake_count(b, ZT_VERB_OK) > 0;
}

static bool unwanted(void)
{
    uint8_t body[18] = {0};
    zt_mcast_add(&b->vl2->mcast, &fake_now, group(), A);
    zt_put64(body, CTL_NWID);
    zt_put48(body + 8, GROUP);
    fake_inject_error(b, A, ZT_VERB_MULTICAST_FRAME, ZT_ERROR_UNWANTED_MULTICAST, body,
                      sizeof body);
    return zt_mcast_count(&b->vl2->mcast, group()) == 0;
}

/* b asked it, though not for this network. */
static bool tell(void)
{
    uint8_t body[30] = {0};
    zt_mcast_add(&b->vl2->mcast, &fake_now, group(), C);
    zt_put64(body, CTL_NWID);
    zt_put48(body + 8, GROUP);
    body[18] = 0x02;
    zt_put16(body + 23, 1);
    zt_put40(body + 25, 0x4444444444u);
    fake_inject_ok(b, A, ZT_VERB_MULTICAST_FRAME, body, sizeof body);
    return zt_mcast_count(&b->vl2->mcast, group()) > 1;
}

static bool com_of_another_network(void)
{
    uint8_t body[600];
    struct zt_wr w = zt_wr(body, sizeof body);
    struct zt_com com = ctl_com(a, T);
    com.t[1].value = CTL_NWID ^ 1; /* of the same controller */
    sign_com(&com);
    zt_wr_u64(&w, CTL_NWID);
    zt_wr_u8(&w, 0x01); /* attached */
    zt_wr_com(&w, &com);
    zt_wr_u48(&w, zt_mac_of(B, CTL_NWID));
    zt_wr_u48(&w, zt_mac_of(A, CTL_NWID));
    zt_wr_u16(&w, 0x0800);
    fake_inject(b, A, ZT_VERB_EXT_FRAME, body, w.n);
    const struct zt_member *m = zt_member_find(ctl_net(b), A);
    return m != NULL && m->com != NULL;
}

static bool com_signed_by_itself(void)
{
    uint8_t text[ZT_CRED_TEXT_MAX];
    struct zt_wr w = zt_wr(text, sizeof text);
    struct zt_com com = ctl_com(a, T);
    zt_wr_com_signed(&w, &com);
    struct zt_identity own = ctl_identity;
    own.priv[40] ^= 1;
    zt_identity_sign(&own, text, w.n, com.sig);
    com.signed_by = A;
    ctl_show_com(b, A, &com);
    return frame_arrives();
}

static bool com_with_a_flipped_bit(void)
{
    struct zt_com com = ctl_com(a, T);
    com.sig[3] ^= 1;
    ctl_show_com(b, A, &com);
    return frame_arrives();
}

static bool com_of_another_identity(void)
{
    struct zt_vl1 other = {.addr = A, .id = {.addr = A}};
    struct zt_com com = ctl_com(&other, T);
    ctl_show_com(b, A, &com);
    return frame_arrives();
}

static bool com_too_old(void)
{
    struct zt_com com = ctl_com(a, T - CTL_DELTA - 1);
    ctl_show_com(b, A, &com);
    return frame_arrives();
}

static bool com_from_the_future(void)
{
    struct zt_com com = ctl_com(a, T + CTL_DELTA + 1);
    ctl_show_com(b, A, &com);
    return frame_arrives();
}

static void revoke_a(uint8_t type, uint32_t id)
{
    struct zt_revocation rev = ctl_revocation(A, type, id, T, 0);
    assert_int_equal(ctl_show_revocation(b, CTL, &rev), ZT_VERDICT_TRUSTED);
}

static bool com_revoked(void)
{
    become_member(a);
    revoke_a(ZT_CRED_COM, 0);
    return frame_arrives();
}

/* b's rules ask for a tag. */
static void ask_for_tag(void)
{
    struct zt_tag tag = ctl_tag(B, 5, 6, T);
    ctl_configure(b, &(struct ctl_plan){.timestamp = T, .rules = tag_rules, .tag = &tag});
    become_member(a);
}

static bool tag_forged(void)
{
    struct zt_tag tag = ctl_tag(A, 5, 6, T);
    tag.sig[0] ^= 1;
    ask_for_tag();
    ctl_show_tag(b, A, &tag);
    return frame_arrives();
}

static bool tag_changed(void)
{
    struct zt_tag tag = ctl_tag(A, 5, 7, T);
    tag.value = 6;
    ask_for_tag();
    ctl_show_tag(b, A, &tag);
    return frame_arrives();
}

static bool tag_revoked(void)
{
    struct zt_tag tag = ctl_tag(A, 5, 6, T);
    ask_for_tag();
    revoke_a(ZT_CRED_TAG, 5);
    ctl_show_tag(b, A, &tag);
    return frame_arrives();
}

static bool tag_too_old(void)
{
    struct zt_tag tag = ctl_tag(A, 5, 6, T - CTL_DELTA - 1);
    ask_for_tag();
    ctl_show_tag(b, A, &tag);
    return frame_arrives();
}

static bool revocation_forged(void)
{
    struct zt_revocation rev = ctl_revocation(A, ZT_CRED_COM, 0, T, ZT_REVOCATION_FAST);
    rev.sig[0] ^= 1;
    become_member(a);
    ctl_show_revocation(b, C, &rev);
    return !frame_arrives();
}

static bool unicast_to_a_revoked_node(void)
{
    become_member(a);
    revoke_a(ZT_CRED_COM, 0);
    fake_clear();
    ctl_frame(b, A);
    return fake_count(b, ZT_VERB_FRAME) > 0;
}

static bool multicast_to_a_revoked_node(void)
{
    uint8_t p[30] = {0x45};
    become_member(a);
    zt_mcast_add(&b->vl2->mcast, &fake_now, group(), A);
    revoke_a(ZT_CRED_COM, 0);
    fake_clear();
    fake_frame_out(b, CTL_NWID, GROUP, zt_mac_of(B, CTL_NWID), 0x0800, p, sizeof p);
    return fake_count(b, ZT_VERB_MULTICAST_FRAME) > 0;
}

static bool unicast_to_a_stranger(void)
{
    ctl_frame(b, A);
    return fake_count(b, ZT_VERB_FRAME) > 0;
}

static bool multicast_to_a_stranger(void)
{
    uint8_t p[30] = {0x45};
    zt_mcast_add(&b->vl2->mcast, &fake_now, group(), A);
    fake_frame_out(b, CTL_NWID, GROUP, zt_mac_of(B, CTL_NWID), 0x0800, p, sizeof p);
    return fake_count(b, ZT_VERB_MULTICAST_FRAME) > 0;
}

static bool unicast_to_who_was_too_long_away(void)
{
    struct zt_com com = ctl_com(a, T - CTL_DELTA - 1);
    ctl_show_com(b, A, &com);
    fake_clear();
    ctl_frame(b, A);
    return fake_count(b, ZT_VERB_FRAME) > 0;
}

static bool against_the_rules_in(void)
{
    ctl_configure(b, &(struct ctl_plan){.timestamp = T, .rules = drop_rules});
    become_member(a);
    return frame_arrives();
}

static bool against_the_rules_out(void)
{
    ctl_configure(b, &(struct ctl_plan){.timestamp = T, .rules = drop_rules});
    fake_clear();
    ctl_frame(b, C);
    return fake_count(b, ZT_VERB_FRAME) > 0;
}

static bool foreign_source(void)
{
    become_member(a);
    return ext_frame_arrives(zt_mac_of(B, CTL_NWID), BEHIND);
}

static bool foreign_source_of_a_multicast(void)
{
    uint8_t body[47] = {0};
    become_member(a);
    zt_put64(body, CTL_NWID);
    body[8] = 0x04;
    zt_put48(body + 9, BEHIND);
    zt_put48(body + 15, GROUP);
    zt_put16(body + 25, 0x0800);
    fake_inject(b, A, ZT_VERB_MULTICAST_FRAME, body, sizeof body);
    return b->nframes > 0;
}

static bool foreign_destination(void)
{
    become_member(a);
    return ext_frame_arrives(BEHIND, zt_mac_of(A, CTL_NWID));
}

static bool sending_from_a_foreign_source(void)
{
    uint8_t p[30] = {0x45};
    fake_clear();
    fake_frame_out(b, CTL_NWID, zt_mac_of(C, CTL_NWID), BEHIND, 0x0800, p, sizeof p);
    return fake_count(b, ZT_VERB_EXT_FRAME) > 0;
}

static bool config_forged(void)
{
    return pushed_config_is_taken(&(struct ctl_plan){.timestamp = T + 1}, true);
}

static bool config_unsigned(void)
{
    struct ctl_plan plan = {.timestamp = T + 1};
    uint8_t dict[4096], p[ZT_PAYLOAD_MAX];
    size_t n = ctl_dictionary(b, &plan, dict, sizeof dict);
    struct zt_wr w = zt_wr(p, sizeof p);
    zt_wr_u64(&w, CTL_NWID);
    zt_wr_u16(&w, (uint16_t)n);
    zt_wr_bytes(&w, dict, n);
    fake_inject(b, A, ZT_VERB_NETWORK_CONFIG, p, w.n);
    return config_installed(plan.timestamp);
}

static bool config_of_another_node(void)
{
    return pushed_config_is_taken(&(struct ctl_plan){.timestamp = T + 1, .issued_to = C}, false);
}

static bool config_of_another_network(void)
{
    return pushed_config_is_taken(&(struct ctl_plan){.timestamp = T + 1, .nwid = CTL_NWID ^ 1},
                                  false);
}

static bool config_shown_again(void)
{
    return pushed_config_is_taken(&(struct ctl_plan){.timestamp = T - 1}, false);
}

static bool refusal_of_a_stranger(void)
{
    uint8_t body[8];
    zt_put64(body, CTL_NWID);
    fake_inject_error(b, A, ZT_VERB_NETWORK_CONFIG_REQUEST, ZT_ERROR_NETWORK_ACCESS_DENIED, body,
                      sizeof body);
    return ctl_status(b) != ZT_NET_OK;
}

static const struct attempt {
    enum zt_gate gate;
    const char *name;
    bool (*works)(void);
} attempts[] = {
#define TRY(gate, f)          \
    {                         \
        ZT_GATE_##gate, #f, f \
    }
    TRY(FRAME, frame),
    TRY(EXT_FRAME, ext_frame),
    TRY(MULTICAST_FRAME, multicast_frame),
    TRY(LIKE, like),
    TRY(GATHER, gather),
    TRY(UNWANTED, unwanted),
    TRY(TELL, tell),
    TRY(COM_NETWORK, com_of_another_network),
    TRY(COM_SIGNER, com_signed_by_itself),
    TRY(COM_SIGNER, com_with_a_flipped_bit),
    TRY(COM_AGREES, com_of_another_identity),
    TRY(COM_AGREES, com_too_old),
    TRY(COM_AGREES, com_from_the_future),
    TRY(COM_REVOKED, com_revoked),
    TRY(CRED_SIGNER, tag_forged),
    TRY(CRED_SIGNER, tag_changed),
    TRY(CRED_REVOKED, tag_revoked),
    TRY(CRED_WINDOW, tag_too_old),
    TRY(REVOCATION_SIGNER, revocation_forged),
    TRY(RECIPIENT, unicast_to_a_revoked_node),
    TRY(RECIPIENT, multicast_to_a_revoked_node),
    TRY(RECIPIENT, unicast_to_a_stranger),
    TRY(RECIPIENT, multicast_to_a_stranger),
    TRY(RECIPIENT, unicast_to_who_was_too_long_away),
    TRY(RULES_IN, against_the_rules_in),
    TRY(RULES_OUT, against_the_rules_out),
    TRY(BRIDGE_IN, foreign_source),
    TRY(BRIDGE_IN, foreign_source_of_a_multicast),
    TRY(BRIDGED_TO, foreign_destination),
    TRY(BRIDGE_OUT, sending_from_a_foreign_source),
    TRY(CONFIG_SIGNER, config_forged),
    TRY(CONFIG_SENDER, config_unsigned),
    TRY(CONFIG_SUBJECT, config_of_another_node),
    TRY(CONFIG_SUBJECT, config_of_another_network),
    TRY(CONFIG_AGE, config_shown_again),
    TRY(CONTROLLER_ERROR, refusal_of_a_stranger),
#undef TRY
};
#define ATTEMPTS (sizeof attempts / sizeof attempts[0])

static uint64_t refusals(const struct zt_vl1 *n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ZT_DROP_COUNT; i++)
        sum += n->drops.n[i];
    return sum;
}

static bool try_with(const struct attempt *t, enum zt_gate open, uint64_t *refused)
{
    ctl_begin();
    a = fake_node(A);
    b = fake_node(B);
    c = fake_node(C);
    ctl_join(b, &(struct ctl_plan){.timestamp = T});
    become_member(c);
    fake_clear();
    zt_test_open_gate = open;
    bool worked = t->works();
    zt_test_open_gate = ZT_GATE_COUNT;
    *refused = refusals(b);
    fake_end();
    return worked;
}

static void attempt(void **state)
{
    const struct attempt *t = (const struct attempt *)*state;
    uint64_t refused;
    assert_false(try_with(t, ZT_GATE_COUNT, &refused));
    assert_true(refused > 0);
    assert_true(try_with(t, t->gate, &refused));
}

static void every_gate_is_tried(void **state)
{
    bool tried[ZT_GATE_COUNT] = {false};
    for (size_t i = 0; i < ATTEMPTS; i++)
        tried[attempts[i].gate] = true;
    for (unsigned g = 0; g < ZT_GATE_COUNT; g++)
        assert_true(tried[g]);
}

int main(void)
{
    struct CMUnitTest tests[ATTEMPTS + 1];
    for (size_t i = 0; i < ATTEMPTS; i++)
        tests[i] = (struct CMUnitTest){
            .name = attempts[i].name, .test_func = attempt, .initial_state = (void *)&attempts[i]};
    tests[ATTEMPTS] = (struct CMUnitTest)cmocka_unit_test(every_gate_is_tried);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
