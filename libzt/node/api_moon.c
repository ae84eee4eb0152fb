/* /moon: federated sets of roots. */
#include <string.h>

#include "node/api_priv.h"

static json_t *waiting_json(uint64_t id)
{
    return json_pack("{s:o,s:i,s:n,s:n,s:b,s:[]}", "id", zt_api_hex(id, 16), "timestamp", 0,
                     "signature", "updatesMustBeSignedBy", "waiting", 1, "roots");
}

void zt_api_moons(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                  struct zt_api_to to)
{
    zt_api_json(to, 200, json_array());
}

void zt_api_moon(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                 struct zt_api_to to)
{
    zt_api_json(to, 200, json_object());
}

/* No usable seed: {}, and nothing is done. */
void zt_api_orbit(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                  struct zt_api_to to)
{
    json_t *in = json_loadb(r->body != NULL ? r->body : "", r->nbody, 0, NULL);
    const char *text = json_string_value(json_object_get(in, "seed"));
    uint64_t seed = 0;
    bool ok = text != NULL && zt_hex_parse_u64(text, 10, &seed) == 0 && seed != 0 && id != 0;
    json_decref(in);
    zt_api_json(to, 200, ok ? waiting_json(id) : json_object());
}

void zt_api_deorbit(struct zt_node *n, const struct zt_api_request *r, uint64_t id,
                    struct zt_api_to to)
{
    zt_api_json(to, 200, zt_api_result());
}
