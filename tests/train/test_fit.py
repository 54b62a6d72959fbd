"""The training loop on a tiny problem: it learns, a seed fixes it, a stopped run continues as if undisturbed."""

import dataclasses

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.errors import FormatError, OptionError  # noqa: E402
from gxevent.train import checkpoint  # noqa: E402
from gxevent.train.fit import Epoch, Fit, TrainingError  # noqa: E402
from gxevent.train.frames import Recordings  # noqa: E402
from gxevent.train.networks import to_network  # noqa: E402
from gxevent.train.recipes import Recipe, from_settings, override  # noqa: E402

RECIPE = msgspec.toml.decode(
    """
    name = "tiny"
    summary = "three patterns"
    [data]
    kind = "digits"
    [network]
    layers = "6C3-MP2-12FC-3"
    [augmentation]
    shift = 1
    [fit]
    epochs = 5
    batch = 20
    seed = 3
    """,
    type=Recipe,
)
CLASSES = ("bar", "rod", "dot")


def patterns(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    frames = (rng.random((count, 2, 9, 9)) < 0.03).astype(np.int8)
    for frame, label in zip(frames, labels, strict=True):
        at = rng.integers(2, 7)
        part = (slice(at, at + 2), slice(1, 8)) if label == 0 else (slice(1, 8), slice(at, at + 2))
        frame[(label % 2, *((slice(3, 6), slice(3, 6)) if label == 2 else part))] = 1
    return Recordings.of(list(frames[:, None]), labels)


@pytest.fixture(scope="module")
def parts():
    return patterns(121, 0), patterns(40, 1)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fit(parts, **changes):
    return Fit(override(RECIPE, **changes), *parts, CLASSES)


def result(run):
    """Everything about a finished run that must not depend on how it came about."""
    network = to_network(run.model, run.recipe.encoder.encoder(), CLASSES, {})
    arrays = [array for layer in network.layers for array in layer.arrays().values()]
    return arrays, [dataclasses.replace(epoch, seconds=0) for epoch in run.history], run.best_epoch


def assert_same(one, other):
    assert result(one)[1:] == result(other)[1:]
    for a, b in zip(result(one)[0], result(other)[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_learns(parts):
    run = fit(parts, epochs=12)
    run.run(quiet=True)
    assert run.best_accuracy >= 0.9
    assert run.history[-1].loss < run.history[0].loss
    assert run.validation.accuracy(run.model.scores(run.validation.frames)) == run.best_accuracy


def test_the_seed_decides(parts):
    torch.manual_seed(0)
    one, same, other = fit(parts), fit(parts), fit(parts, seed=4)
    for run in (one, same, other):
        run.run(quiet=True)
        torch.rand(3)  # the global generator plays no part
    assert_same(one, same)
    assert any((a != b).any() for a, b in zip(result(one)[0], result(other)[0], strict=True))


def judged(parts, monkeypatch, losses, smooth):
    """A run whose epochs have these validation losses."""
    settings = RECIPE.settings()
    settings["fit"] |= {"epochs": len(losses), "smooth": smooth}
    run = Fit(from_settings(settings, "test"), *parts, CLASSES)

    def epoch(number):
        run.model.layers[-1].beta.data.fill_(number)  # so that each epoch's network can be told
        return Epoch(number, 1.0, losses[number - 1], 0.5, 0.3, 0.3, 1.0)

    monkeypatch.setattr(run, "_epoch", epoch)
    return run


@pytest.mark.parametrize(
    ("losses", "smooth", "kept"),
    [
        ((5.0, 1.0, 4.0, 2.0, 2.0, 2.0), 1, 2),  # the lucky one
        ((5.0, 1.0, 4.0, 2.0, 2.0, 2.0), 3, 6),  # means 5, 3, 3.33, 2.33, 2.67, 2: the settled end
        ((5.0, 2.0, 1.0, 2.0, 4.0, 5.0), 3, 4),  # means 5, 3.5, 2.67, 1.67, 2.33, 3.67: before it overfits
        ((3.0, 3.0, 3.0, 3.0, 3.0, 3.0), 2, 6),  # among equals the last
        ((2.0, 3.0, 1.0, 3.0, 3.0, 3.0), 99, 3),  # means 2, 2.5, 2, 2.25, 2.4, 2.5: as many as there are
    ],
)
def test_the_epoch_kept_ends_the_lowest_mean_validation_loss(parts, monkeypatch, tmp_path, losses, smooth, kept):
    whole = judged(parts, monkeypatch, losses, smooth)
    whole.run(quiet=True)
    assert whole.best_epoch == kept
    assert whole.model.layers[-1].beta[0].item() == kept
    for after in range(1, len(losses)):

        def interrupt(epoch, after=after):
            if epoch.epoch == after:
                raise Stop

        with pytest.raises(Stop):
            judged(parts, monkeypatch, losses, smooth).run(tmp_path / "a.ckpt", quiet=True, on_epoch=interrupt)
        resumed = judged(parts, monkeypatch, losses, smooth)
        resumed.restore(tmp_path / "a.ckpt")
        resumed.run(quiet=True)
        assert resumed.best_epoch == kept
        assert resumed.model.layers[-1].beta[0].item() == kept


def test_a_checkpoint_of_another_way_to_choose_is_refused(parts, monkeypatch, tmp_path):
    judged(parts, monkeypatch, (2.0, 1.0), 1).run(tmp_path / "a.ckpt", quiet=True)
    with pytest.raises(OptionError, match="smooth"):
        judged(parts, monkeypatch, (2.0, 1.0), 2).restore(tmp_path / "a.ckpt")


class Stop(Exception):
    pass


@pytest.mark.parametrize("rule", ["adam", "residue"])
@pytest.mark.parametrize("stop", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("after", [1, 3])
def test_a_stopped_run_continues_exactly(parts, tmp_path, stop, after, rule):
    def begin():
        return Fit(from_settings({**RECIPE.settings(), "dst": {"rule": rule}}, "tiny"), *parts, CLASSES)

    whole = begin()
    whole.run(quiet=True)

    def interrupt(epoch):
        if epoch.epoch == after:
            raise stop

    stopped = begin()
    with pytest.raises(stop):
        stopped.run(tmp_path / "a.ckpt", quiet=True, on_epoch=interrupt)
    resumed = begin()
    resumed.restore(tmp_path / "a.ckpt")
    assert len(resumed.history) == after
    resumed.run(tmp_path / "a.ckpt", quiet=True)
    assert_same(resumed, whole)


def test_interrupted_before_the_first_epoch_ends(parts, tmp_path, monkeypatch):
    run = fit(parts)
    monkeypatch.setattr(run.dst, "step", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run.run(tmp_path / "a.ckpt", quiet=True)
    whole, resumed = fit(parts), fit(parts)
    whole.run(quiet=True)
    resumed.restore(tmp_path / "a.ckpt")
    resumed.run(quiet=True)
    assert_same(resumed, whole)


def test_a_finished_run_can_get_more_epochs(parts, tmp_path):
    run = fit(parts, epochs=2)
    run.run(tmp_path / "a.ckpt", quiet=True)
    longer = fit(parts, epochs=3)
    longer.restore(tmp_path / "a.ckpt")
    longer.run(quiet=True)
    assert [epoch.epoch for epoch in longer.history] == [1, 2, 3]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(parts, tmp_path):
    run = fit(parts)

    def poison(epoch):
        if epoch.epoch == 2:
            with torch.no_grad():
                run.model.layers[-1].gamma.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"'tiny': the loss is nan in epoch 3, batch 1.*epoch 2"):
        run.run(tmp_path / "a.ckpt", quiet=True, on_epoch=poison)
    good = fit(parts)
    good.restore(tmp_path / "a.ckpt")
    assert len(good.history) == 2
    good.run(quiet=True)
    assert np.isfinite(good.history[-1].loss)


def test_refuses_checkpoints_of_other_runs(parts, tmp_path):
    run = fit(parts, epochs=1)
    run.run(tmp_path / "a.ckpt", quiet=True)
    with pytest.raises(OptionError, match="seed"):
        fit(parts, seed=9).restore(tmp_path / "a.ckpt")
    with pytest.raises(OptionError, match="other training data"):
        Fit(RECIPE, patterns(121, 5), parts[1], CLASSES).restore(tmp_path / "a.ckpt")
    state = checkpoint.load(tmp_path / "a.ckpt")
    del state["optimizers"]
    checkpoint.save(state, tmp_path / "b.ckpt")
    with pytest.raises(FormatError, match=r"b\.ckpt: not a checkpoint"):
        fit(parts).restore(tmp_path / "b.ckpt")


def test_checkpoints_of_other_versions(parts, tmp_path):
    """Options that came later have their defaults; one that is not known cannot be honoured."""
    run = fit(parts, epochs=1)
    run.run(tmp_path / "a.ckpt", quiet=True)
    state = checkpoint.load(tmp_path / "a.ckpt")
    del state["teacher"], state["recipe"]["teacher"], state["recipe"]["augmentation"]["elastic"]
    checkpoint.save(state, tmp_path / "older.ckpt")
    again = fit(parts)
    again.restore(tmp_path / "older.ckpt")
    assert again.history == run.history
    state["recipe"]["dst"]["magic"] = 1
    checkpoint.save(state, tmp_path / "newer.ckpt")
    with pytest.raises(OptionError, match=r"newer\.ckpt: .*magic"):
        fit(parts).restore(tmp_path / "newer.ckpt")


def test_a_last_batch_of_one_joins_the_batch_before(parts):
    assert len(parts[0].frames) % RECIPE.fit.batch == 1
    fit(parts, epochs=1).run(quiet=True)


def test_progress_goes_to_standard_error(parts, capsys):
    fit(parts, epochs=1).run()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "tiny" in captured.err
    assert "zeros" in captured.err


def test_names_devices_that_are_not_there(parts):
    for name in ("cuda:99", "abacus"):
        with pytest.raises(OptionError, match=rf"device '{name}'"):
            Fit(RECIPE, *parts, CLASSES, device=name)
