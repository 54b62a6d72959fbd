import numpy as np
import pytest

from gxevent.errors import FormatError, OptionError
from gxevent.events import EVENT_DTYPE, EventStream, from_arrays


def test_a_stream_knows_its_size_and_duration(stream):
    assert len(stream) == 300
    assert (stream.width, stream.height) == (34, 34)
    assert stream.duration_us == stream.events["t"][-1] - stream.events["t"][0]
    assert stream.events.dtype == EVENT_DTYPE


def test_cut_by_time_and_by_number(stream):
    part = stream.between(10_000, 20_000)
    t = stream.events["t"]
    assert (part.events == stream.events[(t >= 10_000) & (t < 20_000)]).all()
    assert len(stream.between(20_000, 10_000)) == 0
    assert (stream[5:9].events == stream.events[5:9]).all()
    assert stream[5:9].source == "drawn"
    with pytest.raises(OptionError, match="slices"):
        stream[3]


def test_an_empty_stream_is_a_stream():
    empty = EventStream(np.zeros(0, EVENT_DTYPE), 4, 4)
    assert len(empty) == 0
    assert empty.duration_us == 0


def test_minus_one_is_off():
    assert from_arrays([1, 2, 3], [0, 0, 0], [0, 0, 0], [-1, 0, 1], 1, 1).events["p"].tolist() == [False, False, True]


def test_a_pixel_outside_the_sensor_is_named():
    with pytest.raises(FormatError, match=r"cam: event 1: pixel x=9, y=2 is outside the 8x8 sensor; pass width/height"):
        from_arrays([0, 1], [3, 9], [2, 2], [1, 1], 8, 8, source="cam")
    with pytest.raises(FormatError, match=r"event 0: pixel x=-1"):
        from_arrays([0], [-1], [2], [1], 8, 8)
    with pytest.raises(FormatError, match=r"x=65540"):  # must not wrap to 4 on the way to uint16
        from_arrays([0], [65540], [2], [1], 8, 8)


def test_falling_time_is_refused_sorted_or_dropped():
    arrays = ([5, 3, 4, 6], [0, 1, 2, 3], [0] * 4, [1] * 4, 4, 1)
    with pytest.raises(FormatError, match=r"event 1: time falls from 5 to 3 us; pass on_backward='sort'"):
        from_arrays(*arrays)
    assert from_arrays(*arrays, on_backward="sort").events["x"].tolist() == [1, 2, 0, 3]
    assert from_arrays(*arrays, on_backward="drop").events["t"].tolist() == [5, 6]
    with pytest.raises(OptionError, match="on_backward"):
        from_arrays(*arrays, on_backward="ignore")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([0, 1], [0], [0, 0], [1, 1]), r"column x: expected \(2,\)"),
        (([0.5, 1.5], [0, 0], [0, 0], [1, 1]), "column t: expected integers"),
        (([0, 1], [0, 0], [0, 0], ["a", "b"]), "column p: expected booleans"),
    ],
)
def test_arrays_of_the_wrong_kind(arrays, message):
    with pytest.raises(FormatError, match=message):
        from_arrays(*arrays, 4, 4)


def test_a_stream_checks_its_own_fields():
    with pytest.raises(FormatError, match="EVENT_DTYPE"):
        EventStream(np.zeros(3), 4, 4)
    with pytest.raises(OptionError, match="width"):
        EventStream(np.zeros(0, EVENT_DTYPE), 0, 4)


def test_times_beyond_reason_are_named():
    with pytest.raises(FormatError, match="event 1: t=9223372036854775807 us is beyond 285 years"):
        from_arrays([0, 2**63 - 1], [0, 0], [0, 0], [1, 1], 1, 1)
