/* The outside world as the core sees it: time comes in as an argument, everything else goes through
 * struct zt_host. node/ is one implementation, tests/sim another.
 *
 * Rules: callbacks are made on the thread that called into the core, when the core's own state is
 * consistent; a callback must not call back into the core, except where said. */
#ifndef ZT_BASE_HOST_H
#define ZT_BASE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define ZT_NEVER INT64_MAX

struct zt_now {
    int64_t mono_ms; /* monotonic: every deadline and age */
    int64_t wall_ms; /* since the Unix epoch: HELLO, worlds, credentials */
};

struct zt_identity;

enum zt_event_kind {
    ZT_EVENT_ONLINE,        /* a root answers, or we are one */
    ZT_EVENT_OFFLINE,       /* no root has answered for the activity timeout */
    ZT_EVENT_COLLISION,     /* an upstream says that our address belongs to another identity */
    ZT_EVENT_PEER,          /* id: node address; the way there changed; ask zt_core_peer, which
                               doesn't know it any more when it was forgotten as silent */
    ZT_EVENT_NETWORK,       /* id: network id; status, config or addresses changed; ask zt_core_network */
    ZT_EVENT_PLANET,        /* the planet was replaced by a signed update; it was also saved */
    ZT_EVENT_REROUTED,      /* id: node address; the way there was lost, what follows goes another */
    ZT_EVENT_MOON,          /* id: moon; taken, replaced or gone; ask zt_core_moon */
};

struct zt_event {
    enum zt_event_kind kind;
    uint64_t id;
};

/* What the core wants kept. Files and names are the host's business (vl1.md 5.6). */
enum zt_object {
    ZT_OBJECT_PLANET,  /* id 0 */
    ZT_OBJECT_MOON,    /* id: world id */
    ZT_OBJECT_PEER,    /* id: node address */
    ZT_OBJECT_NETWORK, /* id: network id; the configuration dictionary */
};

/* Verbs that carry something for the application. */
enum zt_message_kind {
    ZT_MESSAGE_USER,  /* USER_MESSAGE: type and bytes, as the sender's application gave them */
    ZT_MESSAGE_TRACE, /* one dictionary of a REMOTE_TRACE, text of 1..10000 bytes; type 0 */
};

struct zt_host {
    void *user;

    /* Send one datagram: head then body (body may be empty). The bytes are only valid during the
     * call: copy or send. ttl 0 = default, else the IPv4 TTL for this datagram alone. */
    void (*send)(void *user, const struct zt_link *to, const uint8_t *head, size_t nhead,
                 const uint8_t *body, size_t nbody, unsigned ttl);

    /* A decrypted Ethernet frame for the network's interface; valid during the call. */
    void (*deliver)(void *user, uint64_t nwid, const uint8_t *eth, size_t n);

    /* n cryptographically secure random bytes; never fails. Called often: buffer it. */
    void (*random)(void *user, void *out, size_t n);

    /* Keep these bytes (n 0: forget them). Must not block; errors are the host's to report. */
    void (*save)(void *user, enum zt_object what, uint64_t id, const uint8_t *p, size_t n);

    void (*event)(void *user, const struct zt_event *ev);

    /* A message of a node whose identity is proven, and of which nothing else is known: anybody may
     * send these. p is valid during the call and not terminated. NULL: nobody listens; counted. */
    void (*message)(void *user, enum zt_message_kind kind, uint64_t from, uint64_t type,
                    const uint8_t *p, size_t n);

    /* Check the proof of work of this identity (tens of ms) somewhere else and answer later with
     * zt_core_identity_checked(). Returns false when too many are waiting. */
    bool (*check_identity)(void *user, const struct zt_identity *id);
};

#endif
