/* The local API over HTTP: the transport. Who may ask is guard.c's, what is answered the node's
 * (node/api.h).
 *
 * One thread serves three listeners (libmicrohttpd daemons that are driven from outside):
 * 127.0.0.1 and ::1 on the node's port (every address when local.conf's allowManagementFrom lets
 * others in), and api.sock in the home. A request is
 *
 *   headers --refused here--> answered
 *      | allowed
 *   body, collected up to ZTD_BODY_MAX
 *      | complete
 *   asked: the connection is suspended, the node's loop runs the call
 *      | done, on a thread of the node: answer kept, connection resumed
 *   answered
 *
 * so no thread ever waits for another. The end of the node answers all calls, which is why this is
 * stopped after it.
 *
 * In process rather than over the control socket: that would be the same bytes once more, and a
 * second thread or state machine to wait for them.
 *
 * Bounds: CONNECTIONS at a time and listener, HEADER_MAX bytes of header, ZTD_BODY_MAX of body,
 * IDLE_S of silence, REQUEST_S for one request, however slowly it trickles in. */
#include "ztd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if MHD_VERSION < 0x00097002
#define MHD_Result int
#endif

#define CONNECTIONS 64
#define HEADER_MAX 16384
#define DISCARD_MAX (4 * ZTD_BODY_MAX)
#define IDLE_S 10
#define REQUEST_S 30
#define LISTENERS 3

/* One connection: since when it owes us a request. */
struct line {
    struct line *next, **at;
    int fd;
    bool asked; /* the node is thinking: not the client's fault */
    int64_t since_ms;
};

/* One request. */
struct call {
    struct ztd_http *h;
    struct MHD_Connection *connection;
    struct line *line;
    char *body;
    size_t nbody;
    bool too_large, asked;
    /* the answer; written by the node's thread before it resumes the connection */
    int status;
    const char *type;
    char *text;
    size_t ntext;
};

struct ztd_http {
    struct zts_service *service;
    char home[PATH_MAX];
    struct ztd_guard guard;
    struct MHD_Daemon *daemons[LISTENERS];
    int epolls[LISTENERS];
    unsigned ndaemons;
    struct line *lines;
    bool
        closed; /* a connection went: a daemon at its limit listens again only when run once more */
    int wake;
    atomic_bool ending;
    atomic_uint waiting; /* calls that the node has not answered */
    pthread_t thread;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void wake(const struct ztd_http *h)
{
    uint64_t one = 1;
    (void)!write(h->wake, &one, sizeof one); /* fails only when it is awake */
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static enum MHD_Result send_bytes(struct MHD_Connection *c, int status, const char *type,
                                  const void *p, size_t n)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(n, (void *)(uintptr_t)p, MHD_RESPMEM_MUST_COPY);
    if (r == NULL)
        return MHD_NO;
    if (type != NULL)
        MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    enum MHD_Result ok = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result send_error(struct MHD_Connection *c, int status, const char *text)
{
    char json[256];
    int n = snprintf(json, sizeof json, "{\"error\":%d,\"description\":\"%s\"}", status, text);
    return send_bytes(c, status, "application/json", json, (size_t)n);
}

static enum MHD_Result send_answer(struct call *k)
{
    struct MHD_Connection *c = k->connection;
    const char *f = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "jsonp");
    if (f == NULL || k->type == NULL || strcmp(k->type, "application/json") != 0)
        return send_bytes(c, k->status, k->type, k->text, k->ntext);
    const char *body = k->text;
    if (k->status == 404 && strcmp(body, "{}") == 0)
        body = "null";
    char *text = NULL;
    int n = asprintf(&text, "%s(%s);", f, body);
    if (n < 0)
        return MHD_NO;
    enum MHD_Result ok = send_bytes(c, k->status, "application/javascript", text, (size_t)n);
    free(text);
    return ok;
}

/* ---- one request -------------------------------------------------------------------------------
 */

static void answered(void *arg, int status, const char *type, const char *body, size_t n)
{
    struct call *k = arg;
    struct ztd_http *h = k->h;
    k->status = status;
    k->type = type; /* static text */
    k->text = malloc(n + 1);
    if (k->text != NULL) {
        memcpy(k->text, body, n);
        k->text[n] = 0;
        k->ntext = n;
    }
    MHD_resume_connection(k->connection); /* k may be gone after this */
    wake(h);                          /* a daemon that is driven from outside isn't woken by it */
    atomic_fetch_sub(&h->waiting, 1); /* and this may be h's end */
}

/* A body of unknown length that turns out too large is read on for a while, so that the client
 * hears why. */
static void collect(struct call *k, const char *p, size_t n)
{
    k->too_large = k->too_large || n > ZTD_BODY_MAX - k->nbody;
    char *body = k->too_large ? NULL : realloc(k->body, k->nbody + n);
    if (body == NULL) {
        k->too_large = true;
    } else {
        memcpy(body + k->nbody, p, n);
        k->body = body;
    }
    k->nbody += n;
}

static enum MHD_Result ask(struct call *k, const char *method, const char *path)
{
    k->asked = k->line->asked = true;
    atomic_fetch_add(&k->h->waiting, 1);
    MHD_suspend_connection(k->connection);
    if (!atomic_load(&k->h->ending) &&
        zts_service_call(k->h->service, method, path, k->body, k->nbody, answered, k) == 0)
        return MHD_YES;
    static const char ending[] = "{\"error\":503,\"description\":\"the node is not running\"}";
    answered(k, 503, "application/json", ending, sizeof ending - 1);
    return MHD_YES;
}

/* Everything that can be said from the headers alone; *ok is what MHD wants to hear. */
static bool refused(struct call *k, const char *path, enum MHD_Result *ok)
{
    const char *why;
    int status = ztd_guard_check(&k->h->guard, k->connection, path, &why);
    if (status == 0)
        return false;
    *ok = why != NULL ? send_error(k->connection, status, why)
                      : send_bytes(k->connection, status, "application/json", "{}", 2);
    return true;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *ndata, void **state)
{
    struct call *k = *state;
    enum MHD_Result ok;
    (void)version;
    if (k == NULL) {
        k = *state = calloc(1, sizeof *k);
        if (k == NULL)
            return MHD_NO;
        k->h = user;
        k->connection = c;
        k->line = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
        return refused(k, path, &ok) ? ok : MHD_YES;
    }
    if (k->line == NULL)
        return MHD_NO;
    if (*ndata > 0) {
        collect(k, data, *ndata);
        *ndata = 0;
        return k->nbody <= DISCARD_MAX ? MHD_YES : MHD_NO;
    }
    if (k->too_large)
        return send_error(c, 413, "the body is too large");
    if (!k->asked)
        return ask(k, method, path);
    k->line->asked = false;
    k->line->since_ms = now_ms();
    return k->text != NULL ? send_answer(k) : send_error(c, 500, "out of memory");
}

static void on_completed(void *user, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct call *k = *state;
    (void)user, (void)c, (void)why;
    if (k == NULL)
        return;
    if (k->line != NULL) {
        k->line->asked = false;
        k->line->since_ms = now_ms();
    }
    free(k->body);
    free(k->text);
    free(k);
    *state = NULL;
}

/* ---- connections -------------------------------------------------------------------------------
 */

static void on_connection(void *user, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct ztd_http *h = user;
    struct line *l = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        l = *context = calloc(1, sizeof *l);
        if (l == NULL)
            return;
        l->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        l->since_ms = now_ms();
        l->next = h->lines;
        l->at = &h->lines;
        if (l->next != NULL)
            l->next->at = &l->next;
        h->lines = l;
    } else if (l != NULL) {
        h->closed = true;
        *l->at = l->next;
        if (l->next != NULL)
            l->next->at = l->at;
        free(l);
        *context = NULL;
    }
}

/* Whoever takes too long over one request is cut off: the library's own limit knows only silence.
 * Returns ms until the next look, -1 with nobody there. */
static int cut_off(struct ztd_http *h)
{
    int64_t now = now_ms(), wait = -1;
    for (struct line *l = h->lines; l != NULL; l = l->next) {
        int64_t left = l->since_ms + REQUEST_S * 1000 - now;
        if (l->asked)
            continue;
        if (left <= 0)
            (void)shutdown(l->fd, SHUT_RDWR);
        else if (wait < 0 || left < wait)
            wait = left;
    }
    return (int)wait;
}

static int soonest(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static void *serve(void *arg)
{
    struct ztd_http *h = arg;
    struct pollfd p[LISTENERS + 1];
    uint64_t count;
    pthread_setname_np(pthread_self(), "http");
    for (;;) {
        bool ending = atomic_load(&h->ending);
        if (ending && atomic_load(&h->waiting) == 0)
            break;
        int wait = ending ? 1 : cut_off(h); /* the last one's wake comes before its end */
        if (h->closed)
            wait = 0;
        h->closed = false;
        for (unsigned i = 0; i < h->ndaemons; i++) {
            MHD_UNSIGNED_LONG_LONG ms;
            if (MHD_get_timeout(h->daemons[i], &ms) == MHD_YES)
                wait = soonest(wait, ms > INT_MAX ? INT_MAX : (int)ms);
            p[i] = (struct pollfd){.fd = h->epolls[i], .events = POLLIN};
        }
        p[h->ndaemons] = (struct pollfd){.fd = h->wake, .events = POLLIN};
        if (poll(p, h->ndaemons + 1, wait) < 0 && errno != EINTR)
            break;
        if (p[h->ndaemons].revents != 0)
            (void)!read(h->wake, &count, sizeof count);
        for (unsigned i = 0; i < h->ndaemons; i++)
            MHD_run(h->daemons[i]);
    }
    return NULL;
}

/* ---- listening ---------------------------------------------------------------------------------
 */

static size_t as_it_is(void *user, struct MHD_Connection *c, char *text)
{
    (void)user, (void)c;
    return strlen(text); /* our paths need no escapes, and %00 or %2f would only hide something */
}

static void to_log(void *user, const char *fmt, va_list ap)
{
    char text[512];
    (void)user;
    int n = vsnprintf(text, sizeof text, fmt, ap);
    for (; n > 0 && n < (int)sizeof text && text[n - 1] == '\n'; n--)
        text[n - 1] = 0;
    ztd_say(ZTS_SERVICE_DEBUG, "http: %s", text);
}

/* Takes the descriptor over. */
static void add_listener(struct ztd_http *h, int fd)
{
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h,
        MHD_OPTION_EXTERNAL_LOGGER, to_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_MAX,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        h, MHD_OPTION_UNESCAPE_CALLBACK, as_it_is, NULL, MHD_OPTION_END);
    if (d == NULL) {
        close(fd);
        ztd_say(ZTS_SERVICE_WARNING, "http: cannot serve: %s", strerror(errno));
        return;
    }
    h->epolls[h->ndaemons] = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    h->daemons[h->ndaemons++] = d;
}

static int listen_on(const struct sockaddr *sa, socklen_t len, mode_t mode)
{
    int one = 1, fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (sa->sa_family == AF_UNIX)
        (void)fchmod(fd, mode); /* before bind: the file is made with it */
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (sa->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, sa, len) == 0 && listen(fd, 128) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in sin = {0};
    socklen_t len = sizeof sin;
    return getsockname(fd, (struct sockaddr *)&sin, &len) == 0 ? ntohs(sin.sin_port) : 0;
}

/* Loopback only, unless local.conf lets others in. The port is the node's, or any free one while
 * somebody else has that: the file zerotier-one.port says which. 0 when there is none at all. */
static uint16_t listen_tcp(struct ztd_http *h, uint16_t port, bool everywhere)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(everywhere ? INADDR_ANY : INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_addr = everywhere ? in6addr_any : in6addr_loopback};
    int fd = listen_on((struct sockaddr *)&v4, sizeof v4, 0);
    if (fd < 0 && errno == EADDRINUSE) {
        v4.sin_port = 0;
        fd = listen_on((struct sockaddr *)&v4, sizeof v4, 0);
    }
    if (fd < 0) {
        ztd_say(ZTS_SERVICE_WARNING, "http: TCP port %u: %s; the local API is on %s/api.sock only",
                port, strerror(errno), h->home);
        return 0;
    }
    uint16_t got = port_of(fd);
    if (got != port)
        ztd_say(ZTS_SERVICE_NOTICE, "http: TCP port %u is taken; the local API is on %u", port, got);
    add_listener(h, fd);
    v6.sin6_port = htons(got);
    fd = listen_on((struct sockaddr *)&v6, sizeof v6, 0);
    if (fd >= 0) /* a machine without IPv6 is fine */
        add_listener(h, fd);
    return got;
}

static void listen_unix(struct ztd_http *h)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    char path[PATH_MAX + 16];
    int dir = open(h->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/api.sock", h->home);
    if (snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path) >= (int)sizeof sun.sun_path)
        snprintf(sun.sun_path, sizeof sun.sun_path, "/proc/self/fd/%d/api.sock", dir);
    (void)unlink(path); /* of an earlier node: we hold the home's lock */
    int fd = listen_on((struct sockaddr *)&sun, sizeof sun, 0600);
    if (fd < 0)
        ztd_say(ZTS_SERVICE_WARNING, "http: %s: %s", path, strerror(errno));
    else
        add_listener(h, fd);
    if (dir >= 0)
        close(dir);
}

/* ---- files -------------------------------------------------------------------------------------
 */

/* Where clients find the port; not there while we have none, so that nobody sends the token to
 * whoever has it. */
static void write_port(const struct ztd_http *h, uint16_t port)
{
    char path[PATH_MAX + 32], tmp[PATH_MAX + 40];
    snprintf(path, sizeof path, "%s/zerotier-one.port", h->home);
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    (void)unlink(path);
    FILE *f = port != 0 ? fopen(tmp, "we") : NULL;
    if (f == NULL)
        return;
    bool ok = fprintf(f, "%u", port) > 0;
    if (fclose(f) != 0 || !ok || rename(tmp, path) != 0)
        ztd_say(ZTS_SERVICE_WARNING, "http: %s: %s", path, strerror(errno));
}

/* ---- life --------------------------------------------------------------------------------------
 */

struct ztd_http *ztd_http_start(struct zts_service *s, const struct zts_service_up *info)
{
    struct ztd_http *h = calloc(1, sizeof *h);
    if (h == NULL || strlen(info->home) >= sizeof h->home) {
        free(h);
        return NULL;
    }
    h->service = s;
    strcpy(h->home, info->home);
    h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool has_token = ztd_guard_init(&h->guard, s, h->home);
    if (h->wake >= 0 && has_token) {
        write_port(h, listen_tcp(h, info->port, info->has_managers));
        listen_unix(h);
    }
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    int err = h->ndaemons > 0 ? pthread_create(&h->thread, NULL, serve, h) : -1;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (err == 0)
        return h;
    for (unsigned i = 0; i < h->ndaemons; i++)
        MHD_stop_daemon(h->daemons[i]);
    if (h->wake >= 0)
        close(h->wake);
    free(h);
    return NULL;
}

void ztd_http_stop(struct ztd_http *h)
{
    char path[PATH_MAX + 16];
    if (h == NULL)
        return;
    atomic_store(&h->ending, true);
    wake(h);
    pthread_join(h->thread, NULL);
    for (unsigned i = 0; i < h->ndaemons; i++) {
        MHD_run(h->daemons[i]); /* takes note of what was resumed last */
        MHD_stop_daemon(h->daemons[i]);
    }
    snprintf(path, sizeof path, "%s/api.sock", h->home);
    (void)unlink(path);
    close(h->wake);
    free(h);
}
