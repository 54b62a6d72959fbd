"""Files that gxevent recognises by their magic bytes and refuses by name, with what to do instead."""

from __future__ import annotations

from dataclasses import dataclass

from gxevent.errors import FormatError, UnsupportedError
from gxevent.events.readers.registry import ReadOptions
from gxevent.events.stream import EventStream

_HEAD = 4096  # headers of text lines are looked through so far


def _prophesee(data: bytes) -> str:
    """``"evt2"``, ``"evt3"``, ``"evt21"``, ``"dat"`` or ``""``: the body behind Prophesee's lines that begin with %."""
    head, at = [], 0
    while data[at : at + 2] == b"% " and at < _HEAD:
        end = data.find(b"\n", at)
        if end < 0:
            break
        head.append(data[at:end].lower())
        at = end + 1
    text = b"\n".join(head)
    if b"data file" in text:
        return "dat"
    for version, name in ((b"2.1", "evt21"), (b"3", "evt3"), (b"2", "evt2")):
        if b"% evt " + version in text or b"format evt" + version.replace(b".", b"") in text:
            return name
    return ""


@dataclass(frozen=True)
class Foreign:
    """One format that is known but not read."""

    name: str
    title: str
    magic: bytes = b""
    remedy: str = "convert it to CSV or npz"

    def sniff(self, data: bytes, _: str) -> bool:
        if self.magic:
            return data.startswith(self.magic)
        return _prophesee(data) == self.name

    def read(self, data: bytes, name: str, _: ReadOptions) -> EventStream:
        raise UnsupportedError(f"{name}: looks like {self.title}; gxevent does not read it yet, {self.remedy}")


@dataclass(frozen=True)
class Mistaken(Foreign):
    """A file that holds no recording at all."""

    def read(self, data: bytes, name: str, _: ReadOptions) -> EventStream:
        raise FormatError(f"{name}: looks like {self.title}, not a recording of events; {self.remedy}")


FOREIGN = (
    Foreign("aedat2", "AEDAT 2", b"#!AER-DAT2"),
    Foreign("aedat31", "AEDAT 3", b"#!AER-DAT3"),
    Foreign("aedat4", "AEDAT 4", b"#!AER-DAT4"),
    Foreign("aedat1", "AEDAT 1", b"#!AER-DAT1"),
    Foreign("dat", "Prophesee DAT"),
    Foreign("evt2", "Prophesee EVT2"),
    Foreign("evt21", "Prophesee EVT2.1"),
    Foreign("evt3", "Prophesee EVT3"),
    Foreign("event-stream", "an Event Stream (.es) file", b"Event Stream"),
    Foreign("hdf5", "HDF5", b"\x89HDF\r\n\x1a\n"),
    Foreign("rosbag", "a ROS bag", b"#ROSBAG"),
    Foreign("mat", "a MATLAB file", b"MATLAB 5.0"),
    Foreign("gzip", "a gzip-compressed file", b"\x1f\x8b", "unpack it first"),
    Mistaken("png", "a PNG image", b"\x89PNG", "images come as IDX files (MNIST layout)"),
    Mistaken("jpeg", "a JPEG image", b"\xff\xd8\xff", "images come as IDX files (MNIST layout)"),
    Mistaken("idx", "an IDX file of images", b"\x00\x00\x08\x03", "give the folder that holds images and labels"),
)


def by_name(name: str) -> Foreign:
    """The format of that name; KeyError for any other."""
    return {format.name: format for format in FOREIGN}[name]
