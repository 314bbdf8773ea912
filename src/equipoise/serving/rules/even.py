"""The even split, over many tokens what every rule comes to that takes all replicas in turn or at random."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from equipoise.placement import Placement


def even(placement: Placement, batch: int | None = None) -> Iterable[NDArray[np.float64]]:
    """Yield for each GPU the same share for every replica of an expert, ``[layers, experts, replicas]``."""
    return repeat(even_shares(placement), placement.cluster.gpus)


def even_shares(placement: Placement) -> NDArray[np.float64]:
    """Return 1 / replicas of its expert for each replica, ``[layers, experts, replicas]``."""
    held = placement.log2phy >= 0
    return np.asarray(held / np.maximum(placement.logcnt, 1)[:, :, None])
