"""The best that routing can do on a placement: the split of every expert over its replicas with the least peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from equipoise.loads import Loads
from equipoise.serving.fill import fill
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

    Of all splits with the least peak it is the one with the least next largest GPU load, and so on. It is exact but for
    its tolerance, a millionth of the mean GPU load. An expert without load is split evenly.

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
    placement.check_loads(total)
    load = fill(placement, total.counts)[0]
    of_experts = np.zeros((placement.layers, placement.experts))  # as added up, which rounds otherwise than the loads
    np.add.at(of_experts, (np.arange(placement.layers)[:, None], placement.phy2log), load)
    served = np.take_along_axis(of_experts, placement.phy2log, axis=1)
    shares = slot_shares(placement, "even")
    np.divide(load, served, out=shares, where=(served > 0) & (placement.phy2log >= 0))
    by_gpu = load.reshape(placement.layers, placement.cluster.gpus, -1)
    return Split(placement, shares, load, by_gpu.sum(axis=2).max(axis=1))
