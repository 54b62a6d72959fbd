"""A mapping and everything counted on it: pins of nets on cores, X-Y trees, link loads, what each core holds.

Included by ``_mapping.pyx``, whose moves change it.
"""

from libc.math cimport exp, log
from libc.stdint cimport int8_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t

import numpy as np

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    static __inline int gx_low(unsigned long long m) { unsigned long i; _BitScanForward64(&i, m); return (int)i; }
    static __inline int gx_high(unsigned long long m) { unsigned long i; _BitScanReverse64(&i, m); return (int)i; }
    #else
    static inline int gx_low(unsigned long long m) { return __builtin_ctzll(m); }
    static inline int gx_high(unsigned long long m) { return 63 - __builtin_clzll(m); }
    #endif
    """
    int gx_low(unsigned long long m) noexcept nogil
    int gx_high(unsigned long long m) noexcept nogil

cdef enum:
    GROUP = 48      # vertices that move at once, those that come back included
    EAST = 0
    WEST = 1
    SOUTH = 2       # towards larger y
    NORTH = 3


cdef class State:
    """One mapping; :class:`gxevent.mapping.search.Searcher` builds it and proves its bounds.

    Arrays (IN unless said otherwise), with V vertices, N nets, K cores (the last may be an input port), R routers:

    pin_start int64 (N+1,), pin int32, pin_weight int32: vertices of each net, and synapses it has in each of them
    in_start int64 (V+1,), in_net int32, in_weight int32: the same, by vertex
    out_start int64 (V+1,), out_net int32: nets that leave each vertex; source int32 (N,): its inverse
    weight int64 (N,): events; step int32 (N,): step of a frame in which they are sent, from 0
    size int32 (V,): neurons; memory int64 (V,): bits of its synapses; need int32 (V,), have int32 (K,): capability bits
    group int32 (V,): layer of a vertex; with ``exclusive`` a core takes one layer only
    fixed int8 (V,): vertices that never move
    limit int64 (K, 4): neurons, axons in, axons out, memory bits; model int64 (4,): axons a net takes, bits an axon,
    receiving work of a packet, and of a synapse
    core int32 (V,) INOUT; slot int32 (K,) INOUT: place of each core; x, y int32 (slots,); kind int32 (K,): cores of
    one kind may trade places, kind -1 stays
    """

    cdef int64_t[::1] pin_start, in_start, out_start, weight, model, memory
    cdef int32_t[::1] pin, pin_weight, in_net, in_weight, out_net, source, step, size, need, have, group
    cdef int8_t[::1] fixed
    cdef int64_t[:, ::1] limit
    cdef readonly object arrays
    cdef int32_t[::1] core, slot, x, y, kind, core_at, movable
    cdef int32_t[::1] router_start, router_slot, router_of
    cdef uint16_t[::1] count
    cdef uint64_t[::1] column
    cdef int32_t[::1] length, stamp, member_start, touched
    cdef int64_t[::1] load, neurons, axons, out, stored, receive, received, step_cap, less, more
    cdef int steps
    cdef int32_t[::1] members, member_at, member_n, core_group, core_group_n
    cdef int width, height, torus, exclusive, unicast
    cdef Py_ssize_t V, N, K
    cdef int32_t mark
    cdef uint64_t state
    cdef readonly int64_t traffic
    cdef public int64_t receive_cap, link_cap
    cdef public double receive_price, link_price
    cdef double link_over
    cdef int64_t overflow

    def __init__(self, dict a, int width, int height, bint torus, bint exclusive, bint unicast, uint64_t seed):
        self.arrays = a
        self.pin_start, self.pin, self.pin_weight = a["pin_start"], a["pin"], a["pin_weight"]
        self.in_start, self.in_net, self.in_weight = a["in_start"], a["in_net"], a["in_weight"]
        self.out_start, self.out_net, self.source = a["out_start"], a["out_net"], a["source"]
        self.weight, self.size, self.fixed, self.group = a["weight"], a["size"], a["fixed"], a["group"]
        self.memory, self.step = a["memory"], a["step"]
        self.steps = int(np.max(a["step"], initial=0)) + 1
        self.need, self.have, self.limit, self.model = a["need"], a["have"], a["limit"], a["model"]
        self.core, self.slot, self.x, self.y, self.kind = a["core"], a["slot"], a["x"], a["y"], a["kind"]
        self.width, self.height, self.torus, self.exclusive, self.unicast = width, height, torus, exclusive, unicast
        self.V, self.N, self.K = self.size.shape[0], self.weight.shape[0], self.slot.shape[0]
        self.state = seed * <uint64_t>0x9E3779B97F4A7C15 + <uint64_t>0x1234567
        self.receive_cap = self.link_cap = <int64_t>1 << 62
        self.step_cap = np.full(self.steps, 1 << 62, np.int64)
        self.less, self.more = np.zeros((2, self.steps), np.int64)
        self.receive_price = self.link_price = 0.0
        self.mark = 0
        self._routers()
        self._tally()

    def _routers(self):
        routers = np.asarray(self.y, np.int64) * self.width + np.asarray(self.x)
        order = np.argsort(routers, kind="stable").astype(np.int32)
        starts = np.searchsorted(routers[order], np.arange(self.width * self.height + 1)).astype(np.int32)
        self.router_slot, self.router_start, self.router_of = order, starts, routers.astype(np.int32)
        core_at = np.full(len(routers), -1, np.int32)
        core_at[np.asarray(self.slot)] = np.arange(self.K, dtype=np.int32)
        self.core_at = core_at

    def _tally(self):
        """Count everything from scratch."""
        core = np.asarray(self.core)
        counts = np.bincount(core, minlength=self.K)
        self.member_n = counts.astype(np.int32)
        self.movable = np.flatnonzero(np.asarray(self.fixed) == 0).astype(np.int32)
        self.count = np.zeros(self.N * self.K, np.uint16)
        self.column = np.zeros(self.N * self.width, np.uint64)
        self.length = np.zeros(self.N, np.int32)
        self.stamp = np.zeros(self.N, np.int32)
        self.touched = np.zeros(self.N, np.int32)
        self.load = np.zeros(4 * self.width * self.height, np.int64)
        self.neurons, self.axons, self.out, self.stored, self.receive = np.zeros((5, self.K), np.int64)
        self.received = np.zeros(self.K * self.steps, np.int64)
        self.core_group = np.full(self.K, -1, np.int32)
        self.core_group_n = np.zeros(self.K, np.int32)
        self._lists(core, counts)
        self._sums()

    def _lists(self, core, counts):
        # A vertex has at least one neuron, so a core within its limits holds no more vertices than neurons; more for
        # a swap, or a group, under way.
        room = np.minimum(np.asarray(self.limit)[:, 0], self.V) + counts + GROUP + 2
        start = (np.cumsum(room) - room).astype(np.int64)
        total = int(room.sum())
        if total > (1 << 30):
            raise MemoryError("too many cores for the exact search")
        self.member_start = start.astype(np.int32)
        members = np.zeros(total, np.int32)
        order = np.argsort(core, kind="stable")
        firsts = np.cumsum(counts) - counts
        at = np.empty(self.V, np.int32)
        at[order] = (np.arange(self.V) - firsts[core[order]]).astype(np.int32)
        members[start[core] + at] = np.arange(self.V)
        self.members, self.member_at = members, at

    cdef void _sums(self) noexcept:
        cdef Py_ssize_t v, e, i
        cdef int c
        for v in range(self.V):
            c = self.core[v]
            self.neurons[c] += self.size[v]
            self.stored[c] += self.memory[v]
            self.core_group[c] = self.group[v]
            self.core_group_n[c] += 1
        self.traffic = 0
        for e in range(self.N):
            for i in range(self.pin_start[e], self.pin_start[e + 1]):
                c = self.core[self.pin[i]]
                if self.count[e * self.K + c] == 0:
                    self._enter(e, c)
                self.count[e * self.K + c] += 1
                self._take(c, e, self.weight[e] * self.model[3] * self.pin_weight[i])
            self.length[e] = self._span(e, self.core[self.source[e]])
            self.traffic += self.weight[e] * self.length[e]
            self._lay(e, 1)
        self._reprice()

    cdef void _reprice(self) noexcept:
        """Prices and overflow from the current sums."""
        cdef Py_ssize_t i
        self.link_over = 0
        for i in range(self.load.shape[0]):
            if self.load[i] > self.link_cap:
                self.link_over += self.load[i] - self.link_cap
        self.overflow = 0
        for i in range(self.K):
            self.overflow += self._excess(i)

    cdef inline void _take(self, int c, Py_ssize_t e, int64_t work) noexcept nogil:
        """Core c gets more (or less) receiving work from net e: in the step in which it sends, and in all."""
        self.receive[c] += work
        self.received[c * self.steps + self.step[e]] += work

    cdef inline int64_t _excess(self, Py_ssize_t c) noexcept nogil:
        """How far a core is beyond its limits."""
        cdef int64_t over = 0
        cdef int64_t bits = self.axons[c] * self.model[1] + self.stored[c]
        cdef int64_t axons = self.axons[c] * self.model[0]
        if self.neurons[c] > self.limit[c, 0]:
            over += self.neurons[c] - self.limit[c, 0]
        if axons > self.limit[c, 1]:
            over += axons - self.limit[c, 1]
        if self.out[c] > self.limit[c, 2]:
            over += self.out[c] - self.limit[c, 2]
        if bits > self.limit[c, 3]:
            over += bits - self.limit[c, 3]
        return over

    # ------------------------------------------------------------------------------------------------ X-Y trees

    cdef inline void _enter(self, Py_ssize_t e, int c) noexcept nogil:
        """Net e gets its first pin on core c."""
        cdef int s = self.slot[c]
        self.column[e * self.width + self.x[s]] |= <uint64_t>1 << self.y[s]
        self.axons[c] += 1
        self._take(c, e, self.weight[e] * self.model[2])
        if c != self.core[self.source[e]]:
            self.out[self.core[self.source[e]]] += 1

    cdef inline void _leave(self, Py_ssize_t e, int c) noexcept nogil:
        """Net e has lost its last pin on core c."""
        if not self._shared(e, c):
            self.column[e * self.width + self.x[self.slot[c]]] &= ~(<uint64_t>1 << self.y[self.slot[c]])
        self.axons[c] -= 1
        self._take(c, e, -self.weight[e] * self.model[2])
        if c != self.core[self.source[e]]:
            self.out[self.core[self.source[e]]] -= 1

    cdef inline bint _shared(self, Py_ssize_t e, int c) noexcept nogil:
        """Whether another core at the router of core c has pins of net e."""
        cdef int router = self.router_of[self.slot[c]]
        cdef int i, other
        for i in range(self.router_start[router], self.router_start[router + 1]):
            other = self.core_at[self.router_slot[i]]
            if other >= 0 and other != c and self.count[e * self.K + other]:
                return True
        return False

    cdef inline int _tree(self, Py_ssize_t e, int slot) noexcept nogil:
        """Links of the X-Y tree of net e from a source at ``slot``."""
        cdef int sx = self.x[slot], sy = self.y[slot], w = self.width, h = self.height
        cdef int i, d, east = 0, west = 0, total = 0
        cdef uint64_t m, part
        cdef uint64_t *column = &self.column[e * w]
        for i in range(w):
            m = column[i]
            if m == 0:
                continue
            if not self.torus:
                if i > sx:
                    east = i - sx
                elif west == 0:
                    west = sx - i
                part = m >> sy
                if part:
                    total += gx_high(part)
                part = m & ((<uint64_t>1 << sy) - 1)
                if part:
                    total += sy - gx_low(part)
                continue
            d = i - sx if i >= sx else i - sx + w
            if d <= w // 2:
                east = d if d > east else east
            elif w - d > west:
                west = w - d
            if sy:
                m = (m >> sy) | (m << (h - sy))
            if h < 64:
                m &= (<uint64_t>1 << h) - 1
            part = m & (((<uint64_t>1 << (h // 2)) << 1) - 1)
            if part:
                total += gx_high(part)
            part = m & ~(((<uint64_t>1 << (h // 2)) << 1) - 1)
            if part:
                total += h - gx_low(part)
        return total + east + west

    cdef inline int _distance(self, int a, int b) noexcept nogil:
        """Links between the routers of two cores."""
        return self._apart(self.slot[a], self.slot[b])

    cdef inline int _apart(self, int p, int q) noexcept nogil:
        """Links between the routers at two slots."""
        cdef int dx = self.x[p] - self.x[q], dy = self.y[p] - self.y[q]
        dx, dy = dx if dx >= 0 else -dx, dy if dy >= 0 else -dy
        if self.torus:
            dx = dx if 2 * dx <= self.width else self.width - dx
            dy = dy if 2 * dy <= self.height else self.height - dy
        return dx + dy

    cdef inline int _cost(self, int a, int b) noexcept nogil:
        """A packet from core a to core b: itself and its links; nothing inside a core."""
        return 0 if a == b else 1 + self._distance(a, b)

    cdef inline int _span(self, Py_ssize_t e, int source) noexcept nogil:
        """Links of net e's tree from core ``source``; where packets do not fork, packets and their links."""
        cdef int c, total = 0
        if not self.unicast:
            return self._tree(e, self.slot[source])
        for c in range(<int>self.K):
            if self.count[e * self.K + c]:
                total += self._cost(source, c)
        return total

    cdef void _lay_paths(self, Py_ssize_t e, int64_t amount) noexcept nogil:
        """Load of one packet to each core that net e reaches."""
        cdef int slot = self.slot[self.core[self.source[e]]]
        cdef int c, x, y, dx, dy, step
        for c in range(<int>self.K):
            if self.count[e * self.K + c] == 0:
                continue
            x, y = self.x[slot], self.y[slot]
            dx, dy = self.x[self.slot[c]] - x, self.y[self.slot[c]] - y
            if self.torus:
                dx = dx if dx >= 0 else dx + self.width
                dx = dx if dx <= self.width // 2 else dx - self.width
                dy = dy if dy >= 0 else dy + self.height
                dy = dy if dy <= self.height // 2 else dy - self.height
            step = 1 if dx > 0 else -1
            while dx:
                self._bear(4 * (y * self.width + x) + (EAST if step > 0 else WEST), amount)
                x, dx = (x + step + self.width) % self.width, dx - step
            step = 1 if dy > 0 else -1
            while dy:
                self._bear(4 * (y * self.width + x) + (SOUTH if step > 0 else NORTH), amount)
                y, dy = (y + step + self.height) % self.height, dy - step

    cdef void _lay(self, Py_ssize_t e, int sign) noexcept nogil:
        """Add (or take away) the load of net e's tree on its links, keeping ``link_over``."""
        cdef int slot = self.slot[self.core[self.source[e]]]
        cdef int sx = self.x[slot], sy = self.y[slot], w = self.width, h = self.height
        cdef int i, d, east = 0, west = 0, south, north
        cdef int64_t amount = sign * self.weight[e]
        cdef uint64_t m
        cdef int j, dy
        if self.unicast:
            self._lay_paths(e, amount)
            return
        for i in range(w):
            m = self.column[e * w + i]
            if m == 0:
                continue
            d = i - sx
            if self.torus:
                d = d if d >= 0 else d + w
                d = d if d <= w // 2 else d - w
            if d > east:
                east = d
            elif -d > west:
                west = -d
            south = north = 0
            while m:
                j = gx_low(m)
                m &= m - 1
                dy = j - sy
                if self.torus:
                    dy = dy if dy >= 0 else dy + h
                    dy = dy if dy <= h // 2 else dy - h
                if dy > south:
                    south = dy
                elif -dy > north:
                    north = -dy
            for j in range(south):
                self._bear(4 * (((sy + j) % h) * w + i) + SOUTH, amount)
            for j in range(north):
                self._bear(4 * (((sy - j + h) % h) * w + i) + NORTH, amount)
        for j in range(east):
            self._bear(4 * (sy * w + (sx + j) % w) + EAST, amount)
        for j in range(west):
            self._bear(4 * (sy * w + (sx - j + w) % w) + WEST, amount)

    cdef inline void _bear(self, Py_ssize_t link, int64_t amount) noexcept nogil:
        cdef int64_t before = self.load[link], after = before + amount
        self.load[link] = after
        if after > self.link_cap:
            self.link_over += after - self.link_cap
        if before > self.link_cap:
            self.link_over -= before - self.link_cap

    # --------------------------------------------------------------------------------------------------- reports

    @property
    def excess(self):
        """How far the cores are beyond their limits, all together: 0 when the mapping fits."""
        return self.overflow

    def tally(self):
        """Copies of the current sums: link loads; receiving work (in all, and by step), axons in and out, neurons, memory
        of the cores."""
        return {
            "received": np.array(self.received).reshape(self.K, self.steps),
        } | {
            name: np.array(values)
            for name, values in (
                ("load", self.load), ("receive", self.receive), ("axons", self.axons), ("out", self.out),
                ("neurons", self.neurons), ("memory", self.stored), ("length", self.length),
            )
        }
