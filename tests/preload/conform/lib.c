#include "lib.h"

struct sockaddr_storage base;
socklen_t base_len;
int family;
const char *self_path, *self_addr;

/* ---- telling ---- */

const char *err_name(int e)
{
    return e ? strerrorname_np(e) : "0";
}

/* "what = value [errno]" */
long say(const char *what, long r)
{
    int e = errno;
    if (r < 0)
        printf("%s = %ld %s\n", what, r, err_name(e));
    else
        printf("%s = %ld\n", what, r);
    errno = e;
    return r;
}

/* Until what was done has had its effects. On a machine that does much else the node may not have run in so
 * short a time: it answers a request in between. */
void settle(void)
{
    for (int i = 0; i < 2; i++) {
        usleep(30000);
        int e = errno, u = socket(family, SOCK_DGRAM, 0);
        if (u >= 0) {
            bind(u, addr(0), base_len);
            close(u);
        }
        errno = e;
    }
}

void events(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
    int n = poll(&p, 1, 0);
    printf("poll %s = %d:%s%s%s%s%s\n", what, n, p.revents & POLLIN ? " IN" : "",
           p.revents & POLLOUT ? " OUT" : "", p.revents & POLLRDHUP ? " RDHUP" : "",
           p.revents & POLLHUP ? " HUP" : "", p.revents & POLLERR ? " ERR" : "");
}

void wait_for(int fd, short what)
{
    struct pollfd p = {fd, what, 0};
    if (poll(&p, 1, 30000) != 1)
        printf("waited in vain for %d\n", what);
}

void so_error(int fd)
{
    int v = -1;
    socklen_t n = sizeof v;
    int r = getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &n);
    printf("SO_ERROR = %d %s\n", r, err_name(v));
}

void option(int fd, const char *name, int level, int opt)
{
    int v = -12345;
    socklen_t n = sizeof v;
    int r = getsockopt(fd, level, opt, &v, &n);
    if (r < 0)
        printf("%s = -1 %s\n", name, err_name(errno));
    else
        printf("%s = %d (%d bytes)\n", name, v, (int)n);
}

/* ---- addresses ---- */

struct sockaddr *addr(int port)
{
    static _Thread_local struct sockaddr_storage ss[4];
    static _Thread_local int turn;
    struct sockaddr_storage *s = &ss[turn++ % 4];
    *s = base;
    if (family == AF_INET)
        ((struct sockaddr_in *)s)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)s)->sin6_port = htons((uint16_t)port);
    return (struct sockaddr *)s;
}

int port_of(const void *ss)
{
    const struct sockaddr *sa = ss;
    return sa->sa_family == AF_INET ? ntohs(((const struct sockaddr_in *)ss)->sin_port)
                                    : ntohs(((const struct sockaddr_in6 *)ss)->sin6_port);
}

/* Is it the address under test? Its port apart. */
const char *same(const struct sockaddr_storage *a, socklen_t len)
{
    if (len != base_len || a->ss_family != family)
        return "another family or length";
    if (family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
                       ((struct sockaddr_in *)&base)->sin_addr.s_addr
                   ? "the address"
                   : "another address";
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((struct sockaddr_in6 *)&base)->sin6_addr, 16)
               ? "another address"
               : "the address";
}

int bound_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    return getsockname(fd, (struct sockaddr *)&ss, &n) < 0 ? -1 : port_of(&ss);
}

void names(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    if (SAY(getsockname(fd, (struct sockaddr *)&a, &n)) == 0)
        printf("  is %s, port %s\n", same(&a, n), port_of(&a) ? "set" : "0");
    n = sizeof a;
    if (SAY(getpeername(fd, (struct sockaddr *)&a, &n)) == 0)
        printf("  is %s, port %s\n", same(&a, n), port_of(&a) ? "set" : "0");
}

/* ---- usual beginnings ---- */

int listener(int *port)
{
    int l = socket(family, SOCK_STREAM, 0), one = 1;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(l, addr(0), base_len) < 0 || listen(l, 16) < 0) {
        perror("listener");
        exit(1);
    }
    *port = bound_port(l);
    return l;
}

/* A port where nobody listens, nor will: it is bound for as long as this process lives. */
int closed_port(void)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, addr(0), base_len) < 0) {
        perror("closed_port");
        exit(1);
    }
    return bound_port(fd);
}

void pair_up(int *client, int *server)
{
    int port, l = listener(&port);
    *client = socket(family, SOCK_STREAM, 0);
    if (connect(*client, addr(port), base_len) < 0 || (*server = accept(l, NULL, NULL)) < 0) {
        perror("pair_up");
        exit(1);
    }
    close(l);
}

void nonblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void lingering_reset(int fd)
{
    struct linger lg = {1, 0};
    SAY(setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
    SAY(close(fd));
}
