"""Recipes: everything a training run depends on, as one TOML file.

The recipes shipped lie beside this module; a path to another ``.toml`` file works wherever a recipe's name does.
Unknown keys and values of the wrong type are refused with one line that names file and key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from gxevent.encoder import Encoder
from gxevent.errors import GxError, OptionError
from gxevent.store import read_bytes

Count = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class DataSettings(_Settings):
    """Which recordings, and which of the training ones are held out for validation."""

    kind: Literal["digits", "images", "nmnist", "windows", "braille", "recordings"]
    folds: Annotated[int, msgspec.Meta(ge=2)] = 10
    """The training recordings are cut into this many stratified folds …"""
    fold: Natural = 0
    """… of which this one is the validation set."""
    seed: Natural = 0
    """Of the split and of emulated recordings; fixed, so that runs with other seeds see the same data."""
    emulated: Natural = 0
    """nmnist: emulated recordings of MNIST training digits that have no real recording, at most so many."""
    repeat: Count = 1
    """How often an epoch sees each real training recording; emulated ones once."""
    side: Natural = 0
    """recordings: a sensor with a longer side is downsampled to at most so many pixels; 0: not at all."""


class EncoderSettings(_Settings):
    """See :class:`gxevent.encoder.Encoder`."""

    kind: str = "onoff"
    bins: Count = 1
    low: float = 0.0
    high: float = 1.0
    window: str = "all"
    downsample: Count = 1

    def encoder(self) -> Encoder:
        return Encoder(self.kind, self.bins, self.low, self.high, self.window, self.downsample)


Space = Annotated[int, msgspec.Meta(ge=0, le=7)] | Literal["real"]

PRESETS: dict[str, tuple[int | str, int | str]] = {
    "gxnor": (1, 1),
    "bnn": (0, 0),
    "twn": (1, "real"),
    "bwn": (0, "real"),
    "multilevel": (6, 4),
    "float": ("real", "real"),
}
"""Name -> spaces N1 of the weights and N2 of the activations of Z_N. ``multilevel`` is the paper's best pair."""


class NetworkSettings(_Settings):
    """Layers as text (see :mod:`gxevent.train.topology`), spaces, activation, derivative window, loss.

    A space is an N of Z_N or ``"real"``: float weights trained by Adam, or hard-tanh activations.
    """

    layers: str
    weights: Space = 1
    activations: Space = 1
    r: NotNegative = 0.5
    h: Positive = 1.0
    a: Positive = 0.5
    derivative: Literal["rectangular", "triangular"] = "rectangular"
    loss: Literal["squared_hinge", "cross_entropy"] = "squared_hinge"


LEARNING_RATES = {"adam": 0.03, "sgd": 0.03, "momentum": 0.03, "residue": 0.2}
"""Where none is given. A residue of few bits does not heed small steps; for ``sgd`` and ``momentum``, whose steps
follow the loss's scale, no number suits all."""


class DSTSettings(_Settings):
    """Step rule and its learning rate, on a cosine from ``lr`` to ``lr_end``."""

    rule: Literal["adam", "sgd", "momentum", "residue"] = "adam"
    lr: Positive | None = None
    """By default the rule's: 0.2 for ``residue``, else 0.03."""
    lr_end: NotNegative = 1e-5
    m: Positive = 3.0
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    moment_bits: Literal[32, 16, 8] = 32
    """How ``adam`` and ``momentum`` keep their averages."""
    residue_bits: Literal[0, 2, 4, 8] | None = None
    """Bits a weight of what a step could not spend; by default 4 for the rule ``residue``, else 0."""
    in_backward: bool = False
    """Move each layer during the backward pass and free its gradient there."""

    def __post_init__(self) -> None:
        if self.lr is None:  # settled here, so that checkpoints and provenance have the number
            msgspec.structs.force_setattr(self, "lr", LEARNING_RATES[self.rule])


class NormSettings(_Settings):
    """Learning rate of the batch-norm parameters (Adam), on the same cosine."""

    lr: Positive = 0.01
    lr_end: NotNegative = 1e-5


class RealSettings(_Settings):
    """Learning rate of real weights (Adam), on the same cosine."""

    lr: Positive = 0.005
    lr_end: NotNegative = 1e-5


class AugmentationSettings(_Settings):
    """Random affine motion of each training frame, uniform in plus or minus these amounts."""

    rotate: NotNegative = 0.0
    """Degrees."""
    scale: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Share of the size, each axis for itself."""
    shear: NotNegative = 0.0
    shift: NotNegative = 0.0
    """Pixels; whole ones where it is a whole number and nothing else moves the frame."""
    elastic: NotNegative = 0.0
    """Pixels: deviation of a smooth random bending, as handwriting has it (Simard et al. 2003). Not for windows."""
    flip: bool = False
    """Mirror half of the frames, left to right."""
    speed: NotNegative = 0.0
    """windows: doublings or halvings of their length."""
    reverse: bool = False
    """windows: play half of them backwards, brighter becoming darker: what the way back would have given."""
    drop: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Up to this share of the events is lost."""
    noise: NotNegative = 0.0
    """windows: up to this share of the events comes on top, anywhere."""


class FitSettings(_Settings):
    """Length of the run, and how it computes."""

    epochs: Count
    batch: Annotated[int, msgspec.Meta(ge=2)] = 100
    seed: Natural = 0
    smooth: Count = 5
    """The epoch kept ends so many epochs with the lowest mean validation loss; 1: it has the lowest itself."""
    norm_frames: Natural = 0
    """Training frames, unmoved, over which batch norms are averaged anew after every epoch, as they will be used: with
    the weights as they are, and without the motions; at least a batch. 0: the averages of the epoch's last quarter
    stay."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Of the training forward and backward pass; evaluation is exact either way. ``"auto"`` is bfloat16 on a machine
    that has instructions for it, else float32."""


class TeacherSettings(_Settings):
    """A float network of the same layers, trained first, whose scores are learnt beside the labels: distillation."""

    epochs: Natural = 0
    """Of its own training; 0: no teacher."""
    layers: str = ""
    """Other layers than the network's own, where there are any."""
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.7
    """Of the loss: see :func:`gxevent.train.teacher.distilled`."""
    temperature: Positive = 2.0


class Recipe(_Settings):
    """One training run."""

    name: str
    summary: str
    data: DataSettings
    network: NetworkSettings
    fit: FitSettings
    encoder: EncoderSettings = EncoderSettings()
    dst: DSTSettings = DSTSettings()
    norm: NormSettings = NormSettings()
    real: RealSettings = RealSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    teacher: TeacherSettings = TeacherSettings()

    def settings(self) -> dict:
        """Plain JSON values."""
        return msgspec.to_builtins(self)


def list_recipes() -> dict[str, str]:
    """Names and summaries of the recipes shipped."""
    return {path.stem: load_recipe(path.stem).summary for path in sorted(Path(__file__).parent.glob("*.toml"))}


def load_recipe(name: str | os.PathLike[str]) -> Recipe:
    """The recipe of that name, or of a ``.toml`` file.

    Raises
    ------
    OptionError
        when there is no such recipe, or the file holds a key or value that is not possible (naming it).
    FormatError
        when the file cannot be read.
    """
    path = _path(name)
    try:
        recipe = msgspec.toml.decode(read_bytes(path), type=Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError
        raise OptionError(f"{path}: {error}") from error
    return checked(recipe, str(path))


def recipe_text(name: str | os.PathLike[str]) -> str:
    """The TOML text of a recipe, to copy and change; raises as :func:`load_recipe` does."""
    load_recipe(name)
    return _path(name).read_text()


def _path(name: str | os.PathLike[str]) -> Path:
    shipped = Path(__file__).parent
    path = Path(name) if os.fspath(name).endswith(".toml") else shipped / f"{os.fspath(name)}.toml"
    if path.parent == shipped and not path.is_file():
        known = ", ".join(sorted(p.stem for p in shipped.glob("*.toml")))
        raise OptionError(f"no recipe {os.fspath(name)!r}: the recipes are {known}; a path to a .toml file works too")
    return path


def from_settings(settings: dict, where: str) -> Recipe:
    """Inverse of :meth:`Recipe.settings`; options that came after the settings were kept are as they had been."""
    settings = {**settings, "fit": {"smooth": 1, **settings.get("fit", {})}}
    try:
        return checked(msgspec.convert(settings, Recipe), where)
    except msgspec.ValidationError as error:
        raise OptionError(f"{where}: {error}") from error


def checked(recipe: Recipe, where: str) -> Recipe:
    """The recipe, after what its types alone do not say."""
    try:
        recipe.encoder.encoder()
        if not recipe.data.fold < recipe.data.folds:
            raise OptionError(f"data.fold: {recipe.data.fold}, expected less than data.folds = {recipe.data.folds}")
        if 0 < recipe.fit.norm_frames < recipe.fit.batch:
            raise OptionError(
                f"fit.norm_frames: {recipe.fit.norm_frames}, expected 0 or at least a batch, fit.batch = "
                f"{recipe.fit.batch}: batch norms are averaged over whole batches"
            )
    except GxError as error:
        raise OptionError(f"{where}: {error}") from error
    return recipe


def override(
    recipe: Recipe,
    epochs: int | None = None,
    seed: int | None = None,
    fold: int | None = None,
    preset: str | None = None,
) -> Recipe:
    """The recipe with other epochs, seed, validation fold or preset; OptionError for impossible ones."""
    settings = recipe.settings()
    settings["fit"] |= {k: v for k, v in (("epochs", epochs), ("seed", seed)) if v is not None}
    if fold is not None:
        settings["data"]["fold"] = fold
    if preset is not None:
        if preset not in PRESETS:
            raise OptionError(f"preset {preset!r} is not one of {', '.join(PRESETS)}")
        settings["network"]["weights"], settings["network"]["activations"] = PRESETS[preset]
    return from_settings(settings, f"recipe {recipe.name!r}")


def with_precision(recipe: Recipe, precision: str) -> Recipe:
    """The recipe, with this precision where it says ``"auto"``."""
    if recipe.fit.precision != "auto":
        return recipe
    settings = recipe.settings()
    settings["fit"]["precision"] = precision
    return from_settings(settings, f"recipe {recipe.name!r}")


def preset_of(recipe: Recipe) -> str | None:
    """Name of the preset whose spaces the recipe has, None if there is none."""
    pair = (recipe.network.weights, recipe.network.activations)
    return next((name for name, spaces in PRESETS.items() if spaces == pair), None)
