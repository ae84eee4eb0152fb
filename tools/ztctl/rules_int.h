/* What the files of the rule language share; rules.h is for the others. */
#ifndef ZTCTL_RULES_INT_H
#define ZTCTL_RULES_INT_H

#include <stdint.h>

#include "rules.h"
#include "wire/rules.h"

/* ---- rules_lex.c: words ---- */

/* A word of the source, or (n 0) its end. Points into the source. */
struct zr_word {
    const char *p;
    uint32_t n, line, col;
};

struct zr_words {
    struct zr_word *v; /* count of them, and the end */
    size_t count;
};

/* All words; ; is a word of its own, and NAME(A, B) is one word. false: *error says why. */
bool zr_lex(const char *src, size_t n, struct zr_words *out, struct zr_note *error);

/* Is it this word, in whatever case? */
bool zr_is(const char *p, size_t n, const char *word);
/* All of it a number, decimal or 0x..., at most max. */
bool zr_number(const char *p, size_t n, uint64_t max, uint64_t *out);
/* A name that may be given to a macro, tag, cap, enum or flag. */
bool zr_is_name(const char *p, size_t n);

/* ---- rules_compile.c: definitions and actions ---- */

struct zr_value {
    struct zr_word name;
    uint32_t value;
};

struct zr_tag {
    struct zr_word name;
    uint32_t id, initial;
    bool has_default;
    struct zr_value *enums, *flags;
    size_t nenums, nflags;
};

/* A word as the value of something: text is what stands there, or what the parameter stands for;
 * NULL when a macro is only looked through and its parameters have no values. */
struct zr_arg {
    struct zr_word at;
    const char *text;
    size_t n;
};

struct zr_compiler {
    struct zr_words words;
    size_t pos; /* of the next word */
    struct zr_notes *notes;
    struct zr_macro *macros;
    struct zr_tag *tags;
    struct zr_cap *caps;
    size_t nmacros, ntags, ncaps;
    unsigned steps; /* actions and includes so far: macros could multiply without end */
};

/* Both return false, so that a caller can return what they return. */
__attribute__((format(printf, 3, 4))) bool zr_fail(struct zr_compiler *c, const struct zr_word *at,
                                                   const char *fmt, ...);
/* "expected WHAT, found 'TEXT'" */
bool zr_expected(struct zr_compiler *c, const struct zr_arg *a, const char *what);
__attribute__((format(printf, 3, 4))) void zr_warn(struct zr_compiler *c, const struct zr_word *at,
                                                   const char *fmt, ...);

/* ---- rules_match.c: matches and their values ---- */

/* Number of values that the match of that name takes, 0: no such match. */
unsigned zr_match_args(const struct zr_word *w);
/* Reads the values (as many as it takes) of match w into out, without NOT and OR. */
bool zr_match(struct zr_compiler *c, const struct zr_word *w, const struct zr_arg *args,
              struct zt_rule *out);
/* Ten hex digits. */
bool zr_address(struct zr_compiler *c, const struct zr_arg *a, uint64_t *out);

/* Names, for both directions. A list ends with a NULL name; the first of several with one number is
 * the usual one. */
struct zr_name {
    const char *name;
    unsigned value;
};
extern const struct zr_name zr_ethertypes[], zr_protocols[], zr_characteristics[], zr_actions[];
extern const struct zr_name zr_matches[]; /* value: type; IPv6 addresses are those of IPv4 */

#endif
