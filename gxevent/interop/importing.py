"""``import_network``: a trained network from a file of another program, whichever it is."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from gxevent.encoder import Encoder
from gxevent.errors import FormatError, GxError, OptionError, UnsupportedError
from gxevent.layers import Activation
from gxevent.network import TernaryNetwork
from gxevent.store import read_bytes


@dataclass(frozen=True, eq=False)
class Imported:
    """A network, the format it came in, and notes on what was left out or decided."""

    network: TernaryNetwork
    format: str
    notes: tuple[str, ...]


def file_format(path: str | os.PathLike[str]) -> str:
    """ "pytorch", "nir" or "onnx", told by the file's content. FormatError for gxevent's own files and empty ones."""
    path = Path(path)
    data = read_bytes(path)
    if not data:
        raise FormatError(f"{path}: is empty")
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return "nir"
    if data[8:9] == b"{":
        if b'"gxevent"' in data[:4096] and b"__metadata__" in data[:4096]:
            raise FormatError(
                f"{path}: is gxevent's own file, nothing to import: gxevent compile or gxevent run takes it"
            )
        return "pytorch"
    if data[:4] == b"PK\x03\x04" or data[:1] == b"\x80":
        return "pytorch"
    return "onnx"


def import_network(
    path: str | os.PathLike[str],
    *,
    template: TernaryNetwork | None = None,
    eps: float | None = None,
    activation: Activation | None = None,
    encoder: Encoder | None = None,
    classes: tuple[str, ...] = (),
    input_shape: tuple[int, ...] | None = None,
    input_levels: int | None = None,
    name: str = "",
) -> Imported:
    """A network from a PyTorch checkpoint (``.pt``, ``.safetensors``), an ONNX or QONNX model, or a NIR graph.

    Parameters
    ----------
    template, eps, activation
        Checkpoints only: the structure, the eps of the batch norms, the activation of a network without template
        (see :func:`gxevent.interop.template.from_checkpoint`).
    encoder, classes, name
        As in TernaryNetwork; ONNX and NIR files that gxevent wrote bring their own.
    input_levels
        N of the space Z_N of the frames; by default the encoder's, or what the file says, or 1.
    input_shape
        ONNX and NIR only: of the frames, where the file does not say.

    Raises
    ------
    FormatError, NetworkError, UnsupportedError, OptionError, MissingExtraError
        saying what in the file cannot be brought over; lists of problems are complete.
    """
    found = file_format(path)
    if found != "pytorch" and template is not None:
        raise OptionError(f"{path}: a {found.upper()} file describes its layers itself: leave out --layers")
    frames = {"input_shape": input_shape, "input_levels": input_levels}
    try:
        if found == "pytorch":
            network, notes = _checkpoint(path, template, eps, activation, encoder, classes, input_levels)
        elif found == "onnx":
            from gxevent.interop.onnx_read import from_onnx

            network, notes = from_onnx(path, encoder=encoder, classes=classes, **frames)
        else:
            from gxevent.interop.nir_read import from_nir

            network, notes = from_nir(path, encoder=encoder, classes=classes, **frames)
    except UnsupportedError as error:
        if str(path) in str(error):
            raise
        raise UnsupportedError(f"{path}: {error}") from error
    except GxError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise FormatError(f"{path}: its description does not fit ({error!r}): write it again") from error
    provenance = {"imported_from": Path(path).name, "format": found, **network.provenance}
    named = replace(network, provenance=provenance, name=name or network.name or Path(path).stem)
    return Imported(named, found, tuple(notes))


def _checkpoint(
    path: str | os.PathLike[str],
    template: TernaryNetwork | None,
    eps: float | None,
    activation: Activation | None,
    encoder: Encoder | None,
    classes: tuple[str, ...],
    input_levels: int | None,
) -> tuple[TernaryNetwork, list[str]]:
    from gxevent.interop.checkpoint import read_checkpoint
    from gxevent.interop.template import from_checkpoint

    network, notes = from_checkpoint(read_checkpoint(path), template, eps=eps, activation=activation)
    if encoder is not None:
        network = replace(network, encoder=encoder, input_levels=encoder.levels)
    if input_levels is not None:
        network = replace(network, input_levels=input_levels)
    return (replace(network, classes=classes) if classes else network), notes
