"""The training loop: epochs of DST steps, validation, checkpoints.

The epoch kept ends the few epochs (``fit.smooth``) with the lowest mean validation loss; test recordings play no part.
Not the one with the highest validation accuracy: on a hundred recordings the best of many epochs is a matter of luck.
Nor the one with the lowest single loss: while learning rates are high, a network moved by random steps jumps about, and
the luckiest of many jumps can look better than the settled end of the run.

Everything random comes from the recipe's seed: the first weights, the order and motion of the samples (a generator of
seed and epoch), the transitions (the optimizer's generator, part of the checkpoint). So the same seed gives the same
network on the same machine, and a resumed run the same as an undisturbed one.
"""

from __future__ import annotations

import copy
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gxevent.errors import FormatError, GxError, OptionError
from gxevent.train import checkpoint, real, teacher
from gxevent.train.backend import torch
from gxevent.train.device import fastest_precision, open_device
from gxevent.train.dst import DST
from gxevent.train.frames import Recordings
from gxevent.train.losses import LOSSES
from gxevent.train.networks import TernaryModule, tensor
from gxevent.train.recipes import Recipe, from_settings, with_precision
from gxevent.train.topology import initial_network

MOMENTUM = 0.1
"""Share of each new batch in the batch norms' running averages, early in an epoch."""


class TrainingError(GxError):
    """Training cannot go on: the loss is no number."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave."""

    epoch: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    zero_weights: float
    zero_activations: float
    seconds: float


class Fit:
    """One training run, from a recipe and its data to the best epoch's network.

    Parameters
    ----------
    recipe
        Settings of the run.
    train, validation
        Recordings to learn from, and to choose the epoch by.
    classes
        Names of the classes.
    device
        ``"cpu"``, ``"cuda"``, … as PyTorch names them, or ``"auto"``.
    """

    def __init__(
        self, recipe: Recipe, train: Recordings, validation: Recordings, classes: tuple[str, ...], device: str = "cpu"
    ) -> None:
        self.device = open_device(device)
        self.asked = recipe
        self.recipe = recipe = with_precision(recipe, fastest_precision(self.device))
        """With the precision it computes in."""
        self.train, self.validation, self.classes = train, validation, classes
        self.loss = LOSSES[recipe.network.loss]
        self.model = initial_module(recipe, train.frames.shape[1:], classes).to(self.device)
        self.dst = self._discrete_optimizer()
        self.optimizers = [optimizer for optimizer in (self.dst, self._real_optimizer()) if optimizer is not None]
        self.history: list[Epoch] = []
        self.best: dict[str, torch.Tensor] = copy.deepcopy(self.model.state_dict())
        self.best_epoch = 0
        self.fingerprint = [train.sha256(), validation.sha256()]
        self.teacher: TernaryModule | None = None
        """Trained before the first epoch, where the recipe has one."""

    def _discrete_optimizer(self) -> DST | None:
        """None where all weights are real."""
        if not self.model.discrete_layers():
            return None
        rule = self.recipe.dst
        return DST(
            [{"params": self.model, "range": (rule.lr, rule.lr_end)}],
            rule.lr,
            m=rule.m,
            rule=rule.rule,
            betas=rule.betas,
            momentum=rule.momentum,
            moment_bits=rule.moment_bits,
            residue_bits=rule.residue_bits,
            in_backward=rule.in_backward,
            seed=self.recipe.fit.seed,
        )

    def _real_optimizer(self) -> torch.optim.Adam:
        """Adam over the batch norms and, where there are any, the real weights."""
        weights = [layer.weight for layer in self.model.real_layers()]
        rest = [p for norm in self.model.norms() for p in norm.parameters()]
        groups = [
            {"params": params, "lr": settings.lr, "range": (settings.lr, settings.lr_end)}
            for params, settings in ((rest, self.recipe.norm), (weights, self.recipe.real))
            if params
        ]
        optimizer = torch.optim.Adam(groups)
        optimizer.register_step_post_hook(lambda *_: [layer.clip() for layer in self.model.real_layers()])
        return optimizer

    @property
    def bfloat16(self) -> bool:
        return self.recipe.fit.precision == "bfloat16"

    @property
    def seconds(self) -> float:
        """Time spent in epochs, over all runs that were resumed."""
        return sum(epoch.seconds for epoch in self.history)

    def run(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        quiet: bool = False,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> None:
        """Train until the recipe's number of epochs is reached; afterwards the model is that of the best epoch.

        Parameters
        ----------
        path
            Checkpoint file, written before the first and after every epoch.
        on_epoch
            Called after each epoch; what it raises stops the run, with the checkpoint in place.

        Raises
        ------
        TrainingError
            when the loss is no number; the checkpoint stays that of the last good epoch.
        KeyboardInterrupt
            passed on, the checkpoint in place.
        """
        total = self.recipe.fit.epochs
        if self.recipe.teacher.epochs and self.teacher is None:
            self._train_teacher(quiet)
        if path is not None and not self.history:
            self.save(path)
        with tqdm(
            total=total, initial=len(self.history), unit="epoch", desc=self.recipe.name, disable=quiet, file=sys.stderr
        ) as bar:
            for number in range(len(self.history) + 1, total + 1):
                made = self._epoch(number)
                self.history.append(made)
                if not self.best_epoch or self._smoothed(number) <= self._smoothed(self.best_epoch):
                    self.best, self.best_epoch = copy.deepcopy(self.model.state_dict()), number
                if path is not None:
                    self.save(path)
                shown = {"loss": f"{made.loss:.4f}", "val": f"{made.validation_accuracy:.2%}"}
                zeros = f"{made.zero_weights:.0%} of weights, {made.zero_activations:.0%} of activations"
                bar.set_postfix(shown | {"zeros": zeros}, refresh=False)
                bar.update()
                if on_epoch is not None:
                    on_epoch(made)
        self.model.load_state_dict(self.best)

    def _train_teacher(self, quiet: bool) -> None:
        """Train the recipe's float network, its time counted to none of the epochs."""
        fit = Fit(teacher.recipe_of(self.recipe), self.train, self.validation, self.classes, str(self.device))
        fit.run(quiet=quiet)
        self.teacher = fit.model.eval()

    @property
    def best_accuracy(self) -> float:
        """Validation accuracy of the epoch kept."""
        return self.history[self.best_epoch - 1].validation_accuracy

    def _smoothed(self, number: int) -> float:
        """Mean validation loss of epoch ``number`` and those before it, ``fit.smooth`` in all.

        It looks back only, so that a run can be stopped and resumed anywhere and no further network need be kept.
        """
        last = self.history[max(0, number - self.recipe.fit.smooth) : number]
        return sum(epoch.validation_loss for epoch in last) / len(last)

    def _epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        fit = self.recipe.fit
        rng = np.random.default_rng([fit.seed, number])
        count = len(self.train.cuts(fit.batch))
        total = samples = 0.0
        self.model.train()
        for k, (frames, labels) in enumerate(self.train.batches(fit.batch, self.recipe.augmentation, rng)):
            self._schedule((number - 1 + k / count) / fit.epochs)
            self._average_norms(k, count)
            value = self._step(frames, labels)
            if not math.isfinite(value):
                raise TrainingError(
                    f"recipe {self.recipe.name!r}: the loss is {value} in epoch {number}, batch {k + 1}; lower dst.lr "
                    f"or norm.lr. The checkpoint holds epoch {number - 1}"
                )
            total += value * len(labels)
            samples += len(labels)
        self.model.settle_norms(self.train, fit.batch, fit.norm_frames, rng)
        with self.model.counting_zeros() as zeros:
            scores = self.model.scores(self.validation.frames)
        held_out = float(self.loss(torch.from_numpy(scores), torch.from_numpy(self.validation.frame_labels)))
        return Epoch(
            epoch=number,
            loss=total / samples,
            validation_loss=held_out,
            validation_accuracy=self.validation.accuracy(scores),
            zero_weights=self.model.zero_share(),
            zero_activations=zeros.share,
            seconds=time.perf_counter() - started,
        )

    def _step(self, frames: NDArray[np.int8], labels: NDArray[np.int64]) -> float:
        """One step of all optimizers; the loss, which is checked before anything moves."""
        x = tensor(frames, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            scores = self.model(x)
        loss = self.loss(scores.float(), torch.from_numpy(labels).to(self.device))
        if self.teacher is not None:
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                taught = self.teacher(x)
            rule = self.recipe.teacher
            loss = teacher.distilled(loss, scores.float(), taught.float(), rule.share, rule.temperature)
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()
        return value

    def _average_norms(self, batch: int, count: int) -> None:
        """Make the batch norms' running averages plain ones over the last quarter of the epoch.

        A fixed share for each new batch would remember a few thousand frames only, and their chance would be in the
        thresholds for good.
        """
        seen = batch - (count - 1 - count // 4)
        for norm in self.model.norms():
            norm.momentum = MOMENTUM if seen <= 0 else 1 / seen

    def _schedule(self, done: float) -> None:
        """Learning rates on a cosine; ``done`` runs from 0 to 1."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                first, last = group["range"]
                group["lr"] = last + (first - last) * (1 + math.cos(math.pi * done)) / 2

    # ------------------------------------------------------------------------------------------------ checkpoints

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything a later :meth:`restore` needs to go on as if nothing had happened."""
        checkpoint.save(
            {
                "recipe": self.recipe.settings(),
                "data": self.fingerprint,
                "model": dict(self.model.state_dict()),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "teacher": None if self.teacher is None else dict(self.teacher.state_dict()),
                "best": dict(self.best),
                "best_epoch": self.best_epoch,
                "history": [asdict(epoch) for epoch in self.history],
            },
            path,
        )

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Continue from a checkpoint of the same recipe (the number of epochs may differ) and the same data.

        Where the recipe leaves the precision to the machine, the run goes on in the checkpoint's, whatever machine this
        is: a resumed run is to end as an undisturbed one.
        """
        state = checkpoint.load(path)
        where = os.fspath(path)
        try:
            # Options that the checkpoint's gxevent did not know yet have their defaults.
            begun = from_settings(state["recipe"], where)
            recipe = with_precision(self.asked, begun.fit.precision)
            self._compatible(recipe, begun, state["data"], where)
            self.recipe = recipe
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            if state.get("teacher") is not None:
                self.teacher = initial_module(
                    teacher.recipe_of(self.recipe), self.train.frames.shape[1:], self.classes
                ).to(self.device)
                self.teacher.load_state_dict(state["teacher"])
                self.teacher.eval()
            self.best = {name: tensor.to(self.device) for name, tensor in state["best"].items()}
            self.best_epoch = int(state["best_epoch"])
            self.history = [Epoch(**epoch) for epoch in state["history"]]
        except (KeyError, TypeError, RuntimeError, IndexError) as error:
            raise FormatError(f"{where}: not a checkpoint of this gxevent ({error})") from error

    def _compatible(self, recipe: Recipe, begun: Recipe, data: list[str], where: str) -> None:
        ours, theirs = recipe.settings(), begun.settings()
        ours["fit"] = {**ours["fit"], "epochs": theirs["fit"]["epochs"]}
        for key in ours:
            if key != "summary" and ours[key] != theirs.get(key):
                raise OptionError(
                    f"{where}: its run had {key} = {theirs.get(key)!r}, this one has {ours[key]!r}: resume with the "
                    "recipe and seed it was started with"
                )
        if data != self.fingerprint:
            raise OptionError(f"{where}: its run saw other training data: resume with the data it was started with")


def initial_module(recipe: Recipe, input_shape: tuple[int, ...], classes: tuple[str, ...]) -> TernaryModule:
    """The module before training."""
    settings = recipe.network
    real_weights, real_activations = settings.weights == "real", settings.activations == "real"
    network = initial_network(
        settings.layers,
        input_shape,
        encoder=recipe.encoder.encoder(),
        classes=classes,
        weights=real.SPACE if settings.weights == "real" else settings.weights,
        activations=real.SPACE if settings.activations == "real" else settings.activations,
        r=real.R if real_activations else settings.r,
        h=1.0 if real_activations else settings.h,
        seed=recipe.fit.seed,
    )
    return TernaryModule(
        network,
        a=settings.a,
        window=settings.derivative,
        real_weights=real_weights,
        real_activations=real_activations,
    )
