#include "ztest.h"

#include "base/list.h"
#include "rng.h"

#define ITEMS 40

struct item {
    int number;
    struct zt_list link;
};

/* The list equals an array that went through the same operations. */
static void random_operations(void **state)
{
    struct item items[ITEMS];
    struct zt_list head;
    int model[ITEMS];
    size_t n = 0;
    struct rng r = {5};

    zt_list_init(&head);
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        zt_list_init(&items[i].link);
    }
    for (unsigned step = 0; step < 20000; step++) {
        int k = (int)rng_below(&r, ITEMS);
        struct item *it = &items[k];
        if (!zt_list_empty(&it->link)) {
            zt_list_remove(&it->link);
            size_t at = 0;
            while (model[at] != k)
                at++;
            memmove(model + at, model + at + 1, (--n - at) * sizeof *model);
            assert_true(zt_list_empty(&it->link));
        } else if (rng_below(&r, 2)) {
            zt_list_push_back(&head, &it->link);
            model[n++] = k;
        } else {
            zt_list_push_front(&head, &it->link);
            memmove(model + 1, model, n++ * sizeof *model);
            model[0] = k;
        }
        size_t at = 0;
        ZT_LIST_EACH(l, &head)
        {
            assert_true(at < n);
            assert_int_equal(ZT_CONTAINER(l, struct item, link)->number, model[at++]);
            assert_ptr_equal(l->next->prev, l);
        }
        assert_int_equal(at, n);
        assert_true(zt_list_empty(&head) == (n == 0));
    }
}

static void walk_may_remove(void **state)
{
    struct item items[5];
    struct zt_list head;
    int seen = 0;

    zt_list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        zt_list_push_back(&head, &items[i].link);
    }
    ZT_LIST_EACH(l, &head)
    {
        assert_int_equal(ZT_CONTAINER(l, struct item, link)->number, seen++);
        zt_list_remove(l);
    }
    assert_int_equal(seen, 5);
    assert_true(zt_list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),
        cmocka_unit_test(walk_may_remove),
    };
    return cmocka_run_group_tests_name("base/list", tests, NULL, NULL);
}
