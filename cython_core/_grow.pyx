"""Growing a partition: fill core after core with the vertices that share most events with what it holds already.

Also the counting sort that turns a million-unit network's synapses into compressed rows without a sort in Python.
"""

from libc.stdint cimport int8_t, int32_t, int64_t

import numpy as np


cdef class _Heap:
    """Largest score first. An entry whose score is no longer the vertex's is stale: whoever pops it drops it."""

    cdef double[::1] key
    cdef int32_t[::1] item
    cdef Py_ssize_t n

    def __init__(self):
        self.key, self.item, self.n = np.zeros(1024), np.zeros(1024, np.int32), 0

    cdef void push(self, double key, int32_t item) except *:
        cdef Py_ssize_t i = self.n, up
        if i == self.key.shape[0]:
            self.key = np.concatenate([self.key, np.zeros(i)])
            self.item = np.concatenate([self.item, np.zeros(i, np.int32)])
        self.n += 1
        while i:
            up = (i - 1) >> 1
            if self.key[up] >= key:
                break
            self.key[i], self.item[i] = self.key[up], self.item[up]
            i = up
        self.key[i], self.item[i] = key, item

    cdef int32_t pop(self, double *score) noexcept:
        cdef int32_t first = self.item[0], item
        cdef Py_ssize_t i = 0, down
        cdef double key
        score[0] = self.key[0]
        self.n -= 1
        key, item = self.key[self.n], self.item[self.n]
        while True:
            down = 2 * i + 1
            if down >= self.n:
                break
            if down + 1 < self.n and self.key[down + 1] > self.key[down]:
                down += 1
            if self.key[down] <= key:
                break
            self.key[i], self.item[i] = self.key[down], self.item[down]
            i = down
        self.key[i], self.item[i] = key, item
        return first


cdef class Grower:
    """Arrays as :class:`gxevent.core._mapping.Search` takes them, all IN."""

    cdef int64_t[::1] pin_start, in_start, out_start, weight, memory, model
    cdef int32_t[::1] pin, in_net, out_net, source, size, need, have, group
    cdef int64_t[:, ::1] limit
    cdef int32_t[::1] made, entered, epoch
    cdef double[::1] total, score
    cdef _Heap heap

    def __init__(self, dict a):
        self.pin_start, self.in_start, self.out_start = a["pin_start"], a["in_start"], a["out_start"]
        self.pin, self.in_net, self.out_net, self.source = a["pin"], a["in_net"], a["out_net"], a["source"]
        self.weight, self.memory, self.model, self.size = a["weight"], a["memory"], a["model"], a["size"]
        self.need, self.have, self.group, self.limit = a["need"], a["have"], a["group"], a["limit"]
        self.heap = _Heap()

    cdef void _gain(self, Py_ssize_t u, int64_t weight, int c) except *:
        if self.made[u] >= 0:
            return
        if self.epoch[u] != c:
            self.epoch[u] = c
            self.score[u] = 0
        self.score[u] += <double>weight / self.total[u]
        self.heap.push(self.score[u], <int32_t>u)

    cdef void _gain_all(self, Py_ssize_t e, int c) except *:
        cdef Py_ssize_t i
        for i in range(self.pin_start[e], self.pin_start[e + 1]):
            self._gain(self.pin[i], self.weight[e], c)

    cdef Py_ssize_t _new_axons(self, Py_ssize_t v, int c) noexcept:
        cdef Py_ssize_t i, n = 0
        for i in range(self.in_start[v], self.in_start[v + 1]):
            n += self.entered[self.in_net[i]] != c
        return n

    def grow(self, int64_t[::1] order, int8_t[::1] fixed, double fill, bint exclusive):
        """Core of every vertex, int32 (V,); -1 for fixed ones and those that no core could take.

        order: the cores to fill, one after the other, each up to ``fill`` of its neurons.
        """
        cdef Py_ssize_t V = self.size.shape[0], v, u, i, seed, at
        cdef int c
        cdef int64_t room, axons, memory, entering
        cdef double score = 0
        made = np.full(V, -1, np.int32)
        self.made, self.epoch = made, np.full(V, -1, np.int32)
        self.entered = np.full(self.weight.shape[0], -1, np.int32)
        self.total, self.score = np.ones(V), np.zeros(V)
        for v in range(V):
            if fixed[v]:
                self.made[v] = 0
            for i in range(self.in_start[v], self.in_start[v + 1]):
                self.total[v] += self.weight[self.in_net[i]]
            for i in range(self.out_start[v], self.out_start[v + 1]):
                self.total[v] += self.weight[self.out_net[i]]
        seed = V - 1
        for at in range(order.shape[0]):
            c = <int>order[at]
            room, axons, memory = <int64_t>(self.limit[c, 0] * fill), self.limit[c, 1], self.limit[c, 3]
            self.heap.n = 0
            u = -1          # the vertex that this core began with
            while room > 0:
                v = -1
                while self.heap.n:
                    v = self.heap.pop(&score)
                    if self.made[v] < 0 and score == self.score[v] and self.size[v] <= room \
                            and (not exclusive or self.group[v] == self.group[u]):
                        break
                    v = -1
                if v < 0:
                    while seed >= 0 and self.made[seed] >= 0:
                        seed -= 1
                    if seed < 0 or (u >= 0 and exclusive and self.group[seed] != self.group[u]):
                        break
                    v = seed
                entering = self._new_axons(v, c)
                if self.size[v] > room or entering * self.model[0] > axons or self.need[v] & ~self.have[c] \
                        or entering * self.model[1] + self.memory[v] > memory:
                    if v == seed:
                        break
                    continue
                u = v if u < 0 else u
                self.made[v] = c
                room -= self.size[v]
                axons -= entering * self.model[0]
                memory -= entering * self.model[1] + self.memory[v]
                for i in range(self.in_start[v], self.in_start[v + 1]):
                    if self.entered[self.in_net[i]] != c:
                        self.entered[self.in_net[i]] = c
                        self._gain_all(self.in_net[i], c)
                        self._gain(self.source[self.in_net[i]], self.weight[self.in_net[i]], c)
                for i in range(self.out_start[v], self.out_start[v + 1]):
                    if self.entered[self.out_net[i]] != c:
                        self._gain_all(self.out_net[i], c)
        made[np.asarray(fixed) != 0] = -1
        return made


    def fill(self, int64_t[::1] vertices, int64_t[::1] order, double share, bint exclusive):
        """Core of every vertex, int32 (V,): cores filled one after the other in the order of ``vertices``.

        A core is full when a limit is met, or when it holds its ``share`` of neurons (of all vertices so far).
        """
        cdef Py_ssize_t at = 0, k, i, v, first = -1
        cdef int64_t neurons = 0, axons = 0, memory = 0, entering = 0, total = 0
        cdef int c = 0
        made = np.full(self.size.shape[0], -1, np.int32)
        cdef int32_t[::1] core = made
        self.entered = np.full(self.weight.shape[0], -1, np.int32)
        for k in range(vertices.shape[0]):
            v = vertices[k]
            while at < order.shape[0]:
                c = <int>order[at]
                entering = self._new_axons(v, c)
                if not self.need[v] & ~self.have[c] and neurons + self.size[v] <= self.limit[c, 0] \
                        and (axons + entering) * self.model[0] <= self.limit[c, 1] \
                        and memory + entering * self.model[1] + self.memory[v] <= self.limit[c, 3] \
                        and (<double>total < share * <double>(at + 1) or at + 1 == order.shape[0]) \
                        and (not exclusive or first < 0 or self.group[v] == self.group[first]):
                    break
                at, neurons, axons, memory, first = at + 1, 0, 0, 0, -1
            if at == order.shape[0]:
                break
            first = v if first < 0 else first
            core[v] = c
            neurons += self.size[v]
            total += self.size[v]
            axons += entering
            memory += entering * self.model[1] + self.memory[v]
            for i in range(self.in_start[v], self.in_start[v + 1]):
                self.entered[self.in_net[i]] = c
        return made


def count_rows(const int64_t[::1] row, int64_t[::1] counts):
    """Add to ``counts`` INOUT (rows,) how often each row occurs."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(row.shape[0]):
            counts[row[i]] += 1


def fill_rows(const int64_t[::1] row, const int64_t[::1] column, const int8_t[::1] value,
              int64_t[::1] cursor, int32_t[::1] columns, int8_t[::1] values):
    """Put entries into compressed rows: entry i goes to ``cursor[row[i]]``, which moves on (cursor INOUT)."""
    cdef Py_ssize_t i
    cdef int64_t at
    with nogil:
        for i in range(row.shape[0]):
            at = cursor[row[i]]
            cursor[row[i]] = at + 1
            columns[at] = <int32_t>column[i]
            values[at] = value[i]


def count_shared(const int64_t[::1] start, const int32_t[::1] columns, const int32_t[::1] part, int parts):
    """Distinct parts that each row's columns lie in, with how many columns lie there.

    start int64 (rows+1,), columns int32, part int32 (columns of the table,): part of each column, negative for none.
    Returns compressed rows: start int64 (rows+1,), part int32 rising within a row, number int32.
    """
    cdef Py_ssize_t rows = start.shape[0] - 1, r, i, at, total = 0
    cdef int32_t c, n
    seen = np.full(parts, -1, np.int64)
    found = np.zeros(rows + 1, np.int64)
    cdef int64_t[::1] last = seen, ends = found
    with nogil:
        for r in range(rows):
            for i in range(start[r], start[r + 1]):
                c = part[columns[i]]
                if c >= 0 and last[c] != r:
                    last[c] = r
                    total += 1
            ends[r + 1] = total
    which, number = np.zeros(total, np.int32), np.zeros(total, np.int32)
    cdef int32_t[::1] w = which, m = number
    cdef int64_t[::1] place = np.zeros(parts, np.int64)
    last[:] = -1
    with nogil:
        for r in range(rows):
            at = ends[r]
            for i in range(start[r], start[r + 1]):
                c = part[columns[i]]
                if c < 0:
                    continue
                if last[c] != r:
                    last[c] = r
                    place[c] = at
                    w[at] = c
                    at += 1
                m[place[c]] += 1
            _sort_pairs(w, m, ends[r], ends[r + 1])
    return found, which, number


cdef void _sort_pairs(int32_t[::1] key, int32_t[::1] value, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Insertion sort of short rows by key."""
    cdef Py_ssize_t i, j
    cdef int32_t k, v
    for i in range(begin + 1, end):
        k, v = key[i], value[i]
        j = i
        while j > begin and key[j - 1] > k:
            key[j], value[j] = key[j - 1], value[j - 1]
            j -= 1
        key[j], value[j] = k, v
