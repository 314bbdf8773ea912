"""Proven lower limits on the peak, for each locality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.cluster import Cluster


def lower_bounds(
    counts: NDArray[np.float64], cluster: Cluster, groups: int, reached: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """Return a load below which the peak of no placement can be, float64 ``[layers]``.

    Parameters
    ----------
    counts : ndarray, float64 ``[layers, experts]``
        Expert loads.
    cluster : Cluster
        Where to place. Dead GPUs only make the mean larger: what all GPUs cannot reach, fewer cannot.
    groups : int
        Expert groups that must each stay on a node; 1 if any expert may live anywhere.
    reached : ndarray, float64 ``[layers]``
        Peaks that placements reach; 0 where none is known, and the bound is what the groups alone prove.
    tolerance : float
        Where a peak is this close, as a share of the bound, no higher bound is sought.
    """
    from equipoise.solver.grouping import empty_grouping
    from equipoise.solver.layer import bound_layers
    from equipoise.solver.pool import most_copies

    homes = cluster.nodes if groups > 1 else 1
    members, gpus_per_node = counts.shape[1] // homes, cluster.gpus // homes
    smallest = np.zeros(min(cluster.slots_per_gpu, members))
    copies = most_copies(members, gpus_per_node, smallest.size)
    bounds = np.empty(len(counts))
    grouping = empty_grouping(groups, homes)
    bound_layers(counts, grouping, cluster.gpus, copies, smallest, tolerance, reached, bounds)
    return np.asarray(np.maximum(bounds, counts.sum(axis=1) / len(cluster.live)))
