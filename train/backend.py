"""The one door to PyTorch: a missing package becomes an install line, in every module that trains.

The modules that define layers and optimizers import ``torch``, ``nn`` and ``F`` from here; ``gxevent.train`` itself
imports without PyTorch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import require

require("torch", extra="train", purpose="training")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

__all__ = ["F", "innermost", "nn", "torch"]


def innermost(x: torch.Tensor) -> NDArray[np.float32]:
    """The memory of a ``channels_last`` tensor (n, channels, rows, cols): (n, rows, cols, channels)."""
    return x.detach().permute(0, 2, 3, 1).numpy()
