/* The commands of ztctl, answered as JSON in the shapes of the reference service's local API.
 *
 * jansson rather than printf: names of networks come from controllers, and escaping is where such
 * code goes wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "node/moon.h"
#include "node/netset.h"
#include "node/node_priv.h"

#ifndef ZT_VERSION
#error "ZT_VERSION comes from meson.build"
#endif

/* ---- pieces ------------------------------------------------------------------------------------
 */

static json_t *hex(uint64_t v, int digits)
{
    char text[24];
    snprintf(text, sizeof text, "%0*llx", digits, (unsigned long long)v);
    return json_string(text);
}

static json_t *mac_text(uint64_t mac)
{
    char t[24];
    snprintf(t, sizeof t, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac >> 40 & 255),
             (unsigned)(mac >> 32 & 255), (unsigned)(mac >> 24 & 255), (unsigned)(mac >> 16 & 255),
             (unsigned)(mac >> 8 & 255), (unsigned)(mac & 255));
    return json_string(t);
}

static json_t *ep_text(const struct zt_ep *ep)
{
    char t[ZT_EP_STR];
    return ep->family == 0 ? json_null() : json_string(zt_ep_format(ep, t));
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

/* Text of others: what isn't UTF-8 is shown as empty. */
static json_t *text_json(const char *text)
{
    json_t *t = json_string(text);
    return t != NULL ? t : json_string("");
}

static json_t *drops_json(const struct zt_drops *d)
{
    json_t *o = json_object();
    for (int i = 0; i < ZT_DROP_COUNT; i++)
        if (d->n[i] != 0)
            json_object_set_new(o, zt_drop_name(i), number(d->n[i]));
    return o;
}

static json_t *udp_json(const struct zt_udp_stats *s)
{
    json_t *o = json_object();
#define F(name, field) json_object_set_new(o, name, number(s->field))
    F("rxCalls", rx_calls);
    F("rxDatagrams", rx_datagrams);
    F("rxBytes", rx_bytes);
    F("rxGro", rx_gro);
    F("txCalls", tx_calls);
    F("txDatagrams", tx_datagrams);
    F("txBytes", tx_bytes);
    F("txGso", tx_gso);
    F("txDropped", tx_dropped);
    F("txFallbacks", tx_fallbacks);
#undef F
    return o;
}

static json_t *sockets_count_json(const struct zt_proxy_counts *c)
{
    json_t *o = json_object();
    json_object_set_new(o, "tcp", number(c->tcp));
    json_object_set_new(o, "listeners", number(c->listeners));
    json_object_set_new(o, "udp", number(c->udp));
    json_object_set_new(o, "connects", number(c->connects));
    json_object_set_new(o, "accepts", number(c->accepts));
    json_object_set_new(o, "refused", number(c->refused));
    json_object_set_new(o, "bytesIn", number(c->bytes_in));
    json_object_set_new(o, "bytesOut", number(c->bytes_out));
    json_object_set_new(o, "memory", number(c->memory));
    return o;
}

static const char *underlay_text(enum zt_underlay u)
{
    switch (u) {
    case ZT_UNDERLAY_NORMAL:
        return "normal";
    case ZT_UNDERLAY_LOOPBACK_TOO:
        return "loopback too";
    case ZT_UNDERLAY_LOOPBACK_ONLY:
        return "loopback only";
    }
    return "";
}

/* ---- info --------------------------------------------------------------------------------------
 */

static json_t *info_json(struct zt_node *n)
{
    struct zt_status_info s;
    struct zt_udp_stats us;
    struct zt_proxy_counts pc;
    zt_core_status(n->core, &s);
    zt_udp_stats(n->udp, &us);
    zt_proxy_counts(n->proxy, &pc);

    struct zt_identity pub = n->identity;
    memset(pub.priv, 0, sizeof pub.priv);
    pub.has_priv = false;
    char idtext[ZT_IDENTITY_STR];

    json_t *o = json_object();
    json_object_set_new(o, "address", hex(n->identity.addr, 10));
    json_object_set_new(o, "publicIdentity", json_string(zt_identity_format(&pub, false, idtext)));
    json_object_set_new(o, "version", json_string(ZT_VERSION));
    json_object_set_new(o, "online", json_boolean(s.online));
    json_object_set_new(o, "tcpFallbackActive", json_false());
    json_object_set_new(o, "clock", json_integer(zt_loop_now(n->loop)->wall_ms));
    json_object_set_new(o, "planetWorldId", number(s.planet_id));
    json_object_set_new(o, "planetWorldTimestamp", json_integer(s.planet_timestamp_ms));
    json_object_set_new(o, "home", json_string(n->home));
    json_object_set_new(o, "pid", json_integer(getpid()));
    json_object_set_new(o, "port", json_integer(n->port));
    json_object_set_new(o, "underlay", json_string(underlay_text(zt_core_underlay(n->core))));
    json_object_set_new(o, "isRoot", json_boolean(s.is_root));
    json_object_set_new(o, "sticky", json_boolean(n->sticky));
    json_object_set_new(o, "roots", number(s.nroots));
    json_object_set_new(o, "peers", number(s.npeers));
    json_object_set_new(o, "networks", number(s.nnetworks));
    json_object_set_new(o, "packetsIn", number(s.packets_in));
    json_object_set_new(o, "packetsOut", number(s.packets_out));
    json_object_set_new(o, "bytesIn", number(s.bytes_in));
    json_object_set_new(o, "bytesOut", number(s.bytes_out));
    json_object_set_new(o, "packetsRelayed", number(s.packets_relayed));
    json_object_set_new(o, "framesDropped", number(n->in_dropped));
    json_object_set_new(o, "drops", drops_json(zt_core_drops(n->core)));
    json_object_set_new(o, "udp", udp_json(&us));
    json_object_set_new(o, "sockets", sockets_count_json(&pc));
    return o;
}

/* ---- networks ----------------------------------------------------------------------------------
 */

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

static json_t *ip_text(const struct zt_ep *ep)
{
    char t[ZT_EP_STR];
    return ep->family == 0 ? json_null() : json_string(zt_ep_format_ip(ep, t));
}

static json_t *addrs_json(const struct zt_net_info *i)
{
    json_t *a = json_array();
    for (unsigned k = 0; k < i->naddrs; k++)
        json_array_append_new(a, ep_text(&i->addrs[k]));
    return a;
}

static json_t *routes_json(const struct zt_net_info *i)
{
    json_t *a = json_array();
    for (unsigned k = 0; k < i->nroutes; k++) {
        const struct zt_route *r = &i->routes[k];
        json_t *t = json_object();
        json_object_set_new(t, "target", ep_text(&r->target));
        json_object_set_new(t, "via", ip_text(&r->via));
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
        json_array_append_new(servers, ip_text(&i->dns[k]));
    json_object_set_new(o, "domain", text_json(i->dns_domain));
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
        json_object_set_new(t, "mac", mac_text(g[i].mac));
        json_object_set_new(t, "adi", json_integer(g[i].adi));
        json_array_append_new(a, t);
    }
    free(g);
    return a;
}

/* The switches as the local API has them; the prefixes that allowManaged is restricted to, if any,
 * besides. */
static void add_settings(json_t *o, const struct zt_net_settings *s)
{
    json_object_set_new(o, "allowManaged", json_boolean(s->managed));
    json_object_set_new(o, "allowGlobal", json_boolean(s->global));
    json_object_set_new(o, "allowDefault", json_boolean(s->defaults));
    json_object_set_new(o, "allowDNS", json_boolean(s->dns));
    if (s->nallowed == 0)
        return;
    json_t *a = json_array();
    for (unsigned k = 0; k < s->nallowed; k++)
        json_array_append_new(a, ep_text(&s->allowed[k]));
    json_object_set_new(o, "allowManagedOnly", a);
}

static void add_auth(struct zt_node *n, const struct zt_net_info *i, json_t *o)
{
    struct zt_net_auth *a = calloc(1, sizeof *a);
    if (a != NULL && i->sso_enabled && zt_core_auth(n->core, i->nwid, a) == 0) {
        json_object_set_new(o, "authenticationURL", text_json(a->url));
        json_object_set_new(o, "authenticationExpiryTime", number(a->expiry_ms));
        json_object_set_new(o, "ssoEnabled", json_true());
        json_object_set_new(o, "ssoVersion", json_integer(a->version));
    }
    if (a != NULL && i->sso_enabled && a->version == 1) {
        json_object_set_new(o, "ssoIssuerURL", text_json(a->issuer));
        json_object_set_new(o, "ssoCentralURL", text_json(a->central));
        json_object_set_new(o, "ssoNonce", text_json(a->nonce));
        json_object_set_new(o, "ssoState", text_json(a->state));
        json_object_set_new(o, "ssoClientID", text_json(a->client));
        json_object_set_new(o, "ssoProvider", text_json(a->provider));
    }
    free(a);
}

/* i: as configured; in_use: what the settings leave of it. */
static json_t *network_json(const struct zt_net_info *i, const struct zt_net_info *in_use)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", hex(i->nwid, 16));
    json_object_set_new(o, "nwid", hex(i->nwid, 16));
    json_object_set_new(o, "name", text_json(i->name));
    json_object_set_new(o, "mac", mac_text(i->mac));
    json_object_set_new(o, "status", json_string(status_names[i->status]));
    json_object_set_new(o, "type", json_string(i->is_public ? "PUBLIC" : "PRIVATE"));
    json_object_set_new(o, "mtu", json_integer(i->mtu));
    json_object_set_new(o, "dhcp", json_false());
    json_object_set_new(o, "bridge", json_boolean(i->bridge));
    json_object_set_new(o, "broadcastEnabled", json_boolean(i->broadcast));
    json_object_set_new(o, "portError", json_integer(i->port_error));
    json_object_set_new(o, "portDeviceName", json_string(""));
    json_object_set_new(o, "netconfRevision", number(i->revision));
    json_object_set_new(o, "multicastLimit", json_integer(i->multicast_limit));
    json_object_set_new(o, "assignedAddresses", addrs_json(i));
    json_object_set_new(o, "routes", routes_json(i));
    json_object_set_new(o, "dns", dns_json(i));
    json_object_set_new(o, "usedAddresses", addrs_json(in_use));
    json_object_set_new(o, "usedRoutes", routes_json(in_use));
    return o;
}

static json_t *one_network_json(struct zt_node *n, uint64_t nwid)
{
    struct zt_net_info *i = calloc(2, sizeof *i);
    struct zt_net_settings s;
    json_t *o = NULL;
    if (i != NULL && zt_turn_network(n, nwid, &i[0]) == 0 &&
        zt_turn_network_used(n, nwid, &i[1]) == 0 && zt_turn_settings(n, nwid, &s) == 0) {
        o = network_json(&i[0], &i[1]);
        json_object_set_new(o, "multicastSubscriptions", groups_json(n, nwid));
        add_settings(o, &s);
        add_auth(n, &i[0], o);
    }
    free(i);
    return o;
}

static json_t *networks_json(struct zt_node *n)
{
    size_t total = zt_core_networks(n->core, NULL, 0);
    uint64_t *ids = calloc(total + 1, sizeof *ids);
    json_t *a = json_array();
    size_t k = ids == NULL ? 0 : zt_core_networks(n->core, ids, total);
    for (size_t i = 0; i < k && i < total; i++)
        json_array_append_new(a, one_network_json(n, ids[i]));
    free(ids);
    return a;
}

/* ---- peers -------------------------------------------------------------------------------------
 */

static json_t *wall(const struct zt_now *now, int64_t mono_ms)
{
    return json_integer(mono_ms < 0 ? 0 : now->wall_ms - (now->mono_ms - mono_ms));
}

static json_t *peer_json(const struct zt_peer_info *p, const struct zt_now *now)
{
    static const char *const roles[] = {"LEAF", "MOON", "PLANET"};
    json_t *o = json_object(), *paths = json_array();
    bool direct = false;
    for (unsigned k = 0; k < p->npaths; k++) {
        const struct zt_path_info *i = &p->paths[k];
        json_t *t = json_object();
        json_object_set_new(t, "address", ep_text(&i->ep));
        json_object_set_new(t, "lastSend", wall(now, i->last_out_ms));
        json_object_set_new(t, "lastReceive", wall(now, i->last_in_ms));
        json_object_set_new(t, "latency", json_integer(i->latency_ms));
        json_object_set_new(t, "localSocket", json_integer(i->sock));
        json_object_set_new(t, "active", json_boolean(!i->expired));
        json_object_set_new(t, "expired", json_boolean(i->expired));
        json_object_set_new(t, "preferred", json_boolean(i->preferred));
        json_object_set_new(t, "trustedPathId", json_integer(0));
        json_array_append_new(paths, t);
        direct = direct || !i->expired;
    }
    char version[48] = "";
    if (p->version_major >= 0)
        snprintf(version, sizeof version, "%d.%d.%d", p->version_major, p->version_minor,
                 p->version_rev);
    json_object_set_new(o, "address", hex(p->addr, 10));
    json_object_set_new(o, "version", json_string(version));
    json_object_set_new(o, "versionMajor", json_integer(p->version_major));
    json_object_set_new(o, "versionMinor", json_integer(p->version_minor));
    json_object_set_new(o, "versionRev", json_integer(p->version_rev));
    json_object_set_new(o, "latency", json_integer(p->latency_ms));
    json_object_set_new(o, "role", json_string(roles[p->role]));
    json_object_set_new(o, "isBonded", json_false());
    json_object_set_new(o, "tunneled", json_boolean(!direct));
    json_object_set_new(o, "direct", json_boolean(direct));
    json_object_set_new(o, "link", json_string(direct ? "DIRECT" : "RELAY"));
    json_object_set_new(o, "alive", json_boolean(p->is_alive));
    json_object_set_new(o, "paths", paths);
    return o;
}

static json_t *peers_json(struct zt_node *n)
{
    const struct zt_now *now = zt_loop_now(n->loop);
    size_t total = zt_core_peers(n->core, NULL, 0);
    uint64_t *ids = calloc(total + 1, sizeof *ids);
    json_t *a = json_array();
    size_t k = ids == NULL ? 0 : zt_core_peers(n->core, ids, total);
    for (size_t i = 0; i < k && i < total; i++) {
        struct zt_peer_info p;
        if (zt_core_peer(n->core, now, ids[i], &p) == 0)
            json_array_append_new(a, peer_json(&p, now));
    }
    free(ids);
    return a;
}

/* ---- sockets -----------------------------------------------------------------------------------
 */

static const char *const phase_names[] = {
    [ZT_PHASE_FREE] = "FREE",           [ZT_PHASE_BOUND] = "BOUND",
    [ZT_PHASE_LISTENING] = "LISTENING", [ZT_PHASE_CONNECTING] = "CONNECTING",
    [ZT_PHASE_CONNECTED] = "CONNECTED", [ZT_PHASE_FIN] = "FIN",
    [ZT_PHASE_FAILED] = "FAILED",       [ZT_PHASE_RESET] = "RESET",
    [ZT_PHASE_DATAGRAM] = "DATAGRAM",
};
static_assert(sizeof phase_names / sizeof *phase_names == ZT_PHASE_DATAGRAM + 1,
              "one name per phase");

static json_t *slot_ep(uint8_t family, const uint8_t *ip, uint16_t port)
{
    char t[ZT_EP_STR];
    struct zt_ep ep = zt_ep_make(family, ip, port);
    return json_string(family == 0 ? "" : zt_ep_format(&ep, t));
}

static void add_socket(void *user, const struct zt_state_slot *s, uint64_t bytes_in,
                       uint64_t bytes_out)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", hex(s->id, 16));
    json_object_set_new(o, "type", json_string(s->phase == ZT_PHASE_DATAGRAM ? "udp" : "tcp"));
    json_object_set_new(o, "state",
                        json_string(s->phase <= ZT_PHASE_DATAGRAM ? phase_names[s->phase] : ""));
    json_object_set_new(o, "local", slot_ep(s->lfamily, s->lip, s->lport));
    json_object_set_new(o, "remote", slot_ep(s->rfamily, s->rip, s->rport));
    json_object_set_new(o, "unacked", json_integer(s->unacked));
    json_object_set_new(o, "rxBytes", number(bytes_in));
    json_object_set_new(o, "txBytes", number(bytes_out));
    json_array_append_new(user, o);
}

static json_t *sockets_json(struct zt_node *n)
{
    json_t *a = json_array();
    zt_proxy_each(n->proxy, add_socket, a);
    return a;
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static void answer(zt_command_done *done, void *arg, json_t *o)
{
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (text != NULL)
        done(arg, 0, text, strlen(text));
    else
        done(arg, ENOMEM, "out of memory", 13);
    free(text);
}

static void refuse(zt_command_done *done, void *arg, int err, const char *text)
{
    done(arg, err, text, strlen(text));
}

static json_t *result_true(void)
{
    json_t *o = json_object();
    json_object_set_new(o, "result", json_true());
    return o;
}

static void cmd_join(struct zt_node *n, const char *id, zt_command_done *done, void *arg)
{
    uint64_t nwid;
    if (zt_hex_parse_u64(id, 16, &nwid) != 0 || nwid == 0) {
        refuse(done, arg, EINVAL, "a network id is 16 hex digits");
        return;
    }
    int rc = zt_turn_join(n, nwid);
    zt_turn_drain(n);
    if (rc != 0)
        refuse(done, arg, rc == ZT_E_LIMIT ? ENOSPC : ENOMEM, zt_err_text(rc));
    else
        answer(done, arg, one_network_json(n, nwid));
}

static void cmd_leave(struct zt_node *n, const char *id, zt_command_done *done, void *arg)
{
    uint64_t nwid;
    if (zt_hex_parse_u64(id, 16, &nwid) != 0 || nwid == 0)
        refuse(done, arg, EINVAL, "a network id is 16 hex digits");
    else if (zt_turn_leave(n, nwid) != 0)
        refuse(done, arg, ENOENT, "not joined to this network");
    else
        answer(done, arg, result_true());
}

static bool moon_id(const char *text, size_t n, uint64_t *id)
{
    char digits[17];
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, text, n);
    digits[n] = 0;
    return zt_hex_parse_u64(digits, (unsigned)n, id) == 0 && *id != 0;
}

static void cmd_orbit(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    const char *space = strchr(args, ' ');
    uint64_t id, seed;
    if (space == NULL || !moon_id(args, (size_t)(space - args), &id) ||
        zt_hex_parse_u64(space + 1, 10, &seed) != 0) {
        refuse(done, arg, EINVAL, "a moon's id is 1 to 16 hex digits, a seed's address 10");
        return;
    }
    int rc = zt_moon_orbit(n, id, seed);
    if (rc == ZT_E_LIMIT)
        refuse(done, arg, ENOSPC, "too many moons");
    else if (rc != 0)
        refuse(done, arg, EINVAL, "the seed must be another node's address");
    else
        answer(done, arg, zt_moon_json(n, id));
}

static void cmd_deorbit(struct zt_node *n, const char *id_text, zt_command_done *done, void *arg)
{
    uint64_t id;
    if (!moon_id(id_text, strlen(id_text), &id))
        refuse(done, arg, EINVAL, "a moon's id is 1 to 16 hex digits");
    else if (zt_moon_deorbit(n, id) == ZT_E_NOENT)
        refuse(done, arg, ENOENT, "this moon is not orbited");
    else
        answer(done, arg, result_true());
}

/* "NWID REST": the id; *rest is what follows the space, empty without. */
static bool split_nwid(const char *text, uint64_t *nwid, const char **rest)
{
    char id[17];
    size_t n = strcspn(text, " ");
    if (n != 16)
        return false;
    memcpy(id, text, 16);
    id[16] = 0;
    *rest = text + n + (text[n] == ' ');
    return zt_hex_parse_u64(id, 16, nwid) == 0 && *nwid != 0;
}

/* set NWID key=value...: all or nothing. */
static void cmd_set(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    struct zt_net_settings s;
    char word[ZT_NETSET_TEXT], msg[160];
    const char *at;
    uint64_t nwid;
    if (!split_nwid(args, &nwid, &at)) {
        refuse(done, arg, EINVAL, "a network id is 16 hex digits");
        return;
    }
    if (zt_turn_settings(n, nwid, &s) != 0) {
        refuse(done, arg, ENOENT, "not joined to this network");
        return;
    }
    for (at += strspn(at, " "); *at != 0; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)len, at);
        char *eq = strchr(word, '=');
        if (eq != NULL)
            *eq++ = 0;
        int rc = len >= sizeof word || eq == NULL ? ZT_E_FORMAT : zt_netset_set(&s, word, eq);
        if (rc != 0) {
            snprintf(msg, sizeof msg,
                     rc == ZT_E_NOENT   ? "no setting is called '%.60s'"
                     : rc == ZT_E_LIMIT ? "%.60s: too many prefixes"
                                        : "%.60s: give 0 or 1 (allowManaged: or prefixes)",
                     word);
            refuse(done, arg, EINVAL, msg);
            return;
        }
        at += len;
    }
    (void)zt_turn_set(n, nwid, &s);
    answer(done, arg, one_network_json(n, nwid));
}

/* get NWID [key]: the network, or {key: value}. */
static void cmd_get(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    const char *key;
    uint64_t nwid;
    if (!split_nwid(args, &nwid, &key)) {
        refuse(done, arg, EINVAL, "a network id is 16 hex digits");
        return;
    }
    json_t *o = one_network_json(n, nwid), *v, *one;
    if (o == NULL) {
        refuse(done, arg, ENOENT, "not joined to this network");
    } else if (*key == 0) {
        answer(done, arg, o);
    } else if ((v = json_object_get(o, key)) == NULL) {
        json_decref(o);
        refuse(done, arg, EINVAL, "a network has no such property");
    } else {
        one = json_object();
        json_object_set(one, key, v);
        json_decref(o);
        answer(done, arg, one);
    }
}

void zt_command_run(struct zt_node *n, const char *text, zt_command_done *done, void *arg)
{
    zt_loop_update(n->loop);
    zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    if (strcmp(text, "info") == 0) {
        answer(done, arg, info_json(n));
    } else if (strcmp(text, "networks") == 0) {
        answer(done, arg, networks_json(n));
    } else if (strcmp(text, "peers") == 0) {
        answer(done, arg, peers_json(n));
    } else if (strcmp(text, "sockets") == 0) {
        answer(done, arg, sockets_json(n));
    } else if (strncmp(text, "join ", 5) == 0) {
        cmd_join(n, text + 5, done, arg);
    } else if (strncmp(text, "leave ", 6) == 0) {
        cmd_leave(n, text + 6, done, arg);
    } else if (strcmp(text, "moons") == 0) {
        answer(done, arg, zt_moons_json(n, true));
    } else if (strncmp(text, "orbit ", 6) == 0) {
        cmd_orbit(n, text + 6, done, arg);
    } else if (strncmp(text, "deorbit ", 8) == 0) {
        cmd_deorbit(n, text + 8, done, arg);
    } else if (strncmp(text, "set ", 4) == 0) {
        cmd_set(n, text + 4, done, arg);
    } else if (strncmp(text, "get ", 4) == 0) {
        cmd_get(n, text + 4, done, arg);
    } else if (strncmp(text, "ping ", 5) == 0) {
        zt_ping_start(n, text + 5, done, arg);
    } else if (strcmp(text, "up") == 0) {
        n->sticky = true;
        answer(done, arg, result_true());
    } else if (strcmp(text, "down") == 0) {
        answer(done, arg, result_true());
        (void)zt_node_stop(n);
    } else {
        refuse(done, arg, EINVAL, "unknown command");
    }
    zt_loop_touch(n->loop);
}
