/* The commands of ztctl. What the local API has is taken from it; here is the rest. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/err.h"
#include "crypto/identity.h"
#include "node/api_priv.h"
#include "node/moon.h"
#include "node/netset.h"

#ifndef ZT_VERSION
#error "ZT_VERSION comes from meson.build"
#endif

/* ---- info --------------------------------------------------------------------------------------
 */

static json_t *drops_json(const struct zt_drops *d)
{
    json_t *o = json_object();
    for (int i = 0; i < ZT_DROP_COUNT; i++)
        if (d->n[i] != 0)
            json_object_set_new(o, zt_drop_name(i), zt_api_number(d->n[i]));
    return o;
}

static json_t *udp_json(const struct zt_udp_stats *s)
{
    json_t *o = json_object();
#define F(name, field) json_object_set_new(o, name, zt_api_number(s->field))
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
    json_object_set_new(o, "tcp", zt_api_number(c->tcp));
    json_object_set_new(o, "listeners", zt_api_number(c->listeners));
    json_object_set_new(o, "udp", zt_api_number(c->udp));
    json_object_set_new(o, "connects", zt_api_number(c->connects));
    json_object_set_new(o, "accepts", zt_api_number(c->accepts));
    json_object_set_new(o, "refused", zt_api_number(c->refused));
    json_object_set_new(o, "bytesIn", zt_api_number(c->bytes_in));
    json_object_set_new(o, "bytesOut", zt_api_number(c->bytes_out));
    json_object_set_new(o, "memory", zt_api_number(c->memory));
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

/* The local API's status, and what it has no place for. */
static json_t *info_json(struct zt_node *n)
{
    struct zt_status_info s;
    struct zt_udp_stats us;
    struct zt_proxy_counts pc;
    zt_core_status(n->core, &s);
    zt_udp_stats(n->udp, &us);
    zt_proxy_counts(n->proxy, &pc);

    json_t *o = zt_status_json(n);
    json_object_set_new(o, "libztVersion", json_string(ZT_VERSION));
    json_object_set_new(o, "home", json_string(n->home));
    json_object_set_new(o, "pid", json_integer(getpid()));
    json_object_set_new(o, "port", json_integer(n->port));
    json_object_set_new(o, "secondaryPort", json_integer(zt_udp_slot(n->udp, ZT_UDP_SECONDARY)));
    json_object_set_new(o, "tertiaryPort", json_integer(zt_udp_slot(n->udp, ZT_UDP_TERTIARY)));
    json_object_set_new(o, "mapped", zt_api_ep(&n->mapped));
    json_object_set_new(o, "underlay", json_string(underlay_text(zt_core_underlay(n->core))));
    json_object_set_new(o, "isRoot", json_boolean(s.is_root));
    json_object_set_new(o, "sticky", json_boolean(n->sticky));
    json_object_set_new(o, "roots", zt_api_number(s.nroots));
    json_object_set_new(o, "peers", zt_api_number(s.npeers));
    json_object_set_new(o, "networks", zt_api_number(s.nnetworks));
    json_object_set_new(o, "packetsIn", zt_api_number(s.packets_in));
    json_object_set_new(o, "packetsOut", zt_api_number(s.packets_out));
    json_object_set_new(o, "bytesIn", zt_api_number(s.bytes_in));
    json_object_set_new(o, "bytesOut", zt_api_number(s.bytes_out));
    json_object_set_new(o, "packetsRelayed", zt_api_number(s.packets_relayed));
    json_object_set_new(o, "framesDropped", zt_api_number(n->in_dropped));
    json_object_set_new(o, "drops", drops_json(zt_core_drops(n->core)));
    json_object_set_new(o, "udp", udp_json(&us));
    json_object_set_new(o, "sockets", sockets_count_json(&pc));
    return o;
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
    json_object_set_new(o, "id", zt_api_hex(s->id, 16));
    json_object_set_new(o, "type", json_string(s->phase == ZT_PHASE_DATAGRAM ? "udp" : "tcp"));
    json_object_set_new(o, "state",
                        json_string(s->phase <= ZT_PHASE_DATAGRAM ? phase_names[s->phase] : ""));
    json_object_set_new(o, "local", slot_ep(s->lfamily, s->lip, s->lport));
    json_object_set_new(o, "remote", slot_ep(s->rfamily, s->rip, s->rport));
    json_object_set_new(o, "unacked", json_integer(s->unacked));
    json_object_set_new(o, "merged", json_boolean(s->twin != 0)); /* the host's side as well */
    json_object_set_new(o, "rxBytes", zt_api_number(bytes_in));
    json_object_set_new(o, "txBytes", zt_api_number(bytes_out));
    json_array_append_new(user, o);
}

static json_t *sockets_json(struct zt_node *n)
{
    json_t *a = json_array();
    zt_proxy_each(n->proxy, add_socket, a);
    return a;
}

/* ---- answers -----------------------------------------------------------------------------------
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

static void cmd_join(struct zt_node *n, const char *id, zt_command_done *done, void *arg)
{
    uint64_t nwid;
    if (zt_hex_parse_u64(id, 16, &nwid) != 0 || nwid == 0) {
        refuse(done, arg, EINVAL, "a network id is 16 hex digits");
        return;
    }
    int rc = zt_nets_join(n, nwid);
    zt_host_drain(n);
    if (rc != 0)
        refuse(done, arg, rc == ZT_E_LIMIT ? ENOSPC : ENOMEM, zt_err_text(rc));
    else
        answer(done, arg, zt_network_json(n, nwid, true));
}

static void cmd_leave(struct zt_node *n, const char *id, zt_command_done *done, void *arg)
{
    uint64_t nwid;
    if (zt_hex_parse_u64(id, 16, &nwid) != 0 || nwid == 0)
        refuse(done, arg, EINVAL, "a network id is 16 hex digits");
    else if (zt_nets_leave(n, nwid) != 0)
        refuse(done, arg, ENOENT, "not joined to this network; 'ztctl networks' shows those that are");
    else
        answer(done, arg, zt_api_result());
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
        refuse(done, arg, ENOENT, "this moon is not orbited; 'ztctl moons' shows those that are");
    else
        answer(done, arg, zt_api_result());
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
    if (zt_nets_settings(n, nwid, &s) != 0) {
        refuse(done, arg, ENOENT, "not joined to this network; 'ztctl networks' shows those that are");
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
                     rc == ZT_E_NOENT   ? "no setting is called '%.60s'; there are allowManaged, "
                                          "allowGlobal, allowDefault and allowDNS"
                     : rc == ZT_E_LIMIT ? "%.60s: too many prefixes"
                                        : "%.60s: give 0 or 1 (allowManaged: or prefixes)",
                     word);
            refuse(done, arg, EINVAL, msg);
            return;
        }
        at += len;
    }
    (void)zt_nets_set(n, nwid, &s);
    answer(done, arg, zt_network_json(n, nwid, true));
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
    json_t *o = zt_network_json(n, nwid, true), *v, *one;
    if (o == NULL) {
        refuse(done, arg, ENOENT, "not joined to this network; 'ztctl networks' shows those that are");
    } else if (*key == 0) {
        answer(done, arg, o);
    } else if ((v = json_object_get(o, key)) == NULL) {
        json_decref(o);
        char msg[128];
        snprintf(msg, sizeof msg, "a network has no property '%.60s'; 'ztctl get NWID' shows those that it has", key);
        refuse(done, arg, EINVAL, msg);
    } else {
        one = json_object();
        json_object_set(one, key, v);
        json_decref(o);
        answer(done, arg, one);
    }
}

/* ---- the local API through the control socket --------------------------------------------------
 * "api METHOD PATH [BODY]"; the answer is a line "STATUS TYPE" ("-": no body), then the body. */

struct api_call {
    zt_command_done *done;
    void *arg;
};

static void api_done(void *arg, int status, const char *type, const char *body, size_t n)
{
    struct api_call *c = arg;
    char *text = NULL;
    int len = asprintf(&text, "%d %s\n%.*s", status, type != NULL ? type : "-", (int)n, body);
    if (len < 0)
        refuse(c->done, c->arg, ENOMEM, "out of memory");
    else
        c->done(c->arg, 0, text, (size_t)len);
    free(text);
    free(c);
}

static void cmd_api(struct zt_node *n, const char *text, zt_command_done *done, void *arg)
{
    char method[8], *path = NULL;
    const char *blank = strchr(text, ' ');
    if (blank == NULL || (size_t)(blank - text) >= sizeof method) {
        refuse(done, arg, EINVAL, "api METHOD PATH [BODY]");
        return;
    }
    snprintf(method, sizeof method, "%.*s", (int)(blank - text), text);
    const char *rest = blank + 1, *end = strchrnul(rest, ' ');
    const char *body = *end != 0 ? end + 1 : end;
    struct api_call *c = calloc(1, sizeof *c);
    if (c == NULL || (path = strndup(rest, (size_t)(end - rest))) == NULL) {
        free(c);
        refuse(done, arg, ENOMEM, "out of memory");
        return;
    }
    *c = (struct api_call){done, arg};
    struct zt_api_request r = {method, path, *body != 0 ? body : NULL, strlen(body)};
    zt_api_call(n, &r, api_done, c);
    free(path);
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static void cmd_info(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    answer(done, arg, info_json(n));
}

static void cmd_networks(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    answer(done, arg, zt_networks_json(n, true));
}

static void cmd_peers(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    answer(done, arg, zt_peers_json(n, true));
}

static void cmd_sockets(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    answer(done, arg, sockets_json(n));
}

static void cmd_moons(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    answer(done, arg, zt_moons_json(n, true));
}

static void cmd_reload(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    zt_reload_start(n, done, arg);
}

static void cmd_up(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    n->sticky = true;
    answer(done, arg, zt_api_result());
}

static void cmd_down(struct zt_node *n, const char *args, zt_command_done *done, void *arg)
{
    answer(done, arg, zt_api_result());
    (void)zt_node_stop(n);
}

typedef void command_fn(struct zt_node *n, const char *args, zt_command_done *done, void *arg);

static const struct {
    const char *name;
    bool has_args; /* a space and something follow; else nothing does */
    command_fn *run;
} commands[] = {
    {"api", true, cmd_api},
    {"deorbit", true, cmd_deorbit},
    {"down", false, cmd_down},
    {"get", true, cmd_get},
    {"info", false, cmd_info},
    {"join", true, cmd_join},
    {"leave", true, cmd_leave},
    {"moons", false, cmd_moons},
    {"networks", false, cmd_networks},
    {"orbit", true, cmd_orbit},
    {"peers", false, cmd_peers},
    {"ping", true, zt_ping_start},
    {"reload", false, cmd_reload},
    {"resolve", true, zt_resolve_command},
    {"set", true, cmd_set},
    {"sockets", false, cmd_sockets},
    {"up", false, cmd_up},
};

/* What a preloaded program says on behalf of its own calls; everything else is the owner's to say. */
bool zt_command_is_for_all(const char *text)
{
    return strncmp(text, "resolve ", strlen("resolve ")) == 0;
}

void zt_command_run(struct zt_node *n, const char *text, zt_command_done *done, void *arg)
{
    size_t len = strcspn(text, " ");
    bool has_args = text[len] == ' ';
    command_fn *run = NULL;
    for (size_t i = 0; i < sizeof commands / sizeof *commands && run == NULL; i++)
        if (strlen(commands[i].name) == len && memcmp(commands[i].name, text, len) == 0 &&
            commands[i].has_args == has_args)
            run = commands[i].run;
    zt_loop_update(n->loop);
    zt_stack_now(n->stack, zt_loop_now(n->loop)->mono_ms);
    if (run != NULL)
        run(n, text + len + has_args, done, arg);
    else
        refuse(done, arg, EINVAL, "unknown command");
    zt_loop_touch(n->loop);
}
