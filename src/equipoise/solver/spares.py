"""Spares on every GPU alike: what a router that splits the batch at hand has to work with.

Of an expert's replicas one is its primary, the others are spares. Load that nobody foresaw flows over them from GPU to
GPU; one without spares can pass nothing on. So a placement is **levelled**: while of two GPUs of a node one has two
primaries more, it gives one for a spare of the other, those two whose exchange harms least. Then it is searched:
spares are given to other experts, and slots swap what they hold, primaries with primaries and spares with spares,
wherever that helps.

What helps is the mean over the windows of the peak when replicas share evenly, and of the peak when they are filled.
Proposals come from a generator of random numbers in whole numbers, the same on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import entry, kernel
from equipoise.solver.fill import Vessels, empty_vessels, settle, share_evenly

if TYPE_CHECKING:
    from equipoise.solver.arrays import Flags, Floats, Integers


SWEEPS, ROUGHLY = 24, 6  # at most, of a fill: where changes are accepted, and where primaries are levelled
SETTLED = 1e-4  # of the mean GPU load, as the objective need not be closer
# Of Knuth's MMIX.
MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407


class Layer(NamedTuple):
    """A layer's slots, overwritten, and what they are to serve."""

    slots: Integers  # [gpus, slots per GPU], the expert in each
    primary: Flags  # [gpus, slots per GPU], whether it is its primary
    loads: Floats  # [windows, experts], in units of the mean GPU load
    weights: Floats  # [windows], which add up to 1
    held: Flags  # [gpus, experts], what a GPU has without a move


class Domains(NamedTuple):
    """What GPUs fail with, and may exchange experts with."""

    domain: Integers  # [gpus], each itself or its node, numbered in the order of the GPUs
    least: int  # of them that every expert must be on
    node: Integers  # [gpus], nothing is exchanged between nodes


class Work(NamedTuple):
    """Overwritten."""

    vessels: Vessels
    copies: Integers  # [experts]
    at: Integers  # [experts], where the next replica of an expert is written down
    primaries: Integers  # [gpus]
    busiest: Integers  # [windows], the GPU with the peak of each
    found: Integers  # [windows]
    state: Integers  # [1], of the random numbers


def empty_work(experts: int, slots: int, gpus: int, windows: int) -> Work:
    """Return room for a layer."""
    return Work(
        vessels=empty_vessels(experts, slots, gpus),
        copies=np.zeros(experts, np.int64),
        at=np.zeros(experts, np.int64),
        primaries=np.zeros(gpus, np.int64),
        busiest=np.zeros(windows, np.int64),
        found=np.zeros(windows, np.int64),
        state=np.zeros(1, np.int64),
    )


@entry
def spread_layers(layers: Layer, domains: Domains, room: Integers, tries: int, work: Work) -> None:
    """Level the primaries of every layer, then search.

    Parameters
    ----------
    layers : Layer
        All arrays with one axis more, ``[layers]``; overwritten.
    domains : Domains
        Of all layers alike.
    room : ``[layers]``
        How many moves more may be made.
    tries : int
        Proposals of the search.
    work : Work
        Overwritten.
    """
    for n in range(room.size):
        held = layers.held[n]
        layer = Layer(layers.slots[n], layers.primary[n], layers.loads[n], layers.weights[n], held)
        left = _level(layer, domains, room[n], work)
        _search(layer, domains, left, tries, work)


@kernel
def _level(layer: Layer, domains: Domains, room: int, work: Work) -> int:
    """Exchange primaries for spares until GPUs of a node differ by one at most; return the moves that are left."""
    gpus, places = layer.slots.shape
    for gpu in range(gpus):
        work.primaries[gpu] = 0
        for place in range(places):
            work.primaries[gpu] += layer.primary[gpu, place]
    more = True
    while more:
        more = False
        for gpu in range(gpus):
            other = _emptiest(gpu, domains.node, work.primaries)
            if work.primaries[gpu] - work.primaries[other] < 2:
                continue
            place, there = _least_harm(layer, domains, gpu, other, room, work)
            if place >= 0:
                room -= _swap(layer, gpu, place, other, there)
                layer.primary[gpu, place], layer.primary[other, there] = False, True
                work.primaries[gpu] -= 1
                work.primaries[other] += 1
                more = True
    return room


@kernel
def _emptiest(gpu: int, node: Integers, primaries: Integers) -> int:
    """Return the GPU of the same node with the fewest primaries."""
    found = gpu
    for other in range(primaries.size):
        if node[other] == node[gpu] and primaries[other] < primaries[found]:
            found = other
    return found


@kernel
def _least_harm(layer: Layer, domains: Domains, gpu: int, other: int, room: int, work: Work) -> tuple[int, int]:
    """Return the places of the primary and the spare to exchange; -1 for both where none may be."""
    best, place, there = np.inf, -1, -1
    for i in range(layer.slots.shape[1]):
        for j in range(layer.slots.shape[1]):
            if not layer.primary[gpu, i] or layer.primary[other, j]:
                continue
            if _may_swap(layer, domains, gpu, i, other, j, room):
                _swap(layer, gpu, i, other, j)
                harm = _objective(layer, ROUGHLY, work)
                _swap(layer, gpu, i, other, j)
                if harm < best:
                    best, place, there = harm, i, j
    return place, there


@kernel
def _search(layer: Layer, domains: Domains, room: int, tries: int, work: Work) -> None:
    """Make every proposed change that helps; half of them are of a GPU with the peak of a window."""
    gpus, places = layer.slots.shape
    work.state[0] = 1
    now = _objective(layer, SWEEPS, work)
    _note_busiest(work)
    for _ in range(tries):
        window = _random(work.state, work.busiest.size)
        gpu = work.busiest[window] if _random(work.state, 2) else _random(work.state, gpus)
        place, other, there = _random(work.state, places), _random(work.state, gpus), _random(work.state, places)
        gives = not layer.primary[other, there] and _random(work.state, 2) == 1
        if gpu == other or domains.node[gpu] != domains.node[other]:
            continue
        expert, before = layer.slots[gpu, place], layer.slots[other, there]
        if gives:
            moves = _moves_to(layer, other, expert) - _moves_to(layer, other, before)
            if moves > room or _holds(layer.slots, other, expert):
                continue
            if not _stays_apart(layer, domains, before, other, -1):
                continue
            layer.slots[other, there] = expert
        elif layer.primary[gpu, place] == layer.primary[other, there] and _may_swap(
            layer, domains, gpu, place, other, there, room
        ):
            moves = _swap(layer, gpu, place, other, there)
        else:
            continue
        then = _objective(layer, SWEEPS, work)
        if then < now:
            now = then
            room -= moves
            _note_busiest(work)
        elif gives:
            layer.slots[other, there] = before
        else:
            _swap(layer, gpu, place, other, there)


@kernel
def _note_busiest(work: Work) -> None:
    for window in range(work.found.size):
        work.busiest[window] = work.found[window]


@kernel
def _may_swap(layer: Layer, domains: Domains, gpu: int, place: int, other: int, there: int, room: int) -> bool:
    """Return whether two slots may exchange their experts.

    Nothing may be twice on a GPU or on too few domains, and there must be room for the moves.
    """
    one, two = layer.slots[gpu, place], layer.slots[other, there]
    if one == two or _holds(layer.slots, other, one) or _holds(layer.slots, gpu, two):
        return False
    more = _moves_to(layer, other, one) + _moves_to(layer, gpu, two)
    if more - _moves_to(layer, gpu, one) - _moves_to(layer, other, two) > room:
        return False
    return _stays_apart(layer, domains, one, gpu, other) and _stays_apart(layer, domains, two, other, gpu)


@kernel
def _stays_apart(layer: Layer, domains: Domains, expert: int, gpu: int, new_gpu: int) -> bool:
    """Return whether the expert is on enough domains once its replica on one GPU is on another, or gone for -1."""
    found, last = 0, -1
    for at in range(layer.slots.shape[0]):
        if found >= domains.least:
            return True
        new = at != gpu and domains.domain[at] != last
        if new and (at == new_gpu or _holds(layer.slots, at, expert)):
            found, last = found + 1, domains.domain[at]
    return found >= domains.least


@kernel
def _swap(layer: Layer, gpu: int, place: int, other: int, there: int) -> int:
    """Let two slots exchange their experts; return how many moves more that is."""
    one, two = layer.slots[gpu, place], layer.slots[other, there]
    layer.slots[gpu, place], layer.slots[other, there] = two, one
    more = _moves_to(layer, other, one) + _moves_to(layer, gpu, two)
    return more - _moves_to(layer, gpu, one) - _moves_to(layer, other, two)


@kernel
def _moves_to(layer: Layer, gpu: int, expert: int) -> int:
    return 0 if layer.held[gpu, expert] else 1


@kernel
def _holds(slots: Integers, gpu: int, expert: int) -> bool:
    found = False
    for place in range(slots.shape[1]):
        found = found or slots[gpu, place] == expert
    return found


@kernel
def _objective(layer: Layer, sweeps: int, work: Work) -> float:
    """Return the mean over the windows of the even peak and of the filled one; note the busiest GPU of each."""
    vessels, several, mean = work.vessels, _line_up(layer.slots, work), 0.0
    for window in range(layer.weights.size):
        load = layer.loads[window]
        _share_all_evenly(load, several, vessels)
        even = vessels.gpu_load[_highest(vessels.gpu_load)]
        settle(load, several, vessels, sweeps, SETTLED)
        work.found[window] = _highest(vessels.gpu_load)
        mean += layer.weights[window] * (even + vessels.gpu_load[work.found[window]])
    return mean


@kernel
def _line_up(slots: Integers, work: Work) -> int:
    """Write down the GPUs of every expert's replicas; return how many experts have several."""
    vessels, several, end = work.vessels, 0, 0
    work.copies[:] = 0
    for gpu in range(slots.shape[0]):
        for place in range(slots.shape[1]):
            work.copies[slots[gpu, place]] += 1
    for expert in range(work.copies.size):
        work.at[expert] = end
        if work.copies[expert] > 1:
            vessels.expert[several], vessels.first[several], vessels.split[several] = expert, end, several
            several += 1
            end += work.copies[expert]
    vessels.first[several] = end
    for gpu in range(slots.shape[0]):
        for place in range(slots.shape[1]):
            expert = slots[gpu, place]
            if work.copies[expert] > 1:
                vessels.home[expert] = -1
                vessels.gpu[work.at[expert]] = gpu
                work.at[expert] += 1
            else:
                vessels.home[expert] = gpu
    return several


@kernel
def _share_all_evenly(load: Floats, several: int, vessels: Vessels) -> None:
    vessels.gpu_load[:] = 0.0
    for expert in range(load.size):
        if vessels.home[expert] >= 0:
            vessels.gpu_load[vessels.home[expert]] += load[expert]
    for n in range(several):
        share_evenly(load[vessels.expert[n]], vessels.first[n], vessels.first[n + 1], vessels)


@kernel
def _highest(gpu_load: Floats) -> int:
    found = 0
    for gpu in range(gpu_load.size):
        if gpu_load[gpu] > gpu_load[found]:
            found = gpu
    return found


@kernel
def _random(state: Integers, number: int) -> int:
    """Return a number below this one, of the upper bits: the lower ones of such a generator are hardly random."""
    state[0] = state[0] * MULTIPLIER + INCREMENT
    return int((state[0] >> 33) & 0x7FFFFFFF) % number
