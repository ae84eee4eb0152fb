/* What a network may do to the interface: networks.d/NWID.local.conf and how it is applied. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "node/netset.h"

static struct zt_ep ep(const char *text)
{
    struct zt_ep e;
    assert_int_equal(zt_ep_parse(text, &e), 0);
    return e;
}

static bool allows(const struct zt_net_settings *s, const char *target)
{
    struct zt_ep e = ep(target);
    return zt_netset_allows(s, &e);
}

static void read_text(const char *text, struct zt_net_settings *s)
{
    zt_netset_read((const uint8_t *)text, strlen(text), s);
}

static void test_default(void **state)
{
    struct zt_net_settings s, t;
    zt_netset_default(&s);
    read_text("", &t);
    assert_memory_equal(&s, &t, sizeof s);
    assert_true(allows(&s, "10.1.2.3/24"));
    assert_true(allows(&s, "100.64.0.0/10"));
    assert_true(allows(&s, "fd00::1/88"));
    assert_true(allows(&s, "28.1.0.0/16")); /* pseudo-private */
    assert_false(allows(&s, "8.8.8.0/24"));
    assert_false(allows(&s, "0.0.0.0/0"));
    assert_false(allows(&s, "::/0"));
    assert_false(allows(&s, "127.0.0.1/8"));
    assert_false(allows(&s, "224.0.0.0/4"));
    assert_false(allows(&s, "169.254.0.1/16"));
    assert_false(allows(&s, "fe80::1/64"));
    assert_false(allows(&s, "ff02::1/128"));
    assert_false(allows(&s, "::1/128"));
}

static void test_switches(void **state)
{
    struct zt_net_settings s;
    read_text("allowManaged=1\nallowGlobal=1\nallowDefault=0\nallowDNS=1\n", &s);
    assert_true(s.managed && s.global && !s.defaults && s.dns);
    assert_true(allows(&s, "8.8.8.0/24"));
    assert_true(allows(&s, "2000::/3"));
    assert_false(allows(&s, "0.0.0.0/0"));
    assert_false(allows(&s, "127.0.0.1/8"));
    read_text("allowDefault=1\n", &s);
    assert_true(allows(&s, "0.0.0.0/0"));
    assert_true(allows(&s, "::/0"));
    assert_false(allows(&s, "8.8.8.8/32"));
    read_text("allowManaged=0\nallowDefault=1\nallowGlobal=1\n", &s);
    assert_false(allows(&s, "10.0.0.0/8"));
    assert_false(allows(&s, "0.0.0.0/0"));
    read_text("allowManaged=\n", &s);
    assert_true(s.managed);
}

static void test_list(void **state)
{
    struct zt_net_settings s;
    read_text("allowManaged=10.1.0.0/16,fd00::/8\n", &s);
    assert_true(s.managed);
    assert_int_equal(s.nallowed, 2);
    assert_true(allows(&s, "10.1.2.3/24"));
    assert_true(allows(&s, "10.1.0.0/16"));
    assert_false(allows(&s, "10.0.0.0/8")); /* larger than what is allowed */
    assert_false(allows(&s, "10.2.0.0/16"));
    assert_true(allows(&s, "fd12::/40"));
    assert_false(allows(&s, "fc12::/40"));
    /* A list that can't be read must not end as "everything". */
    read_text("allowManaged=10.1.0.0/16,rubbish\n", &s);
    assert_false(allows(&s, "10.1.2.3/24"));
    assert_false(allows(&s, "10.2.2.3/24"));
}

static void test_round_trip(void **state)
{
    static const char *const texts[] = {
        "allowManaged=1\nallowGlobal=0\nallowDefault=0\nallowDNS=0\n",
        "allowManaged=0\nallowGlobal=1\nallowDefault=1\nallowDNS=1\n",
        "allowManaged=10.0.0.0/8,fd00::/8\nallowGlobal=0\nallowDefault=1\nallowDNS=0\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct zt_net_settings s;
        char out[ZT_NETSET_TEXT];
        read_text(texts[i], &s);
        assert_int_equal(zt_netset_write(&s, out), strlen(texts[i]));
        assert_string_equal(out, texts[i]);
    }
}

static void test_longest_list(void **state)
{
    struct zt_net_settings s = {.managed = true}, t;
    char out[ZT_NETSET_TEXT];
    for (unsigned i = 0; i < ZT_INFO_ALLOWED; i++) {
        s.allowed[i] = ep("fdff:eeee:dddd:cccc:bbbb:aaaa:9999:8888/128");
        s.allowed[i].ip[15] = (uint8_t)(0x80 + i);
    }
    s.nallowed = ZT_INFO_ALLOWED;
    size_t n = zt_netset_write(&s, out);
    assert_true(n < sizeof out);
    zt_netset_read((const uint8_t *)out, n, &t);
    assert_memory_equal(&s, &t, sizeof s);
}

static void test_set(void **state)
{
    static const struct {
        const char *key, *value;
        int r;
    } bad[] = {
        {"allowEverything", "1", ZT_E_NOENT},
        {"allowGlobal", "maybe", ZT_E_FORMAT},
        {"allowGlobal", "", ZT_E_FORMAT},
        {"allowManaged", "", ZT_E_FORMAT},
        {"allowManaged", ",", ZT_E_FORMAT},
        {"allowManaged", "10.0.0.0", ZT_E_FORMAT},
        {"allowManaged", "10.0.0.0/33", ZT_E_FORMAT},
        {"allowManaged", "10.0.0.0/8,", ZT_E_FORMAT},
        {"allowDNS", "10.0.0.0/8", ZT_E_FORMAT},
    };
    struct zt_net_settings s, was;
    zt_netset_default(&s);
    assert_int_equal(zt_netset_set(&s, "allowManaged", "10.0.0.1/8"), 0);
    assert_int_equal(zt_netset_set(&s, "allowDNS", "true"), 0);
    assert_int_equal(zt_netset_set(&s, "allowGlobal", "1"), 0);
    assert_int_equal(zt_netset_set(&s, "allowDefault", "1"), 0);
    assert_true(s.managed && s.dns && s.global && s.defaults && s.nallowed == 1);
    was = s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(zt_netset_set(&s, bad[i].key, bad[i].value), bad[i].r);
        assert_memory_equal(&s, &was, sizeof s);
    }
    assert_int_equal(zt_netset_set(&s, "allowManaged", "1"), 0);
    assert_true(s.managed && s.nallowed == 0);
    assert_int_equal(zt_netset_set(&s, "allowManaged", "false"), 0);
    assert_false(s.managed);
}

static void test_apply(void **state)
{
    struct zt_net_settings s;
    struct zt_net_info i = {.naddrs = 2, .nroutes = 3, .ndns = 1, .dns_domain = "lab"};
    i.addrs[0] = ep("8.8.8.8/24");
    i.addrs[1] = ep("10.0.0.1/24");
    i.routes[0].target = ep("0.0.0.0/0");
    i.routes[1].target = ep("10.0.0.0/24");
    i.routes[2].target = ep("9.0.0.0/24");
    i.dns[0] = ep("10.0.0.2");
    zt_netset_default(&s);
    zt_netset_apply(&s, &i);
    assert_int_equal(i.naddrs, 1);
    assert_int_equal(i.addrs[0].ip[0], 10);
    assert_int_equal(i.addrs[1].family, 0);
    assert_int_equal(i.nroutes, 1);
    assert_int_equal(i.routes[0].target.ip[0], 10);
    assert_int_equal(i.ndns, 1); /* shown in any case */
}

static void test_limit(void **state)
{
    struct zt_net_info i = {.naddrs = ZT_INFO_ADDRS};
    for (unsigned k = 0; k < ZT_INFO_ADDRS; k++) {
        i.addrs[k] = ep(k % 4 == 0 ? "fd00::1/88" : "10.0.0.1/24");
        i.addrs[k].ip[3] = (uint8_t)k;
    }
    zt_netset_limit(16, &i); /* 8 of IPv6, 24 of IPv4 */
    assert_int_equal(i.naddrs, 24);
    assert_int_equal(i.addrs[0].ip[3], 0);
    assert_int_equal(i.addrs[23].ip[3], 28); /* the last of IPv6 */
    assert_int_equal(i.addrs[24].family, 0);
    zt_netset_limit(16, &i);
    assert_int_equal(i.naddrs, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),      cmocka_unit_test(test_switches),
        cmocka_unit_test(test_list),         cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_longest_list), cmocka_unit_test(test_set),
        cmocka_unit_test(test_apply),        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
