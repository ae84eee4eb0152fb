/* A private world for tests of the public API: a planet with one root on loopback, served by ztd,
 * and a peer process with a node of its own that echoes. Everything lives in one temporary folder
 * and ends with the test. */
#ifndef ZT_TESTS_API_ENV_H
#define ZT_TESTS_API_ENV_H

#include <stddef.h>
#include <sys/types.h>

#include "ZeroTierSockets.h"

#define ENV_NWID 0xff0001ffff000000ull /* without a controller, every port */
#define ENV_TCP_ECHO 7001
#define ENV_UDP_ECHO 7002
#define ENV_TCP_CLOSE 7003 /* accepts, sends "bye", closes */
#define ENV_TCP_RESET 7004 /* accepts, reads one byte, resets */
#define ENV_NOTHING 7009

struct env {
    char dir[64];
    pid_t root, peer;
    struct zts_sockaddr_in6 peer_addr; /* port 0 */
};

/* Make the planet and start its root; 0, or -1 with a message on stderr. tools: folder of ztd,
 * ztctl. */
int env_start(struct env *e);
/* Start this very program with "--peer HOME"; returns when it serves. */
int env_start_peer(struct env *e);
/* HOME in the folder, with the planet in it. */
void env_home(struct env *e, const char *name, char out[128]);
void env_stop(struct env *e);

/* main() of the peer process. */
int env_peer_main(const char *home);

/* Our own node: start in `name`, wait for online, join, wait for an address. 0 or -1. */
int env_up(struct env *e, const char *name);

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

#endif
