/* Texts of addresses, waiting, and sets of roots. No node needed. */
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "api18/api18.h"
#include "crypto/sign.h"

const struct zts_in6_addr zts_in6addr_any = ZTS_IN6ADDR_ANY_INIT;

void zts_util_delay(unsigned long milliseconds)
{
    struct timespec t = {.tv_sec = (time_t)(milliseconds / 1000),
                         .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* ---- addresses
 * -----------------------------------------------------------------------------------
 */

static int host_family(int family)
{
    return family == ZTS_AF_INET ? AF_INET : family == ZTS_AF_INET6 ? AF_INET6 : -1;
}

const char *zts_inet_ntop(int family, const void *src, char *dst, zts_socklen_t size)
{
    if (src == NULL || dst == NULL)
        return NULL;
    if (inet_ntop(host_family(family), src, dst, size) == NULL) {
        zts_engine_errno(errno);
        return NULL;
    }
    for (char *c = dst; *c != 0; c++)
        *c = (char)toupper((unsigned char)*c);
    return dst;
}

int zts_inet_pton(int family, const char *src, void *dst)
{
    return one_inet_pton(family, src, dst);
}

void zts18_ip_text(int family, const void *ip, char *dst)
{
    if (zts_inet_ntop(family, ip, dst, ZTS_IP_MAX_STR_LEN) == NULL)
        dst[0] = 0;
}

void zts18_ep_text(const struct zt_ep *ep, char *dst)
{
    zts18_ip_text(ep->family == 6 ? ZTS_AF_INET6 : ZTS_AF_INET, ep->ip, dst);
}

void zts18_ep_storage(const struct zt_ep *ep, struct zts_sockaddr_storage *out)
{
    struct zts_sockaddr_in in4 = {.sin_family = ZTS_AF_INET, .sin_port = htons(ep->port)};
    struct zts_sockaddr_in6 in6 = {.sin6_family = ZTS_AF_INET6, .sin6_port = htons(ep->port)};
    memcpy(&in4.sin_addr, ep->ip, sizeof in4.sin_addr);
    memcpy(&in6.sin6_addr, ep->ip, sizeof in6.sin6_addr);
    memset(out, 0, sizeof *out);
    if (ep->family == 4)
        memcpy(out, &in4, sizeof in4);
    else if (ep->family == 6)
        memcpy(out, &in6, sizeof in6);
}

/* The family of a text, and its 4 or 16 bytes; -1: neither. IPv4 also in the short forms of
 * inet_aton, in which the last number stands for the bytes that are left, but with nothing around
 * it. */
static int parse_ip(const char *text, uint8_t ip[16])
{
    struct in_addr a;
    if (inet_pton(AF_INET6, text, ip) == 1)
        return ZTS_AF_INET6;
    if (text[strspn(text, "0123456789.xXabcdefABCDEF")] != 0 || inet_aton(text, &a) == 0)
        return -1;
    memcpy(ip, &a, 4);
    return ZTS_AF_INET;
}

int zts_util_get_ip_family(const char *ipstr)
{
    uint8_t ip[16];
    return ipstr == NULL ? ZTS_ERR_ARG : parse_ip(ipstr, ip);
}

int zts_util_ipstr_to_saddr(const char *ipstr, unsigned short port, struct zts_sockaddr *dst,
                            zts_socklen_t *addrlen)
{
    struct zts_sockaddr_in in4 = {.sin_family = ZTS_AF_INET, .sin_port = htons(port)};
    struct zts_sockaddr_in6 in6 = {.sin6_family = ZTS_AF_INET6, .sin6_port = htons(port)};
    uint8_t ip[16];
    if (ipstr == NULL || dst == NULL || addrlen == NULL)
        return ZTS_ERR_ARG;
    int family = parse_ip(ipstr, ip);
    zts_socklen_t size = family == ZTS_AF_INET ? sizeof in4 : sizeof in6;
    if (family < 0 || *addrlen < size)
        return ZTS_ERR_ARG;
    memcpy(&in4.sin_addr, ip, sizeof in4.sin_addr);
    memcpy(&in6.sin6_addr, ip, sizeof in6.sin6_addr);
    memcpy(dst, family == ZTS_AF_INET ? (void *)&in4 : (void *)&in6, size);
    *addrlen = size;
    return ZTS_ERR_OK;
}

int zts_util_ntop(struct zts_sockaddr *addr, zts_socklen_t addrlen, char *dst, int len,
                  unsigned short *port)
{
    struct zts_sockaddr_in in4;
    struct zts_sockaddr_in6 in6;
    if (addr == NULL || addrlen < sizeof in4 || addrlen > sizeof(struct zts_sockaddr_storage) ||
        dst == NULL || port == NULL || len != ZTS_IP_MAX_STR_LEN)
        return ZTS_ERR_ARG;
    if (addr->sa_family == ZTS_AF_INET) {
        memcpy(&in4, addr, sizeof in4);
        zts18_ip_text(ZTS_AF_INET, &in4.sin_addr, dst);
        *port = ntohs(in4.sin_port);
        return ZTS_ERR_OK;
    }
    if (addr->sa_family != ZTS_AF_INET6 || addrlen < sizeof in6)
        return ZTS_ERR_ARG;
    memcpy(&in6, addr, sizeof in6);
    zts18_ip_text(ZTS_AF_INET6, &in6.sin6_addr, dst);
    *port = ntohs(in6.sin6_port);
    return ZTS_ERR_OK;
}

char *zts_ipaddr_ntoa(const zts_ip_addr *addr)
{
    static _Thread_local char text[ZTS_IP_MAX_STR_LEN];
    if (addr == NULL)
        return NULL;
    zts18_ip_text(addr->type == 6 ? ZTS_AF_INET6 : ZTS_AF_INET, &addr->u_addr, text);
    return text;
}

int zts_ipaddr_aton(const char *cp, zts_ip_addr *addr)
{
    uint8_t ip[16];
    int family = cp == NULL || addr == NULL ? -1 : parse_ip(cp, ip);
    if (family < 0)
        return 0;
    memset(addr, 0, sizeof *addr);
    memcpy(&addr->u_addr, ip, family == ZTS_AF_INET ? 4 : 16);
    addr->type = family == ZTS_AF_INET ? 0 : 6;
    return 1;
}

/* ---- sets of roots
 * -------------------------------------------------------------------------------
 */

#define PAIR (ZT_PUB + ZT_PRIV)

/* 1 read, 0 there is no such file, -1 it is not a pair of keys. */
static int read_pair(const char *file, struct zt_identity *out)
{
    uint8_t raw[PAIR + 1];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    ssize_t n = read(fd, raw, sizeof raw);
    close(fd);
    memset(out, 0, sizeof *out);
    memcpy(out->pub, raw, ZT_PUB);
    memcpy(out->priv, raw + ZT_PUB, ZT_PRIV);
    out->has_priv = true;
    zt_wipe(raw, sizeof raw);
    return n == PAIR ? 1 : -1;
}

static void give_pair(const struct zt_identity *pair, char *out, unsigned int *len)
{
    memcpy(out, pair->pub, ZT_PUB);
    memcpy(out + ZT_PUB, pair->priv, ZT_PRIV);
    *len = PAIR;
}

static bool read_root(const char *id, char *const *endpoints, struct zt_root *root)
{
    memset(root, 0, sizeof *root);
    if (zt_identity_parse(id, strlen(id), &root->id) != 0)
        return false;
    zt_wipe(root->id.priv, sizeof root->id.priv);
    root->id.has_priv = false;
    for (unsigned i = 0; i < ZTS_MAX_ENDPOINTS_PER_ROOT && endpoints[i] != NULL; i++)
        if (endpoints[i][0] != 0 && zt_ep_parse(endpoints[i], &root->eps[root->neps++]) != 0)
            return false;
    return true;
}

static bool read_roots(const zts_root_set_t *spec, struct zt_world *w)
{
    for (unsigned i = 0; i < ZTS_MAX_NUM_ROOTS && spec->public_id_str[i] != NULL; i++) {
        if (spec->public_id_str[i][0] == 0)
            continue;
        if (w->nroots == ZT_WORLD_ROOTS ||
            !read_root(spec->public_id_str[i], spec->endpoint_ip_str[i], &w->roots[w->nroots++]))
            return false;
    }
    return true;
}

/* The text of a world is larger than the other buffers; one that does not fit is an argument error.
 */
static bool sign_world(struct zt_world *w, const struct zt_identity *previous, char *out,
                       unsigned int *len)
{
    struct zt_wr wr = zt_wr((uint8_t *)out, ZTS_STORE_DATA_LEN);
    if (zt_world_sign(w, previous) != 0)
        return false;
    zt_wr_world(&wr, w);
    *len = (unsigned)wr.n;
    return !wr.bad;
}

int zts_util_sign_root_set(char *roots_out, unsigned int *roots_len, char *prev_key,
                           unsigned int *prev_key_len, char *curr_key, unsigned int *curr_key_len,
                           uint64_t id, uint64_t ts, zts_root_set_t *roots_spec)
{
    struct zt_identity previous, current;
    if (roots_out == NULL || roots_len == NULL || prev_key == NULL || prev_key_len == NULL ||
        curr_key == NULL || curr_key_len == NULL || roots_spec == NULL)
        return ZTS_ERR_ARG;
    int a = read_pair("previous.c25519", &previous), b = read_pair("current.c25519", &current);
    struct zt_world *w = calloc(1, sizeof *w);
    if (w == NULL || zt_crypto_init() != 0) {
        free(w);
        return ZTS_ERR_GENERAL;
    }
    if (a == 0 || b == 0) {
        zt_keypair_generate(zts18_random, NULL, &previous);
        current = previous;
    }
    *w = (struct zt_world){.type = ZT_WORLD_PLANET, .id = id, .timestamp_ms = ts};
    memcpy(w->update_key, current.pub, ZT_PUB);
    bool ok = a >= 0 && b >= 0 && read_roots(roots_spec, w) &&
              sign_world(w, &previous, roots_out, roots_len);
    free(w);
    if (ok) {
        give_pair(&previous, prev_key, prev_key_len);
        give_pair(&current, curr_key, curr_key_len);
    }
    zt_wipe(&previous, sizeof previous);
    zt_wipe(&current, sizeof current);
    return ok ? ZTS_ERR_OK : ZTS_ERR_ARG;
}
