"""Step 4 from a placement that is there: swaps and transfers at a price, within one budget for all layers.

The search goes as far as it can in every layer and records its history: each change, what it reached and what it cost.
Where that is more than the budget allows, the first changes are made again, up to that at which each layer should stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.budget import Expense, stops_within
from equipoise.planning.domains import domains_of
from equipoise.planning.effort import NEVER
from equipoise.planning.homes import attainable_peaks
from equipoise.solver.threads import share_out, worthwhile_workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.planning.current import Current
    from equipoise.planning.request import Progress
    from equipoise.solver.history import History
    from equipoise.solver.replanning import StopRules

# A layer's slots are gone through about so often: for worthwhile_workers.
SEARCHES_PER_SLOT = 20
# Of all that was tried, 1.1 was the most.
MOST_CHANGES_PER_SLOT = 2


class Found(NamedTuple):
    """The placement found, and what had to be or was not done."""

    placement: Placement
    required: NDArray[np.int64]  # [layers], moves without which no placement is valid
    declined: float | None  # the mean PAR that was not worth its moves; None where nothing was declined
    home: NDArray[np.int64]  # [layers, experts], the node on which each is at home; -1 where none may leave it, or all

    def of_layers(self, layers: NDArray[np.int64]) -> Found:
        """Return what was found for some of the layers."""
        placement = Placement(self.placement.phy2log[layers], self.placement.cluster, self.placement.experts)
        return Found(placement, self.required[layers], self.declined, self.home[layers])


class Trail(NamedTuple):
    """Where a search ended, and how it came there."""

    slots: NDArray[np.int64]  # [layers, live GPUs, slots per GPU], the expert in each at the end
    relieved: NDArray[np.int64]  # [layers], how many changes were made at a price
    changes: NDArray[np.int64]  # [layers], how many were made in all
    history: History  # [layers, most changes + 1], in units of the mean GPU load; the peak is inf after the last change


IDLE = 0.0  # the PAR of a layer without load, which gains nothing and counts in no mean


class Points(NamedTuple):
    """What the layers reach and cost at each point where they may end; the first costs what cannot be saved."""

    par: NDArray[np.float64]  # [layers, points], inf where there is no such point
    moves: NDArray[np.float64]  # [layers, points]
    off_node: NDArray[np.float64]  # [layers, points], load served off its home node, as a share of that of all layers

    @property
    def number(self) -> int:
        """How many there are for each layer, the missing ones among them."""
        return len(self.par[0])

    def mean_par(self, stops: NDArray[np.int64]) -> float:
        """Return the mean PAR of layers with load that end there; stops: int64 ``[layers]``."""
        par = self.par[np.arange(len(stops)), stops]
        return float(par[par > 0].mean()) if par.any() else 1.0

    @classmethod
    def of(cls, current: Current, trail: Trail) -> Points:
        """Return those of a search: after none of its changes, after one, and so on."""
        points = slice(int(trail.changes.max()) + 1)  # nothing is recorded after these
        peak = trail.history.peak[:, points]
        par = np.where(current.counts.any(axis=1, keepdims=True) | np.isinf(peak), peak, IDLE)
        moves = trail.history.moves[:, points].astype(np.float64)
        return cls(par, moves, current.share_of_all(trail.history.off_node[:, points] * current.mean[:, None]))

    def expenses(self, current: Current, most_moves: float) -> list[Expense]:
        """Return what uses up a budget: moves from what is live, and load served off its home node."""
        request = current.request
        moves = [Expense(self.moves, most_moves)] if current.counts_moves else []
        return [*moves, Expense(self.off_node, request.off_node)] if request.soft else moves

    @classmethod
    def joined(cls, ways: list[Points]) -> Points:
        """Return the points of several ways, one way after the other."""
        return cls(*(np.concatenate(column, axis=1) for column in zip(*ways, strict=True)))


def search(current: Current, progress: Progress | None) -> Trail:
    """Go from the resident placement as far as changes pay."""
    most = np.full(len(current.counts), MOST_CHANGES_PER_SLOT * current.request.cluster.live_slots)
    return _search(current, most, None, progress)


def no_search(current: Current) -> Trail:
    """Fill what is empty, and stay there."""
    return _search(current, np.zeros(len(current.counts), np.int64))


def stopped(current: Current, trail: Trail, stops: NDArray[np.int64]) -> Trail:
    """Go the way of a search once more, up to where each layer should stop."""
    return _search(current, stops, trail) if (stops < trail.changes).any() else trail


def affordable_stops(current: Current, ways: list[Points], most_moves: float) -> NDArray[np.int64]:
    """Return at which point of all ways each layer ends, int64 ``[layers]``: one way's points after the other's.

    One rate for moves and load off home may pass by what fewer ways offer, so that these are tried by themselves too.
    """
    some = [Points.joined(ways[:number]) for number in range(1, len(ways) + 1)]
    found = [stops_within(points.par, points.expenses(current, most_moves)) for points in some]
    points = some[-1]
    at_the_end = np.full(len(points.par), points.number - 1)
    if all(e.allows(at_the_end) for e in points.expenses(current, most_moves)):
        found.append(at_the_end)
    return min(found, key=points.mean_par)


def _search(
    current: Current, most_changes: NDArray[np.int64], earlier: Trail | None = None, progress: Progress | None = None
) -> Trail:
    """Search every layer, or make the changes of an earlier search again, as far as changes are allowed.

    Loads are in units of the mean GPU load of their layer, so that no square of one is too large or too small.
    """
    from equipoise.solver.history import History, empty_histories
    from equipoise.solver.replanning import Start, empty_workspace, replan_layers

    request, scenarios = current.request, current.request.scenarios
    layers, gpus, _ = current.live.shape
    loads = np.ascontiguousarray(np.swapaxes(scenarios.counts / current.mean[:, None], 0, 1))
    weights = scenarios.weights.T.copy()  # never read-only, which would be another type to compile for
    history = earlier.history if earlier else empty_histories(layers, int(most_changes.max()) + 1)
    known = np.minimum(most_changes, earlier.relieved) if earlier else np.zeros(layers, np.int64)
    slots = np.empty((layers, gpus, request.cluster.slots_per_gpu), np.int64)
    relieved, changes = np.empty(layers, np.int64), np.empty(layers, np.int64)
    rules = _stop_rules(current, known, most_changes)
    off_node = 1.0 if request.soft else np.inf if request.strict else 0.0
    start = Start(current.live, current.held, current.home, current.node, float(current.counts_moves), off_node)

    def begin() -> Callable[[slice], None]:
        sizes = scenarios.experts, gpus, current.planned, scenarios.windows
        domain = domains_of(request.cluster, request.across) if request.across == "nodes" else None
        work = empty_workspace(*sizes, request.settings.tries, request.min_replicas, domain)

        def search_part(part: slice) -> None:
            begun = start._replace(live=start.live[part], held=start.held[part], home=start.home[part])
            till = rules._replace(
                aim=rules.aim[part],
                good_enough=rules.good_enough[part],
                known=rules.known[part],
                changes=rules.changes[part],
            )
            recorded = History(history.change[part], history.peak[part], history.moves[part], history.off_node[part])
            ends = relieved[part], changes[part], slots[part]
            replan_layers(loads[part], weights[part], begun, till, work, recorded, *ends)

        return search_part

    workers = request.workers or worthwhile_workers(layers * request.cluster.live_slots * SEARCHES_PER_SLOT)
    share_out(layers, min(workers, layers), begin, progress)
    return Trail(slots, relieved, changes, history)


def _stop_rules(current: Current, known: NDArray[np.int64], most_changes: NDArray[np.int64]) -> StopRules:
    """Return where the search of every layer ends; with several windows every change is one of relief."""
    from equipoise.solver.replanning import StopRules

    request, settings = current.request, current.request.settings
    gpus = np.bincount(current.node, minlength=request.cluster.nodes)
    aim = attainable_peaks(current.counts, current.home, gpus, request.off_node) / current.mean
    several = request.scenarios.windows > 1
    good_enough = NEVER if several else settings.good_enough
    thresholds = np.array(settings.thresholds if several else (0.0,))
    return StopRules(aim * (1 + settings.tolerance), thresholds, aim * (1 + good_enough), known, most_changes)
