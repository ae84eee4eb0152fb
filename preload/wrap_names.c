/* Names of virtual addresses. The machine's name servers can't know them, and asking would tell
 * others which virtual addresses are in use (and wait for seconds where no server answers), so the
 * reverse look-up of a managed address ends here: it has no name. python3 -m http.server does one
 * for the address that it binds. Other look-ups are libc's. */
#include <netdb.h>
#include <netinet/in.h>
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
