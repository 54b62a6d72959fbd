"""Cost model: which gate unit, and which layout of it, runs a projection fastest at an expected activity.

The choice never changes a result. Times are nanoseconds on one machine (AMD EPYC, Zen 4); only their ratios matter. On
``avx2`` lanes of pixels and ``NEAR`` were weighed against the rest on a Zen 3; on ``avx512`` lanes of pixels are an
estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gxevent.graph import Population
from gxevent.runtime import pixels
from gxevent.runtime.sliced import Convolution, Tiling

ACTIVITY = 0.4
"""Share of active units expected where nothing is known."""

VISIT = {
    "generic": {2: 1.0, 4: 2.0, 8: 4.1},
    "avx2": {2: 0.88, 4: 0.85, 8: 1.75},
    "avx512": {2: 0.62, 4: 0.62, 8: 1.05},
}
"""Adding one row of 64 * width lanes."""

BLOCK = {"generic": {2: 25, 4: 50, 8: 100}, "avx2": {2: 20, 4: 25, 8: 50}, "avx512": {2: 15, 4: 17, 8: 25}}
"""Seeding and comparing the counters of a block."""

SEGMENT = {"generic": 6.0, "avx2": 4.0, "avx512": 3.0}
"""Copying a window row's events of one sign into the list of rows."""

ROW_VISIT = {"generic": 1.2, "avx2": 0.7, "avx512": 0.7}
"""Adding 32 lanes of one int8 row in row gates; graded ones take three times as long."""

SUM = {"generic": 3.0, "avx2": 1.5, "avx512": 0.8}
"""Turning one lane's counter into a sum, where a unit does not fire."""

HEAD, HEAD_WORD = 3.3, {"generic": 1.5, "avx2": 1.5, "avx512": 1.5, "avx512vbmi2": 0.2}
"""One target, and each 64 of its weights, where bits are counted along the weights."""

ROW_UNIT = 0.7
"""Listing a unit of the source with its level, for row gates."""

ROW_PIXEL = 25.0
"""Listing a window and flushing its sums in row gates."""


@dataclass(frozen=True)
class Work:
    """One projection as the model sees it; ``planes`` of the source's levels and of the weights.

    fires : whether its unit compares with thresholds itself, so that sums are never written
    countable : whether its sums fit into bit-sliced counters
    """

    conv: Convolution
    activity: float
    source_planes: int = 1
    weight_planes: int = 1
    fires: bool = False
    countable: bool = True


def family(kernel: str) -> str:
    """The row of the tables that a kernel path takes."""
    return "avx512" if kernel.startswith("avx512") else kernel if kernel in VISIT else "generic"


def sliced(work: Work, tiling: Tiling, kernel: str) -> float:
    """Nanoseconds of a sample on bit-sliced counters laid out so."""
    of, conv = family(kernel), work.conv
    out, height, width = conv.target_shape
    tiles = math.prod(-(-n // t) for n, t in zip((height, width), tiling.tile, strict=True))
    blocks = -(-out // (64 * tiling.width))
    rows, columns = len(conv.used_rows(tiling.tile)), conv.window(tiling.tile)[1]
    inside = min(1.0, conv.source_shape[1] / conv.window(tiling.tile)[0]) * min(1.0, conv.source_shape[2] / columns)
    visits = rows * columns * conv.source_shape[0] * work.activity * inside * _bits_set(work.source_planes)
    lists = 2 * rows * SEGMENT[of] * work.source_planes
    padding = 3.0 * work.source_planes  # half a round for each sign
    each = blocks * (BLOCK[of][tiling.width] + work.weight_planes * (visits + padding) * VISIT[of][tiling.width])
    if not work.fires:
        each += blocks * 64 * tiling.width * SUM[of]
    return tiles * (lists + each)


def _bits_set(planes: int) -> float:
    """Magnitude bits set in an active level, on average."""
    return 1.0 if planes == 1 else 0.5 * planes + 0.25


def best_tiling(work: Work, kernel: str) -> tuple[Tiling, float]:
    """The quickest layout and its time."""
    timed = [(sliced(work, tiling, kernel), i, tiling) for i, tiling in enumerate(work.conv.tilings())]
    time, _, tiling = min(timed)
    return tiling, time


def rows(work: Work, kernel: str) -> float:
    """Nanoseconds of a sample on int8 rows."""
    conv = work.conv
    out, inputs, kernel_rows, kernel_columns = conv.weight.shape
    pixels = math.prod(conv.target_shape[1:])
    visits = inputs * kernel_rows * kernel_columns * work.activity
    graded = work.source_planes > 1 or work.weight_planes > 1
    each = visits * -(-out // 32) * ROW_VISIT[family(kernel)] * (3.0 if graded else 1.0)
    return math.prod(conv.source_shape) * ROW_UNIT + pixels * (ROW_PIXEL + each)


def head(work: Work, kernel: str) -> float:
    """Nanoseconds of a sample where a ternary dense layer that does not fire counts bits along each target's weights;
    infinite for all others."""
    out, inputs, *window = work.conv.weight.shape
    image = (*work.conv.source_shape[1:], *window)
    if work.fires or work.source_planes > 1 or work.weight_planes > 1 or math.prod(image) > 1:
        return math.inf
    return out * (HEAD + HEAD_WORD.get(kernel, HEAD_WORD["generic"]) * -(-inputs // 64))


PIXEL_ROW = {"generic": 3.2, "avx2": 1.6, "avx512": 0.8}
"""Adding one row of 256 output pixels; rows lie across cache lines, and the strips seldom fit a first-level cache."""

PIXEL_BLOCK = {"generic": 60.0, "avx2": 30.0, "avx512": 20.0}
"""Seeding, complementing and comparing the counters of 256 output pixels of a channel."""

STRIP_LINE = 3.0
"""Moving one line of a source channel to where a kernel column sees it."""

SQUARE = {"generic": 500.0, "avx2": 250.0, "avx512": 200.0}
"""Turning 256 pixels of 64 channels into rows of pixels, or back."""


def by_pixels(work: Work, kernel: str) -> float:
    """Nanoseconds of a sample on lanes of output pixels; infinite where they cannot run it."""
    of, conv = family(kernel), work.conv
    if not work.countable or not pixels.fits(conv, work.weight_planes):
        return math.inf
    out, inputs, rows, taps = conv.weight.shape
    chunks, lines = pixels.chunks(conv), conv.target_shape[1] + (rows - 1) * conv.dilation[0]
    each = conv.nonzero * work.source_planes * PIXEL_ROW[of] + out * PIXEL_BLOCK[of]
    if not work.fires:
        each += out * pixels.LANES * SUM[of]
    squares = 2 * work.source_planes * -(-inputs // 64) * -(-math.prod(conv.source_shape[1:]) // pixels.LANES)
    squares += 2 * -(-out // 64) * chunks
    return chunks * each + squares * SQUARE[of] + work.source_planes * inputs * taps * lines * STRIP_LINE


def expected(source: Population, activity: Mapping[str, float]) -> float:
    """Share of a population's units expected to be active; binary ones are never silent."""
    return 1.0 if source.levels == 0 else activity.get(source.name, ACTIVITY)


@dataclass(frozen=True)
class Choice:
    """How a projection is run: on "slices" (bit-sliced counters, laid out by ``tiling``), "pixels" (the same with
    output pixels as lanes), "rows" (int8 rows) or "counts" (population counts along each target's weights)."""

    unit: str
    tiling: Tiling | None = None

    @property
    def text(self) -> str:
        """For people: "512 lanes, tiles of 1x4", "lanes of pixels", "int8 rows", "bit counts"."""
        if self.tiling is None:
            return {"pixels": "lanes of pixels", "rows": "int8 rows", "counts": "bit counts"}[self.unit]
        rows, columns = self.tiling.tile
        tiles = f", tiles of {rows}x{columns}" if rows * columns > 1 else ""
        return f"{64 * self.tiling.width} lanes{tiles}"


WITHOUT_TILING = {"rows": rows, "counts": head, "pixels": by_pixels}
"""Units that need no layout, and their times."""


def choose(work: Work, kernel: str) -> Choice:
    """The quickest way to run a projection, of those that can."""
    timed = {Choice(unit): time(work, kernel) for unit, time in WITHOUT_TILING.items()}
    if work.countable:
        tiling, time = best_tiling(work, kernel)
        timed[Choice("slices", tiling)] = time
    return min(timed, key=lambda choice: timed[choice])


def time_of(choice: Choice, work: Work, kernel: str) -> float:
    """Nanoseconds of a sample on a choice made for whatever activity."""
    if choice.tiling is not None:
        return sliced(work, choice.tiling, kernel)
    return WITHOUT_TILING[choice.unit](work, kernel)


HAND_OVER = 8000.0
"""A unit that takes a thread less is not shared among threads."""

CHUNK = 3000.0
"""What the shares that a thread takes at a time should last, at least."""


def chunk(shares: int, time: float) -> int:
    """How many of a unit's shares a thread takes at a time; 0 where one thread had better run them all.

    time : ns of the whole unit on one thread
    """
    if shares < 2 or time < HAND_OVER:
        return 0
    return max(1, math.ceil(shares * min(1.0, CHUNK / time)))


SAMPLES_ROW = {"generic": 1.88, "avx2": 0.83, "avx512": 0.5}
"""Adding one row of 256 samples."""

SAMPLES_TURN = {"generic": 30.0, "avx2": 15.0, "avx512": 15.0}
"""A unit's turn in one tile of sources: fetching and storing its counters."""

SAMPLES_WORD = {"generic": 1600.0, "avx2": 800.0, "avx512": 600.0}
"""Turning 64 units of 256 samples into rows of samples, or back."""

NEAR = {"generic": 1.15, "avx2": 1.7, "avx512": 1.15}
"""How much longer an event of a batch takes, listed and with its row from a second-level cache, than ``VISIT``."""

SAMPLE_TILE = 512
"""Most sources of a tile on sample lanes: their rows fill a first-level cache."""


def by_events(work: Work, tiling: Tiling | None, kernel: str) -> tuple[float, float]:
    """Nanoseconds of a sample of a ternary dense layer without events, and of each event; tiling: None for a head."""
    if tiling is None:
        return head(work, kernel), 0.0
    idle, busy = (sliced(replace(work, activity=activity), tiling, kernel) for activity in (0.0, 1.0))
    return idle, NEAR[family(kernel)] * (busy - idle) / work.conv.source_shape[0]


def by_samples(work: Work, kernel: str) -> float:
    """Nanoseconds of 256 samples of a ternary dense layer on sample lanes."""
    of, (out, inputs) = family(kernel), work.conv.weight.shape[:2]
    weights, tiles = math.prod(work.conv.weight.shape) * 2 / 3, -(-inputs // SAMPLE_TILE)
    words = -(-inputs // 64) + -(-out // 64)
    return weights * SAMPLES_ROW[of] + tiles * out * SAMPLES_TURN[of] + words * SAMPLES_WORD[of]
