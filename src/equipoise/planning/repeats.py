"""Slots beyond those that are planned: a GPU with more slots than its node has experts holds some of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.planning.homes import ANYWHERE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.planning.current import Current


def repeat_experts(current: Current, slots: NDArray[np.int64]) -> None:
    """Fill slots that were not planned with the experts of their GPU once more: with what was there, or in turn.

    Experts that are off their home node are not repeated, unless the GPU has no others.

    slots: int64 ``[layers, live GPUs, slots per GPU]``, -1 where nothing was planned; written there.
    """
    before = current.resident.by_gpu[:, current.gpus]
    for layer, gpu in np.argwhere(slots.min(axis=2) < 0):
        row = slots[layer, gpu]
        experts, free = np.unique(row[row >= 0]), np.flatnonzero(row < 0)
        at_home = experts[np.isin(current.home[layer, experts], (ANYWHERE, current.node[gpu]))]
        experts = at_home if at_home.size else experts
        row[free] = np.resize(experts, len(free))
        free = free[free < before.shape[2]]
        there = before[layer, gpu, free]
        row[free] = np.where(np.isin(there, experts), there, row[free])
