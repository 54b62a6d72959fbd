import csv
import gzip
import io
import pickle
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gxevent.errors import FormatError, OptionError
from gxevent.events import dump_events, from_arrays, open_dataset

FILES = ("Train/0/1.bin", "Train/10/2.bin", "Train/2/10.bin", "Train/2/9.bin", "Test/0/3.bin", "Test/2/4.bin")


def recording(number):
    return dump_events(from_arrays([number, number + 5], [1, 2], [3, 4], [0, 1], 34, 34), "nmnist")


def number(name):
    return int(name.rsplit("/", 1)[1].split(".")[0])


def make_folder(path, files=FILES):
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(recording(number(name)))
    return path


def make_zip(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files:
            archive.writestr(name, recording(number(name)))
        archive.writestr("__MACOSX/Train/0/._1.bin", b"")
        archive.writestr("README.md", b"notes")
    return path


def make_tar(path, mode):
    with tarfile.open(path, mode) as archive:
        for name in FILES:
            info = tarfile.TarInfo("NMNIST/" + name)
            info.size = len(recording(number(name)))
            archive.addfile(info, io.BytesIO(recording(number(name))))
    return path


@pytest.fixture(params=["folder", "zip", "tar", "tar.gz"])
def source(request, tmp_path):
    match request.param:
        case "folder":
            return make_folder(tmp_path)
        case "zip":
            return make_zip(tmp_path / "a.zip")
        case "tar":
            return make_tar(tmp_path / "a.tar", "w")
        case _:
            return make_tar(tmp_path / "a.tar.gz", "w:gz")


def test_layout_split_label_file(source):
    data = open_dataset(source)
    assert data.kind == "events"
    assert [(s.id, s.label, s.split) for s in data.samples] == [
        ("Test/0/3.bin", "0", "test"),
        ("Test/2/4.bin", "2", "test"),
    ]
    assert data.classes == ("0", "2", "10")  # of the whole source, in numeric order
    assert [stream.events["t"][0] for _, stream in data] == [3, 4]
    train = open_dataset(source, split="TRAIN")
    assert [s.id for s in train.samples] == ["Train/0/1.bin", "Train/2/9.bin", "Train/2/10.bin", "Train/10/2.bin"]
    everything = open_dataset(source, split="all")
    assert len(everything) == 6
    assert everything.load(5).source.endswith("Train/10/2.bin")


def test_data_sets_can_be_pickled_and_shared_by_threads(source):
    data = pickle.loads(pickle.dumps(open_dataset(source, split="all")))
    with ThreadPoolExecutor(4) as pool:
        times = list(pool.map(lambda i: int(data.load(i % 6).events["t"][0]), range(60)))
    assert times == [number(s.id) for s in data.samples] * 10


def test_a_split_that_is_not_there(source):
    with pytest.raises(OptionError, match=r"has no split 'val'; it has test, train; choose"):
        open_dataset(source, split="val")


def test_layout_label_file_in_one_outer_folder(tmp_path):
    files = ("root/cat/1.bin", "root/cat/2.bin", "root/dog/3.bin")
    for path in (make_folder(tmp_path / "x", files), make_zip(tmp_path / "a.zip", files)):
        data = open_dataset(path)
        assert [(s.id, s.label, s.split) for s in data.samples] == [
            ("cat/1.bin", "cat", None),
            ("cat/2.bin", "cat", None),
            ("dog/3.bin", "dog", None),
        ]
        with pytest.raises(OptionError, match="it has no splits"):
            open_dataset(path, split="test")


def test_limit_takes_evenly_spaced_recordings(tmp_path):
    path = make_folder(tmp_path, [f"{label}/{i}.bin" for label in "abcd" for i in range(5)])
    assert [s.label for s in open_dataset(path, limit=4).samples] == list("abcd")
    assert len(open_dataset(path, limit=99)) == 20
    assert open_dataset(path, limit=4).classes == tuple("abcd")
    with pytest.raises(OptionError, match="limit"):
        open_dataset(path, limit=0)


def test_one_recording(tmp_path, stream):
    for name, format in (("a.bin", "nmnist"), ("a.npz", "npz"), ("a.csv", "text")):
        (tmp_path / name).write_bytes(dump_events(stream, format))
        data = open_dataset(tmp_path / name)
        assert [(s.id, s.label) for s in data.samples] == [(name, None)]
        assert data.classes == ()
        np.testing.assert_array_equal(data.load(0).events, stream.events)


def test_sources_that_are_no_data_set(tmp_path):
    with pytest.raises(FormatError, match="no such file or folder"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"empty: holds no recordings; expected split/label/file"):
        open_dataset(tmp_path / "empty")
    with pytest.raises(FormatError, match=r"2 of 2 files, such as 1.bin, have no label; expected split/label/file"):
        open_dataset(make_folder(tmp_path / "flat", ["x/1.bin", "x/2.bin"]) / "x")
    with pytest.raises(FormatError, match=r"test/1.bin has no label: no folder between split and file"):
        open_dataset(make_folder(tmp_path / "unlabelled", ["train/2.bin", "test/1.bin"]))
    make_zip(tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:100])
    with pytest.raises(FormatError, match="zip"):
        open_dataset(tmp_path / "cut.zip").load(0)


def test_damage_inside_an_archive_is_noticed(tmp_path):
    path = make_zip(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    name = b"Test/0/3.bin"
    at = data.index(name) + len(name)
    data[at + 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"member Test/0/3.bin: "):
        open_dataset(path).load(0)


def test_manifest(tmp_path):
    make_folder(tmp_path, ["x/1.bin", "y/2.bin"])
    (tmp_path / "list.csv").write_text("label,path,split\ncat,y/2.bin,test\ndog,x/1.bin,train\n")
    data = open_dataset(tmp_path / "list.csv", split="all")
    assert [(s.id, s.label, s.split) for s in data.samples] == [("y/2.bin", "cat", "test"), ("x/1.bin", "dog", "train")]
    assert data.load(1).events["t"][0] == 1
    (tmp_path / "list.csv").write_text("label,path,split\ncat,y/2.bin,other\n")
    with pytest.raises(FormatError, match="line 2: split 'other'"):
        open_dataset(tmp_path / "list.csv")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(tmp_path, packed):
    images = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    for split, n in (("train", 3), ("t10k", 2)):
        for kind, array in (("images-idx3", images[:n]), ("labels-idx1", np.arange(n, dtype=np.uint8))):
            name, data = f"{split}-{kind}-ubyte", idx(array)
            (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
    data = open_dataset(tmp_path)
    assert data.kind == "images"
    assert [(s.id, s.label, s.split) for s in data.samples] == [
        ("test/00000", "0", "test"),
        ("test/00001", "1", "test"),
    ]
    np.testing.assert_array_equal(data.load(1), images[1])
    np.testing.assert_array_equal(data.images(), images[:2])
    assert len(open_dataset(tmp_path, split="all")) == 5
    assert [s.id for s in open_dataset(tmp_path, split="train", limit=2).samples] == ["train/00000", "train/00001"]
    assert open_dataset(tmp_path).classes == ("0", "1", "2")  # of both splits
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in tmp_path.glob("*ubyte*"):
            archive.write(file, f"raw/{file.name}")
    np.testing.assert_array_equal(open_dataset(tmp_path / "a.zip").images(), images[:2])


def test_damaged_idx_files(tmp_path):
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(idx(np.zeros((2, 3, 3), np.uint8))[:-1])
    with pytest.raises(FormatError, match="states 2x3x3 values, 18 bytes from byte 16, but has 17"):
        open_dataset(tmp_path)
    path.write_bytes(b"\0\0\x0d\x03")
    with pytest.raises(FormatError, match="not an IDX file"):
        open_dataset(tmp_path)


def test_real_nmnist_subset(data):
    path = data / "nmnist" / "nmnist_subset.zip"
    found = open_dataset(path, split="all")
    with open(data / "nmnist" / "nmnist_subset.csv", newline="") as file:
        expected = {row["path"]: row for row in csv.DictReader(file)}
    assert {s.id: s.label for s in found.samples} == {p: row["label"] for p, row in expected.items()}
    assert len(open_dataset(path)) == 63
    assert found.classes == tuple("0123456789")
    for i, (sample, stream) in enumerate(found):
        want, e = expected[sample.id], stream.events
        assert len(stream) == int(want["events"])
        if i % 9 == 0:
            assert (stream.width, stream.height) == (34, 34)
            assert e["p"].sum() == int(want["on_events"])
            assert (e["t"][0], e["t"][-1]) == (int(want["t_first_us"]), int(want["t_last_us"]))
            assert [int(e[f].astype(np.int64).sum()) for f in "xyt"] == [int(want[f"sum_{f}"]) for f in "xyt"]


def test_real_mnist(data):
    found = open_dataset(data / "mnist", limit=5)
    assert [s.label for s in found.samples] == list("72104")
    assert found.classes == tuple("0123456789")
    assert found.load(0).shape == (28, 28)
