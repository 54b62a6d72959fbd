"""The trainer's step on a CPU, in one pass each: Adam and the discrete state transition of many weights, and what an
activation's window lets through (see dst.h)."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int8_t, int32_t

cdef extern from "dst.h":
    ctypedef struct gx_dst_options:
        float beta1, beta2, rate, correction, eps, unit, dz, m
        int32_t span

    ctypedef void (*gx_adam_fn)(
        int8_t *, const float *, float *, float *, const float *, ptrdiff_t, gx_dst_options
    ) noexcept nogil
    ctypedef void (*gx_window_fn)(
        const float *, const float *, float *, ptrdiff_t, float edge, float a, float slope
    ) noexcept nogil
    int gx_dst_kernels(const char **names, gx_adam_fn *adam, gx_window_fn *window) noexcept nogil

cdef gx_adam_fn _found[3]
cdef gx_window_fn _windows[3]
cdef const char *_names[3]
cdef int _count = gx_dst_kernels(_names, _found, _windows)

KERNELS = tuple(_names[i].decode() for i in range(_count))
"""Instruction sets this machine can run, the best last."""


def adam_transition(
    int8_t[::1] levels,
    const float[::1] gradient,
    float[::1] first,
    float[::1] second,
    const float[::1] uniform,
    *,
    tuple betas,
    float rate,
    float correction,
    float eps,
    float unit,
    float dz,
    float m,
    str kernel="",
):
    """Update ``first``, ``second`` and ``levels`` in place; all of one length.

    rate: the learning rate over Adam's correction of the first average; correction: that of the second, a factor.
    unit: value of one level; dz: the grid's step, a power of 2.
    """
    cdef ptrdiff_t n = levels.shape[0]
    cdef gx_dst_options o
    cdef gx_adam_fn run = _found[KERNELS.index(kernel) if kernel else _count - 1]
    if not (gradient.shape[0] == first.shape[0] == second.shape[0] == uniform.shape[0] == n):
        raise ValueError("adam_transition: arrays of different lengths")
    if not n:
        return
    o.beta1, o.beta2 = 1 - betas[0], 1 - betas[1]
    o.rate, o.correction, o.eps = rate, correction, eps
    o.unit, o.dz, o.m = unit, dz, m
    o.span = <int32_t>round(dz / unit)
    with nogil:
        run(&levels[0], &gradient[0], &first[0], &second[0], &uniform[0], n, o)


def window(
    const float[::1] y,
    const float[::1] gradient,
    float[::1] passed,
    *,
    float edge,
    float a,
    float slope,
    str kernel="",
):
    """``passed = gradient * slope * max(0, a - | |y| - edge |)``; all of one length."""
    cdef ptrdiff_t n = y.shape[0]
    cdef gx_window_fn run = _windows[KERNELS.index(kernel) if kernel else _count - 1]
    if not (gradient.shape[0] == passed.shape[0] == n):
        raise ValueError("window: arrays of different lengths")
    if n:
        with nogil:
            run(&y[0], &gradient[0], &passed[0], n, edge, a, slope)
