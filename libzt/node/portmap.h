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
 * last call may still come after zt_portmap_stop: compare p. */
typedef void zt_portmap_fn(void *user, const struct zt_portmap *p, const struct zt_ep *outside);

/* UDP port of ours; name is what the router shows to people. Returns 0, ZT_E_NOMEM. */
int zt_portmap_start(struct zt_loop *l, uint16_t port, const char *name, zt_portmap_fn *fn,
                     void *user, struct zt_portmap **out);
/* Waits until the thread has ended: at once as a rule, ten seconds when a router of the UPnP kind
 * has just been asked and is dead. NULL is fine. */
void zt_portmap_stop(struct zt_portmap *p);

#endif
