/* Worlds in files: the verbs of planet and moon. */
#ifndef ZTCTL_WORLD_FILE_H
#define ZTCTL_WORLD_FILE_H

#include "wire/world.h"
#include "ztctl.h"

/* Runs argv[0] (new, add-root, sign...) for worlds of this type; returns an exit code. */
int zc_world_command(const struct zc *zc, enum zt_world_type type, int argc, char **argv);

/* Reads a planet or moon file: 0, an errno, or EBADMSG. */
int zc_read_world(const char *path, struct zt_world *w);

#endif
