"""PyTorch checkpoints: the tensors of a state dict, sorted into weights and batch norms.

Only tensors are read, never pickled code. Which of them are weights, biases and batch norms is told by their names and
shapes; :mod:`gxevent.interop.template` puts them into a network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, NetworkError, require
from gxevent.store import read_bytes

PathLike = str | os.PathLike[str]
Tensors = Mapping[str, NDArray]

_NORMS = (
    {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "var"},
    {"gamma": "gamma", "beta": "beta", "mean": "mean", "var": "var"},
)
"""Names of a batch norm's tensors in PyTorch and in gxevent.train -> those of our layer."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors by name, and whether their order is the order in which the network runs."""

    path: str
    tensors: Tensors
    in_order: bool


@dataclass
class Part:
    """The tensors of one module of a checkpoint."""

    path: str
    arrays: dict[str, NDArray] = field(default_factory=dict)
    eps: float = 1e-5

    @property
    def weight(self) -> NDArray:
        return self.arrays.get("levels", self.arrays.get("weight"))


# ----------------------------------------------------------------------------------------------- reading the file


def read_checkpoint(path: PathLike) -> Checkpoint:
    """Tensors of a ``.safetensors`` file, or of a PyTorch file, of which only weights are read.

    Raises FormatError for a damaged file or one with pickled code, MissingExtraError for a PyTorch file without torch.
    """
    path = Path(path)
    data = read_bytes(path)
    if data[8:9] == b"{":
        return Checkpoint(str(path), _safetensors(path, data), in_order=False)
    torch = require("torch", extra="train", purpose="reading a PyTorch checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its zip reader, unpickler and storages happen to raise
        text = str(error)
        if "weights_only" in text or "Unsupported" in text:
            name = re.search(r"GLOBAL ([\w.]+)", text)
            raise FormatError(
                f"{path}: holds pickled code{f' ({name[1]})' if name else ''}, of which gxevent reads none: save "
                "model.state_dict() instead of the model"
            ) from error
        raise FormatError(f"{path}: not a PyTorch checkpoint, or damaged: fetch or write it again") from error
    return Checkpoint(str(path), _tensors(path, state, torch), in_order=True)


def _safetensors(path: Path, data: bytes) -> Tensors:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: not a safetensors file, or damaged ({error}): fetch or write it again") from error


def _tensors(path: Path, state: Any, torch: Any) -> Tensors:
    """The state dict itself, or the one that lies in it beside other values, as NumPy arrays."""

    def is_state(value: Any) -> bool:
        return isinstance(value, dict) and any(isinstance(v, torch.Tensor) for v in value.values())

    if isinstance(state, dict) and not is_state(state):
        inside = [key for key, value in state.items() if is_state(value)]
        state = state[inside[0]] if len(inside) == 1 else state
    if not is_state(state):
        raise FormatError(f"{path}: holds no state dict of tensors: save model.state_dict()")
    tensors = {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    return {
        key: (value.float() if value.is_floating_point() else value).detach().cpu().numpy()
        for key, value in tensors.items()
    }


def parts_of(checkpoint: Checkpoint) -> tuple[list[Part], list[Part], list[str]]:
    """Weights and batch norms in the order of the network, and notes on what was left aside.

    NetworkError listing every tensor that is neither weight, bias nor batch norm.
    """
    modules: dict[str, Part] = {}
    aside = []
    for key, array in checkpoint.tensors.items():
        path, _, name = key.rpartition(".")
        if any("quant" in word for word in path.split(".")):
            aside.append(key)
        elif name != "num_batches_tracked":
            modules.setdefault(path, Part(path)).arrays[name] = array
    if not checkpoint.in_order:
        modules = {path: modules[path] for path in sorted(modules, key=_natural)}
    weights, norms, problems = [], [], []
    for at, part in enumerate(modules.values()):
        part.arrays = {"at": np.array(at)} | part.arrays
        if _is_norm(part):
            norms.append(_as_norm(part))
        elif set(part.arrays) - {"at", "bias"} in ({"weight"}, {"levels"}) and part.weight.ndim in (2, 4):
            weights.append(part)
        else:
            problems += [
                f"{checkpoint.path}: {f'{part.path}.{name}'.lstrip('.')!r} of shape {array.shape} is neither a weight "
                "(out, in) or (out, in, rows, columns), its bias, nor part of a batch norm with running statistics"
                for name, array in part.arrays.items()
                if name != "at"
            ]
    if problems:
        raise NetworkError(problems)
    notes = [f"left aside {len(aside)} tensors of quantizers, such as {aside[0]!r}"] if aside else []
    return weights, norms, notes


def _natural(path: str) -> list[tuple[int, int, str]]:
    """Sort key that takes "10" behind "9"."""
    words = re.findall(r"\d+|\D+", path)
    return [(0, int(w), "") if w.isdigit() else (1, 0, w) for w in words]


def _is_norm(part: Part) -> bool:
    return any(
        {"running_mean", "running_var"} <= set(part.arrays) or set(part.arrays) - {"at"} == set(n) for n in _NORMS
    )


def _as_norm(part: Part) -> Part:
    names = _NORMS[0] if "running_mean" in part.arrays else _NORMS[1]
    arrays = {names.get(key, key): value for key, value in part.arrays.items()}
    ones = np.ones(len(arrays["mean"]), np.float32)
    return Part(part.path, {"gamma": ones, "beta": 0 * ones} | arrays, 1e-5 if "running_mean" in part.arrays else 1e-4)
