"""A bench as a page of Markdown: the goals, every workload with every peer, layer sizes, threads, counting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from gxevent.bench import goals
from gxevent.bench.goals import header, line, microseconds, share_of, times
from gxevent.bench.results import COUNTING, OURS, Results, Row
from gxevent.bench.workloads import SIZES

Case = tuple[str, int, int]
"""Network, batch size, threads."""


def page(results: Results) -> str:
    """What can be said of the results; sections without rows are left out."""
    rows = [row for row in results.rows if row.peer != COUNTING and row.equal is not False]
    titles = {work.network: work.title for work in results.workloads}
    sections = [
        *_workloads(rows, titles),
        ("The shipped networks at their own activity", _zoo(rows)),
        ("Time against layer size", _sizes(rows)),
        ("Two threads and more", _threads(rows)),
        ("Counting events and open gates", goals.counting(results.rows)),
    ]
    lines = [*goals.beside_measured(results), ""]
    for title, body in sections:
        if body:
            lines += [f"### {title}", "", *body, ""]
    return "\n".join([*lines, *goals.method(results)]) + "\n"


def _workloads(rows: Sequence[Row], titles: dict[str, str]) -> Iterable[tuple[str, list[str]]]:
    """One table a network and batch size with activities across; networks at one activity alone are not among them."""
    cases: dict[Case, list[Row]] = {}
    for row in rows:
        if row.activity is not None and row.threads == 1:
            cases.setdefault((row.network, row.batch, row.threads), []).append(row)
    for (network, batch, _), own in cases.items():
        if len({row.activity for row in own}) > 1:
            yield f"{titles.get(network, network)}, batch {batch}", _grid(own, lambda row: f"{share_of(row)} active")


def _zoo(rows: Iterable[Row]) -> list[str]:
    own = [row for row in rows if row.activity is None and row.threads == 1]
    return _grid(own, lambda row: f"{row.network.removeprefix('zoo:')}, {row.measured:.0%} active, batch {row.batch}")


def _sizes(rows: Iterable[Row]) -> list[str]:
    """Square layers at about 20 % activity, one sample a call."""
    sizes = {str(size) for size in SIZES}
    alone = [row for row in rows if row.network in sizes and (row.batch, row.threads) == (1, 1)]
    near = [row for row in alone if row.activity is not None and abs(row.activity - 0.2) < 0.05]
    near.sort(key=lambda row: int(row.network))
    return _grid(near, lambda row: f"{row.network}x{row.network}") if len({row.network for row in near}) > 1 else []


def _threads(rows: Iterable[Row]) -> list[str]:
    """Our own speed-up by the wall clock."""
    wall = {(r.network, r.batch, share_of(r), r.threads): r.wall_us for r in rows if r.peer == OURS}
    shared = [key for key in wall if key[3] > 1 and (*key[:3], 1) in wall and key[1] > 1]
    lines = header(["network", "batch", "active", "threads", "us a sample", "speed-up, wall clock"]) if shared else []
    for network, batch, share, threads in shared:
        us, alone = wall[network, batch, share, threads], wall[network, batch, share, 1]
        cells = [network, str(batch), share, str(threads), microseconds(us), f"{alone / us:.2f}x"]
        lines.append(line(cells))
    return lines


def _grid(rows: Sequence[Row], column_of: Callable[[Row], str]) -> list[str]:
    """Peers down, the quickest first; columns across. Our own cells are times, the others' ratios to them."""
    columns = list(dict.fromkeys(column_of(row) for row in rows))
    by_peer: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_peer.setdefault(row.peer, {})[column_of(row)] = row
    order = sorted(by_peer, key=lambda peer: (peer != OURS, fmean(row.ratio or 0.0 for row in by_peer[peer].values())))
    lines = header(["", *columns]) if rows else []
    for peer in order:
        cells = [_cell(by_peer[peer].get(column)) for column in columns]
        lines.append(line([peer, *cells]))
    return lines


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{microseconds(row.us)} us" if row.ratio is None else times(row.ratio)
