"""The best that routing can do on a placement: the split of every expert over its replicas with the least peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.loads import Loads
from equipoise.serving.balance import balance
from equipoise.serving.slot_shares import slot_shares

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from equipoise.placement import Placement


@dataclass(frozen=True, eq=False)
class Split:
    """How replicas share the load of their experts, for engines that can weight replicas.

    Attributes
    ----------
    placement : Placement
        Which expert each slot holds.
    shares : ndarray, float64 ``[layers, slots]``
        Share of its expert's load that each slot serves; those of an expert add up to 1.
    load : ndarray, float64 ``[layers, slots]``
        That load, in the unit of the loads.
    peak : ndarray, float64 ``[layers]``
        Largest GPU load.
    """

    placement: Placement
    shares: NDArray[np.float64]
    load: NDArray[np.float64]
    peak: NDArray[np.float64]


def least_peak_split(placement: Placement, loads: Loads | ArrayLike) -> Split:
    """Return the split with the least peak that any routing can reach on this placement.

    It is found layer by layer as a linear program, by HiGHS, and is exact but for its tolerance, a ten-millionth of
    the mean GPU load. An expert without load is split evenly.

    Parameters
    ----------
    placement : Placement
        Which expert each slot holds.
    loads : Loads or array_like, ``[windows, layers, experts]`` or fewer axes
        The traffic to serve; there is one split, for the windows added up.

    Raises
    ------
    InputError
        If loads and placement differ in layers or experts.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> placement = Placement([[0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    >>> split = least_peak_split(placement, [[60, 30, 10]])
    >>> split.shares.round(6).tolist(), split.peak.round(6).tolist()
    ([[0.333333, 1.0, 1.0, 0.666667]], [50.0])
    """
    total = (loads if isinstance(loads, Loads) else Loads(loads)).sum()
    mean = balance(placement, total).mean[0]
    shares = slot_shares(placement, "even")
    for layer in np.flatnonzero(mean):
        _lower_the_peak(shares[layer], placement.phy2log[layer], total.counts[0, layer] / mean[layer], placement)
    expert = np.maximum(placement.phy2log, 0)
    load = np.take_along_axis(total.counts[0], expert, axis=1) * shares
    return Split(placement, shares, load, balance(placement, total, routing=shares).peak[0])


def _lower_the_peak(
    shares: NDArray[np.float64], slots: NDArray[np.int64], counts: NDArray[np.float64], placement: Placement
) -> None:
    """Replace the even shares of a layer by those with the least peak; what has one replica stays as it is.

    shares: ``[slots]``; slots: the expert in each; counts: ``[experts]``, in units of the mean GPU load.
    """
    copies = np.bincount(slots[slots >= 0], minlength=counts.size)
    free = (slots >= 0) & (copies[slots] > 1) & (counts[slots] > 0)
    if not free.any():
        return
    gpu = np.arange(slots.size) // placement.cluster.slots_per_gpu
    elsewhere = np.bincount(gpu, np.where(free, 0, counts[slots] * shares), placement.cluster.gpus)
    experts, expert = np.unique(slots[free], return_inverse=True)
    load = np.maximum(_least_peak_loads(expert, counts[experts], gpu[free], np.asarray(elsewhere, np.float64)), 0)
    served = np.bincount(expert, load)[expert]
    shares[free] = np.divide(load, served, out=shares[free], where=served > 0)


def _least_peak_loads(
    expert: NDArray[np.int64], counts: NDArray[np.float64], gpu: NDArray[np.int64], fixed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the load of each replica, ``[replicas]``: the linear program.

    The last variable is the peak: it is minimized, and is at least the load of each GPU.

    expert, gpu: of each replica, ``[replicas]``; counts: load of each expert; fixed: load that each GPU has anyway.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, hstack

    replica, one = np.arange(expert.size), np.ones(expert.size)
    to_expert = coo_array((one, (expert, replica)), shape=(counts.size, expert.size + 1))
    to_gpu = coo_array((one, (gpu, replica)), shape=(fixed.size, expert.size))
    over_peak = hstack([to_gpu, coo_array(np.full((fixed.size, 1), -1.0))])
    solution = linprog(
        c=np.append(np.zeros(expert.size), 1), A_ub=over_peak, b_ub=-fixed, A_eq=to_expert, b_eq=counts, method="highs"
    )
    return np.asarray(solution.x[:-1])
