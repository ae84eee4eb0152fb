#include "wire/dict.h"

#include "base/addr.h"
#include "base/err.h"

static bool ends_entry(uint8_t c)
{
    return c == '\n' || c == '\r' || c == 0;
}

/* Start of the value of the first entry with this key, or NULL. */
static const uint8_t *find(const uint8_t *d, const uint8_t *end, const char *key)
{
    size_t nkey = strlen(key);

    while (d < end && *d != 0) {
        const uint8_t *entry = d;
        while (d < end && !ends_entry(*d))
            d++;
        if ((size_t)(d - entry) > nkey && entry[nkey] == '=' && memcmp(entry, key, nkey) == 0)
            return entry + nkey + 1;
        if (d < end && *d != 0)
            d++;
    }
    return NULL;
}

static uint8_t unescape(uint8_t c)
{
    switch (c) {
    case '0':
        return 0;
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 'e':
        return '=';
    default:
        return c;
    }
}

int zt_dict_get(const uint8_t *d, size_t n, const char *key, uint8_t *out, size_t cap)
{
    const uint8_t *end = n > 0 ? d + n : d; /* which may be NULL then */
    const uint8_t *p = n > 0 ? find(d, end, key) : NULL;
    size_t len = 0;

    out[0] = 0;
    if (p == NULL)
        return ZT_E_NOENT;
    for (; p < end && !ends_entry(*p) && len + 1 < cap; p++) {
        if (*p != '\\') {
            out[len++] = *p;
        } else if (p + 1 < end && !ends_entry(p[1])) {
            p++;
            out[len++] = unescape(*p);
        }
    }
    out[len] = 0;
    return (int)len;
}

/* A hexadecimal number as the common C reader takes it: white space, a sign, 0x, digits up to
 * something else. Saturates; *negative says whether there was a minus. */
static uint64_t read_hex(const uint8_t *s, bool *negative, bool *overflow)
{
    uint64_t v = 0;

    while (*s == ' ' || (*s >= '\t' && *s <= '\r'))
        s++;
    *negative = *s == '-';
    *overflow = false;
    if (*s == '-' || *s == '+')
        s++;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
        s += 2;
    for (;; s++) {
        unsigned digit;
        if (*s >= '0' && *s <= '9')
            digit = *s - '0';
        else if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'f')
            digit = (*s | 0x20u) - 'a' + 10;
        else
            return v;
        if (v >> 60 != 0)
            *overflow = true;
        v = *overflow ? UINT64_MAX : v << 4 | digit;
    }
}

uint64_t zt_dict_u64(const uint8_t *d, size_t n, const char *key, uint64_t missing)
{
    uint8_t s[256];
    bool negative, overflow;

    if (zt_dict_get(d, n, key, s, sizeof s) <= 0)
        return missing;
    uint64_t v = read_hex(s, &negative, &overflow);
    return negative && !overflow ? 0 - v : v;
}

int64_t zt_dict_i64(const uint8_t *d, size_t n, const char *key, int64_t missing)
{
    uint8_t s[256];
    bool negative, overflow;

    if (zt_dict_get(d, n, key, s, sizeof s) <= 0)
        return missing;
    uint64_t v = read_hex(s, &negative, &overflow);
    if (v > INT64_MAX)
        return negative ? INT64_MIN : INT64_MAX;
    return negative ? -(int64_t)v : (int64_t)v;
}

bool zt_dict_bool(const uint8_t *d, size_t n, const char *key, bool missing)
{
    uint8_t s[2];
    int len = zt_dict_get(d, n, key, s, sizeof s);
    if (len < 0)
        return missing;
    return len > 0 && (s[0] == '1' || s[0] == 't' || s[0] == 'T');
}

/* What c is written as after a backslash, 0 when it stands for itself. */
static uint8_t escape(uint8_t c)
{
    switch (c) {
    case 0:
        return '0';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '=':
        return 'e';
    case '\\':
        return '\\';
    default:
        return 0;
    }
}

int zt_dict_add(struct zt_wr *w, const char *key, const void *value, size_t n)
{
    const uint8_t *v = (const uint8_t *)value;
    const size_t before = w->n;

    if (w->n > 0)
        zt_wr_u8(w, '\n');
    zt_wr_bytes(w, key, strlen(key));
    zt_wr_u8(w, '=');
    for (size_t i = 0; i < n; i++) {
        uint8_t e = escape(v[i]);
        if (e != 0)
            zt_wr_u8(w, '\\');
        zt_wr_u8(w, e != 0 ? e : v[i]);
    }
    if (!w->bad)
        return 0;
    w->n = before;
    w->bad = false;
    return ZT_E_SPACE;
}

int zt_dict_add_text(struct zt_wr *w, const char *key, const char *text)
{
    return zt_dict_add(w, key, text, strlen(text));
}

static int add_hex(struct zt_wr *w, const char *key, uint64_t v, unsigned bytes)
{
    uint8_t raw[8];
    char text[17];
    zt_put64(raw, v);
    return zt_dict_add_text(w, key, zt_hex_encode(raw + 8 - bytes, bytes, text));
}

int zt_dict_add_u64(struct zt_wr *w, const char *key, uint64_t v)
{
    return add_hex(w, key, v, 8);
}

int zt_dict_add_i64(struct zt_wr *w, const char *key, int64_t v)
{
    return add_hex(w, key, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 8);
}

int zt_dict_add_bool(struct zt_wr *w, const char *key, bool v)
{
    return zt_dict_add_text(w, key, v ? "1" : "0");
}

int zt_dict_add_addr(struct zt_wr *w, const char *key, uint64_t addr)
{
    return add_hex(w, key, addr, 5);
}
