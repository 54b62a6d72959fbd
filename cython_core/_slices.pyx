"""Bit-sliced gate units: dense layers and convolutions of ternary (or few-bit) levels; see slices.h for the idea.

``gxevent.runtime.sliced`` lays out their tables and has proven all bounds.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from gxevent.core._gates cimport (
    GX_LIST_SLACK,
    GX_PIXEL_ROUND,
    GX_PIXEL_WORDS,
    GX_SAMPLE_BITS,
    GX_SAMPLE_ROUND,
    GX_SAMPLE_ROW,
    GateUnit,
    find_slices,
    gx_finish,
    gx_gates,
    gx_pixel_gates,
    gx_planes,
    gx_sample_gates,
    gx_slices,
    scratch_t,
    sent_t,
)


cdef gx_finish make_finish(int32_t channels, int32_t height, int32_t width, const uint64_t[::1] flip, pool) except *:
    # From outputs (channels, height, width) before the pool to planes; flip must outlive it.
    cdef gx_finish f
    f.height, f.width, f.channels, f.pixel_words = height, width, channels, (channels + 63) // 64
    f.flip = &flip[0]
    f.out_height, f.out_width, f.top, f.left = height, width, 0, 0
    f.window_rows = f.window_columns = f.stride_rows = f.stride_columns = 1
    if pool is not None:
        _, f.out_height, f.out_width = pool["target_shape"]
        f.window_rows, f.window_columns = pool["kernel"]
        f.stride_rows, f.stride_columns = pool["stride"]
        f.left, _, f.top, _ = pool["padding"]
    return f


cdef class SlicedGates(GateUnit):
    """A convolution or dense layer on bit-sliced counters.

    Parameters
    ----------
    kernel : name of the kernel path
    layout : dict of the geometry fields of ``gx_gates`` and the sizes of its tables
    rows : uint64 (planes * blocks * n_rows * 2 * width,)
    row_at : int32 (window_rows,)
    source_planes : bit planes of the source's levels
    """

    cdef gx_gates gates
    cdef gx_finish finish
    cdef gx_slices kernel
    cdef list kept

    def __init__(self, str kernel, dict layout, const uint64_t[::1] rows, const int32_t[::1] row_at,
                 int32_t source_planes, int32_t gain):
        cdef gx_gates *g = &self.gates
        self.kernel = find_slices(kernel)
        self.gain = gain
        self.kept = [rows, row_at]
        g.slices.rows, g.row_at = &rows[0], &row_at[0]
        g.slices.width, g.slices.blocks, g.slices.n_rows = layout["width"], layout["blocks"], layout["n_rows"]
        g.slices.planes, g.slices.bits, g.slices.far = layout["planes"], layout["bits"], layout["far"]
        g.channels, g.height, g.width = layout["source_shape"]
        g.out_channels, g.out_height, g.out_width = layout["target_shape"]
        g.stride_rows, g.stride_columns = layout["stride"]
        g.left, _, g.top, _ = layout["padding"]
        g.tile_rows, g.tile_columns = layout["tile"]
        g.tiles_across = (g.out_width + g.tile_columns - 1) // g.tile_columns
        g.tiles = g.tiles_across * ((g.out_height + g.tile_rows - 1) // g.tile_rows)
        g.window_rows, g.window_columns = layout["window"]
        g.half_shift, g.pixel_bytes, g.pixel_words = layout["half_shift"], layout["pixel_bytes"], layout["pixel_words"]
        g.list_length = g.window_rows * g.window_columns * g.channels + GX_LIST_SLACK
        self.shares = g.tiles * g.slices.blocks
        self.scratch_lists = <int64_t>source_planes * g.list_length
        self.scratch_words = <int64_t>g.out_height * g.out_width * g.pixel_words

    def set_thresholds(self, const uint64_t[::1] edges, const uint64_t[::1] flip, pool):
        """Let the unit fire by itself. edges: uint64 (blocks * bits * 2 * width,); flip: uint64 (pixel_words,);
        pool: geometry of the max pool between sums and threshold, or None."""
        cdef gx_gates *g = &self.gates
        self.kept += [edges, flip]
        g.slices.edges = &edges[0]
        self.finish = make_finish(g.out_channels, g.out_height, g.out_width, flip, pool)

    cdef void run_shares(self, const sent_t *sent, int32_t first, int32_t last, int32_t *sums, scratch_t *own,
                         scratch_t *common) noexcept nogil:
        if sums != NULL:
            self.kernel.run_blocks(&self.gates, &sent.planes, first, last, own.rows, NULL, NULL, self.gain, sums)
        else:
            self.kernel.run_blocks(&self.gates, &sent.planes, first, last, own.rows, common.high, common.low, 1, NULL)

    cdef void finish_shares(self, gx_planes *planes, scratch_t *common) noexcept nogil:
        self.kernel.finish(&self.finish, common.high, common.low, planes)


PIXEL_WORDS = GX_PIXEL_WORDS
PIXEL_ROUND = GX_PIXEL_ROUND


cdef class PixelGates(GateUnit):
    """A convolution of ternary weights on lanes of output pixels; see slices_pixels.h, which names the arrays.

    Parameters
    ----------
    kernel : name of the kernel path
    layout : dict of the geometry and sizes of ``gx_pixel_gates``
    rows : uint32 (rows of all turns,), turns : int32 (channels, 3), begins : int64 (channels,)
    seeds : int32 (channels,)
    source_planes : bit planes of the source's levels
    """

    cdef gx_pixel_gates gates
    cdef gx_finish finish
    cdef gx_slices kernel
    cdef int64_t outputs, strips    # words of scratch
    cdef list kept

    def __init__(self, str kernel, dict layout, const uint32_t[::1] rows, const int32_t[:, ::1] turns,
                 const int64_t[::1] begins, const int32_t[::1] seeds, int32_t source_planes, int32_t gain):
        cdef gx_pixel_gates *g = &self.gates
        self.kernel = find_slices(kernel)
        self.gain = gain
        self.kept = [rows, turns, begins, seeds]
        g.list, g.turns, g.begins, g.seeds = &rows[0], &turns[0, 0], &begins[0], &seeds[0]
        g.channels, g.height, g.width = layout["source_shape"]
        g.out_channels, g.out_height, g.out_width = layout["target_shape"]
        g.left, _, g.top, _ = layout["padding"]
        g.taps, g.step = layout["taps"], layout["step"]
        g.lines, g.line, g.strip, g.chunks = layout["lines"], layout["line"], layout["strip"], layout["chunks"]
        g.bits, g.plane = layout["bits"], layout["plane"]
        g.pixel_words = (g.out_channels + 63) // 64
        self.shares = g.out_channels
        self.outputs = <int64_t>g.out_channels * g.chunks * GX_PIXEL_WORDS
        self.strips = (source_planes * g.plane + 7) // 8
        self.scratch_words = <int64_t>g.out_height * g.out_width * g.pixel_words
        self.scratch_room = 2 * self.outputs + self.strips
        self.scratch_room += 2 * <int64_t>g.channels * ((g.height * g.width + 255) // 256 * 4 + 1)

    def set_thresholds(self, const int32_t[:, ::1] edges, const uint64_t[::1] flip, pool):
        """Let the unit fire by itself. edges: int32 (channels, 2); flip: uint64 (pixel_words,); pool: geometry of the
        max pool between sums and threshold, or None."""
        self.kept += [edges, flip]
        self.gates.edges = &edges[0, 0]
        self.finish = make_finish(self.gates.out_channels, self.gates.out_height, self.gates.out_width, flip, pool)

    cdef void begin_shares(self, const sent_t *sent, scratch_t *common) noexcept nogil:
        self.kernel.make_strips(&self.gates, &sent.planes, common.room + 2 * self.outputs + self.strips, self.at(common))

    cdef char *at(self, scratch_t *common) noexcept nogil:
        # Outputs as rows of pixels come first in `room`, then strips, then what they are made of.
        return <char *>(common.room + 2 * self.outputs)

    cdef void run_shares(self, const sent_t *sent, int32_t first, int32_t last, int32_t *sums, scratch_t *own,
                         scratch_t *common) noexcept nogil:
        cdef int32_t planes = sent.planes.planes
        if sums != NULL:
            self.kernel.sum_pixels(&self.gates, self.at(common), planes, first, last, self.gain, sums)
        else:
            self.kernel.fire_pixels(&self.gates, self.at(common), planes, first, last, common.room,
                                    common.room + self.outputs)

    cdef void finish_shares(self, gx_planes *planes, scratch_t *common) noexcept nogil:
        self.kernel.place_pixels(&self.gates, common.room, common.room + self.outputs, common.high, common.low)
        self.kernel.finish(&self.finish, common.high, common.low, planes)


cdef class HeadGates(GateUnit):
    """A dense layer of few targets: population counts along each target's weights.

    rows : uint64 (targets, 2, words) bits [w > 0] and [w < 0] over the source's units
    """

    cdef const uint64_t[:, :, ::1] rows
    cdef gx_slices kernel

    def __init__(self, str kernel, const uint64_t[:, :, ::1] rows, int32_t gain):
        self.kernel = find_slices(kernel)
        self.rows, self.gain = rows, gain

    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil:
        self.kernel.head(&sent.planes, &self.rows[0, 0, 0], <int32_t>self.rows.shape[0], self.gain, sums)


SAMPLE_ROW = GX_SAMPLE_ROW
SAMPLE_ROUND = GX_SAMPLE_ROUND
SAMPLE_BITS = GX_SAMPLE_BITS


cdef class SampleGates:
    """A ternary dense layer of many samples at once; see slices_samples.h, which names the arrays.

    Parameters
    ----------
    rows : uint16 (rows of all turns,), turns : int32 (tiles, outputs, 3), seeds : int32 (outputs,)
    edges : int32 (outputs, 2) and flip : uint8 (outputs,), or None where only sums are wanted
    """

    def __init__(self, const uint16_t[::1] rows, const int32_t[:, :, ::1] turns, const int32_t[::1] seeds, edges, flip,
                 int32_t bits, int32_t gain):
        cdef const int32_t[:, ::1] limits
        cdef const uint8_t[::1] negative
        self.kept = [rows, turns, seeds, edges, flip]
        self.gates.list, self.gates.turns, self.gates.seeds = &rows[0], &turns[0, 0, 0], &seeds[0]
        self.gates.tiles, self.gates.outputs = turns.shape[0], turns.shape[1]
        self.gates.bits, self.gates.gain = bits, gain
        if edges is not None:
            limits, negative = edges, flip
            self.gates.edges, self.gates.flip = &limits[0, 0], &negative[0]
