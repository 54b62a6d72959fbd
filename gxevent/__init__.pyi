"""What ``import gxevent as gx`` offers, for type checkers; the names are those of ``__init__.py``."""

from gxevent.compiler import compile as compile
from gxevent.connectivity import Sparse as Sparse
from gxevent.encoder import Encoder as Encoder
from gxevent.errors import (
    CapacityError as CapacityError,
    ClusterError as ClusterError,
    CrosscheckError as CrosscheckError,
    FormatError as FormatError,
    GxError as GxError,
    MissingExtraError as MissingExtraError,
    NetworkError as NetworkError,
    OptionError as OptionError,
    ShapeError as ShapeError,
    UnsupportedError as UnsupportedError,
)
from gxevent.events import (
    EventStream as EventStream,
    iter_events as iter_events,
    open_dataset as open_dataset,
    open_events as open_events,
    write_events as write_events,
)
from gxevent.files import (
    load as load,
    load_graph as load_graph,
    load_network as load_network,
    save as save,
    shipped as shipped,
)
from gxevent.graph import (
    EventGraph as EventGraph,
    Population as Population,
    Projection as Projection,
)
from gxevent.interop import (
    export_graph as export_graph,
    import_network as import_network,
)
from gxevent.layers import (
    Activation as Activation,
    Add as Add,
    AvgPool2d as AvgPool2d,
    BatchNorm as BatchNorm,
    Conv2d as Conv2d,
    Dense as Dense,
    Flatten as Flatten,
    MaxPool2d as MaxPool2d,
    Pad2d as Pad2d,
    SumPool2d as SumPool2d,
)
from gxevent.mapping import (
    Chip as Chip,
    Mapping as Mapping,
    load_chip as load_chip,
    load_mapping as load_mapping,
    map_graph as map_graph,
)
from gxevent.mapping.simulate import (
    Simulation as Simulation,
    simulate as simulate,
)
from gxevent.network import TernaryNetwork as TernaryNetwork
from gxevent.runtime import (
    Engine as Engine,
    Result as Result,
    RunRecord as RunRecord,
    Trace as Trace,
    load_run as load_run,
    open_trace as open_trace,
    profile as profile,
    record_run as record_run,
    run_dataset as run_dataset,
)

__version__: str
