"""An emulated event camera: the light of a moving image on its pixels, and the events they send when it changes.

Each operation has the precision it has in NumPy, light in float32 and times in float64, so that a recording is the same
to the bit on every machine.
"""

from libc.math cimport fabsf, INFINITY
from libc.stdint cimport int16_t, int64_t, uint8_t

import numpy as np


def moving(const float[:, ::1] scene, const int64_t[::1] row, const int64_t[::1] col, const float[::1] fy,
           const float[::1] fx, const float[::1] table, tuple size):
    """What pixels of a sensor of ``size`` (height, width) see of a scene that moves: float32 (steps, height * width).

    scene: values 0 .. 1; row, col: where in it the sensor's corner is at each step, fy, fx: and how far beyond, 0 .. 1
    (bilinear); table: what is seen at equal steps of the value, at most 32,768 of them.
    """
    cdef Py_ssize_t height = size[0], width = size[1], steps = row.shape[0], k, y, x
    cdef float top = table.shape[0] - 1
    if not (col.shape[0] == fy.shape[0] == fx.shape[0] == steps and 0 < table.shape[0] <= 1 << 15):
        raise ValueError("moving: expected a place for each step, and a table of at most 32,768 values")
    if steps and not (np.min(fy) >= 0 and np.max(fy) <= 1 and np.min(fx) >= 0 and np.max(fx) <= 1):
        raise ValueError("moving: expected the sensor less than a pixel beyond its corner")
    if steps and not (np.min(row) >= 0 and np.max(row) + height < scene.shape[0] and np.min(col) >= 0
                      and np.max(col) + width < scene.shape[1] and np.min(scene) >= 0
                      and np.max(scene) * top + 0.75 < table.shape[0]):  # blurred white may be 1 and a little
        raise ValueError("moving: the sensor leaves the scene, or values are outside 0 .. 1")
    cdef float[:, ::1] light = np.empty((steps, height * width), np.float32)
    cdef float[::1] line = np.empty(width + 1, np.float32)
    cdef int16_t[::1] value = np.empty(width, np.int16)
    cdef const float *upper
    cdef const float *lower
    cdef float *seen
    with nogil:
        for k in range(steps):
            for y in range(height):
                upper, lower = &scene[row[k] + y, col[k]], &scene[row[k] + y + 1, col[k]]
                for x in range(width + 1):
                    line[x] = upper[x] + fy[k] * (lower[x] - upper[x])
                for x in range(width):
                    value[x] = <int16_t>((line[x] + fx[k] * (line[x + 1] - line[x])) * top + <float>0.5)
                seen = &light[k, y * width]
                for x in range(width):
                    seen[x] = table[value[x]]
    return np.asarray(light)


cdef struct Pixels:
    const float *theta
    float *reference     # log light at the last event
    double *last         # its time, us
    double step_us, refractory_us


cdef struct Events:
    Py_ssize_t room      # those beyond are only counted
    double *t
    int64_t *pixel
    uint8_t *rising


cdef Py_ssize_t _step(Pixels of, const float *before, const float *now, Py_ssize_t pixels, Py_ssize_t k, Events out,
                      Py_ssize_t made) noexcept nogil:
    """Events of one step of time, behind the ``made`` there are; how many there are then."""
    cdef Py_ssize_t i
    cdef float slope, theta
    cdef double part, t
    cdef bint rising
    for i in range(pixels):
        theta = of.theta[i]
        while fabsf(now[i] - of.reference[i]) >= theta:
            rising = now[i] > of.reference[i]
            of.reference[i] += theta if rising else -theta
            slope = now[i] - before[i]
            part = <double>(of.reference[i] - before[i]) / (1.0 if slope == 0 else <double>slope)
            part = 0.0 if part < 0 else 1.0 if part > 1 else part
            t = (<double>(k - 1) + part) * of.step_us
            if t - of.last[i] < of.refractory_us:
                continue
            of.last[i] = t
            if made < out.room:
                out.t[made], out.pixel[made], out.rising[made] = t, i, rising
            made += 1
    return made


def crossings(const float[:, ::1] light, const float[::1] theta, double step_us, double refractory_us):
    """Times (us, float64), pixels (int64) and polarities (bool, True: brighter) of all threshold crossings.

    light (steps, pixels): log light; theta (pixels,): thresholds, so large that adding one changes any light.
    The events of a step come one pixel after the other.
    """
    cdef Py_ssize_t steps = light.shape[0], pixels = light.shape[1], k, made, room = 1 << 14
    if steps < 1 or theta.shape[0] != pixels:
        raise ValueError("crossings: expected light (steps, pixels) and a threshold for each pixel")
    if pixels and not np.all(np.asarray(theta) > 2 * np.spacing(np.max(np.abs(light)))):  # nor is light infinite
        raise ValueError("crossings: expected finite light, and thresholds that change it")
    cdef float[::1] reference
    cdef double[::1] last, t
    cdef int64_t[::1] pixel
    cdef uint8_t[::1] rising
    cdef Pixels of
    cdef Events out
    while pixels:
        t, pixel, rising = np.empty(room), np.empty(room, np.int64), np.empty(room, np.uint8)
        reference, last = np.array(light[0]), np.full(pixels, -INFINITY)
        of = Pixels(&theta[0], &reference[0], &last[0], step_us, refractory_us)
        out = Events(room, &t[0], &pixel[0], &rising[0])
        made = 0
        with nogil:
            for k in range(1, steps):
                made = _step(of, &light[k - 1, 0], &light[k, 0], pixels, k, out, made)
        if made <= room:
            return np.asarray(t)[:made], np.asarray(pixel)[:made], np.asarray(rising)[:made].view(bool)
        room = made
    return np.empty(0), np.empty(0, np.int64), np.empty(0, bool)
