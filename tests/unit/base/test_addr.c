#include "ztest.h"

#include "base/addr.h"
#include "base/err.h"
#include "rng.h"

static struct zt_ep ep(const char *text)
{
    struct zt_ep e;
    assert_int_equal(zt_ep_parse(text, &e), 0);
    return e;
}

static void text_forms(void **state)
{
    static const char *const same[] = {
        "10.1.2.3/9993", "0.0.0.0/0",        "255.255.255.255/65535",      "fd00::1/64",
        "::/0",          "::ffff:1.2.3.4/1", "2001:db8:1:2:3:4:5:6/65535",
    };
    static const char *const bad[] = {
        "",
        "/",
        "/1",
        "10.1.2.3/",
        "10.1.2.3/65536",
        "10.1.2.3/-1",
        "10.1.2.3/+1",
        "10.1.2.3/1 ",
        "10.1.2/1",
        "10.1.2.3.4/1",
        "10.1.2.3 /1",
        "fd00::1::2/3",
        "fd00::g/3",
        "x",
        "10.1.2.3/ 1",
        "10.1.2.3/1/2",
        "fd00::1%lo/3",
        "10.1.2.3/99999999999999999999999",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1",
    };
    char out[ZT_EP_STR];
    struct zt_ep e, untouched = ep("1.2.3.4/5");

    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        e = ep(same[i]);
        assert_string_equal(zt_ep_format(&e, out), same[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        e = untouched;
        assert_int_equal(zt_ep_parse(bad[i], &e), ZT_E_FORMAT);
        assert_true(zt_ep_equal(&e, &untouched));
    }
    e = ep("10.1.2.3");
    assert_string_equal(zt_ep_format(&e, out), "10.1.2.3/0");
    assert_string_equal(zt_ep_format_ip(&e, out), "10.1.2.3");
    e = (struct zt_ep){0};
    assert_string_equal(zt_ep_format(&e, out), "");
    assert_string_equal(zt_ep_format_ip(&e, out), "");
}

static void equality_and_hash(void **state)
{
    struct zt_ep a = ep("10.1.2.3/1"), b = ep("10.1.2.3/2"), c = ep("::10.1.2.3/1");
    uint8_t ip[4] = {10, 1, 2, 3};
    struct zt_ep made = zt_ep_make(4, ip, 1);

    assert_true(zt_ep_equal(&a, &made));
    assert_int_equal(zt_ep_hash(&a), zt_ep_hash(&made));
    assert_false(zt_ep_equal(&a, &b));
    assert_true(zt_ep_same_ip(&a, &b));
    assert_false(zt_ep_same_ip(&a, &c));
    assert_int_not_equal(zt_ep_hash(&a), zt_ep_hash(&b));
    assert_int_not_equal(zt_ep_hash(&a), zt_ep_hash(&c));
}

static void scopes(void **state)
{
    static const struct {
        const char *ip;
        enum zt_scope scope;
    } rows[] = {
        {"0.1.2.3", ZT_SCOPE_NONE},
        {"255.255.255.255", ZT_SCOPE_NONE},
        {"224.0.0.1", ZT_SCOPE_MULTICAST},
        {"239.255.255.255", ZT_SCOPE_MULTICAST},
        {"240.0.0.1", ZT_SCOPE_PSEUDO_PRIVATE},
        {"254.1.1.1", ZT_SCOPE_PSEUDO_PRIVATE},
        {"127.255.0.1", ZT_SCOPE_LOOPBACK},
        {"10.255.255.255", ZT_SCOPE_PRIVATE},
        {"11.0.0.0", ZT_SCOPE_PSEUDO_PRIVATE},
        {"9.9.9.9", ZT_SCOPE_GLOBAL},
        {"169.253.255.255", ZT_SCOPE_GLOBAL},
        {"169.254.0.0", ZT_SCOPE_LINK_LOCAL},
        {"172.15.255.255", ZT_SCOPE_GLOBAL},
        {"172.16.0.0", ZT_SCOPE_PRIVATE},
        {"172.31.255.255", ZT_SCOPE_PRIVATE},
        {"172.32.0.0", ZT_SCOPE_GLOBAL},
        {"100.63.255.255", ZT_SCOPE_GLOBAL},
        {"100.64.0.0", ZT_SCOPE_PRIVATE},
        {"100.127.255.255", ZT_SCOPE_PRIVATE},
        {"100.128.0.0", ZT_SCOPE_GLOBAL},
        {"192.0.2.1", ZT_SCOPE_PRIVATE},
        {"192.0.3.1", ZT_SCOPE_GLOBAL},
        {"198.17.255.255", ZT_SCOPE_GLOBAL},
        {"198.19.255.255", ZT_SCOPE_PRIVATE},
        {"198.51.100.9", ZT_SCOPE_PRIVATE},
        {"203.0.113.9", ZT_SCOPE_PRIVATE},
        {"::", ZT_SCOPE_NONE},
        {"::1", ZT_SCOPE_LOOPBACK},
        {"::2", ZT_SCOPE_GLOBAL},
        {"ff02::1", ZT_SCOPE_MULTICAST},
        {"fe80::1", ZT_SCOPE_LOOPBACK},
        {"febf::1", ZT_SCOPE_LOOPBACK},
        {"fe80::2", ZT_SCOPE_LINK_LOCAL},
        {"fec0::1", ZT_SCOPE_GLOBAL},
        {"fc00::1", ZT_SCOPE_PRIVATE},
        {"fdff::1", ZT_SCOPE_PRIVATE},
        {"::ffff:127.9.9.9", ZT_SCOPE_LOOPBACK},
        {"::ffff:10.0.0.1", ZT_SCOPE_GLOBAL},
        {"2002::1", ZT_SCOPE_GLOBAL},
    };
    struct zt_ep none = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zt_ep e = ep(rows[i].ip);
        if (zt_ep_scope(&e) != rows[i].scope)
            fail_msg("%s: scope %d, not %d", rows[i].ip, zt_ep_scope(&e), rows[i].scope);
    }
    assert_int_equal(zt_ep_scope(&none), ZT_SCOPE_NONE);
}

static bool bit(const uint8_t *p, unsigned i)
{
    return (p[i / 8] >> (7 - i % 8) & 1) != 0;
}

/* Every prefix length, bit by bit. */
static void prefixes(void **state)
{
    struct rng r = {1};
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned bits = 0; bits <= 140; bits++) {
            uint8_t family = bits <= 40 && round % 2 ? 4 : 6;
            unsigned max = family == 4 ? 32 : 128, len = bits < max ? bits : max;
            uint8_t ip[16];
            rng_bytes(&r, ip, sizeof ip);
            struct zt_ep p = zt_ep_make(family, ip, (uint16_t)bits);
            struct zt_ep net = zt_ep_network(&p), mask = zt_ep_netmask(&p);
            for (unsigned i = 0; i < max; i++) {
                assert_true(bit(mask.ip, i) == (i < len));
                assert_true(bit(net.ip, i) == (i < len && bit(p.ip, i)));
            }
            assert_int_equal(net.port, bits);
            assert_int_equal(mask.port, bits);
            assert_true(zt_ep_in_prefix(&net, &p));
            for (unsigned i = 0; i < max; i++) { /* one bit changed */
                struct zt_ep other = p;
                other.port = 77;
                other.ip[i / 8] ^= (uint8_t)(0x80 >> i % 8);
                assert_true(zt_ep_in_prefix(&net, &other) == (i >= len));
            }
            if (family == 4) {
                struct zt_ep top = zt_ep_broadcast(&p);
                for (unsigned i = 0; i < 32; i++)
                    assert_true(bit(top.ip, i) == (i >= len || bit(p.ip, i)));
                for (size_t i = 4; i < 16; i++) /* comparable with memcmp */
                    assert_int_equal(top.ip[i] | mask.ip[i] | net.ip[i], 0);
            }
        }
    }
    struct zt_ep none = {0}, any4 = ep("0.0.0.0/0"), v6 = ep("fd00::1/1");
    assert_false(zt_ep_in_prefix(&none, &none));
    assert_false(zt_ep_in_prefix(&any4, &v6));
}

static void macs(void **state)
{
    struct rng r = {2};
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t nwid = rng_u64(&r), addr = rng_u64(&r) & ZT_ADDR_MASK;
        uint64_t mac = zt_mac_of(addr, nwid);
        assert_true(mac >> 48 == 0);
        assert_int_equal(mac >> 40, zt_mac_first(nwid));
        assert_false(zt_mac_is_multicast(mac));
        assert_true((mac >> 41 & 1) != 0); /* locally administered */
        assert_true(zt_mac_to_addr(mac, nwid) == addr);
    }
    assert_int_equal(zt_mac_first(0x50), 0x32); /* 52 is QEMU's and others' */
    assert_int_equal(zt_mac_first(0x52), 0x32);
    assert_int_equal(zt_mac_first(0x53), 0x32);
    assert_int_equal(zt_mac_first(0), 0x02);
    assert_true(zt_mac_is_multicast(ZT_MAC_BROADCAST));
    assert_true(zt_addr_reserved(0) && zt_addr_reserved(0xff00000000ULL));
    assert_false(zt_addr_reserved(0xfeffffffffULL));
    assert_true(zt_nwid_controller(0x8056c2e21c000001ULL) == 0x8056c2e21cULL);
}

static void hex(void **state)
{
    uint8_t all[256], back[256];
    char text[513];
    uint64_t x = 5;

    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    zt_hex_encode(all, sizeof all, text);
    assert_int_equal(strlen(text), 512);
    assert_int_equal(zt_hex_decode(text, back, sizeof back), 0);
    assert_memory_equal(all, back, sizeof all);
    for (int c = 0; c < 256; c++) { /* every character in either place */
        bool digit = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
        char two[3] = {(char)c, '0', 0}, owt[3] = {'0', (char)c, 0};
        assert_true((zt_hex_decode(two, back, 1) == 0) == digit);
        assert_true((zt_hex_decode(owt, back, 1) == 0) == digit);
    }
    char *exact = (char *)exact_copy("ab", 3); /* stops at the end of a short text */
    assert_int_equal(zt_hex_decode(exact, back, 8), ZT_E_FORMAT);
    free(exact);

    assert_int_equal(zt_hex_parse_u64("00fF", 4, &x), 0);
    assert_int_equal(x, 255);
    assert_int_equal(zt_hex_parse_u64("ffffffffffffffff", 16, &x), 0);
    assert_true(x == UINT64_MAX);
    assert_int_equal(zt_hex_parse_u64("00ff0", 4, &x), ZT_E_FORMAT);
    assert_int_equal(zt_hex_parse_u64("00f", 4, &x), ZT_E_FORMAT);
    assert_int_equal(zt_hex_parse_u64("", 4, &x), ZT_E_FORMAT);
    assert_true(x == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_forms), cmocka_unit_test(equality_and_hash),
        cmocka_unit_test(scopes),     cmocka_unit_test(prefixes),
        cmocka_unit_test(macs),       cmocka_unit_test(hex),
    };
    return cmocka_run_group_tests_name("base/addr", tests, NULL, NULL);
}
