"""What the benchmark asks of every planner, and Equipoise's answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from equipoise import Cluster, Placement, plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from equipoise.placement import Locality
    from equipoise.planning.effort import Effort


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
        """Return a new copy of the loads ``[layers, experts]``, and of what else the planner is told; not timed."""

    def run(self, loads: Any, cluster: Cluster, groups: int) -> Answer:
        """Plan; timed."""


@dataclass(frozen=True)
class Limits:
    """What a plan of Equipoise is held to: arguments of ``plan()``.

    Attributes
    ----------
    max_moves : float
        As a share of the live slots.
    off_node : float
        As a share of the load.
    """

    locality: Locality | None = None
    max_moves: float | None = None
    off_node: float | None = None

    def __str__(self) -> str:
        given = (f"{name}={value}" for name, value in asdict(self).items() if value is not None)
        return ", ".join(given) or "no limit"


@dataclass(frozen=True)
class Equipoise:
    """Equipoise at one effort, from a live placement if there is one, within limits."""

    effort: Effort
    live: Placement | None = None
    limits: Limits = field(default=Limits())

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"equipoise {self.effort}"

    def fresh(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Placement | None]:
        """Return a new array and a new placement, of which nothing has been worked out yet."""
        live = self.live and Placement(self.live.phy2log.copy(), self.live.cluster, self.live.experts)
        return counts.copy(), live

    def run(self, loads: tuple[NDArray[np.int64], Placement | None], cluster: Cluster, groups: int) -> Answer:
        """Plan from counts, checks of the input and bounds included."""
        counts, live = loads
        result = plan(counts, cluster, groups=groups, current=live, effort=self.effort, **asdict(self.limits))
        return Answer(result.placement.phy2log, result.bound)
