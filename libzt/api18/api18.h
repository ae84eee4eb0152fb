/* Shared inside api18/: the 1.8 generation as a translation to the other one and to the engine. It
 * keeps no state of the node, because it is built twice: into libzt.so, where names that both
 * generations have are zts_simple_NAME, and (ZTS18_PLAIN_NAMES) into libzt18.so, where they are
 * plain and the calls below lead to libzt.so by the names zts_1_NAME. */
#ifndef ZT_API18_H
#define ZT_API18_H

#include <errno.h>
#include <stdbool.h>

#include "zts18/ZeroTierSockets.h"

#include "api/zts_engine.h"

#ifdef ZTS18_PLAIN_NAMES
#define ONE(name) __asm__("zts_1_" #name)
#else
#define ONE(name) __asm__("zts_" #name)
#endif

int one_socket(int family, int type, int protocol) ONE(socket);
int one_connect(int fd, const void *addr, zts_socklen_t addrlen) ONE(connect);
int one_bind(int fd, const void *addr, zts_socklen_t addrlen) ONE(bind);
int one_listen(int fd, int backlog) ONE(listen);
int one_accept(int fd, void *addr, zts_socklen_t *addrlen) ONE(accept);
int one_getsockname(int fd, void *addr, zts_socklen_t *addrlen) ONE(getsockname);
int one_getpeername(int fd, void *addr, zts_socklen_t *addrlen) ONE(getpeername);
int one_close(int fd) ONE(close);
ssize_t one_send(int fd, const void *buf, size_t len, int flags) ONE(send);
ssize_t one_recv(int fd, void *buf, size_t len, int flags) ONE(recv);
ssize_t one_read(int fd, void *buf, size_t len) ONE(read);
ssize_t one_write(int fd, const void *buf, size_t len) ONE(write);
int one_inet_pton(int family, const char *src, void *dst) ONE(inet_pton);

/* Names that only the other generation has. */
int zts_setsockopt(int fd, int level, int optname, const void *optval, zts_socklen_t optlen);
int zts_getsockopt(int fd, int level, int optname, void *optval, zts_socklen_t *optlen);
int zts_select(int nfds, zts_fd_set *r, zts_fd_set *w, zts_fd_set *e, struct zts_timeval *timeout);
int zts_fcntl(int fd, int cmd, int flags);
int zts_poll(struct zts_pollfd *fds, zts_nfds_t nfds, int timeout_ms);
int zts_ioctl(int fd, unsigned long request, void *argp);
ssize_t zts_sendto(int fd, const void *buf, size_t len, int flags, const void *addr,
                   zts_socklen_t addrlen);
ssize_t zts_sendmsg(int fd, const struct zts_msghdr *msg, int flags);
ssize_t zts_recvfrom(int fd, void *buf, size_t len, int flags, void *addr, zts_socklen_t *addrlen);
ssize_t zts_recvmsg(int fd, struct zts_msghdr *msg, int flags);
ssize_t zts_readv(int fd, const struct zts_iovec *iov, int iovcnt);
ssize_t zts_writev(int fd, const struct zts_iovec *iov, int iovcnt);
int zts_shutdown(int fd, int how);
int zts_stop(void);
int zts_free(void);

/* For zt_identity_generate and friends. */
void zts18_random(void *user, void *out, size_t n);

/* A socket function's answer: zts_errno is 0 after a success. */
ssize_t zts18_done(ssize_t rc);

/* The text of these 4 or 16 bytes, IPv6 in upper case. dst has ZTS_IP_MAX_STR_LEN bytes. */
void zts18_ip_text(int family, const void *ip, char *dst);
void zts18_ep_text(const struct zt_ep *ep, char *dst);
void zts18_ep_storage(const struct zt_ep *ep, struct zts_sockaddr_storage *out);

#endif
