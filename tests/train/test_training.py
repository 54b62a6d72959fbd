"""From a recipe's name to a network file, as the command line does it."""

import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent import files  # noqa: E402
from gxevent.errors import CrosscheckError, OptionError  # noqa: E402
from gxevent.events.datasets import open_dataset  # noqa: E402
from gxevent.files import load_network, shipped  # noqa: E402
from gxevent.train import train_recipe, training, zoo  # noqa: E402
from gxevent.train.recipes import from_settings, load_recipe, with_precision  # noqa: E402
from gxevent.train.shelf import list_shelf  # noqa: E402
from gxevent.train.sources import Data  # noqa: E402
from tests.train.test_fit import CLASSES, patterns  # noqa: E402


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A recipe of its own over synthetic patterns; yields (recipe file, list that notes when the test part is read)."""
    read = []

    def load(recipe, path, *, quiet):
        def test():
            read.append("test")
            return patterns(30, 2)

        return Data(patterns(120, 0), test, CLASSES, {"name": "patterns"})

    monkeypatch.setattr(training, "load_data", load)
    path = tmp_path / "tiny.toml"
    path.write_text(
        'name = "tiny"\nsummary = "patterns"\n[data]\nkind = "digits"\nfolds = 4\n[network]\nlayers = "6C3-MP2-3"\n'
        "[fit]\nepochs = 3\nbatch = 20\n"
    )
    return path, read


def test_writes_network_checkpoint_and_provenance(tiny, tmp_path):
    recipe, read = tiny
    before = torch.get_num_threads()
    result = train_recipe(recipe, out=tmp_path / "net.gxn", seed=5, quiet=True)
    assert read == ["test"]  # once
    assert torch.get_num_threads() == before
    network = load_network(tmp_path / "net.gxn")
    made = network.provenance
    assert (made["recipe"], made["seed"], made["epochs"]) == ("tiny", 5, 3)
    assert made["validation_accuracy"] == result.validation_accuracy
    assert (made["validation_samples"], made["test_samples"]) == (30, 30)
    assert made["test_accuracy"] == result.test_accuracy
    assert made["data"] == {"name": "patterns"}
    assert made["training_memory_bytes"]["per_weight"] == 9
    assert {"torch", "numpy", "gxevent"} <= set(made["versions"])
    assert made["settings"]["network"]["layers"] == "6C3-MP2-3"
    assert network.classes == CLASSES
    assert result.checkpoint == tmp_path / "net.ckpt"
    assert result.checkpoint.is_file()
    assert result.summary()["out"] == str(tmp_path / "net.gxn")
    assert len(result.history) == 3
    assert result.exactness.equal
    assert result.exactness.frames == 30
    assert made["exactness"]["accumulators"] == 90
    assert made["preset"] == "gxnor"
    assert 0 < made["zero_activations"] < 1
    assert set(network.activity) == {"input", "act1"}
    assert all(0 < share < 1 for share in network.activity.values())
    rows = (tmp_path / "net.curve.csv").read_text().splitlines()
    assert len(rows) == 4
    assert rows[0].split(",")[:4] == ["epoch", "loss", "validation_loss", "validation_accuracy"]
    assert float(rows[-1].split(",")[3]) == pytest.approx(result.history[-1].validation_accuracy, rel=1e-5)


def test_learning_curve_is_a_picture(tiny, tmp_path):
    matplotlib = pytest.importorskip("matplotlib.image", reason="the picture needs Matplotlib")
    result = train_recipe(tiny[0], out=tmp_path / "net.gxn", epochs=1, quiet=True)
    assert [path.name for path in result.curve] == ["net.curve.csv", "net.curve.png"]
    picture = matplotlib.imread(tmp_path / "net.curve.png")
    assert picture.shape[1] > 2 * picture.shape[0] > 200
    assert picture[..., :3].std() > 0.01


def test_a_network_that_is_not_exact_is_not_written(tiny, tmp_path, monkeypatch):
    whole = training.to_network

    def spoilt(*arguments, **named):
        network = whole(*arguments, **named)
        weight = network.layers[-2].weight
        weight[0, :] = -weight[0, :] + (weight[0, :] == 0)
        return network

    monkeypatch.setattr(training, "to_network", spoilt)
    with pytest.raises(CrosscheckError, match="nothing is written"):
        train_recipe(tiny[0], out=tmp_path / "net.gxn", epochs=1, quiet=True)
    assert not (tmp_path / "net.gxn").exists()


def test_presets_are_one_option(tiny, tmp_path):
    result = train_recipe(tiny[0], out=tmp_path / "net.gxn", epochs=2, quiet=True, preset="float")
    made = load_network(tmp_path / "net.gxn").provenance
    assert made["preset"] == "float"
    assert made["training_memory_bytes"] is None
    assert result.memory is None
    assert result.approximated
    assert made["exactness"]["largest_score_difference"] > 0
    with pytest.raises(OptionError, match="preset 'best' is not one of"):
        train_recipe(tiny[0], preset="best", quiet=True)


def test_the_shelf_shows_what_is_shipped():
    found = list_shelf()
    assert {"digits", "mnist", "fashion", "nmnist", "dvs-objects", "braille", "cifar10"} <= set(found)
    digits = found["digits"]
    stated = load_network(shipped("digits.gxn")).provenance
    assert digits.test_accuracy == stated["test_accuracy"]
    assert digits.bytes == shipped("digits.gxn").stat().st_size
    assert found["cifar10"].accuracy() == "-"


def test_resume_takes_over_the_planned_epochs(tiny, tmp_path, monkeypatch):
    recipe, _ = tiny
    whole = train_recipe(recipe, epochs=4, quiet=True)
    epoch = training.Fit._epoch

    def stop(self, number):
        if number == 3:
            raise KeyboardInterrupt
        return epoch(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(training.Fit, "_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train_recipe(recipe, out=tmp_path / "a.gxn", epochs=4, quiet=True)
    assert not (tmp_path / "a.gxn").exists()
    resumed = train_recipe(recipe, out=tmp_path / "a.gxn", resume=tmp_path / "a.ckpt", quiet=True)
    assert len(resumed.history) == 4
    for one, other in zip(whole.network.layers, resumed.network.layers, strict=True):
        for name, array in one.arrays().items():
            np.testing.assert_array_equal(array, other.arrays()[name])


def test_the_command_kept_names_no_places(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "/opt/bin/gxevent"])
    monkeypatch.setattr(sys, "argv", ["/opt/bin/gxevent", "train", "x", "--data", "/home/me/mnist", "--out", "a/b.gxn"])
    assert training.command_line() == "gxevent train x --data mnist --out a/b.gxn"
    monkeypatch.setattr(sys, "argv", [".venv/bin/gxevent", "train", "x", "--out", "a/b.gxn"])
    assert training.command_line() == "gxevent train x --out a/b.gxn"
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", "-m", "gxevent.train.zoo", "digits", "--out", "/x/zoo"])
    assert training.command_line() == "python -m gxevent.train.zoo digits --out zoo"


def test_nothing_is_written_without_out(tiny, tmp_path):
    recipe, _ = tiny
    before = set(tmp_path.iterdir())
    result = train_recipe(recipe, epochs=1, quiet=True)
    assert (result.out, result.checkpoint) == (None, None)
    assert set(tmp_path.iterdir()) == before


def test_bad_arguments_are_refused_before_data_are_read(tiny, tmp_path, monkeypatch):
    """Reading some data takes minutes; nobody waits that long for a typing error."""
    recipe, _ = tiny
    monkeypatch.setattr(training, "load_data", lambda *_, **__: pytest.fail("data were read"))
    for arguments, message in (
        ({"out": tmp_path / "net.pt"}, r"\*\.gxn"),
        ({"out": tmp_path / "no" / "net.gxn"}, "does not exist"),
        ({"threads": 0}, "threads"),
        ({"epochs": 0}, "epochs"),
        ({"device": "abacus"}, "abacus"),
    ):
        with pytest.raises(OptionError, match=message):
            train_recipe(recipe, quiet=True, **arguments)


def test_the_digits_of_the_zoo(tmp_path, capsys):
    """The real recipe for one epoch, and the recordings packed beside it, read back."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    assert zoo.main(["digits", "--out", str(tmp_path), "--epochs", "1"]) == 0
    assert "of 360" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"digits.gxn", "digits_test.zip"}
    packed = tmp_path / "digits_test.zip"
    assert packed.stat().st_size <= 2 << 20
    source = open_dataset(packed)
    assert len(source) == 360
    assert source.samples[0].split == "test"
    assert zoo.accuracy_on(load_network(tmp_path / "digits.gxn"), packed) > 0.15
    zoo.pack_digits(tmp_path / "again.zip")
    assert packed.read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert all(info.date_time == zoo._EPOCH for info in zipfile.ZipFile(packed).infolist())


def test_a_network_made_from_a_copy_of_the_recipe_is_taken_in(tmp_path, capsys):
    """Its command is then that of the recipe; how it was made is not forgotten. Nothing else changes."""
    network = load_network(shipped("braille.gxn"))
    made = {key: value for key, value in network.provenance.items() if key != "made_by"}
    settings = {**made["settings"], "summary": "mine", "fit": {**made["settings"]["fit"]}}
    settings["fit"].pop("smooth", None)  # trained before there was such an option
    by = "gxevent train copy.toml --data braille --out part.gxn --threads 1"
    files.save(replace(network, provenance={**made, "settings": settings, "command": by}), tmp_path / "part.gxn")
    for source in (tmp_path / "part.gxn", tmp_path / "zoo" / "braille.gxn"):  # taken in again, it stays as it is
        assert zoo.main(["braille", "--out", str(tmp_path / "zoo"), "--take", str(source)]) == 0
        taken = load_network(tmp_path / "zoo" / "braille.gxn")
        assert taken.provenance["command"] == f"gxevent train braille --data {made['data']['source']} --out braille.gxn"
        assert taken.provenance["made_by"] == by
        assert from_settings(taken.provenance["settings"], "here") == with_precision(load_recipe("braille"), "float32")
        assert taken.provenance["settings"]["fit"]["smooth"] == 1
        kept = set(made) - {"command", "made_by", "settings"}
        assert {key: taken.provenance[key] for key in kept} == {key: made[key] for key in kept}
        for one, other in zip(network.layers, taken.layers, strict=True):
            for name, array in one.arrays().items():
                np.testing.assert_array_equal(array, other.arrays()[name])
    settings["fit"]["epochs"] += 1
    files.save(replace(network, provenance={**made, "settings": settings}), tmp_path / "part.gxn")
    before = (tmp_path / "zoo" / "braille.gxn").read_bytes()
    assert zoo.main(["braille", "--out", str(tmp_path / "zoo"), "--take", str(tmp_path / "part.gxn")]) == 2
    assert "was trained with fit = " in capsys.readouterr().err
    assert (tmp_path / "zoo" / "braille.gxn").read_bytes() == before


def test_the_zoo_reports_errors_in_one_line(tmp_path, capsys):
    assert zoo.main(["nmnist", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_package_imports_without_pytorch():
    """And says how to install it when it is needed."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import gxevent.train\n"
        "assert 'digits' in gxevent.train.list_recipes()\n"
        "try:\n    gxevent.train.train_recipe\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "MissingExtraError training needs the package 'torch': pip install 'gxevent[train]'"


def test_every_public_name_is_there():
    import gxevent.train

    for name in gxevent.train.__all__:
        assert getattr(gxevent.train, name) is not None
    assert set(gxevent.train.__all__) <= set(dir(gxevent.train))
    with pytest.raises(AttributeError):
        gxevent.train.nothing  # noqa: B018
