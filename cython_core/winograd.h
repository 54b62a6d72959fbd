/* Convolutions in training, float32, by Winograd's minimal filtering (Lavin & Gray 2016, arXiv 1509.09308): tiles of
 * 6x6 inputs give 4x4 outputs of a 3x3 kernel, or 2x2 of a 5x5 one, with 36 multiplications a pair of channels where
 * the sums written out take 144 or 100.
 *
 *     V = B' d B      the inputs of a tile, every channel
 *     M = V U         36 products of matrices, tiles x channels times channels x outputs; U = G w G' comes ready made
 *     y = A' M A
 *
 * and backward the same read from behind: dM = A dy A', dU = V' dM, dV = dM U', dd = B dV B'. Both kernel sizes have the
 * points 0, 1, -1, 2, -2 and infinity, so B is the same.
 *
 * Frames have their channels innermost, in multiples of 16. Tiles are taken a block at a time, so that V and M stay in
 * the cache. Only where the processor multiplies and adds at once, eight numbers at a time.
 */
#ifndef GXEVENT_WINOGRAD_H
#define GXEVENT_WINOGRAD_H

#include <stddef.h>
#include <string.h>

enum { GX_POINTS = 36, GX_PANEL = 16, GX_TILE_ROWS = 6 };

typedef struct {
    ptrdiff_t channels, outputs;       /* multiples of GX_PANEL */
    ptrdiff_t rows, cols;              /* of an input frame */
    ptrdiff_t out_rows, out_cols;      /* of an output frame */
    ptrdiff_t padding;                 /* zeros round an input frame */
    ptrdiff_t edge;                    /* outputs a tile has on a side: 4 or 2 */
    ptrdiff_t block;                   /* tiles at a time, a multiple of GX_TILE_ROWS */
} gx_winograd_shape;

/* Distance in floats between the matrices of two points: not a multiple of 4096 bytes, or all 36 would meet in the same
 * few sets of the first cache. */
static inline ptrdiff_t gx_winograd_plane(ptrdiff_t block, ptrdiff_t channels) { return block * channels + 16; }

/* Floats that a call works in. */
static inline ptrdiff_t gx_winograd_work(gx_winograd_shape s)
{
    return GX_POINTS * (gx_winograd_plane(s.block, s.channels) + gx_winograd_plane(s.block, s.outputs)) + s.channels;
}

#if defined(__x86_64__) && defined(__GNUC__)
#define GX_HAS_WINOGRAD 1
#include "winograd_kernel.h"
static inline int gx_winograd_runs(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
static inline int gx_winograd_runs(void) { return 0; }
static inline void gx_winograd_forward(gx_winograd_shape s, const float *x, const float *u, float *y, ptrdiff_t frames,
                                       float *work)
{
}
static inline void gx_winograd_backward(gx_winograd_shape s, const float *x, const float *dy, const float *u, float *dx,
                                        float *du, ptrdiff_t frames, float *work)
{
}
#endif

#endif
