"""Readers of event files, chosen by content; :func:`register` adds more."""

from gxevent.events.readers import (
    aedat,
    aedat4,
    eventstream,
    foreign,
    hdf5,
    mat,
    nmnist,
    npz,
    prophesee,
    rosbag,
    text,
)
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.registry import (
    decode_events,
    format_of,
    formats,
    iter_events,
    open_events,
    recognise,
    register,
    register_source,
)
from gxevent.events.readers.writers import dump_events, write_chunks, write_events

# The order of recognition: magic bytes first, then text, last the formats that only their structure tells.
for _format in foreign.FOREIGN:
    register(_format.name, _format.sniff, _format.read)
for _name, _sniff, _open in (
    ("aedat2", aedat.sniff2, aedat.open_aedat2),
    ("aedat31", aedat.sniff31, aedat.open_aedat31),
    ("aedat4", aedat4.sniff, aedat4.open_aedat4),
    ("event-stream", eventstream.sniff, eventstream.open_es),
    ("hdf5", hdf5.sniff, hdf5.open_hdf5),
    ("rosbag", rosbag.sniff, rosbag.open_rosbag),
    ("mat", mat.sniff, mat.open_mat),
    ("npz", npz.sniff, npz.open_npz),
    ("dat", prophesee.sniff_dat, prophesee.open_dat),
    ("evt3", prophesee.sniff_evt3, prophesee.open_evt3),
    ("evt2", prophesee.sniff_evt2, prophesee.open_evt2),
    ("text", text.sniff, text.open_text),
    ("nmnist", nmnist.sniff, nmnist.open_nmnist),
):
    register_source(_name, _sniff, _open)

__all__ = [
    "ReadOptions",
    "decode_events",
    "dump_events",
    "format_of",
    "formats",
    "iter_events",
    "open_events",
    "recognise",
    "register",
    "register_source",
    "write_chunks",
    "write_events",
]
