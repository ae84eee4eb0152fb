/* The configuration of a network as a dictionary (vl2.md 3.3 - 3.8), the request for one (3.2) and
 * the signed pieces it travels in (2.6). */
#ifndef ZT_WIRE_NETCONF_H
#define ZT_WIRE_NETCONF_H

#include "base/info.h"
#include "wire/creds.h"
#include "wire/dict.h"
#include "wire/rules.h"

#define ZT_NETCONF_MAX 484520 /* a dictionary is smaller */
#define ZT_NETCONF_NAME 128
#define ZT_NETCONF_ROUTES 128
#define ZT_NETCONF_ADDRS 32
#define ZT_NETCONF_SPECIALISTS 256
#define ZT_NETCONF_CAPS 128
#define ZT_NETCONF_TAGS 128
#define ZT_NETCONF_COOS 4
#define ZT_NETCONF_DNS 4
#define ZT_NET_MTU_DEFAULT 2800
#define ZT_NET_MTU_MIN 1280
#define ZT_NET_MTU_MAX 10000

#define ZT_ROLE_BRIDGE 0x0000020000000000ULL /* specialists: high bits */
#define ZT_ROLE_ANCHOR 0x0000040000000000ULL
#define ZT_ROLE_REPLICATOR 0x0000080000000000ULL

struct zt_netconf {
    uint64_t nwid;
    uint64_t issued_to;
    int64_t timestamp; /* of the controller */
    int64_t max_delta; /* window of credentials, ms */
    uint64_t revision;
    uint64_t trace_target;
    uint64_t trace_level;
    uint64_t flags; /* vl2/rules.h */
    bool is_public;
    unsigned multicast_limit;
    unsigned mtu;
    char name[ZT_NETCONF_NAME];

    bool has_com;
    struct zt_com com;

    unsigned ncaps, ntags, ncoos; /* serialized credentials; caps and tags sorted by id */
    struct zt_span caps[ZT_NETCONF_CAPS];
    struct zt_span tags[ZT_NETCONF_TAGS];
    struct zt_span coos[ZT_NETCONF_COOS];

    struct zt_span rules; /* entries, decode with zt_rules_decode */
    unsigned nrules;      /* at most ZT_RULES_MAX */

    unsigned nspecialists, nroutes, naddrs;
    uint64_t specialists[ZT_NETCONF_SPECIALISTS];
    struct zt_route routes[ZT_NETCONF_ROUTES];
    struct zt_ep addrs[ZT_NETCONF_ADDRS]; /* port: prefix length */

    char dns_domain[128];
    struct zt_ep dns[ZT_NETCONF_DNS]; /* family 0: unused */

    unsigned sso_version; /* 0, 1; others: none of the fields */
    bool sso_enabled;
    uint64_t sso_expiry_ms;
    struct zt_span sso_url; /* version 0 */
    struct zt_span sso_issuer, sso_central, sso_nonce, sso_state, sso_client, sso_provider;
};

/* Parse a dictionary of n < ZT_NETCONF_MAX bytes. Spans of *out point into arena (n + 1 bytes),
 * which must live as long. Returns 0 or ZT_E_FORMAT (refused; *out undefined). */
int zt_netconf_decode(const uint8_t *dict, size_t n, uint8_t *arena, struct zt_netconf *out);
/* Returns 0 or ZT_E_SPACE. */
int zt_netconf_encode(const struct zt_netconf *conf, struct zt_wr *w);

/* The metadata of NETWORK_CONFIG_REQUEST; platform: "linux/x86_64". Returns 0 or ZT_E_SPACE. */
int zt_netconf_request(struct zt_wr *w, const char *platform);

#define ZT_CHUNK_DATA 9740 /* most dictionary bytes in one chunk */
#define ZT_CHUNK_OVERHEAD (10 + 17 + 3 + ZT_SIG)

/* One piece. Views into the packet. */
struct zt_chunk {
    uint64_t nwid;
    struct zt_span data;
    bool is_legacy; /* unsigned and whole: nothing below is set but total */
    uint8_t flags;
    uint64_t update_id;
    uint32_t total, offset;
    const uint8_t *sig;
    struct zt_span text; /* what is signed */
    struct zt_span all;  /* what is passed on when flags has ZT_CHUNK_FAST */
};

#define ZT_CHUNK_FAST 0x01

/* Returns 0 or ZT_E_FORMAT. The signature is not checked. */
int zt_chunk_decode(const uint8_t *p, size_t n, struct zt_chunk *out);
/* Up to and including the offset: the signed text. Append 1, 96 (u16) and the signature. */
void zt_wr_chunk_text(struct zt_wr *w, uint64_t nwid, const uint8_t *data, size_t n, uint8_t flags,
                      uint64_t update_id, uint32_t total, uint32_t offset);
void zt_wr_chunk_sig(struct zt_wr *w, const uint8_t sig[ZT_SIG]);

#endif
