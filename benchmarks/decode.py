"""Decoding speed of every event format beside the libraries that read it, paired and interleaved.

    python benchmarks/decode.py --data DATA [--events 10000000] [--rounds 7] [--only evt2 ...]

The bodies of the real files under DATA/formats are repeated, their times moved on each time, until they hold that many
events. Each round opens every file once with gxevent (all checks on) and once with each library that is installed:
expelliarmus, faery, event_stream, aedat. Every reader gives one array of events in memory. Printed: median million
events a second, and the median of the ratios of neighbouring runs. Readers that find other events are marked.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gxevent.events import open_events
from gxevent.events.readers import prophesee

Reader = Callable[[Path], np.ndarray]


def repeat_evt(source: Path, kind: str, version: str, events: int) -> bytes:
    """Header, then the words again and again with the time highs moved on."""
    data = source.read_bytes()
    _, start = prophesee.header(data)
    word = 4 if kind == "<u4" else 2
    body = np.frombuffer(data[start : len(data) - (len(data) - start) % word], kind).astype(np.int64)
    stamps = body >> (28 if word == 4 else 12) == 8
    mask = 0xFFFFFFF if word == 4 else 4095
    turns = int(((body[stamps][-1] - body[stamps][0]) & mask) + 1)
    each = len(open_events(source))
    parts = [data[:start]]
    for i in range(-(-events // each)):
        moved = body.copy()
        moved[stamps] = (moved[stamps] & ~mask) | ((moved[stamps] + i * turns) & mask)
        parts.append(moved.astype(kind).tobytes())
    return b"".join(parts)


def repeat_pairs(source: Path, start: int, kind: str, column: int, events: int) -> bytes:
    """Header, then pairs of words again and again with the times in ``column`` moved on."""
    data = source.read_bytes()
    body = np.frombuffer(data[start : len(data) - (len(data) - start) % 8], kind).reshape(-1, 2)
    span = int(body[-1, column]) - int(body[0, column]) + 1
    parts = [data[:start]]
    for i in range(-(-events // len(body))):
        moved = body.astype(np.int64)
        moved[:, column] += i * span - int(body[0, column])
        parts.append(moved.astype(kind).tobytes())
    return b"".join(parts)


def make(root: Path, name: str, events: int) -> tuple[str, bytes]:
    """(file name, content) of one of the files to read."""
    formats = root / "formats"
    if name == "evt2":
        return "a.raw", repeat_evt(formats / "evt2/gen3_vga.raw", "<u4", "2", events)
    if name == "evt3":
        return "a.raw", repeat_evt(formats / "evt3/gen41_hd.raw", "<u2", "3", events)
    if name == "evt3-triggers":
        return "a.raw", repeat_evt(formats / "evt3/gen3_vga_triggers.raw", "<u2", "3", events)
    if name == "dat":
        source = formats / "dat/gen3_vga.dat"
        return "a.dat", repeat_pairs(source, prophesee.header(source.read_bytes())[1] + 2, "<u4", 0, events)
    if name == "aedat2":
        source = root / "dvs128-objects/train/mug.aedat"
        data = source.read_bytes()
        return "a.aedat", repeat_pairs(source, len(data) - 8 * len(open_events(source)), ">u4", 1, events)
    if name == "event-stream":
        data = (formats / "event-stream/video_dvs.es").read_bytes()
        return "a.es", data[:20] + data[20:] * -(-events // 473_225)
    if name == "nmnist":
        data = (formats / "bin/ncaltech101_faces_easy_0001.bin").read_bytes()
        moves = bytes([0, 240, 0, 0, 0]) * 37  # overflow entries: 303 ms further
        return "a.bin", (data + moves) * -(-events // 67_445)
    source = root / "dvs128-hand/dvSave-2024_06_20_15_59_41.aedat4"  # compressed packets: as it is
    return "a.aedat4", source.read_bytes()


def peers(name: str) -> dict[str, Reader]:
    """The installed libraries that read the format."""
    found: dict[str, Reader] = {}

    def add(package: str, formats: tuple[str, ...], read: Callable[..., np.ndarray]) -> None:
        if name in formats:
            try:
                module = importlib.import_module(package)
            except ImportError:
                return
            found[package] = lambda path: read(module, path)

    def expelliarmus(module: object, path: Path) -> np.ndarray:
        return module.Wizard(encoding=name.partition("-")[0]).read(path)

    def faery(module: object, path: Path) -> np.ndarray:
        return module.events_stream_from_file(path).to_array()

    def event_stream(module: object, path: Path) -> np.ndarray:
        with module.Decoder(path) as decoder:
            return np.concatenate(list(decoder))

    def aedat(module: object, path: Path) -> np.ndarray:
        return np.concatenate([p["events"] for p in module.Decoder(path) if "events" in p])

    add("expelliarmus", ("evt2", "evt3", "evt3-triggers", "dat"), expelliarmus)
    add("faery", ("evt2", "evt3", "evt3-triggers", "dat", "event-stream", "aedat4"), faery)
    add("event_stream", ("event-stream",), event_stream)
    add("aedat", ("aedat4",), aedat)
    return found


def measure(name: str, path: Path, rounds: int) -> list[str]:
    readers: dict[str, Reader] = {"gxevent": lambda path: open_events(path).events} | peers(name)
    wanted = readers["gxevent"](path)
    seconds: dict[str, list[float]] = {reader: [] for reader in readers}
    notes = dict.fromkeys(readers, "")
    for reader, read in list(readers.items())[1:]:
        try:
            notes[reader] = differs(wanted, read(path))
        except Exception as error:  # a library that cannot read the file is part of the answer
            notes[reader] = f"fails: {str(error).splitlines()[0][:60]}"
            del readers[reader]
    for _ in range(rounds):
        for reader, read in readers.items():
            begun = time.perf_counter()
            events = read(path)
            seconds[reader].append(time.perf_counter() - begun)
            del events
    lines = []
    for reader, taken in seconds.items():
        if not taken:
            lines.append(f"{name:14} {reader:14} {notes[reader]}")
            continue
        rate = len(wanted) / statistics.median(taken) / 1e6
        pairs = statistics.median(t / own for t, own in zip(taken, seconds["gxevent"], strict=True))
        ratio = "" if reader == "gxevent" else f"gxevent is {pairs:5.1f} times as fast"
        lines.append(f"{name:14} {reader:14} {rate:7.1f} Mev/s  {ratio}  {notes[reader]}")
    return lines


def differs(wanted: np.ndarray, got: np.ndarray | None) -> str:
    if got is None or len(got) != len(wanted):
        return f"finds {0 if got is None else len(got):,} of {len(wanted):,} events"
    fields = got.dtype.names
    shift = int(wanted["t"][0]) - int(got[fields[0]][0])
    wrong = int((wanted["t"] != got[fields[0]].astype(np.int64) + shift).sum())
    return f"{wrong:,} times differ" if wrong else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    names = ["evt2", "dat", "evt3", "evt3-triggers", "aedat2", "event-stream", "nmnist", "aedat4"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            file, data = make(options.data, name, options.events)
            path = Path(folder) / file
            path.write_bytes(data)
            del data
            print(f"\n{name}: {len(open_events(path)):,} events, {path.stat().st_size:,} bytes", flush=True)
            print("\n".join(measure(name, path, options.rounds)), flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
