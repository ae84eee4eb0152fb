/* Shared by api*.c and command.c: pieces of the JSON documents, and ways to answer.
 *
 * jansson rather than printf: names of networks come from controllers, and escaping is where such
 * code goes wrong. */
#ifndef ZT_NODE_API_PRIV_H
#define ZT_NODE_API_PRIV_H

#include <jansson.h>

#include "base/addr.h"
#include "base/info.h"
#include "node/api.h"
#include "node/node_priv.h"

/* Where an answer goes. */
struct zt_api_to {
    zt_api_done *done;
    void *arg;
};

/* Each answers once and for all. The document is taken over; NULL (out of memory) gives 500. */
void zt_api_json(struct zt_api_to to, int status, json_t *doc);
void zt_api_text(struct zt_api_to to, int status, const char *type, const char *text);
void zt_api_empty(struct zt_api_to to, int status); /* no body, no type */
void zt_api_error(struct zt_api_to to, int status, const char *text);

json_t *zt_api_hex(uint64_t v, int digits);
json_t *zt_api_mac(uint64_t mac);
json_t *zt_api_ep(const struct zt_ep *ep); /* "ip/n"; null for none */
json_t *zt_api_ip(const struct zt_ep *ep);
json_t *zt_api_number(uint64_t v);
json_t *zt_api_string(const char *text); /* of others: "" when it isn't UTF-8 */
/* {"result": true} */
json_t *zt_api_result(void);

/* The documents themselves; `more`: with what the reference doesn't have, for ztctl. */
json_t *zt_status_json(struct zt_node *n);
/* NULL: not joined, or no memory */
json_t *zt_network_json(struct zt_node *n, uint64_t nwid, bool more);
json_t *zt_networks_json(struct zt_node *n, bool more);
json_t *zt_peers_json(struct zt_node *n, bool more);

/* One handler per row of the table in api.c. id: the hex digits of the path. */
typedef void zt_api_handler(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                            struct zt_api_to to);
zt_api_handler zt_api_status, zt_api_health, zt_api_config, zt_api_settings;
zt_api_handler zt_api_networks, zt_api_network, zt_api_join, zt_api_leave;
zt_api_handler zt_api_peers, zt_api_peer;
zt_api_handler zt_api_moons, zt_api_moon, zt_api_orbit, zt_api_deorbit;
zt_api_handler zt_api_metrics;

#endif
