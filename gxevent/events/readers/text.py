"""Text: one event a line, separated by comma, semicolon, tab or spaces.

A first line that names its columns (t, x, y, p and usual variants, in any order) is understood; without one the order
is ``t x y p`` or one of ``columns.ORDERS`` that fits the values. Lines that begin with ``#`` are comments; one such as
``# width=240 height=180`` states the sensor. Times with fractions are seconds, whole numbers microseconds, unless the
header (``t_us``, ``time [s]``) or the caller says otherwise. Polarity is 0/1 or -1/1.
"""

from __future__ import annotations

import io
import re
import warnings

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.readers import columns
from gxevent.events.readers.registry import ReadOptions
from gxevent.events.stream import EventStream

_HEAD = 65536  # bytes looked at to recognise text and its layout
_BOM = b"\xef\xbb\xbf"


def sniff(data: bytes, name: str) -> bool:
    """Text whose first line that is no comment holds four numbers or names the columns; or a name such as ``.csv``."""
    head = data[:_HEAD]
    if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", head):
        return False
    if name.lower().endswith((".csv", ".txt", ".tsv")):
        return True
    line = next((line for line in _lines(head) if line), "")
    fields = _split(line, _separator(line))
    return len(fields) >= 4 and (all(map(_is_number, fields[:4])) or set(columns.find(fields)[0]) == set("txyp"))


def read(data: bytes, name: str, options: ReadOptions) -> EventStream:
    """Decode. FormatError naming the line that cannot be read."""
    data = data.removeprefix(_BOM)
    head = data[:_HEAD]
    first = next((line for line in _lines(head) if line), "")
    if not first:
        raise FormatError(f"{name}: holds no events, only comments or blank lines; expected lines 't x y p'")
    separator = _separator(first)
    fields = _split(first, separator)
    header = not all(map(_is_number, fields[:4]))
    place, unit = columns.find(fields) if header else _commented_header(head, len(fields))
    if header and not place:
        raise FormatError(
            f"{name}: line {first[:80]!r} is neither an event 't x y p' nor a header naming these columns"
        )
    if header and set(place) != set("txyp"):
        missing = ", ".join(sorted(set("txyp") - set(place)))
        raise FormatError(f"{name}: header {first[:80]!r} has no column for {missing}; name the columns t, x, y and p")
    if not place and len(fields) < 4:
        raise FormatError(f"{name}: line {first[:80]!r} has {len(fields)} columns, expected an event 't x y p'")
    table = _table(data, name, separator, skip=header, width=max(place.values()) + 1 if place else 4)
    if not place:
        place = {letter: i for i, letter in enumerate(columns.guess_order(table))}
    t, x, y, p = (table[:, place[letter]] for letter in "txyp")
    return options.stream(
        columns.microseconds(t, name, options.time_unit or unit),
        columns.integers(x, name, "x"),
        columns.integers(y, name, "y"),
        columns.polarity(p, name),
        name,
        _stated(head),
    )


def write(stream: EventStream, name: str = "") -> bytes:
    """CSV with a header; times in microseconds, polarity 0/1, the sensor in a comment."""
    e = stream.events
    table = np.stack([e["t"], e["x"].astype(np.int64), e["y"].astype(np.int64), e["p"].astype(np.int64)], axis=1)
    out = io.StringIO()
    out.write(f"# width={stream.width} height={stream.height}\nt_us,x,y,p\n")
    np.savetxt(out, table, fmt="%d", delimiter=",")
    return out.getvalue().encode()


def _table(data: bytes, name: str, separator: str | None, *, skip: bool, width: int) -> NDArray[np.float64]:
    """The first ``width`` columns as float64 (n, width): exact for whole numbers below 2**53."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: byte {error.start} is not text (UTF-8); fetch or convert it again") from None
    lines = text.splitlines()
    start = 0
    if skip:
        start = next(i for i, line in enumerate(lines) if _strip(line)) + 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a header without rows is an empty recording
            table = np.loadtxt(lines[start:], delimiter=separator, comments="#", usecols=range(width), ndmin=2)
    except ValueError as error:
        raise FormatError(f"{name}: {_blame(lines, start, separator, width)}") from error
    return table.reshape(-1, width)


def _blame(lines: list[str], start: int, separator: str | None, width: int) -> str:
    """What is wrong with the first line that is no event."""
    for number, raw in enumerate(lines[start:], start + 1):
        fields = _split(_strip(raw), separator)
        if not _strip(raw):
            continue
        if len(fields) < width:
            return f"line {number} has {len(fields)} of {width} columns ({raw[:60]!r}); the file may be cut short"
        for field in fields[:width]:
            if not _is_number(field):
                return f"line {number}: {field[:40]!r} is not a number; expected an event such as '1200 17 4 1'"
    return "cannot be read as a table of numbers; expected lines 't x y p'"


def _strip(line: str) -> str:
    return line.partition("#")[0].strip()


def _lines(head: bytes) -> list[str]:
    return [_strip(line) for line in head.removeprefix(_BOM).decode("utf-8", "replace").splitlines()]


def _commented_header(head: bytes, width: int) -> tuple[dict[str, int], str | None]:
    """Columns named by a comment line, as numpy.savetxt writes them: positions below ``width``, unit; or nothing."""
    for line in head.decode("utf-8", "replace").splitlines():
        if line.startswith("#"):
            line = line.strip("# ")
            place, unit = columns.find(_split(line, _separator(line)))
            if set(place) == set("txyp") and max(place.values()) < width:
                return place, unit
    return {}, None


def _separator(line: str) -> str | None:
    """The separator of a line; None: any run of white space."""
    return next((mark for mark in (",", ";", "\t") if mark in line), None)


def _split(line: str, separator: str | None) -> list[str]:
    return [field.strip().strip('"') for field in line.split(separator)] if line else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _stated(head: bytes) -> tuple[int, int] | None:
    found = re.search(rb"#.*?width\W+(\d+)\W+height\W+(\d+)", head)
    return (int(found[1]), int(found[2])) if found else None
