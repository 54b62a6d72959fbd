"""How near the bit-sliced adders come to what the machine can do, and the portable path beside a published kernel.

    python benchmarks/kernels.py                # a minute; --rounds 41, --cpu 1 to pin it

kernels.c is compiled here with the options of the package. It times, in every round and by the processor time of its
thread: logic instructions, reading of the rows that lists of events name, the adders on the same lists, and dense
layers of random ternary weights from planes to planes. The bound of a row is the longer of two times measured in the
same round: that of its logic instructions at the rate at which independent ones run, and that of reading its bytes
(without fetching ahead). A share is the median over rounds of bound / adders. Linux and x86-64.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
BITS = 12
"""Of the counters in kernels.c."""

ROW = {"generic": 4.5, "avx2": 4.5, "avx512": 2}
JOIN = {"generic": 5, "avx2": 5, "avx512": 2}
"""Logic instructions that add a row to a counter's lowest bit, and that join two carries: with ternary logic and
without (nine for two rows). 32 rows need 31 joins, and their carry goes on through the other bits, two instructions
each."""

PUBLISHED_US = {"784x512": 20.1, "512x512": 12.6, "1024x1024": 29.0, "4096x4096": 406.0}
"""ggml's ternary kernel TQ2_0 with AVX2 (d99724f2, AMD Zen 3 at about 3.2 GHz), one product, whatever the activity."""


def operations(path: str) -> float:
    """Logic instructions a row."""
    return (32 * ROW[path] + 31 * JOIN[path] + 2 * (BITS - 5)) / 32


def measure(rounds: int, cpu: int | None) -> dict[str, list[float]]:
    """Nanoseconds of each measurement in each round."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "kernels"
        options = ["-std=gnu11", "-O3", "-fno-trapping-math", f"-I{HERE.parent / 'cython_core'}"]
        subprocess.run(["cc", *options, str(HERE / "kernels.c"), "-o", str(program)], check=True)
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        ran = subprocess.run([str(program), str(rounds)], check=True, capture_output=True, text=True, preexec_fn=pin)
    found: dict[str, list[float]] = defaultdict(list)
    for line in ran.stdout.partition("begin 0\n")[2].splitlines():
        name, picoseconds = line.split()
        found[name].append(int(picoseconds) / 1000)
    return found


def adders(found: dict[str, list[float]]) -> list[str]:
    """A line a path, width and place."""
    lines = [
        "| path | lanes | rows lie in | cycles a row | synapses a cycle | bound, cycles | by | share of the bound |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name in found:
        kind, *rest = name.split("/")
        if kind != "adders":
            continue
        path, lanes, place = rest
        took, cycle = found[name], found["cycle"]
        logic = [operations(path) * ns for ns in found[f"logic{lanes}"]]
        read = found[f"read/{path}/{lanes}/{place}"]
        bound = [max(pair) for pair in zip(logic, read, strict=True)]
        share = statistics.median(b / t for b, t in zip(bound, took, strict=True))
        cycles = statistics.median(t / c for t, c in zip(took, cycle, strict=True))
        least = statistics.median(b / c for b, c in zip(bound, cycle, strict=True))
        by = "reading" if statistics.median(read) > statistics.median(logic) else "logic"
        rate = int(lanes) / cycles
        lines.append(f"| {path} | {lanes} | {place} | {cycles:.2f} | {rate:.0f} | {least:.2f} | {by} | {share:.0%} |")
    return lines


def constants(found: dict[str, list[float]]) -> str:
    """What the machine can do, in a sentence."""
    cycle = statistics.median(found["cycle"])
    rates = {n: cycle / statistics.median(found[f"logic{n}"]) for n in (128, 256, 512) if f"logic{n}" in found}
    logic = ", ".join(f"{n} bits {rate:.1f}" for n, rate in rates.items())
    _, path, lanes, _ = [name for name in found if name.startswith("read/")][-1].split("/")
    rows = {place: statistics.median(found[f"read/{path}/{lanes}/{place}"]) / cycle for place in ("L1", "L2", "L3")}
    read = ", ".join(f"{place} {int(lanes) / 4 / cycles:.0f}" for place, cycles in rows.items())
    return (
        f"Clock {1 / cycle:.2f} GHz; logic instructions a cycle: {logic}; bytes of rows of {lanes} lanes read a cycle: "
        f"{read}."
    )


def layers(found: dict[str, list[float]]) -> list[str]:
    """The portable path beside the published kernel: microseconds, and how many times that is shorter."""
    shapes: dict[str, dict[str, float]] = defaultdict(dict)
    for name, ns in found.items():
        if name.startswith("layer/"):
            _, path, shape, share = name.split("/")
            shapes[shape][share] = statistics.median(ns) / 1000
    shares = list(next(iter(shapes.values())))
    lines = [f"| layer, path {path} | {' | '.join(f'{share} % active' for share in shares)} | ggml, published |"]
    lines.append("|---" * (len(shares) + 2) + "|")
    for shape, times in shapes.items():
        theirs = PUBLISHED_US[shape]
        cells = [f"{us:.1f} µs, {theirs / us:.1f}x" for us in times.values()]
        lines.append(f"| {shape} | {' | '.join(cells)} | {theirs:g} µs |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--cpu", type=int, help="the processor to run on")
    options = parser.parse_args()
    found = measure(options.rounds, options.cpu)
    print("\n".join([*adders(found), "", constants(found), "", *layers(found)]))


if __name__ == "__main__":
    main()
