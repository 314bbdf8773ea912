"""Swaps: the peak GPU exchanges one or two of its replicas with another GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.solver.compiling import kernel
from equipoise.solver.pool import holds, peak, sort_pairs, stays_apart, swap_bundles

if TYPE_CHECKING:
    from equipoise.solver.pool import Bundles, Pool

# A peak that falls by less than this share of itself has not fallen: no search is for the last digits.
LEAST_FALL = 1e-7


@kernel
def settle(pool: Pool, target: float) -> None:
    """Lower the peak swap by swap, until it is at most ``target`` or no swap lowers it.

    Each time the swap that leaves the peak GPU and its partner lowest is made: of one replica for one where any
    lowers the peak, otherwise of two for two.
    """
    lowered = True
    while lowered and peak(pool) > target:
        lowered = _swap_best(pool, pool.singles, target)
        if not lowered:
            sort_pairs(pool)
            lowered = _swap_best(pool, pool.pairs, target)


@kernel
def _swap_best(pool: Pool, bundles: Bundles, target: float) -> bool:
    """Make the best swap of a bundle of the peak GPU for one of another; return whether any lowers the peak."""
    heavy = pool.ranking[0]
    best = peak(pool) * (1 - LEAST_FALL)
    partner, give, take = -1, -1, -1
    for at in range(pool.ranking.size - 1, 0, -1):
        light = pool.ranking[at]
        # The two loads can at best be made equal, and the GPUs still to come are heavier.
        if best <= target or (peak(pool) + pool.gpu_load[light]) / 2 >= best:
            break
        after, i, j = _best_exchange(pool, bundles, heavy, light, best)
        if after < best:
            best, partner, give, take = after, light, i, j
    if partner < 0:
        return False
    swap_bundles(pool, bundles, heavy, give, partner, take)
    return True


@kernel
def _best_exchange(pool: Pool, bundles: Bundles, heavy: int, light: int, best: float) -> tuple[float, int, int]:
    """Find the bundles whose exchange leaves the heavier of two GPUs lowest, below ``best``.

    The exchange moves the bundles' difference in load; half the GPUs' difference would make them equal. Both lists
    fall, so one walk along both passes the differences closest to that half: where the difference is too large, the
    next smaller bundle of the heavy GPU is tried, otherwise that of the light one. A bundle with an expert that the
    other GPU holds, or that would be on too few domains, is passed over.
    """
    heavy_load, light_load = pool.gpu_load[heavy], pool.gpu_load[light]
    half = (heavy_load - light_load) / 2
    count = bundles.load.shape[1]
    give, take = -1, -1
    i, j = 0, 0
    while i < count and j < count:
        moved = bundles.load[heavy, i] - bundles.load[light, j]
        too_much = moved > half
        after = light_load + moved if too_much else heavy_load - moved
        if after < best:
            if not _may_go(pool, bundles, heavy, i, light):
                i += 1
                continue
            if not _may_go(pool, bundles, light, j, heavy):
                j += 1
                continue
            best, give, take = after, i, j
        if too_much:
            i += 1
        else:
            j += 1
    return best, give, take


@kernel
def _may_go(pool: Pool, bundles: Bundles, gpu: int, bundle: int, other: int) -> bool:
    """Return whether the other GPU lacks the experts of this bundle, and they stay on enough domains."""
    first, second = pool.slots[gpu, bundles.first[gpu, bundle]], pool.slots[gpu, bundles.second[gpu, bundle]]
    if holds(pool, other, first) or holds(pool, other, second):
        return False
    return stays_apart(pool, first, gpu, other) and stays_apart(pool, second, gpu, other)
