"""Text: one event a line, separated by comma, semicolon, tab or spaces.

A first line that names its columns (t, x, y, p and usual variants, in any order) is understood; without one the order
is ``t x y p`` or one of ``columns.ORDERS`` that fits the values. Lines that begin with ``#`` are comments; one such as
``# width=240 height=180`` states the sensor. Times with fractions are seconds, whole numbers microseconds, unless the
header (``t_us``, ``time [s]``) or the caller says otherwise. Polarity is 0/1 or -1/1.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.readers import columns
from gxevent.events.readers.gate import Columns
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import Source

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


def open_text(file: BinaryIO, name: str, options: ReadOptions) -> Source:
    """Raises FormatError for a file without events or columns that cannot be told."""
    return _Text(file, name, options)


class _Text(Source):
    """Columns are told by the header or the first lines; pieces of the file are cut at line ends."""

    def __init__(self, file: BinaryIO, name: str, options: ReadOptions) -> None:
        super().__init__()
        self.file, self.name = file, name
        head = file.read(_HEAD).removeprefix(_BOM)
        first = next((line for line in _lines(head) if line), "")
        if not first:
            raise FormatError(f"{name}: holds no events, only comments or blank lines; expected lines 't x y p'")
        self.separator = _separator(first)
        fields = _split(first, self.separator)
        self.header = not all(map(_is_number, fields[:4]))
        self.columns, unit = columns.find(fields) if self.header else _commented_header(head, len(fields))
        if self.header and not self.columns:
            raise FormatError(
                f"{name}: line {first[:80]!r} is neither an event 't x y p' nor a header naming these columns"
            )
        if self.header and set(self.columns) != set("txyp"):
            missing = ", ".join(sorted(set("txyp") - set(self.columns)))
            raise FormatError(
                f"{name}: header {first[:80]!r} has no column for {missing}; name the columns t, x, y and p"
            )
        if not self.columns and len(fields) < 4:
            raise FormatError(f"{name}: line {first[:80]!r} has {len(fields)} columns, expected an event 't x y p'")
        self.clock = columns.Clock(options.time_unit or unit, name)
        self.stated = _stated(head)

    def blocks(self, size: int | None) -> Iterator[Columns]:
        number = line = 0
        for lines in self._pieces(size):
            start = 0
            if self.header and not line:
                start = next(i for i, text in enumerate(lines) if _strip(text)) + 1
            width = max(self.columns.values()) + 1 if self.columns else 4
            table = _table(lines[start:], self.name, self.separator, width, line + start)
            if not self.columns and len(table):
                self.columns = {letter: i for i, letter in enumerate(columns.guess_order(table))}
            if self.columns:
                t, x, y, p = (table[:, self.columns[letter]] for letter in "txyp")
                yield Columns(
                    self.clock(t, number),
                    columns.integers(x, self.name, "x", number),
                    columns.integers(y, self.name, "y", number),
                    columns.polarity(p, self.name, number),
                )
            number, line = number + len(table), line + len(lines)

    def _pieces(self, size: int | None) -> Iterator[list[str]]:
        """Lines of the whole file, or of some ``size`` events at once; comments in front stay with the first ones."""
        self.file.seek(0)
        if size is None:
            yield _text(self.file.read().removeprefix(_BOM), self.name, 0).splitlines()
            return
        at, rest = 0, b""
        while True:
            more = self.file.read(max(_HEAD, 16 * size))
            data = rest + more
            cut = data.rfind(b"\n") + 1 if more else len(data)
            if cut == 0 and len(data) > _HEAD:
                raise FormatError(f"{self.name}: byte {at}: a line of over {_HEAD} bytes; expected events 't x y p'")
            piece, rest = data[:cut], data[cut:]
            lines = _text(piece.removeprefix(_BOM) if at == 0 else piece, self.name, at).splitlines()
            if not self.header or at or any(map(_strip, lines)):
                yield lines
                at += len(piece)
            else:
                rest = piece + rest  # only comments so far: the header is still to come
            if not more:
                return


def _text(data: bytes, name: str, at: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: byte {at + error.start} is not text (UTF-8); fetch or convert it again") from None


def _table(lines: list[str], name: str, separator: str | None, width: int, first: int) -> NDArray[np.float64]:
    """The first ``width`` columns as float64 (n, width): exact for whole numbers below 2**53.

    ``first`` is the number of lines in front of these.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a header without rows is an empty recording
            table = np.loadtxt(lines, delimiter=separator, comments="#", usecols=range(width), ndmin=2)
    except ValueError as error:
        raise FormatError(f"{name}: {_blame(lines, first, separator, width)}") from error
    return table.reshape(-1, width)


def _blame(lines: list[str], start: int, separator: str | None, width: int) -> str:
    """What is wrong with the first line that is no event; ``start`` lines are in front of them."""
    for number, raw in enumerate(lines, start + 1):
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
