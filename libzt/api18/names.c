/* Names of hosts, and the two name servers of this generation among those of the other one. */
#include <pthread.h>

#include <arpa/inet.h>

#include "api18/api18.h"

struct zts_hostent *zts_gethostbyname(const char *name);
int zts_add_dns_nameserver(const void *addr);
int zts_del_dns_nameserver(const void *addr);

#define SERVERS 2 /* see forget */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static zts_ip_addr servers[SERVERS];
static bool is_set[SERVERS];

struct zts_hostent *zts_bsd_gethostbyname(const char *name)
{
    return name == NULL || !zts_engine_runs() ? NULL : zts_gethostbyname(name);
}

static void as_storage(const zts_ip_addr *a, struct zts_sockaddr_storage *out)
{
    struct zt_ep ep = zt_ep_make(a->type == 6 ? 6 : 4, &a->u_addr, 0);
    zts18_ep_storage(&ep, out);
}

/* The other index may name the same server, which then stays. With lock. */
static void forget(uint8_t index)
{
    struct zts_sockaddr_storage old, other;
    if (!is_set[index])
        return;
    is_set[index] = false;
    as_storage(&servers[index], &old);
    as_storage(&servers[1 - index], &other);
    if (!is_set[1 - index] || memcmp(&old, &other, sizeof old) != 0)
        (void)zts_del_dns_nameserver(&old);
}

int zts_dns_set_server(uint8_t index, const zts_ip_addr *addr)
{
    struct zts_sockaddr_storage s;
    if (!zts_engine_runs())
        return ZTS_ERR_SERVICE;
    if (index >= SERVERS || (addr != NULL && addr->type != 0 && addr->type != 6))
        return ZTS_ERR_ARG;
    pthread_mutex_lock(&lock);
    forget(index);
    int rc = ZTS_ERR_OK;
    if (addr != NULL) {
        as_storage(addr, &s);
        rc = zts_add_dns_nameserver(&s);
        if (rc == ZTS_ERR_OK) {
            servers[index] = *addr;
            is_set[index] = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

const zts_ip_addr *zts_dns_get_server(uint8_t index)
{
    static _Thread_local zts_ip_addr copy;
    if (index >= SERVERS || !zts_engine_runs())
        return NULL;
    pthread_mutex_lock(&lock);
    bool set = is_set[index];
    copy = servers[index];
    pthread_mutex_unlock(&lock);
    return set ? &copy : NULL;
}
