"""Moves of single vertices: what they cost, how the sums follow them, and annealing by them.

Included by ``_mapping.pyx``.
"""


cdef class Moves(State):
    """A :class:`State` whose vertices move from core to core, by what that costs in traffic and receiving work."""

    cdef inline uint64_t _random(self) noexcept nogil:
        cdef uint64_t z
        self.state += <uint64_t>0x9E3779B97F4A7C15
        z = self.state
        z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
        return z ^ (z >> 31)

    cdef inline int64_t _below(self, int64_t n) noexcept nogil:
        return <int64_t>((self._random() >> 33) * <uint64_t>n >> 31)

    cdef inline double _unit(self) noexcept nogil:
        return <double>(self._random() >> 11) * 1.1102230246251565e-16

    cdef inline double _over(self, int c) noexcept nogil:
        """Receiving work of core c above the caps, of all steps together and of each."""
        cdef double over = 0
        cdef int s
        if self.receive[c] > self.receive_cap:
            over = <double>(self.receive[c] - self.receive_cap)
        for s in range(self.steps):
            if self.received[c * self.steps + s] > self.step_cap[s]:
                over += <double>(self.received[c * self.steps + s] - self.step_cap[s])
        return over

    cdef inline double _over_with(self, int c, int64_t[::1] more) noexcept nogil:
        """The same with ``more`` work in each step."""
        cdef double over = 0
        cdef int64_t work, total = self.receive[c]
        cdef int s
        for s in range(self.steps):
            total += more[s]
            work = self.received[c * self.steps + s] + more[s]
            if work > self.step_cap[s]:
                over += <double>(work - self.step_cap[s])
        return over + <double>(total - self.receive_cap) if total > self.receive_cap else over

    cdef double _change(self, Py_ssize_t v, int a, int b, bint* fits) noexcept nogil:
        """Cost of moving vertex v from core a to core b (links' load aside); whether core b can take it."""
        cdef int sa = self.slot[a], sb = self.slot[b], w = self.width
        cdef uint64_t bit_a = <uint64_t>1 << self.y[sa], bit_b = <uint64_t>1 << self.y[sb]
        cdef uint64_t keep_a, keep_b
        cdef uint64_t *col
        cdef int64_t delta = 0, entering = 0, wt
        cdef bint priced = self.receive_price > 0
        cdef Py_ssize_t i, e
        cdef bint leave, enter
        if priced:
            self.less[:] = 0
            self.more[:] = 0
        for i in range(self.in_start[v], self.in_start[v + 1]):
            e = self.in_net[i]
            wt = self.weight[e]
            leave = self.count[e * self.K + a] == 1
            enter = self.count[e * self.K + b] == 0
            if priced:
                self.less[self.step[e]] -= wt * (self.model[3] * self.in_weight[i] + (self.model[2] if leave else 0))
                self.more[self.step[e]] += wt * (self.model[3] * self.in_weight[i] + (self.model[2] if enter else 0))
            entering += enter
            if self.unicast:
                if enter:
                    delta += wt * self._cost(self.core[self.source[e]], b)
                if leave:
                    delta -= wt * self._cost(self.core[self.source[e]], a)
            elif (leave or enter) and wt:
                col = &self.column[e * w]
                keep_a, keep_b = col[self.x[sa]], col[self.x[sb]]
                if leave and not self._shared(e, a):
                    col[self.x[sa]] &= ~bit_a
                if enter:
                    col[self.x[sb]] |= bit_b
                delta += wt * (self._span(e, self.core[self.source[e]]) - self.length[e])
                col[self.x[sb]] = keep_b
                col[self.x[sa]] = keep_a
        for i in range(self.out_start[v], self.out_start[v + 1]):
            e = self.out_net[i]
            if self.weight[e]:
                delta += self.weight[e] * (self._span(e, b) - self.length[e])
        fits[0] = (
            self.neurons[b] + self.size[v] <= self.limit[b, 0]
            and (self.axons[b] + entering) * self.model[0] <= self.limit[b, 1]
            and (self.axons[b] + entering) * self.model[1] + self.stored[b] + self.memory[v] <= self.limit[b, 3]
        )
        if not priced:
            return <double>delta
        return <double>delta + self.receive_price * (
            self._over_with(a, self.less) - self._over(a) + self._over_with(b, self.more) - self._over(b)
        )

    cdef void _move(self, Py_ssize_t v, int a, int b) noexcept nogil:
        """Move vertex v from core a to core b."""
        cdef Py_ssize_t i, e
        cdef int64_t before = self._excess(a) + self._excess(b), outside = 0
        cdef int s
        cdef int32_t last
        cdef bint leave, enter
        for i in range(self.out_start[v], self.out_start[v + 1]):
            e = self.out_net[i]
            self._lay(e, -1)
            last = self._targets(e)
            self.out[a] -= last - (self.count[e * self.K + a] > 0)
            self.out[b] += last - (self.count[e * self.K + b] > 0)
        self.core[v] = b
        for i in range(self.out_start[v], self.out_start[v + 1]):
            e = self.out_net[i]
            last = self._span(e, b)
            self.traffic += self.weight[e] * (last - self.length[e])
            self.length[e] = last
            self._lay(e, 1)
        for i in range(self.in_start[v], self.in_start[v + 1]):
            e = self.in_net[i]
            s = self.core[self.source[e]]
            leave = self.count[e * self.K + a] == 1
            enter = self.count[e * self.K + b] == 0
            self._take(a, e, -self.weight[e] * self.model[3] * self.in_weight[i])
            self._take(b, e, self.weight[e] * self.model[3] * self.in_weight[i])
            if not (leave or enter):
                self.count[e * self.K + a] -= 1
                self.count[e * self.K + b] += 1
                continue
            if s != a and s != b:
                outside -= self._over_out(s)
            self._lay(e, -1)
            self.count[e * self.K + a] -= 1
            if leave:
                self._leave(e, a)
            if enter:
                self._enter(e, b)
            self.count[e * self.K + b] += 1
            last = self._span(e, s)
            self.traffic += self.weight[e] * (last - self.length[e])
            self.length[e] = last
            self._lay(e, 1)
            if s != a and s != b:
                outside += self._over_out(s)
        self.neurons[a] -= self.size[v]
        self.neurons[b] += self.size[v]
        self.stored[a] -= self.memory[v]
        self.stored[b] += self.memory[v]
        self.core_group_n[a] -= 1
        self.core_group_n[b] += 1
        self.core_group[b] = self.group[v]
        last = self.members[self.member_start[a] + self.member_n[a] - 1]
        self.members[self.member_start[a] + self.member_at[v]] = last
        self.member_at[last] = self.member_at[v]
        self.member_n[a] -= 1
        self.members[self.member_start[b] + self.member_n[b]] = <int32_t>v
        self.member_at[v] = self.member_n[b]
        self.member_n[b] += 1
        self.overflow += self._excess(a) + self._excess(b) - before + outside

    cdef inline int64_t _over_out(self, int c) noexcept nogil:
        return self.out[c] - self.limit[c, 2] if self.out[c] > self.limit[c, 2] else 0

    cdef inline int32_t _targets(self, Py_ssize_t e) noexcept nogil:
        """Number of cores that net e reaches."""
        cdef int32_t n = 0
        cdef Py_ssize_t c
        for c in range(self.K):
            n += self.count[e * self.K + c] > 0
        return n

    cdef inline int _towards(self, Py_ssize_t v) noexcept nogil:
        """A core that vertex v might prefer: where a neighbour lies, or a core beside it; -1 when there is none."""
        cdef int64_t n_in = self.in_start[v + 1] - self.in_start[v], n_out = self.out_start[v + 1] - self.out_start[v]
        cdef int64_t r
        cdef Py_ssize_t e
        cdef int c, s
        if n_in + n_out == 0:
            return -1
        r = self._below(16)
        if r == 0:
            return <int>self._below(self.K)
        if n_out and (n_in == 0 or r & 1):
            e = self.out_net[self.out_start[v] + self._below(n_out)]
        else:
            e = self.in_net[self.in_start[v] + self._below(n_in)]
            if r & 2:
                c = self.core[self.source[e]]
                return self._beside(c) if r & 4 else c
        if self.pin_start[e + 1] == self.pin_start[e]:
            return -1
        c = self.core[self.pin[self.pin_start[e] + self._below(self.pin_start[e + 1] - self.pin_start[e])]]
        return self._beside(c) if (r & 12) == 12 else c

    cdef inline int _beside(self, int c) noexcept nogil:
        """A core at the same or a neighbouring router."""
        cdef int s = self.slot[c], x, y, router, n
        cdef int64_t r = self._below(5)
        x = self.x[s] + (r == 1) - (r == 2)
        y = self.y[s] + (r == 3) - (r == 4)
        if self.torus:
            x, y = (x + self.width) % self.width, (y + self.height) % self.height
        if x < 0 or y < 0 or x >= self.width or y >= self.height:
            return c
        router = y * self.width + x
        n = self.router_start[router + 1] - self.router_start[router]
        if n == 0:
            return c
        return self.core_at[self.router_slot[self.router_start[router] + self._below(n)]]

    cdef inline bint _allowed(self, Py_ssize_t v, int b) noexcept nogil:
        if self.kind[b] < 0 or self.need[v] & ~self.have[b]:
            return False
        return not self.exclusive or self.core_group_n[b] == 0 or self.core_group[b] == self.group[v]

    cdef inline bint _accept(self, double delta, double temperature) noexcept nogil:
        return delta <= 0 or (temperature > 0 and self._unit() < exp(-delta / temperature))

    cdef bint _settle(self, double links, int64_t over, double temperature) noexcept nogil:
        """After a move: whether links and limits let it stand."""
        if self.overflow > over:
            return False
        return self._accept(self.link_price * (self.link_over - links), temperature)

    cdef void _try_vertex(self, double temperature) noexcept nogil:
        cdef Py_ssize_t v = self.movable[self._below(self.movable.shape[0])], u
        cdef int a = self.core[v], b = self._towards(v)
        cdef bint fits = False, other = False
        cdef double delta, links = self.link_over
        cdef int64_t over = self.overflow
        if b < 0 or b == a or not self._allowed(v, b):
            return
        delta = self._change(v, a, b, &fits)
        if fits and (self.overflow == 0 or self._excess(a) == 0 or self._excess(b)):
            if self._accept(delta, temperature):
                self._move(v, a, b)
                if not self._settle(links, over, temperature):
                    self._move(v, b, a)
            return
        if fits:  # core a is beyond a limit: away from it whatever it costs
            self._move(v, a, b)
            if self.overflow >= over:
                self._move(v, b, a)
            return
        if self.member_n[b] == 0 or self.exclusive:
            return
        u = self.members[self.member_start[b] + self._below(self.member_n[b])]
        if self.fixed[u] or not self._allowed(u, a):
            return
        self._move(v, a, b)
        delta += self._change(u, b, a, &other)
        if self._accept(delta, temperature):
            self._move(u, b, a)
            if self._settle(links, over, temperature):
                return
            self._move(u, a, b)
        self._move(v, b, a)

    def vertices(self, int64_t moves, double hot, double cold):
        """Anneal by moving vertices: ``moves`` proposals, temperature falling from ``hot`` to ``cold``."""
        cdef int64_t i
        cdef double temperature
        if self.movable.shape[0] == 0:
            return
        self._reprice()
        with nogil:
            for i in range(moves):
                temperature = hot * exp(log(cold / hot) * <double>i / <double>moves) if hot > 0 else 0.0
                self._try_vertex(temperature)

    def cap_steps(self, caps):
        """Receiving work of each step, int64 (steps,), above which a core costs ``receive_price``."""
        self.step_cap = np.array(caps, np.int64)

    def typical(self, int64_t samples):
        """Mean cost of moves that raise it: the scale of a temperature."""
        cdef int64_t i, n = 0
        cdef Py_ssize_t v
        cdef int b
        cdef bint fits
        cdef double delta, total = 0
        if self.movable.shape[0] == 0:
            return 0.0
        for i in range(samples):
            v = self.movable[self._below(self.movable.shape[0])]
            b = self._towards(v)
            if b < 0 or b == self.core[v] or not self._allowed(v, b):
                continue
            delta = self._change(v, self.core[v], b, &fits)
            if delta > 0:
                total += delta
                n += 1
        return total / n if n else 0.0
