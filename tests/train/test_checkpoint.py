"""Checkpoints give back exactly what was put in, and refuse anything else."""

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent import store  # noqa: E402
from gxevent.errors import FormatError  # noqa: E402
from gxevent.train import checkpoint  # noqa: E402


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b


def test_round_trip(tmp_path):
    state = {
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 4),
        "levels": torch.tensor([[-1, 0], [1, 1]], dtype=torch.int8),
        "many": torch.arange(-64, 65, dtype=torch.int8),
        "bytes": torch.Generator().get_state(),
        "nested": {0: {"step": 5, "betas": (0.9, 0.999)}, "list": [1, 2.5, None, True, "text"]},
        "tensor": {"keys": 1, "tuple": []},  # words the file itself uses
    }
    checkpoint.save(state, tmp_path / "a.ckpt")
    same(checkpoint.load(tmp_path / "a.ckpt"), state)


def test_refuses_what_is_none(tmp_path):
    path = tmp_path / "a.ckpt"
    with pytest.raises(FormatError, match="no such file"):
        checkpoint.load(path)
    store.write(path, "network", {}, {})
    with pytest.raises(FormatError, match="not a checkpoint"):
        checkpoint.load(path)
    store.write(path, "checkpoint", {"other": 1}, {})
    with pytest.raises(FormatError, match="not a checkpoint"):
        checkpoint.load(path)
    checkpoint.save({"a": torch.ones(100)}, path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="SHA-256"):
        checkpoint.load(path)
