/* What a training step on a CPU costs, in one pass over the memory each. Adam and the discrete state transition of many
 * weights: gxevent.train.rules.adam and
 * gxevent.train.transition in one pass over the memory, which is what a step on a CPU costs.
 *
 *     first   <- first + (g - first) * (1 - beta1)              averages of the gradient g and its square
 *     second  <- second * beta2 + g * g * (1 - beta2)
 *     d        = -rate * first / (sqrt(second * correction) + eps)
 *     rho      = clip(d, -1 - w, 1 - w) / dz                    in grid steps
 *     kappa    = trunc(rho)
 *     tau      = tanh(m * |rho - kappa|)
 *     level   <- level + span * (kappa + sign(rho) * (uniform < tau))
 *
 * tanh is (1 - t) / (1 + t) of t = exp(-2x), good to 2e-7: what a draw in steps of 2**-24 can tell.
 * The same source is compiled once for every instruction set (dst_kernel.h) and chosen at run time; all give the same
 * bits, as no operation is contracted.
 */
#ifndef GXEVENT_DST_H
#define GXEVENT_DST_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float beta1, beta2; /* shares of a new gradient: 1 - beta */
    float rate, correction, eps;
    float unit, dz, m; /* value of one level, grid step, slope of the probability */
    int32_t span;      /* levels a grid step: 2 in the binary space */
} gx_dst_options;

/* passed <- gradient * slope * max(0, a - | |y| - edge |): what a triangular window round one edge lets through.
 * y, gradient: IN [n]; passed: OUT [n]. */
typedef void (*gx_window_fn)(const float *restrict y, const float *restrict gradient, float *restrict passed,
                             ptrdiff_t n, float edge, float a, float slope);

/* Max pool 2x2 of frames with their channels innermost; an odd row or column at the end is in no output.
 * x: IN [frames][rows][cols][channels]; y: OUT, and IN backward, [frames][rows / 2][cols / 2][channels], dy: IN like y;
 * dx: OUT like x. */
typedef struct {
    ptrdiff_t frames, rows, cols, channels;
} gx_pool_shape;
typedef void (*gx_pool_fn)(const float *restrict x, float *restrict y, gx_pool_shape s);
typedef void (*gx_pool_back_fn)(const float *restrict x, const float *restrict y, const float *restrict dy,
                                float *restrict dx, gx_pool_shape s);

/* levels, first, second: INOUT [n]; gradient, uniform: IN [n]. */
typedef void (*gx_adam_fn)(int8_t *restrict levels, const float *restrict gradient, float *restrict first,
                           float *restrict second, const float *restrict uniform, ptrdiff_t n, gx_dst_options o);

#define GX_SUFFIX generic
#define GX_TARGET
#include "dst_kernel.h"
#undef GX_SUFFIX
#undef GX_TARGET

#if defined(__x86_64__) || defined(__i386__)
#define GX_SUFFIX avx2
#define GX_TARGET __attribute__((target("avx2")))
#include "dst_kernel.h"
#undef GX_SUFFIX
#undef GX_TARGET

#define GX_SUFFIX avx512
#define GX_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#include "dst_kernel.h"
#undef GX_SUFFIX
#undef GX_TARGET
#endif

typedef struct {
    const char *name;
    gx_adam_fn adam;
    gx_window_fn window;
    gx_pool_fn pool;
    gx_pool_back_fn pool_back;
} gx_dst_kernel;

/* Those this machine can run, at most three, the best last. */
static inline int gx_dst_kernels(gx_dst_kernel *found)
{
    int n = 0;
    found[n++] = (gx_dst_kernel){"generic", gx_adam_generic, gx_window_generic, gx_pool_generic, gx_pool_back_generic};
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        found[n++] = (gx_dst_kernel){"avx2", gx_adam_avx2, gx_window_avx2, gx_pool_avx2, gx_pool_back_avx2};
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        found[n++] =
            (gx_dst_kernel){"avx512", gx_adam_avx512, gx_window_avx512, gx_pool_avx512, gx_pool_back_avx512};
#endif
    return n;
}

#endif
