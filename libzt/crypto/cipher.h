/* Sealing and opening packets (vl1.md 3), in place.
 *
 * struct zt_keys holds what a pair of nodes shares. The AES parts are derived at zt_keys_init, the
 * OpenSSL contexts made on first use; one thread uses a zt_keys at a time. */
#ifndef ZT_CRYPTO_CIPHER_H
#define ZT_CRYPTO_CIPHER_H

#include "crypto/identity.h"
#include "wire/packet.h"

struct zt_aes; /* contexts, cipher.c */

struct zt_keys {
    uint8_t k[ZT_SHARED_KEY];
    uint8_t k0[32], k1[32]; /* GMAC; block and CTR */
    struct zt_aes *aes;     /* NULL until first needed */
};

/* Returns 0 or ZT_E_CRYPTO. */
int zt_keys_init(struct zt_keys *keys, const uint8_t shared[ZT_SHARED_KEY]);
void zt_keys_fini(struct zt_keys *keys); /* wipes */

/* KBKDF of vl1.md 3.5. Returns 0, or ZT_E_CRYPTO (out is then zero). */
int zt_kbkdf(const uint8_t shared[ZT_SHARED_KEY], uint8_t label, uint8_t context,
             uint32_t iteration, uint8_t out[48]);

/* Seal a complete packet of 28 <= n <= ZT_PKT_MAX bytes whose id field holds the random IV and
 * whose ZT_FLAG_FRAGMENTED is final; sets cipher bits, hops 0, MAC, and for AES the packet id.
 * suite is POLY, SALSA or AES. Returns 0 or ZT_E_CRYPTO, ZT_E_NOMEM. */
int zt_seal(struct zt_keys *keys, enum zt_suite suite, uint8_t *p, size_t n);

/* Authenticate, then decrypt in place, by the cipher field. On failure p is undefined: 0,
 * ZT_E_CRYPTO (bad tag), ZT_E_UNSUPPORTED (cipher 2 or unknown), ZT_E_TRUNCATED, ZT_E_FORMAT
 * (longer than ZT_PKT_MAX), ZT_E_NOMEM. */
int zt_open(struct zt_keys *keys, uint8_t *p, size_t n);

/* XOR bytes from..n of a HELLO with the mask of vl1.md 3.4. */
void zt_hello_mask(const struct zt_keys *keys, uint8_t *p, size_t n, size_t from);

#endif
