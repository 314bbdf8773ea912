"""Room for an expert that is on too few domains: a free slot of another one, or what has to give way there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.occupancy import can_go, domains_of, empty, loss_of, put, remove
from equipoise.solver.pool import Pool, Queues, contains
from equipoise.solver.prices import ANYWHERE, is_off

if TYPE_CHECKING:
    from equipoise.solver.arrays import Integers


@kernel
def make_room(pool: Pool, queues: Queues, expert: int, home: Integers, node: Integers, at_home: bool) -> int:
    """Return a GPU of another domain than the expert is on, with a free slot; -1 if there can be none.

    If need be a replica is removed; or one moves to a free slot, or to that of another which is removed. An expert with
    two in one domain needs no more of them, but another place: before others are removed, one moves to where it is. An
    expert that lives nowhere has no domain in its way, and needs no other to move.

    at_home: whether what moves is to be at home.
    """
    of_expert = home[expert] if at_home else ANYWHERE
    gpu = lightest_with_room(pool, queues, expert, of_expert, node)
    if gpu < 0 and domains_of(queues.there, expert) < pool.copies[expert]:
        gpu = _exchange(pool, queues, expert, expert, home, node, at_home)
    if gpu < 0:
        gpu = _remove_lightest(pool, queues, expert, of_expert, node)
    if gpu < 0 and pool.copies[expert] > 0:
        gpu = _exchange(pool, queues, expert, -1, home, node, at_home)
    return gpu


@kernel
def lightest_with_room(pool: Pool, queues: Queues, expert: int, home: int, node: Integers) -> int:
    """Return the least loaded GPU of the node, or of any, that has a free slot; -1 where none has.

    expert: whose domains do not count; -1 where all do.
    """
    lightest, least, filled = -1, np.inf, queues.filled
    for gpu in range(filled.size):
        if filled[gpu] == pool.slots.shape[1] or is_off(home, node[gpu]):
            continue
        if expert < 0 or queues.there[expert, pool.domain[gpu]] == 0:
            load = 0.0
            for place in range(filled[gpu]):
                load += pool.load[pool.slots[gpu, place]] / pool.copies[pool.slots[gpu, place]]
            if load < least:
                lightest, least = gpu, load
    return lightest


@kernel
def _remove_lightest(pool: Pool, queues: Queues, expert: int, home: int, node: Integers) -> int:
    """Remove a replica of the node, or of any, whose expert's others grow the least in load; return its GPU.

    None is removed where the expert is that is to come. -1 where no other has a replica to spare.
    """
    chosen, at, least = -1, -1, np.inf
    for gpu in range(queues.filled.size):
        if not is_off(home, node[gpu]) and queues.there[expert, pool.domain[gpu]] == 0:
            for place in range(queues.filled[gpu]):
                loss = loss_of(pool, queues.there, pool.slots[gpu, place], gpu)
                if loss < least:
                    chosen, at, least = gpu, place, loss
    if chosen >= 0:
        remove(pool, queues, chosen, at)
    return chosen


@kernel
def _exchange(
    pool: Pool, queues: Queues, expert: int, spared: int, home: Integers, node: Integers, at_home: bool
) -> int:
    """Move a replica to a free slot, or to that of one which is removed; return the GPU that it left, -1 if none can.

    That is on a domain which lacks the expert. What changes the loads of the GPUs least is taken.

    spared: the expert of which one is removed; -1 for any, or where a slot is free.
    """
    filled, there = queues.filled, queues.there
    least, gpu, place, other, other_place = np.inf, -1, -1, -1, -1
    for to in range(filled.size):
        for i in range(min(filled[to] + 1, pool.slots.shape[1])):
            share, loss = 0.0, 0.0
            if i < filled[to]:
                old = pool.slots[to, i]
                if spared not in (-1, old) or not can_go(pool, there, old, to):
                    continue
                share = pool.load[old] / pool.copies[old]
                loss = 0.0 if old == expert else loss_of(pool, there, old, to)
            elif spared >= 0:
                continue
            harm, come_from, j = _best_to_move(pool, queues, expert, to, share, home, node, at_home)
            if harm + loss < least:
                least, gpu, place, other, other_place = harm + loss, come_from, j, to, i
    if gpu >= 0:
        moved = pool.slots[gpu, place]
        if other_place < filled[other]:
            remove(pool, queues, other, other_place)
        remove(pool, queues, gpu, place)
        put(pool, queues, moved, other)
    return gpu


@kernel
def _best_to_move(
    pool: Pool, queues: Queues, expert: int, to: int, share: float, home: Integers, node: Integers, at_home: bool
) -> tuple[float, int, int]:
    """Find the replica that best goes to a GPU, for the expert to have its slot: it changes least there and here.

    share: the load that it replaces. Returns by how much loads change, inf if nothing can go, the GPU, and the place.
    """
    least, gpu, place = np.inf, -1, -1
    new_share = pool.load[expert] / max(pool.copies[expert], 1)
    for come_from in range(queues.filled.size):
        off = at_home and is_off(home[expert], node[come_from])
        if off or queues.there[expert, pool.domain[come_from]] > 0:
            continue
        for i in range(queues.filled[come_from]):
            moved = pool.slots[come_from, i]
            old_share = pool.load[moved] / pool.copies[moved]
            harm = abs(old_share - share) + abs(new_share - old_share)
            off = at_home and is_off(home[moved], node[to])
            if harm < least and not off and _can_move(pool, queues, moved, come_from, to):
                least, gpu, place = harm, come_from, i
    return least, gpu, place


@kernel
def _can_move(pool: Pool, queues: Queues, expert: int, gpu: int, other: int) -> bool:
    """Return whether the other GPU lacks the expert, which is on no fewer domains once its replica is there."""
    if contains(pool, queues.filled, other, expert):
        return False
    return queues.there[expert, pool.domain[other]] == 0 or can_go(pool, queues.there, expert, gpu)


@kernel
def deal(pool: Pool, queues: Queues) -> None:
    """Put every expert on the fewest domains that it must be on, from nothing: where most is free, one by one.

    If there is a way at all, this is one: what is left stays as even as it can be (Gale and Ryser). Whether single
    exchanges always mend what is live is not proven; in 40,000 random layers, as full as can be, they did.
    """
    empty(pool, queues)
    for expert in range(pool.load.size):
        for _ in range(pool.least):
            put(pool, queues, expert, _emptiest(pool, queues, expert))


@kernel
def _emptiest(pool: Pool, queues: Queues, expert: int) -> int:
    """Return the GPU with the most free slots of the domain with the most that lacks the expert."""
    found, most, most_of_domain = -1, 0, 0
    for gpu in range(queues.filled.size):
        free, free_of_domain = pool.slots.shape[1] - queues.filled[gpu], 0
        for other in range(queues.filled.size):
            if pool.domain[other] == pool.domain[gpu]:
                free_of_domain += pool.slots.shape[1] - queues.filled[other]
        better = free_of_domain > most_of_domain or (free_of_domain == most_of_domain and free > most)
        if better and queues.there[expert, pool.domain[gpu]] == 0:
            found, most, most_of_domain = gpu, free, free_of_domain
    return found
