/* What lwIP takes from outside besides packets: time, randomness, checksums. */
#ifndef ZT_STACK_PORT_H
#define ZT_STACK_PORT_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4: initial sequence numbers and the places of table entries whose keys strangers
 * choose. */
uint64_t zt_siphash(const uint64_t key[2], const void *data, size_t n);

#endif
