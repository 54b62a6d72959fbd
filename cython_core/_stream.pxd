"""What the stream core takes from stream.h; see there for the meaning of every field."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t

cdef extern from "stream.h" nogil:
    enum: GX_INPUT, GX_SUM, GX_FIRE, GX_READOUT
    enum: GX_CONV, GX_DENSE, GX_SPARSE, GX_IDENTITY, GX_POOL_MAX, GX_POOL_SUM
    ctypedef struct gx_window:
        int32_t channels, height, width
        int32_t out_channels, out_height, out_width
        int32_t kernel_rows, kernel_columns, stride_rows, stride_columns, top, left, dilation_rows, dilation_columns
    ctypedef struct gx_stream_projection:
        int32_t kind, source, target, gain, linear, groups, lanes
        gx_window window
        const int8_t *rows
        const int32_t *pooled
        int32_t marks
        const int64_t *start
        const int32_t *to
        const int8_t *level
        int64_t updates
    ctypedef struct gx_stream_population:
        int32_t role, size, channels, pixels, period, steps, retaken, only_pool
        void *linear
        void *sums
        const void *hi
        const void *lo
        const int8_t *polarity
        int8_t *levels
        int32_t *dirty
        int32_t n_dirty
        uint8_t *is_dirty
        int32_t *changed
        int16_t *change
        int32_t n_changed
        int64_t flips, active
    ctypedef struct gx_stream:
        int32_t n_populations, n_projections
        gx_stream_population *populations
        gx_stream_projection *projections
        void *row
        int8_t *row_levels
    ctypedef struct gx_stream_code:
        void (*propagate)(gx_stream *) noexcept nogil
        void (*take_over)(gx_stream *, int32_t, const int32_t *) noexcept nogil
        void (*look)(gx_stream *, int32_t, int32_t *) noexcept nogil
    gx_stream_code gx_find_stream_code(const char *kernel, int narrow)
