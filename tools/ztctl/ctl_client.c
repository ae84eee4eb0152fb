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

static int send_command(int fd, const char *text)
{
    struct zt_ctl_req req;
    size_t n = strlen(text);
    if (n > sizeof req.data)
        return E2BIG;
    memset(&req, 0, sizeof req);
    req.version = ZT_CTL_VERSION;
    req.type = ZT_CTL_COMMAND;
    req.ndata = (uint32_t)n;
    memcpy(req.data, text, n);
    if (send(fd, &req, offsetof(struct zt_ctl_req, data) + n, MSG_NOSIGNAL) < 0)
        return errno == EAGAIN ? ETIMEDOUT : errno;
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

int zc_command_on(int fd, const char *text, json_t **out, char *msg, size_t cap)
{
    char *doc = NULL;
    size_t n = 0;
    *out = NULL;
    msg[0] = '\0';
    int err = send_command(fd, text);
    if (err == 0)
        err = receive_answer(fd, &doc, &n);
    close(fd);
    if (err != 0 && doc != NULL)
        snprintf(msg, cap, "%s", doc);
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
            "start it with: ztctl -H %s up\n",
            zc->cmd, zc->home, zc->home);
    return ZC_NO_NODE;
}

int zc_command(const struct zc *zc, const char *text, json_t **out)
{
    char msg[1024];
    int fd = zc_connect(zc->home);
    *out = NULL;
    if (fd < 0 && nobody_there(errno))
        return zc_no_node(zc);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return zc_fail(zc, "the node in %s belongs to another user", zc->home);
    if (fd < 0)
        return zc_fail(zc, "cannot reach the node in %s: %s", zc->home, strerror(errno));
    int err = zc_command_on(fd, text, out, msg, sizeof msg);
    if (err == 0)
        return ZC_OK;
    if (msg[0] != '\0')
        return zc_fail(zc, "%s", msg);
    if (err == EPROTO)
        return zc_fail(zc, "the node's answer is not understood: ztctl and ztd of one version?");
    if (err == ETIMEDOUT)
        return zc_fail(zc, "the node in %s did not answer for %d s", zc->home, ANSWER_S);
    return zc_fail(zc, "the node refused: %s", strerror(err));
}
