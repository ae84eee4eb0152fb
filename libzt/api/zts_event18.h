/* One event for the 1.8 generation. Apart, because no file can include both public headers. */
#ifndef ZT_API_EVENT18_H
#define ZT_API_EVENT18_H

#include <arpa/inet.h>

#include "base/info.h"

/* What belongs to its kind is not NULL. All but the peer are laid out as in the older generation.
 */
struct zts_event18 {
    int code; /* the older generation's number */
    const void *node, *network, *netif, *route, *addr;
    const struct zt_peer_info *peer;
    int64_t wall_shift_ms; /* wall clock less monotonic; with peer */
    const char *file;      /* ZT_NODE_STORED, instead of a code */
    const void *data;
    size_t ndata;
};

void zts_emit18(void (*handler)(void *), const struct zts_event18 *e);

#endif
