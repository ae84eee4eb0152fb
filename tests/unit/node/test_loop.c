#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "node/loop.h"

struct seen {
    struct zt_loop *loop;
    int init_result;
    int flushes, dues, finis, calls;
    int bad; /* checks that failed on the loop thread, where cmocka cannot */
    int64_t deadline, due_at;
    bool on_thread;
    bool flush_after_call; /* flush came after the last call of its turn */
    int touch;             /* touch from inside flush this often */
};

static int64_t mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int on_init(void *user, struct zt_loop *l)
{
    struct seen *s = user;
    s->loop = l;
    s->on_thread = zt_loop_is_current(l);
    return s->init_result;
}

static void on_due(void *user, const struct zt_now *now)
{
    struct seen *s = user;
    s->dues++;
    s->due_at = now->mono_ms;
    s->bad += now->mono_ms < s->deadline;
    s->deadline = ZT_NEVER;
}

static int64_t on_flush(void *user, const struct zt_now *now)
{
    struct seen *s = user;
    __atomic_add_fetch(&s->flushes, 1, __ATOMIC_RELEASE);
    s->flush_after_call = true;
    if (s->touch > 0) {
        s->touch--;
        zt_loop_touch(s->loop);
    }
    return s->deadline;
}

static void on_fini(void *user)
{
    struct seen *s = user;
    s->finis++;
}

static struct zt_loop *start(struct seen *s, int init_result)
{
    struct zt_loop_hooks hooks = {s, on_init, on_due, on_flush, on_fini};
    struct zt_loop *l = NULL;
    *s = (struct seen){.init_result = init_result, .deadline = ZT_NEVER};
    assert_int_equal(zt_loop_start(&hooks, &l), init_result);
    return l;
}

/* The counters are the loop's thread's. */
static int seen_of(int *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void nap(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void test_start_stop(void **state)
{
    struct seen s;
    struct zt_loop *l = start(&s, 0);
    assert_true(s.on_thread);
    assert_false(zt_loop_is_current(l));
    zt_loop_stop(l);
    assert_int_equal(s.finis, 1);
    zt_loop_stop(NULL);
}

static void test_init_fails(void **state)
{
    struct seen s;
    assert_null(start(&s, ZT_E_IO));
    assert_int_equal(s.finis, 0);
}

static void add_call(void *arg)
{
    struct seen *s = arg;
    s->calls++;
    s->flush_after_call = false;
    s->bad += !zt_loop_is_current(s->loop);
}

static void nested_call(void *arg)
{
    struct seen *s = arg;
    s->bad += zt_loop_call(s->loop, add_call, s) != 0; /* directly, no deadlock */
}

static void nothing(void *arg)
{
}

static void test_call(void **state)
{
    struct seen s;
    struct zt_loop *l = start(&s, 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(zt_loop_call(l, add_call, &s), 0);
        assert_int_equal(s.calls, i + 1);
    }
    assert_int_equal(zt_loop_call(l, nested_call, &s), 0);
    assert_int_equal(s.calls, 1001);
    assert_int_equal(zt_loop_call(l, nothing, NULL), 0); /* a turn later */
    zt_loop_stop(l);
    assert_true(s.flush_after_call);
    assert_int_equal(s.bad, 0);
}

static void *post_many(void *arg)
{
    struct seen *s = arg;
    for (int i = 0; i < 20000; i++)
        if (zt_loop_post(s->loop, add_call, s) != 0)
            return s;
    return NULL;
}

/* Everything that was accepted runs, also when the loop ends right after. */
static void test_posts_from_threads(void **state)
{
    struct seen s;
    struct zt_loop *l = start(&s, 0);
    pthread_t t[4];
    void *result[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, post_many, &s);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], &result[i]);
    zt_loop_stop(l);
    for (int i = 0; i < 4; i++)
        assert_null(result[i]);
    assert_int_equal(s.calls, 80000);
    assert_int_equal(s.bad, 0);
    assert_true(s.flushes <= 80002);
}

static void post_late(void *arg)
{
    struct seen *s = arg;
    for (int i = 0; i < 3000 && s->calls == 0; i++) {
        nap(10); /* meanwhile the other thread asks for the end */
        s->calls = zt_loop_post(s->loop, nothing, NULL);
    }
}

static void test_post_while_ending(void **state)
{
    struct seen s;
    struct zt_loop *l = start(&s, 0);
    assert_int_equal(zt_loop_post(l, post_late, &s), 0);
    zt_loop_stop(l);
    assert_int_equal(s.calls, ZT_E_STATE);
}

static void set_deadline(void *arg)
{
    struct seen *s = arg;
    s->deadline = zt_loop_now(s->loop)->mono_ms + 30;
}

static int dues_of(struct seen *s)
{
    assert_int_equal(zt_loop_call(s->loop, nothing, NULL), 0); /* orders the read */
    return s->dues;
}

static void test_deadline(void **state)
{
    struct seen s;
    struct zt_loop *l = start(&s, 0);
    for (int round = 1; round <= 5; round++) {
        int64_t before = mono_ms();
        assert_int_equal(zt_loop_call(l, set_deadline, &s), 0);
        while (dues_of(&s) < round && mono_ms() < before + 60000)
            nap(1);
        assert_int_equal(dues_of(&s), round);
        assert_true(s.due_at - before >= 30);
        assert_true(s.due_at - before < 20000);
    }
    zt_loop_stop(l);
    assert_int_equal(s.bad, 0);
}

/* Without events and deadlines the thread sleeps. */
static void test_idle(void **state)
{
    struct seen s;
    struct zt_loop *l = start(&s, 0);
    assert_int_equal(zt_loop_call(l, nothing, NULL), 0);
    int before = -1;
    for (int i = 0; i < 200 && before != seen_of(&s.flushes); i++) { /* the turn of the call may come late */
        before = seen_of(&s.flushes);
        nap(50);
    }
    assert_int_equal(seen_of(&s.flushes), before);
    zt_loop_stop(l);
}

static void touch_thrice(void *arg)
{
    struct seen *s = arg;
    s->touch = 3;
    __atomic_store_n(&s->flushes, 0, __ATOMIC_RELEASE);
}

static void test_touch_in_flush(void **state)
{
    struct seen s;
    struct zt_loop *l = start(&s, 0);
    assert_int_equal(zt_loop_call(l, touch_thrice, &s), 0);
    for (int i = 0; i < 3000 && seen_of(&s.flushes) < 4; i++)
        nap(10);
    assert_true(seen_of(&s.flushes) >= 4); /* without a call or the end to wake it */
    zt_loop_stop(l);
    assert_int_equal(s.touch, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_stop),
        cmocka_unit_test(test_init_fails),
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_posts_from_threads),
        cmocka_unit_test(test_post_while_ending),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_touch_in_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
