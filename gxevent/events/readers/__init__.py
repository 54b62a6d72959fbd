"""Readers of event files, chosen by content; :func:`register` adds more."""

from gxevent.events.readers import foreign, nmnist, npz, text
from gxevent.events.readers.registry import ReadOptions, decode_events, formats, open_events, recognise, register
from gxevent.events.readers.writers import dump_events, write_events

# The order of recognition: magic bytes first, then text, last the format that only its structure tells.
for _format in foreign.FOREIGN:
    register(_format.name, _format.sniff, _format.read)
for _name, _reader in (("npz", npz), ("text", text), ("nmnist", nmnist)):
    register(_name, _reader.sniff, _reader.read)

__all__ = [
    "ReadOptions",
    "decode_events",
    "dump_events",
    "formats",
    "open_events",
    "recognise",
    "register",
    "write_events",
]
