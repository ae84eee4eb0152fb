/* Error codes of everything below api/. One table makes the codes, their names and their
 * messages. Functions return 0 (or a length) or one of these negative codes. Translation to the
 * public ZTS_ERR_* and zts_errno happens in api/zts_errno.c and nowhere else. */
#ifndef ZT_BASE_ERR_H
#define ZT_BASE_ERR_H

#define ZT_ERR_TABLE(X)                                                                            \
    X(NOMEM, "out of memory")                                                                      \
    X(INVAL, "invalid argument")                                                                   \
    X(FORMAT, "malformed data")                                                                    \
    X(TRUNCATED, "data end too early")                                                             \
    X(SPACE, "buffer too small")                                                                   \
    X(CRYPTO, "cryptographic check failed")                                                        \
    X(NOENT, "not found")                                                                          \
    X(EXIST, "already exists")                                                                     \
    X(LIMIT, "limit reached")                                                                      \
    X(NOPATH, "no path to the peer yet")                                                           \
    X(BUSY, "busy")                                                                                \
    X(LOCKED, "home is in use by another node")                                                    \
    X(IO, "input/output error")                                                                    \
    X(PERM, "permission denied")                                                                   \
    X(PORT, "UDP port is taken")                                                                   \
    X(STATE, "not possible in this state")                                                         \
    X(TIMEOUT, "timed out")                                                                        \
    X(UNSUPPORTED, "not supported")

enum zt_err {
    ZT_OK = 0,
    ZT_E_FIRST_ = -200, /* codes count up from here; away from errno values */
#define X(name, text) ZT_E_##name,
    ZT_ERR_TABLE(X)
#undef X
    ZT_E_END_
};

/* "ZT_E_NOMEM" / "out of memory"; never NULL. */
const char *zt_err_name(int code);
const char *zt_err_text(int code);

#endif
