"""Step 4 from a placement that is there: swaps and transfers at a price, within one budget for all layers.

The search goes as far as it can in every layer and records its history: each change, what it reached and what it cost.
Where that is more than the budget allows, the first changes are made again, up to that at which each layer should stop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.bounds import lower_bounds
from equipoise.planning.budget import Expense, stops_within
from equipoise.planning.current import Current
from equipoise.planning.effort import NEVER
from equipoise.planning.four_steps import four_steps
from equipoise.planning.homes import ANYWHERE, attainable_peaks
from equipoise.planning.relabelling import relabel
from equipoise.planning.threads import share_out, worthwhile_workers
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.planning.request import Request
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
    home: NDArray[np.int64] | None  # [layers, experts], the node on which each is at home; None where none left it


class Trail(NamedTuple):
    """Where a search ended, and how it came there."""

    slots: NDArray[np.int64]  # [layers, live GPUs, slots per GPU], the expert in each at the end
    relieved: NDArray[np.int64]  # [layers], how many changes were made at a price
    changes: NDArray[np.int64]  # [layers], how many were made in all
    history: History  # [layers, most changes + 2], in units of the mean GPU load; the peak is inf after the last change


def replan(request: Request, start: Placement) -> Found:
    """Search all layers from a placement, and stop each where the budgets, spent where they gain most, are used up."""
    current, cluster = Current(request, start), request.cluster
    gpus = np.bincount(current.node, minlength=cluster.nodes)
    aim = attainable_peaks(current.counts, current.home, gpus, request.off_node) / current.mean
    most = np.full(len(aim), MOST_CHANGES_PER_SLOT * cluster.live_slots)
    trail = _search(current, aim, most, None)
    stuck, afresh = _afresh_instead(current, trail)
    required = trail.history.moves[:, 0].copy()
    stops, declined = _stops(current, trail)
    instead = stops[stuck] > trail.changes[stuck]
    if (stops < trail.changes).any():
        trail = _search(current, aim, stops, trail)
    trail.slots[stuck[instead]] = afresh[instead]
    _repeat_experts(current, trail.slots)
    placement = Placement.on_live(trail.slots, cluster, current.resident.experts)
    if current.planned < cluster.slots_per_gpu:
        placement = _unless_worse(current, placement)
    return Found(placement, required, declined, current.home)


def _search(
    current: Current, aim: NDArray[np.float64], most_changes: NDArray[np.int64], earlier: Trail | None
) -> Trail:
    """Go from the resident placement as far as changes pay, or are allowed; as an earlier search did, if there was one.

    Loads are in units of the mean GPU load of their layer, so that no square of one is too large or too small.
    """
    from equipoise.solver.history import History, empty_histories
    from equipoise.solver.replanning import Start, empty_workspace, replan_layers

    request, scenarios = current.request, current.request.scenarios
    layers, gpus, _ = current.live.shape
    loads = np.ascontiguousarray(np.swapaxes(scenarios.counts / current.mean[:, None], 0, 1))
    weights = np.ascontiguousarray(scenarios.weights.T)
    history = earlier.history if earlier else empty_histories(layers, int(most_changes.max()) + 1)
    known = np.minimum(most_changes, earlier.relieved) if earlier else np.zeros(layers, np.int64)
    slots = np.empty((layers, gpus, request.cluster.slots_per_gpu), np.int64)
    relieved, changes = np.empty(layers, np.int64), np.empty(layers, np.int64)
    rules = _stop_rules(request, aim, known, most_changes)
    off_node = 1.0 if request.soft else np.inf if request.strict else 0.0
    start = Start(current.live, current.held, current.home, current.node, float(current.counts_moves), off_node)

    def begin() -> Callable[[slice], None]:
        work = empty_workspace(
            current.resident.experts, gpus, current.planned, scenarios.windows, request.settings.tries
        )

        def search(part: slice) -> None:
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

        return search

    workers = request.workers or worthwhile_workers(layers * request.cluster.live_slots * SEARCHES_PER_SLOT)
    share_out(layers, min(workers, layers), begin, None if earlier else request.progress)
    return Trail(slots, relieved, changes, history)


def _stop_rules(
    request: Request, aim: NDArray[np.float64], known: NDArray[np.int64], most_changes: NDArray[np.int64]
) -> StopRules:
    """Return where the search of every layer ends; with several windows every change is one of relief."""
    from equipoise.solver.replanning import StopRules

    settings, windows = request.settings, request.scenarios.windows
    good_enough = settings.good_enough if windows == 1 else NEVER
    thresholds = np.array(settings.thresholds if windows > 1 else (0.0,))
    return StopRules(aim * (1 + settings.tolerance), thresholds, aim * (1 + good_enough), known, most_changes)


def _afresh_instead(current: Current, trail: Trail) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Plan the layers afresh whose search ended too high, and enter what that costs as one more change of theirs.

    Returns the layers and their placements ``[layers, gpus, slots per GPU]``, relabelled so that few experts move.
    There are none where GPUs or slots are not what they were, or groups may be served off their node.
    """
    request, cluster = current.request, current.request.cluster
    shape = cluster.gpus, cluster.slots_per_gpu
    comparable = request.scenarios.windows == 1 and current.live.shape[1:] == shape == (
        len(current.gpus),
        current.planned,
    )
    worthwhile = comparable and current.counts_moves and not request.soft
    stuck = _too_high(current, trail) if worthwhile else np.empty(0, np.int64)
    if not stuck.size:
        return stuck, trail.slots[stuck]
    phy2log = four_steps(current.counts[stuck], replace(request, progress=None))
    experts = current.resident.experts
    slots = relabel(phy2log.reshape(trail.slots[stuck].shape), current.live[stuck], experts, request.home_nodes)
    placement = Placement(slots.reshape(phy2log.shape), cluster, experts)
    at = stuck, trail.changes[stuck] + 1
    trail.history.peak[at] = balance(placement, current.counts[stuck]).par[0]
    trail.history.moves[at] = np.count_nonzero(placement.held & ~current.held[stuck], axis=(1, 2))
    return stuck, slots


def _too_high(current: Current, trail: Trail) -> NDArray[np.int64]:
    """Return the layers whose search ended so far above the bound that more is worth trying."""
    end = trail.history.peak[np.arange(len(trail.changes)), trail.changes] * current.mean
    bound = lower_bounds(current.counts, current.request, end)
    return np.flatnonzero(end > bound * (1 + current.request.settings.good_enough))


def _stops(current: Current, trail: Trail) -> tuple[NDArray[np.int64], float | None]:
    """Return after how many changes each layer stops; and the mean PAR reached there, if that is not worth it."""
    points = slice(int(trail.changes.max()) + 2)  # nothing is recorded after these
    peak = trail.history.peak[:, points]
    par = np.where(current.counts.any(axis=1, keepdims=True), peak, np.maximum(peak, 1))
    off_node = trail.history.off_node[:, points] * current.mean[:, None] / (float(current.counts.sum()) or 1.0)

    def stops_with(most_moves: float) -> NDArray[np.int64]:
        expenses = []
        if current.counts_moves:
            expenses.append(Expense(trail.history.moves[:, points].astype(np.float64), most_moves))
        if current.request.soft:
            expenses.append(Expense(off_node, current.request.off_node))
        return stops_within(par, expenses)

    stops = stops_with(current.request.most_moves)
    if not current.request.min_gain:
        return stops, None
    every, stay = np.arange(len(par)), stops_with(0.0)
    offered, least = float(par[every, stops].mean()), float(par[every, stay].mean()) * (1 - current.request.min_gain)
    return (stops, None) if offered <= least or (stops == stay).all() else (stay, offered)


def _repeat_experts(current: Current, slots: NDArray[np.int64]) -> None:
    """Fill slots that were not planned with the experts of their GPU once more: with what was there, or in turn.

    Experts that are off their home node are not repeated, unless the GPU has no others.
    """
    before = current.resident.by_gpu[:, current.gpus]
    for layer, gpu in np.argwhere(slots.min(axis=2) < 0):
        row = slots[layer, gpu]
        experts, free = np.unique(row[row >= 0]), np.flatnonzero(row < 0)
        at_home = experts[np.isin(current.home[layer, experts], (ANYWHERE, current.node[gpu]))]
        experts = at_home if at_home.size else experts
        row[free] = np.resize(experts, len(free))
        free = free[free < before.shape[2]]
        there = before[layer, gpu, free]
        row[free] = np.where(np.isin(there, experts), there, row[free])


def _unless_worse(current: Current, placement: Placement) -> Placement:
    """Return the placement, but a layer as it was if nothing had to change and experts that repeat have made it worse.

    The search knows nothing of slots beyond those that it plans.
    """
    if current.resident.cluster != current.request.cluster:
        return placement
    before, after = (current.request.scenarios.peak(one) for one in (current.resident, placement))
    full = (current.resident.phy2log >= 0).sum(axis=1) == current.request.cluster.live_slots
    only_repeats_gone = (current.live >= 0).sum(axis=(1, 2)) == current.held.sum(axis=(1, 2))
    stays = full & only_repeats_gone & current.resident.logcnt.all(axis=1) & (after > before)
    phy2log = np.where(stays[:, None], current.resident.phy2log, placement.phy2log)
    return Placement(phy2log, current.request.cluster, placement.experts)
