/* The one door to a running node: control.sock in its home (include/zt_control.h). One request, its
 * answer in one or more messages, close. Every wait has a limit: a node that hangs is reported as
 * such. */
#include "ztctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "zt_control.h"

#define ANSWER_S 10            /* longest silence of a node */
#define ANSWER_MAX (16u << 20) /* bytes of one document */

/* A home whose path is longer than a socket address is reached through /proc/self/fd. */
static int connect_in(int dir)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/" ZT_CTL_SOCKET, dir);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* Whoever made the socket could lie to us: only our own user's node, or root's, is believed. */
static bool is_trusted(int fd)
{
    struct ucred uc;
    socklen_t n = sizeof uc;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &n) != 0)
        return false;
    return geteuid() == 0 || uc.uid == 0 || uc.uid == geteuid();
}

int zc_connect(const char *home)
{
    int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    int fd = connect_in(dir), err = errno;
    close(dir);
    if (fd < 0) {
        errno = err;
        return -1;
    }
    if (!is_trusted(fd)) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    struct timeval tv = {.tv_sec = ANSWER_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    return fd;
}

static bool nobody_there(int err)
{
    return err == ENOENT || err == ECONNREFUSED || err == ENOTDIR;
}

/* In as many messages as it takes. */
static int send_command(int fd, const char *text)
{
    struct zt_ctl_req req;
    size_t n = strlen(text);
    memset(&req, 0, sizeof req);
    req.version = ZT_CTL_VERSION;
    do {
        size_t part = n < sizeof req.data ? n : sizeof req.data;
        req.type = part < n ? ZT_CTL_MORE : ZT_CTL_COMMAND;
        req.ndata = (uint32_t)part;
        memcpy(req.data, text, part);
        if (send(fd, &req, offsetof(struct zt_ctl_req, data) + part, MSG_NOSIGNAL) < 0)
            return errno == EAGAIN ? ETIMEDOUT : errno;
        text += part;
        n -= part;
    } while (n > 0);
    return 0;
}

/* Collects the document from all messages. Returns the err of the last one, or why there is none.
 */
static int receive_answer(int fd, char **out, size_t *nout)
{
    static union {
        struct zt_ctl_rep head;
        char bytes[sizeof(struct zt_ctl_rep) + ZT_CTL_REPLY_DATA];
    } m;
    char *doc = NULL;
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, &m, sizeof m, 0);
        int err = 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            err = errno == EAGAIN ? ETIMEDOUT : errno;
        else if (got == 0)
            err = ECONNRESET;
        else if ((size_t)got < sizeof m.head || m.head.version != ZT_CTL_VERSION ||
                 m.head.ndata != (size_t)got - sizeof m.head || n + m.head.ndata > ANSWER_MAX)
            err = EPROTO;
        if (err != 0) {
            free(doc);
            return err;
        }
        doc = zc_alloc(realloc(doc, n + m.head.ndata + 1));
        memcpy(doc + n, m.bytes + sizeof m.head, m.head.ndata);
        n += m.head.ndata;
        doc[n] = '\0';
        if (!m.head.more || m.head.err != 0)
            break;
    }
    *out = doc;
    *nout = n;
    return m.head.err;
}

/* One command over fd, which is closed: the text of the answer (malloc'd) or an errno, with the
 * node's message in msg. */
static int exchange(int fd, const char *text, char **doc, size_t *n, char *msg, size_t cap)
{
    *doc = NULL;
    msg[0] = '\0';
    int err = send_command(fd, text);
    if (err == 0 || err == EPIPE) /* refused before all was sent: the answer says why */
        err = receive_answer(fd, doc, n);
    close(fd);
    if (err != 0 && *doc != NULL)
        snprintf(msg, cap, "%s", *doc);
    if (err != 0) {
        free(*doc);
        *doc = NULL;
    }
    return err;
}

int zc_command_on(int fd, const char *text, json_t **out, char *msg, size_t cap)
{
    char *doc;
    size_t n = 0;
    *out = NULL;
    int err = exchange(fd, text, &doc, &n, msg, cap);
    if (err == 0) {
        *out = json_loadb(doc, n, JSON_DECODE_ANY, NULL);
        if (*out == NULL)
            err = EPROTO;
    }
    free(doc);
    return err;
}

int zc_command_quiet(const char *home, const char *text, json_t **out, char *msg, size_t cap)
{
    *out = NULL;
    msg[0] = '\0';
    int fd = zc_connect(home);
    return fd < 0 ? errno : zc_command_on(fd, text, out, msg, cap);
}

bool zc_is_running(const char *home)
{
    int fd = zc_connect(home);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

int zc_no_node(const struct zc *zc)
{
    fprintf(stderr,
            "ztctl %s: no node is running in %s\n"
            "start it with: %s up\n",
            zc->cmd, zc->home, zc_self(zc));
    return ZC_NO_NODE;
}

/* Connects, or says why not. */
static int connect_or_say(const struct zc *zc, int *fd)
{
    *fd = zc_connect(zc->home);
    if (*fd >= 0)
        return ZC_OK;
    if (nobody_there(errno))
        return zc_no_node(zc);
    if (errno == EACCES || errno == EPERM)
        return zc_fail(zc, "the node in %s belongs to another user; -H DIR names another home", zc->home);
    return zc_fail(zc, "cannot reach the node in %s: %s", zc->home, strerror(errno));
}

static int say_failure(const struct zc *zc, int err, const char *msg)
{
    if (msg[0] != '\0')
        return zc_fail(zc, "%s", msg);
    if (err == EPROTO)
        return zc_fail(zc, "the node's answer is not understood: ztctl and ztd of one version?");
    if (err == ETIMEDOUT)
        return zc_fail(zc, "the node in %s did not answer for %d s", zc->home, ANSWER_S);
    return zc_fail(zc, "the node refused: %s", strerror(err));
}

int zc_command(const struct zc *zc, const char *text, json_t **out)
{
    char msg[1024];
    int fd, code = connect_or_say(zc, &fd);
    *out = NULL;
    if (code != ZC_OK)
        return code;
    int err = zc_command_on(fd, text, out, msg, sizeof msg);
    return err == 0 ? ZC_OK : say_failure(zc, err, msg);
}

int zc_stream(const struct zc *zc, const char *text,
              bool (*fn)(void *user, const char *text, size_t n), void *user)
{
    static union {
        struct zt_ctl_rep head;
        char bytes[sizeof(struct zt_ctl_rep) + ZT_CTL_REPLY_DATA + 1];
    } m;
    int fd, code = connect_or_say(zc, &fd);
    if (code != ZC_OK)
        return code;
    int err = send_command(fd, text);
    /* Events may be hours apart. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0}, sizeof(struct timeval));
    while (err == 0) {
        ssize_t got = recv(fd, &m, sizeof m - 1, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            break;
        if (got < 0)
            err = errno;
        else if ((size_t)got < sizeof m.head || m.head.version != ZT_CTL_VERSION ||
                 m.head.ndata != (size_t)got - sizeof m.head)
            err = EPROTO;
        else
            err = m.head.err;
        if (got > 0)
            m.bytes[got] = '\0';
        if (err == 0 && !fn(user, m.bytes + sizeof m.head, m.head.ndata))
            break;
    }
    close(fd);
    return err == 0 ? ZC_OK : say_failure(zc, err, err != EPROTO && m.head.err == err ? m.bytes + sizeof m.head : "");
}

int zc_api_text(const struct zc *zc, const char *method, const char *path, const char *body,
                int *status, char **out)
{
    char msg[1024], *text, *doc, *end;
    size_t n = 0;
    int fd, code = connect_or_say(zc, &fd);
    *out = NULL;
    *status = 0;
    if (code != ZC_OK)
        return code;
    if (asprintf(&text, "api %s %s%s%s", method, path, body[0] != '\0' ? " " : "", body) < 0)
        zc_alloc(NULL);
    int err = exchange(fd, text, &doc, &n, msg, sizeof msg);
    free(text);
    if (err == 0 &&
        ((*status = (int)strtol(doc, &end, 10)) < 100 || (end = strchr(end, '\n')) == NULL))
        err = EPROTO;
    if (err == 0)
        *out = zc_alloc(strdup(end + 1));
    free(doc);
    return err == 0 ? ZC_OK : say_failure(zc, err, msg);
}

/* What an answer that isn't 200 says about itself. */
static int say_status(const struct zc *zc, int status, const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    const char *why = json_string_value(json_object_get(doc, "description"));
    int code = why != NULL ? zc_fail(zc, "%s", why) : zc_fail(zc, "the node refused: status %d", status);
    json_decref(doc);
    return code;
}

int zc_api(const struct zc *zc, const char *method, const char *path, const json_t *body,
           json_t **out)
{
    int status, code = zc_api_status(zc, method, path, body, &status, out);
    return code == ZC_OK && status == 404 ? zc_fail(zc, "the node has nothing at %s", path) : code;
}

int zc_api_status(const struct zc *zc, const char *method, const char *path, const json_t *body,
                  int *status, json_t **out)
{
    char *in = body != NULL ? zc_alloc(json_dumps(body, JSON_COMPACT)) : NULL, *text;
    int code = zc_api_text(zc, method, path, in != NULL ? in : "", status, &text);
    *out = NULL;
    free(in);
    if (code != ZC_OK)
        return code;
    if (*status != 200)
        code = *status == 404 ? ZC_OK : say_status(zc, *status, text);
    else if ((*out = json_loads(text, JSON_DECODE_ANY, NULL)) == NULL)
        code = say_failure(zc, EPROTO, "");
    free(text);
    return code;
}
