"""Step 4 where changes have a price, or windows differ: relieve one GPU after another of pressure.

Each time the change is made that gives most *relief*, less pressure on all GPUs together, for its price; see
:mod:`equipoise.solver.windows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.history import GIVE, GPU, RECEIVER, TAKE, note
from equipoise.solver.pool import Pool, holds, peak, swap_parcels, transfer
from equipoise.solver.prices import is_off, price_of_adding, price_of_dropping, price_parcels
from equipoise.solver.windows import mean_peak, next_pressed, set_aim, weigh_holders, weigh_windows

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers
    from equipoise.solver.history import Course
    from equipoise.solver.prices import Terms
    from equipoise.solver.windows import Windows

# Pressure that falls by less than this share of the peak's square has not fallen: nobody notices a GPU that is a
# hundred-thousandth above the aim.
LEAST_RELIEF = 1e-10
# What costs nothing, or brings a replica back to where it was, is still a change: it counts as a quarter of a move.
LEAST_PRICE = 0.25
# Where no change relieves the GPU of most pressure, others are tried: one for each window, but no more than this.
MOST_TRIED = 4


class Room(NamedTuple):
    """Room for what is known of replicas while one change is chosen."""

    give: Floats  # [slots per GPU], price of moving the pressed GPU's replica to the GPU at hand
    take: Floats  # [slots per GPU], price of moving the replica of the GPU at hand to the pressed GPU
    give_relief: Floats  # [slots per GPU], relief by as much as moves with the pressed GPU's replica, at most
    take_relief: Floats  # [slots per GPU], what of that the replica of the GPU at hand brings back, at least
    rest: Floats  # [windows], load of the GPU at hand without the slot at hand
    rise: Floats  # [windows], by how much the donor's other replicas grow
    fewer: Floats  # [experts], share of the load that a replica has if there is one more
    relief: Floats  # [experts], relief of the expert's holders if there is one more; -inf where there cannot be
    away: Integers  # [experts], replicas off the expert's home node


def empty_room(experts: int, slots_per_gpu: int, windows: int) -> Room:
    """Return room for the replicas of this many experts."""
    return Room(
        give=np.zeros(slots_per_gpu),
        take=np.zeros(slots_per_gpu),
        give_relief=np.zeros(slots_per_gpu),
        take_relief=np.zeros(slots_per_gpu),
        rest=np.zeros(windows),
        rise=np.zeros(windows),
        fewer=np.zeros(experts),
        relief=np.zeros(experts),
        away=np.zeros(experts, np.int64),
    )


@kernel
def relieve(
    pool: Pool,
    windows: Windows,
    terms: Terms,
    room: Room,
    aim: float,
    heights: Floats,
    known_changes: int,
    most_changes: int,
    course: Course,
) -> int:
    """Swap and transfer replicas of the GPUs of most pressure until no change gives relief; for every height anew.

    A height says how far above the aim pressure begins: 0 at the aim itself, where whatever is above the mean counts,
    and 1 at the peak of each window. A placement that is stuck at one height often is not at another.

    No transfer leaves a GPU with more pressure than the one relieved had; with one window, the peak never rises. The
    first changes may be known, from a course taken before, and are made at the first height. Notes the course and
    returns how many changes were made, at most ``most_changes``.
    """
    weigh_windows(pool, windows)
    note(pool, terms, course, 0, mean_peak(windows))
    made = 0
    for height in heights:
        set_aim(windows, aim, height)
        while made < most_changes:
            change = course.change[made]
            if made >= known_changes and not _choose(pool, windows, terms, room, change):
                break
            _make(pool, windows, change)
            made += 1
            note(pool, terms, course, made, mean_peak(windows))
    return made


@kernel
def _make(pool: Pool, windows: Windows, change: Integers) -> None:
    gpu, give, receiver, take = change[GPU], change[GIVE], change[RECEIVER], change[TAKE]
    if take >= 0:
        given, taken = pool.slots[gpu, give], pool.slots[receiver, take]
        swap_parcels(pool, pool.singles, gpu, give, receiver, take)
    else:
        given, taken = give, receiver
        transfer(pool, receiver, given, gpu)
    weigh_holders(pool, windows, given)
    weigh_holders(pool, windows, taken)


@kernel
def _choose(pool: Pool, windows: Windows, terms: Terms, room: Room, change: Integers) -> bool:
    """Write the change that gives most relief for its price; return whether any is needed and gives some."""
    _weigh_receivers(pool, windows, terms, room)
    heavy = -1
    for _ in range(min(len(windows.span), MOST_TRIED)):
        heavy = next_pressed(windows, heavy)
        if heavy < 0 or windows.pressure[heavy] <= 0:
            return False
        worth, receiver, donor, gpu = _best_transfer(pool, windows, terms, room, heavy, LEAST_RELIEF * peak(pool) ** 2)
        light, give, take = _best_swap(pool, windows, terms, room, heavy, worth)
        if light >= 0:
            change[GPU], change[GIVE], change[RECEIVER], change[TAKE] = heavy, give, light, take
            return True
        if receiver >= 0:
            change[GPU], change[GIVE], change[RECEIVER], change[TAKE] = gpu, donor, receiver, -1
            return True
    return False


@kernel
def _best_swap(
    pool: Pool, windows: Windows, terms: Terms, room: Room, heavy: int, worth: float
) -> tuple[int, int, int]:
    """Find the swap of the pressed GPU that gives more than ``worth``, and most, relief for its price.

    Returns the other GPU and the slots on both; -1 for all where no swap does.
    """
    best = -1, -1, -1
    for at in range(pool.ranking.size - 1, -1, -1):
        light = pool.ranking[at]
        # The two loads can at best be made equal, in every window.
        most = windows.pressure[heavy] + windows.pressure[light]
        for w in range(len(windows.span)):
            above = max((windows.gpu_load[heavy, w] + windows.gpu_load[light, w]) / 2 - windows.aim[w], 0.0)
            most -= 2 * above * above
        if light == heavy or most <= worth * LEAST_PRICE:
            continue
        least = price_parcels(pool, terms, heavy, light, room.give)
        least += price_parcels(pool, terms, light, heavy, room.take)
        if most > worth * max(least, LEAST_PRICE):
            worth, give, take = _best_exchange(pool, windows, room, heavy, light, worth)
            if give >= 0:
                best = light, give, take
    return best


@kernel
def _best_exchange(
    pool: Pool, windows: Windows, room: Room, heavy: int, light: int, worth: float
) -> tuple[float, int, int]:
    """Find the two replicas whose exchange gives more than ``worth``, and most, relief for its price.

    Pressure bends upward, which limits relief twice: to what the mean load alone would give, which with one window is
    all there is, and to what a load would give if the slope stayed what it is before anything moves.
    """
    before, mean_aim = windows.pressure[heavy] + windows.pressure[light], 0.0
    for w in range(len(windows.span)):
        mean_aim += windows.root[w] * windows.aim[w]
    heavy_mean, light_mean = pool.gpu_load[heavy] - mean_aim, pool.gpu_load[light] - mean_aim
    if len(windows.span) > 1:
        for place in range(room.give.size):
            given, taken = pool.slots[heavy, place], pool.slots[light, place]
            give_relief, take_relief = 0.0, 0.0
            for w in range(len(windows.span)):
                slope = max(windows.gpu_load[heavy, w] - windows.aim[w], 0.0)
                slope -= max(windows.gpu_load[light, w] - windows.aim[w], 0.0)
                give_relief += 2 * slope * windows.share[given, w]
                take_relief += 2 * slope * windows.share[taken, w]
            room.give_relief[place], room.take_relief[place] = give_relief, take_relief
    best_give, best_take = -1, -1
    for give in range(room.give.size):
        for take in range(room.take.size):
            price = max(room.give[give] + room.take[take], LEAST_PRICE)
            moved = pool.pieces[heavy, give] - pool.pieces[light, take]
            heavy_above, light_above = max(heavy_mean - moved, 0.0), max(light_mean + moved, 0.0)
            relief = before - heavy_above * heavy_above - light_above * light_above
            if relief <= worth * price:
                continue
            given, taken = pool.slots[heavy, give], pool.slots[light, take]
            if len(windows.span) > 1:
                if room.give_relief[give] - room.take_relief[take] <= worth * price:
                    continue
                relief = before
                for w in range(len(windows.span)):
                    moved = windows.share[given, w] - windows.share[taken, w]
                    heavy_above = max(windows.gpu_load[heavy, w] - moved - windows.aim[w], 0.0)
                    light_above = max(windows.gpu_load[light, w] + moved - windows.aim[w], 0.0)
                    relief -= heavy_above * heavy_above + light_above * light_above
            if relief > worth * price and not holds(pool, light, given) and not holds(pool, heavy, taken):
                worth, best_give, best_take = relief / price, give, take
    return worth, best_give, best_take


@kernel
def _best_transfer(
    pool: Pool, windows: Windows, terms: Terms, room: Room, heavy: int, worth: float
) -> tuple[float, int, int, int]:
    """Find the transfer around the pressed GPU that gives more than ``worth``, and most, relief for its price.

    Returns that ratio, the expert that gets a slot, the one that gives it, and where the slot is; ``worth`` and -1 for
    the others where no transfer does.
    """
    best = worth, -1, -1, -1
    for donor in range(pool.load.size):
        if pool.copies[donor] > 1:
            for i in range(pool.copies[donor]):
                gpu = pool.holders[donor, i]
                found, receiver = _best_receiver(pool, windows, terms, room, heavy, best[0], donor, gpu)
                if receiver >= 0:
                    best = found, receiver, donor, gpu
    return best


@kernel
def _weigh_receivers(pool: Pool, windows: Windows, terms: Terms, room: Room) -> None:
    """Write for every expert what one more replica changes, whichever GPU gets it."""
    for expert in range(pool.load.size):
        copies, away, relief = pool.copies[expert], 0, 0.0
        fewer = 1 / (copies + 1)
        for i in range(copies):
            gpu = pool.holders[expert, i]
            away += int(is_off(terms.home[expert], terms.node[gpu]))
            relief += windows.pressure[gpu]
            for w in range(len(windows.span)):
                above = max(windows.gpu_load[gpu, w] - windows.share[expert, w] * fewer - windows.aim[w], 0.0)
                relief -= above * above
        room.fewer[expert], room.away[expert] = fewer, away
        room.relief[expert] = relief if copies < pool.holders.shape[1] else -np.inf


@kernel
def _best_receiver(
    pool: Pool, windows: Windows, terms: Terms, room: Room, heavy: int, worth: float, donor: int, gpu: int
) -> tuple[float, int]:
    """Find the expert that makes the best use of one slot of the donor's; -1 where none is worth enough.

    Either the slot is on the pressed GPU and a lighter receiver takes the donor's place, or the receiver is on the
    pressed GPU and its replicas shrink. The donor's other replicas grow. Where one of them shares a GPU, other than
    these two, with a replica of the receiver, what they do to each other is not taken off: relief is rather too low
    than too high.
    """
    limit, best = windows.pressure[heavy], -1
    without, heavy_rises = 0.0, False
    for w in range(len(windows.span)):
        room.rise[w] = windows.share[donor, w] / (pool.copies[donor] - 1)
        room.rest[w] = windows.gpu_load[gpu, w] - windows.share[donor, w]
        above = max(room.rest[w] - windows.aim[w], 0.0)
        without += above * above
    gain = windows.pressure[gpu]
    for i in range(pool.copies[donor]):
        other = pool.holders[donor, i]
        if other == heavy and other != gpu:
            heavy_rises = True
        elif other != gpu:
            pressure = 0.0
            for w in range(len(windows.span)):
                above = max(windows.gpu_load[other, w] + room.rise[w] - windows.aim[w], 0.0)
                pressure += above * above
            if pressure >= limit:
                return worth, -1
            gain += windows.pressure[other] - pressure
    given_up = price_of_dropping(pool, terms, donor, gpu, room.away[donor])
    for at in range(pool.load.size if gpu == heavy else pool.slots.shape[1]):
        receiver = at if gpu == heavy else pool.slots[heavy, at]
        if gain - without + room.relief[receiver] <= worth * LEAST_PRICE:
            continue
        pressure, heavy_pressure = 0.0, 0.0
        for w in range(len(windows.span)):
            above = max(room.rest[w] + windows.load[receiver, w] * room.fewer[receiver] - windows.aim[w], 0.0)
            pressure += above * above
        relief = gain - pressure + room.relief[receiver]
        if pressure >= limit or relief <= worth * LEAST_PRICE:
            continue
        if heavy_rises:
            for w in range(len(windows.span)):
                fallen = windows.gpu_load[heavy, w] - windows.share[receiver, w] * room.fewer[receiver]
                above, risen = max(fallen - windows.aim[w], 0.0), max(fallen + room.rise[w] - windows.aim[w], 0.0)
                relief -= risen * risen - above * above
                heavy_pressure += risen * risen
            if heavy_pressure >= limit:
                continue
        price = max(given_up + price_of_adding(pool, terms, receiver, gpu, room.away[receiver]), LEAST_PRICE)
        if relief > worth * price and not holds(pool, gpu, receiver):
            worth, best = relief / price, receiver
    return worth, best
