"""Ways from what is live to another placement: by a search, change by change, or to a plan made afresh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.afresh import plan_afresh
from equipoise.planning.bounds import lower_bounds
from equipoise.planning.homes import ANYWHERE, homes, off_node_load
from equipoise.planning.relabelling import relabel
from equipoise.planning.scenarios import Scenarios
from equipoise.planning.searching import Points, search, stopped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.planning.current import Current
    from equipoise.planning.request import Progress, Request
    from equipoise.planning.searching import Found, Trail

# Of several windows, or with soft locality, all layers are planned afresh or none, which takes as long as a plan from
# nothing. That is tried where at least so large a share of the live slots may move; where homes may be out of date,
# which no search changes, from less on.
WORTHWHILE_SHARE = 0.25
WORTHWHILE_SHARE_IF_SOFT = 0.05
# Of one window, a layer this close to its bound is not, whatever the effort.
LEAST_GAP = 1e-3


@dataclass(frozen=True, eq=False)
class Search:
    """The way of a search from what stays where it is: a layer may end after any of its changes."""

    current: Current
    progress: Progress | None

    @cached_property
    def trail(self) -> Trail:
        """Where it ended."""
        return search(self.current, self.progress)

    @cached_property
    def points(self) -> Points:
        """The points where layers may end; where experts repeat, which no search knows of, the first and the last."""
        points, every = Points.of(self.current, self.trail), np.arange(len(self.current.counts))
        if self.current.planned == self.current.request.cluster.slots_per_gpu:
            return points
        par, off_node = np.full_like(points.par, np.inf), points.off_node.copy()
        for stops in (np.zeros_like(self.trail.changes), self.trail.changes):
            placement = self.current.placed(self.ends_at(stops))
            peak = self.current.request.scenarios.peak(placement) / self.current.mean
            par[every, stops] = np.where(self.current.counts.any(axis=1), peak, 1.0)
            off_node[every, stops] = self.current.share_of_all(off_node_load(placement, self.current.counts, self.home))
        return points._replace(par=par, off_node=off_node)

    @property
    def reached(self) -> NDArray[np.float64]:
        """The PAR of each layer at its end, float64 ``[layers]``."""
        return self.points.par[np.arange(len(self.trail.changes)), self.trail.changes]

    @property
    def home(self) -> NDArray[np.int64]:
        """The node on which each expert is at home, int64 ``[layers, experts]``."""
        return self.current.home

    def ends_at(self, stops: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slots of layers that end after so many changes, int64 ``[layers, GPUs, slots per GPU]``."""
        return stopped(self.current, self.trail, stops).slots


@dataclass(frozen=True, eq=False)
class Anew:
    """The way to a plan made afresh, GPUs named so that few experts move: a layer ends there or nowhere.

    Attributes
    ----------
    slots : ndarray, int64 ``[layers, GPUs, slots per GPU]``
        The expert in each slot.
    home : ndarray, int64 ``[layers, experts]``
        The node on which each is at home.
    points : Points
        One for each layer.
    """

    slots: NDArray[np.int64]
    home: NDArray[np.int64]
    points: Points

    @classmethod
    def instead(cls, current: Current, par: NDArray[np.float64]) -> Anew | None:
        """Plan layers afresh, where that may be better; None where it is not.

        par: float64 ``[layers]``, what is reached without.
        """
        layers = _worth_planning(current, par)
        if layers.size == 0:
            return None
        asked = _of_layers(current.request, layers)
        planned = plan_afresh(asked)
        reached = asked.scenarios.peak(planned.placement) / current.mean[layers]
        # Renaming GPUs takes long, and changes no peak.
        better = np.flatnonzero((reached < par[layers]) | current.request.soft)
        if better.size == 0:
            return None
        return cls._renamed(current, layers[better], planned.of_layers(better), reached[better])

    @classmethod
    def _renamed(cls, current: Current, layers: NDArray[np.int64], planned: Found, par: NDArray[np.float64]) -> Anew:
        """Name the GPUs of these layers so that few experts move."""
        request, every = current.request, len(current.counts)
        slots, home = _named(planned, current.once[layers], request)
        placement = Placement.on_live(slots, request.cluster, current.resident.experts)
        if not request.soft:
            home = homes(placement, request.bound_groups, current.counts[layers])
        held = placement.held[:, current.gpus]
        points = Points(*(np.full((every, 1), nowhere) for nowhere in (np.inf, 0.0, 0.0)))
        points.par[layers, 0] = par
        points.moves[layers, 0] = np.count_nonzero(held & ~current.held[layers], axis=(1, 2))
        points.off_node[layers, 0] = current.share_of_all(off_node_load(placement, current.counts[layers], home))
        all_slots, all_homes = np.full((every, *slots.shape[1:]), -1), current.home.copy()
        all_slots[layers], all_homes[layers] = slots, home
        return cls(all_slots, all_homes, points)

    def ends_at(self, stops: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slots of the layers, int64 ``[layers, GPUs, slots per GPU]``."""
        return self.slots


def _worth_planning(current: Current, par: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the layers that may be better afresh: of one window, those that ended far above the bound."""
    request, busy = current.request, current.counts.any(axis=1)
    if request.scenarios.windows == 1 and not request.soft:
        reached, settings = par * current.mean * busy, request.settings
        enough = min(settings.good_enough, max(settings.tolerance, LEAST_GAP))
        return np.flatnonzero(reached > lower_bounds(current.counts, request, reached) * (1 + enough))
    share = WORTHWHILE_SHARE_IF_SOFT if request.soft else WORTHWHILE_SHARE
    return np.flatnonzero(busy & (request.most_moves >= share * len(par) * request.cluster.live_slots))


def _named(planned: Found, live: NDArray[np.int64], request: Request) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots of a plan's live GPUs under other names, and homes on nodes under other names.

    Where GPUs are dead, nodes are no longer alike, and GPUs that must stay on theirs keep their names.
    """
    cluster, nodes = request.cluster, request.cluster.nodes if request.across == "nodes" else request.home_nodes
    slots = planned.placement.by_gpu[:, list(cluster.live)]
    if nodes == 1:
        return relabel(slots, live, planned.placement.experts, nodes).slots, planned.home
    if cluster.dead:
        return slots, planned.home
    slots, number = relabel(slots, live, planned.placement.experts, nodes)
    node = number[:, :: cluster.gpus_per_node] // cluster.gpus_per_node
    return slots, np.where(planned.home == ANYWHERE, ANYWHERE, np.take_along_axis(node, planned.home, axis=1))


def _of_layers(request: Request, layers: NDArray[np.int64]) -> Request:
    """Return what is asked of a plan from nothing for some of the layers."""
    scenarios = request.scenarios
    if len(layers) < scenarios.layers:
        scenarios = Scenarios(scenarios.counts[:, layers], scenarios.weights[:, layers])
    return replace(request, loads=scenarios, current=None, most_moves=np.inf, min_gain=0.0, progress=None)
