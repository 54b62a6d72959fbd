"""``gxevent zoo`` and ``completion``, and data sets seen by ``inspect``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gxevent as gx
from gxevent.files import shipped_names
from tests.cli.conftest import refused


def test_the_zoo_lists_every_shipped_file(gxevent):
    files = gxevent("zoo", "--json").json["files"]
    assert [entry["name"] for entry in files] == list(shipped_names())
    by_name = {entry["name"]: entry for entry in files}
    assert by_name["digits_test.zip"]["samples"] == 360
    assert by_name["nmnist.gxn"]["test_samples"] == 63
    assert "98.89% of 360" in gxevent("zoo").out


def test_the_zoo_copies_and_keeps_other_files(gxevent, tmp_path):
    answer = gxevent("zoo", "digits.gxn", "-o", tmp_path / "here", "--json")
    (copy,) = answer.json["written"]
    assert Path(copy).read_bytes() == gx.shipped("digits.gxn").read_bytes()
    assert gxevent("zoo", "digits.gxn", "-o", tmp_path / "here").status == 0, "the same file again is no loss"
    Path(copy).write_bytes(b"mine")
    refused(gxevent("zoo", "digits.gxn", "-o", tmp_path / "here"), "digits.gxn", "is another file")
    assert Path(copy).read_bytes() == b"mine"
    refused(gxevent("zoo", "dogs.gxn"), "dogs.gxn", "digits.gxn")


def test_a_missing_file_of_a_shipped_name_is_pointed_to(gxevent, tmp_path):
    refused(gxevent("compile", tmp_path / "digits.gxn"), "no such file", "gxevent zoo digits.gxn")
    refused(gxevent("run", gx.shipped("digits.gxn"), tmp_path / "digits_test.zip"))


def test_inspect_counts_a_data_set(gxevent, tmp_path):
    found = gxevent("inspect", gx.shipped("digits_test.zip"), "--json").json
    assert found["kind"] == "dataset"
    assert found["samples"] == 360
    assert found["splits"]["test"]["4"] == 37
    assert found["first"]["sensor"] == [34, 34]
    assert "360 recordings of events" in gxevent("inspect", gx.shipped("digits_test.zip")).out
    (tmp_path / "letters").mkdir()
    refused(gxevent("inspect", tmp_path / "letters"), "letters", "summary.json")


def completions(*words: str) -> list[str]:
    """What a shell is told when the last of the words is to be completed."""
    settings = {"_GXEVENT_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "gxevent"], env=os.environ | settings, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("gxevent", "cros"), ["crosscheck"]),
        (("gxevent", "run", "--mo"), ["--mode"]),
        (("gxevent", "run", "--mode", "st"), ["stream"]),
        (("gxevent", "chips", "lo"), ["loihi1", "loihi2"]),
        (("gxevent", "zoo", "digits_"), ["digits_test.zip"]),
        (("gxevent", "compile", "net"), ["net"]),  # a file: the shell goes on
    ],
)
def test_a_shell_completes_commands_options_and_values(words, expected):
    assert completions(*words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_printed_script_is_one_the_shell_takes(gxevent, shell, tmp_path):
    answer = gxevent("completion", shell)
    assert answer.status == 0
    assert "_GXEVENT_COMPLETE" in answer.out
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(answer.out)
    done = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_unknown_shell_is_refused(gxevent):
    refused(gxevent("completion", "tcsh"), "tcsh", "bash")
