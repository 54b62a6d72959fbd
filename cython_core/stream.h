/* Exact incremental inference: only what changes travels.
 *
 * Every population keeps its sums and levels between calls. When inputs change, each change d = new - old level of a
 * source unit adds d times that unit's weight row to the sums it reaches and marks their pixels dirty; dirty pixels
 * are thresholded again, and only units whose level flipped are changes for the next population:
 *
 *     input changes -> [rows into sums, mark dirty] -> [threshold dirty pixels] -> changes -> [rows into sums] -> ...
 *
 * Sums are integers, so adding differences leaves exactly what a from-scratch evaluation gives. A maximum is no sum:
 * pools are taken again over each dirty window.
 *
 * stream_kernel.h holds the code, included once for every instruction set and sum type (int16 where no sum of the
 * network can leave it, else int32).
 */
#ifndef GXEVENT_STREAM_H
#define GXEVENT_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { GX_INPUT, GX_SUM, GX_FIRE, GX_READOUT };                                /* roles, as in _plan.pyx */
enum { GX_CONV, GX_DENSE, GX_SPARSE, GX_IDENTITY, GX_POOL_MAX, GX_POOL_SUM };  /* kinds of projection */

typedef struct {
    int32_t channels, height, width;
    int32_t out_channels, out_height, out_width;
    int32_t kernel_rows, kernel_columns, stride_rows, stride_columns, top, left, dilation_rows, dilation_columns;
} gx_window;

typedef struct {
    int32_t kind, source, target, gain;
    int32_t linear;           /* 1: differences add into the target's sums; 0: taken again for each dirty pixel */
    gx_window window;         /* conv and pools */
    int32_t groups, lanes;    /* conv and dense */
    const int8_t *rows;       /* conv [group][row][column][channel][lanes], dense [source][lanes] */
    const int32_t *pooled;    /* conv: pixel of `marks` to look at again for each target pixel; NULL: the pixel itself */
    int32_t marks;            /* population whose pixels it marks: the target, or the pool that alone reads it */
    const int64_t *start;     /* sparse */
    const int32_t *to;
    const int8_t *level;
    int64_t updates;          /* accumulator updates so far */
} gx_stream_projection;

typedef struct {
    int32_t role, size, channels, pixels, period, steps;
    int32_t retaken;          /* some incoming projection is not linear: totals differ from the linear sums */
    int32_t only_pool;        /* the projection into it, where it is one max pool of sums, of gain 1; else -1 */
    void *linear;             /* [size + slack] sums of the linear projections */
    void *sums;               /* [size + slack] totals; the same memory unless retaken. A firing population that is
                               * retaken keeps none: they are taken again when asked for */
    const void *hi, *lo;      /* [steps][period], in the sum type */
    const int8_t *polarity;   /* [period] */
    int8_t *levels;           /* [size] */
    int32_t *dirty, n_dirty;  /* pixels to look at again */
    uint8_t *is_dirty;        /* [pixels] */
    int32_t *changed;         /* [size] units whose level changed, and by how much */
    int16_t *change;
    int32_t n_changed;
    int64_t flips;            /* level changes so far */
    int64_t active;           /* nonzero levels now */
} gx_stream_population;

typedef struct {
    int32_t n_populations, n_projections;
    gx_stream_population *populations;
    gx_stream_projection *projections; /* in the order of their targets */
    void *row;                         /* scratch: one pixel of sums */
    int8_t *row_levels;
} gx_stream;

/* Carry the input's changes through all populations. */
typedef void (*gx_propagate_fn)(gx_stream *stream);
/* Take over population i's sums from a frame evaluation, in order of the populations. totals: IN [size]. */
typedef void (*gx_take_over_fn)(gx_stream *stream, int32_t i, const int32_t *totals);
/* Copy a population's total sums. out: OUT [size]. */
typedef void (*gx_look_fn)(gx_stream *stream, int32_t i, int32_t *out);

typedef int8_t gx_row __attribute__((vector_size(16), may_alias));

static inline void gx_mark(gx_stream_population *p, int32_t pixel)
{
    if (!p->is_dirty[pixel]) {
        p->is_dirty[pixel] = 1;
        p->dirty[p->n_dirty++] = pixel;
    }
}

/* Output position whose window begins so that kernel position `tap` lies on `at`; -1 where there is none. */
static inline int32_t gx_output_at(int32_t at, int32_t before, int32_t tap, int32_t dilation, int32_t stride, int32_t size)
{
    const int32_t reach = at + before - tap * dilation;
    if (reach < 0 || (stride != 1 && reach % stride))
        return -1;
    const int32_t out = stride == 1 ? reach : reach / stride;
    return out < size ? out : -1;
}

/* Mark the target pixels of every window that holds a source pixel. */
static inline void gx_mark_windows(const gx_window *w, gx_stream_population *target, int32_t pixel)
{
    const int32_t y = pixel / w->width, x = pixel % w->width;
    for (int32_t row = 0; row < w->kernel_rows; row++) {
        const int32_t out_y = gx_output_at(y, w->top, row, w->dilation_rows, w->stride_rows, w->out_height);
        if (out_y < 0)
            continue;
        for (int32_t column = 0; column < w->kernel_columns; column++) {
            const int32_t out_x = gx_output_at(x, w->left, column, w->dilation_columns, w->stride_columns, w->out_width);
            if (out_x >= 0)
                gx_mark(target, out_y * w->out_width + out_x);
        }
    }
}

#define GX_SUM_T int16_t
#define GX_SUFFIX int16_generic
#define GX_TARGET
#include "stream_kernel.h"
#undef GX_SUFFIX
#undef GX_SUM_T
#define GX_SUM_T int32_t
#define GX_SUFFIX int32_generic
#include "stream_kernel.h"
#undef GX_SUFFIX
#undef GX_SUM_T
#undef GX_TARGET

#if defined(__x86_64__) || defined(__i386__)
#define GX_TARGET __attribute__((target("avx2")))
#define GX_SUM_T int16_t
#define GX_SUFFIX int16_avx2
#include "stream_kernel.h"
#undef GX_SUFFIX
#undef GX_SUM_T
#define GX_SUM_T int32_t
#define GX_SUFFIX int32_avx2
#include "stream_kernel.h"
#undef GX_SUFFIX
#undef GX_SUM_T
#undef GX_TARGET

#define GX_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define GX_SUM_T int16_t
#define GX_SUFFIX int16_avx512
#include "stream_kernel.h"
#undef GX_SUFFIX
#undef GX_SUM_T
#define GX_SUM_T int32_t
#define GX_SUFFIX int32_avx512
#include "stream_kernel.h"
#undef GX_SUFFIX
#undef GX_SUM_T
#undef GX_TARGET
#endif

/* One instruction set's code for one type of sum. */
typedef struct {
    gx_propagate_fn propagate;
    gx_take_over_fn take_over;
    gx_look_fn look;
} gx_stream_code;

#define GX_CODE(suffix) ((gx_stream_code){gx_propagate_##suffix, gx_take_over_##suffix, gx_look_##suffix})

/* The code for a kernel path by name ("generic", "avx2", "avx512"), with int16 sums where `narrow`. */
static gx_stream_code gx_find_stream_code(const char *kernel, int narrow)
{
#if defined(__x86_64__) || defined(__i386__)
    if (!strcmp(kernel, "avx2"))
        return narrow ? GX_CODE(int16_avx2) : GX_CODE(int32_avx2);
    if (!strcmp(kernel, "avx512"))
        return narrow ? GX_CODE(int16_avx512) : GX_CODE(int32_avx512);
#endif
    return narrow ? GX_CODE(int16_generic) : GX_CODE(int32_generic);
}

#endif
