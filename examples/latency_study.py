"""How soon does the network know? Decisions after every event of the shipped recordings, as figures and plots.

python examples/latency_study.py [folder for the plots]
"""

import sys
from pathlib import Path

import gxevent as gx
from gxevent.analysis.latency import accuracy_by_activity, activity_over_time, study_latency, write_csv

graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
recordings = gx.open_dataset(gx.shipped("digits_test.zip"), limit=60)

study = study_latency(graph, recordings, step=5)
for name, value in study.summary().items():
    print(f"{name:18} {value}")
events, accuracy = study.anytime(points=6)
for n, share in zip(events, accuracy, strict=True):
    print(f"after {n:5} events {share:.0%} are right")

groups = accuracy_by_activity(gx.run_dataset(graph, recordings), groups=4)
print("quiet to busy, gates at rest:", groups.resting.round(3).tolist(), "accuracy:", groups.accuracy.round(3).tolist())

if len(sys.argv) > 1:  # plots need: pip install 'gxevent[report]'
    from gxevent.report import plots

    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    write_csv(folder / "anytime.csv", {"events": events, "accuracy": accuracy})
    plots.anytime(study).savefig(folder / "anytime.png", dpi=110)
    plots.host_latency(study).savefig(folder / "latency.png", dpi=110)
    activity = activity_over_time(graph, recordings.load(0), "60ms")
    plots.activity(activity).savefig(folder / "activity.png", dpi=110)
    plots.accuracy_by_activity(groups).savefig(folder / "sparsity.png", dpi=110)
