"""Long runs to disturb: a small network over many small images, driven as real processes."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import gxevent as gx
from tests import networks

IMAGES = 30_000


def network() -> gx.TernaryNetwork:
    rng = np.random.default_rng(0)
    layers = [gx.Conv2d(networks.levels(rng, (6, 1, 3, 3)), padding=1), gx.MaxPool2d(2), networks.batch_norm(rng, 6)]
    layers += [gx.Activation(), gx.Flatten(), gx.Dense(networks.levels(rng, (3, 96)))]
    encoder = gx.Encoder("ternary", low=-0.5, high=0.5)
    return gx.TernaryNetwork((1, 8, 8), encoder, layers, ("0", "1", "2"), name="small")


def write_images(
    folder: Path, n: int = IMAGES, seed: int = 0, shape: tuple[int, int] = (8, 8), classes: int = 3
) -> Path:
    """A data set of ``n`` random images with labels from 0, as IDX files."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    images, labels = rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, classes, n, np.uint8)
    for name, values in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
        head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
        (folder / name).write_bytes(head + values.tobytes())
    return folder


def write_recordings(folder: Path, n: int = 600) -> Path:
    """A folder of ``n`` recordings in CSV, of an 8x8 sensor."""
    rng = np.random.default_rng(0)
    for i in range(n):
        rows = np.stack([np.arange(20) * 100, *rng.integers(0, 8, (2, 20)), rng.integers(0, 2, 20)], axis=1)
        path = folder / "test" / "abc"[i % 3] / f"{i}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# width=8 height=8\nt,x,y,p\n" + "".join(",".join(map(str, r)) + "\n" for r in rows.tolist()))
    return folder


def prepare(folder: Path) -> Path:
    """``folder`` with a graph, many images, and an undisturbed run of them in ``whole``."""
    gx.save(gx.compile(network()), folder / "net.gxg")
    write_images(folder / "images")
    assert run(folder / "net.gxg", folder / "images", "-o", folder / "whole").returncode == 0
    return folder


def assert_same_run(folder: Path, whole: Path) -> None:
    """Samples to the byte, and what a summary says of the network rather than of the machine."""
    assert (folder / "samples.csv").read_bytes() == (whole / "samples.csv").read_bytes()
    assert lines(folder / "times.csv") == lines(folder / "samples.csv")
    for key in SAME:
        assert summary(folder)[key] == summary(whole)[key], key


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "gxevent", "run", *map(str, args)]


def run(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), capture_output=True, text=True, timeout=300, **kwargs)


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2, and one line on standard error that says these things."""
    assert done.returncode == 2, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], (word, lines[0])


def killed(args: tuple[object, ...], when: Callable[[], bool], delay: float = 0.0) -> bool:
    """Start a run and kill it (SIGKILL) as soon as ``when`` holds and ``delay`` seconds have passed; False when it was
    quicker."""
    process = subprocess.Popen(command(*args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not when():
        time.sleep(0.0005)
    time.sleep(delay)
    process.kill()
    return process.wait() == -signal.SIGKILL


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


SAME = (
    "results_sha256",
    "samples",
    "correct",
    "windows",
    "events",
    "open_gates",
    "resting_probability",
    "input_events",
)
"""What a disturbed run must say as an undisturbed one."""
