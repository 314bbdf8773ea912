"""From a checked request to a placement, afresh or from what is live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.planning.afresh import plan_afresh
from equipoise.planning.filled_replanning import replan_filled
from equipoise.planning.replanning import replan
from equipoise.planning.spares import with_spares

if TYPE_CHECKING:
    from equipoise.planning.request import Request
    from equipoise.planning.searching import Found


def find(request: Request) -> Found:
    """Plan for the routing that is asked for, afresh or from what is live."""
    live = request.current
    if request.routing == "filled":
        return replan_filled(request, live) if live else with_spares(request, plan_afresh(request))
    return replan(request, live) if live else plan_afresh(request)
