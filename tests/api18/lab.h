/* The private world of tests/api/env.h, for files of the 1.8 generation: no file can include both
 * public headers. lab.c is written against the other one, so each of these programs mixes the two.
 */
#ifndef ZT_TESTS_API18_LAB_H
#define ZT_TESTS_API18_LAB_H

#include <stddef.h>

#define LAB_NWID 0xff0001ffff000000ull /* without a controller, every port */
#define LAB_TCP_ECHO 7001
#define LAB_NOTHING 7009

/* As env_program, env_setup and env_teardown there; lab_teardown frees what the test has not. */
void lab_program(int argc, char **argv, int (*setup)(void));
int lab_setup(void **state);
int lab_teardown(void **state);
/* Start a peer that echoes; its address as text. */
int lab_start_peer(char address[46]);
/* Path of a folder in the lab; planet: with the planet in it. */
void lab_home(const char *name, int planet, char out[128]);
/* Path of the planet. */
void lab_planet(char out[128]);
int lab_threads(int most);
int lab_fds(int most);

/* Calls of the other generation on the node that this one started. */
int lab_other_connect(const char *address, unsigned short port); /* a descriptor */
int lab_other_host_fd(int fd);
/* Start and stop a node by the other generation's calls; returns events seen, or -1. */
int lab_other_start(const char *home);
int lab_other_online(int ms);
int lab_other_stop(void);

#endif
