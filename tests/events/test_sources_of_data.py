"""Data sets of long labelled recordings, CIFAR batches, image folders, and tonic's."""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
import types

import numpy as np
import pytest

from gxevent.errors import FormatError, MissingExtraError, OptionError
from gxevent.events import from_arrays, from_tonic, open_dataset, windows, write_events


def test_long_recordings_labelled_by_their_names(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for i, label in enumerate(("mug", "box-cutter")):
            write_events(
                tmp_path / split / f"{label}.npz", from_arrays([0, 250_000 * (i + 1)], [1, 2], [1, 2], [1, 0], 8, 8)
            )
    data = open_dataset(tmp_path)
    assert [(s.id, s.label, s.split) for s in data.samples] == [
        ("test/box-cutter.npz", "box-cutter", "test"),
        ("test/mug.npz", "mug", "test"),
    ]
    assert data.classes == ("box-cutter", "mug")
    assert len(list(windows(data.load(0), "100ms"))) == 6
    (tmp_path / "test" / "mug.npz").rename(tmp_path / "test" / "cup.npz")
    with pytest.raises(FormatError, match=r"has no label: no folder between split and file; expected"):
        open_dataset(tmp_path)


def test_real_objects(data):
    found = open_dataset(data / "dvs128-objects", split="all")
    assert len(found) == 12
    assert found.classes == ("box", "box-cutter", "mouse", "mug", "pencil", "scissors")
    assert all(sample.label in sample.id for sample in found.samples)
    assert len(open_dataset(data / "dvs128-objects")) == 6
    stream = found.load(0)
    assert (stream.width, stream.height) == (128, 128)


def cifar(tmp_path, kind):
    rng = np.random.default_rng(0)
    made = {}
    names = [f"class{i}" for i in range(10)]
    for batch in ("data_batch_1", "data_batch_2", "test_batch"):
        images, labels = rng.integers(0, 256, (7, 3072), dtype=np.uint8), rng.integers(0, 10, 7)
        made[batch] = images.reshape(-1, 3, 32, 32), labels
        if kind == "binary":
            data = b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels.tolist(), images, strict=True))
            (tmp_path / f"{batch}.bin").write_bytes(data)
            (tmp_path / "batches.meta.txt").write_text("\n".join(names))
        else:  # as Python 2 wrote them: text is bytes
            batch_of = {b"data": images, b"labels": labels.tolist(), b"batch_label": b"one of them"}
            (tmp_path / batch).write_bytes(pickle.dumps(batch_of, protocol=2))
            meta = {b"label_names": [name.encode() for name in names], b"num_vis": 3072}
            (tmp_path / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return made


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_cifar_batches(tmp_path, kind):
    made = cifar(tmp_path, kind)
    data = open_dataset(tmp_path)
    assert data.kind == "images"
    assert data.classes == tuple(f"class{i}" for i in range(10))
    images, labels = made["test_batch"]
    np.testing.assert_array_equal(data.images(), images)
    assert [s.label for s in data.samples] == [f"class{i}" for i in labels]
    train = open_dataset(tmp_path, split="train", limit=10)
    assert [s.id for s in train.samples][:2] == ["train/00000", "train/00001"]
    np.testing.assert_array_equal(train.load(8), made["data_batch_2"][0][1])
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(tmp_path.glob("*batch*")):
            tar.add(file, f"cifar-10/{file.name}")
    np.testing.assert_array_equal(open_dataset(archive).images(), images)


def test_a_folder_that_holds_one_archive_is_that_archive(tmp_path):
    (tmp_path / "unpacked").mkdir()
    images, labels = cifar(tmp_path / "unpacked", "python")["test_batch"]
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    with tarfile.open(fetched / "cifar.tar.xz", "w:xz") as tar:
        tar.add(tmp_path / "unpacked", "cifar-10-batches-py")
    (fetched / "README.md").write_text("where it is from")
    (fetched / "cifar.tar.xz.sha256").write_text("0" * 64)
    data = open_dataset(fetched)
    np.testing.assert_array_equal(data.images(), images)
    assert [s.label for s in data.samples] == [f"class{i}" for i in labels]
    assert data.source == str(fetched / "cifar.tar.xz")
    # A second archive, or one in a deeper folder: which is meant is for the user to say.
    (fetched / "more.tar.xz").write_bytes((fetched / "cifar.tar.xz").read_bytes())
    with pytest.raises(
        FormatError, match=r"2 of 2 files, such as cifar\.tar\.xz, have no label; open the archive itself"
    ):
        open_dataset(fetched)
    (fetched / "more.tar.xz").unlink()
    whole = (fetched / "cifar.tar.xz").read_bytes()
    (fetched / "cifar.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"fetched/cifar\.tar\.xz: damaged or cut short archive"):
        open_dataset(fetched)


def test_a_folder_that_holds_one_recording_is_no_archive(tmp_path):
    write_events(tmp_path / "a.npz", from_arrays([0, 1], [1, 2], [1, 2], [1, 0], 8, 8))
    with pytest.raises(FormatError, match=r"a\.npz, have no label; expected split/label/file"):
        open_dataset(tmp_path)


class _Evil:
    def __reduce__(self):
        return print, ("this must not run",)


def test_pickles_are_never_executed(tmp_path, capsys):
    cifar(tmp_path, "python")
    for content in (
        pickle.dumps(_Evil()),
        pickle.dumps([1]),
        b"\x80\x04junk",
        b"",
        pickle.dumps({b"data": 3, b"labels": []}),
    ):
        (tmp_path / "test_batch").write_bytes(content)
        with pytest.raises(FormatError, match="test_batch: "):
            open_dataset(tmp_path)
    assert "this must not run" not in capsys.readouterr().out
    (tmp_path / "batches.meta").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(FormatError, match=r"batches.meta: not a CIFAR batch, or damaged \(holds .*print\)"):
        open_dataset(tmp_path, split="train")


def test_damaged_cifar_batches(tmp_path):
    cifar(tmp_path, "binary")
    whole = (tmp_path / "test_batch.bin").read_bytes()
    (tmp_path / "test_batch.bin").write_bytes(whole[:-1])
    with pytest.raises(FormatError, match="21510 bytes are no whole number of records of 3073"):
        open_dataset(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(FormatError, match="image 0: label 11, expected 0 to 9"):
        open_dataset(tmp_path)


def test_folders_of_images(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="images are read through Pillow")
    colour = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            image.fromarray(colour).save(tmp_path / split / label / "0001.png")
    data = open_dataset(tmp_path)
    assert (data.kind, data.classes, len(data)) == ("images", ("cat", "dog"), 2)
    assert data.load(0).shape == (3, 32, 32)
    np.testing.assert_array_equal(data.load(0), colour.transpose(2, 0, 1))
    assert data.images().shape == (2, 3, 32, 32)
    image.fromarray(colour[:, :, 0]).save(tmp_path / "test/cat/0001.png")
    np.testing.assert_array_equal(open_dataset(tmp_path).load(0), colour[:, :, 0])
    out = io.BytesIO()
    image.fromarray(colour).save(out, "PNG")
    (tmp_path / "test/cat/0001.png").write_bytes(out.getvalue()[:200])
    with pytest.raises(FormatError, match=r"test/cat/0001.png: not an image, or damaged"):
        open_dataset(tmp_path).load(0)


def test_real_cifar_as_jpeg(data):
    pytest.importorskip("PIL.Image", reason="images are read through Pillow")
    found = open_dataset(data / "cifar10-jpeg" / "cifar10_jpeg.tar.xz")
    assert (found.kind, len(found), len(found.classes)) == ("images", 10_000, 10)
    assert found.load(9999).shape == (3, 32, 32)
    assert found.samples[9999].id == "test/truck/0999.jpg"


class Toy:
    """What tonic's data sets look like."""

    sensor_size = (8, 6, 2)

    def __init__(self, save_to=".", train=True):
        self.targets = [1, 0, 1, 0]

    def __len__(self):
        return 4

    def __getitem__(self, i):
        events = np.array([(1, 2, 100 + i, 1), (3, 4, 200, 0)], [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")])
        return events, self.targets[i]


def test_data_sets_of_tonic():
    data = from_tonic(Toy(), split="test")
    assert [(s.id, s.label) for s in data.samples][:2] == [("test/00000", "1"), ("test/00001", "0")]
    assert data.classes == ("0", "1")
    stream = data.load(2)
    assert stream.events.tolist() == [(102, 1, 2, True), (200, 3, 4, False)]
    assert (stream.width, stream.height) == (8, 6)
    named = Toy()
    named.classes = ["left", "right"]
    assert [s.label for s in from_tonic(named, limit=2).samples] == ["right", "right"]
    plain = [Toy()[i] for i in range(4)]
    with pytest.raises(OptionError, match="has no sensor_size; pass width and height"):
        from_tonic(plain)
    assert from_tonic(plain, width=8, height=6).classes == ("0", "1")
    with pytest.raises(FormatError, match="a sample of int"):
        from_tonic([(3, 1)], width=8, height=6).load(0)


def test_tonic_by_name(monkeypatch):
    tonic = types.ModuleType("tonic")
    tonic.datasets = types.ModuleType("tonic.datasets")
    tonic.datasets.Toy = Toy
    monkeypatch.setitem(sys.modules, "tonic", tonic)
    monkeypatch.setitem(sys.modules, "tonic.datasets", tonic.datasets)
    data = open_dataset("tonic:Toy@somewhere", split="train", limit=3)
    assert (len(data), data.samples[0].split) == (3, "train")
    with pytest.raises(OptionError, match=r"tonic.datasets has no 'Nothing'"):
        open_dataset("tonic:Nothing")
    with pytest.raises(OptionError, match="expected tonic:NAME"):
        open_dataset("tonic:a b")
    monkeypatch.setitem(sys.modules, "tonic", None)
    monkeypatch.setitem(sys.modules, "tonic.datasets", None)
    with pytest.raises(MissingExtraError, match="pip install tonic"):
        open_dataset("tonic:Toy")
