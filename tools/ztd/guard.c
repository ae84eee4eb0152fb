/* Who may ask the local API: decided from address, headers and query alone, before a body is read.
 *
 * Browsers. A page from anywhere may make a browser send requests to 127.0.0.1, and a name that
 * resolves to it makes the page same-origin with us. Against the first, what says that it comes
 * from another site is refused (Origin, Sec-Fetch-Site); against the second, a Host that is neither
 * localhost nor a literal address. The token is needed in any case. */
#include "ztd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define JSONP_MAX 64

static void read_token(const char *home, const char *name, char out[ZTD_TOKEN_MAX])
{
    char path[PATH_MAX + 32], text[ZTD_TOKEN_MAX];
    snprintf(path, sizeof path, "%s/%s", home, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    out[0] = 0;
    if (n <= 0) {
        ztd_say(ZTS_SERVICE_WARNING, "http: %s: %s", path, n < 0 ? strerror(errno) : "empty");
        return;
    }
    text[n] = 0;
    const char *from = text + strspn(text, " \t\r\n");
    memcpy(out, from, strcspn(from, " \t\r\n"));
    out[strcspn(from, " \t\r\n")] = 0;
}

bool ztd_guard_init(struct ztd_guard *g, struct zts_service *s, const char *home)
{
    g->service = s;
    read_token(home, "authtoken.secret", g->token);
    read_token(home, "metricstoken.secret", g->metrics_token);
    return g->token[0] != 0;
}

static const char *query(struct MHD_Connection *c, const char *key)
{
    return MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, key);
}

/* jsonp=f: the name of a function and nothing else, so that nobody puts a program into our answer.
 */
static bool is_function_name(const char *f)
{
    size_t n = strspn(f, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$.");
    return n > 0 && f[n] == 0 && n <= JSONP_MAX;
}

/* Takes as long for every guess of the right length. */
static bool same_secret(const char *given, const char *secret)
{
    size_t n = strlen(secret);
    unsigned char diff = 0;
    if (n == 0 || strlen(given) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)(((const volatile char *)given)[i] ^ secret[i]);
    return diff == 0;
}

/* The first one present counts: header, query, Bearer. */
static const char *token_of(struct MHD_Connection *c)
{
    const char *t = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-ZT1-Auth");
    if (t == NULL)
        t = query(c, "auth");
    if (t != NULL)
        return t;
    t = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    if (t == NULL || strncasecmp(t, "Bearer ", 7) != 0)
        return "";
    return t + 7 + strspn(t + 7, " ");
}

static bool starts(const char *path, const char *with)
{
    return strncmp(path, with, strlen(with)) == 0;
}

static bool has_token(const struct ztd_guard *g, struct MHD_Connection *c, const char *path)
{
    const char *t = token_of(c);
    if (strcmp(path, "/health") == 0 || starts(path, "/sso") || starts(path, "/app"))
        return true; /* as the reference has it; the last two don't exist */
    return same_secret(t, g->token) ||
           (strcmp(path, "/metrics") == 0 && same_secret(t, g->metrics_token));
}

/* "localhost", "127.0.0.1:9993", "[::1]:9993": a literal address can't be somebody's DNS name. */
static bool is_own_host(const char *host)
{
    char name[64];
    unsigned char ip[16];
    bool bracket = host[0] == '[';
    size_t n = strcspn(host + bracket, bracket ? "]" : ":");
    const char *rest = host + bracket + n + bracket; /* behind the name: "" or ":port" */
    if (n >= sizeof name || (bracket && host[1 + n] != ']') || (*rest != 0 && *rest != ':') ||
        rest[strspn(rest, ":0123456789")] != 0)
        return false;
    memcpy(name, host + bracket, n);
    name[n] = 0;
    if (bracket)
        return inet_pton(AF_INET6, name, ip) == 1;
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, ip) == 1;
}

/* NULL, or why a browser was probably made to send this. */
static const char *foreign(struct MHD_Connection *c, bool on_tcp)
{
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin");
    const char *site = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Sec-Fetch-Site");
    if (!on_tcp)
        return NULL; /* no browser speaks to a socket in a folder */
    /* A browser always sends one; the reference's own client doesn't, in spite of HTTP/1.1. */
    if (host != NULL && !is_own_host(host))
        return "Host is neither localhost nor an address";
    if (origin != NULL) {
        const char *at = strncasecmp(origin, "http://", 7) == 0 ? origin + 7 : NULL;
        if (at == NULL || host == NULL || strcasecmp(at, host) != 0)
            return "requests from other sites are refused";
    }
    if (site != NULL && strcasecmp(site, "same-origin") != 0 && strcasecmp(site, "none") != 0)
        return "requests from other sites are refused";
    return NULL;
}

static bool body_too_large(struct MHD_Connection *c)
{
    const char *n = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    return n != NULL && strtoull(n, NULL, 10) > ZTD_BODY_MAX;
}

int ztd_guard_check(const struct ztd_guard *g, struct MHD_Connection *c, const char *path,
                    const char **why)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *from = i != NULL ? i->client_addr : NULL;
    const char *f = query(c, "jsonp");
    *why = NULL;
    /* Before the token: nobody there may even try one. */
    if (from == NULL || (!zts_service_allows(g->service, from) && strcmp(path, "/metrics") != 0))
        return 401;
    if ((*why = foreign(c, from->sa_family != AF_UNIX)) != NULL)
        return 403;
    if (!has_token(g, c, path))
        return 401;
    if (f != NULL && !is_function_name(f)) {
        *why = "jsonp is not the name of a function";
        return 400;
    }
    if (body_too_large(c)) {
        *why = "the body is too large";
        return 413;
    }
    return 0;
}
