/* Counters of the node's own stack, once a second.
 *
 *   ./statistics HOME NWID SECONDS */
#include "common.h"

static const struct {
    const char *name;
    int protocol;
} rows[] = {
    {"link", ZTS_STATS_PROTOCOL_LINK},   {"ip", ZTS_STATS_PROTOCOL_IP},
    {"ip6", ZTS_STATS_PROTOCOL_IP6},     {"udp", ZTS_STATS_PROTOCOL_UDP},
    {"tcp", ZTS_STATS_PROTOCOL_TCP},     {"icmp", ZTS_STATS_PROTOCOL_ICMP},
    {"icmp6", ZTS_STATS_PROTOCOL_ICMP6},
};

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: statistics HOME NWID SECONDS\n");
        return 2;
    }
    example_up(argv[1], argv[2]);
    for (int left = atoi(argv[3]); left > 0 && !example_stop; left--) {
        zts_delay_ms(1000);
        printf("%-6s %10s %10s %10s\n", "", "sent", "received", "dropped");
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct zts_stats_proto s;
            if (zts_get_protocol_stats(rows[i].protocol, &s) != ZTS_ERR_OK)
                return 1;
            printf("%-6s %10u %10u %10u\n", rows[i].name, s.xmit, s.recv, s.drop);
        }
        fflush(stdout);
    }
    zts_free();
    return 0;
}
