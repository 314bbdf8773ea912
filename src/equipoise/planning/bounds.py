"""Proven lower limits on the peak, for each locality."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.planning.homes import off_node_load
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Locality, Placement
    from equipoise.planning.request import Request


def lower_bounds(counts: NDArray[np.float64], request: Request, reached: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a load below which the peak of no placement can be, float64 ``[layers]``.

    Parameters
    ----------
    counts : ndarray, float64 ``[layers, experts]``
        Expert loads.
    request : Request
        Where to place, and which groups must each stay on a node. Dead GPUs only make the mean larger: what all GPUs
        cannot reach, fewer cannot. Where a peak is as close to the bound as its tolerance, no higher bound is sought.
    reached : ndarray, float64 ``[layers]``
        Peaks that placements reach; 0 where none is known, and the bound is what the groups alone prove.
    """
    from equipoise.solver.bounding import bound_layers
    from equipoise.solver.grouping import empty_grouping
    from equipoise.solver.pool import most_copies

    counts = counts.copy()  # never read-only, which would be another type to compile for
    cluster, homes = request.cluster, request.home_nodes
    members, gpus_per_node = counts.shape[1] // homes, cluster.gpus // homes
    smallest = np.zeros(min(cluster.slots_per_gpu, members))
    copies = most_copies(members, gpus_per_node, smallest.size)
    bounds = np.empty(len(counts))
    grouping = empty_grouping(request.bound_groups, homes)
    most_and_least = request.min_replicas, copies
    bound_layers(counts, grouping, cluster.gpus, *most_and_least, smallest, request.settings.tolerance, reached, bounds)
    return np.asarray(np.maximum(bounds, counts.sum(axis=1) / len(cluster.live)))


def bounds_by_locality(
    request: Request, placement: Placement, home: NDArray[np.int64]
) -> dict[Locality, NDArray[np.float64]]:
    """Return a lower limit on the peak for every locality, ``[layers]``: the mean of the windows' own.

    It holds for the windows before they were folded too: the peak of a mean is at most the mean of the peaks.

    home: int64 ``[layers, experts]``, the node on which each is at home. What the placement serves elsewhere in a
    window can lower the soft bound of that window.
    """
    scenarios = request.scenarios
    peaks = balance(placement, scenarios.counts, routing=request.routing).peak
    if request.routing == "filled":
        peaks = np.zeros_like(peaks)  # shares may be any: groups alone prove more than the mean
    off_node = (off_node_load(placement, counts, home, request.routing) for counts in scenarios.counts)
    each = [_bounds_of_one(request, *window) for window in zip(scenarios.counts, peaks, off_node, strict=True)]
    return {name: np.asarray((scenarios.weights * [one[name] for one in each]).sum(axis=0)) for name in each[0]}


def _bounds_of_one(
    request: Request, counts: NDArray[np.float64], peak: NDArray[np.float64], off_node: NDArray[np.float64]
) -> dict[Locality, NDArray[np.float64]]:
    """Return a lower limit on the peak in one window, for every locality that the model can have.

    peak: what is reached, which no limit passes by rounding; 0 where it is not to be come near to.
    """
    most = np.where(peak > 0, peak, np.inf)
    none = np.minimum(lower_bounds(counts, replace(request, locality="none"), peak), most)
    if request.groups == 1:
        return {"none": none}
    kept = replace(request, locality="strict")
    if request.locality == "strict":
        strict = np.minimum(lower_bounds(counts, kept, peak), most)
    else:
        strict = lower_bounds(counts, kept, np.zeros_like(peak))
    soft = np.maximum(none, strict - off_node / request.cluster.gpus_per_node)
    return {"strict": strict, "soft": soft, "none": none}
