/* For tests of node/proxy: a loop thread with a stack, one network in it, and a proxy. Two virtual
 * addresses are ours, so programs talk to each other through the whole stack; what goes to a third
 * one is lost. */
#ifndef TEST_NODE_ENV_H
#define TEST_NODE_ENV_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cmocka.h>

#include "node/proxy.h"
#include "stack/stack.h"

#define ENV_NWID 0x8056c2e21c000001ULL

struct env {
    struct zt_loop *loop;
    struct zt_stack *stack;
    struct zt_proxy *proxy;
    const char *state_path;
    uint64_t budget;
    bool leave_fds;
    int64_t skew_ms; /* added to the clock: time can be made to jump */
    void (*on_init)(struct env *e);
    void (*on_fini)(struct env *e);
    void *more;
    unsigned frames_lost;
    unsigned turns; /* of the loop */
};

void env_start(struct env *e);
void env_stop(struct env *e);
/* For cmocka: a struct env in *state. */
int env_setup(void **state);
int env_teardown(void **state);
/* Soon there is no socket any more, and no memory in use. */
void env_until_idle(struct env *e);
void env_jump(struct env *e, int64_t ms);
void env_counts(struct env *e, struct zt_proxy_counts *out);

/* One request on the loop thread; returns the descriptor (-1: none), rep in *rep. */
int env_request(struct env *e, struct zt_ctl_req *req, struct zt_ctl_rep *rep, uint8_t *data);

/* ZT_CTL_MERGE with this kernel socket, which is taken over. */
int env_merge(struct env *e, struct zt_ctl_req *req, int host, struct zt_ctl_rep *rep);

struct zt_ctl_addr env_addr4(const char *ip, uint16_t port);
struct zt_ctl_addr env_addr6(const char *ip, uint16_t port);
int env_connect(struct env *e, struct zt_ctl_addr to, struct zt_ctl_rep *rep);
int env_bind(struct env *e, struct zt_ctl_addr at, int type, struct zt_ctl_rep *rep);
/* With this option of SOL_SOCKET set to 1. */
int env_bind_with(struct env *e, struct zt_ctl_addr at, int type, int name, struct zt_ctl_rep *rep);
int env_listen(struct env *e, struct zt_ctl_addr at, int backlog, struct zt_ctl_rep *rep);
/* Longest wait for what must come, and does at once unless the machine does much else. */
#define ENV_MS 30000

/* Waits for a connection. */
int env_accept(int listener, struct zt_ctl_accept *a);
/* connect and accept: fd[0] is the client's. */
void env_connected(struct env *e, struct zt_ctl_addr at, int fd[2], uint64_t id[2]);

/* A message of a datagram's descriptor. Received, within 5 s, is the length of the payload; -1: none. */
ssize_t env_send(int fd, const struct zt_ctl_dgram *h, const void *p, size_t n);
ssize_t env_send_to(int fd, struct zt_ctl_addr to, const void *p, size_t n);
ssize_t env_recv(int fd, struct zt_ctl_dgram *h, void *p, size_t n);

/* poll() events within ms, 0 when none came. */
short env_poll(int fd, short events, int ms);
/* poll() until events are exactly `want`, as the kernel shows some of them one after the other; the last ones seen. */
short env_poll_until(int fd, short events, short want);
/* Does the loop rest: `most` turns in `ms` at most, at the latest after a while? */
bool env_rests(struct env *e, unsigned ms, unsigned most);
struct zt_state_slot env_slot(struct env *e, uint64_t id);
/* Wait for a phase; returns the last one seen. */
unsigned env_phase(struct env *e, uint64_t id, unsigned phase);

#endif
