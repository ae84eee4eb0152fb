/* One program of many small cases about sockets, which prints what each call answers. It runs on
 * kernel sockets and again on virtual ones; the outputs must be equal (tests/preload/run). Nothing
 * is printed that may differ by right: numbers of ports, buffer sizes, times.
 *
 *   conform ADDRESS CASE      conform -l */
#include "lib.h"

static const struct conform_case *const families[] = {
    cases_connect, cases_epoll,   cases_data,  cases_serve,
    cases_process, cases_options, cases_dgram, cases_mapped,
};
#define FAMILIES (sizeof families / sizeof *families)

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "-l")) {
        for (size_t f = 0; f < FAMILIES; f++)
            for (const struct conform_case *c = families[f]; c->name; c++)
                puts(c->name);
        return 0;
    }
    if (argc != 3)
        return 2;
    struct sockaddr_in *in = (struct sockaddr_in *)&base;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&base;
    self_path = "/proc/self/exe";
    self_addr = argv[1];
    if (inet_pton(AF_INET, argv[1], &in->sin_addr) == 1) {
        family = in->sin_family = AF_INET;
        base_len = sizeof *in;
    } else if (inet_pton(AF_INET6, argv[1], &in6->sin6_addr) == 1) {
        family = in6->sin6_family = AF_INET6;
        base_len = sizeof *in6;
    } else {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(90); /* SIGALRM ends it, unless a case handles it for a while */
    if (!strcmp(argv[2], "-exec")) {
        exec_child();
        return 0;
    }
    for (size_t f = 0; f < FAMILIES; f++)
        for (const struct conform_case *c = families[f]; c->name; c++)
            if (!strcmp(c->name, argv[2])) {
                c->run();
                printf("end\n");
                return 0;
            }
    return 2;
}
