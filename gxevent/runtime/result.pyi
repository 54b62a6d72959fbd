"""The compiled ``gxevent.core._runner.Result``, for type checkers."""

import numpy as np
from numpy.typing import NDArray

from gxevent.runtime.counts import Counts

class Result:
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def accumulators(self) -> NDArray[np.int32]: ...
    @property
    def latency_ns(self) -> NDArray[np.int64]: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def predictions(self) -> NDArray[np.int64]: ...
