"""Decoders of event files: bytes to arrays of ``gxevent.EVENT_DTYPE``, in pieces of any size (loops in decode.h)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "decode.h":
    ctypedef struct gx_event:
        pass

    ctypedef struct gx_check:
        uint32_t limit, outside
        uint64_t falls
        int64_t previous

    ctypedef struct gx_decoder:
        gx_check check
        int64_t last
        int32_t x_last, y_last
        int64_t left, skip
        int32_t error
        int64_t counts[8]

    ctypedef size_t (*gx_decode_fn)(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room,
                                    size_t *made) noexcept nogil

    size_t gx_dat(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_evt2(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_evt3(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_aedat2_dvs(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_aedat2_davis(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_aedat31(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_aedat4(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_es_dvs(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_es_atis(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil
    size_t gx_nmnist(gx_decoder *, const uint8_t *, size_t, gx_event *, size_t, size_t *) noexcept nogil

    size_t gx_first_bad(const gx_event *e, size_t n, uint32_t width, uint32_t height, int64_t previous,
                        int64_t far) noexcept nogil
    void gx_extent(const gx_event *e, size_t n, uint32_t *x, uint32_t *y) noexcept nogil

cdef enum:
    EVENT = 13                  # bytes of an event in memory

cdef dict _KINDS = {            # format: what it passes over, in the order of gx_decoder.counts
    "dat": (),
    "evt2": ("triggers", "others", "continuation_words", "unknown_words", "events_without_time"),
    "evt3": ("triggers", "others", "continuation_words", "unknown_words", "events_without_time"),
    "aedat2-dvs": ("special_events",),
    "aedat2-davis": ("external_events", "aps_imu_words"),
    "aedat31": ("special_events", "invalid_events", "frames", "imu_samples", "other_packet_events"),
    "aedat4": (),
    "es-dvs": ("resets",),
    "es-atis": ("resets", "exposure_events"),
    "nmnist": ("overflow_entries",),
}
cdef dict _LEAST = {"dat": 8, "evt2": 4, "evt3": 2, "aedat2-dvs": 8, "aedat2-davis": 8, "aedat31": 8, "aedat4": 16,
                    "es-dvs": 5, "es-atis": 5, "nmnist": 5}  # bytes an event takes


cdef gx_decode_fn _find(str format) except *:
    if format == "dat":
        return gx_dat
    if format == "evt2":
        return gx_evt2
    if format == "evt3":
        return gx_evt3
    if format == "aedat2-dvs":
        return gx_aedat2_dvs
    if format == "aedat2-davis":
        return gx_aedat2_davis
    if format == "aedat31":
        return gx_aedat31
    if format == "aedat4":
        return gx_aedat4
    if format == "es-dvs":
        return gx_es_dvs
    if format == "es-atis":
        return gx_es_atis
    if format == "nmnist":
        return gx_nmnist
    raise ValueError(format)


cdef class Decoder:
    """State of one recording that is being decoded; what comes in next continues it.

    ``width`` and ``height`` matter only to ``"aedat2-davis"``, whose pixels count from the last column and row.
    """

    cdef gx_decoder state
    cdef gx_decode_fn run
    cdef readonly str format

    def __init__(self, str format, int32_t width=0, int32_t height=0):
        self.format = format
        self.run = _find(format)
        self.state.last = -1
        self.state.x_last, self.state.y_last = width - 1, height - 1

    def copy(self):
        """A decoder in the same state, independent from here on."""
        cdef Decoder twin = Decoder.__new__(Decoder)
        twin.format, twin.run, twin.state = self.format, self.run, self.state
        return twin

    def decode(self, const uint8_t[::1] data, uint8_t[::1] out):
        """Decode ``data`` IN into ``out`` OUT, the bytes of an array of events (``events.view(np.uint8)``).

        Returns (bytes taken, events made). It stops where ``out`` is full, at a rest too short for a whole word or
        event, and at a packet header that cannot be (:attr:`failed`).
        """
        cdef size_t taken, made = 0, room = out.shape[0] // EVENT
        cdef const uint8_t *source = &data[0] if data.shape[0] else NULL
        cdef gx_event *target = <gx_event *>&out[0] if out.shape[0] else NULL
        if source == NULL or room == 0:
            return 0, 0
        with nogil:
            taken = self.run(&self.state, source, data.shape[0], target, room, &made)
        return taken, made

    def expect(self, uint32_t width, uint32_t height):
        """Check from here on that events are on this sensor (at most 32768x32768) and times never fall: `clean`."""
        self.state.check.limit = (0x8000 - height) << 16 | (0x8000 - width)
        self.state.check.outside, self.state.check.falls = 0, 0
        self.state.check.previous = -((<int64_t>1) << 53)

    @property
    def clean(self):
        """Whether all events since :meth:`expect` met it. Times beyond 285 years show at the first or last event."""
        return not (self.state.check.outside & 0x80008000 or self.state.check.falls >> 63)

    def room(self, int64_t size):
        """Number of events that ``size`` bytes hold at most; of EVT3, whose vectors may hold more, the usual most."""
        return size // _LEAST[self.format]

    @property
    def passed(self):
        """What was passed over so far: kind -> count, without zeros."""
        kinds = _KINDS[self.format]
        return {kinds[i]: self.state.counts[i] for i in range(len(kinds)) if self.state.counts[i]}

    @property
    def failed(self):
        """Whether decoding stopped at a packet header that cannot be."""
        return self.state.error != 0

    @property
    def pending(self):
        """(events left in the packet begun, bytes left to pass over), AEDAT 3.1 only."""
        return self.state.left, self.state.skip


def first_bad(const uint8_t[::1] events, uint32_t width, uint32_t height, int64_t previous, int64_t far):
    """Number of the first event outside the sensor, beyond +-far us, or earlier than the one before; -1: none.

    events: IN, bytes of an array of events. previous: the time that the first may not be earlier than.
    """
    cdef size_t n = events.shape[0] // EVENT, found
    if n == 0:
        return -1
    with nogil:
        found = gx_first_bad(<const gx_event *>&events[0], n, width, height, previous, far)
    return -1 if found == n else <int64_t>found


def extent(const uint8_t[::1] events):
    """(largest x, largest y) of events IN, given as bytes; (-1, -1) of none."""
    cdef size_t n = events.shape[0] // EVENT
    cdef uint32_t x = 0, y = 0
    if n == 0:
        return -1, -1
    with nogil:
        gx_extent(<const gx_event *>&events[0], n, &x, &y)
    return x, y
