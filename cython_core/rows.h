/* Adding rows of weight levels: the one hot loop behind dense and convolutional gate units.
 *
 * A unit's accumulator is the sum of the weight rows that its open gates select. Rows are int8 with one lane per
 * target unit, padded with zeros to whole vectors of 32 lanes:
 *
 *        event +1 at source 7   ->   row 7   | +1  0 -1 +1 ... |   added
 *        event -1 at source 9   ->   row 9   |  0 -1 -1  0 ... |   subtracted
 *                                    sum     | +1 +1  0 +1 ... |   -> int32 accumulators
 *
 * Up to eight vectors of sums stay in registers over all events. For ternary levels and events an int8 sum holds
 * 127 rows, added and subtracted ones together, before it must be flushed to the int32 accumulators; graded levels or
 * events use int16 sums and products and are flushed every `chunk` rows, chosen so that nothing overflows.
 *
 * The same source is compiled once for every instruction set (rows_kernel.h) and chosen at run time.
 */
#ifndef GXEVENT_ROWS_H
#define GXEVENT_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GX_LANES 32

typedef int8_t gx_bytes __attribute__((vector_size(GX_LANES)));
typedef int16_t gx_words __attribute__((vector_size(2 * GX_LANES)));

/* accumulators[lane] += gain * (sum of the rows `plus` - sum of the rows `minus`), lanes 0 .. lanes - 1.
 * rows: IN [n_rows][lanes], 32-byte aligned; lanes: a multiple of 32; accumulators: INOUT [lanes]. */
typedef void (*gx_add_unit_rows_fn)(const int8_t *rows, int32_t lanes, const int32_t *plus, int32_t n_plus,
                                    const int32_t *minus, int32_t n_minus, int32_t gain, int32_t *accumulators);

/* accumulators[lane] += gain * sum over e of value[e] * rows[row[e]][lane]; at most `chunk` products fit an int16. */
typedef void (*gx_add_graded_rows_fn)(const int8_t *rows, int32_t lanes, const int32_t *row, const int8_t *value,
                                      int32_t n, int32_t chunk, int32_t gain, int32_t *accumulators);

typedef struct {
    const char *name;
    gx_add_unit_rows_fn add_unit_rows;
    gx_add_graded_rows_fn add_graded_rows;
} gx_kernel;

#define GX_SUFFIX generic
#define GX_TARGET
#include "rows_kernel.h"
#undef GX_SUFFIX
#undef GX_TARGET

#if defined(__x86_64__) || defined(__i386__)
#define GX_SUFFIX avx2
#define GX_TARGET __attribute__((target("avx2")))
#include "rows_kernel.h"
#undef GX_SUFFIX
#undef GX_TARGET

#define GX_SUFFIX avx512
#define GX_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#include "rows_kernel.h"
#undef GX_SUFFIX
#undef GX_TARGET
#endif

/* Kernels this machine can run, the best last. */
static inline int gx_available_kernels(gx_kernel *found)
{
    int n = 0;
    found[n++] = (gx_kernel){"generic", gx_add_unit_rows_generic, gx_add_graded_rows_generic};
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        found[n++] = (gx_kernel){"avx2", gx_add_unit_rows_avx2, gx_add_graded_rows_avx2};
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        found[n++] = (gx_kernel){"avx512", gx_add_unit_rows_avx512, gx_add_graded_rows_avx512};
#endif
    return n;
}

#endif
