/* Cases: epoll */
#include "lib.h"

static void one_wait(int ep, int ms)
{
    struct epoll_event e = {0};
    int n = epoll_wait(ep, &e, 1, ms);
    printf("epoll_wait = %d events %x data %llx\n", n, n > 0 ? e.events : 0,
           n > 0 ? (unsigned long long)e.data.u64 : 0);
}

static void epoll_before(uint32_t mask, bool with_dup)
{
    int port, l = listener(&port), c = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int ep = epoll_create1(EPOLL_CLOEXEC), d = with_dup ? dup(c) : -1;
    struct epoll_event e = {mask, {.u64 = 0x1234567890ull}};
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
    if (mask == EPOLLIN || mask == EPOLLOUT)
        one_wait(ep, 0);
    SAY(connect(c, addr(port), base_len));
    if (mask == EPOLLIN) {
        settle();
        one_wait(ep, 0);
    } else {
        wait_for(c, POLLOUT);
        if (mask & EPOLLET) /* becoming writable may take several steps, each of them an edge */
            settle();
        one_wait(ep, 30000);
    }
    int s = accept(l, NULL, NULL);
    if (mask & (EPOLLET | EPOLLONESHOT)) {
        settle();
        one_wait(ep, 0);
    }
    SAY(write(s, "x", 1));
    settle();
    one_wait(ep, mask & EPOLLONESHOT ? 100 : 30000);
    e.events = EPOLLIN | EPOLLOUT;
    e.data.u64 = 7;
    SAY(epoll_ctl(ep, EPOLL_CTL_MOD, c, &e));
    one_wait(ep, 0);
    if (with_dup) {
        char b;
        SAY(read(d, &b, 1));
        SAY(close(d));
        one_wait(ep, 0);
    }
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
    SAY(epoll_ctl(ep, EPOLL_CTL_DEL, c, &e));
    one_wait(ep, 0);
    close(s), close(c), close(l), close(ep);
}

static void c_epoll_level(void)
{
    epoll_before(EPOLLIN | EPOLLOUT, false);
}

static void c_epoll_in(void)
{
    epoll_before(EPOLLIN, false);
}

static void c_epoll_edge(void)
{
    epoll_before(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, false);
}

static void c_epoll_oneshot(void)
{
    epoll_before(EPOLLOUT | EPOLLONESHOT, false);
}

static void c_epoll_dup(void)
{
    epoll_before(EPOLLIN | EPOLLOUT, true);
}

static void c_epoll_many(void)
{
    int port, l = listener(&port), c = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int ep1 = epoll_create1(0), ep2 = epoll_create1(0);
    struct epoll_event e = {EPOLLOUT, {.u64 = 1}};
    SAY(epoll_ctl(ep1, EPOLL_CTL_ADD, c, &e));
    e.data.u64 = 2;
    SAY(epoll_ctl(ep2, EPOLL_CTL_ADD, c, &e));
    SAY(connect(c, addr(port), base_len));
    one_wait(ep1, 30000);
    one_wait(ep2, 30000);
    close(c);
    one_wait(ep1, 0);
    close(l), close(ep1), close(ep2);
}

static void c_epoll_listener(void)
{
    int l = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
    struct epoll_event e = {EPOLLIN, {.u64 = 5}};
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e));
    SAY(bind(l, addr(0), base_len));
    SAY(listen(l, 5));
    one_wait(ep, 0);
    int c = socket(family, SOCK_STREAM, 0);
    SAY(connect(c, addr(bound_port(l)), base_len));
    one_wait(ep, 30000);
    int s = accept(l, NULL, NULL);
    one_wait(ep, 0);
    close(s), close(c), close(l), close(ep);
}

/* Changed by another number of the set, before the connect. */
static void c_epoll_other(void)
{
    int port, l = listener(&port), c = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int ep = epoll_create1(0), same = dup(ep);
    struct epoll_event e = {EPOLLIN, {.u64 = 1}};
    SAY(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
    e = (struct epoll_event){EPOLLOUT, {.u64 = 2}};
    SAY(epoll_ctl(same, EPOLL_CTL_MOD, c, &e));
    SAY(connect(c, addr(port), base_len));
    wait_for(c, POLLOUT);
    one_wait(ep, 30000);
    SAY(epoll_ctl(same, EPOLL_CTL_DEL, c, NULL));
    one_wait(ep, 0);
    close(c), close(l), close(ep), close(same);
}

const struct conform_case cases_epoll[] = {
    {"epoll_level", c_epoll_level},       {"epoll_in", c_epoll_in},
    {"epoll_edge", c_epoll_edge},         {"epoll_oneshot", c_epoll_oneshot},
    {"epoll_dup", c_epoll_dup},           {"epoll_many", c_epoll_many},
    {"epoll_listener", c_epoll_listener}, {"epoll_other", c_epoll_other},
    {NULL, NULL},
};
