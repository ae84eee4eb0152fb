/* Two stacks, a and b, and a network between them on a virtual clock: delay, loss by chance or by
 * choice, a narrow place with a queue, and a record of what passed. */
#ifndef STACK_TEST_WIRE_H
#define STACK_TEST_WIRE_H

#include "twin.h"

#define NWID 0x8056c2e21c000001ULL
#define ADDR_A 0x1122334455ULL
#define ADDR_B 0x66778899aaULL

struct frame {
    struct frame *next;
    int64_t at_ms;
    unsigned to; /* side */
    uint64_t nwid;
    size_t n;
    uint8_t bytes[];
};

struct group {
    uint64_t mac;
    uint32_t adi;
    bool joined;
};

struct side {
    const struct twin *t;
    struct zt_net_info info;
    struct group group[64];
    unsigned ngroups;
    uint64_t frames, arp, nd, bytes;
    void *dl;
    unsigned index;
};

extern struct side side[2];
#define A (side[0].t)
#define B (side[1].t)

extern int64_t clock_ms;
extern int delay_ms;
extern unsigned loss_percent;
/* On the way from a to b: so much a ms, and a queue before it. */
struct narrow {
    unsigned bytes_ms;        /* 0: as much as comes */
    size_t queue;             /* bytes that may wait */
    size_t longest;           /* that it was */
    uint64_t passed, dropped; /* frames that came, and of these found no room */
    int64_t free_us;
};
extern struct narrow narrow;
extern bool cut; /* nothing passes */
/* Called for every frame; true: it is lost. May be NULL. */
extern bool (*lose)(unsigned from, const uint8_t *eth, size_t n);
extern uint8_t last_frame[2][10000]; /* by sender */
extern size_t last_size[2];

extern struct twin_conn *client; /* of a; a test sets it */
bool all_acked(void);            /* all that it has to send */

int wire_setup(void **state);    /* loads and opens both; default addresses 10.1.0.1, .2 */
int wire_setup_tcp(void **state); /* the same, and b listens on port 80 */
int wire_teardown(void **state); /* closes; fails when something is left allocated */

void wire_run(int64_t ms);                       /* let so much time pass */
bool wire_until(bool (*done)(void), int64_t ms); /* or until this is true */
bool wire_idle(void); /* neither stack wants to be called, nothing on the way */
struct zt_ep ep(const char *text);
bool in_group(unsigned s, uint64_t mac, uint32_t adi);

#endif
