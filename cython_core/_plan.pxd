"""What the stream core needs of a plan and its workspace."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t

from gxevent.core._gates cimport gx_opens, gx_planes, gx_slices, scratch_t, sent_t

cdef extern from "pool.h" nogil:
    ctypedef struct gx_pool:
        pass
    ctypedef void (*gx_work)(void *context, int32_t worker, int64_t begin, int64_t end) noexcept nogil
    gx_pool *gx_pool_new(int32_t workers)
    void gx_pool_start(gx_pool *pool)
    void gx_pool_run(gx_pool *pool, gx_work work, void *context, int64_t n, int64_t chunk)
    void gx_pool_free(gx_pool *pool)

ctypedef struct population_t:
    int32_t role
    int32_t size
    int32_t channels            # of its layout (H, W, C); thresholds repeat with `period`
    int32_t period
    int32_t steps
    int32_t slack
    int32_t forms               # in which it hands its outputs on: a sum of LEVELS, EVENTS, PLANES, LISTS
    int32_t planes              # magnitude bits of its levels
    const int32_t *hi           # [steps][period]
    const int32_t *lo
    const int8_t *polarity      # [period]

ctypedef struct projection_t:
    void *unit                  # GateUnit, kept alive by the plan
    int32_t source
    int32_t target
    int32_t fires               # whether the unit makes its target's outputs by itself
    int32_t counted             # column of its open gates, or -1
    int32_t chunk               # shares of the unit that a thread takes at a time; 0: one thread runs them all
    const int32_t *fan_out      # [source size] gates an event opens; NULL where not counted, or counted by classes
    gx_opens opens              # the same where they are counted by planes; `more` is NULL elsewhere

cdef enum:
    INPUT = 0
    SUM = 1
    FIRE = 2
    READOUT = 3
    ABSORBED = 4        # its sums stay inside the unit that makes them

cdef enum:
    AS_LEVELS = 1       # int8, one a unit
    AS_EVENTS = 2       # one list of units and levels
    AS_PLANES = 4       # bit planes
    AS_LISTS = 8        # lists of the planes' units
    AS_SUMS = 16        # its accumulators

cdef class Plan:
    cdef population_t *populations
    cdef projection_t *projections
    cdef gx_slices kernel
    cdef readonly int32_t n_populations, n_projections, n_events, n_gated, readout
    cdef readonly bint shared   # whether threads share the work of some unit
    cdef public double time     # ns that a sample is expected to take one thread
    cdef int32_t scratch_rows
    cdef int64_t scratch_lists, scratch_words, scratch_room
    cdef list kept

ctypedef struct crew_t:
    # Threads that share the units of one sample.
    gx_pool *pool
    scratch_t **scratch         # one a thread

cdef class Workspace:
    cdef Plan plan
    cdef const crew_t *crew     # NULL: one thread runs its samples
    cdef sent_t *sent
    cdef scratch_t scratch
    cdef list memory
    cdef int take_planes(self, gx_planes *planes, const population_t *p) except -1
    cdef void *take(self, size_t size) except NULL

cdef int64_t now() noexcept nogil
cdef int32_t count_sent(Workspace work, int32_t n, int64_t *events) noexcept nogil
cdef int64_t count_open(Plan plan, const projection_t *j, const sent_t *sent, int64_t *events) noexcept nogil
cdef void run_sample(Workspace work, const int8_t *frame, int64_t *open_gates, bint inward) noexcept nogil
cdef void run_head(Workspace work, const int8_t *frame, int64_t *open_gates, int32_t last) noexcept nogil
