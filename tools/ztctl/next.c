/* What to do next. Each of these says on stderr, in a line or two, why something isn't as people
 * want it, and the command that changes it. */
#include "ztctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "world_file.h"

/* A new reference to what is given, else what the node says; NULL: nothing can be said. */
static json_t *given_or(const struct zc *zc, const json_t *given, const char *command)
{
    json_t *d;
    char msg[256];
    if (given != NULL)
        return json_incref((json_t *)(uintptr_t)given);
    return zc_command_quiet(zc->home, command, &d, msg, sizeof msg) == 0 ? d : NULL;
}

static void say_roots(const struct zt_world *w)
{
    char ep[ZT_EP_STR];
    for (unsigned i = 0; i < w->nroots; i++) {
        fprintf(stderr, "  %010" PRIx64 " at", w->roots[i].id.addr);
        for (unsigned j = 0; j < w->roots[i].neps; j++)
            fprintf(stderr, " %s", zt_ep_format(&w->roots[i].eps[j], ep));
        fputc('\n', stderr);
    }
}

static void say_no_planet(const struct zc *zc)
{
    const char *ztctl = zc_self(zc);
    fprintf(stderr,
            "no planet: this node knows no root server, and reaches nobody. Get the planet file of "
            "your\n"
            "network, or make one ('ztctl help planet'). Then:\n"
            "  %s planet install FILE; %s down; %s up\n",
            ztctl, ztctl, ztctl);
}

bool zc_hint_offline(const struct zc *zc, const json_t *given)
{
    static struct zt_world w;
    fflush(stdout); /* what it is about stands before it, in a pipe too */
    json_t *info = given_or(zc, given, "info");
    char *path;
    bool is_off = info != NULL && !zc_true(info, "online") && !zc_true(info, "isRoot");
    if (is_off && zc_int(info, "roots", 0) == 0) {
        say_no_planet(zc);
    } else if (is_off) {
        fputs("offline: no root server answers yet. Does one run there, and does UDP get through?\n",
              stderr);
        if (asprintf(&path, "%s/planet", zc->home) < 0)
            path = NULL;
        if (zc_read_world(zc_alloc(path), &w) == 0)
            say_roots(&w);
        free(path);
    }
    json_decref(info);
    return is_off;
}

static bool is_status(const json_t *network, const char *status)
{
    return strcmp(zc_str(network, "status"), status) == 0;
}

static void say_network(const struct zc *zc, const json_t *n, const char *node)
{
    const char *id = zc_str(n, "id");
    if (is_status(n, "ACCESS_DENIED"))
        fprintf(stderr,
                "%s: this node, %s, is not authorised yet. Where its controller, %.10s, runs:\n"
                "  ztctl controller authorize %s %s\n",
                id, node, id, id, node);
    else if (is_status(n, "NOT_FOUND"))
        fprintf(stderr, "%s: its controller, %.10s, has no such network. Is the id right?\n"
                        "  %s leave %s   forgets it\n",
                id, id, zc_self(zc), id);
    else if (is_status(n, "AUTHENTICATION_REQUIRED")) {
        char *url = zc_clean(zc_str(n, "authenticationURL"), ZC_CELL_MAX);
        fprintf(stderr, "%s: log in at %s\n", id, url);
        free(url);
    } else if (is_status(n, "REQUESTING_CONFIGURATION"))
        fprintf(stderr,
                "%s: its controller, %.10s, has not answered. Is it running, and the id right?\n"
                "  %s watch   shows when it answers\n",
                id, id, zc_self(zc));
    else if (is_status(n, "CLIENT_TOO_OLD"))
        fprintf(stderr, "%s: its controller wants a newer version of this node\n", id);
    else if (is_status(n, "PORT_ERROR"))
        fprintf(stderr, "%s: it got no interface (error %lld): too many networks?\n", id,
                (long long)zc_int(n, "portError", 0));
}

/* Without a root, what the networks say is only what follows from it. */
bool zc_hint_networks(const struct zc *zc, const json_t *given_info, const json_t *given)
{
    json_t *info = given_or(zc, given_info, "info"), *networks = given_or(zc, given, "networks"), *n;
    bool said = info != NULL && zc_hint_offline(zc, info);
    size_t i;
    if (info != NULL && !said)
        json_array_foreach(networks, i, n)
        {
            said = said || !is_status(n, "OK");
            say_network(zc, n, zc_str(info, "address"));
        }
    json_decref(info);
    json_decref(networks);
    return said;
}
