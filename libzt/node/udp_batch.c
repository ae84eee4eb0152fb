#include "node/udp_batch.h"

#include <stdlib.h>
#include <string.h>

struct zt_batch *zt_batch_new(void)
{
    struct zt_batch *b = malloc(sizeof *b);
    if (b == NULL)
        return NULL;
    b->bytes = malloc(ZT_BATCH_BYTES); /* only what is used becomes resident */
    if (b->bytes == NULL) {
        free(b);
        return NULL;
    }
    zt_batch_clear(b);
    return b;
}

void zt_batch_free(struct zt_batch *b)
{
    if (b != NULL)
        free(b->bytes);
    free(b);
}

void zt_batch_clear(struct zt_batch *b)
{
    b->n = 0;
    b->used = 0;
    b->nruns = 0;
    memset(b->head, -1, sizeof b->head);
}

static int find_run(const struct zt_batch *b, unsigned h, const struct zt_batch_item *it)
{
    for (int i = b->head[h]; i >= 0; i = b->chain[i]) {
        const struct zt_batch_item *r = &b->item[i];
        if (r->sock == it->sock && r->ttl == it->ttl && zt_ep_equal(&r->ep, &it->ep))
            return i;
    }
    return -1;
}

uint8_t *zt_batch_add(struct zt_batch *b, unsigned sock, const struct zt_ep *ep, unsigned ttl,
                      size_t n)
{
    if (b->n == ZT_BATCH_DATAGRAMS || n > ZT_BATCH_BYTES - b->used)
        return NULL;
    int i = (int)b->n++;
    struct zt_batch_item *it = &b->item[i];
    *it = (struct zt_batch_item){
        .ep = *ep,
        .sock = (uint16_t)sock,
        .size = (uint16_t)n,
        .ttl = (uint8_t)(ttl > 255 ? 255 : ttl),
        .offset = b->used,
        .next = -1,
    };
    b->used += (uint32_t)n;
    unsigned h = (unsigned)(zt_ep_hash(ep) + sock) % 256;
    int run = find_run(b, h, it);
    if (run >= 0) {
        b->item[b->tail[run]].next = i;
        b->tail[run] = i;
    } else {
        b->chain[i] = b->head[h];
        b->head[h] = i;
        b->tail[i] = i;
        b->runs[b->nruns++] = i;
    }
    return b->bytes + it->offset;
}

int zt_batch_msg(const struct zt_batch *b, int item, unsigned max_segment, struct zt_batch_msg *out)
{
    const struct zt_batch_item *it = &b->item[item];
    *out = (struct zt_batch_msg){
        .to = it, .count = 1, .segment = it->size, .bytes = it->size, .first = item};
    int next = it->next;
    if (it->size == 0 || it->size > max_segment)
        return next;
    while (next >= 0 && out->count < ZT_GSO_SEGMENTS) {
        const struct zt_batch_item *n = &b->item[next];
        if (n->size > out->segment || n->size == 0 || out->bytes + n->size > ZT_GSO_BYTES)
            break;
        out->count++;
        out->bytes += n->size;
        next = n->next;
        if (n->size < out->segment)
            break;
    }
    return next;
}

unsigned zt_batch_iov(const struct zt_batch *b, const struct zt_batch_msg *m, struct iovec *iov)
{
    unsigned n = 0;
    int i = m->first;
    for (unsigned k = 0; k < m->count; k++, i = b->item[i].next) {
        uint8_t *p = b->bytes + b->item[i].offset;
        if (n > 0 && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == p)
            iov[n - 1].iov_len += b->item[i].size;
        else
            iov[n++] = (struct iovec){p, b->item[i].size};
    }
    return n;
}
