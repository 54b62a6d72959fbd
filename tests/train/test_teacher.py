"""Distillation: a float network trained first, and what is learnt from it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.train import teacher  # noqa: E402
from gxevent.train.fit import Fit  # noqa: E402
from gxevent.train.frames import Recordings  # noqa: E402
from gxevent.train.recipes import from_settings, load_recipe  # noqa: E402


def recipe(**changes):
    settings = load_recipe("digits").settings()
    settings["network"]["layers"] = "4C3-MP2-8FC-3"
    settings["fit"] |= {"epochs": 3, "batch": 10}
    settings["teacher"]["epochs"] = 2
    for section, values in changes.items():
        settings[section] |= values
    return from_settings(settings, "test")


def recordings(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    frames = rng.integers(-1, 2, (count, 4, 8, 8)).astype(np.int8)
    frames[np.arange(count), labels] = 1
    return Recordings(frames, np.arange(count), labels)


def fit(made):
    return Fit(made, recordings(60, 0), recordings(30, 1), tuple("abc"))


def test_the_teacher_is_the_recipe_with_real_numbers_and_its_own_epochs():
    made = recipe(teacher={"layers": "8C3-MP2-16FC-3"})
    its = teacher.recipe_of(made)
    assert (its.network.weights, its.network.activations) == ("real", "real")
    assert its.network.layers == "8C3-MP2-16FC-3"
    assert (its.fit.epochs, its.teacher.epochs) == (2, 0)
    assert its.augmentation == made.augmentation
    assert teacher.recipe_of(recipe()).network.layers == "4C3-MP2-8FC-3"


def test_the_loss_is_the_labels_and_the_teachers_share():
    scores, taught = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.3, 0.1, -4.0]])
    loss = torch.tensor(7.0)
    p, q = (torch.softmax(v / 2, 1) for v in (taught, scores))
    divergence = (p * (p / q).log()).sum()
    torch.testing.assert_close(teacher.distilled(loss, scores, taught, 0.25, 2.0), 0.75 * loss + divergence)
    assert teacher.distilled(loss, scores, scores, 1.0, 3.0).abs() < 1e-6
    assert teacher.distilled(loss, scores, taught, 0.0, 3.0) == loss


def test_a_taught_run_differs_and_resumes_to_the_same_result(tmp_path):
    alone = fit(recipe(teacher={"epochs": 0}))
    alone.run(quiet=True)
    assert alone.teacher is None
    whole = fit(recipe())
    whole.run(quiet=True)
    assert whole.teacher is not None
    assert whole.teacher.real_weights
    assert len(whole.history) == 3
    assert not torch.equal(alone.model.layers[0].levels, whole.model.layers[0].levels)

    def stop(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    cut = fit(recipe())
    with pytest.raises(KeyboardInterrupt):
        cut.run(tmp_path / "cut.ckpt", quiet=True, on_epoch=stop)
    again = fit(recipe())
    again.restore(tmp_path / "cut.ckpt")
    taught = [again.teacher.state_dict(), whole.teacher.state_dict()]
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in taught), strict=True))
    again.run(quiet=True)
    states = [whole.model.state_dict(), again.model.state_dict()]
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
