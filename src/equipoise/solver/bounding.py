"""How low the peak of a layer can be at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from equipoise.solver.compiling import entry, kernel
from equipoise.solver.grouping import group_experts

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats
    from equipoise.solver.grouping import Grouping

# Limits are compared with this margin, far above rounding and far below what matters, always on the safe side.
MARGIN = 1e-9
# The bound is found to this share of itself.
PRECISION = 1e-5


@entry
def bound_layers(
    loads: Floats,
    grouping: Grouping,
    gpus: int,
    least_copies: int,
    most_copies: int,
    smallest: Floats,
    tolerance: float,
    peaks: Floats,
    bounds: Floats,
) -> None:
    """Prove for every layer by itself how low its peak can be.

    loads: float64 [layers, experts]. gpus: on all nodes. least_copies, most_copies: of an expert. smallest: float64
    [slots per GPU], overwritten. peaks: float64 [layers], what can be reached. bounds: float64 [layers], written;
    raised beyond what the groups prove where the peak is not within the tolerance, a share of it.
    """
    for layer in range(loads.shape[0]):
        bound, reached = group_experts(loads[layer], grouping) * grouping.filled.size / gpus, peaks[layer]
        if reached > bound * (1 + tolerance):
            bound = raise_bound(loads[layer], gpus, least_copies, most_copies, smallest, bound, reached)
        bounds[layer] = bound


@kernel
def raise_bound(
    load: Floats, gpus: int, least_copies: int, most_copies: int, smallest: Floats, bound: float, reached: float
) -> float:
    """Raise a lower bound on the peak as far as the largest replica and its companions prove, by bisection.

    load: float64 [experts]. smallest: float64 [slots per GPU], overwritten. bound: a peak that cannot be undercut.
    reached: a peak that can be reached.
    """
    if _may_fit(load, gpus, least_copies, most_copies, smallest, bound):
        return bound
    fits = reached
    while fits - bound > PRECISION * bound:
        middle = (bound + fits) / 2
        if _may_fit(load, gpus, least_copies, most_copies, smallest, middle):
            fits = middle
        else:
            bound = middle
    return bound


@kernel
def _may_fit(load: Floats, gpus: int, least_copies: int, most_copies: int, smallest: Floats, peak: float) -> bool:
    """Return False where no placement can have this peak.

    A replica shares its GPU with ``slots_per_gpu - 1`` others, so each expert needs copies enough that a replica and
    the smallest companions stay within the peak. A companion is smallest where all copies that are not needed go to
    its expert; the larger the companions, the more copies are needed, until they no longer fit or no longer grow.
    """
    slots_per_gpu = smallest.size
    slots = gpus * slots_per_gpu
    companions = 0.0
    while True:
        room = peak - companions
        if room <= 0:
            return False
        needed = 0
        for expert in range(load.size):
            copies = _needed(load[expert], room, least_copies)
            if copies > most_copies:
                return False
            needed += copies
        if needed > slots:
            return False
        larger = _smallest_companions(load, room, least_copies, most_copies, slots - needed, smallest)
        if larger <= companions * (1 + MARGIN):
            return True
        companions = larger


@kernel
def _needed(load: float, room: float, least_copies: int) -> int:
    """Return how many copies an expert needs so that none is larger than the room, and it has the least it may have."""
    return max(least_copies, math.ceil(load / room - MARGIN))


@kernel
def _smallest_companions(
    load: Floats, room: float, least_copies: int, most_copies: int, spare: int, smallest: Floats
) -> float:
    """Return the least load of all slots of a GPU but one: different experts, each with ``spare`` more copies."""
    companions = smallest.size - 1
    for i in range(companions):
        smallest[i] = math.inf
    for expert in range(load.size):
        share = load[expert] / min(most_copies, _needed(load[expert], room, least_copies) + spare)
        i = companions
        while i > 0 and smallest[i - 1] > share:
            smallest[i] = smallest[i - 1]
            i -= 1
        smallest[i] = share
    total = 0.0
    for i in range(companions):
        total += smallest[i]
    return total
