/* What a node starts from when a program brings it along instead of files: struct zt_node_config's
 * copies, the identity and the planet. On the keeper thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "node/node_priv.h"
#include "wire/world.h"

void zt_given_tell(void *user, const char *name, const void *p, size_t len)
{
    struct zt_node *n = user;
    zt_node_note(
        n, (struct zt_node_note){.what = ZT_NODE_STORED, .text = name, .data = p, .ndata = len});
}

/* An identity that is nobody's file. */
static int passing_identity(struct zt_node *n)
{
    char text[ZT_IDENTITY_STR];
    int rc = zt_identity_generate(zt_keeper_random, NULL, &n->identity);
    if (rc != 0) {
        snprintf(n->why, sizeof n->why, "making an identity: %s", zt_err_text(rc));
        return rc;
    }
    if (n->cfg.tell_stored) {
        zt_identity_format(&n->identity, true, text);
        zt_given_tell(n, "identity.secret", text, strlen(text));
        zt_identity_format(&n->identity, false, text);
        zt_given_tell(n, "identity.public", text, strlen(text));
        zt_wipe(text, sizeof text);
    }
    return 0;
}

int zt_given_identity(struct zt_node *n)
{
    if (n->cfg.identity != NULL) {
        n->identity = *n->cfg.identity;
        return 0;
    }
    return n->cfg.no_identity_file
               ? passing_identity(n)
               : zt_store_identity(n->store, zt_keeper_random, NULL, &n->identity, n->why);
}

static bool is_planet(const void *p, size_t len)
{
    struct zt_world *w = malloc(sizeof *w);
    struct zt_rd r = zt_rd(p, len);
    bool ok = false;
    if (w != NULL) {
        zt_rd_world(&r, w);
        ok = !r.bad && w->type == ZT_WORLD_PLANET;
    }
    free(w);
    return ok;
}

/* The one of the program, of the home, or the spare one. Only a file of the home that is there but
 * can't be read is a failure. */
int zt_given_planet(struct zt_node *n)
{
    if (n->cfg.planet != NULL && is_planet(n->cfg.planet, n->cfg.nplanet)) {
        n->planet = malloc(n->cfg.nplanet);
        if (n->planet == NULL)
            return ZT_E_NOMEM;
        memcpy(n->planet, n->cfg.planet, n->cfg.nplanet);
        n->nplanet = n->cfg.nplanet;
        return 0;
    }
    if (n->cfg.planet != NULL)
        zt_node_warn(n, "the root set that the program gave is not a planet; not used");
    if (!n->cfg.no_planet_file) {
        int rc = zt_store_read(n->store, "planet", &n->planet, &n->nplanet);
        if (rc != ZT_E_NOENT) {
            if (rc != 0)
                snprintf(n->why, sizeof n->why, "%s/planet: cannot be read: %s", n->home,
                         zt_err_text(rc));
            return rc;
        }
    }
    if (n->cfg.spare_planet != NULL) {
        int rc = zt_file_read(n->cfg.spare_planet, &n->planet, &n->nplanet);
        if (rc == 0 && is_planet(n->planet, n->nplanet))
            return 0;
        if (rc == 0)
            free(n->planet);
        n->planet = NULL;
        n->nplanet = 0;
        char text[ZT_STORE_WHY];
        snprintf(text, sizeof text, "%s: %s", n->cfg.spare_planet,
                 rc == 0 ? "not a planet" : zt_err_text(rc));
        zt_node_warn(n, text);
    }
    return 0;
}

/* ---- the copies --------------------------------------------------------------------------------
 */

void zt_given_free(struct zt_node *n)
{
    if (n->cfg.identity != NULL)
        zt_wipe((void *)(uintptr_t)n->cfg.identity, sizeof *n->cfg.identity);
    free((void *)(uintptr_t)n->cfg.identity);
    free((void *)(uintptr_t)n->cfg.planet);
    free((void *)(uintptr_t)n->cfg.spare_planet);
    free((void *)(uintptr_t)n->cfg.networks);
    free((void *)(uintptr_t)n->cfg.home);
}

/* NULL stays NULL. */
static bool own(const void *from, size_t len, const void **to)
{
    void *p = from != NULL ? malloc(len) : NULL;
    if (p != NULL)
        memcpy(p, from, len);
    *to = p;
    return from == NULL || p != NULL;
}

static size_t text_size(const char *s)
{
    return s != NULL ? strlen(s) + 1 : 0;
}

bool zt_given_copy(struct zt_node *n, const struct zt_node_config *c)
{
    struct zt_node_config *to = &n->cfg;
    *to = *c;
    bool ok = own(c->home, text_size(c->home), (const void **)&to->home);
    ok &= own(c->nnetworks > 0 ? c->networks : NULL, c->nnetworks * sizeof *c->networks,
              (const void **)&to->networks);
    ok &= own(c->identity, sizeof *c->identity, (const void **)&to->identity);
    ok &= own(c->planet, c->nplanet, &to->planet);
    ok &= own(c->spare_planet, text_size(c->spare_planet), (const void **)&to->spare_planet);
    if (c->conf != NULL)
        n->given_conf = *c->conf;
    to->conf = c->conf != NULL ? &n->given_conf : NULL;
    return ok;
}
