/* What can be set of a network, or of a member of it, by KEY=VALUE. */
#ifndef ZTCTL_CONTROLLER_SET_H
#define ZTCTL_CONTROLLER_SET_H

#include "ztctl.h"

/* All arguments into the body of a POST, *out. old: the network as it is, or NULL. ZC_OK, or said. */
int zc_controller_settings(const struct zc *zc, bool of_member, const json_t *old, int argc, char **argv,
                           json_t **out);
/* The keys, one after the other; NULL: no more. */
const char *zc_controller_key(bool of_member, size_t i);

#endif
