/* Rules as JSON: what a controller of the reference made of each of many rules, odd ones included,
 * and the way to bytes and back. */
#include "../ztest.h"

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"
#include "node/json.h"
#include "node/rules_json.h"

/* The reference does not accept the INTEGER_RANGE that it writes itself; we do. */
static bool differs_on_purpose(const json_t *given)
{
    const char *type = json_string_value(json_object_get(given, "type"));
    return type != NULL && strcmp(type, "INTEGER_RANGE") == 0;
}

static void as_the_reference(void **state)
{
    json_error_t err;
    json_t *doc = json_load_file(RULES_JSON, 0, &err), *one;
    size_t i, wrong = 0;

    assert_non_null(doc);
    assert_true(json_array_size(json_object_get(doc, "cases")) > 150);
    json_array_foreach(json_object_get(doc, "cases"), i, one)
    {
        json_t *given = json_object_get(one, "given"), *kept = json_object_get(one, "kept");
        struct zt_rule r;
        if (differs_on_purpose(given))
            continue;
        bool is_rule = zt_rule_from_json(given, &r) == 0;
        json_t *ours = is_rule ? zt_rules_to_json(&r, 1) : json_array();
        if (!json_equal(ours, kept)) {
            char *a = json_dumps(given, JSON_ENCODE_ANY), *b = json_dumps(ours, 0);
            printf("given %s, made %s of it\n", a, b);
            free(a);
            free(b);
            wrong++;
        }
        json_decref(ours);
    }
    json_decref(doc);
    assert_int_equal(wrong, 0);
}

/* Every type that has a JSON form comes back from it as it was, bytes included. */
static void there_and_back(void **state)
{
    for (unsigned t = 0; t < 256; t++) {
        uint8_t bytes[64], back[64];
        struct zt_rule r = {.t = (uint8_t)t}, again;
        if (zt_rule_name(zt_rule_type(&r)) == NULL || (zt_rule_is_action(&r) && t > ZT_RULE_TYPE))
            continue;
        for (unsigned fill = 0; fill < 256; fill += 51) {
            /* Any bytes, through the decoder, which bounds what it must. */
            uint8_t entry[64] = {(uint8_t)t, 32};
            memset(entry + 2, (int)fill, 32);
            struct zt_rd rd = zt_rd(entry, 34);
            zt_rd_rule(&rd, &r);
            assert_false(rd.bad);
            if (zt_rule_type(&r) == ZT_RULE_ACTION_REDIRECT)
                r.u.fwd.length = 0; /* means nothing there */
            if (zt_rule_type(&r) == ZT_RULE_MATCH_ICMP)
                r.u.icmp.code = (r.u.icmp.flags &= 1) != 0 ? r.u.icmp.code : 0;
            if (zt_rule_type(&r) == ZT_RULE_MATCH_INTEGER_RANGE)
                r.u.integer.format &= 0xbf; /* a bit that means nothing */
            json_t *j = zt_rule_to_json(&r);
            if (zt_rule_type(&r) == ZT_RULE_ACTION_PRIORITY) {
                assert_null(j);
                continue;
            }
            assert_non_null(j);
            assert_int_equal(zt_rule_from_json(j, &again), 0);
            json_decref(j);
            struct zt_wr w = zt_wr(bytes, sizeof bytes), w2 = zt_wr(back, sizeof back);
            zt_wr_rule(&w, &r);
            zt_wr_rule(&w2, &again);
            assert_int_equal(w.n, w2.n);
            assert_memory_equal(bytes, back, w.n);
        }
    }
}

static void arrays(void **state)
{
    json_t *j = json_pack("[{s:s} {s:s} s {s:s} {s:s}]", "type", "ACTION_DROP", "type", "NO_SUCH",
                          "ACTION_DROP", "type", "ACTION_BREAK", "type", "ACTION_ACCEPT");
    struct zt_rule out[4] = {{0}};

    assert_int_equal(zt_rules_from_json(j, out, 4), 3);
    assert_int_equal(out[0].t, ZT_RULE_ACTION_DROP);
    assert_int_equal(out[1].t, ZT_RULE_ACTION_BREAK);
    assert_int_equal(out[2].t, ZT_RULE_ACTION_ACCEPT);
    assert_int_equal(zt_rules_from_json(j, out, 2), 2);
    assert_int_equal(zt_rules_from_json(j, out, 0), 0);
    json_decref(j);
    assert_int_equal(zt_rules_from_json(NULL, out, 4), 0);
    j = json_object();
    assert_int_equal(zt_rules_from_json(j, out, 4), 0);
    json_decref(j);
    /* Without a JSON form: left out. */
    struct zt_rule odd[] = {
        {.t = ZT_RULE_ACTION_PRIORITY}, {.t = 63}, {.t = 9}, {.t = ZT_RULE_ACTION_DROP}};
    j = zt_rules_to_json(odd, 4);
    assert_int_equal(json_array_size(j), 1);
    json_decref(j);
}

static void coercions(void **state)
{
    static const struct {
        const char *text;
        uint64_t dec, hex;
        bool is_true;
        const char *as_text;
    } cases[] = {
        {"17", 17, 17, true, "17"},
        {"-1", UINT64_MAX, UINT64_MAX, true, "18446744073709551615"},
        {"0", 0, 0, false, "0"},
        {"2.9", 2, 2, true, "2"},
        {"0.5", 0, 0, false, "0"},
        {"1e300", 0, 0, false, "0"},
        {"\"17\"", 17, 23, true, "17"},
        {"\"-1\"", UINT64_MAX, UINT64_MAX, false, "-1"},
        {"\"true\"", 0, 0, true, "true"},
        {"\"\"", 0, 0, false, ""},
        {"\"ff\"", 0, 255, false, "ff"},
        {"true", 1, 1, true, "1"},
        {"false", 0, 0, false, "0"},
        {"null", 99, 99, true, "none"},
        {"[]", 99, 99, true, "none"},
        {"{}", 99, 99, true, "none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char tmp[ZT_JSON_TEXT];
        json_t *j = json_loads(cases[i].text, JSON_DECODE_ANY, NULL);
        assert_non_null(j);
        assert_true(zt_json_u64(j, 99) == cases[i].dec);
        assert_true(zt_json_hex(j, 99) == cases[i].hex);
        assert_int_equal(zt_json_bool(j, true), cases[i].is_true);
        assert_string_equal(zt_json_text(j, tmp, "none"), cases[i].as_text);
        json_decref(j);
    }
    assert_true(zt_json_u64(NULL, 5) == 5);
    assert_false(zt_json_bool(NULL, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(arrays),
        cmocka_unit_test(coercions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
