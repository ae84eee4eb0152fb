/* Value types: node address, MAC, IP endpoint. No allocation, no system call.
 *
 * A node address is a 40-bit number in a uint64_t, a MAC a 48-bit number (first byte on the wire =
 * most significant), a network id all 64 bits. */
#ifndef ZT_BASE_ADDR_H
#define ZT_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ZT_ADDR_MASK 0xffffffffffULL
#define ZT_MAC_BROADCAST 0xffffffffffffULL
#define ZT_ADDR_STR 11 /* 10 hex digits and the end */
#define ZT_NWID_STR 17
#define ZT_EP_STR 56 /* longest IPv6 text, '/', port, the end */

/* IP endpoint (address and UDP port), or address and prefix length, or nothing. Unused ip bytes are
 * zero, so that memcmp compares; zt_ep_make and the decoders keep that. */
struct zt_ep {
    uint8_t family; /* 0 none, 4, 6 */
    uint8_t zero;
    uint16_t port; /* host byte order; prefix length where said so */
    uint8_t ip[16];
};

/* What a datagram came in on or goes out on: local socket and remote endpoint (vl1.md 0, "path").
 * sock is the host's number for a bound UDP socket, -1 = every socket of the family. */
struct zt_link {
    int sock;
    struct zt_ep ep;
};

/* IP scope classes, vl1.md 5.2; order matters, higher is preferred. */
enum zt_scope {
    ZT_SCOPE_NONE,
    ZT_SCOPE_MULTICAST,
    ZT_SCOPE_LOOPBACK,
    ZT_SCOPE_PSEUDO_PRIVATE,
    ZT_SCOPE_GLOBAL,
    ZT_SCOPE_LINK_LOCAL,
    ZT_SCOPE_SHARED,
    ZT_SCOPE_PRIVATE,
};

static inline bool zt_addr_reserved(uint64_t addr)
{
    return addr == 0 || addr >> 32 == 0xff;
}

static inline uint64_t zt_nwid_controller(uint64_t nwid)
{
    return nwid >> 24;
}

static inline bool zt_mac_is_multicast(uint64_t mac)
{
    return (mac >> 40 & 1) != 0;
}

static inline bool zt_ep_equal(const struct zt_ep *a, const struct zt_ep *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Same family and IP; the port is ignored. */
static inline bool zt_ep_same_ip(const struct zt_ep *a, const struct zt_ep *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, 16) == 0;
}

struct zt_ep zt_ep_make(uint8_t family, const void *ip, uint16_t port);
enum zt_scope zt_ep_scope(const struct zt_ep *ep);
uint64_t zt_ep_hash(const struct zt_ep *ep);

/* `net` holds its prefix length in port: does it contain ep? (vl1.md 5.1) */
bool zt_ep_in_prefix(const struct zt_ep *net, const struct zt_ep *ep);
/* The same prefix with the bits after it cleared; the mask of a prefix (same length in port); the
 * highest address of an IPv4 prefix. A length beyond the family's counts as the full one. */
struct zt_ep zt_ep_network(const struct zt_ep *prefix);
struct zt_ep zt_ep_netmask(const struct zt_ep *prefix);
struct zt_ep zt_ep_broadcast(const struct zt_ep *prefix);

/* "10.1.2.3/9993", "fd00::1/64"; a missing "/n" gives 0. Strict: the whole text must be used.
 * Returns 0 or ZT_E_FORMAT. */
int zt_ep_parse(const char *text, struct zt_ep *out);
/* Writes the text form (empty for none) and returns out. */
char *zt_ep_format(const struct zt_ep *ep, char out[ZT_EP_STR]);
/* The same without "/n". */
char *zt_ep_format_ip(const struct zt_ep *ep, char out[ZT_EP_STR]);

/* vl2.md 1.4: MAC of a node on a network, and back. */
uint64_t zt_mac_of(uint64_t addr, uint64_t nwid);
uint64_t zt_mac_to_addr(uint64_t mac, uint64_t nwid);
/* First byte of every member's MAC on this network. */
uint8_t zt_mac_first(uint64_t nwid);

/* vl2.md 1.7: derived IPv6 addresses; port = prefix length (40, 88, 64). */
struct zt_ep zt_ep_6plane(uint64_t nwid, uint64_t addr);
struct zt_ep zt_ep_rfc4193(uint64_t nwid, uint64_t addr);
struct zt_ep zt_ep_link_local(uint64_t mac);

/* vl2.md 1.6: multicast group for resolving an address. */
void zt_resolution_group(const struct zt_ep *ep, uint64_t *mac, uint32_t *adi);

/* Lower-case hex. zt_hex_encode writes 2n digits and the end. zt_hex_decode takes exactly 2n
 * digits of either case and returns 0, or ZT_E_FORMAT. */
char *zt_hex_encode(const void *p, size_t n, char *out);
int zt_hex_decode(const char *text, void *out, size_t n);
/* Exactly `digits` (<= 16) hex digits, then the end of the string. */
int zt_hex_parse_u64(const char *text, unsigned digits, uint64_t *out);

#endif
