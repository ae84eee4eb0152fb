/* Interfaces. The joined networks of a running node appear beside the kernel's interfaces, in what
 * programs ask to find out their addresses: getifaddrs, if_nameindex and the SIOCGIF* requests.
 * (Not through netlink, which only tools of the system speak.) Their numbers are beyond the
 * kernel's, so that a number in a group membership or a scope tells whose interface is meant. No
 * node is started for a question.
 *
 * What libc's own freeifaddrs and if_freenameindex free is what libc's functions allocate: one
 * block, and one block with a string for each entry. Lists of ours are made the same way. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "real.h"
#include "shim.h"
#include "sys.h"

#define ADDRS 64 /* of an interface */
#define FLAGS (IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST)

bool zt_if_by_name(const char *name, struct zt_state_if *out)
{
    struct zt_state_if ifs[ZT_STATE_IFS];
    char text[16];
    if (strncmp(name, "zt", 2) != 0)
        return false;
    unsigned n = zt_ifs(ifs);
    for (unsigned i = 0; i < n; i++) {
        zt_ctl_ifname(ifs[i].nwid, text);
        if (strncmp(text, name, sizeof text) != 0)
            continue;
        *out = ifs[i];
        out->pad = i; /* its place, for zt_if_addrs */
        return true;
    }
    return false;
}

/* ---- getifaddrs ---- */

union any_sa {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_ll ll;
    struct sockaddr_storage ss;
};

struct entry {
    struct ifaddrs ifa;
    union any_sa addr, mask, broad;
    struct rtnl_link_stats counters;
    char name[16];
};

static void prefix_mask(uint8_t *out, unsigned bytes, unsigned bits)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = bits >= 8 * (i + 1) ? 0xff
                 : bits <= 8 * i     ? 0
                                     : (uint8_t)(0xff00 >> (bits - 8 * i));
}

static void fill_ip(const struct zt_state_range *r, union any_sa *addr, union any_sa *mask,
                    union any_sa *broad)
{
    unsigned bits = r->ours - 1u;
    memset(addr, 0, sizeof *addr);
    memset(mask, 0, sizeof *mask);
    memset(broad, 0, sizeof *broad);
    if (r->family == 6) {
        addr->in6.sin6_family = mask->in6.sin6_family = AF_INET6;
        memcpy(&addr->in6.sin6_addr, r->ip, 16);
        prefix_mask(mask->in6.sin6_addr.s6_addr, 16, bits);
        return;
    }
    addr->in.sin_family = mask->in.sin_family = broad->in.sin_family = AF_INET;
    memcpy(&addr->in.sin_addr, r->ip, 4);
    prefix_mask((uint8_t *)&mask->in.sin_addr, 4, bits);
    broad->in.sin_addr.s_addr = addr->in.sin_addr.s_addr | ~mask->in.sin_addr.s_addr;
}

static void fill_link(const struct zt_state_if *f, union any_sa *addr, bool broadcast)
{
    memset(addr, 0, sizeof *addr);
    addr->ll.sll_family = AF_PACKET;
    addr->ll.sll_ifindex = (int)zt_if_out(f->index);
    addr->ll.sll_hatype = ARPHRD_ETHER;
    addr->ll.sll_halen = 6;
    if (broadcast)
        memset(addr->ll.sll_addr, 0xff, 6);
    else
        memcpy(addr->ll.sll_addr, f->mac, 6);
}

static void entry_of(struct entry *e, const struct zt_state_if *f, const struct zt_state_range *r)
{
    zt_ctl_ifname(f->nwid, e->name);
    e->ifa = (struct ifaddrs){.ifa_name = e->name,
                              .ifa_flags = FLAGS,
                              .ifa_addr = &e->addr.sa,
                              .ifa_netmask = r ? &e->mask.sa : NULL,
                              .ifa_broadaddr = !r || r->family == 4 ? &e->broad.sa : NULL};
    if (r) {
        fill_ip(r, &e->addr, &e->mask, &e->broad);
    } else {
        fill_link(f, &e->addr, false);
        fill_link(f, &e->broad, true);
    }
}

/* Ours, as an array; *n entries. NULL without memory or without any. */
static struct entry *own_entries(unsigned *n)
{
    struct zt_state_if ifs[ZT_STATE_IFS];
    struct zt_state_range r[ADDRS];
    unsigned nifs = zt_ifs(ifs), cap = nifs, k = 0;
    for (unsigned i = 0; i < nifs; i++)
        cap += zt_if_addrs(i, r, ADDRS);
    struct entry *e = cap ? calloc(cap, sizeof *e) : NULL;
    for (unsigned i = 0; e && i < nifs && k < cap; i++) {
        entry_of(&e[k++], &ifs[i], NULL);
        unsigned na = zt_if_addrs(i, r, ADDRS);
        for (unsigned a = 0; a < na && k < cap; a++)
            entry_of(&e[k++], &ifs[i], &r[a]);
    }
    *n = e ? k : 0;
    return e;
}

static size_t sa_size(const struct sockaddr *sa)
{
    return !sa                          ? 0
           : sa->sa_family == AF_INET6  ? sizeof(struct sockaddr_in6)
           : sa->sa_family == AF_PACKET ? sizeof(struct sockaddr_ll)
                                        : sizeof(struct sockaddr_in);
}

static struct sockaddr *copy_sa(union any_sa *to, const struct sockaddr *from)
{
    if (!from)
        return NULL;
    memcpy(to, from, sa_size(from));
    return &to->sa;
}

/* The kernel's and ours in one block. */
static struct ifaddrs *join(const struct ifaddrs *kernel, const struct entry *ours, unsigned nours)
{
    unsigned n = nours, i = 0;
    for (const struct ifaddrs *k = kernel; k; k = k->ifa_next)
        n++;
    struct entry *e = calloc(n, sizeof *e);
    if (!e)
        return NULL;
    for (const struct ifaddrs *k = kernel; k; k = k->ifa_next, i++) {
        e[i].ifa = *k;
        strncpy(e[i].name, k->ifa_name, sizeof e[i].name - 1);
        e[i].ifa.ifa_addr = copy_sa(&e[i].addr, k->ifa_addr);
        e[i].ifa.ifa_netmask = copy_sa(&e[i].mask, k->ifa_netmask);
        e[i].ifa.ifa_broadaddr = copy_sa(&e[i].broad, k->ifa_broadaddr);
        bool counts = k->ifa_data && k->ifa_addr && k->ifa_addr->sa_family == AF_PACKET;
        if (counts)
            memcpy(&e[i].counters, k->ifa_data, sizeof e[i].counters);
        e[i].ifa.ifa_data = counts ? &e[i].counters : NULL;
    }
    for (unsigned k = 0; k < nours; k++, i++) {
        e[i] = ours[k];
        e[i].ifa.ifa_addr = &e[i].addr.sa;
        e[i].ifa.ifa_netmask = ours[k].ifa.ifa_netmask ? &e[i].mask.sa : NULL;
        e[i].ifa.ifa_broadaddr = ours[k].ifa.ifa_broadaddr ? &e[i].broad.sa : NULL;
    }
    for (i = 0; i < n; i++) {
        e[i].ifa.ifa_name = e[i].name;
        e[i].ifa.ifa_next = i + 1 < n ? &e[i + 1].ifa : NULL;
    }
    return &e[0].ifa;
}

ZT_EXPORT int getifaddrs(struct ifaddrs **out)
{
    int r = REAL(getifaddrs)(out);
    if (r != 0)
        return r;
    unsigned n = 0;
    struct entry *ours = own_entries(&n);
    struct ifaddrs *all = n ? join(*out, ours, n) : NULL;
    free(ours);
    if (all) {
        freeifaddrs(*out);
        *out = all;
    }
    return 0;
}

/* ---- names and numbers ---- */

ZT_EXPORT unsigned if_nametoindex(const char *name)
{
    struct zt_state_if f;
    return zt_if_by_name(name, &f) ? zt_if_out(f.index) : REAL(if_nametoindex)(name);
}

ZT_EXPORT char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
    struct zt_state_if ifs[ZT_STATE_IFS];
    unsigned n = zt_if_is_virtual(index) ? zt_ifs(ifs) : 0;
    for (unsigned i = 0; i < n; i++)
        if (zt_if_out(ifs[i].index) == index) {
            zt_ctl_ifname(ifs[i].nwid, name);
            return name;
        }
    return REAL(if_indextoname)(index, name);
}

ZT_EXPORT struct if_nameindex *if_nameindex(void)
{
    struct zt_state_if ifs[ZT_STATE_IFS];
    struct if_nameindex *kernel = REAL(if_nameindex)();
    unsigned nk = 0, n = kernel ? zt_ifs(ifs) : 0;
    if (!n)
        return kernel;
    while (kernel[nk].if_index || kernel[nk].if_name)
        nk++;
    struct if_nameindex *all = realloc(kernel, (nk + n + 1) * sizeof *all);
    if (!all)
        return kernel;
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        zt_ctl_ifname(ifs[i].nwid, name);
        all[nk] = (struct if_nameindex){zt_if_out(ifs[i].index), strdup(name)};
        nk += all[nk].if_name != NULL;
    }
    all[nk] = (struct if_nameindex){0, NULL};
    return all;
}

/* ---- ioctl ---- */

/* Of a virtual descriptor the kernel knows no interfaces' addresses, for the pair is no inet socket: another
 * one is. */
static int ask_kernel(int fd, zt_word w, unsigned long request, void *arg)
{
    if (!w)
        return REAL(ioctl)(fd, request, arg);
    long s = zt_sys3(SYS_socket, w & ZT_W_V6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    long r = s < 0 ? s : zt_sys3(SYS_ioctl, s, request, arg);
    if (s >= 0)
        zt_sys1(SYS_close, s);
    return (int)zt_ret(r);
}

/* SIOCGIFCONF: IPv4 addresses alone. The kernel's first, then ours as far as there is room; without
 * a buffer, the room that would be needed. */
static int conf(int fd, zt_word w, struct ifconf *c)
{
    unsigned n = 0;
    struct entry *ours = own_entries(&n);
    int room = c->ifc_req ? c->ifc_len : 0;
    int r = ask_kernel(fd, w, SIOCGIFCONF, c);
    for (unsigned i = 0; r == 0 && i < n; i++) {
        struct ifreq q = {0};
        if (ours[i].addr.sa.sa_family != AF_INET)
            continue;
        memcpy(q.ifr_name, ours[i].name, sizeof ours[i].name);
        memcpy(&q.ifr_addr, &ours[i].addr.in, sizeof ours[i].addr.in);
        if (c->ifc_req && c->ifc_len + (int)sizeof q > room)
            break;
        if (c->ifc_req)
            memcpy(c->ifc_buf + c->ifc_len, &q, sizeof q);
        c->ifc_len += (int)sizeof q;
    }
    free(ours);
    return r;
}

static int about(const struct zt_state_if *f, unsigned long request, struct ifreq *q)
{
    struct zt_state_range r[ADDRS];
    union any_sa addr, mask, broad;
    unsigned n;
    switch (request) {
    case SIOCGIFINDEX:
        q->ifr_ifindex = (int)zt_if_out(f->index);
        return 0;
    case SIOCGIFFLAGS:
        q->ifr_flags = FLAGS;
        return 0;
    case SIOCGIFMTU:
        q->ifr_mtu = f->mtu;
        return 0;
    case SIOCGIFMETRIC:
        q->ifr_metric = 0;
        return 0;
    case SIOCGIFHWADDR:
        memset(&q->ifr_hwaddr, 0, sizeof q->ifr_hwaddr);
        q->ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(q->ifr_hwaddr.sa_data, f->mac, 6);
        return 0;
    case SIOCGIFADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFBRDADDR:
        n = zt_if_addrs(f->pad, r, ADDRS);
        for (unsigned i = 0; i < n; i++)
            if (r[i].family == 4) {
                fill_ip(&r[i], &addr, &mask, &broad);
                memcpy(&q->ifr_addr,
                       request == SIOCGIFADDR      ? &addr.sa
                       : request == SIOCGIFNETMASK ? &mask.sa
                                                   : &broad.sa,
                       sizeof q->ifr_addr);
                return 0;
            }
        return zt_fail(EADDRNOTAVAIL);
    default:
        return zt_fail(EOPNOTSUPP);
    }
}

int zt_if_ioctl(int fd, zt_word w, unsigned long request, void *arg)
{
    struct zt_state_if f;
    struct ifreq *q = arg;
    if (zt_wild(arg))
        return w ? zt_fail(EFAULT) : 1;
    if (request == SIOCGIFCONF)
        return conf(fd, w, arg);
    if (request == SIOCGIFNAME && zt_if_is_virtual((uint32_t)q->ifr_ifindex))
        return if_indextoname((unsigned)q->ifr_ifindex, q->ifr_name) ? 0 : zt_fail(ENODEV);
    if (request != SIOCGIFNAME && zt_if_by_name(q->ifr_name, &f))
        return about(&f, request, q);
    return w ? ask_kernel(fd, w, request, arg) : 1;
}
