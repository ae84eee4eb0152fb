/* local.conf: what is taken, what is refused, and where the message says it stood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/conf.h"

static struct zt_conf conf;
static char said[64][256];
static unsigned nsaid;

static void say(void *user, const char *text)
{
    if (nsaid < 64)
        snprintf(said[nsaid], sizeof said[nsaid], "%s", text);
    nsaid++;
}

static int parse(const char *text)
{
    nsaid = 0;
    return zt_conf_parse(text, strlen(text), &conf, say, NULL, NULL);
}

static void is_ep(const struct zt_ep *ep, const char *text)
{
    char buf[ZT_EP_STR];
    assert_string_equal(zt_ep_format(ep, buf), text);
}

static void defaults(void **state)
{
    struct zt_conf fresh;
    zt_conf_default(&fresh);
    assert_int_equal(fresh.primary_port, -1);
    assert_true(fresh.allow_secondary_port);
    assert_false(fresh.port_mapping);
    assert_int_equal(parse("{}"), 0);
    assert_memory_equal(&conf, &fresh, sizeof conf);
    assert_int_equal(parse("{\"other\": [1], \"settings\": {\"softwareUpdate\": \"apply\"}}"), 0);
    assert_memory_equal(&conf, &fresh, sizeof conf);
    assert_int_equal(nsaid, 0);
}

static void everything(void **state)
{
    assert_int_equal(
        parse("{\"physical\": {\"10.0.0.0/8\": {\"blacklist\": true},\n"
              "  \"192.168.1.0/24\": {\"trustedPathId\": 101, \"mtu\": 9000},\n"
              "  \"fd00::/8\": {\"trustedPathId\": \"18446744073709551615\", \"mtu\": 0}},\n"
              " \"virtual\": {\"89e92ceee5\": {\"try\": [\"192.0.2.1/9993\", \"2001:db8::1/1\"],\n"
              "   \"blacklist\": [\"172.16.0.0/12\", \"192.0.2.7\"]}},\n"
              " \"settings\": {\"primaryPort\": 0, \"secondaryPort\": 65535, \"tertiaryPort\": 3,\n"
              "  \"allowSecondaryPort\": false, \"portMappingEnabled\": true,\n"
              "  \"allowTcpFallbackRelay\": false, \"lowBandwidthMode\": true,\n"
              "  \"cipherSuites\": \"AES\", \"relayPolicy\": \"TRUSTED\",\n"
              "  \"bind\": [\"10.1.2.3\", \"fd00::1\"],\n"
              "  \"interfacePrefixBlacklist\": [\"docker\", \"veth\"],\n"
              "  \"allowManagementFrom\": [\"10.0.0.0/8\", \"::1\"],\n"
              "  \"allowUsers\": [0, 33], \"memoryBudget\": 16}}"),
        0);
    assert_int_equal(nsaid, 0);
    const struct zt_settings *s = &conf.core;
    assert_int_equal(s->nphysical, 3);
    is_ep(&s->physical[0].net, "10.0.0.0/8");
    assert_true(s->physical[0].blacklist);
    assert_int_equal(s->physical[1].trusted_path, 101);
    assert_int_equal(s->physical[1].mtu, 9000);
    assert_true(s->physical[2].trusted_path == UINT64_MAX);
    assert_int_equal(s->physical[2].mtu, 0);
    assert_int_equal(s->nnodes, 1);
    assert_int_equal(s->nodes[0].addr, 0x89e92ceee5);
    assert_int_equal(s->nodes[0].ntry, 2);
    is_ep(&s->nodes[0].try_at[1], "2001:db8::1/1");
    assert_int_equal(s->nodes[0].nblacklist, 2);
    is_ep(&s->nodes[0].blacklist[1], "192.0.2.7/32");
    assert_int_equal(conf.primary_port, 0);
    assert_int_equal(conf.secondary_port, 65535);
    assert_int_equal(conf.tertiary_port, 3);
    assert_false(conf.allow_secondary_port);
    assert_true(conf.port_mapping);
    assert_true(s->low_bandwidth);
    assert_int_equal(s->suites, ZT_SUITES_AES);
    assert_int_equal(s->relay, ZT_RELAY_TRUSTED);
    assert_int_equal(conf.nbind, 2);
    is_ep(&conf.bind[0], "10.1.2.3/0");
    assert_int_equal(conf.nskip, 2);
    assert_string_equal(conf.skip[1], "veth");
    assert_int_equal(conf.nmanagers, 2);
    is_ep(&conf.managers[1], "::1/128");
    assert_int_equal(conf.nusers, 2);
    assert_int_equal(conf.users[1], 33);
    assert_int_equal(conf.memory_budget, 16 << 20);
}

static void one_bad_value_leaves_the_others(void **state)
{
    static const struct {
        const char *text, *says;
    } row[] = {
        {"{\"settings\": {\"primaryPort\": 70000}}",
         "1:15: settings.primaryPort: not a whole number from 0 to 65535; ignored"},
        {"{\"settings\": {\n  \"bind\": [\"10.0.0.1\",\n \"x\"]}}",
         "3:2: settings.bind[1]: not an address; ignored"},
        {"{\"settings\": {\"a\": {\"primaryPort\": \"}\\\"\"}, \"primaryPort\": \"9993\"}}",
         "1:44: settings.primaryPort: not a whole number from 0 to 65535; ignored"},
        {"{ \"settings\" : [1] }", "1:3: settings: not an object; ignored"},
        {"{\"settings\": {\"cipherSuites\": \"rot13\"}}",
         "1:15: settings.cipherSuites: not one of the words for it; ignored"},
        {"{\"settings\": {\"allowSecondaryPort\": 1}}",
         "1:15: settings.allowSecondaryPort: not true or false; ignored"},
        {"{\"settings\": {\"bind\": \"10.0.0.1\"}}", "1:15: settings.bind: not a list; ignored"},
        {"{\"settings\": {\"interfacePrefixBlacklist\": [\"\"]}}",
         "1:44: settings.interfacePrefixBlacklist[0]: not the beginning of an interface's name; "
         "ignored"},
        {"{\"settings\": {\"allowUsers\": [true, -1]}}",
         "1:30: settings.allowUsers[0]: not a user's number; ignored"},
        {"{\"settings\": {\"memoryBudget\": 0}}",
         "1:15: settings.memoryBudget: not a whole number from 1 to 1048576; ignored"},
        {"{\"physical\": {\n\"10.0.0.0/8\": {\"mtu\": 1399}}}",
         "2:16: physical.10.0.0.0/8.mtu: not a whole number from 1400 to 10324; ignored"},
        {"{\"physical\": {\"10.0.0.0/33\": {}}}",
         "1:15: physical.10.0.0.0/33: not a network like 10.0.0.0/8; ignored"},
        {"{\"physical\": {\"10.0.0.0/8\": {\"trustedPathId\": \"12a\"}}}",
         "1:30: physical.10.0.0.0/8.trustedPathId: not a number; ignored"},
        {"{\"virtual\": {\"ff00000001\": {}}}",
         "1:14: virtual.ff00000001: not a node address; ignored"},
        {"{\"virtual\": {\"0123456789\": {\"try\": [\"192.0.2.1\"]}}}",
         "1:37: virtual.0123456789.try[0]: not an endpoint like 192.0.2.1/9993; ignored"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(parse(row[i].text), 0);
        assert_true(nsaid >= 1);
        assert_string_equal(said[0], row[i].says);
    }
    assert_int_equal(parse("{\"settings\": {\"primaryPort\": -1, \"secondaryPort\": 7}}"), 0);
    assert_int_equal(nsaid, 1);
    assert_int_equal(conf.primary_port, -1);
    assert_int_equal(conf.secondary_port, 7);
}

static void unusable_files_give_the_defaults(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"settings\":{\n\"primaryPort\": 1,,}}",
        "{} x",
        "{\"settings\": {\"primaryPort\": 1, \"primaryPort\": 2}}",
        "\"settings\"",
        "{\"physical\": {\"10.0.0.0/8\": {\"trustedPathId\": 18446744073709551615}}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct zt_conf fresh;
        assert_int_equal(parse(bad[i]), ZT_E_FORMAT);
        assert_int_equal(nsaid, 1);
        zt_conf_default(&fresh);
        assert_memory_equal(&conf, &fresh, sizeof conf);
    }
    assert_int_equal(parse(bad[3]), ZT_E_FORMAT);
    assert_int_equal(strncmp(said[0], "2:", 2), 0);
}

/* Every beginning of a good file, and every file with one byte spoilt: no crash, a message or a
 * result, and never a position outside the text (the sanitizers look on). */
static void damage(void **state)
{
    static const char good[] =
        "{\"physical\":{\"10.0.0.0/8\":{\"blacklist\":1,\"mtu\":7}},\"virtual\":{\"0123456789\":"
        "{\"try\":[\"a\",\"b\"]}},\"settings\":{\"bind\":[1,\"\\\"x\"],\"primaryPort\":[{}]}}";
    char text[sizeof good];
    for (size_t n = 0; n < sizeof good; n++) {
        memcpy(text, good, n);
        text[n] = 0;
        nsaid = 0;
        (void)zt_conf_parse(text, n, &conf, say, NULL, NULL);
        assert_true(nsaid > 0);
    }
    static const char spoil[] = "{}[]\",:0 \\x";
    for (size_t n = 0; n + 1 < sizeof good; n++)
        for (size_t k = 0; k + 1 < sizeof spoil; k++) {
            memcpy(text, good, sizeof good);
            text[n] = spoil[k];
            (void)parse(text);
        }
}

static void tables_are_bounded(void **state)
{
    char *text = malloc(1 << 20);
    size_t at = (size_t)sprintf(text, "{\"physical\": {");
    for (unsigned i = 0; i < ZT_SET_PHYSICAL + 3; i++)
        at += (size_t)sprintf(text + at, "%s\"10.%u.0.0/16\": {}", i ? "," : "", i);
    at += (size_t)sprintf(text + at, "}, \"virtual\": {");
    for (unsigned i = 0; i < ZT_SET_NODES + 3; i++)
        at += (size_t)sprintf(text + at, "%s\"%010x\": {}", i ? "," : "", i + 1);
    at += (size_t)sprintf(text + at, "}, \"settings\": {\"bind\": [");
    for (unsigned i = 0; i < ZT_CONF_BIND + 3; i++)
        at += (size_t)sprintf(text + at, "%s\"10.0.0.%u\"", i ? "," : "", i + 1);
    sprintf(text + at, "]}}");
    assert_int_equal(parse(text), 0);
    assert_int_equal(nsaid, 9);
    assert_int_equal(conf.core.nphysical, ZT_SET_PHYSICAL);
    assert_int_equal(conf.core.nnodes, ZT_SET_NODES);
    assert_int_equal(conf.nbind, ZT_CONF_BIND);
    free(text);
}

static void the_file_is_read_and_named(void **state)
{
    char home[] = "/tmp/zt-conf-XXXXXX", name[64], why[ZT_STORE_WHY];
    assert_non_null(mkdtemp(home));
    snprintf(name, sizeof name, "%s/local.conf", home);
    struct zt_store *s;
    struct zt_store_config sc = {.home = home, .lock_fd = -1};
    assert_int_equal(zt_store_open(&sc, &s, why), 0);
    nsaid = 0;
    assert_int_equal(zt_conf_read(s, &conf, say, NULL, NULL), 0);
    assert_int_equal(conf.primary_port, -1);

    FILE *f = fopen(name, "w");
    fputs("{\"settings\": {\"primaryPort\": 12345, \"bind\": 1}}", f);
    fclose(f);
    assert_int_equal(zt_conf_read(s, &conf, say, NULL, NULL), 0);
    assert_int_equal(conf.primary_port, 12345);
    assert_int_equal(nsaid, 1);
    assert_non_null(strstr(said[0], "/local.conf:1:37: settings.bind: not a list"));
    zt_store_close(s);
    char command[80];
    snprintf(command, sizeof command, "rm -r %s", home);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(one_bad_value_leaves_the_others),
        cmocka_unit_test(unusable_files_give_the_defaults),
        cmocka_unit_test(damage),
        cmocka_unit_test(tables_are_bounded),
        cmocka_unit_test(the_file_is_read_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
