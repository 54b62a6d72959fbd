"""Checkpoints: nested state of tensors and plain values in gxevent's own container.

Checksummed and written whole or not at all (:mod:`gxevent.store`); no pickle, so a checkpoint from elsewhere cannot
run code.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import store
from gxevent.errors import FormatError
from gxevent.train.backend import torch

KIND = "checkpoint"
_TENSOR, _KEYS, _TUPLE = "tensor", "keys", "tuple"


def save(state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write nested dicts, lists, tuples, tensors, numbers, strings and None."""
    tensors: dict[str, NDArray] = {}
    store.write(path, KIND, {"state": _pack(state, tensors)}, tensors)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`save` wrote, tensors on the CPU. FormatError when the file is damaged or no checkpoint."""
    contents = store.read(path, KIND)
    try:
        return _unpack(contents.body["state"], contents.tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{os.fspath(path)}: not a checkpoint of this gxevent ({error})") from error


def _pack(value: Any, tensors: dict[str, NDArray]) -> Any:
    """JSON form; JSON has only text keys and no tuples, so those are spelled out."""
    if isinstance(value, torch.Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().cpu().numpy().reshape(-1).copy()
        return {_TENSOR: name, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {_KEYS: list(value), "values": [_pack(v, tensors) for v in value.values()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_pack(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_pack(v, tensors) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _unpack(value: Any, tensors: dict[str, NDArray]) -> Any:
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return torch.from_numpy(np.array(tensors[value[_TENSOR]])).reshape(value["shape"])
    if _TUPLE in value:
        return tuple(_unpack(v, tensors) for v in value[_TUPLE])
    return {k: _unpack(v, tensors) for k, v in zip(value[_KEYS], value["values"], strict=True)}
