"""Peak memory of running the paper's CIFAR net: from the file to answers at batch 1, in a process that does only that.

    python benchmarks/memory.py                 # vgg; or lenet, mlp, 4096
    python benchmarks/memory.py vgg --batch 16 --threads 2

Memory is the resident set beyond what the process has once gxevent is imported. The peak, which the kernel keeps
(``VmHWM``), is read after every stage, so it counts what building the tables needs for a moment too. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

MIB = 1 << 20
ROOM_MIB = 64
"""Beyond the weights packed two bits each, at batch 1."""


def resident(field: str) -> int:
    """Bytes of a field of /proc/self/status: VmRSS now, VmHWM at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def measure(path: str, frames_path: str, batch: int, threads: int) -> None:
    """Load, build, run, print what each stage needs; in a process of its own."""
    import numpy as np

    import gxevent as gx
    from gxevent.core import _runner  # noqa: F401  all that a run imports belongs to the baseline
    from gxevent.runtime.engine import Engine

    frames = np.load(frames_path)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    base = resident("VmRSS")
    rows = []

    def stage(what: str) -> None:
        rows.append((what, (resident("VmHWM") - base) / MIB, (resident("VmRSS") - base) / MIB))

    graph = gx.load_graph(path)
    stage("graph loaded")
    engine = Engine(graph, threads=threads)
    stage("engine built")
    for i in range(0, len(frames), batch):
        engine.run(frames[i : i + batch])
    stage(f"{len(frames)} frames run")
    packed = sum(-(-p.rule.weight.size // 4) for p in graph.projections.values() if p.rule.weighted) / MIB
    print(f"kernel {engine.kernel}, batch {batch}, {threads} thread(s); after import {base / MIB:.1f} MiB")
    print(f"{'stage':<18}{'peak so far, MiB':>18}{'held, MiB':>12}")
    for what, peak, held in rows:
        print(f"{what:<18}{peak:>18.1f}{held:>12.1f}")
    peak = rows[-1][1]
    print(f"weights packed {packed:.1f} MiB; peak beyond them {peak - packed:.1f} MiB, asked {ROOM_MIB} at batch 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="vgg")
    parser.add_argument("--activity", type=float, default=0.2, help="share of active units (default 0.2)")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        measure(*options.worker, options.batch, options.threads)
        return
    import numpy as np

    import gxevent as gx
    from gxevent.bench.workloads import random_workload

    with tempfile.TemporaryDirectory() as folder:
        graph, frames = Path(folder) / "net.gxg", Path(folder) / "frames.npy"
        made = random_workload(options.network, options.activity, 128)
        gx.save(gx.profile(made.graph, made.frames), graph)
        np.save(frames, made.frames)
        again = [sys.executable, __file__, "--worker", str(graph), str(frames)]
        subprocess.run([*again, "--batch", str(options.batch), "--threads", str(options.threads)], check=True)


if __name__ == "__main__":
    main()
