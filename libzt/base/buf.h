/* Bounded big-endian reader and writer. A failure sticks: after it every read gives zero (NULL for
 * views) and every write does nothing, so a decoder reads a whole message and checks `bad` once.
 * Views point into the caller's bytes and die with them. */
#ifndef ZT_BASE_BUF_H
#define ZT_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct zt_rd {
    const uint8_t *p;
    size_t n, pos;
    bool bad;
};

struct zt_wr {
    uint8_t *p;
    size_t cap, n; /* n: bytes written */
    bool bad;
};

static inline uint16_t zt_be16(const uint8_t *p)
{
    return (uint16_t)((uint32_t)p[0] << 8 | p[1]);
}

static inline uint32_t zt_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t zt_be40(const uint8_t *p)
{
    return (uint64_t)p[0] << 32 | zt_be32(p + 1);
}

static inline uint64_t zt_be48(const uint8_t *p)
{
    return (uint64_t)zt_be16(p) << 32 | zt_be32(p + 2);
}

static inline uint64_t zt_be64(const uint8_t *p)
{
    return (uint64_t)zt_be32(p) << 32 | zt_be32(p + 4);
}

static inline void zt_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void zt_put32(uint8_t *p, uint32_t v)
{
    zt_put16(p, (uint16_t)(v >> 16));
    zt_put16(p + 2, (uint16_t)v);
}

static inline void zt_put40(uint8_t *p, uint64_t v)
{
    p[0] = (uint8_t)(v >> 32);
    zt_put32(p + 1, (uint32_t)v);
}

static inline void zt_put48(uint8_t *p, uint64_t v)
{
    zt_put16(p, (uint16_t)(v >> 32));
    zt_put32(p + 2, (uint32_t)v);
}

static inline void zt_put64(uint8_t *p, uint64_t v)
{
    zt_put32(p, (uint32_t)(v >> 32));
    zt_put32(p + 4, (uint32_t)v);
}

static inline struct zt_rd zt_rd(const void *p, size_t n)
{
    return (struct zt_rd){.p = (const uint8_t *)p, .n = n};
}

static inline size_t zt_rd_left(const struct zt_rd *r)
{
    return r->bad ? 0 : r->n - r->pos;
}

/* View of the next n bytes, or NULL (and bad) when fewer are left. */
static inline const uint8_t *zt_rd_view(struct zt_rd *r, size_t n)
{
    if (r->bad || r->n - r->pos < n) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->p + r->pos;
    r->pos += n;
    return p;
}

static inline bool zt_rd_bytes(struct zt_rd *r, void *out, size_t n)
{
    const uint8_t *p = zt_rd_view(r, n);
    if (p == NULL) {
        memset(out, 0, n);
        return false;
    }
    memcpy(out, p, n);
    return true;
}

static inline void zt_rd_skip(struct zt_rd *r, size_t n)
{
    (void)zt_rd_view(r, n);
}

#define ZT_RD_INT(name, type, bytes, get)                                                          \
    static inline type zt_rd_##name(struct zt_rd *r)                                               \
    {                                                                                              \
        const uint8_t *p = zt_rd_view(r, bytes);                                                   \
        return p ? get : 0;                                                                        \
    }
ZT_RD_INT(u8, uint8_t, 1, p[0])
ZT_RD_INT(u16, uint16_t, 2, zt_be16(p))
ZT_RD_INT(u32, uint32_t, 4, zt_be32(p))
ZT_RD_INT(u40, uint64_t, 5, zt_be40(p)) /* node address */
ZT_RD_INT(u48, uint64_t, 6, zt_be48(p)) /* MAC */
ZT_RD_INT(u64, uint64_t, 8, zt_be64(p))
#undef ZT_RD_INT

static inline struct zt_wr zt_wr(void *p, size_t cap)
{
    /* No room behind NULL, which also keeps GCC's sanitizer builds from warning of writes to it. */
    return (struct zt_wr){.p = (uint8_t *)p, .cap = p != NULL ? cap : 0};
}

/* Room for n bytes at the end, counted as written, or NULL (and bad) when there is none. */
static inline uint8_t *zt_wr_room(struct zt_wr *w, size_t n)
{
    if (w->bad || w->cap - w->n < n) {
        w->bad = true;
        return NULL;
    }
    uint8_t *p = w->p + w->n;
    w->n += n;
    return p;
}

static inline void zt_wr_bytes(struct zt_wr *w, const void *src, size_t n)
{
    uint8_t *p = zt_wr_room(w, n);
    if (p != NULL && n > 0)
        memcpy(p, src, n);
}

#define ZT_WR_INT(name, type, bytes, put)                                                          \
    static inline void zt_wr_##name(struct zt_wr *w, type v)                                       \
    {                                                                                              \
        uint8_t *p = zt_wr_room(w, bytes);                                                         \
        if (p != NULL)                                                                             \
            put;                                                                                   \
    }
ZT_WR_INT(u8, uint8_t, 1, p[0] = v)
ZT_WR_INT(u16, uint16_t, 2, zt_put16(p, v))
ZT_WR_INT(u32, uint32_t, 4, zt_put32(p, v))
ZT_WR_INT(u40, uint64_t, 5, zt_put40(p, v))
ZT_WR_INT(u48, uint64_t, 6, zt_put48(p, v))
ZT_WR_INT(u64, uint64_t, 8, zt_put64(p, v))
#undef ZT_WR_INT

#endif
