"""Shared types of the compiled core: what a population sends, and the gate units that turn it into sums.

Inside the core units are addressed pixel by pixel, channels innermost (H, W, C), so that the events of neighbouring
pixels are neighbours in memory.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t

cdef extern from "rows.h" nogil:
    ctypedef void (*gx_add_unit_rows_fn)(const int8_t *, int32_t, const int32_t *, int32_t, const int32_t *, int32_t,
                                         int32_t, int32_t *) noexcept nogil
    ctypedef void (*gx_add_graded_rows_fn)(const int8_t *, int32_t, const int32_t *, const int8_t *, int32_t, int32_t,
                                           int32_t, int32_t *) noexcept nogil
    ctypedef struct gx_kernel:
        const char *name
        gx_add_unit_rows_fn add_unit_rows
        gx_add_graded_rows_fn add_graded_rows
    int gx_available_kernels(gx_kernel *found)
    enum: GX_LANES

ctypedef struct sent_t:
    # What a population hands on for one sample.
    int32_t count           # number of events
    int32_t *address        # [count] unit of each event, rising
    int8_t *value           # [count] its level, never 0
    int32_t *start          # [pixels + 1] first event of each pixel
    int8_t *levels          # [size] all outputs, or NULL for a population that does not fire
    int32_t *sums           # [size] its accumulators, or NULL for the input

ctypedef struct scratch_t:
    # Row lists of one gather, allocated once per workspace.
    int32_t *plus
    int32_t *minus
    int8_t *value

cdef class GateUnit:
    # One projection, ready to run: adds what its source sent into the accumulators of its target.
    cdef readonly int32_t gain
    cdef readonly int32_t scratch_rows      # length its row lists need
    cdef readonly int32_t slack             # accumulators beyond the target's size that it may touch (adds 0 there)
    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil
