"""Bytes that training takes for each weight: counted from the tensors, and measured from the process.

    python benchmarks/training_memory.py [--units 3072]

One process a row: three fully connected layers of UNITS x UNITS trained for three steps with a batch of 4, so that
weights outweigh all else. ``counted`` is what the optimizer reports; ``kept`` and ``peak`` are resident memory of the
process, between two steps and at most, less what the same process takes before the network is made. The transient
float32 copy of the weights is in the peak, as are their gradients (one layer's at a time with ``in backward``).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path

ROWS = {
    "latent weights, Adam (float32)": None,
    "adam, 32-bit moments": {},
    "adam, 16-bit moments": {"moment_bits": 16},
    "adam, 8-bit moments": {"moment_bits": 8},
    "adam, 8-bit moments, in backward": {"moment_bits": 8, "in_backward": True},
    "momentum, 32 bits": {"rule": "momentum"},
    "momentum, 16 bits": {"rule": "momentum", "moment_bits": 16},
    "momentum, 8 bits": {"rule": "momentum", "moment_bits": 8},
    "residue, 8 bits": {"rule": "residue", "residue_bits": 8},
    "residue, 4 bits": {"rule": "residue"},
    "residue, 4 bits, in backward": {"rule": "residue", "in_backward": True},
    "sgd": {"rule": "sgd"},
    "sgd, in backward": {"rule": "sgd", "in_backward": True},
}


def status(field: str) -> int:
    """Bytes that /proc/self/status states, such as VmRSS (resident now) and VmHWM (at most)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def trimmed() -> None:
    """Give freed memory back to the system, so that what is resident is what is used."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def steps(name: str, units: int) -> tuple[float, object]:
    """Three training steps; the bytes a weight the optimizer counts, and what must be kept alive to go on."""
    import torch
    from torch import nn

    from gxevent.train import DST, initial_network
    from gxevent.train.networks import TernaryModule

    torch.set_num_threads(1)
    options = ROWS[name]
    x = torch.randint(-1, 2, (4, units), dtype=torch.int8)
    if options is None:
        layers = [nn.Linear(units, units, bias=False) for _ in range(3)]
        model: nn.Module = nn.Sequential(*[m for layer in layers for m in (layer, nn.Hardtanh())])
        optimizers = [torch.optim.Adam(model.parameters(), lr=0.001, foreach=False)]
    else:
        text = f"{units}FC-{units}FC-{units}"
        model = TernaryModule(initial_network(text, (units,), classes=tuple(map(str, range(units)))))
        norms = [p for p in model.parameters() if p.requires_grad]
        optimizers = [DST(model, lr=0.01, **options), torch.optim.Adam(norms, lr=0.01)]
    model.train()
    trimmed()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak that making the network had
    for _ in range(3):
        model(x.float() if options is None else x).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return 12.0 if options is None else optimizers[0].memory().per_weight, (model, optimizers)


def measure(name: str, units: int) -> dict[str, float]:
    steps(name, 64)  # what the libraries themselves load and allocate
    trimmed()
    before = status("VmRSS")
    counted, alive = steps(name, units)
    peak = status("VmHWM") - before
    trimmed()
    kept = status("VmRSS") - before
    weights = 3 * units * units
    del alive
    return {"counted": counted, "kept": kept / weights, "peak": peak / weights}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=3072)
    parser.add_argument("--row", choices=ROWS, help="measure this one only, print JSON")
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row, options.units)))
        return
    print(f"{3 * options.units**2:,} weights; bytes a weight")
    print(f"{'step rule':36} {'counted':>8} {'kept':>8} {'peak':>8}")
    for name in ROWS:
        command = [sys.executable, __file__, "--row", name, "--units", str(options.units)]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{name:36} {made['counted']:8.2f} {made['kept']:8.2f} {made['peak']:8.2f}", flush=True)


if __name__ == "__main__":
    main()
