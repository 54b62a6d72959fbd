"""Search for a mapping: which core holds each vertex and where each core lies, under every limit at once.

A *vertex* is a group of units that stay together, a *net* is the events of one unit: its source vertex, the vertices
that listen to it (pins) and how often it fires. Moves are judged by the exact traffic of the X-Y multicast trees, by the
load of the busiest receiving cores and by the load of the busiest links. The same seed makes the same moves on every
machine: integers decide, and a move count, never a clock, ends the search.
"""

include "_mapping_state.pxi"
include "_mapping_moves.pxi"


cdef class Search(Moves):
    """A :class:`State` (see there for the arrays) and the moves that improve it, in place."""

    # -------------------------------------------------------------------------------------- relief of busy receivers

    cdef int _loaded(self, int32_t[::1] found, double share) noexcept nogil:
        """Cores whose receiving work is above this share of a cap, into ``found`` OUT (K,); their number."""
        cdef int c, s, n = 0
        cdef bint above
        for c in range(<int>self.K):
            if self.kind[c] < 0 or self.member_n[c] == 0:
                continue
            above = <double>self.receive[c] > share * <double>self.receive_cap
            for s in range(self.steps):
                above |= <double>self.received[c * self.steps + s] > share * <double>self.step_cap[s]
            if above:
                found[n] = c
                n += 1
        return n

    cdef int _lighter(self, Py_ssize_t v, int a) noexcept nogil:
        """A core that might take vertex v from core a, which is too busy: with shared nets, near, or any."""
        cdef int64_t r = self._below(8)
        if r < 5:
            return self._towards(v)
        return self._beside(a) if r < 6 else <int>self._below(self.K)

    cdef void _try_relief(self, int a, double temperature) noexcept nogil:
        """Let a vertex leave core a for a lighter one; where that is full, for one of those there."""
        cdef Py_ssize_t v, u, best = -1
        cdef int b, i
        cdef bint fits = False, other = False
        cdef double delta, back, least = 0, links = self.link_over
        cdef int64_t over = self.overflow
        if self.member_n[a] == 0:
            return
        v = self.members[self.member_start[a] + self._below(self.member_n[a])]
        b = self._lighter(v, a)
        if self.fixed[v] or b < 0 or b == a or not self._allowed(v, b):
            return
        delta = self._change(v, a, b, &fits)
        if fits:
            if self._accept(delta, temperature):
                self._move(v, a, b)
                if not self._settle(links, over, temperature):
                    self._move(v, b, a)
            return
        if self.member_n[b] == 0 or self.exclusive:
            return
        for i in range(6):
            u = self.members[self.member_start[b] + self._below(self.member_n[b])]
            if self.fixed[u] or not self._allowed(u, a):
                continue
            back = self._change(u, b, a, &other)
            if best < 0 or back < least:
                best, least = u, back
        if best < 0 or not self._accept(delta + least, 2 * temperature):
            return
        self._move(v, a, b)
        delta += self._change(best, b, a, &other)
        if self._accept(delta, temperature):
            self._move(best, b, a)
            if self._settle(links, over, temperature):
                return
            self._move(best, a, b)
        self._move(v, b, a)

    cdef double _price_of(self, int a, int b) noexcept nogil:
        return <double>self.traffic + self.receive_price * (self._over(a) + self._over(b))

    cdef inline bint _alike(self, Py_ssize_t v, Py_ssize_t u) noexcept nogil:
        """Whether two vertices listen to the same nets, by number, first and last."""
        cdef int64_t i = self.in_start[v], j = self.in_start[u], n = self.in_start[v + 1] - i
        return n == self.in_start[u + 1] - j and n > 0 and self.in_net[i] == self.in_net[j] \
            and self.in_net[i + n - 1] == self.in_net[j + n - 1]

    cdef void _try_group(self, int a, int32_t[::1] went, double temperature) noexcept nogil:
        """Let vertices that listen to the same nets leave core a together: the nets arrive once for all of them.

        Others come back where the new core is full. ``went`` OUT holds the vertices that moved, to be moved back.
        """
        cdef int64_t most = 2 + self._below(GROUP // 2 - 2), r = self._below(4), over = self.overflow
        cdef Py_ssize_t v = self.members[self.member_start[a] + self._below(self.member_n[a])], u, best
        cdef int b = self._towards(v) if r == 0 else self._beside(a) if r < 3 else <int>self._below(self.K)
        cdef int i, n = 0, back
        cdef bint fits = False
        cdef double before, cost, least = 0
        if self.fixed[v] or b < 0 or b == a or self.exclusive or not self._allowed(v, b):
            return
        before = self._price_of(a, b)
        i = 0
        while i < self.member_n[a] and n < most:
            u = self.members[self.member_start[a] + i]
            if self._alike(v, u) and not self.fixed[u] and self._allowed(u, b):
                self._move(u, a, b)  # the last member takes its place in the list
                went[n] = <int32_t>u
                n += 1
            else:
                i += 1
        back = n
        while self.overflow > over and back < GROUP:
            best = -1
            for i in range(6):
                u = self.members[self.member_start[b] + self._below(self.member_n[b])]
                if self.fixed[u] or self._alike(v, u) or not self._allowed(u, a):
                    continue
                cost = self._change(u, b, a, &fits)
                if best < 0 or cost < least:
                    best, least = u, cost
            if best < 0:
                break
            self._move(best, b, a)
            went[back] = <int32_t>best
            back += 1
        if self.overflow <= over and self._accept(self._price_of(a, b) - before, temperature):
            return
        for i in range(back - 1, -1, -1):
            if i < n:
                self._move(went[i], b, a)
            else:
                self._move(went[i], a, b)

    def groups(self, int64_t moves, double temperature):
        """Let groups of vertices leave cores whose receiving work is above a cap; whether none is above in the end."""
        cdef int64_t i
        cdef int n
        cdef int32_t[::1] found = np.zeros(self.K, np.int32), went = np.zeros(GROUP, np.int32)
        self._reprice()
        with nogil:
            for i in range(moves):
                n = self._loaded(found, 1.0)
                if n == 0:
                    break
                self._try_group(found[self._below(n)], went, temperature)
        return self._loaded(found, 1.0) == 0

    def relieve(self, int64_t moves, double hot, double cold, double share=1.0):
        """As :meth:`vertices`, every other proposal from a core whose receiving work is above ``share`` of a cap.

        With a share of 1 it ends early when no core is above a cap any more. Returns whether that is so at the end.
        """
        cdef int64_t i
        cdef double temperature
        cdef int n = 0
        cdef int32_t[::1] found = np.zeros(self.K, np.int32)
        if self.movable.shape[0] == 0:
            return False
        self._reprice()
        with nogil:
            for i in range(moves):
                if i % 64 == 0:
                    n = self._loaded(found, share)
                    if n == 0 and share >= 1:
                        break
                temperature = hot * exp(log(cold / hot) * <double>i / <double>moves) if hot > 0 else 0.0
                if i & 1 or n == 0:
                    self._try_vertex(temperature)
                else:
                    self._try_relief(found[self._below(n)], temperature)
        return self._loaded(found, 1.0) == 0

    # ---------------------------------------------------------------------------------------------- moves of cores

    cdef Py_ssize_t _gather(self, int c, Py_ssize_t n) noexcept nogil:
        """Collect the nets that core c sends or receives behind the first n of ``touched``."""
        cdef Py_ssize_t i, j, v, e
        for i in range(self.member_n[c]):
            v = self.members[self.member_start[c] + i]
            for j in range(self.in_start[v], self.in_start[v + 1]):
                e = self.in_net[j]
                if self.stamp[e] != self.mark:
                    self.stamp[e] = self.mark
                    self.touched[n] = <int32_t>e
                    n += 1
            for j in range(self.out_start[v], self.out_start[v + 1]):
                e = self.out_net[j]
                if self.stamp[e] != self.mark:
                    self.stamp[e] = self.mark
                    self.touched[n] = <int32_t>e
                    n += 1
        return n

    cdef void _exchange(self, int a, int to, Py_ssize_t n) noexcept nogil:
        """Core a goes to slot ``to``, whoever is there comes to a's slot; ``touched`` holds the n nets concerned."""
        cdef int b = self.core_at[to], of = self.slot[a]
        cdef Py_ssize_t i, e
        cdef int32_t made
        for i in range(n):
            self._lay(self.touched[i], -1)
        self.slot[a] = to
        self.core_at[to] = a
        self.core_at[of] = b
        if b >= 0:
            self.slot[b] = of
        for i in range(n):
            e = self.touched[i]
            self._redraw(e, of)
            self._redraw(e, to)
            made = self._span(e, self.core[self.source[e]])
            self.traffic += self.weight[e] * (made - self.length[e])
            self.length[e] = made
            self._lay(e, 1)

    cdef inline void _redraw(self, Py_ssize_t e, int slot) noexcept nogil:
        """Bit of net e for the router at ``slot``, from the cores there."""
        cdef int router = self.router_of[slot], i, c
        cdef uint64_t bit = <uint64_t>1 << self.y[slot]
        cdef Py_ssize_t at = e * self.width + self.x[slot]
        self.column[at] &= ~bit
        for i in range(self.router_start[router], self.router_start[router + 1]):
            c = self.core_at[self.router_slot[i]]
            if c >= 0 and self.count[e * self.K + c]:
                self.column[at] |= bit
                return

    def _flow(self):
        """Packets between cores, float64 (K, K), both ways added."""
        made = np.zeros((self.K, self.K))
        cdef double[:, ::1] flow = made
        cdef Py_ssize_t e, c, s
        with nogil:
            for e in range(self.N):
                s = self.core[self.source[e]]
                for c in range(self.K):
                    if c != s and self.count[e * self.K + c]:
                        flow[s, c] += <double>self.weight[e]
                        flow[c, s] += <double>self.weight[e]
        return made

    def arrange(self, int64_t moves, double hot, double cold):
        """Anneal places by packets times links, which is soon counted; a first approach to :meth:`places`.

        Temperatures are shares of the mean cost of a core's packets.
        """
        cdef double[:, ::1] flow = self._flow()
        cdef int64_t i
        cdef int a, b, c, at, to, slots = <int>self.x.shape[0]
        cdef double delta, temperature, mean = 2.0 * np.asarray(flow).sum() / max(self.K, 1)
        with nogil:
            for i in range(moves):
                temperature = mean * hot * exp(log(cold / hot) * <double>i / <double>moves)
                a, to = <int>self._below(self.K), <int>self._below(slots)
                b, at = self.core_at[to], self.slot[a]
                if a == b or b < 0 or self.kind[a] < 0 or self.kind[b] != self.kind[a]:
                    continue
                delta = 0
                for c in range(<int>self.K):
                    if c != a and c != b:
                        delta += (flow[a, c] - flow[b, c]) * <double>(
                            self._apart(to, self.slot[c]) - self._apart(at, self.slot[c])
                        )
                if self._accept(delta, temperature):
                    self.slot[a], self.slot[b] = to, at
                    self.core_at[to], self.core_at[at] = a, b
        self._tally()

    def places(self, int64_t moves, double hot, double cold):
        """Anneal by letting cores of one kind trade places (or take an empty one)."""
        cdef int64_t i, before
        cdef double temperature, links
        cdef int a, b, to
        cdef Py_ssize_t n
        cdef int slots = <int>self.x.shape[0]
        self._reprice()
        with nogil:
            for i in range(moves):
                temperature = hot * exp(log(cold / hot) * <double>i / <double>moves) if hot > 0 else 0.0
                a = <int>self._below(self.K)
                to = <int>self._below(slots)
                b = self.core_at[to]
                if a == b or b < 0 or self.kind[a] < 0 or self.kind[b] != self.kind[a]:
                    continue
                if self.member_n[a] == 0 and self.member_n[b] == 0:
                    continue
                self.mark += 1
                n = self._gather(b, self._gather(a, 0))
                before, links = self.traffic, self.link_over
                self._exchange(a, to, n)
                if not self._accept(
                    <double>(self.traffic - before) + self.link_price * (self.link_over - links), temperature
                ):
                    self._exchange(a, self.slot[b], n)
