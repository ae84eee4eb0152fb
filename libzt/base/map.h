/* Hash map from a 64-bit key to a pointer: open addressing, linear probing, load below 3/4. The keys
 * come from strangers (addresses, packet ids): give a random seed. Does not own the values. */
#ifndef ZT_BASE_MAP_H
#define ZT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zt_map_slot {
    uint64_t key;
    void *value; /* NULL: empty */
};

struct zt_map {
    struct zt_map_slot *slots;
    size_t mask; /* capacity - 1, 0 when nothing is allocated */
    size_t count;
    uint64_t seed;
};

void zt_map_init(struct zt_map *m, uint64_t seed);
void zt_map_fini(struct zt_map *m);

void *zt_map_get(const struct zt_map *m, uint64_t key);
/* value must not be NULL. Replaces, which never fails. Returns 0 or ZT_E_NOMEM. */
int zt_map_put(struct zt_map *m, uint64_t key, void *value);
/* Returns the value that was there, or NULL. */
void *zt_map_del(struct zt_map *m, uint64_t key);

/* Walk: for (size_t i = 0; zt_map_next(m, &i, &key, &value);) ... Nothing may be put or deleted in
 * between. key and value may be NULL. */
bool zt_map_next(const struct zt_map *m, size_t *i, uint64_t *key, void **value);

#endif
