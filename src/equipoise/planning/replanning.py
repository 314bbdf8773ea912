"""Step 4 from a placement that is live: swaps and transfers at a price, within one budget for all layers.

The search goes as far as it can in every layer and notes its course: each change, what it reached, and what it cost.
Where that is more than the budget allows, the course is taken again up to the change at which each layer should stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.bounds import lower_bounds
from equipoise.planning.budget import Expense, stops_within
from equipoise.planning.effort import NEVER
from equipoise.planning.four_steps import plan_afresh
from equipoise.planning.homes import ANYWHERE, attainable_peaks
from equipoise.planning.relabelling import relabel
from equipoise.planning.threads import share_out, worthwhile_workers
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.planning.current import Task
    from equipoise.planning.effort import Settings
    from equipoise.solver.history import Course

# A layer's slots are gone through about so often: for worthwhile_workers.
SEARCHES_PER_SLOT = 20
# Of all that was tried, 1.1 was the most.
MOST_CHANGES_PER_SLOT = 2


class Replanned(NamedTuple):
    """The placement found, and what had to be or was not done."""

    placement: Placement
    required: NDArray[np.int64]  # [layers], moves without which no placement is valid
    declined: float | None  # the mean PAR that was not worth its moves; None where nothing was declined
    home: NDArray[np.int64] | None  # [layers, experts], the node on which each is at home; None where none left it


class Found(NamedTuple):
    """What a search found, and the course that it took."""

    slots: NDArray[np.int64]  # [layers, live GPUs, slots per GPU], the expert in each at the end
    relieved: NDArray[np.int64]  # [layers], how many changes were made at a price
    changes: NDArray[np.int64]  # [layers], how many were made in all
    course: Course  # [layers, most changes + 2], in units of the mean GPU load; the peak is inf after the last change


def replan(
    task: Task, settings: Settings, workers: int | None, progress: Callable[[int, int], None] | None
) -> Replanned:
    """Search all layers, and stop each where the budgets, spent where they gain most, are used up."""
    gpus = np.bincount(task.node, minlength=task.cluster.nodes)
    aim = attainable_peaks(task.counts, task.home, gpus, task.limits.off_node) / task.mean
    most = np.full(len(aim), MOST_CHANGES_PER_SLOT * task.cluster.live_slots)
    found = _search(task, settings, aim, most, None, workers, progress)
    stuck, afresh = _afresh_instead(task, settings, found, workers)
    required = found.course.moves[:, 0].copy()
    stops, declined = _stops(task, found)
    instead = stops[stuck] > found.changes[stuck]
    if (stops < found.changes).any():
        found = _search(task, settings, aim, stops, found, workers, None)
    found.slots[stuck[instead]] = afresh[instead]
    if task.planned == task.cluster.slots_per_gpu:
        return Replanned(_placement(task, found.slots), required, declined, task.home)
    _repeat_experts(task, found.slots)
    return Replanned(_unless_worse(task, _placement(task, found.slots)), required, declined, task.home)


def _search(
    task: Task,
    settings: Settings,
    aim: NDArray[np.float64],
    most_changes: NDArray[np.int64],
    earlier: Found | None,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> Found:
    """Go from the resident placement as far as changes pay, or are allowed; along the course of an earlier search.

    Loads are in units of the mean GPU load of their layer, so that no square of one is too large or too small.
    """
    from equipoise.solver.history import Course, empty_courses
    from equipoise.solver.replanning import Ends, Start, empty_desk, replan_layers

    layers, gpus, _ = task.live.shape
    windows = task.scenarios.windows
    loads = np.ascontiguousarray(np.swapaxes(task.scenarios.counts / task.mean[:, None], 0, 1))
    weights = np.ascontiguousarray(task.scenarios.weights.T)
    course = earlier.course if earlier else empty_courses(layers, int(most_changes.max()) + 1)
    known = np.minimum(most_changes, earlier.relieved) if earlier else np.zeros(layers, np.int64)
    slots = np.empty((layers, gpus, task.cluster.slots_per_gpu), np.int64)
    relieved, changes = np.empty(layers, np.int64), np.empty(layers, np.int64)
    worth = settings.worth if windows == 1 else NEVER
    heights = np.array(settings.heights if windows > 1 else (0.0,))
    ends = Ends(aim * (1 + settings.tolerance), heights, aim * (1 + worth), known, most_changes)
    off_node = 1.0 if task.soft else np.inf if task.home_nodes > 1 else 0.0
    prices = float(task.limits.counts_moves), off_node

    def begin() -> Callable[[slice], None]:
        desk = empty_desk(task.resident.experts, gpus, task.planned, windows, settings.tries)

        def work(part: slice) -> None:
            start = Start(task.live[part], task.held[part], task.home[part], task.node, *prices)
            till = Ends(ends.aim[part], heights, ends.worth[part], ends.known[part], ends.changes[part])
            notes = Course(course.change[part], course.peak[part], course.moves[part], course.off_node[part])
            replan_layers(
                loads[part], weights[part], start, till, desk, notes, relieved[part], changes[part], slots[part]
            )

        return work

    workers = workers or worthwhile_workers(layers * task.cluster.live_slots * SEARCHES_PER_SLOT)
    share_out(layers, min(workers, layers), begin, progress)
    return Found(slots, relieved, changes, course)


def _afresh_instead(
    task: Task, settings: Settings, found: Found, workers: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Plan the layers afresh whose search ended too high, and enter what that costs as one more change of theirs.

    Returns the layers and their placements ``[layers, gpus, slots per GPU]``, relabelled so that few experts move.
    There are none where GPUs or slots are not what they were, or groups may be served off their node.
    """
    shape = task.cluster.gpus, task.cluster.slots_per_gpu
    comparable = task.scenarios.windows == 1 and task.live.shape[1:] == shape == (len(task.gpus), task.planned)
    worthwhile = comparable and task.limits.counts_moves and not task.soft
    stuck = _too_high(task, settings, found) if worthwhile else np.empty(0, np.int64)
    if not stuck.size:
        return stuck, found.slots[stuck]
    phy2log = plan_afresh(task.counts[stuck], task.cluster, task.groups, settings, workers)
    slots = relabel(phy2log.reshape(found.slots[stuck].shape), task.live[stuck], task.resident.experts, task.home_nodes)
    placement = Placement(slots.reshape(phy2log.shape), task.cluster, task.resident.experts)
    at = stuck, found.changes[stuck] + 1
    found.course.peak[at] = balance(placement, task.counts[stuck]).par[0]
    found.course.moves[at] = np.count_nonzero(placement.held & ~task.held[stuck], axis=(1, 2))
    return stuck, slots


def _too_high(task: Task, settings: Settings, found: Found) -> NDArray[np.int64]:
    """Return the layers whose search ended so far above the bound that more is worth trying."""
    end = found.course.peak[np.arange(len(found.changes)), found.changes] * task.mean
    bound = lower_bounds(task.counts, task.cluster, task.groups, end, settings.tolerance)
    return np.flatnonzero(end > bound * (1 + settings.worth))


def _stops(task: Task, found: Found) -> tuple[NDArray[np.int64], float | None]:
    """Return after how many changes each layer stops; and the mean PAR reached there, if that is not worth it."""
    points = slice(int(found.changes.max()) + 2)  # nothing is noted after these
    peak = found.course.peak[:, points]
    par = np.where(task.counts.any(axis=1, keepdims=True), peak, np.maximum(peak, 1))
    off_node = found.course.off_node[:, points] * task.mean[:, None] / (float(task.counts.sum()) or 1.0)

    def stops_with(most_moves: float) -> NDArray[np.int64]:
        expenses = []
        if task.limits.counts_moves:
            expenses.append(Expense(found.course.moves[:, points].astype(np.float64), most_moves))
        if task.soft:
            expenses.append(Expense(off_node, task.limits.off_node))
        return stops_within(par, expenses)

    stops = stops_with(task.limits.most_moves)
    if not task.limits.min_gain:
        return stops, None
    every, stay = np.arange(len(par)), stops_with(0.0)
    offered, least = float(par[every, stops].mean()), float(par[every, stay].mean()) * (1 - task.limits.min_gain)
    return (stops, None) if offered <= least or (stops == stay).all() else (stay, offered)


def _placement(task: Task, slots: NDArray[np.int64]) -> Placement:
    """Return the placement with these experts on the live GPUs, and nothing on the dead ones."""
    everywhere = np.full((len(slots), task.cluster.gpus, slots.shape[2]), -1)
    everywhere[:, task.gpus] = slots
    return Placement(everywhere.reshape(len(slots), -1), task.cluster, task.resident.experts)


def _repeat_experts(task: Task, slots: NDArray[np.int64]) -> None:
    """Fill slots that were not planned with the experts of their GPU once more: with what was there, or in turn.

    Experts that are off their home node are not repeated, unless the GPU has no others.
    """
    before = task.resident.phy2log.reshape(len(slots), task.cluster.gpus, -1)[:, task.gpus]
    for layer, gpu in np.argwhere(slots.min(axis=2) < 0):
        row = slots[layer, gpu]
        experts, free = np.unique(row[row >= 0]), np.flatnonzero(row < 0)
        at_home = experts[np.isin(task.home[layer, experts], (ANYWHERE, task.node[gpu]))]
        experts = at_home if at_home.size else experts
        row[free] = np.resize(experts, len(free))
        free = free[free < before.shape[2]]
        there = before[layer, gpu, free]
        row[free] = np.where(np.isin(there, experts), there, row[free])


def _unless_worse(task: Task, placement: Placement) -> Placement:
    """Return the placement, but a layer as it was if nothing had to change and experts that repeat have made it worse.

    The search knows nothing of slots beyond those that it plans.
    """
    if task.resident.cluster != task.cluster:
        return placement
    before, after = (task.scenarios.peak(one) for one in (task.resident, placement))
    full = (task.resident.phy2log >= 0).sum(axis=1) == task.cluster.live_slots
    only_repeats_gone = (task.live >= 0).sum(axis=(1, 2)) == task.held.sum(axis=(1, 2))
    stays = full & only_repeats_gone & task.resident.logcnt.all(axis=1) & (after > before)
    phy2log = np.where(stays[:, None], task.resident.phy2log, placement.phy2log)
    return Placement(phy2log, task.cluster, placement.experts)
