"""What batches need of the bit-sliced gate units."""

from gxevent.core._gates cimport gx_sample_gates


cdef class SampleGates:
    cdef gx_sample_gates gates
    cdef list kept
