/* A cable with faults, for scripts: a hub of TAP devices that delays, loses, blocks or damages frames.
 *
 *   wire FIFO NAME...    makes the devices NAME (the script moves them into namespaces), then reads one
 *                        command a line from FIFO:
 *     delay MS           each way
 *     loss PERCENT
 *     block 0|1          lets nothing through
 *     cut A B            no frame between these two; "cut - -" forgets all cuts
 *     flip 1|0           damages the last byte of every UDP datagram of 100 bytes and more
 *     look TEXT          counts frames that contain TEXT from now on
 *     report FILE        writes "frames N seen N" there
 *     end
 *
 * One process, one queue: with the same delay for all frames their order stays. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_TAPS 16
#define FRAME 2048

struct frame {
    struct frame *next;
    int64_t due_ms;
    unsigned from;
    size_t n;
    uint8_t p[FRAME];
};

static unsigned ntaps;
static struct pollfd fds[MAX_TAPS + 1];
static const char *names[MAX_TAPS];
static char cuts[MAX_TAPS][MAX_TAPS];
static int delay_ms, loss, block, flip;
static char look[256];
static unsigned long frames, seen;
static struct frame *first, **last = &first;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int make_tap(const char *name)
{
    struct ifreq r;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    memset(&r, 0, sizeof r);
    r.ifr_flags = IFF_TAP | IFF_NO_PI;
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0) {
        fprintf(stderr, "wire: %s: %s\n", name, strerror(errno));
        exit(1);
    }
    return fd;
}

/* Behind Ethernet, IPv4 and UDP headers; the checksum is set to "none", or the kernel would drop it. */
static void damage(struct frame *f)
{
    if (f->n < 142 || f->p[12] != 8 || f->p[13] != 0 || f->p[14] != 0x45 || f->p[23] != 17)
        return;
    f->p[f->n - 1] ^= 1;
    f->p[40] = f->p[41] = 0;
}

static void take(unsigned i)
{
    for (int k = 0; k < 64; k++) {
        struct frame *f = malloc(sizeof *f);
        ssize_t n = f == NULL ? -1 : read(fds[i].fd, f->p, sizeof f->p);
        if (n <= 0) {
            free(f);
            return;
        }
        frames++;
        f->n = (size_t)n;
        f->from = i;
        if (look[0] != 0 && memmem(f->p, f->n, look, strlen(look)) != NULL)
            seen++;
        if (block || (loss > 0 && rand() % 100 < loss)) {
            free(f);
            continue;
        }
        if (flip)
            damage(f);
        f->due_ms = now_ms() + delay_ms;
        f->next = NULL;
        *last = f;
        last = &f->next;
    }
}

static void give_due(void)
{
    while (first != NULL && first->due_ms <= now_ms()) {
        struct frame *f = first;
        first = f->next;
        if (first == NULL)
            last = &first;
        for (unsigned i = 0; i < ntaps; i++)
            if (i != f->from && !cuts[i][f->from])
                (void)!write(fds[i].fd, f->p, f->n);
        free(f);
    }
}

static unsigned index_of(const char *name)
{
    unsigned i = 0;
    while (i < ntaps && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static void command(char *line)
{
    char a[256] = "", b[64] = "";
    int v = 0;
    if (sscanf(line, "delay %d", &v) == 1)
        delay_ms = v;
    else if (sscanf(line, "loss %d", &v) == 1)
        loss = v;
    else if (sscanf(line, "block %d", &v) == 1)
        block = v;
    else if (sscanf(line, "flip %d", &v) == 1)
        flip = v;
    else if (sscanf(line, "cut %63s %63s", a, b) == 2) {
        unsigned i = index_of(a), k = index_of(b);
        if (i == ntaps || k == ntaps)
            memset(cuts, 0, sizeof cuts);
        else
            cuts[i][k] = cuts[k][i] = 1;
    } else if (sscanf(line, "look %255s", a) == 1) {
        memcpy(look, a, sizeof look);
        frames = seen = 0;
    } else if (sscanf(line, "report %255s", a) == 1) {
        FILE *f = fopen(a, "w");
        if (f != NULL) {
            fprintf(f, "frames %lu seen %lu\n", frames, seen);
            fclose(f);
        }
    } else if (strncmp(line, "end", 3) == 0) {
        exit(0);
    }
}

static void commands(void)
{
    static char text[4096];
    static size_t n;
    ssize_t k = read(fds[ntaps].fd, text + n, sizeof text - n - 1);
    if (k <= 0)
        return;
    n += (size_t)k;
    text[n] = 0;
    char *line = text, *end;
    while ((end = strchr(line, '\n')) != NULL) {
        *end = 0;
        command(line);
        line = end + 1;
    }
    n = strlen(line);
    memmove(text, line, n + 1);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc - 2 > MAX_TAPS) {
        fprintf(stderr, "usage: wire FIFO NAME...\n");
        return 2;
    }
    srand(7);
    ntaps = (unsigned)argc - 2;
    for (unsigned i = 0; i < ntaps; i++) {
        names[i] = argv[i + 2];
        fds[i] = (struct pollfd){.fd = make_tap(names[i]), .events = POLLIN};
    }
    /* Writable too, so that it has no end of file. */
    fds[ntaps] = (struct pollfd){.fd = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC), .events = POLLIN};
    if (fds[ntaps].fd < 0)
        return 1;
    for (;;) {
        int64_t wait = first == NULL ? -1 : first->due_ms - now_ms();
        if (poll(fds, ntaps + 1, wait < 0 && first != NULL ? 0 : (int)wait) < 0 && errno != EINTR)
            return 1;
        for (unsigned i = 0; i < ntaps; i++)
            if (fds[i].revents & POLLIN)
                take(i);
        if (fds[ntaps].revents & POLLIN)
            commands();
        give_due();
    }
}
