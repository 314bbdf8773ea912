"""Other starting points, where refinement ends too high: other replica counts, and everything packed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.packing import pack
from equipoise.solver.pool import copy_pool, peak
from equipoise.solver.replication import replicate, replicate_sparingly
from equipoise.solver.swaps import settle
from equipoise.solver.transfers import refine

if TYPE_CHECKING:
    from equipoise.solver.pool import Pool, Queues
    from equipoise.solver.transfers import Search


@kernel
def first_transfer(pool: Pool) -> tuple[int, int]:
    """Choose receiver and donor in a pool just packed, as refinement did at first; both -1 where that would not pay.

    The receiver is the heaviest expert of the peak GPU. The donor is the expert of the lightest GPU that has copies to
    give and whose replicas grow least.
    """
    heavy, light = pool.ranking[0], pool.ranking[-1]
    receiver, donor, cost = pool.slots[heavy, 0], -1, np.inf
    for place in range(pool.slots.shape[1]):
        expert = pool.slots[light, place]
        if expert != receiver and pool.copies[expert] > pool.least:
            growth = pool.share[expert] / (pool.copies[expert] - 1)
            if growth < cost or (growth == cost and expert < donor):
                donor, cost = expert, growth
    pays = pool.share[receiver] / (pool.copies[receiver] + 1) > cost
    if not pays or pool.copies[receiver] == pool.holders.shape[1] or peak(pool) == pool.gpu_load[light]:
        return -1, -1
    return receiver, donor


@kernel
def try_other_counts(
    pool: Pool, queues: Queues, search: Search, best: Pool, receiver: int, donor: int, target: float, good_enough: float
) -> None:
    """Look for a lower peak from two other starting points: the first counts but for one transfer, and sparing ones.

    best: a pool of the same size, overwritten.
    """
    copy_pool(pool, best)
    if receiver >= 0:
        replicate(pool, queues)
        pool.copies[receiver] += 1
        pool.copies[donor] -= 1
        _pack_again(pool, queues, search, best, target, good_enough)
    if peak(best) > good_enough and replicate_sparingly(pool, queues, target):
        _pack_again(pool, queues, search, best, target, good_enough)
    copy_pool(best, pool)


@kernel
def _pack_again(pool: Pool, queues: Queues, search: Search, best: Pool, target: float, good_enough: float) -> None:
    """Pack with the counts that the pool has now; refine and keep that in ``best`` if the peak is lower than there."""
    pack(pool, queues)
    settle(pool, target)
    if peak(pool) < peak(best):
        refine(pool, search, target, good_enough)
        copy_pool(pool, best)
