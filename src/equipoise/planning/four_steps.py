"""The four steps from nothing but the loads: group, replicate, pack, refine."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import numpy as np

from equipoise.solver.threads import share_out, worthwhile_workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.planning.request import Request


def four_steps(counts: NDArray[np.float64], request: Request) -> NDArray[np.int64]:
    """Return the expert in every slot of a cluster whose GPUs all live, int64 ``[layers, slots]``.

    counts: float64 ``[layers, experts]``, the one load that is planned for.
    """
    # Numba takes longer to import than all the rest; whoever only reads a placement should not wait for it.
    from equipoise.solver.afresh import SearchLimits, empty_workspace, plan_layers

    counts = counts.copy()  # never read-only, which would be another type to compile for
    layers, experts = counts.shape
    cluster, settings, homes = request.cluster, request.settings, request.home_nodes
    sizes = experts, request.bound_groups, homes, cluster.gpus // homes, cluster.slots_per_gpu
    free = cluster.slots // homes - (request.min_replicas - 1) * (experts // homes)
    all_counts = _ways_to_share(free, experts // homes) <= settings.counts
    limits = SearchLimits(settings.tolerance, settings.good_enough, all_counts)
    phy2log = np.empty((layers, cluster.slots), np.int64)

    def begin() -> Callable[[slice], None]:
        work = empty_workspace(*sizes, settings.tries, settings.kicks, request.min_replicas)
        return lambda part: plan_layers(counts[part], work, limits, phy2log[part])

    workers = request.workers or worthwhile_workers(layers * cluster.slots * (1 + settings.tries))
    share_out(layers, min(workers, layers), begin, request.progress)
    return phy2log


def _ways_to_share(slots: int, experts: int) -> int:
    """Return in how many ways the slots can be shared out, at least one to each expert."""
    return comb(slots - 1, experts - 1)
