"""Build a small ternary network by hand, compile it, run it, and look inside.

python examples/first_network.py
"""

import numpy as np

import gxevent as gx

rng = np.random.default_rng(0)


def ternary(*shape: int) -> np.ndarray:
    return rng.integers(-1, 2, shape).astype(np.int8)


network = gx.TernaryNetwork(
    input_shape=(1, 12, 12),
    encoder=None,
    layers=[
        gx.Conv2d(ternary(8, 1, 3, 3)),
        gx.MaxPool2d(2),
        gx.BatchNorm(gamma=np.ones(8), beta=np.zeros(8), mean=np.zeros(8), var=np.full(8, 9.0)),
        gx.Activation(r=0.5),
        gx.Flatten(),
        gx.Dense(ternary(3, 200)),
    ],
    classes=("cat", "dog", "bird"),
)
graph = gx.compile(network)
for population in graph.populations.values():
    print(f"{population.name:8} {population.role:8} {population.shape}")

frames = rng.integers(-1, 2, (5, 1, 12, 12)).astype(np.int8)
result = gx.Engine(graph).run(frames)
print("decisions:", [graph.classes[i] for i in result.predictions])
print("events:", {name: n.tolist() for name, n in result.counts.events.items()})
print(f"resting probability: {result.counts.resting_probability:.1%}")

route = graph.fan_out(("input", (0, 5, 5)))[0]  # where an event of the pixel at row 5, column 5 goes
print(f"a pixel's event reaches {route.units.size} units of {route.target}")
