"""primary_first(): the slots of each expert in the order that a router reads them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.serving.primaries import primaries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement


def primary_first(placement: Placement) -> NDArray[np.int64]:
    """Return the slots of each expert, its primary first, then the others in rising order, padded with -1.

    Of the same shape as ``placement.log2phy``, ``[layers, experts, most replicas]``.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> primary_first(Placement([[0, 1, 2, 3, 0, 1]], Cluster(gpus=2, slots_per_gpu=3), experts=4)).tolist()
    [[[0, 4], [5, 1], [2, -1], [3, -1]]]
    """
    slots, primary = placement.log2phy, primaries(placement)[:, :, None]
    rank = np.where(slots < 0, placement.cluster.slots, slots)  # behind all slots
    order = np.argsort(np.where(slots == primary, -1, rank), axis=2, kind="stable")
    return np.take_along_axis(slots, order, axis=2)
