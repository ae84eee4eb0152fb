/* ztd: what its files share. main.c reads the command line, log.c says things, http.c serves the
 * local API. The node itself is libzt. */
#ifndef ZTD_H
#define ZTD_H

#include <stdbool.h>

#include "api/zts_service.h"

/* log.c: to stderr. For a journal (systemd's $JOURNAL_STREAM) each line has its level in front; a file
 * gets the time, too. Any thread. */
void ztd_log_open(enum zts_service_level most);
/* "error" ... "debug", or 0. */
enum zts_service_level ztd_log_level(const char *name);
void ztd_log(enum zts_service_level level, const char *text);
__attribute__((format(printf, 2, 3))) void ztd_say(enum zts_service_level level, const char *fmt,
                                                   ...);

/* notify.c: "READY=1" and the like to the service manager, if there is one. Any thread. */
void ztd_notify(const char *state);
/* confine.c: give up what the service never needs; the home must be there, and no second thread.
 * False, and said: it couldn't, and going on would be less safe than people think. */
bool ztd_confine(const char *home);

/* guard.c: who may ask. */
#define ZTD_BODY_MAX (2u << 20)
#define ZTD_TOKEN_MAX 128
struct MHD_Connection;
struct ztd_guard {
    struct zts_service *service;
    char token[ZTD_TOKEN_MAX], metrics_token[ZTD_TOKEN_MAX]; /* without white space; "": none */
};
/* Reads the tokens from the home. False, and said: there is none. */
bool ztd_guard_init(struct ztd_guard *g, struct zts_service *s, const char *home);
/* 0, or the status to refuse with; *why: text for people, NULL: nothing but {}. */
int ztd_guard_check(const struct ztd_guard *g, struct MHD_Connection *c, const char *path,
                    const char **why);

/* http.c: one thread. start and stop are called by one thread at a time. */
struct ztd_http;

/* Serves on 127.0.0.1, ::1 (port of the node, or another while somebody else has it) and
 * HOME/api.sock, and writes zerotier-one.port. What can't be had is said and left out; NULL when
 * nothing can. */
struct ztd_http *ztd_http_start(struct zts_service *s, const struct zts_service_up *info);
/* Every call into the service has been answered, or will be without us. NULL is fine. */
void ztd_http_stop(struct ztd_http *h);

#endif
