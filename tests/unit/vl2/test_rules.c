/* Corner cases of the rules engine that the recorded vectors leave open: order of sets, hard
 * answers, lenient tags, copies, and frames of every length. */

#include "ztest.h"

#include <stdio.h>

#include "vl2/rules.h"

#define SELF 0x1122334455u
#define PEER 0x89e92ceee5u
#define OBSERVER 0x360273b27fu

/* UDP 10.0.0.2:5000 -> 10.0.0.3:53 */
static const uint8_t udp[] = {0x45, 0, 0, 32, 0,    0,    0, 0,  64, 17, 0, 0, 10, 0, 0, 2,
                              10,   0, 0, 3,  0x13, 0x88, 0, 53, 0,  12, 0, 0, 1,  2, 3, 4};

struct filter {
    struct zt_policy net;
    struct zt_filter_frame frame;
    struct zt_holdings remote;
    struct zt_rule rules[64];
    struct zt_filter_outcome out;
};

static int run(struct filter *f, const char *hex, bool inbound)
{
    uint8_t bytes[512];

    assert_true(strlen(hex) / 2 <= sizeof bytes);
    assert_int_equal(zt_hex_decode(hex, bytes, strlen(hex) / 2), 0);
    int n = zt_rules_decode(bytes, strlen(hex) / 2, f->rules, 64);
    assert_true(n >= 0);
    f->net.rules = f->rules;
    f->net.nrules = (unsigned)n;
    f->net.self = SELF;
    if (f->frame.p == NULL) {
        f->frame.p = udp;
        f->frame.n = sizeof udp;
        f->frame.ethertype = 0x0800;
    }
    f->frame.source = inbound ? PEER : SELF;
    f->frame.dest = inbound ? SELF : PEER;
    if (inbound)
        zt_filter_in(&f->net, &f->frame, &f->remote, &f->out);
    else
        zt_filter_out(&f->net, &f->frame, &f->remote, false, &f->out);
    return f->out.result;
}

static int out(const char *hex)
{
    struct filter f = {0};
    return run(&f, hex, false);
}

static void sets(void **state)
{
    assert_int_equal(out(""), 0);     /* nothing matches: no implicit accept */
    assert_int_equal(out("0500"), 0); /* break */
    assert_int_equal(out("0100"), 1);
    assert_int_equal(out("0600"), 1); /* priority accepts */
    assert_int_equal(out("0700"
                         "0100"),
                     1); /* unknown action: next */
    /* and: UDP and port 53; port 54 fails the set, the next starts fresh */
    assert_int_equal(out("240111"
                         "280400350035"
                         "0100"),
                     1);
    assert_int_equal(out("240111"
                         "280400360036"
                         "0100"),
                     0);
    assert_int_equal(out("240106"
                         "0000"
                         "0100"),
                     1);
    /* (TCP) or UDP; or on the first of a set makes it true */
    assert_int_equal(out("240106"
                         "640111"
                         "0100"),
                     1);
    assert_int_equal(out("640106"
                         "0100"),
                     1);
    /* left to right: (TCP and port 54) or UDP */
    assert_int_equal(out("240106"
                         "280400360036"
                         "640111"
                         "0100"),
                     1);
    /* (TCP or UDP) and port 54 */
    assert_int_equal(out("240106"
                         "640111"
                         "280400360036"
                         "0100"),
                     0);
    /* NOT and OR bits of an action mean nothing */
    assert_int_equal(out("c100"), 1);
}

static void hard_answers_ignore_not(void **state)
{
    /* IPv6 tests, ICMP, a tag nobody has: false, and false when negated */
    assert_int_equal(out("211100000000000000000000000000000000"
                         "00"
                         "0100"),
                     0);
    assert_int_equal(out("a11100000000000000000000000000000000"
                         "00"
                         "0100"),
                     0);
    assert_int_equal(out("a603080000"
                         "0100"),
                     0);
    assert_int_equal(out("b0080000000500000006"
                         "0100"),
                     0);
    /* soft ones are inverted: another port, another ethertype */
    assert_int_equal(out("a80400360036"
                         "0100"),
                     1);
    assert_int_equal(out("a5020806"
                         "0100"),
                     1);
    /* no ports in this protocol: plain false, so negated true */
    uint8_t icmp[sizeof udp];
    struct filter f = {0};
    memcpy(icmp, udp, sizeof udp);
    icmp[9] = 1;
    f.frame = (struct zt_filter_frame){.p = icmp, .n = sizeof icmp, .ethertype = 0x0800};
    assert_int_equal(run(&f,
                         "280400000035"
                         "0100",
                         false),
                     0);
    assert_int_equal(run(&f,
                         "a80400000035"
                         "0100",
                         false),
                     1);
}

static void unknown_matches_obey_the_network(void **state)
{
    struct filter f = {0};
    assert_int_equal(run(&f,
                         "1403aabbcc"
                         "0100",
                         false),
                     0);
    assert_int_equal(run(&f,
                         "9403aabbcc"
                         "0100",
                         false),
                     1);
    f.net.flags = ZT_NET_UNKNOWN_MATCHES;
    assert_int_equal(run(&f,
                         "1403aabbcc"
                         "0100",
                         false),
                     1);
    assert_int_equal(run(&f,
                         "9403aabbcc"
                         "0100",
                         false),
                     0);
}

/* Tag 5 is ours with value 6; the remote's is not known. */
static void lenient_out_strict_in(void **state)
{
    static const struct zt_held_tag tag = {5, 6, 0};
    static const char drop_if[] = "300800000005000000060000"
                                  "0100";
    static const char accept_if[] = "300800000005000000060100";
    struct filter f = {.net.own = {.tags = &tag, .ntags = 1}};

    assert_int_equal(run(&f, accept_if, false), 1);
    assert_int_equal(run(&f, accept_if, true), 0);
    assert_int_equal(run(&f, drop_if, false), 1); /* the drop is passed over once */
    assert_int_equal(run(&f,
                         "300800000005000000060000"
                         "0000"
                         "0100",
                         false),
                     0);
    /* a false match in front has no side effect: the drop counts */
    assert_int_equal(run(&f,
                         "240106"
                         "30080000000500000006"
                         "0000"
                         "0000"
                         "0100",
                         false),
                     0);
    /* known: decided by the values, on both sides */
    static const struct zt_held_tag theirs = {5, 7, 0};
    f.remote = (struct zt_holdings){.tags = &theirs, .ntags = 1};
    assert_int_equal(run(&f, accept_if, false), 0);
    assert_int_equal(run(&f,
                         "2c080000000500000001"
                         "0100",
                         true),
                     1); /* difference <= 1 */
    assert_int_equal(run(&f,
                         "31080000000500000007"
                         "0100",
                         true),
                     1); /* sender has 7 */
    assert_int_equal(run(&f,
                         "32080000000500000006"
                         "0100",
                         true),
                     1); /* receiver has 6 */
    assert_int_equal(run(&f,
                         "31080000000500000006"
                         "0100",
                         false),
                     1); /* sender: us */
    assert_int_equal(run(&f,
                         "31080000000900000006"
                         "0100",
                         true),
                     0);
}

static void copies(void **state)
{
    static const char tee[] = "020e000000360273b27f00000000";
    char rules[200];
    struct filter f = {0};

    snprintf(rules, sizeof rules, "%s00080100", tee);
    assert_int_equal(run(&f, rules, false), 1);
    assert_int_equal(f.out.ncopies, 1);
    assert_true(f.out.copies[0].to == OBSERVER);
    assert_int_equal(f.out.copies[0].flags, 0x02);
    assert_int_equal(f.out.copies[0].n, 8);
    /* not again for the other destinations of a multicast */
    zt_filter_out(&f.net, &f.frame, &f.remote, true, &f.out);
    assert_int_equal(f.out.result, 1);
    assert_int_equal(f.out.ncopies, 0);
    /* longer than the frame: all of it */
    snprintf(rules, sizeof rules, "%sffff0100", tee);
    assert_int_equal(run(&f, rules, true), 1);
    assert_int_equal(f.out.copies[0].n, sizeof udp);
    assert_int_equal(f.out.copies[0].flags, 0x08);
    /* dropped after all: no copy */
    snprintf(rules, sizeof rules, "%s00080000", tee);
    assert_int_equal(run(&f, rules, false), 0);
    assert_int_equal(f.out.ncopies, 0);
    /* to the sender itself or the destination: nothing to do */
    assert_int_equal(run(&f, "020e00000011223344550000000000000100", false), 1);
    assert_int_equal(f.out.ncopies, 0);
    assert_int_equal(run(&f, "040e00000089e92ceee50000000000000100", false), 1);
    assert_int_equal(f.out.ncopies, 0);
    /* redirected: blocked here, sent there; also with no_tee */
    assert_int_equal(run(&f, "040e000000360273b27f000000000000", false), 0);
    assert_int_equal(f.out.copies[0].flags, 0x04);
    zt_filter_out(&f.net, &f.frame, &f.remote, true, &f.out);
    assert_int_equal(f.out.ncopies, 1);
    /* we are the target of somebody's redirect: super accept */
    assert_int_equal(run(&f, "040e00000011223344550000000000000000", true), 2);
    /* the set did not match for us, but may have for the sender with its tags: what follows is
     * judged as the target */
    assert_int_equal(run(&f,
                         "240106"
                         "040e00000011223344550000000000000100",
                         true),
                     2);
}

static void capabilities(void **state)
{
    struct zt_rule accept[1] = {{.t = ZT_RULE_ACTION_ACCEPT}},
                   drop[1] = {{.t = ZT_RULE_ACTION_DROP}};
    struct zt_held_cap caps[2] = {{1, 1, drop, 0}, {2, 1, accept, 0}};
    struct filter f = {.net.own = {.caps = caps, .ncaps = 2}};

    assert_int_equal(run(&f, "", false), 1);     /* the first only ends itself */
    assert_int_equal(run(&f, "0000", false), 0); /* not asked after a drop */
    assert_int_equal(run(&f, "", true), 0);      /* inbound the sender's count */
    f.net.own.ncaps = 1;
    assert_int_equal(run(&f, "", false), 0);
    f.remote = (struct zt_holdings){.caps = caps, .ncaps = 2};
    assert_int_equal(run(&f, "", true), 1);
}

static void random_is_a_threshold(void **state)
{
    struct filter f = {0};
    f.frame.random = 0x80000000;
    assert_int_equal(run(&f,
                         "2b0480000000"
                         "0100",
                         false),
                     1);
    assert_int_equal(run(&f,
                         "2b047fffffff"
                         "0100",
                         false),
                     0);
}

/* Little-endian numbers keep the high bits of their bytes, big-endian ones the low bits. */
static void integers(void **state)
{
    static const uint8_t p[] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x11};
    struct filter f = {.frame = {.p = p, .n = sizeof p, .ethertype = 0x1234}};
    /* 12 bits at 0, little: bytes 12 34 -> 3412 -> 341 */
    assert_int_equal(run(&f,
                         "331300000000000003410000000000000341"
                         "00008b"
                         "0100",
                         false),
                     1);
    /* 12 bits, big: read at 0 + 6: de f0 -> def0 -> ef0 */
    assert_int_equal(run(&f,
                         "33130000000000000ef00000000000000ef0"
                         "00000b"
                         "0100",
                         false),
                     1);
    /* 64 bits, big */
    assert_int_equal(run(&f,
                         "3313123456789abcdef0123456789abcdef0"
                         "00003f"
                         "0100",
                         false),
                     1);
    /* last byte just inside, just outside (then 0) */
    assert_int_equal(run(&f,
                         "331300000000000000110000000000000011"
                         "000887"
                         "0100",
                         false),
                     1);
    assert_int_equal(run(&f,
                         "331300000000000000000000000000000000"
                         "000987"
                         "0100",
                         false),
                     1);
    assert_int_equal(run(&f,
                         "331300000000000000110000000000000011"
                         "ffff87"
                         "0100",
                         false),
                     0);
}

/* All types, on frames of all lengths and with extreme header fields: nothing outside is read. */
static void any_frame(void **state)
{
    static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0x8100};
    static const uint64_t masks[] = {UINT64_MAX};
    struct zt_rule all[ZT_RULE_TYPE + 1];
    unsigned accepted = 0;

    for (unsigned t = 0; t <= ZT_RULE_TYPE; t++) {
        memset(&all[t], 0, sizeof all[t]);
        all[t].t = (uint8_t)(t < ZT_RULE_MATCHES ? ZT_RULE_MATCHES : t | ZT_RULE_OR);
        if (t == ZT_RULE_MATCH_CHARACTERISTICS)
            all[t].u.mask = masks[0];
        if (t == ZT_RULE_MATCH_IPV6_SOURCE || t == ZT_RULE_MATCH_IPV6_DEST)
            all[t].u.net.bits = 128;
        if (t == ZT_RULE_MATCH_INTEGER_RANGE)
            all[t].u.integer.format = 0xbf;
    }
    struct zt_policy net = {
        .self = SELF, .rules = all, .nrules = ZT_RULE_TYPE + 1, .flags = ZT_NET_NDP_EMULATION};
    for (unsigned fill = 0; fill < 256; fill++) {
        for (size_t n = 0; n < 80; n++) {
            uint8_t bytes[80];
            memset(bytes, (int)fill, sizeof bytes);
            bytes[6] = fill & 1 ? 0 : 6; /* an extension header, or TCP */
            bytes[9] = fill & 1 ? 1 : 6;
            uint8_t *p = exact_copy(bytes, n);
            for (unsigned k = 0; k < 8; k++) {
                struct zt_filter_frame f = {
                    .source = PEER, .dest = SELF, .p = p, .n = n, .ethertype = types[k / 2]};
                struct zt_filter_outcome o;
                if (k & 1)
                    zt_filter_in(&net, &f, NULL, &o);
                else
                    zt_filter_out(&net, &f, NULL, false, &o);
                accepted += o.result != ZT_FILTER_DROP;
            }
            free(p);
        }
    }
    assert_int_equal(accepted, 0); /* no action among them */
}

static void entries(void **state)
{
    uint8_t bytes[64];
    struct zt_rule rules[4];

    assert_int_equal(zt_hex_decode("2802000001000100", bytes, 8), 0);
    assert_true(zt_rules_decode(bytes, 8, rules, 4) < 0); /* field too short for its type */
    assert_int_equal(zt_hex_decode("2503080099"
                                   "0100",
                                   bytes, 7),
                     0);
    assert_int_equal(zt_rules_decode(bytes, 7, rules, 4), 2); /* longer: read from the front */
    assert_int_equal(rules[0].u.number, 0x0800);
    assert_int_equal(zt_rules_decode(bytes, 7, rules, 1), 1);
    assert_int_equal(zt_rules_decode(bytes, 7, NULL, 4), 2);
    for (size_t i = 1; i < 7; i++)
        assert_true(i == 5 || zt_rules_decode(bytes, i, rules, 4) < 0);
    assert_string_equal(zt_rule_name(51), "MATCH_INTEGER_RANGE");
    assert_null(zt_rule_name(52));
    /* More bits than an address has. */
    assert_int_equal(zt_hex_decode("1f050a0000ffff"
                                   "0100",
                                   bytes, 9),
                     0);
    assert_int_equal(zt_rules_decode(bytes, 9, rules, 4), 2);
    assert_int_equal(rules[0].u.net.bits, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),
        cmocka_unit_test(hard_answers_ignore_not),
        cmocka_unit_test(unknown_matches_obey_the_network),
        cmocka_unit_test(lenient_out_strict_in),
        cmocka_unit_test(copies),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(random_is_a_threshold),
        cmocka_unit_test(integers),
        cmocka_unit_test(any_frame),
        cmocka_unit_test(entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
