"""What is written is read back exactly, by gxevent and by other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gxevent.errors import CapacityError, FormatError, OptionError
from gxevent.events import decode_events, dump_events, from_arrays, iter_events, open_events, write_chunks, write_events
from gxevent.events.readers.writers import BY_SUFFIX, WRITERS

BINARY = ("event-stream", "dat", "evt2", "evt3")


@pytest.mark.parametrize("format", WRITERS)
def test_real_recordings_survive(data, tmp_path, format):
    if format == "hdf5":
        pytest.importorskip("h5py", reason="writes HDF5")
    name = "bin/nmnist_sample.bin" if format == "nmnist" else "aedat2/dvs128_walking.aedat"
    stream = open_events(data / "formats" / name)
    if format == "evt3":  # begins before the counter comes round
        e = stream.events.copy()
        e["t"] -= e["t"][0]
        stream = from_arrays(e["t"], e["x"], e["y"], e["p"], stream.width, stream.height)
    written = dump_events(stream, format)
    assert written == dump_events(stream, format)
    back = decode_events(written, "back")  # recognised by content
    assert (back.width, back.height) == (stream.width, stream.height)
    assert back.y_up == (format == "event-stream")
    np.testing.assert_array_equal(back.oriented().events, stream.events)
    suffix = next(s for s, f in BY_SUFFIX.items() if f == format)
    parts = [stream[a : a + 999] for a in range(0, len(stream), 999)]
    write_chunks(tmp_path / f"a{suffix}", parts)
    np.testing.assert_array_equal(open_events(tmp_path / f"a{suffix}").oriented().events, stream.events)
    if format in (*BINARY, "nmnist", "text"):
        assert (tmp_path / f"a{suffix}").read_bytes() == written  # pieces make no difference


@st.composite
def streams(draw, pause):
    steps = draw(st.lists(st.integers(0, 200) | st.integers(0, pause), min_size=1, max_size=20))
    n = len(steps)
    pixels = st.lists(st.integers(0, 127), min_size=n, max_size=n)
    polarity = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return from_arrays(np.cumsum(steps), draw(pixels), draw(pixels), polarity, 128, 128)


@settings(max_examples=60)
@given(st.data(), st.sampled_from([("evt2", 1 << 33), ("evt3", 1 << 26), ("dat", 1 << 24), ("event-stream", 1 << 20)]))
def test_any_events_survive(drawn, case):
    """Pauses longer than a turn of the counters included."""
    format, pause = case
    stream = drawn.draw(streams(pause))
    if format == "evt3" and stream.events["t"][0] >= 1 << 24:
        with pytest.raises(FormatError, match="event 0"):
            dump_events(stream, format)
        return
    back = decode_events(dump_events(stream, format), "back", width=128, height=128)
    np.testing.assert_array_equal(back.oriented().events, stream.events)


def test_other_libraries_read_what_is_written(data, tmp_path):
    faery = pytest.importorskip("faery", reason="reads the written files")
    stream = open_events(data / "formats/evt3/gen41_hd.raw")
    for name in ("a.raw", "a.evt2.raw", "a.dat", "a.es"):
        format = "evt2" if "evt2" in name else None
        write_events(tmp_path / name, stream, format)
        other = faery.events_stream_from_file(tmp_path / name).to_array()
        assert len(other) == len(stream)
        assert (other["x"] == stream.events["x"]).all()
        assert (other["y"] == stream.events["y"]).all()  # upright in Event Stream too, whose rows count upwards
        assert (other["t"] == stream.events["t"]).all()
        assert (other[other.dtype.names[3]] == stream.events["p"]).all()


@pytest.mark.parametrize(
    ("format", "event", "message"),
    [
        ("dat", (1 << 32, 0, 0), "event 0: t=4294967296, Prophesee DAT holds 0 to 4294967295; write npz or begin at 0"),
        ("evt2", (0, 2048, 0), "event 0: x=2048, EVT 2.0 holds 0 to 2047; write npz"),
        ("evt2", (1 << 34, 0, 0), "event 0: t=17179869184, EVT 2.0 holds"),
        ("evt3", (1 << 24, 0, 0), "event 0: t=16777216, EVT 3.0 holds"),
        ("evt3", (-1, 0, 0), "event 0: t=-1, EVT 3.0 holds"),
        ("event-stream", (-1, 0, 0), "event 0: t=-1, Event Stream holds"),
        ("nmnist", (0, 256, 0), "event 0: x=256, the N-MNIST format holds 0 to 255; write npz"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(format, event, message):
    stream = from_arrays(*[[v] for v in event], [1], 4096, 4096)
    with pytest.raises(FormatError, match=message):
        dump_events(stream, format)


def test_event_stream_does_not_fill_the_disk_with_pauses():
    stream = from_arrays([0, 1_600_000_000_000_000], [1, 1], [1, 1], [1, 1], 34, 34)
    with pytest.raises(CapacityError, match=r"event 1: t=1600000000000000: Event Stream would need \d+ bytes"):
        dump_events(stream, "event-stream")


def test_a_failed_write_leaves_nothing(tmp_path, stream):
    falling = from_arrays([0], [1], [1], [1], 34, 34)
    with pytest.raises(FormatError, match="event 300: time falls"):
        write_chunks(tmp_path / "a.dat", [stream, falling])
    with pytest.raises(OptionError, match="gxevent writes npz, nmnist"):
        write_events(tmp_path / "a.dat", stream, "aedat4")
    assert not list(tmp_path.iterdir())


def test_empty_recordings_are_written(tmp_path):
    empty = from_arrays(*np.zeros((4, 0), int), 34, 34)
    for suffix, format in BY_SUFFIX.items():
        if format == "hdf5":
            pytest.importorskip("h5py", reason="writes HDF5")
        write_events(tmp_path / f"a{suffix}", empty)
        if format != "nmnist":
            (part,) = iter_events(tmp_path / f"a{suffix}")
            assert (len(part), part.width) == (0, 34)
