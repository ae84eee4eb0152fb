/* Rules in the JSON of controllers (vl2.md 9.7) and as values; the bytes are wire/rules.h. */
#ifndef ZT_NODE_RULES_JSON_H
#define ZT_NODE_RULES_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "wire/rules.h"

/* One rule: 0, or ZT_E_FORMAT when j is not an object whose type is the name of a rule. Fields that
 * are missing or make no sense are read as controllers read them, mostly as zero; `not` and `or` of
 * actions mean nothing and are left out. */
int zt_rule_from_json(const json_t *j, struct zt_rule *out);
/* A new object, or NULL: no memory, or a type that has no JSON form (ACTION_PRIORITY, unknown). */
json_t *zt_rule_to_json(const struct zt_rule *rule);

/* The rules of an array, at most cap, into out; elements that are no rules are left out. Returns
 * how many: 0 for what is not an array. */
size_t zt_rules_from_json(const json_t *array, struct zt_rule *out, size_t cap);
/* A new array without those that have no JSON form, or NULL: no memory. */
json_t *zt_rules_to_json(const struct zt_rule *rules, size_t n);

#endif
