/* Making, validating and using identities (vl1.md 1). Pure functions; randomness is an argument. */
#ifndef ZT_CRYPTO_IDENTITY_H
#define ZT_CRYPTO_IDENTITY_H

#include "wire/identity.h"

#define ZT_SIGNATURE_BYTES 96
#define ZT_SHARED_KEY 48

typedef void zt_random_fn(void *user, void *out, size_t n);

/* Prepare the crypto libraries; call once per process before anything else of crypto/ (idempotent,
 * thread-safe). Returns 0 or ZT_E_CRYPTO. */
int zt_crypto_init(void);

/* Search for a new identity: about half a second, 2 MiB of memory. Returns 0, ZT_E_NOMEM. */
int zt_identity_generate(zt_random_fn *random, void *user, struct zt_identity *out);

/* A key pair without proof of work or address (addr 0): signs worlds. */
void zt_keypair_generate(zt_random_fn *random, void *user, struct zt_identity *out);

/* Full check: address not reserved, proof of work, address belongs to the key; with a private key,
 * that it belongs to the public one. Some 30 ms, 2 MiB. */
bool zt_identity_validate(const struct zt_identity *id);

/* Only the part about the private key, in microseconds. */
bool zt_identity_keys_match(const struct zt_identity *id);

/* The memory-hard digest of vl1.md 1.2 (tests look at it). Returns 0 or ZT_E_NOMEM. */
int zt_identity_digest(const uint8_t pub[ZT_PUB], uint8_t out[64]);

/* Static shared key of the pair (vl1.md 1.7): 0, or ZT_E_CRYPTO for an unusable key. */
int zt_identity_agree(const struct zt_identity *me, const struct zt_identity *peer,
                      uint8_t key[ZT_SHARED_KEY]);

void zt_identity_sign(const struct zt_identity *me, const void *msg, size_t n,
                      uint8_t sig[ZT_SIGNATURE_BYTES]);
bool zt_identity_verify(const uint8_t pub[ZT_PUB], const void *msg, size_t n,
                        const uint8_t sig[ZT_SIGNATURE_BYTES]);

/* SHA-384 over address and public key (vl1.md 1.8). Returns 0, or ZT_E_CRYPTO (out is then zero).
 */
int zt_identity_fingerprint(const struct zt_identity *id, uint8_t out[48]);

/* Overwrite so that the compiler keeps it. */
void zt_wipe(void *p, size_t n);
/* Are two texts equal? Takes a time that tells their lengths alone. */
bool zt_same_secret(const char *a, const char *b);

#endif
