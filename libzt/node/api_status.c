/* /status, /health, /config: the node itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "node/api_priv.h"
#include "wire/packet.h"

/* The version that peers see: of the protocol we speak. Programs compare it. */
static void set_version(json_t *o)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", ZT_VERSION_MAJOR, ZT_VERSION_MINOR, ZT_VERSION_REV);
    json_object_set_new(o, "version", json_string(text));
    json_object_set_new(o, "versionMajor", json_integer(ZT_VERSION_MAJOR));
    json_object_set_new(o, "versionMinor", json_integer(ZT_VERSION_MINOR));
    json_object_set_new(o, "versionRev", json_integer(ZT_VERSION_REV));
    json_object_set_new(o, "versionBuild", json_integer(0));
}

static json_t *listening_json(struct zt_node *n)
{
    struct zt_ep eps[64];
    json_t *a = json_array();
    size_t k = zt_udp_local(n->udp, eps, 64);
    for (size_t i = 0; i < k && i < 64; i++)
        json_array_append_new(a, zt_api_ep(&eps[i]));
    return a;
}

static json_t *surface_json(struct zt_node *n)
{
    struct zt_ep eps[32];
    json_t *a = json_array();
    size_t k = zt_core_surface(n->core, zt_loop_now(n->loop), eps, 32);
    for (size_t i = 0; i < k && i < 32; i++)
        json_array_append_new(a, zt_api_ep(&eps[i]));
    return a;
}

/* local.conf with the settings in force filled in. What we never do (falling back to TCP, replacing
 * our own program) is said as the reference says "off". */
static json_t *config_json(struct zt_node *n)
{
    json_t *doc = n->conf_doc != NULL ? json_deep_copy(n->conf_doc) : json_object();
    json_t *o = json_object_get(doc, "settings");
    if (!json_is_object(o)) {
        o = json_object();
        json_object_set_new(doc, "settings", o);
    }
    json_object_set_new(o, "allowTcpFallbackRelay", json_false());
    json_object_set_new(o, "forceTcpRelay", json_false());
    json_object_set_new(o, "homeDir", json_string(n->home));
    json_object_set_new(o, "listeningOn", listening_json(n));
    json_object_set_new(o, "portMappingEnabled", json_boolean(n->conf.port_mapping));
    json_object_set_new(o, "primaryPort", json_integer(n->port));
    json_object_set_new(o, "secondaryPort", json_integer(zt_udp_slot(n->udp, ZT_UDP_SECONDARY)));
    json_object_set_new(o, "tertiaryPort", json_integer(zt_udp_slot(n->udp, ZT_UDP_TERTIARY)));
    json_object_set_new(o, "softwareUpdate", json_string("disable"));
    json_object_set_new(o, "softwareUpdateChannel", json_string("release"));
    json_object_set_new(o, "surfaceAddresses", surface_json(n));
    return doc;
}

json_t *zt_status_json(struct zt_node *n)
{
    struct zt_status_info s;
    struct zt_identity pub = n->identity;
    char idtext[ZT_IDENTITY_STR];
    zt_core_status(n->core, &s);
    memset(pub.priv, 0, sizeof pub.priv);
    pub.has_priv = false;

    json_t *o = json_object();
    set_version(o);
    json_object_set_new(o, "address", zt_api_hex(n->identity.addr, 10));
    json_object_set_new(o, "publicIdentity", json_string(zt_identity_format(&pub, false, idtext)));
    json_object_set_new(o, "online", json_boolean(s.online));
    json_object_set_new(o, "tcpFallbackActive", json_false());
    json_object_set_new(o, "clock", json_integer(zt_loop_now(n->loop)->wall_ms));
    json_object_set_new(o, "planetWorldId", zt_api_number(s.planet_id));
    json_object_set_new(o, "planetWorldTimestamp", json_integer(s.planet_timestamp_ms));
    json_object_set_new(o, "config", config_json(n));
    return o;
}

void zt_api_status(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                   struct zt_api_to to)
{
    zt_api_json(to, 200, zt_status_json(n));
}

void zt_api_health(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                   struct zt_api_to to)
{
    json_t *o = json_object();
    set_version(o);
    json_object_set_new(o, "online", json_boolean(zt_core_online(n->core)));
    json_object_set_new(o, "clock", json_integer(zt_loop_now(n->loop)->wall_ms));
    zt_api_json(to, 200, o);
}

/* ---- local.conf --------------------------------------------------------------------------------
 */

void zt_api_config(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                   struct zt_api_to to)
{
    zt_api_json(to, 200, n->conf_doc != NULL ? json_incref(n->conf_doc) : json_object());
}

/* Changing settings: the keeper writes the file, then the node reads it again like any other
 * change of it, and then {} is the answer, whatever the values were. */
struct change {
    struct zt_post post;
    struct zt_node *n;
    struct zt_api_to to;
    json_t *merge;     /* into settings */
    const char *error; /* static text */
};

static void change_answer(struct change *c)
{
    if (c->error != NULL)
        zt_api_error(c->to, 500, c->error);
    else
        zt_api_json(c->to, 200, json_object());
    json_decref(c->merge);
    free(c);
}

static void on_reloaded(void *arg, int err, const char *text, size_t len)
{
    change_answer(arg);
}

static void on_written(void *arg)
{
    struct change *c = arg;
    if (c->error == NULL && c->n->core != NULL)
        zt_reload_start(c->n, on_reloaded, c);
    else
        change_answer(c);
}

/* NULL, or what went wrong. A file that can't be understood is the user's, and stays as it is. */
static const char *merge_into_file(struct zt_node *n, json_t *merge)
{
    uint8_t *p = NULL;
    size_t len = 0;
    int rc = zt_store_read(n->store, "local.conf", &p, &len);
    json_t *doc = rc == ZT_E_NOENT ? json_object()
                  : rc == 0        ? json_loadb((const char *)p, len, 0, NULL)
                                   : NULL;
    free(p);
    if (!json_is_object(doc)) {
        json_decref(doc);
        return "local.conf is damaged or can't be read: correct it first";
    }
    json_t *settings = json_object_get(doc, "settings");
    if (!json_is_object(settings)) {
        settings = json_object();
        json_object_set_new(doc, "settings", settings);
    }
    char *text = NULL;
    if (json_object_update(settings, merge) == 0)
        text = json_dumps(doc, JSON_INDENT(4) | JSON_SORT_KEYS);
    if (text != NULL)
        rc = zt_store_write(n->store, "local.conf", ZT_STORE_DURABLE, text, strlen(text));
    json_decref(doc);
    const char *error = text == NULL || rc != 0 ? "local.conf cannot be written" : NULL;
    free(text);
    return error;
}

static void change_job(struct zt_node *n, struct zt_job *j)
{
    struct change *c;
    memcpy(&c, j->data, sizeof c);
    c->error = merge_into_file(n, c->merge);
    struct zt_loop *l = zt_keeper_loop(n);
    if (l == NULL || zt_loop_post_at(l, &c->post, on_written, c) != 0)
        change_answer(c);
}

void zt_api_settings(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                     struct zt_api_to to)
{
    json_error_t e;
    json_t *in = json_loadb(r->body != NULL ? r->body : "", r->nbody, JSON_DECODE_ANY, &e);
    if (in == NULL) {
        zt_api_error(to, 500, e.text);
        return;
    }
    if (!json_is_object(in)) { /* counts as {}: nothing to change */
        json_decref(in);
        in = json_object();
    }
    struct change *c = calloc(1, sizeof *c);
    if (c == NULL) {
        json_decref(in);
        zt_api_json(to, 500, NULL);
        return;
    }
    *c = (struct change){.n = n, .to = to, .merge = in};
    if (!zt_node_post_job(n, change_job, "", 0, NULL, &c, sizeof c)) {
        c->error = "out of memory";
        change_answer(c);
    }
}
