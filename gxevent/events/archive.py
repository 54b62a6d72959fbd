"""Files inside a folder, a zip or a tar archive, read without unpacking.

A store of files has ``names`` (paths inside, with /) and ``read(name)``. Nothing stays open between reads: each one
opens, seeks and closes, so stores may be shared by threads, forked and pickled. Compressed tar archives cannot be
read out of order and are held in memory.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gxevent.errors import FormatError, UnsupportedError
from gxevent.store import read_bytes


class Store(Protocol):
    """Files by name."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def read(self, name: str) -> bytes: ...


def open_store(path: Path) -> Store | None:
    """The store at ``path``; None when it is a plain file. FormatError for a damaged archive."""
    if path.is_dir():
        return _open_folder(path)
    try:
        if zipfile.is_zipfile(path):
            store = _open_zip(path)
            recording = all(name.endswith(".npy") for name in store.names) and "/" not in "".join(store.names)
            return None if recording and store.names else store  # an .npz is a zip too, and one recording
        if _is_tar(path):
            return _open_tar(path)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise FormatError(f"{path}: damaged or cut short archive ({error}); fetch it again") from error
    return None


@dataclass(frozen=True)
class Folder:
    """Files below a folder."""

    path: Path
    names: tuple[str, ...] = ()

    def read(self, name: str) -> bytes:
        return read_bytes(self.path / name)


@dataclass(frozen=True)
class _Member:
    """Where a zip member lies: its local header, its sizes, its check sum."""

    header: int
    packed: int
    size: int
    method: int
    crc: int


@dataclass(frozen=True)
class Zip:
    """The members of a zip archive, stored or deflated."""

    path: Path
    members: dict[str, _Member]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    def read(self, name: str) -> bytes:
        member = self.members[name]
        try:
            with open(self.path, "rb") as file:
                file.seek(member.header)
                head = file.read(30)
                # The local header repeats name and extra field, with lengths of its own.
                file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), os.SEEK_CUR)
                data = file.read(member.packed)
            if member.method == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        except (OSError, zlib.error) as error:
            raise FormatError(
                f"{self.path}: member {name}: cannot be read ({error}); fetch the archive again"
            ) from error
        if len(data) != member.size or zlib.crc32(data) != member.crc:
            raise FormatError(f"{self.path}: member {name}: damaged (its check sum differs); fetch the archive again")
        return data


@dataclass(frozen=True)
class Memory:
    """Files held in memory."""

    files: dict[str, bytes]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.files)

    def read(self, name: str) -> bytes:
        return self.files[name]


@dataclass(frozen=True)
class Tar:
    """The members of an uncompressed tar archive: (offset, size) of each."""

    path: Path
    members: dict[str, tuple[int, int]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    def read(self, name: str) -> bytes:
        offset, size = self.members[name]
        with open(self.path, "rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise FormatError(f"{self.path}: member {name}: cut short at byte {offset + len(data)}; fetch it again")
        return data


def _open_folder(path: Path) -> Folder:
    found = []
    for root, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(root).relative_to(path).as_posix()
        found += [name if inside == "." else f"{inside}/{name}" for name in files]
    return Folder(path, tuple(found))


def _open_zip(path: Path) -> Zip:
    members = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                what = "encrypted" if info.flag_bits & 1 else f"compressed by method {info.compress_type}"
                raise UnsupportedError(
                    f"{path}: member {info.filename} is {what}; gxevent reads stored and deflated ones"
                )
            members[info.filename] = _Member(
                info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
            )
    return Zip(path, members)


def _is_tar(path: Path) -> bool:
    # tarfile.is_tarfile takes much for a tar, gzip files of any content cost a decompression: ask the name as well.
    named = path.name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2"))
    return named and path.is_file()


def _open_tar(path: Path) -> Tar | Memory:
    with open(path, "rb") as file:
        plain = file.read(265)[257:262] == b"ustar"
    with tarfile.open(path) as archive:
        if plain:
            return Tar(path, {m.name.removeprefix("./"): (m.offset_data, m.size) for m in archive if m.isreg()})
        files = {}
        for member in archive:
            handle = archive.extractfile(member) if member.isreg() else None
            if handle is not None:
                files[member.name.removeprefix("./")] = handle.read()
        return Memory(files)
