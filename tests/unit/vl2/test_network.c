/* Networks of a controller, with real signatures: requests, chunks, errors, cache, the gate,
 * credentials, revocations, bridges. */

#include "fake_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/settings.h"
#include "crypto/identity.h"
#include "vl2/config.h"
#include "vl2/frame.h"
#include "vl2/groups.h"
#include "vl2/hold.h"

#define A 0x1122334455u
#define B 0x360273b27fu
#define C 0x5fa38da9deu

static struct zt_vl1 *a, *b, *c;

static int setup(void **state)
{
    ctl_begin();
    a = fake_node(A);
    b = fake_node(B);
    c = fake_node(C);
    return 0;
}

static int teardown(void **state)
{
    fake_end();
    return 0;
}

/* ---- configuration ---- */

static void request(void **state)
{
    static const char metadata[] =
        "v=0000000000000007\nvend=0000000000000001\npv=000000000000000c\n"
        "majv=0000000000000001\nminv=000000000000000e\nrevv=0000000000000001\n"
        "mr=0000000000000400\nmc=0000000000000080\nmcr=0000000000000040\n"
        "mt=0000000000000080\nf=0000000000000000\nrevr=0000000000000001\no=linux/";

    ctl_join(a, NULL);
    zt_vl2_tick(a->vl2, &fake_now);
    struct fake_packet *k = fake_find(a, ZT_VERB_NETWORK_CONFIG_REQUEST);
    assert_true(k->dest == CTL);
    assert_true(zt_be64(k->p) == CTL_NWID);
    size_t n = zt_be16(k->p + 8);
    assert_int_equal(k->n, 10 + n + 16);
    assert_memory_equal(k->p + 10, metadata, sizeof metadata - 1);
    assert_true(zt_be64(k->p + 10 + n) == 0);
    assert_int_equal(k->flags, ZT_TX_COMPRESS | ZT_TX_EXPECT);
    /* Soon again, since a datagram may be lost; then every 5 s. */
    static const int64_t pauses[] = {1200, 2400, 5000, 5000};
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        fake_clear();
        fake_now.mono_ms += pauses[i] - 1;
        zt_vl2_tick(a->vl2, &fake_now);
        assert_int_equal(fake_npackets, 0);
        fake_now.mono_ms++;
        zt_vl2_tick(a->vl2, &fake_now);
        assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CONFIG_REQUEST), 1);
    }
    fake_clear();
    /* With a configuration, 60 s after it, saying which one it has. */
    ctl_configure(a, &(struct ctl_plan){.timestamp = 99});
    fake_now.mono_ms += 59000;
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CONFIG_REQUEST), 0);
    fake_now.mono_ms += 1000;
    zt_vl2_tick(a->vl2, &fake_now);
    k = fake_find(a, ZT_VERB_NETWORK_CONFIG_REQUEST);
    n = zt_be16(k->p + 8);
    assert_int_equal(zt_be64(k->p + 10 + n), 7);
    assert_int_equal(zt_be64(k->p + 18 + n), 99);
}

static void who_is_refused_asks_every_five_seconds_again(void **state)
{
    uint8_t body[8];

    ctl_join(a, &(struct ctl_plan){.timestamp = 99});
    fake_now.mono_ms += 20000;
    zt_vl2_tick(a->vl2, &fake_now);
    zt_put64(body, CTL_NWID);
    fake_inject_error(a, CTL, ZT_VERB_NETWORK_CONFIG_REQUEST, ZT_ERROR_NETWORK_ACCESS_DENIED, body,
                      8);
    fake_clear();
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CONFIG_REQUEST), 1);
    for (int i = 1; i <= 3; i++) {
        fake_inject_error(a, CTL, ZT_VERB_NETWORK_CONFIG_REQUEST, ZT_ERROR_NETWORK_ACCESS_DENIED,
                          body, 8);
        fake_now.mono_ms += 4999;
        zt_vl2_tick(a->vl2, &fake_now);
        assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CONFIG_REQUEST), i);
        fake_now.mono_ms++;
        zt_vl2_tick(a->vl2, &fake_now);
        assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CONFIG_REQUEST), i + 1);
    }
    ctl_configure(a, &(struct ctl_plan){.timestamp = 100});
    assert_int_equal(ctl_status(a), ZT_NET_OK);
    fake_clear();
    fake_now.mono_ms += 59000;
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CONFIG_REQUEST), 0);
}

static unsigned sent_within(int64_t ms, uint8_t verb)
{
    fake_clear();
    fake_now.mono_ms += ms;
    zt_vl2_tick(a->vl2, &fake_now);
    return fake_count(a, verb);
}

/* Configuration asked for each 25 s instead of 5 s, renewed within a third of the time that
 * certificates may differ, groups announced each 300 s instead of 60 s. */
static void low_bandwidth(void **state)
{
    struct zt_settings s = {.low_bandwidth = true};
    zt_vl2_configure(a->vl2, &fake_now, &s);
    ctl_join(a, NULL);
    assert_int_equal(sent_within(0, ZT_VERB_NETWORK_CONFIG_REQUEST), 1);
    assert_int_equal(sent_within(24999, ZT_VERB_NETWORK_CONFIG_REQUEST), 0);
    assert_int_equal(sent_within(1, ZT_VERB_NETWORK_CONFIG_REQUEST), 1);
    ctl_configure(a, &(struct ctl_plan){.timestamp = 99});
    assert_int_equal(sent_within(CTL_DELTA / 3 - 1, ZT_VERB_NETWORK_CONFIG_REQUEST), 0);
    assert_int_equal(sent_within(1, ZT_VERB_NETWORK_CONFIG_REQUEST), 1);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_LIKE), 0); /* done a moment ago */
    assert_int_equal(sent_within(299998, ZT_VERB_MULTICAST_LIKE), 0);
    assert_int_equal(sent_within(1, ZT_VERB_MULTICAST_LIKE), 1);
    /* Off again: what is due by then comes at once. */
    zt_vl2_configure(a->vl2, &fake_now, &(struct zt_settings){.low_bandwidth = false});
    assert_int_equal(sent_within(60000, ZT_VERB_MULTICAST_LIKE), 1);
}

static void config_is_installed_and_saved(void **state)
{
    struct zt_net_info info;
    struct ctl_plan plan = {.timestamp = 1000};
    uint8_t dict[4096];
    size_t n = ctl_dictionary(a, &plan, dict, sizeof dict);

    ctl_join(a, NULL);
    assert_int_equal(ctl_status(a), ZT_NET_REQUESTING_CONFIGURATION);
    unsigned events = a->events;
    ctl_configure(a, &plan);
    assert_int_equal(a->events, events + 1);
    assert_int_equal(zt_vl2_network(a->vl2, CTL_NWID, &info), 0);
    assert_int_equal(info.status, ZT_NET_OK);
    assert_string_equal(info.name, "test");
    assert_int_equal(info.naddrs, 1);
    assert_true(info.broadcast && !info.is_public && !info.bridge);
    assert_int_equal(info.revision, 7);
    assert_int_equal(a->nsaved, n);
    assert_memory_equal(a->saved, dict, n);
    /* The same again changes nothing; an older one is refused; a newer one replaces. */
    ctl_configure(a, &plan);
    assert_int_equal(a->events, events + 1);
    struct ctl_plan old = {.timestamp = 999};
    uint8_t p[ZT_PAYLOAD_MAX];
    n = ctl_dictionary(a, &old, dict, sizeof dict);
    n = ctl_chunk(dict, n, 0, n, 1234, 0, p);
    fake_inject(a, B, ZT_VERB_NETWORK_CONFIG, p, n);
    assert_int_equal(a->drops.n[ZT_DROP_CONFIG], 1);
    assert_int_equal(a->events, events + 1);
    ctl_configure(a, &(struct ctl_plan){.timestamp = 1001});
    assert_int_equal(a->events, events + 2);
    /* The controller set its clock back: its answer counts all the same. */
    ctl_configure(a, &(struct ctl_plan){.timestamp = 998});
    assert_int_equal(a->events, events + 3);
    /* For somebody else. */
    ctl_configure(a, &(struct ctl_plan){.timestamp = 2000, .issued_to = B});
    assert_int_equal(a->drops.n[ZT_DROP_CONFIG], 2);
}

static void restart_from_the_cache(void **state)
{
    struct ctl_plan plan = {.timestamp = 1000};
    uint8_t dict[4096];
    size_t n = ctl_dictionary(a, &plan, dict, sizeof dict);

    assert_int_equal(zt_vl2_join(a->vl2, &fake_now, CTL_NWID, dict, n), 0);
    assert_int_equal(ctl_status(a), ZT_NET_OK);
    assert_int_equal(a->nsaved, 0); /* as it was on disk */
    zt_vl2_tick(a->vl2, &fake_now);
    assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CONFIG_REQUEST), 1);
    zt_vl2_leave(a->vl2, &fake_now, CTL_NWID);
    /* Damaged, or of another node: joined without it. */
    dict[0] = 'x';
    assert_int_equal(zt_vl2_join(a->vl2, &fake_now, CTL_NWID, dict, n), 0);
    assert_int_equal(ctl_status(a), ZT_NET_REQUESTING_CONFIGURATION);
    assert_int_equal(a->nsaved, 1);
    n = ctl_dictionary(b, &plan, dict, sizeof dict);
    assert_int_equal(zt_vl2_join(b->vl2, &fake_now, CTL_NWID, dict, n), 0);
    zt_vl2_leave(a->vl2, &fake_now, CTL_NWID);
    assert_int_equal(zt_vl2_join(a->vl2, &fake_now, CTL_NWID, dict, n), 0);
    assert_int_equal(ctl_status(a), ZT_NET_REQUESTING_CONFIGURATION);
}

static void errors_of_the_controller(void **state)
{
    static const struct {
        uint8_t code;
        enum zt_net_status status;
    } cases[] = {
        {ZT_ERROR_OBJECT_NOT_FOUND, ZT_NET_NOT_FOUND},
        {ZT_ERROR_NETWORK_ACCESS_DENIED, ZT_NET_ACCESS_DENIED},
        {ZT_ERROR_UNSUPPORTED_OPERATION, ZT_NET_NOT_FOUND},
        {ZT_ERROR_AUTHENTICATION_REQUIRED, ZT_NET_AUTHENTICATION_REQUIRED},
        {ZT_ERROR_BAD_PROTOCOL_VERSION, ZT_NET_CLIENT_TOO_OLD},
    };
    const uint8_t verb = ZT_VERB_NETWORK_CONFIG_REQUEST;
    uint8_t body[8];

    zt_put64(body, CTL_NWID);
    ctl_join(a, NULL);
    for (unsigned i = 0; i < 5; i++) {
        unsigned events = a->events;
        enum zt_net_status before = ctl_status(a);
        fake_inject_error(a, B, verb, cases[i].code, body, 8); /* anybody may claim that */
        assert_int_equal(ctl_status(a), before);
        assert_int_equal(a->drops.n[ZT_DROP_NOT_CONTROLLER], i + 1);
        assert_int_equal(fake_inject_error(a, CTL, verb, cases[i].code, body, 8), ZT_VERDICT_OK);
        assert_int_equal(ctl_status(a), cases[i].status);
        fake_inject_error(a, CTL, verb, cases[i].code, body, 8);
        assert_int_equal(a->events, events + 1);
    }
    /* A configuration heals; a later denial keeps it working, and does not show OK. */
    ctl_configure(a, &(struct ctl_plan){.timestamp = 1});
    assert_int_equal(ctl_status(a), ZT_NET_OK);
    fake_inject_error(a, CTL, verb, ZT_ERROR_NETWORK_ACCESS_DENIED, body, 8);
    assert_int_equal(ctl_status(a), ZT_NET_ACCESS_DENIED);
    assert_int_equal(ctl_frame(a, B), 0);
    /* Of another verb: these mean nothing. */
    fake_inject_error(a, CTL, ZT_VERB_MULTICAST_GATHER, ZT_ERROR_OBJECT_NOT_FOUND, body, 8);
    fake_inject_error(a, CTL, ZT_VERB_MULTICAST_GATHER, ZT_ERROR_BAD_PROTOCOL_VERSION, body, 8);
    assert_int_equal(ctl_status(a), ZT_NET_ACCESS_DENIED);
}

/* ERROR(AUTHENTICATION_REQUIRED) with this text after the network id. */
static enum zt_verdict ask_for_login(struct zt_vl1 *n, uint64_t from, const char *dict)
{
    uint8_t body[1024];
    struct zt_wr w = zt_wr(body, sizeof body);
    zt_wr_u64(&w, CTL_NWID);
    if (dict != NULL) {
        zt_wr_u16(&w, (uint16_t)strlen(dict));
        zt_wr_bytes(&w, (const uint8_t *)dict, strlen(dict));
    }
    return fake_inject_error(n, from, ZT_VERB_NETWORK_CONFIG_REQUEST,
                             ZT_ERROR_AUTHENTICATION_REQUIRED, body, w.n);
}

static void a_login_is_asked_for(void **state)
{
    struct zt_net_auth auth;
    struct zt_net_info info;
    static const char text[] = "aV=0\naU=http://x";
    uint8_t body[12] = {0}, cut[64];

    ctl_join(a, NULL);
    assert_int_equal(zt_vl2_auth(a->vl2, CTL_NWID, &auth), ZT_E_NOENT);
    /* Without its URL version 0 says nothing; a stranger may not say anything. */
    ask_for_login(a, CTL, "aV=0\naX=y");
    ask_for_login(a, B, "aV=0\naU=http://evil");
    ask_for_login(a, CTL, "aV=9\naU=http://future");
    assert_int_equal(a->drops.n[ZT_DROP_MALFORMED], 2);
    assert_int_equal(a->drops.n[ZT_DROP_NOT_CONTROLLER], 1);
    assert_int_equal(ctl_status(a), ZT_NET_REQUESTING_CONFIGURATION);
    assert_int_equal(ask_for_login(a, CTL, "aV=0\naU=http://login?a\\eb"), ZT_VERDICT_OK);
    assert_int_equal(ctl_status(a), ZT_NET_AUTHENTICATION_REQUIRED);
    assert_int_equal(zt_vl2_auth(a->vl2, CTL_NWID, &auth), 0);
    assert_true(auth.enabled && auth.version == 0);
    assert_string_equal(auth.url, "http://login?a=b");
    ask_for_login(a, CTL, "aV=1\niU=http://issuer\naCU=http://central\naN=n1\naS=s1\naCID=c1");
    assert_int_equal(zt_vl2_auth(a->vl2, CTL_NWID, &auth), 0);
    assert_int_equal(auth.version, 1);
    assert_string_equal(auth.url, "");
    assert_string_equal(auth.issuer, "http://issuer");
    assert_string_equal(auth.central, "http://central");
    assert_string_equal(auth.nonce, "n1");
    assert_string_equal(auth.state, "s1");
    assert_string_equal(auth.client, "c1");
    assert_string_equal(auth.provider, "default");
    assert_int_equal(zt_vl2_network(a->vl2, CTL_NWID, &info), 0);
    assert_true(info.sso_enabled && !info.has_config);
    /* Nothing after the id: the status alone. A length beyond the packet: refused. */
    assert_int_equal(ask_for_login(a, CTL, NULL), ZT_VERDICT_OK);
    assert_int_equal(zt_vl2_auth(a->vl2, CTL_NWID, &auth), 0);
    assert_string_equal(auth.url, "");
    zt_put64(body, CTL_NWID);
    zt_put16(body + 8, 3);
    fake_inject_error(a, CTL, ZT_VERB_NETWORK_CONFIG_REQUEST, ZT_ERROR_AUTHENTICATION_REQUIRED,
                      body, 12);
    assert_int_equal(a->drops.n[ZT_DROP_MALFORMED], 3);
    /* Cut anywhere: either nothing changes or what is there counts; never a read past the end. */
    struct zt_wr w = zt_wr(cut, sizeof cut);
    zt_wr_u64(&w, CTL_NWID);
    zt_wr_u16(&w, sizeof text - 1);
    zt_wr_bytes(&w, (const uint8_t *)text, sizeof text - 1);
    for (size_t n = 0; n <= w.n; n++)
        fake_inject_error(a, CTL, ZT_VERB_NETWORK_CONFIG_REQUEST, ZT_ERROR_AUTHENTICATION_REQUIRED,
                          cut, n);
    assert_int_equal(zt_vl2_auth(a->vl2, CTL_NWID, &auth), 0);
    assert_string_equal(auth.url, "http://x");
    /* With a configuration that asks for none it is over. */
    ctl_configure(a, &(struct ctl_plan){.timestamp = 5});
    assert_int_equal(zt_vl2_auth(a->vl2, CTL_NWID, &auth), ZT_E_NOENT);
}

static void what_is_configured_is_shown(void **state)
{
    struct zt_net_info info;
    struct zt_group_info groups[4];
    struct ctl_plan plan = {.timestamp = 5};

    ctl_join(a, &plan);
    assert_int_equal(zt_vl2_network(a->vl2, CTL_NWID, &info), 0);
    assert_true(info.has_config);
    assert_string_equal(info.dns_domain, "lab.test");
    assert_int_equal(info.ndns, 1);
    assert_memory_equal(info.dns[0].ip, "\x0a\x93\x14\x01", 4);
    assert_int_equal(info.nroutes, 0);
    zt_vl2_subscribe(a->vl2, &fake_now, CTL_NWID, ZT_MAC_BROADCAST, 7);
    zt_vl2_subscribe(a->vl2, &fake_now, CTL_NWID, 0x333300000001u, 0);
    zt_vl2_subscribe(a->vl2, &fake_now, CTL_NWID, ZT_MAC_BROADCAST, 3);
    assert_int_equal(zt_vl2_groups(a->vl2, CTL_NWID, NULL, 0), 3);
    assert_int_equal(zt_vl2_groups(a->vl2, CTL_NWID, groups, 4), 3);
    assert_true(groups[0].mac == 0x333300000001u);
    assert_int_equal(groups[1].adi, 3);
    assert_int_equal(groups[2].adi, 7);
    assert_int_equal(zt_vl2_groups(a->vl2, 1, groups, 4), 0);
}

static void chunks(void **state)
{
    struct ctl_plan plan = {.timestamp = 5};
    uint8_t dict[4096], p[3][ZT_PAYLOAD_MAX];
    size_t total = ctl_dictionary(a, &plan, dict, sizeof dict), n[3];
    const size_t at[4] = {0, 100, 350, total};

    ctl_join(a, NULL);
    for (unsigned i = 0; i < 3; i++)
        n[i] = ctl_chunk(dict, total, at[i], at[i + 1] - at[i], 77, 0, p[i]);
    /* Any order, relayed by a member, one twice, one forged. */
    fake_inject(a, B, ZT_VERB_NETWORK_CONFIG, p[2], n[2]);
    fake_inject(a, B, ZT_VERB_NETWORK_CONFIG, p[2], n[2]);
    p[0][50] ^= 1;
    assert_int_equal(fake_inject(a, CTL, ZT_VERB_NETWORK_CONFIG, p[0], n[0]), ZT_VERDICT_IGNORED);
    assert_int_equal(a->drops.n[ZT_DROP_CONFIG], 1);
    p[0][50] ^= 1;
    fake_inject(a, B, ZT_VERB_NETWORK_CONFIG, p[0], n[0]);
    assert_int_equal(ctl_status(a), ZT_NET_REQUESTING_CONFIGURATION);
    assert_int_equal(fake_npackets, 0);
    fake_inject(a, B, ZT_VERB_NETWORK_CONFIG, p[1], n[1]);
    assert_int_equal(ctl_status(a), ZT_NET_OK);
    struct fake_packet *k = fake_find(a, ZT_VERB_OK);
    assert_int_equal(k->in_re_verb, ZT_VERB_ECHO); /* sic */
    assert_int_equal(k->n, 16);
    assert_true(zt_be64(k->p) == CTL_NWID && zt_be64(k->p + 8) == 77);
    for (size_t i = 0; i < n[1]; i++)
        fake_inject(a, CTL, ZT_VERB_NETWORK_CONFIG, p[1], i);
    /* An unsigned one only from the controller. */
    zt_vl2_leave(a->vl2, &fake_now, CTL_NWID);
    ctl_join(a, NULL);
    struct zt_wr w = zt_wr(p[0], sizeof p[0]);
    zt_wr_u64(&w, CTL_NWID);
    zt_wr_u16(&w, (uint16_t)total);
    zt_wr_bytes(&w, dict, total);
    fake_inject_ok(a, B, ZT_VERB_NETWORK_CONFIG_REQUEST, p[0], w.n);
    assert_int_equal(ctl_status(a), ZT_NET_REQUESTING_CONFIGURATION);
    fake_inject_ok(a, CTL, ZT_VERB_NETWORK_CONFIG_REQUEST, p[0], w.n);
    assert_int_equal(ctl_status(a), ZT_NET_OK);
}

static void assembly_bounds(void **state)
{
    struct zt_assembly as = {0};
    uint8_t data[100] = {0}, sig[ZT_SIG] = {0}, *dict = NULL;
    struct zt_chunk k = {.data = {data, 40}, .total = 100, .update_id = 1, .sig = sig};

    assert_int_equal(zt_assembly_add(&as, &k, &dict), 0);
    k.offset = 39; /* overlaps */
    assert_int_equal(zt_assembly_add(&as, &k, &dict), ZT_E_FORMAT);
    k.offset = 60;
    assert_int_equal(zt_assembly_add(&as, &k, &dict), 0);
    k.offset = 40;
    assert_int_equal(zt_assembly_add(&as, &k, &dict), ZT_E_FORMAT);
    k.total = 99; /* contradicts the others */
    assert_int_equal(zt_assembly_add(&as, &k, &dict), ZT_E_FORMAT);
    k.total = 100;
    k.data.n = 0;
    assert_int_equal(zt_assembly_add(&as, &k, &dict), ZT_E_FORMAT);
    k.update_id = 0;
    k.data.n = 1;
    assert_int_equal(zt_assembly_add(&as, &k, &dict), ZT_E_FORMAT);
    /* Three at once; the fourth takes the place of the one fed longest ago. */
    for (uint64_t id = 2; id <= 4; id++) {
        k.update_id = id;
        assert_int_equal(zt_assembly_add(&as, &k, &dict), 0);
    }
    k.update_id = 1;
    assert_false(zt_assembly_has(&as, &k));
    for (uint64_t id = 2; id <= 4; id++) {
        k.update_id = id;
        assert_true(zt_assembly_has(&as, &k));
    }
    zt_assembly_fini(&as);
    /* One byte a chunk is too many chunks. */
    k.total = 5000;
    k.data.n = 1;
    for (unsigned i = 0; i < ZT_CHUNKS_MAX; i++) {
        k.offset = i;
        assert_int_equal(zt_assembly_add(&as, &k, &dict), 0);
    }
    k.offset = 600;
    assert_int_equal(zt_assembly_add(&as, &k, &dict), ZT_E_LIMIT);
    zt_assembly_fini(&as);
}

/* ---- membership ---- */

static void first_frame_arrives(void **state)
{
    ctl_join(a, &(struct ctl_plan){.timestamp = 1000});
    ctl_join(b, &(struct ctl_plan){.timestamp = 2000});
    fake_clear();
    assert_int_equal(ctl_frame(a, B), 0);
    /* Credentials go first, and are asked for; the frame follows when they have come. */
    assert_int_equal(fake_npackets, 2);
    assert_int_equal(fake_packets[0]->verb, ZT_VERB_NETWORK_CREDENTIALS);
    assert_int_equal(fake_packets[1]->verb, ZT_VERB_ERROR);
    fake_pump();
    assert_int_equal(b->nframes, 1);
    /* And only once while the configuration is the same. */
    assert_int_equal(ctl_frame(a, B), 0);
    assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CREDENTIALS), 0);
    fake_now.mono_ms += ZT_PUSH_INTERVAL_MS + 1;
    assert_int_equal(ctl_frame(a, B), 0);
    assert_int_equal(fake_count(a, ZT_VERB_NETWORK_CREDENTIALS), 1);
}

static void lost_credentials_are_asked_for(void **state)
{
    ctl_join(a, &(struct ctl_plan){.timestamp = 1000});
    ctl_join(b, &(struct ctl_plan){.timestamp = 2000});
    fake_clear();
    ctl_frame(a, B);
    free(fake_packets[0]);
    fake_packets[0] = fake_packets[1];
    fake_npackets = 1;
    fake_pump(); /* b knows nobody who could ask */
    assert_int_equal(b->nframes, 0);
    fake_run(1500); /* shown and asked again, as long as something waits */
    assert_int_equal(b->nframes, 1);
    assert_int_equal(ctl_net(a)->nheld, 0);
    /* One that forgot us says so, and keeps the frame meanwhile. */
    zt_member_drop(ctl_net(b), zt_member_find(ctl_net(b), A));
    fake_now.mono_ms += 1500;
    ctl_frame(a, B);
    fake_pump();
    assert_int_equal(b->drops.n[ZT_DROP_GATE], 1);
    assert_int_equal(b->nframes, 2);
}

static void frames_wait_in_bounds(void **state)
{
    ctl_join(a, &(struct ctl_plan){.timestamp = 1000});
    fake_clear();
    for (unsigned i = 0; i < ZT_HOLD_MAX + 10; i++)
        assert_int_equal(ctl_frame(a, i % 2 ? B : C), 0);
    assert_int_equal(ctl_net(a)->nheld, ZT_HOLD_MAX);
    assert_int_equal(a->drops.n[ZT_DROP_QUEUE_FULL], 10);
    assert_int_equal(fake_count(a, ZT_VERB_ERROR), 2); /* asked once each */
    assert_int_equal(fake_count(a, ZT_VERB_FRAME), 0);
    /* What waits for a node that is forgotten goes with it; the rest when its time is over. */
    zt_member_drop(ctl_net(a), zt_member_find(ctl_net(a), C));
    assert_int_equal(ctl_net(a)->nheld, ZT_HOLD_MAX / 2);
    fake_now.mono_ms += ZT_HOLD_MS;
    ctl_frame(a, B);
    assert_int_equal(ctl_net(a)->nheld, 1);
    assert_int_equal(a->drops.n[ZT_DROP_QUEUE_EXPIRED], ZT_HOLD_MAX / 2);
    /* Shown at last: only what is not too old. */
    struct zt_com com = ctl_com(b, 1000);
    fake_clear();
    ctl_show_com(a, B, &com);
    assert_int_equal(fake_count(a, ZT_VERB_FRAME), 1);
    assert_int_equal(ctl_net(a)->nheld, 0);
    assert_int_equal(ctl_net(a)->held_bytes, 0);
    ctl_frame(a, C); /* left with one waiting: nothing leaks */
}

static void asking_is_limited(void **state)
{
    uint8_t body[20] = {0};

    ctl_join(b, &(struct ctl_plan){.timestamp = 2000});
    fake_clear();
    zt_put64(body, CTL_NWID);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body), ZT_VERDICT_HOLD);
        fake_now.mono_ms += 100;
    }
    assert_int_equal(b->drops.n[ZT_DROP_GATE], 50);
    assert_int_equal(fake_count(b, ZT_VERB_ERROR), 5);
    struct fake_packet *k = fake_find(b, ZT_VERB_ERROR);
    assert_int_equal(k->code, ZT_ERROR_NEED_MEMBERSHIP_CERTIFICATE);
    assert_int_equal(k->in_re_verb, ZT_VERB_FRAME);
    assert_true(zt_be64(k->p) == CTL_NWID);
    /* Somebody who only sends frames has no record, nor has who asks for our credentials. */
    fake_clear();
    fake_inject_error(b, C, ZT_VERB_FRAME, ZT_ERROR_NEED_MEMBERSHIP_CERTIFICATE, body, 8);
    assert_int_equal(fake_npackets, 0);
    assert_int_equal(zt_network_find(b->vl2, CTL_NWID)->members.count, 0);
}

/* The controller revokes something of A's. */
static enum zt_verdict revoke(struct zt_vl1 *at, uint8_t type, uint32_t id, int64_t threshold,
                              uint64_t flags)
{
    struct zt_revocation rev = ctl_revocation(A, type, id, threshold, flags);
    return ctl_show_revocation(at, CTL, &rev);
}

static bool passes(struct zt_vl1 *at, uint64_t from)
{
    return zt_network_gate(zt_network_find(at->vl2, CTL_NWID), &fake_now, from) != NULL;
}

static void wait_a_second(void)
{
    fake_now.mono_ms += 10000; /* and the bucket for credentials is full again */
}

static void gate(void **state)
{
    struct zt_com com = ctl_com(a, 2000000);

    ctl_join(b, &(struct ctl_plan){.timestamp = 2000000 + CTL_DELTA});
    assert_false(passes(b, A));
    com.sig[3] ^= 1;
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_OK);
    assert_int_equal(b->drops.n[ZT_DROP_CREDENTIAL], 1);
    assert_false(passes(b, A));
    com.sig[3] ^= 1;
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_TRUSTED);
    assert_true(passes(b, A));
    assert_false(passes(b, C));
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_TRUSTED); /* redundant */
    /* One ms beyond our window, from our next configuration on. */
    wait_a_second();
    ctl_configure(b, &(struct ctl_plan){.timestamp = 2000001 + CTL_DELTA});
    assert_false(passes(b, A));
    com = ctl_com(a, 2000001);
    ctl_show_com(b, A, &com);
    assert_true(passes(b, A));
    /* An older one does not replace it. */
    com = ctl_com(a, 2000000);
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_OK);
    assert_true(passes(b, A));
    /* For A's address, about another identity. */
    wait_a_second();
    struct zt_vl1 other = {.addr = A, .id = {.addr = A}};
    com = ctl_com(&other, 2000002);
    ctl_show_com(b, A, &com);
    assert_false(passes(b, A));
}

static void revoked(void **state)
{
    struct zt_com com = ctl_com(a, 1000);

    ctl_join(b, &(struct ctl_plan){.timestamp = 1000});
    ctl_show_com(b, A, &com);
    com = ctl_com(c, 1000);
    ctl_show_com(b, C, &com);
    fake_clear();
    assert_true(passes(b, A));
    assert_int_equal(revoke(b, ZT_CRED_COM, 0, 1000, ZT_REVOCATION_FAST), ZT_VERDICT_TRUSTED);
    assert_false(passes(b, A));
    assert_true(passes(b, C));
    /* Passed on to the others, not to where it came from; and not a second time. */
    unsigned n = fake_count(b, ZT_VERB_NETWORK_CREDENTIALS);
    assert_int_equal(n, 2);
    revoke(b, ZT_CRED_COM, 0, 1000, ZT_REVOCATION_FAST);
    assert_int_equal(fake_count(b, ZT_VERB_NETWORK_CREDENTIALS), n);
    wait_a_second();
    com = ctl_com(a, 1000);
    ctl_show_com(b, A, &com);
    assert_false(passes(b, A));
    com = ctl_com(a, 1001);
    ctl_show_com(b, A, &com);
    assert_true(passes(b, A));
    /* Of a tag: leaves membership alone (unlike what the reference does). */
    revoke(b, ZT_CRED_TAG, 5, 5000, 0);
    assert_true(passes(b, A));
}

static void tags_and_rules(void **state)
{
    /* accept if tag 5 of both is 6 */
    static const char rules[] = "300800000005000000060100";
    struct zt_tag of_b = ctl_tag(B, 5, 6, 1000), of_a = ctl_tag(A, 5, 6, 1000);
    struct zt_com com = ctl_com(a, 1000);
    uint8_t body[30] = {0};

    ctl_join(b, &(struct ctl_plan){.timestamp = 1000, .rules = rules, .tag = &of_b});
    ctl_show_com(b, A, &com);
    zt_put64(body, CTL_NWID);
    zt_put16(body + 8, 0x0800);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->drops.n[ZT_DROP_RULES_IN], 1);
    of_a.sig[0] ^= 1;
    ctl_show_tag(b, A, &of_a);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->drops.n[ZT_DROP_RULES_IN], 2);
    of_a.sig[0] ^= 1;
    assert_int_equal(ctl_show_tag(b, A, &of_a), ZT_VERDICT_TRUSTED);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->nframes, 1);
    assert_int_equal(ctl_show_tag(b, A, &of_a), ZT_VERDICT_TRUSTED); /* redundant */
    /* Revoked, it is gone, and the same one does not come back. */
    wait_a_second();
    revoke(b, ZT_CRED_TAG, 5, 1000, 0);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->drops.n[ZT_DROP_RULES_IN], 3);
    assert_int_equal(ctl_show_tag(b, A, &of_a), ZT_VERDICT_OK);
    of_a = ctl_tag(A, 5, 6, 1001);
    assert_int_equal(ctl_show_tag(b, A, &of_a), ZT_VERDICT_TRUSTED);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->nframes, 2);
    /* Out of the window of a later configuration. */
    of_b = ctl_tag(B, 5, 6, 1002 + CTL_DELTA);
    ctl_configure(b,
                  &(struct ctl_plan){.timestamp = 1002 + CTL_DELTA, .rules = rules, .tag = &of_b});
    com = ctl_com(a, 1002 + CTL_DELTA);
    wait_a_second();
    ctl_show_com(b, A, &com);
    fake_inject(b, A, ZT_VERB_FRAME, body, sizeof body);
    assert_int_equal(b->drops.n[ZT_DROP_RULES_IN], 4);
}

static void unknown_controller_defers(void **state)
{
    static uint8_t dict[16384];
    struct zt_com com = ctl_com(a, 1000);
    size_t n = ctl_dictionary(b, &(struct ctl_plan){.timestamp = 1000}, dict, sizeof dict);

    assert_int_equal(zt_vl2_join(b->vl2, &fake_now, CTL_NWID, dict, n), 0); /* from the cache */
    b->sees_nobody = true;
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_HOLD);
    assert_true(b->asked == CTL);
    b->sees_nobody = false;
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_TRUSTED);
}

static void a_controller_once_heard_is_remembered(void **state)
{
    struct zt_com com = ctl_com(a, 1000);

    ctl_join(b, &(struct ctl_plan){.timestamp = 1000});
    b->sees_nobody = true; /* VL1 has forgotten it */
    assert_int_equal(ctl_show_com(b, A, &com), ZT_VERDICT_TRUSTED);
}

static void credentials_are_limited_and_bounded(void **state)
{
    struct zt_com com = ctl_com(a, 1000);
    uint8_t p[ZT_PAYLOAD_MAX];

    ctl_join(b, &(struct ctl_plan){.timestamp = 1000});
    for (unsigned i = 0; i < 20; i++)
        ctl_show_com(b, A, &com);
    assert_int_equal(b->drops.n[ZT_DROP_RATE], 12);
    /* Tags of one member. */
    for (uint32_t id = 0; id < ZT_MEMBER_TAGS + 10; id++) {
        struct zt_tag tag = ctl_tag(A, id ^ 0x55, id, 1000);
        enum zt_accept want = id < ZT_MEMBER_TAGS ? ZT_ACCEPT_NEW : ZT_ACCEPT_REJECTED;
        assert_int_equal(zt_member_tag(zt_network_find(b->vl2, CTL_NWID), &fake_now, &tag), want);
    }
    struct zt_network *net = zt_network_find(b->vl2, CTL_NWID);
    const struct zt_holdings *h = zt_member_holdings(net, zt_member_find(net, A));
    assert_int_equal(h->ntags, ZT_MEMBER_TAGS);
    for (unsigned i = 1; i < h->ntags; i++)
        assert_true(h->tags[i - 1].id < h->tags[i].id);
    /* Cut anywhere, or of other networks: no harm. */
    struct zt_wr w = zt_wr(p, sizeof p);
    struct zt_tag tag = ctl_tag(A, 1, 2, 1000);
    zt_wr_com(&w, &com);
    zt_wr_u8(&w, 0);
    zt_wr_u16(&w, 0);
    zt_wr_u16(&w, 1);
    zt_wr_tag(&w, &tag);
    zt_wr_u32(&w, 0);
    for (size_t i = 0; i <= w.n; i++) {
        wait_a_second();
        fake_inject(b, A, ZT_VERB_NETWORK_CREDENTIALS, p, i);
        fake_inject(c, A, ZT_VERB_NETWORK_CREDENTIALS, p, i);
    }
}

static void members_are_bounded(void **state)
{
    ctl_join(b, &(struct ctl_plan){.timestamp = 1000, .is_public = true});
    for (uint64_t i = 1; i <= ZT_MEMBERS_MAX + 10; i++) {
        assert_true(passes(b, 0x1000000000u + i));
        fake_clear();
    }
    struct zt_network *net = zt_network_find(b->vl2, CTL_NWID);
    assert_int_equal(net->members.count, ZT_MEMBERS_MAX);
    assert_int_equal(b->drops.n[ZT_DROP_TABLE_FULL], 10);
    assert_null(zt_member_find(net, 0x1000000001u));
    assert_non_null(zt_member_find(net, 0x1000000000u + ZT_MEMBERS_MAX + 10));
}

/* ---- bridging ---- */

static void bridges(void **state)
{
    struct ctl_plan plan = {.timestamp = 1, .is_public = true, .specialist = ZT_ROLE_BRIDGE | B};
    const uint64_t behind = 0x001122334455u;
    uint8_t p[30] = {0x45};

    ctl_join(a, &plan);
    ctl_join(b, &plan);
    ctl_join(c, &plan);
    fake_clear();
    /* From behind b to a: a learns where that MAC is. */
    assert_int_equal(fake_frame_out(b, CTL_NWID, zt_mac_of(A, CTL_NWID), behind, 0x0800, p, 30), 0);
    assert_int_equal(fake_find(b, ZT_VERB_EXT_FRAME)->p[8], 0);
    fake_pump();
    assert_int_equal(a->nframes, 1);
    assert_true(zt_be48(a->frames[0].eth + 6) == behind);
    /* And back. c is no bridge: its frames with that source are refused. */
    assert_int_equal(fake_frame_out(a, CTL_NWID, behind, zt_mac_of(A, CTL_NWID), 0x0800, p, 30), 0);
    assert_true(fake_find(a, ZT_VERB_EXT_FRAME)->dest == B);
    fake_pump();
    assert_int_equal(b->nframes, 1);
    assert_true(zt_be48(b->frames[0].eth) == behind);
    assert_int_equal(fake_frame_out(c, CTL_NWID, zt_mac_of(A, CTL_NWID), behind, 0x0800, p, 30),
                     ZT_E_PERM);
    /* Multicast goes to the bridge though it is no member of the group. */
    assert_int_equal(
        fake_frame_out(a, CTL_NWID, 0x01005e000001u, zt_mac_of(A, CTL_NWID), 0x0800, p, 30), 0);
    assert_true(fake_find(a, ZT_VERB_MULTICAST_FRAME)->dest == B);
    fake_pump();
    assert_int_equal(b->nframes, 2);
    /* A multicast from behind the bridge makes it a listener of the group. */
    assert_int_equal(fake_frame_out(b, CTL_NWID, 0x01005e000001u, behind, 0x0800, p, 30), 0);
    assert_true(zt_groups_has(zt_network_find(b->vl2, CTL_NWID), 0x01005e000001u, 0));
    fake_now.mono_ms += ZT_BRIDGED_GROUP_MS + 1;
    zt_vl2_tick(b->vl2, &fake_now);
    assert_false(zt_groups_has(zt_network_find(b->vl2, CTL_NWID), 0x01005e000001u, 0));
}

/* The other form of a multicast: one packet to a replicator, which sends it on and delivers it. Others
 * take what has not its sender's MAC only from a bridge, so a replicator is one, too (vl2.md 7.4). */
static void replicators(void **state)
{
    struct ctl_plan plan = {.timestamp = 1,
                            .is_public = true,
                            .specialist = ZT_ROLE_REPLICATOR | ZT_ROLE_BRIDGE | B};
    const uint64_t group = 0x01005e000001u, from = zt_mac_of(A, CTL_NWID);
    uint8_t p[30] = {0x45}, like[18];

    ctl_join(a, &plan);
    ctl_join(b, &plan);
    ctl_join(c, &plan);
    zt_put64(like, CTL_NWID);
    zt_put48(like + 8, group);
    zt_put32(like + 14, 0);
    fake_inject(b, C, ZT_VERB_MULTICAST_LIKE, like, sizeof like);
    fake_inject(b, A, ZT_VERB_MULTICAST_LIKE, like, sizeof like);
    fake_inject(a, C, ZT_VERB_MULTICAST_LIKE, like, sizeof like);
    a->root_alive = true; /* of the fake: everybody is reached */
    fake_clear();
    assert_int_equal(fake_frame_out(a, CTL_NWID, group, from, 0x0800, p, 30), 0);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_FRAME), 1);
    struct fake_packet *k = fake_find(a, ZT_VERB_MULTICAST_FRAME);
    assert_true(k->dest == B);
    assert_int_equal(k->p[8], 0x0c);
    assert_true(zt_be48(k->p + 9) == from && zt_be48(k->p + 15) == group);
    fake_pump();
    assert_int_equal(b->nframes, 1);
    assert_int_equal(c->nframes, 1); /* once: not from a, too */
    assert_int_equal(a->nframes, 0); /* not back */
    assert_true(zt_be48(c->frames[0].eth) == group && zt_be48(c->frames[0].eth + 6) == from);
    /* With none within reach a does it by itself. */
    a->root_alive = false;
    assert_int_equal(fake_frame_out(a, CTL_NWID, group, from, 0x0800, p, 30), 0);
    assert_int_equal(fake_count(a, ZT_VERB_MULTICAST_FRAME), 2); /* the bridge, and c */
    fake_pump();
    assert_int_equal(c->nframes, 2);
    /* Who is none doesn't replicate, whatever he is asked. */
    fake_clear();
    zt_put64(p, CTL_NWID);
    uint8_t ask[60];
    struct zt_wr w = zt_wr(ask, sizeof ask);
    zt_wr_u64(&w, CTL_NWID);
    zt_wr_u8(&w, 0x0c);
    zt_wr_u48(&w, from);
    zt_wr_u48(&w, group);
    zt_wr_u32(&w, 0);
    zt_wr_u16(&w, 0x0800);
    zt_wr_bytes(&w, p, 30);
    fake_inject(c, A, ZT_VERB_MULTICAST_FRAME, ask, w.n);
    assert_int_equal(c->nframes, 3);
    assert_int_equal(fake_count(c, ZT_VERB_MULTICAST_FRAME), 0);
    /* Nor does the one who is lend himself to a foreign source. */
    zt_put48(ask + 9, zt_mac_of(C, CTL_NWID));
    fake_inject(b, A, ZT_VERB_MULTICAST_FRAME, ask, w.n);
    assert_int_equal(b->drops.n[ZT_DROP_BRIDGE], 1);
    assert_int_equal(fake_count(b, ZT_VERB_MULTICAST_FRAME), 0);
}

static void tee_and_redirect(void **state)
{
    /* tee 8 bytes to c, then accept; and redirect everything to c */
    struct ctl_plan tee = {
        .timestamp = 1, .is_public = true, .rules = "020e0000005fa38da9de0000000000080100"};
    struct ctl_plan redirect = {
        .timestamp = 2, .is_public = true, .rules = "040e0000005fa38da9de000000000000"};

    ctl_join(a, &tee);
    ctl_join(c, &tee);
    fake_clear();
    assert_int_equal(ctl_frame(a, B), 0);
    struct fake_packet *k = fake_find(a, ZT_VERB_EXT_FRAME);
    assert_true(k->dest == C);
    assert_int_equal(k->p[8], 0x02);
    assert_int_equal(k->n, 23 + 8);
    assert_true(fake_find(a, ZT_VERB_FRAME)->dest == B);
    fake_pump();
    assert_int_equal(c->nframes, 1); /* for b's MAC, accepted since c is the target */
    ctl_configure(a, &redirect);
    fake_clear();
    assert_int_equal(ctl_frame(a, B), ZT_E_PERM);
    k = fake_find(a, ZT_VERB_EXT_FRAME);
    assert_int_equal(k->p[8], 0x04);
    assert_int_equal(fake_count(a, ZT_VERB_FRAME), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(request),
        T(who_is_refused_asks_every_five_seconds_again),
        T(low_bandwidth),
        T(config_is_installed_and_saved),
        T(restart_from_the_cache),
        T(errors_of_the_controller),
        T(a_login_is_asked_for),
        T(what_is_configured_is_shown),
        T(chunks),
        T(assembly_bounds),
        T(first_frame_arrives),
        T(lost_credentials_are_asked_for),
        T(frames_wait_in_bounds),
        T(asking_is_limited),
        T(gate),
        T(revoked),
        T(tags_and_rules),
        T(unknown_controller_defers),
        T(a_controller_once_heard_is_remembered),
        T(credentials_are_limited_and_bounded),
        T(members_are_bounded),
        T(bridges),
        T(replicators),
        T(tee_and_redirect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
