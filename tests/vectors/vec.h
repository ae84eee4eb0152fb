/* Harness of test_vectors: one function per JSON file, one case per recorded example. A case passes
 * when at least one check was made in it and none failed; each failure is printed with file, case
 * and field. A field that the file does not have fails the case that asks for it. */
#ifndef ZT_TESTS_VEC_H
#define ZT_TESTS_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct vec {
    const char *name;   /* "armor" */
    const char *folder; /* where the JSON files are */
    json_t *root;       /* the file's content */
    unsigned passed, failed;

    /* current case */
    char where[160];
    bool open, bad;
    unsigned checks;
    void **mem; /* decoded fields, freed when the case ends */
    size_t nmem;
};

/* Begin the next case: section[index], with a label that may be NULL. Ends the one before. */
void vec_case(struct vec *v, const char *section, size_t index, const char *label);
void vec_end(struct vec *v);

/* for every object `c` of the array root[section], each as a case labelled with its field `label`
 * (may be NULL). An empty or missing array is a failure. */
#define VEC_EACH(v, section, label, c)                                                   \
    for (size_t c##_i_ = 0, c##_n_ = vec_section(v, section); c##_i_ < c##_n_; c##_i_++) \
        for (json_t *c = vec_begin(v, section, c##_i_, label); c != NULL; c = NULL)
size_t vec_section(struct vec *v, const char *section);
json_t *vec_begin(struct vec *v, const char *section, size_t index, const char *label);

/* Record a check; prints `what` when it failed. Returns ok. */
bool vec_check(struct vec *v, bool ok, const char *what);
#define VEC_CHECK(v, cond) vec_check(v, cond, #cond)

/* Fields. A missing or ill-formed one fails the case and reads as empty, 0 or false. */
json_t *vec_field(struct vec *v, json_t *obj, const char *field);
bool vec_has(json_t *obj, const char *field);
const uint8_t *vec_hex(struct vec *v, json_t *obj, const char *field, size_t *n);
/* The same for exactly n bytes; a field of other length fails the case and reads as zero bytes. */
const uint8_t *vec_hex_n(struct vec *v, json_t *obj, const char *field, size_t n);
uint64_t vec_hex_u64(struct vec *v, json_t *obj, const char *field); /* "8056c2e21c000001" */
const char *vec_str(struct vec *v, json_t *obj, const char *field);
int64_t vec_int(struct vec *v, json_t *obj, const char *field);
bool vec_bool(struct vec *v, json_t *obj, const char *field);
/* Hex that is not a field, e.g. an element of an array. */
const uint8_t *vec_unhex(struct vec *v, const char *text, size_t *n);
/* Zeroed memory until the case ends. */
void *vec_alloc(struct vec *v, size_t n);

/* Compare our result with a field; prints both when they differ. */
bool vec_eq_hex(struct vec *v, json_t *obj, const char *field, const void *got, size_t n);
bool vec_eq_int(struct vec *v, json_t *obj, const char *field, int64_t got);
bool vec_eq_str(struct vec *v, json_t *obj, const char *field, const char *got);
bool vec_eq_bool(struct vec *v, json_t *obj, const char *field, bool got);
bool vec_eq_u64(struct vec *v, json_t *obj, const char *field, uint64_t got); /* hex field */

/* One per file: 0, or -1 when the file could not be tested at all. */
int vec_identity(struct vec *v);
int vec_agree(struct vec *v);
int vec_sign(struct vec *v);
int vec_salsa(struct vec *v);
int vec_poly1305(struct vec *v);
int vec_hash(struct vec *v);
int vec_aes(struct vec *v);
int vec_armor(struct vec *v);
int vec_compress(struct vec *v);
int vec_inetaddress(struct vec *v);
int vec_mac(struct vec *v);
int vec_world(struct vec *v);
int vec_handshake(struct vec *v);
int vec_com(struct vec *v);
int vec_rules(struct vec *v);
int vec_controller(struct vec *v);
int vec_netconf(struct vec *v);
int vec_dictionary(struct vec *v);

#endif
