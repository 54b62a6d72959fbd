"""Compiled kernels: gate units in Cython and C. Nothing but hot loops lives here; ``gxevent.runtime`` drives them."""
