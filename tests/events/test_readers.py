import io
import zipfile
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gxevent.errors import FormatError, GxError, OptionError, UnsupportedError
from gxevent.events import decode_events, dump_events, from_arrays, open_events, readers, write_events
from gxevent.events.readers import registry

BIN = bytes([7, 15, 0x80, 2, 142, 19, 18, 0, 11, 183])  # (654, 7, 15, ON), (2999, 19, 18, OFF)


def bytes_of(save, *args, **kwargs):
    out = io.BytesIO()
    save(out, *args, **kwargs)
    return out.getvalue()


def rows(stream):
    return [tuple(int(v) for v in event) for event in stream.events.tolist()]


FOREIGN = [
    ("aedat2", b"#!AER-DAT2.0\r\n"),
    ("aedat31", b"#!AER-DAT3.1\r\n"),
    ("aedat4", b"#!AER-DAT4.0\r\n"),
    ("dat", b"% Data file containing CD events\n% Version 2\n\x0c\x08"),
    ("evt2", b"% Date 2020-09-25 07:48:31\n% evt 2.0\n\x01\x80"),
    ("evt3", b"% Date 2020\n% format EVT3;height=480;width=640\n\x01\x80"),
    ("event-stream", b"Event Stream\x02\0\0\x01"),
    ("hdf5", b"\x89HDF\r\n\x1a\n"),
    ("rosbag", b"#ROSBAG V2.0\n"),
    ("mat", b"MATLAB 5.0 MAT-file"),
]


@pytest.mark.parametrize(("format", "head"), FOREIGN, ids=[row[0] for row in FOREIGN])
def test_magic_bytes_go_before_names(format, head):
    for name in ("a.bin", "a.csv", "a"):
        assert readers.recognise(head, name) == format


def test_formats_of_other_programs_are_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"a: looks like AEDAT 1.*; gxevent does not read it yet, convert it to"):
        decode_events(b"#!AER-DAT1.0\r\n", "a")
    with pytest.raises(UnsupportedError, match=r"a: looks like a gzip-compressed file.*, unpack it first"):
        decode_events(b"\x1f\x8b\x08" + bytes(20), "a")


def test_content_goes_before_the_name():
    text = b"0.001 3 4 1\n0.002 5 6 0\n"
    assert rows(decode_events(text, "recording.bin")) == [(1000, 3, 4, 1), (2000, 5, 6, 0)]
    assert readers.recognise(b"#!AER-DAT4.0\r\n", "recording.csv") == "aedat4"
    assert readers.recognise(BIN * 1, "a.bin") == "nmnist"
    rising = dump_events(from_arrays(np.arange(20), [1] * 20, [2] * 20, [1] * 20, 34, 34), "nmnist")
    assert readers.recognise(rising, "no-suffix") == "nmnist"


def test_an_entry_of_row_240_moves_time_on():
    overflow = bytes([0, 240, 0, 0, 0])
    assert rows(decode_events(BIN[:5] + overflow + BIN[5:], "a.bin")) == [(654, 7, 15, 1), (2999 + 8192, 19, 18, 0)]


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "a.bin", r"a.bin: is empty \(0 bytes\)"),
        (BIN[:-2], "a.bin", r"a.bin: cut short at byte 8: event 1 \(5 bytes from byte 5\) has only 3"),
        (BIN[5:] + BIN[:5], "a.bin", "a.bin: event 1: time falls from 2999 to 654 us"),
        (b"\x01\x02\x03\xff" * 7, "a.xyz", r"a.xyz: not a known event format \(begins with bytes 01 02 03 ff"),
        (b"hello world\n", "a.txt", "line 'hello world' is neither an event"),
        (b"hello world\n", "a", "a: not a known event format"),
        (b"# nothing\n\n", "a.txt", "holds no events"),
        (b"t,x,y\n1,2,3\n", "a.csv", r"has no column for p"),
        (b"1 2 3 1\n2 3 4\n", "a.txt", r"line 2 has 3 of 4 columns"),
        (b"# c\n1 2 3 1\n\n2 3 four 1\n", "a.txt", r"line 4: 'four' is not a number"),
        (b"1 2 3 1\n2 3 4 5\n", "a.txt", r"event 1: polarity 5.0, expected 0 and 1"),
        (b"1 2 3.5 1\n", "a.txt", r"event 0: y=3.5 is not a whole number"),
        (b"1 -2 3 1\n", "a.txt", r"event 0: pixel x=-2, y=3 is outside"),
        (b"1 70000 3 1\n", "a.txt", r"event 0: pixel x=70000, y=3 is outside the 65536x4 sensor"),
        (b"1e300 2 3 1\n", "a.txt", r"event 0: t=1e\+300 us is beyond 285 years"),
        (b"# width=0 height=9\n1 2 3 1\n", "a.txt", "states a sensor of 0x9"),
        (b"nan 2 3 1\n", "a.txt", r"event 0: t=nan is not a time"),
        (b"1 2 3 1\n\xff\n", "a.txt", r"byte 8 is not text"),
        (b"PK\x03\x04 and no more", "a.npz", "a.npz: damaged or cut short"),
        (bytes_of(np.save, np.zeros(3)), "a.npy", r"holds array float64 \(3,\); expected arrays t, x, y, p"),
        (bytes_of(np.save, np.array([{}])), "a.npy", "holds pickled objects, which gxevent does not load"),
        (bytes_of(np.savez, a=np.array([{}])), "a.npz", "holds pickled objects"),
        (bytes_of(np.savez, t=[1], x=[1, 2], y=[1], p=[1]), "a.npz", "arrays of shapes"),
        (b"\x89PNG\r\n", "a.bin", "looks like a PNG image, not a recording"),
    ],
)
def test_errors_name_file_place_and_remedy(data, name, message):
    with pytest.raises(FormatError, match=message) as error:
        decode_events(data, name)
    assert "\n" not in str(error.value)


def test_a_zip_of_other_files_is_sent_to_the_data_sets():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("train/5/1.bin", BIN)
    with pytest.raises(FormatError, match="open_dataset"):
        decode_events(out.getvalue(), "a.zip")


def test_events_outside_a_given_sensor():
    with pytest.raises(FormatError, match=r"a.bin: event 1: pixel x=19, y=18 is outside the 16x16 sensor"):
        decode_events(BIN, "a.bin", width=16, height=16)
    assert decode_events(BIN, "a.bin", width=20, height=20).width == 20


def test_sensor_is_stated_given_or_guessed():
    text = b"t,x,y,p\n1,130,3,1\n"
    assert [decode_events(text, "a.csv").width, decode_events(text, "a.csv").height] == [240, 180]
    stated = decode_events(b"# width=200, height=150\n" + text, "a.csv")
    assert [stated.width, stated.height] == [200, 150]
    assert decode_events(b"1 2000 3 1\n", "a.txt").width == 2001
    assert decode_events(BIN + bytes([35, 3, 0, 20, 0]), "a.bin").width == 240


@pytest.mark.parametrize(
    "text",
    [
        "1000 3 4 1\n2000 5 6 0\n",
        "0.001 3 4 1\n0.002 5 6 -1\n",
        "1000\t3\t4\t1\r\n2000\t5\t6\t-1\r\n",
        "\ufeff# from a camera\nx;y;p;t\n3;4;1;1000\n5;6;0;2000\n",
        "polarity, timestamp, col, row\n1, 1000, 3, 4\n0, 2000, 5, 6\n",
        "p,t_ns,x,y,extra\n1,1000000,3,4,word\n0,2000000,5,6,word\n",
        "# t [us] is first\n# x y t p\n3 4 1000 1\n5 6 2000 0\n",
        "time [s],x,y,p\n1e-3,3,4,1\n2e-3,5,6,0\n",
        '"t","x","y","p"\n1000.0,3,4,1\n2000.0,5,6,0\n',
    ],
)
def test_dialects_of_text(text):
    assert rows(decode_events(text.encode(), "a.csv")) == [(1000, 3, 4, 1), (2000, 5, 6, 0)]


@pytest.mark.parametrize("order", ["txyp", "xytp", "xypt", "tpxy", "ptxy", "pxyt"])
def test_order_of_columns_without_names(stream, order):
    table = np.stack([stream.events[letter].astype(np.int64) for letter in order], axis=1)
    text = "\n".join(" ".join(map(str, row)) for row in table.tolist()).encode()
    for data in (text, bytes_of(np.save, table)):
        np.testing.assert_array_equal(decode_events(data, "a.txt").events, stream.events)


def test_unit_of_time_can_be_given():
    assert decode_events(b"1 3 4 1\n", "a.txt", time_unit="ms").events["t"][0] == 1000
    assert decode_events(bytes_of(np.savez, t=[3000], x=[1], y=[1], p=[1]), "a", time_unit="ns").events["t"][0] == 3
    with pytest.raises(OptionError, match="time_unit"):
        decode_events(b"1 3 4 1\n", "a.txt", time_unit="h")


def test_dialects_of_numpy():
    want = [(1000, 3, 4, 1), (2000, 5, 6, 0)]
    plain = np.array(want)
    named = np.array(want, dtype=[("ts", "u8"), ("x", "i2"), ("y", "i2"), ("pol", "i1")])
    for data in (
        bytes_of(np.save, plain),
        bytes_of(np.save, named),
        bytes_of(np.savez, events=named, notes=np.zeros(2)),
        bytes_of(np.savez, t=plain[:, 0] / 1e6 + [0, 0], x=plain[:, 1], y=plain[:, 2], p=plain[:, 3] == 1),
        bytes_of(np.savez, timestamps=plain[:, 0], x=plain[:, 1], y=plain[:, 2], polarity=plain[:, 3] * 2 - 1),
    ):
        assert rows(decode_events(data, "a")) == want


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2**23 - 1), *[st.integers(0, 33)] * 2, st.booleans()), max_size=20))
def test_round_trips_are_exact(events):
    table = np.array(sorted(events), np.int64).reshape(-1, 4)
    stream = from_arrays(*table.T, 34, 34)
    for format in ("npz", "nmnist", "text"):
        data = dump_events(stream, format)
        assert data == dump_events(stream, format)
        if data:
            back = decode_events(data, "back", format=format)
            assert (back.width, back.height) == (34, 34)
            np.testing.assert_array_equal(back.events, stream.events)


def test_writing_files(tmp_path, stream):
    for name in ("a.npz", "a.bin", "a.csv"):
        write_events(tmp_path / name, stream)
        np.testing.assert_array_equal(open_events(tmp_path / name).events, stream.events)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "a.csv", "a.npz"]
    with pytest.raises(OptionError, match=r"no format for '.xyz'; name it .npz, .bin, .csv"):
        write_events(tmp_path / "a.xyz", stream)
    with pytest.raises(FormatError, match=r"event 0: t=8388608, the N-MNIST format holds 0 to 8388607; write npz"):
        dump_events(from_arrays([1 << 23], [0], [0], [1], 34, 34), "nmnist")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        open_events(tmp_path / "a.bin")
    with pytest.raises(FormatError, match="is a folder"):
        open_events(tmp_path)
    with pytest.raises(OptionError, match="format 'evtx' is not one of"):
        decode_events(BIN, "a.bin", format="evtx")


def test_a_reader_can_be_added(stream):
    with mock.patch.dict(registry._readers):
        readers.register("mine", lambda data, name: data == b"mine", lambda data, name, options: stream)
        assert decode_events(b"mine", "a") is stream
    assert "mine" not in readers.formats()


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["a.bin", "a.csv", "a.npz", "a"]))
def test_no_bytes_bring_a_reader_down(data, name):
    error = None
    try:
        decode_events(data, name)
    except GxError as caught:  # any other exception fails the test
        error = caught
    assert error is None or str(error).startswith(f"{name}: ")


@settings(max_examples=300)
@given(st.data(), st.sampled_from(["npz", "nmnist", "text", "npy"]))
def test_damaged_files_never_bring_a_reader_down(data, format):
    table = np.stack([np.arange(20) * 7, np.arange(20), np.arange(20)[::-1], np.arange(20) % 2], axis=1)
    stream = from_arrays(*table.T, 34, 34)
    whole = bytearray(bytes_of(np.save, table) if format == "npy" else dump_events(stream, format))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    error = None
    try:
        decode_events(bytes(whole[:cut]), "a")
    except GxError as caught:
        error = caught
    assert error is None or str(error).startswith("a: ")
