"""A pool: the GPUs that may hold the same experts, which replicas they hold, and the changes that can be made.

A pool is one node where groups are bound to nodes, and all GPUs otherwise. Everything that follows from the slots
(loads, holders, ranking) is kept up to date by the functions here, so that a search never recomputes a layer. A GPU's
load is always the sum of its pieces from the heaviest down: it does not depend on the changes that led to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.heap import sort

if TYPE_CHECKING:
    from equipoise.solver.arrays import Flags, Floats, Integers

# With more slots than this on a GPU, single replicas offer swaps enough, and pairs would be too many to sort.
MOST_SLOTS_TO_PAIR = 32


class Bundles(NamedTuple):
    """What a GPU can exchange for as much of another's: single replicas, or pairs of them, heaviest first."""

    load: Floats  # [gpus, bundles]
    first: Integers  # [gpus, bundles], the slot of the replica, or of the pair's heavier one
    second: Integers  # [gpus, bundles], the slot of the pair's lighter one; of a single replica, the same


class Pool(NamedTuple):
    """The replicas on a set of GPUs; loads are in the unit of the expert loads."""

    load: Floats  # [experts]
    copies: Integers  # [experts], at least 1
    share: Floats  # [experts], load of one replica: load / copies
    holders: Integers  # [experts, most copies], the GPUs that hold the expert; only the first `copies` count
    slots: Integers  # [gpus, slots per GPU], the expert in each slot, heaviest piece first
    pieces: Floats  # [gpus, slots per GPU], the share of that expert
    gpu_load: Floats  # [gpus]
    ranking: Integers  # [gpus], heaviest GPU first, ties to the lowest index
    singles: Bundles  # the pieces
    pairs: Bundles  # [gpus, 0] where the slots of a GPU are too few or too many for pairs
    pairs_sorted: Flags  # [gpus], whether the pairs are up to date
    domain: Integers  # [gpus], what each fails with, numbered in the order of the GPUs: itself, or its node
    shared: tuple[()] | tuple[int]  # read for its length alone: where no domain has several GPUs, no look is compiled
    least: int  # domains that every expert must be on


class Queues(NamedTuple):
    """Room for the heaps of experts and of GPUs from which a pool is filled."""

    share: Floats  # [experts]
    expert: Integers  # [experts]
    lightness: Floats  # [gpus], minus the load
    gpu: Integers  # [gpus]
    aside: Integers  # [gpus]
    filled: Integers  # [gpus], slots in use
    there: Integers  # [experts, gpus], replicas of the expert in each domain; there are at most as many as GPUs


def empty_pool(experts: int, gpus: int, slots_per_gpu: int, least: int = 1, domain: Integers | None = None) -> Pool:
    """Return a pool of this size with nothing in it yet; every GPU a domain of its own unless they are given."""
    pieces = np.zeros((gpus, slots_per_gpu))
    place = np.tile(np.arange(slots_per_gpu), (gpus, 1))
    # Exchanging two of three replicas is exchanging the third, with the GPUs' names exchanged.
    pairs = slots_per_gpu * (slots_per_gpu - 1) // 2 if 4 <= slots_per_gpu <= MOST_SLOTS_TO_PAIR else 0
    return Pool(
        load=np.zeros(experts),
        copies=np.ones(experts, np.int64),
        share=np.zeros(experts),
        holders=np.zeros((experts, most_copies(experts, gpus, slots_per_gpu)), np.int64),
        slots=np.zeros((gpus, slots_per_gpu), np.int64),
        pieces=pieces,
        gpu_load=np.zeros(gpus),
        ranking=np.arange(gpus),
        singles=Bundles(pieces, place, place),
        pairs=Bundles(np.zeros((gpus, pairs)), np.zeros((gpus, pairs), np.int64), np.zeros((gpus, pairs), np.int64)),
        pairs_sorted=np.zeros(gpus, np.bool_),
        domain=np.arange(gpus) if domain is None else domain,
        shared=() if domain is None else (0,),
        least=least,
    )


def most_copies(experts: int, gpus: int, slots_per_gpu: int) -> int:
    """Return how many replicas an expert can have: none two on a GPU, and one at least of every other expert."""
    return min(gpus, gpus * slots_per_gpu - experts + 1)


def empty_queues(experts: int, gpus: int) -> Queues:
    """Return room for the heaps of a pool of this size."""
    return Queues(
        share=np.zeros(experts),
        expert=np.zeros(experts, np.int64),
        lightness=np.zeros(gpus),
        gpu=np.zeros(gpus, np.int64),
        aside=np.zeros(gpus, np.int64),
        filled=np.zeros(gpus, np.int64),
        there=np.zeros((experts, gpus), np.int64),
    )


@kernel
def copy_pool(source: Pool, target: Pool) -> None:
    """Make ``target``, a pool of the same size and for the same loads, hold what ``source`` holds."""
    for expert in range(source.load.size):
        target.copies[expert] = source.copies[expert]
        target.share[expert] = source.share[expert]
        for i in range(source.copies[expert]):
            target.holders[expert, i] = source.holders[expert, i]
    for gpu in range(source.gpu_load.size):
        for i in range(source.slots.shape[1]):
            target.slots[gpu, i] = source.slots[gpu, i]
            target.pieces[gpu, i] = source.pieces[gpu, i]
        target.gpu_load[gpu] = source.gpu_load[gpu]
        target.ranking[gpu] = source.ranking[gpu]
        target.pairs_sorted[gpu] = False


@kernel
def peak(pool: Pool) -> float:
    """Return the largest GPU load."""
    highest: float = pool.gpu_load[pool.ranking[0]]
    return highest


@kernel
def holds(pool: Pool, gpu: int, expert: int) -> bool:
    """Return whether the GPU holds a replica of the expert."""
    for i in range(pool.copies[expert]):
        if pool.holders[expert, i] == gpu:
            return True
    return False


@kernel
def stays_apart(pool: Pool, expert: int, gpu: int, new_gpu: int) -> bool:
    """Return whether the expert is on enough domains once its replica on one GPU is on another, or gone for -1.

    It must have more than the least replicas for one to go. Then there is nothing to look at where every GPU is a
    domain of its own.
    """
    if len(pool.shared) == 0:
        return True
    found = 0 if new_gpu < 0 else 1
    for i in range(pool.copies[expert]):
        if found >= pool.least:
            break
        other = pool.holders[expert, i]
        adds = other != gpu and (new_gpu < 0 or pool.domain[other] != pool.domain[new_gpu])
        for j in range(i):
            earlier = pool.holders[expert, j]
            adds = adds and (earlier == gpu or pool.domain[earlier] != pool.domain[other])
        found += int(adds)
    return found >= pool.least


@kernel
def contains(pool: Pool, filled: Integers, gpu: int, expert: int) -> bool:
    """Return whether one of the GPU's filled slots holds the expert; for a pool whose holders are not known yet."""
    for place in range(filled[gpu]):
        if pool.slots[gpu, place] == expert:
            return True
    return False


@kernel
def weigh(pool: Pool, gpu: int) -> None:
    """Bring the GPU's pieces, their order and its load up to date with its slots."""
    slots, pieces = pool.slots[gpu], pool.pieces[gpu]
    for i in range(slots.size):
        expert = slots[i]
        piece = pool.share[expert]
        j = i
        while j > 0 and pieces[j - 1] < piece:
            slots[j], pieces[j] = slots[j - 1], pieces[j - 1]
            j -= 1
        slots[j], pieces[j] = expert, piece
    total = 0.0
    for i in range(slots.size):
        total += pieces[i]
    pool.gpu_load[gpu] = total
    pool.pairs_sorted[gpu] = False


@kernel
def weigh_all(pool: Pool, queues: Queues) -> None:
    """Bring pieces and loads of all GPUs, and their ranking, up to date with the slots."""
    for gpu in range(pool.gpu_load.size):
        weigh(pool, gpu)
    sort(pool.gpu_load, queues.lightness, queues.gpu, pool.ranking)


@kernel
def rank(pool: Pool, gpu: int) -> None:
    """Move the GPU to its place in a ranking that is otherwise in order."""
    ranking, load = pool.ranking, pool.gpu_load
    at = 0
    while ranking[at] != gpu:
        at += 1
    while at > 0 and _outranks(load, gpu, ranking[at - 1]):
        ranking[at] = ranking[at - 1]
        at -= 1
    while at + 1 < ranking.size and _outranks(load, ranking[at + 1], gpu):
        ranking[at] = ranking[at + 1]
        at += 1
    ranking[at] = gpu


@kernel
def _outranks(load: Floats, gpu: int, other: int) -> bool:
    return load[gpu] > load[other] or (load[gpu] == load[other] and gpu < other)


@kernel
def sort_pairs(pool: Pool) -> None:
    """Bring the pairs of every GPU up to date."""
    if pool.pairs.load.size == 0:
        return
    for gpu in range(pool.gpu_load.size):
        if not pool.pairs_sorted[gpu]:
            _sort_pairs(pool.pieces[gpu], pool.pairs.load[gpu], pool.pairs.first[gpu], pool.pairs.second[gpu])
            pool.pairs_sorted[gpu] = True


@kernel
def _sort_pairs(pieces: Floats, load: Floats, first: Integers, second: Integers) -> None:
    """List all pairs of pieces, heaviest first."""
    count = 0
    for i in range(pieces.size - 1):
        for j in range(i + 1, pieces.size):
            pair = pieces[i] + pieces[j]
            at = count
            while at > 0 and load[at - 1] < pair:
                load[at], first[at], second[at] = load[at - 1], first[at - 1], second[at - 1]
                at -= 1
            load[at], first[at], second[at] = pair, i, j
            count += 1


@kernel
def swap_bundles(pool: Pool, bundles: Bundles, gpu: int, give: int, other: int, take: int) -> None:
    """Exchange a bundle of one GPU for one of another."""
    first, second = bundles.first[gpu, give], bundles.second[gpu, give]
    _swap(pool, gpu, first, other, bundles.first[other, take])
    if second != first:
        _swap(pool, gpu, second, other, bundles.second[other, take])
    for changed in (gpu, other):
        weigh(pool, changed)
        rank(pool, changed)


@kernel
def _swap(pool: Pool, gpu: int, place: int, other: int, other_place: int) -> None:
    expert, other_expert = pool.slots[gpu, place], pool.slots[other, other_place]
    pool.slots[gpu, place], pool.slots[other, other_place] = other_expert, expert
    move(pool, expert, gpu, other)
    move(pool, other_expert, other, gpu)


@kernel
def move(pool: Pool, expert: int, gpu: int, new_gpu: int) -> None:
    """Note that a replica of the expert is on another GPU than it was."""
    i = 0
    while pool.holders[expert, i] != gpu:
        i += 1
    pool.holders[expert, i] = new_gpu


@kernel
def transfer(pool: Pool, receiver: int, donor: int, gpu: int) -> None:
    """Give the slot that holds the donor expert on the GPU to the receiver expert, and weigh all their holders."""
    place = 0
    while pool.slots[gpu, place] != donor:
        place += 1
    pool.slots[gpu, place] = receiver
    last = pool.copies[donor] - 1
    move(pool, donor, gpu, pool.holders[donor, last])
    pool.copies[donor] = last
    pool.holders[receiver, pool.copies[receiver]] = gpu
    pool.copies[receiver] += 1
    for expert in (receiver, donor):
        pool.share[expert] = pool.load[expert] / pool.copies[expert]
    for expert in (receiver, donor):
        for i in range(pool.copies[expert]):
            weigh(pool, pool.holders[expert, i])
            rank(pool, pool.holders[expert, i])
