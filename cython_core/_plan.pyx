"""A compiled network as a plan: populations in order, gate units between them, run sample by sample without Python."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from gxevent.core._gates cimport GX_LIST_SLACK, GateUnit, find_slices, gx_planes, scratch_t, sent_t

ROLES = {"input": INPUT, "sum": SUM, "fire": FIRE, "readout": READOUT, "absorbed": ABSORBED}

FORMS = {"levels": AS_LEVELS, "events": AS_EVENTS, "planes": AS_PLANES, "lists": AS_LISTS, "sums": AS_SUMS}


cdef extern from "order.h" nogil:
    void gx_order_pixels(const int8_t *planes, int64_t channels, int64_t pixels, int8_t *levels)


cdef class Plan:
    """Populations and projections in running order. Built by ``gxevent.runtime.plan``, which proves all bounds."""

    def __cinit__(self, int32_t n_populations, int32_t n_projections, str kernel):
        self.populations = <population_t *>calloc(max(n_populations, 1), sizeof(population_t))
        self.projections = <projection_t *>calloc(max(n_projections, 1), sizeof(projection_t))
        if self.populations == NULL or self.projections == NULL:
            raise MemoryError
        self.kernel = find_slices(kernel)
        self.kept = []
        self.scratch_rows = 1

    def __dealloc__(self):
        free(self.populations)
        free(self.projections)

    def add_population(self, str role, int32_t size, int32_t channels, forms, int32_t planes, thresholds=None):
        """forms: names in FORMS that projections from it need; planes: magnitude bits of its levels;
        thresholds: (hi, lo int32 (steps, period), polarity int8 (period,)) of a firing population."""
        cdef population_t *p = &self.populations[self.n_populations]
        cdef const int32_t[:, ::1] hi, lo
        cdef const int8_t[::1] polarity
        p.role = ROLES[role]
        p.size, p.channels, p.planes = size, channels, planes
        p.forms = sum(FORMS[form] for form in forms)
        if thresholds is not None:
            hi, lo, polarity = thresholds
            p.steps, p.period = hi.shape[0], hi.shape[1]
            p.hi, p.lo, p.polarity = &hi[0, 0], &lo[0, 0], &polarity[0]
            self.kept.append(thresholds)
        if p.role == INPUT or p.role == FIRE:
            self.n_events += 1
        if p.role == READOUT:
            self.readout = self.n_populations
        self.n_populations += 1

    def add_projection(self, GateUnit unit, int32_t source, int32_t target, bint fires, int32_t counted, int32_t chunk,
                       fan_out=None, classes=None):
        """In order of the target populations. counted: column of its open gates or -1; where they are counted, fan_out:
        int32 (source size,), or classes: what ``gxevent.runtime.sliced.open_classes`` makes of it. chunk: shares of the
        unit that a thread takes at a time, or 0."""
        cdef projection_t *p = &self.projections[self.n_projections]
        cdef const int32_t[::1] counts, of_word
        cdef const uint8_t[:, :, ::1] table
        p.unit = <void *>unit
        p.source, p.target, p.fires, p.counted, p.chunk = source, target, fires, counted, chunk
        self.shared = self.shared or chunk > 0
        self.kept.append(unit)
        if fan_out is not None:
            counts = fan_out
            p.fan_out = &counts[0]
            self.kept.append(fan_out)
        if classes is not None:
            of_word, table, p.opens.least = classes
            p.opens.of_word, p.opens.more, p.opens.bytes = &of_word[0], &table[0, 0, 0], table.shape[1]
            self.kept.append(classes)
        self.n_gated = max(self.n_gated, counted + 1)
        self.populations[target].slack = max(self.populations[target].slack, unit.slack)
        self.scratch_rows = max(self.scratch_rows, unit.scratch_rows)
        self.scratch_lists = max(self.scratch_lists, unit.scratch_lists)
        self.scratch_words = max(self.scratch_words, unit.scratch_words)
        self.scratch_room = max(self.scratch_room, unit.scratch_room)
        self.n_projections += 1


cdef class Workspace:
    """State of one running thread: what every population sent for the current sample. Allocated once."""

    def __cinit__(self, Plan plan):
        cdef int32_t i, pixels
        cdef population_t *p
        self.plan = plan
        self.memory = []
        self.sent = <sent_t *>self.take(max(plan.n_populations, 1) * sizeof(sent_t))
        for i in range(plan.n_populations):
            p = &plan.populations[i]
            pixels = p.size // p.channels
            if p.role == ABSORBED:
                continue
            if p.forms & (AS_LEVELS | AS_EVENTS) or (p.role == INPUT and p.channels > 1 and pixels > 1):
                self.sent[i].levels = <int8_t *>self.take(p.size + 64)
            if p.forms & AS_EVENTS:
                self.sent[i].address = <int32_t *>self.take(4 * <size_t>(p.size + 1))
                self.sent[i].value = <int8_t *>self.take(p.size + 1)
                self.sent[i].start = <int32_t *>self.take(4 * <size_t>(pixels + 1))
            if p.forms & AS_PLANES:
                self.take_planes(&self.sent[i].planes, p)
            if p.forms & AS_SUMS:
                self.sent[i].sums = <int32_t *>self.take(4 * <size_t>(p.size + p.slack))
        self.scratch.plus = <int32_t *>self.take(4 * <size_t>plan.scratch_rows)
        self.scratch.minus = <int32_t *>self.take(4 * <size_t>plan.scratch_rows)
        self.scratch.value = <int8_t *>self.take(plan.scratch_rows)
        self.scratch.rows = <uint32_t *>self.take(4 * <size_t>plan.scratch_lists)
        self.scratch.high = <uint64_t *>self.take(8 * <size_t>plan.scratch_words)
        self.scratch.low = <uint64_t *>self.take(8 * <size_t>plan.scratch_words)
        self.scratch.room = <uint64_t *>self.take(8 * <size_t>plan.scratch_room)

    cdef int take_planes(self, gx_planes *planes, const population_t *p) except -1:
        planes.words = (p.size + 63) // 64
        planes.planes = p.planes
        planes.plus = <uint64_t *>self.take(8 * (<size_t>planes.planes * planes.words + 1))
        planes.minus = <uint64_t *>self.take(8 * (<size_t>planes.planes * planes.words + 1))
        if p.forms & AS_LISTS:
            planes.capacity = p.size + GX_LIST_SLACK
            planes.list = <int32_t *>self.take(4 * <size_t>planes.planes * planes.capacity)
            planes.rank = <int32_t *>self.take(4 * <size_t>planes.planes * (planes.words + 1))
        return 0

    cdef void *take(self, size_t size) except NULL:
        # Zeroed, on a cache line of its own, freed with the workspace.
        cdef void *memory = NULL
        if posix_memalign(&memory, 64, size + 64):
            raise MemoryError
        memset(memory, 0, size + 64)
        self.memory.append(<size_t>memory)
        return memory

    def __dealloc__(self):
        if self.memory is not None:
            for address in self.memory:
                free(<void *><size_t>address)

    def levels(self, int32_t population, int8_t[::1] out):
        """Copy what a population sent for the last sample, int8 OUT (size,), channels innermost."""
        if self.sent[population].levels != NULL:
            memcpy(&out[0], self.sent[population].levels, out.shape[0])

    def sums(self, int32_t population, int32_t[::1] out):
        """Copy a population's accumulators of the last sample, int32 OUT (size,), channels innermost."""
        if self.sent[population].sums != NULL:
            memcpy(&out[0], self.sent[population].sums, 4 * out.shape[0])


cdef int64_t now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t>t.tv_sec * 1000000000 + t.tv_nsec


cdef int32_t count_sent(Workspace work, int32_t n, int64_t *events) noexcept nogil:
    # Events of those of the first n populations that send, OUT in the plan's order; returns how many send.
    cdef int32_t i, column = 0
    for i in range(n):
        if work.plan.populations[i].role in (INPUT, FIRE):
            events[column] = count_events(work.plan, &work.sent[i])
            column += 1
    return column


cdef void run_sample(Workspace work, const int8_t *frame, int64_t *open_gates, bint inward) noexcept nogil:
    # frame: levels in graph order, or `inward` in the plan's. open_gates: OUT [n_gated], or NULL.
    run_populations(work, frame, open_gates, inward, work.plan.n_populations, -1)


cdef void run_head(Workspace work, const int8_t *frame, int64_t *open_gates, int32_t last) noexcept nogil:
    # Populations 0 .. last only; what the last one sends is left as planes, not listed.
    run_populations(work, frame, open_gates, False, last + 1, last)


cdef void run_populations(Workspace work, const int8_t *frame, int64_t *open_gates, bint inward, int32_t n,
                          int32_t unlisted) noexcept nogil:
    cdef const population_t *p
    cdef const projection_t *j
    cdef sent_t *sent
    cdef int32_t i, forms, next_projection = 0
    cdef int64_t events
    cdef bint fired
    for i in range(n):
        p = &work.plan.populations[i]
        sent = &work.sent[i]
        forms = p.forms if i != unlisted else p.forms & ~AS_LISTS
        if p.role == INPUT:
            take_frame(work.plan, p, sent, frame, inward, forms)
            continue
        fired = False
        if p.forms & AS_SUMS and p.role != ABSORBED:
            memset(sent.sums, 0, 4 * <size_t>p.size)
        while next_projection < work.plan.n_projections and work.plan.projections[next_projection].target == i:
            j = &work.plan.projections[next_projection]
            fired = fired or j.fires
            if work.crew != NULL and j.chunk:
                share(work, j, sent)
            elif j.fires:
                (<GateUnit>j.unit).fire(&work.sent[j.source], &sent.planes, &work.scratch)
            else:
                (<GateUnit>j.unit).accumulate(&work.sent[j.source], sent.sums, &work.scratch)
            if open_gates != NULL and j.counted >= 0:
                open_gates[j.counted] = count_open(work.plan, j, &work.sent[j.source], &events)
            next_projection += 1
        if p.role == FIRE:
            if fired:
                if p.forms & (AS_LEVELS | AS_EVENTS):
                    unpack(p, sent)
            else:
                fire(p, sent)
            hand_on(work.plan, p, sent, forms, not fired)


ctypedef struct shared_t:
    const projection_t *projection
    const sent_t *source
    int32_t *sums
    scratch_t *common
    scratch_t **own


cdef void run_chunk(void *context, int32_t worker, int64_t begin, int64_t end) noexcept nogil:
    cdef const shared_t *s = <const shared_t *>context
    (<GateUnit>s.projection.unit).run_shares(s.source, <int32_t>begin, <int32_t>end, s.sums, s.own[worker], s.common)


cdef void share(Workspace work, const projection_t *j, sent_t *target) noexcept nogil:
    cdef shared_t shared
    shared.projection, shared.source, shared.sums = j, &work.sent[j.source], NULL
    shared.common, shared.own = &work.scratch, work.crew.scratch
    if not j.fires:
        shared.sums = target.sums
    (<GateUnit>j.unit).begin_shares(shared.source, shared.common)
    gx_pool_run(work.crew.pool, run_chunk, &shared, (<GateUnit>j.unit).shares, j.chunk)
    if j.fires:
        (<GateUnit>j.unit).finish_shares(&target.planes, &work.scratch)


cdef void take_frame(Plan plan, const population_t *p, sent_t *sent, const int8_t *frame, bint inward,
                     int32_t forms) noexcept nogil:
    cdef int32_t pixels = p.size // p.channels
    if sent.levels == NULL:             # one channel or one pixel: the orders are the same
        plan.kernel.pack(frame, p.size, &sent.planes)
        if forms & AS_LISTS:
            plan.kernel.list(&sent.planes)
        return
    if inward or p.channels == 1 or pixels == 1:
        memcpy(sent.levels, frame, p.size)
    else:
        gx_order_pixels(frame, p.channels, pixels, sent.levels)
    hand_on(plan, p, sent, forms, True)


cdef void hand_on(Plan plan, const population_t *p, sent_t *sent, int32_t forms, bint from_levels) noexcept nogil:
    # From levels, or planes, to the other forms that projections need.
    if forms & AS_EVENTS:
        list_nonzero(p, sent)
    if forms & AS_PLANES and from_levels:
        plan.kernel.pack(sent.levels, p.size, &sent.planes)
    if forms & AS_LISTS:
        plan.kernel.list(&sent.planes)


cdef int64_t count_open(Plan plan, const projection_t *j, const sent_t *sent, int64_t *events) noexcept nogil:
    # Each event opens one gate per nonzero level it meets: exact, and one table look-up an event. events: OUT, how many.
    cdef int64_t total = 0
    cdef int32_t e
    if j.opens.more != NULL:
        return plan.kernel.count_open(&sent.planes, &j.opens, events)
    events[0] = sent.count
    for e in range(sent.count):
        total += j.fan_out[sent.address[e]]
    return total


cdef int64_t count_events(Plan plan, const sent_t *sent) noexcept nogil:
    cdef int32_t word, plane, count = 0
    cdef uint64_t active
    if sent.address != NULL:
        return sent.count
    if sent.planes.planes == 1 and sent.planes.rank != NULL:
        return sent.planes.rank[sent.planes.words]
    if sent.planes.planes == 1:
        return (plan.kernel.count_bits(sent.planes.plus, sent.planes.words)
                + plan.kernel.count_bits(sent.planes.minus, sent.planes.words))
    for word in range(sent.planes.words):
        active = 0
        for plane in range(sent.planes.planes):
            active |= sent.planes.plus[plane * sent.planes.words + word]
            active |= sent.planes.minus[plane * sent.planes.words + word]
        count += popcount(active)
    return count


cdef extern from *:
    """
    static inline int32_t gx_popcount(uint64_t x) { return __builtin_popcountll(x); }
    """
    int32_t popcount "gx_popcount"(uint64_t x) noexcept nogil


cdef void unpack(const population_t *p, sent_t *sent) noexcept nogil:
    # Levels of ternary planes.
    cdef int32_t unit
    for unit in range(p.size):
        sent.levels[unit] = <int8_t>(<int32_t>(sent.planes.plus[unit >> 6] >> (unit & 63) & 1)
                                     - <int32_t>(sent.planes.minus[unit >> 6] >> (unit & 63) & 1))


cdef void fire(const population_t *p, sent_t *sent) noexcept nogil:
    cdef int32_t unit = 0, c, k
    cdef int32_t s, q
    cdef const int32_t *hi = p.hi
    cdef const int32_t *lo = p.lo
    while unit < p.size:
        if p.steps == 1:
            for c in range(p.period):
                s = sent.sums[unit + c]
                sent.levels[unit + c] = <int8_t>(p.polarity[c] * ((s >= hi[c]) - (s <= lo[c])))
        else:
            for c in range(p.period):
                s = sent.sums[unit + c]
                q = 0
                for k in range(p.steps):
                    q += (s >= hi[k * p.period + c]) - (s <= lo[k * p.period + c])
                sent.levels[unit + c] = <int8_t>(p.polarity[c] * q)
        unit += p.period


cdef void list_nonzero(const population_t *p, sent_t *sent) noexcept nogil:
    # Address events in rising order; written unconditionally and kept where nonzero, as activity is unpredictable.
    cdef int32_t count = 0, pixel, c, unit = 0
    cdef int8_t q
    for pixel in range(p.size // p.channels):
        sent.start[pixel] = count
        for c in range(p.channels):
            q = sent.levels[unit]
            sent.address[count] = unit
            sent.value[count] = q
            count += q != 0
            unit += 1
    sent.start[p.size // p.channels] = count
    sent.count = count
