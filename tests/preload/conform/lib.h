/* What the cases share: telling what a call answered, the address under test, usual beginnings. */
#ifndef CONFORM_LIB_H
#define CONFORM_LIB_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern struct sockaddr_storage base; /* the address under test, port 0 */
extern socklen_t base_len;
extern int family;
extern const char *self_path, *self_addr;

struct conform_case {
    const char *name; /* NULL: the end */
    void (*run)(void);
};
extern const struct conform_case cases_connect[], cases_epoll[], cases_data[], cases_serve[],
    cases_process[], cases_options[], cases_dgram[], cases_mapped[];

#define SAY(call) say(#call, (long)(call))
#define OK(call) say(#call, (long)(call) < 0 ? -1 : 0) /* the value is nobody's business */
#define OPTION(fd, level, name) option(fd, #name, level, name)

const char *err_name(int e);
long say(const char *what, long r);
void settle(void);
void events(const char *what, int fd);
void wait_for(int fd, short what);
void so_error(int fd);
void option(int fd, const char *name, int level, int opt);
struct sockaddr *addr(int port);
int port_of(const void *ss);
const char *same(const struct sockaddr_storage *a, socklen_t len);
int bound_port(int fd);
void names(int fd);
int listener(int *port);
int closed_port(void);
void pair_up(int *client, int *server);
void nonblock(int fd);
void lingering_reset(int fd);
void exec_child(void); /* what the process cases execute */

#endif
