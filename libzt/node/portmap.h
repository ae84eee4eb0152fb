/* Asks the router to lead a port of its outside address to one of ours: NAT-PMP first, else UPnP.
 *
 * Routers answer in seconds or never, and the libraries wait for them: all of it happens on a
 * thread of its own. The mapping is asked for again every five minutes and is given back at the
 * end; the router forgets it ten minutes after it was last asked for. */
#ifndef ZT_NODE_PORTMAP_H
#define ZT_NODE_PORTMAP_H

#include "base/addr.h"
#include "node/loop.h"

struct zt_portmap;

/* On the loop thread: our outside endpoint is this one now; family 0: there is none any more. A
 * last call that was posted before zt_portmap_stop may still come after it: compare p. */
typedef void zt_portmap_fn(void *user, const struct zt_portmap *p, const struct zt_ep *outside);

/* UDP port of ours; name is what the router shows to people. Returns 0, ZT_E_NOMEM. */
int zt_portmap_start(struct zt_loop *l, uint16_t port, const char *name, zt_portmap_fn *fn,
                     void *user, struct zt_portmap **out);
/* Ends it, and waits at most so long for the mapping to be given back: a router of the UPnP kind that
 * has just been asked and is dead holds its thread for ten seconds. The thread goes on without us
 * then; of our own it needs nothing any more, and fn is called no more. NULL is fine. */
void zt_portmap_stop(struct zt_portmap *p, int wait_ms);

#endif
