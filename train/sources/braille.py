"""``braille``: letters under a tactile sensor of 12 taxels, each taxel's value turned into ON and OFF events.

A delta modulator follows the value of each taxel from its resting value: at every time step the reference moves by
``DELTA`` towards the value, if it is that far off, and sends an event of that sign. It catches up with a jump step by
step, so sizes become durations, which signs alone can carry. The first value is held for ``SETTLE`` steps, as a sensor
that has been lowered onto the letter before it slides: the reference is there when the sliding begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, OptionError
from gxevent.events import EVENT_DTYPE, EventStream, encode_stream
from gxevent.train.frames import Recordings
from gxevent.train.recipes import Recipe
from gxevent.train.sources.data import Data

FILE = "braille_letters.npz"
HOME = "https://github.com/fzenke/spytorch (tutorial 5), as NumPy arrays taxels, label, letters and repetition"
REST = 255
"""Value of a taxel that nothing touches."""
DELTA = 2
SETTLE = 80
STEP_US = 10_000
"""Time between two values, nominal: the data do not state it, and only their order matters here."""
TEST_REPETITIONS = 8
"""Of the 40 repetitions of each letter the last ones are for testing."""


@dataclass(frozen=True, eq=False)
class Letters(Data):
    """Letters, held out by repetition: what is judged is always a later or earlier pass over the same letters."""

    repetition: NDArray[np.int64] | None = None
    """(recordings,) of the training recordings."""

    def split(self, count: int, fold: int, seed: int, repeat: int = 1) -> tuple[Recordings, Recordings]:
        assert self.repetition is not None
        order = np.unique(self.repetition)
        if len(order) < count:
            raise OptionError(f"data.folds: {count} folds of {len(order)} training repetitions: take fewer")
        held_out = np.isin(self.repetition, np.array_split(order, count)[fold])
        return self.train.select(~held_out), self.train.select(held_out)


def load(recipe: Recipe, path: Path | None, quiet: bool) -> Data:
    """Repetitions 0 to 31 of each letter for training and validation, 32 to 39 for testing."""
    expected = f"expected {FILE}, from {HOME}"
    if path is None:
        raise OptionError(f"recipe {recipe.name!r} needs --data: {expected}")
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise FormatError(f"{file}: no such file; {expected}")
    taxels, labels, letters, repetition = _read(file, expected)
    encoder = recipe.encoder.encoder()
    test = repetition >= repetition.max() + 1 - TEST_REPETITIONS

    def encoded(chosen: NDArray[np.bool_]) -> Recordings:
        shape = (encoder.channels, 1, taxels.shape[2])
        held = np.repeat(taxels[chosen, :1], SETTLE, axis=1)
        streams = [delta_modulated(v, DELTA, STEP_US) for v in np.concatenate([held, taxels[chosen]], axis=1)]
        return Recordings.of([encode_stream(encoder, stream, shape) for stream in streams], labels[chosen])

    train = encoded(~test)
    description = {
        "name": "Braille letters under 12 taxels, delta-modulated",
        "source": path.name,
        "delta": DELTA,
        "settle_steps": SETTLE,
        "train_recordings": len(train),
        "test_recordings": int(test.sum()),
        "test_split": f"the last {TEST_REPETITIONS} of {int(repetition.max()) + 1} repetitions of each letter",
    }
    return Letters(train, lambda: encoded(test), tuple(letters), description, repetition=repetition[~test])


def delta_modulated(values: NDArray[np.uint8], delta: int, step_us: int) -> EventStream:
    """Events of one recording: values (steps, taxels) from the resting value on; taxel i is pixel (i, 0).

    Step k has time ``k * step_us``; at most one event a taxel and step.
    """
    steps, taxels = values.shape
    reference = np.full(taxels, REST)
    moves = np.zeros((steps, taxels), np.int64)
    for k, row in enumerate(values.astype(np.int64)):
        off = row - reference
        moves[k] = np.sign(off) * (np.abs(off) >= delta)
        reference = reference + delta * moves[k]
    step, taxel = np.nonzero(moves)
    events = np.zeros(len(step), EVENT_DTYPE)
    events["t"], events["x"], events["p"] = step * step_us, taxel, moves[step, taxel] > 0
    return EventStream(events, taxels, 1)


def _read(file: Path, expected: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str], NDArray[np.int64]]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            taxels, labels, letters, repetition = (
                arrays[name] for name in ("taxels", "label", "letters", "repetition")
            )
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(f"{file}: cannot be read ({error}); {expected}") from error
    count = len(taxels)
    if taxels.ndim != 3 or labels.shape != (count,) or repetition.shape != (count,) or not count:
        raise FormatError(
            f"{file}: taxels {taxels.shape}, label {labels.shape}, repetition {repetition.shape} do not fit together; "
            f"{expected}"
        )
    if labels.max() >= len(letters):
        raise FormatError(f"{file}: label {labels.max()} has no letter, there are {len(letters)}; {expected}")
    return taxels, labels.astype(np.int64), [str(letter) for letter in letters], repetition.astype(np.int64)
