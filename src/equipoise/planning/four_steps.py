"""The four steps from nothing but the loads."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import numpy as np

from equipoise.planning.threads import share_out, worthwhile_workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from equipoise.cluster import Cluster
    from equipoise.planning.effort import Settings


def plan_afresh(
    counts: NDArray[np.float64],
    cluster: Cluster,
    groups: int,
    settings: Settings,
    workers: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.int64]:
    """Return the expert in every slot of a cluster whose GPUs all live, int64 ``[layers, slots]``.

    groups: expert groups that must each stay on a node; 1 if any expert may live anywhere.
    """
    # Numba takes longer to import than all the rest; whoever only reads a placement should not wait for it.
    from equipoise.solver.afresh import Limits, empty_workspace, plan_layers

    layers, experts = counts.shape
    homes = cluster.nodes if groups > 1 else 1
    sizes = experts, groups, homes, cluster.gpus // homes, cluster.slots_per_gpu
    all_counts = _ways_to_share(cluster.slots // homes, experts // homes) <= settings.counts
    limits = Limits(settings.tolerance, settings.worth, all_counts)
    phy2log = np.empty((layers, cluster.slots), np.int64)

    def begin() -> Callable[[slice], None]:
        work = empty_workspace(*sizes, settings.tries, settings.kicks)
        return lambda part: plan_layers(counts[part], work, limits, phy2log[part])

    workers = workers or worthwhile_workers(layers * cluster.slots * (1 + settings.tries))
    share_out(layers, min(workers, layers), begin, progress)
    return phy2log


def _ways_to_share(slots: int, experts: int) -> int:
    """Return in how many ways the slots can be shared out, at least one to each expert."""
    return comb(slots - 1, experts - 1)
