/* The node as a service in the foreground: what tools/ztd calls. Exported by libzt.so, but private
 * to this project: not installed, may change with every version. */
#ifndef ZT_API_SERVICE_H
#define ZT_API_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zts_service;

/* Those of syslog(3), so that a journal understands them. */
enum zts_service_level {
    ZTS_SERVICE_ERROR = 3,
    ZTS_SERVICE_WARNING = 4,
    ZTS_SERVICE_NOTICE = 5,
    ZTS_SERVICE_INFO = 6,
    ZTS_SERVICE_DEBUG = 7,
};

/* What is known once the node runs. */
struct zts_service_up {
    const char *home; /* absolute */
    uint64_t address;
    uint16_t port;     /* UDP */
    bool has_managers; /* local.conf allows the API from elsewhere (settings.allowManagementFrom) */
};

struct zts_service_config {
    const char *home;
    int port;        /* UDP; 0 random; -1: local.conf, 9993, or random */
    int lock_fd;     /* already holds HOME/identity.lock; -1: none */
    int idle_exit_s; /* end after so many seconds without virtual sockets and clients; 0: never */

    void *user;
    /* Something to tell people: one line, from any thread. */
    void (*log)(void *user, enum zts_service_level level, const char *text);
    /* The node runs: first, and again when it had to take another identity (another port, too).
     * On the event thread. May be NULL. */
    void (*up)(void *user, struct zts_service *s, const struct zts_service_up *info);
    /* The node has ended and all its calls are answered; on the thread of zts_service_run. May be
     * NULL; not called when up wasn't. */
    void (*down)(void *user);
};

/* Make the home folder when it is missing, as zts_service_run would. 0, or -1 with errno. */
__attribute__((visibility("default"))) int zts_service_make_home(const char *home);

/* Runs until SIGTERM, SIGINT, `ztctl down` or idleness. The calling thread must be the only one.
 * Returns 0, or 1 after a failure that was reported. */
__attribute__((visibility("default"))) int zts_service_run(const struct zts_service_config *cfg);

/* The same inside a program that has a life of its own (libztpreload with ZT_PRELOAD_EMBED):
 * returns when the node is up; signals, limits and threads stay the program's. Without `up` and
 * `down`. thread is called first by every thread of the library. 0, or -1 after a failure that was
 * reported. */
__attribute__((visibility("default"))) int zts_service_begin(const struct zts_service_config *cfg,
                                                             void (*thread)(void),
                                                             struct zts_service **out);
/* Wait until what the program wrote has been sent and acknowledged, at most timeout_ms, and end. */
__attribute__((visibility("default"))) void zts_service_finish(struct zts_service *s,
                                                               int timeout_ms);

/* One request to the local API (node/api.h), between up and down, from any thread. done is called
 * exactly once, later, on a thread of the node: it must not wait. 0, or -1 when no node runs now
 * (done is not called). */
typedef void zts_service_done(void *arg, int status, const char *type, const char *body, size_t n);
__attribute__((visibility("default"))) int zts_service_call(struct zts_service *s,
                                                            const char *method, const char *path,
                                                            const char *body, size_t nbody,
                                                            zts_service_done *done, void *arg);

/* May the local API be used from this address? Loopback always, others as local.conf said at the
 * start. Between up and down. */
struct sockaddr;
__attribute__((visibility("default"))) bool zts_service_allows(const struct zts_service *s,
                                                               const struct sockaddr *from);

#endif
