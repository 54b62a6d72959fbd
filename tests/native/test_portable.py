"""Kernel paths of other processors, as C programs without Python: cross-compiled and run in an emulator.

``kernels.c`` compares every path with sums taken one by one and prints a hash of all results; the hashes must be those
of this machine. What needs a tool that is not installed is skipped and says so (Debian packages: gcc-aarch64-linux-gnu,
qemu-user).
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HEADERS = HERE.parents[1] / "cython_core"
OPTIONS = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-I", str(HEADERS)]
"""The tree's own headers; the tests of an installed package have none and are skipped."""

AARCH64 = "aarch64-linux-gnu-gcc"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def built(folder: Path, compiler: str, *options: str) -> Path:
    if not HEADERS.is_dir():
        pytest.skip("the C headers are not beside the tests")
    program = folder / f"kernels-{Path(compiler).name}"
    subprocess.run([tool(compiler), *OPTIONS, *options, str(HERE / "kernels.c"), "-o", str(program)], check=True)
    return program


def hashes(*command: str | Path) -> dict[str, dict[str, str]]:
    """By family ("slices", "rows") and path, the hash that a run of the program prints."""
    ran = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, dict[str, str]] = {}
    for line in ran.stdout.splitlines():
        family, path, value = line.split()
        found.setdefault(family, {})[path] = value
    return found


@pytest.fixture(scope="module")
def native(tmp_path_factory) -> tuple[Path, dict[str, dict[str, str]]]:
    """A program of this machine, static where that is possible, so that an emulator needs nothing else."""
    folder = tmp_path_factory.mktemp("native")
    try:
        program = built(folder, "cc", "-static")
    except subprocess.CalledProcessError:  # no static C library
        program = built(folder, "cc")
    return program, hashes(program)


def same(found: dict[str, dict[str, str]], expected: dict[str, dict[str, str]]) -> None:
    """Every path of both gives the same integers."""
    for family, paths in found.items():
        assert set(paths.values()) == set(expected[family].values()), family
        assert len(set(paths.values())) == 1, family


def test_every_path_of_this_machine(native):
    same(native[1], native[1])
    assert set(native[1]) == {"slices", "rows"}
    assert "generic" in native[1]["slices"]


def test_neon_and_generic_on_aarch64(native, tmp_path):
    """NEON adders use its bitwise select; int8 rows are portable code."""
    emulator = tool("qemu-aarch64")
    found = hashes(emulator, built(tmp_path, AARCH64, "-static"))
    assert set(found["slices"]) == {"generic", "neon"}
    same(found, native[1])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates older processors of the x86-64 family")
@pytest.mark.parametrize(("cpu", "paths"), [("Nehalem", ["generic"]), ("max", ["generic", "avx2"])])
def test_one_program_on_older_processors(native, cpu, paths):
    """Paths are chosen at run time: what a processor lacks is not touched. QEMU 7.2 translates no
    AVX-512; where an emulator does, those paths are run as well."""
    found = hashes(tool("qemu-x86_64"), "-cpu", cpu, native[0])
    assert list(found["slices"])[: len(paths)] == paths
    assert cpu == "max" or list(found["slices"]) == paths
    same(found, native[1])


@pytest.mark.parametrize("header", ["decode", "dst", "noc", "pool", "rows", "slices", "stream"])
def test_headers_compile_for_aarch64(header):
    source = f'#include "{header}.h"\nint main(void) {{ return 0; }}\n'
    options = ["-std=gnu11", "-fsyntax-only", "-I", str(HEADERS)]
    subprocess.run([tool(AARCH64), *options, "-x", "c", "-"], input=source, text=True, check=True)
