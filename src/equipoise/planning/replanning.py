"""From the placement that is live to a better one: few moves, each where it gains most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.placement import Placement
from equipoise.planning.budget import ROUNDING
from equipoise.planning.current import Current
from equipoise.planning.homes import off_node_load
from equipoise.planning.relabelling import in_live_slots
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
    searches, points = [way.points for way in ways if isinstance(way, Search)], [way.points for way in ways]
    stay = affordable_stops(current, searches, 0.0)  # searches come first, so that their points have the same numbers
    stops = affordable_stops(current, points, request.most_moves)
    joined = Points.joined(points)
    stops, declined = _if_worth_it(request, joined, stay, stops)
    required = joined.moves[np.arange(len(stay)), stay].astype(np.int64)
    slots, home = _ended(current, ways, stops)
    return _unless_worse(current, Found(current.placed(slots), required, declined, home))


def _ended(
    current: Current, ways: list[Search | Anew], stops: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots of layers that end at these points of all ways, and which node their experts are at home on."""
    slots = np.empty((*current.live.shape[:2], current.request.cluster.slots_per_gpu), np.int64)
    home, first = np.empty_like(current.home), 0
    for way in ways:
        here = (stops >= first) & (stops < first + way.points.number)
        if here.any():
            slots[here] = way.ends_at(np.where(here, stops - first, 0))[here]
            home[here] = way.home[here]
        first += way.points.number
    return in_live_slots(slots, current.once), home


def _if_worth_it(
    request: Request, points: Points, stay: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float | None]:
    """Return where the layers end, and the mean PAR within reach where that does not gain enough for its moves."""
    reached = points.mean_par(stops)
    enough = reached <= points.mean_par(stay) * (1 - request.min_gain) or (stops == stay).all()
    return (stops, None) if enough or not request.min_gain else (stay, reached)


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
        if served <= request.off_node + ROUNDING:
            return current
        share = share * LESS * request.off_node / served if share > LEAST_SHARE * request.off_node else 0.0


def _unless_worse(current: Current, found: Found) -> Found:
    """Return what was found, but layers as they were where they may stay so and it would be worse over all windows.

    The search sees windows folded, nothing of slots beyond those that it plans, and what is too far from home before it
    knows what comes of that.
    """
    request, before = current.request, current.resident
    if before.cluster != found.placement.cluster:
        return found
    peak, peak_before = (request.expected.peak(one) for one in (found.placement, before))
    off = off_node_load(found.placement, current.counts, found.home)
    more_off = off_node_load(before, current.counts, current.home) - off
    stays = np.flatnonzero(_may_stay(current) & (peak > peak_before))
    stays = stays[np.argsort(more_off[stays], kind="stable")]
    most = request.off_node * float(current.counts.sum()) if request.soft else np.inf
    stays = stays[off.sum() + more_off[stays].cumsum() <= max(most, off.sum())]
    phy2log, required, home = found.placement.phy2log.copy(), found.required.copy(), found.home.copy()
    phy2log[stays], required[stays], home[stays] = before.phy2log[stays], 0, current.home[stays]
    placement = Placement(phy2log, before.cluster, before.experts)
    return found._replace(placement=placement, required=required, home=home)


def _may_stay(current: Current) -> NDArray[np.bool_]:
    """Return which layers may stay, but for the load off its home node of all layers together."""
    before, cluster = current.resident, current.request.cluster
    full = (before.phy2log >= 0).sum(axis=1) == cluster.live_slots
    may_repeat = (before.duplicates == 0) | (current.planned < cluster.slots_per_gpu)
    at_home = np.ones(len(full), np.bool_)
    if current.request.strict:
        none_off = np.where(current.counts >= 0, 1.0, 0.0)  # every replica counts, whatever it serves
        at_home = off_node_load(before, none_off, current.home) == 0
    apart = before.spread(current.request.across).min(axis=1) >= current.request.min_replicas
    return np.asarray(full & may_repeat & apart & at_home)
