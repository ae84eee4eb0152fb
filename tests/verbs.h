/* Names of verbs, for what tests print. */
#ifndef ZT_TESTS_VERBS_H
#define ZT_TESTS_VERBS_H

#include "wire/packet.h"

static inline const char *verb_name(uint8_t verb)
{
    switch (verb) {
    case ZT_VERB_NOP:
        return "NOP";
    case ZT_VERB_HELLO:
        return "HELLO";
    case ZT_VERB_ERROR:
        return "ERROR";
    case ZT_VERB_OK:
        return "OK";
    case ZT_VERB_WHOIS:
        return "WHOIS";
    case ZT_VERB_RENDEZVOUS:
        return "RENDEZVOUS";
    case ZT_VERB_FRAME:
        return "FRAME";
    case ZT_VERB_EXT_FRAME:
        return "EXT_FRAME";
    case ZT_VERB_ECHO:
        return "ECHO";
    case ZT_VERB_MULTICAST_LIKE:
        return "MULTICAST_LIKE";
    case ZT_VERB_NETWORK_CREDENTIALS:
        return "NETWORK_CREDENTIALS";
    case ZT_VERB_NETWORK_CONFIG_REQUEST:
        return "NETWORK_CONFIG_REQUEST";
    case ZT_VERB_NETWORK_CONFIG:
        return "NETWORK_CONFIG";
    case ZT_VERB_MULTICAST_GATHER:
        return "MULTICAST_GATHER";
    case ZT_VERB_MULTICAST_FRAME:
        return "MULTICAST_FRAME";
    case ZT_VERB_PUSH_DIRECT_PATHS:
        return "PUSH_DIRECT_PATHS";
    case ZT_VERB_ACK:
        return "ACK";
    case ZT_VERB_QOS_MEASUREMENT:
        return "QOS_MEASUREMENT";
    case ZT_VERB_USER_MESSAGE:
        return "USER_MESSAGE";
    case ZT_VERB_REMOTE_TRACE:
        return "REMOTE_TRACE";
    case ZT_VERB_PATH_NEGOTIATION_REQUEST:
        return "PATH_NEGOTIATION_REQUEST";
    default:
        return "?";
    }
}

#endif
