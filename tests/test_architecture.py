"""The house: a room imports only from floors below it, read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = {
    "gxevent.errors": 0,
    "gxevent.grid": 0,
    "gxevent.firing": 0,
    "gxevent.core": 1,
    "gxevent.encoder": 1,
    "gxevent.layers": 1,
    "gxevent.checking": 1,
    "gxevent.network": 1,
    "gxevent.store": 1,
    "gxevent.connectivity": 1,
    "gxevent.graph": 2,
    "gxevent.files": 2,
    "gxevent.events": 2,
    "gxevent.zoo": 2,
    "gxevent.compiler": 3,
    "gxevent.runtime": 4,
    "gxevent.crosscheck": 5,
    "gxevent.interop": 5,
    "gxevent.mapping": 5,
    "gxevent.analysis": 5,
    "gxevent.train": 5,
    "gxevent.report": 6,
    "gxevent.bench": 6,
    "gxevent.cli": 7,
    "gxevent.__main__": 8,
}
"""Room -> floor. Rooms on one floor do not import each other, except on the ground floors 0 to 2 (without cycles)."""

OPTIONAL = {
    "brian2",
    "dask",
    "distributed",
    "h5py",
    "matplotlib",
    "mtkahypar",
    "nir",
    "nirtorch",
    "norse",
    "onnx",
    "onnxruntime",
    "openvino",
    "plotly",
    "scipy",
    "sinabs",
    "sklearn",
    "snntorch",
    "spikingjelly",
    "tonic",
    "torch",
}
"""Packages of the extras: imported inside functions (or through ``errors.require``), never at the top of a module."""

FOLDERS = {"gxevent": ROOT / "gxevent", "gxevent.core": ROOT / "cython_core", "gxevent.train": ROOT / "train"}


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.pyx"), *folder.rglob("*.pxd")]):
            inside = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(part for part in inside if part != "__init__")))
            found[name if path.suffix == ".py" else name + path.suffix] = path
    return found


def room_of(module: str) -> str | None:
    """The longest name of a room that the module lies in; None for gxevent itself, which only re-exports."""
    rooms = [room for room in FLOORS if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


def imports(path: Path, module: str) -> list[tuple[str, bool]]:
    """Imported module names, each with whether the import stands at the top level (run on import)."""
    if path.suffix != ".py":
        return [
            (words[1], True)
            for words in (line.split() for line in path.read_text().splitlines())
            if len(words) > 2
            and words[0] == "from"
            and words[2] in ("import", "cimport")
            and words[1].startswith("gxevent")
        ]
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    inside = {id(c) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for c in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import, write the room's full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [
                (name if room_of(name) != room_of(str(node.module)) else str(node.module), id(node) not in inside)
                for name in names
            ]
    return found


@pytest.mark.parametrize("module", [m for m in modules() if m != "gxevent"])
def test_imports_only_from_floors_below(module):
    room = room_of(module.removesuffix(".pyx").removesuffix(".pxd"))
    assert room is not None, f"{module} lies in no room: give it a floor in FLOORS"
    for imported, _ in imports(modules()[module], module):
        other = room_of(imported)
        if other is None or other == room:
            continue
        same_ground = FLOORS[other] == FLOORS[room] <= 2
        assert FLOORS[other] < FLOORS[room] or same_ground, (
            f"{module} (floor {FLOORS[room]}) imports {imported} (floor {FLOORS[other]})"
        )


@pytest.mark.parametrize("module", [m for m in modules() if not m.startswith("gxevent.train")])
def test_nothing_below_training_needs_an_extra_to_import(module):
    path = modules()[module]
    heavy = [name for name, top in imports(path, module) if top and name.split(".")[0] in OPTIONAL]
    assert not heavy, f"{module} imports {heavy} at its top"


def test_nothing_imports_the_trainer_but_the_command_line():
    for module, path in modules().items():
        if module.startswith(("gxevent.train", "gxevent.cli")):
            continue
        assert not [name for name, _ in imports(path, module) if name.startswith("gxevent.train")], module


def test_ground_floors_have_no_cycles():
    import networkx as nx

    graph = nx.DiGraph()
    for module, path in modules().items():
        for imported, top in imports(path, module):
            if top and room_of(imported) and room_of(imported) != room_of(module):
                graph.add_edge(room_of(module), room_of(imported))
    assert nx.is_directed_acyclic_graph(graph), list(nx.simple_cycles(graph))


def test_every_room_and_package_is_installed():
    """setuptools is told every package by name, so a new room must be added there."""
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {
        ".".join((package, *path.parent.relative_to(folder).parts))
        for package, folder in FOLDERS.items()
        for path in folder.rglob("__init__.py")
    }
    assert {name.rstrip(".") for name in there} == listed


def test_files_stay_short():
    long = {str(p.relative_to(ROOT)): n for p in modules().values() if (n := len(p.read_text().splitlines())) > 450}
    assert not long, f"split these: {long}"


def test_public_names_are_there_and_type_checkers_see_the_same():
    import gxevent as gx

    stub = (ROOT / "gxevent" / "__init__.pyi").read_text()
    seen = {
        (node.module, alias.asname)
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(home, name) for home, names in gx._HOMES.items() for name in names}

    assert gx.__all__ == sorted(gx.__all__, key=lambda name: (name == "__version__", name))
    for name in gx.__all__:
        assert getattr(gx, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gx.nonsense
