"""Plans from nothing: the four steps; and where that is not all, relief from the placements that they lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.current import Current
from equipoise.planning.effort import SETTINGS
from equipoise.planning.four_steps import four_steps
from equipoise.planning.homes import ANYWHERE
from equipoise.planning.request import part_of
from equipoise.planning.searching import Found, Points, affordable_stops, search, stopped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.planning.request import Request


def plan_afresh(request: Request) -> Found:
    """Plan for the whole cluster, experts at home; then move what is on dead GPUs, or is better served elsewhere."""
    if request.cluster.dead or request.soft:
        whole = replace(request.cluster, dead=())
        start = plan_afresh(replace(request, cluster=whole, off_node=0.0, progress=None)).placement
        return relieved(request, start)
    if request.scenarios.windows == 1:
        placement = _placed(request.scenarios.mean, request)
        anywhere = np.full((placement.layers, placement.experts), ANYWHERE)
        return Found(placement, np.zeros(placement.layers, np.int64), declined=None, home=anywhere)
    request = request.serving(request.scenarios)  # folded once
    found = []
    for number, deviations in enumerate(request.settings.start_deviations):
        likely = request.scenarios.mean + deviations * request.scenarios.deviation
        # What is best for one load is no better a start for several.
        start = _placed(likely, replace(request, settings=SETTINGS["fast"], progress=None))
        progress = part_of(request.progress, number, len(request.settings.start_deviations))
        found.append(relieved(replace(request, progress=progress), start))
    return _best(found, request)


def _placed(counts: NDArray[np.float64], request: Request) -> Placement:
    return Placement(four_steps(counts, request), request.cluster, counts.shape[1])


def relieved(request: Request, start: Placement) -> Found:
    """Search on from a placement in which nothing is live yet, so that moves are free."""
    current = Current(request, start, request.off_node)
    trail = search(current, request.progress)
    stops = affordable_stops(current, [Points.of(current, trail)], request.most_moves)
    placement = current.placed(stopped(current, trail, stops).slots)
    return Found(placement, np.zeros(placement.layers, np.int64), declined=None, home=current.home)


def _best(found: list[Found], request: Request) -> Found:
    """Return the plan that takes each layer from the one which has the least peak there."""
    first = found[0]
    if len(found) == 1:
        return first
    best = np.argmin([request.scenarios.peak(one.placement) for one in found], axis=0)
    phy2log = np.stack([one.placement.phy2log for one in found])[best, np.arange(len(best))]
    return first._replace(placement=Placement(phy2log, first.placement.cluster, first.placement.experts))
