"""Every command and Python block that README.md and docs/ show runs as written, or is listed with the reason why not.

``commands.toml`` holds what a page may take for granted and the exceptions. A page's steps run in order in a folder of
its own; lines of output that a page shows must come out.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gxevent as gx
from tests.conftest import data_root
from tests.docs import pages
from tests.docs.pages import ROOT, Step

SETTINGS = pages.settings()
PAGES = [
    page for page in pages.pages() if (ROOT / page).exists() and page not in SETTINGS["elsewhere"] and pages.steps(page)
]


@pytest.fixture(scope="session")
def things(tmp_path_factory) -> dict[str, Path]:
    """What a reader may have: shipped files, compiled graphs, development data under the names the pages use."""
    made = tmp_path_factory.mktemp("things")
    found = {name: gx.shipped(name) for name in ("digits.gxn", "nmnist.gxn", "braille.gxn", "digits_test.zip")}
    for name in ("digits", "nmnist"):
        found[f"{name}.gxg"] = made / f"{name}.gxg"
        gx.save(gx.compile(gx.load_network(found[f"{name}.gxn"])), found[f"{name}.gxg"])
    found |= {name: ROOT / name for name in ("gxevent", "examples", "benchmarks")}
    if (data := data_root()).is_dir():
        subset = data / "nmnist" / "nmnist_subset.zip"
        shutil.unpack_archive(subset, made / "recordings")
        for part in ("train", "test"):
            (made / "recordings" / part.title()).rename(made / "recordings" / part)
        found |= {"recordings": made / "recordings", "nmnist.zip": subset, "nmnist_subset.zip": subset}
        found |= {name: data / name for name in ("mnist", "fashion-mnist", "dvs128-objects", "braille")}
        formats = data / "formats"
        found |= {
            "recording.aedat4": formats / "aedat4" / "dvs128_uncompressed.aedat4",
            "recording.raw": formats / "evt3" / "gen41_hd.raw",
            "recording.es": made / "recording.es",
        }
        gx.write_events(found["recording.es"], gx.open_events(next((made / "recordings" / "test" / "3").iterdir())))
    return found


@pytest.fixture
def folder(request, things, tmp_path, monkeypatch) -> Path:
    """A folder with the things that the page says a reader has; by default all there are."""
    wanted = SETTINGS["have"].get(request.getfixturevalue("page"), list(things))
    for name in wanted:
        if name not in things:
            pytest.skip(f"no development data for {name} (set GXEVENT_DATA)")
        (tmp_path / name).symlink_to(things[name])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, folder: Path) -> tuple[int, str]:
    """Exit status and everything printed."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": programs, "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout


def problems_of(step: Step, folder: Path, names: dict) -> list[str]:
    """What is wrong with one step of a page, nothing if all is well."""
    exception = pages.exception_of(step)
    if exception and exception.run is None:
        return []
    where = f"{step.page}:{step.line}"
    if step.kind == "python":
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile("\n" * (step.line - 1) + step.text, step.page, "exec"), names)
        except Exception as error:
            return [f"{where}: {type(error).__name__}: {error}"]
        return []
    command = step.text if exception is None else str(exception.run)
    status, printed = run(command, folder)
    if status:
        return [f"{where}: $ {command}\nexit status {status}\n{printed[-1500:]}"]
    lines = printed.replace("\r", "\n").splitlines()
    shown = [line for line in step.shown if line.strip() != "…"] if command == step.text else []
    return [
        f"{where}: the page shows {line!r}, but the command printed\n{printed[-1500:]}"
        for line in shown
        if not any(pages.looks_like(line, other) for other in lines)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(page, folder):
    names: dict = {}
    if prepared := SETTINGS["prepare"].get(page):
        exec(prepared, names)
    problems = [problem for step in pages.steps(page) for problem in problems_of(step, folder, names)]
    assert not problems, "\n\n".join(problems)


def test_every_exception_is_of_a_command_that_is_shown_and_says_why():
    shown = [step for page in pages.pages() if (ROOT / page).exists() for step in pages.steps(page)]
    for exception in pages.exceptions():
        assert len(exception.because) > 10, exception
        optional = exception.page != "*" and not (ROOT / exception.page).exists()
        used = [step for step in shown if pages.exception_of(step) == exception]
        assert used or optional, f"not shown any more, take it out of commands.toml: {exception}"


def test_every_page_with_settings_exists():
    for name, test in SETTINGS["elsewhere"].items():
        assert Path(name).name in (ROOT / test).read_text(), f"{test} says nothing of {name}"
    for name in {*SETTINGS["have"], *SETTINGS["prepare"]}:
        assert name in PAGES, name
