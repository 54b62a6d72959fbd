"""DST: the optimizer whose weights never leave their grid.

There is no hidden real weight: a layer's only persistent weight is its int8 ``levels`` tensor. For a training step
the layer makes a transient float copy, PyTorch differentiates with respect to it, and ``DST.step`` takes the gradient,
asks the step rule for a proposed step and moves the levels by a discrete state transition; the copy is freed.

    optimizer = DST(model, lr=0.03, seed=1)
    loss.backward(); optimizer.step(); optimizer.zero_grad()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from gxevent.errors import OptionError
from gxevent.train.backend import nn, torch
from gxevent.train.modules import DiscreteLayer
from gxevent.train.rules import RULES
from gxevent.train.transition import transition

Layers = nn.Module | Iterable[nn.Module] | Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Memory:
    """What training keeps between two steps, in bytes."""

    weights: int
    """Number of discrete weights."""
    levels: int
    """Bytes of their levels (int8)."""
    state: int
    """Bytes of the step rule's tensors."""

    @property
    def per_weight(self) -> float:
        """Bytes a weight, levels and state together."""
        return (self.levels + self.state) / max(1, self.weights)

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
        Scale of the proposed step, in units of the weights' values; slope of the transition probability.
    rule
        ``"adam"`` (the released experiments), ``"sgd"`` or ``"momentum"``: see :mod:`gxevent.train.rules`.
    betas, eps, momentum
        Of the rules that use them.
    seed
        Of the optimizer's own generator: transitions are deterministic for a seed and a device, whatever else
        draws random numbers. The generator's state is part of ``state_dict``.

    Raises
    ------
    OptionError
        for a rule or a number that is not possible, or when there is no discrete layer.
    """

    def __init__(
        self,
        layers: Layers,
        lr: float = 0.03,
        *,
        m: float = 3.0,
        rule: str = "adam",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        momentum: float = 0.9,
        seed: int = 0,
    ) -> None:
        defaults = {"lr": lr, "m": m, "rule": rule, "betas": tuple(betas), "eps": eps, "momentum": momentum}
        self._layers: dict[torch.Tensor, DiscreteLayer] = {}
        super().__init__([self._group(group) for group in _as_groups(layers)], defaults)
        for group in self.param_groups:
            _check(group)
        device = next(iter(self._layers)).device
        self.generator = torch.Generator(device=device)
        self.generator.manual_seed(seed)

    def _group(self, group: dict[str, Any]) -> dict[str, Any]:
        """Turn the modules of a group into their levels tensors, remembering which layer each belongs to."""
        modules = group["params"]
        modules = [modules] if isinstance(modules, nn.Module) else list(modules)
        if not all(isinstance(module, nn.Module) for module in modules):
            raise OptionError("DST trains discrete layers: give modules, not parameters")
        found = [layer for module in modules for layer in module.modules() if isinstance(layer, DiscreteLayer)]
        if not found:
            raise OptionError("DST found no discrete layer in the modules given")
        self._layers.update((layer.levels, layer) for layer in found)
        return {**group, "params": [layer.levels for layer in found]}

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Move the levels of every layer that took part in the loss, and free its transient weights."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            propose = RULES[group["rule"]]
            for levels in group["params"]:
                layer = self._layers[levels]
                gradient = layer.take_gradient()
                if gradient is None:
                    continue
                proposed = propose(gradient, self.state[levels], group)
                uniform = torch.rand(levels.shape, generator=self.generator, device=levels.device)
                levels.copy_(transition(levels, proposed, layer.space, group["m"], uniform))
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the transient weights and their gradients."""
        for layer in self._layers.values():
            layer.release()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the levels: the rule's tensors, the options, and the generator's state (uint8)."""
        return {**super().state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue exactly where the optimizer that made ``state_dict`` stopped."""
        rest = dict(state_dict)
        try:
            generator = rest.pop("generator")
        except KeyError:
            raise OptionError("the state is not of a DST optimizer: it has no generator state") from None
        super().load_state_dict(rest)
        self.generator.set_state(generator.cpu())

    def memory(self) -> Memory:
        """Bytes kept between two steps: the levels, and what the step rule holds besides."""
        levels = list(self._layers)
        kept = (value for state in self.state.values() for value in state.values())
        return Memory(
            weights=sum(t.numel() for t in levels),
            levels=sum(t.nbytes for t in levels),
            state=sum(value.nbytes for value in kept if isinstance(value, torch.Tensor)),
        )


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
