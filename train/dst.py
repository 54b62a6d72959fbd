"""DST: the optimizer whose weights never leave their grid.

There is no hidden real weight: a layer's only persistent weight is its int8 tensor of levels. For a training step
the layer makes a transient float copy, PyTorch differentiates with respect to it, and ``DST.step`` takes the gradient,
asks the step rule for a proposed step and moves the levels by a discrete state transition; the copy is freed.

    optimizer = DST(model, lr=0.03, seed=1)
    loss.backward(); optimizer.step(); optimizer.zero_grad()

With ``in_backward=True`` each layer moves as soon as its gradient is there, during ``loss.backward()``, so that the
gradients of two layers are never held at once. Every layer draws from a generator of its own: the levels come out the
same either way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gxevent.errors import OptionError
from gxevent.train import fused, residue
from gxevent.train.backend import nn, torch
from gxevent.train.modules import DiscreteLayer
from gxevent.train.moments import MOMENT_BITS
from gxevent.train.recipes import LEARNING_RATES
from gxevent.train.residue import RESIDUE_BITS
from gxevent.train.rules import RULES
from gxevent.train.transition import transition

BLOCK = 1 << 16
"""Weights moved at a time on a CPU."""
Layers = nn.Module | Iterable[nn.Module] | Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Memory:
    """What training needs for the discrete weights, in bytes, as counted from the tensors."""

    weights: int
    """Number of discrete weights."""
    levels: int
    """Their levels (int8), kept for good, with what residue lies in the same bytes."""
    state: int
    """The step rule's tensors, kept from step to step."""
    gradients_peak: int
    """Most that gradients took at any one time."""

    @property
    def per_weight(self) -> float:
        """Bytes a weight kept from step to step, levels and state together."""
        return (self.levels + self.state) / max(1, self.weights)

    def line(self) -> str:
        """One line for people."""
        parts = {"weights": self.levels, "optimizer": self.state, "gradients peak": self.gradients_peak}
        shares = ", ".join(f"{name} {size / max(1, self.weights):.2f} B" for name, size in parts.items())
        return f"{shares} a weight, {self.weights:,} weights"

    def summary(self) -> dict[str, float]:
        return {**asdict(self), "per_weight": round(self.per_weight, 4)}


class DST(torch.optim.Optimizer):
    """Discrete state transition of all discrete layers in ``layers``.

    Parameters
    ----------
    layers
        A module, several, or parameter groups ``{"params": module(s), "lr": …}``; the discrete layers inside are
        trained, everything else (batch norms) is left to another optimizer. Move modules to their device first.
    lr, m
        Scale of the proposed step, in units of the weights' values, by default 0.03 (0.2 for the rule ``residue``);
        slope of the transition probability.
    rule
        ``"adam"`` (the released experiments), ``"momentum"``, ``"sgd"`` or ``"residue"``: see
        :mod:`gxevent.train.rules`.
    betas, eps, momentum
        Of the rules that use them.
    moment_bits
        32, 16 or 8: how the rules ``adam`` and ``momentum`` keep their averages, see :mod:`gxevent.train.moments`.
    residue_bits
        Keep what a step could not spend, rounded to 2, 4 or 8 bits a weight, instead of the transition by chance
        (``m`` is then not used); 0 forgets it, as the paper does. Default: 4 for the rule ``residue``, else 0. In
        small spaces (Z_0 to Z_3 with 4 bits) the residue takes no memory: it lies in bits that the int8 level leaves
        unused.
    in_backward
        Move each layer during ``backward`` and free its gradient there. For one ``backward`` a step.
    seed
        Of the layers' generators: transitions are deterministic for a seed and a device, whatever else draws random
        numbers. Their states are part of ``state_dict``.

    Raises
    ------
    OptionError
        for a rule or a number that is not possible, or when there is no discrete layer.
    """

    def __init__(
        self,
        layers: Layers,
        lr: float | None = None,
        *,
        m: float = 3.0,
        rule: str = "adam",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        momentum: float = 0.9,
        moment_bits: int = 32,
        residue_bits: int | None = None,
        in_backward: bool = False,
        seed: int = 0,
    ) -> None:
        if residue_bits is None:
            residue_bits = 4 if rule == "residue" else 0
        if lr is None:
            lr = LEARNING_RATES.get(rule, 0.0)
        defaults = {"lr": lr, "m": m, "rule": rule, "betas": tuple(betas), "eps": eps, "momentum": momentum}
        self._layers: dict[torch.Tensor, DiscreteLayer] = {}
        groups = [self._group(group) for group in _as_groups(layers)]
        super().__init__(groups, defaults | {"moment_bits": moment_bits, "residue_bits": residue_bits})
        for group in self.param_groups:
            _check(group)
        self.generators = {cells: _generator(seed, i, cells.device) for i, cells in enumerate(self._layers)}
        self._gradients_peak = 0
        if in_backward:
            for cells, layer in self._layers.items():
                layer.on_gradient = functools.partial(self._move, cells)

    def _group(self, group: dict[str, Any]) -> dict[str, Any]:
        """Turn the modules of a group into their int8 tensors, remembering which layer each belongs to."""
        modules = group["params"]
        modules = [modules] if isinstance(modules, nn.Module) else list(modules)
        if not all(isinstance(module, nn.Module) for module in modules):
            raise OptionError("DST trains discrete layers: give modules, not parameters")
        found = [layer for module in modules for layer in module.modules() if isinstance(layer, DiscreteLayer)]
        if not found:
            raise OptionError("DST found no discrete layer in the modules given")
        self._layers.update((layer.cells, layer) for layer in found)
        return {**group, "params": [layer.cells for layer in found]}

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Move the levels of every layer that took part in the loss, and free its transient weights."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for cells in self._layers:
            self._move(cells)
        return loss

    @torch.no_grad()
    def _move(self, cells: torch.Tensor) -> None:
        """One transition of one layer, if it has a gradient."""
        group = next(g for g in self.param_groups if any(p is cells for p in g["params"]))
        held = sum(layer.gradient_bytes() for layer in self._layers.values())
        self._gradients_peak = max(self._gradients_peak, held)
        layer, generator, state = self._layers[cells], self.generators[cells], self.state[cells]
        gradient = layer.take_gradient()
        if gradient is None:
            return
        bits = group["residue_bits"]
        residue.place(layer, state, bits)
        if fused.applies(cells, group):
            return fused.move(cells, gradient, state, group, layer.space, generator)
        propose = RULES[group["rule"]](gradient, state, group, generator)
        for rows in _blocks(cells):
            step = propose(rows)
            if bits:
                residue.move(layer, state, rows, step, bits)
                continue
            uniform = torch.rand(step.shape, generator=generator, device=cells.device)
            cells[rows] = transition(cells[rows], step, layer.space, group["m"], uniform)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the transient weights and their gradients."""
        for layer in self._layers.values():
            layer.release()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the levels: the rule's tensors, the options, and the generators' states (uint8)."""
        own = {"generators": [g.get_state() for g in self.generators.values()], "gradients_peak": self._gradients_peak}
        made = super().state_dict() | own
        for i, layer in enumerate(self._layers.values()):
            if layer.spare:  # a residue in the cells, which the layer's own state_dict leaves out
                made["state"][i] = made["state"].get(i, {}) | {"residue": residue.apart(layer)}
        return made

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue exactly where the optimizer that made ``state_dict`` stopped."""
        rest = dict(state_dict)
        states, peak = rest.pop("generators", None), rest.pop("gradients_peak", 0)
        if states is None or len(states) != len(self.generators):
            raise OptionError("the state is not of a DST optimizer of these layers: it lacks their generators' states")
        super().load_state_dict(rest)
        self._gradients_peak = max(self._gradients_peak, peak)
        for generator, state in zip(self.generators.values(), states, strict=True):
            generator.set_state(state.cpu())

    def memory(self) -> Memory:
        """Bytes of levels, state and gradients so far."""
        cells = list(self._layers)
        kept = (value for state in self.state.values() for value in state.values())
        return Memory(
            weights=sum(t.numel() for t in cells),
            levels=sum(t.nbytes for t in cells),
            state=sum(value.nbytes for value in kept if isinstance(value, torch.Tensor)),
            gradients_peak=self._gradients_peak,
        )


def _blocks(cells: torch.Tensor) -> Iterator[slice]:
    """Rows to move together: on a CPU few enough that all that is computed on the way stays in the cache."""
    rows = len(cells) if cells.device.type != "cpu" else max(1, BLOCK // cells[0].numel())
    for first in range(0, len(cells), rows):
        yield slice(first, first + rows)


def _generator(seed: int, number: int, device: torch.device) -> torch.Generator:
    """The generator of layer ``number``: independent of the others', whatever the seed."""
    made = torch.Generator(device=device)
    made.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1)))
    return made


def _as_groups(layers: Layers) -> list[dict[str, Any]]:
    if isinstance(layers, nn.Module):
        return [{"params": layers}]
    given = list(layers)
    if given and all(isinstance(group, dict) for group in given):
        return [group for group in given if isinstance(group, dict)]
    return [{"params": given}]


def _check(group: dict[str, Any]) -> None:
    if group["rule"] not in RULES:
        raise OptionError(f"DST rule {group['rule']!r} is not one of {', '.join(RULES)}")
    for name, least in (("lr", 0.0), ("m", 0.0)):
        if not group[name] >= least or group[name] == float("inf"):
            raise OptionError(f"DST {name}: expected a finite number >= {least:g}, got {group[name]!r}")
    if group["m"] == 0:
        raise OptionError("DST m: expected a number > 0, a slope of 0 never makes a partial step")
    for name, value in (("betas", group["betas"]), ("momentum", (group["momentum"],))):
        if not all(0 <= beta < 1 for beta in value):
            raise OptionError(f"DST {name}: expected numbers in [0, 1), got {group[name]!r}")
    for name, choices in (("moment_bits", MOMENT_BITS), ("residue_bits", RESIDUE_BITS)):
        if group[name] not in choices:
            raise OptionError(f"DST {name}: {group[name]!r} is not one of {', '.join(map(str, choices))}")
    if group["rule"] == "residue" and not group["residue_bits"]:
        raise OptionError("DST residue_bits: the rule 'residue' keeps one, expected 2, 4 or 8 bits")
