"""Runs that are killed, starved and robbed keep what is finished, and end with the files of an undisturbed run."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import gxevent as gx
from tests.runtime import runs
from tests.runtime.runs import killed, lines, one_line, run, size, summary


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A graph, many images, and an undisturbed run of them in ``whole``."""
    return runs.prepare(tmp_path_factory.mktemp("survive"))


def same_as_whole(work, folder):
    runs.assert_same_run(folder, work / "whole")
    assert lines(folder / "samples.csv") == 1 + runs.IMAGES
    assert {p.name for p in folder.iterdir()} == {p.name for p in (work / "whole").iterdir()}


@pytest.mark.slow
def test_killed_at_twenty_random_points_a_run_ends_as_if_it_had_not_been(work, tmp_path):
    """SIGKILL before it begins, while it adds up what is there, and after a random number of bytes, 24 times in all."""
    rng = np.random.default_rng(int(os.environ.get("GXEVENT_SEED", "1")))
    args = (work / "net.gxg", work / "images", "-o", tmp_path / "run", "--resume")
    csv = tmp_path / "run" / "samples.csv"
    total, kills, seen = size(work / "whole" / "samples.csv"), 0, 0
    for _ in range(4):  # while Python starts, opens the data, reads what is there: before anything is added
        end = time.monotonic() + rng.uniform(0.0, 1.0)
        kills += killed(args, lambda end=end, seen=seen: time.monotonic() > end or size(csv) > seen)
        seen = size(csv)
    for left in range(22, 0, -1):
        # In bytes, not in seconds: on a slow machine as on a quick one the last kill comes before the end.
        target = seen + rng.integers(1, max((total - seen) // left, 2))
        kills += killed(args, lambda target=target: size(csv) >= target, delay=rng.uniform(0.0, 0.004))
        assert size(csv) >= seen, "a kill cost finished samples"
        seen = size(csv)
    assert kills >= 20
    assert run(*args).returncode == 0
    same_as_whole(work, tmp_path / "run")
    again = run(*args, "--json")
    assert json.loads(again.stdout)["results_sha256"] == summary(work / "whole")["results_sha256"]


@pytest.mark.slow
def test_what_is_torn_is_cut_off(work, tmp_path):
    """What a crash of the machine may leave behind the last whole sample: half lines, zeros, unequal files."""
    args = (work / "net.gxg", work / "images", "-o", tmp_path / "run", "--resume")
    csv, times = tmp_path / "run" / "samples.csv", tmp_path / "run" / "times.csv"
    assert killed(args, lambda: size(csv) > 200_000)

    def cut(path, keep):
        path.write_bytes(path.read_bytes()[:keep])

    whole = (csv.read_bytes(), times.read_bytes())
    damages = [
        lambda: cut(csv, size(csv) - 7),
        lambda: cut(times, 5_000),
        lambda: csv.write_bytes(csv.read_bytes() + b"\0" * 4096),
        lambda: csv.write_bytes(csv.read_bytes()[:100_000] + b"\0" * 5_000 + csv.read_bytes()[105_000:]),
        lambda: csv.write_bytes(csv.read_bytes() + b'test/99999,test,"never closed,1\n'),
        lambda: cut(csv, 20),
        lambda: cut(times, 0),
    ]
    for damage in damages:
        folder = tmp_path / "run"
        csv.write_bytes(whole[0])
        times.write_bytes(whole[1])
        damage()
        assert run(*args).returncode == 0
        same_as_whole(work, folder)
        shutil.copy(work / "whole" / "summary.json", folder)  # back to an unfinished run
        identity = summary(folder)["run"]
        (folder / "summary.json").unlink()
        (folder / "unfinished.json").write_text(json.dumps(identity))


def test_resume_begins_a_run_that_is_not_there_and_leaves_a_finished_one(work, tmp_path):
    args = (work / "net.gxg", work / "images", "--limit", 300, "-o", tmp_path / "run", "--resume")
    assert run(*args).returncode == 0
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}
    assert run(*args).returncode == 0
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()} == before


class TestRefusals:
    """Another graph, other data, other options: one line, and the run that is there stays as it is."""

    @pytest.fixture
    def unfinished(self, work, tmp_path):
        csv = tmp_path / "run" / "samples.csv"
        args = (work / "net.gxg", work / "images", "-o", tmp_path / "run")
        assert killed(args, lambda: size(csv) > 50_000)
        return tmp_path / "run"

    def test_each_with_its_reason(self, work, unfinished, tmp_path):
        graph, images, to = work / "net.gxg", work / "images", ("-o", unfinished)
        gx.save(gx.compile(gx.load_network(gx.shipped("digits.gxn"))), tmp_path / "digits.gxg")
        other = runs.network()
        changed = gx.TernaryNetwork(other.input_shape, other.encoder, other.layers, other.classes, name="another")
        gx.save(gx.compile(changed), tmp_path / "other.gxg")
        runs.write_images(tmp_path / "relabelled", seed=1)
        runs.write_images(tmp_path / "repainted")
        pixels = tmp_path / "repainted" / "t10k-images-idx3-ubyte"
        data = bytearray(pixels.read_bytes())
        data[16:80] = bytes(64)  # the first image: the list is the same, the data are not
        pixels.write_bytes(data)
        before = (unfinished / "samples.csv").read_bytes()
        one_line(run(graph, images, *to), "holds an unfinished run", "--resume")
        one_line(run(tmp_path / "other.gxg", images, *to, "--resume"), "another graph")
        one_line(run(graph, tmp_path / "relabelled", *to, "--resume"), "another list of samples")
        one_line(run(graph, tmp_path / "repainted", *to, "--resume"), "test/00000", "other results")
        one_line(run(graph, images, *to, "--resume", "--limit", 100), "another number of samples", "30000, now 100")
        one_line(run(graph, images, *to, "--resume", "--mode", "sample"), "another --mode", "batch, now sample")
        one_line(run(graph, images, *to, "--resume", "--trace"), "another --trace")
        one_line(run(graph, images, "--resume"), "-o RUN")
        one_line(run(tmp_path / "digits.gxg", images, *to, "--resume"), "takes event recordings")
        assert (unfinished / "samples.csv").read_bytes()[: len(before)] == before
        done = run(graph, images, *to, "--resume", "--threads", 2, "--kernel", "generic")  # these change no result
        assert done.returncode == 0
        same_as_whole(work, unfinished)
        one_line(run(graph, images, *to, "--resume", "--limit", 100), "another number of samples")
        one_line(run(graph, images, *to), "holds a run already")

    def test_what_is_read_of_it(self, unfinished):
        with pytest.raises(gx.FormatError, match="holds an unfinished run"):
            gx.load_run(unfinished)
        done = subprocess.run(
            [sys.executable, "-m", "gxevent", "inspect", str(unfinished)], capture_output=True, text=True
        )
        assert "unfinished" in done.stdout
        assert f"of {runs.IMAGES:,} samples" in done.stdout

    def test_a_damaged_head(self, work, unfinished):
        (unfinished / "unfinished.json").write_text("{")
        one_line(run(work / "net.gxg", work / "images", "-o", unfinished, "--resume"), "unfinished.json", "damaged")

    def test_files_that_are_of_no_run_are_left_alone(self, work, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "samples.csv").write_text("my own\n")
        one_line(run(work / "net.gxg", work / "images", "-o", tmp_path / "mine"), "samples.csv", "not of a whole run")
        assert (tmp_path / "mine" / "samples.csv").read_text() == "my own\n"


def test_two_processes_do_not_write_one_run(work, tmp_path):
    args = (work / "net.gxg", work / "images", "-o", tmp_path / "run", "--resume", "--mode", "reference")
    first = subprocess.Popen(runs.command(*args), stdout=subprocess.DEVNULL)
    while size(tmp_path / "run" / "samples.csv") < 500:
        time.sleep(0.01)
        assert first.poll() is None
    one_line(run(*args), "another process is writing this run")
    first.kill()
    first.wait()


def file_limit(limit: int):
    """For ``preexec_fn``: no file may grow beyond this many bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_file_that_may_not_grow(work, tmp_path):
    args = (work / "net.gxg", work / "images", "-o", tmp_path / "run")
    done = run(*args, preexec_fn=file_limit(400_000))
    one_line(done, "cannot be written (File too large)", "samples are safe", "--resume")
    there = (tmp_path / "run" / "samples.csv").read_bytes()
    assert 0 < len(there) <= 400_000
    assert (work / "whole" / "samples.csv").read_bytes().startswith(there)
    assert there.endswith(b"\n")
    assert run(*args, "--resume").returncode == 0
    same_as_whole(work, tmp_path / "run")


def test_nothing_is_left_of_a_run_that_finished_nothing(work, tmp_path):
    args = (work / "net.gxg", work / "images", "-o", tmp_path / "run")
    one_line(run(*args, preexec_fn=file_limit(100)), "cannot be written (File too large)")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a file system is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--trace",)])
def test_disk_full(work, tmp_path, small_disk, options):
    if options:
        pytest.importorskip("h5py", reason="a trace needs an extra")
    folder = small_disk / "run"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    args = (work / "net.gxg", work / "images", "-o", folder, *options)
    one_line(run(*args), "No space left on device", "samples are safe", "--resume")
    safe = lines(folder / "samples.csv")
    assert safe > 1
    assert (work / "whole" / "samples.csv").read_bytes().startswith((folder / "samples.csv").read_bytes())
    one_line(run(*args, "--resume"), "No space left on device")  # still full
    assert lines(folder / "samples.csv") >= safe
    shutil.move(folder, tmp_path / "run")
    assert run(*args[:3], tmp_path / "run", *options, "--resume").returncode == 0
    assert (tmp_path / "run" / "samples.csv").read_bytes() == (work / "whole" / "samples.csv").read_bytes()


@pytest.mark.slow
def test_disk_full_while_the_trace_is_packed(work, tmp_path, small_disk):
    """All samples are done, their events spooled: only the HDF5 file does not fit."""
    pytest.importorskip("h5py", reason="a trace needs an extra")
    graph, dataset = gx.load_graph(work / "net.gxg"), gx.open_dataset(work / "images", limit=600)
    folder, ballast, done = small_disk / "run", small_disk / "ballast", 0

    def fill(n):
        nonlocal done
        done += n
        if done == len(dataset):
            free = shutil.disk_usage(small_disk).free
            ballast.write_bytes(bytes(free - 4096))

    with pytest.raises(gx.FormatError, match=r"trace\.h5: cannot be written .* 600 of 600 samples are safe"):
        gx.record_run(graph, dataset, folder, trace=True, progress=fill)
    ballast.unlink()
    assert not (folder / "trace.h5").exists()
    gx.record_run(graph, dataset, folder, trace=True, resume=True)
    gx.record_run(graph, dataset, tmp_path / "run", trace=True)
    with gx.open_trace(folder) as found, gx.open_trace(tmp_path / "run") as expected:
        assert found.events == expected.events
    assert {p.name for p in folder.iterdir()} == {p.name for p in (tmp_path / "run").iterdir()}


def obey_permissions():
    """For ``preexec_fn``: root, too, is refused what the file's mode does not allow."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


class TestDataThatGo:
    """Recordings that vanish, or may no longer be read, in the middle of a run."""

    @pytest.fixture
    def recorded(self, tmp_path):
        rng = np.random.default_rng(0)
        layers = [gx.Flatten(), gx.Dense(runs.networks.levels(rng, (3, 128)))]
        net = gx.TernaryNetwork((2, 8, 8), gx.Encoder("onoff"), layers, ("a", "b", "c"))
        gx.save(gx.compile(net), tmp_path / "events.gxg")
        return tmp_path / "events.gxg", runs.write_recordings(tmp_path / "recordings")

    @pytest.mark.parametrize("loss", ["vanished", "forbidden"])
    def test_the_samples_before_are_safe(self, recorded, tmp_path, loss):
        graph, data = recorded
        whole, folder = tmp_path / "whole", tmp_path / "run"
        assert run(graph, data, "-o", whole).returncode == 0
        lost = data / "test" / "b" / "400.csv"
        contents = lost.read_bytes()
        # The list is made before the file goes: a process that stops at its first sample until then.
        args = (graph, data, "-o", folder)
        begun = subprocess.Popen(
            [sys.executable, "-c", WAITING, *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=obey_permissions,
        )  # fmt: skip
        assert begun.stdout.readline() == "listed\n"
        if loss == "vanished":
            lost.unlink()
        else:
            lost.chmod(0)
        _, err = begun.communicate("go on\n", timeout=120)
        reason = "no such file" if loss == "vanished" else "cannot be read (Permission denied)"
        one_line(subprocess.CompletedProcess(args, begun.returncode, "", err), "400.csv", reason, "samples are safe")
        expected = [row.sample for row in gx.load_run(whole).rows].index("test/b/400.csv")
        assert f"{expected} of 600 samples are safe" in err  # every sample before it, not only whole batches
        assert lines(folder / "samples.csv") == 1 + expected
        lost.write_bytes(contents)
        lost.chmod(0o644)
        assert run(*args, "--resume").returncode == 0
        assert (folder / "samples.csv").read_bytes() == (whole / "samples.csv").read_bytes()
        assert summary(folder)["results_sha256"] == summary(whole)["results_sha256"]


WAITING = """
import sys
from gxevent import cli, events
opened = events.open_dataset
def wait(*args, **kwargs):
    found = opened(*args, **kwargs)
    print("listed", flush=True)
    sys.stdin.readline()
    return found
events.open_dataset = wait
cli.main(["run", *sys.argv[1:]])
"""


def test_permission_to_write_lost(work, tmp_path):
    """The folder turns read-only: the samples are safe, the summary is missing, --resume adds it."""
    folder = tmp_path / "run"
    args = (work / "net.gxg", work / "images", "-o", folder)
    process = subprocess.Popen(
        runs.command(*args), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=obey_permissions
    )
    while size(folder / "samples.csv") < 500:
        time.sleep(0.001)
        assert process.poll() is None
    folder.chmod(0o555)
    _, err = process.communicate(timeout=120)
    done = subprocess.CompletedProcess(args, process.returncode, "", err)
    one_line(done, "summary.json", "Permission denied", "30,000 of 30,000 samples are safe", "--resume")
    folder.chmod(0o755)
    assert run(*args, "--resume").returncode == 0
    same_as_whole(work, folder)


@pytest.mark.slow
def test_memory_stays_flat(work, tmp_path):
    """Resident memory after a tenth of a long run and at its end."""
    runs.write_images(tmp_path / "many", 100_000)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(work / "net.gxg"), str(tmp_path / "many"), str(tmp_path / "run")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    early, late = map(int, done.stdout.split())
    assert lines(tmp_path / "run" / "samples.csv") == 100_001
    assert late - early < 3 * 2**20, f"grew from {early / 2**20:.1f} to {late / 2**20:.1f} MiB over 90,000 samples"


MEASURED = """
import sys
import gxevent as gx
graph, data = gx.load_graph(sys.argv[1]), gx.open_dataset(sys.argv[2])
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
done, found = 0, []
def progress(n):
    global done
    done += n
    if not found and done >= len(data) // 10:
        found.append(resident())
gx.record_run(graph, data, sys.argv[3], progress=progress)
print(found[0], resident())
"""
