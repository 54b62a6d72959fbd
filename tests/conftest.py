"""Shared fixtures: where the development data lies, and how hard Hypothesis tries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "gxevent", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("thorough", parent=settings.get_profile("gxevent"), max_examples=3000)
settings.load_profile(os.environ.get("GXEVENT_HYPOTHESIS", "gxevent"))


def data_root() -> Path:
    """Folder of the development data: ``GXEVENT_DATA``, or ``shared/data`` beside the project."""
    return Path(os.environ.get("GXEVENT_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture
def data() -> Path:
    """The development data; the test is skipped where it is absent."""
    if not data_root().is_dir():
        pytest.skip(f"no development data at {data_root()} (set GXEVENT_DATA)")
    return data_root()
