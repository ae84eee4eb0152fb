/* Moons as ztctl and the local API see them. Loop thread only. */
#ifndef ZT_NODE_MOON_H
#define ZT_NODE_MOON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct zt_node;

/* See zt_vl1_orbit and zt_vl1_deorbit. */
int zt_moon_orbit(struct zt_node *n, uint64_t id, uint64_t seed);
int zt_moon_deorbit(struct zt_node *n, uint64_t id);
/* The moon object of the local API, a new reference; {} for a moon that is neither held nor waited
 * for; NULL without memory. */
json_t *zt_moon_json(struct zt_node *n, uint64_t id);
/* All that are held, as GET /moon has them; with_waiting: also those waited for. */
json_t *zt_moons_json(struct zt_node *n, bool with_waiting);

#endif
