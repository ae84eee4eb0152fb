/* ztctl api: the local API as it is, for scripts and for what has no command of its own. */
#include "ztctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_MAX (2u << 20)

/* NULL: more than a body may have. */
static char *read_stdin(void)
{
    char *text = zc_alloc(malloc(BODY_MAX + 1));
    size_t n = fread(text, 1, BODY_MAX + 1, stdin);
    if (n > BODY_MAX) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

/* The API takes what is no JSON for an empty document, and says that all is well. */
static int check_body(const struct zc *zc, const char *body)
{
    json_error_t e = {.text = ""};
    json_t *doc = body[0] != '\0' ? json_loads(body, JSON_DECODE_ANY, &e) : json_null();
    if (doc == NULL)
        return zc_usage(zc, "the body is not JSON: line %d, column %d: %s", e.line, e.column, e.text);
    json_decref(doc);
    return ZC_OK;
}

/* "a: b" per line or the like would only be another form to learn: JSON, as it came, or with -j
 * indented. */
int zc_cmd_api(struct zc *zc, int argc, char **argv)
{
    const char *method = "GET";
    char *body, *text;
    int status;
    if (argc > 0 && argv[0][0] != '/') {
        method = argv[0];
        argc--;
        argv++;
    }
    if (argc < 1 || argc > 2 || argv[0][0] != '/' || strpbrk(argv[0], " \n") != NULL)
        return zc_usage(zc, "give a path such as /status, and perhaps a method before it and a "
                            "body behind");
    body = argc == 2 && strcmp(argv[1], "-") == 0 ? read_stdin()
                                                  : zc_alloc(strdup(argc == 2 ? argv[1] : ""));
    if (body == NULL)
        return zc_fail(zc, "a body has at most %u MiB", BODY_MAX >> 20);
    int code = check_body(zc, body);
    if (code == ZC_OK)
        code = zc_api_text(zc, method, argv[0], body, &status, &text);
    free(body);
    if (code != ZC_OK)
        return code;
    json_t *doc = zc->json ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (doc != NULL)
        zc_print_json(doc);
    else if (text[0] != '\0')
        puts(text);
    free(text);
    if (status == 404)
        return zc_fail(zc, "status 404: there is nothing at %s (ztd(8) has the paths)", argv[0]);
    return status == 200 ? ZC_OK : zc_fail(zc, "status %d", status);
}
