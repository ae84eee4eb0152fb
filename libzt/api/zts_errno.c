/* The one place where internal codes become public ones. */
#include <errno.h>
#include <string.h>

#include "api/zts_priv.h"

/* zts_errno has Linux's numbers whatever the host; on Linux they are the host's. */
_Static_assert(ZTS_ECONNREFUSED == ECONNREFUSED && ZTS_EAGAIN == EAGAIN &&
                   ZTS_EINPROGRESS == EINPROGRESS && ZTS_EMEDIUMTYPE == EMEDIUMTYPE,
               "host errno differs from Linux: zts_fail must translate");

static _Thread_local int last_error;

int *zts_errno_location(void)
{
    return &last_error;
}

const char *zts_strerror(int error)
{
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

int zts_fail(int err)
{
    last_error = err != 0 ? err : EIO; /* a failure always has a number */
    return ZTS_ERR_SOCKET;
}

int zts_control_error(int code)
{
    switch (code) {
    case 0:
        return ZTS_ERR_OK;
    case ZT_E_INVAL:
        return ZTS_ERR_ARG;
    case ZT_E_STATE:
    case ZT_E_TIMEOUT:
        return ZTS_ERR_SERVICE;
    case ZT_E_NOENT:
        return ZTS_ERR_NO_RESULT;
    default:
        return ZTS_ERR_GENERAL;
    }
}

int zts_socket_error(int code)
{
    switch (code) {
    case 0:
        return ZTS_ERR_OK;
    case ZT_E_STATE:
    case ZT_E_TIMEOUT:
        return ZTS_ERR_SERVICE;
    case ZT_E_NOMEM:
        return zts_fail(ENOMEM);
    case ZT_E_LIMIT:
        return zts_fail(ENFILE);
    case ZT_E_INVAL:
        return zts_fail(EINVAL);
    default:
        return zts_fail(EIO);
    }
}
