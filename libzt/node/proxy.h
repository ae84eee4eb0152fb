/* Virtual sockets: each is one kernel descriptor in the program (one end of a socketpair) and, at
 * this end, an lwIP pcb plus a pump. Serves the door (preload) and the API alike, with the requests
 * of zt_control.h. Loop thread only.
 *
 * See docs/architecture.md for the states; preload.md 4 and 5 for every promise. */
#ifndef ZT_NODE_PROXY_H
#define ZT_NODE_PROXY_H

#include "base/info.h"
#include "node/loop.h"
#include "zt_control.h"

struct zt_proxy;
struct zt_stack;

struct zt_proxy_config {
    struct zt_loop *loop;
    struct zt_stack *stack;
    const char *state_path; /* file of the state page; NULL: an anonymous memfd */
    void (*random)(void *user, void *out, size_t n);
    /* A frame of a layer 2 descriptor, as zt_stack_host's; NULL: none. */
    int (*frame)(void *user, uint64_t nwid, uint8_t *eth, size_t n);
    void *user;
    uint64_t memory_budget; /* bytes for all queues; 0 = 64 MiB */
    /* Of more than 1024 descriptors that the process may have, sockets leave an eighth, at most 1024, to
     * others: its control socket, files, UDP. False: they are its program's to use up. */
    bool leave_fds;
};

struct zt_proxy_counts {
    unsigned tcp, listeners, udp;
    uint64_t connects, accepts, refused, bytes_in, bytes_out, memory, udp_dropped;
};

/* Returns 0 or ZT_E_NOMEM, ZT_E_IO. */
int zt_proxy_new(const struct zt_proxy_config *cfg, struct zt_proxy **out);
/* Closes every virtual socket (programs see a reset), marks the state page stale. The last memory
 * is freed when libuv has closed the handles: the loop has to run until they are. The stack must
 * still live, and need not afterwards. */
void zt_proxy_free(struct zt_proxy *p);

/* Serve one socket request (CONNECT .. INFO). data points to ZT_CTL_REPLY_DATA bytes for the
 * reply's data. *fd gets the descriptor to hand out (CLOEXEC; the caller closes it or passes it
 * on), or -1. Always fills rep; rep->err says what happened. */
void zt_proxy_request(struct zt_proxy *p, const struct zt_ctl_req *req, struct zt_ctl_rep *rep,
                      uint8_t *data, int *fd);

/* A connect whose answer waits for the end of the handshake. Then the caller wakes once, and nothing
 * has to keep the descriptor from looking connected meanwhile: it is made when it is. */
struct zt_waiter {
    /* Called at most once, at the end of a turn; *rep as of zt_proxy_request. fd >= 0: taken over. */
    void (*answer)(struct zt_waiter *h, const struct zt_ctl_rep *rep, int fd);
    struct zt_stream *stream; /* NULL: answered */
};
/* Serve ZT_CTL_CONNECT so. True: it waits. False: rep and fd have the answer, as of
 * zt_proxy_request (it could not begin). */
bool zt_proxy_connect(struct zt_proxy *p, const struct zt_ctl_req *req, struct zt_waiter *h,
                      struct zt_ctl_rep *rep, int *fd);
/* The answer now: the descriptor of a connecting socket, as zt_proxy_request gives it. It must wait. */
void zt_waiter_give(struct zt_waiter *h, struct zt_ctl_rep *rep, int *fd);
/* Nobody is there for the answer any more: the connection is given up. It must wait. */
void zt_waiter_drop(struct zt_waiter *h);

/* Serve ZT_CTL_MERGE. host: the kernel socket that came with it, or -1; taken over. */
void zt_proxy_merge(struct zt_proxy *p, const struct zt_ctl_req *req, int host,
                    struct zt_ctl_rep *rep, int *fd);

/* A read-only descriptor of the state page (not a copy: do not close), and the page itself. */
int zt_proxy_state_fd(struct zt_proxy *p);
const struct zt_state_head *zt_proxy_state(struct zt_proxy *p);
/* Publish ranges after networks changed. */
void zt_proxy_set_ranges(struct zt_proxy *p, const struct zt_state_range *r, unsigned n,
                         unsigned networks, unsigned configuring, bool online);
/* The joined networks as interfaces; to be followed by zt_proxy_set_ranges. */
void zt_proxy_set_ifs(struct zt_proxy *p, const struct zt_state_if *ifs, unsigned n);
/* See zt_state_domains. */
void zt_proxy_set_domains(struct zt_proxy *p, const char *domains, size_t n);

/* A frame from a network, for its layer 2 descriptors; and their end when it is left. */
void zt_proxy_l2_input(struct zt_proxy *p, uint64_t nwid, const uint8_t *eth, size_t n);
void zt_proxy_l2_gone(struct zt_proxy *p, uint64_t nwid);
/* An IP packet of ours (from its header on) that nobody will take: its socket is told. */
void zt_proxy_unreachable(struct zt_proxy *p, const uint8_t *ip, size_t n, int err);

/* Nothing that programs wrote is still on its way, as far as TCP can tell. */
bool zt_proxy_is_drained(struct zt_proxy *p);
/* End of turn: pump everything that became possible (called by flush, before UDP is flushed). */
void zt_proxy_flush(struct zt_proxy *p);
void zt_proxy_counts(const struct zt_proxy *p, struct zt_proxy_counts *out);
/* Visit every virtual socket, for `ztctl sockets`: what the state page says, and payload bytes from
 * and to the network. */
void zt_proxy_each(struct zt_proxy *p,
                   void (*fn)(void *user, const struct zt_state_slot *slot, uint64_t bytes_in,
                              uint64_t bytes_out),
                   void *user);

#endif
