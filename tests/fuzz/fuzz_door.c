/* A local client that may do anything: requests at the control socket, and what it writes into the
 * descriptors that it gets, the header of datagrams above all. A loop with door, proxy and stack
 * runs all the time; each input is one client's life, and afterwards nothing of it may be left.
 * Records of one kind byte, two length bytes and so many bytes:
 *   0  a message to the door as it is
 *   1  a request in short form: type, stype, which socket, addresses, value, level, name, data
 *   2  a message into the last descriptor as it is
 *   3  a datagram in short form: address, tos, ttl, and the payload
 *   4  read what is there, take one connection
 *   5  close a descriptor (the first length byte chooses) */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../unit/node/env.h"
#include "base/buf.h"
#include "node/door.h"

#define RECORDS 24
#define FDS 16

static struct env env;
static struct zt_door *door;
static char home[64];
static struct {
    int fd;
    uint64_t id;
} held[FDS];
static unsigned nheld;

static void command(void *user, const char *text, bool is_owner, struct zt_door_reply *to)
{
    zt_door_reply(to, 0, text, strlen(text) % 70000);
}

static void open_door(struct env *e)
{
    struct zt_door_config cfg = {
        .loop = e->loop, .proxy = e->proxy, .home = home, .command = command};
    PROMISE(zt_door_new(&cfg, &door) == 0);
}

static void close_door(struct env *e)
{
    zt_door_free(door);
}

static void finish(void)
{
    env_stop(&env);
    char path[80];
    snprintf(path, sizeof path, "%s/control.sock", home);
    unlink(path);
    rmdir(home);
}

static void begin(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(home, sizeof home, "%s/fuzz-door-XXXXXX", tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    PROMISE(mkdtemp(home) != NULL);
    env.on_init = open_door;
    env.on_fini = close_door;
    env_start(&env);
    atexit(finish);
}

static int knock(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/control.sock", home);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    PROMISE(fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0);
    return fd;
}

static void keep(int fd, uint64_t id)
{
    if (nheld == FDS) {
        close(fd);
        return;
    }
    held[nheld].fd = fd;
    held[nheld++].id = id;
}

/* One message, with the descriptor that may come along; -1: none within the time, 0: closed. */
static ssize_t get(int fd, void *p, size_t cap, int wait_ms, int *got)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(4 * sizeof(int))];
    } c;
    struct iovec iov = {p, cap};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    struct pollfd pf = {.fd = fd, .events = POLLIN};
    *got = -1;
    if (wait_ms > 0 && TEMP_FAILURE_RETRY(poll(&pf, 1, wait_ms)) <= 0) /* libFuzzer has an alarm clock */
        return -1;
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *h = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (h != NULL && h->cmsg_type == SCM_RIGHTS) {
        PROMISE(h->cmsg_len == CMSG_LEN(sizeof(int)));
        memcpy(got, CMSG_DATA(h), sizeof *got);
    }
    return n;
}

static void ask(const void *p, size_t n)
{
    static struct {
        struct zt_ctl_rep r;
        uint8_t data[ZT_CTL_REPLY_DATA];
    } rep;
    const uint8_t *q = p;
    int fd = knock(), got;
    ssize_t len;
    const bool quiet = n >= 2 && (q[1] == ZT_CTL_NOTE || q[1] == ZT_CTL_MORE); /* type */
    if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n) {
        close(fd);
        return;
    }
    /* Such a connect is answered when it has ended, which no clock brings about here, or at this word. */
    const struct zt_ctl_req give = {
        .version = ZT_CTL_VERSION, .type = ZT_CTL_NOTE, .value = ZT_NOTE_GIVE};
    struct zt_ctl_req had = {0};
    memcpy(&had, p, n < sizeof had ? n : sizeof had);
    if (had.type == ZT_CTL_CONNECT && had.value == 1)
        (void)send(fd, &give, sizeof give, MSG_NOSIGNAL);
    do {
        len = get(fd, &rep, sizeof rep, quiet ? 1 : 5000, &got);
        PROMISE(quiet || n == 0 || len >= (ssize_t)sizeof rep.r);
        if (len < (ssize_t)sizeof rep.r)
            break;
        PROMISE(rep.r.version == ZT_CTL_VERSION && rep.r.err >= 0);
        PROMISE((size_t)len == sizeof rep.r + rep.r.ndata);
        if (got >= 0 && rep.r.type == ZT_CTL_HELLO)
            close(got);
        else if (got >= 0)
            keep(got, rep.r.id);
    } while (rep.r.more);
    close(fd);
}

static struct zt_ctl_addr address(unsigned how)
{
    static const char *const ip4[] = {"10.1.0.1", "10.1.0.2", "10.1.0.3", "224.0.0.5", "0.0.0.0",
                                      "127.0.0.1", "10.1.0.255", "192.0.2.1"};
    static const char *const ip6[] = {"fd00:1::1", "fd00:1::2", "fd00:1::3", "ff02::5"};
    static const uint16_t ports[] = {7000, 7001, 0, 53};
    if (how % 13 == 12)
        return (struct zt_ctl_addr){.family = (uint8_t)(how >> 4)};
    const uint16_t port = ports[how >> 6];
    return how % 13 < 8 ? env_addr4(ip4[how % 13], port) : env_addr6(ip6[how % 13 - 8], port);
}

static void request(const uint8_t *p, size_t n)
{
    struct zt_ctl_req q = {.version = ZT_CTL_VERSION};
    if (n < 12)
        return;
    q.type = p[0] % 14;
    q.stype = p[1] & 1 ? SOCK_STREAM : SOCK_DGRAM;
    q.family = p[1] & 2 ? AF_INET6 : AF_INET;
    q.nopts = p[1] >> 4 & 3;
    q.id = p[2] == 0 || nheld == 0 ? 0 : held[p[2] % nheld].id;
    q.local = address(p[3]);
    q.remote = address(p[4]);
    q.value = (int8_t)p[5];
    q.level = (p[6] & 0x80) != 0 ? ZT_CTL_OPT_ALL : p[6];
    q.name = p[7];
    for (unsigned i = 0; i < q.nopts; i++)
        q.opts[i] = (struct zt_ctl_opt){p[8], p[9] + (int)i, zt_be16(p + 10)};
    q.ndata = (uint32_t)(n - 12 < ZT_CTL_DATA ? n - 12 : ZT_CTL_DATA);
    memcpy(q.data, p + 12, q.ndata);
    ask(&q, sizeof q);
}

static void datagram(const uint8_t *p, size_t n)
{
    static struct {
        struct zt_ctl_dgram h;
        uint8_t p[65536];
    } d;
    if (n < 4 || nheld == 0)
        return;
    d.h = (struct zt_ctl_dgram){.type = p[0] & 3, .tos = p[1], .ttl = p[2], .remote = address(p[3])};
    memcpy(d.p, p + 4, n - 4);
    (void)send(held[nheld - 1].fd, &d, sizeof d.h + n - 4, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Asking goes through the loop, which sees to its descriptors between two questions. */
static unsigned in_use(void)
{
    struct zt_proxy_counts c;
    env_counts(&env, &c);
    return c.tcp + c.listeners + c.udp;
}

static void take_what_is_there(void)
{
    static uint8_t p[70000];
    (void)in_use();
    (void)in_use();
    for (unsigned i = 0, n = nheld; i < n; i++)
        for (int k = 0; k < 4; k++) {
            int got;
            ssize_t len = get(held[i].fd, p, sizeof p, 0, &got);
            if (got >= 0)
                keep(got, len == sizeof(struct zt_ctl_accept) ? zt_be64(p) : 0);
            if (len <= 0)
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (door == NULL)
        begin();
    if (n > 30000)
        return 0;
    size_t at = 0;
    for (int i = 0; i < RECORDS && n - at >= 3; i++) {
        const unsigned kind = p[at] % 6;
        size_t len = zt_be16(p + at + 1);
        at += 3;
        if (kind == 4) {
            take_what_is_there();
            continue;
        }
        if (kind == 5) {
            if (nheld > 0) {
                unsigned k = (unsigned)len % nheld;
                close(held[k].fd);
                held[k] = held[--nheld];
            }
            continue;
        }
        if (len > n - at)
            len = n - at;
        const uint8_t *d = p + at;
        if (kind == 0)
            ask(d, len);
        else if (kind == 1)
            request(d, len);
        else if (kind == 2 && nheld > 0)
            (void)send(held[nheld - 1].fd, d, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        else if (kind == 3)
            datagram(d, len);
        at += len;
    }
    while (nheld > 0)
        close(held[--nheld].fd);
    /* Connections end when their last words are answered, or when the clock says so. */
    for (int i = 0; in_use() > 0; i++) {
        PROMISE(i < 100000);
        if (i % 8 == 7)
            env_jump(&env, 60000);
    }
    return 0;
}
