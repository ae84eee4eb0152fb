/* Completion. The shells' scripts are a few lines each: they ask
 *
 *   ztctl __complete WORD... CURRENT
 *
 * and get lines "candidate<tab>what it is", and in the end how to go on where we have none:
 * ":file", ":dir", ":program" or ":none". What can stand where is read from the table of commands
 * (zc_command.args), ids are asked of the running node. */
#include "controller_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64
#define WORDS 64

/* The alternatives of one command: words of its args, without brackets. */
struct form {
    char word[WORDS][WORD_MAX];
    bool takes[WORDS]; /* an option that the next word belongs to */
    int n;
};

struct request {
    struct zc *zc;
    const char *current;
    const char *how; /* ":file" and so on */
    char **given;    /* words before the current one, without the command and common options */
    int ngiven;
};

static void offer(const struct request *r, const char *text, const char *what)
{
    if (strncmp(text, r->current, strlen(r->current)) != 0)
        return;
    char *clean = zc_clean(what, 60);
    printf("%s\t%s\n", text, clean);
    free(clean);
}

static void offer_keys(const struct request *r, const char *const *keys, const char *tail)
{
    char text[WORD_MAX];
    for (; *keys != NULL; keys++) {
        snprintf(text, sizeof text, "%s%s", *keys, tail);
        offer(r, text, "");
    }
}

static void offer_controller_keys(const struct request *r, bool of_member)
{
    const char *one[] = {NULL, NULL};
    for (size_t i = 0; (one[0] = zc_controller_key(of_member, i)) != NULL; i++)
        offer_keys(r, one, "=");
}

/* Members `id` (or `address`) of the objects in a list, with another member beside them. */
static void offer_ids(const struct request *r, json_t *list, const char *id, const char *what)
{
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o)
    {
        if (json_is_string(json_object_get(o, id)))
            offer(r, zc_str(o, id), zc_str(o, what));
    }
    json_decref(list);
}

static json_t *ask(const struct request *r, const char *command)
{
    char msg[256];
    json_t *d;
    return zc_command_quiet(r->zc->home, command, &d, msg, sizeof msg) == 0 ? d : NULL;
}

/* A list of the controller's. */
static json_t *ask_controller(const struct request *r, const char *path)
{
    int status;
    char *text;
    if (!zc_is_running(r->zc->home) ||
        zc_api_text(r->zc, "GET", path, "", &status, &text) != ZC_OK)
        return NULL;
    json_t *d = status == 200 ? json_loads(text, 0, NULL) : NULL;
    json_t *list = json_incref(json_object_get(d, "data"));
    json_decref(d);
    free(text);
    return list;
}

static void offer_node(const struct request *r, bool is_controller)
{
    char path[128];
    if (is_controller && r->ngiven > 1 && strlen(r->given[1]) == 16) {
        snprintf(path, sizeof path, "/unstable/controller/network/%s/member", r->given[1]);
        offer_ids(r, ask_controller(r, path), "id", "name");
    } else {
        offer_ids(r, ask(r, "peers"), "address", "role");
    }
}

/* Candidates for a placeholder of the table. */
static void offer_kind(struct request *r, const struct zc_command *c, const char *kind)
{
    static const char *const shells[] = {"bash", "zsh", "fish", NULL};
    static const char *const levels[] = {"1", "2", "3", NULL};
    bool is_controller = strcmp(c->name, "controller") == 0;
    if (strncmp(kind, "NWID", 4) == 0 && is_controller)
        offer_ids(r, ask_controller(r, "/unstable/controller/network"), "id", "name");
    else if (strncmp(kind, "NWID", 4) == 0)
        offer_ids(r, ask(r, "networks"), "id", "name");
    else if (strcmp(kind, "NODE") == 0 || strcmp(kind, "PEER") == 0 || strcmp(kind, "SEED") == 0)
        offer_node(r, is_controller && kind[0] == 'N');
    else if (strcmp(kind, "MOON") == 0)
        offer_ids(r, ask(r, "moons"), "id", "seed");
    else if (strcmp(kind, "KEY=VALUE") == 0 && is_controller)
        offer_controller_keys(r, r->ngiven > 2 && strchr(r->given[2], '=') == NULL);
    else if (strcmp(kind, "KEY=VALUE") == 0)
        offer_keys(r, zc_setting_keys, "=");
    else if (strcmp(kind, "KEY") == 0 && r->ngiven > 0) {
        char text[64];
        const char *key;
        json_t *v;
        snprintf(text, sizeof text, "get %.16s", r->given[0]);
        json_t *o = ask(r, text);
        json_object_foreach(o, key, v) offer(r, key, "");
        json_decref(o);
    } else if (strcmp(kind, "COMMAND") == 0) {
        for (const struct zc_command *one = zc_commands; one->name != NULL; one++)
            if (one->group != NULL)
                offer(r, one->name, one->what);
    } else if (strcmp(kind, "SHELL") == 0)
        offer_keys(r, shells, "");
    else if (strcmp(kind, "LEVEL") == 0)
        offer_keys(r, levels, "");
    else if (strcmp(kind, "DIR") == 0)
        r->how = ":dir";
    else if (strcmp(kind, "PROGRAM") == 0)
        r->how = ":program";
    else if (strstr(kind, "FILE") != NULL || strcmp(kind, "IDENTITY") == 0 || strcmp(kind, "ARGS") == 0)
        r->how = ":file";
}

/* The words of one alternative; returns what follows it, or NULL. */
static const char *read_form(const char *args, struct form *f)
{
    const char *end = strstr(args, " | ");
    size_t len = end != NULL ? (size_t)(end - args) : strlen(args);
    f->n = 0;
    for (const char *p = args; p < args + len && f->n < WORDS;) {
        size_t n = strcspn(p, " ");
        if (p + n > args + len)
            n = (size_t)(args + len - p);
        size_t open = *p == '[';
        bool closed = n > 0 && memchr(p, ']', n) != NULL;
        snprintf(f->word[f->n], WORD_MAX, "%.*s", (int)(n - open), p + open);
        f->word[f->n][strcspn(f->word[f->n], "]")] = '\0';
        f->takes[f->n] = f->word[f->n][0] == '-' && !closed && p + n < args + len;
        f->n += n > 0;
        p += n + (p[n] == ' ');
    }
    return end != NULL ? end + 3 : NULL;
}

static bool is_verb(const char *word)
{
    return word[0] >= 'a' && word[0] <= 'z';
}

/* The placeholder without "...", "[,NWID". */
static void kind_of(const char *word, char out[WORD_MAX])
{
    snprintf(out, WORD_MAX, "%s", word);
    char *dots = strstr(out, "...");
    if (dots != NULL)
        *dots = '\0';
    out[strcspn(out, "[,")] = '\0';
}

static int option_of(const struct form *f, const char *word)
{
    for (int i = 0; i < f->n; i++)
        if (word[0] == '-' && strcmp(f->word[i], word) == 0)
            return i;
    return -1;
}

/* "-4|-6", "GET|POST" */
static void offer_choices(const struct request *r, const char *word)
{
    char one[WORD_MAX];
    for (const char *p = word; *p != '\0'; p += *p == '|') {
        size_t n = strcspn(p, "|");
        snprintf(one, sizeof one, "%.*s", (int)n, p);
        offer(r, one, "");
        p += n;
    }
}

/* The positional word that comes next, after those given; NULL: none. */
static const char *next_positional(const struct request *r, const struct form *f)
{
    int place = 0;
    for (int i = 0; i < r->ngiven; i++) {
        int o = option_of(f, r->given[i]);
        if (o >= 0 && f->takes[o])
            i++;
        else if (r->given[i][0] != '-')
            place++;
    }
    const char *last = NULL;
    for (int i = 0; i < f->n; i++) {
        if (f->word[i][0] == '-') {
            i += f->takes[i];
            continue;
        }
        last = f->word[i];
        if (place-- == 0)
            return last;
    }
    return last != NULL && strstr(last, "...") != NULL ? last : NULL;
}

static void complete_form(struct request *r, const struct zc_command *c, const struct form *f)
{
    char kind[WORD_MAX];
    int o = r->ngiven > 0 ? option_of(f, r->given[r->ngiven - 1]) : -1;
    if (o >= 0 && f->takes[o]) {
        kind_of(f->word[o + 1], kind);
        offer_kind(r, c, kind);
        return;
    }
    if (r->current[0] == '-') {
        for (int i = 0; i < f->n; i++)
            if (f->word[i][0] == '-' && option_of(f, f->word[i]) == i) /* not again "[--root ...]" */
                offer_choices(r, f->word[i]);
        return;
    }
    const char *next = next_positional(r, f);
    if (next == NULL)
        return;
    kind_of(next, kind);
    if (is_verb(next) || strchr(next, '|') != NULL)
        offer_choices(r, next);
    else
        offer_kind(r, c, kind);
}

static void complete_args(struct request *r, const struct zc_command *c)
{
    static struct form f;
    char verb[WORD_MAX] = ""; /* offered: alternatives may begin with the same */
    for (const char *p = c->args; p != NULL;) {
        p = read_form(p, &f);
        bool has_verb = f.n > 0 && is_verb(f.word[0]);
        if (has_verb && r->ngiven == 0 && r->current[0] != '-') {
            if (strcmp(verb, f.word[0]) != 0)
                offer(r, f.word[0], "");
            snprintf(verb, sizeof verb, "%s", f.word[0]);
        } else if (!has_verb || (r->ngiven > 0 && strcmp(f.word[0], r->given[0]) == 0)) {
            complete_form(r, c, &f);
        }
    }
    if (r->current[0] == '-') {
        offer(r, "--help", "what it does, with an example");
        offer(r, "-j", "JSON instead of text");
        offer(r, "-H", "folder of the node");
    }
}

static void complete_command(const struct request *r)
{
    if (r->current[0] == '-') {
        offer(r, "--help", "all commands");
        offer(r, "--version", "");
        offer(r, "-j", "JSON instead of text");
        offer(r, "-H", "folder of the node");
    } else {
        for (const struct zc_command *c = zc_commands; c->name != NULL; c++)
            if (c->group != NULL)
                offer(r, c->name, c->what);
    }
}

int zc_cmd_complete(struct zc *zc, int argc, char **argv)
{
    struct request r = {.zc = zc, .current = argc > 0 ? argv[argc - 1] : "", .how = ":none"};
    const struct zc_command *c = NULL;
    bool wants_dir = false, inside = false;
    r.given = zc_alloc(calloc((size_t)argc + 1, sizeof *r.given));
    for (int i = 0; i + 1 < argc; i++) {
        if (wants_dir) {
            free(zc->home);
            zc->home = zc_absolute(argv[i]);
            wants_dir = false;
        } else if (!inside && strcmp(argv[i], "-H") == 0)
            wants_dir = true;
        else if (!inside && (strcmp(argv[i], "-j") == 0 || strncmp(argv[i], "-H", 2) == 0))
            ;
        else if (c == NULL && (c = zc_find_command(argv[i])) == NULL)
            break; /* no command of ours: nothing is known of what follows */
        else if (strcmp(argv[i], c->name) != 0 || r.ngiven > 0 || inside)
            r.given[r.ngiven++] = argv[i];
        /* What follows a program's name is the program's. */
        inside = inside || (c != NULL && c->stops && r.ngiven > 0 && argv[i][0] != '-' &&
                            (r.ngiven < 2 || r.given[r.ngiven - 2][0] != '-'));
    }
    if (wants_dir)
        r.how = ":dir";
    else if (c != NULL)
        complete_args(&r, c);
    else
        complete_command(&r);
    puts(r.how);
    free(r.given);
    return ZC_OK;
}
