"""Step 4 where changes have a price: relieve the peak GPU, each time by the change that is worth most for its price.

What is bought is *relief*: less pressure. The pressure of a GPU is the square of its load above the aim, a peak to come
near to, and counts for all GPUs together. It sees what the peak alone does not: that a transfer lightens all holders of
an expert, and that a GPU brought below the aim needs no second change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.course import GIVE, GPU, RECEIVER, TAKE, note
from equipoise.solver.pool import Pool, holds, peak, swap_parcels, transfer
from equipoise.solver.pricing import is_off, price_of_adding, price_of_dropping, price_parcels

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers
    from equipoise.solver.course import Course
    from equipoise.solver.pricing import Terms

# Pressure that falls by less than this share of the peak's square has not fallen: nobody notices a GPU that is a
# hundred-thousandth above the aim.
LEAST_RELIEF = 1e-10
# What costs nothing, or brings a replica back to where it was, is still a change: it counts as a quarter of a move.
LEAST_PRICE = 0.25


class Room(NamedTuple):
    """Room for what is known of replicas while one change is chosen."""

    give: Floats  # [slots per GPU], price of moving the peak GPU's replica to the GPU at hand
    take: Floats  # [slots per GPU], price of moving the replica of the GPU at hand to the peak GPU
    smaller: Floats  # [experts], load of a replica if there were one more; inf where there cannot be
    relief: Floats  # [experts], relief of the GPUs that hold the expert, if there were one more replica
    away: Integers  # [experts], replicas off the expert's home node


def empty_room(experts: int, slots_per_gpu: int) -> Room:
    """Return room for the replicas of this many experts."""
    give, take = np.zeros(slots_per_gpu), np.zeros(slots_per_gpu)
    return Room(give, take, np.zeros(experts), np.zeros(experts), np.zeros(experts, np.int64))


@kernel
def relieve(
    pool: Pool, terms: Terms, room: Room, aim: float, known_changes: int, most_changes: int, course: Course
) -> int:
    """Swap and transfer replicas of the peak GPU until the peak is at most ``aim``, or no change gives relief.

    The peak never rises. The first changes may be known, from a course taken before. Notes the course and returns how
    many changes were made, at most ``most_changes``.
    """
    note(pool, terms, course, 0)
    for made in range(most_changes):
        change = course.change[made]
        if made >= known_changes and not _choose(pool, terms, room, aim, change):
            return made
        if change[RECEIVER] < 0:
            swap_parcels(pool, pool.singles, pool.ranking[0], change[GIVE], change[GPU], change[TAKE])
        else:
            transfer(pool, change[RECEIVER], change[GIVE], change[GPU])
        note(pool, terms, course, made + 1)
    return most_changes


@kernel
def _choose(pool: Pool, terms: Terms, room: Room, aim: float, change: Integers) -> bool:
    """Write the change that gives most relief for its price; return whether any is needed and gives some."""
    if peak(pool) <= aim:
        return False
    worth, receiver, donor, gpu = _best_transfer(pool, terms, room, aim, LEAST_RELIEF * peak(pool) ** 2)
    light, give, take = _best_swap(pool, terms, room, aim, worth)
    if light >= 0:
        change[GPU], change[GIVE], change[TAKE], change[RECEIVER] = light, give, take, -1
    else:
        change[GPU], change[GIVE], change[TAKE], change[RECEIVER] = gpu, donor, -1, receiver
    return light >= 0 or receiver >= 0


@kernel
def _best_swap(pool: Pool, terms: Terms, room: Room, aim: float, worth: float) -> tuple[int, int, int]:
    """Find the swap of the peak GPU that gives more than ``worth``, and most, relief for its price.

    Returns the other GPU and the slots on both; -1 for all where no swap does.
    """
    heavy = pool.ranking[0]
    best = -1, -1, -1
    for at in range(pool.ranking.size - 1, 0, -1):
        light = pool.ranking[at]
        # The two loads can at best be made equal, and the GPUs still to come are heavier.
        most = _pressure(peak(pool), aim) + _pressure(pool.gpu_load[light], aim)
        most -= 2 * _pressure((peak(pool) + pool.gpu_load[light]) / 2, aim)
        if most <= worth * LEAST_PRICE:
            break
        least = price_parcels(pool, terms, heavy, light, room.give)
        least += price_parcels(pool, terms, light, heavy, room.take)
        if most > worth * max(least, LEAST_PRICE):
            worth, give, take = _best_exchange(pool, room, heavy, light, aim, worth)
            if give >= 0:
                best = light, give, take
    return best


@kernel
def _best_exchange(pool: Pool, room: Room, heavy: int, light: int, aim: float, worth: float) -> tuple[float, int, int]:
    """Find the two replicas whose exchange gives more than ``worth``, and most, relief for its price."""
    heavy_load, light_load = pool.gpu_load[heavy], pool.gpu_load[light]
    before = _pressure(heavy_load, aim) + _pressure(light_load, aim)
    best_give, best_take = -1, -1
    first = 0
    for give in range(room.give.size):
        while first < room.take.size and pool.pieces[light, first] >= pool.pieces[heavy, give]:
            first += 1  # both lists fall: what is too heavy for this replica is for the next
        for take in range(first, room.take.size):
            moved = pool.pieces[heavy, give] - pool.pieces[light, take]
            if moved >= heavy_load - light_load:
                break
            relief = before - _pressure(heavy_load - moved, aim) - _pressure(light_load + moved, aim)
            price = max(room.give[give] + room.take[take], LEAST_PRICE)
            if relief <= worth * price:
                continue
            if not holds(pool, light, pool.slots[heavy, give]) and not holds(pool, heavy, pool.slots[light, take]):
                worth, best_give, best_take = relief / price, give, take
    return worth, best_give, best_take


@kernel
def _best_transfer(pool: Pool, terms: Terms, room: Room, aim: float, worth: float) -> tuple[float, int, int, int]:
    """Find the transfer that relieves the peak GPU and gives more than ``worth``, and most, relief for its price.

    Returns that ratio, the expert that gets a slot, the one that gives it, and where the slot is; ``worth`` and -1 for
    the others where no transfer does.
    """
    _weigh_receivers(pool, terms, room, aim)
    best = worth, -1, -1, -1
    for donor in range(pool.load.size):
        if pool.copies[donor] > 1:
            for i in range(pool.copies[donor]):
                gpu = pool.holders[donor, i]
                found, receiver = _best_receiver(pool, terms, room, aim, best[0], donor, gpu)
                if receiver >= 0:
                    best = found, receiver, donor, gpu
    return best


@kernel
def _weigh_receivers(pool: Pool, terms: Terms, room: Room, aim: float) -> None:
    """Write for every expert what one more replica changes, whichever GPU gets it."""
    for expert in range(pool.load.size):
        copies, away, relief = pool.copies[expert], 0, 0.0
        smaller = pool.load[expert] / (copies + 1) if copies < pool.holders.shape[1] else np.inf
        for i in range(copies):
            gpu = pool.holders[expert, i]
            load = pool.gpu_load[gpu]
            relief += _pressure(load, aim) - _pressure(load - pool.share[expert] + smaller, aim)
            away += int(is_off(terms.home[expert], terms.node[gpu]))
        room.smaller[expert], room.relief[expert], room.away[expert] = smaller, relief, away


@kernel
def _best_receiver(
    pool: Pool, terms: Terms, room: Room, aim: float, worth: float, donor: int, gpu: int
) -> tuple[float, int]:
    """Find the expert that makes the best use of one slot of the donor's; -1 where none is worth enough.

    Either the slot is on the peak GPU and a lighter receiver takes the donor's place, or the receiver is on the peak
    GPU and its replicas shrink. The donor's other replicas grow. Where one of them shares a GPU, other than these two,
    with a replica of the receiver, what they do to each other is not taken off: relief is rather too low than too high.
    """
    heavy, best = pool.ranking[0], -1
    rise = pool.load[donor] / (pool.copies[donor] - 1) - pool.share[donor]
    heavy_rise, gain = 0.0, _pressure(pool.gpu_load[gpu], aim)
    for i in range(pool.copies[donor]):
        other = pool.holders[donor, i]
        if other == gpu:
            continue
        if other == heavy:
            heavy_rise = rise
            continue
        load = pool.gpu_load[other]
        if load + rise >= peak(pool):
            return worth, -1
        gain -= _pressure(load + rise, aim) - _pressure(load, aim)
    rest = pool.gpu_load[gpu] - pool.share[donor]
    given_up = price_of_dropping(pool, terms, donor, gpu, room.away[donor])
    for at in range(pool.load.size if gpu == heavy else pool.slots.shape[1]):
        receiver = at if gpu == heavy else pool.slots[heavy, at]
        slot_load = rest + room.smaller[receiver]
        relief = gain + room.relief[receiver] - _pressure(slot_load, aim)
        if slot_load >= peak(pool) or relief <= worth * LEAST_PRICE:
            continue
        if heavy_rise > 0:
            heavy_load = peak(pool) - pool.share[receiver] + room.smaller[receiver]
            relief -= _pressure(heavy_load + heavy_rise, aim) - _pressure(heavy_load, aim)
            if heavy_load + heavy_rise >= peak(pool):
                continue
        price = max(given_up + price_of_adding(pool, terms, receiver, gpu, room.away[receiver]), LEAST_PRICE)
        if relief > worth * price and not holds(pool, gpu, receiver):
            worth, best = relief / price, receiver
    return worth, best


@kernel
def _pressure(load: float, aim: float) -> float:
    """Return how much a GPU of this load asks for relief."""
    above = max(load - aim, 0.0)
    return above * above
