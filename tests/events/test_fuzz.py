"""A few hundred damaged files on every run; ``benchmarks/fuzz_decode.py`` tries ten thousand and more."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gxevent.core import _decode
from gxevent.events import EVENT_DTYPE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="memory is measured through getrusage")
fuzzing = pytest.importorskip("tests.events.fuzzing") if sys.platform != "win32" else None

NEEDS = {"aedat4": ("lz4", "zstandard"), "hdf5": ("h5py",), "rosbag": ("rosbags",)}
FORMATS = ("dat", "evt2", "evt3", "aedat2-dvs", "aedat2-davis", "aedat31", "aedat4", "es-dvs", "es-atis", "nmnist")


@pytest.mark.parametrize("name", fuzzing.FILES if fuzzing else ())
def test_damaged_files_end_in_an_error_or_a_count(data, name):
    for package in NEEDS.get(name.partition("/")[0], ()):
        pytest.importorskip(package, reason=f"reads {name}")
    content = (data / "formats" / name).read_bytes()
    if name not in fuzzing.WHOLE:
        content = content[: fuzzing.KEEP]
    before = fuzzing.peak_bytes()
    rng = np.random.default_rng(len(name))
    for i in range(20):
        damaged = fuzzing.mutate(rng, content)
        _, seconds = fuzzing.read(damaged, name, fuzzing.POLICIES[i % 3])
        assert seconds < 5
    assert fuzzing.peak_bytes() - before < 600 << 20


@settings(max_examples=300)
@given(st.sampled_from(FORMATS), st.binary(max_size=300), st.lists(st.integers(0, 40), max_size=8), st.integers(0, 30))
def test_decoders_take_any_bytes_in_any_pieces(format, data, cuts, room):
    """The same events whatever the pieces, nothing written beyond the room, all bytes accounted for."""
    whole = _decode.Decoder(format, 240, 180)
    events = np.zeros(12 * len(data) + 16, EVENT_DTYPE)
    taken, made = whole.decode(data, events.view(np.uint8))
    assert 0 <= taken <= len(data)
    pieces = _decode.Decoder(format, 240, 180)
    out = np.zeros(room + 13, EVENT_DTYPE)
    got, at, end = [], 0, 0
    for size in [*cuts, len(data)]:
        end = min(len(data), end + size)
        while True:
            out[:] = (-1, 0xFFFF, 0xFFFF, True)
            step, n = pieces.decode(data[at:end], out.view(np.uint8)[: 13 * (room + 12)])
            assert n <= room + 12
            assert out["t"][-1] == -1
            got.append(out[:n].copy())
            at += step
            if not step or n == 0:
                break
    assert at == taken
    np.testing.assert_array_equal(np.concatenate(got), events[:made])
    assert pieces.passed == whole.passed
    assert pieces.failed == whole.failed


@settings(max_examples=100)
@given(st.lists(st.tuples(*[st.integers(-5, 9)] * 3), max_size=40), st.integers(1, 8), st.integers(1, 8))
def test_first_bad_equals_the_obvious_one(rows, width, height):
    events = np.array([(t, x % 10, y % 10, True) for t, x, y in rows], EVENT_DTYPE)
    previous, want = -3, -1
    for i, (t, x, y, _) in enumerate(events.tolist()):
        if x >= width or y >= height or t < previous or t > 7:
            want = i
            break
        previous = t
    assert _decode.first_bad(events.view(np.uint8), width, height, -3, 7) == want
