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
    """Plan for the whole cluster, experts at home; then move what is on dead GPUs, or is better served elsewhere.

    The four steps know of GPUs, not of nodes: where experts must be on several, what is on too few moves after them.
    """
    if request.cluster.dead or request.soft or request.across == "nodes":
        return relieved(request, plan_afresh(_of_the_four_steps(request)).placement)
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


def _of_the_four_steps(request: Request) -> Request:
    """Return what the four steps can be asked: all GPUs alive, experts at home, where there may be no room for more."""
    whole, at_home = replace(request.cluster, dead=()), 1 if request.soft else request.min_replicas
    return replace(request, cluster=whole, off_node=0.0, min_replicas=at_home, across="gpus", progress=None)


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
