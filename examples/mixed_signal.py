"""What would a mixed-signal chip do to the network? Leaky membranes and scattered delays, simulated in Brian2.

python examples/mixed_signal.py [samples] [file for the plot]      needs: pip install 'gxevent[brian2,report]'
"""

import sys
from math import inf

import gxevent as gx
from gxevent.crosscheck.mixed_signal import Circuit, study
from gxevent.runtime import encode_samples

samples, steps = (int(sys.argv[1]), 20) if len(sys.argv) > 1 else (5, 8)
graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
recordings = list(encode_samples(graph, gx.open_dataset(gx.shipped("digits_test.zip"), limit=samples)))
frames, labels = [(r.id, r.frames) for r in recordings], {r.id: r.label for r in recordings}

sweep = [(20, 0), (inf, 2)]  # time constant and jitter, ms
if samples >= 20:
    sweep = [(t, j) for j in (0, 1, 2, 3) for t in (5, 10, 20, 50, 100, inf)]
circuits = [Circuit(time_constant=t, jitter=j, steps=steps) for t, j in sweep]
circuits.append(Circuit(time_constant=20, calibrated=True, steps=steps))
circuits.append(Circuit(jitter=2, opens=0.75, steps=steps))
try:
    results = study(graph, frames, circuits, labels=labels)
except gx.MissingExtraError as missing:
    print(missing)
    sys.exit()
for result in results:
    print(result.line(), "(calibrated)" * result.circuit.calibrated)

if len(sys.argv) > 2:
    from gxevent.crosscheck.mixed_signal_plot import degradation

    degradation(results[: len(sweep)]).savefig(sys.argv[2], dpi=110)
