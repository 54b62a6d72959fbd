"""Networks as text: ``"32C5-MP2-64C5-MP2-512FC-10"`` as papers write them.

    32C5        convolution to 32 channels, kernel 5x5; letters behind it: p padding, s stride, d dilation, g groups,
                as in 32C3p1s2
    2x128C3p1   the same block twice
    R128C3p1    residual: its sums are added to those of the block before, of the same shape
    MP2         max pool 2x2 (MP3s2: kernel 3, stride 2); AP2 average pool, SP2 sum pool
    512FC       fully connected with 512 units
    10          read-out: fully connected with one unit a class, always last

Every convolution or fully connected layer is a block: layer, then the pools written behind it, then a batch norm, then
(but for the read-out) the activation. A residual convolution reads the activations of the block before, like any other,
and adds to the sums that they came from: those pass by the activations as whole numbers (as in Bi-Real Net, Liu et al.
2018, arXiv 1808.00278).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

import numpy as np

from gxevent import grid, layers
from gxevent.checking import conv_size
from gxevent.encoder import Encoder
from gxevent.errors import OptionError
from gxevent.network import TernaryNetwork
from gxevent.train.modules import random_levels

_BLOCK = re.compile(r"(?:(\d+)x)?(R)?(\d+)(?:C(\d+)((?:[psdg]\d+)*)|(FC))?")
_POOL = re.compile(r"(MP|AP|SP)(\d+)((?:[ps]\d+)*)")
_POOLS = {"MP": layers.MaxPool2d, "AP": layers.AvgPool2d, "SP": layers.SumPool2d}
_OPTION = {"p": "padding", "s": "stride", "d": "dilation", "g": "groups"}


@dataclass(frozen=True)
class Block:
    """One convolution or fully connected layer and the pools behind it; kernel 0: fully connected."""

    out: int
    kernel: int = 0
    options: dict[str, int] = field(default_factory=dict)
    pools: tuple[layers.Layer, ...] = ()
    residual: bool = False


def parse(text: str) -> tuple[Block, ...]:
    """Blocks of a network text; the last one is the read-out. OptionError naming the part that cannot be understood."""
    blocks: list[Block] = []
    parts = text.replace(" ", "").split("-")
    for position, part in enumerate(parts):
        pool, block = _POOL.fullmatch(part), _BLOCK.fullmatch(part)
        if pool and blocks and blocks[-1].kernel and int(pool[2]):
            before = blocks.pop()
            made = _POOLS[pool[1]](int(pool[2]), **_options(pool[3]))
            blocks.append(replace(before, pools=(*before.pools, made)))
        elif block and int(block[3]) and (block[4] or block[6] or (position == len(parts) - 1 and not block[1])):
            if block[4] and (not int(block[4]) or any(not b.kernel for b in blocks)):
                raise OptionError(
                    f"network {text!r}: {part!r}: a convolution needs a kernel >= 1 and an image before it"
                )
            if block[2] and (not block[4] or not blocks):
                raise OptionError(f"network {text!r}: {part!r}: only a convolution behind another can be residual")
            made = Block(int(block[3]), int(block[4] or 0), _options(block[5] or ""), residual=bool(block[2]))
            blocks += [made] * int(block[1] or 1)
        else:
            raise OptionError(
                f"network {text!r}: cannot understand {part!r}; expected parts such as 32C5, 32C3p1, MP2 (behind a "
                "convolution), 512FC, and the number of classes last"
            )
    if not re.fullmatch(r"\d+", parts[-1]):
        raise OptionError(f"network {text!r}: ends on {parts[-1]!r}, expected the number of classes last")
    return tuple(blocks)


def initial_network(
    text: str,
    input_shape: tuple[int, ...],
    *,
    encoder: Encoder | None = None,
    classes: tuple[str, ...] = (),
    weights: int = 1,
    activations: int = 1,
    r: float = 0.5,
    h: float = 1.0,
    eps: float = 1e-4,
    seed: int = 0,
) -> TernaryNetwork:
    """The network before training, its weights drawn from Z_weights.

    Raises
    ------
    OptionError
        for a text that cannot be understood, or a residual convolution of another shape than the block before it.
    NetworkError
        when the blocks do not fit the input, each problem named.
    """
    rng = np.random.default_rng(seed)
    made: list[layers.Layer] = []
    shape = tuple(input_shape)
    blocks = parse(text)
    for i, block in enumerate(blocks):
        if block.kernel:
            channels = shape[0] // block.options.get("groups", 1)
            weight = random_levels((block.out, max(1, channels), block.kernel, block.kernel), weights, rng)
            made.append(layers.Conv2d(weight, levels=weights, **block.options))
            before, shape = shape, (block.out, *_sizes(shape[1:], block.kernel, **block.options))
            if block.residual:
                if shape != before:
                    raise OptionError(
                        f"network {text!r}: block {i + 1}: sums of shape {shape} cannot be added to those of the block "
                        f"before, {before}"
                    )
                made[-1] = replace(made[-1], name=f"branch{i + 1}")
                made.append(layers.Add(inputs=(_sums(i), f"branch{i + 1}")))
            for pool in block.pools:
                made.append(pool)
                stride = pool.kernel if pool.stride is None else pool.stride
                shape = (block.out, *_sizes(shape[1:], pool.kernel, stride, pool.padding))
        else:
            if len(shape) > 1:
                made.append(layers.Flatten())
            made.append(
                layers.Dense(random_levels((block.out, max(1, math.prod(shape))), weights, rng), levels=weights)
            )
            shape = (block.out,)
        if i + 1 < len(blocks) and blocks[i + 1].residual:
            made[-1] = replace(made[-1], name=_sums(i + 1))
        ones, zeros = np.ones(block.out, np.float32), np.zeros(block.out, np.float32)
        made.append(layers.BatchNorm(gamma=ones, beta=zeros, mean=zeros, var=ones, eps=eps))
        if i < len(blocks) - 1:
            made.append(layers.Activation(levels=grid.check_space(activations), r=r, h=h))
    return TernaryNetwork(tuple(input_shape), encoder, tuple(made), classes, name=text)


def _sums(block: int) -> str:
    """Name of the layer whose sums a residual block behind block number ``block`` adds to."""
    return f"sums{block}"


def _options(text: str) -> dict[str, int]:
    return {_OPTION[letter]: int(number) for letter, number in re.findall(r"([a-z])(\d+)", text)}


def _sizes(
    sizes: tuple[int, ...], kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> tuple[int, ...]:
    """Rows and columns after a convolution or pool; the network's own check reports what does not fit."""
    return tuple(max(0, conv_size(n, kernel, max(1, stride), 2 * padding, dilation)) for n in sizes)
