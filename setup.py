"""Build of the compiled core and the folder-to-package map; all metadata is in pyproject.toml."""

import os
import shutil
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = bool(os.environ.get("GXEVENT_DEBUG_BUILD"))
"""A debug build checks every index and keeps C assertions: the same tests run on it (`make debug`)."""

SANITIZE = ["-fsanitize=address,undefined"] if os.environ.get("GXEVENT_SANITIZE") else []
"""A build that stops at the first invalid access or undefined operation (`make sanitize`)."""

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": not DEBUG,
    "freethreading_compatible": True,
}

if sys.platform == "win32":
    FLAGS = ["/O2"]
else:
    # No contraction to fused multiply-add and no -march: the same integers and floats on every machine. Nobody looks at
    # floating-point traps, for whose sake compilers would leave comparisons one by one.
    FLAGS = ["-O3", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    FLAGS += ["-UNDEBUG", "-g"] if DEBUG else []
if SANITIZE:  # little is said of variables, or the many inlined adders would take minutes and gigabytes
    FLAGS += [*SANITIZE, "-O1", "-g1", "-fno-var-tracking", "-UNDEBUG"]
    FLAGS += ["-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]

extensions = [
    Extension(
        f"gxevent.core.{source.stem}",
        [str(source)],
        depends=[str(header) for header in Path("cython_core").glob("*.h")],
        include_dirs=["cython_core", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=FLAGS,
        extra_link_args=SANITIZE,
    )
    for source in sorted(Path("cython_core").glob("_*.pyx"))
]


def mirror_declarations() -> str:
    """Lay the .pxd files out as gxevent/core/, where Cython looks for what the modules share; returns that root."""
    root = Path("build/declarations")
    core = root / "gxevent" / "core"
    core.mkdir(parents=True, exist_ok=True)
    for package in (core.parent, core):
        (package / "__init__.pxd").touch()
    for declaration in Path("cython_core").glob("*.pxd"):
        if not (core / declaration.name).exists() or (core / declaration.name).read_bytes() != declaration.read_bytes():
            shutil.copy(declaration, core)
    return str(root)


PARALLEL = 1 if SANITIZE else min(os.cpu_count() or 1, 8)
"""Compilers at a time; a sanitized build takes gigabytes a module."""

setup(
    options={"build_ext": {"parallel": PARALLEL}},
    package_dir={"gxevent": "gxevent", "gxevent.core": "cython_core", "gxevent.train": "train"},
    ext_modules=cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        force=DEBUG,
        include_path=[mirror_declarations()],
    ),
)
