/* Names. Those in the DNS domain of a joined network are the node's to answer, which asks the
 * network's own servers over the network; libc's resolver never hears of them. Other look-ups are
 * libc's.
 *
 * The machine's name servers can't know virtual addresses, and asking would tell others which ones
 * are in use (and wait for seconds where no server answers), so the reverse look-up of a managed
 * address ends here: it has no name. python3 -m http.server does one for the address that it binds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"
#include "shim.h"

static bool is_managed(const void *addr, socklen_t len, int family)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct zt_ctl_addr out;
    if (addr != NULL && family == AF_INET6 && len == sizeof v6.sin6_addr) {
        memcpy(&v6.sin6_addr, addr, sizeof v6.sin6_addr);
        return zt_sa_managed((struct sockaddr *)&v6, sizeof v6, &out);
    }
    if (addr != NULL && family == AF_INET && len == sizeof v4.sin_addr) {
        memcpy(&v4.sin_addr, addr, sizeof v4.sin_addr);
        return zt_sa_managed((struct sockaddr *)&v4, sizeof v4, &out);
    }
    return false;
}

ZT_EXPORT struct hostent *gethostbyaddr(const void *addr, socklen_t len, int family)
{
    if (!is_managed(addr, len, family))
        return REAL(gethostbyaddr)(addr, len, family);
    h_errno = HOST_NOT_FOUND;
    return NULL;
}

ZT_EXPORT int gethostbyaddr_r(const void *restrict addr, socklen_t len, int family,
                              struct hostent *restrict ret, char *restrict buf, size_t buflen,
                              struct hostent **restrict result, int *restrict h_err)
{
    if (!is_managed(addr, len, family))
        return REAL(gethostbyaddr_r)(addr, len, family, ret, buf, buflen, result, h_err);
    *result = NULL;
    *h_err = HOST_NOT_FOUND;
    return 0; /* as glibc where it searched and found nothing */
}

ZT_EXPORT int getnameinfo(const struct sockaddr *restrict sa, socklen_t len, char *restrict host,
                          socklen_t hostlen, char *restrict serv, socklen_t servlen, int flags)
{
    struct zt_ctl_addr out;
    if (host == NULL || hostlen == 0 || (flags & NI_NUMERICHOST) != 0 ||
        !zt_sa_managed(sa, len, &out))
        return REAL(getnameinfo)(sa, len, host, hostlen, serv, servlen, flags);
    if ((flags & NI_NAMEREQD) != 0)
        return EAI_NONAME;
    return REAL(getnameinfo)(sa, len, host, hostlen, serv, servlen, flags | NI_NUMERICHOST);
}

/* ---- forward look-ups ---- */

#define ANSWER 2048 /* bytes of ["address","address"]: 32 at most */

static bool is_numeric(const char *name)
{
    struct in_addr a;
    return strchr(name, ':') || inet_aton(name, &a);
}

static bool is_ours(const char *name)
{
    return name && *name && !is_numeric(name) && zt_name_managed(name);
}

/* Ask the node. family 0, 4 or 6; out gets the answer. 0, or an errno (ENOENT, ENODATA, EAGAIN...).
 */
static int ask(const char *name, int family, char out[ANSWER])
{
    struct zt_ctl_req req;
    struct zt_ctl_rep rep;
    size_t n = strlen(name);
    if (n >= sizeof req.data - 16)
        return ENOENT;
    zt_req_init(&req, ZT_CTL_COMMAND, 0);
    memcpy(req.data, "resolve 0 ", 10);
    req.data[8] = (uint8_t)('0' + family);
    memcpy(req.data + 10, name, n);
    req.ndata = (uint32_t)(10 + n);
    int r = zt_ctl(&req, &rep, out, ANSWER - 1, NULL, true);
    out[r == 0 && rep.ndata < ANSWER ? rep.ndata : 0] = 0;
    return r == -ENETUNREACH || r == -ETIMEDOUT ? EAGAIN : -r;
}

static int eai_of(int err)
{
    switch (err) {
    case ENOENT:
        return EAI_NONAME;
    case ENODATA:
        return EAI_NODATA;
    case ENOMEM:
        return EAI_MEMORY;
    default:
        return EAI_AGAIN;
    }
}

/* Cut the next address out of its quotes; false at the end. */
static bool next_address(char **at, char **address)
{
    char *begin = strchr(*at, '"'), *end = begin ? strchr(begin + 1, '"') : NULL;
    if (!end)
        return false;
    *end = 0;
    *address = begin + 1;
    *at = end + 1;
    return true;
}

/* libc itself turns each address into entries, so that its freeaddrinfo frees the chain. */
static int entries(char *answer, const char *service, const struct addrinfo *hints,
                   struct addrinfo **res)
{
    struct addrinfo h = {0}, **tail = res;
    char *address;
    int r = EAI_NODATA;
    if (hints)
        h = *hints;
    h.ai_flags = (h.ai_flags & ~(AI_CANONNAME | AI_ADDRCONFIG)) | AI_NUMERICHOST;
    *res = NULL;
    while (next_address(&answer, &address)) {
        r = REAL(getaddrinfo)(address, service, &h, tail);
        if (r != 0)
            break;
        while (*tail)
            tail = &(*tail)->ai_next;
    }
    if (r != 0 && *res) {
        freeaddrinfo(*res);
        *res = NULL;
    }
    return r;
}

ZT_EXPORT int getaddrinfo(const char *restrict name, const char *restrict service,
                          const struct addrinfo *restrict hints, struct addrinfo **restrict res)
{
    char answer[ANSWER];
    int flags = hints ? hints->ai_flags : 0, family = hints ? hints->ai_family : AF_UNSPEC;
    if ((flags & AI_NUMERICHOST) || !is_ours(name))
        return REAL(getaddrinfo)(name, service, hints, res);
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return EAI_FAMILY;
    bool mapped = family == AF_INET6 && (flags & AI_V4MAPPED);
    int want = family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0;
    int err = ask(name, want, answer);
    if (err == ENODATA && mapped)
        err = ask(name, 4, answer);
    if (err != 0)
        return eai_of(err);
    int r = entries(answer, service, hints, res);
    if (r == 0 && (flags & AI_CANONNAME) && !((*res)->ai_canonname = strdup(name))) {
        freeaddrinfo(*res);
        *res = NULL;
        return EAI_MEMORY;
    }
    return r;
}

/* What gethostbyname_r lays out in the caller's buffer. */
struct host_block {
    char *no_aliases[1];
    char *list[33];
    uint8_t ip[32][16];
    char name[];
};

/* 0, or ERANGE for a buffer that is too small. *h_err says whether anything was found. */
static int host_entry(const char *name, int family, struct hostent *ret, char *buf, size_t buflen,
                      struct hostent **result, int *h_err)
{
    char answer[ANSWER], *at = answer, *address;
    *result = NULL;
    size_t pad = -(uintptr_t)buf & (_Alignof(struct host_block) - 1);
    size_t len = strlen(name) + 1;
    if (buflen < pad + sizeof(struct host_block) + len) {
        *h_err = NETDB_INTERNAL;
        return ERANGE;
    }
    int err = family == AF_INET || family == AF_INET6 ? ask(name, family == AF_INET ? 4 : 6, answer)
                                                      : ENOENT;
    if (err != 0) {
        *h_err = err == ENOENT ? HOST_NOT_FOUND : err == ENODATA ? NO_DATA : TRY_AGAIN;
        return 0;
    }
    struct host_block *b = (struct host_block *)(void *)(buf + pad);
    unsigned n = 0;
    while (n < 32 && next_address(&at, &address))
        if (inet_pton(family, address, b->ip[n]) == 1) {
            b->list[n] = (char *)b->ip[n];
            n++;
        }
    b->list[n] = NULL;
    b->no_aliases[0] = NULL;
    memcpy(b->name, name, len);
    *ret = (struct hostent){.h_name = b->name,
                            .h_aliases = b->no_aliases,
                            .h_addrtype = family,
                            .h_length = family == AF_INET ? 4 : 16,
                            .h_addr_list = b->list};
    *result = ret;
    *h_err = 0;
    return 0;
}

ZT_EXPORT int gethostbyname2_r(const char *restrict name, int family, struct hostent *restrict ret,
                               char *restrict buf, size_t buflen, struct hostent **restrict result,
                               int *restrict h_err)
{
    if (!is_ours(name))
        return REAL(gethostbyname2_r)(name, family, ret, buf, buflen, result, h_err);
    return host_entry(name, family, ret, buf, buflen, result, h_err);
}

ZT_EXPORT int gethostbyname_r(const char *restrict name, struct hostent *restrict ret,
                              char *restrict buf, size_t buflen, struct hostent **restrict result,
                              int *restrict h_err)
{
    if (!is_ours(name))
        return REAL(gethostbyname_r)(name, ret, buf, buflen, result, h_err);
    return host_entry(name, AF_INET, ret, buf, buflen, result, h_err);
}

/* One static answer for all threads, as in libc. */
static struct hostent *static_entry(const char *name, int family)
{
    static struct hostent entry;
    static char buf[sizeof(struct host_block) + 1024];
    struct hostent *result = NULL;
    int err = 0;
    if (host_entry(name, family, &entry, buf, sizeof buf, &result, &err) != 0)
        err = NO_RECOVERY;
    if (!result)
        h_errno = err;
    return result;
}

ZT_EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    return is_ours(name) ? static_entry(name, family) : REAL(gethostbyname2)(name, family);
}

ZT_EXPORT struct hostent *gethostbyname(const char *name)
{
    return is_ours(name) ? static_entry(name, AF_INET) : REAL(gethostbyname)(name);
}
