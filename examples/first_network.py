"""A first network in 20 lines: build it by hand, compile it to an event graph, run it, follow one event.

python examples/first_network.py
"""

import numpy as np

import gxevent as gx

rng = np.random.default_rng(0)
kernels = rng.integers(-1, 2, (8, 1, 3, 3)).astype(np.int8)  # levels -1, 0, +1: (out, in, rows, columns)
weights = rng.integers(-1, 2, (3, 200)).astype(np.int8)
norm = gx.BatchNorm(gamma=np.ones(8), beta=np.zeros(8), mean=np.zeros(8), var=np.full(8, 9.0))
layers = [gx.Conv2d(kernels), gx.MaxPool2d(2), norm, gx.Activation(r=0.5), gx.Flatten(), gx.Dense(weights)]
network = gx.TernaryNetwork((1, 12, 12), encoder=None, layers=layers, classes=("cat", "dog", "bird"))

graph = gx.compile(network)
for population in graph.populations.values():
    print(f"{population.name:8} {population.role:8} {population.shape}")

frames = rng.integers(-1, 2, (5, 1, 12, 12)).astype(np.int8)
result = gx.Engine(graph).run(frames)
print("decisions:", [graph.classes[i] for i in result.predictions])
print("events:", {name: n.tolist() for name, n in result.counts.events.items()})
print(f"{result.counts.resting_probability:.1%} of the gates rested")
route = graph.fan_out(("input", (0, 5, 5)))[0]
print(f"an event of the pixel at row 5, column 5 reaches {route.units.size} units of {route.target}")
