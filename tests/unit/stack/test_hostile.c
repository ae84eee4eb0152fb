/* A member of the network that keeps to no rules: segments made by hand, sent to a stack that
 * listens and sends. Whatever comes, memory stays bounded, windows are kept, and the other
 * connections go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "wire.h"

#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16
#define WINDOW (4u << 20) /* lwipopts.h: TCP_WND */
#define SCALE 7

/* The hostile end: at the address of stack a, which hears nothing. */
static uint16_t port;
static uint32_t seq0, seq, ack; /* its first number, its next, the victim's next */
static uint16_t window;         /* it announces */

/* What the victim sent: its bytes, in order. */
static uint32_t from_seq;
static uint64_t got;
static size_t biggest;
static unsigned segments;
static bool out_of_line;

static uint8_t pattern_at(uint64_t i)
{
    static uint8_t p[1 << 18];
    static bool made;
    uint32_t x = 1;
    for (unsigned k = 0; !made && k < sizeof p; k++) {
        x = x * 1664525 + 1013904223;
        p[k] = (uint8_t)(x >> 24);
    }
    made = true;
    return p[i % sizeof p];
}

static bool overhear(unsigned from, const uint8_t *eth, size_t n)
{
    const uint8_t *ip = eth + 14, *tcp = ip + 20;
    if (from == 1 && zt_be16(eth + 12) == 0x0800 && ip[9] == 6) {
        size_t head = 20 + (size_t)(tcp[12] >> 4) * 4, len = zt_be16(ip + 2) - head;
        out_of_line |= (zt_be16(ip + 6) & 0x3fff) != 0; /* a fragment */
        segments += len > 0;
        biggest = len > biggest ? len : biggest;
        if (tcp[13] & SYN)
            from_seq = zt_be32(tcp + 4) + 1;
        uint64_t at = (uint32_t)(zt_be32(tcp + 4) - from_seq);
        for (size_t i = 0; len > 0 && at == got && i < len; i++, got++, at++)
            out_of_line |= ip[head + i] != pattern_at(got);
    }
    return true;
}

static uint16_t checksum(const void *p, size_t n)
{
    return (uint16_t)~A->chksum(p, (int)n);
}

static void send_ip4(uint8_t *f, uint8_t protocol, const char *from, size_t n)
{
    uint8_t *ip = f + 14;
    zt_put48(f, side[1].info.mac);
    zt_put48(f + 6, side[0].info.mac);
    zt_put16(f + 12, 0x0800);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    zt_put16(ip + 2, (uint16_t)(20 + n));
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, ep(from).ip, 4);
    memcpy(ip + 16, ep("10.1.0.2").ip, 4);
    uint16_t sum = checksum(ip, 20);
    memcpy(ip + 10, &sum, 2);
    B->input(NWID, f, 34 + n, clock_ms);
}

/* noptions and n: bytes; data is the pattern, as it belongs to that sequence number. */
static void send(uint32_t at, uint8_t flags, const uint8_t *options, size_t noptions, size_t n)
{
    uint8_t f[14 + 20 + 12 + 60 + 9000], *tcp = f + 34, *pseudo = tcp - 12;
    size_t head = 20 + noptions;
    memset(pseudo, 0, 12 + head);
    zt_put16(tcp, port);
    zt_put16(tcp + 2, 80);
    zt_put32(tcp + 4, at);
    zt_put32(tcp + 8, flags & ACK ? ack : 0);
    tcp[12] = (uint8_t)(head / 4 << 4);
    tcp[13] = flags;
    zt_put16(tcp + 14, window);
    if (noptions > 0)
        memcpy(tcp + 20, options, noptions);
    for (size_t i = 0; i < n; i++)
        tcp[head + i] = pattern_at(at - seq0 - 1 + i);
    memcpy(pseudo, ep("10.1.0.1").ip, 4);
    memcpy(pseudo + 4, ep("10.1.0.2").ip, 4);
    pseudo[9] = 6;
    zt_put16(pseudo + 10, (uint16_t)(head + n));
    uint16_t sum = checksum(pseudo, 12 + head + n);
    memcpy(tcp + 16, &sum, 2);
    send_ip4(f, 6, "10.1.0.1", head + n);
}

static void answer(void)
{
    B->flush();
    ack = from_seq + (uint32_t)got;
    send(seq, ACK, NULL, 0, 0);
}

static struct twin_conn *victim(void)
{
    return B->accepted(B->naccepted() - 1);
}

/* Open a connection, with this MSS and first window. */
static void open_with(uint16_t mss, uint16_t first_window)
{
    uint8_t options[12] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 3, 3, SCALE, 4, 2, 1, 1, 1};
    unsigned before = B->naccepted();
    lose = overhear;
    got = biggest = 0;
    segments = 0;
    out_of_line = false;
    port++;
    seq0 = seq = 0xfffff000u + port; /* comes around soon */
    window = first_window;
    send(seq, SYN, options, sizeof options, 0);
    seq++;
    answer();
    assert_int_equal(B->naccepted(), before + 1);
}

static void in_order(size_t n)
{
    send(seq, ACK, NULL, 0, n);
    seq += (uint32_t)n;
}

/* A segment that begins inside the window and ends beyond it, before which all is sent: no more
 * than the window is taken, with or without a FIN one beyond, which comes with a shorter segment or
 * the one that covers it. */
static void test_window_is_kept(void **state)
{
    for (unsigned how = 0; how < 4; how++) {
        open_with(1400, 1000);
        victim()->hold = true;
        uint32_t end = seq + WINDOW;
        if (how == 0)
            send(end - 1, ACK, NULL, 0, 1000);
        if (how == 1 || how == 2)
            send(end - 11, FIN | ACK, NULL, 0, 5);
        if (how == 1)
            send(end - 11, ACK, NULL, 0, 11);
        if (how == 3)
            send(end - 11, FIN | ACK, NULL, 0, 11);
        while (seq != end - 1024)
            in_order(1024);
        in_order(how == 2 ? 1024 : 1013);
        if (how != 2)
            in_order(10);
        for (unsigned i = 0; i < 100; i++)
            in_order(1000);
        wire_run(1000);
        assert_in_range(victim()->received, WINDOW - 11, WINDOW);
        assert_false(victim()->damaged);
        B->abort(victim());
    }
}

/* Out of order in the smallest pieces, in no order at all, and in large ones that leave one byte of
 * another: what waits takes no more than so much memory, finding its place no more than so many
 * steps, and what comes in order afterwards arrives whole. */
static void test_pieces_out_of_order(void **state)
{
    uint32_t chance = 1;
    for (unsigned how = 0; how < 4; how++) {
        open_with(1400, 1000);
        size_t before = B->memory();
        for (uint32_t i = 1; i <= 60000; i++) {
            if (how == 0)
                send(seq + 2 * i, ACK, NULL, 0, 1);
            else if (how == 1)
                send(seq + 70000 - i, ACK, NULL, 0, 1000);
            else if (how == 2)
                send(seq + 2 + (chance = chance * 1664525 + 1013904223) % 100000, ACK, NULL, 0, 1);
            else
                send(seq + i, ACK, NULL, 0, 1000);
        }

        assert_in_range(B->memory() - before, 64 << 10, 3 * WINDOW);
        assert_true(B->steps(victim()) < (1 << 20) + 100000);
        for (unsigned i = 0; i < 150; i++)
            in_order(1000);
        assert_int_equal(victim()->received, 150000);
        assert_false(victim()->damaged);
        assert_true(B->memory() - before < 10000);
        B->abort(victim());
    }
}

/* Many connections, each with as much out of order as it may have: together they have a bound, and
 * each goes on. */
static void test_pieces_of_many(void **state)
{
    enum { CONNS = 14, EACH = 5000 };
    struct twin_conn *conn[CONNS];
    uint16_t first = (uint16_t)(port + 1);
    size_t before = B->memory();
    uint32_t start[CONNS], theirs[CONNS];
    for (unsigned i = 0; i < CONNS; i++) {
        open_with(1400, 1000);
        conn[i] = victim();
        start[i] = seq0;
        theirs[i] = ack;
        for (uint32_t k = 1; k <= EACH; k++)
            send(seq + 800 * k, ACK, NULL, 0, 700);
    }
    assert_in_range(B->memory() - before, 32 << 20, 68 << 20);
    for (unsigned i = 0; i < CONNS; i++) {
        port = (uint16_t)(first + i);
        seq0 = start[i];
        seq = seq0 + 1;
        ack = theirs[i];
        for (unsigned k = 0; k <= 4000; k++)
            in_order(800);
        assert_in_range(conn[i]->received, 4001 * 800, 4001 * 800 + 700); /* and one that waited */
        assert_false(conn[i]->damaged);
        B->abort(conn[i]);
    }
    wire_run(100);
    assert_true(B->memory() - before < 20000);
}

/* The victim sends to somebody whose window was closed and is tiny now, and who changes his mind
 * about the size of segments: what it has queued before stays whole. */
static void test_small_windows(void **state)
{
    static const uint8_t small[4] = {2, 4, 0, 10};
    open_with(1400, 0);
    victim()->to_send = 2000;
    B->pump(victim());
    assert_int_equal(got, 0);
    window = 1; /* scaled: 128, of which half */
    send(seq, ACK, small, sizeof small, 0);
    victim()->to_send += 60000;
    B->pump(victim());
    victim()->to_send += 60000;
    B->pump(victim());
    window = 1000;
    for (unsigned i = 0; i < 3000 && got < 122000; i++) {
        answer();
        wire_run(1);
    }
    assert_int_equal(got, 122000);
    assert_false(out_of_line);
    assert_true(biggest <= 1400);
    B->abort(victim());
}

/* Segments of one byte are nobody's need. */
static void test_tiny_segments(void **state)
{
    open_with(1, 1000);
    victim()->to_send = 100000;
    B->pump(victim());
    for (unsigned i = 0; i < 20000 && got < 100000; i++) {
        answer();
        wire_run(1);
    }
    assert_int_equal(got, 100000);
    assert_true(segments < 100000 / 50);
    B->abort(victim());
}

/* Acknowledgments whose SACKs jump about in a large window: what they cost has a bound, and what
 * they have confused is sorted out by time-outs. */
static void test_wild_sacks(void **state)
{
    enum { ALL = 8 << 20 };
    uint32_t chance = 1;
    uint8_t o[36] = {1, 1, 5, 34};
    open_with(536, 65535);
    victim()->to_send = ALL;
    B->pump(victim());
    while (got < ALL / 2) {
        wire_run(1);
        answer();
    }
    wire_run(1);
    for (unsigned i = 0; i < 20000; i++) {
        for (unsigned k = 0; k < 4; k++) {
            chance = chance * 1664525 + 1013904223;
            uint32_t left = ack + (chance >> 12) % (2 << 20);
            zt_put32(o + 4 + 8 * k, left);
            zt_put32(o + 8 + 8 * k, left + 536 + (chance >> 8) % 100000);
        }
        send(seq, ACK, o, sizeof o, 0);
    }
    assert_in_range(B->steps(victim()), 1 << 20, (1 << 20) + 4 * 8000);
    for (unsigned i = 0; i < 100000 && got < ALL; i++) {
        wire_run(1);
        answer();
    }
    assert_int_equal(got, ALL);
    assert_false(out_of_line);
    B->abort(victim());
}

/* A connection that its program has closed is given up after some minutes of a closed window,
 * although all probes are answered; one that is open waits for ever. */
static void test_window_stays_closed(void **state)
{
    for (unsigned closed = 0; closed < 2; closed++) {
        open_with(1400, 0);
        victim()->to_send = 100000;
        B->pump(victim());
        if (closed)
            send(seq++, FIN | ACK, NULL, 0, 0); /* it closes as well, with all that unsent */
        unsigned seconds = 0;
        while (B->ticking() > 0 && seconds++ < 3600) {
            wire_run(1000);
            answer();
        }
        print_message("%s: %u s\n", closed ? "closed" : "open", seconds);
        if (!closed) {
            assert_true(seconds > 3600);
            assert_false(victim()->failed);
            B->abort(victim());
        } else {
            assert_in_range(seconds, 180, 600);
        }
    }
}

/* What claims to come from ourselves does not. */
static void test_our_own_address(void **state)
{
    struct twin_udp *u = B->udp(4, 5000);
    uint8_t f[14 + 20 + 8 + 1];
    static const char *const from[] = {"10.1.0.2", "127.0.0.1", "10.1.0.1"};
    for (unsigned i = 0; i < 3; i++) {
        memset(f, 0, sizeof f);
        zt_put16(f + 34, 1000);
        zt_put16(f + 36, 5000);
        zt_put16(f + 38, 9); /* without a checksum */
        f[42] = pattern_at(0);
        send_ip4(f, 17, from[i], 9);
        assert_int_equal(u->count, i == 2);
    }
}

/* Neighbour discovery is ours (neigh.c), and what hides behind another header is nobody's. */
static void test_hidden_neighbour_discovery(void **state)
{
    static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
    struct zt_ep own = zt_ep_link_local(side[1].info.mac),
                 from = zt_ep_link_local(side[0].info.mac);
    for (unsigned hidden = 0; hidden < 2; hidden++) {
        uint8_t f[14 + 40 + 8 + 32] = {0}, *ip = f + 14, *icmp = ip + 40 + 8 * hidden;
        uint64_t before = side[1].nd;
        zt_put48(f, 0x333300000001);
        zt_put48(f + 6, side[0].info.mac);
        zt_put16(f + 12, 0x86dd);
        memcpy(ip + 8, from.ip, 16);
        memcpy(ip + 24, all_nodes, 16);
        ip[40] = 58;
        ip[42] = 1; /* six bytes of padding, or overwritten */
        ip[43] = 4;
        memset(icmp, 0, 32);
        icmp[0] = 135;
        memcpy(icmp + 8, own.ip, 16);
        icmp[24] = 1;
        icmp[25] = 1;
        zt_put48(icmp + 26, side[0].info.mac);
        zt_put32(ip, 32); /* the pseudo header lies before the addresses, for a moment */
        zt_put32(ip + 4, 58);
        uint8_t all[8 + 32 + 32];
        memcpy(all, ip, 40);
        memcpy(all + 40, icmp, 32);
        uint16_t sum = checksum(all, sizeof all);
        memcpy(icmp + 2, &sum, 2);
        zt_put32(ip, 0x60000000);
        zt_put16(ip + 4, (uint16_t)(32 + 8 * hidden));
        ip[6] = hidden ? 0 : 58;
        ip[7] = 255;
        B->input(NWID, f, sizeof f - 8 + 8 * hidden, clock_ms);
        wire_run(10);
        assert_int_equal(side[1].nd - before, !hidden);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, wire_setup_tcp, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_window_is_kept),
        T(test_pieces_out_of_order),
        T(test_pieces_of_many),
        T(test_small_windows),
        T(test_tiny_segments),
        T(test_wild_sacks),
        T(test_window_stays_closed),
        T(test_our_own_address),
        T(test_hidden_neighbour_discovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
