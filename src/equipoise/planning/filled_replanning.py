"""From a placement that is live to one for a router that fills: spares first, as few moves do it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from equipoise.planning.replanning import replan
from equipoise.planning.spares import with_spares

if TYPE_CHECKING:
    from equipoise.placement import Placement
    from equipoise.planning.request import Request
    from equipoise.planning.searching import Found

WORTH = 0.01
"""Share by which the mean PAR must be lower for other replicas than spares to move. On recorded series filling makes
up for traffic that shifts a little, and what moves all the same served the next windows worse; where tasks changed, it
was lower by much more than that."""


def replan_filled(request: Request, live: Placement) -> Found:
    """Move what must; then either spares alone, or what would lower even peaks too, if that is worth it."""
    required = replan(replace(request, most_moves=0, min_gain=0.0, progress=None), live)
    spares = with_spares(request, required)
    further = with_spares(request, replan(replace(request, min_gain=0.0), live))
    stay, kept, moved = (request.expected.mean_par(one.placement, "filled") for one in (required, spares, further))
    found, reached = (further, moved) if moved < (1 - WORTH) * kept else (spares, kept)
    if request.min_gain and reached > (1 - request.min_gain) * stay:
        return required._replace(declined=reached)
    return found
