/* What test_cost.c needs from the inside of vl1, whose names are not those of vl2. */
#include "vl1/state.h"

void cost_make_root(struct zt_vl1 *v);

void cost_make_root(struct zt_vl1 *v)
{
    v->roots.is_root = true; /* as after a planet that names us */
}
