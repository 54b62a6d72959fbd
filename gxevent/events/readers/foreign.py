"""Files that gxevent recognises by their magic bytes and refuses by name, with what to do instead."""

from __future__ import annotations

from dataclasses import dataclass

from gxevent.errors import FormatError, UnsupportedError
from gxevent.events.readers import prophesee
from gxevent.events.readers.options import ReadOptions
from gxevent.events.stream import EventStream


@dataclass(frozen=True)
class Foreign:
    """One format that is known but not read."""

    name: str
    title: str
    magic: bytes = b""
    remedy: str = "convert it to CSV or npz"

    def sniff(self, data: bytes, _: str) -> bool:
        return data.startswith(self.magic) if self.magic else prophesee.kind(data) == self.name

    def read(self, data: bytes, name: str, _: ReadOptions) -> EventStream:
        raise UnsupportedError(f"{name}: looks like {self.title}; gxevent does not read it yet, {self.remedy}")


@dataclass(frozen=True)
class Mistaken(Foreign):
    """A file that holds no recording at all."""

    def read(self, data: bytes, name: str, _: ReadOptions) -> EventStream:
        raise FormatError(f"{name}: looks like {self.title}, not a recording of events; {self.remedy}")


FOREIGN = (
    Foreign("aedat1", "AEDAT 1", b"#!AER-DAT1"),
    Foreign("evt21", "Prophesee EVT2.1", remedy="convert it to EVT2 or EVT3 with Prophesee's tools"),
    Foreign("gzip", "a gzip-compressed file", b"\x1f\x8b", "unpack it first"),
    Mistaken("png", "a PNG image", b"\x89PNG", "images come as IDX files (MNIST layout)"),
    Mistaken("jpeg", "a JPEG image", b"\xff\xd8\xff", "images come as IDX files (MNIST layout)"),
    Mistaken("idx", "an IDX file of images", b"\x00\x00\x08\x03", "give the folder that holds images and labels"),
)


def by_name(name: str) -> Foreign:
    """The format of that name; KeyError for any other."""
    return {format.name: format for format in FOREIGN}[name]
