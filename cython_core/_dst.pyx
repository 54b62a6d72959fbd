"""The trainer's step on a CPU, in one pass each: Adam and the discrete state transition of many weights, what an
activation's window lets through, and max pools (see dst.h)."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int8_t, int32_t

cdef extern from "dst.h":
    ctypedef struct gx_dst_options:
        float beta1, beta2, rate, correction, eps, unit, dz, m
        int32_t span

    ctypedef struct gx_pool_shape:
        ptrdiff_t frames, rows, cols, channels

    ctypedef struct gx_dst_kernel:
        const char *name
        void (*adam)(int8_t *, const float *, float *, float *, const float *, ptrdiff_t, gx_dst_options) noexcept nogil
        void (*window)(const float *, const float *, float *, ptrdiff_t, float, float, float) noexcept nogil
        void (*pool)(const float *, float *, gx_pool_shape) noexcept nogil
        void (*pool_back)(const float *, const float *, const float *, float *, gx_pool_shape) noexcept nogil

    int gx_dst_kernels(gx_dst_kernel *found) noexcept nogil

cdef gx_dst_kernel _found[3]
cdef int _count = gx_dst_kernels(_found)

KERNELS = tuple(_found[i].name.decode() for i in range(_count))
"""Instruction sets this machine can run, the best last."""


cdef int _chosen(str kernel) except -1:
    return KERNELS.index(kernel) if kernel else _count - 1


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
    cdef int chosen = _chosen(kernel)
    if not (gradient.shape[0] == first.shape[0] == second.shape[0] == uniform.shape[0] == n):
        raise ValueError("adam_transition: arrays of different lengths")
    if not n:
        return
    o.beta1, o.beta2 = 1 - betas[0], 1 - betas[1]
    o.rate, o.correction, o.eps = rate, correction, eps
    o.unit, o.dz, o.m = unit, dz, m
    o.span = <int32_t>round(dz / unit)
    with nogil:
        _found[chosen].adam(&levels[0], &gradient[0], &first[0], &second[0], &uniform[0], n, o)


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
    cdef int chosen = _chosen(kernel)
    if not (gradient.shape[0] == passed.shape[0] == n):
        raise ValueError("window: arrays of different lengths")
    if n:
        with nogil:
            _found[chosen].window(&y[0], &gradient[0], &passed[0], n, edge, a, slope)


cdef gx_pool_shape _pool_shape(const float[:, :, :, ::1] x, const float[:, :, :, ::1] y) except *:
    cdef gx_pool_shape s
    s.frames, s.rows, s.cols, s.channels = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    if not (y.shape[0] == s.frames and y.shape[1] == s.rows // 2 and y.shape[2] == s.cols // 2):
        raise ValueError("max_pool: y has not half the rows and columns of x")
    if y.shape[3] != s.channels:
        raise ValueError("max_pool: y has not the channels of x")
    return s


def max_pool(const float[:, :, :, ::1] x, float[:, :, :, ::1] y, *, str kernel=""):
    """``y`` (n, rows // 2, cols // 2, channels): the largest of each 2x2 pixels of ``x`` (n, rows, cols, channels)."""
    cdef gx_pool_shape s = _pool_shape(x, y)
    cdef int chosen = _chosen(kernel)
    if y.size:
        with nogil:
            _found[chosen].pool(&x[0, 0, 0, 0], &y[0, 0, 0, 0], s)


def max_pool_back(
    const float[:, :, :, ::1] x,
    const float[:, :, :, ::1] y,
    const float[:, :, :, ::1] dy,
    float[:, :, :, ::1] dx,
    *,
    str kernel="",
):
    """``dx``, shaped as ``x``: the gradient ``dy`` of each output to the first of its pixels that is the largest."""
    cdef gx_pool_shape s = _pool_shape(x, y)
    cdef int chosen = _chosen(kernel)
    _pool_shape(dx, dy)
    if dx.shape[0] != s.frames or dx.shape[1] != s.rows or dx.shape[2] != s.cols or dx.shape[3] != s.channels:
        raise ValueError("max_pool: dx is not shaped as x")
    if y.size:
        with nogil:
            _found[chosen].pool_back(&x[0, 0, 0, 0], &y[0, 0, 0, 0], &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], s)
