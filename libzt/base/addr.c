#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"

struct zt_ep zt_ep_make(uint8_t family, const void *ip, uint16_t port)
{
    struct zt_ep ep = {.family = family, .port = port};
    memcpy(ep.ip, ip, family == 4 ? 4 : 16);
    return ep;
}

static enum zt_scope scope4(const uint8_t *ip)
{
    uint32_t a = zt_be32(ip);
    switch (ip[0]) {
    case 0:
    case 255:
        return ZT_SCOPE_NONE;
    case 10:
        return ZT_SCOPE_PRIVATE;
    case 127:
        return ZT_SCOPE_LOOPBACK;
    case 6:
    case 11:
    case 21:
    case 22:
    case 25:
    case 26:
    case 28:
    case 29:
    case 30:
    case 51:
    case 55:
    case 56:
        return ZT_SCOPE_PSEUDO_PRIVATE;
    default:
        break;
    }
    if (ip[0] >= 224)
        return ip[0] < 240 ? ZT_SCOPE_MULTICAST : ZT_SCOPE_PSEUDO_PRIVATE;
    static const struct {
        uint32_t net, mask;
        enum zt_scope scope;
    } nets[] = {
        {0x64400000, 0xffc00000, ZT_SCOPE_PRIVATE},    /* 100.64/10 */
        {0xa9fe0000, 0xffff0000, ZT_SCOPE_LINK_LOCAL}, /* 169.254/16 */
        {0xac100000, 0xfff00000, ZT_SCOPE_PRIVATE},    /* 172.16/12 */
        {0xc0a80000, 0xffff0000, ZT_SCOPE_PRIVATE},    /* 192.168/16 */
        {0xc0000200, 0xffffff00, ZT_SCOPE_PRIVATE},    /* 192.0.2/24 */
        {0xc6120000, 0xfffe0000, ZT_SCOPE_PRIVATE},    /* 198.18/15 */
        {0xc6336400, 0xffffff00, ZT_SCOPE_PRIVATE},    /* 198.51.100/24 */
        {0xcb007100, 0xffffff00, ZT_SCOPE_PRIVATE},    /* 203.0.113/24 */
    };
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++)
        if ((a & nets[i].mask) == nets[i].net)
            return nets[i].scope;
    return ZT_SCOPE_GLOBAL;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static enum zt_scope scope6(const uint8_t *ip)
{
    if (ip[0] == 0xff)
        return ZT_SCOPE_MULTICAST;
    if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)
        return all_zero(ip + 2, 13) && ip[15] == 1 ? ZT_SCOPE_LOOPBACK : ZT_SCOPE_LINK_LOCAL;
    if ((ip[0] & 0xfe) == 0xfc)
        return ZT_SCOPE_PRIVATE;
    if (all_zero(ip, 15))
        return ip[15] == 1 ? ZT_SCOPE_LOOPBACK : ip[15] == 0 ? ZT_SCOPE_NONE : ZT_SCOPE_GLOBAL;
    if (all_zero(ip, 10) && ip[10] == 0xff && ip[11] == 0xff && ip[12] == 127)
        return ZT_SCOPE_LOOPBACK;
    return ZT_SCOPE_GLOBAL;
}

enum zt_scope zt_ep_scope(const struct zt_ep *ep)
{
    if (ep->family == 4)
        return scope4(ep->ip);
    return ep->family == 6 ? scope6(ep->ip) : ZT_SCOPE_NONE;
}

uint64_t zt_ep_hash(const struct zt_ep *ep)
{
    uint64_t h = (zt_be64(ep->ip) ^ (uint64_t)ep->family << 56) * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 29;
    h = (h ^ zt_be64(ep->ip + 8)) * 0xd6e8feb86659fd93ULL;
    h ^= h >> 32;
    return (h ^ ep->port) * 0x9e3779b97f4a7c15ULL;
}

static unsigned prefix_bits(const struct zt_ep *prefix)
{
    unsigned max = prefix->family == 4 ? 32 : prefix->family == 6 ? 128 : 0;
    return prefix->port < max ? prefix->port : max;
}

bool zt_ep_in_prefix(const struct zt_ep *net, const struct zt_ep *ep)
{
    unsigned bits = prefix_bits(net);
    if (net->family == 0 || net->family != ep->family)
        return false;
    if (memcmp(net->ip, ep->ip, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((net->ip[bits / 8] ^ ep->ip[bits / 8]) & (0xff << (8 - rest)) & 0xff) == 0;
}

struct zt_ep zt_ep_netmask(const struct zt_ep *prefix)
{
    struct zt_ep mask = {.family = prefix->family, .port = prefix->port};
    unsigned bits = prefix_bits(prefix);
    memset(mask.ip, 0xff, bits / 8);
    if (bits % 8 != 0)
        mask.ip[bits / 8] = (uint8_t)(0xff << (8 - bits % 8));
    return mask;
}

struct zt_ep zt_ep_network(const struct zt_ep *prefix)
{
    struct zt_ep net = *prefix, mask = zt_ep_netmask(prefix);
    for (size_t i = 0; i < sizeof net.ip; i++)
        net.ip[i] &= mask.ip[i];
    return net;
}

struct zt_ep zt_ep_broadcast(const struct zt_ep *prefix)
{
    struct zt_ep top = *prefix, mask = zt_ep_netmask(prefix);
    for (size_t i = 0; i < 4; i++)
        top.ip[i] |= (uint8_t)~mask.ip[i];
    return top;
}

int zt_ep_parse(const char *text, struct zt_ep *out)
{
    char ip[ZT_EP_STR];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    struct zt_ep ep = {0};

    if (n == 0 || n >= sizeof ip)
        return ZT_E_FORMAT;
    memcpy(ip, text, n);
    ip[n] = 0;
    if (slash != NULL) {
        char *end;
        if (slash[1] < '0' || slash[1] > '9')
            return ZT_E_FORMAT;
        unsigned long v = strtoul(slash + 1, &end, 10);
        if (*end != 0 || v > 65535)
            return ZT_E_FORMAT;
        ep.port = (uint16_t)v;
    }
    ep.family = strchr(ip, ':') ? 6 : 4;
    if (inet_pton(ep.family == 6 ? AF_INET6 : AF_INET, ip, ep.ip) != 1)
        return ZT_E_FORMAT;
    *out = ep;
    return 0;
}

char *zt_ep_format_ip(const struct zt_ep *ep, char out[ZT_EP_STR])
{
    out[0] = 0;
    if (ep->family != 0)
        inet_ntop(ep->family == 6 ? AF_INET6 : AF_INET, ep->ip, out, ZT_EP_STR);
    return out;
}

char *zt_ep_format(const struct zt_ep *ep, char out[ZT_EP_STR])
{
    zt_ep_format_ip(ep, out);
    if (ep->family != 0) {
        size_t n = strlen(out);
        snprintf(out + n, ZT_EP_STR - n, "/%u", ep->port);
    }
    return out;
}

uint8_t zt_mac_first(uint64_t nwid)
{
    uint8_t b = (uint8_t)((nwid & 0xfe) | 0x02);
    return b == 0x52 ? 0x32 : b;
}

/* Bytes 1..5 of the network id, applied in little-endian order to the low 40 bits. */
static uint64_t mac_mask(uint64_t nwid)
{
    uint64_t m = 0;
    for (unsigned k = 1; k <= 5; k++)
        m = m << 8 | (nwid >> 8 * k & 0xff);
    return m;
}

uint64_t zt_mac_of(uint64_t addr, uint64_t nwid)
{
    return (uint64_t)zt_mac_first(nwid) << 40 | ((addr & ZT_ADDR_MASK) ^ mac_mask(nwid));
}

uint64_t zt_mac_to_addr(uint64_t mac, uint64_t nwid)
{
    return (mac & ZT_ADDR_MASK) ^ mac_mask(nwid);
}

struct zt_ep zt_ep_6plane(uint64_t nwid, uint64_t addr)
{
    struct zt_ep ep = {.family = 6, .port = 40};
    ep.ip[0] = 0xfc;
    zt_put32(ep.ip + 1, (uint32_t)(nwid ^ nwid >> 32));
    zt_put40(ep.ip + 5, addr);
    ep.ip[15] = 1;
    return ep;
}

struct zt_ep zt_ep_rfc4193(uint64_t nwid, uint64_t addr)
{
    struct zt_ep ep = {.family = 6, .port = 88};
    ep.ip[0] = 0xfd;
    zt_put64(ep.ip + 1, nwid);
    ep.ip[9] = 0x99;
    ep.ip[10] = 0x93;
    zt_put40(ep.ip + 11, addr);
    return ep;
}

struct zt_ep zt_ep_link_local(uint64_t mac)
{
    struct zt_ep ep = {.family = 6, .port = 64};
    uint8_t m[6];
    zt_put48(m, mac);
    ep.ip[0] = 0xfe;
    ep.ip[1] = 0x80;
    ep.ip[8] = m[0] & 0xfd;
    ep.ip[9] = m[1];
    ep.ip[10] = m[2];
    ep.ip[11] = 0xff;
    ep.ip[12] = 0xfe;
    memcpy(ep.ip + 13, m + 3, 3);
    return ep;
}

void zt_resolution_group(const struct zt_ep *ep, uint64_t *mac, uint32_t *adi)
{
    if (ep->family == 4) {
        *mac = ZT_MAC_BROADCAST;
        *adi = zt_be32(ep->ip);
    } else {
        *mac = 0x3333ff000000ULL | (zt_be32(ep->ip + 12) & 0xffffff);
        *adi = 0;
    }
}

char *zt_hex_encode(const void *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = 0;
    return out;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int zt_hex_decode(const char *text, void *out, size_t n)
{
    uint8_t *b = out;
    for (size_t i = 0; i < n; i++) {
        int hi = digit(text[2 * i]);
        int lo = hi < 0 ? -1 : digit(text[2 * i + 1]);
        if (lo < 0)
            return ZT_E_FORMAT;
        b[i] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}

int zt_hex_parse_u64(const char *text, unsigned digits, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < digits; i++) {
        int d = digit(text[i]);
        if (d < 0)
            return ZT_E_FORMAT;
        v = v << 4 | (uint64_t)d;
    }
    if (text[digits] != 0)
        return ZT_E_FORMAT;
    *out = v;
    return 0;
}
