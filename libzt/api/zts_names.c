/* Names: those of the networks' own domains, and those that further name servers know. The servers are
 * this file's; the node is handed them with each question. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "api/zts_priv.h"
#include "node/resolve.h"

_Static_assert(ZTS_DNS_SERVERS == ZT_RESOLVE_SERVERS, "all of them go with a question");

static struct {
    pthread_mutex_t lock;
    unsigned n;
    struct zt_ep ep[ZTS_DNS_SERVERS];
} servers = {.lock = PTHREAD_MUTEX_INITIALIZER};

void zts_names_in_child(void)
{
    pthread_mutex_init(&servers.lock, NULL);
}

/* There is no length: the family says how much there is. */
static bool server_of(const void *addr, struct zt_ep *out)
{
    struct zts_sockaddr head;
    struct zt_ctl_addr a;
    memcpy(&head, addr, sizeof head);
    if (head.sa_family != ZTS_AF_INET && head.sa_family != ZTS_AF_INET6)
        return false;
    zts_socklen_t len = head.sa_family == ZTS_AF_INET ? sizeof(struct zts_sockaddr_in)
                                                      : sizeof(struct zts_sockaddr_in6);
    if (zts_addr_in(head.sa_family, addr, len, &a) != ZTS_ERR_OK)
        return false;
    *out = zt_ep_make(a.family, a.ip, a.port != 0 ? a.port : 53);
    return true;
}

static unsigned find(const struct zt_ep *ep)
{
    unsigned i = 0;
    while (i < servers.n && !zt_ep_equal(&servers.ep[i], ep))
        i++;
    return i;
}

int zts_add_dns_nameserver(const void *addr)
{
    struct zt_ep ep;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (addr == NULL || !server_of(addr, &ep))
        return ZTS_ERR_ARG;
    int rc = ZTS_ERR_OK;
    pthread_mutex_lock(&servers.lock);
    if (find(&ep) == servers.n) {
        if (servers.n < ZTS_DNS_SERVERS)
            servers.ep[servers.n++] = ep;
        else
            rc = ZTS_ERR_GENERAL;
    }
    pthread_mutex_unlock(&servers.lock);
    return rc;
}

int zts_del_dns_nameserver(const void *addr)
{
    struct zt_ep ep;
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (addr == NULL || !server_of(addr, &ep))
        return ZTS_ERR_ARG;
    pthread_mutex_lock(&servers.lock);
    unsigned i = find(&ep);
    bool found = i < servers.n;
    if (found)
        memmove(&servers.ep[i], &servers.ep[i + 1], (--servers.n - i) * sizeof servers.ep[0]);
    pthread_mutex_unlock(&servers.lock);
    return found ? ZTS_ERR_OK : ZTS_ERR_NO_RESULT;
}

/* ---- questions ---------------------------------------------------------------------------------- */

struct question {
    struct zt_resolve_question q;
    struct zt_ep found[ZT_RESOLVE_MAX];
    unsigned n;
    int err;
};

static int resolve(struct zt_node *n, void *arg)
{
    struct question *a = arg;
    return zt_node_resolve(n, &a->q, a->found, &a->n, &a->err);
}

/* An address in text form is its own answer. */
static bool literal(struct question *a)
{
    uint8_t ip[16];
    uint8_t family = inet_pton(AF_INET, a->q.name, ip) == 1    ? 4
                     : inet_pton(AF_INET6, a->q.name, ip) == 1 ? 6
                                                               : 0;
    if (family == 0)
        return false;
    if (a->q.family == 0 || a->q.family == family)
        a->found[a->n++] = zt_ep_make(family, ip, 0);
    else
        a->err = ENODATA;
    return true;
}

static int ask(struct question *a)
{
    if (literal(a))
        return a->err == 0 ? ZTS_ERR_OK : zts_fail(a->err);
    pthread_mutex_lock(&servers.lock);
    a->q.nservers = servers.n;
    memcpy(a->q.servers, servers.ep, sizeof servers.ep);
    pthread_mutex_unlock(&servers.lock);
    int rc = zts_with_node(resolve, a);
    if (rc != 0)
        return zts_control_error(rc);
    if (a->err == ECANCELED)
        return ZTS_ERR_SERVICE;
    return a->err == 0 ? ZTS_ERR_OK : zts_fail(a->err);
}

int zts_resolve(const char *name, int family, struct zts_sockaddr_storage *addrs, unsigned int *count)
{
    if (!zts_ready())
        return ZTS_ERR_SERVICE;
    if (name == NULL || count == NULL || (addrs == NULL && *count > 0))
        return ZTS_ERR_ARG;
    if (family != ZTS_AF_UNSPEC && family != ZTS_AF_INET && family != ZTS_AF_INET6)
        return zts_fail(EAFNOSUPPORT);
    struct question a = {
        .q = {.name = name, .family = family == ZTS_AF_INET ? 4 : family == ZTS_AF_INET6 ? 6 : 0}};
    int rc = ask(&a);
    if (rc != ZTS_ERR_OK)
        return rc;
    for (unsigned i = 0; i < a.n && i < *count; i++)
        zts_storage_from_ep(&a.found[i], &addrs[i]);
    *count = a.n;
    return ZTS_ERR_OK;
}

struct zts_hostent *zts_gethostbyname(const char *name)
{
    static _Thread_local struct {
        struct zts_hostent ent;
        char name[256];
        char *none[1], *list[ZT_RESOLVE_MAX + 1];
        uint8_t ip[ZT_RESOLVE_MAX][16];
    } h;
    if (!zts_ready()) {
        (void)zts_fail(ENETDOWN);
        return NULL;
    }
    if (name == NULL || strlen(name) >= sizeof h.name) {
        (void)zts_fail(EINVAL);
        return NULL;
    }
    struct question a = {.q = {.name = name, .family = 0}};
    int rc = ask(&a);
    if (rc != ZTS_ERR_OK) {
        if (rc != ZTS_ERR_SOCKET)
            (void)zts_fail(ENETDOWN);
        return NULL;
    }
    uint8_t family = 6;
    for (unsigned i = 0; i < a.n; i++)
        if (a.found[i].family == 4)
            family = 4;
    unsigned n = 0;
    for (unsigned i = 0; i < a.n; i++) {
        if (a.found[i].family != family)
            continue;
        memcpy(h.ip[n], a.found[i].ip, 16);
        h.list[n] = (char *)h.ip[n];
        n++;
    }
    h.list[n] = NULL;
    memcpy(h.name, name, strlen(name) + 1);
    h.ent = (struct zts_hostent){.h_name = h.name,
                                 .h_aliases = h.none,
                                 .h_addrtype = family == 4 ? ZTS_AF_INET : ZTS_AF_INET6,
                                 .h_length = family == 4 ? 4 : 16,
                                 .h_addr_list = h.list};
    return &h.ent;
}
