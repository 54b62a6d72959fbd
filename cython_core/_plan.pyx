"""A compiled network as a plan: populations in order, gate units between them, run sample by sample without Python."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from gxevent.core._gates cimport GateUnit, scratch_t, sent_t

cdef enum:
    INPUT = 0
    SUM = 1
    FIRE = 2
    READOUT = 3

ROLES = {"input": INPUT, "sum": SUM, "fire": FIRE, "readout": READOUT}


cdef class Plan:
    """Populations and projections in running order. Built by ``gxevent.runtime.plan``, which proves all bounds."""

    def __cinit__(self, int32_t n_populations, int32_t n_projections):
        self.populations = <population_t *>calloc(max(n_populations, 1), sizeof(population_t))
        self.projections = <projection_t *>calloc(max(n_projections, 1), sizeof(projection_t))
        if self.populations == NULL or self.projections == NULL:
            raise MemoryError
        self.kept = []
        self.scratch_rows = 1

    def __dealloc__(self):
        free(self.populations)
        free(self.projections)

    def add_population(self, str role, int32_t size, int32_t channels, thresholds=None):
        """thresholds: (hi, lo int32 (steps, period), polarity int8 (period,)) of a firing population."""
        cdef population_t *p = &self.populations[self.n_populations]
        cdef const int32_t[:, ::1] hi, lo
        cdef const int8_t[::1] polarity
        p.role = ROLES[role]
        p.size = size
        p.channels = channels
        if thresholds is not None:
            hi, lo, polarity = thresholds
            p.steps, p.period = hi.shape[0], hi.shape[1]
            p.hi, p.lo, p.polarity = &hi[0, 0], &lo[0, 0], &polarity[0]
            self.kept.append(thresholds)
        if p.role == INPUT or p.role == FIRE:
            self.n_events += 1
        self.n_populations += 1

    def add_projection(self, GateUnit unit, int32_t source, int32_t target, fan_out=None):
        """In order of the target populations. fan_out: int32 (source size,) where its gates are counted."""
        cdef projection_t *p = &self.projections[self.n_projections]
        cdef const int32_t[::1] counts
        p.unit = <void *>unit
        p.source, p.target = source, target
        p.counted = -1
        self.kept.append(unit)
        if fan_out is not None:
            counts = fan_out
            p.fan_out = &counts[0]
            p.counted = self.n_gated
            self.n_gated += 1
            self.kept.append(fan_out)
        self.populations[target].slack = max(self.populations[target].slack, unit.slack)
        self.scratch_rows = max(self.scratch_rows, unit.scratch_rows)
        self.n_projections += 1


cdef class Workspace:
    """State of one running thread: what every population sent for the current sample. Allocated once."""

    def __cinit__(self, Plan plan):
        cdef int32_t i, size, pixels
        self.plan = plan
        self.sent = <sent_t *>calloc(max(plan.n_populations, 1), sizeof(sent_t))
        if self.sent == NULL:
            raise MemoryError
        for i in range(plan.n_populations):
            p = &plan.populations[i]
            pixels = p.size // p.channels
            if p.role == INPUT or p.role == FIRE:
                self.sent[i].levels = <int8_t *>self.take(p.size)
                self.sent[i].address = <int32_t *>self.take(4 * <size_t>(p.size + 1))
                self.sent[i].value = <int8_t *>self.take(p.size + 1)
                self.sent[i].start = <int32_t *>self.take(4 * <size_t>(pixels + 1))
            if p.role != INPUT:
                self.sent[i].sums = <int32_t *>self.take(4 * <size_t>(p.size + p.slack))
        self.scratch.plus = <int32_t *>self.take(4 * <size_t>plan.scratch_rows)
        self.scratch.minus = <int32_t *>self.take(4 * <size_t>plan.scratch_rows)
        self.scratch.value = <int8_t *>self.take(plan.scratch_rows)

    cdef void *take(self, size_t size) except NULL:
        cdef void *memory = calloc(size, 1)
        if memory == NULL:
            raise MemoryError
        return memory

    def __dealloc__(self):
        if self.sent != NULL:
            for i in range(self.plan.n_populations):
                free(self.sent[i].levels)
                free(self.sent[i].address)
                free(self.sent[i].value)
                free(self.sent[i].start)
                free(self.sent[i].sums)
            free(self.sent)
        free(self.scratch.plus)
        free(self.scratch.minus)
        free(self.scratch.value)

    def run(self, const int8_t[:, ::1] frames, int32_t[:, ::1] accumulators, int64_t[:, ::1] events,
            int64_t[:, ::1] open_gates, int64_t[::1] nanoseconds):
        """Run the samples of ``frames`` IN (n, input size), channels innermost.

        OUT: accumulators (n, classes) of the read-out; events (n, populations that send) and open_gates (n,
        projections counted) in the plan's order; nanoseconds (n,) each sample took.
        """
        cdef int32_t n = frames.shape[0], i, population, column
        cdef int64_t begun, ended
        cdef bint counting = open_gates.shape[0] > 0
        cdef int32_t classes = accumulators.shape[1]
        if n == 0:
            return
        with nogil:
            begun = now()
            for i in range(n):
                run_sample(self, &frames[i, 0], &open_gates[i, 0] if counting and self.plan.n_gated else NULL)
                column = 0
                for population in range(self.plan.n_populations):
                    if self.plan.populations[population].role == READOUT:
                        memcpy(&accumulators[i, 0], self.sent[population].sums, 4 * classes)
                    elif self.plan.populations[population].role != SUM:
                        if counting:
                            events[i, column] = self.sent[population].count
                        column += 1
                ended = now()
                nanoseconds[i] = ended - begun
                begun = ended

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


cdef void run_sample(Workspace work, const int8_t *frame, int64_t *open_gates) noexcept nogil:
    cdef const population_t *p
    cdef const projection_t *j
    cdef sent_t *sent
    cdef int32_t i, next_projection = 0
    for i in range(work.plan.n_populations):
        p = &work.plan.populations[i]
        sent = &work.sent[i]
        if p.role == INPUT:
            memcpy(sent.levels, frame, p.size)
            list_nonzero(p, sent)
            continue
        memset(sent.sums, 0, 4 * <size_t>p.size)
        while next_projection < work.plan.n_projections and work.plan.projections[next_projection].target == i:
            j = &work.plan.projections[next_projection]
            (<GateUnit>j.unit).accumulate(&work.sent[j.source], sent.sums, &work.scratch)
            if open_gates != NULL and j.counted >= 0:
                open_gates[j.counted] = count_open(&work.sent[j.source], j.fan_out)
            next_projection += 1
        if p.role == FIRE:
            fire(p, sent)
            list_nonzero(p, sent)


cdef int64_t count_open(const sent_t *sent, const int32_t *fan_out) noexcept nogil:
    # Each event opens one gate per nonzero level it meets: exact, and one table look-up an event.
    cdef int64_t total = 0
    cdef int32_t e
    for e in range(sent.count):
        total += fan_out[sent.address[e]]
    return total


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
