/* /moon: federated sets of roots. */
#include <string.h>

#include "node/api_priv.h"
#include "node/moon.h"

void zt_api_moons(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                  struct zt_api_to to)
{
    zt_api_json(to, 200, zt_moons_json(n, false));
}

static void send_moon(struct zt_node *n, uint64_t id, struct zt_api_to to)
{
    json_t *o = zt_moon_json(n, id);
    (void)json_object_del(o, "seed"); /* ztctl's */
    zt_api_json(to, 200, o);
}

/* Also one that is not held: {}. */
void zt_api_moon(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                 struct zt_api_to to)
{
    send_moon(n, id, to);
}

/* No usable seed: {}, and nothing is done. */
void zt_api_orbit(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                  struct zt_api_to to)
{
    json_t *in = json_loadb(r->body != NULL ? r->body : "", r->nbody, 0, NULL);
    const char *text = json_string_value(json_object_get(in, "seed"));
    uint64_t seed = 0;
    bool ok =
        text != NULL && zt_hex_parse_u64(text, 10, &seed) == 0 && zt_moon_orbit(n, id, seed) == 0;
    json_decref(in);
    if (ok)
        send_moon(n, id, to);
    else
        zt_api_json(to, 200, json_object());
}

void zt_api_deorbit(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                    struct zt_api_to to)
{
    (void)zt_moon_deorbit(n, id);
    zt_api_json(to, 200, zt_api_result());
}
