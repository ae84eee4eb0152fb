/* What dgram.c and dgram_many.c share. */
#ifndef ZT_PRELOAD_DGRAM_H
#define ZT_PRELOAD_DGRAM_H

#include "shim.h"

#define ZT_DGRAM_HDR sizeof(struct zt_ctl_dgram)

/* The header for a message of the program's: 0 or -errno. */
int zt_dgram_header(zt_word w, const struct msghdr *m, struct zt_ctl_dgram *h);
/* How many bytes may go to where the header says. */
size_t zt_dgram_most(zt_word w, const struct zt_ctl_dgram *h);
/* What the program gets for a message of n bytes, header included; room: bytes in its vector. */
ssize_t zt_dgram_take(int fd, zt_word w, const struct zt_ctl_dgram *h, ssize_t n, size_t room,
                      struct msghdr *m, int flags);

/* sendmmsg and recvmmsg: how many, or -1. */
int zt_dgram_send_many(int fd, zt_word w, struct mmsghdr *v, unsigned n, int flags);
int zt_dgram_recv_many(int fd, zt_word w, struct mmsghdr *v, unsigned n, int flags,
                       struct timespec *timeout);

#endif
