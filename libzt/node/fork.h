/* Descriptors that belong to the loop and must not live on in a forked child: far ends of virtual
 * sockets, UDP sockets, doors, the lock. A child that kept them would hide the end of file from the
 * parent's programs and keep the home locked.
 *
 * Everybody in node/ who makes such a descriptor passes it through zt_fd_own and closes it with
 * zt_fd_close. One bitmap per process; all calls are lock-free and safe from any thread. */
#ifndef ZT_NODE_FORK_H
#define ZT_NODE_FORK_H

#include <stddef.h>

/* Remember fd (>= 0) as ours; returns it. Negative values pass through untouched. When memory for
 * the bitmap is short the descriptor is simply not remembered. */
int zt_fd_own(int fd);
/* Forget, and close. Negative: nothing. */
void zt_fd_close(int fd);
/* Forget without closing: it was handed to somebody else. Returns it. */
int zt_fd_disown(int fd);
/* For the child side of pthread_atfork only: close all of them. Async-signal-safe. */
void zt_fd_close_all(void);

/* Not NULL: called first by every thread of the library (an embedding preload tells its own calls from
 * the program's that way). Set before the first node starts. */
extern void (*zt_thread_hook)(void);
static inline void zt_thread_begins(void)
{
    if (zt_thread_hook != NULL)
        zt_thread_hook();
}

/* While a loop is watched, a fork waits until its thread stands still between two pieces of work, so that
 * what the child inherits (lwIP's lists, the core) is whole. From the beginning of its init to the end of its fini. */
struct zt_loop;
void zt_fork_watch(struct zt_loop *l);
void zt_fork_unwatch(struct zt_loop *l);
/* The handlers for pthread_atfork. */
void zt_fork_prepare(void);
void zt_fork_parent(void);
void zt_fork_child(void);

#endif
