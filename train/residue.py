"""The residue: what a step could not spend on whole grid steps, kept in a few bits a weight and spent later.

It replaces the transition's chance (:mod:`gxevent.train.transition`). Where a level of Z_n leaves enough bits of its
byte unused, the residue lies there, in the layer's ``cells``, and training needs no memory but those; else it is packed
into the optimizer's state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gxevent import grid
from gxevent.train.backend import F, torch

if TYPE_CHECKING:
    from gxevent.train.modules import DiscreteLayer

RESIDUE_BITS = (0, 2, 4, 8)


def spend(
    levels: torch.Tensor, step: torch.Tensor, residue: torch.Tensor, n: int, bits: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels and residue after a step whose unspent fraction is kept.

    The residue of a weight counts notches of ``dz / 2**(bits - 1)``. What it and the step come to together moves the
    weight by whole grid steps, towards zero, and the rest is rounded to the nearest notch; a full grid step of notches
    is spent at once. As the rest lies in (-dz, dz), a weight that has just moved must be pushed a whole grid step back
    before it returns: noise does not make it flip to and fro.

    Steps of less than half a notch are lost, and that is the point. A notch gained by chance is as likely to be noise
    whatever the learning rate, so that rounding at random (right in the mean) never lets the weights settle. Rounded to
    the nearest, a falling learning rate raises the gradient that a weight heeds at all, and the network anneals.

    Parameters
    ----------
    levels, step, n
        As in :func:`gxevent.train.transition.transition`.
    residue
        int8, the same shape: notches, less than ``2**(bits - 1)`` in size.
    bits
        2, 4 or 8: how finely the residue is kept.

    Returns
    -------
    int8 levels of Z_n and int8 notches, new tensors.
    """
    dz, notches = grid.step(n), 1 << (bits - 1)
    weight = levels.to(step.dtype) * grid.unit(n)
    rho = torch.minimum(torch.maximum(step + residue * (dz / notches), -1 - weight), 1 - weight)
    kappa = torch.trunc(rho / dz)
    kept = torch.round((rho / dz - kappa) * notches)
    whole = torch.trunc(kept / notches)
    moved = ((kappa + whole) * (dz / grid.unit(n))).to(torch.int8)
    return levels + moved, (kept - whole * notches).to(torch.int8)


def fits(n: int, bits: int) -> bool:
    """Whether a level of Z_n and a residue of so many bits fit one byte: see :func:`join`."""
    return (grid.max_level(n) + 1) << bits <= 128


def join(levels: torch.Tensor, residue: torch.Tensor, bits: int) -> torch.Tensor:
    """int8 cells: the level above, the residue (less than ``2**(bits - 1)`` in size) added in the low ``bits``."""
    return (levels << bits) + residue


def level_of(cells: torch.Tensor, bits: int) -> torch.Tensor:
    """int8 levels of cells that :func:`join` made; what is left of ``cells - (level << bits)`` is the residue."""
    return (cells + (1 << (bits - 1))).bitwise_right_shift_(bits)


def pack(residue: torch.Tensor, bits: int) -> torch.Tensor:
    """int8 notches, rows first -> uint8 (rows, bytes), ``8 / bits`` of them a byte; a row's last byte is filled up."""
    flat = residue.flatten(1)
    if bits == 8:
        return flat.view(torch.uint8)
    fields = F.pad(flat, (0, -flat.shape[1] % (8 // bits))) & ((1 << bits) - 1)
    packed = fields[:, :: 8 // bits].clone()
    for i in range(1, 8 // bits):
        packed |= fields[:, i :: 8 // bits] << (i * bits)
    return packed.view(torch.uint8)


def unpack(packed: torch.Tensor, bits: int, like: torch.Tensor) -> torch.Tensor:
    """Inverse of :func:`pack`; the shape of ``like``."""
    if bits == 8:
        return packed.view(torch.int8).view(like.shape)
    signed = packed.view(torch.int8)
    # Moved up to the sign bit and back down, a field of two's complement becomes a number.
    fields = [(signed << (8 - (i + 1) * bits)) >> (8 - bits) for i in range(8 // bits)]
    return torch.stack(fields, 2).flatten(1)[:, : like[0].numel()].reshape(like.shape)


def place(layer: DiscreteLayer, state: dict[str, Any], bits: int) -> None:
    """Before a move: room for a residue of so many bits (0: none) in the layer's cells or, packed, in ``state``.

    A residue that lies in ``state`` after loading moves to the cells where it fits.
    """
    spare = bits if bits and fits(layer.space, bits) else 0
    if spare != layer.spare or (spare and "residue" in state):
        kept = state.pop("residue", None) if spare else None
        layer.share(spare, None if kept is None else unpack(kept, bits, layer.cells))
    if bits and not spare and "residue" not in state:
        state["residue"] = pack(torch.zeros_like(layer.cells), bits)


def move(layer: DiscreteLayer, state: dict[str, Any], rows: slice, step: torch.Tensor, bits: int) -> None:
    """Spend ``step`` (float32, the proposed change of some rows' values) and keep the rest where :func:`place` said."""
    here = layer.cells[rows]
    if layer.spare:
        levels = level_of(here, bits)
        levels, kept = spend(levels, step, here - (levels << bits), layer.space, bits)
        layer.cells[rows] = join(levels, kept, bits)
    else:
        kept = unpack(state["residue"][rows], bits, here)
        layer.cells[rows], kept = spend(here, step, kept, layer.space, bits)
        state["residue"][rows] = pack(kept, bits)


def apart(layer: DiscreteLayer) -> torch.Tensor:
    """The residue in the layer's cells, packed as it would be in the optimizer's state."""
    return pack(layer.cells - (layer.levels << layer.spare), layer.spare)
