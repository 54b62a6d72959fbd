"""A camera at the other end of a pipe: decisions while events arrive.

    python examples/live_camera.py                                   # starts an emulated camera of its own
    python examples/live_camera.py --camera | python examples/live_camera.py -
    YOUR_CAMERA_PROGRAM | python examples/live_camera.py - --format es --network mine.gxn

What comes down the pipe is text (t,x,y,p, microseconds) or any of es, evt2, evt3, dat. Events enter and leave a sliding
window, and the decision is exact at every step; the bar is the lead of the best score. The shipped network was trained
on whole digits, so it is sure when one fills the window: every 0.32 s. The command
`gxevent run NET.gxg -` does the same and prints JSON.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import gxevent as gx
from gxevent.events.live import Intake, Loss, from_pipe
from gxevent.runtime.live import run_live

PAUSE_US = 320_000
"""From one digit to the next; the window of the decisions is as long."""


def camera(count: int) -> None:
    """Show the shipped recordings of ten digits one after the other, at their own speed, as lines of text."""
    recordings = gx.open_dataset(gx.shipped("digits_test.zip"), limit=count)
    start = 0
    print("# width=16 height=16", flush=True)
    for sample, stream in recordings:
        print(f"the camera sees a {sample.label}", file=sys.stderr, flush=True)
        events = stream.events
        t = start + events["t"].astype(np.int64) - int(events["t"][0])
        for first in range(0, len(events), 16):
            part = slice(first, first + 16)
            columns = (t[part], events["x"][part], events["y"][part], events["p"][part].astype(int))
            lines = (",".join(map(str, row)) for row in zip(*(c.tolist() for c in columns), strict=True))
            print("\n".join(lines), flush=True)
            time.sleep(max(0.0, (int(t[part][-1]) - int(t[part][0])) / 1e6))
        start += PAUSE_US
        time.sleep(max(0.0, (start - int(t[-1])) / 1e6))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", nargs="?", help="- reads the pipe; by default an emulated camera is started")
parser.add_argument("--camera", action="store_true", help="be the camera")
parser.add_argument("--count", type=int, default=10, help="digits that the emulated camera shows")
parser.add_argument("--format", default="csv")
parser.add_argument("--network", default=gx.shipped("digits.gxn"))
parser.add_argument("--window", default="320ms")
parser.add_argument("--stride", default="80ms", help="time between decisions")
options = parser.parse_args()
if options.camera:
    camera(options.count)
    sys.exit()

pipe = sys.stdin.buffer
if options.source is None:
    command = [sys.executable, str(Path(__file__)), "--camera", "--count", str(options.count)]
    pipe = subprocess.Popen(command, stdout=subprocess.PIPE).stdout
graph = gx.compile(gx.load_network(options.network))
session = gx.Engine(graph).stream(window=options.window, stride=options.stride)
lost = Loss()
for made in run_live(session, Intake(from_pipe(pipe, options.format, lost), lost, policy="drop-oldest")):
    second, first = sorted(made.scores)[-2:]
    lead = "#" * round(8 * min(first - second, 5))
    print(f"{made.t_us / 1e6:7.3f} s  {made.decision:>8}  {made.latency_us:5,.0f} us  {lead}", flush=True)
print(f"{session.statistics().events:,} events; lost: {dict(lost.counts) or 'nothing'}")
