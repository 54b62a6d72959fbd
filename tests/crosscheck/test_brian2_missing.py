"""What is said where Brian2 is absent, or installed beside a NumPy that it cannot work with."""

from __future__ import annotations

import sys

import pytest

import gxevent as gx
from gxevent.crosscheck import brian2_runtime
from gxevent.crosscheck.brian2_runtime import load_brian2


def test_without_brian2_the_install_line_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "brian2", None)
    with pytest.raises(gx.MissingExtraError, match=r"pip install 'gxevent\[brian2\]'"):
        load_brian2()


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A brian2 that fails on import as 2.9 does beside NumPy 2.4, and the versions to go with it."""

    def make(**versions: str) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "brian2"]:
            monkeypatch.delitem(sys.modules, name)
        (tmp_path / "brian2").mkdir()
        (tmp_path / "brian2" / "__init__.py").write_text("import numpy\nnumpy.no_longer_there\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(brian2_runtime, "_version", versions.__getitem__)

    return make


def test_an_old_brian2_beside_a_new_numpy_is_explained(broken):
    broken(brian2="2.9.0", numpy="2.4.1")
    with pytest.raises(gx.MissingExtraError) as found:
        load_brian2()
    said = str(found.value)
    for words in ("Brian2 2.9.0", "NumPy 2.4.1", "pip install 'numpy<2.4'", "no_longer_there"):
        assert words in said


def test_any_other_broken_pair_is_told_to_upgrade(broken):
    broken(brian2="2.10.1.post2", numpy="3.0")
    with pytest.raises(gx.MissingExtraError, match=r"Brian2 2\.10\.1\.post2 .* --upgrade 'gxevent\[brian2\]'"):
        load_brian2()
