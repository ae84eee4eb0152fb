/* Network configurations: limits, what fails the whole and what only a list, chunks. Recorded ones:
 * tests/vectors/netconf.json. */

#include "ztest.h"

#include "base/err.h"
#include "wire/netconf.h"

static struct zt_netconf conf;
static uint8_t dict[1 << 20], arena[1 << 20];

static struct zt_wr start(void)
{
    struct zt_wr w = zt_wr(dict, sizeof dict);
    zt_dict_add_u64(&w, "v", 7);
    zt_dict_add_u64(&w, "nwid", 0x89e92ceee5abcd52u);
    zt_dict_add_addr(&w, "id", 0x1122334455u);
    return w;
}

/* A blob of `count` copies of a piece under this key. */
static int with(const char *key, const void *piece, size_t n, unsigned count)
{
    static uint8_t blob[1 << 19];
    struct zt_wr w = start();

    assert_true(n * count <= sizeof blob);
    for (unsigned i = 0; i < count; i++)
        memcpy(blob + i * n, piece, n);
    assert_int_equal(zt_dict_add(&w, key, blob, n * count), 0);
    return zt_netconf_decode(dict, w.n, arena, &conf);
}

static void limits(void **state)
{
    static const uint8_t ip[7] = {4, 10, 0, 0, 1, 0, 24};
    static const uint8_t route[12] = {4, 10, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0};
    static const uint8_t rule[2] = {1, 0};
    uint8_t bytes[ZT_COO_MAX], specialist[8] = {0, 0, 2};
    struct zt_tag tag = {.nwid = 1};
    struct zt_coo coo = {.nwid = 1};
    struct zt_cap cap = {.nwid = 1, .max_chain = 1};
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    assert_int_equal(with("I", ip, sizeof ip, ZT_NETCONF_ADDRS + 1), 0);
    assert_int_equal(conf.naddrs, ZT_NETCONF_ADDRS);
    assert_int_equal(conf.addrs[0].port, 24);
    assert_int_equal(with("RT", route, sizeof route, ZT_NETCONF_ROUTES + 1), 0);
    assert_int_equal(conf.nroutes, ZT_NETCONF_ROUTES);
    assert_int_equal(conf.routes[0].via.family, 0);
    assert_int_equal(with("S", specialist, 8, ZT_NETCONF_SPECIALISTS + 1), 0);
    assert_int_equal(conf.nspecialists, ZT_NETCONF_SPECIALISTS);
    assert_int_equal(with("R", rule, 2, ZT_RULES_MAX + 1), 0);
    assert_int_equal(conf.nrules, ZT_RULES_MAX);
    zt_wr_tag(&w, &tag);
    assert_int_equal(with("TAG", bytes, w.n, ZT_NETCONF_TAGS + 1), 0);
    assert_int_equal(conf.ntags, ZT_NETCONF_TAGS);
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_coo(&w, &coo);
    assert_int_equal(with("COO", bytes, w.n, ZT_NETCONF_COOS + 1), 0);
    assert_int_equal(conf.ncoos, ZT_NETCONF_COOS);
    w = zt_wr(bytes, sizeof bytes);
    zt_wr_cap(&w, &cap);
    assert_int_equal(with("CAP", bytes, w.n, ZT_NETCONF_CAPS + 1), 0);
    assert_int_equal(conf.ncaps, ZT_NETCONF_CAPS);
}

static void failures(void **state)
{
    static const struct {
        const char *key;
        int result;
    } cases[] = {
        {"C", ZT_E_FORMAT}, {"COO", ZT_E_FORMAT}, {"RT", ZT_E_FORMAT}, {"I", ZT_E_FORMAT},
        {"R", ZT_E_FORMAT}, {"DNS", ZT_E_FORMAT}, {"CAP", 0},          {"TAG", 0},
        {"S", 0},           {"unknown", 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(with(cases[i].key, "\xff\xff\xff", 3, 1), cases[i].result);
    assert_int_equal(conf.mtu, ZT_NET_MTU_DEFAULT);
    assert_int_equal(zt_netconf_decode(dict, ZT_NETCONF_MAX, arena, &conf), ZT_E_FORMAT);
}

static void sorted_by_id(void **state)
{
    static const uint32_t ids[] = {5, 1, 9, 3};
    uint8_t bytes[4 * ZT_TAG_WIRE];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    for (unsigned i = 0; i < 4; i++)
        zt_wr_tag(&w, &(struct zt_tag){.nwid = 1, .id = ids[i]});
    assert_int_equal(with("TAG", bytes, w.n, 1), 0);
    assert_int_equal(conf.ntags, 4);
    for (unsigned i = 1; i < 4; i++)
        assert_true(zt_be32(conf.tags[i - 1].p + 16) < zt_be32(conf.tags[i].p + 16));
}

/* Names and texts that need escaping survive, several credentials in one blob too. */
static void round_trip(void **state)
{
    static struct zt_netconf first;
    static uint8_t text[4096], again[4096];
    uint8_t tag[ZT_TAG_WIRE], rules[2] = {1, 0};
    struct zt_wr w = zt_wr(tag, sizeof tag);

    zt_wr_tag(&w, &(struct zt_tag){.nwid = 0x0a0d3d5c00, .id = 3, .has_sig = true});
    memset(&first, 0, sizeof first);
    first.nwid = 0x89e92ceee5abcd52u;
    first.issued_to = 1;
    first.timestamp = 5;
    first.mtu = 1500;
    first.rules = (struct zt_span){rules, 2};
    first.nrules = 1;
    strcpy(first.name, "a=b\\c\nd");
    strcpy(first.dns_domain, "lan");
    first.ntags = 3;
    for (unsigned i = 0; i < 3; i++)
        first.tags[i] = (struct zt_span){tag, w.n};
    first.sso_version = 1;
    first.sso_enabled = true;
    first.sso_issuer = (struct zt_span){(const uint8_t *)"https://x/?a=b", 14};
    struct zt_wr one = zt_wr(text, sizeof text), two = zt_wr(again, sizeof again);
    assert_int_equal(zt_netconf_encode(&first, &one), 0);
    assert_int_equal(zt_netconf_decode(text, one.n, arena, &conf), 0);
    assert_string_equal(conf.name, first.name);
    assert_string_equal(conf.dns_domain, "lan");
    assert_int_equal(conf.ntags, 3);
    assert_int_equal(conf.tags[2].n, w.n);
    assert_memory_equal(conf.tags[2].p, tag, w.n);
    assert_int_equal(conf.sso_issuer.n, 14);
    assert_int_equal(zt_netconf_encode(&conf, &two), 0);
    conf.sso_provider.n = 0; /* "default" is filled in on reading */
    two = zt_wr(again, sizeof again);
    assert_int_equal(zt_netconf_encode(&conf, &two), 0);
    assert_int_equal(two.n, one.n);
    assert_memory_equal(again, text, one.n);
    for (size_t n = 0; n < one.n; n++) { /* no room at any size: said so */
        two = zt_wr(again, n);
        assert_int_equal(zt_netconf_encode(&first, &two), ZT_E_SPACE);
    }
}

static void request(void **state)
{
    uint8_t bytes[1024];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);

    assert_int_equal(zt_netconf_request(&w, "linux/x86_64"), 0);
    assert_int_equal(w.n, 263);
    assert_memory_equal(bytes, "v=0000000000000007\nvend=0000000000000001\npv=000000000000000c\n",
                        61);
    w = zt_wr(bytes, 262);
    assert_int_equal(zt_netconf_request(&w, "linux/x86_64"), ZT_E_SPACE);
}

static int decode_chunk(uint32_t total, uint32_t offset, uint16_t n)
{
    static uint8_t bytes[70000], data[65536], sig[ZT_SIG];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    struct zt_chunk chunk;
    zt_wr_chunk_text(&w, 1, data, n, 0, 5, total, offset);
    zt_wr_chunk_sig(&w, sig);
    return zt_chunk_decode(bytes, w.n, &chunk);
}

static void chunk_ranges(void **state)
{
    assert_int_equal(decode_chunk(100, 0, 100), 0);
    assert_int_equal(decode_chunk(100, 1, 100), ZT_E_FORMAT);
    assert_int_equal(decode_chunk(100, 0xffffffff, 100), ZT_E_FORMAT);
    assert_int_equal(decode_chunk(ZT_NETCONF_MAX - 1, 0, ZT_CHUNK_DATA), 0);
    assert_int_equal(decode_chunk(ZT_NETCONF_MAX, 0, ZT_CHUNK_DATA), ZT_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits),     cmocka_unit_test(failures), cmocka_unit_test(sorted_by_id),
        cmocka_unit_test(round_trip), cmocka_unit_test(request),  cmocka_unit_test(chunk_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
