"""Step 4 where changes have a price, or windows differ: relieve one GPU after another of pressure.

Each time the change is made that gives most *relief*, less pressure on all GPUs together, for its price; see
:mod:`equipoise.solver.windows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.history import GIVE, GPU, RECEIVER, TAKE, record
from equipoise.solver.pool import Pool, holds, peak, stays_apart, swap_bundles, transfer
from equipoise.solver.prices import is_off, price_of_adding, price_of_dropping, price_replicas
from equipoise.solver.windows import mean_peak, next_by_pressure, set_aim, weigh_holders, weigh_windows

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers
    from equipoise.solver.history import History
    from equipoise.solver.prices import Terms
    from equipoise.solver.windows import Windows

# Pressure that falls by less than this share of the peak's square has not fallen: nobody notices a GPU that is a
# hundred-thousandth above the aim.
LEAST_RELIEF = 1e-10
# What costs nothing, or brings a replica back to where it was, is still a change: it counts as a quarter of a move.
LEAST_PRICE = 0.25
# Where no change relieves the GPU of most pressure, others are tried: one for each window, but no more than this.
MOST_TRIED = 4


class Scratch(NamedTuple):
    """Room for what is known of replicas while one change is chosen."""

    give: Floats  # [slots per GPU], price of moving the hot GPU's replica to the GPU at hand
    take: Floats  # [slots per GPU], price of moving the replica of the GPU at hand to the hot GPU
    give_relief: Floats  # [slots per GPU], relief by as much as moves with the hot GPU's replica, at most
    take_relief: Floats  # [slots per GPU], what of that the replica of the GPU at hand brings back, at least
    rest: Floats  # [windows], load of the GPU at hand without the slot at hand
    rise: Floats  # [windows], by how much the donor's other replicas grow
    fewer: Floats  # [experts], share of the load that a replica has if there is one more
    relief: Floats  # [experts], relief of the expert's holders if there is one more; -inf where there cannot be
    away: Integers  # [experts], replicas off the expert's home node


def empty_scratch(experts: int, slots_per_gpu: int, windows: int) -> Scratch:
    """Return room for the replicas of this many experts."""
    return Scratch(
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
    scratch: Scratch,
    aim: float,
    thresholds: Floats,
    known_changes: int,
    most_changes: int,
    history: History,
) -> int:
    """Swap and transfer replicas of the GPUs of most pressure until no change gives relief; for every threshold anew.

    A threshold says how far above the aim pressure begins: 0 at the aim itself, where whatever is above the mean
    counts, and 1 at the peak of each window. A placement that is stuck at one threshold often is not at another.

    No transfer leaves a GPU with more pressure than the one relieved had; with one window, the peak never rises. The
    first changes may be known, from a search made before, and are made at the first threshold. Records the history and
    returns how many changes were made, at most ``most_changes``.
    """
    weigh_windows(pool, windows)
    record(pool, terms, history, 0, mean_peak(windows))
    made = 0
    for threshold in thresholds:
        set_aim(windows, aim, threshold)
        while made < most_changes:
            change = history.change[made]
            if made >= known_changes and not _choose(pool, windows, terms, scratch, change):
                break
            _make(pool, windows, change)
            made += 1
            record(pool, terms, history, made, mean_peak(windows))
    return made


@kernel
def _make(pool: Pool, windows: Windows, change: Integers) -> None:
    gpu, give, receiver, take = change[GPU], change[GIVE], change[RECEIVER], change[TAKE]
    if take >= 0:
        given, taken = pool.slots[gpu, give], pool.slots[receiver, take]
        swap_bundles(pool, pool.singles, gpu, give, receiver, take)
    else:
        given, taken = give, receiver
        transfer(pool, receiver, given, gpu)
    weigh_holders(pool, windows, given)
    weigh_holders(pool, windows, taken)


@kernel
def _choose(pool: Pool, windows: Windows, terms: Terms, scratch: Scratch, change: Integers) -> bool:
    """Write the change that gives most relief for its price; return whether any is needed and gives some."""
    _weigh_receivers(pool, windows, terms, scratch)
    heavy = -1
    for _ in range(min(windows.root.size, MOST_TRIED)):
        heavy = next_by_pressure(windows, heavy)
        if heavy < 0 or windows.pressure[heavy] <= 0:
            return False
        to_beat, receiver, donor, gpu = _best_transfer(
            pool, windows, terms, scratch, heavy, LEAST_RELIEF * peak(pool) ** 2
        )
        light, give, take = _best_swap(pool, windows, terms, scratch, heavy, to_beat)
        if light >= 0:
            change[GPU], change[GIVE], change[RECEIVER], change[TAKE] = heavy, give, light, take
            return True
        if receiver >= 0:
            change[GPU], change[GIVE], change[RECEIVER], change[TAKE] = gpu, donor, receiver, -1
            return True
    return False


@kernel
def _best_swap(
    pool: Pool, windows: Windows, terms: Terms, scratch: Scratch, heavy: int, to_beat: float
) -> tuple[int, int, int]:
    """Find the swap of the hot GPU that gives more than ``to_beat``, and most, relief for its price.

    Returns the other GPU and the slots on both; -1 for all where no swap does.
    """
    best = -1, -1, -1
    for at in range(pool.ranking.size - 1, -1, -1):
        light = pool.ranking[at]
        # The two loads can at best be made equal, in every window.
        most = windows.pressure[heavy] + windows.pressure[light]
        for w in range(windows.root.size):
            above = max((windows.gpu_load[heavy, w] + windows.gpu_load[light, w]) / 2 - windows.aim[w], 0.0)
            most -= 2 * above * above
        if light == heavy or most <= to_beat * LEAST_PRICE:
            continue
        least = price_replicas(pool, terms, heavy, light, scratch.give)
        least += price_replicas(pool, terms, light, heavy, scratch.take)
        if most > to_beat * max(least, LEAST_PRICE):
            to_beat, give, take = _best_exchange(pool, windows, scratch, heavy, light, to_beat)
            if give >= 0:
                best = light, give, take
    return best


@kernel
def _best_exchange(
    pool: Pool, windows: Windows, scratch: Scratch, heavy: int, light: int, to_beat: float
) -> tuple[float, int, int]:
    """Find the two replicas whose exchange gives more than ``to_beat``, and most, relief for its price.

    Pressure bends upward, which limits relief twice: to what the mean load alone would give, which with one window is
    all there is, and to what a load would give if the slope stayed what it is before anything moves.
    """
    before, mean_aim = windows.pressure[heavy] + windows.pressure[light], 0.0
    for w in range(windows.root.size):
        mean_aim += windows.root[w] * windows.aim[w]
    heavy_mean, light_mean = pool.gpu_load[heavy] - mean_aim, pool.gpu_load[light] - mean_aim
    if windows.root.size > 1:
        for place in range(scratch.give.size):
            given, taken = pool.slots[heavy, place], pool.slots[light, place]
            give_relief, take_relief = 0.0, 0.0
            for w in range(windows.root.size):
                slope = max(windows.gpu_load[heavy, w] - windows.aim[w], 0.0)
                slope -= max(windows.gpu_load[light, w] - windows.aim[w], 0.0)
                give_relief += 2 * slope * windows.share[given, w]
                take_relief += 2 * slope * windows.share[taken, w]
            scratch.give_relief[place], scratch.take_relief[place] = give_relief, take_relief
    best_give, best_take = -1, -1
    for give in range(scratch.give.size):
        for take in range(scratch.take.size):
            price = max(scratch.give[give] + scratch.take[take], LEAST_PRICE)
            moved = pool.pieces[heavy, give] - pool.pieces[light, take]
            heavy_above, light_above = max(heavy_mean - moved, 0.0), max(light_mean + moved, 0.0)
            relief = before - heavy_above * heavy_above - light_above * light_above
            if relief <= to_beat * price:
                continue
            given, taken = pool.slots[heavy, give], pool.slots[light, take]
            if windows.root.size > 1:
                if scratch.give_relief[give] - scratch.take_relief[take] <= to_beat * price:
                    continue
                relief = before
                for w in range(windows.root.size):
                    moved = windows.share[given, w] - windows.share[taken, w]
                    heavy_above = max(windows.gpu_load[heavy, w] - moved - windows.aim[w], 0.0)
                    light_above = max(windows.gpu_load[light, w] + moved - windows.aim[w], 0.0)
                    relief -= heavy_above * heavy_above + light_above * light_above
            if relief <= to_beat * price or holds(pool, light, given) or holds(pool, heavy, taken):
                continue
            if stays_apart(pool, given, heavy, light) and stays_apart(pool, taken, light, heavy):
                to_beat, best_give, best_take = relief / price, give, take
    return to_beat, best_give, best_take


@kernel
def _best_transfer(
    pool: Pool, windows: Windows, terms: Terms, scratch: Scratch, heavy: int, to_beat: float
) -> tuple[float, int, int, int]:
    """Find the transfer around the hot GPU that gives more than ``to_beat``, and most, relief for its price.

    Returns that ratio, the expert that gets a slot, the one that gives it, and where the slot is; ``to_beat`` and -1
    for the others where no transfer does.
    """
    best = to_beat, -1, -1, -1
    for donor in range(pool.load.size):
        if pool.copies[donor] > pool.least:
            for i in range(pool.copies[donor]):
                gpu = pool.holders[donor, i]
                if not stays_apart(pool, donor, gpu, -1):
                    continue
                found, receiver = _best_receiver(pool, windows, terms, scratch, heavy, best[0], donor, gpu)
                if receiver >= 0:
                    best = found, receiver, donor, gpu
    return best


@kernel
def _weigh_receivers(pool: Pool, windows: Windows, terms: Terms, scratch: Scratch) -> None:
    """Write for every expert what one more replica changes, whichever GPU gets it."""
    for expert in range(pool.load.size):
        copies, away, relief = pool.copies[expert], 0, 0.0
        fewer = 1 / (copies + 1)
        for i in range(copies):
            gpu = pool.holders[expert, i]
            away += int(is_off(terms.home[expert], terms.node[gpu]))
            relief += windows.pressure[gpu]
            for w in range(windows.root.size):
                above = max(windows.gpu_load[gpu, w] - windows.share[expert, w] * fewer - windows.aim[w], 0.0)
                relief -= above * above
        scratch.fewer[expert], scratch.away[expert] = fewer, away
        scratch.relief[expert] = relief if copies < pool.holders.shape[1] else -np.inf


@kernel
def _best_receiver(
    pool: Pool, windows: Windows, terms: Terms, scratch: Scratch, heavy: int, to_beat: float, donor: int, gpu: int
) -> tuple[float, int]:
    """Find the expert that makes the best use of one slot of the donor's; -1 where none is to_beat enough.

    Either the slot is on the hot GPU and a lighter receiver takes the donor's place, or the receiver is on the
    hot GPU and its replicas shrink. The donor's other replicas grow. Where one of them shares a GPU, other than
    these two, with a replica of the receiver, what they do to each other is not taken off: relief is rather too low
    than too high.
    """
    limit, best = windows.pressure[heavy], -1
    without, heavy_rises = 0.0, False
    for w in range(windows.root.size):
        scratch.rise[w] = windows.share[donor, w] / (pool.copies[donor] - 1)
        scratch.rest[w] = windows.gpu_load[gpu, w] - windows.share[donor, w]
        above = max(scratch.rest[w] - windows.aim[w], 0.0)
        without += above * above
    gain = windows.pressure[gpu]
    for i in range(pool.copies[donor]):
        other = pool.holders[donor, i]
        if other == heavy and other != gpu:
            heavy_rises = True
        elif other != gpu:
            pressure = 0.0
            for w in range(windows.root.size):
                above = max(windows.gpu_load[other, w] + scratch.rise[w] - windows.aim[w], 0.0)
                pressure += above * above
            if pressure >= limit:
                return to_beat, -1
            gain += windows.pressure[other] - pressure
    given_up = price_of_dropping(pool, terms, donor, gpu, scratch.away[donor])
    for at in range(pool.load.size if gpu == heavy else pool.slots.shape[1]):
        receiver = at if gpu == heavy else pool.slots[heavy, at]
        if gain - without + scratch.relief[receiver] <= to_beat * LEAST_PRICE:
            continue
        pressure, heavy_pressure = 0.0, 0.0
        for w in range(windows.root.size):
            above = max(scratch.rest[w] + windows.load[receiver, w] * scratch.fewer[receiver] - windows.aim[w], 0.0)
            pressure += above * above
        relief = gain - pressure + scratch.relief[receiver]
        if pressure >= limit or relief <= to_beat * LEAST_PRICE:
            continue
        if heavy_rises:
            for w in range(windows.root.size):
                fallen = windows.gpu_load[heavy, w] - windows.share[receiver, w] * scratch.fewer[receiver]
                above, risen = max(fallen - windows.aim[w], 0.0), max(fallen + scratch.rise[w] - windows.aim[w], 0.0)
                relief -= risen * risen - above * above
                heavy_pressure += risen * risen
            if heavy_pressure >= limit:
                continue
        price = max(given_up + price_of_adding(pool, terms, receiver, gpu, scratch.away[receiver]), LEAST_PRICE)
        if relief > to_beat * price and not holds(pool, gpu, receiver):
            to_beat, best = relief / price, receiver
    return to_beat, best
