/* Why something from outside was refused: every refusal is counted under one of these, and the
 * counters are what `ztctl info -j` shows. Add a reason rather than reuse one that nearly fits. */
#ifndef ZT_BASE_DROP_H
#define ZT_BASE_DROP_H

#include <stdint.h>

#define ZT_DROP_TABLE(X)                                                                           \
    /* datagrams, fragments */                                                                     \
    X(SHORT, "datagram too short")                                                                 \
    X(BEACON, "LAN beacon: unknown node, not allowed there, or too often")                         \
    X(OWN_SOURCE, "our own address as source")                                                     \
    X(RESERVED_SOURCE, "reserved source address")                                                  \
    X(FRAGMENT_HEADER, "fragment header out of range")                                             \
    X(FRAGMENT_SIZE, "reassembled packet too large")                                               \
    X(FRAGMENT_EVICTED, "incomplete packet pushed out of the table")                               \
    X(FRAGMENT_EXPIRED, "incomplete packet timed out")                                             \
    X(CIPHER, "cipher suite unknown or not allowed here")                                          \
    X(TRUSTED_PATH, "plaintext from no trusted path of ours, or with another id")                  \
    X(MAC, "authentication failed")                                                                \
    X(DECOMPRESS, "bad compressed payload")                                                        \
    X(DUPLICATE, "packet or fragment seen before")                                                 \
    X(MALFORMED, "malformed message body")                                                         \
    X(UNKNOWN_VERB, "verb unknown")                                                                \
    X(QUEUE_FULL, "waiting queue full")                                                            \
    X(QUEUE_EXPIRED, "waited too long for a path or an identity")                                  \
    /* peers, roots */                                                                             \
    X(UNKNOWN_SENDER, "sender unknown, asked for its identity")                                    \
    X(HELLO_VERSION, "HELLO from a protocol version below the minimum")                            \
    X(HELLO_SOURCE, "HELLO source differs from its identity")                                      \
    X(IDENTITY, "identity failed its proof of work")                                               \
    X(IDENTITY_RATE, "identity checks rate-limited")                                               \
    X(COLLISION, "address claimed by another identity")                                            \
    X(UNEXPECTED_OK, "OK for nothing we asked")                                                    \
    X(UNEXPECTED_ERROR, "ERROR for nothing we asked")                                              \
    X(UNHEARD, "message for the application, which does not listen")                               \
    X(NO_BOND, "measures a bond of paths, and there is none")                                      \
    X(NOT_UPSTREAM, "sender is not a root")                                                        \
    X(WORLD, "world update refused")                                                               \
    X(RATE, "rate limit")                                                                          \
    X(PATH, "endpoint not allowed as a path")                                                      \
    X(RELAY_HOPS, "relayed too often")                                                             \
    X(RELAY_REFUSED, "not relaying for this sender")                                               \
    X(RELAY_NO_ROUTE, "relay target unknown")                                                      \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(TABLE_FULL, "table full")                                                                    \
    /* networks */                                                                                 \
    X(NOT_JOINED, "network not joined")                                                            \
    X(NO_CONFIG, "network has no configuration yet")                                               \
    X(GATE, "sender has no valid credentials")                                                     \
    X(RECIPIENT, "recipient has no valid credentials")                                             \
    X(RULES_IN, "dropped by the network's rules, inbound")                                         \
    X(RULES_OUT, "dropped by the network's rules, outbound")                                       \
    X(BRIDGE, "bridging not allowed")                                                              \
    X(FRAME_MAC, "bad MAC addresses")                                                              \
    X(FRAME_SIZE, "frame too large")                                                               \
    X(MULTICAST_OFF, "multicast or broadcast disabled")                                            \
    X(DESTINATION, "no such destination")                                                          \
    X(CREDENTIAL, "credential refused")                                                            \
    X(CONFIG, "network configuration refused")                                                     \
    X(NOT_CONTROLLER, "not from the network's controller")                                         \
    X(NOT_OURS, "asked for a network of another controller")                                       \
    X(CONFIG_SIZE, "network configuration too large to send")

enum zt_drop {
#define X(name, text) ZT_DROP_##name,
    ZT_DROP_TABLE(X)
#undef X
    ZT_DROP_COUNT
};

struct zt_drops {
    uint64_t n[ZT_DROP_COUNT];
};

/* "MALFORMED" / "malformed message body": the name as it is in the table, and text. */
const char *zt_drop_name(enum zt_drop d);
const char *zt_drop_text(enum zt_drop d);

static inline void zt_drop_count(struct zt_drops *s, enum zt_drop d)
{
    s->n[d]++;
}

#endif
