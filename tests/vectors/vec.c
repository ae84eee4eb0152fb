#include "vec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

static void ensure(bool ok)
{
    if (!ok) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
}

void vec_end(struct vec *v)
{
    if (v->open) {
        if (v->checks == 0)
            vec_check(v, false, "nothing was checked");
        if (v->bad)
            v->failed++;
        else
            v->passed++;
    }
    for (size_t i = 0; i < v->nmem; i++)
        free(v->mem[i]);
    free(v->mem);
    v->mem = NULL;
    v->nmem = 0;
    v->open = false;
}

void vec_case(struct vec *v, const char *section, size_t index, const char *label)
{
    vec_end(v);
    snprintf(v->where, sizeof v->where, "%s[%zu]%s%s", section, index, label ? " " : "",
             label ? label : "");
    v->open = true;
    v->bad = false;
    v->checks = 0;
}

size_t vec_section(struct vec *v, const char *section)
{
    size_t n = json_array_size(json_object_get(v->root, section));
    if (n == 0) {
        vec_case(v, section, 0, NULL);
        vec_check(v, false, "section missing or empty");
        vec_end(v);
    }
    return n;
}

json_t *vec_begin(struct vec *v, const char *section, size_t index, const char *label)
{
    json_t *c = json_array_get(json_object_get(v->root, section), index);
    vec_case(v, section, index, label ? json_string_value(json_object_get(c, label)) : NULL);
    return c;
}

bool vec_check(struct vec *v, bool ok, const char *what)
{
    v->checks++;
    if (!ok) {
        printf("FAIL %s.json %s: %s\n", v->name, v->where, what);
        v->bad = true;
        v->failed += !v->open; /* preparation of a whole file */
    }
    return ok;
}

void *vec_alloc(struct vec *v, size_t n)
{
    v->mem = realloc(v->mem, (v->nmem + 1) * sizeof *v->mem);
    ensure(v->mem != NULL);
    void *p = calloc(1, n > 0 ? n : 1);
    ensure(p != NULL);
    v->mem[v->nmem++] = p;
    return p;
}

/* ---- fields ---- */

static void complain(struct vec *v, const char *field, const char *problem)
{
    char text[160];
    snprintf(text, sizeof text, "field %s %s", field, problem);
    vec_check(v, false, text);
}

json_t *vec_field(struct vec *v, json_t *obj, const char *field)
{
    json_t *f = json_object_get(obj, field);
    if (f == NULL)
        complain(v, field, "is missing");
    return f;
}

bool vec_has(json_t *obj, const char *field)
{
    return json_object_get(obj, field) != NULL;
}

const char *vec_str(struct vec *v, json_t *obj, const char *field)
{
    const char *s = json_string_value(vec_field(v, obj, field));
    if (s == NULL)
        complain(v, field, "is no text");
    return s ? s : "";
}

const uint8_t *vec_unhex(struct vec *v, const char *text, size_t *n)
{
    size_t len = strlen(text) / 2;
    uint8_t *p = vec_alloc(v, len);
    *n = len;
    if (strlen(text) % 2 != 0 || zt_hex_decode(text, p, len) != 0) {
        vec_check(v, false, "ill-formed hex in the file");
        *n = 0;
    }
    return p;
}

const uint8_t *vec_hex(struct vec *v, json_t *obj, const char *field, size_t *n)
{
    return vec_unhex(v, vec_str(v, obj, field), n);
}

const uint8_t *vec_hex_n(struct vec *v, json_t *obj, const char *field, size_t n)
{
    size_t len;
    const uint8_t *p = vec_hex(v, obj, field, &len);
    if (len == n)
        return p;
    complain(v, field, "has another length");
    return vec_alloc(v, n);
}

uint64_t vec_hex_u64(struct vec *v, json_t *obj, const char *field)
{
    const char *s = vec_str(v, obj, field);
    uint64_t x = 0;
    if (strlen(s) == 0 || strlen(s) > 16 || zt_hex_parse_u64(s, (unsigned)strlen(s), &x) != 0)
        complain(v, field, "is no hex number");
    return x;
}

int64_t vec_int(struct vec *v, json_t *obj, const char *field)
{
    json_t *f = vec_field(v, obj, field);
    if (!json_is_integer(f))
        complain(v, field, "is no integer");
    return json_integer_value(f);
}

bool vec_bool(struct vec *v, json_t *obj, const char *field)
{
    json_t *f = vec_field(v, obj, field);
    if (!json_is_boolean(f))
        complain(v, field, "is no boolean");
    return json_is_true(f);
}

/* ---- comparisons ---- */

static bool differs(struct vec *v, const char *field, const char *want, const char *got)
{
    v->checks++;
    v->bad = true;
    printf("FAIL %s.json %s: %s\n  want %s\n  got  %s\n", v->name, v->where, field, want, got);
    return false;
}

bool vec_eq_hex(struct vec *v, json_t *obj, const char *field, const void *got, size_t n)
{
    const char *want = vec_str(v, obj, field);
    char *text = vec_alloc(v, 2 * n + 1);
    zt_hex_encode(got, n, text);
    return strcmp(want, text) == 0 ? vec_check(v, true, field) : differs(v, field, want, text);
}

bool vec_eq_str(struct vec *v, json_t *obj, const char *field, const char *got)
{
    const char *want = vec_str(v, obj, field);
    return strcmp(want, got) == 0 ? vec_check(v, true, field) : differs(v, field, want, got);
}

bool vec_eq_int(struct vec *v, json_t *obj, const char *field, int64_t got)
{
    int64_t want = vec_int(v, obj, field);
    char a[24], b[24];
    if (want == got)
        return vec_check(v, true, field);
    snprintf(a, sizeof a, "%lld", (long long)want);
    snprintf(b, sizeof b, "%lld", (long long)got);
    return differs(v, field, a, b);
}

bool vec_eq_bool(struct vec *v, json_t *obj, const char *field, bool got)
{
    bool want = vec_bool(v, obj, field);
    return want == got ? vec_check(v, true, field)
                       : differs(v, field, want ? "true" : "false", got ? "true" : "false");
}

bool vec_eq_u64(struct vec *v, json_t *obj, const char *field, uint64_t got)
{
    uint64_t want = vec_hex_u64(v, obj, field);
    char a[24], b[24];
    if (want == got)
        return vec_check(v, true, field);
    snprintf(a, sizeof a, "%016llx", (unsigned long long)want);
    snprintf(b, sizeof b, "%016llx", (unsigned long long)got);
    return differs(v, field, a, b);
}
