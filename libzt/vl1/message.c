#include "vl1/message.h"

#include "base/err.h"
#include "vl1/state.h"

#define TRACE_MAX 10000
#define QOS_MIN 9
#define QOS_MAX 1400
#define TYPE_BYTES 8

static void hand_up(struct zt_vl1 *v, enum zt_message_kind kind, const struct zt_rx *rx,
                    uint64_t type, const uint8_t *p, size_t n)
{
    if (v->host->message != NULL)
        v->host->message(v->host->user, kind, rx->from, type, p, n);
    else
        zt_drop_count(v->drops, ZT_DROP_UNHEARD);
}

enum zt_verdict zt_message_user(struct zt_vl1 *v, const struct zt_rx *rx)
{
    if (rx->n < TYPE_BYTES)
        zt_drop_count(v->drops, ZT_DROP_MALFORMED);
    else
        hand_up(v, ZT_MESSAGE_USER, rx, zt_be64(rx->payload), rx->payload + TYPE_BYTES,
                rx->n - TYPE_BYTES);
    return ZT_VERDICT_OK;
}

enum zt_verdict zt_message_trace(struct zt_vl1 *v, const struct zt_rx *rx)
{
    for (size_t at = 0; at < rx->n;) {
        const uint8_t *end = memchr(rx->payload + at, 0, rx->n - at);
        size_t n = end != NULL ? (size_t)(end - (rx->payload + at)) : 0;
        if (end == NULL || n > TRACE_MAX) { /* a dictionary ends with a zero */
            zt_drop_count(v->drops, ZT_DROP_MALFORMED);
            break;
        }
        if (n > 0)
            hand_up(v, ZT_MESSAGE_TRACE, rx, 0, rx->payload + at, n);
        at += n + 1;
    }
    return ZT_VERDICT_OK;
}

enum zt_verdict zt_message_bond(struct zt_vl1 *v, const struct zt_rx *rx)
{
    bool fits = false;
    switch (rx->verb) {
    case ZT_VERB_ACK:
        fits = rx->n == 4;
        break;
    case ZT_VERB_QOS_MEASUREMENT:
        fits = rx->n >= QOS_MIN && rx->n <= QOS_MAX;
        break;
    case ZT_VERB_PATH_NEGOTIATION_REQUEST:
        fits = rx->n == 2;
        break;
    }
    /* We never bond paths. Two of these come without secrecy, so they are no sign of life either.
     */
    zt_drop_count(v->drops, fits ? ZT_DROP_NO_BOND : ZT_DROP_MALFORMED);
    return ZT_VERDICT_IGNORED;
}

int zt_vl1_send_message(struct zt_vl1 *v, const struct zt_now *now, uint64_t dest, uint64_t type,
                        const uint8_t *data, size_t n)
{
    uint8_t p[ZT_PKT_MAX_SENT];
    if (n > sizeof p - ZT_PKT_PAYLOAD - TYPE_BYTES)
        return ZT_E_SPACE;
    zt_put64(p + ZT_PKT_PAYLOAD, type);
    if (n > 0)
        memcpy(p + ZT_PKT_PAYLOAD + TYPE_BYTES, data, n);
    return zt_vl1_send(v, now, dest, ZT_VERB_USER_MESSAGE, p + ZT_PKT_PAYLOAD, n + TYPE_BYTES,
                       ZT_TX_COMPRESS, NULL);
}
