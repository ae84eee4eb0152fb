/* Names in the DNS domains of joined networks, for preloaded programs and `ztctl resolve`. */
#ifndef ZT_NODE_RESOLVE_H
#define ZT_NODE_RESOLVE_H

#include <stddef.h>

#include "base/addr.h"

struct zt_node;
struct zt_resolver;

#define ZT_RESOLVE_MAX 32 /* addresses in one answer */

/* Called once, on the loop thread. err: 0; ENOENT (no such name, or in no network's domain),
 * ENODATA (it has no address of this family), EAGAIN (no server answered), ECANCELED (the node
 * ends), ENOSPC (too many questions at once), ENOMEM. */
typedef void zt_resolve_done(void *arg, int err, const struct zt_ep *found, unsigned n);

/* From the keeper, before the loop starts: 0 or ZT_E_NOMEM. */
int zt_resolver_new(struct zt_node *n, struct zt_resolver **out);
/* From the keeper while the loop still runs: ends the thread. No answer comes after it. */
void zt_resolver_stop(struct zt_resolver *r);
void zt_resolver_free(struct zt_resolver *r);

/* name in text form, with or without the last dot. Of a name outside all domains the further servers
 * (port 0: 53) are asked, those of them that are inside a joined network. */
#define ZT_RESOLVE_SERVERS 8
struct zt_resolve_question {
    const char *name;
    int family; /* 0 (both), 4 or 6 */
    unsigned nservers;
    struct zt_ep servers[ZT_RESOLVE_SERVERS];
};
/* Loop thread. */
void zt_resolve(struct zt_node *n, const struct zt_resolve_question *q, zt_resolve_done *done,
                void *arg);
/* The command "resolve FAMILY NAME" (args: "FAMILY NAME"): an array of addresses. */
void zt_resolve_command(struct zt_node *n, const char *args,
                        void (*done)(void *arg, int err, const char *text, size_t len), void *arg);
/* Loop thread, at its end: what is still waiting gets ECANCELED. */
void zt_resolve_end_all(struct zt_node *n);

/* Loop thread: the domains in use, each ended by a zero byte, the list by another one; at most cap
 * bytes in all. Returns the length with the last zero. For the state page. */
size_t zt_resolve_domains(struct zt_node *n, char *out, size_t cap);

#endif
