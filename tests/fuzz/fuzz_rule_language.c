/* The rule language: any text is compiled or refused with a place in it; what was compiled goes to
 * a source and back without a change. Also any JSON document as what there is to decompile. */
#include "fuzz.h"

#include <string.h>

#include "rules.h"

static void check_note(const struct zr_note *note, size_t n)
{
    PROMISE(note->line >= 1 && note->col >= 1 && note->line + note->col <= n + 2);
    PROMISE(note->text[0] != '\0');
}

static void there_and_back(json_t *doc)
{
    struct zr_notes notes;
    char err[256];
    char *text = zr_decompile(doc, err);

    PROMISE(text != NULL);
    json_t *again = zr_compile(text, strlen(text), &notes);
    PROMISE(again != NULL && json_equal(doc, again));
    json_decref(again);
    free(text);
}

/* What is decompiled is always a source, whatever the document was. */
static void decompile(const uint8_t *p, size_t n)
{
    struct zr_notes notes;
    char err[256];
    json_t *doc = json_loadb((const char *)p, n, 0, NULL);
    char *text = doc != NULL ? zr_decompile(doc, err) : NULL;

    PROMISE(doc == NULL || text != NULL || err[0] != '\0');
    json_decref(doc);
    if (text == NULL)
        return;
    json_t *again = zr_compile(text, strlen(text), &notes);
    PROMISE(again != NULL);
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct zr_notes notes;
    json_t *doc = zr_compile((const char *)p, n, &notes);

    PROMISE(notes.failed == (doc == NULL));
    for (unsigned i = 0; i < notes.nwarnings; i++)
        check_note(&notes.warnings[i], n);
    if (doc == NULL)
        check_note(&notes.error, n);
    else
        there_and_back(doc);
    json_decref(doc);
    decompile(p, n);
    return 0;
}
