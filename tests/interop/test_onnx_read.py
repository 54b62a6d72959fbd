"""ONNX and QONNX import: whatever operations say when a unit fires, the network fires at the same integers."""

from __future__ import annotations

import numpy as np
import pytest

import gxevent as gx
from gxevent.errors import FormatError, NetworkError, OptionError, UnsupportedError
from gxevent.interop.onnx_read import from_onnx
from gxevent.interop.onnx_write import onnx_model
from tests import networks
from tests.interop import models

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
QONNX = "qonnx.custom_op.general"


class Model:
    """An ONNX model written node by node; ``fires`` names the tensors that hold activations."""

    def __init__(self, *shape: object) -> None:
        self.shape, self.nodes, self.constants, self.last, self.fires = shape, [], {}, "x", []

    def node(self, operator: str, *constants: np.ndarray, domain: str = "", name: str = "", **attributes) -> Model:
        made = name or f"{operator.lower()}{len(self.nodes)}"
        names = [f"{made}.{i}" for i in range(len(constants))]
        self.constants |= dict(zip(names, constants, strict=True))
        inputs = [self.last, *names]
        self.nodes.append(onnx.helper.make_node(operator, inputs, [made], name=made, domain=domain, **attributes))
        self.last = made
        return self

    def fire(self) -> Model:
        self.fires.append(self.last)
        return self

    def norm(self, rng: np.random.Generator, channels: int, spread: float = 4) -> Model:
        bn = networks.batch_norm(rng, channels, spread)
        arrays = [np.float32(a) for a in (bn.gamma, bn.beta, bn.mean, bn.var)]
        return self.node("BatchNormalization", *arrays, epsilon=1e-4)

    def proto(self, *outputs: str):
        info, float32 = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
        constants = [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in self.constants.items()]
        ends = [info(name, float32, None) for name in (self.last, *outputs)]
        graph = onnx.helper.make_graph(self.nodes, "made", [info("x", float32, ["n", *self.shape])], ends, constants)
        opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(QONNX, 1)]
        return onnx.helper.make_model(graph, ir_version=8, opset_imports=opsets)

    def save(self, path, *outputs: str):
        path.write_bytes(self.proto(*outputs).SerializeToString())
        return path

    def run(self, frames: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Scores and activations by onnxruntime, every operation on its own."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(
            self.proto(*self.fires).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        scores, *fired = session.run(None, {"x": frames.astype(np.float32)})
        return scores, fired


def assert_same_events(
    network: gx.TernaryNetwork, frames: np.ndarray, scores: np.ndarray, fired: list[np.ndarray]
) -> int:
    """Signs of the activations are our levels, scores agree to float32's rounding; returns the events compared."""
    engine, compared = gx.Engine(gx.compile(network)), 0
    for i, frame in enumerate(frames):
        trace = engine.trace(frame)
        sent = list(trace.outputs.values())[1:]
        assert len(sent) == len(fired)
        for ours, theirs in zip(sent, fired, strict=True):
            np.testing.assert_array_equal(ours, np.sign(theirs[i]))
            compared += np.count_nonzero(ours)
        np.testing.assert_allclose(trace.scores, scores[i].ravel(), rtol=1e-4, atol=1e-4)
    return compared


def weight(rng: np.random.Generator, *shape: int, scale: float | np.ndarray = 1.0, n: int = 1) -> np.ndarray:
    column = np.broadcast_to(scale, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return (networks.levels(rng, shape, n) * column).astype(np.float32)


def conv_net(rng: np.random.Generator, activation, n: int = 1) -> Model:
    """Two convolutions with scales, biases, pools and uneven padding, then two matrices."""
    model = Model(2, 9, 8).node("Conv", weight(rng, 6, 2, 3, 3, scale=0.21, n=n), np.float32(rng.normal(size=6)),
                                pads=[1, 0, 2, 1])  # fmt: skip
    activation(model.norm(rng, 6).node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])).fire()
    model.node("Conv", weight(rng, 8, 3, 2, 2, scale=rng.uniform(0.1, 1, 8), n=n), group=2, dilations=[1, 2])
    activation(model.norm(rng, 8, 2)).fire().node("Flatten")
    model.node("MatMul", weight(rng, 15, model_size(model), n=n).T)
    activation(model.norm(rng, 15, 3)).fire()
    return model.node("Gemm", weight(rng, 5, 15, scale=0.4, n=n), np.float32(rng.normal(size=5)), transB=1)


def model_size(model: Model) -> int:
    """Inputs of the matrix behind the Flatten, as onnxruntime sees them."""
    session = ort.InferenceSession(model.proto().SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros((1, *model.shape), np.float32)})[0].shape[1]


def ternary(model: Model) -> Model:
    """(x > 0.3) - (x < -0.3), as PyTorch exports it."""
    before, cast = model.last, {"to": onnx.TensorProto.FLOAT}
    up = model.node("Greater", np.float32(0.3)).node("Cast", **cast).last
    model.last = before
    down = model.node("Less", np.float32(-0.3)).node("Cast", **cast).last
    model.nodes.append(onnx.helper.make_node("Sub", [up, down], [f"level{len(model.nodes)}"]))
    model.last = model.nodes[-1].output[0]
    return model


ACTIVATIONS = {
    "sign": lambda m: m.node("Sign"),
    "comparisons": ternary,
    "clip and round": lambda m: m.node("Clip", np.float32(-1), np.float32(1)).node("Round"),
    "scaled": lambda m: m.node("Mul", np.float32(1.7)).node("Sign").node("Mul", np.float32(0.6)),
    "zero or one": lambda m: m.node("Greater", np.float32(0.1)).node("Cast", to=onnx.TensorProto.FLOAT),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_plain_onnx_fires_as_in_onnxruntime(tmp_path, activation):
    rng = np.random.default_rng(3)
    model = conv_net(rng, ACTIVATIONS[activation])
    network, notes = from_onnx(model.save(tmp_path / "a.onnx"))
    assert notes == []
    frames = networks.frames(rng, network, 20)
    assert assert_same_events(network, frames, *model.run(frames)) > 500


@pytest.mark.parametrize("activation", ["Quant", "BipolarQuant"])
def test_quantizers_of_qonnx(tmp_path, activation):
    """A dense chain: latent weights through a quantizer too, scales that are no powers of two."""
    rng = np.random.default_rng(1)
    binary, half = activation == "BipolarQuant", np.float32(0.9)
    settings = {} if binary else {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
    more = () if binary else (np.float32(0), np.float32(2))  # zero point, bits

    def quantized(values: np.ndarray, scale: np.float32) -> np.ndarray:
        return np.where(values >= 0, 1, -1) if binary else np.clip(np.rint(values / scale), -1, 1).astype(int)

    model, frames = Model(30), networks.levels(rng, (40, 30))
    levels, value, fired = frames.astype(int), np.float32(1), []
    for i, shape in enumerate(((20, 30), (12, 20), (4, 12))):
        latent = rng.normal(size=shape).astype(np.float32)
        before = model.last
        model.constants[f"latent{i}"] = latent
        model.last = f"latent{i}"
        weights = model.node(activation, half, *more, domain=QONNX, **settings).last
        model.nodes.append(onnx.helper.make_node("Gemm", [before, weights], [f"sums{i}"], name=f"fc{i}", transB=1))
        model.last = f"sums{i}"
        sums = (levels @ quantized(latent, half).T).astype(np.float32) * (half * value)
        if i < 2:
            value = np.float32(0.7)
            model.node(activation, value, *more, domain=QONNX, **settings)
            levels = quantized(sums, value)
            fired.append(levels)
    network, _ = from_onnx(model.save(tmp_path / "a.onnx"))
    assert network.layers[0].levels == (0 if binary else 1)
    assert assert_same_events(network, frames, sums, fired) > 300


def test_multi_thresholds(tmp_path):
    """Streamlined FINN models: thresholds a channel instead of batch norms."""
    rng = np.random.default_rng(4)
    steps = np.sort(rng.integers(-4, 5, (20, 2)), axis=1).astype(np.float32)
    steps[:, 1] += 1
    model = Model(30).node("MatMul", weight(rng, 20, 30).T)
    model.node("MultiThreshold", np.float32(steps), domain=QONNX, out_bias=-1.0).node("MatMul", weight(rng, 3, 20).T)
    network, _ = from_onnx(model.save(tmp_path / "a.onnx"))
    frames = networks.frames(rng, network, 20)
    s = frames.astype(np.float32) @ model.constants["matmul0.0"]
    fired = (s[..., None] >= steps).sum(axis=-1) - 1
    scores = fired @ model.constants["matmul2.0"]
    assert assert_same_events(network, frames, scores, [fired]) > 100


def test_averages_and_residuals(tmp_path):
    rng = np.random.default_rng(6)
    model = Model(3, 8, 8).node("Conv", weight(rng, 4, 3, 3, 3), pads=[1, 1, 1, 1]).norm(rng, 4).node("Sign").fire()
    skip = model.last
    model.node("Conv", weight(rng, 4, 4, 3, 3), pads=[1, 1, 1, 1])
    model.nodes.append(onnx.helper.make_node("Add", [skip, model.last], ["sum"]))
    model.last = "sum"
    model.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2]).norm(rng, 4, 1).node("Sign").fire()
    model.node("Conv", weight(rng, 6, 4, 1, 1)).node("GlobalAveragePool").node("Flatten")
    network, _ = from_onnx(model.save(tmp_path / "a.onnx"))
    frames = networks.frames(rng, network, 20)
    assert assert_same_events(network, frames, *model.run(frames)) > 1000


def test_shapes_computed_from_the_data(tmp_path):
    """``x.view(x.size(0), -1)`` as PyTorch exports it, and padding as a node of its own."""
    rng = np.random.default_rng(8)
    model = Model(2, 5, 5).node("Pad", np.array([0, 0, 1, 0, 0, 0, 1, 2])).node("Conv", weight(rng, 3, 2, 3, 3))
    image = model.node("Sign").fire().last
    model.node("Shape").node("Gather", np.array(0)).node("Unsqueeze", np.array([0]))
    model.constants["rest"] = np.array([-1])
    model.nodes.append(onnx.helper.make_node("Concat", [model.last, "rest"], ["shape"], axis=0))
    model.nodes.append(onnx.helper.make_node("Reshape", [image, "shape"], ["vector"]))
    model.last = "vector"
    model.node("MatMul", weight(rng, 4, 3 * 5 * 5).T)
    network, _ = from_onnx(model.save(tmp_path / "a.onnx"))
    frames = networks.frames(rng, network, 20)
    assert assert_same_events(network, frames, *model.run(frames)) > 300


@pytest.mark.parametrize("make", [models.dense, models.convolutional])
def test_our_own_export_comes_back(tmp_path, make):
    network = make()
    (tmp_path / "a.onnx").write_bytes(onnx_model(gx.compile(network)).SerializeToString())
    back, notes = from_onnx(tmp_path / "a.onnx")
    assert notes == ["of 2 outputs, 'scores' gives the scores"]
    assert models.same_integers(network, back, networks.frames(np.random.default_rng(0), network, 20)) > 500


def test_a_brevitas_export_goes_through(tmp_path):
    """A QuantConv2d network trained for a moment, exported by Brevitas, runs with the events Brevitas computes."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("brevitas", reason="pip install brevitas")
    pytest.importorskip("onnxoptimizer", reason="pip install onnxoptimizer")
    from tests.interop import brevitas_models

    net, tapped = brevitas_models.trained(torch)
    path = brevitas_models.export(net, tmp_path / "brevitas.onnx")
    network, _ = from_onnx(path)
    assert [layer.levels for layer in network.layers if hasattr(layer, "weight")] == [1, 1, 1, 0]
    frames = networks.frames(np.random.default_rng(0), network, 24)
    with torch.no_grad():
        scores = net(torch.from_numpy(frames).float()).numpy()
    assert assert_same_events(network, frames, scores, [np.asarray(sent) for sent in tapped.values()]) > 500


# ------------------------------------------------------------------------------------------------------- bad files


def test_unsupported_operators_are_listed_at_once(tmp_path):
    rng = np.random.default_rng(0)
    model = (
        Model(6).node("MatMul", weight(rng, 4, 6).T).node("Softplus", name="soft").node("MatMul", weight(rng, 3, 4).T)
    )
    path = model.node("Gelu", domain="com.microsoft", name="gelu").save(tmp_path / "a.onnx")
    with pytest.raises(NetworkError) as error:
        from_onnx(path)
    assert error.value.problems == (
        f"{path}: 2 nodes: node 'soft' (Softplus): operator Softplus is not supported",
        "node 'gelu' (Gelu): operator com.microsoft.Gelu is not supported",
    )


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda m, w: m.node("MatMul", w(4, 6).T).node("MatMul", w(3, 4).T), "has 25 values|has .* values"),
        (lambda m, w: m.node("MatMul", w(4, 6).T + np.float32(0.3)), "not ternary up to a scale"),
        (lambda m, w: m.node("MatMul", w(4, 6).T).node("Sign"), "its output fires"),
        (lambda m, w: m.node("MatMul", w(4, 5).T), r"weights \(4, 5\) do not fit an input of shape \(6,\)"),
        (lambda m, w: m.node("Add", np.float32(1)).node("MatMul", w(4, 6).T), "changes levels that fired already"),
        (lambda m, w: m.node("Reshape", np.array([-1, 2, 3])), r"reshapes \(6,\) to \(2, 3\)"),
        (lambda m, w: m.node("MatMul", w(4, 6).T).node("Softmax").node("Sign"), "only as the output"),
    ],
)
def test_what_integers_cannot_give_is_refused(tmp_path, build, words):
    rng = np.random.default_rng(0)
    model = build(Model(6), lambda *shape: weight(rng, *shape))
    with pytest.raises(UnsupportedError, match=words):
        from_onnx(model.save(tmp_path / "a.onnx"))


def test_activations_of_many_levels_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    model = Model(6).node("MatMul", weight(rng, 4, 6).T).node("Clip", np.float32(-3), np.float32(3))
    model.node("MatMul", weight(rng, 3, 4).T)
    with pytest.raises(UnsupportedError, match=r"'matmul2' \(MatMul\): has 7 values \(-3, -2, -1, 0, 1, \.\.\.\)"):
        from_onnx(model.save(tmp_path / "a.onnx"))


def test_the_input_shape_may_be_open(tmp_path):
    path = Model("m").node("MatMul", weight(np.random.default_rng(0), 4, 6).T).save(tmp_path / "a.onnx")
    with pytest.raises(OptionError, match=r"leaves its shape open .* --input-shape"):
        from_onnx(path)
    assert from_onnx(path, input_shape=(6,))[0].input_shape == (6,)


def test_files_that_are_not_onnx(tmp_path):
    for content in (b"nonsense", b"\x08\x07"):
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(FormatError, match="neither a PyTorch checkpoint, an ONNX model nor"):
            from_onnx(tmp_path / "a.onnx")
