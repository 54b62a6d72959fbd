"""Gate units: one class a connectivity rule. A gate opens where a nonzero event meets a nonzero level.

Every unit is driven by events only: silent sources cost nothing. The Python side (``gxevent.runtime.plan``) has
proven shapes and bounds; nothing is checked here.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t

import numpy as np


cdef gx_kernel _kernels[8]
cdef int _n_kernels = gx_available_kernels(_kernels)
cdef gx_slices _slices[8]
cdef int _n_slices = gx_available_slices(_slices)


def available_kernels():
    """Names of the kernel paths this machine can run, the best last."""
    return tuple(_slices[i].name.decode() for i in range(_n_slices))


def row_kernel(str name):
    """The path whose row kernels a kernel path uses: itself, or the best one that it extends."""
    return max((_kernels[i].name.decode() for i in range(_n_kernels) if name.startswith(_kernels[i].name.decode())),
               key=len, default="generic")


cdef gx_kernel find_kernel(str name) except *:
    for i in range(_n_kernels):
        if _kernels[i].name.decode() == row_kernel(name):
            return _kernels[i]
    raise ValueError(name)


cdef gx_slices find_slices(str name) except *:
    for i in range(_n_slices):
        if _slices[i].name.decode() == name:
            return _slices[i]
    raise ValueError(name)


def aligned_rows(levels):
    """Copy of int8 ``levels`` (rows, targets) with targets padded by zeros to whole vectors, 64-byte aligned."""
    n, targets = levels.shape
    lanes = -(-targets // GX_LANES) * GX_LANES
    memory = np.zeros(n * lanes + 64, np.int8)
    shift = -memory.ctypes.data % 64
    rows = memory[shift:shift + n * lanes].reshape(n, lanes)
    rows[:, :targets] = levels
    return rows


cdef class GateUnit:
    # A unit either accumulates (and fires) as a whole, or says how many shares it has and how they are run.

    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil:
        self.begin_shares(sent, scratch)
        self.run_shares(sent, 0, self.shares, sums, scratch, scratch)

    cdef void fire(self, const sent_t *sent, gx_planes *planes, scratch_t *scratch) noexcept nogil:
        # Sums and thresholds at once, where a unit can: the planes of its target.
        self.begin_shares(sent, scratch)
        self.run_shares(sent, 0, self.shares, NULL, scratch, scratch)
        self.finish_shares(planes, scratch)

    cdef void begin_shares(self, const sent_t *sent, scratch_t *common) noexcept nogil:
        # What all shares need of the source, once.
        pass

    cdef void run_shares(self, const sent_t *sent, int32_t first, int32_t last, int32_t *sums, scratch_t *own,
                         scratch_t *common) noexcept nogil:
        # Shares first .. last - 1: their sums, or where sums is NULL what they fire, left in `common` for finish_shares.
        # Several threads at a time, each with a scratch of its own; no two shares write the same word.
        pass

    cdef void finish_shares(self, gx_planes *planes, scratch_t *common) noexcept nogil:
        # After all shares: the planes of the target.
        pass


cdef class _RowGates(GateUnit):
    # Common to dense and convolution: weight rows and how to add them.
    cdef const int8_t[:, ::1] rows
    cdef int32_t lanes
    cdef int32_t chunk                      # 0: ternary levels and events; else rows per int16 flush
    cdef gx_kernel kernel

    def __init__(self, const int8_t[:, ::1] rows, int32_t chunk, str kernel, int32_t gain):
        self.rows = rows
        self.lanes = rows.shape[1]
        self.chunk = chunk
        self.kernel = find_kernel(kernel)
        self.gain = gain
        self.slack = GX_LANES


cdef inline void add_rows(_RowGates unit, const int8_t *rows, const scratch_t *list, int32_t n_plus, int32_t n_minus,
                          int32_t *sums) noexcept nogil:
    # In graded lists n_plus is the number of rows and `value` their factors; n_minus is 0.
    if unit.chunk:
        unit.kernel.add_graded_rows(rows, unit.lanes, list.plus, list.value, n_plus, unit.chunk, unit.gain, sums)
    else:
        unit.kernel.add_unit_rows(rows, unit.lanes, list.plus, n_plus, list.minus, n_minus, unit.gain, sums)


cdef inline void list_events(const sent_t *sent, int32_t first, int32_t last, int32_t shift, bint graded,
                             scratch_t *list, int32_t *n_plus, int32_t *n_minus) noexcept nogil:
    # Append the rows of events first .. last - 1; branch-free, as signs are unpredictable.
    cdef int32_t e, row, p = n_plus[0], m = n_minus[0]
    if graded:
        for e in range(first, last):
            list.plus[p] = sent.address[e] + shift
            list.value[p] = sent.value[e]
            p += 1
    else:
        for e in range(first, last):
            row = sent.address[e] + shift
            list.plus[p] = row
            list.minus[m] = row
            p += sent.value[e] > 0
            m += sent.value[e] < 0
    n_plus[0] = p
    n_minus[0] = m


cdef class DenseGates(_RowGates):
    """Every unit to every unit. ``rows`` int8 (sources, lanes) from :func:`aligned_rows`."""

    def __init__(self, rows, chunk, kernel, gain):
        super().__init__(rows, chunk, kernel, gain)
        self.scratch_rows = rows.shape[0] + 1

    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil:
        cdef int32_t n_plus = 0, n_minus = 0
        list_events(sent, 0, sent.count, 0, self.chunk != 0, scratch, &n_plus, &n_minus)
        add_rows(self, &self.rows[0, 0], scratch, n_plus, n_minus, sums)


ctypedef struct window_t:
    # A kernel sliding over an image; padding may differ on the two sides, only the first side matters here.
    int32_t channels, height, width
    int32_t out_channels, out_height, out_width
    int32_t kernel_rows, kernel_columns
    int32_t stride_rows, stride_columns
    int32_t top, left
    int32_t dilation_rows, dilation_columns


cdef window_t make_window(geometry) except *:
    cdef window_t w
    w.channels, w.height, w.width = geometry["source_shape"]
    w.out_channels, w.out_height, w.out_width = geometry["target_shape"]
    w.kernel_rows, w.kernel_columns = geometry["kernel"]
    w.stride_rows, w.stride_columns = geometry["stride"]
    w.left, _, w.top, _ = geometry["padding"]
    w.dilation_rows, w.dilation_columns = geometry["dilation"]
    return w


cdef inline void clip_taps(int32_t at, int32_t size, int32_t kernel, int32_t dilation,
                           int32_t *first, int32_t *last) noexcept nogil:
    # Kernel positions first .. last - 1 that lie on the image when the kernel begins at pixel `at` (may be negative).
    first[0] = 0 if at >= 0 else (-at + dilation - 1) // dilation
    last[0] = 0 if at >= size else min(kernel, (size - 1 - at) // dilation + 1)


cdef class ConvGates(_RowGates):
    """Convolution by gathering: for each output pixel, the events under the kernel select rows [ky][kx][channel].

    ``rows`` int8 (groups * kernel rows * kernel columns * channels / groups, lanes): each group's rows together.
    """

    cdef window_t window
    cdef int32_t groups

    def __init__(self, rows, chunk, kernel, gain, geometry, groups):
        super().__init__(rows, chunk, kernel, gain)
        self.window = make_window(geometry)
        self.groups = groups
        self.scratch_rows = rows.shape[0] // groups + 1

    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil:
        cdef window_t w = self.window
        cdef int32_t inputs = w.channels // self.groups, outputs = w.out_channels // self.groups
        cdef int32_t group_rows = w.kernel_rows * w.kernel_columns * inputs
        cdef int32_t y, x, g, n_plus, n_minus
        for y in range(w.out_height):
            for x in range(w.out_width):
                for g in range(self.groups):
                    n_plus = 0
                    n_minus = 0
                    if self.groups == 1:
                        list_window(&w, sent, y, x, self.chunk != 0, scratch, &n_plus, &n_minus)
                    else:
                        list_group_window(&w, sent, y, x, g * inputs, inputs, self.chunk != 0, scratch, &n_plus, &n_minus)
                    if n_plus + n_minus:
                        add_rows(self, &self.rows[0, 0] + <int64_t>g * group_rows * self.lanes, scratch, n_plus, n_minus,
                                 sums + (y * w.out_width + x) * w.out_channels + g * outputs)


cdef inline void list_window(const window_t *w, const sent_t *sent, int32_t y, int32_t x, bint graded,
                             scratch_t *list, int32_t *n_plus, int32_t *n_minus) noexcept nogil:
    # Rows and addresses both run (column, channel) innermost: without dilation a kernel row is one run of events.
    cdef int32_t in_y = y * w.stride_rows - w.top, in_x = x * w.stride_columns - w.left
    cdef int32_t row_first = 0, row_last = 0, first = 0, last = 0, row, column, pixel, step
    clip_taps(in_y, w.height, w.kernel_rows, w.dilation_rows, &row_first, &row_last)
    clip_taps(in_x, w.width, w.kernel_columns, w.dilation_columns, &first, &last)
    for row in range(row_first, row_last):
        column = first
        while column < last:
            step = last - first if w.dilation_columns == 1 else 1
            pixel = (in_y + row * w.dilation_rows) * w.width + in_x + column * w.dilation_columns
            list_events(sent, sent.start[pixel], sent.start[pixel + step],
                        (row * w.kernel_columns + column - pixel) * w.channels, graded, list, n_plus, n_minus)
            column += step


cdef inline void list_group_window(const window_t *w, const sent_t *sent, int32_t y, int32_t x, int32_t channel,
                                   int32_t inputs, bint graded, scratch_t *list,
                                   int32_t *n_plus, int32_t *n_minus) noexcept nogil:
    # As list_window, but only the events of channels channel .. channel + inputs - 1.
    cdef int32_t in_y = y * w.stride_rows - w.top, in_x = x * w.stride_columns - w.left
    cdef int32_t row_first = 0, row_last = 0, first = 0, last = 0, row, column, pixel, begin, end, base
    clip_taps(in_y, w.height, w.kernel_rows, w.dilation_rows, &row_first, &row_last)
    clip_taps(in_x, w.width, w.kernel_columns, w.dilation_columns, &first, &last)
    for row in range(row_first, row_last):
        for column in range(first, last):
            pixel = (in_y + row * w.dilation_rows) * w.width + in_x + column * w.dilation_columns
            base = pixel * w.channels + channel
            begin = sent.start[pixel]
            while begin < sent.start[pixel + 1] and sent.address[begin] < base:
                begin += 1
            end = begin
            while end < sent.start[pixel + 1] and sent.address[end] < base + inputs:
                end += 1
            list_events(sent, begin, end, (row * w.kernel_columns + column) * inputs - base, graded, list,
                        n_plus, n_minus)


cdef class SparseGates(GateUnit):
    """Any connectivity: each event walks its own list of targets. Arrays as in ``connectivity.Sparse``."""

    cdef const int64_t[::1] start
    cdef const int32_t[::1] target
    cdef const int8_t[::1] level

    def __init__(self, const int64_t[::1] start, const int32_t[::1] target, const int8_t[::1] level, int32_t gain):
        self.start = start
        self.target = target
        self.level = level
        self.gain = gain

    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil:
        cdef int32_t e, factor
        cdef int64_t i
        for e in range(sent.count):
            factor = self.gain * sent.value[e]
            for i in range(self.start[sent.address[e]], self.start[sent.address[e] + 1]):
                sums[self.target[i]] += factor * self.level[i]


cdef class IdentityGates(GateUnit):
    """Unit i to unit i, of events or of the sums of a population that does not fire."""

    cdef int32_t size

    def __init__(self, int32_t size, int32_t gain):
        self.size = size
        self.gain = gain

    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil:
        cdef int32_t i
        if sent.levels == NULL:
            for i in range(self.size):
                sums[i] += self.gain * sent.sums[i]
        else:
            for i in range(sent.count):
                sums[sent.address[i]] += self.gain * sent.value[i]


ctypedef fused integer_t:
    int8_t
    int32_t


cdef void pool_windows(const window_t *w, bint maximum, int32_t gain, const integer_t *source, int32_t *sums,
                       int32_t *pooled) noexcept nogil:
    cdef int32_t y, x, row, column, c, in_y, in_x
    cdef int32_t row_first = 0, row_last = 0, first = 0, last = 0
    cdef const integer_t *pixel
    for y in range(w.out_height):
        in_y = y * w.stride_rows - w.top
        clip_taps(in_y, w.height, w.kernel_rows, w.dilation_rows, &row_first, &row_last)
        for x in range(w.out_width):
            in_x = x * w.stride_columns - w.left
            clip_taps(in_x, w.width, w.kernel_columns, w.dilation_columns, &first, &last)
            for c in range(w.channels):
                pooled[c] = -2147483647 if maximum else 0
            for row in range(row_first, row_last):
                for column in range(first, last):
                    pixel = source + ((in_y + row) * w.width + in_x + column) * w.channels
                    if maximum:
                        for c in range(w.channels):
                            pooled[c] = pixel[c] if pixel[c] > pooled[c] else pooled[c]
                    else:
                        for c in range(w.channels):
                            pooled[c] += pixel[c]
            for c in range(w.channels):
                sums[c] += gain * pooled[c]
            sums += w.channels


cdef class PoolGates(GateUnit):
    """Maximum or sum over a window of one channel, of levels or of the sums of a population that does not fire."""

    cdef window_t window
    cdef bint maximum

    def __init__(self, geometry, bint maximum, int32_t gain):
        self.window = make_window(geometry)
        self.maximum = maximum
        self.gain = gain
        self.scratch_rows = self.window.channels

    cdef void accumulate(self, const sent_t *sent, int32_t *sums, scratch_t *scratch) noexcept nogil:
        if sent.levels == NULL:
            pool_windows(&self.window, self.maximum, self.gain, <const int32_t *>sent.sums, sums, scratch.plus)
        else:
            pool_windows(&self.window, self.maximum, self.gain, <const int8_t *>sent.levels, sums, scratch.plus)
