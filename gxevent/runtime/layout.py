"""How units are ordered inside the compiled plan.

Inside the plan units are laid out pixel by pixel, channels innermost (H, W, C), while graphs address them in C order
of (C, H, W). ``Layout`` carries the permutation between the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.errors import UnsupportedError
from gxevent.graph import EventGraph


@dataclass(frozen=True, eq=False)
class Layout:
    """How a population's units are ordered inside the plan.

    order: int64 (size,), graph address of each plan address; None when they are the same.
    """

    shape: tuple[int, ...]
    order: NDArray[np.int64] | None

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Layout:
        if len(shape) == 1 or shape[0] == 1 or math.prod(shape[1:]) == 1:
            return cls(shape, None)
        return cls(shape, np.arange(math.prod(shape)).reshape(shape).transpose(1, 2, 0).ravel())

    @property
    def channels(self) -> int:
        return self.shape[0]

    def same_order(self, other: Layout) -> bool:
        """Whether both number their units alike."""
        if self.order is None or other.order is None:
            return self.order is other.order
        return bool((self.order == other.order).all())

    def inward(self, values: NDArray) -> NDArray:
        """Last axis (size) from graph order to plan order, contiguous."""
        return np.ascontiguousarray(values if self.order is None else values[..., self.order])

    def outward(self, values: NDArray) -> NDArray:
        """Last axis (size) from plan order to graph order."""
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[..., self.order] = values
        return out


def layouts(graph: EventGraph) -> dict[str, Layout]:
    """Layout of every population: that of the images its convolutions and pools see, else its own shape."""
    shapes = {name: p.shape for name, p in graph.populations.items()}
    for p in graph.projections.values():
        if isinstance(p.rule, connectivity.Conv2d | connectivity.Pool2d):
            for end, seen in ((p.source, p.rule.source_shape), (p.target, p.rule.target_shape)):
                if len(shapes[end]) == 3 and shapes[end] != seen:
                    raise UnsupportedError(
                        f"projection {p.name!r} sees population {end!r} as {seen}, another one as {shapes[end]}"
                    )
                shapes[end] = seen
    return {name: Layout.of(shape) for name, shape in shapes.items()}


def geometry(rule: connectivity.Conv2d | connectivity.Pool2d) -> dict[str, tuple[int, ...]]:
    names = ("source_shape", "target_shape", "kernel", "stride", "padding", "dilation")
    return {name: getattr(rule, name) for name in names}


def sparse_arrays(rule: connectivity.Rule, of: Layout, to: Layout) -> tuple[NDArray, NDArray, NDArray]:
    """start, target and level (see ``connectivity.Sparse``) of any rule, units in plan order."""
    source, target, level = rule.connections()
    inverse = [_inverse(layout) for layout in (of, to)]
    source = source if inverse[0] is None else inverse[0][source]
    target = target if inverse[1] is None else inverse[1][target]
    made = connectivity.Sparse.from_connections((rule.source_size,), (rule.target_size,), source, target, level)
    return made.start, made.target, made.level


def _inverse(layout: Layout) -> NDArray[np.int64] | None:
    if layout.order is None:
        return None
    inverse = np.empty_like(layout.order)
    inverse[layout.order] = np.arange(layout.order.size)
    return inverse
