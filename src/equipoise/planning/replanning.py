"""From the placement that is live to a better one: few moves, each where it gains most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.current import Current
from equipoise.planning.homes import off_node_load
from equipoise.planning.request import part_of
from equipoise.planning.searching import Found, Points, affordable_stops, no_search
from equipoise.planning.ways import Anew, Search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.planning.request import Request

# Where the cap on what is served off its home node is exceeded at the start, less is aimed at, by this factor at least;
# and below that share of it, nothing.
LESS = 0.98
LEAST_SHARE = 0.5


def replan(request: Request, live: Placement) -> Found:
    """Go several ways from what is live; end each layer where the budgets, spent where they gain most, are used up."""
    current = _within_cap(request, live)
    ways = _ways(current)
    stops, declined = affordable_stops(current, [way.points for way in ways])
    slots = np.empty((*current.live.shape[:2], request.cluster.slots_per_gpu), np.int64)
    home, first = np.empty_like(current.home), 0
    for way in ways:
        here = (stops >= first) & (stops < first + way.points.number)
        if here.any():
            slots[here] = way.ends_at(np.where(here, stops - first, 0))[here]
            home[here] = way.home[here]
        first += way.points.number
    found = Found(current.placed(slots), ways[0].points.moves[:, 0].astype(np.int64), declined, home)
    return found._replace(placement=_unless_worse(current, found.placement, home))


def _ways(current: Current) -> list[Search | Anew]:
    """Return the ways to go: on from what is live; where localities are soft, from home; and, where worthwhile, anew.

    What was best served off its home node then is not what is now; to go back there, from home, costs no move.
    """
    at_home = Current(current.request, current.start, 0.0)
    starts = [current, at_home] if current.request.soft and (at_home.live != current.live).any() else [current]
    progress = [part_of(current.request.progress, number, len(starts)) for number in range(len(starts))]
    searches = [Search(*one) for one in zip(starts, progress, strict=True)]
    anew = Anew.instead(current, np.min([search.reached for search in searches], axis=0))
    return [*searches, anew] if anew else [*searches]


def _within_cap(request: Request, live: Placement) -> Current:
    """Return what stays where it is, so that what is served off its home node is within what is allowed from the start.

    Filling the slots of what leaves changes what others serve, so that more may have to leave than would seem so.
    """
    share = request.off_node
    while True:
        current = Current(request, live, share)
        if not request.soft or share == 0:
            return current
        served = float(Points.of(current, no_search(current)).off_node.sum())
        if served <= request.off_node:
            return current
        share = share * LESS * request.off_node / served if share > LEAST_SHARE * request.off_node else 0.0


def _unless_worse(current: Current, placement: Placement, home: NDArray[np.int64]) -> Placement:
    """Return the placement, but a layer as it was if nothing had to change and it would be worse over all windows.

    The search sees windows folded, and nothing of slots beyond those that it plans.
    """
    before = current.resident
    if before.cluster != placement.cluster:
        return placement
    peak, peak_before = (current.request.expected.peak(one) for one in (placement, before))
    off, off_before = (off_node_load(one, current.counts, home) for one in (placement, before))
    full = (before.phy2log >= 0).sum(axis=1) == placement.cluster.live_slots
    only_repeats_gone = (current.live >= 0).sum(axis=(1, 2)) == current.held.sum(axis=(1, 2))
    may_repeat = (before.duplicates == 0) | (current.planned < placement.cluster.slots_per_gpu)
    valid = full & only_repeats_gone & may_repeat & before.logcnt.all(axis=1) & (off_before <= off)
    phy2log = np.where((valid & (peak > peak_before))[:, None], before.phy2log, placement.phy2log)
    return Placement(phy2log, placement.cluster, placement.experts)
