/* The local API: what the reference service answers to HTTP on this machine, without the HTTP.
 * tools/ztd/http.c and the control socket (command "api") put their clients' requests in here; the
 * paths, names, types and statuses are those of 1.14.1 (vl2.md 10, tests/vectors/local-api.json).
 *
 * Who may ask is decided before: by the token of the HTTP side, by the owner of the control socket.
 * Loop thread only. */
#ifndef ZT_NODE_API_H
#define ZT_NODE_API_H

#include <stddef.h>

struct zt_node;

struct zt_api_request {
    const char *method; /* GET, HEAD (answered as GET), POST, PUT (as POST), DELETE */
    const char *path;   /* "/network/0123456789abcdef": no query, nothing to unescape */
    const char *body;   /* as it came; NULL when nbody is 0 */
    size_t nbody;
};

/* status: of HTTP. type: Content-Type, NULL when there is no body. body dies with the call. */
typedef void zt_api_done(void *arg, int status, const char *type, const char *body, size_t n);

/* Runs one request; r dies with the call. done is called exactly once, before or after the return:
 * on the loop thread, or on the keeper's while the node ends. */
void zt_api_call(struct zt_node *n, const struct zt_api_request *r, zt_api_done *done, void *arg);

#endif
