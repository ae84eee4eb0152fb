/* What the core tells about itself: plain copies for the API, ztctl and tests. */
#ifndef ZT_BASE_INFO_H
#define ZT_BASE_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define ZT_INFO_PATHS 16
#define ZT_INFO_ADDRS 32
#define ZT_INFO_ROUTES 32
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
};

struct zt_peer_info {
    uint64_t addr;
    int version_proto, version_major, version_minor, version_rev; /* -1 unknown */
    int latency_ms;                                               /* -1 unknown */
    enum zt_role role;
    bool is_alive; /* heard from within the activity timeout */
    unsigned npaths;
    struct zt_path_info paths[ZT_INFO_PATHS]; /* unexpired direct paths first; none = relayed */
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
    bool is_public, bridge, broadcast;
    unsigned mtu;
    unsigned multicast_limit;
    uint64_t revision; /* 0: no configuration yet */
    char name[ZT_INFO_NAME];
    unsigned naddrs, nroutes;
    struct zt_ep addrs[ZT_INFO_ADDRS]; /* port: prefix length */
    struct zt_route routes[ZT_INFO_ROUTES];
};

struct zt_status_info {
    uint64_t addr;
    bool online, is_root;
    uint64_t planet_id;
    int64_t planet_timestamp_ms;
    unsigned nroots, npeers, nnetworks;
    uint64_t packets_in, packets_out, bytes_in, bytes_out; /* datagrams, payload bytes of UDP */
    uint64_t packets_relayed;
};

#endif
