/* Values of JSON that strangers wrote, read as generously as everybody else's controllers do:
 * numbers and truths may also come as strings, and what is missing or of another kind is the given
 * default (vl2.md 9.6). */
#ifndef ZT_NODE_JSON_H
#define ZT_NODE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Longest text that a number becomes, with the end. */
#define ZT_JSON_TEXT 24

/* Numbers (negative ones modulo 2^64, fractions cut), decimal strings, truths as 0 and 1. */
uint64_t zt_json_u64(const json_t *v, uint64_t missing);
/* The same, with strings in hex. */
uint64_t zt_json_hex(const json_t *v, uint64_t missing);
/* Truths, numbers above 0, strings that begin with t, T or 1. Any other string is false. */
bool zt_json_bool(const json_t *v, bool missing);
/* Strings; numbers and truths as decimal text in tmp, which then must live as long as the result.
 */
const char *zt_json_text(const json_t *v, char tmp[ZT_JSON_TEXT], const char *missing);

#endif
