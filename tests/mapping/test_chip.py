"""Chip specifications: those that come with gxevent, and what is wrong with a bad one."""

from __future__ import annotations

import pytest

import gxevent as gx
from gxevent.mapping import chip_names, load_chip
from gxevent.mapping.chip import chip_from
from gxevent.mapping.quantity import Quantity
from tests.mapping.conftest import quantity, spec

EXPECTED = {
    "truenorth", "loihi1", "loihi2", "spinnaker1", "spinnaker2", "tianjic", "brainscales2", "speck", "akida",
    "gxnor-array",
}  # fmt: skip


def test_all_chips_are_there():
    assert set(chip_names()) == EXPECTED


@pytest.mark.parametrize("name", chip_names())
def test_every_number_has_its_source_and_survives_the_mapping_file(name):
    chip = load_chip(name)
    assert chip.name == name
    quantities = list(chip.quantities())
    assert len(quantities) > 10
    for path, number, _ in quantities:
        assert all(tag.strip() in chip.sources for tag in number.source.split(",")), path
        if number.value is None:
            assert number.base is None
            assert number.band is None
    assert chip_from(chip.as_dict(), "again") == chip
    places = {chip.place(i) for i in range(chip.core_count)}
    assert len(places) == chip.core_count == len(chip.core_kinds())
    assert all(0 <= x < chip.width and 0 <= y < chip.height and s < chip.per_router for x, y, s in places)


def test_known_limits():
    loihi = load_chip("loihi1")
    assert (loihi.core_count, loihi.cores[0].neurons.base, loihi.cores[0].memory.base) == (128, 1024, 16384 * 64)
    assert loihi.energy.synop.base == 35.5
    assert loihi.energy.synop.band == (23.6, 35.5)
    assert loihi.energy.memory_read is None
    speck = load_chip("speck")
    held = [core for core in speck.cores for _ in range(int(core.count.base))]
    assert [core.memory.base / 8 / 1024 for core in held] == [16, 16, 16, 32, 32, 64, 64, 16, 16]
    assert [core.neurons.base / 1024 for core in held] == [64, 64, 64, 32, 32, 16, 16, 16, 16]
    assert load_chip("spinnaker1").energy.synop.base == 13_300


def test_units_convert_to_base():
    assert Quantity("nJ", "T", 2.0, low=1.0).base == 2000
    assert Quantity("nJ", "T", 2.0, low=1.0).band == (1000, 2000)
    assert Quantity("KiB", "T", 4).base == 32768
    assert str(Quantity("ns", "T")) == "unknown (ns)"


def broken(change) -> dict:
    values = spec()
    change(values)
    return values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v["mesh"].update(wide=1), ["mesh", "wide"]),
        (lambda v: v["mesh"]["width"].pop("unit"), ["mesh.width", "unit"]),
        (lambda v: v["mesh"]["width"].pop("value"), ["mesh.width", "give a value"]),
        (lambda v: v["mesh"]["width"].update(unit="pJ"), ["mesh.width", "'pJ'", "routers"]),
        (lambda v: v["cores"][0]["neurons"].update(value=1.5), ["cores[0].neurons", "whole number"]),
        (lambda v: v["cores"][0]["neurons"].update(source="X"), ["cores[0].neurons", "'X'"]),
        (lambda v: v.update(energy={"synop": quantity(0, "pJ")}), ["energy.synop", "not zero"]),
        (lambda v: v.update(energy={"synop": quantity(1, "ns")}), ["energy.synop", "'ns'", "nJ"]),
        (lambda v: v.update(energy={"synop": quantity(float("nan"), "pJ")}), ["energy.synop", "finite"]),
        (lambda v: v["cores"][0].update(layers=["recurrent"]), ["cores[0].layers", "recurrent"]),
        (lambda v: v.update(latency={"synop": quantity(2, "ns", low=3)}), ["latency.synop", "rise"]),
        (lambda v: v["cores"][0]["count"].update(value=99), ["99 cores", "16 places"]),
        (lambda v: v.update(port=[9, 0]), ["port", "outside"]),
        (lambda v: v["routing"].update(scheme="magic"), ["routing.scheme", "magic"]),
    ],
)
def test_what_is_wrong_is_named_with_its_path(change, words):
    with pytest.raises(gx.FormatError) as error:
        chip_from(broken(change), "my.toml")
    for word in ["my.toml", *words]:
        assert word in str(error.value)


def test_files_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((tmp_path / "x").name)
    with pytest.raises(gx.FormatError, match=r"mine\.toml: not TOML"):
        load_chip(path)
    with pytest.raises(gx.OptionError, match="no chip 'loihi9': there are akida"):
        load_chip("loihi9")
    with pytest.raises(gx.FormatError, match="no such file"):
        load_chip(tmp_path / "none.toml")
