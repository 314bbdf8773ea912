"""Plan: what was planned, what it reaches and costs, and how close to the best possible that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.loads import Loads
from equipoise.migration.migration import count_moves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement
    from equipoise.planning.homes import Locality
    from equipoise.planning.scenarios import Scenarios


@dataclass(frozen=True, eq=False)
class Plan:
    """A placement, what it reaches and costs, and how close to the best possible that is.

    Attributes
    ----------
    scenarios : Scenarios
        What was planned for.
    placement : Placement
        Where every expert is to live.
    before : Placement
        What moves are counted from: the current placement, or the engines' default layout where none was given.
    peak : ndarray, float64 ``[layers]``
        Largest GPU load under the loads planned for, in their unit; the mean over the windows where there are several.
    mean : ndarray, float64 ``[layers]``
        Mean GPU load.
    locality : "strict", "soft" or "none"
        Whether groups were kept on their nodes; "none" where there are no groups.
    off_node : ndarray, float64 ``[layers]``
        Share of the load that is served off its group's home node.
    bounds : dict of ndarray, float64 ``[layers]``
        For each locality, a proven lower limit on the peak of any placement; for "soft", of one that serves no more
        load off its home node than this one does. Only "none" where there are no groups.
    required : ndarray, int64 ``[layers]``
        Moves without which there is no valid placement: into slots that were empty, or of experts that lived nowhere.
    lost : ndarray, int64 ``[n, 2]``
        Layer and expert of those that no GPU holds but dead ones: their weights must come from disk.
    declined : float or None
        The mean PAR that was within reach, where ``min_gain`` made the planner leave everything as it was.
    """

    scenarios: Scenarios
    placement: Placement
    before: Placement
    peak: NDArray[np.float64]
    mean: NDArray[np.float64]
    locality: Locality
    off_node: NDArray[np.float64]
    bounds: dict[Locality, NDArray[np.float64]]
    required: NDArray[np.int64]
    lost: NDArray[np.int64]
    declined: float | None

    @property
    def bound(self) -> NDArray[np.float64]:
        """Proven lower limit on the peak of any placement that the settings allow, ``[layers]``."""
        return self.bounds[self.locality]

    @property
    def par(self) -> NDArray[np.float64]:
        """Peak / mean, ``[layers]``: 1 is perfect, and what an idle layer has."""
        return self.times_mean(self.peak)

    @property
    def par_before(self) -> NDArray[np.float64]:
        """PAR with the placement ``before``, of what its GPUs would serve, ``[layers]``."""
        return self.scenarios.par(self.before)

    @property
    def bound_on_par(self) -> NDArray[np.float64]:
        """Bound / mean, ``[layers]``: no placement that the settings allow has a lower PAR."""
        return self.times_mean(self.bound)

    @property
    def loads(self) -> Loads:
        """The loads planned for, in one window: the mean of the scenarios."""
        return Loads(self.scenarios.mean)

    @property
    def gap(self) -> NDArray[np.float64]:
        """Peak / bound - 1, ``[layers]``: what any better plan could gain at most."""
        return np.divide(self.peak, self.bound, out=np.ones_like(self.peak), where=self.bound > 0) - 1

    @property
    def moves(self) -> NDArray[np.int64]:
        """Experts that a GPU needs and did not hold ``before``, int64 ``[layers]``."""
        return count_moves(self.before, self.placement)

    def times_mean(self, load: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a load ``[layers]`` in units of the mean GPU load; 1 for idle layers."""
        return np.divide(load, self.mean, out=np.ones_like(load), where=self.mean > 0)
