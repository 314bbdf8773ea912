"""The original form of step 4, for one layer in one domain: one transfer, then re-packing, come what may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.reference.simple_steps import adams_counts, pack

if TYPE_CHECKING:
    from tests.reference.simple_steps import Counts, Floats, Held


def original_refinement(load: Floats, gpus: int, slots_per_gpu: int) -> Held:
    """Return which GPU holds which expert, ``[gpus, experts]``: build, transfer one replica, pack again."""
    counts = adams_counts(load, gpus * slots_per_gpu, gpus)
    held = pack(load, counts, gpus)
    return pack(load, transfer_once(load, counts, held), gpus)


def transfer_once(load: Floats, counts: Counts, held: Held) -> Counts:
    """Return the counts after the peak GPU's heaviest expert got a copy from the lightest GPU's cheapest one.

    All loads are those of a replica. The transfer is made where the relief of each copy of the heaviest
    exceeds the cost to each remaining copy of the cheapest, and the GPUs are not level.
    """
    share = load / counts
    gpu_load = held @ share
    peak_gpu, lightest_gpu = np.argmax(gpu_load), np.argmin(gpu_load)
    heaviest = np.argmax(np.where(held[peak_gpu], share, -1))

    redundant = held[lightest_gpu] & (counts > 1)
    redundant[heaviest] = False
    cost = np.divide(share, counts - 1, out=np.full_like(share, np.inf), where=redundant)
    cheapest = np.argmin(cost)

    pays = share[heaviest] / (counts[heaviest] + 1) > cost[cheapest]
    if counts[heaviest] == len(held) or not pays or gpu_load[peak_gpu] <= gpu_load[lightest_gpu]:
        return counts
    counts = counts.copy()
    counts[heaviest] += 1
    counts[cheapest] -= 1
    return counts
