/* lwIP's options. lwIP is written for small devices; here it runs on a host with malloc, one thread
 * and paths of gigabits, so nearly every default of size and time is replaced, each with its
 * reason. What options cannot reach is patched: subprojects/packagefiles/lwip. */
#ifndef ZT_STACK_LWIPOPTS_H
#define ZT_STACK_LWIPOPTS_H

/* --- shape: one thread, raw API, our own timers -------------------------------------------- */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TIMERS 1
#define LWIP_TIMERS_CUSTOM 1 /* stack/stack.c: nothing ticks without work */
#define LWIP_HOOK_FILENAME "stack/hooks.h"
#define LWIP_HOOK_IP4_ROUTE_SRC(src, dst) zt_lwip_route4(src, dst) /* ip4.h asks for it early */
#define LWIP_RAND() zt_lwip_rand()

/* --- memory ----------------------------------------------------------------------------------
 * One allocator for everything and no artificial limit on connections or buffers (the proxies own
 * the memory budget): malloc behind lists of freed pieces (stack/pool.c). */
#define MEM_LIBC_MALLOC 1
#define mem_clib_malloc zt_lwip_malloc
#define mem_clib_free zt_lwip_free
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define PBUF_LINK_HLEN 0 /* Ethernet header and headroom are added by the one flattening copy */
#define PBUF_LINK_ENCAPSULATION_HLEN 0
#define PBUF_POOL_BUFSIZE 2048

/* --- interfaces ---------------------------------------------------------------------------- */
#define LWIP_ARP 0 /* stack/neigh.c resolves: lwIP's tables are small and walked linearly */
#define LWIP_ETHERNET 0
#define LWIP_SINGLE_NETIF 0
#define LWIP_NETIF_HOSTNAME 0
#define LWIP_NETIF_LOOPBACK 0 /* stack/netif.c loops frames to ourselves back, asynchronously */
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_CHECKSUM_CTRL_PER_NETIF 0
#define LWIP_NUM_NETIF_CLIENT_DATA 0

/* --- IPv4 and IPv6 ------------------------------------------------------------------------- */
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define IP_FORWARD 0
#define IP_DEFAULT_TTL 64
#define LWIP_ICMP 1
#define LWIP_MULTICAST_PING 1
#define LWIP_BROADCAST_PING 0
#define LWIP_RAW 1
#define LWIP_IGMP 1
#define LWIP_IPV6_MLD 1
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_DNS 0
#define LWIP_IPV6_NUM_ADDRESSES 17 /* a network's 16 and the link-local one */
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS \
    0 /* addresses are assigned, not guessed; no second of waiting */
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_SCOPES                                                    \
    0 /* link-local addresses are found by their interface's source address \
       */
#define LWIP_ND6_QUEUEING 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0
#define LWIP_ND6_NUM_NEIGHBORS 1 /* unused: stack/neigh.c */
#define LWIP_ND6_NUM_DESTINATIONS 1
#define LWIP_ND6_NUM_PREFIXES 1
#define LWIP_ND6_NUM_ROUTERS 1

/* Fragments: a datagram of 64 KiB is 24 to 53 of them; some dozens may be in the making at once. */
#define IP_REASSEMBLY 1
#define IP_FRAG 1
#define LWIP_IPV6_REASS 1
#define LWIP_IPV6_FRAG 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers of 64 bits do not fit into the fragment header */
#define IP_REASS_MAX_PBUFS 1024
#define IP_REASS_MAXAGE 15
#define IPV6_REASS_MAXAGE 15

/* --- UDP ----------------------------------------------------------------------------------- */
#define LWIP_UDP 1
#define LWIP_NETBUF_RECVINFO 0
#define SO_REUSE 1
#define SO_REUSE_RXTOALL 0
#define IP_SOF_BROADCAST 0
#define UDP_LOCAL_PORT_RANGE_START 0x4000
#define UDP_LOCAL_PORT_RANGE_END 0xffff
#define UDP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)((port) | UDP_LOCAL_PORT_RANGE_START))

/* --- TCP ----------------------------------------------------------------------------------- */
#define LWIP_TCP 1
/* Upper bound only: what is announced and used follows the MTU of the interface. */
#define TCP_MSS 9850
#define TCP_MSS_MIN 88 /* that a peer may ask for: what a byte costs has a bound */
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define TCP_OVERSIZE 2048
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 * 1024 * 1024) /* 1 Gbit/s at 33 ms; proxies hold it back by tcp_recved */
#define TCP_SND_BUF (4 * 1024 * 1024)
#define TCP_SND_QUEUELEN 32768
#define TCP_SNDLOWAT 16384                   /* sockets only; the check of sizes wants it small */
#define TCP_WND_UPDATE_THRESHOLD (32 * 1024) /* must be below a window of 64 KiB (no scaling) */
#define TCP_QUEUE_OOSEQ 1
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 0 /* docs/architecture.md: what they would cost and give */
#define LWIP_TCP_KEEPALIVE 1
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 0xff
#define LWIP_TCP_PCB_NUM_EXT_ARGS 0
#define LWIP_CALLBACK_API 1

/* Time. A tick of 25 ms instead of 500: retransmission follows the round trip. What counts ticks
 * and does not scale by itself (least RTO, persist back-off, SYN retries) is patched. */
#define TCP_TMR_INTERVAL 25
#define TCP_FAST_INTERVAL 10 /* the longest an ACK is held back */
#define TCP_SLOW_INTERVAL 25
#define TCP_MSL 5000
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1 /* for what a connection takes from its listener */
#define TCP_RTO_MIN 250 /* upstream peers hold an ACK back for up to 250 ms */
#define TCP_RTO_MAX 60000
#define TCP_RTO_INITIAL 1000
#define TCP_SYN_RTO 300
#define TCP_SYN_RTO_MAX 2000
#define TCP_MAXRTX 12    /* some 4 minutes without an answer */
#define TCP_SYNMAXRTX 40 /* 75 s */
#define LWIP_TCP_CALC_INITIAL_CWND(mss) ((tcpwnd_size_t)10 * (mss)) /* RFC 6928 */
#define TCP_LOCAL_PORT_RANGE_START 0x4000
#define TCP_LOCAL_PORT_RANGE_END 0xffff
#define TCP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)((port) | TCP_LOCAL_PORT_RANGE_START))

/* --- checksums ----------------------------------------------------------------------------- */
#define LWIP_CHKSUM \
    zt_lwip_chksum              /* twice as fast as the best of lwIP's own, whole stack measured */
#define LWIP_CHECKSUM_ON_COPY 0 /* lwIP's copying checksum is the slow one */

/* --- statistics ---------------------------------------------------------------------------- */
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define LWIP_STATS_DISPLAY 0
#define LINK_STATS 1
#define ETHARP_STATS 1 /* counted by stack/neigh.c */
#define MEM_STATS 1
#define MEMP_STATS 0 /* not counted with MEMP_MEM_MALLOC; MEM_STATS has all of it */
#define SYS_STATS 0
#define MIB2_STATS 0

/* --- traces -------------------------------------------------------------------------------- */
/* LWIP_DBG_ON for the modules in question, then build again: they say on stderr what they do. What
 * is off costs nothing. Others of lwip/opt.h may be added. */
#define LWIP_DEBUG 1
#define IP_DEBUG LWIP_DBG_OFF
#define IP6_DEBUG LWIP_DBG_OFF
#define ICMP_DEBUG LWIP_DBG_OFF
#define IGMP_DEBUG LWIP_DBG_OFF
#define RAW_DEBUG LWIP_DBG_OFF
#define UDP_DEBUG LWIP_DBG_OFF
#define TCP_DEBUG LWIP_DBG_OFF
#define TCP_INPUT_DEBUG LWIP_DBG_OFF
#define TCP_OUTPUT_DEBUG LWIP_DBG_OFF
#define TCP_RTO_DEBUG LWIP_DBG_OFF
#define TCP_CWND_DEBUG LWIP_DBG_OFF
#define TCP_RST_DEBUG LWIP_DBG_OFF
#define NETIF_DEBUG LWIP_DBG_OFF
#define PBUF_DEBUG LWIP_DBG_OFF
#define TIMERS_DEBUG LWIP_DBG_OFF

#endif
