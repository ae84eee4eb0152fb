/* A POST: the fields of a body that may be written, each brought into its normal form, as generously as
 * everybody's tools expect (vl2.md 9.6). */
#include "node/controller_json_int.h"

#include <ctype.h>

#include "node/rules_json.h"

/* ---- a POST of a network -----------------------------------------------------------------------
 */

/* Each takes the value that body has under its key. */
typedef void post_fn(struct edit *e, const char *key, const json_t *v);

static void post_text(struct edit *e, const char *key, const json_t *v)
{
    char tmp[ZT_JSON_TEXT];
    set(e, key, json_string(zt_json_text(v, tmp, "")));
}

static void post_true(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, json_boolean(zt_json_bool(v, true)));
}

static void post_false(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, json_boolean(zt_json_bool(v, false)));
}

static void post_number(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, integer(zt_json_u64(v, 0)));
}

static void post_multicast(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, integer(zt_json_u64(v, 32)));
}

static void post_mtu(struct edit *e, const char *key, const json_t *v)
{
    set(e, key, integer(clamp_mtu(zt_json_u64(v, ZT_NET_MTU_DEFAULT))));
}

static void post_trace_target(struct edit *e, const char *key, const json_t *v)
{
    char tmp[ZT_JSON_TEXT];
    const char *t = zt_json_text(v, tmp, "");
    set(e, key, strlen(t) == 10 ? json_string(t) : json_null());
}

static void post_v4(struct edit *e, const char *key, const json_t *v)
{
    bool zt = json_is_string(v) ? strcmp(json_string_value(v), "zt") == 0
                                : zt_json_bool(json_object_get(v, "zt"), false);
    set(e, key, json_pack("{s:b}", "zt", zt));
}

/* Is `word` one of the words between the commas? */
static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, word, n) == 0 && (p[n] == 0 || p[n] == ','))
            return true;
    }
    return false;
}

static void post_v6(struct edit *e, const char *key, const json_t *v)
{
    static const char *const modes[] = {"rfc4193", "zt", "6plane"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const json_t *given = json_object_get(v, modes[i]);
        bool on = json_is_string(v) ? has_word(json_string_value(v), modes[i])
                                    : zt_json_bool(given, false);
        if (!json_is_object(v) || given != NULL)
            e->failed |= json_object_set_new(o, modes[i], json_boolean(on)) != 0;
    }
    set(e, key, o);
}

static void append(struct edit *e, json_t *list, json_t *v)
{
    e->failed |= json_array_append_new(list, v) != 0;
}

static void post_routes(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ZT_CTL_LIST_MAX; i++) {
        const json_t *r = json_array_get(v, i);
        struct zt_ep target = address(json_object_get(r, "target"));
        struct zt_ep via = address(json_object_get(r, "via"));
        char t[ZT_EP_STR];
        if (target.family == 0 || target.port > (target.family == 4 ? 32 : 128))
            continue;
        append(e, list,
               json_pack("{s:s,s:o}", "target", zt_ep_format(&target, t), "via",
                         via.family == target.family ? ip_text(&via) : json_null()));
    }
    set(e, key, list);
}

static void post_pools(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ZT_CTL_LIST_MAX; i++) {
        const json_t *p = json_array_get(v, i);
        struct zt_ep start = address(json_object_get(p, "ipRangeStart"));
        struct zt_ep end = address(json_object_get(p, "ipRangeEnd"));
        if (start.family != 0 && start.family == end.family)
            append(e, list,
                   json_pack("{s:o,s:o}", "ipRangeStart", ip_text(&start), "ipRangeEnd",
                             ip_text(&end)));
    }
    set(e, key, list);
}

/* The rules of an array in their normal form; what is no rule is left out. */
static json_t *normal_rules(struct edit *e, const json_t *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ZT_CTL_LIST_MAX; i++) {
        struct zt_rule r;
        json_t *o = NULL;
        if (zt_rule_from_json(json_array_get(v, i), &r) == 0)
            o = zt_rule_to_json(&r);
        if (o != NULL)
            append(e, list, o);
    }
    return list;
}

static void post_rules(struct edit *e, const char *key, const json_t *v)
{
    if (json_is_array(v))
        set(e, key, normal_rules(e, v));
}

static void post_tokens(struct edit *e, const char *key, const json_t *v)
{
    const char *name;
    json_t *expiry, *o = json_object();
    if (!json_is_object(v)) {
        json_decref(o);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)v, name, expiry)
    {
        if (json_is_number(expiry) && json_number_value(expiry) >= 0)
            e->failed |= json_object_set(o, name, expiry) != 0;
    }
    if (json_object_size(o) == 0) {
        json_decref(o);
        o = json_null();
    }
    set(e, key, o);
}

/* ---- lists in the order of ids ------------------------------------------------------------------
 *
 * Sorted at the end, not put in their places one by one: a request of 2 MiB has a few hundred
 * thousand elements, and the loop waits. */

struct entry {
    uint64_t id;
    size_t at; /* in the request */
    json_t *v;
};

struct sorting {
    struct edit *e;
    struct entry *list;
    size_t n, max;
};

/* For as many elements as are taken of v. False: v is no list, or there is no memory. */
static bool sort_begin(struct sorting *s, struct edit *e, const json_t *v)
{
    size_t max = json_array_size(v) < ZT_CTL_LIST_MAX ? json_array_size(v) : ZT_CTL_LIST_MAX;
    *s = (struct sorting){.e = e, .max = max};
    if (!json_is_array(v))
        return false;
    s->list = calloc(max + 1, sizeof *s->list);
    e->failed |= s->list == NULL;
    return s->list != NULL;
}

/* v is taken over. */
static void sort_add(struct sorting *s, uint64_t id, json_t *v)
{
    s->e->failed |= v == NULL;
    s->list[s->n] = (struct entry){id, s->n, v};
    s->n++;
}

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* The list; of equal ids the last one. */
static json_t *sort_end(struct sorting *s)
{
    json_t *list = json_array();
    qsort(s->list, s->n, sizeof *s->list, by_id);
    for (size_t i = 0; i < s->n; i++) {
        if (i + 1 < s->n && s->list[i + 1].id == s->list[i].id)
            json_decref(s->list[i].v);
        else
            append(s->e, list, s->list[i].v);
    }
    free(s->list);
    return list;
}

static void post_caps(struct edit *e, const char *key, const json_t *v)
{
    struct sorting s;
    if (!sort_begin(&s, e, v))
        return;
    for (size_t i = 0; i < json_array_size(v) && s.n < s.max; i++) {
        const json_t *c = json_array_get(v, i);
        const uint64_t id = zt_json_u64(json_object_get(c, "id"), 0);
        if (json_is_object(c))
            sort_add(&s, id,
                     json_pack("{s:o,s:b,s:o}", "id", integer(id), "default",
                               zt_json_bool(json_object_get(c, "default"), false), "rules",
                               normal_rules(e, json_object_get(c, "rules"))));
    }
    set(e, key, sort_end(&s));
}

static void post_tags(struct edit *e, const char *key, const json_t *v)
{
    struct sorting s;
    if (!sort_begin(&s, e, v))
        return;
    for (size_t i = 0; i < json_array_size(v) && s.n < s.max; i++) {
        const json_t *t = json_array_get(v, i), *value = json_object_get(t, "default");
        const uint64_t id = zt_json_u64(json_object_get(t, "id"), 0);
        bool has_value = value != NULL && !json_is_null(value);
        if (json_is_object(t))
            sort_add(&s, id,
                     json_pack("{s:o,s:o}", "id", integer(id), "default",
                               has_value ? integer(zt_json_u64(value, 0)) : json_null()));
    }
    set(e, key, sort_end(&s));
}

static void post_dns(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_object(v))
        return;
    json_t *domain = json_object_get(v, "domain"), *servers = json_object_get(v, "servers");
    json_t *o = json_object();
    e->failed |= json_object_set_new(o, "domain",
                                     domain != NULL ? json_deep_copy(domain) : json_null()) != 0;
    if (json_is_array(servers))
        e->failed |= json_object_set_new(o, "servers", json_deep_copy(servers)) != 0;
    set(e, key, o);
}

struct field {
    const char *key;
    post_fn *post;
};

static void post_fields(struct edit *e, const struct field *f, size_t n, const json_t *body)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(body, f[i].key);
        if (v != NULL)
            f[i].post(e, f[i].key, v);
    }
}

int zt_ctl_network_post(json_t *doc, const json_t *body, const char **why)
{
    static const struct field fields[] = {
        {"name", post_text},
        {"private", post_true},
        {"enableBroadcast", post_false},
        {"multicastLimit", post_multicast},
        {"mtu", post_mtu},
        {"remoteTraceTarget", post_trace_target},
        {"remoteTraceLevel", post_number},
        {"v4AssignMode", post_v4},
        {"v6AssignMode", post_v6},
        {"routes", post_routes},
        {"ipAssignmentPools", post_pools},
        {"rules", post_rules},
        {"authTokens", post_tokens},
        {"capabilities", post_caps},
        {"tags", post_tags},
        {"dns", post_dns},
    };
    struct edit e = {doc, false};
    *why = NULL;
    post_fields(&e, fields, sizeof fields / sizeof *fields, body);
    return done(&e);
}

/* ---- a POST of a member ------------------------------------------------------------------------
 */

static void post_member_tags(struct edit *e, const char *key, const json_t *v)
{
    struct sorting s;
    if (!sort_begin(&s, e, v))
        return;
    for (size_t i = 0; i < json_array_size(v) && s.n < s.max; i++) {
        const json_t *t = json_array_get(v, i);
        const uint32_t id = (uint32_t)zt_json_u64(json_array_get(t, 0), 0);
        const uint32_t value = (uint32_t)zt_json_u64(json_array_get(t, 1), 0);
        if (json_array_size(t) == 2)
            sort_add(&s, id, json_pack("[I,I]", (json_int_t)id, (json_int_t)value));
    }
    set(e, key, sort_end(&s));
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void post_member_caps(struct edit *e, const char *key, const json_t *v)
{
    size_t max = json_array_size(v) < ZT_CTL_LIST_MAX ? json_array_size(v) : ZT_CTL_LIST_MAX;
    uint64_t *ids = calloc(max + 1, sizeof *ids);
    if (!json_is_array(v) || ids == NULL) {
        e->failed |= ids == NULL;
        free(ids);
        return;
    }
    for (size_t i = 0; i < max; i++)
        ids[i] = zt_json_u64(json_array_get(v, i), 0);
    qsort(ids, max, sizeof *ids, by_value);
    json_t *list = json_array();
    for (size_t i = 0; i < max; i++) {
        if (i == 0 || ids[i] != ids[i - 1])
            append(e, list, integer(ids[i]));
    }
    free(ids);
    set(e, key, list);
}

static void post_member_ips(struct edit *e, const char *key, const json_t *v)
{
    if (!json_is_array(v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && json_array_size(list) < ZT_CTL_LIST_MAX; i++) {
        struct zt_ep ep = address(json_array_get(v, i));
        if (ep.family != 0)
            append(e, list, ip_text(&ep));
    }
    set(e, key, list);
}

static void post_authorized(struct edit *e, const json_t *v, int64_t wall_ms)
{
    bool was = zt_json_bool(json_object_get(e->doc, "authorized"), false);
    bool now = zt_json_bool(v, false);
    if (v == NULL || now == was)
        return;
    set(e, "authorized", json_boolean(now));
    set(e, now ? "lastAuthorizedTime" : "lastDeauthorizedTime", json_integer(wall_ms));
    if (now) {
        set(e, "lastAuthorizedCredentialType", json_string("api"));
        set(e, "lastAuthorizedCredential", json_null());
    }
}

int zt_ctl_member_post(json_t *doc, const json_t *body, int64_t wall_ms, const char **why)
{
    static const struct field fields[] = {
        {"activeBridge", post_false},
        {"noAutoAssignIps", post_false},
        {"authenticationExpiryTime", post_number},
        {"name", post_text},
        {"remoteTraceTarget", post_trace_target},
        {"remoteTraceLevel", post_number},
        {"ipAssignments", post_member_ips},
        {"tags", post_member_tags},
        {"capabilities", post_member_caps},
    };
    const json_t *ips = json_object_get(body, "ipAssignments");
    struct edit e = {doc, false};
    *why = NULL;
    for (size_t i = 0; i < json_array_size(ips); i++) {
        if (!json_is_string(json_array_get(ips, i))) {
            *why = "ipAssignments: type must be string";
            return ZT_E_INVAL;
        }
    }
    set(&e, "remoteTraceLevel", json_integer(0)); /* as for networks */
    post_fields(&e, fields, sizeof fields / sizeof *fields, body);
    post_authorized(&e, json_object_get(body, "authorized"), wall_ms);
    return done(&e);
}
