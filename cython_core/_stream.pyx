"""Exact incremental inference on a sliding window of sensor events (see stream.h for the idea).

``Stream`` owns the state: how many events of the window lie on each input unit, and every population's sums and
levels. ``gxevent.runtime.stream`` builds it and has proven all bounds.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from gxevent.core._plan cimport Plan, Workspace, now, run_sample

cdef packed struct event_t:             # gxevent.events.EVENT_DTYPE
    int64_t t
    uint16_t x
    uint16_t y
    uint8_t p

ctypedef struct held_t:                 # an event of the window
    int64_t t
    int32_t cell                        # input unit of its pixel and polarity in bin 0, channels innermost
    int32_t sign

KINDS = {"conv2d": GX_CONV, "dense": GX_DENSE, "sparse": GX_SPARSE, "identity": GX_IDENTITY}
SLACK = 64                              # lanes beyond a population's sums that rows may touch with zeros


cdef class Stream:
    """State of one stream. Populations and projections are added in the plan's order, then events are pushed.

    Parameters: the frame engine's plan and workspace; the kernel path; whether sums fit int16; bins, whether signed
    (else on/off), pixels' downsampling and width of the input; the window in microseconds or events (0: neither).
    """

    cdef gx_stream stream
    cdef gx_stream_code code
    cdef Workspace work
    cdef list kept, fan_out
    cdef bint narrow, is_signed
    cdef int32_t bins, downsample, width, height
    cdef int64_t window_us, window_events
    # the window: a ring of events; bin k holds those from mark[k] up to mark[k + 1], mark[bins] is the next to come
    cdef held_t *ring
    cdef int64_t capacity
    cdef int64_t *mark
    cdef int32_t *counts                # events on each input unit (on/off), or their net polarity (signed)
    cdef int32_t *touched               # input units whose count moved since they were last propagated
    cdef int32_t n_touched
    cdef uint8_t *is_touched
    cdef int64_t last_t
    # which way: increments or a frame evaluation
    cdef double ns_a_change, ns_a_frame
    cdef readonly bint may_reevaluate
    cdef readonly int64_t increments, reevaluations, input_changes

    def __cinit__(self, Workspace work, Plan plan, str kernel, bint narrow, int32_t bins, bint is_signed,
                  int32_t downsample, int32_t width, int32_t height, int64_t window_us, int64_t window_events):
        self.work, self.narrow, self.is_signed = work, narrow, is_signed
        self.bins, self.downsample, self.width, self.height = bins, downsample, width, height
        self.window_us, self.window_events = window_us, window_events
        self.code = gx_find_stream_code(kernel.encode(), narrow)
        self.kept, self.fan_out = [], []
        self.may_reevaluate = True
        self.capacity = 1024
        self.ring = <held_t *>take(self.capacity * sizeof(held_t))
        self.mark = <int64_t *>take((bins + 1) * sizeof(int64_t))
        self.stream.populations = <gx_stream_population *>take(plan.n_populations * sizeof(gx_stream_population))
        self.stream.projections = <gx_stream_projection *>take((plan.n_projections + 1) * sizeof(gx_stream_projection))

    def __dealloc__(self):
        cdef gx_stream_population *p
        for i in range(self.stream.n_populations):
            p = &self.stream.populations[i]
            if p.linear != p.sums:
                free(p.linear)
            free(p.sums)
            free(p.levels)
            free(p.dirty)
            free(p.is_dirty)
            free(p.changed)
            free(p.change)
        free(self.stream.populations)
        free(self.stream.projections)
        free(self.stream.row)
        free(self.stream.row_levels)
        free(self.ring)
        free(self.mark)
        free(self.counts)
        free(self.touched)
        free(self.is_touched)

    def add_population(self, str role, int32_t size, int32_t channels, bint retaken, int32_t only_pool,
                       thresholds=None):
        """thresholds: (hi, lo (steps, period) in the sum type, polarity int8 (period,)) of a firing population;
        only_pool: number of the max pool that alone projects to it, or -1."""
        cdef gx_stream_population *p = &self.stream.populations[self.stream.n_populations]
        cdef size_t width = 2 if self.narrow else 4
        cdef const int8_t[::1] polarity
        self.stream.n_populations += 1
        p.role = {"input": GX_INPUT, "sum": GX_SUM, "fire": GX_FIRE, "readout": GX_READOUT}[role]
        p.size, p.channels, p.pixels, p.retaken = size, channels, size // channels, retaken
        p.only_pool = only_pool
        p.linear = take((size + SLACK) * width)
        p.sums = take((size + SLACK) * width) if retaken else p.linear
        p.levels = <int8_t *>take(size + 8)
        p.dirty = <int32_t *>take(4 * <size_t>(p.pixels + 1))     # one more is written before it is kept
        p.is_dirty = <uint8_t *>take(p.pixels)
        p.changed = <int32_t *>take(4 * <size_t>size)
        p.change = <int16_t *>take(2 * <size_t>size)
        if thresholds is not None:
            hi, lo, polarity = thresholds
            p.steps, p.period = hi.shape
            p.hi = <const void *><size_t>hi.ctypes.data
            p.lo = <const void *><size_t>lo.ctypes.data
            p.polarity = &polarity[0]
            self.kept.append(thresholds)
        if p.role == GX_INPUT:
            self.counts = <int32_t *>take(4 * <size_t>size)
            self.touched = <int32_t *>take(4 * <size_t>size)
            self.is_touched = <uint8_t *>take(size)

    def add_projection(self, str kind, int32_t source, int32_t target, int32_t gain, bint linear, geometry=None,
                       int32_t groups=1, rows=None, sparse=None, fan_out=None, through=None):
        """In order of the targets. rows: int8 (rows, lanes); sparse: (start, target, level); fan_out: int32 (source
        size,) where its gates are counted; through: (population, int32 (pixels,)) of the pool that alone reads its
        target, whose pixels (-1: none) it marks instead."""
        cdef gx_stream_projection *j = &self.stream.projections[self.stream.n_projections]
        cdef const int8_t[:, ::1] table
        cdef const int64_t[::1] start
        cdef const int32_t[::1] to
        cdef const int8_t[::1] level
        self.stream.n_projections += 1
        j.kind = KINDS[kind] if kind in KINDS else (GX_POOL_MAX if kind == "max" else GX_POOL_SUM)
        j.source, j.target, j.gain, j.linear, j.groups = source, target, gain, linear, groups
        if geometry is not None:
            w = &j.window
            w.channels, w.height, w.width = geometry["source_shape"]
            w.out_channels, w.out_height, w.out_width = geometry["target_shape"]
            w.kernel_rows, w.kernel_columns = geometry["kernel"]
            w.stride_rows, w.stride_columns = geometry["stride"]
            w.left, _, w.top, _ = geometry["padding"]
            w.dilation_rows, w.dilation_columns = geometry["dilation"]
        if rows is not None:
            table = rows
            j.rows, j.lanes = &table[0, 0], table.shape[1]
            self.kept.append(rows)
        self.fan_out.append(fan_out)
        j.marks = target
        if through is not None:
            j.marks, to = through
            j.pooled = &to[0]
            self.kept.append(through)
        if sparse is not None:
            start, to, level = sparse
            j.start = &start[0]
            if to.shape[0]:
                j.to, j.level = &to[0], &level[0]
            self.kept.append(sparse)

    def begin(self, bint may_reevaluate):
        """Evaluate the empty window from scratch: even without events some units may fire."""
        cdef int32_t channels = 1, i
        cdef int64_t begun = now()
        for i in range(self.stream.n_populations):
            channels = max(channels, self.stream.populations[i].channels)
        self.stream.row = take((channels + SLACK) * <size_t>4)
        self.stream.row_levels = <int8_t *>take(channels + 8)
        reevaluate(self)
        begun = now()
        reevaluate(self)
        self.ns_a_frame = now() - begun
        self.ns_a_change = 0
        self.may_reevaluate = may_reevaluate
        self.reevaluations = 0

    def push(self, const uint8_t[::1] raw, const int64_t[::1] ends, const int64_t[::1] times,
             int32_t[:, ::1] accumulators, int64_t[::1] nanoseconds):
        """Take in events, bringing the network up to date after each group of them.

        raw: bytes of the events IN (13 n,); group g ends before event ends[g], at time times[g]; events behind the
        last end stay pending. OUT by group: accumulators (groups, classes), nanoseconds spent.
        """
        cdef const event_t *events = <const event_t *>&raw[0] if raw.shape[0] else NULL
        cdef int64_t n = raw.shape[0] // sizeof(event_t), e = 0, g, begun, ended
        cdef int32_t bad = 0
        self.reserve(n)
        with nogil:
            begun = now()
            for g in range(ends.shape[0]):
                while e < ends[g]:
                    add_event(self, &events[e])
                    e += 1
                settle(self, times[g])
                read_out(self, &accumulators[g, 0])
                ended = now()
                nanoseconds[g] = ended - begun
                begun = ended
            while e < n:
                add_event(self, &events[e])
                e += 1

    def settle(self, int64_t time, int32_t[::1] accumulators):
        """Propagate what is pending, with the window ending at ``time``; OUT accumulators (classes,)."""
        with nogil:
            settle(self, time)
            read_out(self, &accumulators[0])

    def count(self):
        """(nonzero levels by population that sends, open gates by projection counted) of the current state."""
        cdef gx_stream_population *p
        cdef const int32_t[::1] opens
        cdef int64_t total
        cdef int32_t unit
        events, open_gates = [], []
        for i in range(self.stream.n_populations):
            if self.stream.populations[i].role in (GX_INPUT, GX_FIRE):
                events.append(self.stream.populations[i].active)
        for j, fan_out in enumerate(self.fan_out):
            if fan_out is None:
                continue
            opens, total = fan_out, 0
            p = &self.stream.populations[self.stream.projections[j].source]
            for unit in range(p.size):
                total += opens[unit] if p.levels[unit] else 0
            open_gates.append(total)
        return events, open_gates

    cdef int reserve(self, int64_t more) except -1:
        """Room for ``more`` events in the ring, which grows by doubling; its size is a power of two."""
        cdef int64_t capacity = self.capacity, held = self.mark[self.bins] - self.mark[0], i
        cdef held_t *ring
        while capacity < held + more + 1:
            capacity *= 2
        if capacity != self.capacity:
            ring = <held_t *>take(capacity * sizeof(held_t))
            for i in range(self.mark[0], self.mark[self.bins]):
                ring[i & (capacity - 1)] = self.ring[i & (self.capacity - 1)]
            free(self.ring)
            self.ring, self.capacity = ring, capacity
        return 0

    def held(self):
        """Number of events in the window."""
        return self.mark[self.bins] - self.mark[0]

    def statistics(self):
        """(accumulator updates by projection, level changes by population, nonzero levels by population) so far."""
        return (
            [self.stream.projections[j].updates for j in range(self.stream.n_projections)],
            [self.stream.populations[i].flips for i in range(self.stream.n_populations)],
            [self.stream.populations[i].active for i in range(self.stream.n_populations)],
        )

    def levels(self, int32_t population):
        """Copy of a population's levels int8 (size,), channels innermost."""
        cdef gx_stream_population *p = &self.stream.populations[population]
        return np.array(<int8_t[:p.size]>p.levels)

    def sums(self, int32_t population):
        """Copy of a population's sums int32 (size,), channels innermost."""
        out = np.empty(self.stream.populations[population].size, np.int32)
        cdef int32_t[::1] view = out
        self.code.look(&self.stream, population, &view[0])
        return out


cdef void *take(size_t size) except NULL:
    cdef void *memory = calloc(size if size else 1, 1)
    if memory == NULL:
        raise MemoryError
    return memory


cdef inline void count_event(Stream s, const held_t *event, int32_t bin_, int32_t by) noexcept nogil:
    # An event enters (+1) or leaves (-1) a bin: one input unit's count moves.
    cdef int32_t unit = event.cell + bin_ * (1 if s.is_signed else 2)
    s.counts[unit] += by * event.sign
    if not s.is_touched[unit]:
        s.is_touched[unit] = 1
        s.touched[s.n_touched] = unit
        s.n_touched += 1


cdef inline void add_event(Stream s, const event_t *event) noexcept nogil:
    cdef held_t *held = &s.ring[s.mark[s.bins] & (s.capacity - 1)]
    cdef int32_t pixel = (event.y // s.downsample) * s.width + event.x // s.downsample
    held.t = event.t
    if s.is_signed:
        held.cell = pixel * s.bins
        held.sign = 1 if event.p else -1
    else:
        held.cell = pixel * 2 * s.bins + (0 if event.p else 1)
        held.sign = 1
    count_event(s, held, s.bins - 1, 1)
    s.mark[s.bins] += 1
    s.last_t = event.t
    if s.window_events and s.mark[s.bins] - s.mark[0] > s.window_events:
        drop_oldest(s)


cdef void drop_oldest(Stream s) noexcept nogil:
    cdef int32_t k = 0, j
    while s.mark[k + 1] == s.mark[k]:
        k += 1
    count_event(s, &s.ring[s.mark[k] & (s.capacity - 1)], k, -1)
    for j in range(k + 1):
        s.mark[j] += 1


cdef void advance(Stream s, int64_t time) noexcept nogil:
    # Let time pass: events slip into older bins, and out of a window in time. Bins as in events.encode: event t lies
    # in bin (t - begin) * bins // span, so bin k begins at begin + ceil(k * span / bins).
    cdef int64_t begin, span, bound
    cdef int32_t k
    cdef const held_t *event
    if s.mark[s.bins] == s.mark[0]:
        return
    if s.window_us:
        begin, span = time - s.window_us + 1, s.window_us
    else:
        begin = s.ring[s.mark[0] & (s.capacity - 1)].t
        span = s.last_t - begin + 1
    for k in range(s.bins - 1, -1, -1):
        if k == 0 and not s.window_us:
            break
        bound = begin + (k * span + s.bins - 1) // s.bins
        while s.mark[k] < s.mark[k + 1]:
            event = &s.ring[s.mark[k] & (s.capacity - 1)]
            if event.t >= bound:
                break
            count_event(s, event, k, -1)
            if k:
                count_event(s, event, k - 1, 1)
            s.mark[k] += 1


cdef void settle(Stream s, int64_t time) noexcept nogil:
    # Input counts become levels, their changes travel through the network, or the frame is evaluated afresh where
    # measured costs say that this is quicker. Both leave the same integers.
    cdef gx_stream_population *p = &s.stream.populations[0]
    cdef int32_t e, unit, level, count
    cdef int64_t begun, spent
    advance(s, time)
    p.n_changed = 0
    for e in range(s.n_touched):
        unit = s.touched[e]
        s.is_touched[unit] = 0
        count = s.counts[unit]
        level = (count > 0) - (count < 0)
        if level != p.levels[unit]:
            p.changed[p.n_changed] = unit
            p.change[p.n_changed] = level - p.levels[unit]
            p.n_changed += 1
            p.active += (level != 0) - (p.levels[unit] != 0)
            p.levels[unit] = level
    s.n_touched = 0
    count = p.n_changed
    if count == 0:
        return
    p.flips += count
    s.input_changes += count
    begun = now()
    if s.may_reevaluate and count * s.ns_a_change > s.ns_a_frame:
        p.n_changed = 0
        reevaluate(s)
        s.reevaluations += 1
        s.ns_a_frame += (now() - begun - s.ns_a_frame) / 16
        s.ns_a_change -= s.ns_a_change / 256        # so that increments are tried again when activity has changed
    else:
        s.code.propagate(&s.stream)
        s.increments += 1
        spent = now() - begun
        s.ns_a_change += (<double>spent / count - s.ns_a_change) / (16 if s.ns_a_change else 1)


cdef void reevaluate(Stream s) noexcept nogil:
    # The frame engine evaluates the window's frame from scratch; its state becomes ours.
    cdef gx_stream_population *p
    cdef int32_t i, unit
    cdef int8_t level
    cdef const int8_t *levels
    run_sample(s.work, s.stream.populations[0].levels, NULL, True)
    for i in range(s.stream.n_populations):
        p = &s.stream.populations[i]
        if p.role == GX_INPUT:
            continue
        s.code.take_over(&s.stream, i, s.work.sent[i].sums)
        if p.role != GX_FIRE:
            continue
        levels = s.work.sent[i].levels
        p.active = s.work.sent[i].count
        for unit in range(p.size):
            p.flips += levels[unit] != p.levels[unit]
        memcpy(p.levels, levels, p.size)


cdef void read_out(Stream s, int32_t *accumulators) noexcept nogil:
    cdef gx_stream_population *p
    cdef int32_t i, c
    for i in range(s.stream.n_populations):
        p = &s.stream.populations[i]
        if p.role == GX_READOUT:
            for c in range(p.size):
                accumulators[c] = (<int16_t *>p.sums)[c] if s.narrow else (<int32_t *>p.sums)[c]
