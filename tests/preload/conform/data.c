/* Cases: data */
#include "lib.h"

static void c_half_close(void)
{
    int c, s;
    char b[16];
    pair_up(&c, &s);
    SAY(send(c, "bye", 3, 0));
    SAY(shutdown(c, SHUT_WR));
    wait_for(s, POLLRDHUP);
    events("server, client half closed", s);
    SAY(read(s, b, sizeof b));
    SAY(read(s, b, sizeof b));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(send(s, "answer", 6, 0));
    wait_for(c, POLLIN);
    SAY(read(c, b, sizeof b));
    SAY(shutdown(s, SHUT_WR));
    wait_for(c, POLLRDHUP);
    settle();
    events("client, both half closed", c);
    events("server, both half closed", s);
    SAY(read(c, b, sizeof b));
    SAY(close(c));
    SAY(close(s));
}

static void c_peer_closed(void)
{
    int c, s;
    char b;
    pair_up(&c, &s);
    SAY(close(s));
    wait_for(c, POLLRDHUP);
    events("peer closed", c);
    SAY(read(c, &b, 1));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    settle();
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    close(c);
}

static void c_reset(void)
{
    int c, s;
    char b[8];
    pair_up(&c, &s);
    lingering_reset(s);
    wait_for(c, POLLIN);
    settle();
    SAY(read(c, b, 1));
    SAY(read(c, b, 1));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(getpeername(c, (struct sockaddr *)&(struct sockaddr_storage){0},
                    &(socklen_t){sizeof(struct sockaddr_storage)}));
    close(c);
    pair_up(&c, &s);
    lingering_reset(s);
    wait_for(c, POLLIN);
    settle();
    so_error(c);
    so_error(c);
    SAY(recv(c, b, 1, 0));
    close(c);
    pair_up(&c, &s);
    lingering_reset(s);
    wait_for(c, POLLIN);
    settle();
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(recv(c, b, 1, 0));
    close(c);
}

static void c_reset_unread(void)
{
    int c, s;
    char b[8];
    pair_up(&c, &s);
    SAY(send(c, "unread", 6, 0));
    wait_for(s, POLLIN);
    SAY(close(s));
    wait_for(c, POLLIN);
    settle();
    SAY(recv(c, b, 1, 0));
    SAY(recv(c, b, 1, 0));
    close(c);
}

static void on_pipe(int sig)
{
    if (write(1, "SIGPIPE\n", 8) < 0)
        _exit(1);
}

static void c_sigpipe(void)
{
    int c, s;
    fflush(stdout);
    signal(SIGPIPE, on_pipe);
    pair_up(&c, &s);
    SAY(shutdown(c, SHUT_WR));
    fflush(stdout);
    SAY(write(c, "x", 1));
    fflush(stdout);
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    fflush(stdout);
    close(c), close(s);
    int port, l = listener(&port);
    SAY(write(l, "x", 1));
    SAY(read(l, &s, 1));
    close(l);
}

static void c_flags(void)
{
    int c, s, n = 0;
    char b[64];
    pair_up(&c, &s);
    SAY(recv(s, b, 4, MSG_DONTWAIT));
    SAY(send(c, "0123456789", 10, 0));
    wait_for(s, POLLIN);
    SAY(ioctl(s, FIONREAD, &n));
    printf("FIONREAD %d\n", n);
    SAY(recv(s, b, 4, MSG_PEEK));
    SAY(recv(s, b, 4, 0));
    printf("%.4s\n", b);
    SAY(recv(s, b, 3, MSG_TRUNC));
    SAY(recv(s, b, 3, 0));
    printf("%.3s\n", b);
    SAY(recv(s, b, 64, MSG_ERRQUEUE | MSG_DONTWAIT));
    SAY(recv(s, b, 1, MSG_OOB));
    SAY(recv(s, b, 0, MSG_DONTWAIT));
    if (fork() == 0) {
        usleep(30000);
        send(c, "abc", 3, 0);
        usleep(30000);
        send(c, "defg", 4, 0);
        _exit(0);
    }
    SAY(recv(s, b, 7, MSG_WAITALL));
    wait(NULL);
    struct timeval tv = {0, 50000};
    SAY(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    SAY(recv(s, b, 1, 0));
    SAY(ioctl(s, SIOCATMARK, &n));
    SAY(ioctl(s, FIONBIO, &(int){1}));
    SAY(read(s, b, 1));
    close(c), close(s);
}

static void c_addresses(void)
{
    int c, s;
    char b[8];
    struct sockaddr_storage a;
    socklen_t n;
    pair_up(&c, &s);
    SAY(sendto(c, "12345", 5, 0, addr(1), base_len));
    n = sizeof a;
    memset(&a, 0x55, sizeof a);
    SAY(recvfrom(s, b, 2, 0, (struct sockaddr *)&a, &n));
    printf("addrlen %d\n", (int)n);
    char control[64];
    struct iovec v[2] = {{b, 1}, {b + 1, 7}};
    struct msghdr m = {&a, sizeof a, v, 2, control, sizeof control, 0};
    SAY(recvmsg(s, &m, 0));
    printf("namelen %d controllen %d flags %x\n", (int)m.msg_namelen, (int)m.msg_controllen,
           (unsigned)m.msg_flags);
    SAY(writev(c, v, 2));
    SAY(readv(s, v, 2));
    struct msghdr out = {addr(1), base_len, v, 2, NULL, 0, 0};
    SAY(sendmsg(c, &out, 0));
    SAY(read(s, b, 8));
    struct mmsghdr mm[3];
    for (int i = 0; i < 3; i++)
        mm[i] = (struct mmsghdr){{NULL, 0, v, 1, NULL, 0, 0}, 0};
    SAY(sendmmsg(c, mm, 3, 0));
    wait_for(s, POLLIN);
    settle();
    SAY(recvmmsg(s, mm, 3, MSG_DONTWAIT, NULL));
    close(c), close(s);
}

static void c_bulk(void)
{
    int c, s;
    static unsigned char buf[100000];
    pair_up(&c, &s);
    unsigned sum_out = 0, sum_in = 0;
    long total = 0;
    fflush(stdout);
    if (fork() == 0) {
        close(s);
        for (int i = 0; i < 60; i++) {
            memset(buf, i, sizeof buf);
            for (size_t at = 0; at < sizeof buf;) {
                ssize_t n = write(c, buf + at, sizeof buf - at);
                if (n <= 0)
                    _exit(1);
                at += (size_t)n;
            }
        }
        _exit(0);
    }
    close(c);
    for (int i = 0; i < 60; i++)
        sum_out += (unsigned)i * (unsigned)sizeof buf;
    ssize_t n;
    while ((n = read(s, buf, sizeof buf)) > 0) {
        total += n;
        for (ssize_t i = 0; i < n; i++)
            sum_in += buf[i];
    }
    int st;
    wait(&st);
    printf("read %ld, sum %s, end %zd, child %d\n", total, sum_in == sum_out ? "right" : "wrong", n,
           st);
    close(s);
}

/* The bulk movers find the reset as read and write do. */
static void c_movers_reset(void)
{
    int c, s, p[2];
    FILE *f = tmpfile();
    off_t off = 0;
    fputs("file content", f);
    fflush(f);
    signal(SIGPIPE, SIG_IGN);
    OK(pipe(p));
    pair_up(&c, &s);
    lingering_reset(s);
    close(s);
    wait_for(c, POLLIN);
    settle();
    SAY(splice(c, NULL, p[1], NULL, 100, 0));
    SAY(splice(c, NULL, p[1], NULL, 100, 0));
    close(c);
    pair_up(&c, &s);
    lingering_reset(s);
    close(s);
    wait_for(c, POLLIN);
    settle();
    SAY(sendfile(c, fileno(f), &off, 12));
    SAY(sendfile(c, fileno(f), &off, 12));
    close(c), close(p[0]), close(p[1]);
    fclose(f);
}

static void c_movers(void)
{
    int c, s, p[2];
    char b[4096];
    pair_up(&c, &s);
    FILE *f = tmpfile();
    fputs("file content", f);
    fflush(f);
    off_t off = 0;
    SAY(sendfile(c, fileno(f), &off, 12));
    wait_for(s, POLLIN);
    OK(pipe(p));
    SAY(splice(s, NULL, p[1], NULL, 100, 0));
    SAY(read(p[0], b, 100));
    fclose(f);
    FILE *g = fdopen(c, "w");
    fprintf(g, "by stdio\n");
    SAY(fclose(g));
    wait_for(s, POLLIN);
    SAY(read(s, b, 100));
    SAY(read(s, b, 100));
    int n = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("the number is free again: %d\n", n == c);
    SAY(getpeername(n, (struct sockaddr *)b, &(socklen_t){100}));
    close(n), close(s);
}

const struct conform_case cases_data[] = {
    {"half_close", c_half_close}, {"peer_closed", c_peer_closed},
    {"reset", c_reset},           {"reset_unread", c_reset_unread},
    {"sigpipe", c_sigpipe},       {"flags", c_flags},
    {"addresses", c_addresses},   {"bulk", c_bulk},
    {"movers", c_movers},         {"movers_reset", c_movers_reset},
    {NULL, NULL},
};
