"""Step rules: how a gradient becomes the real step that the discrete state transition carries out.

A rule takes the gradient of one weight tensor (rows are output units), its own state, the options of its group and
the layer's random generator, and returns the proposed step, a float32 tensor of the same shape. Its state is the only
memory that training keeps besides the weights' levels; ``DST.memory`` counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gxevent.train import moments
from gxevent.train.backend import torch

State = dict[str, Any]
Rule = Callable[[torch.Tensor, State, Mapping[str, Any], torch.Generator], torch.Tensor]


def adam(gradient: torch.Tensor, state: State, options: Mapping[str, Any], generator: torch.Generator) -> torch.Tensor:
    """``-lr * mhat / (sqrt(vhat) + eps)`` (Kingma and Ba 2015): 8, 4 or about 1 byte a weight.

    The rule of the released GXNOR experiments, whose "gradient step" is Adam's. With ``moment_bits`` 8 the second
    moment is factored.
    """
    beta1, beta2 = options["betas"]
    bits = options["moment_bits"]
    state["count"] = state.get("count", 0) + 1
    first = moments.read(state, "first", gradient).lerp_(gradient, 1 - beta1)
    moments.write(state, "first", first, bits, generator)
    if bits == 8:
        second = moments.average_factored(state, "second", gradient.square(), beta2)
    else:
        second = moments.read(state, "second", gradient).mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        moments.write(state, "second", second, bits, generator)
    scale = options["lr"] / (1 - beta1 ** state["count"])
    root = (second / (1 - beta2 ** state["count"])).sqrt_().add_(options["eps"])
    return first.div(root).mul_(-scale)


def sgd(gradient: torch.Tensor, state: State, options: Mapping[str, Any], generator: torch.Generator) -> torch.Tensor:
    """``-lr * gradient``: no state at all."""
    return gradient * -options["lr"]


def momentum(
    gradient: torch.Tensor, state: State, options: Mapping[str, Any], generator: torch.Generator
) -> torch.Tensor:
    """``b <- momentum * b + gradient``, step ``-lr * b``: 4, 2 or about 1 byte a weight."""
    velocity = moments.read(state, "velocity", gradient).mul_(options["momentum"]).add_(gradient)
    moments.write(state, "velocity", velocity, options["moment_bits"], generator)
    return velocity * -options["lr"]


def residue(
    gradient: torch.Tensor, state: State, options: Mapping[str, Any], generator: torch.Generator
) -> torch.Tensor:
    """``-lr * gradient / rms``, rms a running average for each output unit: next to no state.

    The rule's memory is the residue, in ``residue_bits`` a weight: see :func:`gxevent.train.transition.spend`.
    """
    beta2 = options["betas"][1]
    state["count"] = state.get("count", 0) + 1
    flat = gradient.flatten(1)
    if "square" not in state:
        state["square"] = torch.zeros_like(flat[:, 0])
    state["square"].lerp_(flat.square().mean(1), 1 - beta2)
    root = (state["square"] / (1 - beta2 ** state["count"])).sqrt_().add_(options["eps"])
    return (flat / root[:, None]).mul_(-options["lr"]).view(gradient.shape)


RULES: dict[str, Rule] = {"adam": adam, "sgd": sgd, "momentum": momentum, "residue": residue}
