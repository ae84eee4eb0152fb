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

static json_t *addresses_json(const struct zt_net_info *i)
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
        json_t *o = json_object();
        json_object_set_new(o, "target", zt_api_ep(&r->target));
        json_object_set_new(o, "via", zt_api_ip(&r->via));
        json_object_set_new(o, "flags", json_integer(r->flags));
        json_object_set_new(o, "metric", json_integer(r->metric));
        json_array_append_new(a, o);
    }
    return a;
}

static json_t *network_json(struct zt_node *n, const struct zt_net_info *i)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", zt_api_hex(i->nwid, 16));
    json_object_set_new(o, "nwid", zt_api_hex(i->nwid, 16));
    json_object_set_new(o, "name", json_string(i->name) ?: json_string(""));
    json_object_set_new(o, "mac", zt_api_mac(i->mac));
    json_object_set_new(o, "status", json_string(status_names[i->status]));
    json_object_set_new(o, "type", json_string(i->is_public ? "PUBLIC" : "PRIVATE"));
    json_object_set_new(o, "mtu", json_integer(i->mtu));
    json_object_set_new(o, "dhcp", json_false());
    json_object_set_new(o, "bridge", json_boolean(i->bridge));
    json_object_set_new(o, "broadcastEnabled", json_boolean(i->broadcast));
    json_object_set_new(o, "portError", json_integer(i->status == ZT_NET_PORT_ERROR ? -1 : 0));
    json_object_set_new(o, "netconfRevision", zt_api_number(i->revision));
    json_object_set_new(o, "assignedAddresses", addresses_json(i));
    json_object_set_new(o, "routes", routes_json(i));
    return o;
}

json_t *zt_network_json(struct zt_node *n, uint64_t nwid)
{
    struct zt_net_info *i = calloc(1, sizeof *i);
    json_t *o = NULL;
    if (i != NULL && zt_core_network(n->core, nwid, i) == 0)
        o = network_json(n, i);
    free(i);
    return o;
}

json_t *zt_networks_json(struct zt_node *n)
{
    size_t total = zt_core_networks(n->core, NULL, 0);
    uint64_t *ids = calloc(total + 1, sizeof *ids);
    json_t *a = json_array();
    size_t k = ids == NULL ? 0 : zt_core_networks(n->core, ids, total);
    for (size_t i = 0; i < k && i < total; i++)
        json_array_append_new(a, zt_network_json(n, ids[i]));
    free(ids);
    return a;
}

void zt_api_networks(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                     struct zt_api_to to)
{
    zt_api_json(to, 200, zt_networks_json(n));
}

void zt_api_network(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                    struct zt_api_to to)
{
    json_t *o = zt_network_json(n, id);
    zt_api_json(to, o != NULL ? 200 : 404, o != NULL ? o : json_object());
}

/* A body that isn't JSON, or no object, changes no setting; the network is joined all the same. */
void zt_api_join(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                 struct zt_api_to to)
{
    int rc = zt_turn_join(n, id);
    if (rc == ZT_E_INVAL) { /* 0: the reference joins even this */
        zt_api_error(to, 400, "not a network id");
        return;
    }
    if (rc != 0) {
        zt_api_error(to, 500, zt_err_text(rc));
        return;
    }
    zt_turn_drain(n);
    zt_api_json(to, 200, zt_network_json(n, id));
}

void zt_api_leave(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                  struct zt_api_to to)
{
    zt_api_json(to, 200, zt_turn_leave(n, id) == 0 ? zt_api_result() : json_object());
}
