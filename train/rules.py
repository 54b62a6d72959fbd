"""Step rules: how a gradient becomes the real step that the discrete state transition carries out.

A rule takes the gradient of one weight tensor (rows are output units), its own state, the options of its group and
the layer's random generator, and returns a function that gives the proposed step of some rows, a float32 tensor. It is
called once for each block of rows, in order. The state is the only memory that training keeps besides the weights'
levels; ``DST.memory`` counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gxevent.train import moments
from gxevent.train.backend import torch

State = dict[str, Any]
Options = Mapping[str, Any]
Proposal = Callable[[slice], torch.Tensor]
Rule = Callable[[torch.Tensor, State, Options, torch.Generator], Proposal]


def adam(gradient: torch.Tensor, state: State, options: Options, generator: torch.Generator) -> Proposal:
    """``-lr * mhat / (sqrt(vhat) + eps)`` (Kingma and Ba 2015): 8, 4 or about 1 byte a weight.

    The rule of the released GXNOR experiments, whose "gradient step" is Adam's. With ``moment_bits`` 8 the second
    moment is factored.
    """
    beta1, beta2 = options["betas"]
    bits = options["moment_bits"]
    count = state["count"] = state.get("count", 0) + 1
    moments.allocate(state, "first", gradient, bits)
    if bits == 8:
        moments.average_factored(state, "second", gradient, beta2)
    else:
        moments.allocate(state, "second", gradient, bits)

    def propose(rows: slice) -> torch.Tensor:
        g = gradient[rows]
        first = moments.read(state, "first", rows).lerp_(g, 1 - beta1)
        moments.write(state, "first", rows, first, generator)
        if bits == 8:
            root = moments.read_factored(state, "second", rows, g)
        else:
            second = moments.read(state, "second", rows).mul_(beta2).addcmul_(g, g, value=1 - beta2)
            moments.write(state, "second", rows, second, generator)
            root = second.clone() if bits == 32 else second
        root.mul_(1 / (1 - beta2**count)).sqrt_().add_(options["eps"])
        return first.div(root).mul_(-options["lr"] / (1 - beta1**count))

    return propose


def sgd(gradient: torch.Tensor, state: State, options: Options, generator: torch.Generator) -> Proposal:
    """``-lr * gradient``: no state at all."""
    return lambda rows: gradient[rows] * -options["lr"]


def momentum(gradient: torch.Tensor, state: State, options: Options, generator: torch.Generator) -> Proposal:
    """``b <- momentum * b + gradient``, step ``-lr * b``: 4, 2 or about 1 byte a weight."""
    moments.allocate(state, "velocity", gradient, options["moment_bits"])

    def propose(rows: slice) -> torch.Tensor:
        velocity = moments.read(state, "velocity", rows).mul_(options["momentum"]).add_(gradient[rows])
        moments.write(state, "velocity", rows, velocity, generator)
        return velocity * -options["lr"]

    return propose


def residue(gradient: torch.Tensor, state: State, options: Options, generator: torch.Generator) -> Proposal:
    """``-lr * gradient / rms``, rms a running average for each output unit: next to no state.

    The rule's memory is the residue, in ``residue_bits`` a weight: see :func:`gxevent.train.residue.spend`.
    """
    beta2 = options["betas"][1]
    flat = gradient.flatten(1)
    count = state["count"] = state.get("count", 0) + 1
    if "square" not in state:
        state["square"] = torch.zeros_like(flat[:, 0])
    state["square"].lerp_(torch.linalg.vector_norm(flat, dim=1).square_().div_(flat.shape[1]), 1 - beta2)
    scale = -options["lr"] / (state["square"] / (1 - beta2**count)).sqrt_().add_(options["eps"])
    return lambda rows: (flat[rows] * scale[rows, None]).view(gradient[rows].shape)


RULES: dict[str, Rule] = {"adam": adam, "sgd": sgd, "momentum": momentum, "residue": residue}
