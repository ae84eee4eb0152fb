/* Between controller_api.c and controller_db.c: records by id. All on the loop thread.
 *
 * Another database takes the place of the files behind these functions and those of controller.h; what it
 * owes the core is in vl2/controller.h, "store". The local API knows nothing of files. */
#ifndef ZT_NODE_CONTROLLER_DB_H
#define ZT_NODE_CONTROLLER_DB_H

#include "node/api_priv.h"
#include "node/controller.h"

/* The document's text: compact JSON, keys sorted. NULL: no such record. Dies with its change. */
const char *zt_ctl_db_network(const struct zt_ctl_db *db, uint64_t nwid);
const char *zt_ctl_db_member(const struct zt_ctl_db *db, uint64_t nwid, uint64_t addr);
/* As a new document. *none: there is no such record; else NULL is out of memory. */
json_t *zt_ctl_db_read(const struct zt_ctl_db *db, uint64_t nwid, uint64_t addr, bool *none);

/* A member in a list; text as of zt_ctl_db_member. */
struct zt_ctl_row {
    uint64_t addr, revision;
    bool is_authorized;
    const char *text;
};
/* Ids of all networks / all members of a network that there is, ascending, malloc'd; NULL: no
 * memory. Nothing is parsed for that: lists may have thousands. */
uint64_t *zt_ctl_db_networks(const struct zt_ctl_db *db, size_t *n);
struct zt_ctl_row *zt_ctl_db_members(const struct zt_ctl_db *db, uint64_t nwid, size_t *n);

/* Put this document in place (addr 0: of a network) if it differs from what is there, and answer
 * with it once it is safe. doc stays the caller's. */
void zt_ctl_db_put(struct zt_ctl_db *db, uint64_t nwid, uint64_t addr, json_t *doc,
                   struct zt_api_to to);
/* Remove a record (addr 0: a network with its members) and answer with what it was. */
void zt_ctl_db_delete(struct zt_ctl_db *db, uint64_t nwid, uint64_t addr, struct zt_api_to to);

#endif
