/* Salsa20/12, the cipher of peers before AES, in vectors. libsodium has vector code for twenty
 * rounds alone; its twelve are portable C at a fifth of this speed. Pure functions. */
#ifndef ZT_CRYPTO_SALSA12_H
#define ZT_CRYPTO_SALSA12_H

#include <stddef.h>
#include <stdint.h>

#define ZT_SALSA_BLOCK 64

/* p ^= key stream from block number `block` on. n: bytes, any; block + n / 64 below 2^32. */
void zt_salsa12_xor(const uint8_t key[32], const uint8_t iv[8], uint32_t block, uint8_t *p,
                    size_t n);

/* For tests and measurements: with only the first `level` of the machine's instruction sets (0: the
 * portable one). Returns the level used. */
unsigned zt_salsa12_xor_level(unsigned level, const uint8_t key[32], const uint8_t iv[8],
                              uint32_t block, uint8_t *p, size_t n);
#define ZT_SALSA_LEVELS 3

#endif
