/* The dictionary text format (vl2.md 3.1): key=value lines with escaped values. */
#ifndef ZT_WIRE_DICT_H
#define ZT_WIRE_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct zt_span {
    const uint8_t *p;
    size_t n;
};

/* The value of a key, unescaped, into out, followed by a zero byte; cut to cap - 1 bytes. cap >= 1.
 * Returns its length (as cut) or ZT_E_NOENT. d of n bytes; ends early at a zero byte. */
int zt_dict_get(const uint8_t *d, size_t n, const char *key, uint8_t *out, size_t cap);

/* missing is the answer without such a key, and of numbers with an empty value. */
uint64_t zt_dict_u64(const uint8_t *d, size_t n, const char *key, uint64_t missing);
int64_t zt_dict_i64(const uint8_t *d, size_t n, const char *key, int64_t missing);
bool zt_dict_bool(const uint8_t *d, size_t n, const char *key, bool missing);

/* Append an entry. When it does not fit, w is left as it was: 0 or ZT_E_SPACE. Numbers: 16 digits,
 * of i64 the magnitude (as everybody else writes it); addresses: 10 digits. */
int zt_dict_add(struct zt_wr *w, const char *key, const void *value, size_t n);
int zt_dict_add_text(struct zt_wr *w, const char *key, const char *text);
int zt_dict_add_u64(struct zt_wr *w, const char *key, uint64_t v);
int zt_dict_add_i64(struct zt_wr *w, const char *key, int64_t v);
int zt_dict_add_bool(struct zt_wr *w, const char *key, bool v);
int zt_dict_add_addr(struct zt_wr *w, const char *key, uint64_t addr);

#endif
