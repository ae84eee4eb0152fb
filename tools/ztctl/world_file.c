/* Worlds in files: what the planet and the moon commands do alike. Needs no node.
 *
 * A world carries the public key that must sign the next revision. new makes such a key and signs
 * the first revision with it; each later revision is signed with the key that the one before names,
 * and names the same again, or, with --next, another one. The private halves are in files of their
 * own (0600), which nothing else reads. */
#include "world_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/addr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/sign.h"
#include "identity_io.h"

/* The public planet's number and a reserved one: never chosen for a new planet. */
#define WORLD_ID_PUBLIC 149604618u
#define WORLD_ID_RESERVED 227883110u

#define KEY_TEXT (2 * ZT_PUB + 1 + 2 * ZT_PRIV) /* public, ':', private in hex; then a newline */

/* What the command line says; the defaults of key and file are filled in by the verbs. */
struct order {
    const char *file, *key, *next;
    struct zt_world world; /* the roots given */
    const char *plain[2 + ZT_WORLD_ENDPOINTS];
    int nplain;
};

static const char *name_of(enum zt_world_type type)
{
    return type == ZT_WORLD_PLANET ? "planet" : type == ZT_WORLD_MOON ? "moon" : "null";
}

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int add_root(const struct zc *zc, struct zt_world *w, const char *what)
{
    if (w->nroots == ZT_WORLD_ROOTS)
        return zc_usage(zc, "a world has at most %d roots", ZT_WORLD_ROOTS);
    struct zt_root *r = &w->roots[w->nroots];
    int code = zc_load_identity(zc, what, &r->id);
    if (code != ZC_OK)
        return code;
    zt_wipe(r->id.priv, sizeof r->id.priv);
    r->id.has_priv = false;
    for (unsigned i = 0; i < w->nroots; i++)
        if (w->roots[i].id.addr == r->id.addr)
            return zc_usage(zc, "root %010" PRIx64 " is given twice", r->id.addr);
    if (!zt_identity_validate(&r->id))
        return zc_fail(zc, "%s: the identity is not valid", what);
    r->neps = 0;
    w->nroots++;
    return ZC_OK;
}

static int add_endpoint(const struct zc *zc, struct zt_world *w, const char *text)
{
    if (w->nroots == 0)
        return zc_usage(zc, "'%s' comes before a --root IDENTITY", text);
    struct zt_root *r = &w->roots[w->nroots - 1];
    if (r->neps == ZT_WORLD_ENDPOINTS)
        return zc_usage(zc, "a root has at most %d endpoints", ZT_WORLD_ENDPOINTS);
    if (zt_ep_parse(text, &r->eps[r->neps]) != 0 || r->eps[r->neps].port == 0)
        return zc_usage(zc, "'%s' is not an endpoint: IP/PORT, such as 10.0.0.1/9993", text);
    r->neps++;
    return ZC_OK;
}

/* --root IDENTITY ENDPOINT... and the options; with_roots false: plain arguments are kept. */
static int read_order(const struct zc *zc, int argc, char **argv, bool with_roots, struct order *o)
{
    int code = ZC_OK;
    for (int i = 0; i < argc && code == ZC_OK; i++) {
        bool root = with_roots && strcmp(argv[i], "--root") == 0;
        const char **value = with_roots && strcmp(argv[i], "-o") == 0 ? &o->file
                             : strcmp(argv[i], "--key") == 0          ? &o->key
                             : strcmp(argv[i], "--next") == 0         ? &o->next
                                                                      : NULL;
        if (!root && value == NULL && argv[i][0] == '-')
            return zc_usage(zc, "unknown option '%s'", argv[i]);
        if ((root || value != NULL) && i + 1 == argc)
            return zc_usage(zc, "%s needs a value", argv[i]);
        if (root)
            code = add_root(zc, &o->world, argv[++i]);
        else if (value != NULL)
            *value = argv[++i];
        else if (with_roots)
            code = add_endpoint(zc, &o->world, argv[i]);
        else if (o->nplain == (int)(sizeof o->plain / sizeof o->plain[0]))
            return zc_usage(zc, "too many arguments");
        else
            o->plain[o->nplain++] = argv[i];
    }
    return code;
}

static int check_roots(const struct zc *zc, const struct zt_world *w)
{
    if (w->nroots == 0)
        return zc_usage(zc, "give at least one --root IDENTITY.PUBLIC ENDPOINT");
    for (unsigned i = 0; i < w->nroots; i++)
        if (w->roots[i].neps == 0)
            return zc_usage(zc, "root %010" PRIx64 " has no endpoint", w->roots[i].id.addr);
    return ZC_OK;
}

/* -- keys -- */

static char *key_path(const struct order *o)
{
    char *p;
    if (o->key != NULL)
        return zc_alloc(strdup(o->key));
    if (asprintf(&p, "%s.secret", o->file) < 0)
        p = NULL;
    return zc_alloc(p);
}

static int save_key(const struct zc *zc, const char *path, const struct zt_identity *key)
{
    char text[KEY_TEXT + 2];
    zt_hex_encode(key->pub, ZT_PUB, text);
    text[2 * ZT_PUB] = ':';
    zt_hex_encode(key->priv, ZT_PRIV, text + 2 * ZT_PUB + 1);
    text[KEY_TEXT] = '\n';
    int bad = zc_write_new(path, text, KEY_TEXT + 1, 0600);
    zt_wipe(text, sizeof text);
    if (bad != 0 && errno == EEXIST)
        return zc_fail(
            zc, "%s exists and is kept: 'update' and 'sign' make new revisions with this key",
            path);
    return bad != 0 ? zc_fail(zc, "%s: %s", path, strerror(errno)) : ZC_OK;
}

static int load_key(const struct zc *zc, const char *path, struct zt_identity *key)
{
    size_t n;
    struct stat st;
    char *text = zc_read_file(path, 1024, &n);
    if (text == NULL)
        return zc_fail(zc, "%s: %s", path, strerror(errno));
    memset(key, 0, sizeof *key);
    bool ok = n >= KEY_TEXT && text[2 * ZT_PUB] == ':' && text[KEY_TEXT] != ':';
    if (ok) {
        text[2 * ZT_PUB] = text[KEY_TEXT] = '\0';
        ok = zt_hex_decode(text, key->pub, ZT_PUB) == 0 &&
             zt_hex_decode(text + 2 * ZT_PUB + 1, key->priv, ZT_PRIV) == 0;
    }
    key->has_priv = ok;
    zt_wipe(text, n);
    free(text);
    if (!ok)
        return zc_fail(zc, "%s is not the key of a world", path);
    if (stat(path, &st) == 0 && (st.st_mode & 077) == 0)
        return ZC_OK;
    return zc_fail(zc, "others may read %s: 'chmod 600' it; if they did, hand over to a new key with "
                       "--next", path);
}

/* -- worlds -- */

int zc_read_world(const char *path, struct zt_world *w)
{
    size_t n;
    char *p = zc_read_file(path, ZT_WORLD_WIRE_MAX, &n);
    if (p == NULL)
        return errno;
    struct zt_rd r = zt_rd(p, n);
    zt_rd_world(&r, w);
    bool ok = !r.bad && zt_rd_left(&r) == 0;
    free(p);
    return ok ? 0 : EBADMSG;
}

static int load_world(const struct zc *zc, const char *path, struct zt_world *w)
{
    int err = zc_read_world(path, w);
    if (err == EBADMSG)
        return zc_fail(zc, "%s is not a planet or moon file; 'ztctl %s new' makes one", path, zc->cmd);
    return err != 0 ? zc_fail(zc, "%s: %s", path, strerror(err)) : ZC_OK;
}

/* Signs with key, names next as the key of the revision after this, writes. */
static int sign_and_write(const struct zc *zc, const char *file, struct zt_world *world,
                          const struct zt_identity *key, const struct zt_identity *next,
                          bool replace)
{
    static uint8_t wire[ZT_WORLD_WIRE_MAX];
    struct zt_wr w = zt_wr(wire, sizeof wire);
    memcpy(world->update_key, next->pub, ZT_PUB);
    int err = zt_world_sign(world, key);
    if (err != 0)
        return zc_fail(zc, "%s", zt_err_text(err));
    zt_wr_world(&w, world);
    if (w.bad)
        return zc_fail(zc, "%s", zt_err_text(ZT_E_SPACE));
    int bad = replace ? zc_write_over(file, wire, w.n, 0644) : zc_write_new(file, wire, w.n, 0644);
    return bad != 0 ? zc_fail(zc, "%s: %s", file, strerror(errno)) : ZC_OK;
}

static json_t *world_json(const struct zt_world *w)
{
    json_t *roots = json_array();
    char text[ZT_IDENTITY_STR], ep[ZT_EP_STR], key[2 * ZT_PUB + 1];
    for (unsigned i = 0; i < w->nroots; i++) {
        json_t *eps = json_array();
        for (unsigned j = 0; j < w->roots[i].neps; j++)
            json_array_append_new(eps, json_string(zt_ep_format(&w->roots[i].eps[j], ep)));
        json_array_append_new(
            roots, json_pack("{s:o,s:s,s:o}", "address",
                             json_sprintf("%010" PRIx64, w->roots[i].id.addr), "identity",
                             zt_identity_format(&w->roots[i].id, false, text), "endpoints", eps));
    }
    return json_pack("{s:s,s:o,s:I,s:s,s:b,s:o}", "type", name_of(w->type), "id",
                     json_sprintf("%016" PRIx64, w->id), "timestamp", (json_int_t)w->timestamp_ms,
                     "updateKey", zt_hex_encode(w->update_key, ZT_PUB, key), "selfSigned",
                     (int)zt_world_verify(w, w->update_key), "roots", roots);
}

static int print_world(const struct zc *zc, const struct zt_world *w)
{
    json_t *d = world_json(w), *root, *ep;
    size_t i, j;
    if (zc->json)
        return zc_print_json(d);
    time_t at = (time_t)(w->timestamp_ms / 1000);
    struct tm tm;
    char when[64] = "?";
    if (gmtime_r(&at, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm);
    printf("%-10s %s\nrevision   %" PRIu64 " (%s)\nsignature  %s\n", zc_str(d, "type"),
           zc_str(d, "id"), w->timestamp_ms, when,
           zc_true(d, "selfSigned") ? "by its own update key"
                                    : "by another key than its own update key (an earlier "
                                      "revision's, or it is damaged)");
    json_array_foreach(json_object_get(d, "roots"), i, root)
    {
        printf("root       %s", zc_str(root, "address"));
        json_array_foreach(json_object_get(root, "endpoints"), j, ep)
            printf(" %s", json_string_value(ep));
        putchar('\n');
    }
    json_decref(d);
    return ZC_OK;
}

/* -- verbs -- */

static void choose_id(struct zt_world *w)
{
    if (w->type == ZT_WORLD_MOON) {
        w->id = w->roots[0].id.addr; /* the custom: people orbit a moon by its first root */
        return;
    }
    do
        zc_random(NULL, &w->id, sizeof w->id);
    while (w->id == 0 || w->id == WORLD_ID_PUBLIC || w->id == WORLD_ID_RESERVED);
}

static int world_new(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static struct order o;
    static char own_name[32]; /* o keeps it */
    int code = read_order(zc, argc, argv, true, &o);
    if (code != ZC_OK || (code = check_roots(zc, &o.world)) != ZC_OK)
        return code;
    if (o.next != NULL)
        return zc_usage(zc, "--next is for revisions");
    o.world.type = type;
    choose_id(&o.world);
    if (o.file == NULL && type == ZT_WORLD_PLANET)
        return zc_usage(zc, "give the file to write with -o FILE");
    if (o.file == NULL) {
        snprintf(own_name, sizeof own_name, "%016" PRIx64 ".moon", o.world.id);
        o.file = own_name;
    }
    size_t n;
    char *there = zc_read_file(o.file, ZT_WORLD_WIRE_MAX, &n);
    if (there != NULL || errno != ENOENT) {
        free(there);
        return zc_fail(zc, "%s exists and is kept; '%s update' makes a new revision of it", o.file,
                       zc->cmd);
    }
    o.world.timestamp_ms = wall_ms();
    struct zt_identity key;
    zt_keypair_generate(zc_random, NULL, &key);
    char *path = key_path(&o);
    /* The key first: a world whose key is lost can never be revised. */
    code = save_key(zc, path, &key);
    if (code == ZC_OK)
        code = sign_and_write(zc, o.file, &o.world, &key, &key, false);
    if (code == ZC_OK)
        code = print_world(zc, &o.world);
    if (code == ZC_OK && !zc->json)
        printf("wrote      %s, and its key %s (keep it secret)\n", o.file, path);
    zt_wipe(&key, sizeof key);
    free(path);
    return code;
}

/* The key that --next names: read, or made when there is no such file. */
static int next_key(const struct zc *zc, const char *path, struct zt_identity *key)
{
    size_t n;
    char *there = zc_read_file(path, 1024, &n);
    if (there != NULL || errno != ENOENT) {
        if (there != NULL)
            zt_wipe(there, n);
        free(there);
        return load_key(zc, path, key);
    }
    zt_keypair_generate(zc_random, NULL, key);
    return save_key(zc, path, key);
}

/* Sign o->world, which has the roots, as the revision after `old`, and write it over it. */
static int revise(const struct zc *zc, struct order *o, const struct zt_world *old)
{
    struct zt_identity key, next;
    char *path = key_path(o);
    int code = load_key(zc, path, &key);
    if (code == ZC_OK && memcmp(key.pub, old->update_key, ZT_PUB) != 0)
        code = zc_fail(zc, "%s is not the key that %s asks for", path, o->file);
    next = key;
    if (code == ZC_OK && o->next != NULL)
        code = next_key(zc, o->next, &next);
    if (code == ZC_OK) {
        uint64_t now = wall_ms();
        o->world.type = old->type;
        o->world.id = old->id;
        o->world.timestamp_ms = now > old->timestamp_ms ? now : old->timestamp_ms + 1;
        code = sign_and_write(zc, o->file, &o->world, &key, &next, true);
    }
    zt_wipe(&key, sizeof key);
    zt_wipe(&next, sizeof next);
    free(path);
    if (code == ZC_OK)
        code = print_world(zc, &o->world);
    if (code == ZC_OK && o->next != NULL && !zc->json)
        printf("next key   %s (keep it secret; give it with --key from now on)\n", o->next);
    return code;
}

static int load_of_type(const struct zc *zc, const char *path, enum zt_world_type type,
                        struct zt_world *w)
{
    int code = load_world(zc, path, w);
    if (code == ZC_OK && w->type != type)
        return zc_fail(zc, "%s is a %s", path, name_of(w->type));
    return code;
}

static int world_update(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static struct order o;
    static struct zt_world old;
    int code = read_order(zc, argc, argv, true, &o);
    if (code == ZC_OK && o.file == NULL)
        return zc_usage(zc, "give the file to revise with -o FILE");
    if (code == ZC_OK)
        code = check_roots(zc, &o.world);
    if (code == ZC_OK)
        code = load_of_type(zc, o.file, type, &old);
    return code == ZC_OK ? revise(zc, &o, &old) : code;
}

static int world_add_root(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static struct order o;
    static struct zt_world old;
    int code = read_order(zc, argc, argv, false, &o);
    if (code == ZC_OK && o.nplain < 3)
        return zc_usage(zc, "give the file, an identity, and its endpoints");
    if (code != ZC_OK || (code = load_of_type(zc, o.plain[0], type, &old)) != ZC_OK)
        return code;
    o.file = o.plain[0];
    o.world = old;
    code = add_root(zc, &o.world, o.plain[1]);
    for (int i = 2; i < o.nplain && code == ZC_OK; i++)
        code = add_endpoint(zc, &o.world, o.plain[i]);
    return code == ZC_OK ? revise(zc, &o, &old) : code;
}

static int world_remove_root(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static struct order o;
    static struct zt_world old;
    uint64_t addr;
    int code = read_order(zc, argc, argv, false, &o);
    if (code == ZC_OK && (o.nplain != 2 || zt_hex_parse_u64(o.plain[1], 10, &addr) != 0))
        return zc_usage(zc, "give the file and the root's address: 10 hex digits");
    if (code != ZC_OK || (code = load_of_type(zc, o.plain[0], type, &old)) != ZC_OK)
        return code;
    o.file = o.plain[0];
    o.world = old;
    o.world.nroots = 0;
    for (unsigned i = 0; i < old.nroots; i++)
        if (old.roots[i].id.addr != addr)
            o.world.roots[o.world.nroots++] = old.roots[i];
    if (o.world.nroots == old.nroots)
        return zc_fail(zc, "%s has no root %010" PRIx64, o.file, addr);
    if (o.world.nroots == 0)
        return zc_fail(zc, "%010" PRIx64 " is the only root: give another one first", addr);
    return revise(zc, &o, &old);
}

static int world_sign(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static struct order o;
    static struct zt_world old;
    int code = read_order(zc, argc, argv, false, &o);
    if (code == ZC_OK && o.nplain != 1)
        return zc_usage(zc, "give one file");
    if (code != ZC_OK || (code = load_of_type(zc, o.plain[0], type, &old)) != ZC_OK)
        return code;
    o.file = o.plain[0];
    o.world = old;
    return revise(zc, &o, &old);
}

static int world_show(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static struct zt_world w;
    if (argc != 1)
        return zc_usage(zc, "give one file");
    int code = load_world(zc, argv[0], &w); /* of any type */
    return code == ZC_OK ? print_world(zc, &w) : code;
}

static int install_over(const struct zc *zc, const char *to, const struct zt_world *w, bool force)
{
    static struct zt_world there;
    size_t n;
    char *p = zc_read_file(to, ZT_WORLD_WIRE_MAX, &n);
    if (p == NULL)
        return errno == ENOENT ? ZC_OK : zc_fail(zc, "%s: %s", to, strerror(errno));
    struct zt_rd r = zt_rd(p, n);
    zt_rd_world(&r, &there);
    free(p);
    if (force || r.bad || zt_world_replaces(&there, w))
        return ZC_OK;
    if (there.id == w->id && there.timestamp_ms == w->timestamp_ms &&
        memcmp(there.signature, w->signature, ZT_SIGNATURE) == 0)
        return ZC_OK;
    return zc_fail(zc,
                   there.id != w->id ? "%s is another %s; --force replaces it"
                                     : "%s is no older revision of this %s; --force replaces it",
                   to, name_of(w->type));
}

static int world_install(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static struct zt_world w;
    const char *file = NULL;
    bool force = false;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--force") == 0)
            force = true;
        else if (file != NULL || argv[i][0] == '-')
            return zc_usage(zc, "unexpected argument '%s'", argv[i]);
        else
            file = argv[i];
    }
    if (file == NULL)
        return zc_usage(zc, "give one file");
    int code = load_of_type(zc, file, type, &w);
    if (code != ZC_OK)
        return code;
    char *dir = NULL, *to = NULL;
    if (asprintf(&dir, "%s%s", zc->home, type == ZT_WORLD_MOON ? "/moons.d" : "") < 0 ||
        (type == ZT_WORLD_MOON ? asprintf(&to, "%s/%016" PRIx64 ".moon", dir, w.id)
                               : asprintf(&to, "%s/planet", dir)) < 0)
        zc_alloc(NULL);
    static uint8_t wire[ZT_WORLD_WIRE_MAX];
    struct zt_wr wr = zt_wr(wire, sizeof wire);
    zt_wr_world(&wr, &w);
    if (zc_make_dirs(dir) != 0)
        code = zc_fail(zc, "%s: %s", dir, strerror(errno));
    else
        code = install_over(zc, to, &w, force);
    if (code == ZC_OK && zc_write_over(to, wire, wr.n, 0644) != 0)
        code = zc_fail(zc, "%s: %s", to, strerror(errno));
    if (code == ZC_OK)
        code = print_world(zc, &w);
    if (code == ZC_OK && !zc->json)
        printf("wrote      %s%s\n", to,
               zc_is_running(zc->home) ? "; the running node takes it when it starts again" : "");
    free(dir);
    free(to);
    return code;
}

int zc_world_command(const struct zc *zc, enum zt_world_type type, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct zc *, enum zt_world_type, int, char **);
    } verbs[] = {
        {"new", world_new},        {"add-root", world_add_root}, {"remove-root", world_remove_root},
        {"update", world_update},  {"sign", world_sign},         {"show", world_show},
        {"install", world_install}};
    static const char names[] = "new, add-root, remove-root, update, sign, show, install";
    if (argc == 0)
        return zc_usage(zc, "say what to do: %s", names);
    if (zt_crypto_init() != 0)
        return zc_fail(zc, "the cryptographic libraries can't be used");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[0], verbs[i].name) == 0)
            return verbs[i].run(zc, type, argc - 1, argv + 1);
    return zc_usage(zc, "'%s' is not one of %s", argv[0], names);
}
