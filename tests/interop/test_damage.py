"""Damaged files: whatever byte is altered, the answer is a network or one of our errors."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import safetensors.numpy

import gxevent as gx
from gxevent.errors import FormatError, GxError
from gxevent.interop.importing import import_network
from tests.interop import models


def contents(kind: str) -> bytes:
    network = models.dense()
    graph = gx.compile(network)
    if kind == "safetensors":
        weights = [layer.weight for layer in network.layers if hasattr(layer, "weight")]
        return safetensors.numpy.save({f"{i}.weight": w.astype(np.float32) for i, w in enumerate(weights)})
    if kind == "onnx":
        pytest.importorskip("onnx")
        from gxevent.interop.onnx_write import onnx_model

        return onnx_model(graph).SerializeToString()
    nir = pytest.importorskip("nir")
    from gxevent.interop.nir import to_nir

    buffer = io.BytesIO()
    nir.write(buffer, to_nir(graph).graph)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "nir"])
def test_damage_is_one_of_our_errors(tmp_path, kind):
    data, rng, refused = contents(kind), np.random.default_rng(0), 0
    for _ in range(60):
        altered = bytearray(data)
        head = min(len(data), 4000)  # structure lies at the front, or for ONNX anywhere
        for at in rng.integers(0, rng.choice([head, len(data)]), rng.integers(1, 4)):
            altered[at] = rng.integers(0, 256)
        path = tmp_path / f"a.{kind}"
        path.write_bytes(altered[: rng.choice([len(data), len(data), rng.integers(1, len(data))])])
        with contextlib.suppress(GxError):
            import_network(path)
            continue  # the byte was a weight's, or nobody's
        refused += 1
    assert refused > 15


def test_metadata_of_gxevent_that_is_damaged(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_model_from_string(contents("onnx"))
    model.metadata_props[0].value = '{"encoder": {"kind": "magic"}, "classes": []}'
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match="the metadata entry 'gxevent' is damaged"):
        import_network(tmp_path / "a.onnx")
