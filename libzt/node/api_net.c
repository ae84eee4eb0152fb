/* /network: networks joined. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/api_priv.h"

static const char *const status_names[] = {
    [ZT_NET_REQUESTING_CONFIGURATION] = "REQUESTING_CONFIGURATION",
    [ZT_NET_OK] = "OK",
    [ZT_NET_ACCESS_DENIED] = "ACCESS_DENIED",
    [ZT_NET_NOT_FOUND] = "NOT_FOUND",
    [ZT_NET_PORT_ERROR] = "PORT_ERROR",
    [ZT_NET_CLIENT_TOO_OLD] = "CLIENT_TOO_OLD",
    [ZT_NET_AUTHENTICATION_REQUIRED] = "AUTHENTICATION_REQUIRED",
};
static_assert(sizeof status_names / sizeof *status_names == ZT_NET_AUTHENTICATION_REQUIRED + 1,
              "one name per status");

const char *zt_net_status_name(enum zt_net_status status)
{
    return status_names[status];
}

static json_t *addrs_json(const struct zt_net_info *i)
{
    json_t *a = json_array();
    for (unsigned k = 0; k < i->naddrs; k++)
        json_array_append_new(a, zt_api_ep(&i->addrs[k]));
    return a;
}

static json_t *routes_json(const struct zt_net_info *i)
{
    json_t *a = json_array();
    for (unsigned k = 0; k < i->nroutes; k++) {
        const struct zt_route *r = &i->routes[k];
        json_t *t = json_object();
        json_object_set_new(t, "target", zt_api_ep(&r->target));
        json_object_set_new(t, "via", zt_api_ip(&r->via));
        json_object_set_new(t, "flags", json_integer(r->flags));
        json_object_set_new(t, "metric", json_integer(r->metric));
        json_array_append_new(a, t);
    }
    return a;
}

static json_t *dns_json(const struct zt_net_info *i)
{
    json_t *o = json_object(), *servers = json_array();
    for (unsigned k = 0; k < i->ndns; k++)
        json_array_append_new(servers, zt_api_ip(&i->dns[k]));
    json_object_set_new(o, "domain", zt_api_string(i->dns_domain));
    json_object_set_new(o, "servers", servers);
    return o;
}

static json_t *groups_json(struct zt_node *n, uint64_t nwid)
{
    size_t total = zt_core_groups(n->core, nwid, NULL, 0);
    struct zt_group_info *g = calloc(total + 1, sizeof *g);
    json_t *a = json_array();
    size_t k = g == NULL ? 0 : zt_core_groups(n->core, nwid, g, total);
    for (size_t i = 0; i < k && i < total; i++) {
        json_t *t = json_object();
        json_object_set_new(t, "mac", zt_api_mac(g[i].mac));
        json_object_set_new(t, "adi", json_integer(g[i].adi));
        json_array_append_new(a, t);
    }
    free(g);
    return a;
}

static void add_settings(json_t *o, const struct zt_net_settings *s)
{
    json_object_set_new(o, "allowManaged", json_boolean(s->managed));
    json_object_set_new(o, "allowGlobal", json_boolean(s->global));
    json_object_set_new(o, "allowDefault", json_boolean(s->defaults));
    json_object_set_new(o, "allowDNS", json_boolean(s->dns));
}

/* What the reference does not have: what the settings leave of it all, and to which prefixes
 * allowManaged is restricted. */
static void add_more(json_t *o, const struct zt_net_info *i, const struct zt_net_info *in_use,
                     const struct zt_net_settings *s)
{
    json_object_set_new(o, "multicastLimit", json_integer(i->multicast_limit));
    json_object_set_new(o, "usedAddresses", addrs_json(in_use));
    json_object_set_new(o, "usedRoutes", routes_json(in_use));
    if (s->nallowed == 0)
        return;
    json_t *a = json_array();
    for (unsigned k = 0; k < s->nallowed; k++)
        json_array_append_new(a, zt_api_ep(&s->allowed[k]));
    json_object_set_new(o, "allowManagedOnly", a);
}

static void add_auth(struct zt_node *n, const struct zt_net_info *i, json_t *o)
{
    struct zt_net_auth *a = calloc(1, sizeof *a);
    if (a != NULL && i->sso_enabled && zt_core_auth(n->core, i->nwid, a) == 0) {
        json_object_set_new(o, "authenticationURL", zt_api_string(a->url));
        json_object_set_new(o, "authenticationExpiryTime", zt_api_number(a->expiry_ms));
        json_object_set_new(o, "ssoEnabled", json_true());
        json_object_set_new(o, "ssoVersion", json_integer(a->version));
    }
    if (a != NULL && i->sso_enabled && a->version == 1) {
        json_object_set_new(o, "ssoIssuerURL", zt_api_string(a->issuer));
        json_object_set_new(o, "ssoCentralURL", zt_api_string(a->central));
        json_object_set_new(o, "ssoNonce", zt_api_string(a->nonce));
        json_object_set_new(o, "ssoState", zt_api_string(a->state));
        json_object_set_new(o, "ssoClientID", zt_api_string(a->client));
        json_object_set_new(o, "ssoProvider", zt_api_string(a->provider));
    }
    free(a);
}

/* As configured, allowed here or not. */
static json_t *network_json(const struct zt_net_info *i)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", zt_api_hex(i->nwid, 16));
    json_object_set_new(o, "nwid", zt_api_hex(i->nwid, 16));
    json_object_set_new(o, "name", zt_api_string(i->name));
    json_object_set_new(o, "mac", zt_api_mac(i->mac));
    json_object_set_new(o, "status", json_string(status_names[i->status]));
    json_object_set_new(o, "type", json_string(i->is_public ? "PUBLIC" : "PRIVATE"));
    json_object_set_new(o, "mtu", json_integer(i->mtu));
    json_object_set_new(o, "dhcp", json_false());
    json_object_set_new(o, "bridge", json_boolean(i->bridge));
    json_object_set_new(o, "broadcastEnabled", json_boolean(i->broadcast));
    json_object_set_new(o, "portError", json_integer(i->port_error));
    /* There is no device. A word all the same: programs cut lines that show it at blanks. */
    json_object_set_new(o, "portDeviceName", json_string("-"));
    json_object_set_new(o, "netconfRevision", zt_api_number(i->revision));
    json_object_set_new(o, "assignedAddresses", addrs_json(i));
    json_object_set_new(o, "routes", routes_json(i));
    json_object_set_new(o, "dns", dns_json(i));
    return o;
}

json_t *zt_network_json(struct zt_node *n, uint64_t nwid, bool more)
{
    struct zt_net_info *i = calloc(2, sizeof *i);
    struct zt_net_settings s;
    json_t *o = NULL;
    if (i != NULL && zt_nets_get(n, nwid, &i[0]) == 0 &&
        zt_nets_used(n, nwid, &i[1]) == 0 && zt_nets_settings(n, nwid, &s) == 0) {
        o = network_json(&i[0]);
        json_object_set_new(o, "multicastSubscriptions", groups_json(n, nwid));
        add_settings(o, &s);
        add_auth(n, &i[0], o);
        if (more)
            add_more(o, &i[0], &i[1], &s);
    }
    free(i);
    return o;
}

json_t *zt_networks_json(struct zt_node *n, bool more)
{
    size_t total = zt_core_networks(n->core, NULL, 0);
    uint64_t *ids = calloc(total + 1, sizeof *ids);
    json_t *a = json_array();
    size_t k = ids == NULL ? 0 : zt_core_networks(n->core, ids, total);
    for (size_t i = 0; i < k && i < total; i++)
        json_array_append_new(a, zt_network_json(n, ids[i], more));
    free(ids);
    return a;
}

void zt_api_networks(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                     struct zt_api_to to)
{
    zt_api_json(to, 200, zt_networks_json(n, false));
}

void zt_api_network(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                    struct zt_api_to to)
{
    json_t *o = zt_network_json(n, id, false);
    zt_api_json(to, o != NULL ? 200 : 404, o != NULL ? o : json_object());
}

/* Only booleans count. What the owner wrote by hand (prefixes for allowManaged) stays unless
 * allowManaged itself is given; the reference loses it with any change. */
static bool read_settings(const json_t *in, struct zt_net_settings *s)
{
    const struct {
        const char *key;
        bool *value;
    } rows[] = {{"allowManaged", &s->managed},
                {"allowGlobal", &s->global},
                {"allowDefault", &s->defaults},
                {"allowDNS", &s->dns}};
    bool any = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = json_object_get(in, rows[i].key);
        if (!json_is_boolean(v))
            continue;
        *rows[i].value = json_is_true(v);
        any = true;
    }
    if (json_is_boolean(json_object_get(in, "allowManaged")))
        s->nallowed = 0;
    return any;
}

/* A body that isn't JSON, or no object, changes no setting; the network is joined all the same. */
void zt_api_join(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                 struct zt_api_to to)
{
    int rc = zt_nets_join(n, id);
    if (rc == ZT_E_INVAL) { /* 0: the reference joins even this */
        zt_api_error(to, 400, "not a network id");
        return;
    }
    if (rc != 0) {
        zt_api_error(to, 500, zt_err_text(rc));
        return;
    }
    json_t *in = json_loadb(r->body != NULL ? r->body : "", r->nbody, 0, NULL);
    struct zt_net_settings s;
    if (zt_nets_settings(n, id, &s) == 0 && read_settings(in, &s))
        (void)zt_nets_set(n, id, &s);
    json_decref(in);
    zt_host_drain(n);
    zt_api_json(to, 200, zt_network_json(n, id, false));
}

void zt_api_leave(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                  struct zt_api_to to)
{
    zt_api_json(to, 200, zt_nets_leave(n, id) == 0 ? zt_api_result() : json_object());
}
