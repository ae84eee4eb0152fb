/* How fast TCP sends: on paths with a narrow place and a queue before it, long or short, alone and
 * with others. All on a virtual clock, so the figures are the same in every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "wire.h"

#define RATE 12500                /* bytes a ms: 100 Mbit/s */
#define WAY_MS 20                 /* one way */
#define HOLDS (RATE * 2 * WAY_MS) /* the path, without a queue */

static struct twin_conn *open_one(uint64_t n)
{
    struct zt_ep to = ep("10.1.0.2/80");
    struct twin_conn *c = A->connect(&to, n, false);
    wire_run(500); /* the neighbour is asked for first */
    assert_true(c->connected);
    return c;
}

static uint64_t arrived(unsigned i)
{
    return B->accepted(i)->received;
}

/* What arrives of connection i within so much time, in percent of the narrow place's rate. */
static unsigned share(unsigned i, int64_t ms)
{
    uint64_t before = arrived(i);
    int64_t from = clock_ms;
    wire_run(ms);
    return (unsigned)((arrived(i) - before) * 100 / ((uint64_t)(clock_ms - from) * RATE));
}

static void narrow_path(size_t queue)
{
    delay_ms = WAY_MS;
    narrow.bytes_ms = RATE;
    narrow.queue = queue;
}

static uint64_t per_ms, busiest; /* bytes that left within one ms */
static int64_t in_ms;
static bool count_burst(unsigned from, const uint8_t *eth, size_t n)
{
    if (from != 0)
        return false;
    per_ms = in_ms == clock_ms ? per_ms + n : n;
    in_ms = clock_ms;
    busiest = per_ms > busiest ? per_ms : busiest;
    return false;
}

/* A queue of a tenth of what the path holds: what leaves is spread so that it fits. */
static void test_short_queue(void **state)
{
    narrow_path(HOLDS / 10);
    client = open_one(1 << 30);
    wire_run(2000);
    narrow.dropped = narrow.passed = 0;
    lose = count_burst;
    busiest = 0;
    unsigned got = share(0, 8000);
    print_message("queue a tenth: %u %%, %llu of %llu lost, at most %llu bytes a ms\n", got,
                  (unsigned long long)narrow.dropped, (unsigned long long)narrow.passed,
                  (unsigned long long)busiest);
    assert_true(A->paced(client));
    assert_in_range(got, 85, 100);
    assert_true(narrow.dropped < narrow.passed / 50);
    assert_in_range(busiest, RATE, HOLDS / 6);
    A->abort(client);
}

/* A queue for seconds: it is not filled. */
static void test_long_queue(void **state)
{
    narrow_path(20 * HOLDS);
    client = open_one(1 << 30);
    wire_run(4000);
    narrow.longest = 0;
    unsigned got = share(0, 8000);
    print_message("queue of 800 ms: %u %%, at most %zu ms of it\n", got, narrow.longest / RATE);
    assert_in_range(got, 90, 100);
    assert_int_equal(narrow.dropped, 0);
    assert_in_range(narrow.longest, 1, HOLDS + HOLDS / 4);
    A->abort(client);
}

/* Two in the same queue: nobody starves, and little is lost. */
static void two_share(size_t queue)
{
    narrow_path(queue);
    struct twin_conn *first = open_one(1u << 30);
    wire_run(3000);
    struct twin_conn *second = open_one(1u << 30);
    wire_run(17000); /* each has looked for the shortest round trip */
    narrow.dropped = narrow.passed = 0;
    uint64_t before = arrived(0);
    unsigned b = share(1, 20000);
    unsigned a = (unsigned)((arrived(0) - before) * 100 / (20000ull * RATE));
    print_message("queue of %zu ms: %u %% and %u %%, %llu of %llu lost\n", queue / RATE, a, b,
                  (unsigned long long)narrow.dropped, (unsigned long long)narrow.passed);
    assert_in_range(a + b, 85, 101);
    assert_in_range(a, 10, 90);
    assert_in_range(b, 10, 90);
    assert_true(narrow.dropped < narrow.passed / 16);
    A->abort(first);
    A->abort(second);
}

static void test_two_share_a_queue(void **state)
{
    two_share(2 * HOLDS);
}

static void test_two_share_a_short_queue(void **state)
{
    two_share(HOLDS / 4);
}

/* The path gets slower, and faster again: a few round trips, or a few seconds, later so is the
 * connection. */
static void test_follows_the_path(void **state)
{
    narrow_path(HOLDS / 2);
    client = open_one(1u << 30);
    wire_run(3000);
    narrow.bytes_ms = RATE / 5;
    wire_run(2000); /* what was lost at first has come, and what had waited behind it */
    narrow.dropped = narrow.passed = 0;
    unsigned slow = share(0, 4000);
    uint64_t lost = narrow.dropped, of = narrow.passed;
    narrow.bytes_ms = RATE;
    wire_run(4000);
    unsigned fast = share(0, 4000);
    print_message("a fifth: %u %% with %llu of %llu lost, then %u %%\n", slow,
                  (unsigned long long)lost, (unsigned long long)of, fast);
    assert_in_range(slow, 17, 20);
    assert_true(lost < of / 16);
    assert_in_range(fast, 85, 100);
    A->abort(client);
}

/* So many bytes more, and how long until all are acknowledged. */
static int64_t send_more(uint64_t n)
{
    int64_t from = clock_ms;
    client->to_send += n;
    A->pump(client);
    assert_true(wire_until(all_acked, 60000));
    return clock_ms - from;
}

/* Small questions, each with a pause behind it, say nothing about the path: what is large after them is as fast as on a
 * new connection, or faster. */
static void test_questions_then_much(void **state)
{
    narrow_path(HOLDS);
    client = open_one(0);
    int64_t fresh = send_more(300000);
    A->abort(client);
    wire_run(1000);
    B->forget_accepted();
    client = open_one(0);
    for (unsigned i = 0; i < 20; i++) {
        (void)send_more(1 + i % 2);
        wire_run(i % 5 == 0 ? 3000 : 100);
    }
    int64_t later = send_more(300000);
    print_message("300 KB: %lld ms fresh, %lld ms after questions\n", (long long)fresh,
                  (long long)later);
    assert_in_range(later, 1, fresh + 10);
    A->abort(client);
}

/* A path of 100 Mbit/s that gets so narrow that a round trip is seconds, a hundred times what it was: what is lost is
 * sent again, but not each tenth of a second. Minutes later it is as before, and a little later so is the connection. */
static void test_path_gets_very_narrow(void **state)
{
    static const struct {
        unsigned bytes_ms, queue;
    } path[] = {{20, 50}, {20, 10}, {5, 10}};
    for (unsigned i = 0; i < sizeof path / sizeof path[0]; i++) {
        narrow_path(HOLDS / 2);
        B->forget_accepted();
        client = open_one(1u << 30);
        wire_run(3000);
        narrow.bytes_ms = path[i].bytes_ms;
        narrow.queue = path[i].queue * 2900;
        wire_run(60000);
        narrow.dropped = narrow.passed = 0;
        uint64_t before = arrived(0);
        wire_run(200000);
        unsigned slow = (unsigned)((arrived(0) - before) / (200 * path[i].bytes_ms) / 10);
        narrow.bytes_ms = RATE;
        narrow.queue = HOLDS / 2;
        print_message("%u kbit/s: %u %%, %llu of %llu lost, ", 8 * path[i].bytes_ms, slow,
                      (unsigned long long)narrow.dropped, (unsigned long long)narrow.passed);
        wire_run(20000);
        unsigned fast = share(0, 4000);
        print_message("then %u %%\n", fast);
        assert_in_range(slow, 60, 101);
        assert_in_range(fast, 85, 100);
        A->abort(client);
        wire_run(100000);
    }
}

static uint32_t chance = 1;
static bool lose_two_percent(unsigned from, const uint8_t *eth, size_t n)
{
    chance = chance * 1664525 + 1013904223;
    return from == 0 && n > 1000 && (chance >> 16) % 50 == 0;
}

/* Loss by chance costs what is lost. */
static void test_loss_by_chance(void **state)
{
    narrow_path(HOLDS / 2);
    lose = lose_two_percent;
    client = open_one(1u << 30);
    wire_run(3000);
    unsigned got = share(0, 8000);
    print_message("2 %% lost by chance: %u %%\n", got);
    assert_in_range(got, 85, 98);
    A->abort(client);
}

static unsigned until_lost; /* data segments; 0: none is lost */
static bool lose_one(unsigned from, const uint8_t *eth, size_t n)
{
    return from == 0 && n > 1000 && until_lost > 0 && --until_lost == 0;
}

/* A program that writes in short pieces, many and then few. A loss halves the window, so what was
 * lost waits to be sent again: no piece, nor the end of the stream, may be joined to it. */
static void test_writes_while_lost_wait(void **state)
{
    narrow_path(HOLDS);
    narrow.bytes_ms = RATE / 10;
    delay_ms = 0;
    lose = lose_one;
    for (unsigned i = 0; i < 14; i++) {
        B->forget_accepted();
        client = open_one(100000); /* the window has grown */
        assert_true(wire_until(all_acked, 5000));
        until_lost = 1 + i / 2;
        for (unsigned k = 0; k < 40; k++) {
            client->to_send += k < 25 ? 1200 : 100;
            client->close_when_sent = k == 39 - 2 * (i / 2) && i % 2 == 0;
            bool last = client->close_when_sent;
            A->pump(client);
            if (k >= 25)
                wire_run(3);
            if (last)
                break;
        }
        assert_int_equal(until_lost, 0);
        assert_false(A->paced(client));
        wire_run(3000);
        assert_int_equal(client->acked, client->to_send);
        assert_int_equal(arrived(0), client->to_send);
        assert_int_equal(B->accepted(0)->eof, i % 2 == 0);
        assert_false(B->accepted(0)->damaged);
        A->abort(client);
        wire_run(100);
    }
}

/* A LAN on which one transfer keeps a queue of some ms: the round trip without it is found out, and
 * nothing waits. */
static void test_near_path(void **state)
{
    narrow_path(0);
    delay_ms = 1;
    narrow.bytes_ms = 4 * RATE;
    narrow.queue = 1 << 20;
    client = open_one(2000u << 20);
    wire_run(9000);
    assert_false(A->paced(client));
    for (unsigned i = 0; i < 12; i++) {
        assert_in_range(share(0, 1000), 380, 400);
        assert_false(A->paced(client));
    }
    assert_true(narrow.longest > 4 * (size_t)narrow.bytes_ms);
    A->abort(client);
}

/* A transfer whose path becomes a long one, and near again. */
static void test_path_changes(void **state)
{
    narrow_path(HOLDS);
    delay_ms = 0;
    client = open_one(1u << 30);
    wire_run(1000);
    assert_false(A->paced(client));
    delay_ms = WAY_MS;
    wire_run(14000);
    assert_true(A->paced(client));
    assert_in_range(share(0, 5000), 85, 100);
    delay_ms = 0;
    wire_run(12000);
    assert_false(A->paced(client));
    assert_in_range(share(0, 5000), 95, 100);
    A->abort(client);
}

#define T(f) cmocka_unit_test_setup_teardown(f, wire_setup_tcp, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_short_queue),
        T(test_long_queue),
        T(test_two_share_a_queue),
        T(test_two_share_a_short_queue),
        T(test_follows_the_path),
        T(test_questions_then_much),
        T(test_path_gets_very_narrow),
        T(test_loss_by_chance),
        T(test_writes_while_lost_wait),
        T(test_near_path),
        T(test_path_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
