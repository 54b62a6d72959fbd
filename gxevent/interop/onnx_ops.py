"""Elementwise ONNX and QONNX operators as NumPy functions of float32 arrays.

Each entry takes the operator's attributes and gives a function of its inputs, in the order of operations that the
operator's description prescribes. QONNX (domains of qonnx, brevitas and finn) adds the quantizers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import firing

Function = Callable[..., NDArray]

ROUNDING: dict[str, Callable[[NDArray], NDArray]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "FLOOR": np.floor,
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "CEIL": np.ceil,
    "UP": lambda y: np.sign(y) * np.ceil(np.abs(y)),
    "HALF_UP": lambda y: np.sign(y) * np.floor(np.abs(y) + 0.5),
    "HALF_DOWN": lambda y: np.sign(y) * np.ceil(np.abs(y) - 0.5),
}


def _integers(bits: NDArray, signed: bool, narrow: bool) -> tuple[float, float]:
    """Smallest and largest integer of a quantizer."""
    n = float(np.max(bits))
    if signed:
        return -(2 ** (n - 1)) + narrow, 2 ** (n - 1) - 1
    return 0.0, 2**n - 1 - narrow


def _quant(attributes: dict[str, Any]) -> Function:
    rounding = ROUNDING[attributes.get("rounding_mode", "ROUND").upper()]
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))

    def quant(x: NDArray, scale: NDArray, zero: NDArray, bits: NDArray) -> NDArray:
        if np.max(bits) == 1 and signed:
            return np.where(x >= 0, scale, -scale)
        low, high = _integers(bits, signed, narrow)
        return (np.clip(rounding(x / scale + zero), low, high) - zero) * scale

    return quant


def _trunc(attributes: dict[str, Any]) -> Function:
    rounding = ROUNDING[attributes.get("rounding_mode", "FLOOR").upper()]
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))

    def trunc(x: NDArray, scale: NDArray, zero: NDArray, bits: NDArray, *out: NDArray) -> NDArray:
        whole = np.rint(x / scale + zero)
        if len(out) == 1:  # first version: the number of bits left
            return (rounding(whole / np.float32(2.0 ** float(np.max(bits) - np.max(out[0])))) - zero) * scale
        made, left = out
        step = np.float32(2.0 ** np.rint(np.log2(float(np.max(made / scale)))))
        low, high = _integers(left, signed, narrow)
        return (rounding(np.clip(whole / step, low, high)) - zero / step) * made

    return trunc


def _multi_threshold(attributes: dict[str, Any]) -> Function:
    scale, bias = np.float32(attributes.get("out_scale", 1.0)), np.float32(attributes.get("out_bias", 0.0))

    def multi_threshold(x: NDArray, thresholds: NDArray) -> NDArray:
        count = sum((x >= thresholds[:, k : k + 1]).astype(np.float32) for k in range(thresholds.shape[1]))
        return count * scale + bias

    return multi_threshold


def _batch_norm(attributes: dict[str, Any]) -> Function:
    def batch_norm(x: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, var: NDArray) -> NDArray:
        scale, offset = firing.affine(gamma, beta, mean, var, attributes.get("epsilon", 1e-5))
        return x * scale + offset

    return batch_norm


def _clip(attributes: dict[str, Any]) -> Function:
    def clip(x: NDArray, low: NDArray | None = None, high: NDArray | None = None) -> NDArray:
        low = attributes.get("min") if low is None else low
        high = attributes.get("max") if high is None else high
        return x if low is None and high is None else np.clip(x, low, high)

    return clip


def _plain(function: Function) -> Callable[[dict[str, Any]], Function]:
    return lambda attributes: function


def _quantize(x: NDArray, scale: NDArray, zero: NDArray | None = None) -> NDArray:
    kind = np.uint8 if zero is None else zero.dtype
    limits = np.iinfo(kind)
    return np.clip(np.rint(x / scale) + (0 if zero is None else zero.astype(np.float32)), limits.min, limits.max)


def _dequantize(x: NDArray, scale: NDArray, zero: NDArray | None = None) -> NDArray:
    return (x.astype(np.float32) - (0 if zero is None else zero.astype(np.float32))) * scale


ELEMENTWISE: dict[str, Callable[[dict[str, Any]], Function]] = {
    "Add": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Div": _plain(np.divide),
    "Neg": _plain(np.negative),
    "Sign": _plain(np.sign),
    "Round": _plain(np.rint),
    "Floor": _plain(np.floor),
    "Ceil": _plain(np.ceil),
    "Relu": _plain(lambda x: np.maximum(x, 0)),
    "Tanh": _plain(np.tanh),
    "Min": _plain(lambda *x: np.minimum.reduce(np.broadcast_arrays(*x))),
    "Max": _plain(lambda *x: np.maximum.reduce(np.broadcast_arrays(*x))),
    "Clip": _clip,
    "Greater": _plain(np.greater),
    "GreaterOrEqual": _plain(np.greater_equal),
    "Less": _plain(np.less),
    "LessOrEqual": _plain(np.less_equal),
    "And": _plain(lambda a, b: (a != 0) & (b != 0)),
    "Or": _plain(lambda a, b: (a != 0) | (b != 0)),
    "Not": _plain(lambda a: a == 0),
    "Where": _plain(lambda c, a, b: np.where(c != 0, a, b)),
    "Cast": _plain(lambda x: x),
    "CastLike": _plain(lambda x, like: x),
    "BatchNormalization": _batch_norm,
    "QuantizeLinear": _plain(_quantize),
    "DequantizeLinear": _plain(_dequantize),
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _plain(lambda x, scale: np.where(x >= 0, scale, -scale)),
    "Trunc": _trunc,
    "MultiThreshold": _multi_threshold,
}
"""Operator -> attributes -> function of its inputs, arrays that broadcast; comparisons give 0 and 1."""

AFFINE = {"Add", "Sub", "Mul", "Div", "Neg", "Cast", "BatchNormalization"}
"""Those that keep a product and a sum what they are."""
