/* One whole stack in a shared module. lwIP is one per process, so the tests load two copies of the
 * module, with nothing in common, and put a simulated network between them. */
#ifndef TWIN_H
#define TWIN_H

#include "stack/stack.h"

struct twin_conn {
    bool connected, eof, failed;
    int error; /* err_t of the failure */
    uint64_t received, written, acked;
    bool damaged; /* received something else than was sent */
    bool hold;    /* do not open the window again */
    uint64_t held;
    uint64_t to_send;
    bool close_when_sent;
    unsigned local_port;
    int64_t connected_ms, last_ms; /* when connected, when the last byte came */
    void *pcb;
};

struct twin_udp {
    uint64_t count, bytes;
    size_t last_size;
    bool damaged, echo;
    void *pcb;
};

struct twin {
    int (*open)(const struct zt_stack_host *host, int64_t now_ms);
    void (*close)(void);
    int (*net_set)(const struct zt_net_info *info);
    void (*net_remove)(uint64_t nwid);
    void (*input)(uint64_t nwid, const uint8_t *eth, size_t n, int64_t now_ms);
    void (*tick)(int64_t now_ms);
    void (*flush)(void); /* the end of a turn */
    int64_t (*deadline)(void);
    void (*rerouted)(uint64_t node, int64_t now_ms);
    bool (*is_local)(const struct zt_ep *ip);
    bool (*routes)(const struct zt_ep *ip, uint64_t *nwid);
    size_t (*memory)(void);        /* bytes that lwIP holds */
    unsigned (*ticking)(void);     /* connections that the slow timer looks at */
    unsigned (*stalled)(void);     /* connections that wait for nothing */
    uint64_t (*allocations)(void); /* so far, from the C library */

    /* Accepted connections are put into accepted[]; they read all and close after the peer. */
    int (*listen)(unsigned family, unsigned port);
    struct twin_conn *(*accepted)(unsigned i);
    unsigned (*naccepted)(void);
    void (*forget_accepted)(void);
    struct twin_conn *(*connect)(const struct zt_ep *to, uint64_t to_send, bool close_when_sent);
    void (*release)(struct twin_conn *c); /* read what was held */
    void (*abort)(struct twin_conn *c);
    void (*keepalive)(struct twin_conn *c);
    /* In a recovery an ACK takes the last that is on its way: what is left of `pipe`. */
    uint32_t (*all_arrived)(struct twin_conn *c);
    uint32_t (*steps)(struct twin_conn *c); /* owed for SACKs, or for segments out of order */
    bool (*paced)(struct twin_conn *c); /* by its path's rate; false: Reno's window */
    void (*pump)(struct twin_conn *c); /* after to_send grew */

    struct twin_udp *(*udp)(unsigned family, unsigned port);
    int (*udp_send)(struct twin_udp *u, const struct zt_ep *to, size_t n);
    uint16_t (*chksum)(const void *p, int n);
};

#endif
