"""Discrete spaces Z_N: the grids that weights and activations live on.

``Z_N`` holds ``2**N + 1`` values ``n / 2**(N-1) - 1`` in [-1, 1] with step ``1 / 2**(N-1)``; ``Z_0`` is the binary
space {-1, +1} with step 2 (Deng et al. 2018, arXiv 1705.09283, section 2). A value is stored as its *level* ``q``
(int8): ``value = q * step`` for N >= 1 and ``value = q`` for N = 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gxevent.errors import OptionError

MAX_N = 7
"""Largest N whose levels fit int8 with room for a sign change (2**6 = 64)."""


def check_space(n: int) -> int:
    """Return ``n`` as an int, or raise OptionError when Z_n is not a space gxevent stores (0 <= n <= 7)."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n <= MAX_N:
        raise OptionError(f"Z_N needs a whole number N from 0 (binary) to {MAX_N}, got {n!r}")
    return int(n)


def step(n: int) -> float:
    """Distance between neighbouring values of Z_n: 2 for n = 0, else ``1 / 2**(n-1)``."""
    return 2.0 if n == 0 else 0.5 ** (n - 1)


def unit(n: int) -> float:
    """Value of level 1 in Z_n: 1 for the binary and the ternary space, else ``1 / 2**(n-1)``."""
    return 1.0 if n == 0 else 0.5 ** (n - 1)


def max_level(n: int) -> int:
    """Largest level of Z_n: 1 for n = 0, else ``2**(n-1)``."""
    return 1 if n == 0 else 2 ** (n - 1)


def levels(n: int) -> NDArray[np.int8]:
    """All levels of Z_n in rising order, int8."""
    if n == 0:
        return np.array([-1, 1], dtype=np.int8)
    top = max_level(n)
    return np.arange(-top, top + 1, dtype=np.int8)


def contains(q: NDArray[Any], n: int) -> NDArray[np.bool_]:
    """Element-wise: is the integer level ``q`` in Z_n?"""
    q = np.asarray(q)
    inside = (q >= -max_level(n)) & (q <= max_level(n))
    return inside & (q != 0) if n == 0 else inside


def to_values(q: ArrayLike, n: int) -> NDArray[np.float32]:
    """Values (float32) of levels ``q`` of Z_n; exact, since the unit is a power of two."""
    return np.asarray(q, dtype=np.float32) * np.float32(unit(n))


def nearest_level(x: ArrayLike, n: int) -> NDArray[np.int8]:
    """Level of the value of Z_n nearest to ``x``, clipped to [-1, 1]; ties go to the even level, 0 to +1 in Z_0."""
    x = np.asarray(x, dtype=np.float64)
    if n == 0:
        return np.where(x >= 0, 1, -1).astype(np.int8)
    top = max_level(n)
    return np.clip(np.rint(x * top), -top, top).astype(np.int8)
