/* What people and programs read: columns that line up, or JSON. */
#include "ztctl.h"

#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

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

const char *zc_human(int64_t n, char out[32])
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)n;
    unsigned u = 0;
    while (v >= 1000 && u + 1 < sizeof unit / sizeof unit[0]) {
        v /= 1000;
        u++;
    }
    snprintf(out, 32, u == 0 ? "%.0f %s" : "%.1f %s", v, unit[u]);
    return out;
}

bool zc_true(const json_t *obj, const char *key)
{
    return json_is_true(json_object_get(obj, key));
}

/* ---- text of others ----------------------------------------------------------------------------
 * Names come from controllers, paths from whoever made them: nothing in them may move the cursor or
 * turn the line around, and columns count what a terminal shows. Always UTF-8: it is what JSON has.
 */

/* The next character of *p, and how many columns it takes; -1: nothing that is shown as it is. */
static int next_char(const char **p)
{
    static bool asked;
    wchar_t c;
    mbstate_t st = {0};
    if (!asked)
        (void)setlocale(LC_CTYPE, "C.UTF-8"); /* without it all but ASCII becomes '?' */
    asked = true;
    size_t n = mbrtowc(&c, *p, MB_LEN_MAX, &st);
    if (n == 0 || n > MB_LEN_MAX) {
        (*p)++;
        return -1;
    }
    *p += n;
    bool turns = (c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069) || c == 0x061c;
    return turns ? -1 : wcwidth(c);
}

char *zc_clean(const char *text, unsigned most)
{
    char *out = zc_alloc(malloc(strlen(text) * 3 + 4)), *to = out;
    unsigned width = 0;
    char *cut = out; /* where to end when it turns out too long */
    for (const char *p = text; *p != '\0';) {
        const char *from = p;
        int w = next_char(&p);
        unsigned cols = w < 0 ? 1 : (unsigned)w;
        if (width + cols > most) {
            to = stpcpy(cut, "…");
            break;
        }
        if (w < 0)
            *to++ = '?';
        else
            to = (char *)mempcpy(to, from, (size_t)(p - from));
        width += cols;
        if (width < most)
            cut = to;
    }
    *to = '\0';
    return out;
}

static unsigned columns(const char *text)
{
    unsigned n = 0;
    for (const char *p = text; *p != '\0';) {
        int w = next_char(&p);
        n += w < 0 ? 1 : (unsigned)w;
    }
    return n;
}

/* ---- colour ------------------------------------------------------------------------------------
 */

const char *zc_tint(enum zc_tint tint)
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
    case ZC_DEFAULT:
        return "\033[0m";
    case ZC_PLAIN:
        break;
    }
    return "";
}

/* ---- tables ------------------------------------------------------------------------------------
 */

/* Takes the text over. */
static void add_cell(struct zc_table *t, enum zc_tint tint, char *text)
{
    if (t->nrows == t->cap) {
        t->cap = t->cap != 0 ? t->cap * 2 : 64;
        t->cells = zc_alloc(realloc(t->cells, t->cap * sizeof *t->cells));
        t->tints = zc_alloc(realloc(t->tints, t->cap));
    }
    t->tints[t->nrows] = (unsigned char)tint;
    t->cells[t->nrows++] = text;
}

void zc_cell(struct zc_table *t, enum zc_tint tint, const char *text)
{
    add_cell(t, tint, zc_clean(text, ZC_CELL_MAX));
}

void zc_cell_name(struct zc_table *t, const char *text)
{
    add_cell(t, ZC_PLAIN, zc_clean(text, ZC_NAME_MAX));
}

void zc_head(struct zc_table *t, const char *names)
{
    const char *p = names;
    unsigned n = 1;
    for (const char *s = names; (s = strchr(s, '|')) != NULL; s++)
        n++;
    *t = (struct zc_table){.ncols = n};
    for (unsigned i = 0; i < n; i++) {
        size_t len = strcspn(p, "|");
        zc_cellf(t, ZC_BOLD, "%.*s", (int)len, p);
        p += len + 1;
    }
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
    unsigned width[16] = {0};
    for (size_t i = 0; i < t->nrows; i++) {
        unsigned n = columns(t->cells[i]), c = (unsigned)(i % t->ncols);
        if (n > width[c])
            width[c] = n;
    }
    for (size_t i = 0; i < t->nrows; i++) {
        bool last = i % t->ncols == t->ncols - 1;
        const char *on = zc_tint((enum zc_tint)t->tints[i]);
        int pad = last ? 0 : (int)(width[i % t->ncols] - columns(t->cells[i])) + 2;
        printf("%s%s%s%*s%s", on, t->cells[i], on[0] != '\0' ? zc_tint(ZC_DEFAULT) : "", pad, "",
               last ? "\n" : "");
        free(t->cells[i]);
    }
    free(t->cells);
    free(t->tints);
}
