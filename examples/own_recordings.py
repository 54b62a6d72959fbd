"""Train on your own recordings: from a folder to a network, a run and a page that shows it.

    python examples/own_recordings.py [FOLDER] [--window 100ms] [--epochs 15]      needs: pip install 'gxevent[train]'

FOLDER holds train/<label>/<recording> and test/<label>/<recording>, in any format that gxevent reads (gxevent events
info FILE says whether it does); long recordings are cut into windows. Without FOLDER a small one is made: three shapes
moved by hand before an emulated camera.
"""

import argparse
from pathlib import Path

import numpy as np

import gxevent as gx
from gxevent.events.emulate import Emulator

RECIPE = """
name = "own"
summary = "My recordings"

[data]
kind = "windows"
folds = 4
repeat = 6

[encoder]
kind = "onoff"
bins = 2
window = "{window}"
downsample = {downsample}

[network]
layers = "16C3-MP2-32C3-MP2-64FC-{classes}"
loss = "cross_entropy"

[augmentation]
rotate = 10
scale = 0.1
shift = 2

[fit]
epochs = {epochs}
batch = 20
seed = 1
"""


def shapes(folder: Path) -> Path:
    """Four recordings a shape to train with, three to test with, a second each, as Event Stream files."""
    rows, columns = np.mgrid[-10:11, -10:11]
    masks = {
        "circle": np.abs(np.hypot(rows, columns) - 8) < 2,
        "cross": np.minimum(abs(rows - columns), abs(rows + columns)) < 2,
        "square": np.abs(np.maximum(abs(rows), abs(columns)) - 7) < 2,
    }
    camera = Emulator(width=34, height=34, jitter=1.0)
    for label, mask in masks.items():
        for split, count in (("train", 4), ("test", 3)):
            (folder / split / label).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                first = 1000 * (split == "test") + 3 * i
                moves = [camera(mask.astype(float), seed=first + k).events for k in range(3)]
                for k, events in enumerate(moves):
                    events["t"] += 320_000 * k
                recording = gx.EventStream(np.concatenate(moves), camera.width, camera.height)
                gx.write_events(folder / split / label / f"{i}.es", recording)
    return folder


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", nargs="?", type=Path)
parser.add_argument("--window", default="100ms")
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--downsample", type=int, default=1, help="sensor pixels along each side that share one input")
options = parser.parse_args()
try:
    from gxevent.train.training import train_recipe
except ImportError as missing:
    raise SystemExit(f"{missing}: training needs pip install 'gxevent[train]'") from missing

folder = options.folder or shapes(Path("shapes"))
recordings = gx.open_dataset(folder, split="test")
settings = {"window": options.window, "epochs": options.epochs, "downsample": options.downsample}
Path("own.toml").write_text(RECIPE.format(classes=len(recordings.classes), **settings))
trained = train_recipe("own.toml", folder, out=Path("own.gxn"), quiet=True)
print(f"validation: {trained.validation_accuracy:.1%} of {trained.validation_samples} windows")

graph = gx.compile(gx.load_network("own.gxn"))
record = gx.run_dataset(graph, recordings)
print(f"test: {record.summary['correct']} of {record.summary['samples']} recordings")
print(f"{record.summary['resting_probability']:.1%} of the gates rested")

from gxevent.report import run_page  # noqa: E402, figures need pip install 'gxevent[report]'

Path("own.html").write_text(run_page(record, f"My recordings: {folder.name}", graph=graph, dataset=recordings))
print("wrote own.toml, own.gxn, own.html")
