/* The home folder: the lock, the identity, and files that are replaced as a whole (vl1.md 5.6).
 *
 * A file is written to NAME.tmp, flushed and renamed, so that a reader finds the old or the new
 * one. What can't be understood is never overwritten: a damaged identity is an error; any other
 * damaged file is moved to NAME.damaged and reported. These calls wait for the disk: they belong to
 * the node's keeper thread, one at a time, never to a loop that has begun its work.
 *
 * A store without a folder holds nothing: no file is found in it, and what is written is only told
 * to `wrote`. Its home is "". */
#ifndef ZT_NODE_STORE_H
#define ZT_NODE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/identity.h"

struct zt_store;

#define ZT_STORE_WHY 512             /* room for a message */
#define ZT_STORE_FILE_MAX (4u << 20) /* nothing larger is read */

struct zt_store_config {
    const char *home; /* created with parents, 0700; NULL: no folder, see below */
    int lock_fd;      /* already holds identity.lock (taken over), or -1 */
    /* Told of every file that is written, before it is; may be NULL. */
    void (*wrote)(void *user, const char *name, const void *p, size_t n);
    void (*report)(void *user, const char *text); /* something to tell people; may be NULL */
    void *user;
};

/* mkdir -p with mode 0700: 0 or an errno. */
int zt_store_make_home(const char *path);
/* Makes the folder and takes the lock. Returns 0; ZT_E_LOCKED, ZT_E_PERM (also: it is another
 * user's, or others may write to it), ZT_E_IO, ZT_E_NOMEM with a message in why. lock_fd is closed on failure. */
int zt_store_open(const struct zt_store_config *cfg, struct zt_store **out, char why[ZT_STORE_WHY]);
void zt_store_close(struct zt_store *s); /* unlocks */

const char *zt_store_home(const struct zt_store *s); /* absolute path */

/* Load identity.secret, or make one (half a second) and write both files. identity.public is
 * rewritten when it differs. Returns 0; ZT_E_FORMAT (damaged; nothing is touched), ZT_E_IO,
 * ZT_E_PERM, ZT_E_NOMEM with a message in why. */
int zt_store_identity(struct zt_store *s, zt_random_fn *random, void *user, struct zt_identity *out,
                      char why[ZT_STORE_WHY]);
/* Collision: move the identity to identity.*.saved_after_collision. 0 or ZT_E_IO. */
int zt_store_identity_aside(struct zt_store *s);

/* Names are relative to the home: "planet", "peers.d/0123456789.peer". */

/* Whole file, malloc'd, with a zero byte after it. 0, ZT_E_NOENT, ZT_E_IO, ZT_E_SPACE, ZT_E_NOMEM.
 */
int zt_store_read(struct zt_store *s, const char *name, uint8_t **out, size_t *n);

#define ZT_STORE_PRIVATE 1u /* mode 0600 instead of 0644 */
#define ZT_STORE_DURABLE 2u /* fsync before the rename: survives a power cut */
/* Replace. Makes the folders in front of the name (0700). 0 or ZT_E_IO (reported). */
int zt_store_write(struct zt_store *s, const char *name, unsigned flags, const void *p, size_t n);
void zt_store_remove(struct zt_store *s, const char *name);
/* Remove for good: not there any more after a power cut either. 0 (also when there was none) or
 * ZT_E_IO (reported). */
int zt_store_erase(struct zt_store *s, const char *name);
/* A folder with the files in it; what it can't remove is reported. */
void zt_store_remove_folder(struct zt_store *s, const char *name);
/* Remove what was being written (NAME.tmp) in this folder when a process was killed. Before any
 * writing. */
void zt_store_sweep(struct zt_store *s, const char *dir);
bool zt_store_has(struct zt_store *s, const char *name);
/* Damaged: move to NAME.damaged and report `what` is wrong with it. */
void zt_store_aside(struct zt_store *s, const char *name, const char *what);

/* Another file than one of a home: 0, ZT_E_NOENT, ZT_E_IO, ZT_E_PERM, ZT_E_SPACE, ZT_E_NOMEM. */
int zt_file_read(const char *path, uint8_t **out, size_t *n);

/* Call fn for every file `dir`/<digits hex digits><suffix>. age_s: seconds since it was changed,
 * 0 when its time is in the future. */
void zt_store_each(struct zt_store *s, const char *dir, unsigned digits, const char *suffix,
                   void (*fn)(void *user, const char *name, uint64_t id, int64_t age_s),
                   void *user);

/* Make a token of the local API (24 letters and digits, 0600) when the file is missing. 0 or
 * ZT_E_IO. */
int zt_store_token(struct zt_store *s, const char *name, zt_random_fn *random, void *user);

#endif
