"""Runs of whole batches: frames in, scores and counts out, one crossing from Python to compiled code."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cimport numpy as cnp

from gxevent.core._batch cimport Batch, Tail
from gxevent.core._gates cimport GX_SAMPLES, scratch_t
from gxevent.core._plan cimport (
    Plan,
    Workspace,
    count_sent,
    crew_t,
    gx_pool,
    gx_pool_free,
    gx_pool_new,
    gx_pool_run,
    gx_pool_start,
    now,
    run_sample,
)

cnp.import_array()

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)
    int pthread_mutex_destroy(pthread_mutex_t *)

cdef enum:
    CHUNK = 16                  # samples a thread takes at a time, at most: the end is shared evenly
    CHUNK_NS = 20000            # what a chunk should last at least: a thread that wakes up comes some microseconds late
    MOST_AXES = 4               # of an input: images have three

cdef int64_t NEVER = 0x7fffffffffffffff

ctypedef struct batch_t:
    void **workspaces           # one a worker
    void **batches              # one a worker, or NULL where samples run one by one
    const int8_t *frames        # [n][input size]
    int32_t *accumulators       # [n][classes]
    float *scores               # [n][classes]
    void *runner                # which turns one into the other
    int64_t *counts             # [n][columns]: ns, then events of the populations that send, then open gates
    int64_t size, classes, columns
    int32_t n_events, top
    bint counting, binary
    bint outside                # OUT: a frame holds other levels


cdef class Result:
    """What a run of n frames gave.

    scores float32 (n, classes), accumulators int32 (n, classes) of the read-out, counts (per sample), latency_ns
    int64 (n,): host time each sample took.
    """

    cdef readonly object scores, accumulators
    cdef object _counts, _columns

    def __init__(self, scores, accumulators, counts, columns):
        """columns: int64 (n, 1 or more), latencies first; ``counts``, or what makes them of the columns when asked."""
        self.scores, self.accumulators, self._counts, self._columns = scores, accumulators, counts, columns

    @property
    def latency_ns(self):
        return self._columns[:, 0]

    @property
    def counts(self):
        """Events and open gates of each sample (empty where they were not counted)."""
        if callable(self._counts):
            self._counts = self._counts(self._columns)
        return self._counts

    @property
    def predictions(self):
        """Index of the highest score (n,); the lowest index where scores tie."""
        return self.scores.argmax(axis=1)


cdef class Runner:
    """A plan with a workspace for every thread. Several callers take turns.

    Threads share the samples of a batch; where there are fewer of those than threads, or samples come one by one, they
    share the work of the plan's large units within each sample.

    Parameters
    ----------
    tail : the plan's last layers that batches run layer by layer, or None
    shape, top, binary : of the input: its shape, its largest level, and whether 0 is not among its levels
    unit, bias, scale, offset : of the read-out, float32 (classes,) or None; see ``gxevent.firing.preactivation``
    counts_of : makes counts of a result's columns

    Once ``due`` more samples have been run, ``review(frames, result, counting)`` is called with the last run's; it sets
    ``due`` anew.
    """

    cdef Plan plan
    cdef Tail tail
    cdef tuple workspaces, batches
    cdef int64_t shape[MOST_AXES]
    cdef int32_t ndim
    cdef int32_t top, threads, n_events, classes
    cdef bint binary
    cdef int64_t size
    cdef int64_t least          # samples that are worth a thread's while
    cdef void **pointers        # workspaces, then batches
    cdef gx_pool *pool
    cdef crew_t crew
    cdef pthread_mutex_t turn
    cdef float unit
    cdef const float[::1] bias, scale, offset
    cdef bint biased, scaled
    cdef object counts_of
    cdef public object review
    cdef public int64_t due

    def __cinit__(self, Plan plan, int32_t threads, *_):
        self.pointers = <void **>malloc(2 * threads * sizeof(void *))
        self.pool = gx_pool_new(threads)
        self.crew.scratch = <scratch_t **>malloc(threads * sizeof(void *))
        if self.pointers == NULL or self.pool == NULL or self.crew.scratch == NULL:
            raise MemoryError
        pthread_mutex_init(&self.turn, NULL)

    def __init__(self, Plan plan, int32_t threads, Tail tail, tuple shape, int32_t top, bint binary, int32_t classes, float unit,
                 bias, scale, offset, counts_of):
        if len(shape) > MOST_AXES:
            raise ValueError(f"an input of {len(shape)} axes, at most {MOST_AXES} are known")
        self.counts_of, self.due = counts_of, NEVER
        self.plan, self.threads, self.ndim, self.top, self.binary = plan, threads, len(shape), top, binary
        self.workspaces = tuple(Workspace(plan) for _ in range(threads))
        self.tail = tail
        self.batches = tuple(Batch(tail, work) for work in self.workspaces) if tail is not None else ()
        for i in range(threads):
            self.pointers[i] = <void *>self.workspaces[i]
            self.pointers[threads + i] = <void *>self.batches[i] if self.batches else NULL
            self.crew.scratch[i] = &(<Workspace>self.workspaces[i]).scratch
        self.crew.pool = self.pool
        self.size = 1
        for i in range(self.ndim):
            self.shape[i] = shape[i]
            self.size *= shape[i]
        self.least = max(1, min(CHUNK, <int64_t>(CHUNK_NS / max(plan.time, 1.0))))
        self.classes, self.n_events = classes, plan.n_events
        self.unit = unit
        self.biased, self.scaled = bias is not None, scale is not None
        if self.biased:
            self.bias = bias
        if self.scaled:
            self.scale, self.offset = scale, offset

    def __dealloc__(self):
        gx_pool_free(self.pool)
        free(self.pointers)
        free(self.crew.scratch)
        pthread_mutex_destroy(&self.turn)

    def run(self, frames, bint counting, bint shared):
        """Run frames int8 (n, *shape), contiguous, or one frame (*shape).

        counting : whether to count events and open gates; shared : whether the threads may share the frames
        Returns a Result, or None when the frames are not of that form or hold other levels: the caller knows what to do
        or to say.
        """
        cdef cnp.ndarray array, scores, accumulators, counts
        cdef cnp.npy_intp dims[2]
        cdef batch_t batch
        cdef int64_t n = 1, chunk
        cdef int first, i
        cdef bint within_samples, apart
        cdef Result result
        cdef Workspace work
        if not isinstance(frames, cnp.ndarray):
            return None
        array = frames
        first = cnp.PyArray_NDIM(array) - self.ndim
        if cnp.PyArray_TYPE(array) != cnp.NPY_INT8 or not cnp.PyArray_IS_C_CONTIGUOUS(array) or first not in (0, 1):
            return None
        for i in range(self.ndim):
            if cnp.PyArray_DIM(array, first + i) != self.shape[i]:
                return None
        if first:
            n = cnp.PyArray_DIM(array, 0)
        batch.frames = <const int8_t *>cnp.PyArray_DATA(array)
        dims[0], dims[1] = n, self.classes
        scores = cnp.PyArray_EMPTY(2, dims, cnp.NPY_FLOAT32, 0)
        accumulators = cnp.PyArray_EMPTY(2, dims, cnp.NPY_INT32, 0)
        dims[1] = 1 + (self.n_events + self.plan.n_gated if counting else 0)
        counts = cnp.PyArray_EMPTY(2, dims, cnp.NPY_INT64, 0)
        batch.scores = <float *>cnp.PyArray_DATA(scores)
        batch.runner = <void *>self
        batch.workspaces = self.pointers
        batch.accumulators = <int32_t *>cnp.PyArray_DATA(accumulators)
        batch.counts = <int64_t *>cnp.PyArray_DATA(counts)
        batch.size, batch.classes, batch.columns = self.size, self.classes, dims[1]
        batch.n_events, batch.counting = self.n_events, counting
        batch.top, batch.binary, batch.outside = self.top, self.binary, False
        within_samples = self.plan.shared and (not shared or n < self.threads or n <= self.least)
        apart = shared and self.threads > 1 and n > self.least and not within_samples
        batch.batches = NULL
        if shared and n > 1 and self.tail is not None and not within_samples:
            batch.batches = self.pointers + self.threads
        chunk = self.chunk(n, batch.batches != NULL)
        work = <Workspace>self.pointers[0]
        with nogil:
            pthread_mutex_lock(&self.turn)
            if within_samples or apart:
                gx_pool_start(self.pool)
            work.crew = &self.crew if within_samples else NULL
            if apart:
                gx_pool_run(self.pool, run_range, &batch, n, chunk)
            else:
                run_range(&batch, 0, 0, n)
            if batch.outside:
                pthread_mutex_unlock(&self.turn)
                with gil:
                    return None
            if batch.batches == NULL:
                pthread_mutex_unlock(&self.turn)
            else:
                with gil:
                    try:
                        self.make_gates()
                    finally:
                        pthread_mutex_unlock(&self.turn)
        result = Result.__new__(Result)
        result.scores, result.accumulators, result._columns = scores, accumulators, counts
        result._counts = self.counts_of
        self.due -= n
        if self.due <= 0:
            self.due = NEVER
            self.review(array, result, counting)
        return result

    cdef int64_t chunk(self, int64_t n, bint layered) noexcept nogil:
        # Samples a thread takes at a time. Sample lanes want as many as they hold, shared evenly.
        cdef int64_t rounds = (n + self.threads * GX_SAMPLES - 1) // (self.threads * GX_SAMPLES)
        return max(self.least, (n + rounds * self.threads - 1) // (rounds * self.threads)) if layered else self.least

    cdef void make_gates(self):
        # What sample lanes need, where this batch would have run faster on them.
        cdef int64_t wanted = 0
        cdef Batch batch
        for batch in self.batches:
            wanted |= batch.wanted
            batch.wanted = 0
        if wanted:
            self.tail.make(wanted)
            for batch in self.batches:
                batch.prepare()

    cdef void to_scores(self, const int32_t *accumulators, int64_t n, float *scores) noexcept nogil:
        # The operations of firing.preactivation in its order, each rounded to float32.
        cdef int64_t i, c
        cdef float y
        for i in range(n):
            for c in range(self.classes):
                y = <float>accumulators[i * self.classes + c] * self.unit
                if self.biased:
                    y = y + self.bias[c]
                if self.scaled:
                    y = y * self.scale[c]
                    y = y + self.offset[c]
                scores[i * self.classes + c] = y

    def levels(self, int32_t population, int8_t[::1] out):
        """Copy what a population sent for the last sample, int8 OUT (size,), channels innermost."""
        (<Workspace>self.workspaces[0]).levels(population, out)

    def sums(self, int32_t population, int32_t[::1] out):
        """Copy a population's accumulators of the last sample, int32 OUT (size,), channels innermost."""
        (<Workspace>self.workspaces[0]).sums(population, out)


cdef bint within(const int8_t *levels, int64_t n, int32_t top, bint binary) noexcept nogil:
    # Whether all levels are at most `top` in size, and none is 0 where the space is binary.
    cdef int64_t i
    cdef uint8_t most = 0, least = 255, shifted
    for i in range(n):
        shifted = <uint8_t>(levels[i] + top)
        most = most if most > shifted else shifted
    if binary:
        for i in range(n):
            least = least if least < <uint8_t>levels[i] else <uint8_t>levels[i]
    return most <= 2 * top and least != 0


cdef void run_range(void *context, int32_t worker, int64_t begin, int64_t end) noexcept nogil:
    cdef batch_t *b = <batch_t *>context
    if not within(b.frames + begin * b.size, (end - begin) * b.size, b.top, b.binary):
        b.outside = True
        return
    if b.batches == NULL:
        run_samples(<Workspace>b.workspaces[worker], b, begin, end)
    else:
        run_layers(<Batch>b.batches[worker], b, begin, end)
    (<Runner>b.runner).to_scores(b.accumulators + begin * b.classes, end - begin, b.scores + begin * b.classes)


cdef void run_layers(Batch batch, const batch_t *b, int64_t begin, int64_t end) noexcept nogil:
    # The time of a sample is its share of the time they took together.
    cdef int64_t i, first = begin, last, begun, each
    cdef int64_t *counts
    while first < end:
        begun = now()
        last = min(first + <int64_t>GX_SAMPLES, end)
        counts = b.counts + first * b.columns
        batch.run(b.frames + first * b.size, b.size, <int32_t>(last - first), b.accumulators + first * b.classes,
                  b.classes, counts + 1 if b.counting else NULL, counts + 1 + b.n_events if b.counting else NULL,
                  b.columns)
        each = (now() - begun) // (last - first)
        for i in range(first, last):
            b.counts[i * b.columns] = each
        first = last


cdef void run_samples(Workspace work, const batch_t *b, int64_t begin, int64_t end) noexcept nogil:
    cdef int64_t i
    cdef int64_t *counts
    cdef int64_t begun = now(), ended
    for i in range(begin, end):
        counts = b.counts + i * b.columns
        run_sample(work, b.frames + i * b.size, counts + 1 + b.n_events if b.counting else NULL, False)
        memcpy(b.accumulators + i * b.classes, work.sent[work.plan.readout].sums, 4 * b.classes)
        if b.counting:
            count_sent(work, work.plan.n_populations, counts + 1)
        ended = now()
        counts[0] = ended - begun
        begun = ended
