"""Steps 2 and 3 where most slots are taken already: which experts get those that are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.pool import Pool, Queues, contains, weigh_all
from equipoise.solver.prices import ANYWHERE, is_off

if TYPE_CHECKING:
    from equipoise.solver.arrays import Integers


@kernel
def fill(pool: Pool, queues: Queues, live: Integers, home: Integers, node: Integers) -> None:
    """Put an expert into every free slot: first those that live nowhere, then further replicas of the heaviest.

    live: int64 [gpus, live slots], the expert in each slot, none twice on a GPU; -1 where the slot is free. home:
    int64 [experts], the node that the expert should live on; -1 for any. node: int64 [gpus], the node of each.

    Where more experts live on a GPU than it shall have slots, those go that can best be spared; and where an expert
    lives nowhere and its node has no free slot, it gets that of a replica which can. Reads the pool's loads and writes
    all that follows.
    """
    filled = queues.filled
    _take_over(pool, filled, live)
    missing = _heaviest_missing(pool)
    while missing >= 0:
        gpu = _make_room(pool, filled, home[missing], node)
        if gpu < 0:
            gpu = _make_room(pool, filled, ANYWHERE, node)
        _put(pool, filled, missing, gpu)
        missing = _heaviest_missing(pool)
    gpu = _lightest_with_room(pool, filled, ANYWHERE, node)
    while gpu >= 0:
        _put(pool, filled, _heaviest_lacking(pool, filled, gpu, home, node[gpu]), gpu)
        gpu = _lightest_with_room(pool, filled, ANYWHERE, node)
    _note_holders(pool)
    weigh_all(pool, queues)


@kernel
def _take_over(pool: Pool, filled: Integers, live: Integers) -> None:
    """Make the live replicas the pool's, in the first slots of each GPU, but for those that no slot is left for."""
    for expert in range(pool.load.size):
        pool.copies[expert] = 0
    for gpu in range(filled.size):
        filled[gpu] = 0
        for place in range(live.shape[1]):
            if live[gpu, place] >= 0:
                pool.copies[live[gpu, place]] += 1
    for gpu in range(filled.size):
        for place in range(live.shape[1]):
            expert = live[gpu, place]
            if expert < 0:
                continue
            if filled[gpu] == pool.slots.shape[1]:
                expert = _exchange_for_lightest(pool, gpu, expert)
                pool.copies[expert] -= 1
                continue
            pool.slots[gpu, filled[gpu]] = expert
            filled[gpu] += 1


@kernel
def _exchange_for_lightest(pool: Pool, gpu: int, expert: int) -> int:
    """Put a replica into the slot of one that can better be spared; return the one that stays out."""
    at, least = -1, _loss(pool, expert)
    for place in range(pool.slots.shape[1]):
        loss = _loss(pool, pool.slots[gpu, place])
        if loss < least:
            at, least = place, loss
    if at < 0:
        return expert
    spared: int = pool.slots[gpu, at]
    pool.slots[gpu, at] = expert
    return spared


@kernel
def _loss(pool: Pool, expert: int) -> float:
    """Return by how much the expert's replicas grow when one goes; inf for the last."""
    copies = pool.copies[expert]
    return pool.load[expert] / (copies - 1) - pool.load[expert] / copies if copies > 1 else np.inf


@kernel
def _put(pool: Pool, filled: Integers, expert: int, gpu: int) -> None:
    pool.slots[gpu, filled[gpu]] = expert
    filled[gpu] += 1
    pool.copies[expert] += 1


@kernel
def _heaviest_missing(pool: Pool) -> int:
    """Return the heaviest expert without a replica; -1 where all have one."""
    heaviest = -1
    for expert in range(pool.load.size):
        if pool.copies[expert] == 0 and (heaviest < 0 or pool.load[expert] > pool.load[heaviest]):
            heaviest = expert
    return heaviest


@kernel
def _make_room(pool: Pool, filled: Integers, home: int, node: Integers) -> int:
    """Return a GPU of the node with a free slot, if need be after a replica has been removed; -1 if none can be."""
    gpu = _lightest_with_room(pool, filled, home, node)
    return gpu if gpu >= 0 else _remove_lightest(pool, filled, home, node)


@kernel
def _lightest_with_room(pool: Pool, filled: Integers, home: int, node: Integers) -> int:
    """Return the least loaded GPU of the node, or of any, that has a free slot; -1 where none has."""
    lightest, least = -1, np.inf
    for gpu in range(filled.size):
        if filled[gpu] < pool.slots.shape[1] and not is_off(home, node[gpu]):
            load = 0.0
            for place in range(filled[gpu]):
                load += pool.load[pool.slots[gpu, place]] / pool.copies[pool.slots[gpu, place]]
            if load < least:
                lightest, least = gpu, load
    return lightest


@kernel
def _remove_lightest(pool: Pool, filled: Integers, home: int, node: Integers) -> int:
    """Remove a replica of the expert of the node, or of any, whose others grow the least in load; return its GPU.

    -1 where none has a replica to spare.
    """
    chosen, at, least = -1, -1, np.inf
    for gpu in range(filled.size):
        if not is_off(home, node[gpu]):
            for place in range(filled[gpu]):
                loss = _loss(pool, pool.slots[gpu, place])
                if loss < least:
                    chosen, at, least = gpu, place, loss
    if chosen >= 0:
        filled[chosen] -= 1
        pool.copies[pool.slots[chosen, at]] -= 1
        pool.slots[chosen, at] = pool.slots[chosen, filled[chosen]]
    return chosen


@kernel
def _heaviest_lacking(pool: Pool, filled: Integers, gpu: int, home: Integers, node: int) -> int:
    """Return the expert whose replicas are heaviest of those that the GPU lacks: of its node, where it lacks any."""
    heaviest, most, at_home = -1, -1.0, False
    for expert in range(pool.load.size):
        share = pool.load[expert] / pool.copies[expert]
        belongs = not is_off(home[expert], node)
        better = share > most if belongs == at_home else belongs
        if better and not contains(pool, filled, gpu, expert):
            heaviest, most, at_home = expert, share, belongs
    return heaviest


@kernel
def _note_holders(pool: Pool) -> None:
    """Bring holders and shares up to date with the slots."""
    for expert in range(pool.load.size):
        pool.share[expert] = pool.load[expert] / pool.copies[expert]
        pool.copies[expert] = 0
    for gpu in range(pool.slots.shape[0]):
        for place in range(pool.slots.shape[1]):
            expert = pool.slots[gpu, place]
            pool.holders[expert, pool.copies[expert]] = gpu
            pool.copies[expert] += 1
