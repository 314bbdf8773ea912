"""plan(): from expert loads to a placement, and the proof of how good it is.

Every layer is planned by itself, in four steps, each a file of :mod:`equipoise.solver`:

1. **group**: expert groups to nodes, so that the largest node load is least;
2. **replicate**: replica counts, each further replica to the expert whose replicas are the heaviest;
3. **pack**: replicas to GPUs, heaviest first, each to the least loaded GPU that can take it;
4. **refine**: swap replicas of the peak GPU and transfer replicas from cold experts to hot ones, while the peak falls.

From a placement that is live, step 4 alone leads to a better one with few moves; and from a placement whose groups are
each on one node it leads, where they may be served elsewhere too, to one that is balanced across the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.afresh import plan_afresh
from equipoise.balance import balance
from equipoise.bounds import lower_bounds
from equipoise.checks import checked
from equipoise.effort import SETTINGS, Effort, Settings
from equipoise.loads import Loads
from equipoise.locality import Locality, homes, off_node_load
from equipoise.migration import count_moves
from equipoise.placement import Placement
from equipoise.replanning import Replanned, replan
from equipoise.scenarios import Scenarios
from equipoise.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    import plotly.graph_objects as go
    from numpy.typing import ArrayLike, NDArray

    from equipoise.cluster import Cluster
    from equipoise.report.plan_figure import Of


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
        return self._times_mean(self.peak)

    @property
    def par_before(self) -> NDArray[np.float64]:
        """PAR with the placement ``before``, of what its GPUs would serve, ``[layers]``."""
        return self.scenarios.par(self.before)

    @property
    def bound_on_par(self) -> NDArray[np.float64]:
        """Bound / mean, ``[layers]``: no placement that the settings allow has a lower PAR."""
        return self._times_mean(self.bound)

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

    def _times_mean(self, load: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(load, self.mean, out=np.ones_like(load), where=self.mean > 0)

    def figure(self, of: Of = "gpus", layer: int | None = None) -> go.Figure:
        """Return a Plotly figure, one of those on the page that ``equipoise plan --report`` writes.

        Parameters
        ----------
        of : "gpus", "peaks", "experts" or "moves"
            The load of every GPU before and after, PAR of every layer and its bound, the experts by load and their
            copies, or the moves from node to node.
        layer : int, optional
            Open one layer: its GPUs with their experts as blocks, or its experts.

        Raises
        ------
        InputError
            If Plotly is not installed, there is no such figure, or no such layer.
        """
        from equipoise.report.plan_figure import plan_figure

        return plan_figure(self, of, layer)


def plan(
    loads: Loads | Scenarios | ArrayLike,
    cluster: Cluster,
    *,
    groups: int = 1,
    locality: Locality | None = None,
    off_node: float | None = None,
    current: Placement | None = None,
    max_moves: float | None = None,
    min_gain: float = 0.0,
    effort: Effort = "default",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Decide where every expert lives, so that the largest GPU load of each layer is as small as possible.

    Of several windows it is the mean of their largest GPU loads that is made small, not the largest GPU load of their
    mean: experts that run hot in the same windows do not share a GPU.

    The same input gives the same placement, bit for bit, in any process and with any number of workers.

    Parameters
    ----------
    loads : Loads, Scenarios or array_like, ``[windows, layers, experts]`` or fewer axes
        Recorded expert loads, of windows that all stand for what comes equally well; or scenarios, some of which do
        better. More windows than the effort allows are folded, as :meth:`equipoise.scenarios.Scenarios.folded` does.
    cluster : Cluster
        The GPUs and their slots.
    groups : int
        Expert groups (blocks of consecutive experts), equally many at home on each node; 1 for models without them.
    locality : "strict", "soft" or "none", optional
        Whether every replica stays on its group's home node (strict, what is done if not given), may live on another
        where that lowers the peak (soft), or whether groups do not matter (none).
    off_node : float, optional
        Share of the load of all layers that may be served off its home node, 0 to 1; makes the locality soft, and
        strict where it is 0.
    current : Placement, optional
        The placement that is live, to start from: experts stay where they are, in their slots, unless a move pays. Its
        cluster may be another; GPUs are known by their numbers, and -1 is an empty slot.
    max_moves : int or float, optional
        Moves to make from ``current`` at most: a number for all layers together, or, as a float from 0 to 1, a share
        of all live slots. More are made only where they are required. Spent on the layers where they gain most.
    min_gain : float
        Share by which the mean PAR must fall; otherwise nothing moves but what is required.
    effort : "fast", "default" or "thorough"
        Stop at swaps, try some transfers of replicas too, or try many more.
    workers : int, optional
        Threads to plan layers in; as many as pay off on the CPU cores of this process if not given.
    progress : callable, optional
        Called as ``progress(layers done, layers)`` whenever some layers are finished, by the thread that did them.

    Returns
    -------
    Plan
        Valid: every expert has a replica, no expert is twice on a GPU wherever that can be avoided.

    Raises
    ------
    InputError
        If the loads are not valid, the slots too few, a division impossible, or settings contradict each other.

    Examples
    --------
    >>> from equipoise import Cluster, plan
    >>> result = plan([[60, 20, 20, 20]], Cluster(gpus=2, slots_per_gpu=3))
    >>> result.placement.logcnt.tolist()
    [[2, 2, 1, 1]]
    >>> result.peak.tolist(), result.bound.tolist()
    ([60.0], [60.0])
    >>> later = plan([[20, 20, 60, 20]], result.placement.cluster, current=result.placement, max_moves=1)
    >>> later.peak.tolist(), later.moves.tolist()
    ([60.0], [1])
    """
    scenarios = loads if isinstance(loads, Scenarios) else Scenarios(loads)
    counts = scenarios.mean
    layers, experts = counts.shape
    locality, most_off_node, most_moves, min_gain = checked(
        layers,
        experts,
        cluster,
        groups=groups,
        locality=locality,
        off_node=off_node,
        current=current,
        max_moves=max_moves,
        min_gain=min_gain,
        effort=effort,
        workers=workers,
    )
    settings = SETTINGS[effort]
    folded = scenarios.folded(settings.windows)
    bound_to_nodes = 1 if locality == "none" else groups
    replanned = current is not None or locality == "soft" or bool(cluster.dead) or scenarios.windows > 1
    if current is None:
        whole = replace(cluster, dead=())
        before = Placement.default(whole, experts, layers)
        starts = _first_placements(folded, whole, bound_to_nodes, settings, workers, None if replanned else progress)
    else:
        before, starts = current, [current]
    if locality == "soft":
        starts = starts[:1]  # what is served off its home node in one layer leaves less for the others
    task = Task(folded, cluster, starts[0], bound_to_nodes, current is not None, most_moves, most_off_node, min_gain)
    done = Replanned(starts[0], required=np.zeros(layers, np.int64), declined=None)
    if replanned:
        found = [
            replan(replace(task, start=start), settings, workers, _part(progress, number, len(starts)))
            for number, start in enumerate(starts)
        ]
        done = _best(found, folded)
    done.placement.validate()
    peak = scenarios.peak(done.placement)
    off = np.zeros(layers)
    if groups > 1 and locality != "strict":
        home = task.home if locality == "soft" else homes(done.placement, groups)
        off = off_node_load(done.placement, counts, home)
    return Plan(
        scenarios=scenarios,
        placement=done.placement,
        before=before,
        peak=peak,
        mean=counts.sum(axis=1) / len(cluster.live),
        locality=locality,
        off_node=np.divide(off, counts.sum(axis=1), out=np.zeros(layers), where=off > 0),
        bounds=_mean_bounds(folded, done.placement, groups, locality, off, settings.tolerance),
        required=np.zeros(layers, np.int64) if current is None else done.required,
        lost=np.empty((0, 2), np.int64) if current is None else _lost(current, cluster),
        declined=done.declined,
    )


def _first_placements(
    scenarios: Scenarios,
    cluster: Cluster,
    groups: int,
    settings: Settings,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> list[Placement]:
    """Return where to start from: a plan for the one window, or several for as likely loads of each expert.

    What is best for one load is no better a start for several, so that those are planned fast.
    """
    several = scenarios.windows > 1
    found = []
    for deviations in settings.deviations if several else (0.0,):
        likely = scenarios.mean + deviations * scenarios.deviation
        first = SETTINGS["fast"] if several else settings
        phy2log = plan_afresh(likely, cluster, groups, first, workers, progress)
        found.append(Placement(phy2log, cluster, scenarios.counts.shape[2]))
    return found


def _part(progress: Callable[[int, int], None] | None, number: int, parts: int) -> Callable[[int, int], None] | None:
    """Return what to call in one of several searches through all layers, for all to count up to the layers once."""
    if progress is None:
        return None
    return lambda done, layers: progress((number * layers + done) // parts, layers)


def _best(found: list[Replanned], scenarios: Scenarios) -> Replanned:
    """Return the plan that takes each layer from the one which has the least peak there."""
    first = found[0]
    if len(found) == 1:
        return first
    best = np.argmin([scenarios.peak(one.placement) for one in found], axis=0)
    phy2log = np.stack([one.placement.phy2log for one in found])[best, np.arange(len(best))]
    return first._replace(placement=Placement(phy2log, first.placement.cluster, first.placement.experts))


def _lost(current: Placement, cluster: Cluster) -> NDArray[np.int64]:
    """Return layer and expert of those that only dead GPUs hold, or none; GPUs that leave can still send theirs."""
    dead = [gpu for gpu in cluster.dead if gpu < current.cluster.gpus]
    return np.argwhere(~np.delete(current.held, dead, axis=1).any(axis=1))


def _mean_bounds(
    scenarios: Scenarios,
    placement: Placement,
    groups: int,
    locality: Locality,
    off: NDArray[np.float64],
    tolerance: float,
) -> dict[Locality, NDArray[np.float64]]:
    """Return a lower limit on the peak, for every locality: the mean of those of the windows, each by itself.

    It holds for windows before they were merged too: the peak of a mean is at most the mean of the peaks.
    """
    peaks = balance(placement, scenarios.counts).peak
    each = [
        _bounds(counts, placement.cluster, groups, locality, peak, off, tolerance)
        for counts, peak in zip(scenarios.counts, peaks, strict=True)
    ]
    return {name: np.asarray((scenarios.weights * [one[name] for one in each]).sum(axis=0)) for name in each[0]}


def _bounds(
    counts: NDArray[np.float64],
    cluster: Cluster,
    groups: int,
    locality: Locality,
    peak: NDArray[np.float64],
    off: NDArray[np.float64],
    tolerance: float,
) -> dict[Locality, NDArray[np.float64]]:
    """Return a lower limit on the peak for every locality that the model can have."""
    none = np.minimum(lower_bounds(counts, cluster, 1, peak, tolerance), peak)
    if groups == 1:
        return {"none": none}
    if locality == "strict":
        strict = np.minimum(lower_bounds(counts, cluster, groups, peak, tolerance), peak)
    else:
        strict = lower_bounds(counts, cluster, groups, np.zeros_like(peak), tolerance)
    soft = np.maximum(none, strict - off / cluster.gpus_per_node)
    return {"strict": strict, "soft": soft, "none": none}
