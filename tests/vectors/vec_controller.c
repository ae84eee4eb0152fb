/* controller.d: a recorded folder of a controller is read, served and written back. Its documents
 * come out as they went in; the configurations that the recorded controller made of them (they are
 * in local-api.json, as its members kept them) are the ones we make, signatures apart; and every
 * recorded POST to a network or member gives the recorded document. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "core/core.h"
#include "crypto/identity.h"
#include "node/controller_json.h"
#include "vec.h"
#include "vl2/controller_priv.h"

#define NWID 0x490c45ffd7c0ffeeu
#define R 0x490c45ffd7u
#define A 0xa739e24f67u
#define B 0x4cef88d0d1u

/* ---- files --------------------------------------------------------------------------------------
 */

static json_t *load(struct vec *v, const char *name, char **text)
{
    char path[4096];
    json_error_t e;
    snprintf(path, sizeof path, "%s/controller.d/network/%s", v->folder, name);
    FILE *f = fopen(path, "rb");
    *text = vec_alloc(v, 65536);
    size_t n = f != NULL ? fread(*text, 1, 65535, f) : 0;
    if (f != NULL)
        fclose(f);
    return vec_check(v, n > 0, "file is there") ? zt_ctl_parse(*text, n, &e) : NULL;
}

static bool same_text(const json_t *doc, const char *text)
{
    char *dump = zt_ctl_dump(doc);
    bool same = dump != NULL && strcmp(dump, text) == 0;
    free(dump);
    return same;
}

static void network_file(struct vec *v, uint64_t nwid)
{
    char name[64], *text;
    const char *why;
    struct zt_ctl_network n;
    snprintf(name, sizeof name, "%016llx.json", (unsigned long long)nwid);
    vec_case(v, "files", 0, name);
    json_t *doc = load(v, name, &text), *empty = json_object();
    VEC_CHECK(v, same_text(doc, text));
    VEC_CHECK(v, zt_ctl_network_defaults(doc, nwid, 1) == 0);
    VEC_CHECK(v, same_text(doc, text));
    VEC_CHECK(v, zt_ctl_network_post(doc, empty, &why) == 0);
    VEC_CHECK(v, same_text(doc, text));
    /* Everything that may be written is in its normal form already. */
    VEC_CHECK(v, zt_ctl_network_post(doc, doc, &why) == 0);
    VEC_CHECK(v, same_text(doc, text));
    if (VEC_CHECK(v, zt_ctl_network_read(doc, nwid, &n) == 0)) {
        VEC_CHECK(v, strcmp(n.name, "example network") == 0);
        VEC_CHECK(v, n.nroutes == 3 && n.npools == 2 && n.ncaps == 2 && n.ntags == 2);
        VEC_CHECK(v, n.ntokens == 1 && strcmp(n.tokens[0].text, "letmein0000000001") == 0);
        VEC_CHECK(v, n.is_private && n.v4_pools && n.v6_pools && n.v6_6plane && n.v6_rfc4193);
        VEC_CHECK(v, n.caps[1].is_default && !n.caps[0].is_default && n.nrules == 17);
        zt_ctl_network_fini(&n);
    }
    json_decref(empty);
    json_decref(doc);
}

static void member_file(struct vec *v, uint64_t addr, bool authorized, unsigned nips)
{
    char name[64], *text;
    const char *why;
    struct zt_ctl_member m;
    snprintf(name, sizeof name, "%016llx/member/%010llx.json", (unsigned long long)NWID,
             (unsigned long long)addr);
    vec_case(v, "files", 0, name);
    json_t *doc = load(v, name, &text);
    VEC_CHECK(v, same_text(doc, text));
    VEC_CHECK(v, zt_ctl_member_defaults(doc, NWID, addr, 1) == 0);
    VEC_CHECK(v, zt_ctl_member_post(doc, doc, 1, &why) == 0);
    VEC_CHECK(v, same_text(doc, text));
    if (VEC_CHECK(v, zt_ctl_member_read(doc, NWID, addr, &m) == 0)) {
        VEC_CHECK(v, m.has_identity && m.authorized == authorized && m.nips == nips);
        VEC_CHECK(v, m.version_major == -1 && m.version_proto == -1);
        /* What the controller writes of it is what it read. */
        VEC_CHECK(v, zt_ctl_member_write(doc, &m,
                                         ZT_CHANGED_IDENTITY | ZT_CHANGED_IPS | ZT_CHANGED_CAPS |
                                             ZT_CHANGED_TAGS | ZT_CHANGED_VERSION,
                                         ZT_CTL_CREDENTIAL_NONE, NULL) == 0);
        VEC_CHECK(v, same_text(doc, text));
        zt_ctl_member_fini(&m);
    }
    json_decref(doc);
}

/* ---- configurations ----------------------------------------------------------------------------
 */

static void no_event(void *user, const struct zt_event *ev)
{
}

static void some_random(void *user, void *out, size_t n)
{
    memset(out, 7, n);
}

static void no_put(void *user, const struct zt_ctl_member *m, unsigned fields,
                   enum zt_ctl_credential credential, const char *token)
{
}

static bool all_stored(void *user, uint64_t nwid, uint64_t addr)
{
    return true;
}

/* A node with the recorded controller's address, but another key. */
static struct zt_core *controller(struct zt_controller **ctl)
{
    static const struct zt_host host = {.random = some_random, .event = no_event};
    const struct zt_controller_store store = {.put_member = no_put, .is_stored = all_stored};
    struct zt_identity id;
    struct zt_core *core = NULL;
    zt_keypair_generate(some_random, NULL, &id);
    id.addr = R;
    struct zt_core_config cfg = {.identity = &id, .host = &host};
    if (zt_core_new(&cfg, &(struct zt_now){1, 1}, &core) != 0 ||
        zt_core_control(core, &store, ctl) != 0)
        abort();
    return core;
}

/* The same but for who signed. */
static bool same_com(const struct zt_com *x, const struct zt_com *y)
{
    return x->n == y->n && memcmp(x->t, y->t, sizeof x->t) == 0 && x->signed_by == y->signed_by;
}

static bool same_signed(struct zt_span x, struct zt_span y,
                        void (*text)(struct zt_wr *w, struct zt_span s))
{
    static uint8_t p[2][ZT_CAP_TEXT_MAX];
    struct zt_wr w[2] = {zt_wr(p[0], sizeof p[0]), zt_wr(p[1], sizeof p[1])};
    text(&w[0], x);
    text(&w[1], y);
    return !w[0].bad && w[0].n > 16 && w[0].n == w[1].n && memcmp(p[0], p[1], w[0].n) == 0;
}

static void cap_text(struct zt_wr *w, struct zt_span s)
{
    struct zt_rd r = zt_rd(s.p, s.n);
    struct zt_cap c;
    zt_rd_cap(&r, &c);
    zt_wr_cap_signed(w, &c);
    zt_wr_u40(w, zt_cap_issued_to(&c));
}

static void tag_text(struct zt_wr *w, struct zt_span s)
{
    struct zt_rd r = zt_rd(s.p, s.n);
    struct zt_tag t;
    zt_rd_tag(&r, &t);
    zt_wr_tag_signed(w, &t);
}

static void coo_text(struct zt_wr *w, struct zt_span s)
{
    struct zt_rd r = zt_rd(s.p, s.n);
    struct zt_coo c;
    zt_rd_coo(&r, &c);
    zt_wr_coo_signed(w, &c);
}

static void compare_credentials(struct vec *v, const struct zt_netconf *x,
                                const struct zt_netconf *y)
{
    VEC_CHECK(v, x->has_com && y->has_com && same_com(&x->com, &y->com));
    VEC_CHECK(v, x->ncaps == y->ncaps && x->ntags == y->ntags && x->ncoos == y->ncoos);
    for (unsigned i = 0; i < x->ncaps && i < y->ncaps; i++)
        VEC_CHECK(v, same_signed(x->caps[i], y->caps[i], cap_text));
    for (unsigned i = 0; i < x->ntags && i < y->ntags; i++)
        VEC_CHECK(v, same_signed(x->tags[i], y->tags[i], tag_text));
    for (unsigned i = 0; i < x->ncoos && i < y->ncoos; i++)
        VEC_CHECK(v, same_signed(x->coos[i], y->coos[i], coo_text));
}

/* Keys that hold no signature are equal to the byte. */
static void compare_keys(struct vec *v, const uint8_t *x, size_t nx, const uint8_t *y, size_t ny)
{
    static const char *const keys[] = {"v", "nwid", "ts",   "ctmd", "r",    "id",   "tt", "tl",
                                       "f", "ml",   "t",    "n",    "mtu",  "S",    "RT", "I",
                                       "R", "DNS",  "ssov", "ssoe", "aurl", "aexpt"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        static uint8_t a[2][65536];
        int na = zt_dict_get(x, nx, keys[i], a[0], sizeof a[0]);
        int nb = zt_dict_get(y, ny, keys[i], a[1], sizeof a[1]);
        vec_check(v, na == nb && (na <= 0 || memcmp(a[0], a[1], (size_t)na) == 0), keys[i]);
    }
}

/* The configuration that a member kept, and the one we make for it. */
static void kept_config(struct vec *v, json_t *api, struct zt_controller *ctl, const char *node,
                        uint64_t nwid, uint64_t addr)
{
    char path[64];
    size_t i, n = 0, got = 0;
    json_t *f;
    const uint8_t *kept = NULL;
    snprintf(path, sizeof path, "networks.d/%016llx.conf", (unsigned long long)nwid);
    json_array_foreach(json_object_get(api, "files"), i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "path")), path) == 0 &&
            strcmp(json_string_value(json_object_get(f, "node")), node) == 0)
            kept = vec_hex(v, f, "hex", &n);
    }
    struct zt_cnet *net = zt_cnet_find(ctl, nwid);
    struct zt_cmember *m = net != NULL ? zt_cmember_find(net, addr) : NULL;
    if (!VEC_CHECK(v, kept != NULL) || !VEC_CHECK(v, m != NULL))
        return;
    struct zt_netconf *x = vec_alloc(v, sizeof *x), *y = vec_alloc(v, sizeof *y);
    if (!VEC_CHECK(v, zt_netconf_decode(kept, n, vec_alloc(v, n + 1), x) == 0))
        return;
    m->has_rules = true;
    VEC_CHECK(v, zt_controller_build(ctl, x->timestamp, m, &got) == 0);
    VEC_CHECK(v, zt_netconf_decode(ctl->dict, got, vec_alloc(v, got + 1), y) == 0);
    compare_keys(v, kept, n, ctl->dict, got);
    compare_credentials(v, x, y);
}

static void add_network(struct vec *v, struct zt_controller *ctl, const json_t *doc, uint64_t nwid)
{
    struct zt_ctl_network n;
    VEC_CHECK(v, zt_ctl_network_read(doc, nwid, &n) == 0 &&
                     zt_controller_set_network(ctl, &(struct zt_now){1, 1}, &n) == 0);
}

static void add_member(struct vec *v, struct zt_controller *ctl, const json_t *doc, uint64_t nwid,
                       uint64_t addr)
{
    struct zt_ctl_member m;
    VEC_CHECK(v, zt_ctl_member_read(doc, nwid, addr, &m) == 0 &&
                     zt_controller_set_member(ctl, &(struct zt_now){1, 1}, &m) == 0);
}

/* The last recorded answer to a path. */
static json_t *answer_of(json_t *api, const char *path)
{
    json_t *http = json_object_get(api, "http"), *h, *body = NULL;
    size_t i;
    json_array_foreach(http, i, h)
    {
        if (strcmp(json_string_value(json_object_get(h, "path")), path) == 0 &&
            json_is_object(json_object_get(h, "body")))
            body = json_object_get(h, "body");
    }
    return body;
}

static void configs(struct vec *v, json_t *api)
{
    struct zt_controller *ctl;
    struct zt_core *core = controller(&ctl);
    char *text;

    vec_case(v, "configurations", 0, "by hand");
    json_t *net = load(v, "490c45ffd7c0ffee.json", &text);
    json_t *a = load(v, "490c45ffd7c0ffee/member/a739e24f67.json", &text);
    json_t *b = load(v, "490c45ffd7c0ffee/member/4cef88d0d1.json", &text);
    add_network(v, ctl, net, NWID);
    add_member(v, ctl, a, NWID, A);
    kept_config(v, api, ctl, "A", NWID, A); /* before there was a bridge */
    vec_case(v, "configurations", 1, "from the pools, a bridge");
    add_member(v, ctl, b, NWID, B);
    kept_config(v, api, ctl, "B", NWID, B);
    vec_case(v, "configurations", 2, "a public network");
    add_network(v, ctl, answer_of(api, "/controller/network/490c45ffd700beef"),
                0x490c45ffd700beefu);
    add_member(v, ctl, answer_of(api, "/controller/network/490c45ffd700beef/member/4cef88d0d1"),
               0x490c45ffd700beefu, B);
    kept_config(v, api, ctl, "B", 0x490c45ffd700beefu, B);
    json_decref(net);
    json_decref(a);
    json_decref(b);
    zt_core_free(core);
}

/* ---- POSTs -------------------------------------------------------------------------------------
 */

/* Times and what was learned from the wire meanwhile are not of the POST. */
static void forget(json_t *doc)
{
    static const char *const keys[] = {"creationTime", "lastAuthorizedTime", "lastDeauthorizedTime",
                                       "identity", "revision"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_del(doc, keys[i]);
}

/* The recorded controller loses rules of this type; we don't. */
static void drop_ranges(json_t *doc)
{
    json_t *rules = json_object_get(doc, "rules");
    for (size_t i = json_array_size(rules); i-- > 0;) {
        const char *type = json_string_value(json_object_get(json_array_get(rules, i), "type"));
        if (strcmp(type, "INTEGER_RANGE") == 0)
            json_array_remove(rules, i);
    }
}

static void post(struct vec *v, json_t *known, const json_t *h)
{
    const char *path = json_string_value(json_object_get(h, "path")), *why = NULL;
    json_t *request = json_object_get(h, "request_body"), *want = json_object_get(h, "body");
    uint64_t nwid = 0, addr = 0;
    json_error_t e;

    json_t *body = json_is_string(request)
                       ? zt_ctl_parse(json_string_value(request), json_string_length(request), &e)
                       : json_deep_copy(request);
    int status = (int)json_integer_value(json_object_get(h, "status"));
    char id[17] = "", member[11] = "";
    sscanf(path, "/controller/network/%16[0-9a-f]/member/%10[0-9a-f]", id, member);
    if (strlen(id) != 16 && status == 200) /* it made the id up */
        snprintf(id, sizeof id, "%s", json_string_value(json_object_get(want, "id")));
    (void)zt_hex_parse_u64(id, 16, &nwid);
    (void)zt_hex_parse_u64(member, 10, &addr);
    const json_t *old = json_object_get(known, path);
    json_t *doc = old != NULL ? json_deep_copy(old) : json_object();
    int rc = -1;
    if (body != NULL && addr == 0) {
        VEC_CHECK(v, zt_ctl_network_defaults(doc, nwid, 1) == 0);
        rc = zt_ctl_network_post(doc, body, &why);
    } else if (body != NULL) {
        VEC_CHECK(v, zt_ctl_member_defaults(doc, nwid, addr, 1) == 0);
        rc = zt_ctl_member_post(doc, body, 1, &why);
    }
    if (status == 200) {
        json_t *left = json_deep_copy(want);
        forget(left);
        forget(doc);
        drop_ranges(doc);
        if (json_object_get(body, "ipAssignments") == NULL) { /* drawn at random meanwhile */
            json_object_del(left, "ipAssignments");
            json_object_del(doc, "ipAssignments");
        }
        VEC_CHECK(v, rc == 0);
        if (!VEC_CHECK(v, json_equal(left, doc))) {
            char *t = zt_ctl_dump(doc), *u = zt_ctl_dump(left);
            printf("got  %s\nwant %s\n", t, u);
            free(t);
            free(u);
        }
        json_decref(left);
    } else {
        VEC_CHECK(v, rc != 0);
    }
    json_decref(doc);
    json_decref(body);
}

static void posts(struct vec *v, json_t *api)
{
    json_t *known = json_object(), *h; /* path -> the document last seen there */
    size_t i;
    json_array_foreach(json_object_get(api, "http"), i, h)
    {
        const char *path = json_string_value(json_object_get(h, "path"));
        const char *method = json_string_value(json_object_get(h, "method"));
        json_t *body = json_object_get(h, "body");
        json_int_t status = json_integer_value(json_object_get(h, "status"));
        bool changes = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;
        if (strncmp(path, "/controller/network", 19) != 0)
            continue;
        if (changes && (status == 200 || status == 500)) {
            vec_case(v, "posts", i, path);
            post(v, known, h);
        }
        if (status != 200 || !json_is_object(body))
            continue;
        json_object_set(known, path, body);
        if (changes && json_object_get(body, "address") == NULL) {
            char own[64];
            snprintf(own, sizeof own, "/controller/network/%s",
                     json_string_value(json_object_get(body, "id")));
            json_object_set(known, own, body);
        }
    }
    json_decref(known);
}

/* ---- numbers that only others write ------------------------------------------------------------
 */

static void large_numbers(struct vec *v)
{
    static const char text[] = "{\"a\":18446744073709551615,\"b\":\"18446744073709551615\","
                               "\"c\":9223372036854775807,\"d\":[9223372036854775808,1e3],"
                               "\"e\":\"\\\"18446744073709551615\"}";
    json_error_t e;
    vec_case(v, "numbers", 0, "beyond 63 bits");
    json_t *doc = zt_ctl_parse(text, sizeof text - 1, &e);
    VEC_CHECK(v, json_integer_value(json_object_get(doc, "a")) == -1);
    VEC_CHECK(v, json_string_length(json_object_get(doc, "b")) == 20);
    VEC_CHECK(v, json_integer_value(json_object_get(doc, "c")) == INT64_MAX);
    VEC_CHECK(v, json_integer_value(json_array_get(json_object_get(doc, "d"), 0)) == INT64_MIN);
    VEC_CHECK(v, json_string_length(json_object_get(doc, "e")) == 21);
    json_decref(doc);
}

int vec_controller(struct vec *v)
{
    char path[4096];
    json_error_t e;
    snprintf(path, sizeof path, "%s/local-api.json", v->folder);
    json_t *api = json_load_file(path, 0, &e);
    if (api == NULL) {
        printf("FAIL %s: %s\n", path, e.text);
        return -1;
    }
    network_file(v, NWID);
    member_file(v, A, true, 2);
    member_file(v, B, true, 2);
    member_file(v, R, false, 0);
    configs(v, api);
    posts(v, api);
    large_numbers(v);
    vec_end(v);
    json_decref(api);
    return 0;
}
