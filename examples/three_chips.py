"""One network on three chips: cores, traffic, latency and energy side by side, and a page that shows them.

    python examples/three_chips.py [NET.gxn DATA] [--chips loihi1,spinnaker2,gxnor-array] [--samples 5]

gxevent chips lists the chips, gxevent chips NAME prints one with a source for every number. What a chip does not
publish stays unknown: its energy is then a sum of the known parts, its latency a lower bound.
"""

import argparse
from pathlib import Path

import gxevent as gx
from gxevent.mapping import Infeasible, measure_activity
from gxevent.mapping.frames import measured_frames
from gxevent.report import Inputs, report_page

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("network", nargs="?", default=gx.shipped("digits.gxn"))
parser.add_argument("data", nargs="?", default=gx.shipped("digits_test.zip"))
parser.add_argument("--chips", default="loihi1,spinnaker2,gxnor-array")
parser.add_argument("--method", default="tiles", help="sequential, tiles, hypergraph or grown")
parser.add_argument("--budget", type=float, default=0.5, help="effort of the search, nominal seconds")
parser.add_argument("--samples", type=int, default=5)
options = parser.parse_args()

graph = gx.compile(gx.load_network(options.network))
data = gx.open_dataset(options.data, limit=options.samples)
activity = measure_activity(graph, data)
activity.save("activity.gxa")

shown = Inputs()
print(f"{'chip':14}{'cores':>7}{'packets':>10}{'hops':>10}{'latency':>12}  energy a sample, known parts")
for name in options.chips.split(","):
    try:
        mapping = gx.map_graph(graph, gx.load_chip(name), activity, method=options.method, budget=options.budget)
    except Infeasible as reasons:
        print(f"{name:14}does not fit: {reasons.problems[0]}")
        continue
    made = gx.simulate(mapping, measured_frames(mapping, graph, data)).summary()
    shown.mappings[name], shown.simulations[name] = mapping, made
    each, took, energy = made["per_sample"], made["latency_us"]["p50"], made["energy_nj"]["total"]
    low, value, high = (energy[key] / 1e3 for key in ("low", "value", "high")) if energy else (0.0, 0.0, 0.0)
    band = f"{value:.2f} uJ ({low:.2f} to {high:.2f})" if energy else "-"
    latency = "-" if took is None else f"{took:.1f} us"
    print(f"{name:14}{made['cores_used']:7}{each['packets']:10,.0f}{each['hops']:10,.0f}{latency:>12}  {band}")

Path("chips.html").write_text(report_page(shown, activities=["activity.gxa"]))
print("wrote chips.html")
