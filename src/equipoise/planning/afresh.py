"""Plans from nothing: the four steps; and where that is not all, relief from the placements that they lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.current import Task
from equipoise.planning.effort import SETTINGS
from equipoise.planning.four_steps import plan_afresh
from equipoise.planning.replanning import Replanned, replan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.cluster import Cluster
    from equipoise.planning.current import Limits
    from equipoise.planning.effort import Settings
    from equipoise.planning.scenarios import Scenarios

    Progress = Callable[[int, int], None]


def plan_from_nothing(
    scenarios: Scenarios,
    cluster: Cluster,
    groups: int,
    limits: Limits,
    settings: Settings,
    workers: int | None,
    progress: Progress | None,
) -> Replanned:
    """Plan for the whole cluster, experts at home; then move what is on dead GPUs, or is better served elsewhere.

    groups: expert groups that are each at home on a node; 1 if any expert may live anywhere.
    """
    if cluster.dead or (groups > 1 and limits.off_node > 0):
        whole, at_home = replace(cluster, dead=()), limits._replace(off_node=0.0)
        start = plan_from_nothing(scenarios, whole, groups, at_home, settings, workers, None).placement
        return replan(Task(scenarios, cluster, start, groups, limits), settings, workers, progress)
    if scenarios.windows == 1:
        placement = _afresh(scenarios.mean, cluster, groups, settings, workers, progress)
        return Replanned(placement, np.zeros(placement.layers, np.int64), declined=None, home=None)
    found = []
    for number, deviations in enumerate(settings.deviations):
        likely = scenarios.mean + deviations * scenarios.deviation
        # What is best for one load is no better a start for several.
        start = _afresh(likely, cluster, groups, SETTINGS["fast"], workers, None)
        task = Task(scenarios, cluster, start, groups, limits)
        found.append(replan(task, settings, workers, _part(progress, number, len(settings.deviations))))
    return _best(found, scenarios)


def _afresh(
    counts: NDArray[np.float64],
    cluster: Cluster,
    groups: int,
    settings: Settings,
    workers: int | None,
    progress: Progress | None,
) -> Placement:
    phy2log = plan_afresh(counts, cluster, groups, settings, workers, progress)
    return Placement(phy2log, cluster, counts.shape[1])


def _part(progress: Progress | None, number: int, parts: int) -> Progress | None:
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
