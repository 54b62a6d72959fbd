"""The paper's table of operations, measured: what would other kinds of network cost with the same connections?

    python examples/operation_table.py [NET.gxn DATA] [--figure operations.png]

Deng et al. 2018 give operations by neuron and take all states as equally likely: a third of TWN's and 5/9 of GXNOR's
operations rest. Here open gates and bitcounts are counted on recordings, projection by projection.
"""

import argparse

import gxevent as gx
from gxevent.analysis.operations import Count, bitcounts, operation_table
from gxevent.runtime import encode_samples

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("network", nargs="?", default=gx.shipped("digits.gxn"))
parser.add_argument("data", nargs="?", default=gx.shipped("digits_test.zip"))
parser.add_argument("--limit", type=int, default=40)
parser.add_argument("--figure", metavar="FILE", help="draw the table too (needs pip install 'gxevent[report]')")
options = parser.parse_args()

graph = gx.compile(gx.load_network(options.network))
data = gx.open_dataset(options.data, limit=options.limit)
summary = gx.run_dataset(graph, data).summary
counted = bitcounts(graph, (sample.frames for sample in encode_samples(graph, data)))


def cell(count: Count, digits: int = 0) -> str:
    """A star marks what was counted; the rest follows from connections and weights."""
    return f"{count.high:,.{digits}f}{'*' if count.measured else ' '}"


for name in ("all", *graph.synapses):
    layers = None if name == "all" else [name]
    neurons = 1 if layers is None else graph.populations[graph.projections[name].target].size
    print(f"\n{'a window, all layers' if layers is None else f'by neuron of {name} ({neurons:,} neurons)'}")
    print(f"{'':15}{'multiply':>12} {'accumulate':>12} {'XNOR':>12} {'bitcount':>12} {'at rest':>9}")
    for row in operation_table(summary, bitcounts=counted, layers=layers):
        counts = (row.multiply, row.accumulate, row.xnor, row.bitcount)
        scaled = [Count(c.low / neurons, c.high / neurons, c.measured) for c in counts]
        digits = 0 if layers is None else 2
        print(f"{row.network:15}" + " ".join(f"{cell(c, digits):>12}" for c in scaled) + f" {row.resting.high:8.1%}")
print("\n* counted; the paper's expectation for GXNOR at rest is 55.6 %, for TWN 33.3 %")

if options.figure:
    from gxevent.report.plots import operations

    operations(operation_table(summary, bitcounts=counted)).savefig(options.figure, dpi=120)
