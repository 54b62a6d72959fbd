"""Step rules: how a gradient becomes the real step that the discrete state transition carries out.

A rule takes the gradient and its own state of one weight tensor and returns the proposed step, a float32 tensor of
the same shape. Its state is the only memory that training keeps besides the weights' levels; ``DST.memory`` counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gxevent.train.backend import torch

State = dict[str, Any]
Rule = Callable[[torch.Tensor, State, Mapping[str, Any]], torch.Tensor]


def adam(gradient: torch.Tensor, state: State, options: Mapping[str, Any]) -> torch.Tensor:
    """``-lr * mhat / (sqrt(vhat) + eps)`` with float32 moments (Kingma and Ba 2015): 8 bytes a weight.

    The rule of the released GXNOR experiments, whose "gradient step" is Adam's.
    """
    if not state:
        state.update(count=0, first=torch.zeros_like(gradient), second=torch.zeros_like(gradient))
    beta1, beta2 = options["betas"]
    state["count"] += 1
    first, second = state["first"], state["second"]
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    scale = options["lr"] / (1 - beta1 ** state["count"])
    root = (second / (1 - beta2 ** state["count"])).sqrt_().add_(options["eps"])
    return first.div(root).mul_(-scale)


def sgd(gradient: torch.Tensor, state: State, options: Mapping[str, Any]) -> torch.Tensor:
    """``-lr * gradient``: no state at all."""
    return gradient * -options["lr"]


def momentum(gradient: torch.Tensor, state: State, options: Mapping[str, Any]) -> torch.Tensor:
    """``b <- momentum * b + gradient``, step ``-lr * b`` with a float32 b: 4 bytes a weight."""
    if not state:
        state["velocity"] = torch.zeros_like(gradient)
    velocity = state["velocity"].mul_(options["momentum"]).add_(gradient)
    return velocity * -options["lr"]


RULES: dict[str, Rule] = {"adam": adam, "sgd": sgd, "momentum": momentum}
