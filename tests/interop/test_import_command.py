"""``gxevent import`` and the exports as commands: every format in, nothing written for bad input."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import safetensors.numpy

import gxevent as gx
from gxevent.interop.nir import write_nir
from gxevent.interop.onnx_write import onnx_model
from tests import networks
from tests.cli.conftest import refused
from tests.interop import models

pytest.importorskip("onnx")
pytest.importorskip("nir")


def weights(network: gx.TernaryNetwork) -> dict[str, np.ndarray]:
    """A state dict numbered as nn.Sequential does, scales in the weights."""
    state = {}
    for i, layer in enumerate(network.layers):
        if isinstance(layer, gx.BatchNorm):
            names = {
                "weight": layer.gamma,
                "bias": layer.beta,
                "running_mean": 0.5 * layer.mean,
                "running_var": layer.var,
            }
            state |= {f"{i}.{key}": np.float32(value) for key, value in names.items()}
            state[f"{i}.running_var"] = np.float32((layer.var + 1e-4) / 4 - 1e-4)
        elif hasattr(layer, "weight"):
            state[f"{i}.weight"] = np.float32(0.5) * layer.weight
    return state


def lenet() -> gx.TernaryNetwork:
    rng = np.random.default_rng(0)
    layers = [
        gx.Conv2d(networks.levels(rng, (8, 2, 5, 5))),
        gx.MaxPool2d(2),
        networks.batch_norm(rng, 8, 6),
        gx.Activation(),
    ]
    layers += [gx.Flatten(), gx.Dense(networks.levels(rng, (4, 128))), networks.batch_norm(rng, 4, 6)]
    return gx.TernaryNetwork((2, 12, 12), gx.Encoder("onoff"), layers, tuple("abcd"))


@pytest.fixture
def files(tmp_path):
    """The same network in three formats, its graph, and a folder to write to."""
    network = lenet()
    safetensors.numpy.save_file(weights(network), tmp_path / "net.safetensors")
    graph = gx.compile(network)
    (tmp_path / "net.onnx").write_bytes(onnx_model(graph).SerializeToString())
    write_nir(graph, tmp_path / "net.nir")
    gx.save(graph, tmp_path / "net.gxg")
    return tmp_path


STRUCTURE = (
    "--layers",
    "8C5-MP2-4",
    "--input-shape",
    "2x12x12",
    "--eps",
    "1e-4",
    "--encoder",
    "onoff",
    "--classes",
    "a,b,c,d",
)


@pytest.mark.parametrize(("name", "more"), [("net.safetensors", STRUCTURE), ("net.onnx", ()), ("net.nir", ())])
def test_every_format_comes_in(gxevent, files, name, more):
    answer = gxevent("import", files / name, "-o", files / "out.gxn", *more, "--json").json
    assert answer["format"] == {"safetensors": "pytorch"}.get(name.split(".")[1], name.split(".")[1])
    made = gx.load_network(files / "out.gxn")
    assert (made.encoder, made.classes, made.provenance["imported_from"]) == (gx.Encoder("onoff"), tuple("abcd"), name)
    frames = networks.frames(np.random.default_rng(0), lenet(), 20)
    assert models.same_integers(lenet(), made, frames) > 500


@pytest.mark.parametrize("fmt", ["onnx", "nir"])
def test_exports_are_written_and_come_back(gxevent, files, fmt):
    target = files / f"out.{fmt}"
    assert f"wrote {target}" in gxevent("graph", files / "net.gxg", "--to", fmt, "-o", target).out
    assert gxevent("import", target, "-o", files / "out.gxn", "-q").status == 0
    assert gxevent("compile", files / "out.gxn", "--check", 5, "--json").json["check"]["equal"]
    refused(gxevent("graph", files / "net.gxg", "--to", fmt, "-o", target, "--units"), "describes populations")


def test_pools_may_take_levels(gxevent, files):
    gxevent("import", files / "net.safetensors", "-o", files / "out.gxn", *STRUCTURE, "--pools", "levels", "-q")
    kinds = [layer.kind for layer in gx.load_network(files / "out.gxn").layers]
    assert kinds[:4] == ["Conv2d", "BatchNorm", "Activation", "MaxPool2d"]


def test_bad_input_writes_nothing(gxevent, files):
    out = files / "out.gxn"
    call = lambda name, *more: gxevent("import", files / name, "-o", out, *more)  # noqa: E731
    refused(call("net.safetensors"), "has convolutions", "--layers")
    refused(call("net.safetensors", "--layers", "8C5-MP2-4"), "--input-shape")
    refused(call("net.safetensors", *STRUCTURE[2:], "--layers", "8C5-4"), "layer 'dense1' needs (4, 512)")
    refused(call("net.onnx", "--layers", "8C5-4"), "leave out --layers")
    refused(call("net.nir", "--input-shape", "0x1"), "expected CxHxW")
    refused(call("net.nir", "--input-shape", "1x12x12"), "frames have shape (2, 12, 12), not (1, 12, 12)")
    refused(call("net.onnx", "--input-shape", "1x12x12"), "has shape (2, 12, 12), not (1, 12, 12)")
    refused(call("net.gxg"), "gxevent's own file")
    refused(call("no.onnx"), "no such file")
    odd = weights(lenet()) | {"0.weight": np.linspace(-1, 1, 400, dtype=np.float32).reshape(8, 2, 5, 5)}
    safetensors.numpy.save_file(odd, files / "odd.safetensors")
    refused(call("odd.safetensors", *STRUCTURE), "odd.safetensors: layer '0': weights are not ternary up to a scale")
    (files / "empty.pt").write_bytes(b"")
    refused(call("empty.pt"), "is empty")
    for name in ("net.safetensors", "net.onnx", "net.nir"):
        cut = files / f"cut.{name.split('.')[1]}"
        cut.write_bytes((files / name).read_bytes()[:400])
        refused(gxevent("import", cut, "-o", out, *(STRUCTURE if "safe" in name else ())), cut.name)
    assert not out.exists()


def test_pickled_code_is_not_run(gxevent, tmp_path):
    torch = pytest.importorskip("torch")

    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"weight": Harm()}, tmp_path / "harm.pt")
    refused(gxevent("import", tmp_path / "harm.pt", "-o", tmp_path / "out.gxn"), "harm.pt: holds pickled code")
    assert not (tmp_path / "written").exists()
    assert not (tmp_path / "out.gxn").exists()


@pytest.mark.parametrize(
    ("name", "missing", "line"),
    [
        ("net.onnx", "onnx", "interop"),
        ("net.nir", "h5py", "interop"),
        ("net.pt", "torch", "train"),
    ],
)
def test_a_missing_extra_prints_its_install_line(gxevent, files, monkeypatch, name, missing, line):
    (files / "net.pt").write_bytes(b"PK\x03\x04")
    there = importlib.import_module

    def absent(module: str):
        if module == missing:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return there(module)

    monkeypatch.setattr(importlib, "import_module", absent)
    answer = gxevent("import", files / name, "-o", files / "out.gxn")
    refused(answer, f"needs the package '{missing}': pip install 'gxevent[{line}]'")
