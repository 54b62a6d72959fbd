"""The float32 expression that decides when a unit fires.

The trainer's evaluation forward, the NumPy reference and the threshold folder all evaluate exactly these
operations in exactly this order, each one rounded to float32. That is what makes a compiled network bit-exact with
the trainer: the folder never solves the batch norm by algebra, it asks this expression.

    v = float32(s) * unit + bias            s: integer accumulator, unit: dz_weights * dz_activations / pool area
    y = v * scale + offset                  the batch norm as one affine map
    q = fire(y)                             strict comparison with the step edges of Z_N
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gxevent import grid


def affine(
    gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike, var: ArrayLike, eps: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Batch norm in evaluation mode as ``y = v * scale + offset``.

    Parameters are float32 arrays of shape (channels,); so are the results ``scale`` and ``offset``.
    """
    gamma, beta, mean, var = (np.asarray(a, dtype=np.float32) for a in (gamma, beta, mean, var))
    with np.errstate(over="ignore", invalid="ignore"):  # the compiler refuses what is not finite, naming the layer
        scale = gamma / np.sqrt(var + np.float32(eps))
        return scale, beta - mean * scale


def preactivation(
    s: NDArray[np.integer],
    unit: float,
    bias: NDArray[np.float32] | None,
    scale: NDArray[np.float32] | None,
    offset: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Real value the activation sees for accumulators ``s`` (any shape; bias, scale, offset broadcast against it).

    The int32 accumulators convert to float32 exactly while ``|s| < 2**24``, which the compiler guarantees.
    """
    y = s.astype(np.float32) * np.float32(unit)
    if bias is not None:
        y = y + bias
    if scale is not None:
        y = y * scale + offset
    return y


def edges(n: int, r: float, h: float = 1.0) -> NDArray[np.float32]:
    """Step edges of the activation into Z_n: level k is reached where ``|y|`` exceeds ``edges[k - 1]``.

    ``edge_k = (k - 1) * dz * (h - r) + r`` for k = 1 .. 2**(n-1) (Deng et al. 2018, the multi-step quantization);
    n = 1 gives the ternary ``phi_r`` with the one edge r. Shape (2**(n-1),), float32. Not defined for n = 0.
    """
    k = np.arange(grid.max_level(n), dtype=np.float64)
    return (k * grid.unit(n) * (h - r) + r).astype(np.float32)


def fire(y: NDArray[np.float32], n: int, r: float = 0.5, h: float = 1.0) -> NDArray[np.int8]:
    """Levels (int8) of the activation into Z_n of float32 ``y``; the same shape.

    Strict: ``|y| == r`` stays 0. The binary space fires +1 where ``y >= 0`` and -1 elsewhere.
    """
    y = np.asarray(y, dtype=np.float32)
    if n == 0:
        return np.where(y >= 0, 1, -1).astype(np.int8)
    out = np.zeros(y.shape, dtype=np.int8)
    for edge in edges(n, r, h):
        out += (y > edge).view(np.int8)
        out -= (y < -edge).view(np.int8)
    return out
