#include "base/err.h"

const char *zt_err_name(int code)
{
    switch (code) {
    case ZT_OK:
        return "ZT_OK";
#define X(name, text)                                                                              \
    case ZT_E_##name:                                                                              \
        return "ZT_E_" #name;
        ZT_ERR_TABLE(X)
#undef X
    default:
        return "ZT_E_?";
    }
}

const char *zt_err_text(int code)
{
    switch (code) {
    case ZT_OK:
        return "success";
#define X(name, text)                                                                              \
    case ZT_E_##name:                                                                              \
        return text;
        ZT_ERR_TABLE(X)
#undef X
    default:
        return "unknown error";
    }
}
