/* Cases: IPv4 addresses on IPv6 sockets */
#include "lib.h"

static void c_mapped(void)
{
    if (family != AF_INET)
        return;
    struct sockaddr_in6 m = {.sin6_family = AF_INET6}, a;
    m.sin6_addr.s6_addr[10] = m.sin6_addr.s6_addr[11] = 0xff;
    memcpy(m.sin6_addr.s6_addr + 12, &((struct sockaddr_in *)&base)->sin_addr, 4);
    int l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET6, SOCK_STREAM, 0);
    SAY(bind(l, (struct sockaddr *)&m, sizeof m));
    SAY(listen(l, 4));
    socklen_t n = sizeof a;
    SAY(getsockname(l, (struct sockaddr *)&a, &n));
    printf("mapped %d\n", IN6_IS_ADDR_V4MAPPED(&a.sin6_addr));
    m.sin6_port = a.sin6_port;
    SAY(connect(c, (struct sockaddr *)&m, sizeof m));
    n = sizeof a;
    int s = accept(l, (struct sockaddr *)&a, &n);
    printf("accepted: mapped %d length %d\n", IN6_IS_ADDR_V4MAPPED(&a.sin6_addr), (int)n);
    n = sizeof a;
    SAY(getpeername(c, (struct sockaddr *)&a, &n));
    printf("mapped %d, same %d\n", IN6_IS_ADDR_V4MAPPED(&a.sin6_addr),
           !memcmp(&a.sin6_addr, &m.sin6_addr, 16));
    OPTION(s, SOL_SOCKET, SO_DOMAIN);
    int v4 = socket(AF_INET, SOCK_STREAM, 0);
    SAY(connect(v4, addr(ntohs(m.sin6_port)), base_len));
    int only = socket(AF_INET6, SOCK_STREAM, 0), one = 1;
    SAY(setsockopt(only, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    SAY(connect(only, (struct sockaddr *)&m, sizeof m));
    close(only), close(v4), close(s), close(c), close(l);
}

const struct conform_case cases_mapped[] = {
    {"mapped", c_mapped},
    {NULL, NULL},
};
