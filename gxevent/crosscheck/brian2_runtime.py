"""Brian2 as a guest: imported on demand, set to one code-generation target, left as it was found."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from gxevent.errors import GxError, MissingExtraError, OptionError, require
from gxevent.runtime.engine import usable_cpus

TARGETS = ("numpy", "cython", "standalone")
"""``numpy``: Brian2's Python loop, no compiler; ``cython``: compiled loops, cached between runs; ``standalone``: one
C++ program, built and run for each network."""


def load_brian2() -> ModuleType:
    """The brian2 package.

    Raises
    ------
    MissingExtraError
        when it is absent, or installed beside a NumPy it cannot work with: both versions, and what to install.
    """
    try:
        return require("brian2", extra="brian2", purpose="the Brian2 cross-check")
    except GxError:
        raise
    except Exception as error:  # whatever a half-fitting pair of packages does on import
        raise MissingExtraError(_explain(error)) from error


def _explain(error: Exception) -> str:
    """Why an installed Brian2 does not import, from the versions that are there."""
    found = {name: _version(name) for name in ("brian2", "numpy")}
    said = f"Brian2 {found['brian2']} does not import beside NumPy {found['numpy']} ({type(error).__name__}: {error})"
    if _numbers(found["brian2"]) < (2, 10) and _numbers(found["numpy"]) >= (2, 4):
        newer = "Python 3.12 or later has Brian2 2.10, which works with newer NumPy"
        here = f"this is Python {platform.python_version()}"
        return f"{said}; Brian2 before 2.10 needs NumPy before 2.4: pip install 'numpy<2.4' ({newer}; {here})"
    return f"{said}: pip install --upgrade 'gxevent[brian2]'"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: "2.10.1.post2" gives (2, 10, 1)."""
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def check_target(target: str) -> str:
    """``target`` when this machine can run it; OptionError saying what is missing otherwise."""
    if target not in TARGETS:
        raise OptionError(f"target: expected one of {', '.join(TARGETS)}, got {target!r}")
    wanted = {"cython": ("cc",), "standalone": ("make", "g++")}.get(target, ())
    if missing := [tool for tool in wanted if not shutil.which(tool)]:
        raise OptionError(f"target {target!r} compiles C++, but there is no {' and no '.join(missing)}: use numpy")
    return target


@contextmanager
def brian2_target(target: str) -> Iterator[ModuleType]:
    """Brian2 set to ``target`` inside the block; its preferences and device are as before afterwards.

    Raises what :func:`load_brian2` and :func:`check_target` raise.
    """
    check_target(target)
    b2 = load_brian2()
    if target == "cython":
        require("Cython", extra="brian2", purpose="Brian2's target cython")
    if target == "standalone":
        with _standalone_device(b2):
            yield b2
        return
    before = b2.prefs.codegen.target
    b2.prefs.codegen.target = target
    try:
        yield b2
    finally:
        b2.prefs.codegen.target = before


@contextmanager
def _standalone_device(b2: ModuleType) -> Iterator[None]:
    """The C++ device: as many compilers at once as there are processors (Brian2 sets no bound), and little optimised,
    since compiling takes far longer than running."""
    wanted = {
        "devices.cpp_standalone.extra_make_args_unix": [f"-j{usable_cpus()}"],
        "codegen.cpp.extra_compile_args_gcc": ["-w", "-O1", "-std=c++11"],
    }
    before = {name: b2.prefs[name] for name in wanted}
    for name, value in wanted.items():
        b2.prefs[name] = value
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        yield
    finally:
        b2.device.reinit()
        # Not b2.devices.device: that name is taken by the device itself.
        importlib.import_module("brian2.devices.device").reset_device()
        for name, value in before.items():
            b2.prefs[name] = value
