"""The discrete state transition: one move of weights on a grid Z_N towards a proposed real step.

Deng et al., Neural Networks 100 (2018), arXiv 1705.09283, section 2.3; m is called ``th`` in the released code.
For a weight w on the grid, a proposed step d and the grid's step dz:

    rho   = clip(d, -1 - w, 1 - w)          boundary: the move stays inside [-1, 1]
    kappa = trunc(rho / dz)                 whole grid steps, towards zero
    nu    = rho - kappa * dz                the remainder, of rho's sign
    tau   = tanh(m * |nu| / dz)             probability of one step more
    w    <- w + dz * (kappa + sign(rho) * Bernoulli(tau))

That forgets what a step could not spend; :mod:`gxevent.train.residue` keeps it instead.
"""

from __future__ import annotations

from gxevent import grid
from gxevent.train.backend import torch


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
