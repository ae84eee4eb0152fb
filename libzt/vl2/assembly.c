#include "vl2/assembly.h"

#include <stdlib.h>

#include "base/err.h"

static void clear(struct zt_assembly *a, unsigned i)
{
    free(a->slot[i].data);
    free(a->slot[i].pieces);
    memset(&a->slot[i], 0, sizeof a->slot[i]);
}

void zt_assembly_fini(struct zt_assembly *a)
{
    for (unsigned i = 0; i < ZT_ASSEMBLIES; i++)
        clear(a, i);
}

static int find(const struct zt_assembly *a, uint64_t update_id)
{
    for (int i = 0; i < ZT_ASSEMBLIES; i++) {
        if (a->slot[i].update_id == update_id)
            return i;
    }
    return -1;
}

static uint64_t sig_id(const struct zt_chunk *chunk)
{
    return zt_be64(chunk->sig) ^ zt_be64(chunk->sig + 8);
}

bool zt_assembly_has(const struct zt_assembly *a, const struct zt_chunk *chunk)
{
    int i = find(a, chunk->update_id);
    if (i < 0 || chunk->update_id == 0)
        return false;
    for (unsigned k = 0; k < a->slot[i].n; k++) {
        if (a->slot[i].pieces[k].sig == sig_id(chunk))
            return true;
    }
    return false;
}

static int begin(struct zt_assembly *a, const struct zt_chunk *chunk)
{
    int i = find(a, 0);
    if (i < 0) {
        i = 0;
        for (int k = 1; k < ZT_ASSEMBLIES; k++) {
            if (a->slot[k].fed < a->slot[i].fed)
                i = k;
        }
        clear(a, (unsigned)i);
    }
    a->slot[i].data = (uint8_t *)malloc((size_t)chunk->total + 1);
    a->slot[i].pieces = (struct zt_piece *)calloc(ZT_CHUNKS_MAX, sizeof a->slot[i].pieces[0]);
    if (a->slot[i].data == NULL || a->slot[i].pieces == NULL) {
        clear(a, (unsigned)i);
        return ZT_E_NOMEM;
    }
    a->slot[i].update_id = chunk->update_id;
    a->slot[i].total = chunk->total;
    return i;
}

/* Keep the pieces sorted; refuse one that overlaps a neighbour. */
static int insert(struct zt_piece *pieces, unsigned *n, struct zt_piece p)
{
    unsigned at = *n;

    if (*n == ZT_CHUNKS_MAX)
        return ZT_E_LIMIT;
    while (at > 0 && pieces[at - 1].offset > p.offset)
        at--;
    if (at > 0 && pieces[at - 1].offset + pieces[at - 1].n > p.offset)
        return ZT_E_FORMAT;
    if (at < *n && p.offset + p.n > pieces[at].offset)
        return ZT_E_FORMAT;
    memmove(&pieces[at + 1], &pieces[at], (*n - at) * sizeof pieces[0]);
    pieces[at] = p;
    (*n)++;
    return 0;
}

int zt_assembly_add(struct zt_assembly *a, const struct zt_chunk *chunk, uint8_t **dict)
{
    if (chunk->update_id == 0 || chunk->data.n == 0)
        return ZT_E_FORMAT;
    int i = find(a, chunk->update_id);
    if (i < 0)
        i = begin(a, chunk);
    if (i < 0)
        return i;
    if (a->slot[i].total != chunk->total || a->slot[i].data == NULL)
        return ZT_E_FORMAT;
    struct zt_piece p = {chunk->offset, (uint32_t)chunk->data.n, sig_id(chunk)};
    int r = insert(a->slot[i].pieces, &a->slot[i].n, p);
    if (r != 0)
        return r;
    a->slot[i].fed = ++a->fed;
    memcpy(a->slot[i].data + chunk->offset, chunk->data.p, chunk->data.n);
    a->slot[i].got += (uint32_t)chunk->data.n;
    if (a->slot[i].got < a->slot[i].total)
        return 0;
    /* Its pieces stay known until another update needs the place, so that copies of them that go
     * round are not taken for news. */
    *dict = a->slot[i].data;
    a->slot[i].data = NULL;
    return 1;
}
