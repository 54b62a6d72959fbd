"""What recipes train on: splits that keep test and held-out digits apart, and clear words when files are missing."""

import shutil
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest

from gxevent.errors import FormatError, OptionError
from gxevent.events.idx import decode_idx
from gxevent.train import sources as data
from gxevent.train.frames import Recordings
from gxevent.train.recipes import from_settings, load_recipe
from gxevent.train.sources import digits, nmnist as nmnist_source


def nmnist(**settings):
    made = load_recipe("nmnist").settings()
    made["data"] |= {"emulated": 0, "folds": 2, **settings}
    return from_settings(made, "test")


@pytest.fixture
def few(data, tmp_path):
    """A few real recordings, unpacked: digits 0 .. 11 of the training part, two test recordings."""
    folder = tmp_path / "nmnist"
    with zipfile.ZipFile(data / "nmnist" / "nmnist_subset.zip") as archive:
        names = [n for n in archive.namelist() if n.endswith(".bin")]
        train = sorted((n for n in names if n.startswith("Train")), key=lambda n: n.split("/")[-1])[:12]
        archive.extractall(folder, [*train, *[n for n in names if n.startswith("Test")][:2]])
    return folder


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(few):
    """20 pictures in MNIST's files beside the recordings."""
    folder = few.parent / "mnist"
    folder.mkdir()
    images = np.zeros((20, 28, 28))
    images[np.arange(20), 8:20, np.arange(4, 24)] = 255
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(20) % 10))
    assert decode_idx(idx(images), "x").shape == (20, 28, 28)
    return folder


def test_folder_and_archive_of_nmnist_give_the_same(few, tmp_path):
    made = data.load_data(nmnist(), few)
    assert made.train.frames.shape == (12, 6, 34, 34)
    assert made.train.labels.tolist() == sorted(made.train.labels.tolist())  # files lie sorted by label
    test = made.load_test()
    assert test is not None
    assert len(test) == 2
    shutil.make_archive(str(tmp_path / "packed"), "zip", few)
    packed = data.load_data(nmnist(), tmp_path / "packed.zip")
    assert packed.train.sha256() == made.train.sha256()
    (tmp_path / "two").mkdir()
    for part in ("Train", "Test"):
        shutil.make_archive(str(tmp_path / "two" / part), "zip", few, part)
    apart = data.load_data(nmnist(), tmp_path / "two")
    assert apart.train.sha256() == made.train.sha256()
    assert apart.load_test().sha256() == test.sha256()


def test_emulated_digits_are_those_without_a_recording(few, mnist, monkeypatch):
    seen = []

    @dataclass
    class Spy:
        width: int = 34

        def __call__(self, image, *, seed):
            seen.append((seed, int(np.argmax(image.max(axis=0))) - 4))
            return digits.DIGITS_CAMERA(np.zeros((8, 8)), seed=seed)

    monkeypatch.setattr(nmnist_source, "CAMERA", Spy())
    monkeypatch.setattr(nmnist_source, "encode_stream", lambda encoder, stream, shape: np.zeros((1, *shape), np.int8))
    made = data.load_data(nmnist(emulated=5), few)
    assert seen == [(i, i) for i in range(12, 17)]  # 0 .. 11 have real recordings
    assert made.emulated.labels.tolist() == [2, 3, 4, 5, 6]
    assert made.description["emulated_recordings"] == 5
    train, validation = made.split(2, 0, 0, repeat=3)
    assert len(train) == 3 * (12 - len(validation)) + 5


def test_says_so_where_mnist_is_missing(few):
    made = data.load_data(nmnist(emulated=5), few)
    assert made.emulated is None
    assert "train-images-idx3-ubyte" in made.notes[0]


def test_splits_hold_out_each_recording_once():
    labels = np.arange(40) % 4
    frames = [np.full((1, 1, 1, 1), i, np.int8) for i in range(40)]
    extra = Recordings.of([np.full((1, 1, 1, 1), 99, np.int8)], np.array([0]))
    made = data.Data(Recordings.of(frames, labels), lambda: None, ("a", "b", "c", "d"), {}, extra)
    seen = []
    for fold in range(5):
        train, validation = made.split(5, fold, 1)
        held = set(validation.frames.ravel().tolist())
        assert len(held) == 8
        assert set(train.frames.ravel().tolist()) == (set(range(40)) - held) | {99}
        seen += held
    assert sorted(seen) == list(range(40))
    with pytest.raises(OptionError, match="folds"):
        made.split(41, 0, 1)


@pytest.mark.parametrize("where", ["nowhere", "empty", "other", "test_only", "letters"])
def test_missing_files_are_named(where, few, tmp_path):
    path = tmp_path / where
    if where != "nowhere":
        path.mkdir()
    if where == "other":
        (path / "notes.txt").write_text("nothing")
    if where == "test_only":
        shutil.copytree(few / "Test", path / "Test")
        shutil.make_archive(str(path), "zip", path)
        path = path.with_suffix(".zip")
    if where == "letters":
        some = next((few / "Train").iterdir())
        shutil.copytree(some, path / "Train" / "a")
    with pytest.raises(FormatError, match=r"Train/<digit>/<number>\.bin") as caught:
        data.load_data(nmnist(), path)
    assert "\n" not in str(caught.value)


def test_recordings_without_numbers_cannot_be_told_from_emulated_ones(few, mnist):
    some = sorted((few / "Train").rglob("*.bin"))[0]
    some.rename(some.with_name("first.bin"))
    with pytest.raises(FormatError, match=r"first\.bin.*emulated = 0"):
        data.load_data(nmnist(emulated=1), few)
    assert len(data.load_data(nmnist(), few).train) == 12


def test_data_that_is_needed_or_not():
    with pytest.raises(OptionError, match="--data"):
        data.load_data(nmnist())
    with pytest.raises(OptionError, match="leave out --data"):
        data.load_data(load_recipe("digits"), "/data")


def test_digits_are_split_once_and_for_all():
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    pictures = digits.digits()
    assert pictures.images.shape == (1797, 8, 8)
    assert pictures.images.max() == 1
    assert int(pictures.test.sum()) == 360
    counts = np.bincount(pictures.labels[pictures.test])
    assert counts.max() - counts.min() <= 3
    stream = pictures.record(5, 0)
    assert (stream.width, stream.height) == (16, 16)
    assert np.array_equal(stream.events, pictures.record(5, 0).events)
    assert not np.array_equal(stream.events, pictures.record(5, 1).events)


class TestImages:
    """IDX files: MNIST's layout."""

    @pytest.fixture
    def folder(self, tmp_path):
        rng = np.random.default_rng(0)
        for part, n in (("train", 60), ("t10k", 20)):
            (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (n, 28, 28))))
            (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n) % 10))
        return tmp_path

    def test_become_graded_frames(self, folder):
        made = data.load_data(load_recipe("mnist"), folder)
        assert made.train.frames.shape == (60, 1, 28, 28)
        assert (made.train.frames.min(), made.train.frames.max()) == (0, 64)
        assert made.classes == tuple("0123456789")
        test = made.load_test()
        assert test is not None
        assert len(test) == 20
        train, held_out = made.split(12, 0, 0)
        assert (len(train), len(held_out)) == (55, 5)

    def test_train_end_to_end_in_a_moment(self, folder, tmp_path):
        from gxevent.train.training import train_recipe

        recipe = tmp_path / "small.toml"
        recipe.write_text(
            "name = 'mnist'\nsummary = 'small'\n[data]\nkind = 'images'\nfolds = 2\n[encoder]\nkind = 'levels'\n"
            "[network]\nlayers = '4C5s4-10'\n[fit]\nepochs = 1\nbatch = 20\n"
        )
        result = train_recipe(recipe, folder, out=tmp_path / "small.gxn", quiet=True)
        assert result.test_samples == 20
        assert result.network.encoder is not None
        assert result.network.encoder.kind == "levels"

    def test_what_is_missing_is_named(self, folder, tmp_path):
        with pytest.raises(OptionError, match=r"needs --data: expected train-images.*published at http://yann"):
            data.load_data(load_recipe("mnist"))
        with pytest.raises(FormatError, match=r"expected train-images-idx3-ubyte, .* published at https://github"):
            data.load_data(load_recipe("fashion"), tmp_path / "nowhere")
        (folder / "train-labels-idx1-ubyte").unlink()
        with pytest.raises(FormatError, match="train-labels-idx1-ubyte"):
            data.load_data(load_recipe("mnist"), folder)
