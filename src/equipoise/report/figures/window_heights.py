"""How high the blocks of a layer are in each window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.report.figures.layer_gpus import heaviest_first, slot_heights
from equipoise.serving.balance import slot_loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.placement import Placement
    from equipoise.planning.plan import Plan


def window_heights(plan: Plan, loads: Loads) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the load of every slot before and after in each window, in units of the window's mean GPU load.

    Float64 ``[windows, layers, gpus, slots_per_gpu]`` each, on each GPU in the order of its blocks.
    """
    before, after = (_heights(placement, plan, loads) for placement in (plan.before, plan.placement))
    return before, after


def _heights(placement: Placement, plan: Plan, loads: Loads) -> NDArray[np.float64]:
    mean = loads.counts.sum(axis=2) / len(plan.placement.cluster.live)
    height = slot_loads(placement, loads, routing=plan.routing) / np.where(mean > 0, mean, 1.0)[:, :, None]
    planned_for = slot_heights(placement, plan)
    height = height.reshape(-1, *planned_for.shape)
    return np.take_along_axis(height, heaviest_first(planned_for)[None], axis=3)
