"""Chip specifications: what a core holds, how cores are joined, what an operation costs, each number with its source.

A specification is a TOML file; those that come with gxevent lie in ``gxevent/mapping/chips/``. Unknown numbers are left
out, never zero. ``docs/mapping.md`` describes the fields.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gxevent.errors import FormatError, OptionError
from gxevent.mapping.quantity import Count, Dimension, Frequency, Memory, Power, Quantity, Time, fault
from gxevent.store import read_bytes

NO_LIMIT = 2**40
"""Stands for a limit that is unknown or does not exist."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the tables of a specification."""


class Mesh(_Table):
    """Routers in rows and columns; places are (x, y, slot), slots of one router share its links.

    ``triangular`` is a torus with a third axis along (1, 1), as SpiNNaker boards have it.
    """

    width: Count
    height: Count
    per_router: Count
    topology: Literal["mesh", "torus", "triangular"] = "mesh"


class Routing(_Table):
    """How an event reaches several cores.

    ``unicast``: one packet for each target core. ``multicast``: one packet that forks along an X-Y tree. ``table``: the
    same, from entries in the routers. ``single``: a neuron has one target core, each further one takes a copy of it.
    ``layer``: from layer to layer, one packet for each target core.
    """

    scheme: Literal["unicast", "multicast", "table", "single", "layer"]
    table_entries: Count | None = None


class Events(_Table):
    """What a packet can say.

    payload
        Bits a packet carries beside its address. Sums and graded levels travel only where they fit.
    payload_input
        The same for input events, where the first layer takes more (or fewer).
    neurons_per_unit, axons_per_input
        How many a unit with ternary output, and an input with ternary events and weights, takes up.
    """

    payload: Memory
    neurons_per_unit: Count
    axons_per_input: Count
    payload_input: Memory | None = None


class Packing(_Table):
    """How synapses fill a core's memory.

    ``list``: each input axon has blocks of at most ``block`` synapses of ``weight + index`` bits behind a ``header``,
    rounded up to a ``word``. ``crossbar``: rows and columns are the limits. ``kernel``: a convolution stores its
    kernels once a core, other synapses ``weight`` bits each. ``padded``: whole kernels padded to powers of two.
    """

    rule: Literal["list", "crossbar", "kernel", "padded"]
    weight: Memory
    index: Memory | None = None
    header: Memory | None = None
    block: Count | None = None
    word: Memory | None = None


class Core(_Table):
    """``count`` like cores: what each of them holds. A limit that is left out is not known or does not exist.

    operations
        What its units do with what arrives: add, or take the maximum (pooling).
    layers
        Kinds of layers whose units it holds; sparse projections count as dense.
    """

    name: str
    count: Count
    neurons: Count
    packing: Packing
    axons_in: Count | None = None
    axons_out: Count | None = None
    fan_in: Count | None = None
    memory: Memory | None = None
    operations: tuple[Literal["add", "max"], ...] = ("add", "max")
    layers: tuple[Literal["conv", "dense"], ...] = ("conv", "dense")


class Costs(_Table):
    """Energy (or time) of each kind of work; ``hop_x`` east or west, ``hop_y`` north or south."""

    synop: Quantity | None = None
    neuron_access: Quantity | None = None
    neuron_update: Quantity | None = None
    spike: Quantity | None = None
    packet_out: Quantity | None = None
    packet_in: Quantity | None = None
    hop_x: Quantity | None = None
    hop_y: Quantity | None = None
    memory_read: Quantity | None = None


class Barrier(_Table):
    """Duration of the barrier that ends a step in which up to ``tiles`` routers took part."""

    tiles: Count
    time: Time


class Timing(_Table):
    """``barrier``: a step ends when all are done. ``tick``: steps have a fixed length. ``free``: no steps."""

    mode: Literal["barrier", "tick", "free"]
    tick: Time | None = None
    clock: Frequency | None = None
    barrier: tuple[Barrier, ...] = ()


class Chip(_Table):
    """One chip; ``sources`` spells out the short names that quantities give as source.

    granularity
        ``unit``: any unit on any core. ``slice``: a core holds units of one layer. ``layer``: a layer on one core.
    inputs
        ``port``: input events enter at the router ``port``. ``cores``: input units take neurons like others.
    fused_pooling
        Whether the sums under a pool need no neurons of their own.
    """

    name: str
    title: str
    mesh: Mesh
    routing: Routing
    events: Events
    cores: tuple[Core, ...]
    timing: Timing
    sources: dict[str, str]
    energy: Costs = Costs()
    latency: Costs = Costs()
    static: Power | None = None
    process: str = ""
    notes: str = ""
    granularity: Literal["unit", "slice", "layer"] = "unit"
    inputs: Literal["port", "cores"] = "port"
    port: tuple[int, int] = (0, 0)
    fused_pooling: bool = False

    @property
    def width(self) -> int:
        """Routers in a row."""
        return whole(self.mesh.width)

    @property
    def height(self) -> int:
        """Routers in a column."""
        return whole(self.mesh.height)

    @property
    def per_router(self) -> int:
        """Cores at each router."""
        return whole(self.mesh.per_router)

    @property
    def core_count(self) -> int:
        """Cores of all kinds."""
        return sum(whole(core.count) for core in self.cores)

    def payload(self, role: str) -> int:
        """Bits that a packet of a population of this role carries beside its address."""
        own = self.events.payload_input if role == "input" else None
        return whole(self.events.payload if own is None else own)

    def core_kinds(self) -> list[int]:
        """Index into ``cores`` for every core number, in order."""
        return [kind for kind, core in enumerate(self.cores) for _ in range(whole(core.count))]

    def place(self, core: int) -> tuple[int, int, int]:
        """Router (x, y) and slot of a core number: routers row by row, ``per_router`` cores at each."""
        router, slot = divmod(core, self.per_router)
        y, x = divmod(router, self.width)
        return x, y, slot

    def quantities(self) -> Iterator[tuple[str, Quantity, str]]:
        """Every quantity with its path and dimension."""
        return _quantities("", self)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they are stored in mapping files; :func:`chip_from` is the inverse."""
        return msgspec.to_builtins(self)


def whole(quantity: Quantity | None, default: int = NO_LIMIT) -> int:
    """A count (or bits) as a whole number; ``default`` where the specification leaves it out."""
    return default if quantity is None or quantity.base is None else int(quantity.base)


def _quantities(path: str, obj: Any) -> Iterator[tuple[str, Quantity, str]]:
    hints = typing.get_type_hints(type(obj), include_extras=True)
    for field in obj.__struct_fields__:
        value, where = getattr(obj, field), f"{path}.{field}".lstrip(".")
        if isinstance(value, Quantity):
            costs = {"energy": "energy", "latency": "time"}
            yield where, value, costs.get(path) or _dimension(hints[field])
        elif isinstance(value, _Table):
            yield from _quantities(where, value)
        elif isinstance(value, tuple) and value and isinstance(value[0], _Table):
            for i, part in enumerate(value):
                yield from _quantities(f"{where}[{i}]", part)


def _dimension(hint: Any) -> str:
    for part in (hint, *typing.get_args(hint)):
        for mark in getattr(part, "__metadata__", ()):
            if isinstance(mark, Dimension):
                return mark.name
    raise TypeError(f"no dimension in {hint}")


# ------------------------------------------------------------------------------------------------------ reading


def chip_names() -> list[str]:
    """Names of the chips that come with gxevent."""
    return sorted(p.stem for p in _folder().iterdir() if p.suffix == ".toml")


def _folder() -> Path:
    return Path(str(resources.files("gxevent.mapping"))) / "chips"


def load_chip(name: str | os.PathLike[str]) -> Chip:
    """The chip of this name, or of this TOML file.

    Raises FormatError naming the file, the path of the field and what is wrong with it; OptionError when there is
    neither such a chip nor such a file.
    """
    text = os.fspath(name)
    if not text:
        raise OptionError(f"chip: expected a name or a .toml file: there are {', '.join(chip_names())}")
    if text in chip_names():
        return _decode(_folder() / f"{text}.toml")
    path = Path(text)
    if path.suffix != ".toml" and not path.exists():
        raise OptionError(f"no chip {text!r}: there are {', '.join(chip_names())}, or give a .toml file of your own")
    return _decode(path)


def _decode(path: Path) -> Chip:
    try:
        chip = msgspec.toml.decode(read_bytes(path), type=Chip)
    except msgspec.ValidationError as error:
        raise FormatError(f"{path}: {_readable(error)}") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not TOML ({error})") from error
    return _checked(chip, str(path))


def chip_from(values: Any, where: str) -> Chip:
    """A chip from plain values (:meth:`Chip.as_dict`). FormatError naming ``where`` and the path of what is wrong."""
    try:
        return _checked(msgspec.convert(values, Chip), where)
    except msgspec.ValidationError as error:
        raise FormatError(f"{where}: {_readable(error)}") from error


def _readable(error: Exception) -> str:
    text, _, path = str(error).partition(" - at ")
    return f"{path.strip('`').removeprefix('$.') or 'top level'}: {text[:1].lower()}{text[1:]}"


def _checked(chip: Chip, where: str) -> Chip:
    problems = [f"{path}: {said}" for path, q, dimension in chip.quantities() if (said := fault(q, dimension))]
    structure = ("mesh.width", "mesh.height", "mesh.per_router")
    for path, q, dimension in chip.quantities():
        needed = path in structure or path.endswith(".count") or path.endswith(".neurons") or path.startswith("events")
        if needed and q.value is None:
            problems.append(f"{path}: is needed for mapping, give a value")
        if dimension == "count" and q.value is not None and (q.value != int(q.value) or (needed and q.value < 1)):
            problems.append(f"{path}: expected a whole number, got {q.value:g}")
        tags = [tag.strip() for tag in q.source.split(",")]
        problems += [f"{path}: source {tag!r} is not in [sources]" for tag in tags if tag and tag not in chip.sources]
    if not problems:
        problems = _structure(chip)
    if problems:
        raise FormatError(f"{where}: {'; '.join(problems)}")
    return chip


def _structure(chip: Chip) -> list[str]:
    problems = []
    if not chip.cores:
        problems.append("cores: there are none")
    room = chip.width * chip.height * chip.per_router
    if chip.core_count > room:
        problems.append(f"cores: {chip.core_count} cores do not fit {room} places of the mesh")
    if not (0 <= chip.port[0] < chip.width and 0 <= chip.port[1] < chip.height):
        problems.append(f"port: {list(chip.port)} lies outside the mesh")
    for i, core in enumerate(chip.cores):
        if core.packing.rule == "list" and core.packing.word is not None and whole(core.packing.word) < 1:
            problems.append(f"cores[{i}].packing.word: expected at least 1 bit")
    return problems
