/* planet new | add-root | ...: the set of root servers that nodes know. */
#include "world_file.h"

int zc_cmd_planet(struct zc *zc, int argc, char **argv)
{
    return zc_world_command(zc, ZT_WORLD_PLANET, argc, argv);
}
