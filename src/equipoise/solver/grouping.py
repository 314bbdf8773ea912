"""Step 1, group: which node gets which expert groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel
from equipoise.solver.heap import sort
from equipoise.solver.packing import pack
from equipoise.solver.pool import Pool, Queues, empty_pool, empty_queues, peak
from equipoise.solver.swaps import settle

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers

# Eight groups on four nodes are done with in 2 microseconds. This many steps take about 50, as long as the rest of a
# layer, and nearly always suffice for 12 groups on 4 nodes or 16 on 8.
MOST_STEPS = 10_000


class Grouping(NamedTuple):
    """Groups on nodes: a pool with groups for experts and nodes for GPUs, and the state of the exact search."""

    pool: Pool
    queues: Queues
    node: Integers  # [groups], the node of each group
    order: Integers  # [groups], groups, heaviest first
    choice: Integers  # [groups], the node tried for the group at this place of the order; -1 for none
    node_load: Floats  # [nodes]
    filled: Integers  # [nodes], groups on the node


def empty_grouping(groups: int, nodes: int) -> Grouping:
    """Return room to group this many groups on this many nodes."""
    return Grouping(
        pool=empty_pool(groups, nodes, groups // nodes),
        queues=empty_queues(groups, nodes),
        node=np.zeros(groups, np.int64),
        order=np.zeros(groups, np.int64),
        choice=np.zeros(groups, np.int64),
        node_load=np.zeros(nodes),
        filled=np.zeros(nodes, np.int64),
    )


@kernel
def group_experts(load: Floats, grouping: Grouping) -> float:
    """Assign the groups of a layer's experts to nodes; return a load below which the largest node load cannot be."""
    group_size = load.size // grouping.node.size
    for i in range(grouping.node.size):
        total = 0.0
        for expert in range(i * group_size, (i + 1) * group_size):
            total += load[expert]
        grouping.pool.load[i] = total
    return group(grouping)


@kernel
def group(grouping: Grouping) -> float:
    """Assign the groups to nodes, equally many to each, so that the largest node load is least.

    Heaviest first and swaps, as replicas are packed on GPUs; then a search through all groupings that could be
    better, up to a limit of steps. Reads the loads in ``grouping.pool``, writes ``grouping.node`` and returns a load
    below which the largest node load cannot be: its very value where the search came to its end.
    """
    pool = grouping.pool
    total, heaviest, lightest = 0.0, 0.0, np.inf
    for i in range(pool.load.size):
        total += pool.load[i]
        heaviest = max(heaviest, pool.load[i])
        lightest = min(lightest, pool.load[i])
    nodes, per_node = pool.slots.shape
    limit = max(total / nodes, heaviest + (per_node - 1) * lightest)
    pack(pool, grouping.queues)
    settle(pool, limit)
    for node in range(nodes):
        for i in range(per_node):
            grouping.node[pool.slots[node, i]] = node
    return _search(grouping, peak(pool), limit)


@kernel
def _search(grouping: Grouping, best: float, limit: float) -> float:
    """Go through the groupings, heaviest group first, leaving out what cannot bring all nodes below ``best``.

    Writes every better grouping into ``grouping.node``. Returns the least largest node load; ``limit`` where the
    steps ran out.
    """
    load, order, choice = grouping.pool.load, grouping.order, grouping.choice
    groups = load.size
    sort(load, grouping.queues.share, grouping.queues.expert, order)
    for node in range(grouping.filled.size):
        grouping.node_load[node] = 0.0
        grouping.filled[node] = 0
    place = 0
    choice[0] = -1
    for _ in range(MOST_STEPS):
        if place < 0 or best <= limit:
            return best
        group = order[place]
        _take_back(grouping, place)
        choice[place] = _next_node(grouping, choice[place], load[group], best)
        if choice[place] < 0:
            place -= 1
            continue
        grouping.node_load[choice[place]] += load[group]
        grouping.filled[choice[place]] += 1
        if place + 1 < groups:
            place += 1
            choice[place] = -1
        else:
            best = _record(grouping)
    return limit


@kernel
def _take_back(grouping: Grouping, place: int) -> None:
    """Remove the group at this place of the order from the node where it was tried."""
    node = grouping.choice[place]
    if node < 0:
        return
    grouping.filled[node] -= 1
    grouping.node_load[node] -= grouping.pool.load[grouping.order[place]]


@kernel
def _next_node(grouping: Grouping, node: int, load: float, best: float) -> int:
    """Return the next node after ``node`` that can take the load and stay below ``best``; -1 for none.

    Empty nodes are all alike: only the first of them is tried.
    """
    per_node = grouping.pool.slots.shape[1]
    if node >= 0 and grouping.filled[node] == 0:
        return -1
    for other in range(node + 1, grouping.filled.size):
        if grouping.filled[other] < per_node and grouping.node_load[other] + load < best:
            return other
        if grouping.filled[other] == 0:
            return -1
    return -1


@kernel
def _record(grouping: Grouping) -> float:
    """Keep the grouping that was tried; return its largest node load."""
    largest = 0.0
    for place in range(grouping.order.size):
        grouping.node[grouping.order[place]] = grouping.choice[place]
    for node in range(grouping.node_load.size):
        largest = max(largest, grouping.node_load[node])
    return largest
