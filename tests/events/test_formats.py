"""Every real file decodes to exactly the values that independent readers found in it, whole and in chunks."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from gxevent.errors import FormatError, MissingExtraError, UnsupportedError
from gxevent.events import EVENT_DTYPE, decode_events, format_of, iter_events, open_events, readers
from gxevent.events.readers import prophesee
from tests.conftest import data_root

NEEDS = {"aedat4": "lz4", "hdf5": "h5py", "rosbag": "rosbags"}
FORMATS = {
    "aedat2-dvs128": "aedat2", "aedat2-davis240": "aedat2", "aedat3.1": "aedat31", "aedat4": "aedat4",
    "prophesee-dat": "dat", "evt2": "evt2", "evt3": "evt3", "es": "event-stream", "text-txyp-seconds": "text",
    "rosbag1/event_camera_msgs/evt3": "rosbag", "nmnist-bin": "nmnist", "hdf5 raw_events/{t,x,y,p}": "hdf5",
    "mat v5, variable spiketrain": "mat",
}  # fmt: skip
CHECKED = {
    "format", "sensor", "events", "on_events", "t_first", "t_last", "t_min", "t_max", "x_min", "x_max", "y_min",
    "y_max", "sum_t_rel", "sum_x", "sum_y", "backward_steps", "first", "last", "other_streams", "word_types",
    "skipped_words_bit31", "external_events", "other_packet_events", "invalid_polarity_events", "es_type",
    "es_header_size", "messages", "payload_bytes", "message_encoding", "topic",
}  # fmt: skip
ABOUT = {"label", "derived"}  # says where the file comes from


def expected():
    path = data_root() / "expected.json"
    return json.loads(path.read_text()) if path.is_file() else {}


RECORDINGS = [name for name, want in expected().items() if "t_first" in want]


def need(name):
    for part, package in NEEDS.items():
        if part in name or (part == "aedat4" and name.endswith(".aedat4")):
            pytest.importorskip(package, reason=f"{part} files are read through {package}")
    if "zstd" in name:
        pytest.importorskip("zstandard", reason="ZSTD-compressed AEDAT 4 is read through zstandard")


def values(stream):
    """What expected.json says about events, in its own words."""
    e = {letter: stream.events[letter].astype(np.int64) for letter in "txyp"}
    found = {"sensor": [stream.width, stream.height], "events": len(stream), "on_events": int(e["p"].sum())}
    found |= {f"{letter}_{end}": int(getattr(e[letter], end)()) for letter in "txy" for end in ("min", "max")}
    found |= {"t_first": int(e["t"][0]), "t_last": int(e["t"][-1])}
    found |= {"sum_t_rel": int((e["t"] - e["t"][0]).sum()), "sum_x": int(e["x"].sum()), "sum_y": int(e["y"].sum())}
    found |= {"backward_steps": int((np.diff(e["t"]) < 0).sum())}
    rows = [[int(v) for v in row] for row in stream.events[[0, 1, 2, -1]].tolist()]
    return found | {"first": rows[:3], "last": rows[3]}


def word_types(path, kind):
    """Histogram of the words behind the header, by their top four bits."""
    data = path.read_bytes()
    body = data[prophesee.header(data)[1] :]
    word = 4 if kind == "evt2" else 2
    words = np.frombuffer(body[: len(body) // word * word], f"<u{word}") >> (8 * word - 4)
    return {str(i): int(n) for i, n in enumerate(np.bincount(words)) if n}


@pytest.mark.parametrize("name", RECORDINGS)
def test_real_files_are_read_exactly(data, name):
    need(name)
    want, stream = expected()[name], open_events(data / name)
    assert set(want) <= CHECKED | ABOUT
    found = values(stream)
    assert {key: found[key] for key in found} == {key: want[key] for key in found}
    assert stream.events.dtype == EVENT_DTYPE
    assert not stream.dropped
    assert format_of(data / name) == FORMATS[want["format"]]
    passed = dict(stream.passed)
    assert passed.pop("aps_imu_words", 0) == want.get("skipped_words_bit31", 0)
    assert passed.pop("external_events", 0) == want.get("external_events", 0)
    assert passed.pop("invalid_events", 0) == want.get("invalid_polarity_events", 0)
    if "word_types" in want:
        types = want["word_types"]
        if want["format"] in ("evt2", "evt3"):
            assert word_types(data / name, want["format"]) == types
        kinds = {"triggers": ("10",), "others": ("14",), "continuation_words": ("7", "15")}
        counts = {kind: sum(types.get(key, 0) for key in keys) for kind, keys in kinds.items()}
        assert passed == {kind: n for kind, n in counts.items() if n}
    else:
        assert passed == (want.get("other_streams") or want.get("other_packet_events") or {})


@pytest.mark.parametrize(
    ("name", "chunk"),
    [(name, 10_007) for name in RECORDINGS] + [(name, 1) for name in RECORDINGS if expected()[name]["events"] < 5000],
)
def test_chunks_hold_the_same_events(data, name, chunk):
    need(name)
    whole = open_events(data / name)
    parts = list(iter_events(data / name, chunk))
    assert max(len(part) for part in parts) <= chunk
    assert {(part.width, part.height) for part in parts} == {(whole.width, whole.height)}
    np.testing.assert_array_equal(np.concatenate([part.events for part in parts]), whole.events)
    assert parts[-1].passed == whole.passed


def test_files_in_memory_are_read_as_those_on_disk(data):
    for name in RECORDINGS:
        if expected()[name]["events"] < 120_000:
            need(name)
            np.testing.assert_array_equal(
                decode_events((data / name).read_bytes(), name).events, open_events(data / name).events
            )


def test_hdf5(data):
    need("hdf5")
    name = "formats/hdf5/raw_events_toy.hdf5"
    want, e = expected()[name], open_events(data / name).events
    assert e["t"].tolist() == np.rint(np.array(want["t"]) * 1e6).astype(int).tolist()
    assert [e[letter].tolist() for letter in "xyp"] == [want["x"], want["y"], [bool(p) for p in want["p"]]]


def test_tactile_matlab_file(data):
    name = "formats/mat/stmnist_sample.mat"
    want, stream = expected()[name], open_events(data / name)
    assert len(stream) == want["shape"][1]  # one taxel speaks at a time in this file
    assert (stream.width, stream.height) == (10, 10)
    scipy = pytest.importorskip("scipy.io", reason="second opinion on MATLAB files")
    train = scipy.loadmat(data / name)["spiketrain"]
    assert list(train.shape) == want["shape"]
    assert sorted(set(train[:-1].ravel())) == want["values"]
    e = stream.events
    taxel = e["y"].astype(int) * 10 + e["x"]
    column = np.arange(len(e))
    assert (train[taxel, column] == np.where(e["p"], 1, -1)).all()
    assert (e["t"] == np.rint(train[-1] * 1e6)).all()


def test_generic_event_stream_is_refused_by_name(data):
    with pytest.raises(UnsupportedError, match=r"generic\.es: Event Stream of type generic"):
        open_events(data / "formats/event-stream/generic.es")


def test_event_stream_of_type_atis(tmp_path):
    event_stream = pytest.importorskip("event_stream", reason="writes the file")
    made = np.array(
        [(0, 1, 2, 0, 0), (5, 3, 4, 0, 1), (70, 5, 6, 1, 0), (300, 7, 8, 0, 1)], dtype=event_stream.atis_dtype
    )
    with event_stream.Encoder(tmp_path / "a.es", "atis", 304, 240) as encoder:
        encoder.write(made)
    stream = open_events(tmp_path / "a.es")
    assert stream.events.tolist() == [(0, 1, 2, False), (5, 3, 4, True), (300, 7, 8, True)]
    assert stream.passed == {"exposure_events": 1}


def test_second_opinions_agree(data):
    """Other libraries on the files that they read right."""
    own = {name: open_events(data / name).events for name in RECORDINGS if "dat/" in name or "evt2/" in name}
    expelliarmus = pytest.importorskip("expelliarmus", reason="second opinion on DAT and EVT2")
    for name, events in own.items():
        other = expelliarmus.Wizard(encoding="dat" if "dat/" in name else "evt2").read(data / name)
        assert all((events[letter] == other[letter]).all() for letter in "txyp")


def test_aedat4_second_opinion(data):
    need("aedat4")
    aedat = pytest.importorskip("aedat", reason="second opinion on AEDAT 4")
    path = data / "formats/aedat4/davis346.aedat4"
    other = np.concatenate([packet["events"] for packet in aedat.Decoder(path) if "events" in packet])
    own = open_events(path).events
    assert all((own[a] == other[b]).all() for a, b in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")))


def test_headerless_evt2_is_told_by_its_words(data):
    path = data / "formats/evt2/gen3_vga.raw"
    content = path.read_bytes()
    body = content[prophesee.header(content)[1] :]
    assert readers.recognise(body[:1000], "a.raw") == "evt2"
    assert readers.recognise(body[: len(body) // 20 * 20], "a") == "evt2"
    np.testing.assert_array_equal(decode_events(body, "a").events, open_events(path).events)
    content = (data / "formats/evt3/gen41_hd.raw").read_bytes()
    body = content[prophesee.header(content)[1] :]
    assert len(decode_events(body, "a", format="evt3")) == 219_596


def evt3(*words):
    return b"% evt 3.0\n% geometry 640x480\n% end\n" + np.array(words, "<u2").tobytes()


def test_evt3_words():
    low, high, y, single, base = 0x6000, 0x8000, 0x0000, 0x2000, 0x3000
    words = [y | 7, single | 5, high | 1, low | 9, single | 0x800 | 5]  # the first single event has no time yet
    words += [base | 0x800 | 20, 0x4000 | 0b100000000001, 0x5000 | 0b10, low | 8, low | 11, 0xA000, 0x7000, 0x1000]
    words += [high | 0xFFF, high | 2, low | 1, single | 6]  # time high came round
    stream = decode_events(evt3(*words), "a.raw")
    t = (1 << 12) + 9
    round_ = (1 << 24) + (2 << 12) + 1
    assert [tuple(map(int, e)) for e in stream.events.tolist()] == [
        (t, 5, 7, 1), (t, 20, 7, 1), (t, 31, 7, 1), (t, 33, 7, 1), (round_, 6, 7, 0)
    ]  # fmt: skip
    assert stream.dropped == {"untimed": 1}
    assert stream.passed == {"triggers": 1, "continuation_words": 1, "unknown_words": 1}


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("% plugin_name hal_plugin_gen3_fx3", (640, 480)),
        ("% plugin_name hal_plugin_imx636_evk4", (1280, 720)),
        ("% sensor_generation 4.2", (1280, 720)),
        ("% geometry 100x50", (100, 50)),
        ("% format EVT3;height=60;width=80", (80, 60)),
        ("% Width 33\n% Height 44", (33, 44)),
        ("% Date 2020", (304, 240)),
    ],
)
def test_sensor_of_prophesee_headers(line, size):
    data = f"% evt 3.0\n{line}\n".encode() + np.array([0x8001, 0x6001, 0x0001, 0x2001], "<u2").tobytes()
    stream = decode_events(data, "a.raw")
    assert (stream.width, stream.height) == size


def test_counters_come_round():
    dat = b"% Data file containing CD events.\n% Version 2\n\x0c\x08"
    pairs = np.array([[2**32 - 2, 1], [3, 1 << 28]], "<u4").tobytes()
    assert decode_events(dat + pairs, "a.dat").events["t"].tolist() == [2**32 - 2, 2**32 + 3]
    words = [8 << 28 | 0xFFFFFFF, 1 << 22, 8 << 28, 1 << 28 | 2 << 22]
    evt2 = b"% evt 2.0\n" + np.array(words, "<u4").tobytes()
    assert decode_events(evt2, "a.raw").events["t"].tolist() == [2**34 - 63, 2**34 + 2]


def test_aedat31_packets():
    def packet(kind, events, size=8, turns=0):
        return np.array([kind | 1 << 16, size, 4, turns, len(events), len(events), 0], "<i4").tobytes() + b"".join(
            events
        )

    def event(t, x, y, p, valid=1):
        return np.array([valid | p << 1 | y << 2 | x << 17, t], "<u4").tobytes()

    head = b"#!AER-DAT3.1\r\n#Source 1: DAVIS240C\r\n#!END-HEADER\r\n"
    data = head + packet(1, [event(5, 1, 2, 1), event(6, 3, 4, 0, valid=0)])
    data += packet(2, [b"\0" * 50], size=50) + packet(1, [event(7, 239, 179, 0)], turns=2)
    stream = decode_events(data, "a.aedat")
    assert [tuple(map(int, e)) for e in stream.events.tolist()] == [(5, 1, 2, 1), (2 * 2**31 + 7, 239, 179, 0)]
    assert stream.passed == {"invalid_events": 1, "frames": 1}
    assert (stream.width, stream.height) == (240, 180)
    with pytest.raises(FormatError, match=r"cut short at byte \d+.*its last packet states 1 more"):
        decode_events(data[:-3], "a.aedat")
    cut = decode_events(data[:-3], "a.aedat", on_truncated="drop")
    assert cut.dropped == {"truncated_bytes": 5, "missing_events": 1}
    with pytest.raises(FormatError, match=rf"a: byte {len(head)} \(behind event 0\): no packet header has such values"):
        decode_events(head + packet(1, [], size=3) + b"\0" * 30, "a")


def test_aedat2_cameras():
    head = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.%s\r\n"
    words = np.array([3 << 22 | 5 << 12 | 1 << 11, 10, 1 << 31, 11, 1 << 10, 12], ">u4").tobytes()
    for chip, size in ((b"DAVIS240C", (240, 180)), (b"Davis346B", (346, 260))):
        stream = decode_events(head % chip + words, "a.aedat")
        assert (stream.width, stream.height) == size
        assert stream.events.tolist() == [(10, size[0] - 6, size[1] - 4, True)]
        assert stream.passed == {"external_events": 1, "aps_imu_words": 1}
    unnamed = b"#!AER-DAT2.0\r\n" + np.array([4 << 8 | 6 << 1 | 1, 10], ">u4").tobytes()
    assert decode_events(unnamed, "a").events.tolist() == [(10, 121, 123, False)]
    given = decode_events(b"#!AER-DAT2.0\r\n" + words, "a", width=346, height=260)
    assert given.events["x"].tolist() == [340]
    with pytest.raises(UnsupportedError, match="AEDAT 2 of the chip"):
        decode_events(b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.cochlea.AMS1c\r\n" + words, "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"% Data file\n% Version 2\n\x0e\x08", "event type 0x0E of 8 bytes"),
        (b"% Data file\n% Version 1\n\x0c\x08", "DAT version 1"),
        (b"Event Stream\x01\0\0\x01\x22\0\x22\0", "version 1.0.0"),
        (b"% evt 2.1\n" + bytes(64), "Prophesee EVT2.1"),
        (b"#!AER-DAT4.1\r\n" + bytes(64), "gxevent reads AEDAT 4.0"),
    ],
)
def test_relatives_of_known_formats_are_refused_by_name(content, message):
    with pytest.raises(UnsupportedError, match=message):
        decode_events(content, "a")


def test_missing_packages_give_the_install_line(data, monkeypatch):
    import sys

    for module, name in (
        ("lz4.frame", "formats/aedat4/dvxplorer.aedat4"),
        ("zstandard", "formats/aedat4/dvxplorer_zstd.aedat4"),
        ("h5py", "formats/hdf5/raw_events_toy.hdf5"),
        ("rosbags.rosbag1", "formats/rosbag/gen3_vga_evt3.bag"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingExtraError, match=r"pip install 'gxevent\[events\]'"):
            open_events(data / name)
    assert len(open_events(data / "formats/aedat4/dvs128_uncompressed.aedat4")) == 18_342


def hdf5(build):
    h5py = pytest.importorskip("h5py", reason="makes HDF5 files")
    import io

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        build(file)
    return out.getvalue()


def test_dialects_of_hdf5():
    t, x, y, p = [1000, 2000], [3, 5], [4, 6], [1, 0]
    table = np.array([x, y, [0.001, 0.002], [1, -1]]).T
    compound = np.array(list(zip(x, y, p, t, strict=True)), [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")])

    def group(name, keys):
        return lambda file: [
            file.create_dataset(f"{name}/{k}", data=v) for k, v in zip(keys, (t, x, y, p), strict=True)
        ]

    def prophesee_file(file):
        file.create_dataset("CD/events", data=compound).attrs["geometry"] = "640x480"

    files = [
        group("events", "txyp"),
        group("events", ("ts", "xs", "ys", "ps")),
        group("a/b", ("t", "x", "y", "polarity")),
    ]
    files += [prophesee_file, lambda file: file.create_dataset("davis/left/events", data=table)]
    for build in files:
        stream = decode_events(hdf5(build), "a.h5")
        assert stream.events.tolist() == [(1000, 3, 4, True), (2000, 5, 6, False)]
    assert decode_events(hdf5(prophesee_file), "a.h5").width == 640
    with pytest.raises(FormatError, match=r"a.h5: holds .*; expected datasets t, x, y, p"):
        decode_events(hdf5(lambda file: file.create_dataset("images", data=np.zeros((2, 3)))), "a.h5")


def test_a_ros2_bag_is_read(tmp_path, data):
    """The messages of the ROS 1 bag, written as CDR into ROS 2 bags of both containers."""
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="writes the bag")
    from rosbags.rosbag1 import Reader
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    definition = "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\n"
    definition += "string encoding\nbool is_bigendian\nuint8[] events\n"
    kind = "event_camera_msgs/msg/EventPacket"
    store.register(get_types_from_msg(definition, kind))
    from gxevent.events.readers.rosbag import PACKET, _Message

    with Reader(data / "formats/rosbag/gen3_vga_evt3.bag") as bag:
        payloads = [
            _Message(bytes(raw), PACKET, True, "").payload for _, _, raw in itertools.islice(bag.messages(), 40)
        ]
    for plugin in (rosbag2.StoragePlugin.SQLITE3, rosbag2.StoragePlugin.MCAP):
        path = tmp_path / plugin.name
        with rosbag2.Writer(path, version=9, storage_plugin=plugin) as writer:
            topic = writer.add_connection("/events", kind, typestore=store)
            for i, payload in enumerate(payloads):
                header = store.types["std_msgs/msg/Header"](store.types["builtin_interfaces/msg/Time"](1, i), "cam")
                message = store.types[kind](header, 480, 640, i, 0, "evt3", False, np.frombuffer(payload, np.uint8))
                writer.write(topic, i, store.serialize_cdr(message, kind))
        stream = open_events(path)
        want = open_events(data / "formats/rosbag/gen3_vga_evt3.bag").events[: len(stream)]
        assert len(stream) > 1000
        assert (stream.width, stream.height) == (640, 480)
        np.testing.assert_array_equal(stream.events, want)
        single = next(f for f in path.iterdir() if f.suffix in (".mcap", ".db3"))
        np.testing.assert_array_equal(open_events(single).events, want)
