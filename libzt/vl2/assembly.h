/* Putting a network configuration together from signed chunks (vl2.md 2.6). The caller has verified
 * each chunk's signature, so memory is only spent on what the controller said.
 *
 * Bounds: ZT_ASSEMBLIES updates at once, the one fed longest ago makes room; ZT_CHUNKS_MAX chunks
 * each. Chunks that overlap others are refused. */
#ifndef ZT_VL2_ASSEMBLY_H
#define ZT_VL2_ASSEMBLY_H

#include "wire/netconf.h"

#define ZT_ASSEMBLIES 3
#define ZT_CHUNKS_MAX 474

struct zt_assembly {
    struct {
        uint64_t update_id; /* 0: free */
        uint64_t fed;       /* order of feeding */
        uint32_t total, got;
        unsigned n;
        uint8_t *data; /* total + 1 bytes; NULL: complete, and handed out */
        struct zt_piece {
            uint32_t offset, n;
            uint64_t sig; /* first 16 signature bytes, folded: known chunks skip the check */
        } * pieces;       /* ZT_CHUNKS_MAX, sorted by offset */
    } slot[ZT_ASSEMBLIES];
    uint64_t fed;
};

void zt_assembly_fini(struct zt_assembly *a);

/* Do we hold this very chunk already? */
bool zt_assembly_has(const struct zt_assembly *a, const struct zt_chunk *chunk);

/* Take a verified, not legacy chunk. Returns 1 when it completes its dictionary: *dict
 * (chunk->total bytes, malloc) is the caller's; 0 when more is to come; ZT_E_FORMAT for one that
 * contradicts the others, ZT_E_LIMIT, ZT_E_NOMEM. */
int zt_assembly_add(struct zt_assembly *a, const struct zt_chunk *chunk, uint8_t **dict);

#endif
