/* Addresses: between the public structures, the control protocol and text. No node needed. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "api/zts_priv.h"

/* ---- conversions --------------------------------------------------------------------------------
 */

int zts_addr_in(int family, const void *addr, zts_socklen_t len, struct zt_ctl_addr *out)
{
    if (addr == NULL || len < sizeof(struct zts_sockaddr_in) ||
        len > sizeof(struct zts_sockaddr_in6))
        return ZTS_ERR_ARG;
    memset(out, 0, sizeof *out);
    /* Copied: the caller's pointer may be of any of these types, and not aligned for ours. */
    struct zts_sockaddr head;
    memcpy(&head, addr, sizeof head);
    if (head.sa_family == ZTS_AF_INET && family == ZTS_AF_INET) {
        struct zts_sockaddr_in a;
        memcpy(&a, addr, sizeof a);
        out->family = 4;
        out->port = ntohs(a.sin_port);
        memcpy(out->ip, &a.sin_addr, 4);
        return ZTS_ERR_OK;
    }
    if (head.sa_family != ZTS_AF_INET6 || family != ZTS_AF_INET6)
        return zts_fail(EAFNOSUPPORT);
    if (len < sizeof(struct zts_sockaddr_in6))
        return zts_fail(EINVAL);
    struct zts_sockaddr_in6 a;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(&a, addr, sizeof a);
    out->port = ntohs(a.sin6_port);
    if (memcmp(&a.sin6_addr, mapped, 12) == 0) {
        out->family = 4;
        memcpy(out->ip, a.sin6_addr.un.u8_addr + 12, 4);
    } else {
        out->family = 6;
        out->scope = a.sin6_scope_id;
        memcpy(out->ip, &a.sin6_addr, 16);
    }
    return ZTS_ERR_OK;
}

void zts_addr_out(int family, const struct zt_ctl_addr *a, void *addr, zts_socklen_t *len)
{
    union {
        struct zts_sockaddr_in in4;
        struct zts_sockaddr_in6 in6;
    } u;
    memset(&u, 0, sizeof u);
    zts_socklen_t full;
    if (family == ZTS_AF_INET6) {
        full = sizeof u.in6;
        u.in6.sin6_family = ZTS_AF_INET6;
        u.in6.sin6_port = htons(a->port);
        u.in6.sin6_scope_id = a->scope;
        if (a->family == 4) {
            memset(u.in6.sin6_addr.un.u8_addr + 10, 0xff, 2);
            memcpy(u.in6.sin6_addr.un.u8_addr + 12, a->ip, 4);
        } else {
            memcpy(&u.in6.sin6_addr, a->ip, 16);
        }
    } else {
        full = sizeof u.in4;
        u.in4.sin_family = ZTS_AF_INET;
        u.in4.sin_port = htons(a->port);
        memcpy(&u.in4.sin_addr, a->ip, 4);
    }
    memcpy(addr, &u, *len < full ? *len : full);
    *len = full;
}

void zts_storage_from_ep(const struct zt_ep *ep, struct zts_sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (ep->family == 0)
        return;
    struct zt_ctl_addr a = {.family = ep->family, .port = ep->port};
    zts_socklen_t len = sizeof *out;
    memcpy(a.ip, ep->ip, 16);
    zts_addr_out(ep->family == 4 ? ZTS_AF_INET : ZTS_AF_INET6, &a, out, &len);
}

/* ---- helpers ------------------------------------------------------------------------------------
 */

uint16_t zts_htons(uint16_t n)
{
    return htons(n);
}

uint32_t zts_htonl(uint32_t n)
{
    return htonl(n);
}

uint16_t zts_ntohs(uint16_t n)
{
    return ntohs(n);
}

uint32_t zts_ntohl(uint32_t n)
{
    return ntohl(n);
}

static int host_family(int family)
{
    return family == ZTS_AF_INET ? AF_INET : family == ZTS_AF_INET6 ? AF_INET6 : -1;
}

const char *zts_inet_ntop(int family, const void *src, char *dst, zts_socklen_t size)
{
    if (src == NULL || dst == NULL)
        return NULL;
    const char *text = inet_ntop(host_family(family), src, dst, size);
    if (text == NULL)
        (void)zts_fail(errno);
    return text;
}

int zts_inet_pton(int family, const char *src, void *dst)
{
    if (src == NULL || dst == NULL)
        return 0;
    int rc = inet_pton(host_family(family), src, dst);
    if (rc < 0)
        (void)zts_fail(errno);
    return rc;
}

uint32_t zts_inet_addr(const char *cp)
{
    struct in_addr a;
    /* inet_aton, not inet_addr, whose error can't be told from 255.255.255.255 - but the value of
     * the public function is the same for both. */
    if (cp == NULL || inet_aton(cp, &a) == 0)
        return ZTS_IPADDR_NONE;
    return a.s_addr;
}

static int derived(struct zts_sockaddr_storage *addr, struct zt_ep ep)
{
    ep.port = 0;
    zts_storage_from_ep(&ep, addr);
    return ZTS_ERR_OK;
}

int zts_get_6plane_addr(struct zts_sockaddr_storage *addr, const uint64_t networkId,
                        const uint64_t nodeId)
{
    if (addr == NULL || networkId == 0 || nodeId == 0)
        return ZTS_ERR_ARG;
    return derived(addr, zt_ep_6plane(networkId, nodeId));
}

int zts_get_rfc4193_addr(struct zts_sockaddr_storage *addr, const uint64_t networkId,
                         const uint64_t nodeId)
{
    if (addr == NULL || networkId == 0 || nodeId == 0)
        return ZTS_ERR_ARG;
    return derived(addr, zt_ep_rfc4193(networkId, nodeId));
}

uint64_t zts_generate_adhoc_nwid_from_range(uint16_t startPort, uint16_t endPort)
{
    return 0xffull << 56 | (uint64_t)startPort << 40 | (uint64_t)endPort << 24;
}

void zts_delay_ms(long interval_ms)
{
    if (interval_ms <= 0)
        return;
    struct timespec t = {.tv_sec = interval_ms / 1000, .tv_nsec = interval_ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}
