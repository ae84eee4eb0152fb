#include "base/drop.h"

#include <stddef.h>

static const struct {
    const char *name, *text;
} table[] = {
#define X(name, text) {#name, text},
    ZT_DROP_TABLE(X)
#undef X
};

_Static_assert(sizeof table / sizeof table[0] == ZT_DROP_COUNT, "one row per reason");

const char *zt_drop_name(enum zt_drop d)
{
    return (unsigned)d < ZT_DROP_COUNT ? table[d].name : "?";
}

const char *zt_drop_text(enum zt_drop d)
{
    return (unsigned)d < ZT_DROP_COUNT ? table[d].text : "?";
}
