"""What a recipe trains on: recordings, encoded and split. Each kind of data has a module beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from gxevent.encoder import Encoder
from gxevent.errors import OptionError
from gxevent.train.frames import Recordings, folds


@dataclass(frozen=True, eq=False)
class Data:
    """Recordings of a recipe. The test recordings are not even read before ``load_test`` is called."""

    train: Recordings
    load_test: Callable[[], Recordings | None]
    classes: tuple[str, ...]
    description: dict[str, Any]
    emulated: Recordings | None = None
    """Further training recordings, of digits that neither ``train`` nor the test recordings show."""
    notes: tuple[str, ...] = field(default=())
    """What the user should know, a sentence each."""

    def split(self, count: int, fold: int, seed: int, repeat: int = 1) -> tuple[Recordings, Recordings]:
        """Training and validation recordings: fold ``fold`` of ``count`` is held out, emulated ones never are."""
        if len(self.train) < count:
            raise OptionError(f"data.folds: {count} folds of {len(self.train)} training recordings: take fewer")
        held_out = folds(self.train.labels, count, seed) == fold
        train = real = self.train.select(~held_out)
        for _ in range(repeat - 1):
            train = train.join(real)
        if self.emulated is not None:
            train = train.join(self.emulated)
        return train, self.train.select(held_out)


def frame_shape(encoder: Encoder, height: int, width: int) -> tuple[int, int, int]:
    """Input shape of recordings of a sensor."""
    if encoder.takes_images:
        raise OptionError(f"encoder {encoder.kind!r} takes images, but these are recordings: use 'onoff' or 'signed'")
    return encoder.channels, -(-height // encoder.downsample), -(-width // encoder.downsample)


def progress(items: Iterable[Any], what: str, quiet: bool) -> Iterable[Any]:
    """The items, with a bar on standard error that goes when it is done."""
    return tqdm(items, desc=what, disable=quiet, leave=False)
