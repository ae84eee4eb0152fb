/* A VL1 without cryptography or paths: what a node sends is kept as a list, and a test hands it to
 * the other node, changes it, or loses it. Several nodes share one list and one clock. */
#ifndef ZT_TEST_FAKE_VL1_H
#define ZT_TEST_FAKE_VL1_H

#include "vl1/vl1.h"
#include "vl2/vl2.h"

#define FAKE_NODES 64
#define FAKE_PACKETS 4096
#define FAKE_FRAMES 64

struct fake_packet {
    uint64_t from, dest, id;
    uint8_t verb;
    unsigned flags;
    uint8_t in_re_verb, code; /* of replies */
    uint64_t in_re_id;
    bool is_reply;
    size_t n;
    uint8_t p[ZT_PAYLOAD_MAX];
};

struct fake_frame {
    uint64_t nwid;
    size_t n;
    uint8_t eth[2048];
};

struct zt_vl1 {
    uint64_t addr;
    struct zt_identity id;
    struct zt_vl1_upper upper;
    bool is_root, root_alive;
    uint64_t roots[4];
    size_t nroots;
    struct zt_vl2 *vl2;
    struct zt_host host;
    struct zt_drops drops;
    struct fake_frame frames[FAKE_FRAMES]; /* delivered */
    size_t nframes;
    unsigned events;
    uint8_t saved[65536];
    size_t nsaved;
    bool inside_frame; /* zt_vl2_frame is running: nothing may be delivered */
    uint64_t asked;    /* last WHOIS */
    bool sees_nobody;  /* zt_vl1_identity_of knows no one */
};

/* The world of one test. */
extern struct zt_now fake_now;
extern struct fake_packet *fake_packets[FAKE_PACKETS];
extern size_t fake_npackets;
extern bool fake_unproven; /* nobody has shown to be where it sends from */

void fake_begin(void);
void fake_end(void);
struct zt_vl1 *fake_node(uint64_t addr);
/* The same with a real identity, whose address it gets. */
struct zt_vl1 *fake_node_with(const struct zt_identity *id);
/* Deliver everything until nothing is left; lost packets: those to nodes that don't exist. Held
 * packets are handed up again when released. Returns how many were delivered. */
unsigned fake_pump(void);
/* Let time pass, with ticks at the deadlines, pumping. */
void fake_run(int64_t ms);
void fake_clear(void); /* lose what is under way */

/* The one packet under way from a node with this verb; fails the test when there is none. */
struct fake_packet *fake_find(const struct zt_vl1 *from, uint8_t verb);
unsigned fake_count(const struct zt_vl1 *from, uint8_t verb);
/* Hand bytes up as if they had come from `from`. */
enum zt_verdict fake_inject(struct zt_vl1 *to, uint64_t from, uint8_t verb, const void *p,
                            size_t n);
enum zt_verdict fake_inject_error(struct zt_vl1 *to, uint64_t from, uint8_t in_re_verb,
                                  uint8_t code, const void *p, size_t n);
enum zt_verdict fake_inject_ok(struct zt_vl1 *to, uint64_t from, uint8_t in_re_verb, const void *p,
                               size_t n);
/* Send an Ethernet frame from the node's interface. */
int fake_frame_out(struct zt_vl1 *node, uint64_t nwid, uint64_t dest, uint64_t source,
                   uint16_t type, const void *p, size_t n);

#endif
