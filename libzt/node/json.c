#include "node/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t from_real(double d)
{
    if (!(d > -0x1p63 && d < 0x1p64)) /* not a number at all, or none of 64 bits */
        return 0;
    return d < 0 ? (uint64_t)(int64_t)d : (uint64_t)d;
}

static uint64_t number(const json_t *v, int base, uint64_t missing)
{
    switch (v != NULL ? json_typeof(v) : JSON_NULL) {
    case JSON_INTEGER:
        return (uint64_t)json_integer_value(v);
    case JSON_REAL:
        return from_real(json_real_value(v));
    case JSON_STRING:
        return strtoull(json_string_value(v), NULL, base);
    case JSON_TRUE:
        return 1;
    case JSON_FALSE:
        return 0;
    default:
        return missing;
    }
}

uint64_t zt_json_u64(const json_t *v, uint64_t missing)
{
    return number(v, 10, missing);
}

uint64_t zt_json_hex(const json_t *v, uint64_t missing)
{
    return number(v, 16, missing);
}

bool zt_json_bool(const json_t *v, bool missing)
{
    if (json_is_boolean(v))
        return json_is_true(v);
    if (json_is_number(v))
        return zt_json_u64(v, 0) > 0;
    if (!json_is_string(v))
        return missing;
    char first = json_string_value(v)[0];
    return first == 't' || first == 'T' || first == '1';
}

const char *zt_json_text(const json_t *v, char tmp[ZT_JSON_TEXT], const char *missing)
{
    if (json_is_string(v))
        return json_string_value(v);
    if (!json_is_number(v) && !json_is_boolean(v))
        return missing;
    snprintf(tmp, ZT_JSON_TEXT, "%" PRIu64, zt_json_u64(v, 0));
    return tmp;
}
