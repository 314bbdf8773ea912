"""What the benchmark asks of every planner, and Equipoise's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from equipoise import Cluster, plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from equipoise.planner import Effort


@dataclass(frozen=True)
class Answer:
    """A placement, int64 ``[layers, slots]``, and a proven bound on each layer's peak if one is given."""

    phy2log: NDArray[np.int64]
    bound: NDArray[np.float64] | None = None


class Planner(Protocol):
    """A planner under test."""

    @property
    def name(self) -> str:
        """Name in the table."""

    def fresh(self, counts: NDArray[np.int64]) -> Any:
        """Return a new copy of the loads ``[layers, experts]`` in the form the planner takes; not timed."""

    def run(self, loads: Any, cluster: Cluster, groups: int) -> Answer:
        """Plan; timed."""


@dataclass(frozen=True)
class Equipoise:
    """Equipoise at one effort."""

    effort: Effort

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"equipoise {self.effort}"

    def fresh(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a new array."""
        return counts.copy()

    def run(self, loads: NDArray[np.int64], cluster: Cluster, groups: int) -> Answer:
        """Plan from counts, checks of the input and bounds included."""
        result = plan(loads, cluster, groups=groups, effort=self.effort)
        return Answer(result.placement.phy2log, result.bound)
