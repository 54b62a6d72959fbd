"""Events that do not belong: refused with place and values, dropped and counted, or sorted; whole files and chunks."""

from __future__ import annotations

import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gxevent.errors import FormatError, OptionError
from gxevent.events import decode_events, dump_events, from_arrays, iter_events, open_events
from gxevent.events.readers import source

DAT = b"% Data file containing CD events.\n% Version 2\n% Height 20\n% Width 10\n\x0c\x08"


def dat(*events):
    words = [(t, x | y << 14 | p << 28) for t, x, y, p in events]
    return DAT + np.array(words, "<u4").tobytes()


def times(stream):
    return stream.events["t"].tolist()


def both(tmp_path, data, **options):
    """The stream read as a whole, and joined from chunks of two events."""
    path = tmp_path / "a.dat"
    path.write_bytes(data)
    whole = open_events(path, **options)
    parts = list(iter_events(path, 2, **options))
    np.testing.assert_array_equal(np.concatenate([part.events for part in parts]), whole.events)
    dropped = {}
    for part in parts:
        for reason, count in part.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    assert dropped == whole.dropped
    return whole


BACK = dat((5, 1, 1, 1), (9, 2, 2, 0), (7, 3, 3, 1), (8, 4, 4, 1), (9, 5, 5, 1))
OUT = dat((5, 1, 1, 1), (6, 10, 2, 0), (7, 3, 20, 1), (8, 4, 4, 1))


def test_falling_time(tmp_path):
    at = len(DAT) + 16
    message = rf"event 2: time falls from 9 to 7 us \(byte {at}\); pass on_backward='sort'"
    with pytest.raises(FormatError, match=message):
        decode_events(BACK, "a.dat")
    (tmp_path / "a.dat").write_bytes(BACK)
    with pytest.raises(FormatError, match=message):
        list(iter_events(tmp_path / "a.dat", 2))
    stream = both(tmp_path, BACK, on_backward="drop")
    assert times(stream) == [5, 9, 9]
    assert stream.dropped == {"backward": 2}
    stream = both(tmp_path, BACK, on_backward="sort")
    assert times(stream) == [5, 7, 8, 9, 9]
    assert stream.events["x"].tolist() == [1, 3, 4, 2, 5]
    assert not stream.dropped


def test_pixels_outside_the_sensor(tmp_path):
    message = rf"event 1: pixel x=10, y=2 is outside the 10x20 sensor \(byte {len(DAT) + 8}\); pass width/height"
    with pytest.raises(FormatError, match=message):
        decode_events(OUT, "a.dat")
    stream = both(tmp_path, OUT, on_outside="drop")
    assert times(stream) == [5, 8]
    assert stream.dropped == {"outside": 2}
    with pytest.raises(FormatError, match=r"event 2: pixel x=3, y=20 is outside the 11x20 sensor"):
        decode_events(OUT, "a.dat", width=11)


def test_numbers_count_events_of_the_file_not_those_left():
    data = dat((5, 10, 1, 1), (6, 1, 1, 1), (3, 1, 1, 1))
    with pytest.raises(FormatError, match=rf"event 2: time falls from 6 to 3 us \(byte {len(DAT) + 16}\)"):
        decode_events(data, "a.dat", on_outside="drop")


def test_files_cut_short(tmp_path):
    data = dat((5, 1, 1, 1), (6, 2, 2, 1))[:-3]
    end = len(data)
    with pytest.raises(
        FormatError,
        match=rf"cut short at byte {end}: event 1 \(8 bytes from byte {end - 5}\) has only 5; fetch it again",
    ):
        decode_events(data, "a.dat")
    stream = both(tmp_path, data, on_truncated="drop")
    assert times(stream) == [5]
    assert stream.dropped == {"truncated_bytes": 5}


def test_places_in_formats_of_other_units():
    evt3 = b"% evt 3.0\n% geometry 64x64\n% end\n"
    words = np.array([0x8001, 0x6005, 0x0003, 0x2001, 0x3000, 0x4003, 0x6001, 0x2002], "<u2").tobytes()
    with pytest.raises(FormatError, match=rf"event 3: time falls from 4101 to 4097 us \(byte {len(evt3) + 14}\)"):
        decode_events(evt3 + words, "a.raw")
    es = b"Event Stream\x02\0\0\x01\x22\0\x22\0" + bytes([3, 1, 0, 1, 0, 255, 3, 99, 0, 1, 0])
    with pytest.raises(FormatError, match=r"event 1: pixel x=99, y=1 is outside the 34x34 sensor \(byte 26\)"):
        decode_events(es, "a.es")


def test_policies_hold_for_tables_too():
    text = b"# width=10 height=20\nt,x,y,p\n1,2,3,1\n2,-1,3,1\n3,70000,3,1\n2,2,2,0\n"
    with pytest.raises(FormatError, match="event 1: pixel x=-1, y=3 is outside the 10x20 sensor"):
        decode_events(text, "a.csv")
    stream = decode_events(text, "a.csv", on_outside="drop", on_backward="drop")
    assert times(stream) == [1, 2]
    assert stream.dropped == {"outside": 2}


def test_choices_are_named():
    for option in ("on_backward", "on_outside", "on_truncated"):
        with pytest.raises(OptionError, match=f"{option}: expected one of error, .*drop.*, got 'ignore'"):
            decode_events(BACK, "a.dat", **{option: "ignore"})
    for chunk in (0, True, 2.5):
        with pytest.raises(OptionError, match="chunk: expected a whole number"):
            next(iter_events("a.dat", chunk))


def test_the_sort_buffer_is_bounded(tmp_path):
    """Events later than the buffer are dropped and counted; all others are sorted."""
    t = np.arange(1000)
    t[500] = 3  # 497 events late
    t[700] = 690
    (tmp_path / "a.dat").write_bytes(dat(*((int(v), 1, 1, 1) for v in t)))
    with mock.patch.object(source, "SORT_BUFFER", 100):
        parts = list(iter_events(tmp_path / "a.dat", 64, on_backward="sort"))
    joined = np.concatenate([part.events["t"] for part in parts])
    assert joined.tolist() == sorted(np.delete(t, 500).tolist())
    assert sum(part.dropped.get("backward", 0) for part in parts) == 1


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 11), st.integers(0, 21), st.integers(0, 1)), max_size=40),
    st.sampled_from(["drop", "sort"]),
    st.integers(1, 9),
)
def test_policies_equal_the_obvious_ones(tmp_path_factory, events, on_backward, chunk):
    kept = [e for e in events if e[1] < 10 and e[2] < 20]
    if on_backward == "sort":
        want = sorted(kept, key=lambda e: e[0])
    else:
        want, latest = [], -1
        for e in kept:
            if e[0] >= latest:
                want.append(e)
                latest = e[0]
    path = tmp_path_factory.mktemp("policies") / "a.dat"
    path.write_bytes(dat(*events))
    options = {"on_backward": on_backward, "on_outside": "drop"}
    whole = open_events(path, **options)
    assert [tuple(map(int, e)) for e in whole.events.tolist()] == want
    parts = list(iter_events(path, chunk, **options))
    np.testing.assert_array_equal(np.concatenate([part.events for part in parts]), whole.events)
    for counts in (whole.dropped, {k: sum(p.dropped.get(k, 0) for p in parts) for k in ("outside", "backward")}):
        assert counts.get("outside", 0) == len(events) - len(kept)
        assert counts.get("backward", 0) == len(kept) - len(want)


def test_an_empty_recording_is_one_empty_chunk(tmp_path):
    (tmp_path / "a.dat").write_bytes(DAT)
    (part,) = iter_events(tmp_path / "a.dat")
    assert (len(part), part.width, part.height) == (0, 10, 20)
    assert len(open_events(tmp_path / "a.dat")) == 0


def test_formats_that_are_no_streams_come_in_chunks_too(tmp_path, stream):
    for name, format in (("a.npz", "npz"), ("a.csv", "text")):
        (tmp_path / name).write_bytes(dump_events(stream, format))
        parts = list(iter_events(tmp_path / name, 70))
        assert [len(part) for part in parts][:2] == [70, 70] or format == "text"
        np.testing.assert_array_equal(np.concatenate([part.events for part in parts]), stream.events)


def test_text_in_pieces_keeps_its_layout(tmp_path):
    lines = [b"# a comment\n" * 20_000, b"x,y,p,t\n"]
    lines += [b"%d,%d,%d,%d\n" % (i % 30, i % 20, i % 2, i) for i in range(50_000)]
    (tmp_path / "a.csv").write_bytes(b"".join(lines[1:]))
    parts = list(iter_events(tmp_path / "a.csv", 1000))
    assert len(parts) > 5
    assert np.concatenate([part.events["t"] for part in parts]).tolist() == list(range(50_000))
    (tmp_path / "a.csv").write_bytes(b"".join(b"%d 1 2 1\n" % i for i in range(30_000)) + b"40000.5 1 2 1\n")
    with pytest.raises(FormatError, match=r"event 30000: t=40000.5 has a fraction, those before have none"):
        list(iter_events(tmp_path / "a.csv", 1000))


MEASURE = """
import resource, sys
import numpy as np
from gxevent.events import iter_events
base = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (base + int(sys.argv[2]),) * 2)
n = t = 0
for part in iter_events(sys.argv[1], 1 << 16):
    n += len(part)
    t += int(part.events["t"].sum())
print(n, t)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the cap is set through Linux' address space limit")
def test_a_file_ten_times_the_memory_cap_is_read(tmp_path):
    """24 million events of EVT2, 97 MB (312 MB decoded), under 9 MiB of memory beyond the interpreter's own."""
    cap = 9 << 20
    block = from_arrays(
        np.arange(1 << 20) // 4, np.arange(1 << 20) % 640, np.arange(1 << 20) % 480, [1] * (1 << 20), 640, 480
    )
    body = np.frombuffer(dump_events(block, "evt2").partition(b"% end\n")[2], "<u4")
    stamps = body >> 28 == 8
    path, times = tmp_path / "long.raw", 23
    with open(path, "wb") as file:
        file.write(b"% evt 2.0\n% geometry 640x480\n% end\n")
        for i in range(times):
            moved = body.copy()
            moved[stamps] += i << 12
            file.write(moved.tobytes())
    assert path.stat().st_size >= 10 * cap
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(cap)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    n, t = map(int, done.stdout.split())
    assert n == times * len(block)
    assert t == times * int(block.events["t"].sum()) + sum(range(times)) * (1 << 18) * len(block)
