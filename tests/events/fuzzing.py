"""Damaged recordings: flips, cuts, insertions and repetitions of real files, and what reading them may do."""

from __future__ import annotations

import resource
import time

import numpy as np

from gxevent.errors import GxError
from gxevent.events import decode_events

FILES = (
    "aedat2/dvs128_walking.aedat", "aedat2/davis240_boxes.aedat", "aedat31/dvs128_pendulum.aedat",
    "aedat4/dvxplorer.aedat4", "aedat4/dvxplorer_zstd.aedat4", "aedat4/dvs128_uncompressed.aedat4",
    "aedat4/davis346.aedat4", "dat/ncars_004397_td.dat", "dat/gen3_vga.dat", "evt2/gen3_vga.raw",
    "evt3/gen41_hd.raw", "evt3/gen3_vga_triggers.raw", "event-stream/dvxplorer.es", "event-stream/ncars_004397.es",
    "event-stream/generic.es", "text/slider_depth_50k.txt", "rosbag/gen3_vga_evt3.bag", "bin/nmnist_sample.bin",
    "hdf5/raw_events_toy.hdf5", "mat/stmnist_sample.mat",
)  # fmt: skip
KEEP = 60_000
"""Bytes of a file that are damaged; the rest is left away (a cut by itself), but where the format needs its end."""

WHOLE = (
    "aedat4/dvxplorer_zstd.aedat4", "aedat4/davis346.aedat4", "hdf5/raw_events_toy.hdf5", "mat/stmnist_sample.mat",
    "rosbag/gen3_vga_evt3.bag",
)  # fmt: skip
POLICIES = ({}, {"on_backward": "drop", "on_outside": "drop", "on_truncated": "drop"}, {"on_backward": "sort"})


def mutate(rng: np.random.Generator, data: bytes) -> bytes:
    """One to six changes: bits, bytes, runs, 32-bit extremes, cuts, insertions, repeated or removed pieces."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 7))):
        if not out:
            break
        # Half of the changes fall into the first 300 bytes: headers are where damage does most.
        at = int(rng.integers(0, min(len(out), 300) if rng.random() < 0.5 else len(out)))
        n = int(rng.integers(1, 64))
        match int(rng.integers(0, 8)):
            case 0:
                out[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                out[at] = int(rng.integers(0, 256))
            case 2:
                out[at : at + n] = rng.bytes(len(out[at : at + n]))
            case 3:
                extreme = (0, 1, 2**31 - 1, 2**31, 2**32 - 1)[int(rng.integers(0, 5))]
                out[at : at + 4] = extreme.to_bytes(4, "little")[: len(out[at : at + 4])]
            case 4:
                del out[at + n :]
            case 5:
                out[at:at] = rng.bytes(n)
            case 6:
                out[at:at] = out[at : at + 8 * n]
            case 7:
                del out[at : at + n]
    return bytes(out)


def read(data: bytes, name: str, options: dict[str, str]) -> tuple[str, float]:
    """("read" or the error's class, seconds). Any error but a GxError, naming the file in one line, goes through."""
    begun = time.perf_counter()
    stream, refusal = None, ""
    try:
        stream = decode_events(data, name, **options)
    except GxError as error:
        refusal = str(error)
        result = type(error).__name__
    seconds = time.perf_counter() - begun
    if stream is None:
        assert refusal.startswith(name), refusal
        assert "\n" not in refusal, refusal
        return result, seconds
    t = stream.events["t"]
    assert (t[1:] >= t[:-1]).all()
    assert not len(stream) or (stream.events["x"].max() < stream.width and stream.events["y"].max() < stream.height)
    return "read", seconds


def peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
