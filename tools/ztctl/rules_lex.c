#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rules_int.h"
#include "ztctl.h"

bool zr_is(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

bool zr_number(const char *p, size_t n, uint64_t max, uint64_t *out)
{
    unsigned base = 10;
    uint64_t v = 0;

    if (n > 2 && p[0] == '0' && (p[1] | 0x20) == 'x') {
        base = 16;
        p += 2;
        n -= 2;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)digit(p[i]);
        if (d >= base || v > (max - d) / base)
            return false;
        v = v * base + d;
    }
    *out = v;
    return n > 0;
}

bool zr_is_name(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        bool is_digit = c >= '0' && c <= '9';
        bool is_letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c >= 0x80;
        if (!is_letter && (!is_digit || i == 0))
            return false;
    }
    return n > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct lexer {
    const char *p, *end;
    uint32_t line, col;
};

static void step(struct lexer *l)
{
    unsigned char c = (unsigned char)*l->p++;
    if (c == '\n') {
        l->line++;
        l->col = 1;
    } else if ((c & 0xc0) != 0x80) { /* not inside a UTF-8 character */
        l->col++;
    }
}

static void skip_blanks(struct lexer *l)
{
    while (l->p < l->end && (is_blank(*l->p) || *l->p == '#')) {
        if (*l->p == '#')
            while (l->p < l->end && *l->p != '\n')
                step(l);
        else
            step(l);
    }
}

/* Moves behind the word. Between parentheses blanks are part of it. */
static bool take_word(struct lexer *l)
{
    bool inside = false;

    if (*l->p == ';') {
        step(l);
        return true;
    }
    while (l->p < l->end && *l->p != ';' && *l->p != '\n' && (inside || !is_blank(*l->p))) {
        if (*l->p == '(')
            inside = true;
        if (*l->p == ')')
            inside = false;
        step(l);
    }
    return !inside;
}

static bool complain(struct zr_note *error, uint32_t line, uint32_t col, const char *text)
{
    error->line = line;
    error->col = col;
    snprintf(error->text, sizeof error->text, "%s", text);
    return false;
}

bool zr_lex(const char *src, size_t n, struct zr_words *out, struct zr_note *error)
{
    struct lexer l = {.p = src, .end = src + n, .line = 1, .col = 1};
    size_t cap = 0;

    *out = (struct zr_words){0};
    if (n > ZR_SOURCE_MAX)
        return complain(error, 1, 1, "the source is longer than 1 MiB");
    json_t *text = json_stringn(src, n);
    json_decref(text);
    if (text == NULL || memchr(src, 0, n) != NULL)
        return complain(error, 1, 1, "the source is not UTF-8 text");
    for (;;) {
        skip_blanks(&l);
        if (out->count + 1 >= cap) {
            cap = cap != 0 ? cap * 2 : 256;
            out->v = zc_alloc(realloc(out->v, cap * sizeof *out->v));
        }
        struct zr_word *w = &out->v[out->count];
        *w = (struct zr_word){.p = l.p, .line = l.line, .col = l.col};
        if (l.p == l.end)
            return true;
        bool whole = take_word(&l);
        w->n = (uint32_t)(l.p - w->p);
        if (!whole)
            return complain(error, w->line, w->col, "the '(' of this word has no ')' on its line");
        out->count++;
    }
}
