"""Batches, layer by layer: where a plan ends in a chain of ternary dense layers, its *tail*, up to 256 samples pass each
layer before the next, and each time the quicker way is taken:

    sample by sample, on the layer's own gate unit: time grows with the events
    on sample lanes (slices_samples.h): time does not depend on them

What comes before the tail runs sample by sample. The choice never changes a result.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from gxevent.core._gates cimport (
    GX_SAMPLE_BITS,
    GX_SAMPLE_ROW,
    GX_SAMPLE_WORDS,
    GX_SAMPLES,
    GateUnit,
    gx_planes,
    sent_t,
)
from gxevent.core._plan cimport (
    AS_LISTS,
    Plan,
    Workspace,
    count_open,
    count_sent,
    projection_t,
    run_head,
)
from gxevent.core._slices cimport SampleGates


cdef class Tail:
    """The projections from population ``first`` on: each from one population to the next in the plan's order."""

    def __cinit__(self, Plan plan, int32_t first):
        self.plan, self.first = plan, first
        self.makers, self.kept = [], []
        self.steps = <step_t *>calloc(plan.n_projections + 1, sizeof(step_t))
        if self.steps == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.steps)

    def add_step(self, int32_t projection, double each, double event, double samples, maker):
        """Times in ns; maker: makes the SampleGates when a batch first asks for them, or None."""
        self.steps[self.n_steps] = step_t(projection, each, event, samples if maker is not None else INFINITY, NULL)
        self.makers.append(maker)
        self.n_steps += 1

    @property
    def made(self):
        """Steps that have what sample lanes need."""
        return len(self.kept)

    cdef void make(self, int64_t wanted):
        # While nothing runs.
        cdef int32_t i
        cdef SampleGates gates
        for i in range(self.n_steps):
            if wanted >> i & 1 and self.steps[i].gates == NULL:
                gates = self.makers[i]()
                self.kept.append(gates)
                self.steps[i].gates = &gates.gates


cdef class Batch:
    """State of one running thread for a plan with a tail."""

    def __cinit__(self, Tail tail, Workspace work):
        cdef int32_t i, n = tail.n_steps + 1, words
        self.tail, self.work = tail, work
        self.first, self.n_steps, self.steps, self.kernel = tail.first, tail.n_steps, tail.steps, tail.plan.kernel
        self.populations, self.sent = &tail.plan.populations[tail.first], &work.sent[tail.first]
        self.planes = <uint64_t **>work.take(n * sizeof(void *))
        self.rows = <uint64_t **>work.take(n * sizeof(void *))
        for i in range(tail.n_steps):
            words = (self.populations[i].size + 63) // 64
            self.planes[i] = <uint64_t *>work.take(8 * (<size_t>GX_SAMPLES * 2 * words + 1))

    cdef void run(self, const int8_t *frames, int64_t size, int32_t n, int32_t *accumulators, int64_t classes,
                  int64_t *events, int64_t *open_gates, int64_t columns) noexcept nogil:
        # frames: IN [n][size], n <= GX_SAMPLES; accumulators: OUT [n][classes]. events and open_gates: OUT, the first
        # sample's; the next one's lie `columns` further; NULL: not counted.
        cdef int32_t i, s, column = 0
        cdef bint turned = False
        for s in range(n):
            self.at(0, s)
            run_head(self.work, frames + s * size, NULL if open_gates == NULL else open_gates + s * columns, self.first)
            if events != NULL:
                column = count_sent(self.work, self.first, events + s * columns)
        for i in range(self.n_steps):
            if events != NULL:
                self.count(i, n, column + i, events, open_gates, columns)
            if self.on_samples(i, n):
                self.run_samples(i, n, turned, accumulators, classes)
                turned = True
            else:
                self.run_events(i, n, accumulators, classes)
                turned = False

    cdef void at(self, int32_t i, int32_t s) noexcept nogil:
        # Let the workspace read and write what population i of the tail sends for sample s.
        cdef gx_planes *planes = &self.sent[i].planes
        planes.plus = self.planes[i] + <size_t>s * 2 * planes.words
        planes.minus = planes.plus + planes.words

    cdef void count(self, int32_t i, int32_t n, int32_t column, int64_t *events, int64_t *open_gates,
                    int64_t columns) noexcept nogil:
        # Events of population i of the tail, and the gates that they open.
        cdef const projection_t *j = &self.work.plan.projections[self.steps[i].projection]
        cdef const sent_t *sent = &self.sent[i]
        cdef int32_t s
        for s in range(n):
            self.at(i, s)
            open_gates[s * columns + j.counted] = count_open(self.work.plan, j, sent, events + s * columns + column)

    cdef bint on_samples(self, int32_t i, int32_t n) noexcept nogil:
        # Whether sample lanes are the quicker way, and there.
        cdef const step_t *step = &self.steps[i]
        cdef int64_t events
        if step.samples >= n * (step.each + step.event * self.populations[i].size):
            return False
        events = self.kernel.count_bits(
            self.planes[i], <int64_t>n * 2 * self.sent[i].planes.words
        )
        if step.samples >= n * step.each + events * step.event:
            return False
        if step.gates == NULL or self.rows[i] == NULL:
            self.wanted |= <int64_t>1 << i
            return False
        return True

    cdef void run_events(self, int32_t i, int32_t n, int32_t *accumulators, int64_t classes) noexcept nogil:
        cdef int32_t s
        cdef const projection_t *j = &self.work.plan.projections[self.steps[i].projection]
        cdef bint listed = self.populations[i].forms & AS_LISTS
        cdef sent_t *sent = &self.sent[i]
        cdef sent_t *target = &self.sent[i + 1]
        for s in range(n):
            self.at(i, s)
            if listed:
                self.kernel.list(&sent.planes)
            if j.fires:
                self.at(i + 1, s)
                (<GateUnit>j.unit).fire(sent, &target.planes, &self.work.scratch)
            else:
                memset(target.sums, 0, 4 * classes)
                (<GateUnit>j.unit).accumulate(sent, target.sums, &self.work.scratch)
                memcpy(accumulators + s * classes, target.sums, 4 * classes)

    cdef void run_samples(self, int32_t i, int32_t n, bint turned, int32_t *accumulators,
                          int64_t classes) noexcept nogil:
        # turned: whether rows of samples are there already.
        cdef const step_t *step = &self.steps[i]
        cdef int32_t words = self.sent[i].planes.words
        cdef int64_t s, c
        if not turned:
            self.kernel.turn_in(self.planes[i], n, words, self.rows[i])
        if step.gates.edges != NULL:
            self.kernel.run_samples(step.gates, self.rows[i], self.counters, self.rows[i + 1], NULL)
            words = self.sent[i + 1].planes.words
            self.kernel.turn_out(self.rows[i + 1], n, words, self.planes[i + 1])
            return
        self.kernel.run_samples(step.gates, self.rows[i], self.counters, NULL, self.sums)
        for s in range(n):
            for c in range(classes):
                accumulators[s * classes + c] = step.gates.gain * self.sums[c * GX_SAMPLES + s]

    cdef void prepare(self):
        # Memory for sample lanes, once some step has gates for them. Row 0 and those of no unit are of zeros.
        cdef int32_t i, k, rows, outputs = 1
        if self.counters != NULL:
            return
        for i in range(self.n_steps + 1):
            rows = 1 + (self.populations[i].size + 63) // 64 * 64
            outputs = max(outputs, rows)
            self.rows[i] = <uint64_t *>self.work.take(8 * <size_t>rows * GX_SAMPLE_ROW)
            for k in range(rows):
                memset(self.rows[i] + <size_t>k * GX_SAMPLE_ROW, 0xFF, 8 * GX_SAMPLE_WORDS)
        self.counters = <uint64_t *>self.work.take(8 * <size_t>outputs * GX_SAMPLE_BITS * GX_SAMPLE_WORDS)
        self.sums = <int32_t *>self.work.take(4 * <size_t>outputs * GX_SAMPLES)
