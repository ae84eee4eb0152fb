/* As people begin: wait for a flag, join, open a socket. */
#include <stdio.h>
#include <stdlib.h>

#include "ZeroTierSockets.h"

static volatile int node_ready, network_ready;
static volatile unsigned long long my_id;

static void on_event(struct zts_callback_msg *msg)
{
    if (msg->eventCode == ZTS_EVENT_NODE_ONLINE) {
        my_id = msg->node->address;
        node_ready = 1;
    }
    if (msg->eventCode == ZTS_EVENT_NETWORK_READY_IP6)
        network_ready = 1;
}

int main(int argc, char **argv)
{
    if (argc < 3 || zts_start(argv[1], on_event, 0) != ZTS_ERR_OK)
        return 1;
    for (int i = 0; i < 400 && !node_ready; i++)
        zts_delay_ms(50);
    if (zts_join(strtoull(argv[2], NULL, 16)) != ZTS_ERR_OK)
        return 2;
    for (int i = 0; i < 400 && !network_ready; i++)
        zts_delay_ms(50);
    int fd = zts_socket(ZTS_AF_INET6, ZTS_SOCK_STREAM, 0);
    printf("node %llx, descriptor %d\n", my_id, fd);
    if (fd < 0)
        return 3;
    zts_close(fd);
    zts_stop();
    return zts_free();
}
