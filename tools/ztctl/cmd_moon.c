/* moon new | add-root | ...: sets of roots beside the planet, in files; moons, orbit, deorbit:
 * those that the running node has. */
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "world_file.h"

int zc_cmd_moon(struct zc *zc, int argc, char **argv)
{
    return zc_world_command(zc, ZT_WORLD_MOON, argc, argv);
}

static int check_moon_id(const struct zc *zc, const char *text)
{
    uint64_t id;
    size_t n = strlen(text);
    if (n >= 1 && n <= 16 && zt_hex_parse_u64(text, (unsigned)n, &id) == 0 && id != 0)
        return ZC_OK;
    return zc_usage(zc, "'%s' is not the id of a moon: up to 16 hex digits", text);
}

static void print_moon(struct zc_table *t, const json_t *moon)
{
    json_t *root;
    size_t i;
    bool waiting = zc_true(moon, "waiting");
    char roots[128] = "";
    json_array_foreach(json_object_get(moon, "roots"), i, root)
    {
        size_t at = strlen(roots);
        snprintf(roots + at, sizeof roots - at, "%s%.10s", at > 0 ? " " : "",
                 zc_str(root, "identity"));
    }
    zc_cell(t, ZC_PLAIN, zc_str(moon, "id"));
    zc_cell(t, waiting ? ZC_YELLOW : ZC_GREEN, waiting ? "WAITING" : "HELD");
    zc_cellf(t, ZC_PLAIN, "%lld", (long long)zc_int(moon, "timestamp", 0));
    if (waiting)
        zc_cellf(t, ZC_PLAIN, "asks %s", zc_str(moon, "seed"));
    else
        zc_cell(t, ZC_PLAIN, roots);
}

static int print_moons(const struct zc *zc, json_t *moons)
{
    json_t *moon;
    size_t i;
    struct zc_table t;
    if (zc->json)
        return zc_print_json(moons);
    if (json_array_size(moons) == 0) {
        printf("no moon is orbited; one is with: %s orbit MOON SEED\n", zc_self(zc));
        json_decref(moons);
        return ZC_OK;
    }
    zc_head(&t, "MOON|STATE|REVISION|ROOTS");
    json_array_foreach(moons, i, moon) print_moon(&t, moon);
    zc_table_print(&t);
    json_decref(moons);
    return ZC_OK;
}

int zc_cmd_moons(struct zc *zc, int argc, char **argv)
{
    json_t *d;
    if (argc != 0)
        return zc_usage(zc, "unexpected argument '%s'", argv[0]);
    int code = zc_command(zc, "moons", &d);
    return code == ZC_OK ? print_moons(zc, d) : code;
}

int zc_cmd_orbit(struct zc *zc, int argc, char **argv)
{
    char text[64];
    json_t *d;
    uint64_t seed;
    if (argc != 2)
        return zc_usage(zc, "give the moon's id and the address of a node that knows it");
    int code = check_moon_id(zc, argv[0]);
    if (code == ZC_OK && zt_hex_parse_u64(argv[1], 10, &seed) != 0)
        return zc_usage(zc, "'%s' is not a node's address: 10 hex digits", argv[1]);
    if (code != ZC_OK)
        return code;
    snprintf(text, sizeof text, "orbit %s %s", argv[0], argv[1]);
    code = zc_command(zc, text, &d);
    if (code != ZC_OK || zc->json)
        return code != ZC_OK ? code : zc_print_json(d);
    printf(zc_true(d, "waiting") ? "%s: asked for; 'ztctl moons' shows when it is there\n"
                                 : "%s: held\n",
           zc_str(d, "id"));
    json_decref(d);
    return ZC_OK;
}

int zc_cmd_deorbit(struct zc *zc, int argc, char **argv)
{
    char text[64];
    json_t *d;
    if (argc != 1)
        return zc_usage(zc, "give the moon's id");
    int code = check_moon_id(zc, argv[0]);
    if (code != ZC_OK)
        return code;
    snprintf(text, sizeof text, "deorbit %s", argv[0]);
    code = zc_command(zc, text, &d);
    if (code != ZC_OK || zc->json)
        return code != ZC_OK ? code : zc_print_json(d);
    printf("%s: left\n", argv[0]);
    json_decref(d);
    return ZC_OK;
}
