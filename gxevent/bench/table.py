"""Results as tables for people: one a network, batch size and thread count, peers down, activities across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gxevent.bench.goals import microseconds, share_of, times
from gxevent.bench.results import COUNTING, OURS, Results, Row

RUNS = {"ternary": "the same network", "relu": "plain ReLU twin", "step": "one time step"}


class Table(NamedTuple):
    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(results: Results) -> list[Table]:
    """Our times first, then peers from the fastest to the slowest at the last activity."""
    cases: dict[tuple[str, int, int], list[Row]] = {}
    for row in results.rows:
        cases.setdefault((row.network, row.batch, row.threads), []).append(row)
    titles = {work.network: work.title for work in results.workloads}
    return [_table(titles.get(case[0], case[0]), *case[1:], rows) for case, rows in cases.items()]


def _table(title: str, batch: int, threads: int, rows: Sequence[Row]) -> Table:
    shares = list(dict.fromkeys(share_of(row) for row in rows))
    by_peer: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_peer.setdefault(row.peer, {})[share_of(row)] = row
    slowest = {peer: max(row.us for row in own.values()) for peer, own in by_peer.items()}
    order = sorted(by_peer, key=lambda peer: (peer != OURS, peer != COUNTING, slowest[peer]))
    lines = [
        (peer, _runs(by_peer[peer]), *(_cell(by_peer[peer].get(share), len(shares)) for share in shares))
        for peer in order
    ]
    case = f"{title}, batch {batch}, {threads} thread{'s' * (threads > 1)}"
    return Table(
        f"{case}: us a sample, ratio to gxevent (middle half)",
        ("", "runs", *(f"{share} active" for share in shares)),
        lines,
    )


def _runs(rows: dict[str, Row]) -> str:
    first = next(iter(rows.values()))
    if any(row.equal is False for row in rows.values()):
        return "GIVES OTHER SUMS"
    return RUNS[first.runs] if first.family != "gxevent" else "ternary events"


def _cell(row: Row | None, columns: int) -> str:
    if row is None:
        return "-"
    if row.ratio is None:
        return microseconds(row.us)
    if row.peer == COUNTING:
        return f"{microseconds(row.us)}  {row.ratio - 1:+.1%}"
    spread = f" ({times(row.ratio_low)[:-1]}-{times(row.ratio_high)[:-1]})" if columns <= 4 else ""
    return f"{microseconds(row.us)}  {times(row.ratio)}{spread}"
