/* Identities and world keys in files: shared by the identity and planet commands. */
#ifndef ZTCTL_IDENTITY_IO_H
#define ZTCTL_IDENTITY_IO_H

#include "wire/identity.h"
#include "ztctl.h"

/* Randomness from the system for crypto/ (zt_random_fn). */
void zc_random(void *user, void *out, size_t n);

/* Reads the identity named by what: the text of one, a file, or a folder (its identity.secret when
 * secret is wanted and there is one, else its identity.public). ZC_OK, or ZC_FAILED with a message.
 * Syntax only. */
int zc_load_identity(const struct zc *zc, const char *what, struct zt_identity *out);

#endif
