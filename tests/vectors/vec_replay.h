#ifndef ZT_TESTS_VEC_REPLAY_H
#define ZT_TESTS_VEC_REPLAY_H

#include "vec.h"

/* The second part of vec_handshake: nodes of ours in the places of the recorded ones. */
void vec_replay(struct vec *v);

#endif
