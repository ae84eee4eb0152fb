/* Reassembly of fragmented packets (vl1.md 2.3, 2.4). */
#ifndef ZT_VL1_DEFRAG_H
#define ZT_VL1_DEFRAG_H

#include "base/addr.h"
#include "base/drop.h"
#include "base/heap.h"
#include "base/host.h"
#include "base/list.h"
#include "wire/packet.h"

#define ZT_DEFRAG_ENTRIES 64
#define ZT_DEFRAG_MS 5000
#define ZT_DEFRAG_REST_MS 60000 /* without a fragment: then the buffers go */
#define ZT_DEFRAG_BUFFER (2 * ZT_PKT_MAX)

struct zt_defrag_entry {
    struct zt_list list; /* in zt_defrag.used, oldest first, or in .unused */
    uint64_t id;
    int64_t since_ms;
    struct zt_link link; /* what the head came in on */
    uint8_t held;        /* bit mask of pieces; bit 0 = head */
    uint8_t total;       /* 0: only the head is here, which does not tell */
    size_t n;            /* sum of all lengths */
    size_t spill;        /* bytes used in the upper half of the buffer */
    struct {
        uint16_t off, len;
    } piece[ZT_FRAGS_MAX];
    uint8_t *buf; /* ZT_DEFRAG_BUFFER, allocated at first use, kept while fragments come */
};

struct zt_defrag {
    struct zt_drops *drops;
    struct zt_list used, unused;
    int64_t last_ms; /* a fragment came */
    struct zt_defrag_entry entries[ZT_DEFRAG_ENTRIES];
};

void zt_defrag_init(struct zt_defrag *d, struct zt_drops *drops);
void zt_defrag_fini(struct zt_defrag *d);

/* Add a fragment, or a head whose F bit is set (n is at least 16, or 28). When that completes a
 * packet, return it as *packet of *len bytes that came in on *link; it is valid, and may be
 * changed, until the next call. Otherwise false. */
bool zt_defrag_add(struct zt_defrag *d, int64_t now_ms, const struct zt_link *in, const uint8_t *p,
                   size_t n, uint8_t **packet, size_t *len, struct zt_link *link);
/* Drop what waited too long, and the buffers when none was needed for ZT_DEFRAG_REST_MS; returns when
 * to call again, ZT_NEVER when nothing is held any more. */
int64_t zt_defrag_expire(struct zt_defrag *d, int64_t now_ms);

#endif
