/* The state page: a file of 64-byte slots that every preloaded program maps read-only, so that
 * questions such as "who is the peer" and "was that end of file a reset" cost no system call and
 * work inside sandboxes. One writer: the loop thread. Layout: zt_control.h.
 *
 * A slot outlives its socket. A program whose connection was reset still holds its descriptor and
 * asks for the reason later, when the loop has no way left to see the descriptor close. Such slots
 * wait in a queue, and the one that has waited longest is used again first; slots of sockets that
 * the program itself closed are reused at once. */
#ifndef ZT_NODE_STATE_H
#define ZT_NODE_STATE_H

#include "base/addr.h"
#include "zt_control.h"

struct zt_state {
    struct zt_state_head *head;
    struct zt_state_slot *slots;
    int ro_fd;             /* handed out to programs */
    unsigned fresh;        /* slots from here on were never used */
    unsigned nfree;        /* stack of slots whose program is gone */
    unsigned old_at, nold; /* ring of slots whose program may still look */
    uint16_t *free, *old;  /* ZT_STATE_SLOTS entries each */
};

/* path: where the page lies; a page of an earlier node there is marked stale and replaced. NULL: an
 * anonymous, sealed memfd. host_id and 0 < slots. Returns 0, ZT_E_NOMEM, ZT_E_IO. */
int zt_state_open(struct zt_state *s, const char *path, const uint8_t host_id[16]);
void zt_state_close(struct zt_state *s); /* marks it stale first */

/* Take a slot and make its id from `random`. Returns NULL when all are in use. */
struct zt_state_slot *zt_state_take(struct zt_state *s, uint64_t random);
/* gone: nobody can look at it any more. */
void zt_state_give(struct zt_state *s, struct zt_state_slot *slot, bool gone);

void zt_state_phase(struct zt_state_slot *slot, enum zt_phase phase, int err);
void zt_state_addrs(struct zt_state_slot *slot, const struct zt_ctl_addr *local,
                    const struct zt_ctl_addr *remote); /* NULL: leave as it is */
void zt_state_ranges(struct zt_state *s, const struct zt_state_range *r, unsigned n,
                     unsigned networks, unsigned configuring, bool online);
/* n at most ZT_STATE_IFS */
void zt_state_ifs(struct zt_state *s, const struct zt_state_if *ifs, unsigned n);
/* domains: as in the page; n at most ZT_STATE_DOMAINS, with the zero byte that ends the list. */
void zt_state_domains(struct zt_state *s, const char *domains, size_t n);

#endif
