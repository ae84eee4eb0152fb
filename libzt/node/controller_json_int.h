/* What the parts of controller_json.h share: controller_json.c reads documents, controller_doc.c makes and
 * changes them, controller_post.c takes over what a request says. */
#ifndef ZT_NODE_CONTROLLER_JSON_INT_H
#define ZT_NODE_CONTROLLER_JSON_INT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "node/controller_json.h"
#include "node/json.h"

#define ZT_CTL_LIST_MAX 16384 /* elements of a stored list */

/* An address or prefix; family 0 for anything else. */
static inline struct zt_ep address(const json_t *v)
{
    struct zt_ep ep;
    if (!json_is_string(v) || zt_ep_parse(json_string_value(v), &ep) != 0)
        memset(&ep, 0, sizeof ep);
    return ep;
}

static inline struct zt_ep bare(struct zt_ep ep)
{
    ep.port = 0;
    return ep;
}

static inline json_t *ip_text(const struct zt_ep *ep)
{
    char t[ZT_EP_STR];
    return json_string(zt_ep_format_ip(ep, t));
}

static inline json_t *hex_text(uint64_t v, int digits)
{
    char t[24];
    snprintf(t, sizeof t, "%0*llx", digits, (unsigned long long)v);
    return json_string(t);
}

static inline json_t *integer(uint64_t v)
{
    return json_integer((json_int_t)v);
}

/* A trace target is whatever text of ten characters; as an address, what of it is hex. */
static inline uint64_t trace_target(const json_t *doc)
{
    char tmp[ZT_JSON_TEXT];
    const char *t = zt_json_text(json_object_get(doc, "remoteTraceTarget"), tmp, "");
    return strlen(t) == 10 ? strtoull(t, NULL, 16) & ZT_ADDR_MASK : 0;
}

static inline unsigned clamp_mtu(uint64_t v)
{
    uint32_t mtu = (uint32_t)v;
    return mtu < ZT_NET_MTU_MIN ? ZT_NET_MTU_MIN : mtu > ZT_NET_MTU_MAX ? ZT_NET_MTU_MAX : mtu;
}

/* Collects whether anything failed, which can only be for lack of memory. */
struct edit {
    json_t *doc;
    bool failed;
};

static inline void set(struct edit *e, const char *key, json_t *v)
{
    e->failed |= json_object_set_new(e->doc, key, v) != 0;
}

static inline void set_missing(struct edit *e, const char *key, json_t *v)
{
    if (json_object_get(e->doc, key) != NULL)
        json_decref(v);
    else
        set(e, key, v);
}

static inline int done(const struct edit *e)
{
    return e->failed ? ZT_E_NOMEM : 0;
}

#endif
