"""Convolutions of the trainer on a CPU, in a fraction of the multiplications (see winograd.h)."""

from libc.stddef cimport ptrdiff_t

cdef extern from "winograd.h":
    ctypedef struct gx_winograd_shape:
        ptrdiff_t channels, outputs, rows, cols, out_rows, out_cols, padding, edge, block

    ptrdiff_t gx_winograd_work(gx_winograd_shape) noexcept nogil
    int gx_winograd_runs() noexcept nogil
    void gx_winograd_forward(
        gx_winograd_shape, const float *x, const float *u, float *y, ptrdiff_t frames, float *work
    ) noexcept nogil
    void gx_winograd_backward(
        gx_winograd_shape, const float *x, const float *dy, const float *u, float *dx, float *du, ptrdiff_t frames,
        float *work
    ) noexcept nogil

RUNS = bool(gx_winograd_runs())
"""Whether this machine has the instructions."""

PANEL = 16
"""Channels and outputs come in multiples of it."""


cdef gx_winograd_shape _shape(
    const float[:, :, :, ::1] x, const float[:, :, :, ::1] y, int kernel, int padding, ptrdiff_t block
) except *:
    cdef gx_winograd_shape s
    if kernel not in (3, 5) or padding < 0 or block < 6 or block % 6:
        raise ValueError("winograd: kernel 3 or 5, padding >= 0, block a multiple of 6")
    s.channels, s.outputs = x.shape[3], y.shape[3]
    s.rows, s.cols, s.out_rows, s.out_cols = x.shape[1], x.shape[2], y.shape[1], y.shape[2]
    s.padding, s.edge, s.block = padding, 4 if kernel == 3 else 2, block
    if s.channels % 16 or s.outputs % 16 or not s.channels or not s.outputs or x.shape[0] != y.shape[0]:
        raise ValueError("winograd: channels and outputs in multiples of 16, as many frames in as out")
    if s.out_rows != s.rows + 2 * padding - kernel + 1 or s.out_cols != s.cols + 2 * padding - kernel + 1:
        raise ValueError("winograd: sizes of frames that do not fit the kernel")
    return s


def work_size(ptrdiff_t channels, ptrdiff_t outputs, ptrdiff_t block):
    """Floats that the functions below work in."""
    cdef gx_winograd_shape s
    s.channels, s.outputs, s.block = channels, outputs, block
    return gx_winograd_work(s)


def forward(
    const float[:, :, :, ::1] x,
    const float[:, :, :, ::1] u,
    float[:, :, :, ::1] y,
    float[::1] work,
    *,
    int kernel,
    int padding,
    ptrdiff_t block,
):
    """``y`` (n, rows, cols, outputs) of ``x`` (n, rows, cols, channels), given ``u`` (36, outputs / 16, channels, 16)."""
    cdef gx_winograd_shape s = _shape(x, y, kernel, padding, block)
    if u.shape[0] != 36 or u.shape[1] * 16 != s.outputs or u.shape[2] != s.channels or u.shape[3] != 16:
        raise ValueError("winograd: u of another shape")
    if work.shape[0] < gx_winograd_work(s) or not RUNS:
        raise ValueError("winograd: too little to work in, or a machine without the instructions")
    if x.shape[0]:
        with nogil:
            gx_winograd_forward(s, &x[0, 0, 0, 0], &u[0, 0, 0, 0], &y[0, 0, 0, 0], x.shape[0], &work[0])


def backward(
    const float[:, :, :, ::1] x,
    const float[:, :, :, ::1] dy,
    const float[:, :, :, ::1] u,
    float[:, :, :, ::1] dx,
    float[:, :, ::1] du,
    float[::1] work,
    *,
    int kernel,
    int padding,
    ptrdiff_t block,
):
    """Gradients of ``x`` (where ``dx`` and ``u`` (36, channels / 16, outputs, 16) are not None) and, added to what is
    there, of the transformed weights: ``du`` (36, channels, outputs)."""
    cdef gx_winograd_shape s = _shape(x, dy, kernel, padding, block)
    cdef const float *weights = NULL
    cdef float *to = NULL
    if du.shape[0] != 36 or du.shape[1] != s.channels or du.shape[2] != s.outputs:
        raise ValueError("winograd: du of another shape")
    if dx is not None:
        if u is None or u.shape[0] != 36 or u.shape[1] * 16 != s.channels or u.shape[2] != s.outputs or u.shape[3] != 16:
            raise ValueError("winograd: u of another shape")
        if dx.shape[0] != x.shape[0] or dx.shape[1] != s.rows or dx.shape[2] != s.cols or dx.shape[3] != s.channels:
            raise ValueError("winograd: dx of another shape")
    if work.shape[0] < gx_winograd_work(s) or not RUNS:
        raise ValueError("winograd: too little to work in, or a machine without the instructions")
    if x.shape[0]:
        if dx is not None:
            weights, to = &u[0, 0, 0, 0], &dx[0, 0, 0, 0]
        with nogil:
            gx_winograd_backward(
                s, &x[0, 0, 0, 0], &dy[0, 0, 0, 0], weights, to, &du[0, 0, 0], x.shape[0], &work[0]
            )
