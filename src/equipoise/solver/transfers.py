"""Step 4, refine: transfer a replica from a cold expert to a hot one where that lowers the peak."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.pool import Pool, copy_pool, empty_pool, holds, peak, stays_apart, transfer
from equipoise.solver.swaps import LEAST_FALL, settle

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers


class Transfers(NamedTuple):
    """The most promising transfers, best first."""

    score: Floats  # [length], the largest load that it leaves where loads change
    receiver: Integers  # [length], the expert that gets the slot
    donor: Integers  # [length], the expert that gives it
    gpu: Integers  # [length], where the slot is


def empty_transfers(length: int) -> Transfers:
    """Return room for this many transfers."""
    return Transfers(np.zeros(length), *(np.zeros(length, np.int64) for _ in range(3)))


class Search(NamedTuple):
    """How much to try, as the lengths of the lists, and the pools to return to when a try fails."""

    tries: Transfers  # the transfers that a round tries
    kicks: Transfers  # the transfers that are made although they do not help, once none does
    before_try: Pool
    before_kick: Pool


def empty_search(experts: int, gpus: int, slots_per_gpu: int, tries: int, kicks: int) -> Search:
    """Return what refining a pool of this size needs."""
    return Search(
        tries=empty_transfers(tries),
        kicks=empty_transfers(kicks),
        before_try=empty_pool(experts, gpus, slots_per_gpu),
        before_kick=empty_pool(experts, gpus, slots_per_gpu),
    )


@kernel
def refine(pool: Pool, search: Search, target: float, good_enough: float) -> None:
    """Lower the peak by swaps until it is at most ``target``, and by transfers too while it is above ``good_enough``.

    Where no single transfer helps, a kick may: one is made all the same, and the search goes on from there. What it
    ends with is kept only if the peak is lower than before the kick.
    """
    _descend(pool, search, target, good_enough)
    improved = True
    while improved and peak(pool) > good_enough:
        improved = False
        enough = peak(pool) * (1 - LEAST_FALL)
        found = _rank_transfers(pool, search.kicks)
        copy_pool(pool, search.before_kick)
        for i in range(found):
            _make(pool, search.kicks, i)
            _descend(pool, search, target, good_enough)
            if peak(pool) < enough:
                improved = True
                break
            copy_pool(search.before_kick, pool)


@kernel
def _descend(pool: Pool, search: Search, target: float, good_enough: float) -> None:
    """Lower the peak by swaps, then by transfers that swaps settle.

    A transfer gives one slot of the donor expert to the receiver expert: the receiver's replicas shrink, the donor's
    grow, and no GPU but their holders notices.
    """
    settle(pool, target)
    while peak(pool) > good_enough and improve(pool, search, target):
        pass


@kernel
def improve(pool: Pool, search: Search, target: float) -> bool:
    """Make the first of the best transfers after which, once swaps have settled it, the peak is lower.

    Returns whether there is one.
    """
    enough = peak(pool) * (1 - LEAST_FALL)
    found = _rank_transfers(pool, search.tries)
    copy_pool(pool, search.before_try)
    for i in range(found):
        _make(pool, search.tries, i)
        settle(pool, target)
        if peak(pool) < enough:
            return True
        copy_pool(search.before_try, pool)
    return False


@kernel
def _make(pool: Pool, transfers: Transfers, i: int) -> None:
    transfer(pool, transfers.receiver[i], transfers.donor[i], transfers.gpu[i])


@kernel
def _rank_transfers(pool: Pool, transfers: Transfers) -> int:
    """List the transfers that relieve the peak GPU, those first that leave the least load where loads change.

    Returns how many there are, at most as many as the list has room for.
    """
    found = 0
    if transfers.score.size == 0:
        return found
    for donor in range(pool.load.size):
        if pool.copies[donor] > pool.least:
            for i in range(pool.copies[donor]):
                gpu = pool.holders[donor, i]
                if stays_apart(pool, donor, gpu, -1):
                    found = _rank_receivers(pool, transfers, found, donor, gpu)
    return found


@kernel
def _rank_receivers(pool: Pool, transfers: Transfers, found: int, donor: int, gpu: int) -> int:
    """Enter the transfers of one slot into the list; return the list's length.

    Either the slot is on the peak GPU and a lighter receiver takes the donor's place, or the receiver is on the peak
    GPU and its replicas shrink.
    """
    heavy, most_copies = pool.ranking[0], pool.holders.shape[1]
    rise = pool.load[donor] / (pool.copies[donor] - 1) - pool.share[donor]
    others = _highest_of_others(pool, donor, gpu) + rise
    heavy_rise = rise if gpu != heavy and holds(pool, heavy, donor) else 0.0
    for at in range(pool.load.size if gpu == heavy else pool.slots.shape[1]):
        receiver = at if gpu == heavy else pool.slots[heavy, at]
        smaller = pool.load[receiver] / (pool.copies[receiver] + 1)
        slot_load = pool.gpu_load[gpu] - pool.share[donor] + smaller
        heavy_load = slot_load if gpu == heavy else pool.gpu_load[heavy] - pool.share[receiver] + smaller + heavy_rise
        score = max(others, slot_load, heavy_load)
        if heavy_load >= pool.gpu_load[heavy] or not _belongs(transfers, found, score):
            continue
        if pool.copies[receiver] == most_copies or holds(pool, gpu, receiver):
            continue
        score = max(score, _highest_of_others(pool, receiver, gpu) - pool.share[receiver] + smaller)
        if _belongs(transfers, found, score):
            found = _enter(transfers, found, score, receiver, donor, gpu)
    return found


@kernel
def _highest_of_others(pool: Pool, expert: int, gpu: int) -> float:
    """Return the largest load among the expert's holders but for this GPU and the peak GPU."""
    highest = 0.0
    for i in range(pool.copies[expert]):
        other = pool.holders[expert, i]
        if other not in (gpu, pool.ranking[0]):
            highest = max(highest, pool.gpu_load[other])
    return highest


@kernel
def _belongs(transfers: Transfers, found: int, score: float) -> bool:
    """Return whether a transfer of this score is among the best so far."""
    return found < transfers.score.size or score < transfers.score[found - 1]


@kernel
def _enter(transfers: Transfers, found: int, score: float, receiver: int, donor: int, gpu: int) -> int:
    """Put a transfer into its place of the list, after those of equal score; return the list's length."""
    found = min(found + 1, transfers.score.size)
    at = found - 1
    while at > 0 and transfers.score[at - 1] > score:
        transfers.score[at] = transfers.score[at - 1]
        transfers.receiver[at] = transfers.receiver[at - 1]
        transfers.donor[at] = transfers.donor[at - 1]
        transfers.gpu[at] = transfers.gpu[at - 1]
        at -= 1
    transfers.score[at] = score
    transfers.receiver[at], transfers.donor[at], transfers.gpu[at] = receiver, donor, gpu
    return found
