/* TCP between two stacks: what lwipopts.h and the patches promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "wire.h"

static struct twin_conn *server(void)
{
    return B->accepted(0);
}

static bool connected(void)
{
    return client->connected || client->failed;
}

static bool finished(void)
{
    return client->failed || (client->eof && server() != NULL && server()->eof);
}

static struct zt_ep target(void)
{
    return ep("10.1.0.2/80");
}

/* Send n bytes from a to b, close; returns the time it took, in ms. */
static int64_t transfer(uint64_t n, int64_t limit_ms)
{
    struct zt_ep to = target();
    int64_t start = clock_ms;
    B->forget_accepted();
    client = A->connect(&to, n, true);
    assert_true(wire_until(finished, limit_ms));
    assert_false(client->failed);
    assert_int_equal(server()->received, n);
    assert_false(server()->damaged);
    return clock_ms - start;
}

static void test_transfer_and_rest(void **state)
{
    delay_ms = 5;
    transfer(8 << 20, 60000);
    wire_run(11000); /* TIME_WAIT is two times 5 s */
    assert_true(wire_idle());
}

/* 4 MiB a round trip of 40 ms is the window; slow start takes a few of them. */
static void test_window_is_large(void **state)
{
    delay_ms = 20;
    int64_t ms = transfer(64 << 20, 60000);
    print_message("64 MiB, round trip 40 ms: %lld ms\n", (long long)ms);
    assert_in_range(ms, 16 * 40, 1500);
}

static void test_mss_follows_mtu(void **state)
{
    transfer(1 << 20, 10000);
    uint64_t full = side[0].bytes / side[0].frames;
    assert_in_range(full, 2000, 2814);
    side[1].info.mtu = 1400;
    assert_int_equal(B->net_set(&side[1].info), 0);
    uint64_t frames = side[0].frames, bytes = side[0].bytes;
    transfer(1 << 20, 10000);
    assert_in_range((side[0].bytes - bytes) / (side[0].frames - frames), 1000, 1414);
}

static size_t largest; /* frame since it was set to 0 */

static bool measure(unsigned from, const uint8_t *eth, size_t n)
{
    largest = n > largest ? n : largest;
    return false;
}

static void set_mtu(unsigned mtu)
{
    for (unsigned i = 0; i < 2; i++) {
        side[i].info.mtu = mtu;
        assert_int_equal(side[i].t->net_set(&side[i].info), 0);
    }
}

/* A network may be configured for 10000; seven datagrams carry no more than 9890 (vl2.md 6.3). */
static void test_largest_mtu(void **state)
{
    lose = measure;
    largest = 0;
    set_mtu(10000);
    transfer(1 << 20, 10000);
    assert_int_equal(largest, 14 + 9890);
}

static bool halfway(void)
{
    return server() != NULL && server()->received > 1 << 20;
}

/* A connection that is open goes on when the MTU changes, up or down, and keeps to it. */
static void change_in_mid_transfer(struct zt_ep to)
{
    static const unsigned mtus[] = {1280, 9000};

    lose = measure;
    delay_ms = 2;
    for (unsigned i = 0; i < 2; i++) {
        B->forget_accepted();
        client = A->connect(&to, 4 << 20, true);
        assert_true(wire_until(halfway, 10000));
        set_mtu(mtus[i]);
        wire_run(2 * delay_ms); /* what is on the way */
        largest = 0;
        assert_true(wire_until(finished, 20000));
        assert_false(client->failed);
        assert_int_equal(server()->received, 4 << 20);
        assert_false(server()->damaged);
        assert_true(largest <= 14 + mtus[i]);
    }
}

/* Gives both an address of that kind, and b a listener there. */
static struct zt_ep with_6plane(void)
{
    for (unsigned i = 0; i < 2; i++) {
        side[i].info.addrs[1] = zt_ep_6plane(NWID, i == 0 ? ADDR_A : ADDR_B);
        side[i].info.naddrs = 2;
        assert_int_equal(side[i].t->net_set(&side[i].info), 0);
    }
    assert_int_equal(B->listen(6, 81), 0);
    struct zt_ep to = side[1].info.addrs[1];
    to.port = 81;
    return to;
}

static void test_mtu_changes_in_mid_transfer(void **state)
{
    change_in_mid_transfer(target());
}

static void test_mtu_changes_in_mid_transfer_ipv6(void **state)
{
    change_in_mid_transfer(with_6plane());
}

static void test_ipv6_6plane(void **state)
{
    struct zt_ep to = with_6plane();
    client = A->connect(&to, 1 << 20, true);
    assert_true(wire_until(finished, 10000));
    assert_int_equal(server()->received, 1 << 20);
    assert_false(server()->damaged);
    assert_int_equal(side[0].nd, 0);
}

static void test_loss(void **state)
{
    static const unsigned percent[] = {1, 5, 20};
    delay_ms = 5;
    for (unsigned i = 0; i < 3; i++) {
        loss_percent = percent[i];
        int64_t ms = transfer(i < 2 ? 4 << 20 : 256 << 10, 120000);
        print_message("%u %% loss, round trip 10 ms: %lld ms\n", percent[i], (long long)ms);
        assert_in_range(ms, 1, i == 0 ? 1500 : i == 1 ? 6000 : 20000);
        loss_percent = 0;
        wire_run(1000);
    }
}

static uint64_t burst; /* what had arrived */
static uint32_t lost_seq[8];
static unsigned nlost, want_lost, skip;

/* Lose the first transmission of several segments of one window. */
static bool lose_some(unsigned from, const uint8_t *eth, size_t n)
{
    uint32_t seq = zt_be32(eth + 14 + 20 + 4);
    if (from != 0 || n < 2000 || nlost >= want_lost)
        return false;
    for (unsigned i = 0; i < nlost; i++)
        if (lost_seq[i] == seq)
            return false;
    if (++skip < 500 || skip % 20 != 0) /* the window is some hundreds by then */
        return false;
    lost_seq[nlost++] = seq;
    return true;
}

/* NewReno: five losses in one window cost round trips, not retransmission time-outs. */
static void test_several_losses_in_a_window(void **state)
{
    delay_ms = 5;
    int64_t clean = transfer(4 << 20, 10000);
    nlost = 0;
    want_lost = 5;
    skip = 0;
    lose = lose_some;
    int64_t ms = transfer(4 << 20, 10000);
    assert_int_equal(nlost, 5);
    print_message("clean %lld ms, five losses %lld ms\n", (long long)clean, (long long)ms);
    assert_in_range(ms, clean / 2, clean + 200);
}

static unsigned ndata, nagain, ndata_lost;
static uint32_t loss_state, highest_seq;
/* A third of all is lost, ACKs too: whatever a recovery meets, nothing waits for what isn't on its way
 * (wire.c looks after each step). */
static void test_heavy_loss(void **state)
{
    delay_ms = 10;
    loss_percent = 30;
    for (int i = 0; i < 60; i++)
        (void)transfer(100000, 3600 * 1000);
}

/* What is to be sent again waits for what is on its way only. */
static void test_nothing_on_its_way(void **state)
{
    struct zt_ep to = target();
    client = A->connect(&to, 10000, false);
    wire_run(1000);
    assert_int_equal(A->all_arrived(client), 0);
    A->abort(client);
    wire_run(1000);
}

static bool lose_one_in_fifty(unsigned from, const uint8_t *eth, size_t n)
{
    if (from != 0 || n < 1000)
        return false;
    loss_state = loss_state * 1664525 + 1013904223;
    bool hit = (loss_state >> 16) % 50 == 0;
    uint32_t seq = zt_be32(eth + 14 + 20 + 4);
    nagain += ndata > 0 && (int32_t)(seq - highest_seq) <= 0;
    if (ndata++ == 0 || (int32_t)(seq - highest_seq) > 0)
        highest_seq = seq;
    ndata_lost += hit;
    return hit;
}

/* SACK tells what is lost, so nothing else is sent again; and loss by chance, without any queue,
 * doesn't hold the sender back: Reno alone would need a minute for this. */
static void test_only_lost_segments_again(void **state)
{
    delay_ms = 20;
    ndata = nagain = ndata_lost = 0;
    loss_state = 1;
    lose = lose_one_in_fifty;
    int64_t ms = transfer(16 << 20, 120000);
    print_message("2 %% loss, round trip 40 ms: %lld ms, of %u %u lost, %u sent again\n",
                  (long long)ms, ndata, ndata_lost, nagain);
    assert_true(ndata_lost > ndata / 100);
    assert_in_range(nagain, ndata_lost, ndata_lost + ndata_lost / 4 + 20);
    assert_in_range(ms, 500, 8000);
}

static bool lose_last(unsigned from, const uint8_t *eth, size_t n)
{
    bool hit = nlost == 0 && from == 0 && n > 100 && n < 2000;
    nlost += hit;
    return hit;
}

/* The only segment is lost: nothing but the timer can tell, after the least RTO. */
static void test_tail_loss(void **state)
{
    struct zt_ep to = target();
    delay_ms = 5;
    client = A->connect(&to, 4 << 20, false);
    wire_run(2000);
    assert_int_equal(server()->received, 4 << 20);
    nlost = 0;
    lose = lose_last;
    int64_t before = clock_ms;
    client->to_send += 500;
    A->pump(client);
    wire_run(2000);
    assert_int_equal(nlost, 1);
    assert_int_equal(server()->received, (4 << 20) + 500);
    assert_in_range(server()->last_ms - before, 250, 330);
    A->abort(client);
    wire_run(1000);
}

static bool moves_on(void)
{
    return server()->received > burst;
}

/* Nothing passes for a while, and then another way is found: told so, a connection goes on at once,
 * by itself only when its time-out, which has doubled several times, ends. */
static void test_rerouted(void **state)
{
    struct zt_ep to = target();
    delay_ms = 5;
    for (unsigned told = 0; told < 3; told++) {
        B->forget_accepted();
        client = A->connect(&to, 64 << 20, false);
        wire_run(60);
        cut = true;
        wire_run(2100);
        cut = false;
        burst = server()->received;
        assert_in_range(burst, 1, (64 << 20) - 1);
        if (told > 0)
            A->rerouted(told == 1 ? ADDR_B : ADDR_A, clock_ms);
        int64_t before = clock_ms;
        assert_true(wire_until(moves_on, 10000));
        print_message("goes on after %lld ms\n", (long long)(clock_ms - before));
        if (told == 1)
            assert_in_range(clock_ms - before, 1, 50);
        else
            assert_in_range(clock_ms - before, 200, 5000);
        A->abort(client);
        wire_run(1000);
    }
}

static bool lose_first_data(unsigned from, const uint8_t *eth, size_t n)
{
    bool hit = nlost == 0 && from == 0 && n > 100;
    nlost += hit;
    return hit;
}

/* The very first data segment is lost: the handshake has measured the round trip already. */
static void test_first_loss(void **state)
{
    struct zt_ep to = target();
    delay_ms = 5;
    nlost = 0;
    lose = lose_first_data;
    client = A->connect(&to, 500, false);
    int64_t before = clock_ms;
    wire_run(2000);
    assert_int_equal(server()->received, 500);
    assert_in_range(server()->last_ms - before, 250, 400);
    A->abort(client);
    wire_run(1000);
}

/* An ACK is held back 10 ms at most. */
static void test_ack_comes_soon(void **state)
{
    struct zt_ep to = target();
    client = A->connect(&to, 0, false);
    wire_run(1000);
    client->to_send = 1;
    A->pump(client);
    wire_run(2 + 10 + 1);
    assert_int_equal(client->acked, 1);
    wire_run(1000);
    assert_true(wire_idle()); /* a silent connection needs no timer */
    A->abort(client);
    wire_run(100);
    assert_true(server()->failed);
}

static void test_long_path(void **state)
{
    delay_ms = 100;
    int64_t ms = transfer(64 << 20, 120000);
    print_message("64 MiB, round trip 200 ms: %lld ms\n", (long long)ms);
    assert_in_range(ms, 16 * 200, 8000);
}

static bool half_acked(void)
{
    return client->acked > client->to_send / 2;
}

static bool all_sent(void)
{
    return client->written == client->to_send;
}

/* A transfer in its steady state takes nothing from the C library, at either end. */
static void test_steady_state_allocates_nothing(void **state)
{
#ifdef __SANITIZE_ADDRESS__
    print_message("SKIP: under AddressSanitizer each object is allocated\n");
    skip();
#endif
    struct zt_ep to = target();
    delay_ms = 2;
    client = A->connect(&to, 128 << 20, false);
    assert_true(wire_until(half_acked, 60000)); /* window and buffer have grown to their end */
    uint64_t a = A->allocations(), b = B->allocations();
    assert_true(wire_until(all_sent, 60000));
    /* 17,000 segments or more: what is in flight at once may still have grown by a few */
    assert_in_range(A->allocations() - a, 0, 100);
    assert_in_range(B->allocations() - b, 0, 100);
    A->abort(client);
    wire_run(100);
}

static unsigned bare_acks;
static bool count_acks(unsigned from, const uint8_t *eth, size_t n)
{
    bare_acks += from == 1 && n < 14 + 20 + 20 + 20;
    return false;
}

/* What comes in one turn is acknowledged at its end, not for every second segment. */
static void test_one_ack_a_turn(void **state)
{
    struct zt_ep to = target();
    client = A->connect(&to, 0, false);
    wire_run(1000);
    bare_acks = 0;
    lose = count_acks;
    client->to_send = 10000; /* less than the first window: 7 segments */
    A->pump(client);
    wire_run(5);
    assert_int_equal(server()->received, 10000);
    assert_int_equal(client->acked, 10000);
    assert_in_range(bare_acks, 1, 2); /* the last, short segment waits for the first ACK (Nagle) */
    /* A whole MiB: less than one for ten segments, and the sender never waits for one. */
    bare_acks = 0;
    int64_t before = clock_ms;
    client->to_send += 1 << 20;
    A->pump(client);
    wire_until(all_acked, 5000);
    assert_int_equal(server()->received, client->to_send);
    assert_in_range(bare_acks, 1, (1 << 20) / 1400 / 10);
    assert_in_range(clock_ms - before, 1, 100);
    A->abort(client);
    wire_run(100);
}

static void test_peer_appears_later(void **state)
{
    struct zt_ep to = target();
    cut = true;
    client = A->connect(&to, 0, false);
    int64_t before = clock_ms;
    wire_run(1000);
    cut = false;
    assert_true(wire_until(connected, 1000));
    assert_false(client->failed);
    print_message("peer there after 1000 ms, connected after %lld ms\n",
                  (long long)(client->connected_ms - before));
    A->abort(client);
    wire_run(1000);
}

static void test_nobody_there(void **state)
{
    struct zt_ep to = target();
    cut = true;
    client = A->connect(&to, 0, false);
    int64_t before = clock_ms;
    assert_true(wire_until(connected, 200000));
    assert_true(client->failed);
    assert_in_range(clock_ms - before, 60000, 90000);
    wire_run(10000);
    assert_true(wire_idle());
}

static void test_refused(void **state)
{
    struct zt_ep to = ep("10.1.0.2/81"), nowhere = ep("172.16.0.1/80");
    client = A->connect(&to, 0, false);
    assert_true(wire_until(connected, 100));
    assert_true(client->failed);
    assert_int_equal(client->error, -14); /* ERR_RST */
    client = A->connect(&nowhere, 0, false);
    assert_true(client->failed);
    assert_int_equal(client->error, -4); /* ERR_RTE */
}

/* The reader stops; the window closes; probes go on for long; then all arrives. */
static void test_closed_window(void **state)
{
    struct zt_ep to = target();
    client = A->connect(&to, 16 << 20, true);
    wire_until(connected, 100);
    wire_run(5);
    server()->hold = true;
    wire_run(300000);
    assert_in_range(server()->received, 3 << 20, 6 << 20);
    uint64_t frames = side[0].frames;
    wire_run(600000);
    assert_in_range(side[0].frames - frames, 9, 13); /* one a minute; two ARP refreshes */
    assert_false(client->failed);
    B->release(server());
    int64_t before = clock_ms;
    assert_true(wire_until(finished, 10000));
    assert_in_range(clock_ms - before, 0, 300);
    assert_int_equal(server()->received, 16 << 20);
    assert_false(server()->damaged);
}

/* The window update gets lost: the next probe finds out. */
static void test_dead_peer_behind_closed_window(void **state)
{
    struct zt_ep to = target();
    client = A->connect(&to, 16 << 20, false);
    wire_until(connected, 100);
    wire_run(5);
    server()->hold = true;
    wire_run(10000);
    cut = true;
    wire_run(120000);
    assert_false(client->failed); /* two minutes are nothing */
    wire_run(3600 * 1000);
    assert_true(client->failed);
    cut = false;
    wire_run(10000);
}

static void test_keepalive(void **state)
{
    struct zt_ep to = target();
    client = A->connect(&to, 0, false);
    wire_run(1000);
    A->keepalive(client);
    wire_run(60000);
    assert_false(client->failed);
    cut = true;
    wire_run(25000);
    assert_true(client->failed);
    assert_int_equal(client->error, -13); /* ERR_ABRT */
    cut = false;
    wire_run(1000);
}

/* 10,000 connections a second, this end closing first: more than there are ports, within the time
 * that one stays in TIME_WAIT. Nothing runs out, and the oldest make room. */
static void test_many_connections(void **state)
{
    struct zt_ep to = target();
    size_t before = A->memory();
    delay_ms = 0;
    for (unsigned i = 0; i < 60000; i++) {
        B->forget_accepted();
        client = A->connect(&to, 10, true);
        assert_true(wire_until(finished, 1000));
        assert_false(client->failed);
        assert_in_range(client->local_port, 16384, 65535);
        if (i % 10 == 0)
            wire_run(1);
    }
    assert_true(clock_ms - 1000000 < 10000);
    wire_run(30);
    assert_in_range(A->memory() - before, 16384 * 200, 16384 * 640); /* pool.c's class */
    wire_run(12000);
    assert_int_equal(A->memory(), before);
    assert_true(wire_idle());
}

static size_t segment(uint8_t *f, uint16_t sport, uint32_t seq, uint8_t flags)
{
    size_t n = 14 + 20 + 20;
    memset(f, 0, n);
    zt_put48(f, side[1].info.mac);
    zt_put48(f + 6, side[0].info.mac);
    zt_put16(f + 12, 0x0800);
    uint8_t *ip = f + 14, *tcp = ip + 20, pseudo[32] = {0};
    ip[0] = 0x45;
    zt_put16(ip + 2, 40);
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, ep("10.1.0.1").ip, 4);
    memcpy(ip + 16, ep("10.1.0.2").ip, 4);
    uint16_t sum = (uint16_t)~A->chksum(ip, 20);
    memcpy(ip + 10, &sum, 2);
    zt_put16(tcp, sport);
    zt_put16(tcp + 2, 80);
    zt_put32(tcp + 4, seq);
    tcp[12] = 0x50;
    tcp[13] = flags;
    zt_put16(tcp + 14, 65535);
    memcpy(pseudo, ip + 12, 8);
    pseudo[9] = 6;
    pseudo[11] = 20;
    memcpy(pseudo + 12, tcp, 20);
    sum = (uint16_t)~A->chksum(pseudo, 32);
    memcpy(tcp + 16, &sum, 2);
    return n;
}

/* Connections without work are in nobody's way, and work all the same when it comes. */
static void test_idle_connections_rest(void **state)
{
    enum { COUNT = 500 };
    struct twin_conn *idle[COUNT];
    struct zt_ep to = target();
    for (unsigned i = 0; i < COUNT; i++) {
        client = idle[i] = A->connect(&to, 10, false);
        assert_true(wire_until(connected, 1000));
    }
    wire_run(1000);
    assert_int_equal(A->ticking(), 0);
    assert_int_equal(B->ticking(), 0);
    assert_true(wire_idle());
    for (unsigned i = 0; i < COUNT; i += 100) {
        idle[i]->to_send = 100000;
        A->pump(idle[i]);
    }
    assert_int_equal(A->ticking(), COUNT / 100);
    wire_run(1000);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(idle[i]->acked, i % 100 == 0 ? 100000 : 10);
        assert_false(B->accepted(i)->damaged);
    }
    assert_int_equal(A->ticking(), 0);
    for (unsigned i = 0; i < COUNT; i++)
        A->abort(idle[i]);
    wire_run(100);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(B->accepted(i)->failed);
}

/* A connection that the server closed first; then the wire is cut, and a number of the client's. */
static uint32_t into_time_wait(void)
{
    struct zt_ep to = target();
    B->forget_accepted();
    cut = false;
    client = A->connect(&to, 10, false);
    wire_run(100);
    uint32_t seq = zt_be32(last_frame[0] + 14 + 20 + 4);
    server()->close_when_sent = true;
    B->pump(server()); /* the server closes first, the client after it */
    wire_run(100);
    assert_true(client->eof);
    cut = true; /* the client must not see the answers */
    return seq;
}

/* What the server says to a segment: SYN and ACK of the flags. */
static unsigned answer_to(uint32_t seq, uint8_t flags)
{
    uint8_t f[100];
    size_t n = segment(f, (uint16_t)client->local_port, seq, flags);
    last_frame[1][14 + 20 + 13] = 0;
    B->input(NWID, f, n, clock_ms);
    return last_frame[1][14 + 20 + 13] & 0x12;
}

/* TIME_WAIT at the server: a newer SYN of the same pair is let in. An older one is told the awaited number,
 * and let in after a reset with that number, and no other. */
static void test_time_wait_reopens(void **state)
{
    uint32_t seq = into_time_wait();
    assert_int_equal(answer_to(seq - 100000, 2), 0x10); /* ACK, no SYN */
    assert_int_equal(answer_to(seq + 100000, 2), 0x12); /* SYN and ACK */
    wire_run(30000);

    seq = into_time_wait();
    assert_int_equal(answer_to(seq - 100000, 2), 0x10);
    uint32_t awaited = zt_be32(last_frame[1] + 14 + 20 + 8);
    assert_int_equal(answer_to(awaited + 1, 4), 0);
    assert_int_equal(answer_to(awaited - 1, 4), 0);
    assert_int_equal(answer_to(seq - 100000, 2), 0x10);
    assert_int_equal(answer_to(awaited, 4), 0);
    assert_int_equal(answer_to(seq - 100000, 2), 0x12);
    wire_run(30000);
}

static bool server_done(void)
{
    return server()->eof || server()->failed;
}

/* Both ends close, the client second and with half a minute's data on a slow path: all of it arrives. */
static void test_close_with_much_to_send(void **state)
{
    struct zt_ep to = target();
    narrow.bytes_ms = 10;
    narrow.queue = 100000;
    client = A->connect(&to, 300000, false);
    wire_run(1000);
    assert_int_equal(client->written, 300000);
    server()->close_when_sent = true;
    B->pump(server());
    wire_run(1000);
    assert_true(client->eof); /* and closed */
    assert_in_range(server()->received, 1, 100000);
    assert_true(wire_until(server_done, 120000));
    assert_false(server()->failed);
    assert_int_equal(server()->received, 300000);
    wire_run(30000);
    assert_true(wire_idle());
}

static void test_address_goes(void **state)
{
    struct zt_ep to = target();
    client = A->connect(&to, 0, false);
    wire_run(100);
    side[0].info.addrs[0] = ep("10.1.0.7/16");
    assert_int_equal(A->net_set(&side[0].info), 0);
    assert_true(client->failed);
    client = A->connect(&to, 0, false);
    assert_true(wire_until(connected, 1000));
    assert_false(client->failed);
    A->net_remove(NWID);
    assert_true(client->failed);
    wire_run(100);
}

static void test_to_own_address(void **state)
{
    struct zt_ep self = ep("10.1.0.1/80");
    assert_int_equal(A->listen(4, 80), 0);
    client = A->connect(&self, 4 << 20, true);
    wire_run(1000);
    assert_true(client->connected);
    assert_int_equal(A->accepted(0)->received, 4 << 20);
    assert_false(A->accepted(0)->damaged);
    assert_true(A->accepted(0)->eof);
}

/* Each connection starts at a number of its own. */
static void test_isn(void **state)
{
    uint32_t first[20];
    struct zt_ep to = target();
    transfer(1, 1000); /* the address is known now */
    for (unsigned i = 0; i < 20; i++) {
        cut = true;
        struct twin_conn *c = A->connect(&to, 0, false);
        wire_run(310);
        first[i] = zt_be32(last_frame[0] + 14 + 20 + 4);
        A->abort(c);
        for (unsigned k = 0; k < i; k++)
            assert_true(first[i] - first[k] + 1000000 > 2000000);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, wire_setup_tcp, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_transfer_and_rest),
        T(test_window_is_large),
        T(test_long_path),
        T(test_mss_follows_mtu),
        T(test_largest_mtu),
        T(test_mtu_changes_in_mid_transfer),
        T(test_mtu_changes_in_mid_transfer_ipv6),
        T(test_ipv6_6plane),
        T(test_loss),
        T(test_several_losses_in_a_window),
        T(test_heavy_loss),
        T(test_nothing_on_its_way),
        T(test_only_lost_segments_again),
        T(test_tail_loss),
        T(test_rerouted),
        T(test_first_loss),
        T(test_ack_comes_soon),
        T(test_one_ack_a_turn),
        T(test_steady_state_allocates_nothing),
        T(test_peer_appears_later),
        T(test_nobody_there),
        T(test_refused),
        T(test_closed_window),
        T(test_dead_peer_behind_closed_window),
        T(test_keepalive),
        T(test_many_connections),
        T(test_idle_connections_rest),
        T(test_time_wait_reopens),
        T(test_close_with_much_to_send),
        T(test_address_goes),
        T(test_to_own_address),
        T(test_isn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
