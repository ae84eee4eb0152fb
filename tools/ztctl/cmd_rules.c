/* ztctl rules: the rule language and its JSON, see rules.h. Works without a node. */
#include "ztctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

/* A file, or standard input for "-". */
static int read_source(const struct zc *zc, const char *path, char **text, size_t *n)
{
    *text = zc_read_file(strcmp(path, "-") == 0 ? "/dev/stdin" : path, ZR_SOURCE_MAX, n);
    if (*text == NULL)
        return zc_fail(zc, "%s: %s", path, strerror(errno));
    return ZC_OK;
}

/* FILE:LINE:COLUMN: what, and the line with a mark below the place, as compilers say it. */
static void complain(const char *path, const char *text, const struct zr_note *note,
                     const char *kind)
{
    const char *line = text;
    for (unsigned i = 1; i < note->line && (line = strchr(line, '\n')) != NULL; i++)
        line++;
    fprintf(stderr, "%s:%u:%u: %s%s\n", path, note->line, note->col, kind, note->text);
    if (line == NULL || strchr("\r\n", *line) != NULL)
        return;
    fprintf(stderr, "  %.*s\n  ", (int)strcspn(line, "\r\n"), line);
    for (unsigned col = 1; col < note->col && *line != 0; line++) {
        if (((unsigned char)*line & 0xc0) == 0x80)
            continue;
        fputc(*line == '\t' ? '\t' : ' ', stderr);
        col++;
    }
    fputs("^\n", stderr);
}

static int compile(const struct zc *zc, const char *path)
{
    struct zr_notes notes;
    char *text;
    size_t n;
    int code = read_source(zc, path, &text, &n);
    if (code != ZC_OK)
        return code;
    json_t *out = zr_compile(text, n, &notes);
    for (unsigned i = 0; i < notes.nwarnings; i++)
        complain(path, text, &notes.warnings[i], "warning: ");
    if (out == NULL)
        complain(path, text, &notes.error, "");
    free(text);
    return out != NULL ? zc_print_json(out) : ZC_FAILED;
}

static int decompile(const struct zc *zc, const char *path)
{
    char *text, err[256];
    json_error_t where;
    size_t n;
    int code = read_source(zc, path, &text, &n);
    if (code != ZC_OK)
        return code;
    json_t *doc = json_loadb(text, n, 0, &where);
    free(text);
    if (doc == NULL)
        return zc_fail(zc, "%s:%d:%d: not JSON: %s ('%s rules compile' takes a source)", path, where.line,
                       where.column, where.text, zc_self(zc));
    text = zr_decompile(doc, err);
    json_decref(doc);
    if (text == NULL)
        return zc_fail(zc, "%s: %s", path, err);
    fputs(text, stdout);
    free(text);
    return ZC_OK;
}

int zc_cmd_rules(struct zc *zc, int argc, char **argv)
{
    if (argc == 0)
        return zc_usage(zc, "say what to do: compile or decompile");
    bool is_compile = strcmp(argv[0], "compile") == 0;
    if (!is_compile && strcmp(argv[0], "decompile") != 0)
        return zc_usage(zc, "'%s' is not one of compile, decompile", argv[0]);
    if (argc != 2)
        return zc_usage(zc, "give one file, or - for standard input");
    return is_compile ? compile(zc, argv[1]) : decompile(zc, argv[1]);
}
