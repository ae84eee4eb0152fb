/* What the core tells about itself: plain copies for the API, ztctl and tests. */
#ifndef ZT_BASE_INFO_H
#define ZT_BASE_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define ZT_INFO_PATHS 16
#define ZT_INFO_ADDRS 32
#define ZT_INFO_ROUTES 128
#define ZT_INFO_DNS 4
#define ZT_INFO_NAME 128

enum zt_role {
    ZT_ROLE_LEAF,
    ZT_ROLE_MOON,
    ZT_ROLE_PLANET,
};

struct zt_path_info {
    struct zt_ep ep;
    int sock;
    int64_t last_out_ms, last_in_ms; /* monotonic; -1 never */
    int latency_ms;                  /* -1 unknown */
    bool expired, preferred;
    uint64_t trusted_path; /* id under which it carries plaintext; 0: it doesn't */
};

struct zt_peer_info {
    uint64_t addr;
    int version_proto, version_major, version_minor, version_rev; /* -1 unknown */
    int latency_ms;                                               /* -1 unknown */
    enum zt_role role;
    bool is_alive; /* heard from within the activity timeout */
    unsigned npaths;
    struct zt_path_info paths[ZT_INFO_PATHS]; /* the preferred one, unexpired ones, others;
                                                 no unexpired one: relayed */
};

/* vl2.md 8.5 */
enum zt_net_status {
    ZT_NET_REQUESTING_CONFIGURATION,
    ZT_NET_OK,
    ZT_NET_ACCESS_DENIED,
    ZT_NET_NOT_FOUND,
    ZT_NET_PORT_ERROR,
    ZT_NET_CLIENT_TOO_OLD,
    ZT_NET_AUTHENTICATION_REQUIRED,
};

struct zt_route {
    struct zt_ep target; /* port: prefix length */
    struct zt_ep via;    /* family 0: on the network itself */
    uint16_t flags, metric;
};

struct zt_net_info {
    uint64_t nwid;
    uint64_t mac;
    enum zt_net_status status;
    int port_error;  /* ZT_E_* of the interface, 0: none */
    bool has_config; /* since it was joined or from the cache; stays when the status is a refusal */
    bool is_public, bridge, broadcast;
    unsigned mtu; /* as configured; the interface may use less */
    unsigned multicast_limit;
    uint64_t revision;
    char name[ZT_INFO_NAME];
    char dns_domain[ZT_INFO_NAME];
    unsigned ndns;
    struct zt_ep dns[ZT_INFO_DNS]; /* port 0 */
    bool sso_enabled;
    uint64_t sso_expiry_ms; /* wall clock; 0 unknown */
    unsigned naddrs;
    struct zt_ep addrs[ZT_INFO_ADDRS]; /* port: prefix length */
    /* Last, so that a copy carries only the ones in use (zt_net_info_size). */
    unsigned nroutes;
    struct zt_route routes[ZT_INFO_ROUTES];
};

/* The part of *i that says something. Two that were zeroed before they were filled are equal when
 * these bytes are. */
static inline size_t zt_net_info_size(const struct zt_net_info *i)
{
    return offsetof(struct zt_net_info, routes) + i->nroutes * sizeof i->routes[0];
}

/* What a network that wants its users to log in says about it (vl2.md 3.8, 8.5). */
struct zt_net_auth {
    bool enabled;
    unsigned version;   /* 0: url; 1: the others */
    uint64_t expiry_ms; /* wall clock; 0 unknown */
    char url[2048];
    char issuer[2048], central[2048], nonce[128], state[256], client[256], provider[64];
};

struct zt_group_info {
    uint64_t mac;
    uint32_t adi;
};

/* One of the tables that others can fill: how full it is, and what it never exceeds. */
struct zt_table_info {
    const char *name; /* static, lower case with '_' */
    size_t used, bound;
};
#define ZT_INFO_TABLES 24

/* What the owner of this node lets a network do to its interface (vl2.md 3.6, 8.4). */
#define ZT_INFO_ALLOWED 32
struct zt_net_settings {
    bool managed;  /* addresses and routes of the controller at all */
    bool global;   /* also public ones */
    bool defaults; /* also default routes */
    bool dns;
    unsigned nallowed;                     /* with managed: only inside these; 0: anywhere */
    struct zt_ep allowed[ZT_INFO_ALLOWED]; /* port: prefix length */
};

struct zt_status_info {
    uint64_t addr;
    bool online, is_root;
    uint64_t planet_id;
    int64_t planet_timestamp_ms;
    unsigned nroots, npeers, nnetworks;
    uint64_t packets_in, packets_out, bytes_in, bytes_out; /* datagrams, payload bytes of UDP */
    uint64_t packets_relayed;
    uint64_t identities_told;    /* in answers to WHOIS */
    uint64_t introductions;      /* pairs of nodes told of each other, by a root */
};

#endif
