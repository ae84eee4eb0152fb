/* Networks and members of a controller as JSON documents: the files of controller.d and the local
 * API have the same form, that of 1.14.1 (vl2.md 9.6). A document may hold more than we know; what
 * is not ours stays in it. Pure functions. */
#ifndef ZT_NODE_CONTROLLER_JSON_H
#define ZT_NODE_CONTROLLER_JSON_H

#include <jansson.h>

#include "vl2/controller.h"

/* Parse a file or a request: any JSON value. Integers beyond 63 bits, which only other writers
 * make, become those of the same lowest 64 bits. NULL: not JSON, *e says why. */
json_t *zt_ctl_parse(const char *text, size_t n, json_error_t *e);
/* As it is in files: compact, keys sorted. malloc'd, or NULL. */
char *zt_ctl_dump(const json_t *doc);

/* The values that the controller works with. Returns 0, ZT_E_FORMAT (not an object), ZT_E_NOMEM;
 * *out is to be freed by zt_ctl_X_fini. Fields that are missing or make no sense have defaults. */
int zt_ctl_network_read(const json_t *doc, uint64_t nwid, struct zt_ctl_network *out);
int zt_ctl_member_read(const json_t *doc, uint64_t nwid, uint64_t addr, struct zt_ctl_member *out);

/* Fill in what every network / member has; a new document is an empty object. Returns 0 or
 * ZT_E_NOMEM, as the functions below do. */
int zt_ctl_network_defaults(json_t *doc, uint64_t nwid, int64_t wall_ms);
int zt_ctl_member_defaults(json_t *doc, uint64_t nwid, uint64_t addr, int64_t wall_ms);

/* A POST: take over the fields of body that may be written, in their normal form. ZT_E_INVAL: body
 * has a value that is an error (*why says which), and doc is to be thrown away. */
int zt_ctl_network_post(json_t *doc, const json_t *body, const char **why);
int zt_ctl_member_post(json_t *doc, const json_t *body, int64_t wall_ms, const char **why);

/* Write what the controller itself changed. fields: ZT_CHANGED_*. */
int zt_ctl_member_write(json_t *doc, const struct zt_ctl_member *m, unsigned fields,
                        enum zt_ctl_credential credential, const char *token);

/* Do two documents differ in more than their revision? */
bool zt_ctl_differ(const json_t *a, const json_t *b);
/* revision = revision + 1 */
int zt_ctl_count_revision(json_t *doc);

#endif
