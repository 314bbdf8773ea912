"""Many plans at once: layers are planned one by one, so those of all plans are planned as if one model had them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.planning.afresh import plan_afresh, relieved
from equipoise.planning.scenarios import Scenarios

if TYPE_CHECKING:
    from equipoise.placement import Placement
    from equipoise.planning.request import Progress, Request

# With more slots in all there is work for every thread anyway, and what is kept of each slot takes memory.
MOST_SLOTS = 400_000


def plan_together(expected: list[Scenarios], first: Scenarios | None, request: Request) -> list[Placement]:
    """Return a plan for each of these scenarios, of few windows each; what is asked is the same for all.

    Those of one window are planned afresh, and those of several from where a plan for the first ends, if it is given:
    to come from there to the next takes a fraction of the time.
    """
    start = plan_afresh(replace(request.serving(first), progress=None)).placement if first else None
    planned: dict[int, Placement] = {}
    for alike in _batches(expected, request.cluster.slots):
        asked = replace(request, progress=_plans_made(request.progress, len(planned), len(alike), len(expected)))
        planned |= dict(zip(alike, _planned([expected[at] for at in alike], start, asked), strict=True))
    return [planned[at] for at in range(len(expected))]


def _batches(expected: list[Scenarios], slots: int) -> list[list[int]]:
    """Return which scenarios to plan for at once: equally many windows, and not too many slots."""
    most = max(1, MOST_SLOTS // (expected[0].layers * slots))
    batches = []
    for windows in sorted({one.windows for one in expected}):
        alike = [at for at, one in enumerate(expected) if one.windows == windows]
        batches += [alike[at : at + most] for at in range(0, len(alike), most)]
    return batches


def _planned(expected: list[Scenarios], start: Placement | None, request: Request) -> list[Placement]:
    """Plan for scenarios of equally many windows, those of several from the start where there is one."""
    asked = request.serving(Scenarios.side_by_side(expected))
    if start is None or asked.scenarios.windows == 1:
        found = plan_afresh(asked).placement
    else:
        phy2log = np.tile(start.phy2log, (len(expected), 1))
        found = relieved(asked, replace(start, phy2log=phy2log)).placement
    return [replace(found, phy2log=one) for one in np.split(found.phy2log, len(expected))]


def _plans_made(progress: Progress | None, before: int, plans: int, of: int) -> Progress | None:
    """Return what to call with the layers that are finished of some plans, for all plans to be counted."""
    if progress is None:
        return None
    return lambda done, layers: progress(before + done * plans // layers, of)
