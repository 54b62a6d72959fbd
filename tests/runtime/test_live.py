"""Live input: pipes, UDP and replays through real pipes and sockets, and what happens when they misbehave."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gxevent as gx
from gxevent.events import EVENT_DTYPE, dump_events
from gxevent.events.live import Intake, Loss, decode_datagram, from_pipe, from_udp, replay
from gxevent.runtime.live import LiveRun


@pytest.fixture(scope="module")
def graph() -> gx.EventGraph:
    return gx.compile(gx.load_network(gx.shipped("digits.gxn")))


@pytest.fixture(scope="module")
def recording() -> gx.EventStream:
    return gx.open_dataset(gx.shipped("digits_test.zip")).load(5)


def through_a_pipe(data: bytes, format: str, pieces: int = 1) -> tuple[np.ndarray, Loss]:
    """Send bytes through a real pipe in so many pieces; what comes out."""
    read, write = os.pipe()
    loss = Loss()

    def send() -> None:
        with os.fdopen(write, "wb", buffering=0) as end:
            for part in np.array_split(np.frombuffer(data, np.uint8), pieces):
                end.write(part.tobytes())
                if pieces < 20:
                    time.sleep(0.005)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with os.fdopen(read, "rb", buffering=0) as file:
            chunks = list(from_pipe(file, format, loss))
    finally:
        thread.join()
    return np.concatenate([np.empty(0, EVENT_DTYPE), *chunks]), loss


@pytest.mark.parametrize("pieces", [1, 7, 500])
@pytest.mark.parametrize("format", ["nmnist", "csv", "evt3", "evt2", "dat", "es"])
def test_pipes_give_the_events_however_they_are_cut(recording, format, pieces):
    name = {"csv": "text", "es": "event-stream"}.get(format, format)
    stream = recording
    if format == "es":  # whose times begin at 0
        events = recording.events.copy()
        events["t"] -= events["t"][0]
        stream = gx.EventStream(events, 16, 16)
    found, loss = through_a_pipe(dump_events(stream, name), format, pieces)
    np.testing.assert_array_equal(found, stream.events)
    assert not loss.counts


def test_a_pipe_that_closes_inside_an_event(recording):
    found, loss = through_a_pipe(dump_events(recording, "nmnist")[:-2], "nmnist")
    np.testing.assert_array_equal(found, recording.events[:-1])
    assert loss.counts == {"truncated_bytes": 3}


def test_late_events_are_left_out_and_counted():
    found, loss = through_a_pipe(b"t,x,y,p\n5,1,1,1\n3,2,2,1\n5,3,3,0\n", "csv")
    assert found["x"].tolist() == [1, 3]
    assert loss.counts == {"late_events": 1}


@pytest.mark.parametrize(
    ("data", "format", "complaint"),
    [
        (b"Event Streak and more of it", "es", "which is no Event Stream"),
        (b"Event Stream\x02\x00\x00\x04aaaa", "es", "of type 4"),
        (b"t,x,y,p\n1,2,3\n", "csv", "line 2 is no event"),
        (b"1,2,99999,1\n", "csv", "outside 0 to 65535"),
        (b"% a\n" * 30_000, "evt3", "no evt3 header ends"),
    ],
)
def test_pipes_of_something_else(data, format, complaint):
    with pytest.raises(gx.FormatError, match=complaint):
        through_a_pipe(data, format)


def test_unknown_pipe_format():
    with pytest.raises(gx.OptionError, match="choose es"):
        from_pipe(io.BytesIO(b""), "mp4", Loss())


class TestDatagrams:
    def test_words_without_times_get_that_of_their_arrival(self):
        loss = Loss()
        data = struct.pack("<2I", 1 << 31 | 300 << 16 | 1 << 15 | 7, 1 << 31 | 5 << 16 | 200)
        events = decode_datagram(data, 1234, loss)
        assert events.tolist() == [(1234, 300, 7, True), (1234, 5, 200, False)]
        assert not loss.counts

    def test_words_with_times(self):
        data = struct.pack("<5I", 3 << 16 | 4, 77, 5 << 16 | 1 << 15 | 6, 78, 1 << 31 | 1 << 16 | 1)
        events = decode_datagram(data, 99, Loss())
        assert events.tolist() == [(77, 3, 4, False), (78, 5, 6, True), (99, 1, 1, False)]

    @pytest.mark.parametrize("data", [b"abc", struct.pack("<I", 1 << 31) + b"x", struct.pack("<3I", 1, 2, 3)])
    def test_odd_lengths_are_counted(self, data):
        loss = Loss()
        decode_datagram(data, 0, loss)
        assert loss.counts == {"odd_datagrams": 1}

    def test_over_a_real_socket(self, graph):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        run = LiveRun(graph, f"udp://127.0.0.1:{port}", stride="4ev", window="20ev")
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        done = threading.Event()

        def send() -> None:
            while not done.wait(0.01):
                words = [1 << 31 | x << 16 | 1 << 15 | 5 for x in range(8)]
                sender.sendto(struct.pack("<8I", *words), ("127.0.0.1", port))

        thread = threading.Thread(target=send)
        thread.start()
        try:
            decisions = list(run.decisions(limit=6))
        finally:
            done.set()
            thread.join()
            sender.close()
        assert len(decisions) == 6
        assert np.all(np.diff([d.t_us for d in decisions]) >= 0)
        assert run.session.held <= 20

    def test_addresses_that_cannot_be(self, graph):
        for where in ("udp://nowhere", "udp://:x", "tcp://localhost:1"):
            with pytest.raises(gx.OptionError, match="expected udp://host:port"):
                LiveRun(graph, where)
        with pytest.raises(gx.OptionError, match="cannot be listened on"):
            from_udp("127.0.0.1", 99999, Loss())


def test_live_decisions_equal_those_of_the_recording(graph, recording, tmp_path):
    (tmp_path / "one.bin").write_bytes(dump_events(recording, "nmnist"))
    session = gx.Engine(graph).stream(stride="50ev")
    expected = session.push(gx.open_events(tmp_path / "one.bin"))
    run = LiveRun(graph, str(tmp_path / "one.bin"), stride="50ev")
    decisions = list(run.decisions())
    assert [d.t_us for d in decisions] == expected.t_us.tolist()
    assert [d.decision for d in decisions] == [graph.classes[i] for i in expected.predictions]
    assert run.line().startswith(f"{len(recording.events):,} events, {len(decisions)} decisions")
    assert run.line().endswith("lost: nothing")


def test_a_recording_of_any_length_runs_in_chunks(graph, recording, tmp_path, monkeypatch):
    """As fast as it can be read, and with chunks smaller than the recording: the same decisions."""
    monkeypatch.setattr("gxevent.runtime.live.CHUNK", 100)
    (tmp_path / "one.es").write_bytes(dump_events(recording, "event-stream"))  # whose rows count upwards
    expected = gx.Engine(graph).stream(stride="50ev").push(gx.open_events(tmp_path / "one.es"))
    decisions = list(LiveRun(graph, str(tmp_path / "one.es"), pace="max", stride="50ev").decisions())
    assert [d.t_us for d in decisions] == expected.t_us.tolist()
    assert [d.decision for d in decisions] == [graph.classes[i] for i in expected.predictions]


def test_replay_keeps_the_recordings_pace(recording):
    begun = time.monotonic()
    arrivals = [(time.monotonic() - begun, int(events["t"][0])) for events in replay(recording, speed=3.0)]
    t0 = arrivals[0][1]
    assert all(at >= (t - t0) * 1e-6 / 3.0 for at, t in arrivals)


class TestIntake:
    def chunks(self, n: int) -> list[np.ndarray]:
        made = []
        for i in range(n):
            events = np.zeros(10, EVENT_DTYPE)
            events["t"] = i
            made.append(events)
        return made

    def test_drop_oldest_counts_what_goes(self):
        loss = Loss()
        intake = Intake(iter(self.chunks(100)), loss, limit=30, policy="drop-oldest")
        intake._thread.join()
        kept = [int(events["t"][0]) for _, events in intake]
        assert kept == [97, 98, 99]
        assert loss.counts == {"overrun_events": 970}

    def test_block_loses_nothing(self):
        loss = Loss()
        kept = [int(events["t"][0]) for _, events in Intake(iter(self.chunks(100)), loss, limit=30)]
        assert kept == list(range(100))
        assert not loss.counts

    def test_an_error_in_the_source_reaches_the_consumer(self):
        def broken():
            yield self.chunks(1)[0]
            raise gx.FormatError("pipe: broken")

        intake = Intake(broken(), Loss())
        assert len(next(iter(intake))[1]) == 10
        with pytest.raises(gx.FormatError, match="broken"):
            list(intake)

    def test_bad_policies(self):
        with pytest.raises(gx.OptionError, match="policy"):
            Intake(iter([]), Loss(), policy="hope")
        with pytest.raises(gx.OptionError, match="limit"):
            Intake(iter([]), Loss(), limit=0)


def test_the_command_line_reads_a_pipe(graph, recording, tmp_path):
    gx.save(graph, tmp_path / "g.gxg")
    command = [sys.executable, "-m", "gxevent", "run", str(tmp_path / "g.gxg"), "-", "--format", "evt3"]
    done = subprocess.run(
        [*command, "--stride", "100ev"], input=dump_events(recording, "evt3"), capture_output=True, check=True
    )
    decisions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(decisions) == len(recording.events) // 100
    assert set(decisions[0]) == {"t_us", "wall_s", "latency_us", "decision", "scores"}
    assert b"lost: nothing" in done.stderr
    wrong = subprocess.run([*command[:-1], "mp4"], input=b"", capture_output=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stdout == b""
