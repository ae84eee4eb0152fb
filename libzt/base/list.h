/* Intrusive doubly linked list. The head is a node too; an unlinked node points to itself. */
#ifndef ZT_BASE_LIST_H
#define ZT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct zt_list {
    struct zt_list *prev, *next;
};

#define ZT_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void zt_list_init(struct zt_list *l)
{
    l->prev = l->next = l;
}

static inline bool zt_list_empty(const struct zt_list *l)
{
    return l->next == l;
}

static inline void zt_list_remove(struct zt_list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->prev = n->next = n;
}

/* n must not be linked. */
static inline void zt_list_push_back(struct zt_list *head, struct zt_list *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

static inline void zt_list_push_front(struct zt_list *head, struct zt_list *n)
{
    zt_list_push_back(head->next, n);
}

/* The body may remove `it`, nothing else. */
#define ZT_LIST_EACH(it, head)                                                                     \
    for (struct zt_list *it = (head)->next, *it##_next_ = it->next; it != (head);                  \
         it = it##_next_, it##_next_ = it->next)

#endif
