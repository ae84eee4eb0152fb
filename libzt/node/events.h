/* The queue between the loop and the application: notes are posted from any thread and delivered
 * one at a time on one low-priority thread, outside every lock.
 *
 * A slow callback delays later notes only. The queue is bounded: from ZT_EVENTS_SOFT waiting notes
 * on, updates of one object are merged (the older note keeps its `was`, takes the newer `now`), and
 * from ZT_EVENTS_HARD on updates of peers and warnings are dropped. What happens once - up, online, a network's
 * change of status, its end - is never merged or lost: there are few of them, and the core spaces
 * them out. */
#ifndef ZT_NODE_EVENTS_H
#define ZT_NODE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#define ZT_EVENTS_SOFT 256
#define ZT_EVENTS_HARD 8192

struct zt_events;
struct zt_node_note;

typedef void zt_events_fn(void *user, const struct zt_node_note *note);

/* Starts the thread. 0, ZT_E_NOMEM. */
int zt_events_new(zt_events_fn *fn, void *user, struct zt_events **out);
/* Deliver what waits, then join the thread and free. Not from the callback. */
void zt_events_free(struct zt_events *e);

/* Copies everything that note points to. Any thread; e may be NULL (nobody listens, nothing built).
 */
void zt_events_post(struct zt_events *e, const struct zt_node_note *note);
/* Is this the callback thread? */
bool zt_events_is_current(const struct zt_events *e);

#endif
