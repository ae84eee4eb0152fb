/* The hooks that lwIP calls (LWIP_HOOK_FILENAME); behind them are stack/port.c and stack/stack.c.
 */
#ifndef ZT_STACK_HOOKS_H
#define ZT_STACK_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/ip_addr.h"

struct netif;
struct tcp_pcb;
struct tcp_seg;
struct tcp_pcb_listen;

struct netif *zt_lwip_route4(const ip4_addr_t *src, const ip4_addr_t *dst);
struct netif *zt_lwip_route6(const ip6_addr_t *src, const ip6_addr_t *dst);
uint32_t zt_lwip_isn(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote,
                     uint16_t remote_port);
/* An ACK is being held back: the fast timer has to run soon. */
void zt_lwip_ack_delayed(void);

/* One more segment wants an ACK: true when zt_stack_flush sends it with those of others. */
bool zt_lwip_ack_later(struct tcp_pcb *pcb);

/* stack/pcbs.c: connections, active and in TIME_WAIT, by their two ends. */
void zt_lwip_pcb_add(struct tcp_pcb *pcb);
void zt_lwip_pcb_remove(struct tcp_pcb *pcb); /* fine when it is not in the table */
struct tcp_pcb *zt_lwip_pcb_find(const ip_addr_t *local, uint16_t local_port,
                                 const ip_addr_t *remote, uint16_t remote_port);

/* Nobody listens on the port of this SYN; who takes it? See zt_stack_catch_all. NULL: nobody. */
struct tcp_pcb_listen *zt_lwip_catch_all(const ip_addr_t *to);

#define LWIP_HOOK_TCP_CATCH_ALL(to) zt_lwip_catch_all(to)

/* stack/recovery.c: SACK at the sender. */
void zt_lwip_sent(struct tcp_pcb *pcb, struct tcp_seg *seg);
void zt_lwip_acked(struct tcp_pcb *pcb, uint32_t ackno);
void zt_lwip_sacked(struct tcp_pcb *pcb, uint32_t left, uint32_t right);
/* After each acknowledgment. partial: of new data, in recovery, but not of all that was lost. */
void zt_lwip_recover(struct tcp_pcb *pcb, bool partial);
uint32_t zt_lwip_ssthresh(struct tcp_pcb *pcb); /* at a loss */
/* stack/rate.c: must the next segment wait, so that they leave at the path's pace? */
bool zt_lwip_waits(struct tcp_pcb *pcb);

#define LWIP_HOOK_TCP_SENT(pcb, seg) zt_lwip_sent(pcb, seg)
#define LWIP_HOOK_TCP_ACKED(pcb, ackno) zt_lwip_acked(pcb, ackno)
#define LWIP_HOOK_TCP_SACKED(pcb, left, right) zt_lwip_sacked(pcb, left, right)
#define LWIP_HOOK_TCP_RECOVER(pcb, partial) zt_lwip_recover(pcb, partial)
#define LWIP_HOOK_TCP_SSTHRESH(pcb) zt_lwip_ssthresh(pcb)
#define LWIP_HOOK_TCP_WAITS(pcb) ((pcb)->rate.on && zt_lwip_waits(pcb))
#define LWIP_HOOK_IP6_ROUTE(src, dst) zt_lwip_route6(src, dst)
#define LWIP_HOOK_TCP_ISN zt_lwip_isn
#define LWIP_HOOK_TCP_ACK_DELAYED(pcb) zt_lwip_ack_delayed()
#define LWIP_HOOK_TCP_ACK_LATER(pcb) zt_lwip_ack_later(pcb)
#define LWIP_HOOK_TCP_PCB_ADD(pcb) zt_lwip_pcb_add(pcb)
#define LWIP_HOOK_TCP_PCB_REMOVE(pcb) zt_lwip_pcb_remove(pcb)
#define LWIP_HOOK_TCP_PCB_FIND(local, lport, remote, rport) \
    zt_lwip_pcb_find(local, lport, remote, rport)

#endif
