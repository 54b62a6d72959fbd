"""AEDAT 4, the format of DV: packets of FlatBuffers, each compressed on its own.

``#!AER-DAT4.0``, a size-prefixed FlatBuffer ``IOHE`` (compression, position of the trailing table, XML that describes
the streams), then packets: i32 stream, i32 size, that many bytes, in which a size-prefixed FlatBuffer lies: ``EVTS``
events, ``FRME`` a frame, ``IMUS`` and ``TRIG`` lists. Times are Unix time in microseconds.

The few offsets of these FlatBuffers are followed here, every one checked against the packet; decompression is by the
packages lz4 and zstandard, and uncompressed files need neither. That way a file is read packet by packet, from memory
or disk, and a damaged one ends in an error that names the byte. Of several event streams the first is read, the
others are counted.

inivation, "AEDAT 4.0", docs.inivation.com/software/software-advanced-usage/file-formats.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _decode
from gxevent.errors import FormatError, UnsupportedError, require
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import Source
from gxevent.events.stream import EVENT_DTYPE

MAGIC = b"#!AER-DAT4.0\r\n"
MAX_PACKET = 1 << 28
"""Bytes of one packet, decompressed, at most: a packet of DV holds some ten thousand events."""

_EVENT = 16
_KINDS = {b"FRME": "frames", b"IMUS": "imu_samples", b"TRIG": "triggers"}
_COMPRESSION = {0: "none", 1: "lz4", 2: "lz4", 3: "zstd", 4: "zstd"}


class _Damaged(Exception):
    """An offset points outside its FlatBuffer, or a block cannot be decompressed."""


def sniff(data: bytes, _: str) -> bool:
    return data.startswith(b"#!AER-DAT4")


def open_aedat4(file: BinaryIO, name: str, options: ReadOptions) -> Source:
    """Raises FormatError for a damaged header, UnsupportedError for another compression or minor version."""
    head = file.read(len(MAGIC) + 4)
    if not head.startswith(MAGIC):
        raise UnsupportedError(f"{name}: begins with {head[:12]!r}; gxevent reads AEDAT 4.0")
    size = int.from_bytes(head[len(MAGIC) :], "little")
    table = head[len(MAGIC) :] + (file.read(size) if size <= MAX_PACKET else b"")
    try:
        flat = _Flat(table, b"IOHE")
        compression = flat.number(0, "<i")
        end = flat.number(1, "<q", -1)
        description = flat.text(2)
    except _Damaged as error:
        raise FormatError(f"{name}: byte {len(MAGIC)}: its header is damaged or cut short ({error})") from None
    if compression not in _COMPRESSION:
        raise UnsupportedError(f"{name}: compression {compression}; gxevent reads none, LZ4 and ZSTD")
    return _Aedat4(file, name, options, file.tell(), _COMPRESSION[compression], end, description)


class _Aedat4(Source):
    def __init__(
        self, file: BinaryIO, name: str, options: ReadOptions, start: int, compression: str, end: int, text: bytes
    ) -> None:
        super().__init__()
        self.file, self.name, self.options, self.start, self.end = file, name, options, start, end
        self.decompress = _decompressor(compression)
        node = re.search(
            rb'<node name="(\d{1,9})"(?:(?!<node name="\d)[\s\S])*?>EVTS<[\s\S]*?(?=<node name="\d|\Z)', text
        )
        self.stream = int(node[1]) if node else None
        sizes = [re.search(rb'key="size%c"[^>]*>\s*(\d{1,9})' % axis, node[0] if node else text) for axis in b"XY"]
        if all(sizes):
            self.stated = int(sizes[0][1]), int(sizes[1][1])

    def blocks(self, size: int | None) -> Iterator[NDArray[np.void]]:
        for _, events in self._packets():
            yield events

    def place(self, number: int) -> str:
        seen = 0
        for at, events in self._packets():
            seen += len(events)
            if seen > number:
                return f"packet at byte {at}"
        return ""

    def _packets(self) -> Iterator[tuple[int, NDArray[np.void]]]:
        """(byte where it begins, its events), packet by packet."""
        self.passed = {}
        at = self.start
        self.file.seek(at)
        while at != self.end:
            head = self.file.read(8)
            if not head:
                break
            stream, size = struct.unpack("<ii", head) if len(head) == 8 else (0, 0)
            if size < 0 or size > MAX_PACKET:
                raise FormatError(f"{self.name}: byte {at}: a packet of {size} bytes cannot be; fetch it again")
            data = self.file.read(size)
            if len(head) < 8 or len(data) < size:
                self._cut_short(at, at + len(head) + len(data))
                break
            try:
                events = self._decode(stream, self.decompress(data))
            except _Damaged as error:
                raise FormatError(f"{self.name}: byte {at}: damaged packet ({error}); fetch it again") from None
            if len(events):
                yield at, events
            at += 8 + size

    def _decode(self, stream: int, data: bytes) -> NDArray[np.void]:
        kind = data[8:12]
        none = np.empty(0, EVENT_DTYPE)
        if kind == b"EVTS":
            flat = _Flat(data, kind)
            start, count = flat.vector(0, _EVENT)
            if self.stream is None:
                self.stream = stream
            if stream != self.stream:
                self._pass("events_of_other_streams", count)
                return none
            events = np.empty(count, EVENT_DTYPE)
            content = memoryview(data)[start : start + _EVENT * count]
            _decode.Decoder("aedat4").decode(content, events.view(np.uint8))
            return events
        if kind in _KINDS:
            self._pass(_KINDS[kind], 1 if kind == b"FRME" else _Flat(data, kind).vector(0, 4)[1])
        elif kind != b"FTAB":
            self._pass("other_packets", 1)
        return none

    def _pass(self, kind: str, count: int) -> None:
        if count:
            self.passed[kind] = self.passed.get(kind, 0) + count

    def _cut_short(self, at: int, end: int) -> None:
        if self.options.on_truncated == "drop":
            self.dropped["truncated_bytes"] = end - at
            return
        raise FormatError(
            f"{self.name}: cut short at byte {end}, within the packet at byte {at}; fetch it again, or pass "
            "on_truncated='drop'"
        )


class _Flat:
    """A size-prefixed FlatBuffer of which one table is read; every offset is checked."""

    def __init__(self, data: bytes, kind: bytes) -> None:
        self.data = data
        if data[8:12] != kind:
            raise _Damaged(f"expected a table {kind.decode()}, found {data[8:12]!r}")
        self.table = 4 + self._at(4, "<I")
        self.vtable = self.table - self._at(self.table, "<i")
        self.size = self._at(self.vtable, "<H")

    def _at(self, offset: int, form: str) -> int:
        if offset < 0 or offset + struct.calcsize(form) > len(self.data):
            raise _Damaged(f"offset {offset} of {len(self.data)} bytes")
        return struct.unpack_from(form, self.data, offset)[0]

    def _field(self, index: int) -> int | None:
        """Where field ``index`` of the table lies; None where it is left out."""
        slot = 4 + 2 * index
        offset = self._at(self.vtable + slot, "<H") if slot + 2 <= self.size else 0
        return self.table + offset if offset else None

    def number(self, index: int, form: str, default: int = 0) -> int:
        at = self._field(index)
        return default if at is None else self._at(at, form)

    def vector(self, index: int, each: int) -> tuple[int, int]:
        """(first byte, number of elements) of a vector whose elements take ``each`` bytes."""
        at = self._field(index)
        if at is None:
            return 0, 0
        at += self._at(at, "<I")
        count = self._at(at, "<I")
        if at + 4 + each * count > len(self.data):
            raise _Damaged(f"{count} elements of {each} bytes from byte {at + 4} of {len(self.data)}")
        return at + 4, count

    def text(self, index: int) -> bytes:
        start, count = self.vector(index, 1)
        return self.data[start : start + count]


def _decompressor(compression: str):
    """The function that unpacks one packet; MissingExtraError when its package is absent."""
    if compression == "none":
        return bytes
    if compression == "lz4":
        lz4 = require("lz4.frame", extra="events", purpose="reading AEDAT 4 with LZ4 compression")

        def unpack(data: bytes) -> bytes:
            decoder = lz4.LZ4FrameDecompressor()
            try:
                # The library takes as much memory as it is allowed to fill: try with little first.
                out = decoder.decompress(data, max_length=16 * len(data))
                if not decoder.eof:
                    out += decoder.decompress(b"", max_length=MAX_PACKET)
            except (RuntimeError, ValueError, EOFError, MemoryError) as error:
                raise _Damaged(f"LZ4: {error}") from None
            if not decoder.eof:
                raise _Damaged(f"LZ4: its frame does not end, or holds over {MAX_PACKET} bytes")
            return out

        return unpack
    zstandard = require("zstandard", extra="events", purpose="reading AEDAT 4 with ZSTD compression")

    def unpack(data: bytes) -> bytes:
        try:
            frame = zstandard.get_frame_parameters(data)
            if frame.window_size > MAX_PACKET:
                raise _Damaged(f"ZSTD: a window of {frame.window_size} bytes")
            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                parts = iter(lambda: reader.read(1 << 20), b"")
                out = bytearray()
                for part in parts:
                    out += part
                    if len(out) > MAX_PACKET:
                        raise _Damaged(f"ZSTD: holds over {MAX_PACKET} bytes")
        except (zstandard.ZstdError, MemoryError) as error:
            raise _Damaged(f"ZSTD: {error}") from None
        return bytes(out)

    return unpack
