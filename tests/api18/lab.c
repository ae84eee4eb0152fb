#include "lab.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../api/env.h"

_Static_assert(LAB_NWID == ENV_NWID && LAB_TCP_ECHO == ENV_TCP_ECHO && LAB_NOTHING == ENV_NOTHING,
               "one world");

static struct env e;

void lab_program(int argc, char **argv, int (*setup)(void))
{
    env_program(&e, argc, argv, setup);
}

int lab_setup(void **state)
{
    return env_setup(state);
}

int lab_teardown(void **state)
{
    return env_teardown(state);
}

int lab_start_peer(char address[46])
{
    if (env_start_peer(&e) != 0)
        return -1;
    if (zts_inet_ntop(ZTS_AF_INET6, &e.peer_addr.sin6_addr, address, 46) == NULL)
        return -1;
    for (char *c = address; *c != 0; c++) /* as the 1.8 generation writes it */
        *c = (char)toupper((unsigned char)*c);
    return 0;
}

void lab_home(const char *name, int planet, char out[128])
{
    if (planet)
        env_home(&e, name, out);
    else
        snprintf(out, 128, "%s/%s", e.dir, name);
}

void lab_planet(char out[128])
{
    snprintf(out, 128, "%s/root/planet", e.dir);
}

int lab_threads(int most)
{
    return env_threads_settled(most);
}

int lab_fds(int most)
{
    return env_fds_settled(most);
}

int lab_other_connect(const char *address, unsigned short port)
{
    struct zts_sockaddr_in6 a = {.sin6_family = ZTS_AF_INET6, .sin6_port = zts_htons(port)};
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    if (fd < 0 || zts_inet_pton(ZTS_AF_INET6, address, &a.sin6_addr) != 1)
        return -1;
    return zts_connect(fd, &a, sizeof a) == 0 ? fd : -1;
}

int lab_other_host_fd(int fd)
{
    return zts_get_host_fd(fd);
}

int lab_other_start(const char *home)
{
    env_clear_events();
    return env_start_node(home, 0);
}

int lab_other_online(int ms)
{
    return env_wait_event(ZTS_EVENT_NODE_ONLINE, 0, ms) >= 0;
}

int lab_other_stop(void)
{
    int rc = zts_stop();
    return rc == 0 && env_wait_event(ZTS_EVENT_NODE_NORMAL_TERMINATION, 0, 90000) < 0 ? -1 : rc;
}
