/* A private world for tests of the public API: a planet with one root on loopback, served by ztd,
 * and a peer process with a node of its own that echoes. Everything lives in one temporary folder
 * and ends with the test. */
#ifndef ZT_TESTS_API_ENV_H
#define ZT_TESTS_API_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ZeroTierSockets.h"

/* What a sanitizer takes for itself (threads, memory, time) is not ours to judge. */
#ifdef __SANITIZE_THREAD__
#define ENV_TSAN 1
#else
#define ENV_TSAN 0
#endif
#ifdef __SANITIZE_ADDRESS__
#define ENV_ASAN 1
#else
#define ENV_ASAN 0
#endif

#define ENV_NWID 0xff0001ffff000000ull /* without a controller, every port */
#define ENV_TCP_ECHO 7001
#define ENV_UDP_ECHO 7002
#define ENV_TCP_CLOSE 7003 /* accepts, sends "bye", closes */
#define ENV_TCP_RESET 7004 /* accepts, reads one byte, resets */
#define ENV_TCP_LAST 7005  /* sends how much the connection before has sent (uint32_t), then reads to the end */
#define ENV_NOTHING 7009
/* The UDP echo also hears these groups, on the network of env_start_peer_on. */
#define ENV_GROUP4 "239.70.0.2"
#define ENV_GROUP6 "ff12::7002"

struct env {
    char dir[64];
    pid_t root, peer;
    struct zts_sockaddr_in6 peer_addr; /* port 0 */
    struct zts_sockaddr_in peer_addr4; /* on the network of env_start_peer_on */
    uint64_t peer_id;
};

/* Make the planet and start its root; 0, or -1 with a message on stderr. tools: folder of ztd,
 * ztctl. */
int env_start(struct env *e);
/* Start this very program with "--peer HOME"; returns when it serves. */
int env_start_peer(struct env *e);
/* The same, also a member of a network of the root's controller. */
int env_start_peer_on(struct env *e, uint64_t nwid);
/* HOME in the folder, with the planet in it. */
void env_home(struct env *e, const char *name, char out[128]);
/* End both. -1: one of them has not ended with status 0 (what it said is on stderr). */
int env_stop(struct env *e);

/* First in the main() of a test program. It is the peer when it was called as such, and doesn't return
 * then; else it is for cmocka_run_group_tests_name(NAME, TESTS, env_setup, env_teardown), where env_setup
 * is env_start and setup (NULL: nothing more), env_teardown zts_free and env_stop. $ZT_TEST_CASE: only
 * the cases whose names match. */
void env_program(struct env *e, int argc, char **argv, int (*setup)(void));
int env_setup(void **state);
int env_teardown(void **state);
/* main() of the peer process: serves until SIGTERM. */
int env_peer_main(const char *home, const char *nwid);

/* Our own node: start in `name`, wait for online, join, wait for an address. 0 or -1. */
int env_up(struct env *e, const char *name);

/* Our own node in `name` online; ENV_NWID not joined. 0 or -1. */
int env_online(struct env *e, const char *name);
/* Stop it and wait for the last event. 0 or -1. */
int env_down(void);

/* "ztctl -H HOME/NAME ARGS": its output in out (the last line end cut), 0 or -1. */
int env_ztctl(struct env *e, const char *name, char *out, size_t cap, const char *args, ...)
    __attribute__((format(printf, 5, 6)));
/* A new network of the root's controller: its id, 0 on failure. args: KEY=VALUE... */
uint64_t env_network(struct env *e, const char *args);
/* The world outside. */
int env_free_port(void); /* nobody's, for UDP and TCP (tools/lib/ports.py) */
int64_t env_ms(void);      /* monotonic */
int64_t env_own_ms(void);  /* the same without what this thread has waited for a processor */
int env_rss_kb(void);      /* resident memory of this process */
int64_t env_cpu_ms(void);  /* processor time of this process */
size_t env_count_files(const char *dir);
uint64_t env_identity(const char *home); /* the address in identity.public */
/* Fork, run fn in the child, which exits with its result; returns that, -1 when it died. */
int env_in_child(int (*fn)(void *arg), void *arg);

/* Copies of what events carried: the newest of a kind. False: none yet. Also checked for every event:
 * exactly the pointer of its kind is set (R61), or the process ends. */
bool env_last_node(struct zts_node_details *out);
bool env_last_network(uint64_t nwid, struct zts_network_details *out);
bool env_last_peer(uint64_t addr, struct zts_peer_details *out);
/* What event i was about: network, peer or node id; 0: none. */
uint64_t env_event_id(int i);
/* Like env_wait_event, of this network or peer. */
int env_wait_event_of(int code, uint64_t id, int from, int ms);
/* Called with every event, before it is recorded; NULL: none. */
extern void (*_Atomic env_hook)(struct zts_callback_msg *msg);

/* Events so far, in order; code at i or 0 when there are fewer. */
void env_callback(struct zts_callback_msg *msg);
int env_event(int i);
int env_events(void);
void env_clear_events(void);
/* Wait until an event of this code has come since index `from`: its index, or -1 after ms. */
int env_wait_event(int code, int from, int ms);
/* Number of threads and of descriptors of this process. */
int env_threads(void);
int env_fds(void);
/* Descriptors close on the loop some time after zts_close: wait until there are `most` at most (10 s of
 * nothing closing, or a minute, end it), and how many there are then. With most 0: until no more close for
 * 300 ms, as a number to compare with later. */
int env_fds_settled(int most);
/* The same of threads. */
int env_threads_settled(int most);
/* zts_start, as soon as the node before has ended altogether: its last event comes a little earlier. */
int env_start_node(const char *home, int port);

#endif
