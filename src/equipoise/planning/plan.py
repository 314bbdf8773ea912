"""Plan: what was planned, what it reaches and costs, and how close to the best possible that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from equipoise.loads import Loads
from equipoise.migration.migration import count_moves
from equipoise.placement import Placement
from equipoise.planning.bounds import bounds_by_locality
from equipoise.planning.budget import ROUNDING
from equipoise.planning.domains import refuse_short
from equipoise.planning.finding import find
from equipoise.planning.homes import homes, off_node_load
from equipoise.planning.spares import primaries_over
from equipoise.timing.time_saved import TimeSaved, time_saved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Locality
    from equipoise.planning.forecast import Forecast
    from equipoise.planning.request import PlannedRouting, Request
    from equipoise.planning.scenarios import Scenarios
    from equipoise.planning.searching import Found
    from equipoise.timing.batch import Batch


@dataclass(frozen=True, eq=False)
class Plan:
    """A placement, what it reaches and costs, and how close to the best possible that is.

    Attributes
    ----------
    request : Request
        What was asked, and is planned for.
    forecast : Forecast
        What was expected to come, and why.
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
        load off its home node, in any window, than this one does. Only "none" where there are no groups.
    required : ndarray, int64 ``[layers]``
        Moves made even where none is allowed, so that the placement is valid: into slots that were empty, of experts
        that lived nowhere or farther from home than locality allows.
    lost : ndarray, int64 ``[n, 2]``
        Layer and expert of those that no GPU holds but dead ones: their weights must come from disk.
    declined : float or None
        The mean PAR that was within reach, where ``min_gain`` made the planner leave everything as it was.
    routing : "even" or "filled"
        How replicas will share their load, which all peaks and PARs go by.
    """

    request: Request
    forecast: Forecast
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
    routing: PlannedRouting = "even"

    @classmethod
    def of(cls, request: Request, expected: Forecast, found: Found) -> Plan:
        """Return what a placement that was found reaches and costs, once it has been checked."""
        scenarios, current = expected.scenarios, request.current
        placement = replace(
            found.placement,
            groups=request.groups,
            locality=request.locality,
            off_node=request.off_node,
            decoder_layers=request.decoder_layers,
        )
        placement.validate()
        if request.min_replicas > 1:
            refuse_short(placement, request.min_replicas, request.across)
        home = _home(request, found)
        off = off_node_load(placement, scenarios.mean, home, request.routing)
        total = scenarios.mean.sum(axis=1)
        return cls(
            request=replace(request, progress=None),
            forecast=expected,
            placement=placement,
            before=_default(request) if current is None else current,
            peak=scenarios.peak(placement, request.routing),
            mean=total / len(request.cluster.live),
            locality=request.locality,
            off_node=np.divide(off, total, out=np.zeros_like(off), where=off > 0),
            bounds=bounds_by_locality(request, placement, home),
            required=found.required,
            lost=np.empty((0, 2), np.int64) if current is None else _lost(current, request),
            declined=found.declined,
            routing=request.routing,
        )

    @property
    def scenarios(self) -> Scenarios:
        """What was planned for."""
        return self.forecast.scenarios

    @property
    def bound(self) -> NDArray[np.float64]:
        """Proven lower limit on the peak of any placement that the settings allow, ``[layers]``."""
        return self.bounds[self.locality]

    @property
    def par(self) -> NDArray[np.float64]:
        """Peak / mean, ``[layers]``: 1 is perfect, and what an idle layer has."""
        return self.times_mean(self.peak)

    @cached_property
    def par_before(self) -> NDArray[np.float64]:
        """PAR with the placement ``before``, of what its GPUs would serve, ``[layers]``."""
        return self.scenarios.par(self.before, self.routing)

    @cached_property
    def par_without_min_replicas(self) -> NDArray[np.float64]:
        """PAR that a plan for the same reaches where one replica of an expert is enough, ``[layers]``.

        Planned when first asked for.
        """
        if self.request.min_replicas == 1:
            return self.par
        without = find(replace(self.request, min_replicas=1, across="gpus"))
        return self.times_mean(self.scenarios.peak(without.placement, self.routing))

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

    @cached_property
    def moves(self) -> NDArray[np.int64]:
        """Experts that a GPU needs and did not hold ``before``, int64 ``[layers]``."""
        return count_moves(self.before, self.placement)

    @property
    def off_node_share(self) -> float:
        """Share of the load of all layers that is served off its group's home node."""
        return float(np.average(self.off_node, weights=self.mean)) if self.mean.any() else 0.0

    @property
    def off_node_excess(self) -> float:
        """By how much that is more than was asked for: where the slots of live GPUs at home leave no other choice."""
        excess = self.off_node_share - self.placement.off_node
        return excess if excess > ROUNDING else 0.0

    @property
    def moved_share(self) -> float:
        """All moves as a share of the live slots of layers with load."""
        slots = np.count_nonzero(self.mean) * self.placement.cluster.live_slots
        return float(self.moves.sum() / (slots or self.placement.live_slots))

    @property
    def primaries_over(self) -> NDArray[np.int64]:
        """How many primaries the fullest GPU has beyond what one must have at least, int64 ``[layers]``."""
        nodes = self.placement.cluster.nodes if self.locality == "strict" else 1
        return primaries_over(self.placement, nodes)

    def time_saved(self, batch: Batch) -> TimeSaved:
        """Return what a layer takes with the placement ``before`` and with this one, under what was planned for."""
        loads, weights = Loads(self.scenarios.counts), self.scenarios.weights
        return time_saved((self.before, self.placement), loads, batch, self.routing, weights)

    def mean_of(self, values: NDArray[np.float64]) -> float:
        """Return the mean of values ``[layers]`` over the layers with load; over all where none has any."""
        busy = self.mean > 0
        return float(values[busy].mean() if busy.any() else values.mean())

    def times_mean(self, load: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a load ``[layers]`` in units of the mean GPU load; 1 for idle layers."""
        return np.divide(load, self.mean, out=np.ones_like(load), where=self.mean > 0)


def _default(request: Request) -> Placement:
    """Return the engines' default layout, of when no GPU was dead."""
    return Placement.default(replace(request.cluster, dead=()), request.loads.experts, request.loads.layers)


def _home(request: Request, found: Found) -> NDArray[np.int64]:
    """Return the node on which each expert is at home, int64 ``[layers, experts]``; -1 where none can be off it."""
    if request.soft:
        return found.home
    groups = 1 if request.locality == "strict" else request.groups
    return homes(found.placement, groups, request.expected.mean)


def _lost(current: Placement, request: Request) -> NDArray[np.int64]:
    """Return layer and expert of those that only dead GPUs hold, or none; GPUs that leave can still send theirs."""
    dead = [gpu for gpu in request.cluster.dead if gpu < current.cluster.gpus]
    return np.argwhere(~np.delete(current.held, dead, axis=1).any(axis=1))
