/* Salsa20/12 for LANES blocks at once: each vector holds one word of all of them, so that a round
 * is the same few instructions as for one block. Included by salsa12.c once per instruction set,
 * with
 *
 *   LANES    4 or 8
 *   NAME     of the function
 *   TARGET   the function's attribute, may be empty
 *   SHUFFLE  of two vectors, by name: LO32, HI32, LO64, HI64 interleave within each 128 bits */

#define VEC NAME_JOIN(NAME, _vec)
#define NAME_JOIN(a, b) NAME_JOIN2(a, b)
#define NAME_JOIN2(a, b) a##b

typedef uint32_t VEC __attribute__((vector_size(4 * LANES)));

#define ROTL(v, n) ((v) << (n) | (v) >> (32 - (n)))
#define QUARTER(a, b, c, d)   \
    do {                      \
        b ^= ROTL(a + d, 7);  \
        c ^= ROTL(b + a, 9);  \
        d ^= ROTL(c + b, 13); \
        a ^= ROTL(d + c, 18); \
    } while (0)

/* p ^= the key stream of LANES blocks that begin with the one of `in`, whose counter stays below
 * 2^32. */
TARGET static void NAME(const uint32_t in[16], uint8_t *p)
{
    VEC s[16], x[16];

    for (unsigned i = 0; i < 16; i++)
        s[i] = (VEC){0} + in[i];
    for (unsigned k = 0; k < LANES; k++)
        s[8][k] += k;
    for (unsigned i = 0; i < 16; i++)
        x[i] = s[i];
    for (unsigned round = 0; round < 12; round += 2) {
        QUARTER(x[0], x[4], x[8], x[12]);
        QUARTER(x[5], x[9], x[13], x[1]);
        QUARTER(x[10], x[14], x[2], x[6]);
        QUARTER(x[15], x[3], x[7], x[11]);
        QUARTER(x[0], x[1], x[2], x[3]);
        QUARTER(x[5], x[6], x[7], x[4]);
        QUARTER(x[10], x[11], x[8], x[9]);
        QUARTER(x[15], x[12], x[13], x[14]);
    }
    /* Four words of each block, then the next four: a block's 16 bytes lie together after this. */
    for (unsigned i = 0; i < 16; i += 4) {
        VEC a = x[i] + s[i], b = x[i + 1] + s[i + 1];
        VEC c = x[i + 2] + s[i + 2], d = x[i + 3] + s[i + 3];
        VEC ab0 = SHUFFLE(a, b, LO32), ab1 = SHUFFLE(a, b, HI32);
        VEC cd0 = SHUFFLE(c, d, LO32), cd1 = SHUFFLE(c, d, HI32);
        VEC row[4] = {SHUFFLE(ab0, cd0, LO64), SHUFFLE(ab0, cd0, HI64), SHUFFLE(ab1, cd1, LO64),
                      SHUFFLE(ab1, cd1, HI64)};

        for (unsigned k = 0; k < LANES; k++) {
            uint8_t *at = p + 64 * k + 4 * i;
            salsa_vec4 piece, data;
            memcpy(&piece, (const uint8_t *)&row[k % 4] + 16 * (k / 4), 16);
            memcpy(&data, at, 16);
            data ^= piece;
            memcpy(at, &data, 16);
        }
    }
}

#undef ROTL
#undef QUARTER
#undef VEC
#undef NAME_JOIN
#undef NAME_JOIN2
#undef LANES
#undef NAME
#undef TARGET
#undef SHUFFLE
