"""The site's references hold everything public, and its chip pages every number with its source."""

from __future__ import annotations

import importlib.util
import inspect
import re
import typing

import pytest

import gxevent as gx
from gxevent.mapping.chip import chip_names, load_chip
from tests.docs.pages import ROOT

API = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference" / "api").glob("*.md"))


@pytest.mark.parametrize("name", [name for name in gx.__all__ if not name.startswith("_")])
def test_every_public_name_is_on_a_page(name):
    assert re.search(rf"^\.\. auto\w+:: gxevent\.{name}$", API, re.MULTILINE), (
        f"gxevent.{name} is on no page of docs/reference/api"
    )


def test_every_name_of_the_trainer_is_on_a_page():
    import gxevent.train

    missing = [n for n in gxevent.train.__all__ if not re.search(rf":: gxevent\.train\.{n}$", API, re.MULTILINE)]
    assert not missing


def public() -> dict[str, typing.Any]:
    """Public functions, and the public methods and properties of public classes."""
    found: dict[str, typing.Any] = {}
    for name in gx.__all__:
        value = getattr(gx, name)
        if inspect.isfunction(value):
            found[name] = value
        elif inspect.isclass(value):
            for key, member in vars(value).items():
                plain = inspect.unwrap(member.__func__ if isinstance(member, classmethod | staticmethod) else member)
                plain = plain.fget if isinstance(plain, property) else plain
                if not key.startswith("_") and inspect.isfunction(plain):
                    found[f"{name}.{key}"] = plain
    return found


@pytest.mark.parametrize("name", sorted(public()))
def test_everything_public_is_documented_and_typed(name):
    function = public()[name]
    owner, _, member = name.partition(".")
    assert inspect.getdoc(getattr(getattr(gx, owner), member) if member else function), f"{name} has no docstring"
    signature = inspect.signature(function)
    untyped = [
        p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name not in ("self", "cls")
    ]
    assert not untyped, f"{name}: no type for {untyped}"
    assert signature.return_annotation is not signature.empty, f"{name}: no return type"


def test_the_stub_of_the_compiled_result_has_its_properties():
    stub = (ROOT / "gxevent" / "runtime" / "result.pyi").read_text()
    assert set(re.findall(r"def (\w+)", stub)) == {name for name in vars(gx.Result) if not name.startswith("_")}


def test_chip_pages_show_every_number_with_its_source(tmp_path):
    spec = importlib.util.spec_from_file_location("chip_pages", ROOT / "docs" / "_ext" / "chip_pages.py")
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    (tmp_path / "gone.md").write_text("a chip that is no more")
    pages.write(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.md")} == {"index", *chip_names()}
    for name in chip_names():
        chip, text = load_chip(name), (tmp_path / f"{name}.md").read_text()
        for path, quantity, _ in chip.quantities():
            line = next((line for line in text.splitlines() if f"`{path}`" in line), "")
            assert line, f"{name}: {path} is not shown"
            if quantity.value is not None:
                assert str(quantity) in line
                assert quantity.source in line
        for tag, source in chip.sources.items():
            assert f"| {tag} | " in text, (tag, source)
