/* Back from JSON to source: so that compiling it gives the same rules again. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "node/json.h"
#include "node/rules_json.h"
#include "rules_int.h"
#include "ztctl.h"

/* A tag's declaration in the document: its names are looked up from there. */
struct printer {
    FILE *out;
    json_t *tags; /* name -> {id, default, enums, flags} */
    const char *where;
    char *err; /* 256 bytes; not empty: failed */
};

__attribute__((format(printf, 2, 3))) static bool fail(struct printer *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->err, 256, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- values ---- */

static const char *name_of(const struct zr_name *list, unsigned value)
{
    while (list->name != NULL && list->value != value)
        list++;
    return list->name;
}

static void print_range(FILE *out, unsigned low, unsigned high)
{
    if (low == high)
        fprintf(out, " %u", low);
    else
        fprintf(out, " %u-%u", low, high);
}

static void print_number(FILE *out, const struct zr_name *names, unsigned v)
{
    const char *name = name_of(names, v);
    if (name != NULL)
        fprintf(out, " %s", name);
    else if (names == zr_ethertypes)
        fprintf(out, " 0x%04x", v);
    else
        fprintf(out, " %u", v);
}

static void print_prefix(FILE *out, uint8_t family, const struct zt_rule *r)
{
    char text[ZT_EP_STR];
    struct zt_ep ep = zt_ep_make(family, r->u.net.ip, r->u.net.bits);
    fprintf(out, " %s", zt_ep_format(&ep, text));
}

static void print_mac(FILE *out, uint64_t mac)
{
    for (int shift = 40; shift >= 0; shift -= 8)
        fprintf(out, "%c%02x", shift == 40 ? ' ' : ':', (unsigned)(mac >> shift & 0xff));
}

static void print_characteristics(FILE *out, uint64_t mask)
{
    char sep = ' ';
    if (mask == 0)
        fputs(" ,", out); /* an empty list */
    for (unsigned bit = 64; bit-- > 0;) {
        if ((mask >> bit & 1) == 0)
            continue;
        const char *name = name_of(zr_characteristics, bit);
        if (name != NULL)
            fprintf(out, "%c%s", sep, name);
        else
            fprintf(out, "%c%u", sep, bit);
        sep = ',';
    }
}

/* The shortest decimal fraction that is read as this probability. */
static void print_chance(FILE *out, uint32_t chance)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        for (int up = 0; up <= 1; up++) {
            double step = pow(10, -digits), v = chance / 4294967295.0;
            snprintf(text, sizeof text, "%.*f", digits, v + (up ? step / 2 : 0));
            if (strtod(text, NULL) <= 1 && floor(4294967295.0 * strtod(text, NULL)) == chance) {
                fprintf(out, " %s", text);
                return;
            }
        }
    }
    fprintf(out, " %.17f", chance / 4294967295.0);
}

static const char *value_name(const json_t *list, uint32_t value)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)list, name, v)
    {
        if (zt_json_u64(v, UINT64_MAX) == value && zr_is_name(name, strlen(name)))
            return name;
    }
    return NULL;
}

/* Its name in a tag, where the name would be read as this number again. */
static const char *name_of_value(const json_t *tag, uint32_t value)
{
    const json_t *flags = json_object_get(tag, "flags"), *enums = json_object_get(tag, "enums");
    const char *name = value_name(flags, value);
    if (name == NULL)
        name = value_name(enums, value);
    bool is_both = name != NULL && json_object_get(flags, name) != NULL &&
                   json_object_get(enums, name) != NULL;
    return is_both ? NULL : name;
}

static void print_value(FILE *out, const json_t *tag, uint32_t value)
{
    const char *name = name_of_value(tag, value);
    if (name != NULL)
        fprintf(out, " %s", name);
    else
        fprintf(out, " %" PRIu32, value);
}

static void print_tag(struct printer *p, const struct zt_rule *r)
{
    const char *name;
    json_t *tag;
    json_object_foreach(p->tags, name, tag)
    {
        if (zt_json_u64(json_object_get(tag, "id"), UINT64_MAX) == r->u.tag.id) {
            fprintf(p->out, " %s", name);
            print_value(p->out, tag, r->u.tag.value);
            return;
        }
    }
    fprintf(p->out, " %" PRIu32 " %" PRIu32, r->u.tag.id, r->u.tag.value);
}

/* ---- rules ---- */

static const struct zr_name no_names[] = {{NULL, 0}};

static bool is_sane_range(struct printer *p, unsigned low, unsigned high)
{
    return low <= high || fail(p,
                               "%s: the range %u-%u is upside down, which the language has no "
                               "words for",
                               p->where, low, high);
}

static bool print_values(struct printer *p, const struct zt_rule *r)
{
    FILE *out = p->out;

    switch (zt_rule_type(r)) {
    case ZT_RULE_MATCH_SOURCE_ZEROTIER_ADDRESS:
    case ZT_RULE_MATCH_DEST_ZEROTIER_ADDRESS:
        fprintf(out, " %010" PRIx64, r->u.addr);
        return true;
    case ZT_RULE_MATCH_MAC_SOURCE:
    case ZT_RULE_MATCH_MAC_DEST:
        print_mac(out, r->u.mac);
        return true;
    case ZT_RULE_MATCH_IPV4_SOURCE:
    case ZT_RULE_MATCH_IPV4_DEST:
        print_prefix(out, 4, r);
        return true;
    case ZT_RULE_MATCH_IPV6_SOURCE:
    case ZT_RULE_MATCH_IPV6_DEST:
        print_prefix(out, 6, r);
        return true;
    case ZT_RULE_MATCH_IP_TOS:
        fprintf(out, " 0x%02x", r->u.tos.mask);
        print_range(out, r->u.tos.low, r->u.tos.high);
        return is_sane_range(p, r->u.tos.low, r->u.tos.high);
    case ZT_RULE_MATCH_ICMP:
        fprintf(out, " %u %d", r->u.icmp.type, (r->u.icmp.flags & 1) ? r->u.icmp.code : -1);
        return true;
    case ZT_RULE_MATCH_IP_SOURCE_PORT_RANGE:
    case ZT_RULE_MATCH_IP_DEST_PORT_RANGE:
    case ZT_RULE_MATCH_FRAME_SIZE_RANGE:
        print_range(out, r->u.range.low, r->u.range.high);
        return is_sane_range(p, r->u.range.low, r->u.range.high);
    case ZT_RULE_MATCH_CHARACTERISTICS:
        print_characteristics(out, r->u.mask);
        return true;
    case ZT_RULE_MATCH_RANDOM:
        print_chance(out, r->u.chance);
        return true;
    case ZT_RULE_MATCH_ETHERTYPE:
        print_number(out, zr_ethertypes, r->u.number);
        return true;
    case ZT_RULE_MATCH_IP_PROTOCOL:
        print_number(out, zr_protocols, r->u.number);
        return true;
    case ZT_RULE_MATCH_VLAN_ID:
    case ZT_RULE_MATCH_VLAN_PCP:
    case ZT_RULE_MATCH_VLAN_DEI:
        print_number(out, no_names, r->u.number);
        return true;
    default:
        print_tag(p, r);
        return true;
    }
}

/* The type by which the language names a match: it has one word for both families. */
static unsigned named_type(const struct zt_rule *r)
{
    switch (zt_rule_type(r)) {
    case ZT_RULE_MATCH_IPV6_SOURCE:
        return ZT_RULE_MATCH_IPV4_SOURCE;
    case ZT_RULE_MATCH_IPV6_DEST:
        return ZT_RULE_MATCH_IPV4_DEST;
    default:
        return zt_rule_type(r);
    }
}

static bool print_match(struct printer *p, const struct zt_rule *r, const char *indent)
{
    const char *name = name_of(zr_matches, named_type(r));
    if (name == NULL)
        return fail(p, "%s: the language has no words for %s", p->where,
                    zt_rule_name(zt_rule_type(r)));
    fprintf(p->out, "%s    %s%s%s", indent, (r->t & ZT_RULE_OR) ? "or " : "",
            (r->t & ZT_RULE_NOT) ? "not " : "", name);
    if (!print_values(p, r))
        return false;
    fputc('\n', p->out);
    return true;
}

/* An action with the matches before it. Inside a cap "accept;" would end the cap: where it isn't
 * the last, a macro stands for it. */
static bool print_set(struct printer *p, const struct zt_rule *set, size_t n, bool in_cap,
                      bool is_last)
{
    const struct zt_rule *a = &set[n - 1];
    const char *indent = in_cap ? "    " : "";
    const char *name = name_of(zr_actions, zt_rule_type(a));
    bool forwards = a->t == ZT_RULE_ACTION_TEE || a->t == ZT_RULE_ACTION_WATCH;

    if (n == 1 && in_cap && !is_last && !forwards && a->t != ZT_RULE_ACTION_REDIRECT) {
        fprintf(p->out, "    include just_%s\n", name);
        return true;
    }
    fprintf(p->out, "%s%s", indent, name);
    if (forwards)
        fprintf(p->out, " %d", a->u.fwd.length != 0xffff ? a->u.fwd.length : -1);
    if (forwards || a->t == ZT_RULE_ACTION_REDIRECT) {
        fprintf(p->out, " %010" PRIx64, a->u.fwd.addr);
        if (a->u.fwd.flags != 0)
            return fail(p, "%s: the language has no words for flags of %s", p->where, name);
    }
    if (n == 1) {
        fputs(";\n", p->out);
        return true;
    }
    fputc('\n', p->out);
    for (size_t i = 0; i + 1 < n; i++) {
        if (!print_match(p, &set[i], indent))
            return false;
    }
    fprintf(p->out, "%s;\n", indent);
    return true;
}

static bool print_rules(struct printer *p, const struct zt_rule *v, size_t n, bool in_cap)
{
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        if (!zt_rule_is_action(&v[i]))
            continue;
        if (!print_set(p, v + from, i + 1 - from, in_cap, i + 1 == n))
            return false;
        from = i + 1;
    }
    return from == n || fail(p,
                             "%s: matches at the end without an action, which the language has "
                             "no words for",
                             p->where);
}

/* All of them must be rules: one that is left out would change what the others mean. */
static bool read_rules(struct printer *p, const json_t *array, struct zt_rule *out, size_t cap,
                       size_t *n)
{
    *n = json_array_size(array);
    if (array != NULL && !json_is_array(array))
        return fail(p, "%s: rules are not an array", p->where);
    if (*n > cap)
        return fail(p, "%s: more than %zu rules", p->where, cap);
    for (size_t i = 0; i < *n; i++) {
        if (zt_rule_from_json(json_array_get(array, i), &out[i]) != 0)
            return fail(p, "%s: element %zu is not a rule", p->where, i);
    }
    return true;
}

/* ---- definitions ---- */

static bool print_id(struct printer *p, const json_t *object)
{
    uint64_t id = zt_json_u64(json_object_get(object, "id"), UINT64_MAX);
    if (id > UINT32_MAX)
        return fail(p, "%s: no id", p->where);
    fprintf(p->out, "    id %" PRIu64 "\n", id);
    return true;
}

static bool is_usable_name(struct printer *p, const char *name)
{
    return zr_is_name(name, strlen(name)) ||
           fail(p, "%s: '%.100s' is not a name in the language", p->where, name);
}

static bool print_named_values(struct printer *p, const json_t *list, bool are_flags)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)list, name, v)
    {
        uint64_t value = zt_json_u64(v, UINT64_MAX);
        if (!is_usable_name(p, name))
            return false;
        if (value > UINT32_MAX || (are_flags && value == 0))
            return fail(p, "%s: '%s' has no value that the language could give it", p->where, name);
        if (!are_flags) {
            fprintf(p->out, "    enum %" PRIu64 " %s\n", value, name);
            continue;
        }
        char sep = ' ';
        fputs("    flag", p->out);
        for (unsigned bit = 0; bit < 32; bit++) {
            if ((value >> bit & 1) != 0) {
                fprintf(p->out, "%c%u", sep, bit);
                sep = ',';
            }
        }
        fprintf(p->out, " %s\n", name);
    }
    return true;
}

static bool print_tags(struct printer *p)
{
    const char *name;
    json_t *tag;
    json_object_foreach(p->tags, name, tag)
    {
        const json_t *initial = json_object_get(tag, "default");
        p->where = name;
        if (!is_usable_name(p, name))
            return false;
        fprintf(p->out, "tag %s\n", name);
        if (!print_id(p, tag))
            return false;
        if (initial != NULL && !json_is_null(initial)) {
            fputs("    default", p->out);
            print_value(p->out, tag, (uint32_t)zt_json_u64(initial, 0));
            fputc('\n', p->out);
        }
        if (!print_named_values(p, json_object_get(tag, "enums"), false) ||
            !print_named_values(p, json_object_get(tag, "flags"), true))
            return false;
        fputs(";\n\n", p->out);
    }
    return true;
}

static bool print_cap(struct printer *p, const char *name, const json_t *cap)
{
    struct zt_rule rules[ZT_CAP_RULES_MAX];
    size_t n;

    p->where = name;
    if (!is_usable_name(p, name) ||
        !read_rules(p, json_object_get(cap, "rules"), rules, ZT_CAP_RULES_MAX, &n))
        return false;
    fprintf(p->out, "cap %s\n", name);
    if (!print_id(p, cap))
        return false;
    if (zt_json_bool(json_object_get(cap, "default"), false))
        fputs("    default\n", p->out);
    if (!print_rules(p, rules, n, true))
        return false;
    fputs(";\n\n", p->out);
    return true;
}

/* The macros that caps need, see print_set. */
static void print_helpers(struct printer *p, const json_t *caps)
{
    bool needed[ZT_RULE_ACTION_BREAK + 1] = {false};
    const json_t *cap;
    size_t i;

    json_array_foreach(caps, i, cap)
    {
        struct zt_rule v[ZT_CAP_RULES_MAX];
        size_t n = zt_rules_from_json(json_object_get(cap, "rules"), v, ZT_CAP_RULES_MAX);
        for (size_t k = 0; k + 1 < n; k++) {
            bool alone = k == 0 || zt_rule_is_action(&v[k - 1]);
            if (alone && (v[k].t == ZT_RULE_ACTION_DROP || v[k].t == ZT_RULE_ACTION_ACCEPT ||
                          v[k].t == ZT_RULE_ACTION_BREAK))
                needed[v[k].t] = true;
        }
    }
    for (unsigned t = 0; t <= ZT_RULE_ACTION_BREAK; t++) {
        if (needed[t])
            fprintf(p->out, "macro just_%s\n    %s;\n\n", name_of(zr_actions, t),
                    name_of(zr_actions, t));
    }
}

/* ---- the document ---- */

/* Names for what has an id: those of the document, and of the others PREFIX_ID. A new object name
 * -> element of list (with what the named object says besides). */
static json_t *by_name(const json_t *list, const json_t *named, const char *prefix)
{
    json_t *out = zc_alloc(json_object()), *v;
    const char *name;
    const json_t *one;
    size_t i;

    json_object_foreach((json_t *)named, name, v)
    {
        if (json_is_object(v)) /* a tag with all its names */
            json_object_set(out, name, v);
    }
    json_array_foreach(list, i, one)
    {
        uint64_t id = zt_json_u64(json_object_get(one, "id"), UINT64_MAX);
        const char *found = NULL;
        char made[40];
        json_object_foreach((json_t *)named, name, v)
        {
            if (zt_json_u64(json_is_object(v) ? json_object_get(v, "id") : v, UINT64_MAX) == id)
                found = name;
        }
        snprintf(made, sizeof made, "%s_%" PRIu64, prefix, id);
        if (found == NULL || json_object_get(out, found) == NULL)
            json_object_set(out, found != NULL ? found : made, (json_t *)one);
    }
    return out;
}

static bool print_all(struct printer *p, const json_t *rules, const json_t *caps,
                      const json_t *caps_by_name)
{
    static struct zt_rule base[ZT_RULES_MAX];
    const char *name;
    json_t *cap;
    size_t n;

    p->where = "rules";
    if (!read_rules(p, rules, base, ZT_RULES_MAX, &n) || !print_tags(p))
        return false;
    print_helpers(p, caps);
    json_object_foreach((json_t *)caps_by_name, name, cap)
    {
        if (!print_cap(p, name, cap))
            return false;
    }
    p->where = "rules";
    return print_rules(p, base, n, false);
}

/* Names may be words of the language, ids may be there twice: the compiler knows. */
static bool is_source(struct printer *p, const char *text)
{
    struct zr_notes notes;
    json_t *doc = zr_compile(text, strlen(text), &notes);
    if (doc == NULL)
        return fail(p, "the language can't say this: %.200s", notes.error.text);
    json_decref(doc);
    return true;
}

char *zr_decompile(const json_t *doc, char err[256])
{
    const json_t *config = json_object_get(doc, "config");
    const json_t *from = json_is_object(config) ? config : doc;
    const json_t *rules = json_is_array(doc) ? doc : json_object_get(from, "rules");
    const json_t *caps = json_object_get(from, "capabilities");
    struct printer p = {.err = err};
    char *text = NULL;
    size_t size;

    err[0] = 0;
    if (rules == NULL) {
        fail(&p, "there are no rules in this document");
        return NULL;
    }
    p.out = zc_alloc(open_memstream(&text, &size));
    p.tags = by_name(json_object_get(from, "tags"), json_object_get(doc, "tagsByName"), "tag");
    json_t *named = by_name(caps, json_object_get(doc, "capabilitiesByName"), "cap");
    bool ok = print_all(&p, rules, caps, named);
    json_decref(named);
    json_decref(p.tags);
    zc_alloc(fclose(p.out) == 0 ? text : NULL);
    if (ok && is_source(&p, text))
        return text;
    free(text);
    return NULL;
}
