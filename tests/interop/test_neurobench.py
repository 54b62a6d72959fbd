"""NeuroBench as an oracle of our counts: effective accumulates, sparsity of activations and connections."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import gxevent as gx
from tests import networks
from tests.interop import models

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    pytest.importorskip("neurobench", reason="pip install --no-deps neurobench snntorch")
    from neurobench.metrics.static import ConnectionSparsity
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel


class Oracle:
    """NeuroBench's view of one network: hooks on every layer of its PyTorch twin (float64, so that sums are exact)."""

    def __init__(self, network: gx.TernaryNetwork) -> None:
        net = models.sequential(network, dtype=torch.float64)
        self.model = TorchModel(net)
        self.model.add_activation_module(next(type(m) for m in net if type(m).__name__ == "Ternary"))
        self.model.register_hooks()

    def operations(self, frames: np.ndarray) -> list[dict[str, float]]:
        """Operations of each layer, summed over the frames, and the sparsity of the activations."""
        self.model.reset_hooks()
        batch = torch.from_numpy(frames.astype(np.float64))
        with torch.no_grad():
            scores = self.model(batch)
        data, hooks, found = (batch, None), self.model.connection_hooks, []
        self.activation_sparsity = ActivationSparsity()(self.model, scores, data)
        for hook in hooks:
            self.model.connection_hooks = [hook]
            with torch.no_grad():
                counted = SynapticOperations()(self.model, scores, data)
            found.append({key: value * len(frames) for key, value in counted.items()})
        self.model.connection_hooks = hooks
        return found


@pytest.mark.parametrize("make", [models.dense, models.convolutional])
def test_counts_equal_neurobench(make):
    network = make()
    frames = networks.frames(np.random.default_rng(1), network, 20)
    graph = gx.compile(network)
    counts = gx.Engine(graph).run(frames).counts
    oracle = Oracle(network)
    for (name, gates), theirs in zip(counts.open_gates.items(), oracle.operations(frames), strict=True):
        assert theirs["Effective_ACs"] == gates.sum() > 0, name
        assert theirs["Effective_MACs"] == 0
        assert theirs["Dense"] == counts.synapses[name] * len(frames)

    fired = [p for p in graph.populations.values() if p.role == "fire"]
    events = sum(int(counts.events[p.name].sum()) for p in fired)
    sparsity = 1 - events / (sum(p.size for p in fired) * len(frames))
    assert oracle.activation_sparsity == pytest.approx(sparsity, abs=1e-12)

    weights = np.concatenate([layer.weight.ravel() for layer in network.layers if hasattr(layer, "weight")])
    assert ConnectionSparsity()(oracle.model) == round(float(np.mean(weights == 0)), 4)


def test_counts_of_a_run_equal_neurobench():
    """The shipped network on real data, as ``gxevent run`` counts it."""
    from gxevent.runtime import encode_samples

    network = gx.load_network(gx.shipped("digits.gxn"))
    graph, data = gx.compile(network), gx.open_dataset(gx.shipped("digits_test.zip"), limit=20)
    summary = gx.run_dataset(graph, data).summary
    frames = np.concatenate([sample.frames for sample in encode_samples(graph, data)])
    theirs = Oracle(network).operations(frames)
    assert [t["Effective_ACs"] for t in theirs] == list(summary["open_gates"].values())
    assert [t["Dense"] for t in theirs] == list(summary["synapses"].values())
