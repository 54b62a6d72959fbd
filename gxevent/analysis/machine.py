"""What this installation and machine offer."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Any

from gxevent import __version__
from gxevent.runtime.engine import usable_cpus
from gxevent.runtime.plan import available_kernels, choose_kernel

BASE = ("numpy", "networkx", "click", "tqdm", "safetensors", "msgspec")

EXTRAS = {
    "train": ("torch", "scikit-learn"),
    "brian2": ("brian2",),
    "events": ("h5py", "lz4", "zstandard", "rosbags"),
    "report": ("matplotlib", "pillow"),
    "mapping": ("mtkahypar",),
    "interop": ("onnx", "nir"),
    "nirtorch": ("nirtorch",),
    "cluster": ("dask", "distributed"),
    "bench": (
        "torch",
        "onnx",
        "onnxruntime",
        "openvino",
        "scipy",
        "snntorch",
        "spikingjelly",
        "sinabs",
        "norse",
        "brian2",
        "threadpoolctl",
        "matplotlib",
    ),
}
"""Extra of this package -> the packages it brings."""


def machine_info() -> dict[str, Any]:
    """Versions, kernel paths and extras as JSON values."""
    return {
        "gxevent": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in BASE},
        "kernel": choose_kernel("auto"),
        "kernels": list(available_kernels()),
        "cpus": usable_cpus(),
        "byteorder": sys.byteorder,
        "extras": {extra: _extra(extra, packages) for extra, packages in EXTRAS.items()},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _extra(extra: str, packages: tuple[str, ...]) -> str:
    found = {name: _version(name) for name in packages}
    if None in found.values():
        return f"not installed: pip install 'gxevent[{extra}]'"
    return ", ".join(f"{name} {version}" for name, version in found.items())
