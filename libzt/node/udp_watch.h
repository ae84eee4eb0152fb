/* Word from the kernel when local addresses or interfaces change, so that a path that moved is
 * found in milliseconds and not at the next look. Where the kernel gives no such socket (a sandbox)
 * there is only the regular look. Loop thread. */
#ifndef ZT_NODE_UDP_WATCH_H
#define ZT_NODE_UDP_WATCH_H

#include "node/loop.h"

struct zt_udp_watch;

/* changed is called after each burst of changes. Returns 0, ZT_E_IO, ZT_E_NOMEM. */
int zt_udp_watch_new(struct zt_loop *l, void (*changed)(void *user), void *user,
                     struct zt_udp_watch **out);
void zt_udp_watch_free(
    struct zt_udp_watch *w); /* later, when its handle has closed; NULL is fine */

#endif
