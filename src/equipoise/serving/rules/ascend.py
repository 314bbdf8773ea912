"""vLLM-Ascend's rules, by the GPU that a token is on.

``ascend`` is that of its first model runner without tensor parallelism, ``ascend_v2`` that of its second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.serving.rules.even import even
from equipoise.serving.rules.rows import shares_by_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from equipoise.placement import Placement

ROWS = 1024  # after which the table begins again


def ascend(placement: Placement, batch: int | None) -> Iterator[NDArray[np.float64]]:
    """Yield for each GPU all of its tokens to one replica of each expert, ``[layers, experts, replicas]``."""
    replica = np.arange(placement.log2phy.shape[2])
    count = np.maximum(placement.logcnt, 1)[:, :, None]
    for gpu in range(placement.cluster.gpus):
        yield np.asarray(replica == gpu % count, np.float64)


def ascend_v2(placement: Placement, batch: int | None) -> Iterable[NDArray[np.float64]]:
    """Yield for each GPU the share of its tokens that each replica gets, ``[layers, experts, replicas]``."""
    return even(placement) if batch is None else _by_row_gpu_and_expert(placement, batch)


def _by_row_gpu_and_expert(placement: Placement, batch: int) -> Iterator[NDArray[np.float64]]:
    replica = np.arange(placement.log2phy.shape[2])
    expert = np.arange(placement.experts)[:, None]
    count = np.maximum(placement.logcnt, 1)[:, :, None]
    by_row = shares_by_count(np.arange(batch) % ROWS, replica.size)[placement.logcnt]
    for gpu in range(placement.cluster.gpus):
        yield np.take_along_axis(by_row, (replica - gpu - expert) % count, axis=2)
