"""The peers there are; a new one is one entry here and a function that makes its contestant."""

from __future__ import annotations

from collections.abc import Sequence

from gxevent.bench.peers import arrays, brian, onnx_runtime, openvino, pytorch, spiking
from gxevent.bench.peers.base import Peer
from gxevent.errors import OptionError

_TORCH = {"torch": "torch"}
_SCIPY = {"scipy": "scipy"}
_ORT = {"onnxruntime": "onnxruntime", "onnx": "onnx"}
_OPENVINO = {"openvino": "openvino", "onnx": "onnx"}
_BRIAN = {"brian2": "brian2"}

PEERS: tuple[Peer, ...] = (
    Peer("numpy fp32", "numpy", "fp32", "ternary", {"numpy": "numpy"}, arrays.numpy_blas),
    Peer("numpy events", "numpy", "int8", "ternary", {"numpy": "numpy"}, arrays.numpy_events),
    Peer("scipy weights", "scipy", "fp32", "ternary", _SCIPY, arrays.scipy_weights),
    Peer("scipy events", "scipy", "fp32", "ternary", _SCIPY, arrays.scipy_events),
    Peer("torch fp32", "torch", "fp32", "ternary", _TORCH, pytorch.float32),
    Peer("torch fp32 relu", "torch", "fp32", "relu", _TORCH, pytorch.float32),
    Peer("torch int8 dynamic", "torch", "int8", "relu", _TORCH, pytorch.int8_dynamic),
    Peer("torch int8 static", "torch", "int8", "relu", _TORCH, pytorch.int8_static),
    Peer("onnxruntime fp32", "onnxruntime", "fp32", "ternary", _ORT, onnx_runtime.float32),
    Peer("onnxruntime fp32 relu", "onnxruntime", "fp32", "relu", _ORT, onnx_runtime.float32),
    Peer("onnxruntime int8 ternary", "onnxruntime", "int8", "ternary", _ORT, onnx_runtime.int8_ternary),
    Peer("onnxruntime int8 dynamic", "onnxruntime", "int8", "relu", _ORT, onnx_runtime.int8_dynamic),
    Peer("onnxruntime int8 static", "onnxruntime", "int8", "relu", _ORT, onnx_runtime.int8_static),
    Peer("openvino fp32", "openvino", "fp32", "ternary", _OPENVINO, openvino.float32),
    Peer("openvino int8 static", "openvino", "int8", "relu", _OPENVINO | _ORT, openvino.int8_static),
    Peer("snntorch step", "snntorch", "fp32", "step", _TORCH | {"snntorch": "snntorch"}, spiking.snntorch),
    Peer(
        "spikingjelly step",
        "spikingjelly",
        "fp32",
        "step",
        _TORCH | {"spikingjelly": "spikingjelly"},
        spiking.spikingjelly,
    ),
    Peer("sinabs step", "sinabs", "fp32", "step", _TORCH | {"sinabs": "sinabs"}, spiking.sinabs),
    Peer("norse step", "norse", "fp32", "step", _TORCH | {"norse": "norse"}, spiking.norse),
    Peer("brian2 standalone", "brian2", "int32", "ternary", _BRIAN, brian.standalone, own_process=True),
    Peer("brian2 cython", "brian2", "int32", "ternary", _BRIAN, brian.cython, own_process=True),
)

FAMILIES = tuple(dict.fromkeys(peer.family for peer in PEERS))


def choose(names: str) -> tuple[Peer, ...]:
    """Peers for a text such as "torch,onnxruntime", "all" or "none": families or single names.

    Raises OptionError for a name that is not known.
    """
    if names.strip() == "none":
        return ()
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if "all" in wanted:
        return PEERS
    for name in wanted:
        if name not in FAMILIES and name not in {peer.name for peer in PEERS}:
            raise OptionError(f"peer {name!r} is not known: choose all, none, {', '.join(FAMILIES)}")
    return tuple(peer for peer in PEERS if peer.family in wanted or peer.name in wanted)


def by_name(names: Sequence[str]) -> tuple[Peer, ...]:
    """Peers of exactly these names, in the registry's order."""
    return tuple(peer for peer in PEERS if peer.name in names)
