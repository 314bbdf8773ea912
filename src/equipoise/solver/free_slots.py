"""Steps 2 and 3 where most slots are taken already: which experts get those that are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.solver.compiling import kernel
from equipoise.solver.making_room import deal, lightest_with_room, make_room
from equipoise.solver.occupancy import domains_of, empty, loss_of, put
from equipoise.solver.pool import Pool, Queues, contains, weigh_all
from equipoise.solver.prices import ANYWHERE, is_off

if TYPE_CHECKING:
    from equipoise.solver.arrays import Integers


@kernel
def fill(pool: Pool, queues: Queues, live: Integers, home: Integers, node: Integers) -> None:
    """Put an expert into every free slot: first those on too few domains, then further replicas of the heaviest.

    live: int64 [gpus, live slots], the expert in each slot, none twice on a GPU; -1 where the slot is free. home:
    int64 [experts], the node that the expert should live on; -1 for any. node: int64 [gpus], the node of each.

    Where more experts live on a GPU than it shall have slots, those go that can best be spared; and where an expert
    misses a replica and there is no free slot for it, others make room. Reads the pool's loads and writes all that
    follows.
    """
    filled, there = queues.filled, queues.there
    _take_over(pool, queues, live)
    missing = _heaviest_missing(pool, there)
    while missing >= 0:
        gpu = make_room(pool, queues, missing, home, node, True)
        if gpu < 0:
            gpu = make_room(pool, queues, missing, home, node, False)
        if gpu < 0:
            deal(pool, queues)
            break
        put(pool, queues, missing, gpu)
        missing = _heaviest_missing(pool, there)
    gpu = lightest_with_room(pool, queues, -1, ANYWHERE, node)
    while gpu >= 0:
        put(pool, queues, _heaviest_lacking(pool, filled, gpu, home, node[gpu]), gpu)
        gpu = lightest_with_room(pool, queues, -1, ANYWHERE, node)
    _note_holders(pool)
    weigh_all(pool, queues)


@kernel
def _take_over(pool: Pool, queues: Queues, live: Integers) -> None:
    """Make the live replicas the pool's, in the first slots of each GPU, but for those that no slot is left for."""
    filled = queues.filled
    empty(pool, queues)
    for gpu in range(filled.size):
        for place in range(live.shape[1]):
            if live[gpu, place] >= 0:
                pool.copies[live[gpu, place]] += 1
                queues.there[live[gpu, place], pool.domain[gpu]] += 1
    for gpu in range(filled.size):
        for place in range(live.shape[1]):
            expert = live[gpu, place]
            if expert < 0:
                continue
            if filled[gpu] == pool.slots.shape[1]:
                expert = _exchange_for_lightest(pool, queues.there, gpu, expert)
                pool.copies[expert] -= 1
                queues.there[expert, pool.domain[gpu]] -= 1
                continue
            pool.slots[gpu, filled[gpu]] = expert
            filled[gpu] += 1


@kernel
def _exchange_for_lightest(pool: Pool, there: Integers, gpu: int, expert: int) -> int:
    """Put a replica into the slot of one that can better be spared; return the one that stays out."""
    at, least = -1, loss_of(pool, there, expert, gpu)
    for place in range(pool.slots.shape[1]):
        loss = loss_of(pool, there, pool.slots[gpu, place], gpu)
        if loss < least:
            at, least = place, loss
    if at < 0:
        return expert
    spared: int = pool.slots[gpu, at]
    pool.slots[gpu, at] = expert
    return spared


@kernel
def _heaviest_missing(pool: Pool, there: Integers) -> int:
    """Return the heaviest expert on too few domains; -1 where there is none."""
    heaviest = -1
    for expert in range(pool.load.size):
        lighter = heaviest >= 0 and pool.load[expert] <= pool.load[heaviest]
        if not lighter and domains_of(there, expert) < pool.least:
            heaviest = expert
    return heaviest


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
