#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"

static size_t slot_of(const struct zt_map *m, uint64_t key)
{
    uint64_t h = (key ^ m->seed) * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    h ^= h >> 32;
    return (size_t)h & m->mask;
}

void zt_map_init(struct zt_map *m, uint64_t seed)
{
    *m = (struct zt_map){.seed = seed};
}

void zt_map_fini(struct zt_map *m)
{
    free(m->slots);
    *m = (struct zt_map){0};
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t find(const struct zt_map *m, uint64_t key)
{
    size_t i = slot_of(m, key);
    while (m->slots[i].value != NULL && m->slots[i].key != key)
        i = (i + 1) & m->mask;
    return i;
}

void *zt_map_get(const struct zt_map *m, uint64_t key)
{
    return m->count > 0 ? m->slots[find(m, key)].value : NULL;
}

static int grow(struct zt_map *m)
{
    size_t cap = m->slots ? (m->mask + 1) * 2 : 16;
    struct zt_map bigger = {.mask = cap - 1, .seed = m->seed};
    bigger.slots = calloc(cap, sizeof *bigger.slots);
    bigger.count = m->count;
    if (bigger.slots == NULL)
        return ZT_E_NOMEM;
    for (size_t i = 0; m->slots && i <= m->mask; i++)
        if (m->slots[i].value != NULL)
            bigger.slots[find(&bigger, m->slots[i].key)] = m->slots[i];
    free(m->slots);
    *m = bigger;
    return 0;
}

int zt_map_put(struct zt_map *m, uint64_t key, void *value)
{
    assert(value != NULL);
    bool replaces = zt_map_get(m, key) != NULL; /* then it neither grows nor fails */
    if (!replaces && (m->slots == NULL || (m->count + 1) * 4 > (m->mask + 1) * 3)) {
        int e = grow(m);
        if (e != 0)
            return e;
    }
    m->slots[find(m, key)] = (struct zt_map_slot){key, value};
    m->count += !replaces;
    return 0;
}

void *zt_map_del(struct zt_map *m, uint64_t key)
{
    if (m->count == 0)
        return NULL;
    size_t i = find(m, key);
    void *old = m->slots[i].value;
    if (old == NULL)
        return NULL;
    m->count--;
    /* Close the gap: move back every follower whose home is not between the gap and itself. */
    for (size_t j = (i + 1) & m->mask; m->slots[j].value != NULL; j = (j + 1) & m->mask) {
        size_t home = slot_of(m, m->slots[j].key);
        if (((j - home) & m->mask) >= ((j - i) & m->mask)) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i].value = NULL;
    return old;
}

bool zt_map_next(const struct zt_map *m, size_t *i, uint64_t *key, void **value)
{
    if (m->slots == NULL)
        return false;
    for (; *i <= m->mask; (*i)++) {
        if (m->slots[*i].value != NULL) {
            if (key != NULL)
                *key = m->slots[*i].key;
            if (value != NULL)
                *value = m->slots[*i].value;
            (*i)++;
            return true;
        }
    }
    return false;
}
