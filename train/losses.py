"""Losses on the read-out's scores."""

from __future__ import annotations

from collections.abc import Callable

from gxevent.train.backend import F, torch


def squared_hinge(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean of ``max(0, 1 - t * score)**2`` with targets t = +1 for the label's class and -1 for the others.

    scores float32 (n, classes), labels int64 (n,).
    """
    target = torch.full_like(scores, -1).scatter_(1, labels[:, None], 1)
    return (1 - target * scores).clamp(min=0).square().mean()


def cross_entropy(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Softmax cross-entropy, mean over the batch."""
    return F.cross_entropy(scores, labels)


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "squared_hinge": squared_hinge,
    "cross_entropy": cross_entropy,
}
