"""The discrete state transition: one move of weights on a grid Z_N towards a proposed real step.

Deng et al., Neural Networks 100 (2018), arXiv 1705.09283, section 2.3; m is called ``th`` in the released code.
For a weight w on the grid, a proposed step d and the grid's step dz:

    rho   = clip(d, -1 - w, 1 - w)          boundary: the move stays inside [-1, 1]
    kappa = trunc(rho / dz)                 whole grid steps, towards zero
    nu    = rho - kappa * dz                the remainder, of rho's sign
    tau   = tanh(m * |nu| / dz)             probability of one step more
    w    <- w + dz * (kappa + sign(rho) * Bernoulli(tau))

That forgets what a step could not spend. :func:`spend` keeps it instead, in a few bits a weight.
"""

from __future__ import annotations

from gxevent import grid
from gxevent.train.backend import F, torch


def transition(levels: torch.Tensor, step: torch.Tensor, n: int, m: float, uniform: torch.Tensor) -> torch.Tensor:
    """Levels after one discrete state transition.

    Parameters
    ----------
    levels
        int8, any shape: weights as levels of Z_n.
    step
        float32, the same shape: the proposed change d of the weights' *values*.
    n
        Space Z_n of the weights.
    m
        Slope of the transition probability, > 0.
    uniform
        float32, the same shape: draws from [0, 1); a weight makes the extra step where ``uniform < tau``.

    Returns
    -------
    int8 levels of Z_n, a new tensor. Every operation but tanh is exact: all grid values are multiples of a power of 2.
    """
    dz = grid.step(n)
    weight = levels.to(step.dtype).mul_(grid.unit(n))
    rho = step.clamp(-1 - weight, 1 - weight).div_(dz)  # in grid steps from here on, a power of 2: exact
    kappa = rho.trunc()
    tau = (rho - kappa).abs_().mul_(m).tanh_()
    extra = torch.copysign((uniform < tau).to(rho.dtype), rho)
    # One grid step is one level, but two in the binary space, whose levels are -1 and +1.
    return levels + kappa.add_(extra).mul_(dz / grid.unit(n)).to(torch.int8)


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
        As in :func:`transition`.
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
