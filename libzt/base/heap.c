#include "base/heap.h"

#include <stdlib.h>

#include "base/err.h"

void zt_heap_init(struct zt_heap *h)
{
    *h = (struct zt_heap){0};
}

void zt_heap_fini(struct zt_heap *h)
{
    for (size_t i = 0; i < h->n; i++)
        h->t[i]->pos = 0;
    free(h->t);
    *h = (struct zt_heap){0};
}

static void place(struct zt_heap *h, size_t i, struct zt_timer *t)
{
    h->t[i] = t;
    t->pos = i + 1;
}

static void up(struct zt_heap *h, size_t i)
{
    struct zt_timer *t = h->t[i];
    while (i > 0 && h->t[(i - 1) / 2]->at_ms > t->at_ms) {
        place(h, i, h->t[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, t);
}

static void down(struct zt_heap *h, size_t i)
{
    struct zt_timer *t = h->t[i];
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= h->n)
            break;
        if (c + 1 < h->n && h->t[c + 1]->at_ms < h->t[c]->at_ms)
            c++;
        if (h->t[c]->at_ms >= t->at_ms)
            break;
        place(h, i, h->t[c]);
        i = c;
    }
    place(h, i, t);
}

int zt_heap_set(struct zt_heap *h, struct zt_timer *t, int64_t at_ms)
{
    if (t->pos == 0) {
        if (h->n == h->cap) {
            size_t cap = h->cap ? h->cap * 2 : 32;
            struct zt_timer **bigger = realloc(h->t, cap * sizeof *bigger);
            if (bigger == NULL)
                return ZT_E_NOMEM;
            h->t = bigger;
            h->cap = cap;
        }
        place(h, h->n++, t);
    }
    t->at_ms = at_ms;
    up(h, t->pos - 1);
    down(h, t->pos - 1);
    return 0;
}

void zt_heap_remove(struct zt_heap *h, struct zt_timer *t)
{
    if (t->pos == 0)
        return;
    size_t i = t->pos - 1;
    t->pos = 0;
    struct zt_timer *last = h->t[--h->n];
    if (last == t)
        return;
    place(h, i, last);
    up(h, i);
    down(h, last->pos - 1);
}

int64_t zt_heap_next(const struct zt_heap *h)
{
    return h->n > 0 ? h->t[0]->at_ms : INT64_MAX;
}

struct zt_timer *zt_heap_pop(struct zt_heap *h, int64_t now_ms)
{
    if (h->n == 0 || h->t[0]->at_ms > now_ms)
        return NULL;
    struct zt_timer *t = h->t[0];
    zt_heap_remove(h, t);
    return t;
}
