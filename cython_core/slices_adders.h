/* Full adders and counters on vectors of GX_WORDS words; included by slices_kernel.h. See slices.h for the idea. */

#define GX_W(base) GX_JOIN(GX_JOIN(base, GX_WORDS), GX_JOIN(_, GX_SUFFIX))
#define GX_V GX_W(gx_lanes)
#if GX_ISA >= GX_AVX512
#define GX_KEPT 12         /* lowest bits of a counter, kept in registers over a list */
#else
#define GX_KEPT 7
#endif

typedef uint64_t GX_V __attribute__((vector_size(8 * GX_WORDS)));

/* A full adder is a parity and a majority. */
#if GX_ISA >= GX_AVX512
#if GX_WORDS == 8
#define GX_LOGIC(x, y, z, truth) (GX_V) _mm512_ternarylogic_epi64((__m512i)(x), (__m512i)(y), (__m512i)(z), truth)
#elif GX_WORDS == 4
#define GX_LOGIC(x, y, z, truth) (GX_V) _mm256_ternarylogic_epi64((__m256i)(x), (__m256i)(y), (__m256i)(z), truth)
#else
#define GX_LOGIC(x, y, z, truth) (GX_V) _mm_ternarylogic_epi64((__m128i)(x), (__m128i)(y), (__m128i)(z), truth)
#endif
#define GX_PARITY(x, y, z) GX_LOGIC(x, y, z, 0x96)
#define GX_MAJORITY(x, y, z) GX_LOGIC(x, y, z, 0xe8)
#define GX_CARRY(s, t, a) GX_LOGIC(s, t, a, 0xb2)           /* s where s ^ t, else a */
#define GX_BORROW(c, edge, borrow) GX_LOGIC(c, edge, borrow, 0x8e)
#define GX_SAME(x, y, z) GX_LOGIC(x, y, z, 0x69)            /* complement of their parity */
#define GX_CARRY_OF(s, p, q) GX_LOGIC(s, p, q, 0xdc)        /* 1 where p, s where neither p nor q */
#else
#define GX_PARITY(x, y, z) ((x) ^ (y) ^ (z))
#define GX_MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))
#define GX_CARRY(s, t, a) (((s) & ~(t)) | (a))              /* a is 0 where s ^ t */
#define GX_BORROW(c, edge, borrow) GX_MAJORITY(~(c), edge, borrow)
#endif

#if GX_ISA == GX_NEON           /* compilers know a bitwise select, one instruction, in this form alone */
#undef GX_MAJORITY
#undef GX_CHOOSE
#define GX_CHOOSE(which, x, y) ((((x) ^ (y)) & (which)) ^ (y))
#define GX_MAJORITY(x, y, z) GX_CHOOSE((x) ^ (y), z, x)
#endif

GX_INLINE GX_V GX_W(gx_load)(const void *at)
{
    GX_V v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* Join two carries at *c; returns theirs. */
GX_INLINE GX_V GX_W(gx_join)(GX_V *c, GX_V x, GX_V y)
{
    const GX_V s = *c;
    *c = GX_PARITY(s, x, y);
    return GX_MAJORITY(s, x, y);
}

/* Add two rows of products, p where `list` says and q in the row's other half, at c[0]; returns their carry. Without
 * ternary logic c[0] is turned over between the two, which saves complements. */
GX_INLINE GX_V GX_W(gx_two)(GX_V *c, const char *rows, const uint32_t *list, ptrdiff_t half)
{
    const uint32_t first = list[0], second = list[1], other = (uint32_t)half;
    const GX_V s = c[0], p = GX_W(gx_load)(rows + first), q = GX_W(gx_load)(rows + (first ^ other));
    const GX_V u = GX_W(gx_load)(rows + second), v = GX_W(gx_load)(rows + (second ^ other));
#if GX_ISA >= GX_AVX512
    const GX_V t = GX_SAME(s, p, q);
    c[0] = GX_SAME(t, u, v);
    return GX_W(gx_join)(c + 1, GX_CARRY_OF(s, p, q), GX_CARRY_OF(t, u, v));
#else
    const GX_V turned = s ^ p ^ q;
    c[0] = turned ^ u ^ v;
    return GX_W(gx_join)(c + 1, (s & ~q) | p, ~((turned | v) & ~u));
#endif
}

/* Add a row of which z = [x == 0] is at `row` and a = [x > 0] `apart` bytes on at c[0]; returns the carry. Both are used
 * once, straight from memory: z = s ^ t need not be loaded twice, nor be kept. */
GX_INLINE GX_V GX_W(gx_row)(GX_V *c, const char *row, ptrdiff_t apart)
{
    const GX_V s = c[0], t = s ^ GX_W(gx_load)(row);
    c[0] = t;
    return GX_CARRY(s, t, GX_W(gx_load)(row + apart));
}

/* Trees that add 4 to 32 rows of a list at c[0] and return their carry: rows of products; rows [x == 0], [x > 0] that
 * weights select, in bytes ("strips" of pixels) or in words ("samples"). */
#define GX_TREE(type, name, half, level)                                                                              \
    GX_INLINE GX_V GX_W(name)(GX_V * c, const char *rows, const type *list, ptrdiff_t apart)                          \
    {                                                                                                                 \
        const GX_V x = GX_W(half)(c, rows, list, apart);                                                              \
        const GX_V y = GX_W(half)(c, rows, list + (1 << (level)) / 2, apart);                                         \
        return GX_W(gx_join)(c + (level), x, y);                                                                      \
    }
#define GX_TWO(type, unit, two)                                                                                       \
    GX_INLINE GX_V GX_W(two)(GX_V * c, const char *rows, const type *list, ptrdiff_t apart)                           \
    {                                                                                                                 \
        const GX_V x = GX_W(gx_row)(c, rows + (unit) * (size_t)list[0], apart);                                       \
        const GX_V y = GX_W(gx_row)(c, rows + (unit) * (size_t)list[1], apart);                                       \
        return GX_W(gx_join)(c + 1, x, y);                                                                            \
    }
#define GX_TREES(type, two, four, eight, sixteen, thirtytwo)                                                          \
    GX_TREE(type, four, two, 2)                                                                                       \
    GX_TREE(type, eight, four, 3)                                                                                     \
    GX_TREE(type, sixteen, eight, 4)                                                                                  \
    GX_TREE(type, thirtytwo, sixteen, 5)

GX_TREES(uint32_t, gx_two, gx_four, gx_eight, gx_sixteen, gx_thirtytwo)
#if GX_WORDS == GX_SAMPLE_PART
GX_TWO(uint32_t, 1, gx_two_strips)
GX_TREES(uint32_t, gx_two_strips, gx_four_strips, gx_eight_strips, gx_sixteen_strips, gx_thirtytwo_strips)
GX_TWO(uint16_t, 8, gx_two_samples)
GX_TREES(uint16_t, gx_two_samples, gx_four_samples, gx_eight_samples, gx_sixteen_samples, gx_thirtytwo_samples)
#endif
#undef GX_TWO
#undef GX_TREE
#undef GX_TREES

/* Add a carry at one bit; returns what goes on to the next. */
GX_INLINE GX_V GX_W(gx_half)(GX_V *c, GX_V carry)
{
    const GX_V s = *c;
    *c = s ^ carry;
    return s & carry;
}

/* Add a carry at c[first] and let it ripple to the last bit; those beyond GX_KEPT are in `counter`. */
GX_INLINE void GX_W(gx_ripple)(GX_V *c, GX_V *counter, int32_t first, int32_t bits, GX_V carry)
{
    for (int32_t k = first; k < GX_KEPT; k++)
        carry = GX_W(gx_half)(c + k, carry);
    for (int32_t k = GX_KEPT; k < bits; k++)
        carry = GX_W(gx_half)(counter + k, carry);
}

/* Add a list's rows at counter[0]; n is in whole rounds. The lowest bits stay in registers over the whole list. What
 * is over whole 32s comes first, 4 to 16 rows, so that their carries meet on the way and ripple once. `ahead` fetches
 * the next 32 rows of products. */
#define GX_ADD_LIST(name, kind, ahead)                                                                                \
    GX_INLINE void GX_W(name)(GX_V * counter, int32_t bits, const char *rows, const uint32_t *list, int32_t n,        \
                              ptrdiff_t apart)                                                                        \
    {                                                                                                                 \
        GX_V c[GX_KEPT], carry = {0};                                                                                 \
        for (int32_t k = 0; k < GX_KEPT; k++)                                                                         \
            c[k] = counter[k];                                                                                        \
        if (n & 31) {                                                                                                 \
            if (n & 4) {                                                                                              \
                carry = GX_W(gx_half)(c + 3, GX_W(gx_four##kind)(c, rows, list, apart));                              \
                list += 4;                                                                                            \
            }                                                                                                         \
            if (n & 8) {                                                                                              \
                carry = GX_W(gx_join)(c + 4, carry, GX_W(gx_eight##kind)(c, rows, list, apart));                      \
                list += 8;                                                                                            \
            } else {                                                                                                  \
                carry = GX_W(gx_half)(c + 4, carry);                                                                  \
            }                                                                                                         \
            if (n & 16) {                                                                                             \
                carry = GX_W(gx_join)(c + 5, carry, GX_W(gx_sixteen##kind)(c, rows, list, apart));                    \
                list += 16;                                                                                           \
            } else {                                                                                                  \
                carry = GX_W(gx_half)(c + 5, carry);                                                                  \
            }                                                                                                         \
            GX_W(gx_ripple)(c, counter, 6, bits, carry);                                                              \
        }                                                                                                             \
        for (n >>= 5; n > 0; n--, list += 32) {                                                                       \
            ahead;                                                                                                    \
            GX_W(gx_ripple)(c, counter, 6, bits, GX_W(gx_thirtytwo##kind)(c, rows, list, apart));                     \
        }                                                                                                             \
        for (int32_t k = 0; k < GX_KEPT; k++)                                                                         \
            counter[k] = c[k];                                                                                        \
    }

GX_INLINE void GX_W(gx_fetch)(const char *rows, const uint32_t *list, ptrdiff_t half)
{
    for (int32_t k = 0; k < 32; k++) {
        __builtin_prefetch(rows + list[k]);
        if (GX_WORDS == 8)
            __builtin_prefetch(rows + (list[k] ^ (uint32_t)half));
    }
}

GX_ADD_LIST(gx_add_list, , (void)0)
GX_ADD_LIST(gx_add_far, , GX_W(gx_fetch)(rows, list + 32, apart))
#if GX_WORDS == GX_SAMPLE_PART
GX_ADD_LIST(gx_add_strips, _strips, (void)0)
#endif
#undef GX_ADD_LIST

/* One part of a block: counters of the sums of all lists, in offset binary. */
GX_INLINE void GX_W(gx_count)(const gx_sliced *u, int32_t block, int32_t part, const gx_row_list *lists,
                              int32_t planes, GX_V *counter)
{
    const int32_t width = u->width;
    uint64_t added = 0;
    for (int32_t j = 0; j < u->planes; j++)
        for (int32_t b = 0; b < planes; b++)
            added += (uint64_t)lists[b].n << (b + j);
    const uint64_t seed = ((uint64_t)1 << (u->bits - 1)) - added;
    for (int32_t k = 0; k < u->bits + GX_KEPT; k++)
        counter[k] = (GX_V){0} - ((seed >> k) & 1);
    for (int32_t j = 0; j < u->planes; j++) {
        const char *rows = (const char *)(u->rows + ((size_t)j * u->blocks + block) * u->n_rows * 2 * width + part);
        for (int32_t b = 0; b < planes; b++) {
            if (u->far)
                GX_W(gx_add_far)(counter + b + j, u->bits - b - j, rows, lists[b].offset, lists[b].n, 8 * width);
            else
                GX_W(gx_add_list)(counter + b + j, u->bits - b - j, rows, lists[b].offset, lists[b].n, 8 * width);
        }
    }
}

GX_TARGET static void GX_W(gx_fire_part)(const gx_sliced *u, int32_t block, int32_t part, const gx_row_list *lists,
                                         int32_t planes, uint64_t *ge, uint64_t *le)
{
    GX_V counter[GX_MAX_BITS + GX_KEPT], below_hi = {0}, at_most_lo = {0};
    const uint64_t *edge = u->edges + (size_t)block * u->bits * 2 * u->width + part;
    GX_W(gx_count)(u, block, part, lists, planes, counter);
    for (int32_t k = 0; k < u->bits; k++, edge += 2 * u->width) {
        below_hi = GX_BORROW(counter[k], GX_W(gx_load)(edge), below_hi);
        at_most_lo = GX_BORROW(counter[k], GX_W(gx_load)(edge + u->width), at_most_lo);
    }
    below_hi = ~below_hi;
    memcpy(ge + part, &below_hi, sizeof below_hi);
    memcpy(le + part, &at_most_lo, sizeof at_most_lo);
}

/* counter OUT [bits][GX_WORDS] */
GX_TARGET static void GX_W(gx_count_part)(const gx_sliced *u, int32_t block, int32_t part, const gx_row_list *lists,
                                          int32_t planes, uint64_t *out)
{
    GX_V counter[GX_MAX_BITS + GX_KEPT];
    GX_W(gx_count)(u, block, part, lists, planes, counter);
    memcpy(out, counter, sizeof(GX_V) * (size_t)u->bits);
}

#if GX_WORDS == GX_SAMPLE_PART
#include "slices_samples_kernel.h"
#include "slices_pixels_kernel.h"
#endif

#undef GX_LOGIC
#undef GX_PARITY
#undef GX_MAJORITY
#undef GX_CARRY
#undef GX_BORROW
#undef GX_V
#undef GX_KEPT
#undef GX_W
#undef GX_WORDS
