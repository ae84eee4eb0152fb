/* The node as a service in the foreground: what tools/ztd calls. Exported by libzt.so, but private
 * to this project: not installed, may change with every version. */
#ifndef ZT_API_SERVICE_H
#define ZT_API_SERVICE_H

#include <stdbool.h>

struct zts_service_config {
    const char *home;
    int port;         /* UDP; 0 random; -1: local.conf, 9993, or random */
    int lock_fd;      /* already holds HOME/identity.lock; -1: none */
    int idle_exit_s;  /* end after so many seconds without virtual sockets and clients; 0: never */
    const char *name; /* of the program, before messages */
};

/* Runs until SIGTERM, SIGINT, `ztctl down` or idleness; messages go to stderr. The calling thread
 * must be the only one. Returns 0, or 1 after a failure that was reported. */
__attribute__((visibility("default"))) int zts_service_run(const struct zts_service_config *cfg);

#endif
