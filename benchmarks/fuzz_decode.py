"""Damaged recordings of every format, ten thousand and more: never a crash, a hang, or memory without bound.

    python benchmarks/fuzz_decode.py --data DATA [--mutations 10000] [--seed 0]

Every mutation of a real file must be read, or refused by one line that names it; slow ones and the peak of memory are
reported. With the same seed the same mutations come again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.events import fuzzing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="Part of a file's name.")
    options = parser.parse_args()
    files = [name for name in fuzzing.FILES if not options.only or options.only in name]
    begun, worst = time.perf_counter(), (0.0, "")
    base = fuzzing.peak_bytes()
    for number, name in enumerate(files):
        content = (options.data / "formats" / name).read_bytes()
        if name not in fuzzing.WHOLE:
            content = content[: fuzzing.KEEP]
        results: Counter[str] = Counter()
        share = options.mutations // len(files) + (number < options.mutations % len(files))
        for i in range(share):
            rng = np.random.default_rng([options.seed, number, i])
            try:
                result, seconds = fuzzing.read(fuzzing.mutate(rng, content), name, fuzzing.POLICIES[i % 3])
            except Exception:
                print(f"{name}: mutation {i} of seed {options.seed}", file=sys.stderr)
                raise
            results[result] += 1
            worst = max(worst, (seconds, f"{name} mutation {i}"))
        print(f"{name:36} {share:6,}  " + ", ".join(f"{n:,} {kind}" for kind, n in sorted(results.items())), flush=True)
    took = time.perf_counter() - begun
    print(f"\n{options.mutations:,} mutations in {took:.0f} s, slowest {worst[0]:.2f} s ({worst[1]})")
    print(f"memory at its peak {(fuzzing.peak_bytes() - base) / 2**20:.0f} MiB above the start")


if __name__ == "__main__":
    main()
