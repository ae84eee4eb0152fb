/* The rules engine beside the reference's: its answers to SCENES random scenes were recorded by
 * calling the function of ZeroTierOne 1.14.1 that judges one table. usage: test_random_rules FILE
 *
 * A line per scene: N no match, D drop, A accept, S super accept, R redirect with the last hex
 * digit of the new address; then, if there is a copy, t or w (watch), that digit of its target, and
 * its length. */
#include "ztest.h"

#include <stdio.h>

#include "random_rules.h"
#include "vl2/rules.h"

static const char *recorded;

static void judge(const struct scene *s, bool with_cap, struct zt_filter_outcome *out)
{
    static const struct zt_rule accept = {.t = ZT_RULE_ACTION_ACCEPT};
    static const struct zt_held_cap cap = {.id = 1, .n = 1, .rules = &accept};
    static struct zt_rule rules[64];
    struct zt_held_tag own[4], others[4];
    struct zt_holdings remote = {.tags = others, .ntags = s->nremote, .caps = &cap};
    struct zt_policy net = {.self = s->self, .flags = s->flags, .rules = rules};
    struct zt_filter_frame f = {.source = s->source,
                                .dest = s->dest,
                                .mac_source = s->mac_source,
                                .mac_dest = s->mac_dest,
                                .ethertype = s->ethertype,
                                .n = s->n};
    uint8_t *p = exact_copy(s->frame, s->n);
    int n = zt_rules_decode(s->rules, s->nrules, rules, 64);

    assert_true(n > 0);
    for (unsigned i = 0; i < s->nown; i++)
        own[i] = (struct zt_held_tag){.id = s->own[i].id, .value = s->own[i].value};
    for (unsigned i = 0; i < s->nremote; i++)
        others[i] = (struct zt_held_tag){.id = s->remote[i].id, .value = s->remote[i].value};
    net.nrules = (unsigned)n;
    net.own = (struct zt_holdings){.tags = own, .ntags = s->nown, .caps = &cap};
    (s->inbound ? &remote : &net.own)->ncaps = with_cap;
    f.p = p;
    if (s->inbound)
        zt_filter_in(&net, &f, &remote, out);
    else
        zt_filter_out(&net, &f, s->has_remote ? &remote : NULL, false, out);
    free(p);
}

/* Twice, without and with a capability that accepts what the table has no opinion on: so a drop is
 * told from no match. */
static void answer(const struct scene *s, char text[32])
{
    struct zt_filter_outcome o, with_cap;
    const char *verdict;
    char redirect[8] = "";
    int n;

    judge(s, false, &o);
    judge(s, true, &with_cap);
    if (o.result == ZT_FILTER_DROP)
        verdict = with_cap.result == ZT_FILTER_DROP ? "D" : "N";
    else
        verdict = o.result == ZT_FILTER_SUPER ? "S" : "A";
    n = snprintf(text, 32, "%s", verdict);
    for (unsigned i = 0; i < o.ncopies; i++) {
        uint8_t flags = o.copies[i].flags;
        unsigned to = o.copies[i].to & 0xf;
        bool is_watch = flags == (s->inbound ? 0x1c : 0x16);
        if (flags == (s->inbound ? 0x0a : 0x04)) {
            assert_int_equal(o.copies[i].n, s->n);
            snprintf(redirect, sizeof redirect, "R%x", to);
        } else {
            assert_int_equal(flags, is_watch ? flags : s->inbound ? 0x08 : 0x02);
            n = snprintf(text, 32, "%s %c%x:%zu", verdict, is_watch ? 'w' : 't', to, o.copies[i].n);
        }
    }
    if (redirect[0] != 0) {
        char rest[32];
        snprintf(rest, sizeof rest, "%.*s", n - 1, text + 1);
        snprintf(text, 32, "%.2s%.28s", redirect, rest);
    }
}

static void as_recorded(void **state)
{
    static struct scene s;
    unsigned wrong = 0;
    char line[32], got[32];
    FILE *f = fopen(recorded, "r");

    assert_non_null(f);
    for (unsigned i = 0; i < SCENES; i++) {
        assert_non_null(fgets(line, sizeof line, f));
        line[strcspn(line, "\n")] = 0;
        make_scene(i, &s);
        answer(&s, got);
        if (strcmp(line, got) != 0) {
            print_error("scene %u: recorded '%s', got '%s'\n", i, line, got);
            wrong++;
        }
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_recorded)};
    recorded = argc > 1 ? argv[1] : "random_rules.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
