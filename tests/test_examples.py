"""Examples run as their README says, and show what they promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
NEEDS = {
    "mixed_signal.py": ("brian2", "matplotlib"),
    "own_recordings.py": ("torch",),
    "paper_studies.py": ("torch", "matplotlib"),
}
"""Packages of extras that an example needs."""

QUICK = {
    "own_recordings.py": ["--epochs", "4"],
    "three_chips.py": ["--samples", "2", "--budget", "0.1"],
    "live_camera.py": ["--count", "3"],
    "latency_study.py": ["--limit", "20", "--plots", "plots"],
    "operation_table.py": ["--limit", "10", "--figure", "operations.png"],
}
"""Arguments that make an example quicker, or do more."""


def run(path: Path, folder: Path, *arguments: str, **options: object) -> str:
    command = [sys.executable, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=600, **options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return done.stdout


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda p: p.name)
def test_examples_run(path, tmp_path, request):
    for package in NEEDS.get(path.name, ()):
        pytest.importorskip(package, reason=f"{path.name} needs an extra")
    arguments = list(QUICK.get(path.name, ()))
    if any(option in arguments for option in ("--plots", "--figure")):
        pytest.importorskip("matplotlib", reason="plots need matplotlib")
    if path.name == "paper_studies.py":
        folder = request.getfixturevalue("data") / "mnist"
        arguments = ["--data", str(folder), "--images", "400", "--epochs", "1", "--seeds", "1", "--only", "batch"]
    said = run(path, tmp_path, *arguments)
    check = PROMISES.get(path.name)
    if check:
        check(said, tmp_path)


def first_network(said: str, folder: Path) -> None:
    text = re.sub(r'""".*?"""', "", (FOLDER / "first_network.py").read_text(), flags=re.DOTALL)
    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    assert re.search(r"reaches \d+ units of conv1", said)


def own_recordings(said: str, folder: Path) -> None:
    assert int(re.search(r"test: (\d+) of 9 recordings", said)[1]) >= 6
    page = (folder / "own.html").read_text()
    assert "My recordings: shapes" in page
    assert (folder / "own.gxn").exists()


def three_chips(said: str, folder: Path) -> None:
    assert re.findall(r"^(loihi1|spinnaker2|gxnor-array) .* uJ", said, re.MULTILINE) == said_chips
    assert all(f">{name}<" in (folder / "chips.html").read_text() for name in said_chips)


said_chips = ["loihi1", "spinnaker2", "gxnor-array"]


def live_camera(said: str, folder: Path) -> None:
    lines = [line.split() for line in said.splitlines() if " us" in line]
    decisions = {line[0]: line[2] for line in lines}
    assert (decisions["0.320"], decisions["0.640"]) == ("0", "3"), "at the end of each digit the decision is right"
    assert "lost: nothing" in said


def latency_study(said: str, folder: Path) -> None:
    made = {path.name for path in (folder / "plots").iterdir()}
    assert made == {"anytime.csv", "anytime.png", "latency.png", "activity.png", "sparsity.png"}


def operation_table(said: str, folder: Path) -> None:
    rows = [line.split() for line in said.splitlines() if line.startswith("GXNOR")]
    assert len(rows) == 5, "all layers, and each of the four"
    assert all(row[3].endswith("*") and row[4].endswith("*") for row in rows)
    assert (folder / "operations.png").stat().st_size > 5_000


PROMISES = {
    f"{check.__name__}.py": check
    for check in (first_network, own_recordings, three_chips, live_camera, latency_study, operation_table)
}


def test_a_latency_study_of_real_recordings(data, tmp_path):
    said = run(FOLDER / "latency_study.py", tmp_path, "nmnist.gxn", str(data / "nmnist" / "nmnist_subset.zip"),
               "--step", "50", "--limit", "20")  # fmt: skip
    assert "recordings         20" in said
    assert re.search(r"after +\d+ events (9|10)\d% are right\n(?!after)", said)


def test_the_camera_is_another_process(tmp_path):
    camera = subprocess.run(
        [sys.executable, str(FOLDER / "live_camera.py"), "--camera", "--count", "2"], capture_output=True, check=True
    )
    assert camera.stderr.decode().splitlines() == ["the camera sees a 0", "the camera sees a 4"]
    said = run(FOLDER / "live_camera.py", tmp_path, "-", input=camera.stdout.decode())
    assert re.search(r"0\.320 s +0 ", said)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_run(path, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="running notebooks needs nbclient")
    pytest.importorskip("ipykernel", reason="running notebooks needs ipykernel")
    pytest.importorskip("matplotlib", reason="the notebooks draw")
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 4
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_are_kept_without_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert not cell["metadata"]


def test_the_readme_lists_every_example():
    text = (FOLDER / "README.md").read_text()
    listed = re.findall(r"^\| \[([\w.]+)\]\(\1\)", text, re.MULTILINE)
    assert sorted(listed) == sorted(p.name for p in FOLDER.iterdir() if p.suffix in (".py", ".ipynb"))
    for name, command in re.findall(r"^\| \[([\w.]+)\].*\| `(.*)` \|$", text, re.MULTILINE):
        assert f"examples/{name}" in command
