"""Small streams for the tests."""

from __future__ import annotations

import numpy as np
import pytest

from gxevent.events import EventStream, from_arrays


@pytest.fixture
def stream() -> EventStream:
    """300 events of a 34x34 sensor within 50 ms, pixel and time unordered among each other."""
    rng = np.random.default_rng(7)
    t = np.sort(rng.integers(1000, 51_000, 300))
    x, y = rng.integers(0, 34, (2, 300))
    return from_arrays(t, x, y, rng.random(300) < 0.5, 34, 34, source="drawn")
