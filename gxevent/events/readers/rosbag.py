"""ROS 1 bags (``.bag``) and ROS 2 bags (a folder, or a single ``.mcap`` or ``.db3`` file), through ``rosbags``.

Messages ``event_camera_msgs/msg/EventPacket`` with encoding ``evt3`` hold EVT 3.0 words, whose decoder state runs on
from message to message; ``dvs_msgs/msg/EventArray`` of ROS 1 holds plain events with ROS times. The library walks the
container; the messages, whose layout is fixed, are read here, so that no type definition of a bag is compiled. The
first topic with events is read, the others are counted.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _decode
from gxevent.errors import FormatError, GxError, UnsupportedError, require
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import Source
from gxevent.events.stream import EVENT_DTYPE, pack

PACKET, ARRAY = "event_camera_msgs/msg/EventPacket", "dvs_msgs/msg/EventArray"
_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])


def sniff(data: bytes, name: str) -> bool:
    ros2 = data.startswith(b"rosbag2_bagfile_information")
    sqlite = data.startswith(b"SQLite format 3\x00") and name.endswith(".db3")
    return ros2 or sqlite or data.startswith((b"#ROSBAG V", b"\x89MCAP0\r\n"))


def open_rosbag(file: BinaryIO, name: str, options: ReadOptions) -> Source:
    """Raises MissingExtraError without rosbags, FormatError for damage, UnsupportedError for bags without events."""
    require("rosbags.rosbag1", extra="events", purpose="reading ROS bags")
    return _Bag(file, name)


class _Bag(Source):
    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__()
        self.file, self.name = file, name
        first = next(self._messages(), None)
        if first is not None:
            self.stated = first[1].width, first[1].height

    def blocks(self, size: int | None) -> Iterator[NDArray[np.void]]:
        decoder = _decode.Decoder("evt3")
        rest = b""
        for number, message in self._messages():
            if message.encoding == "events":
                e = np.frombuffer(message.payload, _EVENT)
                t = e["s"].astype(np.int64) * 1_000_000 + (e["ns"] + 500) // 1000
                yield pack(t, e["x"], e["y"], e["p"] != 0)
                continue
            if message.encoding != "evt3":
                raise UnsupportedError(
                    f"{self.name}: message {number}: encoding {message.encoding[:40]!r}; gxevent reads evt3"
                )
            data = memoryview(rest + message.payload)
            events = np.empty(decoder.room(len(data)) + 16, EVENT_DTYPE)
            taken, made = decoder.decode(data, events.view(np.uint8))
            rest = bytes(data[taken:])
            yield events[:made]
        words = decoder.passed
        self.dropped["untimed"] += words.pop("events_without_time", 0)
        self.passed |= words

    def _messages(self) -> Iterator[tuple[int, _Message]]:
        """(number, message) of the first topic that carries events, in the order of the bag."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield from self._read(self._path(Path(folder)))
            except (GxError, GeneratorExit):
                raise
            except Exception as error:  # the library raises many kinds on damaged bags
                line = (str(error).splitlines() or [type(error).__name__])[0][:200]
                raise FormatError(f"{self.name}: damaged or cut short ROS bag ({line}); fetch it again") from error

    def _read(self, path: Path) -> Iterator[tuple[int, _Message]]:
        from rosbags import rosbag1, rosbag2

        ros1 = path.suffix == ".bag"
        with (rosbag1 if ros1 else rosbag2).Reader(path) as bag:
            carrying = [c for c in bag.connections if c.msgtype in (PACKET, ARRAY)]
            if not carrying:
                topics = ", ".join(f"{c.topic} ({c.msgtype})" for c in bag.connections)[:200] or "no topics"
                raise UnsupportedError(f"{self.name}: holds {topics}; gxevent reads {PACKET} and {ARRAY}")
            chosen = [c for c in carrying if c.topic == carrying[0].topic]
            others = sum(c.msgcount for c in bag.connections if c.topic != chosen[0].topic)
            self.passed = {"messages_of_other_topics": others} if others else {}
            for number, (connection, _, raw) in enumerate(bag.messages(connections=chosen)):
                yield number, _Message(bytes(raw), connection.msgtype, ros1, f"{self.name}: message {number}")

    def _path(self, folder: Path) -> Path:
        """Where the library finds the bag: where it lies, or a copy for the time of reading."""
        named = getattr(self.file, "name", None)
        if isinstance(named, str) and Path(named).is_file():
            return Path(named).parent if named.endswith("metadata.yaml") else Path(named)
        suffix = {b"#R": ".bag", b"\x89M": ".mcap"}
        self.file.seek(0)
        data = self.file.read()
        copy = folder / ("copy" + suffix.get(data[:2], ".db3"))
        copy.write_bytes(data)
        return copy


class _Message:
    """One EventPacket or EventArray, read from its ROS 1 or CDR bytes: width, height, encoding, payload."""

    def __init__(self, data: bytes, kind: str, ros1: bool, where: str) -> None:
        self.data, self.ros1, self.at, self.where = data, ros1, 0 if ros1 else 4, where
        if not ros1 and data[1:2] != b"\x01":
            raise UnsupportedError(f"{where}: big-endian CDR; gxevent reads little-endian messages")
        if ros1:
            self._number("<I")  # header.seq
        self._number("<I"), self._number("<I")  # header.stamp
        self._string()  # header.frame_id
        self.height, self.width = self._number("<I"), self._number("<I")
        if kind == ARRAY:
            if not ros1:
                raise UnsupportedError(f"{where}: {ARRAY} in a ROS 2 bag; gxevent reads it in ROS 1 bags")
            self.encoding, self.payload = "events", self._bytes(_EVENT.itemsize)
            return
        self._number("<Q"), self._number("<Q")  # seq, time_base
        self.encoding = self._string().decode("ascii", "replace").rstrip("\0")
        self._number("<B")  # is_bigendian
        self.payload = self._bytes(1)

    def _number(self, form: str) -> Any:
        size = struct.calcsize(form)
        if not self.ros1:  # CDR aligns numbers, counted from behind its 4 bytes of header
            self.at += -(self.at - 4) % size
        if self.at + size > len(self.data):
            raise FormatError(f"{self.where}: cut short at byte {len(self.data)}; fetch the bag again")
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def _bytes(self, each: int) -> bytes:
        size = self._number("<I") * each
        if self.at + size > len(self.data):
            raise FormatError(
                f"{self.where}: states {size} bytes from byte {self.at} of {len(self.data)}; fetch it again"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def _string(self) -> bytes:
        return self._bytes(1)
