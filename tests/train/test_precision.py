"""``fit.precision = "auto"``: what suits the machine is used, written down, and kept when a run goes on elsewhere."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.errors import OptionError  # noqa: E402
from gxevent.files import load_network  # noqa: E402
from gxevent.train import checkpoint, cross_validate, device, folds, train_recipe, training  # noqa: E402
from gxevent.train.fit import Fit  # noqa: E402
from gxevent.train.recipes import from_settings, list_recipes, load_recipe, override  # noqa: E402
from gxevent.train.sources import Data  # noqa: E402
from tests.train.test_fit import CLASSES, RECIPE, assert_same, one_thread, patterns  # noqa: E402, F401

CPU = torch.device("cpu")
PLAIN, BFLOAT16 = {"avx2": True, "avx512_bf16": False, "cpu_name": "x"}, {"avx2": True, "avx512_bf16": True}


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine one with the given capabilities."""

    def become(capabilities):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    return become


@pytest.fixture
def parts():
    return patterns(61, 0), patterns(20, 1)


def of(precision, epochs=3):
    settings = RECIPE.settings()
    settings["fit"] |= {"precision": precision, "epochs": epochs}
    return from_settings(settings, "test")


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        (PLAIN, "float32"),
        (BFLOAT16, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"architecture": "aarch64", "neon": True, "bf16": False}, "float32"),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, "bfloat16"),
        ({"architecture": "riscv64"}, "float32"),
    ],
)
def test_the_processor_decides(machine, parts, capabilities, precision):
    machine(capabilities)
    assert device.fastest_precision(CPU) == precision
    run = Fit(of("auto"), *parts, CLASSES)
    assert run.recipe.fit.precision == precision
    assert run.bfloat16 == (precision == "bfloat16")
    assert Fit(of("float32"), *parts, CLASSES).recipe.fit.precision == "float32"
    assert Fit(of("bfloat16"), *parts, CLASSES).bfloat16


def test_a_pytorch_that_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert device.fastest_precision(CPU) == "float32"


@pytest.mark.parametrize(
    ("hip", "capability", "precision"),
    [(None, (7, 5), "float32"), (None, (8, 0), "bfloat16"), (None, (9, 0), "bfloat16"), ("6.2", None, "bfloat16")],
)
def test_the_cuda_device_decides(monkeypatch, hip, capability, precision):
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda of: {"cuda:1": capability}[str(of)])
    assert device.fastest_precision(torch.device("cuda:1")) == precision
    assert device.fastest_precision(torch.device("meta")) == "float32"


def test_it_computes_in_what_it_says(machine, parts):
    """Runs of either precision differ, and "auto" is the one or the other to the bit."""
    made = {}
    for name, capabilities in (("float32", PLAIN), ("bfloat16", BFLOAT16)):
        machine(capabilities)
        made[name] = [Fit(of(precision), *parts, CLASSES) for precision in ("auto", name)]
        for run in made[name]:
            run.run(quiet=True)
        assert_same(*made[name])
    losses = [[epoch.loss for epoch in runs[0].history] for runs in made.values()]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=0.1)


@pytest.mark.parametrize("begun", [PLAIN, BFLOAT16])
def test_a_run_resumed_on_another_kind_of_machine_ends_as_undisturbed(machine, parts, tmp_path, begun):
    machine(begun)
    whole = Fit(of("auto"), *parts, CLASSES)
    whole.run(quiet=True)

    def stop(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Fit(of("auto"), *parts, CLASSES).run(tmp_path / "a.ckpt", quiet=True, on_epoch=stop)
    kept = checkpoint.load(tmp_path / "a.ckpt")["recipe"]["fit"]["precision"]
    assert kept == whole.recipe.fit.precision
    machine(PLAIN if begun is BFLOAT16 else BFLOAT16)
    resumed = Fit(of("auto"), *parts, CLASSES)
    assert resumed.recipe.fit.precision != kept
    resumed.restore(tmp_path / "a.ckpt")
    assert resumed.recipe.fit.precision == kept
    resumed.run(tmp_path / "a.ckpt", quiet=True)
    assert_same(resumed, whole)
    assert checkpoint.load(tmp_path / "a.ckpt")["recipe"]["fit"]["precision"] == kept
    # Who names a precision gets it, or a refusal.
    Fit(of(kept), *parts, CLASSES).restore(tmp_path / "a.ckpt")
    other = "float32" if kept == "bfloat16" else "bfloat16"
    with pytest.raises(OptionError, match="precision"):
        Fit(of(other), *parts, CLASSES).restore(tmp_path / "a.ckpt")


def test_a_checkpoint_from_before_auto_goes_on(machine, parts, tmp_path):
    """Its recipe named bfloat16; today's leaves it to the machine."""
    machine(PLAIN)
    Fit(of("bfloat16", 1), *parts, CLASSES).run(tmp_path / "a.ckpt", quiet=True)
    for today in ("auto", "bfloat16"):
        resumed = Fit(of(today), *parts, CLASSES)
        resumed.restore(tmp_path / "a.ckpt")
        assert resumed.bfloat16
        assert len(resumed.history) == 1


def test_a_teacher_computes_as_its_pupil(machine, parts, monkeypatch):
    machine(BFLOAT16)
    settings = of("auto", 1).settings()
    settings["teacher"]["epochs"] = 1
    seen = []
    step = Fit._step
    monkeypatch.setattr(Fit, "_step", lambda self, *batch: seen.append(self.bfloat16) or step(self, *batch))
    Fit(from_settings(settings, "test"), *parts, CLASSES).run(quiet=True)
    assert len(seen) == 6
    assert all(seen)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Makes a recipe file of a precision, over synthetic patterns."""

    def load(recipe, path, *, quiet):
        return Data(patterns(60, 0), lambda: None, CLASSES, {"name": "patterns"})

    monkeypatch.setattr(training, "load_data", load)
    monkeypatch.setattr(folds, "load_data", load)

    def write(precision):
        path = tmp_path / "tiny.toml"
        path.write_text(
            'name = "tiny"\nsummary = "patterns"\n[data]\nkind = "digits"\nfolds = 3\n[network]\nlayers = "6C3-MP2-3"\n'
            f'[fit]\nepochs = 1\nbatch = 20\nprecision = "{precision}"\n'
        )
        return path

    return write


@pytest.mark.parametrize(("capabilities", "precision"), [(PLAIN, "float32"), (BFLOAT16, "bfloat16")])
def test_the_provenance_has_what_was_used(machine, tiny, tmp_path, capsys, capabilities, precision):
    machine(capabilities)
    train_recipe(tiny("auto"), out=tmp_path / "net.gxn")
    assert "note:" not in capsys.readouterr().err
    made = load_network(tmp_path / "net.gxn").provenance
    assert made["precision"] == made["settings"]["fit"]["precision"] == precision


def test_bfloat16_without_instructions_is_noted(machine, tiny, tmp_path, capsys):
    def notes(command, **options):
        command(tiny("bfloat16"), **options)
        captured = capsys.readouterr()
        assert captured.out == ""
        return [line for line in captured.err.splitlines() if line.startswith("note:")]

    machine(PLAIN)
    for command in (train_recipe, cross_validate):
        (note,) = notes(command)
        assert "emulated" in note
        assert 'precision = "auto" or "float32"' in note
        assert notes(command, quiet=True) == []
    machine(BFLOAT16)
    assert notes(train_recipe) == []


def test_folds_go_on_in_the_precision_they_were_begun_in(machine, tiny, tmp_path, monkeypatch):
    out, run, trained = tmp_path / "a.json", Fit.run, []

    def counted(self, *arguments, **named):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(self.recipe.fit.precision)
        run(self, *arguments, **named)

    machine(BFLOAT16)
    with monkeypatch.context() as patch:
        patch.setattr(Fit, "run", counted)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(tiny("auto"), out=out, quiet=True)
    machine(PLAIN)
    made = cross_validate(tiny("auto"), out=out, quiet=True)
    assert trained == ["bfloat16"]
    assert made.recipe.fit.precision == json.loads(out.read_text())["recipe"]["fit"]["precision"] == "bfloat16"
    assert len(made.folds) == 3
    with pytest.raises(OptionError, match="another recipe"):
        cross_validate(tiny("float32"), out=out, quiet=True)


def test_recipes_shipped_leave_it_to_the_machine():
    for name in list_recipes():
        assert load_recipe(name).fit.precision in ("auto", "float32")
    assert override(load_recipe("mnist"), seed=3).fit.precision == "auto"
    settings = load_recipe("mnist").settings()
    settings["fit"]["precision"] = "float16"
    with pytest.raises(OptionError, match=r"float16.*\$\.fit\.precision"):
        from_settings(settings, "mine")
