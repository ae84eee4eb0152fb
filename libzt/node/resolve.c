/* Names in the DNS domains of joined networks. The servers that a network's controller names are
 * asked over the virtual network itself, so that nobody outside sees the question. c-ares speaks
 * DNS; here are its sockets, virtual ones made by the requests that programs use, and its thread.
 *
 * Which names: those at or below the domain of a joined network, of the longest domain that fits,
 * when at least one of its servers is inside the network. A controller may so name its members, but
 * not take over the Internet: addresses outside the joined networks are left out of an answer, and
 * a domain of a single label ("com") counts only where the owner set allowDNS for that network.
 *
 * The thread is made by the first question and waits in poll between questions. A query belongs to
 * the loop, which lists it, but for the part that only the thread touches until it posts the end.
 */
#include "node/resolve.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ares.h>

#include "base/err.h"
#include "node/fork.h"
#include "node/node_priv.h"

#define NAME_MAX_TEXT 254
#define QUERIES 64 /* at once */
#define SOCKETS 16 /* of one query; c-ares needs one per server and transport */
#define TIMEOUT_MS 1000
#define TRIES 3

struct query {
    struct zt_list link;    /* loop: resolver.asked */
    struct zt_list working; /* thread: resolver.fresh, then its own list */
    struct zt_resolver *r;
    struct zt_post post;
    zt_resolve_done *done;
    void *arg;
    bool any_answer; /* allowDNS: addresses outside the networks too */

    /* the thread's from here on, until it posts the end */
    char name[NAME_MAX_TEXT];
    int family; /* AF_ */
    struct ares_addr_port_node servers[ZT_RESOLVE_SERVERS];
    unsigned nservers;
    ares_channel channel;
    struct socket {
        int fd; /* -1: free */
        bool dgram;
    } sockets[SOCKETS];
    bool over;
    int err;
    unsigned nfound;
    struct zt_ep found[ZT_RESOLVE_MAX];
};

struct zt_resolver {
    struct zt_node *n;
    struct zt_list asked; /* loop */
    unsigned nasked;

    pthread_mutex_t lock;
    bool has_thread, stop; /* under lock */
    struct zt_list fresh;  /* under lock: for the thread to begin with */
    pthread_t thread;
    int wake_fd;
};

/* ---- sockets of c-ares (thread) ----------------------------------------------------------------
 */

static struct socket *socket_of(struct query *q, int fd)
{
    for (unsigned i = 0; i < SOCKETS; i++)
        if (q->sockets[i].fd == fd)
            return &q->sockets[i];
    return NULL;
}

/* A placeholder: connect puts the virtual descriptor in its place. */
static ares_socket_t on_socket(int family, int type, int protocol, void *user)
{
    struct socket *s = socket_of(user, -1);
    if (s == NULL) {
        errno = EMFILE;
        return ARES_SOCKET_BAD;
    }
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return ARES_SOCKET_BAD;
    s->fd = zt_fd_own(fd);
    s->dgram = type == SOCK_DGRAM;
    return s->fd;
}

static int on_close(ares_socket_t fd, void *user)
{
    struct socket *s = socket_of(user, fd);
    if (s == NULL) {
        errno = EBADF;
        return -1;
    }
    s->fd = -1;
    zt_fd_close(fd);
    return 0;
}

static struct zt_ctl_addr ctl_addr(const struct sockaddr *sa)
{
    struct zt_ctl_addr a = {0};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        a.family = 4;
        a.port = ntohs(in.sin_port);
        memcpy(a.ip, &in.sin_addr, 4);
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        a.family = 6;
        a.port = ntohs(in6.sin6_port);
        memcpy(a.ip, &in6.sin6_addr, 16);
    }
    return a;
}

static int on_connect(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t len, void *user)
{
    struct query *q = user;
    struct socket *s = socket_of(q, fd);
    uint8_t data[ZT_CTL_REPLY_DATA];
    struct zt_ctl_rep rep = {0};
    struct zt_ctl_req req = {.version = ZT_CTL_VERSION,
                             .type = s->dgram ? ZT_CTL_UDP : ZT_CTL_CONNECT,
                             .stype = s->dgram ? SOCK_DGRAM : SOCK_STREAM,
                             .family = sa->sa_family,
                             .remote = ctl_addr(sa)};
    int fresh = -1;
    int err = zt_node_socket(q->r->n, &req, &rep, data, &fresh) != 0 ? ENETDOWN : rep.err;
    if (err == 0 && fresh < 0)
        err = EIO;
    if (err == 0 && (dup3(fresh, fd, O_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0))
        err = errno;
    if (fresh >= 0)
        close(fresh);
    if (err == 0 && !s->dgram)
        err = EINPROGRESS;
    errno = err;
    return err == 0 ? 0 : -1;
}

static void put_sockaddr(const struct zt_ctl_addr *a, struct sockaddr *sa, ares_socklen_t *len)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } u = {0};
    ares_socklen_t n = a->family == 4 ? sizeof u.in : sizeof u.in6;
    if (a->family == 4) {
        u.in.sin_family = AF_INET;
        u.in.sin_port = htons(a->port);
        memcpy(&u.in.sin_addr, a->ip, 4);
    } else {
        u.in6.sin6_family = AF_INET6;
        u.in6.sin6_port = htons(a->port);
        memcpy(&u.in6.sin6_addr, a->ip, 16);
    }
    memcpy(sa, &u, n < *len ? n : *len);
    *len = n;
}

static ares_ssize_t on_receive(ares_socket_t fd, void *buf, size_t n, int flags,
                               struct sockaddr *from, ares_socklen_t *fromlen, void *user)
{
    if (!socket_of(user, fd)->dgram)
        return recv(fd, buf, n, flags);
    struct zt_ctl_dgram head;
    struct iovec iov[2] = {{&head, sizeof head}, {buf, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t got = recvmsg(fd, &m, flags);
    if (got < 0)
        return -1;
    if ((size_t)got < sizeof head || head.type != ZT_DGRAM_DATA) {
        errno = (size_t)got < sizeof head ? ECONNRESET : head.err;
        return -1;
    }
    if (from != NULL)
        put_sockaddr(&head.remote, from, fromlen);
    return got - (ares_ssize_t)sizeof head;
}

static ares_ssize_t on_send(ares_socket_t fd, const struct iovec *data, int n, void *user)
{
    struct zt_ctl_dgram head = {.type = ZT_DGRAM_DATA}; /* connected: no destination */
    struct iovec iov[8] = {{&head, sizeof head}};
    if (n < 0 || n >= (int)(sizeof iov / sizeof *iov)) {
        errno = EMSGSIZE;
        return -1;
    }
    memcpy(iov + 1, data, (size_t)n * sizeof *data);
    bool dgram = socket_of(user, fd)->dgram;
    struct msghdr m = {.msg_iov = dgram ? iov : iov + 1, .msg_iovlen = (size_t)(dgram ? n + 1 : n)};
    ssize_t sent = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 || !dgram ? sent : sent - (ares_ssize_t)sizeof head;
}

static const struct ares_socket_functions virtual_sockets = {
    .asocket = on_socket,
    .aclose = on_close,
    .aconnect = on_connect,
    .arecvfrom = on_receive,
    .asendv = on_send,
};

/* ---- one query (thread) ------------------------------------------------------------------------
 */

static int err_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return ENOENT;
    case ARES_ENODATA:
        return ENODATA;
    case ARES_ENOMEM:
        return ENOMEM;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return ECANCELED;
    default:
        return EAGAIN;
    }
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct query *q = arg;
    q->over = true;
    q->err = err_of(status);
    for (struct ares_addrinfo_node *a = result != NULL ? result->nodes : NULL;
         a != NULL && q->nfound < ZT_RESOLVE_MAX; a = a->ai_next) {
        struct zt_ctl_addr c = ctl_addr(a->ai_addr);
        q->found[q->nfound++] = zt_ep_make(c.family, c.ip, 0);
    }
    if (result != NULL)
        ares_freeaddrinfo(result);
}

static void begin(struct query *q)
{
    struct ares_options o = {
        .flags = ARES_FLAG_NOSEARCH, .timeout = TIMEOUT_MS, .tries = TRIES, .lookups = (char *)"b"};
    int status = ares_init_options(&q->channel, &o,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_LOOKUPS | ARES_OPT_NOROTATE);
    if (status == ARES_SUCCESS) {
        ares_set_socket_functions(q->channel, &virtual_sockets, q);
        for (unsigned i = 0; i < q->nservers; i++)
            q->servers[i].next = i + 1 < q->nservers ? &q->servers[i + 1] : NULL;
        status = ares_set_servers_ports(q->channel, q->servers);
    }
    if (status != ARES_SUCCESS) {
        q->over = true;
        q->err = err_of(status);
        return;
    }
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = q->family, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(q->channel, q->name, NULL, &hints, on_addresses, q);
}

static void finish(void *arg);

static void end(struct query *q)
{
    if (q->channel != NULL)
        ares_destroy(q->channel);
    zt_list_remove(&q->working);
    /* Refused only when the loop is ending: then zt_resolve_end_all answers. */
    (void)zt_loop_post_at(q->r->n->loop, &q->post, finish, q);
}

/* Enter what c-ares waits for; returns how many entries were used. */
static unsigned watch(struct query *q, struct pollfd *p, int *timeout_ms)
{
    ares_socket_t s[ARES_GETSOCK_MAXNUM];
    unsigned bits = (unsigned)ares_getsock(q->channel, s, ARES_GETSOCK_MAXNUM);
    unsigned n = 0;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        /* c-ares's own macros shift a signed 1 into the sign */
        short events = (short)((bits >> i & 1 ? POLLIN : 0) |
                               (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));
        if (events != 0)
            p[n++] = (struct pollfd){.fd = s[i], .events = events};
    }
    struct timeval tv, *t = ares_timeout(q->channel, NULL, &tv);
    if (t != NULL) {
        int ms = (int)(t->tv_sec * 1000 + t->tv_usec / 1000 + 1);
        if (*timeout_ms < 0 || ms < *timeout_ms)
            *timeout_ms = ms;
    }
    return n;
}

static void process(struct query *q, const struct pollfd *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        bool in = (p[i].revents & ~POLLOUT) != 0, out = (p[i].revents & POLLOUT) != 0;
        if (in || out)
            ares_process_fd(q->channel, in ? p[i].fd : ARES_SOCKET_BAD,
                            out ? p[i].fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(q->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what has timed out */
}

/* ---- the thread --------------------------------------------------------------------------------
 */

static struct query *query_at(struct zt_list *l)
{
    return ZT_CONTAINER(l, struct query, working);
}

/* Wait for anything, handle it, and take the queries that are over off the list. */
static void turn(struct zt_resolver *r, struct zt_list *mine)
{
    struct pollfd p[1 + QUERIES * ARES_GETSOCK_MAXNUM];
    unsigned used[QUERIES], n = 1, k = 0;
    int timeout_ms = -1;
    p[0] = (struct pollfd){.fd = r->wake_fd, .events = POLLIN};
    for (struct zt_list *l = mine->next; l != mine; l = l->next) {
        used[k] = watch(query_at(l), p + n, &timeout_ms);
        n += used[k++];
    }
    if (poll(p, n, timeout_ms) < 0)
        return;
    uint64_t count;
    if (p[0].revents != 0)
        (void)!read(r->wake_fd, &count, sizeof count);
    n = 1;
    k = 0;
    for (struct zt_list *l = mine->next, *next; l != mine; l = next) {
        next = l->next;
        struct query *q = query_at(l);
        process(q, p + n, used[k]);
        n += used[k++];
        if (q->over)
            end(q);
    }
}

static void *run(void *arg)
{
    struct zt_resolver *r = arg;
    zt_thread_begins();
    struct zt_list mine;
    zt_list_init(&mine);
    for (;;) {
        pthread_mutex_lock(&r->lock);
        bool stop = r->stop;
        struct zt_list fresh;
        zt_list_init(&fresh);
        while (!zt_list_empty(&r->fresh)) {
            struct zt_list *l = r->fresh.next;
            zt_list_remove(l);
            zt_list_push_back(&fresh, l);
        }
        pthread_mutex_unlock(&r->lock);
        while (!zt_list_empty(&fresh)) {
            struct query *q = query_at(fresh.next);
            zt_list_remove(&q->working);
            zt_list_push_back(&mine, &q->working);
            if (!stop)
                begin(q);
            if (stop || q->over)
                end(q);
        }
        if (stop)
            break;
        turn(r, &mine);
    }
    while (!zt_list_empty(&mine))
        end(query_at(mine.next));
    return NULL;
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

int zt_resolver_new(struct zt_node *n, struct zt_resolver **out)
{
    (void)pthread_once(&library_once, init_library);
    struct zt_resolver *r = calloc(1, sizeof *r);
    if (r == NULL || library_status != ARES_SUCCESS) {
        free(r);
        return ZT_E_NOMEM;
    }
    r->n = n;
    r->wake_fd = -1;
    zt_list_init(&r->asked);
    zt_list_init(&r->fresh);
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return 0;
}

static void wake(struct zt_resolver *r)
{
    uint64_t one = 1;
    (void)!write(r->wake_fd, &one, sizeof one);
}

void zt_resolver_stop(struct zt_resolver *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    bool has_thread = r->has_thread;
    pthread_mutex_unlock(&r->lock);
    if (has_thread) {
        wake(r);
        pthread_join(r->thread, NULL);
    }
}

void zt_resolver_free(struct zt_resolver *r)
{
    if (r == NULL)
        return;
    if (r->wake_fd >= 0)
        zt_fd_close(r->wake_fd);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- the loop's side ---------------------------------------------------------------------------
 */

static bool is_virtual(struct zt_node *n, const struct zt_ep *ep)
{
    const struct zt_state_head *h = zt_proxy_state(n->proxy);
    for (uint32_t i = 0; i < h->nranges; i++) {
        const struct zt_state_range *r = &h->ranges[i];
        struct zt_ep net = zt_ep_make(r->family, r->ip, r->bits);
        if (r->family == ep->family && zt_ep_in_prefix(&net, ep))
            return true;
    }
    return false;
}

static void conclude(struct query *q, int err)
{
    struct zt_resolver *r = q->r;
    unsigned n = 0;
    for (unsigned i = 0; err == 0 && i < q->nfound; i++)
        if (q->any_answer || is_virtual(r->n, &q->found[i]))
            q->found[n++] = q->found[i];
    if (err == 0 && n == 0)
        err = ENODATA;
    zt_list_remove(&q->link);
    r->nasked--;
    q->done(q->arg, err, q->found, n);
    free(q);
}

static void finish(void *arg)
{
    struct query *q = arg;
    conclude(q, q->err != 0 || q->over ? q->err : ECANCELED);
}

void zt_resolve_end_all(struct zt_node *n)
{
    while (n->resolver != NULL && !zt_list_empty(&n->resolver->asked))
        conclude(ZT_CONTAINER(n->resolver->asked.next, struct query, link), ECANCELED);
}

/* "ns.Example.Lan." and the like to lower case without the dot; false for what is no name. */
static bool normalize(const char *name, char out[NAME_MAX_TEXT])
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n == 0 || n >= NAME_MAX_TEXT)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c <= ' ' || c >= 127)
            return false;
        out[i] = (char)tolower(c);
    }
    out[n] = 0;
    return true;
}

static bool is_below(const char *name, const char *domain)
{
    size_t n = strlen(name), d = strlen(domain);
    return n >= d && strcmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}

/* The domain of this network, if names in it are ours to answer. */
static bool domain_of(struct zt_node *n, const struct zt_netent *e, char out[NAME_MAX_TEXT])
{
    if (e->info.ndns == 0 || !normalize(e->info.dns_domain, out))
        return false;
    if (strchr(out, '.') == NULL && !e->settings.dns)
        return false;
    for (unsigned i = 0; i < e->info.ndns; i++)
        if (is_virtual(n, &e->info.dns[i]))
            return true;
    return false;
}

size_t zt_resolve_domains(struct zt_node *n, char *out, size_t cap)
{
    size_t at = 0;
    void *v;
    char domain[NAME_MAX_TEXT];
    for (size_t i = 0; zt_map_next(&n->nets, &i, NULL, &v);) {
        if (!domain_of(n, v, domain))
            continue;
        size_t len = strlen(domain) + 1;
        if (at + len + 1 > cap)
            break;
        memcpy(out + at, domain, len);
        at += len;
    }
    out[at++] = 0;
    return at;
}

static const struct zt_netent *network_for(struct zt_node *n, const char *name)
{
    const struct zt_netent *best = NULL;
    size_t longest = 0;
    void *v;
    char domain[NAME_MAX_TEXT];
    for (size_t i = 0; zt_map_next(&n->nets, &i, NULL, &v);) {
        if (domain_of(n, v, domain) && is_below(name, domain) && strlen(domain) > longest) {
            longest = strlen(domain);
            best = v;
        }
    }
    return best;
}

static_assert(ZT_INFO_DNS <= ZT_RESOLVE_SERVERS, "room for those of a network");

static void add_servers(struct zt_node *n, struct query *q, const struct zt_ep *eps, unsigned neps)
{
    for (unsigned i = 0; i < neps; i++) {
        const struct zt_ep *ep = &eps[i];
        struct ares_addr_port_node *s = &q->servers[q->nservers];
        if (!is_virtual(n, ep))
            continue;
        s->family = ep->family == 4 ? AF_INET : AF_INET6;
        s->udp_port = s->tcp_port = ep->port != 0 ? ep->port : 53;
        memcpy(&s->addr, ep->ip, ep->family == 4 ? 4 : 16);
        q->nservers++;
    }
}

/* The thread exists and knows of the query; else an errno. */
static int hand_over(struct zt_resolver *r, struct query *q)
{
    int err = 0;
    pthread_mutex_lock(&r->lock);
    if (r->stop)
        err = ECANCELED;
    if (err == 0 && r->wake_fd < 0) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        err = fd < 0 ? errno : 0;
        r->wake_fd = fd < 0 ? -1 : zt_fd_own(fd);
    }
    if (err == 0 && !r->has_thread) {
        sigset_t all, old; /* the program's signals are for its own threads */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        err = pthread_create(&r->thread, NULL, run, r);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        r->has_thread = err == 0;
    }
    if (err == 0)
        zt_list_push_back(&r->fresh, &q->working);
    pthread_mutex_unlock(&r->lock);
    if (err == 0)
        wake(r);
    return err;
}

void zt_resolve(struct zt_node *n, const struct zt_resolve_question *ask, zt_resolve_done *done,
                void *arg)
{
    struct zt_resolver *r = n->resolver;
    char text[NAME_MAX_TEXT];
    bool is_name = normalize(ask->name, text);
    const struct zt_netent *e = is_name ? network_for(n, text) : NULL;
    struct query *q = NULL;
    int err = e == NULL && (!is_name || ask->nservers == 0) ? ENOENT
              : r->nasked >= QUERIES                       ? ENOSPC
                                                           : 0;
    if (err == 0) {
        q = calloc(1, sizeof *q);
        err = q == NULL ? ENOMEM : 0;
    }
    if (err != 0) {
        done(arg, err, NULL, 0);
        return;
    }
    q->r = r;
    q->done = done;
    q->arg = arg;
    q->any_answer = e == NULL || e->settings.dns; /* servers of our own choice may say anything */
    memcpy(q->name, text, sizeof q->name);
    q->family = ask->family == 4 ? AF_INET : ask->family == 6 ? AF_INET6 : AF_UNSPEC;
    if (e != NULL)
        add_servers(n, q, e->info.dns, e->info.ndns);
    else
        add_servers(n, q, ask->servers, ask->nservers);
    for (unsigned i = 0; i < SOCKETS; i++)
        q->sockets[i].fd = -1;
    zt_list_push_back(&r->asked, &q->link);
    r->nasked++;
    err = q->nservers > 0 ? hand_over(r, q) : ENOENT;
    if (err != 0)
        conclude(q, err);
}

/* ---- the command -------------------------------------------------------------------------------
 */

static void refuse(zt_command_done *done, void *arg, int err)
{
    const char *text = err == ENOENT    ? "no such name in the domain of a joined network"
                       : err == ENODATA ? "this name has no such address in the network"
                       : err == EAGAIN  ? "no name server of the network answered"
                       : err == EINVAL  ? "resolve needs a family (0, 4 or 6) and a name"
                                        : strerror(err);
    done(arg, err, text, strlen(text));
}

struct resolving {
    zt_command_done *done;
    void *arg;
};

/* ["10.1.2.3","fd00::1"]: without a space, so that the preload can read it without a parser. */
static void on_resolved(void *arg, int err, const struct zt_ep *found, unsigned n)
{
    struct resolving *r = arg;
    char text[ZT_RESOLVE_MAX * (ZT_EP_STR + 3) + 3] = "[", one[ZT_EP_STR];
    size_t at = 1;
    for (unsigned i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%s\"", i > 0 ? "," : "",
                               zt_ep_format_ip(&found[i], one));
    text[at++] = ']';
    if (err == 0)
        r->done(r->arg, 0, text, at);
    else
        refuse(r->done, r->arg, err);
    free(r);
}

void zt_resolve_command(struct zt_node *n, const char *what, zt_command_done *done, void *arg)
{
    struct resolving *r = malloc(sizeof *r);
    if (r == NULL) {
        refuse(done, arg, ENOMEM);
        return;
    }
    *r = (struct resolving){.done = done, .arg = arg};
    int family = what[0] - '0';
    if ((family != 0 && family != 4 && family != 6) || what[1] != ' ') {
        free(r);
        refuse(done, arg, EINVAL);
        return;
    }
    struct zt_resolve_question q = {.name = what + 2, .family = family};
    zt_resolve(n, &q, on_resolved, r);
}
