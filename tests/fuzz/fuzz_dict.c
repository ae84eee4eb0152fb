/* Dictionaries: looking up in any text; any value that is written comes back. */
#include "fuzz.h"

#include <string.h>

#include "wire/dict.h"

#define LONGEST 16384

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static uint8_t value[LONGEST + 1], text[2 * LONGEST + 16];
    struct zt_wr w = zt_wr(text, sizeof text);

    if (n > LONGEST)
        return 0;
    int len = zt_dict_get(p, n, "k", value, sizeof value);
    PROMISE(len <= (int)n && (len < 0 || value[len] == 0));
    int cut = zt_dict_get(p, n, "k", value, 4);
    PROMISE(cut == (len < 3 ? len : 3));
    (void)zt_dict_u64(p, n, "k", 1);
    (void)zt_dict_i64(p, n, "k", 1);
    (void)zt_dict_bool(p, n, "k", true);

    PROMISE(zt_dict_add_u64(&w, "first", n) == 0 && zt_dict_add(&w, "k", p, n) == 0);
    len = zt_dict_get(text, w.n, "k", value, sizeof value);
    PROMISE(len == (int)n && memcmp(value, p, n) == 0);
    PROMISE(zt_dict_u64(text, w.n, "first", 0) == n);
    return 0;
}
