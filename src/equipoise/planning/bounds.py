"""Proven lower limits on the peak, for each locality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.cluster import Cluster
    from equipoise.placement import Placement
    from equipoise.planning.homes import Locality
    from equipoise.planning.scenarios import Scenarios


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
    from equipoise.solver.afresh import bound_layers
    from equipoise.solver.grouping import empty_grouping
    from equipoise.solver.pool import most_copies

    homes = cluster.nodes if groups > 1 else 1
    members, gpus_per_node = counts.shape[1] // homes, cluster.gpus // homes
    smallest = np.zeros(min(cluster.slots_per_gpu, members))
    copies = most_copies(members, gpus_per_node, smallest.size)
    bounds = np.empty(len(counts))
    grouping = empty_grouping(groups, homes)
    bound_layers(counts, grouping, cluster.gpus, copies, smallest, tolerance, reached, bounds)
    return np.asarray(np.maximum(bounds, counts.sum(axis=1) / len(cluster.live)))


def bounds_by_locality(
    scenarios: Scenarios,
    placement: Placement,
    groups: int,
    locality: Locality,
    off: NDArray[np.float64],
    tolerance: float,
) -> dict[Locality, NDArray[np.float64]]:
    """Return a lower limit on the peak for every locality, ``[layers]``: the mean of the windows' own.

    It holds for the windows before they were folded too: the peak of a mean is at most the mean of the peaks.

    off: load that the placement serves off its home node, ``[layers]``; what is served there can lower the soft bound.
    """
    peaks = balance(placement, scenarios.counts).peak
    each = [
        _bounds_of_one(counts, placement.cluster, groups, locality, peak, off, tolerance)
        for counts, peak in zip(scenarios.counts, peaks, strict=True)
    ]
    return {name: np.asarray((scenarios.weights * [one[name] for one in each]).sum(axis=0)) for name in each[0]}


def _bounds_of_one(
    counts: NDArray[np.float64],
    cluster: Cluster,
    groups: int,
    locality: Locality,
    peak: NDArray[np.float64],
    off: NDArray[np.float64],
    tolerance: float,
) -> dict[Locality, NDArray[np.float64]]:
    """Return a lower limit on the peak in one window, for every locality that the model can have."""
    none = np.minimum(lower_bounds(counts, cluster, 1, peak, tolerance), peak)
    if groups == 1:
        return {"none": none}
    if locality == "strict":
        strict = np.minimum(lower_bounds(counts, cluster, groups, peak, tolerance), peak)
    else:
        strict = lower_bounds(counts, cluster, groups, np.zeros_like(peak), tolerance)
    soft = np.maximum(none, strict - off / cluster.gpus_per_node)
    return {"strict": strict, "soft": soft, "none": none}
