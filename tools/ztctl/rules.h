/* The rule language: what people write, and the JSON that controllers take (vl2.md 9.7).
 *
 * A source is a list of definitions and actions, in which words are parted by blanks, # starts a
 * comment, and ; ends what the word before it belongs to:
 *
 *   macro NAME[($PARAM,...)]  actions... ;
 *   tag NAME  id NUMBER  [default VALUE]  { enum VALUE NAME | flag BIT[,BIT...] NAME } ;
 *   cap NAME  id NUMBER  [default]  actions... ;
 *   include NAME[(VALUE,...)]
 *   drop | accept | break  [matches...] ;
 *   tee | watch  LENGTH ADDRESS  [matches...] ;
 *   redirect  ADDRESS  [matches...] ;
 *
 * and matches are [and|or] [not] NAME VALUES..., judged from left to right.
 *
 * It is the language that existing controllers' editors have, with its one trap: in a macro or cap
 * an action without matches ("accept;") ends the macro or cap too. Every source that is taken here
 * means what it means there; a source in which somebody fell into that trap is refused. */
#ifndef ZTCTL_RULES_H
#define ZTCTL_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ZR_SOURCE_MAX ((size_t)1 << 20) /* bytes */

/* Something to say about a place of the source. */
struct zr_note {
    unsigned line, col; /* from 1; col in characters */
    char text[320];
};

/* An error, and before it warnings: what is allowed and hardly meant. */
#define ZR_WARNINGS_MAX 16
struct zr_notes {
    bool failed;
    struct zr_note error;
    unsigned nwarnings;
    struct zr_note warnings[ZR_WARNINGS_MAX];
};

/* Source of n bytes to a new object {config: {rules, capabilities, tags}, capabilitiesByName,
 * tagsByName}, or NULL with notes->error. */
json_t *zr_compile(const char *src, size_t n, struct zr_notes *notes);

/* The other way: such an object, or the network object of a controller, or an array of rules. A new
 * text, or NULL with the reason in err: something that has no words in the language. */
char *zr_decompile(const json_t *doc, char err[256]);

#endif
