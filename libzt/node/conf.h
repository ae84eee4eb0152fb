/* local.conf: what people may set for a node, in the JSON of the reference service.
 *
 *   { "physical": { "10.0.0.0/8": { "blacklist": true, "trustedPathId": 7, "mtu": 9000 } },
 *     "virtual":  { "0123456789": { "try": [ "192.0.2.1/9993" ], "blacklist": [ "10.0.0.0/8" ] } },
 *     "settings": { "primaryPort": 9993, ... } }
 *
 * ztd.8 has the list. Keys that we don't know are other programs' and are left alone. A value that
 * can't be used is reported with line, column and key, and the default stands for it; a file that
 * is no JSON is reported and unusable as a whole. The file is the user's: it is never written here.
 */
#ifndef ZT_NODE_CONF_H
#define ZT_NODE_CONF_H

#include <jansson.h>

#include "base/settings.h"
#include "node/store.h"

#define ZT_CONF_BIND 32
#define ZT_CONF_INTERFACES 32
#define ZT_CONF_MANAGERS 32
#define ZT_CONF_USERS 64
#define ZT_CONF_NAME 16 /* of an interface, with the end */

struct zt_conf {
    struct zt_settings core;
    int primary_port;                            /* -1: not set */
    uint16_t secondary_port;                     /* 0: a random one */
    uint16_t tertiary_port;                      /* 0: a random one */
    uint16_t random_first, random_last;          /* where random ports lie; 0: the usual range */
    bool allow_secondary_port;                   /* default true */
    bool port_mapping;                           /* default false */
    struct zt_ep bind[ZT_CONF_BIND];             /* own addresses to use and no others; none: all */
    char skip[ZT_CONF_INTERFACES][ZT_CONF_NAME]; /* interfaces whose name begins so */
    struct zt_ep managers[ZT_CONF_MANAGERS];     /* may use the local API; port: prefix length */
    uint32_t users[ZT_CONF_USERS];               /* uids that may have virtual sockets */
    unsigned nbind, nskip, nmanagers, nusers;
    uint64_t memory_budget; /* bytes for the queues of all sockets; 0: the default */
};

/* One thing to tell people: "12:7: settings.primaryPort: ...", from zt_conf_read with the file's
 * name in front. */
typedef void zt_conf_say(void *user, const char *text);

void zt_conf_default(struct zt_conf *out);
/* text is JSON of n bytes with a zero byte after them. Returns 0, or ZT_E_FORMAT with the defaults
 * in *out. *doc (may be NULL) gets the whole document, to be json_decref'd, or NULL. */
int zt_conf_parse(const char *text, size_t n, struct zt_conf *out, zt_conf_say *say, void *user,
                  json_t **doc);
/* The same from local.conf in the home; no file is the defaults. Returns 0, ZT_E_FORMAT, ZT_E_IO.
 * Waits for the disk. */
int zt_conf_read(struct zt_store *s, struct zt_conf *out, zt_conf_say *say, void *user,
                 json_t **doc);

#endif
