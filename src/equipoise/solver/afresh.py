"""The four steps, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.all_counts import try_all_counts
from equipoise.solver.compiling import entry, kernel
from equipoise.solver.grouping import Grouping, empty_grouping, group_experts
from equipoise.solver.other_starts import first_transfer, try_other_counts
from equipoise.solver.packing import pack
from equipoise.solver.pool import Pool, Queues, empty_pool, empty_queues, peak
from equipoise.solver.replication import replicate
from equipoise.solver.transfers import Search, empty_search, refine

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers


class SearchLimits(NamedTuple):
    """How far a layer is planned; the peaks are given as their distance to the bound, as a share of it."""

    tolerance: float  # peaks this close are not lowered further
    good_enough: float  # peaks this close are lowered by swaps alone
    all_counts: bool  # whether all replica counts are tried where a peak is not that close


class Workspace(NamedTuple):
    """All that planning one layer after another needs; one per thread."""

    grouping: Grouping
    pool: Pool
    queues: Queues
    search: Search
    best: Pool
    members: Integers  # [experts per node], the experts of the node at hand


def empty_workspace(
    experts: int, groups: int, nodes: int, gpus_per_node: int, slots_per_gpu: int, tries: int, kicks: int, least: int
) -> Workspace:
    """Return room for layers of this size, whose groups stay each on one of ``nodes`` nodes, experts on ``least`` GPUs.

    Where a GPU has more slots than its node has experts, the pool is planned without the slots left over.
    """
    members = experts // nodes
    slots_per_gpu = min(slots_per_gpu, members)
    return Workspace(
        grouping=empty_grouping(groups, nodes),
        pool=empty_pool(members, gpus_per_node, slots_per_gpu, least),
        queues=empty_queues(members, gpus_per_node),
        search=empty_search(members, gpus_per_node, slots_per_gpu, tries, kicks),
        best=empty_pool(members, gpus_per_node, slots_per_gpu),
        members=np.zeros(members, np.int64),
    )


@entry
def plan_layers(loads: Floats, work: Workspace, limits: SearchLimits, phy2log: Integers) -> None:
    """Plan every layer by itself.

    loads: float64 [layers, experts]. phy2log: int64 [layers, slots], written.
    """
    nodes = work.grouping.filled.size
    slots_per_node = phy2log.shape[1] // nodes
    for layer in range(loads.shape[0]):
        load = loads[layer]
        bound = group_experts(load, work.grouping) / work.pool.gpu_load.size  # step 1
        enough, highest = bound * (1 + limits.tolerance), 0.0
        for node in range(nodes):
            _gather(load, work, node)
            replicate(work.pool, work.queues)  # step 2
            pack(work.pool, work.queues)  # step 3
            receiver, donor = first_transfer(work.pool)
            # No node need be better than the heaviest can be, nor than the worst one is.
            target, good_enough = max(enough, highest), max(bound * (1 + limits.good_enough), highest)
            refine(work.pool, work.search, target, good_enough)  # step 4
            if peak(work.pool) > good_enough:
                try_other_counts(work.pool, work.queues, work.search, work.best, receiver, donor, target, good_enough)
            if limits.all_counts and peak(work.pool) > good_enough:
                try_all_counts(work.pool, work.queues, work.best, target)
            highest = max(highest, peak(work.pool))
            _write(work, phy2log[layer, node * slots_per_node : (node + 1) * slots_per_node])


@kernel
def _gather(load: Floats, work: Workspace, node: int) -> None:
    """Make the experts of the node's groups the pool's."""
    group_size = load.size // work.grouping.node.size
    member = 0
    for expert in range(load.size):
        if work.grouping.node[expert // group_size] == node:
            work.members[member] = expert
            work.pool.load[member] = load[expert]
            member += 1


@kernel
def _write(work: Workspace, phy2log: Integers) -> None:
    """Write the pool's experts into the node's slots, [slots per node]; slots left over repeat their GPU's experts."""
    gpus, planned = work.pool.slots.shape
    slots_per_gpu = phy2log.size // gpus
    for gpu in range(gpus):
        for place in range(slots_per_gpu):
            phy2log[gpu * slots_per_gpu + place] = work.members[work.pool.slots[gpu, place % planned]]
