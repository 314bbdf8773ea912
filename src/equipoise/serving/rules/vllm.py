"""vLLM's rule: a token's row in its batch is hashed, for all experts and layers the same."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from equipoise.serving.rules.even import even
from equipoise.serving.rules.rows import shares_by_count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from equipoise.placement import Placement

MULTIPLIER = 2_654_435_769  # 2**32 over the golden ratio
HASHES = 2**32


def vllm(placement: Placement, batch: int | None) -> Iterable[NDArray[np.float64]]:
    """Yield for each GPU the share of its tokens that each replica gets, ``[layers, experts, replicas]``."""
    if batch is None:
        return even(placement)
    hashed = np.arange(batch) * MULTIPLIER % HASHES
    by_count = shares_by_count(hashed, placement.log2phy.shape[2])
    return repeat(by_count[placement.logcnt], placement.cluster.gpus)
