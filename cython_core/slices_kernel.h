/* One instruction set's bit-sliced kernels; included by slices.h with GX_SUFFIX, GX_ISA and GX_TARGET set. */

#define GX_JOIN_(a, b) a##b
#define GX_JOIN(a, b) GX_JOIN_(a, b)
#define GX_NAME(base) GX_JOIN(base##_, GX_SUFFIX)
#define GX_INLINE static inline __attribute__((always_inline)) GX_TARGET

/* ---- adders and counters, for vectors of 2, 4 and 8 words ---- */

#define GX_SAMPLE_PART (GX_ISA >= GX_AVX2 ? 4 : 2)   /* words of the vectors that sample lanes use */
#define GX_WORDS 2
#include "slices_adders.h"
#if GX_ISA >= GX_AVX2
#define GX_WORDS 4
#include "slices_adders.h"
#endif
#if GX_ISA >= GX_AVX512
#define GX_WORDS 8
#include "slices_adders.h"
#endif

/* Sum the lists of `planes` source planes into one block's counters; ge, le OUT [width]: s >= hi, s <= lo.
 * A block wider than a vector is summed part by part; its lists are short and stay near. */
GX_TARGET static void GX_NAME(gx_fire_block)(const gx_sliced *u, int32_t block, const gx_row_list *lists,
                                             int32_t planes, uint64_t *ge, uint64_t *le)
{
    int32_t part = 0;
#if GX_ISA >= GX_AVX512
    for (; part + 8 <= u->width; part += 8)
        GX_NAME(gx_fire_part8)(u, block, part, lists, planes, ge, le);
#endif
#if GX_ISA >= GX_AVX2
    for (; part + 4 <= u->width; part += 4)
        GX_NAME(gx_fire_part4)(u, block, part, lists, planes, ge, le);
#endif
    for (; part + 2 <= u->width; part += 2)
        GX_NAME(gx_fire_part2)(u, block, part, lists, planes, ge, le);
}

/* lane INOUT [64 * words] += s, from counters [bits][words] in offset binary. */
GX_INLINE void GX_NAME(gx_unslice)(const uint64_t *counter, int32_t words, int32_t bits, int32_t *lane)
{
    for (int32_t at = 0; at < 4 * words; at++, lane += 16) {
        const int32_t word = at / 4, shift = 16 * (at % 4);
#if GX_ISA >= GX_AVX512
        __m512i sum = _mm512_loadu_si512(lane);
        for (int32_t k = 0; k < bits; k++)
            sum = _mm512_mask_add_epi32(sum, (__mmask16)(counter[k * words + word] >> shift), sum,
                                        _mm512_set1_epi32((int32_t)(1u << k)));
        _mm512_storeu_si512(lane, _mm512_sub_epi32(sum, _mm512_set1_epi32((int32_t)(1u << (bits - 1)))));
#else
        typedef uint32_t gx_eight __attribute__((vector_size(32)));
        const gx_eight bit[2] = {{1, 2, 4, 8, 16, 32, 64, 128}, {256, 512, 1024, 2048, 4096, 8192, 16384, 32768}};
        for (int32_t half = 0; half < 2; half++) {
            gx_eight sum;
            memcpy(&sum, lane + 8 * half, sizeof sum);
            for (int32_t k = 0; k < bits; k++) {
                const uint32_t set = (uint32_t)(counter[k * words + word] >> shift);
                sum += (gx_eight)((bit[half] & set) != 0) & (1u << k);
            }
            sum -= 1u << (bits - 1);
            memcpy(lane + 8 * half, &sum, sizeof sum);
        }
#endif
    }
}

/* The same, the sums themselves: lane INOUT [64 * width] += s. */
GX_TARGET static void GX_NAME(gx_sum_block)(const gx_sliced *u, int32_t block, const gx_row_list *lists,
                                            int32_t planes, int32_t *lane)
{
    uint64_t counter[GX_MAX_BITS * GX_MAX_WIDTH];
    int32_t part = 0;
#define GX_SUM_PARTS(words)                                                                                           \
    for (; part + (words) <= u->width; part += (words)) {                                                             \
        GX_NAME(gx_count_part##words)(u, block, part, lists, planes, counter);                                        \
        GX_NAME(gx_unslice)(counter, words, u->bits, lane + 64 * part);                                               \
    }
#if GX_ISA >= GX_AVX512
    GX_SUM_PARTS(8)
#endif
#if GX_ISA >= GX_AVX2
    GX_SUM_PARTS(4)
#endif
    GX_SUM_PARTS(2)
#undef GX_SUM_PARTS
}

/* ---- between levels, planes and lists ---- */

/* Signs of 64 levels, and one bit of their magnitude. */
GX_INLINE void GX_NAME(gx_pack_word)(const int8_t *levels, int32_t plane, uint64_t *plus, uint64_t *minus)
{
#if GX_ISA >= GX_AVX512
    const __m512i x = _mm512_loadu_si512(levels);
    const uint64_t negative = _mm512_movepi8_mask(x);
    const uint64_t set = _mm512_test_epi8_mask(_mm512_abs_epi8(x), _mm512_set1_epi8((char)(1 << plane)));
#elif GX_ISA >= GX_AVX2
    uint64_t negative = 0, set = 0;
    for (int32_t half = 0; half < 2; half++) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(levels + 32 * half));
        const __m256i bit = _mm256_set1_epi8((char)(1 << plane));
        const __m256i found = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_abs_epi8(x), bit), bit);
        negative |= (uint64_t)(uint32_t)_mm256_movemask_epi8(x) << (32 * half);
        set |= (uint64_t)(uint32_t)_mm256_movemask_epi8(found) << (32 * half);
    }
#else
    uint64_t negative = 0, set = 0;
    for (int32_t part = 0; part < 8; part++) {      /* eight levels a word; byte i of the product's top is bit i */
        const uint64_t ones = 0x0101010101010101u, gather = 0x0102040810204080u;
        uint64_t x;
        memcpy(&x, levels + 8 * part, sizeof x);
        const uint64_t below = (x >> 7) & ones, size = (x ^ (below * 0xff)) + below;
        negative |= ((below * gather) >> 56) << (8 * part);
        set |= ((((size >> plane) & ones) * gather) >> 56) << (8 * part);
    }
#endif
    *plus = set & ~negative;
    *minus = set & negative;
}

GX_TARGET static void GX_NAME(gx_pack)(const int8_t *levels, int32_t n, gx_planes *planes)
{
    for (int32_t word = 0; word < planes->words; word++) {
        const int8_t *from = levels + 64 * (ptrdiff_t)word;
        int8_t last[64];
        if (64 * word + 64 > n) {
            memset(last, 0, sizeof last);
            memcpy(last, from, (size_t)(n - 64 * word));
            from = last;
        }
        for (int32_t plane = 0; plane < planes->planes; plane++) {
            const size_t at = (size_t)plane * planes->words + word;
            GX_NAME(gx_pack_word)(from, plane, planes->plus + at, planes->minus + at);
        }
    }
}

/* Events of one plane, rising, 2 * unit + [negative], into list; rank OUT [words + 1]: events before each word. */
GX_INLINE void GX_NAME(gx_list_plane)(const uint64_t *plus, const uint64_t *minus, int32_t words, int32_t *list,
                                      int32_t *rank)
{
    int32_t n = 0;
#if GX_ISA >= GX_VBMI2
    int8_t even[64];
    for (int32_t i = 0; i < 64; i++)
        even[i] = (int8_t)(2 * i);
    const __m512i positions = _mm512_loadu_si512(even), one = _mm512_set1_epi8(1);
#elif GX_ISA >= GX_AVX2
    const __m256i one = _mm256_set1_epi32(1);
#endif
    for (int32_t word = 0; word < words; word++) {
        const uint64_t negative = minus[word];
        uint64_t set = plus[word] | negative;
        const int32_t count = __builtin_popcountll(set);
        rank[word] = n;
#if GX_ISA >= GX_VBMI2
        /* Positions and signs as bytes, compressed to those of the set bits; sixteen at a time they become int32. */
        __m512i found = _mm512_maskz_compress_epi8(set, _mm512_mask_add_epi8(positions, negative, positions, one));
        const __m512i base = _mm512_set1_epi32(128 * word);
        int32_t i = 0;
        do {
            _mm512_storeu_si512(list + n + i, _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(found))));
            found = _mm512_shuffle_i64x2(found, found, 0x39);
            i += 16;
        } while (i < count);
#elif GX_ISA >= GX_AVX2
        /* Eight units at a time, without a branch: a table has the positions of a byte's set bits. */
        for (int32_t first = 0; first < 64; first += 8) {
            const uint8_t byte = (uint8_t)(set >> first);
            const __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&gx_positions[byte]));
            const __m256i signs = _mm256_srlv_epi32(_mm256_set1_epi32((int32_t)(negative >> first & 0xff)), at);
            const __m256i base = _mm256_set1_epi32(128 * word + 2 * first);
            const __m256i found = _mm256_add_epi32(_mm256_add_epi32(at, at), _mm256_and_si256(signs, one));
            _mm256_storeu_si256((__m256i *)(list + n), _mm256_add_epi32(base, found));
            n += __builtin_popcount(byte);
        }
#else
        for (int32_t i = 0; i < count; i += 4)      /* four at a time: one unpredictable branch in four */
            for (int32_t k = 0; k < 4; k++) {
                const int32_t at = set ? __builtin_ctzll(set) : 0;
                list[n + i + k] = 128 * word + 2 * at + (int32_t)(negative >> at & 1);
                set &= set - 1;
            }
#endif
        n = rank[word] + count;
    }
    rank[words] = n;
}

GX_TARGET static void GX_NAME(gx_list)(gx_planes *p)
{
    for (int32_t plane = 0; plane < p->planes; plane++) {
        const size_t at = (size_t)plane * p->words;
        GX_NAME(gx_list_plane)(p->plus + at, p->minus + at, p->words, p->list + (size_t)plane * p->capacity,
                               p->rank + (size_t)plane * (p->words + 1));
    }
}

GX_TARGET static int64_t GX_NAME(gx_count_bits)(const uint64_t *words, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += __builtin_popcountll(words[i]);
    return count;
}

GX_INLINE uint64_t GX_NAME(gx_active)(const gx_planes *p, int32_t word)
{
    uint64_t set = 0;
    for (int32_t plane = 0; plane < p->planes; plane++)
        set |= p->plus[(size_t)plane * p->words + word] | p->minus[(size_t)plane * p->words + word];
    return set;
}

/* Sums of bytes, in as many parts as a vector has words of 64 bits. */
#if GX_ISA >= GX_AVX512
#define GX_PARTS 8
#elif GX_ISA >= GX_AVX2
#define GX_PARTS 4
#else
#define GX_PARTS 2
#endif
typedef int64_t GX_NAME(gx_parts) __attribute__((vector_size(8 * GX_PARTS)));

/* sums and the bytes [64] of the n set units. */
GX_INLINE GX_NAME(gx_parts) GX_NAME(gx_add_bytes)(GX_NAME(gx_parts) sums, uint64_t set, int32_t n,
                                                  const uint8_t *bytes)
{
    (void)n;
#if GX_ISA >= GX_AVX512
    sums += (GX_NAME(gx_parts))_mm512_sad_epu8(_mm512_maskz_loadu_epi8(set, bytes), _mm512_setzero_si512());
#elif GX_ISA >= GX_AVX2
    const __m256i own = _mm256_set1_epi64x((int64_t)0x8040201008040201u);       /* each byte's own bit */
    const __m256i eighth = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    for (int32_t half = 0; half < 2; half++) {
        const __m256i bits = _mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)(set >> (32 * half))), eighth);
        const __m256i taken = _mm256_cmpeq_epi8(_mm256_and_si256(bits, own), own);
        const __m256i found = _mm256_and_si256(taken, _mm256_loadu_si256((const __m256i *)(bytes + 32 * half)));
        sums += (GX_NAME(gx_parts))_mm256_sad_epu8(found, _mm256_setzero_si256());
    }
#else
    const uint64_t own = 0x8040201008040201u, ones = 0x0101010101010101u, even = 0x00ff00ff00ff00ffu;
    uint64_t pairs = 0;
    if (n < 6) {
        for (; set; set &= set - 1)
            sums[0] += bytes[__builtin_ctzll(set)];
        return sums;
    }
    for (int32_t i = 0; i < 64; i += 8) {       /* eight bytes a word */
        uint64_t x;
        memcpy(&x, bytes + i, sizeof x);
        const uint64_t bits = ((set >> i) & 0xff) * ones & own;
        x &= (((bits + 0x7f7f7f7f7f7f7f7fu) | bits) >> 7 & ones) * 0xff;
        pairs += (x & even) + (x >> 8 & even);
    }
    pairs = (pairs & 0x0000ffff0000ffffu) + (pairs >> 16 & 0x0000ffff0000ffffu);
    sums[0] += (int64_t)((pairs & 0xffffffffu) + (pairs >> 32));
#endif
    return sums;
}

GX_TARGET static int64_t GX_NAME(gx_count_open)(const gx_planes *p, const gx_opens *opens, int64_t *events)
{
    int64_t sum = 0, count = 0;
    for (int32_t k = 0; k < opens->bytes; k++) {
        GX_NAME(gx_parts) found = {0};
        count = 0;
        for (int32_t word = 0; word < p->words; word++) {
            const uint64_t set = p->planes == 1 ? p->plus[word] | p->minus[word] : GX_NAME(gx_active)(p, word);
            const uint8_t *more = opens->more + 64 * ((ptrdiff_t)opens->class[word] * opens->bytes + k);
            const int32_t n = __builtin_popcountll(set);
            found = GX_NAME(gx_add_bytes)(found, set, n, more);
            count += n;
        }
        for (int32_t i = 0; i < GX_PARTS; i++)
            sum += found[i] << (8 * k);
    }
    *events = count;
    return sum + opens->least * count;
}
#undef GX_PARTS

GX_TARGET static void GX_NAME(gx_head)(const gx_planes *source, const uint64_t *rows, int32_t targets, int32_t gain,
                                       int32_t *sums)
{
    const int32_t words = source->words;
    for (int32_t target = 0; target < targets; target++) {
        const uint64_t *positive = rows + 2 * (ptrdiff_t)target * words, *negative = positive + words;
        int64_t sum = 0;
        for (int32_t word = 0; word < words; word++) {
            const uint64_t p = source->plus[word], m = source->minus[word];
            sum += __builtin_popcountll((p & positive[word]) | (m & negative[word]));
            sum -= __builtin_popcountll((p & negative[word]) | (m & positive[word]));
        }
        sums[target] += gain * (int32_t)sum;
    }
}

/* out[i] = (list[i] + shift) << scale, sixteen at a time: both lists have the slack. */
GX_INLINE void GX_NAME(gx_select)(const int32_t *list, int32_t n, int32_t shift, int32_t scale, uint32_t *out)
{
    int32_t i = 0;
#if GX_ISA >= GX_AVX512
    const __m512i add = _mm512_set1_epi32(shift);
    const __m128i by = _mm_cvtsi32_si128(scale);
    do {
        _mm512_storeu_si512(out + i, _mm512_sll_epi32(_mm512_add_epi32(_mm512_loadu_si512(list + i), add), by));
        i += 16;
    } while (i < n);
#elif GX_ISA >= GX_AVX2
    const __m256i add = _mm256_set1_epi32(shift);
    const __m128i by = _mm_cvtsi32_si128(scale);
    do {
        for (int32_t k = 0; k < 16; k += 8) {
            const __m256i at = _mm256_loadu_si256((const __m256i *)(list + i + k));
            _mm256_storeu_si256((__m256i *)(out + i + k), _mm256_sll_epi32(_mm256_add_epi32(at, add), by));
        }
        i += 16;
    } while (i < n);
#else
    for (; i < n; i++)
        out[i] = (uint32_t)(list[i] + shift) << scale;
#endif
}

#include "slices_tiles.h"
#include "slices_turn.h"
#include "slices_strips.h"

#undef GX_INLINE
#undef GX_SAMPLE_PART
#undef GX_NAME
#undef GX_JOIN
#undef GX_JOIN_
#undef GX_SUFFIX
#undef GX_ISA
#undef GX_TARGET
