/* From words to rules, in two passes: the first finds what is defined (macros and caps may be used
 * before they are), the second goes through the source in its order, looks at every macro, used or
 * not, and makes the rules. Nothing is kept of a macro but where its words are: including it reads
 * them again, with the values of its parameters. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "node/rules_json.h"
#include "rules_int.h"
#include "ztctl.h"

#define PARAMS_MAX 32
#define DEPTH_MAX 64     /* of macros within macros */
#define STEPS_MAX 100000 /* of all macros together */
#define TAGS_MAX 128     /* a network takes no more of them */
#define CAPS_MAX 128

struct zr_macro {
    struct zr_word name;
    size_t body; /* first word */
    struct zr_word params[PARAMS_MAX];
    unsigned nparams;
};

struct zr_cap {
    struct zr_word name;
    size_t body;
    uint32_t id;
    bool has_id, is_default;
    struct zt_rule *rules;
    size_t nrules;
};

/* Where rules go. */
struct sink {
    struct zt_rule *v; /* NULL: nowhere, the source is only looked through */
    size_t n, cap;
};

/* The macro that is being included, and what included it. */
struct scope {
    const struct zr_macro *macro;
    struct zr_arg values[PARAMS_MAX];
    const struct scope *outer;
    unsigned depth;
};

enum place { AT_TOP, IN_MACRO, IN_CAP };

/* ---- saying what is wrong ---- */

static void note(struct zr_note *out, const struct zr_word *at, const char *fmt, va_list ap)
{
    out->line = at->line;
    out->col = at->col;
    vsnprintf(out->text, sizeof out->text, fmt, ap);
}

bool zr_fail(struct zr_compiler *c, const struct zr_word *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(&c->notes->error, at, fmt, ap);
    va_end(ap);
    return false;
}

void zr_warn(struct zr_compiler *c, const struct zr_word *at, const char *fmt, ...)
{
    struct zr_notes *n = c->notes;
    va_list ap;
    for (unsigned i = 0; i < n->nwarnings; i++) {
        if (n->warnings[i].line == at->line && n->warnings[i].col == at->col)
            return; /* in a macro that is included again */
    }
    if (n->nwarnings == ZR_WARNINGS_MAX)
        return;
    va_start(ap, fmt);
    note(&n->warnings[n->nwarnings++], at, fmt, ap);
    va_end(ap);
}

/* A word for a message: cut, and not in the middle of a character. */
static int shown(const char *p, size_t n)
{
    if (n > 40)
        for (n = 40; n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80;)
            n--;
    return (int)n;
}

static bool expected_word(struct zr_compiler *c, const struct zr_word *at, const char *what)
{
    if (at->n == 0)
        return zr_fail(c, at, "expected %s, found the end of the source", what);
    return zr_fail(c, at, "expected %s, found '%.*s'", what, shown(at->p, at->n), at->p);
}

bool zr_expected(struct zr_compiler *c, const struct zr_arg *a, const char *what)
{
    if (a->text == a->at.p)
        return expected_word(c, &a->at, what);
    return zr_fail(c, &a->at, "expected %s, found '%.*s' = '%.*s'", what, shown(a->at.p, a->at.n),
                   a->at.p, shown(a->text, a->n), a->text);
}

/* ---- words ---- */

static const struct zr_word *peek(const struct zr_compiler *c)
{
    return &c->words.v[c->pos];
}

static const struct zr_word *take(struct zr_compiler *c)
{
    const struct zr_word *w = peek(c);
    c->pos += w->n != 0;
    return w;
}

static bool is(const struct zr_word *w, const char *text)
{
    return zr_is(w->p, w->n, text);
}

static bool ends(const struct zr_word *w)
{
    return w->n == 0 || is(w, ";");
}

static bool same_name(const struct zr_word *a, const char *p, size_t n)
{
    return a->n == n && strncasecmp(a->p, p, n) == 0;
}

static int action_type(const struct zr_word *w)
{
    for (const struct zr_name *a = zr_actions; a->name != NULL; a++) {
        if (is(w, a->name))
            return (int)a->value;
    }
    return -1;
}

static bool is_definition(const struct zr_word *w)
{
    return is(w, "macro") || is(w, "tag") || is(w, "cap");
}

static bool is_reserved(const struct zr_word *w)
{
    static const char *const others[] = {"default", "priority", "type", "enum", "class", "define",
                                         "import",  "include",  "log",  "not",  "xor",   "or",
                                         "and",     "set",      "var",  "let",  NULL};
    for (unsigned i = 0; others[i] != NULL; i++) {
        if (is(w, others[i]))
            return true;
    }
    return is_definition(w) || action_type(w) >= 0 || zr_match_args(w) != 0;
}

static void *grow(void *list, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0) /* only at powers of two */
        return list;
    return zc_alloc(realloc(list, (count != 0 ? 2 * count : 1) * size));
}

/* Characters of a piece of a line. */
static uint32_t columns(const char *p, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)p[i] & 0xc0) != 0x80;
    return count;
}

/* Without blanks at its ends. */
static void trim(struct zr_word *w)
{
    while (w->n > 0 && strchr(" \t\r", w->p[0]) != NULL) {
        w->p++;
        w->n--;
        w->col++;
    }
    while (w->n > 0 && strchr(" \t\r", w->p[w->n - 1]) != NULL)
        w->n--;
}

/* "NAME(A, B)": the name, and what is between the commas. */
static bool split_call(struct zr_compiler *c, const struct zr_word *w, struct zr_word *name,
                       struct zr_word args[PARAMS_MAX], unsigned *nargs)
{
    const char *open = memchr(w->p, '(', w->n), *end = w->p + w->n;

    *name = *w;
    *nargs = 0;
    if (open == NULL)
        return true;
    name->n = (uint32_t)(open - w->p);
    if (end[-1] != ')')
        return zr_fail(c, w, "expected nothing behind ')', found '%.*s'", shown(w->p, w->n), w->p);
    struct zr_word arg = {
        .p = open + 1, .line = w->line, .col = w->col + columns(name->p, name->n) + 1};
    for (; arg.p < end; arg.p++, arg.col++) {
        arg.n = (uint32_t)strcspn(arg.p, ",)");
        struct zr_word next = arg, trimmed = arg;
        next.p += arg.n;
        next.col += columns(arg.p, arg.n);
        arg = next;
        trim(&trimmed);
        if (trimmed.n == 0)
            continue;
        if (*nargs == PARAMS_MAX)
            return zr_fail(c, &trimmed, "more than %d parameters", PARAMS_MAX);
        args[(*nargs)++] = trimmed;
    }
    return true;
}

/* What a word stands for. */
static bool resolve(struct zr_compiler *c, const struct scope *s, const struct zr_word *w,
                    struct zr_arg *out)
{
    *out = (struct zr_arg){.at = *w, .text = w->p, .n = w->n};
    if (w->p[0] != '$')
        return true;
    if (s == NULL)
        return zr_fail(c, w, "'%.*s': only macros have parameters", shown(w->p, w->n), w->p);
    for (unsigned i = 0; i < s->macro->nparams; i++) {
        if (same_name(&s->macro->params[i], w->p, w->n)) {
            out->text = s->values[i].text;
            out->n = s->values[i].n;
            return true;
        }
    }
    return zr_fail(c, w, "macro '%.*s' has no parameter '%.*s'",
                   shown(s->macro->name.p, s->macro->name.n), s->macro->name.p, shown(w->p, w->n),
                   w->p);
}

static bool take_value(struct zr_compiler *c, const struct scope *s, const struct zr_word *whose,
                       struct zr_arg *out)
{
    const struct zr_word *w = peek(c);
    if (ends(w)) {
        char what[80];
        snprintf(what, sizeof what, "a value of '%.*s'", shown(whose->p, whose->n), whose->p);
        return expected_word(c, w, what);
    }
    return resolve(c, s, take(c), out);
}

/* ---- matches and actions ---- */

static bool emit(struct zr_compiler *c, struct sink *out, const struct zr_word *at,
                 const struct zt_rule *r)
{
    if (out->v == NULL)
        return true;
    if (out->n == out->cap)
        return zr_fail(c, at, "more than %zu rules: no node takes them", out->cap);
    out->v[out->n++] = *r;
    return true;
}

static bool step(struct zr_compiler *c, const struct zr_word *at)
{
    return ++c->steps <= STEPS_MAX || zr_fail(c, at, "macros make more than %d actions", STEPS_MAX);
}

/* [and|or] [not] NAME VALUES... */
static bool one_match(struct zr_compiler *c, const struct scope *s, bool first, struct sink *out)
{
    const struct zr_word *w = take(c), *joined = NULL, *negated = NULL;
    struct zr_arg args[2];
    struct zt_rule r;

    for (; is(w, "and") || is(w, "or") || is(w, "not"); w = take(c)) {
        const struct zr_word **seen = is(w, "not") ? &negated : &joined;
        if (*seen != NULL)
            return expected_word(c, w, "the name of a match");
        *seen = w;
    }
    unsigned n = zr_match_args(w);
    if (n == 0 && (is_definition(w) || action_type(w) >= 0 || is(w, "include")))
        return zr_fail(c, w,
                       "expected the name of a match, found '%.*s': is a ';' missing before it?",
                       (int)w->n, w->p);
    if (n == 0)
        return expected_word(c, w, "the name of a match");
    for (unsigned i = 0; i < n; i++) {
        if (!take_value(c, s, w, &args[i]))
            return false;
    }
    if (!zr_match(c, w, args, &r))
        return false;
    if (negated != NULL)
        r.t |= ZT_RULE_NOT;
    if (joined != NULL && is(joined, "or")) {
        r.t |= ZT_RULE_OR;
        if (first)
            zr_warn(c, joined, "'or' on the first match of an action makes it match everything");
    }
    return emit(c, out, w, &r);
}

static bool matches(struct zr_compiler *c, const struct scope *s, struct sink *out)
{
    for (bool first = true; !ends(peek(c)); first = false) {
        if (!one_match(c, s, first, out))
            return false;
    }
    return true;
}

/* LENGTH and ADDRESS of tee and watch, ADDRESS of redirect. */
static bool forward_values(struct zr_compiler *c, const struct scope *s, const struct zr_word *w,
                           struct zt_rule *r)
{
    static const char what[] = "a length (0 to 65535 bytes, or -1 for the whole frame)";
    struct zr_arg a;
    uint64_t length = 0xffff;

    if (r->t != ZT_RULE_ACTION_REDIRECT) {
        if (!take_value(c, s, w, &a))
            return false;
        if (a.text != NULL && !zr_is(a.text, a.n, "-1") && !zr_number(a.text, a.n, 0xffff, &length))
            return zr_expected(c, &a, what);
        r->u.fwd.length = (uint16_t)length;
    }
    return take_value(c, s, w, &a) && (a.text == NULL || zr_address(c, &a, &r->u.fwd.addr));
}

/* An action up to its ';'. *ended: that ';' was the one of the macro or cap around it, too. */
static bool action(struct zr_compiler *c, const struct scope *s, enum place place, struct sink *out,
                   bool *ended)
{
    const struct zr_word *w = take(c);
    int type = action_type(w);
    struct zt_rule r = {.t = (uint8_t)type};

    if (is(w, "priority"))
        return zr_fail(c, w,
                       "'priority' is in the language, but in no network's rules: controllers "
                       "do not take it");
    if (type < 0)
        return expected_word(c, w, place == AT_TOP ? "an action or a definition" : "an action");
    bool forwards = type == ZT_RULE_ACTION_TEE || type == ZT_RULE_ACTION_WATCH ||
                    type == ZT_RULE_ACTION_REDIRECT;
    if (!step(c, w) || (forwards && !forward_values(c, s, w, &r)))
        return false;
    *ended = place != AT_TOP && !forwards && ends(peek(c));
    if (!matches(c, s, out))
        return false;
    take(c);
    return emit(c, out, w, &r);
}

/* ---- macros ---- */

static bool body(struct zr_compiler *c, const struct scope *s, enum place place, struct sink *out);

static const struct zr_macro *find_macro(const struct zr_compiler *c, const struct zr_word *name)
{
    for (size_t i = 0; i < c->nmacros; i++) {
        if (same_name(&c->macros[i].name, name->p, name->n))
            return &c->macros[i];
    }
    return NULL;
}

/* The macro's words once more. An error in it also says from where. */
static bool expand(struct zr_compiler *c, const struct scope *inner, const struct zr_word *at,
                   struct sink *out)
{
    size_t back = c->pos;
    c->pos = inner->macro->body;
    bool ok = body(c, inner, IN_MACRO, out);
    c->pos = back;
    if (!ok) {
        struct zr_note *e = &c->notes->error;
        size_t n = strlen(e->text);
        snprintf(e->text + n, sizeof e->text - n, ", included at %u:%u", (unsigned)at->line,
                 (unsigned)at->col);
    }
    return ok;
}

static bool include(struct zr_compiler *c, const struct scope *s, struct sink *out)
{
    struct scope inner = {.outer = s, .depth = s != NULL ? s->depth + 1 : 1};
    const struct zr_word *keyword = take(c), *w = peek(c);
    struct zr_word name, args[PARAMS_MAX];
    unsigned n;

    if (ends(w))
        return expected_word(c, w, "the name of a macro");
    take(c);
    if (!step(c, keyword) || !split_call(c, w, &name, args, &n))
        return false;
    inner.macro = find_macro(c, &name);
    if (inner.macro == NULL)
        return zr_fail(c, w, "there is no macro '%.*s'", shown(name.p, name.n), name.p);
    if (n != inner.macro->nparams)
        return zr_fail(c, w, "macro '%.*s' takes %u values, found %u", (int)name.n, name.p,
                       inner.macro->nparams, n);
    for (unsigned i = 0; i < n; i++) {
        if (!resolve(c, s, &args[i], &inner.values[i]))
            return false;
    }
    for (const struct scope *o = s; o != NULL; o = o->outer) {
        if (o->macro == inner.macro)
            return zr_fail(c, w, "macro '%.*s' includes itself", (int)name.n, name.p);
    }
    if (out->v == NULL) /* only looking: that macro is looked at in its own place */
        return true;
    if (inner.depth > DEPTH_MAX)
        return zr_fail(c, w, "macros within macros, %d deep", DEPTH_MAX);
    return expand(c, &inner, w, out);
}

/* What is in a macro or cap, up to and with its ';'. */
static bool body(struct zr_compiler *c, const struct scope *s, enum place place, struct sink *out)
{
    for (bool ended = false; !ended && peek(c)->n != 0;) {
        const struct zr_word *w = peek(c);
        if (is(w, ";")) {
            take(c);
            return true;
        }
        if (place == IN_CAP && is(w, "id")) {
            c->pos += 2; /* read when it was defined */
        } else if (place == IN_CAP && is(w, "default")) {
            c->pos++;
        } else if (is(w, "include")) {
            if (!include(c, s, out))
                return false;
        } else if (!action(c, s, place, out, &ended)) {
            return false;
        }
    }
    return true;
}

/* ---- definitions: the first pass ---- */

/* A name that is allowed, and not taken by another of its kind. */
static bool check_name(struct zr_compiler *c, const struct zr_word *w, const struct zr_word *name,
                       const char *kind)
{
    char what[64];
    snprintf(what, sizeof what, "a name for the %s (letters, digits, _)", kind);
    if (ends(name) || !zr_is_name(name->p, name->n))
        return expected_word(c, w, what);
    if (is_reserved(name))
        return zr_fail(c, w, "'%.*s' is a word of the language and can't be the name of a %s",
                       (int)name->n, name->p, kind);
    return true;
}

static bool duplicate(struct zr_compiler *c, const struct zr_word *w, const struct zr_word *name,
                      const struct zr_word *other, const char *kind)
{
    return zr_fail(c, w, "there is a %s '%.*s' already, in line %u", kind, shown(name->p, name->n),
                   name->p, (unsigned)other->line);
}

/* Moves behind the ';' of a macro or cap, without a look at what is in it. */
static bool skip_body(struct zr_compiler *c, const struct zr_word *start)
{
    for (const struct zr_word *w = take(c); !ends(w); w = take(c)) {
        if (is_definition(w))
            return zr_fail(c, w, "a ';' is missing before '%.*s': '%.*s' of line %u has not ended",
                           (int)w->n, w->p, (int)start->n, start->p, (unsigned)start->line);
        if (is(w, "include")) {
            if (!ends(peek(c)))
                take(c);
        } else if (action_type(w) >= 0) {
            if (ends(peek(c))) { /* "accept;" ends more than itself */
                take(c);
                return true;
            }
            while (!ends(peek(c)) && !is_definition(peek(c)))
                take(c);
            if (!is_definition(peek(c)))
                take(c);
        }
    }
    return true;
}

static bool define_macro(struct zr_compiler *c, const struct zr_word *keyword)
{
    const struct zr_word *w = peek(c);
    struct zr_macro m = {0};

    if (!split_call(c, w, &m.name, m.params, &m.nparams) || !check_name(c, w, &m.name, "macro"))
        return false;
    const struct zr_macro *other = find_macro(c, &m.name);
    if (other != NULL)
        return duplicate(c, w, &m.name, &other->name, "macro");
    for (unsigned i = 0; i < m.nparams; i++) {
        const struct zr_word *p = &m.params[i];
        if (p->p[0] != '$' || !zr_is_name(p->p + 1, p->n - 1))
            return expected_word(c, p, "parameters such as $port");
        for (unsigned k = 0; k < i; k++) {
            if (same_name(&m.params[k], p->p, p->n))
                return zr_fail(c, p, "parameter '%.*s' twice", shown(p->p, p->n), p->p);
        }
    }
    take(c);
    m.body = c->pos;
    c->macros = grow(c->macros, c->nmacros, sizeof m);
    c->macros[c->nmacros++] = m;
    return skip_body(c, keyword);
}

static bool take_number(struct zr_compiler *c, const char *what, uint32_t *out)
{
    const struct zr_word *w = peek(c);
    uint64_t v;
    if (ends(w) || !zr_number(w->p, w->n, UINT32_MAX, &v))
        return expected_word(c, w, what);
    take(c);
    *out = (uint32_t)v;
    return true;
}

static const struct zr_value *find_value(const struct zr_value *list, size_t n, const char *p,
                                         size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (same_name(&list[i].name, p, len))
            return &list[i];
    }
    return NULL;
}

/* Bits, or flags of before, with commas between. */
static bool flag_bits(struct zr_compiler *c, const struct zr_tag *t, uint32_t *out)
{
    const struct zr_word *w = peek(c);

    *out = 0;
    for (size_t at = 0, n; at < w->n; at += n + 1) {
        const char *p = w->p + at, *comma = memchr(p, ',', w->n - at);
        n = comma != NULL ? (size_t)(comma - p) : w->n - at;
        const struct zr_value *known = find_value(t->flags, t->nflags, p, n);
        uint64_t bit = 0;
        if (known == NULL && !zr_number(p, n, 31, &bit))
            return expected_word(c, w,
                                 "numbers of bits (0 to 31) or flags of this tag, with "
                                 "commas between them");
        *out |= known != NULL ? known->value : 1u << bit;
    }
    if (ends(w))
        return expected_word(c, w, "the number of a bit (0 to 31)");
    take(c);
    return true;
}

/* enum VALUE NAME, flag BITS NAME */
static bool tag_value(struct zr_compiler *c, struct zr_tag *t, bool is_flag)
{
    struct zr_value v, **list = is_flag ? &t->flags : &t->enums;
    size_t *n = is_flag ? &t->nflags : &t->nenums;

    if (is_flag ? !flag_bits(c, t, &v.value) : !take_number(c, "a number", &v.value))
        return false;
    const struct zr_word *w = peek(c);
    if (ends(w) || !zr_is_name(w->p, w->n))
        return expected_word(c, w, "a name (letters, digits, _)");
    const struct zr_value *other = find_value(*list, *n, w->p, w->n);
    if (other != NULL)
        return duplicate(c, w, w, &other->name, is_flag ? "flag" : "value");
    v.name = *take(c);
    *list = grow(*list, *n, sizeof v);
    (*list)[(*n)++] = v;
    return true;
}

static bool tag_default(struct zr_compiler *c, struct zr_tag *t, const struct zr_word *w)
{
    uint64_t number;
    const struct zr_value *v = find_value(t->enums, t->nenums, w->p, w->n);
    if (v == NULL)
        v = find_value(t->flags, t->nflags, w->p, w->n);
    if (v == NULL && !zr_number(w->p, w->n, UINT32_MAX, &number))
        return expected_word(c, w, "a number, or an enum or flag of this tag");
    t->initial = v != NULL ? v->value : (uint32_t)number;
    return true;
}

static bool tag_words(struct zr_compiler *c, struct zr_tag *t, const struct zr_word *keyword)
{
    const struct zr_word *initial = NULL;
    bool has_id = false;

    while (!ends(peek(c))) {
        const struct zr_word *w = take(c);
        if (is(w, "id")) {
            if (has_id)
                return zr_fail(c, w, "a second id");
            if (!take_number(c, "the number of the tag", &t->id))
                return false;
            has_id = true;
        } else if (is(w, "default")) {
            if (initial != NULL)
                return zr_fail(c, w, "a second default");
            initial = peek(c);
            if (ends(initial))
                return expected_word(c, initial, "a value");
            take(c);
        } else if (is(w, "enum") || is(w, "flag")) {
            if (!tag_value(c, t, is(w, "flag")))
                return false;
        } else {
            return expected_word(c, w, "id, default, enum, flag or ';'");
        }
    }
    take(c);
    if (!has_id)
        return zr_fail(c, keyword, "tag '%.*s' has no id", shown(t->name.p, t->name.n), t->name.p);
    t->has_default = initial != NULL;
    return initial == NULL || tag_default(c, t, initial);
}

static bool define_tag(struct zr_compiler *c, const struct zr_word *keyword)
{
    const struct zr_word *w = peek(c);

    if (!check_name(c, w, w, "tag"))
        return false;
    for (size_t i = 0; i < c->ntags; i++) {
        if (same_name(&c->tags[i].name, w->p, w->n))
            return duplicate(c, w, w, &c->tags[i].name, "tag");
    }
    if (c->ntags == TAGS_MAX)
        return zr_fail(c, w, "more than %d tags: no network takes them", TAGS_MAX);
    c->tags = grow(c->tags, c->ntags, sizeof *c->tags);
    struct zr_tag *t = &c->tags[c->ntags++];
    *t = (struct zr_tag){.name = *take(c)};
    if (!tag_words(c, t, keyword))
        return false;
    for (size_t i = 0; i + 1 < c->ntags; i++) {
        if (c->tags[i].id == t->id)
            return zr_fail(c, w, "tag '%.*s' has the id of tag '%.*s', %u", shown(w->p, w->n), w->p,
                           shown(c->tags[i].name.p, c->tags[i].name.n), c->tags[i].name.p,
                           (unsigned)t->id);
    }
    return true;
}

/* The id and "default" of a cap, which may stand anywhere between its actions. */
static bool cap_words(struct zr_compiler *c, struct zr_cap *cap, size_t end)
{
    for (c->pos = cap->body; c->pos < end;) {
        const struct zr_word *w = take(c);
        if (is(w, "id")) {
            if (cap->has_id)
                return zr_fail(c, w, "a second id");
            if (!take_number(c, "the number of the cap", &cap->id))
                return false;
            cap->has_id = true;
        } else if (is(w, "default")) {
            cap->is_default = true;
        } else if (is(w, "include")) {
            take(c);
        } else {
            while (!ends(peek(c)))
                take(c);
            take(c);
        }
    }
    if (!cap->has_id)
        return zr_fail(c, &cap->name, "cap '%.*s' has no id", shown(cap->name.p, cap->name.n),
                       cap->name.p);
    return true;
}

static bool define_cap(struct zr_compiler *c, const struct zr_word *keyword)
{
    const struct zr_word *w = peek(c);

    if (!check_name(c, w, w, "cap"))
        return false;
    for (size_t i = 0; i < c->ncaps; i++) {
        if (same_name(&c->caps[i].name, w->p, w->n))
            return duplicate(c, w, w, &c->caps[i].name, "cap");
    }
    if (c->ncaps == CAPS_MAX)
        return zr_fail(c, w, "more than %d caps: no network takes them", CAPS_MAX);
    c->caps = grow(c->caps, c->ncaps, sizeof *c->caps);
    struct zr_cap *cap = &c->caps[c->ncaps++];
    *cap = (struct zr_cap){.name = *take(c), .body = c->pos};
    if (!skip_body(c, keyword))
        return false;
    size_t end = c->pos;
    if (!cap_words(c, cap, end))
        return false;
    c->pos = end;
    for (size_t i = 0; i + 1 < c->ncaps; i++) {
        if (c->caps[i].id == cap->id)
            return zr_fail(c, w, "cap '%.*s' has the id of cap '%.*s', %u", shown(w->p, w->n), w->p,
                           shown(c->caps[i].name.p, c->caps[i].name.n), c->caps[i].name.p,
                           (unsigned)cap->id);
    }
    return true;
}

static bool define_all(struct zr_compiler *c)
{
    c->pos = 0;
    while (peek(c)->n != 0) {
        const struct zr_word *w = take(c);
        if (is(w, "macro") ? !define_macro(c, w)
            : is(w, "tag") ? !define_tag(c, w)
            : is(w, "cap") ? !define_cap(c, w)
                           : false)
            return false;
        if (action_type(w) >= 0) /* a name in it may be spelt like a keyword */
            while (!ends(peek(c)) && !is_definition(peek(c)))
                take(c);
    }
    return true;
}

/* ---- rules: the second pass ---- */

static bool render_macro(struct zr_compiler *c)
{
    struct sink nowhere = {0};
    struct scope s = {.depth = 1};
    struct zr_word name = *take(c);
    const char *open = memchr(name.p, '(', name.n);

    if (open != NULL)
        name.n = (uint32_t)(open - name.p);
    s.macro = find_macro(c, &name);
    return body(c, &s, IN_MACRO, &nowhere);
}

static bool render_cap(struct zr_compiler *c)
{
    struct zt_rule rules[ZT_CAP_RULES_MAX];
    struct sink out = {.v = rules, .cap = ZT_CAP_RULES_MAX};
    const struct zr_word *name = take(c);
    struct zr_cap *cap = c->caps;

    while (!same_name(&cap->name, name->p, name->n))
        cap++;
    if (!body(c, NULL, IN_CAP, &out))
        return false;
    cap->rules = zc_alloc(malloc(sizeof rules));
    memcpy(cap->rules, rules, sizeof rules);
    cap->nrules = out.n;
    return true;
}

static void render_tag(struct zr_compiler *c)
{
    while (!ends(take(c)))
        ;
}

/* The whole source. After a definition or an include one ';' too many does no harm. */
static bool render_all(struct zr_compiler *c, struct sink *out)
{
    bool may_end = false, ended;

    c->pos = 0;
    while (peek(c)->n != 0) {
        const struct zr_word *w = peek(c);
        if (is(w, ";")) {
            if (!may_end)
                return zr_fail(c, w,
                               "this ';' ends nothing. In a macro or cap an action without matches "
                               "('accept;') or 'include NAME;' ends the macro or cap, so only the "
                               "last one in it may have its ';'");
            take(c);
            may_end = false;
            continue;
        }
        may_end = is_definition(w) || is(w, "include");
        bool ok = true;
        if (is_definition(w))
            take(c);
        if (is(w, "macro"))
            ok = render_macro(c);
        else if (is(w, "cap"))
            ok = render_cap(c);
        else if (is(w, "tag"))
            render_tag(c);
        else if (is(w, "include"))
            ok = include(c, NULL, out);
        else
            ok = action(c, NULL, AT_TOP, out, &ended);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- the result ---- */

/* Names are the same in any case; what others read has them in lower case. */
static void set_by_name(json_t *object, const struct zr_word *name, json_t *value)
{
    char *key = zc_alloc(strndup(name->p, name->n));
    for (char *p = key; *p != 0; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    zc_alloc(json_object_set_new(object, key, value) == 0 ? object : NULL);
    free(key);
}

static json_t *values_json(const struct zr_value *v, size_t n)
{
    json_t *o = zc_alloc(json_object());
    for (size_t i = 0; i < n; i++)
        set_by_name(o, &v[i].name, json_integer(v[i].value));
    return o;
}

static void add(json_t *array, json_t *value)
{
    zc_alloc(json_array_append_new(array, value) == 0 ? array : NULL);
}

static json_t *default_json(const struct zr_tag *t)
{
    return t->has_default ? json_integer(t->initial) : json_null();
}

static json_t *result(const struct zr_compiler *c, const struct sink *base)
{
    json_t *caps = zc_alloc(json_array()), *tags = zc_alloc(json_array());
    json_t *cap_names = zc_alloc(json_object()), *tag_names = zc_alloc(json_object());

    for (size_t i = 0; i < c->ncaps; i++) {
        const struct zr_cap *cap = &c->caps[i];
        add(caps, json_pack("{s:I, s:b, s:o}", "id", (json_int_t)cap->id, "default",
                            cap->is_default, "rules", zt_rules_to_json(cap->rules, cap->nrules)));
        set_by_name(cap_names, &cap->name, json_integer(cap->id));
    }
    for (size_t i = 0; i < c->ntags; i++) {
        const struct zr_tag *t = &c->tags[i];
        add(tags, json_pack("{s:I, s:o}", "id", (json_int_t)t->id, "default", default_json(t)));
        set_by_name(tag_names, &t->name,
                    json_pack("{s:I, s:o, s:o, s:o}", "id", (json_int_t)t->id, "default",
                              default_json(t), "enums", values_json(t->enums, t->nenums), "flags",
                              values_json(t->flags, t->nflags)));
    }
    return zc_alloc(json_pack("{s:{s:o, s:o, s:o}, s:o, s:o}", "config", "rules",
                              zt_rules_to_json(base->v, base->n), "capabilities", caps, "tags",
                              tags, "capabilitiesByName", cap_names, "tagsByName", tag_names));
}

static void finish(struct zr_compiler *c)
{
    for (size_t i = 0; i < c->ntags; i++) {
        free(c->tags[i].enums);
        free(c->tags[i].flags);
    }
    for (size_t i = 0; i < c->ncaps; i++)
        free(c->caps[i].rules);
    free(c->macros);
    free(c->tags);
    free(c->caps);
    free(c->words.v);
}

json_t *zr_compile(const char *src, size_t n, struct zr_notes *notes)
{
    struct zr_compiler c = {.notes = notes};
    struct sink base = {.v = zc_alloc(calloc(ZT_RULES_MAX, sizeof *base.v)), .cap = ZT_RULES_MAX};
    json_t *out = NULL;

    *notes = (struct zr_notes){0};
    if (zr_lex(src, n, &c.words, &notes->error) && define_all(&c) && render_all(&c, &base))
        out = result(&c, &base);
    notes->failed = out == NULL;
    free(base.v);
    finish(&c);
    return out;
}
