"""Stream mode: cost of an event on a sliding window, beside re-evaluating the frame and onnxruntime doing so.

    python benchmarks/stream.py [--rounds 20] [--events 4000] [--data DIR]

Networks: 34x34x2 32C5-MP2-64C5-MP2-512FC-10 with a window of 600 events, and 128x128x2 of four 3x3 layers with
pooling with a window of 4,000 events; random ternary weights, thresholds set so that about 10 % of the hidden units
are active. The stream is a ring that moves over the sensor, with 5 % noise; with --data, the development data's real
N-MNIST test recordings one after the other, and a hand before a DVS128. One thread, medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path

import numpy as np

import gxevent as gx
from gxevent.bench.peers import onnx_runtime
from gxevent.bench.peers.base import Task
from gxevent.bench.twin import twin_of
from gxevent.errors import MissingExtraError
from gxevent.events import EVENT_DTYPE
from gxevent.runtime import reference

ACTIVE = 0.10


def ring(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """n events of a ring of a fifth of the sensor's size that circles over it, one microsecond apart."""
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = np.arange(n)
    where = np.arange(n) * 2 * np.pi / 20_000
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = rng.normal(size / 5, size / 12, n)  # thick enough that most events change a pixel
    x = size / 2 + size / 5 * np.cos(where) + radius * np.cos(angle)
    y = size / 2 + size / 5 * np.sin(where) + radius * np.sin(angle)
    noise = rng.random(n) < 0.05
    events["x"] = np.where(noise, rng.integers(0, size, n), np.clip(np.rint(x), 0, size - 1))
    events["y"] = np.where(noise, rng.integers(0, size, n), np.clip(np.rint(y), 0, size - 1))
    events["p"] = np.cos(angle - where) > 0
    return events


def real(data: Path, n: int, size: int) -> np.ndarray:
    """n events of real recordings of that sensor, joined in time and repeated as often as it takes."""
    if size == 34:
        source = gx.open_dataset(data / "nmnist" / "nmnist_subset.zip", split="test")
        parts = [stream.events for _, stream in source]
    else:
        files = sorted((data / "dvs128-hand").glob("*.aedat4"))
        parts = [gx.open_events(max(files, key=lambda path: path.stat().st_size)).events]
    events, last = [], 0
    for part in itertools.cycle(parts):
        part = part.copy()
        part["t"] += last - part["t"][0]
        last = int(part["t"][-1])
        events.append(part)
        if sum(map(len, events)) >= n:
            return np.concatenate(events)[:n]
    raise AssertionError("cycle does not end")


def network(rng: np.random.Generator, size: int, convs: list[tuple[int, int]], dense: int | None, frame: np.ndarray):
    """Convolutions (channels, kernel), each with a 2x2 pool, thresholds calibrated on a frame (1, 2, size, size)."""
    layers: list = []
    x = frame

    def close(sums: np.ndarray) -> np.ndarray:
        cut = max(float(np.quantile(np.abs(sums), 1 - ACTIVE)), 0.5)
        layers.append(gx.Activation(r=cut))
        return ((sums > cut).astype(np.int8) - (sums < -cut)).astype(np.int8)

    for channels, kernel in convs:
        weight = rng.choice([-1, 0, 1], size=(channels, x.shape[1], kernel, kernel)).astype(np.int8)
        layers.extend([gx.Conv2d(weight), gx.MaxPool2d(2)])
        sums = reference.conv2d(x, weight, (1, 1), (0, 0, 0, 0), (1, 1), 1)
        x = close(reference.pool2d(sums, "max", (2, 2), (2, 2), (0, 0, 0, 0)))
    layers.append(gx.Flatten())
    x = x.reshape(1, -1)
    if dense:
        weight = rng.choice([-1, 0, 1], size=(dense, x.shape[1])).astype(np.int8)
        layers.append(gx.Dense(weight))
        x = close(reference.dense(x, weight))
    layers.append(gx.Dense(rng.choice([-1, 0, 1], size=(10, x.shape[1])).astype(np.int8)))
    return gx.TernaryNetwork((2, size, size), gx.Encoder("onoff"), layers)


def frame_of(events: np.ndarray, size: int) -> np.ndarray:
    frame = np.zeros((1, 2, size, size), np.int8)
    frame[0, (~events["p"]).astype(int), events["y"], events["x"]] = 1
    return frame


def onnxruntime_peer(graph: gx.EventGraph, frame: np.ndarray):
    """The same network in float32 on onnxruntime, one thread; None where it is not installed."""
    try:
        return onnx_runtime.float32(Task(twin_of(graph), graph, frame, batch=1, threads=1))
    except MissingExtraError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--data", type=Path, help="folder of the development data, for real recordings")
    options = parser.parse_args()
    for size, convs, dense, window, strides in (
        (34, [(32, 5), (64, 5)], 512, 600, (1, 16, 64, 256)),
        (128, [(32, 3), (32, 3), (64, 3), (64, 3)], None, 4000, (1, 16, 64, 256)),
    ):
        rng = np.random.default_rng(0)
        n = window + options.events * options.rounds
        events = real(options.data, n, size) if options.data else ring(rng, n, size)
        net = network(rng, size, convs, dense, frame_of(events[:window], size))
        graph = gx.compile(net)
        engine = gx.Engine(graph)
        sessions = {stride: engine.stream(window=f"{window}ev", stride=f"{stride}ev") for stride in strides}
        for session in sessions.values():
            session.push(events[:window])
        frame = frame_of(events[:window], size)
        onnx = onnxruntime_peer(graph, frame)
        if onnx and not (onnx.sums(onnx.call(onnx.prepare(frame))) == engine.run(frame).accumulators).all():
            raise SystemExit("onnxruntime gives other scores: the comparison would be of different networks")
        times: dict[object, list[float]] = {key: [] for key in (*strides, "frame", "onnxruntime")}
        for round_ in range(options.rounds):
            part = events[window + round_ * options.events :][: options.events]
            for stride, session in sessions.items():
                begun = time.perf_counter()
                session.push(part)
                times[stride].append((time.perf_counter() - begun) / len(part) * 1e6)
            begun = time.perf_counter()
            for _ in range(10):
                engine.run(frame, count=False)
            times["frame"].append((time.perf_counter() - begun) / 10 * 1e6)
            if onnx:
                begun = time.perf_counter()
                for _ in range(5):
                    onnx.call(onnx.prepare(frame))
                times["onnxruntime"].append((time.perf_counter() - begun) / 5 * 1e6)
        again = statistics.median(times["frame"])
        print(
            f"{size}x{size}, window {window} events, {graph.units:,} units, {sum(graph.synapses.values()):,} synapses"
        )
        print(f"  re-evaluating the frame: {again:.1f} us")
        peer = statistics.median(times["onnxruntime"]) if onnx else None
        if peer:
            print(f"  onnxruntime {peer:.1f} us a frame (float32, the same ternary network, equal scores)")
        for stride, session in sessions.items():
            report(stride, session, statistics.median(times[stride]), again, peer)


def report(stride: int, session: gx.Engine, us: float, again: float, peer: float | None) -> None:
    s = session.statistics()
    beside = f"{again / us / stride:.1f}x re-evaluating" + (f", {peer / us / stride:.1f}x onnxruntime" if peer else "")
    print(f"  a decision every {stride:4} events: {us:6.2f} us an event ({1 / us:.2f} M events/s), {beside}")
    flips = sum(n for name, n in s.flips.items() if name != "input") / s.events
    steps = s.reevaluations + s.increments
    print(
        f"      an event causes {s.input_changes / s.events:.2f} input changes, {flips:.1f} flipped units and "
        f"{sum(s.updates.values()) / s.events:,.0f} updates; {s.reevaluations} of {steps} steps re-evaluated"
    )
    if stride == 1:
        layers = ", ".join(f"{name} {n / s.events:,.0f}" for name, n in s.updates.items() if n)
        units = ", ".join(f"{name} {n / s.events:.1f}" for name, n in s.flips.items())
        print(f"      updates by projection: {layers}; flipped units by population: {units}")


if __name__ == "__main__":
    main()
