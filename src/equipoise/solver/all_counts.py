"""Small pools: every way to give out the replicas, each packed and settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.solver.compiling import kernel
from equipoise.solver.packing import pack
from equipoise.solver.pool import copy_pool, peak
from equipoise.solver.swaps import settle

if TYPE_CHECKING:
    from equipoise.solver.pool import Pool, Queues


@kernel
def try_all_counts(pool: Pool, queues: Queues, best: Pool, target: float) -> None:
    """Look for a lower peak with every possible replica counts, until one is at most ``target``.

    Whether a packing that swaps have settled is the best for its counts is not proven; it nearly always is where a
    pool is small enough for this.

    best: a pool of the same size, overwritten.
    """
    copy_pool(pool, best)
    _fill(pool, pool.load.size, pool.slots.size - pool.load.size * pool.least)
    more = True
    while more and peak(best) > target:
        pack(pool, queues)
        settle(pool, target)
        if peak(pool) < peak(best):
            copy_pool(pool, best)
        more = _next_counts(pool)
    copy_pool(best, pool)


@kernel
def _fill(pool: Pool, experts: int, redundant: int) -> None:
    """Give the replicas beyond the least to the first of these experts, to each as many as it can have."""
    most_copies = pool.holders.shape[1]
    for expert in range(experts):
        pool.copies[expert] = pool.least + min(redundant, most_copies - pool.least)
        redundant -= pool.copies[expert] - pool.least


@kernel
def _next_counts(pool: Pool) -> bool:
    """Go on to the next counts; return False after the last.

    One replica goes to the first expert that can take it from one before it; those before it start anew.
    """
    most_copies = pool.holders.shape[1]
    redundant = 0
    for expert in range(pool.load.size - 1):
        redundant += pool.copies[expert] - pool.least
        if redundant > 0 and pool.copies[expert + 1] < most_copies:
            pool.copies[expert + 1] += 1
            _fill(pool, expert + 1, redundant - 1)
            return True
    return False
