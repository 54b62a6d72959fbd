"""How soon does the network know? Decisions after every few events of recordings, as figures and plots.

    python examples/latency_study.py [NETWORK DATA] [--step 5] [--limit 60] [--plots FOLDER]

By default the shipped recordings, which an emulated camera made. Real ones, with the shipped network for them:

    python examples/latency_study.py nmnist.gxn nmnist.zip --step 25

NETWORK is a file or the name of a shipped network; DATA is a folder, an archive or one recording.
"""

import argparse
from pathlib import Path

import gxevent as gx
from gxevent.analysis.latency import accuracy_by_activity, activity_over_time, study_latency, write_csv

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("network", nargs="?", default="digits.gxn")
parser.add_argument("data", nargs="?", default=gx.shipped("digits_test.zip"))
parser.add_argument("--step", type=int, default=5, help="events between decisions")
parser.add_argument("--limit", type=int, default=60)
parser.add_argument("--window", default="60ms", help="of the activity along one recording")
parser.add_argument("--plots", type=Path, metavar="FOLDER", help="needs pip install 'gxevent[report]'")
options = parser.parse_args()

path = Path(options.network)
graph = gx.compile(gx.load_network(path if path.exists() else gx.shipped(path.name)))
recordings = gx.open_dataset(options.data, limit=options.limit)

study = study_latency(graph, recordings, step=options.step)
for name, value in study.summary().items():
    print(f"{name:18} {value}")
labelled = any(sample.label for sample in recordings.samples)
if labelled:
    events, accuracy = study.anytime(points=6)
    for n, share in zip(events, accuracy, strict=True):
        print(f"after {n:5} events {share:.0%} are right")
    groups = accuracy_by_activity(gx.run_dataset(graph, recordings), groups=4)
    resting, right = groups.resting.round(3).tolist(), groups.accuracy.round(3).tolist()
    print("quiet to busy, gates at rest:", resting, "accuracy:", right)

if options.plots:
    from gxevent.report import plots

    options.plots.mkdir(exist_ok=True)
    activity = activity_over_time(graph, recordings.load(0), options.window)
    figures = {"latency": plots.host_latency(study), "activity": plots.activity(activity)}
    if labelled:
        write_csv(options.plots / "anytime.csv", {"events": events, "accuracy": accuracy})
        figures |= {"anytime": plots.anytime(study), "sparsity": plots.accuracy_by_activity(groups)}
    for name, figure in figures.items():
        figure.savefig(options.plots / f"{name}.png", dpi=110)
