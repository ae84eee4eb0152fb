/* AES-256 in the form of the protocol (vl1.md 3.5): GMAC under k0 over header fields and body,
 * folded to eight bytes and sealed with the packet id as one block under k1, and that block starts
 * CTR under k1 over the body. Only cipher.c and tests use this.
 *
 * Three forms that give the same bytes: OpenSSL's (any machine), AES-NI with carry-less
 * multiplication, and the same with two blocks an instruction (VAES, VPCLMULQDQ). Our own exist
 * because half of a packet's time in OpenSSL is looking up parameters by name, and because it
 * doesn't know the wide instructions for this mode. One object is for one thread at a time. */
#ifndef ZT_CRYPTO_AES_SIV_H
#define ZT_CRYPTO_AES_SIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZT_AES_LEVELS 3

struct zt_aes;

/* The best form that the machine has, but none above `level` (0 to ZT_AES_LEVELS - 1). NULL: no
 * memory, or OpenSSL refuses. */
struct zt_aes *zt_aes_new(const uint8_t k0[32], const uint8_t k1[32], unsigned level);
void zt_aes_free(struct zt_aes *aes); /* wipes; NULL is fine */
unsigned zt_aes_level(const struct zt_aes *aes);

/* A whole packet in place, ZT_PKT_MIN <= n <= ZT_PKT_MAX. Seal: the header is final but for id and
 * MAC, which are written. False: OpenSSL failed. */
bool zt_aes_seal(struct zt_aes *aes, uint8_t *p, size_t n);
/* False: it is not genuine (or OpenSSL failed); p is then destroyed. id and MAC stay the wire's. */
bool zt_aes_open(struct zt_aes *aes, uint8_t *p, size_t n);

/* --- aes_x86.c, for aes_siv.c --- */

/* Keys ready for use; aligned to 16 bytes. */
struct zt_aes_x86 {
    _Alignas(16) uint8_t mac[15][16], ctr[15][16], unctr[15][16]; /* key schedules */
    _Alignas(16) uint8_t powers[16][16];                          /* of the GHASH key, 16th first */
};

unsigned zt_aes_x86_level(void); /* 0: none; 1; 2: the wide form. Asks the processor: some us */
void zt_aes_x86_init(struct zt_aes_x86 *x, const uint8_t k0[32], const uint8_t k1[32]);
/* GMAC with an empty text: 16 bytes of head, then n bytes at p, are what is authenticated. */
void zt_aes_x86_gmac(const struct zt_aes_x86 *x, bool wide, const uint8_t iv[12],
                     const uint8_t head[16], const uint8_t *p, size_t n, uint8_t tag[16]);
/* The counter's last 32 bits must not overflow. */
void zt_aes_x86_ctr(const struct zt_aes_x86 *x, bool wide, const uint8_t start[16], uint8_t *p,
                    size_t n);
void zt_aes_x86_block(const struct zt_aes_x86 *x, bool encrypt, const uint8_t in[16],
                      uint8_t out[16]);

#endif
