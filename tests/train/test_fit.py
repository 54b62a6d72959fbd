"""The training loop on a tiny problem: it learns, a seed fixes it, a stopped run continues as if undisturbed."""

import dataclasses

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.errors import FormatError, OptionError  # noqa: E402
from gxevent.train import checkpoint  # noqa: E402
from gxevent.train.fit import Fit, TrainingError  # noqa: E402
from gxevent.train.frames import Recordings  # noqa: E402
from gxevent.train.networks import to_network  # noqa: E402
from gxevent.train.recipes import Recipe, override  # noqa: E402

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
    losses = [epoch.validation_loss for epoch in run.history]
    assert losses[run.best_epoch - 1] == min(losses)
    assert run.validation.accuracy(run.model.scores(run.validation.frames)) == run.best_accuracy


def test_the_seed_decides(parts):
    torch.manual_seed(0)
    one, same, other = fit(parts), fit(parts), fit(parts, seed=4)
    for run in (one, same, other):
        run.run(quiet=True)
        torch.rand(3)  # the global generator plays no part
    assert_same(one, same)
    assert any((a != b).any() for a, b in zip(result(one)[0], result(other)[0], strict=True))


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("after", [1, 3])
def test_a_stopped_run_continues_exactly(parts, tmp_path, stop, after):
    whole = fit(parts)
    whole.run(quiet=True)

    def interrupt(epoch):
        if epoch.epoch == after:
            raise stop

    stopped = fit(parts)
    with pytest.raises(stop):
        stopped.run(tmp_path / "a.ckpt", quiet=True, on_epoch=interrupt)
    resumed = fit(parts)
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
