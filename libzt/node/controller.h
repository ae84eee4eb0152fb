/* The controller's records on disk and in the local API.
 *
 * Each network and each member has one document, the text that is its file (vl2.md 9.1). The
 * documents here are the newest state; the core works with the values read from them; the disk
 * follows. Who changes a record is answered when the file is safe: written aside, flushed, renamed,
 * its folder flushed, all by the keeper. Changes that come while a file is being written go into
 * the next version of it, so a busy record costs no more than the disk can do.
 *
 * A file that can't be written (disk full) is tried again every few seconds; callers are told 500,
 * and members wait for configurations that depend on it. */
#ifndef ZT_NODE_CONTROLLER_H
#define ZT_NODE_CONTROLLER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/api.h"
#include "vl2/controller.h"

struct zt_node;
struct zt_ctl_db;

/* Keeper, before there is a loop: read controller.d. Damaged files are reported and moved aside.
 * Returns 0, ZT_E_NOMEM. */
int zt_ctl_db_load(struct zt_node *n, struct zt_ctl_db **out);
void zt_ctl_db_free(struct zt_ctl_db *db); /* keeper, when there is no loop any more */

/* Loop thread: give the core its role and its records. Returns 0, ZT_E_NOMEM. */
int zt_ctl_db_start(struct zt_ctl_db *db);
/* The loop ends: callers that still wait get 503. What isn't written yet is with the keeper. */
void zt_ctl_db_end(struct zt_ctl_db *db);
/* Try again to write what failed; when, ZT_NEVER without any. */
void zt_ctl_db_due(struct zt_ctl_db *db, int64_t mono_ms);
int64_t zt_ctl_db_deadline(const struct zt_ctl_db *db);

/* For /metrics. Loop thread. */
struct zt_ctl_db_counts {
    struct zt_ctl_counts core;
    size_t networks, members; /* records, those of other controllers too */
    size_t unwritten;         /* of them, whose newest version isn't on disk yet */
    uint64_t writes, failures; /* of files */
};
void zt_ctl_db_count(const struct zt_ctl_db *db, struct zt_ctl_db_counts *out);

/* The paths below /controller and /unstable/controller. method: GET, POST or DELETE. Loop thread;
 * done as for zt_api_call. */
void zt_controller_api(struct zt_node *n, const struct zt_api_request *r, zt_api_done *done,
                       void *arg);

#endif
