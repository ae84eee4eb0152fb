/* Root servers of one's own, named by the program itself: no planet file, nothing kept on disk.
 * This is the 1.8 generation of the API (include/zts18); the signed set could as well come from
 * `ztctl planet new`.
 *
 *   ./custom_planet ROOT-IDENTITY.PUBLIC ENDPOINT NWID
 *   e.g. ./custom_planet root/identity.public 192.0.2.1/9993 ff0000ffff000000 */
#include <stdio.h>
#include <stdlib.h>

#include "zts18/ZeroTierSockets.h"

static char roots[ZTS_STORE_DATA_LEN], previous[ZTS_STORE_DATA_LEN], current[ZTS_STORE_DATA_LEN];

static unsigned sign(char *identity, char *endpoint)
{
    zts_root_set_t set = {.public_id_str = {identity}, .endpoint_ip_str = {{endpoint}}};
    unsigned n = 0, nprevious = 0, ncurrent = 0;
    /* Id and time of the set. The keys that sign it come back, to be kept by whoever wants to
     * change the set later; a program that only uses it can let them go. */
    if (zts_util_sign_root_set(roots, &n, previous, &nprevious, current, &ncurrent, 1, 1, &set) !=
        ZTS_ERR_OK) {
        fprintf(stderr, "not a root: %s at %s\n", identity, endpoint);
        exit(1);
    }
    return n;
}

int main(int argc, char **argv)
{
    char identity[ZTS_ID_STR_BUF_LEN], address[ZTS_IP_MAX_STR_LEN];
    if (argc != 4) {
        fprintf(stderr, "usage: custom_planet ROOT-IDENTITY.PUBLIC ENDPOINT NWID\n");
        return 2;
    }
    FILE *f = fopen(argv[1], "r");
    if (f == NULL || fgets(identity, sizeof identity, f) == NULL) {
        perror(argv[1]);
        return 1;
    }
    fclose(f);
    identity[strcspn(identity, "\r\n")] = 0;
    uint64_t nwid = strtoull(argv[3], NULL, 16);

    zts_init_set_roots(roots, sign(identity, argv[2]));
    if (zts_node_start() != ZTS_ERR_OK || zts_net_join(nwid) != ZTS_ERR_OK) {
        fprintf(stderr, "cannot start\n");
        return 1;
    }
    while (!zts_node_is_online() || !zts_net_transport_is_ready(nwid))
        zts_util_delay(20);
    for (unsigned family = ZTS_AF_INET; family <= ZTS_AF_INET6;
         family += ZTS_AF_INET6 - ZTS_AF_INET)
        if (zts_addr_get_str(nwid, family, address, sizeof address) == ZTS_ERR_OK)
            printf("node %010llx is %s\n", (unsigned long long)zts_node_get_id(), address);
    return zts_node_free();
}
