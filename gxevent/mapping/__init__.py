"""Mapping: an event graph onto the cores of a chip, checked and executed exactly."""

from gxevent.mapping.activity import (
    Activity as Activity,
    load_activity as load_activity,
    measure_activity as measure_activity,
    uniform_activity as uniform_activity,
)
from gxevent.mapping.checker import check_mapping as check_mapping
from gxevent.mapping.chip import Chip as Chip, chip_names as chip_names, load_chip as load_chip
from gxevent.mapping.execute import MappedNetwork as MappedNetwork
from gxevent.mapping.feasibility import Infeasible as Infeasible
from gxevent.mapping.mapper import map_graph as map_graph
from gxevent.mapping.mapping import Mapping as Mapping, load_mapping as load_mapping
