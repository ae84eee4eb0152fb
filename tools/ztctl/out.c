/* What people and programs read: columns that line up, or JSON. */
#include "ztctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int zc_print_json(json_t *doc)
{
    int bad = json_dumpf(doc, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    fputc('\n', stdout);
    json_decref(doc);
    return bad != 0 ? ZC_FAILED : ZC_OK;
}

const char *zc_str(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));
    return s != NULL && s[0] != '\0' ? s : "-";
}

int64_t zc_int(const json_t *obj, const char *key, int64_t missing)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_number(v) ? (int64_t)json_number_value(v) : missing;
}

bool zc_true(const json_t *obj, const char *key)
{
    return json_is_true(json_object_get(obj, key));
}

static const char *tint_code(enum zc_tint tint)
{
    static int colour = -1;
    if (colour < 0) {
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
        colour = isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') &&
                 (term == NULL || strcmp(term, "dumb") != 0);
    }
    if (!colour)
        return "";
    switch (tint) {
    case ZC_BOLD:
        return "\033[1m";
    case ZC_GREEN:
        return "\033[32m";
    case ZC_YELLOW:
        return "\033[33m";
    case ZC_RED:
        return "\033[31m";
    case ZC_PLAIN:
        break;
    }
    return "";
}

void zc_table_init(struct zc_table *t, unsigned ncols)
{
    memset(t, 0, sizeof *t);
    t->ncols = ncols;
}

void zc_cell(struct zc_table *t, enum zc_tint tint, const char *text)
{
    if (t->nrows == t->cap) {
        t->cap = t->cap != 0 ? t->cap * 2 : 64;
        t->cells = zc_alloc(realloc(t->cells, t->cap * sizeof *t->cells));
        t->tints = zc_alloc(realloc(t->tints, t->cap));
    }
    t->tints[t->nrows] = (unsigned char)tint;
    t->cells[t->nrows++] = zc_alloc(strdup(text));
}

void zc_cellf(struct zc_table *t, enum zc_tint tint, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    zc_cell(t, tint, text);
}

void zc_table_print(struct zc_table *t)
{
    size_t width[16] = {0};
    for (size_t i = 0; i < t->nrows; i++) {
        size_t n = strlen(t->cells[i]), c = i % t->ncols;
        if (n > width[c])
            width[c] = n;
    }
    for (size_t i = 0; i < t->nrows; i++) {
        bool last = i % t->ncols == t->ncols - 1;
        const char *on = tint_code(i < t->ncols ? ZC_BOLD : (enum zc_tint)t->tints[i]);
        int pad = last ? 0 : (int)(width[i % t->ncols] - strlen(t->cells[i])) + 2;
        printf("%s%s%s%*s%s", on, t->cells[i], on[0] != '\0' ? "\033[0m" : "", pad, "",
               last ? "\n" : "");
        free(t->cells[i]);
    }
    free(t->cells);
    free(t->tints);
}
