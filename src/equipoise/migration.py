"""What moves between two placements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement


def count_moves(before: Placement, after: Placement) -> NDArray[np.int64]:
    """Return how many experts a GPU needs and did not hold before, over all GPUs, int64 ``[layers]``.

    Both placements are of the same layers, experts and GPUs. A change of slot on a GPU is no move.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> cluster = Cluster(gpus=2, slots_per_gpu=2)
    >>> before = Placement([[0, 1, 2, 3]], cluster, experts=4)
    >>> count_moves(before, Placement([[1, 0, 2, 1]], cluster, experts=4)).tolist()
    [1]
    """
    new = _held(after) & ~_held(before)
    return np.asarray(np.count_nonzero(new, axis=(1, 2)), np.int64)


def _held(placement: Placement) -> NDArray[np.bool_]:
    """Return whether each GPU holds each expert, bool ``[layers, gpus, experts]``."""
    layers, gpus = placement.layers, placement.cluster.gpus
    held = np.zeros((layers, gpus, placement.experts), np.bool_)
    by_gpu = placement.phy2log.reshape(layers, gpus, -1)
    held[np.arange(layers)[:, None, None], np.arange(gpus)[:, None], by_gpu] = True
    return held
