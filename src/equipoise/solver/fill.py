"""The fill: every expert's load poured over its replicas so that GPU loads are as even as a placement allows.

One expert after another takes its load off its GPUs and pours it back, the lowest GPU first, up to one level. No step
raises the sum of the squares of the GPU loads. Where none lowers it any more, the largest GPU load is the least that
any split can have, and after it the next largest, and so on.

Between two replicas a step goes half as far again as it should, as far as there is load to move: the sum of squares
falls then too, and all come to their end in two thirds of the sweeps (successive over-relaxation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import entry, kernel

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers

BEYOND = 1.5
MOST_SWEEPS = 10_000


class Vessels(NamedTuple):
    """The experts of a layer with several replicas, those of them that are split, and what the GPUs carry."""

    home: Integers  # [experts], the GPU of an expert's only replica; -1 where it has several, or none
    expert: Integers  # [experts], those with several
    first: Integers  # [experts + 1], where the replicas of each begin
    slot: Integers  # [slots], of each replica; of several on one GPU the first alone
    gpu: Integers  # [slots], of each replica
    split: Integers  # [experts], which of those with several are split
    given: Floats  # [slots], load of each replica
    gpu_load: Floats  # [gpus]


def empty_vessels(experts: int, slots: int, gpus: int) -> Vessels:
    """Return room for the experts of a layer."""
    return Vessels(
        home=np.zeros(experts, np.int64),
        expert=np.zeros(experts, np.int64),
        first=np.zeros(experts + 1, np.int64),
        slot=np.zeros(slots, np.int64),
        gpu=np.zeros(slots, np.int64),
        split=np.zeros(experts, np.int64),
        given=np.zeros(slots),
        gpu_load=np.zeros(gpus),
    )


class Rules(NamedTuple):
    """How far to go, and what not to split."""

    slots_per_gpu: int
    floor: float  # load up to which an expert is not split
    tolerance: float  # a sweep that moves nothing more than this share of the mean GPU load is the last


@entry
def fill_layers(
    counts: Floats, replicas: Integers, primary: Integers, rules: Rules, vessels: Vessels, slot_load: Floats
) -> None:
    """Share the loads of every problem of every layer over the slots.

    Parameters
    ----------
    counts : ``[layers, problems, experts]``
        Loads to share; all problems of a layer have the same replicas.
    replicas : ``[layers, experts, replicas]``
        Slots of each expert in rising order, padded with -1.
    primary : ``[layers, experts]``
        The slot that takes what is not split; -1 for an expert without a replica.
    rules : Rules
        How far to go, and what not to split.
    vessels : Vessels
        Overwritten.
    slot_load : ``[layers, problems, slots]``
        Written: what each slot gets.
    """
    for layer in range(counts.shape[0]):
        several = _line_up(replicas[layer], rules.slots_per_gpu, vessels)
        for problem in range(counts.shape[1]):
            load, slots = counts[layer, problem], slot_load[layer, problem]
            split = _begin(load, several, primary[layer], rules, vessels, slots)
            total = 0.0
            for gpu in range(vessels.gpu_load.size):
                total += vessels.gpu_load[gpu]
            settle(load, split, vessels, MOST_SWEEPS, rules.tolerance * total / vessels.gpu_load.size)
            for n in range(split):
                for i in range(vessels.first[vessels.split[n]], vessels.first[vessels.split[n] + 1]):
                    slots[vessels.slot[i]] = vessels.given[i]


@kernel
def _line_up(replicas: Integers, slots_per_gpu: int, vessels: Vessels) -> int:
    """Write down where a layer's experts are; return how many are on several GPUs."""
    several, end = 0, 0
    for expert in range(replicas.shape[0]):
        start = end
        for i in range(replicas.shape[1]):
            gpu = replicas[expert, i] // slots_per_gpu
            if replicas[expert, i] >= 0 and (end == start or gpu != vessels.gpu[end - 1]):
                vessels.slot[end], vessels.gpu[end] = replicas[expert, i], gpu
                end += 1
        vessels.home[expert] = vessels.gpu[start] if end == start + 1 else -1
        if end > start + 1:
            vessels.expert[several], vessels.first[several] = expert, start
            several += 1
        else:
            end = start
    vessels.first[several] = end
    return several


@kernel
def _begin(load: Floats, several: int, primary: Integers, rules: Rules, vessels: Vessels, slots: Floats) -> int:
    """Give what is not split to its primaries, and share the rest evenly; return how many experts are split."""
    slots[:] = 0.0
    vessels.gpu_load[:] = 0.0
    for expert in range(load.size):
        if vessels.home[expert] >= 0:
            slots[primary[expert]] = load[expert]
            vessels.gpu_load[vessels.home[expert]] += load[expert]
    split = 0
    for n in range(several):
        expert = vessels.expert[n]
        if load[expert] > rules.floor:
            vessels.split[split] = n
            split += 1
            share_evenly(load[expert], vessels.first[n], vessels.first[n + 1], vessels)
        else:
            slots[primary[expert]] = load[expert]
            vessels.gpu_load[primary[expert] // rules.slots_per_gpu] += load[expert]
    return split


@kernel
def share_evenly(load: float, start: int, end: int, vessels: Vessels) -> None:
    """Give each of an expert's replicas, from start to end, the same of its load."""
    for i in range(start, end):
        vessels.given[i] = load / (end - start)
        vessels.gpu_load[vessels.gpu[i]] += vessels.given[i]


@kernel
def settle(load: Floats, split: int, vessels: Vessels, most_sweeps: int, least: float) -> None:
    """Sweep until no replica changes by more than the least, and once more without going beyond."""
    for _ in range(most_sweeps):
        if _sweep(load, split, vessels, BEYOND) <= least:
            break
    _sweep(load, split, vessels, 1.0)


@kernel
def _sweep(load: Floats, split: int, vessels: Vessels, beyond: float) -> float:
    """Pour every expert once; return the most load that any replica has changed by."""
    most = 0.0
    for n in range(split):
        which = vessels.split[n]
        start, end = vessels.first[which], vessels.first[which + 1]
        pair = end - start == 2
        moved = _tip(start, vessels, beyond) if pair else _pour(load[vessels.expert[which]], start, end, vessels)
        most = max(most, moved)
    return most


@kernel
def _tip(one: int, vessels: Vessels, beyond: float) -> float:
    """Move load to the lower GPU of two replicas, times ``beyond`` what evens them out; return how much."""
    other = one + 1
    higher = vessels.gpu_load[vessels.gpu[other]] - vessels.gpu_load[vessels.gpu[one]]
    moved = min(max(0.5 * beyond * higher, -vessels.given[one]), vessels.given[other])
    vessels.given[one] += moved
    vessels.given[other] -= moved
    vessels.gpu_load[vessels.gpu[one]] += moved
    vessels.gpu_load[vessels.gpu[other]] -= moved
    return float(abs(moved))


@kernel
def _pour(load: float, start: int, end: int, vessels: Vessels) -> float:
    """Take an expert's load off all its replicas and pour it back; return the most that one of them has changed by."""
    total = load
    for n in range(start, end):
        vessels.gpu_load[vessels.gpu[n]] -= vessels.given[n]
        total += vessels.gpu_load[vessels.gpu[n]]
    level, lower = total / (end - start), True
    while lower:  # GPUs above the level get nothing, so that it is lower without them
        total, below = load, 0
        for n in range(start, end):
            if vessels.gpu_load[vessels.gpu[n]] < level:
                total += vessels.gpu_load[vessels.gpu[n]]
                below += 1
        lower = below > 0 and total / below < level
        level = total / below if lower else level
    most = 0.0
    for n in range(start, end):
        gets = max(level - vessels.gpu_load[vessels.gpu[n]], 0.0)
        most = max(most, abs(gets - vessels.given[n]))
        vessels.given[n] = gets
        vessels.gpu_load[vessels.gpu[n]] += gets
    return most
