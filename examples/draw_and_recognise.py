"""Draw a digit, move it before an emulated event camera, and let the shipped network recognise it.

python examples/draw_and_recognise.py
"""

import numpy as np

import gxevent as gx
from gxevent.events import encode_stream
from gxevent.events.emulate import DIGITS

DRAWING = """
. . # # # . . .
. # # . # # . .
. . . . # # . .
. . . # # . . .
. . . . # # . .
. . . . . # . .
. # . . # # . .
. . # # # . . .
"""
image = np.array([[float(mark == "#") for mark in line.split()] for line in DRAWING.split("\n") if line])

recording = DIGITS(image, seed=1)
print(f"{len(recording.events):,} events in {recording.duration_us / 1e3:.0f} ms")

graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
trace = gx.Engine(graph).trace(encode_stream(graph.encoder, recording, graph.input.shape))
for digit in np.argsort(-trace.scores)[:3]:
    print(f"digit {graph.classes[digit]}: score {trace.scores[digit]:.2f}")
for name, levels in trace.outputs.items():
    print(f"{name:8} sent {np.count_nonzero(levels):5} events of {levels.size:5} units")
