"""``gxevent events``: what it says about recordings, what it writes, what it refuses."""

from __future__ import annotations

import io

import numpy as np
import pytest

from gxevent.events import from_arrays, open_events, write_events
from tests.cli.conftest import refused


@pytest.fixture
def stream():
    rng = np.random.default_rng(3)
    t = np.sort(rng.integers(1000, 201_000, 4000))
    return from_arrays(t, rng.integers(0, 40, 4000), rng.integers(0, 30, 4000), rng.random(4000) < 0.25, 40, 30)


@pytest.fixture
def recording(tmp_path, stream):
    write_events(tmp_path / "a.raw", stream)
    return tmp_path / "a.raw"


@pytest.mark.parametrize("name", ["info", "convert", "slice", "show"])
def test_every_subcommand_has_help_with_an_example(gxevent, name):
    answer = gxevent("events", name, "--help")
    assert answer.status == 0
    assert f"gxevent events {name}" in answer.out.split("Example:")[1]
    assert "--json" in answer.out


def test_info(gxevent, recording, stream):
    found = gxevent("events", "info", recording, "--json").json
    t = stream.events["t"]
    assert (found["format"], found["sensor"], found["events"]) == ("evt3", [40, 30], 4000)
    assert found["on_share"] == stream.events["p"].mean()
    assert (found["t_first_us"], found["t_last_us"], found["duration_us"]) == (t[0], t[-1], stream.duration_us)
    assert found["events_per_s"] == pytest.approx(4000 / stream.duration_us * 1e6)
    bins = np.bincount((t - t[0]) // 10_000)
    assert found["peak_events_per_s"] == bins.max() * 100
    assert found["longest_pause_us"] == np.diff(t).max()
    assert found["active_pixels"] == len(np.unique(stream.events[["x", "y"]]))
    assert (found["anomalies"], found["dropped"], found["passed"]) == ([], {}, {})
    people = gxevent("events", "info", recording).out
    assert "sensor       40x30" in people
    assert "events       4,000" in people


def test_info_reports_anomalies(gxevent, tmp_path):
    rows = [(i * 10, 3, 4, 1) for i in range(300)] + [(2990, x, y, 1) for x in range(20) for y in range(20)]
    rows[5] = (20, 3, 4, 1)
    rows[7] = (70, 99, 4, 1)
    words = np.array([(t, x | y << 14 | p << 28) for t, x, y, p in rows], "<u4").tobytes()
    head = b"% Data file containing CD events.\n% Version 2\n% Height 30\n% Width 40\n\x0c\x08"
    (tmp_path / "a.dat").write_bytes(head + words + b"abc")
    found = gxevent("events", "info", tmp_path / "a.dat", "--json").json
    assert found["dropped"] == {"backward": 1, "outside": 1, "truncated_bytes": 3}
    assert found["events"] == 698
    assert found["hot_pixels"][0] == {"x": 3, "y": 4, "events": 299}
    out = gxevent("events", "info", tmp_path / "a.dat").out
    for sentence in ("1 events earlier than one before them left out", "1 events outside the sensor", "x=3, y=4 sends",
                     "3 bytes at the end", "all events are ON"):  # fmt: skip
        assert sentence in out
    refused(gxevent("events", "info", tmp_path / "a.dat", "--on-backward", "error"), "event 5", "falls from 40 to 20")


def test_info_of_real_files(gxevent, data):
    found = gxevent("events", "info", data / "formats/evt3/gen3_vga_triggers.raw", "--json").json
    assert found["passed"]["triggers"] == 4157
    found = gxevent("events", "info", data / "formats/aedat2/davis240_boxes.aedat", "--json").json
    assert found["passed"] == {"aps_imu_words": 33837}


@pytest.mark.parametrize("name", ["b.es", "b.csv", "b.npz", "b.dat", "b.evt2", "b.evt3", "b.bin", "b.h5"])
def test_convert_there_and_back(gxevent, recording, stream, tmp_path, name):
    if name == "b.h5":
        pytest.importorskip("h5py", reason="writes HDF5")
    answer = gxevent("events", "convert", recording, tmp_path / name, "--json").json
    assert (answer["events"], answer["dropped"]) == (4000, {})
    np.testing.assert_array_equal(open_events(tmp_path / name).oriented().events, stream.events)
    gxevent("events", "convert", tmp_path / name, tmp_path / "back.raw", "--width", 40, "--height", 30)
    assert (tmp_path / "back.raw").read_bytes() == recording.read_bytes()


def test_convert_moves_times_and_rows(gxevent, recording, stream, tmp_path):
    gxevent("events", "convert", recording, tmp_path / "b.es", "--rebase", "--flip-y")
    back = open_events(tmp_path / "b.es").oriented()
    assert (back.events["t"] == stream.events["t"] - stream.events["t"][0]).all()
    assert (back.events["y"] == 29 - stream.events["y"]).all()


def test_convert_refuses(gxevent, data, recording, tmp_path):
    refused(gxevent("events", "convert", recording, tmp_path / "b.xyz"), "b.xyz", "name it .npz")
    refused(gxevent("events", "convert", recording, recording), "is the file to read from")
    refused(gxevent("events", "convert", tmp_path / "no.raw", tmp_path / "b.es"), "no.raw", "no such file")
    source = data / "formats/aedat4/dvs128_uncompressed.aedat4"
    refused(gxevent("events", "convert", source, tmp_path / "b.evt2"), "event 0: t=1718320899149165", "--rebase")
    assert [p.name for p in tmp_path.iterdir()] == ["a.raw"]


def test_slice_by_time_and_area(gxevent, recording, stream, tmp_path):
    e = stream.events
    gxevent("events", "slice", recording, tmp_path / "b.npz", "--start", "50ms", "--stop", "0.1s")
    relative = e["t"] - e["t"][0]
    want = e[(relative >= 50_000) & (relative < 100_000)]
    np.testing.assert_array_equal(open_events(tmp_path / "b.npz").events, want)
    area = ("--area", "10,5,8,20")
    gxevent("events", "slice", recording, tmp_path / "c.npz", *area)
    inside = e[(e["x"] >= 10) & (e["x"] < 18) & (e["y"] >= 5) & (e["y"] < 25)]
    kept = open_events(tmp_path / "c.npz")
    np.testing.assert_array_equal(kept.events, inside)
    assert (kept.width, kept.height) == (40, 30)
    gxevent("events", "slice", recording, tmp_path / "d.npz", *area, "--crop", "--rebase")
    crop = open_events(tmp_path / "d.npz")
    assert (crop.width, crop.height) == (8, 20)
    assert (crop.events["x"] == inside["x"] - 10).all()
    assert crop.events["t"][0] == 0


def test_slice_refuses(gxevent, recording, tmp_path):
    def cut(*options):
        return gxevent("events", "slice", recording, tmp_path / "b.npz", *options)

    refused(cut("--start", "2s", "--stop", "1s"), "time from 2000000 to 1000000 us is empty")
    refused(cut("--start", "soon"), "'soon'", "100ms")
    refused(cut("--start", "5ev"), "'5ev'", "200ms")
    refused(cut("--area", "1,2,3"), "x,y,width,height")
    refused(cut("--area", "30,0,20,20"), "reaches over the 40x30 sensor")
    refused(cut("--crop"), "crop needs an area")


def test_show_draws_what_is_there(gxevent, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="draws through Pillow")
    stream = from_arrays([0, 10, 999_999], [1, 5, 6], [2, 6, 7], [1, 0, 1], 8, 8)
    write_events(tmp_path / "a.npz", stream)
    answer = gxevent(
        "events", "show", tmp_path / "a.npz", "-o", tmp_path / "a.gif", "--frames", 2, "--scale", 3, "--json"
    ).json
    assert (answer["frames"], answer["scale"]) == (2, 3)
    with image.open(io.BytesIO((tmp_path / "a.gif").read_bytes())) as film:
        assert (film.n_frames, film.size) == (2, (24, 24))
        first = np.array(film.convert("RGB")).astype(int)
    assert first[2 * 3 + 1, 1 * 3 + 1, 0] > first[2 * 3 + 1, 1 * 3 + 1, 2]  # ON is warm
    assert first[6 * 3 + 1, 5 * 3 + 1, 2] > first[6 * 3 + 1, 5 * 3 + 1, 0]  # OFF is cold
    assert first[7 * 3 + 1, 6 * 3 + 1].max() < 40  # falls into the second frame
    write_events(tmp_path / "a.es", stream)
    gxevent("events", "show", tmp_path / "a.es", "-o", tmp_path / "b.gif", "--frames", 2, "--scale", 3)
    with image.open(tmp_path / "b.gif") as film:
        turned = np.array(film.convert("RGB")).astype(int)
    np.testing.assert_array_equal(turned, first)  # rows of Event Stream count upwards, the picture is the same
    assert gxevent("events", "show", tmp_path / "a.npz", "-o", tmp_path / "a.png").status == 0
    with image.open(tmp_path / "a.png") as strip:
        assert strip.size[0] >= 480


def test_show_refuses(gxevent, recording, tmp_path, monkeypatch):
    import sys

    refused(gxevent("events", "show", recording, "-o", tmp_path / "b.jpg"), "b.jpg", ".png")
    refused(gxevent("events", "show", recording, "-o", tmp_path / "b.png", "--frames", 0), "frames")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    refused(gxevent("events", "show", recording, "-o", tmp_path / "b.png"), "pip install 'gxevent[report]'")
    assert [p.name for p in tmp_path.iterdir()] == ["a.raw"]
