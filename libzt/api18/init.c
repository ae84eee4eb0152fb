/* What is said before the start, and identities. */
#include <stdlib.h>
#include <sys/random.h>

#include "api18/api18.h"
#include "base/err.h"

/* ---- identities
 * ----------------------------------------------------------------------------------
 */

void zts18_random(void *user, void *out, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = getrandom((uint8_t *)out + got, n - got, 0);
        if (r > 0)
            got += (size_t)r;
        else if (errno != EINTR)
            abort(); /* a kernel without randomness: nothing safe can be done */
    }
}

int zts_id_new(char *key, unsigned int *len)
{
    if (key == NULL || len == NULL || *len != ZTS_ID_STR_BUF_LEN)
        return ZTS_ERR_ARG;
    struct zt_identity id;
    char text[ZT_IDENTITY_STR];
    if (zt_crypto_init() != 0 || zt_identity_generate(zts18_random, NULL, &id) != 0)
        return ZTS_ERR_GENERAL;
    zt_identity_format(&id, true, text);
    *len = (unsigned)strlen(text);
    memcpy(key, text, *len + 1);
    zt_wipe(&id, sizeof id);
    zt_wipe(text, sizeof text);
    return ZTS_ERR_OK;
}

/* A whole identity that proves itself, from a buffer whose text may end before it does. */
static bool read_pair(const char *key, size_t len, struct zt_identity *id)
{
    bool ok = zt_crypto_init() == 0 && zt_identity_parse(key, strnlen(key, len), id) == 0 &&
              id->has_priv && zt_identity_validate(id);
    if (!ok)
        zt_wipe(id, sizeof *id);
    return ok;
}

int zts_id_pair_is_valid(const char *key, unsigned int len)
{
    struct zt_identity id;
    if (key == NULL || len != ZTS_ID_STR_BUF_LEN || !read_pair(key, len, &id))
        return 0;
    zt_wipe(&id, sizeof id);
    return 1;
}

int zts_init_from_memory(const char *key, unsigned int len)
{
    struct zts_setup *s = zts_setup_open();
    if (s == NULL)
        return ZTS_ERR_SERVICE;
    bool ok = key != NULL && len >= ZTS_ID_STR_BUF_LEN && read_pair(key, len, &s->identity);
    s->has_identity = ok;
    return zts_setup_close(ok ? ZTS_ERR_OK : ZTS_ERR_ARG);
}

/* ---- files
 * ---------------------------------------------------------------------------------------
 */

int zts_init_from_storage(const char *path)
{
    struct zts_setup *s = zts_setup_open();
    if (s == NULL)
        return ZTS_ERR_SERVICE;
    if (path == NULL || path[0] == 0)
        return zts_setup_close(ZTS_ERR_ARG);
    char *copy = strdup(path);
    if (copy == NULL)
        return zts_setup_close(ZTS_ERR_GENERAL);
    free(s->home);
    s->home = copy;
    return zts_setup_close(ZTS_ERR_OK);
}

int zts_init_set_roots(const void *data, unsigned int len)
{
    struct zts_setup *s = zts_setup_open();
    if (s == NULL)
        return ZTS_ERR_SERVICE;
    if (data == NULL || len == 0 || len > ZTS_STORE_DATA_LEN)
        return zts_setup_close(ZTS_ERR_ARG);
    uint8_t *copy = malloc(len);
    if (copy == NULL)
        return zts_setup_close(ZTS_ERR_GENERAL);
    memcpy(copy, data, len);
    free(s->planet);
    s->planet = copy;
    s->nplanet = len;
    return zts_setup_close(ZTS_ERR_OK);
}

/* Set one thing. */
#define SET(what)                               \
    do {                                        \
        struct zts_setup *s = zts_setup_open(); \
        if (s == NULL)                          \
            return ZTS_ERR_SERVICE;             \
        what;                                   \
        return zts_setup_close(ZTS_ERR_OK);     \
    } while (0)

int zts_init_allow_net_cache(unsigned int allowed)
{
    SET(s->no_networks = !allowed);
}

int zts_init_allow_peer_cache(unsigned int allowed)
{
    SET(s->no_peers = !allowed);
}

int zts_init_allow_roots_cache(unsigned int allowed)
{
    SET(s->no_planet_file = !allowed);
}

int zts_init_allow_id_cache(unsigned int allowed)
{
    SET(s->no_identity_file = !allowed);
}

/* ---- ports and interfaces
 * ------------------------------------------------------------------------
 */

int zts_init_set_port(unsigned short port)
{
    SET(s->port = port);
}

int zts_init_set_random_port_range(unsigned short first, unsigned short last)
{
    struct zts_setup *s = zts_setup_open();
    if (s == NULL)
        return ZTS_ERR_SERVICE;
    if (first == 0 || last < first)
        return zts_setup_close(ZTS_ERR_ARG);
    s->conf.random_first = first;
    s->conf.random_last = last;
    return zts_setup_close(ZTS_ERR_OK);
}

int zts_init_allow_secondary_port(unsigned int allowed)
{
    SET(s->conf.allow_secondary_port = allowed != 0);
}

int zts_init_allow_port_mapping(unsigned int allowed)
{
    SET(s->conf.port_mapping = allowed != 0);
}

int zts_init_set_low_bandwidth_mode(int enabled)
{
    SET(s->conf.core.low_bandwidth = enabled != 0);
}

int zts_init_blacklist_if(const char *prefix, unsigned int len)
{
    struct zts_setup *s = zts_setup_open();
    if (s == NULL)
        return ZTS_ERR_SERVICE;
    struct zt_conf *c = &s->conf;
    if (prefix == NULL || len == 0 || len >= ZT_CONF_NAME || strnlen(prefix, len) == 0)
        return zts_setup_close(ZTS_ERR_ARG);
    if (c->nskip == ZT_CONF_INTERFACES)
        return zts_setup_close(ZTS_ERR_GENERAL);
    memset(c->skip[c->nskip], 0, ZT_CONF_NAME);
    memcpy(c->skip[c->nskip++], prefix, strnlen(prefix, len));
    return zts_setup_close(ZTS_ERR_OK);
}

/* ---- a relay over TCP: there is none
 * -------------------------------------------------------------
 */

static int no_relay(bool wanted)
{
    return zts_setup_open() == NULL ? ZTS_ERR_SERVICE
                                    : zts_setup_close(wanted ? ZTS_ERR_NO_RESULT : ZTS_ERR_OK);
}

int zts_init_set_tcp_relay(const char *ip, unsigned short port)
{
    return no_relay(true);
}

int zts_init_allow_tcp_relay(int enabled)
{
    return no_relay(enabled != 0);
}

int zts_init_force_tcp_relay(int enabled)
{
    return no_relay(enabled != 0);
}

/* ---- events
 * --------------------------------------------------------------------------------------
 */

int zts_init_set_event_handler(void (*callback)(void *))
{
    struct zts_setup *s = zts_setup_open();
    if (s == NULL)
        return ZTS_ERR_SERVICE;
    if (callback != NULL)
        s->handler = callback;
    return zts_setup_close(callback != NULL ? ZTS_ERR_OK : ZTS_ERR_ARG);
}
