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

/* The settings of local.conf with those in force filled in. What we never do (falling back to TCP,
 * replacing our own program) is said as the reference says "off". */
static json_t *settings_json(struct zt_node *n)
{
    json_t *o = json_object();
    json_object_set_new(o, "allowTcpFallbackRelay", json_false());
    json_object_set_new(o, "forceTcpRelay", json_false());
    json_object_set_new(o, "homeDir", json_string(n->home));
    json_object_set_new(o, "listeningOn", listening_json(n));
    json_object_set_new(o, "portMappingEnabled", json_false());
    json_object_set_new(o, "primaryPort", json_integer(n->port));
    json_object_set_new(o, "secondaryPort", json_integer(0));
    json_object_set_new(o, "tertiaryPort", json_integer(0));
    json_object_set_new(o, "softwareUpdate", json_string("disable"));
    json_object_set_new(o, "softwareUpdateChannel", json_string("release"));
    json_object_set_new(o, "surfaceAddresses", json_array());
    return o;
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
    json_object_set_new(o, "config", json_pack("{s:o}", "settings", settings_json(n)));
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
 * The file is read and written by the keeper; the answer comes back to the loop. */

struct conf_call {
    struct zt_node *n;
    struct zt_api_to to;
    json_t *doc;       /* answer: the document, or with `error` nothing */
    const char *error; /* static text */
};

static void conf_answer(void *arg)
{
    struct conf_call *c = arg;
    if (c->error != NULL)
        zt_api_error(c->to, 500, c->error);
    else
        zt_api_json(c->to, 200, c->doc);
    free(c);
}

/* On the keeper's thread, which itself ends the loop: outside of RUNNING there is none. */
static void conf_finish(struct zt_node *n, struct conf_call *c)
{
    pthread_mutex_lock(&n->lock);
    struct zt_loop *l = n->state == ZT_NODE_RUNNING ? n->loop : NULL;
    pthread_mutex_unlock(&n->lock);
    if (l == NULL || zt_loop_post(l, conf_answer, c) != 0)
        conf_answer(c);
}

/* NULL with *error when the file is there and can't be understood: it is the user's, and stays. */
static json_t *conf_load(struct zt_node *n, const char **error)
{
    uint8_t *p = NULL;
    size_t len = 0;
    int rc = zt_store_read(n->store, "local.conf", &p, &len);
    json_t *doc = NULL;
    if (rc == ZT_E_NOENT)
        doc = json_object();
    else if (rc == 0)
        doc = json_loadb((const char *)p, len, 0, NULL);
    free(p);
    if (json_is_object(doc))
        return doc;
    json_decref(doc);
    *error = rc != 0 ? "local.conf cannot be read" : "local.conf is damaged: correct it first";
    return NULL;
}

struct conf_job {
    struct conf_call *call;
    json_t *merge; /* into settings; NULL: only read */
};

static void conf_job(struct zt_node *n, struct zt_job *j)
{
    struct conf_job job;
    memcpy(&job, j->data, sizeof job);
    struct conf_call *c = job.call;
    json_t *doc = conf_load(n, &c->error);
    if (doc != NULL && job.merge != NULL) {
        json_t *settings = json_object_get(doc, "settings");
        if (!json_is_object(settings)) {
            settings = json_object();
            json_object_set_new(doc, "settings", settings);
        }
        char *text = NULL;
        if (json_object_update(settings, job.merge) == 0)
            text = json_dumps(doc, JSON_INDENT(4) | JSON_SORT_KEYS);
        if (text == NULL ||
            zt_store_write(n->store, "local.conf", ZT_STORE_DURABLE, text, strlen(text)) != 0)
            c->error = "local.conf cannot be written";
        free(text);
        json_decref(doc);
        doc = json_object(); /* the answer is {} */
    }
    json_decref(job.merge);
    if (c->error != NULL) {
        json_decref(doc);
        doc = NULL;
    }
    c->doc = doc;
    conf_finish(n, c);
}

static void conf_start(struct zt_node *n, struct zt_api_to to, json_t *merge)
{
    struct conf_call *c = calloc(1, sizeof *c);
    struct conf_job job = {c, merge};
    if (c == NULL) {
        json_decref(merge);
        zt_api_json(to, 200, NULL);
        return;
    }
    c->n = n;
    c->to = to;
    if (!zt_node_post_job(n, conf_job, "", 0, NULL, &job, sizeof job)) {
        json_decref(merge);
        c->error = "out of memory";
        conf_answer(c);
    }
}

void zt_api_config(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                   struct zt_api_to to)
{
    conf_start(n, to, NULL);
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
    conf_start(n, to, in);
}
