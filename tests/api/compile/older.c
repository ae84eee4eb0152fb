/* Programs for the older header: a callback that takes void *, host pointer types in casts. */
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sys/select.h>

#include "ZeroTierSockets.h"

#include <stdio.h>
#include <string.h>

static void on_event(void *arg)
{
    struct zts_callback_msg *msg = (struct zts_callback_msg *)arg;
    (void)msg->eventCode;
}

int main(void)
{
    struct zts_sockaddr_in in4;
    struct zts_sockaddr_in6 in6;
    char host[INET6_ADDRSTRLEN], own[ZTS_INET6_ADDRSTRLEN];
    uint64_t big = htonll(0x0102030405060708ULL);
    memset(&in4, 0, sizeof in4);
    memset(&in6, 0, sizeof in6);
    /* R112, R113: the same bytes, the same text. */
    if (zts_inet_pton(ZTS_AF_INET6, "fd00::1:2", &in6.sin6_addr) != 1 ||
        strcmp(inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host),
               zts_inet_ntop(ZTS_AF_INET6, &in6.sin6_addr, own, sizeof own)) != 0)
        return 1;
    /* R111: compiles; there is no node yet. */
    if (zts_bind(0, (struct sockaddr *)&in4, sizeof(struct zts_sockaddr_in)) != ZTS_ERR_SERVICE ||
        zts_connect(0, (const struct zts_sockaddr *)&in4, sizeof in4) != ZTS_ERR_SERVICE)
        return 2;
    if (((unsigned char *)&big)[0] != 1 || ((unsigned char *)&big)[7] != 8)
        return 3;
    if (zts_start("", on_event, 9994) != ZTS_ERR_ARG)
        return 4;
    /* R114: the host's sockets beside. */
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct pollfd p = {fd, POLLOUT, 0};
    if (fd < 0 || poll(&p, 1, 1000) != 1)
        return 5;
    puts(own);
    return 0;
}
