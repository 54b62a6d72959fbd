"""What the gate units are to reach beside their peers, next to what was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gxevent.bench.results import COUNTING, Results, Row

SHARES = (0.05, 0.20, 0.45, 1.0)
"""Activities of the table's columns."""


@dataclass(frozen=True)
class Goal:
    """Ratios to reach at each of ``SHARES`` (None: none set), one thread. Of several peers the fastest counts."""

    workload: str
    peer: str
    network: str
    batch: int
    peers: tuple[str, ...]
    ratios: tuple[float | None, ...]


_ORT_INT8 = ("onnxruntime int8 static", "onnxruntime int8 dynamic")
_TORCH_INT8 = ("torch int8 static", "torch int8 dynamic")
_SPIKING = ("snntorch step", "spikingjelly step", "sinabs step", "norse step")

GOALS = (
    Goal("MLP 784-512-512-10, batch 1", "onnxruntime int8", "mlp", 1, _ORT_INT8, (45, 30, 18, 9)),
    Goal("", "onnxruntime fp32", "mlp", 1, ("onnxruntime fp32",), (115, 75, 45, 23)),
    Goal("", "torch fp32, same ternary net", "mlp", 1, ("torch fp32",), (250, 160, 100, 50)),
    Goal("", "one time step of a spiking network (fastest of four)", "mlp", 1, _SPIKING, (800, 500, 300, None)),
    Goal("", "Brian2 C++ standalone", "mlp", 1, ("brian2 standalone",), (50, 110, 130, None)),
    Goal("4096x4096, batch 1", "onnxruntime int8", "4096", 1, _ORT_INT8, (120, 35, 18, 13)),
    Goal("1024x1024, batch 256", "fastest int8", "1024", 256, _ORT_INT8 + _TORCH_INT8, (24, 10, 5, 3.5)),
    Goal("MLP, batch 1000", "onnxruntime int8", "mlp", 1000, _ORT_INT8, (22, 10, 5, 3)),
    Goal("the paper's MNIST net, batch 1", "onnxruntime int8 static", "lenet", 1, _ORT_INT8[:1], (18, 12, 7, 6)),
    Goal("", "torch fp32, same ternary net", "lenet", 1, ("torch fp32",), (70, 45, 28, 24)),
    Goal("the paper's CIFAR VGG, batch 1", "onnxruntime int8 static", "vgg", 1, _ORT_INT8[:1], (16, 8, 4.5, 3)),
    Goal("", "torch fp32, same ternary net", "vgg", 1, ("torch fp32",), (50, 26, 14, 9)),
)


def fastest(rows: Iterable[Row], goal: Goal, share: float) -> Row | None:
    """The fastest of a goal's peers at one activity, one thread; None where it was not measured."""
    wanted = (goal.network, goal.batch, 1, share)
    found = [
        row
        for row in rows
        if (row.network, row.batch, row.threads, row.activity) == wanted
        and row.peer in goal.peers
        and row.equal is not False
        and row.ratio is not None
    ]
    return min(found, key=lambda row: row.ratio or 0.0, default=None)


def beside_measured(results: Results) -> list[str]:
    """The goals beside what was measured."""
    lines = header(["workload", "peer", *(f"{share:.0%} active" for share in SHARES)])
    for goal in GOALS:
        cells = [_cell(goal, i, fastest(results.rows, goal, share)) for i, share in enumerate(SHARES)]
        lines.append(line([goal.workload, goal.peer, *cells]))
    return lines


def _cell(goal: Goal, i: int, row: Row | None) -> str:
    asked = goal.ratios[i]
    said = f"goal {asked:g}x" if asked else "no goal"
    if row is None:
        return f"{said}: not measured" if asked else "-"
    value = f"{times(row.ratio)} ({_range(row)})"
    return f"**{value}**, {said}" if asked and (row.ratio or 0) >= asked else f"{value}, {said}"


def counting(rows: Sequence[Row]) -> list[str]:
    """Counting events and open gates beside not counting, one line a workload."""
    counted = [row for row in rows if row.peer == COUNTING]
    if not counted:
        return []
    lines = header(["workload", "active", "us a sample", "with counting", "time with counting / without"])
    for row in counted:
        name = f"{row.network}, batch {row.batch}, {row.threads} thread{'s' * (row.threads > 1)}"
        cells = [
            name,
            share_of(row),
            microseconds(row.ours_us),
            microseconds(row.us),
            f"{row.ratio:.2f} ({_range(row)})",
        ]
        lines.append(line(cells))
    return lines


def method(results: Results) -> list[str]:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    rounds = min((row.rounds for row in results.rows), default=0)
    return [
        f"Median ratio (middle half) of {rounds} interleaved rounds, one call of `Engine.run` and one of the peer. "
        f"{machine.get('processor')}, kernel {machine.get('kernel')}; {versions}. A peer in int8 runs the plain ReLU "
        "network of the same shape; the others run the same ternary network and gave the same sums.",
    ]


def header(names: Sequence[str]) -> list[str]:
    return [line(names), "|" + "---|" * len(names)]


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def times(ratio: float | None) -> str:
    """ "3.4x", "34x", "340x": three digits are more than a shared machine gives."""
    if ratio is None:
        return "-"
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2f}x"


def microseconds(us: float) -> str:
    """Three digits, thousands separated."""
    return f"{us:.3g}" if us < 1000 else f"{float(f'{us:.3g}'):,.0f}"


def _range(row: Row) -> str:
    low, high = row.ratio_low or 0.0, row.ratio_high or 0.0
    digits = 0 if low >= 10 else 1 if low >= 2 else 2
    return f"{low:.{digits}f}-{high:.{digits}f}"


def share_of(row: Row) -> str:
    """Activity as asked, or as a trained network has it."""
    return f"{row.measured:.0%} (its own)" if row.activity is None else f"{row.activity:.0%}"
