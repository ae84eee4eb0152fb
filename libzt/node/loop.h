/* The loop thread: libuv, deadlines, and calls from other threads. Owns core, stack, UDP sockets,
 * proxies and the door; no lock on the data path.
 *
 * At the end of every loop turn, after all events of that turn, `flush` runs once: it sends the
 * batched datagrams and sets the one timer to the next deadline. */
#ifndef ZT_NODE_LOOP_H
#define ZT_NODE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/host.h"

struct zt_loop;

struct zt_loop_hooks {
    void *user;
    int (*init)(void *user, struct zt_loop *l);  /* on the loop thread, before the first turn; 0 or ZT_E_* */
    void (*due)(void *user, const struct zt_now *now); /* a deadline passed: tick everything */
    int64_t (*flush)(void *user, const struct zt_now *now); /* end of turn; returns next deadline (mono ms) */
    void (*fini)(void *user); /* on the loop thread, after zt_loop_stop; close own handles here */
};

/* Start the thread and wait for init. Returns 0 or init's error. */
int zt_loop_start(const struct zt_loop_hooks *hooks, struct zt_loop **out);
/* Ask the loop to end, join the thread, free. Not from the loop thread. */
void zt_loop_stop(struct zt_loop *l);

/* How long the loop was busy at a stretch: from waking to sleeping again. What arrives meanwhile
 * waits so long. Bucket i counts turns of at most zt_loop_bucket_us[i]; the last one the others. */
#define ZT_LOOP_BUCKETS 12
extern const unsigned zt_loop_bucket_us[ZT_LOOP_BUCKETS - 1];
struct zt_loop_stats {
    uint64_t count[ZT_LOOP_BUCKETS];
    uint64_t busy_ns;
};
const struct zt_loop_stats *zt_loop_stats(const struct zt_loop *l); /* loop thread */

uv_loop_t *zt_loop_uv(struct zt_loop *l);
bool zt_loop_is_current(const struct zt_loop *l);
/* Time of this turn, taken once a turn (and again by zt_loop_update). Loop thread. */
const struct zt_now *zt_loop_now(struct zt_loop *l);
void zt_loop_update(struct zt_loop *l);
/* Something happened outside a uv callback of this turn: make sure flush runs. Loop thread. */
void zt_loop_touch(struct zt_loop *l);

/* Run fn(arg) on the loop thread, soon; any thread. 0 or ZT_E_NOMEM, ZT_E_STATE (loop is ending). */
int zt_loop_post(struct zt_loop *l, void (*fn)(void *arg), void *arg);
/* The same with memory of the caller's, which stays until fn begins. 0 or ZT_E_STATE. */
struct zt_post {
    struct zt_post *next;
    void (*fn)(void *arg);
    void *arg;
    bool allocated; /* by zt_loop_post */
};
int zt_loop_post_at(struct zt_loop *l, struct zt_post *p, void (*fn)(void *arg), void *arg);
/* The same and wait until it has run (called directly on the loop thread). 0 or ZT_E_STATE. */
int zt_loop_call(struct zt_loop *l, void (*fn)(void *arg), void *arg);

#endif
