#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/state.h"

static const uint8_t host[16] = "host id of tests";

static void slots_of_the_living_are_reused_last(void **state)
{
    struct zt_state s;
    struct zt_state_slot *a, *b, *c;
    uint64_t id;

    (void)state;
    assert_int_equal(zt_state_open(&s, NULL, host), 0);
    assert_int_equal(s.head->configuring, 1); /* nobody may take a new page for "no networks" */
    a = zt_state_take(&s, 1);
    b = zt_state_take(&s, 2);
    assert_ptr_not_equal(a, b);
    assert_int_equal(a->id & (ZT_STATE_SLOTS - 1), a - s.slots);
    assert_int_not_equal(a->id & (ZT_STATE_SLOTS - 1), 0);
    id = a->id;
    zt_state_phase(a, ZT_PHASE_RESET, 104);
    zt_state_give(&s, a, false); /* its program may still ask */
    zt_state_give(&s, b, true);
    c = zt_state_take(&s, 3);
    assert_ptr_equal(c, b);
    assert_int_equal(a->id, id);
    assert_int_equal(a->err, 104);
    for (unsigned i = 0; i < ZT_STATE_SLOTS - 3; i++)
        assert_non_null(zt_state_take(&s, 4));
    assert_int_equal(a->id, id);
    assert_ptr_equal(zt_state_take(&s, 5), a); /* now it has to be */
    assert_int_equal(a->phase, ZT_PHASE_FREE);
    assert_int_equal(a->err, 0);
    assert_null(zt_state_take(&s, 6));
    zt_state_close(&s);
}

static void an_old_page_is_marked_stale(void **state)
{
    char dir[] = "/tmp/zt-state-XXXXXX", path[64];
    struct zt_state_head *seen;
    struct zt_state s;
    struct stat st;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/%s", dir, ZT_STATE_FILE);
    assert_int_equal(zt_state_open(&s, path, host), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    seen = mmap(NULL, sizeof *seen, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    assert_int_equal(seen->magic, ZT_STATE_MAGIC);
    assert_memory_equal(seen->host_id, host, 16);
    /* This node dies without a word: nothing of its own marks the page. */
    munmap(s.head, sizeof *s.head);
    s.head = NULL;
    zt_state_close(&s);
    assert_int_equal(seen->stale, 0);
    assert_int_equal(zt_state_open(&s, path, host), 0);
    assert_int_equal(seen->stale, 1);
    assert_int_equal(s.head->stale, 0);
    zt_state_close(&s);
    munmap(seen, sizeof *seen);

    /* What is no page of ours is replaced, not written to. */
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "short", 5), 5);
    assert_int_equal(zt_state_open(&s, path, host), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 5);
    close(fd);
    zt_state_close(&s);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

static void ranges_change_under_a_sequence(void **state)
{
    static struct zt_state_range r[ZT_STATE_RANGES + 10] = {{.family = 4, .bits = 24}};
    struct zt_state s;

    (void)state;
    assert_int_equal(zt_state_open(&s, NULL, host), 0);
    assert_int_equal(s.head->seq, 0);
    zt_state_ranges(&s, r, 1, 1, 0, true);
    assert_int_equal(s.head->seq, 2);
    assert_int_equal(s.head->nranges, 1);
    assert_int_equal(s.head->online, 1);
    zt_state_ranges(&s, r, ZT_STATE_RANGES + 10, 3, 1, false); /* more than there is room for */
    assert_int_equal(s.head->nranges, ZT_STATE_RANGES);
    assert_int_equal(s.head->seq, 4);
    zt_state_close(&s);
}

static void programs_cannot_write(void **state)
{
    struct zt_state s;
    char path[40];
    int fd;

    (void)state;
    assert_int_equal(zt_state_open(&s, NULL, host), 0);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s.ro_fd, 0), MAP_FAILED);
    snprintf(path, sizeof path, "/proc/self/fd/%d", s.ro_fd);
    fd = open(path, O_RDWR | O_CLOEXEC); /* the same user may open it again, but the seal holds */
    if (fd >= 0) {
        assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        assert_int_equal(ftruncate(fd, 0), -1);
        close(fd);
    }
    zt_state_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_of_the_living_are_reused_last),
        cmocka_unit_test(an_old_page_is_marked_stale),
        cmocka_unit_test(ranges_change_under_a_sequence),
        cmocka_unit_test(programs_cannot_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
