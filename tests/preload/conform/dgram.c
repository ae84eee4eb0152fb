/* Cases: datagrams */
#include "lib.h"

static int udp(int *port)
{
    int u = socket(family, SOCK_DGRAM, 0);
    if (bind(u, addr(0), base_len) < 0) {
        perror("udp");
        exit(1);
    }
    *port = bound_port(u);
    return u;
}

static void c_udp(void)
{
    int port, u = udp(&port), c = socket(family, SOCK_DGRAM, 0), n;
    char b[64];
    struct sockaddr_storage a;
    socklen_t len;
    OPTION(u, SOL_SOCKET, SO_TYPE);
    OPTION(u, SOL_SOCKET, SO_PROTOCOL);
    SAY(send(c, "x", 1, 0));
    SAY(sendto(c, "hello", 5, 0, addr(port), base_len));
    wait_for(u, POLLIN);
    events("one waiting", u);
    SAY(ioctl(u, FIONREAD, &n));
    printf("FIONREAD %d\n", n);
    len = sizeof a;
    SAY(recvfrom(u, b, sizeof b, MSG_PEEK, (struct sockaddr *)&a, &len));
    printf("from %s\n", same(&a, len));
    len = sizeof a;
    SAY(recvfrom(u, b, 3, MSG_TRUNC, (struct sockaddr *)&a, &len));
    SAY(sendto(u, "", 0, 0, (struct sockaddr *)&a, len));
    wait_for(c, POLLIN);
    SAY(recv(c, b, sizeof b, 0));
    SAY(recv(c, b, sizeof b, MSG_DONTWAIT));
    SAY(getpeername(c, (struct sockaddr *)&a, &len));
    SAY(connect(c, addr(port), base_len));
    names(c);
    SAY(write(c, "connected", 9));
    SAY(read(u, b, 4));
    SAY(send(c, b, 0, 0));
    SAY(read(u, b, 4));
    SAY(listen(c, 1));
    SAY(accept(c, NULL, NULL));
    struct sockaddr un = {.sa_family = AF_UNSPEC};
    SAY(connect(c, &un, sizeof un));
    SAY(send(c, "x", 1, 0));
    SAY(sendto(c, b, 1, 0, addr(0), base_len));
    static char big[70000];
    SAY(sendto(c, big, sizeof big, 0, addr(port), base_len));
    SAY(sendto(c, big, 60000, 0, addr(port), base_len));
    SAY(recv(u, big, sizeof big, 0));
    SAY(shutdown(c, SHUT_RDWR));
    SAY(sendto(c, "x", 1, MSG_NOSIGNAL, addr(port), base_len));
    SAY(recv(c, b, 1, 0));
    close(c), close(u);
}

static void c_udp_refused(void)
{
    int port, u = udp(&port), c = socket(family, SOCK_DGRAM, 0);
    char b;
    close(u);
    settle();
    SAY(connect(c, addr(port), base_len));
    SAY(send(c, "x", 1, 0));
    settle();
    SAY(recv(c, &b, 1, MSG_DONTWAIT));
    SAY(recv(c, &b, 1, MSG_DONTWAIT));
    SAY(send(c, "x", 1, 0));
    settle();
    so_error(c);
    so_error(c);
    close(c);
}

/* Not connected, and yet told: it asked to be. */
static void c_udp_recverr(void)
{
    int port, u = udp(&port), c = socket(family, SOCK_DGRAM, 0), one = 1;
    char b;
    close(u);
    settle();
    SAY(sendto(c, "x", 1, 0, addr(port), base_len));
    settle();
    SAY(recv(c, &b, 1, MSG_DONTWAIT));
    SAY(family == AF_INET6 ? setsockopt(c, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof one)
                           : setsockopt(c, IPPROTO_IP, IP_RECVERR, &one, sizeof one));
    SAY(sendto(c, "x", 1, 0, addr(port), base_len));
    settle();
    SAY(recv(c, &b, 1, MSG_DONTWAIT));
    SAY(recv(c, &b, 1, MSG_DONTWAIT));
    close(c);
}

static void c_udp_many(void)
{
    int port, u = udp(&port), c = socket(family, SOCK_DGRAM, 0);
    char b[4][8];
    struct iovec v[4];
    struct mmsghdr m[4];
    struct sockaddr_storage a[4];
    memset(m, 0, sizeof m);
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){b[i], (size_t)i + 1};
        m[i].msg_hdr.msg_iov = &v[i];
        m[i].msg_hdr.msg_iovlen = 1;
        m[i].msg_hdr.msg_name = addr(port);
        m[i].msg_hdr.msg_namelen = base_len;
    }
    SAY(sendmmsg(c, m, 4, 0));
    settle();
    for (int i = 0; i < 4; i++) {
        v[i].iov_len = 3;
        m[i].msg_hdr.msg_name = &a[i];
        m[i].msg_hdr.msg_namelen = sizeof a[i];
    }
    SAY(recvmmsg(u, m, 4, MSG_DONTWAIT, NULL));
    for (int i = 0; i < 4; i++)
        printf("%u bytes, flags %x, from %s\n", m[i].msg_len, (unsigned)m[i].msg_hdr.msg_flags,
               same(&a[i], m[i].msg_hdr.msg_namelen));
    SAY(recvmmsg(u, m, 4, MSG_DONTWAIT, NULL));
    close(c), close(u);
}

/* More than go over together, an error among them, one that can't be sent, few wanted. */
static void c_udp_batches(void)
{
    enum { N = 100 };
    int port, u = udp(&port), c = socket(family, SOCK_DGRAM, 0);
    static char b[N][16], long_one[70000];
    static struct iovec v[N][4];
    static struct mmsghdr m[N];
    memset(m, 0, sizeof m);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 4; k++)
            v[i][k] = (struct iovec){b[i] + 4 * k, 4};
        snprintf(b[i], sizeof b[i], "datagram %d", i);
        m[i].msg_hdr = (struct msghdr){.msg_name = addr(port), .msg_namelen = base_len};
        m[i].msg_hdr.msg_iov = v[i];
        m[i].msg_hdr.msg_iovlen = 4;
    }
    SAY(sendmmsg(c, m, N, 0));
    printf("sent %u, %u\n", m[0].msg_len, m[N - 1].msg_len);
    v[5][0] = (struct iovec){long_one, sizeof long_one};
    SAY(sendmmsg(c, m, N, 0)); /* ends before it */
    SAY(sendmmsg(c, m + 5, N - 5, 0));
    v[5][0] = (struct iovec){b[5], 4};
    settle();
    for (int want = 7, seen = 0, r; seen < N + 5; seen += r) {
        memset(b, 0, sizeof b);
        for (int i = 0; i < N; i++)
            m[i].msg_hdr.msg_name = NULL, m[i].msg_hdr.msg_namelen = 0;
        r = (int)say("recvmmsg", recvmmsg(u, m, (unsigned)want, MSG_WAITFORONE, NULL));
        if (r <= 0)
            break;
        printf("%s .. %s, %u bytes\n", b[0], b[r - 1], m[r - 1].msg_len);
        want = N;
    }
    struct timespec none = {0, 1000}, bad = {0, -1};
    SAY(recvmmsg(u, m, 3, 0, &bad));
    SAY(recvmmsg(u, m, 3, MSG_DONTWAIT, &none));
    /* refused: the error is told once, and before what comes later */
    SAY(connect(c, addr(port), base_len));
    close(u);
    settle();
    SAY(sendmmsg(c, m, 1, 0));
    settle();
    SAY(recvmmsg(c, m, 5, MSG_DONTWAIT, NULL));
    close(c);
}

/* Two datagrams and an error between them: nothing is lost, the error is told once. (Which comes
 * first is the kernel's affair: it keeps them in different places.) */
static void c_udp_batch_error(void)
{
    int port, own, p = udp(&port), c = udp(&own), errors = 0, got = 0;
    char b[4][8] = {""};
    struct iovec v[4];
    struct mmsghdr m[4];
    SAY(connect(c, addr(port), base_len));
    SAY(sendto(p, "one", 4, 0, addr(own), base_len));
    settle();
    close(p);
    settle();
    SAY(send(c, "x", 1, 0));
    settle();
    p = socket(family, SOCK_DGRAM, 0);
    SAY(bind(p, addr(port), base_len));
    SAY(sendto(p, "two", 4, 0, addr(own), base_len));
    settle();
    for (int i = 0; i < 4; i++, settle()) {
        memset(m, 0, sizeof m);
        for (int k = 0; k < 4 - got; k++) {
            v[k] = (struct iovec){b[got + k], sizeof b[0]};
            m[k].msg_hdr.msg_iov = &v[k];
            m[k].msg_hdr.msg_iovlen = 1;
        }
        int r = recvmmsg(c, m, (unsigned)(4 - got), MSG_DONTWAIT, NULL);
        got += r > 0 ? r : 0;
        errors += r < 0 && errno == ECONNREFUSED;
    }
    printf("%d datagrams: %s, %s; %d error\n", got, b[0], b[1], errors);
    close(c), close(p);
}

static void c_udp_info(void)
{
    int port, u = udp(&port), c = socket(family, SOCK_DGRAM, 0), one = 1;
    char b[8], control[256];
    if (family == AF_INET)
        SAY(setsockopt(u, IPPROTO_IP, IP_PKTINFO, &one, sizeof one));
    else
        SAY(setsockopt(u, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one));
    SAY(sendto(c, "x", 1, 0, addr(port), base_len));
    struct iovec v = {b, sizeof b};
    struct msghdr m = {NULL, 0, &v, 1, control, sizeof control, 0};
    SAY(recvmsg(u, &m, 0));
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        struct sockaddr_storage a = {.ss_family = (sa_family_t)family};
        if (family == AF_INET)
            ((struct sockaddr_in *)&a)->sin_addr =
                ((struct in_pktinfo *)(void *)CMSG_DATA(h))->ipi_addr;
        else
            ((struct sockaddr_in6 *)&a)->sin6_addr =
                ((struct in6_pktinfo *)(void *)CMSG_DATA(h))->ipi6_addr;
        printf("control level %d type %d: to %s\n", h->cmsg_level, h->cmsg_type,
               same(&a, base_len));
    }
    m.msg_controllen = 4;
    SAY(sendto(c, "x", 1, 0, addr(port), base_len));
    SAY(recvmsg(u, &m, 0));
    printf("flags %x\n", (unsigned)m.msg_flags);
    close(c), close(u);
}

static void came(int u)
{
    char b[64];
    struct pollfd p = {u, POLLIN, 0};
    ssize_t n = poll(&p, 1, 30000) > 0 ? recv(u, b, sizeof b, MSG_DONTWAIT) : -1;
    printf("came: %zd '%.*s'\n", n, n > 0 ? (int)n : 0, b);
}

static void nothing(int u)
{
    char b[1];
    settle();
    SAY(recv(u, b, 1, MSG_DONTWAIT));
}

/* UDP_CORK and MSG_MORE: several sends, one datagram. */
static void c_udp_cork(void)
{
    int port, u = udp(&port), c = socket(family, SOCK_DGRAM, 0), on = 1, off = 0;
    SAY(connect(c, addr(port), base_len));
    OPTION(c, IPPROTO_UDP, UDP_CORK);
    SAY(send(c, "before", 6, 0));
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &on, sizeof on));
    OPTION(c, IPPROTO_UDP, UDP_CORK);
    SAY(send(c, "one ", 4, 0));
    came(u);
    nothing(u);
    struct iovec v[2] = {{(char *)"two ", 4}, {(char *)"three", 5}};
    struct mmsghdr m[2] = {{{.msg_iov = v, .msg_iovlen = 1}, 0}, {{.msg_iov = v + 1, .msg_iovlen = 1}, 0}};
    SAY(sendmmsg(c, m, 2, 0));
    nothing(u);
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &off, sizeof off));
    came(u);
    OPTION(c, IPPROTO_UDP, UDP_CORK);
    SAY(send(c, "free", 4, 0));
    came(u);
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &on, sizeof on));
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &off, sizeof off));
    nothing(u);
    SAY(send(c, "more ", 5, MSG_MORE));
    nothing(u);
    SAY(send(c, "and all", 7, 0));
    came(u);
    m[0].msg_len = m[1].msg_len = 99;
    SAY(sendmmsg(c, m, 2, MSG_MORE));
    printf("%u and %u bytes\n", m[0].msg_len, m[1].msg_len);
    nothing(u);
    SAY(send(c, " four", 5, 0));
    came(u);
    SAY(send(c, "pushed", 6, MSG_MORE));
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &off, sizeof off));
    came(u);
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &on, sizeof on));
    SAY(send(c, "", 0, 0));
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &off, sizeof off));
    came(u);
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &off, 1));
    close(c), close(u);
    int s, l = listener(&port);
    c = socket(family, SOCK_STREAM, 0);
    SAY(connect(c, addr(port), base_len));
    s = accept(l, NULL, NULL);
    SAY(setsockopt(c, IPPROTO_UDP, UDP_CORK, &on, sizeof on));
    OPTION(c, IPPROTO_UDP, UDP_CORK);
    close(c), close(s), close(l);
}

const struct conform_case cases_dgram[] = {
    {"udp", c_udp},
    {"udp_refused", c_udp_refused},
    {"udp_recverr", c_udp_recverr},
    {"udp_many", c_udp_many},
    {"udp_batches", c_udp_batches},
    {"udp_batch_error", c_udp_batch_error},
    {"udp_info", c_udp_info},
    {"udp_cork", c_udp_cork},
    {NULL, NULL},
};
