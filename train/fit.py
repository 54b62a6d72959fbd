"""The training loop: epochs of DST steps, validation, checkpoints.

The epoch kept is the one with the lowest validation loss; test recordings play no part. (Not the one with the highest
validation accuracy: on a hundred recordings the best of many epochs is a matter of luck.)

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
from typing import Any

import numpy as np
from tqdm import tqdm

from gxevent.errors import FormatError, GxError, OptionError
from gxevent.train import checkpoint
from gxevent.train.backend import torch
from gxevent.train.dst import DST
from gxevent.train.frames import Recordings, augment
from gxevent.train.losses import LOSSES
from gxevent.train.networks import TernaryModule
from gxevent.train.recipes import Recipe
from gxevent.train.topology import initial_network


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
        ``"cpu"``, ``"cuda"``, … as PyTorch names them.
    """

    def __init__(
        self, recipe: Recipe, train: Recordings, validation: Recordings, classes: tuple[str, ...], device: str = "cpu"
    ) -> None:
        self.recipe, self.train, self.validation, self.classes = recipe, train, validation, classes
        self.device = _device(device)
        settings = recipe.network
        network = initial_network(
            settings.layers,
            train.frames.shape[1:],
            encoder=recipe.encoder.encoder(),
            classes=classes,
            weights=settings.weights,
            activations=settings.activations,
            r=settings.r,
            h=settings.h,
            seed=recipe.fit.seed,
        )
        self.model = TernaryModule(network, a=settings.a, window=settings.derivative).to(self.device)
        rule = recipe.dst
        self.dst = DST(
            self.model,
            rule.lr,
            m=rule.m,
            rule=rule.rule,
            betas=rule.betas,
            momentum=rule.momentum,
            seed=recipe.fit.seed,
        )
        self.norm = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad], lr=recipe.norm.lr)
        self.history: list[Epoch] = []
        self.best: dict[str, torch.Tensor] = copy.deepcopy(self.model.state_dict())
        self.best_epoch = 0
        self.fingerprint = [train.sha256(), validation.sha256()]

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
        if path is not None and not self.history:
            self.save(path)
        with tqdm(
            total=total, initial=len(self.history), unit="epoch", desc=self.recipe.name, disable=quiet, file=sys.stderr
        ) as bar:
            for number in range(len(self.history) + 1, total + 1):
                made = self._epoch(number)
                self.history.append(made)
                if not self.best_epoch or made.validation_loss <= self.history[self.best_epoch - 1].validation_loss:
                    self.best, self.best_epoch = copy.deepcopy(self.model.state_dict()), number
                if path is not None:
                    self.save(path)
                shown = {"loss": f"{made.loss:.4f}", "val": f"{made.validation_accuracy:.2%}"}
                bar.set_postfix(shown | {"zeros": f"{made.zero_weights:.1%}"}, refresh=False)
                bar.update()
                if on_epoch is not None:
                    on_epoch(made)
        self.model.load_state_dict(self.best)

    @property
    def best_accuracy(self) -> float:
        """Validation accuracy of the epoch kept."""
        return self.history[self.best_epoch - 1].validation_accuracy

    def _epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        fit = self.recipe.fit
        rng = np.random.default_rng([fit.seed, number])
        order = rng.permutation(len(self.train.frames))
        labels = self.train.frame_labels
        # A last batch of one sample would have no variance for the batch norms: it joins the batch before it.
        cuts = [i for i in range(0, len(order), fit.batch) if len(order) - i > 1 or i == 0]
        loss_of = LOSSES[self.recipe.network.loss]
        total = 0.0
        self.model.train()
        for k, first in enumerate(cuts):
            chosen = order[first : first + fit.batch if k < len(cuts) - 1 else None]
            self._schedule((number - 1 + k / len(cuts)) / fit.epochs)
            frames = torch.from_numpy(augment(self.train.frames[chosen], self.recipe.augmentation, rng)).to(self.device)
            frames = frames.contiguous(memory_format=torch.channels_last)  # a third faster on a CPU
            loss = loss_of(self.model(frames), torch.from_numpy(labels[chosen]).to(self.device))
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError(
                    f"recipe {self.recipe.name!r}: the loss is {value} in epoch {number}, batch {k + 1}; lower dst.lr "
                    f"or norm.lr. The checkpoint holds epoch {number - 1}"
                )
            loss.backward()
            for optimizer in (self.dst, self.norm):
                optimizer.step()
                optimizer.zero_grad()
            total += value * len(chosen)
        scores = self.model.scores(self.validation.frames)
        held_out = float(loss_of(torch.from_numpy(scores), torch.from_numpy(self.validation.frame_labels)))
        return Epoch(
            epoch=number,
            loss=total / len(order),
            validation_loss=held_out,
            validation_accuracy=self.validation.accuracy(scores),
            zero_weights=self.model.zero_share(),
            seconds=time.perf_counter() - started,
        )

    def _schedule(self, done: float) -> None:
        """Learning rates on a cosine; ``done`` runs from 0 to 1."""
        for optimizer, settings in ((self.dst, self.recipe.dst), (self.norm, self.recipe.norm)):
            rate = settings.lr_end + (settings.lr - settings.lr_end) * (1 + math.cos(math.pi * done)) / 2
            for group in optimizer.param_groups:
                group["lr"] = rate

    # ------------------------------------------------------------------------------------------------ checkpoints

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything a later :meth:`restore` needs to go on as if nothing had happened."""
        checkpoint.save(
            {
                "recipe": self.recipe.settings(),
                "data": self.fingerprint,
                "model": dict(self.model.state_dict()),
                "dst": self.dst.state_dict(),
                "norm": self.norm.state_dict(),
                "best": dict(self.best),
                "best_epoch": self.best_epoch,
                "history": [asdict(epoch) for epoch in self.history],
            },
            path,
        )

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Continue from a checkpoint of the same recipe (the number of epochs may differ) and the same data."""
        state = checkpoint.load(path)
        where = os.fspath(path)
        try:
            self._compatible(state, where)
            self.model.load_state_dict(state["model"])
            self.dst.load_state_dict(state["dst"])
            self.norm.load_state_dict(state["norm"])
            self.best = {name: tensor.to(self.device) for name, tensor in state["best"].items()}
            self.best_epoch = int(state["best_epoch"])
            self.history = [Epoch(**epoch) for epoch in state["history"]]
        except (KeyError, TypeError, RuntimeError, IndexError) as error:
            raise FormatError(f"{where}: not a checkpoint of this gxevent ({error})") from error

    def _compatible(self, state: dict[str, Any], where: str) -> None:
        ours, theirs = self.recipe.settings(), state["recipe"]
        ours["fit"] = {**ours["fit"], "epochs": theirs["fit"]["epochs"]}
        for key in ours:
            if key != "summary" and ours[key] != theirs.get(key):
                raise OptionError(
                    f"{where}: its run had {key} = {theirs.get(key)!r}, this one has {ours[key]!r}: resume with the "
                    "recipe and seed it was started with"
                )
        if state["data"] != self.fingerprint:
            raise OptionError(f"{where}: its run saw other training data: resume with the data it was started with")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {name!r} cannot be used here ({reason}); 'cpu' always can") from error
    return device
