"""docs/running.md and docs/cluster.md: what they show runs as written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gxevent as gx

DOCS = Path(__file__).parents[1] / "docs"


def commands(page: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def python(page: str) -> str:
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return block


def words(line: str) -> list[str]:
    """The command with this environment's programs."""
    name, *rest = shlex.split(line)
    return [sys.executable, "-m", name, *rest] if name in ("gxevent", "dask") else [name, *rest]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the shipped network compiled and the shipped recordings."""
    monkeypatch.chdir(tmp_path)
    gx.save(gx.compile(gx.load_network(gx.shipped("digits.gxn"))), "digits.gxg")
    shutil.copy(gx.shipped("digits_test.zip"), tmp_path)
    return tmp_path


def test_running(here):
    pytest.importorskip("h5py", reason="traces need an extra")
    for line in commands("running.md"):
        subprocess.run(words(line), check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-c", python("running.md")], check=True, capture_output=True, text=True)
    assert "(32, 8, 8)" in done.stdout
    assert f"{sum(gx.load_run('runs/traced').summary['events'].values())}" in done.stdout


@pytest.mark.slow
def test_a_scheduler_and_two_workers_by_hand(here):
    pytest.importorskip("distributed", reason="cluster runs need an extra")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8786)) == 0:
            pytest.skip("port 8786 is taken")
    scheduler, worker, *rest = commands("cluster.md")
    assert [shlex.split(line)[0] for line in rest] == ["gxevent", "gxevent", "cmp"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    started = [subprocess.Popen(words(line), **quiet) for line in (scheduler, worker, worker)]
    try:
        end = time.monotonic() + 60
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", 8786)) and time.monotonic() < end:
                time.sleep(0.2)
        for line in rest:
            done = subprocess.run(words(line), capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
        assert done.stdout == ""
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


@pytest.mark.slow
def test_a_sweep_over_chips(here):
    pytest.importorskip("distributed", reason="cluster runs need an extra")
    (here / "sweep.py").write_text(python("cluster.md"))
    done = subprocess.run(
        [sys.executable, "sweep.py"], capture_output=True, text=True, timeout=240, env=os.environ | {"PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [[c, m] for c in ("loihi2", "spinnaker2") for m in ("sequential", "tiles")]
    assert all(int(line[2]) > 0 for line in lines)
