"""Shared types of the compiled core: what a population sends, and the gate units that turn it into sums.

Inside the core units are addressed pixel by pixel, channels innermost (H, W, C), so that the events of neighbouring
pixels are neighbours in memory.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

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

cdef extern from "slices.h" nogil:
    enum: GX_LIST_SLACK, GX_SAMPLES, GX_SAMPLE_WORDS, GX_SAMPLE_ROW, GX_SAMPLE_ROUND, GX_SAMPLE_BITS
    ctypedef struct gx_sliced:
        const uint64_t *rows
        const uint64_t *edges
        int32_t width, blocks, n_rows, planes, bits, far
    ctypedef struct gx_gates:
        gx_sliced slices
        int32_t channels, height, width
        int32_t out_channels, out_height, out_width
        int32_t stride_rows, stride_columns, top, left
        int32_t tile_rows, tile_columns, tiles_across, tiles
        int32_t window_rows, window_columns
        const int32_t *row_at
        int32_t half_shift, list_length, pixel_bytes, pixel_words
    ctypedef struct gx_planes:
        int32_t words, planes, capacity
        uint64_t *plus
        uint64_t *minus
        int32_t *list
        int32_t *rank
    ctypedef struct gx_opens:
        const int32_t *of_word "class"
        const uint8_t *more
        int32_t bytes, least
    ctypedef struct gx_finish:
        int32_t height, width, channels
        int32_t out_height, out_width
        int32_t window_rows, window_columns, stride_rows, stride_columns, top, left
        int32_t pixel_words
        const uint64_t *flip
    ctypedef struct gx_sample_gates:
        const uint16_t *list
        const int32_t *turns
        const int32_t *edges
        const int32_t *seeds
        const uint8_t *flip
        int32_t outputs, tiles, bits, gain
    ctypedef struct gx_pixel_gates:
        const uint32_t *list
        const int32_t *turns
        const int64_t *begins
        const int32_t *seeds
        const int32_t *edges
        int32_t channels, height, width
        int32_t out_channels, out_height, out_width
        int32_t top, left, taps, step
        int32_t lines, line, strip
        int32_t chunks, bits, pixel_words
        int64_t plane
    enum: GX_PIXEL_WORDS, GX_PIXEL_ROUND
    ctypedef struct gx_slices:
        const char *name
        void (*run_blocks)(const gx_gates *, const gx_planes *, int32_t, int32_t, uint32_t *, uint64_t *, uint64_t *,
                           int32_t, int32_t *) noexcept nogil
        void (*finish)(const gx_finish *, const uint64_t *, const uint64_t *, gx_planes *) noexcept nogil
        void (*pack)(const int8_t *, int32_t, gx_planes *) noexcept nogil
        void (*list)(gx_planes *) noexcept nogil
        int64_t (*count_open)(const gx_planes *, const gx_opens *, int64_t *) noexcept nogil
        void (*head)(const gx_planes *, const uint64_t *, int32_t, int32_t, int32_t *) noexcept nogil
        int64_t (*count_bits)(const uint64_t *, int64_t) noexcept nogil
        void (*turn_in)(const uint64_t *, int32_t, int32_t, uint64_t *) noexcept nogil
        void (*turn_out)(const uint64_t *, int32_t, int32_t, uint64_t *) noexcept nogil
        void (*run_samples)(const gx_sample_gates *, const uint64_t *, uint64_t *, uint64_t *,
                            int32_t *) noexcept nogil
        void (*make_strips)(const gx_pixel_gates *, const gx_planes *, uint64_t *, char *) noexcept nogil
        void (*fire_pixels)(const gx_pixel_gates *, const char *, int32_t, int32_t, int32_t, uint64_t *,
                            uint64_t *) noexcept nogil
        void (*place_pixels)(const gx_pixel_gates *, const uint64_t *, const uint64_t *, uint64_t *,
                             uint64_t *) noexcept nogil
        void (*sum_pixels)(const gx_pixel_gates *, const char *, int32_t, int32_t, int32_t, int32_t,
                           int32_t *) noexcept nogil
    int gx_available_slices(gx_slices *found)

ctypedef struct sent_t:
    # What a population hands on for one sample, in the forms that somebody needs; the others are NULL.
    int32_t count           # number of events
    int32_t *address        # [count] unit of each event, rising
    int8_t *value           # [count] its level, never 0
    int32_t *start          # [pixels + 1] first event of each pixel
    int8_t *levels          # [size] all outputs
    int32_t *sums           # [size] its accumulators
    gx_planes planes        # bit planes of its outputs

ctypedef struct scratch_t:
    # Of one running thread, allocated once per workspace.
    int32_t *plus           # row lists of one gather
    int32_t *minus
    int8_t *value
    uint32_t *rows          # lists of selected rows
    uint64_t *high          # outputs before pooling
    uint64_t *low
    uint64_t *room          # of whatever else a unit needs for a sample

cdef gx_slices find_slices(str name) except *

cdef class GateUnit:
    # One projection, ready to run: adds what its source sent into the accumulators of its target.
    cdef readonly int32_t gain
    cdef readonly int32_t scratch_rows      # length its row lists need
    cdef readonly int64_t scratch_lists     # entries its lists of selected rows need
    cdef readonly int64_t scratch_words     # words its outputs before pooling need
    cdef readonly int64_t scratch_room      # further words that it needs
    cdef readonly int32_t slack             # accumulators beyond the target's size that it may touch (adds 0 there)
    cdef readonly int32_t shares            # parts of its work that may run side by side; 0: it runs as a whole
    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil
    cdef void fire(self, const sent_t *sent, gx_planes *planes, scratch_t *scratch) noexcept nogil
    cdef void begin_shares(self, const sent_t *sent, scratch_t *common) noexcept nogil
    cdef void run_shares(self, const sent_t *sent, int32_t first, int32_t last, int32_t *sums, scratch_t *own,
                         scratch_t *common) noexcept nogil
    cdef void finish_shares(self, gx_planes *planes, scratch_t *common) noexcept nogil
