/* What a network says about the login it asks for: in an ERROR that refuses the configuration, or
 * in the configuration itself (vl2.md 3.8, 8.5). Kept for whoever shows it to people; it decides
 * nothing here. The newest word replaces all of the one before. */

#include <stdlib.h>

#include "base/err.h"
#include "vl2/config.h"

static void from_dict(const struct zt_span *d, const char *key, char *out, size_t cap)
{
    if (zt_dict_get(d->p, d->n, key, (uint8_t *)out, cap) < 0)
        out[0] = 0;
}

static void from_span(struct zt_span s, char *out, size_t cap)
{
    size_t n = s.n < cap ? s.n : cap - 1;
    if (n > 0)
        memcpy(out, s.p, n);
    out[n] = 0;
}

static struct zt_net_auth *auth_of(struct zt_network *net)
{
    if (net->auth == NULL)
        net->auth = (struct zt_net_auth *)malloc(sizeof *net->auth);
    if (net->auth == NULL)
        zt_drop_count(net->vl2->drops, ZT_DROP_NO_MEMORY);
    else
        memset(net->auth, 0, sizeof *net->auth);
    return net->auth;
}

/* body: what follows the network id in the ERROR. */
bool zt_network_auth_error(struct zt_network *net, const uint8_t *body, size_t n)
{
    struct zt_rd r = zt_rd(body, n);
    struct zt_span d = {0};
    char first;

    if (n > 2) {
        d.n = zt_rd_u16(&r);
        d.p = zt_rd_view(&r, d.n);
        if (r.bad)
            return false;
    }
    uint64_t version = zt_dict_u64(d.p, d.n, "aV", 0);
    if (version > 1 || (version == 0 && d.n > 0 &&
                        zt_dict_get(d.p, d.n, "aU", (uint8_t *)&first, sizeof first) < 0))
        return false;
    struct zt_net_auth *a = auth_of(net);
    if (a == NULL)
        return true; /* the status is true all the same */
    a->enabled = true;
    a->version = (unsigned)version;
    if (version == 0) {
        from_dict(&d, "aU", a->url, sizeof a->url);
        return true;
    }
    from_dict(&d, "iU", a->issuer, sizeof a->issuer);
    from_dict(&d, "aCU", a->central, sizeof a->central);
    from_dict(&d, "aN", a->nonce, sizeof a->nonce);
    from_dict(&d, "aS", a->state, sizeof a->state);
    from_dict(&d, "aCID", a->client, sizeof a->client);
    from_dict(&d, "aSSOp", a->provider, sizeof a->provider);
    if (a->provider[0] == 0)
        memcpy(a->provider, "default", 8);
    return true;
}

void zt_network_auth_config(struct zt_network *net)
{
    const struct zt_netconf *cfg = net->cfg;
    struct zt_net_auth *a;

    if (!cfg->sso_enabled || cfg->sso_version > 1) {
        free(net->auth);
        net->auth = NULL;
        return;
    }
    a = auth_of(net);
    if (a == NULL)
        return;
    a->enabled = true;
    a->version = cfg->sso_version;
    a->expiry_ms = cfg->sso_expiry_ms;
    from_span(cfg->sso_url, a->url, sizeof a->url);
    from_span(cfg->sso_issuer, a->issuer, sizeof a->issuer);
    from_span(cfg->sso_central, a->central, sizeof a->central);
    from_span(cfg->sso_nonce, a->nonce, sizeof a->nonce);
    from_span(cfg->sso_state, a->state, sizeof a->state);
    from_span(cfg->sso_client, a->client, sizeof a->client);
    from_span(cfg->sso_provider, a->provider, sizeof a->provider);
}
