/* The verbs that ask nothing of VL1 itself: messages for the application, and the measurements of
 * bonded paths. */
#ifndef ZT_VL1_MESSAGE_H
#define ZT_VL1_MESSAGE_H

#include "vl1/vl1.h"

enum zt_verdict zt_message_user(struct zt_vl1 *v, const struct zt_rx *rx);
enum zt_verdict zt_message_trace(struct zt_vl1 *v, const struct zt_rx *rx);
/* ACK, QOS_MEASUREMENT, PATH_NEGOTIATION_REQUEST. */
enum zt_verdict zt_message_bond(struct zt_vl1 *v, const struct zt_rx *rx);

#endif
