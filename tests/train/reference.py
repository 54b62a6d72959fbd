"""A network evaluated in integers with plain NumPy loops: the definition, independent of trainer and runtime."""

import numpy as np

from gxevent import firing, grid, layers


def pool_or_conv_windows(s, kernel, stride, padding, dilation, fill):
    """(n, C, H, W) -> (n, C, oh, ow, kh, kw) windows of the padded array."""
    (kh, kw), (sy, sx), (py, px), (dy, dx) = kernel, stride, padding, dilation
    s = np.pad(s, ((0, 0), (0, 0), (py, py), (px, px)), constant_values=fill)
    oh = (s.shape[2] - dy * (kh - 1) - 1) // sy + 1
    ow = (s.shape[3] - dx * (kw - 1) - 1) // sx + 1
    out = np.empty((*s.shape[:2], oh, ow, kh, kw), s.dtype)
    for i in range(kh):
        for j in range(kw):
            y, x = i * dy, j * dx
            out[..., i, j] = s[:, :, y : y + (oh - 1) * sy + 1 : sy, x : x + (ow - 1) * sx + 1 : sx]
    return out


def conv(layer, q):
    out, per_group, kh, kw = layer.weight.shape
    pairs = (layers.pair(v) for v in (layer.stride, layer.padding, layer.dilation))
    windows = pool_or_conv_windows(q, (kh, kw), *pairs, 0)
    made = []
    for o in range(out):
        group = o // (out // layer.groups)
        part = windows[:, group * per_group : (group + 1) * per_group]
        made.append(np.einsum("ncyxij,cij->nyx", part, layer.weight[o].astype(np.int64)))
    return np.stack(made, 1)


def evaluate(network, frames):
    """Output of every layer by name: int64 levels or accumulators, float32 behind a batch norm."""
    made = {"input": frames.astype(np.int64)}
    for layer in network.layers:
        x = [made[name] for name in layer.inputs]
        sources = [network.signals[name] for name in layer.inputs]
        match layer:
            case layers.Dense():
                y = x[0] @ layer.weight.T.astype(np.int64)
            case layers.Conv2d():
                y = conv(layer, x[0])
            case layers.MaxPool2d() | layers.SumPool2d() | layers.AvgPool2d():
                kernel = layers.pair(layer.kernel)
                stride = kernel if layer.stride is None else layers.pair(layer.stride)
                largest = isinstance(layer, layers.MaxPool2d)
                fill = np.iinfo(np.int64).min if largest else 0
                windows = pool_or_conv_windows(x[0], kernel, stride, layers.pair(layer.padding), (1, 1), fill)
                y = windows.max((-1, -2)) if largest else windows.sum((-1, -2))
            case layers.Pad2d():
                left, right, top, bottom = layer.padding
                y = np.pad(x[0], ((0, 0), (0, 0), (top, bottom), (left, right)))
            case layers.Flatten():
                y = x[0].reshape(len(x[0]), -1)
            case layers.Add():
                unit = min(signal.unit for signal in sources)
                y = sum(part * round(signal.unit / unit) for part, signal in zip(x, sources, strict=True))
            case layers.BatchNorm():
                shape = (-1,) + (1,) * (x[0].ndim - 2)
                scale, offset = firing.affine(layer.gamma, layer.beta, layer.mean, layer.var, layer.eps)
                y = firing.preactivation(x[0], sources[0].unit, None, scale.reshape(shape), offset.reshape(shape))
            case layers.Activation():
                v = x[0]
                if v.dtype != np.float32:
                    v = firing.preactivation(v, sources[0].unit, None, None, None)
                y = firing.fire(v, layer.levels, layer.r, layer.h).astype(np.int64)
        made[layer.name] = y
    return made


def values(network, name, made):
    """Real values (float32) of a layer's output, as the trainer's modules pass them on."""
    x, signal = made[name], network.signals[name]
    if x.dtype == np.float32:
        return x
    if signal.form == "levels":
        return grid.to_values(x, signal.levels)
    return x.astype(np.float32) * np.float32(signal.unit)
