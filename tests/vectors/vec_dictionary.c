/* dictionary.json: writing, looking up, and what odd text means. */
#include <stdlib.h>
#include <string.h>

#include "vec.h"
#include "wire/dict.h"

static int operation(struct vec *v, json_t *op, struct zt_wr *w)
{
    const char *kind = vec_str(v, op, "op"), *key = vec_str(v, op, "key");
    size_t n;

    if (strcmp(kind, "bytes") == 0) {
        const uint8_t *p = vec_hex(v, op, "value", &n);
        return zt_dict_add(w, key, p, n);
    }
    if (strcmp(kind, "u64") == 0)
        return zt_dict_add_u64(w, key, vec_hex_u64(v, op, "value"));
    if (strcmp(kind, "i64") == 0)
        return zt_dict_add_i64(w, key, strtoll(vec_str(v, op, "value"), NULL, 10));
    if (strcmp(kind, "bool") == 0)
        return zt_dict_add_bool(w, key, vec_bool(v, op, "value"));
    if (strcmp(kind, "address") == 0) /* 16 digits, but for two keys of a configuration */
        return zt_dict_add_u64(w, key, zt_be40(vec_hex_n(v, op, "value", 5)));
    return vec_check(v, false, "unknown operation"), -1;
}

/* Field names differ between the two sections. */
struct names {
    const char *u64, *i64, *truth;
    bool truth_default;
};

static void lookup(struct vec *v, json_t *l, const uint8_t *d, size_t n, size_t cap,
                   const struct names *names)
{
    const char *key = vec_str(v, l, "key");
    uint8_t *out = (uint8_t *)vec_alloc(v, cap);
    int len = zt_dict_get(d, n, key, out, cap);

    vec_eq_int(v, l, "length", len < 0 ? -1 : len);
    if (len >= 0)
        vec_eq_hex(v, l, "value", out, (size_t)len);
    vec_eq_u64(v, l, names->u64, zt_dict_u64(d, n, key, 0x77));
    VEC_CHECK(v, strtoll(vec_str(v, l, names->i64), NULL, 10) == zt_dict_i64(d, n, key, 0x77));
    vec_eq_bool(v, l, names->truth, zt_dict_bool(d, n, key, names->truth_default));
    if (vec_has(l, "contains"))
        vec_eq_bool(v, l, "contains", len >= 0);
}

static void encode(struct vec *v, json_t *c)
{
    static const struct names names = {"as_u64", "as_i64", "as_bool", false};
    uint8_t bytes[4096];
    struct zt_wr w = zt_wr(bytes, sizeof bytes);
    json_t *list, *one;
    size_t i, n;

    list = vec_field(v, c, "operations");
    json_array_foreach(list, i, one) VEC_CHECK(v, operation(v, one, &w) == 0);
    vec_eq_hex(v, c, "encoded", bytes, w.n);
    const uint8_t *p = vec_hex(v, c, "encoded", &n);
    list = vec_field(v, c, "lookups");
    json_array_foreach(list, i, one) lookup(v, one, p, n, 4096, &names);
    /* Cut anywhere it is still some dictionary: nothing is read past the end. */
    for (i = 0; i < n; i++) {
        uint8_t *cut = (uint8_t *)malloc(i + 1), out[64];
        if (cut == NULL)
            return;
        memcpy(cut, p, i);
        VEC_CHECK(v, zt_dict_get(cut, i, "no such key", out, sizeof out) < 0);
        zt_dict_get(cut, i, "bin", out, sizeof out);
        free(cut);
    }
}

static void decode(struct vec *v, json_t *c)
{
    static const struct names names = {"as_u64_default_77", "as_i64_default_77",
                                       "as_bool_default_true", true};
    json_t *list = vec_field(v, c, "lookups"), *one;
    size_t i, n, cap = (size_t)vec_int(v, c, "dest_capacity");
    const uint8_t *p = vec_hex(v, c, "encoded", &n);

    json_array_foreach(list, i, one) lookup(v, one, p, n, cap, &names);
}

static void capacity(struct vec *v, json_t *c)
{
    uint8_t bytes[64];
    /* The reference's capacity includes a zero byte. */
    struct zt_wr w = zt_wr(bytes, (size_t)vec_int(v, c, "capacity") - 1);
    char big[64];

    memset(big, 'x', sizeof big);
    vec_eq_bool(v, c, "add_first_ok", zt_dict_add(&w, "a", big, 40) == 0);
    vec_eq_hex(v, c, "after_first", bytes, w.n);
    vec_eq_bool(v, c, "add_second_too_big_ok", zt_dict_add(&w, "b", big, 40) == 0);
    vec_eq_hex(v, c, "after_second", bytes, w.n);
    vec_eq_bool(v, c, "add_third_small_ok", zt_dict_add(&w, "c", "1", 1) == 0);
    vec_eq_hex(v, c, "after_third", bytes, w.n);
}

int vec_dictionary(struct vec *v)
{
    VEC_EACH(v, "encode", NULL, c)
    encode(v, c);
    VEC_EACH(v, "decode", "case", c)
    decode(v, c);
    VEC_EACH(v, "capacity", NULL, c)
    capacity(v, c);
    return 0;
}
