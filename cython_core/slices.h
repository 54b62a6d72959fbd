/* Bit-sliced carry-save counters: the hot loop behind dense and convolutional gate units.
 *
 * A unit's accumulator s is the sum of the weights that its events select, a +1 event adding and a -1 event
 * subtracting. 128, 256 or 512 units are summed at once, one bit lane each, in vertical counters:
 *
 *        lane (= unit)     0  1  2  3 ...            one machine word holds one bit of all counters:
 *        counter          +3 -1  0 +2 ...    c[0] =  1 1 0 0 ...   c[1] =  1 1 0 1 ...   c[2] = ...
 *
 * An event of sign x selects its unit's row of products v = x * w, two bits, p = [v > 0] and q = [v < 0]: those of w, or
 * for x = -1 the same the other way round. One full adder on c[0] adds v + 1 = p + [v >= 0]; its sum is c[0] turned over
 * where v is 0, its carry is 1 where p, and c[0] where neither p nor q. Carries of 2, 4, 8, 16 rows join in a tree of
 * adders before they ripple on. Counters begin at 2^(bits-1) less the number of rows added, which takes away the +1 of
 * each and leaves s in offset binary. Thresholds are compared bit by bit, so outputs fall out as bits too:
 *
 *        events --list--> rows --add--> counters --compare--> planes of +1 and -1 --list--> the next layer's events
 *
 * Levels of several bits (weights or activations) are added one bit plane at a time, at c[plane]. Convolutions put the
 * channels of neighbouring output pixels, a tile, side by side in the lanes; a row then holds the weights by which one
 * input unit of the tile's window reaches all of them.
 *
 * slices_kernel.h is compiled once for every instruction set and chosen at run time; all give the same integers.
 */
#ifndef GXEVENT_SLICES_H
#define GXEVENT_SLICES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GX_MAX_BITS 32      /* of a counter */
#define GX_MAX_WIDTH 8      /* words of 64 lanes in a block */
#define GX_MAX_PLANES 7     /* magnitude bits of a level of Z_7 */
#define GX_LIST_SLACK 64    /* entries beyond its end that a list may be read or written */
#define GX_ROUND 4          /* lists of rows are padded to whole rounds with the row of zeros */

/* The weights and thresholds of one projection, cut into blocks of 64 * width lanes. */
typedef struct {
    const uint64_t *rows;   /* [planes][blocks][n_rows][2][width] bits w > 0 and w < 0 of each row; the last one is zero */
    const uint64_t *edges;  /* [blocks][bits][2][width] bits of hi and of lo + 1, in offset binary; NULL: sums only */
    int32_t width, blocks, n_rows, planes, bits;
    int32_t far;            /* whether rows come from beyond the second-level cache and are worth fetching ahead */
} gx_sliced;

/* Rows that one plane of the source's events selects, as offsets in bytes: events of +1 begin at a row's bits w > 0,
 * events of -1 at its bits w < 0. In whole rounds. */
typedef struct {
    const uint32_t *offset;
    int32_t n;
} gx_row_list;

/* A convolution cut into tiles of output pixels, or a dense layer: one pixel that sees one pixel of many channels. */
typedef struct {
    gx_sliced slices;
    int32_t channels, height, width;                /* of the source, as (height, width, channels) */
    int32_t out_channels, out_height, out_width;
    int32_t stride_rows, stride_columns, top, left;
    int32_t tile_rows, tile_columns, tiles_across, tiles;
    int32_t window_rows, window_columns;            /* input pixels that reach a tile */
    const int32_t *row_at;                          /* [window_rows] first unit of the table; -1 where no tap falls */
    int32_t half_shift;                             /* log2 of half a row's words */
    int32_t list_length;                            /* of a list of rows, with its slack */
    int32_t pixel_bytes;                            /* distance of a tile's pixels in a block's lanes */
    int32_t pixel_words;                            /* words of one pixel's outputs */
} gx_gates;

/* What a population sent: bit planes of the magnitudes of its positive and negative levels, and their events. */
typedef struct {
    int32_t words, planes;
    int32_t capacity;           /* of one plane's list, with its slack */
    uint64_t *plus, *minus;     /* [planes][words] and one word more */
    int32_t *list;              /* [planes][capacity] 2 * unit + [negative] of each event, rising */
    int32_t *rank;              /* [planes][words + 1] events before each word */
} gx_planes;

/* Gates that an event of each unit opens: `least`, and what the table has more, byte by byte. */
typedef struct {
    const int32_t *class;       /* [words] row of the table that a word of the planes takes */
    const uint8_t *more;        /* [rows][bytes][64] */
    int32_t bytes, least;
} gx_opens;

/* From outputs before pooling to planes; without a pool the window is one pixel. */
typedef struct {
    int32_t height, width, channels;                /* before pooling */
    int32_t out_height, out_width;
    int32_t window_rows, window_columns, stride_rows, stride_columns, top, left;
    int32_t pixel_words;
    const uint64_t *flip;                           /* [pixel_words] units of negative polarity */
} gx_finish;

#include "slices_samples.h"
#include "slices_pixels.h"

typedef struct {
    const char *name;
    /* Blocks first .. last - 1 of all tiles' blocks of a projection. With ge: s >= hi and s <= lo, OUT
     * [pixels][pixel_words]; else sums INOUT [pixels][out_channels] += gain * s. scratch: [planes][list_length]. */
    void (*run_blocks)(const gx_gates *g, const gx_planes *source, int32_t first, int32_t last, uint32_t *scratch,
                       uint64_t *ge, uint64_t *le, int32_t gain, int32_t *sums);
    /* Maximum of a window's sums, before the threshold: any unit at hi, all units at lo. OUT plus, minus of `planes`. */
    void (*finish)(const gx_finish *f, const uint64_t *ge, const uint64_t *le, gx_planes *planes);
    /* Planes of levels [n]. */
    void (*pack)(const int8_t *levels, int32_t n, gx_planes *planes);
    /* Lists and ranks of the planes. */
    void (*list)(gx_planes *planes);
    /* Gates that the planes' events open; events OUT: how many there are. */
    int64_t (*count_open)(const gx_planes *planes, const gx_opens *opens, int64_t *events);
    /* sums[t] += gain * s of few targets, rows [targets][2][words] bits [w > 0], [w < 0], of ternary events. */
    void (*head)(const gx_planes *source, const uint64_t *rows, int32_t targets, int32_t gain, int32_t *sums);
    int64_t (*count_bits)(const uint64_t *words, int64_t n);
    /* A dense layer of many samples, see slices_samples.h. */
    void (*turn_in)(const uint64_t *planes, int32_t n, int32_t words, uint64_t *rows);
    void (*turn_out)(const uint64_t *rows, int32_t n, int32_t words, uint64_t *planes);
    void (*run_samples)(const gx_sample_gates *g, const uint64_t *rows, uint64_t *counters, uint64_t *out,
                        int32_t *sums);
    /* A convolution on lanes of output pixels, see slices_pixels.h: strips of what the source sent, then turns first ..
     * last - 1 to s >= hi and s <= lo of each channel, and those to their pixels; or sums INOUT += gain * s. */
    void (*make_strips)(const gx_pixel_gates *g, const gx_planes *source, uint64_t *maps, char *strips);
    void (*fire_pixels)(const gx_pixel_gates *g, const char *strips, int32_t planes, int32_t first, int32_t last,
                        uint64_t *high, uint64_t *low);
    void (*place_pixels)(const gx_pixel_gates *g, const uint64_t *high, const uint64_t *low, uint64_t *ge,
                         uint64_t *le);
    void (*sum_pixels)(const gx_pixel_gates *g, const char *strips, int32_t planes, int32_t first, int32_t last,
                       int32_t gain, int32_t *sums);
} gx_slices;

/* Positions of the set bits of every byte, rising, a byte each; made by gx_available_slices. */
static uint64_t gx_positions[256];

static inline void gx_make_positions(void)
{
    for (int32_t byte = 0; byte < 256; byte++) {
        int32_t n = 0;
        gx_positions[byte] = 0;
        for (int32_t bit = 0; bit < 8; bit++)
            if (byte >> bit & 1)
                gx_positions[byte] |= (uint64_t)bit << 8 * n++;
    }
}

#define GX_NEON (-1)         /* vectors of 128 bits, as the generic path has them */
#define GX_GENERIC 0
#define GX_AVX2 1
#define GX_AVX512 2
#define GX_VBMI2 3

#define GX_SUFFIX generic
#define GX_ISA GX_GENERIC
#define GX_TARGET
#include "slices_kernel.h"

#if defined(__aarch64__)
#define GX_SUFFIX neon
#define GX_ISA GX_NEON
#define GX_TARGET
#include "slices_kernel.h"
#endif

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#define GX_SUFFIX avx2
#define GX_ISA GX_AVX2
#define GX_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#include "slices_kernel.h"

#define GX_SUFFIX avx512
#define GX_ISA GX_AVX512
#define GX_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2,popcnt")))
#include "slices_kernel.h"

#define GX_SUFFIX avx512vbmi2
#define GX_ISA GX_VBMI2
#define GX_TARGET                                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512vpopcntdq,avx2,bmi,bmi2,popcnt")))
#include "slices_kernel.h"
#endif

#define GX_SLICES(isa)                                                                                                \
    {                                                                                                                 \
        #isa, gx_run_blocks_##isa, gx_finish_##isa, gx_pack_##isa, gx_list_##isa, gx_count_open_##isa, gx_head_##isa, \
            gx_count_bits_##isa, gx_turn_in_##isa, gx_turn_out_##isa, gx_run_samples_##isa, gx_make_strips_##isa,     \
            gx_fire_pixels_##isa, gx_place_pixels_##isa, gx_sum_pixels_##isa                                          \
    }

/* Kernel paths this machine can run, the best last. */
static inline int gx_available_slices(gx_slices *found)
{
    int n = 0;
    gx_make_positions();
    found[n++] = (gx_slices)GX_SLICES(generic);
#if defined(__aarch64__)        /* every such processor has it */
    found[n++] = (gx_slices)GX_SLICES(neon);
#endif
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt")) {
        found[n++] = (gx_slices)GX_SLICES(avx2);
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
            found[n++] = (gx_slices)GX_SLICES(avx512);
            if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
                __builtin_cpu_supports("avx512vpopcntdq"))
                found[n++] = (gx_slices)GX_SLICES(avx512vbmi2);
        }
    }
#endif
    return n;
}

#endif
