"""What the runner needs of batches that run layer by layer."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t

from gxevent.core._gates cimport gx_sample_gates, gx_slices, sent_t
from gxevent.core._plan cimport Plan, Workspace, population_t

ctypedef struct step_t:
    int32_t projection
    double each, event          # ns of a sample, and of an event, on the layer's own gate unit
    double samples              # ns of GX_SAMPLES samples on sample lanes; infinite where it has none
    const gx_sample_gates *gates  # once they are made

cdef class Tail:
    cdef Plan plan
    cdef readonly int32_t first, n_steps
    cdef step_t *steps
    cdef list makers, kept
    cdef void make(self, int64_t wanted)

cdef class Batch:
    cdef Tail tail
    cdef Workspace work
    cdef int32_t first, n_steps
    cdef step_t *steps
    cdef gx_slices kernel
    cdef const population_t *populations    # the tail's
    cdef sent_t *sent
    cdef uint64_t **planes      # of each population from the tail's first: [GX_SAMPLES][2][words]
    cdef uint64_t **rows        # the same units as rows of samples
    cdef uint64_t *counters
    cdef int32_t *sums
    cdef int64_t wanted         # steps, bit by bit, that sample lanes would have run faster
    cdef void at(self, int32_t i, int32_t s) noexcept nogil
    cdef void count(self, int32_t i, int32_t n, int32_t column, int64_t *events, int64_t *open_gates,
                    int64_t columns) noexcept nogil
    cdef bint on_samples(self, int32_t i, int32_t n) noexcept nogil
    cdef void run_events(self, int32_t i, int32_t n, int32_t *accumulators, int64_t classes) noexcept nogil
    cdef void run_samples(self, int32_t i, int32_t n, bint turned, int32_t *accumulators,
                          int64_t classes) noexcept nogil
    cdef void prepare(self)
    cdef void run(self, const int8_t *frames, int64_t size, int32_t n, int32_t *accumulators, int64_t classes,
                  int64_t *events, int64_t *open_gates, int64_t columns) noexcept nogil
