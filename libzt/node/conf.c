/* jansson does the parsing, but doesn't remember where a value stood. So that a message can say it,
 * the text is walked again when something is wrong: it is valid JSON by then, without duplicate
 * keys, so the walk needs to know strings and brackets only. */
#include "node/conf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "wire/packet.h"

#define BUDGET_LEAST_MIB 1
#define BUDGET_MOST_MIB (1 << 20)

/* Where a value stands: a member of, or an element of, what `up` names. */
struct place {
    const struct place *up; /* NULL: the root */
    const char *key;        /* NULL: an element */
    size_t index;
};

struct reader {
    const char *text;
    zt_conf_say *say;
    void *user;
};

/* ---- where --------------------------------------------------------------------------------------
 */

static const char *skip_space(const char *p)
{
    while (*p != 0 && isspace((unsigned char)*p))
        p++;
    return p;
}

static const char *skip_string(const char *p)
{
    for (p++; *p != 0 && *p != '"'; p++)
        if (*p == '\\' && p[1] != 0)
            p++;
    return *p == 0 ? p : p + 1;
}

static const char *skip_value(const char *p)
{
    int depth = 0;
    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        else if (depth == 0 && strchr(",:", *p) != NULL)
            break;
        p++;
    } while (*p != 0 && (depth > 0 || strchr(",}]", *p) == NULL));
    return p;
}

/* The member or element of the value at p, or p itself when it isn't found (a key that was written
 * with escapes). */
static const char *step_into(const char *p, const struct place *to)
{
    const char *q = skip_space(p + 1);
    for (size_t i = 0; *q != 0 && *q != '}' && *q != ']'; i++) {
        bool found = to->key == NULL && i == to->index;
        const char *name = q;
        if (to->key != NULL) {
            size_t n = strlen(to->key);
            found = strncmp(q + 1, to->key, n) == 0 && q[n + 1] == '"';
            q = skip_space(skip_string(q));
            q = skip_space(q + 1); /* the colon */
        }
        if (found)
            return to->key != NULL ? name : q;
        q = skip_space(skip_value(q));
        if (*q == ',')
            q = skip_space(q + 1);
    }
    return p;
}

static const char *value_of(const char *p, const struct place *to)
{
    if (to->key == NULL || *p != '"')
        return p;
    return skip_space(skip_space(skip_string(p)) + 1);
}

static const char *find(const char *text, const struct place *to)
{
    if (to->up == NULL)
        return step_into(skip_space(text), to);
    return step_into(value_of(find(text, to->up), to->up), to);
}

static size_t name_of(const struct place *at, char *out, size_t cap)
{
    size_t n = at->up != NULL ? name_of(at->up, out, cap) : 0;
    int r;
    if (n >= cap)
        return n;
    if (at->key == NULL)
        r = snprintf(out + n, cap - n, "[%zu]", at->index);
    else
        r = snprintf(out + n, cap - n, "%s%s", n > 0 ? "." : "", at->key);
    return n + (size_t)r;
}

__attribute__((format(printf, 3, 4))) static void
complain(const struct reader *r, const struct place *at, const char *fmt, ...)
{
    char name[160], what[128], text[ZT_STORE_WHY];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    const char *end = find(r->text, at);
    unsigned line = 1, column = 1;
    for (const char *p = r->text; p < end; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    name_of(at, name, sizeof name);
    snprintf(text, sizeof text, "%u:%u: %s: %s; ignored", line, column, name, what);
    r->say(r->user, text);
}

/* ---- values -------------------------------------------------------------------------------------
 */

static void read_bool(const struct reader *r, const struct place *up, const json_t *o,
                      const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_boolean(v))
        *out = json_is_true(v);
    else if (v != NULL)
        complain(r, &(struct place){.up = up, .key = key}, "not true or false");
}

/* True when the key is there with a whole number from least to most. */
static bool read_int(const struct reader *r, const struct place *up, const json_t *o,
                     const char *key, json_int_t least, json_int_t most, json_int_t *out)
{
    const json_t *v = json_object_get(o, key);
    if (v == NULL)
        return false;
    *out = json_integer_value(v);
    if (json_is_integer(v) && *out >= least && *out <= most)
        return true;
    complain(r, &(struct place){.up = up, .key = key},
             "not a whole number from %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT, least,
             most);
    return false;
}

/* The position of the text in the table, or -1. */
static int read_choice(const struct reader *r, const struct place *up, const json_t *o,
                       const char *key, const char *const *names, int n)
{
    const json_t *v = json_object_get(o, key);
    const char *text = json_string_value(v);
    for (int i = 0; text != NULL && i < n; i++)
        if (strcasecmp(text, names[i]) == 0)
            return i;
    if (v != NULL)
        complain(r, &(struct place){.up = up, .key = key}, "not one of the words for it");
    return -1;
}

/* Each puts one element of a list into place i of out. False: it is not what it should be. */
typedef bool take_fn(const json_t *v, void *out, unsigned i);

/* "10.0.0.0/8"; without a length a single address. */
static bool parse_prefix(const char *text, struct zt_ep *out)
{
    if (text == NULL || zt_ep_parse(text, out) != 0 || out->family == 0)
        return false;
    unsigned full = out->family == 4 ? 32 : 128;
    if (strchr(text, '/') == NULL)
        out->port = (uint16_t)full;
    return out->port <= full;
}

static bool take_prefix(const json_t *v, void *out, unsigned i)
{
    return parse_prefix(json_string_value(v), (struct zt_ep *)out + i);
}

static bool take_address(const json_t *v, void *out, unsigned i)
{
    const char *text = json_string_value(v);
    struct zt_ep *ep = (struct zt_ep *)out + i;
    return text != NULL && strchr(text, '/') == NULL && zt_ep_parse(text, ep) == 0 &&
           ep->family != 0;
}

static bool take_endpoint(const json_t *v, void *out, unsigned i)
{
    const char *text = json_string_value(v);
    struct zt_ep *ep = (struct zt_ep *)out + i;
    return text != NULL && zt_ep_parse(text, ep) == 0 && ep->family != 0 && ep->port != 0;
}

static bool take_interface(const json_t *v, void *out, unsigned i)
{
    const char *text = json_string_value(v);
    if (text == NULL || *text == 0 || strlen(text) >= ZT_CONF_NAME)
        return false;
    snprintf(((char(*)[ZT_CONF_NAME])out)[i], ZT_CONF_NAME, "%s", text);
    return true;
}

static bool take_uid(const json_t *v, void *out, unsigned i)
{
    json_int_t uid = json_integer_value(v);
    ((uint32_t *)out)[i] = (uint32_t)uid;
    return json_is_integer(v) && uid >= 0 && uid < UINT32_MAX;
}

/* A list; returns how many of its elements are good and in out, which has cap places. */
static unsigned read_list(const struct reader *r, const struct place *up, const json_t *o,
                          const char *key, take_fn *take, const char *what, void *out, unsigned cap)
{
    const json_t *list = json_object_get(o, key);
    struct place at = {.up = up, .key = key};
    unsigned n = 0;
    size_t i;
    json_t *v;
    if (list != NULL && !json_is_array(list))
        complain(r, &at, "not a list");
    json_array_foreach(list, i, v)
    {
        struct place here = {.up = &at, .index = i};
        if (n == cap)
            complain(r, &here, "more than %u", cap);
        else if (!take(v, out, n))
            complain(r, &here, "not %s", what);
        else
            n++;
    }
    return n;
}

/* ---- the three parts ---------------------------------------------------------------------------
 */

/* Ids have 64 bits, JSON's whole numbers only 63 here: the larger ones are written as text. */
static void read_trusted(const struct reader *r, const struct place *up, const json_t *o,
                         uint64_t *out)
{
    const json_t *v = json_object_get(o, "trustedPathId");
    const char *text = json_string_value(v);
    char *end = NULL;
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        *out = (uint64_t)json_integer_value(v);
    else if (text != NULL && isdigit((unsigned char)*text) &&
             (*out = strtoull(text, &end, 10), *end == 0))
        ;
    else if (v != NULL)
        complain(r, &(struct place){.up = up, .key = "trustedPathId"}, "not a number");
}

static void read_physical(const struct reader *r, const json_t *part, struct zt_settings *out)
{
    const struct place root = {.key = "physical"};
    const char *key;
    json_t *o;
    json_object_foreach((json_t *)(uintptr_t)part, key, o)
    {
        struct place at = {.up = &root, .key = key};
        struct zt_set_physical row = {0};
        json_int_t mtu;
        if (!parse_prefix(key, &row.net)) {
            complain(r, &at, "not a network like 10.0.0.0/8");
            continue;
        }
        if (!json_is_object(o)) {
            complain(r, &at, "not an object");
            continue;
        }
        if (out->nphysical == ZT_SET_PHYSICAL) {
            complain(r, &at, "more than %d networks", ZT_SET_PHYSICAL);
            continue;
        }
        read_bool(r, &at, o, "blacklist", &row.blacklist);
        read_trusted(r, &at, o, &row.trusted_path);
        if (json_integer_value(json_object_get(o, "mtu")) == 0 &&
            json_is_integer(json_object_get(o, "mtu")))
            ; /* the reference's way to say: the default */
        else if (read_int(r, &at, o, "mtu", ZT_MTU_MIN, ZT_MTU_MAX, &mtu))
            row.mtu = (uint16_t)mtu;
        out->physical[out->nphysical++] = row;
    }
}

static void read_virtual(const struct reader *r, const json_t *part, struct zt_settings *out)
{
    const struct place root = {.key = "virtual"};
    const char *key;
    json_t *o;
    json_object_foreach((json_t *)(uintptr_t)part, key, o)
    {
        struct place at = {.up = &root, .key = key};
        struct zt_set_node row = {0};
        if (zt_hex_parse_u64(key, 10, &row.addr) != 0 || zt_addr_reserved(row.addr)) {
            complain(r, &at, "not a node address");
            continue;
        }
        if (!json_is_object(o)) {
            complain(r, &at, "not an object");
            continue;
        }
        if (out->nnodes == ZT_SET_NODES) {
            complain(r, &at, "more than %d nodes", ZT_SET_NODES);
            continue;
        }
        row.ntry = read_list(r, &at, o, "try", take_endpoint, "an endpoint like 192.0.2.1/9993",
                             row.try_at, ZT_SET_ENDPOINTS);
        row.nblacklist = read_list(r, &at, o, "blacklist", take_prefix, "a network like 10.0.0.0/8",
                                   row.blacklist, ZT_SET_ENDPOINTS);
        out->nodes[out->nnodes++] = row;
    }
}

static void read_settings(const struct reader *r, const json_t *o, struct zt_conf *out)
{
    static const char *const suites[] = {
        [ZT_SUITES_ANY] = "any", [ZT_SUITES_SALSA] = "salsa", [ZT_SUITES_AES] = "aes"};
    static const char *const relays[] = {
        [ZT_RELAY_NEVER] = "never", [ZT_RELAY_TRUSTED] = "trusted", [ZT_RELAY_ALWAYS] = "always"};
    const struct place at = {.key = "settings"};
    json_int_t v;
    int choice;
    bool unused = false;
    if (read_int(r, &at, o, "primaryPort", 0, 65535, &v))
        out->primary_port = (int)v;
    if (read_int(r, &at, o, "secondaryPort", 0, 65535, &v))
        out->secondary_port = (uint16_t)v;
    if (read_int(r, &at, o, "tertiaryPort", 0, 65535, &v))
        out->tertiary_port = (uint16_t)v;
    read_bool(r, &at, o, "allowSecondaryPort", &out->allow_secondary_port);
    read_bool(r, &at, o, "portMappingEnabled", &out->port_mapping);
    read_bool(r, &at, o, "allowTcpFallbackRelay", &unused); /* checked only: it is not offered */
    read_bool(r, &at, o, "lowBandwidthMode", &out->core.low_bandwidth);
    if ((choice = read_choice(r, &at, o, "cipherSuites", suites, 3)) >= 0)
        out->core.suites = (enum zt_set_suites)choice;
    if ((choice = read_choice(r, &at, o, "relayPolicy", relays, 3)) >= 0)
        out->core.relay = (enum zt_set_relay)choice;
    out->nbind =
        read_list(r, &at, o, "bind", take_address, "an address", out->bind, ZT_CONF_BIND);
    out->nskip = read_list(r, &at, o, "interfacePrefixBlacklist", take_interface,
                           "the beginning of an interface's name", out->skip, ZT_CONF_INTERFACES);
    out->nmanagers = read_list(r, &at, o, "allowManagementFrom", take_prefix,
                               "a network like 10.0.0.0/8", out->managers, ZT_CONF_MANAGERS);
    out->nusers = read_list(r, &at, o, "allowUsers", take_uid, "a user's number", out->users,
                            ZT_CONF_USERS);
    if (read_int(r, &at, o, "memoryBudget", BUDGET_LEAST_MIB, BUDGET_MOST_MIB, &v))
        out->memory_budget = (uint64_t)v << 20;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

void zt_conf_default(struct zt_conf *out)
{
    *out = (struct zt_conf){.primary_port = -1, .allow_secondary_port = true};
}

static const json_t *part(const struct reader *r, const json_t *root, const char *key)
{
    const json_t *o = json_object_get(root, key);
    if (o != NULL && !json_is_object(o))
        complain(r, &(struct place){.key = key}, "not an object");
    return json_is_object(o) ? o : NULL;
}

int zt_conf_parse(const char *text, size_t n, struct zt_conf *out, zt_conf_say *say, void *user,
                  json_t **doc)
{
    struct reader r = {.text = text, .say = say, .user = user};
    json_error_t e;
    zt_conf_default(out);
    if (doc != NULL)
        *doc = NULL;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (!json_is_object(root)) {
        char what[ZT_STORE_WHY];
        snprintf(what, sizeof what, "%d:%d: %s", root == NULL ? e.line : 1,
                 root == NULL ? e.column : 1, root == NULL ? e.text : "not an object");
        json_decref(root);
        say(user, what);
        return ZT_E_FORMAT;
    }
    read_physical(&r, part(&r, root, "physical"), &out->core);
    read_virtual(&r, part(&r, root, "virtual"), &out->core);
    read_settings(&r, part(&r, root, "settings"), out);
    if (doc != NULL)
        *doc = root;
    else
        json_decref(root);
    return 0;
}

struct file {
    const struct zt_store *store;
    zt_conf_say *say;
    void *user;
};

static void say_in_file(void *user, const char *text)
{
    const struct file *f = user;
    char with_name[2 * ZT_STORE_WHY];
    snprintf(with_name, sizeof with_name, "%s/local.conf:%s", zt_store_home(f->store), text);
    f->say(f->user, with_name);
}

int zt_conf_read(struct zt_store *s, struct zt_conf *out, zt_conf_say *say, void *user,
                 json_t **doc)
{
    struct file f = {.store = s, .say = say, .user = user};
    uint8_t *p = NULL;
    size_t n = 0;
    zt_conf_default(out);
    if (doc != NULL)
        *doc = NULL;
    int rc = zt_store_read(s, "local.conf", &p, &n);
    if (rc == ZT_E_NOENT)
        return 0;
    if (rc != 0) {
        char text[ZT_STORE_WHY];
        snprintf(text, sizeof text, " cannot be read: %s", zt_err_text(rc));
        say_in_file(&f, text);
        return ZT_E_IO;
    }
    if (n > 0)
        rc = zt_conf_parse((const char *)p, n, out, say_in_file, &f, doc);
    free(p);
    return rc;
}
