/* The rule language: our sources beside what the language's first compiler made of them, the way
 * back, what is refused and where, and what is only warned of.
 * usage: test_rules FOLDER (of NAME.rules with NAME.json, the recorded output) */
#include "../unit/ztest.h"

#include <dirent.h>
#include <stdio.h>

#include "node/rules_json.h"
#include "rules.h"

static const char *folder;

static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *p = malloc(1 << 16);
    assert_non_null(p);
    *n = fread(p, 1, (1 << 16) - 1, f);
    p[*n] = 0;
    fclose(f);
    return p;
}

/* Rules as a controller keeps them, since the same rule may be written in more than one way. */
static void normalise(json_t *rules)
{
    static struct zt_rule v[ZT_RULES_MAX];
    size_t n = zt_rules_from_json(rules, v, ZT_RULES_MAX);
    assert_int_equal(n, json_array_size(rules));
    json_t *same = zt_rules_to_json(v, n);
    json_array_clear(rules);
    json_array_extend(rules, same);
    json_decref(same);
}

static void normalise_all(json_t *doc)
{
    json_t *config = json_object_get(doc, "config"), *cap;
    size_t i;
    normalise(json_object_get(config, "rules"));
    json_array_foreach(json_object_get(config, "capabilities"), i, cap)
        normalise(json_object_get(cap, "rules"));
}

static void there_and_back(json_t *doc)
{
    struct zr_notes notes;
    char err[256];
    char *text = zr_decompile(doc, err);
    if (text == NULL)
        print_error("%s\n", err);
    assert_non_null(text);
    json_t *again = zr_compile(text, strlen(text), &notes);
    assert_non_null(again);
    assert_true(json_equal(doc, again));
    json_decref(again);
    free(text);
}

static void one_file(const char *name)
{
    struct zr_notes notes;
    char path[4096];
    size_t n;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *src = read_all(path, &n);
    json_t *got = zr_compile(src, n, &notes);
    if (got == NULL)
        print_error("%s:%u:%u: %s\n", name, notes.error.line, notes.error.col, notes.error.text);
    assert_non_null(got);
    there_and_back(got);
    strcpy(strrchr(path, '.'), ".json");
    json_t *want = json_load_file(path, 0, NULL);
    assert_non_null(want);
    normalise_all(got);
    normalise_all(want);
    if (!json_equal(got, want))
        print_error("%s: not as recorded\n", name);
    assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);

    /* Cut anywhere: a result or a place. */
    for (size_t i = 0; i < n; i++) {
        char *cut = (char *)exact_copy(src, i);
        got = zr_compile(cut, i, &notes);
        assert_true(got != NULL || (notes.error.line > 0 && notes.error.col > 0));
        json_decref(got);
        free(cut);
    }
    free(src);
}

static int is_source(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 6 && strcmp(e->d_name + n - 6, ".rules") == 0;
}

static void as_recorded(void **state)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_source, alphasort);
    assert_true(n >= 13);
    for (int i = 0; i < n; i++) {
        one_file(names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

static json_t *compiled(const char *src)
{
    struct zr_notes notes;
    json_t *doc = zr_compile(src, strlen(src), &notes);
    if (doc == NULL)
        print_error("'%s': %u:%u: %s\n", src, notes.error.line, notes.error.col, notes.error.text);
    assert_non_null(doc);
    return doc;
}

/* Two spellings of one thing. */
static void same(const char *a, const char *b)
{
    json_t *one = compiled(a), *two = compiled(b);
    there_and_back(one);
    if (!json_equal(one, two))
        print_error("'%s' and '%s' differ\n", a, b);
    assert_true(json_equal(one, two));
    json_decref(one);
    json_decref(two);
}

/* What we take beyond what the first compiler takes. */
static void more_generous(void **state)
{
    same("DROP Not EtherType IPv4; Accept;", "drop not ethertype ipv4; accept;");
    same("drop ethertype ipv4;accept;#and so on", "drop ethertype ipv4; accept;");
    same("accept ; drop ethertype ipv4;", "accept; drop ethertype ipv4;");
    same("cap c id 1 accept ; ;", "cap c id 1 accept; ;");
    same("macro m($A, $b) drop dport $a sport $B; ; include M(1, 2)", "drop dport 1 sport 2;");
    same("macro m($p) tee $p 0123456789; ; include m(5)", "tee 5 0123456789;");
    same("macro a($x) drop dport $x; ; macro b($y) include a($y) ; include b(7)", "drop dport 7;");
    same("drop ipprotocol icmp;", "drop ipprotocol 1;");
    same("drop chr tcp_syn,,tcp_ack;", "drop chr 1,4;");
    same("tag t id 1 enum 5 Big; drop teq T bIG;", "tag t id 1 enum 5 big; drop teq 1 5;");
    same("tag t id 1 enum 5 e; drop teq 1 e;", "tag t id 1 enum 5 e; drop teq t 5;");
    same("drop ipsrc FD00:0:0::/16;", "drop ipsrc fd00::/16;");
    same("drop macsrc 02-11-22-33-44-55;", "drop macsrc 0211.2233.4455;");
    same("include a macro a accept ethertype 1; ;", "accept ethertype 1;");
}

static json_int_t number_at(json_t *doc, const char *tag, const char *list, const char *name)
{
    json_t *t = json_object_get(json_object_get(doc, "tagsByName"), tag);
    return json_integer_value(json_object_get(json_object_get(t, list), name));
}

/* Bits at the top of a word, where the first compiler's numbers turn negative. */
static void top_bits(void **state)
{
    json_t *doc = compiled("tag t id 1 default 4294967295 flag 31 top; drop tand t top;"
                           "drop chr inbound,multicast;");
    json_t *rules = json_object_get(json_object_get(doc, "config"), "rules");
    json_t *tag = json_array_get(json_object_get(json_object_get(doc, "config"), "tags"), 0);

    assert_int_equal(number_at(doc, "t", "flags", "top"), 0x80000000);
    assert_int_equal(json_integer_value(json_object_get(tag, "default")), 4294967295);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rules, 0), "value")),
                     0x80000000);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rules, 2), "mask")),
                        "c000000000000000");
    there_and_back(doc);
    json_decref(doc);
}

/* One thousandth apart, and at the ends: read back as the same 32 bits. */
static void probabilities(void **state)
{
    for (uint64_t i = 0; i <= 1000; i++) {
        uint64_t chance = i * 4294967 + (i == 1000 ? 295 : i % 7);
        json_t *rules =
            json_pack("[{s:s, s:I, s:b, s:b} {s:s}]", "type", "MATCH_RANDOM", "probability",
                      (json_int_t)chance, "not", 0, "or", 0, "type", "ACTION_DROP");
        char err[256];
        char *text = zr_decompile(rules, err);
        assert_non_null(text);
        json_t *doc = compiled(text);
        assert_true(json_equal(rules, json_object_get(json_object_get(doc, "config"), "rules")));
        json_decref(doc);
        json_decref(rules);
        free(text);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *src;
        unsigned line, col;
        const char *text;
    } cases[] = {
        {"drop dport http;", 1, 12,
         "expected a port (0 to 65535) or a range such as 80-443, found 'http'"},
        {"# one\n\tdrop\n\t\tdport 70000\n;", 3, 9, "found '70000'"},
        {"drop dport 80-70;", 1, 12, "found '80-70'"},
        {"drop dport 80-;", 1, 12, "found '80-'"},
        {"drop dport ;", 1, 12, "expected a value of 'dport', found ';'"},
        {"drop dport", 1, 11, "expected a value of 'dport', found the end of the source"},
        {"drop framesize 65536;", 1, 16, "expected a size"},
        {"drop ethertype ipv5;", 1, 16, "an Ethernet type"},
        {"drop ethertype 65536;", 1, 16, "an Ethernet type"},
        {"drop ipprotocol 256;", 1, 17, "an IP protocol"},
        {"drop vlan x;", 1, 11, "a number (0 to 65535)"},
        {"drop vlanpcp 256;", 1, 14, "a number (0 to 255)"},
        {"drop vlandei -1;", 1, 14, "found '-1'"},
        {"drop ztsrc 12345;", 1, 12, "the 10 hex digits"},
        {"drop ztdest 0123456789a;", 1, 13, "found '0123456789a'"},
        {"drop ztdest 01-2345678;", 1, 13, "the 10 hex digits"},
        {"drop macsrc 02:11:22:33:44;", 1, 13, "a MAC address"},
        {"drop macsrc 02:11:22:33:44:5g;", 1, 13, "a MAC address"},
        {"drop macsrc 02:11:22:33:44:55:66;", 1, 13, "a MAC address"},
        {"drop ipsrc 10.0.0.1;", 1, 12, "an address and its length"},
        {"drop ipsrc 10.0.0.1/;", 1, 12, "an address and its length"},
        {"drop ipsrc 10.0.0.1/33;", 1, 12, "an address and its length"},
        {"drop ipdest fd00::/129;", 1, 13, "an address and its length"},
        {"drop ipdest 10.0.0.256/8;", 1, 13, "found '10.0.0.256/8'"},
        {"drop iptos 256 1;", 1, 12, "a mask"},
        {"drop iptos 1 5-4;", 1, 14, "found '5-4'"},
        {"drop iptos 1;", 1, 13, "expected a value of 'iptos'"},
        {"drop icmp 256 0;", 1, 11, "an ICMP type"},
        {"drop icmp 8 -2;", 1, 13, "an ICMP code (0 to 255, or -1 for any)"},
        {"drop chr tcp_sin;", 1, 10, "characteristics"},
        {"drop chr tcp_syn,64;", 1, 10, "found 'tcp_syn,64'"},
        {"drop random 1.1;", 1, 13, "a probability from 0 to 1"},
        {"drop random nan;", 1, 13, "a probability from 0 to 1"},
        {"drop random -0.5;", 1, 13, "a probability from 0 to 1"},
        {"drop teq dept 1;", 1, 10, "the name of a tag, or its number"},
        {"drop teq 4294967296 1;", 1, 10, "the name of a tag"},
        {"drop teq 1 staff;", 1, 12, "expected a number, found 'staff'"},
        {"tag t id 1; drop teq t staff;", 1, 24, "an enum or flag of this tag"},
        {"drop colour red;", 1, 6, "expected the name of a match, found 'colour'"},
        {"drop not;", 1, 9, "expected the name of a match, found ';'"},
        {"drop not not ethertype 1;", 1, 10, "expected the name of a match, found 'not'"},
        {"drop and or ethertype 1;", 1, 10, "expected the name of a match, found 'or'"},
        {"drop ethertype 1 or;", 1, 20, "expected the name of a match, found ';'"},
        {"drop ethertype ipv4\naccept;", 2, 1, "found 'accept': is a ';' missing before it?"},
        {"drop ethertype ipv4\ntag t id 1;", 2, 1, "is a ';' missing before it?"},
        {"drop $x;", 1, 6, "expected the name of a match"},
        {"drop dport $x;", 1, 12, "only macros have parameters"},
        {"frob;", 1, 1, "expected an action or a definition, found 'frob'"},
        {"priority 3 ethertype 1;", 1, 1, "'priority'"},
        {"tee 5;", 1, 6, "expected a value of 'tee', found ';'"},
        {"tee 65536 0123456789;", 1, 5, "a length (0 to 65535 bytes"},
        {"tee -2 0123456789;", 1, 5, "a length"},
        {"watch 5 012345678;", 1, 9, "the 10 hex digits"},
        {"redirect;", 1, 9, "expected a value of 'redirect'"},
        {";", 1, 1, "this ';' ends nothing"},
        {"accept; ;", 1, 9, "this ';' ends nothing"},
        {"cap c id 1 accept; drop; ;", 1, 26, "this ';' ends nothing"},
        {"macro a ; macro m include a; include a; ;", 1, 41, "this ';' ends nothing"},
        {"include nothing", 1, 9, "there is no macro 'nothing'"},
        {"include;", 1, 8, "expected the name of a macro, found ';'"},
        {"macro m($x) drop dport $x; ;\ninclude m", 2, 9, "takes 1 values, found 0"},
        {"macro m($x) drop dport $x; ;\ninclude m(1,2)", 2, 9, "takes 1 values, found 2"},
        {"macro m($x)\ndrop dport $x; ;\n\n include m(a)", 2, 12,
         "found '$x' = 'a', included at 4:10"},
        {"macro m($x) drop dport $y; ;", 1, 24, "macro 'm' has no parameter '$y'"},
        {"macro m($x) drop dport zz; ;", 1, 24, "found 'zz'"},
        {"macro m($x, $X) ;", 1, 13, "parameter '$X' twice"},
        {"macro m(x) ;", 1, 9, "expected parameters such as $port, found 'x'"},
        {"macro m($x ;", 1, 7, "has no ')'"},
        {"macro m($x)y ;", 1, 7, "nothing behind ')'"},
        {"macro 1m ;", 1, 7, "a name for the macro"},
        {"macro drop ;", 1, 7, "'drop' is a word of the language"},
        {"macro m ; macro M ;", 1, 17, "there is a macro 'M' already, in line 1"},
        {"macro m include m ;", 1, 17, "macro 'm' includes itself"},
        {"macro a include b ; macro b include a ; include a", 1, 37,
         "macro 'a' includes itself, included at 1:17, included at 1:49"},
        {"macro m drop dport 1;\ntag t id 1;", 2, 1, "'macro' of line 1 has not ended"},
        {"tag", 1, 4, "a name for the tag"},
        {"tag t;", 1, 1, "tag 't' has no id"},
        {"tag t id;", 1, 9, "expected the number of the tag, found ';'"},
        {"tag t id 1 id 2;", 1, 12, "a second id"},
        {"tag t id 4294967296;", 1, 10, "the number of the tag"},
        {"tag t id 1 default;", 1, 19, "expected a value"},
        {"tag t id 1 default 1 default 2;", 1, 22, "a second default"},
        {"tag t id 1 default red;", 1, 20, "or an enum or flag of this tag, found 'red'"},
        {"tag t id 1 enum red 1;", 1, 17, "expected a number, found 'red'"},
        {"tag t id 1 enum 1;", 1, 18, "expected a name"},
        {"tag t id 1 enum 1 a enum 2 A;", 1, 28, "there is a value 'A' already"},
        {"tag t id 1 flag 32 a;", 1, 17, "numbers of bits"},
        {"tag t id 1 flag 1,b a;", 1, 17, "numbers of bits"},
        {"tag t id 1 flag;", 1, 16, "numbers of bits"},
        {"tag t id 1 flag 1 a flag 2 a;", 1, 28, "there is a flag 'a' already"},
        {"tag t id 1 colour red;", 1, 12, "expected id, default, enum, flag or ';'"},
        {"tag t id 1; tag t id 2;", 1, 17, "there is a tag 't' already"},
        {"tag t id 1; tag u id 1;", 1, 17, "tag 'u' has the id of tag 't', 1"},
        {"tag ethertype id 1;", 1, 5, "is a word of the language"},
        {"cap c accept; ;", 1, 5, "cap 'c' has no id"},
        {"cap c id 1 id 2 accept; ;", 1, 12, "a second id"},
        {"cap c id x accept; ;", 1, 10, "the number of the cap"},
        {"cap c id 1; cap C id 2;", 1, 17, "there is a cap 'C' already"},
        {"cap c id 1; cap d id 1;", 1, 17, "cap 'd' has the id of cap 'c', 1"},
        {"cap c id 1 frob; ;", 1, 12, "expected an action, found 'frob'"},
        {"cap c id 1 drop dport 1; tag t id 1;", 1, 26, "'cap' of line 1 has not ended"},
        {"größe dport;", 1, 1, "found 'größe'"},
        {"drop größe", 1, 6, "found 'größe'"},
        {"tag größe id 1 enum x größe;", 1, 21, "expected a number, found 'x'"},
        {"drop \xff;", 1, 1, "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zr_notes notes;
        size_t n = strlen(cases[i].src);
        char *src = (char *)exact_copy(cases[i].src, n);
        json_t *doc = zr_compile(src, n, &notes);
        if (doc != NULL || strstr(notes.error.text, cases[i].text) == NULL ||
            notes.error.line != cases[i].line || notes.error.col != cases[i].col)
            print_error("'%s': %u:%u: %s\n", cases[i].src, notes.error.line, notes.error.col,
                        notes.error.text);
        assert_null(doc);
        assert_true(notes.failed);
        assert_non_null(strstr(notes.error.text, cases[i].text));
        assert_int_equal(notes.error.line, cases[i].line);
        assert_int_equal(notes.error.col, cases[i].col);
        free(src);
    }
}

/* Text that repeats until something is too much: refused, and soon. */
static void limits(void **state)
{
    static const struct {
        const char *before, *each;
        unsigned times;
        const char *after, *text;
    } cases[] = {
        {"", "drop dport 1; ", 512, "", NULL},
        {"", "drop dport 1; ", 513, "", "more than 1024 rules"},
        {"cap c id 1 ", "drop dport 1; ", 32, ";", NULL},
        {"cap c id 1 ", "drop dport 1; ", 33, ";", "more than 64 rules"},
        {"", "tag t%u id %u; ", 128, "", NULL},
        {"", "tag t%u id %u; ", 129, "", "more than 128 tags"},
        {"", "cap c%u id %u; ", 128, "", NULL},
        {"", "cap c%u id %u; ", 129, "", "more than 128 caps"},
        {"macro m0 ; ", "macro m%u include m%u include m%u include m%u ; ", 20, "include m20",
         "more than 100000 actions"},
        {"macro m0 ; ", "macro m%u include m%u ; ", 60, "include m60", NULL},
        {"macro m0 ; ", "macro m%u include m%u ; ", 80, "include m80", "64 deep"},
        {"macro m($a", ",$p%u", 31, ") ;", NULL},
        {"macro m($a", ",$p%u", 32, ") ;", "more than 32 parameters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *src;
        size_t n;
        FILE *f = open_memstream(&src, &n);
        assert_non_null(f);
        fputs(cases[i].before, f);
        for (unsigned k = 1; k <= cases[i].times; k++) {
            unsigned second = strstr(cases[i].each, "include") != NULL ? k - 1 : k;
            fprintf(f, cases[i].each, k, second, second, second);
        }
        fputs(cases[i].after, f);
        fclose(f);
        struct zr_notes notes;
        json_t *doc = zr_compile(src, n, &notes);
        if ((doc != NULL) != (cases[i].text == NULL))
            print_error("case %zu: %s\n", i, notes.error.text);
        if (cases[i].text == NULL)
            assert_non_null(doc);
        else
            assert_true(doc == NULL && strstr(notes.error.text, cases[i].text) != NULL);
        json_decref(doc);
        free(src);
    }
}

static void warned_of(void **state)
{
    struct zr_notes notes;
    static const char src[] = "drop or dport 5 or dport 6;\n"
                              "accept ipsrc fd00::1/64 ipdest 10.0.0.1/8;\n"
                              "macro m accept or dport 7; ; include m include m";
    json_t *doc = zr_compile(src, strlen(src), &notes);

    assert_non_null(doc);
    assert_int_equal(notes.nwarnings, 3);
    assert_int_equal(notes.warnings[0].col, 6);
    assert_non_null(strstr(notes.warnings[0].text, "makes it match everything"));
    assert_int_equal(notes.warnings[1].line, 2);
    assert_int_equal(notes.warnings[1].col, 14);
    assert_non_null(strstr(notes.warnings[1].text, "never matches"));
    assert_int_equal(notes.warnings[2].line, 3);
    json_decref(doc);
}

/* Documents that didn't come from the compiler. */
static void from_elsewhere(void **state)
{
    static const struct {
        const char *json, *want; /* or, where there is none, why */
    } cases[] = {
        {"[]", ""},
        {"{\"rules\":[{\"type\":\"ACTION_ACCEPT\"}]}", "accept;\n"},
        {"{\"rules\":[],\"tags\":[{\"id\":5,\"default\":3}],\"capabilities\":[{\"id\":6,"
         "\"default\":true,\"rules\":[{\"type\":\"ACTION_DROP\"},{\"type\":\"ACTION_ACCEPT\"}]}]}",
         "tag tag_5\n    id 5\n    default 3\n;\n\nmacro just_drop\n    drop;\n\n"
         "cap cap_6\n    id 6\n    default\n    include just_drop\n    accept;\n;\n\n"},
        {"{\"config\":{\"rules\":[{\"type\":\"MATCH_TAGS_EQUAL\",\"id\":1,\"value\":2},"
         "{\"type\":\"ACTION_BREAK\"}],\"tags\":[{\"id\":1,\"default\":null}]},"
         "\"tagsByName\":{\"t\":{\"id\":1,\"default\":null,\"enums\":{\"e\":2},\"flags\":{}}}}",
         "tag t\n    id 1\n    enum 2 e\n;\n\nbreak\n    teq t e\n;\n"},
        {"{}", "!there are no rules"},
        {"{\"rules\":5}", "!rules are not an array"},
        {"[{\"type\":\"MATCH_FROB\"}]", "!element 0 is not a rule"},
        {"[{\"type\":\"MATCH_ETHERTYPE\"}]", "!matches at the end without an action"},
        {"[{\"type\":\"INTEGER_RANGE\"},{\"type\":\"ACTION_DROP\"}]",
         "!no words for MATCH_INTEGER"},
        {"[{\"type\":\"ACTION_TEE\",\"flags\":1}]", "!no words for flags of tee"},
        {"[{\"type\":\"MATCH_IP_DEST_PORT_RANGE\",\"start\":5,\"end\":4},"
         "{\"type\":\"ACTION_DROP\"}]",
         "!5-4 is upside down"},
        {"{\"rules\":[],\"tags\":[{\"id\":5},{\"id\":5}]}", ""},
        {"{\"rules\":[],\"tagsByName\":{\"drop\":{\"id\":5}}}", "!word of the language"},
        {"{\"rules\":[],\"tagsByName\":{\"a b\":{\"id\":5}}}", "!is not a name"},
        {"{\"rules\":[],\"tagsByName\":{\"a\":{\"id\":5},\"b\":{\"id\":5}}}", "!has the id of"},
        {"{\"rules\":[],\"tagsByName\":{\"a\":{}}}", "!no id"},
        {"{\"rules\":[],\"tagsByName\":{\"a\":{\"id\":1,\"flags\":{\"f\":0}}}}", "!no value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char err[256];
        json_t *doc = json_loads(cases[i].json, 0, NULL);
        assert_non_null(doc);
        char *text = zr_decompile(doc, err);
        const char *want = cases[i].want;
        if ((text == NULL) != (want[0] == '!') || (text == NULL && !strstr(err, want + 1)) ||
            (text != NULL && want[0] != 0 && strcmp(text, want) != 0))
            print_error("%s: %s\n", cases[i].json, text != NULL ? text : err);
        if (want[0] == '!') {
            assert_null(text);
            assert_non_null(strstr(err, want + 1));
        } else if (want[0] != 0) {
            assert_string_equal(text, want);
        } else {
            assert_non_null(text);
        }
        free(text);
        json_decref(doc);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_recorded), cmocka_unit_test(more_generous),
        cmocka_unit_test(top_bits),    cmocka_unit_test(probabilities),
        cmocka_unit_test(refused),     cmocka_unit_test(limits),
        cmocka_unit_test(warned_of),   cmocka_unit_test(from_elsewhere),
    };
    folder = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
