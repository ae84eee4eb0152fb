/* planet new | update | show: the set of root servers that nodes know (a "world" of the wire
 * format). Needs no node.
 *
 * A planet carries the public key that must sign the next revision. new makes such a key and signs
 * the first revision with it; update signs the next one with the same key and keeps it. */
#include "identity_io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/sign.h"
#include "wire/world.h"

/* The public planet's number and a reserved one: never chosen for a new planet. */
#define WORLD_ID_PUBLIC 149604618u
#define WORLD_ID_RESERVED 227883110u

#define KEY_TEXT (2 * ZT_PUB + 1 + 2 * ZT_PRIV) /* public, ':', private in hex; then a newline */

struct order {
    const char *out, *key;
    struct zt_world world;
};

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int add_root(const struct zc *zc, struct zt_world *w, const char *what)
{
    if (w->nroots == ZT_WORLD_ROOTS)
        return zc_usage(zc, "a planet has at most %d roots", ZT_WORLD_ROOTS);
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

static int read_order(const struct zc *zc, int argc, char **argv, struct order *o)
{
    int code = ZC_OK;
    for (int i = 0; i < argc && code == ZC_OK; i++) {
        bool root = strcmp(argv[i], "--root") == 0, out = strcmp(argv[i], "-o") == 0;
        bool key = strcmp(argv[i], "--key") == 0;
        if (!root && !out && !key && argv[i][0] == '-')
            return zc_usage(zc, "unknown option '%s'", argv[i]);
        if ((root || out || key) && i + 1 == argc)
            return zc_usage(zc, "%s needs a value", argv[i]);
        if (root)
            code = add_root(zc, &o->world, argv[++i]);
        else if (out)
            o->out = argv[++i];
        else if (key)
            o->key = argv[++i];
        else
            code = add_endpoint(zc, &o->world, argv[i]);
    }
    if (code != ZC_OK)
        return code;
    if (o->out == NULL)
        return zc_usage(zc, "give the file to write with -o FILE");
    if (o->world.nroots == 0)
        return zc_usage(zc, "give at least one --root IDENTITY.PUBLIC ENDPOINT");
    for (unsigned i = 0; i < o->world.nroots; i++)
        if (o->world.roots[i].neps == 0)
            return zc_usage(zc, "root %010" PRIx64 " has no endpoint", o->world.roots[i].id.addr);
    return ZC_OK;
}

static char *key_path(const struct order *o)
{
    char *p;
    if (o->key != NULL)
        return zc_alloc(strdup(o->key));
    if (asprintf(&p, "%s.secret", o->out) < 0)
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
            zc, "%s exists and is kept; 'planet update' makes a new revision with this key", path);
    return bad != 0 ? zc_fail(zc, "%s: %s", path, strerror(errno)) : ZC_OK;
}

static int load_key(const struct zc *zc, const char *path, struct zt_identity *key)
{
    size_t n;
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
    return ok ? ZC_OK : zc_fail(zc, "%s is not the key of a planet", path);
}

static int load_world(const struct zc *zc, const char *path, struct zt_world *w)
{
    size_t n;
    char *p = zc_read_file(path, ZT_WORLD_WIRE_MAX, &n);
    if (p == NULL)
        return zc_fail(zc, "%s: %s", path, strerror(errno));
    struct zt_rd r = zt_rd(p, n);
    zt_rd_world(&r, w);
    bool ok = !r.bad && zt_rd_left(&r) == 0;
    free(p);
    return ok ? ZC_OK : zc_fail(zc, "%s is not a planet or moon file", path);
}

/* Signs with key and writes; the world's own update key stays the pair's public half. */
static int sign_and_write(const struct zc *zc, struct order *o, const struct zt_identity *key,
                          bool replace)
{
    static uint8_t wire[ZT_WORLD_WIRE_MAX];
    struct zt_wr w = zt_wr(wire, sizeof wire);
    memcpy(o->world.update_key, key->pub, ZT_PUB);
    int err = zt_world_sign(&o->world, key);
    if (err != 0)
        return zc_fail(zc, "%s", zt_err_text(err));
    zt_wr_world(&w, &o->world);
    if (w.bad)
        return zc_fail(zc, "%s", zt_err_text(ZT_E_SPACE));
    int bad =
        replace ? zc_write_over(o->out, wire, w.n, 0644) : zc_write_new(o->out, wire, w.n, 0644);
    return bad != 0 ? zc_fail(zc, "%s: %s", o->out, strerror(errno)) : ZC_OK;
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
    return json_pack("{s:s,s:o,s:I,s:s,s:b,s:o}", "type",
                     w->type == ZT_WORLD_PLANET ? "planet"
                     : w->type == ZT_WORLD_MOON ? "moon"
                                                : "null",
                     "id", json_sprintf("%016" PRIx64, w->id), "timestamp",
                     (json_int_t)w->timestamp_ms, "updateKey",
                     zt_hex_encode(w->update_key, ZT_PUB, key), "selfSigned",
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

static int cmd_new(const struct zc *zc, int argc, char **argv)
{
    static struct order o;
    int code = read_order(zc, argc, argv, &o);
    if (code != ZC_OK)
        return code;
    size_t n;
    char *there = zc_read_file(o.out, ZT_WORLD_WIRE_MAX, &n);
    if (there != NULL || errno != ENOENT) {
        free(there);
        return zc_fail(zc, "%s exists and is kept; 'planet update' makes a new revision of it",
                       o.out);
    }
    o.world.type = ZT_WORLD_PLANET;
    do
        zc_random(NULL, &o.world.id, sizeof o.world.id);
    while (o.world.id == 0 || o.world.id == WORLD_ID_PUBLIC || o.world.id == WORLD_ID_RESERVED);
    o.world.timestamp_ms = wall_ms();
    struct zt_identity key;
    zt_keypair_generate(zc_random, NULL, &key);
    char *path = key_path(&o);
    /* The key first: a planet whose key is lost can never be revised. */
    code = save_key(zc, path, &key);
    if (code == ZC_OK)
        code = sign_and_write(zc, &o, &key, false);
    if (code != ZC_OK || zc->json) {
        code = code != ZC_OK ? code : print_world(zc, &o.world);
    } else {
        print_world(zc, &o.world);
        printf("wrote      %s, and its key %s (keep it secret)\n", o.out, path);
    }
    zt_wipe(&key, sizeof key);
    free(path);
    return code;
}

static int cmd_update(const struct zc *zc, int argc, char **argv)
{
    static struct order o;
    static struct zt_world old;
    struct zt_identity key;
    int code = read_order(zc, argc, argv, &o);
    if (code == ZC_OK)
        code = load_world(zc, o.out, &old);
    if (code != ZC_OK)
        return code;
    char *path = key_path(&o);
    code = load_key(zc, path, &key);
    if (code == ZC_OK && memcmp(key.pub, old.update_key, ZT_PUB) != 0)
        code = zc_fail(zc, "%s is not the key that %s asks for", path, o.out);
    if (code == ZC_OK) {
        uint64_t now = wall_ms();
        o.world.type = old.type;
        o.world.id = old.id;
        o.world.timestamp_ms = now > old.timestamp_ms ? now : old.timestamp_ms + 1;
        code = sign_and_write(zc, &o, &key, true);
    }
    zt_wipe(&key, sizeof key);
    free(path);
    return code == ZC_OK ? print_world(zc, &o.world) : code;
}

static int cmd_show(const struct zc *zc, int argc, char **argv)
{
    static struct zt_world w;
    if (argc != 1)
        return zc_usage(zc, "give one file");
    int code = load_world(zc, argv[0], &w);
    return code == ZC_OK ? print_world(zc, &w) : code;
}

int zc_cmd_planet(struct zc *zc, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct zc *, int, char **);
    } verbs[] = {{"new", cmd_new}, {"update", cmd_update}, {"show", cmd_show}};
    if (argc == 0)
        return zc_usage(zc, "say what to do: new, update or show");
    if (zt_crypto_init() != 0)
        return zc_fail(zc, "the cryptographic libraries can't be used");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[0], verbs[i].name) == 0)
            return verbs[i].run(zc, argc - 1, argv + 1);
    return zc_usage(zc, "'%s' is not one of new, update, show", argv[0]);
}
