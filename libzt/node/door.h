/* The door: serves control.sock in the home (and its abstract twin) to preloaded programs and
 * ztctl, with the messages of zt_control.h. Loop thread only. */
#ifndef ZT_NODE_DOOR_H
#define ZT_NODE_DOOR_H

#include "node/loop.h"
#include "node/proxy.h"

struct zt_door;
struct zt_door_reply;

struct zt_door_config {
    struct zt_loop *loop;
    struct zt_proxy *proxy;
    const char *home;           /* folder; any length */
    const uint32_t *allow_uids; /* besides root and our own; copied */
    unsigned nallow;
    /* ZT_CTL_COMMAND: must end in one zt_door_reply, now or later. text dies with the call. is_owner:
     * from our own uid or root, who may say everything; else from one of allow_uids. */
    void (*command)(void *user, const char *text, bool is_owner, struct zt_door_reply *to);
    void *user;
};

/* Takes over a socket that an earlier node left there: the caller holds the home's lock. Returns 0,
 * ZT_E_NOMEM, ZT_E_IO. */
int zt_door_new(const struct zt_door_config *cfg, struct zt_door **out);
/* Another list of uids, copied, for those who come from now on. 0 or ZT_E_NOMEM (the old one). */
int zt_door_allow(struct zt_door *d, const uint32_t *uids, unsigned n);
/* Removes the socket and closes all clients. Memory goes when libuv has closed the handles. Replies
 * still owed must be given all the same (zt_door_reply frees them); nobody gets them. */
void zt_door_free(struct zt_door *d);
unsigned zt_door_clients(const struct zt_door *d);

/* Answer a command: err 0 or an errno, text of n bytes (copied). Exactly once per command; fine
 * when the client or the door has gone. */
void zt_door_reply(struct zt_door_reply *to, int err, const char *text, size_t n);

/* Answer a command without end: its client gets first (n bytes), and from now on what zt_door_tell
 * is given, each as a message of its own with `more` set. Instead of zt_door_reply. */
void zt_door_watch(struct zt_door_reply *to, const char *first, size_t n);
bool zt_door_is_watched(const struct zt_door *d);
/* To all that watch; at most ZT_CTL_REPLY_DATA bytes. Never waits: who is behind by as much as a
 * socket buffer holds misses it, and is told how many it missed, as {"event":"missed","count":N},
 * before the next one. */
void zt_door_tell(struct zt_door *d, const char *text, size_t n);

#endif
