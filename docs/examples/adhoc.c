/* A network without a controller: its id says which ports may be used on it, and each node has the
 * address that follows from its own id, so one can be told from the other.
 *
 *   ./adhoc HOME FIRST-PORT LAST-PORT [NODE-ID]
 *
 * prints our address, and the one that node NODE-ID has there. */
#include "common.h"

int main(int argc, char **argv)
{
    struct zts_sockaddr_storage a;
    char nwid[17], text[ZTS_INET6_ADDRSTRLEN];
    if (argc < 4) {
        fprintf(stderr, "usage: adhoc HOME FIRST-PORT LAST-PORT [NODE-ID]\n");
        return 2;
    }
    uint64_t id =
        zts_generate_adhoc_nwid_from_range((uint16_t)atoi(argv[2]), (uint16_t)atoi(argv[3]));
    snprintf(nwid, sizeof nwid, "%016llx", (unsigned long long)id);
    printf("network %s\n", nwid);
    example_up(argv[1], nwid); /* prints our address */
    if (argc > 4) {
        if (zts_get_6plane_addr(&a, id, strtoull(argv[4], NULL, 16)) != ZTS_ERR_OK)
            return 2;
        zts_inet_ntop(ZTS_AF_INET6, &((struct zts_sockaddr_in6 *)&a)->sin6_addr, text, sizeof text);
        printf("node %s is %s\n", argv[4], text);
    }
    zts_free();
    return 0;
}
