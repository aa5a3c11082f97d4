# The part of OR-tools that the project uses; the types that it ships are wrong about numpy.

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

class SimpleMinCostFlow:
    class Status(IntEnum):
        OPTIMAL = ...

    OPTIMAL: Status

    def add_arcs_with_capacity_and_unit_cost(
        self,
        tails: NDArray[np.int32],
        heads: NDArray[np.int32],
        capacities: NDArray[np.int64],
        unit_costs: NDArray[np.int64],
    ) -> NDArray[np.int32]: ...
    def set_nodes_supplies(self, nodes: NDArray[np.int32], supplies: NDArray[np.int64]) -> None: ...
    def solve(self) -> Status: ...
    def flows(self, arcs: NDArray[np.int32]) -> NDArray[np.int64]: ...
