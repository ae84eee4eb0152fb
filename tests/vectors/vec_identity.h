#ifndef ZT_TESTS_VEC_IDENTITY_H
#define ZT_TESTS_VEC_IDENTITY_H

#include "vec.h"
#include "wire/identity.h"

/* Field with an identity in text form; false (and the case failed) when it does not parse. */
bool vec_identity_field(struct vec *v, json_t *obj, const char *field, struct zt_identity *out);

#endif
