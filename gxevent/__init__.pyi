"""What ``import gxevent as gx`` offers, for type checkers; the names are those of ``__init__.py``."""

from gxevent.compiler import compile as compile
from gxevent.connectivity import Sparse as Sparse
from gxevent.encoder import Encoder as Encoder
from gxevent.errors import (
    CapacityError as CapacityError,
)
from gxevent.errors import (
    CrosscheckError as CrosscheckError,
)
from gxevent.errors import (
    FormatError as FormatError,
)
from gxevent.errors import (
    GxError as GxError,
)
from gxevent.errors import (
    MissingExtraError as MissingExtraError,
)
from gxevent.errors import (
    NetworkError as NetworkError,
)
from gxevent.errors import (
    OptionError as OptionError,
)
from gxevent.errors import (
    ShapeError as ShapeError,
)
from gxevent.errors import (
    UnsupportedError as UnsupportedError,
)
from gxevent.events import (
    EventStream as EventStream,
)
from gxevent.events import (
    open_dataset as open_dataset,
)
from gxevent.events import (
    open_events as open_events,
)
from gxevent.files import (
    load as load,
)
from gxevent.files import (
    load_graph as load_graph,
)
from gxevent.files import (
    load_network as load_network,
)
from gxevent.files import (
    save as save,
)
from gxevent.graph import (
    EventGraph as EventGraph,
)
from gxevent.graph import (
    Population as Population,
)
from gxevent.graph import (
    Projection as Projection,
)
from gxevent.layers import (
    Activation as Activation,
)
from gxevent.layers import (
    Add as Add,
)
from gxevent.layers import (
    AvgPool2d as AvgPool2d,
)
from gxevent.layers import (
    BatchNorm as BatchNorm,
)
from gxevent.layers import (
    Conv2d as Conv2d,
)
from gxevent.layers import (
    Dense as Dense,
)
from gxevent.layers import (
    Flatten as Flatten,
)
from gxevent.layers import (
    MaxPool2d as MaxPool2d,
)
from gxevent.layers import (
    Pad2d as Pad2d,
)
from gxevent.layers import (
    SumPool2d as SumPool2d,
)
from gxevent.network import TernaryNetwork as TernaryNetwork
from gxevent.runtime import (
    Engine as Engine,
)
from gxevent.runtime import (
    Result as Result,
)
from gxevent.runtime import (
    Trace as Trace,
)

__version__: str
