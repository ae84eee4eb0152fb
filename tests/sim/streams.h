/* TCP between two nodes of a simulated world: a whole stack of its own over the core of each (two copies of
 * the module tests/unit/stack/twin.h describes), and byte streams both ways. What arrives is compared with
 * what was sent, byte by byte. */
#ifndef ZT_TEST_STREAMS_H
#define ZT_TEST_STREAMS_H

#include "sim.h"

struct streams;

/* Between two nodes that have the network's configuration. One at a time in a process; the same seed
 * sends the same. */
struct streams *streams_new(struct sim *s, uint64_t seed, uint64_t nwid, struct sim_node *a,
                            struct sim_node *b);
void streams_free(struct streams *st); /* NULL is fine */

/* From sim_on_frame: every frame that is not the test's own. */
void streams_frame(struct streams *st, struct sim_node *to, uint64_t nwid, const uint8_t *eth,
                   size_t n);
/* sim_run with both stacks. */
void streams_run(struct streams *st, int64_t ms);

/* Keep a stream each way open and write up to `most` bytes more to it; one that the stacks gave up is
 * followed by a new one. */
void streams_write(struct streams *st, unsigned most);
/* End the open ones: true when each, within the time, arrived whole or was given up with an error. */
bool streams_end(struct streams *st, int64_t ms);
/* One each way, of this many bytes: true when both arrive whole within the time. */
bool streams_whole(struct streams *st, uint64_t bytes, int64_t ms);

struct streams_count {
    unsigned opened, given_up;
    uint64_t received; /* bytes, of all */
    bool damaged;      /* another byte arrived than was sent */
};
struct streams_count streams_count(const struct streams *st);

#endif
